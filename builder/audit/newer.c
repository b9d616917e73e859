#include "audit/newer.h"

#include <stdio.h>
#include <string.h>

#include "audit/isa.h"

enum { LEGACY, VEX, EVEX };
enum { NP = 1, P66 = 2, PF3 = 4, PF2 = 8, ANY_P = 15 };
enum { W0 = 1, W1 = 2, W01 = 3 };
enum { L0 = 1, L1 = 2, L2 = 4, L01 = 3, L012 = 7 };
enum {
    MEM = 1,
    REG = 2,
    ANY = 3,
    DIGIT = 4,
    NO_V = 0x40
};                   /* DIGIT + n: ModRM's reg is n; NO_V: vvvv must be 1111 */
enum { IMM_Z = 15 }; /* two bytes with 66 and W = 0, else four */
#define D(n) (DIGIT | (n) << 3)
#define LONGEST 15

typedef struct form {
    uint8_t space, map, pp, first, last, w, l, operand, imm, isa;
    const char *name; /* NULL: none of its own */
} form;

#define AMX(map, pp, op, isa, name)                                                                \
    {                                                                                              \
        VEX, map, pp, op, op, W0, L0, REG, 0, isa, name                                            \
    }
#define NI(space, map, pp, op, w, l, operand, isa, name)                                           \
    {                                                                                              \
        space, map, pp, op, op, w, l, operand, 0, isa, name                                        \
    }
#define NEW(map, pp, op, w, operand, name)                                                         \
    {                                                                                              \
        EVEX, map, pp, op, op, w, L012, operand, 0, IW_ISA_AVX10_2, name                           \
    }
#define NEW_IMM(pp, op, w, operand, name)                                                          \
    {                                                                                              \
        EVEX, 3, pp, op, op, w, L012, operand, 1, IW_ISA_AVX10_2, name                             \
    }
#define ROW(pp, op, last, imm)                                                                     \
    {                                                                                              \
        EVEX, 4, pp, op, last, W01, L0, ANY, imm, IW_ISA_APXF, NULL                                \
    }
#define GROUP(pp, op, digit, imm)                                                                  \
    {                                                                                              \
        EVEX, 4, pp, op, op, W01, L0, ANY | D(digit), imm, IW_ISA_APXF, NULL                       \
    }

