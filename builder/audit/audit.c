#include "audit/audit.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "audit/pool.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"

#define AR_MAGIC "!<arch>\n"
#define THIN_MAGIC "!<thin>\n"
#define MAX_ENTRY ((uint64_t)8 << 30)
#define MAX_TOTAL ((uint64_t)64 << 30)
#define RATIO_FROM ((uint64_t)64 << 20)
enum {
    MAGIC_LENGTH = 8,
    MAX_ENTRIES = 4000000,
    MAX_RATIO = 1000,
    MAX_DEPTH = 2,
    READ_BLOCK = 1 << 18
};

/* --- static archives: ar(5), with GNU's and BSD's long names -------------- */

typedef struct ar_member {
    char name[17], size[11];
    size_t at, length; /* of its content */
    size_t next;
} ar_member;

static int ar_read(const uint8_t *data, size_t size, size_t at, ar_member *out, const char *file,
                   iw_error *err)
{
    const uint8_t *h = data + at;
    if (size - at < 60 || h[58] != '`' || h[59] != '\n')
        return iw_fail(
            err, IW_E_FORMAT,
            "%s: broken static archive: no member's header at byte %zu; fetch or build it again",
            file, at);
    memcpy(out->name, h, 16);
    memcpy(out->size, h + 48, 10);
    out->name[16] = out->size[10] = 0;
    for (size_t i = 16; i-- > 0 && out->name[i] == ' ';) out->name[i] = 0;
    for (size_t i = 10; i-- > 0 && out->size[i] == ' ';) out->size[i] = 0;
    uint64_t length;
    if (!iw_parse_unsigned(out->size, UINT64_MAX / 2, &length) || length > size - at - 60)
        return iw_fail(
            err, IW_E_FORMAT,
            "%s: broken static archive: the member at byte %zu is cut off; fetch or build it again",
            file, at);
    out->at = at + 60;
    out->length = length;
    out->next = out->at + length + (length & 1);
    return 0;
}

/* The member's name for people; its content moves on where the name stands before it (BSD). Caller
 * frees. */
static char *ar_name(const uint8_t *data, ar_member *m, const char *longs, size_t longs_length)
{
    uint64_t number;
    if (m->name[0] == '/' && m->name[1] && iw_parse_unsigned(m->name + 1, longs_length, &number) &&
        number < longs_length) {
        size_t length = 0;
        while (number + length < longs_length && longs[number + length] != '\n' &&
               longs[number + length] != '/')
            length++;
        return iw_strndup(longs + number, length);
    }
    if (iw_starts_with(m->name, "#1/") && iw_parse_unsigned(m->name + 3, m->length, &number)) {
        const char *text = (const char *)data + m->at;
        m->at += number;
        m->length -= number;
        return iw_strndup(text, strnlen(text, number));
    }
    char *name = iw_strdup(m->name), *slash = strrchr(name, '/');
    if (slash && slash[1] == 0) *slash = 0;
    return name;
}

static int add_static(iw_pool *pool, iw_bytes *bytes, size_t offset, size_t size, const char *file,
                      iw_error *err)
{
    const uint8_t *data = (const uint8_t *)bytes->data + offset;
    const char *longs = NULL;
    size_t longs_length = 0;
    ar_member m;
    for (size_t at = MAGIC_LENGTH; at < size; at = m.next) {
        if (ar_read(data, size, at, &m, file, err)) return -1;
        if (strcmp(m.name, "//") == 0) {
            longs = (const char *)data + m.at;
            longs_length = m.length;
            continue;
        }
        iw_cleanup_free char *member = ar_name(data, &m, longs, longs_length);
        iw_cleanup_free char *name = iw_format("%s(%s)", file, member);
        if (iw_image_is_elf(data + m.at, m.length))
            iw_pool_add(pool, bytes, offset + m.at, m.length, name);
    }
    return 0;
}

/* --- what a file is ------------------------------------------------------- */

