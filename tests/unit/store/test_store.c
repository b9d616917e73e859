/* The store: files that stay what they are, an index that may be lost, clear errors, and success
 * later. */
#include "kit.h"

#include <errno.h>
#include <sys/wait.h>

static iw_store *open_store(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = NULL;
    char *path = iw_path_join(*state, "cache");
    kit_ok(iw_store_open(path, NULL, &store, &err));
    free(path);
    return store;
}

static void key_of(const char *text, char key[IW_SHA256_HEX])
{
    iw_hash_bytes(text, strlen(text), key);
}

/* A source with this text. */
static void add_source(iw_store *store, const char *text, char sha256[IW_SHA256_HEX])
{
    iw_error err = IW_ERROR_INIT;
    char *tmp = iw_store_path(store, "tmp", "");
    kit_text(tmp, "download", text);
    char *file = iw_path_join(tmp, "download");
    key_of(text, sha256);
    kit_ok(iw_store_add_source(store, file, sha256, "x.tar.gz", &err));
    free(file);
    free(tmp);
}

static void make_tree(const char *tree, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_make_folders(tree, 0755, &err));
    kit_text(tree, "lib/python/module.py", text);
    kit_write(tree, "bin/tool", "#!/bin/sh\n", 10, 0755);
    char *link = iw_path_join(tree, "bin/alias");
    if (symlink("tool", link) != 0) assert_int_equal(errno, EEXIST);
    free(link);
}

static void add_artifact(void **state, iw_store *store, const char *name, const char *text,
                         iw_artifact *out)
{
    iw_error err = IW_ERROR_INIT;
    char *tree = iw_path_join(*state, name), *plan = iw_format("plan %s", name),
         *build = iw_format("build %s", name);
    char plan_key[IW_SHA256_HEX], build_key[IW_SHA256_HEX];
    make_tree(tree, text);
    key_of(plan, plan_key);
    key_of(build, build_key);
    *out = (iw_artifact){.name = iw_strdup(name),
                         .version = iw_strdup("1"),
                         .plan_key = iw_strdup(plan_key),
                         .build_key = iw_strdup(build_key),
                         .facts = iw_strdup("{\"licence\": \"MIT\"}")};
    kit_ok(iw_store_add_artifact(store, tree, out, false, &err));
    iw_remove_tree(tree, NULL);
    free(tree);
    free(plan);
    free(build);
}

static char *artifact_file(iw_store *store, const iw_artifact *a, const char *ending)
{
    char *name = iw_format("%s%s", a->build_key, ending),
         *path = iw_store_path(store, "artifacts", name);
    free(name);
    return path;
}

/* --- sources -------------------------------------------------------------- */

static void test_source(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    char sha256[IW_SHA256_HEX];
    bool has = true;
    int fd = -1;
    key_of("hello", sha256);
    kit_ok(iw_store_has_source(store, sha256, &has, &err));
    assert_false(has);
    kit_fails(iw_store_open_source(store, sha256, &fd, &err), IW_E_NOT_FOUND, "fetch");
    add_source(store, "hello", sha256);
    kit_ok(iw_store_has_source(store, sha256, &has, &err));
    assert_true(has);
    char *path = iw_store_source_path(store, sha256), text[8] = "";
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0444);
    kit_ok(iw_store_open_source(store, sha256, &fd, &err));
    assert_int_equal(read(fd, text, sizeof text), 5);
    assert_memory_equal(text, "hello", 5);
    close(fd);
    kit_fails(iw_store_has_source(store, "../../etc/passwd", &has, &err), IW_E_USAGE, "SHA-256");
    free(path);
    iw_store_close(store);
}

/* A flipped bit: opening tells, and the file is gone, so that the next run fetches it. */
static void test_source_damaged(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    char sha256[IW_SHA256_HEX];
    bool has = true;
    int fd = -1;
    add_source(store, "some longer text of a source", sha256);
    char *path = iw_store_source_path(store, sha256);
    kit_flip(path, 7);
    kit_fails(iw_store_open_source(store, sha256, &fd, &err), IW_E_DIGEST, sha256);
    assert_int_equal(fd, -1);
    assert_false(iw_exists(path));
    kit_ok(iw_store_has_source(store, sha256, &has, &err));
    assert_false(has);
    add_source(store, "some longer text of a source", sha256);
    kit_flip(path, 7);
    kit_ok(iw_store_has_source(store, sha256, &has,
                               &err)); /* its times changed, so that it is hashed */
    assert_false(has);
    assert_false(iw_exists(path));
    free(path);
    iw_store_close(store);
}