static const form forms[] = {
    /* AMX */
    AMX(2, PF2, 0x5c, IW_ISA_AMX_FP16, "tdpfp16ps"),
    AMX(2, NP, 0x6c, IW_ISA_AMX_COMPLEX, "tcmmrlfp16ps"),
    AMX(2, P66, 0x6c, IW_ISA_AMX_COMPLEX, "tcmmimfp16ps"),
    AMX(2, P66, 0x48, IW_ISA_AMX_TF32, "tmmultf32ps"),
    AMX(5, NP, 0xfd, IW_ISA_AMX_FP8, "tdpbf8ps"),
    AMX(5, PF2, 0xfd, IW_ISA_AMX_FP8, "tdpbhf8ps"),
    AMX(5, PF3, 0xfd, IW_ISA_AMX_FP8, "tdphbf8ps"),
    AMX(5, P66, 0xfd, IW_ISA_AMX_FP8, "tdphf8ps"),
    NI(VEX, 2, PF2, 0x4a, W0, L0, MEM | NO_V, IW_ISA_AMX_MOVRS, "tileloaddrs"),
    NI(VEX, 2, P66, 0x4a, W0, L0, MEM | NO_V, IW_ISA_AMX_MOVRS, "tileloaddrst1"),
    NI(EVEX, 2, P66, 0x4a, W0, L2, REG, IW_ISA_AMX_AVX512, "tilemovrow"),
    NI(EVEX, 2, PF3, 0x4a, W0, L2, REG, IW_ISA_AMX_AVX512, "tcvtrowd2ps"),
    NI(EVEX, 2, NP, 0x6d, W0, L2, REG, IW_ISA_AMX_AVX512, "tcvtrowps2phh"),
    NI(EVEX, 2, P66, 0x6d, W0, L2, REG, IW_ISA_AMX_AVX512, "tcvtrowps2phl"),
    NI(EVEX, 2, PF3, 0x6d, W0, L2, REG, IW_ISA_AMX_AVX512, "tcvtrowps2bf16l"),
    NI(EVEX, 2, PF2, 0x6d, W0, L2, REG, IW_ISA_AMX_AVX512, "tcvtrowps2bf16h"),
    {EVEX, 3, NP, 0x07, 0x07, W0, L2, REG | NO_V, 1, IW_ISA_AMX_AVX512, "tcvtrowps2phh"},
    {EVEX, 3, P66, 0x07, 0x07, W0, L2, REG | NO_V, 1, IW_ISA_AMX_AVX512, "tilemovrow"},
    {EVEX, 3, PF3, 0x07, 0x07, W0, L2, REG | NO_V, 1, IW_ISA_AMX_AVX512, "tcvtrowd2ps"},
    {EVEX, 3, PF2, 0x07, 0x07, W0, L2, REG | NO_V, 1, IW_ISA_AMX_AVX512, "tcvtrowps2bf16h"},
    {EVEX, 3, PF3, 0x77, 0x77, W0, L2, REG | NO_V, 1, IW_ISA_AMX_AVX512, "tcvtrowps2bf16l"},
    {EVEX, 3, PF2, 0x77, 0x77, W0, L2, REG | NO_V, 1, IW_ISA_AMX_AVX512, "tcvtrowps2phl"},
    /* AVX with VEX */
    NI(VEX, 2, NP, 0x50, W0, L01, ANY, IW_ISA_AVXVNNIINT8, "vpdpbuud"),
    NI(VEX, 2, NP, 0x51, W0, L01, ANY, IW_ISA_AVXVNNIINT8, "vpdpbuuds"),
    NI(VEX, 2, PF3, 0x50, W0, L01, ANY, IW_ISA_AVXVNNIINT8, "vpdpbsud"),
    NI(VEX, 2, PF3, 0x51, W0, L01, ANY, IW_ISA_AVXVNNIINT8, "vpdpbsuds"),
    NI(VEX, 2, PF2, 0x50, W0, L01, ANY, IW_ISA_AVXVNNIINT8, "vpdpbssd"),
    NI(VEX, 2, PF2, 0x51, W0, L01, ANY, IW_ISA_AVXVNNIINT8, "vpdpbssds"),
    NI(VEX, 2, NP, 0xd2, W0, L01, ANY, IW_ISA_AVXVNNIINT16, "vpdpwuud"),
    NI(VEX, 2, NP, 0xd3, W0, L01, ANY, IW_ISA_AVXVNNIINT16, "vpdpwuuds"),
    NI(VEX, 2, P66, 0xd2, W0, L01, ANY, IW_ISA_AVXVNNIINT16, "vpdpwusd"),
    NI(VEX, 2, P66, 0xd3, W0, L01, ANY, IW_ISA_AVXVNNIINT16, "vpdpwusds"),
    NI(VEX, 2, PF3, 0xd2, W0, L01, ANY, IW_ISA_AVXVNNIINT16, "vpdpwsud"),
    NI(VEX, 2, PF3, 0xd3, W0, L01, ANY, IW_ISA_AVXVNNIINT16, "vpdpwsuds"),
    NI(VEX, 2, P66, 0xb4, W1, L01, ANY, IW_ISA_AVXIFMA, "vpmadd52luq"),
    NI(VEX, 2, P66, 0xb5, W1, L01, ANY, IW_ISA_AVXIFMA, "vpmadd52huq"),
    NI(VEX, 2, NP, 0xb0, W0, L01, MEM | NO_V, IW_ISA_AVXNECONVERT, "vcvtneoph2ps"),
    NI(VEX, 2, P66, 0xb0, W0, L01, MEM | NO_V, IW_ISA_AVXNECONVERT, "vcvtneeph2ps"),
    NI(VEX, 2, PF3, 0xb0, W0, L01, MEM | NO_V, IW_ISA_AVXNECONVERT, "vcvtneebf162ps"),
    NI(VEX, 2, PF2, 0xb0, W0, L01, MEM | NO_V, IW_ISA_AVXNECONVERT, "vcvtneobf162ps"),
    NI(VEX, 2, P66, 0xb1, W0, L01, MEM | NO_V, IW_ISA_AVXNECONVERT, "vbcstnesh2ps"),
    NI(VEX, 2, PF3, 0xb1, W0, L01, MEM | NO_V, IW_ISA_AVXNECONVERT, "vbcstnebf162ps"),
    NI(VEX, 2, PF3, 0x72, W0, L01, ANY | NO_V, IW_ISA_AVXNECONVERT, "vcvtneps2bf16"),
    NI(VEX, 2, PF2, 0xcb, W0, L1, REG, IW_ISA_SHA512, "vsha512rnds2"),
    NI(VEX, 2, PF2, 0xcc, W0, L1, REG | NO_V, IW_ISA_SHA512, "vsha512msg1"),
    NI(VEX, 2, PF2, 0xcd, W0, L1, REG | NO_V, IW_ISA_SHA512, "vsha512msg2"),
    NI(VEX, 2, NP, 0xda, W0, L0, ANY, IW_ISA_SM3, "vsm3msg1"),
    NI(VEX, 2, P66, 0xda, W0, L0, ANY, IW_ISA_SM3, "vsm3msg2"),
    {VEX, 3, P66, 0xde, 0xde, W0, L0, ANY, 1, IW_ISA_SM3, "vsm3rnds2"},
    NI(VEX, 2, PF3, 0xda, W0, L01, ANY, IW_ISA_SM4, "vsm4key4"),
    NI(VEX, 2, PF2, 0xda, W0, L01, ANY, IW_ISA_SM4, "vsm4rnds4"),
    NI(EVEX, 2, PF3, 0xda, W0, L012, ANY, IW_ISA_SM4, "vsm4key4"),
    NI(EVEX, 2, PF2, 0xda, W0, L012, ANY, IW_ISA_SM4, "vsm4rnds4"),
    /* Registers and memory */
    {VEX, 2, P66, 0xe0, 0xef, W01, L0, MEM, 0, IW_ISA_CMPCCXADD, "cmpccxadd"},
    NI(LEGACY, 2, NP, 0xfc, W01, 0, MEM, IW_ISA_RAOINT, "aadd"),
    NI(LEGACY, 2, P66, 0xfc, W01, 0, MEM, IW_ISA_RAOINT, "aand"),
    NI(LEGACY, 2, PF3, 0xfc, W01, 0, MEM, IW_ISA_RAOINT, "axor"),
    NI(LEGACY, 2, PF2, 0xfc, W01, 0, MEM, IW_ISA_RAOINT, "aor"),
    {LEGACY, 2, NP | P66, 0x8a, 0x8b, W01, 0, MEM, 0, IW_ISA_MOVRS, "movrs"},
    {EVEX, 5, PF3 | PF2, 0x6f, 0x6f, W01, L012, MEM | NO_V, 0, IW_ISA_MOVRS, "vmovrs"},
    NI(LEGACY, 2, PF3, 0xf8, W01, 0, REG, IW_ISA_USERMSR, "uwrmsr"),
    NI(LEGACY, 2, PF2, 0xf8, W01, 0, REG, IW_ISA_USERMSR, "urdmsr"),
    {VEX, 7, PF3, 0xf8, 0xf8, W0, L0, REG | D(0) | NO_V, 4, IW_ISA_USERMSR, "uwrmsr"},
    {VEX, 7, PF2, 0xf8, 0xf8, W0, L0, REG | D(0) | NO_V, 4, IW_ISA_USERMSR, "urdmsr"},
    {EVEX, 7, PF3 | PF2, 0xf8, 0xf8, W0, L0, REG | D(0) | NO_V, 4, IW_ISA_APXF, NULL},
    /* For the system */
    {VEX, 7, PF3, 0xf6, 0xf6, W0, L0, REG | D(0) | NO_V, 4, IW_ISA_MSR_IMM, "wrmsrns"},
    {VEX, 7, PF2, 0xf6, 0xf6, W0, L0, REG | D(0) | NO_V, 4, IW_ISA_MSR_IMM, "rdmsr"},
    {EVEX, 7, PF3 | PF2, 0xf6, 0xf6, W0, L0, REG | D(0) | NO_V, 4, IW_ISA_APXF, NULL},
    NI(LEGACY, 1, PF2, 0x00, W01, 0, ANY | D(6), IW_ISA_LKGS, "lkgs"),
    /* AVX10.2 */
    NEW(1, PF3, 0x2e, W0, ANY | NO_V, "vucomxss"),
    NEW(1, PF3, 0x2f, W0, ANY | NO_V, "vcomxss"),
    NEW(1, PF2, 0x2e, W1, ANY | NO_V, "vucomxsd"),
    NEW(1, PF2, 0x2f, W1, ANY | NO_V, "vcomxsd"),
    NI(EVEX, 1, P66, 0xd6, W0, L0, ANY | NO_V, IW_ISA_AVX10_2, "vmovd"),
    NI(EVEX, 1, PF3, 0x7e, W0, L0, ANY | NO_V, IW_ISA_AVX10_2, "vmovd"),
    {EVEX, 2, NP | PF3 | PF2, 0x50, 0x51, W0, L012, ANY, 0, IW_ISA_AVX10_2,
     NULL}, /* vpdpbuud and its kind */
    NEW(2, NP, 0x52, W0, ANY, "vdpphps"),
    NEW(2, P66, 0x67, W0, ANY, "vcvt2ps2phx"),
    NEW(2, NP, 0x74, W0, ANY, "vcvtbiasph2bf8"),
    NEW(2, PF3, 0x74, W0, ANY | NO_V, "vcvtph2bf8"),
    NEW(2, PF2, 0x74, W0, ANY, "vcvt2ph2bf8"),
    {EVEX, 2, NP | P66 | PF3, 0xd2, 0xd3, W0, L012, ANY, 0, IW_ISA_AVX10_2,
     NULL}, /* vpdpwuud and its kind */
    NEW_IMM(PF2, 0x08, W0, ANY | NO_V, "vrndscalebf16"),
    NEW_IMM(PF2, 0x26, W0, ANY | NO_V, "vgetmantbf16"),
    NEW_IMM(PF3, 0x42, W0, ANY, "vmpsadbw"),
    NEW_IMM(NP, 0x52, W0, ANY, "vminmaxph"),
    NEW_IMM(P66, 0x52, W01, ANY, "vminmaxps"),
    NEW_IMM(PF2, 0x52, W0, ANY, "vminmaxbf16"),
    NEW_IMM(NP, 0x53, W0, ANY, "vminmaxsh"),
    NEW_IMM(P66, 0x53, W01, ANY, "vminmaxss"),
    NEW_IMM(PF2, 0x56, W0, ANY | NO_V, "vreducebf16"),
    NEW_IMM(PF2, 0x66, W0, ANY | NO_V, "vfpclassbf16"),
    NEW_IMM(PF2, 0xc2, W0, ANY, "vcmpbf16"),
    {EVEX, 5, NP, 0x18, 0x18, W0, L012, ANY, 0, IW_ISA_AVX10_2, "vcvtbiasph2hf8"},
    {EVEX, 5, NP, 0x1b, 0x1b, W0, L012, ANY, 0, IW_ISA_AVX10_2, "vcvtbiasph2hf8s"},
    NEW(5, PF3, 0x18, W0, ANY | NO_V, "vcvtph2hf8"),
    NEW(5, PF3, 0x1b, W0, ANY | NO_V, "vcvtph2hf8s"),
    NEW(5, PF2, 0x18, W0, ANY, "vcvt2ph2hf8"),
    NEW(5, PF2, 0x1b, W0, ANY, "vcvt2ph2hf8s"),
    NEW(5, PF2, 0x1e, W0, ANY | NO_V, "vcvthf82ph"),
    NEW(5, PF3, 0x2e, W0, ANY | NO_V, "vucomxsh"),
    NEW(5, PF3, 0x2f, W0, ANY | NO_V, "vcomxsh"),
    NEW(5, P66, 0x2f, W0, ANY | NO_V, "vcomisbf16"),
    NEW(5, P66, 0x51, W0, ANY | NO_V, "vsqrtbf16"),
    {EVEX, 5, P66, 0x58, 0x59, W0, L012, ANY, 0, IW_ISA_AVX10_2, NULL}, /* vaddbf16, vmulbf16 */
    {EVEX, 5, P66, 0x5c, 0x5f, W0, L012, ANY, 0, IW_ISA_AVX10_2,
     NULL}, /* vsubbf16, vminbf16, vdivbf16, vmaxbf16 */
    {EVEX, 5, NP | P66 | PF2, 0x68, 0x6b, W0, L012, ANY | NO_V, 0, IW_ISA_AVX10_2,
     NULL}, /* vcvttph2ibs and its kind */
    {EVEX, 5, NP | P66, 0x6c, 0x6d, W01, L012, ANY | NO_V, 0, IW_ISA_AVX10_2,
     NULL}, /* vcvttps2udqs and its kind */
    {EVEX, 5, PF3 | PF2, 0x6c, 0x6d, W01, L012, ANY | NO_V, 0, IW_ISA_AVX10_2, NULL},
    NI(EVEX, 5, PF3, 0x6e, W0, L0, ANY | NO_V, IW_ISA_AVX10_2, "vmovw"),
    NI(EVEX, 5, PF3, 0x7e, W0, L0, ANY | NO_V, IW_ISA_AVX10_2, "vmovw"),
    NEW(5, NP, 0x74, W0, ANY, "vcvtbiasph2bf8s"),
    NEW(5, PF3, 0x74, W0, ANY | NO_V, "vcvtph2bf8s"),
    NEW(5, PF2, 0x74, W0, ANY, "vcvt2ph2bf8s"),
    NEW(6, NP, 0x2c, W0, ANY, "vscalefbf16"),
    NEW(6, NP, 0x42, W0, ANY | NO_V, "vgetexpbf16"),
    NEW(6, NP, 0x4c, W0, ANY | NO_V, "vrcpbf16"),
    NEW(6, NP, 0x4e, W0, ANY | NO_V, "vrsqrtbf16"),
    NEW(6, NP, 0x98, W0, ANY, "vfmadd132bf16"),
    NEW(6, NP, 0x9a, W0, ANY, "vfmsub132bf16"),
    NEW(6, NP, 0x9c, W0, ANY, "vfnmadd132bf16"),
    NEW(6, NP, 0x9e, W0, ANY, "vfnmsub132bf16"),
    NEW(6, NP, 0xa8, W0, ANY, "vfmadd213bf16"),
    NEW(6, NP, 0xaa, W0, ANY, "vfmsub213bf16"),
    NEW(6, NP, 0xac, W0, ANY, "vfnmadd213bf16"),
    NEW(6, NP, 0xae, W0, ANY, "vfnmsub213bf16"),
    NEW(6, NP, 0xb8, W0, ANY, "vfmadd231bf16"),
    NEW(6, NP, 0xba, W0, ANY, "vfmsub231bf16"),
    NEW(6, NP, 0xbc, W0, ANY, "vfnmadd231bf16"),
    NEW(6, NP, 0xbe, W0, ANY, "vfnmsub231bf16"),
    /* APX: older instructions with EVEX */
    {EVEX, 1, NP | P66, 0x90, 0x91, W01, L0, ANY | NO_V, 0, IW_ISA_APXF, "kmov"},
    {EVEX, 1, NP | P66 | PF2, 0x92, 0x93, W01, L0, REG | NO_V, 0, IW_ISA_APXF, "kmov"},
    {EVEX, 2, NP | P66, 0x49, 0x49, W0, L0, MEM | D(0) | NO_V, 0, IW_ISA_APXF, NULL},
    {EVEX, 2, P66 | PF3 | PF2, 0x4b, 0x4b, W0, L0, MEM | NO_V, 0, IW_ISA_APXF, NULL},
    {EVEX, 2, P66 | PF2, 0x4a, 0x4a, W0, L0, MEM | NO_V, 0, IW_ISA_APXF, NULL},
    {EVEX, 2, P66, 0xe0, 0xef, W01, L0, MEM, 0, IW_ISA_APXF, "cmpccxadd"},
    {EVEX, 2, NP, 0xf2, 0xf2, W01, L0, ANY, 0, IW_ISA_APXF, "andn"},
    {EVEX, 2, NP, 0xf3, 0xf3, W01, L0, ANY | D(1), 0, IW_ISA_APXF, "blsr"},
    {EVEX, 2, NP, 0xf3, 0xf3, W01, L0, ANY | D(2), 0, IW_ISA_APXF, "blsmsk"},
    {EVEX, 2, NP, 0xf3, 0xf3, W01, L0, ANY | D(3), 0, IW_ISA_APXF, "blsi"},
    {EVEX, 2, NP | PF3 | PF2, 0xf5, 0xf5, W01, L0, ANY, 0, IW_ISA_APXF, NULL},
    {EVEX, 2, PF2, 0xf6, 0xf6, W01, L0, ANY, 0, IW_ISA_APXF, "mulx"},
    {EVEX, 2, ANY_P, 0xf7, 0xf7, W01, L0, ANY, 0, IW_ISA_APXF, NULL},
    {EVEX, 3, PF2, 0xf0, 0xf0, W01, L0, ANY | NO_V, 1, IW_ISA_APXF, "rorx"},
    /* APX: map 4 */
    ROW(NP | P66, 0x00, 0x03, 0),
    ROW(NP | P66, 0x08, 0x0b, 0),
    ROW(NP | P66, 0x10, 0x13, 0),
    ROW(NP | P66, 0x18, 0x1b, 0),
    ROW(NP | P66, 0x20, 0x23, 0),
    ROW(NP | P66, 0x24, 0x24, 1),
    ROW(NP | P66, 0x28, 0x2b, 0),
    ROW(NP | P66, 0x2c, 0x2c, 1),
    ROW(NP | P66, 0x30, 0x33, 0),
    ROW(NP | P66, 0x38, 0x3b, 0),
    ROW(NP | P66 | PF2, 0x40, 0x4f, 0),
    ROW(NP | P66, 0x60, 0x61, 0),
    ROW(P66, 0x65, 0x65, 0),
    ROW(NP | P66 | PF3, 0x66, 0x66, 0),
    ROW(NP | P66, 0x69, 0x69, IMM_Z),
    ROW(NP | P66, 0x6b, 0x6b, 1),
    ROW(NP | P66, 0x80, 0x80, 1),
    ROW(NP | P66, 0x81, 0x81, IMM_Z),
    ROW(NP | P66, 0x83, 0x83, 1),
    ROW(NP | P66, 0x84, 0x85, 0),
    ROW(NP | P66, 0x88, 0x88, 0),
    ROW(NP | P66, 0x8a, 0x8b, 0),
    GROUP(NP | P66, 0x8f, 0, 0),
    ROW(NP | P66, 0xa5, 0xa5, 0),
    ROW(NP | P66, 0xad, 0xad, 0),
    ROW(NP | P66, 0xaf, 0xaf, 0),
    ROW(NP | P66, 0xc0, 0xc1, 1),
    ROW(NP | P66, 0xd0, 0xd3, 0),
    ROW(NP | P66 | PF3, 0xf0, 0xf1, 0),
    ROW(PF3, 0xf2, 0xf2, 0),
    ROW(NP | P66, 0xf4, 0xf5, 0),
    GROUP(NP | P66, 0xf6, 0, 1),
    GROUP(NP | P66, 0xf6, 1, 1),
    ROW(NP | P66, 0xf6, 0xf6, 0),
    GROUP(NP | P66, 0xf7, 0, IMM_Z),
    GROUP(NP | P66, 0xf7, 1, IMM_Z),
    ROW(NP | P66, 0xf7, 0xf7, 0),
    ROW(P66 | PF3 | PF2, 0xf8, 0xf8, 0),
    ROW(NP | P66, 0xf9, 0xf9, 0),
    ROW(ANY_P, 0xfc, 0xfc, 0),
    GROUP(NP | P66, 0xfe, 0, 0),
    GROUP(NP | P66, 0xfe, 1, 0),
    GROUP(NP | P66, 0xff, 0, 0),
    GROUP(NP | P66, 0xff, 1, 0),
    GROUP(NP | P66, 0xff, 6, 0),
};

