/* This tree's patches say what shows that they are needed. */
#include "../check.h"

#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/recipe.h"
#include "upgrade/edit.h"

/* Whether a check of that name stands in a recipe that takes the patch. */
static bool recipe_checks(iw_catalog *catalog, const char *name, const char *file,
                          const char *check)
{
    iw_list versions;
    const iw_recipe *recipe;
    iw_error err = IW_ERROR_INIT;
    bool taken = false, named = false;
    kit_ok(iw_catalog_versions(catalog, name, &versions, &err));
    for (size_t i = 0; i < versions.count && !named; i++) {
        kit_ok(iw_catalog_recipe(catalog, name, versions.items[i], &recipe, &err));
        taken = false;
        for (size_t k = 0; k < recipe->patch_count; k++)
            taken = taken || strcmp(recipe->patches[k].file, file) == 0;
        for (size_t k = 0; k < recipe->check_count && taken; k++)
            named = named || strcmp(recipe->checks[k].name, check) == 0;
    }
    return named;
}

static int look(void *context, const char *relative, const char *full, const struct stat *status,
                iw_error *err)
{
    iw_catalog *catalog = context;
    iw_cleanup_free char *text = NULL, *package = iw_path_parent(relative);
    if (!S_ISREG(status->st_mode) || !iw_ends_with(relative, ".patch")) return 0;
    if (iw_read_file(full, 1 << 20, &text, NULL, err) != 0) return -1;
    iw_cleanup_free char *proof = iw_header_field(text, "Proof");
    if (!proof) fail_msg("patches/%s names no proof, nor why there is none (Proof)", relative);
    if (strcmp(proof, "audit") == 0 || strcmp(proof, "build") == 0) return 0;
    if (iw_starts_with(proof, "none (") && iw_ends_with(proof, ")")) return 0;
    if (!recipe_checks(catalog, package, iw_path_base(relative), proof))
        fail_msg("patches/%s: no recipe that takes it has a check %s", relative, proof);
    return 0;
}

static void test_every_patch_says(void **state)
{
    iw_catalog *catalog;
    iw_error err = IW_ERROR_INIT;
    (void)state;
    kit_ok(iw_catalog_open(".", &catalog, &err));
    kit_ok(iw_walk("patches", look, catalog, &err));
    iw_catalog_free(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_patch_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
