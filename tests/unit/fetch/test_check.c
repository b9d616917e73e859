/* `fetch --check`: what is asked for, and what each answer means. */
#include "kit.h"

#include "fetch/listed.h"

#define COUNT 6
#define PINNED "20261123T083542Z"
#define SHA1 "cccccccccccccccccccccccccccccccccccccccc"

static iw_fetch_options options_of(kit *k)
{
    return (iw_fetch_options){.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 20};
}

/* Some sources of one recipe. */
typedef struct set {
    iw_source sources[COUNT];
    char *urls[COUNT], digests[COUNT][IW_SHA256_HEX];
    iw_wanted wanted[COUNT];
    iw_recipe recipe;
    size_t count;
} set;

static iw_source *add(kit *k, set *s, const char *how, const char *file, const char *text)
{
    size_t i = s->count++;
    assert_true(i < COUNT);
    s->urls[i] = iw_format("%s/%s/%s", k->url, how, file);
    iw_hash_bytes(text, strlen(text), s->digests[i]);
    s->recipe = (iw_recipe){.name = "r", .version = "1"};
    s->sources[i] = (iw_source){.kind = IW_SOURCE_URL,
                                .name = s->urls[i],
                                .file = file,
                                .sha256 = s->digests[i],
                                .place = {"recipes/r/1.yaml", 3, 5}};
    s->wanted[i] = (iw_wanted){.recipe = &s->recipe, .source = &s->sources[i]};
    return &s->sources[i];
}

static void set_free(set *s)
{
    for (size_t i = 0; i < s->count; i++) free(s->urls[i]);
}

static void expect(const iw_source_answers *answers, size_t which, const char *state,
                   const char *compared)
{
    const iw_source_answer *answer = &answers->items[which];
    if (strcmp(iw_source_state_name(answer->state), state) != 0 ||
        strcmp(answer->compared, compared) != 0)
        fail_msg("%s: %s, %s, %s", answer->name, iw_source_state_name(answer->state),
                 answer->compared, answer->detail ? answer->detail : "-");
}

static void tells_what_addresses_have(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_source_answers answers = {0};
    set s = {0};
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_cleanup_free char *mirror = iw_format("%s/plain/moved", k->url);
    const char *mirrors[] = {mirror, NULL};
    kit_text(k, "files/there", "there");
    kit_text(k, "files/moved", "moved");
    kit_text(k, "files/nohead", "no head");
    add(k, &s, "plain", "there", "there");
    add(k, &s, "plain/old", "moved", "moved")->mirrors = (iw_list){mirrors, 1};
    add(k, &s, "plain", "gone", "gone");
    add(k, &s, "nohead", "nohead", "no head");
    add(k, &s, "error/503/99", "there", "broken");
    add(k, &s, "plain", "unreachable", "unreachable")->name = "http://127.0.0.1:1/x";
    kit_forget(k);
    kit_ok(iw_fetch_check(store, s.wanted, s.count, &options, &answers, &err));
    assert_int_equal(answers.count, s.count);
    static const char *const wanted[] = {"there", "elsewhere", "gone",
                                         "there", "unknown",   "unknown"};
    for (size_t i = 0; i < COUNT; i++) expect(&answers, i, wanted[i], "nothing");
    assert_string_equal(answers.items[1].where, mirror);
    kit_has(answers.items[4].detail, "503");
    kit_has(answers.items[5].detail, "127.0.0.1:1");
    assert_int_equal(kit_requests(k, "GET /plain"), 0); /* nothing is downloaded */
    assert_int_equal(kit_requests(k, "GET /nohead/nohead bytes=0-0"), 1);
    kit_has(k->events.data, "progress sources 6/6");
    bool here = true;
    kit_ok(iw_store_has_source(store, s.digests[0], &here, &err));
    assert_false(here);
    iw_source_answers_free(&answers);
    set_free(&s);
}

