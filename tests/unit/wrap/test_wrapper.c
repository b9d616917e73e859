/* iw-cc itself, under compilers' names in front of this host's tools: nothing that a build says
 * gets an AVX instruction into a result. */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/process.h"
#include "wrap/broker.h"
#include "wrap/command.h"

#define AVX_LOOP                                                                                   \
    "void add(float *restrict a, const float *restrict b) { for (int i = 0; i < 1024; i++) a[i] "  \
    "= a[i] * b[i] + b[i]; }\n"
#define AVX_ATTRIBUTE                                                                              \
    "__attribute__((target(\"avx2\"))) void add(float *restrict a, const float *restrict b) { "    \
    "for (int i = 0; i < 1024; i++) a[i] += b[i]; }\n"
#define AVX_ASSEMBLER "\t.text\n\t.globl f\nf:\n\tvaddps %ymm0, %ymm1, %ymm2\n\tret\n"
#define PLAIN_ASSEMBLER                                                                            \
    "\t.text\n\t.globl f\nf:\n\taddps %xmm0, %xmm1\n\tret\n\t.section "                            \
    ".note.GNU-stack,\"\",@progbits\n"

/* --- the place: bin (the wrapper under each name), real (links to this host's tools), src (the
 * working folder), cache --- */

typedef struct place {
    char *folder, *source, *policy_path, *helpers;
    iw_policy policy;
    char *said;         /* by the last command, both streams */
    const char *broker; /* the socket's path, or NULL */
    bool cached;
} place;

static char *find_program(const char *name)
{
    iw_cleanup_free char *paths = iw_strdup(getenv("PATH"));
    for (char *save = NULL, *part = strtok_r(paths, ":", &save); part;
         part = strtok_r(NULL, ":", &save)) {
        char *path = iw_path_join(part, name);
        if (access(path, X_OK) == 0) return path;
        free(path);
    }
    fail_msg("this test needs %s", name);
    return NULL;
}

static void write_policy(place *p)
{
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_policy_write(p->policy_path, &p->policy, &err));
}

static void link_tools(place *p)
{
    static const char *const names[] = {"gcc", "cc", "g++",   "c++", "gfortran", "cpp",
                                        "as",  "ld", "rustc", "c99", NULL};
    iw_cleanup_free char *wrapper = iw_path_join(p->helpers, "iw-cc");
    if (access(wrapper, X_OK) != 0) fail_msg("IW_HELPERS names the folder with iw-cc");
    for (size_t i = 0; names[i]; i++) {
        iw_cleanup_free char *tool = find_program(names[i]),
                             *real = iw_path_join3(p->folder, "real", names[i]),
                             *name = iw_path_join3(p->folder, "bin", names[i]);
        assert_int_equal(symlink(tool, real), 0);
        assert_int_equal(symlink(wrapper, name), 0);
    }
}

static int setup(void **state)
{
    static const char *const folders[] = {"bin", "real", "src", "cache", "home", NULL};
    place *p = iw_alloc(sizeof *p);
    if (iw_temporary_folder("/tmp", "iw-cc-", &p->folder, NULL) != 0) return -1;
    for (size_t i = 0; folders[i]; i++) {
        iw_cleanup_free char *path = iw_path_join(p->folder, folders[i]);
        if (mkdir(path, 0755) != 0) return -1;
    }
    *state = p;
    p->source = iw_path_join(p->folder, "src");
    p->policy_path = iw_path_join(p->folder, "policy");
    p->helpers = iw_strdup(getenv("IW_HELPERS") ? getenv("IW_HELPERS") : "/nonexistent");
    p->policy = (iw_policy){.assembler_march = iw_strdup("amdfam10+cx16+cmov+clflush+ibt"),
                            .rust_cpu = iw_strdup("amdfam10"),
                            .source = iw_strdup(p->source),
                            .log = iw_path_join(p->folder, "log"),
                            .real = iw_path_join(p->folder, "real"),
                            .toolchain = iw_strdup("test")};
    static const char *const flags[] = {"-march=amdfam10", "-msse2",      "-msse3",
                                        "-mno-ssse3",      "-mno-sse4.1", "-mno-avx",
                                        "-mno-avx2",       "-mno-fma",    NULL};
    iw_strings_add_all(&p->policy.flags, flags);
    iw_strings_add_format(&p->policy.maps, "%s=.", p->source);
    link_tools(p);
    write_policy(p);
    return 0;
}

static int teardown(void **state)
{
    place *p = *state;
    iw_remove_tree(p->folder, NULL);
    iw_policy_clear(&p->policy);
    free(p->folder), free(p->source), free(p->policy_path), free(p->helpers), free(p->said);
    free(p);
    return 0;
}

static void put(place *p, const char *name, const char *text)
{
    kit_text(p->source, name, text);
}

static void clean_environment(const place *p, iw_strings *out)
{
    static const char *const kept[] = {"HOME", "RUSTUP_HOME", "CARGO_HOME",
                                       NULL}; /* rustup's rustc wants its own */
    iw_strings_add_format(out, "PATH=%s/bin:/usr/bin:/bin", p->folder);
    iw_strings_add_format(out, "IRONWHEEL_POLICY=%s", p->policy_path);
    iw_strings_add_format(out, "IRONWHEEL_BROKER=%s",
                          p->broker ? p->broker : "/nonexistent/broker");
    iw_strings_add(out, "LC_ALL=C.UTF-8");
    for (size_t i = 0; kept[i]; i++)
        if (getenv(kept[i])) iw_strings_add_format(out, "%s=%s", kept[i], getenv(kept[i]));
    if (p->cached) iw_strings_add_format(out, "IRONWHEEL_OBJECTS=%s/cache", p->folder);
}