/* A file that the index doesn't know (a copied store) is hashed once and then known. */
static void test_source_unknown(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    char good[IW_SHA256_HEX], bad[IW_SHA256_HEX];
    bool has = false;
    key_of("copied", good);
    key_of("other", bad);
    char *folder = iw_store_path(store, "sources", "");
    kit_text(folder, good, "copied");
    kit_text(folder, bad, "copied");
    kit_ok(iw_store_has_source(store, good, &has, &err));
    assert_true(has);
    kit_ok(iw_store_has_source(store, bad, &has, &err));
    assert_false(has);
    free(folder);
    iw_store_close(store);
}

/* --- artifacts ------------------------------------------------------------ */

static void expect_same(const iw_artifact *a, const iw_artifact *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->version, b->version);
    assert_string_equal(a->build_key, b->build_key);
    assert_string_equal(a->content, b->content);
    assert_string_equal(a->file_digest, b->file_digest);
    assert_string_equal(a->facts, b->facts);
    assert_true(a->file_size == b->file_size && a->content_size == b->content_size);
}

static void test_artifact(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, found;
    bool is = false;
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
    assert_true(is);
    expect_same(&a, &found);
    iw_artifact_clear(&found);
    kit_ok(iw_store_find_artifact_by_build(store, a.build_key, &found, &is, &err));
    assert_true(is);
    iw_artifact_clear(&found);
    kit_ok(iw_store_find_artifact_by_build(store, a.plan_key, &found, &is, &err));
    assert_false(is);
    char other[IW_SHA256_HEX];
    key_of("another plan", other);
    kit_ok(iw_store_link_plan(store, other, a.build_key, &err));
    kit_ok(iw_store_find_artifact_by_plan(store, other, &found, &is, &err));
    assert_true(is);
    iw_artifact_clear(&found);
    char *folder = iw_path_join(*state, "prefix"), content[IW_SHA256_HEX];
    kit_ok(iw_make_folders(folder, 0755, &err));
    kit_ok(iw_store_lay_artifact(store, &a, folder, NULL, &err));
    kit_expect(folder, "lib/python/module.py", "x = 1\n");
    kit_ok(iw_archive_digest(folder, content, &err));
    assert_string_equal(content, a.content);
    free(folder);
    iw_artifact_clear(&a);
    iw_store_close(store);
}

static void test_artifact_skip(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a;
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    char *folder = iw_path_join(*state, "prefix"),
         *module = iw_path_join(folder, "lib/python/module.py"),
         *tool = iw_path_join(folder, "bin/tool");
    iw_strings skip = {0};
    iw_strings_add(&skip, "lib/**/*.py");
    kit_ok(iw_make_folders(folder, 0755, &err));
    kit_ok(iw_store_lay_artifact(store, &a, folder, &skip, &err));
    assert_false(iw_exists(module));
    assert_true(iw_exists(tool));
    iw_strings_free(&skip);
    free(module);
    free(tool);
    free(folder);
    iw_artifact_clear(&a);
    iw_store_close(store);
}

/* The same key with other bytes: told with both digests; `replace` puts the new one there. */
static void test_artifact_differs(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, b, found;
    bool is;
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    char *tree = iw_path_join(*state, "again");
    make_tree(tree, "x = 2\n");
    b = (iw_artifact){.name = iw_strdup("numpy"),
                      .version = iw_strdup("1"),
                      .plan_key = iw_strdup(a.plan_key),
                      .build_key = iw_strdup(a.build_key)};
    kit_fails(iw_store_add_artifact(store, tree, &b, false, &err), IW_E_DIGEST, a.content);
    kit_ok(iw_store_find_artifact_by_build(store, a.build_key, &found, &is, &err));
    assert_true(is);
    assert_string_equal(found.content, a.content);
    iw_artifact_clear(&found);
    kit_ok(iw_store_add_artifact(store, tree, &b, true, &err));
    kit_ok(iw_store_find_artifact_by_build(store, a.build_key, &found, &is, &err));
    assert_true(is);
    assert_string_equal(found.content, b.content);
    assert_string_not_equal(found.content, a.content);
    iw_artifact_clear(&found);
    /* The one that was replaced can't be laid any more, and the new one survives the attempt. */
    char *folder = iw_path_join(*state, "prefix");
    kit_ok(iw_make_folders(folder, 0755, &err));
    kit_fails(iw_store_lay_artifact(store, &a, folder, NULL, &err), IW_E_DIGEST,
              "replaced meanwhile");
    kit_ok(iw_store_lay_artifact(store, &b, folder, NULL, &err));
    free(folder);
    free(tree);
    iw_artifact_clear(&a);
    iw_artifact_clear(&b);
    iw_store_close(store);
}

