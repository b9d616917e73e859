/* SHA-256 through libcrypto. */
#ifndef IW_BASE_HASH_H
#define IW_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define IW_SHA256_HEX 65 /* with the NUL */

typedef struct iw_hash iw_hash;

iw_hash *iw_hash_new(void);
void iw_hash_free(iw_hash *hash);
void iw_hash_add(iw_hash *hash, const void *data, size_t length);
/* Length-prefixed (8 bytes little endian), so that ("ab","c") and ("a","bc") differ: for keys. NULL
 * counts as absent. */
void iw_hash_add_field(iw_hash *hash, const char *name, const char *value);
void iw_hash_finish(iw_hash *hash, char hex[IW_SHA256_HEX]); /* lower case; the hash starts anew */
void iw_hash_bytes(const void *data, size_t length, char hex[IW_SHA256_HEX]);
int iw_hash_file(const char *path, char hex[IW_SHA256_HEX], uint64_t *size,
                 iw_error *err);     /* size may be NULL */
bool iw_is_sha256(const char *text); /* 64 lower-case hex digits */

#endif
