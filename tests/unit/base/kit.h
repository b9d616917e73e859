/* What the tests of `base` share: a fresh folder per test, and failures that print the error. */
#ifndef IW_TESTS_BASE_KIT_H
#define IW_TESTS_BASE_KIT_H

#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

/* The text is this, and is freed. */
#define kit_text(call, wanted)                                                                     \
    do {                                                                                           \
        char *kit_got_ = (call);                                                                   \
        assert_string_equal(kit_got_, (wanted));                                                   \
        free(kit_got_);                                                                            \
    } while (0)

static inline int kit_setup(void **state)
{
    const char *parent = getenv("TMPDIR");
    char *folder = NULL;
    if (iw_temporary_folder(parent && *parent ? parent : "/tmp", "iw-base-", &folder, NULL))
        return -1;
    *state = folder;
    return 0;
}

static inline int kit_teardown(void **state)
{
    for (int point = 0; point < IW_FAULT_POINTS; point++) iw_fault_set((iw_fault_point)point, 0, 0);
    iw_remove_tree(*state, NULL);
    free(*state);
    return 0;
}

#endif
