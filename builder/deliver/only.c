#include "deliver/only.h"

#include "base/memory.h"
#include "build/build.h"
#include "share/cache.h"

const char *iw_only_name(iw_only_outcome outcome)
{
    static const char *const names[] = {"there", "here", "pulled", "built"};
    return names[outcome];
}

/* Of what is laid for it, what nobody has. */
static int refuse_missing(const iw_session *session, const iw_node *node, iw_error *err)
{
    iw_cleanup_buffer iw_buffer names = {0};
    const char *first = NULL;
    for (size_t i = 0; i < node->laid_count; i++) {
        const iw_node *one = node->laid[i];
        if (iw_node_is_done(one)) continue;
        if (!first) first = one->recipe->name;
        iw_buffer_add_format(&names, "%s%s/%s", names.length ? ", " : "", one->recipe->name,
                             one->recipe->version);
    }
    if (!first) return 0;
    return iw_fail(err, IW_E_NOT_FOUND,
                   "%s/%s is built on what is neither in the store%s: %s. `ironwheel build %s "
                   "--only %s` comes first",
                   node->recipe->name, node->recipe->version,
                   session->options.cache ? " nor at a remote"
                                          : " nor, without a remote, to be had",
                   names.data, session->stack->name, first);
}

static int plan_anew(iw_session *session, const char *package, iw_node **node, iw_error *err)
{
    return iw_session_replan(session, err) == 0 ? iw_session_node(session, package, node, err) : -1;
}

/* A plan in which the node is in the store, or all that is laid for it is; or *there. What a remote
 * couldn't give isn't offered in the next round. */
static int make_ready(iw_session *session, const char *package, bool there_will_do, bool *there,
                      iw_node **node, iw_error *err)
{
    iw_cache *cache = session->options.cache;
    size_t missed = 0;
    do {
        if (plan_anew(session, package, node, err) != 0) return -1;
        *there = there_will_do && cache && iw_cache_place_has(cache, session->plan, *node);
        if (*there || (*node)->action == IW_ACTION_REUSE) return 0;
        if (!iw_node_is_done(*node) && refuse_missing(session, *node, err) != 0) return -1;
        if (cache && iw_cache_bring_for(cache, session->plan, *node, &missed, err) != 0) return -1;
    } while (missed);
    return plan_anew(session, package, node, err);
}

static int build(iw_session *session, iw_node *node, iw_error *err)
{
    iw_build_options options = iw_session_build_options(session);
    options.packages = 1;
    options.only = node;
    return iw_session_fetch_for(session, node, err) == 0
               ? iw_build_plan(session->store, session->plan, &options, err)
               : -1;
}

int iw_session_build_only(iw_session *session, const char *package, bool there_will_do,
                          iw_only_outcome *outcome, iw_node **node, iw_error *err)
{
    bool there = false, here;
    if (iw_session_node(session, package, node, err) != 0) return -1;
    here = (*node)->action == IW_ACTION_REUSE;
    if (make_ready(session, package, there_will_do, &there, node, err) != 0) return -1;
    *outcome = there                                ? IW_ONLY_THERE
               : here                               ? IW_ONLY_HERE
               : (*node)->action == IW_ACTION_REUSE ? IW_ONLY_PULLED
                                                    : IW_ONLY_BUILT;
    if (*outcome != IW_ONLY_BUILT) return 0;
    return build(session, *node, err) == 0 ? plan_anew(session, package, node, err) : -1;
}
