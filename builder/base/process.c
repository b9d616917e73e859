#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/guard.h"
#include "base/memory.h"

extern char **environ;

/* --- starting ------------------------------------------------------------- */

static bool is_kept(const iw_command *command, int fd)
{
    for (const int *kept = command->keep; kept && *kept >= 0; kept++)
        if (*kept == fd) return true;
    return false;
}

/* Puts `fd` (-1: /dev/null) at `target`, out of the way of the other two. */
static bool place(int fd, int target)
{
    if (fd < 0) {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0) return false;
    }
    if (fd == target) return fcntl(fd, F_SETFD, 0) == 0;
    return dup2(fd, target) == target;
}

/* Standard descriptors above 2 first, so that dup2 doesn't overwrite one that is still needed. */
static int lift(int fd)
{
    return fd >= 0 && fd < 3 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;
}

/* Ignored ones, too: Python and ourselves ignore SIGPIPE. But what nohup or a script's `&` told
 * this process to ignore stays so below it. */
static void default_signals(void)
{
    for (int number = 1; number < 32; number++) {
        struct sigaction before;
        bool from_outside = number == SIGHUP || number == SIGINT;
        if (from_outside && sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
            continue;
        signal(number, SIG_DFL);
    }
}

static _Noreturn void fail_child(int report)
{
    int sys = errno;
    (void)!write(report, &sys, sizeof sys);
    _exit(127);
}

/* In the child. Only async-signal-safe calls. Reports errno through `report` where it can't exec.
 */
static _Noreturn void child(const iw_command *command, const char *path, pid_t parent, int report)
{
    sigset_t none;
    sigemptyset(&none);
    if (command->own_group) setpgid(0, 0);
    if (command->guarded) {
        iw_guard_prepare(parent);
        parent = getpid();
        pid_t program = fork();
        if (program < 0) fail_child(report);
        if (program > 0) iw_guard(program);
    }
    if (command->die_with_parent || command->guarded) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
    }
    int in = lift(command->in), out = lift(command->out), error = lift(command->error);
    bool fine = place(in, 0) && place(out, 1) && place(error, 2);
    default_signals();
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (const int *kept = command->keep; fine && kept && *kept >= 0; kept++)
        fine = fcntl(*kept, F_SETFD, 0) == 0;
    if (fine && command->folder) fine = chdir(command->folder) == 0;
    char *const *environment =
        command->environment ? (char *const *)(uintptr_t)command->environment : environ;
    if (fine) execve(path, (char *const *)(uintptr_t)command->argv, environment);
    fail_child(report);
}

char *iw_find_program(const char *name)
{
    if (strchr(name, '/')) return iw_strdup(name);
    const char *path = getenv("PATH");
    iw_slice rest = iw_slice_of(path ? path : "/usr/local/bin:/usr/bin:/bin"), part;
    while (iw_slice_next(&rest, ':', &part)) {
        if (part.length == 0 || part.data[0] != '/') continue; /* never from the working folder */
        char *candidate = iw_format("%.*s/%s", (int)part.length, part.data, name);
        struct stat status;
        if (stat(candidate, &status) == 0 && S_ISREG(status.st_mode) &&
            access(candidate, X_OK) == 0)
            return candidate;
        free(candidate);
    }
    return NULL;
}

/* The pipe through which the child reports a failed exec, its write end where the child puts
 * nothing of its own. */
static int open_report(const iw_command *command, int report[2], iw_error *err)
{
    if (pipe2(report, O_CLOEXEC) != 0)
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make a pipe");
    while (report[1] < 3 || is_kept(command, report[1])) {
        int other = fcntl(report[1], F_DUPFD_CLOEXEC, report[1] + 3);
        int sys = errno;
        close(report[1]);
        report[1] = other;
        if (other >= 0) continue;
        close(report[0]);
        errno = sys;
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make a pipe");
    }
    return 0;
}

/* Signals wait until the child has given up this process's handlers: else they would write into its
 * pipe a second time. */
static pid_t fork_child(const iw_command *command, const char *path, int report)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid(), made = fork();
    if (made == 0) child(command, path, parent, report);
    int sys = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = sys;
    return made;
}

int iw_spawn(const iw_command *command, pid_t *pid, iw_error *err)
{
    *pid = -1;
    if (iw_fault(IW_FAULT_SPAWN))
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't start %s", command->argv[0]);
    iw_cleanup_free char *path = iw_find_program(command->argv[0]);
    if (!path)
        return iw_fail(err, IW_E_ENVIRONMENT, "program not found: %s (see: ironwheel doctor)",
                       command->argv[0]);
    int report[2];
    if (open_report(command, report, err) != 0) return -1;
    pid_t made = fork_child(command, path, report[1]);
    int sys = made < 0 ? errno : 0;
    close(report[1]);
    ssize_t got = 0;
    if (made > 0) do
            got = read(report[0], &sys, sizeof sys);
        while (got < 0 && errno == EINTR);
    close(report[0]);
    if (made > 0 && got <= 0) {
        *pid = made;
        return 0;
    }
    if (made > 0)
        while (waitpid(made, NULL, 0) < 0 && errno == EINTR) continue;
    errno = sys;
    return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't start %s", path);
}

int iw_wait(pid_t pid, int *status, iw_error *err)
{
    while (waitpid(pid, status, 0) != pid)
        if (errno != EINTR)
            return iw_fail_errno(err, IW_E_IO, "can't wait for process %d", (int)pid);
    return 0;
}

