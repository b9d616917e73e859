#include "deliver/session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/build.h"
#include "build/checks_root.h"
#include "build/host.h"
#include "pack/pack.h"
#include "wrap/policy.h"

/* --- plan ----------------------------------------------------------------- */

int iw_session_replan(iw_session *session, iw_error *err)
{
    iw_plan_options options = {.offline = session->options.fetch.offline,
                               .policy = IW_POLICY_NUMBER "." IW_BUILD_FORMAT "." IW_PACK_FORMAT};
    if (session->options.cache) {
        options.offered = session->options.offered;
        options.context = session->options.cache;
    }
    iw_plan_free(session->plan);
    session->plan = NULL;
    return iw_plan_make(session->catalog, session->store, session->stack, &options, &session->plan,
                        err);
}

int iw_session_open(iw_catalog *catalog, iw_store *store, const char *stack,
                    const iw_deliver_options *options, iw_session *session, iw_error *err)
{
    *session = (iw_session){.options = *options, .catalog = catalog, .store = store};
    if (options->no_sandbox && iw_host_toolchain(&session->host, err) != 0) return -1;
    if (session->host) iw_catalog_use_toolchain(catalog, session->host);
    if (iw_catalog_stack(catalog, stack, &session->stack, err) != 0 ||
        iw_catalog_toolchain(catalog, session->stack->toolchain, &session->toolchain, err) != 0)
        return -1;
    if (iw_pinned_read(iw_catalog_root(catalog), &session->pinned, err) != 0) return -1;
    return iw_session_replan(session, err);
}

void iw_session_close(iw_session *session)
{
    iw_plan_free(session->plan);
    session->plan = NULL;
    if (session->host) iw_catalog_use_toolchain(session->catalog, NULL);
    iw_host_toolchain_free(session->host);
    session->host = NULL;
    iw_pinned_clear(&session->pinned);
}

/* --- fetch ---------------------------------------------------------------- */

/* The toolchain file `checks`, where its packages are to be fetched: `all`, or its emulator isn't
 * the one that the stack's own toolchain brings. */
static const iw_toolchain *checks_wanted(const iw_session *session, bool all)
{
    const iw_toolchain *checks = NULL;
    if (iw_catalog_checks(session->catalog, &checks, NULL) != 0 || !checks) return NULL;
    bool own = session->host || iw_checks_emulator_is(checks, session->toolchain);
    return all || !own ? checks : NULL;
}

static size_t add_toolchain(const iw_session *session, iw_wanted *list, size_t count)
{
    const iw_toolchain *toolchain = session->toolchain;
    for (size_t i = 0; i < toolchain->package_count; i++)
        list[count++] = (iw_wanted){.package = &toolchain->packages[i], .toolchain = toolchain};
    return count;
}

/* A node's sources that come from elsewhere, added to the list. */
static size_t add_sources(const iw_node *node, iw_wanted *list, size_t count)
{
    for (size_t k = 0; k < node->recipe->source_count; k++)
        if (node->recipe->sources[k].kind != IW_SOURCE_LOCAL)
            list[count++] =
                (iw_wanted){.recipe = node->recipe, .source = &node->recipe->sources[k]};
    return count;
}

size_t iw_session_wanted(const iw_session *session, bool all, bool toolchain, iw_wanted **wanted)
{
    const iw_toolchain *checks = checks_wanted(session, all);
    size_t count = 0, most = session->toolchain->package_count + IW_PINNED_LIMIT;
    if (checks) most += checks->package_count;
    for (size_t i = 0; i < session->plan->node_count; i++)
        most += session->plan->nodes[i].recipe->source_count;
    iw_wanted *list = iw_alloc(most * sizeof *list);
    if (all) count = iw_pinned_wanted(session->store, &session->pinned, list);
    if (toolchain) count = add_toolchain(session, list, count);
    for (size_t i = 0; checks && i < checks->package_count; i++)
        list[count++] = (iw_wanted){.package = &checks->packages[i], .toolchain = checks};
    for (size_t i = 0; i < session->plan->node_count; i++) {
        const iw_node *node = &session->plan->nodes[i];
        if (!all && iw_node_is_done(node)) continue;
        count = add_sources(node, list, count);
    }
    *wanted = list;
    return count;
}

