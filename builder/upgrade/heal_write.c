/* From decisions to recipes, a stack, a bundle and a lock. */
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/ask.h"
#include "upgrade/healer.h"
#include "upgrade/learn.h"

enum { ROUNDS = 10, MODULES = 16 };

/* --- needs without circles ------------------------------------------------ */

/* By the recipe's name. */
static const iw_sketch *sketch_of(const iw_healer *h, const char *name)
{
    for (size_t i = 0; i < h->sketch_count; i++)
        if (strcmp(h->sketches[i].name, name) == 0) return &h->sketches[i];
    return NULL;
}

/* Whether `from` leads to `to` by what is written so far. */
static bool leads_to(const iw_healer *h, const char *from, const char *to, iw_strings *seen)
{
    const iw_sketch *sketch = sketch_of(h, from);
    if (strcmp(from, to) == 0) return true;
    if (!sketch || iw_strings_has(seen, from)) return false;
    iw_strings_add(seen, from);
    for (size_t i = 0; i < sketch->run.count; i++)
        if (leads_to(h, sketch->run.items[i], to, seen)) return true;
    return false;
}

/* Packages of an index may need each other in circles; recipes may not. The stack names all of them
 * anyway. */
static void add_needs(const iw_healer *h, iw_sketch *sketch, const iw_dist *dist)
{
    iw_sketch_need(&sketch->run, "python");
    for (size_t i = 0; i < dist->needs.count; i++) {
        const char *need = iw_healer_called(h, dist->needs.items[i]);
        iw_cleanup_strings iw_strings seen = {0};
        if (strcmp(need, sketch->name) == 0 || !sketch_of(h, need)) continue;
        if (!leads_to(h, need, sketch->name, &seen)) iw_sketch_need(&sketch->run, need);
    }
}

/* --- recipes of wheels ---------------------------------------------------- */

static int fetch_wheel(const iw_healer *h, const iw_dist *dist, iw_error *err)
{
    const iw_source source = {.kind = IW_SOURCE_PYPI,
                              .id = "1",
                              .name = dist->name,
                              .version = dist->version,
                              .file = dist->file,
                              .sha256 = dist->sha256,
                              .wheel = true,
                              .to = "."};
    const iw_recipe recipe = {
        .name = dist->name, .version = dist->version, .sources = &source, .source_count = 1};
    const iw_wanted wanted = {.recipe = &recipe, .source = &source};
    iw_fetch_options fetch = h->options->deliver.fetch;
    fetch.cancel = h->options->deliver.cancel;
    fetch.sink = h->options->deliver.sink;
    return iw_fetch_all(h->store, &wanted, 1, &fetch, err);
}

static void describe(iw_sketch *sketch, const json_t *answer)
{
    const json_t *one = json_array_get(json_object_get(answer, "distributions"), 0), *module;
    const char *licence = iw_json_get(one, "licence");
    size_t i;
    free(sketch->licence);
    sketch->licence = iw_strdup(licence && *licence ? licence : "LicenseRef-unknown");
    json_array_foreach(json_object_get(one, "modules"), i,
                       module) if (sketch->modules.count < MODULES)
        iw_sketch_add(&sketch->modules, json_string_value(module));
}

static int sketch_wheel(iw_healer *h, const iw_dist *dist, iw_error *err)
{
    json_t *answer = NULL;
    iw_grow((void **)&h->sketches, &h->sketch_capacity, h->sketch_count + 1, sizeof *h->sketches);
    iw_sketch *sketch = &h->sketches[h->sketch_count++];
    *sketch = (iw_sketch){.name = iw_strdup(iw_healer_called(h, dist->name)),
                          .version = iw_strdup(dist->version),
                          .summary = iw_strdup(dist->summary),
                          .licence = iw_strdup("LicenseRef-unknown"),
                          .project = iw_strdup(dist->name),
                          .file = iw_strdup(dist->file),
                          .sha256 = iw_strdup(dist->sha256),
                          .wheel = true};
    iw_sketch_need(&sketch->build, "pip");
    if (h->options->plan) return 0;
    if (fetch_wheel(h, dist, err) != 0 ||
        iw_maker_read(&h->maker, dist->sha256, dist->file, 0, "installed", &answer, err) != 0)
        return -1;
    describe(sketch, answer);
    json_decref(answer);
    return 0;
}

