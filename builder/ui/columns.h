/* Text in columns of a terminal. What comes out holds no control character and no broken UTF-8, and
 * is never wider than it was measured. */
#ifndef IW_UI_COLUMNS_H
#define IW_UI_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define IW_COLUMNS_ALL ((size_t)-1 / 2)

/* One code point of UTF-8 (RFC 3629) of NUL-terminated text; -1 where the bytes are broken. *length
 * is what it took, at least 1. */
int32_t iw_columns_decode(const char *text, size_t *length);

/* Columns that a code point takes: 2, 1 or 0 (it combines), rather too many than too few; -1 where
 * it is shown as an escape: control characters, marks of direction, what is private or no
 * character. */
int iw_columns_of(int32_t point);

/* Appends as much of `text` as fits into `width` columns, with "…" in the last one where something
 * was left out. Control characters come out as \n, \x1b, \u202e; broken bytes as \xff; a tab as a
 * space; with `ascii` all that isn't ASCII as an escape. Returns the columns used. */
size_t iw_columns_add(iw_buffer *out, const char *text, size_t width, bool ascii);

/* Several lines of text from elsewhere, to stand on a terminal as they are: each line as
 * iw_columns_add shows it, at any width. Caller frees. */
char *iw_columns_lines(const char *text);

/* Columns of a line that was made here: colours (ESC [ … m) count nothing. */
size_t iw_columns_measure(const char *line, size_t length);

/* A line of a build's output as it stands on paper: what follows the last carriage return, without
 * sequences that colour or move (ECMA-48), without spaces at both ends. Caller frees. */
char *iw_columns_settle(const char *line);

#endif
