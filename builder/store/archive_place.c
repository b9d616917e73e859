#include "store/archive_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"
#include "store/archive_name.h"

#define LINKS_LIMIT 40       /* as the kernel's */
#define WRITE_OUT_FROM 65536 /* bytes: a small file costs more than it saves */

struct iw_placer {
    iw_place_options options;
    int root;
    char *parent, *parent_real; /* the folder last used: as asked for, and without links */
    int parent_fd;
    iw_strings touched; /* folders that something was made in or that were made: their times are set
                           at the end */
    iw_strings made;    /* in order, each after a 'f' or 'd' */
    iw_strings look;    /* links to follow at the end */
    /* the file being written */
    int fd;
    bool compare, conflict;
    uint64_t position;
    char *base;
};

int iw_placer_open(const char *folder, const iw_place_options *options, iw_placer **out,
                   iw_error *err)
{
    *out = NULL;
    iw_cleanup_fd int root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return iw_fail_errno(err, IW_E_IO, "can't open folder %s", folder);
    iw_placer *placer = iw_alloc(sizeof *placer);
    placer->options = *options;
    placer->root = iw_steal_fd(&root);
    placer->parent_fd = placer->fd = -1;
    *out = placer;
    return 0;
}

void iw_placer_free(iw_placer *placer)
{
    if (!placer) return;
    iw_close_fd(&placer->root);
    iw_close_fd(&placer->parent_fd);
    iw_close_fd(&placer->fd);
    free(placer->parent);
    free(placer->parent_real);
    free(placer->base);
    iw_strings_free(&placer->touched);
    iw_strings_free(&placer->made);
    iw_strings_free(&placer->look);
    free(placer);
}

bool iw_placer_conflict(const iw_placer *placer)
{
    return placer->conflict;
}

static int refuse(iw_error *err, const char *why)
{
    return iw_fail(err, IW_E_FORMAT, "%s", why);
}

/* --- walking -------------------------------------------------------------- */

enum {
    WALK_MAKE = 1,   /* folders that are missing */
    WALK_FOLLOW = 2, /* links, read as below the root */
    WALK_STRICT = 4  /* with WALK_FOLLOW: `..` above the root and absolute targets are refused; a
                        missing end is fine (*fd -1) */
};

typedef struct walk {
    iw_placer *placer;
    int flags;
    iw_buffer real; /* walked so far, free of links */
    iw_slice rest;
    char *next; /* the path to walk instead, after a link or `..` */
} walk;

static const char *const leads_out = "is a link that leads out of the folder";

/* After a missing folder or a file on the way of a link that is looked at: only the count of `..`
 * can tell. */
static int check_rest(walk *w, iw_error *err)
{
    long depth = w->real.length ? 1 : 0;
    for (size_t i = 0; i < w->real.length; i++) depth += w->real.data[i] == '/';
    iw_slice part;
    depth++;
    while (iw_slice_next(&w->rest, '/', &part)) {
        if (part.length == 0 || iw_slice_equal(part, ".")) continue;
        depth += iw_slice_equal(part, "..") ? -1 : 1;
        if (depth < 0) return refuse(err, leads_out);
    }
    return 0;
}

/* The path that a `..` leads to: up from the real folder. */
static int walk_up(walk *w, iw_error *err)
{
    size_t length = w->real.length;
    if (length == 0 && (w->flags & WALK_STRICT)) return refuse(err, leads_out);
    while (length && w->real.data[length - 1] != '/') length--;
    w->next = iw_format("%.*s/%.*s", (int)(length ? length - 1 : 0),
                        w->real.data ? w->real.data : "", (int)w->rest.length, w->rest.data);
    return 0;
}

