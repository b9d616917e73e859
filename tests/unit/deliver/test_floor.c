/* The sentence about a host's glibc that is too old for a stack. */
#include "../check.h"

#include "base/memory.h"
#include "base/text.h"
#include "deliver/floor.h"

static void expect(const char *glibc, const char *host, const char *text)
{
    const iw_stack stack = {.name = "base", .glibc = glibc};
    iw_cleanup_free char *said = iw_floor_warning(&stack, host);
    if (text) assert_string_equal(said, text);
    else assert_null(said);
}

static void names_both_versions(void **state)
{
    (void)state;
    expect("2.35", "2.31", "base will need glibc 2.35; this host has 2.31: it is for other rigs");
}

static void compares_numbers(void **state)
{
    (void)state;
    expect("2.9", "2.31", NULL);
    expect("2.35", "2.35", NULL);
    expect("2.35", "2.36.9000", NULL);
    expect("2.101", "2.35", "base will need glibc 2.101; this host has 2.35: it is for other rigs");
}

static void a_stack_need_not_say(void **state)
{
    (void)state;
    expect(NULL, "2.1", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_both_versions),
                                       cmocka_unit_test(compares_numbers),
                                       cmocka_unit_test(a_stack_need_not_say)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
