/* Fuzz target: the report page. Whatever a manifest and the details hold, the page is one of ours:
 * its tags are those that report/ writes, each closed in turn, and between them stands no control
 * character and no broken UTF-8. The bytes are the manifest, and behind a NUL the details. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/memory.h"
#include "report/report.h"

#define PAGE_LIMIT ((size_t)6 << 20)
#define DEPTH 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paired[] = {"a",     "b",       "body",  "code",   "dd",      "details",
                                     "div",   "dl",      "dt",    "footer", "g",       "h1",
                                     "h2",    "h3",      "h4",    "head",   "header",  "html",
                                     "li",    "main",    "nav",   "p",      "section", "span",
                                     "style", "summary", "svg",   "table",  "tbody",   "td",
                                     "text",  "th",      "thead", "title",  "tr",      "ul"};
static const char *const single[] = {"br", "meta", "rect", "wbr", "!DOCTYPE"};

static void broken(const char *what, const char *at)
{
    fprintf(stderr, "fuzz_report: %s: %.200s\n", what, at);
    abort();
}

static bool is_one_of(const char *name, size_t length, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0) return true;
    return false;
}

/* `at` is behind `<`. Returns what is behind the tag. */
static const char *check_tag(const char *at, const char *open[DEPTH], size_t *depth)
{
    bool closes = *at == '/';
    const char *name = at + closes, *end = strchr(name, '>');
    size_t length = strcspn(name, " />");
    if (!end || memchr(at, '<', (size_t)(end - at))) broken("a tag without an end", at);
    if (closes) {
        if (*depth == 0 || strncmp(open[--*depth], name, length) != 0 ||
            strcspn(open[*depth], " />") != length)
            broken("another tag is open", at);
    } else if (is_one_of(name, length, paired, sizeof paired / sizeof *paired)) {
        if (*depth == DEPTH) broken("too deep", at);
        open[(*depth)++] = name;
    } else if (!is_one_of(name, length, single, sizeof single / sizeof *single)) {
        broken("a tag that isn't ours", at);
    }
    return end + 1;
}

static void check_page(const char *page)
{
    const char *open[DEPTH];
    size_t depth = 0;
    for (const char *at = page; *at;) {
        if (*at == '<') {
            at = check_tag(at + 1, open, &depth);
            if (depth && strncmp(open[depth - 1], "style>", 6) == 0) at = strstr(at, "</style>");
            continue;
        }
        wchar_t point;
        size_t length = mbrtowc(&point, at, MB_CUR_MAX, &(mbstate_t){0});
        if (length > MB_CUR_MAX || (point < 0x20 && point != '\n' && point != '\t') ||
            (point >= 0x7f && point < 0xa0) || point == 0x202e)
            broken("it must not stand in a page", at);
        at += length;
    }
    if (depth) broken("it stays open", open[depth - 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8")) abort();
    iw_cleanup_free char *manifest = iw_strndup((const char *)data, size), *page = NULL;
    size_t length = strlen(manifest);
    iw_cleanup_free char *details =
        length < size ? iw_strndup((const char *)data + length + 1, size - length - 1) : NULL;
    if (iw_report_page(manifest, details, &page, NULL) != 0) return 0;
    if (strlen(page) > PAGE_LIMIT) broken("the page is too long", "");
    check_page(page);
    return 0;
}
