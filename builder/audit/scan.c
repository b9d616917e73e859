#include "audit/scan.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "audit/newer.h"
#include "base/hash.h"
#include "base/memory.h"

enum { LONG_RUN = 64, CHUNK_BYTES = 2 << 20, LOOK_BACK = 64 << 20, TRY = 256 << 20 };

/* --- exceptions ----------------------------------------------------------- */

/* The glob fits the path from its start or behind any separator. */
static bool file_fits(const char *pattern, const char *path)
{
    for (const char *at = path; at;) {
        if (iw_glob_match(pattern, at)) return true;
        at = strpbrk(at, "/!");
        if (at) at++;
    }
    return false;
}

static void choose_exceptions(iw_scan *scan, const void *data, size_t size)
{
    const iw_audit_options *options = scan->options;
    bool digest = false;
    scan->exceptions = iw_alloc((options->exception_count + 1) * sizeof *scan->exceptions);
    for (size_t i = 0; i < options->exception_count; i++) {
        const iw_exception *e = &options->exceptions[i];
        if (!file_fits(e->file, scan->file)) continue;
        scan->exceptions[scan->exception_count++] = e;
        digest = digest || e->range;
    }
    for (size_t i = 0; i < options->tried_count && !scan->claim; i++)
        if (file_fits(options->tried[i].file, scan->file)) scan->claim = &options->tried[i];
    if (digest || scan->claim) iw_hash_bytes(data, size, scan->sha256);
}

static uint64_t claimed(const iw_tried *claim, const char *feature)
{
    for (size_t i = 0; i < claim->holds_count; i++)
        if (strcmp(claim->holds[i].name, feature) == 0)
            return strtoull(claim->holds[i].value, NULL, 10);
    return 0;
}

/* NULL where these bytes were tried and hold what was counted then; else why they weren't. */
static const char *refuted(const iw_scan *scan, const iw_audit_count *counts, size_t count)
{
    size_t found = 0;
    if (strcmp(scan->claim->sha256, scan->sha256) != 0)
        return "the recipe tried other bytes of it: try it again";
    for (size_t i = 0; i < count; i++) {
        uint64_t open = counts[i].count - counts[i].guarded;
        if (open != claimed(scan->claim, counts[i].feature))
            return "it holds other instructions than the recipe counted: try it again";
        found += open > 0;
    }
    return found == scan->claim->holds_count ? NULL
                                             : "it holds fewer features than the recipe counted";
}

static bool has_feature(const iw_list *features, const char *name)
{
    for (size_t i = 0; i < features->count; i++)
        if (strcmp(features->items[i], name) == 0) return true;
    return false;
}

/* "0xSTART-0xEND" */
static bool range_holds(const char *range, uint64_t address)
{
    char *rest;
    uint64_t begin = strtoull(range, &rest, 16);
    if (*rest != '-') return false;
    return address >= begin && address < strtoull(rest + 1, NULL, 16);
}

static uint64_t address_of(const iw_scan *scan, uint32_t code, uint32_t offset)
{
    return (scan->image.relocatable ? 0 : scan->image.codes[code].address) + offset;
}

static const iw_exception *exception_for(const iw_scan *scan, const iw_note *note)
{
    const char *feature = iw_coder_rules(scan->coder)->lacks[note->isa];
    const char *name =
        note->function == IW_NO_FUNCTION ? NULL : scan->image.functions[note->function].name;
    for (size_t i = 0; i < scan->exception_count; i++) {
        const iw_exception *e = scan->exceptions[i];
        if (!has_feature(&e->features, feature)) continue;
        if (e->symbol && name && fnmatch(e->symbol, name, 0) == 0) return e;
        if (e->range && e->sha256 && strcmp(e->sha256, scan->sha256) == 0 &&
            range_holds(e->range, address_of(scan, note->code, note->offset)))
            return e;
    }
    return NULL;
}

static bool is_xgetbv(const uint8_t *bytes, unsigned length)
{
    return length >= 3 && bytes[length - 3] == 0x0f && bytes[length - 2] == 0x01 &&
           bytes[length - 1] == 0xd0;
}

static iw_reach_kind reach_of(const iw_scan *scan, uint32_t function)
{
    return function == IW_NO_FUNCTION ? IW_REACH_NOT : (iw_reach_kind)scan->reach.kind[function];
}

static bool may_look_back(iw_chunk *chunk, const iw_function *function)
{
    chunk->looked_back += function->end - function->begin;
    return chunk->looked_back < LOOK_BACK;
}

/* In what runs before main, only XGETBV behind a test of OSXSAVE, here or in the caller, may be
 * excused. */
