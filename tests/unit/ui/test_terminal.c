/* The display on a pseudo-terminal that a small emulator reads, in pipes that nobody reads, and
 * under several threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "screen.h"
#include "ui/terminal.h"

#define PATIENCE_MS 20000
/* What a test writes behind all else: a terminal brings bytes late, but in order. */
#define LAST '\026'

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- a reader of a pseudo-terminal or a pipe ------------------------------ */

typedef struct reader {
    int from, to; /* `to` is what the display writes to; closed by the test to end the reader */
    size_t piece; /* bytes taken at once; 0: what there is */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    screen screen;
    iw_buffer raw;
    bool reading;
} reader;

static void *read_on(void *argument)
{
    reader *r = argument;
    char data[4096];
    for (bool last = false; !last;) {
        ssize_t got = read(r->from, data, r->piece ? r->piece : sizeof data);
        if (got <= 0) return NULL; /* EIO: the other side of the terminal is closed */
        last = data[got - 1] == LAST;
        got -= last;
        pthread_mutex_lock(&r->lock);
        iw_buffer_add(&r->raw, data, (size_t)got);
        screen_feed(&r->screen, data, (size_t)got);
        pthread_cond_broadcast(&r->changed);
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

static void reader_start(reader *r)
{
    r->reading = true;
    assert_int_equal(pthread_create(&r->thread, NULL, read_on, r), 0);
}

static void reader_init(reader *r)
{
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void set_size(int fd, unsigned short columns, unsigned short rows)
{
    assert_int_equal(ioctl(fd, TIOCSWINSZ, &(struct winsize){.ws_col = columns, .ws_row = rows}),
                     0);
}

static void open_terminal(reader *r, unsigned short columns)
{
    *r = (reader){.screen = {.width = columns}};
    reader_init(r);
    r->from = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(r->from >= 0 && grantpt(r->from) == 0 && unlockpt(r->from) == 0);
    r->to = open(ptsname(r->from), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(r->to >= 0);
    set_size(r->from, columns, 24);
}

static void open_pipe(reader *r)
{
    int ends[2];
    *r = (reader){.screen = {.width = 4000}};
    reader_init(r);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    r->from = ends[0];
    r->to = ends[1];
}

/* Ends the reader when it has read all; afterwards raw and screen may be looked at. */
static void reader_end(reader *r)
{
    if (!r->reading) return;
    assert_int_equal(write(r->to, &(char){LAST}, 1), 1);
    pthread_join(r->thread, NULL);
    r->reading = false;
}

static void reader_free(reader *r)
{
    if (r->reading) reader_end(r);
    close(r->from), close(r->to);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    iw_strings_free(&r->screen.lines);
    iw_buffer_free(&r->raw);
}

static struct timespec patience(void)
{
    int64_t end = now_ms() + PATIENCE_MS;
    return (struct timespec){.tv_sec = (time_t)(end / 1000),
                             .tv_nsec = (long)(end % 1000 * 1000000)};
}

/* Whether the last frame is whole: every one but the first clears what was below it, after lines
 * fold again. A terminal may bring a frame in pieces. */
static bool ends_frame(const iw_buffer *raw)
{
    const char *first = raw->length ? strstr(raw->data, "\033[?7l") : NULL;
    bool only = first && !strstr(first + 1, "\033[?7l");
    return first && iw_ends_with(raw->data, only ? "\033[?7h" : "\033[?7h\033[J");
}

/* Until more than `before` bytes have come and a frame is whole: nothing is on its way then. */
static void await_frame(reader *r, size_t before)
{
    struct timespec until = patience();
    pthread_mutex_lock(&r->lock);
    while ((r->raw.length <= before || !ends_frame(&r->raw)) &&
           pthread_cond_timedwait(&r->changed, &r->lock, &until) == 0) {
    }
    bool whole = r->raw.length > before && ends_frame(&r->raw);
    pthread_mutex_unlock(&r->lock);
    assert_true(whole);
}

/* Until `text` is on the screen (or isn't). */
static void await(reader *r, const char *text, bool there)
{
    struct timespec until = patience();
    int late = 0;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        iw_cleanup_free char *shown = screen_text(&r->screen);
        if ((strstr(shown, text) != NULL) == there) break;
        if (late) {
            pthread_mutex_unlock(&r->lock);
            fail_msg("\"%s\" %s on the screen:\n%s", text, there ? "isn't" : "stays", shown);
        }
        late = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    }
    pthread_mutex_unlock(&r->lock);
}

static iw_ui *open_ui(const reader *r, iw_ui_mode mode, int verbosity)
{
    iw_ui_options options = {
        .mode = mode, .verbosity = verbosity, .out = r->to, .error = r->to, .colour_allowed = true};
    return iw_ui_open(&options);
}

static void send(iw_ui *ui, iw_event_type type, const char *subject, const char *phase,
                 const char *detail)
{
    iw_emit(iw_ui_sink(ui),
            (iw_event){.type = type,
                       .subject = subject,
                       .phase = phase,
                       .detail = detail,
                       .count = type == IW_EVENT_PLAN || type == IW_EVENT_FINISHED});
}

static void expect_screen(const reader *r, const char *expected)
{
    iw_cleanup_free char *shown = screen_text(&r->screen);
    assert_string_equal(shown, expected);
    assert_int_equal(r->screen.trouble, 0);
    assert_false(r->screen.no_wrap);
}

/* --- a terminal ----------------------------------------------------------- */

static void test_live(void **state)
{
    (void)state;
    reader r;
    open_terminal(&r, 80);
    reader_start(&r);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 0);
    send(ui, IW_EVENT_PLAN, "zlib/1", NULL, NULL);
    send(ui, IW_EVENT_PLAN, "numpy/1", NULL, NULL);
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    send(ui, IW_EVENT_STARTED, "numpy/1", NULL, NULL);
    send(ui, IW_EVENT_STARTED, "numpy/1", "compile", NULL);
    send(ui, IW_EVENT_LINE, "numpy/1", "compile", "[3/9] cc");
    await(&r, "numpy/1                  compile   3/9", true);
    send(ui, IW_EVENT_LINE, "numpy/1", "compile", "[1/7] /build/src/packed.py");
    await(&r, "0 of 2 packages", true);
    send(ui, IW_EVENT_FINISHED, "zlib/1", NULL, "built");
    await(&r, "1 of 2 packages", true);
    await(&r, "built    zlib/1", true);
    await(&r, "numpy/1                  compile   3/9", true); /* what is packed isn't compiled */
    iw_emit(iw_ui_sink(ui),
            (iw_event){.type = IW_EVENT_RESULT, .path = "out/of/turn"}); /* on the same terminal */
    await(&r, "out/of/turn", true);
    await(&r, "1 of 2 packages", true);
    send(ui, IW_EVENT_FINISHED, "numpy/1", NULL, "built");
    iw_emit(iw_ui_sink(ui), (iw_event){.type = IW_EVENT_RESULT, .path = "dist/x", .detail = "00"});
    iw_ui_close(ui);
    reader_end(&r);
    expect_screen(&r, "plan     2 to build, 0 reused\nbuilt    zlib/1 in 0.0 s\nout/of/turn\nbuilt "
                      "   numpy/1 in 0.0 s\ndist/x\nsha256 00\n");
    assert_true(r.screen.coloured);
    reader_free(&r);
}

static void test_no_colour(void **state)
{
    (void)state;
    reader r;
    open_terminal(&r, 80);
    reader_start(&r);
    setenv("NO_COLOR", "1", 1);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 0);
    unsetenv("NO_COLOR");
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    await(&r, "1 running", true);
    iw_ui_close(ui);
    reader_end(&r);
    expect_screen(&r, "");
    assert_false(r.screen.coloured);
    reader_free(&r);
}

/* A dumb terminal is treated as a pipe. */
static void test_dumb(void **state)
{
    (void)state;
    reader r;
    open_terminal(&r, 80);
    reader_start(&r);
    setenv("TERM", "dumb", 1);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 0);
    setenv("TERM", "xterm", 1);
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    send(ui, IW_EVENT_FINISHED, "zlib/1", NULL, "reused");
    iw_ui_close(ui);
    reader_end(&r);
    expect_screen(&r, "build    zlib/1\nreused   zlib/1\n");
    assert_null(strchr(r.raw.data, '\033'));
    reader_free(&r);
}

