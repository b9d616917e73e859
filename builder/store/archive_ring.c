#include "store/archive_ring.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"

#define BLOCKS 6
#define READERS 2

struct iw_ring {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char *blocks[BLOCKS];
    size_t lengths[BLOCKS];
    uint64_t pushed, given[READERS];
    unsigned readers;
    bool ended, aborted;
};

iw_ring *iw_ring_new(unsigned readers)
{
    iw_ring *ring = iw_alloc(sizeof *ring);
    if (readers > READERS) abort();
    ring->readers = readers;
    pthread_mutex_init(&ring->mutex, NULL);
    pthread_cond_init(&ring->changed, NULL);
    return ring;
}

void iw_ring_free(iw_ring *ring)
{
    if (!ring) return;
    for (size_t i = 0; i < BLOCKS; i++) free(ring->blocks[i]);
    pthread_cond_destroy(&ring->changed);
    pthread_mutex_destroy(&ring->mutex);
    free(ring);
}

static bool is_full(const iw_ring *ring)
{
    for (unsigned i = 0; i < ring->readers; i++)
        if (ring->pushed - ring->given[i] >= BLOCKS) return true;
    return false;
}

char *iw_ring_fill(iw_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    while (is_full(ring) && !ring->aborted) pthread_cond_wait(&ring->changed, &ring->mutex);
    char **block = &ring->blocks[ring->pushed % BLOCKS];
    bool aborted = ring->aborted;
    pthread_mutex_unlock(&ring->mutex);
    if (aborted) return NULL;
    if (!*block) *block = iw_realloc(NULL, IW_RING_BLOCK);
    return *block;
}

void iw_ring_push(iw_ring *ring, size_t length)
{
    pthread_mutex_lock(&ring->mutex);
    ring->lengths[ring->pushed++ % BLOCKS] = length;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->mutex);
}

void iw_ring_end(iw_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    ring->ended = true;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->mutex);
}

const char *iw_ring_take(iw_ring *ring, unsigned reader, size_t *length)
{
    const char *block = NULL;
    pthread_mutex_lock(&ring->mutex);
    while (ring->given[reader] == ring->pushed && !ring->ended && !ring->aborted)
        pthread_cond_wait(&ring->changed, &ring->mutex);
    if (!ring->aborted && ring->given[reader] < ring->pushed) {
        size_t at = ring->given[reader] % BLOCKS;
        block = ring->blocks[at];
        *length = ring->lengths[at];
    }
    pthread_mutex_unlock(&ring->mutex);
    return block;
}

void iw_ring_give(iw_ring *ring, unsigned reader)
{
    pthread_mutex_lock(&ring->mutex);
    ring->given[reader]++;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->mutex);
}

void iw_ring_abort(iw_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    ring->aborted = true;
    pthread_cond_broadcast(&ring->changed);
    pthread_mutex_unlock(&ring->mutex);
}

bool iw_ring_aborted(iw_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    bool aborted = ring->aborted;
    pthread_mutex_unlock(&ring->mutex);
    return aborted;
}
