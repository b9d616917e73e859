/* What packages say that they need, and markers. */
#include "../check.h"

#include "upgrade/requirement.h"

static void test_markers(void **state)
{
    (void)state;
    static const struct {
        const char *marker;
        bool holds, valid;
    } cases[] = {{"python_version >= '3.8'", true, true},
                 {"python_version < \"3.10\"", false, true},
                 {"python_full_version == '3.11.2'", true, true},
                 {"'3.12' > python_version", true, true},
                 {"sys_platform == 'win32'", false, true},
                 {"sys_platform != 'win32' and platform_machine == 'x86_64'", true, true},
                 {"os_name == 'nt' or (implementation_name == 'cpython' and python_version > '3')",
                  true, true},
                 {"extra == 'test'", false, true},
                 {"python_version not in '2.7, 3.4'", true, true},
                 {"'linux' in sys_platform", true, true},
                 {"platform_python_implementation == \"PyPy\"", false, true},
                 {"nonsense == '1'", false, false},
                 {"python_version >", false, false},
                 {"python_version == '3.11' trailing", false, false},
                 {"(python_version == '3.11'", false, false},
                 {"", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool valid, holds = iw_marker_holds(cases[i].marker, "3.11.2", &valid);
        if (holds != cases[i].holds || valid != cases[i].valid)
            fail_msg("%s: %d, %d", cases[i].marker, holds, valid);
    }
    char deep[400];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_false(iw_marker_holds(deep, "3.11.2", NULL));
}

static void test_requirements(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *conditions;
        bool applies;
    } cases[] = {{"numpy", "numpy", "", true},
                 {"Py_Yaml.x >= 5.1 , <7", "py-yaml-x", ">= 5.1 , <7", true},
                 {"requests (==2.32.3)", "requests", "==2.32.3", true},
                 {"scipy === 1.13.1", "scipy", "=== 1.13.1", true},
                 {"uvicorn[standard,x] ~= 1.2 ; python_version<'3.9'", "uvicorn", "~= 1.2", false},
                 {"torch; extra == \"all\"", "torch", "", false},
                 {"a;nonsense", "a", "", true},
                 {"a @ https://x/y;z ; os_name=='nt'", "a", "", false}};
    static const char *const wrong[] = {"", "-e .", "a==junk==", "[x]", "a[b", "==1"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_requirement one;
        if (!iw_requirement_parse(cases[i].text, "3.11.2", &one)) fail_msg("%s", cases[i].text);
        assert_string_equal(one.name, cases[i].name);
        assert_string_equal(one.conditions, cases[i].conditions);
        if (one.applies != cases[i].applies) fail_msg("%s: %d", cases[i].text, one.applies);
        iw_requirement_clear(&one);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        iw_requirement one;
        if (iw_requirement_parse(wrong[i], "3.11.2", &one)) fail_msg("read: %s", wrong[i]);
        iw_requirement_clear(&one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_markers),
                                       cmocka_unit_test(test_requirements)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
