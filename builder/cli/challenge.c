/* `ironwheel challenge STACK`. */
#include <jansson.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"
#include "share/cache.h"

struct tally {
    iw_context *context;
    size_t compared, differ;
};

static void on_pair(void *context, const iw_node *node, const char *remote, const char *key,
                    const char *here, const char *there)
{
    struct tally *tally = context;
    bool same = strcmp(here, there) == 0;
    tally->compared++;
    tally->differ += !same;
    if (tally->context->json)
        iw_print_json(tally->context,
                      json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "package", node->recipe->name,
                                "version", node->recipe->version, "remote", remote, "key", key,
                                "here", here, "there", there, "same", same));
    else if (!same)
        iw_print(tally->context, "%s %s: key %s at %s has content %s, this rig built %s\n",
                 node->recipe->name, node->recipe->version, key, remote, there, here);
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    iw_cache *cache = NULL;
    struct tally tally = {.context = context};
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0) status = iw_context_cache(context, &cache, err);
    if (status == 0 && !cache)
        status =
            iw_fail(err, IW_E_USAGE, "there is no remote to compare with (`ironwheel remote add`)");
    if (status == 0) {
        iw_cache_challenge(cache, session.plan, on_pair, &tally);
        if (!context->json && !context->quiet)
            iw_print(context, "%zu compared, %zu differ\n", tally.compared, tally.differ);
        status = tally.differ != 0;
    }
    iw_session_close(&session);
    iw_cache_close(cache);
    return status;
}

const iw_command_spec iw_command_challenge = {
    .name = "challenge",
    .operands = "STACK",
    .least = 1,
    .most = 1,
    .complete = "stack",
    .summary = "Compare what this rig built itself with what remotes offer",
    .description =
        "For every package of the stack that was built here: whether each key that offers the same "
        "build key has the same content. A difference means that somebody doesn't build what the "
        "recipe says. To build again what was pulled: `ironwheel build STACK --no-remote --cache "
        "OTHER`, then challenge with that cache. Exit status 1 where anything differs.",
    .examples = "ironwheel challenge base\tthe packages of stack base\n",
    .options = NULL,
    .run = run,
};
