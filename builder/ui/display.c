#include "ui/display.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "ui/columns.h"

#define QUIET_MS 10000  /* in a pipe, between two lines with the progress of one thing */
#define SILENT_MS 60000 /* the same where its progress can't be counted */
#define PACE_MS 5000    /* from which on what was counted says how long the rest takes */
#define RATE_SECONDS 5  /* over which the rate of downloads is taken */
#define STALLED_MS 3000 /* then a rate of nothing is worth saying */
#define LINE_LIMIT 400  /* bytes of a line of output that a row keeps */
#define WIDE 64         /* columns from which on a row has columns of its own */

struct row { /* something that runs: a package, a download, a check */
    char *subject, *part, *phase, *detail, *unit;
    char *line;       /* the last one of its output, shortened */
    int64_t began;    /* of the whole package, or of the download */
    int64_t told;     /* when a plain line said something of it */
    int64_t expected; /* milliseconds; 0: unknown */
    uint64_t count, total;
    int64_t counted_at; /* when its count last grew */
    uint64_t first;     /* what it began with: a download's part kept from before */
    bool whole;         /* a package from its first phase to its last: its phases come and go */
    bool counted;       /* this phase's own output counts, better than anybody else */
    bool waiting;       /* a download whose turn hasn't come */
    bool stray;         /* nobody said that it started, so nobody will say that it ended */
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
    size_t plan_count, plan_capacity, plan_done, plan_failed, plan_reused;
    bool plan_told;
    int64_t began;       /* of the first package; 0: none yet */
    int64_t fetch_began; /* of the first of the downloads that run */
    size_t fetched, fetch_failed;
    uint64_t fetched_bytes;
    struct {
        int64_t second;
        uint64_t bytes;
    } rate[RATE_SECONDS + 1]; /* bytes that came in a second; slot second % size */
};

iw_display *iw_display_new(const iw_display_style *style)
{
    iw_display *display = iw_alloc(sizeof *display);
    display->style = *style;
    return display;
}

