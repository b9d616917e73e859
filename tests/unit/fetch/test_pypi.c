/* The package index: pip's configuration, pages as HTML and JSON, hostile pages, several indexes.
 */
#include "kit.h"

#include "fetch/where.h"

static const char html_page[] =
    "<!DOCTYPE html>\n<html><body><h1>Links</h1>\n"
    "<a class='x' href=\"../../plain/wrong\">Demo-1.0.tar.gz.asc</a>\n"
    "<a\n  data-requires-python=\"&gt;=3\" HREF = "
    "'../../plain/dist/Demo-1.0.tar.gz?a=1&amp;b=2#sha256=00'> Demo-1.0.tar.gz </a><br/>\n"
    "<abbr href=\"/plain/wrong\">Demo-1.0.tar.gz</abbr>\n<a "
    "nohref=\"/plain/wrong\">Demo-1.0.tar.gz</a>\n<a>Demo-1.0.tar.gz</a>\n"
    "<A href=\"//127.0.0.1:1/x\">a&#43;b&amp;c.whl</A>\n<a "
    "href=\"file:///etc/passwd\">passwd</a>\n<a href=";

static const char json_page[] =
    "{\"meta\": {\"api-version\": \"1.1\"}, \"name\": \"demo\", \"files\": [{\"filename\": "
    "\"other\", \"url\": \"x\"}, {\"filename\": 5}, 7,\n"
    " {\"filename\": \"Demo-1.0.tar.gz\", \"url\": \"/plain/dist/Demo-1.0.tar.gz#x\", \"hashes\": "
    "{}}]}";

static iw_source source_of(const char *project, const char *file)
{
    return (iw_source){.kind = IW_SOURCE_PYPI,
                       .name = project,
                       .file = file,
                       .place = {.file = "recipes/demo/1.0.yaml", .line = 5}};
}

/* What the indexes say for a file, joined by spaces; caller frees. */
static char *find(const iw_strings *indexes, const char *project, const char *file, iw_error *err)
{
    iw_transfer_options options = {.cancel = -1, .backoff = 0.01, .stall = 20};
    iw_pypi_pages *pages = iw_pypi_pages_new();
    iw_source source = source_of(project, file);
    iw_cleanup_strings iw_strings urls = {0};
    iw_buffer out = {0};
    int status = iw_pypi_find(pages, indexes, &source, &options, &urls, err);
    iw_pypi_pages_free(pages);
    for (size_t i = 0; i < urls.count; i++)
        iw_buffer_add_format(&out, "%s%s", i ? " " : "", urls.items[i]);
    return status == 0 ? iw_buffer_take(&out) : (iw_buffer_free(&out), NULL);
}

static void expect_found(kit *k, const iw_strings *indexes, const char *project, const char *file,
                         const char *path)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *found = find(indexes, project, file, &err),
                         *wanted =
                             path[0] == '/' ? iw_format("%s%s", k->url, path) : iw_strdup(path);
    if (!found) fail_msg("%s", iw_error_text(&err));
    assert_string_equal(found, wanted);
}

static iw_strings index_at(kit *k, const char *path)
{
    iw_strings indexes = {0};
    iw_strings_add_format(&indexes, "%s%s", k->url, path);
    return indexes;
}

static void reads_html(void **state)
{
    kit *k = *state;
    iw_cleanup_strings iw_strings indexes = index_at(k, "/html");
    kit_text(k, "files/demo-project/index.html", html_page);
    kit_forget(k);
    expect_found(k, &indexes, "Demo_.-Project", "Demo-1.0.tar.gz",
                 "/plain/dist/Demo-1.0.tar.gz?a=1&b=2");
    assert_int_equal(kit_requests(k, "GET /html/demo-project/ "), 1); /* the normalised name */
    assert_int_equal(kit_requests(k, "application/vnd.pypi.simple.v1+json"), 1);
    expect_found(k, &indexes, "demo-project", "a+b&c.whl", "http://127.0.0.1:1/x");
    iw_error err = IW_ERROR_INIT;
    assert_null(find(&indexes, "demo-project", "passwd", &err)); /* file: is nothing to fetch */
    assert_int_equal(err.kind, IW_E_NOT_FOUND);
    iw_error_clear(&err);
}

static void reads_json(void **state)
{
    kit *k = *state;
    iw_cleanup_strings iw_strings indexes = index_at(k, "/json");
    kit_text(k, "files/demo/index.json", json_page);
    expect_found(k, &indexes, "demo", "Demo-1.0.tar.gz", "/plain/dist/Demo-1.0.tar.gz");
}

