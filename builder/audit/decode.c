#include "audit/decode.h"

#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>

#include "audit/encoding.h"
#include "audit/newer.h"
#include "base/memory.h"

/* Entries of the fast tables. The event mask has a bit for each (mod == 3, reg): the entry as it
 * stands doesn't hold there, or is forbidden. */
enum { FAST_IMM = 0x0f, FAST_MODRM = 0x10, FAST_SPECIAL = 0x20, FAST_EVENTS = 16 };

struct iw_coder {
    iw_isa_rules rules;
    ZydisDecoder zydis;
    uint32_t legacy[4][6][2][256];
    uint16_t vex[3][4][4][256]; /* [W * 2 + L] */
    uint16_t modrm[256]; /* bytes with displacement, without ModRM's SIB extra; bit 7: look at SIB
                            for a displacement; 8-11: (mod == 3, reg) */
};

enum { PACKED_ISA = 8, READ_AHEAD = 16 };

static inline uint32_t packed(unsigned length, unsigned isa)
{
    return length | isa << PACKED_ISA;
}

/* --- tables --------------------------------------------------------------- */

static uint16_t sub_of(uint16_t entry, unsigned modrm)
{
    unsigned reg = modrm >> 3 & 7;
    return iw_subs[entry & IW_ENC_SUB_ROW][modrm >= 0xc0 ? 8 + reg * 8 + (modrm & 7) : reg];
}

/* Does this entry need a closer look: another length than the one assumed, forbidden, or open? */
static bool is_event(const iw_isa_rules *rules, uint16_t entry, uint32_t assumed)
{
    if (entry & (IW_ENC_ASK | IW_ENC_SUB)) return true;
    if (rules->forbidden[entry & IW_ENC_ISA]) return true;
    uint32_t form =
        (uint32_t)(entry >> IW_ENC_IMM_SHIFT & FAST_IMM) | (entry & IW_ENC_MODRM ? FAST_MODRM : 0);
    return form != assumed;
}

static uint32_t form_of(uint16_t entry)
{
    return (uint32_t)(entry >> IW_ENC_IMM_SHIFT & FAST_IMM) |
           (entry & IW_ENC_MODRM ? FAST_MODRM : 0);
}

static uint32_t fast_entry(const iw_isa_rules *rules, unsigned map, unsigned opcode, uint16_t entry)
{
    if (entry & IW_ENC_ASK) return FAST_SPECIAL;
    if (!(entry & IW_ENC_SUB)) {
        uint32_t form = form_of(entry);
        uint32_t events = is_event(rules, entry, form) ? 0xffff : 0;
        return form | events << FAST_EVENTS;
    }
    const uint16_t *sub = iw_subs[entry & IW_ENC_SUB_ROW];
    uint32_t form = 0,
             events = map == 0 &&
                      opcode == 0; /* 00 /0 may be 00 00, and is a SUB entry for LOCK's sake */
    for (unsigned i = IW_SUB_ENTRIES; i-- > 0;)
        if (!(sub[i] & IW_ENC_ASK) && (sub[i] & IW_ENC_ISA) != IW_ISA_BAD &&
            (sub[i] & IW_ENC_MODRM))
            form = form_of(sub[i]);
    for (unsigned i = 0; i < IW_SUB_ENTRIES; i++)
        if (is_event(rules, sub[i], form)) events |= 1u << (i < 8 ? i : 8 + (i - 8) / 8);
    /* Without any form with ModRM nothing may be assumed. */
    return form & FAST_MODRM ? form | events << FAST_EVENTS : FAST_SPECIAL;
}

static void make_modrm(uint16_t *table)
{
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        unsigned mod = modrm >> 6, rm = modrm & 7, length = 1;
        if (mod != 3 && rm == 4) length++;
        if (mod == 1) length++;
        if (mod == 2 || (mod == 0 && rm == 5)) length += 4;
        table[modrm] = (uint16_t)(length | (mod == 0 && rm == 4 ? 0x80 : 0) |
                                  ((mod == 3 ? 8 : 0) + (modrm >> 3 & 7)) << 8);
    }
}

