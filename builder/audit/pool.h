/* Files in, results out: threads that decode the chunks of a bounded number of files, and tell the
 * results in the order in which they came. */
#ifndef IW_AUDIT_POOL_H
#define IW_AUDIT_POOL_H

#include "audit/scan.h"

/* Bytes that several scans may share. */
typedef struct iw_bytes {
    const void *data;
    size_t size;
    bool mapped;
    int users; /* counted under the pool's lock */
} iw_bytes;

typedef struct iw_pool iw_pool;

/* `threads` workers, started at once; 0: everything is done within iw_pool_add, on the caller's
 * thread. */
iw_pool *iw_pool_open(const iw_audit_options *options, unsigned threads, iw_audit_summary *summary);
/* Hands over an ELF file at [offset, offset + size) of the bytes; `name` is copied. Waits while too
 * many are open. */
void iw_pool_add(iw_pool *pool, iw_bytes *bytes, size_t offset, size_t size, const char *name);
/* Notes trouble with a file that can't be handed over; the first one is what the audit fails with.
 * Takes the record's content. */
void iw_pool_fail(iw_pool *pool, iw_error *err);
/* Waits for everything, fills the summary. -1 with the first trouble there was. */
int iw_pool_close(iw_pool *pool, iw_error *err);

/* Maps a regular file; the caller drops its use with iw_bytes_drop when it has handed over
 * everything. */
int iw_bytes_map(int fd, const char *name, iw_bytes **out, iw_error *err);
iw_bytes *iw_bytes_borrow(const void *data, size_t size); /* not copied */
void iw_bytes_drop(iw_pool *pool, iw_bytes *bytes);

#endif
