#include "upgrade/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/recipe.h"

#define FILE_LIMIT ((size_t)64 << 20)

static const char *const parts[] = {"recipes", "patches", NULL};

int iw_draft_make(const char *root, const char *folder, iw_error *err)
{
    return iw_remove_tree(folder, err) == 0 ? iw_catalog_copy(root, folder, err) : -1;
}

static int add_entry(void *context, const char *relative, const char *full,
                     const struct stat *status, iw_error *err)
{
    char hex[IW_SHA256_HEX];
    if (!S_ISREG(status->st_mode)) return 0;
    if (iw_hash_file(full, hex, NULL, err) != 0) return -1;
    iw_hash_add_field(context, "file", relative);
    iw_hash_add_field(context, "sha256", hex);
    return 0;
}

int iw_draft_digest(const char *root, char hex[IW_SHA256_HEX], iw_error *err)
{
    iw_hash *hash = iw_hash_new();
    int status = 0;
    for (size_t i = 0; parts[i] && status == 0; i++) {
        iw_cleanup_free char *folder = iw_path_join(root, parts[i]);
        iw_hash_add_field(hash, "part", parts[i]);
        if (iw_exists(folder)) status = iw_walk(folder, add_entry, hash, err);
    }
    if (status == 0) iw_hash_finish(hash, hex);
    iw_hash_free(hash);
    return status;
}

/* --- what differs --------------------------------------------------------- */

void iw_draft_changes_free(iw_changes_list *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        iw_change *one = &changes->items[i];
        free(one->path), free(one->before), free(one->after);
    }
    free(changes->items);
    *changes = (iw_changes_list){0};
}

static int read_if_there(const char *root, const char *path, char **out, size_t *length,
                         iw_error *err)
{
    iw_cleanup_free char *full = iw_path_join(root, path);
    struct stat status;
    *out = NULL;
    *length = 0;
    if (lstat(full, &status) != 0 && errno == ENOENT) return 0;
    return iw_read_file(full, FILE_LIMIT, out, length, err);
}

struct walk {
    const char *root, *folder, *part;
    bool only_missing; /* in the draft */
    iw_changes_list *out;
};

static int compare_entry(void *context, const char *relative, const char *full,
                         const struct stat *status, iw_error *err)
{
    struct walk *walk = context;
    (void)full;
    if (!S_ISREG(status->st_mode)) return 0;
    iw_change change = {.path = iw_path_join(walk->part, relative)};
    iw_changes_list one = {&change, 1, 1};
    int bad = read_if_there(walk->root, change.path, &change.before, &change.before_length, err);
    if (!bad)
        bad = read_if_there(walk->folder, change.path, &change.after, &change.after_length, err);
    bool same = change.before && change.after && change.before_length == change.after_length &&
                memcmp(change.before, change.after, change.after_length) == 0;
    if (bad || same || (walk->only_missing && change.after)) {
        free(change.path), free(change.before), free(change.after);
        return bad ? -1 : 0;
    }
    iw_grow((void **)&walk->out->items, &walk->out->capacity, walk->out->count + 1, sizeof change);
    walk->out->items[walk->out->count++] = one.items[0];
    return 0;
}

static int rank(const iw_change *change)
{
    return iw_starts_with(change->path, "recipes/stacks/") ? 2 : change->before ? 1 : 0;
}

static int in_order(const void *a, const void *b)
{
    int order = rank(a) - rank(b);
    return order ? order : strcmp(((const iw_change *)a)->path, ((const iw_change *)b)->path);
}

