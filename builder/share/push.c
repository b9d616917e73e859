#include "share/push.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/admit.h"
#include "share/bundle_facts.h"
#include "share/channel_wheels.h"
#include "share/layout.h"
#include "share/parts.h"
#include "share/prune.h"
#include "share/put_wheels.h"

#define DELTAS 3 /* earlier bundles that one is made from */
#define DAY UINT64_C(86400)
#define CHECKS_LIMIT ((size_t)64 << 20)

typedef struct pushing {
    iw_trust *trust;
    iw_remote *remote;
    const iw_push_options *options;
    iw_layout *layout;
    iw_channel *channel;
    iw_secret_key key;
    char *before;       /* the channel's text as it was, without version and dates */
    iw_strings dropped; /* blobs that the old channel named */
    iw_strings audited; /* build keys: an artifact is looked at once, whatever is made of it */
    iw_blob *named;     /* those, and what is named now; the channels' arenas hold their texts */
    size_t named_count, named_capacity;
    uint64_t now, wheel_bytes;
    iw_pushed *out;
} pushing;

static void note(const pushing *p, const char *subject, const char *text)
{
    iw_emit(p->options->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = subject, .detail = text});
}

/* --- one bundle ----------------------------------------------------------- */

/* Of the restricted packages those that no --without leaves out; caller frees. */
static char *restricted_left(const pushing *p, const iw_bundle_facts *f)
{
    iw_buffer out = {0};
    iw_slice rest = iw_slice_of(f->restricted), word;
    while (iw_slice_next(&rest, ' ', &word)) {
        iw_cleanup_free char *name = iw_strndup(word.data, word.length);
        if (p->options->without && iw_parts_leaves_out(p->options->without, name)) continue;
        iw_buffer_add_format(&out, "%s%s", out.length ? " " : "", name);
    }
    return iw_buffer_take(&out);
}

/* Named once, whatever is done about it. */
static int refuse_restricted(const pushing *p, const iw_bundle_facts *f, iw_error *err)
{
    iw_cleanup_free char *left = restricted_left(p, f);
    if (!*left || iw_remote_is_folder(p->remote)) return 0;
    if (p->options->redistribute) {
        iw_cleanup_free char *text = iw_format(
            "it holds what its makers don't let everybody hand on: %s; --redistribute sends it",
            left);
        note(p, f->name, text);
        return 0;
    }
    return iw_fail(err, IW_E_USAGE,
                   "%s holds what its makers don't let everybody hand on: %s. Push it to a folder "
                   "of your own; or --without %.*s, and `pull` fetches those wheels from the "
                   "package index; or, where you may give it away, --redistribute",
                   f->name, left, (int)strcspn(left, " -"), left);
}

/* The signature of the file itself, for `minisign -V`. Caller frees. */
static char *sign_file(const pushing *p, const iw_bundle_facts *f)
{
    iw_cleanup_free char *comment =
        iw_format("ironwheel bundle %s%s tar=%s", f->name, IW_BUNDLE_SUFFIX, f->digests.tar);
    return iw_sign_prehashed(&p->key, f->prehash, comment);
}

static int write_named(pushing *p, const char *name, const char *ending, const char *text,
                       iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s%s%s", name, IW_BUNDLE_SUFFIX, ending);
    if (iw_remote_is_registry(p->remote)) return 0;
    return iw_remote_write(p->remote, path, text, strlen(text), err);
}

/* Of a bundle that goes in parts only the archive of what is left, under its name with `~rest`. */
static int put_rest_name(pushing *p, const iw_bundle_facts *f, const iw_offer *parts, char **text,
                         iw_error *err)
{
    iw_cleanup_free char *name = iw_format("%s~rest", f->name),
                         *file = iw_format("%s%s", name, IW_BUNDLE_SUFFIX),
                         *list = iw_format("%s.json", name);
    iw_layer layers[] = {{IW_MEDIA_LAYER, parts->rest.sha256, file, parts->rest.size},
                         {IW_MEDIA_JSON, parts->list.sha256, list, parts->list.size}};
    *text = iw_layout_manifest_text(IW_MEDIA_BUNDLE, layers, 2, NULL);
    return iw_layout_name(p->layout, parts->rest.sha256, file, err) == 0
               ? iw_layout_manifest(p->layout, name, IW_MEDIA_BUNDLE, layers, 2, err)
               : -1;
}

