/* RECORD files of installed Python packages (PyPA specification "Recording installed projects").
 * Internal to `pack`. */
#ifndef IW_PACK_RECORD_H
#define IW_PACK_RECORD_H

#include "base/error.h"

/* Rewrites tree/relative so that it is true again: digests and sizes of what is there, nothing of
 * what isn't, no .pyc. */
int iw_record_fix(const char *tree, const char *relative, iw_error *err);

#endif
