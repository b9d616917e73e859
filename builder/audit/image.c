#include "audit/image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    SECTION_RELR = 19,
    ROOT_LIMIT = 1 << 20,
    NAME_LIMIT =
        16384 /* a longer name counts as none: hostile files would make sorting slow with them */
};

typedef struct section {
    uint32_t type, link, info;
    uint64_t flags, address, offset, size, entry;
    const char *name;
} section;

/* What begins somewhere in code, before it is sorted out. Lower ranks decide first. */
enum rank { RANK_FRAME, RANK_FUNCTION, RANK_OPEN, RANK_LABEL, RANK_OBJECT };

typedef struct mark {
    uint32_t code, begin, end;
    uint8_t rank, global;
    const char *name;
} mark;

typedef struct reader {
    iw_image *image;
    const char *name;
    Elf64_Ehdr header;
    section *sections;
    size_t section_count;
    mark *marks;
    size_t mark_count, mark_capacity;
} reader;

/* Bytes [offset, offset + size) of the file, or NULL. */
static const uint8_t *bytes_at(const iw_image *image, uint64_t offset, uint64_t size)
{
    return offset <= image->size && size <= image->size - offset ? image->data + offset : NULL;
}

static int broken(const reader *r, iw_error *err, const char *what)
{
    return iw_fail(err, IW_E_FORMAT, "%s: broken ELF file: %s", r->name, what);
}

bool iw_image_is_elf(const void *data, size_t size)
{
    return size >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

/* --- headers and sections ------------------------------------------------- */

static const char *string_at(const reader *r, const section *strings, uint64_t at)
{
    if (at >= strings->size) return NULL;
    const uint8_t *text = bytes_at(r->image, strings->offset, strings->size);
    uint64_t left = strings->size - at;
    if (!text || !memchr(text + at, 0, left < NAME_LIMIT ? left : NAME_LIMIT)) return NULL;
    return (const char *)text + at;
}

static const char *foreign(const Elf64_Ehdr *header, const uint8_t *data)
{
    if (data[EI_CLASS] == ELFCLASS32) return "a 32-bit ELF file";
    if (data[EI_DATA] != ELFDATA2LSB) return "a big-endian ELF file";
    if (header->e_machine != EM_X86_64) return "an ELF file for another machine";
    if (header->e_type != ET_REL && header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return "neither object, program nor library";
    return NULL;
}

/* In a relocatable file sections get addresses one behind the other. */
static void place_sections(reader *r)
{
    uint64_t next = 0x10000;
    for (size_t i = 1; i < r->section_count && r->image->relocatable; i++) {
        r->sections[i].address = next;
        next += (r->sections[i].size < UINT32_MAX ? r->sections[i].size : 0) + 0x1000;
    }
}

static int read_sections(reader *r, iw_error *err)
{
    const Elf64_Ehdr *h = &r->header;
    if (h->e_shoff == 0) return 0;
    Elf64_Shdr first;
    const uint8_t *at = bytes_at(r->image, h->e_shoff, sizeof first);
    if (!at || h->e_shentsize != sizeof first)
        return broken(r, err, "its section headers are outside of it; fetch or build it again");
    memcpy(&first, at, sizeof first);
    uint64_t count = h->e_shnum ? h->e_shnum : first.sh_size,
             names = h->e_shstrndx == SHN_XINDEX ? first.sh_link : h->e_shstrndx;
    if (count > r->image->size / sizeof first ||
        !(at = bytes_at(r->image, h->e_shoff, count * sizeof first)))
        return broken(r, err, "its section headers are cut off; fetch or build it again");
    r->sections = iw_alloc((count + 1) * sizeof *r->sections);
    r->section_count = count;
    for (size_t i = 0; i < count; i++) {
        Elf64_Shdr s;
        memcpy(&s, at + i * sizeof s, sizeof s);
        r->sections[i] = (section){s.sh_type,   s.sh_link, s.sh_info,    s.sh_flags, s.sh_addr,
                                   s.sh_offset, s.sh_size, s.sh_entsize, NULL};
    }
    for (size_t i = 0; i < count && names < count; i++) {
        Elf64_Shdr s;
        memcpy(&s, at + i * sizeof s, sizeof s);
        r->sections[i].name = string_at(r, &r->sections[names], s.sh_name);
    }
    place_sections(r);
    return 0;
}

static bool is_plt(const char *name)
{
    return strncmp(name, ".plt", 4) == 0 || strcmp(name, ".iplt") == 0;
}

static int add_code(reader *r, size_t *capacity, uint64_t *total, const section *s, unsigned index,
                    iw_error *err)
{
    iw_image *image = r->image;
    const uint8_t *data = bytes_at(image, s->offset, s->size);
    if (!data)
        return broken(r, err, "an executable section is outside of it; fetch or build it again");
    if (s->size > UINT64_MAX - s->address)
        return broken(r, err, "an executable section runs over the end of all addresses");
    *total += s->size;
    if (s->size >= UINT32_MAX || *total > 2 * (uint64_t)image->size)
        return broken(r, err, "its executable sections overlap or are larger than 4 GiB");
    iw_grow((void **)&image->codes, capacity, image->code_count + 1, sizeof *image->codes);
    const char *name = s->name ? s->name : "";
    image->codes[image->code_count++] =
        (iw_code){data, s->size, s->address, name, index, is_plt(name)};
    return 0;
}

/* Without sections (sstrip), executable segments. */
static int segment_codes(reader *r, size_t *capacity, iw_error *err)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < r->header.e_phnum; i++) {
        Elf64_Phdr p;
        const uint8_t *at =
            bytes_at(r->image, r->header.e_phoff + (uint64_t)i * sizeof p, sizeof p);
        if (!at || r->header.e_phentsize != sizeof p)
            return broken(r, err, "its program headers are outside of it; fetch or build it again");
        memcpy(&p, at, sizeof p);
        section s = {
            .address = p.p_vaddr, .offset = p.p_offset, .size = p.p_filesz, .name = "(segment)"};
        if (p.p_type == PT_LOAD && p.p_flags & PF_X && p.p_filesz &&
            add_code(r, capacity, &total, &s, i, err))
            return -1;
    }
    return 0;
}

