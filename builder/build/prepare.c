#include "build/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"

static int make_link(const char *root, const char *name, const char *target, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(root, name);
    if (symlink(target, path) == 0 || errno == EEXIST) return 0;
    return iw_fail_errno(err, IW_E_IO, "making the link %s", path);
}

static int make_folder(const char *root, const char *name, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(root, name);
    return iw_make_folders(path, 0755, err);
}

/* Within a tree that isn't used before it is complete: no fsync. */
static int put_text(const char *root, const char *name, const char *text, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(root, name);
    unlink(path);
    FILE *file = fopen(path, "we");
    if (!file) return iw_fail_errno(err, IW_E_IO, "writing %s", path);
    bool bad = fputs(text, file) < 0;
    if (fclose(file) || bad) return iw_fail_errno(err, IW_E_IO, "writing %s", path);
    if (chmod(path, 0644)) return iw_fail_errno(err, IW_E_IO, "writing %s", path);
    return 0;
}

int iw_root_skeleton(const char *root, iw_error *err)
{
    static const char *const merged[] = {"bin", "sbin", "lib", "lib64", "lib32", "libx32", NULL};
    for (size_t i = 0; merged[i]; i++) {
        iw_cleanup_free char *target = iw_format("usr/%s", merged[i]);
        if (make_folder(root, target, err) || make_link(root, merged[i], target, err)) return -1;
    }
    return 0;
}

/* --- what maintainer scripts would have made ------------------------------ */

typedef struct stand_in { /* /usr/bin/<name>: the first of `of` that is there; patterns take the
                             last match by bytes */
    const char *name, *of[3];
} stand_in;

static const stand_in stand_ins[] = {
    {"sh", {"dash", "bash", NULL}},
    {"awk", {"mawk", "gawk", NULL}},
    {"cc", {"gcc", NULL}},
    {"c++", {"g++", NULL}},
    {"f77", {"gfortran", NULL}},
    {"f95", {"gfortran", NULL}},
    {"which", {"which.debianutils", NULL}},
    {"automake", {"automake-[0-9]*", NULL}},
    {"aclocal", {"aclocal-[0-9]*", NULL}},
    {"yacc", {"bison.yacc", NULL}},
    {"lzma", {"xz", NULL}},
};

/* The last name in `folder` that matches, or NULL. Caller frees. */
static char *last_match(const char *folder, const char *pattern)
{
    DIR *dir = opendir(folder);
    if (!dir) return NULL;
    char *best = NULL;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (fnmatch(pattern, entry->d_name, 0) || (best && strcmp(best, entry->d_name) >= 0))
            continue;
        free(best);
        best = iw_strdup(entry->d_name);
    }
    closedir(dir);
    return best;
}

static int make_stand_ins(const char *root, iw_error *err)
{
    iw_cleanup_free char *bin = iw_path_join(root, "usr/bin");
    for (size_t i = 0; i < sizeof stand_ins / sizeof *stand_ins; i++) {
        iw_cleanup_free char *there = iw_path_join(bin, stand_ins[i].name);
        for (size_t k = 0; stand_ins[i].of[k] && !iw_exists(there); k++) {
            iw_cleanup_free char *target = last_match(bin, stand_ins[i].of[k]);
            if (target && make_link(bin, stand_ins[i].name, target, err)) return -1;
        }
    }
    return 0;
}

static int write_settings(const char *root, iw_error *err)
{
    static const char *const files[][2] = {
        {"etc/passwd",
         "root:x:0:0:root:/:/bin/sh\nbuilder:x:1000:1000:builder:/build/home:/bin/sh\n"
         "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"},
        {"etc/group", "root:x:0:\ntty:x:5:\nbuilder:x:1000:\nnogroup:x:65534:\n"},
        {"etc/hosts", "127.0.0.1 localhost ironwheel\n::1 localhost\n"},
        {"etc/host.conf", "multi on\n"},
        {"etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\nnetworks: "
                              "files\nprotocols: files\n"
                              "services: files\nethers: files\nrpc: files\n"},
    };
    static const char *const folders[] = {
        "etc",  "build", "opt/iw-prefix", "opt/iw-tools", "run/ironwheel",
        "proc", "dev",   "tmp",           "sys",          "var",
        NULL};
    for (size_t i = 0; folders[i]; i++)
        if (make_folder(root, folders[i], err)) return -1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (put_text(root, files[i][0], files[i][1], err)) return -1;
    return make_link(root, "var/tmp", "../tmp", err);
}

