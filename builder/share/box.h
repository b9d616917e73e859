/* Another machine of this user's, reached over ssh, on which a program runs for this one. */
#ifndef IW_SHARE_BOX_H
#define IW_SHARE_BOX_H

#include "share/remote.h"

typedef struct iw_box_run {
    const char *script; /* for sh, in the remote's folder, which is made */
    unsigned patience;  /* seconds without a byte, then it is given up; 0: as long as the
                           connection lives, which ssh itself asks for every ten seconds */
    void (*line)(void *context, const char *line); /* of its output; NULL: thrown away */
    void *context;
} iw_box_run;

/* Runs it to its end; `remote` is one of ssh://. Its standard input stays open until then, and ends
 * when this process ends or is cancelled: so it can know that nobody waits any more. IW_E_NETWORK
 * where the box can't be reached or the connection breaks; IW_E_BUILD with the last lines of what
 * it said for another exit status than 0, which *status (may be NULL) gets. Blocks. */
int iw_box_run_there(iw_remote *remote, const iw_box_run *run, int *status, iw_error *err);

#endif
