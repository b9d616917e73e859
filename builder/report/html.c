#include "report/html.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* --- text ----------------------------------------------------------------- */

/* Bytes of the well-formed sequence at `text` (RFC 3629), 0 where there is none; *code is its
 * character. */
static size_t sequence(const unsigned char *text, uint32_t *code)
{
    size_t length = text[0] < 0x80                      ? 1
                    : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
                    : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                    : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
                                                        : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *code = length == 1 ? text[0] : length ? text[0] & (0xffu >> (length + 1)) : 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (text[i] & 0x3f);
    }
    if (length &&
        (*code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)))
        return 0;
    return length;
}

char *iw_valid_utf8(const char *text)
{
    iw_buffer out = {0};
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        uint32_t code;
        size_t length = sequence(c, &code);
        if (length) iw_buffer_add(&out, c, length);
        else iw_buffer_add_text(&out, REPLACEMENT);
        c += length ? length : 1;
    }
    return iw_buffer_take(&out);
}

/* Control characters, and those that turn the direction of what follows: they could make a page say
 * something else than what it holds. */
static bool is_hidden(uint32_t code)
{
    return (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7f && code < 0xa0) ||
           (code >= 0x200e && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

static void add_escaped(iw_buffer *out, const char *text, bool path)
{
    const unsigned char *start = (const unsigned char *)text, *c = start;
    while (*c && c - start < IW_REPORT_TEXT) {
        uint32_t code;
        size_t length = sequence(c, &code);
        const char *name = code == '&'    ? "&amp;"
                           : code == '<'  ? "&lt;"
                           : code == '>'  ? "&gt;"
                           : code == '"'  ? "&quot;"
                           : code == '\'' ? "&#39;"
                                          : NULL;
        if (!length || is_hidden(code)) iw_buffer_add_text(out, REPLACEMENT);
        else if (name) iw_buffer_add_text(out, name);
        else iw_buffer_add(out, c, length);
        if (path && *c == '/') iw_buffer_add_text(out, "<wbr>");
        c += length ? length : 1;
    }
    if (*c) iw_buffer_add_text(out, "…");
}

static void add_number(iw_buffer *out, int64_t number)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%" PRIu64,
                          number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
    if (number < 0) iw_buffer_add_text(out, "−");
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) iw_buffer_add_char(out, ',');
        iw_buffer_add_char(out, digits[i]);
    }
}

void iw_page_add(iw_page *page, const char *html, ...)
{
    va_list values;
    va_start(values, html);
    for (const char *c = html; *c; c++) {
        if (c[0] == '%' && (c[1] == 's' || c[1] == 'p')) {
            const char *text = va_arg(values, const char *);
            add_escaped(&page->out, text ? text : "–", c[1] == 'p');
            c++;
        } else if (c[0] == '%' && c[1] == 'n') {
            add_number(&page->out, va_arg(values, int64_t));
            c++;
        } else if (c[0] == '%' && c[1] == 'f') {
            iw_cleanup_free char *text = iw_format_seconds(va_arg(values, double));
            iw_buffer_add_text(&page->out, text);
            c++;
        } else {
            iw_buffer_add_char(&page->out, *c);
        }
    }
    va_end(values);
}

/* --- lists ---------------------------------------------------------------- */

bool iw_page_room(const iw_page *page, size_t index)
{
    return index < IW_REPORT_ROWS && page->out.length < IW_REPORT_PAGE;
}

void iw_page_left_out(iw_page *page, const char *element, int columns, size_t shown, size_t all)
{
    if (shown >= all) return;
    if (columns)
        iw_page_add(page,
                    "<tr><td colspan=\"%n\" class=\"rest\">and %n more, left out here</td></tr>\n",
                    (int64_t)columns, (int64_t)(all - shown));
    else
        iw_page_add(page, "<%s class=\"rest\">and %n more, left out here</%s>\n", element,
                    (int64_t)(all - shown), element);
}

void iw_page_count(iw_page *page, size_t count, const char *noun)
{
    iw_page_add(page, count == 1 ? "%n %s" : "%n %ss", (int64_t)count, noun);
}

/* --- what was given ------------------------------------------------------- */

const char *iw_page_text(const json_t *object, const char *key)
{
    const char *text = iw_json_get(object, key);
    return text && *text ? text : NULL;
}

const json_t *iw_page_list(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_array(value) ? value : NULL;
}

const json_t *iw_page_object(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_object(value) ? value : NULL;
}

const json_t *iw_page_package(const iw_page *page, const char *name)
{
    const json_t *packages = iw_page_object(page->details, "packages");
    return name ? iw_page_object(packages, name) : NULL;
}
