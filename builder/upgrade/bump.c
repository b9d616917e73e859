#include "upgrade/bump.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/build.h"
#include "upgrade/draft.h"
#include "upgrade/hints.h"
#include "upgrade/learn.h"
#include "upgrade/proof.h"
#include "upgrade/release.h"
#include "upgrade/tools.h"
#include "upgrade/trial.h"

#define STATE_LIMIT ((size_t)16 << 20)
#define LOG_LIMIT ((size_t)64 << 20)

/* --- the kept state --------------------------------------------------------- */

struct bump {
    iw_trial trial;
    iw_release release;
    char drafted[IW_SHA256_HEX]; /* digest of the copy as this program left it; "" before */
    bool edited;                 /* somebody changed the copy since */
};

/* What must not change when the run goes on: the choice; and what was drafted, from what. */
static int keep_state(const struct bump *b, iw_error *err)
{
    const iw_bump_options *o = b->trial.options;
    json_t *state = json_pack("{s:s,s:s,s:s,s:s,s:b,s:O?,s:O,s:s,s:s}", "root", o->root, "stack",
                              o->stack, "name", o->name, "to", b->release.to, "exists",
                              b->release.exists, "moves", b->release.moves, "report",
                              b->trial.report, "tree", b->trial.tree_digest, "drafted", b->drafted);
    iw_cleanup_free char *path = iw_trial_state(b->trial.folder),
                         *text = json_dumps(state, JSON_INDENT(1) | JSON_SORT_KEYS);
    int status = iw_write_file(path, text, strlen(text), 0644, err);
    json_decref(state);
    return status;
}

static json_t *read_state(const char *folder)
{
    iw_cleanup_free char *path = iw_trial_state(folder), *text = NULL;
    if (iw_read_file(path, STATE_LIMIT, &text, NULL, NULL) != 0) return NULL;
    json_t *state = json_loads(text, 0, NULL);
    if (iw_json_get(state, "to") && iw_json_get(state, "root")) return state;
    json_decref(state);
    return NULL;
}

/* Whether the copy that an earlier run drafted isn't as it was left: a person's work. It counts as
 * long as the tree is what the copy was made from. */
static int find_edits(struct bump *b, const json_t *state, iw_error *err)
{
    const char *tree = iw_json_get(state, "tree"), *drafted = iw_json_get(state, "drafted");
    char now[IW_SHA256_HEX];
    if (!tree || !drafted || strlen(drafted) + 1 != sizeof b->drafted || !iw_exists(b->trial.draft))
        return 0;
    if (iw_draft_digest(b->trial.draft, now, err) != 0 ||
        iw_draft_digest(b->trial.options->root, b->trial.tree_digest, err) != 0)
        return -1;
    b->edited = strcmp(now, drafted) != 0;
    if (b->edited) memcpy(b->drafted, drafted, strlen(drafted) + 1);
    if (!b->edited || strcmp(b->trial.tree_digest, tree) == 0) return 0;
    return iw_fail(err, IW_E_CHECK,
                   "%s was edited, and the tree that it is a copy of has changed since: keep your "
                   "edits elsewhere, and start anew without --continue",
                   b->trial.draft);
}

/* The choice of an earlier run, where it is to go on. */
static bool take_state(struct bump *b, const json_t *state)
{
    if (!state) return false;
    b->release.to = iw_strdup(iw_json_get(state, "to"));
    b->release.exists = json_is_true(json_object_get(state, "exists"));
    b->release.moves = json_incref(json_object_get(state, "moves"));
    json_t *report = json_object_get(state, "report");
    static const char *const kept[] = {"passed_over", "source",   "patches", "with",
                                       "unmet",       "metadata", NULL};
    for (size_t i = 0; kept[i]; i++)
        if (json_object_get(report, kept[i]) && (i < 2 || b->edited))
            json_object_set(b->trial.report, kept[i], json_object_get(report, kept[i]));
    return true;
}

/* --- steps -------------------------------------------------------------------- */

static int open_before(struct bump *b, iw_error *err)
{
    const iw_bump_options *o = b->trial.options;
    iw_node *node;
    if (iw_session_open(o->catalog, o->store, o->stack, &o->deliver, &b->trial.before, err) != 0 ||
        iw_session_node(&b->trial.before, o->name, &node, err) != 0)
        return -1;
    iw_json_set(b->trial.report, "from", node->recipe->version);
    b->release.plan = b->trial.before.plan;
    b->release.recipe = node->recipe;
    return 0;
}

static iw_fetch_options fetch_options(const struct bump *b)
{
    iw_fetch_options fetch = b->trial.options->deliver.fetch;
    fetch.cancel = b->trial.options->deliver.cancel;
    fetch.sink = b->trial.options->deliver.sink;
    return fetch;
}

static int choose(struct bump *b, iw_error *err)
{
    iw_trial_tell(&b->trial, IW_EVENT_STARTED, "candidates", NULL);
    iw_release_rules(&b->release);
    json_t *state = b->trial.options->resume ? read_state(b->trial.folder) : NULL;
    int status = state ? find_edits(b, state, err) : 0;
    bool taken = status == 0 && take_state(b, state);
    json_decref(state);
    if (status == 0 && !taken) status = iw_release_choose(&b->release, err);
    if (status != 0) return -1;
    iw_json_set(b->trial.report, "to", b->release.to);
    iw_trial_tell(&b->trial, IW_EVENT_FINISHED, "candidates", b->release.to);
    return keep_state(b, err);
}

