/* The way to the user: a live display on a terminal, plain lines in a pipe, JSON lines, or nothing
 * but failures and the result. */
#ifndef IW_UI_TERMINAL_H
#define IW_UI_TERMINAL_H

#include <stdbool.h>

#include "base/event.h"

typedef enum iw_ui_mode {
    IW_UI_AUTO, /* live where `error` is a terminal (and TERM isn't "dumb"), else plain */
    IW_UI_PLAIN,
    IW_UI_JSON, /* every event as a line on `out` */
    IW_UI_QUIET /* failures, and the result */
} iw_ui_mode;

typedef struct iw_ui_options {
    iw_ui_mode mode;
    int verbosity;       /* -1, 0, 1: what the steps print, too */
    int out, error;      /* descriptors, borrowed: results and JSON; progress */
    bool colour_allowed; /* NO_COLOR is asked as well */
} iw_ui_options;

typedef struct iw_ui iw_ui;

/* Never NULL; free with iw_ui_close. */
iw_ui *iw_ui_open(const iw_ui_options *options);
/* Writes what is left and leaves the terminal as it was; stops the thread. NULL is allowed. */
void iw_ui_close(iw_ui *ui);
/* For the moment before _exit, from any thread, however often: as iw_ui_close, but frees nothing,
 * and waits for a stuck terminal for half a second at most. What is emitted afterwards is lost.
 * NULL is allowed. */
void iw_ui_leave(iw_ui *ui);
/* Borrowed; may be used by any thread. All output is written by a thread of the ui's own, so that
 * no event waits for a slow reader: a live display draws eight frames a second and leaves out lines
 * of output that a stopped terminal doesn't take; a pipe that nobody reads from holds events up
 * only when a megabyte waits in it. */
const iw_sink *iw_ui_sink(iw_ui *ui);
/* Around output of others on the same terminal: everything told so far is written, the live area
 * goes; then it comes back. These nest. */
void iw_ui_pause(iw_ui *ui);
void iw_ui_resume(iw_ui *ui);

#endif
