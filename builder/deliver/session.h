/* One stack being worked on: its plan, what must be fetched for it, the bundle. */
#ifndef IW_DELIVER_SESSION_H
#define IW_DELIVER_SESSION_H

#include "fetch/fetch.h"
#include "fetch/pinned.h"
#include "plan/plan.h"

/* How it is to be done. All borrowed; zero is each one's default. */
typedef struct iw_deliver_options {
    const char *root;       /* of the tree: bundles go to its dist/ */
    const char *output;     /* or there */
    const char *program;    /* folder with the program `ironwheel`: a second build runs it */
    const char *helpers;    /* folder with iw-cc, iw-init, iw-trace */
    const char *by;         /* the command, for the report: "build" */
    iw_fetch_options fetch; /* without sink and cancel: those below hold for it, too */
    bool no_sandbox, fail_fast;
    unsigned jobs, packages; /* 0: all cores; as jobs */
    uint64_t memory;         /* MiB for all compilers together; 0: what is free */
    int level;               /* of zstd */
    struct iw_cache *cache;  /* remotes that are asked for finished packages, or NULL */
    /* iw_cache_offers then; by its address, for the small program links no part of `share` */
    bool (*offered)(void *context, const iw_plan *plan, const iw_node *node, iw_artifact *out,
                    char **reason);
    bool check;          /* run the checks also on a bundle that a remote has */
    const char *on;      /* address of a box that builds first; or NULL */
    bool no_bundle;      /* build the packages, and no more */
    int cancel;          /* readable once the user wants to stop, or -1 */
    const iw_sink *sink; /* or NULL */
} iw_deliver_options;

typedef struct iw_session {
    iw_deliver_options options;
    iw_catalog *catalog; /* borrowed, as all but the plan */
    iw_store *store;
    const iw_stack *stack;
    const iw_toolchain *toolchain;
    iw_toolchain *host; /* owned: the host's own tools, with no_sandbox; it is `toolchain` then */
    iw_plan *plan;
    iw_pinned pinned; /* what bootstrap compiles in; owned */
} iw_session;

/* Loads the stack and makes its plan. `catalog`, `store` and what the options name must outlive the
 * session. To be closed in any case. */
int iw_session_open(iw_catalog *catalog, iw_store *store, const char *stack,
                    const iw_deliver_options *options, iw_session *session, iw_error *err);
/* The plan anew, from what the store holds now. */
int iw_session_replan(iw_session *session, iw_error *err);
void iw_session_close(iw_session *session);
/* The node of "name" or "name/version"; "did you mean" where there is none. */
int iw_session_node(const iw_session *session, const char *package, iw_node **node, iw_error *err);

/* --- fetching --- */

/* What to fetch: sources of the nodes that may be built (`all`: of every node, what checks, run
 * and triage use, and what bootstrap compiles in), and the toolchain's packages. Caller frees
 * *wanted; it borrows from the catalog.
 */
size_t iw_session_wanted(const iw_session *session, bool all, bool toolchain, iw_wanted **wanted);
/* Fetches that. The toolchain's packages only where its root isn't unpacked yet, or `all`. */
int iw_session_fetch(iw_session *session, bool all, iw_error *err);
/* Whether the toolchain's root is unpacked. */
bool iw_session_has_toolchain(const iw_session *session);
/* The toolchain's packages alone, where its root isn't unpacked yet. */
int iw_session_fetch_toolchain(iw_session *session, iw_error *err);
/* These, and the sources of this node. */
int iw_session_fetch_for(iw_session *session, const iw_node *node, iw_error *err);

/* --- from the plan to the bundle --- */

/* Fetches and builds what is to be built, lays the environment, audits it, runs the checks, writes
 * the bundle with its report; an event IW_EVENT_RESULT names it. With no_bundle only the first. */
int iw_session_build(iw_session *session, iw_error *err);
/* What of the session's options a build takes (build/build.h): nothing is asked of remotes. All
 * borrowed from the session. */
struct iw_build_options iw_session_build_options(const iw_session *session);
/* The first half of it without a word: fetches and builds, asks no remote, lays nothing. */
int iw_session_build_packages(iw_session *session, iw_error *err);
/* Brings what options.cache offers of what is needed; the plan is a new one afterwards. */
int iw_session_bring(iw_session *session, iw_error *err);
/* Lays and writes the bundle from what the store holds. `checks`: audit and run them first. */
int iw_session_bundle(iw_session *session, bool checks, iw_error *err);
/* Audits an unpacked environment of the session's stack and runs its checks there, for every
 * profile. IW_E_CHECK where it doesn't pass. Either way a report about `bundle` (its path and
 * SHA-256) is written to `report` (NULL: to nowhere); *reported tells whether it was (a note says
 * why not). */
int iw_session_prove(iw_session *session, const char *environment, const char *bundle,
                     const char *sha256, const char *report, bool *reported, iw_error *err);

/* --- the bundle that is there (ready.c) --- */

/* Where bundles go: `output`, else dist/ beside recipes/ where that can be written, else dist/
 * here. Caller frees. */
char *iw_session_output(const iw_session *session);
/* Under which the store remembers the bundle of this plan and output folder. Caller frees. */
char *iw_session_bundle_key(const iw_session *session);
/* The same of one that a remote had: its packages aren't here. Caller frees. */
char *iw_session_pulled_key(const iw_session *session);
/* The bundle that was made for this very plan, where nothing is to be built (or it was pulled) and
 * it still stands in the output folder as it was written. *path and *sha256 owned by the caller. */
int iw_session_find_ready(const iw_session *session, char **path, char **sha256, bool *found,
                          iw_error *err);
/* Where a bundle's report stands: "<bundle without .tar.zst>.report.html". Caller frees. */
char *iw_report_path(const char *bundle);
/* Where the digest of its uncompressed tar stands, which is the bundle's identity: "<bundle without
 * .zst>.sha256". Caller frees. */
char *iw_bundle_tar_path(const char *bundle);
/* What stands there; NULL where it is missing or no digest. Caller frees. */
char *iw_bundle_tar_digest(const char *bundle);

#endif
