/* What is written and read of registries (OCI distribution specification 1.1, image specification
 * 1.1) without a network: addresses, tags, manifests, indexes. From strangers, so: bounds. Internal
 * to `share`.
 *
 * A repository holds of what is shared:
 *
 *     blobs                        as elsewhere
 *     <bundle>                     the bundle and its signature: a manifest with two layers
 *     channel-<key id>, keys, keys-<version>     a signed document and its signature, likewise; the
 *                                  signature also as an annotation, so that one request brings it
 *     blobs-<key id>, blobs-<key id>-2, …        all else that the channel names, so that a
 *                                  registry's garbage collection leaves it alone
 *
 * and, as a referrer of each bundle, its manifest.json with the checks' results. */
#ifndef IW_SHARE_OCI_H
#define IW_SHARE_OCI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

#define IW_OCI_LIMIT                                                                               \
    ((size_t)4 << 20)        /* bytes of a manifest or index, as the specification says            \
                              */
#define IW_OCI_LAYERS 16384u /* in one manifest of ours: far below that */
#define IW_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define IW_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define IW_OCI_EMPTY "application/vnd.oci.empty.v1+json"
#define IW_OCI_EMPTY_SHA256 "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define IW_OCI_TITLE "org.opencontainers.image.title"
#define IW_OCI_SIGNATURE "vnd.ironwheel.signature" /* annotation */

/* "host[:port]/name" taken apart; IW_E_USAGE with what is wrong. Both owned by the caller. */
int iw_oci_address(const char *text, char **host, char **name, iw_error *err);
/* Whether "host[:port]" is this machine. */
bool iw_oci_is_loopback(const char *host);
/* A tag of a bundle's name: `+` and `~` become `_`, what is too long is cut. Caller frees. */
char *iw_oci_tag(const char *name);
/* "channels/<id>.json" → "channel-<id>", "keys.json" → "keys", "keys/3.json" → "keys-3", each also
 * with ".minisig" (*signature true then); NULL for any other path. Caller frees. */
char *iw_oci_document_tag(const char *path, bool *signature);
/* The hex digits of "blobs/sha256/<hex>", or NULL; borrowed. */
const char *iw_oci_blob_of(const char *path);

/* --- manifests ------------------------------------------------------------ */

/* An image manifest whose descriptors are of the right shape. IW_E_FORMAT naming `where`, also for
 * one above IW_OCI_LIMIT. Caller drops the reference. */
int iw_oci_manifest_read(const char *text, size_t length, const char *where, json_t **out,
                         iw_error *err);
/* The manifest's annotation, or NULL; borrowed. */
const char *iw_oci_annotation(const json_t *manifest, const char *key);
/* The first layer whose title ends so (or, `without`, doesn't). */
bool iw_oci_layer(const json_t *manifest, const char *ending, bool without,
                  char sha256[IW_SHA256_HEX], uint64_t *size);

/* A new descriptor; `title` and `type` (artifactType) may be NULL. */
json_t *iw_oci_descriptor(const char *media, const char *sha256, uint64_t size, const char *title,
                          const char *type);

/* An image index, as referrers are listed in. Bounds as above. */
int iw_oci_index_read(const char *text, size_t length, const char *where, json_t **out,
                      iw_error *err);
bool iw_oci_index_has(const json_t *index, const char *sha256);

/* --- headers -------------------------------------------------------------- */

/* "0-99" or "bytes=0-99": 100, the bytes that are there. "0-0" may mean none, too: 1. */
bool iw_oci_range_end(const char *text, uint64_t *there);
/* The first error of a registry's answer, "CODE: message", for people: no control characters, not
 * long. NULL where it says none. Caller frees. */
char *iw_oci_error_text(const char *text, size_t length);

#endif
