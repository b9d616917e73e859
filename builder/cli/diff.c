/* `ironwheel diff A B`: what differs between two bundles, member by member. */
#include <jansson.h>

#include "cli/commands.h"
#include "cli/compare.h"
#include "deliver/bundle_file.h"

static void tell(void *data, const iw_member *a, const iw_member *b)
{
    iw_context *context = data;
    const char *what = !b ? "only A" : !a ? "only B" : "differs", *path = a ? a->path : b->path;
    if (context->json) {
        json_t *line = json_pack("{s:s,s:s}", "change", what, "path", path);
        if (a) json_object_set_new(line, "a", json_string(a->digest));
        if (b) json_object_set_new(line, "b", json_string(b->digest));
        iw_print_json(context, line);
        return;
    }
    iw_print(context, "%-8s %s", what, path);
    if (a && b && a->size != b->size)
        iw_print(context, "  (%llu → %llu bytes)", (unsigned long long)a->size,
                 (unsigned long long)b->size);
    if (a && b && a->mode != b->mode)
        iw_print(context, "  (mode %o → %o)", a->mode & 07777, b->mode & 07777);
    iw_print(context, "\n");
}

int iw_print_differences(iw_context *context, const char *one, const char *other, bool *same,
                         iw_error *err)
{
    size_t changes, members;
    if (iw_bundle_compare(one, other, tell, context, &changes, &members, err) != 0) return -1;
    if (!context->json && !context->quiet)
        iw_print(context, "%zu of %zu members differ\n", changes, members);
    *same = changes == 0;
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    bool same = false;
    if (iw_print_differences(context, arguments->operands[0], arguments->operands[1], &same, err) !=
        0) {
        err->kind = IW_E_ENVIRONMENT; /* as diff: 2 is trouble, 1 an answer */
        return -1;
    }
    return !same;
}

static const iw_option options[] = {{NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL}};

const iw_command_spec iw_command_diff = {
    .name = "diff",
    .operands = "A B",
    .least = 2,
    .most = 2,
    .complete = "file",
    .summary = "Show what differs between two bundles",
    .description =
        "Compares member by member. Exit status as diff's: 0 the same, 1 different, 2 trouble.",
    .examples = NULL,
    .options = options,
    .run = run,
};