/* <name>.tar.zst, .sha256, .minisig, and the manifest for OCI's clients. */
static int put_names(pushing *p, const iw_bundle_facts *f, char **text, iw_error *err)
{
    iw_cleanup_free char *signature = sign_file(p, f),
                         *file = iw_format("%s%s", f->name, IW_BUNDLE_SUFFIX),
                         *beside = iw_format("%s.minisig", file),
                         *line = iw_format("%s  %s\n", f->digests.file, file);
    char digest[IW_SHA256_HEX];
    if (iw_layout_put_bytes(p->layout, signature, strlen(signature), digest, err) != 0) return -1;
    iw_layer layers[] = {{IW_MEDIA_LAYER, f->digests.file, file, f->digests.file_size},
                         {IW_MEDIA_SIGNATURE, digest, beside, strlen(signature)}};
    *text = iw_layout_manifest_text(IW_MEDIA_BUNDLE, layers, 2, NULL);
    return write_named(p, f->name, ".sha256", line, err) == 0 &&
                   write_named(p, f->name, ".minisig", signature, err) == 0 &&
                   iw_layout_name(p->layout, f->digests.file, file, err) == 0 &&
                   iw_layout_manifest(p->layout, f->name, IW_MEDIA_BUNDLE, layers, 2, err) == 0
               ? 0
               : -1;
}

/* What was audited and checked, where a registry's clients look for it. */
static int put_proof(pushing *p, const char *bundle, const iw_blob *manifest, const iw_blob *checks,
                     iw_error *err)
{
    iw_layer layers[] = {{IW_MEDIA_JSON, manifest->sha256, "manifest.json", manifest->size},
                         {IW_MEDIA_JSON, checks->sha256, "checks.json", checks->size}};
    return iw_layout_attach(p->layout, bundle, IW_MEDIA_PROOF, layers, *checks->sha256 ? 2 : 1,
                            err);
}

static int put_checks(pushing *p, const char *path, char sha256[IW_SHA256_HEX], uint64_t *size,
                      iw_error *err)
{
    iw_cleanup_free char *beside = iw_format("%s.checks.json", path), *text = NULL;
    size_t length;
    *sha256 = 0;
    *size = 0;
    if (!iw_exists(beside)) return 0;
    if (iw_read_file(beside, CHECKS_LIMIT, &text, &length, err) != 0) return -1;
    *size = length;
    return iw_layout_put_bytes(p->layout, text, length, sha256, err);
}

/* --- deltas --------------------------------------------------------------- */

/* The uncompressed tar of an earlier bundle; caller removes it. */
static int old_tar(pushing *p, const iw_offer *from, char **tar, iw_error *err)
{
    iw_cleanup_free char *blob = iw_blob_path(from->file.sha256),
                         *part = iw_format("%s/%s", p->options->work, from->file.sha256);
    iw_remote_want want = {.path = blob,
                           .label = from->name,
                           .sha256 = from->file.sha256,
                           .size = from->file.size,
                           .part = part};
    *tar = iw_format("%s.tar", part);
    int status = iw_remote_fetch(p->remote, &want, 1, err);
    if (status == 0 && !want.done) {
        iw_error_move(err, &want.err);
        status = -1;
    }
    iw_error_clear(&want.err);
    if (status == 0) status = iw_zstd_unpack(part, *tar, from->tar.size, err);
    unlink(part);
    return status;
}

