/* What the tests of `wrap` share: a fresh folder, files in it, golden files, the profile's policy.
 */
#ifndef IW_TESTS_WRAP_KIT_H
#define IW_TESTS_WRAP_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

/* A fresh folder. */
static inline int kit_setup(void **state)
{
    char *folder = NULL;
    if (iw_temporary_folder("/tmp", "iw-wrap-", &folder, NULL) != 0) return -1;
    *state = folder;
    return 0;
}

static inline int kit_teardown(void **state)
{
    iw_remove_tree(*state, NULL);
    free(*state);
    return 0;
}

static inline void kit_put(const char *folder, const char *name, const void *data, size_t length)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(folder, name), *parent = iw_path_parent(path);
    kit_ok(iw_make_folders(parent, 0755, &err));
    kit_ok(iw_write_file(path, data, length, 0644, &err));
}

static inline void kit_text(const char *folder, const char *name, const char *text)
{
    kit_put(folder, name, text, strlen(text));
}

/* Caller frees. */
static inline char *kit_read(const char *folder, const char *name, size_t *length)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(folder, name);
    char *text = NULL;
    kit_ok(iw_read_file(path, 64 << 20, &text, length, &err));
    return text;
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
