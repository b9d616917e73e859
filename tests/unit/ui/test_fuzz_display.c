/* Runs the fuzz target over its corpus, without the fuzzer: tests/fuzz/corpus/display, each file once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

#include "../../fuzz/fuzz_display.c"

#define CORPUS "tests/fuzz/corpus/display"

static void test_corpus(void **state)
{
    (void)state;
    size_t count = 0;
    DIR *folder = opendir(CORPUS);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        iw_cleanup_free char *path = iw_path_join(CORPUS, entry->d_name), *data = NULL;
        size_t length;
        assert_int_equal(iw_read_file(path, 4 << 20, &data, &length, NULL), 0);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data, length), 0);
        count++;
    }
    closedir(folder);
    assert_true(count >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests_name("display corpus", tests, NULL, NULL);
}
