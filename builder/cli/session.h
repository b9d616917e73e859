/* One stack being worked on: its plan, what must be fetched for it, the bundle. Shared by the
 * commands that take a stack. */
#ifndef IW_CLI_SESSION_H
#define IW_CLI_SESSION_H

#include "cli/context.h"
#include "fetch/fetch.h"
#include "plan/plan.h"

/* Options of every command that may fetch; a table's author puts them before its end. */
#define IW_FETCH_OPTIONS                                                                           \
    {"offline",                                                                                    \
     0,                                                                                            \
     IW_OPTION_FLAG,                                                                               \
     NULL,                                                                                         \
     "Fetch nothing: what isn't in the store is an error that names it",                           \
     NULL},                                                                                        \
        {"import",                                                                                 \
         0,                                                                                        \
         IW_OPTION_TEXT,                                                                           \
         "DIR|URL",                                                                                \
         "Look first in a mirror folder that `fetch --export` made",                               \
         "folder"},                                                                                \
        {"index-url",                                                                              \
         0,                                                                                        \
         IW_OPTION_TEXT,                                                                           \
         "URL",                                                                                    \
         "Python package index (default: what pip is configured with)",                            \
         NULL},                                                                                    \
        {"debian-mirror",                                                                          \
         0,                                                                                        \
         IW_OPTION_TEXT,                                                                           \
         "URL",                                                                                    \
         "Debian mirror (default: IRONWHEEL_DEBIAN_MIRROR, else what apt is configured with)",     \
         NULL},                                                                                    \
    {                                                                                              \
        "downloads", 0, IW_OPTION_NUMBER, "N", "Downloads at once (default: 6)", NULL              \
    }

/* Options of every command that plans builds. */
#define IW_NO_SANDBOX_OPTION                                                                       \
    {                                                                                              \
        "no-sandbox", 0, IW_OPTION_FLAG, NULL,                                                     \
            "Build with this host's own tools, without isolation; the manifest says so", NULL      \
    }

/* Options of every command that runs builds. */
/* clang-format off */
#define IW_BUILD_OPTIONS \
    {"jobs", 'j', IW_OPTION_NUMBER, "N", "Compilers at once, and checks (default: all cores)", NULL}, \
    {"memory", 0, IW_OPTION_NUMBER, "MiB", "Memory for all compilers together (default: what is free, less 10 %)", NULL}, \
    {"packages", 0, IW_OPTION_NUMBER, "N", "Packages built at once (default: as --jobs)", NULL}, \
    {"fail-fast", 0, IW_OPTION_FLAG, NULL, "Start nothing more after a failure (default: what doesn't need the failed package goes on)", NULL}, \
    IW_NO_SANDBOX_OPTION
/* clang-format on */

typedef struct iw_session {
    iw_catalog *catalog; /* borrowed, as all but the plan */
    iw_store *store;
    const iw_stack *stack;
    const iw_toolchain *toolchain;
    iw_toolchain *host; /* owned: the host's own tools, with --no-sandbox; it is `toolchain` then */
    iw_plan *plan;
} iw_session;

/* Loads the stack and makes its plan. */
int iw_session_open(iw_context *context, const char *stack, iw_session *session, iw_error *err);
/* The plan anew, from what the store holds now. */
int iw_session_replan(iw_context *context, iw_session *session, iw_error *err);
void iw_session_close(iw_session *session);

void iw_session_fetch_options(const iw_context *context, iw_fetch_options *options);

/* What to fetch: sources of the nodes that may be built (`all`: of every node), and the toolchain's
 * packages. Caller frees *wanted; it borrows from the catalog. */
size_t iw_session_wanted(const iw_session *session, bool all, bool toolchain, iw_wanted **wanted);
/* Fetches that. The toolchain's packages only where its root isn't unpacked yet, or `all`. */
int iw_session_fetch(iw_context *context, iw_session *session, bool all, iw_error *err);

/* The toolchain's packages alone, where its root isn't unpacked yet. */
int iw_session_fetch_toolchain(iw_context *context, iw_session *session, iw_error *err);

/* Which stack an option or, where there is only one, the tree itself names: for commands about a
 * package. */
int iw_session_stack_option(iw_context *context, const char **stack, iw_error *err);
/* The node of "name" or "name/version"; "did you mean" where there is none. */
int iw_session_node(const iw_session *session, const char *package, iw_node **node, iw_error *err);

/* Builds what is to be built, lays the environment, runs the checks, writes the bundle to `folder`;
 * prints the result. */
int iw_session_build(iw_context *context, iw_session *session, iw_error *err);
/* Lays and writes the bundle from what the store holds. `checks`: run them first. */
int iw_session_bundle(iw_context *context, iw_session *session, bool checks, iw_error *err);
/* Audits an unpacked environment of the session's stack and runs its checks there, for every
 * profile. IW_E_CHECK where it doesn't pass. Either way a report about `bundle` (its path and
 * SHA-256) is written to `report` (NULL: to nowhere); *reported tells whether it was (a note says
 * why not). */
int iw_session_prove(iw_context *context, iw_session *session, const char *environment,
                     const char *bundle, const char *sha256, const char *report, bool *reported,
                     iw_error *err);
/* Where a bundle's report stands: "<bundle without .tar.zst>.report.html". Caller frees. */
char *iw_report_path(const char *bundle);
/* Where bundles go: --output, else dist/ beside recipes/ where that can be written, else dist/
 * here. Caller frees. */
char *iw_session_output(iw_context *context);
/* The bundle that was made for this very plan, where it still stands in the output folder as it was
 * written. */
int iw_session_find_bundle(iw_context *context, const iw_session *session, char **path,
                           char **sha256, bool *found, iw_error *err);
/* `build` with nothing to do, which the small program answers by itself (quick_main.c). */
extern const iw_option iw_build_option_table[];
int iw_build_find_ready(iw_context *context, const iw_session *session, char **path, char **sha256,
                        bool *found, iw_error *err);
int iw_build_say_ready(iw_context *context, const char *stack, const char *path,
                       const char *sha256);

#endif
