/* Artifacts: artifacts/<build key>.tar.zst and .json. The .json is written last: a package without
 * it is not there. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"
#include "store/archive_in.h"
#include "store/store_internal.h"

#define JSON_LIMIT ((size_t)256 << 20)

void iw_artifact_clear(iw_artifact *artifact)
{
    free(artifact->name);
    free(artifact->version);
    free(artifact->plan_key);
    free(artifact->build_key);
    free(artifact->content);
    free(artifact->file_digest);
    free(artifact->facts);
    *artifact = (iw_artifact){0};
}

char *iw_artifact_path(const char *root, const char *build_key, const char *ending)
{
    return iw_format("%s/artifacts/%s%s", root, build_key, ending);
}

void iw_artifact_seal(const iw_artifact *a, char seal[IW_SHA256_HEX])
{
    char sizes[64];
    snprintf(sizes, sizeof sizes, "%" PRIu64 " %" PRIu64, a->file_size, a->content_size);
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "name", a->name);
    iw_hash_add_field(hash, "version", a->version);
    iw_hash_add_field(hash, "plan_key", a->plan_key);
    iw_hash_add_field(hash, "build_key", a->build_key);
    iw_hash_add_field(hash, "content", a->content);
    iw_hash_add_field(hash, "file_digest", a->file_digest);
    iw_hash_add_field(hash, "sizes", sizes);
    iw_hash_add_field(hash, "facts", a->facts);
    iw_hash_finish(hash, seal);
    iw_hash_free(hash);
}

/* --- .json ---------------------------------------------------------------- */

static char *write_json(const iw_artifact *a)
{
    char seal[IW_SHA256_HEX];
    iw_artifact_seal(a, seal);
    /* The facts stand as text, so that the seal is over their very bytes. */
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "format", 1, "name",
                  a->name, "version", a->version, "plan_key", a->plan_key, "build_key",
                  a->build_key, "content", a->content, "file_digest", a->file_digest, "file_size",
                  (json_int_t)a->file_size, "content_size", (json_int_t)a->content_size, "facts",
                  a->facts, "seal", seal);
    char *text = object ? json_dumps(object, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(object);
    return text;
}

static bool take_text(json_t *object, const char *key, char **out)
{
    const char *text = iw_json_get(object, key);
    *out = text ? iw_strdup(text) : NULL;
    return text != NULL;
}

static bool take_size(json_t *object, const char *key, uint64_t *out)
{
    json_t *value = json_object_get(object, key);
    *out = json_is_integer(value) && json_integer_value(value) >= 0
               ? (uint64_t)json_integer_value(value)
               : 0;
    return json_is_integer(value);
}

int iw_artifact_read(const char *root, const char *build_key, iw_artifact *out, iw_error *err)
{
    *out = (iw_artifact){0};
    iw_cleanup_free char *path = iw_artifact_path(root, build_key, ".json"), *text = NULL;
    size_t length = 0;
    if (iw_read_file(path, JSON_LIMIT, &text, &length, err) != 0) return -1;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    char *seal = NULL, computed[IW_SHA256_HEX] = "";
    bool fine = take_text(object, "name", &out->name) &&
                take_text(object, "version", &out->version) &&
                take_text(object, "plan_key", &out->plan_key) &&
                take_text(object, "build_key", &out->build_key) &&
                take_text(object, "content", &out->content) &&
                take_text(object, "file_digest", &out->file_digest) &&
                take_size(object, "file_size", &out->file_size) &&
                take_size(object, "content_size", &out->content_size) &&
                take_text(object, "facts", &out->facts) && take_text(object, "seal", &seal);
    json_decref(object);
    if (fine) iw_artifact_seal(out, computed);
    fine = fine && strcmp(seal, computed) == 0 && strcmp(out->build_key, build_key) == 0;
    free(seal);
    if (fine) return 0;
    iw_artifact_clear(out);
    return iw_fail(err, IW_E_DIGEST, "%s is damaged", path);
}

/* --- the index ------------------------------------------------------------ */

