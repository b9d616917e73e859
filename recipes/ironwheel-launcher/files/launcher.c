/* bin/python3.11 and bin/ironwheel-preflight of a bundle.
 *
 * A program of the bundle that an old CPU or an old glibc can't run dies with "Illegal instruction" or with the loader's "version not found". This one runs
 * before: freestanding (no libc, whose start-up code itself holds IFUNC resolvers and AVX), general registers only. It asks CPUID for what the bundle's
 * profile allows the compiler to use, looks into the system's libc.so.6 for the version that the bundle needs, says in plain words what is
 * missing, and otherwise becomes the real interpreter in libexec/.
 *
 * The packer writes what to ask for into `config` below: lines "stack NAME", "profile NAME", "needs FEATURE", "glibc 2.35". */

typedef unsigned long size_t;
typedef long ssize_t;
typedef unsigned int uint32_t;
typedef unsigned char uint8_t;

#define SYS_read 0
#define SYS_write 1
#define SYS_open 2
#define SYS_close 3
#define SYS_mmap 9
#define SYS_execve 59
#define SYS_exit 60
#define SYS_readlink 89
#define SYS_pread64 17

#define PATH_MAX 4096
#define CONFIG_SIZE 4096
#define CANT_RUN 126

/* Found by its first line; the rest is filled in when a bundle is packed. */
__attribute__((used, section(".data"))) static volatile char config[CONFIG_SIZE] = "@ironwheel-launcher-config@\n";

static long call(long number, long a, long b, long c, long d)
{
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

/* gcc may call these even in freestanding code. */
void *memcpy(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
void *memcpy(void *to, const void *from, size_t length)
{
    __asm__ volatile("rep movsb" : "+D"((char *){to}), "+S"(from), "+c"(length) : : "memory");
    return to;
}
void *memset(void *to, int value, size_t length)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(length) : "a"(value) : "memory");
    return to;
}

static size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

static int same(const char *a, const char *b, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i]) return 0;
    return 1;
}

static int equal(const char *a, const char *b)
{
    size_t length = length_of(b);
    return length_of(a) == length && same(a, b, length);
}

static int ends_with(const char *text, const char *end)
{
    size_t a = length_of(text), b = length_of(end);
    return a >= b && same(text + a - b, end, b);
}

static void say(const char *text)
{
    call(SYS_write, 2, (long)text, (long)length_of(text), 0);
}

static __attribute__((noreturn)) void leave(int status)
{
    for (;;) call(SYS_exit, status, 0, 0, 0);
}

/* Appends; silently stops at the end of a buffer of PATH_MAX. */
static void append(char *to, const char *text)
{
    size_t at = length_of(to);
    for (; *text && at < PATH_MAX - 1; text++) to[at++] = *text;
    to[at] = 0;
}

/* --- the CPU -------------------------------------------------------------------------------------------------------------------------------- */

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

/* Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E. `avx` marks what also needs the operating system to save wide registers. */
static const struct bit {
    char name[12];
    uint32_t leaf;
    uint8_t where, bit, avx; /* where: 1 ebx, 2 ecx, 3 edx */
} bits[] = {
    {"mmx", 1, 3, 23, 0},      {"fxsr", 1, 3, 24, 0},       {"sse", 1, 3, 25, 0},     {"sse2", 1, 3, 26, 0},   {"sse3", 1, 2, 0, 0},
    {"pclmul", 1, 2, 1, 0},    {"ssse3", 1, 2, 9, 0},       {"fma", 1, 2, 12, 1},     {"cx16", 1, 2, 13, 0},   {"sse4.1", 1, 2, 19, 0},
    {"sse4.2", 1, 2, 20, 0},   {"crc32", 1, 2, 20, 0},      {"movbe", 1, 2, 22, 0},   {"popcnt", 1, 2, 23, 0}, {"aes", 1, 2, 25, 0},
    {"xsave", 1, 2, 26, 0},    {"avx", 1, 2, 28, 1},        {"f16c", 1, 2, 29, 1},    {"rdrnd", 1, 2, 30, 0},  {"fsgsbase", 7, 1, 0, 0},
    {"bmi", 7, 1, 3, 0},       {"avx2", 7, 1, 5, 1},        {"bmi2", 7, 1, 8, 0},     {"rdseed", 7, 1, 18, 0}, {"adx", 7, 1, 19, 0},
    {"sahf", 0x80000001, 2, 0, 0}, {"abm", 0x80000001, 2, 5, 0}, {"lzcnt", 0x80000001, 2, 5, 0}, {"sse4a", 0x80000001, 2, 6, 0},
    {"prfchw", 0x80000001, 2, 8, 0}, {"3dnowa", 0x80000001, 3, 30, 0}, {"3dnow", 0x80000001, 3, 31, 0},
};

