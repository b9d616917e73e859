/* `ironwheel cache` and `ironwheel gc`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"

struct damage {
    iw_context *context;
    size_t count;
};

static void on_damage(void *context, const char *path, const char *why)
{
    struct damage *damage = context;
    damage->count++;
    if (damage->context->json) {
        json_t *line = json_pack("{s:s,s:s,s:s}", "type", "damaged", "path", path, "reason", why);
        iw_print_json(damage->context, line);
    } else {
        iw_print(damage->context, "damaged, removed: %s: %s\n", path, why);
    }
}

static int verify(iw_context *context, iw_store *store, iw_error *err)
{
    struct damage damage = {context, 0};
    if (iw_store_verify(store, on_damage, &damage, err) != 0) return -1;
    if (!context->json && !context->quiet)
        iw_print(
            context,
            damage.count
                ? "%zu damaged files were removed; the next build makes or fetches them again\n"
                : "every file is what it was\n",
            damage.count);
    return damage.count != 0;
}

static int run_cache(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_store *store;
    iw_usage rows[32];
    size_t count;
    uint64_t total = 0;
    if (iw_context_store(context, &store, err) != 0) return -1;
    if (iw_flag(arguments, "verify")) return verify(context, store, err);
    if (iw_store_usage(store, rows, 32, &count, err) != 0) return -1;
    if (!context->json) iw_print(context, "%s\n", iw_store_root(store));
    for (size_t i = 0; i < count; i++) {
        iw_cleanup_free char *size = iw_format_bytes(rows[i].bytes);
        total += rows[i].bytes;
        if (context->json)
            iw_print(context, "{\"folder\":\"%s\",\"files\":%llu,\"bytes\":%llu}\n", rows[i].folder,
                     (unsigned long long)rows[i].files, (unsigned long long)rows[i].bytes);
        else
            iw_print(context, "  %-12s %9llu files  %10s\n", rows[i].folder,
                     (unsigned long long)rows[i].files, size);
    }
    iw_cleanup_free char *size = iw_format_bytes(total);
    if (!context->json) iw_print(context, "  %-12s %15s  %10s\n", "together", "", size);
    return 0;
}

static const iw_option cache_options[] = {
    {"verify", 0, IW_OPTION_FLAG, NULL,
     "Hash every file; damaged ones are removed, so that they are fetched or built again (exit "
     "status 1)",
     NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_cache = {
    .name = "cache",
    .operands = "",
    .least = 0,
    .most = 0,
    .complete = NULL,
    .summary = "Show what the store holds, or verify it",
    .description =
        "Sources, artifacts, toolchains, compiled objects, kept trees and logs, with their sizes.",
    .examples = "ironwheel cache --verify\tafter a disk error or a restored backup\n",
    .options = cache_options,
    .run = run_cache,
};

/* --- gc ------------------------------------------------------------------- */

/* What one stack needs now: artifacts by the build keys that its plan knows, sources, toolchain. */
static int keep_stack(iw_context *context, const char *name, iw_strings *keys, iw_strings *sources,
                      iw_strings *toolchains, iw_error *err)
{
    iw_session session;
    iw_wanted *wanted = NULL;
    int status = iw_context_session(context, name, &session, err);
    if (status == 0) {
        for (size_t i = 0; i < session.plan->node_count; i++)
            if (session.plan->nodes[i].artifact.build_key)
                iw_strings_add(keys, session.plan->nodes[i].artifact.build_key);
        iw_strings_add(toolchains, session.toolchain->digest);
        size_t count = iw_session_wanted(&session, true, true, &wanted);
        status = iw_fetch_digests(session.store, wanted, count, sources, err);
        free(wanted);
    }
    iw_session_close(&session);
    return status;
}

static int collect(iw_context *context, iw_strings *keys, iw_strings *sources,
                   iw_strings *toolchains, iw_error *err)
{
    iw_catalog *catalog;
    iw_list stacks;
    const iw_toolchain *checks;
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_catalog_stacks(catalog, &stacks, err) != 0 ||
        iw_catalog_checks(catalog, &checks, err) != 0)
        return -1;
    if (checks) iw_strings_add(toolchains, checks->digest);
    for (size_t i = 0; checks && i < checks->package_count; i++)
        iw_strings_add(sources, checks->packages[i].sha256);
    for (size_t i = 0; i < stacks.count; i++)
        if (keep_stack(context, stacks.items[i], keys, sources, toolchains, err) != 0) return -1;
    return 0;
}

static int run_gc(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_cleanup_strings iw_strings keys = {0}, sources = {0}, toolchains = {0};
    uint64_t files = 0, bytes = 0;
    if (collect(context, &keys, &sources, &toolchains, err) != 0) return -1;
    iw_gc_keep keep = {.keys = &keys,
                       .sources = &sources,
                       .toolchains = &toolchains,
                       .dry_run = iw_flag(arguments, "dry-run"),
                       .objects_limit =
                           iw_number_option(arguments, "objects", 10000) * UINT64_C(1000000)};
    if (iw_store_gc(context->store, &keep, &files, &bytes, err) != 0) return -1;
    iw_cleanup_free char *size = iw_format_bytes(bytes);
    if (context->json)
        iw_print(context, "{\"files\":%llu,\"bytes\":%llu,\"dry_run\":%s}\n",
                 (unsigned long long)files, (unsigned long long)bytes,
                 keep.dry_run ? "true" : "false");
    else if (!context->quiet)
        iw_print(context, "%llu files, %s %s\n", (unsigned long long)files, size,
                 keep.dry_run ? "would be removed" : "removed");
    return 0;
}

static const iw_option gc_options[] = {
    {"dry-run", 'n', IW_OPTION_FLAG, NULL, "Only say how much would go", NULL},
    {"objects", 0, IW_OPTION_NUMBER, "MB",
     "Keep at most so much of the compiler wrapper's objects (default: 10000)", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_gc = {
    .name = "gc",
    .operands = "",
    .least = 0,
    .most = 0,
    .complete = NULL,
    .summary = "Remove what no stack of this tree needs",
    .description = "Keeps the artifacts, sources and toolchains of every stack as it stands now, "
                   "the toolchain `checks`, and objects up to a bound; removes the rest, old kept "
                   "trees and bumps that nobody went on with included. "
                   "Refuses while another run uses the store.",
    .examples = "ironwheel gc --dry-run\thow much it would free\n",
    .options = gc_options,
    .run = run_gc,
};
