/* New upstream releases among Debian's versions of a source package. Internal to `upgrade`; pure.
 */
#ifndef IW_UPGRADE_DEBIAN_H
#define IW_UPGRADE_DEBIAN_H

#include "fetch/fetch.h"
#include "upgrade/candidates.h"

/* Upstream's version in one of Debian's: "1:1.3.dfsg+really1.3.1-1" is 1.3.1. Caller frees. */
char *iw_debian_upstream(const char *version);

/* Of a recipe's first source, a `debian` one. `recipe_version` is what the recipe is called. Each
 * candidate's `url` is Debian's version. */
int iw_candidates_debian(const iw_source *source, const char *recipe_version,
                         const iw_debian_releases *releases, const iw_candidate_rules *rules,
                         iw_candidates *out, iw_error *err);

/* The file of `release` that stands for an old one: the same package's, of the same kind (orig,
 * orig-part, debian, diff). Its index, or -1. */
int iw_debian_counterpart(const iw_debian_release *release, const char *old_file);

#endif
