/* From an index and an sdist to a draft. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/version.h"
#include "store/archive.h"
#include "upgrade/ask.h"
#include "upgrade/candidates.h"
#include "upgrade/maker.h"

enum { GLIBC = 36 };

/* --- which release -------------------------------------------------------- */

static void add_reasons(iw_buffer *out, const iw_candidates *list, const char *conditions)
{
    size_t told = 0;
    for (size_t i = 0; i < list->count && told < 5; i++, told++) {
        const iw_candidate *one = &list->items[i];
        iw_buffer_add_format(out, "\n  %s: %s%s", one->version, one->passed ? "" : "isn't ",
                             one->passed                 ? one->passed
                             : conditions && *conditions ? conditions
                                                         : "what was asked for");
    }
    if (list->count > told) iw_buffer_add_format(out, "\n  … %zu more", list->count - told);
}

static const iw_candidate *choose(const iw_candidates *list, const char *version,
                                  const char *conditions)
{
    for (size_t i = 0; i < list->count; i++) {
        const iw_candidate *one = &list->items[i];
        iw_version parsed;
        if (one->passed || !one->sha256 || !one->file) continue;
        if (version && iw_version_compare_text(one->version, version) != 0) continue;
        if (conditions && *conditions &&
            (!iw_version_parse(one->version, &parsed) ||
             !iw_version_meets(&parsed, conditions, NULL)))
            continue;
        return one;
    }
    return NULL;
}

static int find_release(const iw_maker *maker, const char *project, const char *version,
                        const char *conditions, iw_candidates *list, const iw_candidate **out,
                        iw_error *err)
{
    iw_release_files files = {0};
    iw_fetch_options fetch = maker->options->deliver.fetch;
    fetch.cancel = maker->options->deliver.cancel;
    const iw_source source = {.kind = IW_SOURCE_PYPI, .name = project};
    iw_candidate_rules rules = {.python = maker->python,
                                .glibc = GLIBC,
                                .min_age = maker->options->min_age,
                                .early = maker->options->early,
                                .now = (int64_t)time(NULL),
                                .only = version};
    int status = iw_fetch_project(project, &fetch, &files, err);
    if (status == 0) status = iw_candidates_pypi(&source, &files, &rules, list, err);
    iw_release_files_free(&files);
    if (status != 0) return -1;
    *out = choose(list, version, conditions);
    if (*out) return 0;
    iw_cleanup_buffer iw_buffer reasons = {0};
    add_reasons(&reasons, list, conditions);
    return iw_fail(err, IW_E_NOT_FOUND, "no sdist of %s%s%s that could be taken%s", project,
                   version ? " " : "", version ? version : "", reasons.data ? reasons.data : "");
}

/* --- its source ----------------------------------------------------------- */

static int fetch_source(const iw_maker *maker, const char *project, const iw_candidate *candidate,
                        iw_error *err)
{
    const iw_source source = {.kind = IW_SOURCE_PYPI,
                              .id = "1",
                              .name = project,
                              .version = candidate->version,
                              .file = candidate->file,
                              .sha256 = candidate->sha256,
                              .to = ".",
                              .unpack = true};
    const iw_recipe recipe = {
        .name = project, .version = candidate->version, .sources = &source, .source_count = 1};
    const iw_wanted wanted = {.recipe = &recipe, .source = &source};
    iw_fetch_options fetch = maker->options->deliver.fetch;
    fetch.cancel = maker->options->deliver.cancel;
    fetch.sink = maker->options->deliver.sink;
    return iw_fetch_all(maker->store, &wanted, 1, &fetch, err);
}

int iw_maker_read(iw_maker *maker, const char *sha256, const char *file, unsigned strip,
                  const char *what, json_t **answer, iw_error *err)
{
    iw_cleanup_free char *folder = NULL;
    iw_cleanup_fd int fd = -1;
    const iw_admission admission = {
        .strip = strip, .max_total = (uint64_t)4 << 30, .max_entries = 200000, .set_times = true};
    if (iw_store_open_source(maker->store, sha256, &fd, err) != 0 ||
        iw_temporary_folder(maker->rig.folder, "read-", &folder, err) != 0)
        return -1;
    iw_cleanup_free char *source = iw_path_join(folder, "src");
    int status = iw_make_folders(source, 0755, err);
    if (status == 0) status = iw_archive_unpack(fd, file, source, &admission, err);
    if (status == 0) status = iw_ask(maker->root, maker->rig.folder, folder, what, answer, err);
    if (status != 0) iw_wrap(err, "%s", file);
    iw_remove_tree(folder, NULL);
    return status;
}

