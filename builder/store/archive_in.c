#include "store/archive_in.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/memory.h"
#include "store/archive_name.h"
#include "store/archive_place.h"
#include "store/archive_ring.h"

#define READ_BLOCK ((size_t)1 << 18)
#define RATIO_FROM ((uint64_t)64 << 20)

/* Where an archive's bytes come from. */
typedef struct input {
    int fd;
    const char *name;
    uint64_t size; /* 0: not a regular file */
    uint64_t done; /* bytes read from `fd` */
    off_t position;
    bool seekable;
    char *buffer;
    int sys;               /* errno of a failed read */
    struct archive *outer; /* data.tar.* inside a Debian package: its ar container */
    iw_ring *ring;         /* or blocks that a thread decompresses */
    bool holding;
} input;

typedef struct unpacker {
    const char *name;
    iw_admission admission; /* with defaults filled in */
    input in;
    struct archive *archive;
    iw_placer *placer;
    bool keep_existing, write_out;
    uint64_t total, entries, reported;
    char *conflict;
} unpacker;

/* --- libarchive's view of the input --------------------------------------- */

static la_ssize_t read_input(struct archive *archive, void *context, const void **data)
{
    input *in = context;
    *data = in->buffer;
    for (;;) {
        ssize_t got = in->seekable ? pread(in->fd, in->buffer, READ_BLOCK, in->position)
                                   : read(in->fd, in->buffer, READ_BLOCK);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            in->sys = errno;
            archive_set_error(archive, errno, "%s", strerror(errno));
            return ARCHIVE_FATAL;
        }
        in->position += got;
        in->done += (uint64_t)got;
        return got;
    }
}

static la_int64_t skip_input(struct archive *archive, void *context, la_int64_t request)
{
    (void)archive;
    input *in = context;
    if (!in->seekable || request <= 0) return 0;
    off_t left = (off_t)in->size > in->position ? (off_t)in->size - in->position : 0;
    off_t skip = request < left ? (off_t)request : left;
    in->position += skip;
    in->done += (uint64_t)skip;
    return skip;
}

static la_int64_t seek_input(struct archive *archive, void *context, la_int64_t offset, int whence)
{
    input *in = context;
    la_int64_t base = whence == SEEK_SET   ? 0
                      : whence == SEEK_CUR ? in->position
                                           : (la_int64_t)in->size,
               to;
    if (__builtin_add_overflow(base, offset, &to) || to < 0 || to > (la_int64_t)in->size) {
        archive_set_error(archive, EINVAL, "it points outside itself");
        return ARCHIVE_FATAL;
    }
    in->position = (off_t)to;
    return to;
}

static la_ssize_t read_outer(struct archive *archive, void *context, const void **data)
{
    input *in = context;
    size_t length = 0;
    la_int64_t offset = 0;
    int status = archive_read_data_block(in->outer, data, &length, &offset);
    if (status == ARCHIVE_EOF) return 0;
    if (status >= ARCHIVE_WARN) return (la_ssize_t)length;
    archive_set_error(archive, archive_errno(in->outer), "%s", archive_error_string(in->outer));
    return ARCHIVE_FATAL;
}

static la_ssize_t read_ring(struct archive *archive, void *context, const void **data)
{
    input *in = context;
    size_t length = 0;
    if (in->holding) iw_ring_give(in->ring, 0);
    *data = iw_ring_take(in->ring, 0, &length);
    in->holding = *data != NULL;
    if (*data) return (la_ssize_t)length;
    if (!iw_ring_aborted(in->ring)) return 0;
    archive_set_error(archive, EIO, "the compressed data is broken");
    return ARCHIVE_FATAL;
}

static void open_input(input *in, int fd, const char *name)
{
    struct stat status;
    *in = (input){.fd = fd, .name = name};
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        in->seekable = true;
        in->size = (uint64_t)status.st_size;
        off_t at = lseek(fd, 0, SEEK_CUR);
        in->position = at > 0 ? at : 0;
    }
    in->buffer = iw_realloc(NULL, READ_BLOCK);
}

