#include "share/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/admit.h"
#include "share/trust.h"

#define FAILURES 2 /* then a remote is left alone */
#define MANIFEST_LIMIT ((size_t)64 << 20)

typedef struct source { /* a remote */
    char *name;
    iw_remote *remote;
    iw_reading *readings;
    size_t count;
    bool asked, off;
    unsigned failures;
} source;

struct iw_cache {
    iw_cache_options options;
    iw_trust *trust;
    source *sources;
    size_t count;
    iw_strings refused; /* "<build key> <name>": what was no good */
};

/* --- opening -------------------------------------------------------------- */

static int add_source(iw_cache *cache, const char *name, const char *address, iw_error *err)
{
    iw_remote_options options = {.sink = cache->options.sink,
                                 .cancel = cache->options.cancel,
                                 .hurried = !cache->options.patient};
    source *one = &cache->sources[cache->count];
    if (iw_remote_open(address, &options, &one->remote, err) != 0) return -1;
    one->name = iw_strdup(name);
    cache->count++;
    return 0;
}

static int add_sources(iw_cache *cache, iw_error *err)
{
    iw_cleanup_strings iw_strings names = {0}, addresses = {0};
    const char *place = cache->options.place;
    iw_cleanup_free char *first = place ? iw_remotes_resolve(cache->trust, place) : NULL;
    if (!cache->options.place_only && iw_remotes_read(cache->trust, &names, &addresses, err) != 0)
        return -1;
    cache->sources = iw_alloc((names.count + 1) * sizeof *cache->sources);
    const char *called = cache->options.called ? cache->options.called : place;
    if (first && add_source(cache, called, first, err) != 0) return -1;
    for (size_t i = 0; i < names.count; i++) {
        bool known = first && strcmp(addresses.items[i], first) == 0;
        if (!known && add_source(cache, names.items[i], addresses.items[i], err) != 0) return -1;
    }
    return 0;
}

int iw_cache_open(const iw_cache_options *options, iw_cache **out, iw_error *err)
{
    iw_cache *cache = iw_alloc(sizeof *cache);
    cache->options = *options;
    int status = options->config ? iw_trust_open_at(options->config, &cache->trust, err)
                                 : iw_trust_open(&cache->trust, err);
    if (status == 0) status = add_sources(cache, err);
    *out = status == 0 && cache->count ? cache : NULL;
    if (!*out) iw_cache_close(cache);
    return status;
}

void iw_cache_close(iw_cache *cache)
{
    if (!cache) return;
    for (size_t i = 0; i < cache->count; i++) {
        iw_readings_free(cache->sources[i].readings, cache->sources[i].count);
        iw_remote_close(cache->sources[i].remote);
        free(cache->sources[i].name);
    }
    free(cache->sources);
    iw_strings_free(&cache->refused);
    iw_trust_close(cache->trust);
    free(cache);
}

void iw_cache_listen(iw_cache *cache, const iw_sink *sink, int cancel)
{
    cache->options.sink = sink;
    cache->options.cancel = cancel;
    for (size_t i = 0; i < cache->count; i++)
        iw_remote_listen(cache->sources[i].remote, sink, cancel);
}

static void note(const iw_cache *cache, const char *subject, const char *text)
{
    iw_emit(cache->options.sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = subject, .detail = text});
}

/* --- reading channels ----------------------------------------------------- */

static void turn_off(const iw_cache *cache, source *one, const char *why)
{
    iw_cleanup_free char *text =
        iw_format("nothing is taken from remote %s in this run: %s", one->name, why);
    one->off = true;
    note(cache, one->name, text);
}

static void ask(iw_cache *cache, source *one)
{
    iw_error err = IW_ERROR_INIT;
    if (one->asked) return;
    one->asked = true;
    if (iw_channels_read(cache->trust, one->remote, &one->readings, &one->count, &err) != 0)
        turn_off(cache, one, iw_error_text(&err));
    for (size_t i = 0; i < one->count; i++)
        if (one->readings[i].expired) note(cache, one->name, one->readings[i].note);
    iw_error_clear(&err);
}

/* Not asked for this key again; and for nothing at all, once its connection has failed twice. */
static void blame(iw_cache *cache, source *one, const char *key, const iw_error *err)
{
    iw_strings_add_format(&cache->refused, "%s %s", key, one->name);
    if (err->kind == IW_E_NETWORK && ++one->failures == FAILURES)
        turn_off(cache, one, "it failed twice");
}