static void says_what_is_missing(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings indexes = index_at(k, "/json");
    kit_text(k, "files/demo/index.json", json_page);
    assert_null(find(&indexes, "demo", "Demo-9.tar.gz", &err));
    assert_int_equal(err.kind, IW_E_NOT_FOUND);
    kit_has(err.message, "has no file Demo-9.tar.gz of project demo");
    assert_null(find(&indexes, "nothing", "x", &err));
    assert_int_equal(err.kind, IW_E_NOT_FOUND);
    kit_has(err.message, "no such project (nothing");
    iw_error_clear(&err);
}

static void refuses_hostile_pages(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings json = index_at(k, "/json"), html = index_at(k, "/html"),
                                  bomb = index_at(k, "/bomb");
    iw_buffer deep = {0}, tags = {0}, open = {0};
    for (int i = 0; i < 200000; i++) iw_buffer_add_text(&deep, "[");
    kit_text(k, "files/deep/index.json", deep.data);
    assert_null(find(&json, "deep", "x", &err));
    assert_int_equal(err.kind, IW_E_FORMAT);
    kit_text(k, "files/broken/index.json", "{\"files\": [{\"filename\": \"x\", \"url\": ");
    assert_null(find(&json, "broken", "x", &err));
    assert_int_equal(err.kind, IW_E_FORMAT);
    kit_text(k, "files/other/index.json", "[1, 2]");
    assert_null(find(&json, "other", "x", &err));
    assert_int_equal(err.kind, IW_E_NOT_FOUND);
    /* tags that never end, or end only once: no more work than their length asks for */
    for (int i = 0; i < 4000000; i++) iw_buffer_add_text(&tags, "<a ");
    iw_buffer_add_text(&tags, ">");
    for (int i = 0; i < 2000000; i++) iw_buffer_add_text(&open, "<a href='x'>");
    iw_buffer_add_text(&open, "x</a>");
    kit_text(k, "files/tags/index.html", tags.data);
    kit_text(k, "files/open/index.html", open.data);
    double start = kit_now();
    assert_null(find(&html, "tags", "x", &err));
    iw_cleanup_free char *found = find(&html, "open", "x", &err);
    assert_non_null(found);
    assert_true(kit_now() - start < 20);
    assert_null(find(&bomb, "demo", "x", &err));
    assert_int_equal(err.kind, IW_E_NETWORK);
    kit_has(err.message, "sends more than");
    iw_buffer_free(&deep), iw_buffer_free(&tags), iw_buffer_free(&open);
    iw_error_clear(&err);
}

static void asks_every_index(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings indexes = {0};
    kit_text(k, "files/demo/index.json", json_page);
    iw_strings_add(&indexes, "http://127.0.0.1:1/simple"); /* can't be reached */
    iw_strings_add_format(&indexes, "%s/html", k->url);    /* hasn't the project */
    iw_strings_add_format(&indexes, "%s/json", k->url);
    expect_found(k, &indexes, "demo", "Demo-1.0.tar.gz", "/plain/dist/Demo-1.0.tar.gz");
    assert_null(find(&indexes, "nowhere", "x",
                     &err)); /* then the one that failed is what the user should know of */
    assert_int_equal(err.kind, IW_E_NETWORK);
    kit_has(err.message, "127.0.0.1:1");
    iw_error_clear(&err);
}

static void asks_once_for_a_project(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_transfer_options options = {.cancel = -1, .backoff = 0.01, .stall = 20};
    iw_cleanup_strings iw_strings indexes = index_at(k, "/json"), urls = {0};
    kit_text(k, "files/demo/index.json", json_page);
    kit_forget(k);
    iw_pypi_pages *pages = iw_pypi_pages_new();
    iw_source source = source_of("demo", "Demo-1.0.tar.gz"), missing = source_of("gone", "x");
    for (int i = 0; i < 3; i++)
        kit_ok(iw_pypi_find(pages, &indexes, &source, &options, &urls, &err));
    for (int i = 0; i < 3; i++)
        assert_int_equal(iw_pypi_find(pages, &indexes, &missing, &options, &urls, &err), -1);
    iw_pypi_pages_free(pages);
    assert_int_equal(kit_requests(k, "/json/demo/"), 1);
    assert_int_equal(kit_requests(k, "/json/gone/"), 1);
    iw_error_clear(&err);
}

/* --- configuration -------------------------------------------------------- */

/* The indexes, joined by spaces. */
static void expect_indexes(const char *option, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    iw_fetch_options options = {.pypi_index = option};
    iw_cleanup_strings iw_strings found = {0};
    iw_buffer text = {0};
    kit_ok(iw_pypi_indexes(&options, &found, &err));
    for (size_t i = 0; i < found.count; i++)
        iw_buffer_add_format(&text, "%s%s", i ? " " : "", found.items[i]);
    assert_string_equal(text.data, wanted);
    iw_buffer_free(&text);
}

