#include "plan/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* What the keys of one plan share. */
static void add_common(iw_hash *hash, const iw_plan *plan)
{
    iw_hash_add_field(hash, "policy", plan->policy);
    iw_hash_add_field(hash, "toolchain", plan->toolchain->digest);
    iw_hash_add_field(hash, "profile", plan->profile->meaning);
}

static int by_name(const void *a, const void *b)
{
    const iw_recipe *x = (*(iw_node *const *)a)->recipe, *y = (*(iw_node *const *)b)->recipe;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->version, y->version);
}

/* The plan keys of some nodes, sorted by name: the order in which a recipe lists its needs changes
 * nothing. */
static void add_keys(iw_hash *hash, const char *kind, iw_node *const *nodes, size_t count)
{
    iw_node **sorted = iw_alloc((count + 1) * sizeof(iw_node *));
    if (count) memcpy(sorted, nodes, count * sizeof *sorted);
    if (count > 1) qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++) {
        iw_hash_add_field(hash, kind, sorted[i]->recipe->name);
        iw_hash_add_field(hash, "key", sorted[i]->plan_key);
    }
    free(sorted);
}

void iw_keys_make(iw_plan_body *body)
{
    iw_plan *plan = &body->plan;
    iw_hash *hash = iw_hash_new();
    for (size_t i = 0; i < plan->node_count; i++) {
        iw_node *node = &plan->nodes[i];
        iw_hash_add_field(hash, "ironwheel", "plan key 1");
        add_common(hash, plan);
        iw_hash_add_field(hash, "recipe", node->recipe->meaning);
        add_keys(hash, "build", node->build_needs, node->build_need_count);
        add_keys(hash, "run", node->run_needs, node->run_need_count);
        add_keys(hash, "laid", node->laid, node->laid_count);
        iw_hash_finish(hash, node->plan_key);
    }
    iw_hash_free(hash);
}

void iw_plan_build_key(const iw_plan *plan, const iw_node *node, const char *const *contents,
                       char key[IW_SHA256_HEX])
{
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "ironwheel", "build key 1");
    add_common(hash, plan);
    iw_hash_add_field(hash, "recipe", node->recipe->meaning);
    for (size_t i = 0; i < node->laid_count; i++) { /* sorted by name */
        iw_hash_add_field(hash, "laid", node->laid[i]->recipe->name);
        iw_hash_add_field(hash, "content", contents[i]);
    }
    iw_hash_finish(hash, key);
    iw_hash_free(hash);
}

/* --- the bundle ----------------------------------------------------------- */

static void add_number(iw_hash *hash, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    iw_hash_add_field(hash, name, text);
}

static void add_list(iw_hash *hash, const char *name, const iw_list *list)
{
    add_number(hash, name, list->count);
    for (size_t i = 0; i < list->count; i++) iw_hash_add_field(hash, name, list->items[i]);
}

static void add_checks(iw_hash *hash, const iw_check *checks, size_t count)
{
    add_number(hash, "checks", count);
    for (size_t i = 0; i < count; i++) {
        iw_hash_add_field(hash, "check", checks[i].name);
        add_number(hash, "kind", (uint64_t)checks[i].kind);
        add_list(hash, "arguments", &checks[i].arguments);
        iw_hash_add_field(hash, "text", checks[i].text);
        add_number(hash, "timeout", checks[i].timeout);
        add_number(hash, "loopback", checks[i].loopback);
        add_list(hash, "requires", &checks[i].requires);
    }
}

void iw_plan_check_key(const iw_check *check, char key[IW_SHA256_HEX])
{
    iw_hash *hash = iw_hash_new();
    add_checks(hash, check, 1);
    iw_hash_finish(hash, key);
    iw_hash_free(hash);
}

static void add_patches(iw_hash *hash, const iw_recipe *recipe)
{
    for (size_t i = 0; i < recipe->patch_count; i++) {
        iw_hash_add_field(hash, "patch", recipe->patches[i].file);
        iw_hash_add_field(hash, "sha256", recipe->patches[i].sha256); /* its header's words, too */
    }
}

