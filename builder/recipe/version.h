/* Versions of Python packages and conditions on them. Format: the PyPA's "Version specifiers" (PEP
 * 440), with everything that it normalises ("v1.0-RC.1", "1.0-1"). */
#ifndef IW_RECIPE_VERSION_H
#define IW_RECIPE_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recipe/recipe.h"

enum { IW_VERSION_PARTS = 12, IW_VERSION_LOCAL = 48 };

typedef struct iw_version {
    uint64_t epoch;
    uint64_t release[IW_VERSION_PARTS];
    unsigned parts;
    char pre; /* 'a', 'b', 'r' (rc), or 0 */
    uint64_t pre_number;
    bool has_post, has_dev;
    uint64_t post, dev;
    char local[IW_VERSION_LOCAL]; /* normalised, without the `+`; "" where there is none */
} iw_version;

/* False where the text is no version, or one with more parts or larger numbers than these hold. */
bool iw_version_parse(const char *text, iw_version *out);
/* Below, at or above 0 as `a` is older, the same (1.0 and 1.0.0), or newer. */
int iw_version_compare(const iw_version *a, const iw_version *b);
/* A pre-release or a development release. */
bool iw_version_is_early(const iw_version *version);
/* The normal form: "1!2.0rc1.post2.dev3+cu126". Caller frees. */
char *iw_version_text(const iw_version *version);

/* Whether `version` keeps every condition of "…, …" (`>=1.21,<3`, `==1.*`, `~=2.0`, `!=…`, `===…`);
 * "" keeps nothing out. Of early versions only what the operators themselves say: whether such are
 * wanted at all is the caller's. *valid (may be NULL): whether all of it could be read; what can't
 * be read holds for no version. */
bool iw_version_meets(const iw_version *version, const char *conditions, bool *valid);
/* By texts: as iw_version_compare, and what is no version is older than every version (two such by
 * bytes). */
int iw_version_compare_text(const char *a, const char *b);
/* The newest by meaning ("1.10" after "1.9"), one with a local label only where all have one: what
 * is taken, or advised, where nobody names a version. NULL of none. Borrowed. */
const char *iw_version_newest(const iw_list *versions);

#endif
