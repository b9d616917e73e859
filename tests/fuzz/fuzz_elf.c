/* Fuzz target: what packing reads of an ELF file. Whatever the bytes are, it ends soon, takes
 * little memory, and refuses with an error. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "pack/elf.h"

#define MOST_TEXT ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void elf_broken(const char *what)
{
    fprintf(stderr, "fuzz_elf: %s\n", what);
    abort();
}

static size_t text_in(const iw_strings *list)
{
    size_t total = 0;
    for (size_t i = 0; i < list->count; i++) total += strlen(list->items[i]) + 1;
    return total;
}

static void check_elf(const char *path)
{
    iw_error err = IW_ERROR_INIT;
    iw_elf elf;
    int status = iw_elf_read(path, &elf, &err);
    if (status != 0 && (err.kind != IW_E_FORMAT || !strstr(iw_error_text(&err), path)))
        elf_broken("a failure without a proper error");
    if (status == 0 && !elf.is_elf &&
        (elf.dynamic || elf.object || elf.needed.count || elf.versions.count))
        elf_broken("no ELF file, but with parts of one");
    if (text_in(&elf.needed) + text_in(&elf.versions) > MOST_TEXT)
        elf_broken("more text than the limits allow");
    for (size_t i = 0; i < elf.versions.count && i < 4; i++) {
        iw_strings symbols = {0};
        iw_elf_symbols_of_version(path, strchr(elf.versions.items[i], ' ') + 1, &symbols, NULL);
        if (text_in(&symbols) > MOST_TEXT) elf_broken("more symbols than the limits allow");
        iw_strings_free(&symbols);
    }
    iw_elf_clear(&elf);
    iw_error_clear(&err);
    if (iw_elf_renew_build_id(path, &err) != 0 &&
        (err.kind != IW_E_FORMAT || !strstr(iw_error_text(&err), path)))
        elf_broken("no build ID, without a proper error");
    iw_error_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 20) return 0;
    char path[64];
    snprintf(path, sizeof path, "%s/iw-fuzz-elf-%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    FILE *file = fopen(path, "wb");
    if (!file || (size && fwrite(data, 1, size, file) != size) || fclose(file) != 0) abort();
    check_elf(path);
    unlink(path);
    return 0;
}
