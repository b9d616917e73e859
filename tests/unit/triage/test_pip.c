/* What pip sees of the caller's environment. */
#include "../folder.h"

#include "triage/pip.h"

static size_t indexes(const iw_strings *environment)
{
    size_t count = 0;
    for (size_t i = 0; i < environment->count; i++)
        count += iw_starts_with(environment->items[i], "PIP_INDEX_URL=");
    return count;
}

/* Of two variables of one name Python takes the first: the caller's would win. */
static void the_given_index_is_the_only_one(void **state)
{
    iw_cleanup_strings iw_strings given = {0}, own = {0}, none = {0};
    (void)state;
    setenv("PIP_INDEX_URL", "http://127.0.0.1:1/theirs", 1);
    setenv("LD_PRELOAD_NOT", "x", 1);
    iw_pip_environment("http://127.0.0.1:1/given", false, "/tmp/there", &given);
    iw_pip_environment(NULL, true, "/tmp/there", &own);
    unsetenv("PIP_INDEX_URL");
    iw_pip_environment(NULL, false, "/tmp/there", &none);
    assert_true(iw_strings_has(&given, "PIP_INDEX_URL=http://127.0.0.1:1/given"));
    assert_int_equal(indexes(&given), 1);
    assert_true(iw_strings_has(&own, "PIP_INDEX_URL=http://127.0.0.1:1/theirs"));
    assert_int_equal(indexes(&own), 1);
    assert_int_equal(indexes(&none), 0);
    assert_true(iw_strings_has(&given, "TMPDIR=/tmp/there"));
    assert_false(iw_strings_has(&given, "LD_PRELOAD_NOT=x"));
}

/* As pip 23.0.1 says it. */
static void what_it_warns_of(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings out = {0};
    static const char said[] =
        "WARNING: Retrying (Retry(total=4)) after connection broken\n"
        "WARNING: requests 2.32.3 does not provide the extra 'nosuchextra'\n"
        "WARNING: The candidate selected for download or install is a yanked version: 'numpy' "
        "candidate (version 2.4.0 at https://u:p@h/numpy.whl (from https://h/simple/numpy/) "
        "(requires-python:>=3.11))\nReason for being yanked: broken\x1b[2J\n"
        "WARNING: The candidate selected for download or install is a yanked version: 'a' "
        "candidate "
        "(version 1 at x)\nReason for being yanked: <none given>\n"
        "WARNING: requests 2.32.3 does not provide the extra 'nosuchextra'\n"
        "WARNING: is a yanked version: '\nWARNING: ";
    iw_pip_warnings(said, &out);
    assert_int_equal(out.count, 3);
    assert_string_equal(out.items[0], "requests 2.32.3 has no extra 'nosuchextra'");
    assert_string_equal(out.items[1],
                        "numpy 2.4.0 was withdrawn by its authors (yanked): broken?[2J");
    assert_string_equal(out.items[2], "a 1 was withdrawn by its authors (yanked)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_given_index_is_the_only_one),
                                       cmocka_unit_test(what_it_warns_of)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
