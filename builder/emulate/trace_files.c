#include "emulate/trace_files.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

bool iw_trace_peek(pid_t pid, uint64_t address, void *out, size_t length)
{
    struct iovec local = {out, length}, remote = {(void *)(uintptr_t)address, length};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)length;
}

bool iw_trace_poke(pid_t pid, uint64_t address, const void *data, size_t length)
{
    struct iovec local = {(void *)(uintptr_t)data, length},
                 remote = {(void *)(uintptr_t)address, length};
    return process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)length;
}

/* Reads up to page ends, so that a string at the end of a mapping works. */
bool iw_trace_peek_string(pid_t pid, uint64_t address, char *out)
{
    size_t length = 0;
    while (length < PATH_MAX) {
        size_t part = 4096 - (size_t)((address + length) & 4095);
        if (part > PATH_MAX - length) part = PATH_MAX - length;
        if (!iw_trace_peek(pid, address + length, out + length, part)) return false;
        if (memchr(out + length, 0, part)) return true;
        length += part;
    }
    return false;
}

/* --- which calls ---------------------------------------------------------- */

/* `at`: a folder's descriptor comes before the path. */
static const struct {
    long number;
    bool at;
} calls[] = {
    {SYS_open, false},
    {SYS_openat, true},
    {SYS_access, false},
    {SYS_faccessat, true},
    {SYS_stat, false},
    {SYS_lstat, false},
    {SYS_newfstatat, true},
    {SYS_statx, true},
    {SYS_readlink, false},
    {SYS_readlinkat, true},
    {439 /* faccessat2 */, true},
};
#define CALL_COUNT (sizeof calls / sizeof *calls)

int iw_trace_filter_files(void)
{
    struct sock_filter code[CALL_COUNT + 3];
    size_t count = 0;
    code[count++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALL_COUNT; i++)
        code[count++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (__u32)calls[i].number,
                                         (__u8)(CALL_COUNT - i), 0);
    code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {(unsigned short)count, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* --- which paths ---------------------------------------------------------- */

/* "a//b/./c/../d" to "/a/b/d", in place; `path` is absolute. */
static void clean(char *path)
{
    char *out = path;
    for (char *at = path; *at;) {
        size_t length = strcspn(++at, "/");
        if (length == 2 && memcmp(at, "..", 2) == 0)
            while (out > path && *--out != '/') continue;
        else if (length && !(length == 1 && *at == '.')) {
            *out++ = '/';
            memmove(out, at, length);
            out += length;
        }
        at += length;
    }
    if (out == path) *out++ = '/';
    *out = '\0';
}

/* Where the path leads, from the folder that it starts at. */
static bool make_absolute(pid_t pid, int folder, const char *path, char out[2 * PATH_MAX])
{
    if (path[0] == '/') {
        snprintf(out, 2 * PATH_MAX, "%s", path);
        return true;
    }
    char link[64], base[PATH_MAX];
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", (int)pid);
    else snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, folder);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length <= 0 || base[0] != '/') return false;
    base[length] = '\0';
    snprintf(out, 2 * PATH_MAX, "%s/%s", base, path);
    return true;
}

/* "/proc/cpuinfo" to "<folder>/cpuinfo", "/sys/devices/system/cpu/online" to "<folder>/cpu/online".
 */
static bool is_shown(const char *path, const char *folder, char out[PATH_MAX])
{
    static const char cpus[] = "/sys/devices/system/cpu";
    const char *rest = path + sizeof cpus - 1;
    int length = -1;
    if (strcmp(path, "/proc/cpuinfo") == 0) length = snprintf(out, PATH_MAX, "%s/cpuinfo", folder);
    else if (strncmp(path, cpus, sizeof cpus - 1) == 0 && (!*rest || *rest == '/'))
        length = snprintf(out, PATH_MAX, "%s/cpu%s", folder, rest);
    return length > 0 && length < PATH_MAX;
}

bool iw_trace_show_file(pid_t pid, const char *folder, struct user_regs_struct *before)
{
    struct user_regs_struct regs;
    char path[PATH_MAX], whole[2 * PATH_MAX], shown[PATH_MAX];
    size_t i = 0;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) return false;
    while (i < CALL_COUNT && calls[i].number != (long)regs.orig_rax) i++;
    if (i == CALL_COUNT) return false;
    uint64_t address = calls[i].at ? regs.rsi : regs.rdi;
    int start = calls[i].at ? (int)regs.rdi : AT_FDCWD;
    if (!iw_trace_peek_string(pid, address, path) || !*path ||
        !make_absolute(pid, start, path, whole))
        return false;
    clean(whole);
    if (!is_shown(whole, folder, shown)) return false;
    size_t length = strlen(shown) + 1;
    uint64_t place = (regs.rsp - 512 - length) & ~(uint64_t)15; /* below the red zone */
    if (!iw_trace_poke(pid, place, shown, length)) return false;
    *before = regs;
    if (calls[i].at) regs.rsi = place;
    else regs.rdi = place;
    return ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0;
}
