/* The glibc that a stack's bundle needs, as its file says, against this host and the bundle. */
#ifndef IW_DELIVER_FLOOR_H
#define IW_DELIVER_FLOOR_H

#include "recipe/recipe.h"

/* "base will need glibc 2.35; this host has 2.31: it is for other rigs", or NULL where this host
 * will do or the stack doesn't say. `host`: this host's version, NULL: asked. Caller frees. */
char *iw_floor_warning(const iw_stack *stack, const char *host);
/* IW_E_CHECK where a laid environment needs a newer glibc than the stack says. */
int iw_floor_verify(const iw_stack *stack, const char *environment, iw_error *err);

#endif
