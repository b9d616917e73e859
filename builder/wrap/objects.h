/* The object cache, as the wrapper sees it: what a compile reads decides what it gives. Internal to
 * `iw-cc`. Format of an entry: entry.h, objects.c. */
#ifndef IW_WRAP_OBJECTS_H
#define IW_WRAP_OBJECTS_H

#include <stdbool.h>
#include <time.h>

#include "base/text.h"
#include "wrap/command.h"
#include "wrap/policy.h"

typedef struct iw_object_key {
    char text[65];   /* SHA-256, hex */
    char source[65]; /* the source's */
} iw_object_key;

/* Whether a compile may be cached at all; the reason where not: static text, or an option of the
 * caller's. */
bool iw_object_cacheable(const iw_compile *compile, const char **reason);
/* False where the source can't be read. `argv` is the effective one. */
bool iw_object_key_make(const iw_policy *policy, const char *tool, const iw_strings *argv,
                        const iw_compile *compile, iw_object_key *key);
/* Puts the object (and the dependency file, where `depfile` isn't NULL) in place and prints what
 * the compiler had said. False: not there, changed inputs, or damaged. */
bool iw_object_get(const char *folder, const iw_object_key *key, const char *output,
                   const char *depfile);
/* What a compile gave. */
typedef struct iw_object_result {
    const char *dependencies; /* the make-style file to read inputs from, or NULL where the source
                                 is the only one */
    const char *depfile;      /* the one that the user asked for, or NULL */
    const char *said;         /* on standard error */
    size_t said_length;
    struct timespec started; /* CLOCK_REALTIME_COARSE, before the compile: an input that changed
                                since then is not what was read */
} iw_object_result;

/* Keeps it. Failures are silent, the next one compiles again: false. */
bool iw_object_put(const char *folder, const iw_object_key *key, const iw_policy *policy,
                   const iw_compile *compile, const iw_object_result *result);

#endif
