/* The object cache for Rust's libraries, as the wrapper sees it: what rustc reads for one decides
 * what it gives. What rustc links (programs, procedural macros, libraries for C) is made again:
 * that takes the system's linker and every library below. Internal to `iw-cc`. Format of an entry:
 * entry.h, rust.c. */
#ifndef IW_WRAP_RUST_H
#define IW_WRAP_RUST_H

#include <stdbool.h>
#include <time.h>

#include "base/text.h"
#include "wrap/policy.h"

typedef enum iw_rust_file { IW_RUST_DEP_INFO, IW_RUST_METADATA, IW_RUST_LIBRARY } iw_rust_file;
#define IW_RUST_FILES 3

/* A call of rustc that makes a library. Texts are borrowed from the arguments, but for `files`. */
typedef struct iw_rust {
    const char *source, *name, *extra, *folder; /* of -C extra-filename, --out-dir */
    iw_strings externs;         /* of --extern with a file: libraries and macros that it names */
    iw_strings natives;         /* folders of -L native= */
    bool wants[IW_RUST_FILES];  /* of --emit */
    char *files[IW_RUST_FILES]; /* what is written, for each that is wanted; else NULL */
    const char *uncacheable;    /* what makes or reads more than is looked at: static text or an
                                   argument; NULL: nothing */
} iw_rust;

/* `argv` without argv[0]; it must outlive `out`, which is cleared with iw_rust_clear. */
void iw_rust_parse(const iw_policy *policy, const iw_strings *argv, iw_rust *out);
void iw_rust_clear(iw_rust *rust);

/* False where something that counts can't be read, or is too much to be worth it. */
bool iw_rust_key(const iw_policy *policy, const iw_strings *argv, const iw_rust *rust,
                 char key[65]);
/* Puts the files in place and prints what rustc had said, cargo's messages among it. False: not
 * there, changed inputs, or damaged. */
bool iw_rust_get(const char *folder, const char *key, const iw_rust *rust);
/* Keeps what a call gave and said; `started`: CLOCK_REALTIME_COARSE before it. Failures are silent,
 * the next one compiles again: false. */
bool iw_rust_put(const char *folder, const char *key, const iw_rust *rust, const iw_buffer *said,
                 const struct timespec *started);

#endif
