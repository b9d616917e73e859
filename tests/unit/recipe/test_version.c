/* Versions and conditions, by the rules of the PyPA's "Version specifiers". */
#include "../check.h"

#include "base/memory.h"
#include "recipe/version.h"

/* Each is older than the next. */
static const char *const ascending[] = {"no version",
                                        "0.dev0",
                                        "0",
                                        "1.dev0",
                                        "1.0.dev456",
                                        "1.0a1.dev3",
                                        "1.0a1",
                                        "1.0a2.dev456",
                                        "1.0a12",
                                        "1.0b1.dev456",
                                        "1.0b2",
                                        "1.0b2.post345.dev456",
                                        "1.0b2.post345",
                                        "1.0rc1.dev456",
                                        "1.0rc1",
                                        "1.0",
                                        "1.0+abc.5",
                                        "1.0+abc.7",
                                        "1.0+5",
                                        "1.0+10",
                                        "1.0+10.a",
                                        "1.0.post456.dev34",
                                        "1.0.post456",
                                        "1.1.dev1",
                                        "1.1",
                                        "1.9",
                                        "1.10",
                                        "2.7.0",
                                        "2.7.0+cpu",
                                        "2.7.0+cu126",
                                        "2013.10",
                                        "20250625",
                                        "1!0.1",
                                        "1!2"};

static void test_order(void **state)
{
    (void)state;
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            int order = iw_version_compare_text(ascending[i], ascending[k]);
            if ((order > 0) - (order < 0) != (i > k) - (i < k))
                fail_msg("%s and %s: %d", ascending[i], ascending[k], order);
        }
}

static void test_forms(void **state)
{
    (void)state;
    static const char *const forms[][2] = {{"1.0", "1.0"},
                                           {" v1.0-RC.1 ", "1.0rc1"},
                                           {"1.0-1", "1.0.post1"},
                                           {"1.0.rev-2", "1.0.post2"},
                                           {"1.0_alpha", "1.0a0"},
                                           {"01.02.post03", "1.2.post3"},
                                           {"1.0DEV", "1.0.dev0"},
                                           {"1.0preview7", "1.0rc7"},
                                           {"1.0+Ubuntu-01_x", "1.0+ubuntu.1.x"},
                                           {"2!1.0c2.post3.dev4+l", "2!1.0rc2.post3.dev4+l"},
                                           {"1.0a.dev1", "1.0a0.dev1"},
                                           {"0+ironwheel", "0+ironwheel"},
                                           {"0.0.20250905", "0.0.20250905"}};
    static const char *const wrong[] = {"",
                                        "a",
                                        "1.",
                                        "1.0.x",
                                        "1..0",
                                        "1.0+",
                                        "1.0+a..b",
                                        "1.0 2",
                                        "1.0-x",
                                        "1!",
                                        "!1",
                                        "1.0/2",
                                        "-1",
                                        "1.0+a-",
                                        "99999999999999999999",
                                        "1.2.3.4.5.6.7.8.9.10.11.12.13",
                                        "1.0\n2"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        iw_version version;
        if (!iw_version_parse(forms[i][0], &version)) fail_msg("not read: %s", forms[i][0]);
        iw_cleanup_free char *text = iw_version_text(&version);
        assert_string_equal(text, forms[i][1]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        iw_version version;
        if (iw_version_parse(wrong[i], &version)) fail_msg("read: \"%s\"", wrong[i]);
    }
}

static void test_same(void **state)
{
    (void)state;
    assert_int_equal(iw_version_compare_text("1.0", "1.0.0.0"), 0);
    assert_int_equal(iw_version_compare_text("1.0alpha1", "1.0-a-1"), 0);
    assert_int_equal(iw_version_compare_text("1.0+A_1", "1.0+a.1"), 0);
    assert_int_equal(iw_version_compare_text("1.0", "0!1"), 0);
    assert_true(iw_version_compare_text("x", "y") < 0);
}

static void test_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *version, *conditions;
        bool meets;
    } cases[] = {{"1.5", "", true},
                 {"1.5", ">=1.2, <2", true},
                 {"2.0", ">=1.2,<2", false},
                 {"2.0rc1", "<2", false},
                 {"2.0rc1", "<2.0rc2", true},
                 {"1.0.post1", ">1.0", false},
                 {"1.0.post2", ">1.0.post1", true},
                 {"1.0+l", ">1.0", false},
                 {"1.0+l", "==1.0", true},
                 {"1.0", "==1.0+l", false},
                 {"1.0+l", "<=1.0", true},
                 {"1.1a1", "==1.1.*", true},
                 {"1.10", "==1.1.*", false},
                 {"1", "==1.0.*", true},
                 {"1.1", "!=1.1.*", false},
                 {"1.2", "!=1.1.*", true},
                 {"2.2.post3", "~=2.2", true},
                 {"2.9", "~=2.2", true},
                 {"3.0", "~=2.2", false},
                 {"1.4.9", "~=1.4.5a4", true},
                 {"1.5", "~=1.4.5a4", false},
                 {"1.0", "~=1", false},
                 {"1.0", "===1.0", true},
                 {"1.0.0", "===1.0", false},
                 {"3.11.2", ">=3.8,!=3.9.*,<4", true},
                 {"3.11.2", ">=3.12", false},
                 {"1.0", "junk", false},
                 {"1.0", ">=", false},
                 {"1.0", ">=1.*", false},
                 {"1!1.0", "<2", false},
                 {"1.0", ">=0.5,,", true},
                 {"1.0.dev1", ">=1.0.dev0", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_version version;
        assert_true(iw_version_parse(cases[i].version, &version));
        if (iw_version_meets(&version, cases[i].conditions, NULL) != cases[i].meets)
            fail_msg("%s %s: not %d", cases[i].version, cases[i].conditions, cases[i].meets);
    }
    bool valid;
    iw_version version;
    iw_version_parse("1.0", &version);
    assert_false(iw_version_meets(&version, ">=0.5,<junk", &valid));
    assert_false(valid);
    assert_false(iw_version_meets(&version, ">=2", &valid));
    assert_true(valid);
}

static const char *newest(const char *const *items, size_t count)
{
    const iw_list versions = {items, count};
    return iw_version_newest(&versions);
}

static void test_newest(void **state)
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_forms),
                                       cmocka_unit_test(test_same),
                                       cmocka_unit_test(test_conditions),
                                       cmocka_unit_test(test_newest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