static int compare_codes(const void *a, const void *b)
{
    const iw_code *x = a, *y = b;
    if (x->address != y->address) return x->address < y->address ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int find_codes(reader *r, iw_error *err)
{
    size_t capacity = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < r->section_count; i++) {
        const section *s = &r->sections[i];
        if (!(s->flags & SHF_EXECINSTR) || s->type == SHT_NOBITS || s->size == 0) continue;
        if (add_code(r, &capacity, &total, s, (unsigned)i, err)) return -1;
    }
    if (r->section_count == 0 && !r->image->relocatable && segment_codes(r, &capacity, err))
        return -1;
    if (r->image->code_count)
        qsort(r->image->codes, r->image->code_count, sizeof *r->image->codes, compare_codes);
    return 0;
}

/* --- addresses ------------------------------------------------------------ */

const iw_code *iw_image_code_at(const iw_image *image, uint64_t address)
{
    size_t low = 0, high = image->code_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (image->codes[middle].address <= address) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return NULL;
    const iw_code *code = &image->codes[low - 1];
    return address - code->address < code->size ? code : NULL;
}

uint32_t iw_image_function_at(const iw_image *image, unsigned code, uint32_t offset)
{
    size_t low = 0, high = image->function_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const iw_function *f = &image->functions[middle];
        if (f->code < code || (f->code == code && f->begin <= offset)) low = middle + 1;
        else high = middle;
    }
    for (size_t tries = 0; low > 0 && tries < 16; low--, tries++) {
        const iw_function *f = &image->functions[low - 1];
        if (f->code != code) return IW_NO_FUNCTION;
        if (offset < f->end) return (uint32_t)(low - 1);
    }
    return IW_NO_FUNCTION;
}

