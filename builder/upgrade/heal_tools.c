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
    const iw_decision *decision = iw_healer_find(t->healer, need->name);
    *out = need->version;
    if (!*out && decision && decision->fate == IW_FATE_RECIPE)
        *out = decision->recipe ? decision->recipe : decision->version;
    return *out ? 0 : iw_rig_usual(t->healer->catalog, need->name, out, err);
}

static int add_list(struct tools *t, const iw_needs *needs, bool building, iw_error *err)
{
    for (size_t i = 0; i < needs->count; i++) {
        const iw_need *need = &needs->items[i];
        const iw_dist *dist = iw_resolution_find(&t->healer->resolution, need->name);
        const iw_decision *decision = iw_healer_find(t->healer, need->name);
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
        if (add_needs(t, decision->name, version, err) != 0) return -1;
    }
    return 0;
}

static bool is_asked_for(const iw_healer *h, const char *name)
{
    for (size_t i = 0; i < h->requirements.count; i++)
        if (strcmp(h->requirements.items[i].name, name) == 0) return true;
    return false;
}

int iw_healer_keep_tools(iw_healer *h, iw_error *err)
{
    struct tools tools = {.healer = h};
    int status = find_tools(&tools, err);
    for (size_t i = 0; i < tools.names.count && status == 0; i++) {
        const char *name = tools.names.items[i], *usual;
        const iw_dist *dist = iw_resolution_find(&h->resolution, name);
        const iw_decision *decision = iw_healer_find(h, name);
        bool fits = false;
        if (!dist || !dist->pure || dist->stub || is_asked_for(h, name) ||
            (decision && decision->settled) || iw_strings_has(&h->moving, name))
            continue;
        status = iw_rig_usual(h->catalog, name, &usual, err);
        if (status != 0 || !usual || strchr(usual, '+')) continue;
        iw_cleanup_free char *was = iw_strdup(dist->version);
        iw_strings_add(&h->moving, name);
        status = iw_healer_try_pin(h, name, usual, &fits, err);
        if (status == 0 && fits)
            iw_healer_settle(h, name, usual, usual, IW_FATE_RECIPE, was,
                             "what is built here is built with this version, which the "
                             "requirements allow");
    }
    iw_strings_free(&tools.seen);
    iw_strings_free(&tools.names);
    return status;
}
