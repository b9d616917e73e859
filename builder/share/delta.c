#include "share/delta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"

#define LEVEL 12
#define WINDOW_LEAST 10
#define WINDOW_MOST 31
#define PIECE ((size_t)1 << 20)

/* A window that covers both: what zstd asks for with --patch-from. */
static int window_of(uint64_t size)
{
    int log = WINDOW_LEAST;
    while (log < WINDOW_MOST && UINT64_C(1) << log < size) log++;
    return log;
}

bool iw_delta_fits(uint64_t old_size, uint64_t new_size)
{
    uint64_t larger = old_size > new_size ? old_size : new_size;
    uint64_t window = UINT64_C(1) << window_of(larger + 1024);
    return larger <= IW_DELTA_LIMIT && (window + old_size) >> 20 < iw_available_memory();
}

/* --- mapping the old file ------------------------------------------------- */

typedef struct mapped {
    void *data;
    size_t size;
} mapped;

static int map(const char *path, mapped *out, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    out->size = (size_t)status.st_size;
    out->data = out->size ? mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    return out->data == MAP_FAILED ? iw_fail_errno(err, IW_E_IO, "can't map %s", path) : 0;
}

static void unmap(mapped *m)
{
    if (m->data && m->data != MAP_FAILED) munmap(m->data, m->size);
}

/* --- reading a zstd stream ------------------------------------------------ */

typedef struct reader {
    ZSTD_DCtx *zstd;
    int in, out; /* out: -1 for none */
    char *input, *output;
    size_t output_size;
    iw_hash *file, *tar;
    uint64_t file_size, tar_size, limit;
    const iw_zstd_watch *watch; /* or NULL */
} reader;

static int take_output(reader *r, const char *data, size_t length, const char *path, iw_error *err)
{
    r->tar_size += length;
    if (r->limit && r->tar_size > r->limit)
        return iw_fail(err, IW_E_FORMAT, "%s unpacks to more than the %llu bytes that were signed",
                       path, (unsigned long long)r->limit);
    iw_hash_add(r->tar, data, length);
    return r->out >= 0 ? iw_write_all(r->out, data, length, "what is unpacked", err) : 0;
}

/* Decodes the input that was read. *left 0: a frame has ended. */
static int decode_some(reader *r, size_t got, size_t *left, const char *path, iw_error *err)
{
    ZSTD_inBuffer in = {r->input, got, 0};
    bool full = false;
    while (in.pos < in.size || full) {
        ZSTD_outBuffer out = {r->output, r->output_size, 0};
        *left = ZSTD_decompressStream(r->zstd, &out, &in);
        if (ZSTD_isError(*left))
            return iw_fail(err, IW_E_FORMAT, "%s is no whole zstd stream: %s", path,
                           ZSTD_getErrorName(*left));
        if (take_output(r, r->output, out.pos, path, err) != 0) return -1;
        full = out.pos == out.size;
    }
    return 0;
}

