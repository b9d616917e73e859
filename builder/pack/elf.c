#include "pack/elf.h"

#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"

/* Far above what any library has; a hostile file of a megabyte could name terabytes. */
#define NAMES_LIMIT (1 << 20)
#define VERSIONS_LIMIT 20000
#define PAGE 4096 /* x86-64's */

bool iw_is_glibc(const char *soname)
{
    static const char *const names[] = {"ld-linux-x86-64.so.2",
                                        "libc.so.6",
                                        "libm.so.6",
                                        "libmvec.so.1",
                                        "libpthread.so.0",
                                        "libdl.so.2",
                                        "librt.so.1",
                                        "libutil.so.1",
                                        "libresolv.so.2",
                                        "libanl.so.1",
                                        "libBrokenLocale.so.1",
                                        "libnss_files.so.2",
                                        "libthread_db.so.1",
                                        NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], soname) == 0) return true;
    return false;
}

void iw_elf_clear(iw_elf *elf)
{
    iw_strings_free(&elf->needed);
    iw_strings_free(&elf->versions);
    free(elf->soname), free(elf->rpath), free(elf->runpath);
    memset(elf, 0, sizeof *elf);
}

/* Open ELF file. */
struct file {
    int fd;
    Elf *elf;
};

static void file_close(struct file *file)
{
    if (file->elf) elf_end(file->elf);
    if (file->fd >= 0) close(file->fd);
}

/* elf stays NULL where the file isn't ELF. */
static int file_open(const char *path, struct file *file, iw_error *err)
{
    char magic[SELFMAG];
    file->elf = NULL;
    file->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file->fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    if (pread(file->fd, magic, SELFMAG, 0) != SELFMAG || memcmp(magic, ELFMAG, SELFMAG) != 0)
        return 0;
    elf_version(EV_CURRENT);
    file->elf = elf_begin(file->fd, ELF_C_READ_MMAP, NULL);
    if (!file->elf || elf_kind(file->elf) != ELF_K_ELF)
        return iw_fail(err, IW_E_FORMAT, "%s: broken ELF file: %s", path, elf_errmsg(-1));
    return 0;
}

static int write_at(const char *path, off_t offset, const void *bytes, size_t size, iw_error *err)
{
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    bool written = fd >= 0 && pwrite(fd, bytes, size, offset) == (ssize_t)size;
    if (fd >= 0 && close(fd) != 0) written = false;
    return written ? 0 : iw_fail_errno(err, IW_E_IO, "can't write %s", path);
}

static Elf_Scn *section_of_type(Elf *elf, GElf_Word type, GElf_Shdr *header)
{
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section; section = elf_nextscn(elf, section))
        if (gelf_getshdr(section, header) && header->sh_type == type) return section;
    return NULL;
}

/* --- segments ------------------------------------------------------------- */

/* By pages, as glibc has looked at it since 2.35; before that by the whole alignment (glibc bug
 * 28688). */
static bool is_askew(const GElf_Phdr *segment)
{
    GElf_Xword step = segment->p_align < PAGE ? segment->p_align : PAGE;
    return segment->p_type == PT_LOAD && step > 1 &&
           (segment->p_offset - segment->p_vaddr) % step != 0;
}

static int read_segments(Elf *elf, const char *path, iw_elf *out, iw_error *err)
{
    size_t count;
    GElf_Phdr segment;
    if (elf_getphdrnum(elf, &count) != 0)
        return iw_fail(err, IW_E_FORMAT, "%s: broken ELF header", path);
    for (size_t i = 0; i < count; i++) {
        if (!gelf_getphdr(elf, (int)i, &segment))
            return iw_fail(err, IW_E_FORMAT, "%s: broken segments", path);
        out->askew |= is_askew(&segment);
    }
    return 0;
}

/* --- the dynamic section -------------------------------------------------- */

static void set_text(char **where, const char *text)
{
    free(*where);
    *where = iw_strdup(text);
}