static int put_delta(pushing *p, const iw_offer *from, const char *to, uint64_t whole,
                     const char *new_tar, iw_error *err)
{
    iw_cleanup_free char *old = NULL, *path = iw_format("%s/delta", p->options->work);
    char digest[IW_SHA256_HEX];
    uint64_t size;
    int status = old_tar(p, from, &old, err);
    if (status == 0) status = iw_delta_make(old, new_tar, path, err);
    if (status == 0) status = iw_hash_file(path, digest, &size, err);
    if (status == 0 && size < whole / 2) {
        status = iw_layout_put_file(p->layout, path, digest, size, err);
        iw_offered_delta delta = {from->tar.sha256, to, {digest, size}};
        if (status == 0) iw_channel_put_delta(p->channel, &delta);
        p->out->deltas += status == 0;
    }
    if (old) unlink(old);
    unlink(path);
    return status;
}

static bool may_be_from(const iw_offer *offer, const iw_bundle_facts *f)
{
    return strcmp(offer->stack, f->stack) == 0 && strcmp(offer->profile, f->profile) == 0 &&
           strcmp(offer->tar.sha256, f->digests.tar) != 0 && !*offer->withdrawn &&
           !*offer->rest.sha256 && iw_delta_fits(offer->tar.size, f->digests.tar_size);
}

/* The newest of those that are older than `below`. */
static const iw_offer *next_older(const iw_channel *channel, const iw_bundle_facts *f,
                                  uint64_t below)
{
    const iw_offer *best = NULL;
    for (size_t i = 0; i < channel->bundle_count; i++) {
        const iw_offer *one = &channel->bundles[i];
        if (may_be_from(one, f) && one->order < below && (!best || one->order > best->order))
            best = one;
    }
    return best;
}

/* A delta that can't be made is a note: the bundle is there. */
static int put_deltas(pushing *p, const char *path, const iw_bundle_facts *f, iw_error *err)
{
    const iw_offer *from = next_older(p->channel, f, UINT64_MAX);
    if (!from || p->options->no_deltas) return 0;
    iw_cleanup_free char *tar = iw_format("%s/new.tar", p->options->work);
    iw_error inner = IW_ERROR_INIT;
    int status = iw_zstd_unpack(path, tar, f->digests.tar_size, &inner);
    for (int i = 0; status == 0 && from && i < DELTAS; i++) {
        status = put_delta(p, from, f->digests.tar, f->digests.file_size, tar, &inner);
        from = next_older(p->channel, f, from->order);
    }
    unlink(tar);
    bool stop = inner.kind == IW_E_CANCELLED;
    if (status != 0 && stop) iw_error_move(err, &inner);
    else if (status != 0) {
        iw_wrap(&inner, "no delta was made");
        note(p, f->name, iw_error_text(&inner));
    }
    iw_error_clear(&inner);
    return stop ? -1 : 0;
}

/* --- the channel's entry -------------------------------------------------- */

static uint64_t next_order(const iw_channel *channel)
{
    uint64_t most = 0;
    for (size_t i = 0; i < channel->bundle_count; i++)
        if (channel->bundles[i].order > most) most = channel->bundles[i].order;
    return most + 1;
}

/* What the new one replaces stays under a name with its digest, so that a rig can go back. */
static void keep_old(pushing *p, const iw_bundle_facts *f)
{
    const iw_offer *old = iw_channel_bundle(p->channel, f->name);
    if (!old || strcmp(old->tar.sha256, f->digests.tar) == 0) return;
    iw_offer copy = *old;
    iw_cleanup_free char *name = iw_format("%s~%.12s", old->name, old->tar.sha256);
    copy.name = name;
    iw_channel_put_bundle(p->channel, &copy);
    iw_channel_rename_wheels(p->channel, f->name, name);
}

static void put_offer(pushing *p, const iw_push_item *item, const iw_bundle_facts *f,
                      const iw_offer *found)
{
    const iw_offer *old = iw_channel_bundle(p->channel, f->name);
    bool same = old && strcmp(old->tar.sha256, f->digests.tar) == 0;
    iw_offer offer = {.name = f->name,
                      .stack = f->stack,
                      .version = f->version,
                      .profile = f->profile,
                      .glibc = f->glibc,
                      .python = f->python,
                      .bundle_key = item->bundle_key ? item->bundle_key
                                    : same           ? old->bundle_key
                                                     : "",
                      .file = {f->digests.file, f->digests.file_size},
                      .pieces = found->pieces,
                      .piece = found->piece,
                      .tar = {f->digests.tar, f->digests.tar_size},
                      .manifest = found->manifest,
                      .checks = found->checks,
                      .rest = found->rest,
                      .rest_tar = found->rest_tar,
                      .list = found->list,
                      .withdrawn = same ? old->withdrawn : "",
                      .restricted = f->restricted,
                      .tried = f->tried,
                      .pushed = same ? old->pushed : p->now,
                      .order = same ? old->order : next_order(p->channel)};
    iw_channel_put_bundle(p->channel, &offer);
}

