/* The sandbox of one package: what is bound where, and running one thing after another in it.
 * Internal to `build`. */
#ifndef IW_BUILD_BOX_H
#define IW_BUILD_BOX_H

#include "build/sandbox.h"
#include "build/tree.h"

#define IW_TOOLS_FOLDER "/opt/iw-tools"
#define IW_RUN_FOLDER "/run/ironwheel"
#define IW_WRAPPER_LOG "wrapper.log" /* below /build */

typedef struct iw_box {
    const char *
        root; /* toolchain's root; borrowed, as all below. NULL: no sandbox, the host's own tools */
    const char *helpers; /* folder with iw-cc and iw-init */
    const iw_tree *tree;
    const char *run;           /* host folder that is /run/ironwheel; NULL: none */
    const iw_strings *covered; /* names in /usr/bin that the wrapper is bound over */
    const char *const *environment;
    int cancel;
} iw_box;

/* The environment of a recipe's steps in this box (whose own `environment` isn't read):
 * iw_step_environment with the places as the steps see them. */
void iw_box_environment(const iw_box *box, const iw_recipe *recipe, const iw_profile *profile,
                        unsigned jobs, iw_strings *out);
/* Makes run/objects and run/policy, which tells the wrapper what the profile and the recipe allow.
 * Without a sandbox also run/bin, where the wrapper stands under the name of each of the host's
 * compilers, assemblers and linkers, first in PATH, and run/real with links to those. */
int iw_box_prepare(const iw_box *box, const iw_recipe *recipe, const iw_profile *profile,
                   const char *toolchain, iw_error *err);

/* Fills `sandbox` for `argv` in `folder`; `binds` and `texts` hold what it borrows, freed by the
 * caller (free, iw_strings_free). */
void iw_box_describe(const iw_box *box, const char *folder, const char *const *argv,
                     iw_sandbox *sandbox, iw_bind **binds, iw_strings *texts);
/* Runs argv in `folder`; output goes to `log` and, line by line, to `line`. -1 where the sandbox
 * failed, the network was tried (IW_E_BUILD, whatever its exit status), or it was cancelled
 * (IW_E_CANCELLED); else 0 with the command's own status. */
int iw_box_run(const iw_box *box, const char *folder, const char *const *argv, int log,
               void (*line)(void *context, const char *line), void *context,
               iw_sandbox_result *result, iw_error *err);

#endif
