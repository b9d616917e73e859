/* A change tried in a copy of the tree: where it stands, the stack before and after, what both come
 * to, and how it is written. Internal to `upgrade`. */
#ifndef IW_UPGRADE_TRIAL_H
#define IW_UPGRADE_TRIAL_H

#include "upgrade/bump.h"

typedef struct iw_trial {
    const iw_bump_options *options;  /* borrowed */
    json_t *report;                  /* borrowed */
    char *folder, *draft, *undo;     /* below the store's work/ */
    int lock;                        /* -1 before iw_trial_open */
    char tree_digest[IW_SHA256_HEX]; /* of the tree that the draft is a copy of */
    iw_session before, after;
    iw_catalog *after_catalog;
    char *old_bundle, *new_bundle; /* files, or NULL */
} iw_trial;

/* "work/bump-<stack>-<name>-<12 of the tree's path>" in the store; caller frees. */
char *iw_trial_folder(iw_store *store, const char *root, const char *stack, const char *name);
/* Makes and locks the folder, and puts back what a killed run had begun to write.
 * IW_E_ENVIRONMENT where another process has it. */
int iw_trial_open(iw_trial *t, iw_error *err);
void iw_trial_close(iw_trial *t); /* of a zeroed one, too, with lock -1 */
/* Where a trial keeps what it goes on from. Caller frees. */
char *iw_trial_state(const char *folder);
/* Removes the folder, what it goes on from first: a kill amid this leaves nothing to go on with. */
int iw_trial_finish(iw_trial *t, iw_error *err);

/* The session of the draft, whose bundles stay in the trial's folder; and the end of it. */
int iw_trial_draft(iw_trial *t, iw_error *err);
void iw_trial_undraft(iw_trial *t);
/* What would be built, and how long: "rebuild" and "seconds" of the report. */
void iw_trial_plan(iw_trial *t);
/* The bundle as it was, where it costs no building. */
int iw_trial_find_old(iw_trial *t, iw_error *err);
/* Builds, audits, checks; `after` is planned anew. */
int iw_trial_build(iw_trial *t, iw_error *err);
/* "difference" of the report; null where the old bundle isn't known. */
int iw_trial_compare(iw_trial *t, iw_error *err);
/* "diff" and "written" of the report, and, but for a dry run, the tree itself. IW_E_CHECK where the
 * tree isn't what the draft was made from. */
int iw_trial_write(iw_trial *t, iw_error *err);
/* The bundle goes where `build` would have put it, and is remembered there; "bundle" of the report.
 */
int iw_trial_deliver(iw_trial *t, iw_error *err);

void iw_trial_tell(const iw_trial *t, iw_event_type type, const char *phase, const char *detail);

#endif
