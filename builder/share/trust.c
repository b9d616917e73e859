#include "share/trust.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/seen.h"

#define SIGNATURE_LIMIT ((size_t)4096)
#define READS 4        /* of a channel that others write meanwhile */
#define CHAIN_LIMIT 64 /* key files between the known one and the newest */

char *iw_blob_path(const char *sha256)
{
    return iw_format("blobs/sha256/%s", sha256);
}

char *iw_trust_path(const iw_trust *trust, const char *name)
{
    return iw_path_join(trust->folder, name);
}

/* --- reading what is trusted ---------------------------------------------- */

static char *config_folder(void)
{
    const char *given = getenv("IRONWHEEL_CONFIG"), *base = getenv("XDG_CONFIG_HOME"),
               *home = getenv("HOME");
    if (given && *given) return iw_strdup(given);
    if (base && *base == '/') return iw_path_join(base, "ironwheel");
    return iw_path_join(home && *home ? home : "/root", ".config/ironwheel");
}

static void trusted_clear(iw_trusted *one)
{
    iw_keys_free(one->keys);
    free(one->from);
}

static int read_pair(const char *folder, const char *name, char **text, size_t *length,
                     char **signature, size_t *signature_length, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(folder, name),
                         *beside = iw_format("%s.minisig", path);
    *text = *signature = NULL;
    return iw_read_file(path, IW_CANON_LIMIT, text, length, err) == 0 &&
                   iw_read_file(beside, SIGNATURE_LIMIT, signature, signature_length, err) == 0
               ? 0
               : -1;
}

static int load_owner(const char *folder, iw_keys **keys, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *signature = NULL;
    size_t length, signature_length;
    char signer[IW_KEY_ID];
    if (read_pair(folder, "keys.json", &text, &length, &signature, &signature_length, err) != 0)
        return -1;
    /* Its signer may stand in the one before it only: it was checked when it was taken. */
    (void)signer, (void)signature_length;
    return iw_keys_parse(text, length, folder, keys, err);
}

static int load_one(iw_trust *trust, const char *id, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("trust/%s", id), *folder = iw_trust_path(trust, name),
                         *single = iw_path_join(folder, "key.pub"),
                         *from = iw_path_join(folder, "from"), *text = NULL;
    iw_trusted one = {.keys = NULL};
    snprintf(one.id, sizeof one.id, "%s", id);
    if (iw_exists(single)) {
        if (iw_read_file(single, SIGNATURE_LIMIT, &text, NULL, err) != 0 ||
            iw_key_parse(text, single, &one.key, err) != 0)
            return -1;
    } else if (load_owner(folder, &one.keys, err) != 0) {
        return -1;
    }
    if (iw_read_file(from, SIGNATURE_LIMIT, &one.from, NULL, NULL) != 0) one.from = iw_strdup("");
    one.from[strcspn(one.from, "\n")] = 0;
    iw_grow((void **)&trust->items, &trust->capacity, trust->count + 1, sizeof *trust->items);
    trust->items[trust->count++] = one;
    return 0;
}

static int load_all(iw_trust *trust, iw_error *err)
{
    iw_cleanup_free char *folder = iw_trust_path(trust, "trust");
    iw_cleanup_strings iw_strings names = {0};
    DIR *open = opendir(folder);
    if (!open && errno == ENOENT) return 0;
    if (!open) return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't read %s", folder);
    for (const struct dirent *entry; (entry = readdir(open));)
        if (strlen(entry->d_name) == IW_KEY_ID - 1) iw_strings_add(&names, entry->d_name);
    closedir(open);
    iw_strings_sort(&names);
    for (size_t i = 0; i < names.count; i++)
        if (load_one(trust, names.items[i], err) != 0) return -1;
    return 0;
}

static void forget_all(iw_trust *trust)
{
    for (size_t i = 0; i < trust->count; i++) trusted_clear(&trust->items[i]);
    trust->count = 0;
}