/* Something of it could not be had. Not twice. */
static void refuse(iw_cache *cache, source *one, const char *build_key, const iw_node *node,
                   const iw_error *err)
{
    iw_cleanup_free char *text = iw_format("%s isn't taken from remote %s: %s", node->recipe->name,
                                           one->name, iw_error_text(err));
    note(cache, node->recipe->name, text);
    blame(cache, one, build_key, err);
}

static bool is_refused(const iw_cache *cache, const source *one, const char *build_key)
{
    iw_cleanup_free char *key = iw_format("%s %s", build_key, one->name);
    return iw_strings_has(&cache->refused, key);
}

/* --- offers --------------------------------------------------------------- */

typedef struct find {
    const iw_offered *offered;
    source *from;
    const iw_reading *reading;
    unsigned agree;     /* keys that offer the same content */
    const char *differ; /* one that offers another */
} find;

static bool is_of(const iw_offered *offered, const iw_plan *plan, const iw_node *node)
{
    return strcmp(offered->package, node->recipe->name) == 0 &&
           strcmp(offered->version, node->recipe->version) == 0 &&
           strcmp(offered->profile, plan->profile->name) == 0;
}

static void count_offer(find *f, source *one, const iw_reading *reading, const iw_offered *offered)
{
    if (!f->offered) {
        *f = (find){.offered = offered, .from = one, .reading = reading, .agree = 1};
        return;
    }
    if (strcmp(f->offered->content.sha256, offered->content.sha256) != 0) f->differ = reading->id;
    else if (strcmp(f->reading->id, reading->id) != 0) f->agree++;
}

static find look(iw_cache *cache, const iw_plan *plan, const iw_node *node)
{
    find f = {.offered = NULL};
    for (size_t i = 0; i < cache->count; i++) {
        source *one = &cache->sources[i];
        ask(cache, one);
        if (one->off || is_refused(cache, one, node->build_key)) continue;
        for (size_t k = 0; k < one->count; k++) {
            const iw_offered *offered =
                iw_channel_artifact(one->readings[k].channel, node->build_key);
            if (offered && !one->readings[k].expired && !*offered->withdrawn &&
                is_of(offered, plan, node))
                count_offer(&f, one, &one->readings[k], offered);
        }
    }
    return f;
}

/* Two that say different things about one build key: neither is believed where agreement is asked
 * for, and it is told either way. */
static bool enough(iw_cache *cache, const find *f, const iw_node *node)
{
    if (!f->offered) return false;
    if (f->differ) {
        iw_cleanup_free char *text =
            iw_format("keys %s and %s offer different content for the same build key of %s: one of "
                      "the two doesn't build what the recipe says (`ironwheel challenge %s`)",
                      f->reading->id, f->differ, node->recipe->name, node->recipe->name);
        note(cache, node->recipe->name, text);
    }
    unsigned wanted = cache->options.signers ? cache->options.signers : 1;
    return f->agree >= wanted && (wanted == 1 || !f->differ);
}

bool iw_cache_offers(void *context, const iw_plan *plan, const iw_node *node, iw_artifact *out,
                     char **reason)
{
    iw_cache *cache = context;
    find f = look(cache, plan, node);
    if (!enough(cache, &f, node)) return false;
    *out = (iw_artifact){.name = iw_strdup(node->recipe->name),
                         .version = iw_strdup(node->recipe->version),
                         .plan_key = iw_strdup(node->plan_key),
                         .build_key = iw_strdup(node->build_key),
                         .content = iw_strdup(f.offered->content.sha256),
                         .content_size = f.offered->content.size,
                         .file_digest = iw_strdup(f.offered->file.sha256),
                         .file_size = f.offered->file.size};
    *reason = iw_format("remote %s has it, signed by key %s", f.from->name, f.reading->id);
    return true;
}

/* --- bringing ------------------------------------------------------------- */

typedef struct bringing {
    iw_cache *cache;
    const iw_plan *plan;
    char *folder; /* below the store's tmp/ */
    size_t brought, missed;
} bringing;

typedef struct wanted {
    const iw_node *node;
    find f;
    iw_remote_want want;
} wanted;

static json_t *origin_of(const wanted *w, const char *verdict)
{
    iw_cleanup_free char *when = iw_time_text((uint64_t)time(NULL));
    return json_pack("{s:s,s:s,s:I,s:s,s:s}", "remote", iw_remote_where(w->f.from->remote), "key",
                     w->f.reading->id, "version", (json_int_t)w->f.reading->channel->version, "at",
                     when, "audit", verdict);
}

