#include "upgrade/trial.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/difference.h"
#include "upgrade/draft.h"

/* --- the folder --------------------------------------------------------------- */

static char *tree_mark(const char *root)
{
    char hex[IW_SHA256_HEX];
    iw_hash_bytes(root, strlen(root), hex);
    return iw_strndup(hex, 12);
}

char *iw_trial_folder(iw_store *store, const char *root, const char *stack, const char *name)
{
    iw_cleanup_free char *mark = tree_mark(root),
                         *base = iw_format("bump-%s-%s-%s", stack, name, mark);
    return iw_store_path(store, "work", base);
}

int iw_trial_open(iw_trial *t, iw_error *err)
{
    const iw_bump_options *o = t->options;
    t->folder = iw_trial_folder(o->store, o->root, o->stack, o->name);
    t->draft = iw_path_join(t->folder, "tree");
    t->undo = iw_path_join(t->folder, "undo");
    iw_cleanup_free char *lock = iw_format("%s.lock", t->folder);
    if (iw_make_folders(t->folder, 0755, err) != 0) return -1;
    if (iw_lock_file(lock, true, false, &t->lock, err) != 0) return -1;
    if (t->lock < 0)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "another process is bumping %s of stack %s in this tree; wait for it",
                       o->name, o->stack);
    return iw_draft_recover(o->root, t->undo, NULL, err);
}

char *iw_trial_state(const char *folder)
{
    return iw_path_join(folder, "state.json");
}

/* A draft that is half gone beside its state would be taken for one that a person edited. */
int iw_trial_finish(iw_trial *t, iw_error *err)
{
    iw_cleanup_free char *state = iw_trial_state(t->folder);
    return iw_remove_tree(state, err) == 0 ? iw_remove_tree(t->folder, err) : -1;
}

int iw_trial_draft(iw_trial *t, iw_error *err)
{
    iw_deliver_options deliver = t->options->deliver;
    iw_cleanup_free char *dist = iw_path_join(t->folder, "dist");
    deliver.root = t->draft;
    deliver.output = iw_strdup(dist); /* borrowed by the session: freed with the bump */
    if (iw_catalog_open(t->draft, &t->after_catalog, err) != 0) {
        free((char *)deliver.output);
        return -1;
    }
    int status = iw_session_open(t->after_catalog, t->options->store, t->options->stack, &deliver,
                                 &t->after, err);
    t->after.options.output = deliver.output;
    return status;
}

void iw_trial_plan(iw_trial *t)
{
    json_t *rebuild = json_array();
    double seconds = 0;
    for (size_t i = 0; i < t->after.plan->node_count; i++) {
        const iw_node *node = &t->after.plan->nodes[i];
        if (node->action == IW_ACTION_REUSE) continue;
        json_array_append_new(rebuild,
                              json_pack("{s:s,s:s,s:o,s:f,s:b}", "package", node->recipe->name,
                                        "version", node->recipe->version, "reason",
                                        iw_json_text(node->reason ? node->reason : ""), "seconds",
                                        node->expected_seconds, "maybe", node->maybe));
        seconds += node->expected_seconds;
    }
    json_object_set_new(t->report, "rebuild", rebuild);
    json_object_set_new(t->report, "seconds", json_real(seconds));
}

static bool all_reused(const iw_plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].action != IW_ACTION_REUSE && plan->nodes[i].in_bundle) return false;
    return true;
}

/* The bundle as it was, where it costs no building. */
int iw_trial_find_old(iw_trial *t, iw_error *err)
{
    iw_cleanup_free char *sha256 = NULL;
    bool found = false;
    if (iw_session_find_ready(&t->before, &t->old_bundle, &sha256, &found, err) != 0) return -1;
    if (found || !all_reused(t->before.plan)) return 0;
    iw_cleanup_free char *dist = iw_path_join(t->folder, "dist-before");
    const char *output = t->before.options.output;
    t->before.options.output = dist;
    int status = iw_session_build(&t->before, err);
    if (status == 0)
        status = iw_session_find_ready(&t->before, &t->old_bundle, &sha256, &found, err);
    t->before.options.output = output;
    return status == 0 ? 0 : iw_wrap(err, "the bundle as it was, for comparison");
}

int iw_trial_build(iw_trial *t, iw_error *err)
{
    iw_cleanup_free char *sha256 = NULL;
    bool found = false;
    if (iw_session_find_ready(&t->after, &t->new_bundle, &sha256, &found, err) != 0) return -1;
    if (!found && iw_session_build(&t->after, err) != 0) return -1;
    if (iw_session_replan(&t->after, err) != 0) return -1;
    if (!found && iw_session_find_ready(&t->after, &t->new_bundle, &sha256, &found, err) != 0)
        return -1;
    return found ? 0 : iw_fail(err, IW_E_BUILD, "the bundle that was built can't be found");
}