static int archive_failure(struct archive *archive, const input *in, iw_error *err)
{
    if (in->sys) {
        errno = in->sys;
        return iw_fail_errno(err, IW_E_IO, "can't read %s", in->name);
    }
    const char *text = archive_error_string(archive);
    return iw_fail(err, IW_E_FORMAT, "%s: not a whole archive: %s", in->name,
                   text ? text : "unknown format");
}

/* Tar, zip and cpio with the compressions that need no outside program. */
static struct archive *new_reader(void)
{
    struct archive *archive = archive_read_new();
    if (!archive) abort();
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_lzma(archive);
    archive_read_support_filter_lzip(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_compress(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_zip(archive);
    archive_read_support_format_cpio(archive);
    return archive;
}

static int open_reader(struct archive *archive, input *in, iw_error *err)
{
    archive_read_set_callback_data(archive, in);
    archive_read_set_read_callback(archive, in->outer  ? read_outer
                                            : in->ring ? read_ring
                                                       : read_input);
    if (in->seekable && !in->outer) {
        archive_read_set_skip_callback(archive, skip_input);
        archive_read_set_seek_callback(archive, seek_input);
    }
    return archive_read_open1(archive) == ARCHIVE_OK ? 0 : archive_failure(archive, in, err);
}

locale_t iw_enter_utf8(locale_t *old)
{
    static const char *const names[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8"};
    locale_t locale = (locale_t)0;
    for (size_t i = 0; i < 3 && !locale; i++)
        locale = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
    if (locale) *old = uselocale(locale);
    return locale;
}

void iw_leave_utf8(locale_t locale, locale_t old)
{
    if (!locale) return;
    uselocale(old);
    freelocale(locale);
}

/* --- admission of entries ------------------------------------------------- */

static int refuse(const unpacker *u, const char *entry, const char *why, iw_error *err)
{
    iw_cleanup_free char *quoted = iw_name_quote(entry);
    return iw_fail(err, IW_E_FORMAT, "%s: refused: entry %s %s", u->name, quoted, why);
}

/* An error of the placer, put after the archive's and the entry's name. */
static int placed(unpacker *u, const char *entry, int status, iw_error *inner, iw_error *err)
{
    if (status == 0) return 0;
    if (!u->conflict && iw_placer_conflict(u->placer)) u->conflict = iw_strdup(entry);
    iw_cleanup_free char *quoted = iw_name_quote(entry);
    iw_fail(err, inner->kind, "%s: %sentry %s %s", u->name,
            inner->kind == IW_E_FORMAT ? "refused: " : "", quoted, iw_error_text(inner));
    if (err) err->sys = inner->sys;
    iw_error_clear(inner);
    return -1;
}

static int check_bounds(unpacker *u, const char *entry, uint64_t size, iw_error *err)
{
    const iw_admission *a = &u->admission;
    if (size > a->max_entry) return refuse(u, entry, "is larger than the bound of one entry", err);
    if (size > a->max_total || u->total > a->max_total - size)
        return refuse(u, entry, "makes the archive larger than the bound of a whole one", err);
    if (u->in.ring || u->total + size <= RATIO_FROM) return 0;
    /* Parts that are read again (zip entries over the same bytes) count once. */
    uint64_t packed = u->in.size && u->in.done > u->in.size ? u->in.size : u->in.done, most;
    if (!__builtin_mul_overflow(packed + 1, (uint64_t)a->max_ratio, &most) &&
        u->total + size > most)
        return refuse(u, entry,
                      "unpacks to far more than an honest archive of this size holds (a bomb)",
                      err);
    return 0;
}

static bool is_skipped(const unpacker *u, const char *path)
{
    for (size_t i = 0; u->admission.skip && i < u->admission.skip->count; i++)
        if (iw_glob_match(u->admission.skip->items[i], path)) return true;
    return false;
}

static void report(unpacker *u)
{
    if (!u->admission.progress || u->in.done == u->reported) return;
    u->reported = u->in.done;
    u->admission.progress(u->admission.context, u->in.done, u->in.size);
}

/* Copies the entry's data into the file that the placer has open. */
static int copy_data(unpacker *u, const char *entry, uint64_t declared, iw_error *err)
{
    const void *data;
    size_t length;
    la_int64_t offset;
    uint64_t end = 0;
    iw_error inner = IW_ERROR_INIT;
    for (;;) {
        int status = archive_read_data_block(u->archive, &data, &length, &offset);
        if (status == ARCHIVE_EOF) break;
        if (status != ARCHIVE_OK) return archive_failure(u->archive, &u->in, err);
        if (offset < 0 || length > UINT64_MAX / 2 - (uint64_t)offset)
            return refuse(u, entry, "has data at an impossible place", err);
        if ((uint64_t)offset + length > end) end = (uint64_t)offset + length;
        if (check_bounds(u, entry, end, err) != 0) return -1;
        if (placed(u, entry, iw_placer_write(u->placer, data, length, (uint64_t)offset, &inner),
                   &inner, err) != 0)
            return -1;
        report(u);
    }
    if (declared > end) end = declared; /* a hole at the end */
    u->total += end;
    return placed(u, entry, iw_placer_end(u->placer, end, &inner), &inner, err);
}

static int take_file(unpacker *u, struct archive_entry *entry, const char *path, bool again,
                     iw_error *err)
{
    iw_error inner = IW_ERROR_INIT;
    mode_t mode = archive_entry_perm(entry);
    if (mode & (S_ISUID | S_ISGID)) return refuse(u, path, "is setuid or setgid", err);
    if (mode & S_ISVTX && !u->admission.root_links)
        return refuse(u, path, "has the sticky bit", err);
    la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
    if (size < 0) return refuse(u, path, "has an impossible size", err);
    if (check_bounds(u, path, (uint64_t)size, err) != 0) return -1;
    if (placed(u, path, iw_placer_begin(u->placer, path, (mode & 0111) != 0, again, &inner), &inner,
               err) != 0)
        return -1;
    return copy_data(u, path, (uint64_t)size, err);
}

static int take_symlink(unpacker *u, struct archive_entry *entry, const char *path, iw_error *err)
{
    iw_error inner = IW_ERROR_INIT;
    const char *target = archive_entry_symlink(entry);
    bool look = false;
    const char *why = target ? iw_name_admit_link(path, target, u->admission.root_links, &look)
                             : "is a link whose target can't be read";
    if (why) return refuse(u, path, why, err);
    return placed(u, path, iw_placer_symlink(u->placer, path, target, look, &inner), &inner, err);
}

static int take_hardlink(unpacker *u, struct archive_entry *entry, const char *path, iw_error *err)
{
    iw_error inner = IW_ERROR_INIT;
    if (u->keep_existing) return refuse(u, path, "is a hard link: an artifact has none", err);
    iw_cleanup_free char *target = NULL;
    const char *why = iw_name_admit(archive_entry_hardlink(entry), u->admission.strip, &target);
    if (why || !target) {
        iw_cleanup_free char *text =
            iw_format("is a hard link whose target %s", why ? why : "is above what is unpacked");
        return refuse(u, path, text, err);
    }
    if (strcmp(path, target) == 0) return 0;
    if (placed(u, path, iw_placer_hardlink(u->placer, path, target, &inner), &inner, err) != 0)
        return -1;
    /* cpio and some tars put the data at the last name. */
    if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) <= 0) return 0;
    return take_file(u, entry, path, true, err);
}

static int take_entry(unpacker *u, struct archive_entry *entry, iw_error *err)
{
    const char *name = archive_entry_pathname(entry);
    if (++u->entries > u->admission.max_entries)
        return refuse(u, name ? name : "?", "is one more than the bound of entries", err);
    if (!name) return refuse(u, "?", "has a name that can't be read", err);
    if (archive_entry_is_encrypted(entry) == 1) return refuse(u, name, "is encrypted", err);
    iw_cleanup_free char *path = NULL;
    const char *why = iw_name_admit(name, u->admission.strip, &path);
    if (why) return refuse(u, name, why, err);
    if (!path || is_skipped(u, path)) return 0;
    if (archive_entry_hardlink(entry)) return take_hardlink(u, entry, path, err);
    iw_error inner = IW_ERROR_INIT;
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG: return take_file(u, entry, path, false, err);
    case AE_IFDIR: return placed(u, path, iw_placer_folder(u->placer, path, &inner), &inner, err);
    case AE_IFLNK: return take_symlink(u, entry, path, err);
    case AE_IFBLK:
    case AE_IFCHR: return refuse(u, path, "is a device", err);
    case AE_IFIFO: return refuse(u, path, "is a fifo", err);
    case AE_IFSOCK: return refuse(u, path, "is a socket", err);
    default: return refuse(u, path, "is of an unknown kind", err);
    }
}

