#include "build/package.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "build/box.h"
#include "build/build.h"
#include "build/facts.h"
#include "build/patching.h"
#include "build/root.h"
#include "build/steps.h"
#include "fetch/fetch.h"
#include "pack/pack.h"
#include "store/archive.h"

#define TAIL_BYTES 1500 /* of a log, in a failure's message */
/* Measured under these names: what was spent on builds that came to no end. */
#define UNFINISHED "unfinished"
#define UNFINISHED_CPU "unfinished-cpu"

typedef struct work {
    iw_store *store;
    const iw_job *job;
    const iw_recipe *recipe;
    iw_job_end *end;
    iw_tree tree;
    iw_box box;
    iw_strings environment, covered;
    char *subject; /* name/version */
    int log;       /* of the phase that runs */
    double begun,
        cpu_before; /* cpu_before: CPU time of this process and its children when the build began */
    json_t *seconds; /* phase: seconds */
    uint64_t objects_reused;
    char *finish_facts;
} work;

static double cpu_seconds(void)
{
    struct rusage of[2];
    getrusage(RUSAGE_SELF, &of[0]);
    getrusage(RUSAGE_CHILDREN, &of[1]);
    double seconds = 0;
    for (int i = 0; i < 2; i++)
        seconds += (double)(of[i].ru_utime.tv_sec + of[i].ru_stime.tv_sec) +
                   (double)(of[i].ru_utime.tv_usec + of[i].ru_stime.tv_usec) / 1e6;
    return seconds;
}

/* --- phases --------------------------------------------------------------- */

static bool cancelled(const work *w)
{
    struct pollfd fd = {w->job->cancel, POLLIN, 0};
    return w->job->cancel >= 0 && poll(&fd, 1, 0) > 0;
}

/* Begins a phase: its log is opened, the event sent. */
static int begin(work *w, const char *phase, iw_error *err)
{
    if (cancelled(w)) return iw_fail(err, IW_E_CANCELLED, "stopped");
    if (w->log >= 0) close(w->log);
    w->log = -1;
    free(iw_steal(&w->end->log));
    w->end->phase = phase;
    w->begun = iw_now();
    iw_emit(w->job->sink,
            (iw_event){.type = IW_EVENT_STARTED, .subject = w->subject, .phase = phase});
    return iw_tree_log(&w->tree, phase, &w->log, &w->end->log, err);
}

static void finished(work *w)
{
    double seconds = iw_now() - w->begun,
           before = json_real_value(json_object_get(w->seconds, w->end->phase));
    json_object_set_new(w->seconds, w->end->phase, json_real(seconds + before));
    iw_emit(w->job->sink, (iw_event){.type = IW_EVENT_FINISHED,
                                     .subject = w->subject,
                                     .phase = w->end->phase,
                                     .count = (uint64_t)(seconds * 1000)});
    w->begun = iw_now();
}

static void on_line(void *context, const char *line)
{
    work *w = context;
    iw_emit(w->job->sink, (iw_event){.type = IW_EVENT_LINE,
                                     .subject = w->subject,
                                     .phase = w->end->phase,
                                     .detail = line});
}

/* --- sources, patches, dependencies --------------------------------------- */

static int lay_sources(work *w, iw_error *err)
{
    iw_cleanup_free char *src = iw_path_join(w->tree.build, "src");
    iw_cleanup_free char *files = iw_path_join(w->tree.build, "files");
    if (begin(w, "unpack", err)) return -1;
    for (size_t i = 0; i < w->recipe->source_count; i++) {
        iw_source source = w->recipe->sources[i];
        /* pip takes the file; patches want what is in it */
        if (w->recipe->build.system == IW_SYSTEM_WHEEL && i == 0 && w->recipe->patch_count == 0)
            source.unpack = false;
        bool loose = source.kind == IW_SOURCE_LOCAL && !source.unpack;
        if (iw_source_lay(w->store, w->recipe, &source, loose ? files : src, err)) return -1;
    }
    finished(w);
    return 0;
}

/* Patched files get the time that all sources have: else make's idea of what is older would depend
 * on the order of patches. */
