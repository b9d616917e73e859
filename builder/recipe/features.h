/* Every instruction-set feature that gcc 12 has an -m option for on x86-64, without the -m. Held against `gcc -Q --help=target` by a test. */
#ifndef IW_RECIPE_FEATURES_H
#define IW_RECIPE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

/* Sorted by bytes, NULL-terminated; *count may be NULL. */
const char *const *iw_features(size_t *count);
bool iw_feature_known(const char *name);

#endif
