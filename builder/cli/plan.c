/* `ironwheel plan STACK` and `ironwheel why PACKAGE`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"
#include "deliver/floor.h"
#include "share/cache.h"

static const char *action_name(iw_action action)
{
    return action == IW_ACTION_REUSE   ? "reuse"
           : action == IW_ACTION_PULL  ? "pull"
           : action == IW_ACTION_BUILD ? "build"
                                       : "fetch-blocked";
}

static void print_json(iw_context *context, const iw_node *node)
{
    json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b}", "package", node->recipe->name,
                             "version", node->recipe->version, "action", action_name(node->action),
                             "reason", node->reason ? node->reason : "", "key", node->plan_key,
                             "in_bundle", node->in_bundle, "maybe", node->maybe);
    if (!iw_node_is_done(node))
        json_object_set_new(line, "expected_seconds", json_real(node->expected_seconds));
    iw_print_json(context, line);
}

static void print_rows(iw_context *context, const iw_plan *plan)
{
    size_t reused = 0, pulled = 0, built = 0, blocked = 0, width = 8;
    double seconds = 0;
    for (size_t i = 0; i < plan->node_count; i++) {
        size_t length =
            strlen(plan->nodes[i].recipe->name) + 1 + strlen(plan->nodes[i].recipe->version);
        if (length > width) width = length;
    }
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        iw_cleanup_free char *subject =
            iw_format("%s %s", node->recipe->name, node->recipe->version);
        iw_cleanup_free char *time =
            iw_node_is_done(node) ? iw_strdup("") : iw_format_seconds(node->expected_seconds);
        if (!context->quiet || node->action != IW_ACTION_REUSE)
            iw_print(context, "%-13s  %-*s  %10s  %s\n", action_name(node->action), (int)width,
                     subject, time, node->reason ? node->reason : "");
        *(node->action == IW_ACTION_REUSE   ? &reused
          : node->action == IW_ACTION_PULL  ? &pulled
          : node->action == IW_ACTION_BUILD ? &built
                                            : &blocked) += 1;
        seconds += iw_node_is_done(node) ? 0 : node->expected_seconds;
    }
    iw_cleanup_free char *total = iw_format_seconds(seconds);
    iw_print(context, "%s %s for %s: %zu to build (about %s of work for all cores), %zu reused",
             plan->stack->name, plan->stack->version, plan->profile->name, built + blocked, total,
             reused);
    if (pulled) iw_print(context, ", %zu from remotes", pulled);
    if (!blocked) iw_print(context, "\n");
    if (blocked) iw_print(context, ", %zu of them without their sources\n", blocked);
}

/* That the bundle couldn't run here; `build` asks for --anyway then. */
static void print_warning(iw_context *context, const iw_stack *stack)
{
    iw_cleanup_free char *warning = iw_floor_warning(stack, NULL);
    if (!warning) return;
    if (context->json)
        iw_print_json(context, json_pack("{s:s,s:s}", "stack", stack->name, "warning", warning));
    else iw_print(context, "%s; `ironwheel build %s` wants --anyway\n", warning, stack->name);
}

static bool all_here(const iw_plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].action != IW_ACTION_REUSE) return false;
    return true;
}

/* What remotes would give. What is the matter with one of them is told, but not among JSON's rows.
 */
static int ask_remotes(iw_context *context, iw_session *session, iw_cache **cache, iw_error *err)
{
    if (iw_context_cache(context, cache, err) != 0) return -1;
    if (!*cache) return 0;
    if (!context->json && iw_context_start(context, session, err) != 0) return -1;
    iw_cache_listen(*cache, context->sink, context->cancel);
    session->options.cache = *cache;
    session->options.offered = iw_cache_offers;
    return iw_session_replan(session, err);
}

static int run_plan(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    iw_cache *cache = NULL;
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0 && !all_here(session.plan))
        status = ask_remotes(context, &session, &cache, err);
    if (status == 0 && context->json)
        for (size_t i = 0; i < session.plan->node_count; i++)
            print_json(context, &session.plan->nodes[i]);
    else if (status == 0) print_rows(context, session.plan);
    if (status == 0) print_warning(context, session.stack);
    iw_session_close(&session);
    iw_cache_close(cache);
    return status;
}

static const iw_option plan_options[] = {
    IW_REMOTE_OPTIONS,
    {"offline", 0, IW_OPTION_FLAG, NULL,
     "Plan as for `build --offline`: a package whose source isn't in the store is fetch-blocked",
     NULL},
    IW_NO_SANDBOX_OPTION,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_plan = {
    .name = "plan",
    .operands = "STACK",
    .least = 1,
    .most = 1,
    .complete = "stack",
    .summary = "Show what a build would do, and why",
    .description = "One line for each package, in the order of building: whether it is built or "
                   "reused, how long that takes by earlier builds, and the reason. "
                   "With --json one object a line: package, version, action (build, pull, reuse, "
                   "fetch-blocked), reason, key.",
    .examples = "ironwheel plan base\twhat `ironwheel build base` would do\n",
    .options = plan_options,
    .run = run_plan,
};

/* --- why ------------------------------------------------------------------ */

static int run_why(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session = {0};
    const char *stack;
    iw_node *node;
    iw_cleanup_free char *text = NULL;
    if (iw_context_stack_option(context, &stack, err) != 0) return -1;
    int status = iw_context_session(context, stack, &session, err);
    if (status == 0) status = iw_session_node(&session, arguments->operands[0], &node, err);
    if (status == 0)
        status = iw_plan_why(session.plan, session.store, node->recipe->name, &text, err);
    if (status == 0 && context->json) print_json(context, node);
    else if (status == 0) iw_print(context, "%s", text);
    iw_session_close(&session);
    return status;
}

static const iw_option why_options[] = {
    {"stack", 's', IW_OPTION_TEXT, "STACK", "The stack to look in (default: base)", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_why = {
    .name = "why",
    .operands = "PACKAGE",
    .least = 1,
    .most = 1,
    .complete = "package",
    .summary = "Say who needs a package, and why it would be built",
    .description = "Names the packages that need it, what it needs itself, and which of its inputs "
                   "changed since it was built last.",
    .examples = "ironwheel why openblas\twho needs OpenBLAS\n",
    .options = why_options,
    .run = run_why,
};