static pid_t start(place *p, const char *script, int out)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings environment = {0};
    clean_environment(p, &environment);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    pid_t pid;
    kit_ok(iw_spawn(&(iw_command){.argv = argv,
                                  .environment = (const char *const *)environment.items,
                                  .folder = p->source,
                                  .in = -1,
                                  .out = out,
                                  .error = out,
                                  .own_group = true},
                    &pid, &err));
    return pid;
}

/* Runs it in src with the wrapper in front; its exit status; p->said. */
static int run(place *p, const char *script)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(p->folder, "said");
    iw_cleanup_fd int out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int status;
    kit_ok(iw_wait(start(p, script, out), &status, &err));
    free(p->said);
    kit_ok(iw_read_file(path, 16 << 20, &p->said, NULL, &err));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void ok(place *p, const char *script)
{
    int status = run(p, script);
    if (status) fail_msg("status %d of: %s\n%s", status, script, p->said);
}

static void fails(place *p, const char *script, const char *part)
{
    if (run(p, script) == 0) fail_msg("worked: %s\n%s", script, p->said);
    kit_has(p->said, part);
}

/* VEX and EVEX instructions in the file's code, by objdump. */
static int count_avx(place *p, const char *file)
{
    iw_cleanup_free char *script = iw_format(
        "/usr/bin/objdump -d --no-show-raw-insn %s > dump && grep -c 'ret' dump >/dev/null && "
        "grep -cE '[[:space:]]v[a-z0-9]+[[:space:]].*%%[xyz]mm|[[:space:]]vzero' dump || true",
        file);
    ok(p, script);
    return atoi(p->said);
}

static void no_avx(place *p, const char *file)
{
    int count = count_avx(p, file);
    if (count) fail_msg("%d AVX instructions in %s", count, file);
    iw_cleanup_free char *dump = kit_read(p->source, "dump", NULL);
    kit_has(dump, "ret"); /* there was code */
}

static char *read_log(place *p)
{
    iw_error err = IW_ERROR_INIT;
    char *text = NULL;
    if (!iw_exists(p->policy.log)) return iw_strdup("");
    kit_ok(iw_read_file(p->policy.log, 1 << 20, &text, NULL, &err));
    return text;
}

static void logged(place *p, const char *line)
{
    iw_cleanup_free char *text = read_log(p), *all = iw_format("\n%s", text),
                         *whole = iw_format("\n%s\n", line);
    kit_has(all, whole);
}

static int count_logged(place *p, const char *word)
{
    iw_cleanup_free char *text = read_log(p);
    iw_slice rest = iw_slice_of(text), line;
    int count = 0;
    while (iw_slice_next(&rest, '\n', &line))
        count += line.length >= strlen(word) && memcmp(line.data, word, strlen(word)) == 0;
    return count;
}

/* --- ways to ask for AVX -------------------------------------------------- */

/* The counting sees AVX where there is some: without the wrapper. */
static void test_control(void **state)
{
    place *p = *state;
    put(p, "a.c", AVX_LOOP);
    put(p, "b.s", AVX_ASSEMBLER);
    ok(p, "PATH=/usr/bin:/bin; gcc -O3 -mavx2 -c a.c -o a.o; /usr/bin/as b.s -o b.o; gcc -O3 "
          "-mavx512f -mprefer-vector-width=512 -c a.c -o c.o");
    assert_true(count_avx(p, "a.o") > 3);
    assert_int_equal(count_avx(p, "b.o"), 1);
    assert_true(count_avx(p, "c.o") > 3);
}

static void test_arguments(void **state)
{
    place *p = *state;
    static const char *const flags[] = {"-mavx2 -mfma",
                                        "-march=native",
                                        "-march=haswell",
                                        "-march=x86-64-v3 -mtune=haswell",
                                        "-mavx512f",
                                        "--machine-avx2",
                                        "-Wa,-march=haswell -mavx",
                                        "-msse2avx",
                                        "-Wa,-msse2avx",
                                        "-Xassembler -msse2avx",
                                        "-Wp,-mavx2",
                                        NULL};
    put(p, "a.c", AVX_LOOP);
    for (size_t i = 0; flags[i]; i++) {
        iw_cleanup_free char *script = iw_format("gcc -O3 %s -c a.c -o a.o", flags[i]);
        ok(p, script);
        no_avx(p, "a.o");
    }
    static const char *const lines[] = {"removed -mavx2",
                                        "removed -mfma",
                                        "removed -march=native",
                                        "removed -march=haswell",
                                        "removed -march=x86-64-v3",
                                        "removed -mtune=haswell",
                                        "removed -mavx512f",
                                        "removed -Wa,-march=haswell",
                                        "removed -msse2avx",
                                        "removed -Wa,-msse2avx",
                                        "removed -Xassembler -msse2avx",
                                        "removed -Wp,-mavx2",
                                        NULL};
    for (size_t i = 0; lines[i]; i++) logged(p, lines[i]);
}

/* No macro tells the sources that they might. */
static void test_macros(void **state)
{
    place *p = *state;
    put(p, "a.c",
        "#if defined __AVX__ || defined __AVX2__ || defined __FMA__ || defined __SSE4_1__ || "
        "defined __SSSE3__ || !defined __SSE3__\n#error wrong\n#endif\n");
    ok(p, "gcc -march=native -mavx2 -mssse3 -mno-sse3 -c a.c && gcc -E -mavx2 a.c && cpp -mavx2 "
          "a.c && g++ -x c++ -mfma -fsyntax-only a.c");
    ok(p, "gcc -march=native -dM -E -x c /dev/null");
    kit_has(p->said, "__amdfam10__");
    kit_has_not(p->said, "__AVX__");
}

static void test_response_file(void **state)
{
    place *p = *state;
    put(p, "a.c", AVX_LOOP);
    put(p, "outer", "-O3 '-mavx2' @inner");
    put(p, "inner", "\"-march=haswell\"\n-c a.c");
    ok(p, "gcc @outer -o a.o");
    no_avx(p, "a.o");
    logged(p, "removed -mavx2");
    logged(p, "removed -march=haswell");
    put(p, "self", "@self");
    fails(p, "gcc @self", "deep");
}