static int walk_link(walk *w, int folder, const char *name, iw_error *err)
{
    char target[IW_PATH_LIMIT + 1];
    if (!(w->flags & WALK_FOLLOW)) {
        iw_cleanup_free char *quoted = iw_name_quote(name);
        return iw_fail(err, IW_E_FORMAT, "lies behind the link %s", quoted);
    }
    ssize_t length = readlinkat(folder, name, target, sizeof target - 1);
    if (length < 0) return iw_fail_errno(err, IW_E_IO, "can't read the link %s", name);
    target[length] = 0;
    if (*target == '/' && (w->flags & WALK_STRICT)) return refuse(err, leads_out);
    w->next = iw_format("%s/%s/%.*s",
                        *target == '/' ? ""
                        : w->real.data ? w->real.data
                                       : "",
                        target, (int)w->rest.length, w->rest.data);
    return 0;
}

/* Opens the folder `name` in *fd, which it replaces; or sets w->next, or leaves *fd at -1 (strict:
 * nothing there). */
static int step(walk *w, int *fd, const char *name, iw_error *err)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int below = openat(*fd, name, flags);
    bool made = false;
    if (below < 0 && errno == ENOENT && (w->flags & WALK_MAKE)) {
        made = mkdirat(*fd, name, 0755) == 0;
        if (!made && errno != EEXIST)
            return iw_fail_errno(err, IW_E_IO, "can't make folder %s", name);
        if (made && fchmodat(*fd, name, 0755, 0) != 0)
            return iw_fail_errno(err, IW_E_IO, "can't set the mode of folder %s", name);
        below = openat(*fd, name, flags);
    }
    if (below < 0) {
        int why = errno;
        struct stat status;
        bool there = fstatat(*fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && S_ISLNK(status.st_mode)) return walk_link(w, *fd, name, err);
        iw_close_fd(fd);
        *fd = -1;
        if (w->flags & WALK_STRICT) return check_rest(w, err);
        if (there && !S_ISDIR(status.st_mode))
            return refuse(err, "lies below something that is no folder");
        errno = why;
        return iw_fail_errno(err, why == ENOENT ? IW_E_FORMAT : IW_E_IO, "can't open folder %s",
                             name);
    }
    iw_close_fd(fd);
    *fd = below;
    if (w->real.length) iw_buffer_add_char(&w->real, '/');
    iw_buffer_add_text(&w->real, name);
    if (made) {
        iw_strings_add(&w->placer->touched, w->real.data);
        iw_strings_add_format(&w->placer->made, "d%s", w->real.data);
    }
    return 0;
}

/* One pass: ends with the folder's descriptor, or with w->next. */
static int walk_once(walk *w, const char *path, int *fd, iw_error *err)
{
    iw_buffer_clear(&w->real);
    w->rest = iw_slice_of(path);
    iw_slice part;
    iw_cleanup_fd int folder = fcntl(w->placer->root, F_DUPFD_CLOEXEC, 0);
    if (folder < 0) return iw_fail_errno(err, IW_E_IO, "can't open the folder");
    while (folder >= 0 && !w->next && iw_slice_next(&w->rest, '/', &part)) {
        if (part.length == 0 || iw_slice_equal(part, ".")) continue;
        char name[IW_NAME_LIMIT + 1];
        if (part.length > IW_NAME_LIMIT)
            return refuse(err, "leads through a name that is too long");
        memcpy(name, part.data, part.length);
        name[part.length] = 0;
        if ((strcmp(name, "..") == 0 ? walk_up(w, err) : step(w, &folder, name, err)) != 0)
            return -1;
    }
    *fd = w->next ? -1 : iw_steal_fd(&folder);
    return 0;
}

/* *fd: the folder at `path`, owned by the caller; *real (may be NULL): its path without links,
 * owned too. */