static int put_row(iw_index *index, const iw_artifact *a, iw_quick q, iw_error *err)
{
    char seal[IW_SHA256_HEX];
    iw_artifact_seal(a, seal);
    const iw_value values[] = {IW_TEXT(a->name),        IW_TEXT(a->version),
                               IW_TEXT(a->plan_key),    IW_TEXT(a->build_key),
                               IW_TEXT(a->content),     IW_TEXT(a->file_digest),
                               IW_NUMBER(a->file_size), IW_NUMBER(a->content_size),
                               IW_TEXT(a->facts),       IW_TEXT(seal),
                               IW_NUMBER(q.inode),      IW_NUMBER(q.size),
                               IW_NUMBER(q.mtime),      IW_NUMBER(q.ctime)};
    return iw_index_query(index, IW_Q_ARTIFACT_PUT, values, 14, NULL, err);
}

static int put_plan(iw_index *index, const char *plan_key, const char *build_key, iw_error *err)
{
    return iw_index_query(index, IW_Q_PLAN_PUT, (iw_value[]){IW_TEXT(plan_key), IW_TEXT(build_key)},
                          2, NULL, err);
}

/* Both, which one wait for the disk makes durable; an index that is damaged is made again
 * meanwhile, which a transaction can't see. */
static int put_both(iw_index *index, const iw_artifact *a, iw_quick q, iw_error *err)
{
    iw_error ignored = IW_ERROR_INIT;
    bool begun = iw_index_query(index, IW_Q_BEGIN, NULL, 0, NULL, &ignored) == 0;
    bool fine = begun && put_row(index, a, q, &ignored) == 0 &&
                put_plan(index, a->plan_key, a->build_key, &ignored) == 0 &&
                iw_index_query(index, IW_Q_COMMIT, NULL, 0, NULL, &ignored) == 0;
    iw_error_clear(&ignored);
    if (fine) return 0;
    if (begun) iw_index_query(index, IW_Q_ROLLBACK, NULL, 0, NULL, NULL);
    return put_row(index, a, q, err) != 0 ? -1 : put_plan(index, a->plan_key, a->build_key, err);
}

/* A row as an artifact; false where its seal doesn't fit. */
static bool take_row(sqlite3_stmt *row, iw_artifact *out, iw_quick *quick)
{
    *out = (iw_artifact){.name = iw_strdup(iw_column_text(row, 0)),
                         .version = iw_strdup(iw_column_text(row, 1)),
                         .plan_key = iw_strdup(iw_column_text(row, 2)),
                         .build_key = iw_strdup(iw_column_text(row, 3)),
                         .content = iw_strdup(iw_column_text(row, 4)),
                         .file_digest = iw_strdup(iw_column_text(row, 5)),
                         .file_size = (uint64_t)sqlite3_column_int64(row, 6),
                         .content_size = (uint64_t)sqlite3_column_int64(row, 7),
                         .facts = iw_strdup(iw_column_text(row, 8))};
    *quick = iw_quick_read(row, 10);
    char seal[IW_SHA256_HEX];
    iw_artifact_seal(out, seal);
    return strcmp(seal, iw_column_text(row, 9)) == 0;
}

int iw_artifact_remove(iw_store *store, const char *build_key, iw_error *err)
{
    iw_cleanup_free char *json = iw_artifact_path(store->root, build_key, ".json"),
                         *tar = iw_artifact_path(store->root, build_key, ".tar.zst");
    if (unlink(json) != 0 && errno != ENOENT)
        return iw_fail_errno(err, IW_E_IO, "can't remove %s", json);
    if (unlink(tar) != 0 && errno != ENOENT)
        return iw_fail_errno(err, IW_E_IO, "can't remove %s", tar);
    return iw_index_query(store->index, IW_Q_ARTIFACT_DROP, (iw_value[]){IW_TEXT(build_key)}, 1,
                          NULL, err);
}

int iw_artifact_verify(const char *root, const iw_artifact *artifact, struct stat *seen,
                       iw_error *err)
{
    iw_cleanup_free char *path = iw_artifact_path(root, artifact->build_key, ".tar.zst");
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return iw_fail_errno(err, errno == ENOENT ? IW_E_DIGEST : IW_E_IO, "can't open %s", path);
    if (fstat(fd, seen) != 0) return iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    if (!S_ISREG(seen->st_mode)) return iw_fail(err, IW_E_DIGEST, "%s is no file", path);
    iw_packed expected = {0};
    snprintf(expected.content, sizeof expected.content, "%s", artifact->content);
    snprintf(expected.file, sizeof expected.file, "%s", artifact->file_digest);
    return iw_archive_lay(fd, path, NULL, NULL, &expected, NULL, err);
}

