#include "audit/flow.h"

#include <emmintrin.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { ISA_SHIFT = 8 };

static uint32_t decode_at(const iw_coder *coder, const iw_code *code, uint32_t at)
{
    return iw_decode(coder, code->data + at, code->size - at);
}

/* --- a region ------------------------------------------------------------- */

void iw_region_open(iw_region *region, const iw_image *image, const iw_coder *coder, uint32_t code,
                    uint32_t begin, uint32_t end)
{
    memset(region, 0, sizeof *region);
    region->image = image;
    region->coder = coder;
    region->code = &image->codes[code];
    region->begin = begin;
    region->end = end;
    region->map = iw_alloc((size_t)(end - begin) + 1);
    region->entries_left = 4 * (uint64_t)(end - begin) + 1024;
}

void iw_region_close(iw_region *region)
{
    free(region->map);
    free(region->stack);
    free(region->tables);
    free(region->journal);
    iw_sweep_free(&region->hits);
    memset(region, 0, sizeof *region);
}

/* Every change of the map goes through here, so that a trial can be taken back. */
static void mark(iw_region *region, uint32_t offset, uint8_t bits)
{
    uint8_t *byte = &region->map[offset - region->begin];
    if ((*byte & bits) == bits) return;
    if (region->trying) {
        iw_grow((void **)&region->journal, &region->journal_capacity, region->journal_count + 1,
                sizeof *region->journal);
        region->journal[region->journal_count++] = (iw_walked){offset, *byte};
    }
    *byte |= bits;
}

static bool inside(const iw_region *region, uint64_t offset)
{
    return offset >= region->begin && offset < region->end;
}

static void push(iw_region *region, uint64_t offset)
{
    if (!inside(region, offset) || region->map[offset - region->begin] & IW_WALK_START) return;
    iw_grow((void **)&region->stack, &region->stack_capacity, region->stack_count + 1,
            sizeof *region->stack);
    region->stack[region->stack_count++] = (uint32_t)offset;
}

static void push_table(iw_region *region, uint64_t address)
{
    for (size_t i = 0; i < region->table_count; i++)
        if (region->tables[i] == address) return;
    if (region->table_count == 4096) return;
    iw_grow((void **)&region->tables, &region->table_capacity, region->table_count + 1,
            sizeof *region->tables);
    region->tables[region->table_count++] = address;
}

static void region_hit(iw_region *region, uint32_t at, unsigned length, unsigned isa)
{
    iw_sweep *hits = &region->hits;
    iw_grow((void **)&hits->hits, &hits->capacity, hits->count + 1, sizeof *hits->hits);
    hits->hits[hits->count++] = (iw_hit){at, (uint8_t)length, (uint8_t)isa};
}

static uint64_t target_of(const iw_region *region, uint32_t at, unsigned length,
                          const iw_flow *flow)
{
    uint64_t address = region->code->address + at;
    if (region->image->relocatable && length > 4) {
        uint64_t linked = iw_image_slot(region->image, address + length - 4);
        if (linked) return linked;
    }
    return address + (uint64_t)flow->target;
}

/* jmp *table(,%reg,8): FF /4 with SIB, no base. */
static void note_absolute_table(iw_region *region, uint32_t at, unsigned length)
{
    const uint8_t *code = region->code->data + at;
    for (unsigned i = 0; i + 6 < length + 1u && i < 4; i++)
        if (code[i] == 0xff && i + 7 <= length && code[i + 1] == 0x24 && (code[i + 2] & 7) == 5) {
            int32_t table;
            memcpy(&table, code + i + 3, sizeof table);
            push_table(region, (uint64_t)(int64_t)table);
        }
}

static unsigned operand_bytes(const uint8_t *modrm)
{
    unsigned mod = *modrm >> 6, rm = *modrm & 7, length = mod != 3 && rm == 4 ? 2 : 1;
    if (mod == 1) return length + 1;
    if (mod == 2) return length + 4;
    return mod == 0 && (rm == 5 || (rm == 4 && (modrm[1] & 7) == 5)) ? length + 4 : length;
}