static bool may_be_excused(const iw_scan *scan, iw_chunk *chunk, const iw_note *note)
{
    if (reach_of(scan, note->function) == IW_REACH_NOT) return true;
    const iw_function *f = &scan->image.functions[note->function];
    if (!may_look_back(chunk, f)) return false;
    if (!is_xgetbv(scan->image.codes[note->code].data + note->offset, note->length) ||
        f->code != note->code)
        return false;
    if (iw_osxsave_tested(&scan->image, scan->coder, note->function, note->offset)) return true;
    uint32_t parent = scan->reach.parent[note->function];
    return parent != note->function &&
           iw_osxsave_tested(&scan->image, scan->coder, parent, UINT32_MAX);
}

/* --- notes ---------------------------------------------------------------- */

static int compare_heavy(const void *a, const void *b)
{
    const iw_heavy *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return x->function < y->function ? -1 : x->function > y->function;
}

static void flush_current(iw_chunk *chunk)
{
    if (chunk->current.count && chunk->current.function != IW_NO_FUNCTION) {
        chunk->heavy[chunk->heavy_count++] = chunk->current;
        if (chunk->heavy_count == 2 * IW_AUDIT_TOP) {
            qsort(chunk->heavy, chunk->heavy_count, sizeof *chunk->heavy, compare_heavy);
            chunk->heavy_count = IW_AUDIT_TOP;
        }
    }
    chunk->current = (iw_heavy){.function = IW_NO_FUNCTION};
}

static void keep_note(const iw_scan *scan, iw_chunk *chunk, const iw_note *note)
{
    if (chunk->note_count >= scan->options->max_findings) return;
    iw_grow((void **)&chunk->notes, &chunk->note_capacity, chunk->note_count + 1,
            sizeof *chunk->notes);
    chunk->notes[chunk->note_count++] = *note;
}

static void add_undecided(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell,
                          const iw_hit *hit)
{
    if (hit->isa >= IW_ISA_ODD)
        return; /* what doesn't decode, or only as something newer than Zydis, are undecided bytes,
                   no instruction */
    iw_note note = {cell->code,  hit->offset, cell->function,
                    hit->length, hit->isa,    IW_FINDING_UNDECIDED};
    chunk->undecided++;
    keep_note(scan, chunk, &note);
}

/* INCSSP: F3 0F AE /5 on registers. What gcc's unwinder does behind RDSSP no CPU without shadow
 * stacks ever runs. */
static bool is_idle_incssp(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell,
                           const iw_hit *hit)
{
    const uint8_t *end = scan->image.codes[cell->code].data + hit->offset + hit->length;
    if (hit->length < 4 || hit->length > 5 || end[-hit->length] != 0xf3 || end[-3] != 0x0f ||
        end[-2] != 0xae || (end[-1] & 0xf8) != 0xe8)
        return false;
    return cell->function != IW_NO_FUNCTION &&
           scan->image.functions[cell->function].code == cell->code &&
           may_look_back(chunk, &scan->image.functions[cell->function]) &&
           iw_shadow_stack_tested(&scan->image, scan->coder, cell->function, hit->offset);
}

static void add_decided(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell,
                        const iw_hit *hit)
{
    if (hit->isa == IW_ISA_ODD || is_idle_incssp(scan, chunk, cell, hit)) return;
    iw_note note = {cell->code,  hit->offset, cell->function,
                    hit->length, hit->isa,    IW_FINDING_BROKEN};
    if (scan->exception_count && exception_for(scan, &note) && may_be_excused(scan, chunk, &note))
        note.standing = IW_FINDING_GUARDED;
    bool guarded = note.standing == IW_FINDING_GUARDED;
    chunk->tally.count[hit->isa]++;
    chunk->tally.guarded[hit->isa] += guarded;
    if (chunk->current.function != cell->function) {
        flush_current(chunk);
        chunk->current.function = cell->function;
    }
    chunk->current.count++;
    chunk->current.guarded += guarded;
    keep_note(scan, chunk, &note);
}

/* --- runs of bytes -------------------------------------------------------- */

static bool is_padding(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0 && bytes[i] != 0xcc && bytes[i] != 0x90) return false;
    return true;
}

/* Bytes at the end that linkers and assemblers fill with. */
static uint32_t trim_end(const uint8_t *data, uint32_t begin, uint32_t end)
{
    while (end > begin && (data[end - 1] == 0 || data[end - 1] == 0xcc)) end--;
    return end;
}

/* What is newer than Zydis is hardly ever met: where nothing else shows bytes to be code, they are
 * more likely a table. */
static bool is_doubtful(const iw_sweep *sweep, size_t stopped, uint32_t end, bool trusted)
{
    if (stopped > end) return true;
    for (size_t i = 0; i < sweep->count; i++)
        if (sweep->hits[i].isa >= IW_ISA_ODD && (!trusted || sweep->hits[i].isa < IW_ISA_NEWER))
            return true;
    return false;
}

