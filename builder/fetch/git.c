#include "fetch/git.h"

#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"

#define SUBMODULE_DEPTH 8
#define FILE_LIMIT (UINT64_C(4) << 30)

struct job {
    iw_store *store;
    const iw_fetch_options *options;
    const char *label;
    bool cancelled;
};

static int git_failed(iw_error *err, const char *what, const char *url)
{
    const git_error *last = git_error_last();
    return iw_fail(err, IW_E_NETWORK, "%s %s: %s", what, url, last && last->message ? last->message : "unknown trouble");
}

static bool is_remote(const char *url)
{
    return iw_starts_with(url, "https://") || iw_starts_with(url, "http://") || iw_starts_with(url, "ssh://");
}

/* --- cloning ---------------------------------------------------------------------------------------------------------------------------- */

static int on_progress(const git_indexer_progress *stats, void *context)
{
    struct job *job = context;
    struct pollfd polled = {job->options->cancel, POLLIN, 0};
    job->cancelled = job->cancelled || (job->options->cancel >= 0 && poll(&polled, 1, 0) > 0);
    iw_emit(job->options->sink, (iw_event){.type = IW_EVENT_PROGRESS, .subject = job->label, .phase = "fetch", .unit = "objects",
                                           .count = stats->received_objects, .total = stats->total_objects});
    return job->cancelled ? -1 : 0;
}

/* Never a user's keys or passwords. */
static int no_credentials(git_credential **out, const char *url, const char *user, unsigned allowed, void *context)
{
    (void)out, (void)url, (void)user, (void)allowed, (void)context;
    git_error_set_str(GIT_ERROR_NET, "the server wants a password; only public repositories can be fetched");
    return GIT_EAUTH;
}

/* The bare repository kept for `url`, made where missing. */
static int open_cache(struct job *job, const char *url, git_repository **out, iw_error *err)
{
    char digest[IW_SHA256_HEX];
    iw_hash_bytes(url, strlen(url), digest);
    iw_cleanup_free char *path = iw_store_path(job->store, "git", digest);
    iw_cleanup_free char *parent = iw_path_parent(path);
    if (iw_make_folders(parent, 0755, err) != 0) return -1;
    if (git_repository_open_bare(out, path) == 0) return 0;
    if (iw_remove_tree(path, err) != 0) return -1;
    return git_repository_init(out, path, 1) == 0 ? 0 : git_failed(err, "can't make the repository for", url);
}

static int fetch_commit(struct job *job, git_repository *repository, const char *url, const git_oid *id, git_commit **out, iw_error *err)
{
    if (git_commit_lookup(out, repository, id) == 0) return 0;
    git_remote *remote = NULL;
    if (git_remote_create_anonymous(&remote, repository, url) != 0) return git_failed(err, "can't use", url);
    git_fetch_options fetch;
    git_fetch_options_init(&fetch, GIT_FETCH_OPTIONS_VERSION);
    fetch.callbacks.transfer_progress = on_progress;
    fetch.callbacks.credentials = no_credentials;
    fetch.callbacks.payload = job;
    fetch.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    char heads[] = "+refs/heads/*:refs/heads/*", tags[] = "+refs/tags/*:refs/tags/*", *all[] = {heads, tags};
    git_strarray specs = {all, 2};
    int status = git_remote_fetch(remote, &specs, &fetch, NULL);
    git_remote_free(remote);
    if (job->cancelled) return iw_fail(err, IW_E_CANCELLED, "stopped while fetching %s; run the same command again: what was downloaded is kept", url);
    if (status != 0) return git_failed(err, "can't fetch", url);
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof hex, id);
    if (git_commit_lookup(out, repository, id) == 0) return 0;
    return iw_fail(err, IW_E_NOT_FOUND, "%s has no commit %s on any branch or tag", url, hex);
}

/* --- writing a tree out ----------------------------------------------------------------------------------------------------------------- */

static int lay_commit(struct job *job, const char *url, const git_oid *id, const char *folder, bool submodules, int depth, iw_error *err);

