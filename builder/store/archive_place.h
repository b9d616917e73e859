/* Making files, folders and links below one folder, so that nothing lands outside it: every folder
 * on the way is opened by its name, without following links. Internal to `store`. */
#ifndef IW_STORE_ARCHIVE_PLACE_H
#define IW_STORE_ARCHIVE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

typedef struct iw_place_options {
    bool root_links; /* links on the way are followed, read as if the folder were `/` (a toolchain's
                        bin → usr/bin) */
    bool keep_existing; /* a file or link that is there must be the same as the new one; without it,
                           it is replaced */
    bool set_times;     /* mtime and atime: IW_ARCHIVE_TIME */
    bool write_out; /* has the kernel begin to write large files to the disk as they are closed */
} iw_place_options;

typedef struct iw_placer iw_placer;

/* `folder` must exist. Caller frees. Paths given later are those that iw_name_admit returns. */
int iw_placer_open(const char *folder, const iw_place_options *options, iw_placer **out,
                   iw_error *err);
void iw_placer_free(iw_placer *placer);

/* Errors are IW_E_FORMAT with a text that follows the entry's name, or IW_E_IO. */
int iw_placer_folder(iw_placer *placer, const char *path, iw_error *err);
int iw_placer_symlink(iw_placer *placer, const char *path, const char *target, bool look,
                      iw_error *err);
int iw_placer_hardlink(iw_placer *placer, const char *path, const char *target, iw_error *err);

/* A file: begin, write at rising offsets (holes are zeros), end with its whole size. `again` (hard
 * links with data): the file is there and gets new content. With keep_existing, IW_E_FORMAT and
 * iw_placer_conflict() true where other bytes are there. */
int iw_placer_begin(iw_placer *placer, const char *path, bool executable, bool again,
                    iw_error *err);
int iw_placer_write(iw_placer *placer, const void *data, size_t length, uint64_t offset,
                    iw_error *err);
int iw_placer_end(iw_placer *placer, uint64_t size, iw_error *err);
bool iw_placer_conflict(const iw_placer *placer);

/* When all is there: links that had to be looked at (the name of one that leads out in *link, owned
 * by the caller), times of folders. */
int iw_placer_finish(iw_placer *placer, char **link, iw_error *err);
/* Takes back every file, link and folder that this placer made. */
void iw_placer_undo(iw_placer *placer);

#endif
