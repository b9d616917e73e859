#include "ui/terminal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "ui/columns.h"
#include "ui/display.h"

#define FRAME_MS 125
#define STOPPED_MS                                                                                 \
    2000 /* the drawer slept that long: the process was stopped, and others wrote to the terminal  \
          */
#define LEAVE_MS 500
#define JSON_PROGRESS_MS 1000   /* between two progress events of one subject */
#define PENDING_LIMIT (1 << 20) /* bytes */

struct told { /* JSON: when a subject's progress was last told */
    char *subject;
    int64_t when;
};

/* `state` is held for moments only. Who writes owns the screen meanwhile (`writing`), which may
 * take as long as the reader likes. */
struct iw_ui {
    iw_ui_options options;
    iw_sink sink;
    bool live, reflows;

    pthread_mutex_t state;
    pthread_cond_t news; /* for the drawer */
    pthread_cond_t done; /* something was taken from `pending`, or written */
    iw_display *display;
    iw_buffer pending[2]; /* not yet written, to `error` and to `out` */
    size_t left_out;      /* lines of output that found no room */
    struct told *told;
    size_t told_count, told_capacity;
    unsigned paused;
    bool started, stop; /* the drawer */
    pthread_t drawer;
    bool writing;

    iw_buffer frame; /* on the screen: its lines */
    size_t columns;  /* of the terminal, then */
};

static struct timespec in_ms(int64_t milliseconds)
{
    int64_t at = iw_now_ms() + milliseconds;
    return (struct timespec){.tv_sec = (time_t)(at / 1000), .tv_nsec = (long)(at % 1000 * 1000000)};
}

/* In one write where the system takes it whole. Nobody can be told that the reader is gone. */
static void put(int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t taken = write(fd, data, length);
        if (taken < 0 && errno == EAGAIN) {
            struct pollfd ready = {fd, POLLOUT, 0};
            poll(&ready, 1, 1000);
        } else if (taken < 0 && errno != EINTR) {
            return;
        } else if (taken > 0) {
            data += taken;
            length -= (size_t)taken;
        }
    }
}

/* --- the screen, which the caller owns ------------------------------------ */

struct size {
    size_t columns, rows;
};

static struct size terminal_size(int fd)
{
    struct winsize size = {0};
    if (ioctl(fd, TIOCGWINSZ, &size) != 0) size = (struct winsize){0};
    return (struct size){size.ws_col ? size.ws_col : 80, size.ws_row ? size.ws_row : 24};
}

/* Rows that the frame takes now: a terminal that became narrower has folded its lines. */
static size_t rows_shown(const iw_ui *ui, size_t columns)
{
    size_t rows = 0;
    iw_slice rest = {ui->frame.data, ui->frame.length}, line;
    while (iw_slice_next(&rest, '\n', &line)) {
        size_t used =
            ui->reflows && columns < ui->columns ? iw_columns_measure(line.data, line.length) : 1;
        rows += used > columns ? (used + columns - 1) / columns : 1;
    }
    return rows;
}

/* ECMA-48: CUU up to the first line of the frame, EL after each line, ED after the last; no
 * wrapping meanwhile (DECAWM), should a terminal think a character wider than we do. Lines that
 * stay come before the frame. */
static void compose(const iw_ui *ui, const iw_buffer *lines, const iw_buffer *frame,
                    struct size size, iw_buffer *out)
{
    size_t shown = rows_shown(ui, size.columns);
    if (shown) iw_buffer_add_format(out, "\r\033[%zuA", shown);
    if (shown && (lines->length || size.columns != ui->columns)) iw_buffer_add_text(out, "\033[J");
    if (lines->length) iw_buffer_add(out, lines->data, lines->length);
    if (frame->length) iw_buffer_add_text(out, "\033[?7l");
    iw_slice rest = {frame->data, frame->length}, line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_buffer_add(out, line.data, line.length);
        iw_buffer_add_text(out, "\033[K\n");
    }
    if (frame->length) iw_buffer_add_text(out, "\033[?7h");
    if (shown) iw_buffer_add_text(out, "\033[J");
}

/* A job in the background may print lines, but the last line is the shell's prompt. */
static bool in_background(int fd)
{
    pid_t group = tcgetpgrp(fd);
    return group > 0 && group != getpgrp();
}

static void take_pending(iw_ui *ui, iw_buffer taken[2], iw_buffer *frame, struct size size,
                         bool with_frame)
{
    pthread_mutex_lock(&ui->state);
    for (int i = 0; i < 2; i++) {
        taken[i] = ui->pending[i];
        ui->pending[i] = (iw_buffer){0};
    }
    if (ui->left_out)
        iw_buffer_add_format(&taken[0],
                             "note     %zu lines of output left out here; the logs have them\n",
                             ui->left_out);
    ui->left_out = 0;
    if (with_frame && !ui->paused && !ui->stop)
        iw_display_frame(ui->display, size.columns > 1 ? size.columns - 1 : 1,
                         size.rows > 1 ? size.rows - 1 : 1, iw_now_ms(), frame);
    pthread_cond_broadcast(&ui->done);
    pthread_mutex_unlock(&ui->state);
}

