#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/memory.h"
#include "base/path.h"

static int open_file(const char *path, int flags, mode_t mode)
{
    return iw_fault(IW_FAULT_OPEN) ? -1 : open(path, flags | O_CLOEXEC, mode);
}

int iw_read_file(const char *path, size_t limit, char **out, size_t *length, iw_error *err)
{
    *out = NULL;
    iw_cleanup_fd int fd = open_file(path, O_RDONLY | O_NOCTTY, 0);
    if (fd < 0)
        return iw_fail_errno(err, errno == ENOENT ? IW_E_NOT_FOUND : IW_E_IO, "can't open %s",
                             path);
    iw_cleanup_buffer iw_buffer buffer = {0};
    char part[65536];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", path);
        if ((size_t)got > limit - buffer.length)
            return iw_fail(err, IW_E_FORMAT, "%s is larger than %zu bytes", path, limit);
        iw_buffer_add(&buffer, part, (size_t)got);
    }
    if (length) *length = buffer.length;
    *out = iw_buffer_take(&buffer);
    return 0;
}

int iw_write_all(int fd, const void *data, size_t length, const char *what, iw_error *err)
{
    const char *from = data;
    while (length) {
        ssize_t put = iw_fault(IW_FAULT_WRITE) ? -1 : write(fd, from, length);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", what);
        from += put;
        length -= (size_t)put;
    }
    return 0;
}

static int sync_fd(int fd, const char *what, iw_error *err)
{
    int status = iw_fault(IW_FAULT_FSYNC) ? -1 : fsync(fd);
    /* EINVAL: a file system that has nothing to sync. */
    return status == 0 || errno == EINVAL
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't write %s to disk", what);
}

int iw_sync_folder(const char *path, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open folder %s", path);
    return sync_fd(fd, path, err);
}

static int move(const char *from, const char *to, iw_error *err)
{
    int status = iw_fault(IW_FAULT_RENAME) ? -1 : rename(from, to);
    return status == 0 ? 0 : iw_fail_errno(err, IW_E_IO, "can't move %s to %s", from, to);
}

static int rename_and_sync(const char *from, const char *to, iw_error *err)
{
    if (move(from, to, err) != 0) return -1;
    iw_cleanup_free char *folder = iw_path_parent(to);
    return iw_sync_folder(folder, err);
}

static int write_file(const char *path, const void *data, size_t length, mode_t mode, bool durable,
                      iw_error *err)
{
    iw_cleanup_free char *temporary = iw_format("%s.XXXXXX", path);
    iw_cleanup_fd int fd = iw_fault(IW_FAULT_OPEN) ? -1 : mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't make a file beside %s", path);
    int status = iw_write_all(fd, data, length, path, err);
    if (status == 0 && fchmod(fd, mode) != 0)
        status = iw_fail_errno(err, IW_E_IO, "can't set the mode of %s", path);
    if (status == 0 && durable) status = sync_fd(fd, path, err);
    if (status == 0)
        status = durable ? rename_and_sync(temporary, path, err) : move(temporary, path, err);
    if (status != 0) unlink(temporary);
    return status;
}

int iw_write_file(const char *path, const void *data, size_t length, mode_t mode, iw_error *err)
{
    return write_file(path, data, length, mode, true, err);
}

int iw_write_passing(const char *path, const void *data, size_t length, mode_t mode, iw_error *err)
{
    return write_file(path, data, length, mode, false, err);
}

int iw_publish(const char *from, const char *to, iw_error *err)
{
    iw_cleanup_fd int fd = open_file(from, O_RDONLY, 0);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", from);
    return sync_fd(fd, from, err) == 0 ? rename_and_sync(from, to, err) : -1;
}

int iw_make_folders(const char *path, mode_t mode, iw_error *err)
{
    if (!*path) return iw_fail(err, IW_E_IO, "can't make a folder without a name");
    iw_cleanup_free char *copy = iw_strdup(path);
    for (char *slash = copy + 1;; slash++) {
        slash += strcspn(slash, "/");
        bool last = !*slash;
        *slash = 0;
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            return iw_fail_errno(err, IW_E_IO, "can't make folder %s", copy);
        if (last) break;
        *slash = '/';
    }
    struct stat status;
    if (stat(path, &status) != 0) return iw_fail_errno(err, IW_E_IO, "can't make folder %s", path);
    if (!S_ISDIR(status.st_mode))
        return iw_fail(err, IW_E_IO, "%s is there, but it is no folder", path);
    return 0;
}

bool iw_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

int iw_temporary_folder(const char *parent, const char *prefix, char **out, iw_error *err)
{
    char *path = iw_format("%s/%sXXXXXX", parent, prefix);
    if (!mkdtemp(path)) {
        iw_fail_errno(err, IW_E_IO, "can't make a folder below %s", parent);
        free(path);
        *out = NULL;
        return -1;
    }
    *out = path;
    return 0;
}

