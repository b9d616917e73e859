/* Putting bundles and artifacts where other rigs find them. */
#ifndef IW_SHARE_PUSH_H
#define IW_SHARE_PUSH_H

#include "plan/plan.h"
#include "share/published.h"
#include "share/trust.h"

typedef struct iw_push_item {
    const char *bundle;     /* its file, or NULL */
    const char *bundle_key; /* with its format: what it was made from; or NULL */
    iw_store *store;        /* with `plan`: what is pushed of its nodes, too; or NULL */
    const iw_plan *plan;
    const iw_node *only; /* of its nodes this one alone; NULL: all */
    bool artifacts, wheels;
    iw_published_list published; /* for the pages of these wheels */
} iw_push_item;

#define IW_PUSH_EXPIRES 90                   /* days, unless the user says otherwise */
#define IW_PUSH_SCRATCH "ironwheel-sending-" /* prefix of its `work` (base/scratch.h) */

typedef struct iw_push_options {
    const char *passphrase; /* of the working key, or NULL */
    const char *work;       /* folder for tars that deltas are made of */
    bool verify;            /* read everything back whole */
    bool redistribute;      /* also what isn't free, also to others */
    const char *without;    /* of what isn't free these packages' files stay here, and come from
                               the package index at `pull`; or NULL */
    iw_store *store;        /* with `without`: has their wheels */
    bool renew;             /* sign anew though nothing changed */
    bool no_deltas;
    const char *withdraw; /* with `why`: as iw_channel_withdraw; NULL: nothing */
    const char *why;
    uint64_t prune;   /* bundles kept of each stack and profile; 0: all */
    uint64_t expires; /* days; 0: never */
    const iw_sink *sink;
} iw_push_options;

typedef struct iw_pushed {
    uint64_t version, sent, expires; /* sent: bytes */
    size_t bundles, artifacts, deltas, wheels, pruned, withdrawn;
    bool unchanged;
    char key[IW_KEY_ID];
} iw_pushed;

/* Blobs first, names, index.json, keys, the channel's signature last: whoever reads meanwhile, or
 * after this was killed, sees all of the old state or all of the new. One at a time for each user;
 * others' channels are never touched. IW_E_USAGE for what may not be handed on; what may by word of
 * `redistribute` is named. */
int iw_push(iw_trust *trust, iw_remote *remote, const iw_push_item *items, size_t count,
            const iw_push_options *options, iw_pushed *out, iw_error *err);

#endif