/* 0F 01, 0F A6 and 0F A7 with one ModRM byte each. */
static const struct fixed {
    uint8_t pp, opcode, modrm, isa;
    const char *name;
} fixed[] = {
    /* clang-format off */
    {NP, 0x01, 0xc6, IW_ISA_WRMSRNS, "wrmsrns"},    {PF2, 0x01, 0xc6, IW_ISA_MSRLIST, "rdmsrlist"}, {PF3, 0x01, 0xc6, IW_ISA_MSRLIST, "wrmsrlist"},
    {NP, 0x01, 0xc7, IW_ISA_PBNDKB, "pbndkb"},      {PF2, 0x01, 0xca, IW_ISA_FRED, "erets"},        {PF3, 0x01, 0xca, IW_ISA_FRED, "eretu"},
    {PF3, 0xa6, 0xe0, IW_ISA_PADLOCK2, "xsha512"},  {PF3, 0xa6, 0xe8, IW_ISA_PADLOCK2, "ccs_hash"}, {PF3, 0xa6, 0xf0, IW_ISA_PADLOCK2, "montmul2"},
    {PF3, 0xa6, 0xf8, IW_ISA_PADLOCK2, "xmodexp"},  {PF2, 0xa6, 0xc0, IW_ISA_PADLOCK2, "sm2"},      {PF3, 0xa7, 0xf0, IW_ISA_PADLOCK2, "ccs_encrypt"},
    {PF3, 0xa7, 0xf8, IW_ISA_PADLOCK2, "xrng2"},
    /* clang-format on */
};