static void test_makefile(void **state)
{
    place *p = *state;
    put(p, "a.c", AVX_LOOP);
    put(p, "main.c",
        "void add(float *, const float *);\nint main(void) { static float a[1024], b[1024]; add(a, "
        "b); return 0; }\n");
    put(p, "Makefile",
        "CFLAGS := -O3 -mavx2 -march=native\nprog: main.o a.o\n\t$(CC) $(CFLAGS) -o $@ $^\n");
    ok(p, "make prog && ./prog");
    no_avx(p, "a.o");
    no_avx(p, "main.o");
    assert_int_equal(count_logged(p, "removed -mavx2"), 3);
    assert_int_equal(count_logged(p, "removed -march=native"), 3);
}

static void test_cmake(void **state)
{
    place *p = *state;
    iw_cleanup_free char *cmake = find_program("cmake");
    put(p, "a.c", AVX_LOOP);
    put(p, "b.cpp", AVX_LOOP "int unused;\n");
    put(p, "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(x C CXX)\nadd_library(x STATIC "
        "a.c)\ntarget_compile_options(x PRIVATE -O3 -mavx2 -march=haswell)\n");
    iw_cleanup_free char *script =
        iw_format("'%s' -S . -B build -G 'Unix Makefiles' && make -C build", cmake);
    ok(p, script);
    no_avx(p, "build/CMakeFiles/x.dir/a.c.o");
    logged(p, "removed -mavx2");
    logged(p, "removed -march=haswell");
}

static void test_fortran(void **state)
{
    place *p = *state;
    put(p, "a.f90",
        "subroutine add(a, b)\n  real :: a(1024), b(1024)\n  a = a * b + b\nend subroutine\n");
    put(p, "b.f",
        "      SUBROUTINE ADDF(A, B)\n      REAL A(1024), B(1024)\n      A = A * B + B\n      "
        "END\n");
    ok(p, "gfortran -O3 -mavx2 -march=native -c a.f90 && gfortran -Ofast -march=haswell -c b.f -o "
          "b.o");
    no_avx(p, "a.o");
    no_avx(p, "b.o");
    logged(p, "removed -mavx2");
    logged(p, "removed -march=haswell");
}

static void test_other_names(void **state)
{
    place *p = *state;
    put(p, "a.c", AVX_LOOP);
    put(p, "a.cpp",
        "extern \"C\" void add(float *__restrict a, const float *__restrict b) { for (int i = 0; i "
        "< 1024; i++) a[i] += b[i]; }\n");
    ok(p, "cc -O3 -mavx2 -c a.c -o a.o && g++ -O3 -mavx2 -c a.cpp -o b.o && c++ -O3 -march=native "
          "-c a.cpp -o c.o && c99 -O3 -mavx2 -c a.c -o d.o");
    no_avx(p, "a.o"), no_avx(p, "b.o"), no_avx(p, "c.o"), no_avx(p, "d.o");
}

static void test_rust(void **state)
{
    place *p = *state;
    put(p, "a.rs",
        "#![no_std]\n#[no_mangle]\npub fn add(a: &mut [f32; 1024], b: &[f32; 1024]) { for i in "
        "0..1024 { a[i] = a[i] * b[i] + b[i]; } }\n");
    ok(p, "rustc --crate-type=lib --emit=obj -C opt-level=3 -C target-cpu=native -C "
          "target-feature=+avx2,+fma a.rs -o a.o");
    no_avx(p, "a.o");
    put(p, "r",
        "--crate-type=lib\n--emit=obj\n-Copt-level=3\n-Ctarget-cpu=haswell\na.rs\n-o\nb.o\n");
    ok(p, "rustc @r");
    no_avx(p, "b.o");
    logged(p, "removed target-cpu=native");
    logged(p, "removed target-feature=+avx2");
    logged(p, "removed target-cpu=haswell");
    ok(p, "rustc -C target-cpu=native --print cfg");
    kit_has(p->said, "target_feature=\"lzcnt\""); /* of those beyond x86-64 that the rustc of Debian
                                                     12 (1.63) knows */
    kit_has_not(p->said, "target_feature=\"avx\"");
    ok(p, "rustc -vV");
}

/* The wrapper is bound over the compiler's own path, as in the sandbox; the real one stands
 * elsewhere. */
static void test_hard_coded(void **state)
{
    place *p = *state;
    char driver[4096];
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *bwrap = find_program("bwrap"),
                         *real = iw_path_join3(p->folder, "real", "gcc");
    assert_non_null(realpath("/usr/bin/gcc", driver));
    unlink(real);
    kit_ok(iw_copy_file(driver, real, &err));
    put(p, "a.c", AVX_LOOP);
    put(p, "Makefile", "CC = /usr/bin/gcc\na.o: a.c\n\t$(CC) -O3 -mavx2 -c a.c\n");
    iw_cleanup_free char *script =
        iw_format("'%s' --dev-bind / / --ro-bind '%s/iw-cc' '%s' sh -c 'make a.o && env -u PATH "
                  "/usr/bin/gcc -O3 -march=haswell -c a.c -o b.o'",
                  bwrap, p->helpers, driver);
    ok(p, script);
    no_avx(p, "a.o");
    no_avx(p, "b.o");
    logged(p, "removed -mavx2");
    logged(p, "removed -march=haswell");
}

/* --- what flags can't reach ----------------------------------------------- */

#define REFUSED " holds instructions outside the profile"

