/* Profiles against the tools that they talk about: gcc's own list of features, GNU as, and the
 * emulator's models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "base/text.h"
#include "recipe/features.h"
#include "recipe/recipe.h"

static iw_catalog *open_tree(void)
{
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    if (iw_catalog_open(".", &catalog, &err)) fail_msg("%s", iw_error_text(&err));
    return catalog;
}

static bool has(const iw_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0) return true;
    return false;
}

/* "  -msse3    [enabled]": the option without -m, and its state; false for other lines. */
static bool option_line(iw_slice line, char name[64], bool *enabled)
{
    line = iw_slice_trim(line);
    if (line.length < 4 || memcmp(line.data, "-m", 2) != 0) return false;
    size_t length = 0;
    while (2 + length < line.length && !strchr(" \t=", line.data[2 + length])) length++;
    if (length >= 63 || 2 + length >= line.length || line.data[2 + length] == '=') return false;
    memcpy(name, line.data + 2, length);
    name[length] = '\0';
    iw_slice rest = iw_slice_trim((iw_slice){line.data + 2 + length, line.length - 2 - length});
    *enabled = iw_slice_equal(rest, "[enabled]");
    return *enabled || iw_slice_equal(rest, "[disabled]");
}

/* gcc's idea of the target under these flags: names of all boolean -m options, and of those
 * switched on. */
static void ask_gcc(const char *const *before, const iw_list *flags, iw_strings *all,
                    iw_strings *on)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings argv = {0};
    iw_cleanup_free char *text = NULL;
    iw_strings_add(&argv, "gcc");
    iw_strings_add_all(&argv, before);
    for (size_t i = 0; flags && i < flags->count; i++) iw_strings_add(&argv, flags->items[i]);
    iw_strings_add(&argv, "-Q");
    iw_strings_add(&argv, "--help=target");
    if (iw_run_capture((const char *const *)argv.items, NULL, 1 << 20, &text, NULL, &err))
        fail_msg("%s", iw_error_text(&err));
    iw_slice rest = iw_slice_of(text), line;
    char name[64];
    bool enabled;
    while (iw_slice_next(&rest, '\n', &line))
        if (option_line(line, name, &enabled)) {
            iw_strings_add(all, name);
            if (enabled) iw_strings_add(on, name);
        }
}

static int gcc_major(void)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    const char *const argv[] = {"gcc", "-dumpversion", NULL};
    if (iw_run_capture(argv, NULL, 4096, &text, NULL, &err)) fail_msg("%s", iw_error_text(&err));
    return atoi(text);
}

/* Options that are no instruction-set features: code models, ABI, tuning. New ones of a newer gcc
 * must be looked at by a person. */
static const char *const others[] = {"128bit-long-double",
                                     "16",
                                     "32",
                                     "64",
                                     "80387",
                                     "8bit-idiv",
                                     "96bit-long-double",
                                     "accumulate-outgoing-args",
                                     "align-double",
                                     "align-stringops",
                                     "android",
                                     "avx256-split-unaligned-load",
                                     "avx256-split-unaligned-store",
                                     "bionic",
                                     "call-ms2sysv-xlogues",
                                     "cet-switch",
                                     "cld",
                                     "direct-extern-access",
                                     "dispatch-scheduler",
                                     "dump-tune-features",
                                     "fancy-math-387",
                                     "fentry",
                                     "force-drap",
                                     "force-indirect-call",
                                     "fp-ret-in-387",
                                     "general-regs-only",
                                     "glibc",
                                     "hard-float",
                                     "iamcu",
                                     "ieee-fp",
                                     "indirect-branch-cs-prefix",
                                     "indirect-branch-register",
                                     "inline-all-stringops",
                                     "inline-stringops-dynamically",
                                     "long-double-128",
                                     "long-double-64",
                                     "long-double-80",
                                     "manual-endbr",
                                     "mitigate-rop",
                                     "mpx",
                                     "ms-bitfields",
                                     "musl",
                                     "needed",
                                     "no-align-stringops",
                                     "no-default",
                                     "no-fancy-math-387",
                                     "no-push-args",
                                     "no-red-zone",
                                     "no-sse4",
                                     "nop-mcount",
                                     "omit-leaf-frame-pointer",
                                     "pc32",
                                     "pc64",
                                     "pc80",
                                     "pcommit",
                                     "push-args",
                                     "recip",
                                     "record-mcount",
                                     "record-return",
                                     "red-zone",
                                     "relax-cmpxchg-loop",
                                     "rtd",
                                     "skip-rax-setup",
                                     "soft-float",
                                     "sse2avx",
                                     "sse4",
                                     "sseregparm",
                                     "stack-arg-probe",
                                     "stackrealign",
                                     "stv",
                                     "tls-direct-seg-refs",
                                     "uclibc",
                                     "vect8-ret-in-mem",
                                     "vzeroupper",
                                     "x32"};

