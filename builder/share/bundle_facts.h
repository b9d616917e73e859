/* What a bundle file says of itself. Internal to `share`. */
#ifndef IW_SHARE_BUNDLE_FACTS_H
#define IW_SHARE_BUNDLE_FACTS_H

#include <jansson.h>

#include "share/channel.h"
#include "share/delta.h"

typedef struct iw_bundle_facts {
    iw_unpacked digests;
    char *manifest; /* its text; owned, as all below */
    size_t manifest_length;
    char *name, *stack, *version, *profile, *glibc, *python;
    char *restricted; /* packages whose licence isn't a free one, by spaces */
    uint64_t tried;
} iw_bundle_facts;

void iw_bundle_facts_clear(iw_bundle_facts *facts);
/* Reads the whole file. IW_E_FORMAT where it is no bundle. */
int iw_bundle_facts_read(const char *path, iw_bundle_facts *out, iw_error *err);
/* The same of a manifest alone; digests stay empty. */
int iw_bundle_facts_of_manifest(const char *text, size_t length, const char *where,
                                iw_bundle_facts *out, iw_error *err);

#endif