const uint8_t *iw_image_memory(const iw_image *image, uint64_t address, uint64_t size)
{
    size_t low = 0, high = image->part_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (image->parts[middle].address <= address) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return NULL;
    const iw_part *p = &image->parts[low - 1];
    if (address - p->address >= p->size || size > p->size - (address - p->address)) return NULL;
    return bytes_at(image, p->offset + (address - p->address), size);
}

static int compare_parts(const void *a, const void *b)
{
    const iw_part *x = a, *y = b;
    if (x->address != y->address) return x->address < y->address ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void add_part(iw_image *image, uint64_t address, uint64_t offset, uint64_t size)
{
    iw_grow((void **)&image->parts, &image->part_capacity, image->part_count + 1,
            sizeof *image->parts);
    image->parts[image->part_count++] = (iw_part){address, offset, size};
}

/* What of the file is in memory: sections, or segments where there are none. */
static void find_parts(reader *r)
{
    for (size_t i = 0; i < r->section_count; i++) {
        const section *s = &r->sections[i];
        if (s->flags & SHF_ALLOC && s->type != SHT_NOBITS && s->size)
            add_part(r->image, s->address, s->offset, s->size);
    }
    for (unsigned i = 0; i < r->header.e_phnum && r->section_count == 0; i++) {
        Elf64_Phdr p;
        const uint8_t *at =
            bytes_at(r->image, r->header.e_phoff + (uint64_t)i * sizeof p, sizeof p);
        if (!at) return;
        memcpy(&p, at, sizeof p);
        if (p.p_type == PT_LOAD && p.p_filesz)
            add_part(r->image, p.p_vaddr, p.p_offset, p.p_filesz);
    }
    if (r->image->part_count)
        qsort(r->image->parts, r->image->part_count, sizeof *r->image->parts, compare_parts);
}

static void add_mark(reader *r, uint64_t address, uint64_t size, enum rank rank, bool global,
                     const char *name)
{
    const iw_code *code = iw_image_code_at(r->image, address);
    if (!code) return;
    uint64_t begin = address - code->address,
             end = size < code->size - begin ? begin + size : code->size;
    iw_grow((void **)&r->marks, &r->mark_capacity, r->mark_count + 1, sizeof *r->marks);
    r->marks[r->mark_count++] = (mark){(uint32_t)(code - r->image->codes),
                                       (uint32_t)begin,
                                       (uint32_t)end,
                                       (uint8_t)rank,
                                       global,
                                       name};
}

static void add_root(iw_image *image, uint64_t address, bool resolver)
{
    const iw_code *code = iw_image_code_at(image, address);
    if (!code) return;
    iw_grow((void **)&image->roots, &image->root_capacity, image->root_count + 1,
            sizeof *image->roots);
    image->roots[image->root_count++] =
        (iw_root){(uint32_t)(code - image->codes), (uint32_t)(address - code->address), resolver};
}

/* --- symbols -------------------------------------------------------------- */

static bool symbol_address(const reader *r, const Elf64_Sym *symbol, uint64_t *address)
{
    if (symbol->st_shndx == SHN_UNDEF ||
        (symbol->st_shndx >= SHN_LORESERVE && symbol->st_shndx != SHN_XINDEX))
        return false;
    *address = symbol->st_value;
    if (!r->image->relocatable) return true;
    if (symbol->st_shndx >= r->section_count) return false;
    *address += r->sections[symbol->st_shndx].address;
    return true;
}

static void add_symbol(reader *r, const section *table, const Elf64_Sym *symbol)
{
    uint64_t address;
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    bool function = type == STT_FUNC || type == STT_GNU_IFUNC,
         global = ELF64_ST_BIND(symbol->st_info) != STB_LOCAL;
    if ((!function && type != STT_NOTYPE && type != STT_OBJECT) ||
        !symbol_address(r, symbol, &address))
        return;
    if (r->image->relocatable && (symbol->st_shndx >= r->section_count ||
                                  !(r->sections[symbol->st_shndx].flags & SHF_EXECINSTR)))
        return;
    if (type == STT_OBJECT && symbol->st_size == 0) return;
    const char *name = table->link < r->section_count
                           ? string_at(r, &r->sections[table->link], symbol->st_name)
                           : NULL;
    enum rank rank = type == STT_OBJECT   ? RANK_OBJECT
                     : type == STT_NOTYPE ? RANK_LABEL
                     : symbol->st_size    ? RANK_FUNCTION
                                          : RANK_OPEN;
    add_mark(r, address, symbol->st_size, rank, global, name && *name ? name : NULL);
    if (type == STT_GNU_IFUNC) add_root(r->image, address, true);
}

static int read_symbols(reader *r, const section *table, iw_error *err)
{
    const uint8_t *at = bytes_at(r->image, table->offset, table->size);
    if (!at) return broken(r, err, "a symbol table is outside of it; fetch or build it again");
    for (uint64_t i = 0; i < table->size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, at + i * sizeof symbol, sizeof symbol);
        add_symbol(r, table, &symbol);
    }
    return 0;
}

