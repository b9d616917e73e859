/* What each build system runs, and the environment that a step sees. */
#include "golden.h"

#include "build/steps.h"

#define LIST(...)                                                                                  \
    {                                                                                              \
        (const char *const[]){__VA_ARGS__, NULL},                                                  \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                            \
    }

static void describe(const iw_recipe *recipe, iw_buffer *out)
{
    iw_step steps[IW_STEP_LIMIT];
    size_t count = iw_steps_make(recipe, &iw_step_paths_boxed, steps);
    for (size_t i = 0; i < count; i++)
        iw_buffer_add_format(out, "[%s in %s]\n%s\n", steps[i].phase, steps[i].folder,
                             steps[i].script);
    iw_steps_free(steps, count);
}

static void every_system(void **state)
{
    (void)state;
    iw_buffer out = {0};
    const iw_list arguments =
        LIST("--enable-shared", "-DNAME=it's two words", "--with=${PREFIX}/x;y");
    for (int system = IW_SYSTEM_PYTHON; system <= IW_SYSTEM_SCRIPT; system++) {
        iw_recipe recipe = {.name = "x",
                            .build = {.system = (iw_system)system,
                                      .directory = "sub/dir",
                                      .optimise = "-O2",
                                      .arguments = arguments,
                                      .make = LIST("TARGET=BARCELONA", "all"),
                                      .install = LIST("A=b")}};
        iw_buffer_add_format(&out, "==== system %d\n", system);
        describe(&recipe, &out);
    }
    iw_recipe own = {.name = "x",
                     .build = {.system = IW_SYSTEM_AUTOTOOLS,
                               .directory = ".",
                               .optimise = "-O2",
                               .prepare = "one\ntwo",
                               .configure = "three",
                               .compile = "four",
                               .install_script = "five",
                               .finish = "six",
                               .install = LIST("install-strip")}};
    iw_buffer_add_text(&out, "==== own steps\n");
    describe(&own, &out);
    own.build.install_script = NULL;
    iw_buffer_add_text(&out, "==== own target\n");
    describe(&own, &out);
    static const iw_source wheel = {.kind = IW_SOURCE_PYPI, .file = "it's-1-py3-none-any.whl"};
    static const iw_patch patch = {.file = "0001-a.patch"};
    iw_recipe patched = {.name = "x",
                         .sources = &wheel,
                         .source_count = 1,
                         .patches = &patch,
                         .patch_count = 1,
                         .build = {.system = IW_SYSTEM_WHEEL, .directory = "."}};
    iw_buffer_add_text(&out, "==== a patched wheel\n");
    describe(&patched, &out);
    iw_golden("tests/cases/build/steps.txt", out.data);
    iw_buffer_free(&out);
}

static void environment_is_fixed(void **state)
{
    (void)state;
    static const iw_variable variables[] = {
        {"CFLAGS", "-O1 ${CFLAGS}"},
        {"WHERE", "${PREFIX}:${SRC}:${FILES}:${DESTDIR}:${JOBS}:${OTHER"}};
    iw_recipe recipe = {.name = "x",
                        .build = {.optimise = "-O3 -g0",
                                  .directory = ".",
                                  .environment = variables,
                                  .environment_count = 2}};
    iw_profile profile = {.openblas_target = "BARCELONA",
                          .numpy_baseline = "sse3",
                          .rust_cpu = "amdfam10"};
    iw_strings environment = {0};
    setenv("OPENBLAS_CORETYPE", "Haswell", 1);
    iw_step_environment(&recipe, &profile, &iw_step_paths_boxed, 6, &environment);
    iw_buffer out = {0};
    for (size_t i = 0; i < environment.count; i++)
        iw_buffer_add_format(&out, "%s\n", environment.items[i]);
    iw_golden("tests/cases/build/environment.txt", out.data);
    iw_buffer_free(&out);
    iw_strings_free(&environment);
}

static void quotes_for_the_shell(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"plain-1.0/x=y", "plain-1.0/x=y"}, {"", "''"},   {"a b", "'a b'"},  {"it's", "'it'\\''s'"},
        {"$(x)`y`\"z\"", "'$(x)`y`\"z\"'"}, {"~", "'~'"}, {"a\nb", "'a\nb'"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        iw_cleanup_free char *quoted = iw_shell_quote(pairs[i][0]);
        assert_string_equal(quoted, pairs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_system),
                                       cmocka_unit_test(environment_is_fixed),
                                       cmocka_unit_test(quotes_for_the_shell)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
