/* One package of a plan: what jobs on several machines do, each its own, with a remote between. */
#ifndef IW_DELIVER_ONLY_H
#define IW_DELIVER_ONLY_H

#include "deliver/session.h"

typedef enum iw_only_outcome {
    IW_ONLY_THERE, /* the place that it is to go to has it; nothing was brought here */
    IW_ONLY_HERE,  /* the store had it */
    IW_ONLY_PULLED,
    IW_ONLY_BUILT
} iw_only_outcome;

const char *iw_only_name(iw_only_outcome outcome); /* "there", "here", "pulled", "built" */

/* Builds this package ("name" or "name/version") alone, unless the store or a remote has it. What
 * is laid for it must be there already: brought from options.cache, else IW_E_NOT_FOUND naming what
 * is missing. `there_will_do`: nothing is brought that the cache's own place has. The session's
 * plan is a new one afterwards; *node is in it. */
int iw_session_build_only(iw_session *session, const char *package, bool there_will_do,
                          iw_only_outcome *outcome, iw_node **node, iw_error *err);

#endif
