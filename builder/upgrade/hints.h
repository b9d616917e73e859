/* What a bump that failed has seen of the CPU: where newer instructions may come from, and what of
 * the recipe decides it. Pure. Internal to `upgrade`. */
#ifndef IW_UPGRADE_HINTS_H
#define IW_UPGRADE_HINTS_H

#include <jansson.h>

#include "base/text.h"

/* Sentences for a person, from the failure's text, the build's log (or "") and the recipe's
 * arguments: warnings of the build about CPU features, new sources (`instructions` of metadata.h)
 * that the failure names, options that choose for a CPU, flags that could be refused. */
void iw_bump_hints(const char *message, const char *log, const json_t *instructions,
                   const char *const *arguments, size_t argument_count, iw_strings *out);

#endif