static int write_sketches(const iw_healer *h, iw_error *err)
{
    for (size_t i = 0; i < h->sketch_count; i++) {
        iw_cleanup_free char *text = iw_sketch_text(&h->sketches[i]),
                             *path = iw_format("recipes/%s/%s.yaml", h->sketches[i].name,
                                               h->sketches[i].version);
        if (iw_rig_write(&h->maker.rig, path, text, err) != 0) return -1;
    }
    return 0;
}

/* --- the stack ------------------------------------------------------------ */

static const char *recipe_version(const iw_decision *decision)
{
    return decision->recipe ? decision->recipe : decision->version;
}

static bool has_recipe(const iw_healer *h, const char *name)
{
    iw_cleanup_free char *folder = iw_path_join3(h->maker.rig.tree, "recipes", name);
    return iw_exists(folder);
}

/* Python itself, what starts it, and libraries that wheels take from a system: as base has them. */
static int add_ground(const iw_healer *h, iw_buffer *out, iw_strings *wanted, iw_error *err)
{
    iw_cleanup_strings iw_strings names = {0};
    if (has_recipe(h, "ironwheel-launcher")) iw_strings_add(&names, "ironwheel-launcher");
    for (size_t i = 0; i < h->libraries.count; i++)
        if (!iw_healer_dist(h, h->libraries.items[i]))
            iw_strings_add(&names, h->libraries.items[i]);
    iw_buffer_add_format(out, "  python: %s\n", h->maker.python);
    iw_strings_add_format(wanted, "python %s", h->maker.python);
    for (size_t i = 0; i < names.count; i++) {
        const char *version;
        if (iw_rig_usual(h->catalog, names.items[i], &version, err) != 0) return -1;
        if (!version) continue;
        iw_buffer_add_format(out, "  %s: %s\n", names.items[i], version);
        iw_strings_add_format(wanted, "%s %s", names.items[i], version);
    }
    return 0;
}

static int write_stack(const iw_healer *h, iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0}, pins = {0};
    iw_cleanup_strings iw_strings except = {0};
    iw_buffer_add_format(&text,
                         "name: %s\nversion: 1\nsummary: What the requirements ask for, as wheels "
                         "that run there and recipes\ntoolchain: %s\nprofiles: [",
                         h->options->name, h->maker.toolchain);
    for (size_t i = 0; i < h->options->profile_count; i++)
        iw_buffer_add_format(&text, "%s%s", i ? ", " : "", h->options->profiles[i]);
    iw_buffer_add_text(&text, "]\n");
    if (h->tried) iw_buffer_add_text(&text, "tried: true\n");
    iw_buffer_add_text(&text, "packages:\n");
    if (add_ground(h, &text, &except, err) != 0) return -1;
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_decision *decision = iw_healer_find(h, h->resolution.items[i].name);
        const char *called = iw_healer_called(h, decision->name);
        iw_buffer_add_format(&text, "  %s: %s\n", called, recipe_version(decision));
        iw_strings_add_format(&except, "%s %s", called, recipe_version(decision));
    }
    if (iw_rig_pins(&h->maker.rig, &h->maker.wanted, &except, &pins, err) != 0) return -1;
    if (pins.length) iw_buffer_add_format(&text, "pins:\n%s", pins.data);
    iw_cleanup_free char *path = iw_format("recipes/stacks/%s.yaml", h->options->name);
    return iw_rig_write(&h->maker.rig, path, text.data, err);
}

int iw_healer_write(iw_healer *h, iw_error *err)
{
    size_t first = h->sketch_count;
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const iw_decision *decision = iw_healer_find(h, dist->name);
        bool wheel = decision->fate == IW_FATE_KEPT || decision->fate == IW_FATE_MOVED;
        if (wheel && sketch_wheel(h, dist, err) != 0) return -1;
        if (decision->fate != IW_FATE_MADE) /* what is made is made beside these */
            iw_strings_add_format(&h->maker.wanted, "%s %s", iw_healer_called(h, decision->name),
                                  recipe_version(decision));
    }
    for (size_t i = first; i < h->sketch_count; i++)
        add_needs(h, &h->sketches[i], iw_resolution_find(&h->resolution, h->sketches[i].project));
    return write_sketches(h, err) != 0 ? -1 : write_stack(h, err);
}