static void test_attribute(void **state)
{
    place *p = *state;
    put(p, "dir/simd.c", AVX_ATTRIBUTE);
    fails(p, "gcc -O3 -c dir/simd.c -o simd.o", "dir/simd.c" REFUSED);
    kit_has(p->said, "allow-isa");
    fails(p, "gcc -O3 -pipe -c dir/simd.c -o simd.o", "dir/simd.c" REFUSED);
    fails(p, "test -e simd.o", "");
    logged(p, "refused dir/simd.c");
    put(p, "pragma.c", "#pragma GCC target(\"avx512f\")\n" AVX_LOOP);
    fails(p, "gcc -O3 -c pragma.c", "pragma.c" REFUSED);
    put(p, "inline.c", "void f(void) { __asm__(\"vzeroupper\"); }\n");
    fails(p, "gcc -c inline.c", "inline.c" REFUSED);
    put(p, "intrinsic.c",
        "#include <immintrin.h>\n__m256 f(__m256 a) { return _mm256_add_ps(a, a); }\n");
    fails(p, "gcc -c intrinsic.c", "intrinsic.c" REFUSED);
    put(p, "main.c", "int main(void) { return 0; }\n");
    fails(p, "gcc -O3 main.c dir/simd.c -o prog", "one of main.c, dir/simd.c" REFUSED);
    put(p, "broken.c", "int f(\n");
    fails(p, "gcc -c broken.c", "error");
    kit_has_not(p->said, "outside the profile");
}

static void test_assembler_file(void **state)
{
    place *p = *state;
    put(p, "simd.s", AVX_ASSEMBLER);
    put(p, "simd.S", AVX_ASSEMBLER);
    put(p, "simd.inc", AVX_ASSEMBLER);
    put(p, "plain.S", PLAIN_ASSEMBLER);
    fails(p, "gcc -c simd.S", "simd.S" REFUSED);
    fails(p, "gcc -march=haswell -Wa,-march=haswell -c simd.s", "simd.s" REFUSED);
    fails(p, "gcc -x assembler -c simd.inc -o simd.o", "simd.inc" REFUSED);
    fails(p, "gcc -x assembler-with-cpp -c - -o simd.o < simd.inc", "standard input" REFUSED);
    fails(p, "as -march=haswell simd.s -o simd.o", "simd.s" REFUSED);
    fails(p, "as -march=haswell -o simd.o < simd.s", "outside the profile");
    fails(p, "test -e simd.o", "");
    ok(p, "gcc -mavx2 -c plain.S && as -march=haswell plain.S -o as.o");
    no_avx(p, "plain.o");
    no_avx(p, "as.o");
}

/* `.arch` in the text would undo -march. */
static void test_arch_directive(void **state)
{
    place *p = *state;
    put(p, "a.s", "\t.arch .avx2\n" AVX_ASSEMBLER);
    put(p, "a.c", "__asm__(\".arch znver3\");\n" AVX_LOOP);
    put(p, "fine.c", "const char *text = \".arch haswell\"; /* .arch haswell */\n");
    fails(p, "as a.s -o a.o", "a.s" REFUSED);
    fails(p, "as -I . --defsym X=1 -o a.o - < a.s", "standard input" REFUSED);
    fails(p, "gcc -c a.s", "a.s" REFUSED);
    fails(p, "gcc -x assembler -c - -o a.o < a.s", "standard input" REFUSED);
    fails(p, "gcc -pipe -c a.c", "a.c" REFUSED);
    ok(p, "gcc -g -c fine.c");
    ok(p, "as --version && as -o b.o < /dev/null");
}

static void test_allowed(void **state)
{
    place *p = *state;
    iw_strings_add(&p->policy.allow, "simd/*");
    write_policy(p);
    put(p, "simd/a.c", AVX_LOOP);
    put(p, "simd/b.S", AVX_ASSEMBLER);
    put(p, "simd/c.s", ".arch .avx\n" AVX_ASSEMBLER);
    put(p, "simd/d.c", AVX_ATTRIBUTE);
    put(p, "other.c", AVX_LOOP);
    put(p, "other.S", AVX_ASSEMBLER);
    ok(p, "gcc -O3 -mavx2 -c simd/a.c -o a.o; gcc -c simd/b.S -o b.o; as simd/c.s -o c.o; gcc -O3 "
          "-c simd/d.c -o d.o; gcc -O3 -mavx2 -c other.c -o other.o; "
          "mkdir build; cd build; gcc -O3 -mavx2 -c ../simd/a.c");
    assert_true(count_avx(p, "a.o") > 3);
    assert_int_equal(count_avx(p, "b.o"), 1);
    assert_int_equal(count_avx(p, "c.o"), 1);
    assert_true(count_avx(p, "d.o") > 3);
    assert_true(count_avx(p, "build/a.o") > 3);
    no_avx(p, "other.o");
    fails(p, "gcc -c other.S", "other.S" REFUSED);
    ok(p, "gcc -O3 -march=native -c simd/a.c -o native.o"); /* the builder's CPU is nobody's
                                                               business */
    no_avx(p, "native.o");
}

static void test_denied(void **state)
{
    place *p = *state;
    p->policy.deny = true;
    write_policy(p);
    put(p, "conftest.c", AVX_LOOP);
    fails(p, "gcc -mavx2 -c conftest.c", "gcc: error: unrecognized command-line option");
    kit_has(p->said, "-mavx2");
    fails(p, "gcc -march=native -c conftest.c", "-march=native");
    fails(p, "g++ -mfma -x c++ -fsyntax-only conftest.c", "g++: error:");
    fails(p, "test -e conftest.o", "");
    logged(p, "denied error: unrecognized command-line option \xe2\x80\x98-mavx2\xe2\x80\x99");
    ok(p, "gcc -O3 -msse2 -mtune=haswell -mno-avx512f -c conftest.c");
    no_avx(p, "conftest.o");
}

/* --- the object cache ----------------------------------------------------- */

