/* Downloads: breaks, retries, mirrors, digests, servers that hang or lie, redirects, bombs. */
#include "kit.h"

#include "fetch/transfer.h"

#define SIZE 300000

typedef struct one {
    iw_transfer transfer;
    iw_transfer_options options;
    char *data;
} one;

/* A transfer of `files/<name>` with fresh noise, expected by its right digest; the part file is
 * new. */
static one new_one(kit *k, const char *name, unsigned seed)
{
    one o = {
        .options = {.parallel = 4, .cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 20},
        .data = kit_noise(SIZE, seed)};
    iw_cleanup_free char *served = iw_path_join("files", name), *part = iw_format("%s.part", name);
    kit_write(k, served, o.data, SIZE);
    iw_hash_bytes(o.data, SIZE, o.transfer.sha256);
    o.transfer.label = iw_strdup(name);
    o.transfer.part = kit_path(k, part);
    unlink(o.transfer.part);
    kit_forget(k);
    return o;
}

static void add_url(kit *k, one *o, const char *how)
{
    iw_strings_add_format(&o->transfer.urls, "%s/%s/%s", k->url, how, o->transfer.label);
}

static void run(one *o)
{
    iw_error err = IW_ERROR_INIT;
    o->transfer.done = false;
    iw_error_clear(&o->transfer.err);
    kit_ok(iw_transfer_all(&o->transfer, 1, &o->options, &err));
}

static void end(one *o)
{
    iw_cleanup_free char *side = iw_format("%s.from", o->transfer.part);
    unlink(side);
    unlink(o->transfer.part);
    free(o->data);
    iw_transfer_clear(&o->transfer);
}

static void expect_done(const one *o)
{
    size_t length = 0;
    char *text = NULL;
    if (!o->transfer.done) fail_msg("%s", iw_error_text(&o->transfer.err));
    assert_int_equal(iw_read_file(o->transfer.part, SIZE + 1, &text, &length, NULL), 0);
    assert_int_equal(length, SIZE);
    assert_memory_equal(text, o->data, SIZE);
    free(text);
}

static void expect_failed(const one *o, iw_error_kind kind, const char *part)
{
    assert_false(o->transfer.done);
    kit_has(iw_error_text(&o->transfer.err), part);
    assert_int_equal(o->transfer.err.kind, kind);
}

static void expect_part(const one *o, size_t length)
{
    struct stat status;
    assert_int_equal(stat(o->transfer.part, &status),
                     length ? 0 : -1); /* an empty one would only lie about */
    if (length) assert_int_equal(status.st_size, length);
}

static void brings_a_file(void **state)
{
    kit *k = *state;
    one o = new_one(k, "a", 1);
    add_url(k, &o, "plain");
    run(&o);
    expect_done(&o);
    kit_has(k->events.data, "finished a 300000/0 fetched\n");
    kit_has(k->events.data, "/300000 "); /* progress knows the size from the answer */
    end(&o);
}

static void goes_on_after_a_break(void **state)
{
    kit *k = *state;
    one o = new_one(k, "b", 2);
    add_url(k, &o, "break/2");
    run(&o);
    expect_done(&o);
    assert_int_equal(kit_requests(k, "/break/2/b"), 3);
    assert_int_equal(kit_requests(k, " bytes=150000- \""), 1); /* with If-Range: the ETag */
    assert_int_equal(kit_requests(k, " bytes=225000- \""), 1);
    end(&o);
}

/* The answer, headers and all, is cut at each of its bytes: what came is kept, what is missing is
 * asked for, and nothing comes twice. */
#define SMALL 400
#define CUTS 800 /* more than the answer has */

static void prepare_cut(kit *k, iw_transfer *t, unsigned at, const char *sha256)
{
    t->label = iw_format("%u", at);
    iw_strings_add_format(&t->urls, "%s/cut/%u/small", k->url, at);
    snprintf(t->sha256, sizeof t->sha256, "%s", sha256);
    t->size = SMALL;
    iw_cleanup_free char *part = iw_format("cut-%u", at);
    t->part = kit_path(k, part);
}