iw_coder *iw_coder_new(const iw_isa_rules *rules)
{
    iw_coder *coder = iw_alloc(sizeof *coder);
    coder->rules = *rules;
    ZydisDecoderInit(&coder->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (unsigned map = 0; map < 4; map++)
        for (unsigned prefix = 0; prefix < 6; prefix++)
            for (unsigned w = 0; w < 2; w++)
                for (unsigned opcode = 0; opcode < 256; opcode++)
                    coder->legacy[map][prefix][w][opcode] =
                        fast_entry(rules, map, opcode,
                                   iw_legacy[iw_legacy_rows[map][prefix][w]][opcode]);
    for (unsigned map = 0; map < 3; map++)
        for (unsigned pp = 0; pp < 4; pp++)
            for (unsigned opcode = 0; opcode < 256; opcode++)
                for (unsigned wl = 0; wl < 4; wl++)
                    coder->vex[map][pp][wl][opcode] =
                        iw_vex_patterns[iw_vex[iw_vex_rows[map][pp]][opcode]][wl];
    make_modrm(coder->modrm);
    return coder;
}

void iw_coder_free(iw_coder *coder)
{
    free(coder);
}

const iw_isa_rules *iw_coder_rules(const iw_coder *coder)
{
    return &coder->rules;
}

void iw_sweep_free(iw_sweep *sweep)
{
    free(sweep->hits);
    memset(sweep, 0, sizeof *sweep);
}

/* --- one instruction, any form -------------------------------------------- */

/* Of what Zydis rejects. */
static uint32_t newer(const iw_coder *coder, const uint8_t *code, size_t available)
{
    iw_newer found;
    return iw_newer_read(&coder->zydis, code, available, &found) ? packed(found.length, found.isa)
                                                                 : packed(1, IW_ISA_BAD);
}

static uint32_t ask(const iw_coder *coder, const uint8_t *code, size_t available)
{
    ZydisDecodedInstruction in;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&coder->zydis, NULL, code,
                                                    available < 15 ? available : 15, &in)))
        return newer(coder, code, available);
    return packed(in.length, iw_isa_of(in.meta.isa_set, in.mnemonic));
}

static inline unsigned modrm_bytes(const iw_coder *coder, unsigned modrm, unsigned sib)
{
    unsigned entry = coder->modrm[modrm];
    return (entry & 0x7f) + ((entry & 0x80) && (sib & 7) == 5 ? 4 : 0);
}

static uint32_t finish(const iw_coder *coder, const uint8_t *code, const uint8_t *after,
                       uint16_t entry, size_t available)
{
    unsigned isa = entry & IW_ENC_ISA;
    if (isa == IW_ISA_BAD) return newer(coder, code, available);
    unsigned length = (unsigned)(after - code);
    if (entry & IW_ENC_MODRM) length += modrm_bytes(coder, after[0], after[1]);
    length += entry >> IW_ENC_IMM_SHIFT & 15;
    if (length > 15 || length > available) return packed(1, IW_ISA_BAD);
    return packed(length, isa);
}

static uint32_t decode_vex(const iw_coder *coder, const uint8_t *code, const uint8_t *at,
                           size_t available)
{
    bool three = at[0] == 0xc4;
    unsigned map = three ? at[1] & 31 : 1, last = three ? at[2] : at[1], w = three ? last >> 7 : 0,
             rxb = three ? at[1] & 0xe0 : (at[1] & 0x80) | 0x60;
    if (map < 1 || map > 3) return ask(coder, code, available);
    const uint8_t *op = at + (three ? 3 : 2);
    uint16_t entry = coder->vex[map - 1][last & 3][w * 2 + (last >> 2 & 1)][*op];
    if (entry & IW_ENC_SUB) entry = sub_of(entry, op[1]);
    if (entry & IW_ENC_ASK || (entry & IW_ENC_PLAIN && rxb != 0xe0) ||
        (entry & IW_ENC_NEED_V && (last & 0x78) != 0x78))
        return ask(coder, code, available);
    return finish(coder, code, op + 1, entry, available);
}

