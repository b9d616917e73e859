/* What a new release needs, held against what the tree has. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/version.h"
#include "upgrade/edit.h"
#include "upgrade/metadata.h"
#include "upgrade/release.h"
#include "upgrade/requirement.h"
#include "upgrade/rig.h"

enum { DEEPEST = 4 };

static bool meets(const char *version, const char *conditions)
{
    iw_version parsed;
    bool valid = true;
    return !iw_version_parse(version, &parsed) || iw_version_meets(&parsed, conditions, &valid) ||
           !valid;
}

static const iw_need *find_need(const iw_needs *needs, const char *name)
{
    for (size_t i = 0; i < needs->count; i++)
        if (strcmp(needs->items[i].name, name) == 0) return &needs->items[i];
    return NULL;
}

/* The conditions that a release set for `name`, or NULL where it didn't ask for it. Caller frees.
 */
static char *asked_before(const iw_strings *list, const char *name, const char *python)
{
    for (size_t i = 0; i < list->count; i++) {
        iw_requirement one;
        bool same =
            iw_requirement_parse(list->items[i], python, &one) && strcmp(one.name, name) == 0;
        char *conditions = same ? iw_strdup(one.conditions) : NULL;
        iw_requirement_clear(&one);
        if (conditions) return conditions;
    }
    return NULL;
}

/* The version that the stack has today, else the tree's newest; NULL where the tree has none. */
static const char *version_today(const iw_release *release, const char *name)
{
    iw_list versions;
    const iw_node *node = iw_plan_find(release->plan, name, NULL);
    if (node) return node->recipe->version;
    return iw_catalog_versions(release->catalog, name, &versions, NULL) == 0
               ? iw_version_newest(&versions)
               : NULL;
}

/* The version that a need leads to: its own, one that was moved along, the stack's, or the tree's
 * newest; NULL where the tree has none. In the arena of a catalog, or the tools'. */
static const char *version_of(const iw_release *release, const char *name, const iw_need *need)
{
    const char *moved = iw_json_get(release->tools, name);
    if (moved) return moved;
    if (need && need->version) return need->version;
    const char *selected = release->selected ? iw_json_get(release->selected, name) : NULL;
    return selected ? selected : version_today(release, name);
}

/* --- moving a tool along -------------------------------------------------------- */

/* The newest recipe of the draft, which has all of the tree's, that will do. Caller frees. */
static char *existing(const iw_release *release, const char *name, const char *conditions)
{
    iw_catalog *draft = NULL;
    iw_list versions;
    const char *best = NULL;
    if (iw_catalog_open(release->draft, &draft, NULL) != 0) return NULL;
    if (iw_catalog_versions(draft, name, &versions, NULL) != 0) versions.count = 0;
    for (size_t i = 0; i < versions.count; i++)
        if (meets(versions.items[i], conditions) &&
            (!best || iw_version_compare_text(versions.items[i], best) > 0))
            best = versions.items[i];
    char *found = iw_strdup(best);
    iw_catalog_free(draft);
    return found;
}

/* What another release of a tool is made from: the recipe that the stack has, or the tree's
 * newest. */
static int recipe_of(const iw_release *release, const char *name, const char *have,
                     const iw_recipe **out, iw_error *err)
{
    iw_list versions;
    if (iw_catalog_versions(release->catalog, name, &versions, err) != 0) return -1;
    const char *version = versions.count ? iw_version_newest(&versions) : have;
    for (size_t i = 0; i < versions.count; i++)
        if (strcmp(versions.items[i], have) == 0) version = have;
    return iw_catalog_recipe(release->catalog, name, version, out, err);
}

/* Another package that moves along with `release`: of the releases that meet `conditions`, or
 * exactly `only`, which the stack is pinned to then. */
static int draft_along(iw_release *release, const iw_recipe *recipe, const char *conditions,
                       const char *only, iw_error *err)
{
    iw_cleanup_free char *work = iw_path_join(release->work, recipe->name);
    iw_release tool = *release;
    tool.recipe = recipe;
    tool.work = work;
    tool.to = NULL;
    tool.moves = tool.debian_moves = NULL;
    tool.exists = false;
    tool.run_needs = NULL;
    tool.depth++;
    tool.rules.only = only;
    tool.rules.meets = conditions;
    tool.report = json_pack("{s:s,s:s}", "name", recipe->name, "from", recipe->version);
    if (only) json_object_set_new(tool.report, "pinned", json_true());
    int status = iw_release_choose(&tool, err);
    if (status == 0) status = iw_release_draft(&tool, err);
    tool.depth--;
    if (status == 0 && only) status = iw_release_pin(&tool, err);
    if (status == 0) {
        iw_json_set(tool.report, "to", tool.to);
        iw_json_set(release->tools, recipe->name, tool.to);
        if (!json_object_get(release->report, "with"))
            json_object_set_new(release->report, "with", json_array());
        json_array_append(json_object_get(release->report, "with"), tool.report);
    }
    json_decref(tool.report);
    iw_release_clear(&tool);
    return status;
}

