#include "deliver/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "deliver/proof.h"
#include "pack/pack.h"

/* --- which ------------------------------------------------------------------ */

static bool is_wanted(const iw_check_choice *choice, const iw_check *check)
{
    return choice->names->count == 0 || iw_strings_has(choice->names, check->name);
}

static int find_chosen(const iw_session *session, const iw_check_choice *choice, iw_node **chosen,
                       iw_error *err)
{
    for (size_t i = 0; i < choice->package_count; i++) {
        if (iw_session_node(session, choice->packages[i], &chosen[i], err) != 0) return -1;
        const iw_recipe *recipe = chosen[i]->recipe;
        iw_node *other = iw_plan_find_bundled(session->plan, recipe->name);
        if (other && strcmp(choice->packages[i], recipe->name) == 0) {
            chosen[i] = other; /* of several versions the bundle's */
            recipe = other->recipe;
        }
        if (!chosen[i]->in_bundle)
            return iw_fail(err, IW_E_NOT_FOUND,
                           "stack %s only builds with %s/%s: no bundle of it holds that, nor runs "
                           "its checks",
                           session->stack->name, recipe->name, recipe->version);
        if (recipe->check_count == 0)
            return iw_fail(err, IW_E_NOT_FOUND, "%s/%s has no checks in its recipe", recipe->name,
                           recipe->version);
    }
    return 0;
}

/* Every name that was given is one of a check here. */
static int find_names(const iw_check_choice *choice, iw_node *const *chosen, iw_error *err)
{
    iw_cleanup_strings iw_strings all = {0};
    for (size_t i = 0; i < choice->package_count; i++)
        for (size_t k = 0; k < chosen[i]->recipe->check_count; k++)
            if (!iw_strings_has(&all, chosen[i]->recipe->checks[k].name))
                iw_strings_add(&all, chosen[i]->recipe->checks[k].name);
    for (size_t i = 0; i < choice->names->count; i++) {
        if (iw_strings_has(&all, choice->names->items[i])) continue;
        iw_cleanup_buffer iw_buffer known = {0};
        for (size_t k = 0; k < all.count; k++)
            iw_buffer_add_format(&known, "%s%s", k ? ", " : "", all.items[k]);
        return iw_fail(err, IW_E_NOT_FOUND, "there is no check \"%s\"; there are: %s",
                       choice->names->items[i], known.data);
    }
    return 0;
}

/* --- the environment -------------------------------------------------------- */

struct need {
    iw_plan *plan;
    bool *held; /* by index */
};

/* The run closure: of what a bundle holds, the bundle holds it, too. */
static void hold(struct need *need, const iw_node *node)
{
    if (need->held[node->index]) return;
    need->held[node->index] = true;
    for (size_t i = 0; i < node->run_need_count; i++) hold(need, node->run_needs[i]);
}

static void hold_named(struct need *need, const char *name)
{
    const iw_node *node = iw_plan_find_bundled(need->plan, name);
    if (node) hold(need, node);
}

static void note_left_out(const iw_session *session, const iw_recipe *recipe, const iw_check *check,
                          const char *lacks)
{
    iw_cleanup_free char *text = iw_format("check %s of %s is left out: stack %s has no %s",
                                           check->name, recipe->name, session->stack->name, lacks);
    iw_emit(session->options.sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = recipe->name, .detail = text});
}

/* What the check requires; false where the stack lacks some of it. */
static bool hold_for_check(struct need *need, const iw_session *session, const iw_recipe *recipe,
                           const iw_check *check)
{
    const char *lacks = iw_prove_lacks(need->plan, check);
    if (lacks) {
        note_left_out(session, recipe, check, lacks);
        return false;
    }
    for (size_t i = 0; i < check->requires.count; i++) hold_named(need, check->requires.items[i]);
    if (check->kind == IW_CHECK_IMPORT || check->kind == IW_CHECK_PYTHON)
        hold_named(need, "python");
    return true;
}

/* The plan's bundle becomes the chosen packages with what they need. */
static int narrow(const iw_session *session, const iw_check_choice *choice, iw_node *const *chosen,
                  iw_error *err)
{
    iw_plan *plan = session->plan;
    iw_cleanup_free bool *held = iw_alloc(plan->node_count * sizeof *held);
    struct need need = {plan, held};
    size_t applying = 0;
    for (size_t i = 0; i < choice->package_count; i++) {
        const iw_recipe *recipe = chosen[i]->recipe;
        hold(&need, chosen[i]);
        for (size_t k = 0; k < recipe->check_count; k++)
            if (is_wanted(choice, &recipe->checks[k]))
                applying += hold_for_check(&need, session, recipe, &recipe->checks[k]);
    }
    if (applying == 0)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "no such check can run: stack %s lacks what they require",
                       session->stack->name);
    /* A bundle's python3 is this launcher. */
    const iw_node *python = iw_plan_find_bundled(plan, "python");
    if (python && held[python->index]) hold_named(&need, "ironwheel-launcher");
    for (size_t i = 0; i < plan->node_count; i++) plan->nodes[i].in_bundle = held[i];
    return 0;
}

/* Of what is to be laid, all is in the store. */
static int refuse_missing(const iw_session *session, iw_error *err)
{
    const iw_plan *plan = session->plan;
    iw_cleanup_buffer iw_buffer names = {0};
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        if (node->in_bundle && node->action != IW_ACTION_REUSE)
            iw_buffer_add_format(&names, "%s%s/%s", names.length ? ", " : "", node->recipe->name,
                                 node->recipe->version);
    }
    if (names.length == 0) return 0;
    return iw_fail(err, IW_E_NOT_FOUND,
                   "what is to be checked isn't in the store: %s. `ironwheel build %s --no-bundle` "
                   "builds what the stack lacks",
                   names.data, session->stack->name);
}

/* --- running them ------------------------------------------------------------- */

static int check_below(iw_session *session, const struct iw_only_checks *only, const char *work,
                       size_t *count, iw_error *err)
{
    iw_cleanup_free char *root = NULL, *environment = NULL;
    const iw_bundle_options options = {.work = work,
                                       .sandboxed = !session->host,
                                       .sink = session->options.sink};
    if (iw_prove_root(session, &root, err) != 0 ||
        iw_bundle_lay(session->store, session->plan, &options, &environment, err) != 0)
        return -1;
    struct iw_proof verdict = iw_proof_new();
    verdict.only = only;
    int status = iw_prove_checks(session, environment, root, &verdict, err);
    *count = verdict.count;
    iw_proof_free(&verdict);
    return status;
}

int iw_session_check(iw_session *session, const iw_check_choice *choice, size_t *count,
                     iw_error *err)
{
    iw_cleanup_free iw_node **chosen = iw_alloc((choice->package_count + 1) * sizeof(iw_node *));
    iw_cleanup_free char *parent = iw_store_path(session->store, "tmp", ""), *work = NULL;
    *count = 0;
    if (find_chosen(session, choice, chosen, err) != 0 || find_names(choice, chosen, err) != 0 ||
        narrow(session, choice, chosen, err) != 0 || refuse_missing(session, err) != 0 ||
        iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, "check-", &work, err) != 0)
        return -1;
    const struct iw_only_checks only = {.packages = chosen,
                                        .package_count = choice->package_count,
                                        .names = choice->names,
                                        .cpu = choice->cpu};
    int status = check_below(session, &only, work, count, err);
    iw_remove_tree(work, NULL);
    return status;
}
