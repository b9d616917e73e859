#include "wrap/sha256.h"

#include <string.h>

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t value, int by)
{
    return value >> by | value << (32 - by);
}

/* Round i + k: instead of moving the eight variables on, their names turn. */
#define IW_AT(n, k) v[((n) - (k)) & 7]
#define IW_ROUND(k)                                                                                \
    (IW_AT(7, k) += (turn(IW_AT(4, k), 6) ^ turn(IW_AT(4, k), 11) ^ turn(IW_AT(4, k), 25)) +       \
                    (IW_AT(6, k) ^ (IW_AT(4, k) & (IW_AT(5, k) ^ IW_AT(6, k)))) +                  \
                    constants[i + (k)] + w[i + (k)],                                               \
     IW_AT(3, k) += IW_AT(7, k),                                                                   \
     IW_AT(7, k) += (turn(IW_AT(0, k), 2) ^ turn(IW_AT(0, k), 13) ^ turn(IW_AT(0, k), 22)) +       \
                    ((IW_AT(0, k) & IW_AT(1, k)) | (IW_AT(2, k) & (IW_AT(0, k) | IW_AT(1, k)))))

static void take_block(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i += 8) {
        IW_ROUND(0), IW_ROUND(1), IW_ROUND(2), IW_ROUND(3), IW_ROUND(4), IW_ROUND(5), IW_ROUND(6),
            IW_ROUND(7);
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

void iw_sha256_start(iw_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, start, sizeof start);
    hash->length = 0;
}

void iw_sha256_add(iw_sha256 *hash, const void *data, size_t length)
{
    const unsigned char *from = data;
    size_t used = hash->length % 64;
    hash->length += length;
    if (used) {
        size_t part = length < 64 - used ? length : 64 - used;
        memcpy(hash->block + used, from, part);
        from += part;
        length -= part;
        if (used + part < 64) return;
        take_block(hash->state, hash->block);
    }
    for (; length >= 64; from += 64, length -= 64) take_block(hash->state, from);
    if (length) memcpy(hash->block, from, length);
}

void iw_sha256_add_text(iw_sha256 *hash, const char *text)
{
    uint64_t length = text ? strlen(text) : UINT64_MAX;
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i);
    iw_sha256_add(hash, bytes, 8);
    if (text) iw_sha256_add(hash, text, (size_t)length);
}

void iw_sha256_finish(iw_sha256 *hash, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char end[72] = {0x80};
    size_t pad = 1 + (119 - hash->length % 64) % 64;
    uint64_t bits = hash->length * 8;
    for (int i = 0; i < 8; i++) end[pad + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    iw_sha256_add(hash, end, pad + 8);
    for (int i = 0; i < 64; i++) hex[i] = digits[hash->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = 0;
}
