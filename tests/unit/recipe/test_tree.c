/* This tree: every recipe, stack, profile and toolchain loads, and is right by the JSON Schemas;
 * schemas and reference are the tables'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/process.h"
#include "recipe/schema.h"
#include "tree.h"

static const char *const kinds[] = {"recipe", "stack", "profile", "toolchain"};

static iw_catalog *open_here(void)
{
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    if (iw_catalog_open(".", &catalog, &err)) fail_msg("%s", iw_error_text(&err));
    return catalog;
}

/* What can leave the archive says when it was there. */
static void check_recipe(const iw_recipe *recipe, iw_buffer *errors)
{
    assert_true(iw_starts_with(recipe->meaning, "recipe-meaning 1\n"));
    assert_null(strstr(recipe->meaning, "pinned"));
    for (size_t i = 0; i < recipe->source_count; i++)
        if (recipe->sources[i].kind == IW_SOURCE_DEBIAN && !recipe->sources[i].pinned)
            iw_buffer_add_format(errors,
                                 "%s:%d: this debian source doesn't say when it was pinned\n",
                                 recipe->sources[i].place.file, recipe->sources[i].place.line);
}

static size_t load_recipes(iw_catalog *catalog, const char *name, iw_buffer *errors)
{
    iw_list versions;
    const iw_recipe *recipe;
    assert_int_equal(iw_catalog_versions(catalog, name, &versions, NULL), 0);
    for (size_t i = 0; i < versions.count; i++) {
        iw_error err = IW_ERROR_INIT;
        if (iw_catalog_recipe(catalog, name, versions.items[i], &recipe, &err))
            iw_buffer_add_format(errors, "%s\n", iw_error_text(&err));
        else check_recipe(recipe, errors);
        iw_error_clear(&err);
    }
    return versions.count;
}

static void test_every_recipe_loads(void **state)
{
    (void)state;
    iw_catalog *catalog = open_here();
    iw_cleanup_buffer iw_buffer errors = {0};
    iw_list names;
    size_t count = 0;
    assert_int_equal(iw_catalog_names(catalog, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++)
        count += load_recipes(catalog, names.items[i], &errors);
    assert_true(count > 0);
    if (errors.length) fail_msg("%s", errors.data);
    iw_catalog_free(catalog);
}

static void test_every_stack_loads(void **state)
{
    (void)state;
    iw_catalog *catalog = open_here();
    iw_error err = IW_ERROR_INIT;
    iw_list names;
    const iw_stack *stack;
    const iw_profile *profile;
    const iw_toolchain *toolchain;
    assert_int_equal(iw_catalog_stacks(catalog, &names, NULL), 0);
    assert_true(names.count > 0);
    for (size_t i = 0; i < names.count; i++)
        if (iw_catalog_stack(catalog, names.items[i], &stack, &err) ||
            iw_catalog_toolchain(catalog, stack->toolchain, &toolchain, &err) ||
            iw_catalog_profiles_join(catalog, &stack->profiles, &profile, &err))
            fail_msg("%s", iw_error_text(&err));
    assert_int_equal(iw_catalog_toolchains(catalog, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++)
        if (iw_catalog_toolchain(catalog, names.items[i], &toolchain, &err))
            fail_msg("%s", iw_error_text(&err));
        else assert_non_null(toolchain->pinned);
    iw_catalog_free(catalog);
}

/* Holds the text of a file between two places against what it should be; IW_REBASE=1 writes it
 * there. */
static void hold(const char *path, const char *start, const char *end, const char *expected)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    size_t length;
    if (iw_read_file(path, 4 << 20, &text, &length, &err) && !getenv("IW_REBASE"))
        fail_msg("%s", iw_error_text(&err));
    iw_error_clear(&err);
    if (!text) text = iw_strdup("");
    const char *from = text, *to = text + strlen(text);
    if (start) {
        from = strstr(text, start);
        if (!from) fail_msg("%s holds no \"%s\"", path, start);
        from += strlen(start);
        to = strstr(from, end);
        assert_non_null(to);
    }
    if ((size_t)(to - from) == strlen(expected) && memcmp(from, expected, strlen(expected)) == 0)
        return;
    if (!getenv("IW_REBASE")) fail_msg("%s isn't what the tables say; IW_REBASE=1 writes it", path);
    iw_cleanup_free char *whole = iw_format("%.*s%s%s", (int)(from - text), text, expected, to);
    assert_int_equal(iw_write_file(path, whole, strlen(whole), 0644, NULL), 0);
}

static void test_schemas_are_the_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        iw_cleanup_free char *path = iw_format("docs/%s.schema.json", kinds[i]),
                             *expected = iw_recipe_schema_json(kinds[i]);
        hold(path, NULL, NULL, expected);
    }
    assert_null(iw_recipe_schema_json("bundle"));
}