/* What is left of it, and the list; the digests go to `out`, the texts of them to `parts`. */
static int put_parts(pushing *p, const iw_push_item *item, const iw_bundle_facts *f,
                     iw_parts *parts, char sha256[IW_SHA256_HEX], iw_offer *out, iw_error *err)
{
    if (iw_parts_make(item->bundle, f, p->options->without, p->options->store, p->options->work,
                      parts, err) != 0 ||
        iw_layout_put_file(p->layout, parts->path, parts->packed.file, parts->packed.file_size,
                           err) != 0 ||
        iw_layout_put_bytes(p->layout, parts->list, strlen(parts->list), sha256, err) != 0)
        return -1;
    out->rest = (iw_blob){parts->packed.file, parts->packed.file_size};
    out->rest_tar = (iw_blob){parts->packed.content, parts->packed.content_size};
    out->list = (iw_blob){sha256, strlen(parts->list)};
    iw_cleanup_free char *text = iw_format("%zu files of %s stay here; `pull` fetches their wheels",
                                           parts->files, p->options->without);
    note(p, f->name, text);
    unlink(parts->path);
    return 0;
}

static int put_whole(pushing *p, const iw_push_item *item, const iw_bundle_facts *f, char **text,
                     iw_error *err)
{
    return iw_layout_put_file(p->layout, item->bundle, f->digests.file, f->digests.file_size,
                              err) == 0 &&
                   put_names(p, f, text, err) == 0 && put_deltas(p, item->bundle, f, err) == 0
               ? 0
               : -1;
}

static bool goes_in_parts(const pushing *p, const iw_bundle_facts *f)
{
    iw_cleanup_free char *left = restricted_left(p, f);
    return p->options->without && strcmp(left, f->restricted) != 0;
}

static int put_bytes_of(pushing *p, const iw_push_item *item, const iw_bundle_facts *f,
                        iw_parts *parts, iw_error *err)
{
    char manifest[IW_SHA256_HEX], checks[IW_SHA256_HEX], list[IW_SHA256_HEX];
    iw_cleanup_free char *text = NULL;
    iw_offer found = {.manifest = {manifest, f->manifest_length},
                      .checks = {checks, 0},
                      .rest = {"", 0},
                      .rest_tar = {"", 0},
                      .list = {"", 0}};
    bool in_parts = goes_in_parts(p, f);
    found.piece = f->piece;
    found.pieces = in_parts ? NULL : f->pieces;
    int status = in_parts ? put_parts(p, item, f, parts, list, &found, err)
                          : put_whole(p, item, f, &text, err);
    if (status == 0 && in_parts) status = put_rest_name(p, f, &found, &text, err);
    if (status != 0 ||
        iw_layout_put_bytes(p->layout, f->manifest, f->manifest_length, manifest, err) != 0 ||
        put_checks(p, item->bundle, checks, &found.checks.size, err) != 0 ||
        put_proof(p, text, &found.manifest, &found.checks, err) != 0)
        return -1;
    keep_old(p, f);
    put_offer(p, item, f, &found);
    p->out->bundles++;
    return 0;
}

static int push_facts(pushing *p, const iw_push_item *item, const iw_bundle_facts *f, iw_error *err)
{
    iw_parts parts = {.path = NULL};
    if (refuse_restricted(p, f, err) != 0) return -1;
    int status = put_bytes_of(p, item, f, &parts, err);
    iw_parts_clear(&parts);
    return status;
}