static int write_blob(git_repository *repository, const git_tree_entry *entry, const char *path, iw_error *err)
{
    git_blob *blob = NULL;
    if (git_blob_lookup(&blob, repository, git_tree_entry_id(entry)) != 0) return git_failed(err, "broken repository at", path);
    int status = 0;
    const void *data = git_blob_rawcontent(blob);
    uint64_t size = (uint64_t)git_blob_rawsize(blob);
    git_filemode_t mode = git_tree_entry_filemode(entry);
    if (size > FILE_LIMIT) {
        status = iw_fail(err, IW_E_FORMAT, "%s holds more than %llu bytes", path, (unsigned long long)FILE_LIMIT);
    } else if (mode == GIT_FILEMODE_LINK) {
        iw_cleanup_free char *target = iw_strndup(data, (size_t)size);
        if (symlink(target, path) != 0) status = iw_fail_errno(err, IW_E_IO, "can't make the link %s", path);
    } else {
        status = iw_write_file(path, data, (size_t)size, mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644, err);
    }
    git_blob_free(blob);
    return status;
}

/* A submodule's address from .gitmodules of the tree at hand; relative ones start at the parent's (gitmodules(5)). */
static char *submodule_url(git_repository *repository, const git_tree *root, const char *parent, const char *path)
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
            iw_slice value = iw_slice_trim((iw_slice){equals + 1, text.length - (size_t)(equals + 1 - text.data)});
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

static int write_tree(const struct writing *writing, const git_tree *tree, const char *relative, iw_error *err);

static int write_entry(const struct writing *writing, const git_tree_entry *entry, const char *relative, iw_error *err)
{
    const char *name = git_tree_entry_name(entry);
    iw_cleanup_free char *inside = iw_path_join(relative, name);
    iw_cleanup_free char *path = iw_path_join(writing->folder, inside);
    if (!iw_path_is_inside(name) || strchr(name, '/') || strcmp(name, ".") == 0 || strcasecmp(name, ".git") == 0)
        return iw_fail(err, IW_E_FORMAT, "%s: the entry \"%s\" can't be written safely", writing->url, inside);
    git_filemode_t mode = git_tree_entry_filemode(entry);
    if (mode == GIT_FILEMODE_COMMIT) {
        if (iw_make_folders(path, 0755, err) != 0) return -1;
        if (!writing->submodules) return 0;
        iw_cleanup_free char *url = submodule_url(writing->repository, writing->root, writing->url, inside);
        if (!url || !is_remote(url))
            return iw_fail(err, IW_E_FORMAT, "%s: the submodule %s has %s%s; only http, https and ssh are fetched", writing->url, inside, url ? "the address " : "no address",
                           url ? url : "");
        return lay_commit(writing->job, url, git_tree_entry_id(entry), path, true, writing->depth + 1, err);
    }
    if (mode != GIT_FILEMODE_TREE) return write_blob(writing->repository, entry, path, err);
    git_tree *below = NULL;
    if (git_tree_lookup(&below, writing->repository, git_tree_entry_id(entry)) != 0) return git_failed(err, "broken repository", writing->url);
    int status = iw_make_folders(path, 0755, err);
    if (status == 0) status = write_tree(writing, below, inside, err);
    git_tree_free(below);
    return status;
}

static int write_tree(const struct writing *writing, const git_tree *tree, const char *relative, iw_error *err)
{
    for (size_t i = 0; i < git_tree_entrycount(tree); i++)
        if (write_entry(writing, git_tree_entry_byindex(tree, i), relative, err) != 0) return -1;
    return 0;
}

static int lay_commit(struct job *job, const char *url, const git_oid *id, const char *folder, bool submodules, int depth, iw_error *err)
{
    if (depth > SUBMODULE_DEPTH) return iw_fail(err, IW_E_FORMAT, "%s: submodules are nested more than %d deep", url, SUBMODULE_DEPTH);
    git_repository *repository = NULL;
    git_commit *commit = NULL;
    git_tree *tree = NULL;
    int status = open_cache(job, url, &repository, err);
    if (status == 0) status = fetch_commit(job, repository, url, id, &commit, err);
    if (status == 0 && git_commit_tree(&tree, commit) != 0) status = git_failed(err, "broken repository", url);
    if (status == 0) {
        struct writing writing = {job, repository, tree, url, folder, submodules, depth};
        status = write_tree(&writing, tree, "", err);
    }
    git_tree_free(tree);
    git_commit_free(commit);
    git_repository_free(repository);
    return status;
}