static void row_clear(struct row *row)
{
    free(row->subject), free(row->part), free(row->phase), free(row->detail), free(row->unit),
        free(row->line);
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

/* --- words ---------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool is_fetch(const char *phase)
{
    return phase && strcmp(phase, "fetch") == 0;
}

static void set_text(char **where, const char *text)
{
    if (*where && text && strcmp(*where, text) == 0) return;
    free(*where);
    *where = iw_strdup(text);
}

/* Sums of what others say; they never wrap around. */
static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static int64_t since(int64_t began, int64_t now)
{
    int64_t passed;
    return now > began && !__builtin_sub_overflow(now, began, &passed) ? passed : 0;
}

/* "0:07", "12:03", "1:02:45": caller frees. */
static char *clock_text(int64_t milliseconds)
{
    long long seconds = milliseconds / 1000;
    if (seconds >= 3600)
        return iw_format("%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    return iw_format("%lld:%02lld", seconds / 60, seconds % 60);
}

/* An estimate, no more exact than it is: "8 s", "7 min", "1 h 05 min". Caller frees. */
static char *about_text(double milliseconds)
{
    unsigned long long seconds = milliseconds > 1e15 ? 1000000000000
                                 : milliseconds > 0
                                     ? (unsigned long long)(milliseconds / 1000 + 0.5)
                                     : 0;
    if (seconds < 60) return iw_format("%llu s", seconds ? seconds : 1);
    unsigned long long minutes = (seconds + 30) / 60;
    return minutes < 60 ? iw_format("%llu min", minutes)
                        : iw_format("%llu h %02llu min", minutes / 60, minutes % 60);
}

/* "12/345", "34 %", "1.2 MB of 12 MB", "7", "" where nothing is known: caller frees. */
static char *progress_text(const struct row *row)
{
    if (!row->count && !row->total) return iw_strdup("");
    unsigned long long count = row->count, total = row->total;
    if (same(row->unit, "B")) {
        iw_cleanup_free char *done = iw_format_bytes(row->count),
                             *all = iw_format_bytes(row->total);
        return row->total ? iw_format("%s of %s", done, all) : iw_format("%s", done);
    }
    if (same(row->unit, "%")) return iw_format("%llu %%", count);
    const char *unit = row->unit ? row->unit : "", *space = row->unit ? " " : "";
    return row->total ? iw_format("%llu/%llu%s%s", count, total, space, unit)
                      : iw_format("%llu%s%s", count, space, unit);
}

/* Milliseconds that the row takes in all: as an earlier build says, else at the pace of its count
 * so far; 0 where neither says anything yet. A package's phases have no pace: what comes after the
 * one that counts isn't in it; nor have stages. */
static int64_t takes(const struct row *row)
{
    if (row->expected) return row->expected;
    int64_t passed = since(row->began, row->counted_at);
    if (row->whole || same(row->unit, "stages") || passed < PACE_MS || row->count <= row->first ||
        row->count >= row->total)
        return 0;
    double all =
        (double)passed * (double)(row->total - row->first) / (double)(row->count - row->first);
    return all < INT32_MAX ? (int64_t)all : 0;
}

/* "0:42", "0:42 of about 3:10": caller frees. */
static char *time_text(const struct row *row, int64_t now)
{
    int64_t passed = since(row->began, now), all = takes(row);
    iw_cleanup_free char *elapsed = clock_text(passed), *expected = clock_text(all);
    return row->expected || all > passed ? iw_format("%s of about %s", elapsed, expected)
                                         : iw_strdup(elapsed);
}

/* --- lines that stay ------------------------------------------------------ */

static void say(const iw_display *display, iw_buffer *out, const char *text)
{
    iw_columns_add(out, text ? text : "", IW_COLUMNS_ALL, display->style.ascii);
}

static void say_mark(const iw_display *display, iw_buffer *out, const char *sgr, const char *word)
{
    if (display->style.colour) iw_buffer_add_format(out, "\033[%sm", sgr);
    size_t used = iw_columns_add(out, word, IW_COLUMNS_ALL, display->style.ascii);
    if (display->style.colour) iw_buffer_add_text(out, "\033[0m");
    for (; used < 8; used++) iw_buffer_add_char(out, ' ');
    iw_buffer_add_char(out, ' ');
}

/* A message of several lines: those after the first are indented. */
static void say_lines(const iw_display *display, iw_buffer *out, const char *text)
{
    bool first = true;
    iw_slice rest = iw_slice_of(text), part;
    while (iw_slice_next(&rest, '\n', &part)) {
        iw_cleanup_free char *line = iw_strndup(part.data, part.length);
        if (!*line && !first) continue;
        if (!first) iw_buffer_add_text(out, "    ");
        say(display, out, line);
        iw_buffer_add_char(out, '\n');
        first = false;
    }
    if (first) iw_buffer_add_char(out, '\n');
}

static void tell_started(const iw_display *display, const struct row *row, bool whole,
                         iw_buffer *lines)
{
    bool worth =
        display->style.verbose || (display->style.plain && (whole || is_fetch(row->phase)));
    if (!worth || row->waiting) return;
    say_mark(display, lines, "36", whole ? "build" : row->phase ? row->phase : "");
    say(display, lines, row->subject);
    if (whole && row->expected) {
        iw_cleanup_free char *time = about_text((double)row->expected);
        iw_buffer_add_format(lines, " (about %s)", time);
    }
    if (is_fetch(row->phase) && same(row->unit, "B") && row->total) {
        iw_cleanup_free char *size = iw_format_bytes(row->total);
        iw_buffer_add_format(lines, " (%s)", size);
    }
    if (row->detail) {
        iw_buffer_add_text(lines, ": ");
        say(display, lines, row->detail);
    }
    iw_buffer_add_char(lines, '\n');
}

/* The end of a phase within a package says nothing, but for the verbose. */
static bool worth_telling(const iw_display *display, const iw_event *event, const struct row *row)
{
    if (!event->phase || display->style.verbose || is_fetch(event->phase)) return true;
    return !(row && row->whole);
}

static void say_effort(const iw_event *event, const struct row *row, iw_buffer *lines)
{
    bool bytes = same(event->unit, "B");
    if (same(event->detail, "reused")) return;
    uint64_t size = bytes && event->count         ? event->count
                    : row && same(row->unit, "B") ? row->count
                                                  : 0;
    uint64_t milliseconds = event->count && !bytes ? event->count
                            : row                  ? (uint64_t)since(row->began, event->when)
                                                   : 0;
    if (is_fetch(event->phase) && size) {
        iw_cleanup_free char *text = iw_format_bytes(size);
        iw_buffer_add_format(lines, " (%s)", text);
    } else if (milliseconds) {
        iw_cleanup_free char *time = iw_format_seconds((double)milliseconds / 1000);
        iw_buffer_add_format(lines, " in %s", time);
    }
}

/* Whether the first word leaves the phase to be told: not "resolved tables resolve", nor where the
 * word says what became of it. */
static bool tells_phase(const char *phase, const char *word)
{
    static const char *const own[] = {"repair", "triage"};
    if (is_fetch(phase) || iw_starts_with(word, phase) || same(word, "unpacked")) return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (same(phase, own[i])) return false;
    return true;
}

static void tell_finished(const iw_display *display, const iw_event *event, const struct row *row,
                          iw_buffer *lines)
{
    if (!worth_telling(display, event, row)) return;
    const char *how =
        event->detail && *event->detail && strlen(event->detail) < 12 ? event->detail : NULL;
    const char *word = how                 ? how
                       : !event->phase     ? "built"
                       : row && row->whole ? "done"
                                           : event->phase;
    say_mark(display, lines, "32", word);
    say(display, lines, event->subject);
    if (event->phase && tells_phase(event->phase, word)) {
        iw_buffer_add_char(lines, ' ');
        say(display, lines, event->phase);
    }
    if (row && row->detail) {
        iw_buffer_add_text(lines, ": ");
        say(display, lines, row->detail);
    }
    say_effort(event, row, lines);
    iw_buffer_add_char(lines, '\n');
}

static void tell_failed(const iw_display *display, const iw_event *event, const struct row *row,
                        iw_buffer *lines)
{
    say_mark(display, lines, "1;31", "FAILED");
    say(display, lines, event->subject);
    if (event->phase) {
        iw_buffer_add_text(lines, " (");
        say(display, lines, event->phase);
        if (row && row->detail && !row->whole) {
            iw_buffer_add_char(lines, ' ');
            say(display, lines, row->detail);
        }
        iw_buffer_add_char(lines, ')');
    }
    iw_buffer_add_text(lines, ": ");
    const char *message = event->detail && *event->detail ? event->detail : "no reason was given";
    size_t name = event->subject ? strlen(event->subject) : 0;
    if (name && iw_starts_with(message, event->subject) && message[name] == ' ')
        message += name + 1; /* said already */
    say_lines(display, lines, message);
    if (!event->path) return;
    iw_buffer_add_text(lines, "    log: ");
    say(display, lines, event->path);
    iw_buffer_add_char(lines, '\n');
}

/* In a pipe, now and then, how far something is. */
static void tell_progress(const iw_display *display, struct row *row, int64_t now, iw_buffer *lines)
{
    if (!display->style.plain || row->waiting) return;
    iw_cleanup_free char *progress = progress_text(row), *time = time_text(row, now);
    if (since(row->told, now) < (*progress ? QUIET_MS : SILENT_MS)) return;
    row->told = now;
    say_mark(display, lines, "36", row->phase ? row->phase : "build");
    say(display, lines, row->subject);
    iw_buffer_add_char(lines, ' ');
    say(display, lines, progress); /* a unit may be anything */
    iw_buffer_add_format(lines, "%safter %s\n", *progress ? " " : "", time);
}

/* A note is one line, whatever it holds. */
static void tell_note(const iw_display *display, const iw_event *event, iw_buffer *lines)
{
    say_mark(display, lines, "33", "note");
    if (event->subject) {
        say(display, lines, event->subject);
        iw_buffer_add_text(lines, ": ");
    }
    bool first = true;
    iw_slice rest = iw_slice_of(event->detail ? event->detail : ""), part;
    while (iw_slice_next(&rest, '\n', &part)) {
        iw_slice trimmed = iw_slice_trim(part);
        if (!trimmed.length) continue;
        iw_cleanup_free char *line = iw_strndup(trimmed.data, trimmed.length);
        if (!first) iw_buffer_add_text(lines, " | ");
        say(display, lines, line);
        first = false;
    }
    iw_buffer_add_char(lines, '\n');
}

/* Once, when the plan is complete: what is to be done. */
static void tell_plan(iw_display *display, iw_buffer *lines)
{
    if (display->plan_told || !display->plan_count) return;
    display->plan_told = true;
    int64_t expected = 0;
    for (size_t i = 0; i < display->plan_count; i++)
        expected = (int64_t)plus((uint64_t)expected, (uint64_t)display->plan[i].expected);
    say_mark(display, lines, "36", "plan");
    iw_buffer_add_format(lines, "%zu to build, %zu reused", display->plan_count,
                         display->plan_reused);
    if (expected > 0) {
        iw_cleanup_free char *time = about_text((double)expected);
        iw_buffer_add_format(lines, ", about %s", time);
    }
    iw_buffer_add_char(lines, '\n');
}

/* --- state ---------------------------------------------------------------- */

static struct planned *find_planned(const iw_display *display, const char *subject)
{
    for (size_t i = 0; i < display->plan_count; i++)
        if (same(display->plan[i].subject, subject)) return &display->plan[i];
    return NULL;
}

static struct row *find_row(const iw_display *display, const char *subject, const char *part)
{
    for (size_t i = 0; i < display->row_count; i++)
        if (same(display->rows[i].subject, subject) && same(display->rows[i].part, part))
            return &display->rows[i];
    return NULL;
}

static size_t count_fetching(const iw_display *display)
{
    size_t count = 0;
    for (size_t i = 0; i < display->row_count; i++) count += is_fetch(display->rows[i].phase);
    return count;
}

static struct row *need_row(iw_display *display, const iw_event *event)
{
    struct row *row = find_row(display, event->subject, event->part);
    if (row) return row;
    if (is_fetch(event->phase) && count_fetching(display) == 0) display->fetch_began = event->when;
    iw_grow((void **)&display->rows, &display->row_capacity, display->row_count + 1,
            sizeof *display->rows);
    row = &display->rows[display->row_count++];
    const struct planned *planned = find_planned(display, event->subject);
    *row = (struct row){.subject = iw_strdup(event->subject ? event->subject : ""),
                        .part = iw_strdup(event->part),
                        .phase = iw_strdup(event->phase),
                        .began = event->when,
                        .told = event->when,
                        .expected = planned ? planned->expected : 0};
    return row;
}

static void drop_row(iw_display *display, struct row *row)
{
    size_t at = (size_t)(row - display->rows);
    row_clear(row);
    memmove(row, row + 1, (display->row_count - at - 1) * sizeof *row);
    display->row_count--;
}

static void count_bytes(iw_display *display, int64_t when, uint64_t bytes)
{
    if (when < 0) return;
    size_t slot = (size_t)(when / 1000 % (RATE_SECONDS + 1));
    if (display->rate[slot].second != when / 1000) display->rate[slot].bytes = 0;
    display->rate[slot].second = when / 1000;
    display->rate[slot].bytes = plus(display->rate[slot].bytes, bytes);
}

/* --- output that counts --------------------------------------------------- */

static const char *read_number(const char *at, uint64_t *out)
{
    const char *from = at;
    for (*out = 0; *at >= '0' && *at <= '9' && at - from < 9; at++)
        *out = *out * 10 + (uint64_t)(*at - '0');
    return at > from ? at : NULL;
}

/* What build tools print before a line: ninja and Cython "[12/345] ", CMake's make "[ 12%] ".
 * Returns what follows; the line where nothing counts. meson-python counts the files that it packs
 * in the same way, when all is compiled: these are paths, and count for nothing. */
static const char *read_counts(struct row *row, const char *line)
{
    uint64_t count, total;
    const char *at = *line == '[' ? read_number(line + 1 + strspn(line + 1, " "), &count) : NULL;
    if (at && *at == '%' && at[1] == ']' && count <= 100) {
        set_text(&row->unit, "%");
        total = 100;
        at += 2;
    } else if (at && *at == '/' && (at = read_number(at + 1, &total)) && *at == ']' && total &&
               count <= total) {
        at++;
        if (at[strspn(at, " ")] == '/') return at + strspn(at, " ");
        set_text(&row->unit, NULL);
    } else {
        return line;
    }
    row->count = count;
    row->total = total;
    row->counted = true;
    return at + strspn(at, " ");
}

static bool is_source(const char *word)
{
    static const char *const endings[] = {".c", ".cc", ".cpp", ".cxx", ".C",  ".S",  ".s",
                                          ".f", ".F",  ".f90", ".F90", ".rs", ".pyx"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (iw_ends_with(word, endings[i])) return true;
    return false;
}

/* Of a compiler's command line only the file that is compiled; of what ninja says ("Compiling C
 * object a/b/c.o") the verb and the file's name; else the line. Caller frees. */
static char *shorten(const char *line, bool counted)
{
    const char *source = NULL, *last = NULL, *first = NULL;
    iw_cleanup_free char *copy = iw_strdup(line);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, " \t'\"`;"));) {
        if (!*word) continue;
        if (!first) first = word;
        if (is_source(word)) source = word;
        last = word;
    }
    if (source && strstr(line, " -c ")) return iw_strdup(iw_path_base(source));
    if (counted && last && last != first && strchr(last, '/') && *iw_path_base(last))
        return iw_format("%s %s", first, iw_path_base(last));
    return iw_strndup(line, strnlen(line, LINE_LIMIT));
}