int iw_run_until(const iw_command *command, int cancel, const char *what, int *status,
                 iw_error *err)
{
    pid_t pid;
    if (iw_spawn(command, &pid, err) != 0) return -1;
    iw_cleanup_fd int ended = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd polled[2] = {{ended, POLLIN, 0}, {cancel, POLLIN, 0}};
    while (ended >= 0 && poll(polled, 2, -1) < 0 && errno == EINTR) continue;
    bool stopped = polled[1].revents && !polled[0].revents;
    if (stopped) kill(pid, SIGTERM);
    if (iw_wait(pid, status, err) != 0) return -1;
    return stopped ? iw_fail(err, IW_E_CANCELLED, "stopped while %s", what) : 0;
}

/* --- capture -------------------------------------------------------------- */

struct stream {
    int fd;
    iw_buffer text;
    size_t limit;
    bool keep_end, over;
};

/* Beyond its limit, standard error keeps its end (that tells why), standard output its start. */
static void take(struct stream *stream, const char *data, size_t length)
{
    size_t room = stream->limit - stream->text.length;
    if (length > room) stream->over = true;
    if (length > room && stream->keep_end) {
        size_t half = stream->text.length / 2;
        memmove(stream->text.data, stream->text.data + half, stream->text.length - half);
        stream->text.length -= half;
        room += half;
    }
    iw_buffer_add(&stream->text, data, length < room ? length : room);
}

static void drain(struct stream *stream)
{
    char part[16384];
    ssize_t got = read(stream->fd, part, sizeof part);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
        close(stream->fd);
        stream->fd = -1;
        return;
    }
    take(stream, part, (size_t)got);
}

/* Reads both to their ends. A program that prints more than was allowed is stopped, and listened to
 * no longer: its children may go on. */
static void drain_both(struct stream streams[2], pid_t pid)
{
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        struct pollfd polled[2] = {{streams[0].fd, POLLIN, 0}, {streams[1].fd, POLLIN, 0}};
        if (poll(polled, 2, -1) < 0) continue;
        for (int i = 0; i < 2; i++)
            if (polled[i].revents) drain(&streams[i]);
        if (!streams[0].over) continue;
        kill(pid, SIGKILL);
        for (int i = 0; i < 2; i++) iw_close_fd(&streams[i].fd);
    }
}

static const char *last_part(const char *text, size_t length)
{
    return length > 2000 ? text + length - 2000 : text;
}

int iw_run_capture(const char *const *argv, const char *const *environment, size_t limit,
                   char **out, size_t *length, iw_error *err)
{
    if (out) *out = NULL;
    int pipes[2][2];
    if (pipe2(pipes[0], O_CLOEXEC) != 0)
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make a pipe");
    if (pipe2(pipes[1], O_CLOEXEC) != 0) {
        close(pipes[0][0]), close(pipes[0][1]);
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make a pipe");
    }
    iw_command command = {.argv = argv,
                          .environment = environment,
                          .in = -1,
                          .out = pipes[0][1],
                          .error = pipes[1][1],
                          .die_with_parent = true};
    pid_t pid;
    int spawned = iw_spawn(&command, &pid, err), status = 0;
    close(pipes[0][1]), close(pipes[1][1]);
    if (spawned != 0) {
        close(pipes[0][0]), close(pipes[1][0]);
        return -1;
    }
    struct stream streams[2] = {{.fd = pipes[0][0], .limit = limit},
                                {.fd = pipes[1][0], .limit = 1 << 20, .keep_end = true}};
    drain_both(streams, pid);
    int result = iw_wait(pid, &status, err);
    if (result == 0 && streams[0].over) {
        result = iw_fail(err, IW_E_FORMAT, "%s printed more than %zu bytes", argv[0], limit);
    } else if (result == 0 && status != 0) {
        iw_cleanup_free char *how = iw_status_text(status);
        const char *said =
            streams[1].text.length ? last_part(streams[1].text.data, streams[1].text.length) : "";
        iw_slice trimmed = iw_slice_trim(iw_slice_of(said));
        result = iw_fail(err, IW_E_IO, "%s ended with %s%s%.*s", argv[0], how,
                         trimmed.length ? ": " : "", (int)trimmed.length, trimmed.data);
    }
    if (result == 0 && length) *length = streams[0].text.length;
    if (result == 0 && out) *out = iw_buffer_take(&streams[0].text);
    iw_buffer_free(&streams[0].text);
    iw_buffer_free(&streams[1].text);
    return result;
}

char *iw_status_text(int status)
{
    if (WIFSIGNALED(status))
        return iw_format("signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return iw_format("exit status %d", WEXITSTATUS(status));
}

/* --- signals -------------------------------------------------------------- */

/* The one file-global state of `base` that the program writes: a handler has no argument to carry a
 * descriptor in, and signals belong to the process anyway. Written before the handlers are set, and
 * after they are gone. */
static int signal_pipe[2] = {-1, -1};
static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGWINCH};

static void on_signal(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    (void)!write(signal_pipe[1], &byte, 1);
    errno = saved;
}

int iw_signals_open(int *fd, iw_error *err)
{
    *fd = -1;
    if (signal_pipe[0] >= 0) return iw_fail(err, IW_E_ENVIRONMENT, "signals are taken already");
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make a pipe for signals");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        struct sigaction before;
        bool from_terminal = handled[i] == SIGHUP || handled[i] == SIGINT;
        if (from_terminal && sigaction(handled[i], NULL, &before) == 0 &&
            before.sa_handler == SIG_IGN)
            continue;
        sigaction(handled[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    *fd = signal_pipe[0];
    return 0;
}

void iw_signals_close(void)
{
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        struct sigaction before;
        if (sigaction(handled[i], NULL, &before) == 0 && before.sa_handler == on_signal)
            signal(handled[i], SIG_DFL);
    }
    for (int i = 0; i < 2; i++) {
        if (signal_pipe[i] >= 0) close(signal_pipe[i]);
        signal_pipe[i] = -1;
    }
}