/* A flipped bit anywhere in the file: nothing of it stays in the folder, the artifact is gone,
 * others that lie there stay. */
static void test_artifact_damaged(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static const long places[] = {0, 3, 60, 200, -1, -5, -40};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        iw_store *store = open_store(state);
        iw_artifact a, found;
        bool is = true;
        add_artifact(
            state, store, "numpy",
            "a line that zstd can't make much smaller: qwertyuiopasdfghjklzxcvbnm1234567890\n", &a);
        char *file = artifact_file(store, &a, ".tar.zst"), *folder = iw_path_join(*state, "prefix"),
             *lib = iw_path_join(folder, "lib");
        kit_text(folder, "bin/other", "stays\n");
        kit_flip(file, places[i]);
        kit_fails(iw_store_lay_artifact(store, &a, folder, NULL, &err), IW_E_DIGEST,
                  "builds it again");
        assert_false(iw_exists(lib));
        kit_expect(folder, "bin/other", "stays\n");
        assert_false(iw_exists(file));
        kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
        assert_false(is);
        free(lib);
        free(file);
        free(folder);
        iw_artifact_clear(&a);
        iw_store_close(store);
    }
}

/* Found while it is looked up: its times tell, its digest decides. */
static void test_artifact_touched(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, found;
    bool is = false;
    add_artifact(state, store, "numpy", "x\n", &a);
    char *file = artifact_file(store, &a, ".tar.zst");
    assert_int_equal(utimensat(AT_FDCWD, file, NULL, 0), 0);
    kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
    assert_true(is);
    iw_artifact_clear(&found);
    kit_flip(file, 30);
    kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
    assert_false(is);
    free(file);
    iw_artifact_clear(&a);
    iw_store_close(store);
}

static void test_artifact_conflict(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, b, c;
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    add_artifact(state, store, "scipy", "x = 2\n", &b);
    add_artifact(state, store, "same", "x = 1\n", &c);
    char *folder = iw_path_join(*state, "prefix");
    kit_ok(iw_make_folders(folder, 0755, &err));
    kit_ok(iw_store_lay_artifact(store, &a, folder, NULL, &err));
    kit_ok(iw_store_lay_artifact(store, &c, folder, NULL, &err));
    kit_fails(iw_store_lay_artifact(store, &b, folder, NULL, &err), IW_E_BUILD,
              "scipy 1 and numpy 1 both bring the file lib/python/module.py");
    kit_expect(folder, "lib/python/module.py", "x = 1\n");
    iw_artifact found;
    bool is;
    kit_ok(iw_store_find_artifact_by_plan(store, b.plan_key, &found, &is, &err));
    assert_true(is); /* it isn't damaged */
    iw_artifact_clear(&found);
    free(folder);
    iw_artifact_clear(&a);
    iw_artifact_clear(&b);
    iw_artifact_clear(&c);
    iw_store_close(store);
}

static void test_artifact_absolute_link(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    char *tree = iw_path_join(*state, "tree"), *link = iw_path_join(tree, "escape"),
         key[IW_SHA256_HEX];
    kit_ok(iw_make_folders(tree, 0755, &err));
    assert_int_equal(symlink("/etc", link), 0);
    key_of("x", key);
    iw_artifact a = {.name = iw_strdup("x"),
                     .version = iw_strdup("1"),
                     .plan_key = iw_strdup(key),
                     .build_key = iw_strdup(key)};
    kit_fails(iw_store_add_artifact(store, tree, &a, false, &err), IW_E_BUILD, "escape");
    iw_artifact_clear(&a);
    free(link);
    free(tree);
    iw_store_close(store);
}

/* --- the index ------------------------------------------------------------ */

static char *index_path(void **state)
{
    return iw_path_join(*state, "cache/index.sqlite");
}

