#include "audit/isa.h"

#include <string.h>

/* Zydis's ISA sets, each in one row; class = row + 1. Sets that stand nowhere are plain x86-64, or
 * do nothing on CPUs that don't know them: FAT_NOP, PAUSE, CLDEMOTE (0F 1C /0), MPX (0F 1A and 1B
 * are hint NOPs elsewhere), prefetch hints of SSE. The last rows are chosen by mnemonic. */
static const struct row {
    uint16_t sets[6];
    const char *needs[IW_ISA_NEEDS + 1];
} rows[] = {
    /* clang-format off */
    {{ZYDIS_ISA_SET_ADOX_ADCX}, {"adx"}},
    {{ZYDIS_ISA_SET_AES}, {"aes"}},
    {{ZYDIS_ISA_SET_AMD3DNOW}, {"3dnow"}},
    {{ZYDIS_ISA_SET_AMD_INVLPGB}, {"invlpgb"}},
    {{ZYDIS_ISA_SET_AMX_BF16}, {"amx-bf16"}},
    {{ZYDIS_ISA_SET_AMX_INT8}, {"amx-int8"}},
    {{ZYDIS_ISA_SET_AMX_TILE}, {"amx-tile"}},
    {{ZYDIS_ISA_SET_AVX}, {"avx"}},
    {{ZYDIS_ISA_SET_AVX2, ZYDIS_ISA_SET_AVX2GATHER}, {"avx2"}},
    {{ZYDIS_ISA_SET_AVX512BW_512, ZYDIS_ISA_SET_AVX512BW_KOP, ZYDIS_ISA_SET_AVX512BW_128N}, {"avx512bw"}},
    {{ZYDIS_ISA_SET_AVX512BW_128, ZYDIS_ISA_SET_AVX512BW_256}, {"avx512bw", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512CD_512}, {"avx512cd"}},
    {{ZYDIS_ISA_SET_AVX512CD_128, ZYDIS_ISA_SET_AVX512CD_256}, {"avx512cd", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512DQ_512, ZYDIS_ISA_SET_AVX512DQ_KOP, ZYDIS_ISA_SET_AVX512DQ_128N, ZYDIS_ISA_SET_AVX512DQ_SCALAR}, {"avx512dq"}},
    {{ZYDIS_ISA_SET_AVX512DQ_128, ZYDIS_ISA_SET_AVX512DQ_256}, {"avx512dq", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512F_512, ZYDIS_ISA_SET_AVX512F_KOP, ZYDIS_ISA_SET_AVX512F_128N, ZYDIS_ISA_SET_AVX512F_SCALAR}, {"avx512f"}},
    {{ZYDIS_ISA_SET_AVX512F_128, ZYDIS_ISA_SET_AVX512F_256}, {"avx512f", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512ER_512, ZYDIS_ISA_SET_AVX512ER_SCALAR}, {"avx512er"}},
    {{ZYDIS_ISA_SET_AVX512PF_512}, {"avx512pf"}},
    {{ZYDIS_ISA_SET_AVX512_4FMAPS_512, ZYDIS_ISA_SET_AVX512_4FMAPS_SCALAR}, {"avx5124fmaps"}},
    {{ZYDIS_ISA_SET_AVX512_4VNNIW_512}, {"avx5124vnniw"}},
    {{ZYDIS_ISA_SET_AVX512_BF16_512}, {"avx512bf16"}},
    {{ZYDIS_ISA_SET_AVX512_BF16_128, ZYDIS_ISA_SET_AVX512_BF16_256}, {"avx512bf16", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_BITALG_512}, {"avx512bitalg"}},
    {{ZYDIS_ISA_SET_AVX512_BITALG_128, ZYDIS_ISA_SET_AVX512_BITALG_256}, {"avx512bitalg", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_FP16_512, ZYDIS_ISA_SET_AVX512_FP16_128N, ZYDIS_ISA_SET_AVX512_FP16_SCALAR}, {"avx512fp16"}},
    {{ZYDIS_ISA_SET_AVX512_FP16_128, ZYDIS_ISA_SET_AVX512_FP16_256}, {"avx512fp16", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_IFMA_512}, {"avx512ifma"}},
    {{ZYDIS_ISA_SET_AVX512_IFMA_128, ZYDIS_ISA_SET_AVX512_IFMA_256}, {"avx512ifma", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_VBMI2_512}, {"avx512vbmi2"}},
    {{ZYDIS_ISA_SET_AVX512_VBMI2_128, ZYDIS_ISA_SET_AVX512_VBMI2_256}, {"avx512vbmi2", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_VBMI_512}, {"avx512vbmi"}},
    {{ZYDIS_ISA_SET_AVX512_VBMI_128, ZYDIS_ISA_SET_AVX512_VBMI_256}, {"avx512vbmi", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_VNNI_512}, {"avx512vnni"}},
    {{ZYDIS_ISA_SET_AVX512_VNNI_128, ZYDIS_ISA_SET_AVX512_VNNI_256}, {"avx512vnni", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_VP2INTERSECT_512}, {"avx512vp2intersect"}},
    {{ZYDIS_ISA_SET_AVX512_VP2INTERSECT_128, ZYDIS_ISA_SET_AVX512_VP2INTERSECT_256}, {"avx512vp2intersect", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512}, {"avx512vpopcntdq"}},
    {{ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_128, ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_256}, {"avx512vpopcntdq", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_GFNI_512}, {"gfni", "avx512f"}},
    {{ZYDIS_ISA_SET_AVX512_GFNI_128, ZYDIS_ISA_SET_AVX512_GFNI_256}, {"gfni", "avx512f", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_VAES_512}, {"vaes", "avx512f"}},
    {{ZYDIS_ISA_SET_AVX512_VAES_128, ZYDIS_ISA_SET_AVX512_VAES_256}, {"vaes", "avx512f", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_512}, {"vpclmulqdq", "avx512f"}},
    {{ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_128, ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_256}, {"vpclmulqdq", "avx512f", "avx512vl"}},
    {{ZYDIS_ISA_SET_AVXAES}, {"avx", "aes"}},
    {{ZYDIS_ISA_SET_AVX_GFNI}, {"gfni", "avx"}},
    {{ZYDIS_ISA_SET_AVX_VNNI}, {"avxvnni"}},
    {{ZYDIS_ISA_SET_BMI1}, {"bmi"}},
    {{ZYDIS_ISA_SET_BMI2}, {"bmi2"}},
    {{ZYDIS_ISA_SET_CET}, {"shstk"}},
    {{ZYDIS_ISA_SET_CLFLUSHOPT}, {"clflushopt"}},
    {{ZYDIS_ISA_SET_CLWB}, {"clwb"}},
    {{ZYDIS_ISA_SET_CLZERO}, {"clzero"}},
    {{ZYDIS_ISA_SET_CMPXCHG16B}, {"cx16"}},
    {{ZYDIS_ISA_SET_ENQCMD}, {"enqcmd"}},
    {{ZYDIS_ISA_SET_F16C}, {"f16c"}},
    {{ZYDIS_ISA_SET_FMA}, {"fma"}},
    {{ZYDIS_ISA_SET_FMA4}, {"fma4"}},
    {{ZYDIS_ISA_SET_FXSAVE, ZYDIS_ISA_SET_FXSAVE64}, {"fxsr"}},
    {{ZYDIS_ISA_SET_GFNI}, {"gfni"}},
    {{ZYDIS_ISA_SET_HRESET}, {"hreset"}},
    {{ZYDIS_ISA_SET_INVPCID}, {"invpcid"}},
    {{ZYDIS_ISA_SET_KEYLOCKER}, {"kl"}},
    {{ZYDIS_ISA_SET_KEYLOCKER_WIDE}, {"widekl"}},
    {{ZYDIS_ISA_SET_KNCE, ZYDIS_ISA_SET_KNCJKBR, ZYDIS_ISA_SET_KNCSTREAM, ZYDIS_ISA_SET_KNCV, ZYDIS_ISA_SET_KNC_MISC, ZYDIS_ISA_SET_KNC_PF_HINT}, {"knc"}},
    {{ZYDIS_ISA_SET_LAHF}, {"sahf"}},
    {{ZYDIS_ISA_SET_LWP}, {"lwp"}},
    {{ZYDIS_ISA_SET_LZCNT}, {"lzcnt"}},
    {{ZYDIS_ISA_SET_MCOMMIT}, {"mcommit"}},
    {{ZYDIS_ISA_SET_MONITOR}, {"mwait"}},
    {{ZYDIS_ISA_SET_MONITORX}, {"mwaitx"}},
    {{ZYDIS_ISA_SET_MOVBE}, {"movbe"}},
    {{ZYDIS_ISA_SET_MOVDIR}, {"movdiri"}},
    {{ZYDIS_ISA_SET_PADLOCK_ACE, ZYDIS_ISA_SET_PADLOCK_PHE, ZYDIS_ISA_SET_PADLOCK_PMM, ZYDIS_ISA_SET_PADLOCK_RNG}, {"padlock"}},
    {{ZYDIS_ISA_SET_PCLMULQDQ}, {"pclmul"}},
    {{ZYDIS_ISA_SET_PCONFIG}, {"pconfig"}},
    {{ZYDIS_ISA_SET_PENTIUMMMX}, {"mmx"}},
    {{ZYDIS_ISA_SET_PKU}, {"pku"}},
    {{ZYDIS_ISA_SET_POPCNT}, {"popcnt"}},
    {{ZYDIS_ISA_SET_PREFETCHWT1}, {"prefetchwt1"}},
    {{ZYDIS_ISA_SET_PREFETCH_NOP}, {"prfchw"}},
    {{ZYDIS_ISA_SET_PT}, {"ptwrite"}},
    {{ZYDIS_ISA_SET_RDPID}, {"rdpid"}},
    {{ZYDIS_ISA_SET_RDPRU}, {"rdpru"}},
    {{ZYDIS_ISA_SET_RDRAND}, {"rdrnd"}},
    {{ZYDIS_ISA_SET_RDSEED}, {"rdseed"}},
    {{ZYDIS_ISA_SET_RDTSCP}, {"rdtscp"}},
    {{ZYDIS_ISA_SET_RDWRFSGS}, {"fsgsbase"}},
    {{ZYDIS_ISA_SET_RTM}, {"rtm"}},
    {{ZYDIS_ISA_SET_SERIALIZE}, {"serialize"}},
    {{ZYDIS_ISA_SET_SGX, ZYDIS_ISA_SET_SGX_ENCLV}, {"sgx"}},
    {{ZYDIS_ISA_SET_SHA}, {"sha"}},
    {{ZYDIS_ISA_SET_SMAP}, {"smap"}},
    {{ZYDIS_ISA_SET_SMX}, {"smx"}},
    {{ZYDIS_ISA_SET_SNP}, {"sev-snp"}},
    {{ZYDIS_ISA_SET_SSE, ZYDIS_ISA_SET_SSEMXCSR}, {"sse"}},
    {{ZYDIS_ISA_SET_SSE2, ZYDIS_ISA_SET_SSE2MMX}, {"sse2"}},
    {{ZYDIS_ISA_SET_SSE3, ZYDIS_ISA_SET_SSE3X87}, {"sse3"}},
    {{ZYDIS_ISA_SET_SSE4}, {"sse4.1"}},
    {{ZYDIS_ISA_SET_SSE42}, {"sse4.2"}},
    {{ZYDIS_ISA_SET_SSE4A}, {"sse4a"}},
    {{ZYDIS_ISA_SET_SSSE3, ZYDIS_ISA_SET_SSSE3MMX}, {"ssse3"}},
    {{ZYDIS_ISA_SET_SVM}, {"svm"}},
    {{ZYDIS_ISA_SET_TBM}, {"tbm"}},
    {{ZYDIS_ISA_SET_TDX}, {"tdx"}},
    {{ZYDIS_ISA_SET_TSX_LDTRK}, {"tsxldtrk"}},
    {{ZYDIS_ISA_SET_UINTR}, {"uintr"}},
    {{ZYDIS_ISA_SET_VAES}, {"vaes", "avx"}},
    {{ZYDIS_ISA_SET_VMFUNC, ZYDIS_ISA_SET_VTX}, {"vmx"}},
    {{ZYDIS_ISA_SET_VPCLMULQDQ}, {"vpclmulqdq", "avx"}},
    {{ZYDIS_ISA_SET_WAITPKG}, {"waitpkg"}},
    {{ZYDIS_ISA_SET_XOP}, {"xop"}},
    {{ZYDIS_ISA_SET_XSAVE}, {"xsave"}},
    {{ZYDIS_ISA_SET_XSAVEC}, {"xsavec"}},
    {{ZYDIS_ISA_SET_XSAVEOPT}, {"xsaveopt"}},
    {{ZYDIS_ISA_SET_XSAVES}, {"xsaves"}},
    {{0}, {"3dnowa"}},
    {{0}, {"movdir64b"}},
    {{0}, {"avx", "pclmul"}},
    /* clang-format on */
};

