#include "share/pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/added.h"
#include "share/delta.h"
#include "share/parts.h"
#include "share/stream.h"
#include "store/archive.h"

#define LISTED 8 /* names in a message */
#define MANIFEST_LIMIT ((size_t)64 << 20)

typedef struct pulling {
    iw_trust *trust;
    iw_remote *remote;
    iw_install *install;
    const iw_pull_options *options;
    iw_reading *readings;
    size_t count;
    const iw_reading *reading; /* the one whose offer is taken */
    const iw_offer *offer;
    const iw_offered_delta *delta;
    char *folder;    /* NAME-<12>, relative */
    char *temporary; /* where it is unpacked; absolute */
    iw_pulled *out;
} pulling;

void iw_pulled_clear(iw_pulled *p)
{
    free(p->folder), free(p->bundle), free(p->key), free(p->owner), free(p->added);
    *p = (iw_pulled){.folder = NULL};
}

const char *iw_pull_way_name(iw_pull_way way)
{
    static const char *const names[] = {"nothing", "switch", "delta", "packages", "whole"};
    return names[way];
}

static void note(const pulling *p, const char *text)
{
    iw_emit(p->options->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = p->install->name, .detail = text});
}

/* --- which one ------------------------------------------------------------ */

static bool fits(const iw_offer *offer, const char *name)
{
    return strcmp(offer->name, name) == 0 || strcmp(offer->stack, name) == 0;
}

static void consider(pulling *p, const iw_reading *reading, const iw_offer *offer)
{
    const char *name = p->install->name;
    bool exact = strcmp(offer->name, name) == 0;
    if (!fits(offer, name) || (*offer->withdrawn && !exact)) return;
    const iw_offer *best = p->offer;
    if (best && strcmp(best->name, name) == 0) return;
    if (best && !exact &&
        (offer->pushed < best->pushed ||
         (offer->pushed == best->pushed && offer->order <= best->order)))
        return;
    p->offer = offer;
    p->reading = reading;
}

/* Of one stack for several CPUs: which, only the user can say. */
static int refuse_ambiguous(const pulling *p, iw_error *err)
{
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->readings[i].channel->bundle_count; k++) {
            const iw_offer *other = &p->readings[i].channel->bundles[k];
            if (strcmp(p->offer->name, p->install->name) == 0 || *other->withdrawn ||
                !fits(other, p->install->name) || strcmp(other->profile, p->offer->profile) == 0)
                continue;
            return iw_fail(err, IW_E_USAGE,
                           "%s is there for several CPUs: name the bundle, %s or %s",
                           p->install->name, p->offer->name, other->name);
        }
    return 0;
}

static int nothing_fits(const pulling *p, iw_error *err)
{
    iw_cleanup_buffer iw_buffer names = {0};
    size_t listed = 0;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->readings[i].channel->bundle_count; k++) {
            const iw_offer *one = &p->readings[i].channel->bundles[k];
            if (fits(one, p->install->name) && *one->withdrawn)
                return iw_fail(err, IW_E_NOT_FOUND, "%s was withdrawn: %s", one->name,
                               one->withdrawn);
            if (listed++ < LISTED)
                iw_buffer_add_format(&names, "%s%s", names.length ? ", " : "", one->name);
        }
    if (!p->count)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "%s holds nothing that a key trusted here has signed; `ironwheel trust add "
                       "%s` shows whose keys it has",
                       iw_remote_where(p->remote), iw_remote_where(p->remote));
    return iw_fail(err, IW_E_NOT_FOUND, "%s has no %s; it has: %s", iw_remote_where(p->remote),
                   p->install->name, names.length ? names.data : "nothing");
}

