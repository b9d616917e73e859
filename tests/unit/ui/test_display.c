/* Cases as data: each .test file of tests/cases/ui holds a style, events as JSON lines (as `--json`
 * prints them), and what must come out: lines that stay, and frames. IW_REBASE=1 writes what came
 * out back into the files; a person reads the diff. ESC stands there as "␛".
 *
 *     -- style [plain] [verbose] [colour] [ascii]        the first part
 *     -- events                                           JSON lines
 *     -- lines                                            what stayed since the last such part
 *     -- frame now=MS width=COLUMNS height=LINES */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "frame_check.h"
#include "ui/display.h"

#define CASES "tests/cases/ui"
#define SHOWN_ESCAPE "␛"

typedef struct iw_play {
    const char *path;
    iw_display_style style;
    iw_display *display;
    iw_buffer lines;  /* that stayed, not yet compared */
    iw_buffer result; /* the file as it should be */
    size_t compared;
} iw_play;

static void feed(iw_play *play, iw_slice body)
{
    iw_slice line;
    while (iw_slice_next(&body, '\n', &line)) {
        if (!line.length) continue;
        iw_event event;
        void *holder;
        iw_error err = IW_ERROR_INIT;
        iw_cleanup_free char *text = iw_strndup(line.data, line.length);
        if (iw_event_from_json(text, &event, &holder, &err))
            fail_msg("%s: %s: %s", play->path, text, iw_error_text(&err));
        iw_display_event(play->display, &event, &play->lines);
        free(holder);
    }
}

/* The frame at any other size holds to its bounds too. */
static void try_sizes(const iw_play *play, int64_t now)
{
    for (size_t width = 0; width < 160; width++)
        for (size_t height = 0; height < 12; height += 1 + height / 4) {
            iw_cleanup_buffer iw_buffer out = {0};
            size_t lines = iw_display_frame(play->display, width, height, now, &out);
            const char *trouble = frame_trouble(out.data, lines, width, height, play->style.colour);
            if (trouble)
                fail_msg("%s: at %zu x %zu: %s:\n%s", play->path, width, height, trouble, out.data);
        }
}

static char *make_frame(const iw_play *play, const char *head)
{
    long long now;
    size_t width, height;
    if (sscanf(head, "frame now=%lld width=%zu height=%zu", &now, &width, &height) != 3)
        fail_msg("%s: %s", play->path, head);
    iw_buffer out = {0};
    size_t lines = iw_display_frame(play->display, width, height, now, &out);
    const char *trouble = frame_trouble(out.data, lines, width, height, play->style.colour);
    if (trouble) fail_msg("%s: %s: %s:\n%s", play->path, head, trouble, out.data);
    try_sizes(play, now);
    return iw_buffer_take(&out);
}

static char *take_lines(iw_play *play)
{
    char *text = iw_buffer_take(&play->lines);
    for (const char *at = text; *at;)
        if (line_columns(&at, play->style.colour) < 0)
            fail_msg("%s: what stays holds what it must not:\n%s", play->path, text);
    return text;
}

static char *show_escapes(const char *text)
{
    iw_buffer out = {0};
    for (; *text; text++) {
        if (*text == '\033') iw_buffer_add_text(&out, SHOWN_ESCAPE);
        else iw_buffer_add_char(&out, *text);
    }
    return iw_buffer_take(&out);
}

static void play_part(iw_play *play, const char *head, iw_slice body, bool rebase)
{
    iw_cleanup_free char *made = NULL, *expected = iw_strndup(body.data, body.length),
                         *shown = NULL;
    iw_buffer_add_format(&play->result, "-- %s\n", head);
    if (iw_starts_with(head, "style")) {
        play->style = (iw_display_style){.colour = strstr(head, "colour"),
                                         .verbose = strstr(head, "verbose"),
                                         .plain = strstr(head, "plain"),
                                         .ascii = strstr(head, "ascii")};
        play->display = iw_display_new(&play->style);
    } else if (strcmp(head, "events") == 0) {
        feed(play, body);
    } else if (strcmp(head, "lines") == 0) {
        made = take_lines(play);
    } else {
        made = make_frame(play, head);
    }
    if (made) shown = show_escapes(made);
    play->compared += shown != NULL;
    iw_buffer_add_text(&play->result, shown ? shown : expected);
    if (shown && !rebase && strcmp(shown, expected) != 0)
        fail_msg("%s: %s: expected\n%s\nbut got\n%s", play->path, head, expected, shown);
}

static void play_file(const char *path, bool rebase)
{
    iw_cleanup_free char *text = NULL;
    size_t length;
    assert_int_equal(iw_read_file(path, 1 << 20, &text, &length, NULL), 0);
    iw_play play = {.path = path};
    const char *at = text;
    while (at && iw_starts_with(at, "-- ")) {
        const char *end = strchr(at, '\n'), *next = strstr(end, "\n-- ");
        iw_cleanup_free char *head = iw_strndup(at + 3, (size_t)(end - at - 3));
        size_t body = (size_t)((next ? next + 1 : text + length) - (end + 1));
        play_part(&play, head, (iw_slice){end + 1, body}, rebase);
        at = next ? next + 1 : NULL;
    }
    if (at || !play.compared) fail_msg("%s: not a case", path);
    if (play.lines.length) fail_msg("%s: lines that nothing compares:\n%s", path, play.lines.data);
    if (rebase)
        assert_int_equal(iw_write_file(path, play.result.data, play.result.length, 0644, NULL), 0);
    iw_display_free(play.display);
    iw_buffer_free(&play.lines);
    iw_buffer_free(&play.result);
}

static void test_cases(void **state)
{
    (void)state;
    const char *rebase = getenv("IW_REBASE");
    size_t count = 0;
    DIR *folder = opendir(CASES);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (!iw_ends_with(entry->d_name, ".test")) continue;
        iw_cleanup_free char *path = iw_path_join(CASES, entry->d_name);
        play_file(path, rebase && *rebase == '1');
        count++;
    }
    closedir(folder);
    assert_true(count >= 8);
}

/* Whatever arrives without having been announced. */
static void test_strays(void **state)
{
    (void)state;
    iw_display_style style = {.plain = true};
    for (iw_event_type type = IW_EVENT_PLAN; type <= IW_EVENT_RESULT; type++) {
        iw_display *display = iw_display_new(&style);
        iw_buffer out = {0};
        for (int i = 0; i < 3; i++)
            iw_display_event(display,
                             &(iw_event){.type = type,
                                         .count = i == 2 ? UINT64_MAX : 0,
                                         .total = UINT64_MAX,
                                         .when = i ? INT64_MAX : INT64_MIN},
                             &out);
        for (const char *at = out.data ? out.data : ""; *at;)
            assert_true(line_columns(&at, false) >= 0);
        iw_buffer_clear(&out);
        size_t lines = iw_display_frame(display, 80, 24, INT64_MIN, &out);
        assert_null(frame_trouble(out.data, lines, 80, 24, false));
        iw_buffer_free(&out);
        iw_display_free(display);
    }
    iw_display_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_strays)};
    if (!use_utf8()) return 1;
    return cmocka_run_group_tests_name("display", tests, NULL, NULL);
}
