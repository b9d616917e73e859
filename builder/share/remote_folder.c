/* A folder: a disk, a stick, a share of a NAS. */
#include <dirent.h>
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
#include "share/canon.h"
#include "share/remote_kinds.h"

#define PIECE ((size_t)1 << 20)

static int folder_open(iw_remote *remote, const char *where, iw_error *err)
{
    char here[4096];
    if (!*where) return iw_fail(err, IW_E_USAGE, "an empty name is no folder");
    if (*where != '/' && !getcwd(here, sizeof here))
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't tell the working folder");
    iw_cleanup_free char *whole = iw_path_join(*where == '/' ? "/" : here, where);
    remote->base = iw_path_clean(whole);
    remote->where = iw_strdup(remote->base);
    return 0;
}

static char *full_path(const iw_remote *remote, const char *path)
{
    return iw_path_join(remote->base, path);
}

/* A missing folder is a place that can't be reached (a NAS that isn't mounted), a missing file in
 * it isn't. */
static int missing(const iw_remote *remote, const char *path, iw_error *err)
{
    struct stat status;
    if (stat(remote->base, &status) != 0)
        return iw_fail(err, IW_E_NETWORK, "%s isn't there: is it mounted?", remote->base);
    return iw_fail(err, IW_E_NOT_FOUND, "%s holds no %s", remote->base, path);
}

/* What a stranger put there must not lead elsewhere. */
int iw_open_below(const char *base, const char *path, int *fd)
{
    iw_cleanup_fd int at = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    iw_slice rest = iw_slice_of(path), part;
    struct stat status;
    while (at >= 0 && iw_slice_next(&rest, '/', &part)) {
        iw_cleanup_free char *name = iw_strndup(part.data, part.length);
        int flags = O_NOFOLLOW | O_CLOEXEC |
                    (rest.length ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK),
            next = iw_is_plain_name(name) ? openat(at, name, flags) : -1;
        if (!iw_is_plain_name(name)) errno = ENOENT;
        iw_close_fd(&at);
        at = next;
    }
    if (at < 0) return -1;
    if (fstat(at, &status) != 0 || !S_ISREG(status.st_mode)) {
        errno = ELOOP;
        return -1;
    }
    *fd = iw_steal_fd(&at);
    return 0;
}

static int open_file(const iw_remote *remote, const char *path, int *fd, iw_error *err)
{
    if (iw_open_below(remote->base, path, fd) == 0) return 0;
    if (errno == ENOENT) return missing(remote, path, err);
    if (errno == ELOOP || errno == ENOTDIR)
        return iw_fail(err, IW_E_FORMAT, "%s of %s is no plain file", path, remote->base);
    return iw_fail_errno(err, IW_E_IO, "can't open %s of %s", path, remote->base);
}