static char *hash_of(place *p, const char *files)
{
    iw_cleanup_free char *script = iw_format("cat %s | sha256sum", files);
    ok(p, script);
    return iw_strndup(p->said, 64);
}

static void test_cache(void **state)
{
    place *p = *state;
    put(p, "a.h", "#define N 1024\n");
    put(p, "a.c",
        "#include \"a.h\"\n#warning said\nvoid add(float *a) { for (int i = 0; i < N; i++) a[i] += "
        "1; }\n");
    ok(p, "gcc -g -O2 -c a.c -o a.o"); /* without the cache */
    iw_cleanup_free char *plain = hash_of(p, "a.o");
    p->cached = true;
    usleep(20000);
    ok(p, "rm a.o; gcc -g -O2 -c a.c -o a.o");
    iw_cleanup_free char *first = hash_of(p, "a.o");
    assert_int_equal(count_logged(p, "miss a.c"), 1);
    ok(p, "rm a.o; gcc -g -O2 -c a.c -o a.o");
    kit_has(p->said, "#warning said"); /* said again */
    iw_cleanup_free char *second = hash_of(p, "a.o");
    assert_int_equal(count_logged(p, "hit a.c"), 1);
    assert_string_equal(first, plain);
    assert_string_equal(second, plain);
    ok(p, "ls -A; test ! -e a.o.iw-* && test ! -e a.d");
    put(p, "a.h", "#define N 2048\n");
    usleep(20000);
    ok(p, "gcc -g -O2 -c a.c -o a.o");
    iw_cleanup_free char *third = hash_of(p, "a.o");
    assert_string_not_equal(third, plain);
    assert_int_equal(count_logged(p, "miss a.c"), 2);
    put(p, "a.h", "#define N 1024\n");
    usleep(20000);
    ok(p, "gcc -g -O2 -c a.c -o a.o");
    iw_cleanup_free char *fourth = hash_of(p, "a.o");
    assert_string_equal(fourth, plain);
}

/* What a precompiled header was made of is read by all that include it. */
static void test_cache_precompiled(void **state)
{
    place *p = *state;
    p->cached = true;
    put(p, "b.h", "#define ANSWER 1\n");
    put(p, "a.h", "#include \"b.h\"\n");
    put(p, "a.c", "int answer(void) { return ANSWER; }\nint printf(const char *, ...);\n");
    put(p, "m.c", "int answer(void);\nint main(void) { return answer(); }\n");
    static const char *const script =
        "gcc -O2 -x c-header a.h -o a.h.gch && gcc -O2 -MD -MF a.d -Winvalid-pch -Werror -include "
        "$PWD/a.h -c a.c -o a.o && grep -q b.h a.d && "
        "gcc -c m.c -o m.o && gcc a.o m.o -o program";
    usleep(20000);
    ok(p, script);
    assert_int_equal(run(p, "./program"), 1);
    ok(p, script);
    assert_int_equal(count_logged(p, "hit a.c"), 1);
    put(p, "b.h", "#define ANSWER 2\n");
    usleep(20000);
    ok(p, script);
    assert_int_equal(run(p, "./program"), 2);
    assert_int_equal(count_logged(p, "hit a.c"), 1);
}

/* Libraries of Rust, as cargo has them compiled; what is linked is made again. */
static void test_cache_rust(void **state)
{
    place *p = *state;
    static const char *const script =
        "export CARGO_MANIFEST_DIR=$PWD/package CARGO_MAKEFLAGS=$$; rm -rf out; mkdir out\n"
        "rustc --crate-name b --crate-type lib --emit=dep-info,metadata,link -C opt-level=3 -C "
        "extra-filename=-2 --out-dir out -L dependency=out package/b.rs &&\n"
        "rustc --crate-name a --crate-type lib --emit=dep-info,metadata,link -C opt-level=3 -C "
        "extra-filename=-1 --out-dir out -L dependency=out --extern b=out/libb-2.rmeta "
        "package/a.rs &&\n"
        "rustc --crate-name m --crate-type bin --emit=dep-info,link --out-dir out -L "
        "dependency=out --extern a=out/liba-1.rlib package/m.rs && out/m";
    put(p, "package/b.rs", "pub fn word() -> &'static str { include_str!(\"../word\") }\n");
    put(p, "package/a.rs",
        "fn unused() {}\npub fn all() -> String { format!(\"{}{}\", b::word(), "
        "option_env!(\"MORE\").unwrap_or(\"\")) }\n");
    put(p, "package/m.rs", "fn main() { print!(\"<{}>\", a::all()) }\n");
    put(p, "word", "one");
    usleep(20000);
    ok(p, script); /* without the cache */
    iw_cleanup_free char *plain = hash_of(p, "out/*");
    p->cached = true;
    ok(p, script);
    assert_int_equal(count_logged(p, "miss"), 2);
    ok(p, script);
    kit_has(p->said, "unused"); /* said again */
    kit_has(p->said, "<one>");
    assert_int_equal(count_logged(p, "hit package/b.rs"), 1);
    assert_int_equal(count_logged(p, "hit package/a.rs"), 1);
    iw_cleanup_free char *again = hash_of(p, "out/*");
    assert_string_equal(again, plain);
    put(p, "word", "two");
    usleep(20000);
    ok(p, script);
    kit_has(p->said, "<two>"); /* b's metadata is another, so that a is compiled, too */
    assert_int_equal(count_logged(p, "hit"), 2);
    iw_cleanup_free char *more = iw_format("export MORE=x; %s", script);
    ok(p, more);
    kit_has(p->said, "<twox>");
    assert_int_equal(count_logged(p, "hit"), 3);
}

/* nvcc comes in a prefix: a recipe moves it aside and puts the wrapper in its place. This one is a
 * script that does what counts. */
