#include "upgrade/edit.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

/* --- lines ---------------------------------------------------------------- */

/* Where the line `number` (from 1) begins; the text's end where it has fewer. */
static const char *line_at(const char *text, int number)
{
    for (; number > 1 && *text; number--) {
        const char *newline = strchr(text, '\n');
        text = newline ? newline + 1 : text + strlen(text);
    }
    return text;
}

static const char *line_end(const char *at)
{
    return at + strcspn(at, "\n");
}

/* `text` with `with` in the place of what is between the two. */
static char *replaced(const char *text, const char *from, const char *to, const char *with)
{
    return iw_format("%.*s%s%s", (int)(from - text), text, with, to);
}

static bool is_blank(const char *line)
{
    line += strspn(line, " \t\r");
    return *line == '\n' || *line == '\0' || *line == '#';
}

int iw_edit_end(const char *text, int first)
{
    const char *start = line_at(text, first);
    size_t indent = strspn(start, " ");
    int last = first, number = first;
    for (const char *at = line_end(start); *at; at = line_end(at)) {
        at++;
        number++;
        if (!*at) break;
        size_t spaces = strspn(at, " ");
        bool deeper =
            spaces > indent || (indent == spaces && at[spaces] == '-' && start[indent] != '-');
        if (is_blank(at)) continue;
        if (!deeper) break;
        last = number;
    }
    return last;
}

/* --- values --------------------------------------------------------------- */

/* The value of `key` where it stands as a key: at a line's start, after "- ", or in a flow mapping.
 */
static const char *find_key(const char *from, const char *end, const char *key, bool *flow)
{
    size_t length = strlen(key);
    for (const char *at = from; at + length < end; at++) {
        if (strncmp(at, key, length) != 0 || at[length] != ':' || !strchr(" \n", at[length + 1]))
            continue;
        const char *before = at;
        while (before > from && before[-1] == ' ') before--;
        char left = before > from ? before[-1] : '\n';
        *flow = left == '{' || left == ',';
        if (!*flow && left != '\n' && left != '-') continue;
        at += length + 1;
        return at + strspn(at, " ");
    }
    return NULL;
}

static const char *value_end(const char *value, bool flow)
{
    const char *end = line_end(value), *at = value;
    if (*value == '"' || *value == '\'') {
        const char *close = memchr(value + 1, *value, (size_t)(end - value) - 1);
        if (close) return close + 1;
    }
    for (; at < end; at++) {
        if (at[0] == ' ' && at[1] == '#') break;
        if (flow && (*at == ',' || *at == '}')) break;
    }
    while (at > value && isspace((unsigned char)at[-1])) at--;
    return at;
}

char *iw_edit_value(const char *text, int first, int last, const char *key, const char *value)
{
    bool flow;
    const char *from = line_at(text, first),
               *end = last ? line_end(line_at(text, last)) : text + strlen(text),
               *found = find_key(from, end, key, &flow);
    if (!found || found > end) return NULL;
    const char *to = value_end(found, flow);
    char quote[2] = {*found == '"' || *found == '\'' ? *found : '\0', '\0'};
    iw_cleanup_free char *with = iw_format("%s%s%s", quote, value, quote);
    return replaced(text, found, to, with);
}

/* --- lists ---------------------------------------------------------------- */

/* Without the item in [from, to) of a flow list, and the comma on one side of it. */
static char *without_flow_item(const char *text, const char *from, const char *to)
{
    const char *after = to + strspn(to, " \n"), *before = from;
    while (before > text && strchr(" \n", before[-1])) before--;
    if (*after == ',') {
        after++;
        after += strspn(after, " ");
        return replaced(text, from, after, "");
    }
    if (before > text && before[-1] == ',') return replaced(text, before - 1, to, "");
    return replaced(text, from, to, "");
}

/* Without the lines of a key whose list is empty: "key: []" or "key:" alone. */
static char *without_empty_key(char *text, int number)
{
    const char *line = line_at(text, number), *end = line_end(line),
               *colon = memchr(line, ':', (size_t)(end - line));
    if (!colon) return text;
    const char *rest = colon + 1 + strspn(colon + 1, " ");
    bool empty = rest >= end || *rest == '#' || iw_starts_with(rest, "[]");
    if (!empty || (rest >= end && iw_edit_end(text, number) != number)) return text;
    char *shorter = replaced(text, line, *end ? end + 1 : end, "");
    free(text);
    return shorter;
}

/* The line of the key that a list below or on `number` belongs to. */
static int key_line(const char *text, int number)
{
    for (int at = number; at > 0; at--) {
        const char *line = line_at(text, at);
        if (!is_blank(line) && *line != ' ' && *line != '-') return at;
    }
    return number;
}

/* Where the item at `place` stands; NULL where the text has no such place. */
static const char *find_item(const char *text, const iw_place *place, bool *flow, const char **end)
{
    const char *line = line_at(text, place->line), *from = line + place->column - 1;
    if (from >= line_end(line)) return NULL;
    const char *before = from;
    while (before > text && strchr(" \n", before[-1])) before--;
    *flow = before > text && (before[-1] == '[' || before[-1] == ',');
    const char *to = from + strcspn(from, *flow ? ",]\n" : "\n");
    if (!*flow && strstr(from, " #") && strstr(from, " #") < to) to = strstr(from, " #");
    while (to > from && isspace((unsigned char)to[-1])) to--;
    *end = to;
    return from;
}