static int reload(iw_trust *trust, iw_error *err)
{
    forget_all(trust);
    return load_all(trust, err);
}

int iw_trust_open(iw_trust **out, iw_error *err)
{
    iw_cleanup_free char *folder = config_folder();
    return iw_trust_open_at(folder, out, err);
}

int iw_trust_open_at(const char *folder, iw_trust **out, iw_error *err)
{
    iw_trust *trust = iw_alloc(sizeof *trust);
    trust->folder = iw_strdup(folder);
    *out = trust;
    if (load_all(trust, err) == 0) return 0;
    iw_trust_close(trust);
    *out = NULL;
    return -1;
}

void iw_trust_close(iw_trust *trust)
{
    if (!trust) return;
    forget_all(trust);
    free(trust->items);
    free(trust->folder);
    free(trust);
}

/* --- time ----------------------------------------------------------------- */

char *iw_time_text(uint64_t when)
{
    time_t t = (time_t)when;
    struct tm at;
    char text[64] = "";
    if (gmtime_r(&t, &at)) strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &at);
    return iw_strdup(text);
}

uint64_t iw_trust_now(const iw_trust *trust, bool *wrong)
{
    time_t clock = time(NULL);
    uint64_t now = clock > 0 ? (uint64_t)clock : 0, seen = iw_seen_clock(trust);
    if (wrong) *wrong = now < IW_CLOCK_BUILD;
    if (now < IW_CLOCK_BUILD) now = IW_CLOCK_BUILD;
    return seen > now ? seen : now;
}

/* --- key files ------------------------------------------------------------ */

/* What `key` signed of `text`, with a stamp of that kind that fits. */
static int check_signed(const iw_signature *signature, const iw_public_key *key, const char *kind,
                        const char *text, size_t length, const char *where, iw_stamp *stamp,
                        iw_error *err)
{
    char digest[IW_SHA256_HEX];
    if (iw_signature_check(signature, key, text, length, where, err) != 0 ||
        iw_stamp_parse(signature->comment, where, stamp, err) != 0)
        return -1;
    iw_hash_bytes(text, length, digest);
    if (strcmp(stamp->kind, kind) != 0 || strcmp(stamp->sha256, digest) != 0 ||
        stamp->size != length)
        return iw_fail(err, IW_E_DIGEST, "%s: its comment tells of another file", where);
    return 0;
}

static int check_keys(const iw_keys *by, const iw_keys *keys, const iw_signature *signature,
                      const char *text, size_t length, const char *where, iw_error *err)
{
    char id[IW_KEY_ID];
    iw_stamp stamp;
    iw_signature_id(signature, id);
    const iw_public_key *key = iw_keys_recovery(by, id);
    if (!key)
        return iw_fail(err, IW_E_DIGEST,
                       "%s was signed by key %s, which is none of the recovery keys: a working key "
                       "may not sign key files",
                       where, id);
    if (check_signed(signature, key, "keys", text, length, where, &stamp, err) != 0) return -1;
    return stamp.version == keys->version && stamp.issued == keys->issued
               ? 0
               : iw_fail(err, IW_E_DIGEST, "%s and its signature tell of different versions",
                         where);
}

int iw_keys_check(const char *text, size_t length, const char *signature, size_t signature_length,
                  const char *where, iw_keys **keys, char signer[IW_KEY_ID], iw_error *err)
{
    iw_signature parsed;
    *keys = NULL;
    if (iw_signature_parse(signature, signature_length, where, &parsed, err) != 0 ||
        iw_keys_parse(text, length, where, keys, err) != 0)
        return -1;
    iw_signature_id(&parsed, signer);
    if (check_keys(*keys, *keys, &parsed, text, length, where, err) == 0) return 0;
    iw_keys_free(*keys);
    *keys = NULL;
    return -1;
}

