/* A file by the digests of its pieces: what has come of it can be used before the rest has, and is
 * verified all the same. Shared with `share`, which signs such lists. */
#ifndef IW_FETCH_PIECES_H
#define IW_FETCH_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

#define IW_PIECES_MOST 62 /* of a file: their digests are one text of at most 4096 bytes */

/* Bytes of a piece: the least power of two from 64 KiB on that doesn't make too many. */
uint64_t iw_pieces_size(uint64_t file_size);
/* Whether `digests` are as many as a file of that size has pieces, 64 hexadecimal digits each,
 * without anything between. */
bool iw_pieces_fit(const char *digests, uint64_t piece, uint64_t file_size);
/* The digests of the pieces of what is added in its order, in portions of any size. */
typedef struct iw_pieces iw_pieces;
iw_pieces *iw_pieces_new(uint64_t piece);
void iw_pieces_free(iw_pieces *pieces);
void iw_pieces_add(iw_pieces *pieces, const void *data, size_t length);
char *iw_pieces_finish(iw_pieces *pieces); /* caller frees; no more is added */

/* Looks at a file's bytes in their order. Zero-initialise but for the first three. */
typedef struct iw_piecewise {
    const char *digests; /* borrowed; they fit */
    uint64_t piece, size;
    iw_hash *hash;
    uint64_t at, good; /* bytes seen; bytes that are right */
    bool wrong;        /* a piece was another one than it should be: `good` ends before it */
} iw_piecewise;

void iw_piecewise_add(iw_piecewise *p, const void *data, size_t length);
void iw_piecewise_restart(iw_piecewise *p);
void iw_piecewise_free(iw_piecewise *p);

#endif