/* Copies what one dynamic entry names; `budget` bounds all of them together: entries may share one
 * long string. */
static int keep_text(const char *path, GElf_Sxword tag, const char *text, size_t *budget,
                     iw_elf *out, iw_error *err)
{
    size_t length = text ? strnlen(text, *budget) : 0;
    if (!text)
        return iw_fail(err, IW_E_FORMAT, "%s: a dynamic entry points outside its strings", path);
    if (length >= *budget)
        return iw_fail(err, IW_E_FORMAT, "%s: its dynamic section names more than %d bytes", path,
                       NAMES_LIMIT);
    *budget -= length + 1;
    if (tag == DT_NEEDED) iw_strings_add(&out->needed, text);
    if (tag == DT_SONAME) set_text(&out->soname, text);
    if (tag == DT_RPATH) set_text(&out->rpath, text);
    if (tag == DT_RUNPATH) set_text(&out->runpath, text);
    return 0;
}

static int read_dynamic(Elf *elf, const char *path, iw_elf *out, iw_error *err)
{
    GElf_Shdr header;
    Elf_Scn *section = section_of_type(elf, SHT_DYNAMIC, &header);
    if (!section) return 0;
    Elf_Data *data = elf_getdata(section, NULL);
    size_t budget = NAMES_LIMIT;
    out->dynamic = true;
    for (int i = 0; data && header.sh_entsize && (size_t)i < header.sh_size / header.sh_entsize;
         i++) {
        GElf_Dyn entry;
        if (!gelf_getdyn(data, i, &entry) || entry.d_tag == DT_NULL) break;
        if (entry.d_tag != DT_NEEDED && entry.d_tag != DT_SONAME && entry.d_tag != DT_RPATH &&
            entry.d_tag != DT_RUNPATH)
            continue;
        if (keep_text(path, entry.d_tag, elf_strptr(elf, header.sh_link, entry.d_un.d_val), &budget,
                      out, err) != 0)
            return -1;
    }
    return 0;
}

/* --- needed versions ------------------------------------------------------ */

/* What is asked of each needed version; `each` returns false where it wants no more. */
struct versions {
    Elf *elf;
    Elf_Data *data;
    GElf_Shdr header;
    const char *path;
    bool (*each)(void *context, const char *file, const char *version, unsigned index);
    void *context;
    size_t
        left; /* entries, bytes of names: chains may lead through the same bytes again and again */
    size_t budget;
    bool done;
};

/* Offsets in the file are relative and unsigned; those of gelf are int. */
static bool step(const struct versions *versions, size_t *at, size_t by)
{
    return !__builtin_add_overflow(*at, by, at) && *at < versions->data->d_size && *at < INT_MAX;
}

static int walk_aux(struct versions *versions, const GElf_Verneed *need, size_t at, iw_error *err)
{
    const char *file = elf_strptr(versions->elf, versions->header.sh_link, need->vn_file);
    for (unsigned k = 0; k < need->vn_cnt && !versions->done; k++) {
        GElf_Vernaux aux;
        if (versions->left-- == 0)
            return iw_fail(err, IW_E_FORMAT, "%s: more than %d needed versions", versions->path,
                           VERSIONS_LIMIT);
        if (!gelf_getvernaux(versions->data, (int)at, &aux))
            return iw_fail(err, IW_E_FORMAT, "%s: broken version needs", versions->path);
        const char *name = elf_strptr(versions->elf, versions->header.sh_link, aux.vna_name);
        if (!file || !name)
            return iw_fail(err, IW_E_FORMAT, "%s: a needed version points outside its strings",
                           versions->path);
        size_t length = strnlen(file, versions->budget) + strnlen(name, versions->budget);
        if (length >= versions->budget)
            return iw_fail(err, IW_E_FORMAT, "%s: its needed versions name more than %d bytes",
                           versions->path, NAMES_LIMIT);
        versions->budget -= length;
        versions->done = !versions->each(versions->context, file, name, aux.vna_other);
        if (aux.vna_next == 0) break;
        if (!step(versions, &at, aux.vna_next))
            return iw_fail(err, IW_E_FORMAT, "%s: broken version needs", versions->path);
    }
    return 0;
}

