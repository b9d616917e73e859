/* The sandbox: bubblewrap's argument list as data, then run. Layout: ARCHITECTURE.md, The sandbox.
 */
#ifndef IW_BUILD_SANDBOX_H
#define IW_BUILD_SANDBOX_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

#define IW_PREFIX "/opt/iw-prefix"
#define IW_SANDBOX_UID 1000  /* user and group inside, whoever runs the build */
#define IW_SANDBOX_LINE 4096 /* bytes of an output line that are handed on; the log holds all */

typedef enum iw_bind_kind {
    IW_BIND_READ_ONLY,
    IW_BIND_WRITABLE,
    IW_BIND_TMPFS,
    IW_BIND_LINK
} iw_bind_kind;
typedef struct iw_bind {
    iw_bind_kind kind;
    const char *from, *to; /* tmpfs: `from` is NULL; link: `from` is the link's text */
} iw_bind;

typedef struct iw_sandbox {
    const char
        *root; /* host folder that becomes `/`, read-only; NULL: an empty root made of the binds */
    const iw_bind *binds;
    size_t bind_count;
    const char *const *environment; /* "NAME=value"; the whole environment */
    const char *folder;             /* working folder inside */
    const char *const *command;     /* inside, absolute argv[0] */
    bool network_loopback;          /* a loopback interface of its own; nothing else ever */
    int keep_fd;                    /* passed to the first process, or -1 */
    const char *init; /* path inside of iw-init, or NULL: without the network filter */
    bool host; /* no sandbox: the command runs as it is, in `folder` with `environment`; root and
                  binds are left out of account */
    bool terminal; /* a person's shell: keeps the terminal as input, output and session */
} iw_sandbox;

/* argv for bwrap; pure, so that policy can be asserted. Caller frees. */
void iw_sandbox_arguments(const iw_sandbox *sandbox, iw_strings *argv);
/* Whether a sandbox can be had here; the error says what is missing and how to get it (user
 * namespaces, bwrap). */
int iw_sandbox_probe(iw_error *err);
/* What most likely forbids user namespaces on the host whose files are below `root` ("/"), and the
 * line that allows them. `privileged`: to root. Static. */
const char *iw_sandbox_advice(const char *root, bool privileged);

typedef struct iw_sandbox_watch { /* what happens meanwhile; any callback may be NULL */
    void (*line)(void *context,
                 const char *line); /* output, both streams, one line without newline */
    void (*network)(void *context, const char *what); /* "tried to reach 93.184.216.34:443" */
    void *context;
    int log;        /* descriptor that gets all output, or -1 */
    int cancel;     /* readable: kill everything; or -1 */
    double timeout; /* seconds; 0: none */
} iw_sandbox_watch;

typedef struct iw_sandbox_result {
    int status; /* as waitpid gives it, of the command inside (128+signal where it was killed
                   inside) */
    bool timed_out, cancelled, network; /* network: it tried to reach something */
    double seconds;
} iw_sandbox_result;

/* Runs and waits, serving the network filter's notifications. Blocks. When it returns, nothing of
 * what ran inside is left. -1 only where the sandbox itself failed (bwrap's own words are in the
 * message). */
int iw_sandbox_run(const iw_sandbox *sandbox, const iw_sandbox_watch *watch,
                   iw_sandbox_result *result, iw_error *err);

#endif
