/* Processes: what a child inherits, how a failed start is told, capture, signals through the pipe;
 * events as JSON and back. */
#include "kit.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/error.h"
#include "base/event.h"
#include "base/guard.h"
#include "base/process.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

/* --- starting ------------------------------------------------------------- */

static void test_spawn(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(*state, "out"), *text = NULL;
    int out = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), status;
    pid_t pid;
    iw_command command = {.argv = ARGV("sh", "-c", "pwd; echo $A:$HOME; echo oops >&2; exit 3"),
                          .environment = ARGV("A=b c", "PATH=/usr/bin:/bin"),
                          .folder = "/usr",
                          .in = -1,
                          .out = out,
                          .error = out};
    kit_ok(iw_spawn(&command, &pid, &err));
    kit_ok(iw_wait(pid, &status, &err));
    kit_equal(iw_status_text(status), "exit status 3");
    kit_ok(iw_read_file(path, 1000, &text, NULL, &err));
    assert_string_equal(text, "/usr\nb c:\noops\n");
    close(out);
    command.argv = ARGV("/bin/sh", "-c", "kill -ILL $$");
    command.out = command.error = -1;
    kit_ok(iw_spawn(&command, &pid, &err));
    kit_ok(iw_wait(pid, &status, &err));
    kit_equal(iw_status_text(status), "signal 4 (Illegal instruction)");
    kit_fails(iw_wait(pid, &status, &err), IW_E_IO, "can't wait");
}

static void test_spawn_fails(void **state)
{
    iw_error err = IW_ERROR_INIT;
    pid_t pid = 7;
    iw_command command = {.argv = ARGV("no-such-program-at-all"), .in = -1, .out = -1, .error = -1};
    kit_fails(iw_spawn(&command, &pid, &err), IW_E_ENVIRONMENT, "no-such-program-at-all");
    assert_int_equal(pid, -1);
    command.argv = ARGV("/nonexistent/program");
    kit_fails(iw_spawn(&command, &pid, &err), IW_E_ENVIRONMENT, strerror(ENOENT));
    command.argv = ARGV(*state);
    kit_fails(iw_spawn(&command, &pid, &err), IW_E_ENVIRONMENT, strerror(EACCES));
    command = (iw_command){
        .argv = ARGV("true"), .folder = "/nonexistent", .in = -1, .out = -1, .error = -1};
    kit_fails(iw_spawn(&command, &pid, &err), IW_E_ENVIRONMENT, strerror(ENOENT));
    iw_fault_set(IW_FAULT_SPAWN, 1, EAGAIN);
    command.folder = NULL;
    kit_fails(iw_spawn(&command, &pid, &err), IW_E_ENVIRONMENT, strerror(EAGAIN));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie stays */
    assert_int_equal(errno, ECHILD);
}

/* The descriptors that the child sees, by number. */
static void child_descriptors(const int *keep, int in, int out, int error, const char *to,
                              iw_buffer *text)
{
    iw_error err = IW_ERROR_INIT;
    pid_t pid;
    int status;
    iw_command command = {.argv = ARGV("sh", "-c",
                                       "for f in /proc/self/fd/*; do n=${f##*/}; [ -e $f ] && [ $n "
                                       "-lt 200 ] && echo $n; done > \"$0\"",
                                       to),
                          .in = in,
                          .out = out,
                          .error = error,
                          .keep = keep};
    kit_ok(iw_spawn(&command, &pid, &err));
    kit_ok(iw_wait(pid, &status, &err));
    char *data;
    size_t length;
    kit_ok(iw_read_file(to, 10000, &data, &length, &err));
    iw_buffer_clear(text);
    iw_buffer_add(text, data, length);
    free(data);
}

static bool has_line(const iw_buffer *text, int number)
{
    iw_slice rest = {text->data, text->length}, line;
    char wanted[16];
    snprintf(wanted, sizeof wanted, "%d", number);
    while (iw_slice_next(&rest, '\n', &line))
        if (iw_slice_equal(line, wanted)) return true;
    return false;
}

