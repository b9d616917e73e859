/* `ironwheel unpack BUNDLE [DIR]`. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"
#include "deliver/bundle_file.h"
#include "store/archive.h"

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    const char *bundle = arguments->operands[0],
               *target = arguments->operand_count > 1 ? arguments->operands[1] : NULL;
    char found[IW_SHA256_HEX];
    bool known = false;
    iw_cleanup_free char *parent = target ? iw_path_parent(target) : iw_strdup("."),
                         *temporary = NULL, *placed = NULL;
    if (target && iw_exists(target))
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "%s is there already; remove it, or name another folder", target);
    if (iw_bundle_check_digest(bundle, iw_text_option(arguments, "sha256"), &known, found, err) !=
        0)
        return -1;
    iw_context_show(context);
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, ".ironwheel-unpack-", &temporary, err) != 0)
        return -1;
    int status = iw_bundle_unpack(bundle, temporary, parent, target, context->sink, &placed, err);
    iw_remove_tree(temporary, NULL);
    if (status != 0) return -1;
    if (!context->quiet && !context->json)
        iw_print(context, "%s%s\n  . %s/bin/activate\n", placed,
                 known ? "" : "   (no .sha256 beside the bundle: its digest was not checked)",
                 placed);
    return 0;
}

static const iw_option options[] = {
    {"sha256", 0, IW_OPTION_TEXT, "DIGEST",
     "What the SHA-256 of the bundle, or of its uncompressed tar, must be (default: what stands "
     "beside it)",
     NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_unpack = {
    .name = "unpack",
    .operands = "BUNDLE [DIR]",
    .least = 1,
    .most = 2,
    .complete = "file",
    .summary = "Unpack a bundle safely",
    .description =
        "Checks the digest, refuses whatever would land outside, and puts the environment in place "
        "in one step. `tar -xf` does as well with a bundle you trust.",
    .examples = "ironwheel unpack base-2026.11-k10-glibc2.35-cp311.tar.zst /opt/tts\tthen: . "
                "/opt/tts/bin/activate\n",
    .options = options,
    .run = run,
};
