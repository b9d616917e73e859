/* Laying a source below $SRC, for the build. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/crates.h"
#include "fetch/fetch.h"
#include "store/archive.h"

/* --- local files ---------------------------------------------------------- */

struct copy {
    const char *to;
};

static int copy_entry(void *context, const char *relative, const char *full,
                      const struct stat *status, iw_error *err)
{
    struct copy *copy = context;
    iw_cleanup_free char *to = iw_path_join(copy->to, relative);
    if (S_ISDIR(status->st_mode)) return iw_make_folders(to, 0755, err);
    if (S_ISLNK(status->st_mode)) {
        char target[4096];
        ssize_t length = readlink(full, target, sizeof target - 1);
        if (length < 0) return iw_fail_errno(err, IW_E_IO, "can't read the link %s", full);
        target[length] = 0;
        return symlink(target, to) == 0 ? 0
                                        : iw_fail_errno(err, IW_E_IO, "can't make the link %s", to);
    }
    if (!S_ISREG(status->st_mode))
        return iw_fail(err, IW_E_RECIPE, "%s is neither file, folder nor link", full);
    if (iw_copy_file(full, to, err) != 0) return -1;
    if (chmod(to, status->st_mode & 0100 ? 0755 : 0644) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't set the mode of %s", to);
    struct timespec times[2] = {{IW_ARCHIVE_TIME, 0}, {IW_ARCHIVE_TIME, 0}};
    utimensat(AT_FDCWD, to, times, 0);
    return 0;
}

static int lay_local(const iw_source *source, const char *to, iw_error *err)
{
    struct stat status;
    if (stat(source->local_path, &status) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't look at %s", source->local_path);
    struct copy copy = {to};
    if (S_ISDIR(status.st_mode)) return iw_walk(source->local_path, copy_entry, &copy, err);
    return copy_entry(&copy, iw_path_base(source->local_path), source->local_path, &status, err);
}

/* --- files from the store ------------------------------------------------- */

static int lay_file(iw_store *store, const iw_source *source, const char *to, iw_error *err)
{
    iw_cleanup_fd int fd = -1;
    if (iw_store_open_source(store, source->sha256, &fd, err) != 0) return -1;
    iw_cleanup_free char *from = iw_store_source_path(store, source->sha256),
                         *path = iw_path_join(to, source->file);
    if (iw_copy_file(from, path, err) != 0) return -1;
    struct timespec times[2] = {{IW_ARCHIVE_TIME, 0}, {IW_ARCHIVE_TIME, 0}};
    if (chmod(path, 0644) != 0 || utimensat(AT_FDCWD, path, times, 0) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't set up %s", path);
    return 0;
}

static int lay_archive(iw_store *store, const iw_source *source, const char *to, iw_error *err)
{
    iw_cleanup_fd int fd = -1;
    if (iw_store_open_source(store, source->sha256, &fd, err) != 0) return -1;
    const char *name = source->file ? source->file : source->name;
    /* Debian's packages keep their paths; a wheel has no top folder. */
    iw_admission admission = {.strip = source->kind == IW_SOURCE_GIT ? 0 : source->strip,
                              .set_times = true};
    if (source->binary || iw_ends_with(name, ".deb")) {
        admission.root_links = true;
        return iw_archive_unpack_deb(fd, name, to, &admission, err);
    }
    return iw_archive_unpack(fd, name, to, &admission, err);
}

int iw_source_lay(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                  const char *folder, iw_error *err)
{
    iw_cleanup_free char *joined = iw_path_join(folder, source->to);
    iw_cleanup_free char *to = iw_path_clean(joined);
    if (source->kind == IW_SOURCE_CRATES) return iw_crates_lay(store, recipe, source, folder, err);
    int status = iw_make_folders(to, 0755, err);
    if (status == 0 && source->kind == IW_SOURCE_LOCAL) status = lay_local(source, to, err);
    else if (status == 0)
        status =
            source->unpack ? lay_archive(store, source, to, err) : lay_file(store, source, to, err);
    return status == 0 ? 0
                       : iw_wrap(err, "%s:%d: source %s",
                                 source->place.file ? source->place.file : recipe->name,
                                 source->place.line, source->id);
}
