#include "upgrade/bump.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/difference.h"
#include "upgrade/draft.h"
#include "upgrade/proof.h"
#include "upgrade/release.h"

#define STATE_LIMIT ((size_t)16 << 20)
#define STATE "state.json"

/* --- the kept state --------------------------------------------------------- */

struct bump {
    const iw_bump_options *options;
    json_t *report;
    char *folder, *draft, *undo; /* below the store's work/ */
    int lock;
    char tree_digest[IW_SHA256_HEX];
    iw_session before, after;
    iw_catalog *after_catalog;
    iw_release release;
    char *old_bundle, *new_bundle;
};

static char *tree_mark(const char *root)
{
    char hex[IW_SHA256_HEX];
    iw_hash_bytes(root, strlen(root), hex);
    return iw_strndup(hex, 12);
}

static char *state_folder(iw_store *store, const char *root, const char *stack, const char *name)
{
    iw_cleanup_free char *mark = tree_mark(root),
                         *base = iw_format("bump-%s-%s-%s", stack, name, mark);
    return iw_store_path(store, "work", base);
}

static int open_folder(struct bump *b, iw_error *err)
{
    const iw_bump_options *o = b->options;
    b->folder = state_folder(o->store, o->root, o->stack, o->name);
    b->draft = iw_path_join(b->folder, "tree");
    b->undo = iw_path_join(b->folder, "undo");
    iw_cleanup_free char *lock = iw_format("%s.lock", b->folder);
    if (iw_make_folders(b->folder, 0755, err) != 0) return -1;
    if (iw_lock_file(lock, true, false, &b->lock, err) != 0) return -1;
    if (b->lock < 0)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "another process is bumping %s of stack %s in this tree; wait for it",
                       o->name, o->stack);
    return iw_draft_recover(o->root, b->undo, NULL, err);
}

/* What must not change when the run goes on: the choice. */
static int keep_state(const struct bump *b, iw_error *err)
{
    const iw_bump_options *o = b->options;
    json_t *state = json_pack("{s:s,s:s,s:s,s:s,s:b,s:O?,s:O}", "root", o->root, "stack", o->stack,
                              "name", o->name, "to", b->release.to, "exists", b->release.exists,
                              "moves", b->release.moves, "report", b->report);
    iw_cleanup_free char *path = iw_path_join(b->folder, STATE),
                         *text = json_dumps(state, JSON_INDENT(1) | JSON_SORT_KEYS);
    int status = iw_write_file(path, text, strlen(text), 0644, err);
    json_decref(state);
    return status;
}

static json_t *read_state(const char *folder)
{
    iw_cleanup_free char *path = iw_path_join(folder, STATE), *text = NULL;
    if (iw_read_file(path, STATE_LIMIT, &text, NULL, NULL) != 0) return NULL;
    json_t *state = json_loads(text, 0, NULL);
    if (iw_json_get(state, "to") && iw_json_get(state, "root")) return state;
    json_decref(state);
    return NULL;
}

/* The choice of an earlier run, where it is to go on. */
static bool take_state(struct bump *b)
{
    json_t *state = b->options->resume ? read_state(b->folder) : NULL;
    if (!state) return false;
    b->release.to = iw_strdup(iw_json_get(state, "to"));
    b->release.exists = json_is_true(json_object_get(state, "exists"));
    b->release.moves = json_incref(json_object_get(state, "moves"));
    json_t *report = json_object_get(state, "report");
    static const char *const kept[] = {"passed_over", "source", NULL};
    for (size_t i = 0; kept[i]; i++)
        if (json_object_get(report, kept[i]))
            json_object_set(b->report, kept[i], json_object_get(report, kept[i]));
    json_decref(state);
    return true;
}

/* --- steps -------------------------------------------------------------------- */

static void tell(const struct bump *b, iw_event_type type, const char *phase, const char *detail)
{
    iw_emit(
        b->options->deliver.sink,
        (iw_event){.type = type, .subject = b->options->name, .phase = phase, .detail = detail});
}