static bool is_nop(const uint8_t *bytes, unsigned length)
{
    unsigned skip = 0;
    while (skip + 1 < length && (bytes[skip] == 0x66 || bytes[skip] == 0x2e)) skip++;
    return bytes[skip] == 0x90 ||
           (bytes[skip] == 0x0f && skip + 1 < length && bytes[skip + 1] == 0x1f);
}

/* Does linear decoding end with something that control doesn't run past? NOPs behind it don't
 * count. */
static bool ends_well(const iw_scan *scan, const iw_code *code, uint32_t begin, uint32_t end)
{
    bool well = false;
    for (uint32_t at = begin; at < end;) {
        unsigned length = iw_decode(scan->coder, code->data + at, code->size - at) & 0xff;
        const uint8_t *bytes = code->data + at;
        iw_flow flow;
        iw_flow_of(bytes, length, &flow);
        if (!is_nop(bytes, length))
            well = flow.kind == IW_FLOW_STOP || flow.kind == IW_FLOW_JUMP ||
                   flow.kind == IW_FLOW_JUMP_BY || flow.kind == IW_FLOW_CALL ||
                   flow.kind == IW_FLOW_CALL_BY;
        at += length;
    }
    return well;
}

/* Bytes that nothing is known to lead to: code where they decode to the end, and, outside
 * functions, end like code. */
static void judge_run(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell, uint32_t begin,
                      uint32_t end, bool trusted)
{
    const iw_code *code = &scan->image.codes[cell->code];
    if (is_padding(code->data + begin, end - begin)) return;
    iw_sweep sweep = {0};
    size_t stopped = iw_sweep_run(scan->coder, code->data, begin, end, code->size, &sweep);
    bool is_code = !is_doubtful(&sweep, stopped, end, trusted) &&
                   (trusted || sweep.count == 0 || ends_well(scan, code, begin, end));
    for (size_t i = 0; i < sweep.count; i++)
        if (is_code) add_decided(scan, chunk, cell, &sweep.hits[i]);
        else add_undecided(scan, chunk, cell, &sweep.hits[i]);
    if (!is_code) chunk->undecided_bytes += end - begin;
    iw_sweep_free(&sweep);
}

/* What a walk found, and what it left. */
static void judge_region(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell,
                         const iw_region *region)
{
    bool trusted = cell->kind == IW_CELL_FUNCTION;
    for (size_t i = 0; i < region->hits.count; i++)
        if (trusted || region->hits.hits[i].isa != IW_ISA_BAD)
            add_decided(scan, chunk, cell, &region->hits.hits[i]);
    for (uint32_t at = region->begin; at < region->end;) {
        uint32_t from = at;
        uint8_t kind = region->map[at - region->begin];
        bool table = kind & IW_WALK_TABLE, walked = kind != 0;
        while (at < region->end && (region->map[at - region->begin] != 0) == walked &&
               ((region->map[at - region->begin] & IW_WALK_TABLE) != 0) == table)
            at++;
        if (table && !(kind & IW_WALK_CODE)) chunk->undecided_bytes += at - from;
        else if (!walked) judge_run(scan, chunk, cell, from, at, trusted);
    }
}

/* A function, or what a label begins, whose bytes don't decode one after the other. */
static void walk_cell(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell, uint32_t end)
{
    iw_region region;
    iw_region_open(&region, &scan->image, scan->coder, cell->code, cell->begin, end);
    region.steps_over = cell->kind == IW_CELL_FUNCTION;
    iw_region_walk(&region, cell->begin);
    judge_region(scan, chunk, cell, &region);
    iw_region_close(&region);
}

static void add_pending(iw_chunk *chunk, size_t cell)
{
    iw_grow((void **)&chunk->pending, &chunk->pending_capacity, chunk->pending_count + 1,
            sizeof *chunk->pending);
    chunk->pending[chunk->pending_count++] = (uint32_t)cell;
}

/* Begun by a symbol that says nothing about what it names. */
static bool is_label(const iw_scan *scan, const iw_cell *cell)
{
    return cell->kind == IW_CELL_LOOSE && !scan->image.functions[cell->function].sure;
}

