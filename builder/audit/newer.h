/* Instructions newer than the reference decoder: those of Intel's and AMD's manuals that Zydis 4.0
 * rejects, from one table. Lengths are exact; operands aren't told. Sources: Intel's Architecture
 * Instruction Set Extensions Programming Reference and its APX and AVX10.2 specifications, VIA's
 * Padlock guide. APX: a REX2 prefix (D5), EVEX map 4, and EVEX instructions that name one of r16 to
 * r31. (Zydis takes EVEX with an index above r15 for Knights Corner's MVEX, where that exists:
 * class knc.) */
#ifndef IW_AUDIT_NEWER_H
#define IW_AUDIT_NEWER_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct iw_newer {
    unsigned length;
    unsigned isa;  /* IW_ISA_NEWER or above */
    char name[24]; /* "tdpfp16ps"; "(apxf)" where one row of the table stands for many */
} iw_newer;

/* Of bytes that `zydis` rejects; at most `available` of them are read. False: no instruction known
 * here either. */
bool iw_newer_read(const ZydisDecoder *zydis, const uint8_t *code, size_t available, iw_newer *out);

#endif