/* --- needs ---------------------------------------------------------------- */

/* What the toolchain has, under the names that the index gives it. */
static bool from_toolchain(const char *project)
{
    static const char *const names[] = {"cmake", "ninja", "patchelf", "pkgconf", "gcc", "rust"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], project) == 0) return true;
    return false;
}

static const char *wanted_version(const iw_maker *maker, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < maker->wanted.count; i++)
        if (strncmp(maker->wanted.items[i], name, length) == 0 &&
            maker->wanted.items[i][length] == ' ')
            return maker->wanted.items[i] + length + 1;
    return NULL;
}

static bool keeps(const char *version, const char *conditions)
{
    iw_version parsed;
    iw_cleanup_free char *public = iw_strndup(version, strcspn(version, "+"));
    return !conditions || !*conditions ||
           (iw_version_parse(public, &parsed) && iw_version_meets(&parsed, conditions, NULL));
}

/* The copy's recipes that bring a project. */
struct known {
    char *name; /* of its recipe, there or to be made */
    iw_strings versions;
};

static void known_clear(struct known *known)
{
    free(known->name);
    iw_strings_free(&known->versions);
}

static int look_up(const iw_maker *maker, const char *project, struct known *out, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_list versions;
    const char *name;
    if (iw_catalog_open(maker->rig.tree, &catalog, err) != 0) return -1;
    int status = iw_catalog_distribution(catalog, project, &name, &versions, err);
    if (status == 0) {
        out->name = iw_strdup(name);
        iw_strings_add_all(&out->versions, versions.items);
    }
    iw_catalog_free(catalog);
    return status;
}

int iw_maker_called(const iw_maker *maker, const char *project, char **out, iw_error *err)
{
    struct known known = {0};
    int status = look_up(maker, project, &known, err);
    if (status == 0) *out = iw_steal(&known.name);
    known_clear(&known);
    return status;
}

/* What is usual here of a package with these versions: what is pinned, base's, the newest. Caller
 * frees. */
static int usual_version(const iw_maker *maker, const struct known *known, char **out,
                         iw_error *err)
{
    iw_cleanup_buffer iw_buffer pins = {0};
    const iw_strings none = {0};
    *out = NULL;
    if (known->versions.count == 1) *out = iw_strdup(known->versions.items[0]);
    if (known->versions.count < 2) return 0;
    if (iw_rig_pins(&maker->rig, &maker->wanted, &none, &pins, err) != 0) return -1;
    iw_cleanup_free char *start = iw_format("  %s: ", known->name);
    const char *found = pins.data ? strstr(pins.data, start) : NULL;
    if (found) *out = iw_strndup(found + strlen(start), strcspn(found + strlen(start), "\n"));
    return 0;
}

/* The newest of them that keeps the conditions. Borrowed, or NULL. */
static const char *other_version(const struct known *known, const char *conditions)
{
    const char *best = NULL;
    for (size_t i = 0; i < known->versions.count; i++) {
        const char *one = known->versions.items[i];
        if (keeps(one, conditions) && (!best || iw_version_compare_text(one, best) > 0)) best = one;
    }
    return best;
}

/* Made from its own sdist: a recipe that wasn't there. */
static int make_need(iw_maker *maker, const char *project, const char *conditions, char **version,
                     char **why, iw_error *err)
{
    iw_entry *entry = NULL;
    iw_error trouble = IW_ERROR_INIT;
    *version = NULL;
    if (iw_strings_has(&maker->open, project)) {
        *why = iw_format("%s and what it needs need each other", project);
        return 0;
    }
    if (iw_maker_make(maker, project, NULL, conditions, &entry, &trouble) != 0) {
        if (trouble.kind == IW_E_CANCELLED) return iw_fail(err, IW_E_CANCELLED, "stopped");
        *why =
            iw_format("%.*s", (int)strcspn(iw_error_text(&trouble), "\n"), iw_error_text(&trouble));
        iw_error_clear(&trouble);
        return 0;
    }
    if (entry->built) *version = iw_strdup(entry->draft.version);
    else
        *why = iw_format("%s %s doesn't build: %s", project, entry->draft.version,
                         entry->cause ? entry->cause : "it isn't known why");
    return 0;
}

