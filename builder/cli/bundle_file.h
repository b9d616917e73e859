/* A bundle as a file: its digest, and unpacking it whole. Shared by unpack, verify and diff. */
#ifndef IW_CLI_BUNDLE_FILE_H
#define IW_CLI_BUNDLE_FILE_H

#include "base/hash.h"
#include "cli/context.h"

/* Holds the file's SHA-256 against `given`, or, where that is NULL, against what <bundle>.sha256
 * says; *known: there was something to hold it against; `found` gets what the file has. IW_E_DIGEST
 * with both digests where they differ. */
int iw_bundle_check_digest(const char *bundle, const char *given, bool *known,
                           char found[IW_SHA256_HEX], iw_error *err);
/* Unpacks into `temporary` (an empty folder on the same file system), then moves the environment to
 * `target` in one step, or, where that is NULL, to a folder of the bundle's own name below
 * `parent`. *placed owned by the caller. Shows progress through the context's sink. */
int iw_bundle_unpack(iw_context *context, const char *bundle, const char *temporary,
                     const char *parent, const char *target, char **placed, iw_error *err);
/* Prints what differs between two bundles, member by member. */
int iw_bundle_compare(iw_context *context, const char *one, const char *other, bool *same,
                      iw_error *err);

#endif