/* The blob that a stamp names: its size bounds what is read. */
static int read_blob(iw_remote *remote, const iw_stamp *stamp, const char *where, char **text,
                     size_t *length, iw_error *err)
{
    iw_cleanup_free char *path = iw_blob_path(stamp->sha256);
    char digest[IW_SHA256_HEX];
    if (iw_remote_read(remote, path, stamp->size, text, length, err) != 0)
        return iw_wrap(err, "%s was signed, but what it names can't be read", where);
    iw_hash_bytes(*text, *length, digest);
    if (*length == stamp->size && strcmp(digest, stamp->sha256) == 0) return 0;
    free(*text);
    *text = NULL;
    return iw_fail(err, IW_E_DIGEST,
                   "%s of %s isn't what was signed (SHA-256 %s, expected %s); it is not used", path,
                   iw_remote_where(remote), digest, stamp->sha256);
}

static int read_signature(iw_remote *remote, const char *name, char **text, iw_signature *signature,
                          iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s.minisig", name),
                         *where = iw_format("%s/%s", iw_remote_where(remote), path);
    size_t length;
    if (iw_remote_read(remote, path, SIGNATURE_LIMIT, text, &length, err) != 0) return -1;
    if (iw_signature_parse(*text, length, where, signature, err) == 0) return 0;
    if (iw_starts_with(*text, "<"))
        iw_wrap(err, "a page of HTML came instead (of a network that wants a login?)");
    free(*text);
    *text = NULL;
    return -1;
}

int iw_keys_fetch(iw_remote *remote, iw_keys **keys, char signer[IW_KEY_ID], char **text,
                  size_t *length, char **signature, iw_error *err)
{
    iw_signature parsed;
    iw_stamp stamp;
    iw_cleanup_free char *where = iw_format("%s/keys.json", iw_remote_where(remote));
    *keys = NULL;
    *text = *signature = NULL;
    if (read_signature(remote, "keys.json", signature, &parsed, err) != 0) return -1;
    int status = iw_stamp_parse(parsed.comment, where, &stamp, err);
    if (status == 0) status = read_blob(remote, &stamp, where, text, length, err);
    if (status == 0)
        status =
            iw_keys_check(*text, *length, *signature, strlen(*signature), where, keys, signer, err);
    if (status == 0) return 0;
    free(*text), free(*signature);
    *text = *signature = NULL;
    return -1;
}

/* --- remembering ---------------------------------------------------------- */

static int write_beside(const char *folder, const char *name, const char *text, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(folder, name);
    return iw_write_file(path, text, strlen(text), 0644, err);
}

/* The signature first: a key file whose signature is older would be refused, the other way round it
 * is merely read again. */
static int write_keys(const char *folder, const char *text, const char *signature, iw_error *err)
{
    return iw_make_folders(folder, 0755, err) == 0 &&
                   write_beside(folder, "keys.json.minisig", signature, err) == 0 &&
                   write_beside(folder, "keys.json", text, err) == 0
               ? 0
               : -1;
}

int iw_trust_add_keys(iw_trust *trust, const char *signer, const char *text, const char *signature,
                      const char *from, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("trust/%s", signer),
                         *folder = iw_trust_path(trust, name), *line = iw_format("%s\n", from);
    if (iw_make_folders(folder, 0755, err) != 0 || write_beside(folder, "from", line, err) != 0 ||
        write_keys(folder, text, signature, err) != 0)
        return -1;
    return reload(trust, err);
}

int iw_trust_add_key(iw_trust *trust, const iw_public_key *key, const char *from, iw_error *err)
{
    char id[IW_KEY_ID], line[IW_KEY_LINE];
    iw_key_id(key, id);
    iw_key_line(key, line);
    iw_cleanup_free char *name = iw_format("trust/%s", id), *folder = iw_trust_path(trust, name),
                         *where = iw_format("%s\n", from),
                         *text =
                             iw_format("untrusted comment: minisign public key %s\n%s\n", id, line);
    if (iw_make_folders(folder, 0755, err) != 0 || write_beside(folder, "from", where, err) != 0 ||
        write_beside(folder, "key.pub", text, err) != 0)
        return -1;
    return reload(trust, err);
}

