#include "fetch/pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
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

int iw_pieces_make(const char *path, uint64_t piece, char **digests, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    const size_t block = 1 << 16;
    iw_cleanup_free char *buffer = iw_alloc(block);
    iw_buffer out = {0};
    iw_hash *hash = iw_hash_new();
    char digest[IW_SHA256_HEX];
    uint64_t at = 0; /* in the piece */
    ssize_t got;
    for (;;) {
        got = read(fd, buffer, piece - at < block ? (size_t)(piece - at) : block);
        if (got < 0 && errno == EINTR) continue;
        if (got > 0) iw_hash_add(hash, buffer, (size_t)got), at += (uint64_t)got;
        if (at == piece || (got == 0 && at)) {
            iw_hash_finish(hash, digest);
            iw_buffer_add_text(&out, digest);
            at = 0;
        }
        if (got <= 0) break;
    }
    int status = got < 0 ? iw_fail_errno(err, IW_E_IO, "can't read %s", path) : 0;
    iw_hash_free(hash);
    *digests = out.data ? iw_buffer_take(&out) : iw_strdup("");
    return status;
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
