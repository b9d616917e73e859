/* The pool of work: who may run a compile or link now. A pure core, without sockets or clocks.
 * Strictly first come, first served, so that a large job is never starved by small ones. */
#ifndef IW_WRAP_SLOTS_H
#define IW_WRAP_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct iw_slots iw_slots;

/* `cores` jobs at once (at least 1), together at most `memory` MiB; a job that wants more than that
 * runs alone. */
iw_slots *iw_slots_new(unsigned cores, uint64_t memory);
void iw_slots_free(iw_slots *slots);
/* Asks for a slot with `mib` of memory; returns a number that stays valid until released. */
size_t iw_slots_want(iw_slots *slots, uint64_t mib);
/* The next request that may run now (each is named once); false: none. */
bool iw_slots_grant(iw_slots *slots, size_t *request);
/* Gives a slot back, or takes a waiting request away. */
void iw_slots_release(iw_slots *slots, size_t request);
unsigned iw_slots_running(const iw_slots *slots);
uint64_t iw_slots_memory(const iw_slots *slots); /* of those that run */

#endif