static int settle_tools(struct bump *b, iw_error *err)
{
    json_t *pinned = json_object();
    int status = iw_settle_tools(b->trial.draft, b->trial.before.plan->stack, NULL, pinned, err);
    if (json_object_size(pinned)) json_object_set(b->trial.report, "tools", pinned);
    json_decref(pinned);
    return status;
}

static int draft(struct bump *b, iw_error *err)
{
    if (b->edited) {
        json_object_set_new(b->trial.report, "edited", json_true());
        iw_trial_tell(&b->trial, IW_EVENT_NOTE, "patches", "the copy was edited: it is taken");
        return iw_release_pin(&b->release, err);
    }
    iw_trial_tell(&b->trial, IW_EVENT_STARTED, "patches", NULL);
    if (iw_draft_digest(b->trial.options->root, b->trial.tree_digest, err) != 0 ||
        iw_draft_make(b->trial.options->root, b->trial.draft, err) != 0)
        return -1;
    int status = iw_release_draft(&b->release, err);
    if (status == 0) status = settle_tools(b, err);
    if (status != 0 && err->kind != IW_E_CHECK && err->kind != IW_E_RECIPE) return -1;
    if (b->release.to) iw_json_set(b->trial.report, "to", b->release.to);
    iw_error *later = status == 0 ? err : NULL; /* also a draft that failed can be edited */
    if (iw_draft_digest(b->trial.draft, b->drafted, later) != 0 || keep_state(b, later) != 0)
        return -1;
    if (status == 0) iw_trial_tell(&b->trial, IW_EVENT_FINISHED, "patches", "tried");
    return status;
}

/* What is changed here isn't to be taken for a person's work, wherever it stops; and what a person
 * edited stays that. */
static int begin_change(struct bump *b, char before[IW_SHA256_HEX], iw_error *err)
{
    memcpy(before, b->drafted, IW_SHA256_HEX);
    if (b->edited) return 0;
    b->drafted[0] = '\0';
    return keep_state(b, err);
}

static int end_change(struct bump *b, const char before[IW_SHA256_HEX], iw_error *err)
{
    if (b->edited) return 0;
    if (*before && iw_draft_digest(b->trial.draft, b->drafted, err) != 0) return -1;
    return keep_state(b, err);
}

static int drop_needless(struct bump *b, const json_t *proofs, bool *redo, iw_error *err)
{
    char before[IW_SHA256_HEX];
    return begin_change(b, before, err) != 0 ||
                   iw_release_drop_needless(&b->release, proofs, redo, err) != 0 ||
                   end_change(b, before, err) != 0
               ? -1
               : 0;
}

static int prove(struct bump *b, bool *redo, iw_error *err)
{
    *redo = false;
    if (b->trial.options->no_proof || b->release.exists) return 0;
    iw_node *node;
    if (iw_session_node(&b->trial.after, b->trial.options->name, &node, err) != 0) return -1;
    iw_cleanup_free char *work = iw_path_join(b->trial.folder, "proof");
    iw_patch_proof proof = {
        .tree = b->trial.draft, .session = &b->trial.after, .node = node, .work = work};
    json_t *proofs = NULL;
    int status = iw_prove_patches(&proof, &proofs, err);
    if (status == 0) json_object_set(b->trial.report, "proofs", proofs);
    if (status == 0) status = drop_needless(b, proofs, redo, err);
    json_decref(proofs);
    return status;
}

/* --- in order ------------------------------------------------------------------ */

/* Where the new release's files need shared libraries that the old one's didn't, and the tree has
 * recipes of them: these become needs. *added: the draft is another one now. */
static int take_libraries(struct bump *b, const iw_error *why, bool *added, iw_error *err)
{
    iw_cleanup_strings iw_strings recipes = {0};
    char before[IW_SHA256_HEX];
    *added = false;
    if (b->release.exists || !iw_missing_libraries(iw_error_text(why), &recipes)) return 0;
    if (begin_change(b, before, err) != 0) return -1;
    for (size_t i = 0; i < recipes.count; i++) {
        iw_list versions;
        bool one = false;
        if (iw_catalog_versions(b->trial.options->catalog, recipes.items[i], &versions, err) != 0)
            return -1;
        if (versions.count && iw_release_add_need(&b->release, recipes.items[i], &one, err) != 0)
            return -1;
        if (!one) continue;
        *added = true;
        if (!json_object_get(b->trial.report, "libraries"))
            json_object_set_new(b->trial.report, "libraries", json_array());
        json_array_append_new(json_object_get(b->trial.report, "libraries"),
                              json_string(recipes.items[i]));
    }
    return end_change(b, before, err);
}

static int draft_again(struct bump *b, iw_error *err)
{
    iw_trial_undraft(&b->trial);
    return iw_trial_draft(&b->trial, err);
}

