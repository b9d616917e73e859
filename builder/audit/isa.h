/* What an instruction needs beyond plain x86-64. A class is one set of needs; names are those of gcc's -m options, or, where gcc has none, the usual
 * ones (rdtscp, vmx). Where Zydis is asked, its ISA set and mnemonic give the class. */
#ifndef IW_AUDIT_ISA_H
#define IW_AUDIT_ISA_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

#include "recipe/recipe.h"

enum { IW_ISA_NEEDS = 3, IW_ISA_LIMIT = 128 };
enum { IW_ISA_BASE = 0, IW_ISA_ODD = 126, IW_ISA_BAD = 127 }; /* ODD: "00 00", valid but hardly ever code; BAD: doesn't decode */

/* NULL-terminated needs of a class, the most telling first; NULL past the last class. */
const char *const *iw_isa_needs(unsigned isa);
unsigned iw_isa_of(ZydisISASet set, ZydisMnemonic mnemonic);

/* For each class: NULL where the profile's features allow it, else the first need that they lack. BAD gives "undecodable", ODD NULL. */
typedef struct iw_isa_rules {
    const char *lacks[IW_ISA_LIMIT];
    uint8_t forbidden[IW_ISA_LIMIT];
} iw_isa_rules;

void iw_isa_rules_make(const iw_list *features, iw_isa_rules *out);

/* What happens on a CPU that lacks the feature, where that isn't SIGILL; or NULL. Static. */
const char *iw_isa_remark(const char *feature);

#endif