static void compares_sizes_where_the_store_has_it(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_source_answers answers = {0};
    set s = {0};
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    kit_text(k, "files/same", "same bytes");
    kit_text(k, "files/other", "some bytes");
    add(k, &s, "plain", "same", "same bytes");
    add(k, &s, "nohead", "other", "some bytes");
    kit_ok(iw_fetch_all(store, s.wanted, s.count, &options, &err));
    kit_text(k, "files/other", "more bytes than before");
    kit_ok(iw_fetch_check(store, s.wanted, s.count, &options, &answers, &err));
    expect(&answers, 0, "there", "size");
    expect(&answers, 1, "changed", "nothing");
    kit_has(answers.items[1].detail, "has 22 bytes, not 10");
    assert_true(answers.items[0].stored && answers.items[1].stored);
    iw_source_answers_free(&answers);
    /* a mirror folder that has it is a further place */
    iw_cleanup_free char *folder = kit_path(k, "mirror");
    kit_ok(iw_fetch_export(store, s.wanted, s.count, folder, NULL, &err));
    options.import = folder;
    kit_ok(iw_fetch_check(store, s.wanted, s.count, &options, &answers, &err));
    expect(&answers, 0, "there", "size");
    expect(&answers, 1, "elsewhere", "size");
    kit_has(answers.items[1].where, "/mirror/by-sha256/");
    iw_source_answers_free(&answers);
    set_free(&s);
}

static void believes_the_package_index(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_source_answers answers = {0};
    set s = {0};
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k);
    iw_cleanup_free char *index = iw_format("%s/json/index", k->url);
    options.pypi_index = index;
    add(k, &s, "", "pkg-1.tar.gz", "one");
    add(k, &s, "", "pkg-2.tar.gz", "two");
    add(k, &s, "", "pkg-3.tar.gz", "three");
    add(k, &s, "", "pkg-4.tar.gz", "four");
    for (size_t i = 0; i < s.count; i++)
        s.sources[i].kind = IW_SOURCE_PYPI, s.sources[i].name = "pkg";
    iw_cleanup_free char *page = iw_format(
        "{\"files\":[{\"filename\":\"pkg-1.tar.gz\",\"url\":\"%s/plain/pkg-1.tar.gz\",\"size\":3,"
        "\"hashes\":{\"sha256\":\"%s\"}},{\"filename\":\"pkg-2.tar.gz\",\"url\":\"%s/plain/"
        "pkg-2.tar.gz\",\"hashes\":{\"sha256\":\"%s\"}},{\"filename\":\"pkg-4.tar.gz\",\"url\":"
        "\"%s/plain/pkg-4.tar.gz\",\"hashes\":{\"sha256\":\"%s\"},\"yanked\":\"it broke\"}]}",
        k->url, s.digests[0], k->url, s.digests[0], k->url, s.digests[3]);
    kit_text(k, "files/index/pkg/index.json", page);
    kit_text(k, "files/pkg-1.tar.gz", "one");
    kit_text(k, "files/pkg-2.tar.gz", "two");
    kit_ok(iw_fetch_check(store, s.wanted, s.count, &options, &answers, &err));
    expect(&answers, 0, "there", "digest");
    expect(&answers, 1, "changed", "digest"); /* the index decides, whatever the file is */
    kit_has(answers.items[1].detail, s.digests[0]);
    expect(&answers, 2, "gone", "nothing");
    kit_has(answers.items[2].detail, "has no file pkg-3.tar.gz");
    expect(&answers, 3, "gone", "digest");
    kit_has(answers.items[3].detail, "yanked");
    iw_source_answers_free(&answers);
    set_free(&s);
}

