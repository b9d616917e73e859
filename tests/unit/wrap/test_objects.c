/* The object cache: what a compile reads decides what it gives; a damaged or torn entry is no
 * entry. */
#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/hash.h"
#include "wrap/command.h"
#include "wrap/objects.h"
#include "wrap/sha256.h"

/* --- the digest ----------------------------------------------------------- */

static void test_sha256(void **state)
{
    (void)state;
    enum { LIMIT = 300 };
    char data[LIMIT], ours[65], theirs[IW_SHA256_HEX];
    for (size_t i = 0; i < LIMIT; i++) data[i] = (char)(i * 37 + 11);
    for (size_t length = 0; length < LIMIT; length++) {
        iw_hash_bytes(data, length, theirs);
        for (size_t step = 1; step <= 200; step += 33) {
            iw_sha256 hash;
            iw_sha256_start(&hash);
            for (size_t at = 0; at < length; at += step)
                iw_sha256_add(&hash, data + at, length - at < step ? length - at : step);
            iw_sha256_finish(&hash, ours);
            assert_string_equal(ours, theirs);
        }
    }
}

static void test_sha256_texts(void **state)
{
    (void)state;
    static const char *const lists[][3] = {{"ab", "c", NULL},   {"a", "bc", NULL},
                                           {"", "abc", NULL},   {"abc", "", NULL},
                                           {"abc", NULL, NULL}, {NULL, "abc", NULL}};
    char seen[6][65];
    for (size_t i = 0; i < 6; i++) {
        iw_sha256 hash;
        iw_sha256_start(&hash);
        iw_sha256_add_text(&hash, lists[i][0]);
        iw_sha256_add_text(&hash, lists[i][1]);
        iw_sha256_finish(&hash, seen[i]);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(seen[i], seen[k]);
    }
}

/* --- a compile that is not one: the files are written by hand ------------- */

struct job {
    iw_policy policy;
    iw_strings argv;
    iw_compile compile;
    iw_object_key key;
    const char *said, *depfile;
};

static void job_free(struct job *job)
{
    iw_policy_clear(&job->policy);
    iw_strings_free(&job->argv);
}

static void job_read(struct job *job, const char *line)
{
    iw_slice rest = iw_slice_of(line), part;
    iw_strings_free(&job->argv);
    while (iw_slice_next(&rest, ' ', &part))
        iw_strings_add_format(&job->argv, "%.*s", (int)part.length, part.data);
    iw_compile_parse(IW_TOOL_COMPILER, &job->argv, &job->compile);
}

static void job_start(struct job *job, const char *line)
{
    *job = (struct job){.said = ""};
    kit_policy(&job->policy);
    job_read(job, line);
}

static const char *key_of(struct job *job)
{
    assert_true(iw_object_key_make(&job->policy, "gcc", &job->argv, &job->compile, &job->key));
    return job->key.text;
}

/* "Compiles": an object that names its header's content. */
static bool job_put(struct job *job)
{
    iw_object_result result = {.dependencies = "deps.d",
                               .depfile = job->depfile,
                               .said = job->said,
                               .said_length = strlen(job->said)};
    kit_tick();
    clock_gettime(CLOCK_REALTIME_COARSE, &result.started);
    key_of(job);
    kit_text(".", "deps.d", "a.o: a.c a.h\n");
    kit_text(".", "a.o", "object of a.c and a.h");
    return iw_object_put("cache", &job->key, &job->policy, &job->compile, &result);
}

static bool job_get(struct job *job, const char *output, const char *depfile)
{
    key_of(job);
    return iw_object_get("cache", &job->key, output, depfile);
}

static char *entry_of(const struct job *job)
{
    return iw_format("cache/%.2s/%s", job->key.text, job->key.text);
}

static int setup(void **state)
{
    if (kit_setup(state) || chdir(*state)) return -1;
    mkdir("cache", 0755);
    kit_text(".", "a.c", "#include \"a.h\"\n");
    kit_text(".", "a.h", "int a;\n");
    return 0;
}

