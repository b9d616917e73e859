/* Everything of a stack at once: releases that hold together are drafted, built together, and what
 * fails is kept back until the rest holds. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/version.h"
#include "upgrade/all.h"
#include "upgrade/bump.h"
#include "upgrade/draft.h"
#include "upgrade/metadata.h"
#include "upgrade/proof.h"
#include "upgrade/release.h"
#include "upgrade/tools.h"

#define STATE_LIMIT ((size_t)16 << 20)
#define METADATA_LIMIT ((size_t)4 << 20)
#define ALL "all"

/* --- the state ------------------------------------------------------------------ */

/* What was kept back or held, and which tools can't be pinned, needn't be found out again when the
 * run goes on. */
static int keep_state(const iw_all *all, iw_error *err)
{
    const iw_bump_options *o = all->trial.options;
    json_t *state = json_pack("{s:s,s:s,s:s,s:s,s:O,s:O,s:O}", "root", o->root, "stack", o->stack,
                              "name", ALL, "to", "newest", "banned", all->banned, "unpinnable",
                              all->unpinnable, "limits", all->limits);
    iw_cleanup_free char *path = iw_trial_state(all->trial.folder),
                         *text = json_dumps(state, JSON_INDENT(1));
    int status = iw_write_file(path, text, strlen(text), 0644, err);
    json_decref(state);
    return status;
}

static void take_state(iw_all *all)
{
    iw_cleanup_free char *path = iw_trial_state(all->trial.folder), *text = NULL;
    if (!all->trial.options->resume || iw_read_file(path, STATE_LIMIT, &text, NULL, NULL) != 0)
        return;
    json_t *state = json_loads(text, 0, NULL), *banned = json_object_get(state, "banned"),
           *unpinnable = json_object_get(state, "unpinnable"),
           *limits = json_object_get(state, "limits");
    if (json_is_object(banned)) json_object_update(all->banned, banned);
    if (json_is_object(unpinnable)) json_object_update(all->unpinnable, unpinnable);
    if (json_is_object(limits)) json_object_update(all->limits, limits);
    json_decref(state);
}

/* --- what there is ---------------------------------------------------------------- */

static bool give_way(void *context, const char *name, const char *conditions, const char *by);

static iw_release release_of(const iw_all *all, const iw_all_package *package)
{
    const iw_bump_options *o = all->trial.options;
    iw_release release = {.catalog = o->catalog,
                          .plan = all->trial.before.plan,
                          .recipe = package->node->recipe,
                          .store = o->store,
                          .tree = o->root,
                          .draft = all->trial.draft,
                          .work = all->trial.folder,
                          .fetch = &all->fetch,
                          .rules = {.min_age = o->min_age, .early = o->early, .now = o->now},
                          .report = package->report,
                          .tools = all->tools,
                          .selected = all->selected,
                          .memory = all->memory,
                          .give_way = give_way,
                          .give_way_context = (void *)all,
                          .debian = all->debian.count ? &all->debian : NULL};
    iw_release_rules(&release);
    return release;
}

/* The releases that could be taken, newest first, and the stack's own. */
static int ask(iw_all *all, iw_all_package *package, iw_choice *choice, iw_error *err)
{
    iw_release release = release_of(all, package);
    iw_candidates list = {0};
    const iw_recipe *recipe = package->node->recipe;
    iw_error why = IW_ERROR_INIT;
    if (iw_release_candidates(&release, &list, &why) != 0) {
        if (why.kind == IW_E_CANCELLED || why.kind == IW_E_ENVIRONMENT) {
            iw_error_move(err, &why);
            return -1;
        }
        iw_json_set(package->report, "cause", iw_error_text(&why));
    }
    const char *own = "";
    for (size_t i = 0; i < list.count; i++) {
        const iw_candidate *one = &list.items[i];
        int order = iw_candidate_order(one->version, recipe->version);
        const char *metadata = one->metadata ? one->metadata : "";
        if (order == 0) own = metadata;
        if (order <= 0 || one->passed) continue;
        iw_strings_add(&choice->versions, one->version);
        iw_strings_add(&package->metadata, metadata);
    }
    package->movable = choice->versions.count > 0;
    iw_strings_add(&choice->versions, recipe->version);
    iw_strings_add(&package->metadata, own);
    iw_candidates_free(&list);
    iw_error_clear(&why);
    return 0;
}