static int read_stream(reader *r, const char *path, iw_error *err)
{
    size_t left = 1;
    for (;;) {
        ssize_t got = read(r->in, r->input, PIECE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", path);
        if (got == 0) break;
        r->file_size += (uint64_t)got;
        iw_hash_add(r->file, r->input, (size_t)got);
        if (r->watch) r->watch->seen(r->watch->context, r->input, (size_t)got);
        if (decode_some(r, (size_t)got, &left, path, err) != 0) return -1;
    }
    return left == 0 ? 0
                     : iw_fail(err, IW_E_FORMAT, "%s is no whole zstd stream: it ends early", path);
}

static int open_reader(reader *r, const char *path, const mapped *old, iw_error *err)
{
    r->in = open(path, O_RDONLY | O_CLOEXEC);
    if (r->in < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    r->zstd = ZSTD_createDCtx();
    if (!r->zstd) return iw_fail(err, IW_E_MEMORY, "no memory to unpack %s", path);
    int window = old ? window_of((r->limit > old->size ? r->limit : old->size) + 1024) : 27;
    ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, window < 27 ? 27 : window);
    if (old && ZSTD_isError(ZSTD_DCtx_refPrefix(r->zstd, old->data, old->size)))
        return iw_fail(err, IW_E_MEMORY, "no memory to apply %s", path);
    r->input = iw_alloc(PIECE);
    r->output_size = ZSTD_DStreamOutSize();
    r->output = iw_alloc(r->output_size);
    r->file = iw_hash_new();
    r->tar = iw_hash_new();
    return 0;
}

static void close_reader(reader *r)
{
    if (r->in >= 0) close(r->in);
    ZSTD_freeDCtx(r->zstd);
    free(r->input);
    free(r->output);
    iw_hash_free(r->file);
    iw_hash_free(r->tar);
}

static int unpack_with(const char *path, const mapped *old, int out, uint64_t limit,
                       const iw_zstd_watch *watch, iw_unpacked *found, iw_error *err)
{
    reader r = {.in = -1, .out = out, .limit = limit, .watch = watch};
    int status = open_reader(&r, path, old, err);
    if (status == 0) status = read_stream(&r, path, err);
    if (status == 0) {
        iw_hash_finish(r.file, found->file);
        iw_hash_finish(r.tar, found->tar);
        found->file_size = r.file_size;
        found->tar_size = r.tar_size;
    }
    close_reader(&r);
    return status;
}

static int unpack(const char *path, const mapped *old, int out, uint64_t limit, iw_unpacked *found,
                  iw_error *err)
{
    return unpack_with(path, old, out, limit, NULL, found, err);
}

int iw_zstd_measure(const char *path, uint64_t limit, iw_unpacked *out, iw_error *err)
{
    return unpack(path, NULL, -1, limit, out, err);
}

int iw_zstd_measure_with(const char *path, uint64_t limit, const iw_zstd_watch *watch,
                         iw_unpacked *out, iw_error *err)
{
    return unpack_with(path, NULL, -1, limit, watch, out, err);
}

int iw_zstd_unpack(const char *path, const char *to, uint64_t limit, iw_error *err)
{
    iw_unpacked found;
    iw_cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", to);
    return unpack(path, NULL, out, limit, &found, err);
}

int iw_delta_apply(const char *old_tar, const char *delta, const char *to, const char *sha256,
                   uint64_t size, iw_error *err)
{
    mapped old = {0};
    iw_unpacked found = {.tar_size = 0};
    iw_cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", to);
    int status = map(old_tar, &old, err);
    if (status == 0) status = unpack(delta, &old, out, size, &found, err);
    if (status == 0 && (found.tar_size != size || strcmp(found.tar, sha256) != 0))
        status =
            iw_fail(err, IW_E_DIGEST,
                    "the delta gives %llu bytes with SHA-256 %s, but %llu with %s were signed; "
                    "it is not used",
                    (unsigned long long)found.tar_size, found.tar, (unsigned long long)size,
                    sha256);
    unmap(&old);
    if (status != 0) unlink(to);
    return status;
}

/* --- making one ----------------------------------------------------------- */

static int write_delta(ZSTD_CCtx *zstd, const mapped *old, const mapped *new, int out,
                       const char *path, iw_error *err)
{
    int window = window_of((new->size > old->size ? new->size : old->size) + 1024);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, window);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_nbWorkers, 1);
    ZSTD_CCtx_setPledgedSrcSize(zstd, new->size);
    if (ZSTD_isError(ZSTD_CCtx_refPrefix(zstd, old->data, old->size)))
        return iw_fail(err, IW_E_MEMORY, "no memory for the delta %s", path);
    size_t room = ZSTD_CStreamOutSize(), left;
    iw_cleanup_free char *buffer = iw_alloc(room);
    ZSTD_inBuffer in = {new->data, new->size, 0};
    do {
        ZSTD_outBuffer piece = {buffer, room, 0};
        left = ZSTD_compressStream2(zstd, &piece, &in, ZSTD_e_end);
        if (ZSTD_isError(left))
            return iw_fail(err, IW_E_MEMORY, "the delta %s: %s", path, ZSTD_getErrorName(left));
        if (iw_write_all(out, buffer, piece.pos, path, err) != 0) return -1;
    } while (left);
    return 0;
}

int iw_delta_make(const char *old_tar, const char *new_tar, const char *path, iw_error *err)
{
    mapped old = {0}, new = {0};
    iw_cleanup_fd int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    int status = out < 0 ? iw_fail_errno(err, IW_E_IO, "can't write %s", path) : 0;
    if (status == 0 && !zstd) status = iw_fail(err, IW_E_MEMORY, "no memory for a delta");
    if (status == 0) status = map(old_tar, &old, err);
    if (status == 0) status = map(new_tar, &new, err);
    if (status == 0) status = write_delta(zstd, &old, &new, out, path, err);
    ZSTD_freeCCtx(zstd);
    unmap(&old);
    unmap(&new);
    return status;
}
