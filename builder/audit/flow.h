/* Following the flow of control: where linear decoding leaves doubt, and from constructors and
 * resolvers on. */
#ifndef IW_AUDIT_FLOW_H
#define IW_AUDIT_FLOW_H

#include "audit/decode.h"
#include "audit/image.h"

/* --- a region, byte by byte ----------------------------------------------- */

enum { IW_WALK_START = 1, IW_WALK_CODE = 2, IW_WALK_TABLE = 4 };

typedef struct iw_walked {
    uint32_t offset;
    uint8_t before;
} iw_walked;

/* What was found in [begin, end) of a code. Zero-initialise with iw_walk_open. */
typedef struct iw_region {
    const iw_image *image;
    const iw_coder *coder;
    const iw_code *code;
    uint32_t begin, end;
    uint8_t *map;    /* owned: IW_WALK_* for each byte */
    iw_sweep hits;   /* forbidden ones reached, and BAD ones reached otherwise than behind a call */
    uint32_t *stack; /* owned; starts to follow */
    size_t stack_count, stack_capacity;
    uint64_t *tables; /* owned; addresses taken, which may be jump tables */
    size_t table_count, table_capacity, table_done;
    uint64_t entries_left; /* of jump tables that may still be read: hostile ones would overlap */
    bool doubtful;         /* met bytes that don't decode, or 00 00 */
    bool steps_over; /* takes instructions newer than Zydis for code, and steps over unknown ones by
                        the rules of their encoding; these are hits all the same */
    bool trying;
    iw_walked *journal; /* owned; what a trial changed in the map */
    size_t journal_count, journal_capacity;
    bool computed; /* met a jump that goes nobody knows where */
} iw_region;

void iw_region_open(iw_region *region, const iw_image *image, const iw_coder *coder, uint32_t code,
                    uint32_t begin, uint32_t end);
void iw_region_close(iw_region *region);
/* Follows the code from there, jump tables too; what is met is in map and hits. */
void iw_region_walk(iw_region *region, uint32_t from);

/* The same, taken back where it meets anything doubtful: then false. Adds what it walked to
 * *walked. */
bool iw_region_try(iw_region *region, uint32_t from, uint64_t *walked);

/* --- branches of the whole file ------------------------------------------- */

typedef struct iw_entry_point {
    uint32_t code, offset;
    bool sure; /* called or jumped to, or its address stands in data; else only its address is taken
                  by code */
} iw_entry_point;

typedef struct iw_entry_points {
    iw_entry_point *items; /* owned; sorted by code, offset, sure ones first */
    size_t count, capacity;
} iw_entry_points;

/* Everything in cells that `wanted` marks (one byte for each cell) to which the other cells' code
 * or data lead. */
void iw_entry_points_find(const iw_image *image, const iw_coder *coder, const uint8_t *wanted,
                          iw_entry_points *out);

/* --- before main ---------------------------------------------------------- */

typedef enum iw_reach_kind { IW_REACH_NOT, IW_REACH_CONSTRUCTOR, IW_REACH_RESOLVER } iw_reach_kind;

typedef struct iw_reach { /* for each function */
    uint8_t *kind;        /* owned: iw_reach_kind */
    uint32_t *parent;     /* owned: the function that calls it; itself for a root */
} iw_reach;

void iw_reach_find(const iw_image *image, const iw_coder *coder, iw_reach *out);
void iw_reach_close(iw_reach *reach);
/* Does a conditional branch on a test of CPUID.1:ECX.OSXSAVE (bit 27) come before `offset` in the
 * function? */
bool iw_osxsave_tested(const iw_image *image, const iw_coder *coder, uint32_t function,
                       uint32_t offset);
/* Is `offset` jumped over where RDSSP left its register zero, as it does on a CPU without shadow
 * stacks? */
bool iw_shadow_stack_tested(const iw_image *image, const iw_coder *coder, uint32_t function,
                            uint32_t offset);

#endif
