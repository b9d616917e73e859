#include "ui/display.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define QUIET_MS 10000 /* between two lines about the same thing in a pipe */
#define NAME_WIDTH 26

struct row { /* something that runs: a package, a download, a check */
    char *subject, *phase, *detail, *unit;
    int64_t began, phase_began, told;
    uint64_t count, total;
    int64_t expected; /* milliseconds; 0: unknown */
    bool package;     /* it is one of the plan's */
};

struct planned {
    char *subject;
    int64_t expected;
    bool done;
};

struct iw_display {
    iw_display_style style;
    struct row *rows;
    size_t row_count, row_capacity;
    struct planned *plan;
    size_t plan_count, plan_capacity, plan_done;
    int64_t began;         /* of the first package */
    uint64_t bytes;        /* of finished downloads */
    int64_t fetch_began;
    size_t fetched, fetches;
};

iw_display *iw_display_new(const iw_display_style *style)
{
    iw_display *display = iw_alloc(sizeof *display);
    display->style = *style;
    return display;
}

static void row_clear(struct row *row)
{
    free(row->subject), free(row->phase), free(row->detail), free(row->unit);
}

void iw_display_free(iw_display *display)
{
    if (!display) return;
    for (size_t i = 0; i < display->row_count; i++) row_clear(&display->rows[i]);
    for (size_t i = 0; i < display->plan_count; i++) free(display->plan[i].subject);
    free(display->rows);
    free(display->plan);
    free(display);
}

/* --- text --------------------------------------------------------------------------------------------------------------------- */

/* One code point of UTF-8 (RFC 3629); -1 where the bytes are broken. *length is what it took, at least 1. */
static int32_t decode(const char *text, size_t *length)
{
    const unsigned char *c = (const unsigned char *)text;
    size_t more = c[0] < 0x80 ? 0 : c[0] >= 0xc2 && c[0] < 0xe0 ? 1 : (c[0] & 0xf0) == 0xe0 ? 2 : c[0] >= 0xf0 && c[0] < 0xf5 ? 3 : 4;
    *length = 1;
    if (more == 4) return -1;
    int32_t point = more == 0 ? c[0] : c[0] & (0x3f >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((c[i] & 0xc0) != 0x80) return -1;
        point = point << 6 | (c[i] & 0x3f);
    }
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return -1;
    *length = more + 1;
    return point;
}

