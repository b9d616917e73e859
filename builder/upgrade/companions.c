/* What a published wheel pins exactly beside itself: packages that are put together from such
 * wheels move along, and what CUDA they are says which driver a host needs. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/edit.h"
#include "upgrade/metadata.h"
#include "upgrade/release.h"
#include "upgrade/requirement.h"

/* --- exact pins ------------------------------------------------------------- */

/* {project: version} of what is asked for with "==" and nothing else. The caller has it. */
static json_t *exact_pins(const iw_strings *needs, const char *python)
{
    json_t *pins = json_object();
    for (size_t i = 0; i < needs->count; i++) {
        iw_requirement one;
        if (iw_requirement_parse(needs->items[i], python, &one) && one.applies &&
            iw_starts_with(one.conditions, "==") && !strpbrk(one.conditions, ",*")) {
            const char *version = one.conditions + 2 + strspn(one.conditions + 2, "= ");
            iw_json_set(pins, one.name, version);
        }
        iw_requirement_clear(&one);
    }
    return pins;
}

/* "nvidia-cublas-cu12" and "nvidia-cublas" are one family: the name without the CUDA at its end. */
static char *family(const char *name)
{
    const char *dash = strrchr(name, '-');
    bool cuda = dash && iw_starts_with(dash, "-cu") && isdigit((unsigned char)dash[3]) &&
                dash[3 + strspn(dash + 3, "0123456789")] == '\0';
    return cuda ? iw_strndup(name, (size_t)(dash - name)) : iw_strdup(name);
}

/* The pin that takes the place of `name` under another name, or NULL. Borrowed. */
static const char *renamed(const json_t *pins, const json_t *before, const char *name)
{
    iw_cleanup_free char *mine = family(name);
    const char *other;
    json_t *version;
    json_object_foreach((json_t *)pins, other, version)
    {
        iw_cleanup_free char *theirs = family(other);
        if (!json_object_get(before, other) && strcmp(mine, theirs) == 0) return other;
    }
    return NULL;
}

/* --- CUDA --------------------------------------------------------------------- */

/* Major and minor, "12.6"; NULL where nothing tells. Caller frees. */
static char *cuda_of(const json_t *pins)
{
    static const char *const names[] = {"cuda-toolkit",
                                        "nvidia-cuda-runtime",
                                        "nvidia-cuda-runtime-cu12",
                                        "nvidia-cuda-runtime-cu11",
                                        "nvidia-cuda-runtime-cu13",
                                        NULL};
    for (size_t i = 0; names[i]; i++) {
        const char *version = iw_json_get(pins, names[i]);
        if (!version) continue;
        size_t major = strspn(version, "0123456789");
        size_t minor = version[major] == '.' ? strspn(version + major + 1, "0123456789") : 0;
        return iw_strndup(version, minor ? major + 1 + minor : major);
    }
    return NULL;
}

/* The oldest Linux driver that any CUDA of this major version runs on (NVIDIA's compatibility
 * table), or NULL. */
static const char *driver_of(const char *cuda)
{
    static const char *const drivers[][2] = {
        {"11.", "450.80.02"}, {"12.", "525.60.13"}, {"13.", "580.65.06"}, {NULL, NULL}};
    for (size_t i = 0; cuda && drivers[i][0]; i++)
        if (iw_starts_with(cuda, drivers[i][0])) return drivers[i][1];
    return NULL;
}

static void tell_cuda(iw_release *release, const char *from, const char *to)
{
    const char *was = driver_of(from), *is = driver_of(to);
    if (!to || (from && strcmp(from, to) == 0)) return;
    json_t *told = json_pack("{s:s}", "to", to);
    iw_json_put(told, "from", from);
    iw_json_put(told, "driver", is);
    if (was && is && strcmp(was, is) != 0) iw_json_set(told, "driver_before", was);
    json_object_set_new(release->report, "cuda", told);
}