int iw_draft_changes(const char *root, const char *folder, iw_changes_list *out, iw_error *err)
{
    int status = 0;
    *out = (iw_changes_list){0};
    for (size_t i = 0; parts[i] && status == 0; i++) {
        iw_cleanup_free char *draft = iw_path_join(folder, parts[i]),
                             *tree = iw_path_join(root, parts[i]);
        struct walk walk = {root, folder, parts[i], false, out};
        status = iw_walk(draft, compare_entry, &walk, err);
        walk.only_missing = true;
        if (status == 0 && iw_exists(tree)) status = iw_walk(tree, compare_entry, &walk, err);
    }
    if (out->count) qsort(out->items, out->count, sizeof *out->items, in_order);
    if (status != 0) iw_draft_changes_free(out);
    return status;
}

/* --- as a diff ------------------------------------------------------------ */

static int add_diff(const iw_change *change, iw_buffer *out, iw_error *err)
{
    git_diff_options options;
    git_patch *patch = NULL;
    git_buf text = {0};
    git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.flags = GIT_DIFF_FORCE_TEXT;
    bool bad =
        git_patch_from_buffers(&patch, change->before, change->before_length, change->path,
                               change->after, change->after_length, change->path, &options) != 0 ||
        git_patch_to_buf(&text, patch) != 0;
    const git_error *why = bad ? git_error_last() : NULL;
    if (bad)
        iw_fail(err, IW_E_FORMAT, "%s: no diff can be made: %s", change->path,
                why ? why->message : "libgit2 gave no reason");
    else iw_buffer_add(out, text.ptr, text.size);
    git_buf_dispose(&text);
    git_patch_free(patch);
    return bad ? -1 : 0;
}

int iw_draft_diff(const iw_changes_list *changes, char **out, iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0};
    int status = 0;
    git_libgit2_init();
    for (size_t i = 0; i < changes->count && status == 0; i++)
        status = add_diff(&changes->items[i], &text, err);
    git_libgit2_shutdown();
    if (status == 0) *out = iw_buffer_take(&text);
    return status;
}

/* --- into the tree -------------------------------------------------------- */

#define LIST "undo.json"

static void digest_of(const char *text, size_t length, char hex[IW_SHA256_HEX])
{
    if (text) iw_hash_bytes(text, length, hex);
    else hex[0] = '\0';
}

/* The old contents first, then the list of them: without the list nothing was changed yet. */
static int keep_old(const iw_changes_list *changes, const char *undo, iw_error *err)
{
    json_t *list = json_array();
    int status = iw_remove_tree(undo, err) != 0 || iw_make_folders(undo, 0755, err) != 0 ? -1 : 0;
    for (size_t i = 0; i < changes->count && status == 0; i++) {
        const iw_change *change = &changes->items[i];
        char before[IW_SHA256_HEX], after[IW_SHA256_HEX];
        iw_cleanup_free char *name = iw_format("%zu", i), *copy = iw_path_join(undo, name);
        digest_of(change->before, change->before_length, before);
        digest_of(change->after, change->after_length, after);
        json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "path", change->path, "before",
                                              before, "after", after));
        if (change->before)
            status = iw_write_file(copy, change->before, change->before_length, 0644, err);
    }
    iw_cleanup_free char *path = iw_path_join(undo, LIST), *text = json_dumps(list, JSON_INDENT(1));
    if (status == 0) status = iw_write_file(path, text, strlen(text), 0644, err);
    json_decref(list);
    return status;
}

/* Under a name that the recovery knows: a kill may leave it. Caller frees. */
static char *passing_name(const char *full)
{
    return iw_format("%s.iw-new", full);
}

