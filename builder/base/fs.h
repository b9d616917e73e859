/* Files and folders. Everything written for keeps goes through a temporary file, fsync, rename, and
 * fsync of the folder. */
#ifndef IW_BASE_FS_H
#define IW_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

/* Whole file into memory, at most `limit` bytes (IW_E_FORMAT above). `*out` is NUL-terminated and
 * owned by the caller. */
int iw_read_file(const char *path, size_t limit, char **out, size_t *length, iw_error *err);
/* Durable replacement of `path` (mode e.g. 0644): a reader sees the old or the new content, never a
 * part. */
int iw_write_file(const char *path, const void *data, size_t length, mode_t mode, iw_error *err);
/* The same, but not durable: for files in a tree that a crash leaves for good (a work tree, a laid
 * environment). */
int iw_write_passing(const char *path, const void *data, size_t length, mode_t mode, iw_error *err);
/* Write all; retries EINTR and short writes. */
int iw_write_all(int fd, const void *data, size_t length, const char *what, iw_error *err);
int iw_make_folders(const char *path, mode_t mode, iw_error *err); /* like mkdir -p */
int iw_sync_folder(const char *path, iw_error *err);
/* fsync(file) and rename(from, to) and fsync(folder of to). */
int iw_publish(const char *from, const char *to, iw_error *err);
/* Removes a file or tree; never follows links, stays on the path given; a missing one is no error;
 * makes read-only folders writable. */
int iw_remove_tree(const char *path, iw_error *err);
bool iw_exists(const char *path); /* lstat works */
/* A fresh folder "<parent>/<prefix>XXXXXX", mode 0700; `*out` owned by the caller. */
int iw_temporary_folder(const char *parent, const char *prefix, char **out, iw_error *err);
/* Copies a file's bytes and permission bits (copy_file_range, reflink where possible); no fsync. */
int iw_copy_file(const char *from, const char *to, iw_error *err);
/* Bytes free to this user on the file system that holds `path`. */
int iw_free_space(const char *path, uint64_t *bytes, iw_error *err);

/* Walk a tree in byte order of names, parents before children (links not followed). `relative` is
 * "" for the root, which is not reported. Return 0 to go on, 1 to skip a folder's content, -1 to
 * stop (with err filled). */
typedef int (*iw_walk_visit)(void *context, const char *relative, const char *full,
                             const struct stat *status, iw_error *err);
int iw_walk(const char *root, iw_walk_visit visit, void *context, iw_error *err);
/* Makes the folder `to`, with those above it, and copies into it the files, folders and links of
 * the tree `from`; nothing where `from` doesn't exist. What is neither is left out. No fsync. */
int iw_copy_tree(const char *from, const char *to, iw_error *err);

/* flock on `path` (made where missing). With `wait` false: *fd = -1 and 0 when another holds it.
 * Closing the fd unlocks. */
int iw_lock_file(const char *path, bool exclusive, bool wait, int *fd, iw_error *err);
/* The same, exclusive and waiting; where the file system knows no locks (NFS may not): *fd = -1,
 * *unknown (may be NULL) true, and 0. */
int iw_lock_where_known(const char *path, int *fd, bool *unknown, iw_error *err);

#endif