static int apply_patches(work *w, iw_error *err)
{
    if (w->recipe->patch_count == 0) return 0;
    iw_cleanup_free char *src = iw_path_join(w->tree.build, "src");
    if (begin(w, "patch", err) || iw_patches_lay(&w->tree, w->recipe, err) ||
        iw_patches_apply(&w->box, w->recipe, w->log, on_line, w, err) || iw_root_settle(src, err))
        return -1;
    finished(w);
    return 0;
}

static int lay_prefix(work *w, iw_error *err)
{
    const iw_node *node = w->job->node;
    if (node->laid_count == 0) return 0;
    if (begin(w, "prefix", err)) return -1;
    for (size_t i = 0; i < node->laid_count; i++) {
        if (cancelled(w)) return iw_fail(err, IW_E_CANCELLED, "stopped");
        if (iw_store_lay_artifact(w->store, &node->laid[i]->artifact, w->tree.prefix, NULL, err))
            return -1;
    }
    finished(w);
    return 0;
}

/* --- steps ---------------------------------------------------------------- */

static int step_failed(const work *w, int status, iw_error *err)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    iw_cleanup_free char *tail = iw_log_tail(w->end->log, TAIL_BYTES);
    if (code > 128)
        return iw_fail(err, IW_E_BUILD, "step `%s` was killed by signal %d (%s)%s%s", w->end->phase,
                       code - 128, strsignal(code - 128), *tail ? "; its last lines:\n" : "", tail);
    return iw_fail(err, IW_E_BUILD, "step `%s` ended with status %d%s%s", w->end->phase, code,
                   *tail ? "; its last lines:\n" : "", tail);
}

static int run_step(work *w, const iw_step *step, iw_error *err)
{
    const char *const argv[] = {"/bin/sh", "-ex", "-c", step->script, "step", NULL};
    iw_sandbox_result result;
    if (begin(w, step->phase, err) ||
        iw_box_run(&w->box, step->folder, argv, w->log, on_line, w, &result, err))
        return -1;
    if (!WIFEXITED(result.status) || WEXITSTATUS(result.status))
        return step_failed(w, result.status, err);
    finished(w);
    return 0;
}

static int run_steps(work *w, iw_error *err)
{
    iw_step steps[IW_STEP_LIMIT];
    const iw_step_paths paths = {.prefix = w->tree.seen_prefix, .build = w->tree.seen_build};
    size_t count = iw_steps_make(w->recipe, &paths, steps);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) status = run_step(w, &steps[i], err);
    iw_steps_free(steps, count);
    return status;
}

/* --- after the steps ------------------------------------------------------ */

static int stray_visit(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    const work *w = context;
    const char *inside = &w->tree.seen_prefix[1];
    if (strcmp(full, w->tree.out) == 0) return 1;
    if (S_ISDIR(status->st_mode)) return 0;
    return iw_fail(err, IW_E_BUILD,
                   "the install step put /%s outside the prefix (/%s): only what is below "
                   "$DESTDIR$PREFIX can be packed",
                   relative, inside);
}

static int remove_visit(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    const iw_list *globs = &((const work *)context)->recipe->build.remove;
    for (size_t i = 0; i < globs->count; i++)
        if (iw_glob_match(globs->items[i], relative))
            return iw_remove_tree(full, err) ? -1 : S_ISDIR(status->st_mode);
    return 0;
}

static int folder_visit(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    (void)relative, (void)err;
    if (S_ISDIR(status->st_mode)) iw_strings_add(context, full);
    return 0;
}

/* Folders that `remove` left empty go too: an artifact shouldn't depend on what was there before.
 */
static int drop_empty_folders(work *w, iw_error *err)
{
    iw_cleanup_strings iw_strings paths = {0};
    if (iw_walk(w->tree.out, folder_visit, &paths, err)) return -1;
    for (size_t i = paths.count; i > 0; i--) rmdir(paths.items[i - 1]);
    return 0;
}

/* pack's way to run the toolchain's programs on the tree: often, and never a compiler, so without
 * the wrapper's mounts. */