/* --- removing ------------------------------------------------------------- */

#define DEEP 200 /* folders open at once; what is nested deeper is moved up first */

struct removal {
    int top;        /* the tree's root, once it is open */
    unsigned moved; /* for fresh names */
};

static int read_names(DIR *directory, const char *full, iw_strings *names, iw_error *err)
{
    struct dirent *entry;
    rewinddir(directory);
    for (errno = 0; (entry = readdir(directory)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            iw_strings_add(names, entry->d_name);
    return errno ? iw_fail_errno(err, IW_E_IO, "can't read folder %s", full) : 0;
}

/* Opens the folder itself, never what a link leads to, and makes it readable and writable for its
 * owner. -1 with errno. */
static int open_for_removal(int folder, const char *name)
{
    iw_cleanup_fd int place = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (place < 0 || fstat(place, &status) != 0) return -1;
    if ((status.st_mode & 0700) != 0700) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", place);
        if (chmod(link, 0700) != 0) return -1;
    }
    return openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A folder below DEEP others becomes one of the root's, which is read again until it is empty. */
static int move_up(struct removal *removal, int folder, const char *name)
{
    for (int tries = 0; tries < 1000; tries++) {
        char fresh[40];
        snprintf(fresh, sizeof fresh, ".ironwheel-remove-%u", removal->moved++);
        if (renameat(folder, name, removal->top, fresh) == 0) return 0;
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return -1;
    }
    return -1;
}

static int remove_below(struct removal *removal, int folder, const char *name, const char *full,
                        int depth, iw_error *err);

/* Until nothing is left: some file systems leave names out while others are removed. */
static int empty_folder(struct removal *removal, DIR *directory, const char *full, int depth,
                        iw_error *err)
{
    for (int round = 0; round < 10000; round++) {
        iw_cleanup_strings iw_strings names = {0};
        if (read_names(directory, full, &names, err) != 0) return -1;
        if (names.count == 0) return 0;
        for (size_t i = 0; i < names.count; i++) {
            iw_cleanup_free char *path = iw_path_join(full, names.items[i]);
            if (remove_below(removal, dirfd(directory), names.items[i], path, depth + 1, err) != 0)
                return -1;
        }
    }
    return iw_fail(err, IW_E_IO,
                   "%s is filled while it is emptied; stop the program that writes there", full);
}

static int remove_below(struct removal *removal, int folder, const char *name, const char *full,
                        int depth, iw_error *err)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) return 0;
    int sys = errno;
    if (sys != EISDIR && sys != EPERM && sys != EACCES)
        return iw_fail_errno(err, IW_E_IO, "can't remove %s", full);
    int fd = open_for_removal(folder, name);
    if (fd < 0 && errno == ENOENT) return 0;
    if (fd < 0) {
        if (errno == ENOTDIR || errno == ELOOP)
            errno = sys; /* no folder: the first failure tells more */
        return iw_fail_errno(err, IW_E_IO, "can't remove %s", full);
    }
    DIR *directory = depth < DEEP ? fdopendir(fd) : NULL;
    if (!directory) {
        int status = depth < DEEP ? -1 : move_up(removal, folder, name);
        iw_close_fd(&fd);
        return status == 0 ? 0 : iw_fail_errno(err, IW_E_IO, "can't remove folder %s", full);
    }
    if (depth == 0) removal->top = fd;
    int status = empty_folder(removal, directory, full, depth, err);
    closedir(directory);
    if (status != 0) return -1;
    if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    return iw_fail_errno(err, IW_E_IO, "can't remove folder %s", full);
}

int iw_remove_tree(const char *path, iw_error *err)
{
    struct removal removal = {.top = -1};
    iw_cleanup_free char *plain = iw_strdup(path); /* "link/" would mean what the link leads to */
    for (size_t length = strlen(plain); length > 1 && plain[length - 1] == '/'; length--)
        plain[length - 1] = 0;
    return remove_below(&removal, AT_FDCWD, plain, plain, 0, err);
}

/* --- copying -------------------------------------------------------------- */

