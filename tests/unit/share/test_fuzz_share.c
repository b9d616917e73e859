/* Runs the fuzz target over its corpus, without the fuzzer: tests/fuzz/corpus/share, each file
 * once. */
#define CORPUS "tests/fuzz/corpus/share"

#include "../../fuzz/fuzz_share.c"

#include "../corpus.h"

static void test_corpus(void **state)
{
    (void)state;
    replay_corpus(replay_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests_name("share corpus", tests, NULL, NULL);
}
