/* What a failed bump says of the CPU. */
#include "../check.h"

#include "base/memory.h"
#include "upgrade/hints.h"

static const char *const arguments[] = {"-Csetup-args=-Dblas=openblas",
                                        "-Csetup-args=-Dcpu-baseline=sse3",
                                        "-Csetup-args=-Dcpu-dispatch=none"};
static const iw_hint_recipe recipe = {
    .arguments = arguments,
    .argument_count = 3,
    .path = "/copy/numpy/2.4.6.yaml",
    .text = "build:\n  - -Csetup-args=-Dblas=openblas\n  - -Csetup-args=-Dcpu-baseline=sse3\n"};

static void test_warned_and_refused(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings hints = {0};
    json_t *instructions =
        json_pack("[{s:s,s:[s,s]},{s:s,s:[s]}]", "file", "src/x/fast_loops.c", "signs", "_mm_",
                  "__SSE4", "file", "src/never_named.c", "signs", "-mavx2");
    iw_bump_hints("numpy/2.4.6 failed in compile",
                  "x.c:1: warning: unused variable cpu [-Wunused-variable]\n"
                  "../meson.build:203: WARNING: CPU Feature \"SSE3\" is no longer explicitly "
                  "supported, redirecting to \"X86_V2\".\n"
                  "../meson.build:203: WARNING: CPU Feature \"SSE3\" is no longer explicitly "
                  "supported, redirecting to \"X86_V2\".\n"
                  "src/x/fast_loops.c:7:1: error: inlining failed: target specific option "
                  "mismatch\n",
                  instructions, &recipe, &hints);
    json_decref(instructions);
    assert_int_equal(hints.count, 5);
    assert_string_equal(hints.items[0],
                        "its build says: ../meson.build:203: WARNING: CPU Feature \"SSE3\" is no "
                        "longer explicitly supported, redirecting to \"X86_V2\".");
    assert_string_equal(hints.items[1],
                        "that is about the recipe's -Csetup-args=-Dcpu-baseline=sse3 "
                        "(/copy/numpy/2.4.6.yaml:3): this release takes the value for something "
                        "else; give it another one there, or none");
    assert_string_equal(hints.items[2],
                        "the recipe chooses for the CPU: -Csetup-args=-Dcpu-dispatch=none");
    assert_string_equal(hints.items[3],
                        "src/x/fast_loops.c asks for _mm_ __SSE4, as the old release's sources "
                        "didn't");
    assert_non_null(strstr(hints.items[4], "`flags: deny`"));
}

static void test_another_failure(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings hints = {0};
    iw_bump_hints("x/1 failed in compile: No module named y", "warning: x is deprecated\n", NULL,
                  &recipe, &hints);
    assert_int_equal(hints.count, 0);
    iw_bump_hints("1 files of stack base hold instructions that k10 doesn't have", "", NULL,
                  &recipe, &hints);
    assert_int_equal(hints.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_warned_and_refused),
                                       cmocka_unit_test(test_another_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
