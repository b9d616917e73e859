/* What is signed: one text for one meaning, read within bounds. */
#include "../check.h"

#include "base/memory.h"
#include "base/text.h"
#include "share/channel.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void refused(const char *text, const char *part)
{
    iw_error err = IW_ERROR_INIT;
    json_t *object;
    kit_fails(iw_canon_parse(text, strlen(text), "here", &object, &err), IW_E_FORMAT, part);
}

static void test_one_text_for_one_meaning(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    json_t *object;
    static const char fine[] = "{\n \"a\": 1,\n \"b\": \"x\"\n}\n";
    kit_ok(iw_canon_parse(fine, strlen(fine), "here", &object, &err));
    json_decref(object);
    refused("{\n \"b\": 1,\n \"a\": \"x\"\n}\n", "as Ironwheel writes");
    refused("{\"a\":1}", "as Ironwheel writes");
    refused("{\n \"a\": 1\n}\n\n", "as Ironwheel writes");
    refused("{\n \"a\": 1,\n \"a\": 2\n}\n", "duplicate");
    refused("{\n \"a\": \"\\u0041\"\n}\n", "as Ironwheel writes");
    refused("[\n 1\n]\n", "one object");
    refused("{\n \"a\": 1.5\n}\n", "whole");
    refused("{\n \"a\": -1\n}\n", "whole");
    refused("{\n \"a\": 99999999999999999\n}\n", "too large");
    refused("{\n \"a\": \"\xff\"\n}\n", "here");
    refused("{\n \"a\": \"\xed\xa0\x80\"\n}\n", "here");
    refused("", "here");
}

static void test_bounds(void **state)
{
    (void)state;
    iw_buffer text = {0};
    for (int i = 0; i < 20; i++) iw_buffer_add_text(&text, "{\"a\":");
    refused(text.data, "too deeply");
    iw_buffer_clear(&text);
    iw_buffer_add_text(&text, "[");
    for (int i = 0; i < IW_CANON_VALUES + 1; i++) iw_buffer_add_text(&text, "1,");
    refused(text.data, "too many");
    iw_buffer_clear(&text);
    iw_buffer_add_text(&text, "{\"");
    for (int i = 0; i < IW_CANON_TEXT + 1; i++) iw_buffer_add_text(&text, "x");
    refused(text.data, "too long");
    iw_buffer_free(&text);
}

static iw_channel *sample(void)
{
    iw_channel *channel = iw_channel_new("0123456789ABCDEF");
    channel->version = 4;
    channel->issued = 1000;
    channel->expires = 2000;
    iw_channel_put_bundle(channel, &(iw_offer){.name = "base-2-k10",
                                               .stack = "base",
                                               .version = "2",
                                               .profile = "k10+core2",
                                               .glibc = "2.35",
                                               .python = "cp311",
                                               .file = {A64, 12},
                                               .pieces = B64,
                                               .piece = 65536,
                                               .tar = {B64, 120}});
    iw_channel_put_bundle(channel, &(iw_offer){.name = "base-1-k10",
                                               .stack = "base",
                                               .version = "1",
                                               .profile = "k10",
                                               .glibc = "2.35",
                                               .python = "cp311",
                                               .file = {A64, 12},
                                               .tar = {A64, 120},
                                               .withdrawn = "broken"});
    iw_channel_put_artifact(channel, &(iw_offered){.build_key = B64,
                                                   .package = "numpy",
                                                   .version = "1.26.4",
                                                   .profile = "k10",
                                                   .file = {A64, 1},
                                                   .content = {A64, 2},
                                                   .record = {A64, 3}});
    iw_channel_put_artifact(channel, &(iw_offered){.build_key = A64,
                                                   .package = "python",
                                                   .version = "3.11.2",
                                                   .profile = "k10",
                                                   .file = {B64, 1},
                                                   .content = {B64, 2},
                                                   .record = {B64, 3}});
    iw_channel_put_delta(channel, &(iw_offered_delta){A64, B64, {A64, 5}});
    return channel;
}

static void count(void *context, const iw_blob *blob)
{
    (void)blob;
    ++*(size_t *)context;
}

