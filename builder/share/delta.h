/* Deltas between the uncompressed tars of two bundles: what `zstd --patch-from` makes and takes
 * (a zstd frame whose window reaches back into the old file). */
#ifndef IW_SHARE_DELTA_H
#define IW_SHARE_DELTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

#define IW_DELTA_LIMIT UINT64_C(2000000000) /* bytes of either tar: zstd's window ends at 2 GiB */

/* SHA-256 and size of what a zstd file unpacks to, at most `limit` bytes (0: any); the same for the
 * file itself. Either may be NULL. IW_E_FORMAT for no whole zstd stream, or more than that. */
typedef struct iw_unpacked {
    char file[IW_SHA256_HEX], tar[IW_SHA256_HEX];
    uint64_t file_size, tar_size;
} iw_unpacked;
int iw_zstd_measure(const char *path, uint64_t limit, iw_unpacked *out, iw_error *err);
/* The same, and each portion of the file, in its order, is shown to `seen`: whatever else is to be
 * known of its bytes needs no second reading. */
typedef struct iw_zstd_watch {
    void (*seen)(void *context, const void *data, size_t length);
    void *context;
} iw_zstd_watch;
int iw_zstd_measure_with(const char *path, uint64_t limit, const iw_zstd_watch *watch,
                         iw_unpacked *out, iw_error *err);
/* Unpacks `path` to the file `to`; IW_E_FORMAT for more than `limit` bytes. */
int iw_zstd_unpack(const char *path, const char *to, uint64_t limit, iw_error *err);

/* Writes what makes `new_tar` of `old_tar` to `path`. */
int iw_delta_make(const char *old_tar, const char *new_tar, const char *path, iw_error *err);
/* Makes `to`, which must get exactly `size` bytes with that SHA-256: IW_E_DIGEST, and no file,
 * otherwise. The old file is mapped, and as much memory is taken as a window of its size needs. */
int iw_delta_apply(const char *old_tar, const char *delta, const char *to, const char *sha256,
                   uint64_t size, iw_error *err);
/* Whether this machine has the memory for a delta between tars of that size. */
bool iw_delta_fits(uint64_t old_size, uint64_t new_size);

#endif
