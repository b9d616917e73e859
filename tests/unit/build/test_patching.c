/* What is told of a patch that doesn't apply. */
#include "golden.h"

#include "build/patching.h"

static iw_reject after(const char *const *lines)
{
    iw_reject reject = {0};
    for (size_t i = 0; lines[i]; i++) iw_reject_line(&reject, lines[i]);
    return reject;
}

static void names_file_and_hunk(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "iw-patch 1",
        "patching file a.c",
        "Hunk #1 succeeded at 4 (offset 2 lines).",
        "iw-patch 2",
        "patching file src/b.c",
        "Hunk #2 FAILED at 17.",
        "Hunk #3 FAILED at 30.",
        "2 out of 3 hunks FAILED -- saving rejects to file src/b.c.rej",
        NULL};
    iw_reject reject = after(lines);
    assert_int_equal(reject.patch, 2);
    assert_string_equal(reject.what, "src/b.c: Hunk #2 FAILED at 17.");
}

static void knows_other_trouble(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"can't find file to patch at input line 3", "can't find file to patch at input line 3"},
        {"patch: **** malformed patch at line 9: x", "patch: **** malformed patch at line 9: x"},
        {"patch: **** Only garbage was found in the patch input.",
         "patch: **** Only garbage was found in the patch input."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const lines[] = {"iw-patch 1", cases[i][0], NULL};
        assert_string_equal(after(lines).what, cases[i][1]);
    }
    static const char *const fine[] = {"iw-patch 1", "patching file FAILED.c", NULL};
    assert_string_equal(after(fine).what, "");
}

static void bounds_long_lines(void **state)
{
    (void)state;
    iw_cleanup_free char *name = iw_alloc(4000);
    memset(name, 'x', 3999);
    iw_cleanup_free char *file = iw_format("patching file %s", name);
    iw_cleanup_free char *hunk = iw_format("Hunk #1 FAILED at 1. %s", name);
    const char *const lines[] = {"iw-patch 3", file, hunk, NULL};
    iw_reject reject = after(lines);
    assert_int_equal(reject.patch, 3);
    assert_non_null(strstr(reject.what, ": Hunk #1 FAILED at 1."));
    assert_true(strlen(reject.what) < sizeof reject.what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_file_and_hunk),
                                       cmocka_unit_test(knows_other_trouble),
                                       cmocka_unit_test(bounds_long_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
