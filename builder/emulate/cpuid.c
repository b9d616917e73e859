#include "emulate/cpuid.h"

#include <cpuid.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };
#define EXTENDED 0x80000000u

/* Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E. */
static const struct bit {
    const char *feature;
    uint32_t leaf, subleaf;
    uint8_t where, bit;
} bits[] = {
    {"mmx", 1, 0, EDX, 23},
    {"fxsr", 1, 0, EDX, 24},
    {"sse", 1, 0, EDX, 25},
    {"sse2", 1, 0, EDX, 26},
    {"sse3", 1, 0, ECX, 0},
    {"pclmul", 1, 0, ECX, 1},
    {"ssse3", 1, 0, ECX, 9},
    {"fma", 1, 0, ECX, 12},
    {"cx16", 1, 0, ECX, 13},
    {"sse4.1", 1, 0, ECX, 19},
    {"sse4.2", 1, 0, ECX, 20},
    {"movbe", 1, 0, ECX, 22},
    {"popcnt", 1, 0, ECX, 23},
    {"aes", 1, 0, ECX, 25},
    {"xsave", 1, 0, ECX, 26},
    {"avx", 1, 0, ECX, 28},
    {"f16c", 1, 0, ECX, 29},
    {"rdrnd", 1, 0, ECX, 30},
    {"fsgsbase", 7, 0, EBX, 0},
    {"bmi", 7, 0, EBX, 3},
    {"avx2", 7, 0, EBX, 5},
    {"bmi2", 7, 0, EBX, 8},
    {"avx512f", 7, 0, EBX, 16},
    {"rdseed", 7, 0, EBX, 18},
    {"adx", 7, 0, EBX, 19},
    {"clflushopt", 7, 0, EBX, 23},
    {"clwb", 7, 0, EBX, 24},
    {"sha", 7, 0, EBX, 29},
    {"gfni", 7, 0, ECX, 8},
    {"vaes", 7, 0, ECX, 9},
    {"vpclmulqdq", 7, 0, ECX, 10},
    {"rdpid", 7, 0, ECX, 22},
    {"xsaveopt", 13, 1, EAX, 0},
    {"xsavec", 13, 1, EAX, 1},
    {"xsaves", 13, 1, EAX, 3},
    {"sahf", EXTENDED | 1, 0, ECX, 0},
    {"abm", EXTENDED | 1, 0, ECX, 5},
    {"lzcnt", EXTENDED | 1, 0, ECX, 5},
    {"sse4a", EXTENDED | 1, 0, ECX, 6},
    {"prfchw", EXTENDED | 1, 0, ECX, 8},
    {"xop", EXTENDED | 1, 0, ECX, 11},
    {"lwp", EXTENDED | 1, 0, ECX, 15},
    {"fma4", EXTENDED | 1, 0, ECX, 16},
    {"tbm", EXTENDED | 1, 0, ECX, 21},
    {"mwaitx", EXTENDED | 1, 0, ECX, 29},
    {"3dnowa", EXTENDED | 1, 0, EDX, 30},
    {"3dnow", EXTENDED | 1, 0, EDX, 31},
};
#define BIT_COUNT (sizeof bits / sizeof *bits)

void iw_cpuid_host(void *context, uint32_t leaf, uint32_t subleaf, uint32_t registers[4])
{
    (void)context;
    __cpuid_count(leaf, subleaf, registers[EAX], registers[EBX], registers[ECX], registers[EDX]);
}

const char *const *iw_cpu_features(void)
{
    static const char *const names[BIT_COUNT + 1] = {
        /* clang-format off */
        "mmx",  "fxsr", "sse",  "sse2",  "sse3",     "pclmul",     "ssse3",      "fma",    "cx16",   "sse4.1",   "sse4.2", "movbe",
        "popcnt", "aes", "xsave", "avx", "f16c",     "rdrnd",      "fsgsbase",   "bmi",    "avx2",   "bmi2",     "avx512f", "rdseed",
        "adx",  "clflushopt", "clwb", "sha", "gfni", "vaes",       "vpclmulqdq", "rdpid",  "xsaveopt", "xsavec", "xsaves", "sahf",
        "abm",  "lzcnt", "sse4a", "prfchw", "xop",   "lwp",        "fma4",       "tbm",    "mwaitx", "3dnowa",   "3dnow",  NULL};
    return names;
}

bool iw_cpu_has(iw_cpuid cpuid, void *context, const char *feature)
{
    for (size_t i = 0; i < BIT_COUNT; i++) {
        if (strcmp(bits[i].feature, feature) != 0) continue;
        uint32_t registers[4];
        cpuid(context, bits[i].leaf & EXTENDED, 0, registers);
        if (registers[EAX] < bits[i].leaf) return false;
        cpuid(context, bits[i].leaf, bits[i].subleaf, registers);
        return registers[bits[i].where] >> bits[i].bit & 1;
        /* clang-format on */
    }
    return false;
}