static int open_before(struct bump *b, iw_error *err)
{
    const iw_bump_options *o = b->options;
    iw_node *node;
    if (iw_session_open(o->catalog, o->store, o->stack, &o->deliver, &b->before, err) != 0 ||
        iw_session_node(&b->before, o->name, &node, err) != 0)
        return -1;
    iw_json_set(b->report, "from", node->recipe->version);
    b->release.plan = b->before.plan;
    b->release.recipe = node->recipe;
    return 0;
}

static iw_fetch_options fetch_options(const struct bump *b)
{
    iw_fetch_options fetch = b->options->deliver.fetch;
    fetch.cancel = b->options->deliver.cancel;
    fetch.sink = b->options->deliver.sink;
    return fetch;
}

static int choose(struct bump *b, iw_error *err)
{
    tell(b, IW_EVENT_STARTED, "candidates", NULL);
    iw_release_rules(&b->release);
    if (!take_state(b) && iw_release_choose(&b->release, err) != 0) return -1;
    iw_json_set(b->report, "to", b->release.to);
    tell(b, IW_EVENT_FINISHED, "candidates", b->release.to);
    return keep_state(b, err);
}

static int draft(struct bump *b, iw_error *err)
{
    tell(b, IW_EVENT_STARTED, "patches", NULL);
    if (iw_draft_digest(b->options->root, b->tree_digest, err) != 0 ||
        iw_draft_make(b->options->root, b->draft, err) != 0 ||
        iw_release_draft(&b->release, err) != 0)
        return -1;
    tell(b, IW_EVENT_FINISHED, "patches", "tried");
    return keep_state(b, err);
}

static int open_after(struct bump *b, iw_error *err)
{
    iw_deliver_options deliver = b->options->deliver;
    iw_cleanup_free char *dist = iw_path_join(b->folder, "dist");
    deliver.root = b->draft;
    deliver.output = iw_strdup(dist); /* borrowed by the session: freed with the bump */
    if (iw_catalog_open(b->draft, &b->after_catalog, err) != 0) {
        free((char *)deliver.output);
        return -1;
    }
    int status = iw_session_open(b->after_catalog, b->options->store, b->options->stack, &deliver,
                                 &b->after, err);
    b->after.options.output = deliver.output;
    return status;
}

static void tell_plan(struct bump *b)
{
    json_t *rebuild = json_array();
    double seconds = 0;
    for (size_t i = 0; i < b->after.plan->node_count; i++) {
        const iw_node *node = &b->after.plan->nodes[i];
        if (node->action == IW_ACTION_REUSE) continue;
        json_array_append_new(rebuild,
                              json_pack("{s:s,s:s,s:o,s:f,s:b}", "package", node->recipe->name,
                                        "version", node->recipe->version, "reason",
                                        iw_json_text(node->reason ? node->reason : ""), "seconds",
                                        node->expected_seconds, "maybe", node->maybe));
        seconds += node->expected_seconds;
    }
    json_object_set_new(b->report, "rebuild", rebuild);
    json_object_set_new(b->report, "seconds", json_real(seconds));
}

static bool all_reused(const iw_plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].action != IW_ACTION_REUSE && plan->nodes[i].in_bundle) return false;
    return true;
}

/* The bundle as it was, where it costs no building. */
static int find_old(struct bump *b, iw_error *err)
{
    iw_cleanup_free char *sha256 = NULL;
    bool found = false;
    if (iw_session_find_ready(&b->before, &b->old_bundle, &sha256, &found, err) != 0) return -1;
    if (found || !all_reused(b->before.plan)) return 0;
    iw_cleanup_free char *dist = iw_path_join(b->folder, "dist-before");
    const char *output = b->before.options.output;
    b->before.options.output = dist;
    int status = iw_session_build(&b->before, err);
    if (status == 0)
        status = iw_session_find_ready(&b->before, &b->old_bundle, &sha256, &found, err);
    b->before.options.output = output;
    return status == 0 ? 0 : iw_wrap(err, "the bundle as it was, for comparison");
}