static int build(struct bump *b, iw_error *err)
{
    for (bool added = true; added;) {
        iw_error why = IW_ERROR_INIT;
        if (iw_trial_build(&b->trial, err) == 0) return 0;
        if (take_libraries(b, err, &added, &why) != 0) {
            iw_error_move(err, &why);
            return -1;
        }
        if (!added) return -1;
        iw_trial_tell(&b->trial, IW_EVENT_NOTE, "build", iw_error_text(err));
        iw_error_clear(err);
        if (draft_again(b, err) != 0) return -1;
    }
    return -1;
}

/* Builds what the draft says, once more without the patches that turned out to be needless. The
 * bundle as it was comes last: packing and checking that one takes minutes, for nothing where the
 * new release doesn't hold. */
static int build_and_prove(struct bump *b, iw_error *err)
{
    bool redo = false;
    iw_trial *t = &b->trial;
    if (build(b, err) != 0 || prove(b, &redo, err) != 0) return -1;
    if (redo && (draft_again(b, err) != 0 || iw_trial_build(t, err) != 0)) return -1;
    return iw_trial_find_old(t, err) == 0 ? iw_trial_compare(t, err) : -1;
}

static int go(struct bump *b, iw_error *err)
{
    iw_trial *t = &b->trial;
    if (iw_trial_open(t, err) != 0 || open_before(b, err) != 0 || choose(b, err) != 0) return -1;
    if (strcmp(b->release.to, b->release.recipe->version) == 0) {
        iw_json_set(b->trial.report, "verdict", "up to date");
        return iw_trial_finish(t, err);
    }
    if (draft(b, err) != 0 || iw_trial_draft(t, err) != 0) return -1;
    iw_trial_plan(t);
    if (!b->trial.options->dry_run && build_and_prove(b, err) != 0) return -1;
    if (iw_trial_write(t, err) != 0) return -1;
    iw_json_set(b->trial.report, "verdict",
                b->trial.options->dry_run ? "would be bumped" : "bumped");
    if (!b->trial.options->dry_run && iw_trial_deliver(t, err) != 0) return -1;
    return iw_trial_finish(t, err);
}

static void close_bump(struct bump *b)
{
    iw_release_clear(&b->release);
    json_decref(b->release.tools);
    iw_trial_close(&b->trial);
}

/* Where newer instructions may come from, if that is what went wrong: "hints" of the report. */
static void hint(struct bump *b, const iw_error *err)
{
    const iw_bump_options *o = b->trial.options;
    const iw_plan *plan = b->trial.after.plan;
    const iw_node *node = plan ? iw_plan_find(plan, o->name, NULL) : NULL;
    iw_cleanup_free char *path = NULL, *log = NULL, *file = NULL, *text = NULL;
    iw_cleanup_strings iw_strings hints = {0};
    if (!node || (err->kind != IW_E_BUILD && err->kind != IW_E_CHECK)) return;
    if (iw_build_log_path(o->store, o->name, b->release.to, "compile", &path, NULL) == 0)
        (void)!iw_read_file(path, LOG_LIMIT, &log, NULL, NULL);
    const json_t *metadata = json_object_get(b->trial.report, "metadata");
    file = iw_path_join(b->trial.draft, node->recipe->path);
    (void)!iw_read_file(file, LOG_LIMIT, &text, NULL, NULL);
    const iw_hint_recipe recipe = {.arguments = node->recipe->build.arguments.items,
                                   .argument_count = node->recipe->build.arguments.count,
                                   .path = file,
                                   .text = text};
    iw_bump_hints(iw_error_text(err), log ? log : "", json_object_get(metadata, "instructions"),
                  &recipe, &hints);
    json_t *told = json_array();
    for (size_t i = 0; i < hints.count; i++)
        json_array_append_new(told, iw_json_text(hints.items[i]));
    if (hints.count) json_object_set(b->trial.report, "hints", told);
    json_decref(told);
}

/* What happened, for the report; "nothing newer" is an answer, unless a version was asked for. */
static int settle(struct bump *b, iw_error *err)
{
    bool chosen = iw_json_get(b->trial.report, "to") != NULL;
    iw_json_set(b->trial.report, "cause", iw_error_text(err));
    if (!chosen && err->kind == IW_E_NOT_FOUND && !b->trial.options->version &&
        iw_json_get(b->trial.report, "from")) {
        iw_json_set(b->trial.report, "verdict", "nothing newer");
        iw_error_clear(err);
        return 0;
    }
    iw_json_set(b->trial.report, "verdict", "not kept");
    if (chosen) hint(b, err);
    if (chosen && b->trial.folder) iw_json_set(b->trial.report, "kept", b->trial.folder);
    return -1;
}

int iw_bump(const iw_bump_options *options, json_t **report, iw_error *err)
{
    iw_fetch_options fetch;
    struct bump b = {.trial = {.options = options, .lock = -1}};
    b.trial.report = *report =
        json_pack("{s:s,s:s}", "name", options->name, "stack", options->stack);
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
                             .report = b.trial.report};
    iw_cleanup_free char *folder =
        iw_trial_folder(options->store, options->root, options->stack, options->name);
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