/* The terminal becomes narrower and folds the frame: nothing of it may stay. */
static void resize(size_t piece)
{
    reader r;
    open_terminal(&r, 100);
    r.piece = piece;
    reader_start(&r);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 0);
    send(ui, IW_EVENT_NOTE, NULL, NULL, "first");
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    send(ui, IW_EVENT_STARTED, "zlib/1", "compile", NULL);
    send(ui, IW_EVENT_LINE, "zlib/1", "compile", "a line that is long");
    await(&r, "a line that is long", true);
    await_frame(&r, 0);
    static const unsigned short widths[] = {33, 20, 100, 10, 50, 80};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        pthread_mutex_lock(&r.lock);
        set_size(r.from, widths[i], 24);
        screen_resize(&r.screen, widths[i]);
        size_t before = r.raw.length;
        pthread_mutex_unlock(&r.lock);
        await_frame(&r, before);
    }
    await(&r, "1 running", true);
    send(ui, IW_EVENT_NOTE, NULL, NULL, "last");
    iw_ui_close(ui);
    reader_end(&r);
    iw_cleanup_free char *shown = screen_text(&r.screen);
    assert_null(strstr(shown, "zlib"));
    assert_null(strstr(shown, "running"));
    assert_non_null(strstr(shown, "last"));
    reader_free(&r);
}