/* How long an instruction is that nothing here knows: VEX and EVEX (an immediate in map 3 only),
 * and Padlock's F3 0F A6 and A7. 0: no idea. */
static unsigned unknown_length(const uint8_t *code, size_t available)
{
    if (available < 16) return 0;
    switch (code[0]) {
    case 0xc5: return 3 + operand_bytes(code + 3);
    case 0xc4:
        if ((code[1] & 31) < 1 || (code[1] & 31) > 7) return 0;
        return 4 + operand_bytes(code + 4) + ((code[1] & 31) == 3);
    case 0x62:
        if ((code[1] & 8) || !(code[2] & 4)) return 0;
        return 5 + operand_bytes(code + 5) + ((code[1] & 7) == 3);
    case 0xf3:
        return code[1] == 0x0f && (code[2] == 0xa6 || code[2] == 0xa7) && code[3] >= 0xc0 ? 4 : 0;
    default: return 0;
    }
}

/* One instruction; returns false where this path ends. */
static bool follow(iw_region *region, uint32_t *at, bool *after_call)
{
    if (region->map[*at - region->begin] & IW_WALK_START) return false;
    uint32_t result = decode_at(region->coder, region->code, *at);
    if (!region->steps_over && result >> ISA_SHIFT >= IW_ISA_NEWER)
        result = 1 | IW_ISA_BAD << ISA_SHIFT;
    unsigned length = result & 0xff, isa = result >> ISA_SHIFT;
    const uint8_t *bytes = region->code->data + *at;
    bool odd = length == 2 && bytes[0] == 0 && bytes[1] == 0;
    unsigned stepped = region->steps_over && isa == IW_ISA_BAD && !*after_call
                           ? unknown_length(bytes, region->code->size - *at)
                           : 0;
    if (stepped && stepped < region->end - *at) {
        region_hit(region, *at, 1, isa);
        for (unsigned i = 0; i < stepped; i++)
            mark(region, *at + i, i ? IW_WALK_CODE : IW_WALK_CODE | IW_WALK_START);
        *at += stepped;
        return true;
    }
    if (isa == IW_ISA_BAD || odd || length > region->end - *at) {
        region->doubtful = true;
        if (isa == IW_ISA_BAD && !*after_call)
            region_hit(region, *at, 1, isa), mark(region, *at, IW_WALK_START);
        return false;
    }
    for (unsigned i = 0; i < length; i++)
        mark(region, *at + i, i ? IW_WALK_CODE : IW_WALK_CODE | IW_WALK_START);
    if (iw_coder_rules(region->coder)->forbidden[isa]) region_hit(region, *at, length, isa);
    iw_flow flow;
    iw_flow_of(bytes, length, &flow);
    uint64_t target = flow.known ? target_of(region, *at, length, &flow) : 0;
    if (flow.known && flow.kind != IW_FLOW_NEXT && flow.kind != IW_FLOW_CALL_BY &&
        flow.kind != IW_FLOW_JUMP_BY)
        push(region, target - region->code->address);
    if (flow.lea) push_table(region, target);
    if (flow.kind == IW_FLOW_JUMP_BY)
        region->computed = true, note_absolute_table(region, *at, length);
    *after_call = flow.kind == IW_FLOW_CALL || flow.kind == IW_FLOW_CALL_BY ||
                  (*after_call && flow.kind == IW_FLOW_NEXT);
    *at += length;
    return flow.kind != IW_FLOW_STOP && flow.kind != IW_FLOW_JUMP && flow.kind != IW_FLOW_JUMP_BY &&
           *at < region->end;
}

static void mark_table(iw_region *region, uint64_t address, unsigned size)
{
    uint64_t offset = address - region->code->address;
    for (unsigned i = 0; i < size; i++)
        if (inside(region, offset + i)) mark(region, (uint32_t)(offset + i), IW_WALK_TABLE);
}

/* Entries of 4 bytes relative to the table, or of 8 bytes absolute, for as long as they lead into
 * the region and no code stands there. */