static bool is_of(const iw_trusted *one, const char *id)
{
    return strcmp(one->id, id) == 0 ||
           (one->keys && (iw_keys_recovery(one->keys, id) || iw_keys_working(one->keys, id)));
}

int iw_trust_drop(iw_trust *trust, const char *id, iw_error *err)
{
    for (size_t i = 0; i < trust->count; i++) {
        if (!is_of(&trust->items[i], id)) continue;
        iw_cleanup_free char *name = iw_format("trust/%s", trust->items[i].id),
                             *folder = iw_trust_path(trust, name);
        return iw_remove_tree(folder, err) == 0 ? reload(trust, err) : -1;
    }
    return iw_fail(err, IW_E_NOT_FOUND,
                   "no key %s is trusted here; `ironwheel trust list` lists them", id);
}

/* --- newer key files ------------------------------------------------------ */

/* Which owner's, by the recovery keys that are known of them. */
static iw_trusted *owner_of(const iw_trust *trust, const iw_keys *keys, const char *signer)
{
    for (size_t i = 0; i < trust->count; i++) {
        iw_trusted *one = &trust->items[i];
        if (!one->keys) continue;
        if (iw_keys_recovery(one->keys, signer)) return one;
        for (size_t k = 0; k < one->keys->recovery_count; k++) {
            char id[IW_KEY_ID];
            iw_key_id(&one->keys->recovery[k], id);
            if (iw_keys_recovery(keys, id)) return one;
        }
    }
    return NULL;
}

static int take_keys(iw_trust *trust, iw_trusted *one, iw_keys *keys, const char *text,
                     const char *signature, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("trust/%s", one->id),
                         *folder = iw_trust_path(trust, name);
    if (write_keys(folder, text, signature, err) != 0) return -1;
    iw_keys_free(one->keys);
    one->keys = keys;
    return iw_seen_time(trust, keys->issued, err);
}

/* One step: the file `keys/<version>.json` that follows the known one. */
static int take_step(iw_trust *trust, iw_trusted *one, iw_remote *remote, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("keys/%" PRIu64 ".json", one->keys->version + 1),
                         *where = iw_format("%s/%s", iw_remote_where(remote), name),
                         *signature = NULL, *text = NULL;
    iw_signature parsed;
    iw_stamp stamp;
    size_t length;
    iw_keys *keys = NULL;
    if (read_signature(remote, name, &signature, &parsed, err) != 0 ||
        iw_stamp_parse(parsed.comment, where, &stamp, err) != 0 ||
        read_blob(remote, &stamp, where, &text, &length, err) != 0 ||
        iw_keys_parse(text, length, where, &keys, err) != 0)
        return -1;
    int status = check_keys(one->keys, keys, &parsed, text, length, where, err);
    if (status == 0 && keys->version != one->keys->version + 1)
        status = iw_fail(err, IW_E_DIGEST, "%s is version %" PRIu64, where, keys->version);
    if (status == 0) status = take_keys(trust, one, keys, text, signature, err);
    else iw_keys_free(keys);
    return status;
}

static int judge_version(const iw_trusted *one, const iw_stamp *stamp, const char *where,
                         iw_error *err)
{
    iw_cleanup_free char *known = iw_keys_write(one->keys);
    char digest[IW_SHA256_HEX];
    iw_hash_bytes(known, strlen(known), digest);
    if (stamp->version < one->keys->version)
        return iw_fail(err, IW_E_DIGEST,
                       "%s is version %" PRIu64 " of the keys, but version %" PRIu64
                       " was seen before: somebody shows an old one (rollback); nothing is taken",
                       where, stamp->version, one->keys->version);
    if (stamp->version == one->keys->version && strcmp(digest, stamp->sha256) != 0)
        return iw_fail(err, IW_E_DIGEST,
                       "%s is version %" PRIu64
                       " of the keys with other bytes than before (equivocation): its recovery key "
                       "is in two hands; nothing is taken",
                       where, stamp->version);
    return 0;
}

