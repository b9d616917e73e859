/* Writes tables.inc (see encoding.h) to standard output, from the reference decoder: `make
 * audit-tables`. Each entry is sampled over everything that the entry doesn't name (registers,
 * vvvv, addressing); where a sample disagrees the entry asks at run time. */
#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/encoding.h"
#include "audit/isa.h"

enum { ROW_LIMIT = 64, SUB_LIMIT = 8000, PATTERN_LIMIT = 4000 };

static ZydisDecoder decoder;

typedef struct iw_form {
    unsigned char bytes[24];
    unsigned opcode_end; /* length up to and with the opcode */
} iw_form;

static uint16_t subs[SUB_LIMIT][IW_SUB_ENTRIES];
static unsigned sub_count;

static bool always_ask(ZydisMnemonic mnemonic)
{
    const char *name = ZydisMnemonicGetString(mnemonic);
    static const char *const starts[] = {"vgather", "vpgather", "vscatter", "vpscatter",
                                         "td",      "vfmulc",   "vfmaddc",  "vfcm"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0) return true;
    return mnemonic == ZYDIS_MNEMONIC_TILELOADD || mnemonic == ZYDIS_MNEMONIC_TILELOADDT1 ||
           mnemonic == ZYDIS_MNEMONIC_TILESTORED;
}

static unsigned modrm_length(unsigned modrm, unsigned sib)
{
    unsigned mod = modrm >> 6, rm = modrm & 7;
    if (mod == 3) return 1;
    unsigned length = rm == 4 ? 2 : 1;
    if (mod == 1) return length + 1;
    if (mod == 2) return length + 4;
    return rm == 5 || (rm == 4 && (sib & 7) == 5) ? length + 4 : length;
}

/* What Zydis says of the form with this ModRM and SIB, as an entry. */
static uint16_t probe(const iw_form *form, unsigned modrm, unsigned sib)
{
    unsigned char bytes[24];
    memcpy(bytes, form->bytes, sizeof bytes);
    bytes[form->opcode_end] = (unsigned char)modrm;
    bytes[form->opcode_end + 1] = (unsigned char)sib;
    for (unsigned i = form->opcode_end + 2; i < sizeof bytes; i++) bytes[i] = 0x11;
    ZydisDecodedInstruction in;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, sizeof bytes, &in)))
        return IW_ISA_BAD;
    if (always_ask(in.mnemonic)) return IW_ENC_ASK;
    bool has_modrm = in.attributes & ZYDIS_ATTRIB_HAS_MODRM;
    unsigned used = form->opcode_end + (has_modrm ? modrm_length(modrm, sib) : 0);
    if (in.length < used || in.length - used > 8) return IW_ENC_ASK;
    return (uint16_t)(iw_isa_of(in.meta.isa_set, in.mnemonic) |
                      (in.length - used) << IW_ENC_IMM_SHIFT | (has_modrm ? IW_ENC_MODRM : 0));
}

/* A byte of the form is set to each of `count` values, and all probes must agree; else ASK. */
typedef struct iw_variation {
    unsigned at;
    unsigned char mask; /* bits that are varied */
    const unsigned char *values;
    unsigned count;
} iw_variation;

static uint16_t merge(uint16_t a, uint16_t b)
{
    return a == b ? a : IW_ENC_ASK;
}

/* With several addressings; a form without SIB needs two only. */
static uint16_t probe_addressed(const iw_form *form, unsigned modrm)
{
    static const unsigned char sibs[] = {0x20, 0x08, 0xc5, 0x15, 0x64, 0xff};
    uint16_t entry = probe(form, modrm, sibs[0]);
    bool has_sib = modrm < 0xc0 && (modrm & 7) == 4;
    for (unsigned i = 1; i < (has_sib ? sizeof sibs : 2); i++)
        entry = merge(entry, probe(form, modrm, sibs[i]));
    return entry;
}

/* Each variation alone, and the last value of all of them together. */
static uint16_t probe_varied(const iw_form *form, unsigned modrm, const iw_variation *variations,
                             unsigned count)
{
    uint16_t entry = probe_addressed(form, modrm);
    iw_form together = *form;
    for (unsigned k = 0; k < count && entry != IW_ENC_ASK; k++) {
        const iw_variation *vary = &variations[k];
        for (unsigned i = 0; i < vary->count && entry != IW_ENC_ASK; i++) {
            iw_form varied = *form;
            unsigned char value = (unsigned char)((form->bytes[vary->at] & ~vary->mask) |
                                                  (vary->values[i] & vary->mask));
            varied.bytes[vary->at] = value;
            together.bytes[vary->at] =
                (unsigned char)((together.bytes[vary->at] & ~vary->mask) | (value & vary->mask));
            entry = merge(entry, probe_addressed(&varied, modrm));
        }
    }
    return merge(entry, probe_addressed(&together, modrm));
}

