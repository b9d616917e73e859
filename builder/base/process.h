/* Child processes: one spawn call, nothing inherited that was not asked for. */
#ifndef IW_BASE_PROCESS_H
#define IW_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

/* What to run. All pointers are borrowed until iw_spawn returns. */
typedef struct iw_command {
    const char *const *
        argv; /* NULL-terminated; argv[0] is looked up in this process's PATH where it has no `/` */
    const char *const *environment; /* "NAME=value", NULL-terminated; NULL: this process's */
    const char *folder;             /* working folder, or NULL */
    int in, out, error;             /* descriptors for 0, 1, 2; -1: /dev/null */
    const int
        *keep; /* further descriptors that stay open under their number, ended by -1; or NULL */
    bool own_group;       /* setpgid: Ctrl-C in the terminal doesn't reach it */
    bool die_with_parent; /* PR_SET_PDEATHSIG SIGKILL: when the *thread* that spawned it ends */
    bool guarded; /* a guard stands between, whose pid and status iw_spawn and iw_wait give: when
                     the thread that spawned it ends, when the program ends or when the guard gets
                     SIGTERM, all that descends from the program is killed, orphans too, and waited
                     for. To be ended by SIGTERM; after SIGKILL only the program itself follows. */
} iw_command;

/* Starts it. A failed exec is reported here (IW_E_ENVIRONMENT, "not found: …"), not as exit 127.
 * Blocks only for the exec. */
int iw_spawn(const iw_command *command, pid_t *pid, iw_error *err);

/* The absolute path of a program in this process's PATH (a name with `/` as it is), or NULL. Never
 * from the working folder. Caller frees. */
char *iw_find_program(const char *name);

/* How it ended: status as waitpid gives it. Blocks; retries EINTR. */
int iw_wait(pid_t pid, int *status, iw_error *err);
/* Starts it and waits for it; once `cancel` (a descriptor, or -1) is readable it gets SIGTERM, and
 * that is IW_E_CANCELLED: "stopped while `what`". */
int iw_run_until(const iw_command *command, int cancel, const char *what, int *status,
                 iw_error *err);

/* Runs to the end with no input; *out (owned by the caller, may be NULL) gets standard output, at
 * most `limit` bytes; standard error is taken into the error message (its last lines) when it
 * fails. A program that prints more than `limit` is killed (IW_E_FORMAT). 0 only for exit status 0.
 */
int iw_run_capture(const char *const *argv, const char *const *environment, size_t limit,
                   char **out, size_t *length, iw_error *err);

/* "exit status 3", "signal 4 (Illegal instruction)": caller frees. */
char *iw_status_text(int status);

/* Self-pipe for signals: after iw_signals_open, SIGINT, SIGTERM, SIGHUP (and SIGCHLD, SIGWINCH) are
 * only read from the descriptor that it returns (non-blocking), one byte per signal with its
 * number. SIGINT and SIGHUP stay ignored where they were (nohup, `&` in a script); SIGPIPE is
 * ignored, also afterwards. One per process: a second one fails. */
int iw_signals_open(int *fd, iw_error *err);
void iw_signals_close(void);

#endif
