/* The schedule on random graphs: every node runs once, never before what it needs; a failure skips
 * exactly what stands on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "plan/plan.h"

#define NODES 40
#define ROUNDS 3000

typedef struct sample {
    iw_plan plan;
    iw_node nodes[NODES];
    iw_recipe recipes[NODES];
    iw_node *needs[NODES][NODES], *laid[NODES][NODES];
    bool above[NODES][NODES]; /* [a][b]: a is laid for b */
} sample;

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

static void make_sample(sample *s, uint64_t *seed)
{
    memset(s, 0, sizeof *s);
    size_t count = next_random(seed) % NODES + 1, density = next_random(seed) % 6 + 1;
    s->plan.nodes = s->nodes;
    s->plan.node_count = count;
    for (size_t i = 0; i < count; i++) {
        iw_node *n = &s->nodes[i];
        n->index = i;
        n->recipe = &s->recipes[i];
        n->run_needs = s->needs[i];
        n->laid = s->laid[i];
        n->action = next_random(seed) % 4 == 0 ? IW_ACTION_REUSE : IW_ACTION_BUILD;
        n->expected_seconds = n->action == IW_ACTION_REUSE ? 0 : (double)(next_random(seed) % 100);
        for (size_t j = 0; j < i; j++) {
            if (next_random(seed) % (density * 4) == 0) {
                n->run_needs[n->run_need_count++] = &s->nodes[j];
                s->above[j][i] = true;
                for (size_t k = 0; k < j; k++)
                    if (s->above[k][j]) s->above[k][i] = true;
            }
        }
        for (size_t j = 0; j < i; j++)
            if (s->above[j][i]) n->laid[n->laid_count++] = &s->nodes[j];
    }
}

typedef enum fate { NOT_YET, RUNNING, DONE, FAILED } fate;

static void check_start(const sample *s, const iw_node *n, const fate *fates)
{
    assert_int_equal(fates[n->index], NOT_YET);
    assert_int_not_equal(n->action, IW_ACTION_REUSE);
    for (size_t i = 0; i < n->laid_count; i++)
        assert_true(n->laid[i]->action == IW_ACTION_REUSE || fates[n->laid[i]->index] == DONE);
    (void)s;
}

static void end_one(sample *s, iw_schedule *schedule, fate *fates, uint64_t *seed, bool failures)
{
    size_t running[NODES], count = 0;
    for (size_t i = 0; i < s->plan.node_count; i++)
        if (fates[i] == RUNNING) running[count++] = i;
    size_t i = running[next_random(seed) % count];
    bool fails = failures && next_random(seed) % 8 == 0;
    fates[i] = fails ? FAILED : DONE;
    if (fails) iw_schedule_failed(schedule, &s->nodes[i]);
    else iw_schedule_done(schedule, &s->nodes[i]);
}

static void check_end(const sample *s, const iw_schedule *schedule, const fate *fates)
{
    iw_node *skipped[NODES];
    size_t count = iw_schedule_skipped(schedule, skipped, NODES), expected = 0;
    for (size_t i = 0; i < s->plan.node_count; i++) {
        if (s->nodes[i].action == IW_ACTION_REUSE) continue;
        bool below_failed = false, listed = false;
        for (size_t j = 0; j < i; j++)
            if (s->above[j][i] && s->nodes[j].action != IW_ACTION_REUSE && fates[j] == FAILED)
                below_failed = true;
        for (size_t j = 0; j < count; j++)
            if (skipped[j] == &s->nodes[i]) listed = true;
        assert_int_equal(listed, below_failed);
        assert_int_equal(fates[i] == NOT_YET, below_failed);
        expected += below_failed;
    }
    assert_int_equal(count, expected);
}

static void run_sample(sample *s, uint64_t *seed, bool failures)
{
    fate fates[NODES] = {NOT_YET};
    iw_schedule *schedule = iw_schedule_new(&s->plan);
    size_t running = 0, width = next_random(seed) % 4 + 1;
    while (!iw_schedule_finished(schedule)) {
        iw_node *n = running < width ? iw_schedule_next(schedule) : NULL;
        if (n) {
            check_start(s, n, fates);
            fates[n->index] = RUNNING;
            running++;
            continue;
        }
        assert_true(running > 0);
        end_one(s, schedule, fates, seed, failures);
        running--;
    }
    assert_null(iw_schedule_next(schedule));
    check_end(s, schedule, fates);
    iw_schedule_free(schedule);
}

static void test_random(void **state)
{
    (void)state;
    uint64_t seed = 20261123;
    sample *s = iw_alloc(sizeof *s);
    for (int i = 0; i < ROUNDS; i++) {
        make_sample(s, &seed);
        run_sample(s, &seed, i % 2);
    }
    free(s);
}

/* The longest chain goes first: a short package that a long one waits for comes before a longer one
 * that nothing needs. */
static void test_critical_path(void **state)
{
    (void)state;
    sample *s = iw_alloc(sizeof *s);
    static const double seconds[] = {50, 1, 100};
    s->plan.nodes = s->nodes;
    s->plan.node_count = 3;
    for (size_t i = 0; i < 3; i++) {
        s->nodes[i] = (iw_node){.index = i,
                                .recipe = &s->recipes[i],
                                .laid = s->laid[i],
                                .action = IW_ACTION_BUILD,
                                .expected_seconds = seconds[i]};
    }
    s->nodes[2].laid[0] = &s->nodes[1];
    s->nodes[2].laid_count = 1;
    iw_schedule *schedule = iw_schedule_new(&s->plan);
    assert_ptr_equal(iw_schedule_next(schedule), &s->nodes[1]);
    assert_ptr_equal(iw_schedule_next(schedule), &s->nodes[0]);
    assert_null(iw_schedule_next(schedule));
    iw_schedule_done(schedule, &s->nodes[1]);
    assert_ptr_equal(iw_schedule_next(schedule), &s->nodes[2]);
    iw_schedule_free(schedule);
    free(s);
}

/* One node alone, the others being left out, whatever they wait for. */
static void test_only(void **state)
{
    (void)state;
    uint64_t seed = 20261129;
    sample *s = iw_alloc(sizeof *s);
    for (int i = 0; i < ROUNDS; i++) {
        make_sample(s, &seed);
        iw_node *only = NULL;
        for (size_t k = 0; k < s->plan.node_count && !only; k++)
            if (s->nodes[k].action == IW_ACTION_BUILD) only = &s->nodes[k]; /* waits for none */
        if (!only) continue;
        iw_schedule *schedule = iw_schedule_new(&s->plan);
        iw_schedule_only(schedule, only);
        assert_ptr_equal(iw_schedule_next(schedule), only);
        assert_null(iw_schedule_next(schedule));
        if (i % 2) iw_schedule_failed(schedule, only);
        else iw_schedule_done(schedule, only);
        assert_null(iw_schedule_next(schedule));
        assert_true(iw_schedule_finished(schedule));
        assert_int_equal(iw_schedule_skipped(schedule, NULL, 0), 0);
        iw_schedule_free(schedule);
    }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_critical_path),
                                       cmocka_unit_test(test_only)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