static int read_record(const wanted *w, char **text, size_t *length, iw_error *err)
{
    const iw_blob *blob = &w->f.offered->record;
    iw_cleanup_free char *path = iw_blob_path(blob->sha256);
    char digest[IW_SHA256_HEX];
    if (blob->size > IW_RECORD_LIMIT) return iw_fail(err, IW_E_FORMAT, "its record is too long");
    if (iw_remote_read(w->f.from->remote, path, blob->size, text, length, err) != 0) return -1;
    iw_hash_bytes(*text, *length, digest);
    return strcmp(digest, blob->sha256) == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST, "its record isn't the one that was signed");
}

/* Audit first, by this rig's recipe; then into the store, which checks both digests. */
static int admit(bringing *b, const wanted *w, iw_error *err)
{
    const char *verdict;
    iw_cleanup_free char *record = NULL;
    size_t length = 0;
    if (iw_admit_audit(w->want.part, b->plan, w->node, &verdict, err) != 0)
        return iw_wrap(err, "signed by key %s, but refused by the audit here", w->f.reading->id);
    if (read_record(w, &record, &length, err) != 0) return -1;
    const iw_offered *o = w->f.offered;
    iw_artifact a = {.name = iw_strdup(w->node->recipe->name),
                     .version = iw_strdup(w->node->recipe->version),
                     .plan_key = iw_strdup(w->node->plan_key),
                     .build_key = iw_strdup(w->node->build_key),
                     .content = iw_strdup(o->content.sha256),
                     .content_size = o->content.size,
                     .file_digest = iw_strdup(o->file.sha256),
                     .file_size = o->file.size};
    json_t *origin = origin_of(w, verdict);
    int status = iw_admit_facts(record, length, w->node, origin, &a.facts, err);
    if (status == 0)
        status = iw_store_take_artifact(b->cache->options.store, w->want.part, &a, err);
    json_decref(origin);
    iw_artifact_clear(&a);
    return status;
}

static void say_taken(const bringing *b, const wanted *w)
{
    iw_cleanup_free char *subject =
        iw_format("%s/%s", w->node->recipe->name, w->node->recipe->version);
    iw_emit(b->cache->options.sink, (iw_event){.type = IW_EVENT_FINISHED,
                                               .subject = subject,
                                               .detail = "pulled",
                                               .count = w->f.offered->file.size,
                                               .unit = "B"});
}

/* Nothing of this rig's: full disks and Ctrl-C end the run, all else is a miss. */
static int settle(bringing *b, wanted *w, iw_error *err)
{
    iw_error inner = IW_ERROR_INIT;
    if (!w->want.done) iw_error_move(&inner, &w->want.err);
    else if (admit(b, w, &inner) == 0) {
        b->brought++;
        say_taken(b, w);
        return 0;
    }
    if (inner.kind == IW_E_CANCELLED || inner.kind == IW_E_IO) {
        iw_error_move(err, &inner);
        return -1;
    }
    refuse(b->cache, w->f.from, w->node->build_key, w->node, &inner);
    iw_error_clear(&inner);
    b->missed++;
    return 0;
}

/* All that come from one remote, side by side. */
static int bring_from(bringing *b, source *one, wanted *list, size_t count, iw_error *err)
{
    iw_remote_want *wants = iw_alloc((count + 1) * sizeof *wants);
    size_t *whose = iw_alloc((count + 1) * sizeof *whose), used = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i].f.from == one) whose[used] = i, wants[used++] = list[i].want;
    int status = iw_remote_fetch(one->remote, wants, used, err);
    for (size_t i = 0; i < used; i++) list[whose[i]].want = wants[i];
    for (size_t i = 0; status == 0 && i < used; i++) status = settle(b, &list[whose[i]], err);
    free(whose);
    free(wants);
    return status;
}

static bool is_needed(const iw_cache *cache, const iw_plan *plan, const iw_node *node)
{
    if (node->action != IW_ACTION_PULL) return false;
    if (node->in_bundle || cache->options.all) return true;
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *user = &plan->nodes[i];
        for (size_t k = 0; !iw_node_is_done(user) && k < user->laid_count; k++)
            if (user->laid[k] == node) return true;
    }
    return false;
}