/* The newest of the same stack and CPU that wasn't; NULL: none. */
static const iw_offer *instead_of(const pulling *p, const iw_offer *withdrawn)
{
    const iw_offer *best = NULL;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->readings[i].channel->bundle_count; k++) {
            const iw_offer *one = &p->readings[i].channel->bundles[k];
            if (strcmp(one->stack, withdrawn->stack) == 0 && !*one->withdrawn &&
                strcmp(one->profile, withdrawn->profile) == 0 &&
                (!best || one->pushed > best->pushed ||
                 (one->pushed == best->pushed && one->order > best->order)))
                best = one;
        }
    return best;
}

static int refuse_withdrawn(const pulling *p, const iw_offer *offer, iw_error *err)
{
    const iw_offer *other = instead_of(p, offer);
    return iw_fail(err, IW_E_NOT_FOUND, "%s was withdrawn by key %s: %s%s%s%s", offer->name,
                   p->reading->id, offer->withdrawn, other ? " (`ironwheel pull " : "",
                   other ? other->stack : "", other ? "` brings another one of that stack)" : "");
}

/* What is in use may have been withdrawn since. */
static void warn_of_current(const pulling *p)
{
    for (size_t i = 0; p->install->tar && i < p->count; i++)
        for (size_t k = 0; k < p->readings[i].channel->bundle_count; k++) {
            const iw_offer *one = &p->readings[i].channel->bundles[k];
            if (!*one->withdrawn || strcmp(one->tar.sha256, p->install->tar) != 0) continue;
            iw_cleanup_free char *text =
                iw_format("%s, which is in use, was withdrawn by key %s: %s", one->name,
                          p->readings[i].id, one->withdrawn);
            note(p, text);
        }
}

static int choose(pulling *p, iw_error *err)
{
    warn_of_current(p);
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->readings[i].channel->bundle_count; k++)
            consider(p, &p->readings[i], &p->readings[i].channel->bundles[k]);
    if (!p->offer) return nothing_fits(p, err);
    if (*p->offer->withdrawn) return refuse_withdrawn(p, p->offer, err);
    return refuse_ambiguous(p, err);
}

static int check_age(const pulling *p, iw_error *err)
{
    const iw_reading *r = p->reading;
    if (r->note && !r->expired) note(p, r->note);
    if (!r->expired || p->options->stale_ok) return 0;
    return iw_fail(err, IW_E_DIGEST,
                   "%s. What is installed goes on working; nothing new is taken without --stale-ok",
                   r->note);
}

/* --- which way ------------------------------------------------------------ */

static bool stands(const pulling *p)
{
    iw_cleanup_free char *path = iw_path_join(p->install->parent, p->folder),
                         *manifest = iw_path_join(path, "manifest.json");
    const json_t *facts = json_object_get(json_object_get(p->install->state, "folders"), p->folder);
    const char *tar = iw_json_get(facts, "tar");
    return tar && strcmp(tar, p->offer->tar.sha256) == 0 && iw_exists(manifest);
}

static const iw_offered_delta *find_delta(const pulling *p)
{
    const iw_channel *c = p->reading->channel;
    const char *from = p->install->tar;
    for (size_t i = 0; from && !p->options->no_delta && i < c->delta_count; i++)
        if (strcmp(c->deltas[i].from, from) == 0 &&
            strcmp(c->deltas[i].to, p->offer->tar.sha256) == 0 &&
            c->deltas[i].file.size < p->offer->file.size)
            return &c->deltas[i];
    return NULL;
}

/* Single packages, where they cost less than what would come otherwise. */
static void consider_parts(pulling *p)
{
    const iw_pull_parts *parts = p->options->parts;
    bool wanted = p->out->way == IW_PULL_DELTA || p->out->way == IW_PULL_WHOLE;
    if (!parts || !wanted || !*p->offer->bundle_key || !*p->offer->manifest.sha256) return;
    uint64_t cost = parts->cost(parts->context, p->offer);
    if (cost >= p->out->bytes) return;
    p->out->way = IW_PULL_PARTS;
    p->out->bytes = cost;
}

