/* Fuzz target: archive admission. Whatever the bytes are, nothing may land outside the folder, and
 * what is refused is refused with an error. The first byte chooses how they are unpacked; the rest
 * is the archive. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"
#include "store/archive_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void broken(const char *what)
{
    fprintf(stderr, "fuzz_archive: %s\n", what);
    abort();
}

/* What an unpacked tree may hold: folders 0755, files 0755 or 0644, links that stay inside; no set
 * bits, no devices. */
static int check_visit(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    (void)err;
    const char *folder = context;
    if (!iw_path_is_inside(relative)) broken("a path");
    if (S_ISLNK(status->st_mode)) {
        char *real = realpath(full, NULL);
        if (real && strncmp(real, folder, strlen(folder)) != 0) broken("a link leads out");
        free(real);
        return 0;
    }
    mode_t mode = status->st_mode & 07777;
    if (!S_ISDIR(status->st_mode) && !S_ISREG(status->st_mode)) broken("a special file");
    if (S_ISDIR(status->st_mode) ? mode != 0755 : mode != 0755 && mode != 0644) broken("a mode");
    return 0;
}

static int outside_visit(void *context, const char *relative, const char *full,
                         const struct stat *status, iw_error *err)
{
    (void)full, (void)status, (void)err;
    ++*(int *)context;
    if (strcmp(relative, "canary") != 0 && strcmp(relative, "in") != 0)
        broken("something landed outside");
    return S_ISDIR(status->st_mode);
}

static void unpack(int choice, int fd, const char *folder)
{
    iw_error err = IW_ERROR_INIT;
    iw_admission admission = {.strip = choice >> 2 & 1,
                              .max_entry = 1 << 20,
                              .max_total = 4 << 20,
                              .max_entries = 200,
                              .max_ratio = 100,
                              .set_times = true};
    int status = choice & 1 ? iw_archive_unpack_deb(fd, "fuzz", folder, &admission, &err)
                            : iw_archive_unpack(fd, "fuzz", folder, &admission, &err);
    if (status != 0 && (err.kind == IW_E_NONE || !err.message))
        broken("a failure without an error");
    iw_error_clear(&err);
}

/* As an artifact with wrong digests: always refused, and nothing of it stays. */
static void lay(int fd, const char *folder)
{
    iw_error err = IW_ERROR_INIT;
    iw_packed expected = {.content = "0", .file = "0"};
    char *conflict = NULL;
    if (iw_archive_lay(fd, "fuzz", folder, NULL, &expected, &conflict, &err) == 0)
        broken("a wrong digest was taken");
    if (rmdir(folder) != 0 || mkdir(folder, 0755) != 0) broken("something stayed");
    free(conflict);
    iw_error_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 20) return 0;
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char *outer = NULL;
    if (iw_temporary_folder(parent, "iw-fuzz-", &outer, NULL) != 0) abort();
    char *folder = iw_path_join(outer, "in"), *canary = iw_path_join(outer, "canary");
    if (mkdir(folder, 0755) != 0 || iw_write_file(canary, "canary", 6, 0644, NULL) != 0) abort();
    int fd = memfd_create("archive", MFD_CLOEXEC), count = 0;
    if (fd < 0 || iw_write_all(fd, data + 1, size - 1, "memory", NULL) != 0 ||
        lseek(fd, 0, SEEK_SET) != 0)
        abort();
    if (data[0] & 2) lay(fd, folder);
    else unpack(data[0], fd, folder);
    close(fd);
    /* In a root, absolute links are read as below it: realpath here would follow the host's. */
    if (!(data[0] & 1) && iw_walk(folder, check_visit, folder, NULL) != 0)
        broken("the tree can't be walked");
    iw_walk(outer, outside_visit, &count, NULL);
    char *text = NULL;
    if (count != 2 || iw_read_file(canary, 100, &text, NULL, NULL) != 0 ||
        strcmp(text, "canary") != 0)
        broken("the canary was touched");
    free(text);
    if (iw_remove_tree(outer, NULL) != 0) broken("the tree can't be removed");
    free(canary);
    free(folder);
    free(outer);
    return 0;
}
