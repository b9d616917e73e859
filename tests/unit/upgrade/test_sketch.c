/* The text of a drafted recipe, whatever an index says: the reader takes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "recipe/recipe.h"
#include "upgrade/sketch.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static iw_sketch sketch_of(const char *summary)
{
    iw_sketch s = {.name = iw_strdup("x"),
                   .version = iw_strdup("3.10"),
                   .summary = iw_strdup(summary),
                   .licence = iw_strdup("MIT"),
                   .homepage = iw_strdup("https://example.org/#x"),
                   .project = iw_strdup("x"),
                   .file = iw_strdup("x-3.10.tar.gz"),
                   .sha256 = iw_strdup(SHA)};
    iw_sketch_need(&s.build, "pip");
    iw_sketch_need(&s.run, "python");
    return s;
}

static void takes(const iw_sketch *sketch)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = iw_sketch_text(sketch);
    if (iw_recipe_check_text("recipe", "drafted", text, strlen(text), &err))
        fail_msg("%s\n%s", iw_error_text(&err), text);
}

static void test_summaries(void **state)
{
    (void)state;
    static const char *const summaries[] = {
        "",          "It's: a # test", "'",           "- [x] {y: z}",
        "tab\there", "ends with \\",   "\x1b[31mred", "a: b\nname: evil",
        "%!&*@`",    "naïve café 日本"};
    for (size_t i = 0; i < sizeof summaries / sizeof *summaries; i++) {
        iw_sketch s = sketch_of(summaries[i]);
        takes(&s);
        iw_sketch_clear(&s);
    }
}

static void test_everything(void **state)
{
    (void)state;
    iw_sketch s = sketch_of("All of it");
    iw_strings_add(&s.crates, "rust dir/Cargo.lock " SHA);
    iw_strings_add(&s.environment, "A_VERSION=1.0: 'x' #");
    iw_strings_add(&s.prepare, "echo \"it's: here\" |");
    iw_strings_add(&s.prepare, "  cat");
    iw_strings_add(&s.remove, "lib/*.exe");
    iw_strings_add(&s.modules, "x");
    iw_strings_add(&s.modules, "x.y");
    s.deny_flags = true;
    takes(&s);
    iw_strings_add(&s.tried, "lib/it's here.so " SHA " avx:12,avx2:3");
    takes(&s);
    iw_strings_add(&s.todo, "what's this: #1?");
    iw_cleanup_free char *text = iw_sketch_text(&s);
    iw_error err = IW_ERROR_INIT;
    assert_int_equal(iw_recipe_check_text("recipe", "drafted", text, strlen(text), &err), -1);
    assert_non_null(strstr(iw_error_text(&err), "something is left to do: what's this: #1?"));
    iw_error_clear(&err);
    iw_sketch_clear(&s);
    s = sketch_of("A wheel");
    s.wheel = true;
    takes(&s);
    iw_sketch_clear(&s);
}

static void test_needs(void **state)
{
    (void)state;
    iw_strings needs = {0};
    assert_true(iw_sketch_need(&needs, "setuptools"));
    assert_false(iw_sketch_need(&needs, "setuptools"));
    assert_true(iw_sketch_need(&needs, "setuptools-scm"));
    assert_true(iw_sketch_need(&needs, "setuptools/80.9.0"));
    assert_false(iw_sketch_need(&needs, "setuptools"));
    assert_int_equal(needs.count, 2);
    assert_string_equal(needs.items[0], "setuptools/80.9.0");
    iw_strings_free(&needs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summaries),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
