/* iw-crash.so: loaded into a program (LD_PRELOAD), it writes down what a fatal signal met, before
 * the program dies of it as it would have: natively as well as under qemu-user, in threads and in
 * child processes. Also, at the first time and when the program ends, how much executable memory
 * without a file it has asked for: code made at run time (qemu-user's own maps don't tell; programs
 * that are static, or call the kernel by themselves, aren't seen).
 *
 * Freestanding: it runs on the old CPU, inside of any program, with whatever C library there is.
 * Records go to the file that IRONWHEEL_CRASH names, each by one append: crash <pid> <signal>
 * <si_code> <si_addr hex> <rip hex> <bytes at rip, hex, or -> <program> jit <pid> <bytes of such
 * memory, since the process's last such record> <program> a crash is followed by the lines of
 * /proc/self/maps (proc(5)); "end" ends either. */
#include <asm/unistd.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#define O_WRONLY_APPEND_CREATE_CLOEXEC 02002101
#define REPORT_SIZE (512 * 1024)

static char path[4096];
static char report[REPORT_SIZE];
static size_t used;
static int busy, raised;

static long call(long number, long a, long b, long c, long d)
{
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

/* gcc makes calls to these of loops and copies. */
void *memset(void *to, int value, size_t length);
__attribute__((visibility("hidden"))) void *memset(void *to, int value, size_t length)
{
    for (volatile char *at = to; length; length--) *at++ = (char)value;
    return to;
}

/* --- text ----------------------------------------------------------------- */

static void add_char(char c)
{
    if (used < REPORT_SIZE) report[used++] = c;
}

static void add(const char *text)
{
    while (*text) add_char(*text++);
}

static void add_number(uint64_t value, unsigned base)
{
    char digits[24];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (count) add_char(digits[--count]);
}

static void add_program(void)
{
    char name[1024];
    long length = call(__NR_readlink, (long)"/proc/self/exe", (long)name, sizeof name - 1, 0);
    for (long i = 0; i < length; i++) add_char(name[i] == '\n' ? '?' : name[i]);
    add_char('\n');
}

/* The whole of /proc/self/maps behind what stands in the report; returns where it begins. */
static size_t add_maps(void)
{
    size_t start = used;
    long fd = call(__NR_open, (long)"/proc/self/maps", 02000000, 0, 0), got;
    while (fd >= 0 && used < REPORT_SIZE - 64 &&
           (got = call(__NR_read, fd, (long)(report + used), (long)(REPORT_SIZE - 64 - used), 0)) >
               0)
        used += (size_t)got;
    if (fd >= 0) call(__NR_close, fd, 0, 0, 0);
    if (used > start && report[used - 1] != '\n') add_char('\n');
    return start;
}

static void write_report(void)
{
    long fd = call(__NR_open, (long)path, O_WRONLY_APPEND_CREATE_CLOEXEC, 0644, 0);
    if (fd >= 0) {
        call(__NR_write, fd, (long)report, (long)used, 0);
        call(__NR_close, fd, 0, 0, 0);
    }
    used = 0;
}

/* --- maps ----------------------------------------------------------------- */

struct mapping {
    uint64_t start, end;
    int readable, executable, has_file;
};

static const char *read_hex(const char *at, const char *end, uint64_t *value)
{
    *value = 0;
    for (; at < end; at++) {
        int digit = *at >= '0' && *at <= '9'   ? *at - '0'
                    : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10
                                               : -1;
        if (digit < 0) break;
        *value = *value << 4 | (unsigned)digit;
    }
    return at;
}

/* "start-end rwxp offset dev inode  name"; returns the next line. */
static const char *read_mapping(const char *at, const char *end, struct mapping *out)
{
    at = read_hex(at, end, &out->start);
    at = read_hex(at < end ? at + 1 : at, end, &out->end);
    out->readable = end - at > 4 && at[1] == 'r';
    out->executable = end - at > 4 && at[3] == 'x';
    out->has_file = 0;
    for (; at < end && *at != '\n'; at++)
        if (*at == '/' || *at == '[') out->has_file = 1;
    return at < end ? at + 1 : at;
}

static int is_readable(const char *maps, const char *end, uint64_t address, size_t length)
{
    struct mapping mapping;
    while (maps < end) {
        maps = read_mapping(maps, end, &mapping);
        if (address >= mapping.start && address < mapping.end)
            return mapping.readable && mapping.end - address >= length;
    }
    return 0;
}

/* --- signals -------------------------------------------------------------- */

struct kernel_action { /* as rt_sigaction takes it */
    void *handler;
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

__attribute__((naked)) static void restore(void)
{
    __asm__ volatile("mov %0, %%eax\n\tsyscall" : : "i"(__NR_rt_sigreturn));
}

static void set_action(int number, void *handler)
{
    struct kernel_action action = {
        handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | 0x04000000 /* SA_RESTORER */, restore, 0};
    if (!handler) action.flags = 0x04000000;
    call(__NR_rt_sigaction, number, (long)&action, 0, 8);
}

static void record(int number, const siginfo_t *info, uint64_t rip)
{
    size_t maps = add_maps(), length = used - maps;
    /* The maps come last in the record, but must be read first: the head goes behind them, and all
     * is written in the right order. */
    const char *text = report + maps, *end = text + length;
    size_t readable = 0;
    for (size_t want = 15; want && !readable; want--)
        if (is_readable(text, end, rip, want)) readable = want;
    size_t head = used;
    add("crash ");
    add_number((uint64_t)call(__NR_getpid, 0, 0, 0, 0), 10);
    add_char(' ');
    add_number((uint64_t)number, 10);
    add_char(' ');
    add_number((uint64_t)(uint32_t)info->si_code, 10);
    add_char(' ');
    add_number((uint64_t)(uintptr_t)info->si_addr, 16);
    add_char(' ');
    add_number(rip, 16);
    add_char(' ');
    for (size_t i = 0; i < readable; i++) {
        unsigned char byte = ((const unsigned char *)rip)[i];
        add_char("0123456789abcdef"[byte >> 4]);
        add_char("0123456789abcdef"[byte & 15]);
    }
    if (!readable) add_char('-');
    add_char(' ');
    add_program();
    size_t all = used;
    long fd = call(__NR_open, (long)path, O_WRONLY_APPEND_CREATE_CLOEXEC, 0644, 0);
    if (fd >= 0) {
        struct {
            const void *base;
            size_t length;
        } parts[3] = {{report + head, all - head}, {text, length}, {"end\n", 4}};
        call(__NR_writev, fd, (long)parts, 3, 0);
        call(__NR_close, fd, 0, 0, 0);
    }
    used = 0;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *state = context;
    /* Raised by the program itself: Python's faulthandler does that after its traceback, and then
     * meets the fault again. */
    if (info->si_code <= 0 && !raised) {
        raised = 1;
        return;
    }
    if (!__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST))
        record(number, info, (uint64_t)state->uc_mcontext.gregs[REG_RIP]);
    set_action(number, NULL);
    if (info->si_code <= 0) call(__NR_kill, call(__NR_getpid, 0, 0, 0, 0), number, 0, 0);
}

/* --- life ----------------------------------------------------------------- */

__attribute__((constructor)) static void start(int argc, char **argv, char **environment)
{
    static const char name[] = "IRONWHEEL_CRASH=";
    (void)argc, (void)argv;
    for (; environment && *environment; environment++) {
        size_t i = 0;
        while (name[i] && (*environment)[i] == name[i]) i++;
        if (name[i]) continue;
        size_t length = 0;
        for (const char *from = *environment + i; length < sizeof path - 1 && from[length];
             length++)
            path[length] = from[length];
        path[length] = 0;
    }
    if (!path[0]) return;
    set_action(SIGILL, (void *)on_signal);
    set_action(SIGFPE, (void *)on_signal);
    set_action(SIGSEGV, (void *)on_signal);
    set_action(SIGBUS, (void *)on_signal);
}

/* --- code made at run time ------------------------------------------------ */

#define PROT_EXEC_BIT 4
#define MAP_ANONYMOUS_BIT 0x20

static uint64_t made, told;
extern int *__errno_location(void) __attribute__((weak));

static long answer(long result)
{
    if (result < 0 && result > -4096) {
        if (__errno_location) *__errno_location() = (int)-result;
        return -1;
    }
    return result;
}

/* Whether a mapping that a file is behind holds the address. Reads in parts: nothing is allocated
 * here. */
static int has_file(uint64_t address)
{
    char part[4096];
    size_t have = 0;
    int found = 0;
    long fd = call(__NR_open, (long)"/proc/self/maps", 02000000, 0, 0), got;
    while (fd >= 0 && !found &&
           (got = call(__NR_read, fd, (long)(part + have), (long)(sizeof part - have), 0)) > 0) {
        have += (size_t)got;
        size_t whole = have;
        while (whole && part[whole - 1] != '\n') whole--;
        const char *at = part, *end = part + whole;
        while (at < end) {
            struct mapping mapping;
            at = read_mapping(at, end, &mapping);
            if (address >= mapping.start && address < mapping.end && mapping.has_file) found = 1;
        }
        for (size_t i = whole; i < have; i++) part[i - whole] = part[i];
        have = have - whole < sizeof part ? have - whole : 0;
    }
    if (fd >= 0) call(__NR_close, fd, 0, 0, 0);
    return found;
}

/* Not while a crash is being recorded: that has the one report there is. */
static void tell_made(void)
{
    uint64_t all = __atomic_load_n(&made, __ATOMIC_SEQ_CST);
    if (all == told || __atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST)) return;
    used = 0;
    add("jit ");
    add_number((uint64_t)call(__NR_getpid, 0, 0, 0, 0), 10);
    add_char(' ');
    add_number(all - told, 10);
    add_char(' ');
    add_program();
    add("end\n");
    write_report();
    told = all;
    __atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
}