static int build(struct bump *b, iw_error *err)
{
    iw_cleanup_free char *sha256 = NULL;
    bool found = false;
    if (iw_session_find_ready(&b->after, &b->new_bundle, &sha256, &found, err) != 0) return -1;
    if (!found && iw_session_build(&b->after, err) != 0) return -1;
    if (iw_session_replan(&b->after, err) != 0) return -1;
    if (!found && iw_session_find_ready(&b->after, &b->new_bundle, &sha256, &found, err) != 0)
        return -1;
    return found ? 0 : iw_fail(err, IW_E_BUILD, "the bundle that was built can't be found");
}

static int compare(struct bump *b, iw_error *err)
{
    iw_cleanup_free char *work = iw_path_join(b->folder, "open");
    json_t *found = NULL;
    if (!b->old_bundle) {
        json_object_set_new(b->report, "difference", json_null());
        return 0;
    }
    iw_bundle_side before = {b->old_bundle, b->before.plan}, after = {b->new_bundle, b->after.plan};
    tell(b, IW_EVENT_STARTED, "difference", NULL);
    if (iw_make_folders(work, 0755, err) != 0) return -1;
    int status = iw_bundle_difference(&before, &after, work, b->options->deliver.sink, &found, err);
    (void)!iw_remove_tree(work, NULL);
    if (status == 0) json_object_set_new(b->report, "difference", found);
    if (status == 0) tell(b, IW_EVENT_FINISHED, "difference", "compared");
    return status;
}

static int prove(struct bump *b, bool *redo, iw_error *err)
{
    *redo = false;
    if (b->options->no_proof || b->release.exists) return 0;
    iw_node *node;
    if (iw_session_node(&b->after, b->options->name, &node, err) != 0) return -1;
    iw_cleanup_free char *work = iw_path_join(b->folder, "proof");
    iw_patch_proof proof = {.tree = b->draft, .session = &b->after, .node = node, .work = work};
    json_t *proofs = NULL;
    int status = iw_prove_patches(&proof, &proofs, err);
    if (status == 0) json_object_set(b->report, "proofs", proofs);
    if (status == 0) status = iw_release_drop_needless(&b->release, proofs, redo, err);
    json_decref(proofs);
    return status;
}

static int put_changes(struct bump *b, const iw_changes_list *changes, iw_error *err)
{
    iw_cleanup_free char *diff = NULL;
    if (iw_draft_diff(changes, &diff, err) != 0) return -1;
    json_object_set_new(b->report, "diff", iw_json_text(diff));
    json_t *paths = json_array();
    for (size_t i = 0; i < changes->count; i++)
        json_array_append_new(paths, json_string(changes->items[i].path));
    json_object_set_new(b->report, "written", paths);
    return b->options->dry_run ? 0 : iw_draft_write(b->options->root, changes, b->undo, err);
}

/* Under a lock of the whole tree: two bumps write one after the other, and the second one's proof
 * must still be about the tree that it changes. */
static int write_tree(struct bump *b, iw_error *err)
{
    char digest[IW_SHA256_HEX];
    iw_changes_list changes;
    iw_cleanup_free char *mark = tree_mark(b->options->root),
                         *name = iw_format("bump-%s.lock", mark),
                         *path = iw_store_path(b->options->store, "work", name);
    iw_cleanup_fd int lock = -1;
    if (iw_lock_file(path, true, true, &lock, err) != 0 ||
        iw_draft_digest(b->options->root, digest, err) != 0)
        return -1;
    if (strcmp(digest, b->tree_digest) != 0)
        return iw_fail(err, IW_E_CHECK,
                       "the tree changed while this was proven, and nothing was written: "
                       "`ironwheel bump --continue %s` proves it on what is there now",
                       b->options->name);
    if (iw_draft_changes(b->options->root, b->draft, &changes, err) != 0) return -1;
    int status = put_changes(b, &changes, err);
    iw_draft_changes_free(&changes);
    return status;
}

