/* Building one package, in a process of its own: what a worker does. Internal to `build`. */
#ifndef IW_BUILD_PACKAGE_H
#define IW_BUILD_PACKAGE_H

#include "base/event.h"
#include "plan/plan.h"
#include "store/store.h"

typedef struct iw_job { /* all borrowed */
    const iw_plan *plan;
    const iw_node *node; /* the artifacts of its laid nodes are known */
    const char *build_key;
    const char *root; /* prepared toolchain; NULL: the host's own tools, without a sandbox */
    const char *helpers;
    const char *run; /* folder that is /run/ironwheel inside, with the broker's socket */
    unsigned jobs;
    int cancel; /* readable: stop; or -1 */
    const iw_sink *sink;
} iw_job;

typedef struct iw_job_end {
    bool reused;       /* another build had made it meanwhile */
    const char *phase; /* the one that was last begun; static */
    char *log;         /* its log, or NULL; owned */
} iw_job_end;

/* The whole way from sources to an artifact in the store. The tree is removed when that worked, and
 * kept otherwise. */
int iw_package_build(iw_store *store, const iw_job *job, iw_job_end *end, iw_error *err);

#endif
