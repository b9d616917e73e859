/* Which recipes bring a distribution of Python's package index. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "recipe/catalog.h"

static bool runs_on_python(const iw_recipe *recipe)
{
    for (size_t i = 0; i < recipe->run_needs.count; i++)
        if (strcmp(recipe->run_needs.items[i].name, "python") == 0) return true;
    return false;
}

/* `named`: what comes from elsewhere than that index is the project by the recipe's name. */
static bool brings(const iw_recipe *recipe, const char *project, bool named)
{
    const iw_source *first = recipe->source_count ? &recipe->sources[0] : NULL;
    if (first && first->kind == IW_SOURCE_PYPI) {
        iw_cleanup_free char *name = iw_project_name(first->name);
        return strcmp(name, project) == 0;
    }
    return named && (recipe->build.system == IW_SYSTEM_PYTHON ||
                     recipe->build.system == IW_SYSTEM_WHEEL || runs_on_python(recipe));
}

/* Those of `name` that bring it. *there: there are recipes of that name. */
static int find(iw_catalog *catalog, const char *project, const char *name, bool named,
                iw_list *out, bool *there, iw_error *err)
{
    iw_list all;
    if (iw_catalog_versions(catalog, name, &all, err) != 0) return -1;
    const char **items = iw_arena_alloc(catalog->arena, (all.count + 1) * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; i < all.count; i++) {
        const iw_recipe *recipe;
        iw_error trouble = IW_ERROR_INIT;
        bool loaded = iw_catalog_recipe(catalog, name, all.items[i], &recipe, &trouble) == 0;
        if (loaded ? brings(recipe, project, named) : named) items[count++] = all.items[i];
        iw_error_clear(&trouble);
    }
    items[count] = NULL;
    *out = (iw_list){items, count};
    *there = all.count > 0;
    return 0;
}

int iw_catalog_distribution(iw_catalog *catalog, const char *project, const char **name,
                            iw_list *versions, iw_error *err)
{
    bool there;
    *name = iw_arena_strdup(catalog->arena, project);
    if (find(catalog, project, *name, true, versions, &there, err) != 0) return -1;
    if (versions->count) return 0;
    iw_list none = *versions;
    const char *other = iw_arena_format(catalog->arena, "python-%s", project);
    bool taken = there;
    if (find(catalog, project, other, taken, versions, &there, err) != 0) return -1;
    if (versions->count || taken) *name = other;
    else *versions = none;
    return 0;
}