/* What stands before the opcode. */
typedef struct head {
    uint8_t space, map, w, l;
    bool has_v;      /* vvvv (or V') isn't all ones */
    bool extended;   /* EVEX with r16 to r31: B4 or X4 */
    unsigned pp;     /* one of NP, P66, PF3, PF2 */
    unsigned opcode; /* where it stands */
} head;

static unsigned operand_length(const uint8_t *modrm)
{
    unsigned mod = *modrm >> 6, rm = *modrm & 7, length = mod != 3 && rm == 4 ? 2 : 1;
    if (mod == 1) return length + 1;
    if (mod == 2) return length + 4;
    return mod == 0 && (rm == 5 || (rm == 4 && (modrm[1] & 7) == 5)) ? length + 4 : length;
}

static bool fits(const form *f, const head *h, const uint8_t *opcode)
{
    unsigned reg = opcode[1] >> 3 & 7;
    if (f->space != h->space || f->map != h->map || *opcode < f->first || *opcode > f->last)
        return false;
    if (!(f->pp & h->pp) || !(f->w & (h->w ? W1 : W0)) ||
        (f->space != LEGACY && !(f->l & 1u << h->l)))
        return false;
    if (!(f->operand & (opcode[1] >= 0xc0 ? REG : MEM)) ||
        (f->operand & DIGIT && reg != (f->operand >> 3 & 7)))
        return false;
    return !(f->operand & NO_V && h->has_v);
}

