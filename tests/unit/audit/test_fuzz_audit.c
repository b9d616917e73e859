/* Runs the fuzz target over its corpus, without the fuzzer: tests/fuzz/corpus/audit, each file
 * once, and each again cut short and with bytes changed. */
#define CORPUS "tests/fuzz/corpus/audit"

#include "../../fuzz/fuzz_audit.c"

#include "../corpus.h"

static void replay(uint8_t *data, size_t length)
{
    assert_int_equal(LLVMFuzzerTestOneInput(data, length), 0);
    for (size_t i = 1; i <= 8; i++)
        assert_int_equal(LLVMFuzzerTestOneInput(data, length * i / 9), 0);
    uint64_t seed = length * 2654435761u + 1;
    for (unsigned i = 0; i < 40 && length > 1; i++) {
        for (unsigned k = 0; k < 3; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            data[1 + (seed >> 33) % (length - 1)] = (uint8_t)(seed >> 25);
        }
        assert_int_equal(LLVMFuzzerTestOneInput(data, length), 0);
    }
}

static void test_corpus(void **state)
{
    (void)state;
    replay_corpus(replay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests_name("audit corpus", tests, NULL, NULL);
}