static void start_package(iw_all *all, const iw_node *node)
{
    iw_all_package *package = &all->packages[all->count++];
    package->node = node;
    package->report = json_pack("{s:s,s:s,s:s}", "name", node->recipe->name, "stack",
                                all->trial.options->stack, "from", node->recipe->version);
    iw_choices_add(&all->choices, node->recipe->name);
}

/* Once for all of the stack's source packages. */
static int ask_debian(iw_all *all, iw_error *err)
{
    iw_cleanup_strings iw_strings names = {0};
    for (size_t i = 0; i < all->count; i++) {
        const iw_recipe *recipe = all->packages[i].node->recipe;
        for (size_t k = 0; k < recipe->source_count; k++)
            if (recipe->sources[k].kind == IW_SOURCE_DEBIAN &&
                !iw_strings_has(&names, recipe->sources[k].name))
                iw_strings_add(&names, recipe->sources[k].name);
    }
    return names.count ? iw_fetch_debian_releases(&names, &all->fetch, &all->debian, err) : 0;
}

static int ask_all(iw_all *all, iw_error *err)
{
    const iw_plan *plan = all->trial.before.plan;
    all->packages = iw_alloc((plan->node_count + 1) * sizeof *all->packages);
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].in_bundle) start_package(all, &plan->nodes[i]);
    if (ask_debian(all, err) != 0) return -1;
    for (size_t i = 0; i < all->count; i++) {
        iw_emit(all->trial.options->deliver.sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                                             .subject = ALL,
                                                             .phase = "candidates",
                                                             .count = i + 1,
                                                             .total = all->count});
        if (ask(all, &all->packages[i], &all->choices.items[i], err) != 0) return -1;
    }
    return 0;
}

/* --- which hold together ------------------------------------------------------------ */

/* What the stack's own release says where it was built, patches of its metadata included. */
static char *built_metadata(const iw_all *all, const iw_node *node)
{
    char *text = NULL;
    if (node->action == IW_ACTION_REUSE)
        (void)!iw_store_read_artifact(all->trial.options->store, &node->artifact,
                                      "lib/python*/site-packages/*.dist-info/METADATA",
                                      METADATA_LIMIT, &text, NULL);
    return text;
}

static int needs_of(void *context, const iw_choice *choice, size_t version, iw_strings *out,
                    iw_error *err)
{
    iw_all *all = context;
    const iw_all_package *package = &all->packages[choice - all->choices.items];
    const char *url = package->metadata.items[version];
    bool own = version + 1 == choice->versions.count;
    iw_cleanup_free char *text = own ? built_metadata(all, package->node) : NULL;
    iw_metadata metadata = {0};
    iw_error why = IW_ERROR_INIT;
    if (!text && !*url) return 0;
    if (!text && iw_fetch_text(url, METADATA_LIMIT, &all->fetch, &text, NULL, &why) != 0) {
        bool stop = why.kind == IW_E_CANCELLED; /* without it, the sdist tells later */
        if (stop) iw_error_move(err, &why);
        iw_error_clear(&why);
        return stop ? -1 : 0;
    }
    iw_metadata_read_text(text, iw_plan_python(all->trial.before.plan), &metadata);
    iw_strings_add_all(out, (const char *const *)metadata.run.items);
    iw_metadata_clear(&metadata);
    return 0;
}

static const char *recipe_of(void *context, const char *project)
{
    iw_all *all = context;
    return iw_all_recipe(all, project);
}

/* Where the solver starts: the newest release, or the newest within the limits, or the stack's. */
static void start_choice(const iw_all *all, iw_choice *choice)
{
    size_t last = choice->versions.count - 1;
    const json_t *limit = NULL, *broken;
    choice->at = iw_json_get(all->banned, choice->name) ? last : 0;
    free(choice->why);
    choice->why = NULL;
    while (choice->at < last &&
           (broken = iw_all_broken_limit(all, choice->name, iw_choice_version(choice)))) {
        limit = broken;
        choice->at++;
    }
    if (limit)
        choice->why = iw_format("%s needs %s%s to %s", iw_json_get(limit, "by"), choice->name,
                                iw_json_get(limit, "conditions"), iw_json_get(limit, "to"));
}

