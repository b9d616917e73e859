/* iw-trace: runs a command under qemu-user and keeps its children there too.
 *
 * qemu-user emulates one program: when that program calls execve, the kernel starts the new one
 * natively, on this host's CPU, and a check of "does it run on a Phenom" silently stops checking.
 * So every execve below us is stopped (seccomp RET_TRACE, ptrace(2)) and its arguments are
 * rewritten to start the emulator with the program as its argument, as binfmt_misc would, but
 * without root and without touching the host. Scripts are resolved to their interpreter here, as
 * qemu-user can't load them.
 *
 * usage: iw-trace [--cpu-files FOLDER] EMULATOR CPU-MODEL COMMAND [ARGUMENT…]
 * --cpu-files: /proc/cpuinfo and /sys/devices/system/cpu are shown as iw-cpu wrote them there.
 * Exit status: the command's; 128 + signal where one ended it; 125 where tracing itself failed. */
#include "emulate/trace_files.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE_FAILED 125
#define MAX_ARGUMENTS 65536
#define MAX_SCRIPT_DEPTH 5

/* What each traced process runs, so that an exec of /proc/self/exe finds the program and not the
 * emulator. */
struct guest {
    pid_t pid;
    char *program; /* may be NULL: not known yet */
    bool shown;    /* its call was given one of the CPU's files; then: */
    struct user_regs_struct before;
};

struct tracer {
    const char *emulator, *model;
    const char *files; /* folder of the CPU's files, or NULL */
    struct guest *guests;
    size_t count, capacity;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "iw-trace: %s: %s\n", what, strerror(errno));
    exit(TRACE_FAILED);
}

static struct guest *guest_of(struct tracer *tracer, pid_t pid)
{
    for (size_t i = 0; i < tracer->count; i++)
        if (tracer->guests[i].pid == pid) return &tracer->guests[i];
    if (tracer->count == tracer->capacity) {
        tracer->capacity = tracer->capacity ? tracer->capacity * 2 : 64;
        tracer->guests = realloc(tracer->guests, tracer->capacity * sizeof *tracer->guests);
        if (!tracer->guests) die("out of memory");
    }
    tracer->guests[tracer->count] = (struct guest){.pid = pid};
    return &tracer->guests[tracer->count++];
}

static void guest_set(struct tracer *tracer, pid_t pid, const char *program)
{
    struct guest *guest = guest_of(tracer, pid);
    char *copy = program ? strdup(program) : NULL;
    free(guest->program);
    guest->program = copy;
}

static void guest_forget(struct tracer *tracer, pid_t pid)
{
    for (size_t i = 0; i < tracer->count; i++) {
        if (tracer->guests[i].pid != pid) continue;
        free(tracer->guests[i].program);
        tracer->guests[i] = tracer->guests[--tracer->count];
        return;
    }
}

/* --- what a file is ------------------------------------------------------- */

enum kind { KIND_OTHER, KIND_ELF, KIND_SCRIPT, KIND_UNREADABLE };

/* Path as this process sees it: relative ones start at the tracee's working folder. */
static void path_from_here(pid_t pid, const char *path, char out[PATH_MAX + 64])
{
    if (path[0] == '/') snprintf(out, PATH_MAX + 64, "%s", path);
    else snprintf(out, PATH_MAX + 64, "/proc/%d/cwd/%s", (int)pid, path);
}

