/* Which Range headers are understood. */
#include "../check.h"

#include "share/serve.h"

static void check(const char *header, uint64_t size, bool part, bool refused, uint64_t first,
                  uint64_t length)
{
    uint64_t at = 0, count = 0;
    bool bad;
    assert_int_equal(iw_serve_range(header, size, &at, &count, &bad), part);
    assert_int_equal(bad, refused);
    if (!part) return;
    assert_int_equal(at, first);
    assert_int_equal(count, length);
}

static void test_ranges(void **state)
{
    (void)state;
    check("bytes=0-", 10, true, false, 0, 10);
    check("bytes=3-", 10, true, false, 3, 7);
    check("bytes=3-5", 10, true, false, 3, 3);
    check("bytes=3-500", 10, true, false, 3, 7);
    check("bytes=9-9", 10, true, false, 9, 1);
    check("bytes=-4", 10, true, false, 6, 4);
    check("bytes=-400", 10, true, false, 0, 10);
    check("bytes=10-", 10, false, true, 0, 0);
    check("bytes=0-", 0, false, true, 0, 0);
    check("bytes=-0", 10, false, true, 0, 0);
}

/* The whole is sent then, which is always right. */
static void test_not_understood(void **state)
{
    (void)state;
    static const char *const headers[] = {"bytes=5-3", "bytes=0-1,3-4",
                                          "lines=0-1", "bytes=",
                                          "bytes=a-b", "bytes=1",
                                          "bytes=--1", "bytes=99999999999999999999-",
                                          ""};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        check(headers[i], 10, false, false, 0, 0);
    check(NULL, 10, false, false, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges),
                                       cmocka_unit_test(test_not_understood)};
    return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
