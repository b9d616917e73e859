/* A whole plan: ready packages become workers, their events are handed on, failures are collected.
 */
#include "build/build.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/sandbox.h"
#include "build/tree.h"
#include "build/worker.h"
#include "wrap/broker.h"

#define CANCEL_PATIENCE 5.0 /* seconds for workers to stop by themselves */

typedef struct building {
    iw_store *store;
    iw_plan *plan;
    const iw_build_options *options;
    iw_schedule *schedule;
    unsigned jobs;
    size_t limit; /* packages at once */
    char *root;   /* toolchain; NULL until the first worker needs it, and for the host's own */
    char *run;    /* folder for the workers' /run/ironwheel */
    int run_fd;   /* the same, open: a socket's path may not be long */
    iw_slots *slots;
    iw_broker *broker;
    iw_worker *workers;
    size_t count;
    bool stopping; /* cancelled, or failed with fail_fast: nothing new */
    bool cancelled;
    double kill_at; /* 0: not */
    size_t failures;
    iw_buffer report; /* of failures */
} building;

/* --- one package ---------------------------------------------------------- */

/* The node's artifact is in the store under its plan key: takes it. */
static int take_artifact(building *b, iw_node *node, iw_error *err)
{
    bool found = false;
    iw_artifact_clear(&node->artifact);
    if (iw_store_find_artifact_by_plan(b->store, node->plan_key, &node->artifact, &found, err))
        return -1;
    if (!found)
        return iw_fail(
            err, IW_E_IO,
            "%s/%s was built, but its artifact isn't in the store: is another process emptying it?",
            node->recipe->name, node->recipe->version);
    return iw_plan_note(b->plan, node, b->store, err);
}

static void make_build_key(const building *b, iw_node *node)
{
    const char **contents = iw_alloc((node->laid_count + 1) * sizeof *contents);
    for (size_t i = 0; i < node->laid_count; i++) contents[i] = node->laid[i]->artifact.content;
    iw_plan_build_key(b->plan, node, contents, node->build_key);
    free(contents);
}

/* Early cut-off: everything it is built from has the bytes of an earlier build. */
static int try_reuse(building *b, iw_node *node, bool *reused, iw_error *err)
{
    iw_artifact found = {0};
    make_build_key(b, node);
    if (iw_store_find_artifact_by_build(b->store, node->build_key, &found, reused, err)) return -1;
    iw_artifact_clear(&found);
    if (!*reused && b->options->bring &&
        b->options->bring(b->options->context, b->plan, node, reused, err))
        return -1;
    if (!*reused) return 0;
    if (iw_store_link_plan(b->store, node->plan_key, node->build_key, err) ||
        take_artifact(b, node, err))
        return -1;
    iw_cleanup_free char *subject = iw_format("%s/%s", node->recipe->name, node->recipe->version);
    iw_emit(b->options->sink,
            (iw_event){.type = IW_EVENT_FINISHED, .subject = subject, .detail = "reused"});
    iw_schedule_done(b->schedule, node);
    return 0;
}

/* What the first worker needs: a folder for sockets, a sandbox and the toolchain, unless the host's
 * own tools are to build. */
