/* Debian's snapshot archive: by time, by its look-up; what it must not be believed; and the error
 * when nothing has the files any more. */
#include "kit.h"

#include "fetch/snapshot.h"

#define PINNED "20261123T083542Z"
#define SHA1_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA1_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static iw_transfer_options quick(kit *k)
{
    return (iw_transfer_options){.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 20};
}

/* --- the address ---------------------------------------------------------- */

static void expect_root(const char *given, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    iw_fetch_options options = {.debian_snapshot = given};
    iw_cleanup_free char *root = NULL;
    kit_ok(iw_snapshot_root(&options, &root, &err));
    if (wanted) assert_string_equal(root, wanted);
    else assert_null(root);
}

static void takes_the_address(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    expect_root(NULL, NULL);
    expect_root("https://snap.invalid/", "https://snap.invalid");
    expect_root("http://snap.invalid/archive/debian/", "http://snap.invalid");
    expect_root("http://snap.invalid/below/archive", "http://snap.invalid/below");
    setenv("IRONWHEEL_DEBIAN_SNAPSHOT", "http://other.invalid", 1);
    expect_root(NULL, "http://other.invalid");
    expect_root("http://snap.invalid", "http://snap.invalid");
    setenv("IRONWHEEL_DEBIAN_SNAPSHOT", "ftp://other.invalid", 1);
    iw_fetch_options options = {0};
    char *root = NULL;
    kit_fails(iw_snapshot_root(&options, &root, &err), IW_E_USAGE, "IRONWHEEL_DEBIAN_SNAPSHOT");
    unsetenv("IRONWHEEL_DEBIAN_SNAPSHOT");
    iw_error_clear(&err);
}

static void knows_the_layout(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings urls = {0};
    iw_debian_file file = {.package = "libffi", .file = "l.tar.xz", .pinned = PINNED};
    iw_snapshot_urls("http://s", &file, &urls);
    file.path = "pool/updates/main/g/gcc/g.deb";
    iw_snapshot_urls("http://s", &file, &urls);
    file.pinned = NULL;
    iw_snapshot_urls("http://s", &file, &urls);
    static const char *const wanted[] = {"http://s/archive/debian/" PINNED
                                         "/pool/main/libf/libffi/l.tar.xz",
                                         "http://s/archive/debian-security/" PINNED
                                         "/pool/updates/main/libf/libffi/l.tar.xz",
                                         "http://s/archive/debian-security/" PINNED
                                         "/pool/updates/main/g/gcc/g.deb"};
    assert_int_equal(urls.count, 3);
    for (size_t i = 0; i < 3; i++) assert_string_equal(urls.items[i], wanted[i]);
}

/* --- the look-up ---------------------------------------------------------- */

static int find(kit *k, const iw_debian_file *file, iw_strings *urls, iw_error *err)
{
    iw_cleanup_free char *root = iw_format("%s/plain/snap", k->url);
    iw_transfer_options options = quick(k);
    iw_strings_free(urls);
    return iw_snapshot_find(root, file, &options, urls, err);
}

static const iw_debian_file tool = {
    .package = "tool", .version = "1:2.0+b1", .binary = true, .file = "tool_2.0+b1_amd64.deb"};

static void finds_binary_packages(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings urls = {0};
    kit_text(k, "files/snap/mr/binary/tool/1:2.0+b1/binfiles",
             "{\"result\":[{\"hash\":\"" SHA1_A "\",\"architecture\":\"arm64\"},{\"hash\":\"" SHA1_B
             "\",\"architecture\":\"amd64\"}],\"fileinfo\":{\"" SHA1_A
             "\":[{\"name\":\"tool_2.0+b1_arm64.deb\"}],\"" SHA1_B
             "\":[{\"name\":\"other.deb\"},{\"name\":\"tool_2.0+b1_amd64.deb\"}]}}");
    kit_forget(k);
    kit_ok(find(k, &tool, &urls, &err));
    assert_int_equal(urls.count, 1);
    kit_has(urls.items[0], "/plain/snap/file/" SHA1_B);
    assert_int_equal(
        kit_requests(k, "GET /plain/snap/mr/binary/tool/1%3A2.0%2Bb1/binfiles?fileinfo=1 "), 1);
    /* a recipe's binary source names the source package: the file's name has the binary one's */
    iw_debian_file of_recipe = tool;
    of_recipe.package = "toolbox";
    kit_ok(find(k, &of_recipe, &urls, &err));
    assert_int_equal(urls.count, 1);
}

