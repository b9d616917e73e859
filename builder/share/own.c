/* Own keys, and writing what they sign. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/seen.h"
#include "share/trust.h"

int iw_own_key(const iw_trust *trust, const char *passphrase, iw_secret_key *out, iw_error *err)
{
    iw_cleanup_free char *path = iw_trust_path(trust, "working.key");
    if (!iw_exists(path))
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "there is no key to sign with yet (%s); `ironwheel keygen` makes one", path);
    return iw_key_read_secret(path, passphrase, out, err);
}

static const iw_trusted *find_owner(const iw_trust *trust, const iw_keys *keys);

/* A newer one that another rig of the same owner has signed, and that was met at a remote. */
static int take_newer(const iw_trust *trust, iw_keys **keys, iw_error *err)
{
    const iw_trusted *known = find_owner(trust, *keys);
    if (!known || known->keys->version <= (*keys)->version) return 0;
    iw_cleanup_free char *text = iw_keys_write(known->keys);
    iw_keys_free(*keys);
    return iw_keys_parse(text, strlen(text), "the key file", keys, err);
}

int iw_own_keys(const iw_trust *trust, iw_keys **out, iw_error *err)
{
    iw_cleanup_free char *path = iw_trust_path(trust, "keys.json"), *text = NULL;
    size_t length;
    *out = NULL;
    return iw_read_file(path, IW_CANON_LIMIT, &text, &length, err) == 0 &&
                   iw_keys_parse(text, length, path, out, err) == 0
               ? take_newer(trust, out, err)
               : -1;
}

static int keep_own(const iw_trust *trust, const char *text, const char *signature, iw_error *err)
{
    iw_cleanup_free char *path = iw_trust_path(trust, "keys.json"),
                         *beside = iw_trust_path(trust, "keys.json.minisig"), *last = NULL;
    (void)last;
    return iw_make_folders(trust->folder, 0700, err) == 0 &&
                   iw_write_file(beside, signature, strlen(signature), 0644, err) == 0 &&
                   iw_write_file(path, text, strlen(text), 0644, err) == 0
               ? 0
               : -1;
}

/* The steps from one key file to the next: published beside the newest, for those who know an older
 * one whose recovery key was changed since. */
static int keep_step(const iw_trust *trust, uint64_t version, const char *text,
                     const char *signature, iw_error *err)
{
    iw_cleanup_free char *folder = iw_trust_path(trust, "keys"),
                         *path = iw_format("%s/%" PRIu64 ".json", folder, version),
                         *beside = iw_format("%s.minisig", path);
    return iw_make_folders(folder, 0755, err) == 0 &&
                   iw_write_file(path, text, strlen(text), 0644, err) == 0 &&
                   iw_write_file(beside, signature, strlen(signature), 0644, err) == 0
               ? 0
               : -1;
}

static const iw_trusted *find_owner(const iw_trust *trust, const iw_keys *keys)
{
    for (size_t i = 0; i < trust->count; i++)
        for (size_t k = 0; trust->items[i].keys && k < trust->items[i].keys->recovery_count; k++) {
            char id[IW_KEY_ID];
            iw_key_id(&trust->items[i].keys->recovery[k], id);
            if (iw_keys_recovery(keys, id)) return &trust->items[i];
        }
    return NULL;
}

int iw_own_keys_sign(iw_trust *trust, iw_keys *keys, const iw_secret_key *recovery, iw_error *err)
{
    char id[IW_KEY_ID];
    iw_key_id(&recovery->open, id);
    if (keys->version && !iw_keys_recovery(keys, id))
        return iw_fail(err, IW_E_USAGE,
                       "key %s is none of the recovery keys of your key file: nobody would take "
                       "what it signs",
                       id);
    keys->version++;
    uint64_t now = iw_trust_now(trust, NULL);
    keys->issued = now > keys->issued ? now : keys->issued;
    iw_cleanup_free char *text = iw_keys_write(keys);
    iw_stamp stamp = {
        .kind = "keys", .version = keys->version, .issued = keys->issued, .size = strlen(text)};
    iw_hash_bytes(text, strlen(text), stamp.sha256);
    iw_cleanup_free char *comment = iw_stamp_write(&stamp),
                         *signature = iw_sign(recovery, text, strlen(text), comment);
    const iw_trusted *known = find_owner(trust, keys);
    iw_cleanup_free char *owner = iw_strdup(known ? known->id : id);
    return keep_step(trust, keys->version, text, signature, err) == 0 &&
                   keep_own(trust, text, signature, err) == 0 &&
                   iw_trust_add_keys(trust, owner, text, signature, "own", err) == 0
               ? 0
               : -1;
}

