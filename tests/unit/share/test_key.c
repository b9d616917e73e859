/* Keys and signatures in minisign's format. The pair of files below was made by minisign 0.11. */
#include "../check.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "share/key.h"

static char *folder;

static int set_up(void **state)
{
    (void)state;
    return iw_temporary_folder("/tmp", "iw-key-", &folder, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    int status = iw_remove_tree(folder, NULL);
    free(folder);
    return status;
}

static iw_secret_key fresh(void)
{
    iw_secret_key key;
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_key_make(&key, &err));
    return key;
}

static void test_round_trip(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_secret_key key = fresh(), again;
    iw_public_key open;
    bool locked = true;
    iw_cleanup_free char *secret = iw_path_join(folder, "a.key"),
                         *pub = iw_path_join(folder, "a.pub"), *text = NULL;
    kit_ok(iw_key_write_secret(&key, secret, NULL, &err));
    kit_ok(iw_key_write_public(&key.open, pub, &err));
    kit_ok(iw_key_is_locked(secret, &locked, &err));
    assert_false(locked);
    kit_ok(iw_key_read_secret(secret, NULL, &again, &err));
    assert_memory_equal(&key, &again, sizeof key);
    kit_ok(iw_read_file(pub, 4096, &text, NULL, &err));
    kit_ok(iw_key_parse(text, pub, &open, &err));
    assert_true(iw_key_equal(&open, &key.open));
    kit_fails(iw_key_write_secret(&key, secret, NULL, &err), IW_E_ENVIRONMENT,
              "never written over");
    struct stat status;
    assert_int_equal(stat(secret, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    kit_fails(iw_key_read_secret(pub, NULL, &again, &err), IW_E_FORMAT, "no secret key");
}

static void test_passphrase(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_secret_key key = fresh(), again;
    bool locked = false;
    iw_cleanup_free char *secret = iw_path_join(folder, "p.key");
    kit_ok(iw_key_write_secret(&key, secret, "correct horse", &err));
    kit_ok(iw_key_is_locked(secret, &locked, &err));
    assert_true(locked);
    kit_ok(iw_key_read_secret(secret, "correct horse", &again, &err));
    assert_memory_equal(&key, &again, sizeof key);
    kit_fails(iw_key_read_secret(secret, "wrong", &again, &err), IW_E_USAGE, "wrong passphrase");
    kit_fails(iw_key_read_secret(secret, NULL, &again, &err), IW_E_USAGE, "IRONWHEEL_PASSPHRASE");
}

static void test_signature(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_secret_key key = fresh(), other = fresh();
    iw_signature signature;
    iw_cleanup_free char *text = iw_sign(&key, "data", 4, "a comment");
    kit_ok(iw_signature_parse(text, strlen(text), "x", &signature, &err));
    assert_string_equal(signature.comment, "a comment");
    kit_ok(iw_signature_check(&signature, &key.open, "data", 4, "x", &err));
    kit_fails(iw_signature_check(&signature, &key.open, "dato", 4, "x", &err), IW_E_DIGEST,
              "aren't the bytes");
    kit_fails(iw_signature_check(&signature, &other.open, "data", 4, "x", &err), IW_E_DIGEST,
              "was signed by key");
    memcpy(other.open.number, key.open.number, 8);
    kit_fails(iw_signature_check(&signature, &other.open, "data", 4, "x", &err), IW_E_DIGEST,
              "altered");
    signature.comment[0] = 'A';
    kit_fails(iw_signature_check(&signature, &key.open, "data", 4, "x", &err), IW_E_DIGEST,
              "altered");
}

static void test_signature_of_portions(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_secret_key key = fresh();
    iw_signature signature;
    uint8_t digest[IW_PREHASH];
    iw_cleanup_free char *data = iw_alloc(200000);
    iw_prehash *prehash = iw_prehash_new();
    for (size_t i = 0; i < 200000; i++) data[i] = (char)(i * 7 + i / 256);
    for (size_t at = 0, portion = 1; at < 200000; at += portion, portion = portion * 3 % 70001) {
        if (portion > 200000 - at) portion = 200000 - at;
        iw_prehash_add(prehash, data + at, portion);
    }
    iw_prehash_finish(prehash, digest);
    iw_prehash_free(prehash);
    iw_cleanup_free char *text = iw_sign_prehashed(&key, digest, "a comment");
    kit_ok(iw_signature_parse(text, strlen(text), "x", &signature, &err));
    kit_ok(iw_signature_check(&signature, &key.open, data, 200000, "x", &err));
}

/* Every bit of a signature file, turned: never taken, unless it stands in the untrusted comment or
 * in what base64 pads. */
static void test_every_bit_counts(void **state)
{
    (void)state;
    iw_secret_key key = fresh();
    iw_cleanup_free char *text = iw_sign(&key, "data", 4, "version=1");
    size_t length = strlen(text), first = (size_t)(strchr(text, '\n') - text);
    for (size_t bit = first * 8; bit < length * 8; bit++) {
        iw_signature signature;
        text[bit / 8] ^= (char)(1 << bit % 8);
        if (iw_signature_parse(text, length, "x", &signature, NULL) == 0 &&
            iw_signature_check(&signature, &key.open, "data", 4, "x", NULL) == 0)
            fail_msg("bit %zu of byte %zu: %.*s", bit % 8, bit / 8, (int)length, text);
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t cut = 0; cut + 1 < length; cut++) {
        iw_signature signature;
        if (iw_signature_parse(text, cut, "x", &signature, NULL) == 0)
            assert_int_equal(iw_signature_check(&signature, &key.open, "data", 4, "x", NULL), -1);
    }
}

static void test_other_kinds(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_signature signature;
    static const char legacy[] =
        "untrusted comment: signature from minisign secret key\n"
        "RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351"
        "vwIasSSbXxwA=\n"
        "trusted comment: timestamp:1555779966\tfile:test\n"
        "QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/"
        "SfNQUaOAA==\n";
    static const char signify[] =
        "untrusted comment: verify with key.pub\n"
        "RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351"
        "vwIasSSbXxwA=\n";
    kit_fails(iw_signature_parse(legacy, strlen(legacy), "x", &signature, &err), IW_E_FORMAT,
              "old kind");
    kit_fails(iw_signature_parse(signify, strlen(signify), "x", &signature, &err), IW_E_FORMAT,
              "signify");
    kit_fails(iw_signature_parse("", 0, "x", &signature, &err), IW_E_FORMAT, "no minisign");
    kit_fails(iw_signature_parse("<html>\n<body>\n", 14, "x", &signature, &err), IW_E_FORMAT,
              "no minisign");
}

static void write_text(const char *name, const char *text, char **path)
{
    *path = iw_path_join(folder, name);
    assert_int_equal(iw_write_file(*path, text, strlen(text), 0644, NULL), 0);
}

/* With the real one, both ways, where it is installed; CI has it. */
static void test_minisign(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *program = iw_find_program("minisign");
    if (!program) fail_msg("minisign isn't installed: ./bootstrap.sh --test-deps");
    iw_secret_key key = fresh();
    iw_cleanup_free char *secret = iw_path_join(folder, "m.key"),
                         *pub = iw_path_join(folder, "m.pub"), *file = NULL, *ours = NULL,
                         *theirs = NULL, *said = NULL;
    kit_ok(iw_key_write_secret(&key, secret, NULL, &err));
    kit_ok(iw_key_write_public(&key.open, pub, &err));
    write_text("file", "some bytes", &file);
    iw_cleanup_free char *text = iw_sign(&key, "some bytes", 10, "version=3");
    write_text("file.ours", text, &ours);
    kit_ok(iw_run_capture((const char *const[]){program, "-V", "-Q", "-p", pub, "-m", file, "-x",
                                                ours, NULL},
                          NULL, 4096, &said, NULL, &err));
    assert_string_equal(said, "version=3\n");
    theirs = iw_path_join(folder, "file.theirs");
    kit_ok(iw_run_capture((const char *const[]){program, "-S", "-s", secret, "-m", file, "-x",
                                                theirs, "-t", "by the other", NULL},
                          NULL, 4096, NULL, NULL, &err));
    iw_cleanup_free char *made = NULL;
    size_t length;
    iw_signature signature;
    kit_ok(iw_read_file(theirs, 4096, &made, &length, &err));
    kit_ok(iw_signature_parse(made, length, theirs, &signature, &err));
    kit_ok(iw_signature_check(&signature, &key.open, "some bytes", 10, theirs, &err));
    assert_string_equal(signature.comment, "by the other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_passphrase),
        cmocka_unit_test(test_signature),        cmocka_unit_test(test_signature_of_portions),
        cmocka_unit_test(test_every_bit_counts), cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_minisign),
    };
    return cmocka_run_group_tests_name("keys", tests, set_up, tear_down);
}