static bool prepare(bringing *b, const iw_node *node, wanted *w)
{
    w->node = node;
    w->f = look(b->cache, b->plan, node);
    if (!enough(b->cache, &w->f, node)) return false;
    const iw_blob *file = &w->f.offered->file;
    w->want =
        (iw_remote_want){.path = iw_blob_path(file->sha256),
                         .label = iw_format("%s-%s", node->recipe->name, node->recipe->version),
                         .sha256 = file->sha256,
                         .size = file->size,
                         .part = iw_path_join(b->folder, node->build_key)};
    return true;
}

static void forget(wanted *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)list[i].want.path), free((char *)list[i].want.label);
        free((char *)list[i].want.part);
        iw_error_clear(&list[i].want.err);
    }
    free(list);
}

static int bring(bringing *b, const iw_node *const *nodes, size_t count, iw_error *err)
{
    wanted *list = iw_alloc((count + 1) * sizeof *list);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (prepare(b, nodes[i], &list[used])) used++;
        else b->missed++;
    }
    int status = 0;
    for (size_t i = 0; status == 0 && i < b->cache->count; i++)
        status = bring_from(b, &b->cache->sources[i], list, used, err);
    forget(list, used);
    return status;
}

static int bring_nodes(iw_cache *cache, const iw_plan *plan, const iw_node *const *nodes,
                       size_t count, size_t *brought, size_t *missed, iw_error *err)
{
    bringing b = {.cache = cache, .plan = plan};
    iw_cleanup_free char *tmp = iw_store_path(cache->options.store, "tmp", "");
    if (!count) return 0;
    if (iw_make_folders(tmp, 0755, err) != 0 ||
        iw_temporary_folder(tmp, "pull-", &b.folder, err) != 0)
        return -1;
    int status = bring(&b, nodes, count, err);
    iw_remove_tree(b.folder, NULL);
    free(b.folder);
    *brought = b.brought;
    *missed = b.missed;
    return status;
}

int iw_cache_bring(iw_cache *cache, const iw_plan *plan, size_t *brought, size_t *missed,
                   iw_error *err)
{
    const iw_node **nodes = iw_alloc((plan->node_count + 1) * sizeof *nodes);
    size_t count = 0;
    *brought = *missed = 0;
    for (size_t i = 0; i < plan->node_count; i++)
        if (is_needed(cache, plan, &plan->nodes[i])) nodes[count++] = &plan->nodes[i];
    int status = bring_nodes(cache, plan, nodes, count, brought, missed, err);
    free(nodes);
    return status;
}

int iw_cache_bring_for(iw_cache *cache, const iw_plan *plan, const iw_node *node, size_t *missed,
                       iw_error *err)
{
    const iw_node **nodes = iw_alloc((node->laid_count + 1) * sizeof *nodes);
    size_t count = 0, brought;
    *missed = 0;
    if (node->action == IW_ACTION_PULL) nodes[count++] = node;
    for (size_t i = 0; !iw_node_is_done(node) && i < node->laid_count; i++)
        if (node->laid[i]->action == IW_ACTION_PULL) nodes[count++] = node->laid[i];
    int status = bring_nodes(cache, plan, nodes, count, &brought, missed, err);
    free(nodes);
    return status;
}

bool iw_cache_place_has(iw_cache *cache, const iw_plan *plan, const iw_node *node)
{
    source *one = cache->count ? &cache->sources[0] : NULL;
    if (!one || !node->build_key[0]) return false;
    ask(cache, one);
    for (size_t k = 0; !one->off && k < one->count; k++) {
        const iw_offered *offered = iw_channel_artifact(one->readings[k].channel, node->build_key);
        if (offered && !one->readings[k].expired && is_of(offered, plan, node)) return true;
    }
    return false;
}

int iw_cache_bring_one(void *context, const iw_plan *plan, iw_node *node, bool *brought,
                       iw_error *err)
{
    iw_cache *cache = context;
    size_t took = 0, missed = 0;
    find f = look(cache, plan, node);
    if (!enough(cache, &f, node)) return 0;
    const iw_node *const nodes[] = {node};
    int status = bring_nodes(cache, plan, nodes, 1, &took, &missed, err);
    *brought = took == 1;
    return status;
}

/* --- sources -------------------------------------------------------------- */

char *iw_cache_sources(iw_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++) {
        source *one = &cache->sources[i];
        const char *where = iw_remote_where(one->remote);
        bool found = false, reachable = iw_remote_is_folder(one->remote) ||
                                        iw_starts_with(where, "http://") ||
                                        iw_starts_with(where, "https://");
        uint64_t size;
        ask(cache, one);
        if (!one->off && reachable &&
            iw_remote_stat(one->remote, "sources/index.json", &found, &size, NULL) == 0 && found)
            return iw_path_join(where, "sources");
    }
    return NULL;
}

