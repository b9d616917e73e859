/* `push --wheels`: wheels, their index and the lock file, onto any kind of remote. Internal to
 * `share`. */
#ifndef IW_SHARE_PUT_WHEELS_H
#define IW_SHARE_PUT_WHEELS_H

#include "share/key.h"
#include "share/simple.h"

typedef struct iw_put_wheels {
    iw_store *store;
    const iw_plan *plan;
    const iw_secret_key *key; /* signs the lock file */
    const char *work;         /* folder for temporary files */
    bool (*may_go)(void *context, const iw_node *node);
    void *context;
    const iw_strings *audited; /* build keys of artifacts that were audited just now */
    iw_channel *channel;       /* gets them */
    iw_simple index;           /* its label is filled in here */
} iw_put_wheels;

/* Wheels first, then their metadata, the pages, the lock file: whoever installs meanwhile finds
 * what the page that he read names. What is there isn't sent again. Every artifact is audited
 * before, unless it was just now. *count: wheels; *sent: bytes. */
int iw_put_wheels_of(iw_remote *remote, const iw_put_wheels *put, size_t *count, uint64_t *sent,
                     iw_error *err);

#endif
