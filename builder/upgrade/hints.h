/* What a bump that failed has seen of the CPU: where newer instructions may come from, and what of
 * the recipe decides it. Pure. Internal to `upgrade`. */
#ifndef IW_UPGRADE_HINTS_H
#define IW_UPGRADE_HINTS_H

#include <jansson.h>

#include "base/text.h"

typedef struct iw_hint_recipe { /* borrowed */
    const char *const *arguments;
    size_t argument_count;
    const char *path, *text; /* of the file, for places of arguments; or NULL */
} iw_hint_recipe;

/* Sentences for a person, from the failure's text, the build's log (or "") and the recipe:
 * warnings of the build about CPU features, the option whose value such a warning quotes, other
 * options that choose for a CPU, new sources (`instructions` of metadata.h) that the failure names,
 * flags that could be refused. */
void iw_bump_hints(const char *message, const char *log, const json_t *instructions,
                   const iw_hint_recipe *recipe, iw_strings *out);

#endif
