/* Where a pulled bundle stands on this rig:
 *
 *     DIR/NAME                 a link to the folder that is in use
 *     DIR/NAME-<12 of its tar's SHA-256>/
 *     DIR/.NAME.ironwheel.json what is known of these folders; the link alone says which is in use
 *     DIR/.ironwheel-parts/    downloads that broke off */
#ifndef IW_SHARE_INSTALL_H
#define IW_SHARE_INSTALL_H

#include <jansson.h>

#include "share/channel.h"

typedef struct iw_install {
    char *parent, *name; /* DIR, NAME */
    char *link, *state_path, *parts;
    json_t
        *state; /* {"folders": {folder: {"tar", "bundle", "from", "key", "version"}}, "previous"} */
    char *current;   /* folder in use, relative to DIR; NULL: none */
    const char *tar; /* its tar's digest, or NULL; borrowed */
} iw_install;

/* Looks at what is there. IW_E_ENVIRONMENT where NAME is something else than a link of ours. */
int iw_install_open(const char *parent, const char *name, iw_install *out, iw_error *err);
void iw_install_clear(iw_install *install);
/* A field of the folder in use ("from", "bundle" …), or NULL; borrowed. */
const char *iw_install_fact(const iw_install *install, const char *key);
/* "NAME-<12>"; caller frees. */
char *iw_install_folder(const iw_install *install, const char *tar);
/* Makes `folder` the one in use, in one step, and remembers `facts` (the reference is taken) of it;
 * the one before is kept for iw_install_back. */
int iw_install_switch(iw_install *install, const char *folder, json_t *facts, iw_error *err);
/* Back to the one before. IW_E_NOT_FOUND where there is none. */
int iw_install_back(iw_install *install, iw_error *err);
/* Removes all folders but the one in use and the one before. */
int iw_install_prune(iw_install *install, size_t *count, iw_error *err);

#endif
