#include "upgrade/rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/version.h"
#include "upgrade/draft.h"

enum { FILE_LIMIT = 64 << 20 };

int iw_rig_open(iw_store *store, const char *root, iw_rig *rig, iw_error *err)
{
    iw_cleanup_free char *parent = iw_store_path(store, "tmp", "");
    *rig = (iw_rig){0};
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, "rig-", &rig->folder, err) != 0)
        return -1;
    rig->tree = iw_path_join(rig->folder, "tree");
    return iw_draft_make(root, rig->tree, err);
}

void iw_rig_close(iw_rig *rig)
{
    if (rig->folder) iw_remove_tree(rig->folder, NULL);
    free(rig->folder);
    free(rig->tree);
    *rig = (iw_rig){0};
}

int iw_rig_write(const iw_rig *rig, const char *path, const char *text, iw_error *err)
{
    iw_cleanup_free char *full = iw_path_join(rig->tree, path), *parent = iw_path_parent(full);
    return iw_make_folders(parent, 0755, err) ||
                   iw_write_passing(full, text, strlen(text), 0644, err)
               ? -1
               : 0;
}

/* --- pins ----------------------------------------------------------------- */

static const char *pin_of(const iw_stack *stack, const char *name)
{
    for (size_t i = 0; stack && i < stack->package_count; i++)
        if (strcmp(stack->packages[i].name, name) == 0) return stack->packages[i].version;
    for (size_t i = 0; stack && i < stack->pin_count; i++)
        if (strcmp(stack->pins[i].name, name) == 0) return stack->pins[i].version;
    return NULL;
}

static const char *wanted_of(const iw_strings *wanted, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < wanted->count; i++)
        if (strncmp(wanted->items[i], name, length) == 0 && wanted->items[i][length] == ' ')
            return wanted->items[i] + length + 1;
    return NULL;
}

static const iw_stack *base_of(iw_catalog *catalog)
{
    const iw_stack *base = NULL;
    iw_error ignored = IW_ERROR_INIT;
    if (iw_catalog_stack(catalog, "base", &base, &ignored) != 0) base = NULL;
    iw_error_clear(&ignored);
    return base;
}

int iw_rig_usual(iw_catalog *catalog, const char *name, const char **out, iw_error *err)
{
    iw_list versions;
    if (iw_catalog_versions(catalog, name, &versions, err) != 0) return -1;
    *out = versions.count ? pin_of(base_of(catalog), name) : NULL;
    if (!*out) *out = iw_version_newest(&versions);
    return 0;
}

static int add_pin(iw_catalog *catalog, const char *name, const iw_stack *base,
                   const iw_strings *wanted, iw_buffer *out, iw_error *err)
{
    iw_list versions;
    if (iw_catalog_versions(catalog, name, &versions, err) != 0) return -1;
    const char *version = wanted_of(wanted, name);
    if (!version && versions.count < 2) return 0;
    if (!version) version = pin_of(base, name);
    if (!version) version = iw_version_newest(&versions);
    iw_buffer_add_format(out, "  %s: %s\n", name, version);
    return 0;
}

int iw_rig_pins(const iw_rig *rig, const iw_strings *wanted, const iw_strings *except,
                iw_buffer *out, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_list names = {0};
    if (iw_catalog_open(rig->tree, &catalog, err) != 0) return -1;
    const iw_stack *base = base_of(catalog);
    int status = iw_catalog_names(catalog, &names, err);
    for (size_t i = 0; i < names.count && status == 0; i++)
        if (!wanted_of(except, names.items[i]))
            status = add_pin(catalog, names.items[i], base, wanted, out, err);
    iw_catalog_free(catalog);
    return status;
}

/* --- a tree of its own ---------------------------------------------------- */

struct export
{
    const iw_rig *rig;
    const char *folder;
    bool write; /* else only look whether something else stands there */
};

static int export_file(const struct export *export, const char *path, iw_error *err)
{
    iw_cleanup_free char *from = iw_path_join(export->rig->tree, path),
                         *to = iw_path_join(export->folder, path), *parent = iw_path_parent(to),
                         *data = NULL, *there = NULL;
    size_t length, size;
    if (iw_read_file(from, FILE_LIMIT, &data, &length, err) != 0) return -1;
    if (iw_exists(to)) {
        if (iw_read_file(to, FILE_LIMIT, &there, &size, err) != 0) return -1;
        if (size == length && memcmp(data, there, size) == 0) return 0;
        return iw_fail(err, IW_E_USAGE,
                       "%s is there already, with something else in it: name another folder, or "
                       "move it away",
                       to);
    }
    if (!export->write) return 0;
    return iw_make_folders(parent, 0755, err) || iw_write_file(to, data, length, 0644, err) ? -1
                                                                                            : 0;
}

struct walk {
    const struct export *export;
    const char *below;
};

static int export_entry(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    const struct walk *walk = context;
    (void)full;
    if (!S_ISREG(status->st_mode)) return 0;
    iw_cleanup_free char *path = iw_path_join(walk->below, relative);
    return export_file(walk->export, path, err);
}

static int export_folder(const struct export *export, const char *path, iw_error *err)
{
    iw_cleanup_free char *full = iw_path_join(export->rig->tree, path);
    struct walk walk = {export, path};
    return iw_exists(full) ? iw_walk(full, export_entry, &walk, err) : 0;
}

/* All of a package's folder where it has local files or is made `like` another; else its file. */
static int export_recipe(const struct export *export, const iw_recipe *recipe, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_parent(recipe->path),
                         *full = iw_path_join(export->rig->tree, recipe->path),
                         *patches = iw_path_join("patches", recipe->name), *text = NULL;
    size_t length;
    if (iw_read_file(full, 1 << 20, &text, &length, err) != 0) return -1;
    bool whole = strstr(text, "\nlike:") || strstr(text, "local:");
    if (recipe->patch_count && export_folder(export, patches, err) != 0) return -1;
    return whole ? export_folder(export, folder, err) : export_file(export, recipe->path, err);
}

static int export_all(const struct export *export, const iw_plan *plan, iw_error *err)
{
    iw_cleanup_free char *toolchain =
        iw_format("recipes/toolchains/%s.yaml", plan->stack->toolchain);
    for (size_t i = 0; i < plan->node_count; i++)
        if (export_recipe(export, plan->nodes[i].recipe, err) != 0) return -1;
    iw_cleanup_free char *checks =
        iw_path_join(export->rig->tree, "recipes/toolchains/checks.yaml");
    if (iw_exists(checks) && export_file(export, "recipes/toolchains/checks.yaml", err) != 0)
        return -1;
    return export_folder(export, "recipes/profiles", err) || export_file(export, toolchain, err) ||
                   export_file(export, plan->stack->path, err)
               ? -1
               : 0;
}

int iw_rig_export(const iw_rig *rig, const iw_plan *plan, const char *folder, iw_error *err)
{
    struct export export = {rig, folder, false};
    if (export_all(&export, plan, err) != 0) return -1;
    export.write = true;
    return export_all(&export, plan, err);
}
