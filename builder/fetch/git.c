#include "fetch/git.h"

#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#if __has_include(<git2/sys/errors.h>)
#include <git2/sys/errors.h> /* from 1.8 on git_error_set_str stands there */
#endif
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "fetch/transfer.h"
#include "store/archive.h"

#define SUBMODULE_DEPTH 8
#define FILE_LIMIT (UINT64_C(4) << 30)

#define ENTRY_LIMIT                                                                                \
    UINT64_C(4000000) /* files, folders and links of one tree: the same subtree may stand in it    \
                         any number of times */
#define TREE_LIMIT (UINT64_C(64) << 30) /* bytes of all of them */
#define STALL_SECONDS 180 /* without a sign of life from the server; it may be packing */
#define TRIES 3
#define TEXT_LIMIT ((size_t)16 << 20) /* what a child may tell in words */

struct job {
    iw_store *store;
    const iw_fetch_options *options;
    const char *label;
    uint64_t entries, bytes;
    char *broken;               /* the repository that turned out to be damaged, or may be */
    char digest[IW_SHA256_HEX]; /* of the tree that was brought */
};

static int git_failed(iw_error *err, const char *what, const char *url)
{
    const git_error *last = git_error_last();
    return iw_fail(err, IW_E_NETWORK, "%s %s: %s", what, url,
                   last && last->message ? last->message : "unknown trouble");
}

static void note_broken(struct job *job, git_repository *repository)
{
    free(job->broken);
    job->broken = iw_path_clean(git_repository_path(repository)); /* without the slash at its end */
}

/* libgit2 checks each object's name when it reads it. What is damaged is removed, and brought once
 * more. */
static int is_broken(struct job *job, git_repository *repository, const char *url, iw_error *err)
{
    const git_error *last = git_error_last();
    note_broken(job, repository);
    return iw_fail(
        err, IW_E_FORMAT,
        "the copy of %s in the store was damaged (%s) and is removed; run the same command again",
        url, last && last->message ? last->message : "unknown trouble");
}

static bool is_remote(const char *url)
{
    return iw_starts_with(url, "https://") || iw_starts_with(url, "http://") ||
           iw_starts_with(url, "ssh://");
}

/* --- cloning: in a process of its own, since libgit2 1.5 can neither be stopped nor notices a
 * server that says nothing --- */

/* What the child tells: progress in records of this size, then perhaps one that announces the text
 * of an error. */
struct report {
    uint64_t is_error, received, total, bytes;
};

struct child {
    int out;
    double told;
};

static int tell(struct child *child, const git_indexer_progress *stats)
{
    struct report report = {0};
    if (stats)
        report = (struct report){0, stats->received_objects, stats->total_objects,
                                 stats->received_bytes};
    if (iw_now() - child->told < 0.1) return 0;
    child->told = iw_now();
    return write(child->out, &report, sizeof report) == (ssize_t)sizeof report ? 0 : -1;
}

static int on_progress(const git_indexer_progress *stats, void *context)
{
    return tell(context, stats);
}

static int on_sideband(const char *text, int length, void *context)
{
    (void)text, (void)length;
    return tell(context, NULL);
}

/* Never a user's keys or passwords. */
static int no_credentials(git_credential **out, const char *url, const char *user, unsigned allowed,
                          void *context)
{
    (void)out, (void)url, (void)user, (void)allowed, (void)context;
    git_error_set_str(GIT_ERROR_NET,
                      "the server wants a password; only public repositories can be fetched");
    return GIT_EAUTH;
}

/* The bare repository kept for `url`, made where missing; locked, so that two don't fetch into it
 * at once. */
static int open_cache(struct job *job, const char *url, git_repository **out, bool *fresh,
                      int *lock, iw_error *err)
{
    char digest[IW_SHA256_HEX];
    iw_hash_bytes(url, strlen(url), digest);
    iw_cleanup_free char *path = iw_store_path(job->store, "git", digest);
    iw_cleanup_free char *parent = iw_path_parent(path);
    iw_cleanup_free char *lock_path = iw_format("%s.lock", path);
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_lock_file(lock_path, true, true, lock, err) != 0)
        return -1;
    *fresh = git_repository_open_bare(out, path) != 0;
    if (!*fresh) return 0;
    if (iw_remove_tree(path, err) != 0) return -1;
    return git_repository_init(out, path, 1) == 0
               ? 0
               : git_failed(err, "can't make the repository for", url);
}

