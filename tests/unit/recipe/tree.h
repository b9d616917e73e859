/* A small tree of recipes in a temporary folder, for these tests. */
#ifndef IW_TESTS_RECIPE_TREE_H
#define IW_TESTS_RECIPE_TREE_H

#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/recipe.h"

/* Caller frees the path; the folder goes with iw_remove_tree. */
static inline char *iw_test_tree(void)
{
    char *root = NULL;
    assert_int_equal(iw_temporary_folder("/tmp", "iw-recipe-", &root, NULL), 0);
    iw_cleanup_free char *recipes = iw_path_join(root, "recipes");
    assert_int_equal(iw_make_folders(recipes, 0755, NULL), 0);
    return root;
}

static inline void iw_test_write(const char *root, const char *file, const char *text)
{
    iw_cleanup_free char *path = iw_path_join(root, file), *folder = iw_path_parent(path);
    assert_int_equal(iw_make_folders(folder, 0755, NULL), 0);
    assert_int_equal(iw_write_file(path, text, strlen(text), 0644, NULL), 0);
}

#endif
