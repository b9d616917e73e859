/* Wheels that were seen working, or dying, on a CPU, by the results that are kept. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/transfer.h"
#include "triage/internal.h"

#define RESULT_LIMIT ((size_t)4 << 20)

void iw_triage_for(const iw_profile *profile, char key[IW_SHA256_HEX])
{
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "profile", profile->meaning);
    iw_hash_add_field(hash, "model", profile->emulator_cpu);
    iw_hash_finish(hash, key);
    iw_hash_free(hash);
}

/* --- writing them --------------------------------------------------------- */

static json_t *wheel_of(const iw_attempt *a, const json_t *item)
{
    const json_t *metadata = json_object_get(item, "metadata"),
                 *download = json_object_get(item, "download_info");
    const char *url = iw_json_get(download, "url"), *name = iw_json_get(metadata, "name"),
               *version = iw_json_get(metadata, "version"), *sha256 = iw_triage_digest(item);
    iw_cleanup_free char *file = iw_triage_file(url);
    uint64_t size = 0;
    if (!file || !name || !version || !sha256 || !iw_is_sha256(sha256) ||
        !iw_starts_with(url, "http"))
        return NULL;
    iw_cleanup_free char *project = iw_plain_name(name), *shown = iw_transfer_shown(url),
                         *plain = iw_strndup(shown, strcspn(shown, "#")),
                         *path = iw_store_source_path(a->triage->options.store, sha256);
    char found[IW_SHA256_HEX];
    if (!iw_exists(path) || iw_hash_file(path, found, &size, NULL) != 0) size = 0;
    json_t *wheel =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "project", project, "version", version, "file", file,
                  "url", plain, "sha256", sha256, "size", (json_int_t)size);
    iw_json_put(wheel, "requires_python", iw_json_get(metadata, "requires_python"));
    return wheel;
}

json_t *iw_triage_wheels_of(const iw_attempt *a)
{
    json_t *all = json_array(), *item;
    size_t i;
    json_array_foreach(a->install, i, item)
    {
        json_t *wheel = wheel_of(a, item);
        if (wheel) json_array_append_new(all, wheel);
    }
    return all;
}

/* --- reading them --------------------------------------------------------- */

typedef struct reading {
    const char *wanted; /* iw_triage_for */
    iw_triage_wheels *out;
} reading;

static char *copy(const json_t *object, const char *key)
{
    const char *text = iw_json_get(object, key);
    return text ? iw_strdup(text) : NULL;
}

static iw_triage_wheel *find(iw_triage_wheels *all, const char *sha256)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].sha256, sha256) == 0) return &all->items[i];
    return NULL;
}

static iw_triage_wheel *add(iw_triage_wheels *all, const json_t *wheel)
{
    iw_triage_wheel one = {.project = copy(wheel, "project"),
                           .version = copy(wheel, "version"),
                           .file = copy(wheel, "file"),
                           .url = copy(wheel, "url"),
                           .sha256 = copy(wheel, "sha256"),
                           .requires_python = copy(wheel, "requires_python")};
    iw_grow((void **)&all->items, &all->capacity, all->count + 1, sizeof *all->items);
    all->items[all->count] = one;
    return &all->items[all->count++];
}

/* What is held against it itself, or for it: pure Python that came with something that works can't
 * die of a CPU. */
static void judge(iw_triage_wheels *all, const json_t *result, const json_t *wheel)
{
    const char *verdict = iw_json_get(result, "verdict"), *package = iw_json_get(result, "package"),
               *sha256 = iw_json_get(wheel, "sha256"), *file = iw_json_get(wheel, "file"),
               *project = iw_json_get(wheel, "project");
    if (!verdict || !package || !sha256 || !file || !project || !iw_json_get(wheel, "url") ||
        !iw_json_get(wheel, "version"))
        return;
    bool own = strcmp(project, package) == 0, pure = iw_ends_with(file, "-none-any.whl"),
         works = strcmp(verdict, "runs") == 0 || strcmp(verdict, "imports") == 0,
         dies = own && iw_starts_with(verdict, "dies-") && !iw_json_get(result, "culprit");
    if (!dies && !(works && (own || pure))) return;
    iw_triage_wheel *one = find(all, sha256);
    if (!one) one = add(all, wheel);
    uint64_t size = (uint64_t)json_integer_value(json_object_get(wheel, "size"));
    if (size) one->size = size;
    one->dies = one->dies || dies;
}

static int read_result(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    (void)status, (void)err;
    reading *r = context;
    iw_cleanup_free char *text = NULL;
    if (!iw_ends_with(relative, ".json") ||
        iw_read_file(full, RESULT_LIMIT, &text, NULL, NULL) != 0)
        return 0;
    json_t *result = json_loads(text, 0, NULL), *wheel;
    const char *about = iw_json_get(result, "for");
    size_t i;
    if (about && strcmp(about, r->wanted) == 0)
        json_array_foreach(json_object_get(result, "wheels"), i, wheel)
            judge(r->out, result, wheel);
    json_decref(result);
    return 0;
}

static int by_project(const void *a, const void *b)
{
    const iw_triage_wheel *one = a, *two = b;
    int order = strcmp(one->project, two->project);
    return order ? order : strcmp(one->file, two->file);
}

int iw_triage_kept(iw_store *store, const iw_profile *profile, iw_triage_wheels *out, iw_error *err)
{
    char wanted[IW_SHA256_HEX];
    iw_cleanup_free char *folder = iw_store_path(store, "history", "triage");
    reading r = {.wanted = wanted, .out = out};
    iw_triage_for(profile, wanted);
    if (iw_exists(folder) && iw_walk(folder, read_result, &r, err) != 0) return -1;
    if (out->count) qsort(out->items, out->count, sizeof *out->items, by_project);
    return 0;
}

void iw_triage_wheels_free(iw_triage_wheels *all)
{
    for (size_t i = 0; i < all->count; i++) {
        iw_triage_wheel *one = &all->items[i];
        free(one->project), free(one->version), free(one->file), free(one->url);
        free(one->sha256), free(one->requires_python);
    }
    free(all->items);
    *all = (iw_triage_wheels){0};
}
