/* What a change of packages changed in what comes out: two bundles of one stack, before and after.
 */
#ifndef IW_UPGRADE_DIFFERENCE_H
#define IW_UPGRADE_DIFFERENCE_H

#include <jansson.h>

#include "base/event.h"
#include "plan/plan.h"

typedef struct iw_bundle_side { /* all borrowed */
    const char *bundle;         /* path of the file */
    const iw_plan *plan;        /* after building: with artifacts */
} iw_bundle_side;

/* {size, floor: [before, after] (bytes; text); packages: [{name, from, to}]; needs: [{package,
 * added, removed}]; instructions: [{file, function, before, after}], by function, of those that the
 * stack's profile lacks, excused or not; checks: {broken, fixed, added, removed}; flags: [{package,
 * flag, before, after}] that the wrapper took out; times: [{package, before, after}] in seconds}; a
 * key whose list would be empty is missing. `work`: an existing folder, for unpacking. The caller
 * has the reference. */
int iw_bundle_difference(const iw_bundle_side *before, const iw_bundle_side *after,
                         const char *work, const iw_sink *sink, json_t **out, iw_error *err);

/* The same from two manifests and what the audits found ({file: {function: count}}): pure. */
json_t *iw_manifest_difference(const json_t *before, const json_t *after);
json_t *iw_instruction_difference(const json_t *before, const json_t *after);

#endif
