/* What pip's `check` says of two distributions that don't go together. */
#ifndef IW_UPGRADE_CLASH_H
#define IW_UPGRADE_CLASH_H

#include "base/text.h"
#include "upgrade/requirement.h"

typedef struct iw_clash {
    char *asks; /* as a project's name; owned */
    iw_requirement need;
} iw_clash;

/* A line of it: "A 1 has requirement B<2, but you have B 3." or "A 1 requires C, which is not
 * installed." (pip's commands/check.py). False, and nothing to clear, where it is another one. */
bool iw_clash_read(iw_slice line, const char *python, iw_clash *out);
void iw_clash_clear(iw_clash *clash);

#endif
