/* Tables of instruction encodings in 64-bit mode, made by generate.c from the reference decoder
 * (Zydis) and committed as tables.inc. An entry says, for one opcode under given prefixes: which
 * class of isa.h, whether a ModRM byte and how many immediate bytes follow, and under which
 * conditions that is known; where a condition fails, Zydis is asked.
 *   legacy: iw_legacy[iw_legacy_rows[map][prefix][W]][opcode]; map 0 one byte, 1 0F, 2 0F38, 3
 * 0F3A; prefix: bit 0: 66 was seen; 0, 2, 4: none, F3, F2 vex:    iw_vex[iw_vex_rows[map -
 * 1][pp]][opcode] is a pattern: iw_patterns[…][W * 2 + L] evex:
 * iw_evex[iw_evex_rows[map][pp]][opcode] is a pattern of 32: [((W * 4 + L'L) * 2 + b) * 2 + (mod ==
 * 3)] A SUB entry gives in its low bits a row of iw_subs: by ModRM, [reg] for memory operands, [8 +
 * reg * 8 + rm] for registers. */
#ifndef IW_AUDIT_ENCODING_H
#define IW_AUDIT_ENCODING_H

#include <stdint.h>

enum {
    IW_ENC_ISA = 0x7f,
    IW_ENC_IMM = 0x780, /* bytes of immediate, shifted by 7 */
    IW_ENC_IMM_SHIFT = 7,
    IW_ENC_MODRM = 0x800,
    IW_ENC_LOCK = 0x1000,  /* legacy: LOCK is legal where the operand is memory */
    IW_ENC_PLAIN = 0x1000, /* vex: known with R, X, B unset only; evex: R, R' unset only */
    IW_ENC_ASK = 0x2000,
    IW_ENC_NEED_V = 0x4000, /* vex: known with vvvv = 1111 only; evex: V' too */
    IW_ENC_SUB = 0x8000,
    /* evex, where the immediate is one byte or none */
    IW_ENC_IMM1 = 0x80,
    IW_ENC_UNMASKED = 0x100, /* known with aaa = 0, z = 0 */
    IW_ENC_MASKED = 0x200,   /* known with aaa != 0, z = 0 */
    IW_ENC_ZEROED = 0x400,   /* known with aaa != 0, z = 1 */
    IW_ENC_SUB_ROW = 0x1fff,
    IW_SUB_ENTRIES = 72
};

extern const uint8_t iw_legacy_rows[4][6][2];
extern const uint16_t iw_legacy[][256];
extern const uint8_t iw_vex_rows[3][4];
extern const uint16_t iw_vex[][256];
extern const uint16_t iw_vex_patterns[][4];
extern const uint8_t iw_evex_rows[7][4]; /* maps 0 and 4 don't exist: every entry asks */
extern const uint16_t iw_evex[][256];
extern const uint16_t iw_evex_patterns[][32];
extern const uint16_t iw_subs[][IW_SUB_ENTRIES];

#endif
