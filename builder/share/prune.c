#include "share/prune.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/simple.h"
#include "share/trust.h"

#define TEXT_LIMIT IW_CANON_LIMIT

typedef struct pruning {
    iw_remote *remote;
    iw_strings named, names, gone; /* named: sorted before it is asked */
    const char *folder;
    int64_t before; /* what is older may go */
} pruning;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_named(const pruning *p, const char *sha256)
{
    return p->named.count &&
           bsearch(&sha256, p->named.items, p->named.count, sizeof *p->named.items, by_text);
}

static void add_blob(void *context, const iw_blob *blob)
{
    iw_strings_add(context, blob->sha256);
}

/* --- what is named -------------------------------------------------------- */

/* Whoever signed it: nothing is taken from it, only left in place. */
static int name_channel(pruning *p, const char *path, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    size_t length;
    iw_channel *channel = NULL;
    if (iw_remote_read(p->remote, path, TEXT_LIMIT, &text, &length, err) != 0 ||
        iw_channel_parse(text, length, path, &channel, err) != 0)
        return iw_wrap(err, "nothing was pruned, for a channel there can't be read");
    iw_channel_blobs(channel, add_blob, &p->named);
    for (size_t i = 0; i < channel->wheel_count; i++)
        if (*channel->wheels[i].bundles) add_blob(&p->named, &channel->wheels[i].file);
    iw_channel_free(channel);
    return 0;
}

/* What a signature says that it signed. */
static void name_signed(pruning *p, const char *path)
{
    iw_cleanup_free char *text = NULL;
    iw_signature signature;
    iw_stamp stamp;
    size_t length;
    if (iw_remote_read(p->remote, path, 4096, &text, &length, NULL) == 0 &&
        iw_signature_parse(text, length, path, &signature, NULL) == 0 &&
        iw_stamp_parse(signature.comment, path, &stamp, NULL) == 0)
        iw_strings_add(&p->named, stamp.sha256);
}

static void name_digest(pruning *p, const json_t *descriptor)
{
    const char *digest = iw_json_get(descriptor, "digest");
    if (digest && iw_starts_with(digest, "sha256:") && iw_is_sha256(digest + 7))
        iw_strings_add(&p->named, digest + 7);
}

static void name_manifest(pruning *p, const json_t *descriptor)
{
    const char *digest = iw_json_get(descriptor, "digest");
    if (!digest || !iw_starts_with(digest, "sha256:") || !iw_is_sha256(digest + 7)) return;
    iw_cleanup_free char *path = iw_blob_path(digest + 7), *text = NULL;
    size_t length, i;
    name_digest(p, descriptor);
    if (iw_remote_read(p->remote, path, TEXT_LIMIT, &text, &length, NULL) != 0) return;
    json_t *root = json_loadb(text, length, 0, NULL), *layer;
    name_digest(p, json_object_get(root, "config"));
    json_array_foreach(json_object_get(root, "layers"), i, layer) name_digest(p, layer);
    json_decref(root);
}

static void name_index(pruning *p)
{
    iw_cleanup_free char *text = NULL;
    size_t length, i;
    if (iw_remote_read(p->remote, "index.json", TEXT_LIMIT, &text, &length, NULL) != 0) return;
    json_t *root = json_loadb(text, length, 0, NULL), *one;
    json_array_foreach(json_object_get(root, "manifests"), i, one) name_manifest(p, one);
    json_decref(root);
}

static int keep_name(void *context, const iw_remote_entry *entry, iw_error *err)
{
    (void)err;
    pruning *p = context;
    iw_cleanup_free char *path = iw_path_join(p->folder, entry->name);
    iw_strings_add(&p->names, path);
    return 0;
}

static int list(pruning *p, const char *folder, iw_error *err)
{
    p->folder = folder;
    return iw_remote_list(p->remote, folder, keep_name, p, err);
}