static void finds_debian_files_in_the_snapshot(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_source_answers answers = {0};
    iw_store *store = kit_store(k);
    char digest[IW_SHA256_HEX], other[IW_SHA256_HEX];
    iw_hash_bytes("timely", 6, digest);
    iw_hash_bytes("named", 5, other);
    iw_toolchain toolchain = {.name = "demo", .suite = "test", .pinned = PINNED};
    iw_toolchain_package packages[] = {{.name = "timely",
                                        .version = "1",
                                        .file = "pool/main/t/timely/timely_1_all.deb",
                                        .sha256 = digest,
                                        .size = 6},
                                       {.name = "named",
                                        .version = "1",
                                        .file = "pool/main/n/named/named_1_all.deb",
                                        .sha256 = other,
                                        .size = 5}};
    iw_wanted wanted[] = {{.package = &packages[0], .toolchain = &toolchain},
                          {.package = &packages[1], .toolchain = &toolchain},
                          {.package = &packages[0], .toolchain = &toolchain}};
    kit_text(k, "files/keep/archive/debian/" PINNED "/pool/main/t/timely/timely_1_all.deb",
             "timely");
    kit_text(k, "files/keep/mr/binary/named/1/binfiles",
             "{\"result\":[{\"hash\":\"" SHA1 "\"}],\"fileinfo\":{\"" SHA1
             "\":[{\"name\":\"named_1_all.deb\"}]}}");
    kit_text(k, "files/keep/file/" SHA1, "named");
    iw_cleanup_free char *mirror = iw_format("%s/plain/pool-only", k->url),
                         *snapshot = iw_format("%s/plain/keep", k->url);
    iw_fetch_options options = options_of(k);
    options.debian_mirror = mirror;
    setenv("IRONWHEEL_DEBIAN_KEYRING", "/nonexistent", 1);
    kit_ok(iw_fetch_check(store, wanted, 3, &options, &answers, &err));
    assert_int_equal(answers.count, 2); /* each file once */
    expect(&answers, 0, "gone", "nothing");
    expect(&answers, 1, "gone", "nothing");
    iw_source_answers_free(&answers);
    options.debian_snapshot = snapshot;
    kit_ok(iw_fetch_check(store, wanted, 2, &options, &answers, &err));
    expect(&answers, 0, "elsewhere", "size");
    expect(&answers, 1, "elsewhere", "size");
    kit_has(answers.items[0].where, "/archive/debian/" PINNED);
    kit_has(answers.items[1].where, "/file/" SHA1);
    unsetenv("IRONWHEEL_DEBIAN_KEYRING");
    iw_source_answers_free(&answers);
}

static void reads_lists(void **state)
{
    (void)state;
    iw_listed listed = {0};
    const char *sha256 = NULL;
    uint64_t size = 0;
    static const char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                      b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    iw_listed_want(&listed, "x_1_amd64.deb", false);
    iw_listed_want(&listed, "x_1.orig.tar.xz", true);
    iw_listed_want(&listed, "broken_1_all.deb", false);
    iw_cleanup_free char *packages = iw_format(
        "Package: other\nFilename: pool/o/other_1_all.deb\nSize: 3\nSHA256: %s\n\n"
        "Package: broken\nFilename: pool/b/broken_1_all.deb\nSize: many\nSHA256: %s\n\n"
        "Package: x\nDescription: words\n Size: 9\nFilename: pool/x/x_1_amd64.deb\nSize: 7\n"
        "SHA256: %s",
        b, a, a);
    iw_cleanup_free char *sources =
        iw_format("Package: x\nFiles:\n %.32s 5 x_1.orig.tar.xz\nChecksums-Sha256:\n %s 5 "
                  "x_1.orig.tar.xz\n short 5 x_1_amd64.deb\nDirectory: pool/x\n",
                  a, b);
    iw_listed_take(&listed, packages);
    iw_listed_take(&listed, sources);
    assert_int_equal(listed.missing, 1);
    assert_true(iw_listed_find(&listed, "x_1_amd64.deb", &sha256, &size));
    assert_string_equal(sha256, a);
    assert_int_equal(size, 7);
    assert_true(iw_listed_find(&listed, "x_1.orig.tar.xz", &sha256, &size));
    assert_string_equal(sha256, b);
    assert_false(iw_listed_find(&listed, "broken_1_all.deb", &sha256, &size));
    assert_false(iw_listed_find(&listed, "other_1_all.deb", &sha256, &size));
    iw_listed_free(&listed);
}

static void stops_when_told(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_source_answers answers = {0};
    set s = {0};
    iw_store *store = kit_store(k);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    iw_fetch_options options = options_of(k);
    options.cancel = ends[0];
    add(k, &s, "silent", "x", "x");
    kit_fails(iw_fetch_check(store, s.wanted, s.count, &options, &answers, &err), IW_E_CANCELLED,
              "stopped while asking");
    close(ends[0]), close(ends[1]);
    iw_source_answers_free(&answers);
    set_free(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_addresses_have),
        cmocka_unit_test(compares_sizes_where_the_store_has_it),
        cmocka_unit_test(believes_the_package_index),
        cmocka_unit_test(finds_debian_files_in_the_snapshot),
        cmocka_unit_test(reads_lists),
        cmocka_unit_test(stops_when_told),
    };
    return cmocka_run_group_tests_name("fetch: check", tests, kit_group_setup, kit_group_teardown);
}