static void finds_source_files(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings urls = {0};
    iw_debian_file file = {.package = "xz", .version = "5-1", .file = "xz_5.orig.tar.xz"};
    kit_text(k, "files/snap/mr/package/xz/5-1/srcfiles",
             "{\"result\":[{\"hash\":\"" SHA1_A "\"},{\"hash\":\"" SHA1_B "\"}]}");
    kit_text(k, "files/snap/mr/file/" SHA1_A "/info",
             "{\"result\":[{\"name\":\"xz_5-1.dsc\",\"archive_name\":\"debian\"}]}");
    kit_text(k, "files/snap/mr/file/" SHA1_B "/info",
             "{\"result\":[{\"name\":\"xz_5.orig.tar.xz\",\"archive_name\":\"debian\"}]}");
    kit_ok(find(k, &file, &urls, &err)); /* the list says no names: each is asked about */
    assert_int_equal(urls.count, 1);
    kit_has(urls.items[0], "/file/" SHA1_B);
    file.file = "xz_5-1.debian.tar.xz";
    kit_fails(find(k, &file, &urls, &err), IW_E_NOT_FOUND, "knows no file xz_5-1.debian.tar.xz");
    file.version = "6-1";
    kit_fails(find(k, &file, &urls, &err), IW_E_NOT_FOUND, "xz/6-1/srcfiles");
    iw_error_clear(&err);
}

static void refuses_strange_answers(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings urls = {0};
    static const char path[] = "files/snap/mr/binary/tool/1:2.0+b1/binfiles";
    static const char *const answers[] = {
        "{}",
        "[]",
        "{\"result\":{\"hash\":\"" SHA1_A "\"}}",
        "{\"result\":[7,null,{\"hash\":9},{\"hash\":\"../../etc\"},{\"hash\":\"AAAA\"}]}",
        "{\"result\":[{\"hash\":\"" SHA1_A "\"}],\"fileinfo\":{\"" SHA1_A "\":\"tool\"}}",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        kit_text(k, path, answers[i]);
        kit_fails(find(k, &tool, &urls, &err), IW_E_NOT_FOUND, "knows no file");
        assert_int_equal(urls.count, 0);
    }
    kit_text(k, path, "<html>no such page</html>");
    kit_fails(find(k, &tool, &urls, &err), IW_E_FORMAT, "is that address a snapshot archive's?");
    iw_cleanup_buffer iw_buffer many = {0};
    iw_buffer_add_text(&many, "{\"result\":[7");
    for (int i = 0; i < 501; i++) iw_buffer_add_text(&many, ",7");
    iw_buffer_add_text(&many, "]}");
    kit_text(k, path, many.data);
    kit_fails(find(k, &tool, &urls, &err), IW_E_FORMAT, "more than 500 files");
    iw_error_clear(&err);
}

/* --- fetching ------------------------------------------------------------- */

#define COUNT 4

/* One package in the pool; one by time, one by look-up in the archive of security fixes by time,
 * one by name only. */
typedef struct pool {
    char *mirror, *snapshot, digests[COUNT][IW_SHA256_HEX];
    iw_toolchain_package packages[COUNT];
    iw_toolchain toolchain;
    iw_wanted wanted[COUNT + 1];
    iw_source source;
    iw_recipe recipe;
    char source_digest[IW_SHA256_HEX];
} pool;

