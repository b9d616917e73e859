/* A ring of blocks from one producing thread to several reading ones, each of which sees every
 * block. Internal to `store`. */
#ifndef IW_STORE_ARCHIVE_RING_H
#define IW_STORE_ARCHIVE_RING_H

#include <stdbool.h>
#include <stddef.h>

#define IW_RING_BLOCK ((size_t)1 << 20) /* bytes */

typedef struct iw_ring iw_ring;

iw_ring *iw_ring_new(unsigned readers); /* at most 2; caller frees after every thread has ended */
void iw_ring_free(iw_ring *ring);

/* Producer: memory of IW_RING_BLOCK bytes; blocks until a block is free; NULL: aborted. Then push
 * what was filled. */
char *iw_ring_fill(iw_ring *ring);
void iw_ring_push(iw_ring *ring, size_t length);
void iw_ring_end(iw_ring *ring); /* no more blocks */

/* Reader: the next block, borrowed until `give`; blocks until there is one; NULL: end, or aborted.
 */
const char *iw_ring_take(iw_ring *ring, unsigned reader, size_t *length);
void iw_ring_give(iw_ring *ring, unsigned reader);

/* Any thread: everybody who waits gets NULL, now and later. */
void iw_ring_abort(iw_ring *ring);
bool iw_ring_aborted(iw_ring *ring);

#endif
