#include "share/channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "fetch/pieces.h"
#include "share/channel_wheels.h"

static const iw_blob no_blob = {.sha256 = ""};

static int refuse(iw_error *err, const char *where, const char *what, const char *name)
{
    return iw_fail(err, IW_E_FORMAT, "%s: %s \"%.80s\" lacks a field, or one is wrong", where, what,
                   name);
}

/* --- reading -------------------------------------------------------------- */

static const char *keep(iw_arena *arena, const char *text)
{
    return iw_arena_strdup(arena, text ? text : "");
}

/* {"sha256", "size"} */
static bool read_blob(iw_arena *arena, const json_t *object, const char *key, iw_blob *out)
{
    const json_t *blob = json_object_get(object, key);
    const char *sha256;
    if (!iw_field_digest(blob, "sha256", &sha256) || !iw_field_number(blob, "size", &out->size))
        return false;
    out->sha256 = keep(arena, sha256);
    return true;
}

static bool read_optional_blob(iw_arena *arena, const json_t *object, const char *key, iw_blob *out)
{
    *out = no_blob;
    return !json_object_get(object, key) || read_blob(arena, object, key, out);
}

static bool read_name(iw_arena *arena, const json_t *object, const char *key, const char **out)
{
    const char *text;
    if (!iw_field_name(object, key, &text)) return false;
    *out = keep(arena, text);
    return true;
}

static const char *read_optional(iw_arena *arena, const json_t *object, const char *key)
{
    const char *text;
    return iw_field_text(object, key, &text) ? keep(arena, text) : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
    uint64_t number;
    return iw_field_number(object, key, &number) ? number : 0;
}

/* {"sha256s", "size"}; where there are none, the file is verified as a whole. */
static bool read_pieces(iw_arena *arena, const json_t *object, iw_offer *out)
{
    const json_t *pieces = json_object_get(object, "pieces");
    const char *digests;
    out->pieces = "";
    if (!pieces) return true;
    if (!iw_field_text(pieces, "sha256s", &digests) ||
        !iw_field_number(pieces, "size", &out->piece) ||
        !iw_pieces_fit(digests, out->piece, out->file.size))
        return false;
    out->pieces = keep(arena, digests);
    return true;
}

static bool read_bundle(iw_arena *arena, const char *name, const json_t *object, iw_offer *out)
{
    *out = (iw_offer){.name = keep(arena, name),
                      .bundle_key = read_optional(arena, object, "bundle_key"),
                      .withdrawn = read_optional(arena, object, "withdrawn"),
                      .restricted = read_optional(arena, object, "restricted"),
                      .order = number_of(object, "order"),
                      .pushed = number_of(object, "pushed"),
                      .tried = number_of(object, "tried")};
    return iw_is_plain_name(name) && read_blob(arena, object, "file", &out->file) &&
           read_pieces(arena, object, out) && read_blob(arena, object, "tar", &out->tar) &&
           read_optional_blob(arena, object, "manifest", &out->manifest) &&
           read_optional_blob(arena, object, "checks", &out->checks) &&
           read_optional_blob(arena, object, "rest", &out->rest) &&
           read_optional_blob(arena, object, "rest_tar", &out->rest_tar) &&
           read_optional_blob(arena, object, "list", &out->list) &&
           !*out->rest.sha256 == !*out->list.sha256 &&
           !*out->rest.sha256 == !*out->rest_tar.sha256 &&
           read_name(arena, object, "stack", &out->stack) &&
           read_name(arena, object, "version", &out->version) &&
           read_name(arena, object, "profile", &out->profile) &&
           read_name(arena, object, "glibc", &out->glibc) &&
           read_name(arena, object, "python", &out->python);
}

static bool read_artifact(iw_arena *arena, const char *key, const json_t *object, iw_offered *out)
{
    *out = (iw_offered){.build_key = keep(arena, key),
                        .withdrawn = read_optional(arena, object, "withdrawn")};
    return iw_is_sha256(key) && read_blob(arena, object, "file", &out->file) &&
           read_blob(arena, object, "content", &out->content) &&
           read_blob(arena, object, "record", &out->record) &&
           read_name(arena, object, "package", &out->package) &&
           read_name(arena, object, "version", &out->version) &&
           read_name(arena, object, "profile", &out->profile);
}

