/* Building: the toolchain's root, one package, a whole plan. */
#ifndef IW_BUILD_BUILD_H
#define IW_BUILD_BUILD_H

#include "base/event.h"
#include "plan/plan.h"

#define IW_BUILD_FORMAT                                                                            \
    "1" /* part of every key: changes when steps, environment or finishing give other bytes */

/* Measured under these names: `seconds` is the number of such jobs, `peak_memory` the largest
 * one's. */
#define IW_MEASURE_COMPILE "compile-job"
#define IW_MEASURE_LINK "link-job"

typedef struct iw_build_options {
    unsigned jobs;     /* 0: all cores */
    uint64_t memory;   /* MiB for all jobs; 0: measured */
    unsigned packages; /* built at once; 0: jobs */
    bool fail_fast;    /* after a failure start nothing more; else what doesn't need the failed one
                          goes on */
    const iw_node *only; /* nothing but this node, whose laid ones are all done; NULL: all */
    const char *helpers; /* folder with iw-cc, iw-init, iw-trace */
    int cancel;          /* readable: stop cleanly; -1: none */
    const iw_sink *sink;
    /* Asked before a package is built whose build key has become known only now: brings the
     * artifact into the store where a remote has it. NULL: nobody is asked. */
    int (*bring)(void *context, const iw_plan *plan, iw_node *node, bool *brought, iw_error *err);
    void *context; /* of that */
} iw_build_options;

/* The unpacked, prepared toolchain; its packages must be in the store. *root owned by the caller.
 */
int iw_toolchain_root(iw_store *store, const iw_toolchain *toolchain, const iw_sink *sink,
                      char **root, iw_error *err);

/* Builds every node that is to be built (sources are in the store already), fills node->artifact of
 * all in the bundle. On failure: IW_E_BUILD naming each failed package, its phase and log; what was
 * finished stays. */
int iw_build_plan(iw_store *store, iw_plan *plan, const iw_build_options *options, iw_error *err);

/* `shell PACKAGE`: an interactive shell in the kept tree, same sandbox and environment. */
int iw_build_shell(iw_store *store, iw_plan *plan, iw_node *node, const iw_build_options *options,
                   int *status, iw_error *err);
/* The last log of a package's phase (NULL: the last one written); caller frees. */
int iw_build_log_path(iw_store *store, const char *name, const char *version, const char *phase,
                      char **path, iw_error *err);

#endif