static void decide(pulling *p)
{
    p->folder = iw_install_folder(p->install, p->offer->tar.sha256);
    const iw_blob *file = *p->offer->rest.sha256 ? &p->offer->rest : &p->offer->file;
    p->out->whole = file->size;
    p->delta = find_delta(p);
    if (p->delta && !iw_delta_fits(p->offer->tar.size, p->offer->tar.size)) p->delta = NULL;
    bool current = p->install->current && strcmp(p->install->current, p->folder) == 0;
    p->out->way = stands(p)  ? (current ? IW_PULL_NOTHING : IW_PULL_SWITCH)
                  : p->delta ? IW_PULL_DELTA
                             : IW_PULL_WHOLE;
    p->out->bytes = p->out->way == IW_PULL_DELTA   ? p->delta->file.size
                    : p->out->way == IW_PULL_WHOLE ? file->size
                                                   : 0;
    consider_parts(p);
    p->out->bundle = iw_strdup(p->offer->name);
    p->out->key = iw_strdup(p->reading->id);
    p->out->owner = iw_strdup(p->reading->whom->keys ? p->reading->whom->keys->owner : "");
    p->out->tried = p->offer->tried;
    p->out->folder = iw_path_join(p->install->parent, p->folder);
}

/* Before the first byte: what comes, of whom, how it was proven. */
static void announce(const pulling *p)
{
    if (p->out->way == IW_PULL_NOTHING || p->out->way == IW_PULL_SWITCH) return;
    const char *part = p->out->way == IW_PULL_DELTA ? " (a delta; the whole has "
                       : p->out->way == IW_PULL_PARTS
                           ? " (packages that aren't here; the whole has "
                           : "";
    iw_cleanup_free char *bytes = iw_format_bytes(p->out->bytes),
                         *whole = iw_format_bytes(p->out->whole),
                         *disk = iw_format_bytes(p->offer->tar.size);
    iw_cleanup_free char *text =
        iw_format("%s: %s to bring%s%s%s, %s on disk, signed by key %s%s%s", p->offer->name, bytes,
                  part, *part ? whole : "", *part ? ")" : "", disk, p->reading->id,
                  *p->out->owner ? " of " : "", p->out->owner);
    note(p, text);
    if (*p->offer->rest.sha256)
        note(p, "files that aren't free to be handed on come from the package index, by digest");
    if (!p->offer->tried) return;
    iw_cleanup_free char *tried =
        iw_format("%llu of its files are only tried: they hold instructions beyond its CPU that "
                  "nobody reviewed, and were imported and used under emulation",
                  (unsigned long long)p->offer->tried);
    note(p, tried);
}

/* --- bytes ---------------------------------------------------------------- */

/* Bytes that are on the disk at once, beside what was there: of a delta the old and the new tar,
 * then the new tar and what is unpacked of it; of packages, which are the store's, what is laid of
 * them and the file that is packed of that, in a hurry and so larger. */
static uint64_t space_for(const pulling *p, iw_pull_way way)
{
    const iw_offer *o = p->offer;
    return way == IW_PULL_DELTA   ? 2 * o->tar.size + p->delta->file.size
           : way == IW_PULL_PARTS ? o->tar.size + o->file.size + o->file.size / 2
                                  : o->tar.size + p->out->whole;
}

/* Where a cheaper way wants room that isn't there, the whole may still fit. */
static int check_space(const pulling *p, iw_error *err)
{
    uint64_t free_bytes, needed = space_for(p, p->out->way), whole = space_for(p, IW_PULL_WHOLE);
    if (iw_free_space(p->install->parent, &free_bytes, NULL) != 0 || free_bytes >= needed) return 0;
    iw_cleanup_free char *has = iw_format_bytes(free_bytes), *wants = iw_format_bytes(needed);
    if (free_bytes >= whole) {
        iw_cleanup_free char *text =
            iw_format("the whole is brought: %s has %s left, and the cheaper way needs %s",
                      p->install->parent, has, wants);
        p->out->way = IW_PULL_WHOLE;
        p->out->bytes = p->out->whole;
        note(p, text);
        return 0;
    }
    return iw_fail(err, IW_E_IO, "%s has %s left, and this needs %s; nothing was brought",
                   p->install->parent, has, wants);
}

