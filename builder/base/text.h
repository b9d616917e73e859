/* Text: slices, a growing buffer, lists of strings, and the few string helpers that C lacks. */
#ifndef IW_BASE_TEXT_H
#define IW_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed text, not NUL-terminated. */
typedef struct iw_slice {
    const char *data;
    size_t length;
} iw_slice;

iw_slice iw_slice_of(const char *text);
bool iw_slice_equal(iw_slice a, const char *b);
/* Splits off the part before the next `separator` (the whole rest where there is none); false when
 * `rest` was empty. */
bool iw_slice_next(iw_slice *rest, char separator, iw_slice *part);
iw_slice iw_slice_trim(iw_slice text);      /* spaces, tabs, CR, LF at both ends */
iw_slice iw_slice_last_line(iw_slice text); /* the last that isn't blank, trimmed; else empty */

/* A growing buffer, always NUL-terminated once something was added. Zero-initialise; free with
 * iw_buffer_free. */
typedef struct iw_buffer {
    char *data;
    size_t length;
    size_t capacity;
} iw_buffer;

void iw_buffer_free(iw_buffer *buffer);  /* leaves it empty and usable */
void iw_buffer_clear(iw_buffer *buffer); /* keeps the memory */
void iw_buffer_add(iw_buffer *buffer, const void *data, size_t length);
void iw_buffer_add_text(iw_buffer *buffer, const char *text);
void iw_buffer_add_char(iw_buffer *buffer, char c);
void iw_buffer_add_format(iw_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "| text ", a cell of a Markdown table: `|` would end it, a newline the row, and nothing in it may
 * be taken for HTML. */
void iw_buffer_add_cell(iw_buffer *buffer, const char *text);
char *iw_buffer_take(
    iw_buffer *buffer); /* caller owns the text ("" where empty); the buffer is empty afterwards */
#define iw_cleanup_buffer __attribute__((cleanup(iw_buffer_free)))

/* A list of owned strings; `items` is always NULL-terminated once something was added, so that it
 * serves as an argv. */
typedef struct iw_strings {
    char **items;
    size_t count;
    size_t capacity;
} iw_strings;

void iw_strings_free(iw_strings *list);
void iw_strings_add(iw_strings *list, const char *text); /* copies */
void iw_strings_add_format(iw_strings *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void iw_strings_add_all(iw_strings *list,
                        const char *const *items); /* NULL-terminated; NULL is empty */
void iw_strings_add_words(iw_strings *list, const char *text,
                          char separator); /* what stands between separators; nothing empty */
void iw_strings_sort(iw_strings *list);    /* by bytes */
bool iw_strings_has(const iw_strings *list, const char *text);
#define iw_cleanup_strings __attribute__((cleanup(iw_strings_free)))

bool iw_starts_with(const char *text, const char *prefix);
bool iw_ends_with(const char *text, const char *suffix);
/* Decimal, whole text, 0 to `limit`; false otherwise. */
bool iw_parse_unsigned(const char *text, uint64_t limit, uint64_t *out);
/* Glob on a path: `?` and `*` don't match `/`, `**` matches any number of whole components, [..] as
 * usual. A pattern that matches a folder matches what is below it. */
bool iw_glob_match(const char *pattern, const char *path);
/* A Python project's name as PEP 503 normalises it: lower case, runs of - _ . become one -. Caller
 * frees. */
char *iw_project_name(const char *project);
/* Of `count` candidates the one nearest to `word` (edit distance at most a third of its length), or
 * NULL: for "did you mean". */
const char *iw_nearest(const char *word, const char *const *candidates, size_t count);
/* 'it'\''s' for sh; plain words stay as they are. Caller frees. */
char *iw_shell_quote(const char *word);
/* "1.4 GB", "312 kB", "12 B" (powers of ten), "1 h 05 min", "4 min 10 s", "3.2 s": caller frees. */
char *iw_format_bytes(uint64_t bytes);
char *iw_format_seconds(double seconds);

#endif