static int has(const char *name)
{
    uint32_t registers[4];
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        if (!equal(name, bits[i].name)) continue;
        cpuid(bits[i].leaf & 0x80000000, 0, registers);
        if (registers[0] < bits[i].leaf) return 0;
        cpuid(bits[i].leaf, 0, registers);
        if (!(registers[bits[i].where] >> bits[i].bit & 1)) return 0;
        if (!bits[i].avx) return 1;
        cpuid(1, 0, registers);
        if (!(registers[2] >> 27 & 1)) return 0; /* OSXSAVE */
#ifdef __XSAVE__ /* bundles that need AVX are built with it: others need no instruction that their CPUs lack in here */
        uint32_t low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return (low & 6) == 6;
#else
        return 1;
#endif
    }
    return 1; /* a feature without a bit of its own */
}

/* --- glibc ------------------------------------------------------------------------------------------------------------------------------------ */

/* "2.35" gives 2035. */
static int version_number(const char *text)
{
    int major = 0, minor = 0;
    while (*text >= '0' && *text <= '9' && major < 1000) major = major * 10 + *text++ - '0';
    if (*text++ != '.') return -1;
    while (*text >= '0' && *text <= '9' && minor < 1000) minor = minor * 10 + *text++ - '0';
    return major * 1000 + minor;
}

/* The newest "GLIBC_2.x" among the strings of a libc.so.6; -1: none. The file is only read. */
static int newest_version(const char *path, char name[16])
{
    long fd = call(SYS_open, (long)path, 02000000, 0, 0);
    if (fd < 0) return -1;
    static char window[65536];
    int newest = -1;
    size_t offset = 0;
    for (;;) {
        long got = call(SYS_pread64, fd, (long)window, sizeof window - 1, (long)offset);
        if (got <= 16) break;
        for (long i = 0; i + 16 < got; i++) {
            if (!same(window + i, "GLIBC_2.", 8)) continue;
            int number = version_number(window + i + 6);
            if (number <= newest) continue;
            newest = number;
            size_t k = 0;
            while (k < 15 && window[i + 6 + (long)k] && ((window[i + 6 + (long)k] >= '0' && window[i + 6 + (long)k] <= '9') || window[i + 6 + (long)k] == '.')) {
                name[k] = window[i + 6 + (long)k];
                k++;
            }
            name[k] = 0;
        }
        if (got < (long)sizeof window - 1) break;
        offset += (size_t)got - 32;
    }
    call(SYS_close, fd, 0, 0, 0);
    return newest;
}

/* The system's own C library, where the distributions keep it. Unknown counts as new enough: the loader then has the last word. */
static int system_glibc(char name[16])
{
    static const char *const paths[] = {"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6", "/lib/libc.so.6"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int newest = newest_version(paths[i], name);
        if (newest > 0) return newest;
    }
    return -1;
}

/* --- the test --------------------------------------------------------------------------------------------------------------------------------- */

/* The value of a line that starts with `key`, copied; the line's number is `*at`. */
static int next_value(size_t *at, const char *key, char value[64])
{
    size_t length = length_of(key);
    while (*at < CONFIG_SIZE && config[*at]) {
        size_t start = *at, end = start;
        while (end < CONFIG_SIZE && config[end] && config[end] != '\n') end++;
        *at = end + 1;
        int match = end - start > length + 1 && config[start + length] == ' ';
        for (size_t i = 0; match && i < length; i++) match = config[start + i] == key[i];
        if (!match) continue;
        size_t k = 0;
        for (size_t i = start + length + 1; i < end && k < 63; i++) value[k++] = config[i];
        value[k] = 0;
        return 1;
    }
    return 0;
}

static void say_value(const char *key)
{
    char value[64];
    size_t at = 0;
    if (next_value(&at, key, value)) say(value);
}