static int walk_versions(Elf *elf, const char *path,
                         bool (*each)(void *context, const char *file, const char *version,
                                      unsigned index),
                         void *context, iw_error *err)
{
    struct versions versions = {.elf = elf,
                                .path = path,
                                .each = each,
                                .context = context,
                                .left = VERSIONS_LIMIT,
                                .budget = NAMES_LIMIT};
    Elf_Scn *section = section_of_type(elf, SHT_GNU_verneed, &versions.header);
    versions.data = section ? elf_getdata(section, NULL) : NULL;
    if (!versions.data) return 0;
    size_t offset = 0;
    for (unsigned i = 0; i < versions.header.sh_info && !versions.done; i++) {
        GElf_Verneed need;
        if (versions.left-- == 0)
            return iw_fail(err, IW_E_FORMAT, "%s: more than %d needed versions", path,
                           VERSIONS_LIMIT);
        if (!gelf_getverneed(versions.data, (int)offset, &need))
            return iw_fail(err, IW_E_FORMAT, "%s: broken version needs", path);
        size_t at = offset;
        if (need.vn_cnt && !step(&versions, &at, need.vn_aux))
            return iw_fail(err, IW_E_FORMAT, "%s: broken version needs", path);
        if (walk_aux(&versions, &need, at, err) != 0) return -1;
        if (need.vn_next == 0) break;
        if (!step(&versions, &offset, need.vn_next))
            return iw_fail(err, IW_E_FORMAT, "%s: broken version needs", path);
    }
    return 0;
}

static bool add_version(void *context, const char *file, const char *version, unsigned index)
{
    (void)index;
    iw_strings_add_format(context, "%s %s", file, version);
    return true;
}

int iw_elf_read(const char *path, iw_elf *out, iw_error *err)
{
    memset(out, 0, sizeof *out);
    struct file file;
    int status = file_open(path, &file, err);
    GElf_Ehdr header;
    if (status == 0 && file.elf) {
        out->is_elf = true;
        if (!gelf_getehdr(file.elf, &header))
            status = iw_fail(err, IW_E_FORMAT, "%s: broken ELF header", path);
        if (status == 0) out->object = header.e_type == ET_REL;
        GElf_Shdr section;
        if (status == 0) out->symbols = section_of_type(file.elf, SHT_SYMTAB, &section) != NULL;
        if (status == 0) status = read_segments(file.elf, path, out, err);
        if (status == 0) status = read_dynamic(file.elf, path, out, err);
        if (status == 0) status = walk_versions(file.elf, path, add_version, &out->versions, err);
    }
    file_close(&file);
    if (status != 0) iw_elf_clear(out);
    return status;
}

/* --- build ID ------------------------------------------------------------- */

struct place { /* in the file */
    off_t offset;
    size_t size; /* 0: none */
};

static struct place find_id(Elf *elf, const GElf_Phdr *segment)
{
    Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)segment->p_offset, segment->p_filesz,
                                          segment->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    GElf_Nhdr note;
    size_t name, text;
    for (size_t at = 0; data && (at = gelf_getnote(data, at, &note, &name, &text)) > 0;) {
        bool is_id =
            note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            memcmp((const char *)data->d_buf + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0;
        if (is_id) return (struct place){(off_t)(segment->p_offset + text), note.n_descsz};
    }
    return (struct place){0, 0};
}

