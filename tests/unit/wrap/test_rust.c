/* The object cache for Rust's libraries: what counts, what is refused, and that a damaged entry is
 * none. rustc's files are written by hand; test_wrapper.c has the real one. */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fault.h"
#include "base/hash.h"
#include "wrap/command.h"
#include "wrap/rust.h"

#define LINE                                                                                       \
    "--crate-name a --edition=2021 package/src/lib.rs --crate-type lib "                           \
    "--emit=dep-info,metadata,link -C opt-level=3 -C metadata=1f -C extra-filename=-1f --out-dir " \
    "out -L dependency=out --extern b=out/libb-2e.rmeta --cap-lints allow"

struct job {
    iw_policy policy;
    iw_strings argv;
    iw_rust rust;
    iw_buffer said;
    char key[65];
};

static void job_read(struct job *job, const char *line)
{
    iw_slice rest = iw_slice_of(line), part;
    iw_rust_clear(&job->rust);
    iw_strings_free(&job->argv);
    while (iw_slice_next(&rest, ' ', &part))
        iw_strings_add_format(&job->argv, "%.*s", (int)part.length, part.data);
    iw_rust_parse(&job->policy, &job->argv, &job->rust);
}

static void job_start(struct job *job, const char *line)
{
    *job = (struct job){0};
    kit_policy(&job->policy);
    job->policy.toolchain = iw_strdup("tools");
    iw_buffer_add_text(&job->said, "{\"artifact\":\"out/liba-1f.rmeta\"}\n");
    job_read(job, line);
}

static void job_free(struct job *job)
{
    iw_rust_clear(&job->rust);
    iw_strings_free(&job->argv);
    iw_policy_clear(&job->policy);
    iw_buffer_free(&job->said);
}

static const char *key_of(struct job *job)
{
    assert_true(iw_rust_key(&job->policy, &job->argv, &job->rust, job->key));
    return job->key;
}

static bool job_get(struct job *job)
{
    key_of(job);
    return iw_rust_get("cache", job->key, &job->rust);
}

static void write_results(void)
{
    kit_text(".", "out/a-1f.d",
             "out/liba-1f.rmeta: package/src/lib.rs other/text\n\nout/a-1f.d: package/src/lib.rs "
             "other/text\n\n"
             "package/src/lib.rs:\nother/text:\n\n# env-dep:ANSWER=4\\\\2\\n\n# env-dep:NOTHING\n");
    kit_text(".", "out/liba-1f.rmeta", "metadata");
    kit_text(".", "out/liba-1f.rlib", "library");
}

static bool job_put(struct job *job)
{
    struct timespec started;
    kit_tick();
    clock_gettime(CLOCK_REALTIME_COARSE, &started);
    key_of(job);
    write_results();
    return iw_rust_put("cache", job->key, &job->rust, &job->said, &started);
}

static void remove_results(void)
{
    unlink("out/a-1f.d"), unlink("out/liba-1f.rmeta"), unlink("out/liba-1f.rlib");
}

static char *entry_of(const struct job *job)
{
    return iw_format("cache/%.2s/%s", job->key, job->key);
}

static int setup(void **state)
{
    if (kit_setup(state) || chdir(*state)) return -1;
    mkdir("cache", 0755), mkdir("out", 0755), mkdir("made", 0755);
    kit_text(".", "package/Cargo.toml", "[package]\n");
    kit_text(".", "package/src/lib.rs", "pub const A: u8 = 1;\n");
    kit_text(".", "out/libb-2e.rmeta", "b");
    kit_text(".", "package/vendor/c/Cargo.toml", "[package]\n");
    kit_text(".", "other/text", "read from there\n");
    setenv("ANSWER", "4\\2\n", 1);
    setenv("CARGO_MANIFEST_DIR", "package", 1);
    setenv("OUT_DIR", "made", 1);
    unsetenv("NOTHING");
    return 0;
}

static int teardown(void **state)
{
    unsetenv("CARGO_MANIFEST_DIR"), unsetenv("OUT_DIR"), unsetenv("ANSWER");
    return chdir("/") || kit_teardown(state) ? -1 : 0;
}

static void test_hit(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, LINE);
    assert_null(job.rust.uncacheable);
    assert_false(job_get(&job));
    assert_true(job_put(&job));
    remove_results();
    int kept = dup(2), tube[2];
    assert_int_equal(pipe(tube), 0);
    dup2(tube[1], 2);
    bool found = job_get(&job);
    dup2(kept, 2);
    close(tube[1]), close(kept);
    assert_true(found);
    char said[200] = {0};
    assert_true(read(tube[0], said, sizeof said - 1) > 0); /* cargo waits for that line */
    close(tube[0]);
    assert_string_equal(said, "{\"artifact\":\"out/liba-1f.rmeta\"}\n");
    kit_expect("out/liba-1f.rlib", "library");
    kit_expect("out/liba-1f.rmeta", "metadata");
    assert_true(iw_exists("out/a-1f.d"));
    job_free(&job);
}