static int push_bundle(pushing *p, const iw_push_item *item, iw_error *err)
{
    iw_bundle_facts facts = {.manifest = NULL};
    iw_emit(p->options->sink, (iw_event){.type = IW_EVENT_STARTED,
                                         .subject = iw_path_base(item->bundle),
                                         .phase = "push"});
    int status = iw_bundle_facts_read(item->bundle, &facts, err);
    if (status == 0) status = push_facts(p, item, &facts, err);
    iw_bundle_facts_clear(&facts);
    return status;
}

/* --- artifacts ------------------------------------------------------------ */

static int push_record(pushing *p, const iw_artifact *a, char sha256[IW_SHA256_HEX], uint64_t *size,
                       iw_error *err)
{
    iw_cleanup_free char *text = iw_admit_record(a);
    *size = strlen(text);
    return iw_layout_put_bytes(p->layout, text, *size, sha256, err);
}

static int push_artifact(pushing *p, const iw_push_item *item, const iw_node *node, iw_error *err)
{
    const iw_artifact *a = &node->artifact;
    iw_cleanup_free char *name = iw_format("%s%s", a->build_key, IW_BUNDLE_SUFFIX),
                         *path = iw_store_path(item->store, "artifacts", name);
    char record[IW_SHA256_HEX];
    uint64_t record_size;
    const iw_offered *known = iw_channel_artifact(p->channel, a->build_key);
    if (known && strcmp(known->file.sha256, a->file_digest) == 0) return 0;
    if (iw_admit_audit(path, item->plan, node, NULL, err) != 0 ||
        iw_layout_put_file(p->layout, path, a->file_digest, a->file_size, err) != 0 ||
        push_record(p, a, record, &record_size, err) != 0)
        return iw_wrap(err, "artifact %s %s", a->name, a->version);
    iw_strings_add(&p->audited, a->build_key);
    iw_channel_put_artifact(p->channel, &(iw_offered){.build_key = a->build_key,
                                                      .package = a->name,
                                                      .version = a->version,
                                                      .profile = item->plan->profile->name,
                                                      .file = {a->file_digest, a->file_size},
                                                      .content = {a->content, a->content_size},
                                                      .record = {record, record_size}});
    p->out->artifacts++;
    return 0;
}

/* What isn't free to be handed on stays here, named, unless it was said to. */
static bool may_go(const pushing *p, const iw_node *node)
{
    const char *licence = node->recipe->licence;
    bool free_licence = licence && !strstr(licence, "LicenseRef-");
    if (free_licence || p->options->redistribute || iw_remote_is_folder(p->remote)) return true;
    iw_cleanup_free char *text =
        iw_format("%s isn't free to be handed on (%s): its artifact stays here; --redistribute "
                  "sends it",
                  node->recipe->name, licence ? licence : "no licence is known");
    note(p, node->recipe->name, text);
    return false;
}

static int push_artifacts(pushing *p, const iw_push_item *item, iw_error *err)
{
    for (size_t i = 0; i < item->plan->node_count; i++) {
        const iw_node *node = &item->plan->nodes[i];
        if (node->action == IW_ACTION_REUSE && (!item->only || item->only == node) &&
            may_go(p, node) && push_artifact(p, item, node, err) != 0)
            return -1;
    }
    return 0;
}

/* --- wheels --------------------------------------------------------------- */

static bool may_be_wheel(void *context, const iw_node *node)
{
    return may_go(context, node);
}

static int push_wheels(pushing *p, const iw_push_item *item, iw_error *err)
{
    iw_cleanup_free char *bundle =
        item->bundle ? iw_strndup(iw_path_base(item->bundle),
                                  strlen(iw_path_base(item->bundle)) - strlen(IW_BUNDLE_SUFFIX))
                     : NULL;
    iw_put_wheels put = {.store = item->store,
                         .plan = item->plan,
                         .key = &p->key,
                         .work = p->options->work,
                         .may_go = may_be_wheel,
                         .context = p,
                         .audited = &p->audited,
                         .channel = p->channel,
                         .index = {.bundle = bundle,
                                   .published = item->published,
                                   .channel = p->channel,
                                   .now = p->now,
                                   .sink = p->options->sink}};
    return iw_put_wheels_of(p->remote, &put, &p->out->wheels, &p->wheel_bytes, err);
}

