/* CPU features: from made-up CPUs, of this host, and whether the host is a profile's CPU. */
#include "kit.h"

#include <cpuid.h>

#include "emulate/cpuid.h"
#include "emulate/emulate.h"

/* A CPU whose highest leaves are given, and whose other registers all hold one value. */
struct made_up {
    uint32_t basic, extended, value;
};

static void made_up_cpuid(void *context, uint32_t leaf, uint32_t subleaf, uint32_t registers[4])
{
    const struct made_up *cpu = context;
    (void)subleaf;
    for (int i = 0; i < 4; i++) registers[i] = cpu->value;
    if (leaf == 0) registers[0] = cpu->basic;
    if (leaf == 0x80000000u) registers[0] = cpu->extended;
}

static void test_made_up(void **state)
{
    (void)state;
    struct made_up all = {13, 0x80000001u, UINT32_MAX}, none = {13, 0x80000001u, 0},
                   old = {1, 0, UINT32_MAX};
    size_t count = 0, basic = 0;
    for (const char *const *feature = iw_cpu_features(); *feature; feature++, count++) {
        if (!iw_cpu_has(made_up_cpuid, &all, *feature)) fail_msg("%s has no bit", *feature);
        assert_false(iw_cpu_has(made_up_cpuid, &none, *feature));
        basic += iw_cpu_has(made_up_cpuid, &old,
                            *feature); /* what it answers beyond its highest leaf is no answer */
    }
    assert_true(count >= 40);
    assert_true(basic >= 10 && basic < count - 10);
    assert_true(iw_cpu_has(made_up_cpuid, &old, "sse2"));
    assert_false(iw_cpu_has(made_up_cpuid, &old, "avx2"));
    assert_false(iw_cpu_has(made_up_cpuid, &old, "sse4a"));
    assert_false(iw_cpu_has(made_up_cpuid, &all, "nonsense"));
}

static void test_host(void **state)
{
    (void)state;
    static const char *const known[] = {"sse2", "sse3", "sse4.1", "popcnt", "avx", "avx2",
                                        "fma",  "bmi2", "sse4a",  "fma4",   "xop", "avx512f"};
    __builtin_cpu_init();
    const bool compiler[] = {__builtin_cpu_supports("sse2"),   __builtin_cpu_supports("sse3"),
                             __builtin_cpu_supports("sse4.1"), __builtin_cpu_supports("popcnt"),
                             __builtin_cpu_supports("avx"),    __builtin_cpu_supports("avx2"),
                             __builtin_cpu_supports("fma"),    __builtin_cpu_supports("bmi2"),
                             __builtin_cpu_supports("sse4a"),  __builtin_cpu_supports("fma4"),
                             __builtin_cpu_supports("xop"),    __builtin_cpu_supports("avx512f")};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (iw_cpu_has(iw_cpuid_host, NULL, known[i]) != compiler[i])
            fail_msg("%s: the compiler says %d", known[i], compiler[i]);
}

static void test_host_is_profile(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings has = {0}, lacks = {0};
    for (const char *const *feature = iw_cpu_features(); *feature; feature++)
        iw_strings_add(iw_cpu_has(iw_cpuid_host, NULL, *feature) ? &has : &lacks, *feature);
    iw_profile profile = {.name = "here", .features = {(const char *const *)has.items, has.count}};
    assert_true(iw_host_is_profile(&profile));
    profile.features.count--; /* this CPU can do more: a program may find that, and use it */
    assert_false(iw_host_is_profile(&profile));
    assert_true(lacks.count > 0);
    iw_strings_add(&has, lacks.items[0]);
    profile.features = (iw_list){(const char *const *)has.items, has.count};
    assert_false(iw_host_is_profile(&profile));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_made_up), cmocka_unit_test(test_host),
                                       cmocka_unit_test(test_host_is_profile)};
    return cmocka_run_group_tests_name("emulate cpuid", tests, NULL, NULL);
}