/* --- events --------------------------------------------------------------- */

static void on_plan(iw_display *display, const iw_event *event)
{
    display->plan_told = false;
    if (!event->count) {
        display->plan_reused++;
        return;
    }
    if (find_planned(display, event->subject)) return;
    iw_grow((void **)&display->plan, &display->plan_capacity, display->plan_count + 1,
            sizeof *display->plan);
    int64_t expected =
        event->total < INT32_MAX ? (int64_t)event->total : 0; /* over three weeks nobody expects */
    display->plan[display->plan_count++] =
        (struct planned){.subject = iw_strdup(event->subject ? event->subject : ""),
                         .expected = expected};
}

static void on_started(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    struct row *row = need_row(display, event);
    bool whole = !event->phase;
    row->stray = false;
    if (whole && !display->began) display->began = event->when;
    row->whole = row->whole || whole;
    set_text(&row->phase, event->phase);
    set_text(&row->detail, event->detail);
    set_text(&row->unit, event->unit);
    set_text(&row->line, NULL);
    row->count = 0;
    row->total = event->total;
    row->counted = false;
    row->first = 0;
    row->waiting = is_fetch(event->phase) && same(event->unit, "B") &&
                   !row->whole; /* all downloads are announced at once */
    if (!row->whole) row->began = event->when;
    tell_started(display, row, whole, lines);
}