static int read_bundles(iw_channel *c, json_t *all, const char *where, iw_error *err)
{
    const char *name;
    json_t *object;
    json_object_foreach(all, name, object)
    {
        iw_offer bundle;
        if (!read_bundle(c->arena, name, object, &bundle))
            return refuse(err, where, "bundle", name);
        iw_channel_put_bundle(c, &bundle);
    }
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const iw_offered *)a)->build_key, ((const iw_offered *)b)->build_key);
}

/* All at once, then sorted: put_artifact would move the rest for each. */
static int read_artifacts(iw_channel *c, json_t *all, const char *where, iw_error *err)
{
    const char *key;
    json_t *object;
    c->artifact_capacity = json_object_size(all);
    c->artifacts = iw_alloc((c->artifact_capacity + 1) * sizeof *c->artifacts);
    json_object_foreach(all, key, object)
    {
        if (!read_artifact(c->arena, key, object, &c->artifacts[c->artifact_count]))
            return refuse(err, where, "artifact", key);
        c->artifact_count++;
    }
    qsort(c->artifacts, c->artifact_count, sizeof *c->artifacts, by_key);
    return 0;
}

static int read_deltas(iw_channel *c, json_t *all, const char *where, iw_error *err)
{
    size_t i;
    json_t *object;
    json_array_foreach(all, i, object)
    {
        iw_offered_delta delta;
        if (!iw_field_digest(object, "from", &delta.from) ||
            !iw_field_digest(object, "to", &delta.to) ||
            !read_blob(c->arena, object, "file", &delta.file))
            return refuse(err, where, "delta", "");
        iw_channel_put_delta(c, &delta);
    }
    return 0;
}

static int check_head(const json_t *root, const char *type, const char *where, iw_error *err)
{
    uint64_t format;
    const char *found;
    if (!iw_field_text(root, "type", &found) || strcmp(found, type) != 0)
        return iw_fail(err, IW_E_FORMAT, "%s is no %s file", where, type);
    if (!iw_field_number(root, "format", &format) || format != 1)
        return iw_fail(err, IW_E_FORMAT,
                       "%s is of a format that this Ironwheel doesn't know: a newer one wrote it",
                       where);
    return 0;
}

static int read_channel(iw_channel *c, const json_t *root, const char *where, iw_error *err)
{
    const char *key;
    if (check_head(root, "channel", where, err) != 0) return -1;
    if (!iw_field_text(root, "key", &key) || strlen(key) != IW_KEY_ID - 1 ||
        !iw_field_number(root, "version", &c->version) || c->version == 0 ||
        !iw_field_number(root, "issued", &c->issued) ||
        !iw_field_number(root, "expires", &c->expires) ||
        !iw_field_number(root, "keys_version", &c->keys_version))
        return refuse(err, where, "the channel", "");
    snprintf(c->key, sizeof c->key, "%s", key);
    json_t *bundles = json_object_get(root, "bundles"),
           *artifacts = json_object_get(root, "artifacts"),
           *deltas = json_object_get(root, "deltas");
    if (!json_is_object(bundles) || !json_is_object(artifacts) || !json_is_array(deltas))
        return refuse(err, where, "the channel", "");
    if (read_bundles(c, bundles, where, err) != 0 ||
        read_artifacts(c, artifacts, where, err) != 0 || read_deltas(c, deltas, where, err) != 0)
        return -1;
    return iw_channel_read_wheels(c, json_object_get(root, "wheels"))
               ? 0
               : refuse(err, where, "a wheel", "");
}

iw_channel *iw_channel_new(const char *key)
{
    iw_channel *channel = iw_alloc(sizeof *channel);
    channel->arena = iw_arena_new();
    snprintf(channel->key, sizeof channel->key, "%s", key);
    return channel;
}

