/* What recipes are built with, and what the requirements bring of the same names. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/version.h"
#include "upgrade/healer.h"

struct tools {
    const iw_healer *healer;
    iw_strings seen;  /* "name/version", "name/version to build" */
    iw_strings names; /* that something is built with, in the version that a stack says */
};

static int add_needs(struct tools *t, const char *name, const char *version, iw_error *err);

/* The recipe's version of a need, as a stack of heal's would have it; NULL: it is taken as a wheel,
 * or has no recipe. Borrowed. */
static int version_of(const struct tools *t, const iw_need *need, const char **out, iw_error *err)
{
    const iw_dist *dist = iw_healer_dist(t->healer, need->name);
    const iw_decision *decision = dist ? iw_healer_find(t->healer, dist->name) : NULL;
    *out = need->version;
    if (!*out && decision && decision->fate == IW_FATE_RECIPE)
        *out = decision->recipe ? decision->recipe : decision->version;
    return *out ? 0 : iw_rig_usual(t->healer->catalog, need->name, out, err);
}

static int add_list(struct tools *t, const iw_needs *needs, bool building, iw_error *err)
{
    for (size_t i = 0; i < needs->count; i++) {
        const iw_need *need = &needs->items[i];
        const iw_dist *dist = iw_healer_dist(t->healer, need->name);
        const iw_decision *decision = dist ? iw_healer_find(t->healer, dist->name) : NULL;
        const char *version;
        if (building && !need->version && !iw_strings_has(&t->names, need->name))
            iw_strings_add(&t->names, need->name);
        if (!building && dist && (!decision || decision->fate != IW_FATE_RECIPE)) continue;
        if (version_of(t, need, &version, err) != 0 ||
            (version && add_needs(t, need->name, version, err) != 0))
            return -1;
    }
    return 0;
}

static int add_needs(struct tools *t, const char *name, const char *version, iw_error *err)
{
    const iw_recipe *recipe;
    bool tool = iw_strings_has(&t->names, name);
    iw_cleanup_free char *key = iw_format("%s/%s%s", name, version, tool ? " to build" : "");
    if (iw_strings_has(&t->seen, key)) return 0;
    iw_strings_add(&t->seen, key);
    return iw_catalog_recipe(t->healer->catalog, name, version, &recipe, err) != 0 ||
                   add_list(t, &recipe->build_needs, true, err) != 0 ||
                   add_list(t, &recipe->run_needs, tool, err) != 0
               ? -1
               : 0;
}

/* Of all that a recipe of the tree builds. */
static int find_tools(struct tools *t, iw_error *err)
{
    for (size_t i = 0; i < t->healer->count; i++) {
        const iw_decision *decision = &t->healer->decisions[i];
        if (decision->fate != IW_FATE_RECIPE ||
            !iw_resolution_find(&t->healer->resolution, decision->name))
            continue;
        const char *version = decision->recipe ? decision->recipe : decision->version;
        if (add_needs(t, iw_healer_called(t->healer, decision->name), version, err) != 0) return -1;
    }
    return 0;
}

static bool is_asked_for(const iw_healer *h, const char *name)
{
    for (size_t i = 0; i < h->requirements.count; i++)
        if (strcmp(h->requirements.items[i].name, name) == 0) return true;
    return false;
}

/* "name==version" of each tool that another version of was resolved, and nobody asked for. */
static int find_pins(iw_healer *h, const struct tools *tools, iw_strings *lines, iw_error *err)
{
    for (size_t i = 0; i < tools->names.count; i++) {
        const char *recipe = tools->names.items[i], *usual;
        const iw_dist *dist = iw_healer_dist(h, recipe);
        const char *name = dist ? dist->name : NULL;
        const iw_decision *decision = name ? iw_healer_find(h, name) : NULL;
        if (!dist || !dist->pure || dist->stub || is_asked_for(h, name) ||
            (decision && decision->settled) || iw_strings_has(&h->moving, name))
            continue;
        if (iw_rig_usual(h->catalog, recipe, &usual, err) != 0) return -1;
        if (!usual || strchr(usual, '+')) continue;
        iw_strings_add(&h->moving, name);
        iw_strings_add_format(lines, "%s==%s", name, usual);
    }
    return 0;
}

/* *fits: they may stand in the tree's version, all of them. */
static int try_lines(iw_healer *h, const iw_strings *lines, bool *fits, iw_error *err)
{
    iw_cleanup_strings iw_strings names = {0}, before = {0};
    for (size_t i = 0; i < lines->count; i++) {
        const char *line = lines->items[i];
        iw_cleanup_free char *name = iw_strndup(line, strcspn(line, "="));
        iw_strings_add(&names, name);
        iw_strings_add(&before, iw_resolution_find(&h->resolution, name)->version);
    }
    if (iw_healer_try_pins(h, lines, fits, err) != 0) return -1;
    for (size_t i = 0; i < lines->count && *fits; i++) {
        const char *version = strstr(lines->items[i], "==") + 2;
        iw_healer_settle(h, names.items[i], version, version, IW_FATE_RECIPE, before.items[i],
                         "what is built here is built with this version, which the requirements "
                         "allow");
    }
    return 0;
}

int iw_healer_keep_tools(iw_healer *h, iw_error *err)
{
    struct tools tools = {.healer = h};
    iw_cleanup_strings iw_strings lines = {0};
    bool fits = true;
    int status = find_tools(&tools, err);
    if (status == 0) status = find_pins(h, &tools, &lines, err);
    if (status == 0 && lines.count) status = try_lines(h, &lines, &fits, err);
    for (size_t i = 0; i < lines.count && status == 0 && !fits && lines.count > 1; i++) {
        bool one;
        iw_cleanup_strings iw_strings alone = {0};
        iw_cleanup_free char *name = iw_strndup(lines.items[i], strcspn(lines.items[i], "="));
        iw_strings_add(&alone, lines.items[i]);
        if (iw_resolution_find(&h->resolution, name)) status = try_lines(h, &alone, &one, err);
    }
    iw_strings_free(&tools.seen);
    iw_strings_free(&tools.names);
    return status;
}
