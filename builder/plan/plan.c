#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "plan/changes.h"
#include "plan/graph.h"
#include "plan/keys.h"

iw_node *iw_plan_find(const iw_plan *plan, const char *name, const char *version)
{
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_recipe *recipe = plan->nodes[i].recipe;
        if (strcmp(recipe->name, name) == 0 && (!version || strcmp(recipe->version, version) == 0))
            return &plan->nodes[i];
    }
    return NULL;
}

iw_node *iw_plan_find_bundled(const iw_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].in_bundle && strcmp(plan->nodes[i].recipe->name, name) == 0)
            return &plan->nodes[i];
    return NULL;
}

/* --- reuse ---------------------------------------------------------------- */

static bool contents_known(const iw_node *node)
{
    for (size_t i = 0; i < node->laid_count; i++)
        if (!iw_node_is_done(node->laid[i])) return false;
    return true;
}

static void set_build_key(const iw_plan *plan, iw_node *node)
{
    const char **contents = iw_alloc((node->laid_count + 1) * sizeof *contents);
    for (size_t i = 0; i < node->laid_count; i++) contents[i] = node->laid[i]->artifact.content;
    iw_plan_build_key(plan, node, contents, node->build_key);
    free(contents);
}

/* By the plan key; else, where everything laid is known, by the build key: an earlier plan led to
 * the same bytes. */
static int look_up(iw_plan *plan, iw_store *store, iw_node *node, bool *found, iw_error *err)
{
    if (iw_store_find_artifact_by_plan(store, node->plan_key, &node->artifact, found, err) != 0)
        return -1;
    if (*found) {
        memcpy(node->build_key, node->artifact.build_key, IW_SHA256_HEX);
        node->reason = "unchanged";
        return 0;
    }
    if (!contents_known(node)) return 0;
    set_build_key(plan, node);
    if (iw_store_find_artifact_by_build(store, node->build_key, &node->artifact, found, err) != 0)
        return -1;
    if (!*found) return 0;
    node->reason = "built before from the same bytes";
    return iw_store_link_plan(store, node->plan_key, node->build_key, err);
}

static void ask_others(iw_plan_body *body, const iw_plan_options *options, iw_node *node)
{
    char *reason = NULL;
    if (!options || !options->offered || !node->build_key[0]) return;
    if (!options->offered(options->context, &body->plan, node, &node->artifact, &reason)) return;
    node->action = IW_ACTION_PULL;
    node->reason = iw_arena_strdup(body->arena, reason ? reason : "a remote has it");
    free(reason);
}

/* --- why it is built ------------------------------------------------------ */

static const char *pending_reason(iw_plan_body *body, const iw_node *node, const char *before)
{
    iw_cleanup_free char *names = iw_changes_pending(node);
    return iw_arena_format(body->arena, "%s%sreused if %s bytes do not change", before,
                           *before ? "; " : "", names);
}

static int set_reason(iw_plan_body *body, iw_store *store, iw_node *node, iw_error *err)
{
    iw_cleanup_free char *last = NULL;
    iw_changes changes;
    if (iw_changes_last(&body->plan, store, node, &last, err) != 0) return -1;
    if (!last) {
        node->reason = "never built";
        return 0;
    }
    iw_changes_make(&body->plan, node, last, &changes);
    node->maybe = !changes.own && !changes.bytes && changes.pending;
    if (node->maybe) node->reason = pending_reason(body, node, changes.text);
    else
        node->reason = *changes.text ? iw_arena_strdup(body->arena, changes.text)
                                     : "its artifact is damaged or gone";
    free(changes.text);
    return 0;
}

/* What fetch said, for a line that has named the file already: without a first line that says no
 * more, the others in one. Caller frees. */
static char *one_line(const char *note)
{
    iw_cleanup_buffer iw_buffer out = {0};
    iw_slice rest = iw_slice_of(note), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_slice text = iw_slice_trim(line);
        static const char heading[] = " could not be fetched:";
        bool says_nothing =
            text.length >= strlen(heading) &&
            memcmp(text.data + text.length - strlen(heading), heading, strlen(heading)) == 0;
        if (text.length && !says_nothing)
            iw_buffer_add_format(&out, "%s%.*s", out.length ? "; " : "", (int)text.length,
                                 text.data);
    }
    return iw_buffer_take(&out);
}