void iw_channel_free(iw_channel *channel)
{
    if (!channel) return;
    free(channel->bundles);
    free(channel->artifacts);
    free(channel->deltas);
    free(channel->wheels);
    iw_arena_free(channel->arena);
    free(channel);
}

int iw_channel_parse(const char *text, size_t length, const char *where, iw_channel **out,
                     iw_error *err)
{
    json_t *root;
    *out = NULL;
    if (iw_canon_parse(text, length, where, &root, err) != 0) return -1;
    iw_channel *channel = iw_channel_new("");
    int status = read_channel(channel, root, where, err);
    json_decref(root);
    if (status == 0) *out = channel;
    else iw_channel_free(channel);
    return status;
}

/* --- writing -------------------------------------------------------------- */

static void put_text(json_t *object, const char *key, const char *text)
{
    if (text && *text) json_object_set_new(object, key, json_string(text));
}

static void put_number(json_t *object, const char *key, uint64_t number)
{
    json_object_set_new(object, key, json_integer((json_int_t)number));
}

static void put_blob(json_t *object, const char *key, const iw_blob *blob)
{
    if (!blob->sha256 || !*blob->sha256) return;
    json_t *inner = json_object();
    put_text(inner, "sha256", blob->sha256);
    put_number(inner, "size", blob->size);
    json_object_set_new(object, key, inner);
}