static char *part_path(const pulling *p, const iw_blob *blob)
{
    return iw_path_join(p->install->parts, blob->sha256);
}

/* The blob as a part file, verified before anything reads it; what is verified of it is told to the
 * stream, or NULL. */
static int bring_for(pulling *p, const iw_blob *blob, const char *part, iw_stream *stream,
                     iw_error *err)
{
    iw_cleanup_free char *path = iw_blob_path(blob->sha256);
    iw_remote_want want = {.path = path,
                           .label = p->offer->name,
                           .sha256 = blob->sha256,
                           .size = blob->size,
                           .part = part};
    if (stream)
        want.pieces = p->offer->pieces, want.piece = p->offer->piece,
        want.verified = iw_stream_verified, want.context = stream;
    int status = iw_remote_fetch(p->remote, &want, 1, err);
    if (status == 0 && !want.done) {
        iw_error_move(err, &want.err);
        status = -1;
    }
    iw_error_clear(&want.err);
    return status;
}

/* *part owned by the caller. */
static int bring(pulling *p, const iw_blob *blob, char **part, iw_error *err)
{
    *part = part_path(p, blob);
    return iw_make_folders(p->install->parts, 0755, err) == 0 ? bring_for(p, blob, *part, NULL, err)
                                                              : -1;
}

/* --- unpacking ------------------------------------------------------------ */

/* The one folder at its top, which must hold the manifest that was signed. */
static int check_top(const pulling *p, char **top, iw_error *err)
{
    iw_cleanup_free char *name = iw_strdup(p->offer->name);
    char *mark = strchr(name, '~'); /* kept under a longer name than its own */
    if (mark) *mark = 0;
    *top = iw_path_join(p->temporary, name);
    iw_cleanup_free char *manifest = iw_path_join(*top, "manifest.json");
    char digest[IW_SHA256_HEX];
    if (!iw_exists(manifest))
        return iw_fail(err, IW_E_FORMAT,
                       "%s isn't what its name says: it holds no %s/manifest.json", p->offer->name,
                       name);
    if (!*p->offer->manifest.sha256) return 0;
    if (iw_hash_file(manifest, digest, NULL, err) != 0) return -1;
    return strcmp(digest, p->offer->manifest.sha256) == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST, "%s: its manifest isn't the one that was signed",
                         p->offer->name);
}

static int unpack_archive(pulling *p, const iw_blob *file, const iw_blob *tar, iw_error *err)
{
    iw_cleanup_free char *part = part_path(p, file);
    iw_packed expected = {.content_size = tar->size, .file_size = file->size};
    snprintf(expected.content, sizeof expected.content, "%s", tar->sha256);
    if (iw_make_folders(p->install->parts, 0755, err) != 0) return -1;
    bool pieces = *p->offer->pieces && file == &p->offer->file;
    iw_error brought = IW_ERROR_INIT, unpacked = IW_ERROR_INIT;
    iw_stream *stream = iw_stream_start(part, p->offer->name, p->temporary, &expected);
    bool whole = bring_for(p, file, part, pieces ? stream : NULL, &brought) == 0;
    if (whole)
        iw_emit(p->options->sink,
                (iw_event){.type = IW_EVENT_STARTED, .subject = p->offer->name, .phase = "unpack"});
    int status = iw_stream_finish(stream, whole, &unpacked);
    /* Where unpacking was what failed, bringing ended for it. */
    bool first = status != 0 && unpacked.kind != IW_E_CANCELLED;
    if (status != 0 || !whole) iw_error_move(err, first ? &unpacked : &brought);
    iw_error_clear(&brought), iw_error_clear(&unpacked);
    return whole ? status : -1;
}

