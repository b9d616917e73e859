/* The session of commands that take a stack: what the command line says of fetching and building.
 */
#ifndef IW_CLI_SESSION_H
#define IW_CLI_SESSION_H

#include "cli/context.h"
#include "deliver/session.h"

/* Options of every command that may fetch; a table's author puts them before its end. */
/* clang-format off */
#define IW_DEBIAN_OPTIONS \
    {"debian-mirror", 0, IW_OPTION_TEXT, "URL", "Debian mirror (default: IRONWHEEL_DEBIAN_MIRROR, else what apt is configured with)", NULL}, \
    {"debian-snapshot", 0, IW_OPTION_TEXT, "URL", "Debian's snapshot archive, for pinned files that the mirrors have dropped (default: IRONWHEEL_DEBIAN_SNAPSHOT)", NULL}
#define IW_FETCH_OPTIONS \
    {"offline", 0, IW_OPTION_FLAG, NULL, "Fetch nothing: what isn't in the store is an error that names it", NULL}, \
    {"import", 0, IW_OPTION_TEXT, "DIR|URL", "Look first in a mirror folder that `fetch --export` made", "folder"}, \
    {"index-url", 0, IW_OPTION_TEXT, "URL", "Python package index (default: what pip is configured with)", NULL}, \
    IW_DEBIAN_OPTIONS, \
    {"accept-licence", 0, IW_OPTION_TEXT, "NAME,…", "Licences that you read and accept, of what isn't free (default: IRONWHEEL_ACCEPT_LICENCE)", NULL}, \
    {"downloads", 0, IW_OPTION_NUMBER, "N", "Downloads at once (default: 6)", NULL}
/* clang-format on */

/* Options of every command that plans builds. */
#define IW_NO_SANDBOX_OPTION                                                                       \
    {                                                                                              \
        "no-sandbox", 0, IW_OPTION_FLAG, NULL,                                                     \
            "Build with this host's own tools, without isolation; the manifest says so", NULL      \
    }

/* Options of every command that may ask remotes. */
/* clang-format off */
#define IW_REMOTE_OPTIONS \
    {"no-remote", 0, IW_OPTION_FLAG, NULL, "Ask no remote for finished packages", NULL}, \
    {"require-signers", 0, IW_OPTION_NUMBER, "N", "Take a package only where N keys offer the same content", NULL}

/* Options of every command that runs builds. */
#define IW_BUILD_OPTIONS \
    {"jobs", 'j', IW_OPTION_NUMBER, "N", "Compilers at once, and checks (default: all cores)", NULL}, \
    {"memory", 0, IW_OPTION_NUMBER, "MiB", "Memory for all compilers together (default: what is free, less 10 %)", NULL}, \
    {"packages", 0, IW_OPTION_NUMBER, "N", "Packages built at once (default: as --jobs)", NULL}, \
    {"fail-fast", 0, IW_OPTION_FLAG, NULL, "Start nothing more after a failure (default: what doesn't need the failed package goes on)", NULL}, \
    IW_NO_SANDBOX_OPTION
/* clang-format on */

/* What the command line says; borrowed from the context. */
iw_deliver_options iw_context_deliver_options(const iw_context *context);
/* Its part for fetching, with the context's sink and cancel. */
iw_fetch_options iw_context_fetch_options(const iw_context *context);
/* The remotes of `remote add`, unless --no-remote or --offline; *out may be NULL. Caller closes it
 * after the session. */
struct iw_cache;
int iw_context_cache(iw_context *context, struct iw_cache **out, iw_error *err);
/* Opens tree and store, loads the stack, makes its plan. To be closed in any case. */
int iw_context_session(iw_context *context, const char *stack, iw_session *session, iw_error *err);
/* The display from here on, and Ctrl-C stops the session's work instead of the program. */
int iw_context_start(iw_context *context, iw_session *session, iw_error *err);
/* Which stack an option or, where there is only one, the tree itself names: for commands about a
 * package. */
int iw_context_stack_option(iw_context *context, const char **stack, iw_error *err);

/* `build` with nothing to do, which the small program answers by itself (quick_main.c). */
extern const iw_option iw_build_option_table[];
int iw_build_find_ready(const iw_context *context, const iw_session *session, char **path,
                        char **sha256, bool *found, iw_error *err);
int iw_build_say_ready(iw_context *context, const char *stack, const char *path,
                       const char *sha256);

#endif
