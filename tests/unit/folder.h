/* What kits share whose tests each have a fresh folder: making it, files in it, programs compiled
 * there by the host's gcc. */
#ifndef IW_TESTS_FOLDER_H
#define IW_TESTS_FOLDER_H

#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "base/text.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline int kit_setup(void **state)
{
    const char *parent = getenv("TMPDIR");
    iw_cleanup_free char *folder = NULL;
    if (iw_temporary_folder(parent && *parent ? parent : "/tmp", "iw-test-", &folder, NULL))
        return -1;
    *state = realpath(folder, NULL);
    return *state ? 0 : -1;
}

static inline int kit_teardown(void **state)
{
    for (int point = 0; point < IW_FAULT_POINTS; point++) iw_fault_set((iw_fault_point)point, 0, 0);
    iw_remove_tree(*state, NULL);
    free(*state);
    return 0;
}

/* A file below the folder, and the folders above it. */
static inline void kit_write(const char *folder, const char *path, const void *data, size_t length,
                             mode_t mode)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *full = iw_path_join(folder, path), *parent = iw_path_parent(full);
    kit_ok(iw_make_folders(parent, 0755, &err));
    kit_ok(iw_write_file(full, data, length, mode, &err));
}

static inline void kit_text(const char *folder, const char *path, const char *text)
{
    kit_write(folder, path, text, strlen(text), 0644);
}

/* Caller frees; *length may be NULL. */
static inline char *kit_read(const char *folder, const char *path, size_t *length)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *full = iw_path_join(folder, path);
    char *data = NULL;
    kit_ok(iw_read_file(full, 1 << 26, &data, length, &err));
    return data;
}

/* Compiles `source` to folder/path with further arguments in one text, split at spaces. */
static inline void kit_compile(const char *folder, const char *path, const char *source,
                               const char *arguments)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *full = iw_path_join(folder, path), *parent = iw_path_parent(full),
                         *code = iw_format("%s.c", full);
    kit_ok(iw_make_folders(parent, 0755, &err));
    kit_ok(iw_write_file(code, source, strlen(source), 0644, &err));
    iw_cleanup_strings iw_strings argv = {0};
    iw_strings_add_all(&argv, ARGV("gcc", "-O1", "-march=x86-64", "-o", full, code));
    iw_slice rest = iw_slice_of(arguments), part;
    while (iw_slice_next(&rest, ' ', &part))
        if (part.length) iw_strings_add_format(&argv, "%.*s", (int)part.length, part.data);
    kit_ok(iw_run_capture((const char *const *)argv.items, NULL, 1 << 20, NULL, NULL, &err));
    unlink(code);
}

#endif
