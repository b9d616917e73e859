/* The replay of a fuzz target's corpus without the fuzzer. CORPUS names the folder; the target's
 * source is included before. */
#ifndef IW_TESTS_CORPUS_H
#define IW_TESTS_CORPUS_H

#include "check.h"

#include <dirent.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

/* Calls `one` with each file of the corpus; there must be at least 20. */
static inline void replay_corpus(void (*one)(uint8_t *data, size_t length))
{
    size_t count = 0;
    DIR *folder = opendir(CORPUS);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        iw_cleanup_free char *path = iw_path_join(CORPUS, entry->d_name), *data = NULL;
        size_t length;
        assert_int_equal(iw_read_file(path, 4 << 20, &data, &length, NULL), 0);
        one((uint8_t *)data, length);
        count++;
    }
    closedir(folder);
    assert_true(count >= 20);
}

static inline void replay_once(uint8_t *data, size_t length)
{
    assert_int_equal(LLVMFuzzerTestOneInput(data, length), 0);
}

#endif
