/* Moving a package to another release: tried in a copy of the tree, built and checked up to the
 * stack's bundle, and written only if that holds. */
#ifndef IW_UPGRADE_BUMP_H
#define IW_UPGRADE_BUMP_H

#include <jansson.h>

#include "deliver/session.h"

typedef struct iw_bump_options { /* all borrowed */
    const char *root;            /* of the tree */
    iw_catalog *catalog;         /* of the tree */
    iw_store *store;
    const char *stack, *name;
    const char *version; /* NULL: the newest that can be taken */
    bool early;          /* pre-releases, too */
    bool dry_run;        /* nothing is built or written */
    bool no_proof;       /* patches that still go in aren't built without */
    bool resume;         /* what an earlier run chose holds */
    uint64_t min_age;    /* seconds */
    int64_t now;         /* seconds since 1970 */
    iw_deliver_options deliver;
} iw_bump_options;

/* The folder that keeps the steps: work/bump-<stack>-<name>-<12 of the tree's path> in the store,
 * with a lock beside it. `report` (the caller has the reference; never NULL) tells all that is
 * known, also after a failure:
 *   name, stack, from, to; verdict: "bumped", "would be bumped", "up to date", "nothing newer", or
 *   "not kept" with cause; passed_over: [{version, reason}]; source: {version, file, sha256,
 *   uploaded}; patches: [{file, result, done, as, hunks}]; metadata (metadata.h); rebuild:
 *   [{package, reason, seconds, maybe}], seconds; difference (difference.h); proofs: [{patch,
 *   result}]; hints: [sentences], where a failure has to do with the CPU;
 *   libraries: [recipes] of shared libraries that became needs; edited: true; written: [paths];
 * diff: text; bundle, report, kept: paths. 0: bumped, or there was nothing to do. -1: tried and not
 * kept, the tree is as it was; IW_E_CHECK and IW_E_BUILD are the release's fault. */
int iw_bump(const iw_bump_options *options, json_t **report, iw_error *err);

/* Every package of the stack's bundle (options->name and version aren't asked): of the releases
 * that hold together by what the index says that each needs, the newest; drafted and built
 * together. What doesn't go in, doesn't build or fails a check is kept back, and the rest tried
 * again without it, until the rest holds. `report` as iw_bump's, with packages: [report of each];
 * their verdict may also be "kept back" (tried, with its cause) or "held" (by another package's
 * needs). *kept_back: whether something was. 0 too where nothing could be moved. */
int iw_bump_all(const iw_bump_options *options, json_t **report, bool *kept_back, iw_error *err);

/* What `toolchain update` would move in the stack's toolchain (packages: [{name, from, to}]), and
 * what would be built anew for it ("rebuild", "seconds"). Nothing is written. */
int iw_bump_toolchain(const iw_bump_options *options, json_t **report, iw_error *err);

/* The package whose unfinished state is the latest of this tree and stack (`stack` NULL: any);
 * *name and *found_stack owned by the caller, IW_E_NOT_FOUND where there is none. */
int iw_bump_unfinished(iw_store *store, const char *root, const char *stack, char **name,
                       char **found_stack, iw_error *err);
/* Puts back what a killed run had begun to write into this tree. */
int iw_bump_recover(iw_store *store, const char *root, iw_error *err);

#endif
