/* Writing what is shared: an OCI image layout (https://github.com/opencontainers/image-spec,
 * image-layout.md) with names for people beside the blobs. Whoever adds a kind of thing (wheels,
 * pages) writes through this, and lets the channel, which comes last, name it. */
#ifndef IW_SHARE_LAYOUT_H
#define IW_SHARE_LAYOUT_H

#include "share/channel.h"
#include "share/remote.h"

#define IW_MEDIA_BUNDLE "application/vnd.ironwheel.bundle.v1"
#define IW_MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar+zstd"
#define IW_MEDIA_SIGNATURE "application/vnd.ironwheel.signature.v1"
#define IW_MEDIA_BLOBS "application/vnd.ironwheel.blobs.v1"
#define IW_MEDIA_PROOF "application/vnd.ironwheel.proof.v1"
#define IW_MEDIA_JSON "application/json"

typedef struct iw_layout iw_layout;

/* Makes a folder that is to be a remote (its parent must be there), and `oci-layout` where it is
 * missing. `verify`: what was written is read back whole, else its ends. Caller closes. */
int iw_layout_open(iw_remote *remote, bool verify, iw_layout **out, iw_error *err);
void iw_layout_close(iw_layout *layout);

/* Puts a file as a blob, unless one of that size is there; then reads it back. */
int iw_layout_put_file(iw_layout *layout, const char *file, const char *sha256, uint64_t size,
                       iw_error *err);
int iw_layout_put_bytes(iw_layout *layout, const void *data, size_t length,
                        char sha256[IW_SHA256_HEX], iw_error *err);
/* A name beside the blobs for one of them; where the place can make none, that is told once. */
int iw_layout_name(iw_layout *layout, const char *sha256, const char *name, iw_error *err);

typedef struct iw_layer {
    const char *media, *sha256, *title;
    uint64_t size;
} iw_layer;

/* A manifest under a name, for OCI's clients: the same bytes for the same layers. Kept until
 * iw_layout_finish puts it into index.json, beside what others have there. */
int iw_layout_manifest(iw_layout *layout, const char *name, const char *type,
                       const iw_layer *layers, size_t count, iw_error *err);
/* At a registry: a referrer of that manifest (its text), with these layers. Elsewhere nothing. */
int iw_layout_attach(iw_layout *layout, const char *to, const char *type, const iw_layer *layers,
                     size_t count, iw_error *err);
/* At a registry: manifests that name all these, so that its garbage collection leaves them; sorts
 * them. Elsewhere nothing: there prune looks into the channels. */
int iw_layout_keep(iw_layout *layout, const char *key, iw_blob *blobs, size_t count, iw_error *err);
void iw_layout_forget(iw_layout *layout, const char *name); /* no longer in index.json */
int iw_layout_finish(iw_layout *layout, iw_error *err);
uint64_t iw_layout_sent(const iw_layout *layout); /* bytes */

/* The bytes of such a manifest; `subject` (what it refers to) may be NULL. Caller frees. */
char *iw_layout_manifest_text(const char *type, const iw_layer *layers, size_t count,
                              const iw_layer *subject);

#endif