static void read_table(iw_region *region, uint64_t table)
{
    for (unsigned size = 4; size <= 8; size += 4) {
        unsigned taken = 0;
        for (uint64_t at = table; region->entries_left;
             at += size, taken++, region->entries_left--) {
            const uint8_t *raw = iw_image_memory(region->image, at, size);
            uint64_t offset = at - region->code->address, value = 0;
            if (!raw ||
                (inside(region, offset) && region->map[offset - region->begin] & IW_WALK_CODE))
                break;
            memcpy(&value, raw, size);
            if (size == 4) value = table + (uint64_t)(int64_t)(int32_t)value;
            else if (iw_image_slot(region->image, at)) value = iw_image_slot(region->image, at);
            value -= region->code->address;
            if (!inside(region, value) || (size == 4 && value + region->code->address == table))
                break;
            push(region, value);
            mark_table(region, at, size);
        }
        if (taken) return;
    }
}

void iw_region_walk(iw_region *region, uint32_t from)
{
    push(region, from);
    for (;;) {
        while (region->stack_count) {
            uint32_t at = region->stack[--region->stack_count];
            bool after_call = false;
            while (follow(region, &at, &after_call))
                ;
        }
        if (!region->computed || region->table_done == region->table_count) return;
        read_table(region, region->tables[region->table_done++]);
    }
}

bool iw_region_try(iw_region *region, uint32_t from, uint64_t *walked)
{
    size_t hits = region->hits.count, tables = region->table_count, done = region->table_done;
    bool doubtful = region->doubtful, computed = region->computed, steps_over = region->steps_over;
    region->trying = true;
    region->steps_over = false;
    region->doubtful = false;
    region->journal_count = 0;
    iw_region_walk(region, from);
    bool good = !region->doubtful;
    for (size_t i = region->journal_count; i-- > 0 && !good;)
        region->map[region->journal[i].offset - region->begin] = region->journal[i].before;
    if (!good) {
        region->hits.count = hits;
        region->table_count = tables;
        region->table_done = done;
        region->computed = computed;
    }
    region->doubtful = doubtful;
    region->steps_over = steps_over;
    region->trying = false;
    *walked += region->journal_count + 1;
    return good;
}

/* --- branches of the whole file ------------------------------------------- */

static int compare_points(const void *a, const void *b)
{
    const iw_entry_point *x = a, *y = b;
    if (x->code != y->code) return x->code < y->code ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return y->sure - x->sure;
}

