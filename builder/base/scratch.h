/* A folder for what one run needs beside its result, outside the store. */
#ifndef IW_BASE_SCRATCH_H
#define IW_BASE_SCRATCH_H

#include "base/error.h"

typedef struct iw_scratch {
    char *path; /* mode 0700; NULL: there is none */
    int lock;   /* flock on the folder itself, which says that its run is alive */
} iw_scratch;

/* A fresh folder "<prefix>XXXXXX" below TMPDIR, or else /var/tmp. This user's folders of that
 * prefix whose runs have ended without removing them (kill -9, a power cut) are removed first. For
 * the caller to close. */
int iw_scratch_open(const char *prefix, iw_scratch *out, iw_error *err);
/* Removes it with all that it holds. Takes one that was never opened, too, if it is all zero. */
void iw_scratch_close(iw_scratch *scratch);

#endif