/* Adding and removing are for one process at a time: two builds that end together would mix their
 * files. *fd -1 where this handle holds the lock already. */
static int lock_artifacts(iw_store *store, int *fd, iw_error *err)
{
    *fd = -1;
    if (store->adding) return 0;
    iw_cleanup_free char *path = iw_path_join(store->root, "artifacts.lock");
    return iw_lock_file(path, true, true, fd, err);
}

/* Removes an artifact whose bytes aren't those that `a` names, unless `a` is out of date: it was
 * replaced meanwhile. */
static int remove_unless_stale(iw_store *store, const iw_artifact *a, bool *stale, iw_error *err)
{
    iw_cleanup_fd int locked = -1;
    iw_artifact now;
    if (lock_artifacts(store, &locked, err) != 0) return -1;
    *stale = iw_artifact_read(store->root, a->build_key, &now, NULL) == 0 &&
             strcmp(now.file_digest, a->file_digest) != 0;
    iw_artifact_clear(&now);
    if (!*stale) return iw_artifact_remove(store, a->build_key, err);
    return iw_index_query(store->index, IW_Q_ARTIFACT_DROP, (iw_value[]){IW_TEXT(a->build_key)}, 1,
                          NULL, err);
}

/* --- looking up ----------------------------------------------------------- */

/* The artifact's file against what the index remembers of it: where that differs, against its
 * digests. */
static int check_file(iw_store *store, const iw_artifact *a, iw_quick known, bool *good,
                      iw_error *err)
{
    iw_cleanup_free char *path = iw_artifact_path(store->root, a->build_key, ".tar.zst");
    struct stat status;
    bool stale;
    *good = false;
    if (lstat(path, &status) != 0) {
        if (errno == ENOENT) return remove_unless_stale(store, a, &stale, err);
        return iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    }
    *good = iw_quick_equal(known, iw_quick_of(&status));
    if (*good) return 0;
    iw_error inner = IW_ERROR_INIT;
    if (iw_artifact_verify(store->root, a, &status, &inner) == 0) {
        *good = true;
        iw_quick q = iw_quick_of(&status);
        const iw_value values[] = {IW_TEXT(a->build_key), IW_NUMBER(q.inode), IW_NUMBER(q.size),
                                   IW_NUMBER(q.mtime), IW_NUMBER(q.ctime)};
        return iw_index_query(store->index, IW_Q_ARTIFACT_SEEN, values, 5, NULL, err);
    }
    bool damaged = inner.kind == IW_E_DIGEST;
    if (!damaged) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return damaged ? remove_unless_stale(store, a, &stale, err) : -1;
}

/* From the .json, where the index knows nothing of it, or something wrong. */
static int import(iw_store *store, const char *build_key, iw_artifact *out, bool *found,
                  iw_error *err)
{
    *found = false;
    if (!iw_is_sha256(build_key)) return 0;
    iw_error inner = IW_ERROR_INIT;
    if (iw_artifact_read(store->root, build_key, out, &inner) != 0) {
        iw_error_kind kind = inner.kind;
        if (kind != IW_E_NOT_FOUND && kind != IW_E_DIGEST) {
            iw_error_move(err, &inner);
            return -1;
        }
        iw_error_clear(&inner);
        return kind == IW_E_DIGEST ? iw_artifact_remove(store, build_key, err) : 0;
    }
    static const iw_quick unknown = {0};
    if (put_row(store->index, out, unknown, err) != 0 ||
        put_plan(store->index, out->plan_key, build_key, err) != 0 ||
        check_file(store, out, unknown, found, err) != 0)
        return -1;
    return 0;
}

/* Finishes a look-up: `row` may be NULL. */
static int take_found(iw_store *store, sqlite3_stmt *row, const char *build_key, iw_artifact *out,
                      bool *found, iw_error *err)
{
    int status = 0;
    iw_quick quick = {0};
    *found = false;
    *out = (iw_artifact){0};
    bool good = row && take_row(row, out, &quick);
    iw_cleanup_free char *key = iw_strdup(row ? iw_column_text(row, 3) : build_key);
    iw_index_end(store->index);
    if (good) {
        status = check_file(store, out, quick, found, err);
    } else if (key) {
        iw_artifact_clear(out);
        if (row)
            status = iw_index_query(store->index, IW_Q_ARTIFACT_DROP, (iw_value[]){IW_TEXT(key)}, 1,
                                    NULL, err);
        if (status == 0) status = import(store, key, out, found, err);
    }
    if (status != 0 || !*found) iw_artifact_clear(out);
    return status;
}