static void test_resize(void **state)
{
    (void)state;
    resize(0);
}

static void test_resize_in_pieces(void **state)
{
    (void)state;
    resize(5);
}

static void test_pause(void **state)
{
    (void)state;
    reader r;
    open_terminal(&r, 80);
    reader_start(&r);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 0);
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    await(&r, "1 running", true);
    send(ui, IW_EVENT_NOTE, NULL, NULL, "before");
    iw_ui_pause(ui);
    iw_ui_pause(ui);
    iw_ui_resume(ui);
    assert_int_equal(write(r.to, "another voice\n", 14), 14);
    await(&r, "another voice", true);
    usleep(400000);
    await(&r, "1 running", false);
    iw_ui_resume(ui);
    await(&r, "1 running", true);
    iw_ui_close(ui);
    reader_end(&r);
    expect_screen(&r, "note     before\nanother voice\n");
    reader_free(&r);
}

/* Ctrl-S: nobody reads. A build goes on, and says afterwards what is missing. */
static void test_stopped_terminal(void **state)
{
    (void)state;
    reader r;
    open_terminal(&r, 80);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 1);
    char line[1001];
    memset(line, 'x', 1000);
    line[1000] = '\0';
    int64_t began = now_ms();
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    for (int i = 0; i < 5000; i++) send(ui, IW_EVENT_LINE, "zlib/1", "compile", line);
    usleep(300000);
    send(ui, IW_EVENT_FINISHED, "zlib/1", NULL, "built");
    assert_true(now_ms() - began < 10000);
    r.screen.width = 2000;
    reader_start(&r);
    iw_ui_close(ui);
    reader_end(&r);
    assert_non_null(strstr(r.raw.data, "lines of output left out"));
    assert_non_null(strstr(r.raw.data, "zlib/1 in"));
    reader_free(&r);
}

/* The moment before _exit, with a terminal that is stuck. */
static void test_leave(void **state)
{
    (void)state;
    reader r;
    open_terminal(&r, 80);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 1);
    char line[1001];
    memset(line, 'x', 1000);
    line[1000] = '\0';
    for (int i = 0; i < 200; i++) send(ui, IW_EVENT_LINE, "zlib/1", "compile", line);
    usleep(300000);
    int64_t began = now_ms();
    iw_ui_leave(ui);
    assert_true(now_ms() - began < 5000);
    send(ui, IW_EVENT_FAILED, "zlib/1", NULL, "lost");
    iw_ui_leave(NULL);
    reader_start(&r);
    iw_ui_leave(ui);
    iw_ui_close(ui);
    reader_end(&r);
    assert_null(strstr(r.raw.data, "lost"));
    reader_free(&r);
    iw_ui_close(NULL);
}

/* In a session of its own with the terminal as its controlling one: in the background, then in the
 * foreground again. */