/* --- relocations ---------------------------------------------------------- */

static bool read_symbol(const reader *r, const section *relocations, uint64_t index, Elf64_Sym *out)
{
    if (relocations->link >= r->section_count) return false;
    const section *table = &r->sections[relocations->link];
    if (index >= table->size / sizeof *out) return false;
    const uint8_t *at = bytes_at(r->image, table->offset + index * sizeof *out, sizeof *out);
    if (!at) return false;
    memcpy(out, at, sizeof *out);
    return true;
}

/* Where the relocated pointer or call leads, in this file. PC-relative ones: the field is taken for
 * the end of the instruction. */
static bool relocation_target(const reader *r, const section *s, const Elf64_Rela *rela,
                              uint64_t *target)
{
    unsigned type = ELF64_R_TYPE(rela->r_info);
    uint64_t addend = (uint64_t)rela->r_addend;
    Elf64_Sym symbol;
    if (type == R_X86_64_RELATIVE || type == R_X86_64_IRELATIVE) {
        *target = addend;
        return true;
    }
    bool relative = type == R_X86_64_PC32 || type == R_X86_64_PLT32,
         pointer = type == R_X86_64_64 || type == R_X86_64_GLOB_DAT || type == R_X86_64_JUMP_SLOT;
    if (!relative && !pointer) return false;
    if (!read_symbol(r, s, ELF64_R_SYM(rela->r_info), &symbol) ||
        !symbol_address(r, &symbol, target))
        return false;
    if (relative) *target += addend + 4;
    if (type == R_X86_64_64) *target += addend;
    return true;
}

static int read_relocations(reader *r, const section *s, iw_error *err)
{
    iw_image *image = r->image;
    const uint8_t *at = bytes_at(image, s->offset, s->size);
    if (!at) return broken(r, err, "relocations are outside of it; fetch or build it again");
    uint64_t base = 0;
    if (image->relocatable) {
        if (s->info >= r->section_count || !(r->sections[s->info].flags & SHF_ALLOC)) return 0;
        base = r->sections[s->info].address;
    }
    for (uint64_t i = 0; i < s->size / sizeof(Elf64_Rela); i++) {
        Elf64_Rela rela;
        uint64_t target;
        memcpy(&rela, at + i * sizeof rela, sizeof rela);
        if (!relocation_target(r, s, &rela, &target) || !iw_image_code_at(image, target)) continue;
        if (ELF64_R_TYPE(rela.r_info) == R_X86_64_IRELATIVE) {
            add_root(image, target, true);
            continue;
        }
        iw_grow((void **)&image->slots, &image->slot_capacity, image->slot_count + 1,
                sizeof *image->slots);
        image->slots[image->slot_count++] = (iw_slot){base + rela.r_offset, target};
    }
    return 0;
}