static void on_progress(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    bool stray = !find_row(display, event->subject, event->part);
    struct row *row = need_row(display, event);
    row->stray = row->stray || stray;
    if (stray) row->first = event->count;
    bool bytes = same(event->unit, "B"), begins = row->waiting,
         more = same(row->unit, "B") && row->count && event->count > row->count;
    if (row->counted && !bytes && same(row->phase, event->phase)) return;
    if (is_fetch(event->phase) && bytes && more)
        count_bytes(display, event->when,
                    event->count - row->count); /* the first may be a part kept from before */
    if (event->phase) set_text(&row->phase, event->phase);
    set_text(&row->unit, event->unit);
    row->count = event->count;
    row->total = event->total;
    row->counted_at = event->when;
    row->waiting = false;
    if (begins) {
        row->began = row->told = event->when;
        row->first = event->count;
        tell_started(display, row, false, lines);
    } else {
        tell_progress(display, row, event->when, lines);
    }
    if (row->stray && row->total && row->count >= row->total) drop_row(display, row);
}

static void on_line(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    struct row *row = find_row(display, event->subject, event->part);
    iw_cleanup_free char *line = iw_columns_settle(event->detail ? event->detail : "");
    if (row && *line) {
        const char *rest = read_counts(row, line);
        if (*rest) {
            free(row->line);
            row->line = shorten(rest, rest != line);
        }
    }
    if (display->style.verbose) {
        say(display, lines, event->subject);
        iw_buffer_add_text(lines, " | ");
        say(display, lines, line);
        iw_buffer_add_char(lines, '\n');
    } else if (row) {
        tell_progress(display, row, event->when, lines);
    }
}

