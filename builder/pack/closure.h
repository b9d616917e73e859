/* Internal to `pack`: every needed shared library is in the environment, or glibc's own. */
#ifndef IW_PACK_CLOSURE_H
#define IW_PACK_CLOSURE_H

#include "plan/plan.h"

/* What recipes of the plan's bundle excuse (`relocation: host-libraries`) may be missing; `plan`
 * may be NULL. */
int iw_check_closure(const char *environment, const iw_plan *plan, iw_error *err);

#endif