/* What its makers hand out themselves comes from the package index, by digest. */
static int fill(pulling *p, const char *list, size_t length, iw_error *err)
{
    iw_cleanup_free char *stem = iw_strdup(p->offer->name), *work = NULL;
    stem[strcspn(stem, "~")] = 0;
    iw_cleanup_free char *top = iw_path_join(p->temporary, stem);
    iw_parts_filling filling = {.top = top,
                                .name = stem,
                                .list = list,
                                .length = length,
                                .tar = p->offer->tar.sha256,
                                .sink = p->options->sink,
                                .cancel = p->options->cancel};
    if (!p->options->store)
        return iw_fail(err, IW_E_USAGE, "%s can't be had without a store", p->offer->name);
    if (p->options->store(p->options->context, &filling.store, err) != 0 ||
        iw_temporary_folder(p->install->parts, "wheels-", &work, err) != 0)
        return -1;
    filling.work = work;
    int status = iw_parts_fill(&filling, err);
    iw_remove_tree(work, NULL);
    return status;
}

static int unpack_whole(pulling *p, iw_error *err)
{
    const iw_offer *o = p->offer;
    iw_cleanup_free char *part = NULL, *list = NULL;
    size_t length = 0;
    if (!*o->rest.sha256) return unpack_archive(p, &o->file, &o->tar, err);
    return unpack_archive(p, &o->rest, &o->rest_tar, err) == 0 &&
                   bring(p, &o->list, &part, err) == 0 &&
                   iw_read_file(part, IW_CANON_LIMIT, &list, &length, err) == 0
               ? fill(p, list, length, err)
               : -1;
}

static bool is_old(const struct stat *status)
{
    return status->st_mtime == IW_ARCHIVE_TIME;
}

/* Folders of the bundle's own: they are old, or hold something that is. Those that the user made
 * hold nothing old; those that he put something into aren't old themselves. */