static enum kind classify(pid_t pid, const char *path, char head[256])
{
    char here[PATH_MAX + 64];
    path_from_here(pid, path, here);
    if (access(here, X_OK) != 0) return KIND_OTHER;
    int fd = open(here, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return KIND_UNREADABLE; /* the kernel could run it: natively */
    memset(head, 0, 256);
    ssize_t got = read(fd, head, 255);
    close(fd);
    if (got >= 20 && memcmp(head, ELFMAG, SELFMAG) == 0 && head[EI_CLASS] == ELFCLASS64)
        return KIND_ELF;
    if (got >= 3 && head[0] == '#' && head[1] == '!') return KIND_SCRIPT;
    return KIND_OTHER;
}

/* "#! interpreter [one argument]": both point into `line`; `argument` is NULL where there is none
 * (execve(2)). */
static char *script_interpreter(char line[256], char **argument)
{
    char *end = strchr(line, '\n');
    if (end) *end = 0;
    char *interpreter = line + 2 + strspn(line + 2, " \t");
    char *rest = interpreter + strcspn(interpreter, " \t");
    *argument = NULL;
    if (*rest) {
        *rest++ = 0;
        rest += strspn(rest, " \t");
        size_t length = strlen(rest);
        while (length && (rest[length - 1] == ' ' || rest[length - 1] == '\t')) rest[--length] = 0;
        if (*rest) *argument = rest;
    }
    return *interpreter ? interpreter : NULL;
}

/* --- rewriting one execve ------------------------------------------------- */

/* Strings and pointers that are written below the tracee's stack pointer. */
struct image {
    char text[4 * PATH_MAX];
    size_t used;
    uint64_t pointers[64]; /* the new leading arguments: offsets into text */
    size_t count;
};

static bool image_add(struct image *image, const char *text)
{
    size_t length = strlen(text) + 1;
    if (image->used + length > sizeof image->text || image->count == 64) return false;
    memcpy(image->text + image->used, text, length);
    image->pointers[image->count++] = image->used;
    image->used += length;
    return true;
}

/* The leading arguments that take the place of argv[0]: emulator, its options, interpreters of
 * scripts, the program. */
static bool image_make(struct image *image, struct tracer *tracer, pid_t pid, const char *path,
                       const char *argv0, char program[PATH_MAX])
{
    char chain[MAX_SCRIPT_DEPTH * 2][256];
    size_t chained = 0;
    char head[256], name[256] = "";
    snprintf(program, PATH_MAX, "%s", path);
    enum kind kind = classify(pid, program, head);
    for (int depth = 0; kind == KIND_SCRIPT; depth++) {
        char *argument, *interpreter = script_interpreter(head, &argument);
        if (!interpreter || depth == MAX_SCRIPT_DEPTH) return false;
        snprintf(chain[chained++], 256, "%s", argument ? argument : "");
        char next[256];
        snprintf(next, sizeof next, "%s", interpreter);
        /* The script itself: `path` for the first; later ones are interpreters, whose names came
         * from a line of 256 bytes. */
        memcpy(chain[chained++], name, sizeof name);
        snprintf(name, sizeof name, "%s", interpreter);
        snprintf(program, PATH_MAX, "%s", name);
        kind = classify(pid, program, head);
    }
    if (kind != KIND_ELF) return false;
    if (!image_add(image, tracer->emulator) || !image_add(image, "-cpu") ||
        !image_add(image, tracer->model) || !image_add(image, "-0") ||
        !image_add(image, chained ? program : argv0) || !image_add(image, program))
        return false;
    for (size_t i = chained; i >= 2; i -= 2) {
        const char *argument = chain[i - 2], *script = chain[i - 1];
        if (*argument && !image_add(image, argument)) return false;
        if (!image_add(image, *script ? script : path)) return false;
    }
    return true;
}

/* Number of pointers before the NULL, or -1. */
static long count_arguments(pid_t pid, uint64_t argv)
{
    for (long i = 0; i < MAX_ARGUMENTS; i++) {
        uint64_t pointer;
        if (!iw_trace_peek(pid, argv + (uint64_t)i * 8, &pointer, 8)) return -1;
        if (!pointer) return i;
    }
    return -1;
}

/* Writes the image and a new argv below the stack and points the system call's registers at them.
 */
static bool install(pid_t pid, struct user_regs_struct *regs, const struct image *image,
                    long old_count)
{
    size_t kept = old_count > 1 ? (size_t)old_count - 1 : 0;
    size_t pointers = image->count + kept + 1;
    size_t total = ((image->used + 15) & ~(size_t)15) + pointers * 8;
    uint64_t base = (regs->rsp - 512 - total) & ~(uint64_t)15;
    uint64_t table = base + ((image->used + 15) & ~(size_t)15);
    uint64_t *argv = calloc(pointers, 8);
    if (!argv) return false;
    for (size_t i = 0; i < image->count; i++) argv[i] = base + image->pointers[i];
    bool fine = kept == 0 || iw_trace_peek(pid, regs->rsi + 8, argv + image->count, kept * 8);
    fine = fine && iw_trace_poke(pid, base, image->text, image->used) &&
           iw_trace_poke(pid, table, argv, pointers * 8);
    free(argv);
    if (!fine) return false;
    regs->rdi = base; /* the first string is the emulator's path */
    regs->rsi = table;
    return ptrace(PTRACE_SETREGS, pid, NULL, regs) == 0;
}

/* Turns the system call into one that can't succeed: better a plain failure than a program that
 * runs natively unseen. `sys` is the errno; never ENOEXEC, at which a shell takes the file for its
 * own script: one that begins with a missing interpreter would end with 0. */
static void refuse(pid_t pid, struct user_regs_struct *regs, const char *path, const char *why,
                   int sys)
{
    fprintf(stderr, "iw-trace: can't keep %s under emulation (%s): refused\n", path, why);
    regs->orig_rax = (unsigned long long)-1;
    regs->rax = (unsigned long long)-(long long)sys;
    ptrace(PTRACE_SETREGS, pid, NULL, regs);
}

static void on_exec(struct tracer *tracer, pid_t pid)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) return;
    char path[PATH_MAX], argv0[PATH_MAX] = "";
    if (!iw_trace_peek_string(pid, regs.rdi, path)) return; /* EFAULT from the kernel */
    if (strcmp(path, tracer->emulator) == 0) return;        /* our own first one */
    const struct guest *guest = guest_of(tracer, pid);
    char own[64];
    snprintf(own, sizeof own, "/proc/%d/exe", (int)pid);
    if (guest->program && (strcmp(path, "/proc/self/exe") == 0 || strcmp(path, own) == 0))
        snprintf(path, sizeof path, "%s", guest->program);
    long count = regs.rsi ? count_arguments(pid, regs.rsi) : 0;
    uint64_t first = 0;
    if (count > 0 &&
        (!iw_trace_peek(pid, regs.rsi, &first, 8) || !iw_trace_peek_string(pid, first, argv0)))
        return;
    char here[PATH_MAX + 64];
    path_from_here(pid, path, here);
    if (count < 0 || access(here, X_OK) != 0) return; /* the kernel's own error is right */
    struct image image = {.used = 0, .count = 0};
    char program[PATH_MAX];
    if (!image_make(&image, tracer, pid, path, argv0, program)) {
        char head[256];
        if (classify(pid, path, head) != KIND_OTHER) {
            path_from_here(pid, program, here); /* the last interpreter that was looked at */
            refuse(pid, &regs, path, "unusable interpreter",
                   access(here, X_OK) == 0 ? EACCES : errno);
        }
        return; /* no ELF file, no script: ENOEXEC from the kernel */
    }
    if (!install(pid, &regs, &image, count)) refuse(pid, &regs, path, "too many arguments", E2BIG);
    else guest_set(tracer, pid, program);
}

