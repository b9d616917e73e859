/* Whether a laid environment holds: every instruction audited, every check run. */
#include "deliver/proof.h"

#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/build.h"
#include "build/checks_root.h"
#include "emulate/emulate.h"

/* --- checks --------------------------------------------------------------- */

const char *iw_prove_lacks(const iw_plan *plan, const iw_check *check)
{
    for (size_t i = 0; i < check->requires.count; i++)
        if (!iw_plan_find_bundled(plan, check->requires.items[i])) return check->requires.items[i];
    return NULL;
}

struct iw_proof iw_proof_new(void)
{
    return (struct iw_proof){.all = json_array(), .report = json_array(), .every = json_array()};
}

void iw_proof_free(struct iw_proof *verdict)
{
    json_decref(verdict->all);
    json_decref(verdict->report);
    json_decref(verdict->audit);
    json_decref(verdict->every);
    iw_buffer_free(&verdict->failed);
    iw_passed_clear(&verdict->passed);
}

/* What the emulator doesn't stop at: there only the audit looks. */
static json_t *unseen_by(const iw_check_result *result)
{
    json_t *list = json_array();
    for (size_t i = 0; result->unseen[i]; i++)
        json_array_append_new(list, json_string(result->unseen[i]));
    return list;
}

static void keep_results(struct iw_proof *verdict, const iw_check_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const iw_check_result *r = &results[i];
        json_t *kept = json_pack("{s:s,s:s,s:s,s:b}", "package", r->package, "name", r->name,
                                 "profile", r->profile, "passed", r->passed);
        if (r->jit) json_object_set_new(kept, "run_time_code", json_true());
        json_array_append_new(verdict->all, kept);
        json_t *told = json_pack("{s:s,s:s,s:s,s:b,s:s,s:f,s:I}", "package", r->package, "name",
                                 r->name, "profile", r->profile, "passed", r->passed, "how", r->how,
                                 "seconds", r->seconds, "run_time_code", (json_int_t)r->jit);
        json_object_set_new(told, "unseen", unseen_by(r));
        json_array_append_new(verdict->report, told);
        verdict->count++;
        if (r->passed) continue;
        verdict->failures++;
        iw_buffer_add_format(&verdict->failed, "\n  %s of %s (%s, %s): %s\n    log: %s", r->name,
                             r->package, r->profile, r->how, r->detail ? r->detail : "failed",
                             r->log);
    }
}

struct job_list {
    iw_check_job *items;
    size_t count, capacity;
};

static void add_jobs(struct job_list *list, const iw_plan *plan, const struct iw_only_checks *only,
                     const char *package, const iw_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (iw_prove_lacks(plan, &checks[i])) continue;
        if (only && only->names->count && !iw_strings_has(only->names, checks[i].name)) continue;
        iw_grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items);
        list->items[list->count++] = (iw_check_job){package, &checks[i]};
    }
}

static bool is_chosen(const struct iw_only_checks *only, const iw_node *node)
{
    for (size_t i = 0; i < only->package_count; i++)
        if (only->packages[i] == node) return true;
    return false;
}

/* Every check of every package in the bundle, and the stack's own; or those that were chosen.
 * Caller frees the items. */
static struct job_list all_jobs(const iw_plan *plan, const struct iw_only_checks *only)
{
    struct job_list list = {0};
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        if (node->in_bundle && (!only || is_chosen(only, node)))
            add_jobs(&list, plan, only, node->recipe->name, node->recipe->checks,
                     node->recipe->check_count);
    }
    if (!only)
        add_jobs(&list, plan, NULL, plan->stack->name, plan->stack->checks,
                 plan->stack->check_count);
    return list;
}

/* Those of them that didn't pass before, and the results of those that did, in the others' place a
 * result without a name. Caller frees both. */
static struct job_list split_jobs(const iw_passed *passed, const iw_profile *profile,
                                  const struct job_list *all, iw_check_result **results)
{
    struct job_list todo = {0};
    *results = iw_alloc((all->count + 1) * sizeof **results);
    for (size_t i = 0; i < all->count; i++) {
        if (iw_passed_find(passed, profile, &all->items[i], &(*results)[i])) continue;
        iw_grow((void **)&todo.items, &todo.capacity, todo.count + 1, sizeof *todo.items);
        todo.items[todo.count++] = all->items[i];
    }
    return todo;
}

