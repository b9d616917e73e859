/* All kinds of sources together: failures summed up, mirrors, offline, export and import, and
 * laying what came. */
#include "kit.h"

#include "base/fault.h"
#include "store/archive.h"

#define COUNT 3

/* Some `url` sources of one recipe, served below /plain. */
typedef struct set {
    char *urls[COUNT], *texts[COUNT], digests[COUNT][IW_SHA256_HEX], files[COUNT][16],
        ids[COUNT][4];
    iw_source sources[COUNT];
    iw_recipe recipe;
    iw_wanted wanted[COUNT];
} set;

static void make_set(kit *k, set *s, const char *how)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < COUNT; i++) {
        snprintf(s->files[i], sizeof s->files[i], "file%d", i);
        snprintf(s->ids[i], sizeof s->ids[i], "%d", i + 1);
        s->texts[i] = iw_format("content of file %d", i);
        s->urls[i] = iw_format("%s/%s/%s", k->url, how, s->files[i]);
        iw_cleanup_free char *served = iw_format("files/%s", s->files[i]);
        kit_text(k, served, s->texts[i]);
        iw_hash_bytes(s->texts[i], strlen(s->texts[i]), s->digests[i]);
        s->sources[i] = (iw_source){.kind = IW_SOURCE_URL,
                                    .id = s->ids[i],
                                    .name = s->urls[i],
                                    .file = s->files[i],
                                    .sha256 = s->digests[i],
                                    .to = ".",
                                    .place = {"recipes/s/1.yaml", i + 3, 5}};
        s->wanted[i] = (iw_wanted){.recipe = &s->recipe, .source = &s->sources[i]};
    }
    s->recipe =
        (iw_recipe){.name = "s", .version = "1", .sources = s->sources, .source_count = COUNT};
    kit_forget(k);
}

static void set_free(set *s)
{
    for (int i = 0; i < COUNT; i++) free(s->urls[i]), free(s->texts[i]);
}

static iw_fetch_options options_of(kit *k)
{
    return (iw_fetch_options){.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 20};
}

static bool has(kit *k, const char *digest)
{
    iw_error err = IW_ERROR_INIT;
    bool here = false;
    kit_ok(iw_store_has_source(k->store, digest, &here, &err));
    return here;
}

static void brings_everything(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_wanted twice[] = {s.wanted[0], s.wanted[1], s.wanted[0],
                         s.wanted[2]}; /* two recipes may share a file */
    kit_ok(iw_fetch_all(store, twice, 4, &options, &err));
    for (int i = 0; i < COUNT; i++) {
        iw_cleanup_free char *path = iw_store_source_path(store, s.digests[i]),
                             *text = kit_read(path),
                             *line = iw_format("GET /plain/%s ", s.files[i]);
        assert_string_equal(text, s.texts[i]);
        assert_int_equal(kit_requests(k, line), 1);
    }
    const char *find[] = {"find", iw_store_root(store), "-name", "*.part*", NULL};
    iw_cleanup_free char *left = kit_run(find, NULL);
    assert_string_equal(left, "");
    iw_error_clear(&err);
    set_free(&s);
}

static void under_a_licence(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    s.recipe.accept = "acme";
    s.recipe.homepage = "https://example.org/eula";
    unsetenv("IRONWHEEL_ACCEPT_LICENCE");
    const char *const others[] = {NULL, "", "acm", "acme2, x", "ACME"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        options.accepted = others[i];
        assert_int_equal(iw_fetch_all(store, s.wanted, COUNT, &options, &err), -1);
        assert_int_equal(err.kind, IW_E_USAGE);
        assert_non_null(strstr(iw_error_text(&err), "s/1 is fetched only once you accepted"));
        assert_non_null(strstr(iw_error_text(&err), "https://example.org/eula"));
        assert_non_null(strstr(iw_error_text(&err), "--accept-licence acme"));
    }
    assert_int_equal(kit_requests(k, "GET "), 0);
    options.accepted = "x, acme";
    kit_ok(iw_fetch_all(store, s.wanted, 1, &options, &err));
    options.accepted = NULL;
    kit_ok(iw_fetch_all(store, s.wanted, 1, &options, &err)); /* it is here */
    assert_int_equal(iw_fetch_all(store, s.wanted, 2, &options, &err), -1);
    setenv("IRONWHEEL_ACCEPT_LICENCE", "acme", 1);
    kit_ok(iw_fetch_all(store, s.wanted, COUNT, &options, &err));
    unsetenv("IRONWHEEL_ACCEPT_LICENCE");
    iw_error_clear(&err);
    set_free(&s);
}