/* Pages no longer name wheels of bundles that are gone, and warn of withdrawn ones. */
static int tidy_wheels(pushing *p, iw_error *err)
{
    iw_simple index = {.channel = p->channel, .now = p->now, .sink = p->options->sink};
    if (iw_simple_refresh(p->remote, &index, p->options->withdraw, err) != 0) return -1;
    iw_channel_age_wheels(p->channel, p->now);
    return 0;
}

/* --- the channel ---------------------------------------------------------- */

static int withdraw(pushing *p, iw_error *err)
{
    const char *what = p->options->withdraw;
    if (!what) return 0;
    p->out->withdrawn = iw_channel_withdraw(p->channel, what, p->options->why);
    return p->out->withdrawn
               ? 0
               : iw_fail(err, IW_E_NOT_FOUND,
                         "key %s offers no bundle %s at %s, nor a package or artifact of that name "
                         "(numpy/1.26.4, or a build key)",
                         p->channel->key, what, iw_remote_where(p->remote));
}

/* Its text without what changes with every signing. Caller frees. */
static char *content_of(const iw_channel *channel)
{
    iw_channel copy = *channel;
    copy.version = copy.issued = copy.expires = copy.keys_version = 0;
    return iw_channel_write(&copy);
}

static uint64_t keys_version(const iw_trust *trust)
{
    iw_keys *keys = NULL;
    uint64_t version = iw_own_keys(trust, &keys, NULL) == 0 ? keys->version : 0;
    iw_keys_free(keys);
    return version;
}

/* Half of its life is over: then it is signed anew though nothing changed. */
static bool ages(const pushing *p)
{
    const iw_channel *c = p->channel;
    return c->expires && p->now > c->issued + (c->expires - c->issued) / 2;
}

static int sign_channel(pushing *p, iw_error *err)
{
    iw_channel *c = p->channel;
    uint64_t days = !p->options->withdraw ? p->options->expires
                    : c->expires          ? (c->expires - c->issued) / DAY
                                          : 0; /* as it was signed for before */
    if (iw_own_version(p->trust, c->version, &c->version, err) != 0) return -1;
    c->issued = p->now;
    c->expires = days ? p->now + days * DAY : 0;
    c->keys_version = keys_version(p->trust);
    iw_cleanup_free char *text = iw_channel_write(c), *name = iw_format("channels/%s.json", c->key);
    if (!text || strlen(text) > IW_CANON_LIMIT)
        return iw_fail(
            err, IW_E_FORMAT,
            "this channel has grown too long (%zu bytes); --prune KEEP drops old bundles",
            text ? strlen(text) : 0);
    iw_stamp stamp = {.kind = "channel",
                      .version = c->version,
                      .issued = c->issued,
                      .expires = c->expires,
                      .size = strlen(text)};
    iw_hash_bytes(text, strlen(text), stamp.sha256);
    return iw_signed_write(p->remote, name, text, &stamp, &p->key, err);
}

/* Newest first, by stack and profile. */
static int drop_old(pushing *p)
{
    iw_strings gone = {0};
    for (size_t i = 0; i < p->channel->bundle_count; i++) {
        const iw_offer *one = &p->channel->bundles[i];
        uint64_t newer = 0;
        for (size_t k = 0; k < p->channel->bundle_count; k++) {
            const iw_offer *other = &p->channel->bundles[k];
            newer += strcmp(one->stack, other->stack) == 0 &&
                     strcmp(one->profile, other->profile) == 0 && other->order > one->order;
        }
        if (newer >= p->options->prune) iw_strings_add(&gone, one->name);
    }
    for (size_t i = 0; i < gone.count; i++) {
        iw_channel_drop_bundle(p->channel, gone.items[i]);
        iw_layout_forget(p->layout, gone.items[i]);
    }
    int count = (int)gone.count;
    iw_strings_free(&gone);
    return count;
}