static int teardown(void **state)
{
    return chdir("/") || kit_teardown(state) ? -1 : 0;
}

static void test_hit(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, "-c a.c -o a.o");
    assert_false(job_get(&job, "b.o", NULL));
    assert_true(job_put(&job));
    assert_true(job_get(&job, "b.o", NULL));
    kit_expect("b.o", "object of a.c and a.h");
    kit_text(".", "b.o", "an older one");
    assert_true(job_get(&job, "b.o", NULL));
    kit_expect("b.o", "object of a.c and a.h");
    job_free(&job);
}

static void test_changed_header(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, "-c a.c -o a.o");
    assert_true(job_put(&job));
    kit_text(".", "a.h", "int b;\n");
    assert_false(job_get(&job, "b.o", NULL));
    assert_false(iw_exists("b.o"));
    kit_text(".", "a.h", "int a;\n"); /* back again: by content, not by time */
    assert_true(job_get(&job, "b.o", NULL));
    unlink("a.h");
    assert_false(job_get(&job, "b.o", NULL));
    job_free(&job);
}

static void test_header_changed_meanwhile(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, "-c a.c -o a.o");
    iw_object_result result = {.dependencies = "deps.d", .said = ""};
    kit_tick();
    clock_gettime(CLOCK_REALTIME_COARSE, &result.started);
    key_of(&job);
    kit_text(".", "deps.d", "a.o: a.c a.h\n");
    kit_text(".", "a.o", "object of the old a.h");
    kit_text(".", "a.h", "int b;\n");
    assert_false(iw_object_put("cache", &job.key, &job.policy, &job.compile, &result));
    clock_gettime(CLOCK_REALTIME_COARSE, &result.started);
    result.started.tv_sec++;
    assert_true(iw_object_put("cache", &job.key, &job.policy, &job.compile, &result));
    kit_text(".", "a.c", "// changed after the key was made\n");
    assert_false(iw_object_put("cache", &job.key, &job.policy, &job.compile, &result));
    job_free(&job);
}

static void test_keys(void **state)
{
    (void)state;
    struct job job;
    char first[65];
    job_start(&job, "-O2 -c a.c -o a.o");
    strcpy(first, key_of(&job));
    job_read(&job, "-O2 -c a.c -o other/name.o"); /* where it goes is the caller's business */
    assert_string_equal(key_of(&job), first);
    job_read(&job, "-O3 -c a.c -o a.o");
    assert_string_not_equal(key_of(&job), first);
    job_read(&job, "-O2 -MD -c a.c -o a.o"); /* a dependency file names its target */
    char with[65];
    strcpy(with, key_of(&job));
    job_read(&job, "-O2 -MD -c a.c -o b.o");
    assert_string_not_equal(key_of(&job), with);
    job_read(&job, "-O2 -c a.c -o a.o");
    setenv("CPATH", "/elsewhere", 1);
    assert_string_not_equal(key_of(&job), first);
    unsetenv("CPATH");
    job.policy.toolchain = iw_strdup("other");
    assert_string_not_equal(key_of(&job), first);
    free(iw_steal(&job.policy.toolchain));
    assert_string_equal(key_of(&job), first);
    mkdir("sub", 0755);
    kit_text("sub", "a.c", "#include \"a.h\"\n");
    assert_int_equal(chdir("sub"), 0);
    assert_string_not_equal(key_of(&job), first);
    assert_int_equal(chdir(".."), 0);
    kit_text(".", "a.c", "int other;\n");
    assert_string_not_equal(key_of(&job), first);
    unlink("a.c");
    assert_false(iw_object_key_make(&job.policy, "gcc", &job.argv, &job.compile, &job.key));
    job_free(&job);
}

