#include "share/seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

#define STATE_LIMIT ((size_t)4 << 20)
#define VERSIONS_KEPT 200 /* of one key, to notice a second one of the same number */

/* {"places": {where: {"version", "sha256"}}, "versions": {number: sha256}} */
static char *state_path(const iw_trust *trust, const char *id)
{
    iw_cleanup_free char *name = iw_format("seen/%s.json", id);
    return iw_trust_path(trust, name);
}

/* A new object where there is no file; a damaged one is an error: without it, old channels would
 * pass. */
static int read_state(const iw_trust *trust, const char *id, json_t **out, iw_error *err)
{
    iw_cleanup_free char *path = state_path(trust, id), *text = NULL;
    iw_error inner = IW_ERROR_INIT;
    *out = NULL;
    if (iw_read_file(path, STATE_LIMIT, &text, NULL, &inner) != 0) {
        bool none = inner.kind == IW_E_NOT_FOUND;
        if (!none) iw_error_move(err, &inner);
        iw_error_clear(&inner);
        if (none) *out = json_pack("{s:{},s:{}}", "places", "versions");
        return none ? 0 : -1;
    }
    *out = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json_object_get(*out, "places")) &&
        json_is_object(json_object_get(*out, "versions")))
        return 0;
    json_decref(*out);
    *out = NULL;
    return iw_fail(err, IW_E_FORMAT,
                   "%s is damaged: it remembers which versions of that key were seen; remove it "
                   "only if you know why it broke",
                   path);
}

/* Processes of one user read and push side by side: what is read, changed and written again is one
 * step, where the file system knows locks. -1 where nothing can be written. */
static int lock_seen(const iw_trust *trust, int *fd, iw_error *err)
{
    iw_cleanup_free char *folder = iw_trust_path(trust, "seen"),
                         *path = iw_path_join(folder, "lock");
    return iw_make_folders(folder, 0755, err) == 0 ? iw_lock_where_known(path, fd, NULL, err) : -1;
}

/* --- time ----------------------------------------------------------------- */

uint64_t iw_seen_clock(const iw_trust *trust)
{
    iw_cleanup_free char *path = iw_trust_path(trust, "seen/clock"), *text = NULL;
    uint64_t when = 0;
    if (iw_read_file(path, 64, &text, NULL, NULL) != 0) return 0;
    text[strcspn(text, "\n")] = 0;
    return iw_parse_unsigned(text, IW_CANON_NUMBER, &when) ? when : 0;
}

static int write_seen(const iw_trust *trust, const char *name, const char *text, size_t length,
                      iw_error *err)
{
    iw_cleanup_free char *folder = iw_trust_path(trust, "seen"), *path = iw_path_join(folder, name);
    return iw_make_folders(folder, 0755, err) == 0 ? iw_write_file(path, text, length, 0644, err)
                                                   : -1;
}

int iw_seen_time(const iw_trust *trust, uint64_t issued, iw_error *err)
{
    if (issued <= iw_seen_clock(trust)) return 0;
    iw_cleanup_free char *text = iw_format("%" PRIu64 "\n", issued);
    return write_seen(trust, "clock", text, strlen(text), err);
}

/* --- versions ------------------------------------------------------------- */

static const char *digest_of_version(const json_t *state, uint64_t version)
{
    char number[32];
    snprintf(number, sizeof number, "%" PRIu64, version);
    return json_string_value(json_object_get(json_object_get(state, "versions"), number));
}

static int judge(const json_t *state, const char *where, const iw_stamp *stamp, const char *what,
                 iw_error *err)
{
    const json_t *place = json_object_get(json_object_get(state, "places"), where);
    json_int_t highest = json_integer_value(json_object_get(place, "version"));
    const char *before = digest_of_version(state, stamp->version);
    if (before && strcmp(before, stamp->sha256) != 0)
        return iw_fail(err, IW_E_DIGEST,
                       "%s: version %" PRIu64
                       " has other bytes than the version of that number that was seen before "
                       "(equivocation): somebody else signs with this key; nothing is taken, both "
                       "are kept in the configuration's folder evidence/",
                       what, stamp->version);
    if ((json_int_t)stamp->version < highest)
        return iw_fail(err, IW_E_DIGEST,
                       "%s is version %" PRIu64 ", but version %" JSON_INTEGER_FORMAT
                       " was seen there before: somebody shows an old one (rollback); nothing is "
                       "taken",
                       what, stamp->version, highest);
    return 0;
}

static void keep_evidence(const iw_trust *trust, const char *id, const iw_stamp *stamp)
{
    iw_cleanup_free char *folder = iw_trust_path(trust, "evidence"),
                         *comment = iw_stamp_write(stamp),
                         *name = iw_format("%s/%s-%" PRIu64 "-%.12s", folder, id, stamp->version,
                                           stamp->sha256);
    if (iw_make_folders(folder, 0755, NULL) == 0)
        (void)!iw_write_file(name, comment, strlen(comment), 0644, NULL);
}