static void want(iw_maker *maker, const char *name, const char *version)
{
    iw_cleanup_free char *line = iw_format("%s %s", name, version);
    iw_strings_add(&maker->wanted, line);
}

static int take_known(iw_maker *maker, const struct known *known, const char *project,
                      const char *conditions, bool run, char **need, char **why, iw_error *err)
{
    iw_cleanup_free char *usual = NULL, *made = NULL;
    if (usual_version(maker, known, &usual, err) != 0) return -1;
    if (usual && keeps(usual, conditions)) return *need = iw_strdup(known->name), 0;
    const char *other = other_version(known, conditions);
    if (!other && !maker->options->tree) {
        *why =
            iw_format("it needs %s%s, of which there is no recipe: `ironwheel new %s`, or --tree",
                      project, conditions ? conditions : "", project);
        return 0;
    }
    if (!other && make_need(maker, project, conditions, &made, why, err) != 0) return -1;
    if (!other && !made) return 0;
    const char *version = other ? other : made;
    if (run && !wanted_version(maker, known->name)) want(maker, known->name, version);
    *need = usual && !run ? iw_format("%s/%s", known->name, version) : iw_strdup(known->name);
    return 0;
}

int iw_maker_need(iw_maker *maker, const char *project, const char *conditions, bool run,
                  char **need, char **why, iw_error *err)
{
    struct known known = {0};
    *need = *why = NULL;
    if (strcmp(project, "oldest-supported-numpy") == 0) project = "numpy", conditions = "";
    int status = look_up(maker, project, &known, err);
    if (status == 0) status = take_known(maker, &known, project, conditions, run, need, why, err);
    known_clear(&known);
    return status;
}

static int take_needs(iw_maker *maker, const json_t *list, bool run, iw_sketch *draft,
                      iw_error *err)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name")),
                   *spec = json_string_value(json_object_get(one, "spec"));
        iw_cleanup_free char *need = NULL, *why = NULL;
        if (!name || strcmp(name, draft->project) == 0 || (!run && from_toolchain(name))) continue;
        if (iw_maker_need(maker, name, spec, run, &need, &why, err) != 0) return -1;
        if (need) iw_sketch_need(run ? &draft->run : &draft->build, need);
        if (why) iw_sketch_add(&draft->todo, why);
    }
    return 0;
}

/* --- crates --------------------------------------------------------------- */

/* The lock beside the manifest that maturin is told of, else the one nearest to the top. */
static const json_t *choose_lock(const json_t *answer)
{
    const json_t *locks = json_object_get(answer, "crates");
    const char *manifest = json_string_value(json_object_get(answer, "manifest"));
    iw_cleanup_free char *folder = manifest && *manifest ? iw_path_parent(manifest) : NULL;
    iw_cleanup_free char *beside = folder ? iw_path_join(folder, "Cargo.lock") : NULL;
    iw_cleanup_free char *clean = beside ? iw_path_clean(beside) : NULL;
    for (size_t i = 0; clean && i < json_array_size(locks); i++) {
        const json_t *lock = json_array_get(locks, i);
        const char *path = json_string_value(json_object_get(lock, "path"));
        if (path && strcmp(path, clean) == 0) return lock;
    }
    return json_array_get(locks, 0);
}

static bool has_language(const json_t *answer, const char *name)
{
    const json_t *list = json_object_get(answer, "languages");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && strcmp(one, name) == 0) return true;
    }
    return false;
}

