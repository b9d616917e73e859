/* Cases as data: each .test file of tests/cases/recipe holds a small tree, what is loaded from it,
 * and the message (or the meaning) that must come out. IW_REBASE=1 writes what came out back into
 * the files; a person reads the diff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "recipe/recipe.h"

#define CASES "tests/cases/recipe"

/* A case file is parts, each after a line "-- <head>". */
typedef struct iw_part {
    char *head, *body;
} iw_part;

typedef struct iw_case {
    iw_part parts[256];
    size_t count;
} iw_case;

static void read_case(const char *path, iw_case *out)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    size_t length;
    *out = (iw_case){0};
    if (iw_read_file(path, 4 << 20, &text, &length, &err)) fail_msg("%s", iw_error_text(&err));
    iw_slice rest = {text, length}, line;
    iw_buffer body = {0};
    while (iw_slice_next(&rest, '\n', &line)) {
        if (line.length > 3 && memcmp(line.data, "-- ", 3) == 0) {
            if (out->count) out->parts[out->count - 1].body = iw_buffer_take(&body);
            assert_true(out->count < 256);
            out->parts[out->count++].head = iw_strndup(line.data + 3, line.length - 3);
        } else if (out->count) {
            iw_buffer_add(&body, line.data, line.length);
            iw_buffer_add_char(&body, '\n');
        }
    }
    assert_true(out->count > 0);
    out->parts[out->count - 1].body = iw_buffer_take(&body);
    iw_buffer_free(&body);
}

static void free_case(iw_case *test)
{
    for (size_t i = 0; i < test->count; i++) {
        free(test->parts[i].head);
        free(test->parts[i].body);
    }
}

static void write_case(const char *path, const iw_case *test)
{
    iw_cleanup_buffer iw_buffer out = {0};
    for (size_t i = 0; i < test->count; i++)
        iw_buffer_add_format(&out, "-- %s\n%s", test->parts[i].head, test->parts[i].body);
    assert_int_equal(iw_write_file(path, out.data, out.length, 0644, NULL), 0);
}

/* "%09", "%00" … in a body stand for bytes that an editor would spoil; only in parts whose head
 * ends in " (escaped)". */
static size_t unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        unsigned value;
        if (*at == '%' && sscanf(at + 1, "%2x", &value) == 1) {
            *to++ = (char)value;
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    return (size_t)(to - text);
}

static void lay_part(const char *root, const iw_part *part)
{
    iw_cleanup_free char *head = iw_strdup(part->head), *body = iw_strdup(part->body);
    size_t length = strlen(body);
    bool program = false;
    if (iw_ends_with(head, " (escaped)")) {
        head[strlen(head) - strlen(" (escaped)")] = '\0';
        length = unescape(body);
    }
    if (iw_ends_with(head, " (program)")) {
        head[strlen(head) - strlen(" (program)")] = '\0';
        program = true;
    }
    char *arrow = strstr(head, " -> ");
    if (arrow) *arrow = '\0';
    iw_cleanup_free char *path = iw_path_join(root, head), *folder = iw_path_parent(path);
    assert_int_equal(iw_make_folders(folder, 0755, NULL), 0);
    if (arrow) assert_int_equal(symlink(arrow + 4, path), 0);
    else assert_int_equal(iw_write_file(path, body, length, program ? 0755 : 0644, NULL), 0);
}

static void add_recipe(iw_buffer *out, const iw_recipe *recipe)
{
    iw_buffer_add_text(out, recipe->meaning);
    for (size_t i = 0; i < recipe->check_count; i++)
        iw_buffer_add_format(out, "check \"%s\"\n", recipe->checks[i].name);
}

static void add_stack(iw_buffer *out, const iw_stack *stack)
{
    iw_buffer_add_format(out, "stack %s %s, toolchain %s\n", stack->name, stack->version,
                         stack->toolchain);
    for (size_t i = 0; i < stack->profiles.count; i++)
        iw_buffer_add_format(out, "profile %s\n", stack->profiles.items[i]);
    for (size_t i = 0; i < stack->package_count; i++)
        iw_buffer_add_format(out, "package %s %s\n", stack->packages[i].name,
                             stack->packages[i].version);
    for (size_t i = 0; i < stack->pin_count; i++)
        iw_buffer_add_format(out, "pin %s %s\n", stack->pins[i].name, stack->pins[i].version);
    for (size_t i = 0; i < stack->check_count; i++)
        iw_buffer_add_format(out, "check \"%s\" timeout %u\n", stack->checks[i].name,
                             stack->checks[i].timeout);
    iw_buffer_add_format(out, "hours %.2f, disk %.2f GB\n", stack->hours, stack->disk_gb);
}