static void test_inherits_nothing(void **state)
{
    iw_cleanup_free char *to = iw_path_join(*state, "fds");
    iw_cleanup_buffer iw_buffer text = {0};
    int open_one = dup2(1, 90), kept = dup2(1, 91);
    assert_true(open_one == 90 && kept == 91);
    fcntl(90, F_SETFD, FD_CLOEXEC); /* all of ours are opened so */
    fcntl(91, F_SETFD, FD_CLOEXEC);
    child_descriptors((const int[]){91, -1}, -1, -1, -1, to, &text);
    assert_false(has_line(&text, 90));
    assert_true(has_line(&text, 91));
    assert_true(has_line(&text, 0) && has_line(&text, 1) && has_line(&text, 2));
    close(90);
    close(91);
}

/* 0, 1 and 2 of this process, given in another order: none is overwritten before it is used. */
static void test_swapped(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *a = iw_path_join(*state, "a"), *b = iw_path_join(*state, "b"),
                         *text = NULL;
    fflush(stdout);
    fflush(stderr);
    pid_t runner = fork();
    if (runner == 0) { /* in a process of its own, as it rearranges what cmocka prints to */
        int first = open(a, O_RDWR | O_CREAT, 0644), second = open(b, O_RDWR | O_CREAT, 0644);
        dup2(first, 1);
        dup2(second, 2);
        iw_command command = {
            .argv = ARGV("sh", "-c", "echo out; echo error >&2"), .in = -1, .out = 2, .error = 1};
        pid_t pid;
        int status;
        _exit(iw_spawn(&command, &pid, NULL) == 0 && iw_wait(pid, &status, NULL) == 0 && status == 0
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(runner, &status, 0), runner);
    assert_int_equal(status, 0);
    kit_ok(iw_read_file(a, 100, &text, NULL, &err));
    assert_string_equal(text, "error\n");
    free(iw_steal(&text));
    kit_ok(iw_read_file(b, 100, &text, NULL, &err));
    assert_string_equal(text, "out\n");
}

/* A daemon may start with 0, 1 and 2 closed. */
static void test_closed_standard(void **state)
{
    (void)state;
    fflush(stdout);
    pid_t runner = fork();
    if (runner == 0) {
        close(0), close(1), close(2);
        char *out = NULL;
        _exit(iw_run_capture(ARGV("sh", "-c", "cat; echo fine"), NULL, 100, &out, NULL, NULL) ==
                          0 &&
                      strcmp(out, "fine\n") == 0
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(runner, &status, 0), runner);
    assert_int_equal(status, 0);
}

static void test_group_and_death(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    pid_t pid;
    int status;
    iw_command command = {
        .argv = ARGV("sleep", "100"), .in = -1, .out = -1, .error = -1, .own_group = true};
    kit_ok(iw_spawn(&command, &pid, &err));
    assert_int_equal(getpgid(pid), pid);
    kill(pid, SIGKILL);
    kit_ok(iw_wait(pid, &status, &err));
    int report[2];
    assert_int_equal(pipe(report), 0);
    pid_t middle = fork(); /* its child dies with it */
    if (middle == 0) {
        iw_command inner = {.argv = ARGV("sleep", "100"),
                            .in = -1,
                            .out = report[1],
                            .error = -1,
                            .die_with_parent = true};
        if (iw_spawn(&inner, &pid, NULL) != 0) _exit(1);
        _exit(0);
    }
    close(report[1]);
    assert_int_equal(waitpid(middle, &status, 0), middle);
    assert_int_equal(status, 0);
    struct pollfd polled = {report[0], POLLIN, 0};
    assert_int_equal(poll(&polled, 1, 20000), 1); /* the pipe's last writer is gone */
    assert_true(polled.revents & POLLHUP);
    close(report[0]);
}

/* --- capture -------------------------------------------------------------- */

/* A guarded program that leaves orphans in other sessions and groups, one of them stopped; they
 * hold the pipe open as long as they live. */
static pid_t spawn_family(const char *last, int out)
{
    iw_error err = IW_ERROR_INIT;
    pid_t pid;
    iw_cleanup_free char *script = iw_format(
        "(setsid sleep 100 & setsid sh -c 'sleep 100 & kill -STOP $$' &) & sleep 100 & echo x; %s",
        last);
    iw_command command = {.argv = ARGV("sh", "-c", script),
                          .in = -1,
                          .out = out,
                          .error = -1,
                          .own_group = true,
                          .guarded = true};
    kit_ok(iw_spawn(&command, &pid, &err));
    return pid;
}

/* Reads what the family says, then waits for the end of its last member. */
static void all_ended(int in)
{
    char one;
    while (read(in, &one, 1) == 1) continue;
    close(in);
}

static void first_word(int in)
{
    char word[2];
    assert_int_equal(read(in, word, 2), 2);
}

static void test_guarded(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    static const char *const ends[] = {"exit 3", "kill -ILL $$", "sleep 100"};
    for (int i = 0; i < 3; i++) {
        int family[2], status;
        assert_int_equal(pipe2(family, O_CLOEXEC), 0);
        pid_t pid = spawn_family(ends[i], family[1]);
        close(family[1]);
        first_word(family[0]);
        if (i == 2) kill(pid, SIGTERM);
        kit_ok(iw_wait(pid, &status, &err));
        kit_equal(iw_status_text(status), i == 0   ? "exit status 3"
                                          : i == 1 ? "signal 4 (Illegal instruction)"
                                                   : "signal 9 (Killed)");
        struct pollfd now = {family[0], POLLIN, 0};
        poll(&now, 1, 0);
        assert_true(now.revents & POLLHUP); /* all are gone when the guard has ended */
        all_ended(family[0]);
    }
    iw_command missing = {
        .argv = ARGV("/nonexistent/program"), .in = -1, .out = -1, .error = -1, .guarded = true};
    pid_t pid;
    kit_fails(iw_spawn(&missing, &pid, &err), IW_E_ENVIRONMENT, strerror(ENOENT));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_guarded_when_parent_dies(void **state)
{
    (void)state;
    int family[2];
    assert_int_equal(pipe2(family, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        spawn_family("sleep 100", family[1]);
        pause();
    }
    close(family[1]);
    first_word(family[0]);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    all_ended(family[0]);
}

/* The guard itself killed: what it leaves goes to the nearest that adopts. */
static void test_guard_killed(void **state)
{
    (void)state;
    int family[2], status;
    assert_int_equal(pipe2(family, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        iw_guard_adopt();
        pid_t guard = spawn_family("sleep 100", family[1]);
        first_word(family[0]);
        kill(guard, SIGKILL);
        waitpid(guard, NULL, 0);
        iw_guard_end_all();
        _exit(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1);
    }
    close(family[1]);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(status, 0);
    all_ended(family[0]);
}

static void test_capture(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    char *out = NULL;
    size_t length = 0;
    kit_ok(iw_run_capture(ARGV("sh", "-c", "printf 'a\\0b'; cat"), NULL, 3, &out, &length, &err));
    assert_int_equal(length, 3);
    assert_memory_equal(out, "a\0b", 4);
    free(out);
    kit_ok(iw_run_capture(ARGV("true"), NULL, 10, &out, &length, &err));
    assert_string_equal(out, "");
    free(out);
    kit_ok(iw_run_capture(ARGV("echo", "x"), NULL, 10, NULL, NULL, &err));
    kit_fails(iw_run_capture(ARGV("sh", "-c", "echo unseen; echo why >&2; exit 5"), NULL, 100, &out,
                             &length, &err),
              IW_E_IO, "exit status 5: why");
    assert_null(out);
    /* more than two pipes hold, on both, at once; of standard error the end is told */
    kit_fails(iw_run_capture(ARGV("sh", "-c",
                                  "head -c 3000000 /dev/zero | tr '\\0' e >&2 & head -c 3000000 "
                                  "/dev/zero; wait; echo the end >&2; exit 1"),
                             NULL, 4 << 20, &out, &length, &err),
              IW_E_IO, "the end");
    kit_fails(iw_run_capture(ARGV("sh", "-c", "yes"), NULL, 100000, &out, &length, &err),
              IW_E_FORMAT, "more than 100000 bytes");
    kit_fails(iw_run_capture(ARGV("no-such-program-at-all"), NULL, 100, &out, &length, &err),
              IW_E_ENVIRONMENT, "not found");
}

/* Killing the program isn't enough where its child goes on printing: it must not be listened to for
 * ever. */
static void test_capture_grandchild(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    char *out = NULL;
    alarm(60);
    kit_fails(iw_run_capture(ARGV("sh", "-c", "yes & wait"), NULL, 100000, &out, NULL, &err),
              IW_E_FORMAT, "more than 100000 bytes");
    alarm(0);
    assert_null(out);
}

/* --- signals -------------------------------------------------------------- */

static void test_signals(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    int fd, second;
    signal(SIGINT, SIG_DFL); /* a shell's background job has it ignored */
    signal(SIGHUP, SIG_IGN); /* as nohup does */
    kit_ok(iw_signals_open(&fd, &err));
    kit_fails(iw_signals_open(&second, &err), IW_E_ENVIRONMENT, "already");
    unsigned char byte = 0;
    assert_int_equal(read(fd, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    raise(SIGTERM);
    raise(SIGHUP);
    raise(SIGINT);
    raise(SIGPIPE);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, SIGTERM);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, SIGINT);
    assert_int_equal(read(fd, &byte, 1), -1);
    char *out = NULL; /* a child gets the defaults, but what is ignored for a reason */
    kit_ok(iw_run_capture(ARGV("sed", "-n", "s/^SigIgn:[^0-9a-f]*//p", "/proc/self/status"), NULL,
                          100, &out, NULL, &err));
    assert_int_equal(strtoull(out, NULL, 16) & 0x7fffffff, 1u << (SIGHUP - 1));
    free(out);
    iw_signals_close();
    struct sigaction now;
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
    assert_int_equal(sigaction(SIGHUP, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_IGN);
    signal(SIGHUP, SIG_DFL);
    kit_ok(iw_signals_open(&fd, &err)); /* again, after it was closed */
    raise(SIGHUP);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, SIGHUP);
    iw_signals_close();
}

/* --- events --------------------------------------------------------------- */

static void same_text(const char *a, const char *b)
{
    assert_int_equal(!a, !b);
    if (a) assert_string_equal(a, b);
}

static void round_trip(const iw_event *event)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *line = iw_event_to_json(event);
    assert_null(strchr(line, '\n'));
    iw_event got;
    void *holder;
    kit_ok(iw_event_from_json(line, &got, &holder, &err));
    assert_int_equal(got.type, event->type);
    same_text(got.detail, event->detail);
    same_text(got.path, event->path);
    same_text(got.subject, event->subject);
    if (event->type != IW_EVENT_RESULT) {
        same_text(got.phase, event->phase);
        same_text(got.unit, event->unit);
        assert_int_equal(got.count, event->count);
        assert_int_equal(got.total, event->total);
        assert_int_equal(got.when, event->when);
    }
    free(holder);
}

static void test_event_json(void **state)
{
    (void)state;
    for (int type = IW_EVENT_PLAN; type <= IW_EVENT_RESULT; type++) {
        round_trip(&(iw_event){.type = (iw_event_type)type});
        round_trip(&(iw_event){.type = (iw_event_type)type,
                               .subject = "numpy/1.26.4",
                               .phase = "compile",
                               .detail = "a \"quoted\" \\ line\n\t\033[1m \xc3\xa9",
                               .path = "/l o g",
                               .unit = "B",
                               .count = UINT64_MAX,
                               .total = 1ull << 62,
                               .when = 5});
        round_trip(&(iw_event){.type = (iw_event_type)type, .detail = ""});
    }
    kit_equal(iw_event_to_json(&(iw_event){.type = IW_EVENT_LINE, .detail = "caf\xe9 \xff"}),
              "{\"type\":\"line\",\"detail\":\"caf? ?\"}");
    kit_equal(iw_event_to_json(&(iw_event){
                  .type = IW_EVENT_RESULT, .path = "b.tar.zst", .detail = "ab", .part = "cd"}),
              "{\"type\":\"result\",\"bundle\":\"b.tar.zst\",\"sha256\":\"ab\",\"tar_sha256\":"
              "\"cd\"}");
    kit_equal(
        iw_event_to_json(&(iw_event){
            .type = IW_EVENT_RESULT, .path = "b", .detail = "ab", .subject = "b.report.html"}),
        "{\"type\":\"result\",\"bundle\":\"b\",\"sha256\":\"ab\",\"report\":\"b.report.html\"}");
}

static void test_event_bad(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_event event;
    void *holder = (void *)1;
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "3",
                                      "{\"type\":3}",
                                      "{\"type\":\"other\"}",
                                      "{}",
                                      "\"line\"",
                                      "{\"type\":\"line\"} x",
                                      "{\"type\":\"line\",\"detail\":\"\\u0000\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kit_fails(iw_event_from_json(bad[i], &event, &holder, &err), IW_E_FORMAT, "an event");
        assert_null(holder);
    }
    kit_ok(iw_event_from_json("{\"type\":\"line\",\"detail\":[1],\"count\":\"x\",\"when\":{}}",
                              &event, &holder, &err)); /* of wrong types: absent */
    assert_null(event.detail);
    assert_int_equal(event.count, 0);
    free(holder);
}

static void note_event(void *context, const iw_event *event)
{
    *(iw_event *)context = *event;
}

static void test_emit(void **state)
{
    (void)state;
    iw_event seen = {.when = 0};
    iw_sink sink = {note_event, &seen}, deaf = {NULL, NULL};
    iw_emit(NULL, (iw_event){.type = IW_EVENT_NOTE});
    iw_emit(&deaf, (iw_event){.type = IW_EVENT_NOTE});
    iw_emit(&sink, (iw_event){.type = IW_EVENT_STARTED, .subject = "x"});
    assert_true(seen.when > 0);
    assert_string_equal(seen.subject, "x");
    iw_emit(&sink, (iw_event){.type = IW_EVENT_STARTED, .when = 4});
    assert_int_equal(seen.when, 4);
    assert_string_equal(iw_event_name(IW_EVENT_STARTED), "started");
    assert_string_equal(iw_event_name(IW_EVENT_RESULT), "result");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)
/* Stopped by its descriptor, or left to its own end. */
static void test_run_until(void **state)
{
    iw_error err = IW_ERROR_INIT;
    const char *const forever[] = {"sleep", "60", NULL}, *const soon[] = {"sh", "-c", "exit 3",
                                                                          NULL};
    iw_command command = {.argv = forever, .in = -1, .out = -1, .error = -1};
    int ends[2], status = 0;
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    command.argv = soon;
    kit_ok(iw_run_until(&command, ends[0], "waiting", &status, &err));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_int_equal(write(ends[1], "c", 1), 1);
    command.argv = forever;
    kit_fails(iw_run_until(&command, ends[0], "waiting", &status, &err), IW_E_CANCELLED,
              "stopped while waiting");
    assert_int_equal(WTERMSIG(status), SIGTERM);
    close(ends[0]), close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(test_spawn),
        with_folder(test_spawn_fails),
        with_folder(test_inherits_nothing),
        with_folder(test_swapped),
        with_folder(test_closed_standard),
        cmocka_unit_test(test_run_until),
        cmocka_unit_test(test_group_and_death),
        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_guarded_when_parent_dies),
        cmocka_unit_test(test_guard_killed),
        cmocka_unit_test(test_capture),
        cmocka_unit_test(test_capture_grandchild),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_event_json),
        cmocka_unit_test(test_event_bad),
        cmocka_unit_test(test_emit),
    };
    return cmocka_run_group_tests_name("base processes", tests, NULL, NULL);
}