/* --- the bundle goes where `build` would have put it ---------------------------- */

static int copy_beside(const char *from, const char *to, const char *ending, iw_error *err)
{
    iw_cleanup_free char *source = iw_format("%s%s", from, ending),
                         *target = iw_format("%s%s", to, ending);
    return iw_exists(source) ? iw_copy_file(source, target, err) : 0;
}

static int deliver(struct bump *b, iw_error *err)
{
    iw_cleanup_free char *output = iw_session_output(&b->before), *sha256 = NULL,
                         *to = iw_path_join(output, iw_path_base(b->new_bundle)),
                         *report_from = iw_report_path(b->new_bundle),
                         *report_to = iw_report_path(to);
    char digest[IW_SHA256_HEX];
    if (iw_make_folders(output, 0755, err) != 0 || copy_beside(b->new_bundle, to, "", err) != 0 ||
        copy_beside(b->new_bundle, to, ".sha256", err) != 0 ||
        copy_beside(b->new_bundle, to, ".checks.json", err) != 0 ||
        copy_beside(report_from, report_to, "", err) != 0 ||
        iw_hash_file(to, digest, NULL, err) != 0)
        return -1;
    const char *draft_output = b->after.options.output;
    b->after.options.output = output;
    iw_cleanup_free char *key = iw_session_bundle_key(&b->after);
    b->after.options.output = draft_output;
    iw_json_set(b->report, "bundle", to);
    return iw_store_note_bundle(b->options->store, key, to, digest, err);
}

/* --- in order ------------------------------------------------------------------ */

/* Builds what the draft says, once more without the patches that turned out to be needless. */
static int build_and_prove(struct bump *b, iw_error *err)
{
    bool redo = false;
    if (find_old(b, err) != 0 || build(b, err) != 0 || prove(b, &redo, err) != 0) return -1;
    if (redo) {
        char *output = (char *)b->after.options.output;
        iw_session_close(&b->after);
        iw_catalog_free(b->after_catalog);
        b->after_catalog = NULL;
        b->after = (iw_session){0};
        free(output);
        free(b->new_bundle);
        b->new_bundle = NULL;
        if (open_after(b, err) != 0 || build(b, err) != 0) return -1;
    }
    return compare(b, err);
}

static int go(struct bump *b, iw_error *err)
{
    if (open_folder(b, err) != 0 || open_before(b, err) != 0 || choose(b, err) != 0) return -1;
    if (strcmp(b->release.to, b->release.recipe->version) == 0) {
        iw_json_set(b->report, "verdict", "up to date");
        return iw_remove_tree(b->folder, err);
    }
    if (draft(b, err) != 0 || open_after(b, err) != 0) return -1;
    tell_plan(b);
    if (!b->options->dry_run && build_and_prove(b, err) != 0) return -1;
    if (write_tree(b, err) != 0) return -1;
    iw_json_set(b->report, "verdict", b->options->dry_run ? "would be bumped" : "bumped");
    if (!b->options->dry_run && deliver(b, err) != 0) return -1;
    return iw_remove_tree(b->folder, err);
}

static void close_bump(struct bump *b)
{
    char *output = (char *)b->after.options.output;
    iw_session_close(&b->after);
    free(output);
    iw_catalog_free(b->after_catalog);
    iw_session_close(&b->before);
    iw_release_clear(&b->release);
    json_decref(b->release.tools);
    free(b->folder), free(b->draft), free(b->undo), free(b->old_bundle), free(b->new_bundle);
    iw_close_fd(&b->lock);
}

/* What happened, for the report; "nothing newer" is an answer, unless a version was asked for. */
static int settle(struct bump *b, iw_error *err)
{
    bool chosen = iw_json_get(b->report, "to") != NULL;
    iw_json_set(b->report, "cause", iw_error_text(err));
    if (!chosen && err->kind == IW_E_NOT_FOUND && !b->options->version &&
        iw_json_get(b->report, "from")) {
        iw_json_set(b->report, "verdict", "nothing newer");
        iw_error_clear(err);
        return 0;
    }
    iw_json_set(b->report, "verdict", "not kept");
    if (chosen && b->folder) iw_json_set(b->report, "kept", b->folder);
    return -1;
}

