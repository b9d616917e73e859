/* What an instruction needs beyond plain x86-64. A class is one set of needs; names are those of
 * gcc's -m options, or, where gcc has none, the usual ones (rdtscp, vmx). Where Zydis is asked, its
 * ISA set and mnemonic give the class. */
#ifndef IW_AUDIT_ISA_H
#define IW_AUDIT_ISA_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

#include "recipe/recipe.h"

enum { IW_ISA_NEEDS = 3, IW_ISA_LIMIT = 160 };
enum {
    IW_ISA_BASE = 0,
    IW_ISA_ODD = 126,
    IW_ISA_BAD = 127
}; /* ODD: "00 00", valid but hardly ever code; BAD: doesn't decode */
/* Classes of instructions newer than Zydis (newer.h). */
enum {
    IW_ISA_NEWER = 128,
    IW_ISA_AMX_AVX512 = IW_ISA_NEWER,
    IW_ISA_AMX_COMPLEX,
    IW_ISA_AMX_FP16,
    IW_ISA_AMX_FP8,
    IW_ISA_AMX_MOVRS,
    IW_ISA_AMX_TF32,
    IW_ISA_APXF,
    IW_ISA_AVX10_2,
    IW_ISA_AVXIFMA,
    IW_ISA_AVXNECONVERT,
    IW_ISA_AVXVNNIINT16,
    IW_ISA_AVXVNNIINT8,
    IW_ISA_CMPCCXADD,
    IW_ISA_FRED,
    IW_ISA_LKGS,
    IW_ISA_MOVRS,
    IW_ISA_MSR_IMM,
    IW_ISA_MSRLIST,
    IW_ISA_PADLOCK2,
    IW_ISA_PBNDKB,
    IW_ISA_RAOINT,
    IW_ISA_SHA512,
    IW_ISA_SM3,
    IW_ISA_SM4,
    IW_ISA_USERMSR,
    IW_ISA_WRMSRNS,
    IW_ISA_END
};

/* NULL-terminated needs of a class, the most telling first; NULL for what is no class. */
const char *const *iw_isa_needs(unsigned isa);
unsigned iw_isa_of(ZydisISASet set, ZydisMnemonic mnemonic);

/* For each class: NULL where the profile's features allow it, else the first need that they lack.
 * BAD gives "undecodable", ODD NULL. */
typedef struct iw_isa_rules {
    const char *lacks[IW_ISA_LIMIT];
    uint8_t forbidden[IW_ISA_LIMIT];
} iw_isa_rules;

void iw_isa_rules_make(const iw_list *features, iw_isa_rules *out);

/* What happens on a CPU that lacks the feature, where that isn't SIGILL; or NULL. Static. */
const char *iw_isa_remark(const char *feature);

#endif