static int walk_to(iw_placer *placer, const char *path, int flags, int *fd, char **real,
                   iw_error *err)
{
    walk w = {.placer = placer, .flags = flags};
    iw_cleanup_free char *current = iw_strdup(path);
    int status = 0;
    *fd = -1;
    for (int i = 0; status == 0; i++) {
        status = walk_once(&w, current, fd, err);
        if (status || !w.next) break;
        free(current);
        current = iw_steal(&w.next);
        if (i >= LINKS_LIMIT || strlen(current) > 4 * IW_PATH_LIMIT)
            status = refuse(err, "leads through too many links");
    }
    free(w.next);
    if (status == 0 && real) *real = w.real.data ? iw_buffer_take(&w.real) : iw_strdup("");
    iw_buffer_free(&w.real);
    return status;
}

static int flags_of(const iw_placer *placer)
{
    return WALK_MAKE | (placer->options.root_links ? WALK_FOLLOW : 0);
}

/* The folder that `path` stands in, kept open for the next entry; *base: borrowed, the last part.
 */
static int open_parent(iw_placer *placer, const char *path, const char **base, iw_error *err)
{
    const char *slash = strrchr(path, '/');
    *base = slash ? slash + 1 : path;
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (placer->parent && strlen(placer->parent) == length &&
        memcmp(placer->parent, path, length) == 0)
        return 0;
    iw_close_fd(&placer->parent_fd);
    placer->parent_fd = -1;
    free(iw_steal(&placer->parent));
    free(iw_steal(&placer->parent_real));
    iw_cleanup_free char *parent = iw_strndup(path, length);
    if (walk_to(placer, parent, flags_of(placer), &placer->parent_fd, &placer->parent_real, err) !=
        0)
        return -1;
    iw_strings_add(&placer->touched, placer->parent_real);
    placer->parent = iw_steal(&parent);
    return 0;
}

static void note_made(iw_placer *placer, const char *base)
{
    iw_strings_add_format(&placer->made, "f%s%s%s", placer->parent_real,
                          *placer->parent_real ? "/" : "", base);
}

/* --- entries -------------------------------------------------------------- */

int iw_placer_folder(iw_placer *placer, const char *path, iw_error *err)
{
    iw_cleanup_fd int fd = -1;
    char *real = NULL;
    if (walk_to(placer, path, flags_of(placer), &fd, &real, err) != 0) return -1;
    iw_strings_add(&placer->touched, real);
    free(real);
    return 0;
}

