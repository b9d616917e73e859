/* What a bundle file says of itself. Internal to `share`. */
#ifndef IW_SHARE_BUNDLE_FACTS_H
#define IW_SHARE_BUNDLE_FACTS_H

#include <jansson.h>

#include "share/channel.h"
#include "share/delta.h"
#include "share/key.h"

typedef struct iw_bundle_facts {
    iw_unpacked digests;
    uint8_t prehash[IW_PREHASH]; /* what a signature of the file is over */
    char *pieces;                /* digests of its pieces (fetch/pieces.h); owned, as all below */
    uint64_t piece;
    char *manifest; /* its text */
    size_t manifest_length;
    char *name, *stack, *version, *profile, *glibc, *python;
    char *restricted; /* packages whose licence isn't a free one, by spaces */
    uint64_t tried;
} iw_bundle_facts;

void iw_bundle_facts_clear(iw_bundle_facts *facts);
/* Reads the whole file, once. IW_E_FORMAT where it is no bundle, IW_E_IO where it grows or shrinks
 * meanwhile. */
int iw_bundle_facts_read(const char *path, iw_bundle_facts *out, iw_error *err);
/* The same of a manifest alone; what is of the file stays empty. */
int iw_bundle_facts_of_manifest(const char *text, size_t length, const char *where,
                                iw_bundle_facts *out, iw_error *err);

#endif