static int pull(iw_release *release, const char *name, const char *have, const char *conditions,
                iw_error *err)
{
    const char *moved = iw_json_get(release->tools, name);
    const iw_recipe *recipe;
    if (moved)
        return iw_fail(err, IW_E_CHECK, "%s %s is wanted for one build, and %s%s for another", name,
                       moved, name, conditions);
    iw_cleanup_free char *other = existing(release, name, conditions);
    if (other) {
        iw_json_set(release->tools, name, other);
        return 0;
    }
    if (release->depth >= DEEPEST)
        return iw_fail(err, IW_E_CHECK, "it needs %s%s to build, and that as many others again",
                       name, conditions);
    if (recipe_of(release, name, have, &recipe, err) != 0) return -1;
    if (draft_along(release, recipe, conditions, NULL, err) == 0) return 0;
    return iw_wrap(err, "it needs %s%s to build, this tree has %s", name, conditions, have);
}

/* --- the recipe's lists ----------------------------------------------------------- */

static int edit_needs(const iw_release *release, const char *path, const iw_needs *needs,
                      iw_error *err)
{
    for (size_t i = needs->count; i-- > 0;) {
        const iw_need *need = &needs->items[i];
        const char *moved = iw_json_get(release->tools, need->name);
        iw_cleanup_free char *text = NULL, *item = NULL;
        if (!moved || strcmp(need->place.file, path) != 0) continue;
        if (iw_release_read(release, path, &text, err) != 0) return -1;
        item = iw_format("%s/%s", need->name, moved);
        iw_cleanup_free char *edited = iw_edit_item(text, &need->place, item);
        if (edited && iw_release_write(release, path, edited, err) != 0) return -1;
    }
    return 0;
}

/* Exact versions of what was moved along: of needs to build, and, in a tool's own recipe, to run.
 */
static int name_tools(const iw_release *release, iw_error *err)
{
    iw_catalog *catalog = NULL;
    const iw_recipe *recipe;
    int status = iw_release_load(release, &catalog, &recipe, err);
    if (status == 0 && release->depth)
        status = edit_needs(release, recipe->path, &recipe->run_needs, err);
    iw_catalog_free(catalog);
    catalog = NULL;
    if (status == 0) status = iw_release_load(release, &catalog, &recipe, err);
    if (status == 0) status = edit_needs(release, recipe->path, &recipe->build_needs, err);
    iw_catalog_free(catalog);
    return status;
}

static int add_need(const iw_release *release, bool run, const char *name, bool *added,
                    iw_error *err)
{
    iw_catalog *catalog = NULL;
    const iw_recipe *recipe;
    iw_cleanup_free char *text = NULL, *edited = NULL;
    int status = iw_release_load(release, &catalog, &recipe, err);
    const iw_needs *needs = status == 0 ? run ? &recipe->run_needs : &recipe->build_needs : NULL;
    if (status == 0 && (find_need(needs, name) || needs->count == 0)) needs = NULL;
    if (needs) status = iw_release_read(release, recipe->path, &text, err);
    if (needs && status == 0)
        edited = iw_edit_add_item(text, &needs->items[needs->count - 1].place, name);
    if (edited) status = iw_release_write(release, recipe->path, edited, err);
    iw_catalog_free(catalog);
    *added = status == 0 && edited;
    return status;
}

int iw_release_add_need(const iw_release *release, const char *name, bool *added, iw_error *err)
{
    return add_need(release, true, name, added, err);
}

/* --- one requirement --------------------------------------------------------------- */

static void note_unmet(iw_release *release, const char *text)
{
    if (!json_object_get(release->report, "unmet"))
        json_object_set_new(release->report, "unmet", json_array());
    json_array_append_new(json_object_get(release->report, "unmet"), json_string(text));
}

/* A name that the old release didn't ask for. What the tree has no recipe of is told: it may be the
 * toolchain's (ninja), or nothing that a build without isolation needs. */
static int take_new(iw_release *release, const iw_requirement *need, const char *project, bool run,
                    const char *have, iw_error *err)
{
    bool added;
    if (have) return add_need(release, run, need->name, &added, err);
    iw_cleanup_free char *text =
        iw_format("needs %s%s to %s, of which this tree has no recipe (`ironwheel new %s`)",
                  project, need->conditions, run ? "run" : "build", project);
    note_unmet(release, text);
    release->denied = release->denied || run;
    return run ? iw_fail(err, IW_E_CHECK, "it %s", text) : 0;
}

