/* Runs the fuzz target over its corpus, without the fuzzer: tests/fuzz/corpus/oci, each file
 * once. */
#define CORPUS "tests/fuzz/corpus/oci"

#include "../../fuzz/fuzz_oci.c"

#include "../corpus.h"

static void test_corpus(void **state)
{
    (void)state;
    replay_corpus(replay_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests_name("oci corpus", tests, NULL, NULL);
}
