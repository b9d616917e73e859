/* What the tests of `emulate` share: a fresh folder per test, programs made by the host's gcc,
 * failures that print the error. */
#ifndef IW_TESTS_EMULATE_KIT_H
#define IW_TESTS_EMULATE_KIT_H

#include "../folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "base/text.h"

/* A program of ours, from the folder that IW_HELPERS names; caller frees. */
static inline char *kit_helper(const char *name)
{
    const char *folder = getenv("IW_HELPERS");
    if (!folder) fail_msg("IW_HELPERS isn't set; run the tests by make");
    return iw_path_join(folder, name);
}

#endif
