/* Sizes, verification and garbage collection. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"
#include "store/store_internal.h"

#define TEMPORARY_AGE (24 * 3600) /* seconds: a broken download may be continued for a day */

/* --- sizes ---------------------------------------------------------------- */

static int count_visit(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    (void)relative, (void)full, (void)err;
    iw_usage *row = context;
    if (S_ISDIR(status->st_mode)) return 0;
    row->files++;
    row->bytes += (uint64_t)status->st_size;
    return 0;
}

int iw_store_usage(iw_store *store, iw_usage *rows, size_t capacity, size_t *count, iw_error *err)
{
    *count = 0;
    for (size_t i = 0; i < capacity && iw_store_folders[i]; i++) {
        iw_cleanup_free char *path = iw_path_join(store->root, iw_store_folders[i]);
        iw_error inner = IW_ERROR_INIT;
        rows[i] = (iw_usage){.folder = iw_store_folders[i]};
        /* What another process removes meanwhile ends the walk of a folder: its numbers are then
         * those so far. */
        if (iw_walk(path, count_visit, &rows[i], &inner) != 0 && inner.sys != ENOENT) {
            iw_error_move(err, &inner);
            return -1;
        }
        iw_error_clear(&inner);
        *count = i + 1;
    }
    return 0;
}

/* --- verification --------------------------------------------------------- */

typedef struct verifier {
    iw_store *store;
    void (*bad)(void *context, const char *path, const char *why);
    void *context;
} verifier;

static void tell(const verifier *v, const char *path, const char *why)
{
    if (v->bad) v->bad(v->context, path, why);
}

static int verify_source(verifier *v, const char *relative, const char *full, iw_error *err)
{
    if (!iw_is_sha256(relative)) {
        tell(v, full, "its name is no SHA-256");
        return iw_remove_tree(full, err);
    }
    iw_cleanup_fd int fd = -1;
    iw_error inner = IW_ERROR_INIT;
    if (iw_store_open_source(v->store, relative, &fd, &inner) == 0) return 0;
    if (inner.kind == IW_E_DIGEST) tell(v, full, iw_error_text(&inner));
    bool go_on = inner.kind == IW_E_DIGEST || inner.kind == IW_E_NOT_FOUND;
    if (!go_on) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return go_on ? 0 : -1;
}

static int verify_one_artifact(verifier *v, const char *key, const char *full, iw_error *err)
{
    iw_artifact artifact;
    struct stat seen;
    iw_error inner = IW_ERROR_INIT;
    int status = iw_artifact_read(v->store->root, key, &artifact, &inner);
    if (status == 0) status = iw_artifact_verify(v->store->root, &artifact, &seen, &inner);
    iw_artifact_clear(&artifact);
    if (status == 0) return 0;
    if (inner.kind != IW_E_DIGEST && inner.kind != IW_E_NOT_FOUND) {
        iw_error_move(err, &inner);
        return -1;
    }
    tell(v, full, iw_error_text(&inner));
    iw_error_clear(&inner);
    return iw_artifact_remove(v->store, key, err);
}

static int verify_artifact(verifier *v, const char *relative, const char *full, iw_error *err)
{
    char key[IW_SHA256_HEX];
    snprintf(key, sizeof key, "%.64s", relative);
    const char *ending = strlen(relative) > 64 ? relative + 64 : "";
    bool json = strcmp(ending, ".json") == 0, tar = strcmp(ending, ".tar.zst") == 0;
    if (!iw_is_sha256(key) || (!json && !tar)) {
        tell(v, full, "it is no part of an artifact");
        return iw_remove_tree(full, err);
    }
    if (json) return verify_one_artifact(v, key, full, err);
    iw_cleanup_free char *other = iw_artifact_path(v->store->root, key, ".json");
    if (iw_exists(other)) return 0;
    tell(v, full, "its .json is missing");
    return iw_artifact_remove(v->store, key, err);
}

/* A toolchain's stamp (`build` writes it) holds the content digest of its root in a line "content
 * <sha256>". */
static int verify_toolchain(verifier *v, const char *relative, const char *full, iw_error *err)
{
    (void)relative;
    iw_cleanup_free char *stamp = iw_path_join(full, "stamp"), *root = iw_path_join(full, "root"),
                         *text = NULL;
    char content[IW_SHA256_HEX] = "", found[IW_SHA256_HEX];
    if (!iw_exists(root)) return 0;
    const char *line =
        iw_read_file(stamp, 4096, &text, NULL, NULL) == 0 ? strstr(text, "content ") : NULL;
    if (line) snprintf(content, sizeof content, "%.64s", line + 8);
    if (!iw_is_sha256(content)) {
        tell(v, root, "its stamp is missing or damaged");
    } else {
        if (iw_archive_digest(root, found, err) != 0) return -1;
        if (strcmp(found, content) == 0) return 0;
        tell(v, root, "its content is not what was unpacked");
    }
    if (unlink(stamp) != 0 && errno != ENOENT)
        return iw_fail_errno(err, IW_E_IO, "can't remove %s", stamp);
    return iw_remove_tree(root, err);
}

