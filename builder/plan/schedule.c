/* What may run next. Pure: no clock, no process; the caller says what was done or failed. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "plan/plan.h"

typedef enum run_state {
    RUN_WAITING,
    RUN_READY,
    RUN_RUNNING,
    RUN_DONE,
    RUN_FAILED,
    RUN_SKIPPED
} run_state;

typedef struct run {
    run_state state;
    size_t blockers; /* needs that aren't done */
    double path; /* expected seconds from its start to the end of the longest chain that waits for
                    it */
    size_t *waiting, waiting_count, waiting_capacity; /* what needs it */
} run;

struct iw_schedule {
    iw_node *nodes;
    size_t count, ready, running;
    run *runs;
};

static void block(iw_schedule *s, size_t node, size_t by)
{
    run *r = &s->runs[by];
    if (r->state == RUN_DONE) return;
    iw_grow((void **)&r->waiting, &r->waiting_capacity, r->waiting_count + 1, sizeof *r->waiting);
    r->waiting[r->waiting_count++] = node;
    s->runs[node].blockers++;
}

/* A node waits for everything that is laid for it, not for its direct needs alone: one of these may
 * be reused while something that it runs with is built again. */
static void link_node(iw_schedule *s, size_t i)
{
    for (size_t j = 0; j < s->nodes[i].laid_count; j++) block(s, i, s->nodes[i].laid[j]->index);
}

/* Backwards in topological order: what waits comes later, and is known already. */
static void measure_paths(iw_schedule *s)
{
    for (size_t i = s->count; i-- > 0;) {
        run *r = &s->runs[i];
        double longest = 0;
        for (size_t j = 0; j < r->waiting_count; j++)
            if (s->runs[r->waiting[j]].path > longest) longest = s->runs[r->waiting[j]].path;
        r->path = longest + (r->state == RUN_DONE ? 0 : s->nodes[i].expected_seconds);
    }
}

iw_schedule *iw_schedule_new(const iw_plan *plan)
{
    iw_schedule *s = iw_alloc(sizeof *s);
    s->nodes = plan->nodes;
    s->count = plan->node_count;
    s->runs = iw_alloc((s->count + 1) * sizeof *s->runs);
    for (size_t i = 0; i < s->count; i++)
        if (iw_node_is_done(&s->nodes[i])) s->runs[i].state = RUN_DONE;
    for (size_t i = 0; i < s->count; i++)
        if (s->runs[i].state != RUN_DONE) link_node(s, i);
    measure_paths(s);
    for (size_t i = 0; i < s->count; i++) {
        if (s->runs[i].state != RUN_WAITING || s->runs[i].blockers) continue;
        s->runs[i].state = RUN_READY;
        s->ready++;
    }
    return s;
}

void iw_schedule_only(iw_schedule *s, const iw_node *node)
{
    for (size_t i = 0; i < s->count; i++) {
        run *r = &s->runs[i];
        if (i == node->index) continue;
        s->ready -= r->state == RUN_READY;
        r->state = RUN_DONE;
        r->waiting_count = 0;
    }
}

void iw_schedule_free(iw_schedule *schedule)
{
    if (!schedule) return;
    for (size_t i = 0; i < schedule->count; i++) free(schedule->runs[i].waiting);
    free(schedule->runs);
    free(schedule);
}

iw_node *iw_schedule_next(iw_schedule *s)
{
    size_t best = s->count;
    for (size_t i = 0; s->ready && i < s->count; i++) /* on a tie the first in order */
        if (s->runs[i].state == RUN_READY &&
            (best == s->count || s->runs[i].path > s->runs[best].path))
            best = i;
    if (best == s->count) return NULL;
    s->runs[best].state = RUN_RUNNING;
    s->ready--;
    s->running++;
    return &s->nodes[best];
}

/* Leaves `running` (or `ready`: a node that its caller could reuse without running it). */
static bool leave(iw_schedule *s, size_t i)
{
    if (s->runs[i].state == RUN_RUNNING) s->running--;
    else if (s->runs[i].state == RUN_READY) s->ready--;
    else return false;
    return true;
}

void iw_schedule_done(iw_schedule *s, iw_node *node)
{
    run *r = &s->runs[node->index];
    if (!leave(s, node->index)) return;
    r->state = RUN_DONE;
    for (size_t i = 0; i < r->waiting_count; i++) {
        run *other = &s->runs[r->waiting[i]];
        if (--other->blockers == 0 && other->state == RUN_WAITING) {
            other->state = RUN_READY;
            s->ready++;
        }
    }
}

void iw_schedule_failed(iw_schedule *s, iw_node *node)
{
    if (!leave(s, node->index)) return;
    s->runs[node->index].state = RUN_FAILED;
    /* In topological order one pass finds everything above. */
    for (size_t i = node->index; i < s->count; i++) {
        run *r = &s->runs[i];
        if (r->state != RUN_FAILED && r->state != RUN_SKIPPED) continue;
        for (size_t j = 0; j < r->waiting_count; j++)
            if (s->runs[r->waiting[j]].state == RUN_WAITING)
                s->runs[r->waiting[j]].state = RUN_SKIPPED;
    }
}

bool iw_schedule_finished(const iw_schedule *s)
{
    return s->ready == 0 && s->running == 0;
}

size_t iw_schedule_skipped(const iw_schedule *s, iw_node **out, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->runs[i].state != RUN_SKIPPED) continue;
        if (count < capacity) out[count] = &s->nodes[i];
        count++;
    }
    return count;
}
