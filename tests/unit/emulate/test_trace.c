/* iw-trace: a command and everything that it starts see the emulated CPU. iw-crash.so and checks:
 * what dies of a missing instruction is told so. */
#include "kit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emulate/crash.h"
#include "emulate/emulate.h"

#define EMULATOR "/usr/bin/qemu-x86_64-static"
#define MODEL "phenom,-fxsr-opt" /* without what qemu warns of, as in the profile */

/* A Phenom has no AVX; every host that runs these tests has. */
static const char probe[] =
    "#include <cpuid.h>\n#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n"
    "int main(int argc, char **argv) { unsigned a, b, c, d, e, f, g, h;\n"
    "  if (argc > 1 && !strcmp(argv[1], \"self\")) { execl(\"/proc/self/exe\", \"named\", "
    "\"again\", NULL); return 9; }\n"
    "  __cpuid(1, a, b, c, d); __cpuid(0x80000001, e, f, g, h);\n"
    "  printf(\"avx=%u sse4a=%u %s %s\\n\", c >> 28 & 1, g >> 6 & 1, argc > 1 ? argv[1] : \"-\", "
    "argc > 1 && !strcmp(argv[1], \"again\") ? argv[0] : \"-\"); return 0; }\n";

static const char dies[] =
    "#include <stdio.h>\n__attribute__((noinline)) void adds_wide(void) { __asm__ "
    "volatile(\"vpaddd %ymm0, %ymm1, %ymm2\"); }\n"
    "int main(void) { puts(\"so far\"); fflush(stdout); adds_wide(); return 0; }\n";

static const iw_profile *k10(void)
{
    static const char *const features[] = {"mmx",   "fxsr",   "sse",    "sse2",   "sse3",
                                           "cx16",  "sahf",   "popcnt", "abm",    "lzcnt",
                                           "sse4a", "prfchw", "3dnow",  "3dnowa", NULL};
    static const iw_profile profile = {.name = "k10",
                                       .emulator_cpu = MODEL,
                                       .features = {features, 14}};
    return &profile;
}

static void put_script(const char *folder, const char *path, const char *text)
{
    kit_write(folder, path, text, strlen(text), 0755);
}

/* Runs a shell's script in the folder, under iw-trace, with its standard output in *out. */
static int traced(const char *folder, const char *script, char **out, iw_error *err)
{
    iw_cleanup_free char *trace = kit_helper("iw-trace"),
                         *inside = iw_format("cd '%s'; %s", folder, script);
    *out = NULL;
    return iw_run_capture(ARGV(trace, EMULATOR, MODEL, "sh", "-c", inside),
                          ARGV("PATH=/usr/bin:/bin", "LC_ALL=C"), 100000, out, NULL, err);
}

static void says(const char *folder, const char *script, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *out = NULL;
    kit_ok(traced(folder, script, &out, &err));
    assert_string_equal(out, wanted);
}

static void test_children(void **state)
{
    iw_error err = IW_ERROR_INIT;
    const char *emulated = "avx=0 sse4a=1 - -\n";
    kit_compile(*state, "probe", probe, "");
    kit_compile(*state, "fixed", probe, "-static");
    iw_cleanup_free char *path = iw_path_join(*state, "probe"), *native = NULL;
    kit_ok(iw_run_capture(ARGV(path), NULL, 100, &native, NULL, &err));
    if (strncmp(native, "avx=1", 5) != 0)
        fail_msg("this host has no AVX: what these tests look at can't be told apart");
    says(*state, "exec ./probe", emulated);
    says(*state, "./probe", emulated);
    says(*state, "./fixed", emulated);
    says(*state, "(sh -c './probe | cat')", emulated);
    says(*state, "env ./probe 'a b'", "avx=0 sse4a=1 a b -\n");
    says(*state, "./probe ''", "avx=0 sse4a=1  -\n");
    says(*state, "echo x | xargs -n 1 ./probe", "avx=0 sse4a=1 x -\n");
    says(*state, "./probe self",
         "avx=0 sse4a=1 again named\n"); /* /proc/self/exe is the program, not the emulator */
    says(*state, "for i in 1 2 3 4; do ./probe >/dev/null & done; wait; PATH=.:$PATH; probe",
         emulated);
}

