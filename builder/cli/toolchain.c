/* `ironwheel toolchain show` and `ironwheel toolchain update`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"

static int find(iw_context *context, const iw_toolchain **toolchain, iw_error *err)
{
    iw_catalog *catalog;
    const iw_arguments *arguments = context->arguments;
    if (iw_context_catalog(context, &catalog, err) != 0) return -1;
    return iw_catalog_toolchain(catalog,
                                arguments->operand_count ? arguments->operands[0] : "debian12",
                                toolchain, err);
}

static int run_show(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    const iw_toolchain *toolchain;
    uint64_t total = 0;
    (void)arguments;
    if (find(context, &toolchain, err) != 0) return -1;
    for (size_t i = 0; i < toolchain->package_count; i++) {
        const iw_toolchain_package *package = &toolchain->packages[i];
        total += package->size;
        if (context->json) {
            json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:I}", "package", package->name, "version",
                                     package->version, "file", package->file, "sha256",
                                     package->sha256, "size", (json_int_t)package->size);
            iw_print_json(context, line);
        } else {
            iw_print(context, "%-34s %s\n", package->name, package->version);
        }
    }
    iw_cleanup_free char *size = iw_format_bytes(total);
    if (!context->json && !context->quiet)
        iw_print(context, "%s: %zu packages of %s, %s to download, digest %.12s\n", toolchain->name,
                 toolchain->package_count, toolchain->suite, size, toolchain->digest);
    return 0;
}

static const iw_option show_options[] = {{NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL}};

const iw_command_spec iw_command_toolchain_show = {
    .name = "toolchain show",
    .operands = "[NAME]",
    .least = 0,
    .most = 1,
    .complete = "toolchain",
    .summary = "List a toolchain's pinned packages",
    .description = "The Debian packages that make the sandbox's root, with their versions "
                   "(default: debian12).",
    .examples = NULL,
    .options = show_options,
    .run = run_show,
};

static int run_update(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    const iw_toolchain *toolchain;
    iw_fetch_options options;
    (void)arguments;
    if (find(context, &toolchain, err) != 0) return -1;
    iw_context_show(context);
    if (iw_context_watch_signals(context, err) != 0) return -1;
    options = iw_context_deliver_options(context).fetch;
    options.cancel = context->cancel;
    options.sink = context->sink;
    iw_cleanup_free char *path = iw_path_join(context->root, toolchain->path);
    char before[IW_SHA256_HEX], after[IW_SHA256_HEX];
    if (iw_hash_file(path, before, NULL, err) != 0 ||
        iw_toolchain_update(path, toolchain, &options, err) != 0 ||
        iw_hash_file(path, after, NULL, err) != 0)
        return -1;
    if (context->quiet || context->json) return 0;
    if (strcmp(before, after) == 0)
        iw_print(context, "%s pins the newest packages already\n", path);
    else
        iw_print(context, "%s written; `git diff` shows what changed%s\n", path,
                 strcmp(toolchain->name, IW_CHECKS_TOOLCHAIN) == 0
                     ? ", and nothing is built anew for it"
                     : ", and every package will be built anew");
    return 0;
}

static const iw_option update_options[] = {
    {"debian-mirror", 0, IW_OPTION_TEXT, "URL",
     "Debian mirror (default: IRONWHEEL_DEBIAN_MIRROR, else what apt is configured with)", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_toolchain_update = {
    .name = "toolchain update",
    .operands = "[NAME]",
    .least = 0,
    .most = 1,
    .complete = "toolchain",
    .summary = "Pin the newest packages of a toolchain's Debian release",
    .description = "Reads the archive's signed index, resolves the toolchain's roots, and writes "
                   "its file anew.",
    .examples = NULL,
    .options = update_options,
    .run = run_update,
};