/* --- the loop ------------------------------------------------------------- */

static void filter_exec(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_execve, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_execveat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        die("seccomp filter");
}

static void find_command(const char *name, char out[PATH_MAX])
{
    if (strchr(name, '/')) {
        snprintf(out, PATH_MAX, "%s", name);
        return;
    }
    const char *path = getenv("PATH");
    for (const char *part = path ? path : "/usr/bin:/bin"; *part;) {
        size_t length = strcspn(part, ":");
        snprintf(out, PATH_MAX, "%.*s/%s", (int)length, part, name);
        if (access(out, X_OK) == 0) return;
        part += length + (part[length] == ':');
    }
    errno = ENOENT;
    die(name);
}

/* The child: waits until it is traced, then execs the command; the tracer puts the emulator in
 * front of this execve, too. */
static _Noreturn void start(int traced, bool files, char **command)
{
    char program[PATH_MAX], byte;
    find_command(command[0], program);
    if (read(traced, &byte, 1) != 1) exit(TRACE_FAILED);
    close(traced);
    if (files && iw_trace_filter_files() != 0) die("seccomp filter");
    filter_exec();
    execv(program, command);
    die(program);
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A call that looks a file up, or an execve. */
static void on_call(struct tracer *tracer, pid_t pid)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) return;
    if (regs.orig_rax == __NR_execve) {
        on_exec(tracer, pid);
    } else if (tracer->files) {
        struct user_regs_struct before;
        if (!iw_trace_show_file(pid, tracer->files, &before)) return;
        struct guest *guest = guest_of(tracer, pid);
        guest->shown = true;
        guest->before = before;
    }
}

