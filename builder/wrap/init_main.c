/* iw-init: the first process in the sandbox. It puts the network filter on (a seccomp user
 * notification on every call that can name an address), hands the filter's descriptor to the
 * orchestrator, and runs the command.
 *
 * usage: iw-init [--socket FD] -- COMMAND [ARGUMENT…]
 * Exit status: the command's; 128 + signal; 125 where it failed itself. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILED 125

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "iw-init: %s: %s\n", what, strerror(errno));
    exit(FAILED);
}

static void must(int result, const char *what)
{
    if (result >= 0) return;
    errno = -result;
    die(what);
}

/* The default architecture is x86-64 alone: system calls of the 32-bit ABIs, which the rules below
 * don't see, kill the process. io_uring could connect without any of them. */
static int install_filter(void)
{
    static const int watched[] = {SCMP_SYS(connect), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
                                  SCMP_SYS(sendmmsg)};
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    if (!context) die("seccomp");
    must(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "seccomp");
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
        must(seccomp_rule_add(context, SCMP_ACT_NOTIFY, watched[i], 0), "seccomp rule");
    must(seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0),
         "seccomp rule");
    must(seccomp_load(context),
         "seccomp filter (does the kernel have user notifications, Linux 5.5 or newer?)");
    int fd = seccomp_notify_fd(context);
    must(fd, "seccomp notification");
    return fd;
}

/* Before the filter is on, this process can still send; afterwards its own sendmsg would wait for
 * an answer. So a helper process without the filter sends: it shares the descriptor table until
 * then. */
static void hand_out(int socket_fd, int listener)
{
    char byte = 'n', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &listener, sizeof(int));
    if (sendmsg(socket_fd, &message, 0) != 1) die("sending the filter's descriptor");
}

struct sender {
    int socket_fd;
    int ready[2]; /* the number of the descriptor to send, written by the parent */
};

static int run_sender(void *argument)
{
    struct sender *sender = argument;
    int listener;
    if (read(sender->ready[0], &listener, sizeof listener) != sizeof listener) _exit(FAILED);
    hand_out(sender->socket_fd, listener);
    _exit(0);
}

static void set_up_filter(int socket_fd)
{
    struct sender sender = {.socket_fd = socket_fd};
    if (pipe(sender.ready) != 0) die("pipe");
    /* clone with CLONE_FILES: the child sees descriptors that the parent opens later. */
    long child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child < 0) die("clone");
    if (child == 0) run_sender(&sender);
    int listener = install_filter(), status;
    if (write(sender.ready[1], &listener, sizeof listener) != sizeof listener) die("pipe");
    if (waitpid((pid_t)child, &status, 0) != (pid_t)child || status != 0) {
        errno = EPIPE;
        die("sending the filter's descriptor");
    }
    close(listener);
    close(sender.ready[0]);
    close(sender.ready[1]);
    close(socket_fd);
}

/* As the first process it reaps whatever is left to it; when the command ends, so do all others
 * (the pid namespace goes). */
static int wait_for(pid_t command)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) return FAILED;
        if (pid == command) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

int main(int argc, char **argv)
{
    int at = 1, socket_fd = -1;
    if (at + 1 < argc && strcmp(argv[at], "--socket") == 0) {
        socket_fd = atoi(argv[at + 1]);
        at += 2;
    }
    if (at >= argc - 1 || strcmp(argv[at], "--") != 0) {
        fprintf(stderr, "usage: iw-init [--socket FD] -- COMMAND [ARGUMENT...]\n");
        return FAILED;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (socket_fd >= 0) set_up_filter(socket_fd);
    pid_t command = fork();
    if (command < 0) die("fork");
    if (command == 0) {
        execvp(argv[at + 1], argv + at + 1);
        fprintf(stderr, "iw-init: can't start %s: %s\n", argv[at + 1], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }
    return wait_for(command);
}