/* --- compilers aside ------------------------------------------------------ */

/* Moves <bin>/<name> to <real>/<name>. A link to a neighbour that moves too stays as it is; any
 * other link is set to lead to the same file from its new place, without following it (the link may
 * be absolute as seen inside). */
static int move_name(const char *bin, const char *real, const char *name, const iw_strings *names,
                     iw_error *err)
{
    iw_cleanup_free char *from = iw_path_join(bin, name);
    iw_cleanup_free char *to = iw_path_join(real, name);
    char target[PATH_MAX];
    ssize_t length = readlink(from, target, sizeof target - 1);
    bool neighbour = false;
    if (length > 0) {
        target[length] = '\0';
        neighbour = !strchr(target, '/') && iw_strings_has(names, target);
    }
    if (length > 0 && !neighbour && target[0] != '/') {
        iw_cleanup_free char *moved = iw_format("../../bin/%s", target);
        if (symlink(moved, to) || unlink(from))
            return iw_fail_errno(err, IW_E_IO, "moving %s to %s", from, to);
    } else if (rename(from, to)) return iw_fail_errno(err, IW_E_IO, "moving %s to %s", from, to);
    return put_text(bin, name, "", err);
}

int iw_root_cover(const char *root, const iw_strings *names, iw_error *err)
{
    iw_cleanup_free char *bin = iw_path_join(root, "usr/bin");
    iw_cleanup_free char *real = iw_path_join(root, IW_REAL_FOLDER);
    if (iw_make_folders(real, 0755, err)) return -1;
    iw_cleanup_strings iw_strings there = {0};
    for (size_t i = 0; i < names->count; i++) {
        iw_cleanup_free char *path = iw_path_join(bin, names->items[i]);
        if (iw_exists(path) && !iw_strings_has(&there, names->items[i]))
            iw_strings_add(&there, names->items[i]);
    }
    iw_strings_sort(&there);
    iw_cleanup_buffer iw_buffer list = {0};
    for (size_t i = 0; i < there.count; i++) {
        if (move_name(bin, real, there.items[i], &there, err)) return -1;
        iw_buffer_add_format(&list, "%s\n", there.items[i]);
    }
    return put_text(real, "names", list.length ? list.data : "", err);
}

int iw_root_covered(const char *root, iw_strings *names, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(root, IW_REAL_FOLDER "/names");
    iw_cleanup_free char *text = NULL;
    size_t length = 0;
    if (iw_read_file(path, 1 << 20, &text, &length, err))
        return iw_wrap(err, "the toolchain's root isn't prepared");
    iw_slice rest = {text, length}, line;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (!line.length) continue;
        iw_cleanup_free char *name = iw_strndup(line.data, line.length);
        if (strchr(name, '/'))
            return iw_fail(err, IW_E_FORMAT, "%s: a name holds a slash: %s", path, name);
        iw_strings_add(names, name);
    }
    return 0;
}

static int settle_visit(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    (void)context, (void)relative;
    static const struct timespec times[2] = {{IW_ARCHIVE_TIME, 0}, {IW_ARCHIVE_TIME, 0}};
    if (status->st_mtim.tv_sec == IW_ARCHIVE_TIME) return 0;
    if (utimensat(AT_FDCWD, full, times, AT_SYMLINK_NOFOLLOW))
        return iw_fail_errno(err, IW_E_IO, "setting the time of %s", full);
    return 0;
}

int iw_root_settle(const char *root, iw_error *err)
{
    return iw_walk(root, settle_visit, NULL, err);
}

int iw_root_prepare(const char *root, const iw_strings *names, iw_error *err)
{
    if (make_stand_ins(root, err) || write_settings(root, err) || iw_root_cover(root, names, err))
        return -1;
    return iw_root_settle(root, err);
}
