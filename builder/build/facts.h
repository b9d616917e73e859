/* What an artifact remembers of how it was built: JSON. Internal to `build`. */
#ifndef IW_BUILD_FACTS_H
#define IW_BUILD_FACTS_H

#include <jansson.h>

#include "recipe/recipe.h"

/* The object of iw_finish_tree (`finish`, may be NULL) with `licence`, `sources`, `patches`, `wrapper` (what the wrapper logged in `run`) and
 * `measured` (seconds of each phase, borrowed: differs from build to build, so nothing that must be reproducible may use it). `removed`: how many
 * flags the wrapper took out. Caller frees. */
char *iw_artifact_facts(const iw_recipe *recipe, const char *finish, const char *run, json_t *seconds, uint64_t *removed);

#endif
