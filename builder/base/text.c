#include "base/text.h"

#include <ctype.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* --- slices --------------------------------------------------------------- */

iw_slice iw_slice_of(const char *text)
{
    return (iw_slice){text, text ? strlen(text) : 0};
}

bool iw_slice_equal(iw_slice a, const char *b)
{
    return strlen(b) == a.length && (a.length == 0 || memcmp(a.data, b, a.length) == 0);
}

bool iw_slice_next(iw_slice *rest, char separator, iw_slice *part)
{
    if (rest->length == 0) return false;
    const char *end = memchr(rest->data, separator, rest->length);
    part->data = rest->data;
    part->length = end ? (size_t)(end - rest->data) : rest->length;
    size_t used = part->length + (end ? 1 : 0);
    rest->data += used;
    rest->length -= used;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

iw_slice iw_slice_trim(iw_slice text)
{
    while (text.length && is_space(text.data[0])) text.data++, text.length--;
    while (text.length && is_space(text.data[text.length - 1])) text.length--;
    return text;
}

iw_slice iw_slice_last_line(iw_slice text)
{
    iw_slice line, last = {text.data, 0};
    while (iw_slice_next(&text, '\n', &line))
        if (iw_slice_trim(line).length) last = iw_slice_trim(line);
    return last;
}

/* --- buffers -------------------------------------------------------------- */

void iw_buffer_free(iw_buffer *buffer)
{
    free(buffer->data);
    *buffer = (iw_buffer){0};
}

void iw_buffer_clear(iw_buffer *buffer)
{
    buffer->length = 0;
    if (buffer->data) buffer->data[0] = 0;
}

void iw_buffer_add(iw_buffer *buffer, const void *data, size_t length)
{
    size_t needed;
    if (__builtin_add_overflow(buffer->length + 1, length, &needed))
        needed = SIZE_MAX; /* iw_grow aborts */
    iw_grow((void **)&buffer->data, &buffer->capacity, needed, 1);
    if (length) memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = 0;
}

void iw_buffer_add_text(iw_buffer *buffer, const char *text)
{
    iw_buffer_add(buffer, text, strlen(text));
}

void iw_buffer_add_char(iw_buffer *buffer, char c)
{
    iw_buffer_add(buffer, &c, 1);
}

void iw_buffer_add_cell(iw_buffer *buffer, const char *text)
{
    iw_buffer_add_text(buffer, "| ");
    for (const char *c = text; *c; c++) {
        if (*c == '|') iw_buffer_add_char(buffer, '\\');
        if (*c == '<') iw_buffer_add_text(buffer, "&lt;");
        else iw_buffer_add_char(buffer, *c == '\n' ? ' ' : *c);
    }
    iw_buffer_add_char(buffer, ' ');
}

void iw_buffer_add_format(iw_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = iw_vformat(format, arguments);
    va_end(arguments);
    iw_buffer_add_text(buffer, text);
    free(text);
}

char *iw_buffer_take(iw_buffer *buffer)
{
    char *text = buffer->data ? buffer->data : iw_strdup("");
    *buffer = (iw_buffer){0};
    return text;
}

/* --- lists ---------------------------------------------------------------- */

void iw_strings_free(iw_strings *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (iw_strings){0};
}

static void add_owned(iw_strings *list, char *text)
{
    iw_grow((void **)&list->items, &list->capacity, list->count + 2, sizeof *list->items);
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
}

void iw_strings_add(iw_strings *list, const char *text)
{
    add_owned(list, iw_strdup(text));
}

void iw_strings_add_format(iw_strings *list, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_owned(list, iw_vformat(format, arguments));
    va_end(arguments);
}

void iw_strings_add_all(iw_strings *list, const char *const *items)
{
    for (; items && *items; items++) iw_strings_add(list, *items);
}

void iw_strings_add_words(iw_strings *list, const char *text, char separator)
{
    iw_slice rest = iw_slice_of(text), part;
    while (iw_slice_next(&rest, separator, &part))
        if (part.length) iw_strings_add_format(list, "%.*s", (int)part.length, part.data);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void iw_strings_sort(iw_strings *list)
{
    if (list->count > 1) qsort(list->items, list->count, sizeof *list->items, compare);
}

bool iw_strings_has(const iw_strings *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0) return true;
    return false;
}

/* --- helpers -------------------------------------------------------------- */

bool iw_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool iw_ends_with(const char *text, const char *suffix)
{
    size_t a = strlen(text), b = strlen(suffix);
    return a >= b && memcmp(text + a - b, suffix, b) == 0;
}

bool iw_parse_unsigned(const char *text, uint64_t limit, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value) || value > limit)
            return false;
    }
    *out = value;
    return true;
}