int iw_store_find_artifact_by_plan(iw_store *store, const char *plan_key, iw_artifact *out,
                                   bool *found, iw_error *err)
{
    sqlite3_stmt *row;
    *found = false;
    *out = (iw_artifact){0};
    if (iw_index_query(store->index, IW_Q_ARTIFACT_BY_PLAN, (iw_value[]){IW_TEXT(plan_key)}, 1,
                       &row, err) != 0)
        return -1;
    return take_found(store, row, NULL, out, found, err);
}

int iw_store_find_artifact_by_build(iw_store *store, const char *build_key, iw_artifact *out,
                                    bool *found, iw_error *err)
{
    sqlite3_stmt *row;
    *found = false;
    *out = (iw_artifact){0};
    if (iw_index_query(store->index, IW_Q_ARTIFACT_GET, (iw_value[]){IW_TEXT(build_key)}, 1, &row,
                       err) != 0)
        return -1;
    return take_found(store, row, build_key, out, found, err);
}

int iw_store_link_plan(iw_store *store, const char *plan_key, const char *build_key, iw_error *err)
{
    return put_plan(store->index, plan_key, build_key, err);
}

/* --- adding --------------------------------------------------------------- */

static int check_fields(iw_artifact *a, iw_error *err)
{
    if (!a->name || !a->version || !a->plan_key || !a->build_key)
        return iw_fail(err, IW_E_USAGE, "an artifact lacks its name, version or keys");
    if (!iw_is_sha256(a->build_key) || !iw_is_sha256(a->plan_key))
        return iw_fail(err, IW_E_USAGE, "%s: a key is no SHA-256", a->name);
    if (!a->facts) a->facts = iw_strdup("{}");
    json_t *facts = json_loads(a->facts, JSON_REJECT_DUPLICATES, NULL);
    bool fine = json_is_object(facts);
    json_decref(facts);
    return fine ? 0 : iw_fail(err, IW_E_USAGE, "%s: the facts are no JSON object", a->name);
}

static int check_member(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    (void)context;
    if (S_ISLNK(status->st_mode)) {
        char target[2];
        if (readlink(full, target, sizeof target) > 0 && *target == '/')
            return iw_fail(
                err, IW_E_BUILD,
                "%s is a link to an absolute path: a bundle is moved, so links must be relative",
                relative);
    }
    return 0;
}