static void run_job(int terminal)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTTOU);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    if (setsid() < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0) _exit(1);
    pid_t other = fork();
    if (other == 0) {
        setpgid(0, 0);
        pause();
        _exit(0);
    }
    setpgid(other, other);
    iw_ui_options options = {.mode = IW_UI_AUTO, .out = terminal, .error = terminal};
    iw_ui *ui = iw_ui_open(&options);
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    usleep(800000);
    if (tcsetpgrp(terminal, other) != 0) _exit(2);
    (void)!write(terminal, "prompt\n", 7);
    send(ui, IW_EVENT_NOTE, NULL, NULL, "from the background");
    usleep(800000);
    if (tcsetpgrp(terminal, getpgrp()) != 0) _exit(3);
    usleep(800000);
    iw_ui_close(ui);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    _exit(0);
}

/* Nothing is erased that others wrote meanwhile. */
static void test_background(void **state)
{
    (void)state;
    reader r;
    int status;
    open_terminal(&r, 80);
    pid_t job = fork();
    if (job == 0) run_job(r.to);
    reader_start(&r);
    assert_int_equal(waitpid(job, &status, 0), job);
    assert_int_equal(status, 0);
    reader_end(&r);
    iw_cleanup_free char *shown = screen_text(&r.screen);
    assert_non_null(strstr(shown, "1 running\nprompt\nnote     from the background\n"));
    assert_true(iw_ends_with(shown, "from the background\n"));
    const char *note = strstr(r.raw.data, "from the background");
    assert_non_null(strstr(note, "1 running")); /* and the frame came back */
    reader_free(&r);
}

/* --- pipes ---------------------------------------------------------------- */

static void test_plain(void **state)
{
    (void)state;
    reader r;
    open_pipe(&r);
    reader_start(&r);
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 0);
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    await(&r, "build    zlib/1", true); /* at once, not at the end */
    send(ui, IW_EVENT_FAILED, "zlib/1", "compile", "no luck");
    iw_ui_close(ui);
    reader_end(&r);
    assert_string_equal(r.raw.data, "build    zlib/1\nFAILED   zlib/1 (compile): no luck\n");
    reader_free(&r);
}

static size_t count_lines(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++) count++;
    return count;
}

static void test_json(void **state)
{
    (void)state;
    reader r;
    open_pipe(&r);
    reader_start(&r);
    iw_ui *ui = open_ui(&r, IW_UI_JSON, 0);
    const iw_sink *sink = iw_ui_sink(ui);
    for (uint64_t i = 0; i < 100; i++) {
        iw_emit(sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                 .subject = "a",
                                 .unit = "B",
                                 .count = i,
                                 .total = 99,
                                 .when = 5000 + (int64_t)i});
        iw_emit(sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                 .subject = "b",
                                 .unit = "B",
                                 .count = i,
                                 .total = 9000,
                                 .when = 5000 + (int64_t)i * 100});
    }
    send(ui, IW_EVENT_LINE, "a", NULL, "not asked for");
    send(ui, IW_EVENT_NOTE, NULL, NULL, "two\nlines \xff");
    iw_emit(sink, (iw_event){.type = IW_EVENT_RESULT, .path = "dist/x", .detail = "00"});
    iw_ui_close(ui);
    reader_end(&r);
    assert_int_equal(count_lines(r.raw.data, "\"subject\":\"a\""), 2);
    assert_int_equal(count_lines(r.raw.data, "\"subject\":\"b\""), 10);
    assert_int_equal(count_lines(r.raw.data, "not asked for"), 0);
    assert_true(iw_ends_with(r.raw.data,
                             "{\"type\":\"result\",\"bundle\":\"dist/x\",\"sha256\":\"00\"}\n"));
    iw_slice rest = {r.raw.data, r.raw.length}, line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *text = iw_strndup(line.data, line.length);
        iw_event event;
        void *holder;
        assert_int_equal(iw_event_from_json(text, &event, &holder, NULL), 0);
        free(holder);
    }
    reader_free(&r);
}