static void test_scripts(void **state)
{
    iw_cleanup_free char *with = iw_format("#! %s/probe an argument\n", (char *)*state),
                         *twice = iw_format("#!%s/script\n", (char *)*state);
    kit_compile(*state, "probe", probe, "");
    put_script(*state, "script", with);
    says(*state, "./script",
         "avx=0 sse4a=1 an argument -\n"); /* one argument, as the kernel gives it */
    put_script(*state, "shell", "#!/bin/sh\nshift\n./probe \"$@\"\n");
    says(*state, "./shell a 'b c'", "avx=0 sse4a=1 b c -\n");
    put_script(*state, "twice", twice);
    says(*state, "./twice", "avx=0 sse4a=1 an argument -\n");
    put_script(*state, "plain", "./probe\n"); /* no first line: the shell reads it itself */
    says(*state, "./plain", "avx=0 sse4a=1 - -\n");
}

static void test_endings(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *out = NULL, *trace = kit_helper("iw-trace");
    kit_fails(traced(*state, "exit 7", &out, &err), IW_E_IO, "exit status 7");
    kit_fails(traced(*state, "kill -TERM $$", &out, &err), IW_E_IO, "exit status 143");
    kit_fails(traced(*state, "./missing", &out, &err), IW_E_IO, "exit status 127");
    put_script(*state, "bad", "#!/nonexistent/interpreter\n");
    kit_fails(traced(*state, "./bad", &out, &err), IW_E_IO,
              "exit status 127"); /* and isn't taken for the shell's own script */
    put_script(*state, "binary-line", "#!./data\n");
    kit_text(*state, "data", "no program");
    kit_fails(traced(*state, "./binary-line", &out, &err), IW_E_IO, "exit status 126");
    kit_fails(iw_run_capture(ARGV(trace, EMULATOR, MODEL, "no-such-program-at-all"), NULL, 100,
                             NULL, NULL, &err),
              IW_E_IO, "no-such-program-at-all");
    kit_fails(iw_run_capture(ARGV(trace), NULL, 100, NULL, NULL, &err), IW_E_IO, "usage: iw-trace");
    kit_compile(*state, "dies", dies, "");
    kit_fails(traced(*state, "./dies", &out, &err), IW_E_IO, "exit status 132"); /* 128 + SIGILL */
}

/* --- what the kernel says of processors ----------------------------------- */

/* The path of a call is put in again behind it: this one counts on the registers. */
static const char by_hand[] =
    "#include <fcntl.h>\n#include <stdio.h>\n#include <string.h>\n#include <sys/syscall.h>\n"
    "#include <unistd.h>\nint main(void) { const char *path = \"cpuinfo\", *after = path; long fd; "
    "char text[4096];\n"
    "  int folder = open(\"/sys/../proc/.\", O_RDONLY); register long flags __asm__(\"rdx\") = 0;\n"
    "  __asm__ volatile(\"syscall\" : \"=a\"(fd), \"+S\"(after) : \"a\"(SYS_openat), "
    "\"D\"((long)folder), \"r\"(flags) : \"rcx\", \"r11\", \"memory\");\n"
    "  long got = read((int)fd, text, sizeof text - 1); text[got < 0 ? 0 : got] = 0;\n"
    "  puts(after == path && strstr(text, \"cpu family\\t: 16\\n\") ? \"fine\" : text); return 0; "
    "}\n";

static void test_processors(void **state)
{
    iw_error err = IW_ERROR_INIT;
    kit_compile(*state, "by-hand", by_hand, "");
    iw_cleanup_free char *shown = iw_path_join(*state, "shown"), *trace = kit_helper("iw-trace"),
                         *out = NULL, *before = NULL;
    static const char script[] =
        "cd \"$0\"; grep -c 'AuthenticAMD' /proc/cpuinfo; cd /proc; grep -m1 -o ' sse4a\\| sse4_1' "
        "cpuinfo; cat /sys/devices/system/cpu/online /sys//devices/system/cpu/kernel_max; test ! "
        "-e "
        "/sys/devices/system/cpu/cpu0/cache; test -d /proc/self; ls /sys/devices/system | grep "
        "cpu; "
        "\"$0/by-hand\"";
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    kit_ok(iw_show_cpu(EMULATOR, MODEL, getenv("IW_HELPERS"), shown, &err));
    kit_ok(iw_run_capture(ARGV(trace, "--cpu-files", shown, EMULATOR, MODEL, "sh", "-ec", script,
                               *state),
                          ARGV("PATH=/usr/bin:/bin", "LC_ALL=C"), 100000, &out, NULL, &err));
    iw_cleanup_free char *wanted =
        iw_format("%ld\n sse4a\n%s%ld\n4095\ncpu\nfine\n", count, count > 1 ? "0-" : "", count - 1);
    assert_string_equal(out, wanted);
    kit_fails(iw_show_cpu(EMULATOR, "no-such-cpu", getenv("IW_HELPERS"), shown, &err), IW_E_IO,
              "the emulated CPU");
}