/* The first time at once: a process may end without its destructors (_exit, a signal). */
static void note_made(size_t length)
{
    if (__atomic_fetch_add(&made, length, __ATOMIC_SEQ_CST) == 0 && path[0]) tell_made();
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
void *mmap64(void *address, size_t length, int protection, int flags, int fd, long offset);
int mprotect(void *address, size_t length, int protection);

__attribute__((visibility("default"))) void *mmap(void *address, size_t length, int protection,
                                                  int flags, int fd, long offset)
{
    long result;
    register long r10 __asm__("r10") = flags;
    register long r8 __asm__("r8") = fd;
    register long r9 __asm__("r9") = offset;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(__NR_mmap), "D"(address), "S"(length), "d"((long)protection), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (result > 0 && (protection & PROT_EXEC_BIT) && (flags & MAP_ANONYMOUS_BIT))
        note_made(length);
    return (void *)answer(result);
}

__attribute__((visibility("default"))) void *mmap64(void *address, size_t length, int protection,
                                                    int flags, int fd, long offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

__attribute__((visibility("default"))) int mprotect(void *address, size_t length, int protection)
{
    if (path[0] && (protection & PROT_EXEC_BIT) && !has_file((uint64_t)(uintptr_t)address))
        note_made(length);
    return (int)answer(call(__NR_mprotect, (long)address, (long)length, protection, 0));
}

__attribute__((destructor)) static void stop(void)
{
    if (path[0]) tell_made();
}
