/* Packing: one thread walks and reads, one hashes the tar, one compresses (zstd starts its own) and
 * writes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"
#include "store/archive_name.h"
#include "store/archive_ring.h"
#include "store/archive_tar.h"

#define WORKERS_LIMIT 16
#define LONG_WORKERS_LIMIT 4 /* each holds some hundred MB */

typedef struct packer {
    const char *tree;
    const iw_packing *packing;
    iw_ring *ring;
    char *block; /* being filled, `used` bytes of it */
    size_t used;
    uint64_t size, total, reported;
    iw_buffer header;
    const iw_strings *first;
} packer;

/* --- into the ring -------------------------------------------------------- */

/* Room for at least one byte; *length: how many. NULL: a reader of the ring has failed, and tells
 * why itself. */
static char *room(packer *p, size_t *length)
{
    if (p->block && p->used == IW_RING_BLOCK) {
        iw_ring_push(p->ring, p->used);
        p->block = NULL;
    }
    if (!p->block) {
        p->block = iw_ring_fill(p->ring);
        p->used = 0;
    }
    *length = IW_RING_BLOCK - p->used;
    return p->block ? p->block + p->used : NULL;
}

static void used(packer *p, size_t length)
{
    p->used += length;
    p->size += length;
}

static int stopped(iw_error *err)
{
    return iw_fail(err, IW_E_CANCELLED, "packing stopped");
}

static int add_bytes(packer *p, const char *data, size_t length, iw_error *err)
{
    while (length) {
        size_t most;
        char *to = room(p, &most);
        if (!to) return stopped(err);
        if (most > length) most = length;
        if (data) {
            memcpy(to, data, most);
            data += most;
        } else {
            memset(to, 0, most);
        }
        used(p, most);
        length -= most;
    }
    return 0;
}

static int add_header(packer *p, iw_tar_kind kind, const char *path, const char *target,
                      unsigned mode, uint64_t size, iw_error *err)
{
    iw_buffer_clear(&p->header);
    iw_cleanup_free char *whole = NULL;
    if (p->packing->prefix)
        whole = *path ? iw_path_join(p->packing->prefix, path) : iw_strdup(p->packing->prefix);
    iw_tar_header(&p->header, kind, whole ? whole : path, target, mode, size);
    return add_bytes(p, p->header.data, p->header.length, err);
}