static void test_depfile(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, "-MD -c a.c -o a.o");
    kit_text(".", "a.d", "a.o: a.c a.h\n");
    job.depfile = "a.d";
    assert_true(job_put(&job));
    unlink("a.d");
    assert_true(job_get(&job, "a.o", "b.d"));
    kit_expect("b.d", "a.o: a.c a.h\n");
    assert_false(job_get(&job, "a.o", "missing/folder/b.d"));
    job_free(&job);
    /* An entry without one is of no use to who wants one. */
    job_start(&job, "-c a.c -o a.o");
    assert_true(job_put(&job));
    assert_false(job_get(&job, "a.o", "c.d"));
    job_free(&job);
}

static bool is_hit(void *job)
{
    return job_get(job, "b.o", NULL);
}

static void test_damage(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, "-c a.c -o a.o");
    job.said = "a.c:1: warning: nothing\n";
    assert_true(job_put(&job));
    iw_cleanup_free char *path = entry_of(&job);
    int null = open("/dev/null", O_WRONLY), kept = dup(2);
    dup2(null, 2); /* warnings are printed again */
    kit_damage(path, is_hit, &job);
    assert_true(job_get(&job, "b.o", NULL));
    dup2(kept, 2);
    close(kept), close(null);
    unlink(path);
    mkdir(path, 0755); /* not a file at all */
    assert_false(job_get(&job, "b.o", NULL));
    job_free(&job);
}

/* A digest that fits, around nonsense: bounds hold. */
static void test_hostile_lengths(void **state)
{
    (void)state;
    static const char *const bodies[] = {"L 18446744073709551615 -1 5\n",
                                         "L 5 9223372036854775807 5\nabcde",
                                         "L 0 -1 18446744073709551615\n",
                                         "L 1 1 1\n",
                                         "L\n",
                                         "D short\n",
                                         "D \n",
                                         "",
                                         "L 0 -1 3\nabc trailing",
                                         "L 0 100 18446744073709551521\nabcde",
                                         "L 100 -1 18446744073709551521\nabcde"};
    struct job job;
    job_start(&job, "-c a.c -o a.o");
    assert_true(job_put(&job));
    iw_cleanup_free char *path = entry_of(&job);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        iw_cleanup_buffer iw_buffer out = {0};
        char hex[IW_SHA256_HEX];
        iw_buffer_add_format(&out, "iw-object 1\n%s", bodies[i]);
        iw_hash_bytes(out.data, out.length, hex);
        iw_buffer_add_text(&out, hex);
        kit_put(".", path, out.data, out.length);
        if (job_get(&job, "b.o", NULL)) fail_msg("case %zu", i);
    }
    job_free(&job);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, "-c a.c -o a.o");
    kit_tick();
    iw_object_result result = {.dependencies = "deps.d", .said = ""};
    clock_gettime(CLOCK_REALTIME_COARSE, &result.started);
    key_of(&job);
    kit_text(".", "deps.d", "a.o: a.c\n");
    kit_text(".", "a.o", "object");
    iw_fault_set(IW_FAULT_WRITE, 1, ENOSPC);
    assert_false(iw_object_put("cache", &job.key, &job.policy, &job.compile, &result));
    iw_fault_set(IW_FAULT_WRITE, 0, 0);
    iw_cleanup_free char *shelf = iw_format("cache/%.2s", job.key.text);
    DIR *folder = opendir(shelf); /* nothing half-written stays */
    for (const struct dirent *entry; (entry = readdir(folder));)
        assert_int_equal(entry->d_name[0], '.');
    closedir(folder);
    assert_true(iw_object_put("cache", &job.key, &job.policy, &job.compile, &result));
    /* And on the way out: nothing is put in place. */
    iw_fault_set(IW_FAULT_WRITE, 1, ENOSPC);
    assert_false(job_get(&job, "b.o", NULL));
    iw_fault_set(IW_FAULT_WRITE, 0, 0);
    assert_false(iw_exists("b.o"));
    job_free(&job);
}