/* Each with a handle of its own, as two builds have. */
static void two_runs_share_the_work(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    kit_store(k);
    enum { RUNS = 4 };
    pid_t pids[RUNS];
    for (int i = 0; i < RUNS; i++) {
        pids[i] = fork();
        if (pids[i] != 0) continue;
        iw_store *store = NULL;
        iw_fetch_options options = {.cancel = -1, .backoff = 0.01, .stall = 30};
        bool fine = iw_store_open(iw_store_root(k->store), NULL, &store, NULL) == 0 &&
                    iw_fetch_all(store, s.wanted, COUNT, &options, NULL) == 0;
        _exit(fine ? 0 : 1);
    }
    for (int i = 0; i < RUNS; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(kit_requests(k, "GET /plain/"), COUNT); /* each file once */
    for (int i = 0; i < COUNT; i++) assert_true(has(k, s.digests[i]));
    iw_error_clear(&err);
    set_free(&s);
}

static void goes_on_after_a_failure_and_tells_all(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    const char *mirrors[] = {"http://127.0.0.1:1/file0", NULL};
    s.sources[0].name = "http://127.0.0.1:1/none";
    s.sources[0].mirrors = (iw_list){mirrors, 1};
    kit_text(k, "files/file2", "changed");
    kit_fails_with(iw_fetch_all(store, s.wanted, COUNT, &options, &err), IW_E_DIGEST,
                   "2 of the files needed could not be fetched");
    kit_has(err.message, "http://127.0.0.1:1/none: ");
    kit_has(err.message, "http://127.0.0.1:1/file0: ");
    kit_has(err.message, s.digests[2]);
    assert_true(has(k, s.digests[1]));
    char *note = NULL;
    kit_ok(iw_store_fetch_note(store, s.digests[0], &note, &err));
    kit_has(note, "127.0.0.1:1");
    free(note);
    mirrors[0] = s.urls[0]; /* the mirror is repaired, and the other file too */
    kit_text(k, "files/file2", s.texts[2]);
    kit_ok(iw_fetch_all(store, s.wanted, COUNT, &options, &err));
    kit_ok(iw_store_fetch_note(store, s.digests[0], &note, &err));
    assert_null(note);
    iw_error_clear(&err);
    set_free(&s);
}

static void offline_names_what_is_missing(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k), offline = options_of(k);
    offline.offline = true;
    kit_ok(iw_fetch_all(store, s.wanted, 1, &options, &err));
    static const char none[] = "0000000000000000000000000000000000000000000000000000000000000000";
    iw_toolchain_package package = {.name = "gcc",
                                    .version = "1",
                                    .file = "pool/main/g/gcc/gcc_1_amd64.deb",
                                    .sha256 = none,
                                    .size = 5};
    iw_source local = {.kind = IW_SOURCE_LOCAL, .name = "files/x", .sha256 = none};
    iw_wanted wanted[] = {s.wanted[0],
                          s.wanted[1],
                          s.wanted[2],
                          {.package = &package},
                          {.recipe = &s.recipe, .source = &local}};
    kit_forget(k);
    kit_fails_with(iw_fetch_all(store, wanted, 5, &offline, &err), IW_E_NETWORK,
                   "3 files are not in the store");
    kit_has(err.message, "\n  file1 for s\n");
    kit_has(err.message, "\n  file2 for s\n");
    kit_has(err.message, "\n  gcc_1_amd64.deb\n");
    kit_has_not(err.message, "file0");
    kit_has(err.message, "ironwheel fetch");
    bool missing[5];
    kit_ok(iw_fetch_missing(store, wanted, 5, missing, &err));
    static const bool expected[] = {false, true, true, true, false};
    assert_memory_equal(missing, expected, sizeof missing);
    kit_ok(iw_fetch_all(store, wanted, 1, &offline, &err));
    assert_int_equal(kit_requests(k, "GET"), 0);
    iw_error_clear(&err);
    set_free(&s);
}