static bool give_way(void *context, const char *name, const char *conditions, const char *by)
{
    return iw_all_hold_within(context, name, conditions, by, "build");
}

static int solve(iw_all *all, iw_error *err)
{
    for (size_t i = 0; i < all->count; i++) start_choice(all, &all->choices.items[i]);
    iw_solving solving = {iw_plan_python(all->trial.before.plan), needs_of, recipe_of, all};
    if (iw_solve(&all->choices, &solving, err) != 0) return -1;
    json_object_clear(all->selected);
    for (size_t i = 0; i < all->count; i++) {
        const iw_choice *choice = &all->choices.items[i];
        if (choice->at + 1 < choice->versions.count)
            iw_json_set(all->selected, choice->name, iw_choice_version(choice));
    }
    return 0;
}

/* --- the draft ------------------------------------------------------------------------ */

static bool is_releases_fault(const iw_error *why)
{
    return why->kind != IW_E_CANCELLED && why->kind != IW_E_ENVIRONMENT && why->kind != IW_E_IO &&
           why->kind != IW_E_NETWORK;
}

/* Where nobody but the sources tells, a project's releases of years would each be fetched: the
 * search goes down in growing steps, but for the oldest one that is newer than the stack's. What
 * was passed over is looked at again (iw_choice_doubt) once one holds. */
static void pass_over(iw_all_package *package, iw_choice *choice)
{
    size_t last = choice->versions.count - 1, step = 1;
    for (size_t i = package->denials++; i > 0 && step < last; i--) step *= 2;
    for (size_t i = choice->at + 1; i < choice->at + step && i + 1 < last; i++)
        if (!*package->metadata.items[i]) iw_choice_suppose(choice, i);
}

/* Whether a draft that failed taught what the index doesn't tell, so that it is to be solved anew:
 * a need of the sources', or a limit of another package. */
static bool taught(const iw_all *all, iw_all_package *package, const iw_release *release,
                   iw_choice *choice, size_t limits)
{
    bool learned = release->denied && iw_choice_learn(choice, release->run_needs);
    if (learned) pass_over(package, choice);
    return learned || iw_all_limit_count(all) > limits;
}

/* One package's move in the draft; what is the release's fault keeps it back. *again is set where
 * something was learned or kept back, and the draft is to be made anew. Where it was set before,
 * a need that isn't met may be that one's doing: it is learned, and nothing else. */
static int draft_one(iw_all *all, iw_all_package *package, iw_choice *choice, bool *again,
                     iw_error *err)
{
    const char *name = package->node->recipe->name;
    iw_release release = release_of(all, package);
    iw_cleanup_strings iw_strings needs = {0};
    iw_error why = IW_ERROR_INIT;
    size_t limits = iw_all_limit_count(all);
    release.rules.only = iw_choice_version(choice);
    release.run_needs = &needs;
    json_object_clear(all->tools);
    json_object_del(package->report, "with"), json_object_del(package->report, "unmet");
    iw_trial_tell(&all->trial, IW_EVENT_STARTED, "patches", name);
    int status = iw_release_choose(&release, &why);
    if (status == 0) status = iw_release_draft(&release, &why);
    if (status == 0) iw_json_set(package->report, "to", release.to);
    if (status == 0) iw_strings_add(&all->drafted, name);
    bool fault = status != 0 && is_releases_fault(&why);
    if (status != 0 && !fault) iw_error_move(err, &why);
    if (fault && !taught(all, package, &release, choice, limits) && !(*again && release.denied))
        iw_all_ban(all, name, iw_error_text(&why));
    *again = *again || fault || (status == 0 && iw_choice_doubt(choice));
    iw_release_clear(&release);
    iw_error_clear(&why);
    return status == 0 || fault ? 0 : -1;
}

/* Ctrl-C, which nothing asks about where all is remembered. */
static bool is_stopped(const iw_all *all)
{
    struct pollfd cancel = {.fd = all->fetch.cancel, .events = POLLIN};
    return cancel.fd > 0 && poll(&cancel, 1, 0) > 0;
}