static bool other(const char *name)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i], name) == 0) return true;
    return false;
}

static void test_features_are_gccs(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings all = {0}, on = {0};
    size_t count;
    const char *const *features = iw_features(&count);
    ask_gcc(NULL, NULL, &all, &on);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(features[i - 1], features[i]) < 0);
        assert_true(iw_feature_known(features[i]));
        if (!iw_strings_has(&all, features[i])) fail_msg("gcc has no -m%s", features[i]);
    }
    assert_null(features[count]);
    assert_false(iw_feature_known("sse9"));
    for (const char *const *name = iw_features_beyond(); *name; name++) {
        assert_true(name == iw_features_beyond() || strcmp(name[-1], *name) < 0);
        assert_true(iw_feature_named(*name) && !iw_feature_known(*name));
    }
    for (size_t i = 0; i < all.count && gcc_major() == 12; i++)
        if (!iw_feature_known(all.items[i]) && !other(all.items[i]))
            fail_msg("-m%s is neither a feature nor known to be none", all.items[i]);
}

/* Whatever stood before the profile's flags, what is on afterwards is what the profile allows. */
static void hold_against_gcc(const iw_profile *profile, const char *const *before)
{
    iw_cleanup_strings iw_strings all = {0}, on = {0};
    size_t count;
    const char *const *features = iw_features(&count);
    ask_gcc(before, &profile->flags, &all, &on);
    for (size_t i = 0; i < count; i++)
        if (iw_strings_has(&on, features[i]) != has(&profile->usable, features[i]))
            fail_msg("%s: %s is %s", profile->name, features[i],
                     iw_strings_has(&on, features[i]) ? "on" : "off");
}

static void test_profiles_against_gcc(void **state)
{
    (void)state;
    iw_catalog *catalog = open_tree();
    iw_list names;
    const iw_profile *profile;
    static const char *const hostile[] = {"-mavx512f", "-mavx2",    "-mfma", "-mbmi2",
                                          "-mno-sse2", "-mno-sse3", NULL};
    assert_int_equal(iw_catalog_profiles(catalog, &names, NULL), 0);
    assert_true(names.count >= 9);
    for (size_t i = 0; i < names.count; i++) {
        assert_int_equal(iw_catalog_profile(catalog, names.items[i], &profile, NULL), 0);
        hold_against_gcc(profile, NULL);
        hold_against_gcc(profile, hostile);
    }
    iw_catalog_free(catalog);
}

/* The CPUs that gcc has a name for allow what gcc thinks that they have. Bulldozer leaves some out
 * on purpose. */
