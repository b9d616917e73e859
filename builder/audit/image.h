/* An ELF file in memory, as the audit sees it: executable sections cut into cells (a function, a
 * gap, data), names, and what constructors and IFUNC resolvers there are. Read from the gABI's
 * structures directly; every offset is checked. Sources: gABI chapter 4 and 5, psABI for x86-64,
 * LSB
 * (.eh_frame). */
#ifndef IW_AUDIT_IMAGE_H
#define IW_AUDIT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct iw_code { /* an executable section (or segment, where there are no sections) */
    const uint8_t *data;
    size_t size;      /* below 4 GiB */
    uint64_t address; /* in relocatable files one that we gave it */
    const char *name;
    unsigned index; /* of the section header */
    bool plt;       /* stubs of the linker: code without functions */
} iw_code;

typedef enum iw_cell_kind {
    IW_CELL_FUNCTION,
    IW_CELL_LOOSE, /* from a label without a size on: begins with code, ends nobody knows where */
    IW_CELL_GAP,
    IW_CELL_DATA /* an object of the symbol table */
} iw_cell_kind;

typedef struct iw_cell {
    uint32_t begin, end; /* in its code */
    uint32_t code;
    uint8_t kind;
    uint32_t function; /* index, or IW_NO_FUNCTION */
} iw_cell;

#define IW_NO_FUNCTION UINT32_MAX

typedef struct iw_function {
    uint32_t begin, end; /* in its code */
    uint32_t code;
    bool sure;        /* code begins here; else a mere label, which a table may have */
    bool loose;       /* from a label without a size: `end` is where something else begins */
    const char *name; /* in the file; NULL: none */
} iw_function;

typedef struct iw_slot { /* a pointer in data that a relocation fills with an address in this file
                          */
    uint64_t address, target;
} iw_slot;

typedef struct iw_part { /* file bytes that are in memory at run time */
    uint64_t address, offset, size;
} iw_part;

typedef struct iw_root { /* code that runs before main */
    uint32_t code, offset;
    bool resolver; /* of an IFUNC; else a constructor */
} iw_root;

typedef struct iw_image {
    const uint8_t *data;
    size_t size;
    bool relocatable;
    const char *skip; /* not for x86-64: what it is instead (static); the rest is empty then */
    iw_code *codes;
    size_t code_count;
    iw_function *functions; /* sorted by code, begin */
    size_t function_count, function_capacity;
    iw_cell *cells; /* sorted; they cover every code wholly */
    size_t cell_count, cell_capacity;
    iw_slot *slots; /* sorted by address */
    size_t slot_count, slot_capacity;
    iw_root *roots;
    size_t root_count, root_capacity;
    iw_part *parts;
    size_t part_count, part_capacity;
} iw_image;

/* Whether the bytes begin like an ELF file. */
bool iw_image_is_elf(const void *data, size_t size);
/* Borrows the bytes. IW_E_FORMAT where the file is broken. */
int iw_image_open(const void *data, size_t size, const char *name, iw_image *out, iw_error *err);
void iw_image_close(iw_image *image);

/* The code that holds an address; NULL: none. */
const iw_code *iw_image_code_at(const iw_image *image, uint64_t address);
/* The function whose range holds it, or IW_NO_FUNCTION. */
uint32_t iw_image_function_at(const iw_image *image, unsigned code, uint32_t offset);
/* `size` bytes of the file that are at an address at run time, or NULL. */
const uint8_t *iw_image_memory(const iw_image *image, uint64_t address, uint64_t size);
/* Where the pointer at `address` leads, or 0. */
uint64_t iw_image_slot(const iw_image *image, uint64_t address);

#endif