/* From the tree anew, until nothing more is kept back. */
static int draft_all(iw_all *all, iw_error *err)
{
    bool again = true;
    while (again) {
        again = false;
        iw_strings_free(&all->drafted);
        if (solve(all, err) != 0 ||
            iw_draft_make(all->trial.options->root, all->trial.draft, err) != 0)
            return -1;
        for (size_t i = 0; i < all->count; i++) {
            if (!iw_json_get(all->selected, all->choices.items[i].name)) continue;
            if (is_stopped(all)) return iw_fail(err, IW_E_CANCELLED, "stopped");
            if (draft_one(all, &all->packages[i], &all->choices.items[i], &again, err) != 0)
                return -1;
        }
        if (keep_state(all, err) != 0) return -1;
    }
    return 0;
}

/* Whether what is drafted is at fault: recipes that don't go together (two versions of a tool where
 * one is built), a build or a check. */
static bool is_drafts_fault(const iw_error *why)
{
    return why->kind == IW_E_RECIPE || why->kind == IW_E_BUILD || why->kind == IW_E_CHECK;
}

/* Plans the draft, and builds it but for a dry run. */
static int build_draft(iw_all *all, iw_listening *listening, iw_error *err)
{
    iw_trial *t = &all->trial;
    iw_sink sink = {iw_listening_event, listening};
    json_object_clear(all->pinned);
    if (iw_settle_tools(t->draft, t->before.plan->stack, all->unpinnable, all->pinned, err) != 0 ||
        iw_trial_draft(t, err) != 0)
        return -1;
    iw_trial_plan(t);
    if (t->options->dry_run) return 0;
    t->after.options.sink = &sink;
    int status = iw_trial_build(t, err);
    t->after.options.sink = listening->next;
    return status;
}

/* *again: something failed, and is banned now. */
static int build_once(iw_all *all, bool *again, iw_error *err)
{
    iw_listening listening = {.next = all->trial.options->deliver.sink};
    iw_error why = IW_ERROR_INIT;
    int status = build_draft(all, &listening, &why);
    *again = status != 0 && is_drafts_fault(&why);
    if (*again) {
        iw_all_find_culprits(all, &listening.failed, &why);
        iw_trial_undraft(&all->trial);
    } else if (status != 0) iw_error_move(err, &why);
    iw_error_clear(&why);
    iw_failures_free(&listening.failed);
    return status == 0 || *again ? 0 : -1;
}

static int build_all(iw_all *all, iw_error *err)
{
    bool again = true;
    while (again) { /* every round bans one more, at least */
        if (draft_all(all, err) != 0) return -1;
        if (all->drafted.count == 0) return 0;
        if (build_once(all, &again, err) != 0 || keep_state(all, err) != 0) return -1;
    }
    return 0;
}

/* --- patches ------------------------------------------------------------------------------ */

static int prove_one(iw_all *all, iw_all_package *package, bool *redo, iw_error *err)
{
    iw_node *node = iw_plan_find(all->trial.after.plan, package->node->recipe->name, NULL);
    iw_cleanup_free char *work = iw_path_join(all->trial.folder, "proof");
    iw_patch_proof proof = {
        .tree = all->trial.draft, .session = &all->trial.after, .node = node, .work = work};
    json_t *proofs = NULL;
    bool any = false;
    iw_release release = release_of(all, package);
    release.to = iw_strdup(iw_json_get(package->report, "to"));
    int status = node ? iw_prove_patches(&proof, &proofs, err) : 0;
    if (status == 0 && proofs) json_object_set(package->report, "proofs", proofs);
    if (status == 0 && proofs) status = iw_release_drop_needless(&release, proofs, &any, err);
    *redo = *redo || any;
    json_decref(proofs);
    iw_release_clear(&release);
    return status;
}

static int prove_all(iw_all *all, iw_error *err)
{
    bool redo = false, again;
    for (size_t i = 0; i < all->count && !all->trial.options->no_proof; i++)
        if (iw_strings_has(&all->drafted, all->packages[i].node->recipe->name) &&
            all->packages[i].node->recipe->patch_count &&
            prove_one(all, &all->packages[i], &redo, err) != 0)
            return -1;
    if (!redo) return 0;
    iw_trial_undraft(&all->trial);
    if (build_once(all, &again, err) != 0) return -1;
    return again ? iw_fail(err, IW_E_BUILD, "what held before doesn't without needless patches")
                 : 0;
}