static void add_profile(iw_buffer *out, const iw_profile *profile)
{
    iw_buffer_add_format(out, "profile %s: %s\nflags", profile->name, profile->summary);
    for (size_t i = 0;
         i < profile->flags.count && !iw_starts_with(profile->flags.items[i], "-mno-"); i++)
        iw_buffer_add_format(out, " %s", profile->flags.items[i]);
    iw_buffer_add_format(out, "\nassembler %s\nrust %s\nopenblas %s\nnumpy %s\nemulator %s\n",
                         profile->assembler_march, profile->rust_cpu, profile->openblas_target,
                         profile->numpy_baseline, profile->emulator_cpu);
}

static void add_toolchain(iw_buffer *out, const iw_toolchain *toolchain)
{
    iw_buffer_add_format(out, "toolchain %s, %zu packages\ndigest %s\n", toolchain->name,
                         toolchain->package_count, toolchain->digest);
    for (size_t i = 0; i < toolchain->package_count; i++)
        iw_buffer_add_format(out, "package %s %s %llu\n", toolchain->packages[i].name,
                             toolchain->packages[i].version,
                             (unsigned long long)toolchain->packages[i].size);
}

/* `what` is "recipe NAME VERSION", "stack NAME", "profiles A B" or "toolchain NAME". */
static int load(iw_catalog *catalog, const char *what, iw_buffer *out, iw_error *err)
{
    char kind[32] = "", name[128] = "", version[128] = "";
    assert_true(sscanf(what, "%31s %127s %127s", kind, name, version) >= 2);
    const iw_recipe *recipe;
    const iw_stack *stack;
    const iw_profile *profile;
    const iw_toolchain *toolchain;
    const char *names[] = {name, version, NULL};
    iw_list list = {names, *version ? 2 : 1};
    int status = -1;
    if (strcmp(kind, "recipe") == 0 &&
        (status = iw_catalog_recipe(catalog, name, version, &recipe, err)) == 0)
        add_recipe(out, recipe);
    else if (strcmp(kind, "stack") == 0 &&
             (status = iw_catalog_stack(catalog, name, &stack, err)) == 0)
        add_stack(out, stack);
    else if (strcmp(kind, "profiles") == 0 &&
             (status = iw_catalog_profiles_join(catalog, &list, &profile, err)) == 0)
        add_profile(out, profile);
    else if (strcmp(kind, "toolchain") == 0 &&
             (status = iw_catalog_toolchain(catalog, name, &toolchain, err)) == 0)
        add_toolchain(out, toolchain);
    return status;
}

/* One message in, one out; "ok" where the wanted file may say anything. */
static void run_part(const char *root, const char *path, iw_part *part)
{
    iw_catalog *catalog;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_buffer iw_buffer out = {0};
    if (iw_catalog_open(root, &catalog, &err)) fail_msg("%s", iw_error_text(&err));
    if (load(catalog, part->head + strlen("load "), &out, &err)) {
        assert_int_equal(err.kind, IW_E_RECIPE);
        iw_buffer_clear(&out);
        iw_buffer_add_format(&out, "error: %s\n", iw_error_text(&err));
    }
    char *at;
    while ((at = strstr(out.data, root))) { /* the temporary folder */
        memmove(at + 4, at + strlen(root), strlen(at + strlen(root)) + 1);
        memcpy(at, "TREE", 4);
    }
    if (strcmp(part->body, out.data) != 0) {
        if (!getenv("IW_REBASE"))
            fail_msg("%s: %s\n--- expected\n%s--- got\n%s", path, part->head, part->body, out.data);
        free(part->body);
        part->body = iw_strdup(out.data);
    }
    iw_error_clear(&err);
    iw_catalog_free(catalog);
}

static void run_case(const char *path)
{
    iw_case test;
    iw_cleanup_free char *root = NULL;
    iw_error err = IW_ERROR_INIT;
    size_t loads = 0;
    read_case(path, &test);
    if (iw_temporary_folder("/tmp", "iw-recipe-", &root, &err)) fail_msg("%s", iw_error_text(&err));
    iw_cleanup_free char *recipes = iw_path_join(root, "recipes");
    assert_int_equal(iw_make_folders(recipes, 0755, NULL), 0);
    for (size_t i = 0; i < test.count; i++) {
        if (iw_starts_with(test.parts[i].head, "load ")) {
            run_part(root, path, &test.parts[i]);
            loads++;
        } else {
            lay_part(root, &test.parts[i]); /* a later part replaces an earlier one */
        }
    }
    assert_true(loads > 0);
    if (getenv("IW_REBASE")) write_case(path, &test);
    iw_remove_tree(root, NULL);
    free_case(&test);
}

static void test_cases(void **state)
{
    (void)state;
    size_t count = 0;
    iw_cleanup_strings iw_strings names = {0};
    DIR *folder = opendir(CASES);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (iw_ends_with(entry->d_name, ".test")) iw_strings_add(&names, entry->d_name);
    closedir(folder);
    iw_strings_sort(&names);
    for (; count < names.count; count++) {
        iw_cleanup_free char *path = iw_path_join(CASES, names.items[count]);
        run_case(path);
    }
    assert_true(count >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests_name("recipe cases", tests, NULL, NULL);
}
