#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "recipe/version.h"
#include "upgrade/all.h"
#include "upgrade/clash.h"
#include "upgrade/learn.h"
#include "upgrade/release.h"

/* --- limits and bans ---------------------------------------------------------------------- */

const char *iw_all_recipe(const iw_all *all, const char *project)
{
    iw_list versions;
    const char *name;
    return iw_catalog_distribution(all->trial.options->catalog, project, &name, &versions, NULL) ==
                       0 &&
                   versions.count
               ? name
               : NULL;
}

const json_t *iw_all_broken_limit(const iw_all *all, const char *name, const char *version)
{
    size_t i;
    json_t *limit;
    iw_version parsed;
    if (!iw_version_parse(version, &parsed)) return NULL;
    json_array_foreach(json_object_get(all->limits, name), i, limit)
    {
        if (!iw_version_meets(&parsed, iw_json_get(limit, "conditions"), NULL)) return limit;
    }
    return NULL;
}

bool iw_all_hold_within(iw_all *all, const char *name, const char *conditions, const char *by,
                        const char *to)
{
    iw_choice *choice = iw_choices_find(&all->choices, name);
    iw_version parsed;
    if (!choice || iw_json_get(all->banned, name)) return false;
    for (size_t i = choice->at + 1; i + 1 < choice->versions.count; i++) {
        const char *version = choice->versions.items[i];
        if (!iw_version_parse(version, &parsed) || !iw_version_meets(&parsed, conditions, NULL) ||
            iw_all_broken_limit(all, name, version))
            continue;
        if (!json_object_get(all->limits, name))
            json_object_set_new(all->limits, name, json_array());
        json_array_append_new(json_object_get(all->limits, name),
                              json_pack("{s:s,s:s,s:s}", "conditions", conditions, "by", by, "to",
                                        to));
        return true;
    }
    return false;
}

size_t iw_all_limit_count(const iw_all *all)
{
    size_t count = 0;
    const char *name;
    json_t *list;
    json_object_foreach(all->limits, name, list)
    {
        count += json_array_size(list);
    }
    return count;
}

/* What it asked for holds nobody back any more. */
static void lift_limits(iw_all *all, const char *by)
{
    const char *name;
    json_t *list;
    json_object_foreach(all->limits, name, list)
    {
        for (size_t i = json_array_size(list); i-- > 0;)
            if (strcmp(iw_json_get(json_array_get(list, i), "by"), by) == 0)
                json_array_remove(list, i);
    }
}

void iw_all_ban(iw_all *all, const char *name, const char *why)
{
    lift_limits(all, name);
    size_t length = strcspn(why, "\n");
    if (why[length] && length && why[length - 1] == ':') /* the next line says what */
        length += 1 + strcspn(why + length + 1, "\n");
    iw_cleanup_free char *line = iw_strndup(why, length);
    char *newline = strchr(line, '\n');
    if (newline) *newline = ' ';
    if (!iw_json_get(all->banned, name)) iw_json_set(all->banned, name, line);
}

/* --- who is to blame -------------------------------------------------------------------- */

void iw_failures_free(iw_failures *failures)
{
    iw_strings_free(&failures->names);
    iw_strings_free(&failures->said);
}

/* "its check import …", or "a/1.0 failed in compile: …": the text that follows is what was said. */
static char *said_of(const iw_event *event, bool check)
{
    if (!event->detail) return iw_strdup("");
    return check ? iw_format("its check %s %s", event->part, event->detail)
                 : iw_format("%s failed in %s: %s", event->subject,
                             event->phase ? event->phase : "its build", event->detail);
}

void iw_listening_event(void *context, const iw_event *event)
{
    iw_listening *listening = context;
    if (event->type == IW_EVENT_FAILED && event->subject) {
        bool check = event->part && event->phase && strcmp(event->phase, "check") == 0;
        iw_cleanup_free char *name = iw_strndup(event->subject, strcspn(event->subject, "/")),
                             *said = said_of(event, check);
        iw_strings_add(&listening->failed.names, name);
        iw_strings_add(&listening->failed.said, said);
    }
    iw_emit(listening->next, *event);
}

static bool mentions(const char *message, const char *name)
{
    iw_cleanup_free char *check = iw_format(" of %s (", name), *folder = iw_format("/%s/", name),
                         *library = iw_format("lib%s", name);
    return strstr(message, check) || strstr(message, folder) || strstr(message, library);
}

/* What failed may be a tool that the stack was pinned to, or stand on one. */
static void unpin(iw_all *all, const char *name)
{
    if (json_object_get(all->pinned, name)) json_object_set_new(all->unpinnable, name, json_true());
}

