/* Finishing a package's tree so that it runs from any path, and the bundle. */
#ifndef IW_PACK_PACK_H
#define IW_PACK_PACK_H

#include "base/event.h"
#include "plan/plan.h"
#include "store/archive.h"

#define IW_PACK_FORMAT                                                                             \
    "3" /* part of every key: changes when finishing a tree gives other bytes                      \
         */
#define IW_BUNDLE_FORMAT                                                                           \
    "6" /* in the manifest; changes when laying or writing a bundle gives other bytes: then it is  \
           written again, and nothing rebuilt */

/* Runs a program of the toolchain on a tree: argv as seen inside, where the tree is at `/build/out`
 * and the prefix below it. */
typedef int (*iw_tool)(void *context, const char *const *argv, iw_error *err);

typedef struct iw_finish {
    const char *tree;        /* host path of $DESTDIR$PREFIX */
    const char *tree_inside; /* the same as the tool sees it: /build/out/opt/iw-prefix */
    const char *prefix;      /* /opt/iw-prefix */
    const iw_recipe *recipe;
    const char *const *forbidden; /* further strings that no file may hold: store and checkout
                                     paths; NULL-terminated */
    iw_tool tool;                 /* patchelf, strip, python3 */
    void *context;
    const iw_sink *sink;
} iw_finish;

/* What docs/recipes.md lists under "After a step, before an artifact is packed". *facts: a JSON
 * object for the artifact (ELF files, kept prefixes, removed files…), owned by the caller. */
int iw_finish_tree(const iw_finish *finish, char **facts, iw_error *err);

typedef struct iw_bundle_options {
    const char *folder; /* dist/ */
    const char *work;   /* folder for the laid environment (store's tmp) */
    int level;          /* of zstd; 0: 12 */
    bool sandboxed;     /* recorded in the manifest */
    const iw_sink *sink;
} iw_bundle_options;

/* Lays the run closure of the stack below `environment` (made; named <stack>-<version>-<profile>):
 * artifacts without `development` globs, launcher, activate, constraints, licences. Checks that
 * shared libraries resolve inside the bundle or are glibc's own. */
int iw_bundle_lay(iw_store *store, const iw_plan *plan, const iw_bundle_options *options,
                  char **environment, iw_error *err);

/* Newer CPUs have dropped these. gcc emits none of them by itself but 3DNow!, which profile k10
 * shuns, so that the audit finds it; PREFETCHW runs as no operation where it is missing. A bundle
 * for an old AMD CPU also runs on others. */
bool iw_is_never_missed(const char *feature);

typedef struct iw_floor { /* measured glibc floor */
    char version[16];     /* "2.35" */
    char *symbols;        /* the symbols that set it, with their files; owned */
} iw_floor;
int iw_glibc_floor(const char *environment, iw_floor *out, iw_error *err);

/* manifest.json, sbom.spdx.json into the environment (check results from `checks`: a JSON array;
 * what was audited from `audit`: a JSON object, or NULL), then the tarball
 * <stack>-<version>-<profiles>-glibc<floor>-cp311.tar.zst in options->folder. *path owned by the
 * caller; `packed` gets both digests: of the file, and of its tar, which is the bundle's identity.
 */
int iw_bundle_write(iw_store *store, const iw_plan *plan, const char *environment,
                    const char *checks, const char *audit, const iw_bundle_options *options,
                    char **path, iw_packed *packed, iw_error *err);

#endif