static void note_passed(const iw_check_run *run, const iw_plan *plan, size_t known, size_t all)
{
    if (known == 0) return;
    iw_cleanup_free char *text =
        iw_format("%zu of %zu checks passed in this very environment before, and aren't run again",
                  known, all);
    iw_emit(run->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = plan->stack->name, .detail = text});
}

struct keeping {
    const iw_passed *passed;
    const iw_profile *profile;
};

static void keep_passed(void *context, const iw_check_job *job, const iw_check_result *result)
{
    const struct keeping *keeping = context;
    iw_passed_keep(keeping->passed, keeping->profile, job, result);
}

static int run_jobs(iw_check_run *run, const iw_plan *plan, const struct job_list *all,
                    struct iw_proof *verdict, iw_error *err)
{
    iw_check_result *results, *fresh = NULL;
    struct job_list todo = split_jobs(&verdict->passed, run->profile, all, &results);
    struct keeping keeping = {&verdict->passed, run->profile};
    note_passed(run, plan, all->count - todo.count, all->count);
    run->ended = keep_passed;
    run->context = &keeping;
    int status = iw_run_checks(run, todo.items, todo.count, &fresh, err);
    for (size_t i = 0, next = 0; status == 0 && i < all->count; i++)
        if (!results[i].name) results[i] = fresh[next++];
    if (status == 0) keep_results(verdict, results, all->count);
    free(fresh); /* what it held is in `results` now */
    iw_check_results_free(results, all->count);
    free(todo.items);
    return status;
}

/* Under one profile's emulator. */
static int run_profile_checks(iw_check_run *run, const iw_plan *plan, const char *name,
                              iw_catalog *catalog, struct iw_proof *verdict, iw_error *err)
{
    if (iw_catalog_profile(catalog, name, &run->profile, err) != 0) return -1;
    iw_cleanup_free char *unseen =
        iw_host_is_profile(run->profile) ? NULL : iw_emulator_note(run->profile);
    if (unseen)
        iw_emit(run->sink,
                (iw_event){.type = IW_EVENT_NOTE, .subject = plan->stack->name, .detail = unseen});
    struct job_list list = all_jobs(plan, verdict->only);
    int status = run_jobs(run, plan, &list, verdict, err);
    free(list.items);
    return status;
}

int iw_prove_root(iw_session *session, char **root, iw_error *err)
{
    iw_fetch_options fetch = session->options.fetch;
    iw_error inner = IW_ERROR_INIT;
    *root = NULL;
    if (session->host) return 0;
    fetch.sink = session->options.sink;
    fetch.cancel = session->options.cancel;
    if (!iw_session_has_toolchain(session)) {
        if (iw_checks_root(session->catalog, session->store, &fetch, root, &inner) == 0) return 0;
        bool none = inner.kind == IW_E_NOT_FOUND; /* a tree without that file */
        if (!none) iw_error_move(err, &inner);
        iw_error_clear(&inner);
        if (!none || iw_session_fetch_toolchain(session, err) != 0) return -1;
    }
    return iw_toolchain_root(session->store, session->toolchain, session->options.sink, root, err);
}

/* The emulator that the tree pins. Without a sandbox the host's own will do where it can't be had.
 */
static int pinned_emulator(iw_session *session, const char *root, char **path, iw_error *err)
{
    iw_fetch_options options = session->options.fetch;
    options.cancel = session->options.cancel;
    options.sink = session->options.sink;
    iw_error why = IW_ERROR_INIT;
    if (iw_checks_emulator(session->catalog, session->store, session->toolchain, root, &options,
                           path, &why) == 0)
        return 0;
    if (!session->host || why.kind == IW_E_CANCELLED) {
        iw_error_move(err, &why);
        return -1;
    }
    iw_cleanup_free char *note =
        iw_format("checks run under this host's own emulator, as the pinned one can't be had: %s",
                  iw_error_text(&why));
    iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_NOTE,
                                              .subject = session->plan->stack->name,
                                              .detail = note});
    iw_error_clear(&why);
    return 0;
}

/* The stack's profiles, and those that these stand for; or the one that was chosen. */
static int profile_names(const iw_session *session, const struct iw_only_checks *only,
                         iw_strings *names, iw_error *err)
{
    const iw_list *profiles = &session->stack->profiles;
    if (only && only->cpu) {
        iw_strings_add(names, only->cpu);
        return 0;
    }
    for (size_t p = 0; p < profiles->count; p++) {
        const iw_profile *profile;
        if (iw_catalog_profile(session->catalog, profiles->items[p], &profile, err) != 0) return -1;
        if (!iw_strings_has(names, profile->name)) iw_strings_add(names, profile->name);
        for (size_t i = 0; i < profile->also.count; i++)
            if (!iw_strings_has(names, profile->also.items[i]))
                iw_strings_add(names, profile->also.items[i]);
    }
    return 0;
}

