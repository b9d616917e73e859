/* What is signed: a channel (what one working key offers at one place) and a key file (which keys
 * belong together, and which are revoked). Both are canonical JSON (canon.h). A channel:
 *
 *     format 1, type "channel", key, version, issued, expires (seconds since 1970; 0: never),
 *     keys_version; bundles {name: …}, artifacts {build key: …}, deltas [ … ],
 *     wheels {SHA-256: …} (channel_wheels.h)
 *
 * and a key file: format 1, type "keys", version, issued, owner, recovery [line], working [line],
 * revoked {key id: {at, good, why}}. */
#ifndef IW_SHARE_CHANNEL_H
#define IW_SHARE_CHANNEL_H

#include "base/arena.h"
#include "share/canon.h"
#include "share/key.h"

#define IW_BUNDLE_SUFFIX ".tar.zst"

typedef struct iw_blob {
    const char *sha256; /* "" where there is none */
    uint64_t size;
} iw_blob;

typedef struct iw_offer { /* a bundle */
    const char *name;     /* without IW_BUNDLE_SUFFIX */
    const char *stack, *version, *profile, *glibc, *python;
    const char *bundle_key; /* with its format: what it was made from; "" where not known */
    iw_blob file, tar, manifest, checks;
    const char *pieces; /* digests of the file's (fetch/pieces.h), so that it can be unpacked while
                           it comes; or "" */
    uint64_t piece;     /* bytes of one */
    iw_blob rest, rest_tar, list; /* where it was pushed without files that aren't free (parts.h):
                                     then `file` isn't there */
    const char *withdrawn;        /* the reason, or "" */
    const char *restricted;       /* packages that may not be handed on freely, by spaces, or "" */
    uint64_t pushed;
    uint64_t order; /* of pushing: larger is later */
    uint64_t tried; /* files that nobody reviewed */
} iw_offer;

typedef struct iw_offered { /* an artifact */
    const char *build_key, *package, *version, *profile;
    const char *withdrawn;         /* the reason, or "" */
    iw_blob file, content, record; /* content: the uncompressed tar */
} iw_offered;

typedef struct iw_offered_delta {
    const char *from, *to; /* SHA-256s of bundles' tars */
    iw_blob file;
} iw_offered_delta;

typedef struct iw_offered_wheel {
    const char *name, *label; /* its file's name; the index that it is in ("k10") */
    const char *bundles;      /* that it is of, by spaces; "": nobody's any more; "*": stays */
    uint64_t dropped;         /* since when it is nobody's; 0: it isn't */
    iw_blob file;
} iw_offered_wheel;

typedef struct iw_channel { /* everything lives in the arena */
    iw_arena *arena;
    char key[IW_KEY_ID];
    uint64_t version, issued, expires, keys_version;
    iw_offer *bundles; /* sorted by name */
    size_t bundle_count, bundle_capacity;
    iw_offered *artifacts; /* sorted by build key */
    size_t artifact_count, artifact_capacity;
    iw_offered_delta *deltas;
    size_t delta_count, delta_capacity;
    iw_offered_wheel *wheels; /* sorted by SHA-256 */
    size_t wheel_count, wheel_capacity;
} iw_channel;

iw_channel *iw_channel_new(const char *key);
void iw_channel_free(iw_channel *channel); /* NULL is legal */
int iw_channel_parse(const char *text, size_t length, const char *where, iw_channel **out,
                     iw_error *err);
char *iw_channel_write(const iw_channel *channel); /* caller frees */

const iw_offer *iw_channel_bundle(const iw_channel *channel, const char *name);
const iw_offered *iw_channel_artifact(const iw_channel *channel, const char *build_key);
/* Adds or replaces; what the entry points to is copied. */
void iw_channel_put_bundle(iw_channel *channel, const iw_offer *bundle);
void iw_channel_put_artifact(iw_channel *channel, const iw_offered *artifact);
void iw_channel_put_delta(iw_channel *channel, const iw_offered_delta *delta);
void iw_channel_drop_bundle(iw_channel *channel, const char *name);
/* Marks a bundle (by its full name), a package ("numpy/1.26.4") or one artifact (its build key) as
 * withdrawn, for `why`; "": no longer. The number of entries that it stands for. */
size_t iw_channel_withdraw(iw_channel *channel, const char *what, const char *why);
/* Calls `each` with every blob that the channel names. */
void iw_channel_blobs(const iw_channel *channel, void (*each)(void *context, const iw_blob *blob),
                      void *context);

typedef struct iw_revoked {
    const char *id, *why;
    uint64_t at, good; /* good: channels up to that version stay valid */
} iw_revoked;

typedef struct iw_keys {
    iw_arena *arena;
    uint64_t version, issued;
    const char *owner;
    iw_public_key *recovery, *working;
    size_t recovery_count, recovery_capacity, working_count, working_capacity;
    iw_revoked *revoked;
    size_t revoked_count, revoked_capacity;
} iw_keys;

iw_keys *iw_keys_new(const char *owner);
void iw_keys_free(iw_keys *keys);
int iw_keys_parse(const char *text, size_t length, const char *where, iw_keys **out, iw_error *err);
char *iw_keys_write(const iw_keys *keys);
void iw_keys_add(iw_keys *keys, const iw_public_key *key, bool recovery);
void iw_keys_revoke(iw_keys *keys, const char *id, uint64_t at, uint64_t good, const char *why);
/* NULL where it isn't among them. */
const iw_public_key *iw_keys_recovery(const iw_keys *keys, const char *id);
const iw_public_key *iw_keys_working(const iw_keys *keys, const char *id);
const iw_revoked *iw_keys_revoked(const iw_keys *keys, const char *id);

/* --- how they are signed -------------------------------------------------- */

/* A signature's comment: "ironwheel channel version=3 issued=… expires=… sha256=… size=…". It names
 * the blob that was signed: so one small file says which version is the current one. */
typedef struct iw_stamp {
    char kind[8]; /* channel, keys */
    uint64_t version, issued, expires;
    char sha256[IW_SHA256_HEX];
    uint64_t size;
} iw_stamp;

char *iw_stamp_write(const iw_stamp *stamp);
int iw_stamp_parse(const char *comment, const char *where, iw_stamp *out, iw_error *err);

#endif
