/* The decoder: instruction boundaries and classes from tables, Zydis for what they leave open.
 * Equal to Zydis 4.0 in length, validity and class on every byte sequence that this decodes (tests
 * hold it to that); of the others, those of newer.h. */
#ifndef IW_AUDIT_DECODE_H
#define IW_AUDIT_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "audit/isa.h"

/* Tables laid out for one profile; read-only once made, shared by threads. About 80 KiB. */
typedef struct iw_coder iw_coder;

iw_coder *iw_coder_new(const iw_isa_rules *rules); /* copies the rules */
void iw_coder_free(iw_coder *coder);
const iw_isa_rules *iw_coder_rules(const iw_coder *coder);

/* A forbidden or undecodable instruction, or one whose class is IW_ISA_ODD. */
typedef struct iw_hit {
    uint32_t offset; /* from the base given to the sweep */
    uint8_t length, isa;
} iw_hit;

typedef struct iw_sweep {
    iw_hit *hits; /* owned */
    size_t count, capacity;
    uint64_t instructions;
    uint64_t asked; /* of Zydis */
} iw_sweep;

void iw_sweep_free(iw_sweep *sweep);

/* Decodes from `base + begin` until `end` is reached or passed, and appends hits; never reads at or
 * behind `base + limit` (limit >= end, end < 4 GiB). Bytes that don't decode count as one each.
 * Returns where it stopped: past `end` where the last instruction runs over it. */
size_t iw_sweep_run(const iw_coder *coder, const uint8_t *base, size_t begin, size_t end,
                    size_t limit, iw_sweep *sweep);

/* One instruction: length in the low byte (1 for bad ones), class above it. `available` > 0 bytes
 * may be read. Forbidden or not. */
uint32_t iw_decode(const iw_coder *coder, const uint8_t *code, size_t available);

/* What the flow of control does after an instruction, for walks. */
typedef enum iw_flow_kind {
    IW_FLOW_NEXT,
    IW_FLOW_JUMP,    /* jmp to `target` */
    IW_FLOW_BRANCH,  /* jcc, loop, xbegin: `target` or next */
    IW_FLOW_CALL,    /* `target`, then next */
    IW_FLOW_JUMP_BY, /* jmp through memory at `target` where `known`, else through something unknown
                      */
    IW_FLOW_CALL_BY,
    IW_FLOW_STOP /* ret, ud2, hlt, int3 */
} iw_flow_kind;

typedef struct iw_flow {
    iw_flow_kind kind;
    bool known;     /* `target` is meaningful */
    bool lea;       /* NEXT that computes the address `target` */
    int64_t target; /* relative to the instruction's start */
} iw_flow;

/* Of an instruction that decodes with this length. */
void iw_flow_of(const uint8_t *code, unsigned length, iw_flow *out);

#endif