static void scan_cell(const iw_scan *scan, iw_chunk *chunk, size_t index, iw_sweep *sweep)
{
    const iw_cell *cell = &scan->image.cells[index];
    const iw_code *code = &scan->image.codes[cell->code];
    uint32_t end = cell->end;
    if (cell->kind == IW_CELL_DATA) {
        chunk->undecided_bytes += cell->end - cell->begin;
        return;
    }
    if (cell->kind != IW_CELL_FUNCTION) end = trim_end(code->data, cell->begin, end);
    if (end == cell->begin ||
        (cell->kind == IW_CELL_GAP && is_padding(code->data + cell->begin, end - cell->begin)))
        return;
    sweep->count = 0;
    size_t stopped = iw_sweep_run(scan->coder, code->data, cell->begin, end, code->size, sweep);
    if (stopped > cell->end) chunk->resyncs++;
    bool doubtful = is_doubtful(sweep, stopped, cell->end, cell->kind == IW_CELL_FUNCTION),
         gap = !code->plt && (cell->kind == IW_CELL_GAP || is_label(scan, cell));
    /* A label's code may run on into the next label's; a table of that length has bytes that don't
     * decode. */
    bool runs_on = cell->kind == IW_CELL_LOOSE && end - cell->begin >= LONG_RUN;
    if (gap && !doubtful && sweep->count && !runs_on)
        doubtful = !ends_well(scan, code, cell->begin, end);
    if (doubtful && (gap || cell->kind == IW_CELL_LOOSE)) add_pending(chunk, index);
    else if (doubtful) walk_cell(scan, chunk, cell, end);
    else
        for (size_t i = 0; i < sweep->count; i++) add_decided(scan, chunk, cell, &sweep->hits[i]);
}

void iw_scan_chunk(iw_scan *scan, size_t index)
{
    iw_chunk *chunk = &scan->chunks[index];
    iw_sweep sweep = {0};
    chunk->current.function = IW_NO_FUNCTION;
    for (size_t i = chunk->first; i < chunk->last; i++) scan_cell(scan, chunk, i, &sweep);
    flush_current(chunk);
    chunk->instructions = sweep.instructions;
    iw_sweep_free(&sweep);
}

/* --- gaps ----------------------------------------------------------------- */

/* An address that code only takes may be a table's: it counts where following it meets nothing
 * doubtful. */
static void try_point(iw_chunk *chunk, iw_region *region, uint32_t offset)
{
    if (chunk->tried < TRY && !(region->map[offset - region->begin] & IW_WALK_CODE))
        iw_region_try(region, offset, &chunk->tried);
}

/* Nothing but filling is left. */
static bool is_settled(const iw_region *region)
{
    for (uint32_t i = 0; i < region->end - region->begin; i++)
        if (region->map[i] == 0 && !is_padding(region->code->data + region->begin + i, 1))
            return false;
    return true;
}

/* What begins with code for certain may need nothing else: then it's judged, and true is returned.
 */
static bool judge_from_start(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell)
{
    iw_region region;
    if (cell->kind != IW_CELL_LOOSE || is_label(scan, cell)) return false;
    iw_region_open(&region, &scan->image, scan->coder, cell->code, cell->begin, cell->end);
    region.steps_over = true;
    iw_region_walk(&region, cell->begin);
    bool settled = is_settled(&region);
    if (settled) judge_region(scan, chunk, cell, &region);
    iw_region_close(&region);
    return settled;
}

/* The assembler's own filling before an aligned place: NOPs of four bytes or more. Hardly any table
 * has that by chance. */
static bool behind_filling(const uint8_t *data, uint32_t at)
{
    static const struct filling {
        uint8_t bytes[8], length;
    } fillings[] = {{{0x90, 0x90, 0x90, 0x90}, 4},
                    {{0x0f, 0x1f, 0x40}, 4},
                    {{0x0f, 0x1f, 0x44}, 5},
                    {{0x0f, 0x1f, 0x80}, 7},
                    {{0x0f, 0x1f, 0x84}, 8}};
    for (size_t i = 0; i < sizeof fillings / sizeof *fillings; i++)
        if (at >= fillings[i].length &&
            memcmp(data + at - fillings[i].length, fillings[i].bytes, fillings[i].length) == 0)
            return true;
    return false;
}

/* Code that nothing leads to, between tables: it counts where following it from behind such filling
 * meets nothing doubtful. */
static void try_filled(iw_chunk *chunk, iw_region *region, uint32_t end)
{
    const iw_code *code = region->code;
    for (uint32_t at = region->begin + (uint32_t)(-(code->address + region->begin) & 15); at < end;
         at += 16)
        if (behind_filling(code->data, at)) try_point(chunk, region, at);
}