/* --- the answer ------------------------------------------------------------------------------ */

static void settle_package(const iw_all *all, iw_all_package *package, const iw_choice *choice)
{
    const char *banned = iw_json_get(all->banned, choice->name);
    bool moved = iw_strings_has(&all->drafted, package->node->recipe->name);
    if (moved)
        iw_json_set(package->report, "verdict",
                    all->trial.options->dry_run ? "would be bumped" : "bumped");
    else {
        iw_json_set(package->report, "verdict",
                    banned             ? "kept back"
                    : package->movable ? "held"
                                       : "nothing newer");
        json_object_del(package->report, "to");
    }
    if (banned) iw_json_set(package->report, "cause", banned);
    else if (choice->why) iw_json_set(package->report, "cause", choice->why);
}

static json_t *settle_all(iw_all *all)
{
    json_t *list = json_array();
    for (size_t i = 0; i < all->count; i++) {
        settle_package(all, &all->packages[i], &all->choices.items[i]);
        json_array_append(list, all->packages[i].report);
    }
    return list;
}

static int finish(iw_all *all, iw_error *err)
{
    iw_trial *t = &all->trial;
    if (all->drafted.count == 0) {
        iw_json_set(t->report, "verdict", "nothing newer");
        return iw_trial_finish(t, err);
    }
    if (!t->options->dry_run && (iw_trial_find_old(t, err) != 0 || prove_all(all, err) != 0 ||
                                 iw_trial_compare(t, err) != 0))
        return -1;
    if (iw_trial_write(t, err) != 0) return -1;
    iw_json_set(t->report, "verdict", t->options->dry_run ? "would be bumped" : "bumped");
    if (!t->options->dry_run && iw_trial_deliver(t, err) != 0) return -1;
    return iw_trial_finish(t, err);
}

static int go(iw_all *all, iw_error *err)
{
    iw_trial *t = &all->trial;
    const iw_bump_options *o = t->options;
    if (iw_trial_open(t, err) != 0 ||
        iw_session_open(o->catalog, o->store, o->stack, &o->deliver, &t->before, err) != 0 ||
        iw_draft_digest(o->root, t->tree_digest, err) != 0)
        return -1;
    take_state(all);
    if (ask_all(all, err) != 0 || build_all(all, err) != 0) return -1;
    return finish(all, err);
}

static void close_all(iw_all *all)
{
    for (size_t i = 0; i < all->count; i++) {
        json_decref(all->packages[i].report);
        iw_strings_free(&all->packages[i].metadata);
    }
    free(all->packages);
    iw_choices_free(&all->choices);
    json_decref(all->banned);
    json_decref(all->limits);
    json_decref(all->tools);
    json_decref(all->selected);
    json_decref(all->pinned);
    json_decref(all->unpinnable);
    json_decref(all->memory);
    iw_strings_free(&all->drafted);
    iw_debian_releases_free(&all->debian);
    iw_trial_close(&all->trial);
}

int iw_bump_all(const iw_bump_options *options, json_t **report, bool *kept_back, iw_error *err)
{
    iw_bump_options own = *options;
    own.name = ALL;
    iw_all all = {.trial = {.options = &own, .lock = -1},
                  .fetch = options->deliver.fetch,
                  .banned = json_object(),
                  .limits = json_object(),
                  .tools = json_object(),
                  .selected = json_object(),
                  .pinned = json_object(),
                  .unpinnable = json_object(),
                  .memory = json_object()};
    all.fetch.cancel = options->deliver.cancel;
    all.fetch.sink = options->deliver.sink;
    all.trial.report = *report = json_pack("{s:s,s:s}", "name", ALL, "stack", options->stack);
    int status = go(&all, err);
    json_object_set_new(*report, "packages", settle_all(&all));
    if (json_object_size(all.pinned)) json_object_set(*report, "tools", all.pinned);
    *kept_back = json_object_size(all.banned) > 0;
    if (status != 0) {
        iw_json_set(*report, "verdict", "not kept");
        iw_json_set(*report, "cause", iw_error_text(err));
        iw_json_put(*report, "kept", all.trial.folder);
    }
    close_all(&all);
    return status;
}