static void lose_index(const char *path, int way)
{
    char *wal = iw_format("%s-wal", path), *shm = iw_format("%s-shm", path);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    if (way != 1) unlink(wal), unlink(shm);
    if (way == 0 || way == 1) assert_int_equal(unlink(path), 0);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (way == 2) assert_int_equal(ftruncate(fd, status.st_size / 2 + 100), 0);
    char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    if (way == 3) assert_int_equal(pwrite(fd, junk, 100, 0), 100);
    if (way == 4)
        for (off_t at = 100; at < status.st_size; at += sizeof junk)
            assert_true(pwrite(fd, junk, sizeof junk - 100, at) > 0);
    close(fd);
    if (way == 5) {
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    free(wal);
    free(shm);
}

static void test_index_lost(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, found;
    iw_measure m;
    bool is;
    char sha256[IW_SHA256_HEX], *path = index_path(state);
    add_source(store, "hello", sha256);
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    kit_ok(iw_store_record(store, "numpy", "1", "", (iw_measure){420.5, 700}, &err));
    iw_store_close(store);
    for (int way = 0; way < 6; way++) {
        lose_index(path, way);
        store = open_store(state);
        kit_ok(iw_store_has_source(store, sha256, &is, &err));
        assert_true(is);
        kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
        assert_true(is);
        expect_same(&a, &found);
        iw_artifact_clear(&found);
        kit_ok(iw_store_measured(store, "numpy", "1", "", &m, &is, &err));
        assert_true(is && m.seconds > 420.4 && m.seconds < 420.6 && m.peak_memory == 700);
        iw_store_close(store);
    }
    free(path);
    iw_artifact_clear(&a);
}

/* Damaged while it is open: the same call succeeds. */
static void test_index_damaged_while_open(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, found;
    bool is;
    char *path = index_path(state);
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    iw_store_close(store);
    store = open_store(state);
    lose_index(path, 4);
    kit_ok(iw_store_find_artifact_by_build(store, a.build_key, &found, &is, &err));
    assert_true(is);
    iw_artifact_clear(&found);
    kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
    assert_true(is);
    iw_artifact_clear(&found);
    iw_store_close(store);
    free(path);
    iw_artifact_clear(&a);
}

/* An artifact that the index has forgotten is found by its file; a damaged .json is not believed.
 */
static void test_index_forgets(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, found;
    bool is;
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    char *json = artifact_file(store, &a, ".json"), *tar = artifact_file(store, &a, ".tar.zst"),
         *path = index_path(state);
    iw_store_close(store);
    kit_flip(json, 150);
    lose_index(path, 0);
    store = open_store(state);
    kit_ok(iw_store_find_artifact_by_build(store, a.build_key, &found, &is, &err));
    assert_false(is);
    assert_false(iw_exists(tar)); /* what it was can't be known any more */
    iw_store_close(store);
    free(json);
    free(tar);
    free(path);
    iw_artifact_clear(&a);
}

/* A bit that flips inside the index is noticed by the row's seal. */
static void test_index_flipped(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, found;
    bool is;
    char *path = index_path(state), *data = NULL;
    size_t length;
    add_artifact(state, store, "numpy", "x = 1\n", &a);
    iw_store_close(store);
    kit_ok(iw_read_file(path, 1 << 24, &data, &length, &err));
    char *at = memmem(data, length, "licence", 7);
    assert_non_null(at);
    kit_flip(path, at - data + 1);
    free(data);
    store = open_store(state);
    kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
    assert_true(is);
    assert_string_equal(found.facts, a.facts);
    iw_artifact_clear(&found);
    iw_store_close(store);
    free(path);
    iw_artifact_clear(&a);
}

/* --- notes ---------------------------------------------------------------- */

static void test_notes(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    char sha256[IW_SHA256_HEX], *text = NULL, *digest = NULL;
    bool is;
    iw_measure m;
    key_of("x", sha256);
    kit_ok(iw_store_fetch_note(store, sha256, &text, &err));
    assert_null(text);
    kit_ok(iw_store_note_fetch(store, sha256, "no route to host", &err));
    kit_ok(iw_store_fetch_note(store, sha256, &text, &err));
    assert_string_equal(text, "no route to host");
    free(text);
    kit_ok(iw_store_note_fetch(store, sha256, NULL, &err));
    kit_ok(iw_store_fetch_note(store, sha256, &text, &err));
    assert_null(text);
    kit_ok(iw_store_measured(store, "numpy", "1", "", &m, &is, &err));
    assert_false(is);
    kit_ok(iw_store_record(store, "numpy", "1", "", (iw_measure){10, 1}, &err));
    kit_ok(iw_store_record(store, "numpy", "2", "", (iw_measure){20, 1}, &err));
    kit_ok(iw_store_record(store, "numpy", "2", "compile", (iw_measure){15, 300}, &err));
    kit_ok(iw_store_measured(store, "numpy", "1", "", &m, &is, &err));
    assert_true(is && m.seconds > 9 && m.seconds < 11);
    kit_ok(iw_store_measured(store, "numpy", "3", "", &m, &is, &err));
    assert_true(is && m.seconds > 19 && m.seconds < 21);
    kit_ok(iw_store_note_inputs(store, "numpy", "1", "base", "key a\nprofile k10\n", &err));
    kit_ok(iw_store_note_inputs(store, "numpy", "2", "base", "key b\nprofile k10\n", &err));
    kit_ok(iw_store_note_inputs(store, "numpy", "1", "base-fleet", "key c\nprofile fleet\n", &err));
    static const char *const asked[][4] = {{"1", "base", "profile k10", "key a\nprofile k10\n"},
                                           {"9", "base", "profile k10", "key b\nprofile k10\n"},
                                           {"1", "tts", "profile k10", "key a\nprofile k10\n"},
                                           {"1", "base", "profile fleet", "key c\nprofile fleet\n"},
                                           {"1", "base", "profile core2", "key a\nprofile k10\n"},
                                           {"1", "tts", "profile core2", "key c\nprofile fleet\n"}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        kit_ok(iw_store_last_inputs(store, "numpy", asked[i][0], asked[i][1], asked[i][2], &text,
                                    &err));
        assert_string_equal(text, asked[i][3]);
        free(text);
    }
    kit_text(*state, "bundle.tar.zst", "bytes");
    char *bundle = iw_path_join(*state, "bundle.tar.zst"), content[IW_SHA256_HEX];
    key_of("bytes", content);
    kit_ok(iw_store_note_bundle(store, sha256, bundle, content, &err));
    kit_ok(iw_store_find_bundle(store, sha256, &text, &digest, &is, &err));
    assert_true(is);
    assert_string_equal(digest, content);
    free(text);
    free(digest);
    kit_text(*state, "bundle.tar.zst", "other");
    kit_ok(iw_store_find_bundle(store, sha256, &text, &digest, &is, &err));
    assert_false(is);
    assert_null(text);
    free(bundle);
    iw_store_close(store);
}

/* --- failures ------------------------------------------------------------- */

/* Each call that can fail fails once; the next try succeeds and nothing is left in tmp/. */
static void test_faults(void **state)
{
    static const iw_fault_point points[] = {IW_FAULT_OPEN, IW_FAULT_WRITE, IW_FAULT_FSYNC,
                                            IW_FAULT_RENAME};
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    for (size_t p = 0; p < 4; p++) {
        for (unsigned after = 1; after < 8; after++) {
            char *name = iw_format("p%zu-%u", p, after), *tree = iw_path_join(*state, name),
                 key[IW_SHA256_HEX];
            make_tree(tree, name);
            key_of(name, key);
            iw_artifact a = {.name = iw_strdup(name),
                             .version = iw_strdup("1"),
                             .plan_key = iw_strdup(key),
                             .build_key = iw_strdup(key)},
                        found;
            iw_fault_set(points[p], after, ENOSPC);
            int status = iw_store_add_artifact(store, tree, &a, false, &err);
            iw_fault_set(points[p], 0, 0);
            if (status != 0) {
                assert_int_equal(err.kind, IW_E_IO);
                assert_int_equal(err.sys, ENOSPC);
                assert_non_null(strstr(iw_error_text(&err), name));
                iw_error_clear(&err);
            }
            kit_ok(iw_store_add_artifact(store, tree, &a, false, &err));
            bool is;
            kit_ok(iw_store_find_artifact_by_build(store, key, &found, &is, &err));
            assert_true(is);
            iw_artifact_clear(&found);
            iw_artifact_clear(&a);
            iw_remove_tree(tree, NULL);
            free(tree);
            free(name);
        }
    }
    iw_usage rows[16];
    size_t count;
    kit_ok(iw_store_usage(store, rows, 16, &count, &err));
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].folder, "tmp") == 0) assert_int_equal(rows[i].files, 0);
    iw_store_close(store);
}