/* A need to build that isn't met: another moving package gives way, else it is moved along. */
static int take_tool(iw_release *release, const iw_requirement *need, const char *have,
                     iw_error *err)
{
    bool moves = release->selected && iw_json_get(release->selected, need->name) &&
                 !iw_json_get(release->tools, need->name);
    if (moves && release->give_way &&
        release->give_way(release->give_way_context, need->name, need->conditions,
                          release->recipe->name))
        return iw_fail(err, IW_E_CHECK, "it needs %s%s to build", need->name, need->conditions);
    return pull(release, need->name, have, need->conditions, err);
}

/* What a published wheel pins exactly (torch its triton) moves along, where nothing else decides.
 */
static bool pins_exactly(const iw_release *release, const iw_requirement *need)
{
    return release->recipe->sources[0].wheel && !release->selected && release->depth == 0 &&
           iw_starts_with(need->conditions, "==") && !strpbrk(need->conditions, ",*") &&
           !iw_json_get(release->tools, need->name);
}

static int deny(iw_release *release, const iw_requirement *need, const char *have, iw_error *err)
{
    const iw_recipe *recipe;
    if (pins_exactly(release, need)) {
        if (recipe_of(release, need->name, have, &recipe, err) == 0 &&
            draft_along(release, recipe, NULL, need->conditions + 2, err) == 0)
            return 0;
        return iw_wrap(err, "it needs %s%s to run", need->name, need->conditions);
    }
    release->denied = true;
    return iw_fail(err, IW_E_CHECK, "it needs %s%s to run; the stack has %s", need->name,
                   need->conditions, have);
}

/* From the project's name to that of its recipe, which is another one where a C library has it. */
static int call_as_recipe(const iw_release *release, iw_requirement *need, iw_error *err)
{
    iw_list versions;
    const char *name;
    if (iw_catalog_distribution(release->catalog, need->name, &name, &versions, err) != 0)
        return -1;
    free(need->name);
    need->name = iw_strdup(name);
    return 0;
}

static int take_one(iw_release *release, const iw_needs *listed, const char *text,
                    const iw_strings *before, bool run, iw_error *err)
{
    const char *python = release->rules.python;
    iw_requirement need;
    int status = 0;
    if (!iw_requirement_parse(text, python, &need) || !need.applies) {
        iw_requirement_clear(&need);
        return 0;
    }
    iw_cleanup_free char *project = iw_strdup(need.name),
                         *old = asked_before(before, need.name, python);
    if (call_as_recipe(release, &need, err) != 0) {
        iw_requirement_clear(&need);
        return -1;
    }
    const iw_need *ours = find_need(listed, need.name);
    const char *have = version_of(release, need.name, ours),
               *today = ours && ours->version ? ours->version : version_today(release, need.name);
    bool denied = old && (!today || !meets(today, old)); /* so was the old release */
    /* What an existing recipe doesn't name, or names by its version, is its author's choice. */
    bool chosen = release->exists && (!ours || ours->version);
    if (!ours && !old && !chosen) status = take_new(release, &need, project, run, have, err);
    if (status == 0 && have && !denied && !chosen && !meets(have, need.conditions)) {
        bool tool = !run || release->depth;
        status = tool ? take_tool(release, &need, have, err) : deny(release, &need, have, err);
    }
    iw_requirement_clear(&need);
    return status;
}

static int take_list(iw_release *release, const iw_needs *listed, const iw_strings *after,
                     const iw_strings *before, bool run, iw_error *err)
{
    for (size_t i = 0; i < after->count; i++)
        if (take_one(release, listed, after->items[i], before, run, err) != 0) return -1;
    return 0;
}

static int take_existing(iw_release *release, const iw_metadata *before, const iw_metadata *after,
                         iw_error *err)
{
    iw_catalog *catalog = NULL;
    const iw_recipe *recipe;
    int status = iw_release_load(release, &catalog, &recipe, err);
    if (status == 0)
        status = take_list(release, &recipe->run_needs, &after->run, &before->run, true, err);
    iw_catalog_free(catalog);
    return status;
}

int iw_release_needs(iw_release *release, const iw_metadata *before, const iw_metadata *after,
                     iw_error *err)
{
    const iw_recipe *recipe = release->recipe;
    if (release->run_needs)
        iw_strings_add_all(release->run_needs, (const char *const *)after->run.items);
    if (release->exists) return take_existing(release, before, after, err);
    if (iw_release_companions(release, before, after, err) != 0 ||
        take_list(release, &recipe->build_needs, &after->build, &before->build, false, err) != 0 ||
        take_list(release, &recipe->run_needs, &after->run, &before->run, true, err) != 0)
        return -1;
    return json_object_size(release->tools) ? name_tools(release, err) : 0;
}
