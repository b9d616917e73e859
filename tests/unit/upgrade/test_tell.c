/* A bump of many packages as a table. */
#include "../check.h"

#include <jansson.h>

#include "base/memory.h"
#include "upgrade/tell.h"

static void test_markdown(void **state)
{
    (void)state;
    json_t *reports =
        json_loads("[{\"name\": \"torch\", \"from\": \"2.7.0+cu126\", \"to\": \"2.11.0+cu128\", "
                   "\"verdict\": \"bumped\","
                   "  \"cuda\": {\"from\": \"12.6\", \"to\": \"12.8\", \"driver\": \"570.26\"}},"
                   " {\"name\": \"bell\", \"from\": \"1\", \"verdict\": \"kept back\", \"cause\": "
                   "\"a|b <c>\\nand more\"}]",
                   0, NULL);
    iw_cleanup_free char *text = iw_bump_markdown(reports), *table = iw_bump_table(reports);
    assert_string_equal(text, "| package | from | to | what came of it | why |\n"
                              "| --- | --- | --- | --- | --- |\n"
                              "| torch | 2.7.0+cu126 | 2.11.0+cu128 | bumped | CUDA 12.8, which "
                              "asks for driver >= 570.26 |\n"
                              "| bell | 1 | – | kept back | a\\|b &lt;c> |\n");
    assert_string_equal(table, "torch    2.7.0+cu126  2.11.0+cu128  bumped: CUDA 12.8, which asks "
                               "for driver >= 570.26\n"
                               "bell     1                          kept back: a|b <c>\n");
    json_decref(reports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
