/* What the compiler wrapper covers in /usr/bin. Internal to `build`. */
#ifndef IW_BUILD_NAMES_H
#define IW_BUILD_NAMES_H

#include "base/text.h"

void iw_covered_names(iw_strings *names);

#endif
