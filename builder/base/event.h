/* Events: what rooms tell about their work. Only `ui` renders them; `cli --json` prints them as
 * JSON lines. */
#ifndef IW_BASE_EVENT_H
#define IW_BASE_EVENT_H

#include <stdint.h>

typedef enum iw_event_type {
    IW_EVENT_PLAN, /* subject: package, detail: reason, count: 1 to build, 0 reused; total: expected
                      milliseconds */
    IW_EVENT_STARTED,  /* subject, phase */
    IW_EVENT_PROGRESS, /* subject, phase, count of total (total 0: unknown); for downloads, bytes
                          (unit "B") */
    IW_EVENT_LINE,     /* subject, phase, detail: one line of output */
    IW_EVENT_FINISHED, /* subject, phase, count: milliseconds, detail: "built", "reused", "fetched",
                          … */
    IW_EVENT_FAILED,   /* subject, phase, detail: the message; path: the log */
    IW_EVENT_NOTE,  /* detail: something the user should know, e.g. a flag that the wrapper removed
                     */
    IW_EVENT_RESULT /* path: the bundle, detail: its sha256, part: that of its uncompressed tar,
                       which is its identity; subject: its report */
} iw_event_type;

/* Borrowed pointers, valid during the call; any may be NULL. */
typedef struct iw_event {
    iw_event_type type;
    const char *subject; /* package "numpy/1.26.4", or file name of a download */
    const char *
        part; /* which of a subject's things that run at once: a check's name; NULL: there is one */
    const char *phase; /* fetch, unpack, patch, prepare, configure, compile, install, finish, pack,
                          check, checks, bundle */
    const char *detail;
    const char *path;
    const char *unit; /* of count and total; NULL: steps. "stages" differ: they tell no pace */
    uint64_t count, total;
    int64_t when; /* milliseconds, CLOCK_MONOTONIC; filled by iw_emit where 0 */
} iw_event;

typedef struct iw_sink {
    void (*emit)(void *context, const iw_event *event);
    void *context;
} iw_sink;

void iw_emit(const iw_sink *sink,
             iw_event event);                  /* sink or its emit may be NULL: nothing happens */
const char *iw_event_name(iw_event_type type); /* "started" … as in the JSON lines */
/* One JSON line without the newline; caller frees. */
char *iw_event_to_json(const iw_event *event);
/* The reverse, for events that cross a pipe. `*holder` owns the strings: free it with free() after
 * use. */
struct iw_error;
int iw_event_from_json(const char *line, iw_event *event, void **holder, struct iw_error *err);

#endif