typedef enum kind { KIND_OTHER, KIND_ELF, KIND_STATIC, KIND_THIN } kind;

static kind kind_of(const void *data, size_t size)
{
    if (iw_image_is_elf(data, size)) return KIND_ELF;
    if (size >= MAGIC_LENGTH && memcmp(data, AR_MAGIC, MAGIC_LENGTH) == 0) return KIND_STATIC;
    if (size >= MAGIC_LENGTH && memcmp(data, THIN_MAGIC, MAGIC_LENGTH) == 0) return KIND_THIN;
    return KIND_OTHER;
}

/* 1: handed over; 0: neither ELF nor static archive. */
static int add_bytes(iw_pool *pool, iw_bytes *bytes, const char *name, iw_error *err)
{
    switch (kind_of(bytes->data, bytes->size)) {
    case KIND_ELF: iw_pool_add(pool, bytes, 0, bytes->size, name); return 1;
    case KIND_STATIC: return add_static(pool, bytes, 0, bytes->size, name, err) ? -1 : 1;
    case KIND_THIN:
        return iw_fail(err, IW_E_FORMAT,
                       "%s: a thin archive holds only names; audit the object files themselves",
                       name);
    default: return 0;
    }
}

/* --- wheels, zip and tar files -------------------------------------------- */

static bool named_archive(const char *name)
{
    return iw_ends_with(name, ".whl") || iw_ends_with(name, ".tar.zst");
}

/* An unnamed file that is gone when it is closed. */
static int spool_open(iw_error *err)
{
    const char *folder = getenv("TMPDIR");
    int fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) fd = memfd_create("ironwheel-audit", MFD_CLOEXEC);
    return fd < 0 ? iw_fail_errno(err, IW_E_IO,
                                  "can't make a temporary file; set TMPDIR to a folder with room")
                  : fd;
}

typedef struct reading {
    struct archive *archive;
    const char *file;
    char *block;
    uint64_t packed, total, entries;
} reading;

static int read_failed(const reading *r, const char *member, iw_error *err)
{
    const char *text = archive_error_string(r->archive);
    return iw_fail(err, IW_E_FORMAT, "%s: %s%s%s; fetch or pack it again", r->file,
                   member ? member : "", member ? ": " : "", text ? text : "broken archive");
}

/* Bytes that came out so far stay within reason of those that went in. */
static int check_total(const reading *r, const char *member, iw_error *err)
{
    if (r->total > MAX_TOTAL || (r->total > RATIO_FROM && r->total / MAX_RATIO > r->packed))
        return iw_fail(err, IW_E_FORMAT,
                       "%s: %s: it unpacks to far more than it is; it looks made to fill the disk",
                       r->file, member);
    return 0;
}

/* Copies what is left of the entry, after the `have` bytes in the block. */
static int spool(reading *r, const char *member, size_t have, int fd, iw_error *err)
{
    uint64_t length = 0;
    for (la_ssize_t got = (la_ssize_t)have; got > 0;
         got = archive_read_data(r->archive, r->block, READ_BLOCK)) {
        length += (uint64_t)got;
        r->total += (uint64_t)got;
        if (length > MAX_ENTRY)
            return iw_fail(err, IW_E_FORMAT, "%s: %s: larger than 8 GiB", r->file, member);
        if (check_total(r, member, err) ||
            iw_write_all(fd, r->block, (size_t)got, "a temporary file", err))
            return -1;
    }
    return archive_errno(r->archive) && archive_error_string(r->archive)
               ? read_failed(r, member, err)
               : 0;
}

static int add_archive(iw_pool *pool, int fd, uint64_t packed, const char *file, unsigned depth,
                       bool *known, iw_error *err);

