#include "base/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range /* of Linux 5.9; glibc 2.31's list of system calls is older */
#define SYS_close_range 436
#endif

void iw_guard_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void iw_guard_prepare(pid_t parent)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    iw_guard_adopt();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
}

/* What this process inherited and never uses: locks and pipes that would stay open as long as it
 * lives. */
static void close_inherited(void)
{
    if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
    for (int fd = 3; fd < 65536; fd++) close(fd);
}

/* Children of this process at this moment, as the kernel lists them (proc(5),
 * /proc/[pid]/task/[tid]/children). */
static void kill_children(void)
{
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    char part[4096];
    pid_t pid = 0;
    for (ssize_t got; (got = read(fd, part, sizeof part)) > 0 || (got < 0 && errno == EINTR);)
        for (ssize_t i = 0; i < got; i++) {
            if (part[i] >= '0' && part[i] <= '9') {
                pid = pid * 10 + (part[i] - '0');
                continue;
            }
            if (pid > 1) kill(pid, SIGKILL);
            pid = 0;
        }
    if (pid > 1) kill(pid, SIGKILL);
    close(fd);
}

/* Whoever loses its parent becomes a child of this process, so that round by round all are reached.
 */
static void end_family(pid_t program, int *status)
{
    static const struct timespec a_moment = {0, 1000000};
    for (;;) {
        kill_children();
        int one;
        pid_t ended = waitpid(-1, &one, WNOHANG);
        if (ended > 0 && ended == program) *status = one;
        if (ended < 0 && errno == ECHILD) return;
        if (ended == 0) nanosleep(&a_moment, NULL);
    }
}

void iw_guard_end_all(void)
{
    int status;
    end_family(-1, &status);
}

static _Noreturn void end_as(int status)
{
    if (!WIFSIGNALED(status)) _exit(WEXITSTATUS(status));
    static const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    int number = WTERMSIG(status);
    signal(number, SIG_DFL);
    sigset_t nothing;
    sigemptyset(&nothing);
    kill(getpid(), number);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    _exit(128 + number);
}

_Noreturn void iw_guard(pid_t program)
{
    close_inherited();
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGTERM);
    int status = SIGKILL; /* as waitpid says "killed" */
    for (bool known = false, stopped = false; !known && !stopped;) {
        stopped = sigwaitinfo(&awaited, NULL) == SIGTERM;
        int one;
        for (pid_t ended; (ended = waitpid(-1, &one, WNOHANG)) > 0;)
            if (ended == program) {
                status = one;
                known = true;
            }
    }
    end_family(program, &status);
    end_as(status);
}
