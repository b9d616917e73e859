/* The digest of a local source: the same for the same names, contents, x bits and links, whatever
 * the file system. */
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/catalog.h"

#define MAX_ENTRIES 20000
#define MAX_BYTES ((uint64_t)512 << 20)

typedef struct iw_tree_walk {
    iw_hash *hash;
    uint64_t entries, bytes;
} iw_tree_walk;

static int add_link(iw_tree_walk *walk, const char *relative, const char *full, iw_error *err)
{
    char target[4096];
    ssize_t length = readlink(full, target, sizeof target - 1);
    if (length < 0) return iw_fail_errno(err, IW_E_IO, "%s", full);
    target[length] = '\0';
    iw_cleanup_free char *folder = iw_path_parent(relative);
    iw_cleanup_free char *joined = iw_path_join(folder, target);
    iw_cleanup_free char *clean = iw_path_clean(joined);
    if (target[0] == '/' || !iw_path_is_inside(clean))
        return iw_fail(err, IW_E_RECIPE, "%s is a link that leads out of the local source (to %s)",
                       full, target);
    iw_hash_add_field(walk->hash, "link", relative);
    iw_hash_add_field(walk->hash, "to", target);
    return 0;
}

static int add_file(iw_tree_walk *walk, const char *relative, const char *full,
                    const struct stat *status, iw_error *err)
{
    char hex[IW_SHA256_HEX];
    walk->bytes += (uint64_t)status->st_size;
    if (walk->bytes > MAX_BYTES)
        return iw_fail(err, IW_E_RECIPE,
                       "%s: a local source may hold %llu MiB; make it a pinned download", full,
                       (unsigned long long)(MAX_BYTES >> 20));
    if (iw_hash_file(full, hex, NULL, err)) return -1;
    iw_hash_add_field(walk->hash, status->st_mode & 0111 ? "program" : "file", relative);
    iw_hash_add_field(walk->hash, "sha256", hex);
    return 0;
}

static int add_entry(void *context, const char *relative, const char *full,
                     const struct stat *status, iw_error *err)
{
    iw_tree_walk *walk = context;
    if (++walk->entries > MAX_ENTRIES)
        return iw_fail(err, IW_E_RECIPE,
                       "%s: a local source may hold %d files; make it a pinned download", full,
                       MAX_ENTRIES);
    if (S_ISLNK(status->st_mode)) return add_link(walk, relative, full, err);
    if (S_ISREG(status->st_mode)) return add_file(walk, relative, full, status, err);
    if (!S_ISDIR(status->st_mode))
        return iw_fail(err, IW_E_RECIPE, "%s is neither a file nor a folder nor a link", full);
    iw_hash_add_field(walk->hash, "folder", relative);
    return 0;
}

int iw_tree_digest(const char *path, char hex[IW_SHA256_HEX], iw_error *err)
{
    struct stat status;
    if (lstat(path, &status)) return iw_fail_errno(err, IW_E_IO, "%s", path);
    iw_tree_walk walk = {iw_hash_new(), 0, 0};
    iw_hash_add_field(walk.hash, "local", "1");
    int result = S_ISDIR(status.st_mode) ? iw_walk(path, add_entry, &walk, err)
                                         : add_entry(&walk, "", path, &status, err);
    if (result == 0) iw_hash_finish(walk.hash, hex);
    iw_hash_free(walk.hash);
    return result;
}