/* Writes what waits, and a new frame or none. */
static void draw(iw_ui *ui, bool with_frame)
{
    iw_buffer taken[2], frame = {0}, out = {0};
    struct size size = {0, 0};
    if (ui->live) size = terminal_size(ui->options.error);
    bool background = ui->live && in_background(ui->options.error);
    if (background) iw_buffer_clear(&ui->frame); /* it scrolled away, and others wrote below */
    take_pending(ui, taken, &frame, size, with_frame && ui->live && !background);
    bool same = frame.length == ui->frame.length &&
                (!frame.length || memcmp(frame.data, ui->frame.data, frame.length) == 0);
    if (taken[1].length && frame.length)
        iw_buffer_clear(&frame); /* what goes to `out` may be for the same terminal */
    if (!ui->live) put(ui->options.error, taken[0].data, taken[0].length);
    else if (taken[0].length || taken[1].length || !same || size.columns != ui->columns)
        compose(ui, &taken[0], &frame, size, &out);
    put(ui->options.error, out.data, out.length);
    put(ui->options.out, taken[1].data, taken[1].length);
    iw_buffer_free(&ui->frame);
    ui->frame = frame;
    ui->columns = size.columns;
    iw_buffer_free(&out);
    for (int i = 0; i < 2; i++) iw_buffer_free(&taken[i]);
}

/* Makes the caller own the screen, at the latest at `until`, where that isn't NULL. */
static bool take_screen(iw_ui *ui, const struct timespec *until)
{
    int late = 0;
    pthread_mutex_lock(&ui->state);
    while (ui->writing && late == 0)
        late = until ? pthread_cond_timedwait(&ui->done, &ui->state, until)
                     : pthread_cond_wait(&ui->done, &ui->state);
    bool taken = !ui->writing;
    if (taken) ui->writing = true;
    pthread_mutex_unlock(&ui->state);
    return taken;
}

static void give_screen(iw_ui *ui)
{
    pthread_mutex_lock(&ui->state);
    ui->writing = false;
    pthread_cond_broadcast(&ui->done);
    pthread_mutex_unlock(&ui->state);
}

static void draw_plainly(iw_ui *ui)
{
    take_screen(ui, NULL);
    draw(ui, false);
    give_screen(ui);
}

/* --- the drawer ----------------------------------------------------------- */

/* A live display has its beat; plain lines go out as they come. True: go on. */
static bool wait_for_turn(iw_ui *ui, bool *was_stopped)
{
    pthread_mutex_lock(&ui->state);
    int64_t began = iw_now_ms();
    struct timespec until = in_ms(FRAME_MS);
    int late = 0;
    if (ui->live)
        while (!ui->stop && late == 0) late = pthread_cond_timedwait(&ui->news, &ui->state, &until);
    else
        while (!ui->stop && !ui->pending[0].length && !ui->pending[1].length)
            pthread_cond_wait(&ui->news, &ui->state);
    *was_stopped = ui->live && iw_now_ms() - began > FRAME_MS + STOPPED_MS;
    bool on = !ui->stop;
    pthread_mutex_unlock(&ui->state);
    return on;
}

static void *draw_on(void *argument)
{
    iw_ui *ui = argument;
    bool was_stopped;
    while (wait_for_turn(ui, &was_stopped)) {
        take_screen(ui, NULL);
        if (was_stopped) iw_buffer_clear(&ui->frame);
        draw(ui, true);
        give_screen(ui);
    }
    return NULL;
}