static int take_entries(unpacker *u, iw_error *err)
{
    struct archive_entry *entry;
    int status;
    while ((status = archive_read_next_header(u->archive, &entry)) == ARCHIVE_OK ||
           status == ARCHIVE_WARN) {
        if (take_entry(u, entry, err) != 0) return -1;
        report(u);
    }
    if (status != ARCHIVE_EOF) return archive_failure(u->archive, &u->in, err);
    iw_error inner = IW_ERROR_INIT;
    iw_cleanup_free char *link = NULL;
    status = iw_placer_finish(u->placer, &link, &inner);
    return placed(u, link ? link : ".", status, &inner, err);
}

/* --- unpacking ------------------------------------------------------------ */

static void set_admission(unpacker *u, const iw_admission *admission)
{
    if (admission) u->admission = *admission;
    iw_admission *a = &u->admission;
    if (!a->max_entry) a->max_entry = (uint64_t)8 << 30;
    if (!a->max_total) a->max_total = (uint64_t)64 << 30;
    if (!a->max_entries) a->max_entries = 4000000;
    if (!a->max_ratio) a->max_ratio = 1000;
}

static int open_placer(unpacker *u, const char *folder, iw_error *err)
{
    iw_place_options options = {.root_links = u->admission.root_links,
                                .keep_existing = u->keep_existing,
                                .set_times = u->admission.set_times,
                                .write_out = u->write_out};
    return iw_placer_open(folder, &options, &u->placer, err);
}