static void mark_planned(iw_display *display, const iw_event *event)
{
    bool failed = event->type == IW_EVENT_FAILED;
    struct planned *planned = find_planned(display, event->subject);
    if (!planned || planned->done || (event->phase && !failed)) return;
    planned->done = true;
    if (same(event->detail, "reused") || failed)
        planned->expected = 0; /* says nothing about the pace */
    display->plan_done += !failed;
    display->plan_failed += failed;
}

/* The row goes when the whole thing ends; a package's phases come and go in it. */
static void on_end(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    struct row *row = find_row(display, event->subject, event->part);
    bool failed = event->type == IW_EVENT_FAILED;
    if (failed) tell_failed(display, event, row, lines);
    else tell_finished(display, event, row, lines);
    mark_planned(display, event);
    if (!row) return;
    if (is_fetch(row->phase) && same(row->unit, "B") && !failed) {
        uint64_t count =
            same(event->unit, "B") && event->count > row->count ? event->count : row->count;
        count_bytes(display, event->when, count - row->count);
        display->fetched_bytes = plus(display->fetched_bytes, count);
    }
    display->fetched += is_fetch(row->phase) && !failed;
    display->fetch_failed += is_fetch(row->phase) && failed;
    if (!event->phase || !row->whole || failed) drop_row(display, row);
}

