/* Text in columns, held against the C library's idea of UTF-8 and of widths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "frame_check.h"
#include "ui/columns.h"

/* No terminal that follows the C library draws a character wider than we count it. */
static void test_widths(void **state)
{
    (void)state;
    for (int32_t point = 0; point <= 0x10ffff; point++) {
        int ours = iw_columns_of(point), theirs = wcwidth((wchar_t)point);
        if (ours >= 0 && theirs > ours)
            fail_msg("U+%04X: %d columns, but the C library says %d", (unsigned)point, ours,
                     theirs);
        if (point && theirs < 0 && ours == 0)
            fail_msg("U+%04X: counts nothing, but is no character", (unsigned)point);
    }
    assert_int_equal(iw_columns_of(-1), -1);
    assert_int_equal(iw_columns_of('a'), 1);
    assert_int_equal(iw_columns_of(0x4e00), 2);
    assert_int_equal(iw_columns_of(0x301), 0);
    assert_int_equal(iw_columns_of(0x202e), -1);
}

/* All sequences of up to three bytes, and four-byte ones at the edges. */
static void same_as_library(const char *bytes)
{
    size_t length;
    int32_t ours = iw_columns_decode(bytes, &length);
    wchar_t c = 0;
    mbstate_t state = {0};
    size_t theirs = mbrtowc(&c, bytes, strlen(bytes) + 1, &state);
    if (theirs > 4 || c > 0x10ffff) { /* the library takes more than Unicode has */
        assert_int_equal(ours, -1);
        assert_int_equal(length, 1);
    } else {
        assert_int_equal(ours, (int32_t)c);
        assert_int_equal(length, theirs ? theirs : 1);
    }
}

static void test_decode(void **state)
{
    (void)state;
    for (unsigned first = 1; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (unsigned third = 0; third < 256; third += first < 0xe0 ? 37 : 1) {
                same_as_library((const char[]){(char)first, (char)second, (char)third, 0, 0});
                if (first >= 0xf0 && third % 16 == 0)
                    same_as_library(
                        (const char[]){(char)first, (char)second, (char)third, (char)0xbf, 0});
            }
}

static void check_add(const char *text, size_t width, bool ascii, const char *expected)
{
    iw_cleanup_buffer iw_buffer out = {0};
    size_t used = iw_columns_add(&out, text, width, ascii);
    assert_string_equal(out.data ? out.data : "", expected);
    assert_int_equal(used, iw_columns_measure(expected, strlen(expected)));
    assert_true(used <= width);
}

static void test_lines(void **state)
{
    (void)state;
    const char *const pairs[][2] = {{"", ""},
                                    {"one", "one"},
                                    {"one\n\ntwo\n", "one\n\ntwo\n"},
                                    {"a\033[2J\nb\r\033]0;c\a\n\xff",
                                     "a\\x1b[2J\nb\\r\\x1b]0;c\\x07\n\\xff"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        iw_cleanup_free char *lines = iw_columns_lines(pairs[i][0]);
        assert_string_equal(lines, pairs[i][1]);
    }
}

static void test_add(void **state)
{
    (void)state;
    check_add("numpy/1.26.4", 80, false, "numpy/1.26.4");
    check_add("numpy/1.26.4", 12, false, "numpy/1.26.4");
    check_add("numpy/1.26.4", 11, false, "numpy/1.26…");
    check_add("numpy/1.26.4", 11, true, "numpy/1.26.");
    check_add("numpy", 2, false, "n…");
    check_add("numpy", 1, false, "n");
    check_add("numpy", 0, false, "");
    check_add("", 5, false, "");
    check_add("\033[31mred\n\r\t\x7f", 80, false, "\\x1b[31mred\\n\\r \\x7f");
    check_add("\033[31m", 3, false, "…"); /* no half escape */
    check_add("a\xffz", 80, false, "a\\xffz");
    check_add("\xe2\x80\xae"
              "abc",
              80, false, "\\u202eabc");
    check_add("\xc2\x9b", 80, false, "\\u009b");
    check_add("\xf3\xa0\x80\x81", 80, false, "\\U0e0001");
    check_add("数数数", 6, false, "数数数");
    check_add("数数数", 5, false, "数数…");
    check_add("数数数", 4, false, "数…");
    check_add("é数", 80, true, "\\u00e9\\u6570");
    check_add("e\xcc\x81t", 2, false, "e\xcc\x81t");
}

static void test_measure(void **state)
{
    (void)state;
    static const char line[] = "\033[1mnumpy\033[0m 数 12/34";
    assert_int_equal(iw_columns_measure(line, strlen(line)), 5 + 1 + 2 + 1 + 5);
    assert_int_equal(iw_columns_measure(line, 4), 0);
    assert_int_equal(iw_columns_measure("", 0), 0);
}

static void check_settle(const char *line, const char *expected)
{
    iw_cleanup_free char *settled = iw_columns_settle(line);
    assert_string_equal(settled, expected);
}

static void test_settle(void **state)
{
    (void)state;
    check_settle("", "");
    check_settle("  [1/2] cc \r", "[1/2] cc");
    check_settle(" 10%\r 20%\r 30%", "30%");
    check_settle("\033[32m[ 50%] \033[1mBuilding\033[0m", "[ 50%] Building");
    check_settle("\033]0;title\atext\033]8;;http://localhost/\033\\link\033]8;;\033\\", "textlink");
    check_settle("\033[", "");
    check_settle("\033", "");
    check_settle("a\033(Bb\0337c", "abc");
    check_settle("\033]never ended", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),  cmocka_unit_test(test_decode),
        cmocka_unit_test(test_add),     cmocka_unit_test(test_lines),
        cmocka_unit_test(test_measure), cmocka_unit_test(test_settle),
    };
    if (!use_utf8()) return 1;
    return cmocka_run_group_tests_name("columns", tests, NULL, NULL);
}