/* The end of a call that was given another path: its caller's registers are as a call leaves them.
 */
static void after_call(struct tracer *tracer, pid_t pid)
{
    struct guest *guest = guest_of(tracer, pid);
    struct user_regs_struct regs;
    if (!guest->shown || ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) return;
    guest->shown = false;
    regs.rdi = guest->before.rdi;
    regs.rsi = guest->before.rsi;
    ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

/* One stop of one process; returns the signal to deliver. */
static int on_stop(struct tracer *tracer, pid_t pid, int status)
{
    int event = status >> 16, signal = WSTOPSIG(status);
    if (event == PTRACE_EVENT_SECCOMP) {
        on_call(tracer, pid);
        return 0;
    }
    if (event == 0 && signal == (SIGTRAP | 0x80)) {
        after_call(tracer, pid);
        return 0;
    }
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        unsigned long child = 0;
        if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) == 0) {
            char *program = guest_of(tracer, pid)->program;
            char *copy = program ? strdup(program) : NULL;
            guest_set(tracer, (pid_t)child, copy);
            free(copy);
        }
        return 0;
    }
    if (event != 0) return 0;
    return signal;
}

/* Stopped by SIGSTOP and the like, all threads at once (ptrace(2), "Group-stop"). */
static bool is_group_stop(int status)
{
    int signal = WSTOPSIG(status);
    return status >> 16 == PTRACE_EVENT_STOP &&
           (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU);
}

/* Until every process below has ended; returns the exit status of the first one. */
static int trace(struct tracer *tracer, pid_t first)
{
    int result = TRACE_FAILED, status;
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) return result; /* ECHILD */
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            guest_forget(tracer, pid);
            if (pid == first) result = exit_status(status);
        } else if (is_group_stop(status)) {
            ptrace(PTRACE_LISTEN, pid, NULL, 0);
        } else {
            int signal = on_stop(tracer, pid, status);
            ptrace(guest_of(tracer, pid)->shown ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL,
                   (long)signal);
        }
    }
}

int main(int argc, char **argv)
{
    struct tracer tracer = {0};
    if (argc > 2 && strcmp(argv[1], "--cpu-files") == 0) {
        tracer.files = argv[2];
        argc -= 2, argv += 2;
    }
    if (argc < 4) {
        fprintf(stderr, "usage: iw-trace [--cpu-files FOLDER] EMULATOR CPU-MODEL COMMAND "
                        "[ARGUMENT...]\n");
        return TRACE_FAILED;
    }
    tracer.emulator = argv[1], tracer.model = argv[2];
    int traced[2];
    if (pipe2(traced, O_CLOEXEC) != 0) die("pipe");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        close(traced[1]);
        start(traced[0], tracer.files != NULL, argv + 3);
    }
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
    if (ptrace(PTRACE_SEIZE, child, NULL, options) != 0)
        die("can't trace (is ptrace forbidden here, as by yama's ptrace_scope 3?)");
    if (write(traced[1], "", 1) != 1) die("pipe");
    close(traced[0]);
    close(traced[1]);
    return trace(&tracer, child);
}