static int fail_checks(const iw_plan *plan, const struct iw_proof *verdict, iw_error *err)
{
    if (verdict->only)
        return iw_fail(err, IW_E_CHECK, "%zu of %zu checks failed:%s", verdict->failures,
                       verdict->count, verdict->failed.data);
    return iw_fail(err, IW_E_CHECK,
                   "%zu of %zu checks of stack %s failed:%s\nNo bundle was written; what was built "
                   "stays in the store.",
                   verdict->failures, verdict->count, plan->stack->name, verdict->failed.data);
}

/* Once for each profile of the stack, and for those that these stand for. */
int iw_prove_checks(iw_session *session, const char *environment, const char *root,
                    struct iw_proof *verdict, iw_error *err)
{
    const iw_plan *plan = session->plan;
    iw_cleanup_free char *folder = iw_format("%s-%s-%s", plan->stack->name, plan->stack->version,
                                             verdict->only ? "checks-alone" : "checks"),
                         *logs = iw_store_path(session->store, "logs", folder), *emulator = NULL;
    iw_cleanup_strings iw_strings names = {0};
    if (profile_names(session, verdict->only, &names, err) != 0 ||
        pinned_emulator(session, root, &emulator, err) != 0)
        return -1;
    if (verdict->goes_on && iw_passed_open(&verdict->passed, session, emulator, err) != 0)
        return -1;
    iw_check_run run = {.environment = environment,
                        .toolchain_root = root,
                        .emulator = emulator,
                        .helpers = session->options.helpers,
                        .logs = logs,
                        .title = plan->stack->name,
                        .parallel = session->options.jobs,
                        .cancel = session->options.cancel,
                        .sink = session->options.sink};
    for (size_t i = 0; i < names.count; i++)
        if (run_profile_checks(&run, plan, names.items[i], session->catalog, verdict, err) != 0)
            return -1;
    return verdict->failures == 0 ? 0 : fail_checks(plan, verdict, err);
}

/* --- audit ---------------------------------------------------------------- */

struct auditing {
    json_t *files; /* those that aren't clean */
    json_t *every; /* all, with more of each: for the report */
    iw_buffer broken;
    size_t broken_count;
    const char *environment;
    iw_buffer findings; /* the first of each broken file */
};

static void on_finding(void *context, const iw_audit_finding *finding)
{
    struct auditing *auditing = context;
    if (finding->standing != IW_FINDING_BROKEN) return;
    iw_cleanup_free char *text = iw_audit_finding_text(finding);
    iw_buffer_add_text(&auditing->findings, text);
}

static json_t *top_functions(const iw_audit_file *file)
{
    json_t *list = json_array();
    for (size_t i = 0; i < file->top_count; i++) {
        json_t *name = json_string(file->top[i].name);
        if (name)
            json_array_append_new(list, json_pack("{s:o,s:I}", "name", name, "count",
                                                  (json_int_t)file->top[i].count));
    }
    return list;
}

static void on_file(void *context, const iw_audit_file *file)
{
    struct auditing *auditing = context;
    const char *path = iw_path_below(file->file, auditing->environment);
    if (file->verdict == IW_VERDICT_SKIPPED) return;
    json_t *counts = json_object();
    for (size_t i = 0; i < file->count_count; i++)
        json_object_set_new(counts, file->counts[i].feature,
                            json_integer((json_int_t)file->counts[i].count));
    json_array_append_new(auditing->every,
                          json_pack("{s:s,s:s,s:O,s:I,s:o}", "file", path, "verdict",
                                    iw_verdict_name(file->verdict), "counts", counts, "code_bytes",
                                    (json_int_t)file->code_bytes, "top", top_functions(file)));
    if (file->verdict == IW_VERDICT_CLEAN) {
        json_decref(counts);
        return;
    }
    json_array_append_new(auditing->files,
                          json_pack("{s:s,s:s,s:o}", "file", path, "verdict",
                                    iw_verdict_name(file->verdict), "counts", counts));
    if (file->verdict != IW_VERDICT_BROKEN) return;
    auditing->broken_count++;
    iw_buffer_add_format(&auditing->broken, "\n  %s%s%s", path, file->note ? ": " : "",
                         file->note ? file->note : "");
}

