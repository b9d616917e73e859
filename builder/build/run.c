/* Running what a sandbox describes: output to log and lines, cancel, timeout, network reports. */
#include "build/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/process.h"
#include "wrap/network.h"

#define STATUS_LIMIT 4096 /* bytes of bwrap's own report */
#define TAIL_LIMIT 2048   /* of its last output, for the message where it failed itself */
#define DRAIN_SECONDS 5.0 /* for output of what has just been killed */

typedef struct run {
    const iw_sandbox_watch *watch;
    iw_sandbox_result *result;
    pid_t pid; /* the guard's: bwrap, killed before its child has heard a word of it, leaves that
                  one waiting for ever */
    bool host; /* no bwrap */
    bool reaped, killed;
    int wait_status;
    int pidfd;          /* readable when the child has ended; -1: the kernel has none */
    int output, report; /* read ends; -1 once closed */
    int socket;         /* iw-init hands the filter's descriptor out over it; -1 before and after */
    int listener;       /* that descriptor; -1 */
    double start, deadline, drain;
    iw_buffer line, tail, status;
    iw_error *err;
} run;

/* --- output --------------------------------------------------------------- */

static void end_line(run *r)
{
    if (r->line.length && r->watch->line) r->watch->line(r->watch->context, r->line.data);
    iw_buffer_clear(&r->line);
}

/* A line ends at a newline or carriage return; what is beyond IW_SANDBOX_LINE bytes stays in the
 * log only. NUL becomes a space. */
static void split_lines(run *r, const char *data, size_t length)
{
    while (length) {
        size_t part = 0;
        while (part < length && data[part] != '\n' && data[part] != '\r' && data[part] != '\0')
            part++;
        size_t room = r->line.length < IW_SANDBOX_LINE ? IW_SANDBOX_LINE - r->line.length : 0;
        iw_buffer_add(&r->line, data, part < room ? part : room);
        if (part == length) return;
        if (data[part] == '\0') iw_buffer_add_char(&r->line, ' ');
        else end_line(r);
        data += part + 1;
        length -= part + 1;
    }
}

static void keep_tail(run *r, const char *data, size_t length)
{
    if (length > TAIL_LIMIT) {
        data += length - TAIL_LIMIT;
        length = TAIL_LIMIT;
    }
    if (r->tail.length + length > TAIL_LIMIT) {
        size_t drop = r->tail.length + length - TAIL_LIMIT;
        memmove(r->tail.data, r->tail.data + drop, r->tail.length - drop);
        r->tail.length -= drop;
    }
    iw_buffer_add(&r->tail, data, length);
}

/* Reads what is there. Returns false at the end. */
static int read_output(run *r, bool *more)
{
    char data[65536];
    ssize_t got = read(r->output, data, sizeof data);
    *more = true;
    if (got < 0) {
        if (errno == EINTR || errno == EAGAIN) return 0;
        return iw_fail_errno(r->err, IW_E_IO, "reading a build step's output");
    }
    if (got == 0) {
        *more = false;
        return 0;
    }
    if (r->watch->log >= 0 &&
        iw_write_all(r->watch->log, data, (size_t)got, "the log of a build step", r->err))
        return -1;
    keep_tail(r, data, (size_t)got);
    split_lines(r, data, (size_t)got);
    return 0;
}

static void read_report(run *r)
{
    char data[512];
    ssize_t got = read(r->report, data, sizeof data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
        close(r->report);
        r->report = -1;
    } else if (r->status.length < STATUS_LIMIT) iw_buffer_add(&r->status, data, (size_t)got);
}

/* --- the network filter --------------------------------------------------- */

static void on_network(void *context, const char *what)
{
    run *r = context;
    r->result->network = true;
    if (r->watch->network) r->watch->network(r->watch->context, what);
}

