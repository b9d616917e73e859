/* The host's own tools, for builds without a sandbox. */
#ifndef IW_BUILD_HOST_H
#define IW_BUILD_HOST_H

#include "recipe/recipe.h"

/* Where PATH has `name` (absolute entries only): caller frees; NULL where it hasn't. */
char *iw_host_find(const char *name);
/* PATH's absolute entries, "/usr/bin:/bin" where there are none. Caller frees. */
char *iw_host_path(void);

/* Describes them as a toolchain without packages: `summary` names versions, the digest covers the
 * compiler's, binutils', the C library's and the build tools' files. Reads them (some 100 MB).
 * IW_E_ENVIRONMENT names what is missing. Free with iw_host_toolchain_free. */
int iw_host_toolchain(iw_toolchain **out, iw_error *err);
void iw_host_toolchain_free(iw_toolchain *toolchain);

#endif