static int fetch_all_refs(const char *path, const char *url, struct child *child)
{
    git_repository *repository = NULL;
    git_remote *remote = NULL;
    git_fetch_options fetch;
    git_fetch_options_init(&fetch, GIT_FETCH_OPTIONS_VERSION);
    fetch.callbacks.transfer_progress = on_progress;
    fetch.callbacks.sideband_progress = on_sideband;
    fetch.callbacks.credentials = no_credentials;
    fetch.callbacks.payload = child;
    fetch.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    fetch.proxy_opts.type =
        GIT_PROXY_AUTO; /* http_proxy and the like; there is no configuration to look in */
    char heads[] = "+refs/heads/*:refs/heads/*", tags[] = "+refs/tags/*:refs/tags/*",
         *all[] = {heads, tags};
    git_strarray specs = {all, 2};
    int status = git_repository_open_bare(&repository, path);
    if (status == 0) status = git_remote_create_anonymous(&remote, repository, url);
    if (status == 0) status = git_remote_fetch(remote, &specs, &fetch, NULL);
    git_remote_free(remote);
    git_repository_free(repository);
    return status;
}

/* A line for each tag, and one more for what an annotated one points at: "<commit>
 * refs/tags/v1^{}".
 */
static int tell_tags(const char *url, int out)
{
    git_remote *remote = NULL;
    const git_remote_head **heads = NULL;
    size_t count = 0;
    git_remote_callbacks callbacks;
    git_proxy_options proxy;
    struct report text = {.is_error = 1};
    git_remote_init_callbacks(&callbacks, GIT_REMOTE_CALLBACKS_VERSION);
    git_proxy_options_init(&proxy, GIT_PROXY_OPTIONS_VERSION);
    callbacks.credentials = no_credentials;
    proxy.type = GIT_PROXY_AUTO;
    int status = git_remote_create_detached(&remote, url);
    if (status == 0)
        status = git_remote_connect(remote, GIT_DIRECTION_FETCH, &callbacks, &proxy, NULL);
    if (status == 0) status = git_remote_ls(&heads, &count, remote);
    if (status == 0 && write(out, &text, sizeof text) != (ssize_t)sizeof text) status = -1;
    for (size_t i = 0; i < count && status == 0; i++) {
        char hex[GIT_OID_HEXSZ + 1];
        if (!iw_starts_with(heads[i]->name, "refs/tags/")) continue;
        git_oid_tostr(hex, sizeof hex, &heads[i]->oid);
        iw_cleanup_free char *line = iw_format("%s %s\n", hex, heads[i]->name);
        status = iw_write_all(out, line, strlen(line), url, NULL);
    }
    git_remote_free(remote);
    return status;
}

/* Without `path`: the tags of `url`. */
static _Noreturn void run_child(const char *path, const char *url, int out)
{
    struct child child = {out, 0};
    struct report last = {.is_error = 1};
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int number = 1; number < 32; number++)
        signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if ((path ? fetch_all_refs(path, url, &child) : tell_tags(url, out)) == 0) _exit(0);
    const git_error *why = git_error_last();
    const char *text = why && why->message ? why->message : "unknown trouble";
    if (write(out, &last, sizeof last) == (ssize_t)sizeof last)
        (void)!write(out, text, strlen(text));
    _exit(1);
}

static pid_t start_child(const char *path, const char *url, int *in, iw_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make a pipe");
        return -1;
    }
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every,
                    &before); /* until the child has given up this process's handlers */
    pid_t pid = fork();
    if (pid == 0) run_child(path, url, ends[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) iw_fail_errno(err, IW_E_ENVIRONMENT, "can't start a process to fetch %s", url);
    close(ends[1]);
    *in = ends[0];
    return pid;
}

/* Follows the child to its end. 0: the pipe is closed; -1: cancelled, or nothing came for too long.
 * `*text` gets the child's error. */