int iw_archive_unpack(int fd, const char *name, const char *folder, const iw_admission *admission,
                      iw_error *err)
{
    unpacker u = {.name = name};
    locale_t old = (locale_t)0, utf8 = iw_enter_utf8(&old);
    set_admission(&u, admission);
    open_input(&u.in, fd, name);
    u.archive = new_reader();
    int status = open_placer(&u, folder, err);
    if (status == 0) status = open_reader(u.archive, &u.in, err);
    if (status == 0) status = take_entries(&u, err);
    archive_read_free(u.archive);
    iw_placer_free(u.placer);
    free(u.in.buffer);
    iw_leave_utf8(utf8, old);
    return status;
}

/* Moves the ar container to its member data.tar.*. */
static int find_data(struct archive *outer, const input *in, iw_error *err)
{
    struct archive_entry *entry;
    int status;
    while ((status = archive_read_next_header(outer, &entry)) == ARCHIVE_OK ||
           status == ARCHIVE_WARN) {
        const char *name = archive_entry_pathname(entry);
        if (name && (strncmp(name, "data.tar", 8) == 0) && (name[8] == 0 || name[8] == '.'))
            return 0;
    }
    if (status != ARCHIVE_EOF) return archive_failure(outer, in, err);
    return iw_fail(err, IW_E_FORMAT, "%s: not a Debian package: it has no data.tar", in->name);
}

static int unpack_data(unpacker *u, struct archive *outer, iw_error *err)
{
    input data = {.fd = -1, .name = u->name, .outer = outer};
    u->archive = new_reader();
    int status = open_reader(u->archive, &data, err);
    if (status == 0) status = take_entries(u, err);
    archive_read_free(u->archive);
    return status;
}

int iw_archive_unpack_deb(int fd, const char *name, const char *folder,
                          const iw_admission *admission, iw_error *err)
{
    unpacker u = {.name = name};
    locale_t old = (locale_t)0, utf8 = iw_enter_utf8(&old);
    set_admission(&u, admission);
    u.admission.root_links = true;
    open_input(&u.in, fd, name);
    struct archive *outer = archive_read_new();
    if (!outer) abort();
    archive_read_support_format_ar(outer);
    int status = open_placer(&u, folder, err);
    if (status == 0) status = open_reader(outer, &u.in, err);
    if (status == 0) status = find_data(outer, &u.in, err);
    if (status == 0) status = unpack_data(&u, outer, err);
    archive_read_free(outer);
    iw_placer_free(u.placer);
    free(u.in.buffer);
    iw_leave_utf8(utf8, old);
    return status;
}

