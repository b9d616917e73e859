/* Bringing a bundle to this rig: verified, resumed, unpacked, switched to in one step. */
#ifndef IW_SHARE_PULL_H
#define IW_SHARE_PULL_H

#include "share/install.h"
#include "share/trust.h"
#include "store/store.h"

/* Single packages in the place of the bundle, where somebody here can put it together. */
typedef struct iw_pull_parts {
    /* Bytes to bring; UINT64_MAX where it can't be. */
    uint64_t (*cost)(void *context, const iw_offer *offer);
    /* A file of the bundle below `folder`, compressed anyhow; *file owned by the caller. */
    int (*make)(void *context, const char *manifest, const char *folder, char **file,
                char tar[IW_SHA256_HEX], iw_error *err);
    void *context;
} iw_pull_parts;

typedef struct iw_pull_options {
    bool stale_ok; /* also from a channel that has expired */
    bool carry;    /* install again, into the new folder, what was installed into the old one */
    bool no_delta;
    bool plan;                  /* only say what would come */
    const iw_pull_parts *parts; /* or NULL */
    /* Gives the store, which keeps wheels that a bundle was pushed without; asked for only then. */
    int (*store)(void *context, iw_store **out, iw_error *err);
    void *context;
    const iw_sink *sink;
    int cancel;
} iw_pull_options;

typedef enum iw_pull_way {
    IW_PULL_NOTHING, /* it is in use already */
    IW_PULL_SWITCH,  /* it is here already, but another one is in use */
    IW_PULL_DELTA,
    IW_PULL_PARTS, /* packages that weren't in the store */
    IW_PULL_WHOLE
} iw_pull_way;

typedef struct iw_pulled {
    iw_pull_way way;
    uint64_t bytes, whole; /* what came; what the whole would have been */
    char *folder;          /* absolute; owned, as all below */
    char *bundle, *key, *owner;
    char *added; /* path of added.txt, or NULL */
    size_t added_count, added_files;
    uint64_t tried;
} iw_pulled;

void iw_pulled_clear(iw_pulled *pulled);
const char *iw_pull_way_name(iw_pull_way way);

/* NAME is a stack (its newest bundle that wasn't withdrawn) or a bundle's full name. Nothing of
 * what is installed changes unless all went well. */
int iw_pull(iw_trust *trust, iw_remote *remote, iw_install *install, const iw_pull_options *options,
            iw_pulled *out, iw_error *err);

#endif