/* --- comparing ------------------------------------------------------------ */

/* What came from a remote says nothing about what this rig would make. */
static bool is_own(const iw_node *node)
{
    json_t *facts = node->artifact.facts ? json_loads(node->artifact.facts, 0, NULL) : NULL;
    bool own = node->action == IW_ACTION_REUSE && !json_object_get(facts, "origin");
    json_decref(facts);
    return own;
}

void iw_cache_challenge(iw_cache *cache, const iw_plan *plan,
                        void (*each)(void *context, const iw_node *node, const char *remote,
                                     const char *key, const char *here, const char *there),
                        void *context)
{
    for (size_t n = 0; n < plan->node_count; n++) {
        const iw_node *node = &plan->nodes[n];
        for (size_t i = 0; is_own(node) && i < cache->count; i++) {
            source *one = &cache->sources[i];
            ask(cache, one);
            for (size_t k = 0; !one->off && k < one->count; k++) {
                const iw_offered *offered =
                    iw_channel_artifact(one->readings[k].channel, node->artifact.build_key);
                if (offered)
                    each(context, node, one->name, one->readings[k].id, node->artifact.content,
                         offered->content.sha256);
            }
        }
    }
}

void iw_cache_each_offer(iw_cache *cache, const char *build_key,
                         void (*each)(void *context, const char *remote, const char *key,
                                      const char *there),
                         void *context)
{
    for (size_t i = 0; i < cache->count; i++) {
        source *one = &cache->sources[i];
        ask(cache, one);
        for (size_t k = 0; !one->off && k < one->count; k++) {
            const iw_offered *offered = iw_channel_artifact(one->readings[k].channel, build_key);
            if (offered) each(context, one->name, one->readings[k].id, offered->content.sha256);
        }
    }
}

static int fetch_offered(source *one, const iw_offered *offered, const char *part, iw_error *err)
{
    iw_cleanup_free char *path = iw_blob_path(offered->file.sha256);
    iw_remote_want want = {.path = path,
                           .label = offered->package,
                           .sha256 = offered->file.sha256,
                           .size = offered->file.size,
                           .part = part};
    int status = iw_remote_fetch(one->remote, &want, 1, err);
    if (status == 0 && !want.done) {
        iw_error_move(err, &want.err);
        status = -1;
    }
    iw_error_clear(&want.err);
    return status;
}

int iw_cache_fetch(iw_cache *cache, const char *remote, const char *key, const char *build_key,
                   const char *part, iw_error *err)
{
    for (size_t i = 0; i < cache->count; i++) {
        source *one = &cache->sources[i];
        if (strcmp(one->name, remote) != 0) continue;
        for (size_t k = 0; k < one->count; k++) {
            const iw_offered *offered = iw_channel_artifact(one->readings[k].channel, build_key);
            if (offered && strcmp(one->readings[k].id, key) == 0)
                return fetch_offered(one, offered, part, err);
        }
    }
    return iw_fail(err, IW_E_NOT_FOUND, "key %s offers it no more at remote %s", key, remote);
}

/* --- a whole bundle ------------------------------------------------------- */

typedef struct bundle_find {
    source *from;
    const iw_reading *reading;
    const iw_offer *offer;
} bundle_find;

static bundle_find look_for_bundle(iw_cache *cache, const char *bundle_key)
{
    for (size_t i = 0; i < cache->count; i++) {
        source *one = &cache->sources[i];
        ask(cache, one);
        if (one->off || is_refused(cache, one, bundle_key)) continue;
        for (size_t k = 0; k < one->count; k++)
            for (size_t n = 0; n < one->readings[k].channel->bundle_count; n++) {
                const iw_offer *offer = &one->readings[k].channel->bundles[n];
                if (strcmp(offer->bundle_key, bundle_key) == 0 && !one->readings[k].expired &&
                    !*offer->withdrawn && !*offer->rest.sha256 && *offer->manifest.sha256)
                    return (bundle_find){one, &one->readings[k], offer};
            }
    }
    return (bundle_find){.from = NULL};
}