/* --- artifacts: three threads, one that reads and decompresses, one that hashes the tar, and this
 * one --- */

typedef struct decoder {
    int fd;
    const iw_archive_source *source; /* or NULL: fd */
    iw_ring *ring;
    char file[IW_SHA256_HEX];
    uint64_t file_size, content_size;
    bool broken; /* not a whole zstd stream */
    int sys;     /* errno of a failed read */
} decoder;

typedef struct hasher {
    iw_ring *ring;
    unsigned reader;
    char content[IW_SHA256_HEX];
} hasher;

/* Decompresses what `in` holds into blocks; false: stop. *part: whether a frame is unfinished. */
static bool decode(decoder *d, ZSTD_DCtx *context, ZSTD_inBuffer *in, ZSTD_outBuffer *out,
                   bool *part)
{
    for (bool more = true; more;) {
        if (!out->dst && !(out->dst = iw_ring_fill(d->ring))) return false;
        out->size = IW_RING_BLOCK;
        size_t status = ZSTD_decompressStream(context, out, in);
        if (ZSTD_isError(status)) {
            d->broken = true;
            return false;
        }
        *part = status != 0;
        more = in->pos < in->size || out->pos == out->size;
        if (out->pos < out->size) continue;
        d->content_size += out->pos;
        iw_ring_push(d->ring, out->pos);
        *out = (ZSTD_outBuffer){0};
    }
    return true;
}

static ssize_t read_packed(const decoder *d, void *buffer, size_t size, off_t at)
{
    return d->source ? d->source->read(d->source->context, buffer, size, (uint64_t)at)
                     : pread(d->fd, buffer, size, at);
}

static void *run_decoder(void *argument)
{
    decoder *d = argument;
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context) abort();
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27);
    iw_cleanup_free char *buffer = iw_realloc(NULL, READ_BLOCK);
    iw_hash *hash = d->source ? NULL : iw_hash_new();
    ZSTD_outBuffer out = {0};
    bool part = false, fine = true;
    ssize_t got;
    off_t position = 0;
    while ((got = read_packed(d, buffer, READ_BLOCK, position)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            d->sys = errno;
            break;
        }
        position += got;
        if (hash) iw_hash_add(hash, buffer, (size_t)got);
        ZSTD_inBuffer in = {buffer, (size_t)got, 0};
        if (fine) fine = decode(d, context, &in, &out, &part);
        if (!fine && (!d->broken || d->source)) break; /* aborted, or no digest to be taken */
    }
    d->file_size = (uint64_t)position;
    if (hash) iw_hash_finish(hash, d->file);
    iw_hash_free(hash);
    ZSTD_freeDCtx(context);
    if (part && fine) d->broken = true;
    if (d->broken || d->sys) {
        iw_ring_abort(d->ring);
    } else {
        if (out.pos) {
            d->content_size += out.pos;
            iw_ring_push(d->ring, out.pos);
        }
        iw_ring_end(d->ring);
    }
    return NULL;
}

static void *run_hasher(void *argument)
{
    hasher *h = argument;
    iw_hash *hash = iw_hash_new();
    const char *block;
    size_t length;
    while ((block = iw_ring_take(h->ring, h->reader, &length))) {
        iw_hash_add(hash, block, length);
        iw_ring_give(h->ring, h->reader);
    }
    iw_hash_finish(hash, h->content);
    iw_hash_free(hash);
    return NULL;
}

/* Takes what is left of the stream after the end of the tar, so that it is hashed whole. */
static void drain(input *in)
{
    size_t length;
    if (in->holding) iw_ring_give(in->ring, 0);
    in->holding = false;
    while (iw_ring_take(in->ring, 0, &length)) iw_ring_give(in->ring, 0);
}

