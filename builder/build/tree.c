#include "build/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/build.h"
#include "build/sandbox.h"

void iw_tree_init(iw_tree *tree, const iw_store *store, const iw_node *node, bool sandboxed)
{
    memset(tree, 0, sizeof *tree);
    tree->name =
        iw_format("%s-%s-%.12s", node->recipe->name, node->recipe->version, node->plan_key);
    tree->folder = iw_store_path(store, "work", tree->name);
    tree->build = iw_path_join(tree->folder, "build");
    tree->prefix = iw_path_join(tree->folder, "prefix");
    tree->seen_build = iw_strdup(sandboxed ? "/build" : tree->build);
    tree->seen_prefix = iw_strdup(sandboxed ? IW_PREFIX : tree->prefix);
    tree->out = iw_format("%s/out%s", tree->build, tree->seen_prefix);
    tree->logs = iw_store_path(store, "logs", tree->name);
    tree->objects = iw_path_join(iw_store_root(store), "objects");
    tree->lock = -1;
}

void iw_tree_clear(iw_tree *tree)
{
    char *all[] = {tree->name,        tree->folder, tree->build, tree->prefix, tree->seen_build,
                   tree->seen_prefix, tree->out,    tree->logs,  tree->objects};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    if (tree->name && tree->lock >= 0) close(tree->lock);
    memset(tree, 0, sizeof *tree);
    tree->lock = -1;
}

int iw_tree_lock(iw_tree *tree, bool wait, bool *locked, iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s.lock", tree->folder);
    iw_cleanup_free char *parent = iw_path_parent(path);
    if (iw_make_folders(parent, 0755, err) || iw_lock_file(path, true, wait, &tree->lock, err))
        return -1;
    *locked = tree->lock >= 0;
    return 0;
}

/* x.log becomes x.log.1, for every x. */
static int rotate_logs(const char *folder, iw_error *err)
{
    if (iw_make_folders(folder, 0755, err)) return -1;
    DIR *dir = opendir(folder);
    if (!dir) return iw_fail_errno(err, IW_E_IO, "reading %s", folder);
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(dir));) {
        if (!iw_ends_with(entry->d_name, ".log")) continue;
        iw_cleanup_free char *from = iw_path_join(folder, entry->d_name);
        iw_cleanup_free char *to = iw_format("%s.1", from);
        if (rename(from, to)) status = iw_fail_errno(err, IW_E_IO, "keeping the log %s", from);
    }
    closedir(dir);
    return status;
}

int iw_tree_start(iw_tree *tree, iw_error *err)
{
    static const char *const folders[] = {"build/src", "build/home",    "build/files",
                                          "build/tmp", "build/patches", "prefix"};
    if (iw_remove_tree(tree->folder, err) || rotate_logs(tree->logs, err)) return -1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        iw_cleanup_free char *path = iw_path_join(tree->folder, folders[i]);
        if (iw_make_folders(path, 0755, err)) return -1;
    }
    return iw_make_folders(tree->out, 0755, err) || iw_make_folders(tree->objects, 0755, err) ? -1
                                                                                              : 0;
}

int iw_tree_remove(iw_tree *tree, iw_error *err)
{
    return iw_remove_tree(tree->folder, err);
}

int iw_tree_log(const iw_tree *tree, const char *phase, int *fd, char **path, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("%s/%s.log", tree->logs, phase);
    *fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (*fd < 0) return iw_fail_errno(err, IW_E_IO, "opening the log %s", name);
    if (path) *path = iw_steal(&name);
    return 0;
}

char *iw_log_tail(const char *path, size_t bytes)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) return iw_strdup("");
    off_t start = status.st_size > (off_t)bytes ? status.st_size - (off_t)bytes : 0;
    char *text = iw_alloc(bytes + 1);
    ssize_t got = pread(fd, text, bytes, start);
    if (got < 0) got = 0;
    text[got] = '\0';
    for (ssize_t i = 0; i < got; i++)
        if (text[i] == '\0') text[i] = ' ';
    char *line = start > 0 ? strchr(text, '\n') : NULL;
    if (line) memmove(text, line + 1, strlen(line + 1) + 1);
    return text;
}

/* --- finding a log -------------------------------------------------------- */

/* Whether `folder` is "<name>-<version>-<12 hex digits>"; version NULL: any. */
static bool is_log_folder(const char *folder, const char *name, const char *version)
{
    size_t length = strlen(folder), start = strlen(name);
    if (length < start + 15 || strncmp(folder, name, start) || folder[start] != '-') return false;
    const char *key = folder + length - 13;
    if (key[0] != '-' || strspn(key + 1, "0123456789abcdef") != 12) return false;
    if (!version)
        return folder[start + 1] >= '0' && folder[start + 1] <= '9'; /* not of <name>-more */
    const char *there = folder + start + 1;
    return (size_t)(key - there) == strlen(version) &&
           strncmp(there, version, strlen(version)) == 0;
}

typedef struct newest {
    char *path;
    struct timespec time;
} newest;

static void consider(newest *best, const char *path)
{
    struct stat status;
    if (stat(path, &status)) return;
    bool later =
        status.st_mtim.tv_sec > best->time.tv_sec || (status.st_mtim.tv_sec == best->time.tv_sec &&
                                                      status.st_mtim.tv_nsec >= best->time.tv_nsec);
    if (best->path && !later) return;
    free(best->path);
    best->path = iw_strdup(path);
    best->time = status.st_mtim;
}

static void consider_folder(newest *best, const char *folder, const char *phase)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!iw_ends_with(entry->d_name, ".log")) continue;
        size_t length = strlen(entry->d_name) - 4;
        if (phase && (strlen(phase) != length || strncmp(phase, entry->d_name, length))) continue;
        iw_cleanup_free char *path = iw_path_join(folder, entry->d_name);
        consider(best, path);
    }
    closedir(dir);
}

int iw_build_log_path(iw_store *store, const char *name, const char *version, const char *phase,
                      char **path, iw_error *err)
{
    iw_cleanup_free char *logs = iw_path_join(iw_store_root(store), "logs");
    newest best = {NULL, {0, 0}};
    DIR *dir = opendir(logs);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!is_log_folder(entry->d_name, name, version)) continue;
        iw_cleanup_free char *folder = iw_path_join(logs, entry->d_name);
        consider_folder(&best, folder, phase);
    }
    if (dir) closedir(dir);
    if (!best.path)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "no log of %s%s%s%s%s in %s: it has not been built with this store", name,
                       version ? "/" : "", version ? version : "", phase ? ", phase " : "",
                       phase ? phase : "", logs);
    *path = best.path;
    return 0;
}
