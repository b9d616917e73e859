/* Which releases can be taken, from what an index says. */
#include "../check.h"

#include "base/memory.h"
#include "base/text.h"
#include "upgrade/candidates.h"

#define DIGEST "0000000000000000000000000000000000000000000000000000000000000000"
#define NOW 1800000000
#define DAY 86400

static iw_release_file file(const char *name, int64_t days_old)
{
    return (iw_release_file){.name = (char *)name,
                             .url = "http://127.0.0.1/x",
                             .sha256 = DIGEST,
                             .uploaded = NOW - days_old * DAY};
}

static const iw_source sdist = {.kind = IW_SOURCE_PYPI, .name = "Demo_.-Project"};
static const iw_source wheel = {.kind = IW_SOURCE_PYPI, .name = "demo-project", .wheel = true};
static const iw_candidate_rules usual = {
    .python = "3.11.2", .glibc = 36, .min_age = 7 * DAY, .now = NOW};

/* "version: reason\n…", "version\n" for what can be taken; caller frees. */
static char *told(const iw_source *source, const iw_release_file *files, size_t count,
                  const iw_candidate_rules *rules)
{
    iw_error err = IW_ERROR_INIT;
    iw_candidates list;
    iw_release_files all = {(iw_release_file *)files, count, count};
    iw_buffer out = {0};
    kit_ok(iw_candidates_pypi(source, &all, rules, &list, &err));
    for (size_t i = 0; i < list.count; i++)
        iw_buffer_add_format(&out, "%s%s%s\n", list.items[i].version,
                             list.items[i].passed ? ": " : "",
                             list.items[i].passed ? list.items[i].passed : "");
    iw_candidates_free(&list);
    return iw_buffer_take(&out);
}

static void test_reasons(void **state)
{
    (void)state;
    iw_release_file files[] = {file("demo_project-1.0.tar.gz", 900),
                               file("demo-project-1.1.zip", 800),
                               file("demo_project-1.2.tar.gz", 700),
                               file("demo_project-1.3rc1.tar.gz", 60),
                               file("demo_project-1.4-py3-none-any.whl", 50),
                               file("demo_project-1.5.tar.gz", 40),
                               file("demo_project-1.6.tar.gz", 30),
                               file("demo_project-1.7.dev1.tar.gz", 20),
                               file("demo_project-1.8.tar.gz", 7),
                               file("demo_project-1.9.tar.gz", 6),
                               file("demo_project-2.0.tar.gz", 3),
                               file("demo_project-2.0.post1.tar.gz", 400),
                               file("demo_project-1!0.1.tar.gz", 500),
                               file("other-9.tar.gz", 90),
                               file("demo_project-nonsense.tar.gz", 90),
                               file("demo_project-2.1+local.tar.gz", 90)};
    files[4].requires_python = ">=3.8";
    files[5].requires_python = ">=3.12";
    files[6].yanked = "broken";
    files[2].sha256 = NULL;
    files[11].uploaded = -1;
    iw_cleanup_free char *got = told(&sdist, files, sizeof files / sizeof *files, &usual);
    assert_string_equal(
        got, "1!0.1\n"
             "2.0.post1: the index doesn't say when it was published (`--min-age 0` takes it)\n"
             "2.0: published 3 days ago, less than the 7 days of `--min-age`\n"
             "1.9: published 6 days ago, less than the 7 days of `--min-age`\n"
             "1.8\n"
             "1.7.dev1: a pre-release\n"
             "1.6: yanked: broken\n"
             "1.5: needs Python >=3.12\n"
             "1.4: no sdist, only wheels\n"
             "1.3rc1: a pre-release\n"
             "1.2: the index tells no SHA-256 of its file\n"
             "1.1\n1.0\n");
}

static void test_the_edge_of_the_age(void **state)
{
    (void)state;
    iw_release_file one = file("demo-project-1.tar.gz", 7);
    iw_candidate_rules rules = usual;
    iw_cleanup_free char *exact = told(&sdist, &one, 1, &rules);
    assert_string_equal(exact, "1\n");
    rules.now--;
    iw_cleanup_free char *short_of_it = told(&sdist, &one, 1, &rules);
    assert_non_null(strstr(short_of_it, "1: published 6 days ago"));
    rules.min_age = 0;
    iw_cleanup_free char *any = told(&sdist, &one, 1, &rules);
    assert_string_equal(any, "1\n");
}

static void test_wrong_clock(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_release_file one = file("demo-project-1.tar.gz", 7);
    iw_release_files all = {&one, 1, 1};
    iw_candidates list;
    iw_candidate_rules rules = usual;
    rules.now = 1230768000; /* 2009: an empty CMOS battery */
    kit_fails(iw_candidates_pypi(&sdist, &all, &rules, &list, &err), IW_E_ENVIRONMENT,
              "clock is wrong");
    rules.now = one.uploaded - DAY; /* as far as clocks may differ */
    kit_ok(iw_candidates_pypi(&sdist, &all, &rules, &list, &err));
    iw_candidates_free(&list);
    rules.now = 0, rules.min_age = 0;
    kit_ok(iw_candidates_pypi(&sdist, &all, &rules, &list, &err));
    iw_candidates_free(&list);
}

