/* The toolchain's root: packages from the store, unpacked by several processes, prepared, stamped,
 * moved into place. */
#include "build/build.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "build/root.h"
#include "store/archive.h"
#include "wrap/names.h"

/* --- the stamp: "format, content digest, digest of what stat says" -------- */

typedef struct stamp {
    char content[IW_SHA256_HEX]; /* as iw_archive_digest */
    char quick[IW_SHA256_HEX];   /* paths, inodes, sizes and times */
} stamp;

static int quick_visit(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    (void)full, (void)err;
    if (S_ISDIR(status->st_mode)) return 0; /* what is in it says enough */
    char text[160];
    snprintf(text, sizeof text, "%o %ju %jd %jd.%09ld %jd.%09ld", (unsigned)status->st_mode,
             (uintmax_t)status->st_ino, (intmax_t)status->st_size, (intmax_t)status->st_mtim.tv_sec,
             status->st_mtim.tv_nsec, (intmax_t)status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
    iw_hash_add_field(context, relative, text);
    return 0;
}

static int quick_digest(const char *root, char hex[IW_SHA256_HEX], iw_error *err)
{
    iw_hash *hash = iw_hash_new();
    int status = iw_walk(root, quick_visit, hash, err);
    if (status == 0) iw_hash_finish(hash, hex);
    iw_hash_free(hash);
    return status;
}

/* Reads a stamp; false where there is none, or one of another format. */
static bool read_stamp(const char *path, stamp *out)
{
    iw_cleanup_free char *text = NULL;
    size_t length = 0;
    if (iw_read_file(path, 4096, &text, &length, NULL)) return false;
    char format[16];
    return sscanf(text, "format %15s\ncontent %64s\nquick %64s\n", format, out->content,
                  out->quick) == 3 &&
           strcmp(format, IW_ROOT_FORMAT) == 0 && iw_is_sha256(out->content) &&
           iw_is_sha256(out->quick);
}

static int write_stamp(const char *path, const stamp *s, iw_error *err)
{
    iw_cleanup_free char *text =
        iw_format("format %s\ncontent %s\nquick %s\n", IW_ROOT_FORMAT, s->content, s->quick);
    return iw_write_passing(path, text, strlen(text), 0644, err);
}

int iw_root_stamp(const char *root, const char *path, iw_error *err)
{
    stamp s;
    if (iw_archive_digest(root, s.content, err) || quick_digest(root, s.quick, err)) return -1;
    return write_stamp(path, &s, err);
}

/* Whether the tree is as it was stamped: by inodes and times, or, where these differ (a copied
 * store), by its whole content. */
static int root_is_good(const char *root, const char *stamp_path, bool *good, iw_error *err)
{
    stamp known, seen;
    *good = false;
    if (!iw_exists(root) || !read_stamp(stamp_path, &known)) return 0;
    if (quick_digest(root, seen.quick, err)) return -1;
    if (strcmp(known.quick, seen.quick) == 0) {
        *good = true;
        return 0;
    }
    if (iw_archive_digest(root, seen.content, err)) return -1;
    if (strcmp(known.content, seen.content)) return 0;
    *good = true;
    memcpy(known.quick, seen.quick, sizeof known.quick);
    return write_stamp(stamp_path, &known, err);
}

/* --- unpacking by several processes --------------------------------------- */

typedef struct team {
    iw_store *store;
    const iw_toolchain *toolchain;
    const char *root;
    _Atomic size_t *next; /* shared: the next package nobody has taken */
    int report;           /* "." for each package; text of a failure after a "!" and its kind */
} team;

static int unpack_package(iw_store *store, const iw_toolchain_package *package, const char *root,
                          iw_error *err)
{
    static char *unneeded[] = {"usr/share/man",
                               "usr/share/info",
                               "usr/share/locale",
                               "usr/share/lintian",
                               "usr/bin/qemu-[!x]*-static", /* for other CPUs: 250 MB */
                               "usr/share/bug",
                               NULL};
    const iw_strings skip = {unneeded, 6, 6};
    iw_admission admission = {.set_times = true, .root_links = true, .skip = &skip};
    iw_cleanup_fd int fd = -1;
    if (iw_store_open_source(store, package->sha256, &fd, err) ||
        iw_archive_unpack_deb(fd, iw_path_base(package->file), root, &admission, err))
        return iw_wrap(err, "toolchain package %s %s", package->name, package->version);
    return 0;
}

static _Noreturn void unpack_member(const team *t)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    iw_signals_close(); /* Ctrl-C is the parent's: else it would see it from each of us */
    setpgid(0, 0);
    umask(022);
    iw_error err = IW_ERROR_INIT;
    iw_store *store = NULL;
    int status = iw_store_open(iw_store_root(t->store), NULL, &store, &err);
    while (status == 0) {
        size_t i = atomic_fetch_add(t->next, 1);
        if (i >= t->toolchain->package_count) break;
        status = unpack_package(store, &t->toolchain->packages[i], t->root, &err);
        if (status == 0) status = iw_write_all(t->report, ".", 1, "a pipe", &err);
    }
    if (status) {
        atomic_store(t->next, t->toolchain->package_count);
        iw_cleanup_free char *text = iw_format("!%c%s", 'a' + (int)err.kind, iw_error_text(&err));
        iw_write_all(t->report, text, strlen(text), "a pipe", NULL);
    }
    _exit(status ? 1 : 0);
}

