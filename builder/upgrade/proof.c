#include "upgrade/proof.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/draft.h"
#include "upgrade/edit.h"

#define STACK "iw-proof"
#define TEXT_LIMIT ((size_t)1 << 20)

/* --- a tree in which only this package is built --------------------------------- */

static void add_pins(iw_buffer *text, const iw_plan *plan, const char *name)
{
    const iw_stack *stack = plan->stack;
    iw_cleanup_strings iw_strings done = {0};
    iw_strings_add(&done, name);
    for (size_t i = 0; i < stack->package_count + stack->pin_count; i++) {
        const iw_pin *pin =
            i < stack->package_count ? &stack->packages[i] : &stack->pins[i - stack->package_count];
        if (iw_strings_has(&done, pin->name)) continue;
        iw_strings_add(&done, pin->name);
        iw_buffer_add_format(text, "%s  %s: %s\n", done.count == 2 ? "pins:\n" : "", pin->name,
                             pin->version);
    }
}

/* The stack's pins, its toolchain, these profiles, and one package. */
static int write_stack(const iw_patch_proof *proof, const iw_list *profiles, const char *tree,
                       iw_error *err)
{
    const iw_plan *plan = proof->session->plan;
    const iw_recipe *recipe = proof->node->recipe;
    iw_cleanup_buffer iw_buffer text = {0};
    iw_buffer_add_format(&text,
                         "name: " STACK "\nversion: 1\nsummary: What a patch is good for\n"
                         "toolchain: %s\nprofiles: [",
                         plan->stack->toolchain);
    for (size_t i = 0; i < profiles->count; i++)
        iw_buffer_add_format(&text, "%s%s", i ? ", " : "", profiles->items[i]);
    iw_buffer_add_format(&text, "]\npackages:\n  %s: %s\n", recipe->name, recipe->version);
    add_pins(&text, plan, recipe->name);
    iw_cleanup_free char *path = iw_format("%s/recipes/stacks/" STACK ".yaml", tree);
    return iw_write_passing(path, text.data, text.length, 0644, err);
}

/* The recipe with or without one of its patches. */
static int write_recipe(const iw_patch_proof *proof, const iw_patch *without, const char *tree,
                        iw_error *err)
{
    const iw_recipe *recipe = proof->node->recipe;
    iw_cleanup_free char *from = iw_path_join(proof->tree, recipe->path),
                         *to = iw_path_join(tree, recipe->path), *text = NULL;
    if (iw_read_file(from, TEXT_LIMIT, &text, NULL, err) != 0) return -1;
    iw_cleanup_free char *edited = without ? iw_edit_item(text, &without->place, NULL) : NULL;
    if (without && !edited)
        return iw_fail(err, IW_E_RECIPE, "%s:%d: %s can't be found there", recipe->path,
                       without->place.line, without->file);
    const char *written = edited ? edited : text;
    return iw_write_passing(to, written, strlen(written), 0644, err);
}

/* --- one build ------------------------------------------------------------------- */

static int build_only(iw_session *session, iw_error *err)
{
    return iw_session_build_packages(session, err) != 0 ? -1 : iw_session_replan(session, err);
}

struct variant {
    iw_catalog *catalog;
    iw_session session;
    char *output;
};

static int open_variant(const iw_patch_proof *proof, const char *tree, const char *stack,
                        struct variant *variant, iw_error *err)
{
    iw_deliver_options options = proof->session->options;
    *variant = (struct variant){.output = iw_path_join(proof->work, "dist")};
    options.root = tree;
    options.output = variant->output;
    if (iw_catalog_open(tree, &variant->catalog, err) != 0) return -1;
    return iw_session_open(variant->catalog, proof->session->store, stack, &options,
                           &variant->session, err);
}

static void close_variant(struct variant *variant)
{
    iw_session_close(&variant->session);
    iw_catalog_free(variant->catalog);
    free(variant->output);
}

/* The content digest of the package as the tree's stack `iw-proof` builds it. */
static int content_of(const iw_patch_proof *proof, const char *tree, char content[IW_SHA256_HEX],
                      iw_error *err)
{
    struct variant variant;
    int status = open_variant(proof, tree, STACK, &variant, err);
    if (status == 0) status = build_only(&variant.session, err);
    iw_node *node =
        status == 0 ? iw_plan_find(variant.session.plan, proof->node->recipe->name, NULL) : NULL;
    if (status == 0 && (!node || !node->artifact.content))
        status = iw_fail(err, IW_E_BUILD, "%s was built, but isn't in the store",
                         proof->node->recipe->name);
    if (status == 0) memcpy(content, node->artifact.content, IW_SHA256_HEX);
    close_variant(&variant);
    return status;
}

