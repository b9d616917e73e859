#include "wrap/real.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"

/* Bytes of arguments above which the real tool gets a response file: execve takes 2 MiB with the
 * environment, and collect2 repeats them. Where the caller had reason for one, so have the tools
 * that the driver starts. */
#define ARGUMENTS_LIMIT 1000000
#define EXPANDED_LIMIT 65536
#define ARGUMENT_LIMIT 131000 /* one argument, execve(2) */

_Noreturn void iw_real_fail(const char *name, const char *text)
{
    fprintf(stderr, "%s: %s\n", name, text);
    exit(1);
}

/* --- response files ------------------------------------------------------- */

static bool needs_response(const iw_real *real, const iw_strings *argv)
{
    size_t total = 0;
    for (size_t i = 0; i < argv->count; i++) {
        size_t length = strlen(argv->items[i]);
        if (length > ARGUMENT_LIMIT) return true;
        total += length + 9;
        /* rustc reads one argument a line, without quoting. */
        if (real->kind == IW_TOOL_RUST && strchr(argv->items[i], '\n')) return false;
    }
    return total >= (real->expanded ? EXPANDED_LIMIT : ARGUMENTS_LIMIT);
}

static void add_quoted(iw_buffer *text, const char *argument)
{
    iw_buffer_add_char(text, '"');
    for (const char *c = argument; *c; c++) {
        if (*c == '"' || *c == '\\') iw_buffer_add_char(text, '\\');
        iw_buffer_add_char(text, *c);
    }
    iw_buffer_add_text(text, "\"\n");
}

/* In memory, so that nothing stays behind. The descriptor stays open for the tool, and for those it
 * starts. Caller frees the name. */
static char *write_response(const iw_real *real, const iw_strings *argv)
{
    iw_cleanup_buffer iw_buffer text = {0};
    for (size_t i = 0; i < argv->count; i++) {
        if (real->kind == IW_TOOL_RUST) iw_buffer_add_format(&text, "%s\n", argv->items[i]);
        else add_quoted(&text, argv->items[i]);
    }
    int fd = memfd_create("arguments", 0);
    if (fd < 0 || iw_write_all(fd, text.data, text.length, "memory", NULL) != 0)
        iw_real_fail(real->name, "can't hand on the arguments");
    return iw_format("@/proc/self/fd/%d", fd);
}

/* --- the tool ------------------------------------------------------------- */

/* argv[0]: gcc finds its parts from where it believes to stand. Caller frees. */
static char *stands_at(const iw_real *real, const char *path)
{
    char target[4096];
    ssize_t length = real->links ? readlink(path, target, sizeof target - 1) : -1;
    if (length <= 0) return iw_format("/usr/bin/%s", real->name);
    target[length] = '\0';
    return iw_strdup(target);
}

_Noreturn void iw_real_exec(const iw_real *real, const iw_strings *argv)
{
    iw_cleanup_free char *path =
        real->path
            ? iw_strdup(real->path)
            : iw_format("%s/%s", real->folder ? real->folder : "/usr/libexec/iw-real", real->name);
    iw_strings command = {0};
    iw_cleanup_free char *stand = real->path ? iw_strdup(path) : stands_at(real, path);
    iw_strings_add(&command, stand);
    if (needs_response(real, argv)) {
        iw_cleanup_free char *response = write_response(real, argv);
        iw_strings_add(&command, response);
    } else {
        iw_strings_add_all(&command, (const char *const *)argv->items);
    }
    /* What nvcc has gcc compile has names of this one run. */
    if (real->kind == IW_TOOL_NVCC) unsetenv("IRONWHEEL_OBJECTS");
    else setenv("IRONWHEEL_SLOT", "1", 1);
    execv(path, command.items);
    fprintf(stderr, "%s: can't start the real tool %s: %s\n", real->name, path, strerror(errno));
    _exit(127);
}

static void copy_said(int fd, iw_buffer *said)
{
    char part[8192];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        (void)!iw_write_all(2, part, (size_t)got, "standard error", NULL);
        if (said->length < IW_SAID_LIMIT) iw_buffer_add(said, part, (size_t)got);
    }
    close(fd);
}

int iw_real_run(const iw_real *real, const iw_strings *argv, iw_buffer *said, long *peak_kib)
{
    int said_pipe[2];
    if (pipe2(said_pipe, O_CLOEXEC) != 0) iw_real_fail(real->name, strerror(errno));
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) iw_real_fail(real->name, strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
        dup2(said_pipe[1], 2);
        iw_real_exec(real, argv);
    }
    close(said_pipe[1]);
    copy_said(said_pipe[0], said);
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0)
        if (errno != EINTR) iw_real_fail(real->name, strerror(errno));
    *peak_kib = usage.ru_maxrss;
    return status;
}

/* --- slots ---------------------------------------------------------------- */

int iw_slot_take(const char *kind)
{
    const char *path = getenv("IRONWHEEL_BROKER");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path) path = "/run/ironwheel/broker";
    if (getenv("IRONWHEEL_SLOT") || strlen(path) >= sizeof address.sun_path) return -1;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    char message[64], answer[16];
    int length = snprintf(message, sizeof message, "want %s 0", kind);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, message, (size_t)length, MSG_NOSIGNAL) != length ||
        recv(fd, answer, sizeof answer, 0) <= 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void iw_slot_give(int fd, long peak_kib)
{
    if (fd < 0) return;
    char message[64];
    int length = snprintf(message, sizeof message, "used %ld", (peak_kib + 1023) / 1024);
    (void)!send(fd, message, (size_t)length, MSG_NOSIGNAL);
    close(fd);
}