static void goes_on_from_every_byte(void **state)
{
    kit *k = *state;
    char *data = kit_noise(SMALL, 77), sha256[IW_SHA256_HEX];
    iw_transfer *all = iw_alloc(CUTS * sizeof *all);
    iw_transfer_options options = {
        .parallel = 8, .cancel = -1, .sink = &k->sink, .backoff = 0.001, .stall = 20};
    iw_error err = IW_ERROR_INIT;
    iw_hash_bytes(data, SMALL, sha256);
    kit_write(k, "files/small", data, SMALL);
    kit_forget(k);
    for (unsigned i = 0; i < CUTS; i++) prepare_cut(k, &all[i], i, sha256);
    kit_ok(iw_transfer_all(all, CUTS, &options, &err));
    for (unsigned i = 0; i < CUTS; i++) {
        if (!all[i].done) fail_msg("cut after %u bytes: %s", i, iw_error_text(&all[i].err));
        unlink(all[i].part);
        iw_transfer_clear(&all[i]);
    }
    for (unsigned at = 1; at < SMALL; at++) {
        iw_cleanup_free char *range = iw_format("/small bytes=%u- ", at);
        assert_int_equal(kit_requests(k, range), 1);
    }
    free(all);
    free(data);
}

/* The part file of an earlier run is continued, hashed from its start. */
static void goes_on_in_another_run(void **state)
{
    kit *k = *state;
    one o = new_one(k, "c", 3);
    add_url(k, &o, "break/50");
    run(&o);
    expect_failed(&o, IW_E_NETWORK, "c could not be fetched");
    struct stat status;
    assert_int_equal(stat(o.transfer.part, &status), 0);
    assert_in_range(status.st_size, 150000, SIZE - 1);
    unsigned before = kit_requests(k, "/c");
    iw_cleanup_free char *range = iw_format(" bytes=%ld- \"", (long)status.st_size);
    unsigned asked = kit_requests(k, range);
    for (int i = 0; i < 20 && !o.transfer.done; i++) run(&o);
    expect_done(&o);
    assert_int_equal(kit_requests(k, range), asked + 1);
    assert_true(kit_requests(k, "/c") > before);
    assert_int_equal(kit_requests(k, "/c -"), 1); /* from the start only once */
    end(&o);
}

static void starts_over_when_the_file_has_changed(void **state)
{
    kit *k = *state;
    one o = new_one(k, "d", 4);
    add_url(k, &o, "break/1");
    o.options.backoff = 0.5;
    char *old = o.data;
    run(&o); /* a first whole one, to have the address' turn used up */
    expect_done(&o);
    /* half of the old file stays with the old file's ETag; meanwhile the server has another one */
    assert_int_equal(truncate(o.transfer.part, 1000), 0);
    iw_cleanup_free char *side = iw_format("%s.from", o.transfer.part),
                         *from = iw_format("%s\n\"an old tag\"\n", o.transfer.urls.items[0]);
    assert_int_equal(iw_write_file(side, from, strlen(from), 0644, NULL), 0);
    o.data = kit_noise(SIZE, 5);
    free(old);
    kit_write(k, "files/d", o.data, SIZE);
    iw_hash_bytes(o.data, SIZE, o.transfer.sha256);
    kit_forget(k);
    run(&o);
    expect_done(&o);
    assert_int_equal(kit_requests(k, "bytes=1000- \"anoldtag\""), 1);
    assert_int_equal(kit_requests(k, "/d"), 1);
    end(&o);
}

/* Bytes whose origin isn't known are never continued. */
static void starts_over_without_a_validator(void **state)
{
    kit *k = *state;
    one o = new_one(k, "e", 6);
    add_url(k, &o, "plain");
    assert_int_equal(iw_write_file(o.transfer.part, "something else", 14, 0644, NULL), 0);
    run(&o);
    expect_done(&o);
    assert_int_equal(kit_requests(k, "bytes="), 0);
    end(&o);
}

static void copes_with_servers_without_ranges(void **state)
{
    kit *k = *state;
    static const char *const kinds[] = {"norange", "otherrange"};
    for (size_t i = 0; i < 2; i++) {
        one o = new_one(k, "f", 7);
        add_url(k, &o, kinds[i]);
        assert_int_equal(iw_write_file(o.transfer.part, o.data, 1000, 0644, NULL), 0);
        char tag[IW_SHA256_HEX];
        iw_hash_bytes(o.data, SIZE, tag);
        iw_cleanup_free char *side = iw_format("%s.from", o.transfer.part),
                             *from = iw_format("%s\n\"%.16s\"\n", o.transfer.urls.items[0], tag);
        assert_int_equal(iw_write_file(side, from, strlen(from), 0644, NULL), 0);
        run(&o);
        expect_done(&o);
        assert_int_equal(kit_requests(k, " bytes=1000- \""), 1);
        end(&o);
    }
}