static size_t cell_at(const iw_image *image, uint32_t code, uint32_t offset)
{
    size_t low = 0, high = image->cell_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const iw_cell *c = &image->cells[middle];
        if (c->code < code || (c->code == code && c->end <= offset)) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void add_point(const iw_image *image, const uint8_t *wanted, uint64_t address, bool sure,
                      iw_entry_points *out)
{
    const iw_code *code = iw_image_code_at(image, address);
    if (!code) return;
    uint32_t index = (uint32_t)(code - image->codes), offset = (uint32_t)(address - code->address);
    size_t cell = cell_at(image, index, offset);
    if (cell >= image->cell_count || !wanted[cell]) return;
    iw_grow((void **)&out->items, &out->capacity, out->count + 1, sizeof *out->items);
    out->items[out->count++] = (iw_entry_point){index, offset, sure};
}

static void scan_cell(const iw_image *image, const iw_coder *coder, const iw_cell *cell,
                      const uint8_t *wanted, iw_entry_points *out)
{
    const iw_code *code = &image->codes[cell->code];
    for (uint32_t at = cell->begin; at < cell->end;) {
        uint32_t result = decode_at(coder, code, at);
        iw_flow flow;
        iw_flow_of(code->data + at, result & 0xff, &flow);
        if (flow.known && result >> ISA_SHIFT != IW_ISA_BAD) {
            uint64_t address = code->address + at, target = address + (uint64_t)flow.target;
            if (image->relocatable && iw_image_slot(image, address + (result & 0xff) - 4))
                target = iw_image_slot(image, address + (result & 0xff) - 4);
            bool by = flow.kind == IW_FLOW_CALL_BY || flow.kind == IW_FLOW_JUMP_BY;
            if (!by) add_point(image, wanted, target, !flow.lea, out);
        }
        at += result & 0xff;
    }
}

enum { GRAIN = 6 }; /* 64 bytes a bit */

typedef struct net {    /* where the wanted cells are */
    uint64_t low, high; /* addresses */
    uint8_t *bits;
} net;

/* False where they are too far apart for it. */
static bool make_net(const iw_image *image, const uint8_t *wanted, net *out)
{
    *out = (net){UINT64_MAX, 0, NULL};
    for (size_t i = 0; i < image->cell_count; i++) {
        if (!wanted[i]) continue;
        uint64_t base = image->codes[image->cells[i].code].address,
                 begin = base + image->cells[i].begin, end = base + image->cells[i].end;
        if (begin < out->low) out->low = begin;
        if (end > out->high) out->high = end;
    }
    if (out->high <= out->low || out->high - out->low > UINT32_MAX) return false;
    out->bits = iw_alloc(((out->high - out->low) >> GRAIN >> 3) + 2);
    for (size_t i = 0; i < image->cell_count; i++) {
        if (!wanted[i]) continue;
        uint64_t from =
                     image->codes[image->cells[i].code].address + image->cells[i].begin - out->low,
                 to = from + image->cells[i].end - image->cells[i].begin;
        for (uint64_t at = from >> GRAIN; at <= (to - 1) >> GRAIN; at++)
            out->bits[at >> 3] |= (uint8_t)(1u << (at & 7));
    }
    return true;
}

/* Some of sixteen displacements may lead into the net, by their low 32 bits: quick, and never wrong
 * when it says no. Four vectors, each of every fourth. */
static inline bool block_may_lead(const uint8_t *bytes, uint32_t base, uint32_t size)
{
    const __m128i flip = _mm_set1_epi32(INT32_MIN),
                  limit = _mm_xor_si128(_mm_set1_epi32((int32_t)size), flip);
    __m128i at = _mm_add_epi32(_mm_set1_epi32((int32_t)base), _mm_setr_epi32(0, 4, 8, 12)),
            any = _mm_setzero_si128();
    for (int i = 0; i < 4; i++, at = _mm_add_epi32(at, _mm_set1_epi32(1))) {
        __m128i target =
            _mm_add_epi32(_mm_loadu_si128((const __m128i *)(const void *)(bytes + i)), at);
        any = _mm_or_si128(any, _mm_cmplt_epi32(_mm_xor_si128(target, flip), limit)); /* unsigned */
    }
    return _mm_movemask_epi8(any) != 0;
}

/* Could any four bytes of the cell be the displacement of a call, jump or lea into the net? They
 * end the instruction in all three. */
static bool may_lead(const iw_code *code, const iw_cell *cell, const net *to)
{
    uint64_t size = to->high - to->low, base = code->address + 4 - to->low;
    for (uint32_t at = cell->begin; at + 4 <= cell->end; at++) {
        while (at + 20 <= cell->end &&
               !block_may_lead(code->data + at, (uint32_t)(base + at), (uint32_t)size))
            at += 16;
        if (at + 4 > cell->end) return false;
        for (uint32_t end = at + 20 <= cell->end ? at + 16 : cell->end - 3; at < end; at++) {
            int32_t value;
            memcpy(&value, code->data + at, sizeof value);
            uint64_t target = base + at + (uint64_t)(int64_t)value;
            if (target < size && to->bits[target >> GRAIN >> 3] >> (target >> GRAIN & 7) & 1)
                return true;
        }
        at--;
    }
    return false;
}

/* Short jumps reach a neighbour's start or end. */
static bool is_near(const iw_image *image, const uint8_t *wanted, size_t cell)
{
    const iw_cell *c = &image->cells[cell];
    for (size_t i = cell;
         i-- > 0 && image->cells[i].code == c->code && c->begin - image->cells[i].end < 128;)
        if (wanted[i]) return true;
    for (size_t i = cell + 1; i < image->cell_count && image->cells[i].code == c->code &&
                              image->cells[i].begin - c->end < 128;
         i++)
        if (wanted[i]) return true;
    return false;
}

void iw_entry_points_find(const iw_image *image, const iw_coder *coder, const uint8_t *wanted,
                          iw_entry_points *out)
{
    net targets = {0};
    bool all = image->relocatable ||
               !make_net(image, wanted, &targets); /* displacements are still 0 there */
    for (size_t i = 0; i < image->cell_count; i++) {
        const iw_cell *cell = &image->cells[i];
        if (wanted[i] || cell->kind == IW_CELL_DATA) continue;
        if (all || may_lead(&image->codes[cell->code], cell, &targets) || is_near(image, wanted, i))
            scan_cell(image, coder, cell, wanted, out);
    }
    if (!all) free(targets.bits);
    for (size_t i = 0; i < image->slot_count && !image->relocatable; i++)
        add_point(image, wanted, image->slots[i].target, true, out);
    if (out->count) qsort(out->items, out->count, sizeof *out->items, compare_points);
}

/* --- before main ---------------------------------------------------------- */

typedef struct queue {
    uint32_t *items;
    size_t count, capacity;
} queue;

static void reach(const iw_image *image, uint64_t address, uint32_t from, iw_reach_kind kind,
                  iw_reach *out, queue *todo)
{
    const iw_code *code = iw_image_code_at(image, address);
    if (!code) return;
    uint32_t function = iw_image_function_at(image, (unsigned)(code - image->codes),
                                             (uint32_t)(address - code->address));
    if (function == IW_NO_FUNCTION || function == from || out->kind[function] != IW_REACH_NOT)
        return;
    out->kind[function] = (uint8_t)kind;
    out->parent[function] = from == IW_NO_FUNCTION ? function : from;
    iw_grow((void **)&todo->items, &todo->capacity, todo->count + 1, sizeof *todo->items);
    todo->items[todo->count++] = function;
}

/* Where a stub of the linker (jmp *slot) leads, else the address itself. */
static uint64_t through_stub(const iw_image *image, const iw_coder *coder, uint64_t address)
{
    const iw_code *code = iw_image_code_at(image, address);
    if (!code || !code->plt) return address;
    uint32_t at = (uint32_t)(address - code->address);
    for (unsigned i = 0; i < 3 && at < code->size; i++) {
        uint32_t result = decode_at(coder, code, at);
        iw_flow flow;
        iw_flow_of(code->data + at, result & 0xff, &flow);
        if (flow.kind == IW_FLOW_JUMP_BY && flow.known)
            return iw_image_slot(image, code->address + at + (uint64_t)flow.target);
        at += result & 0xff;
    }
    return 0;
}

static void reach_from(const iw_image *image, const iw_coder *coder, uint32_t function,
                       iw_reach *out, queue *todo)
{
    const iw_function *f = &image->functions[function];
    const iw_code *code = &image->codes[f->code];
    for (uint32_t at = f->begin; at < f->end;) {
        uint32_t result = decode_at(coder, code, at);
        unsigned length = result & 0xff;
        iw_flow flow;
        iw_flow_of(code->data + at, length, &flow);
        uint64_t address = code->address + at, target = address + (uint64_t)flow.target;
        if (image->relocatable && flow.known && length > 4 &&
            iw_image_slot(image, address + length - 4))
            target = iw_image_slot(image, address + length - 4);
        if (flow.known && (flow.kind == IW_FLOW_CALL_BY || flow.kind == IW_FLOW_JUMP_BY))
            target = iw_image_slot(image, target);
        if (flow.known && !flow.lea && target)
            reach(image, through_stub(image, coder, target), function, out->kind[function], out,
                  todo);
        at += length;
    }
}

void iw_reach_find(const iw_image *image, const iw_coder *coder, iw_reach *out)
{
    queue todo = {0};
    out->kind = iw_alloc(image->function_count + 1);
    out->parent = iw_alloc((image->function_count + 1) * sizeof *out->parent);
    for (size_t i = 0; i < image->root_count; i++)
        reach(image, image->codes[image->roots[i].code].address + image->roots[i].offset,
              IW_NO_FUNCTION, image->roots[i].resolver ? IW_REACH_RESOLVER : IW_REACH_CONSTRUCTOR,
              out, &todo);
    for (size_t next = 0; next < todo.count; next++)
        reach_from(image, coder, todo.items[next], out, &todo);
    free(todo.items);
}

void iw_reach_close(iw_reach *found)
{
    free(found->kind);
    free(found->parent);
    memset(found, 0, sizeof *found);
}

/* --- OSXSAVE -------------------------------------------------------------- */

/* bt $27; test or and with an immediate that has bit 27; test $8 on the fourth byte in memory; shr
 * $27, or $28 into carry. */
static bool tests_bit_27(const ZydisDecodedInstruction *in)
{
    uint64_t value = in->raw.imm[0].value.u;
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_BT: return in->raw.imm[0].size && value == 27;
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_AND:
        if (in->raw.imm[0].size == 32) return value & 0x8000000;
        return in->raw.imm[0].size == 8 && in->opcode == 0xf6 && in->raw.modrm.mod != 3 &&
               value & 8;
    case ZYDIS_MNEMONIC_SHR: return in->raw.imm[0].size && (value == 27 || value == 28);
    default: return false;
    }
}

