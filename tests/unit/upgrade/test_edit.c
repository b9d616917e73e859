/* Changes to recipes, stacks and patches as text. */
#include "../check.h"

#include "base/memory.h"
#include "upgrade/edit.h"

static void expect(char *got, const char *wanted)
{
    if (!got) fail_msg("not found; wanted:\n%s", wanted);
    assert_string_equal(got, wanted);
    free(got);
}

static const char recipe[] = "name: x\n"
                             "version: 1.0   # as upstream says\n"
                             "sources:\n"
                             "  - pypi: x\n"
                             "    # where it is\n"
                             "    file: 'x-1.0.tar.gz'\n"
                             "    sha256: aa\n"
                             "  - {pypi: y, version: 1.0, file: y-1.0.zip, sha256: bb}\n"
                             "\n"
                             "# about patches\n"
                             "patches: [a.patch, b.patch]\n"
                             "build:\n"
                             "  system: make\n";

static void test_values(void **state)
{
    (void)state;
    iw_cleanup_free char *one = iw_edit_value(recipe, 1, 0, "version", "2.0");
    assert_non_null(strstr(one, "version: 2.0   # as upstream says\n"));
    iw_cleanup_free char *two = iw_edit_value(one, 4, 7, "file", "x-2.0.tar.gz");
    assert_non_null(strstr(two, "    file: 'x-2.0.tar.gz'\n"));
    iw_cleanup_free char *three = iw_edit_value(two, 8, 8, "version", "3.0");
    assert_non_null(strstr(three, "  - {pypi: y, version: 3.0, file: y-1.0.zip, sha256: bb}\n"));
    iw_cleanup_free char *four = iw_edit_value(three, 8, 8, "sha256", "cc");
    assert_non_null(strstr(four, "sha256: cc}\n"));
    assert_null(iw_edit_value(recipe, 4, 7, "version", "2"));
    assert_null(iw_edit_value(recipe, 1, 2, "sha256", "2"));
    assert_int_equal(iw_edit_end(recipe, 3), 8);
    assert_int_equal(iw_edit_end(recipe, 4), 7);
    assert_int_equal(iw_edit_end(recipe, 8), 8);
    assert_int_equal(iw_edit_end(recipe, 12), 13);
}

static void test_items(void **state)
{
    (void)state;
    iw_place first = {NULL, 1, 11}, second = {NULL, 1, 14};
    expect(iw_edit_item("patches: [a, b, c]\nx: y\n", &first, NULL), "patches: [b, c]\nx: y\n");
    expect(iw_edit_item("patches: [a, b, c]\nx: y\n", &second, NULL), "patches: [a, c]\nx: y\n");
    expect(iw_edit_item("patches: [a, b, c]\n", &second, "bb"), "patches: [a, bb, c]\n");
    expect(iw_edit_item("patches: [a, b]\n", &second, NULL), "patches: [a]\n");
    expect(iw_edit_item("patches: [a]\nx: y\n", &first, NULL), "x: y\n");
    iw_place line = {NULL, 3, 5};
    expect(iw_edit_item("n: x\npatches:\n  - a.patch # why\n  - b.patch\nx: y\n", &line, NULL),
           "n: x\npatches:\n  - b.patch\nx: y\n");
    expect(iw_edit_item("n: x\npatches:\n  - a.patch # why\n  - b.patch\nx: y\n", &line, "c.patch"),
           "n: x\npatches:\n  - c.patch # why\n  - b.patch\nx: y\n");
    expect(iw_edit_item("n: x\npatches:\n  - a.patch\nx: y\n", &line, NULL), "n: x\nx: y\n");
}

static void test_new_items(void **state)
{
    (void)state;
    iw_place flow = {NULL, 2, 11}, block = {NULL, 3, 5};
    expect(iw_edit_add_item("needs:\n  build: [a, b]\n", &flow, "c"),
           "needs:\n  build: [a, c, b]\n");
    expect(iw_edit_add_item("n: x\nlist:\n  - a # why\n  - b\n", &block, "c"),
           "n: x\nlist:\n  - a # why\n  - c\n  - b\n");
}

static void test_pins(void **state)
{
    (void)state;
    static const char stack[] = "name: s\npackages:\n  a: 1\n  b: 2 # why\n\npins:\n  c: 3\n";
    expect(iw_edit_pin(stack, "packages", "b", "9"),
           "name: s\npackages:\n  a: 1\n  b: 9 # why\n\npins:\n  c: 3\n");
    expect(iw_edit_pin(stack, "packages", "d", "9"),
           "name: s\npackages:\n  a: 1\n  b: 2 # why\n  d: 9\n\npins:\n  c: 3\n");
    expect(iw_edit_pin(stack, "pins", "d", "9"),
           "name: s\npackages:\n  a: 1\n  b: 2 # why\n\npins:\n  c: 3\n  d: 9\n");
    expect(iw_edit_pin("name: s\npackages:\n  a: 1", "pins", "d", "9"),
           "name: s\npackages:\n  a: 1\npins:\n  d: 9\n");
    expect(iw_edit_pin("pins: {a: 1}\n", "pins", "d", "9"), "pins: {d: 9, a: 1}\n");
    expect(iw_edit_pin("pins: {a: 1, d: 2}\n", "pins", "d", "9"), "pins: {a: 1, d: 9}\n");
    expect(iw_edit_pin("pins:\n  a: 1", "pins", "d", "9"), "pins:\n  a: 1\n  d: 9");
}

static void test_headers(void **state)
{
    (void)state;
    static const char patch[] = "Description: a thing\n more of it\nApplies-To: 1.0,\n 1.1\n"
                                "Forwarded: no\n---\n--- a/x\n+++ b/x\nApplies-To: no\n";
    expect(iw_header_field(patch, "applies-to"), "1.0, 1.1");
    expect(iw_header_field(patch, "Description"), "a thing more of it");
    assert_null(iw_header_field(patch, "Origin"));
    expect(iw_edit_header(patch, "Applies-To", "1.0, 1.1, 2.0"),
           "Description: a thing\n more of it\nApplies-To: 1.0, 1.1, 2.0\n"
           "Forwarded: no\n---\n--- a/x\n+++ b/x\nApplies-To: no\n");
    expect(iw_edit_header(patch, "Proof", "svd"),
           "Description: a thing\n more of it\nApplies-To: 1.0,\n 1.1\n"
           "Forwarded: no\nProof: svd\n---\n--- a/x\n+++ b/x\nApplies-To: no\n");
    expect(iw_edit_header("A: b\n--- a/x\n", "C", "d"), "A: b\nC: d\n--- a/x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_items),
                                       cmocka_unit_test(test_new_items),
                                       cmocka_unit_test(test_pins), cmocka_unit_test(test_headers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