enum {
    ROWS = sizeof rows / sizeof *rows,
    ISA_3DNOWA = ROWS - 2,
    ISA_MOVDIR64B = ROWS - 1,
    ISA_AVX_PCLMUL = ROWS
};
_Static_assert(ROWS + 1 < IW_ISA_ODD, "too many classes");
_Static_assert((int)IW_ISA_END <= (int)IW_ISA_LIMIT, "too many classes");

#define NEWER(class, feature) [class - IW_ISA_NEWER] = {feature, NULL}
static const char *const newer[IW_ISA_END - IW_ISA_NEWER][2] = {
    /* clang-format off */
    NEWER(IW_ISA_AMX_AVX512, "amx-avx512"),
    NEWER(IW_ISA_AMX_COMPLEX, "amx-complex"),
    NEWER(IW_ISA_AMX_FP16, "amx-fp16"),
    NEWER(IW_ISA_AMX_FP8, "amx-fp8"),
    NEWER(IW_ISA_AMX_MOVRS, "amx-movrs"),
    NEWER(IW_ISA_AMX_TF32, "amx-tf32"),
    NEWER(IW_ISA_APXF, "apxf"),
    NEWER(IW_ISA_AVX10_2, "avx10.2"),
    NEWER(IW_ISA_AVXIFMA, "avxifma"),
    NEWER(IW_ISA_AVXNECONVERT, "avxneconvert"),
    NEWER(IW_ISA_AVXVNNIINT16, "avxvnniint16"),
    NEWER(IW_ISA_AVXVNNIINT8, "avxvnniint8"),
    NEWER(IW_ISA_CMPCCXADD, "cmpccxadd"),
    NEWER(IW_ISA_FRED, "fred"),
    NEWER(IW_ISA_LKGS, "lkgs"),
    NEWER(IW_ISA_MOVRS, "movrs"),
    NEWER(IW_ISA_MSR_IMM, "msr-imm"),
    NEWER(IW_ISA_MSRLIST, "msrlist"),
    NEWER(IW_ISA_PADLOCK2, "padlock"),
    NEWER(IW_ISA_PBNDKB, "pbndkb"),
    NEWER(IW_ISA_RAOINT, "raoint"),
    NEWER(IW_ISA_SHA512, "sha512"),
    NEWER(IW_ISA_SM3, "sm3"),
    NEWER(IW_ISA_SM4, "sm4"),
    NEWER(IW_ISA_USERMSR, "usermsr"),
    NEWER(IW_ISA_WRMSRNS, "wrmsrns"),
    /* clang-format on */
};