static int follow_child(struct job *job, int in, const char *url, iw_buffer *text, iw_error *err)
{
    double stall = job->options->stall ? job->options->stall : STALL_SECONDS,
           deadline = iw_now() + stall;
    bool failed = false;
    for (;;) {
        struct pollfd polled[2] = {{in, POLLIN, 0}, {job->options->cancel, POLLIN, 0}};
        double left = deadline - iw_now();
        if (left <= 0)
            return iw_fail(err, IW_E_NETWORK, "%s: nothing came from the server for %.0f seconds",
                           url, stall);
        if (poll(polled, 2, (int)(left * 1000) + 1) < 0 && errno != EINTR)
            return iw_fail_errno(err, IW_E_IO, "can't wait for %s", url);
        if (polled[1].revents)
            return iw_fail(err, IW_E_CANCELLED,
                           "stopped while fetching %s; run the same command again: what was "
                           "downloaded is kept",
                           url);
        if (!polled[0].revents) continue;
        struct report report;
        char part[1024];
        ssize_t got = failed ? read(in, part, sizeof part) : read(in, &report, sizeof report);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        deadline = iw_now() + stall;
        if (text->length > TEXT_LIMIT)
            return iw_fail(err, IW_E_FORMAT, "%s: the server tells more tags than can be", url);
        if (failed) iw_buffer_add(text, part, (size_t)got);
        else if (got == (ssize_t)sizeof report && report.is_error) failed = true;
        else if (got == (ssize_t)sizeof report && report.total)
            iw_emit(job->options->sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                                   .subject = job->label,
                                                   .phase = "fetch",
                                                   .unit = "objects",
                                                   .count = report.received,
                                                   .total = report.total});
    }
}

/* One try. *again: another one may help. `told` gets what a child that ends well tells, or is NULL.
 */
static int try_fetch(struct job *job, const char *path, const char *url, char **told, bool *again,
                     iw_error *err)
{
    iw_cleanup_fd int in = -1;
    iw_cleanup_buffer iw_buffer text = {0};
    iw_cleanup_free char *shown = iw_transfer_shown(url);
    int ended = 0;
    pid_t pid = start_child(path, url, &in, err);
    if (pid < 0) return -1;
    int status = follow_child(job, in, shown, &text, err);
    if (status != 0) kill(pid, SIGKILL);
    if (iw_wait(pid, &ended, status == 0 ? err : NULL) != 0) return -1;
    *again = status != 0 ? err->kind == IW_E_NETWORK
                         : !text.data || !strstr(text.data, "status code: 4");
    if (status == 0 && ended == 0 && told) *told = iw_buffer_take(&text);
    if (status != 0 || ended == 0) return status;
    iw_cleanup_free char *how = iw_status_text(ended);
    return iw_fail(err, IW_E_NETWORK, "can't fetch %s: %s", shown, text.data ? text.data : how);
}

static int fetch_with_retries(struct job *job, const char *path, const char *url, char **told,
                              iw_error *err)
{
    double wait = job->options->backoff > 0 ? job->options->backoff : 1;
    for (unsigned tries = 1;; tries++, wait *= 2) {
        bool again = false;
        iw_error_clear(err);
        if (try_fetch(job, path, url, told, &again, err) == 0) return 0;
        if (!again || tries >= TRIES) return -1;
        struct pollfd cancel = {job->options->cancel, POLLIN, 0};
        if (poll(&cancel, 1, (int)(wait * 1000)) > 0)
            return iw_fail(err, IW_E_CANCELLED, "stopped while fetching %s", job->label);
    }
}

static int fetch_commit(struct job *job, git_repository *repository, bool fresh, const char *url,
                        const git_oid *id, git_commit **out, iw_error *err)
{
    if (git_commit_lookup(out, repository, id) == 0) return 0;
    iw_cleanup_free char *path = iw_strdup(git_repository_path(repository));
    if (fetch_with_retries(job, path, url, NULL, err) != 0) return -1;
    git_odb *objects = NULL; /* the child has written them: look again */
    if (git_repository_odb(&objects, repository) == 0) (void)!git_odb_refresh(objects);
    git_odb_free(objects);
    if (git_commit_lookup(out, repository, id) == 0) return 0;
    if (!fresh)
        note_broken(
            job,
            repository); /* a damaged one has the branches, so that nothing is fetched for them */
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof hex, id);
    iw_cleanup_free char *shown = iw_transfer_shown(url);
    return iw_fail(err, IW_E_NOT_FOUND, "%s has no commit %s on any branch or tag", shown, hex);
}

/* --- writing a tree out --------------------------------------------------- */

static int lay_commit(struct job *job, const char *url, const git_oid *id, const char *folder,
                      bool submodules, int depth, iw_error *err);

/* The folder is fresh and only we write there: what exists already stands twice in the tree, and a
 * link that stands there must not be followed. */
static int write_plain(const char *path, const void *data, size_t size, mode_t mode, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", path);
    return iw_write_all(fd, data, size, path, err);
}