bool iw_osxsave_tested(const iw_image *image, const iw_coder *coder, uint32_t function,
                       uint32_t offset)
{
    const iw_function *f = &image->functions[function];
    const iw_code *code = &image->codes[f->code];
    ZydisDecoder zydis;
    ZydisDecoderInit(&zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    unsigned since = UINT32_MAX;
    for (uint32_t at = f->begin; at < f->end;) {
        ZydisDecodedInstruction in;
        uint32_t length = decode_at(coder, code, at) & 0xff;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&zydis, NULL, code->data + at,
                                                        code->size - at, &in))) {
            at += length;
            continue;
        }
        if (since != UINT32_MAX) since++;
        if (tests_bit_27(&in)) since = 0;
        iw_flow flow;
        iw_flow_of(code->data + at, length, &flow);
        /* The branch comes first, or leads back to what it guards. */
        if (flow.kind == IW_FLOW_BRANCH && since <= 16 &&
            (at < offset || (int64_t)at + flow.target <= (int64_t)offset))
            return true;
        at += length;
    }
    return false;
}

/* --- RDSSP ---------------------------------------------------------------- */

static bool is_rdssp(const ZydisDecodedInstruction *in)
{
    return in->mnemonic == ZYDIS_MNEMONIC_RDSSPD || in->mnemonic == ZYDIS_MNEMONIC_RDSSPQ;
}