static int check_digests(const decoder *d, const hasher *h, const char *name,
                         const iw_packed *expected, iw_error *err)
{
    if (d->sys) {
        errno = d->sys;
        return iw_fail_errno(err, IW_E_IO, "can't read %s", name);
    }
    if (!d->source && strcmp(d->file, expected->file) != 0)
        return iw_fail(err, IW_E_DIGEST,
                       "%s is damaged: its SHA-256 is %s, but it was stored as %s", name, d->file,
                       expected->file);
    if (d->broken) return iw_fail(err, IW_E_DIGEST, "%s is no whole zstd stream", name);
    if (strcmp(h->content, expected->content) != 0)
        return iw_fail(err, IW_E_DIGEST, "%s: its content has SHA-256 %s, but it was stored as %s",
                       name, h->content, expected->content);
    return 0;
}

static int lay_entries(unpacker *u, const char *folder, iw_error *err)
{
    if (open_placer(u, folder, err) != 0) return -1;
    u->archive = archive_read_new();
    if (!u->archive) abort();
    archive_read_support_format_tar(u->archive);
    int status = open_reader(u->archive, &u->in, err);
    if (status == 0) status = take_entries(u, err);
    archive_read_free(u->archive);
    return status;
}

static int lay(decoder d, const char *name, const char *folder, const iw_strings *skip,
               const iw_packed *expected, char **conflict, iw_error *err)
{
    if (conflict) *conflict = NULL;
    iw_ring *ring = iw_ring_new(2);
    unpacker u = {.name = name,
                  .keep_existing = true,
                  .write_out = d.source,
                  .in = {.fd = -1, .name = name, .ring = ring}};
    iw_admission admission = {.set_times = true, .skip = skip};
    d.ring = ring;
    hasher h = {.ring = ring, .reader = 1};
    pthread_t threads[2];
    locale_t old = (locale_t)0, utf8 = iw_enter_utf8(&old);
    set_admission(&u, &admission);
    iw_error laid = IW_ERROR_INIT;
    int status = 0;
    if (pthread_create(&threads[0], NULL, run_decoder, &d) != 0 ||
        pthread_create(&threads[1], NULL, run_hasher, &h) != 0)
        abort();
    if (folder) status = lay_entries(&u, folder, &laid);
    bool io = status != 0 && laid.kind == IW_E_IO; /* a full disk: no use in reading on */
    bool stop = io || (status != 0 && d.source);   /* as where the bytes are known to be right */
    bool upstream = iw_ring_aborted(ring);         /* then it is the decoder that knows why */
    if (stop) iw_ring_abort(ring);
    if (stop && d.source) d.source->stop(d.source->context);
    drain(&u.in);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    bool judge = !stop || (!io && upstream);
    if (judge && check_digests(&d, &h, name, expected, err) != 0) {
        status = -1;
    } else if (status != 0) {
        iw_error_move(err, &laid);
    }
    if (status != 0 && u.placer) iw_placer_undo(u.placer);
    if (conflict && !io) *conflict = iw_steal(&u.conflict);
    free(u.conflict);
    iw_error_clear(&laid);
    iw_placer_free(u.placer);
    iw_ring_free(ring);
    iw_leave_utf8(utf8, old);
    return status;
}

int iw_archive_lay(int fd, const char *name, const char *folder, const iw_strings *skip,
                   const iw_packed *expected, char **conflict, iw_error *err)
{
    return lay((decoder){.fd = fd}, name, folder, skip, expected, conflict, err);
}

int iw_archive_lay_from(const iw_archive_source *source, const char *name, const char *folder,
                        const iw_packed *expected, iw_error *err)
{
    return lay((decoder){.fd = -1, .source = source}, name, folder, NULL, expected, NULL, err);
}

typedef int (*on_member)(void *context, struct archive *archive, struct archive_entry *entry,
                         const char *path);