/* A mirror that hasn't the file doesn't cost what came from the next one. */
static void keeps_the_part_while_another_mirror_is_asked(void **state)
{
    kit *k = *state;
    one o = new_one(k, "g", 8);
    iw_strings_add_format(&o.transfer.urls, "%s/plain/missing", k->url);
    add_url(k, &o, "plain");
    char tag[IW_SHA256_HEX];
    iw_hash_bytes(o.data, SIZE, tag);
    assert_int_equal(iw_write_file(o.transfer.part, o.data, 200000, 0644, NULL), 0);
    iw_cleanup_free char *side = iw_format("%s.from", o.transfer.part),
                         *from = iw_format("%s\n\"%.16s\"\n", o.transfer.urls.items[1], tag);
    assert_int_equal(iw_write_file(side, from, strlen(from), 0644, NULL), 0);
    run(&o);
    expect_done(&o);
    assert_int_equal(kit_requests(k, "/plain/g bytes=200000-"), 1);
    end(&o);
}

static void retries_what_may_pass(void **state)
{
    kit *k = *state;
    static const int passing[] = {500, 502, 503, 429, 408}, lasting[] = {403, 404, 410, 401};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        one o = new_one(k, "h", 9);
        iw_cleanup_free char *how = iw_format("error/%d/3", passing[i]);
        add_url(k, &o, how);
        double start = kit_now();
        run(&o);
        expect_done(&o);
        assert_int_equal(kit_requests(k, how), 4);
        assert_true(kit_now() - start >= 0.01 * 0.75 * (1 + 2 + 4)); /* the waits double */
        end(&o);
    }
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        one o = new_one(k, "h", 9);
        iw_cleanup_free char *how = iw_format("error/%d/3", lasting[i]),
                             *text = iw_format("the server answers %d", lasting[i]);
        add_url(k, &o, how);
        run(&o);
        bool gone = lasting[i] == 404 || lasting[i] == 410;
        expect_failed(&o, gone ? IW_E_NOT_FOUND : IW_E_NETWORK, text);
        assert_int_equal(kit_requests(k, how), 1);
        end(&o);
    }
}

static void gives_up_after_five_tries(void **state)
{
    kit *k = *state;
    one o = new_one(k, "i", 10);
    add_url(k, &o, "error/503/99");
    run(&o);
    expect_failed(&o, IW_E_NETWORK, "/error/503/99/i: the server answers 503");
    assert_int_equal(kit_requests(k, "/error"), 5);
    kit_has(k->events.data, "failed i ");
    end(&o);
}

static void asks_mirrors_in_order(void **state)
{
    kit *k = *state;
    one o = new_one(k, "j", 11);
    iw_strings_add(&o.transfer.urls, "http://127.0.0.1:1/j"); /* nothing listens there */
    iw_strings_add_format(&o.transfer.urls, "%s/plain/missing", k->url);
    add_url(k, &o, "plain");
    add_url(k, &o, "norange");
    run(&o);
    expect_done(&o);
    assert_int_equal(kit_requests(k, "missing"), 1);
    assert_int_equal(kit_requests(k, "norange"), 0);
    end(&o);
}

static void never_uses_a_wrong_digest(void **state)
{
    kit *k = *state;
    one o = new_one(k, "k", 12);
    kit_text(k, "files/other/k", "not what was pinned");
    char seen[IW_SHA256_HEX];
    iw_hash_bytes("not what was pinned", 19, seen);
    iw_strings_add_format(&o.transfer.urls, "%s/plain/other/k", k->url);
    run(&o);
    expect_failed(&o, IW_E_DIGEST, seen);
    kit_has(o.transfer.err.message, o.transfer.sha256);
    kit_has(o.transfer.err.message, "it is not used");
    expect_part(&o, 0);
    iw_strings_add_format(&o.transfer.urls, "%s/plain/k",
                          k->url); /* the next mirror has the right one */
    run(&o);
    expect_done(&o);
    end(&o);
}

static void bounds_the_size(void **state)
{
    kit *k = *state;
    static const char *const kinds[] = {"longer", "endless"};
    for (size_t i = 0; i < 2; i++) {
        one o = new_one(k, "l", 13);
        o.transfer.size = SIZE;
        add_url(k, &o, kinds[i]);
        run(&o);
        expect_failed(&o, IW_E_NETWORK, "it sends more than the 300000 bytes expected");
        expect_part(&o, 0);
        end(&o);
    }
}