void iw_display_event(iw_display *display, const iw_event *event, iw_buffer *lines)
{
    if (event->type != IW_EVENT_PLAN) tell_plan(display, lines);
    switch (event->type) {
    case IW_EVENT_PLAN: on_plan(display, event); break;
    case IW_EVENT_STARTED: on_started(display, event, lines); break;
    case IW_EVENT_PROGRESS: on_progress(display, event, lines); break;
    case IW_EVENT_LINE: on_line(display, event, lines); break;
    case IW_EVENT_FINISHED:
    case IW_EVENT_FAILED: on_end(display, event, lines); break;
    case IW_EVENT_NOTE: tell_note(display, event, lines); break;
    case IW_EVENT_RESULT: break; /* goes to standard output */
    }
}

/* --- frame ---------------------------------------------------------------- */

struct pen {
    iw_buffer *out;
    size_t left; /* columns */
    bool colour, ascii;
};

/* Text in the pen's line, cut to `width` columns, padded up to `pad`. */
static void put(struct pen *pen, const char *sgr, const char *text, size_t width, size_t pad)
{
    bool coloured = pen->colour && sgr && pen->left && *text;
    if (coloured) iw_buffer_add_format(pen->out, "\033[%sm", sgr);
    size_t used = iw_columns_add(pen->out, text, width < pen->left ? width : pen->left, pen->ascii);
    if (coloured) iw_buffer_add_text(pen->out, "\033[0m");
    pen->left -= used;
    for (; used < pad && pen->left; used++, pen->left--) iw_buffer_add_char(pen->out, ' ');
}