/* What `each` says of every file's and link's admitted path, until it isn't 0. */
static int each_member(struct archive *archive, input *in, on_member each, void *context,
                       iw_error *err)
{
    struct archive_entry *entry;
    int status = open_reader(archive, in, err), read = ARCHIVE_EOF;
    while (status == 0 && ((read = archive_read_next_header(archive, &entry)) == ARCHIVE_OK ||
                           read == ARCHIVE_WARN)) {
        iw_cleanup_free char *path = NULL;
        const char *raw = archive_entry_pathname(entry);
        if (!raw || archive_entry_filetype(entry) == AE_IFDIR || iw_name_admit(raw, 0, &path) ||
            !path)
            continue;
        status = each(context, archive, entry, path);
    }
    return status == 0 && read != ARCHIVE_EOF ? archive_failure(archive, in, err) : status;
}

static int read_members(int fd, const char *name, on_member each, void *context, iw_error *err)
{
    input in;
    locale_t old = (locale_t)0, utf8 = iw_enter_utf8(&old);
    open_input(&in, fd, name);
    struct archive *archive = new_reader();
    int status = each_member(archive, &in, each, context, err);
    archive_read_free(archive);
    free(in.buffer);
    iw_leave_utf8(utf8, old);
    return status;
}

struct listing {
    int (*each)(void *context, const char *path);
    void *context;
};

static int list_member(void *context, struct archive *archive, struct archive_entry *entry,
                       const char *path)
{
    const struct listing *listing = context;
    (void)archive, (void)entry;
    return listing->each(listing->context, path);
}

int iw_archive_members(int fd, const char *name, int (*each)(void *context, const char *path),
                       void *context, iw_error *err)
{
    struct listing listing = {each, context};
    return read_members(fd, name, list_member, &listing, err);
}

struct wanted_text {
    const char *glob;
    size_t limit;
    char *text;
};

static int read_member(void *context, struct archive *archive, struct archive_entry *entry,
                       const char *path)
{
    struct wanted_text *wanted = context;
    la_int64_t size = archive_entry_size(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || size < 0 || (uint64_t)size > wanted->limit ||
        !iw_glob_match(wanted->glob, path))
        return 0;
    wanted->text = iw_realloc(NULL, (size_t)size + 1);
    if (archive_read_data(archive, wanted->text, (size_t)size) != size)
        free(iw_steal(&wanted->text));
    else wanted->text[size] = '\0';
    return 1;
}

int iw_archive_text(int fd, const char *name, const char *glob, size_t limit, char **text,
                    iw_error *err)
{
    struct wanted_text wanted = {.glob = glob, .limit = limit};
    int status = read_members(fd, name, read_member, &wanted, err);
    *text = wanted.text;
    return status < 0 ? -1 : 0;
}

/* --- the content digest alone --------------------------------------------- */

static int hash_content(int fd, const char *name, ZSTD_DCtx *context, iw_hash *hash, iw_error *err)
{
    iw_cleanup_free char *buffer = iw_realloc(NULL, READ_BLOCK),
                         *plain = iw_realloc(NULL, READ_BLOCK);
    size_t left = 1;
    ssize_t got;
    for (off_t position = 0; (got = pread(fd, buffer, READ_BLOCK, position)) > 0; position += got) {
        ZSTD_inBuffer in = {buffer, (size_t)got, 0};
        for (bool more = true; more;) {
            ZSTD_outBuffer out = {plain, READ_BLOCK, 0};
            left = ZSTD_decompressStream(context, &out, &in);
            if (ZSTD_isError(left))
                return iw_fail(err, IW_E_FORMAT, "%s is no whole zstd stream: %s", name,
                               ZSTD_getErrorName(left));
            iw_hash_add(hash, plain, out.pos);
            more = in.pos < in.size || out.pos == out.size;
        }
    }
    if (got < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", name);
    return left == 0 ? 0 : iw_fail(err, IW_E_FORMAT, "%s is no whole zstd stream", name);
}

int iw_archive_content(int fd, const char *name, char content[IW_SHA256_HEX], iw_error *err)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context) return iw_fail(err, IW_E_MEMORY, "no memory to decompress %s", name);
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27);
    iw_hash *hash = iw_hash_new();
    int status = hash_content(fd, name, context, hash, err);
    iw_hash_finish(hash, content);
    iw_hash_free(hash);
    ZSTD_freeDCtx(context);
    return status;
}