/* The newest one: directly where a known recovery key signed it, else step by step. */
static int take_newest(iw_trust *trust, iw_trusted *one, iw_remote *remote,
                       const iw_signature *signature, const iw_stamp *stamp, const char *text,
                       const char *where, iw_error *err)
{
    char signer[IW_KEY_ID];
    iw_signature_id(signature, signer);
    for (unsigned i = 0; !iw_keys_recovery(one->keys, signer) && i < CHAIN_LIMIT &&
                         one->keys->version + 1 < stamp->version;
         i++)
        if (take_step(trust, one, remote, err) != 0) return -1;
    iw_cleanup_free char *body = NULL;
    size_t length;
    iw_keys *keys = NULL;
    if (read_blob(remote, stamp, where, &body, &length, err) != 0 ||
        iw_keys_parse(body, length, where, &keys, err) != 0)
        return -1;
    int status = check_keys(one->keys, keys, signature, body, length, where, err);
    if (status == 0) status = take_keys(trust, one, keys, body, text, err);
    else iw_keys_free(keys);
    return status;
}

static iw_trusted *owner_by_signer(const iw_trust *trust, const char *signer)
{
    for (size_t i = 0; i < trust->count; i++)
        if (trust->items[i].keys && is_of(&trust->items[i], signer)) return &trust->items[i];
    return NULL;
}

/* No key of the signature is known: may be a key file whose recovery key was changed, so its
 * content has to tell whose it is. */
static iw_trusted *owner_by_content(const iw_trust *trust, iw_remote *remote, const iw_stamp *stamp,
                                    const char *signer, const char *where)
{
    iw_cleanup_free char *text = NULL;
    size_t length;
    iw_keys *keys = NULL;
    if (read_blob(remote, stamp, where, &text, &length, NULL) != 0 ||
        iw_keys_parse(text, length, where, &keys, NULL) != 0)
        return NULL;
    iw_trusted *one = owner_of(trust, keys, signer);
    iw_keys_free(keys);
    return one;
}

static int refresh(iw_trust *trust, iw_remote *remote, const char *text,
                   const iw_signature *signature, iw_error *err)
{
    iw_cleanup_free char *where = iw_format("%s/keys.json", iw_remote_where(remote));
    char signer[IW_KEY_ID];
    iw_stamp stamp;
    iw_signature_id(signature, signer);
    if (iw_stamp_parse(signature->comment, where, &stamp, err) != 0) return -1;
    iw_trusted *one = owner_by_signer(trust, signer);
    if (!one && trust->count) one = owner_by_content(trust, remote, &stamp, signer, where);
    if (!one) return 0;
    const iw_public_key *key = iw_keys_recovery(one->keys, signer);
    if (!key && iw_keys_working(one->keys, signer))
        return iw_fail(err, IW_E_DIGEST,
                       "%s was signed by key %s, a working key: only a recovery key may sign key "
                       "files; nothing is taken",
                       where, signer);
    if (key && iw_signature_check_comment(signature, key, where, err) != 0) return -1;
    if (judge_version(one, &stamp, where, err) != 0) return -1;
    if (stamp.version == one->keys->version) return 0;
    return take_newest(trust, one, remote, signature, &stamp, text, where, err);
}

int iw_trust_refresh(iw_trust *trust, iw_remote *remote, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    iw_signature signature;
    iw_error inner = IW_ERROR_INIT;
    if (read_signature(remote, "keys.json", &text, &signature, &inner) == 0)
        return refresh(trust, remote, text, &signature, err);
    bool none = inner.kind == IW_E_NOT_FOUND;
    if (!none) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return none ? 0 : -1;
}

/* --- channels ------------------------------------------------------------- */

void iw_reading_clear(iw_reading *reading)
{
    iw_channel_free(reading->channel);
    free(reading->note);
    *reading = (iw_reading){.channel = NULL};
}

void iw_readings_free(iw_reading *readings, size_t count)
{
    for (size_t i = 0; i < count; i++) iw_reading_clear(&readings[i]);
    free(readings);
}

