/* What an artifact remembers of how it was built: JSON. Internal to `build`. */
#ifndef IW_BUILD_FACTS_H
#define IW_BUILD_FACTS_H

#include <jansson.h>

#include "recipe/recipe.h"

typedef struct iw_wrapper_summary { /* of the wrapper's log */
    json_t *removed;                /* flag: how often; owned */
    uint64_t removed_count, denied, hits, misses;
} iw_wrapper_summary;

/* Reads the wrapper's log ("removed -mavx2", "hit a.c", …); a missing one gives zeros. */
void iw_wrapper_summary_read(const char *path, iw_wrapper_summary *out);
void iw_wrapper_summary_clear(iw_wrapper_summary *summary);

/* The object of iw_finish_tree (`finish`, may be NULL) with `licence`, `system`, `sources`,
 * `patches`, `removed-flags` and `measured` (seconds of each phase, object cache hits: these differ
 * from build to build, so nothing that must be reproducible may use them). `seconds` is borrowed.
 * Caller frees. */
char *iw_artifact_facts(const iw_recipe *recipe, const char *finish,
                        const iw_wrapper_summary *wrapper, json_t *seconds);

#endif
