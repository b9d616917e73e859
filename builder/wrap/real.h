/* Running the real tool, and the slot that a run waits for. Internal to `iw-cc`. */
#ifndef IW_WRAP_REAL_H
#define IW_WRAP_REAL_H

#include <stdbool.h>

#include "base/text.h"
#include "wrap/command.h"

#define IW_SAID_LIMIT (4u << 20) /* bytes of standard error that are kept */

typedef struct iw_real {
    const char *name;   /* as called: "gcc" */
    const char *folder; /* of the real tools */
    bool links;         /* that folder holds links to them */
    const char *path;   /* of the tool itself, and its argv[0]; NULL: its name in that folder */
    iw_tool_kind kind;
    bool expanded; /* the caller gave response files: the real tool gets one where there is much to
                      say */
} iw_real;

/* Prints "<name>: <text>" and ends with status 1, as a compiler does. */
_Noreturn void iw_real_fail(const char *name, const char *text);
/* Becomes the real tool, which knows by IRONWHEEL_SLOT=1 that a slot is held; nvcc holds none: the
 * compilers that it starts wait for their own, and keep no objects. */
_Noreturn void iw_real_exec(const iw_real *real, const iw_strings *argv);
/* Runs it and waits; its standard error goes to ours and, up to the limit, into `said`. The status
 * is wait(2)'s; `*peak_kib`: the largest resident size. */
int iw_real_run(const iw_real *real, const iw_strings *argv, iw_buffer *said, long *peak_kib);

/* Waits for a slot (ARCHITECTURE.md, Slots); the socket holds it. -1: there is no broker, or the
 * parent holds one. */
int iw_slot_take(const char *kind);
void iw_slot_give(int fd, long peak_kib);

#endif