/* What a key may still say after it was revoked: IW_E_NOT_FOUND, so that the others are still read.
 */
static int judge_revoked(const iw_trusted *whom, const char *id, uint64_t version, iw_error *err)
{
    const iw_revoked *revoked = whom->keys ? iw_keys_revoked(whom->keys, id) : NULL;
    if (!revoked || version <= revoked->good) return 0;
    iw_cleanup_free char *at = iw_time_text(revoked->at);
    return iw_fail(err, IW_E_NOT_FOUND,
                   "key %s was revoked on %s (%s): its channel of version %" PRIu64 " is not taken",
                   id, at, revoked->why, version);
}

/* Days between the clock and the signature, where the clock can't be right. */
static int judge_time(const iw_trust *trust, const iw_stamp *stamp, const char *where,
                      iw_reading *out, iw_error *err)
{
    bool wrong;
    uint64_t now = iw_trust_now(trust, &wrong);
    if (!wrong && stamp->issued > now + 86400) {
        iw_cleanup_free char *issued = iw_time_text(stamp->issued), *here = iw_time_text(now);
        return iw_fail(err, IW_E_DIGEST,
                       "%s says that it was signed on %s, and the clock here shows %s: one of the "
                       "two clocks is wrong; nothing is taken",
                       where, issued, here);
    }
    if (wrong) {
        if (stamp->issued > now) now = stamp->issued;
        iw_cleanup_free char *clock = iw_time_text((uint64_t)time(NULL));
        out->note = iw_format("this machine's clock shows %s (an empty battery on the board?); "
                              "expiry is judged by the newest signature that was seen",
                              clock);
    }
    out->expired = stamp->expires && now > stamp->expires;
    if (!out->expired) return 0;
    iw_cleanup_free char *expires = iw_time_text(stamp->expires), *here = iw_time_text(now);
    free(out->note);
    out->note =
        iw_format("%s expired on %s, and it is %s: nobody signed it anew since, or somebody shows "
                  "an old one (freeze)",
                  where, expires, here);
    return 0;
}

/* From what was read before, else from the remote. */
static int channel_text(const iw_trust *trust, iw_remote *remote, const iw_stamp *stamp,
                        const char *where, char **text, size_t *length, iw_error *err)
{
    if (iw_seen_document(trust, stamp, text, length)) return 0;
    return read_blob(remote, stamp, where, text, length, err);
}

static int take_channel(iw_trust *trust, iw_remote *remote, const iw_signature *signature,
                        const char *where, iw_reading *out, iw_error *err)
{
    iw_stamp stamp;
    iw_cleanup_free char *text = NULL;
    size_t length = 0;
    if (iw_signature_check_comment(signature, &out->key, where, err) != 0 ||
        iw_stamp_parse(signature->comment, where, &stamp, err) != 0)
        return -1;
    if (strcmp(stamp.kind, "channel") != 0)
        return iw_fail(err, IW_E_DIGEST, "%s is signed as \"%s\", not as a channel", where,
                       stamp.kind);
    if (judge_revoked(out->whom, out->id, stamp.version, err) != 0 ||
        iw_seen_judge(trust, out->id, iw_remote_where(remote), &stamp, where, err) != 0 ||
        judge_time(trust, &stamp, where, out, err) != 0 ||
        channel_text(trust, remote, &stamp, where, &text, &length, err) != 0 ||
        iw_signature_check(signature, &out->key, text, length, where, err) != 0 ||
        iw_channel_parse(text, length, where, &out->channel, err) != 0)
        return -1;
    const iw_channel *c = out->channel;
    if (c->version != stamp.version || c->issued != stamp.issued || c->expires != stamp.expires ||
        strcmp(c->key, out->id) != 0)
        return iw_fail(err, IW_E_DIGEST, "%s and its signature tell of different channels", where);
    return iw_seen_note(trust, out->id, iw_remote_where(remote), &stamp, text, err);
}