static int add_member(iw_pool *pool, reading *r, const char *member, size_t have, unsigned depth,
                      iw_error *err)
{
    iw_cleanup_free char *name = iw_format("%s!%s", r->file, member);
    iw_cleanup_fd int fd = spool_open(err);
    if (fd < 0 || spool(r, member, have, fd, err)) return -1;
    char magic[MAGIC_LENGTH];
    ssize_t got = pread(fd, magic, sizeof magic, 0);
    if (kind_of(magic, got > 0 ? (size_t)got : 0) == KIND_OTHER) { /* a wheel in an archive */
        bool known = false;
        off_t size = lseek(fd, 0, SEEK_CUR);
        if (depth >= MAX_DEPTH || size < 0 || lseek(fd, 0, SEEK_SET) != 0) return 0;
        return add_archive(pool, fd, (uint64_t)size, name, depth + 1, &known, err);
    }
    iw_bytes *bytes;
    if (iw_bytes_map(fd, name, &bytes, err)) return -1;
    int status = add_bytes(pool, bytes, name, err);
    iw_bytes_drop(pool, bytes);
    return status < 0 ? -1 : 0;
}

/* The first bytes tell whether the entry is wanted. */
static int read_entry(iw_pool *pool, reading *r, struct archive_entry *entry, unsigned depth,
                      iw_error *err)
{
    const char *member = archive_entry_pathname_utf8(entry);
    if (!member) member = archive_entry_pathname(entry);
    iw_cleanup_free char *numbered =
        member ? NULL : iw_format("entry %llu", (unsigned long long)r->entries);
    if (!member) member = numbered;
    if (++r->entries > MAX_ENTRIES)
        return iw_fail(err, IW_E_FORMAT, "%s: more than %d entries", r->file, MAX_ENTRIES);
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) return 0;
    if (archive_entry_size_is_set(entry)) {
        int64_t size = archive_entry_size(entry);
        if (size < 0 || (uint64_t)size > MAX_ENTRY)
            return iw_fail(err, IW_E_FORMAT, "%s: %s: larger than 8 GiB", r->file, member);
    }
    iw_cleanup_free char *copy = iw_strdup(member);
    size_t have = 0;
    while (have < MAGIC_LENGTH) {
        la_ssize_t got = archive_read_data(r->archive, r->block + have, MAGIC_LENGTH - have);
        if (got < 0) return read_failed(r, copy, err);
        if (got == 0) break;
        have += (size_t)got;
    }
    if (kind_of(r->block, have) == KIND_OTHER && !named_archive(copy)) {
        r->total += archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0;
        return check_total(r, copy, err);
    }
    return add_member(pool, r, copy, have, depth, err);
}

static int read_entries(iw_pool *pool, reading *r, unsigned depth, bool *known, iw_error *err)
{
    for (;;) {
        struct archive_entry *entry;
        int status = archive_read_next_header(r->archive, &entry);
        if (status == ARCHIVE_EOF) return 0;
        if (status < ARCHIVE_WARN) return *known ? read_failed(r, NULL, err) : 0;
        *known = true;
        if (read_entry(pool, r, entry, depth, err)) return -1;
    }
}

/* *known stays false where libarchive finds no format in it. */
static int add_archive(iw_pool *pool, int fd, uint64_t packed, const char *file, unsigned depth,
                       bool *known, iw_error *err)
{
    reading r = {.archive = archive_read_new(),
                 .file = file,
                 .block = iw_alloc(READ_BLOCK),
                 .packed = packed + 1};
    if (!r.archive) abort();
    archive_read_support_format_zip(r.archive);
    archive_read_support_format_tar(r.archive);
    archive_read_support_format_cpio(r.archive);
    archive_read_support_filter_all(r.archive);
    int status = archive_read_open_fd(r.archive, fd, READ_BLOCK) == ARCHIVE_OK
                     ? read_entries(pool, &r, depth, known, err)
                     : 0;
    archive_read_free(r.archive);
    free(r.block);
    return status;
}

/* --- paths ---------------------------------------------------------------- */