/* One component, both up to their next slash. */
static bool match_component(const char *pattern, const char *path)
{
    char pattern_part[256], path_part[256]; /* NAME_MAX and NUL */
    size_t part = strcspn(pattern, "/"), length = strcspn(path, "/");
    if (part >= sizeof pattern_part || length >= sizeof path_part) return false;
    memcpy(pattern_part, pattern, part);
    memcpy(path_part, path, length);
    pattern_part[part] = path_part[length] = 0;
    return fnmatch(pattern_part, path_part, 0) == 0;
}

static const char *next_component(const char *text)
{
    text += strcspn(text, "/");
    return *text ? text + 1 : text;
}

static bool is_any(const char *pattern)
{
    return pattern[0] == '*' && pattern[1] == '*' && (pattern[2] == '/' || !pattern[2]);
}

/* After a mismatch only the last `**` seen need take one component more: linear in the path for
 * each of the pattern's parts. */
bool iw_glob_match(const char *pattern, const char *path)
{
    if (!*pattern || !*path) return false;
    const char *after_any = NULL, *resume = NULL;
    while (*pattern) {
        if (is_any(pattern)) {
            after_any = pattern = next_component(pattern);
            resume = path;
        } else if (*path && match_component(pattern, path)) {
            pattern = next_component(pattern);
            path = next_component(path);
        } else {
            if (!after_any || !*resume) return false;
            resume = path = next_component(resume);
            pattern = after_any;
        }
    }
    return true; /* what is left of the path stands below a folder that the pattern named */
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), row[65];
    if (n > 64 || m > 64) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

char *iw_project_name(const char *project)
{
    iw_buffer out = {0};
    for (const char *c = project; *c; c++) {
        if (!strchr("-_.", *c)) iw_buffer_add_char(&out, (char)tolower((unsigned char)*c));
        else if (!out.length || out.data[out.length - 1] != '-') iw_buffer_add_char(&out, '-');
    }
    return iw_buffer_take(&out);
}

const char *iw_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word), limit = length < 3 ? 1 : (length + 2) / 3, best = limit + 1;
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, candidates[i]);
        if (distance < best) {
            best = distance;
            found = candidates[i];
        }
    }
    return found;
}

char *iw_format_bytes(uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) return iw_format("%" PRIu64 " B", bytes);
    double value = (double)bytes / 1000;
    size_t unit = 0;
    while (value >= 999.5 && unit < 5) {
        value /= 1000;
        unit++;
    }
    return iw_format(value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

char *iw_format_seconds(double seconds)
{
    if (!(seconds > 0)) seconds = 0;
    if (seconds > 1e12) seconds = 1e12;
    if (seconds < 9.95) return iw_format("%.1f s", seconds);
    uint64_t whole = (uint64_t)(seconds + 0.5);
    if (whole < 60) return iw_format("%" PRIu64 " s", whole);
    if (whole < 3600) return iw_format("%" PRIu64 " min %02" PRIu64 " s", whole / 60, whole % 60);
    uint64_t minutes = (whole + 30) / 60;
    return iw_format("%" PRIu64 " h %02" PRIu64 " min", minutes / 60, minutes % 60);
}

char *iw_shell_quote(const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^";
    if (*word && word[strspn(word, plain)] == '\0') return iw_strdup(word);
    iw_buffer out = {0};
    iw_buffer_add_char(&out, '\'');
    for (const char *c = word; *c; c++) {
        if (*c == '\'') iw_buffer_add_text(&out, "'\\''");
        else iw_buffer_add_char(&out, *c);
    }
    iw_buffer_add_char(&out, '\'');
    return iw_buffer_take(&out);
}
