/* Of requirement.c and lock.c alone. */
#ifndef IW_TRIAGE_REQUIREMENT_INTERNAL_H
#define IW_TRIAGE_REQUIREMENT_INTERNAL_H

#include "triage/requirement.h"

void iw_want_clear(iw_want *one);
/* Moves *one, which is empty afterwards. */
void iw_requirements_take(iw_requirements *all, iw_want *one, bool constraint);
void iw_requirements_leave_out(iw_requirements *all, const iw_origin *origin, const char *text,
                               const char *why);
/* A trimmed line that is no option: a requirement, perhaps with options of its own behind it. */
void iw_requirements_add_line(iw_requirements *all, const char *text, const iw_origin *origin,
                              bool constraint);

#endif