static unsigned sub_row(const uint16_t *entries)
{
    for (unsigned i = 0; i < sub_count; i++)
        if (memcmp(subs[i], entries, sizeof subs[i]) == 0) return i;
    if (sub_count == SUB_LIMIT) exit(3);
    memcpy(subs[sub_count], entries, sizeof subs[0]);
    return sub_count++;
}

typedef uint16_t iw_prober(const iw_form *form, unsigned modrm, const void *context);

/* All ModRM bytes from `first` on; uniform entries stay direct. */
static uint16_t sweep(const iw_form *form, unsigned first, unsigned last, bool brief,
                      iw_prober *ask, const void *context)
{
    uint16_t entries[IW_SUB_ENTRIES];
    for (unsigned i = 0; i < IW_SUB_ENTRIES; i++) entries[i] = IW_ISA_BAD;
    bool uniform = true, any = false;
    uint16_t all = 0;
    for (unsigned modrm = first; modrm <= last; modrm++) {
        if (brief && modrm < 0xc0 && (modrm & 7) != 0 && (modrm & 6) != 4)
            continue; /* addressing of three kinds is enough */
        uint16_t entry = ask(form, modrm, context);
        unsigned reg = modrm >> 3 & 7, at = modrm >= 0xc0 ? 8 + reg * 8 + (modrm & 7) : reg;
        bool seen = modrm < 0xc0 && ((modrm & 7) != 0 || modrm >= 0x40);
        entries[at] = seen ? merge(entries[at], entry) : entry;
        uniform = uniform && (!any || entry == all);
        all = entry;
        any = true;
    }
    if (uniform) return all;
    return (uint16_t)(IW_ENC_SUB | sub_row(entries));
}

/* --- legacy --------------------------------------------------------------- */

typedef struct iw_legacy_context {
    unsigned rex_at, lock_at;
} iw_legacy_context;

static uint16_t legacy_entry(const iw_form *form, unsigned modrm, const void *context)
{
    const iw_legacy_context *c = context;
    static const unsigned char rex[] = {0, 1, 2, 4, 7};
    const iw_variation registers = {c->rex_at, 7, rex, sizeof rex};
    uint16_t entry = probe_varied(form, modrm, &registers, 1);
    if (entry & IW_ENC_ASK || (entry & IW_ENC_ISA) == IW_ISA_BAD || modrm >= 0xc0) return entry;
    iw_form locked = {.opcode_end = form->opcode_end + 1};
    locked.bytes[0] = 0xf0;
    memcpy(locked.bytes + 1, form->bytes, sizeof locked.bytes - 1);
    const iw_variation moved = {c->rex_at + 1, 7, rex, sizeof rex};
    if (probe_varied(&locked, modrm, &moved, 1) == entry) entry |= IW_ENC_LOCK;
    return entry;
}

static uint16_t legacy(unsigned map, unsigned prefix, unsigned w, unsigned opcode)
{
    static const unsigned char names[] = {0, 0xf3, 0xf2};
    iw_form form = {0};
    unsigned n = 0;
    if (prefix & 1) form.bytes[n++] = 0x66;
    if (prefix >> 1) form.bytes[n++] = names[prefix >> 1];
    iw_legacy_context context = {.rex_at = n};
    form.bytes[n++] = (unsigned char)(0x40 | w << 3);
    if (map) form.bytes[n++] = 0x0f;
    if (map >= 2) form.bytes[n++] = map == 2 ? 0x38 : 0x3a;
    form.bytes[n++] = (unsigned char)opcode;
    form.opcode_end = n;
    /* Prefixes, escapes and 3DNow are the decoder's; so is XOP behind 8F. */
    if (map == 0 &&
        (opcode == 0x0f || (opcode & 0xf0) == 0x40 || opcode == 0x26 || opcode == 0x2e ||
         opcode == 0x36 || opcode == 0x3e || (opcode >= 0x62 && opcode <= 0x67 && opcode != 0x63) ||
         opcode == 0xc4 || opcode == 0xc5 || opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3 ||
         opcode == 0x8f))
        return IW_ENC_ASK;
    if (map == 1 && (opcode == 0x0f || opcode == 0x38 || opcode == 0x3a)) return IW_ENC_ASK;
    return sweep(&form, 0, 255, false, legacy_entry, &context);
}

/* --- VEX, EVEX ------------------------------------------------------------ */

static const unsigned char any_v[] = {0x78, 0x00, 0x28, 0x50}, no_v[] = {0x78},
                           any_rxb[] = {0xe0, 0x00, 0x60, 0xa0, 0xc0}, no_rxb[] = {0xe0};