static int add_file(packer *p, const char *path, const char *full, iw_error *err)
{
    struct stat status;
    iw_cleanup_fd int fd = open(full, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't open %s", full);
    if (!S_ISREG(status.st_mode) || status.st_size < 0)
        return iw_fail(err, IW_E_IO, "%s changed while it was packed", full);
    uint64_t left = (uint64_t)status.st_size;
    if (add_header(p, IW_TAR_FILE, path, NULL, status.st_mode & 0111 ? 0755 : 0644, left, err) != 0)
        return -1;
    while (left) {
        size_t most;
        char *to = room(p, &most);
        if (!to) return stopped(err);
        ssize_t got = read(fd, to, most < left ? most : (size_t)left);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", full);
        if (got == 0) return iw_fail(err, IW_E_IO, "%s became shorter while it was packed", full);
        used(p, (size_t)got);
        left -= (uint64_t)got;
    }
    return add_bytes(p, NULL,
                     (IW_TAR_BLOCK - (uint64_t)status.st_size % IW_TAR_BLOCK) % IW_TAR_BLOCK, err);
}

static int add_link(packer *p, const char *path, const char *full, iw_error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlink(full, target, sizeof target);
    if (length < 0) return iw_fail_errno(err, IW_E_IO, "can't read the link %s", full);
    if ((size_t)length >= sizeof target)
        return iw_fail(err, IW_E_IO, "the link %s is too long", full);
    target[length] = 0;
    return add_header(p, IW_TAR_SYMLINK, path, target, 0777, 0, err);
}

static int add_entry(packer *p, const char *path, const char *full, const struct stat *status,
                     iw_error *err)
{
    if (p->packing->progress && p->size - p->reported >= IW_RING_BLOCK) {
        p->reported = p->size;
        p->packing->progress(p->packing->context, p->size, p->total);
    }
    if (S_ISDIR(status->st_mode)) return add_header(p, IW_TAR_FOLDER, path, NULL, 0755, 0, err);
    if (S_ISREG(status->st_mode)) return add_file(p, path, full, err);
    if (S_ISLNK(status->st_mode)) return add_link(p, path, full, err);
    iw_cleanup_free char *quoted = iw_name_quote(path);
    return iw_fail(err, IW_E_FORMAT, "can't pack %s: it is a device, a fifo or a socket", quoted);
}

/* --- the walk ------------------------------------------------------------- */

static int visit(void *context, const char *relative, const char *full, const struct stat *status,
                 iw_error *err)
{
    packer *p = context;
    if (p->first && iw_strings_has(p->first, relative)) return 0;
    if (p->packing->keep && !p->packing->keep(p->packing->context, relative, status))
        return S_ISDIR(status->st_mode);
    return add_entry(p, relative, full, status, err);
}

static int measure(void *context, const char *relative, const char *full, const struct stat *status,
                   iw_error *err)
{
    (void)relative, (void)full, (void)err;
    uint64_t *total = context;
    if (S_ISREG(status->st_mode)) *total += (uint64_t)status->st_size;
    *total += IW_TAR_BLOCK;
    return 0;
}

static int add_tree(packer *p, iw_error *err)
{
    if (p->packing->progress && iw_walk(p->tree, measure, &p->total, err) != 0) return -1;
    if (p->packing->prefix && add_header(p, IW_TAR_FOLDER, "", NULL, 0755, 0, err) != 0) return -1;
    for (size_t i = 0; p->first && i < p->first->count; i++) {
        iw_cleanup_free char *full = iw_path_join(p->tree, p->first->items[i]);
        struct stat status;
        if (lstat(full, &status) != 0) return iw_fail_errno(err, IW_E_IO, "can't look at %s", full);
        if (add_entry(p, p->first->items[i], full, &status, err) != 0) return -1;
    }
    if (iw_walk(p->tree, visit, p, err) != 0) return -1;
    iw_buffer_clear(&p->header);
    iw_tar_end(&p->header);
    if (add_bytes(p, p->header.data, p->header.length, err) != 0) return -1;
    if (p->packing->progress) p->packing->progress(p->packing->context, p->size, p->size);
    return 0;
}

/* --- the other threads ---------------------------------------------------- */

typedef struct hasher {
    iw_ring *ring;
    char content[IW_SHA256_HEX];
} hasher;

static void *run_hasher(void *argument)
{
    hasher *h = argument;
    iw_hash *hash = iw_hash_new();
    const char *block;
    size_t length;
    while ((block = iw_ring_take(h->ring, 0, &length))) {
        iw_hash_add(hash, block, length);
        iw_ring_give(h->ring, 0);
    }
    iw_hash_finish(hash, h->content);
    iw_hash_free(hash);
    return NULL;
}

typedef struct compressor {
    iw_ring *ring;
    int fd;
    const iw_packing *packing;
    ZSTD_CCtx *zstd;
    iw_hash *hash;
    char *buffer;
    size_t capacity;
    uint64_t size;
    char file[IW_SHA256_HEX];
    int status;
    iw_error error;
} compressor;

static int put(compressor *c, const char *data, size_t length)
{
    iw_hash_add(c->hash, data, length);
    c->size += length;
    return length ? iw_write_all(c->fd, data, length, "the packed file", &c->error) : 0;
}

static int compress_some(compressor *c, const char *data, size_t length, ZSTD_EndDirective end)
{
    if (c->packing->plain) return put(c, data, length);
    ZSTD_inBuffer in = {data, length, 0};
    for (;;) {
        ZSTD_outBuffer out = {c->buffer, c->capacity, 0};
        size_t left = ZSTD_compressStream2(c->zstd, &out, &in, end);
        if (ZSTD_isError(left))
            return iw_fail(&c->error, IW_E_MEMORY, "zstd: %s", ZSTD_getErrorName(left));
        if (put(c, c->buffer, out.pos) != 0) return -1;
        if (end == ZSTD_e_end ? left == 0 : in.pos == in.size) return 0;
    }
}

static void *run_compressor(void *argument)
{
    compressor *c = argument;
    const char *block;
    size_t length;
    while (c->status == 0 && (block = iw_ring_take(c->ring, 1, &length))) {
        c->status = compress_some(c, block, length, ZSTD_e_continue);
        iw_ring_give(c->ring, 1);
    }
    if (c->status == 0 && !iw_ring_aborted(c->ring))
        c->status = compress_some(c, "", 0, ZSTD_e_end);
    if (c->status != 0) iw_ring_abort(c->ring);
    return NULL;
}

/* Always with worker threads: without them zstd cuts its input at other places, and gives other
 * bytes. */
static int set_up(compressor *c, iw_error *err)
{
    unsigned cores = iw_core_count(),
             most = c->packing->long_window ? LONG_WORKERS_LIMIT : WORKERS_LIMIT;
    int workers = (int)(cores > most ? most : cores);
    c->zstd = ZSTD_createCCtx();
    if (!c->zstd) return iw_fail(err, IW_E_MEMORY, "zstd: out of memory");
    if (ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_nbWorkers, workers)))
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "this libzstd was built without threads: its output would differ; install "
                       "the distribution's libzstd");
    int level = c->packing->level ? c->packing->level : 3;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level)))
        return iw_fail(err, IW_E_USAGE, "zstd has no level %d", level);
    ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1);
    if (c->packing->long_window) {
        ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_enableLongDistanceMatching, 1);
        ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_windowLog, 27);
    }
    c->hash = iw_hash_new();
    c->capacity = ZSTD_CStreamOutSize();
    c->buffer = iw_alloc(c->capacity);
    return 0;
}

