#include "upgrade/heal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/heal_hashes.h"
#include "upgrade/healer.h"

enum { LOCK_LIMIT = 16 << 20, DISK_OF_A_BUILD = 300 /* MiB, of one that nobody measured */ };

const char *iw_fate_name(iw_fate fate)
{
    static const char *const names[] = {"kept", "moved", "recipe", "made", "impossible"};
    return names[fate];
}

void iw_heal_result_free(iw_heal_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        iw_healed *one = &result->items[i];
        free(one->name), free(one->version), free(one->recipe), free(one->was), free(one->why);
        free(one->hashes);
        iw_strings_free(&one->needed_by);
    }
    free(result->items);
    free(result->stack);
    free(result->lock);
    *result = (iw_heal_result){0};
}

/* --- opening -------------------------------------------------------------- */

static int open_healer(iw_healer *h, iw_error *err)
{
    h->making = (iw_new_options){.project = "",
                                 .tree = true,
                                 .part = true,
                                 .profile = h->options->profiles[0],
                                 .deliver = h->options->deliver};
    h->called = json_object();
    h->triages = iw_alloc(2 * h->options->profile_count * sizeof(iw_triage *));
    if (iw_maker_open(&h->maker, h->catalog, h->store, &h->making, err) != 0) return -1;
    char *folder = iw_path_join(h->maker.rig.folder, "resolve");
    h->resolver = (iw_resolver){.root = h->maker.root,
                                .bytecode = h->maker.bytecode,
                                .folder = folder,
                                .index = h->options->deliver.fetch.pypi_index,
                                .offline = h->options->deliver.fetch.offline,
                                .requirements = &h->requirements,
                                .cancel = h->options->deliver.cancel};
    return iw_make_folders(folder, 0700, err);
}

static void close_healer(iw_healer *h)
{
    for (size_t i = 0; i < h->count; i++) {
        iw_decision *one = &h->decisions[i];
        free(one->name), free(one->version), free(one->recipe), free(one->was), free(one->why);
        free(one->sha256);
    }
    for (size_t i = 0; i < h->sketch_count; i++) iw_sketch_clear(&h->sketches[i]);
    for (size_t i = 0; i < 2 * h->options->profile_count; i++) iw_triage_close(h->triages[i]);
    free(h->triages);
    json_decref(h->called);
    free(h->decisions);
    free(h->sketches);
    free((void *)(uintptr_t)h->resolver.folder);
    iw_requirements_free(&h->requirements);
    iw_resolution_free(&h->resolution);
    iw_strings_free(&h->pins);
    iw_strings_free(&h->beside);
    iw_strings_free(&h->alone);
    iw_strings_free(&h->moving);
    iw_strings_free(&h->libraries);
    iw_strings_free(&h->warned);
    iw_maker_close(&h->maker);
}

/* --- what is told --------------------------------------------------------- */

static void add_needed_by(const iw_healer *h, const char *name, iw_strings *out)
{
    for (size_t i = 0; i < h->resolution.count; i++)
        if (iw_strings_has(&h->resolution.items[i].needs, name) &&
            strcmp(h->resolution.items[i].name, name) != 0)
            iw_strings_add(out, h->resolution.items[i].name);
}

static char *copy_of(const char *text)
{
    return text ? iw_strdup(text) : NULL;
}

static uint64_t holds_of(const iw_healer *h, const char *name, bool *tried)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < h->sketch_count; i++)
        for (size_t k = 0;
             strcmp(h->sketches[i].project, name) == 0 && k < h->sketches[i].tried.count; k++) {
            const char *at = strrchr(h->sketches[i].tried.items[k], ' ');
            *tried = true;
            while ((at = strchr(at, ':'))) sum += strtoull(++at, NULL, 10);
        }
    return sum;
}

/* The digest of what is taken, as far as an index has that file. Borrowed, or NULL. */
static const char *digest_of(const iw_healer *h, const iw_decision *decision)
{
    iw_error ignored = IW_ERROR_INIT;
    const iw_dist *dist = iw_resolution_find(&h->resolution, decision->name);
    const iw_recipe *recipe = NULL;
    if (decision->fate == IW_FATE_MOVED) return dist ? dist->sha256 : NULL;
    if (decision->fate == IW_FATE_MADE) return decision->sha256;
    if (decision->recipe && iw_catalog_recipe(h->catalog, iw_healer_called(h, decision->name),
                                              decision->recipe, &recipe, &ignored) != 0)
        iw_error_clear(&ignored);
    return recipe && recipe->source_count && recipe->sources[0].kind == IW_SOURCE_PYPI
               ? recipe->sources[0].sha256
               : NULL;
}