const char *const *iw_isa_needs(unsigned isa)
{
    static const char *const none[1] = {NULL};
    if (isa >= IW_ISA_NEWER) return isa < IW_ISA_END ? newer[isa - IW_ISA_NEWER] : NULL;
    return isa == IW_ISA_BASE ? none : isa <= ROWS ? rows[isa - 1].needs : NULL;
}

/* Instructions whose set tells too much or too little; -1: go by the set. */
static int isa_of_mnemonic(ZydisISASet set, ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_TZCNT:   /* gcc writes it for BSF where both agree; old CPUs run BSF */
    case ZYDIS_MNEMONIC_ENDBR32: /* hint NOPs elsewhere */
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_RDSSPD:
    case ZYDIS_MNEMONIC_RDSSPQ: return IW_ISA_BASE;
    case ZYDIS_MNEMONIC_PI2FW:
    case ZYDIS_MNEMONIC_PF2IW:
    case ZYDIS_MNEMONIC_PFNACC:
    case ZYDIS_MNEMONIC_PFPNACC:
    case ZYDIS_MNEMONIC_PSWAPD: return ISA_3DNOWA;
    case ZYDIS_MNEMONIC_MOVDIR64B: return ISA_MOVDIR64B;
    case ZYDIS_MNEMONIC_VPCLMULQDQ: return set == ZYDIS_ISA_SET_AVX ? ISA_AVX_PCLMUL : -1;
    default: return -1;
    }
}

