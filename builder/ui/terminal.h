/* The way to the user: a live display on a terminal, plain lines in a pipe, JSON lines, or nothing but failures and the result. */
#ifndef IW_UI_TERMINAL_H
#define IW_UI_TERMINAL_H

#include <stdbool.h>

#include "base/event.h"

typedef enum iw_ui_mode {
    IW_UI_AUTO,  /* live where `error` is a terminal (and TERM isn't "dumb"), else plain */
    IW_UI_PLAIN,
    IW_UI_JSON,  /* every event as a line on `out` */
    IW_UI_QUIET  /* failures, and the result */
} iw_ui_mode;

typedef struct iw_ui_options {
    iw_ui_mode mode;
    int verbosity;       /* -1, 0, 1: what the steps print, too */
    int out, error;      /* descriptors: results and JSON; progress */
    bool colour_allowed; /* NO_COLOR is asked as well */
} iw_ui_options;

typedef struct iw_ui iw_ui;

/* Never NULL. A live display draws from a thread of its own; the caller's threads are held up by no more than a line. */
iw_ui *iw_ui_open(const iw_ui_options *options);
/* Leaves the terminal as it was. NULL is allowed. */
void iw_ui_close(iw_ui *ui);
const iw_sink *iw_ui_sink(iw_ui *ui); /* borrowed; may be used by any thread */
/* Around output of others: the live area goes, and comes back. */
void iw_ui_pause(iw_ui *ui);
void iw_ui_resume(iw_ui *ui);

#endif