static int write_blob(struct job *job, git_repository *repository, const git_tree_entry *entry,
                      const char *url, const char *path, iw_error *err)
{
    git_blob *blob = NULL;
    if (git_blob_lookup(&blob, repository, git_tree_entry_id(entry)) != 0)
        return is_broken(job, repository, url, err);
    int status = 0;
    const void *data = git_blob_rawcontent(blob);
    uint64_t size = (uint64_t)git_blob_rawsize(blob);
    git_filemode_t mode = git_tree_entry_filemode(entry);
    job->bytes += size;
    if (size > FILE_LIMIT || job->bytes > TREE_LIMIT) {
        status = iw_fail(err, IW_E_FORMAT,
                         "%s: %s holds more than %llu bytes, or all files together more than %llu",
                         url, git_tree_entry_name(entry), (unsigned long long)FILE_LIMIT,
                         (unsigned long long)TREE_LIMIT);
    } else if (mode == GIT_FILEMODE_LINK) {
        iw_cleanup_free char *target = iw_strndup(data, (size_t)size);
        if (symlink(target, path) != 0)
            status = iw_fail_errno(err, IW_E_IO, "can't make the link %s", path);
    } else {
        status = write_plain(path, data, (size_t)size,
                             mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644, err);
    }
    git_blob_free(blob);
    return status;
}

/* A submodule's address from .gitmodules of the tree at hand; relative ones start at the parent's
 * (gitmodules(5)). */
static char *submodule_url(git_repository *repository, const git_tree *root, const char *parent,
                           const char *path)
{
    git_tree_entry *entry = NULL;
    if (git_tree_entry_bypath(&entry, root, ".gitmodules") != 0) return NULL;
    git_blob *blob = NULL;
    char *url = NULL, *current = NULL;
    bool found = false;
    if (git_blob_lookup(&blob, repository, git_tree_entry_id(entry)) == 0) {
        iw_slice rest = {git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob)}, line;
        while (iw_slice_next(&rest, '\n', &line)) {
            iw_slice text = iw_slice_trim(line);
            if (text.length && text.data[0] == '[') {
                if (found && current) break;
                free(current);
                current = NULL;
                found = false;
                continue;
            }
            const char *equals = memchr(text.data, '=', text.length);
            if (!equals) continue;
            iw_slice key = iw_slice_trim((iw_slice){text.data, (size_t)(equals - text.data)});
            iw_slice value = iw_slice_trim(
                (iw_slice){equals + 1, text.length - (size_t)(equals + 1 - text.data)});
            if (iw_slice_equal(key, "path")) found = iw_slice_equal(value, path);
            if (iw_slice_equal(key, "url")) {
                free(current);
                current = iw_strndup(value.data, value.length);
            }
        }
    }
    if (found && current && (iw_starts_with(current, "./") || iw_starts_with(current, "../"))) {
        const char *host = strstr(parent, "://"), *start = host ? strchr(host + 3, '/') : NULL;
        iw_cleanup_free char *joined = start ? iw_format("%s/%s", start, current) : NULL;
        iw_cleanup_free char *clean = joined ? iw_path_clean(joined) : NULL;
        if (clean) url = iw_format("%.*s%s", (int)(start - parent), parent, clean);
    } else if (found && current) {
        url = iw_steal(&current);
    }
    free(current);
    git_blob_free(blob);
    git_tree_entry_free(entry);
    return url;
}

struct writing {
    struct job *job;
    git_repository *repository;
    const git_tree *root;
    const char *url, *folder;
    bool submodules;
    int depth;
};

static int write_tree(const struct writing *writing, const git_tree *tree, const char *relative,
                      iw_error *err);

