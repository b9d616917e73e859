#include "upgrade/solve.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/version.h"
#include "upgrade/requirement.h"

void iw_choices_free(iw_choices *choices)
{
    for (size_t i = 0; i < choices->count; i++) {
        iw_choice *one = &choices->items[i];
        for (size_t k = 0; one->needs && k < one->versions.count; k++)
            iw_strings_free(&one->needs[k]);
        iw_strings_free(&one->versions);
        free(one->name), free(one->needs), free(one->asked), free(one->supposed), free(one->why);
    }
    free(choices->items);
    *choices = (iw_choices){0};
}

iw_choice *iw_choices_add(iw_choices *choices, const char *name)
{
    iw_grow((void **)&choices->items, &choices->capacity, choices->count + 1,
            sizeof *choices->items);
    iw_choice *one = &choices->items[choices->count++];
    *one = (iw_choice){.name = iw_project_name(name)};
    return one;
}

iw_choice *iw_choices_find(const iw_choices *choices, const char *name)
{
    for (size_t i = 0; i < choices->count; i++)
        if (strcmp(choices->items[i].name, name) == 0) return &choices->items[i];
    return NULL;
}

const char *iw_choice_version(const iw_choice *choice)
{
    return choice->versions.items[choice->at];
}

static void start_asking(iw_choice *choice)
{
    if (choice->needs) return;
    choice->needs = iw_alloc(choice->versions.count * sizeof *choice->needs);
    choice->asked = iw_alloc(choice->versions.count * sizeof *choice->asked);
    choice->supposed = iw_alloc(choice->versions.count * sizeof *choice->supposed);
}

bool iw_choice_learn(iw_choice *choice, const iw_strings *needs)
{
    start_asking(choice);
    iw_strings *known = &choice->needs[choice->at];
    bool same = choice->asked[choice->at] && known->count == needs->count;
    for (size_t i = 0; i < needs->count && same; i++)
        same = strcmp(known->items[i], needs->items[i]) == 0;
    iw_strings_free(known);
    iw_strings_add_all(known, (const char *const *)needs->items);
    choice->asked[choice->at] = true;
    choice->supposed[choice->at] = false;
    return !same;
}

void iw_choice_suppose(iw_choice *choice, size_t version)
{
    start_asking(choice);
    if (choice->asked[version]) return;
    choice->asked[version] = choice->supposed[version] = true;
    iw_strings_add_all(&choice->needs[version],
                       (const char *const *)choice->needs[choice->at].items);
}

bool iw_choice_doubt(iw_choice *choice)
{
    size_t first = choice->at;
    while (choice->supposed && first > 0 && choice->supposed[first - 1]) first--;
    for (size_t i = first + (choice->at - first) / 2; i < choice->at; i++) {
        choice->asked[i] = choice->supposed[i] = false;
        iw_strings_free(&choice->needs[i]);
    }
    return first < choice->at;
}

static bool meets(const char *version, const char *conditions)
{
    iw_version parsed;
    bool valid = true;
    return !iw_version_parse(version, &parsed) || iw_version_meets(&parsed, conditions, &valid) ||
           !valid;
}

static int needs_of(iw_choice *choice, size_t version, const iw_solving *solving,
                    const iw_strings **out, iw_error *err)
{
    start_asking(choice);
    if (!choice->asked[version] &&
        solving->needs(solving->context, choice, version, &choice->needs[version], err) != 0)
        return -1;
    choice->asked[version] = true;
    *out = &choice->needs[version];
    return 0;
}

/* Whether the release that the stack has asks for `name` too: *conditions (owned by the caller) or
 * NULL. */
static int asked_today(iw_choice *choice, const char *name, const iw_solving *solving,
                       char **conditions, iw_error *err)
{
    const iw_strings *needs;
    *conditions = NULL;
    if (needs_of(choice, choice->versions.count - 1, solving, &needs, err) != 0) return -1;
    for (size_t i = 0; i < needs->count && !*conditions; i++) {
        iw_requirement one;
        if (iw_requirement_parse(needs->items[i], solving->python, &one) && one.applies &&
            strcmp(one.name, name) == 0)
            *conditions = iw_strdup(one.conditions);
        iw_requirement_clear(&one);
    }
    return 0;
}

static void explain(iw_choice *choice, char *why)
{
    free(choice->why);
    choice->why = why;
}

/* The next older release of `choice`; false where it is at the stack's own. */
static bool step_down(iw_choice *choice)
{
    if (choice->at + 1 >= choice->versions.count) return false;
    choice->at++;
    return true;
}

/* `asks` wants `need`, which isn't what is chosen of `other`. */
static bool give_way(iw_choice *asks, iw_choice *other, const iw_requirement *need)
{
    for (size_t i = other->at + 1; i < other->versions.count; i++) {
        if (!meets(other->versions.items[i], need->conditions)) continue;
        explain(other, iw_format("%s %s needs %s%s", asks->name, iw_choice_version(asks),
                                 need->name, need->conditions));
        other->at = i;
        return true;
    }
    iw_cleanup_free char *had = iw_strdup(iw_choice_version(asks));
    if (!step_down(asks)) return false;
    explain(asks, iw_format("%s needs %s%s, and there is only %s", had, need->name,
                            need->conditions, iw_choice_version(other)));
    return true;
}

static int settle_need(iw_choices *choices, iw_choice *asks, const iw_requirement *need,
                       const iw_solving *solving, bool *changed, iw_error *err)
{
    const char *recipe = solving->recipe(solving->context, need->name);
    iw_choice *other = recipe ? iw_choices_find(choices, recipe) : NULL;
    iw_cleanup_free char *today = NULL;
    if (other && meets(iw_choice_version(other), need->conditions)) return 0;
    if (!other && recipe) return 0;
    if (asked_today(asks, need->name, solving, &today, err) != 0) return -1;
    const char *current = other ? other->versions.items[other->versions.count - 1] : NULL;
    if (today && (!current || !meets(current, today))) return 0; /* denied already */
    if (other) {
        *changed = give_way(asks, other, need) || *changed;
        return 0;
    }
    iw_cleanup_free char *had = iw_strdup(iw_choice_version(asks));
    if (!step_down(asks)) return 0;
    explain(asks, iw_format("%s needs %s, of which the tree has no recipe", had, need->name));
    *changed = true;
    return 0;
}

static int settle_one(iw_choices *choices, iw_choice *asks, const iw_solving *solving,
                      bool *changed, iw_error *err)
{
    const iw_strings *needs;
    size_t at = asks->at;
    if (needs_of(asks, at, solving, &needs, err) != 0) return -1;
    for (size_t i = 0; i < needs->count && asks->at == at; i++) {
        iw_requirement need;
        int status = 0;
        if (iw_requirement_parse(needs->items[i], solving->python, &need) && need.applies)
            status = settle_need(choices, asks, &need, solving, changed, err);
        iw_requirement_clear(&need);
        if (status != 0) return -1;
    }
    return 0;
}

int iw_solve(iw_choices *choices, const iw_solving *solving, iw_error *err)
{
    bool changed = true;
    while (changed) { /* every change moves a choice down: it ends */
        changed = false;
        for (size_t i = 0; i < choices->count; i++)
            if (settle_one(choices, &choices->items[i], solving, &changed, err) != 0) return -1;
    }
    return 0;
}