static void test_named_cpus(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"k10", "-march=amdfam10"},
                                           {"core2", "-march=core2"},
                                           {"nehalem", "-march=nehalem"},
                                           {"sandybridge", "-march=sandybridge"},
                                           {"x86-64", "-march=x86-64"},
                                           {"x86-64-v3", "-march=x86-64-v3"}};
    iw_catalog *catalog = open_tree();
    const iw_profile *profile;
    size_t count;
    const char *const *features = iw_features(&count);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        iw_cleanup_strings iw_strings all = {0}, on = {0};
        const char *const before[] = {pairs[i][1], NULL};
        ask_gcc(before, NULL, &all, &on);
        assert_int_equal(iw_catalog_profile(catalog, pairs[i][0], &profile, NULL), 0);
        assert_string_equal(profile->flags.items[0], pairs[i][1]);
        for (size_t k = 0; k < count; k++)
            if (iw_strings_has(&on, features[k]) != has(&profile->features, features[k]))
                fail_msg("%s and %s differ in %s", pairs[i][0], pairs[i][1], features[k]);
    }
    iw_catalog_free(catalog);
}

/* facts: what AMD family 10h has, word for word. */
static void test_k10(void **state)
{
    (void)state;
    static const char *const expected[] = {"3dnow", "3dnowa", "abm",   "cx16",   "fxsr",
                                           "lzcnt", "mmx",    "mwait", "popcnt", "prfchw",
                                           "sahf",  "sse",    "sse2",  "sse3",   "sse4a"};
    iw_catalog *catalog = open_tree();
    const iw_profile *k10;
    assert_int_equal(iw_catalog_profile(catalog, "k10", &k10, NULL), 0);
    assert_int_equal(k10->features.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < k10->features.count; i++)
        assert_string_equal(k10->features.items[i], expected[i]);
    assert_true(has(&k10->flags, "-march=amdfam10") && has(&k10->flags, "-mno-avx") &&
                has(&k10->flags, "-mno-ssse3"));
    assert_string_equal(k10->emulator_cpu, "phenom,-fxsr-opt");
    size_t count;
    iw_features(&count);
    assert_int_equal(k10->flags.count, 1 + count); /* each is said, one way or the other */
    iw_catalog_free(catalog);
}

static void test_no_avx_macro(void **state)
{
    (void)state;
    iw_catalog *catalog = open_tree();
    const iw_profile *k10;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings argv = {0};
    iw_cleanup_free char *text = NULL;
    assert_int_equal(iw_catalog_profile(catalog, "k10", &k10, NULL), 0);
    iw_strings_add_all(&argv, (const char *const[]){"gcc", "-mavx2", "-mfma", NULL});
    iw_strings_add_all(&argv, k10->flags.items);
    iw_strings_add_all(&argv, (const char *const[]){"-dM", "-E", "-x", "c", "/dev/null", NULL});
    if (iw_run_capture((const char *const *)argv.items, NULL, 1 << 20, &text, NULL, &err))
        fail_msg("%s", iw_error_text(&err));
    assert_null(strstr(text, "__AVX"));
    assert_null(strstr(text, "__FMA__"));
    assert_null(strstr(text, "__SSSE3__"));
    assert_non_null(strstr(text, "#define __SSE4A__ 1"));
    assert_non_null(strstr(text, "#define __amdfam10__ 1"));
    iw_catalog_free(catalog);
}

/* --- the assembler -------------------------------------------------------- */

