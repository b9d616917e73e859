/* Toolchain files: the pinned packages and a digest over them. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "recipe/catalog.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const iw_toolchain_package *)a)->name, ((const iw_toolchain_package *)b)->name);
}

static int check_twice(const iw_toolchain *toolchain, const iw_yaml *list, iw_error *err)
{
    size_t count = 0;
    for (const iw_yaml *node = list->first; node; node = node->next, count++)
        for (size_t i = 0; i < count; i++)
            if (strcmp(toolchain->packages[i].name, toolchain->packages[count].name) == 0)
                return iw_fail_at(err, &node->place, "the package \"%s\" stands twice",
                                  toolchain->packages[i].name);
    return 0;
}

static void digest(iw_toolchain *toolchain)
{
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "toolchain", "1");
    for (size_t i = 0; i < toolchain->package_count; i++) {
        iw_hash_add_field(hash, "name", toolchain->packages[i].name);
        iw_hash_add_field(hash, "version", toolchain->packages[i].version);
        iw_hash_add_field(hash, "sha256", toolchain->packages[i].sha256);
    }
    iw_hash_finish(hash, toolchain->digest);
    iw_hash_free(hash);
}

int iw_toolchain_finish(iw_arena *arena, const char *file, const iw_yaml *root,
                        iw_toolchain *toolchain, iw_error *err)
{
    (void)arena;
    const iw_yaml *list = iw_yaml_find(root, "packages");
    if (check_twice(toolchain, list, err)) return -1;
    if (toolchain->package_count)
        qsort((void *)toolchain->packages, toolchain->package_count, sizeof *toolchain->packages,
              by_name);
    toolchain->path = file;
    digest(toolchain);
    return 0;
}

int iw_load_toolchain(iw_catalog *catalog, const char *name, const char *file, iw_toolchain **out,
                      iw_error *err)
{
    iw_yaml *root;
    if (iw_catalog_read(catalog, file, &root, err)) return -1;
    iw_toolchain *toolchain = iw_arena_alloc(catalog->arena, sizeof *toolchain);
    if (iw_shape_read(catalog->arena, &iw_shape_toolchain, root, toolchain, err)) return -1;
    if (strcmp(toolchain->name, name) != 0)
        return iw_fail_at(err, &iw_yaml_find(root, "name")->place,
                          "\"name\" is \"%s\", but the file's name says \"%s\"; they must be equal",
                          toolchain->name, name);
    *out = toolchain;
    return iw_toolchain_finish(catalog->arena, file, root, toolchain, err);
}