char *iw_edit_add_item(const char *text, const iw_place *place, const char *item)
{
    bool flow;
    const char *to, *from = find_item(text, place, &flow, &to), *line = line_at(text, place->line);
    if (!from) return NULL;
    if (flow) {
        iw_cleanup_free char *with = iw_format(", %s", item);
        return replaced(text, to, to, with);
    }
    const char *end = line_end(line);
    iw_cleanup_free char *with = iw_format("\n%.*s%s", (int)(from - line), line, item);
    return replaced(text, end, end, with);
}

char *iw_edit_item(const char *text, const iw_place *place, const char *item)
{
    bool flow;
    const char *to, *from = find_item(text, place, &flow, &to), *line = line_at(text, place->line);
    if (!from) return NULL;
    if (item) return replaced(text, from, to, item);
    const char *end = line_end(line);
    char *shorter =
        flow ? without_flow_item(text, from, to) : replaced(text, line, *end ? end + 1 : end, "");
    return without_empty_key(shorter, key_line(text, place->line));
}

static const char *top_key(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = text; *at; at = *line_end(at) ? line_end(at) + 1 : line_end(at))
        if (strncmp(at, key, length) == 0 && at[length] == ':') return at;
    return NULL;
}

static int line_number(const char *text, const char *at)
{
    int number = 1;
    for (; text < at; text++) number += *text == '\n';
    return number;
}

char *iw_edit_pin(const char *text, const char *key, const char *name, const char *version)
{
    const char *top = top_key(text, key);
    if (!top)
        return iw_format("%s%s%s:\n  %s: %s\n", text,
                         *text && !iw_ends_with(text, "\n") ? "\n" : "", key, name, version);
    int first = line_number(text, top), last = iw_edit_end(text, first);
    char *edited = iw_edit_value(text, first, last, name, version);
    if (edited) return edited;
    const char *rest = top + strlen(key) + 1;
    rest += strspn(rest, " ");
    if (*rest == '{') {
        iw_cleanup_free char *pin = iw_format("%s: %s%s", name, version,
                                              rest[1 + strspn(rest + 1, " ")] == '}' ? "" : ", ");
        return replaced(text, rest + 1, rest + 1, pin);
    }
    const char *end = line_end(line_at(text, last));
    iw_cleanup_free char *line =
        iw_format("%s  %s: %s%s", *end ? "" : "\n", name, version, *end ? "\n" : "");
    return replaced(text, *end ? end + 1 : end, *end ? end + 1 : end, line);
}

const iw_pin *iw_find_pin(const iw_pin *pins, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pins[i].name, name) == 0) return &pins[i];
    return NULL;
}

char *iw_edit_stack(const char *text, const iw_stack *stack, const char *name, const char *version)
{
    const iw_pin *package = iw_find_pin(stack->packages, stack->package_count, name);
    bool own = package && strcmp(package->place.file, stack->path) == 0;
    return iw_edit_pin(text, own ? "packages" : "pins", name, version);
}

/* --- headers of patches --------------------------------------------------- */

/* The end of the header: git's "---" alone, or the change itself. */
static const char *header_end(const char *patch)
{
    static const char *const starts[] = {"---", "+++ ", "diff ", "Index: ", "@@ ", "index "};
    for (const char *at = patch; *at; at = *line_end(at) ? line_end(at) + 1 : line_end(at))
        for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
            if (iw_starts_with(at, starts[i])) return at;
    return patch + strlen(patch);
}

/* From the field's line to behind its continuation lines. */
static const char *find_field(const char *patch, const char *field, const char **end)
{
    const char *stop = header_end(patch);
    size_t length = strlen(field);
    for (const char *at = patch; at < stop; at = *line_end(at) ? line_end(at) + 1 : line_end(at)) {
        if (strncasecmp(at, field, length) != 0 || at[length] != ':') continue;
        const char *to = *line_end(at) ? line_end(at) + 1 : line_end(at);
        while (to < stop && (*to == ' ' || *to == '\t'))
            to = *line_end(to) ? line_end(to) + 1 : line_end(to);
        *end = to;
        return at;
    }
    return NULL;
}

char *iw_edit_header(const char *patch, const char *field, const char *value)
{
    const char *to, *from = find_field(patch, field, &to);
    if (!from) from = to = header_end(patch);
    iw_cleanup_free char *line = iw_format("%s: %s\n", field, value);
    return replaced(patch, from, to, line);
}

char *iw_header_field(const char *patch, const char *field)
{
    const char *to, *from = find_field(patch, field, &to);
    if (!from) return NULL;
    from += strlen(field) + 1;
    iw_slice rest = {from, (size_t)(to - from)}, line;
    iw_buffer folded = {0};
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_slice part = iw_slice_trim(line);
        if (folded.length && part.length) iw_buffer_add_char(&folded, ' ');
        iw_buffer_add(&folded, part.data, part.length);
    }
    return iw_buffer_take(&folded);
}