int iw_bump(const iw_bump_options *options, json_t **report, iw_error *err)
{
    iw_fetch_options fetch;
    struct bump b = {.options = options, .lock = -1};
    b.report = *report = json_pack("{s:s,s:s}", "name", options->name, "stack", options->stack);
    fetch = fetch_options(&b);
    b.release = (iw_release){.store = options->store,
                             .tree = options->root,
                             .catalog = options->catalog,
                             .tools = json_object(),
                             .fetch = &fetch,
                             .rules = {.min_age = options->min_age,
                                       .early = options->early,
                                       .now = options->now,
                                       .only = options->version},
                             .report = b.report};
    iw_cleanup_free char *folder =
        state_folder(options->store, options->root, options->stack, options->name);
    iw_cleanup_free char *draft_folder = iw_path_join(folder, "tree");
    b.release.work = folder;
    b.release.draft = draft_folder;
    int status = go(&b, err);
    if (status != 0) status = settle(&b, err);
    close_bump(&b);
    return status;
}

/* --- what earlier runs left ------------------------------------------------------ */

struct search {
    const char *root, *stack;
    time_t latest;
    char *name, *found_stack;
    iw_error *err;
};

static bool is_state_of(const json_t *state, const char *root, const char *stack)
{
    const char *where = iw_json_get(state, "root"), *of = iw_json_get(state, "stack");
    return where && of && strcmp(where, root) == 0 && (!stack || strcmp(of, stack) == 0);
}

static int look(void *context, const char *relative, const char *full, const struct stat *status,
                iw_error *err)
{
    struct search *search = context;
    (void)err;
    if (!S_ISDIR(status->st_mode)) return 0;
    json_t *state = iw_starts_with(relative, "bump-") ? read_state(full) : NULL;
    if (is_state_of(state, search->root, search->stack) && status->st_mtime >= search->latest) {
        free(search->name), free(search->found_stack);
        search->latest = status->st_mtime;
        search->name = iw_strdup(iw_json_get(state, "name"));
        search->found_stack = iw_strdup(iw_json_get(state, "stack"));
    }
    json_decref(state);
    return 1;
}

int iw_bump_unfinished(iw_store *store, const char *root, const char *stack, char **name,
                       char **found_stack, iw_error *err)
{
    struct search search = {.root = root, .stack = stack};
    iw_cleanup_free char *work = iw_store_path(store, "work", "");
    if (iw_exists(work) && iw_walk(work, look, &search, err) != 0) return -1;
    *name = search.name;
    *found_stack = search.found_stack;
    return *name ? 0
                 : iw_fail(err, IW_E_NOT_FOUND,
                           "no bump of this tree was stopped or failed: there is "
                           "nothing to go on with");
}

static int recover_one(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    const char *root = context;
    if (!S_ISDIR(status->st_mode)) return 0;
    if (!iw_starts_with(relative, "bump-")) return 1;
    iw_cleanup_free char *undo = iw_path_join(full, "undo"),
                         *lock_path = iw_format("%s.lock", full);
    iw_cleanup_fd int lock = -1;
    json_t *state = iw_exists(undo) ? read_state(full) : NULL;
    int bad = 0;
    if (is_state_of(state, root, NULL)) bad = iw_lock_file(lock_path, true, false, &lock, err);
    if (!bad && lock >= 0) bad = iw_draft_recover(root, undo, NULL, err);
    json_decref(state);
    return bad ? -1 : 1;
}

int iw_bump_recover(iw_store *store, const char *root, iw_error *err)
{
    iw_cleanup_free char *work = iw_store_path(store, "work", "");
    return iw_exists(work) ? iw_walk(work, recover_one, (void *)root, err) : 0;
}
