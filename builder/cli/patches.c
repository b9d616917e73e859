/* `ironwheel patches STACK`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"
#include "upgrade/edit.h"
#include "upgrade/proof.h"

static json_t *describe(const iw_node *node, const iw_patch *patch, iw_error *err)
{
    static const char *const fields[][2] = {{"Proof", "check"},
                                            {"Not-Needed-From", "not_needed_from"},
                                            {"Refreshed", "refreshed"}};
    iw_cleanup_free char *text = NULL;
    json_t *one = json_pack("{s:s,s:s,s:s}", "package", node->recipe->name, "version",
                            node->recipe->version, "patch", patch->file);
    iw_json_put(one, "from", patch->from);
    iw_json_put(one, "description", patch->description);
    iw_json_put(one, "forwarded", patch->forwarded);
    iw_json_put(one, "applies_to", patch->applies_to);
    if (patch->path && iw_read_file(patch->path, IW_PATCH_LIMIT, &text, NULL, err) != 0) {
        json_decref(one);
        return NULL;
    }
    for (size_t i = 0; text && i < sizeof fields / sizeof *fields; i++) {
        iw_cleanup_free char *value = iw_header_field(text, fields[i][0]);
        iw_json_put(one, fields[i][1], value);
    }
    return one;
}

static void take_proof(json_t *list, const json_t *proof)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(iw_json_get(one, "package"), iw_json_get(proof, "package")) == 0 &&
            strcmp(iw_json_get(one, "patch"), iw_json_get(proof, "patch")) == 0)
            json_object_update(one, (json_t *)proof);
    }
}

static int prove_node(const iw_session *session, const iw_node *node, const char *work,
                      json_t *list, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_join(work, node->recipe->name);
    iw_patch_proof proof = {.tree = iw_catalog_root(session->catalog),
                            .session = session,
                            .node = node,
                            .work = folder};
    json_t *proofs = NULL, *one;
    size_t i;
    int status = iw_prove_patches(&proof, &proofs, err);
    json_array_foreach(proofs, i, one)
    {
        if (iw_json_get(one, "result")) take_proof(list, one);
    }
    json_decref(proofs);
    return status;
}

static bool has_ours(const iw_recipe *recipe)
{
    for (size_t i = 0; i < recipe->patch_count; i++)
        if (!recipe->patches[i].from) return true;
    return false;
}

static int prove_all(const iw_session *session, json_t *list, iw_error *err)
{
    iw_cleanup_free char *parent = iw_store_path(session->store, "tmp", ""), *work = NULL;
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, "patches-", &work, err) != 0)
        return -1;
    int status = 0;
    for (size_t i = 0; i < session->plan->node_count && status == 0; i++)
        if (has_ours(session->plan->nodes[i].recipe))
            status = prove_node(session, &session->plan->nodes[i], work, list, err);
    (void)!iw_remove_tree(work, NULL);
    return status;
}

static int list_all(const iw_session *session, json_t *list, iw_error *err)
{
    for (size_t i = 0; i < session->plan->node_count; i++) {
        const iw_node *node = &session->plan->nodes[i];
        for (size_t k = 0; k < node->recipe->patch_count; k++) {
            json_t *one = describe(node, &node->recipe->patches[k], err);
            if (!one) return -1;
            json_array_append_new(list, one);
        }
    }
    return 0;
}

static void print_one(iw_context *context, json_t *one)
{
    const char *result = iw_json_get(one, "result"), *why = iw_json_get(one, "why"),
               *description = iw_json_get(one, "description"), *from = iw_json_get(one, "from"),
               *gone = iw_json_get(one, "not_needed_from"), *check = iw_json_get(one, "check");
    if (context->json) {
        iw_print_json(context, json_incref(one));
        return;
    }
    iw_print(context, "%s %s  %s%s%s\n", iw_json_get(one, "package"), iw_json_get(one, "version"),
             iw_json_get(one, "patch"), from ? ", of source " : "", from ? from : "");
    if (context->quiet) return;
    if (description) iw_print(context, "    %s\n", description);
    if (iw_json_get(one, "forwarded"))
        iw_print(context, "    forwarded: %s\n", iw_json_get(one, "forwarded"));
    if (gone) iw_print(context, "    not needed from: %s\n", gone);
    if (check) iw_print(context, "    proven by check: %s\n", check);
    if (result) iw_print(context, "    %s: %s\n", result, why ? why : "");
}

static bool print_all(iw_context *context, const json_t *list)
{
    size_t i, needless = 0;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *result = iw_json_get(one, "result");
        needless += result && strcmp(result, "needless") == 0;
        print_one(context, one);
    }
    return needless > 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    json_t *list = json_array();
    bool needless = false;
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0) status = list_all(&session, list, err);
    if (status == 0 && iw_flag(arguments, "prove")) {
        status = iw_context_start(context, &session, err);
        if (status == 0) status = prove_all(&session, list, err);
    }
    if (status == 0) needless = print_all(context, list);
    json_decref(list);
    iw_session_close(&session);
    return status == 0 ? needless : -1;
}

static const iw_option options[] = {
    {"prove", 0, IW_OPTION_FLAG, NULL,
     "Build each package without each of its patches, to see whether it is needed", NULL},
    IW_BUILD_OPTIONS,
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_patches = {
    .name = "patches",
    .operands = "STACK",
    .least = 1,
    .most = 1,
    .complete = "stack",
    .summary = "List the patches of a stack's packages, and prove that they are needed",
    .description =
        "One entry for each patch: what it is for, where it was forwarded, which check shows its "
        "need. With --prove each package is built without each of its own patches, for the "
        "profiles of every stack that holds it. The same bytes without it: needless. Other bytes: "
        "the check that its header names (\"Proof: NAME\") must fail without it; else it passes, "
        "or, where none is named, the need is unproven. Exit status 1 where one is needless.",
    .examples = "ironwheel patches base\tthe patches of stack base\n"
                "ironwheel patches base --prove\twhether they are still needed\n",
    .options = options,
    .run = run,
};
