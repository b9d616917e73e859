/* Sending one blob to a registry: in one piece, or, where it is large, in chunks that are continued
 * where a connection or a whole push broke off. Internal to `share`. */
#ifndef IW_SHARE_UPLOAD_H
#define IW_SHARE_UPLOAD_H

#include "share/remote_kinds.h"

typedef struct iw_upload {
    iw_remote *remote; /* a registry */
    const char *sha256;
    const char *data; /* or NULL: of `file` */
    int file;
    uint64_t size;
    const char *label; /* for progress */
    /* own */
    char *location; /* of the session */
    uint64_t at;    /* bytes that are there */
    uint64_t chunk;
    bool refused; /* it was said that it isn't taken */
    char *note;   /* file that remembers the session, or NULL */
} iw_upload;

/* The registry itself looks at the digest; IW_E_DIGEST where it finds another one. */
int iw_upload_send(iw_upload *upload, iw_error *err);

#endif
