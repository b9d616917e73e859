#include "ui/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* --- code points ---------------------------------------------------------- */

int32_t iw_columns_decode(const char *text, size_t *length)
{
    const unsigned char *c = (const unsigned char *)text;
    *length = 1;
    if (c[0] < 0x80) return c[0];
    if (c[0] < 0xc2 || c[0] > 0xf4) return -1;
    size_t more = c[0] < 0xe0 ? 1 : c[0] < 0xf0 ? 2 : 3;
    int32_t point = c[0] & (0x3f >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((c[i] & 0xc0) != 0x80) return -1;
        point = point << 6 | (c[i] & 0x3f);
    }
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return -1;
    *length = more + 1;
    return point;
}

/* After Unicode's general categories and EastAsianWidth.txt (14.0), made coarser towards more
 * columns: pictures that some terminals draw in one count two, and of the marks that combine only
 * the usual ones count none. */
static const struct {
    int32_t from, to;
    int columns;
} ranges[] = {
    /* clang-format off */
    {0x0, 0x1f, -1},       {0x7f, 0x9f, -1},       {0xad, 0xad, -1},      {0x300, 0x36f, 0},      {0x483, 0x489, 0},       {0x591, 0x5bd, 0},
    {0x600, 0x605, -1},    {0x610, 0x61a, 0},      {0x61c, 0x61c, -1},    {0x64b, 0x65f, 0},      {0x6dd, 0x6dd, -1},      {0x70f, 0x70f, -1},
    {0x890, 0x891, -1},    {0x8e2, 0x8e2, -1},     {0xe31, 0xe31, 0},     {0xe34, 0xe3a, 0},      {0xe47, 0xe4e, 0},       {0x1100, 0x115f, 2},
    {0x180e, 0x180e, -1},  {0x1dc0, 0x1dff, 0},    {0x200b, 0x200f, -1},  {0x2028, 0x202e, -1},   {0x2060, 0x206f, -1},    {0x20d0, 0x20f0, 0},
    {0x231a, 0x231b, 2},   {0x2329, 0x232a, 2},    {0x23e9, 0x23f3, 2},   {0x25fd, 0x25fe, 2},    {0x2614, 0x27bf, 2},     {0x2b1b, 0x2b1c, 2},
    {0x2b50, 0x2b55, 2},   {0x2e80, 0x3029, 2},    {0x302a, 0x302f, 2},   {0x3030, 0xa4cf, 2},    {0xa960, 0xa97f, 2},     {0xac00, 0xd7a3, 2},
    {0xd800, 0xf8ff, -1},  {0xf900, 0xfaff, 2},    {0xfdd0, 0xfdef, -1},  {0xfe10, 0xfe19, 2},    {0xfe20, 0xfe2f, 0},     {0xfe30, 0xfe6f, 2},
    {0xfeff, 0xfeff, -1},  {0xff00, 0xff60, 2},    {0xffe0, 0xffe6, 2},   {0xfff0, 0xfffb, -1},   {0xfffe, 0xffff, -1},    {0x110bd, 0x110cd, -1},
    {0x13430, 0x13440, -1}, {0x16fe0, 0x1b2ff, 2}, {0x1bca0, 0x1bca3, -1}, {0x1d173, 0x1d17a, -1}, {0x1f000, 0x1faff, 2},  {0x1fffe, 0x1ffff, -1},
    {0x20000, 0x3fffd, 2}, {0x3fffe, 0x10ffff, -1},
    /* clang-format on */
};

int iw_columns_of(int32_t point)
{
    if (point >= 0x20 && point < 0x7f) return 1;
    size_t from = 0, to = sizeof ranges / sizeof *ranges;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (point > ranges[middle].to) from = middle + 1;
        else if (point < ranges[middle].from) to = middle;
        else return ranges[middle].columns;
    }
    return point < 0 ? -1 : 1;
}

/* --- text ----------------------------------------------------------------- */

/* One unit of text as it is shown: what `shown` gets, the columns it takes, the bytes it came from.
 */
struct unit {
    char shown[12];
    size_t bytes, columns, taken;
};