static void name(iw_newer *out, const char *mnemonic)
{
    if (mnemonic) snprintf(out->name, sizeof out->name, "%s", mnemonic);
    else snprintf(out->name, sizeof out->name, "(%s)", iw_isa_needs(out->isa)[0]);
}

static bool read_form(const uint8_t *bytes, const head *h, iw_newer *out)
{
    const uint8_t *opcode = bytes + h->opcode;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const form *f = &forms[i];
        if (!fits(f, h, opcode)) continue;
        unsigned imm = f->imm == IMM_Z ? (h->pp == P66 && !h->w ? 2 : 4) : f->imm;
        out->isa = h->extended ? (unsigned)IW_ISA_APXF : f->isa;
        out->length = h->opcode + 1 + operand_length(opcode + 1) + imm;
        name(out, f->name);
        return true;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed && h->space == LEGACY && h->map == 1; i++)
        if (fixed[i].opcode == opcode[0] && fixed[i].modrm == opcode[1] && fixed[i].pp & h->pp) {
            out->isa = fixed[i].isa;
            out->length = h->opcode + 2;
            name(out, fixed[i].name);
            return true;
        }
    return false;
}

static bool read_vex(const uint8_t *bytes, unsigned at, iw_newer *out)
{
    bool three = bytes[at] == 0xc4;
    unsigned last = bytes[at + (three ? 2 : 1)];
    head h = {.space = VEX,
              .map = three ? bytes[at + 1] & 31 : 1,
              .w = three ? (uint8_t)(last >> 7) : 0,
              .l = last >> 2 & 1};
    h.has_v = (last & 0x78) != 0x78;
    h.pp = 1u << (last & 3);
    h.opcode = at + (three ? 3 : 2);
    return read_form(bytes, &h, out);
}