static void test_unwritable(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = NULL;
    kit_text(*state, "file", "");
    char *path = iw_path_join(*state, "file/cache");
    kit_fails(iw_store_open(path, NULL, &store, &err), IW_E_ENVIRONMENT, "--cache");
    kit_fails(iw_store_open("/proc/ironwheel", NULL, &store, &err), IW_E_ENVIRONMENT,
              "/proc/ironwheel");
    assert_null(store);
    free(path);
}

static void test_environment(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = NULL;
    char *path = iw_path_join(*state, "named"), *fallback = iw_path_join(*state, "fallback"),
         *real = realpath(*state, NULL);
    setenv("IRONWHEEL_CACHE", path, 1);
    kit_ok(iw_store_open(NULL, fallback, &store, &err));
    assert_non_null(strstr(iw_store_root(store), "/named"));
    iw_store_close(store);
    unsetenv("IRONWHEEL_CACHE");
    kit_ok(iw_store_open(NULL, fallback, &store, &err));
    assert_non_null(strstr(iw_store_root(store), "/fallback"));
    assert_int_equal(iw_store_root(store)[0], '/');
    iw_store_close(store);
    kit_fails(iw_store_open(NULL, NULL, &store, &err), IW_E_ENVIRONMENT, "IRONWHEEL_CACHE");
    free(path);
    free(fallback);
    free(real);
}