unsigned iw_isa_of(ZydisISASet set, ZydisMnemonic mnemonic)
{
    int special = isa_of_mnemonic(set, mnemonic);
    if (special >= 0) return (unsigned)special;
    for (unsigned i = 0; i < ROWS && set != 0; i++)
        for (unsigned k = 0; k < sizeof rows[i].sets / sizeof *rows[i].sets; k++)
            if (rows[i].sets[k] == (uint16_t)set) return i + 1;
    return IW_ISA_BASE;
}

static bool has(const iw_list *features, const char *name)
{
    for (size_t i = 0; i < features->count; i++)
        if (strcmp(features->items[i], name) == 0) return true;
    return false;
}

/* Features of which CPUs have more than gcc's name says:
 * - abm is LZCNT and POPCNT together;
 * - 0F 0D (PREFETCH, PREFETCHW, PREFETCHWT1) does nothing on every 64-bit CPU from the first with
 * CMPXCHG16B on (K10 has it; Intel since Core 2 runs it as a no-operation); the first Xeons without
 * are part of plain x86-64;
 * - RDTSCP has no option: AMD's from K8 revision F on have it (here: those with SSE4a), Intel's
 * from Nehalem on (SSE4.2);
 * - CRC32 is SSE4.2's to Zydis, and has its own option in gcc. */