/* With B4 and X4 unset what isn't known to this table may be to Zydis. */
static bool read_evex(const ZydisDecoder *zydis, uint8_t *bytes, unsigned at, iw_newer *out)
{
    uint8_t *evex = bytes + at;
    head h = {.space = EVEX,
              .map = evex[1] & 7,
              .w = evex[2] >> 7,
              .l = evex[3] >> 5 & 3,
              .pp = 1u << (evex[2] & 3),
              .opcode = at + 4};
    ZydisDecodedInstruction in;
    h.has_v = (evex[2] & 0x78) != 0x78 || !(evex[3] & 8);
    h.extended = evex[1] & 8 || !(evex[2] & 4);
    if (evex[3] & 0x80 && (h.map == 4 || !(evex[3] & 7))) return false; /* z */
    if (read_form(bytes, &h, out)) return true;
    if (!h.extended || (evex[5] >= 0xc0 && !(evex[2] & 4))) return false;
    evex[1] &= 0xf7;
    evex[2] |= 4;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(zydis, NULL, bytes, LONGEST, &in)))
        return false;
    out->isa = IW_ISA_APXF;
    out->length = in.length;
    snprintf(out->name, sizeof out->name, "%s", ZydisMnemonicGetString(in.mnemonic));
    return true;
}