static void close_now(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int take_listener(run *r)
{
    int status = iw_network_receive(r->socket, &r->listener, r->err);
    close_now(&r->socket);
    return status;
}

static void serve_network(run *r, short events)
{
    if (!(events & POLLIN) || !iw_network_handle(r->listener, on_network, r))
        close_now(&r->listener);
}

/* --- ending --------------------------------------------------------------- */

static void kill_all(run *r)
{
    if (r->killed) return;
    r->killed = true;
    r->drain = iw_now() + DRAIN_SECONDS;
    if (r->reaped) return;
    kill(r->pid, SIGTERM); /* the guard's; it kills bwrap and all below it */
}

static int reap(run *r)
{
    if (r->reaped) return 0;
    if (iw_wait(r->pid, &r->wait_status, r->err)) return -1;
    r->reaped = true;
    r->drain = iw_now() + DRAIN_SECONDS;
    return 0;
}

static bool exit_code(const run *r, int *code)
{
    const char *at = r->status.data ? strstr(r->status.data, "\"exit-code\"") : NULL;
    if (!at) return false;
    at = strchr(at, ':');
    if (!at) return false;
    *code = (int)strtol(at + 1, NULL, 10);
    return true;
}

static int conclude(run *r)
{
    r->result->seconds = iw_now() - r->start;
    int code = 0;
    if (r->killed) r->result->status = r->wait_status;
    else if (r->host)
        r->result->status =
            WIFSIGNALED(r->wait_status) ? (128 + WTERMSIG(r->wait_status)) << 8 : r->wait_status;
    else if (exit_code(r, &code)) r->result->status = (code & 0xff) << 8;
    else {
        iw_cleanup_free char *how = iw_status_text(r->wait_status);
        if (WIFSIGNALED(r->wait_status))
            return iw_fail(
                r->err, IW_E_ENVIRONMENT,
                "the sandbox was ended from outside (%s); the same command starts it again", how);
        return iw_fail(r->err, IW_E_ENVIRONMENT, "the sandbox could not be started (%s): %s", how,
                       r->tail.length ? r->tail.data : "no output");
    }
    return 0;
}

/* --- the loop ------------------------------------------------------------- */

static int poll_timeout(const run *r)
{
    double until = r->deadline;
    if ((r->killed || r->reaped) && (until <= 0 || r->drain < until)) until = r->drain;
    if (until <= 0) return r->pidfd < 0 ? 200 : -1;
    double left = (until - iw_now()) * 1000.0;
    if (left < 0) return 0;
    if (left > 60000) left = 60000;
    return (int)left + 1;
}

static void check_time(run *r)
{
    if (!r->reaped && !r->killed && r->deadline > 0 && iw_now() >= r->deadline) {
        r->result->timed_out = true;
        kill_all(r);
    }
}

static int step(run *r, bool *ended)
{
    struct pollfd fds[6] = {{r->output, POLLIN, 0},
                            {r->report, POLLIN, 0},
                            {r->reaped ? -1 : r->pidfd, POLLIN, 0},
                            {r->killed ? -1 : r->watch->cancel, POLLIN, 0},
                            {r->socket, POLLIN, 0},
                            {r->listener, POLLIN, 0}};
    if (poll(fds, 6, poll_timeout(r)) < 0 && errno != EINTR)
        return iw_fail_errno(r->err, IW_E_IO, "waiting for a build step");
    if (fds[0].revents) {
        bool more;
        if (read_output(r, &more)) return -1;
        if (!more) {
            close(r->output);
            r->output = -1;
        }
    }
    if (fds[1].revents) read_report(r);
    if (fds[3].revents) {
        r->result->cancelled = true;
        kill_all(r);
    }
    if (fds[5].revents) serve_network(r, fds[5].revents);
    if (fds[4].revents && take_listener(r)) return -1;
    check_time(r);
    if (fds[2].revents || (r->pidfd < 0 && r->output < 0)) {
        if (reap(r)) return -1;
    }
    *ended = r->reaped && ((r->output < 0 && r->report < 0) || iw_now() >= r->drain);
    return 0;
}

static int start(run *r, const iw_sandbox *sandbox, int output, int report, int keep)
{
    r->host = sandbox->host;
    iw_cleanup_strings iw_strings argv = {0};
    iw_cleanup_strings iw_strings plain = {0};
    iw_sandbox inner = *sandbox;
    if (sandbox->init) inner.keep_fd = keep;
    iw_sandbox_arguments(&inner, &plain);
    iw_strings_add(&argv, plain.items[0]);
    if (!sandbox->host) {
        iw_strings_add(&argv, "--json-status-fd");
        iw_strings_add_format(&argv, "%d", report);
    }
    iw_strings_add_all(&argv, (const char *const *)plain.items + 1);
    const int kept[] = {report, inner.keep_fd, -1};
    static const char *const nothing[] = {NULL}; /* all that is wanted inside is in argv */
    iw_command command = {.argv = (const char *const *)argv.items,
                          .environment = sandbox->host ? sandbox->environment : nothing,
                          .folder = sandbox->host ? sandbox->folder : NULL,
                          .in = sandbox->terminal ? 0 : -1,
                          .out = sandbox->terminal ? 1 : output,
                          .error = sandbox->terminal ? 2 : output,
                          .keep = kept,
                          .own_group = !sandbox->terminal,
                          .guarded = true};
    return iw_spawn(&command, &r->pid, r->err);
}

int iw_sandbox_run(const iw_sandbox *sandbox, const iw_sandbox_watch *watch,
                   iw_sandbox_result *result, iw_error *err)
{
    static const iw_sandbox_watch nothing = {.log = -1, .cancel = -1};
    memset(result, 0, sizeof *result);
    run r = {.watch = watch ? watch : &nothing,
             .result = result,
             .pidfd = -1,
             .output = -1,
             .report = -1,
             .socket = -1,
             .listener = -1,
             .err = err,
             .start = iw_now()};
    int out[2] = {-1, -1}, report[2] = {-1, -1}, network[2] = {-1, -1};
    int status = -1;
    if (pipe2(out, O_CLOEXEC) || pipe2(report, O_CLOEXEC) ||
        (sandbox->init && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, network))) {
        iw_fail_errno(err, IW_E_IO, "making a pipe for a build step");
        goto done;
    }
    if (start(&r, sandbox, out[1], report[1], network[1])) goto done;
    close(out[1]);
    close(report[1]);
    close_now(&network[1]);
    r.output = out[0];
    r.report = report[0];
    r.socket = network[0];
    out[0] = out[1] = report[0] = report[1] = network[0] = -1;
    if (r.watch->timeout > 0) r.deadline = r.start + r.watch->timeout;
    r.pidfd = (int)syscall(SYS_pidfd_open, r.pid, 0);
    for (bool ended = false; !ended;)
        if (step(&r, &ended)) goto done;
    end_line(&r);
    status = conclude(&r);
done:
    if (status && r.pid > 0 && !r.reaped) {
        kill_all(&r);
        iw_wait(r.pid, &r.wait_status, NULL);
    }
    int *all[] = {&out[0],   &out[1],   &report[0], &report[1], &network[0], &network[1],
                  &r.output, &r.report, &r.pidfd,   &r.socket,  &r.listener};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) close_now(all[i]);
    iw_buffer_free(&r.line);
    iw_buffer_free(&r.tail);
    iw_buffer_free(&r.status);
    return status;
}