/* Grows with each round that failed: what the next one does otherwise. */
static size_t lesson_count(const iw_all *all)
{
    return json_object_size(all->banned) + json_object_size(all->unpinnable) +
           iw_all_limit_count(all);
}

/* `asks` needs `need`, which isn't what the draft has of it: the release that is too new gives way,
 * to the stack's own at worst; where that wouldn't do either, the one that asks. */
static void settle_clash(iw_all *all, const char *asks, const iw_requirement *need)
{
    const char *one = iw_all_recipe(all, asks), *two = iw_all_recipe(all, need->name);
    bool moved = one && iw_strings_has(&all->drafted, one);
    iw_choice *other = two ? iw_choices_find(&all->choices, two) : NULL;
    iw_version own;
    iw_cleanup_free char *why =
        iw_format("%s needs %s%s to run", asks, need->name, need->conditions);
    if (other && iw_strings_has(&all->drafted, two)) {
        if (iw_all_hold_within(all, two, need->conditions, asks, "run")) return;
        bool asked = iw_version_parse(other->versions.items[other->versions.count - 1], &own) &&
                     iw_version_meets(&own, need->conditions, NULL);
        if (asked || !moved) {
            iw_all_ban(all, two, why);
            return;
        }
    }
    if (moved) iw_all_ban(all, one, why);
}

/* Packages that don't go together, by what pip says in a check's last lines: not the fault of whose
 * check it is. */
static bool take_clashes(iw_all *all, const char *said)
{
    iw_slice rest = iw_slice_of(said), line;
    bool any = false;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_clash clash;
        if (!iw_clash_read(line, iw_plan_python(all->trial.before.plan), &clash)) continue;
        settle_clash(all, clash.asks, &clash.need);
        iw_clash_clear(&clash);
        any = true;
    }
    return any;
}

/* What is said first, and the line behind it that tells most: of a build an error's, of a check the
 * last. Caller frees. */
static char *shorten(const char *said)
{
    size_t first = strcspn(said, "\n");
    iw_slice last = iw_slice_last_line(iw_slice_of(said + first));
    if (!last.length) return iw_strndup(said, first);
    iw_cleanup_free char *line = iw_strndup(last.data, last.length);
    if (!iw_starts_with(said, "its check ")) {
        char *telling = iw_telling_line(line, said + first);
        free(line), line = telling;
    }
    return iw_format("%.*s %s", (int)first, said, line);
}

/* Bans what failed itself, and, where that wasn't moved, what it stands on and was. */
static void blame_one(iw_all *all, const char *name, const char *why)
{
    if (iw_strings_has(&all->drafted, name)) {
        iw_all_ban(all, name, why);
        return;
    }
    unpin(all, name);
    const iw_plan *plan = all->trial.after.plan; /* NULL where the draft has none */
    const iw_node *node = plan ? iw_plan_find(plan, name, NULL) : NULL;
    for (size_t k = 0; node && k < node->laid_count; k++) {
        unpin(all, node->laid[k]->recipe->name);
        if (iw_strings_has(&all->drafted, node->laid[k]->recipe->name))
            iw_all_ban(all, node->laid[k]->recipe->name, why);
    }
}

static size_t blame(iw_all *all, const iw_failures *failed, const char *why)
{
    size_t before = lesson_count(all);
    for (size_t i = 0; i < failed->names.count; i++) {
        const char *said = failed->said.items[i];
        iw_cleanup_free char *own = *said ? shorten(said) : NULL;
        if (!*said || !take_clashes(all, said))
            blame_one(all, failed->names.items[i], own ? own : why);
    }
    return lesson_count(all) - before;
}

/* By the events of builds and checks, else by what the message names; the last that was moved where
 * nothing is named. */
void iw_all_find_culprits(iw_all *all, const iw_failures *failed, const iw_error *why)
{
    const char *text = iw_error_text(why);
    iw_cleanup_strings iw_strings named = {0};
    size_t before = lesson_count(all);
    if (blame(all, failed, text)) return;
    for (size_t i = 0; i < all->drafted.count; i++)
        if (mentions(text, all->drafted.items[i])) iw_strings_add(&named, all->drafted.items[i]);
    for (size_t i = 0; named.count == 0 && i < all->count; i++)
        if (mentions(text, all->choices.items[i].name))
            iw_strings_add(&named, all->choices.items[i].name);
    for (size_t i = 0; i < named.count; i++) blame_one(all, named.items[i], text);
    if (lesson_count(all) == before)
        iw_all_ban(all, all->drafted.items[all->drafted.count - 1], text);
}