static const char *const instructions[][2] = {
    /* clang-format off */
    {"sse2", "paddd %xmm0,%xmm1"},   {"sse3", "addsubps %xmm0,%xmm1"},       {"ssse3", "pabsb %xmm0,%xmm1"},
    {"sse4.1", "ptest %xmm0,%xmm1"}, {"sse4.2", "pcmpgtq %xmm0,%xmm1"},      {"sse4a", "extrq %xmm0,%xmm1"},
    {"crc32", "crc32l %eax,%ebx"},   {"popcnt", "popcnt %eax,%ebx"},         {"lzcnt", "lzcnt %eax,%ebx"},
    {"cx16", "cmpxchg16b (%rax)"},   {"fxsr", "fxsave (%rax)"},              {"3dnow", "pfadd %mm0,%mm1"},
    {"3dnowa", "pswapd %mm0,%mm1"},  {"prfchw", "prefetchw (%rax)"},         {"aes", "aesenc %xmm0,%xmm1"},
    {"pclmul", "pclmulqdq $0,%xmm0,%xmm1"}, {"avx", "vaddps %ymm0,%ymm1,%ymm2"}, {"avx2", "vpaddd %ymm0,%ymm1,%ymm2"},
    {"fma", "vfmadd132ps %ymm0,%ymm1,%ymm2"}, {"fma4", "vfmaddps %ymm0,%ymm1,%ymm2,%ymm3"}, {"xop", "vphaddbw %xmm0,%xmm1"},
    {"lwp", "llwpcb %rax"},          {"f16c", "vcvtph2ps %xmm0,%ymm1"},      {"bmi", "andn %eax,%ebx,%ecx"},
    {"bmi2", "pdep %eax,%ebx,%ecx"}, {"movbe", "movbe (%rax),%ebx"},         {"xsave", "xgetbv"},
    {"xsaveopt", "xsaveopt (%rax)"}, {"rdrnd", "rdrand %eax"},               {"fsgsbase", "rdfsbase %rax"},
    {"sse3", "fisttp (%rax)"},       {"sse3", "monitor"},
    {"avx512f", "vaddps %zmm0,%zmm1,%zmm2"}, {"sha", "sha1nexte %xmm0,%xmm1"}, {"adx", "adcx %eax,%ebx"}};

/* What every 64-bit CPU has, and compilers use. (as 2.40 knows an amdfam10 without CMOV.) */
static const char *const basics[] = {"cmovl %eax,%ebx", "fcomi %st(1),%st", "nopw 0x0(%rax,%rax,1)", "clflush (%rax)", "syscall", "rdtsc", "cpuid",
                                     "pause", "mfence", "movnti %eax,(%rbx)", "prefetcht0 (%rax)", "ud2", "rep stosb", "lock xadd %eax,(%rbx)",
                                     "cmpxchg8b (%rax)", "cvttsd2si %xmm0,%rax", "sqrtss %xmm0,%xmm1", "movmskpd %xmm0,%eax", "fxsave (%rax)",
                                     "endbr64"};

static bool assembles(const char *folder, const char *march, const char *instruction, iw_error *err)
{
    iw_cleanup_free char *source = iw_path_join(folder, "a.s"), *flag = iw_format("-march=%s", march);
    iw_cleanup_free char *line = iw_format("%s\n", instruction);
    const char *const argv[] = {"as", flag, "-o", "/dev/null", source, NULL};
    assert_int_equal(iw_write_file(source, line, strlen(line), 0600, NULL), 0);
    return iw_run_capture(argv, NULL, 4096, NULL, NULL, err) == 0;
    /* clang-format on */
}

static void hold_against_as(const char *folder, const iw_profile *profile)
{
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        iw_error err = IW_ERROR_INIT;
        bool allowed = has(&profile->features, instructions[i][0]);
        if (assembles(folder, profile->assembler_march, instructions[i][1], &err) != allowed)
            fail_msg("%s: as -march=%s %s `%s` %s", profile->name, profile->assembler_march,
                     allowed ? "refuses" : "takes", instructions[i][1], iw_error_text(&err));
        iw_error_clear(&err);
    }
}

static void hold_basics(const char *folder, const iw_profile *profile)
{
    iw_error err = IW_ERROR_INIT;
    for (size_t i = 0; i < sizeof basics / sizeof *basics; i++)
        if (!assembles(folder, profile->assembler_march, basics[i], &err))
            fail_msg("%s: as -march=%s refuses `%s` %s", profile->name, profile->assembler_march,
                     basics[i], iw_error_text(&err));
}

