/* Stacks: what they include, and whether all that they name is there. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/catalog.h"

typedef struct iw_merged {
    iw_pin *items;
    size_t count, capacity;
} iw_merged;

static iw_pin *find_pin(const iw_pin *pins, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pins[i].name, name) == 0) return (iw_pin *)&pins[i];
    return NULL;
}

static void add_pin(iw_merged *merged, const iw_pin *pin)
{
    iw_grow((void **)&merged->items, &merged->capacity, merged->count + 1, sizeof *merged->items);
    merged->items[merged->count++] = *pin;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const iw_pin *)a)->name, ((const iw_pin *)b)->name);
}

/* Takes `pins` of an included stack, where this one says nothing of that name. */
static int take_pins(const iw_stack *own, const char *include, const iw_place *place,
                     const iw_pin *pins, size_t count, iw_merged *merged, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const iw_pin *ours = find_pin(own->packages, own->package_count, pins[i].name);
        if (!ours) ours = find_pin(own->pins, own->pin_count, pins[i].name);
        iw_pin *before = find_pin(merged->items, merged->count, pins[i].name);
        if (before && !ours && strcmp(before->version, pins[i].version) != 0)
            return iw_fail_at(
                err, place, "\"%s\" brings %s %s, another stack here %s; say below \"pins\" which",
                include, pins[i].name, pins[i].version, before->version);
        if (before) continue;
        iw_pin taken = pins[i];
        if (ours) taken = *ours;
        add_pin(merged, &taken);
    }
    return 0;
}

static const iw_pin *keep_pins(iw_arena *arena, iw_merged *merged, size_t *count)
{
    iw_pin *kept = iw_arena_alloc(arena, (merged->count + 1) * sizeof *kept);
    if (merged->count) memcpy(kept, merged->items, merged->count * sizeof *kept);
    qsort(kept, merged->count, sizeof *kept, by_name);
    *count = merged->count;
    free(merged->items);
    *merged = (iw_merged){0};
    return kept;
}

static void take_checks(iw_arena *arena, iw_stack *own, const iw_stack *other)
{
    iw_check *checks =
        iw_arena_alloc(arena, (own->check_count + other->check_count + 1) * sizeof *checks);
    size_t count = own->check_count;
    if (count) memcpy(checks, own->checks, count * sizeof *checks);
    for (size_t i = 0; i < other->check_count; i++) {
        bool taken = false;
        for (size_t k = 0; k < count && !taken; k++)
            taken = strcmp(checks[k].name, other->checks[i].name) == 0;
        if (!taken) checks[count++] = other->checks[i];
    }
    own->checks = checks;
    own->check_count = count;
}

static int load_included(iw_catalog *catalog, const iw_yaml *item, const iw_chain *chain,
                         iw_stack **out, iw_error *err)
{
    const char *cycle = iw_chain_cycle(catalog->arena, chain, item->text);
    if (cycle)
        return iw_fail_at(err, &item->place, "\"include\" goes round in a circle: %s", cycle);
    const char *file = iw_arena_format(catalog->arena, "recipes/stacks/%s.yaml", item->text);
    iw_list stacks;
    if (!iw_catalog_has(catalog, file) && iw_catalog_stacks(catalog, &stacks, err) == 0)
        return iw_fail_at(err, &item->place, "there is no stack \"%s\"%s", item->text,
                          iw_did_you_mean(catalog->arena, item->text, &stacks));
    iw_chain inner = {item->text, chain};
    return iw_load_stack(catalog, item->text, file, &inner, out, err);
}

/* Packages and pins of a name here come first; then those of the included stacks, which must agree.
 */
static int take_includes(iw_catalog *catalog, iw_stack_draft *draft, const iw_yaml *root,
                         const iw_chain *chain, iw_error *err)
{
    iw_stack *stack = &draft->stack, own = *stack;
    iw_merged packages = {0}, pins = {0};
    const iw_yaml *item = draft->include.count ? iw_yaml_find(root, "include")->first : NULL;
    for (size_t i = 0; i < own.package_count; i++) add_pin(&packages, &own.packages[i]);
    for (size_t i = 0; i < own.pin_count; i++) add_pin(&pins, &own.pins[i]);
    int status = 0;
    for (; item && status == 0; item = item->next) {
        iw_stack *other = NULL;
        status = load_included(catalog, item, chain, &other, err);
        if (status == 0)
            status = take_pins(&own, item->text, &item->place, other->packages,
                               other->package_count, &packages, err);
        if (status == 0)
            status = take_pins(&own, item->text, &item->place, other->pins, other->pin_count, &pins,
                               err);
        if (status == 0) take_checks(catalog->arena, stack, other);
    }
    stack->packages = keep_pins(catalog->arena, &packages, &stack->package_count);
    stack->pins = keep_pins(catalog->arena, &pins, &stack->pin_count);
    return status;
}