static void honours_pips_configuration(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *home = kit_path(k, "home"), *own = kit_path(k, "own.conf"),
                         *xdg = kit_path(k, "xdg");
    setenv("HOME", home, 1);
    setenv("PIP_CONFIG_FILE", "/dev/null", 1); /* as pip: no file at all */
    setenv("PIP_INDEX_URL", "http://env.invalid/simple/", 1);
    expect_indexes(NULL, "http://env.invalid/simple");
    expect_indexes("http://option.invalid/simple//", "http://option.invalid/simple");
    setenv("PIP_EXTRA_INDEX_URL", "http://one.invalid/s  http://two.invalid/s/", 1);
    expect_indexes(NULL, "http://env.invalid/simple http://one.invalid/s http://two.invalid/s");
    expect_indexes("http://option.invalid/simple", "http://option.invalid/simple");
    unsetenv("PIP_INDEX_URL"), unsetenv("PIP_EXTRA_INDEX_URL"), unsetenv("PIP_CONFIG_FILE");
    kit_text(k, "home/.config/pip/pip.conf",
             "# comment\n[list]\nindex-url = http://no.invalid/\n[global]\ntimeout: 5\nindex-url = "
             "http://user.invalid/simple/\n"
             "extra-index-url =\n    http://a.invalid/s\n    # between\n    "
             "http://b.invalid/s\ncert = /nonexistent\n");
    expect_indexes(NULL, "http://user.invalid/simple http://a.invalid/s http://b.invalid/s");
    kit_text(k, "xdg/pip/pip.conf", "[global]\nindex-url: http://xdg.invalid/a:b/\n");
    setenv("XDG_CONFIG_HOME", xdg, 1);
    expect_indexes(NULL, "http://xdg.invalid/a:b");
    unsetenv("XDG_CONFIG_HOME");
    kit_text(k, "own.conf", "[install]\nindex-url=http://own.invalid/simple\n");
    setenv("PIP_CONFIG_FILE", own, 1);
    expect_indexes(NULL, "http://own.invalid/simple http://a.invalid/s http://b.invalid/s");
    kit_text(
        k, "home/.pip/pip.conf",
        "[global]\nextra-index-url = http://old.invalid/s\n"); /* overridden by the newer place */
    expect_indexes(NULL, "http://own.invalid/simple http://a.invalid/s http://b.invalid/s");
    setenv("PIP_INDEX_URL", "http://env.invalid/simple/", 1);
    expect_indexes(NULL, "http://env.invalid/simple http://a.invalid/s http://b.invalid/s");
    unsetenv("PIP_INDEX_URL"), unsetenv("PIP_CONFIG_FILE");
}

static void takes_pips_certificates(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *file = kit_path(k, "ca.pem");
    kit_text(k, "ca.pem", "");
    setenv("PIP_CONFIG_FILE", "/dev/null", 1);
    assert_null(iw_pypi_certificates());
    setenv("PIP_CERT", file, 1);
    iw_cleanup_free char *found = iw_pypi_certificates();
    assert_string_equal(found, file);
    setenv("PIP_CERT", "/nonexistent", 1);
    assert_null(iw_pypi_certificates());
    unsetenv("PIP_CERT"), unsetenv("PIP_CONFIG_FILE");
}

/* Where nothing is configured pip is asked; where there is no pip, the message names the ways out.
 */
static void asks_pip_for_its_default(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_strdup(getenv("PATH")), *bin = kit_path(k, "bin"),
                         *python = kit_path(k, "bin/python3");
    setenv("PIP_CONFIG_FILE", "/dev/null", 1);
    kit_text(k, "bin/python3", "#!/bin/sh\necho http://default.invalid/simple/\n");
    assert_int_equal(chmod(python, 0755), 0);
    setenv("PATH", bin, 1);
    expect_indexes(NULL, "http://default.invalid/simple");
    kit_text(k, "bin/python3", "#!/bin/sh\nexit 1\n");
    assert_int_equal(chmod(python, 0755), 0);
    if (access("/usr/bin/python3", X_OK) != 0) {
        iw_fetch_options options = {.cancel = -1};
        iw_cleanup_strings iw_strings found = {0};
        kit_fails_with(iw_pypi_indexes(&options, &found, &err), IW_E_ENVIRONMENT, "--index-url");
    }
    setenv("PATH", path, 1);
    unsetenv("PIP_CONFIG_FILE");
    iw_error_clear(&err);
}

