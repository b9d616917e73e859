/* Failures on demand, for tests of error paths: the seams of `base` ask here before a system call.
 */
#ifndef IW_BASE_FAULT_H
#define IW_BASE_FAULT_H

#include <stdbool.h>

/* OPEN: files of fs.h; WRITE: iw_write_all and what stands on it; FSYNC, RENAME: durable writes;
 * SPAWN: iw_spawn; ALLOC: iw_alloc_bounded. */
typedef enum iw_fault_point {
    IW_FAULT_OPEN,
    IW_FAULT_WRITE,
    IW_FAULT_FSYNC,
    IW_FAULT_RENAME,
    IW_FAULT_SPAWN,
    IW_FAULT_ALLOC,
    IW_FAULT_POINTS
} iw_fault_point;

/* From now on the `after`-th call at that point fails with `sys` as errno, once (after 1: the next
 * one). 0 turns it off. For tests only: the one piece of file-global state, never written by the
 * program itself. */
void iw_fault_set(iw_fault_point point, unsigned after, int sys);

/* True (errno set) where this call is to fail. */
bool iw_fault(iw_fault_point point);

#endif