static int write_through(const char *full, const char *text, size_t length, iw_error *err)
{
    iw_cleanup_free char *passing = passing_name(full);
    iw_cleanup_fd int fd = open(passing, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", passing);
    if (iw_write_all(fd, text, length, passing, err) == 0 && iw_publish(passing, full, err) == 0)
        return 0;
    (void)!unlink(passing);
    return -1;
}

/* The list goes first: without it nothing is put back. */
static int forget_old(const char *undo, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(undo, LIST);
    return iw_remove_tree(path, err) == 0 ? iw_remove_tree(undo, err) : -1;
}

static int put(const char *root, const char *path, const char *text, size_t length, iw_error *err)
{
    iw_cleanup_free char *full = iw_path_join(root, path), *parent = iw_path_parent(full);
    if (!text) {
        if (unlink(full) != 0 && errno != ENOENT)
            return iw_fail_errno(err, IW_E_IO, "can't remove %s", full);
        return iw_sync_folder(parent, err);
    }
    if (iw_make_folders(parent, 0755, err) != 0) return -1;
    return write_through(full, text, length, err);
}

/* IW_E_CHECK where a file isn't what the change says that it was. */
static int check_unchanged(const char *root, const iw_changes_list *changes, iw_error *err)
{
    for (size_t i = 0; i < changes->count; i++) {
        const iw_change *change = &changes->items[i];
        iw_cleanup_free char *now = NULL;
        size_t length;
        if (read_if_there(root, change->path, &now, &length, err) != 0) return -1;
        bool same = now && change->before ? length == change->before_length &&
                                                memcmp(now, change->before, length) == 0
                                          : !now && !change->before;
        if (!same)
            return iw_fail(err, IW_E_CHECK,
                           "%s changed meanwhile; nothing was written: give the command again",
                           change->path);
    }
    return 0;
}

/* One file back to what it was; one that somebody has edited since stays. */
static int restore(const char *root, const char *undo, size_t index, const json_t *entry,
                   iw_error *err)
{
    const char *path = json_string_value(json_object_get(entry, "path")),
               *before = json_string_value(json_object_get(entry, "before")),
               *after = json_string_value(json_object_get(entry, "after"));
    iw_cleanup_free char *now = NULL, *old = NULL, *name = iw_format("%zu", index);
    size_t length, old_length = 0;
    char digest[IW_SHA256_HEX];
    if (!path || !before || !after || !iw_path_is_inside(path))
        return iw_fail(err, IW_E_FORMAT, "%s/%s is damaged", undo, LIST);
    iw_cleanup_free char *full = iw_path_join(root, path), *passing = passing_name(full);
    (void)!unlink(passing);
    if (read_if_there(root, path, &now, &length, err) != 0) return -1;
    digest_of(now, length, digest);
    if (strcmp(digest, after) != 0) return 0;
    if (*before && read_if_there(undo, name, &old, &old_length, err) != 0) return -1;
    if (*before && !old) return iw_fail(err, IW_E_FORMAT, "%s lacks the old %s", undo, path);
    return put(root, path, old, old_length, err);
}

int iw_draft_recover(const char *root, const char *undo, bool *recovered, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(undo, LIST);
    json_error_t why;
    if (recovered) *recovered = false;
    if (!iw_exists(path)) return 0;
    json_t *list = json_load_file(path, 0, &why), *entry;
    if (!list) return iw_fail(err, IW_E_FORMAT, "%s can't be read: %s", path, why.text);
    size_t i;
    int status = 0;
    json_array_foreach(list, i, entry)
    {
        if (status == 0) status = restore(root, undo, i, entry, err);
    }
    json_decref(list);
    if (status == 0) status = forget_old(undo, err);
    if (recovered) *recovered = status == 0;
    return status;
}

int iw_draft_write(const char *root, const iw_changes_list *changes, const char *undo,
                   iw_error *err)
{
    if (check_unchanged(root, changes, err) != 0 || keep_old(changes, undo, err) != 0) return -1;
    int status = 0;
    for (size_t i = 0; i < changes->count && status == 0; i++)
        status = put(root, changes->items[i].path, changes->items[i].after,
                     changes->items[i].after_length, err);
    if (status == 0) return forget_old(undo, err);
    iw_error why = IW_ERROR_INIT;
    if (iw_draft_recover(root, undo, NULL, &why) != 0)
        iw_wrap(err, "(and what was there before couldn't be put back: %s; it stands in %s)",
                iw_error_text(&why), undo);
    iw_error_clear(&why);
    return -1;
}