static void judge_gap(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell,
                      const iw_entry_points *points)
{
    iw_region region;
    uint32_t end = trim_end(scan->image.codes[cell->code].data, cell->begin, cell->end);
    if (end == cell->begin) return;
    iw_region_open(&region, &scan->image, scan->coder, cell->code, cell->begin, end);
    size_t low = 0, high = points->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const iw_entry_point *p = &points->items[middle];
        if (p->code < cell->code || (p->code == cell->code && p->offset < cell->begin))
            low = middle + 1;
        else high = middle;
    }
    region.steps_over = true;
    if (cell->kind == IW_CELL_LOOSE && !is_label(scan, cell)) iw_region_walk(&region, cell->begin);
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = low; i < points->count && points->items[i].code == cell->code &&
                             points->items[i].offset < end;
             i++) {
            if (pass == 0 && points->items[i].sure)
                iw_region_walk(&region, points->items[i].offset);
            if (pass == 1 && !points->items[i].sure)
                try_point(chunk, &region, points->items[i].offset);
        }
    if (is_label(scan, cell)) try_point(chunk, &region, cell->begin);
    try_filled(chunk, &region, end);
    judge_region(scan, chunk, cell, &region);
    iw_region_close(&region);
}

/* The cells of a file, the pending ones in pieces; those still to be judged are wanted. */
typedef struct pieces {
    iw_cell *cells;
    uint8_t *wanted;
    size_t count, capacity, wanted_capacity;
} pieces;

static void add_piece(pieces *out, const iw_cell *cell, uint32_t begin, uint32_t end, bool wanted)
{
    iw_cell *last = out->count ? &out->cells[out->count - 1] : NULL;
    if (wanted && begin != cell->begin && last && out->wanted[out->count - 1] &&
        last->code == cell->code && last->begin >= cell->begin) {
        last->end = end;
        return;
    }
    iw_grow((void **)&out->cells, &out->capacity, out->count + 1, sizeof *out->cells);
    iw_grow((void **)&out->wanted, &out->wanted_capacity, out->count + 1, sizeof *out->wanted);
    out->wanted[out->count] = wanted;
    out->cells[out->count++] =
        (iw_cell){begin, end, cell->code, begin == cell->begin ? cell->kind : IW_CELL_GAP,
                  cell->function};
}

/* Where the next function could begin after a stop: behind filling, on a multiple of 16; or `at`
 * itself where it isn't so. */
static uint32_t next_function(const iw_scan *scan, const iw_code *code, uint32_t at, uint32_t end,
                              bool *found)
{
    uint32_t next = at;
    while (next < end && (code->address + next) % 16) {
        const uint8_t *bytes = code->data + next;
        unsigned length = 1;
        if (!is_padding(bytes, 1)) {
            length = iw_decode(scan->coder, bytes, code->size - next) & 0xff;
            if (!is_nop(bytes, length)) break;
        }
        next += length;
    }
    *found = next <= end && (code->address + next) % 16 == 0;
    return *found ? next : at;
}

/* A piece that decodes from its first byte to a stop is code; the others are left to be followed.
 */
static void close_piece(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell, uint32_t begin,
                        uint32_t end, pieces *out)
{
    const iw_code *code = &scan->image.codes[cell->code];
    iw_sweep sweep = {0};
    if (begin >= end || is_padding(code->data + begin, end - begin)) return;
    size_t stopped = iw_sweep_run(scan->coder, code->data, begin, end, code->size, &sweep);
    bool is_code = !is_doubtful(&sweep, stopped, end, false) &&
                   (sweep.count == 0 || ends_well(scan, code, begin, end));
    for (size_t i = 0; i < sweep.count && is_code; i++)
        add_decided(scan, chunk, cell, &sweep.hits[i]);
    add_piece(out, cell, begin, end, !is_code);
    iw_sweep_free(&sweep);
}

static void cut_gap(const iw_scan *scan, iw_chunk *chunk, const iw_cell *cell, pieces *out)
{
    const iw_code *code = &scan->image.codes[cell->code];
    uint32_t end = trim_end(code->data, cell->begin, cell->end), piece = cell->begin;
    for (uint32_t at = cell->begin; at < end;) {
        const uint8_t *bytes = code->data + at;
        unsigned length = iw_decode(scan->coder, bytes, code->size - at) & 0xff;
        iw_flow flow;
        iw_flow_of(bytes, length, &flow);
        at += length;
        if (at >= end || (flow.kind != IW_FLOW_STOP && flow.kind != IW_FLOW_JUMP &&
                          flow.kind != IW_FLOW_JUMP_BY))
            continue;
        bool found;
        uint32_t next = next_function(scan, code, at, end, &found);
        if (!found) continue;
        close_piece(scan, chunk, cell, piece, at, out);
        piece = at = next;
    }
    close_piece(scan, chunk, cell, piece, end, out);
}

