#include "upgrade/new.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/checks_root.h"
#include "recipe/version.h"
#include "upgrade/maker.h"

enum { MOST = 60 }; /* recipes in one run */

void iw_made_free(iw_made_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        iw_made *made = &list->items[i];
        free(made->name), free(made->version), free(made->path), free(made->cause);
        iw_strings_free(&made->edits);
        iw_strings_free(&made->pins);
    }
    free(list->items);
    *list = (iw_made_list){0};
}

/* --- the maker ------------------------------------------------------------ */

static int find_python(iw_maker *maker, iw_catalog *catalog, iw_error *err)
{
    iw_list toolchains;
    const char *python;
    if (iw_rig_usual(catalog, "python", &python, err) != 0 ||
        iw_catalog_toolchains(catalog, &toolchains, err) != 0)
        return -1;
    if (!python)
        return iw_fail(err, IW_E_RECIPE, "this tree has no recipe of python: nothing can be built");
    maker->python = iw_strdup(python);
    const iw_stack *base = NULL;
    iw_error ignored = IW_ERROR_INIT;
    if (iw_catalog_stack(catalog, "base", &base, &ignored) == 0)
        maker->toolchain = iw_strdup(base->toolchain);
    iw_error_clear(&ignored);
    for (size_t i = 0; i < toolchains.count && !maker->toolchain; i++)
        if (strcmp(toolchains.items[i], IW_CHECKS_TOOLCHAIN) != 0)
            maker->toolchain = iw_strdup(toolchains.items[i]);
    return maker->toolchain ? 0 : iw_fail(err, IW_E_RECIPE, "this tree has no toolchain file");
}

int iw_maker_open(iw_maker *maker, iw_catalog *catalog, iw_store *store,
                  const iw_new_options *options, iw_error *err)
{
    *maker = (iw_maker){.options = options, .store = store};
    iw_fetch_options fetch = options->deliver.fetch;
    fetch.cancel = options->deliver.cancel;
    fetch.sink = options->deliver.sink;
    if (find_python(maker, catalog, err) != 0 ||
        iw_checks_root(catalog, store, &fetch, &maker->root, err) != 0)
        return -1;
    maker->bytecode = iw_checks_bytecode(maker->root);
    return iw_rig_open(store, iw_catalog_root(catalog), &maker->rig, err);
}

void iw_maker_close(iw_maker *maker)
{
    for (size_t i = 0; i < maker->count; i++) {
        iw_sketch_clear(&maker->entries[i]->draft);
        free(maker->entries[i]->cause);
        iw_strings_free(&maker->entries[i]->edits);
        iw_strings_free(&maker->entries[i]->dropped);
        free(maker->entries[i]);
    }
    free(maker->entries);
    iw_strings_free(&maker->wanted);
    iw_strings_free(&maker->open);
    iw_rig_close(&maker->rig);
    free(maker->root), free(maker->bytecode), free(maker->python), free(maker->toolchain);
    *maker = (iw_maker){0};
}

iw_entry *iw_maker_find(const iw_maker *maker, const char *name, const char *version)
{
    for (size_t i = 0; i < maker->count; i++)
        if (strcmp(maker->entries[i]->draft.name, name) == 0 &&
            (!version || strcmp(maker->entries[i]->draft.version, version) == 0))
            return maker->entries[i];
    return NULL;
}

static void drop_last(iw_strings *list)
{
    free(list->items[--list->count]);
    list->items[list->count] = NULL;
}

static iw_entry *keep(iw_maker *maker, iw_entry *entry)
{
    iw_grow((void **)&maker->entries, &maker->capacity, maker->count + 1, sizeof *maker->entries);
    maker->entries[maker->count++] = entry;
    return entry;
}

int iw_maker_make(iw_maker *maker, const char *project, const char *version, const char *conditions,
                  iw_entry **out, iw_error *err)
{
    iw_cleanup_free char *name = iw_project_name(project);
    const iw_sink *sink = maker->options->deliver.sink;
    if (maker->count + maker->open.count >= MOST)
        return iw_fail(err, IW_E_BUILD, "%s: more than %d recipes would have to be made", name,
                       MOST);
    iw_emit(sink, (iw_event){.type = IW_EVENT_STARTED, .subject = name, .phase = "draft"});
    iw_strings_add(&maker->open, name);
    iw_entry *entry = iw_alloc(sizeof *entry);
    int status = iw_maker_draft(maker, name, version, conditions, &entry->draft, err);
    if (status == 0) {
        iw_emit(sink, (iw_event){.type = IW_EVENT_FINISHED,
                                 .subject = name,
                                 .phase = "draft",
                                 .detail = "drafted"});
        status = iw_maker_build(maker, keep(maker, entry), err);
        *out = entry;
    } else {
        iw_sketch_clear(&entry->draft);
        free(entry);
    }
    drop_last(&maker->open);
    return status;
}

