#include "recipe/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

int iw_catalog_open(const char *root, iw_catalog **out, iw_error *err)
{
    *out = NULL;
    iw_cleanup_free char *real = realpath(root, NULL);
    if (!real) return iw_fail_errno(err, IW_E_ENVIRONMENT, "the tree of recipes %s", root);
    iw_cleanup_free char *recipes = iw_path_join(real, "recipes");
    struct stat status;
    if (stat(recipes, &status) || !S_ISDIR(status.st_mode))
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "%s holds no folder \"recipes\"; run this in a checkout, or name one", real);
    iw_catalog *catalog = iw_alloc(sizeof *catalog);
    catalog->arena = iw_arena_new();
    catalog->root = iw_steal(&real);
    *out = catalog;
    return 0;
}

void iw_catalog_free(iw_catalog *catalog)
{
    if (!catalog) return;
    iw_arena_free(catalog->arena);
    free(catalog->root);
    free(catalog->loaded);
    free(catalog);
}

const char *iw_catalog_root(const iw_catalog *catalog)
{
    return catalog->root;
}

int iw_catalog_copy(const char *root, const char *to, iw_error *err)
{
    static const char *const parts[] = {"recipes", "patches"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        iw_cleanup_free char *from = iw_path_join(root, parts[i]),
                             *part = iw_path_join(to, parts[i]);
        if (iw_copy_tree(from, part, err) != 0) return -1;
    }
    return 0;
}

/* --- files ---------------------------------------------------------------- */

bool iw_catalog_has(const iw_catalog *catalog, const char *file)
{
    iw_cleanup_free char *path = iw_path_join(catalog->root, file);
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

int iw_catalog_read(iw_catalog *catalog, const char *file, iw_yaml **out, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(catalog->root, file);
    iw_cleanup_free char *data = NULL;
    size_t length;
    if (iw_read_file(path, IW_DOCUMENT_MAX_BYTES, &data, &length, err)) return -1;
    return iw_document_parse(catalog->arena, file, data, length, out, err);
}

const char *iw_chain_cycle(iw_arena *arena, const iw_chain *chain, const char *name)
{
    const char *text = name;
    for (; chain; chain = chain->outer) {
        text = iw_arena_format(arena, "%s -> %s", chain->name, text);
        if (strcmp(chain->name, name) == 0) return text;
    }
    return NULL;
}

const char *iw_did_you_mean(iw_arena *arena, const char *word, const iw_list *candidates)
{
    const char *near = iw_nearest(word, candidates->items, candidates->count);
    return near ? iw_arena_format(arena, "; did you mean \"%s\"?", near) : "";
}

/* --- names ---------------------------------------------------------------- */

/* Names in <root>/recipes/<folder>: of folders, or of files that end in .yaml, without that. A
 * missing folder is empty. */
static int list_names(iw_catalog *catalog, const char *folder, bool folders, iw_text_type type,
                      iw_list *out, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join3(catalog->root, "recipes", folder);
    iw_cleanup_strings iw_strings names = {0};
    *out = (iw_list){iw_arena_alloc(catalog->arena, sizeof(char *)), 0};
    DIR *open = opendir(path);
    if (!open)
        return errno == ENOENT || errno == ENOTDIR ? 0 : iw_fail_errno(err, IW_E_IO, "%s", path);
    for (const struct dirent *entry; (entry = readdir(open));) {
        if (entry->d_name[0] == '.' || (!folders && !iw_ends_with(entry->d_name, ".yaml")))
            continue;
        size_t length = strlen(entry->d_name) - (folders ? 0 : strlen(".yaml"));
        iw_cleanup_free char *name = iw_strndup(entry->d_name, length);
        iw_cleanup_free char *full = iw_path_join(path, entry->d_name);
        struct stat status;
        if (iw_text_rule_of(type)->fits(name) && stat(full, &status) == 0 &&
            (S_ISDIR(status.st_mode) != 0) == folders)
            iw_strings_add(&names, name);
    }
    closedir(open);
    iw_strings_sort(&names);
    const char **items = iw_arena_alloc(catalog->arena, (names.count + 1) * sizeof *items);
    for (size_t i = 0; i < names.count; i++)
        items[i] = iw_arena_strdup(catalog->arena, names.items[i]);
    *out = (iw_list){items, names.count};
    return 0;
}

/* Folders of recipes/ that hold no recipes. */
static bool reserved(const char *name)
{
    return strcmp(name, "stacks") == 0 || strcmp(name, "profiles") == 0 ||
           strcmp(name, "toolchains") == 0;
}

int iw_catalog_names(iw_catalog *catalog, iw_list *out, iw_error *err)
{
    if (list_names(catalog, ".", true, IW_T_NAME, out, err)) return -1;
    const char **items = (const char **)out->items;
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++)
        if (!reserved(items[i])) items[kept++] = items[i];
    items[kept] = NULL;
    out->count = kept;
    return 0;
}

