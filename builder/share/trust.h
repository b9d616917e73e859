/* Whom this user trusts, own keys, and what was seen of each key: below IRONWHEEL_CONFIG, else
 * $XDG_CONFIG_HOME/ironwheel, else ~/.config/ironwheel.
 *
 *     working.key working.pub         own working key (signs channels, nothing else)
 *     keys.json keys.json.minisig     own key file (signed by the recovery key)
 *     signed                          the last version that the working key signed
 *     trust/<id>/keys.json, .minisig, from     an owner: id is a recovery key's
 *     trust/<id>/key.pub, from        a single working key
 *     seen/<key id>.json              versions and digests of its channels, for each place
 *     seen/clock                      the newest time that a believed signature named
 *     seen/<sha256>                   channels, as they were last read
 *     evidence/                       two channels of one version, where a key signed such
 *     remotes.json                    {name: address}
 *     uploads/                        where uploads to registries broke off */
#ifndef IW_SHARE_TRUST_H
#define IW_SHARE_TRUST_H

#include "share/channel.h"
#include "share/remote.h"

#define IW_CLOCK_BUILD UINT64_C(1764374400) /* no clock that is right shows less: 29 Nov 2025 */

typedef struct iw_trusted {
    char id[IW_KEY_ID];
    iw_keys *keys;     /* NULL: a single working key */
    iw_public_key key; /* that one */
    char *from;        /* where it was met */
} iw_trusted;

typedef struct iw_trust {
    char *folder;
    iw_trusted *items;
    size_t count, capacity;
} iw_trust;

/* Reads the folder, which need not exist. A damaged file is an error that names it. */
int iw_trust_open(iw_trust **out, iw_error *err);
/* The same of a folder that isn't this user's own. */
int iw_trust_open_at(const char *folder, iw_trust **out, iw_error *err);
void iw_trust_close(iw_trust *trust);
char *iw_trust_path(const iw_trust *trust, const char *name); /* caller frees */

/* The time, as far as that can be known: the clock's, unless a believed signature or this program
 * is younger. *wrong (may be NULL): the clock shows less than this program's date. */
uint64_t iw_trust_now(const iw_trust *trust, bool *wrong);
/* "2026-11-29 08:05 UTC"; caller frees. */
char *iw_time_text(uint64_t when);

/* --- whom ----------------------------------------------------------------- */

/* A key file with its signature, from memory: checked against itself (one of its own recovery keys
 * signed it). Caller frees *keys. */
int iw_keys_check(const char *text, size_t length, const char *signature, size_t signature_length,
                  const char *where, iw_keys **keys, char signer[IW_KEY_ID], iw_error *err);
/* The key file of a remote, checked so. IW_E_NOT_FOUND where it has none. *text and *signature are
 * owned by the caller. */
int iw_keys_fetch(iw_remote *remote, iw_keys **keys, char signer[IW_KEY_ID], char **text,
                  size_t *length, char **signature, iw_error *err);
/* Remembers an owner or a single key; durable. */
int iw_trust_add_keys(iw_trust *trust, const char *signer, const char *text, const char *signature,
                      const char *from, iw_error *err);
int iw_trust_add_key(iw_trust *trust, const iw_public_key *key, const char *from, iw_error *err);
/* Forgets an owner or key, by its id or the id of one of its keys. IW_E_NOT_FOUND. */
int iw_trust_drop(iw_trust *trust, const char *id, iw_error *err);

/* Whether the remote's key file is a newer one of somebody who is trusted, step by step from the
 * one that is known: takes it then. IW_E_DIGEST for an older one (rollback), for another one of the
 * same version (equivocation), and for one that no recovery key signed. A remote without a key
 * file, or with a stranger's, is none of these. */
int iw_trust_refresh(iw_trust *trust, iw_remote *remote, iw_error *err);

/* --- channels ------------------------------------------------------------- */

typedef struct iw_reading {
    iw_channel *channel; /* owned */
    const iw_trusted *whom;
    iw_public_key key;
    char id[IW_KEY_ID]; /* of the key */
    bool expired;
    char *note; /* what the user should know (a clock, an expiry), or NULL; owned */
} iw_reading;

void iw_reading_clear(iw_reading *reading);

/* The channels of every trusted key that this remote has; *count may be 0. What was seen is
 * remembered, durably, before this returns. IW_E_DIGEST and IW_E_FORMAT for what is refused, with
 * the cause; IW_E_NETWORK where the place can't be reached. Caller clears each, frees *out. */
int iw_channels_read(iw_trust *trust, iw_remote *remote, iw_reading **out, size_t *count,
                     iw_error *err);
void iw_readings_free(iw_reading *readings, size_t count);

/* --- own keys ------------------------------------------------------------- */

/* The own working key. IW_E_ENVIRONMENT, naming `keygen`, where there is none. */
int iw_own_key(const iw_trust *trust, const char *passphrase, iw_secret_key *out, iw_error *err);
/* The own key file; IW_E_NOT_FOUND where there is none. */
int iw_own_keys(const iw_trust *trust, iw_keys **out, iw_error *err);
/* Signs `keys` (its version is raised) with a recovery key and keeps it as the own one; trusts it.
 */
int iw_own_keys_sign(iw_trust *trust, iw_keys *keys, const iw_secret_key *recovery, iw_error *err);
/* The own channel as the remote has it, or a new one; *known false then. */
int iw_own_channel(iw_trust *trust, iw_remote *remote, const iw_secret_key *key,
                   iw_channel **channel, bool *known, iw_error *err);
/* A version that this key hasn't signed yet, above `at_least`; remembered durably. */
int iw_own_version(const iw_trust *trust, uint64_t at_least, uint64_t *version, iw_error *err);
/* Publishes text as blob, under its name, and its signature last: the one write that readers see.
 */
int iw_signed_write(iw_remote *remote, const char *name, const char *text, const iw_stamp *stamp,
                    const iw_secret_key *key, iw_error *err);
/* Publishes the own key file where it is newer than the remote's. */
int iw_own_keys_publish(const iw_trust *trust, iw_remote *remote, iw_error *err);

/* --- remotes -------------------------------------------------------------- */

/* name → address, sorted by name; caller frees both lists. */
int iw_remotes_read(const iw_trust *trust, iw_strings *names, iw_strings *addresses, iw_error *err);
int iw_remotes_put(const iw_trust *trust, const char *name, const char *address, iw_error *err);
/* An address, or the one that a name stands for. Caller frees. */
char *iw_remotes_resolve(const iw_trust *trust, const char *name);

/* Where a blob is: "blobs/sha256/<hex>"; caller frees. */
char *iw_blob_path(const char *sha256);

#endif