static int pack_temporary(iw_store *store, const char *tree, iw_artifact *a, char **temporary,
                          iw_error *err)
{
    iw_cleanup_fd int fd = -1;
    iw_packed packed;
    if (iw_walk(tree, check_member, NULL, err) != 0 ||
        iw_store_temporary(store, "artifact", temporary, &fd, err) != 0)
        return -1;
    if (iw_archive_pack(tree, fd, NULL, &packed, err) != 0) return -1;
    if (fchmod(fd, 0444) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't set the mode of %s", *temporary);
    free(a->content);
    free(a->file_digest);
    a->content = iw_strdup(packed.content);
    a->file_digest = iw_strdup(packed.file);
    a->content_size = packed.content_size;
    a->file_size = packed.file_size;
    return 0;
}

static int publish(iw_store *store, const char *temporary, const iw_artifact *a, iw_error *err)
{
    iw_cleanup_free char *tar = iw_artifact_path(store->root, a->build_key, ".tar.zst"),
                         *json = iw_artifact_path(store->root, a->build_key, ".json");
    char *text = write_json(a);
    if (!text)
        return iw_fail(err, IW_E_USAGE, "%s %s: its name, version or facts aren't UTF-8", a->name,
                       a->version);
    struct stat status;
    int result = unlink(json) == 0 || errno == ENOENT
                     ? 0
                     : iw_fail_errno(err, IW_E_IO, "can't replace %s", json);
    if (result == 0) result = iw_publish(temporary, tar, err);
    if (result == 0) result = iw_write_file(json, text, strlen(text), 0444, err);
    free(text);
    if (result == 0 && lstat(tar, &status) != 0)
        result = iw_fail_errno(err, IW_E_IO, "can't look at %s", tar);
    return result == 0 ? put_both(store->index, a, iw_quick_of(&status), err) : -1;
}

/* Something is there for this build key already: the same, or not. */
static int meet(iw_store *store, const iw_artifact *known, iw_artifact *a, bool replace, bool *keep,
                iw_error *err)
{
    *keep = strcmp(known->content, a->content) == 0;
    if (!*keep && !replace)
        return iw_fail(err, IW_E_DIGEST,
                       "%s %s is not reproducible: build key %.12s gave content %s before and "
                       "gives %s now; compare both with "
                       "`ironwheel diff`",
                       a->name, a->version, a->build_key, known->content, a->content);
    if (!*keep) return 0;
    free(a->file_digest);
    a->file_digest = iw_strdup(known->file_digest);
    a->file_size = known->file_size;
    return put_plan(store->index, a->plan_key, a->build_key, err);
}

int iw_store_add_artifact(iw_store *store, const char *tree, iw_artifact *artifact, bool replace,
                          iw_error *err)
{
    iw_cleanup_free char *temporary = NULL;
    iw_artifact known = {0};
    bool found = false, keep = false;
    if (check_fields(artifact, err) != 0) return -1;
    int status = pack_temporary(store, tree, artifact, &temporary, err);
    iw_cleanup_fd int locked = -1;
    if (status == 0) status = lock_artifacts(store, &locked, err);
    store->adding = locked >= 0;
    if (status == 0)
        status = iw_store_find_artifact_by_build(store, artifact->build_key, &known, &found, err);
    if (status == 0 && found) status = meet(store, &known, artifact, replace, &keep, err);
    if (status == 0 && !keep) status = publish(store, temporary, artifact, err);
    store->adding = false;
    if (temporary && (status != 0 || keep)) unlink(temporary);
    iw_artifact_clear(&known);
    return status == 0 ? 0 : iw_wrap(err, "storing %s %s", artifact->name, artifact->version);
}

/* --- taking --------------------------------------------------------------- */

static int verify_packed(const char *path, const iw_artifact *a, iw_error *err)
{
    iw_packed expected = {0};
    snprintf(expected.content, sizeof expected.content, "%s", a->content);
    snprintf(expected.file, sizeof expected.file, "%s", a->file_digest);
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    if (iw_archive_lay(fd, a->name, NULL, NULL, &expected, NULL, err) != 0) return -1;
    return fchmod(fd, 0444) == 0 ? 0
                                 : iw_fail_errno(err, IW_E_IO, "can't set the mode of %s", path);
}

int iw_store_take_artifact(iw_store *store, const char *temporary, iw_artifact *artifact,
                           iw_error *err)
{
    iw_artifact known = {0};
    bool found = false, keep = false;
    int status = check_fields(artifact, err);
    if (status == 0) status = verify_packed(temporary, artifact, err);
    iw_cleanup_fd int locked = -1;
    if (status == 0) status = lock_artifacts(store, &locked, err);
    store->adding = locked >= 0;
    if (status == 0)
        status = iw_store_find_artifact_by_build(store, artifact->build_key, &known, &found, err);
    if (status == 0 && found) status = meet(store, &known, artifact, false, &keep, err);
    if (status == 0 && !keep) status = publish(store, temporary, artifact, err);
    store->adding = false;
    unlink(temporary);
    iw_artifact_clear(&known);
    return status == 0 ? 0 : iw_wrap(err, "taking %s %s", artifact->name, artifact->version);
}

/* --- laying --------------------------------------------------------------- */

static void note_laid(iw_store *store, const iw_artifact *a, const char *folder)
{
    iw_grow((void **)&store->laid, &store->laid_capacity, store->laid_count + 1,
            sizeof *store->laid);
    store->laid[store->laid_count++] = (iw_laid){iw_strdup(folder), iw_strdup(a->build_key),
                                                 iw_format("%s %s", a->name, a->version)};
}

static int is_path(void *context, const char *path)
{
    return strcmp(context, path) == 0;
}

/* Which of the artifacts that this handle laid into the folder brought `path`; borrowed. */
static const char *owner_of(const iw_store *store, const char *folder, const char *path)
{
    iw_cleanup_free char *wanted = iw_strdup(path);
    for (size_t i = 0; i < store->laid_count; i++) {
        if (strcmp(store->laid[i].folder, folder) != 0) continue;
        iw_cleanup_free char *tar =
            iw_artifact_path(store->root, store->laid[i].build_key, ".tar.zst");
        iw_cleanup_fd int fd = open(tar, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && iw_archive_members(fd, tar, is_path, wanted, NULL) == 1)
            return store->laid[i].title;
    }
    return "something laid there before";
}

/* The bytes aren't those that `a` names. Is it the file, or does `a` tell of one that was replaced
 * since? */
static int damaged(iw_store *store, const iw_artifact *a, iw_error *inner, iw_error *err)
{
    bool stale = false;
    remove_unless_stale(store, a, &stale, NULL);
    if (stale)
        iw_fail(err, IW_E_DIGEST, "artifact %s %s was replaced meanwhile; run again", a->name,
                a->version);
    else
        iw_fail(err, IW_E_DIGEST,
                "artifact %s %s was removed, and the next run builds it again: %s", a->name,
                a->version, iw_error_text(inner));
    iw_error_clear(inner);
    return -1;
}

int iw_store_lay_artifact(iw_store *store, const iw_artifact *artifact, const char *folder,
                          const iw_strings *skip, iw_error *err)
{
    iw_cleanup_free char *path = iw_artifact_path(store->root, artifact->build_key, ".tar.zst"),
                         *conflict = NULL;
    iw_error inner = IW_ERROR_INIT;
    iw_packed expected = {0};
    snprintf(expected.content, sizeof expected.content, "%s", artifact->content);
    snprintf(expected.file, sizeof expected.file, "%s", artifact->file_digest);
    iw_cleanup_fd int fd =
        iw_fault(IW_FAULT_OPEN) ? -1 : open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        iw_fail_errno(&inner, errno == ENOENT ? IW_E_DIGEST : IW_E_IO, "can't open %s", path);
        if (inner.kind == IW_E_DIGEST) return damaged(store, artifact, &inner, err);
        iw_error_move(err, &inner);
        return -1;
    }
    if (iw_archive_lay(fd, path, folder, skip, &expected, &conflict, &inner) == 0) {
        note_laid(store, artifact, folder);
        return 0;
    }
    if (inner.kind == IW_E_DIGEST) return damaged(store, artifact, &inner, err);
    if (conflict) {
        iw_error_clear(&inner);
        return iw_fail(err, IW_E_BUILD,
                       "%s %s and %s both bring the file %s, with different content: one of their "
                       "recipes must `remove` it",
                       artifact->name, artifact->version, owner_of(store, folder, conflict),
                       conflict);
    }
    iw_error_move(err, &inner);
    return iw_wrap(err, "laying %s %s", artifact->name, artifact->version);
}