static inline uint16_t evex_entry(const uint8_t *at)
{
    unsigned map = at[1] & 7, p2 = at[3], modrm = at[5];
    if (map == 7 || at[1] & 8 || !(at[2] & 4)) return IW_ENC_ASK;
    unsigned index = ((at[2] >> 7) * 4 + (p2 >> 5 & 3)) * 4 + (p2 >> 4 & 1) * 2 + (modrm >= 0xc0);
    uint16_t entry = iw_evex_patterns[iw_evex[iw_evex_rows[map][at[2] & 3]][at[4]]][index];
    if (entry & IW_ENC_SUB) entry = sub_of(entry, modrm);
    unsigned masking = p2 & 7      ? (p2 & 0x80 ? IW_ENC_ZEROED : IW_ENC_MASKED)
                       : p2 & 0x80 ? 0
                                   : IW_ENC_UNMASKED;
    if (!(entry & masking)) return IW_ENC_ASK;
    if (entry & IW_ENC_PLAIN && (at[1] & 0x90) != 0x90) return IW_ENC_ASK;
    if (entry & IW_ENC_NEED_V && ((at[2] & 0x78) != 0x78 || !(p2 & 8))) return IW_ENC_ASK;
    return entry & IW_ENC_ASK ? IW_ENC_ASK
                              : (uint16_t)(entry & (IW_ENC_ISA | IW_ENC_IMM1 | IW_ENC_MODRM));
}

static uint32_t decode_evex(const iw_coder *coder, const uint8_t *code, const uint8_t *at,
                            size_t available)
{
    uint16_t entry = evex_entry(at);
    return entry & IW_ENC_ASK ? ask(coder, code, available)
                              : finish(coder, code, at + 5, entry, available);
}

/* `code` has READ_AHEAD readable bytes at least, `available` of which count. */
static uint32_t decode_slow(const iw_coder *coder, const uint8_t *code, size_t available)
{
    const uint8_t *at = code;
    unsigned size = 0, repeat = 0, lock = 0, w = 0, rex = 0;
    for (;; at++) {
        if (at - code > 8) return ask(coder, code, available);
        uint8_t b = *at;
        if (b == 0x66) size = 1;
        else if (b == 0xf2 || b == 0xf3) {
            unsigned which = b == 0xf3 ? 2 : 4;
            if (repeat && repeat != which) return ask(coder, code, available);
            repeat = which;
        } else if (b == 0xf0) lock = 1;
        else if (b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 && b != 0x65) break;
    }
    if ((*at & 0xf0) == 0x40) {
        rex = 1;
        w = *at >> 3 & 1;
        at++;
    }
    unsigned map = 0;
    switch (*at) {
    case 0xc4:
    case 0xc5:
        return size || repeat || lock || rex ? ask(coder, code, available)
                                             : decode_vex(coder, code, at, available);
    case 0x62:
        return size || repeat || lock || rex ? ask(coder, code, available)
                                             : decode_evex(coder, code, at, available);
    case 0x0f:
        at++;
        map = *at == 0x38 ? 2 : *at == 0x3a ? 3 : 1;
        if (map > 1) at++;
        break;
    case 0x8f: /* XOP where the next byte's low bits are 8 or more */
        if ((at[1] & 0x38) == 0 && !lock && !size)
            return finish(coder, code, at + 1, IW_ISA_BASE | IW_ENC_MODRM, available);
        return ask(coder, code, available);
    default: break;
    }
    uint16_t entry = iw_legacy[iw_legacy_rows[map][size | repeat][w]][*at];
    if (entry & IW_ENC_SUB) entry = sub_of(entry, at[1]);
    if (entry & IW_ENC_ASK) return ask(coder, code, available);
    if (lock && (!(entry & IW_ENC_LOCK) || at[1] >= 0xc0)) return ask(coder, code, available);
    return finish(coder, code, at + 1, entry, available);
}

uint32_t iw_decode(const iw_coder *coder, const uint8_t *code, size_t available)
{
    if (available >= READ_AHEAD + 16) return decode_slow(coder, code, available);
    uint8_t copy[READ_AHEAD + 16] = {0};
    memcpy(copy, code, available);
    return decode_slow(coder, copy, available);
}

/* --- sweeping ------------------------------------------------------------- */

static void add_hit(iw_sweep *sweep, size_t offset, unsigned length, unsigned isa)
{
    if (sweep->count == sweep->capacity)
        iw_grow((void **)&sweep->hits, &sweep->capacity, sweep->count + 1, sizeof *sweep->hits);
    sweep->hits[sweep->count++] = (iw_hit){(uint32_t)offset, (uint8_t)length, (uint8_t)isa};
}

