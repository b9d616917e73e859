/* JSON as it is signed: one text for one meaning (keys sorted by bytes, one space of indentation, a
 * newline at the end, whole numbers only), read within bounds. Internal to `share`. */
#ifndef IW_SHARE_CANON_H
#define IW_SHARE_CANON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define IW_CANON_LIMIT ((size_t)8 << 20) /* bytes */
#define IW_CANON_DEPTH 8
#define IW_CANON_VALUES 400000
#define IW_CANON_TEXT 4096                        /* bytes of one string */
#define IW_CANON_NUMBER INT64_C(9007199254740991) /* 2^53 - 1: what every JSON reader keeps */

/* IW_E_FORMAT, naming `where`, for anything that isn't such a text of an object. Caller drops the
 * reference. */
int iw_canon_parse(const char *text, size_t length, const char *where, json_t **out, iw_error *err);
/* The text; NULL where a string isn't UTF-8. Caller frees. */
char *iw_canon_write(const json_t *object);

/* Fields of an object; false where the field is missing or of another kind. */
bool iw_field_text(const json_t *object, const char *key, const char **out); /* borrowed */
bool iw_field_number(const json_t *object, const char *key, uint64_t *out);
bool iw_field_digest(const json_t *object, const char *key, const char **out);
/* A plain name: letters, digits and + - . _ ~, not starting with `.` or `-`, at most 200. */
bool iw_is_plain_name(const char *text);
bool iw_field_name(const json_t *object, const char *key, const char **out);

#endif