/* All of it together: a pypi source of a recipe into the store. */
static void fetches_a_project(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_store *store = kit_store(k);
    iw_cleanup_free char *index = iw_format("%s/json/", k->url);
    char digest[IW_SHA256_HEX];
    kit_text(k, "files/demo/index.json", json_page);
    kit_text(k, "files/dist/Demo-1.0.tar.gz", "an archive");
    iw_hash_bytes("an archive", 10, digest);
    iw_source source = source_of("demo", "Demo-1.0.tar.gz");
    source.sha256 = digest;
    iw_recipe recipe = {.name = "demo", .version = "1.0", .sources = &source, .source_count = 1};
    iw_wanted wanted = {.recipe = &recipe, .source = &source};
    iw_fetch_options options = {.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 20};
    setenv("PIP_INDEX_URL", index, 1);
    kit_forget(k);
    kit_ok(iw_fetch_all(store, &wanted, 1, &options, &err));
    bool has = false;
    kit_ok(iw_store_has_source(store, digest, &has, &err));
    assert_true(has);
    unsigned requests = kit_requests(k, "GET");
    kit_ok(iw_fetch_all(store, &wanted, 1, &options, &err)); /* nothing is asked for again */
    assert_int_equal(kit_requests(k, "GET"), requests);
    unsetenv("PIP_INDEX_URL");
}

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static iw_release_files files_of(kit *k, const char *path, const char *project)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *index = iw_format("%s%s", k->url, path);
    iw_fetch_options options = {.pypi_index = index, .cancel = -1, .backoff = 0.01, .stall = 20};
    iw_release_files files;
    kit_ok(iw_fetch_project(project, &options, &files, &err));
    return files;
}

static void lists_a_projects_files(void **state)
{
    kit *k = *state;
    kit_text(
        k, "files/listed/index.json",
        "{\"files\": [{\"filename\": \"listed-1.tar.gz\", \"url\": \"../x\", \"hashes\": "
        "{\"sha256\": \"" DIGEST "\"}, \"requires-python\": \">=3.8\", \"yanked\": false, "
        "\"upload-time\": \"2001-09-09T01:46:40.123456Z\", \"size\": 7},\n"
        "{\"filename\": \"listed-2.tar.gz\", \"url\": \"/y\", \"hashes\": {\"sha256\": \"short\"}, "
        "\"yanked\": \"why\", \"upload-time\": \"2001-13-09T01:46:40Z\"}, "
        "{\"filename\": \"listed-1.tar.gz\", \"url\": \"/z\"}]}");
    iw_release_files files = files_of(k, "/json", "Listed");
    assert_int_equal(files.count, 2);
    assert_string_equal(files.items[0].sha256, DIGEST);
    assert_string_equal(files.items[0].requires_python, ">=3.8");
    assert_null(files.items[0].yanked);
    assert_int_equal(files.items[0].uploaded, 1000000000);
    assert_int_equal(files.items[0].size, 7);
    kit_has(files.items[0].url, "/json/x");
    assert_null(files.items[1].sha256);
    assert_string_equal(files.items[1].yanked, "why");
    assert_int_equal(files.items[1].uploaded, -1);
    iw_release_files_free(&files);
    kit_text(k, "files/listed/index.html",
             "<a href='/x#sha256=" DIGEST
             "' data-requires-python='&gt;=3.8' data-yanked>listed-1.zip</a>"
             "<a href=\"/y#md5=1\" data-yanked=\"old &amp; bad\">listed-2.zip</a>");
    files = files_of(k, "/html", "listed");
    assert_int_equal(files.count, 2);
    assert_string_equal(files.items[0].sha256, DIGEST);
    assert_string_equal(files.items[0].requires_python, ">=3.8");
    assert_string_equal(files.items[0].yanked, "");
    assert_int_equal(files.items[0].uploaded, -1);
    assert_null(files.items[1].sha256);
    assert_string_equal(files.items[1].yanked, "old & bad");
    iw_release_files_free(&files);
    iw_error err = IW_ERROR_INIT;
    iw_fetch_options offline = {.offline = true, .cancel = -1};
    kit_fails(iw_fetch_project("listed", &offline, &files, &err), IW_E_NETWORK, "--offline");
    iw_error_clear(&err);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_a_projects_files),
        cmocka_unit_test(reads_html),
        cmocka_unit_test(reads_json),
        cmocka_unit_test(says_what_is_missing),
        cmocka_unit_test(refuses_hostile_pages),
        cmocka_unit_test(asks_every_index),
        cmocka_unit_test(asks_once_for_a_project),
        cmocka_unit_test(honours_pips_configuration),
        cmocka_unit_test(takes_pips_certificates),
        cmocka_unit_test(asks_pip_for_its_default),
        cmocka_unit_test(fetches_a_project),
    };
    return cmocka_run_group_tests_name("fetch: pypi", tests, kit_group_setup, kit_group_teardown);
}
