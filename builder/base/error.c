#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void fill(iw_error *err, iw_error_kind kind, int sys, char *message)
{
    free(err->message);
    err->kind = kind;
    err->sys = sys;
    err->message = message;
}

int iw_fail(iw_error *err, iw_error_kind kind, const char *format, ...)
{
    if (!err) return -1;
    va_list arguments;
    va_start(arguments, format);
    char *message = iw_vformat(format, arguments);
    va_end(arguments);
    fill(err, kind, 0, message);
    return -1;
}

int iw_fail_errno(iw_error *err, iw_error_kind kind, const char *format, ...)
{
    int sys = errno;
    if (!err) return -1;
    va_list arguments;
    va_start(arguments, format);
    char *what = iw_vformat(format, arguments);
    va_end(arguments);
    char *message = iw_format("%s: %s", what, strerror(sys));
    free(what);
    fill(err, kind, sys, message);
    errno = sys;
    return -1;
}

int iw_wrap(iw_error *err, const char *format, ...)
{
    if (!err) return -1;
    va_list arguments;
    va_start(arguments, format);
    char *context = iw_vformat(format, arguments);
    va_end(arguments);
    char *message = iw_format("%s: %s", context, iw_error_text(err));
    free(context);
    fill(err, err->kind, err->sys, message);
    return -1;
}

void iw_error_clear(iw_error *err)
{
    fill(err, IW_E_NONE, 0, NULL);
}

void iw_error_move(iw_error *to, iw_error *from)
{
    if (to) {
        fill(to, from->kind, from->sys, from->message);
        from->message = NULL;
    }
    iw_error_clear(from);
}

const char *iw_error_text(const iw_error *err)
{
    return err->message ? err->message : "no error";
}

int iw_error_exit_status(iw_error_kind kind)
{
    switch (kind) {
    case IW_E_NONE: return 0;
    case IW_E_USAGE:
    case IW_E_RECIPE:
    case IW_E_ENVIRONMENT: return 2;
    case IW_E_CANCELLED: return 130;
    default: return 1;
    }
}
