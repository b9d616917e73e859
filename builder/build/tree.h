/* A package's kept tree in the store, work/<name>-<version>-<12 of plan key>:
 *     build/    what is /build inside: src, out, home, files, tmp, patches
 *     prefix/   the laid dependencies, /opt/iw-prefix inside
 * with `<the same>.lock` beside it, and its logs in logs/<the same>/. Internal to `build`. */
#ifndef IW_BUILD_TREE_H
#define IW_BUILD_TREE_H

#include "plan/plan.h"
#include "store/store.h"

typedef struct iw_tree {
    char *name;                     /* <name>-<version>-<12 of plan key> */
    char *folder, *build, *prefix;  /* host paths */
    char *seen_build, *seen_prefix; /* where a step sees them: /build and IW_PREFIX, or the same
                                       paths without a sandbox */
    char *out;                      /* build/out + seen_prefix: what becomes the artifact */
    char *logs, *objects;
    int lock; /* -1: not locked */
} iw_tree;

/* Only paths. Free with iw_tree_clear, which unlocks too. */
void iw_tree_init(iw_tree *tree, const iw_store *store, const iw_node *node, bool sandboxed);
void iw_tree_clear(iw_tree *tree);
/* Takes the lock. `wait` false: *locked tells whether nobody else had it. */
int iw_tree_lock(iw_tree *tree, bool wait, bool *locked, iw_error *err);
/* Empties the tree and makes its folders anew; the logs of the run before become .log.1. */
int iw_tree_start(iw_tree *tree, iw_error *err);
int iw_tree_remove(iw_tree *tree, iw_error *err); /* the logs stay */
/* The log of a phase, opened for appending; path may be NULL. */
int iw_tree_log(const iw_tree *tree, const char *phase, int *fd, char **path, iw_error *err);
/* The last lines of a log, at most `bytes`, in whole lines; "" where there are none. Caller frees.
 */
char *iw_log_tail(const char *path, size_t bytes);

#endif