/* --- making --------------------------------------------------------------- */

int iw_healer_make(iw_healer *h, iw_error *err)
{
    for (size_t i = 0; i < h->count; i++) {
        iw_decision *decision = &h->decisions[i];
        iw_entry *entry = NULL;
        iw_error trouble = IW_ERROR_INIT;
        if (decision->fate != IW_FATE_MADE || !iw_resolution_find(&h->resolution, decision->name))
            continue;
        int status =
            iw_maker_make(&h->maker, decision->name, decision->version, NULL, &entry, &trouble);
        if (status != 0 && trouble.kind == IW_E_CANCELLED)
            return iw_fail(err, IW_E_CANCELLED, "stopped");
        if (status == 0 && entry->built) continue;
        decision->fate = IW_FATE_IMPOSSIBLE;
        iw_cleanup_free char *before = decision->why;
        decision->why = iw_format("%s; from its sdist: %s", before ? before : "no wheel",
                                  status == 0 ? entry->cause : iw_error_text(&trouble));
        iw_error_clear(&trouble);
    }
    return 0;
}

/* --- building ------------------------------------------------------------- */

static int open_session(const iw_healer *h, iw_catalog **catalog, iw_session *session,
                        iw_error *err)
{
    iw_deliver_options options = h->options->deliver;
    options.root = h->maker.rig.tree;
    *catalog = NULL;
    return iw_catalog_open(h->maker.rig.tree, catalog, err) != 0
               ? -1
               : iw_session_open(*catalog, h->store, h->options->name, &options, session, err);
}

struct counting {
    iw_sketch *sketch;
    const char *folder;
    iw_error *err;
    int status;
};

static void on_file(void *context, const iw_audit_file *file)
{
    struct counting *counting = context;
    char sha256[IW_SHA256_HEX];
    if (file->verdict != IW_VERDICT_BROKEN || counting->status != 0) return;
    counting->status = iw_hash_file(file->file, sha256, NULL, counting->err);
    if (counting->status != 0) return;
    iw_cleanup_buffer iw_buffer line = {0};
    iw_buffer_add_format(&line, "%s %s ", file->file + strlen(counting->folder) + 1, sha256);
    for (size_t i = 0, told = 0; i < file->count_count; i++) {
        const iw_audit_count *c = &file->counts[i];
        if (c->count == c->guarded) continue;
        iw_buffer_add_format(&line, "%s%s:%llu", told++ ? "," : "", c->feature,
                             (unsigned long long)(c->count - c->guarded));
    }
    iw_sketch_add(&counting->sketch->tried, line.data);
}

/* What a wheel holds beyond the CPUs, file by file, as it is installed. */
static int count_wheel(iw_healer *h, const iw_session *session, iw_sketch *sketch, iw_error *err)
{
    iw_node *node;
    iw_cleanup_free char *folder = NULL;
    if (iw_session_node(session, sketch->name, &node, err) != 0 ||
        iw_temporary_folder(h->maker.rig.folder, "count-", &folder, err) != 0)
        return -1;
    struct counting counting = {sketch, folder, err, 0};
    const iw_audit_options options = {.profile = session->plan->profile,
                                      .threads = h->options->deliver.jobs,
                                      .file = on_file,
                                      .context = &counting};
    iw_audit_summary summary = {0};
    int status = iw_store_lay_artifact(h->store, &node->artifact, folder, NULL, err);
    if (status == 0)
        status = iw_audit_paths((const char *const[]){folder}, 1, &options, &summary, err);
    if (status == 0) status = counting.status;
    iw_audit_summary_clear(&summary);
    iw_remove_tree(folder, NULL);
    h->tried = h->tried || sketch->tried.count;
    return status;
}