/* REX2: the same instruction with REX, and 0F where M0 is set, has the same length from the opcode
 * on. */
static bool read_rex2(const ZydisDecoder *zydis, const uint8_t *bytes, unsigned at, iw_newer *out)
{
    uint8_t other[LONGEST + 1];
    unsigned payload = bytes[at + 1], opcode = bytes[at + 2], row = opcode >> 4, length = at;
    bool two = payload & 0x80;
    ZydisDecodedInstruction in;
    out->isa = IW_ISA_APXF;
    if (!two && opcode == 0xa1) {
        out->length = at + 3 + 8;
        name(out, "jmpabs");
        return true;
    }
    if (two ? row == 3 || row == 8
            : row == 4 || row == 7 || row == 0xa || row == 0xe || opcode == 0x0f || opcode == 0xd5)
        return false;
    memcpy(other, bytes, at);
    other[length++] = (uint8_t)(0x40 | (payload & 15));
    if (two) other[length++] = 0x0f;
    memcpy(other + length, bytes + at + 2, sizeof other - length);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(zydis, NULL, other, LONGEST, &in)) ||
        in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || in.raw.rex.offset != at)
        return false;
    out->length = in.length + at + 2 - length;
    snprintf(out->name, sizeof out->name, "%s", ZydisMnemonicGetString(in.mnemonic));
    return true;
}

