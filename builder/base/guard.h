/* The process that stands between this one and a program whose every descendant must end with it:
 * the inside of iw_spawn's `guarded`, and what a process does that means to outlive a killed guard.
 */
#ifndef IW_BASE_GUARD_H
#define IW_BASE_GUARD_H

#include <sys/types.h>

/* Orphans below the calling process become its children from now on. */
void iw_guard_adopt(void);
/* Kills all that is left below the calling process, orphans that it has adopted included, and waits
 * for it. */
void iw_guard_end_all(void);

/* Makes the calling process, a fresh fork, the one that orphans below it are given to
 * (PR_SET_CHILD_SUBREAPER), asks for SIGTERM when `parent`'s thread ends, and blocks all signals:
 * before it forks the program. Async-signal-safe. */
void iw_guard_prepare(pid_t parent);
/* Waits for `program`, its child. When that ends, or SIGTERM comes, kills all that is left below,
 * waits for it, and ends as `program` ended. Closes every descriptor above 2. Async-signal-safe. */
_Noreturn void iw_guard(pid_t program);

#endif
