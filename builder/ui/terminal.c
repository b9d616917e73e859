#include "ui/terminal.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/text.h"
#include "ui/display.h"

#define FRAME_MS 125
#define JSON_PROGRESS_MS 1000

struct iw_ui {
    iw_ui_options options;
    iw_sink sink;
    iw_display *display;
    pthread_mutex_t lock;
    pthread_cond_t stop_now;
    pthread_t drawer;
    bool live, drawing, paused, stop;
    size_t shown;         /* lines of the live area on the screen */
    iw_buffer pending;    /* lines that stay, not yet written */
    int64_t last_progress; /* JSON */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Nobody can be told that the terminal is gone. */
static void put(int fd, const char *data, size_t length)
{
    iw_error ignored = IW_ERROR_INIT;
    if (length) iw_write_all(fd, data, length, "the terminal", &ignored);
    iw_error_clear(&ignored);
}

/* --- drawing; called with the lock held -------------------------------------------------------------------------------------------- */

static void erase(struct iw_ui *ui, iw_buffer *out)
{
    if (ui->shown) iw_buffer_add_format(out, "\033[%zuF\033[J", ui->shown); /* ECMA-48: CPL, ED */
    ui->shown = 0;
}

static void draw(struct iw_ui *ui, bool with_frame)
{
    iw_cleanup_buffer iw_buffer out = {0};
    struct winsize size = {0};
    ioctl(ui->options.error, TIOCGWINSZ, &size);
    erase(ui, &out);
    if (ui->pending.length) iw_buffer_add(&out, ui->pending.data, ui->pending.length);
    iw_buffer_clear(&ui->pending);
    /* A line as wide as the terminal would wrap on some. */
    if (with_frame) ui->shown = iw_display_frame(ui->display, size.ws_col > 1 ? size.ws_col - 1u : 79, size.ws_row > 1 ? size.ws_row - 1u : 23, now_ms(), &out);
    put(ui->options.error, out.data, out.length);
}

static void *draw_on(void *argument)
{
    struct iw_ui *ui = argument;
    pthread_mutex_lock(&ui->lock);
    while (!ui->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += FRAME_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&ui->stop_now, &ui->lock, &until);
        if (!ui->stop && !ui->paused) draw(ui, true);
    }
    pthread_mutex_unlock(&ui->lock);
    return NULL;
}

/* --- events --------------------------------------------------------------------------------------------------------------------- */

static void emit_json(struct iw_ui *ui, const iw_event *event)
{
    if (event->type == IW_EVENT_LINE && ui->options.verbosity < 1) return;
    if (event->type == IW_EVENT_PROGRESS) {
        if (event->when - ui->last_progress < JSON_PROGRESS_MS) return;
        ui->last_progress = event->when;
    }
    char *line = iw_event_to_json(event);
    iw_buffer out = {line, strlen(line), strlen(line) + 1};
    iw_buffer_add_char(&out, '\n');
    put(ui->options.out, out.data, out.length);
    iw_buffer_free(&out);
}

static void emit_result(struct iw_ui *ui, const iw_event *event)
{
    iw_cleanup_free char *text = ui->options.mode == IW_UI_QUIET ? iw_format("%s\n", event->path ? event->path : "")
                                                                 : iw_format("%s\nsha256 %s\n", event->path ? event->path : "", event->detail ? event->detail : "");
    if (ui->live) draw(ui, false);
    put(ui->options.out, text, strlen(text));
}

static void emit(void *context, const iw_event *event)
{
    struct iw_ui *ui = context;
    pthread_mutex_lock(&ui->lock);
    if (ui->options.mode == IW_UI_JSON) {
        emit_json(ui, event);
    } else if (event->type == IW_EVENT_RESULT) {
        emit_result(ui, event);
    } else if (ui->options.mode != IW_UI_QUIET || event->type == IW_EVENT_FAILED) {
        iw_display_event(ui->display, event, &ui->pending);
        if (!ui->live) {
            put(ui->options.error, ui->pending.data, ui->pending.length);
            iw_buffer_clear(&ui->pending);
        }
    }
    pthread_mutex_unlock(&ui->lock);
}

/* --- life ----------------------------------------------------------------------------------------------------------------------- */

static void start_drawing(struct iw_ui *ui)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ui->drawing = pthread_create(&ui->drawer, NULL, draw_on, ui) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ui->live = ui->drawing;
}

iw_ui *iw_ui_open(const iw_ui_options *options)
{
    struct iw_ui *ui = iw_alloc(sizeof *ui);
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool terminal = isatty(options->error) && term && *term && strcmp(term, "dumb") != 0;
    ui->options = *options;
    ui->sink = (iw_sink){emit, ui};
    pthread_mutex_init(&ui->lock, NULL);
    pthread_cond_init(&ui->stop_now, NULL);
    bool live = options->mode == IW_UI_AUTO && terminal;
    iw_display_style style = {.colour = options->colour_allowed && terminal && !(no_colour && *no_colour), .verbose = options->verbosity > 0, .plain = !live};
    ui->display = iw_display_new(&style);
    if (live) start_drawing(ui);
    return ui;
}

const iw_sink *iw_ui_sink(iw_ui *ui)
{
    return &ui->sink;
}

void iw_ui_pause(iw_ui *ui)
{
    pthread_mutex_lock(&ui->lock);
    ui->paused = true;
    if (ui->live) draw(ui, false);
    pthread_mutex_unlock(&ui->lock);
}

void iw_ui_resume(iw_ui *ui)
{
    pthread_mutex_lock(&ui->lock);
    ui->paused = false;
    pthread_mutex_unlock(&ui->lock);
}

void iw_ui_close(iw_ui *ui)
{
    if (!ui) return;
    pthread_mutex_lock(&ui->lock);
    ui->stop = true;
    pthread_cond_signal(&ui->stop_now);
    pthread_mutex_unlock(&ui->lock);
    if (ui->drawing) pthread_join(ui->drawer, NULL);
    if (ui->live) draw(ui, false);
    iw_display_free(ui->display);
    iw_buffer_free(&ui->pending);
    pthread_cond_destroy(&ui->stop_now);
    pthread_mutex_destroy(&ui->lock);
    free(ui);
}
