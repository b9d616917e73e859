/* A bundle that somebody else has packed and signed, put together here of single packages: where
 * the tree is the one that it was made from, and most packages are in the store. */
#ifndef IW_DELIVER_ASSEMBLE_H
#define IW_DELIVER_ASSEMBLE_H

#include "deliver/session.h"

/* Bytes that options.cache would have to bring for the bundle's packages, the plan being a new one
 * afterwards; UINT64_MAX where something is neither in the store nor offered, or where the bundle
 * of `bundle_key` is another one than this plan's. */
uint64_t iw_session_parts_cost(iw_session *session, const char *bundle_key);
/* Brings them, and writes the bundle below `folder`, with what its manifest says of checks and
 * audit; *file owned by the caller, *tar the digest of its uncompressed tar: it tells whether this
 * is the bundle. */
int iw_session_assemble(iw_session *session, const char *manifest, const char *folder, char **file,
                        char tar[IW_SHA256_HEX], iw_error *err);

#endif