static int read_small(const bundle_find *f, const iw_blob *blob, char **text, size_t *length,
                      iw_error *err)
{
    iw_cleanup_free char *path = iw_blob_path(blob->sha256);
    char digest[IW_SHA256_HEX];
    if (blob->size > MANIFEST_LIMIT) return iw_fail(err, IW_E_FORMAT, "%s is too long", path);
    if (iw_remote_read(f->from->remote, path, blob->size, text, length, err) != 0) return -1;
    iw_hash_bytes(*text, *length, digest);
    return strcmp(digest, blob->sha256) == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST, "%s isn't what was signed", path);
}

/* Its checks, as whoever built it saw them, with where it came from. */
static int write_checks(const bundle_find *f, const char *path, const char *verdict, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *beside = iw_format("%s.checks.json", path),
                         *when = iw_time_text((uint64_t)time(NULL));
    size_t length = 0;
    json_t *all = NULL;
    if (*f->offer->checks.sha256 && read_small(f, &f->offer->checks, &text, &length, NULL) == 0)
        all = json_loadb(text, length, 0, NULL);
    if (!json_is_array(all)) {
        json_decref(all);
        all = json_array();
    }
    json_array_append_new(all, json_pack("{s:{s:s,s:s,s:I,s:s,s:s}}", "pulled", "remote",
                                         iw_remote_where(f->from->remote), "key", f->reading->id,
                                         "version", (json_int_t)f->reading->channel->version, "at",
                                         when, "audit", verdict));
    iw_cleanup_free char *out = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    return iw_write_file(beside, out, strlen(out), 0644, err);
}

static int bring_bundle(iw_cache *cache, const bundle_find *f, const iw_plan *plan,
                        const char *path, char **manifest, iw_error *err)
{
    iw_cleanup_free char *part = iw_format("%s.part", path), *beside = iw_format("%s.sha256", path),
                         *blob = iw_blob_path(f->offer->file.sha256),
                         *line = iw_format("%s  %s\n", f->offer->file.sha256, iw_path_base(path));
    iw_remote_want want = {.path = blob,
                           .label = f->offer->name,
                           .sha256 = f->offer->file.sha256,
                           .size = f->offer->file.size,
                           .part = part};
    const char *verdict = "";
    size_t length;
    int status = iw_remote_fetch(f->from->remote, &want, 1, err);
    if (status == 0 && !want.done) {
        iw_error_move(err, &want.err);
        status = -1;
    }
    iw_error_clear(&want.err);
    (void)cache;
    if (status == 0 && iw_admit_audit_bundle(part, plan, &verdict, err) != 0) {
        unlink(part);
        return iw_wrap(err, "signed by key %s, but refused by the audit here", f->reading->id);
    }
    if (status == 0) status = read_small(f, &f->offer->manifest, manifest, &length, err);
    if (status == 0) status = iw_write_file(beside, line, strlen(line), 0644, err);
    if (status == 0) status = write_checks(f, path, verdict, err);
    return status == 0 ? iw_publish(part, path, err) : -1;
}

int iw_cache_take_bundle(iw_cache *cache, const iw_plan *plan, const char *bundle_key,
                         const char *folder, char **path, char **sha256, char **manifest,
                         iw_error *err)
{
    *path = *sha256 = *manifest = NULL;
    bundle_find f = look_for_bundle(cache, bundle_key);
    if (!f.from) return 0;
    iw_cleanup_free char *name = iw_format("%s%s", f.offer->name, IW_BUNDLE_SUFFIX),
                         *file = iw_path_join(folder, name),
                         *text = iw_format("remote %s has the bundle of these very recipes, signed "
                                           "by key %s: it is taken, nothing is built",
                                           f.from->name, f.reading->id);
    note(cache, plan->stack->name, text);
    iw_error inner = IW_ERROR_INIT;
    if (iw_make_folders(folder, 0755, err) != 0) return -1;
    if (bring_bundle(cache, &f, plan, file, manifest, &inner) == 0) {
        *path = iw_steal(&file);
        *sha256 = iw_strdup(f.offer->file.sha256);
        return 0;
    }
    free(*manifest);
    *manifest = NULL;
    bool ours = inner.kind == IW_E_CANCELLED || inner.kind == IW_E_IO;
    iw_wrap(&inner, "the bundle isn't taken from remote %s", f.from->name);
    if (ours) iw_error_move(err, &inner);
    else note(cache, plan->stack->name, iw_error_text(&inner));
    blame(cache, f.from, bundle_key, &inner);
    iw_error_clear(&inner);
    return ours ? -1 : 0;
}
