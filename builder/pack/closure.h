/* Internal to `pack`: every needed shared library is in the environment, or glibc's own. */
#ifndef IW_PACK_CLOSURE_H
#define IW_PACK_CLOSURE_H

#include "base/error.h"

int iw_check_closure(const char *environment, iw_error *err);

#endif