/* --- all of it ------------------------------------------------------------ */

static void add_blob(void *context, const iw_blob *blob)
{
    iw_strings_add(context, blob->sha256);
}

static void add_named(void *context, const iw_blob *blob)
{
    pushing *p = context;
    iw_grow((void **)&p->named, &p->named_capacity, p->named_count + 1, sizeof *p->named);
    p->named[p->named_count++] = *blob;
}

/* Also what the channel before named, for rigs that are still at it. */
static int keep_named(pushing *p, iw_error *err)
{
    iw_channel_blobs(p->channel, add_named, p);
    return iw_layout_keep(p->layout, p->out->key, p->named, p->named_count, err);
}

static int push_items(pushing *p, const iw_push_item *items, size_t count, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].bundle && push_bundle(p, &items[i], err) != 0) return -1;
        if (items[i].artifacts && push_artifacts(p, &items[i], err) != 0) return -1;
        if (items[i].wheels && push_wheels(p, &items[i], err) != 0) return -1;
    }
    if (withdraw(p, err) != 0) return -1;
    if (p->options->prune) p->out->pruned = (size_t)drop_old(p);
    if (tidy_wheels(p, err) != 0) return -1;
    return iw_layout_finish(p->layout, err);
}

static int conclude(pushing *p, bool known, iw_error *err)
{
    iw_cleanup_free char *after = content_of(p->channel);
    bool same = known && strcmp(p->before, after) == 0 && !p->options->renew && !ages(p);
    p->out->unchanged = same;
    if (!same && (keep_named(p, err) != 0 || sign_channel(p, err) != 0)) return -1;
    p->out->version = p->channel->version;
    p->out->expires = p->channel->expires;
    p->out->sent = iw_layout_sent(p->layout) + p->wheel_bytes;
    return p->options->prune ? iw_prune(p->remote, p->channel, &p->dropped, p->options->sink, err)
                             : 0;
}

static int push(pushing *p, const iw_push_item *items, size_t count, iw_error *err)
{
    bool known = false;
    if (iw_own_key(p->trust, p->options->passphrase, &p->key, err) != 0) return -1;
    iw_key_id(&p->key.open, p->out->key);
    /* The own keys first: whoever has revoked one here would else meet his own old list there. */
    if (iw_layout_open(p->remote, p->options->verify, &p->layout, err) != 0 ||
        iw_own_keys_publish(p->trust, p->remote, err) != 0 ||
        iw_own_channel(p->trust, p->remote, &p->key, &p->channel, &known, err) != 0)
        return -1;
    p->before = content_of(p->channel);
    iw_channel_blobs(p->channel, add_blob, &p->dropped);
    iw_channel_blobs(p->channel, add_named, p);
    return push_items(p, items, count, err) == 0 ? conclude(p, known, err) : -1;
}

int iw_push(iw_trust *trust, iw_remote *remote, const iw_push_item *items, size_t count,
            const iw_push_options *options, iw_pushed *out, iw_error *err)
{
    pushing p = {.trust = trust,
                 .remote = remote,
                 .options = options,
                 .out = out,
                 .now = iw_trust_now(trust, NULL)};
    iw_cleanup_free char *lock = iw_trust_path(trust, "push.lock");
    iw_cleanup_fd int fd = -1;
    bool unknown = false;
    *out = (iw_pushed){.version = 0};
    int status = iw_make_folders(trust->folder, 0700, err) == 0
                     ? iw_lock_where_known(lock, &fd, &unknown, err)
                     : -1;
    iw_cleanup_free char *text =
        iw_format("%s can't be locked: don't push twice at a time", trust->folder);
    if (unknown) note(&p, iw_remote_where(remote), text);
    if (status == 0) status = push(&p, items, count, err);
    iw_secret_key_clear(&p.key);
    iw_layout_close(p.layout);
    iw_channel_free(p.channel);
    iw_strings_free(&p.dropped);
    iw_strings_free(&p.audited);
    free(p.before);
    free(p.named);
    return status;
}
