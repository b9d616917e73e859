/* Comparing text with a file below tests/cases; IW_REBASE=1 writes it anew, for a person to review.
 */
#ifndef IW_TESTS_BUILD_GOLDEN_H
#define IW_TESTS_BUILD_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/memory.h"

static inline void iw_golden(const char *file, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    if (getenv("IW_REBASE")) {
        assert_int_equal(iw_write_file(file, text, strlen(text), 0644, &err), 0);
        return;
    }
    char *wanted = NULL;
    size_t length = 0;
    if (iw_read_file(file, 1 << 20, &wanted, &length, &err)) fail_msg("%s", iw_error_text(&err));
    assert_string_equal(text, wanted);
    free(wanted);
}

#endif
