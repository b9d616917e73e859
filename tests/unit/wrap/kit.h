/* What the tests of `wrap` share: a fresh folder, files in it, golden files, the profile's policy.
 */
#ifndef IW_TESTS_WRAP_KIT_H
#define IW_TESTS_WRAP_KIT_H

#include "../folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "wrap/policy.h"

static inline void kit_put(const char *folder, const char *name, const void *data, size_t length)
{
    kit_write(folder, name, data, length, 0644);
}

/* Clocks of files tick in steps (10 ms at most): what is written after this differs from what was
 * before. */
static inline void kit_tick(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* Text against a file below tests/cases/wrap; IW_REBASE=1 writes it anew, for a person to review.
 */
static inline void kit_golden(const char *file, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    if (getenv("IW_REBASE")) {
        kit_ok(iw_write_file(file, text, strlen(text), 0644, &err));
        return;
    }
    iw_cleanup_free char *wanted = NULL;
    kit_ok(iw_read_file(file, 1 << 20, &wanted, NULL, &err));
    assert_string_equal(text, wanted);
}

static inline void kit_expect(const char *path, const char *text)
{
    iw_cleanup_free char *got = kit_read(".", path, NULL);
    assert_string_equal(got, text);
}

/* An entry of the object cache, cut at every length and with any bit turned over: never a hit. It
 * is whole again afterwards. */
static inline void kit_damage(const char *path, bool (*get)(void *job), void *job)
{
    size_t length;
    iw_cleanup_free char *whole = kit_read(".", path, &length), *copy = iw_alloc(length + 1);
    for (size_t cut = 0; cut < length; cut++) {
        kit_put(".", path, whole, cut);
        if (get(job)) fail_msg("a hit after %zu of %zu bytes", cut, length);
    }
    for (size_t at = 0; at < length; at++) {
        memcpy(copy, whole, length);
        copy[at] ^= (char)(1 << at % 8);
        kit_put(".", path, copy, length);
        if (get(job)) fail_msg("a hit with byte %zu changed", at);
    }
    kit_put(".", path, whole, length);
}

/* Profile k10's, cut short; sources at /build/src. Its owner clears it. */
static inline void kit_policy(iw_policy *policy)
{
    static const char *const flags[] = {"-march=amdfam10", "-mtune=amdfam10", "-msse2", "-msse4a",
                                        "-mno-ssse3",      "-mno-avx",        NULL};
    static const char *const maps[] = {"/build=..", "/build/src=.", NULL};
    *policy = (iw_policy){.assembler_march = iw_strdup("amdfam10+cx16"),
                          .rust_cpu = iw_strdup("amdfam10"),
                          .source = iw_strdup("/build/src"),
                          .folder = "/build/src"};
    iw_strings_add_all(&policy->flags, flags);
    iw_strings_add_all(&policy->maps, maps);
}

#endif