static struct unit unit_at(const char *text, bool ascii)
{
    struct unit unit = {.shown = ""};
    int32_t point = iw_columns_decode(text, &unit.taken);
    int columns = point < 0 || (ascii && point >= 0x80) ? -1 : iw_columns_of(point);
    if (columns >= 0) {
        memcpy(unit.shown, text, unit.taken);
        unit.bytes = unit.taken;
        unit.columns = (size_t)columns;
        return unit;
    }
    int length;
    if (point == '\t') length = snprintf(unit.shown, sizeof unit.shown, " ");
    else if (point == '\n' || point == '\r')
        length = snprintf(unit.shown, sizeof unit.shown, point == '\n' ? "\\n" : "\\r");
    else if (point < 0x80)
        length = snprintf(unit.shown, sizeof unit.shown, "\\x%02x", (unsigned char)*text);
    else
        length = snprintf(unit.shown, sizeof unit.shown, point > 0xffff ? "\\U%06x" : "\\u%04x",
                          (unsigned)point);
    unit.bytes = unit.columns = (size_t)length;
    return unit;
}

/* Whether all of `text` fits into `width` columns. */
static bool fits(const char *text, size_t width, bool ascii)
{
    for (size_t used = 0; *text;) {
        struct unit unit = unit_at(text, ascii);
        used += unit.columns;
        if (used > width) return false;
        text += unit.taken;
    }
    return true;
}

size_t iw_columns_add(iw_buffer *out, const char *text, size_t width, bool ascii)
{
    size_t used = 0;
    bool whole = width >= IW_COLUMNS_ALL || fits(text, width, ascii),
         mark = !whole && !ascii && width > 1;
    if (mark) width--;
    while (*text) {
        struct unit unit = unit_at(text, ascii);
        if (used + unit.columns > width) break;
        iw_buffer_add(out, unit.shown, unit.bytes);
        used += unit.columns;
        text += unit.taken;
    }
    if (mark) iw_buffer_add_text(out, "…");
    return used + mark;
}

char *iw_columns_lines(const char *text)
{
    iw_buffer out = {0};
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        iw_cleanup_free char *line = iw_strndup(text, (size_t)(end - text));
        iw_columns_add(&out, line, IW_COLUMNS_ALL, false);
        iw_buffer_add_char(&out, '\n');
    }
    iw_columns_add(&out, text, IW_COLUMNS_ALL, false);
    return iw_buffer_take(&out);
}

/* The length of the escape sequence (ECMA-48: CSI, strings such as OSC, or a short one) at `text`,
 * which starts with ESC. */
static size_t sequence_length(const char *text)
{
    const char *at = text + 1;
    if (*at == '[') {
        for (at++; *at >= 0x20 && *at < 0x40; at++) {
        }
        return (size_t)(at - text) + (*at >= 0x40 && *at < 0x7f);
    }
    if (*at && strchr("]PX^_", *at)) { /* ends with BEL or ESC \ */
        while (*at && *at != '\a' && !(at[0] == '\033' && at[1] == '\\')) at++;
        return (size_t)(at - text) + (*at == '\a' ? 1 : *at ? 2 : 0);
    }
    while (*at >= 0x20 && *at < 0x30) at++;
    return (size_t)(at - text) + (*at >= 0x30 && *at < 0x7f);
}

size_t iw_columns_measure(const char *line, size_t length)
{
    iw_cleanup_free char *copy = iw_strndup(line, length);
    size_t used = 0;
    for (const char *at = copy; *at;) {
        if (*at == '\033') {
            at += sequence_length(at);
            continue;
        }
        struct unit unit = unit_at(at, false);
        used += unit.columns;
        at += unit.taken;
    }
    return used;
}

char *iw_columns_settle(const char *line)
{
    iw_buffer out = {0};
    for (const char *at = line; *at;) {
        if (*at == '\033') {
            at += sequence_length(at);
        } else if (*at == '\r') {
            if (at[1 + strspn(at + 1, "\r\n \t")]) iw_buffer_clear(&out);
            at++;
        } else {
            iw_buffer_add_char(&out, *at++);
        }
    }
    iw_slice trimmed = iw_slice_trim((iw_slice){out.data ? out.data : "", out.length});
    char *settled = iw_strndup(trimmed.data, trimmed.length);
    iw_buffer_free(&out);
    return settled;
}