static void end_line(struct pen *pen)
{
    while (pen->out->length && pen->out->data[pen->out->length - 1] == ' ')
        pen->out->data[--pen->out->length] = '\0';
    iw_buffer_add_char(pen->out, '\n');
}

static void add_row(const struct row *row, struct pen pen, int64_t now)
{
    size_t width = pen.left, name = width >= 110 ? 34 : width >= WIDE ? 24 : (width + 1) / 2;
    iw_cleanup_free char *progress = progress_text(row),
                         *elapsed = clock_text(since(row->began, now)), *time = time_text(row, now);
    iw_cleanup_free char *named =
        row->part ? iw_format("%s: %s", row->subject, row->part) : iw_strdup(row->subject);
    const char *phase = row->phase ? row->phase : "",
               *detail = row->detail && !same(row->detail, row->part) ? row->detail
                         : row->line                                  ? row->line
                                                                      : "";
    put(&pen, "1", named, name, width >= WIDE ? name : 0);
    put(&pen, NULL, " ", 1, 1);
    if (width >= WIDE) {
        put(&pen, "36", phase, 9, 10);
        put(&pen, NULL, progress, 18, 19);
        put(&pen, NULL, time, pen.left, 22);
        if (pen.left > 8) put(&pen, "2", detail, pen.left, 0);
    } else {
        put(&pen, NULL, *progress ? progress : phase, pen.left, 0);
        put(&pen, NULL, " ", 1, 1);
        put(&pen, NULL, elapsed, pen.left, 0);
    }
    end_line(&pen);
}

/* What is left by earlier builds, corrected by how the packages so far compare with them.
 * Milliseconds; *unknown: packages that nobody built before. */
static double time_left(const iw_display *display, int64_t now, size_t *unknown)
{
    double done = 0, left = 0, longest = 0;
    *unknown = 0;
    for (size_t i = 0; i < display->plan_count; i++) {
        const struct planned *planned = &display->plan[i];
        const struct row *row = planned->done ? NULL : find_row(display, planned->subject, NULL);
        double expected = (double)planned->expected, passed = planned->done ? expected
                                                              : row ? (double)since(row->began, now)
                                                                    : 0;
        if (!planned->done && !planned->expected) ++*unknown;
        if (passed > expected) passed = expected;
        done += passed;
        left += expected - passed;
        if (expected - passed > longest) longest = expected - passed;
    }
    double elapsed = (double)since(display->began, now), pace = done > 30000 ? elapsed / done : 1;
    left *= pace < 0.3 ? 0.3 : pace > 3 ? 3 : pace;
    return left > longest ? left : longest;
}

static void put_failed(struct pen *pen, size_t count)
{
    if (!count) return;
    iw_cleanup_free char *failed = iw_format("%zu failed", count);
    put(pen, NULL, ", ", pen->left, 0);
    put(pen, "1;31", failed, pen->left, 0);
}

static void add_packages(const iw_display *display, struct pen *pen, int64_t now)
{
    size_t unknown, rest = display->plan_count - display->plan_done - display->plan_failed;
    double left = time_left(display, now, &unknown);
    iw_cleanup_free char *done =
        iw_format("%zu of %zu packages", display->plan_done, display->plan_count);
    put(pen, "1", done, pen->left, 0);
    put_failed(pen, display->plan_failed);
    iw_cleanup_free char *elapsed =
        display->began ? clock_text(since(display->began, now)) : iw_strdup("0:00");
    iw_cleanup_free char *text = iw_format(", %s", elapsed);
    put(pen, NULL, text, pen->left, 0);
    if (!rest || left < 500) return;
    iw_cleanup_free char *time = about_text(left),
                         *estimate =
                             iw_format(", %s %s left", unknown ? "more than" : "about", time);
    put(pen, NULL, estimate, pen->left, 0);
}

