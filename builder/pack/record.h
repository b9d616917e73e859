/* RECORD files of installed Python packages (PyPA specification "Recording installed projects").
 * For `pack` and
 * `share`. */
#ifndef IW_PACK_RECORD_H
#define IW_PACK_RECORD_H

#include "base/error.h"
#include "base/text.h"

/* Rewrites tree/relative so that it is true again: digests and sizes of what is there, nothing of
 * what isn't, no .pyc. */
int iw_record_fix(const char *tree, const char *relative, iw_error *err);
/* The paths below `tree` that tree/relative names, cleaned; what leads out of it is left out. */
int iw_record_read(const char *tree, const char *relative, iw_strings *out, iw_error *err);
/* Writes tree/relative anew, of every file below `tree`, sorted. */
int iw_record_make(const char *tree, const char *relative, iw_error *err);

#endif