static int list_name(void *context, const char *relative, const char *full,
                     const struct stat *status, iw_error *err)
{
    (void)full, (void)status, (void)err;
    iw_strings_add(context, relative);
    return 1;
}

int iw_store_verify(iw_store *store, void (*bad)(void *context, const char *path, const char *why),
                    void *context, iw_error *err)
{
    static const struct {
        const char *folder;
        int (*visit)(verifier *v, const char *relative, const char *full, iw_error *err);
    } parts[] = {{"sources", verify_source},
                 {"artifacts", verify_artifact},
                 {"toolchains", verify_toolchain}};
    verifier v = {store, bad, context};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        iw_cleanup_free char *path = iw_path_join(store->root, parts[i].folder);
        iw_cleanup_strings iw_strings names = {
            0}; /* all of them first: what is damaged is removed on the way */
        if (iw_walk(path, list_name, &names, err) != 0) return -1;
        for (size_t j = 0; j < names.count; j++) {
            iw_cleanup_free char *full = iw_path_join(path, names.items[j]);
            if (iw_exists(full) && parts[i].visit(&v, names.items[j], full, err) != 0) return -1;
        }
    }
    return 0;
}

/* --- garbage collection --------------------------------------------------- */

/* "1234 (ironwheel build base), 1301 (…)": the other processes that hold a flock on the file;
 * caller frees. */
static char *holders_of(const char *path)
{
    struct stat status;
    iw_buffer out = {0};
    FILE *locks = fopen("/proc/locks", "re");
    char line[256];
    while (locks && stat(path, &status) == 0 && fgets(line, sizeof line, locks)) {
        long pid;
        uintmax_t inode;
        if (sscanf(line, "%*s FLOCK %*s %*s %ld %*x:%*x:%ju", &pid, &inode) != 2 ||
            inode != status.st_ino || pid <= 0 || pid == getpid())
            continue;
        iw_cleanup_free char *name = iw_format("/proc/%ld/cmdline", pid), *command = NULL;
        size_t length = 0;
        (void)!iw_read_file(name, 1 << 20, &command, &length, NULL);
        for (size_t i = 0; command && i + 1 < length; i++)
            if ((unsigned char)command[i] < 32) command[i] = ' ';
        iw_buffer_add_format(&out, "%sprocess %ld (%.80s)", out.length ? ", " : "", pid,
                             command ? command : "?");
    }
    if (locks) fclose(locks);
    if (!out.length) iw_buffer_add_text(&out, "another process");
    return iw_buffer_take(&out);
}

/* For the time of a collection nobody else may have the store open. */
static int lock_alone(iw_store *store, iw_error *err)
{
    while (flock(store->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        bool held = errno == EWOULDBLOCK;
        int sys = errno;
        while (flock(store->lock, LOCK_SH) != 0 && errno == EINTR)
            continue; /* a failed change has let the old lock go */
        errno = sys;
        if (!held) return iw_fail_errno(err, IW_E_IO, "can't lock the store %s", store->root);
        iw_cleanup_free char *path = iw_path_join(store->root, "store.lock"),
                             *who = holders_of(path);
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "the store %s is in use by %s: run gc when that has ended", store->root,
                       who);
    }
    return 0;
}

typedef struct object {
    char *path;
    int64_t used;
    uint64_t size;
} object;

typedef struct collector {
    iw_store *store;
    const iw_gc_keep *keep;
    uint64_t files, bytes;
    object *objects;
    size_t object_count, object_capacity;
    uint64_t object_bytes;
} collector;

static int add_up(void *context, const char *relative, const char *full, const struct stat *status,
                  iw_error *err)
{
    (void)relative, (void)full, (void)err;
    collector *c = context;
    if (S_ISDIR(status->st_mode)) return 0;
    c->files++;
    c->bytes += (uint64_t)status->st_size;
    return 0;
}

/* Counts and removes a file or tree; returns 1, so that a walk doesn't go into it. */
static int collect(collector *c, const char *full, const struct stat *status, iw_error *err)
{
    if (S_ISDIR(status->st_mode)) {
        if (iw_walk(full, add_up, c, err) != 0) return -1;
    } else {
        add_up(c, NULL, full, status, err);
    }
    if (c->keep->dry_run) return 1;
    return iw_remove_tree(full, err) == 0 ? 1 : -1;
}

static bool kept(const iw_strings *list, const char *name)
{
    return list && iw_strings_has(list, name);
}

static int gc_source(void *context, const char *relative, const char *full,
                     const struct stat *status, iw_error *err)
{
    collector *c = context;
    if (kept(c->keep->sources, relative)) return 1;
    if (collect(c, full, status, err) < 0) return -1;
    if (c->keep->dry_run) return 1;
    return iw_index_query(c->store->index, IW_Q_SOURCE_DROP, (iw_value[]){IW_TEXT(relative)}, 1,
                          NULL, err) == 0
               ? 1
               : -1;
}