static int folder_read(iw_remote *remote, const char *path, uint64_t offset, size_t limit,
                       bool part, char **out, size_t *length, iw_error *err)
{
    iw_cleanup_fd int fd = -1;
    if (open_file(remote, path, &fd, err) != 0) return -1;
    char *data = iw_alloc(limit + 2);
    size_t got = 0;
    ssize_t piece = 0;
    while (got < limit + !part &&
           (piece = pread(fd, data + got, limit + !part - got, (off_t)(offset + got))) > 0)
        got += (size_t)piece;
    *out = data;
    *length = got;
    data[got < limit + 1 ? got : limit + 1] = 0;
    if (piece < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s of %s", path, remote->base);
    if (!part && got > limit)
        return iw_fail(err, IW_E_FORMAT, "%s of %s is longer than %zu bytes", path, remote->base,
                       limit);
    return 0;
}

/* At most `size` bytes more. */
static int copy_on(iw_remote *remote, int in, int out, const char *label, const char *phase,
                   uint64_t from, uint64_t size, const char *what, iw_error *err)
{
    iw_cleanup_free char *buffer = iw_alloc(PIECE);
    for (uint64_t at = from; at < size;) {
        ssize_t got = pread(in, buffer, size - at < PIECE ? (size_t)(size - at) : PIECE, (off_t)at);
        if (got < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", label);
        if (got == 0) return 0;
        if (iw_write_all(out, buffer, (size_t)got, what, err) != 0) return -1;
        at += (uint64_t)got;
        iw_remote_tell(remote, label, phase, at, size);
        if (iw_remote_cancelled(remote)) return iw_fail(err, IW_E_CANCELLED, "stopped");
    }
    return 0;
}

static int bring(iw_remote *remote, iw_remote_want *want, iw_error *err)
{
    iw_cleanup_fd int in = -1, out = -1;
    uint64_t have = iw_remote_have(want);
    struct stat status;
    if (open_file(remote, want->path, &in, err) != 0) return -1;
    if (fstat(in, &status) == 0 && (uint64_t)status.st_size != want->size)
        return iw_fail(err, IW_E_DIGEST,
                       "%s of %s has %lld bytes, but %llu were signed; it is not used", want->label,
                       remote->where, (long long)status.st_size, (unsigned long long)want->size);
    out = iw_fault(IW_FAULT_OPEN)
              ? -1
              : open(want->part, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", want->part);
    return copy_on(remote, in, out, want->label, "fetch", have, want->size, want->part, err);
}

static int folder_fetch(iw_remote *remote, iw_remote_want *wants, size_t count, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (bring(remote, &wants[i], &wants[i].err) == 0) iw_remote_judge(&wants[i], remote->where);
        if (wants[i].err.kind == IW_E_CANCELLED) {
            iw_error_move(err, &wants[i].err);
            return -1;
        }
    }
    return 0;
}

static int folder_stat(iw_remote *remote, const char *path, bool *found, uint64_t *size,
                       iw_error *err)
{
    iw_cleanup_free char *full = full_path(remote, path);
    struct stat status;
    if (lstat(full, &status) == 0) {
        *found = S_ISREG(status.st_mode);
        *size = (uint64_t)status.st_size;
        return 0;
    }
    return errno == ENOENT || errno == ENOTDIR
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't look at %s", full);
}

static int make_parent(const char *full, iw_error *err)
{
    iw_cleanup_free char *parent = iw_path_parent(full);
    return iw_make_folders(parent, 0755, err);
}

static int folder_write(iw_remote *remote, const char *path, const void *data, size_t length,
                        iw_error *err)
{
    iw_cleanup_free char *full = full_path(remote, path);
    return make_parent(full, err) == 0 ? iw_write_file(full, data, length, 0644, err) : -1;
}

static int folder_upload(iw_remote *remote, const char *path, const char *file, uint64_t size,
                         iw_error *err)
{
    iw_cleanup_free char *full = full_path(remote, path), *temporary = iw_format("%s.XXXXXX", full);
    iw_cleanup_fd int in = open(file, O_RDONLY | O_CLOEXEC), out = -1;
    if (in < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", file);
    if (make_parent(full, err) != 0) return -1;
    out = iw_fault(IW_FAULT_OPEN) ? -1 : mkostemp(temporary, O_CLOEXEC);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't make a file beside %s", full);
    int status = fchmod(out, 0644);
    status = copy_on(remote, in, out, iw_path_base(file), "push", 0, size, full, err);
    if (status == 0) status = iw_publish(temporary, full, err);
    if (status != 0) unlink(temporary);
    return status;
}

/* Made beside and moved: link(2) doesn't replace. A copy where the file system has no links. */
static int folder_alias(iw_remote *remote, const char *path, const char *name, bool *done,
                        iw_error *err)
{
    iw_cleanup_free char *from = full_path(remote, path), *to = full_path(remote, name),
                         *temporary = iw_format("%s.new", to);
    if (make_parent(to, err) != 0) return -1;
    unlink(temporary);
    if (link(from, temporary) != 0) {
        if (iw_copy_file(from, temporary, err) != 0) return -1;
    }
    *done = rename(temporary, to) == 0;
    unlink(temporary); /* rename of one link over another of the same file leaves both */
    return *done ? 0 : iw_fail_errno(err, IW_E_IO, "can't name %s", to);
}

static int folder_list(iw_remote *remote, const char *folder,
                       int (*each)(void *context, const iw_remote_entry *entry, iw_error *err),
                       void *context, iw_error *err)
{
    iw_cleanup_free char *full = full_path(remote, folder);
    DIR *open = opendir(full);
    if (!open && errno == ENOENT) return 0;
    if (!open) return iw_fail_errno(err, IW_E_IO, "can't list %s", full);
    int status = 0;
    for (const struct dirent *entry; status == 0 && (entry = readdir(open));) {
        struct stat about;
        if (!iw_is_plain_name(entry->d_name) ||
            fstatat(dirfd(open), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(about.st_mode))
            continue;
        iw_remote_entry one = {entry->d_name, (uint64_t)about.st_size, about.st_mtime};
        status = each(context, &one, err);
    }
    closedir(open);
    return status;
}

static int folder_remove(iw_remote *remote, const char *path, iw_error *err)
{
    iw_cleanup_free char *full = full_path(remote, path);
    return unlink(full) == 0 || errno == ENOENT
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't remove %s", full);
}

static int folder_touch(iw_remote *remote, const char *path, iw_error *err)
{
    iw_cleanup_free char *full = full_path(remote, path);
    return utimensat(AT_FDCWD, full, NULL, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't set the time of %s", full);
}

const iw_remote_kind iw_remote_folder = {
    .scheme = "",
    .open = folder_open,
    .read = folder_read,
    .fetch = folder_fetch,
    .stat = folder_stat,
    .write = folder_write,
    .upload = folder_upload,
    .alias = folder_alias,
    .list = folder_list,
    .remove = folder_remove,
    .touch = folder_touch,
};