static int copy_bytes(int in, int out, const char *from, const char *to, iw_error *err)
{
    if (ioctl(out, FICLONE, in) == 0) return 0;
    for (;;) {
        ssize_t moved = copy_file_range(in, NULL, out, NULL, 1 << 30, 0);
        if (moved == 0) break; /* the end, or a file of /proc, which has no size: read() tells */
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0 &&
            (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            break;
        if (moved < 0) return iw_fail_errno(err, IW_E_IO, "can't copy %s to %s", from, to);
    }
    char part[65536];
    ssize_t got;
    while ((got = read(in, part, sizeof part)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", from);
        if (iw_write_all(out, part, (size_t)got, to, err) != 0) return -1;
    }
    return 0;
}

int iw_copy_file(const char *from, const char *to, iw_error *err)
{
    iw_cleanup_fd int in = open_file(from, O_RDONLY, 0);
    if (in < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", from);
    struct stat status;
    if (fstat(in, &status) != 0) return iw_fail_errno(err, IW_E_IO, "can't look at %s", from);
    iw_cleanup_fd int out = open_file(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't make %s", to);
    if (copy_bytes(in, out, from, to, err) != 0) return -1;
    return fchmod(out, status.st_mode & 0777) == 0
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't set the mode of %s", to);
}

int iw_free_space(const char *path, uint64_t *bytes, iw_error *err)
{
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't ask for the free space at %s", path);
    *bytes = (uint64_t)status.f_bavail * status.f_frsize;
    return 0;
}

/* --- walking -------------------------------------------------------------- */

#define WALK_DEPTH 256 /* each level keeps a descriptor open */

struct walk {
    iw_walk_visit visit;
    void *context;
};

static int walk_folder(const struct walk *walk, int parent, const char *name, const char *full,
                       const char *relative, int depth, iw_error *err);

static int walk_entries(const struct walk *walk, DIR *directory, const char *full,
                        const char *relative, int depth, iw_error *err)
{
    iw_cleanup_strings iw_strings names = {0};
    if (read_names(directory, full, &names, err) != 0) return -1;
    iw_strings_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        iw_cleanup_free char *below = iw_path_join(full, name),
                             *inside = iw_path_join(relative, name);
        struct stat status;
        if (fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            return iw_fail_errno(err, IW_E_IO, "can't look at %s", below);
        int answer = walk->visit(walk->context, inside, below, &status, err);
        if (answer < 0) return -1;
        if (answer == 0 && S_ISDIR(status.st_mode) &&
            walk_folder(walk, dirfd(directory), name, below, inside, depth + 1, err) != 0)
            return -1;
    }
    return 0;
}

/* Only the root may be reached through a link. */
static int walk_folder(const struct walk *walk, int parent, const char *name, const char *full,
                       const char *relative, int depth, iw_error *err)
{
    if (depth > WALK_DEPTH)
        return iw_fail(err, IW_E_FORMAT, "%s is nested too deeply (more than %d folders)", full,
                       WALK_DEPTH);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | (depth ? O_NOFOLLOW : 0) | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        iw_close_fd(&fd);
        return iw_fail_errno(err, IW_E_IO, "can't open folder %s", full);
    }
    int status = walk_entries(walk, directory, full, relative, depth, err);
    closedir(directory);
    return status;
}

int iw_walk(const char *root, iw_walk_visit visit, void *context, iw_error *err)
{
    struct walk walk = {visit, context};
    return walk_folder(&walk, AT_FDCWD, root, root, "", 0, err);
}

static int copy_entry(void *context, const char *relative, const char *full,
                      const struct stat *status, iw_error *err)
{
    iw_cleanup_free char *to = iw_path_join(context, relative);
    if (S_ISDIR(status->st_mode)) return iw_make_folders(to, 0755, err);
    if (S_ISREG(status->st_mode)) return iw_copy_file(full, to, err);
    char target[4096];
    ssize_t length = S_ISLNK(status->st_mode) ? readlink(full, target, sizeof target - 1) : -1;
    if (length < 0) return 0;
    target[length] = '\0';
    return symlink(target, to) == 0 ? 0 : iw_fail_errno(err, IW_E_IO, "can't write %s", to);
}

int iw_copy_tree(const char *from, const char *to, iw_error *err)
{
    iw_cleanup_free char *into = iw_strdup(to);
    if (iw_make_folders(to, 0755, err) != 0) return -1;
    return iw_exists(from) ? iw_walk(from, copy_entry, into, err) : 0;
}

int iw_lock_file(const char *path, bool exclusive, bool wait, int *fd, iw_error *err)
{
    *fd = -1;
    iw_cleanup_fd int file = open_file(path, O_RDWR | O_CREAT, 0644);
    if (file < 0) return iw_fail_errno(err, IW_E_IO, "can't open lock %s", path);
    int operation = (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB);
    while (flock(file, operation) != 0) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) return 0;
        return iw_fail_errno(err, IW_E_IO, "can't lock %s", path);
    }
    *fd = iw_steal_fd(&file);
    return 0;
}

int iw_lock_where_known(const char *path, int *fd, bool *unknown, iw_error *err)
{
    iw_error inner = IW_ERROR_INIT;
    int status = iw_lock_file(path, true, true, fd, &inner);
    bool none = status != 0 && (inner.sys == ENOLCK || inner.sys == EOPNOTSUPP);
    if (status != 0 && !none) iw_error_move(err, &inner);
    if (unknown) *unknown = none;
    iw_error_clear(&inner);
    return none ? 0 : status;
}