/* The slow way for one instruction: notes a hit where there is one. */
static unsigned step(const iw_coder *coder, const uint8_t *base, size_t at, size_t available,
                     iw_sweep *sweep)
{
    uint32_t result = iw_decode(coder, base + at, available);
    unsigned length = result & 0xff, isa = result >> PACKED_ISA;
    if (coder->rules.forbidden[isa]) add_hit(sweep, at, length, isa);
    else if (base[at] == 0 && length == 2 && base[at + 1] == 0)
        add_hit(sweep, at, length, IW_ISA_ODD);
    return length;
}

static inline uint64_t load(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* VEX at `at`: its length, or 0 for the slow way; a forbidden one is noted. */
static inline unsigned sweep_vex(const iw_coder *coder, const uint8_t *base, size_t at,
                                 uint64_t word, iw_sweep *sweep)
{
    unsigned three = (word & 0xff) == 0xc4;
    unsigned p1 = word >> 8 & 0xff, last = three ? word >> 16 & 0xff : p1,
             map = three ? p1 & 31 : 1;
    unsigned wl = (three ? last >> 7 : 0) * 2 + (last >> 2 & 1);
    if (map - 1 > 2) return 0;
    uint64_t rest = word >> (three ? 24 : 16);
    unsigned modrm = rest >> 8 & 0xff;
    uint16_t entry = coder->vex[map - 1][last & 3][wl][rest & 0xff];
    if (entry & (IW_ENC_SUB | IW_ENC_ASK | IW_ENC_PLAIN)) return 0;
    if (entry & IW_ENC_NEED_V && (last & 0x78) != 0x78) return 0;
    unsigned isa = entry & IW_ENC_ISA, length = 3 + three + (entry >> IW_ENC_IMM_SHIFT & 15);
    if (isa == IW_ISA_BAD) return 0;
    if (entry & IW_ENC_MODRM) length += modrm_bytes(coder, modrm, rest >> 16 & 0xff);
    if (coder->rules.forbidden[isa]) add_hit(sweep, at, length, isa);
    (void)base;
    return length;
}

static inline unsigned sweep_evex(const iw_coder *coder, const uint8_t *base, size_t at,
                                  iw_sweep *sweep)
{
    uint16_t entry = evex_entry(base + at);
    unsigned isa = entry & IW_ENC_ISA;
    if (entry & IW_ENC_ASK || isa == IW_ISA_BAD) return 0;
    unsigned length =
        5 + modrm_bytes(coder, base[at + 5], base[at + 6]) + (entry & IW_ENC_IMM1 ? 1 : 0);
    if (coder->rules.forbidden[isa]) add_hit(sweep, at, length, isa);
    return length;
}

/* What isn't "[REX] opcode": one 66, F2 or F3, then [REX], the escapes; VEX and EVEX. 0 for the
 * slow way. */
static inline unsigned sweep_special(const iw_coder *coder, const uint8_t *base, size_t at,
                                     uint64_t word, iw_sweep *sweep)
{
    unsigned b = word & 0xff, before = 1, prefix = 0, w = 0;
    if (b == 0xc5 || b == 0xc4) return sweep_vex(coder, base, at, word, sweep);
    if (b == 0x62) return sweep_evex(coder, base, at, sweep);
    if (b == 0x66 || b == 0xf3 || b == 0xf2) {
        prefix = b == 0x66 ? 1 : b == 0xf3 ? 2 : 4;
        word >>= 8;
        before++;
        b = word & 0xff;
    }
    if ((b & 0xf0) == 0x40) {
        w = b >> 3 & 1;
        word >>= 8;
        before++;
        b = word & 0xff;
    }
    unsigned map = 0;
    if (b == 0x0f) {
        word >>= 8;
        before++;
        b = word & 0xff;
        if (b == 0x38 || b == 0x3a) {
            map = b == 0x38 ? 2 : 3;
            word >>= 8;
            before++;
            b = word & 0xff;
        } else map = 1;
    }
    uint32_t entry = coder->legacy[map][prefix][w][b];
    unsigned modrm = word >> 8 & 0xff, form = coder->modrm[modrm];
    if (entry & FAST_SPECIAL || entry >> (FAST_EVENTS + (form >> 8)) & 1) return 0;
    unsigned length = before + (entry & FAST_IMM);
    if (entry & FAST_MODRM) length += modrm_bytes(coder, modrm, word >> 16 & 0xff);
    return length;
}

size_t iw_sweep_run(const iw_coder *coder, const uint8_t *base, size_t begin, size_t end,
                    size_t limit, iw_sweep *sweep)
{
    size_t at = begin, fast_end = limit > 2 * READ_AHEAD ? limit - 2 * READ_AHEAD : 0;
    if (fast_end > end) fast_end = end;
    uint64_t instructions = 0;
    while (at < fast_end) {
        uint64_t word = load(base + at), tail;
        unsigned rex = (word & 0xf0) == 0x40, w = rex & (unsigned)(word >> 3);
        tail = word >> (rex * 8);
        uint32_t entry = coder->legacy[0][0][w][tail & 0xff];
        unsigned form = coder->modrm[tail >> 8 & 0xff],
                 extra = (form & 0x80) && (tail >> 16 & 7) == 5 ? 4 : 0;
        unsigned length =
            1 + rex + (entry & FAST_IMM) + (((form & 0x7f) + extra) & -(entry >> 4 & 1));
        if (__builtin_expect((entry & FAST_SPECIAL) | (entry >> (FAST_EVENTS + (form >> 8)) & 1),
                             0)) {
            length = sweep_special(coder, base, at, word, sweep);
            if (length == 0) length = step(coder, base, at, limit - at, sweep);
        }
        at += length;
        instructions++;
    }
    for (; at < end; instructions++) at += step(coder, base, at, limit - at, sweep);
    sweep->instructions += instructions;
    return at;
}

/* --- the flow of control -------------------------------------------------- */

static int64_t signed_at(const uint8_t *from, unsigned size)
{
    if (size == 1) return (int8_t)*from;
    int32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* FF /2, /4 through [rip + disp32] and 8D /r likewise. */
static void flow_memory(const uint8_t *opcode, const uint8_t *code, unsigned length, iw_flow *out)
{
    if ((opcode[1] & 0xc7) != 0x05 || opcode + 6 > code + length) return;
    out->known = true;
    out->target = (int64_t)length + signed_at(opcode + 2, 4);
}

void iw_flow_of(const uint8_t *code, unsigned length, iw_flow *out)
{
    const uint8_t *at = code, *end = code + length;
    memset(out, 0, sizeof *out);
    while (at < end &&
           (*at == 0x66 || *at == 0xf2 || *at == 0xf3 || *at == 0x2e || *at == 0x36 ||
            *at == 0x3e || *at == 0x26 || *at == 0x64 || *at == 0x65 || *at == 0x67 || *at == 0xf0))
        at++;
    while (at < end && (*at & 0xf0) == 0x40) at++;
    if (at == end) return;
    unsigned size = 0;
    if (*at == 0xe8 || *at == 0xe9) out->kind = *at == 0xe8 ? IW_FLOW_CALL : IW_FLOW_JUMP, size = 4;
    else if (*at == 0xeb) out->kind = IW_FLOW_JUMP, size = 1;
    else if ((*at & 0xf0) == 0x70 || (*at >= 0xe0 && *at <= 0xe3))
        out->kind = IW_FLOW_BRANCH, size = 1;
    else if (*at == 0x0f && at + 1 < end && (at[1] & 0xf0) == 0x80)
        out->kind = IW_FLOW_BRANCH, size = 4;
    else if (*at == 0xc7 && at + 1 < end && at[1] == 0xf8) out->kind = IW_FLOW_BRANCH, size = 4;
    else if (*at == 0xc3 || *at == 0xc2 || *at == 0xcb || *at == 0xca || *at == 0xcf ||
             *at == 0xf4 || *at == 0xcc)
        out->kind = IW_FLOW_STOP;
    else if (*at == 0x0f && at + 1 < end && (at[1] == 0x0b || at[1] == 0xb9 || at[1] == 0xff))
        out->kind = IW_FLOW_STOP;
    else if (*at == 0xff && at + 1 < end && ((at[1] >> 3 & 7) == 2 || (at[1] >> 3 & 7) == 4)) {
        out->kind = (at[1] >> 3 & 7) == 2 ? IW_FLOW_CALL_BY : IW_FLOW_JUMP_BY;
        flow_memory(at, code, length, out);
    } else if (*at == 0x8d && at + 1 < end) {
        flow_memory(at, code, length, out);
        out->lea = out->known;
    }
    if (size && length > size) {
        out->known = true;
        out->target = (int64_t)length + signed_at(end - size, size);
    }
}