static bool is_release_fault(const iw_error *err)
{
    return err->kind == IW_E_BUILD || err->kind == IW_E_CHECK;
}

/* --- one patch -------------------------------------------------------------------- */

/* Whether the bytes are the same without it. */
static int same_bytes(const iw_patch_proof *proof, const iw_patch *patch, const iw_list *profiles,
                      const char *tree, bool *same, char **broke, iw_error *err)
{
    char with[IW_SHA256_HEX], without[IW_SHA256_HEX];
    *same = false;
    if (write_stack(proof, profiles, tree, err) != 0 || write_recipe(proof, NULL, tree, err) != 0 ||
        content_of(proof, tree, with, err) != 0 || write_recipe(proof, patch, tree, err) != 0)
        return -1;
    if (content_of(proof, tree, without, err) == 0) {
        *same = strcmp(with, without) == 0;
        return 0;
    }
    if (!is_release_fault(err)) return -1;
    *broke = iw_strdup(iw_error_text(err));
    iw_error_clear(err);
    return 0;
}

static bool has_check(const iw_check *checks, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(checks[i].name, name) == 0) return true;
    return false;
}

/* Builds, audits and checks a stack without the patch; *broke: what failed, or NULL. */
static int try_without(const iw_patch_proof *proof, const char *stack, const char *tree,
                       char **broke, iw_error *err)
{
    struct variant variant;
    *broke = NULL;
    int status = open_variant(proof, tree, stack, &variant, err);
    if (status == 0) status = iw_session_build(&variant.session, err);
    close_variant(&variant);
    if (status != 0 && !is_release_fault(err)) return -1;
    if (status != 0) *broke = iw_strdup(iw_error_text(err));
    iw_error_clear(err);
    return 0;
}

/* `Proof: audit`: instructions that the CPU doesn't have, in the package as it is without the
 * patch. */
static int run_audit(const iw_patch_proof *proof, const char *tree, const char **result, char **why,
                     iw_error *err)
{
    iw_cleanup_free char *broke = NULL;
    if (try_without(proof, STACK, tree, &broke, err) != 0) return -1;
    *result = broke ? "needed" : "passes";
    *why = broke ? iw_format("without it: %.300s", broke)
                 : iw_strdup("the audit finds nothing without it");
    return 0;
}

/* Runs all checks without the patch: only the package's own, where the one that is named is among
 * them, else those of the whole stack. "needed" where that one fails, "passes" where it passes. */
static int run_check(const iw_patch_proof *proof, const char *check, const char *tree,
                     const char **result, char **why, iw_error *err)
{
    const iw_recipe *recipe = proof->node->recipe;
    const iw_stack *stack = proof->session->stack;
    bool own = has_check(recipe->checks, recipe->check_count, check);
    iw_cleanup_free char *line = iw_format("\n  %s of ", check), *broke = NULL;
    if (!own && strcmp(check, "audit") == 0) return run_audit(proof, tree, result, why, err);
    if (!own && !has_check(stack->checks, stack->check_count, check)) {
        *result = "unproven";
        *why =
            iw_format("neither %s nor stack %s has a check %s", recipe->name, stack->name, check);
        return 0;
    }
    if (try_without(proof, own ? STACK : stack->name, tree, &broke, err) != 0) return -1;
    *result = broke ? "needed" : "passes";
    *why = broke && strstr(broke, line) ? iw_format("check %s fails without it", check)
           : broke                      ? iw_format("without it: %.300s", broke)
                                        : iw_format("check %s passes without it", check);
    return 0;
}

/* What the header says where no check can show it: "none (why)"; and "build", which is over by
 * now. */
static char *said_beforehand(const char *check, const char **result)
{
    static const char none[] = "none";
    if (strcmp(check, "build") == 0) {
        *result = "passes";
        return iw_strdup("it builds without it, to other bytes");
    }
    if (strncmp(check, none, strlen(none)) != 0 || !strchr(" (", check[strlen(none)])) return NULL;
    return iw_format("no check shows it: %s", check + strlen(none) + strspn(check + 4, " "));
}