static int find_folders(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    (void)full, (void)err;
    iw_strings *folders = context;
    iw_cleanup_free char *at =
        S_ISDIR(status->st_mode) ? iw_strdup(relative) : iw_path_parent(relative);
    if (!is_old(status)) return 0;
    while (strcmp(at, ".") != 0 &&
           !(folders->count && strcmp(folders->items[folders->count - 1], at) == 0)) {
        iw_strings_add(folders, at);
        char *up = iw_path_parent(at);
        free(at);
        at = up;
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_of_bundle(void *context, const char *relative, const struct stat *status)
{
    const iw_strings *folders = context;
    if (!S_ISDIR(status->st_mode)) return is_old(status);
    return folders->count &&
           bsearch(&relative, folders->items, folders->count, sizeof *folders->items, by_text);
}

/* The tar that the folder in use came from, made again of its files: right only where nobody
 * changed one. */
static int remake_tar(pulling *p, const char *path, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_join(p->install->parent, p->install->current),
                         *stem = iw_strdup(iw_install_fact(p->install, "bundle"));
    iw_cleanup_strings iw_strings first = {0}, folders = {0};
    if (!stem) return iw_fail(err, IW_E_NOT_FOUND, "the name of the old bundle isn't known");
    stem[strcspn(stem, "~")] = 0;
    iw_strings_add(&first, "manifest.json");
    if (iw_walk(folder, find_folders, &folders, err) != 0) return -1;
    iw_strings_sort(&folders);
    iw_packing packing = {
        .plain = true, .prefix = stem, .first = &first, .keep = is_of_bundle, .context = &folders};
    iw_packed packed;
    iw_cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", path);
    if (iw_archive_pack(folder, fd, &packing, &packed, err) != 0) return -1;
    return strcmp(packed.content, p->install->tar) == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST, "files of %s were changed", folder);
}

static int unpack_tar(pulling *p, const char *tar, iw_error *err)
{
    iw_cleanup_fd int fd = open(tar, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", tar);
    iw_admission admission = {.set_times = true};
    return iw_archive_unpack(fd, p->offer->name, p->temporary, &admission, err);
}

static int unpack_delta(pulling *p, iw_error *err)
{
    iw_cleanup_free char *old = iw_format("%s/%s.old.tar", p->install->parts, p->folder),
                         *new = iw_format("%s/%s.new.tar", p->install->parts, p->folder),
                         *part = NULL;
    int status = iw_make_folders(p->install->parts, 0755, err);
    if (status == 0) status = remake_tar(p, old, err);
    if (status == 0) status = bring(p, &p->delta->file, &part, err);
    if (status == 0)
        status = iw_delta_apply(old, part, new, p->offer->tar.sha256, p->offer->tar.size, err);
    unlink(old);
    if (status == 0) status = unpack_tar(p, new, err);
    unlink(new);
    return status;
}

static int read_manifest(const pulling *p, char **text, iw_error *err)
{
    const iw_blob *blob = &p->offer->manifest;
    iw_cleanup_free char *path = iw_blob_path(blob->sha256);
    char digest[IW_SHA256_HEX];
    size_t length;
    if (blob->size > MANIFEST_LIMIT) return iw_fail(err, IW_E_FORMAT, "its manifest is too long");
    if (iw_remote_read(p->remote, path, blob->size, text, &length, err) != 0) return -1;
    iw_hash_bytes(*text, length, digest);
    return strcmp(digest, blob->sha256) == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST, "its manifest isn't the one that was signed");
}

/* Put together here: what was signed is the tar, so that is what it must be. */
static int unpack_parts(pulling *p, iw_error *err)
{
    const iw_pull_parts *parts = p->options->parts;
    iw_cleanup_free char *manifest = NULL, *file = NULL;
    char tar[IW_SHA256_HEX] = "";
    int status = iw_make_folders(p->install->parts, 0755, err);
    if (status == 0) status = read_manifest(p, &manifest, err);
    if (status == 0)
        status = parts->make(parts->context, manifest, p->install->parts, &file, tar, err);
    if (status == 0 && strcmp(tar, p->offer->tar.sha256) != 0)
        status = iw_fail(err, IW_E_DIGEST, "what they give isn't the bundle that was signed");
    if (status == 0) status = unpack_tar(p, file, err);
    if (file) unlink(file);
    return status;
}

/* What doesn't work out is told, and the whole brought. */
static int unpack(pulling *p, iw_error *err)
{
    if (p->out->way == IW_PULL_DELTA || p->out->way == IW_PULL_PARTS) {
        bool delta = p->out->way == IW_PULL_DELTA;
        iw_error inner = IW_ERROR_INIT;
        if ((delta ? unpack_delta : unpack_parts)(p, &inner) == 0) return 0;
        bool stop = inner.kind == IW_E_CANCELLED;
        if (!stop)
            iw_wrap(&inner, "the whole is brought instead of %s",
                    delta ? "the delta" : "single packages");
        if (!stop) note(p, iw_error_text(&inner));
        if (stop) iw_error_move(err, &inner);
        iw_error_clear(&inner);
        if (stop || iw_remove_tree(p->temporary, err) != 0 ||
            iw_make_folders(p->temporary, 0755, err) != 0)
            return -1;
        p->out->way = IW_PULL_WHOLE;
        p->out->bytes = p->out->whole;
    }
    return unpack_whole(p, err);
}

/* --- what the user had added ---------------------------------------------- */

static int look_for_added(pulling *p, const char *new_folder, iw_error *err)
{
    if (!p->install->current) return 0;
    iw_cleanup_free char *old = iw_path_join(p->install->parent, p->install->current),
                         *list = iw_path_join(new_folder, "added.txt");
    iw_added added = {.requirements = {0}};
    if (!iw_exists(old)) return 0;
    int status = iw_added_find(old, &added, err);
    p->out->added_count = added.requirements.count;
    p->out->added_files = added.files.count;
    if (status == 0 && (added.requirements.count || added.files.count)) {
        iw_cleanup_free char *text = iw_added_text(&added, p->install->current);
        status = iw_write_file(list, text, strlen(text), 0644, err);
        if (status == 0 && p->options->carry && added.requirements.count)
            status = iw_added_carry(new_folder, list, err);
        p->out->added = iw_format("%s/added.txt", p->out->folder);
    }
    iw_added_clear(&added);
    return status;
}

/* --- into place ----------------------------------------------------------- */

static json_t *facts_of(const pulling *p)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:I}", "tar", p->offer->tar.sha256, "bundle", p->offer->name,
                     "from", iw_remote_where(p->remote), "key", p->reading->id, "version",
                     (json_int_t)p->reading->channel->version);
}