static void test_profiles_against_as(void **state)
{
    (void)state;
    iw_catalog *catalog = open_tree();
    iw_cleanup_free char *folder = NULL;
    iw_list names;
    const iw_profile *profile;
    assert_int_equal(iw_temporary_folder("/tmp", "iw-as-", &folder, NULL), 0);
    assert_int_equal(iw_catalog_profiles(catalog, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++) {
        assert_int_equal(iw_catalog_profile(catalog, names.items[i], &profile, NULL), 0);
        hold_against_as(folder, profile);
        hold_basics(folder, profile);
    }
    const char *pair[] = {"k10", "nehalem", NULL};
    assert_int_equal(iw_catalog_profiles_join(catalog, &(iw_list){pair, 2}, &profile, NULL), 0);
    hold_against_as(folder, profile);
    hold_basics(folder, profile);
    iw_remove_tree(folder, NULL);
    iw_catalog_free(catalog);
}

/* What gcc makes of a profile's flags, its assembler takes under the profile's -march: atomics, bit
 * counts, prefetches, vector loops. */
static const char program_source[] =
    "typedef unsigned __int128 wide;\n"
    "_Bool swap(wide *p, wide a, wide b) { return __sync_bool_compare_and_swap(p, a, b); }\n"
    "int bits(unsigned long a) { return __builtin_popcountl(a) + __builtin_clzl(a) + "
    "__builtin_ctzl(a); }\n"
    "void ahead(void *p) { __builtin_prefetch(p, 1, 3); __builtin_prefetch(p, 0, 0); }\n"
    "void scale(float *restrict a, const float *restrict b, int n) { for (int i = 0; i < n; i++) "
    "a[i] = a[i] * b[i] + 1; }\n"
    "int most(const short *a, int n) { int m = 0; for (int i = 0; i < n; i++) m = a[i] > m ? a[i] "
    ": m; return m; }\n"
    "void order(unsigned *a, int n) { for (int i = 0; i < n; i++) a[i] = __builtin_bswap32(a[i]); "
    "}\n"
    "int cut(long double a) { return (int)a; }\n"
    "long cut_double(double a, float b) { return (long)a + (long)b; }\n"
    "double round_up(double a) { return __builtin_ceil(a); }\n"
    "unsigned char first[64]; int find(const char *s) { int n = 0; while (first[n & 63] != "
    "(unsigned char)s[n]) n++; return n; }\n";

static void compile_under(const char *folder, const iw_profile *profile)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings argv = {0};
    iw_cleanup_free char *source = iw_path_join(folder, "p.c"),
                         *march = iw_format("-Wa,-march=%s", profile->assembler_march);
    assert_int_equal(iw_write_file(source, program_source, sizeof program_source - 1, 0600, NULL),
                     0);
    iw_strings_add_all(&argv, (const char *const[]){"gcc", "-O3", "-fcf-protection=full", NULL});
    iw_strings_add_all(&argv, profile->flags.items);
    iw_strings_add_all(&argv, (const char *const[]){march, "-c", "-o", "/dev/null", source, NULL});
    if (iw_run_capture((const char *const *)argv.items, NULL, 65536, NULL, NULL, &err))
        fail_msg("%s: %s", profile->name, iw_error_text(&err));
}