/* With the first event: most commands have none. `state` is held. */
static void start_drawer(iw_ui *ui)
{
    sigset_t all, before; /* signals go to the threads that had them; a broken pipe is an error
                             here, and no more */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ui->started = pthread_create(&ui->drawer, NULL, draw_on, ui) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- events; `state` is held ---------------------------------------------- */

/* Whether it is time to tell this subject's progress again. */
static bool due(iw_ui *ui, const iw_event *event)
{
    const char *subject = event->subject ? event->subject : "";
    for (size_t i = 0; i < ui->told_count; i++) {
        if (strcmp(ui->told[i].subject, subject) != 0) continue;
        bool last = event->total && event->count >= event->total;
        if (!last && event->when - ui->told[i].when < JSON_PROGRESS_MS) return false;
        ui->told[i].when = event->when;
        return true;
    }
    iw_grow((void **)&ui->told, &ui->told_capacity, ui->told_count + 1, sizeof *ui->told);
    ui->told[ui->told_count++] = (struct told){iw_strdup(subject), event->when};
    return true;
}

static void emit_json(iw_ui *ui, const iw_event *event)
{
    if (event->type == IW_EVENT_LINE && ui->options.verbosity < 1) return;
    if (event->type == IW_EVENT_PROGRESS && !due(ui, event)) return;
    iw_cleanup_free char *line = iw_event_to_json(event);
    iw_buffer_add_text(&ui->pending[1], line);
    iw_buffer_add_char(&ui->pending[1], '\n');
}

static void emit_result(iw_ui *ui, const iw_event *event)
{
    iw_buffer_add_format(&ui->pending[1], "%s\n", event->path ? event->path : "");
    if (ui->options.mode != IW_UI_QUIET && event->detail)
        iw_buffer_add_format(&ui->pending[1], "sha256 %s\n", event->detail);
    if (ui->options.mode != IW_UI_QUIET && event->part)
        iw_buffer_add_format(&ui->pending[1], "tar    %s\n", event->part);
    if (ui->options.mode != IW_UI_QUIET && event->subject)
        iw_buffer_add_format(&ui->pending[1], "report %s\n", event->subject);
}

/* A terminal that is stopped (Ctrl-S) holds nobody up; the reader of a pipe gets everything. */
static bool make_room(iw_ui *ui, const iw_event *event)
{
    bool output = event->type == IW_EVENT_LINE && ui->options.verbosity > 0;
    if (ui->live && output && ui->pending[0].length > PENDING_LIMIT) {
        ui->left_out++;
        return false;
    }
    while (!ui->live && ui->started && !ui->stop &&
           ui->pending[0].length + ui->pending[1].length > PENDING_LIMIT)
        pthread_cond_wait(&ui->done, &ui->state);
    return !ui->stop;
}

static void emit(void *context, const iw_event *event)
{
    iw_ui *ui = context;
    pthread_mutex_lock(&ui->state);
    if (make_room(ui, event)) {
        if (!ui->started) start_drawer(ui);
        if (ui->options.mode == IW_UI_JSON) emit_json(ui, event);
        else if (event->type == IW_EVENT_RESULT) emit_result(ui, event);
        else if (ui->options.mode != IW_UI_QUIET || event->type == IW_EVENT_FAILED)
            iw_display_event(ui->display, event, &ui->pending[0]);
        if (!ui->live) pthread_cond_signal(&ui->news);
    }
    bool alone = !ui->started;
    pthread_mutex_unlock(&ui->state);
    if (alone) draw_plainly(ui);
}

/* --- life ----------------------------------------------------------------- */

/* Whether the locale's characters are UTF-8; where none is set, nobody says otherwise. */
static bool says_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return true;
}

iw_ui *iw_ui_open(const iw_ui_options *options)
{
    iw_ui *ui = iw_alloc(sizeof *ui);
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool terminal = isatty(options->error) && term && *term && strcmp(term, "dumb") != 0;
    ui->options = *options;
    ui->sink = (iw_sink){emit, ui};
    ui->live = options->mode == IW_UI_AUTO && terminal;
    ui->reflows = !getenv("XTERM_VERSION"); /* xterm cuts lines where others fold them */
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ui->news, &monotonic);
    pthread_cond_init(&ui->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&ui->state, NULL);
    iw_display_style style = {.colour =
                                  options->colour_allowed && terminal && !(no_colour && *no_colour),
                              .verbose = options->verbosity > 0,
                              .plain = !ui->live,
                              .ascii = ui->live && !says_utf8()};
    ui->display = iw_display_new(&style);
    return ui;
}

const iw_sink *iw_ui_sink(iw_ui *ui)
{
    return &ui->sink;
}

void iw_ui_pause(iw_ui *ui)
{
    pthread_mutex_lock(&ui->state);
    ui->paused++;
    pthread_mutex_unlock(&ui->state);
    draw_plainly(ui);
}

void iw_ui_resume(iw_ui *ui)
{
    pthread_mutex_lock(&ui->state);
    if (ui->paused) ui->paused--;
    pthread_mutex_unlock(&ui->state);
}

static void stop_drawer(iw_ui *ui)
{
    pthread_mutex_lock(&ui->state);
    ui->stop = true;
    pthread_cond_broadcast(&ui->news);
    pthread_cond_broadcast(&ui->done);
    pthread_mutex_unlock(&ui->state);
}

void iw_ui_leave(iw_ui *ui)
{
    if (!ui) return;
    struct timespec until = in_ms(LEAVE_MS);
    stop_drawer(ui);
    if (!take_screen(ui, &until)) return;
    draw(ui, false);
    give_screen(ui);
}

void iw_ui_close(iw_ui *ui)
{
    if (!ui) return;
    stop_drawer(ui);
    if (ui->started) pthread_join(ui->drawer, NULL);
    draw_plainly(ui);
    iw_display_free(ui->display);
    for (size_t i = 0; i < ui->told_count; i++) free(ui->told[i].subject);
    free(ui->told);
    iw_buffer_free(&ui->frame);
    for (int i = 0; i < 2; i++) iw_buffer_free(&ui->pending[i]);
    pthread_cond_destroy(&ui->news);
    pthread_cond_destroy(&ui->done);
    pthread_mutex_destroy(&ui->state);
    free(ui);
}
