/* What failures teach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "upgrade/learn.h"

static void test_lessons(void **state)
{
    (void)state;
    static const struct {
        const char *message, *log;
        iw_lesson_kind kind;
        const char *what, *missing, *debian;
        bool run;
    } cases[] = {
        {"step `compile` ended with status 1",
         "  File \"x\"\n  ModuleNotFoundError: No module named 'skbuild'\n", IW_LESSON_PYTHON_NEED,
         "scikit-build", "skbuild", NULL, false},
        {"step",
         "pip._vendor.pyproject_hooks._impl.BackendUnavailable: Cannot import 'poetry.core'",
         IW_LESSON_PYTHON_NEED, "poetry-core", "poetry.core", NULL, false},
        {"1 of 2 checks of stack new-x failed:\n  import x of x (k10, qemu): ModuleNotFoundError: "
         "No "
         "module named 'yaml'\n",
         "", IW_LESSON_PYTHON_NEED, "pyyaml", "yaml", NULL, true},
        {"step", "a.c:1:10: fatal error: zlib.h: No such file or directory", IW_LESSON_NEED, "zlib",
         "zlib.h", "zlib1g-dev", false},
        {"step", "a.c:1:10: fatal error: libxml/xmlversion.h: No such file or directory",
         IW_LESSON_NEED, "libxml2", "libxml/xmlversion.h", "libxml2-dev", false},
        {"step", "a.c:1:10: fatal error: nobody/knows.h: No such file or directory", IW_LESSON_NEED,
         NULL, "nobody/knows.h", NULL, false},
        {"step", "/usr/bin/ld: cannot find -lopenblas: No such file", IW_LESSON_NEED, "openblas",
         "openblas", "libopenblas-dev", false},
        {"step", "meson.build:3:0: ERROR: Dependency \"openblas\" not found, tried pkgconfig",
         IW_LESSON_NEED, "openblas", "openblas", "libopenblas-dev", false},
        {"step",
         "  Error: Please make sure the libxml2 and libxslt development packages are installed.",
         IW_LESSON_NEED, "libxslt", "libxslt", "libxslt1-dev", false},
        {"contourpy/1.3.3 failed in pack: finishing contourpy: 2 files of contourpy still hold a "
         "path of the build:\n  lib/contourpy/util/_build_config.py holds /opt/iw-prefix at byte "
         "12\nMake",
         "", IW_LESSON_QUESTION,
         "it installs lib/contourpy/util/_build_config.py, which holds a path of the build: can "
         "the package compute it, or do without that file (`remove`)?",
         NULL, NULL, false},
        {"step", "/bin/sh: 1: swig: not found", IW_LESSON_TOOL, NULL, "swig", "swig", false},
        {"step", "Error: pg_config executable not found.", IW_LESSON_TOOL, NULL, "pg_config",
         "libpq-dev", false},
        {"x/1 failed in compile: a build step tried to reach 192.0.2.7:443: everything it needs "
         "must be a source",
         "ModuleNotFoundError: No module named 'x'", IW_LESSON_QUESTION,
         "its build tried to reach 192.0.2.7:443: what does it want there, and can a pinned source "
         "bring it?",
         NULL, NULL, false},
        {"step", "configuration error: `project.license` must be valid exactly by one definition",
         IW_LESSON_PYTHON_NEED, "setuptools", "a licence as an expression", NULL, false},
        {"step", "LookupError: setuptools-scm was unable to detect version for /build/src.",
         IW_LESSON_ENVIRONMENT, "SETUPTOOLS_SCM_PRETEND_VERSION=1.2", NULL, NULL, false},
        {"new-x would hold two versions of setuptools: 75 (a) and 80 (b)", "", IW_LESSON_PIN,
         "setuptools", NULL, NULL, false},
        {"shared libraries are missing in the bundle, and are not glibc's own:\n  "
         "lib/python3.11/site-packages/x/a.so needs libstdc++.so.6\nAdd",
         "", IW_LESSON_NEED, "libstdc++", "libstdc++.so.6", NULL, true},
        {"2 files of stack new-x hold instructions that k10 doesn't have:\n  lib/x.so\n", "",
         IW_LESSON_DENY_FLAGS, NULL, NULL, NULL, false},
        {"step",
         "a.c:7: error: inlining failed in call to 'always_inline' '_mm_x': target specific "
         "option mismatch",
         IW_LESSON_DENY_FLAGS, NULL, NULL, NULL, false},
        {"step `compile` ended", "one\nerror: the sky fell\nERROR: Failed building wheel for x\n",
         IW_LESSON_NONE, "error: the sky fell", NULL, NULL, false},
        {"it stopped\nthere", "nothing to see", IW_LESSON_NONE, "it stopped", NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_lesson lesson;
        iw_learn("x", "1.2", cases[i].message, cases[i].log, &lesson);
        if (lesson.kind != cases[i].kind)
            fail_msg("case %zu: kind %d (%s)", i, (int)lesson.kind,
                     lesson.what ? lesson.what : "-");
        if (cases[i].what) assert_string_equal(lesson.what, cases[i].what);
        else assert_null(lesson.what);
        if (cases[i].missing) assert_string_equal(lesson.missing, cases[i].missing);
        if (cases[i].debian) assert_string_equal(lesson.debian, cases[i].debian);
        assert_int_equal(lesson.run, cases[i].run);
        iw_lesson_clear(&lesson);
    }
}

static void test_rust(void **state)
{
    (void)state;
    iw_lesson lesson;
    iw_learn("x", "1", "step",
             "error: package `a v1` cannot be built because it requires rustc 1.88 "
             "or newer, while the currently active rustc version is 1.85.0\n",
             &lesson);
    assert_int_equal(lesson.kind, IW_LESSON_QUESTION);
    assert_non_null(strstr(lesson.what, "rustc 1.88"));
    iw_lesson_clear(&lesson);
}

static void test_libraries(void **state)
{
    (void)state;
    assert_string_equal(iw_library_recipe("libz.so.1"), "zlib");
    assert_string_equal(iw_library_recipe("libgfortran.so.5"), "gcc-runtime");
    assert_null(iw_library_recipe("libnobody.so.1"));
}

static void test_all_libraries(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings recipes = {0}, none = {0}, unknown = {0};
    assert_true(iw_missing_libraries(
        "the environment of stack x: shared libraries are missing in the bundle, and are not "
        "glibc's own:\n  lib/a b.so needs libstdc++.so.6\n  lib/c.so needs libstdc++.so.6\n  "
        "lib/c.so needs liblz4.so.1\n  lib/d.so needs word.so and more\nAdd the package that has "
        "them",
        &recipes));
    assert_int_equal(recipes.count, 2);
    assert_string_equal(recipes.items[0], "libstdc++");
    assert_string_equal(recipes.items[1], "lz4");
    assert_false(iw_missing_libraries("check x failed: it needs libz.so.1", &none));
    assert_false(iw_missing_libraries("shared libraries are missing:\n  lib/a.so needs libz.so.1\n "
                                      " lib/a.so needs libnobody.so.3\n",
                                      &unknown));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lessons),
        cmocka_unit_test(test_rust),
        cmocka_unit_test(test_libraries),
        cmocka_unit_test(test_all_libraries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