/* --- what is written ------------------------------------------------------ */

static int write_recipe(const iw_entry *entry, const char *root, char **path, iw_error *err)
{
    iw_cleanup_free char *text = iw_sketch_text(&entry->draft),
                         *relative = iw_format("recipes/%s/%s.yaml", entry->draft.name,
                                               entry->draft.version);
    *path = iw_path_join(root, relative);
    iw_cleanup_free char *folder = iw_path_parent(*path);
    if (iw_exists(*path))
        return iw_fail(err, IW_E_USAGE, "%s is there already; it stays as it is", *path);
    return iw_make_folders(folder, 0755, err) || iw_write_file(*path, text, strlen(text), 0644, err)
               ? -1
               : 0;
}

static void tell(const iw_maker *maker, const iw_entry *entry, char *path, iw_made_list *made)
{
    iw_grow((void **)&made->items, &made->capacity, made->count + 1, sizeof *made->items);
    iw_made *one = &made->items[made->count++];
    *one = (iw_made){.name = iw_strdup(entry->draft.name),
                     .version = iw_strdup(entry->draft.version),
                     .path = path,
                     .built = entry->built,
                     .cause = entry->cause ? iw_strdup(entry->cause) : NULL};
    for (size_t i = 0; i < entry->edits.count; i++)
        iw_strings_add(&one->edits, entry->edits.items[i]);
    for (size_t i = 0; i < maker->wanted.count; i++)
        iw_strings_add(&one->pins, maker->wanted.items[i]);
}

/* With --into: everything that it needs to be built there. */
static int export_tree(const iw_maker *maker, const iw_entry *entry, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_session session = {0};
    iw_cleanup_free char *name = iw_format("new-%s", entry->draft.name);
    iw_deliver_options options = maker->options->deliver;
    options.root = maker->rig.tree;
    if (iw_catalog_open(maker->rig.tree, &catalog, err) != 0) return -1;
    int status = iw_session_open(catalog, maker->store, name, &options, &session, err);
    if (status == 0) status = iw_rig_export(&maker->rig, session.plan, maker->options->into, err);
    iw_session_close(&session);
    iw_catalog_free(catalog);
    return status;
}

static int publish(const iw_maker *maker, const iw_entry *asked, const char *root,
                   iw_made_list *made, iw_error *err)
{
    bool tree = maker->options->into && asked->built;
    if (tree && export_tree(maker, asked, err) != 0) return -1;
    for (size_t i = 0; i <= maker->count; i++) { /* what was asked for comes last */
        const iw_entry *entry = i < maker->count ? maker->entries[i] : asked;
        char *path = NULL;
        if (i < maker->count && entry == asked) continue;
        if (tree)
            path =
                iw_format("%s/recipes/%s/%s.yaml", root, entry->draft.name, entry->draft.version);
        else if (write_recipe(entry, root, &path, err) != 0) {
            free(path);
            return -1;
        }
        tell(maker, entry, path, made);
    }
    return 0;
}

/* --- the whole ------------------------------------------------------------ */

static int check_free(iw_catalog *catalog, const iw_new_options *options, iw_error *err)
{
    iw_cleanup_free char *name = iw_project_name(options->project);
    const char *called;
    iw_list versions;
    if (!options->version) return 0;
    if (iw_catalog_distribution(catalog, name, &called, &versions, err) != 0) return -1;
    iw_cleanup_free char *path =
        iw_format("%s/recipes/%s/%s.yaml", iw_catalog_root(catalog), called, options->version);
    return iw_exists(path)
               ? iw_fail(err, IW_E_USAGE, "%s is there already; `new` never edits a recipe", path)
               : 0;
}

int iw_new_make(iw_catalog *catalog, iw_store *store, const iw_new_options *options,
                iw_made_list *made, iw_error *err)
{
    iw_maker maker;
    iw_entry *asked = NULL;
    if (check_free(catalog, options, err) != 0) return -1;
    int status = iw_maker_open(&maker, catalog, store, options, err);
    if (status == 0)
        status = iw_maker_make(&maker, options->project, options->version, NULL, &asked, err);
    if (status == 0)
        status = publish(&maker, asked, options->into ? options->into : iw_catalog_root(catalog),
                         made, err);
    iw_maker_close(&maker);
    return status;
}