/* Makes room for a new file or link: whatever is there goes, but not a folder. */
static int clear_place(iw_placer *placer, const char *base, iw_error *err)
{
    struct stat status;
    if (fstatat(placer->parent_fd, base, &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    if (S_ISDIR(status.st_mode)) return refuse(err, "would replace a folder");
    if (unlinkat(placer->parent_fd, base, 0) != 0 && errno != ENOENT)
        return iw_fail_errno(err, IW_E_IO, "can't be replaced");
    return 0;
}

static int conflict(iw_placer *placer, iw_error *err)
{
    placer->conflict = true;
    return refuse(err, "is there already, with other content");
}

static const struct timespec times[2] = {{.tv_sec = IW_ARCHIVE_TIME}, {.tv_sec = IW_ARCHIVE_TIME}};

static int set_times_at(iw_placer *placer, const char *base, iw_error *err)
{
    if (!placer->options.set_times ||
        utimensat(placer->parent_fd, base, times, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return iw_fail_errno(err, IW_E_IO, "can't set its time");
}

int iw_placer_symlink(iw_placer *placer, const char *path, const char *target, bool look,
                      iw_error *err)
{
    const char *base;
    if (open_parent(placer, path, &base, err) != 0) return -1;
    for (int tries = 0; symlinkat(target, placer->parent_fd, base) != 0; tries++) {
        if (errno != EEXIST || tries > 8) return iw_fail_errno(err, IW_E_IO, "can't be made");
        char there[IW_PATH_LIMIT + 1];
        ssize_t length = readlinkat(placer->parent_fd, base, there, sizeof there);
        if (length == (ssize_t)strlen(target) && memcmp(there, target, (size_t)length) == 0)
            return 0;
        if (placer->options.keep_existing) return conflict(placer, err);
        if (clear_place(placer, base, err) != 0) return -1;
    }
    note_made(placer, base);
    if (look)
        iw_strings_add_format(&placer->look, "%s%s%s", placer->parent_real,
                              *placer->parent_real ? "/" : "", base);
    return set_times_at(placer, base, err);
}

int iw_placer_hardlink(iw_placer *placer, const char *path, const char *target, iw_error *err)
{
    const char *base, *slash = strrchr(target, '/');
    iw_cleanup_free char *folder = iw_strndup(target, slash ? (size_t)(slash - target) : 0);
    iw_cleanup_fd int from = -1;
    iw_error inner = IW_ERROR_INIT;
    struct stat status;
    if (walk_to(placer, folder, flags_of(placer) & ~WALK_MAKE, &from, NULL, &inner) != 0) {
        iw_fail(err, inner.kind, "is a hard link whose target %s", iw_error_text(&inner));
        iw_error_clear(&inner);
        return -1;
    }
    const char *name = slash ? slash + 1 : target;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return refuse(err, "is a hard link to something that isn't there");
    if (!S_ISREG(status.st_mode)) return refuse(err, "is a hard link to something that is no file");
    if (open_parent(placer, path, &base, err) != 0) return -1;
    for (int tries = 0; linkat(from, name, placer->parent_fd, base, 0) != 0; tries++) {
        struct stat there;
        if (errno != EEXIST || tries > 8) return iw_fail_errno(err, IW_E_IO, "can't be linked");
        bool same = fstatat(placer->parent_fd, base, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                    there.st_ino == status.st_ino && there.st_dev == status.st_dev;
        if (same) return 0;
        if (placer->options.keep_existing) return conflict(placer, err);
        if (clear_place(placer, base, err) != 0) return -1;
    }
    note_made(placer, base);
    return 0;
}

/* --- files ---------------------------------------------------------------- */

/* The file that is there, to be compared with the new one. */
static int begin_compare(iw_placer *placer, const char *base, bool executable, iw_error *err)
{
    struct stat status;
    placer->fd = openat(placer->parent_fd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (placer->fd < 0 || fstat(placer->fd, &status) != 0 || !S_ISREG(status.st_mode) ||
        ((status.st_mode & 0100) != 0) != executable)
        return conflict(placer, err);
    placer->compare = true;
    return 0;
}

int iw_placer_begin(iw_placer *placer, const char *path, bool executable, bool again, iw_error *err)
{
    const char *base;
    iw_close_fd(&placer->fd);
    placer->fd = -1;
    placer->compare = false;
    placer->position = 0;
    if (open_parent(placer, path, &base, err) != 0) return -1;
    free(placer->base);
    placer->base = iw_strdup(base);
    int flags =
        O_WRONLY | O_NOFOLLOW | O_CLOEXEC | (again ? O_TRUNC | O_NONBLOCK : O_CREAT | O_EXCL);
    for (int tries = 0;; tries++) {
        placer->fd = iw_fault(IW_FAULT_OPEN)
                         ? -1
                         : openat(placer->parent_fd, base, flags, executable ? 0755 : 0644);
        if (placer->fd >= 0) break;
        if (errno != EEXIST || tries > 8) return iw_fail_errno(err, IW_E_IO, "can't be made");
        if (placer->options.keep_existing) return begin_compare(placer, base, executable, err);
        if (clear_place(placer, base, err) != 0) return -1;
    }
    if (!again) note_made(placer, base);
    return fchmod(placer->fd, executable ? 0755 : 0644) == 0
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't get its mode");
}

/* Whether the next `length` bytes of the file that is there are `data` (NULL: zeros). */
static bool same_bytes(iw_placer *placer, const char *data, uint64_t length)
{
    char there[65536];
    while (length) {
        size_t want = length < sizeof there ? (size_t)length : sizeof there;
        ssize_t got = pread(placer->fd, there, want, (off_t)placer->position);
        if (got <= 0) return false;
        for (ssize_t i = 0; !data && i < got; i++)
            if (there[i]) return false;
        if (data && memcmp(data, there, (size_t)got) != 0) return false;
        if (data) data += got;
        placer->position += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return true;
}

int iw_placer_write(iw_placer *placer, const void *data, size_t length, uint64_t offset,
                    iw_error *err)
{
    if (offset < placer->position) return refuse(err, "has parts that overlap");
    if (placer->compare) {
        bool same =
            same_bytes(placer, NULL, offset - placer->position) && same_bytes(placer, data, length);
        return same ? 0 : conflict(placer, err);
    }
    const char *from = data;
    placer->position = offset;
    while (length) {
        ssize_t put = iw_fault(IW_FAULT_WRITE)
                          ? -1
                          : pwrite(placer->fd, from, length, (off_t)placer->position);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return iw_fail_errno(err, IW_E_IO, "can't be written");
        from += put;
        length -= (size_t)put;
        placer->position += (uint64_t)put;
    }
    return 0;
}

int iw_placer_end(iw_placer *placer, uint64_t size, iw_error *err)
{
    int status = 0;
    if (placer->compare) {
        struct stat there;
        bool same = size >= placer->position && same_bytes(placer, NULL, size - placer->position) &&
                    fstat(placer->fd, &there) == 0 && (uint64_t)there.st_size == size;
        if (!same) status = conflict(placer, err);
    } else if (size > placer->position && ftruncate(placer->fd, (off_t)size) != 0) {
        status = iw_fail_errno(err, IW_E_IO, "can't get its size");
    } else if (placer->options.set_times && futimens(placer->fd, times) != 0) {
        status = iw_fail_errno(err, IW_E_IO, "can't get its time");
    }
    if (placer->options.write_out && size >= WRITE_OUT_FROM) /* a wish: where it fails, it fails */
        (void)sync_file_range(placer->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    /* Some network file systems tell only here that the disk is full. */
    if (close(placer->fd) != 0 && status == 0 && errno != EINTR)
        status = iw_fail_errno(err, IW_E_IO, "can't be written");
    placer->fd = -1;
    return status;
}

/* --- the end -------------------------------------------------------------- */

static int check_links(iw_placer *placer, char **link, iw_error *err)
{
    for (size_t i = 0; i < placer->look.count; i++) {
        iw_cleanup_fd int fd = -1;
        if (walk_to(placer, placer->look.items[i], WALK_FOLLOW | WALK_STRICT, &fd, NULL, err) == 0)
            continue;
        if (link) *link = iw_strdup(placer->look.items[i]);
        return -1;
    }
    return 0;
}

int iw_placer_finish(iw_placer *placer, char **link, iw_error *err)
{
    if (link) *link = NULL;
    if (check_links(placer, link, err) != 0) return -1;
    if (!placer->options.set_times) return 0;
    iw_strings_sort(&placer->touched);
    for (size_t i = 0, count = placer->touched.count; i < count;
         i++) { /* open_parent adds further ones */
        const char *path = placer->touched.items[i], *base;
        if (i && strcmp(path, placer->touched.items[i - 1]) == 0) continue;
        if (!*path) {
            if (futimens(placer->root, times) != 0 && errno != EPERM)
                return iw_fail_errno(err, IW_E_IO, "can't set a folder's time");
            continue;
        }
        if (open_parent(placer, path, &base, err) != 0 || set_times_at(placer, base, err) != 0)
            return -1;
    }
    return 0;
}

void iw_placer_undo(iw_placer *placer)
{
    iw_close_fd(&placer->fd);
    placer->fd = -1;
    for (size_t i = placer->made.count; i-- > 0;) {
        const char *path = placer->made.items[i] + 1, *base;
        if (open_parent(placer, path, &base, NULL) != 0) continue;
        (void)!unlinkat(placer->parent_fd, base,
                        placer->made.items[i][0] == 'd' ? AT_REMOVEDIR : 0);
    }
    iw_strings_free(&placer->made);
}