int iw_store_read_artifact(iw_store *store, const iw_artifact *artifact, const char *glob,
                           size_t limit, char **text, iw_error *err)
{
    iw_cleanup_free char *path = iw_artifact_path(store->root, artifact->build_key, ".tar.zst");
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *text = NULL;
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    return iw_archive_text(fd, path, glob, limit, text, err);
}

/* --- rebuilding the index ------------------------------------------------- */

typedef struct importer {
    const char *root;
    iw_index *index;
} importer;

static int import_visit(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    (void)full;
    importer *i = context;
    if (S_ISDIR(status->st_mode)) return 1;
    if (strlen(relative) != 64 + 5 || !iw_ends_with(relative, ".json")) return 0;
    char key[IW_SHA256_HEX];
    snprintf(key, sizeof key, "%.64s", relative);
    iw_artifact artifact;
    static const iw_quick unknown = {0}; /* hashed when it is first asked for */
    if (!iw_is_sha256(key) || iw_artifact_read(i->root, key, &artifact, NULL) != 0) return 0;
    int result = put_row(i->index, &artifact, unknown, err);
    if (result == 0) result = put_plan(i->index, artifact.plan_key, key, err);
    iw_artifact_clear(&artifact);
    return result;
}

int iw_store_fill_artifacts(const char *root, iw_index *index, iw_error *err)
{
    importer i = {root, index};
    iw_cleanup_free char *folder = iw_path_join(root, "artifacts");
    return iw_walk(folder, import_visit, &i, err);
}