static void judge_gaps(iw_scan *scan, iw_chunk *late)
{
    uint8_t *pending = iw_alloc(scan->image.cell_count + 1);
    pieces all = {0};
    size_t count = 0;
    for (size_t i = 0; i < scan->chunk_count; i++)
        for (size_t k = 0; k < scan->chunks[i].pending_count; k++, count++)
            pending[scan->chunks[i].pending[k]] = 1;
    late->current.function = IW_NO_FUNCTION;
    for (size_t i = 0; i < scan->image.cell_count && count; i++)
        if (pending[i]) cut_gap(scan, late, &scan->image.cells[i], &all);
        else
            add_piece(&all, &scan->image.cells[i], scan->image.cells[i].begin,
                      scan->image.cells[i].end, false);
    iw_image view = scan->image;
    view.cells = all.cells;
    view.cell_count = all.count;
    iw_entry_points points = {0};
    size_t left = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (all.wanted[i] && judge_from_start(scan, late, &all.cells[i])) all.wanted[i] = 0;
        left += all.wanted[i];
    }
    if (left) iw_entry_points_find(&view, scan->coder, all.wanted, &points);
    for (size_t i = 0; i < all.count; i++)
        if (all.wanted[i]) judge_gap(scan, late, &all.cells[i], &points);
    flush_current(late);
    free(points.items);
    free(all.cells);
    free(all.wanted);
    free(pending);
}

/* --- opening -------------------------------------------------------------- */

static void split(iw_scan *scan)
{
    const iw_image *image = &scan->image;
    size_t capacity = 0;
    for (size_t i = 0; i < image->cell_count;) {
        uint64_t bytes = 0;
        size_t first = i;
        for (; i < image->cell_count && bytes < CHUNK_BYTES; i++)
            bytes += image->cells[i].end - image->cells[i].begin;
        iw_grow((void **)&scan->chunks, &capacity, scan->chunk_count + 1, sizeof *scan->chunks);
        iw_chunk *chunk = &scan->chunks[scan->chunk_count++];
        memset(chunk, 0, sizeof *chunk);
        chunk->first = first;
        chunk->last = i;
    }
}

int iw_scan_open(iw_scan *scan, const void *data, size_t size, const char *file,
                 const iw_audit_options *options, const iw_coder *coder, iw_error *err)
{
    memset(scan, 0, sizeof *scan);
    if (iw_image_open(data, size, file, &scan->image, err)) return -1;
    scan->options = options;
    scan->coder = coder;
    scan->file = iw_strdup(file);
    choose_exceptions(scan, data, size);
    iw_reach_find(&scan->image, coder, &scan->reach);
    split(scan);
    return 0;
}

void iw_scan_close(iw_scan *scan)
{
    for (size_t i = 0; i < scan->chunk_count; i++) {
        free(scan->chunks[i].notes);
        free(scan->chunks[i].pending);
    }
    free(scan->chunks);
    free(scan->exceptions);
    free(scan->file);
    iw_reach_close(&scan->reach);
    iw_image_close(&scan->image);
    memset(scan, 0, sizeof *scan);
}

/* --- telling -------------------------------------------------------------- */

static char *function_name(const iw_scan *scan, uint32_t function)
{
    if (function == IW_NO_FUNCTION) return NULL;
    const iw_function *f = &scan->image.functions[function];
    if (f->name) return iw_strdup(f->name);
    return iw_format("sub_%llx", (unsigned long long)address_of(scan, f->code, f->begin));
}

/* "constructor a -> b -> c" */
static char *reach_path(const iw_scan *scan, uint32_t function)
{
    if (reach_of(scan, function) == IW_REACH_NOT) return NULL;
    uint32_t steps[32];
    unsigned count = 0;
    for (uint32_t at = function; count < 32; at = scan->reach.parent[at]) {
        steps[count++] = at;
        if (scan->reach.parent[at] == at) break;
    }
    iw_buffer out = {0};
    iw_buffer_add_text(&out, scan->reach.kind[function] == IW_REACH_RESOLVER ? "IFUNC resolver "
                                                                             : "constructor ");
    if (scan->reach.parent[steps[count - 1]] != steps[count - 1]) iw_buffer_add_text(&out, "… -> ");
    for (unsigned i = count; i-- > 0;) {
        iw_cleanup_free char *name = function_name(scan, steps[i]);
        iw_buffer_add_format(&out, "%s%s", name, i ? " -> " : "");
    }
    return iw_buffer_take(&out);
}

static const char *reason_of(const iw_scan *scan, const iw_note *note, const char *feature)
{
    const iw_exception *e =
        note->standing == IW_FINDING_UNDECIDED ? NULL : exception_for(scan, note);
    if (note->standing == IW_FINDING_GUARDED) return e ? e->reason : NULL;
    if (note->standing == IW_FINDING_UNDECIDED)
        return "nothing shows these bytes to be code: most often a table";
    if (e)
        return "it runs before main, where nothing is excused but XGETBV behind a test of OSXSAVE";
    return iw_isa_remark(feature);
}

