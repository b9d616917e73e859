/* Whether addresses have a file, without downloading it. Internal to `fetch`. */
#ifndef IW_FETCH_PROBE_H
#define IW_FETCH_PROBE_H

#include "fetch/transfer.h"

typedef struct iw_probe {
    const char *url; /* http(s), or a local path ("/…"); borrowed */
    bool there;
    uint64_t size; /* bytes; 0: not told */
    iw_error err;  /* why it isn't there; IW_E_NOT_FOUND: it is gone. The caller clears it */
} iw_probe;

/* Asks all, options->parallel at once: HEAD; where a server doesn't take that, the first byte. What
 * may pass is tried again. -1 only when cancelled, or curl can't start. Blocks. */
int iw_probe_all(iw_probe *probes, size_t count, const iw_transfer_options *options, iw_error *err);

#endif
