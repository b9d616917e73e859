/* Which version is taken where nobody names one. */
#include "../check.h"

#include "upgrade/rig.h"

static const char *newest(const char *const *items, size_t count)
{
    const iw_list versions = {items, count};
    return iw_rig_newest(&versions);
}

static void goes_by_meaning(void **state)
{
    (void)state;
    const char *const several[] = {"0.9", "1.10", "1.9"}, *const labelled[] = {"1.0", "2.0+cu126"},
                      *const all_labelled[] = {"2.10+cu1", "2.9+cu1"}, *const one[] = {"3"};
    assert_string_equal(newest(several, 3), "1.10");
    assert_string_equal(newest(labelled, 2), "1.0");
    assert_string_equal(newest(all_labelled, 2), "2.10+cu1");
    assert_string_equal(newest(one, 1), "3");
    assert_null(newest(one, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(goes_by_meaning)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