static void test_cache_nvcc(void **state)
{
    place *p = *state;
    static const char *const script =
        "#!/bin/sh\n"
        "test -z \"$IRONWHEEL_SLOT$IRONWHEEL_OBJECTS\" || exit 7\n"
        "echo x >> runs; echo 'a.o : a.cu \\\n    a.cuh' > a.d; cat a.cu a.cuh > a.o; "
        "echo said >&2\n";
    static const char *const parts[] = {"nvcc.profile", "cudafe++", "fatbinary", "ptxas"};
    put(p, "cuda/bin/nvcc.real", script);
    put(p, "cuda/nvvm/bin/cicc", "c");
    for (size_t i = 0; i < 4; i++) {
        iw_cleanup_free char *name = iw_format("cuda/bin/%s", parts[i]);
        put(p, name, parts[i]);
    }
    put(p, "a.cu", "source\n");
    put(p, "a.cuh", "header\n");
    ok(p, "chmod +x cuda/bin/nvcc.real && ln -s $(command -v gcc) cuda/bin/nvcc");
    usleep(20000);
    p->cached = true;
    static const char *const compile =
        "rm -f a.o a.d; PATH=$PWD/cuda/bin:$PATH; %s -O3 -forward-unknown-to-host-compiler "
        "-isystem=/x -MD -MT a.o -MF a.d -x cu -c a.cu -o a.o && wc -l < runs";
    iw_cleanup_free char *by_path = iw_format(compile, "cuda/bin/nvcc"),
                         *by_name = iw_format(compile, "nvcc"),
                         *other = iw_format(compile, "NVCC_APPEND_FLAGS=-G nvcc");
    ok(p, by_path);
    assert_string_equal(p->said, "said\n1\n");
    ok(p, by_path);
    assert_string_equal(p->said, "said\n1\n");
    ok(p, by_name);
    assert_string_equal(p->said, "said\n1\n");
    ok(p, "grep -q source a.o && grep -q header a.o && grep -q a.cuh a.d");
    ok(p, other);
    assert_string_equal(p->said, "said\n2\n");
    put(p, "a.cuh", "another\n");
    usleep(20000);
    ok(p, by_path);
    assert_string_equal(p->said, "said\n3\n");
    put(p, "cuda/nvvm/bin/cicc", "another");
    ok(p, by_path);
    assert_string_equal(p->said, "said\n4\n");
    static const char *const others[] = {"-c a.cu -o a.o",
                                         "-MD -MT a.o -MF a.d -c a.cu -o a.o --keep",
                                         "-MD -MT a.o -MF a.d -ptx a.cu -o a.o",
                                         "-MD -MT a.o -MF a.d -c a.cu b.cu -o a.o", "--version"};
    for (int i = 0; i < 10; i++) { /* each twice: never from the cache */
        iw_cleanup_free char *line = iw_format("cuda/bin/nvcc %s && wc -l < runs", others[i / 2]),
                             *wanted = iw_format("said\n%d\n", 5 + i);
        ok(p, line);
        assert_string_equal(p->said, wanted);
    }
    fails(p, "mv cuda/bin/nvcc.real x; PATH=$PWD/cuda/bin:$PATH; nvcc -V", "no nvcc.real");
}

static void test_cache_damage(void **state)
{
    place *p = *state;
    p->cached = true;
    put(p, "a.c", AVX_LOOP);
    usleep(20000);
    ok(p, "gcc -c a.c -o a.o");
    iw_cleanup_free char *good = hash_of(p, "a.o");
    static const char *const damages[] = {"truncate -s 300", "truncate -s 0", "sed -i s/ELF/FLE/",
                                          "dd if=/dev/zero bs=1 count=4 seek=200 conv=notrunc of="};
    for (size_t i = 0; i < 4; i++) {
        iw_cleanup_free char *script = iw_format(
            "f=$(echo ../cache/*/*); chmod u+w $f; %s%s$f 2>/dev/null; rm a.o; gcc -c a.c -o a.o",
            damages[i], iw_ends_with(damages[i], "=") ? "" : " ");
        ok(p, script);
        iw_cleanup_free char *again = hash_of(p, "a.o");
        assert_string_equal(again, good);
        assert_int_equal(count_logged(p, "miss"), 2 + (int)i);
    }
    ok(p, "rm a.o; gcc -c a.c -o a.o"); /* and the new entry is whole */
    assert_int_equal(count_logged(p, "hit"), 1);
}

static void test_dependency_files(void **state)
{
    place *p = *state;
    p->cached = true;
    put(p, "a.h", "");
    put(p, "sp ace.h", "");
    put(p, "a.c", "#include \"a.h\"\n#include \"sp ace.h\"\nint a;\n");
    ok(p, "/usr/bin/gcc -MD -c a.c -o o/x.o 2>/dev/null; mkdir o; /usr/bin/gcc -MD -c a.c -o o/x.o "
          "&& mv o/x.d wanted");
    usleep(20000);
    for (int i = 0; i < 2; i++) {
        ok(p, "rm -f o/*; gcc -MD -c a.c -o o/x.o && cmp o/x.d wanted && rm -f a.o a.d && gcc -MMD "
              "-MP -c a.c && test -e a.o && grep -q '^a.o: a.c' a.d && grep -q '^a.h:' a.d");
        ok(p, "gcc -MMD -MF deps/x.d -MT 'my target' -c a.c -o o/y.o || { mkdir deps; gcc -MMD -MF "
              "deps/x.d -MT 'my target' -c a.c -o o/y.o; }; grep -q '^my target: a.c' deps/x.d");
        ok(p, "gcc -MD -c a.c -o 'o/do$lar.o' && /usr/bin/gcc -MD -MF plain.d -c a.c -o "
              "'o/do$lar.o' && cmp 'o/do$lar.d' plain.d");
    }
    assert_true(count_logged(p, "hit a.c") >= 4);
    ok(p, "gcc -MMD -MF /dev/null -c a.c -o o/z.o; gcc -MMD -MF /dev/null -c a.c -o o/z.o; test -c "
          "/dev/null");
    ok(p, "gcc -Wp,-MMD,wp.d -c a.c -o o/z.o && grep -q 'a.h' wp.d");
}

