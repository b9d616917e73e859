/* Runs the fuzz target over its corpus, without the fuzzer: tests/fuzz/corpus/wrap, each file once. */
#include "kit.h"

#include <dirent.h>

#include "../../fuzz/fuzz_wrap.c"

#define CORPUS "tests/fuzz/corpus/wrap"

static void test_corpus(void **state)
{
    (void)state;
    size_t count = 0;
    DIR *folder = opendir(CORPUS);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        size_t length;
        iw_cleanup_free char *data = kit_read(CORPUS, entry->d_name, &length);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data, length), 0);
        count++;
    }
    closedir(folder);
    assert_true(count >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests_name("wrap corpus", tests, NULL, NULL);
}