static int other_bytes(const iw_patch_proof *proof, const iw_patch *patch, const char *tree,
                       json_t *told, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *check = NULL, *why = NULL;
    const char *result = "unproven";
    if (iw_read_file(patch->path, IW_PATCH_LIMIT, &text, NULL, err) != 0) return -1;
    check = iw_header_field(text, "Proof");
    if (check) iw_json_set(told, "check", check);
    if (check) why = said_beforehand(check, &result);
    if (check && !why && run_check(proof, check, tree, &result, &why, err) != 0) return -1;
    iw_json_set(told, "result", result);
    iw_json_set(told, "why",
                why ? why : "other bytes without it; its header names no check (Proof)");
    return 0;
}

/* Profiles of every stack of the tree that holds the package: needless on one CPU isn't needless on
 * another. */
static bool next_profiles(const iw_patch_proof *proof, iw_list *stacks, size_t *at,
                          iw_strings *done, iw_list *out)
{
    iw_catalog *catalog = proof->session->catalog;
    while (*at <= stacks->count) {
        const iw_stack *stack = proof->session->stack;
        size_t index = (*at)++;
        if (index && iw_catalog_stack(catalog, stacks->items[index - 1], &stack, NULL) != 0)
            continue;
        bool holds = index == 0;
        for (size_t i = 0; i < stack->package_count && !holds; i++)
            holds = strcmp(stack->packages[i].name, proof->node->recipe->name) == 0;
        iw_cleanup_buffer iw_buffer name = {0};
        for (size_t i = 0; i < stack->profiles.count; i++)
            iw_buffer_add_format(&name, "%s+", stack->profiles.items[i]);
        if (!holds || iw_strings_has(done, name.data)) continue;
        iw_strings_add(done, name.data);
        *out = stack->profiles;
        return true;
    }
    return false;
}

static int prove_one(const iw_patch_proof *proof, const iw_patch *patch, const char *tree,
                     json_t *told, iw_error *err)
{
    iw_list stacks, profiles;
    iw_cleanup_strings iw_strings done = {0};
    size_t at = 0;
    bool same = true;
    iw_cleanup_free char *broke = NULL;
    if (iw_catalog_stacks(proof->session->catalog, &stacks, err) != 0) return -1;
    while (same && !broke && next_profiles(proof, &stacks, &at, &done, &profiles))
        if (same_bytes(proof, patch, &profiles, tree, &same, &broke, err) != 0) return -1;
    if (broke) {
        iw_json_set(told, "result", "needed");
        iw_json_set(told, "why", broke);
    } else if (same) {
        iw_json_set(told, "result", "needless");
        iw_json_set(told, "why", "the same bytes without it");
    } else if (done.count > 1) {
        iw_json_set(told, "result", "needed");
        iw_json_set(told, "why", "the same bytes without it on one CPU, others on another");
    } else return other_bytes(proof, patch, tree, told, err);
    return 0;
}

static int prove_all(const iw_patch_proof *proof, const char *tree, json_t *out, iw_error *err)
{
    const iw_recipe *recipe = proof->node->recipe;
    for (size_t i = 0; i < recipe->patch_count; i++) {
        const iw_patch *patch = &recipe->patches[i];
        if (patch->from) continue;
        json_t *told = json_pack("{s:s,s:s}", "package", recipe->name, "patch", patch->file);
        json_array_append_new(out, told);
        iw_emit(proof->session->options.sink,
                (iw_event){.type = IW_EVENT_STARTED, .subject = patch->file, .phase = "proof"});
        if (strcmp(patch->place.file, recipe->path) != 0) {
            iw_json_set(told, "result", "unproven");
            iw_json_set(told, "why", "it stands in another recipe, by `like`");
        } else if (prove_one(proof, patch, tree, told, err) != 0) return -1;
        iw_emit(proof->session->options.sink, (iw_event){.type = IW_EVENT_FINISHED,
                                                         .subject = patch->file,
                                                         .phase = "proof",
                                                         .detail = iw_json_get(told, "result")});
    }
    return 0;
}

int iw_prove_patches(const iw_patch_proof *proof, json_t **out, iw_error *err)
{
    iw_cleanup_free char *tree = iw_path_join(proof->work, "tree");
    *out = json_array();
    int status = iw_draft_make(proof->tree, tree, err);
    if (status == 0) status = prove_all(proof, tree, *out, err);
    (void)!iw_remove_tree(proof->work, NULL);
    return status;
}