static int check_pins(iw_catalog *catalog, const iw_pin *pins, size_t count, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        iw_cleanup_free char *file = iw_format("recipes/%s/%s.yaml", pins[i].name, pins[i].version);
        if (!iw_catalog_has(catalog, file))
            return iw_fail_no_recipe(catalog, &pins[i].place, pins[i].name, pins[i].version, err);
    }
    return 0;
}

static int check_file(iw_catalog *catalog, const char *folder, const char *what,
                      const iw_yaml *node, int (*names)(iw_catalog *, iw_list *, iw_error *),
                      iw_error *err)
{
    iw_cleanup_free char *file = iw_format("recipes/%s/%s.yaml", folder, node->text);
    if (iw_catalog_has(catalog, file)) return 0;
    iw_list list;
    if (names(catalog, &list, err)) return -1;
    return iw_fail_at(err, &node->place, "there is no %s \"%s\"%s", what, node->text,
                      iw_did_you_mean(catalog->arena, node->text, &list));
}

static int check_names(iw_catalog *catalog, const iw_stack *stack, const iw_yaml *root,
                       iw_error *err)
{
    const iw_yaml *profiles = iw_yaml_find(root, "profiles");
    if (check_file(catalog, "toolchains", "toolchain", iw_yaml_find(root, "toolchain"),
                   iw_catalog_toolchains, err))
        return -1;
    for (const iw_yaml *item = profiles->first; item; item = item->next)
        if (check_file(catalog, "profiles", "profile", item, iw_catalog_profiles, err)) return -1;
    return check_pins(catalog, stack->packages, stack->package_count, err) ||
                   check_pins(catalog, stack->pins, stack->pin_count, err)
               ? -1
               : 0;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int iw_stack_finish(iw_arena *arena, const iw_yaml *root, iw_stack_draft *draft, iw_error *err)
{
    iw_stack *stack = &draft->stack;
    if (stack->profiles.count == 0)
        return iw_fail_at(err, &iw_yaml_find(root, "profiles")->place,
                          "\"profiles\" is empty; name a CPU, as [k10]");
    for (size_t i = 0; i < stack->pin_count; i++)
        if (find_pin(stack->packages, stack->package_count, stack->pins[i].name))
            return iw_fail_at(err, &stack->pins[i].place, "\"%s\" is among \"packages\" already",
                              stack->pins[i].name);
    qsort((void *)stack->profiles.items, stack->profiles.count, sizeof *stack->profiles.items,
          compare_text);
    return iw_checks_finish(arena, iw_yaml_find(root, "checks"), (iw_check *)stack->checks,
                            stack->check_count, err);
}

int iw_load_stack(iw_catalog *catalog, const char *name, const char *file, const iw_chain *chain,
                  iw_stack **out, iw_error *err)
{
    iw_yaml *root;
    if (iw_catalog_read(catalog, file, &root, err)) return -1;
    iw_stack_draft *draft = iw_arena_alloc(catalog->arena, sizeof *draft);
    iw_stack *stack = &draft->stack;
    if (iw_shape_read(catalog->arena, &iw_shape_stack, root, draft, err) ||
        iw_stack_finish(catalog->arena, root, draft, err))
        return -1;
    if (strcmp(stack->name, name) != 0)
        return iw_fail_at(err, &iw_yaml_find(root, "name")->place,
                          "\"name\" is \"%s\", but the file's name says \"%s\"; they must be equal",
                          stack->name, name);
    stack->path = file;
    iw_chain start = {name, NULL};
    if (take_includes(catalog, draft, root, chain ? chain : &start, err) ||
        check_names(catalog, stack, root, err))
        return -1;
    if (stack->package_count == 0)
        return iw_fail_at(err, &root->place, "a stack needs \"packages\" (or \"include\")");
    *out = stack;
    return 0;
}