/* --- into the store ----------------------------------------------------------------------------------------------------------------------- */

/* A user's insteadOf, filters and helpers must not change what is fetched. */
static void forget_configuration(void)
{
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_SYSTEM, "");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, "");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_GLOBAL, "");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_PROGRAMDATA, "");
}

/* The tar inside a .tar.zst that we have just packed. */
static int unpack_zstd(int from, const char *to, iw_error *err)
{
    iw_cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out < 0 || lseek(from, 0, SEEK_SET) != 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", to);
    size_t in_size = ZSTD_DStreamInSize(), out_size = ZSTD_DStreamOutSize();
    iw_cleanup_free char *packed = iw_alloc(in_size), *plain = iw_alloc(out_size);
    ZSTD_DStream *stream = ZSTD_createDStream();
    int status = stream ? 0 : iw_fail(err, IW_E_MEMORY, "no memory to unpack");
    ssize_t got = 0;
    while (status == 0 && (got = read(from, packed, in_size)) > 0) {
        ZSTD_inBuffer in = {packed, (size_t)got, 0};
        while (status == 0 && in.pos < in.size) {
            ZSTD_outBuffer part = {plain, out_size, 0};
            if (ZSTD_isError(ZSTD_decompressStream(stream, &part, &in)))
                status = iw_fail(err, IW_E_FORMAT, "%s: broken zstd stream", to);
            else
                status = iw_write_all(out, plain, part.pos, to, err);
        }
    }
    if (status == 0 && got < 0) status = iw_fail_errno(err, IW_E_IO, "can't read what was packed for %s", to);
    ZSTD_freeDStream(stream);
    return status;
}

static int keep_tree(struct job *job, const iw_source *source, const char *tree, const char *tar, iw_error *err)
{
    iw_packed packed;
    iw_packing packing = {.level = 1};
    iw_cleanup_free char *zst = iw_format("%s.zst", tar);
    iw_cleanup_fd int fd = open(zst, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", zst);
    int status = iw_archive_pack(tree, fd, &packing, &packed, err);
    if (status == 0) status = unpack_zstd(fd, tar, err);
    unlink(zst);
    if (status != 0) return -1;
    if (strcmp(packed.content, source->sha256) != 0)
        return iw_fail(err, IW_E_DIGEST, "%s:%d: the tree of %s at %s has the SHA-256 %s, not the pinned %s", source->place.file, source->place.line, source->name,
                       source->commit, packed.content, source->sha256);
    return iw_store_add_source(job->store, tar, source->sha256, source->name, err);
}

int iw_git_fetch(iw_store *store, const iw_source *source, const iw_fetch_options *options, iw_error *err)
{
    struct job job = {.store = store, .options = options, .label = source->name};
    if (!is_remote(source->name)) return iw_fail(err, IW_E_RECIPE, "%s:%d: only http, https and ssh are fetched, not %s", source->place.file, source->place.line, source->name);
    git_libgit2_init();
    forget_configuration();
    git_oid id;
    iw_cleanup_free char *tmp = iw_store_path(store, "tmp", ""), *folder = NULL, *tar = NULL;
    int status = git_oid_fromstr(&id, source->commit) == 0 ? 0 : iw_fail(err, IW_E_RECIPE, "%s:%d: \"%s\" is no commit", source->place.file, source->place.line, source->commit);
    iw_emit(options->sink, (iw_event){.type = IW_EVENT_STARTED, .subject = job.label, .phase = "fetch"});
    if (status == 0) status = iw_temporary_folder(tmp, "git-", &folder, err);
    if (status == 0) {
        tar = iw_format("%s.tar", folder);
        status = lay_commit(&job, source->name, &id, folder, source->submodules, 0, err);
        if (status == 0) status = keep_tree(&job, source, folder, tar, err);
        (void)!iw_remove_tree(folder, NULL);
        unlink(tar);
    }
    git_libgit2_shutdown();
    iw_emit(options->sink, (iw_event){.type = status == 0 ? IW_EVENT_FINISHED : IW_EVENT_FAILED, .subject = job.label, .phase = "fetch",
                                      .detail = status == 0 ? "fetched" : iw_error_text(err)});
    return status;
}