static void take_crates(const json_t *answer, iw_sketch *draft)
{
    const json_t *lock = choose_lock(answer);
    const char *path = json_string_value(json_object_get(lock, "path")),
               *sha256 = json_string_value(json_object_get(lock, "sha256"));
    bool rust = false;
    for (size_t i = 0; i < draft->build.count; i++)
        rust = rust || iw_starts_with(draft->build.items[i], "maturin") ||
               iw_starts_with(draft->build.items[i], "setuptools-rust");
    if (!rust || !has_language(answer, "Rust")) return;
    if (!path || !sha256) {
        iw_sketch_add(&draft->todo,
                      "its sdist holds no Cargo.lock: lay one of its own (local: "
                      "files/Cargo.lock, to: .), and name it in a `crates` source after it");
        return;
    }
    if (json_is_true(json_object_get(lock, "git")))
        iw_sketch_add(
            &draft->todo,
            "its Cargo.lock names crates by a git repository: bring them as git sources, or "
            "say `without` them");
    iw_strings_add_format(&draft->crates, "%s %s", path, sha256);
    iw_sketch_need(&draft->run, "gcc-runtime");
    /* What crates would ask the CPU for at run time is known here. */
    iw_sketch_add(&draft->prepare,
                  "grep -rl --include='*.rs' 'is_x86_feature_detected!' $SRC/vendor |");
    iw_sketch_add(&draft->prepare,
                  "  xargs -r sed -i -E "
                  "'s/(std::)?(arch::)?is_x86_feature_detected!\\(/cfg!(target_feature = /'");
}

/* --- the draft ------------------------------------------------------------ */

static char *text_of(const json_t *answer, const char *key)
{
    const char *text = json_string_value(json_object_get(answer, key));
    return text && *text ? iw_strdup(text) : NULL;
}

void iw_maker_questions(const json_t *answer, iw_strings *todo)
{
    iw_cleanup_free char *licence = text_of(answer, "licence"),
                         *trouble = text_of(answer, "trouble");
    if (!licence) iw_sketch_add(todo, "which licence? neither metadata nor a file of it tells");
    if (trouble) iw_sketch_add(todo, trouble);
}

/* `draft` has its name. */
static void describe(const json_t *answer, const char *project, const iw_candidate *candidate,
                     iw_sketch *draft)
{
    draft->version = iw_strdup(candidate->version);
    draft->project = iw_project_name(project);
    draft->file = iw_strdup(candidate->file);
    draft->sha256 = iw_strdup(candidate->sha256);
    draft->summary = text_of(answer, "summary");
    draft->homepage = text_of(answer, "homepage");
    draft->licence = text_of(answer, "licence");
    if (!draft->licence) draft->licence = iw_strdup("LicenseRef-unknown");
    iw_maker_questions(answer, &draft->todo);
}

static int fill(iw_maker *maker, const json_t *answer, iw_sketch *draft, iw_error *err)
{
    const char *backend = json_string_value(json_object_get(answer, "backend"));
    iw_sketch_need(&draft->build, "pip");
    iw_sketch_need(&draft->run, "python");
    if (take_needs(maker, json_object_get(answer, "build"), false, draft, err) != 0 ||
        take_needs(maker, json_object_get(answer, "run"), true, draft, err) != 0)
        return -1;
    if (backend && iw_starts_with(backend, "setuptools")) iw_sketch_need(&draft->build, "wheel");
    take_crates(answer, draft);
    return 0;
}

int iw_maker_peek(iw_maker *maker, const char *project, const char *version, char **found,
                  char **sha256, json_t **answer, iw_error *err)
{
    iw_candidates list = {0};
    const iw_candidate *candidate = NULL;
    int status = find_release(maker, project, version, NULL, &list, &candidate, err);
    if (status == 0) status = fetch_source(maker, project, candidate, err);
    if (status == 0)
        status = iw_maker_read(maker, candidate->sha256, candidate->file, 1, "sdist", answer, err);
    if (status == 0) {
        *found = iw_strdup(candidate->version);
        *sha256 = iw_strdup(candidate->sha256);
    }
    iw_candidates_free(&list);
    return status;
}

int iw_maker_draft(iw_maker *maker, const char *project, const char *version,
                   const char *conditions, iw_sketch *draft, iw_error *err)
{
    iw_candidates list = {0};
    const iw_candidate *candidate = NULL;
    json_t *answer = NULL;
    int status = find_release(maker, project, version, conditions, &list, &candidate, err);
    if (status == 0) status = fetch_source(maker, project, candidate, err);
    if (status == 0)
        status = iw_maker_read(maker, candidate->sha256, candidate->file, 1, "sdist", &answer, err);
    if (status == 0) status = iw_maker_called(maker, project, &draft->name, err);
    if (status == 0) {
        describe(answer, project, candidate, draft);
        status = fill(maker, answer, draft, err);
    }
    json_decref(answer);
    iw_candidates_free(&list);
    return status;
}