/* --- what it died of ------------------------------------------------------ */

static void test_crash_record(void **state)
{
    iw_error err = IW_ERROR_INIT;
    kit_compile(*state, "dies", dies, "");
    iw_cleanup_free char *records = iw_path_join(*state, "records"),
                         *library = kit_helper("iw-crash.so"), *out = NULL;
    kit_text(*state, "records", "");
    iw_cleanup_free char *script =
        iw_format("LD_PRELOAD='%s' IRONWHEEL_CRASH='%s' ./dies", library, records);
    kit_fails(traced(*state, script, &out, &err), IW_E_IO, "exit status 132");
    iw_crash_report report;
    kit_ok(iw_crash_read(records, k10(), NULL, NULL, &report, &err));
    assert_int_equal(report.count, 1);
    assert_int_equal(report.crashes[0].signal, SIGILL);
    assert_string_equal(report.crashes[0].function, "adds_wide");
    assert_non_null(strstr(report.crashes[0].instruction, "vpaddd"));
    assert_string_equal(report.crashes[0].feature, "avx2");
    assert_true(iw_ends_with(report.crashes[0].file, "/dies"));
    iw_cleanup_free char *text = iw_crash_text(&report.crashes[0], k10(), NULL),
                         *json = iw_crash_json(&report.crashes[0], k10(), NULL);
    assert_non_null(strstr(text, "It needs avx2, which k10 doesn't have"));
    assert_non_null(strstr(json, "\"feature\":\"avx2\""));
    iw_crash_report_clear(&report);
}

/* Records come from the program's own sandbox: whatever they hold is read to an end. */
/* What a compiler called so is a static initialiser, though another one calls it. */
static void test_static_initialiser(void **state)
{
    static const char initialiser[] =
        "__attribute__((noinline)) void _GLOBAL__sub_I_probe(void) { __asm__ volatile(\"vpaddd "
        "%ymm0, %ymm1, %ymm2\"); }\nint main(void) { _GLOBAL__sub_I_probe(); return 0; }\n";
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *records = iw_path_join(*state, "records"),
                         *library = kit_helper("iw-crash.so"), *out = NULL;
    kit_compile(*state, "starts", initialiser, "");
    kit_text(*state, "records", "");
    iw_cleanup_free char *script =
        iw_format("LD_PRELOAD='%s' IRONWHEEL_CRASH='%s' ./starts", library, records);
    kit_fails(traced(*state, script, &out, &err), IW_E_IO, "exit status 132");
    iw_crash_report report;
    kit_ok(iw_crash_read(records, k10(), NULL, NULL, &report, &err));
    assert_int_equal(report.count, 1);
    assert_true(report.crashes[0].constructor);
    iw_crash_report_clear(&report);
}

