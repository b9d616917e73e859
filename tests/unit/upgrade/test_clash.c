#include "../check.h"

#include <stdio.h>

#include "upgrade/clash.h"

static const char *said(const char *line)
{
    static char text[200];
    iw_clash clash;
    if (!iw_clash_read(iw_slice_of(line), "3.11.15", &clash)) return "none";
    snprintf(text, sizeof text, "%s wants %s %s", clash.asks, clash.need.name,
             clash.need.conditions);
    iw_clash_clear(&clash);
    return text;
}

static void test_read(void **state)
{
    (void)state;
    assert_string_equal(
        said("  sympy 1.14.0 has requirement mpmath<1.4,>=1.1.0, but you have mpmath 1.4.1.\n"),
        "sympy wants mpmath <1.4,>=1.1.0");
    assert_string_equal(said("Flask-Sock 1 requires simple.websocket, which is not installed."),
                        "flask-sock wants simple-websocket ");
    assert_string_equal(said("a 1 has requirement b[c]~=2.0; python_version > \"3\", but you have "
                             "b 3.0."),
                        "a wants b ~=2.0");
    assert_string_equal(said("No broken requirements found."), "none");
    assert_string_equal(said("a 1 has requirement , but you have b 3."), "none");
    assert_string_equal(said("a 1 has requirement b<2"), "none");
    assert_string_equal(said(""), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