/* A recipe's label that names the CUDA ("+cu126") says the new one. */
static int relabel(iw_release *release, const char *cuda, iw_error *err)
{
    const char *label = strchr(release->to, '+');
    iw_cleanup_buffer iw_buffer digits = {0};
    iw_cleanup_free char *text = NULL;
    if (!cuda || !label || !iw_starts_with(label, "+cu") || !isdigit((unsigned char)label[3]))
        return 0;
    for (const char *at = cuda; *at; at++)
        if (*at != '.') iw_buffer_add_char(&digits, *at);
    if (strcmp(label + 3, digits.data) == 0) return 0;
    iw_cleanup_free char *to =
        iw_format("%.*s+cu%s", (int)(label - release->to), release->to, digits.data);
    iw_cleanup_free char *old = iw_format("recipes/%s/%s.yaml", release->recipe->name, release->to),
                         *new = iw_format("recipes/%s/%s.yaml", release->recipe->name, to),
                         *gone = iw_path_join(release->draft, old);
    if (iw_release_read(release, old, &text, err) != 0) return -1;
    iw_cleanup_free char *edited = iw_edit_value(text, 1, 0, "version", to);
    if (iw_release_write(release, new, edited ? edited : text, err) != 0 ||
        iw_remove_tree(gone, err) != 0)
        return -1;
    free(release->to);
    release->to = iw_steal(&to);
    return 0;
}

/* --- one package of such wheels ------------------------------------------------- */

struct companion {
    iw_release *release;
    const iw_recipe *recipe;
    const json_t *before, *after; /* exact pins */
    json_t *told, *moves;
    bool other; /* packages were renamed, dropped or are new: a person must look */
};

static json_t *tell(struct companion *c, const char *change, const char *name, const char *from,
                    const char *to)
{
    json_t *one =
        json_pack("{s:s,s:s,s:s}", "recipe", c->recipe->name, "change", change, "name", name);
    iw_json_put(one, "from", from);
    iw_json_put(one, "to", to);
    json_array_append_new(c->told, one);
    if (strcmp(change, "moved") != 0) c->other = true;
    return one;
}

/* The file and digest of exactly that version. */
static int find_file(struct companion *c, size_t index, const char *version, iw_error *err)
{
    const iw_source *source = &c->recipe->sources[index];
    iw_candidate_rules rules = c->release->rules;
    iw_release_files files;
    iw_candidates list = {0};
    const iw_candidate *one;
    rules.only = version;
    rules.meets = NULL;
    if (iw_fetch_project(source->name, c->release->fetch, &files, err) != 0) return -1;
    int status = iw_candidates_pypi(source, &files, &rules, &list, err);
    iw_release_files_free(&files);
    if (status == 0) status = iw_candidates_choose(&list, source->version, &rules, &one, err);
    if (status == 0)
        json_array_append_new(c->moves,
                              json_pack("{s:I,s:s,s:s,s:s}", "source", (json_int_t)index, "version",
                                        one->version, "file", one->file, "sha256", one->sha256));
    iw_candidates_free(&list);
    return status == 0 ? 0 : iw_wrap(err, "%s, which comes with it", source->name);
}

static int look_at_source(struct companion *c, size_t index, iw_error *err)
{
    const iw_source *source = &c->recipe->sources[index];
    iw_cleanup_free char *name = iw_project_name(source->name);
    const char *version = iw_json_get(c->after, name), *other;
    if (!json_object_get(c->before, name)) return 0;
    if (version && strcmp(version, source->version) == 0) return 0;
    if (version) {
        tell(c, "moved", name, source->version, version);
        return find_file(c, index, version, err);
    }
    if ((other = renamed(c->after, c->before, name)))
        iw_json_set(tell(c, "renamed", name, source->version, iw_json_get(c->after, other)), "as",
                    other);
    else tell(c, "dropped", name, source->version, NULL);
    return 0;
}