static int build_packages(iw_healer *h, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_session session = {0};
    int status = open_session(h, &catalog, &session, err);
    if (status == 0) status = iw_session_build_packages(&session, err);
    for (size_t i = 0; i < h->sketch_count && status == 0; i++)
        status = count_wheel(h, &session, &h->sketches[i], err);
    iw_session_close(&session);
    iw_catalog_free(catalog);
    return status;
}

/* A module of a wheel that wants what the wheel doesn't ask for isn't imported by a check. */
static bool drop_modules(iw_healer *h, const char *message)
{
    bool changed = false;
    for (size_t i = 0; i < h->sketch_count; i++) {
        iw_sketch *sketch = &h->sketches[i];
        iw_strings kept = {0};
        for (size_t k = 0; k < sketch->modules.count; k++) {
            iw_cleanup_free char *line =
                iw_format("\n  import %s of %s ", sketch->modules.items[k], sketch->name);
            const char *found = strstr(message, line),
                       *end = found ? strstr(found, "\n    log: ") : NULL;
            bool missing = end && memmem(found, (size_t)(end - found), "No module named", 15);
            if (!missing) iw_strings_add(&kept, sketch->modules.items[k]);
        }
        changed = changed || kept.count != sketch->modules.count;
        iw_strings_free(&sketch->modules);
        sketch->modules = kept;
    }
    return changed;
}

/* *again: something was learnt from the failure. */
static void learn(iw_healer *h, const char *message, bool *again)
{
    iw_lesson lesson;
    iw_cleanup_strings iw_strings missing = {0};
    (void)iw_missing_libraries(message, &missing); /* as many at once as are known */
    for (size_t i = 0; i < missing.count; i++)
        if (has_recipe(h, missing.items[i]) && iw_sketch_add(&h->libraries, missing.items[i]))
            *again = true;
    if (*again) return;
    iw_learn(h->options->name, "1", message, "", &lesson);
    if (lesson.kind == IW_LESSON_NEED && lesson.run && lesson.what && has_recipe(h, lesson.what))
        *again = iw_sketch_add(&h->libraries, lesson.what);
    else if (lesson.kind == IW_LESSON_PYTHON_NEED) *again = drop_modules(h, message);
    iw_lesson_clear(&lesson);
}

/* *again: something was learnt from the failure. `last`: it counts, whatever it teaches. */
static int bundle_once(iw_healer *h, bool last, bool *again, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_session session = {0};
    iw_error trouble = IW_ERROR_INIT;
    *again = false;
    if (write_sketches(h, err) != 0 || write_stack(h, err) != 0) return -1;
    int status = open_session(h, &catalog, &session, &trouble);
    if (status == 0) status = iw_session_build(&session, &trouble);
    if (status == 0 && h->options->into)
        status = iw_rig_export(&h->maker.rig, session.plan, h->options->into, &trouble);
    iw_session_close(&session);
    iw_catalog_free(catalog);
    if (status != 0 && !last && (trouble.kind == IW_E_BUILD || trouble.kind == IW_E_CHECK))
        learn(h, iw_error_text(&trouble), again);
    if (status != 0 && !*again) iw_fail(err, trouble.kind, "%s", iw_error_text(&trouble));
    iw_error_clear(&trouble);
    return *again ? 0 : status;
}

int iw_healer_build(iw_healer *h, iw_error *err)
{
    bool again = true;
    if (write_stack(h, err) != 0 || build_packages(h, err) != 0) return -1;
    for (int round = 1; again; round++)
        if (bundle_once(h, round == ROUNDS, &again, err) != 0) return -1;
    return 0;
}

/* --- pylock.toml (PEP 751) ------------------------------------------------ */

static void add_text(iw_buffer *out, const char *key, const char *value)
{
    iw_buffer_add_format(out, "%s = \"", key);
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (*c == '"' || *c == '\\') iw_buffer_add_char(out, '\\');
        iw_buffer_add_char(out, *c < 0x20 || *c == 0x7F ? '?' : (char)*c);
    }
    iw_buffer_add_char(out, '"');
}