/* Whether a source has to come over the network, and why it can't. Crates are files that only their
 * lock names: fetch finds those. */
static int check_source(iw_plan_body *body, iw_store *store, iw_node *node, const iw_source *source,
                        bool offline, iw_error *err)
{
    bool has = true;
    if (source->kind == IW_SOURCE_LOCAL || !source->sha256) return 0;
    if (source->kind != IW_SOURCE_CRATES &&
        iw_store_has_source(store, source->sha256, &has, err) != 0)
        return -1;
    iw_cleanup_free char *note = NULL;
    bool crates = source->kind == IW_SOURCE_CRATES;
    if ((crates || !has) && iw_store_fetch_note(store, source->sha256, &note, err) != 0) return -1;
    const char *file = source->file ? source->file : source->name;
    if (!has && offline) {
        node->reason = iw_arena_format(
            body->arena,
            "%s; its source %s is not in the store, and there is no network (--offline)",
            node->reason, file);
    } else if (note) {
        iw_cleanup_free char *why = one_line(note);
        node->reason =
            iw_arena_format(body->arena, "%s; its source %s could not be fetched the last time: %s",
                            node->reason, file, why);
    } else {
        return 0;
    }
    node->action = IW_ACTION_FETCH_BLOCKED;
    return 0;
}

static int check_sources(iw_plan_body *body, iw_store *store, iw_node *node, bool offline,
                         iw_error *err)
{
    for (size_t i = 0; i < node->recipe->source_count && node->action == IW_ACTION_BUILD; i++)
        if (check_source(body, store, node, &node->recipe->sources[i], offline, err) != 0)
            return -1;
    return 0;
}

/* --- how long ------------------------------------------------------------- */

/* For what was never built here. Where the recipe doesn't say, rough figures: only their order
 * matters, and that a total is shown. */
static double guess_seconds(const iw_recipe *recipe)
{
    if (recipe->build.minutes) return recipe->build.minutes * 60.0;
    static const double seconds[] = {
        [IW_SYSTEM_PYTHON] = 20,    [IW_SYSTEM_CMAKE] = 120, [IW_SYSTEM_MAKE] = 90,
        [IW_SYSTEM_AUTOTOOLS] = 60, [IW_SYSTEM_CARGO] = 150, [IW_SYSTEM_WHEEL] = 5,
        [IW_SYSTEM_SCRIPT] = 40};
    double guess = (size_t)recipe->build.system < sizeof seconds / sizeof *seconds
                       ? seconds[recipe->build.system]
                       : 60;
    if (recipe->build.memory > 400 || recipe->build.link_memory > 1000)
        guess *= 6; /* big translation units: C++ with templates */
    return guess;
}

/* How much of the time that a version took is to be expected for this one, 0 where that tells
 * nothing. Another version's does only where that is built the same way: torch from source takes
 * hours, its wheel a minute. Where both recipes say how long they take, these figures decide. */
static double share_of(iw_catalog *catalog, const iw_recipe *recipe, const char *version)
{
    iw_error ignored = IW_ERROR_INIT;
    const iw_recipe *other = NULL;
    if (strcmp(version, recipe->version) == 0) return 1;
    bool there = iw_catalog_recipe(catalog, recipe->name, version, &other, &ignored) == 0;
    iw_error_clear(&ignored);
    if (!there || other->build.system != recipe->build.system) return 0;
    return recipe->build.minutes && other->build.minutes
               ? (double)recipe->build.minutes / other->build.minutes
               : 1;
}

/* By the clock, but no more than its CPU time: what it took beyond that, it waited for others. */
static int expect(iw_catalog *catalog, iw_store *store, iw_node *node, iw_error *err)
{
    const char *name = node->recipe->name, *version = node->recipe->version;
    iw_measure whole, cpu;
    iw_cleanup_free char *of = NULL, *cpu_of = NULL;
    if (iw_store_measured_of(store, name, version, "", &whole, &of, err) != 0 ||
        iw_store_measured_of(store, name, version, IW_MEASURE_CPU, &cpu, &cpu_of, err) != 0)
        return -1;
    double share = of ? share_of(catalog, node->recipe, of) : 0;
    bool waited = cpu_of && strcmp(of, cpu_of) == 0 && cpu.seconds < whole.seconds;
    node->measured = share > 0;
    node->expected_seconds = !node->measured ? guess_seconds(node->recipe)
                                             : share * (waited ? cpu.seconds : whole.seconds);
    return 0;
}

