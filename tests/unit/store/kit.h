/* What the tests of `store` share: a fresh folder, small trees, failures that print the error. */
#ifndef IW_TESTS_STORE_KIT_H
#define IW_TESTS_STORE_KIT_H

#include "../folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"
#include "store/store.h"

static inline void kit_expect(const char *folder, const char *path, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    char *full = iw_path_join(folder, path), *data = NULL;
    kit_ok(iw_read_file(full, 1 << 24, &data, NULL, &err));
    assert_string_equal(data, text);
    free(data);
    free(full);
}

/* Turns one bit of the file over; it may be read-only. */
static inline void kit_flip(const char *path, long offset)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(chmod(path, 0644), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte;
    assert_true(fd >= 0);
    if (offset < 0) offset += status.st_size;
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
    assert_int_equal(chmod(path, status.st_mode & 0777), 0);
}

#endif