static const char *const names[COUNT] = {"stays", "bytime", "fixed", "byname"};
static const char *const files[COUNT] = {"pool/main/s/stays/stays_1_amd64.deb",
                                         "pool/main/b/bytime/bytime_1_amd64.deb",
                                         "pool/updates/main/f/fixed/fixed_1_amd64.deb",
                                         "pool/main/b/byname/byname_1_amd64.deb"};

static void make_pool(kit *k, pool *p)
{
    memset(p, 0, sizeof *p);
    p->mirror = iw_format("%s/plain/debian", k->url);
    p->snapshot = iw_format("%s/plain/old", k->url);
    p->toolchain = (iw_toolchain){.name = "demo", .pinned = PINNED};
    for (int i = 0; i < COUNT; i++) {
        iw_hash_bytes(names[i], strlen(names[i]), p->digests[i]);
        p->packages[i] = (iw_toolchain_package){.name = names[i],
                                                .version = "1",
                                                .file = files[i],
                                                .sha256 = p->digests[i],
                                                .size = strlen(names[i])};
        p->wanted[i] = (iw_wanted){.package = &p->packages[i], .toolchain = &p->toolchain};
    }
    iw_hash_bytes("source", 6, p->source_digest);
    p->source = (iw_source){.kind = IW_SOURCE_DEBIAN,
                            .name = "libold",
                            .version = "3-1",
                            .file = "libold_3.orig.tar.xz",
                            .sha256 = p->source_digest,
                            .pinned = PINNED,
                            .place = {"recipes/old/3.yaml", 6, 5}};
    p->recipe =
        (iw_recipe){.name = "old", .version = "3", .sources = &p->source, .source_count = 1};
    p->wanted[COUNT] = (iw_wanted){.recipe = &p->recipe, .source = &p->source};
    kit_text(k, "files/debian/pool/main/s/stays/stays_1_amd64.deb", "stays");
    kit_text(k, "files/old/archive/debian/" PINNED "/pool/main/b/bytime/bytime_1_amd64.deb",
             "bytime");
    kit_text(k,
             "files/old/archive/debian-security/" PINNED
             "/pool/updates/main/f/fixed/fixed_1_amd64.deb",
             "fixed");
    kit_text(k, "files/old/mr/binary/byname/1/binfiles",
             "{\"result\":[{\"hash\":\"" SHA1_A "\"}],\"fileinfo\":{\"" SHA1_A
             "\":[{\"name\":\"byname_1_amd64.deb\"}]}}");
    kit_text(k, "files/old/file/" SHA1_A, "byname");
    kit_text(k, "files/old/mr/package/libold/3-1/srcfiles",
             "{\"result\":[{\"hash\":\"" SHA1_B "\"}],\"fileinfo\":{\"" SHA1_B
             "\":[{\"name\":\"libold_3.orig.tar.xz\"}]}}");
    kit_text(k, "files/old/file/" SHA1_B, "source");
    kit_forget(k);
}

static void pool_free(pool *p)
{
    free(p->mirror), free(p->snapshot);
}

static iw_fetch_options options_of(kit *k, const pool *p)
{
    return (iw_fetch_options){.cancel = -1,
                              .sink = &k->sink,
                              .backoff = 0.01,
                              .stall = 20,
                              .debian_mirror = p->mirror,
                              .debian_snapshot = p->snapshot};
}

static void brings_what_the_pool_has_dropped(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    pool p;
    make_pool(k, &p);
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k, &p);
    kit_ok(iw_fetch_all(store, p.wanted, COUNT + 1, &options, &err));
    bool missing[COUNT + 1];
    kit_ok(iw_fetch_missing(store, p.wanted, COUNT + 1, missing, &err));
    for (int i = 0; i <= COUNT; i++) assert_false(missing[i]);
    assert_int_equal(kit_requests(k, "/mr/"), 2);
    kit_has_not(k->events.data, "failed ");
    pool_free(&p);
}