static json_t *write_bundle(const iw_offer *b)
{
    json_t *object = json_object();
    const char *const texts[][2] = {{"stack", b->stack},         {"version", b->version},
                                    {"profile", b->profile},     {"glibc", b->glibc},
                                    {"python", b->python},       {"bundle_key", b->bundle_key},
                                    {"withdrawn", b->withdrawn}, {"restricted", b->restricted}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put_text(object, texts[i][0], texts[i][1]);
    put_blob(object, "file", &b->file);
    if (b->pieces && *b->pieces)
        json_object_set_new(object, "pieces",
                            json_pack("{s:s,s:I}", "sha256s", b->pieces, "size",
                                      (json_int_t)b->piece));
    put_blob(object, "tar", &b->tar);
    put_blob(object, "manifest", &b->manifest);
    put_blob(object, "checks", &b->checks);
    put_blob(object, "rest", &b->rest);
    put_blob(object, "rest_tar", &b->rest_tar);
    put_blob(object, "list", &b->list);
    put_number(object, "pushed", b->pushed);
    put_number(object, "order", b->order);
    put_number(object, "tried", b->tried);
    return object;
}

static json_t *write_artifact(const iw_offered *a)
{
    json_t *object = json_object();
    put_text(object, "package", a->package);
    put_text(object, "version", a->version);
    put_text(object, "profile", a->profile);
    put_text(object, "withdrawn", a->withdrawn);
    put_blob(object, "file", &a->file);
    put_blob(object, "content", &a->content);
    put_blob(object, "record", &a->record);
    return object;
}

static json_t *write_delta(const iw_offered_delta *d)
{
    json_t *object = json_object();
    put_text(object, "from", d->from);
    put_text(object, "to", d->to);
    put_blob(object, "file", &d->file);
    return object;
}

static char *write_and_drop(json_t *root)
{
    char *text = iw_canon_write(root);
    json_decref(root);
    return text;
}

char *iw_channel_write(const iw_channel *channel)
{
    json_t *root = json_object(), *bundles = json_object(), *artifacts = json_object(),
           *deltas = json_array();
    for (size_t i = 0; i < channel->bundle_count; i++)
        json_object_set_new(bundles, channel->bundles[i].name, write_bundle(&channel->bundles[i]));
    for (size_t i = 0; i < channel->artifact_count; i++)
        json_object_set_new(artifacts, channel->artifacts[i].build_key,
                            write_artifact(&channel->artifacts[i]));
    for (size_t i = 0; i < channel->delta_count; i++)
        json_array_append_new(deltas, write_delta(&channel->deltas[i]));
    put_number(root, "format", 1);
    put_text(root, "type", "channel");
    put_text(root, "key", channel->key);
    put_number(root, "version", channel->version);
    put_number(root, "issued", channel->issued);
    put_number(root, "expires", channel->expires);
    put_number(root, "keys_version", channel->keys_version);
    json_object_set_new(root, "bundles", bundles);
    json_object_set_new(root, "artifacts", artifacts);
    json_object_set_new(root, "deltas", deltas);
    if (channel->wheel_count) json_object_set_new(root, "wheels", iw_channel_write_wheels(channel));
    return write_and_drop(root);
}

/* --- looking up and changing ---------------------------------------------- */

static size_t bundle_place(const iw_channel *channel, const char *name, bool *there)
{
    size_t i = 0;
    while (i < channel->bundle_count && strcmp(channel->bundles[i].name, name) < 0) i++;
    *there = i < channel->bundle_count && strcmp(channel->bundles[i].name, name) == 0;
    return i;
}

const iw_offer *iw_channel_bundle(const iw_channel *channel, const char *name)
{
    bool there;
    size_t i = bundle_place(channel, name, &there);
    return there ? &channel->bundles[i] : NULL;
}

const iw_offered *iw_channel_artifact(const iw_channel *channel, const char *build_key)
{
    iw_offered wanted = {.build_key = build_key};
    return channel->artifact_count ? bsearch(&wanted, channel->artifacts, channel->artifact_count,
                                             sizeof wanted, by_key)
                                   : NULL;
}

static iw_blob keep_blob(iw_arena *arena, const iw_blob *blob)
{
    return (iw_blob){keep(arena, blob->sha256), blob->size};
}

void iw_channel_put_bundle(iw_channel *channel, const iw_offer *bundle)
{
    iw_arena *a = channel->arena;
    bool there;
    size_t i = bundle_place(channel, bundle->name, &there);
    if (!there) {
        iw_grow((void **)&channel->bundles, &channel->bundle_capacity, channel->bundle_count + 1,
                sizeof *channel->bundles);
        memmove(channel->bundles + i + 1, channel->bundles + i,
                (channel->bundle_count++ - i) * sizeof *channel->bundles);
    }
    channel->bundles[i] = (iw_offer){.name = keep(a, bundle->name),
                                     .stack = keep(a, bundle->stack),
                                     .version = keep(a, bundle->version),
                                     .profile = keep(a, bundle->profile),
                                     .glibc = keep(a, bundle->glibc),
                                     .python = keep(a, bundle->python),
                                     .bundle_key = keep(a, bundle->bundle_key),
                                     .withdrawn = keep(a, bundle->withdrawn),
                                     .restricted = keep(a, bundle->restricted),
                                     .file = keep_blob(a, &bundle->file),
                                     .pieces = keep(a, bundle->pieces),
                                     .piece = bundle->piece,
                                     .tar = keep_blob(a, &bundle->tar),
                                     .manifest = keep_blob(a, &bundle->manifest),
                                     .checks = keep_blob(a, &bundle->checks),
                                     .rest = keep_blob(a, &bundle->rest),
                                     .rest_tar = keep_blob(a, &bundle->rest_tar),
                                     .list = keep_blob(a, &bundle->list),
                                     .pushed = bundle->pushed,
                                     .order = bundle->order,
                                     .tried = bundle->tried};
}

void iw_channel_put_artifact(iw_channel *channel, const iw_offered *artifact)
{
    iw_arena *a = channel->arena;
    size_t i = 0;
    while (i < channel->artifact_count &&
           strcmp(channel->artifacts[i].build_key, artifact->build_key) < 0)
        i++;
    bool there = i < channel->artifact_count &&
                 strcmp(channel->artifacts[i].build_key, artifact->build_key) == 0;
    if (!there) {
        iw_grow((void **)&channel->artifacts, &channel->artifact_capacity,
                channel->artifact_count + 1, sizeof *channel->artifacts);
        memmove(channel->artifacts + i + 1, channel->artifacts + i,
                (channel->artifact_count++ - i) * sizeof *channel->artifacts);
    }
    channel->artifacts[i] = (iw_offered){.build_key = keep(a, artifact->build_key),
                                         .package = keep(a, artifact->package),
                                         .version = keep(a, artifact->version),
                                         .profile = keep(a, artifact->profile),
                                         .withdrawn = keep(a, artifact->withdrawn),
                                         .file = keep_blob(a, &artifact->file),
                                         .content = keep_blob(a, &artifact->content),
                                         .record = keep_blob(a, &artifact->record)};
}

void iw_channel_put_delta(iw_channel *channel, const iw_offered_delta *delta)
{
    size_t i = 0;
    while (i < channel->delta_count && (strcmp(channel->deltas[i].from, delta->from) != 0 ||
                                        strcmp(channel->deltas[i].to, delta->to) != 0))
        i++;
    iw_grow((void **)&channel->deltas, &channel->delta_capacity, i + 1, sizeof *channel->deltas);
    channel->deltas[i] =
        (iw_offered_delta){keep(channel->arena, delta->from), keep(channel->arena, delta->to),
                           keep_blob(channel->arena, &delta->file)};
    if (i == channel->delta_count) channel->delta_count++;
}

size_t iw_channel_withdraw(iw_channel *channel, const char *what, const char *why)
{
    const char *reason = keep(channel->arena, why);
    size_t count = 0;
    bool there;
    size_t bundle = bundle_place(channel, what, &there);
    if (there) channel->bundles[bundle].withdrawn = reason, count++;
    for (size_t i = 0; i < channel->artifact_count; i++) {
        iw_offered *one = &channel->artifacts[i];
        iw_cleanup_free char *name = iw_format("%s/%s", one->package, one->version);
        if (strcmp(what, one->build_key) != 0 && strcmp(what, name) != 0) continue;
        one->withdrawn = reason;
        count++;
    }
    return count;
}

/* Deltas that start or end at its tar go with it, and wheels that were of it alone are nobody's. */
void iw_channel_drop_bundle(iw_channel *channel, const char *name)
{
    bool there;
    size_t i = bundle_place(channel, name, &there), left = 0;
    if (!there) return;
    const char *tar = channel->bundles[i].tar.sha256;
    memmove(channel->bundles + i, channel->bundles + i + 1,
            (--channel->bundle_count - i) * sizeof *channel->bundles);
    for (size_t k = 0; k < channel->delta_count; k++)
        if (strcmp(channel->deltas[k].from, tar) != 0 && strcmp(channel->deltas[k].to, tar) != 0)
            channel->deltas[left++] = channel->deltas[k];
    channel->delta_count = left;
    iw_channel_rename_wheels(channel, name, NULL);
}

static void tell_blob(const iw_blob *blob, void (*each)(void *, const iw_blob *), void *context)
{
    if (*blob->sha256) each(context, blob);
}

void iw_channel_blobs(const iw_channel *channel, void (*each)(void *context, const iw_blob *blob),
                      void *context)
{
    for (size_t i = 0; i < channel->bundle_count; i++) {
        const iw_offer *one = &channel->bundles[i];
        tell_blob(*one->rest.sha256 ? &one->rest : &one->file, each, context);
        tell_blob(&one->list, each, context);
        tell_blob(&channel->bundles[i].manifest, each, context);
        tell_blob(&channel->bundles[i].checks, each, context);
    }
    for (size_t i = 0; i < channel->artifact_count; i++) {
        tell_blob(&channel->artifacts[i].file, each, context);
        tell_blob(&channel->artifacts[i].record, each, context);
    }
    for (size_t i = 0; i < channel->delta_count; i++)
        tell_blob(&channel->deltas[i].file, each, context);
}

/* --- keys ----------------------------------------------------------------- */

iw_keys *iw_keys_new(const char *owner)
{
    iw_keys *keys = iw_alloc(sizeof *keys);
    keys->arena = iw_arena_new();
    keys->owner = iw_arena_strdup(keys->arena, owner);
    return keys;
}

void iw_keys_free(iw_keys *keys)
{
    if (!keys) return;
    free(keys->recovery);
    free(keys->working);
    free(keys->revoked);
    iw_arena_free(keys->arena);
    free(keys);
}

static const iw_public_key *find_key(const iw_public_key *keys, size_t count, const char *id)
{
    char found[IW_KEY_ID];
    for (size_t i = 0; i < count; i++) {
        iw_key_id(&keys[i], found);
        if (strcmp(found, id) == 0) return &keys[i];
    }
    return NULL;
}

const iw_public_key *iw_keys_recovery(const iw_keys *keys, const char *id)
{
    return find_key(keys->recovery, keys->recovery_count, id);
}

const iw_public_key *iw_keys_working(const iw_keys *keys, const char *id)
{
    return find_key(keys->working, keys->working_count, id);
}

const iw_revoked *iw_keys_revoked(const iw_keys *keys, const char *id)
{
    for (size_t i = 0; i < keys->revoked_count; i++)
        if (strcmp(keys->revoked[i].id, id) == 0) return &keys->revoked[i];
    return NULL;
}

void iw_keys_add(iw_keys *keys, const iw_public_key *key, bool recovery)
{
    iw_public_key **list = recovery ? &keys->recovery : &keys->working;
    size_t *count = recovery ? &keys->recovery_count : &keys->working_count,
           *capacity = recovery ? &keys->recovery_capacity : &keys->working_capacity;
    for (size_t i = 0; i < *count; i++)
        if (iw_key_equal(&(*list)[i], key)) return;
    iw_grow((void **)list, capacity, *count + 1, sizeof **list);
    (*list)[(*count)++] = *key;
}

void iw_keys_revoke(iw_keys *keys, const char *id, uint64_t at, uint64_t good, const char *why)
{
    size_t i = 0;
    while (i < keys->revoked_count && strcmp(keys->revoked[i].id, id) != 0) i++;
    iw_grow((void **)&keys->revoked, &keys->revoked_capacity, i + 1, sizeof *keys->revoked);
    keys->revoked[i] =
        (iw_revoked){keep(keys->arena, id), keep(keys->arena, why), .at = at, .good = good};
    if (i == keys->revoked_count) keys->revoked_count++;
}

static bool read_key_list(iw_keys *keys, const json_t *list, bool recovery)
{
    size_t i;
    json_t *line;
    iw_public_key key;
    if (!json_is_array(list) || json_array_size(list) > 256) return false;
    json_array_foreach(list, i, line)
    {
        const char *text = json_string_value(line);
        if (!text || iw_key_parse(text, "", &key, NULL) != 0) return false;
        iw_keys_add(keys, &key, recovery);
    }
    return true;
}

static bool read_revoked(iw_keys *keys, json_t *all)
{
    const char *id, *why;
    json_t *object;
    uint64_t at, good;
    if (!json_is_object(all)) return false;
    json_object_foreach(all, id, object)
    {
        if (strlen(id) != IW_KEY_ID - 1 || !iw_field_number(object, "at", &at) ||
            !iw_field_number(object, "good", &good) || !iw_field_text(object, "why", &why))
            return false;
        iw_keys_revoke(keys, id, at, good, why);
    }
    return true;
}

static int read_keys(iw_keys *keys, const json_t *root, const char *where, iw_error *err)
{
    const char *owner;
    if (check_head(root, "keys", where, err) != 0) return -1;
    if (!iw_field_text(root, "owner", &owner) ||
        !iw_field_number(root, "version", &keys->version) || keys->version == 0 ||
        !iw_field_number(root, "issued", &keys->issued) ||
        !read_key_list(keys, json_object_get(root, "recovery"), true) ||
        !read_key_list(keys, json_object_get(root, "working"), false) ||
        !read_revoked(keys, json_object_get(root, "revoked")))
        return refuse(err, where, "the key file", "");
    keys->owner = keep(keys->arena, owner);
    if (keys->recovery_count) return 0;
    return iw_fail(err, IW_E_FORMAT, "%s names no recovery key", where);
}

int iw_keys_parse(const char *text, size_t length, const char *where, iw_keys **out, iw_error *err)
{
    json_t *root;
    *out = NULL;
    if (iw_canon_parse(text, length, where, &root, err) != 0) return -1;
    iw_keys *keys = iw_keys_new("");
    int status = read_keys(keys, root, where, err);
    json_decref(root);
    if (status == 0) *out = keys;
    else iw_keys_free(keys);
    return status;
}

static json_t *write_key_list(const iw_public_key *keys, size_t count)
{
    json_t *list = json_array();
    char line[IW_KEY_LINE];
    for (size_t i = 0; i < count; i++) {
        iw_key_line(&keys[i], line);
        json_array_append_new(list, json_string(line));
    }
    return list;
}

char *iw_keys_write(const iw_keys *keys)
{
    json_t *root = json_object(), *revoked = json_object();
    for (size_t i = 0; i < keys->revoked_count; i++) {
        json_t *object = json_object();
        put_number(object, "at", keys->revoked[i].at);
        put_number(object, "good", keys->revoked[i].good);
        json_object_set_new(object, "why", json_string(keys->revoked[i].why));
        json_object_set_new(revoked, keys->revoked[i].id, object);
    }
    put_number(root, "format", 1);
    put_text(root, "type", "keys");
    json_object_set_new(root, "owner", json_string(keys->owner));
    put_number(root, "version", keys->version);
    put_number(root, "issued", keys->issued);
    json_object_set_new(root, "recovery", write_key_list(keys->recovery, keys->recovery_count));
    json_object_set_new(root, "working", write_key_list(keys->working, keys->working_count));
    json_object_set_new(root, "revoked", revoked);
    return write_and_drop(root);
}

/* --- stamps --------------------------------------------------------------- */

char *iw_stamp_write(const iw_stamp *stamp)
{
    return iw_format("ironwheel %s version=%" PRIu64 " issued=%" PRIu64 " expires=%" PRIu64
                     " sha256=%s size=%" PRIu64,
                     stamp->kind, stamp->version, stamp->issued, stamp->expires, stamp->sha256,
                     stamp->size);
}

/* "name=NUMBER" as the next word. */
static bool take_number(iw_slice *rest, const char *name, uint64_t *out)
{
    iw_slice word;
    size_t length = strlen(name);
    if (!iw_slice_next(rest, ' ', &word) || word.length <= length ||
        memcmp(word.data, name, length) != 0)
        return false;
    iw_cleanup_free char *text = iw_strndup(word.data + length, word.length - length);
    return iw_parse_unsigned(text, IW_CANON_NUMBER, out);
}

static bool take_digest(iw_slice *rest, char out[IW_SHA256_HEX])
{
    iw_slice word;
    static const char name[] = "sha256=";
    size_t length = strlen(name);
    if (!iw_slice_next(rest, ' ', &word) || word.length != length + IW_SHA256_HEX - 1 ||
        memcmp(word.data, name, length) != 0)
        return false;
    memcpy(out, word.data + length, IW_SHA256_HEX - 1);
    out[IW_SHA256_HEX - 1] = 0;
    return iw_is_sha256(out);
}

int iw_stamp_parse(const char *comment, const char *where, iw_stamp *out, iw_error *err)
{
    iw_slice rest = iw_slice_of(comment), program = {0}, kind = {0};
    *out = (iw_stamp){.version = 0};
    iw_slice_next(&rest, ' ', &program);
    iw_slice_next(&rest, ' ', &kind);
    if (kind.length >= sizeof out->kind) kind.length = 0;
    if (kind.length) memcpy(out->kind, kind.data, kind.length);
    if (iw_slice_equal(program, "ironwheel") && kind.length &&
        take_number(&rest, "version=", &out->version) && out->version &&
        take_number(&rest, "issued=", &out->issued) &&
        take_number(&rest, "expires=", &out->expires) && take_digest(&rest, out->sha256) &&
        take_number(&rest, "size=", &out->size) && rest.length == 0 && out->size <= IW_CANON_LIMIT)
        return 0;
    return iw_fail(err, IW_E_FORMAT, "%s: its comment isn't one of Ironwheel's: \"%.200s\"", where,
                   comment);
}