/* All of it on the disk before the link points there: a power cut leaves the old one whole. */
static int settle(const pulling *p, iw_error *err)
{
    iw_cleanup_fd int fd = open(p->install->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && syncfs(fd) == 0
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't write %s to disk", p->install->parent);
}

static int place(pulling *p, const char *top, iw_error *err)
{
    if (iw_remove_tree(p->out->folder, err) != 0) return -1; /* half of one, without its facts */
    if (rename(top, p->out->folder) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't move the bundle to %s", p->out->folder);
    return settle(p, err);
}

static int make(pulling *p, iw_error *err)
{
    iw_cleanup_free char *top = NULL;
    if (check_space(p, err) != 0 ||
        iw_temporary_folder(p->install->parent, ".ironwheel-pull-", &p->temporary, err) != 0)
        return -1;
    int status = unpack(p, err);
    if (status == 0) status = check_top(p, &top, err);
    if (status == 0) status = look_for_added(p, top, err);
    if (status == 0) status = place(p, top, err);
    iw_remove_tree(p->temporary, NULL);
    return status;
}

static int carry_out(pulling *p, iw_error *err)
{
    if (p->out->way == IW_PULL_NOTHING || p->options->plan) return 0;
    if (p->out->way != IW_PULL_SWITCH && make(p, err) != 0) return -1;
    if (iw_install_switch(p->install, p->folder, facts_of(p), err) != 0) return -1;
    iw_remove_tree(p->install->parts, NULL);
    return 0;
}

/* One pull of a name at a time, where the file system knows locks (NFS may not). */
static int lock(const pulling *p, int *fd, iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s/.%s.lock", p->install->parent, p->install->name);
    bool unknown = false;
    if (iw_make_folders(p->install->parent, 0755, err) != 0 ||
        iw_lock_where_known(path, fd, &unknown, err) != 0)
        return -1;
    iw_cleanup_free char *text = iw_format("%s can't be locked: don't pull %s twice at a time",
                                           p->install->parent, p->install->name);
    if (unknown) note(p, text);
    return 0;
}

int iw_pull(iw_trust *trust, iw_remote *remote, iw_install *install, const iw_pull_options *options,
            iw_pulled *out, iw_error *err)
{
    pulling p = {
        .trust = trust, .remote = remote, .install = install, .options = options, .out = out};
    iw_cleanup_fd int fd = -1;
    *out = (iw_pulled){.folder = NULL};
    int status = iw_channels_read(trust, remote, &p.readings, &p.count, err);
    if (status == 0) status = choose(&p, err);
    if (status == 0) status = check_age(&p, err);
    if (status == 0) {
        decide(&p);
        announce(&p);
        if (out->way != IW_PULL_NOTHING && !options->plan) status = lock(&p, &fd, err);
    }
    if (status == 0) status = carry_out(&p, err);
    iw_readings_free(p.readings, p.count);
    free(p.folder);
    free(p.temporary);
    return status;
}
