/* The report: a page for known data, and what hostile data can't do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "report/report.h"

#define CASES "tests/cases/report/"
#define PAGE_LIMIT ((size_t)6 << 20)

static char *page_of(const char *manifest, const char *details)
{
    iw_error err = IW_ERROR_INIT;
    char *html = NULL;
    if (iw_report_page(manifest, details, &html, &err) != 0) fail_msg("%s", iw_error_text(&err));
    return html;
}

static char *read_case(const char *name)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_format(CASES "%s", name);
    char *text = NULL;
    if (iw_read_file(path, 1 << 24, &text, NULL, &err) != 0) fail_msg("%s", iw_error_text(&err));
    return text;
}

/* The golden page is what stands below the style, which changes more often. IW_REBASE=1 writes it
 * anew, for a person to review. */
static void test_golden(void **state)
{
    (void)state;
    iw_cleanup_free char *manifest = read_case("manifest.json"),
                         *details = read_case("details.json"), *html = page_of(manifest, details);
    const char *body = strstr(html, "<body>");
    assert_non_null(body);
    if (getenv("IW_REBASE"))
        assert_int_equal(iw_write_file(CASES "page.html", body, strlen(body), 0644, NULL), 0);
    iw_cleanup_free char *wanted = read_case("page.html");
    assert_string_equal(body, wanted);
}

static void has(const char *html, const char *part)
{
    if (!strstr(html, part)) fail_msg("the page lacks: %s", part);
}

static void lacks(const char *html, const char *part)
{
    if (strstr(html, part)) fail_msg("the page holds: %s", part);
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *manifest, *details, *sentence;
    } cases[] = {
        {"{\"profiles\":[\"k10\"],\"audit\":{\"clean\":118,\"guarded\":7,\"files\":125},\"checks\":"
         "[{\"passed\":true},{\"passed\":true}]}",
         NULL, "<span>Runs on k10: 118 files clean, 7 guarded, all 2 checks pass</span>"},
        {"{\"profiles\":[\"a\",\"b\",\"c\"],\"audit\":{\"clean\":1},\"checks\":[{\"passed\":true}]"
         "}",
         NULL, "<span>Runs on a, b and c: 1 file clean, its one check passes</span>"},
        {"{\"profiles\":[\"k10\"],\"audit\":{\"clean\":2,\"guarded\":1,\"not_clean\":[{\"verdict\":"
         "\"broken\"}]},\"checks\":[]}",
         NULL,
         "<span>Doesn’t hold on k10: 2 files clean, 1 guarded, 1 broken, no check was run</span>"},
        {"{\"profiles\":[\"k10\"],\"audit\":{\"clean\":2,\"guarded\":1,\"tried\":3},\"checks\":"
         "[{\"passed\":true}]}",
         NULL,
         "<span>Runs on k10: 2 files clean, 1 guarded, 3 only tried, its one check passes</span>"},
        {"{\"profiles\":[\"k10\"],\"audit\":{\"clean\":2},\"checks\":[{\"passed\":true},{"
         "\"passed\":false}]}",
         NULL, "<span>Doesn’t hold on k10: 2 files clean, 1 of 2 checks fail</span>"},
        {"{\"profiles\":[\"k10\"],\"audit\":null,\"checks\":[]}", NULL,
         "<span>Not proven on k10: no file was audited, no check was run</span>"},
        {"{\"profiles\":[\"k10\"],\"audit\":{\"clean\":2},\"checks\":[{\"passed\":true}]}",
         "{\"checks\":[{\"passed\":false}],\"problem\":\"it fell over\"}",
         "the one check fails</span>"},
        {"{}", "{}",
         "<span>Not proven on an unnamed CPU: no file was audited, no check was run</span>"},
        {"{\"sandboxed\":false}", NULL, "Built without a sandbox"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_cleanup_free char *html = page_of(cases[i].manifest, cases[i].details);
        has(html, cases[i].sentence);
    }
}