static uint16_t vex_entry(const iw_form *form, unsigned modrm, const void *context)
{
    (void)context;
    for (unsigned plain = 0; plain < 2; plain++)
        for (unsigned v = 0; v < 2; v++) {
            const iw_variation variations[] = {{1, 0xe0, plain ? no_rxb : any_rxb,
                                                plain ? 1 : sizeof any_rxb},
                                               {2, 0x78, v ? no_v : any_v, v ? 1 : sizeof any_v}};
            uint16_t entry = probe_varied(form, modrm, variations, 2);
            if ((entry & IW_ENC_ISA) == IW_ISA_BAD)
                return IW_ENC_ASK; /* other registers may make it good (AMX) */
            if (!(entry & IW_ENC_ASK))
                return (uint16_t)(entry | (plain ? IW_ENC_PLAIN : 0) | (v ? IW_ENC_NEED_V : 0));
        }
    return IW_ENC_ASK;
}

static uint16_t vex(unsigned map, unsigned pp, unsigned w, unsigned l, unsigned opcode)
{
    iw_form form = {.bytes = {0xc4, (unsigned char)(0xe0 | map),
                              (unsigned char)(w << 7 | 0x78 | l << 2 | pp), (unsigned char)opcode},
                    .opcode_end = 4};
    return sweep(&form, 0, 255, false, vex_entry, NULL);
}

/* The entry under fixed masking, or ASK; *conditions gets PLAIN and NEED_V. */
static uint16_t evex_masking(const iw_form *form, unsigned modrm, unsigned masking, unsigned wanted,
                             unsigned *conditions)
{
    static const unsigned char aaa0[] = {0}, aaa[] = {1, 4, 7}, v2[] = {0x08, 0x00},
                               v2set[] = {0x08}, rr[] = {0x90, 0x00, 0x80, 0x10}, rrset[] = {0x90},
                               xb[] = {0x60, 0x00, 0x20, 0x40};
    iw_form masked = *form;
    masked.bytes[3] =
        (unsigned char)((masked.bytes[3] & 0x78) | (masking == 2 ? 0x80 : 0) | (masking ? 1 : 0));
    if ((probe(&masked, modrm, 0x20) & IW_ENC_ISA) == IW_ISA_BAD) return IW_ENC_ASK;
    for (unsigned plain = 0; plain < 2; plain++)
        for (unsigned v = 0; v < 2; v++) {
            unsigned met = (plain ? IW_ENC_PLAIN : 0) | (v ? IW_ENC_NEED_V : 0);
            if (met < wanted) continue;
            const iw_variation variations[] = {
                /* clang-format off */
                {1, 0x90, plain ? rrset : rr, plain ? 1 : sizeof rr}, {1, 0x60, xb, sizeof xb},         {2, 0x78, v ? no_v : any_v, v ? 1 : sizeof any_v},
                {3, 0x08, v ? v2set : v2, v ? 1 : sizeof v2},         {3, 0x07, masking ? aaa : aaa0, masking ? sizeof aaa : 1},
                /* clang-format on */
            };
            uint16_t entry = probe_varied(&masked, modrm, variations, 5);
            if (!(entry & IW_ENC_ASK)) return *conditions = met, entry;
        }
    return IW_ENC_ASK;
}

/* Unmasked first; masked forms count only where they agree with it under its conditions. */
static uint16_t evex_entry(const iw_form *form, unsigned modrm, const void *context)
{
    (void)context;
    uint16_t entry = IW_ENC_ASK, known = 0;
    unsigned conditions = 0;
    for (unsigned masking = 0; masking < 3; masking++) {
        unsigned met = 0;
        uint16_t one =
            evex_masking(form, modrm, masking, entry & IW_ENC_ASK ? 0 : conditions, &met);
        if (one & IW_ENC_ASK || (one & IW_ENC_ISA) == IW_ISA_BAD ||
            (one >> IW_ENC_IMM_SHIFT & 15) > 1)
            continue;
        if (!(entry & IW_ENC_ASK) && (one != entry || met != conditions)) continue;
        entry = one;
        conditions = met;
        known |= (uint16_t)(IW_ENC_UNMASKED << masking);
    }
    return entry & IW_ENC_ASK ? IW_ENC_ASK : (uint16_t)(entry | known | conditions);
}

static uint16_t evex(unsigned map, unsigned pp, unsigned opcode, unsigned w, unsigned ll,
                     unsigned b, unsigned reg)
{
    iw_form form = {.bytes = {0x62, (unsigned char)(0xf0 | map),
                              (unsigned char)(w << 7 | 0x7c | pp),
                              (unsigned char)(ll << 5 | b << 4 | 0x08), (unsigned char)opcode},
                    .opcode_end = 5};
    uint16_t entry = sweep(&form, reg ? 0xc0 : 0, reg ? 0xff : 0xbf, true, evex_entry, NULL);
    return entry;
}

