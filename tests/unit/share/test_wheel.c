/* Versions, labels, what an index page may hold, lock files. */
#include "../check.h"

#include <string.h>

#include "base/memory.h"
#include "share/simple.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_versions(void **state)
{
    (void)state;
    static const char *const good[] = {"1",      "1.26.4",         "2025.4.1",
                                       "1.0rc1", "1.0.post2.dev3", "2.7.0+cu126.k10",
                                       "1.0a1"};
    static const char *const bad[] = {"",     "v1",       "1.",    "1..2",    "1.0-1",
                                      "1.0+", "1.0+a..b", "1.0+A", "1.0 ",    "1/../2",
                                      "1!2",  "1.0rc",    "1.0\n", "1.0+a-b", "1.0.dev"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(iw_is_wheel_version(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(iw_is_wheel_version(bad[i]));
}

static void test_labels(void **state)
{
    (void)state;
    iw_cleanup_free char *one = iw_wheel_label("k10"), *two = iw_wheel_label("core2+K10-x_y");
    assert_string_equal(one, "k10");
    assert_string_equal(two, "core2.k10.x.y");
}

static void test_pages_that_are_none(void **state)
{
    (void)state;
    static const char *const pages[] = {"", "{", "[]", "{\"files\": 1}",
                                        "{\"files\": [], \"files\": []}"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        size_t bad = 0;
        json_t *files = iw_simple_admit(pages[i], strlen(pages[i]), "x", &bad);
        assert_int_equal(json_array_size(files), 0);
        assert_int_equal(bad, 1);
        json_decref(files);
    }
}

static void test_lock(void **state)
{
    (void)state;
    iw_wheel wheel = {.project = "x",
                      .version = "1+k10",
                      .file = "x-1+k10-py3-none-any.whl",
                      .sha256 = DIGEST,
                      .size = 5};
    iw_wheels wheels = {.items = &wheel, .count = 1};
    iw_stack stack = {.name = "s", .version = "1"};
    iw_simple folder = {.label = "k10"}, web = {.label = "k10", .base = "https://rig.example/iw"},
              odd = {.label = "k10", .base = "https://rig.example/\"\n[x]"};
    iw_cleanup_free char *a = iw_simple_lock(&stack, &folder, &wheels),
                         *b = iw_simple_lock(&stack, &web, &wheels),
                         *c = iw_simple_lock(&stack, &odd, &wheels);
    assert_non_null(strstr(a, "path = \"wheels/aaaaaaaaaaaa/x-1+k10-py3-none-any.whl\"\n"));
    assert_non_null(strstr(
        b, "url = \"https://rig.example/iw/wheels/aaaaaaaaaaaa/x-1%2Bk10-py3-none-any.whl\"\n"));
    assert_string_equal(a, c);
}

static void test_library_names(void **state)
{
    (void)state;
    iw_cleanup_free char *plain = iw_wheel_library("openblas"),
                         *plus = iw_wheel_library("libstdc++"), *other = iw_wheel_library("A_b.c");
    assert_string_equal(plain, "iw-openblas");
    assert_string_equal(plus, "iw-libstdcxx");
    assert_string_equal(other, "iw-a-b-c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_library_names),
                                       cmocka_unit_test(test_versions),
                                       cmocka_unit_test(test_labels),
                                       cmocka_unit_test(test_pages_that_are_none),
                                       cmocka_unit_test(test_lock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
