/* What differs between two bundles, as `diff` and `verify --rebuild` print it. */
#ifndef IW_CLI_COMPARE_H
#define IW_CLI_COMPARE_H

#include "cli/context.h"

int iw_print_differences(iw_context *context, const char *one, const char *other, bool *same,
                         iw_error *err);

#endif
