/* One ELF file: chunks of its cells are decoded in any order, on any thread; then the parts become
 * findings and a verdict. */
#ifndef IW_AUDIT_SCAN_H
#define IW_AUDIT_SCAN_H

#include "audit/audit.h"
#include "audit/decode.h"
#include "audit/flow.h"
#include "audit/image.h"

typedef struct iw_note { /* a finding before it is described */
    uint32_t code, offset, function;
    uint8_t length, isa, standing;
} iw_note;

typedef struct iw_tally {
    uint64_t count[IW_ISA_LIMIT], guarded[IW_ISA_LIMIT]; /* count: guarded ones too */
} iw_tally;

typedef struct iw_heavy { /* a function with findings */
    uint32_t function;
    uint64_t count, guarded;
} iw_heavy;

typedef struct iw_chunk {
    size_t first, last; /* cells */
    iw_note *notes;     /* at most options->max_findings */
    size_t note_count, note_capacity;
    uint32_t *pending; /* gaps that need a view of the whole file */
    size_t pending_count, pending_capacity;
    iw_heavy heavy[2 * IW_AUDIT_TOP];
    size_t heavy_count;
    iw_heavy current;
    iw_tally tally;
    uint64_t instructions, undecided_bytes, undecided, resyncs;
    uint64_t looked_back; /* bytes decoded again to see what an instruction is behind: bounded, or a
                             hostile file would make it square */
    uint64_t tried;       /* bytes of gaps that were walked on trial: bounded likewise */
} iw_chunk;

typedef struct iw_scan {
    const iw_audit_options *options; /* borrowed */
    const iw_coder *coder;           /* borrowed */
    char *file;                      /* owned: the name that is shown */
    iw_image image;                  /* borrows the bytes */
    iw_reach reach;
    const iw_exception **exceptions; /* owned array: those that this file's name fits */
    size_t exception_count;
    const iw_tried *claim;      /* that this file was tried, or NULL */
    bool tried;                 /* it holds what the claim says: known once all is decoded */
    char sha256[IW_SHA256_HEX]; /* where a range exception or a claim needs it */
    iw_chunk *chunks;
    size_t chunk_count;
} iw_scan;

/* Reads the file's structure. The bytes are borrowed until iw_scan_close. IW_E_FORMAT where they
 * are broken. */
int iw_scan_open(iw_scan *scan, const void *data, size_t size, const char *file,
                 const iw_audit_options *options, const iw_coder *coder, iw_error *err);
void iw_scan_close(iw_scan *scan);
/* Decodes one chunk. Different chunks may be done at the same time. */
void iw_scan_chunk(iw_scan *scan, size_t index);
/* After all chunks: tells the findings (at most *left, which is lowered) and the result, and adds
 * to the summary. */
void iw_scan_finish(iw_scan *scan, uint64_t *left, iw_audit_summary *summary, iw_tally *total);

/* Counts by feature of a tally, sorted; caller frees. Classes that lack the same feature are one.
 */
iw_audit_count *iw_tally_counts(const iw_tally *tally, const iw_isa_rules *rules, size_t *count);

#endif