/* `text` for people; `mnemonic` borrows it, or is static. */
static void describe(const uint8_t *bytes, unsigned length, uint64_t address, char *text,
                     size_t size, const char **mnemonic)
{
    iw_newer newer;
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    *mnemonic = "(bad)";
    memcpy(text, "(bad)", 6);
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, length, &in, operands))) {
        if (iw_newer_read(&decoder, bytes, length, &newer))
            *mnemonic = memcpy(text, newer.name, sizeof newer.name);
        return;
    }
    *mnemonic = ZydisMnemonicGetString(in.mnemonic);
    if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
            &formatter, &in, operands, in.operand_count_visible, text, size, address, NULL)))
        memcpy(text, "(bad)", 6);
}

static void tell(const iw_scan *scan, const iw_note *note)
{
    const iw_code *code = &scan->image.codes[note->code];
    char text[160];
    iw_cleanup_free char *function = function_name(scan, note->function),
                         *via = reach_path(scan, note->function);
    iw_audit_finding finding = {.file = scan->file,
                                .function = function,
                                .section = code->name,
                                .standing = scan->tried && note->standing == IW_FINDING_BROKEN
                                                ? IW_FINDING_TRIED
                                                : (iw_finding_standing)note->standing,
                                .via = via};
    finding.address = address_of(scan, note->code, note->offset);
    if (function && scan->image.functions[note->function].code == note->code)
        finding.offset = note->offset - scan->image.functions[note->function].begin;
    finding.length = note->length;
    memcpy(finding.bytes, code->data + note->offset, note->length);
    finding.text = text;
    describe(finding.bytes, note->length, finding.address, text, sizeof text, &finding.mnemonic);
    finding.feature = iw_coder_rules(scan->coder)->lacks[note->isa];
    finding.reason = reason_of(scan, note, finding.feature);
    scan->options->finding(scan->options->context, &finding);
}

static int compare_notes(const void *a, const void *b)
{
    const iw_note *x = a, *y = b;
    if (x->code != y->code) return x->code < y->code ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return 0;
}

static void tell_notes(const iw_scan *scan, iw_chunk *late, uint64_t *left)
{
    for (size_t i = 0; i < scan->chunk_count && late->note_count;
         i++) /* gaps came late: all in one, to sort them in */
        for (size_t k = 0; k < scan->chunks[i].note_count; k++) {
            iw_grow((void **)&late->notes, &late->note_capacity, late->note_count + 1,
                    sizeof *late->notes);
            late->notes[late->note_count++] = scan->chunks[i].notes[k];
        }
    for (size_t i = 0; i <= scan->chunk_count; i++) {
        iw_chunk *chunk = late->note_count ? late : i < scan->chunk_count ? &scan->chunks[i] : NULL;
        if (!chunk) break;
        if (chunk->note_count)
            qsort(chunk->notes, chunk->note_count, sizeof *chunk->notes, compare_notes);
        for (size_t k = 0; k < chunk->note_count && *left; k++, --*left)
            if (scan->options->finding) tell(scan, &chunk->notes[k]);
        if (chunk == late) break;
    }
}

static int compare_counts(const void *a, const void *b)
{
    return strcmp(((const iw_audit_count *)a)->feature, ((const iw_audit_count *)b)->feature);
}

iw_audit_count *iw_tally_counts(const iw_tally *tally, const iw_isa_rules *rules, size_t *count)
{
    iw_audit_count *counts = iw_alloc(IW_ISA_LIMIT * sizeof *counts);
    *count = 0;
    for (unsigned isa = 0; isa < IW_ISA_LIMIT; isa++) {
        if (tally->count[isa] == 0) continue;
        size_t at = 0;
        while (at < *count && strcmp(counts[at].feature, rules->lacks[isa]) != 0) at++;
        if (at == *count) counts[(*count)++].feature = rules->lacks[isa];
        counts[at].count += tally->count[isa];
        counts[at].guarded += tally->guarded[isa];
    }
    qsort(counts, *count, sizeof *counts, compare_counts);
    return counts;
}

