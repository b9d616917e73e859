/* The wheel iw-cpu: a start-up hook that looks at what the kernel says of the CPU. Where that lacks
 * what a profile's code needs, importing a compiled package of that profile is an ImportError that
 * says so; everything else goes on working. Internal to `share`. */
#ifndef IW_SHARE_GUARD_H
#define IW_SHARE_GUARD_H

#include "recipe/recipe.h"

#define IW_GUARD_PROJECT "iw-cpu"
#define IW_GUARD_VERSION "1" /* changes with the text below */

/* Writes the hook's files into a wheel's tree. */
int iw_guard_lay(const char *tree, const iw_profile *profile, const char *label, iw_error *err);

#endif