static void add_relative(iw_image *image, uint64_t address)
{
    const uint8_t *raw = iw_image_memory(image, address, 8);
    uint64_t target;
    if (!raw) return;
    memcpy(&target, raw, sizeof target);
    if (!iw_image_code_at(image, target)) return;
    iw_grow((void **)&image->slots, &image->slot_capacity, image->slot_count + 1,
            sizeof *image->slots);
    image->slots[image->slot_count++] = (iw_slot){address, target};
}

/* SHT_RELR (gABI): an even word is the address of a pointer; an odd one has a bit for each of the
 * next 63 words. The pointers stand in the file. */
static int read_relative(reader *r, const section *s, iw_error *err)
{
    const uint8_t *at = bytes_at(r->image, s->offset, s->size);
    uint64_t next = 0, left = r->image->size / 8; /* each pointer takes 8 bytes of the file */
    if (!at) return broken(r, err, "relocations are outside of it; fetch or build it again");
    for (uint64_t i = 0; i + 8 <= s->size; i += 8) {
        uint64_t word, count;
        memcpy(&word, at + i, sizeof word);
        count = word & 1 ? (uint64_t)__builtin_popcountll(word) - 1 : 1;
        if (count > left)
            return broken(
                r, err, "it has more relocations than room for pointers; fetch or build it again");
        left -= count;
        if ((word & 1) == 0) {
            add_relative(r->image, word);
            next = word + 8;
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++)
            if (word >> bit & 1) add_relative(r->image, next + (bit - 1) * 8);
        next += 63 * 8;
    }
    return 0;
}

static int compare_slots(const void *a, const void *b)
{
    const iw_slot *x = a, *y = b;
    if (x->address != y->address) return x->address < y->address ? -1 : 1;
    return x->target < y->target ? -1 : x->target > y->target;
}

uint64_t iw_image_slot(const iw_image *image, uint64_t address)
{
    size_t low = 0, high = image->slot_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (image->slots[middle].address < address) low = middle + 1;
        else high = middle;
    }
    return low < image->slot_count && image->slots[low].address == address
               ? image->slots[low].target
               : 0;
}

/* --- constructors --------------------------------------------------------- */

static void read_array(reader *r, uint64_t address, uint64_t size)
{
    for (uint64_t at = 0; at + 8 <= size && r->image->root_count < ROOT_LIMIT; at += 8) {
        uint64_t target = iw_image_slot(r->image, address + at);
        const uint8_t *raw = target ? NULL : iw_image_memory(r->image, address + at, 8);
        if (raw) memcpy(&target, raw, sizeof target);
        if (target) add_root(r->image, target, false);
    }
}

static void find_constructors(reader *r)
{
    for (size_t i = 0; i < r->section_count; i++) {
        const section *s = &r->sections[i];
        const char *name = s->name ? s->name : "";
        bool array = s->type == SHT_INIT_ARRAY || s->type == SHT_PREINIT_ARRAY ||
                     strncmp(name, ".init_array", 11) == 0 || strcmp(name, ".ctors") == 0;
        if (array && s->flags & SHF_ALLOC && s->type != SHT_NOBITS &&
            bytes_at(r->image, s->offset, s->size))
            read_array(r, s->address, s->size);
        if (strcmp(name, ".init") == 0 && s->flags & SHF_EXECINSTR)
            add_root(r->image, s->address, false);
    }
}

/* --- .eh_frame ------------------------------------------------------------ */

typedef struct cursor {
    const uint8_t *at, *end;
    uint64_t address; /* of `at` */
    bool failed;
} cursor;

static uint64_t take(cursor *c, unsigned size)
{
    uint64_t value = 0;
    if ((size_t)(c->end - c->at) < size) {
        c->failed = true;
        return 0;
    }
    memcpy(&value, c->at, size);
    c->at += size;
    c->address += size;
    return value;
}