/* --- the own channel ------------------------------------------------------ */

int iw_own_channel(iw_trust *trust, iw_remote *remote, const iw_secret_key *key,
                   iw_channel **channel, bool *known, iw_error *err)
{
    char id[IW_KEY_ID];
    iw_key_id(&key->open, id);
    *known = false;
    *channel = NULL;
    iw_reading *readings = NULL;
    size_t count = 0;
    if (iw_channels_read(trust, remote, &readings, &count, err) != 0) return -1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(readings[i].id, id) != 0) continue;
        *channel = iw_steal(&readings[i].channel);
        *known = true;
    }
    iw_readings_free(readings, count);
    if (!*channel) *channel = iw_channel_new(id);
    return 0;
}

int iw_own_version(const iw_trust *trust, uint64_t at_least, uint64_t *version, iw_error *err)
{
    iw_cleanup_free char *path = iw_trust_path(trust, "signed"), *text = NULL;
    uint64_t last = 0;
    if (iw_read_file(path, 64, &text, NULL, NULL) == 0) {
        text[strcspn(text, "\n")] = 0;
        if (!iw_parse_unsigned(text, IW_CANON_NUMBER, &last))
            return iw_fail(err, IW_E_FORMAT, "%s is damaged: it holds the last version signed",
                           path);
    }
    *version = (last > at_least ? last : at_least) + 1;
    if (*version >= (uint64_t)IW_CANON_NUMBER)
        return iw_fail(err, IW_E_FORMAT,
                       "version numbers of this key are used up: somebody else signed with it; "
                       "revoke it (`ironwheel trust revoke`) and make a new one");
    iw_cleanup_free char *line = iw_format("%" PRIu64 "\n", *version);
    return iw_write_file(path, line, strlen(line), 0600, err);
}

/* --- publishing ----------------------------------------------------------- */

static int publish(iw_remote *remote, const char *name, const char *text, const char *sha256,
                   const char *signature, iw_error *err)
{
    iw_cleanup_free char *blob = iw_blob_path(sha256), *beside = iw_format("%s.minisig", name);
    return iw_remote_write(remote, blob, text, strlen(text), err) == 0 &&
                   iw_remote_write(remote, name, text, strlen(text), err) == 0 &&
                   iw_remote_write(remote, beside, signature, strlen(signature), err) == 0
               ? 0
               : -1;
}

int iw_signed_write(iw_remote *remote, const char *name, const char *text, const iw_stamp *stamp,
                    const iw_secret_key *key, iw_error *err)
{
    iw_cleanup_free char *comment = iw_stamp_write(stamp),
                         *signature = iw_sign(key, text, strlen(text), comment);
    return publish(remote, name, text, stamp->sha256, signature, err);
}

/* The version that stands there, or 0. */
static uint64_t published_version(iw_remote *remote, const char *name)
{
    iw_cleanup_free char *path = iw_format("%s.minisig", name), *text = NULL;
    iw_signature signature;
    iw_stamp stamp;
    size_t length;
    return iw_remote_read(remote, path, 4096, &text, &length, NULL) == 0 &&
                   iw_signature_parse(text, length, path, &signature, NULL) == 0 &&
                   iw_stamp_parse(signature.comment, path, &stamp, NULL) == 0
               ? stamp.version
               : 0;
}