static int make_ready(building *b, iw_error *err)
{
    if (b->run) return 0;
    bool host = b->plan->toolchain->is_host;
    iw_cleanup_free char *temporary = iw_path_join(iw_store_root(b->store), "tmp");
    if ((!host && iw_sandbox_probe(err)) || iw_make_folders(temporary, 0755, err) ||
        iw_temporary_folder(temporary, "run-", &b->run, err))
        return -1;
    b->run_fd = open(b->run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (b->run_fd < 0) return iw_fail_errno(err, IW_E_IO, "opening %s", b->run);
    b->slots =
        iw_slots_new(b->jobs, b->options->memory ? b->options->memory : iw_available_memory());
    if (iw_broker_open(b->slots, &b->broker, err)) return -1;
    return host ? 0
                : iw_toolchain_root(b->store, b->plan->toolchain, b->options->sink, &b->root, err);
}

/* What one job of a kind took at most in an earlier build, else what the recipe says. */
static uint64_t job_memory(building *b, const iw_recipe *recipe, const char *kind, uint64_t said)
{
    iw_measure measure;
    bool found = false;
    if (iw_store_measured(b->store, recipe->name, recipe->version, kind, &measure, &found, NULL) ||
        !found || !measure.peak_memory)
        return said;
    return measure.peak_memory;
}

/* The socket that is `/run/ironwheel/broker` in the package's sandbox. */
static int open_slots(building *b, const iw_node *node, iw_error *err)
{
    const iw_recipe *recipe = node->recipe;
    iw_cleanup_free char *path = iw_format("/proc/self/fd/%d/%zu/broker", b->run_fd, node->index);
    return iw_broker_listen(b->broker, path, node->index,
                            job_memory(b, recipe, IW_MEASURE_COMPILE, recipe->build.memory),
                            job_memory(b, recipe, IW_MEASURE_LINK, recipe->build.link_memory), err);
}

static int start_worker(building *b, iw_node *node, iw_error *err)
{
    if (make_ready(b, err)) return -1;
    iw_worker *worker = &b->workers[b->count];
    iw_cleanup_free char *run = iw_format("%s/%zu", b->run, node->index);
    if (iw_make_folders(run, 0755, err) || open_slots(b, node, err)) return -1;
    iw_job job = {.plan = b->plan,
                  .node = node,
                  .build_key = node->build_key,
                  .root = b->root,
                  .helpers = b->options->helpers,
                  .run = run,
                  .jobs = b->jobs};
    if (iw_worker_start(worker, b->store, &job, node, err)) return -1;
    b->count++;
    iw_measure before;
    bool found = false;
    if (iw_store_measured(b->store, node->recipe->name, node->recipe->version, IW_MEASURE_COMPILE,
                          &before, &found, NULL) == 0 &&
        found)
        worker->expected_compiles = (uint64_t)before.seconds;
    iw_emit(b->options->sink, (iw_event){.type = IW_EVENT_STARTED, .subject = worker->subject});
    return 0;
}

/* --- the end of one ------------------------------------------------------- */

static void note_failure(building *b, const iw_worker *worker)
{
    const char *name = worker->node->recipe->name, *text = iw_error_text(&worker->error);
    iw_buffer_add_format(&b->report, "%s%s failed in %s: %s", b->report.length ? "\n" : "",
                         worker->subject, worker->phase ? worker->phase : "its worker", text);
    if (worker->log) iw_buffer_add_format(&b->report, "\n  log: %s", worker->log);
    iw_buffer_add_format(&b->report,
                         "\n  `ironwheel shell %s` opens a shell in its tree; the next `ironwheel "
                         "build` starts it again, "
                         "with the objects compiled so far",
                         name);
    iw_emit(b->options->sink, (iw_event){.type = IW_EVENT_FAILED,
                                         .subject = worker->subject,
                                         .phase = worker->phase,
                                         .detail = text,
                                         .path = worker->log});
    b->failures++;
    if (b->options->fail_fast) b->stopping = true;
}

/* A build that found most objects in the cache says little of the rest: then the larger peak stays.
 */
static void learn(building *b, const iw_recipe *recipe, const char *kind, uint64_t count,
                  uint64_t peak)
{
    iw_measure before = {0, 0};
    bool found = false;
    if (!count ||
        iw_store_measured(b->store, recipe->name, recipe->version, kind, &before, &found, NULL))
        return;
    bool whole = !found || (double)count >= before.seconds / 2;
    iw_measure now_known = {whole ? (double)count : before.seconds,
                            whole || peak > before.peak_memory ? peak : before.peak_memory};
    iw_store_record(b->store, recipe->name, recipe->version, kind, now_known, NULL);
}

static void take_counts(building *b, const iw_worker *worker)
{
    iw_broker_count count = iw_broker_counted(b->broker, worker->node->index);
    if (worker->error.kind == IW_E_NONE && !worker->reused) {
        learn(b, worker->node->recipe, IW_MEASURE_COMPILE, count.compiles, count.compile_peak);
        learn(b, worker->node->recipe, IW_MEASURE_LINK, count.links, count.link_peak);
    }
    iw_broker_forget(b->broker, worker->node->index);
}

static int worker_ended(building *b, size_t i, iw_error *err)
{
    iw_worker worker = b->workers[i];
    b->workers[i] = b->workers[--b->count];
    int status = 0;
    if (worker.error.kind == IW_E_NONE) {
        status = take_artifact(b, worker.node, err);
        if (status == 0) {
            iw_emit(b->options->sink,
                    (iw_event){.type = IW_EVENT_FINISHED,
                               .subject = worker.subject,
                               .detail = worker.reused ? "reused" : "built",
                               .count = (uint64_t)((iw_now() - worker.began) * 1000)});
            iw_schedule_done(b->schedule, worker.node);
        }
    } else {
        if (!(b->cancelled && (worker.cancelled || !worker.told))) note_failure(b, &worker);
        iw_schedule_failed(b->schedule, worker.node);
    }
    take_counts(b, &worker);
    iw_cleanup_free char *run = iw_format("%s/%zu", b->run, worker.node->index);
    iw_remove_tree(run, NULL);
    iw_worker_clear(&worker);
    return status;
}

/* --- the loop ------------------------------------------------------------- */

static int start_ready(building *b, iw_error *err)
{
    while (!b->stopping && b->count < b->limit) {
        iw_node *node = iw_schedule_next(b->schedule);
        bool reused = false;
        if (!node) break;
        if (try_reuse(b, node, &reused, err) || (!reused && start_worker(b, node, err))) return -1;
    }
    return 0;
}

/* How far a package has come by the number of its compiles, where an earlier build tells how many
 * there are. */
static void tell_counts(building *b)
{
    for (size_t i = 0; i < b->count; i++) {
        iw_worker *worker = &b->workers[i];
        uint64_t count = iw_broker_counted(b->broker, worker->node->index).compiles;
        if (count == worker->compiles || !worker->expected_compiles) continue;
        worker->compiles = count;
        iw_emit(b->options->sink,
                (iw_event){.type = IW_EVENT_PROGRESS,
                           .subject = worker->subject,
                           .phase = "compile",
                           .count = count,
                           .total = worker->expected_compiles > count ? worker->expected_compiles
                                                                      : count});
    }
}

static void cancel_all(building *b)
{
    b->cancelled = b->stopping = true;
    b->kill_at = iw_now() + CANCEL_PATIENCE;
    for (size_t i = 0; i < b->count; i++) iw_worker_cancel(&b->workers[i]);
}

static int wait_for_news(building *b, iw_error *err)
{
    struct pollfd *fds = iw_alloc((b->count + 2) * sizeof *fds);
    size_t watched = b->count;
    for (size_t i = 0; i < watched; i++) fds[i] = (struct pollfd){b->workers[i].events, POLLIN, 0};
    fds[watched] = (struct pollfd){b->cancelled ? -1 : b->options->cancel, POLLIN, 0};
    fds[watched + 1] = (struct pollfd){iw_broker_fd(b->broker), POLLIN, 0};
    int timeout = b->kill_at > 0 ? (int)((b->kill_at - iw_now()) * 1000) : -1;
    int status = 0, ready = poll(fds, watched + 2, b->kill_at > 0 && timeout < 0 ? 0 : timeout);
    if (ready > 0 && fds[watched].revents) cancel_all(b);
    if (ready > 0 && fds[watched + 1].revents) {
        iw_broker_handle(b->broker);
        tell_counts(b);
    }
    if (b->kill_at > 0 && iw_now() >= b->kill_at)
        for (size_t i = 0; i < b->count; i++) iw_worker_kill(&b->workers[i]);
    /* From the last to the first: one that has ended gives its place to the last. */
    for (size_t i = watched; ready > 0 && i > 0; i--)
        if (fds[i - 1].revents && iw_worker_read(&b->workers[i - 1], b->options->sink) &&
            worker_ended(b, i - 1, err))
            status = -1;
    free(fds);
    return status;
}

static int run_loop(building *b, iw_error *err)
{
    for (;;) {
        if (start_ready(b, err)) return -1;
        if (b->count == 0) return 0;
        if (wait_for_news(b, err)) return -1;
    }
}

/* What is to be said in the end. */
static int conclude(building *b, iw_error *err)
{
    if (b->failures) {
        iw_node *skipped[1];
        size_t left = iw_schedule_skipped(b->schedule, skipped, 0);
        if (left)
            iw_buffer_add_format(&b->report, "\n%zu package%s not built because of that", left,
                                 left == 1 ? " was" : "s were");
        if (b->options->fail_fast)
            iw_buffer_add_text(&b->report, "\n--fail-fast: nothing more was started");
        return iw_fail(err, IW_E_BUILD, "%s", b->report.data);
    }
    return b->cancelled ? iw_fail(err, IW_E_CANCELLED,
                                  "stopped while building; the same command goes on from here")
                        : 0;
}

static bool nothing_to_do(const iw_plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (!iw_node_is_done(&plan->nodes[i])) return false;
    return true;
}

int iw_build_plan(iw_store *store, iw_plan *plan, const iw_build_options *options, iw_error *err)
{
    if (nothing_to_do(plan)) return 0;
    building b = {.run_fd = -1,
                  .store = store,
                  .plan = plan,
                  .options = options,
                  .jobs = options->jobs ? options->jobs : iw_core_count()};
    b.limit = options->packages ? options->packages : b.jobs;
    b.schedule = iw_schedule_new(plan);
    if (options->only) iw_schedule_only(b.schedule, options->only);
    b.workers = iw_alloc(b.limit * sizeof *b.workers);
    int status = run_loop(&b, err);
    if (status == 0) status = conclude(&b, err);
    while (b.count) iw_worker_clear(&b.workers[--b.count]);
    iw_broker_close(b.broker);
    iw_slots_free(b.slots);
    if (b.run_fd >= 0) close(b.run_fd);
    if (b.run) iw_remove_tree(b.run, NULL);
    iw_schedule_free(b.schedule);
    iw_buffer_free(&b.report);
    free(b.workers);
    free(b.root);
    free(b.run);
    return status;
}