/* Columns of a code point: two for East Asian wide ones and pictures, none for those that combine; -1 for control characters, marks of direction included. */
static int columns(int32_t point)
{
    static const struct {
        int32_t from, to;
        int width;
    } ranges[] = {{0, 0x1f, -1},          {0x7f, 0x9f, -1},       {0x300, 0x36f, 0},     {0x1100, 0x115f, 2},   {0x200b, 0x200f, -1}, {0x2028, 0x202e, -1},
                  {0x2060, 0x206f, -1},   {0x20d0, 0x20ff, 0},    {0x2e80, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},  {0xfe00, 0xfe0f, 0},
                  {0xfe30, 0xfe6f, 2},    {0xfeff, 0xfeff, -1},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},   {0xfff0, 0xfffb, -1}, {0x1f300, 0x1faff, 2},
                  {0x20000, 0x3fffd, 2},  {0xe0000, 0xe0fff, -1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (point >= ranges[i].from && point <= ranges[i].to) return ranges[i].width;
    return 1;
}

size_t iw_display_clip(iw_buffer *out, const char *text, size_t width)
{
    size_t used = 0, length;
    for (; *text; text += length) {
        int32_t point = decode(text, &length);
        int wide = point < 0 ? -1 : columns(point);
        if (used + (size_t)(wide < 0 ? 1 : wide) > width) break;
        if (wide < 0)
            iw_buffer_add_char(out, point == '\t' ? ' ' : '?');
        else
            iw_buffer_add(out, text, length);
        used += (size_t)(wide < 0 ? 1 : wide);
    }
    return used;
}

static void add_clean(iw_buffer *out, const char *text)
{
    iw_display_clip(out, text ? text : "", SIZE_MAX / 2);
}

/* Text of several lines: those after the first are indented. */
static void add_lines(iw_buffer *out, const char *text)
{
    for (bool first = true; text && *text; first = false) {
        size_t length = strcspn(text, "\n");
        iw_cleanup_free char *line = iw_strndup(text, length);
        if (!first) iw_buffer_add_text(out, "    ");
        add_clean(out, line);
        iw_buffer_add_char(out, '\n');
        text += length + (text[length] == '\n');
    }
}

static void add_mark(const iw_display *display, iw_buffer *out, const char *sgr, const char *word)
{
    if (display->style.colour)
        iw_buffer_add_format(out, "\033[%sm%-8s\033[0m ", sgr, word);
    else
        iw_buffer_add_format(out, "%-8s ", word);
}

/* --- state -------------------------------------------------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static void set_text(char **where, const char *text)
{
    if (*where && text && strcmp(*where, text) == 0) return;
    free(*where);
    *where = iw_strdup(text);
}

static struct planned *find_planned(const iw_display *display, const char *subject)
{
    for (size_t i = 0; i < display->plan_count; i++)
        if (same(display->plan[i].subject, subject)) return &display->plan[i];
    return NULL;
}

static struct row *find_row(const iw_display *display, const char *subject)
{
    for (size_t i = 0; i < display->row_count; i++)
        if (same(display->rows[i].subject, subject)) return &display->rows[i];
    return NULL;
}

static struct row *need_row(iw_display *display, const iw_event *event)
{
    struct row *row = find_row(display, event->subject);
    if (row) return row;
    iw_grow((void **)&display->rows, &display->row_capacity, display->row_count + 1, sizeof *display->rows);
    row = &display->rows[display->row_count++];
    const struct planned *planned = find_planned(display, event->subject);
    *row = (struct row){.subject = iw_strdup(event->subject ? event->subject : ""), .began = event->when, .phase_began = event->when, .told = event->when,
                        .expected = planned ? planned->expected : 0, .package = planned != NULL};
    if (same(event->phase, "fetch")) {
        if (display->fetches++ == 0) display->fetch_began = event->when;
    } else if (planned && !display->began) {
        display->began = event->when;
    }
    return row;
}

static void drop_row(iw_display *display, struct row *row)
{
    size_t at = (size_t)(row - display->rows);
    row_clear(row);
    memmove(row, row + 1, (display->row_count - at - 1) * sizeof *row);
    display->row_count--;
}

/* Counts in what build tools print: ninja's "[12/345] ", CMake's and make's "[ 12%]". */
static void read_counts(struct row *row, const char *line)
{
    unsigned long long count, total;
    int percent, used = 0;
    if (sscanf(line, "[%llu/%llu]%n", &count, &total, &used) == 2 && used && total) {
        row->count = count, row->total = total;
        set_text(&row->unit, NULL);
    } else if (sscanf(line, "[%d%%]%n", &percent, &used) == 1 && used && percent >= 0 && percent <= 100) {
        row->count = (uint64_t)percent, row->total = 100;
        set_text(&row->unit, "%");
    }
}

/* --- lines that stay ------------------------------------------------------------------------------------------------------------ */

static void add_progress(iw_buffer *out, const struct row *row)
{
    if (!row->count && !row->total) return;
    if (same(row->unit, "B")) {
        iw_cleanup_free char *count = iw_format_bytes(row->count), *total = iw_format_bytes(row->total);
        iw_buffer_add_format(out, row->total ? "%s of %s" : "%s", count, total);
    } else if (same(row->unit, "%")) {
        iw_buffer_add_format(out, "%llu %%", (unsigned long long)row->count);
    } else {
        iw_buffer_add_format(out, row->total ? "%llu/%llu" : "%llu", (unsigned long long)row->count, (unsigned long long)row->total);
    }
}

static void tell_started(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    bool whole = !event->phase, fetch = same(event->phase, "fetch");
    if (fetch || !(display->style.verbose || (display->style.plain && whole))) return;
    add_mark(display, lines, "36", whole ? "build" : event->phase);
    add_clean(lines, event->subject);
    const struct planned *planned = find_planned(display, event->subject);
    if (whole && planned && planned->expected) {
        iw_cleanup_free char *time = iw_format_seconds((double)planned->expected / 1000);
        iw_buffer_add_format(lines, " (about %s)", time);
    }
    if (event->detail) {
        iw_buffer_add_text(lines, ": ");
        add_clean(lines, event->detail);
    }
    iw_buffer_add_char(lines, '\n');
}

static void tell_finished(iw_display *display, const iw_event *event, const struct row *row, iw_buffer *lines)
{
    bool whole = !event->phase, fetch = same(event->phase, "fetch"), worth = whole || fetch || same(event->phase, "check") || same(event->phase, "bundle") || same(event->phase, "unpack");
    if (!worth && !display->style.verbose) return;
    if (same(event->phase, "unpack") && find_planned(display, event->subject) && !display->style.verbose) return;
    const char *word = event->detail && *event->detail && strlen(event->detail) < 12 ? event->detail : whole ? "built" : event->phase;
    add_mark(display, lines, "32", word);
    add_clean(lines, event->subject);
    if (event->phase && !fetch && !same(event->phase, word)) iw_buffer_add_format(lines, " %s", event->phase);
    if (row && row->detail && same(event->phase, "check")) {
        iw_buffer_add_text(lines, " ");
        add_clean(lines, row->detail);
    }
    uint64_t milliseconds = event->count && !same(event->unit, "B") ? event->count : row && event->when > row->began ? (uint64_t)(event->when - row->began) : 0;
    if (fetch && row && row->count) {
        iw_cleanup_free char *size = iw_format_bytes(row->count);
        iw_buffer_add_format(lines, " (%s)", size);
    } else if (milliseconds) {
        iw_cleanup_free char *time = iw_format_seconds((double)milliseconds / 1000);
        iw_buffer_add_format(lines, " in %s", time);
    }
    iw_buffer_add_char(lines, '\n');
}

static void tell_failed(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    add_mark(display, lines, "1;31", "FAILED");
    add_clean(lines, event->subject);
    if (event->phase) iw_buffer_add_format(lines, " (%s)", event->phase);
    iw_buffer_add_text(lines, ": ");
    add_lines(lines, event->detail ? event->detail : "no reason given\n");
    if (!event->path) return;
    iw_buffer_add_text(lines, "    log: ");
    add_clean(lines, event->path);
    iw_buffer_add_char(lines, '\n');
}

/* In a pipe, now and then, how far something is. */
static void tell_progress(iw_display *display, struct row *row, const iw_event *event, iw_buffer *lines)
{
    if (!display->style.plain || event->when - row->told < QUIET_MS) return;
    row->told = event->when;
    add_mark(display, lines, "36", row->phase ? row->phase : "build");
    add_clean(lines, row->subject);
    iw_buffer_add_char(lines, ' ');
    add_progress(lines, row);
    iw_buffer_add_char(lines, '\n');
}

/* --- events --------------------------------------------------------------------------------------------------------------------- */

static void on_plan(iw_display *display, const iw_event *event)
{
    if (!event->count || find_planned(display, event->subject)) return;
    iw_grow((void **)&display->plan, &display->plan_capacity, display->plan_count + 1, sizeof *display->plan);
    int64_t expected = event->total < INT64_MAX / 2 ? (int64_t)event->total : 0;
    display->plan[display->plan_count++] = (struct planned){.subject = iw_strdup(event->subject ? event->subject : ""), .expected = expected};
}

static void on_started(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    struct row *row = need_row(display, event);
    set_text(&row->phase, event->phase);
    set_text(&row->detail, event->detail);
    set_text(&row->unit, NULL);
    row->phase_began = event->when;
    row->count = row->total = 0;
    tell_started(display, event, lines);
}

static void on_progress(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    struct row *row = need_row(display, event);
    if (event->phase) set_text(&row->phase, event->phase);
    set_text(&row->unit, event->unit);
    row->count = event->count;
    row->total = event->total;
    tell_progress(display, row, event, lines);
}

static void on_line(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    struct row *row = find_row(display, event->subject);
    if (row && event->detail) read_counts(row, event->detail);
    if (!display->style.verbose) return;
    add_clean(lines, event->subject);
    iw_buffer_add_text(lines, " | ");
    add_clean(lines, event->detail);
    iw_buffer_add_char(lines, '\n');
}

/* The row goes when the whole thing ends; a package's phases come and go in it. */
static void on_end(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    struct row *row = find_row(display, event->subject);
    struct planned *planned = find_planned(display, event->subject);
    if (event->type == IW_EVENT_FAILED)
        tell_failed(display, event, lines);
    else
        tell_finished(display, event, row, lines);
    if (planned && !planned->done && (!event->phase || event->type == IW_EVENT_FAILED)) {
        planned->done = true;
        display->plan_done++;
    }
    if (!row) return;
    if (same(event->phase, "fetch")) {
        display->fetched++;
        display->bytes += row->count;
    }
    if (!event->phase || !row->package || event->type == IW_EVENT_FAILED) drop_row(display, row);
}

void iw_display_event(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    switch (event->type) {
    case IW_EVENT_PLAN: on_plan(display, event); break;
    case IW_EVENT_STARTED: on_started(display, event, lines); break;
    case IW_EVENT_PROGRESS: on_progress(display, event, lines); break;
    case IW_EVENT_LINE: on_line(display, event, lines); break;
    case IW_EVENT_FINISHED:
    case IW_EVENT_FAILED: on_end(display, event, lines); break;
    case IW_EVENT_NOTE:
        add_mark(display, lines, "33", "note");
        if (event->subject) {
            add_clean(lines, event->subject);
            iw_buffer_add_text(lines, ": ");
        }
        add_lines(lines, event->detail ? event->detail : "\n");
        break;
    case IW_EVENT_RESULT: break; /* goes to standard output */
    }
}

/* --- frame ---------------------------------------------------------------------------------------------------------------------- */

static void add_row(const struct row *row, size_t width, int64_t now, bool colour, iw_buffer *out)
{
    iw_cleanup_buffer iw_buffer rest = {0};
    size_t name = width < 50 ? width / 2 : NAME_WIDTH;
    iw_buffer_add_text(out, colour ? "\033[1m" : "");
    size_t used = iw_display_clip(out, row->subject, name);
    iw_buffer_add_text(out, colour ? "\033[0m" : "");
    for (; used < name; used++) iw_buffer_add_char(out, ' ');
    iw_buffer_add_format(&rest, " %-10s ", row->phase ? row->phase : "");
    size_t before = rest.length;
    add_progress(&rest, row);
    while (rest.length - before < 20) iw_buffer_add_char(&rest, ' ');
    iw_cleanup_free char *elapsed = iw_format_seconds((double)(now > row->began ? (now - row->began) / 1000 : 0));
    iw_buffer_add_format(&rest, " %s", elapsed);
    if (row->expected > 0) {
        iw_cleanup_free char *expected = iw_format_seconds((double)(row->expected / 1000));
        iw_buffer_add_format(&rest, " of about %s", expected);
    }
    if (same(row->phase, "check") && row->detail) iw_buffer_add_format(&rest, "  %s", row->detail);
    iw_display_clip(out, rest.data, width - used);
    iw_buffer_add_char(out, '\n');
}

/* What is left by earlier builds, corrected by how the packages so far compare with them. Milliseconds. */
static double time_left(const iw_display *display, int64_t now)
{
    double done = 0, left = 0;
    for (size_t i = 0; i < display->plan_count; i++) {
        const struct planned *planned = &display->plan[i];
        const struct row *row = find_row(display, planned->subject);
        double passed = row && now > row->began ? (double)(now - row->began) : 0, expected = (double)planned->expected;
        if (passed > expected) passed = expected;
        done += planned->done ? expected : passed;
        left += planned->done ? 0 : expected - passed;
    }
    double elapsed = display->began && now > display->began ? (double)(now - display->began) : 0, pace = done > 30000 ? elapsed / done : 1;
    return left * (pace < 0.3 ? 0.3 : pace > 3 ? 3 : pace);
}

static void add_total(const iw_display *display, size_t width, int64_t now, iw_buffer *out)
{
    iw_cleanup_buffer iw_buffer line = {0};
    uint64_t bytes = display->bytes;
    size_t fetching = 0;
    for (size_t i = 0; i < display->row_count; i++) {
        if (!same(display->rows[i].phase, "fetch")) continue;
        fetching++;
        bytes += display->rows[i].count;
    }
    if (fetching) {
        double seconds = (double)(now > display->fetch_began ? now - display->fetch_began : 1) / 1000;
        iw_cleanup_free char *size = iw_format_bytes(bytes), *rate = iw_format_bytes((uint64_t)((double)bytes / (seconds < 0.1 ? 0.1 : seconds)));
        iw_buffer_add_format(&line, "%zu files fetched, %s, %s/s", display->fetched, size, rate);
    } else if (display->plan_count) {
        iw_cleanup_free char *elapsed = iw_format_seconds((double)(display->began && now > display->began ? (now - display->began) / 1000 : 0));
        iw_cleanup_free char *left = iw_format_seconds((double)(int64_t)(time_left(display, now) / 1000));
        iw_buffer_add_format(&line, "%zu of %zu packages, %s", display->plan_done, display->plan_count, elapsed);
        if (display->plan_done < display->plan_count) iw_buffer_add_format(&line, ", about %s left", left);
    } else {
        iw_buffer_add_format(&line, "%zu running", display->row_count);
    }
    iw_display_clip(out, line.data, width);
    iw_buffer_add_char(out, '\n');
}

size_t iw_display_frame(const iw_display *display, size_t width, size_t height, int64_t now, iw_buffer *out)
{
    if (display->row_count == 0 || width == 0 || height == 0) return 0;
    size_t rows = display->row_count < height - 1 ? display->row_count : height - 1;
    for (size_t i = 0; i < rows; i++) add_row(&display->rows[i], width, now, display->style.colour, out);
    add_total(display, width, now, out);
    return rows + 1;
}
