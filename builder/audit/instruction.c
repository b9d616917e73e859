/* One instruction described, for whoever has an address and bytes. */
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/isa.h"
#include "audit/newer.h"

int iw_instruction_read(const void *bytes, size_t length, uint64_t address,
                        const iw_profile *profile, iw_instruction *out)
{
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    memset(out, 0, sizeof *out);
    snprintf(out->text, sizeof out->text, "(bad)");
    snprintf(out->mnemonic, sizeof out->mnemonic, "(bad)");
    out->allowed = true;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    unsigned isa;
    if (ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder, bytes, length < 15 ? length : 15, &in, operands))) {
        out->length = in.length;
        isa = iw_isa_of(in.meta.isa_set, in.mnemonic);
        snprintf(out->mnemonic, sizeof out->mnemonic, "%s", ZydisMnemonicGetString(in.mnemonic));
        if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &in, operands,
                                                          in.operand_count_visible, out->text,
                                                          sizeof out->text, address, NULL)))
            snprintf(out->text, sizeof out->text, "%s", out->mnemonic);
    } else {
        iw_newer newer;
        if (!iw_newer_read(&decoder, bytes, length, &newer)) return -1;
        out->length = newer.length;
        isa = newer.isa;
        snprintf(out->mnemonic, sizeof out->mnemonic, "%s", newer.name);
        snprintf(out->text, sizeof out->text, "%s", newer.name);
    }
    out->feature = iw_isa_needs(isa)[0];
    if (!profile) return 0;
    iw_isa_rules rules;
    iw_isa_rules_make(&profile->features, &rules);
    out->allowed = !rules.lacks[isa];
    if (rules.lacks[isa]) out->feature = rules.lacks[isa];
    return 0;
}
