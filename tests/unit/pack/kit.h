/* What the tests of `pack` share: a fresh folder per test, ELF files made by the host's gcc,
 * failures that print the error. */
#ifndef IW_TESTS_PACK_KIT_H
#define IW_TESTS_PACK_KIT_H

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

#endif