static void test_cache_parallel(void **state)
{
    place *p = *state;
    p->cached = true;
    iw_buffer makefile = {0};
    iw_buffer_add_text(&makefile, "all: ");
    for (int i = 0; i < 60; i++) iw_buffer_add_format(&makefile, " o%d.o", i);
    iw_buffer_add_text(&makefile, "\no%.o: a.c\n\t@gcc -O2 -DX=1 -frandom-seed=1 -c a.c -o $@\n");
    put(p, "a.c", AVX_LOOP);
    put(p, "Makefile", makefile.data);
    iw_buffer_free(&makefile);
    usleep(20000);
    ok(p, "make -j 12 all && for f in o*.o; do cmp $f o0.o; done && rm *.o && make -j 12 all && "
          "for f in o*.o; do cmp $f o0.o; done");
    assert_true(count_logged(p, "hit a.c") >= 60);
    ok(p, "ls ../cache/* | grep -c iw- || true");
    assert_int_equal(atoi(p->said), 0); /* nothing half-written stays */
}

static void test_cache_fortran(void **state)
{
    place *p = *state;
    p->cached = true;
    put(p, "a.f", "      SUBROUTINE A(X)\n      X = 1\n      END\n");
    put(p, "b.f", "      SUBROUTINE B(X)\n      INCLUDE 'x.inc'\n      END\n");
    put(p, "x.inc", "      X = 1\n");
    usleep(20000);
    ok(p, "gfortran -c a.f; cp a.o first; rm a.o; gfortran -c a.f; cmp a.o first; gfortran -c b.f; "
          "gfortran -c b.f");
    assert_int_equal(count_logged(p, "hit a.f"), 1);
    assert_int_equal(count_logged(p, "uncached fortran"), 2);
}

/* --- files ---------------------------------------------------------------- */

static void test_side_files(void **state)
{
    place *p = *state;
    put(p, "a.c", AVX_LOOP);
    put(p, "main.c", "int main(void) { return 0; }\n");
    ok(p, "gcc -g -gsplit-dwarf -c a.c -o s.o && test -e s.dwo; gcc -fstack-usage -c a.c -o u.o && "
          "test -e u.su; gcc --coverage -c a.c -o g.o && test -e g.gcno");
    ok(p, "gcc -save-temps -c a.c -o t.o && ls *.i *.s; gcc -Wl,-Map=prog.map main.c -o prog && "
          "grep -q 'OUTPUT(prog ' prog.map");
    ok(p, "gcc -Wl,--dependency-file=link.d main.c -o prog && grep -q '^prog:' link.d");
    ok(p, "gcc -flto -O2 main.c a.c -o lto && ./lto && gcc -shared -fPIC a.c -o liba.so && gcc "
          "main.c -o prog && ./prog && test -x prog");
    ok(p, "gcc -c a.c -o /dev/null && test -c /dev/null && mkdir dir && gcc -c dir/../a.c && test "
          "-e a.o");
    put(p, "a.h", "int h(void);\n");
    put(p, "m.f90", "module m\ninteger :: i\nend module\n");
    ok(p, "gcc -c a.h && test -e a.h.gch && gfortran -c m.f90 && test -e m.mod && test -e m.o && "
          "as -o p.o /dev/null && gcc -c a.c -o sub.o && gcc -S a.c && test -e a.s");
    ok(p, "echo 'int main(void) { return 0; }' | gcc -x c - -o in && ./in && ld -r a.o -o r.o && "
          "ls | grep -c iw- || true");
    assert_int_equal(atoi(p->said), 0);
}

/* Killed in the middle of writing: no part of an object under its name. The "compiler" writes half
 * of one and waits. */
static void test_killed(void **state)
{
    place *p = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *gcc = iw_path_join3(p->folder, "real", "gcc");
    unlink(gcc);
    kit_put(p->folder, "real/gcc", "", 0);
    kit_text(p->folder, "real/gcc",
             "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\nprintf half > \"$2\"\necho half "
             ">&2\nexec sleep 100\n");
    assert_int_equal(chmod(gcc, 0755), 0);
    put(p, "a.c", AVX_LOOP);
    int said[2];
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    pid_t pid = start(p, "exec gcc -c a.c -o a.o", said[1]);
    close(said[1]);
    char text[16];
    assert_true(read(said[0], text, sizeof text) > 0); /* it has written */
    kill(pid, SIGKILL);
    int status;
    kit_ok(iw_wait(pid, &status, &err));
    struct pollfd rest = {
        .fd = said[0],
        .events = POLLIN}; /* closed when the compiler is gone, too: it dies with the wrapper */
    do assert_int_equal(poll(&rest, 1, 10000), 1);
    while (read(said[0], text, sizeof text) > 0);
    close(said[0]);
    iw_cleanup_free char *object = iw_path_join(p->source, "a.o");
    assert_false(iw_exists(object));
}

static void test_failure_leaves_nothing(void **state)
{
    place *p = *state;
    p->cached = true;
    put(p, "a.c", "int f(\n");
    fails(p, "gcc -MD -c a.c -o a.o", "error");
    ok(p, "ls | grep -c 'a\\.o' || true");
    assert_int_equal(atoi(p->said), 0);
    ok(p, "ls ../cache | wc -l");
    assert_int_equal(atoi(p->said), 0);
}