static void works_without_a_mirror(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    pool p;
    make_pool(k, &p);
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k, &p);
    options.debian_mirror = NULL;
    iw_cleanup_free char *path = iw_strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    int status = iw_fetch_all(store, &p.wanted[1], COUNT, &options, &err);
    setenv("PATH", path, 1);
    kit_ok(status);
    pool_free(&p);
}

/* Held against our own digest, whatever the archive calls it. */
static void believes_no_archive(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    pool p;
    make_pool(k, &p);
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k, &p);
    kit_text(k, "files/old/file/" SHA1_A, "bYname");
    kit_fails_with(iw_fetch_all(store, p.wanted, COUNT, &options, &err), IW_E_DIGEST, p.digests[3]);
    kit_has(err.message, "1 of the files needed could not be fetched");
    kit_has_not(err.message, "left the archive");
    bool missing[COUNT];
    kit_ok(iw_fetch_missing(store, p.wanted, COUNT, missing, &err));
    assert_true(missing[3] && !missing[0] && !missing[1] && !missing[2]);
    kit_text(k, "files/old/file/" SHA1_A, "byname");
    iw_error_clear(&err);
    pool_free(&p);
}

static void names_all_that_are_gone(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    pool p;
    make_pool(k, &p);
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k, &p);
    options.debian_snapshot = NULL;
    options.renewal = "an hour of work";
    kit_fails_with(iw_fetch_all(store, p.wanted, COUNT + 1, &options, &err), IW_E_NOT_FOUND,
                   "4 pinned Debian files have left the archive:");
    static const char *const parts[] = {"\n  bytime_1_amd64.deb, pinned 2026-11-23\n",
                                        "\n  fixed_1_amd64.deb",
                                        "\n  byname_1_amd64.deb",
                                        "\n  libold_3.orig.tar.xz for old/3, pinned 2026-11-23\n",
                                        "--debian-snapshot URL",
                                        "IRONWHEEL_DEBIAN_SNAPSHOT",
                                        "fetch STACK --export DIR",
                                        "ironwheel toolchain update demo",
                                        "an hour of work",
                                        "recipes/old/3.yaml:6"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) kit_has(err.message, parts[i]);
    kit_has_not(err.message, "stays");
    kit_has_not(err.message, "answers 404"); /* a port may hold the figures alone */
    char *note = NULL;
    kit_ok(iw_store_fetch_note(store, p.digests[1], &note, &err));
    kit_has(note, "404");
    free(note);
    iw_error_clear(&err);
    pool_free(&p);
}

/* A mirror that doesn't answer isn't one that has dropped it; the rest is still told apart. */
static void tells_gone_from_unreachable(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    pool p;
    make_pool(k, &p);
    iw_store *store = kit_store(k);
    iw_fetch_options options = options_of(k, &p);
    options.debian_mirror = "http://127.0.0.1:1/debian";
    options.debian_snapshot = NULL;
    kit_fails_with(iw_fetch_all(store, p.wanted, 2, &options, &err), IW_E_NETWORK,
                   "2 of the files needed could not be fetched");
    kit_has_not(err.message, "left the archive");
    options = options_of(k, &p);
    options.debian_snapshot = "http://127.0.0.1:1"; /* nor is such a snapshot archive */
    kit_fails_with(iw_fetch_all(store, p.wanted, 2, &options, &err), IW_E_NETWORK,
                   "1 of the files needed could not be fetched");
    iw_error_clear(&err);
    pool_free(&p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_address),
        cmocka_unit_test(knows_the_layout),
        cmocka_unit_test(finds_binary_packages),
        cmocka_unit_test(finds_source_files),
        cmocka_unit_test(refuses_strange_answers),
        cmocka_unit_test(brings_what_the_pool_has_dropped),
        cmocka_unit_test(works_without_a_mirror),
        cmocka_unit_test(believes_no_archive),
        cmocka_unit_test(names_all_that_are_gone),
        cmocka_unit_test(tells_gone_from_unreachable),
    };
    return cmocka_run_group_tests_name("fetch: snapshot", tests, kit_group_setup,
                                       kit_group_teardown);
}