static int publish_step(const iw_trust *trust, iw_remote *remote, uint64_t version, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("keys/%" PRIu64 ".json", version),
                         *path = iw_trust_path(trust, name),
                         *beside = iw_format("%s.minisig", path), *text = NULL, *signature = NULL;
    char digest[IW_SHA256_HEX];
    size_t length;
    if (iw_read_file(path, IW_CANON_LIMIT, &text, &length, NULL) != 0 ||
        iw_read_file(beside, 4096, &signature, NULL, NULL) != 0)
        return 0;
    iw_hash_bytes(text, length, digest);
    return publish(remote, name, text, digest, signature, err);
}

int iw_own_keys_publish(const iw_trust *trust, iw_remote *remote, iw_error *err)
{
    iw_cleanup_free char *path = iw_trust_path(trust, "keys.json"),
                         *beside = iw_trust_path(trust, "keys.json.minisig"), *text = NULL,
                         *signature = NULL;
    iw_keys *keys = NULL;
    char digest[IW_SHA256_HEX];
    if (!iw_exists(path)) return 0;
    if (iw_read_file(path, IW_CANON_LIMIT, &text, NULL, err) != 0 ||
        iw_read_file(beside, 4096, &signature, NULL, err) != 0 ||
        iw_keys_parse(text, strlen(text), path, &keys, err) != 0)
        return -1;
    uint64_t there = published_version(remote, "keys.json"), version = keys->version;
    iw_keys_free(keys);
    if (there >= version) return 0;
    for (uint64_t step = there + 1; step <= version; step++)
        if (publish_step(trust, remote, step, err) != 0) return -1;
    iw_hash_bytes(text, strlen(text), digest);
    return publish(remote, "keys.json", text, digest, signature, err);
}

/* --- remotes -------------------------------------------------------------- */

#define REMOTES_LIMIT ((size_t)1 << 20)

static int read_remotes(const iw_trust *trust, json_t **out, iw_error *err)
{
    iw_cleanup_free char *path = iw_trust_path(trust, "remotes.json"), *text = NULL;
    *out = NULL;
    if (!iw_exists(path)) {
        *out = json_object();
        return 0;
    }
    if (iw_read_file(path, REMOTES_LIMIT, &text, NULL, err) != 0) return -1;
    *out = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(*out)) return 0;
    json_decref(*out);
    return iw_fail(err, IW_E_FORMAT, "%s is no JSON object of names and addresses", path);
}

int iw_remotes_read(const iw_trust *trust, iw_strings *names, iw_strings *addresses, iw_error *err)
{
    json_t *all, *address;
    const char *name;
    if (read_remotes(trust, &all, err) != 0) return -1;
    json_object_foreach(all, name, address)
    {
        (void)address;
        iw_strings_add(names, name);
    }
    iw_strings_sort(names);
    for (size_t i = 0; i < names->count; i++) {
        const char *text = json_string_value(json_object_get(all, names->items[i]));
        iw_strings_add(addresses, text ? text : "");
    }
    json_decref(all);
    return 0;
}

int iw_remotes_put(const iw_trust *trust, const char *name, const char *address, iw_error *err)
{
    json_t *all;
    if (!iw_is_plain_name(name))
        return iw_fail(err, IW_E_USAGE, "\"%s\" is no name for a remote: letters, digits, - and _",
                       name);
    if (read_remotes(trust, &all, err) != 0) return -1;
    if (address) json_object_set_new(all, name, json_string(address));
    else if (json_object_del(all, name) != 0) {
        json_decref(all);
        return iw_fail(err, IW_E_NOT_FOUND, "there is no remote %s", name);
    }
    iw_cleanup_free char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS),
                         *path = iw_trust_path(trust, "remotes.json");
    json_decref(all);
    return iw_make_folders(trust->folder, 0700, err) == 0
               ? iw_write_file(path, text, strlen(text), 0600, err)
               : -1;
}

char *iw_remotes_resolve(const iw_trust *trust, const char *name)
{
    json_t *all = NULL;
    char *out = NULL;
    if (!strchr(name, '/') && read_remotes(trust, &all, NULL) == 0) {
        const char *address = json_string_value(json_object_get(all, name));
        if (address) out = iw_strdup(address);
    }
    json_decref(all);
    return out ? out : iw_strdup(name);
}