static void test_channel_there_and_back(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_channel *first = sample(), *second;
    iw_cleanup_free char *text = iw_channel_write(first);
    kit_ok(iw_channel_parse(text, strlen(text), "here", &second, &err));
    iw_cleanup_free char *again = iw_channel_write(second);
    assert_string_equal(text, again);
    assert_string_equal(iw_channel_bundle(second, "base-1-k10")->withdrawn, "broken");
    assert_string_equal(iw_channel_artifact(second, A64)->package, "python");
    assert_null(iw_channel_artifact(second, "0"));
    size_t blobs = 0;
    iw_channel_blobs(second, count, &blobs);
    assert_int_equal(blobs, 2 + 4 + 1);
    iw_channel_drop_bundle(second, "base-1-k10");
    assert_int_equal(second->delta_count, 0);
    assert_null(iw_channel_bundle(second, "base-1-k10"));
    iw_channel_free(first);
    iw_channel_free(second);
}

/* A name that would be a path elsewhere, a size that overflows, a digest that isn't one … */
static void test_channel_refuses(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_channel *channel = sample(), *read;
    iw_cleanup_free char *text = iw_channel_write(channel);
    iw_channel_free(channel);
    static const char *const changes[][2] = {
        {"base-1-k10", "../ase-1-k"},
        {"base-1-k10", "base/1-k10"},
        {"base-1-k10", ".base1-k10"},
        {"base-1-k10", "base\\u00001"},
        {A64, "A"},
        {"\"size\": 12", "\"size\": 0x"},
        {"k10+core2", "k10/../.."},
        {"channel\"", "channels\""},
        {"\"format\": 1", "\"format\": 2"},
        {"\"version\": 4", "\"version\": 0"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *at = strstr(text, changes[i][0]);
        assert_non_null(at);
        iw_cleanup_free char *changed = iw_format("%.*s%s%s", (int)(at - text), text, changes[i][1],
                                                  at + strlen(changes[i][0]));
        if (iw_channel_parse(changed, strlen(changed), "here", &read, &err) == 0)
            fail_msg("%s was taken", changes[i][1]);
        assert_int_equal(err.kind, IW_E_FORMAT);
        iw_error_clear(&err);
    }
}

static void test_keys_there_and_back(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_secret_key recovery, working;
    kit_ok(iw_key_make(&recovery, &err));
    kit_ok(iw_key_make(&working, &err));
    iw_keys *keys = iw_keys_new("Anna’s rigs"), *second;
    keys->version = 1;
    iw_keys_add(keys, &recovery.open, true);
    iw_keys_add(keys, &working.open, false);
    iw_keys_add(keys, &working.open, false);
    iw_keys_revoke(keys, "0123456789ABCDEF", 5, 3, "lost");
    iw_cleanup_free char *text = iw_keys_write(keys);
    kit_ok(iw_keys_parse(text, strlen(text), "here", &second, &err));
    char id[IW_KEY_ID];
    iw_key_id(&working.open, id);
    assert_non_null(iw_keys_working(second, id));
    assert_null(iw_keys_recovery(second, id));
    assert_int_equal(second->working_count, 1);
    assert_int_equal(iw_keys_revoked(second, "0123456789ABCDEF")->good, 3);
    iw_keys_free(keys);
    iw_keys_free(second);
}

static void test_stamps(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_stamp stamp = {.kind = "channel", .version = 7, .issued = 1, .expires = 2, .size = 99}, read;
    memcpy(stamp.sha256, A64, sizeof stamp.sha256);
    iw_cleanup_free char *text = iw_stamp_write(&stamp);
    kit_ok(iw_stamp_parse(text, "here", &read, &err));
    assert_memory_equal(&stamp, &read, sizeof read);
    static const char *const wrong[] = {
        "",
        "timestamp:1555779966\tfile:test",
        "ironwheel channel version=0 issued=1 expires=2",
        "ironwheel channel version=9223372036854775807 issued=1 expires=2 sha256=" A64 " size=1",
        "ironwheel channel version=1 issued=1 expires=2 sha256=" A64 " size=1 size=2",
        "ironwheel channel version=1 issued=1 expires=2 sha256=" A64 " size=99999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        kit_fails(iw_stamp_parse(wrong[i], "here", &read, &err), IW_E_FORMAT, "comment");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_text_for_one_meaning), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_channel_there_and_back),   cmocka_unit_test(test_channel_refuses),
        cmocka_unit_test(test_keys_there_and_back),      cmocka_unit_test(test_stamps),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
