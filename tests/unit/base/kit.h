/* What the tests of `base` share: a fresh folder per test, and failures that print the error. */
#ifndef IW_TESTS_BASE_KIT_H
#define IW_TESTS_BASE_KIT_H

#include "../folder.h"

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
#define kit_equal(call, wanted)                                                                    \
    do {                                                                                           \
        char *kit_got_ = (call);                                                                   \
        assert_string_equal(kit_got_, (wanted));                                                   \
        free(kit_got_);                                                                            \
    } while (0)

#endif