/* --- mirror folders ------------------------------------------------------- */

static void exports_and_imports(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_cleanup_free char *mirror = kit_path(k, "files/mirror"),
                         *index = kit_path(k, "files/mirror/index.json");
    kit_ok(iw_fetch_all(store, s.wanted, COUNT, &options, &err));
    kit_ok(iw_fetch_export(store, s.wanted, COUNT, mirror, &k->sink, &err));
    kit_ok(iw_fetch_export(store, s.wanted, COUNT, mirror, &k->sink,
                           &err)); /* again: what is there stays */
    iw_cleanup_free char *text = kit_read(index),
                         *entry = iw_format("\"%s\": \"file1\"", s.digests[1]);
    kit_has(text, entry);
    /* a second host: no address but the mirror's is asked, by path, by a relative path, and over
     * http */
    iw_cleanup_free char *url = iw_format("%s/plain/mirror", k->url), *here = getcwd(NULL, 0);
    const char *const imports[] = {mirror, "mirror", url};
    for (size_t i = 0; i < 3; i++) {
        for (int j = 0; j < COUNT; j++) s.sources[j].name = "http://127.0.0.1:1/nothing";
        store = kit_store(k);
        options.import = imports[i];
        kit_forget(k);
        assert_int_equal(chdir(k->files), 0);
        int status = iw_fetch_all(store, s.wanted, COUNT, &options, &err);
        assert_int_equal(chdir(here), 0);
        kit_ok(status);
        for (int j = 0; j < COUNT; j++) assert_true(has(k, s.digests[j]));
        assert_int_equal(kit_requests(k, "GET"), i == 2 ? COUNT : 0);
        kit_has_not(k->events.data, "failed");
    }
    iw_error_clear(&err);
    set_free(&s);
}

static void asks_elsewhere_for_what_a_mirror_lacks(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_cleanup_free char *mirror = kit_path(k, "partial"),
                         *bad = iw_format("partial/by-sha256/%s", s.digests[1]),
                         *good = iw_format("partial/by-sha256/%s", s.digests[0]);
    kit_text(k, good, s.texts[0]);
    kit_text(k, bad, "damaged on the stick");
    options.import = mirror;
    kit_ok(iw_fetch_all(store, s.wanted, COUNT, &options, &err));
    assert_int_equal(kit_requests(k, "/plain/file0"), 0);
    assert_int_equal(kit_requests(k, "/plain/file1"), 1);
    assert_int_equal(kit_requests(k, "/plain/file2"), 1);
    kit_has_not(k->events.data, "failed");
    /* where nobody has it, both are named */
    char seen[IW_SHA256_HEX];
    iw_hash_bytes("damaged on the stick", 20, seen);
    store = kit_store(k);
    s.sources[1].name = "http://127.0.0.1:1/nothing";
    kit_fails_with(iw_fetch_all(store, s.wanted, COUNT, &options, &err), IW_E_NETWORK, seen);
    kit_has(err.message, mirror);
    kit_has(err.message, "http://127.0.0.1:1/nothing");
    iw_error_clear(&err);
    set_free(&s);
}