static void test_quiet(void **state)
{
    (void)state;
    reader out, error;
    open_pipe(&out);
    open_pipe(&error);
    reader_start(&out);
    reader_start(&error);
    iw_ui_options options = {
        .mode = IW_UI_QUIET, .verbosity = -1, .out = out.to, .error = error.to};
    iw_ui *ui = iw_ui_open(&options);
    send(ui, IW_EVENT_STARTED, "zlib/1", NULL, NULL);
    send(ui, IW_EVENT_NOTE, NULL, NULL, "a note");
    send(ui, IW_EVENT_FAILED, "zlib/1", NULL, "no luck");
    iw_emit(iw_ui_sink(ui), (iw_event){.type = IW_EVENT_RESULT, .path = "dist/x", .detail = "00"});
    iw_ui_close(ui);
    reader_end(&out);
    reader_end(&error);
    assert_string_equal(out.raw.data, "dist/x\n");
    assert_string_equal(error.raw.data, "FAILED   zlib/1: no luck\n");
    reader_free(&out);
    reader_free(&error);
}

static void *start_later(void *argument)
{
    usleep(500000);
    reader_start(argument);
    return NULL;
}

/* A slow reader gets every line. */
static void test_slow_pipe(void **state)
{
    (void)state;
    reader r;
    open_pipe(&r);
    pthread_t later;
    assert_int_equal(pthread_create(&later, NULL, start_later, &r), 0);
    iw_ui *ui = open_ui(&r, IW_UI_PLAIN, 1);
    char line[1001];
    memset(line, 'x', 1000);
    line[1000] = '\0';
    for (int i = 0; i < 3000; i++) send(ui, IW_EVENT_LINE, "zlib/1", NULL, line);
    iw_ui_close(ui);
    pthread_join(later, NULL);
    reader_end(&r);
    assert_int_equal(count_lines(r.raw.data, "zlib/1 | "), 3000);
    assert_int_equal(r.raw.length, 3000 * (1000 + strlen("zlib/1 | \n")));
    reader_free(&r);
}

/* `ironwheel build | head`: the build doesn't die of it. */
static void test_gone_reader(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    reader r = {.to = ends[1]};
    iw_ui *ui = open_ui(&r, IW_UI_PLAIN, 1);
    for (int i = 0; i < 100; i++) {
        send(ui, IW_EVENT_LINE, "zlib/1", NULL, "x");
        usleep(1000);
    }
    signal(SIGPIPE, SIG_IGN); /* as the program does; the thread has it blocked */
    iw_ui_close(ui);
    signal(SIGPIPE, SIG_DFL);
    close(ends[1]);
}

/* --- many threads --------------------------------------------------------- */

typedef struct crowd {
    iw_ui *ui;
    int number;
} crowd;

static void *emit_many(void *argument)
{
    crowd *c = argument;
    for (int i = 0; i < 60; i++) {
        iw_cleanup_free char *subject = iw_format("p%d-%d", c->number, i),
                             *line = iw_format("[%d/60] cc", i);
        send(c->ui, IW_EVENT_STARTED, subject, NULL, NULL);
        for (int j = 0; j < 5; j++) send(c->ui, IW_EVENT_LINE, subject, NULL, line);
        if (i % 20 == 0) {
            iw_ui_pause(c->ui);
            iw_ui_resume(c->ui);
        }
        usleep(2000);
        send(c->ui, IW_EVENT_FINISHED, subject, NULL, "built");
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    reader r;
    open_terminal(&r, 80);
    reader_start(&r);
    crowd all[6];
    pthread_t threads[6];
    iw_ui *ui = open_ui(&r, IW_UI_AUTO, 0);
    for (int i = 0; i < 6; i++) {
        all[i] = (crowd){ui, i};
        assert_int_equal(pthread_create(&threads[i], NULL, emit_many, &all[i]), 0);
    }
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    iw_ui_close(ui);
    reader_end(&r);
    iw_cleanup_free char *shown = screen_text(&r.screen);
    assert_int_equal(count_lines(shown, "\n"), 6 * 60);
    assert_int_equal(count_lines(shown, "built    p"), 6 * 60);
    assert_int_equal(r.screen.trouble, 0);
    reader_free(&r);
}

static int prepare(void **state)
{
    (void)state;
    unsetenv("NO_COLOR");
    unsetenv("XTERM_VERSION");
    return setenv("TERM", "xterm", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_no_colour),
        cmocka_unit_test(test_dumb),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_resize_in_pieces),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_stopped_terminal),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_slow_pipe),
        cmocka_unit_test(test_gone_reader),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("terminal", tests, prepare, NULL);
}
