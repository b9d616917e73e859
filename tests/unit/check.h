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

static inline void kit_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part)) fail_msg("\"%s\" isn't in: %s", part, text ? text : "(null)");
}

static inline void kit_has_not(const char *text, const char *part)
{
    if (text && strstr(text, part)) fail_msg("\"%s\" is in: %s", part, text);
}

/* The call fails with this kind, and its text holds `part`; `err` keeps it. */
#define kit_fails_with(call, kind_, part)                                                          \
    do {                                                                                           \
        iw_error_clear(&err);                                                                      \
        int kit_status_ = (call);                                                                  \
        if (kit_status_ != -1 || err.kind != (kind_))                                              \
            print_error("got %d, kind %d: %s\n", kit_status_, (int)err.kind, iw_error_text(&err)); \
        assert_int_equal(kit_status_, -1);                                                         \
        assert_int_equal(err.kind, (kind_));                                                       \
        kit_has(iw_error_text(&err), (part));                                                      \
    } while (0)

/* The same, and `err` is cleared. */
#define kit_fails(call, kind_, part)                                                               \
    do {                                                                                           \
        kit_fails_with(call, kind_, part);                                                         \
        iw_error_clear(&err);                                                                      \
    } while (0)

#endif