static int add_file(iw_pool *pool, const char *path, bool named, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    iw_bytes *bytes;
    if (fd < 0)
        return iw_fail_errno(err, errno == ENOENT ? IW_E_NOT_FOUND : IW_E_IO, "can't open %s",
                             path);
    if (!named) { /* most files of a tree are neither: two reads tell */
        char magic[MAGIC_LENGTH];
        ssize_t got = pread(fd, magic, sizeof magic, 0);
        if (kind_of(magic, got > 0 ? (size_t)got : 0) == KIND_OTHER && !named_archive(path))
            return 0;
    }
    if (iw_bytes_map(fd, path, &bytes, err)) return -1;
    uint64_t size = bytes->size;
    int status = add_bytes(pool, bytes, path, err);
    iw_bytes_drop(pool, bytes);
    if (status) return status < 0 ? -1 : 0;
    bool known = false;
    if (size > 0 && add_archive(pool, fd, size, path, 0, &known, err)) return -1;
    if (known || !named) return 0;
    return iw_fail(err, IW_E_FORMAT,
                   "%s: neither an ELF file nor an archive of a kind known here; name a library, "
                   "program, wheel, bundle or folder",
                   path);
}

typedef struct walk {
    iw_pool *pool;
    const char *root;
} walk;

static int visit(void *context, const char *relative, const char *full, const struct stat *status,
                 iw_error *err)
{
    const walk *w = context;
    iw_error trouble = IW_ERROR_INIT;
    (void)relative, (void)err;
    if (S_ISREG(status->st_mode) && add_file(w->pool, full, false, &trouble))
        iw_pool_fail(w->pool, &trouble);
    return 0;
}

static int add_path(iw_pool *pool, const char *path, iw_error *err)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return iw_fail_errno(err, errno == ENOENT ? IW_E_NOT_FOUND : IW_E_IO, "can't audit %s",
                             path);
    if (!S_ISDIR(status.st_mode)) return add_file(pool, path, true, err);
    walk w = {pool, path};
    return iw_walk(path, visit, &w, err);
}

int iw_audit_paths(const char *const *paths, size_t count, const iw_audit_options *options,
                   iw_audit_summary *summary, iw_error *err)
{
    double start = iw_now();
    iw_pool *pool =
        iw_pool_open(options, options->threads ? options->threads : iw_core_count(), summary);
    for (size_t i = 0; i < count; i++) {
        iw_error trouble = IW_ERROR_INIT;
        if (add_path(pool, paths[i], &trouble)) iw_pool_fail(pool, &trouble);
    }
    int status = iw_pool_close(pool, err);
    summary->seconds = iw_now() - start;
    return status;
}

int iw_audit_buffer(const void *data, size_t length, const char *name,
                    const iw_audit_options *options, iw_audit_summary *summary, iw_error *err)
{
    double start = iw_now();
    iw_error trouble = IW_ERROR_INIT;
    iw_pool *pool = iw_pool_open(options, 0, summary);
    iw_bytes *bytes = iw_bytes_borrow(data, length);
    int status = add_bytes(pool, bytes, name, &trouble);
    if (status == 0)
        status =
            iw_fail(&trouble, IW_E_FORMAT, "%s: neither an ELF file nor a static archive", name);
    if (status < 0) iw_pool_fail(pool, &trouble);
    iw_bytes_drop(pool, bytes);
    status = iw_pool_close(pool, err);
    summary->seconds = iw_now() - start;
    return status;
}

void iw_audit_summary_clear(iw_audit_summary *summary)
{
    free(summary->counts);
    memset(summary, 0, sizeof *summary);
}

const char *iw_verdict_name(iw_verdict verdict)
{
    static const char *const names[] = {"clean", "guarded", "tried", "broken", "skipped"};
    return names[verdict];
}

const char *iw_finding_standing_name(iw_finding_standing standing)
{
    static const char *const names[] = {"broken", "guarded", "tried", "undecided"};
    return names[standing];
}
