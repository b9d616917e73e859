/* Whether a package's patches are still needed: built without each of them. The same bytes prove
 * that it isn't; a check that fails without it, named in its header (`Proof: NAME`), that it is.
 * Internal to `upgrade`, and for `patches --prove`. */
#ifndef IW_UPGRADE_PROOF_H
#define IW_UPGRADE_PROOF_H

#include <jansson.h>

#include "deliver/session.h"

typedef struct iw_patch_proof { /* all borrowed */
    const char *tree;           /* the recipe tree that the session is of */
    const iw_session *session;  /* built: the node has its artifact */
    const iw_node *node;
    const char *work; /* a folder that is made and removed */
} iw_patch_proof;

/* [{package, patch, check, result, why}] for each of the recipe's own patches: result is "needless"
 * (the same content digest without it, for the profiles of every stack of the tree that holds the
 * package), "needed" (its check fails
 * without it, or the build does), "passes" (other bytes, and its check passes all the same),
 * "unproven" (other bytes, and no check is named). The caller has the reference. */
int iw_prove_patches(const iw_patch_proof *proof, json_t **out, iw_error *err);

#endif