static int run_tool(void *context, const char *const *argv, iw_error *err)
{
    work *w = context;
    iw_sandbox_result result;
    iw_box light = w->box;
    light.helpers = NULL;
    if (iw_box_run(&light, w->tree.seen_build, argv, w->log, NULL, NULL, &result, err)) return -1;
    if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0) return 0;
    iw_cleanup_free char *tail = iw_log_tail(w->end->log, TAIL_BYTES);
    iw_cleanup_free char *how = iw_status_text(result.status);
    return iw_fail(err, IW_E_BUILD, "%s: %s%s%s", argv[0], how, *tail ? "; last lines:\n" : "",
                   tail);
}

/* Paths of this host that no file may hold: the store's and the checkout's. */
static void forbid_paths(const work *w, iw_strings *paths)
{
    iw_strings_add(paths, iw_store_root(w->store));
    iw_cleanup_free char *recipes = iw_path_parent(w->recipe->folder);
    iw_cleanup_free char *root = iw_path_parent(recipes);
    if (strlen(root) > 3) iw_strings_add(paths, root);
}

static int finish_tree(work *w, iw_error *err)
{
    iw_cleanup_strings iw_strings forbidden = {0};
    iw_cleanup_free char *inside = iw_format("%s/out%s", w->tree.seen_build, w->tree.seen_prefix);
    iw_cleanup_free char *out = iw_path_join(w->tree.build, "out");
    forbid_paths(w, &forbidden);
    iw_finish finish = {.tree = w->tree.out,
                        .tree_inside = inside,
                        .prefix = w->tree.seen_prefix,
                        .recipe = w->recipe,
                        .forbidden = (const char *const *)forbidden.items,
                        .tool = run_tool,
                        .context = w,
                        .sink = w->job->sink};
    if (begin(w, "pack", err) || iw_walk(out, stray_visit, w, err)) return -1;
    if (w->recipe->build.remove.count &&
        (iw_walk(w->tree.out, remove_visit, w, err) || drop_empty_folders(w, err)))
        return -1;
    return iw_finish_tree(&finish, &w->finish_facts, err);
}

static void tell_removed(const work *w, const iw_wrapper_summary *wrapper)
{
    if (!wrapper->removed_count) return;
    iw_cleanup_buffer iw_buffer text = {0};
    const char *flag;
    json_t *value;
    iw_buffer_add_text(&text, "the wrapper took out flags that the profile doesn't allow:");
    json_object_foreach(wrapper->removed, flag, value)
        iw_buffer_add_format(&text, " %s (%lld times)", flag, json_integer_value(value));
    iw_emit(w->job->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = w->subject, .detail = text.data});
}

static int pack_tree(work *w, iw_error *err)
{
    const iw_node *node = w->job->node;
    iw_artifact artifact = {.name = iw_strdup(w->recipe->name),
                            .version = iw_strdup(w->recipe->version),
                            .plan_key = iw_strdup(node->plan_key),
                            .build_key = iw_strdup(w->job->build_key)};
    iw_wrapper_summary wrapper;
    iw_cleanup_free char *log = iw_path_join(w->tree.build, IW_WRAPPER_LOG);
    iw_wrapper_summary_read(log, &wrapper);
    tell_removed(w, &wrapper);
    w->objects_reused = wrapper.hits;
    artifact.facts = iw_artifact_facts(w->recipe, w->finish_facts, &wrapper, w->seconds);
    iw_wrapper_summary_clear(&wrapper);
    int status = iw_store_add_artifact(w->store, w->tree.out, &artifact, false, err);
    if (status == 0) finished(w);
    iw_artifact_clear(&artifact);
    return status;
}

static double measured(const work *w, const char *name)
{
    iw_measure m;
    iw_cleanup_free char *of = NULL;
    bool known = iw_store_measured_of(w->store, w->recipe->name, w->recipe->version, name, &m, &of,
                                      NULL) == 0 &&
                 of && strcmp(of, w->recipe->version) == 0;
    return known ? m.seconds : 0;
}

/* Times are for estimates only: what can't be written is no failure. A build that found objects of
 * one that was stopped took as long as both. */