int iw_catalog_versions(iw_catalog *catalog, const char *name, iw_list *out, iw_error *err)
{
    if (!iw_text_rule_of(IW_T_NAME)->fits(name) || reserved(name)) {
        *out = (iw_list){iw_arena_alloc(catalog->arena, sizeof(char *)), 0};
        return 0;
    }
    return list_names(catalog, name, false, IW_T_VERSION, out, err);
}

int iw_catalog_stacks(iw_catalog *catalog, iw_list *out, iw_error *err)
{
    return list_names(catalog, "stacks", false, IW_T_NAME, out, err);
}

int iw_catalog_profiles(iw_catalog *catalog, iw_list *out, iw_error *err)
{
    return list_names(catalog, "profiles", false, IW_T_NAME, out, err);
}

int iw_catalog_toolchains(iw_catalog *catalog, iw_list *out, iw_error *err)
{
    return list_names(catalog, "toolchains", false, IW_T_NAME, out, err);
}

/* --- loading -------------------------------------------------------------- */

static const void *find_loaded(const iw_catalog *catalog, iw_file_kind kind, const char *key)
{
    for (size_t i = 0; i < catalog->loaded_count; i++)
        if (catalog->loaded[i].kind == kind && strcmp(catalog->loaded[i].key, key) == 0)
            return catalog->loaded[i].what;
    return NULL;
}

static void keep_loaded(iw_catalog *catalog, iw_file_kind kind, const char *key, const void *what)
{
    iw_grow((void **)&catalog->loaded, &catalog->loaded_capacity, catalog->loaded_count + 1,
            sizeof *catalog->loaded);
    catalog->loaded[catalog->loaded_count++] =
        (iw_loaded){kind, iw_arena_strdup(catalog->arena, key), what};
}

int iw_catalog_recipe(iw_catalog *catalog, const char *name, const char *version,
                      const iw_recipe **out, iw_error *err)
{
    iw_cleanup_free char *key = iw_format("%s/%s", name, version);
    *out = find_loaded(catalog, IW_FILE_RECIPE, key);
    if (*out) return 0;
    const char *file = iw_arena_format(catalog->arena, "recipes/%s.yaml", key);
    if (!iw_text_rule_of(IW_T_LIKE)->fits(key) || reserved(name) || !iw_catalog_has(catalog, file))
        return iw_fail_no_recipe(catalog, NULL, name, version, err);
    iw_recipe *recipe;
    if (iw_load_recipe(catalog, name, version, file, &recipe, err)) return -1;
    keep_loaded(catalog, IW_FILE_RECIPE, key, recipe);
    *out = recipe;
    return 0;
}

/* The file of a stack, profile or toolchain, once it is known to be there; NULL with err filled
 * otherwise. */
static const char *named_file(iw_catalog *catalog, const char *what, const char *name,
                              iw_error *err)
{
    const char *file = iw_arena_format(catalog->arena, "recipes/%ss/%s.yaml", what, name);
    if (iw_text_rule_of(IW_T_NAME)->fits(name) && iw_catalog_has(catalog, file)) return file;
    iw_list names;
    iw_cleanup_free char *folder = iw_format("%ss", what);
    if (list_names(catalog, folder, false, IW_T_NAME, &names, err)) return NULL;
    const char *hint = iw_did_you_mean(catalog->arena, name, &names);
    iw_cleanup_buffer iw_buffer all = {0};
    for (size_t i = 0; i < names.count; i++)
        iw_buffer_add_format(&all, "%s%s", i ? ", " : "; there is ", names.items[i]);
    iw_fail(err, IW_E_RECIPE, "there is no %s \"%s\"%s", what, name,
            *hint      ? hint
            : all.data ? all.data
                       : "");
    return NULL;
}

int iw_catalog_stack(iw_catalog *catalog, const char *name, const iw_stack **out, iw_error *err)
{
    *out = find_loaded(catalog, IW_FILE_STACK, name);
    if (*out) return 0;
    const char *file = named_file(catalog, "stack", name, err);
    iw_stack *stack;
    if (!file || iw_load_stack(catalog, name, file, NULL, &stack, err)) return -1;
    keep_loaded(catalog, IW_FILE_STACK, name, stack);
    *out = stack;
    return 0;
}

int iw_catalog_profile(iw_catalog *catalog, const char *name, const iw_profile **out, iw_error *err)
{
    *out = find_loaded(catalog, IW_FILE_PROFILE, name);
    if (*out) return 0;
    const char *file = named_file(catalog, "profile", name, err);
    iw_profile *profile;
    if (!file || iw_load_profile(catalog, name, file, &profile, err)) return -1;
    keep_loaded(catalog, IW_FILE_PROFILE, name, profile);
    *out = profile;
    return 0;
}

void iw_catalog_use_toolchain(iw_catalog *catalog, const iw_toolchain *host)
{
    catalog->toolchain = host;
}