/* The reviewed exceptions of every package in the bundle. Caller frees the list. */
static iw_exception *all_exceptions(const iw_plan *plan, size_t *count)
{
    size_t most = 0;
    for (size_t i = 0; i < plan->node_count; i++) most += plan->nodes[i].recipe->exception_count;
    iw_exception *list = iw_alloc((most + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_recipe *recipe = plan->nodes[i].recipe;
        for (size_t k = 0; plan->nodes[i].in_bundle && k < recipe->exception_count; k++)
            list[(*count)++] = recipe->exceptions[k];
    }
    return list;
}

/* The files that were only tried, likewise. */
static iw_tried *all_tried(const iw_plan *plan, size_t *count)
{
    size_t most = 0;
    for (size_t i = 0; i < plan->node_count; i++) most += plan->nodes[i].recipe->tried_count;
    iw_tried *list = iw_alloc((most + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_recipe *recipe = plan->nodes[i].recipe;
        for (size_t k = 0; plan->nodes[i].in_bundle && k < recipe->tried_count; k++)
            list[(*count)++] = recipe->tried[k];
    }
    return list;
}

static json_t *describe_audit(const iw_plan *plan, const iw_audit_summary *summary, json_t *files)
{
    json_t *told =
        json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:O}", "profile", plan->profile->name, "verdict",
                  iw_verdict_name(summary->verdict), "files", (json_int_t)summary->files, "clean",
                  (json_int_t)summary->clean, "guarded", (json_int_t)summary->guarded, "code_bytes",
                  (json_int_t)summary->code_bytes, "not_clean", files);
    if (summary->tried)
        json_object_set_new(told, "tried", json_integer((json_int_t)summary->tried));
    return told;
}

static void note_tried(const iw_session *session, const iw_audit_summary *summary)
{
    iw_cleanup_free char *text =
        iw_format("%llu file%s only tried: instructions that %s doesn't have and that nobody "
                  "reviewed; used under emulation, but what wasn't reached may die",
                  (unsigned long long)summary->tried, summary->tried == 1 ? " is" : "s are",
                  session->plan->profile->name);
    iw_emit(session->options.sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = session->stack->name, .detail = text});
}

/* Every instruction of everything in the environment, held against the stack's profiles together.
 */
int iw_prove_audit(const iw_session *session, const char *environment, struct iw_proof *verdict,
                   iw_error *err)
{
    struct auditing auditing = {.files = json_array(),
                                .every = verdict->every,
                                .environment = environment};
    size_t exception_count, tried_count;
    iw_exception *exceptions = all_exceptions(session->plan, &exception_count);
    iw_tried *tried = all_tried(session->plan, &tried_count);
    iw_audit_options options = {.profile = session->plan->profile,
                                .exceptions = exceptions,
                                .exception_count = exception_count,
                                .tried = tried,
                                .tried_count = tried_count,
                                .threads = session->options.jobs,
                                .max_findings = 10,
                                .finding = on_finding,
                                .file = on_file,
                                .context = &auditing};
    iw_audit_summary summary = {0};
    iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_STARTED,
                                              .subject = session->stack->name,
                                              .phase = "audit"});
    int status = iw_audit_paths((const char *const[]){environment}, 1, &options, &summary, err);
    if (status == 0) verdict->audit = describe_audit(session->plan, &summary, auditing.files);
    if (status == 0 && summary.verdict == IW_VERDICT_BROKEN)
        status =
            iw_fail(err, IW_E_CHECK,
                    "%zu files of stack %s hold instructions that %s doesn't have:%s\n%sno bundle "
                    "was written. Leave the code out (an option, a patch), or, "
                    "where a run-time test of the CPU guards it, say so under `audit: exceptions` "
                    "in the recipe, with the reason.",
                    auditing.broken_count, session->stack->name, session->plan->profile->name,
                    auditing.broken.data, auditing.findings.data ? auditing.findings.data : "");
    if (status == 0 && summary.tried) note_tried(session, &summary);
    if (status == 0)
        iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_FINISHED,
                                                  .subject = session->stack->name,
                                                  .phase = "audit",
                                                  .detail = iw_verdict_name(summary.verdict)});
    iw_audit_summary_clear(&summary);
    free(exceptions);
    free(tried);
    json_decref(auditing.files);
    iw_buffer_free(&auditing.broken);
    iw_buffer_free(&auditing.findings);
    return status;
}