static void add_file(iw_buffer *out, const char *file, const char *url, const char *sha256)
{
    iw_cleanup_free char *plain = iw_strndup(url, strcspn(url, "#"));
    iw_buffer_add_text(out, "{");
    add_text(out, "name", file);
    iw_buffer_add_text(out, ", ");
    add_text(out, "url", plain);
    iw_buffer_add_text(out, ", hashes = {");
    add_text(out, "sha256", sha256);
    iw_buffer_add_text(out, "}}");
}

/* The sdist that a recipe is built from, where it is one of the index. *found false: it isn't. */
static int add_sdist(const iw_healer *h, iw_catalog *catalog, const iw_decision *decision,
                     iw_buffer *out, bool *found, iw_error *err)
{
    const iw_recipe *recipe;
    iw_release_files files = {0};
    iw_fetch_options fetch = h->options->deliver.fetch;
    fetch.cancel = h->options->deliver.cancel;
    fetch.sink = h->options->deliver.sink;
    *found = false;
    if (iw_catalog_recipe(catalog, iw_healer_called(h, decision->name), recipe_version(decision),
                          &recipe, err) != 0)
        return -1;
    const iw_source *source = recipe->source_count ? &recipe->sources[0] : NULL;
    if (!source || source->kind != IW_SOURCE_PYPI) return 0;
    if (iw_fetch_project(source->name, &fetch, &files, err) != 0) return -1;
    for (size_t i = 0; i < files.count && !*found; i++) {
        if (strcmp(files.items[i].name, source->file) != 0) continue;
        *found = true;
        iw_buffer_add_text(out, source->wheel ? "wheels = [" : "sdist = ");
        add_file(out, source->file, files.items[i].url, source->sha256);
        iw_buffer_add_text(out, source->wheel ? "]\n" : "\n");
    }
    iw_release_files_free(&files);
    return 0;
}

static int add_package(const iw_healer *h, iw_catalog *catalog, const iw_dist *dist, iw_buffer *out,
                       iw_error *err)
{
    const iw_decision *decision = iw_healer_find(h, dist->name);
    bool wheel = decision->fate == IW_FATE_KEPT || decision->fate == IW_FATE_MOVED, found = wheel;
    iw_cleanup_buffer iw_buffer text = {0};
    iw_buffer_add_text(&text, "\n[[packages]]\n");
    add_text(&text, "name", dist->name);
    iw_buffer_add_char(&text, '\n');
    add_text(&text, "version", dist->version);
    iw_buffer_add_char(&text, '\n');
    if (wheel) {
        iw_buffer_add_text(&text, "wheels = [");
        add_file(&text, dist->file, dist->url, dist->sha256);
        iw_buffer_add_text(&text, "]\n");
    } else if (add_sdist(h, catalog, decision, &text, &found, err) != 0) return -1;
    if (found) iw_buffer_add_text(out, text.data);
    else
        iw_buffer_add_format(out, "\n# %s %s is in the bundle, and in no index.\n", dist->name,
                             recipe_version(decision));
    return 0;
}

int iw_healer_lock(iw_healer *h, char **text, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_buffer out = {0};
    iw_buffer_add_text(&out, "# For Python 3.11 on Linux. A package with a `sdist` is built where "
                             "this is installed: its published wheel, if it has one, dies on");
    for (size_t i = 0; i < h->options->profile_count; i++)
        iw_buffer_add_format(&out, "%s %s", i ? "," : "", h->options->profiles[i]);
    iw_buffer_add_text(&out,
                       ",\n# or a reviewed recipe was there to build it with.\nlock-version = "
                       "\"1.0\"\nenvironments = [\"sys_platform == 'linux' "
                       "and platform_machine == 'x86_64'\"]\nrequires-python = "
                       "\"==3.11.*\"\ncreated-by = \"ironwheel\"\n");
    int status = iw_catalog_open(h->maker.rig.tree, &catalog, err);
    for (size_t i = 0; i < h->resolution.count && status == 0; i++)
        status = add_package(h, catalog, &h->resolution.items[i], &out, err);
    iw_catalog_free(catalog);
    *text = status == 0 ? iw_buffer_take(&out) : NULL;
    iw_buffer_free(&out);
    return status;
}