static void exports_nothing_damaged(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_cleanup_free char *mirror = kit_path(k, "mirror2"),
                         *kept = iw_store_source_path(store, s.digests[1]);
    kit_fails_with(iw_fetch_export(store, s.wanted, COUNT, mirror, NULL, &err), IW_E_NOT_FOUND,
                   "exporting to ");
    kit_ok(iw_fetch_all(store, s.wanted, COUNT, &options, &err));
    kit_ok(iw_fetch_export(store, s.wanted, COUNT, mirror, NULL, &err));
    /* a flipped bit in the mirror is repaired by the next export; one in the store is refused */
    iw_cleanup_free char *there = iw_format("mirror2/by-sha256/%s", s.digests[0]),
                         *there_path = kit_path(k, there);
    assert_int_equal(chmod(there_path, 0644), 0);
    kit_text(k, there, "flipped");
    kit_ok(iw_fetch_export(store, s.wanted, COUNT, mirror, NULL, &err));
    iw_cleanup_free char *text = kit_read(there_path);
    assert_string_equal(text, s.texts[0]);
    assert_int_equal(chmod(kept, 0644), 0);
    int fd = open(kept, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "X", 1, 3), 1);
    close(fd);
    iw_cleanup_free char *other = kit_path(k, "mirror3");
    kit_fails_with(iw_fetch_export(store, s.wanted, COUNT, other, NULL, &err), IW_E_DIGEST,
                   "exporting to ");
    kit_ok(iw_fetch_all(store, s.wanted, COUNT, &options, &err)); /* and fetched again */
    kit_ok(iw_fetch_export(store, s.wanted, COUNT, other, NULL, &err));
    /* crates whose lock can't be read would be missing in the mirror: that is an error */
    iw_source crates = {.kind = IW_SOURCE_CRATES,
                        .id = "4",
                        .name = "Cargo.lock",
                        .sha256 = s.digests[0],
                        .place = {"recipes/s/1.yaml", 9, 1}};
    iw_wanted wanted = {.recipe = &s.recipe, .source = &crates};
    kit_fails_with(iw_fetch_export(store, &wanted, 1, other, NULL, &err), IW_E_FORMAT,
                   "Cargo.lock");
    iw_cleanup_strings iw_strings digests = {0};
    kit_ok(iw_fetch_digests(store, &wanted, 1, &digests, &err)); /* for gc, it is nothing to keep */
    assert_int_equal(digests.count, 0);
    iw_error_clear(&err);
    set_free(&s);
}

/* --- trouble of this host ------------------------------------------------- */

static void says_when_the_disk_is_full(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_fault_set(IW_FAULT_WRITE, 2,
                 ENOSPC); /* the first one is the note of where the part comes from */
    kit_fails_with(iw_fetch_all(store, s.wanted, 1, &options, &err), IW_E_IO,
                   "no space left for file0");
    iw_fault_set(IW_FAULT_WRITE, 0, 0);
    assert_false(has(k, s.digests[0]));
    kit_ok(iw_fetch_all(store, s.wanted, 1, &options, &err));
    /* and when it is taken into the store */
    iw_fault_set(IW_FAULT_RENAME, 2, ENOSPC); /* after the side file's */
    assert_int_equal(iw_fetch_all(store, s.wanted, 2, &options, &err), -1);
    iw_fault_set(IW_FAULT_RENAME, 0, 0);
    iw_error_clear(&err);
    kit_ok(iw_fetch_all(store, s.wanted, 2, &options, &err));
    assert_true(has(k, s.digests[1]));
    iw_error_clear(&err);
    set_free(&s);
}

static void keeps_what_came_when_stopped(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_cleanup_free char *stuck = iw_format("%s/stuck/file2", k->url);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    s.sources[2].name = stuck;
    options.cancel = ends[0];
    options.stall = 60;
    pid_t pid = fork();
    if (pid == 0) {
        usleep(700000);
        (void)!write(ends[1], "x", 1);
        _exit(0);
    }
    kit_fails_with(iw_fetch_all(store, s.wanted, COUNT, &options, &err), IW_E_CANCELLED,
                   "run the same command again");
    waitpid(pid, NULL, 0);
    assert_true(has(k, s.digests[0]) && has(k, s.digests[1]));
    iw_cleanup_free char *part = iw_format("%s/tmp/%s.part", iw_store_root(store), s.digests[2]);
    assert_true(iw_exists(part));
    char *note = NULL;
    kit_ok(iw_store_fetch_note(store, s.digests[2], &note, &err));
    assert_null(note); /* being stopped is no failure */
    close(ends[0]), close(ends[1]);
    iw_error_clear(&err);
    set_free(&s);
}

