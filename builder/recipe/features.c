#include "recipe/features.h"

#include <stdlib.h>
#include <string.h>

static const char *const features[] = {
    /* clang-format off */
    "3dnow",       "3dnowa",       "abm",         "adx",        "aes",          "amx-bf16",   "amx-int8",   "amx-tile",
    "avx",         "avx2",         "avx5124fmaps", "avx5124vnniw", "avx512bf16", "avx512bitalg", "avx512bw", "avx512cd",
    "avx512dq",    "avx512er",     "avx512f",     "avx512fp16", "avx512ifma",   "avx512pf",   "avx512vbmi", "avx512vbmi2",
    "avx512vl",    "avx512vnni",   "avx512vp2intersect", "avx512vpopcntdq", "avxvnni", "bmi", "bmi2",      "cldemote",
    "clflushopt",  "clwb",         "clzero",      "crc32",      "cx16",         "enqcmd",     "f16c",       "fma",
    "fma4",        "fsgsbase",     "fxsr",        "gfni",       "hle",          "hreset",     "kl",         "lwp",
    "lzcnt",       "mmx",          "movbe",       "movdir64b",  "movdiri",      "mwait",      "mwaitx",     "pclmul",
    "pconfig",     "pku",          "popcnt",      "prefetchwt1", "prfchw",      "ptwrite",    "rdpid",      "rdrnd",
    "rdseed",      "rtm",          "sahf",        "serialize",  "sgx",          "sha",        "shstk",      "sse",
    "sse2",        "sse3",         "sse4.1",      "sse4.2",     "sse4a",        "ssse3",      "tbm",        "tsxldtrk",
    "uintr",       "vaes",         "vpclmulqdq",  "waitpkg",    "wbnoinvd",     "widekl",     "xop",        "xsave",
    "xsavec",      "xsaveopt",     "xsaves",      NULL};

static const char *const beyond[] = {
    "amx-avx512", "amx-complex", "amx-fp16", "amx-fp8", "amx-movrs", "amx-tf32", "apxf",    "avx10.2", "avxifma", "avxneconvert", "avxvnniint16", "avxvnniint8",
    "cmpccxadd",  "fred",        "invlpgb",  "invpcid", "knc",       "lkgs",     "mcommit", "movrs",   "msr-imm", "msrlist",      "padlock",      "pbndkb",
    "raoint",     "rdpru",       "rdtscp",   "sev-snp", "sha512",    "sm3",      "sm4",     "smap",    "smx",     "svm",          "tdx",          "usermsr",
    "vmx",        "wrmsrns",     NULL};

#define FEATURE_COUNT (sizeof features / sizeof *features - 1)

const char *const *iw_features(size_t *count)
{
    if (count)
        *count = FEATURE_COUNT;
    return features;
    /* clang-format on */
}

static int compare(const void *name, const void *feature)
{
    return strcmp(name, *(const char *const *)feature);
}

bool iw_feature_known(const char *name)
{
    return bsearch(name, features, FEATURE_COUNT, sizeof *features, compare) != NULL;
}

const char *const *iw_features_beyond(void)
{
    return beyond;
}

bool iw_feature_named(const char *name)
{
    return iw_feature_known(name) || bsearch(name, beyond, sizeof beyond / sizeof *beyond - 1,
                                             sizeof *beyond, compare) != NULL;
}