/* What of a recipe is in a bundle's manifest though it doesn't change the artifact. */
static void add_described(iw_hash *hash, const iw_recipe *recipe)
{
    iw_hash_add_field(hash, "summary", recipe->summary);
    iw_hash_add_field(hash, "licence", recipe->licence);
    iw_hash_add_field(hash, "homepage", recipe->homepage);
    add_list(hash, "development", &recipe->build.development);
    for (size_t i = 0; i < recipe->source_count; i++) {
        const iw_source *source = &recipe->sources[i];
        iw_hash_add_field(hash, "source", source->name);
        iw_hash_add_field(hash, "version", source->version);
        iw_hash_add_field(hash, "file", source->file);
        iw_hash_add_field(hash, "commit", source->commit);
        add_list(hash, "mirrors", &source->mirrors);
    }
    add_patches(hash, recipe);
    for (size_t i = 0; i < recipe->keep_prefix_count; i++) {
        iw_hash_add_field(hash, "keep", recipe->keep_prefix[i].file);
        iw_hash_add_field(hash, "reason", recipe->keep_prefix[i].reason);
        iw_hash_add_field(hash, "shown by", recipe->keep_prefix[i].check);
    }
    for (size_t i = 0; i < recipe->host_library_count; i++) {
        iw_hash_add_field(hash, "host library", recipe->host_libraries[i].name);
        iw_hash_add_field(hash, "file", recipe->host_libraries[i].file);
        iw_hash_add_field(hash, "reason", recipe->host_libraries[i].reason);
    }
    add_number(hash, "guarded", (uint64_t)recipe->policy);
    for (size_t i = 0; i < recipe->exception_count; i++) {
        const iw_exception *e = &recipe->exceptions[i];
        iw_hash_add_field(hash, "exception", e->file);
        iw_hash_add_field(hash, "symbol", e->symbol);
        iw_hash_add_field(hash, "range", e->range);
        iw_hash_add_field(hash, "sha256", e->sha256);
        iw_hash_add_field(hash, "reason", e->reason);
        add_list(hash, "features", &e->features);
    }
    for (size_t i = 0; i < recipe->tried_count; i++) {
        const iw_tried *tried = &recipe->tried[i];
        iw_hash_add_field(hash, "tried", tried->file);
        iw_hash_add_field(hash, "sha256", tried->sha256);
        for (size_t k = 0; k < tried->holds_count; k++) {
            iw_hash_add_field(hash, "feature", tried->holds[k].name);
            iw_hash_add_field(hash, "holds", tried->holds[k].value);
        }
    }
    add_checks(hash, recipe->checks, recipe->check_count);
}

void iw_keys_make_bundle(iw_plan_body *body)
{
    iw_plan *plan = &body->plan;
    const iw_stack *stack = plan->stack;
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "ironwheel", "bundle key 1");
    add_common(hash, plan);
    iw_hash_add_field(hash, "stack", stack->name);
    iw_hash_add_field(hash, "version", stack->version);
    iw_hash_add_field(hash, "summary", stack->summary);
    if (stack->tried) iw_hash_add_field(hash, "tried", "true");
    iw_hash_add_field(hash, "toolchain name", plan->toolchain->name);
    add_list(hash, "profiles", &stack->profiles);
    iw_hash_add_field(hash, "profile name", plan->profile->name);
    iw_hash_add_field(hash, "emulator", plan->profile->emulator_cpu);
    if (plan->profile->also.count) add_list(hash, "also", &plan->profile->also);
    add_list(hash, "features", &plan->profile->usable);
    for (size_t i = 0; i < stack->package_count; i++) {
        iw_hash_add_field(hash, "package", stack->packages[i].name);
        iw_hash_add_field(hash, "version", stack->packages[i].version);
    }
    add_checks(hash, stack->checks, stack->check_count);
    for (size_t i = 0; i < plan->node_count; i++) {
        if (!plan->nodes[i].in_bundle) continue;
        iw_hash_add_field(hash, "node", plan->nodes[i].plan_key);
        add_described(hash, plan->nodes[i].recipe);
    }
    iw_hash_finish(hash, plan->bundle_key);
    iw_hash_free(hash);
}

/* --- inputs as text ------------------------------------------------------- */

static void add_lines(iw_buffer *out, const char *prefix, const char *text)
{
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line))
        if (line.length) iw_buffer_add_format(out, "%s%.*s\n", prefix, (int)line.length, line.data);
}

char *iw_plan_inputs(const iw_plan *plan, const iw_node *node)
{
    iw_buffer out = {0};
    iw_buffer_add_format(&out, "plan-key %s\n", node->plan_key);
    iw_buffer_add_format(&out, "policy %s\n", plan->policy ? plan->policy : "-");
    iw_buffer_add_format(&out, "toolchain %s\n", plan->toolchain->digest);
    iw_buffer_add_format(&out, "profile %s\n", plan->profile->name);
    add_lines(&out, "profile.", plan->profile->meaning);
    add_lines(&out, "recipe.", node->recipe->meaning);
    for (size_t i = 0; i < node->laid_count; i++)
        iw_buffer_add_format(&out, "laid.%s %s %s %s\n", node->laid[i]->recipe->name,
                             node->laid[i]->recipe->version, node->laid[i]->plan_key,
                             node->laid[i]->artifact.content ? node->laid[i]->artifact.content
                                                             : "-");
    return iw_buffer_take(&out);
}

int iw_plan_note(const iw_plan *plan, const iw_node *node, iw_store *store, iw_error *err)
{
    iw_cleanup_free char *lines = iw_plan_inputs(plan, node);
    return iw_store_note_inputs(store, node->recipe->name, node->recipe->version, plan->stack->name,
                                lines, err);
}
