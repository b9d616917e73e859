/* A copy of the recipe tree in which something is tried, and small trees made from it. Internal to
 * the room. */
#ifndef IW_UPGRADE_RIG_H
#define IW_UPGRADE_RIG_H

#include "base/error.h"
#include "base/text.h"
#include "plan/plan.h"
#include "store/store.h"

typedef struct iw_rig {
    char *folder; /* owned; below the store's tmp/ */
    char *tree;   /* holds recipes/ and patches/ */
} iw_rig;

/* Copies recipes/ and patches/ of `root`. To be closed in any case. */
int iw_rig_open(iw_store *store, const char *root, iw_rig *rig, iw_error *err);
void iw_rig_close(iw_rig *rig);
/* Writes a file of the copy, `path` below its root; folders are made. */
int iw_rig_write(const iw_rig *rig, const char *path, const char *text, iw_error *err);
/* A version for every package that has recipes of several: `wanted` ("name version") first, then
 * what stack `base` says, then the newest without a local label. As lines of a stack's `pins`. */
int iw_rig_pins(const iw_rig *rig, const iw_strings *wanted, const iw_strings *except,
                iw_buffer *out, iw_error *err);
/* What stack `base` says of a package, else the newest recipe; NULL: there is none. Borrowed from
 * the catalog. */
int iw_rig_usual(iw_catalog *catalog, const char *name, const char **version, iw_error *err);
/* Makes `folder` a tree of its own from what the plan needs: its recipes, their files and patches,
 * profiles, the toolchain files and the stack. Files of the same bytes stay; IW_E_USAGE where one
 * is there with others, and then nothing was written. */
int iw_rig_export(const iw_rig *rig, const iw_plan *plan, const char *folder, iw_error *err);

#endif