/* *text stays NULL where the remote has no channel of that key. */
static int try_one(iw_trust *trust, iw_remote *remote, const char *name, char **text,
                   iw_reading *out, iw_error *err)
{
    iw_cleanup_free char *where = iw_format("%s/%s", iw_remote_where(remote), name);
    iw_signature signature;
    iw_error inner = IW_ERROR_INIT;
    if (read_signature(remote, name, text, &signature, &inner) == 0)
        return take_channel(trust, remote, &signature, where, out, err);
    free(iw_steal(text));
    bool none = inner.kind == IW_E_NOT_FOUND;
    if (!none) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return none ? 0 : -1;
}

/* Beside other processes of this user: what one of them has pushed, and another read, in the moment
 * between this one's reading and its judging, isn't a rollback. Then the place has other bytes now.
 */
static int read_one(iw_trust *trust, iw_remote *remote, iw_reading *out, bool *found, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("channels/%s.json", out->id), *before = NULL;
    for (int tries = 0;; tries++) {
        iw_cleanup_free char *text = NULL;
        iw_error inner = IW_ERROR_INIT;
        int status = try_one(trust, remote, name, &text, out, &inner);
        bool moved = text && before && strcmp(text, before) != 0;
        *found = text != NULL;
        if (status == 0) return 0;
        if (inner.kind != IW_E_DIGEST || (tries && !moved) || tries == READS) {
            iw_error_move(err, &inner);
            return -1;
        }
        iw_error_clear(&inner);
        iw_reading again = {.whom = out->whom, .key = out->key};
        memcpy(again.id, out->id, sizeof again.id);
        iw_reading_clear(out);
        *out = again;
        free(before);
        before = iw_steal(&text);
    }
}

struct readings {
    iw_reading *items;
    size_t count, capacity;
    iw_error revoked; /* of a key whose channel was left out for that */
};

static int add_reading(iw_trust *trust, iw_remote *remote, const iw_trusted *whom,
                       const iw_public_key *key, struct readings *list, iw_error *err)
{
    iw_reading one = {.whom = whom, .key = *key};
    bool found = false;
    iw_key_id(key, one.id);
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].id, one.id) == 0) return 0;
    iw_error inner = IW_ERROR_INIT;
    if (read_one(trust, remote, &one, &found, &inner) != 0) {
        iw_reading_clear(&one);
        bool left_out = inner.kind == IW_E_NOT_FOUND;
        iw_error_move(left_out ? &list->revoked : err, &inner);
        return left_out ? 0 : -1;
    }
    if (!found) return 0;
    iw_grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = one;
    return 0;
}

static int read_all(iw_trust *trust, iw_remote *remote, struct readings *list, iw_error *err)
{
    for (size_t i = 0; i < trust->count; i++) {
        const iw_trusted *one = &trust->items[i];
        if (!one->keys && add_reading(trust, remote, one, &one->key, list, err) != 0) return -1;
        for (size_t k = 0; one->keys && k < one->keys->working_count; k++)
            if (add_reading(trust, remote, one, &one->keys->working[k], list, err) != 0) return -1;
    }
    return 0;
}

int iw_channels_read(iw_trust *trust, iw_remote *remote, iw_reading **out, size_t *count,
                     iw_error *err)
{
    struct readings list = {0};
    *out = NULL;
    *count = 0;
    if (trust->count == 0)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "no key is trusted here yet; `ironwheel trust add %s` shows whose keys that "
                       "place has, and asks",
                       iw_remote_where(remote));
    int status = iw_trust_refresh(trust, remote, err);
    if (status == 0) status = read_all(trust, remote, &list, err);
    if (status == 0 && list.count == 0 && list.revoked.kind != IW_E_NONE) {
        iw_error_move(err, &list.revoked);
        status = -1;
    }
    iw_error_clear(&list.revoked);
    if (status != 0) {
        iw_readings_free(list.items, list.count);
        return -1;
    }
    *out = list.items;
    *count = list.count;
    return 0;
}
