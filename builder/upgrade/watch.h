/* New releases by the links of a page or the tags of a repository: what a recipe's `watch` says of
 * a `url` or `git` source. Internal to `upgrade`; pure. */
#ifndef IW_UPGRADE_WATCH_H
#define IW_UPGRADE_WATCH_H

#include "recipe/recipe.h"
#include "upgrade/candidates.h"

/* The page to look at: the address before the pattern, else the folder of the first source's own.
 * *pattern is borrowed from the recipe; caller frees *page. */
void iw_watch_read(const iw_recipe *recipe, char **page, const char **pattern);

/* Every link of `html` (at `page`) whose last part fits the extended regular expression; its first
 * group is the version. IW_E_RECIPE where the pattern is none, or has no group. */
int iw_candidates_watch(const iw_recipe *recipe, const char *html, const char *page,
                        const char *pattern, const iw_candidate_rules *rules, iw_candidates *out,
                        iw_error *err);

/* Every tag that fits likewise; `file` of a candidate is the tag, `url` its commit. */
int iw_candidates_tags(const iw_recipe *recipe, const iw_strings *names, const iw_strings *commits,
                       const char *pattern, const iw_candidate_rules *rules, iw_candidates *out,
                       iw_error *err);

#endif