bool iw_session_has_toolchain(const iw_session *session)
{
    if (session->host) return true;
    iw_cleanup_free char *folder =
        iw_store_path(session->store, "toolchains", session->toolchain->digest);
    iw_cleanup_free char *stamp = iw_path_join(folder, "stamp");
    return iw_exists(stamp);
}

/* What newer packages of the toolchain would cost. */
static int renewal_of(const iw_session *session, char **out, iw_error *err)
{
    double seconds;
    if (iw_plan_whole_seconds(session->plan, session->catalog, session->store, &seconds, err) != 0)
        return -1;
    iw_cleanup_free char *time = iw_format_seconds(seconds);
    *out =
        iw_format("every package of %s (%zu) would be built anew, about %s of work for all cores",
                  session->stack->name, session->plan->node_count, time);
    return 0;
}

static int fetch(iw_session *session, const iw_wanted *wanted, size_t count, iw_error *err)
{
    iw_fetch_options options = session->options.fetch;
    iw_cleanup_free char *renewal = NULL;
    if (renewal_of(session, &renewal, err) != 0) return -1;
    options.cancel = session->options.cancel;
    options.sink = session->options.sink;
    options.renewal = renewal;
    return iw_fetch_all(session->store, wanted, count, &options, err);
}

static bool nothing_to_build(const iw_session *session)
{
    for (size_t i = 0; i < session->plan->node_count; i++)
        if (!iw_node_is_done(&session->plan->nodes[i])) return false;
    return true;
}

int iw_session_fetch(iw_session *session, bool all, iw_error *err)
{
    iw_wanted *wanted = NULL;
    bool tools = all || (!nothing_to_build(session) && !iw_session_has_toolchain(session));
    size_t count = iw_session_wanted(session, all, tools, &wanted);
    int status = fetch(session, wanted, count, err);
    free(wanted);
    return status;
}

int iw_session_fetch_toolchain(iw_session *session, iw_error *err)
{
    if (iw_session_has_toolchain(session)) return 0;
    iw_wanted *wanted = iw_alloc((session->toolchain->package_count + 1) * sizeof *wanted);
    int status = fetch(session, wanted, add_toolchain(session, wanted, 0), err);
    free(wanted);
    return status;
}

int iw_session_fetch_for(iw_session *session, const iw_node *node, iw_error *err)
{
    size_t most = session->toolchain->package_count + node->recipe->source_count, count;
    iw_wanted *wanted = iw_alloc((most + 1) * sizeof *wanted);
    count = add_sources(node, wanted, 0);
    if (!iw_session_has_toolchain(session)) count = add_toolchain(session, wanted, count);
    int status = fetch(session, wanted, count, err);
    free(wanted);
    return status;
}

/* --- one package ---------------------------------------------------------- */

int iw_session_node(const iw_session *session, const char *package, iw_node **node, iw_error *err)
{
    const char *slash = strchr(package, '/');
    iw_cleanup_free char *name =
        iw_strndup(package, slash ? (size_t)(slash - package) : strlen(package));
    *node = iw_plan_find(session->plan, name, slash ? slash + 1 : NULL);
    if (*node) return 0;
    const char **names = iw_alloc((session->plan->node_count + 1) * sizeof *names);
    for (size_t i = 0; i < session->plan->node_count; i++)
        names[i] = session->plan->nodes[i].recipe->name;
    const char *near = iw_nearest(name, names, session->plan->node_count);
    iw_fail(err, IW_E_NOT_FOUND, "stack %s has no package %s%s%s%s; `ironwheel plan %s` lists them",
            session->stack->name, package, near ? "; did you mean \"" : "", near ? near : "",
            near ? "\"?" : "", session->stack->name);
    free(names);
    return -1;
}