static unsigned rm_register(const ZydisDecodedInstruction *in)
{
    return in->raw.modrm.mod == 3 ? in->raw.modrm.rm + in->raw.rex.B * 8u : 16;
}

bool iw_shadow_stack_tested(const iw_image *image, const iw_coder *coder, uint32_t function,
                            uint32_t offset)
{
    const iw_function *f = &image->functions[function];
    const iw_code *code = &image->codes[f->code];
    ZydisDecoder zydis;
    ZydisDecodedInstruction in;
    ZydisDecoderInit(&zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    unsigned held = 16;      /* the register that RDSSP left alone or filled */
    bool zero_known = false; /* the flags say whether it is 0 */
    for (uint32_t at = f->begin; at < f->end && at < offset;) {
        uint32_t length = decode_at(coder, code, at) & 0xff;
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeInstruction(&zydis, NULL, code->data + at, code->size - at, &in)))
            return false;
        if (is_rdssp(&in)) held = rm_register(&in), zero_known = false;
        else if (in.mnemonic == ZYDIS_MNEMONIC_TEST && rm_register(&in) == held)
            zero_known = held < 16 && in.raw.modrm.reg + in.raw.rex.R * 8u == held;
        else if (in.mnemonic == ZYDIS_MNEMONIC_JZ && zero_known) {
            iw_flow flow;
            iw_flow_of(code->data + at, length, &flow);
            if ((int64_t)at + flow.target > (int64_t)offset) return true;
            zero_known = false;
        } else zero_known = zero_known && in.mnemonic == ZYDIS_MNEMONIC_MOV;
        at += length;
    }
    return false;
}