/* Many at once, of one key and of several, with readers: every hit is whole. */
static void test_parallel(void **state)
{
    (void)state;
    enum { WORKERS = 8, ROUNDS = 150 };
    struct job job;
    iw_buffer large = {0};
    job_start(&job, "-c a.c -o a.o");
    for (int i = 0; i < 20000; i++) iw_buffer_add_format(&large, "%d,", i);
    kit_text(".", "deps.d", "a.o: a.c a.h\n");
    kit_tick();
    pid_t workers[WORKERS];
    for (int w = 0; w < WORKERS; w++) {
        workers[w] = fork();
        if (workers[w] > 0) continue;
        iw_cleanup_free char *name = iw_format("w%d.o", w);
        iw_object_result result = {.dependencies = "deps.d", .said = ""};
        struct job mine;
        job_start(&mine, "-c a.c -o a.o");
        mine.compile.output = name;
        clock_gettime(CLOCK_REALTIME_COARSE, &result.started);
        key_of(&mine);
        for (int i = 0; i < ROUNDS; i++) {
            size_t length = 0;
            kit_put(".", name, large.data, large.length);
            if (w % 2 && !iw_object_put("cache", &mine.key, &mine.policy, &mine.compile, &result))
                _exit(1);
            unlink(name);
            if (!iw_object_get("cache", &mine.key, name, NULL)) {
                if (w % 2) _exit(2); /* it has put one itself */
                continue;
            }
            char *got = NULL;
            if (iw_read_file(name, 1 << 20, &got, &length, NULL) != 0 || length != large.length ||
                memcmp(got, large.data, length) != 0)
                _exit(3);
            free(got);
        }
        _exit(0);
    }
    for (int w = 0; w < WORKERS; w++) {
        int status;
        waitpid(workers[w], &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    key_of(&job);
    iw_cleanup_free char *shelf = iw_format("cache/%.2s", job.key.text);
    DIR *folder = opendir(shelf);
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    assert_int_equal(count, 1);
    iw_buffer_free(&large);
    job_free(&job);
}

/* --- what may be kept ----------------------------------------------------- */

static void expect_reason(const char *line, const char *wanted)
{
    struct job job;
    const char *reason = NULL;
    job_start(&job, line);
    bool cacheable = iw_object_cacheable(&job.compile, &reason);
    if (cacheable != !wanted || (wanted && (!reason || strcmp(reason, wanted) != 0)))
        fail_msg("%s: %s, not %s", line, reason ? reason : "cacheable",
                 wanted ? wanted : "cacheable");
    job_free(&job);
}

static void test_cacheable(void **state)
{
    (void)state;
    expect_reason("-c a.c -o a.o", NULL);
    expect_reason("-MMD -MF a.d -c a.S -o a.o", NULL);
    expect_reason("-c a.c", "output");
    expect_reason("a.c -o a", "no compile");
    expect_reason("-E a.c -o a", "no compile");
    expect_reason("-c a.c b.c", "sources");
    expect_reason("-c a.o -o a.o", "sources");
    expect_reason("-c a.f90 -o a.o", "language");
    expect_reason("-c a.i -o a.o", "language");
    expect_reason("-c a.s -o a.o", "language");
    expect_reason("--coverage -c a.c -o a.o", "--coverage");
    expect_reason("-gsplit-dwarf -c a.c -o a.o", "-gsplit-dwarf");
    expect_reason("-c a.c -o /dev/null", "output");
    expect_reason("-MD -MF /dev/null -c a.c -o a.o", "-MF");
    expect_reason("-MD -MF - -c a.c -o a.o", "-MF");
    assert_int_equal(symlink("target.o", "link.o"), 0);
    expect_reason("-c a.c -o link.o", "output");
    setenv("DEPENDENCIES_OUTPUT", "x", 1);
    expect_reason("-c a.c -o a.o", "DEPENDENCIES_OUTPUT");
    unsetenv("DEPENDENCIES_OUTPUT");
}

static void test_fortran(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool alone;
    } cases[] = {/* clang-format off */
        {"      SUBROUTINE A\nC     USE of comments\n*     include 'x'\n      END\n", true},
        {"      INCLUDE 'x.h'\n", false},  {"      include\"x.h\"\n", false}, {"      use b\n", false},           {"      USE, INTRINSIC :: C\n", false},
        {"      module c\n", false},       {"#include <x>\n", false},        {"      SUBROUTINE USES\n      END\n", true}, {"\tuse b\n", false},
        {"      USER = 1\n      MODULES = 2\n", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kit_text(".", "x.f", cases[i].text);
        expect_reason("-c x.f -o x.o", cases[i].alone ? NULL : "fortran");
        /* clang-format on */
    }
    expect_reason("-c missing.f -o x.o", "fortran");
}

/* Files that the assembler reads are in no dependency file. */
static void test_assembler_files(void **state)
{
    (void)state;
    static const struct {
        const char *source, *text, *header;
        bool kept;
    } cases[] = {{"a.c", "int a;\n", "int h;\n", true},
                 {"a.c", "__asm__(\".incbin \\\"blob\\\"\");\n", "", false},
                 {"a.c", "#include \"a.h\"\n", "__asm__(\".include \\\"x.inc\\\"\");\n", false},
                 {"b.S", "\tnop\n", "", true},
                 {"b.S", "\t.incbin \"blob\"\n", "", false},
                 {"b.S", "#define I .incbin\nI NAME\n", "", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job job;
        iw_cleanup_free char *line = iw_format("-c %s -o a.o", cases[i].source);
        job_start(&job, line);
        kit_text(".", cases[i].source, cases[i].text);
        kit_text(".", "a.h", cases[i].header);
        iw_cleanup_free char *deps = iw_format("a.o: %s a.h\n", cases[i].source);
        kit_text(".", "deps.d", deps);
        kit_text(".", "a.o", "object");
        kit_tick();
        iw_object_result result = {.dependencies = "deps.d", .said = ""};
        clock_gettime(CLOCK_REALTIME_COARSE, &result.started);
        key_of(&job);
        if (iw_object_put("cache", &job.key, &job.policy, &job.compile, &result) != cases[i].kept)
            fail_msg("case %zu", i);
        job_free(&job);
    }
}

/* What stands below /usr is pinned by the toolchain's digest, where there is one. */
static void test_toolchain(void **state)
{
    (void)state;
    for (int pinned = 0; pinned < 2; pinned++) {
        struct job job;
        job_start(&job, "-c a.c -o a.o");
        if (pinned) job.policy.toolchain = iw_strdup("digest");
        kit_tick();
        iw_object_result result = {.dependencies = "deps.d", .said = ""};
        clock_gettime(CLOCK_REALTIME_COARSE, &result.started);
        key_of(&job);
        kit_text(".", "deps.d", "a.o: a.c /usr/include/stdio.h a.h\n");
        kit_text(".", "a.o", "object");
        assert_true(iw_object_put("cache", &job.key, &job.policy, &job.compile, &result));
        iw_cleanup_free char *path = entry_of(&job), *text = kit_read(".", path, NULL);
        kit_has(text, " a.h\n");
        kit_has_not(text, " a.c\n");
        pinned ? kit_has_not(text, "stdio.h") : kit_has(text, " /usr/include/stdio.h\n");
        job_free(&job);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sha256),
                                       cmocka_unit_test(test_sha256_texts),
                                       T(test_hit),
                                       T(test_changed_header),
                                       T(test_header_changed_meanwhile),
                                       T(test_keys),
                                       T(test_depfile),
                                       T(test_damage),
                                       T(test_hostile_lengths),
                                       T(test_full_disk),
                                       T(test_parallel),
                                       T(test_cacheable),
                                       T(test_fortran),
                                       T(test_assembler_files),
                                       T(test_toolchain)};
    return cmocka_run_group_tests_name("objects", tests, NULL, NULL);
}
