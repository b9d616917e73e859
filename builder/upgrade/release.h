/* One package's move to another release, made in a draft of the tree: which release, what its
 * sources are, what becomes of the patches, and the texts that follow from it. Internal to
 * `upgrade`. */
#ifndef IW_UPGRADE_RELEASE_H
#define IW_UPGRADE_RELEASE_H

#include <jansson.h>

#include "fetch/fetch.h"
#include "plan/plan.h"
#include "recipe/recipe.h"
#include "upgrade/candidates.h"

typedef struct iw_release {
    iw_catalog *catalog;     /* of the tree; borrowed, as all but what is said to be owned */
    const iw_plan *plan;     /* of the stack as it is */
    const iw_recipe *recipe; /* that the stack has now */
    iw_store *store;
    const char *tree, *draft; /* folders */
    const char *work;         /* for unpacked sources: src, old */
    const iw_fetch_options *fetch;
    iw_candidate_rules rules; /* python and glibc are filled in by iw_release_rules */
    json_t *report;           /* gets "passed_over", "source", "patches", "metadata", "with",
                                 "companions", "cuda" */
    json_t *tools;            /* {name: version} of what is needed to build only, and moved along */
    const iw_debian_releases *debian; /* of its source packages; NULL: to be asked for */
    const json_t *selected; /* {name: version} of what else moves at the same time, or NULL */
    /* Whether one of these can be an older release, which meets what building this one needs: the
     * draft then fails, and is to be made anew. NULL: none can. */
    bool (*give_way)(void *context, const char *name, const char *conditions, const char *by);
    void *give_way_context;
    json_t *memory;        /* of a run that drafts more than once (memory.h), or NULL */
    json_t *noted;         /* memory.c's, while sources are tried */
    iw_strings *run_needs; /* gets what the sources say that is needed to run, or NULL */
    bool denied;           /* the draft failed because one of those isn't met */
    unsigned depth;        /* 0: the package itself; else such a tool */
    char *to;              /* the recipe's new version, once chosen; owned */
    json_t *moves;         /* [{source, version, file, sha256, url, commit}] once chosen; owned */
    json_t *debian_moves;  /* {Debian version: moves}, of a Debian source; owned */
    bool exists;           /* the tree has that recipe already: only pins change */
} iw_release;

void iw_release_clear(iw_release *release);
/* Python and glibc that the plan builds for. */
void iw_release_rules(iw_release *release);

/* All releases of the recipe's first source, newest first, with the reasons of those that can't be
 * taken; "passed_over" of the report. The caller frees the list. */
int iw_release_candidates(iw_release *release, iw_candidates *out, iw_error *err);
/* Asks where the recipe's first source comes from. Sets `to` and `moves`. IW_E_NOT_FOUND where
 * nothing can be taken; `report` has the reasons. */
int iw_release_choose(iw_release *release, iw_error *err);
/* Writes the new recipe into the draft, where the tree has none, fetches and unpacks it, tries the
 * patches, and puts the stack's pin. IW_E_CHECK where a patch conflicts; `report` has the hunks. */
int iw_release_draft(iw_release *release, iw_error *err);

/* Of release.c, for needs.c and memory.c. */
int iw_release_read(const iw_release *release, const char *relative, char **out, iw_error *err);
int iw_release_write(const iw_release *release, const char *relative, const char *text,
                     iw_error *err);
int iw_release_load(const iw_release *release, iw_catalog **catalog, const iw_recipe **recipe,
                    iw_error *err);

struct iw_metadata;
/* Holds what the new release says that it needs against the tree (needs.c): a need to build that
 * the tree's version doesn't meet is moved along, in the draft, as an exact version for this
 * recipe; a new one gets its line. IW_E_CHECK where a need to run isn't met by the stack, or the
 * tree has no recipe of a new one. What the old release's needs were denied as well is passed over.
 * Of a release that the tree has a recipe of, only what that names to run is held against the
 * stack; nothing is written but exact companions of a wheel. */
int iw_release_needs(iw_release *release, const struct iw_metadata *before,
                     const struct iw_metadata *after, iw_error *err);

/* A new need to run, by name, into the draft's recipe; *added false: it is there, or the recipe has
 * no list for it. */
int iw_release_add_need(const iw_release *release, const char *name, bool *added, iw_error *err);

/* A published wheel's companions (companions.c): a package that is put together from wheels which
 * this one pins exactly gets a recipe with the new pins, and the stack's pin. Other projects than
 * before are IW_E_CHECK. A label that names the CUDA says the new one. "companions" of the report:
 * [{recipe, name, change, from, to, as}], change is "moved", "renamed", "dropped" or "new"; "cuda":
 * {from, to, driver, driver_before}. */
int iw_release_companions(iw_release *release, const struct iw_metadata *before,
                          const struct iw_metadata *after, iw_error *err);
/* Writes the recipe of `to` with `moves`, and pins it in the stack and in those that had no pin. */
int iw_release_put(const iw_release *release, iw_error *err);
/* The pins alone. */
int iw_release_pin(const iw_release *release, iw_error *err);

/* Takes the patches out of the draft's recipe that `proofs` (proof.h) calls needless; *any: whether
 * there were some. */
int iw_release_drop_needless(iw_release *release, const json_t *proofs, bool *any, iw_error *err);

/* The version that is built for: of the plan's package `python`. Static or borrowed. */
const char *iw_plan_python(const iw_plan *plan);

#endif