static void test_profiles_compile(void **state)
{
    (void)state;
    iw_catalog *catalog = open_tree();
    iw_cleanup_free char *folder = NULL;
    iw_list names;
    const iw_profile *profile;
    assert_int_equal(iw_temporary_folder("/tmp", "iw-cc-", &folder, NULL), 0);
    assert_int_equal(iw_catalog_profiles(catalog, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++) {
        assert_int_equal(iw_catalog_profile(catalog, names.items[i], &profile, NULL), 0);
        compile_under(folder, profile);
        const char *pair[] = {"k10", names.items[i], NULL};
        assert_int_equal(iw_catalog_profiles_join(catalog, &(iw_list){pair, 2}, &profile, NULL), 0);
        compile_under(folder, profile);
    }
    iw_remove_tree(folder, NULL);
    iw_catalog_free(catalog);
}

/* --- joining -------------------------------------------------------------- */

static void test_join(void **state)
{
    (void)state;
    iw_catalog *catalog = open_tree();
    const char *names[] = {"nehalem", "k10", "nehalem", NULL};
    const iw_profile *joined, *again, *k10, *nehalem;
    assert_int_equal(iw_catalog_profiles_join(catalog, &(iw_list){names, 3}, &joined, NULL), 0);
    assert_int_equal(iw_catalog_profiles_join(catalog, &(iw_list){names, 2}, &again, NULL), 0);
    assert_ptr_equal(joined, again);
    assert_int_equal(iw_catalog_profile(catalog, "k10", &k10, NULL), 0);
    assert_int_equal(iw_catalog_profile(catalog, "nehalem", &nehalem, NULL), 0);
    assert_string_equal(joined->name, "k10+nehalem");
    assert_string_equal(joined->flags.items[0], "-march=amdfam10");
    for (const char *const *feature = iw_features(NULL); *feature; feature++)
        assert_int_equal(has(&joined->features, *feature),
                         has(&k10->features, *feature) && has(&nehalem->features, *feature));
    hold_against_gcc(joined, NULL);
    assert_true(has(&k10->features, "3dnow") && has(&k10->shunned, "3dnow") &&
                !has(&k10->usable, "3dnow") && has(&k10->usable, "sse4a"));
    assert_true(has(&k10->flags, "-mno-3dnow") && has(&k10->flags, "-mno-3dnowa") &&
                !has(&k10->flags, "-m3dnow") && has(&k10->flags, "-mprfchw"));
    assert_true(has(&joined->shunned, "3dnow") && !has(&joined->usable, "3dnow") &&
                has(&joined->flags, "-mno-3dnow"));
    assert_string_equal(joined->rust_cpu, "x86-64");
    assert_string_equal(joined->openblas_target, "PRESCOTT");
    assert_string_equal(joined->numpy_baseline, "sse3");
    assert_int_equal(iw_catalog_profiles_join(catalog, &(iw_list){names + 1, 1}, &again, NULL), 0);
    assert_ptr_equal(again, k10);
    iw_catalog_free(catalog);
}

/* The meaning is what is built: neither the name nor the emulator, but every flag and each of the
 * others. */
static void test_meaning(void **state)
{
    (void)state;
    iw_catalog *catalog = open_tree();
    iw_list names;
    const iw_profile *a, *b;
    assert_int_equal(iw_catalog_profiles(catalog, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++)
        for (size_t k = 0; k < i; k++) {
            assert_int_equal(iw_catalog_profile(catalog, names.items[i], &a, NULL), 0);
            assert_int_equal(iw_catalog_profile(catalog, names.items[k], &b, NULL), 0);
            assert_string_not_equal(a->meaning, b->meaning);
        }
    iw_catalog_free(catalog);
}

/* --- the emulator --------------------------------------------------------- */

/* Prints the features that CPUID tells. */
static const char cpuid_program[] =
    "#include <cpuid.h>\n#include <stdio.h>\n"
    "#define S(n, b) if ((b) & 1) puts(n)\n"
    "int main(void)\n{\n    unsigned a, b, c, d;\n    __get_cpuid(1, &a, &b, &c, &d);\n"
    "S(\"mmx\", d >> 23);S(\"fxsr\", d >> 24);S(\"sse\", d >> 25);S(\"sse2\", d >> 26);S(\"sse3\", "
    "c);S(\"pclmul\", c >> 1);S(\"mwait\", c >> 3);\n"
    "S(\"ssse3\", c >> 9);S(\"fma\", c >> 12);S(\"cx16\", c >> 13);S(\"sse4.1\", c >> "
    "19);S(\"sse4.2\", c >> 20);S(\"movbe\", c >> 22);\n"
    "S(\"popcnt\", c >> 23);S(\"aes\", c >> 25);S(\"xsave\", c >> 26);S(\"avx\", c >> "
    "28);S(\"f16c\", c >> 29);S(\"rdrnd\", c >> 30);\n"
    "if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {S(\"fsgsbase\", b);S(\"bmi\", b >> "
    "3);S(\"hle\", b >> 4);S(\"avx2\", b >> 5);S(\"bmi2\", b >> 8);\n"
    "S(\"rtm\", b >> 11);S(\"avx512f\", b >> 16);S(\"rdseed\", b >> 18);S(\"adx\", b >> "
    "19);S(\"clflushopt\", b >> 23);S(\"clwb\", b >> 24);\n"
    "S(\"sha\", b >> 29);S(\"pku\", c >> 3);}\n"
    "if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {S(\"sahf\", c);S(\"lzcnt\", c >> "
    "5);S(\"sse4a\", c >> 6);S(\"xop\", c >> 11);S(\"lwp\", c >> 15);\n"
    "S(\"fma4\", c >> 16);S(\"tbm\", c >> 21);S(\"3dnowa\", d >> 30);S(\"3dnow\", d >> 31);}\n"
    "if (__get_cpuid_count(13, 1, &a, &b, &c, &d)) {S(\"xsaveopt\", a);S(\"xsavec\", a >> 1);}\n   "
    " return 0;\n}\n";

static void hold_against_emulator(const char *program, const iw_profile *profile)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    const char *const argv[] = {"qemu-x86_64", "-cpu", profile->emulator_cpu, program, NULL};
    const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    if (iw_run_capture(argv, environment, 4096, &text, NULL, &err))
        fail_msg("%s: %s", profile->name, iw_error_text(&err));
    iw_slice rest = iw_slice_of(text), line;
    size_t told = 0;
    for (; iw_slice_next(&rest, '\n', &line); told++) {
        iw_cleanup_free char *feature = iw_strndup(line.data, line.length);
        if (!has(&profile->features, feature))
            fail_msg("%s: qemu's %s also has %s", profile->name, profile->emulator_cpu, feature);
    }
    assert_true(told >= 4);
    for (size_t i = 0; i < profile->features.count;
         i++) { /* and the other way round, where CPUID tells it and it faults when missing */
        const char *const *feature = &profile->features.items[i];
        static const char silent[] = " abm crc32 mwait prfchw sahf pclmul ";
        iw_cleanup_free char *wrapped = iw_format(" %s ", *feature),
                             *line_of = iw_format("%s\n", *feature);
        if (!strstr(silent, wrapped) && !strstr(text, line_of))
            fail_msg("%s: qemu's %s lacks %s", profile->name, profile->emulator_cpu, *feature);
    }
}

static void test_profiles_against_emulator(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *folder = NULL;
    assert_int_equal(iw_temporary_folder("/tmp", "iw-cpu-", &folder, NULL), 0);
    iw_cleanup_free char *source = iw_path_join(folder, "cpuid.c"),
                         *program = iw_path_join(folder, "cpuid");
    assert_int_equal(iw_write_file(source, cpuid_program, sizeof cpuid_program - 1, 0600, NULL), 0);
    const char *const argv[] = {"gcc", "-O1",   "-static", "-march=x86-64",
                                "-o",  program, source,    NULL};
    if (iw_run_capture(argv, NULL, 65536, NULL, NULL, &err)) fail_msg("%s", iw_error_text(&err));
    iw_catalog *catalog = open_tree();
    iw_list names;
    const iw_profile *profile;
    assert_int_equal(iw_catalog_profiles(catalog, &names, NULL), 0);
    for (size_t i = 0; i < names.count; i++) {
        assert_int_equal(iw_catalog_profile(catalog, names.items[i], &profile, NULL), 0);
        hold_against_emulator(program, profile);
    }
    iw_catalog_free(catalog);
    iw_remove_tree(folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features_are_gccs), cmocka_unit_test(test_profiles_against_gcc),
        cmocka_unit_test(test_named_cpus),        cmocka_unit_test(test_k10),
        cmocka_unit_test(test_no_avx_macro),      cmocka_unit_test(test_profiles_against_as),
        cmocka_unit_test(test_profiles_compile),  cmocka_unit_test(test_join),
        cmocka_unit_test(test_meaning),           cmocka_unit_test(test_profiles_against_emulator),
    };
    return cmocka_run_group_tests_name("profiles", tests, NULL, NULL);
}
