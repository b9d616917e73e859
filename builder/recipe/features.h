/* Every instruction-set feature that gcc 12 has an -m option for on x86-64, without the -m. Held
 * against `gcc -Q --help=target` by a test. */
#ifndef IW_RECIPE_FEATURES_H
#define IW_RECIPE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

/* Sorted by bytes, NULL-terminated; *count may be NULL. */
const char *const *iw_features(size_t *count);
bool iw_feature_known(const char *name);

/* Names that the audit gives features which gcc 12 has no option for: what is newer than it, and
 * what gcc leaves to the assembler. An exception may excuse them; a profile can't allow them.
 * Sorted, NULL-terminated. */
const char *const *iw_features_beyond(void);
/* Either list holds it. */
bool iw_feature_named(const char *name);

#endif