/* Without a symbol, and in what runs before main: the function is a range of .eh_frame. */
static void test_stripped_constructor(void **state)
{
    static const char early[] =
        "#include <math.h>\nint value;\nstatic __attribute__((noinline)) void wide(void) { __asm__ "
        "volatile(\"vpaddd %ymm0, %ymm1, %ymm2\"); value++; }\n"
        "__attribute__((constructor)) static void begin(void) { value = 3; wide(); }\n"
        "static __attribute__((noinline)) int other(int a) { value += a; return value; }\n"
        "int main(int argc, char **argv) { (void)argv; return other(argc) != 99 ? 0 : 1; }\n";
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *records = iw_path_join(*state, "records"),
                         *library = kit_helper("iw-crash.so"), *out = NULL;
    for (int inlined = 0; inlined < 2; inlined++) {
        kit_compile(*state, "early", early,
                    inlined ? "-s -Os -Dnoinline=always_inline -Wno-attributes" : "-s -O1");
        kit_text(*state, "records", "");
        iw_cleanup_free char *script =
            iw_format("LD_PRELOAD='%s' IRONWHEEL_CRASH='%s' ./early", library, records);
        kit_fails(traced(*state, script, &out, &err), IW_E_IO, "exit status 132");
        iw_crash_report report;
        kit_ok(iw_crash_read(records, k10(), NULL, NULL, &report, &err));
        assert_int_equal(report.count, 1);
        const iw_crash *crash = &report.crashes[0];
        if (!crash->function || !iw_starts_with(crash->function, "sub_"))
            fail_msg("function %s", crash->function);
        assert_int_equal(crash->constructor, inlined);
        uint64_t begin = strtoull(crash->function + 4, NULL, 16);
        assert_true(begin <= crash->offset && crash->offset - begin < 40);
        iw_cleanup_free char *text = iw_crash_text(crash, k10(), NULL),
                             *json = iw_crash_json(crash, k10(), NULL);
        assert_true(!strstr(text, "in the constructor sub_") == !inlined);
        assert_non_null(strstr(json, inlined ? "\"constructor\":true" : "\"constructor\":false"));
        iw_crash_report_clear(&report);
    }
}

static void test_hostile_records(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static const char *const texts[] = {
        "",
        "crash",
        "crash \n",
        "crash 1 4 0 0 0 - x\n",
        "crash 1 -4 0 0 10 c5f5fed0 \xff\xfe\n0-20 r-xp 0 0:0 0   /nonexistent\nend\n",
        "crash 99999999999999999999 4 0 ffffffffffffffffff 0 zz x\nend\n",
        "jit 1 5\nend\n",
        "jit 1 18446744073709551615 x\nend\njit 1 2 y\nend\n",
        "jit 1 5 x\n",
        "crash 1 4 0 0 0 0f0b x\n0-ffff r-xp ffffffffffffffff 0:0 0   /proc/self/mem\nend\n",
        "crash 1 4 0 0 0 0f0b x\n0-ff rwxp 0 0:0 0 /dev/zero\nend\n"};
    iw_cleanup_free char *records = iw_path_join(*state, "records"),
                         *missing = iw_path_join(*state, "missing");
    iw_crash_report report;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        kit_text(*state, "records", texts[i]);
        kit_ok(iw_crash_read(records, k10(), "/in", "/out", &report, &err));
        for (size_t k = 0; k < report.count; k++) {
            iw_cleanup_free char *
                text =
                   iw_crash_text(&report.crashes[k], k10(),
                                 "Fatal (most recent call first):\n  File \"a.py\", line 3 in f\n"),
               *json = iw_crash_json(&report.crashes[k], k10(),
                                     "\xff (most recent call first):\n File \"\xfe\n");
            assert_non_null(strstr(text, "Python was at File \"a.py\", line 3 in f"));
            assert_non_null(json);
            assert_non_null(strstr(json, "\"type\":\"crash\""));
        }
        iw_crash_report_clear(&report);
    }
    kit_ok(iw_crash_read(missing, k10(), NULL, NULL, &report, &err));
    assert_int_equal(report.count, 0);
}

/* --- checks, in their sandbox, with the host in place of the toolchain's root --- */

static void run_all(const iw_check_run *run, const iw_check *checks, size_t count,
                    iw_check_result **results)
{
    iw_error err = IW_ERROR_INIT;
    iw_check_job jobs[8];
    for (size_t i = 0; i < count; i++) jobs[i] = (iw_check_job){"sample", &checks[i]};
    kit_ok(iw_run_checks(run, jobs, count, results, &err));
}

