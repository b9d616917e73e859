#include "cli/session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/build.h"
#include "build/host.h"
#include "pack/pack.h"
#include "wrap/policy.h"

/* --- plan ----------------------------------------------------------------- */

int iw_session_replan(iw_context *context, iw_session *session, iw_error *err)
{
    iw_plan_options options = {.offline = iw_flag(context->arguments, "offline"),
                               .policy = IW_POLICY_NUMBER "." IW_BUILD_FORMAT "." IW_PACK_FORMAT};
    iw_plan_free(session->plan);
    session->plan = NULL;
    return iw_plan_make(session->catalog, session->store, session->stack, &options, &session->plan,
                        err);
}

int iw_session_open(iw_context *context, const char *stack, iw_session *session, iw_error *err)
{
    *session = (iw_session){0};
    if (iw_context_catalog(context, &session->catalog, err) != 0 ||
        iw_context_store(context, &session->store, err) != 0)
        return -1;
    if (iw_flag(context->arguments, "no-sandbox") && iw_host_toolchain(&session->host, err) != 0)
        return -1;
    if (session->host) iw_catalog_use_toolchain(session->catalog, session->host);
    if (iw_catalog_stack(session->catalog, stack, &session->stack, err) != 0) return -1;
    if (iw_catalog_toolchain(session->catalog, session->stack->toolchain, &session->toolchain,
                             err) != 0)
        return -1;
    return iw_session_replan(context, session, err);
}

void iw_session_close(iw_session *session)
{
    iw_plan_free(session->plan);
    session->plan = NULL;
    if (session->host) iw_catalog_use_toolchain(session->catalog, NULL);
    iw_host_toolchain_free(session->host);
    session->host = NULL;
}

/* --- fetch ---------------------------------------------------------------- */

void iw_session_fetch_options(const iw_context *context, iw_fetch_options *options)
{
    const iw_arguments *arguments = context->arguments;
    *options = (iw_fetch_options){.offline = iw_flag(arguments, "offline"),
                                  .import = iw_text_option(arguments, "import"),
                                  .debian_mirror = iw_text_option(arguments, "debian-mirror"),
                                  .pypi_index = iw_text_option(arguments, "index-url"),
                                  .parallel = (unsigned)iw_number_option(arguments, "downloads", 0),
                                  .cancel = context->cancel,
                                  .sink = context->sink};
}

size_t iw_session_wanted(const iw_session *session, bool all, bool toolchain, iw_wanted **wanted)
{
    size_t count = 0, most = session->toolchain->package_count;
    for (size_t i = 0; i < session->plan->node_count; i++)
        most += session->plan->nodes[i].recipe->source_count;
    iw_wanted *list = iw_alloc((most ? most : 1) * sizeof *list);
    for (size_t i = 0; toolchain && i < session->toolchain->package_count; i++)
        list[count++] = (iw_wanted){.package = &session->toolchain->packages[i]};
    for (size_t i = 0; i < session->plan->node_count; i++) {
        const iw_node *node = &session->plan->nodes[i];
        if (!all && node->action == IW_ACTION_REUSE) continue;
        for (size_t k = 0; k < node->recipe->source_count; k++)
            if (node->recipe->sources[k].kind != IW_SOURCE_LOCAL)
                list[count++] =
                    (iw_wanted){.recipe = node->recipe, .source = &node->recipe->sources[k]};
    }
    *wanted = list;
    return count;
}

static bool toolchain_is_unpacked(const iw_session *session)
{
    if (session->host) return true;
    iw_cleanup_free char *folder =
        iw_store_path(session->store, "toolchains", session->toolchain->digest);
    iw_cleanup_free char *stamp = iw_path_join(folder, "stamp");
    return iw_exists(stamp);
}

int iw_session_fetch(iw_context *context, iw_session *session, bool all, iw_error *err)
{
    iw_wanted *wanted = NULL;
    size_t count = iw_session_wanted(session, all, all || !toolchain_is_unpacked(session), &wanted);
    iw_fetch_options options;
    iw_session_fetch_options(context, &options);
    int status = iw_fetch_all(session->store, wanted, count, &options, err);
    free(wanted);
    return status;
}

int iw_session_fetch_toolchain(iw_context *context, iw_session *session, iw_error *err)
{
    if (toolchain_is_unpacked(session)) return 0;
    const iw_toolchain *toolchain = session->toolchain;
    iw_wanted *wanted = iw_alloc((toolchain->package_count + 1) * sizeof *wanted);
    for (size_t i = 0; i < toolchain->package_count; i++)
        wanted[i] = (iw_wanted){.package = &toolchain->packages[i]};
    iw_fetch_options options;
    iw_session_fetch_options(context, &options);
    int status = iw_fetch_all(session->store, wanted, toolchain->package_count, &options, err);
    free(wanted);
    return status;
}

/* --- one package ---------------------------------------------------------- */

int iw_session_stack_option(iw_context *context, const char **stack, iw_error *err)
{
    iw_catalog *catalog;
    iw_list stacks;
    *stack = iw_text_option(context->arguments, "stack");
    if (*stack) return 0;
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_catalog_stacks(catalog, &stacks, err) != 0)
        return -1;
    for (size_t i = 0; i < stacks.count; i++)
        if (stacks.count == 1 || strcmp(stacks.items[i], "base") == 0) *stack = stacks.items[i];
    return *stack ? 0
                  : iw_fail(err, IW_E_USAGE, "this tree has %zu stacks: name one with --stack",
                            stacks.count);
}

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