int iw_plan_seconds(iw_catalog *catalog, iw_store *store, const iw_node *node, double *seconds,
                    iw_error *err)
{
    iw_node copy = *node;
    if (expect(catalog, store, &copy, err) != 0) return -1;
    *seconds = copy.expected_seconds;
    return 0;
}

int iw_plan_whole_seconds(const iw_plan *plan, iw_catalog *catalog, iw_store *store,
                          double *seconds, iw_error *err)
{
    double one;
    *seconds = 0;
    for (size_t i = 0; i < plan->node_count; i++) {
        if (iw_plan_seconds(catalog, store, &plan->nodes[i], &one, err) != 0) return -1;
        *seconds += one;
    }
    return 0;
}

/* --- the whole ------------------------------------------------------------ */

static int decide(iw_plan_body *body, iw_catalog *catalog, iw_store *store, iw_node *node,
                  const iw_plan_options *options, iw_error *err)
{
    bool found = false, offline = options && options->offline;
    if (look_up(&body->plan, store, node, &found, err) != 0) return -1;
    node->action = found ? IW_ACTION_REUSE : IW_ACTION_BUILD;
    if (!found) ask_others(body, options, node);
    if (iw_node_is_done(node)) return 0;
    if (set_reason(body, store, node, err) != 0 ||
        check_sources(body, store, node, offline, err) != 0)
        return -1;
    return expect(catalog, store, node, err);
}

/* What nobody reviewed comes into a bundle only where its stack says that it may. */
static int check_tried(const iw_plan *plan, iw_error *err)
{
    for (size_t i = 0; i < plan->node_count && !plan->stack->tried; i++) {
        const iw_recipe *recipe = plan->nodes[i].recipe;
        if (!plan->nodes[i].in_bundle || recipe->policy != IW_POLICY_TRIED) continue;
        return iw_fail_place(err, &recipe->place,
                             "%s %s is only tried: it holds instructions that the CPU doesn't have "
                             "and that nobody reviewed. Stack %s takes it once it says \"tried: "
                             "true\"; or build the package from its sources",
                             recipe->name, recipe->version, plan->stack->name);
    }
    return 0;
}

static int make(iw_plan_body *body, iw_catalog *catalog, iw_store *store,
                const iw_plan_options *options, iw_error *err)
{
    iw_plan *plan = &body->plan;
    if (iw_catalog_profiles_join(catalog, &plan->stack->profiles, &plan->profile, err) != 0 ||
        iw_catalog_toolchain(catalog, plan->stack->toolchain, &plan->toolchain, err) != 0 ||
        iw_graph_make(catalog, body, err) != 0 || check_tried(plan, err) != 0)
        return -1;
    if (options && options->graph) return 0;
    iw_keys_make(body);
    iw_keys_make_bundle(body);
    for (size_t i = 0; i < plan->node_count; i++)
        if (decide(body, catalog, store, &plan->nodes[i], options, err) != 0) return -1;
    return 0;
}

int iw_plan_make(iw_catalog *catalog, iw_store *store, const iw_stack *stack,
                 const iw_plan_options *options, iw_plan **out, iw_error *err)
{
    iw_arena *arena = iw_arena_new();
    iw_plan_body *body = iw_arena_alloc(arena, sizeof *body);
    body->arena = arena;
    body->plan.stack = stack;
    body->clash = options ? options->clash : NULL;
    body->plan.policy = iw_arena_strdup(arena, options && options->policy ? options->policy : "");
    *out = &body->plan;
    if (make(body, catalog, store, options, err) == 0) return 0;
    iw_plan_free(*out);
    *out = NULL;
    return -1;
}

void iw_plan_free(iw_plan *plan)
{
    if (!plan) return;
    for (size_t i = 0; i < plan->node_count; i++) iw_artifact_clear(&plan->nodes[i].artifact);
    iw_arena_free(((iw_plan_body *)(void *)plan)->arena);
}
