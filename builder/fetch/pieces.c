#include "fetch/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define LEAST ((uint64_t)64 << 10)
#define DIGITS 64

static uint64_t count_of(uint64_t file_size, uint64_t piece)
{
    return file_size / piece + (file_size % piece != 0);
}

uint64_t iw_pieces_size(uint64_t file_size)
{
    uint64_t piece = LEAST;
    while (count_of(file_size, piece) > IW_PIECES_MOST) piece *= 2;
    return piece;
}

bool iw_pieces_fit(const char *digests, uint64_t piece, uint64_t file_size)
{
    if (piece == 0 || count_of(file_size, piece) > IW_PIECES_MOST) return false;
    size_t length = (size_t)count_of(file_size, piece) * DIGITS;
    return strlen(digests) == length && strspn(digests, "0123456789abcdef") == length;
}

struct iw_pieces {
    uint64_t piece, at; /* at: bytes in the piece that is being added */
    iw_hash *hash;
    iw_buffer out;
};

iw_pieces *iw_pieces_new(uint64_t piece)
{
    iw_pieces *p = iw_alloc(sizeof *p);
    *p = (iw_pieces){.piece = piece, .hash = iw_hash_new()};
    return p;
}

void iw_pieces_free(iw_pieces *p)
{
    if (!p) return;
    iw_hash_free(p->hash);
    iw_buffer_free(&p->out);
    free(p);
}

static void end_piece(iw_pieces *p)
{
    char digest[IW_SHA256_HEX];
    iw_hash_finish(p->hash, digest);
    iw_buffer_add_text(&p->out, digest);
    p->at = 0;
}

void iw_pieces_add(iw_pieces *p, const void *data, size_t length)
{
    for (const char *from = data; length;) {
        uint64_t left = p->piece - p->at;
        size_t take = left < length ? (size_t)left : length;
        iw_hash_add(p->hash, from, take);
        p->at += take, from += take, length -= take;
        if (p->at == p->piece) end_piece(p);
    }
}

char *iw_pieces_finish(iw_pieces *p)
{
    if (p->at) end_piece(p);
    return iw_buffer_take(&p->out);
}

void iw_piecewise_add(iw_piecewise *p, const void *data, size_t length)
{
    const char *from = data;
    char digest[IW_SHA256_HEX];
    if (!p->hash) p->hash = iw_hash_new();
    while (length && !p->wrong) {
        uint64_t start = p->at / p->piece * p->piece,
                 end = p->size - start < p->piece ? p->size : start + p->piece, left = end - p->at;
        size_t take = left < length ? (size_t)left : length;
        if (p->at >= p->size) {
            p->wrong = true;
            return;
        }
        iw_hash_add(p->hash, from, take);
        p->at += take, from += take, length -= take;
        if (p->at < end) continue;
        iw_hash_finish(p->hash, digest);
        p->wrong = memcmp(digest, p->digests + start / p->piece * DIGITS, DIGITS) != 0;
        if (!p->wrong) p->good = end;
    }
}

void iw_piecewise_restart(iw_piecewise *p)
{
    iw_piecewise_free(p);
    p->at = p->good = 0;
    p->wrong = false;
}

void iw_piecewise_free(iw_piecewise *p)
{
    iw_hash_free(p->hash);
    p->hash = NULL;
}