static void record_times(const work *w, bool finished)
{
    const char *phase;
    json_t *value;
    double total = 0, cpu = cpu_seconds() - w->cpu_before, total_before = measured(w, UNFINISHED),
           cpu_before = measured(w, UNFINISHED_CPU);
    size_t count = 0;
    iw_phase_measure *measures = iw_alloc((json_object_size(w->seconds) + 4) * sizeof *measures);
    json_object_foreach(w->seconds, phase, value)
    {
        if (finished) measures[count++] = (iw_phase_measure){phase, {json_real_value(value), 0}};
        total += json_real_value(value);
    }
    if (!finished) total += iw_now() - w->begun;
    if (!finished || w->objects_reused) {
        total += total_before;
        cpu += cpu_before;
    }
    if (finished) {
        measures[count++] = (iw_phase_measure){"", {total, 0}};
        measures[count++] = (iw_phase_measure){IW_MEASURE_CPU, {cpu, 0}};
    }
    if (!finished || total_before > 0) {
        measures[count++] = (iw_phase_measure){UNFINISHED, {finished ? 0 : total, 0}};
        measures[count++] = (iw_phase_measure){UNFINISHED_CPU, {finished ? 0 : cpu, 0}};
    }
    iw_store_record_all(w->store, w->recipe->name, w->recipe->version, measures, count, NULL);
    free(measures);
}

/* --- the whole ------------------------------------------------------------ */

/* Waits for a build of the same package by another process; then what it made is taken. */
static int lock_tree(work *w, iw_error *err)
{
    bool locked = false;
    if (iw_tree_lock(&w->tree, false, &locked, err)) return -1;
    if (!locked) {
        iw_emit(w->job->sink, (iw_event){.type = IW_EVENT_NOTE,
                                         .subject = w->subject,
                                         .detail = "waiting for another run that builds it"});
        if (iw_tree_lock(&w->tree, true, &locked, err)) return -1;
    }
    iw_artifact found = {0};
    int status =
        iw_store_find_artifact_by_build(w->store, w->job->build_key, &found, &w->end->reused, err);
    if (status == 0 && w->end->reused)
        status = iw_store_link_plan(w->store, w->job->node->plan_key, w->job->build_key, err);
    iw_artifact_clear(&found);
    return status;
}

static int prepare(work *w, iw_error *err)
{
    if (iw_tree_start(&w->tree, err) ||
        (w->job->root && iw_root_covered(w->job->root, &w->covered, err)))
        return -1;
    w->box = (iw_box){.root = w->job->root,
                      .helpers = w->job->helpers,
                      .tree = &w->tree,
                      .run = w->job->run,
                      .covered = &w->covered,
                      .cancel = w->job->cancel};
    iw_box_environment(&w->box, w->recipe, w->job->plan->profile, w->job->jobs, &w->environment);
    w->box.environment = (const char *const *)w->environment.items;
    return iw_box_prepare(&w->box, w->recipe, w->job->plan->profile,
                          w->job->plan->toolchain->digest, err);
}

static int build(work *w, iw_error *err)
{
    w->begun = iw_now();
    w->cpu_before = cpu_seconds();
    bool done = prepare(w, err) == 0 && lay_sources(w, err) == 0 && apply_patches(w, err) == 0 &&
                lay_prefix(w, err) == 0 && run_steps(w, err) == 0 && finish_tree(w, err) == 0 &&
                pack_tree(w, err) == 0;
    record_times(w, done);
    return done ? iw_tree_remove(&w->tree, err) : -1;
}

int iw_package_build(iw_store *store, const iw_job *job, iw_job_end *end, iw_error *err)
{
    work w = {.store = store,
              .job = job,
              .recipe = job->node->recipe,
              .end = end,
              .log = -1,
              .seconds = json_object()};
    w.subject = iw_format("%s/%s", w.recipe->name, w.recipe->version);
    end->phase = "lock";
    iw_tree_init(&w.tree, store, job->node, job->root != NULL);
    int status = lock_tree(&w, err);
    if (status == 0 && !end->reused) status = build(&w, err);
    if (w.log >= 0) close(w.log);
    iw_tree_clear(&w.tree);
    iw_strings_free(&w.environment);
    iw_strings_free(&w.covered);
    json_decref(w.seconds);
    free(w.finish_facts);
    free(w.subject);
    return status;
}