static int name_all(pruning *p, iw_error *err)
{
    if (list(p, "channels", err) != 0 || list(p, "keys", err) != 0) return -1;
    for (size_t i = 0; i < p->names.count; i++) {
        const char *name = p->names.items[i];
        if (iw_ends_with(name, ".minisig")) name_signed(p, name);
        else if (iw_ends_with(name, ".json") && iw_starts_with(name, "channels/") &&
                 name_channel(p, name, err) != 0)
            return -1;
    }
    name_signed(p, "keys.json.minisig");
    name_index(p);
    iw_strings_sort(&p->named);
    return 0;
}

/* --- removing ------------------------------------------------------------- */

/* Also what a push that was killed left beside the blobs. */
static int judge(void *context, const iw_remote_entry *entry, iw_error *err)
{
    (void)err;
    pruning *p = context;
    if (entry->changed < p->before && !(iw_is_sha256(entry->name) && is_named(p, entry->name)))
        iw_strings_add(&p->gone, entry->name);
    return 0;
}

static int remove_gone(pruning *p, iw_error *err)
{
    for (size_t i = 0; i < p->gone.count; i++) {
        iw_cleanup_free char *path = iw_path_join("blobs/sha256", p->gone.items[i]);
        if (iw_remote_remove(p->remote, path, err) != 0) return -1;
    }
    return 0;
}

static int touch_dropped(pruning *p, const iw_strings *dropped, iw_error *err)
{
    for (size_t i = 0; i < dropped->count; i++) {
        iw_cleanup_free char *path = iw_blob_path(dropped->items[i]);
        if (!is_named(p, dropped->items[i]) && iw_remote_touch(p->remote, path, err) != 0)
            return -1;
    }
    return 0;
}

/* Wheels that have been nobody's for long enough, and that no other channel names. */
static int remove_wheels(pruning *p, const iw_channel *channel, iw_error *err)
{
    for (size_t i = 0; i < channel->wheel_count; i++) {
        const iw_offered_wheel *one = &channel->wheels[i];
        if (!one->dropped || (int64_t)one->dropped > p->before || is_named(p, one->file.sha256))
            continue;
        iw_cleanup_free char *path = iw_simple_place(one->file.sha256, one->name),
                             *beside = iw_format("%s.metadata", path);
        if (iw_remote_remove(p->remote, path, err) != 0 ||
            iw_remote_remove(p->remote, beside, err) != 0)
            return -1;
    }
    return 0;
}

static int prune(pruning *p, const iw_channel *channel, const iw_strings *dropped, iw_error *err)
{
    return name_all(p, err) == 0 && touch_dropped(p, dropped, err) == 0 &&
                   iw_remote_list(p->remote, "blobs/sha256", judge, p, err) == 0 &&
                   remove_gone(p, err) == 0
               ? remove_wheels(p, channel, err)
               : -1;
}

int iw_prune(iw_remote *remote, const iw_channel *channel, const iw_strings *dropped,
             const iw_sink *sink, iw_error *err)
{
    pruning p = {.remote = remote, .before = (int64_t)time(NULL) - IW_PRUNE_DAYS * 86400};
    iw_error inner = IW_ERROR_INIT;
    iw_channel_blobs(channel, add_blob, &p.named);
    int status = prune(&p, channel, dropped, &inner);
    bool blind = inner.kind == IW_E_NOT_FOUND;
    if (blind)
        iw_emit(sink,
                (iw_event){.type = IW_EVENT_NOTE,
                           .subject = "prune",
                           .detail =
                               iw_remote_is_registry(remote)
                                   ? "the channel is shorter; after the next push nothing names "
                                     "the rest, and the registry's garbage collection takes it"
                                   : "this place can't be listed: the channel is shorter, the "
                                     "blobs stay; run the same on the folder itself"});
    else if (status != 0) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    iw_strings_free(&p.named), iw_strings_free(&p.names), iw_strings_free(&p.gone);
    return status == 0 || blind ? 0 : -1;
}