/* Reads the reports until every member has closed its end. */
static int follow_team(int fd, const iw_toolchain *toolchain, const iw_sink *sink, iw_error *err)
{
    iw_cleanup_free char *subject = iw_format("toolchain/%s", toolchain->name);
    iw_cleanup_buffer iw_buffer failure = {0};
    char data[4096];
    ssize_t got;
    uint64_t done = 0;
    while ((got = read(fd, data, sizeof data)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (failure.length || data[i] == '!') iw_buffer_add_char(&failure, data[i]);
            else done++;
        }
        iw_emit(sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                 .subject = subject,
                                 .phase = "unpack",
                                 .count = done,
                                 .total = toolchain->package_count});
    }
    if (failure.length < 3)
        return done == toolchain->package_count
                   ? 0
                   : iw_fail(err, IW_E_IO, "unpacking the toolchain: a process of ours died");
    return iw_fail(err, (iw_error_kind)(failure.data[1] - 'a'), "%s", failure.data + 2);
}

static int unpack_all(iw_store *store, const iw_toolchain *toolchain, const char *root,
                      const iw_sink *sink, iw_error *err)
{
    unsigned cores = iw_core_count();
    size_t size = cores > 16 ? 16 : cores, started = 0;
    pid_t members[16];
    int report[2];
    team t = {store, toolchain, root, NULL, -1};
    t.next = mmap(NULL, sizeof *t.next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t.next == MAP_FAILED) return iw_fail_errno(err, IW_E_MEMORY, "unpacking the toolchain");
    if (pipe2(report, O_CLOEXEC)) {
        munmap((void *)t.next, sizeof *t.next);
        return iw_fail_errno(err, IW_E_IO, "unpacking the toolchain");
    }
    t.report = report[1];
    int status = 0;
    for (; started < size; started++) {
        pid_t pid = fork();
        if (pid == 0) unpack_member(&t);
        if (pid < 0) break;
        members[started] = pid;
    }
    close(report[1]);
    if (!started)
        status = iw_fail_errno(err, IW_E_IO, "starting a process to unpack the toolchain");
    if (!status) status = follow_team(report[0], toolchain, sink, err);
    close(report[0]);
    for (size_t i = 0; i < started; i++) {
        int ended = 0;
        iw_wait(members[i], &ended, NULL);
    }
    munmap((void *)t.next, sizeof *t.next);
    return status;
}

/* --- the whole ------------------------------------------------------------ */

/* Everything of the file system that holds `path` to the disk: one call for 30,000 files. */
static int sync_all(const char *path, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd)) return iw_fail_errno(err, IW_E_IO, "writing %s to the disk", path);
    return 0;
}

static int make_root(iw_store *store, const iw_toolchain *toolchain, const iw_sink *sink,
                     const char *temporary, const char *root, const char *stamp_path, iw_error *err)
{
    iw_cleanup_free char *fresh = iw_path_join(temporary, "root");
    iw_cleanup_strings iw_strings names = {0};
    iw_cleanup_free char *fresh_stamp = iw_path_join(temporary, "stamp");
    iw_strings_add_all(&names, iw_wrapped_names());
    if (iw_make_folders(fresh, 0755, err) || iw_root_skeleton(fresh, err) ||
        unpack_all(store, toolchain, fresh, sink, err) || iw_root_prepare(fresh, &names, err) ||
        iw_root_stamp(fresh, fresh_stamp, err) || sync_all(fresh, err))
        return -1;
    if (unlink(stamp_path) && iw_exists(stamp_path))
        return iw_fail_errno(err, IW_E_IO, "removing %s", stamp_path);
    if (iw_remove_tree(root, err)) return -1;
    if (rename(fresh, root)) return iw_fail_errno(err, IW_E_IO, "moving the toolchain to %s", root);
    return iw_publish(fresh_stamp, stamp_path, err);
}

static int make_locked(iw_store *store, const iw_toolchain *toolchain, const iw_sink *sink,
                       const char *root, const char *stamp_path, iw_error *err)
{
    bool good = false;
    if (root_is_good(root, stamp_path, &good, err)) return -1;
    if (good) return 0;
    iw_cleanup_free char *subject = iw_format("toolchain/%s", toolchain->name);
    iw_cleanup_free char *parent = iw_store_path(store, "tmp", "");
    iw_cleanup_free char *temporary = NULL;
    if (iw_make_folders(parent, 0755, err) ||
        iw_temporary_folder(parent, "toolchain-", &temporary, err))
        return -1;
    iw_emit(sink, (iw_event){.type = IW_EVENT_STARTED, .subject = subject, .phase = "unpack"});
    int status = make_root(store, toolchain, sink, temporary, root, stamp_path, err);
    iw_remove_tree(temporary, NULL);
    if (status == 0)
        iw_emit(sink, (iw_event){.type = IW_EVENT_FINISHED,
                                 .subject = subject,
                                 .phase = "unpack",
                                 .detail = "unpacked"});
    return status;
}

int iw_toolchain_root(iw_store *store, const iw_toolchain *toolchain, const iw_sink *sink,
                      char **root, iw_error *err)
{
    iw_cleanup_free char *folder = iw_store_path(store, "toolchains", toolchain->digest);
    iw_cleanup_free char *path = iw_path_join(folder, "root");
    iw_cleanup_free char *stamp_path = iw_path_join(folder, "stamp");
    iw_cleanup_free char *lock = iw_path_join(folder, "lock");
    iw_cleanup_fd int locked = -1;
    if (iw_make_folders(folder, 0755, err) || iw_lock_file(lock, true, false, &locked, err))
        return -1;
    if (locked < 0) {
        iw_emit(sink, (iw_event){.type = IW_EVENT_NOTE,
                                 .subject = toolchain->name,
                                 .detail = "waiting for another run that unpacks the toolchain"});
        if (iw_lock_file(lock, true, true, &locked, err)) return -1;
    }
    if (make_locked(store, toolchain, sink, path, stamp_path, err))
        return iw_wrap(err, "toolchain %s", toolchain->name);
    *root = iw_steal(&path);
    return 0;
}