static void test_checks(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *environment = iw_path_join(*state, "env"),
                         *logs = iw_path_join(*state, "logs");
    kit_compile(environment, "bin/probe", probe, "");
    kit_compile(environment, "bin/dies", dies, "");
    kit_compile(environment, "bin/who",
                "#include <pwd.h>\n#include <unistd.h>\nint main(void) { return getpwuid(getuid()) "
                "? 0 : 1; }\n",
                "");
    static const char *const probes[] = {"bin/probe", "x", NULL},
                             *const died[] = {"bin/dies", NULL}, *const who[] = {"bin/who", NULL};
    const iw_check checks[] = {
        {.name = "probe", .kind = IW_CHECK_COMMAND, .arguments = {probes, 2}, .timeout = 60},
        {.name = "shell",
         .kind = IW_CHECK_SHELL,
         .text = "test \"$(\"$IRONWHEEL_ENVIRONMENT/bin/probe\")\" = 'avx=0 sse4a=1 - -'\n",
         .timeout = 60},
        {.name = "dies", .kind = IW_CHECK_COMMAND, .arguments = {died, 1}, .timeout = 60},
        {.name = "child dies",
         .kind = IW_CHECK_SHELL,
         .text = "\"$IRONWHEEL_ENVIRONMENT/bin/dies\"\n",
         .timeout = 60},
        {.name = "fails", .kind = IW_CHECK_SHELL, .text = "echo a reason; exit 3\n", .timeout = 60},
        {.name = "too long", .kind = IW_CHECK_SHELL, .text = "while :; do :; done\n", .timeout = 1},
        {.name = "who", .kind = IW_CHECK_COMMAND, .arguments = {who, 1}, .timeout = 60},
        {.name = "processors",
         .kind = IW_CHECK_SHELL,
         .text = "case $(cat /proc/cpuinfo) in *'AMD Phenom'*) ;; *) exit 1 ;; esac; test -f "
                 "/sys/devices/system/cpu/cpu0/topology/core_id\n",
         .timeout = 60},
    };
    iw_check_run run = {.environment = environment,
                        .toolchain_root = "",
                        .profile = k10(),
                        .helpers = getenv("IW_HELPERS"),
                        .logs = logs,
                        .force_emulator = true,
                        .cancel = -1};
    iw_check_result *results = NULL;
    run_all(&run, checks, 8, &results);
    if (!results[7].passed) fail_msg("processors: %s", results[7].detail);
    if (!results[6].passed) fail_msg("the user has no name: %s", results[6].detail);
    for (int i = 0; i < 2; i++)
        if (!results[i].passed) fail_msg("%s: %s", results[i].name, results[i].detail);
    assert_string_equal(results[0].how, "qemu-x86_64 -cpu " MODEL);
    for (int i = 2; i < 4; i++) {
        assert_false(results[i].passed);
        if (!strstr(results[i].detail, "`vpaddd") ||
            !strstr(results[i].detail, "in adds_wide of ") ||
            !strstr(results[i].detail, "It needs avx2") || !strstr(results[i].detail, "  so far\n"))
            fail_msg("%s", results[i].detail);
    }
    assert_int_equal(results[2].end, IW_CHECK_DIED);
    assert_non_null(strstr(results[2].detail, "died by signal 4 (Illegal instruction)"));
    assert_false(results[4].passed);
    if (!strstr(results[4].detail, "ended with exit status 3; its last lines:\n  a reason"))
        fail_msg("%s", results[4].detail);
    assert_false(results[5].passed);
    assert_int_equal(results[4].end, IW_CHECK_EXITED);
    assert_int_equal(results[5].end, IW_CHECK_SLOW);
    assert_non_null(strstr(results[5].detail, "took longer than its 1 seconds"));
    assert_true(iw_exists(results[3].log));
    iw_check_results_free(results, 8);
    kit_ok(iw_run_checks(&run, NULL, 0, &results, &err));
    assert_null(results);
}

