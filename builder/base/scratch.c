#include "base/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

/* Locks the folder itself: what is below it can then be removed by nobody else who asks first. */
static int lock_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), status = -1;
    while (fd >= 0 && (status = flock(fd, LOCK_EX | LOCK_NB)) != 0 && errno == EINTR) continue;
    if (fd >= 0 && status == 0) return fd;
    int kept = errno;
    if (fd >= 0) close(fd);
    errno = kept;
    return -1;
}

static bool is_ours(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_uid == geteuid() && status.st_nlink > 0;
}

static void remove_left(const char *parent, const char *prefix)
{
    DIR *directory = opendir(parent);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (!iw_starts_with(entry->d_name, prefix)) continue;
        iw_cleanup_free char *path = iw_path_join(parent, entry->d_name);
        iw_cleanup_fd int fd = lock_folder(path);
        if (fd >= 0 && is_ours(fd)) iw_remove_tree(path, NULL);
    }
    if (directory) closedir(directory);
}

int iw_scratch_open(const char *prefix, iw_scratch *out, iw_error *err)
{
    const char *tmp = getenv("TMPDIR"), *parent = tmp && *tmp ? tmp : "/var/tmp";
    *out = (iw_scratch){.lock = -1};
    remove_left(parent, prefix);
    for (;;) {
        if (iw_temporary_folder(parent, prefix, &out->path, err) != 0) return -1;
        out->lock = lock_folder(out->path);
        /* Another run may have taken it for one that was left, in the moment before its lock. */
        bool lost = out->lock < 0 ? errno == EWOULDBLOCK || errno == ENOENT : !is_ours(out->lock);
        if (!lost) return 0; /* without a lock where the file system knows none: nobody gets one */
        if (out->lock >= 0) close(out->lock);
        free(out->path);
    }
}

void iw_scratch_close(iw_scratch *scratch)
{
    if (!scratch->path) return;
    iw_remove_tree(scratch->path, NULL);
    if (scratch->lock >= 0) close(scratch->lock);
    free(scratch->path);
    *scratch = (iw_scratch){.lock = -1};
}