/* Bytes a second, over the last seconds. */
static double rate_of(const iw_display *display, int64_t now)
{
    if (now < 0) return 0;
    uint64_t bytes = 0;
    int64_t from = now / 1000 - (RATE_SECONDS - 1);
    for (size_t i = 0; i <= RATE_SECONDS; i++)
        if (display->rate[i].second >= from && display->rate[i].second <= now / 1000)
            bytes = plus(bytes, display->rate[i].bytes);
    double seconds = (double)(now - (from < 0 ? 0 : from) * 1000) / 1000,
           running = (double)since(display->fetch_began, now) / 1000;
    if (running < seconds) seconds = running;
    return (double)bytes / (seconds < 0.5 ? 0.5 : seconds);
}

static void add_downloads(const iw_display *display, struct pen *pen, size_t fetching, int64_t now)
{
    uint64_t bytes = display->fetched_bytes, total = bytes;
    bool known = true;
    for (size_t i = 0; i < display->row_count; i++) {
        const struct row *row = &display->rows[i];
        if (!is_fetch(row->phase)) continue;
        if (!same(row->unit, "B") || !row->total) known = false;
        if (!same(row->unit, "B")) continue;
        bytes = plus(bytes, row->count);
        total = plus(total, row->total > row->count ? row->total : row->count);
    }
    iw_cleanup_free char *files = iw_format("%zu of %zu files", display->fetched,
                                            display->fetched + display->fetch_failed + fetching);
    put(pen, "1", files, pen->left, 0);
    put_failed(pen, display->fetch_failed);
    double rate = rate_of(display, now);
    iw_cleanup_free char *size = iw_format_bytes(bytes), *of = iw_format_bytes(total),
                         *speed = iw_format_bytes((uint64_t)(rate < 1e18 ? rate : 1e18));
    iw_cleanup_free char *text =
                             known ? iw_format(", %s of %s", size, of) : iw_format(", %s", size),
                         *pace = iw_format(", %s/s", speed);
    if (bytes || known) put(pen, NULL, text, pen->left, 0);
    if (rate >= 1 || since(display->fetch_began, now) > STALLED_MS)
        put(pen, NULL, pace, pen->left, 0);
    if (!known || rate < 1 || total <= bytes) return;
    iw_cleanup_free char *time = about_text((double)(total - bytes) / rate * 1000),
                         *left = iw_format(", about %s left", time);
    put(pen, NULL, left, pen->left, 0);
}

static void add_total(const iw_display *display, struct pen pen, int64_t now)
{
    size_t fetching = count_fetching(display);
    if (display->plan_count) add_packages(display, &pen, now);
    if (display->plan_count && fetching) put(&pen, NULL, ", ", pen.left, 0);
    if (fetching) add_downloads(display, &pen, fetching, now);
    if (!display->plan_count && !fetching) {
        iw_cleanup_free char *text = iw_format("%zu running", display->row_count);
        put(&pen, "1", text, pen.left, 0);
    }
    end_line(&pen);
}

size_t iw_display_frame(const iw_display *display, size_t width, size_t height, int64_t now,
                        iw_buffer *out)
{
    if (display->row_count == 0 || width == 0 || height == 0) return 0;
    struct pen pen = {out, width, display->style.colour, display->style.ascii};
    size_t visible = 0, lines = 0;
    for (size_t i = 0; i < display->row_count; i++) visible += !display->rows[i].waiting;
    size_t room = visible < height ? visible : height >= 3 ? height - 2 : height - 1;
    for (size_t i = 0; i < display->row_count && lines < room; i++) {
        if (display->rows[i].waiting) continue;
        add_row(&display->rows[i], pen, now);
        lines++;
    }
    if (visible > lines && height >= 3) {
        struct pen more = pen;
        iw_cleanup_free char *text = iw_format("and %zu more", visible - lines);
        put(&more, "2", text, more.left, 0);
        end_line(&more);
        lines++;
    }
    add_total(display, pen, now);
    return lines + 1;
}
