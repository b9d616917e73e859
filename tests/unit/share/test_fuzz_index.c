/* Runs the fuzz target over its corpus, without the fuzzer: tests/fuzz/corpus/index, each file
 * once. */
#define CORPUS "tests/fuzz/corpus/index"

#include "../../fuzz/fuzz_index.c"

#include "../corpus.h"

static void test_corpus(void **state)
{
    (void)state;
    replay_corpus(replay_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests_name("index corpus", tests, NULL, NULL);
}