static void leaves_servers_that_hang(void **state)
{
    kit *k = *state;
    static const char *const kinds[] = {"stuck", "silent"};
    for (size_t i = 0; i < 2; i++) {
        one o = new_one(k, "m", 14);
        o.options.stall = 1;
        add_url(k, &o, kinds[i]);
        add_url(k, &o, "plain");
        double start = kit_now();
        if (i == 1) iw_strings_free(&o.transfer.urls), add_url(k, &o, "silent");
        run(&o);
        if (i == 0) expect_done(&o);
        else
            expect_failed(&o, IW_E_NETWORK, "silent/m: nothing came from the server for 1 seconds");
        assert_true(kit_now() - start < 20);
        end(&o);
    }
}

static void follows_redirects_only_to_http(void **state)
{
    kit *k = *state;
    one o = new_one(k, "n", 15);
    iw_cleanup_free char *target = iw_format("%s/plain/n", k->url), *hex = kit_hex(target),
                         *file = iw_format("file://%s/files/n", k->folder), *bad = kit_hex(file);
    iw_strings_add_format(&o.transfer.urls, "%s/to/302/%s", k->url, hex);
    run(&o);
    expect_done(&o);
    end(&o);
    static const char *const others[] = {NULL, "ftp://127.0.0.1/n", "gopher://127.0.0.1/n",
                                         "dict://127.0.0.1:1/n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        o = new_one(k, "n", 15);
        iw_cleanup_free char *other = kit_hex(others[i] ? others[i] : file);
        iw_strings_add_format(&o.transfer.urls, "%s/to/301/%s", k->url, i ? other : bad);
        run(&o);
        expect_failed(&o, IW_E_NETWORK, "/to/301/");
        assert_int_equal(kit_requests(k, "/to/"), 1);
        end(&o);
    }
    o = new_one(k, "n", 15); /* nor as an address of its own */
    iw_strings_add(&o.transfer.urls, file);
    run(&o);
    expect_failed(&o, IW_E_NETWORK, "file://");
    end(&o);
    o = new_one(k, "n", 15);
    iw_strings_add_format(&o.transfer.urls, "%s/loop", k->url);
    run(&o);
    expect_failed(&o, IW_E_NETWORK, "redirect");
    assert_int_equal(kit_requests(k, "/loop"), 9);
    end(&o);
}

static void takes_files_of_this_host(void **state)
{
    kit *k = *state;
    one o = new_one(k, "o", 16);
    iw_cleanup_free char *path = kit_path(k, "files/o");
    iw_strings_add(&o.transfer.urls, "/nonexistent/o");
    iw_strings_add(&o.transfer.urls, "/dev/zero");
    iw_strings_add(&o.transfer.urls, path);
    run(&o);
    expect_done(&o);
    end(&o);
    o = new_one(k, "o", 16);
    o.transfer.size = 10;
    iw_strings_add(&o.transfer.urls, path);
    run(&o);
    expect_failed(&o, IW_E_NETWORK, "larger than expected");
    end(&o);
}

static void shows_no_passwords(void **state)
{
    kit *k = *state;
    one o = new_one(k, "p", 17);
    iw_strings_add_format(&o.transfer.urls, "http://me:secret@%s/plain/missing",
                          k->url + strlen("http://"));
    run(&o);
    expect_failed(&o, IW_E_NOT_FOUND, "/plain/missing: the server answers 404");
    kit_has_not(o.transfer.err.message, "secret");
    end(&o);
    o = new_one(k, "p",
                17); /* nor what is noted beside a part; the part is continued all the same */
    iw_cleanup_free char *side = iw_format("%s.from", o.transfer.part);
    iw_strings_add_format(&o.transfer.urls, "http://me:secret@%s/stuck/p",
                          k->url + strlen("http://"));
    o.options.stall = 1;
    run(&o);
    assert_false(o.transfer.done);
    iw_cleanup_free char *text = kit_read(side);
    kit_has(text, "/stuck/p\n\"");
    kit_has_not(text, "secret");
    assert_int_equal(kit_requests(k, "/p -"), 1);
    end(&o);
}