/* Caller frees; NULL where all that was asked for still holds. */
static char *hashes_of(const iw_healer *h, const iw_decision *decision)
{
    iw_cleanup_free char *place = NULL;
    if (decision->fate == IW_FATE_KEPT || decision->fate == IW_FATE_IMPOSSIBLE) return NULL;
    iw_hashes what = iw_hashes_hold(&h->requirements, decision->name, decision->version,
                                    digest_of(h, decision), &place);
    if (what == IW_HASHES_NONE || what == IW_HASHES_KEPT) return NULL;
    return iw_format("the hashes of %s no longer apply: %s", place,
                     decision->fate == IW_FATE_MOVED ? "it is another version"
                                                     : "it is built from source");
}

static void fill(const iw_healer *h, iw_heal_result *result)
{
    iw_heal_result_free(result);
    result->items = iw_alloc((h->resolution.count + 1) * sizeof *result->items);
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_decision *decision = iw_healer_find(h, h->resolution.items[i].name);
        if (!decision) continue;
        iw_healed *one = &result->items[result->count++];
        *one = (iw_healed){.name = iw_strdup(decision->name),
                           .version = iw_strdup(decision->version),
                           .recipe = copy_of(decision->recipe),
                           .was = copy_of(decision->was),
                           .why = copy_of(decision->why),
                           .hashes = hashes_of(h, decision),
                           .fate = decision->fate};
        one->holds = holds_of(h, decision->name, &one->tried);
        add_needed_by(h, decision->name, &one->needed_by);
        result->impossible += one->fate == IW_FATE_IMPOSSIBLE;
    }
}

/* A wheel lies in the store, unpacked where it is checked, packed again, and in the bundle. What
 * was tried is there already; what wasn't is Python alone, and seldom large. */
static uint64_t disk_of(const iw_healer *h, const iw_recipe *recipe)
{
    struct stat status;
    if (recipe->build.system != IW_SYSTEM_WHEEL) return (uint64_t)DISK_OF_A_BUILD << 20;
    iw_cleanup_free char *path =
        recipe->source_count ? iw_store_source_path(h->store, recipe->sources[0].sha256) : NULL;
    uint64_t size = path && stat(path, &status) == 0 ? (uint64_t)status.st_size : 1 << 20;
    return 6 * size;
}

/* Hours and bytes of what is to be built, from the plan. What is yet to be made isn't known: a
 * quarter of an hour each. */
static int estimate(const iw_healer *h, iw_heal_result *result, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_session session = {0};
    iw_deliver_options options = h->options->deliver;
    options.root = h->maker.rig.tree;
    int status = iw_catalog_open(h->maker.rig.tree, &catalog, err);
    if (status == 0)
        status = iw_session_open(catalog, h->store, h->options->name, &options, &session, err);
    for (size_t i = 0; status == 0 && i < session.plan->node_count; i++) {
        const iw_node *node = &session.plan->nodes[i];
        if (node->action == IW_ACTION_REUSE) continue;
        result->hours += node->expected_seconds / 3600;
        result->disk += disk_of(h, node->recipe);
    }
    iw_session_close(&session);
    iw_catalog_free(catalog);
    return status;
}

/* What does the same work and can be had here. */
static const struct {
    const char *name, *instead;
} others[] = {
    {"ctranslate2", "whisper.cpp transcribes on such a CPU: this tree's stack whisper has its "
                    "programs and its Python binding, pywhispercpp (docs/programs/whisper.md)"},
};

static const char *instead_of(const char *name)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].name, name) == 0) return others[i].instead;
    return NULL;
}

static int fail_impossible(const iw_heal_result *result, iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0};
    for (size_t i = 0; i < result->count; i++) {
        const iw_healed *one = &result->items[i];
        if (one->fate != IW_FATE_IMPOSSIBLE) continue;
        iw_buffer_add_format(&text, "\n  %s %s: %s; ", one->name, one->version, one->why);
        for (size_t k = 0; k < one->needed_by.count; k++)
            iw_buffer_add_format(&text, "%s%s", k ? ", " : "needed by ", one->needed_by.items[k]);
        if (!one->needed_by.count) iw_buffer_add_text(&text, "asked for");
        const char *instead = instead_of(one->name);
        if (instead) iw_buffer_add_format(&text, "\n    instead: %s", instead);
    }
    return iw_fail(err, IW_E_CHECK, "%zu package%s can't be had for this CPU:%s",
                   result->impossible, result->impossible == 1 ? "" : "s", text.data);
}

