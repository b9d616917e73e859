/* What packing must know of an ELF file, read through libelf. Internal to `pack`, and for tests. */
#ifndef IW_PACK_ELF_H
#define IW_PACK_ELF_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

typedef struct iw_elf {
    bool is_elf;  /* ELF of any kind */
    bool dynamic; /* has a dynamic section: program or shared library */
    bool object;  /* relocatable object file */
    bool symbols; /* has a symbol table beside the dynamic one: nobody stripped all of it yet */
    bool askew;   /* a LOAD segment whose offset in a page and address in a page differ: no loader
                     takes such a file */
    iw_strings needed;              /* DT_NEEDED */
    char *soname, *rpath, *runpath; /* or NULL */
    iw_strings versions;            /* needed symbol versions, "libc.so.6 GLIBC_2.35" */
} iw_elf;

void iw_elf_clear(iw_elf *elf);
/* A file that isn't ELF gives is_elf false and 0; a broken ELF file is IW_E_FORMAT. */
int iw_elf_read(const char *path, iw_elf *out, iw_error *err);
/* Names of the dynamic symbols that `path` takes from the version, e.g. "GLIBC_2.35". */
int iw_elf_symbols_of_version(const char *path, const char *version, iw_strings *out,
                              iw_error *err);
/* Makes a file's build ID (note NT_GNU_BUILD_ID) of its own bytes: the linker makes it of the debug
 * information, too, which stripping takes away. The first bytes of the SHA-256 of the file with an
 * ID of zeros. A file without one, or with one longer than that, stays as it is. */
int iw_elf_renew_build_id(const char *path, iw_error *err);
/* Takes empty LOAD segments that no loader takes out of a file's program headers: GNU strip makes
 * them where no section lies in a segment. A file without such stays as it is; one with bytes in
 * such a segment is IW_E_FORMAT. */
int iw_elf_drop_empty(const char *path, iw_error *err);
/* Whether a soname is one of glibc's own libraries. */
bool iw_is_glibc(const char *soname);

#endif
