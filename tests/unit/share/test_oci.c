/* Addresses, tags, challenges: what needs no registry. */
#include "../check.h"

#include "base/memory.h"
#include "share/challenge.h"
#include "share/oci.h"

static bool fits(const char *address)
{
    iw_cleanup_free char *host = NULL, *name = NULL;
    return iw_oci_address(address, &host, &name, NULL) == 0;
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const good[] = {"a/b",          "registry.example:5000/anna/x",
                                       "[::1]:5000/x", "h/a_b/c__d/e.f",
                                       "h/a---b",      "127.0.0.1/x/"};
    static const char *const bad[] = {"",       "h",       "h/",      "h/A",     "h/a:tag", "u@h/a",
                                      "h:0/a",  "h:x/a",   "h/a//b",  "h/../b",  "h/_a",    "h/a_",
                                      "h/a..b", "h/a___b", "h/a._b",  "[::1/x",  "h/a?b",   "/a",
                                      "h h/a",  ":5/a",    "h/a@sha", "h:1:2/a", "h/a\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(fits(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(fits(bad[i]));
}

static void test_loopback(void **state)
{
    (void)state;
    static const char *const here[] = {"localhost",   "localhost:5000", "127.0.0.1",
                                       "127.9.8.7:1", "[::1]",          "[::1]:5000"};
    static const char *const elsewhere[] = {
        "localhost.example", "127.0.0.1.example", "10.0.0.1", "[::1].example", "[::2]",
        "127.0.0",           "1127.0.0.1",        "example"};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        assert_true(iw_oci_is_loopback(here[i]));
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        assert_false(iw_oci_is_loopback(elsewhere[i]));
}

static void check_tag(const char *path, const char *tag, bool signed_by)
{
    bool signature;
    iw_cleanup_free char *found = iw_oci_document_tag(path, &signature);
    if (!tag) {
        assert_null(found);
        return;
    }
    assert_string_equal(found, tag);
    assert_int_equal(signature, signed_by);
}

static void test_tags(void **state)
{
    (void)state;
    iw_cleanup_free char *tag = iw_oci_tag("base-1+k10~x");
    assert_string_equal(tag, "base-1_k10_x");
    check_tag("keys.json", "keys", false);
    check_tag("keys.json.minisig", "keys", true);
    check_tag("keys/12.json", "keys-12", false);
    check_tag("channels/0123456789ABCDEF.json.minisig", "channel-0123456789ABCDEF", true);
    check_tag("channels/../x.json", NULL, false);
    check_tag("keys/x.json", NULL, false);
    check_tag("index.json", NULL, false);
    check_tag("base.tar.zst.minisig", NULL, false);
}

static void check_challenge(const char *value, iw_auth kind, const char *realm, const char *scope)
{
    iw_challenge one = {.kind = IW_AUTH_NONE};
    iw_challenge_read(&one, value, strlen(value));
    assert_int_equal(one.kind, kind);
    if (realm) assert_string_equal(one.realm, realm);
    if (scope) assert_string_equal(one.scope, scope);
    iw_challenge_clear(&one);
}

static void test_challenges(void **state)
{
    (void)state;
    check_challenge("Bearer realm=\"https://a/t\",service=s,scope=\"repository:x:pull,push\"",
                    IW_AUTH_BEARER, "https://a/t", "repository:x:pull,push");
    check_challenge("bearer  realm = \"https://a\" , scope=x", IW_AUTH_BEARER, "https://a", "x");
    check_challenge("Basic realm=\"a, Bearer realm=b\"", IW_AUTH_BASIC, "a, Bearer realm=b", NULL);
    check_challenge("Negotiate YWJj==, Basic realm=x", IW_AUTH_BASIC, "x", NULL);
    check_challenge("Basic realm=x, Bearer realm=\"https://y\"", IW_AUTH_BEARER, "https://y", NULL);
    check_challenge("Bearer realm=\"https://a\\\"b\"", IW_AUTH_BEARER, "https://a\"b", NULL);
    check_challenge("Bearer realm=\"first\",realm=\"second\"", IW_AUTH_BEARER, "first", NULL);
    check_challenge("Bearer service=x", IW_AUTH_OTHER, NULL, NULL);
    check_challenge("Bearer realm=\"not closed", IW_AUTH_OTHER, NULL, NULL);
    check_challenge("", IW_AUTH_NONE, NULL, NULL);
}

static void test_ranges_and_errors(void **state)
{
    (void)state;
    uint64_t there = 0;
    assert_true(iw_oci_range_end("0-99", &there));
    assert_int_equal(there, 100);
    assert_true(iw_oci_range_end("bytes=0-0", &there));
    assert_int_equal(there, 1);
    assert_false(iw_oci_range_end("1-99", &there));
    assert_false(iw_oci_range_end("0--1", &there));
    assert_false(iw_oci_range_end("0-99999999999999999999", &there));
    static const char answer[] = "{\"errors\":[{\"code\":\"X\",\"message\":\"a\\u001bb\"}]}";
    iw_cleanup_free char *said = iw_oci_error_text(answer, strlen(answer)),
                         *none = iw_oci_error_text("<html>", 6);
    assert_string_equal(said, "X: a?b");
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_challenges),
        cmocka_unit_test(test_ranges_and_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
