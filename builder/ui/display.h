/* What the user sees, as a pure function: events change a state, and a state gives lines and
 * frames. No clock, no terminal. */
#ifndef IW_UI_DISPLAY_H
#define IW_UI_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/event.h"
#include "base/text.h"

typedef struct iw_display iw_display;

typedef struct iw_display_style {
    bool colour;  /* SGR sequences */
    bool verbose; /* lines of output and every phase, too */
    bool plain;   /* for a pipe: also what a live display would show, now and then */
    bool ascii;   /* the terminal can't show more */
} iw_display_style;

iw_display *iw_display_new(
    const iw_display_style *style); /* never NULL; free with iw_display_free */
void iw_display_free(iw_display *display);

/* Takes an event in (its `when`, in milliseconds, is the only clock) and adds to `lines` what is to
 * stand for good, each line with its newline. */
void iw_display_event(iw_display *display, const iw_event *event, iw_buffer *lines);

/* The live area at `now` (milliseconds): a line for each thing that runs and one with the total; at
 * most `height` lines of at most `width` columns, each with a newline; nothing where nothing runs.
 * Returns how many. */
size_t iw_display_frame(const iw_display *display, size_t width, size_t height, int64_t now,
                        iw_buffer *out);

#endif