/* Every text that the page takes, hostile: nothing of it becomes markup. */
static void test_hostile_text(void **state)
{
    (void)state;
#define KEY                                                                                        \
    "</style></title><script>alert(1)</script>\\\"' onload=x \\u202e\\u0007 %s%n %d "              \
    "\xff\xc0\xaf\xed\xa0\x80 caf\xc3\xa9" /* jansson takes no NUL in a key */
#define EVIL KEY "\\u0000hidden"
    static const char manifest[] =
        "{\"bundle\":\"" EVIL "\",\"stack\":\"" EVIL "\",\"version\":\"" EVIL
        "\",\"profiles\":[\"" EVIL "\"],\"glibc\":{\"floor\":\"" EVIL "\",\"because_of\":[\"" EVIL
        "\"]},"
        "\"toolchain\":{\"name\":\"" EVIL "\",\"digest\":\"" EVIL
        "\"},\"packages\":[{\"name\":\"" EVIL "\",\"version\":\"" EVIL "\",\"licence\":\"" EVIL
        "\",\"summary\":\"" EVIL "\",\"in_bundle\":true,\"needs\":[\"" EVIL
        "\"],\"plan_key\":\"" EVIL "\",\"sources\":[{\"kind\":\"" EVIL "\",\"name\":\"" EVIL
        "\",\"file\":\"" EVIL "\",\"sha256\":\"" EVIL "\",\"commit\":\"" EVIL
        "\"}],\"patches\":[{\"file\":\"" EVIL "\",\"description\":\"" EVIL "\",\"origin\":\"" EVIL
        "\"},{\"from\":\"" EVIL "\"}]}],\"checks\":[{\"package\":\"" EVIL "\",\"name\":\"" EVIL
        "\",\"profile\":\"" EVIL "\",\"passed\":false}],\"audit\":{\"profile\":\"" EVIL
        "\",\"not_clean\":[{\"file\":\"" EVIL "\",\"verdict\":\"" EVIL "\",\"counts\":{\"" KEY
        "\":-9223372036854775808},\"top\":[{\"name\":\"" EVIL
        "\",\"count\":1}]}],\"every\":[{\"file\":\"" EVIL "\",\"verdict\":\"clean\"}]}}";
    static const char details[] =
        "{\"file\":\"" EVIL "\",\"sha256\":\"" EVIL "\",\"by\":\"" EVIL "\",\"when\":\"" EVIL
        "\",\"problem\":\"" EVIL "\",\"exceptions\":[{\"package\":\"" EVIL "\",\"file\":\"" EVIL
        "\",\"symbol\":\"" EVIL "\",\"features\":[\"" EVIL "\"],\"reason\":\"" EVIL
        "\"}],\"packages\":{\"" KEY "\":{\"seconds\":{\"" KEY
        "\":1e300,\"compile\":-5},\"started\":1e300,\"flags\":{\"" KEY
        "\":3}}},\"checks\":[{\"profile\":\"p\",\"how\":\"" EVIL "\",\"unseen\":[\"" EVIL
        "\"],\"seconds\":1e308}]}";
    iw_cleanup_free char *html = page_of(manifest, details);
    lacks(html, "<script");
    lacks(html, "onload=x \"");
    lacks(html, "' onload");
    lacks(html, "\xe2\x80\xae"); /* the turn to right-to-left */
    lacks(html, "\x07");
    has(html, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onload=x ");
    const char *style = strstr(html, "</style>");
    assert_non_null(style);
    assert_null(strstr(style + 1, "</style>"));
    for (const unsigned char *c = (const unsigned char *)html; *c; c++)
        assert_true(*c != 0xff && *c != 0xc0 && (*c >= 0x20 || *c == '\n' || *c == '\t'));
}

/* Values of wrong types, at every place. */
static void test_wrong_types(void **state)
{
    (void)state;
    static const char *const values[] = {"null", "3", "\"x\"", "[]", "{}", "[null,3,\"x\",[],{}]",
                                         "true"};
    static const char *const keys[] = {"packages", "checks", "audit",      "glibc", "toolchain",
                                       "profiles", "bundle", "exceptions", "bytes"};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            iw_cleanup_free char *text = iw_format("{\"%s\":%s}", keys[k], values[v]),
                                 *html = page_of(text, text);
            has(html, "</html>");
        }
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        iw_cleanup_free char *package =
            iw_format("{\"packages\":[{\"name\":\"a\",\"sources\":%s,\"patches\":%s,\"needs\":%s,"
                      "\"in_bundle\":%s}],\"audit\":{\"not_clean\":%s,\"every\":%s}}",
                      values[v], values[v], values[v], values[v], values[v], values[v]);
        iw_cleanup_free char *html = page_of(package, NULL);
        has(html, "</html>");
    }
}

