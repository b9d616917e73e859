/* An artifact on its way in or out: held against the recipe that this rig has, whoever signed it.
 * Internal to `share`. */
#ifndef IW_SHARE_ADMIT_H
#define IW_SHARE_ADMIT_H

#include "plan/plan.h"

#define IW_RECORD_LIMIT ((size_t)64 << 20)

/* Audits the packed artifact for the plan's profile with the exceptions of the node's recipe; files
 * that no bundle takes (`development`) are left out of account. *verdict (may be NULL): "clean",
 * "guarded", "tried"; static. IW_E_CHECK, naming files, where it is broken. */
int iw_admit_audit(const char *path, const iw_plan *plan, const iw_node *node, const char **verdict,
                   iw_error *err);
/* The same of a whole bundle, with every recipe of the plan. */
int iw_admit_audit_bundle(const char *path, const iw_plan *plan, const char **verdict,
                          iw_error *err);

/* What an artifact's store remembers of it, as JSON, without where it came from; caller frees. */
char *iw_admit_record(const iw_artifact *artifact);
/* The facts in such a record for this package, with `origin` (borrowed) added; caller frees.
 * IW_E_FORMAT. */
struct json_t;
int iw_admit_facts(const char *text, size_t length, const iw_node *node, struct json_t *origin,
                   char **facts, iw_error *err);

#endif