static int write_entry(const struct writing *writing, const git_tree_entry *entry,
                       const char *relative, iw_error *err)
{
    const char *name = git_tree_entry_name(entry);
    iw_cleanup_free char *inside = iw_path_join(relative, name);
    iw_cleanup_free char *path = iw_path_join(writing->folder, inside);
    if (!iw_path_is_inside(name) || strchr(name, '/') || strcmp(name, ".") == 0 ||
        strcasecmp(name, ".git") == 0)
        return iw_fail(err, IW_E_FORMAT, "%s: the entry \"%s\" can't be written safely",
                       writing->url, inside);
    if (++writing->job->entries > ENTRY_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s: its tree holds more than %llu entries", writing->url,
                       (unsigned long long)ENTRY_LIMIT);
    git_filemode_t mode = git_tree_entry_filemode(entry);
    if ((mode == GIT_FILEMODE_COMMIT || mode == GIT_FILEMODE_TREE) && mkdir(path, 0755) != 0)
        return iw_fail_errno(err, IW_E_IO, "%s: can't make the folder %s", writing->url, path);
    if (mode == GIT_FILEMODE_COMMIT) {
        if (!writing->submodules) return 0;
        iw_cleanup_free char *url =
            submodule_url(writing->repository, writing->root, writing->url, inside);
        if (!url || !is_remote(url))
            return iw_fail(err, IW_E_FORMAT,
                           "%s: the submodule %s has %s%s; only http, https and ssh are fetched",
                           writing->url, inside, url ? "the address " : "no address",
                           url ? url : "");
        return lay_commit(writing->job, url, git_tree_entry_id(entry), path, true,
                          writing->depth + 1, err);
    }
    if (mode != GIT_FILEMODE_TREE)
        return write_blob(writing->job, writing->repository, entry, writing->url, path, err);
    git_tree *below = NULL;
    if (git_tree_lookup(&below, writing->repository, git_tree_entry_id(entry)) != 0)
        return is_broken(writing->job, writing->repository, writing->url, err);
    int status = write_tree(writing, below, inside, err);
    git_tree_free(below);
    return status;
}

static int write_tree(const struct writing *writing, const git_tree *tree, const char *relative,
                      iw_error *err)
{
    for (size_t i = 0; i < git_tree_entrycount(tree); i++)
        if (write_entry(writing, git_tree_entry_byindex(tree, i), relative, err) != 0) return -1;
    return 0;
}

static int lay_commit(struct job *job, const char *url, const git_oid *id, const char *folder,
                      bool submodules, int depth, iw_error *err)
{
    if (depth > SUBMODULE_DEPTH)
        return iw_fail(err, IW_E_FORMAT, "%s: submodules are nested more than %d deep", url,
                       SUBMODULE_DEPTH);
    git_repository *repository = NULL;
    git_commit *commit = NULL;
    git_tree *tree = NULL;
    iw_cleanup_fd int lock = -1;
    bool fresh;
    int status = open_cache(job, url, &repository, &fresh, &lock, err);
    if (status == 0) status = fetch_commit(job, repository, fresh, url, id, &commit, err);
    iw_close_fd(&lock);
    lock = -1;
    if (status == 0 && git_commit_tree(&tree, commit) != 0)
        status = is_broken(job, repository, url, err);
    if (status == 0) {
        struct writing writing = {job, repository, tree, url, folder, submodules, depth};
        status = write_tree(&writing, tree, "", err);
    }
    git_tree_free(tree);
    git_commit_free(commit);
    git_repository_free(repository);
    return status;
}

/* --- into the store ------------------------------------------------------- */

/* A user's insteadOf, filters and helpers must not change what is fetched. */
static void forget_configuration(void)
{
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_SYSTEM, "");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, "");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_GLOBAL, "");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_PROGRAMDATA, "");
}