static int gc_artifact(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    collector *c = context;
    char key[IW_SHA256_HEX];
    snprintf(key, sizeof key, "%.64s", relative);
    iw_cleanup_free char *json = iw_artifact_path(c->store->root, key, ".json");
    /* A tar without its .json is what a kill left. */
    if (kept(c->keep->keys, key) && iw_exists(json)) return 1;
    if (collect(c, full, status, err) < 0) return -1; /* the .json first: it comes first by bytes */
    if (c->keep->dry_run) return 1;
    return iw_index_query(c->store->index, IW_Q_ARTIFACT_DROP, (iw_value[]){IW_TEXT(key)}, 1, NULL,
                          err) == 0
               ? 1
               : -1;
}

/* *free: nobody holds the lock file. */
static int is_free(const char *lock, bool *unlocked, iw_error *err)
{
    *unlocked = true;
    if (!iw_exists(lock)) return 0;
    iw_cleanup_fd int fd = -1;
    if (iw_lock_file(lock, true, false, &fd, err) != 0) return -1;
    *unlocked = fd >= 0;
    return 0;
}

static int gc_toolchain(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    collector *c = context;
    bool unlocked = true;
    if (kept(c->keep->toolchains, relative)) return 1;
    iw_cleanup_free char *lock = iw_path_join(full, "lock");
    if (is_free(lock, &unlocked, err) != 0) return -1;
    return unlocked ? collect(c, full, status, err) : 1;
}

static int gc_work(void *context, const char *relative, const char *full, const struct stat *status,
                   iw_error *err)
{
    collector *c = context;
    bool unlocked = true;
    iw_cleanup_free char *lock =
        iw_ends_with(relative, ".lock") ? iw_strdup(full) : iw_format("%s.lock", full);
    if (is_free(lock, &unlocked, err) != 0) return -1;
    return unlocked ? collect(c, full, status, err) : 1;
}

static int gc_temporary(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    (void)relative;
    if (time(NULL) - status->st_mtime < TEMPORARY_AGE) return 1;
    return collect(context, full, status, err);
}

static int list_object(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    (void)relative, (void)err;
    collector *c = context;
    if (!S_ISREG(status->st_mode)) return 0;
    iw_grow((void **)&c->objects, &c->object_capacity, c->object_count + 1, sizeof *c->objects);
    int64_t used = status->st_mtime > status->st_atime ? status->st_mtime : status->st_atime;
    c->objects[c->object_count++] = (object){iw_strdup(full), used, (uint64_t)status->st_size};
    c->object_bytes += (uint64_t)status->st_size;
    return 0;
}

static int by_use(const void *a, const void *b)
{
    const object *x = a, *y = b;
    return x->used != y->used ? (x->used > y->used) - (x->used < y->used)
                              : strcmp(x->path, y->path);
}

static int gc_objects(collector *c, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(c->store->root, "objects");
    int status = iw_walk(path, list_object, c, err);
    if (c->object_count) qsort(c->objects, c->object_count, sizeof *c->objects, by_use);
    for (size_t i = 0;
         status == 0 && i < c->object_count && c->object_bytes > c->keep->objects_limit; i++) {
        c->object_bytes -= c->objects[i].size;
        c->files++;
        c->bytes += c->objects[i].size;
        if (!c->keep->dry_run) status = iw_remove_tree(c->objects[i].path, err);
    }
    for (size_t i = 0; i < c->object_count; i++) free(c->objects[i].path);
    free(c->objects);
    return status;
}

static int collect_all(collector *c, iw_error *err)
{
    static const struct {
        const char *folder;
        iw_walk_visit visit;
    } parts[] = {{"sources", gc_source},
                 {"artifacts", gc_artifact},
                 {"toolchains", gc_toolchain},
                 {"work", gc_work},
                 {"tmp", gc_temporary}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        iw_cleanup_free char *path = iw_path_join(c->store->root, parts[i].folder);
        if (iw_walk(path, parts[i].visit, c, err) != 0) return -1;
    }
    iw_cleanup_free char *aside = iw_path_join(c->store->root, "index.sqlite.damaged");
    struct stat status;
    if (lstat(aside, &status) == 0 && collect(c, aside, &status, err) < 0) return -1;
    return gc_objects(c, err);
}

int iw_store_gc(iw_store *store, const iw_gc_keep *keep, uint64_t *files, uint64_t *bytes,
                iw_error *err)
{
    collector c = {.store = store, .keep = keep};
    if (!keep->dry_run && lock_alone(store, err) != 0) return -1;
    int status = collect_all(&c, err);
    if (!keep->dry_run) (void)!flock(store->lock, LOCK_SH);
    if (files) *files = c.files;
    if (bytes) *bytes = c.bytes;
    return status;
}
