/* Applying a recipe's patches with GNU patch, fuzz 0, inside the sandbox. Internal to `build`. */
#ifndef IW_BUILD_PATCHING_H
#define IW_BUILD_PATCHING_H

#include "build/box.h"

/* Lays the patches at build/patches in order. Ours are checked against their digests; one of a
 * source must be there. */
int iw_patches_lay(const iw_tree *tree, const iw_recipe *recipe, iw_error *err);
/* Applies them; output goes to `log`. A reject is IW_E_BUILD with patch, file and hunk. */
int iw_patches_apply(const iw_box *box, const iw_recipe *recipe, int log,
                     void (*line)(void *context, const char *line), void *context, iw_error *err);

/* What patch said, for the message: pure. `out` must be empty before the first line. */
typedef struct iw_reject {
    size_t patch;    /* number from 1 of the patch being applied */
    char file[512];  /* being patched */
    char what[1024]; /* first failed hunk, or what else patch said; "" where nothing failed */
} iw_reject;
void iw_reject_line(iw_reject *reject, const char *line);

#endif
