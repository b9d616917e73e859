/* For `push --wheels --with-upstream`: what triage knows of published wheels, as an index takes it.
 * Internal to `cli`. */
#ifndef IW_CLI_PUBLISHED_H
#define IW_CLI_PUBLISHED_H

#include "cli/context.h"
#include "share/published.h"
#include "triage/triage.h"

typedef struct iw_known_wheels { /* zero-initialise */
    iw_triage_wheels found;
    iw_published *items;
} iw_known_wheels;

/* From the results that the store keeps for this CPU; *out points into `known`. Says, where there
 * is nothing, how to get some. */
int iw_known_wheels_read(iw_context *context, iw_store *store, const iw_profile *profile,
                         iw_known_wheels *known, iw_published_list *out, iw_error *err);
void iw_known_wheels_clear(iw_known_wheels *known);

#endif