static void test_no_json(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{", "[]", "3", "null", "{\"a\":1}x", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        iw_error err = IW_ERROR_INIT;
        char *html = NULL;
        assert_int_equal(iw_report_page(bad[i], NULL, &html, &err), -1);
        assert_int_equal(err.kind, IW_E_FORMAT);
        assert_non_null(strstr(iw_error_text(&err), "manifest"));
        assert_int_equal(iw_report_page("{}", bad[i], &html, &err), -1);
        assert_null(html);
        iw_error_clear(&err);
    }
}

/* Ten thousand of each, and long texts: counted, not shown. */
static void test_bounded(void **state)
{
    (void)state;
    iw_buffer text = {0};
    iw_cleanup_free char *word = iw_alloc(5001);
    memset(word, 'w', 5000);
    word[5000] = 0;
    iw_buffer_add_text(&text, "{\"packages\":[");
    for (int i = 0; i < 3000; i++)
        iw_buffer_add_format(&text,
                             "%s{\"name\":\"p%d\",\"in_bundle\":true,\"summary\":\"%s\","
                             "\"patches\":[{\"file\":\"%s\"},{\"file\":\"%s\"}]}",
                             i ? "," : "", i, word, word, word);
    iw_buffer_add_text(&text, "],\"audit\":{\"not_clean\":[");
    for (int i = 0; i < 10000; i++)
        iw_buffer_add_format(&text,
                             "%s{\"file\":\"f%d\",\"verdict\":\"%s\",\"counts\":{\"avx\":1}}",
                             i ? "," : "", i, i == 9999 ? "broken" : "guarded");
    iw_buffer_add_text(&text, "]},\"checks\":[");
    for (int i = 0; i < 10000; i++)
        iw_buffer_add_format(&text, "%s{\"profile\":\"q%d\"}", i ? "," : "", i);
    iw_buffer_add_text(&text, "]}");
    iw_cleanup_free char *html = page_of(text.data, NULL);
    assert_true(strlen(html) < PAGE_LIMIT);
    has(html, "and 2,600 more, left out here");
    has(html, "and 9,600 more, left out here");
    has(html, "f9999"); /* what is broken stands first */
    has(html, "</html>");
    iw_buffer_free(&text);
}

/* A bump's page: what is known stands there, and nothing breaks out of it. */
static void test_bump(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *html = NULL;
    static const char report[] =
        "{\"name\":\"numpy\",\"stack\":\"<b>\",\"verdict\":\"bumped\",\"packages\":[{\"name\":"
        "\"a\",\"from\":\"1\","
        "\"to\":\"2\",\"verdict\":\"kept "
        "back\",\"cause\":\"<script>\"},7],\"patches\":[{\"file\":\"x.patch\",\"result\":"
        "\"clean\"}],\"difference\":{\"instructions\":[{\"file\":\"lib/"
        "x\",\"function\":\"f\",\"before\":0,\"after\":"
        "12}],\"checks\":{\"broken\":[\"numpy: svd (k10)\"]}}}";
    if (iw_report_bump(report, &html, &err) != 0) fail_msg("%s", iw_error_text(&err));
    has(html, "<h1>numpy: bumped</h1>");
    has(html, "kept back");
    has(html, "&lt;script&gt;");
    has(html, "x.patch");
    has(html, "12");
    has(html, "Checks that fail now");
    lacks(html, "<script>");
    lacks(html, "<b>");
    assert_int_equal(iw_report_bump("[]", &html, &err), -1);
    iw_error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bump),        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_verdicts),    cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_wrong_types), cmocka_unit_test(test_no_json),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
