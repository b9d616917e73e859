/* One run of `bump --all`, and what it learns from what fails. Internal to the room. */
#ifndef IW_UPGRADE_ALL_H
#define IW_UPGRADE_ALL_H

#include "upgrade/requirement.h"
#include "upgrade/solve.h"
#include "upgrade/trial.h"

typedef struct iw_all_package { /* one of the stack's */
    const iw_node *node;
    json_t *report;
    iw_strings metadata; /* where each choice's METADATA is, "" where nobody tells */
    size_t denials;      /* how many of its versions were drafted, and need too much */
    bool movable;
} iw_all_package;

typedef struct iw_all {
    iw_trial trial;
    iw_fetch_options fetch;
    iw_all_package *packages; /* in the plan's order */
    size_t count;
    iw_choices choices; /* of all of them, by index */
    json_t *banned;     /* {name: why}: tried, and kept back */
    json_t *limits; /* {name: [{conditions, by, to}]}: what others need of it, to build or run */
    json_t *tools, *selected;
    json_t *pinned;     /* {tool: version}: as iw_settle_tools has it */
    json_t *unpinnable; /* {tool: true}: the stack didn't build with the newer one */
    json_t *memory;     /* what drafts that were given up found out */
    iw_debian_releases debian;
    iw_strings drafted; /* names that the draft moves */
} iw_all;

/* --- limits and bans (lessons.c): each round that fails adds some ----------------------------- */

/* What the recipe of a project is called; borrowed, NULL where the tree has none. */
const char *iw_all_recipe(const iw_all *all, const char *project);
/* The limit of `name` that the version breaks, borrowed, or NULL. */
const json_t *iw_all_broken_limit(const iw_all *all, const char *name, const char *version);
/* `by` asks for an older release of `name`, which moves, too, `to` "build" or "run": it gives way
 * where that is still newer than what the stack has. False where there is none. */
bool iw_all_hold_within(iw_all *all, const char *name, const char *conditions, const char *by,
                        const char *to);
size_t iw_all_limit_count(const iw_all *all);
/* `name` stays at the stack's release, because of the first line of `why` (a second one where the
 * first ends in a colon). */
void iw_all_ban(iw_all *all, const char *name, const char *why);

/* --- who is to blame -------------------------------------------------------------------- */

typedef struct iw_failures { /* packages that failed, and of each what was said of that, or "" */
    iw_strings names, said;
} iw_failures;

typedef struct iw_listening { /* zero but for `next`, which gets every event, too, and may be NULL
                               */
    const iw_sink *next;
    iw_failures failed; /* owned */
} iw_listening;

/* For a sink: notes what fails. */
void iw_listening_event(void *context, const iw_event *event);
void iw_failures_free(iw_failures *failures);
/* Bans or limits, by what failed in building and checking; else by what the message names; the last
 * that was moved where nothing is named. At least one more lesson each time. */
void iw_all_find_culprits(iw_all *all, const iw_failures *failed, const iw_error *why);

#endif
