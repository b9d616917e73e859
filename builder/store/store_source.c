/* Downloaded files: sources/<sha256>. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/store_internal.h"

char *iw_store_source_path(const iw_store *store, const char *sha256)
{
    return iw_store_path(store, "sources", sha256);
}

static int check_name(const char *sha256, iw_error *err)
{
    return iw_is_sha256(sha256)
               ? 0
               : iw_fail(err, IW_E_USAGE, "%s is no SHA-256 (64 lower-case hexadecimal digits)",
                         sha256);
}

/* The index remembers the file as it is now; `name` NULL: the sha256. */
static int remember(iw_store *store, const char *sha256, const char *name,
                    const struct stat *status, iw_error *err)
{
    iw_quick q = iw_quick_of(status);
    const iw_value values[] = {IW_TEXT(sha256),    IW_TEXT(name ? name : sha256),
                               IW_NUMBER(q.inode), IW_NUMBER(q.size),
                               IW_NUMBER(q.mtime), IW_NUMBER(q.ctime)};
    return iw_index_query(store->index, IW_Q_SOURCE_PUT, values, 6, NULL, err);
}

static int forget(iw_store *store, const char *sha256, iw_error *err)
{
    return iw_index_query(store->index, IW_Q_SOURCE_DROP, (iw_value[]){IW_TEXT(sha256)}, 1, NULL,
                          err);
}

/* Hashes an open file from its start; leaves it at its start. */
static int hash_fd(int fd, const char *path, char hex[IW_SHA256_HEX], iw_error *err)
{
    iw_cleanup_free char *buffer = iw_realloc(NULL, 1 << 18);
    iw_hash *hash = iw_hash_new();
    off_t position = 0;
    ssize_t got;
    while ((got = pread(fd, buffer, 1 << 18, position)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        iw_hash_add(hash, buffer, (size_t)got);
        position += got;
    }
    iw_hash_finish(hash, hex);
    iw_hash_free(hash);
    return got < 0 ? iw_fail_errno(err, IW_E_IO, "can't read %s", path) : 0;
}

/* Opens, hashes, and removes what is damaged: *good false then, with the digest found in `hex`. */
static int check_content(iw_store *store, const char *sha256, int *fd, bool *good,
                         char hex[IW_SHA256_HEX], struct stat *status, iw_error *err)
{
    iw_cleanup_free char *path = iw_store_source_path(store, sha256);
    *good = false;
    iw_cleanup_fd int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return iw_fail_errno(err, errno == ENOENT ? IW_E_NOT_FOUND : IW_E_IO, "can't open %s",
                             path);
    if (fstat(file, status) != 0) return iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    if (S_ISREG(status->st_mode) && hash_fd(file, path, hex, err) != 0) return -1;
    *good = S_ISREG(status->st_mode) && strcmp(hex, sha256) == 0;
    if (*good) {
        *fd = iw_steal_fd(&file);
        return 0;
    }
    iw_store_remove_damaged(path, status);
    return forget(store, sha256, err);
}

int iw_store_has_source(iw_store *store, const char *sha256, bool *has, iw_error *err)
{
    *has = false;
    if (check_name(sha256, err) != 0) return -1;
    iw_cleanup_free char *path = iw_store_source_path(store, sha256);
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    sqlite3_stmt *row;
    if (iw_index_query(store->index, IW_Q_SOURCE_GET, (iw_value[]){IW_TEXT(sha256)}, 1, &row,
                       err) != 0)
        return -1;
    *has = row && iw_quick_equal(iw_quick_read(row, 0), iw_quick_of(&status));
    iw_index_end(store->index);
    if (*has) return 0;
    iw_cleanup_fd int fd = -1;
    char hex[IW_SHA256_HEX] = "";
    if (check_content(store, sha256, &fd, has, hex, &status, err) != 0) return -1;
    return *has ? remember(store, sha256, NULL, &status, err) : 0;
}

int iw_store_add_source(iw_store *store, const char *temporary, const char *sha256,
                        const char *name, iw_error *err)
{
    if (check_name(sha256, err) != 0) return -1;
    iw_cleanup_free char *path = iw_store_source_path(store, sha256);
    struct stat status;
    if (lstat(temporary, &status) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't look at %s", temporary);
    if (!S_ISREG(status.st_mode)) return iw_fail(err, IW_E_IO, "%s is no file", temporary);
    if (chmod(temporary, 0444) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't set the mode of %s", temporary);
    if (iw_publish(temporary, path, err) != 0)
        return iw_wrap(err, "storing %s", name ? name : sha256);
    if (lstat(path, &status) != 0) return iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    if (iw_store_note_fetch(store, sha256, NULL, err) != 0) return -1;
    return remember(store, sha256, name, &status, err);
}

int iw_store_open_source(iw_store *store, const char *sha256, int *fd, iw_error *err)
{
    *fd = -1;
    if (check_name(sha256, err) != 0) return -1;
    bool good = false;
    char hex[IW_SHA256_HEX] = "(not a file)";
    struct stat status;
    iw_error inner = IW_ERROR_INIT;
    if (check_content(store, sha256, fd, &good, hex, &status, &inner) != 0) {
        if (inner.kind == IW_E_NOT_FOUND) {
            iw_error_clear(&inner);
            return iw_fail(err, IW_E_NOT_FOUND,
                           "source %s is not in the store %s: run `ironwheel fetch`", sha256,
                           store->root);
        }
        iw_error_move(err, &inner);
        return -1;
    }
    if (good) return 0;
    return iw_fail(err, IW_E_DIGEST,
                   "source %s in the store %s was damaged: its SHA-256 is %s; it was removed, and "
                   "the next run fetches it again",
                   sha256, store->root, hex);
}