static void test_long_command_lines(void **state)
{
    place *p = *state;
    iw_buffer text = {0};
    for (int i = 0; i < 60000; i++)
        iw_buffer_add_format(&text, "-DA_RATHER_LONG_NAME_FOR_A_MACRO_%d=\"\\\"x y\\\"\"\n", i);
    put(p, "r", text.data);
    iw_buffer_clear(&text);
    iw_buffer_add_text(&text, "'-DLONG=");
    for (int i = 0; i < 200000; i++) iw_buffer_add_char(&text, 'x');
    iw_buffer_add_text(&text, "'");
    put(p, "one", text.data);
    iw_buffer_free(&text);
    put(p, "a.c", "const char *text = A_RATHER_LONG_NAME_FOR_A_MACRO_59999;\n");
    ok(p, "gcc @r -E a.c | tail -1"); /* through the preprocessor, which gets no further than the
                                         driver */
    fails(p, "gcc -mavx2 @one -c a.c -o a.o",
          ""); /* longer than the kernel takes: the real one can't, either */
    ok(p, "gcc -mavx2 -DA_RATHER_LONG_NAME_FOR_A_MACRO_59999='\"x y\"' -c a.c -o a.o");
    iw_buffer many = {0};
    for (int i = 0; i < 3000; i++) iw_buffer_add_format(&many, "-I/nonexistent/folder/%d ", i);
    iw_buffer_add_text(&many,
                       "'-DA_RATHER_LONG_NAME_FOR_A_MACRO_59999=\"a \\\\ b\"' -mavx2 -c a.c");
    put(p, "many", many.data);
    iw_buffer_free(&many);
    ok(p, "gcc @many -o b.o && strings b.o | grep -q 'a' && ls /proc/self/fd >/dev/null");
    logged(p, "removed -mavx2");
}

/* --- slots ---------------------------------------------------------------- */

static void test_slots(void **state)
{
    place *p = *state;
    iw_error err = IW_ERROR_INIT;
    iw_slots *slots = iw_slots_new(2, 1000);
    iw_broker *broker;
    iw_cleanup_free char *path = iw_path_join(p->folder, "broker"),
                         *out = iw_path_join(p->folder, "said");
    kit_ok(iw_broker_open(slots, &broker, &err));
    kit_ok(iw_broker_listen(broker, path, 1, 300, 300, &err));
    put(p, "a.c", AVX_LOOP);
    put(p, "main.c", "int main(void) { return 0; }\n");
    p->broker = path;
    int fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0644), status;
    pid_t pid = start(p,
                      "for i in 1 2 3 4 5 6 7 8; do gcc -O2 -c a.c -o $i.o & done; wait; gcc "
                      "main.c -o prog; gcc --version; gcc -E a.c",
                      fd);
    unsigned most = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct pollfd poller = {.fd = iw_broker_fd(broker), .events = POLLIN};
        if (poll(&poller, 1, 20) == 1) iw_broker_handle(broker);
        if (iw_slots_running(slots) > most) most = iw_slots_running(slots);
    }
    close(fd);
    assert_int_equal(status, 0);
    for (int i = 0; i < 10; i++) iw_broker_handle(broker);
    assert_int_equal(most, 2);
    assert_int_equal(iw_slots_running(slots), 0);
    iw_broker_count count = iw_broker_counted(broker, 1);
    assert_int_equal(count.compiles, 8); /* the assembler and the linker that a compiler starts take
                                            none: they would wait for it forever */
    assert_int_equal(count.links, 1);
    assert_true(count.compile_peak > 0 && count.compile_peak < 1000);
    iw_broker_close(broker);
    iw_slots_free(slots);
}

/* --- the rest ------------------------------------------------------------- */

static void test_questions(void **state)
{
    place *p = *state;
    ok(p, "test \"$(gcc -dumpmachine)\" = \"$(/usr/bin/gcc -dumpmachine)\" && test \"$(gcc "
          "--version)\" = \"$(/usr/bin/gcc --version)\" && "
          "test \"$(gcc -print-file-name=libc.a)\" = \"$(/usr/bin/gcc -print-file-name=libc.a)\" "
          "&& test \"$(as --version)\" = \"$(/usr/bin/as --version)\" && ld -v && gcc -v");
    assert_int_equal(run(p, "gcc -c missing.c"), 1);
    kit_has(p->said, "missing.c");
    assert_int_equal(run(p, "gcc"), 1);
}

static void test_trouble(void **state)
{
    place *p = *state;
    put(p, "a.c", AVX_LOOP);
    fails(p, "IRONWHEEL_POLICY=/nonexistent gcc -c a.c", "/nonexistent");
    kit_text(p->folder, "policy", "nonsense\n");
    fails(p, "gcc -c a.c", "a line without a value: nonsense");
    write_policy(p);
    iw_cleanup_free char *gcc = iw_path_join3(p->folder, "real", "gcc");
    unlink(gcc);
    assert_int_equal(run(p, "gcc -c a.c"), 127);
    kit_has(p->said, "can't start the real tool");
    fails(p, "test -e a.o", "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_control),
                                       T(test_arguments),
                                       T(test_macros),
                                       T(test_response_file),
                                       T(test_makefile),
                                       T(test_cmake),
                                       T(test_fortran),
                                       T(test_other_names),
                                       T(test_rust),
                                       T(test_hard_coded),
                                       T(test_attribute),
                                       T(test_assembler_file),
                                       T(test_arch_directive),
                                       T(test_allowed),
                                       T(test_denied),
                                       T(test_cache),
                                       T(test_cache_precompiled),
                                       T(test_cache_rust),
                                       T(test_cache_nvcc),
                                       T(test_cache_damage),
                                       T(test_dependency_files),
                                       T(test_cache_parallel),
                                       T(test_cache_fortran),
                                       T(test_side_files),
                                       T(test_killed),
                                       T(test_failure_leaves_nothing),
                                       T(test_long_command_lines),
                                       T(test_slots),
                                       T(test_questions),
                                       T(test_trouble)};
    return cmocka_run_group_tests_name("wrapper", tests, NULL, NULL);
}
