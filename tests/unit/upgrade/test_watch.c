/* New releases by the links of a page. */
#include "../check.h"

#include "base/memory.h"
#include "upgrade/watch.h"

static const char html[] =
    "<a href=\"x-1.2.tar.gz\">x</a> <a href='/old/x-1.0.tar.gz?a#b'>x</a>\n"
    "<a href=\"https://example.net/x-1.10.tar.gz\">x</a><a href=\"x-1.10.tar.gz\">"
    "<a href=\"x-2.0rc1.tar.gz\"><a href=\"x-evil.tar.gz\"><a href=\"x-3.tar.gz";

static void test_links(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_candidates list;
    const iw_candidate *one;
    iw_source source = {.kind = IW_SOURCE_URL, .name = "https://example.org/d/x-1.0.tar.gz"};
    iw_recipe recipe = {.path = "recipes/x/1.0.yaml",
                        .watch = "x-([0-9a-z.]+)\\.tar\\.gz",
                        .sources = &source,
                        .source_count = 1};
    iw_candidate_rules rules = {.python = "3.11.2", .min_age = 604800, .now = 1800000000};
    iw_cleanup_free char *page = NULL, *other = NULL;
    const char *pattern;
    iw_watch_read(&recipe, &page, &pattern);
    assert_string_equal(page, "https://example.org/d/");
    kit_ok(iw_candidates_watch(&recipe, html, page, pattern, &rules, &list, &err));
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].passed, "a pre-release");
    kit_ok(iw_candidates_choose(&list, "1.0", &rules, &one, &err));
    assert_string_equal(one->version, "1.10");
    assert_string_equal(one->url, "https://example.net/x-1.10.tar.gz");
    assert_string_equal(one->file, "x-1.10.tar.gz");
    assert_string_equal(list.items[2].url, "https://example.org/d/x-1.2.tar.gz");
    assert_string_equal(list.items[3].url, "https://example.org/old/x-1.0.tar.gz");
    iw_candidates_free(&list);
    kit_fails(iw_candidates_watch(&recipe, html, page, "x-[0-9.]+", &rules, &list, &err),
              IW_E_RECIPE, "no (group)");
    kit_fails(iw_candidates_watch(&recipe, html, page, "x-(", &rules, &list, &err), IW_E_RECIPE,
              "no regular expression");
    recipe.watch = "https://example.com/all/ x-(.*)";
    iw_watch_read(&recipe, &other, &pattern);
    assert_string_equal(other, "https://example.com/all/");
    assert_string_equal(pattern, "x-(.*)");
}

static void test_tags(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_candidates list;
    const iw_candidate *one;
    iw_recipe recipe = {.path = "recipes/x/1.0.yaml"};
    iw_candidate_rules rules = {.python = "3.11.2"};
    iw_cleanup_strings iw_strings names = {0}, commits = {0};
    static const char *const tags[] = {"v1.0", "v1.10", "v1.9", "v2.0rc1", "nightly", "xv3.0"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        iw_strings_add(&names, tags[i]);
        iw_strings_add_format(&commits, "%040zu", i);
    }
    kit_ok(iw_candidates_tags(&recipe, &names, &commits, "v([0-9a-z.]+)", &rules, &list, &err));
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].passed, "a pre-release");
    kit_ok(iw_candidates_choose(&list, "1.0", &rules, &one, &err));
    assert_string_equal(one->version, "1.10");
    assert_string_equal(one->file, "v1.10");
    assert_string_equal(one->url, commits.items[1]);
    iw_candidates_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_links), cmocka_unit_test(test_tags)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
