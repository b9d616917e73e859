/* One convention for failures: a function returns 0, or -1 with a caller-owned record filled in. */
#ifndef IW_BASE_ERROR_H
#define IW_BASE_ERROR_H

#include <stdarg.h>

/* What kind of failure it was; `cli` maps it to the exit status. */
typedef enum iw_error_kind {
    IW_E_NONE = 0,
    IW_E_USAGE,       /* the command line: exit 2 */
    IW_E_RECIPE,      /* a recipe, stack, profile or toolchain file: exit 2 */
    IW_E_ENVIRONMENT, /* this host lacks something, or a folder can't be used: exit 2 */
    IW_E_IO,          /* a system call failed: exit 1 */
    IW_E_NETWORK,     /* a download failed, and may work later: exit 1 */
    IW_E_DIGEST,      /* bytes are not the pinned ones: exit 1 */
    IW_E_FORMAT,      /* an archive, ELF file, index… is broken or hostile: exit 1 */
    IW_E_BUILD,       /* a build step failed: exit 1 */
    IW_E_CHECK,       /* a check failed: exit 1 */
    IW_E_NOT_FOUND,   /* what was asked for is not there: exit 1 */
    IW_E_CANCELLED,   /* Ctrl-C: exit 130 */
    IW_E_MEMORY       /* a bounded allocation was refused: exit 1 */
} iw_error_kind;

/* Zero-initialise with IW_ERROR_INIT. `message` is owned by the record; it says what, where, and
 * what to do next. */
typedef struct iw_error {
    iw_error_kind kind;
    int sys; /* errno of the failing call, or 0 */
    char *message;
} iw_error;

#define IW_ERROR_INIT                                                                              \
    {                                                                                              \
        IW_E_NONE, 0, 0                                                                            \
    }

/* Fills `err` (may be NULL: then only -1 is returned) and returns -1. A record that is full already
 * is replaced. */
int iw_fail(iw_error *err, iw_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: takes errno, and appends ": " and its text. */
int iw_fail_errno(iw_error *err, iw_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prepends "context: " to the message; keeps kind and errno. Returns -1. */
int iw_wrap(iw_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Frees the message and zeroes the record. */
void iw_error_clear(iw_error *err);

/* Moves the record: `*to` (`to` may be NULL: then it is lost) is cleared first, `*from` is empty
 * afterwards. */
void iw_error_move(iw_error *to, iw_error *from);

/* The message, or "no error"; borrowed. */
const char *iw_error_text(const iw_error *err);

/* Exit status for a kind, as in the README: 0, 1, 2 or 130. */
int iw_error_exit_status(iw_error_kind kind);

#endif