/* Two that wait for each other end only where they run at the same time. */
static void test_several_at_once(void **state)
{
    iw_cleanup_free char *environment = iw_path_join(*state, "env"),
                         *logs = iw_path_join(*state, "logs"),
                         *meeting = iw_path_join(environment, "meeting");
    kit_compile(environment, "bin/probe", probe, "");
    assert_int_equal(mkfifo(meeting, 0666), 0);
    iw_check checks[] = {
        {.name = "first",
         .kind = IW_CHECK_SHELL,
         .text = "echo met >\"$IRONWHEEL_ENVIRONMENT/meeting\"\n",
         .timeout = 60},
        {.name = "second",
         .kind = IW_CHECK_SHELL,
         .text = "read -r word <\"$IRONWHEEL_ENVIRONMENT/meeting\"; test \"$word\" = met\n",
         .timeout = 60},
        {.name = "third",
         .kind = IW_CHECK_SHELL,
         .text = "test ! -e \"$HOME/mine\"; : >\"$HOME/mine\"\n",
         .timeout = 60},
        {.name = "fourth",
         .kind = IW_CHECK_SHELL,
         .text = "test ! -e \"$HOME/mine\"; : >\"$HOME/mine\"\n",
         .timeout = 60}};
    iw_check_run run = {.environment = environment,
                        .toolchain_root = "",
                        .profile = k10(),
                        .helpers = getenv("IW_HELPERS"),
                        .logs = logs,
                        .force_emulator = true,
                        .parallel = 2,
                        .cancel = -1};
    iw_check_result *results = NULL;
    run_all(&run, checks, 4, &results);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(results[i].name, checks[i].name);
        if (!results[i].passed) fail_msg("%s: %s", results[i].name, results[i].detail);
    }
    iw_check_results_free(results, 4);
    checks[0].timeout = checks[1].timeout = 1;
    run.parallel = 1;
    run_all(&run, checks, 2, &results);
    assert_int_equal(results[0].end, IW_CHECK_SLOW);
    assert_int_equal(results[1].end, IW_CHECK_SLOW);
    iw_check_results_free(results, 2);
}

/* An engine that makes code: PMULLD (SSE4.1) for whatever CPU it believes to have, or, with an
 * argument, PADDD, in a child that ends without further ado. */
static const char engine[] =
    "#include <string.h>\n#include <sys/mman.h>\n#include <sys/wait.h>\n#include <unistd.h>\n"
    "int main(int argc, char **argv) { (void)argv; pid_t child = argc > 1 ? fork() : 0; int status "
    "= 0;\n"
    "  if (child) return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;\n"
    "  unsigned char *code = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, "
    "-1, 0);\n"
    "  memcpy(code, argc > 1 ? \"\\x66\\x0f\\xfe\\xc1\\xc3\" : \"\\x66\\x0f\\x38\\x40\\xc1\\xc3\", "
    "argc > 1 ? 5 : 6);\n"
    "  mprotect(code, 8192, PROT_READ | PROT_EXEC); ((void (*)(void))code)(); _exit(0); }\n";

static void test_run_time_code(void **state)
{
    iw_cleanup_free char *environment = iw_path_join(*state, "env"),
                         *logs = iw_path_join(*state, "logs");
    kit_compile(environment, "bin/engine", engine, "");
    static const char *const forbidden[] = {"bin/engine", NULL}, *const allowed[] = {"bin/engine",
                                                                                     "child", NULL};
    const iw_check checks[] = {
        {.name = "forbidden", .kind = IW_CHECK_COMMAND, .arguments = {forbidden, 1}, .timeout = 60},
        {.name = "allowed", .kind = IW_CHECK_COMMAND, .arguments = {allowed, 2}, .timeout = 60}};
    iw_check_run run = {.environment = environment,
                        .toolchain_root = "",
                        .profile = k10(),
                        .helpers = getenv("IW_HELPERS"),
                        .logs = logs,
                        .force_emulator = true,
                        .cancel = -1};
    iw_check_result *results = NULL;
    run_all(&run, checks, 2, &results);
    assert_false(results[0].passed);
    assert_int_equal(results[0].jit, 8192);
    if (!strstr(results[0].detail, "`pmulld xmm0, xmm1` in code made at run time: no file is "
                                   "mapped there. It needs sse4.1, which k10 doesn't have.") ||
        !strstr(results[0].detail, "turn that engine off, or tell it the CPU"))
        fail_msg("%s", results[0].detail);
    assert_non_null(strstr(results[0].crash, "\"file\":null"));
    if (!results[1].passed) fail_msg("%s", results[1].detail);
    assert_int_equal(results[1].jit, 8192); /* what the child made */
    assert_string_equal(results[1].unseen[0], "lwp");
    iw_check_results_free(results, 2);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {with_folder(test_children),
                                       with_folder(test_scripts),
                                       with_folder(test_endings),
                                       with_folder(test_processors),
                                       with_folder(test_crash_record),
                                       with_folder(test_stripped_constructor),
                                       with_folder(test_static_initialiser),
                                       with_folder(test_hostile_records),
                                       with_folder(test_checks),
                                       with_folder(test_several_at_once),
                                       with_folder(test_run_time_code)};
    return cmocka_run_group_tests_name("emulate trace", tests, NULL, NULL);
}
