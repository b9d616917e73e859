/* What a package says of itself, read as data by a Python in a sandbox: nothing of the package is
 * imported or run. Internal to the room. */
#ifndef IW_UPGRADE_ASK_H
#define IW_UPGRADE_ASK_H

#include <jansson.h>

#include "base/error.h"

/* `root`: that of the toolchain file `checks`. `passing`: a folder that keeps bytecode from one
 * question to the next. `folder` holds `src`, an unpacked sdist ("sdist") or
 * an installed package or wheel ("installed"); two files come beside it. The keys of the answer:
 * sdist.py. The caller has the reference. IW_E_FORMAT where it can't be read. Blocks. */
int iw_ask(const char *root, const char *passing, const char *folder, const char *what,
           json_t **out, iw_error *err);

#endif
