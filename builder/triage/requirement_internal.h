/* Of requirement.c, lock.c and given.c alone. */
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

/* What that Python prints when it runs `code` with one argument. Caller frees *out. */
int iw_requirements_ask(const iw_strings *python, const iw_strings *environment, const char *code,
                        const char *argument, char **out, iw_error *err);

#endif
