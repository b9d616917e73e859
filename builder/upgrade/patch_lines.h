/* Whether sources hold what a patch makes of them in other surroundings, where it fits in neither
 * direction: upstream took it over and went on. */
#ifndef IW_UPGRADE_PATCH_LINES_H
#define IW_UPGRADE_PATCH_LINES_H

#include <stdbool.h>

/* True where every run of lines that the patch adds stands in its file below `folder`, one after
 * another, and none that it takes out does; at least one of the added ones must say something
 * (TELLING characters). A guess, for a check to confirm. `text`: the patch, in the unified format;
 * false for others, and for changes that aren't lines (binary ones, modes, renames alone). */
bool iw_patch_lines_stand(const char *folder, const char *text, unsigned strip);

#endif
