/* A worker: the process that builds one package, as its parent sees it. Internal to `build`. */
#ifndef IW_BUILD_WORKER_H
#define IW_BUILD_WORKER_H

#include <sys/types.h>

#include "build/package.h"

typedef struct iw_worker {
    iw_node *node;
    char *subject; /* name/version; owned, as all below */
    pid_t pid;
    int events;        /* read end; -1 when the worker has closed it */
    int cancel;        /* write end: one byte stops it */
    iw_buffer partial; /* of a line */
    bool told;         /* the result has come */
    bool reused, cancelled;
    iw_error error;    /* IW_E_NONE: it worked */
    char *phase, *log; /* of the failure */
    double began;
    uint64_t compiles, expected_compiles; /* seen by the broker; in an earlier build */
} iw_worker;

/* Starts it for `job` (whose sink and cancel are ignored): the store is opened again by its path.
 */
int iw_worker_start(iw_worker *worker, const iw_store *store, const iw_job *job, iw_node *node,
                    iw_error *err);
/* Reads what has come, hands events on to `sink`. True when the worker has ended; then its outcome
 * is known. */
bool iw_worker_read(iw_worker *worker, const iw_sink *sink);
void iw_worker_cancel(iw_worker *worker); /* asks it to stop; it kills what it runs */
void iw_worker_kill(iw_worker *worker);
void iw_worker_clear(iw_worker *worker);

#endif
