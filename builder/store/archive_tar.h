/* Headers of a tar stream: POSIX ustar, with a pax header (POSIX.1-2001, "pax Interchange Format")
 * where a path, a link or a size doesn't fit. Written here and not by libarchive: these bytes are
 * what content digests are over, so they may depend neither on its version nor on the locale.
 * Internal to `store`. */
#ifndef IW_STORE_ARCHIVE_TAR_H
#define IW_STORE_ARCHIVE_TAR_H

#include <stdint.h>

#include "base/text.h"

#define IW_TAR_BLOCK 512

typedef enum iw_tar_kind {
    IW_TAR_FILE = '0',
    IW_TAR_SYMLINK = '2',
    IW_TAR_FOLDER = '5'
} iw_tar_kind;

/* Adds the header blocks of one entry to `out`. Owner 0, time IW_ARCHIVE_TIME. A folder's path gets
 * its `/` here; `target` is a link's. */
void iw_tar_header(iw_buffer *out, iw_tar_kind kind, const char *path, const char *target,
                   unsigned mode, uint64_t size);
/* The two blocks of zeros at the end. */
void iw_tar_end(iw_buffer *out);

#endif