/* What was read, and isn't part of the key: files elsewhere, variables. */
static void test_changed_inputs(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, LINE);
    job.said.length = 0;
    assert_true(job_put(&job));
    remove_results();
    kit_text(".", "other/text", "changed\n");
    assert_false(job_get(&job));
    assert_false(iw_exists("out/liba-1f.rlib"));
    kit_text(".", "other/text", "read from there\n");
    setenv("ANSWER", "43", 1);
    assert_false(job_get(&job));
    unsetenv("ANSWER");
    assert_false(job_get(&job));
    setenv("ANSWER", "4\\2\n", 1);
    setenv("NOTHING", "", 1);
    assert_false(job_get(&job));
    unsetenv("NOTHING");
    assert_true(job_get(&job));
    job_free(&job);
}

/* A file that changes while rustc runs may not be what it read. */
static void test_changed_meanwhile(void **state)
{
    (void)state;
    struct job job;
    struct timespec started;
    job_start(&job, LINE);
    key_of(&job);
    write_results();
    kit_tick();
    clock_gettime(CLOCK_REALTIME_COARSE, &started);
    kit_text(".", "other/text", "changed\n");
    assert_false(iw_rust_put("cache", job.key, &job.rust, &job.said, &started));
    started.tv_sec++;
    assert_true(iw_rust_put("cache", job.key, &job.rust, &job.said, &started));
    unlink("out/liba-1f.rlib");
    assert_false(iw_rust_put("cache", job.key, &job.rust, &job.said, &started));
    job_free(&job);
}

static void expect_key(struct job *job, const char *first, bool same)
{
    const char *key = key_of(job);
    if ((strcmp(key, first) == 0) != same) fail_msg("the key is %s", same ? "another" : "the same");
}

static void test_keys(void **state)
{
    (void)state;
    struct job job;
    char first[65];
    job_start(&job, LINE);
    strcpy(first, key_of(&job));
    setenv("CARGO_MAKEFLAGS", "-j7", 1), setenv("PIP_BUILD_TRACKER", "/tmp/x", 1);
    expect_key(&job, first, true);
    setenv("CARGO_PKG_VERSION", "2", 1);
    expect_key(&job, first, false);
    unsetenv("CARGO_PKG_VERSION"), unsetenv("CARGO_MAKEFLAGS"), unsetenv("PIP_BUILD_TRACKER");
    kit_text(".", "package/vendor/c/lib.rs", "another package's\n"); /* as cargo sees it */
    expect_key(&job, first, true);
    kit_text(".", "out/libb-2e.rmeta", "another b");
    expect_key(&job, first, false);
    kit_text(".", "out/libb-2e.rmeta", "b");
    kit_text(".", "package/grammar.pest", "what a macro reads\n");
    expect_key(&job, first, false);
    unlink("package/grammar.pest");
    kit_text(".", "made/libr.a", "what a build script made\n");
    expect_key(&job, first, false);
    unlink("made/libr.a");
    kit_text(".", "package/src/lib.rs", "pub const A: u8 = 2;\n");
    expect_key(&job, first, false);
    kit_text(".", "package/src/lib.rs", "pub const A: u8 = 1;\n");
    expect_key(&job, first, true);
    free(job.policy.toolchain), job.policy.toolchain = iw_strdup("others");
    expect_key(&job, first, false);
    free(job.policy.toolchain), job.policy.toolchain = iw_strdup("tools");
    job_read(&job, LINE " --cfg feature=\"x\"");
    expect_key(&job, first, false);
    unlink("out/libb-2e.rmeta");
    assert_false(iw_rust_key(&job.policy, &job.argv, &job.rust, job.key));
    job_free(&job);
}