int iw_trial_compare(iw_trial *t, iw_error *err)
{
    iw_cleanup_free char *work = iw_path_join(t->folder, "open");
    json_t *found = NULL;
    if (!t->old_bundle) {
        json_object_set_new(t->report, "difference", json_null());
        return 0;
    }
    iw_bundle_side before = {t->old_bundle, t->before.plan}, after = {t->new_bundle, t->after.plan};
    iw_trial_tell(t, IW_EVENT_STARTED, "difference", NULL);
    if (iw_make_folders(work, 0755, err) != 0) return -1;
    int status = iw_bundle_difference(&before, &after, work, t->options->deliver.sink, &found, err);
    (void)!iw_remove_tree(work, NULL);
    if (status == 0) json_object_set_new(t->report, "difference", found);
    if (status == 0) iw_trial_tell(t, IW_EVENT_FINISHED, "difference", "compared");
    return status;
}

static int put_changes(iw_trial *t, const iw_changes_list *changes, iw_error *err)
{
    iw_cleanup_free char *diff = NULL;
    if (iw_draft_diff(changes, &diff, err) != 0) return -1;
    json_object_set_new(t->report, "diff", iw_json_text(diff));
    json_t *paths = json_array();
    for (size_t i = 0; i < changes->count; i++)
        json_array_append_new(paths, json_string(changes->items[i].path));
    json_object_set_new(t->report, "written", paths);
    return t->options->dry_run ? 0 : iw_draft_write(t->options->root, changes, t->undo, err);
}

/* Under a lock of the whole tree: two bumps write one after the other, and the second one's proof
 * must still be about the tree that it changes. */
int iw_trial_write(iw_trial *t, iw_error *err)
{
    char digest[IW_SHA256_HEX];
    iw_changes_list changes;
    iw_cleanup_free char *mark = tree_mark(t->options->root),
                         *name = iw_format("bump-%s.lock", mark),
                         *path = iw_store_path(t->options->store, "work", name);
    iw_cleanup_fd int lock = -1;
    if (iw_lock_file(path, true, true, &lock, err) != 0 ||
        iw_draft_digest(t->options->root, digest, err) != 0)
        return -1;
    if (strcmp(digest, t->tree_digest) != 0)
        return iw_fail(err, IW_E_CHECK,
                       "the tree changed while this was proven, and nothing was written: "
                       "`ironwheel bump --continue %s` proves it on what is there now",
                       t->options->name);
    if (iw_draft_changes(t->options->root, t->draft, &changes, err) != 0) return -1;
    int status = put_changes(t, &changes, err);
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

int iw_trial_deliver(iw_trial *t, iw_error *err)
{
    iw_cleanup_free char *output = iw_session_output(&t->before),
                         *to = iw_path_join(output, iw_path_base(t->new_bundle)),
                         *report_from = iw_report_path(t->new_bundle),
                         *report_to = iw_report_path(to),
                         *tar_from = iw_bundle_tar_path(t->new_bundle),
                         *tar_to = iw_bundle_tar_path(to);
    char digest[IW_SHA256_HEX];
    if (iw_make_folders(output, 0755, err) != 0 || copy_beside(t->new_bundle, to, "", err) != 0 ||
        copy_beside(t->new_bundle, to, ".sha256", err) != 0 ||
        copy_beside(t->new_bundle, to, ".checks.json", err) != 0 ||
        copy_beside(report_from, report_to, "", err) != 0 ||
        copy_beside(tar_from, tar_to, "", err) != 0 || iw_hash_file(to, digest, NULL, err) != 0)
        return -1;
    const char *draft_output = t->after.options.output;
    t->after.options.output = output;
    iw_cleanup_free char *key = iw_session_bundle_key(&t->after);
    t->after.options.output = draft_output;
    iw_json_set(t->report, "bundle", to);
    return iw_store_note_bundle(t->options->store, key, to, digest, err);
}

void iw_trial_tell(const iw_trial *t, iw_event_type type, const char *phase, const char *detail)
{
    iw_emit(
        t->options->deliver.sink,
        (iw_event){.type = type, .subject = t->options->name, .phase = phase, .detail = detail});
}

void iw_trial_undraft(iw_trial *t)
{
    char *output = (char *)t->after.options.output;
    iw_session_close(&t->after);
    iw_catalog_free(t->after_catalog);
    t->after_catalog = NULL;
    t->after = (iw_session){0};
    free(output);
    free(t->new_bundle);
    t->new_bundle = NULL;
}

void iw_trial_close(iw_trial *t)
{
    iw_trial_undraft(t);
    iw_session_close(&t->before);
    free(t->folder), free(t->draft), free(t->undo), free(t->old_bundle);
    iw_close_fd(&t->lock);
}