/* --- writing -------------------------------------------------------------- */

static unsigned intern(void *rows, unsigned *count, unsigned limit, const void *row, size_t size)
{
    for (unsigned i = 0; i < *count; i++)
        if (memcmp((char *)rows + i * size, row, size) == 0) return i;
    if (*count == limit) exit(3);
    memcpy((char *)rows + *count * size, row, size);
    return (*count)++;
}

static void print_row(const uint16_t *row, unsigned count)
{
    printf("    {");
    for (unsigned i = 0; i < count; i++)
        printf("%s%u%s", i && i % 24 == 0 ? "\n     " : "", row[i], i + 1 < count ? "," : "");
    printf("},\n");
}

static void print_table(const char *name, const uint16_t *rows, unsigned count, unsigned width)
{
    printf("const uint16_t %s[%u][%u] = {\n", name, count, width);
    for (unsigned i = 0; i < count; i++) print_row(rows + (size_t)i * width, width);
    printf("};\n");
}

static void write_legacy(void)
{
    static uint16_t rows[ROW_LIMIT][256];
    unsigned count = 0;
    printf("const uint8_t iw_legacy_rows[4][6][2] = {\n");
    for (unsigned map = 0; map < 4; map++) {
        printf("    {");
        for (unsigned prefix = 0; prefix < 6; prefix++) {
            unsigned at[2];
            for (unsigned w = 0; w < 2; w++) {
                uint16_t row[256];
                for (unsigned opcode = 0; opcode < 256; opcode++)
                    row[opcode] = legacy(map, prefix, w, opcode);
                at[w] = intern(rows, &count, ROW_LIMIT, row, sizeof row);
            }
            printf("{%u, %u}%s", at[0], at[1], prefix < 5 ? ", " : "");
        }
        printf("},\n");
    }
    printf("};\n");
    print_table("iw_legacy", rows[0], count, 256);
}

static void write_vex(void)
{
    static uint16_t rows[ROW_LIMIT][256], patterns[PATTERN_LIMIT][4];
    unsigned count = 0, pattern_count = 0;
    printf("const uint8_t iw_vex_rows[3][4] = {\n");
    for (unsigned map = 1; map < 4; map++) {
        printf("    {");
        for (unsigned pp = 0; pp < 4; pp++) {
            uint16_t row[256];
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                uint16_t pattern[4];
                for (unsigned i = 0; i < 4; i++) pattern[i] = vex(map, pp, i >> 1, i & 1, opcode);
                row[opcode] = (uint16_t)intern(patterns, &pattern_count, PATTERN_LIMIT, pattern,
                                               sizeof pattern);
            }
            printf("%u%s", intern(rows, &count, ROW_LIMIT, row, sizeof row), pp < 3 ? ", " : "");
        }
        printf("},\n");
    }
    printf("};\n");
    print_table("iw_vex", rows[0], count, 256);
    print_table("iw_vex_patterns", patterns[0], pattern_count, 4);
}

static void write_evex(void)
{
    static uint16_t rows[ROW_LIMIT][256], patterns[PATTERN_LIMIT][32];
    unsigned count = 0, pattern_count = 0;
    printf("const uint8_t iw_evex_rows[7][4] = {\n");
    for (unsigned map = 0; map < 7; map++) {
        printf("    {");
        for (unsigned pp = 0; pp < 4; pp++) {
            uint16_t row[256];
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                uint16_t pattern[32];
                for (unsigned i = 0; i < 32; i++)
                    pattern[i] = map == 0 || map == 4
                                     ? IW_ENC_ASK
                                     : evex(map, pp, opcode, i >> 4, i >> 2 & 3, i >> 1 & 1, i & 1);
                row[opcode] = (uint16_t)intern(patterns, &pattern_count, PATTERN_LIMIT, pattern,
                                               sizeof pattern);
            }
            printf("%u%s", intern(rows, &count, ROW_LIMIT, row, sizeof row), pp < 3 ? ", " : "");
        }
        printf("},\n");
    }
    printf("};\n");
    print_table("iw_evex", rows[0], count, 256);
    print_table("iw_evex_patterns", patterns[0], pattern_count, 32);
}

int main(void)
{
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    printf("/* Made by `make audit-tables` (generate.c); not edited. Format: encoding.h. */\n/* "
           "clang-format off */\n");
    write_legacy();
    write_vex();
    write_evex();
    print_table("iw_subs", subs[0], sub_count, IW_SUB_ENTRIES);
    return 0;
}