static void tear_down(compressor *c)
{
    ZSTD_freeCCtx(c->zstd);
    iw_hash_free(c->hash);
    free(c->buffer);
    iw_error_clear(&c->error);
}

/* --- all together --------------------------------------------------------- */

/* `c` NULL: only the content digest. */
static int run_packer(packer *p, compressor *c, char content[IW_SHA256_HEX], iw_error *err)
{
    hasher h = {.ring = p->ring};
    pthread_t hashing, compressing;
    errno = pthread_create(&hashing, NULL, run_hasher, &h);
    if (errno) return iw_fail_errno(err, IW_E_IO, "can't start a thread");
    int failed = c ? pthread_create(&compressing, NULL, run_compressor, c) : 0, status;
    errno = failed;
    status = failed ? iw_fail_errno(err, IW_E_IO, "can't start a thread") : add_tree(p, err);
    if (status == 0) {
        iw_ring_push(p->ring, p->used);
        iw_ring_end(p->ring);
    } else {
        iw_ring_abort(p->ring);
    }
    pthread_join(hashing, NULL);
    if (c && !failed) pthread_join(compressing, NULL);
    if (c && !failed && c->status != 0) {
        iw_error_move(err, &c->error);
        status = -1;
    }
    memcpy(content, h.content, IW_SHA256_HEX);
    return status;
}

int iw_archive_pack(const char *tree, int fd, const iw_packing *packing, iw_packed *out,
                    iw_error *err)
{
    static const iw_packing plain = {0};
    packer p = {.tree = tree, .packing = packing ? packing : &plain, .ring = iw_ring_new(2)};
    compressor c = {.ring = p.ring, .fd = fd, .packing = p.packing};
    p.first = p.packing->first;
    int status = set_up(&c, err);
    if (status == 0) status = run_packer(&p, &c, out->content, err);
    if (status == 0) {
        iw_hash_finish(c.hash, out->file);
        out->file_size = c.size;
        out->content_size = p.size;
    } else {
        iw_wrap(err, "packing %s", tree);
    }
    tear_down(&c);
    iw_ring_free(p.ring);
    iw_buffer_free(&p.header);
    return status;
}

int iw_archive_digest(const char *tree, char content[IW_SHA256_HEX], iw_error *err)
{
    static const iw_packing plain = {0};
    packer p = {.tree = tree, .packing = &plain, .ring = iw_ring_new(1)};
    int status = run_packer(&p, NULL, content, err);
    iw_ring_free(p.ring);
    iw_buffer_free(&p.header);
    return status == 0 ? 0 : iw_wrap(err, "hashing %s", tree);
}