/* Static libraries that end up in the result, where -L native= says. */
static void test_native_libraries(void **state)
{
    (void)state;
    struct job job;
    char first[65];
    kit_text(".", "lib/libz.a", "z");
    kit_text(".", "lib/libz.so", "z");
    job_start(&job, LINE " -L native=lib -l static=z");
    assert_null(job.rust.uncacheable);
    strcpy(first, key_of(&job));
    kit_text(".", "lib/libz.so", "another, which is only named");
    expect_key(&job, first, true);
    kit_text(".", "lib/libz.a", "another");
    expect_key(&job, first, false);
    job_free(&job);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"--test", "--test"},
        {"-Zunpretty=expanded", "-Z"},
        {"-o x", "-o"},
        {"--sysroot /x", "--sysroot"},
        {"-L native=lib -L all=lib", "-L"},
        {"-Llib", "-L"},
        {"-C incremental=x", "incremental=x"},
        {"-Cprofile-use=x", "profile-use=x"},
        {"-C split-debuginfo=packed", "split-debuginfo=packed"},
        {"--emit asm", "--emit"},
        {"--emit=link=elsewhere", "--emit"},
        {"--crate-type proc-macro", "linked"},
        {"--crate-type=cdylib", "linked"},
        {"b.rs", "sources"},
        {"-C split-debuginfo=off", NULL},
        {"-g -O -Wunused -A dead_code -lstatic=z --extern proc_macro", NULL},
    };
    struct job job;
    job_start(&job, LINE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_cleanup_free char *line = iw_format(LINE " %s", cases[i][0]);
        job_read(&job, line);
        const char *why = job.rust.uncacheable;
        if (!why != !cases[i][1] || (why && strcmp(why, cases[i][1]) != 0))
            fail_msg("%s: %s", cases[i][0], why ? why : "kept");
    }
    job_read(&job, "--crate-name a src/lib.rs --emit=dep-info,link --out-dir out");
    assert_string_equal(job.rust.uncacheable, "linked"); /* a program */
    job_read(&job, "--crate-name a --crate-type lib --emit=dep-info,link --out-dir out -");
    assert_string_equal(job.rust.uncacheable, "-");
    job_read(&job, "--crate-name a --crate-type lib --emit=link src/lib.rs --out-dir out");
    assert_string_equal(job.rust.uncacheable, "--emit"); /* nothing says what was read */
    mkdir("out/liba-1f.rlib", 0755);
    job_read(&job, LINE);
    assert_string_equal(job.rust.uncacheable, "output");
    job.policy.host = true; /* no digest speaks for the host's rustc */
    job_read(&job, LINE);
    assert_string_equal(job.rust.uncacheable, "toolchain");
    job.policy.host = false;
    unsetenv("CARGO_MANIFEST_DIR");
    job_read(&job, LINE);
    assert_string_equal(job.rust.uncacheable, "cargo");
    job_free(&job);
}

/* More files than are worth a look. */
static void test_too_much(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, LINE);
    int fd = open("package/large", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, (off_t)300 << 20), 0); /* with a hole: none of it is read */
    close(fd);
    assert_false(iw_rust_key(&job.policy, &job.argv, &job.rust, job.key));
    unlink("package/large");
    assert_int_equal(symlink("nowhere", "package/large"), 0);
    assert_true(iw_rust_key(&job.policy, &job.argv, &job.rust, job.key));
    job_free(&job);
}

static bool is_hit(void *job)
{
    return job_get(job);
}

static void test_damage(void **state)
{
    (void)state;
    struct job job;
    job_start(&job, LINE);
    job.said.length = 0;
    assert_true(job_put(&job));
    iw_cleanup_free char *path = entry_of(&job);
    remove_results();
    kit_damage(path, is_hit, &job);
    assert_false(iw_exists("out/liba-1f.rlib"));
    assert_true(job_get(&job));
    job_free(&job);
}

/* A digest that fits, around nonsense: bounds hold. */
static void test_hostile_lengths(void **state)
{
    (void)state;
    static const char *const bodies[] = {"L 18446744073709551615 1 1 1\nabc",
                                         "L 0 9223372036854775807 1 1\nabc",
                                         "L 0 1 1 2\nabc",
                                         "L 0 1 1 0\nabc",
                                         "L 0 1 -1 2\nabc",
                                         "L 0 1 1 -5\nabc",
                                         "L 0 1 1\nabc",
                                         "E NOTHING",
                                         "E =\nL 0 1 1 1\nabc",
                                         "E NOTHING=\nL 0 1 1 1\nabc",
                                         "E ANSWER\nL 0 1 1 1\nabc",
                                         "E \n",
                                         "",
                                         "D short\n"};
    struct job job;
    job_start(&job, LINE);
    job.said.length = 0;
    assert_true(job_put(&job));
    iw_cleanup_free char *path = entry_of(&job);
    remove_results();
    for (size_t i = 0; i <= sizeof bodies / sizeof *bodies; i++) {
        bool last = i == sizeof bodies / sizeof *bodies;
        iw_cleanup_buffer iw_buffer out = {0};
        char hex[IW_SHA256_HEX];
        iw_buffer_add_format(&out, "iw-crate 1\n%s", last ? "L 0 1 1 1\nabc" : bodies[i]);
        iw_hash_bytes(out.data, out.length, hex);
        iw_buffer_add_text(&out, hex);
        kit_put(".", path, out.data, out.length);
        if (job_get(&job) != last) fail_msg("case %zu", i);
    }
    kit_expect("out/liba-1f.rlib", "c");
    job_free(&job);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct job job;
    struct timespec started;
    job_start(&job, LINE);
    job.said.length = 0;
    kit_tick();
    clock_gettime(CLOCK_REALTIME_COARSE, &started);
    key_of(&job);
    write_results();
    iw_fault_set(IW_FAULT_WRITE, 1, ENOSPC);
    assert_false(iw_rust_put("cache", job.key, &job.rust, &job.said, &started));
    iw_fault_set(IW_FAULT_WRITE, 0, 0);
    assert_true(iw_rust_put("cache", job.key, &job.rust, &job.said, &started));
    iw_fault_set(IW_FAULT_WRITE, 1, ENOSPC);
    assert_false(job_get(&job));
    iw_fault_set(IW_FAULT_WRITE, 0, 0);
    assert_true(job_get(&job));
    job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_inputs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_native_libraries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
