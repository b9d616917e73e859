/* Runs the fuzz target over its corpus, without the fuzzer: tests/fuzz/corpus/report, each file
 * once. */
#define CORPUS "tests/fuzz/corpus/report"

#include "../../fuzz/fuzz_report.c"

#include "../corpus.h"

static void test_corpus(void **state)
{
    (void)state;
    replay_corpus(replay_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests_name("report corpus", tests, NULL, NULL);
}