/* --- care ----------------------------------------------------------------- */

static void count_bad(void *context, const char *path, const char *why)
{
    (void)path, (void)why;
    ++*(int *)context;
}

static void test_verify(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, b, c, found;
    char good[IW_SHA256_HEX], bad[IW_SHA256_HEX];
    int count = 0;
    bool is;
    add_source(store, "good", good);
    add_source(store, "bad", bad);
    add_artifact(state, store, "a", "1\n", &a);
    add_artifact(state, store, "b", "2\n", &b);
    add_artifact(state, store, "c", "3\n", &c);
    kit_ok(iw_store_verify(store, count_bad, &count, &err));
    assert_int_equal(count, 0);
    char *source = iw_store_source_path(store, bad), *tar = artifact_file(store, &a, ".tar.zst"),
         *json = artifact_file(store, &b, ".json");
    kit_flip(source, 1);
    kit_flip(tar, 50);
    kit_flip(json, 100);
    kit_ok(iw_store_verify(store, count_bad, &count, &err));
    assert_int_equal(count, 3);
    count = 0;
    kit_ok(iw_store_verify(store, count_bad, &count, &err));
    assert_int_equal(count, 0);
    kit_ok(iw_store_find_artifact_by_plan(store, c.plan_key, &found, &is, &err));
    assert_true(is);
    iw_artifact_clear(&found);
    kit_ok(iw_store_find_artifact_by_plan(store, b.plan_key, &found, &is, &err));
    assert_false(is);
    kit_ok(iw_store_has_source(store, good, &is, &err));
    assert_true(is);
    free(source);
    free(tar);
    free(json);
    iw_artifact_clear(&a);
    iw_artifact_clear(&b);
    iw_artifact_clear(&c);
    iw_store_close(store);
}