/* --- laying --------------------------------------------------------------- */

static void expect_file(kit *k, const char *name, const char *text, mode_t mode)
{
    iw_cleanup_free char *path = kit_path(k, name), *got = kit_read(path);
    struct stat status;
    assert_string_equal(got, text);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, mode);
    assert_int_equal(status.st_mtim.tv_sec, IW_ARCHIVE_TIME);
}

static void lays_files_and_folders(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    set s;
    make_set(k, &s, "plain");
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    kit_ok(iw_fetch_all(store, s.wanted, COUNT, &options, &err));
    iw_cleanup_free char *src = kit_path(k, "src"), *local = kit_path(k, "recipe/files/data"),
                         *program = kit_path(k, "recipe/files/data/run"),
                         *single = kit_path(k, "recipe/files/one");
    s.sources[0].to = "sub/dir";
    kit_ok(iw_source_lay(store, &s.recipe, &s.sources[0], src, &err)); /* `unpack: false` */
    expect_file(k, "src/sub/dir/file0", s.texts[0], 0644);
    kit_text(k, "recipe/files/data/run", "#!/bin/sh\n");
    kit_text(k, "recipe/files/data/deep/x", "x");
    kit_text(k, "recipe/files/one", "1");
    assert_int_equal(chmod(program, 0775), 0);
    iw_source folder = {.kind = IW_SOURCE_LOCAL,
                        .id = "f",
                        .name = "files/data",
                        .file = "data",
                        .local_path = local,
                        .to = "data"},
              file = {.kind = IW_SOURCE_LOCAL,
                      .id = "g",
                      .name = "files/one",
                      .file = "one",
                      .local_path = single,
                      .to = "."},
              gone = {.kind = IW_SOURCE_LOCAL,
                      .id = "h",
                      .name = "files/gone",
                      .file = "gone",
                      .local_path = "/nonexistent/gone",
                      .to = ".",
                      .place = {"recipes/s/1.yaml", 12, 5}};
    kit_ok(iw_source_lay(store, &s.recipe, &folder, src, &err));
    kit_ok(iw_source_lay(store, &s.recipe, &file, src, &err));
    expect_file(k, "src/data/run", "#!/bin/sh\n", 0755);
    expect_file(k, "src/data/deep/x", "x", 0644);
    expect_file(k, "src/one", "1", 0644);
    kit_fails_with(iw_source_lay(store, &s.recipe, &gone, src, &err), IW_E_IO,
                   "recipes/s/1.yaml:12: source h");
    /* what lies in the store is verified again */
    iw_cleanup_free char *kept = iw_store_source_path(store, s.digests[1]);
    assert_int_equal(chmod(kept, 0644), 0);
    int fd = open(kept, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "X", 1, 0), 1);
    close(fd);
    kit_fails_with(iw_source_lay(store, &s.recipe, &s.sources[1], src, &err), IW_E_DIGEST,
                   "recipes/s/1.yaml:4: source 2");
    /* and an archive that isn't one is refused */
    s.sources[2].unpack = true;
    kit_fails_with(iw_source_lay(store, &s.recipe, &s.sources[2], src, &err), IW_E_FORMAT, "file2");
    kit_ok(iw_remove_tree(src, &err));
    iw_error_clear(&err);
    set_free(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_everything),
        cmocka_unit_test(under_a_licence),
        cmocka_unit_test(two_runs_share_the_work),
        cmocka_unit_test(goes_on_after_a_failure_and_tells_all),
        cmocka_unit_test(offline_names_what_is_missing),
        cmocka_unit_test(exports_and_imports),
        cmocka_unit_test(asks_elsewhere_for_what_a_mirror_lacks),
        cmocka_unit_test(exports_nothing_damaged),
        cmocka_unit_test(says_when_the_disk_is_full),
        cmocka_unit_test(keeps_what_came_when_stopped),
        cmocka_unit_test(lays_files_and_folders),
    };
    return cmocka_run_group_tests_name("fetch", tests, kit_group_setup, kit_group_teardown);
}
