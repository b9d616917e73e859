/* New upstream releases among Debian's versions. */
#include "../check.h"

#include "base/memory.h"
#include "upgrade/debian.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_upstream(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"1:1.3.dfsg+really1.3.1-1", "1.3.1"},
                                           {"0.3.29+ds-3", "0.3.29"},
                                           {"3.5.7-1~deb13u2", "3.5.7"},
                                           {"6.5+20250216-2", "6.5+20250216"},
                                           {"2.6.0+dfsg-7", "2.6.0"},
                                           {"8.2", "8.2"},
                                           {"5.8.1-1+deb13u1", "5.8.1"},
                                           {"3.12.0~rc1-1", "3.12.0~rc1"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        iw_cleanup_free char *got = iw_debian_upstream(pairs[i][0]);
        assert_string_equal(got, pairs[i][1]);
    }
}

static const char sources[] =
    "Package: openblas\nBinary: x,\n y\nVersion: 0.3.29+ds-3\nChecksums-Sha1:\n aa 1 wrong.tar.xz\n"
    "Checksums-Sha256:\n " DIGEST " 1 openblas_0.3.29+ds.orig.tar.xz\n " DIGEST
    " 1 openblas_0.3.29+ds-3.debian.tar.xz\n\nPackage: other\nVersion: "
    "9-1\nChecksums-Sha256:\n " DIGEST
    " 1 other_9.orig.tar.gz\n\nPackage: openblas\nVersion: 0.3.34+ds-2\nChecksums-Sha256:\n " DIGEST
    " 1 openblas_0.3.34+ds-2.dsc\n " DIGEST " 1 openblas_0.3.34+ds.orig.tar.gz.asc\n " DIGEST
    " 1 openblas_0.3.34+ds.orig.tar.gz\n " DIGEST " 1 openblas_0.3.34+ds-2.debian.tar.xz\n\n"
    "Package: openblas\nVersion: 0.3.34+ds-1\nChecksums-Sha256:\n " DIGEST
    " 1 openblas_0.3.34+ds.orig.tar.gz\n\nPackage: openblas\nVersion: "
    "0.4~rc1-1\nChecksums-Sha256:\n " DIGEST " 1 openblas_0.4~rc1.orig.tar.gz\n\nPackage: "
    "openblas\nVersion: 0.5-1\nChecksums-Sha256:\n " DIGEST " 1 openblas_0.5-1.debian.tar.xz\n";

static void test_candidates(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_debian_releases all = {0};
    iw_cleanup_strings iw_strings wanted = {0};
    iw_candidates list;
    const iw_candidate *one;
    iw_source source = {.kind = IW_SOURCE_DEBIAN,
                        .name = "openblas",
                        .version = "0.3.29+ds-3",
                        .file = "openblas_0.3.29+ds.orig.tar.xz"};
    iw_candidate_rules rules = {.python = "3.11.2", .min_age = 604800, .now = 1800000000};
    iw_strings_add(&wanted, "openblas");
    iw_debian_releases_take(&all, &wanted, sources);
    assert_int_equal(all.count, 5);
    kit_ok(iw_candidates_debian(&source, "0.3.29", &all, &rules, &list, &err));
    assert_int_equal(list.count, 4);
    kit_ok(iw_candidates_choose(&list, "0.3.29", &rules, &one, &err));
    assert_string_equal(one->version, "0.3.34");
    assert_string_equal(one->url, "0.3.34+ds-2"); /* the newest of Debian's */
    int file = iw_debian_counterpart(&all.items[1], source.file);
    assert_string_equal(all.items[1].files.items[file], "openblas_0.3.34+ds.orig.tar.gz");
    file = iw_debian_counterpart(&all.items[1], "openblas_0.3.29+ds-3.debian.tar.xz");
    assert_string_equal(all.items[1].files.items[file], "openblas_0.3.34+ds-2.debian.tar.xz");
    iw_candidates_free(&list);
    kit_fails(iw_candidates_debian(&source, "29", &all, &rules, &list, &err), IW_E_NOT_FOUND,
              "can't be told");
    iw_debian_releases_free(&all);
    assert_true(iw_candidate_order("6.5+20260101", "6.5+20250216") > 0);
    assert_true(iw_candidate_order("2.7.0", "2.7.0+cu126") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_upstream),
                                       cmocka_unit_test(test_candidates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
