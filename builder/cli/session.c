#include "cli/session.h"

#include <string.h>

#include "share/cache.h"

iw_deliver_options iw_context_deliver_options(const iw_context *context)
{
    const iw_arguments *a = context->arguments;
    return (iw_deliver_options){
        .root = context->root,
        .output = iw_text_option(a, "output"),
        .program = context->program,
        .helpers = context->helpers,
        .by = a->command->name,
        .fetch = {.offline = iw_flag(a, "offline"),
                  .import = iw_text_option(a, "import"),
                  .root = context->root,
                  .debian_mirror = iw_text_option(a, "debian-mirror"),
                  .debian_snapshot = iw_text_option(a, "debian-snapshot"),
                  .pypi_index = iw_text_option(a, "index-url"),
                  .accepted = iw_text_option(a, "accept-licence"),
                  .parallel = (unsigned)iw_number_option(a, "downloads", 0)},
        .no_sandbox = iw_flag(a, "no-sandbox"),
        .on = iw_text_option(a, "on"),
        .no_bundle = iw_flag(a, "no-bundle"),
        .fail_fast = iw_flag(a, "fail-fast"),
        .jobs = (unsigned)iw_number_option(a, "jobs", 0),
        .packages = (unsigned)iw_number_option(a, "packages", 0),
        .memory = iw_number_option(a, "memory", 0),
        .level = (int)iw_number_option(a, "level", 0),
        .cancel = context->cancel,
        .sink = context->sink,
    };
}

iw_fetch_options iw_context_fetch_options(const iw_context *context)
{
    iw_fetch_options options = iw_context_deliver_options(context).fetch;
    options.cancel = context->cancel;
    options.sink = context->sink;
    return options;
}

int iw_context_session(iw_context *context, const char *stack, iw_session *session, iw_error *err)
{
    iw_catalog *catalog;
    iw_store *store;
    *session = (iw_session){0};
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_context_store(context, &store, err) != 0)
        return -1;
    iw_deliver_options options = iw_context_deliver_options(context);
    return iw_session_open(catalog, store, stack, &options, session, err);
}

int iw_context_cache(iw_context *context, iw_cache **out, iw_error *err)
{
    const iw_arguments *a = context->arguments;
    iw_cache_options options = {.sink = context->sink,
                                .cancel = context->cancel,
                                .signers = (unsigned)iw_number_option(a, "require-signers", 0),
                                .place = iw_text_option(a, "push-to")};
    *out = NULL;
    if (iw_flag(a, "no-remote") || iw_flag(a, "offline") || iw_flag(a, "no-sandbox")) return 0;
    return iw_context_store(context, &options.store, err) == 0 ? iw_cache_open(&options, out, err)
                                                               : -1;
}

int iw_context_start(iw_context *context, iw_session *session, iw_error *err)
{
    iw_context_show(context);
    if (iw_context_watch_signals(context, err) != 0) return -1;
    session->options.cancel = context->cancel;
    session->options.sink = context->sink;
    return 0;
}

int iw_context_stack_option(iw_context *context, const char **stack, iw_error *err)
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