static uint64_t take_leb(cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = take(c, 1);
        value |= (byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    c->failed = true;
    return 0;
}

/* A pointer encoded as LSB's DW_EH_PE_*: absolute or relative to where it stands. */
static uint64_t take_pointer(cursor *c, unsigned encoding)
{
    uint64_t where = c->address, value;
    switch (encoding & 0x0f) {
    case 0x00: value = take(c, 8); break;
    case 0x02: value = take(c, 2); break;
    case 0x03: value = take(c, 4); break;
    case 0x04: value = take(c, 8); break;
    case 0x0a: value = (uint64_t)(int64_t)(int16_t)take(c, 2); break;
    case 0x0b: value = (uint64_t)(int64_t)(int32_t)take(c, 4); break;
    case 0x0c: value = take(c, 8); break;
    default: c->failed = true; return 0;
    }
    if ((encoding & 0xf0) == 0x10) return where + value;
    if ((encoding & 0xf0) != 0) c->failed = true;
    return value;
}

/* The encoding of pointers in the FDEs of this CIE; 0xff where it isn't understood. */
static unsigned cie_encoding(cursor c)
{
    unsigned version = (unsigned)take(&c, 1);
    const char *augmentation = (const char *)c.at;
    size_t length = strnlen(augmentation, (size_t)(c.end - c.at));
    if (c.failed || length >= 16) return 0xff;
    c.at += length;
    take(&c, 1);
    if (version == 4) take(&c, 2);
    take_leb(&c);
    take_leb(&c);
    if (version == 1) take(&c, 1);
    else take_leb(&c);
    if (length == 0) return 0;
    if (*augmentation != 'z') return 0xff;
    take_leb(&c);
    for (size_t i = 1; i < length; i++) {
        if (augmentation[i] == 'R') {
            unsigned encoding = (unsigned)take(&c, 1);
            return c.failed ? 0xff : encoding;
        }
        if (augmentation[i] == 'L') take(&c, 1);
        else if (augmentation[i] == 'P') {
            unsigned encoding = (unsigned)take(&c, 1);
            take_pointer(&c, encoding & 0x0f);
        } else if (augmentation[i] != 'S' && augmentation[i] != 'B') return 0xff;
        if (c.failed) return 0xff;
    }
    return 0;
}

static void read_frames(reader *r, const uint8_t *data, uint64_t size, uint64_t address)
{
    cursor c = {data, data + size, address, false};
    uint64_t known_cie = UINT64_MAX;
    unsigned encoding = 0xff;
    while ((size_t)(c.end - c.at) >= 8) {
        uint64_t length = take(&c, 4);
        if (length == 0) return;
        if (length == UINT32_MAX) length = take(&c, 8);
        if (c.failed || length > (size_t)(c.end - c.at) || length < 4) return;
        cursor entry = {c.at, c.at + length, c.address, false};
        c.at += length;
        c.address += length;
        uint64_t id_at = (uint64_t)(entry.at - data), back = take(&entry, 4);
        if (back == 0 || back > id_at) continue;
        uint64_t cie = id_at - back;
        if (cie != known_cie) {
            cursor start = {data + cie, data + size, address + cie, false};
            known_cie = cie;
            if (take(&start, 4) == UINT32_MAX) take(&start, 8);
            take(&start, 4);
            encoding = start.failed ? 0xff : cie_encoding(start);
        }
        if (encoding == 0xff) continue;
        uint64_t begin = take_pointer(&entry, encoding),
                 range = take_pointer(&entry, encoding & 0x0f);
        if (!entry.failed && range && range < UINT32_MAX)
            add_mark(r, begin, range, RANK_FRAME, false, NULL);
    }
}

/* Without section headers: PT_GNU_EH_FRAME leads to .eh_frame_hdr, and that to .eh_frame. */
static void find_frames(reader *r)
{
    for (size_t i = 0; i < r->section_count; i++) {
        const section *s = &r->sections[i];
        const uint8_t *data;
        if (s->name && strcmp(s->name, ".eh_frame") == 0 && s->type != SHT_NOBITS &&
            (data = bytes_at(r->image, s->offset, s->size)))
            read_frames(r, data, s->size, s->address);
    }
    for (unsigned i = 0; i < r->header.e_phnum && r->section_count == 0; i++) {
        Elf64_Phdr p;
        const uint8_t *at =
            bytes_at(r->image, r->header.e_phoff + (uint64_t)i * sizeof p, sizeof p);
        if (!at) return;
        memcpy(&p, at, sizeof p);
        if (p.p_type != PT_GNU_EH_FRAME || !(at = iw_image_memory(r->image, p.p_vaddr, 12)))
            continue;
        cursor c = {at + 4, at + 12, p.p_vaddr + 4, false};
        uint64_t frames = take_pointer(&c, at[1]);
        for (size_t k = 0; k < r->image->part_count && !c.failed; k++) {
            const iw_part *load = &r->image->parts[k];
            if (frames < load->address || frames - load->address >= load->size) continue;
            uint64_t into = frames - load->address;
            const uint8_t *data = bytes_at(r->image, load->offset + into, load->size - into);
            if (data) read_frames(r, data, load->size - into, frames);
        }
    }
}

/* --- functions and cells -------------------------------------------------- */

static int compare_marks(const void *a, const void *b)
{
    const mark *x = a, *y = b;
    if (x->code != y->code) return x->code < y->code ? -1 : 1;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    if (x->global != y->global) return x->global > y->global ? -1 : 1;
    if (!x->name || !y->name) return x->name ? -1 : y->name ? 1 : 0;
    return strcmp(x->name, y->name);
}

typedef struct layer {
    uint8_t kind;
    uint32_t end, function;
} layer;

typedef struct builder {
    iw_image *image;
    uint32_t code, at;
    layer inner, outer; /* what covers `at`: the inner first, then the outer, then nothing */
} builder;

static void add_cell(builder *b, uint32_t end, uint8_t kind, uint32_t function)
{
    if (end <= b->at) return;
    iw_grow((void **)&b->image->cells, &b->image->cell_capacity, b->image->cell_count + 1,
            sizeof *b->image->cells);
    b->image->cells[b->image->cell_count++] = (iw_cell){b->at, end, b->code, kind, function};
    b->at = end;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void fill(builder *b, uint32_t to)
{
    add_cell(b, smaller(to, b->inner.end), b->inner.kind, b->inner.function);
    add_cell(b, smaller(to, b->outer.end), b->outer.kind, b->outer.function);
    add_cell(b, to, IW_CELL_GAP, IW_NO_FUNCTION);
}

static uint32_t add_function(builder *b, const mark *m, uint32_t end, const char *name)
{
    iw_image *image = b->image;
    iw_grow((void **)&image->functions, &image->function_capacity, image->function_count + 1,
            sizeof *image->functions);
    image->functions[image->function_count] =
        (iw_function){.begin = m->begin, .end = end, .code = m->code, .name = name};
    image->functions[image->function_count].loose = end == m->begin;
    image->functions[image->function_count].sure = m->rank != RANK_LABEL;
    return (uint32_t)image->function_count++;
}

/* `count` marks with one beginning, best first. */
static void take_group(builder *b, const mark *marks, size_t count)
{
    const mark *first = &marks[0];
    uint32_t begin = first->begin, end = first->end;
    const char *name = NULL;
    for (size_t i = 0; i < count && !name; i++)
        if (marks[i].rank != RANK_FRAME) name = marks[i].name;
    for (size_t i = 1; i < count && first->rank == RANK_FUNCTION; i++)
        if (marks[i].rank == RANK_FUNCTION && marks[i].end > end) end = marks[i].end;
    bool covered = begin < b->inner.end || begin < b->outer.end,
         sized = first->rank <= RANK_FUNCTION;
    /* A label in a function is a jump's target; what follows a label of unknown kind may be
     * something else. */
    if (first->rank == RANK_LABEL && covered &&
        (b->inner.kind != IW_CELL_LOOSE || b->image->functions[b->inner.function].sure))
        return;
    fill(b, begin);
    if (first->rank == RANK_OBJECT) {
        b->inner = (layer){IW_CELL_DATA, end, IW_NO_FUNCTION};
        return;
    }
    if (b->inner.kind == IW_CELL_LOOSE) b->inner.end = 0;
    if (b->inner.end > b->outer.end) b->outer = b->inner;
    bool nested = begin < b->outer.end && b->outer.kind == IW_CELL_FUNCTION;
    if (!sized) end = nested ? b->outer.end : (uint32_t)b->image->codes[b->code].size;
    uint32_t function = add_function(b, first, sized || nested ? end : begin, name);
    b->inner = (layer){sized || nested ? IW_CELL_FUNCTION : IW_CELL_LOOSE, end, function};
}

static void make_cells(reader *r)
{
    iw_image *image = r->image;
    size_t at = 0;
    for (size_t i = 0; i < image->root_count; i++)
        add_mark(r, image->codes[image->roots[i].code].address + image->roots[i].offset, 0,
                 RANK_OPEN, false, NULL);
    if (!image->relocatable && r->header.e_entry)
        add_mark(r, r->header.e_entry, 0, RANK_OPEN, false, NULL);
    if (r->mark_count) qsort(r->marks, r->mark_count, sizeof *r->marks, compare_marks);
    for (uint32_t code = 0; code < image->code_count; code++) {
        builder b = {
            image, code, 0, {IW_CELL_GAP, 0, IW_NO_FUNCTION}, {IW_CELL_GAP, 0, IW_NO_FUNCTION}};
        while (at < r->mark_count && r->marks[at].code == code) {
            size_t count = 1;
            while (at + count < r->mark_count && r->marks[at + count].code == code &&
                   r->marks[at + count].begin == r->marks[at].begin)
                count++;
            take_group(&b, &r->marks[at], count);
            at += count;
        }
        fill(&b, (uint32_t)image->codes[code].size);
    }
    for (size_t i = 0; i < image->cell_count; i++)
        if (image->cells[i].kind == IW_CELL_LOOSE)
            image->functions[image->cells[i].function].end = image->cells[i].end;
}

/* --- all of it ------------------------------------------------------------ */

static int read_tables(reader *r, iw_error *err)
{
    for (size_t i = 0; i < r->section_count; i++) {
        const section *s = &r->sections[i];
        if ((s->type == SHT_SYMTAB || s->type == SHT_DYNSYM) && read_symbols(r, s, err)) return -1;
        if (s->type == SHT_RELA && read_relocations(r, s, err)) return -1;
        if (s->type == SECTION_RELR && read_relative(r, s, err)) return -1;
    }
    if (r->image->slot_count)
        qsort(r->image->slots, r->image->slot_count, sizeof *r->image->slots, compare_slots);
    return 0;
}

int iw_image_open(const void *data, size_t size, const char *name, iw_image *out, iw_error *err)
{
    memset(out, 0, sizeof *out);
    out->data = data;
    out->size = size;
    reader r = {.image = out, .name = name};
    if (size < EI_NIDENT + 4)
        return broken(&r, err, "it ends within its header; fetch or build it again");
    memcpy(&r.header, data, size < sizeof r.header ? size : sizeof r.header);
    out->skip = foreign(&r.header, data);
    if (out->skip) return 0;
    if (size < sizeof r.header)
        return broken(&r, err, "it ends within its header; fetch or build it again");
    out->relocatable = r.header.e_type == ET_REL;
    int status = -1;
    if (read_sections(&r, err) == 0)
        find_parts(&r), status = find_codes(&r, err) || read_tables(&r, err) ? -1 : 0;
    if (status == 0) {
        if (!out->relocatable) find_frames(&r);
        find_constructors(&r);
        make_cells(&r);
    }
    free(r.sections);
    free(r.marks);
    if (status) iw_image_close(out);
    return status;
}

void iw_image_close(iw_image *image)
{
    free(image->codes);
    free(image->functions);
    free(image->cells);
    free(image->slots);
    free(image->roots);
    free(image->parts);
    memset(image, 0, sizeof *image);
}