static int load_toolchain(iw_catalog *catalog, const char *name, const iw_toolchain **out,
                          iw_error *err)
{
    *out = find_loaded(catalog, IW_FILE_TOOLCHAIN, name);
    if (*out) return 0;
    const char *file = named_file(catalog, "toolchain", name, err);
    iw_toolchain *toolchain;
    if (!file || iw_load_toolchain(catalog, name, file, &toolchain, err)) return -1;
    keep_loaded(catalog, IW_FILE_TOOLCHAIN, name, toolchain);
    *out = toolchain;
    return 0;
}

int iw_catalog_toolchain(iw_catalog *catalog, const char *name, const iw_toolchain **out,
                         iw_error *err)
{
    *out = catalog->toolchain;
    return *out ? 0 : load_toolchain(catalog, name, out, err);
}

int iw_catalog_checks(iw_catalog *catalog, const iw_toolchain **out, iw_error *err)
{
    *out = NULL;
    if (!iw_catalog_has(catalog, "recipes/toolchains/" IW_CHECKS_TOOLCHAIN ".yaml")) return 0;
    return load_toolchain(catalog, IW_CHECKS_TOOLCHAIN, out, err);
}

int iw_catalog_profiles_join(iw_catalog *catalog, const iw_list *names, const iw_profile **out,
                             iw_error *err)
{
    iw_cleanup_strings iw_strings sorted = {0};
    for (size_t i = 0; i < names->count; i++)
        if (!iw_strings_has(&sorted, names->items[i])) iw_strings_add(&sorted, names->items[i]);
    if (sorted.count == 0) return iw_fail(err, IW_E_USAGE, "no profile is named");
    iw_strings_sort(&sorted);
    if (sorted.count == 1) return iw_catalog_profile(catalog, sorted.items[0], out, err);
    iw_cleanup_buffer iw_buffer name = {0};
    for (size_t i = 0; i < sorted.count; i++)
        iw_buffer_add_format(&name, "%s%s", i ? "+" : "", sorted.items[i]);
    *out = find_loaded(catalog, IW_FILE_PROFILE, name.data);
    if (*out) return 0;
    iw_profile *joined;
    if (iw_profiles_join(catalog, &sorted, iw_arena_strdup(catalog->arena, name.data), &joined,
                         err))
        return -1;
    keep_loaded(catalog, IW_FILE_PROFILE, name.data, joined);
    *out = joined;
    return 0;
}

/* --- without a tree ------------------------------------------------------- */

static int check_recipe_text(iw_catalog *catalog, const iw_yaml *root, iw_error *err)
{
    iw_recipe_draft draft = {0};
    if (iw_yaml_find(root, "like")) /* its other half is another file */
        return iw_shape_check_keys(&iw_shape_recipe, root, err);
    return iw_shape_read(catalog->arena, &iw_shape_recipe, root, &draft, err) ||
                   iw_recipe_finish(catalog, root, &draft, err)
               ? -1
               : 0;
}

static int check_other_text(iw_catalog *catalog, const char *kind, const char *file,
                            const iw_yaml *root, iw_error *err)
{
    iw_stack_draft stack = {0};
    iw_profile_draft profile = {0};
    iw_toolchain toolchain = {0};
    if (strcmp(kind, "stack") == 0)
        return iw_shape_read(catalog->arena, &iw_shape_stack, root, &stack, err) ||
                       iw_stack_finish(catalog->arena, root, &stack, err)
                   ? -1
                   : 0;
    if (strcmp(kind, "profile") == 0)
        return iw_shape_read(catalog->arena, &iw_shape_profile, root, &profile, err)
                   ? -1
                   : iw_profile_finish(catalog->arena, profile.march, profile.tune,
                                       &profile.profile);
    if (strcmp(kind, "toolchain") == 0)
        return iw_shape_read(catalog->arena, &iw_shape_toolchain, root, &toolchain, err)
                   ? -1
                   : iw_toolchain_finish(catalog->arena, file, root, &toolchain, err);
    return iw_fail(err, IW_E_USAGE,
                   "\"%s\" is no kind of file: recipe, stack, profile or toolchain", kind);
}

int iw_recipe_check_text(const char *kind, const char *file, const char *data, size_t length,
                         iw_error *err)
{
    iw_catalog catalog = {.arena = iw_arena_new()};
    iw_yaml *root;
    int status = iw_document_parse(catalog.arena, file, data, length, &root, err);
    if (status == 0)
        status = strcmp(kind, "recipe") == 0 ? check_recipe_text(&catalog, root, err)
                                             : check_other_text(&catalog, kind, file, root, err);
    iw_arena_free(catalog.arena);
    return status;
}

const char *iw_system_name(iw_system system)
{
    static const char *const names[] = {"python", "cmake", "make",  "autotools",
                                        "cargo",  "wheel", "script"};
    return names[system];
}

const char *iw_source_kind_name(iw_source_kind kind)
{
    static const char *const names[] = {"pypi", "url", "debian", "git", "crates", "local"};
    return names[kind];
}
