#include "wrap/slots.h"

#include <string.h>

#include "base/memory.h"

enum state { FREE, WAITING, RUNNING };

struct request {
    enum state state;
    uint64_t mib;
    size_t next; /* of the queue, or of the free list; NONE at the end */
};

#define NONE SIZE_MAX

struct iw_slots {
    unsigned cores, running;
    uint64_t limit, used;
    struct request *requests;
    size_t count, capacity;
    size_t first, last, unused; /* queue; free list */
};

iw_slots *iw_slots_new(unsigned cores, uint64_t memory)
{
    iw_slots *slots = iw_alloc(sizeof *slots);
    slots->cores = cores ? cores : 1;
    slots->limit = memory;
    slots->first = slots->last = slots->unused = NONE;
    return slots;
}

void iw_slots_free(iw_slots *slots)
{
    if (slots) free(slots->requests);
    free(slots);
}

size_t iw_slots_want(iw_slots *slots, uint64_t mib)
{
    size_t at = slots->unused;
    if (at != NONE) {
        slots->unused = slots->requests[at].next;
    } else {
        iw_grow((void **)&slots->requests, &slots->capacity, slots->count + 1,
                sizeof *slots->requests);
        at = slots->count++;
    }
    slots->requests[at] = (struct request){WAITING, mib, NONE};
    if (slots->last == NONE) slots->first = at;
    else slots->requests[slots->last].next = at;
    slots->last = at;
    return at;
}

bool iw_slots_grant(iw_slots *slots, size_t *request)
{
    if (slots->first == NONE || slots->running >= slots->cores) return false;
    struct request *head = &slots->requests[slots->first];
    bool fits = slots->used <= slots->limit && head->mib <= slots->limit - slots->used;
    if (!fits && slots->running) return false;
    *request = slots->first;
    slots->first = head->next;
    if (slots->first == NONE) slots->last = NONE;
    head->state = RUNNING;
    slots->running++;
    slots->used += head->mib;
    return true;
}

static void leave_queue(iw_slots *slots, size_t request)
{
    size_t before = NONE;
    for (size_t at = slots->first; at != request; at = slots->requests[at].next) before = at;
    size_t next = slots->requests[request].next;
    if (before == NONE) slots->first = next;
    else slots->requests[before].next = next;
    if (slots->last == request) slots->last = before;
}

void iw_slots_release(iw_slots *slots, size_t request)
{
    if (request >= slots->count || slots->requests[request].state == FREE) return;
    struct request *one = &slots->requests[request];
    if (one->state == WAITING) {
        leave_queue(slots, request);
    } else {
        slots->running--;
        slots->used -= one->mib;
    }
    one->state = FREE;
    one->next = slots->unused;
    slots->unused = request;
}

unsigned iw_slots_running(const iw_slots *slots)
{
    return slots->running;
}

uint64_t iw_slots_memory(const iw_slots *slots)
{
    return slots->used;
}