static void test_wheels(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        unsigned fits; /* the order of those that do */
    } cases[] = {{"x-1-cp311-cp311-manylinux_2_28_x86_64.whl", 4},
                 {"x-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", 4},
                 {"x-1-1-cp311-cp311-manylinux1_x86_64.whl", 4},
                 {"x-1-cp39-abi3-manylinux2014_x86_64.whl", 3},
                 {"x-1-py3-none-manylinux2014_x86_64.whl", 2},
                 {"x-1-py2.py3-none-any.whl", 1},
                 {"x-1-cp311-cp311-manylinux_2_37_x86_64.whl", 0},
                 {"x-1-cp312-cp312-manylinux_2_28_x86_64.whl", 0},
                 {"x-1-cp312-abi3-manylinux_2_28_x86_64.whl", 0},
                 {"x-1-cp311-cp311-musllinux_1_2_x86_64.whl", 0},
                 {"x-1-cp311-cp311-win_amd64.whl", 0},
                 {"x-1-cp311-cp311-manylinux_2_28_aarch64.whl", 0},
                 {"x-1-cp311-cp311-macosx_10_9_x86_64.whl", 0},
                 {"x-1-py2-none-any.whl", 0},
                 {"x-1.whl", 0},
                 {"x-1.tar.gz", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            unsigned a = iw_wheel_fit(cases[i].file, "3.11.2", 36, NULL),
                     b = iw_wheel_fit(cases[k].file, "3.11.2", 36, NULL);
            if ((a > b) != (cases[i].fits > cases[k].fits) || !a != !cases[i].fits)
                fail_msg("%s: %u, %s: %u", cases[i].file, a, cases[k].file, b);
        }
    bool pure = false;
    assert_true(iw_wheel_fit("x-1-py3-none-any.whl", "3.11.2", 36, &pure) && pure);
    iw_release_file files[] = {file("demo_project-1.0-py3-none-any.whl", 90),
                               file("demo_project-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", 90),
                               file("demo_project-1.1-cp312-cp312-manylinux_2_28_x86_64.whl", 90),
                               file("demo_project-1.2.tar.gz", 90)};
    iw_cleanup_free char *got = told(&wheel, files, 4, &usual);
    assert_string_equal(got, "1.2: no wheel on the index\n"
                             "1.1: no wheel for this Python on x86-64 with this glibc\n1.0\n");
}

static void test_names(void **state)
{
    (void)state;
    static const char *const names[][3] = {{"numpy", "numpy-1.26.4.tar.gz", "1.26.4"},
                                           {"ruamel.yaml", "ruamel.yaml-0.18.tar.gz", "0.18"},
                                           {"a-b", "A_b-1.0-rc1.zip", "1.0-rc1"},
                                           {"a", "a-b-1.0.tar.gz", NULL},
                                           {"a-b", "a-b-1.0.tar.gz", "1.0"},
                                           {"a", "a-1.0.exe", NULL},
                                           {"a", "a-1.0-py3-none-any.whl", "1.0"},
                                           {"a", "b-1.0-py3-none-any.whl", NULL},
                                           {"a", "a.whl", NULL},
                                           {"a", "-1.tar.gz", NULL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        iw_cleanup_free char *got = iw_file_version(names[i][0], names[i][1]);
        if (!got || !names[i][2]) assert_true(!got && !names[i][2]);
        else assert_string_equal(got, names[i][2]);
    }
}

static void test_choice(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_release_file files[] = {file("demo-project-1.0.tar.gz", 90),
                               file("demo-project-1.1.tar.gz", 60),
                               file("demo-project-1.2.tar.gz", 2),
                               file("demo-project-1.3rc1.tar.gz", 1)};
    iw_release_files all = {files, 4, 4};
    iw_candidates list;
    const iw_candidate *one;
    iw_candidate_rules rules = usual;
    kit_ok(iw_candidates_pypi(&sdist, &all, &rules, &list, &err));
    kit_ok(iw_candidates_choose(&list, "1.0+label", &rules, &one, &err));
    assert_string_equal(one->version, "1.1");
    kit_fails(
        iw_candidates_choose(&list, "1.1", &rules, &one, &err), IW_E_NOT_FOUND,
        "nothing newer than 1.1 can be taken; passed over:\n  1.3rc1: a pre-release\n  1.2: ");
    kit_fails(iw_candidates_choose(&list, "1.3", &rules, &one, &err), IW_E_NOT_FOUND,
              "nothing newer");
    iw_candidates_free(&list);
    rules.only = "1.3rc1"; /* asked for by name: early and young, as it is */
    kit_ok(iw_candidates_pypi(&sdist, &all, &rules, &list, &err));
    kit_ok(iw_candidates_choose(&list, "1.0", &rules, &one, &err));
    assert_string_equal(one->version, "1.3rc1");
    rules.only = "7";
    kit_fails(iw_candidates_choose(&list, "1.0", &rules, &one, &err), IW_E_NOT_FOUND,
              "there is no release 7; the newest is 1.3rc1");
    iw_candidates_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reasons),
                                       cmocka_unit_test(test_the_edge_of_the_age),
                                       cmocka_unit_test(test_wrong_clock),
                                       cmocka_unit_test(test_wheels),
                                       cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