static void stops_when_asked(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    one o = new_one(k, "q", 18);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    add_url(k, &o, "stuck");
    o.options.stall = 60;
    o.options.cancel = ends[0];
    pid_t pid = fork();
    if (pid == 0) {
        usleep(500000);
        (void)!write(ends[1], "x", 1);
        _exit(0);
    }
    kit_fails_with(iw_transfer_all(&o.transfer, 1, &o.options, &err), IW_E_CANCELLED,
                   "run the same command again");
    waitpid(pid, NULL, 0);
    expect_part(&o, SIZE / 2); /* kept */
    char *text = NULL;
    iw_cleanup_free char *url = iw_format("%s/silent/q", k->url);
    iw_error_clear(&err);
    kit_fails_with(iw_transfer_page(url, NULL, 1000, &o.options, &text, NULL, NULL, NULL, &err),
                   IW_E_CANCELLED, "silent");
    iw_error_clear(&err);
    close(ends[0]), close(ends[1]);
    end(&o);
}

static void brings_many_at_once(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    enum { COUNT = 40 };
    one all[COUNT];
    iw_transfer transfers[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        iw_cleanup_free char *name = iw_format("many-%u", i);
        all[i] = new_one(k, name, 100 + i);
        add_url(k, &all[i], i % 7 == 3 ? "break/1" : i % 5 == 2 ? "error/503/1" : "plain");
        transfers[i] = all[i].transfer;
    }
    transfers[20].sha256[0] = transfers[20].sha256[0] == '0' ? '1' : '0';
    kit_ok(iw_transfer_all(transfers, COUNT, &all[0].options, &err));
    for (unsigned i = 0; i < COUNT; i++) {
        all[i].transfer = transfers[i];
        if (i == 20) expect_failed(&all[i], IW_E_DIGEST, "is wanted");
        else expect_done(&all[i]);
        end(&all[i]);
    }
}

static void bounds_pages(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_transfer_options options = {.cancel = -1, .backoff = 0.01, .stall = 20};
    static const char *const kinds[] = {"bomb", "endless"};
    for (size_t i = 0; i < 2; i++) {
        char *text = NULL;
        iw_cleanup_free char *url = iw_format("%s/%s/x", k->url, kinds[i]);
        kit_forget(k);
        kit_fails_with(iw_transfer_page(url, NULL, 1 << 20, &options, &text, NULL, NULL, NULL,
                                        &err),
                       IW_E_NETWORK, "sends more than 1048576 bytes");
        assert_int_equal(kit_requests(k, kinds[i]), 1);
        assert_null(text);
    }
    iw_error_clear(&err);
}

static void retries_pages(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_transfer_options options = {.cancel = -1, .backoff = 0.01, .stall = 20};
    iw_cleanup_free char *text = NULL, *type = NULL, *final = NULL,
                         *url = iw_format("%s/error/503/2/page", k->url),
                         *lasting = iw_format("%s/error/404/9/page", k->url);
    size_t length = 0;
    kit_text(k, "files/page", "hello");
    kit_ok(iw_transfer_page(url, "text/html", 100, &options, &text, &length, &type, &final, &err));
    assert_string_equal(text, "hello");
    assert_int_equal(length, 5);
    assert_string_equal(final, url);
    char *none = NULL;
    kit_fails_with(iw_transfer_page(lasting, NULL, 100, &options, &none, NULL, NULL, NULL, &err),
                   IW_E_NOT_FOUND, "404");
    iw_error_clear(&err);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_a_file),
        cmocka_unit_test(goes_on_after_a_break),
        cmocka_unit_test(goes_on_from_every_byte),
        cmocka_unit_test(goes_on_in_another_run),
        cmocka_unit_test(starts_over_when_the_file_has_changed),
        cmocka_unit_test(starts_over_without_a_validator),
        cmocka_unit_test(copes_with_servers_without_ranges),
        cmocka_unit_test(keeps_the_part_while_another_mirror_is_asked),
        cmocka_unit_test(retries_what_may_pass),
        cmocka_unit_test(gives_up_after_five_tries),
        cmocka_unit_test(asks_mirrors_in_order),
        cmocka_unit_test(never_uses_a_wrong_digest),
        cmocka_unit_test(bounds_the_size),
        cmocka_unit_test(leaves_servers_that_hang),
        cmocka_unit_test(follows_redirects_only_to_http),
        cmocka_unit_test(takes_files_of_this_host),
        cmocka_unit_test(shows_no_passwords),
        cmocka_unit_test(stops_when_asked),
        cmocka_unit_test(brings_many_at_once),
        cmocka_unit_test(bounds_pages),
        cmocka_unit_test(retries_pages),
    };
    return cmocka_run_group_tests_name("fetch: transfer", tests, kit_group_setup,
                                       kit_group_teardown);
}