/* What is pinned for the first time, and takes nothing's place. */
static void look_for_new(struct companion *c)
{
    const char *name;
    json_t *version;
    json_object_foreach((json_t *)c->after, name, version)
    {
        bool known = json_object_get(c->before, name);
        size_t i;
        json_t *one;
        json_array_foreach(c->told, i, one)
        {
            const char *as = iw_json_get(one, "as");
            known = known || (as && strcmp(as, name) == 0);
        }
        if (!known && (iw_starts_with(name, "nvidia-") || iw_starts_with(name, "cuda-")))
            tell(c, "new", name, NULL, json_string_value(version));
    }
}

/* The package's own new version: as many parts as it had of the source whose version begins so.
 * Caller frees; NULL where none does. */
static char *companion_version(const struct companion *c)
{
    size_t i, parts = 1;
    json_t *move;
    iw_cleanup_free char *start = iw_format("%s.", c->recipe->version);
    for (const char *at = c->recipe->version; *at; at++) parts += *at == '.';
    json_array_foreach(c->moves, i, move)
    {
        size_t index = (size_t)json_integer_value(json_object_get(move, "source")), dots = 0;
        const char *version = iw_json_get(move, "version"), *at = version;
        if (!iw_starts_with(c->recipe->sources[index].version, start)) continue;
        while (*at && (*at != '.' || ++dots < parts)) at++;
        return iw_strndup(version, (size_t)(at - version));
    }
    return NULL;
}

static int draft_companion(struct companion *c, iw_error *err)
{
    iw_cleanup_free char *to = companion_version(c);
    if (!to)
        return iw_fail(err, IW_E_CHECK,
                       "%s must move along, and none of its sources tells its new version",
                       c->recipe->path);
    iw_release move = *c->release;
    move.recipe = c->recipe;
    move.to = to;
    move.moves = c->moves;
    iw_json_set(c->release->tools, c->recipe->name, to);
    return iw_release_put(&move, err);
}

/* Needs to run that are put together from wheels which this one pins. */
static bool is_companion(const iw_recipe *recipe, const json_t *before)
{
    for (size_t i = 0; i < recipe->source_count; i++) {
        const iw_source *source = &recipe->sources[i];
        if (source->kind != IW_SOURCE_PYPI || !source->wheel) continue;
        iw_cleanup_free char *name = iw_project_name(source->name);
        if (strcmp(name, recipe->name) != 0 && json_object_get(before, name)) return true;
    }
    return false;
}

static int move_companion(iw_release *release, const iw_recipe *recipe, const json_t *before,
                          const json_t *after, json_t *told, iw_error *err)
{
    struct companion c = {release, recipe, before, after, told, json_array(), false};
    int status = 0;
    for (size_t i = 0; i < recipe->source_count && status == 0; i++)
        status = look_at_source(&c, i, err);
    look_for_new(&c);
    if (status == 0 && c.other)
        status = iw_fail(err, IW_E_CHECK,
                         "it comes with other packages than %s %s is made of (the report lists "
                         "them): a person must write that recipe",
                         recipe->name, recipe->version);
    else if (status == 0 && json_array_size(c.moves)) status = draft_companion(&c, err);
    json_decref(c.moves);
    return status;
}

int iw_release_companions(iw_release *release, const iw_metadata *before, const iw_metadata *after,
                          iw_error *err)
{
    const iw_recipe *recipe = release->recipe;
    const char *python = release->rules.python;
    if (release->depth || !recipe->sources[0].wheel) return 0;
    json_t *old = exact_pins(&before->run, python), *new = exact_pins(&after->run, python),
           *told = json_array();
    iw_cleanup_free char *from = cuda_of(old), *to = cuda_of(new);
    tell_cuda(release, from, to);
    int status = relabel(release, to, err);
    for (size_t i = 0; i < recipe->run_needs.count && status == 0; i++) {
        const iw_node *node = iw_plan_find(release->plan, recipe->run_needs.items[i].name, NULL);
        if (node && is_companion(node->recipe, old))
            status = move_companion(release, node->recipe, old, new, told, err);
    }
    if (json_array_size(told)) json_object_set(release->report, "companions", told);
    json_decref(told);
    json_decref(old);
    json_decref(new);
    return status;
}
