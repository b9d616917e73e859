#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/store_internal.h"

const char *const iw_store_folders[] = {"sources", "artifacts", "toolchains", "objects", "work",
                                        "logs",    "history",   "tmp",        NULL};

static int unusable(const char *path, iw_error *err)
{
    return iw_fail_errno(err, IW_E_ENVIRONMENT,
                         "can't use %s as the store; make it writable, or choose another with "
                         "--cache or IRONWHEEL_CACHE",
                         path);
}

static int make_folders(const char *root, iw_error *err)
{
    for (size_t i = 0; iw_store_folders[i]; i++) {
        iw_cleanup_free char *path = iw_path_join(root, iw_store_folders[i]);
        struct stat status;
        if (mkdir(path, 0755) == 0 ||
            (errno == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
            continue;
        return unusable(path, err);
    }
    return 0;
}

static int fill(void *context, iw_index *index, iw_error *err)
{
    const char *root = context;
    if (iw_index_query(index, IW_Q_BEGIN, NULL, 0, NULL, err) != 0) return -1;
    if (iw_store_fill_artifacts(root, index, err) == 0 &&
        iw_store_fill_measures(root, index, err) == 0 &&
        iw_index_query(index, IW_Q_COMMIT, NULL, 0, NULL, err) == 0)
        return 0;
    iw_index_query(index, IW_Q_ROLLBACK, NULL, 0, NULL, NULL);
    return -1;
}

static int open_root(const char *path, iw_store *store, iw_error *err)
{
    iw_error inner = IW_ERROR_INIT;
    if (iw_make_folders(path, 0755, &inner) != 0) {
        errno = inner.sys ? inner.sys : ENOTDIR;
        iw_error_clear(&inner);
        return unusable(path, err);
    }
    store->root = realpath(path, NULL);
    if (!store->root) return unusable(path, err);
    if (make_folders(store->root, err) != 0) return -1;
    iw_cleanup_free char *lock = iw_path_join(store->root, "store.lock");
    if (iw_fault(IW_FAULT_OPEN)) return unusable(store->root, err);
    if (iw_lock_file(lock, false, true, &store->lock, &inner) == 0) return 0;
    errno = inner.sys;
    iw_error_clear(&inner);
    return unusable(store->root, err);
}

int iw_store_open(const char *path, const char *fallback, iw_store **out, iw_error *err)
{
    *out = NULL;
    const char *chosen = getenv("IRONWHEEL_CACHE");
    if (!path || !*path) path = chosen && *chosen ? chosen : fallback;
    if (!path || !*path)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "no folder is named for the store: give --cache DIR or set IRONWHEEL_CACHE");
    iw_store *store = iw_alloc(sizeof *store);
    store->lock = -1;
    if (open_root(path, store, err) != 0 ||
        iw_index_open(store->root, fill, store->root, &store->index, err) != 0) {
        iw_store_close(store);
        return -1;
    }
    *out = store;
    return 0;
}

void iw_store_close(iw_store *store)
{
    if (!store) return;
    iw_index_close(store->index);
    iw_close_fd(&store->lock);
    for (size_t i = 0; i < store->laid_count; i++) {
        free(store->laid[i].folder);
        free(store->laid[i].build_key);
        free(store->laid[i].title);
    }
    free(store->laid);
    free(store->root);
    free(store);
}

const char *iw_store_root(const iw_store *store)
{
    return store->root;
}

char *iw_store_path(const iw_store *store, const char *folder, const char *name)
{
    return iw_path_join3(store->root, folder, name);
}

void iw_store_remove_damaged(const char *path, const struct stat *seen)
{
    struct stat now;
    if (lstat(path, &now) != 0 || now.st_ino != seen->st_ino || now.st_dev != seen->st_dev) return;
    (void)!unlink(path);
}

int iw_store_temporary(const iw_store *store, const char *prefix, char **path, int *fd,
                       iw_error *err)
{
    iw_cleanup_free char *name = iw_format("%s/tmp/%s-XXXXXX", store->root, prefix);
    *path = NULL;
    *fd = iw_fault(IW_FAULT_OPEN) ? -1 : mkostemp(name, O_CLOEXEC);
    if (*fd < 0) return iw_fail_errno(err, IW_E_IO, "can't make a file in %s/tmp", store->root);
    *path = iw_steal(&name);
    return 0;
}