static void test_reference_is_the_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        iw_cleanup_free char *start = iw_format("<!-- reference: %s -->\n", kinds[i]),
                             *expected = iw_recipe_reference(kinds[i]);
        hold("docs/recipes.md", start, "<!-- end -->", expected);
    }
    assert_null(iw_recipe_reference("bundle"));
}

static void names_key(void *context, const iw_shape *shape)
{
    const char *text = context;
    for (size_t i = 0; i < shape->key_count; i++) {
        iw_cleanup_free char *row = iw_format("| `%s` |", shape->keys[i].name);
        assert_non_null(strstr(text, row));
        assert_true(strlen(shape->keys[i].doc) > 5);
        assert_true(iw_ends_with(shape->keys[i].doc, "."));
    }
}

static void test_reference_names_every_key(void **state)
{
    (void)state;
    iw_cleanup_free char *text = NULL;
    size_t length;
    assert_int_equal(iw_read_file("docs/recipes.md", 4 << 20, &text, &length, NULL), 0);
    iw_shape_each(&iw_shape_recipe, names_key, text);
    iw_shape_each(&iw_shape_stack, names_key, text);
    iw_shape_each(&iw_shape_profile, names_key, text);
    iw_shape_each(&iw_shape_toolchain, names_key, text);
}

/* The YAML examples of the page, as far as they are whole files. */
static void test_examples_are_right(void **state)
{
    (void)state;
    iw_cleanup_free char *text = NULL;
    size_t length, count = 0;
    assert_int_equal(iw_read_file("docs/recipes.md", 4 << 20, &text, &length, NULL), 0);
    for (char *at = text; (at = strstr(at, "```yaml\n")); count++) {
        at += strlen("```yaml\n");
        char *end = strstr(at, "```");
        assert_non_null(end);
        iw_cleanup_free char *example = iw_strndup(at, (size_t)(end - at));
        char *like = strstr(example, "\nlike:");
        if (like) /* then its neighbour would be asked for */
            memcpy(like, "\n#    ", 6);
        iw_error err = IW_ERROR_INIT;
        const char *kind = strstr(example, "\ntoolchain:") ? "stack" : "recipe";
        if (iw_recipe_check_text(kind, "docs/recipes.md example", example, strlen(example), &err))
            fail_msg("%s", iw_error_text(&err));
        at = end;
    }
    assert_int_equal(count, 3);
}

/* Every YAML file of the tree against its schema, by python3-jsonschema. Without that module:
 * skipped (in CI a skip is a failure). */
static void test_tree_by_schema(void **state)
{
    (void)state;
    const char *const probe[] = {"python3", "-c", "import yaml, jsonschema", NULL};
    if (iw_run_capture(probe, NULL, 4096, NULL, NULL, NULL)) {
        if (getenv("CI")) fail_msg("python3-yaml or python3-jsonschema is missing");
        skip();
    }
    iw_error err = IW_ERROR_INIT;
    const char *const argv[] = {"python3", "tests/unit/recipe/by_schema.py", NULL};
    iw_cleanup_free char *out = NULL;
    if (iw_run_capture(argv, NULL, 1 << 20, &out, NULL, &err)) fail_msg("%s", iw_error_text(&err));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(iw_system_name(IW_SYSTEM_SCRIPT), "script");
    assert_string_equal(iw_system_name(IW_SYSTEM_PYTHON), "python");
    assert_string_equal(iw_source_kind_name(IW_SOURCE_LOCAL), "local");
    assert_string_equal(iw_source_kind_name(IW_SOURCE_PYPI), "pypi");
}

static void test_no_tree(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    assert_int_equal(iw_catalog_open("/nonexistent", &catalog, &err), -1);
    assert_int_equal(err.kind, IW_E_ENVIRONMENT);
    assert_int_equal(iw_catalog_open("/proc", &catalog, &err), -1);
    assert_non_null(strstr(iw_error_text(&err), "recipes"));
    iw_error_clear(&err);
    iw_catalog_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemas_are_the_tables),
        cmocka_unit_test(test_reference_is_the_tables),
        cmocka_unit_test(test_reference_names_every_key),
        cmocka_unit_test(test_examples_are_right),
        cmocka_unit_test(test_every_recipe_loads),
        cmocka_unit_test(test_every_stack_loads),
        cmocka_unit_test(test_tree_by_schema),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_tree),
    };
    return cmocka_run_group_tests_name("this tree", tests, NULL, NULL);
}
