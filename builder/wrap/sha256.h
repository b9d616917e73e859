/* SHA-256 (FIPS 180-4) for the wrapper, which starts once per compile: libcrypto would make it ten
 * times as large. The same digests as base/hash.h. */
#ifndef IW_WRAP_SHA256_H
#define IW_WRAP_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct iw_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
} iw_sha256;

void iw_sha256_start(iw_sha256 *hash);
void iw_sha256_add(iw_sha256 *hash, const void *data, size_t length);
/* Length-prefixed, NULL told from "": for keys. */
void iw_sha256_add_text(iw_sha256 *hash, const char *text);
void iw_sha256_finish(iw_sha256 *hash, char hex[65]); /* lower case */

#endif