/* --- the whole ------------------------------------------------------------ */

/* Recipes of the tree, and wheels. With `plan` nothing is made: what would be stands in no stack
 * yet. */
static int plan_only(iw_healer *h, iw_heal_result *result, iw_error *err)
{
    const iw_resolution all = h->resolution;
    size_t made = 0;
    h->resolution = (iw_resolution){.items = iw_alloc((all.count + 1) * sizeof *all.items)};
    for (size_t i = 0; i < all.count; i++) {
        iw_fate fate = iw_healer_find(h, all.items[i].name)->fate;
        made += fate == IW_FATE_MADE;
        if (fate != IW_FATE_MADE && fate != IW_FATE_IMPOSSIBLE)
            h->resolution.items[h->resolution.count++] = all.items[i];
    }
    result->hours = 0.25 * (double)made;
    result->disk = made * ((uint64_t)DISK_OF_A_BUILD << 20);
    int status = iw_healer_write(h, err);
    if (status == 0) status = estimate(h, result, err);
    free(h->resolution.items); /* what they point at is `all`'s */
    h->resolution = all;
    return status;
}

/* IW_E_USAGE where something else stands at `path`. *same: just that. */
static int look_at_lock(const char *path, const char *text, bool *same, iw_error *err)
{
    iw_cleanup_free char *there = NULL;
    size_t length;
    *same = false;
    if (!iw_exists(path)) return 0;
    if (iw_read_file(path, LOCK_LIMIT, &there, &length, err) != 0) return -1;
    *same = strcmp(there, text) == 0;
    if (*same) return 0;
    return iw_fail(err, IW_E_USAGE,
                   "%s is there already, with something else in it: name another folder, or move "
                   "it away",
                   path);
}

/* Builds, unless `into` has another lock, and writes the lock last. */
static int build_and_lock(iw_healer *h, iw_heal_result *result, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *path = iw_path_join(h->options->into, "pylock.toml");
    bool same;
    if (iw_healer_lock(h, &text, err) != 0 || look_at_lock(path, text, &same, err) != 0 ||
        iw_healer_build(h, err) != 0)
        return -1;
    fill(h, result);
    result->stack = iw_format("%s/recipes/stacks/%s.yaml", h->options->into, h->options->name);
    result->lock = iw_steal(&path);
    return same ? 0 : iw_write_file(result->lock, text, strlen(text), 0644, err);
}

/* What was to be made and couldn't be. */
static void tell_changed(const iw_heal_result *before, const iw_heal_result *now,
                         void (*told)(void *, const iw_heal_result *), void *context)
{
    iw_heal_result changed = {.items = iw_alloc((now->count + 1) * sizeof *now->items)};
    for (size_t i = 0; i < now->count; i++)
        if (now->items[i].fate != before->items[i].fate)
            changed.items[changed.count++] = now->items[i];
    changed.impossible = changed.count;
    told(context, &changed);
    free(changed.items); /* what they point at is `now`'s */
}

static int carry_out(iw_healer *h, void (*told)(void *, const iw_heal_result *), void *context,
                     iw_heal_result *result, iw_error *err)
{
    if (told) told(context, result);
    if (result->impossible) return fail_impossible(result, err);
    if (h->options->plan) return 0;
    if (iw_healer_write(h, err) != 0 || iw_healer_make(h, err) != 0) return -1;
    iw_heal_result before = *result;
    *result = (iw_heal_result){0};
    fill(h, result);
    if (told && result->impossible) tell_changed(&before, result, told, context);
    iw_heal_result_free(&before);
    if (result->impossible) return fail_impossible(result, err);
    return build_and_lock(h, result, err);
}

int iw_heal(iw_catalog *catalog, iw_store *store, const iw_heal_options *options,
            void (*told)(void *context, const iw_heal_result *result), void *context,
            iw_heal_result *result, iw_error *err)
{
    iw_healer h = {.options = options, .catalog = catalog, .store = store};
    int status = open_healer(&h, err);
    if (status == 0) status = iw_healer_read(&h, err);
    if (status == 0) status = iw_healer_decide(&h, err);
    if (status == 0) fill(&h, result);
    if (status == 0 && options->plan) status = plan_only(&h, result, err);
    if (status == 0) status = carry_out(&h, told, context, result, err);
    close_healer(&h);
    return status;
}