static int keep_tree(struct job *job, const iw_source *source, const char *tree, const char *tar,
                     iw_error *err)
{
    iw_packed packed;
    iw_packing packing = {.plain = true};
    iw_cleanup_fd int fd = open(tar, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", tar);
    if (iw_archive_pack(tree, fd, &packing, &packed, err) != 0) return -1;
    memcpy(job->digest, packed.content, sizeof job->digest);
    if (source->sha256 && strcmp(packed.content, source->sha256) != 0)
        return iw_fail(err, IW_E_DIGEST,
                       "%s:%d: the tree of %s at %s has the SHA-256 %s, not the pinned %s",
                       source->place.file, source->place.line, source->name, source->commit,
                       packed.content, source->sha256);
    return iw_store_add_source(job->store, tar, job->digest, source->name, err);
}

static int bring(struct job *job, const iw_source *source, const git_oid *id, iw_error *err)
{
    iw_cleanup_free char *tmp = iw_store_path(job->store, "tmp", ""), *folder = NULL;
    if (iw_make_folders(tmp, 0755, err) != 0 || iw_temporary_folder(tmp, "git-", &folder, err) != 0)
        return -1;
    iw_cleanup_free char *tar = iw_format("%s.tar", folder);
    job->entries = job->bytes = 0;
    int status = lay_commit(job, source->name, id, folder, source->submodules, 0, err);
    if (status == 0) status = keep_tree(job, source, folder, tar, err);
    (void)!iw_remove_tree(folder, NULL);
    unlink(tar);
    return status;
}

/* A copy in the store that is damaged is thrown away, and everything is tried once more. */
static int bring_or_again(struct job *job, const iw_source *source, iw_error *err)
{
    git_oid id;
    if (git_oid_fromstr(&id, source->commit) != 0)
        return iw_fail(err, IW_E_RECIPE, "%s:%d: \"%s\" is no commit", source->place.file,
                       source->place.line, source->commit);
    int status = -1;
    for (int attempt = 0; attempt < 2 && status != 0; attempt++) {
        if (attempt && !job->broken) break;
        free(job->broken);
        job->broken = NULL;
        iw_error_clear(err);
        status = bring(job, source, &id, err);
        if (job->broken) (void)!iw_remove_tree(job->broken, NULL);
    }
    free(job->broken);
    return status;
}

/* With the source's `sha256` NULL any tree is taken; `digest` (or NULL) gets its own. */
static int fetch_tree(iw_store *store, const iw_source *source, const iw_fetch_options *options,
                      char digest[IW_SHA256_HEX], iw_error *err)
{
    struct job job = {.store = store, .options = options, .label = source->name};
    if (!is_remote(source->name))
        return iw_fail(err, IW_E_RECIPE, "%s:%d: only http, https and ssh are fetched, not %s",
                       source->place.file, source->place.line, source->name);
    git_libgit2_init();
    forget_configuration();
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    iw_emit(options->sink,
            (iw_event){.type = IW_EVENT_STARTED, .subject = job.label, .phase = "fetch"});
    int status = bring_or_again(&job, source, err);
    git_libgit2_shutdown();
    iw_emit(options->sink, (iw_event){.type = status == 0 ? IW_EVENT_FINISHED : IW_EVENT_FAILED,
                                      .subject = job.label,
                                      .phase = "fetch",
                                      .detail = status == 0 ? "fetched" : iw_error_text(err)});
    if (status == 0 && digest) memcpy(digest, job.digest, IW_SHA256_HEX);
    return status;
}

int iw_git_fetch(iw_store *store, const iw_source *source, const iw_fetch_options *options,
                 iw_error *err)
{
    return fetch_tree(store, source, options, NULL, err);
}

int iw_fetch_git_digest(iw_store *store, const iw_source *source, const char *commit,
                        const iw_fetch_options *options, char digest[IW_SHA256_HEX], iw_error *err)
{
    iw_source any = *source;
    any.commit = commit;
    any.sha256 = NULL;
    return fetch_tree(store, &any, options, digest, err);
}

/* --- tags ------------------------------------------------------------------ */

/* What stands under refs/tags/, later lines ("…^{}") in the place of earlier ones. */
static void read_tags(const char *text, iw_strings *names, iw_strings *commits)
{
    static const char start[] = "refs/tags/", peeled[] = "^{}";
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (line.length <= GIT_OID_HEXSZ + 1 + strlen(start)) continue;
        iw_cleanup_free char *commit = iw_strndup(line.data, GIT_OID_HEXSZ),
                             *name = iw_strndup(line.data + GIT_OID_HEXSZ + 1 + strlen(start),
                                                line.length - GIT_OID_HEXSZ - 1 - strlen(start));
        bool points = iw_ends_with(name, peeled);
        if (points) name[strlen(name) - strlen(peeled)] = '\0';
        if (points && names->count && strcmp(names->items[names->count - 1], name) == 0) {
            free(commits->items[commits->count - 1]);
            commits->items[commits->count - 1] = iw_steal(&commit);
        } else if (!points) {
            iw_strings_add(names, name);
            iw_strings_add(commits, commit);
        }
    }
}

int iw_fetch_tags(const char *url, const iw_fetch_options *options, iw_strings *names,
                  iw_strings *commits, iw_error *err)
{
    struct job job = {.options = options, .label = url};
    iw_cleanup_free char *told = NULL, *shown = iw_transfer_shown(url);
    if (!is_remote(url))
        return iw_fail(err, IW_E_RECIPE, "only http, https and ssh are asked for tags, not %s",
                       shown);
    if (options->offline)
        return iw_fail(err, IW_E_NOT_FOUND, "%s can't be asked for its tags with --offline", shown);
    git_libgit2_init();
    forget_configuration();
    int status = fetch_with_retries(&job, NULL, url, &told, err);
    git_libgit2_shutdown();
    if (status == 0) read_tags(told, names, commits);
    return status;
}