static int build_id_of(const char *path, struct place *id, iw_error *err)
{
    struct file file;
    size_t count = 0;
    *id = (struct place){0, 0};
    int status = file_open(path, &file, err);
    if (status == 0 && file.elf && elf_getphdrnum(file.elf, &count) != 0)
        status = iw_fail(err, IW_E_FORMAT, "%s: broken program headers: %s", path, elf_errmsg(-1));
    for (size_t i = 0; status == 0 && i < count && !id->size; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(file.elf, (int)i, &segment) && segment.p_type == PT_NOTE)
            *id = find_id(file.elf, &segment);
    }
    file_close(&file);
    return status;
}

int iw_elf_renew_build_id(const char *path, iw_error *err)
{
    struct place id;
    unsigned char bytes[(IW_SHA256_HEX - 1) / 2] = {0};
    char hex[IW_SHA256_HEX];
    if (build_id_of(path, &id, err) != 0) return -1;
    if (!id.size || id.size > sizeof bytes) return 0;
    if (write_at(path, id.offset, bytes, id.size, err) != 0 ||
        iw_hash_file(path, hex, NULL, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof bytes; i++) sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
    return write_at(path, id.offset, bytes, id.size, err);
}

/* --- empty segments ------------------------------------------------------- */

int iw_elf_drop_empty(const char *path, iw_error *err)
{
    static const Elf64_Word none = PT_NULL; /* a program header begins with its type */
    struct file file;
    GElf_Ehdr header;
    GElf_Phdr segment;
    size_t count = 0;
    int status = file_open(path, &file, err);
    if (status == 0 && file.elf &&
        (!gelf_getehdr(file.elf, &header) || elf_getphdrnum(file.elf, &count) != 0))
        status = iw_fail(err, IW_E_FORMAT, "%s: broken ELF header", path);
    for (size_t i = 0; i < count && status == 0; i++) {
        if (!gelf_getphdr(file.elf, (int)i, &segment) || !is_askew(&segment)) continue;
        if (segment.p_memsz != 0)
            status = iw_fail(err, IW_E_FORMAT, "%s: no loader takes its segment %zu", path, i);
        else
            status = write_at(path, (off_t)(header.e_phoff + i * header.e_phentsize), &none,
                              sizeof none, err);
    }
    file_close(&file);
    return status;
}

/* --- symbols of a version ------------------------------------------------- */

struct wanted {
    const char *version;
    unsigned index;
};

static bool find_index(void *context, const char *file, const char *version, unsigned index)
{
    struct wanted *wanted = context;
    (void)file;
    if (strcmp(version, wanted->version) != 0) return true;
    wanted->index = index;
    return false;
}

int iw_elf_symbols_of_version(const char *path, const char *version, iw_strings *out, iw_error *err)
{
    struct file file;
    struct wanted wanted = {version, 0};
    int status = file_open(path, &file, err);
    if (status == 0 && file.elf) status = walk_versions(file.elf, path, find_index, &wanted, err);
    GElf_Shdr symbols = {0}, versions;
    Elf_Scn *symbol_section =
        status == 0 && file.elf ? section_of_type(file.elf, SHT_DYNSYM, &symbols) : NULL;
    Elf_Scn *version_section =
        symbol_section ? section_of_type(file.elf, SHT_GNU_versym, &versions) : NULL;
    Elf_Data *symbol_data = version_section ? elf_getdata(symbol_section, NULL) : NULL;
    Elf_Data *version_data = version_section ? elf_getdata(version_section, NULL) : NULL;
    size_t budget = NAMES_LIMIT;
    for (int i = 0; wanted.index && symbol_data && version_data; i++) {
        GElf_Sym symbol;
        GElf_Versym index;
        if (!gelf_getsym(symbol_data, i, &symbol) || !gelf_getversym(version_data, i, &index))
            break;
        if ((index & 0x7fff) != wanted.index) continue;
        const char *name = elf_strptr(file.elf, symbols.sh_link, symbol.st_name);
        size_t length = name ? strnlen(name, budget) : 0;
        if (!name || length >= budget) continue;
        budget -= length + 1;
        iw_strings_add(out, name);
    }
    file_close(&file);
    return status;
}