static int check_cpu(void)
{
    char feature[64];
    int missing = 0;
    for (size_t at = 0; next_value(&at, "needs", feature);) {
        if (has(feature)) continue;
        say(missing++ ? ", " : "ironwheel: this CPU can't run this bundle: it has no ");
        say(feature);
    }
    if (!missing) return 0;
    say(".\n  The bundle (");
    say_value("stack");
    say(") was built for ");
    say_value("profile");
    say(". Build one for this CPU: ironwheel profile --host names its profile.\n");
    return -1;
}

static int check_glibc(void)
{
    char wanted[64], found[16] = "";
    size_t at = 0;
    if (!next_value(&at, "glibc", wanted)) return 0;
    int newest = system_glibc(found);
    if (newest < 0 || newest >= version_number(wanted)) return 0;
    say("ironwheel: this system's C library is too old for this bundle: it needs glibc ");
    say(wanted);
    say(", and here is glibc ");
    say(found);
    say(".\n  Use a newer distribution, or build the bundle with the toolchain of an older one.\n");
    return -1;
}

/* --- finding the interpreter ---------------------------------------------------------------------------------------------------------------------- */

/* "/x/bin/python3.11" becomes "/x". */
static void up(char *path)
{
    size_t at = length_of(path);
    while (at > 0 && path[at - 1] != '/') at--;
    path[at > 1 ? at - 1 : at] = 0;
}

static int is_there(const char *path)
{
    long fd = call(SYS_open, (long)path, 02000000, 0, 0);
    if (fd < 0) return 0;
    call(SYS_close, fd, 0, 0, 0);
    return 1;
}

/* A copy of this file in a virtual environment (venv --copies): its pyvenv.cfg says `home = /bundle/bin`. `root` is the folder above bin. */
static int follow_venv(char root[PATH_MAX])
{
    char path[PATH_MAX] = "";
    static char text[8192];
    append(path, root);
    append(path, "/pyvenv.cfg");
    long fd = call(SYS_open, (long)path, 02000000, 0, 0);
    if (fd < 0) return 0;
    long got = call(SYS_read, fd, (long)text, sizeof text - 1, 0);
    call(SYS_close, fd, 0, 0, 0);
    if (got <= 0) return 0;
    text[got] = 0;
    for (char *line = text; *line;) {
        char *end = line;
        while (*end && *end != '\n') end++;
        char *value = line + 4;
        if (end - line > 6 && same(line, "home", 4)) {
            while (value < end && (*value == ' ' || *value == '\t')) value++;
            if (*value == '=') {
                value++;
                while (value < end && (*value == ' ' || *value == '\t')) value++;
                int last = !*end;
                *end = 0;
                root[0] = 0;
                append(root, value);
                (void)last;
                up(root);
                return 1;
            }
        }
        line = *end ? end + 1 : end;
    }
    return 0;
}

static __attribute__((noreturn)) void become_python(char **argv, char **environment)
{
    char root[PATH_MAX] = "", program[PATH_MAX] = "";
    long length = call(SYS_readlink, (long)"/proc/self/exe", (long)root, PATH_MAX - 1, 0);
    if (length <= 0) {
        say("ironwheel: can't find out where this program stands: is /proc mounted?\n");
        leave(CANT_RUN);
    }
    root[length] = 0;
    up(root); /* …/bin */
    up(root);
    for (int tries = 0; tries < 4; tries++) {
        program[0] = 0;
        append(program, root);
        append(program, "/libexec/python3.11");
        if (is_there(program) || !follow_venv(root)) break;
    }
    long result = call(SYS_execve, (long)program, (long)argv, (long)environment, 0);
    say("ironwheel: can't start ");
    say(program);
    say(result == -2 ? ": it is not there; was the bundle moved away from a virtual environment made with it?\n" : ": it can't be executed here\n");
    leave(127);
}

__attribute__((used)) void start(long *stack)
{
    long count = stack[0];
    char **argv = (char **)(stack + 1), **environment = argv + count + 1;
    int fine = check_cpu() == 0;
    fine = check_glibc() == 0 && fine;
    if (!fine) leave(CANT_RUN);
    if (count > 0 && ends_with(argv[0], "ironwheel-preflight")) leave(0);
    become_python(argv, environment);
}

__asm__(".globl _start\n_start:\n    xor %ebp, %ebp\n    mov %rsp, %rdi\n    and $-16, %rsp\n    call start\n    hlt\n");