static bool read_legacy(const uint8_t *bytes, unsigned at, head *h, iw_newer *out)
{
    if ((bytes[at] & 0xf0) == 0x40) h->w = bytes[at++] >> 3 & 1;
    if (bytes[at++] != 0x0f) return false;
    h->map = bytes[at] == 0x38 ? 2 : bytes[at] == 0x3a ? 3 : 1;
    h->opcode = h->map == 1 ? at : at + 1;
    return read_form(bytes, h, out);
}

bool iw_newer_read(const ZydisDecoder *zydis, const uint8_t *code, size_t available, iw_newer *out)
{
    uint8_t bytes[2 * LONGEST + 2] = {0};
    unsigned at = 0;
    head h = {.space = LEGACY, .pp = NP};
    bool bare = true, known; /* nothing that VEX, EVEX and REX2 forbid before them */
    memcpy(bytes, code, available < LONGEST ? available : LONGEST);
    for (; at < 10; at++) {
        uint8_t b = bytes[at];
        if (b == 0xf3 || b == 0xf2) h.pp = b == 0xf3 ? PF3 : PF2;
        else if (b == 0x66) h.pp = h.pp == NP ? P66 : h.pp;
        else if (b != 0x67 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 &&
                 b != 0x65)
            break;
        bare = bare && h.pp == NP;
    }
    switch (bytes[at]) {
    case 0xc4:
    case 0xc5: known = bare && read_vex(bytes, at, out); break;
    case 0x62: known = bare && read_evex(zydis, bytes, at, out); break;
    case 0xd5: known = read_rex2(zydis, bytes, at, out); break;
    default: known = read_legacy(bytes, at, &h, out); break;
    }
    return known && out->length <= LONGEST && out->length <= available;
}
