/* `ironwheel pack STACK`: the bundle again, from what the store holds. */
#include "base/memory.h"
#include "cli/commands.h"

static int refuse_unbuilt(const iw_plan *plan, iw_error *err)
{
    iw_cleanup_buffer iw_buffer names = {0};
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].in_bundle && plan->nodes[i].action != IW_ACTION_REUSE)
            iw_buffer_add_format(&names, "%s%s %s", names.length ? ", " : "",
                                 plan->nodes[i].recipe->name, plan->nodes[i].recipe->version);
    if (!names.length) return 0;
    return iw_fail(err, IW_E_NOT_FOUND,
                   "these packages of stack %s aren't built: %s; `ironwheel build %s` builds them "
                   "and packs the bundle",
                   plan->stack->name, names.data, plan->stack->name);
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0) status = refuse_unbuilt(session.plan, err);
    if (status == 0) status = iw_context_start(context, &session, err);
    if (status == 0) status = iw_session_bundle(&session, true, err);
    iw_session_close(&session);
    return status;
}

static const iw_option options[] = {
    {"output", 'o', IW_OPTION_TEXT, "DIR",
     "Write the bundle to DIR (default: dist/ beside recipes/)", "folder"},
    {"level", 0, IW_OPTION_NUMBER, "N",
     "zstd level of the bundle (default: 12; another level gives other bytes)", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_pack = {
    .name = "pack",
    .operands = "STACK",
    .least = 1,
    .most = 1,
    .complete = "stack",
    .summary = "Check and write a stack's bundle from what the store holds",
    .description = "Like build, but nothing is fetched or built: a package that isn't in the store "
                   "is an error.",
    .examples = NULL,
    .options = options,
    .run = run,
};
