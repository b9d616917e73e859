/* What the kits of several rooms share: cmocka, and failures that print the error. */
#ifndef IW_TESTS_CHECK_H
#define IW_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define kit_ok(call) kit_check((call), &err, #call, __FILE__, __LINE__)

static inline void kit_check(int status, iw_error *err, const char *what, const char *file,
                             int line)
{
    if (status == 0) return;
    print_error("%s: %s\n", what, iw_error_text(err));
    iw_error_clear(err);
    _fail(file, line);
}

/* The call fails with this kind, and its text holds `part`. */
#define kit_fails(call, kind_, part)                                                               \
    do {                                                                                           \
        iw_error_clear(&err);                                                                      \
        assert_int_equal((call), -1);                                                              \
        if (err.kind != (kind_) || !strstr(iw_error_text(&err), (part)))                           \
            print_error("got kind %d: %s\n", (int)err.kind, iw_error_text(&err));                  \
        assert_int_equal(err.kind, (kind_));                                                       \
        assert_non_null(strstr(iw_error_text(&err), (part)));                                      \
        iw_error_clear(&err);                                                                      \
    } while (0)

#endif