static bool allows(const iw_list *features, const char *need)
{
    if (has(features, need)) return true;
    if (strcmp(need, "lzcnt") == 0 || strcmp(need, "popcnt") == 0) return has(features, "abm");
    if (strcmp(need, "prfchw") == 0 || strcmp(need, "prefetchwt1") == 0)
        return has(features, "prfchw") || has(features, "cx16");
    if (strcmp(need, "rdtscp") == 0) return has(features, "sse4a") || has(features, "sse4.2");
    return false;
}

void iw_isa_rules_make(const iw_list *features, iw_isa_rules *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned isa = 1; isa < IW_ISA_END; isa++)
        for (const char *const *need = iw_isa_needs(isa); need && *need && !out->lacks[isa]; need++)
            if (!allows(features, *need)) out->lacks[isa] = *need;
    out->lacks[IW_ISA_BAD] = "undecodable";
    for (unsigned isa = 0; isa < IW_ISA_LIMIT; isa++) out->forbidden[isa] = out->lacks[isa] != NULL;
}

const char *iw_isa_remark(const char *feature)
{
    static const char *const remarks[][2] = {
        {"3dnow", "leaves x87 without a free register until FEMMS, which gcc forgets: long doubles "
                  "become NaN"},
        {"lzcnt", "runs as BSR on CPUs without it: no fault, a wrong result; Intel's since "
                  "Haswell, AMD's since K10 have it"},
        {"popcnt", "Intel's since Nehalem, AMD's since K10 have it"},
        {"movbe", "Atom, Intel's since Haswell, AMD's since Jaguar and Excavator have it"},
        {"xsave", "XGETBV and XSAVE fault where the system hasn't turned them on (OSXSAVE), "
                  "whatever the CPU; Penryn's last, and Bulldozer, were the first to have them"},
        {"rdrnd", "Intel's since Ivy Bridge, AMD's since Excavator have it"},
        {"rdseed", "Intel's since Broadwell, AMD's since Zen have it"},
        {"cx16", "all 64-bit CPUs but the first Opterons and Athlons 64 have it"},
        {"sahf",
         "LAHF and SAHF in 64-bit mode: all but the first Intel 64 and AMD64 CPUs have them"},
        {"rdtscp",
         "gcc has no option for it: AMD's since K8 revision F, Intel's since Nehalem have it"},
        {"prfchw", "a no-operation on most CPUs without it; the first 64-bit Xeons fault"},
        {"prefetchwt1", "a no-operation on most CPUs without it; the first 64-bit Xeons fault"},
        {"3dnow", "AMD's up to K10 only"},
        {"3dnowa", "AMD's up to K10 only"},
        {"sse3", "Intel's since Prescott, AMD's since K8 revision E have it"},
        {"sse4a", "AMD's since K10 only"},
        {"ssse3", "Intel's since Core 2, AMD's since Bobcat and Bulldozer have it"},
        {"sse4.1", "Intel's since Penryn, AMD's since Bulldozer and Jaguar have it"},
        {"sse4.2",
         "Intel's since Nehalem, AMD's since Bulldozer and Jaguar have it; CRC32 is part of it"},
        {"aes", "Intel's since Westmere, AMD's since Bulldozer and Jaguar have it"},
        {"pclmul", "Intel's since Westmere, AMD's since Bulldozer and Jaguar have it"},
        {"avx", "Intel's since Sandy Bridge, AMD's since Bulldozer and Jaguar have it, where the "
                "system turned it on"},
        {"f16c", "Intel's since Ivy Bridge, AMD's since Piledriver and Jaguar have it"},
        {"fma", "Intel's since Haswell, AMD's since Piledriver have it"},
        {"avx2", "Intel's since Haswell, AMD's since Excavator have it"},
        {"bmi", "Intel's since Haswell, AMD's since Piledriver and Jaguar have it; TZCNT alone is "
                "no finding"},
        {"bmi2", "Intel's since Haswell, AMD's since Excavator have it"},
        {"avx512f", "Intel's since Skylake-X, AMD's since Zen 4 have it"},
        {"fma4", "AMD's Bulldozer family only"},
        {"xop", "AMD's Bulldozer family only"},
        {"rtm", "XBEGIN and XTEST fault on CPUs without it"},
        {"mwait", "MONITOR and MWAIT are for the system: they fault in programs"},
        {"shstk", "INCSSP does nothing good on a CPU without shadow stacks unless RDSSP, a "
                  "no-operation there, comes first and its register is tested"},
        {"undecodable", "no instruction that is known here"},
    };
    for (size_t i = 0; i < sizeof remarks / sizeof *remarks; i++)
        if (strcmp(remarks[i][0], feature) == 0) return remarks[i][1];
    return NULL;
}
