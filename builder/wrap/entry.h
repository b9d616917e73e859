/* What all entries of the object cache have in common: a kind, digests of what was read, a digest
 * of the whole. Internal to `iw-cc`. An entry is one file, <folder>/<2 hex>/<64 hex>:
 *   <kind>\n                  "iw-object 1" (objects.c), "iw-crate 1" (rust.c)
 *   "D <sha256> <path>\n"     each file that was read and isn't part of the key
 *   what the kind adds
 *   "L <said> <file>…\n"      lengths in bytes of the parts that follow; -1: there is no such file
 *   what the compiler said, the files
 *   SHA-256 (64 hex) of everything before: a torn or damaged entry is none, so that nothing need be
 *                             synced to disk */
#ifndef IW_WRAP_ENTRY_H
#define IW_WRAP_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/text.h"

#define IW_ENTRY_FILE_LIMIT (256u << 20) /* bytes of one file that is read or kept */

void iw_entry_hash(const char *data, size_t length, char hex[65]);
bool iw_entry_hash_file(const char *path, char hex[65]); /* false: can't be read */

/* An entry's text, with `*body` behind the digests of what was read and `*end` before its own.
 * NULL: not there, of another kind, damaged, or a file that was read is another one now. Caller
 * frees. */
char *iw_entry_read(const char *folder, const char *key, const char *kind, const char **body,
                    const char **end);
/* Marks it as used: gc drops what wasn't for longest. */
void iw_entry_used(const char *folder, const char *key);
/* Adds the entry's own digest to `out` and puts it on its shelf. False where that can't be done. */
bool iw_entry_write(const char *folder, const char *key, iw_buffer *out);

/* What the compiler said, or a file that it wrote; `data` is borrowed, NULL where there is none. */
typedef struct iw_entry_part {
    const char *data;
    size_t length;
} iw_entry_part;

/* Finds the `count` parts between `at` and `end`, all that is there; false: they aren't, or what
 * was said is missing. */
bool iw_entry_parts(const char *at, const char *end, iw_entry_part *parts, size_t count);
void iw_entry_add_parts(iw_buffer *out, const iw_entry_part *parts, size_t count);

/* Adds the line for a file that was read; false where the file's name can't stand in one. */
bool iw_entry_add_input(iw_buffer *out, const char *path, const char hex[65]);
/* Whether a file changed at or after a time (CLOCK_REALTIME_COARSE), or is gone. */
bool iw_entry_changed(const char *path, const struct timespec *since);
/* Puts a file in place, written beside and renamed, so that nobody sees a part of it. */
bool iw_entry_place(const char *path, const char *data, size_t length);
/* What is put in place by renaming must be a file, or not there yet. */
bool iw_entry_is_replaceable(const char *path);

#endif