static void test_gc(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_artifact a, b, found;
    char kept[IW_SHA256_HEX], dropped[IW_SHA256_HEX];
    bool is;
    uint64_t files, bytes;
    add_source(store, "kept", kept);
    add_source(store, "dropped", dropped);
    add_artifact(state, store, "a", "1\n", &a);
    add_artifact(state, store, "b", "2\n", &b);
    char *root = iw_strdup(iw_store_root(store));
    kit_text(root, "work/a-1-abc/src/x.c", "int x;");
    kit_text(root, "work/b-1-abc/src/x.c", "int x;");
    kit_text(root, "work/b-1-abc.lock", "");
    kit_text(root, "objects/aa/old", "0123456789");
    kit_text(root, "objects/bb/new", "0123456789");
    kit_text(root, "tmp/half", "a download that broke just now");
    char *old = iw_path_join(root, "objects/aa/old"), *fresh = iw_path_join(root, "objects/bb/new"),
         *lock = iw_path_join(root, "work/b-1-abc.lock"),
         *free_tree = iw_path_join(root, "work/a-1-abc"),
         *held_tree = iw_path_join(root, "work/b-1-abc"), *half = iw_path_join(root, "tmp/half");
    struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0), 0);
    int held = -1;
    kit_ok(iw_lock_file(lock, true, false, &held, &err));
    iw_strings keys = {0}, sources = {0};
    iw_strings_add(&keys, a.build_key);
    iw_strings_add(&sources, kept);
    iw_gc_keep keep = {.keys = &keys, .sources = &sources, .objects_limit = 15, .dry_run = true};
    kit_ok(iw_store_gc(store, &keep, &files, &bytes, &err));
    assert_int_equal(files, 5); /* source, artifact's two, object, tree's file */
    assert_true(iw_exists(old) && iw_exists(free_tree));
    keep.dry_run = false;
    uint64_t files_then, bytes_then;
    kit_ok(iw_store_gc(store, &keep, &files_then, &bytes_then, &err));
    assert_true(files_then == files && bytes_then == bytes);
    assert_false(iw_exists(old) || iw_exists(free_tree));
    assert_true(iw_exists(fresh) && iw_exists(held_tree) && iw_exists(half));
    kit_ok(iw_store_has_source(store, kept, &is, &err));
    assert_true(is);
    kit_ok(iw_store_has_source(store, dropped, &is, &err));
    assert_false(is);
    kit_ok(iw_store_find_artifact_by_plan(store, a.plan_key, &found, &is, &err));
    assert_true(is);
    iw_artifact_clear(&found);
    kit_ok(iw_store_find_artifact_by_plan(store, b.plan_key, &found, &is, &err));
    assert_false(is);
    close(held);
    char *all[] = {old, fresh, lock, free_tree, held_tree, half, root};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    iw_strings_free(&keys);
    iw_strings_free(&sources);
    iw_artifact_clear(&a);
    iw_artifact_clear(&b);
    iw_store_close(store);
}

/* Another process has the store open: gc names it. */
static void test_gc_in_use(void **state)
{
    iw_error err = IW_ERROR_INIT;
    int ready[2], done[2];
    assert_int_equal(pipe(ready) | pipe(done), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(done[1]);
        iw_store *mine = open_store(state);
        (void)!write(ready[1], "x", 1);
        (void)!read(done[0], &byte, 1);
        iw_store_close(mine);
        _exit(0);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    iw_store *store = open_store(state);
    iw_gc_keep keep = {0};
    char *name = iw_format("process %ld", (long)pid);
    kit_fails(iw_store_gc(store, &keep, NULL, NULL, &err), IW_E_ENVIRONMENT, name);
    close(done[1]);
    waitpid(pid, NULL, 0);
    kit_ok(iw_store_gc(store, &keep, NULL, NULL, &err));
    free(name);
    close(ready[0]), close(ready[1]), close(done[0]);
    iw_store_close(store);
}

/* A handle that has read a row sees what another process adds afterwards, and can write. */
static void test_reads_end(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_store *store = open_store(state);
    iw_measure measure = {1, 2};
    bool found = false;
    char *message = NULL;
    kit_ok(iw_store_record(store, "a", "1", "compile", measure, &err));
    kit_ok(iw_store_note_fetch(store, "x", "gone", &err));
    kit_ok(iw_store_fetch_note(store, "x", &message, &err));
    kit_ok(iw_store_measured(store, "a", "1", "compile", &measure, &found, &err));
    assert_true(found);
    free(message);
    pid_t pid = fork();
    if (pid == 0) {
        iw_store *other = open_store(state);
        iw_artifact made = {0};
        add_artifact(state, other, "late", "text", &made);
        iw_store_close(other);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    iw_artifact artifact = {0};
    char key[IW_SHA256_HEX];
    key_of("plan late", key);
    kit_ok(iw_store_find_artifact_by_plan(store, key, &artifact, &found, &err));
    assert_true(found);
    kit_ok(iw_store_link_plan(store, key, artifact.build_key, &err));
    iw_artifact_clear(&artifact);
    iw_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        T(test_source),
        T(test_source_damaged),
        T(test_source_unknown),
        T(test_artifact),
        T(test_artifact_skip),
        T(test_artifact_differs),
        T(test_artifact_damaged),
        T(test_artifact_touched),
        T(test_artifact_conflict),
        T(test_artifact_absolute_link),
        T(test_index_lost),
        T(test_index_damaged_while_open),
        T(test_index_forgets),
        T(test_index_flipped),
        T(test_notes),
        T(test_faults),
        T(test_unwritable),
        T(test_environment),
        T(test_verify),
        T(test_gc),
        T(test_gc_in_use),
        T(test_reads_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