int iw_seen_judge(const iw_trust *trust, const char *id, const char *where, const iw_stamp *stamp,
                  const char *what, iw_error *err)
{
    json_t *state;
    if (read_state(trust, id, &state, err) != 0) return -1;
    int status = judge(state, where, stamp, what, err);
    const char *before = digest_of_version(state, stamp->version);
    if (status != 0 && before && strcmp(before, stamp->sha256) != 0) {
        iw_stamp first = *stamp;
        snprintf(first.sha256, sizeof first.sha256, "%s", before);
        keep_evidence(trust, id, stamp);
        keep_evidence(trust, id, &first);
    }
    json_decref(state);
    return status;
}

/* The oldest ones go. */
static void trim(json_t *versions)
{
    while (json_object_size(versions) > VERSIONS_KEPT) {
        const char *number, *oldest = NULL;
        json_t *digest;
        json_object_foreach(versions, number, digest)
        {
            if (!oldest || strtoull(number, NULL, 10) < strtoull(oldest, NULL, 10)) oldest = number;
        }
        iw_cleanup_free char *gone = iw_strdup(oldest);
        json_object_del(versions, gone);
    }
}

static int write_state(const iw_trust *trust, const char *id, const json_t *state, iw_error *err)
{
    iw_cleanup_free char *text = json_dumps(state, JSON_INDENT(1) | JSON_SORT_KEYS),
                         *name = iw_format("%s.json", id);
    return write_seen(trust, name, text, strlen(text), err);
}

static bool is_known(const json_t *state, const char *where, const iw_stamp *stamp)
{
    const json_t *place = json_object_get(json_object_get(state, "places"), where);
    const char *digest = json_string_value(json_object_get(place, "sha256"));
    return digest && strcmp(digest, stamp->sha256) == 0;
}

static void forget_document(const iw_trust *trust, const char *sha256)
{
    iw_cleanup_free char *name = iw_format("seen/%s", sha256), *path = iw_trust_path(trust, name);
    unlink(path);
}

/* A later one that another process has noted meanwhile stays. */
static void put_place(json_t *places, const char *where, const iw_stamp *stamp)
{
    const json_t *place = json_object_get(places, where);
    if (json_integer_value(json_object_get(place, "version")) > (json_int_t)stamp->version) return;
    json_object_set_new(places, where,
                        json_pack("{s:I,s:s}", "version", (json_int_t)stamp->version, "sha256",
                                  stamp->sha256));
}

static int note(const iw_trust *trust, const char *id, const char *where, const iw_stamp *stamp,
                const char *text, json_t *state, iw_error *err)
{
    char number[32];
    json_t *versions = json_object_get(state, "versions"),
           *places = json_object_get(state, "places");
    const char *old = json_string_value(json_object_get(json_object_get(places, where), "sha256"));
    iw_cleanup_free char *last = iw_strdup(old);
    snprintf(number, sizeof number, "%" PRIu64, stamp->version);
    json_object_set_new(versions, number, json_string(stamp->sha256));
    put_place(places, where, stamp);
    trim(versions);
    if (write_seen(trust, stamp->sha256, text, strlen(text), err) != 0 ||
        write_state(trust, id, state, err) != 0 || iw_seen_time(trust, stamp->issued, err) != 0)
        return -1;
    const char *current =
        json_string_value(json_object_get(json_object_get(places, where), "sha256"));
    if (last && *last && strcmp(last, current) != 0) forget_document(trust, last);
    if (strcmp(current, stamp->sha256) != 0) forget_document(trust, stamp->sha256);
    return 0;
}

int iw_seen_note(const iw_trust *trust, const char *id, const char *where, const iw_stamp *stamp,
                 const char *text, iw_error *err)
{
    json_t *state;
    iw_cleanup_fd int lock = -1;
    if (read_state(trust, id, &state, err) != 0) return -1;
    bool known = is_known(state, where, stamp);
    json_decref(state);
    if (known) return 0;
    if (lock_seen(trust, &lock, err) != 0 || read_state(trust, id, &state, err) != 0) return -1;
    int status = note(trust, id, where, stamp, text, state, err);
    json_decref(state);
    return status;
}

int iw_seen_least(const iw_trust *trust, const char *id, const char *where, const iw_stamp *stamp,
                  iw_error *err)
{
    json_t *state;
    iw_cleanup_fd int lock = -1;
    if (lock_seen(trust, &lock, err) != 0 || read_state(trust, id, &state, err) != 0) return -1;
    json_t *places = json_object_get(state, "places");
    json_int_t known =
        json_integer_value(json_object_get(json_object_get(places, where), "version"));
    int status = 0;
    if ((json_int_t)stamp->version > known) {
        json_object_set_new(places, where,
                            json_pack("{s:I,s:s}", "version", (json_int_t)stamp->version, "sha256",
                                      ""));
        status = write_state(trust, id, state, err);
    }
    json_decref(state);
    return status;
}

bool iw_seen_document(const iw_trust *trust, const iw_stamp *stamp, char **text, size_t *length)
{
    iw_cleanup_free char *name = iw_format("seen/%s", stamp->sha256),
                         *path = iw_trust_path(trust, name);
    char digest[IW_SHA256_HEX];
    if (iw_read_file(path, stamp->size, text, length, NULL) != 0) return false;
    iw_hash_bytes(*text, *length, digest);
    if (*length == stamp->size && strcmp(digest, stamp->sha256) == 0) return true;
    free(*text);
    *text = NULL;
    return false;
}