/* The heaviest functions of all chunks; names are owned by the caller. */
static size_t find_top(const iw_scan *scan, const iw_chunk *late, iw_audit_function *top)
{
    iw_heavy *all = iw_alloc((scan->chunk_count + 1) * 2 * IW_AUDIT_TOP * sizeof *all);
    size_t count = 0, told = 0;
    for (size_t i = 0; i <= scan->chunk_count; i++) {
        const iw_chunk *chunk = i < scan->chunk_count ? &scan->chunks[i] : late;
        for (size_t k = 0; k < chunk->heavy_count; k++) {
            size_t at = count; /* a function's cells follow one another */
            while (at > 0 && count - at < 4 && all[at - 1].function != chunk->heavy[k].function)
                at--;
            if (at > 0 && all[at - 1].function == chunk->heavy[k].function) {
                all[at - 1].count += chunk->heavy[k].count;
                all[at - 1].guarded += chunk->heavy[k].guarded;
            } else all[count++] = chunk->heavy[k];
        }
    }
    qsort(all, count, sizeof *all, compare_heavy);
    for (; told < count && told < IW_AUDIT_TOP; told++) {
        const iw_function *f = &scan->image.functions[all[told].function];
        top[told] = (iw_audit_function){function_name(scan, all[told].function),
                                        address_of(scan, f->code, f->begin), all[told].count,
                                        all[told].guarded};
    }
    free(all);
    return told;
}

static void add_chunk(iw_audit_file *file, iw_tally *tally, const iw_chunk *chunk)
{
    file->instructions += chunk->instructions;
    file->undecided_bytes += chunk->undecided_bytes;
    file->undecided += chunk->undecided;
    file->resyncs += chunk->resyncs;
    for (unsigned isa = 0; isa < IW_ISA_LIMIT; isa++) {
        tally->count[isa] += chunk->tally.count[isa];
        tally->guarded[isa] += chunk->tally.guarded[isa];
    }
}

static void add_to_summary(const iw_audit_file *file, iw_audit_summary *summary)
{
    summary->files++;
    summary->clean += file->verdict == IW_VERDICT_CLEAN;
    summary->guarded += file->verdict == IW_VERDICT_GUARDED;
    summary->tried += file->verdict == IW_VERDICT_TRIED;
    summary->broken += file->verdict == IW_VERDICT_BROKEN;
    summary->skipped += file->verdict == IW_VERDICT_SKIPPED;
    summary->code_bytes += file->code_bytes;
    summary->instructions += file->instructions;
    summary->undecided_bytes += file->undecided_bytes;
    summary->undecided += file->undecided;
    summary->resyncs += file->resyncs;
    if (file->verdict != IW_VERDICT_SKIPPED && file->verdict > summary->verdict)
        summary->verdict = file->verdict;
}

static iw_verdict verdict_of(const iw_tally *tally)
{
    iw_verdict verdict = IW_VERDICT_CLEAN;
    for (unsigned isa = 0; isa < IW_ISA_LIMIT; isa++) {
        if (tally->count[isa] > tally->guarded[isa]) return IW_VERDICT_BROKEN;
        if (tally->count[isa]) verdict = IW_VERDICT_GUARDED;
    }
    return verdict;
}

/* The verdict, and a remark. */
static void judge_file(iw_scan *scan, const iw_tally *tally, iw_audit_file *file)
{
    file->verdict = scan->image.skip ? IW_VERDICT_SKIPPED : verdict_of(tally);
    file->note = scan->image.skip                       ? scan->image.skip
                 : file->code_bytes && !file->functions ? "no function is known in it"
                                                        : NULL;
    if (!scan->claim || file->verdict != IW_VERDICT_BROKEN) return;
    const char *why = refuted(scan, file->counts, file->count_count);
    scan->tried = !why;
    if (scan->tried) file->verdict = IW_VERDICT_TRIED;
    file->note = why ? why
                     : "holds what nobody reviewed; used under emulation: what wasn't reached "
                       "may die";
}

void iw_scan_finish(iw_scan *scan, uint64_t *left, iw_audit_summary *summary, iw_tally *total)
{
    iw_chunk late = {0};
    iw_tally tally = {0};
    iw_audit_file file = {.file = scan->file, .functions = scan->image.function_count};
    iw_audit_function top[IW_AUDIT_TOP];
    judge_gaps(scan, &late);
    for (size_t i = 0; i <= scan->chunk_count; i++)
        add_chunk(&file, &tally, i < scan->chunk_count ? &scan->chunks[i] : &late);
    for (size_t i = 0; i < scan->image.code_count; i++)
        file.code_bytes += scan->image.codes[i].size;
    file.counts = iw_tally_counts(&tally, iw_coder_rules(scan->coder), &file.count_count);
    judge_file(scan, &tally, &file);
    tell_notes(scan, &late, left);
    file.top = top;
    file.top_count = find_top(scan, &late, top);
    if (scan->options->file) scan->options->file(scan->options->context, &file);
    add_to_summary(&file, summary);
    for (unsigned isa = 0; isa < IW_ISA_LIMIT; isa++) {
        total->count[isa] += tally.count[isa];
        total->guarded[isa] += tally.guarded[isa];
    }
    for (size_t i = 0; i < file.top_count; i++) free((void *)(uintptr_t)top[i].name);
    free((void *)(uintptr_t)file.counts);
    free(late.notes);
}
