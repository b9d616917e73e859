/* From a plan to a bundle: build, lay, check, write, remember. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/build.h"
#include "cli/reporting.h"
#include "cli/session.h"
#include "emulate/emulate.h"
#include "pack/pack.h"

char *iw_session_output(iw_context *context)
{
    const char *given = iw_text_option(context->arguments, "output");
    char here[4096];
    const char *folder = getcwd(here, sizeof here) ? here : ".";
    if (given) return iw_path_join(folder, given);
    return iw_path_join(context->root && access(context->root, W_OK) == 0 ? context->root : folder,
                        "dist");
}

/* One store serves several checkouts: each remembers its own bundle. Caller frees. */
static char *bundle_note_key(iw_context *context, const iw_session *session)
{
    iw_cleanup_free char *folder = iw_session_output(context);
    return iw_format("%s %s %s", session->plan->bundle_key, IW_BUNDLE_FORMAT, folder);
}

int iw_session_find_bundle(iw_context *context, const iw_session *session, char **path,
                           char **sha256, bool *found, iw_error *err)
{
    iw_cleanup_free char *key = bundle_note_key(context, session);
    return iw_store_find_bundle(session->store, key, path, sha256, found, err);
}

/* --- checks --------------------------------------------------------------- */

static bool has_package(const iw_plan *plan, const char *name)
{
    const iw_node *node = iw_plan_find(plan, name, NULL);
    return node && node->in_bundle;
}

static bool applies(const iw_plan *plan, const iw_check *check)
{
    for (size_t i = 0; i < check->requires.count; i++)
        if (!has_package(plan, check->requires.items[i])) return false;
    return true;
}

struct verdict {
    json_t *all;    /* for the manifest: the same on every host */
    json_t *report; /* with times and how it ran: beside the bundle */
    iw_buffer failed;
    size_t count, failures;
    json_t *audit;   /* for the manifest */
    json_t *every;   /* files of the audit, for the report */
    json_t *started; /* borrowed: what this run built, and when; or NULL */
};

static struct verdict verdict_new(void)
{
    return (struct verdict){.all = json_array(), .report = json_array(), .every = json_array()};
}

static void verdict_free(struct verdict *verdict)
{
    json_decref(verdict->all);
    json_decref(verdict->report);
    json_decref(verdict->audit);
    json_decref(verdict->every);
    iw_buffer_free(&verdict->failed);
}

/* What the emulator doesn't stop at: there only the audit looks. */
static json_t *unseen_by(const iw_check_result *result)
{
    json_t *list = json_array();
    for (size_t i = 0; result->unseen[i]; i++)
        json_array_append_new(list, json_string(result->unseen[i]));
    return list;
}

static void keep_results(struct verdict *verdict, const iw_check_result *results, size_t count)
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

static void add_jobs(struct job_list *list, const iw_plan *plan, const char *package,
                     const iw_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!applies(plan, &checks[i])) continue;
        iw_grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items);
        list->items[list->count++] = (iw_check_job){package, &checks[i]};
    }
}

/* Every check of every package in the bundle, and the stack's own, under one profile's emulator. */
static int run_profile_checks(iw_check_run *run, const iw_plan *plan, const char *name,
                              iw_catalog *catalog, struct verdict *verdict, iw_error *err)
{
    if (iw_catalog_profile(catalog, name, &run->profile, err) != 0) return -1;
    iw_cleanup_free char *unseen =
        iw_host_is_profile(run->profile) ? NULL : iw_emulator_note(run->profile);
    if (unseen)
        iw_emit(run->sink,
                (iw_event){.type = IW_EVENT_NOTE, .subject = plan->stack->name, .detail = unseen});
    struct job_list list = {0};
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_recipe *recipe = plan->nodes[i].recipe;
        if (plan->nodes[i].in_bundle)
            add_jobs(&list, plan, recipe->name, recipe->checks, recipe->check_count);
    }
    add_jobs(&list, plan, plan->stack->name, plan->stack->checks, plan->stack->check_count);
    iw_check_result *results = NULL;
    int status = iw_run_checks(run, list.items, list.count, &results, err);
    if (status == 0) keep_results(verdict, results, list.count);
    iw_check_results_free(results, list.count);
    free(list.items);
    return status;
}

/* Once for each profile of the stack, and for those that these stand for. */
static int run_checks(iw_context *context, iw_session *session, const char *environment,
                      const char *root, struct verdict *verdict, iw_error *err)
{
    const iw_plan *plan = session->plan;
    iw_cleanup_free char *folder =
                             iw_format("%s-%s-checks", plan->stack->name, plan->stack->version),
                         *logs = iw_store_path(session->store, "logs", folder);
    iw_check_run run = {.environment = environment,
                        .toolchain_root = root,
                        .helpers = context->helpers,
                        .logs = logs,
                        .whole = plan->stack->name,
                        .parallel = (unsigned)iw_number_option(context->arguments, "jobs", 0),
                        .cancel = context->cancel,
                        .sink = context->sink};
    iw_cleanup_strings iw_strings names = {0};
    for (size_t p = 0; p < plan->stack->profiles.count; p++) {
        const iw_profile *profile;
        if (iw_catalog_profile(session->catalog, plan->stack->profiles.items[p], &profile, err) !=
            0)
            return -1;
        if (!iw_strings_has(&names, profile->name)) iw_strings_add(&names, profile->name);
        for (size_t i = 0; i < profile->also.count; i++)
            if (!iw_strings_has(&names, profile->also.items[i]))
                iw_strings_add(&names, profile->also.items[i]);
    }
    for (size_t i = 0; i < names.count; i++)
        if (run_profile_checks(&run, plan, names.items[i], session->catalog, verdict, err) != 0)
            return -1;
    if (verdict->failures == 0) return 0;
    return iw_fail(err, IW_E_CHECK,
                   "%zu of %zu checks of stack %s failed:%s\nNo bundle was written; what was built "
                   "stays in the store.",
                   verdict->failures, verdict->count, plan->stack->name, verdict->failed.data);
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
    size_t length = strlen(auditing->environment);
    const char *path = strncmp(file->file, auditing->environment, length) == 0
                           ? file->file + length + 1
                           : file->file;
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
    iw_buffer_add_format(&auditing->broken, "\n  %s", path);
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

static json_t *describe_audit(const iw_plan *plan, const iw_audit_summary *summary, json_t *files)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:O}", "profile", plan->profile->name, "verdict",
                     iw_verdict_name(summary->verdict), "files", (json_int_t)summary->files,
                     "clean", (json_int_t)summary->clean, "guarded", (json_int_t)summary->guarded,
                     "code_bytes", (json_int_t)summary->code_bytes, "not_clean", files);
}

/* Every instruction of everything in the environment, held against the stack's profiles together.
 */
static int audit(iw_context *context, const iw_session *session, const char *environment,
                 struct verdict *verdict, iw_error *err)
{
    struct auditing auditing = {.files = json_array(),
                                .every = verdict->every,
                                .environment = environment};
    size_t exception_count;
    iw_exception *exceptions = all_exceptions(session->plan, &exception_count);
    iw_audit_options options = {.profile = session->plan->profile,
                                .exceptions = exceptions,
                                .exception_count = exception_count,
                                .threads =
                                    (unsigned)iw_number_option(context->arguments, "jobs", 0),
                                .max_findings = 10,
                                .finding = on_finding,
                                .file = on_file,
                                .context = &auditing};
    iw_audit_summary summary = {0};
    iw_emit(context->sink, (iw_event){.type = IW_EVENT_STARTED,
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
    if (status == 0)
        iw_emit(context->sink, (iw_event){.type = IW_EVENT_FINISHED,
                                          .subject = session->stack->name,
                                          .phase = "audit",
                                          .detail = iw_verdict_name(summary.verdict)});
    iw_audit_summary_clear(&summary);
    free(exceptions);
    json_decref(auditing.files);
    iw_buffer_free(&auditing.broken);
    iw_buffer_free(&auditing.findings);
    return status;
}

/* --- the bundle ----------------------------------------------------------- */

static int write_beside(const char *bundle, const char *ending, const char *text, iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s%s", bundle, ending);
    return iw_write_file(path, text, strlen(text), 0644, err);
}

/* <bundle>.sha256 for sha256sum -c, <bundle>.checks.json with what differs from host to host. */
static int write_companions(const char *bundle, const char *sha256, const struct verdict *verdict,
                            iw_error *err)
{
    iw_cleanup_free char *line = iw_format("%s  %s\n", sha256, iw_path_base(bundle));
    if (write_beside(bundle, ".sha256", line, err) != 0) return -1;
    char *text = json_dumps(verdict->report, JSON_INDENT(1));
    int status = write_beside(bundle, ".checks.json", text, err);
    free(text);
    return status;
}

/* What was found, as the report wants it. */
static iw_reporting reporting_of(const struct verdict *verdict, const char *environment,
                                 const char *bundle, const char *by)
{
    return (iw_reporting){.environment = environment,
                          .bundle = bundle,
                          .by = by,
                          .audit = verdict->audit,
                          .every = verdict->every,
                          .checks = verdict->count ? verdict->report : NULL,
                          .started = verdict->started};
}

/* A bundle without its report is still a bundle: what goes wrong here is a note. */
static bool report(iw_context *context, const iw_session *session, const iw_reporting *reporting,
                   const char *path)
{
    iw_error err = IW_ERROR_INIT;
    if (iw_write_report(session, reporting, path, &err) == 0) return true;
    iw_wrap(&err, "the report wasn't written");
    iw_emit(context->sink, (iw_event){.type = IW_EVENT_NOTE,
                                      .subject = session->stack->name,
                                      .detail = iw_error_text(&err)});
    iw_error_clear(&err);
    return false;
}

static int make_bundle(iw_context *context, iw_session *session, const char *root, const char *work,
                       bool checks, struct verdict *verdict, iw_error *err)
{
    iw_cleanup_free char *output = iw_session_output(context), *environment = NULL, *path = NULL;
    char sha256[IW_SHA256_HEX];
    iw_bundle_options options = {.folder = output,
                                 .work = work,
                                 .sandboxed = !session->host,
                                 .sink = context->sink,
                                 .level = (int)iw_number_option(context->arguments, "level", 0)};
    iw_emit(context->sink, (iw_event){.type = IW_EVENT_STARTED,
                                      .subject = session->stack->name,
                                      .phase = "bundle"});
    if (iw_bundle_lay(session->store, session->plan, &options, &environment, err) != 0) return -1;
    if (checks && audit(context, session, environment, verdict, err) != 0) return -1;
    if (checks && run_checks(context, session, environment, root, verdict, err) != 0) return -1;
    iw_cleanup_free char *results = json_dumps(verdict->all, JSON_COMPACT),
                         *audited =
                             verdict->audit ? json_dumps(verdict->audit, JSON_COMPACT) : NULL;
    if (iw_bundle_write(session->store, session->plan, environment, results, audited, &options,
                        &path, sha256, err) != 0)
        return -1;
    if (write_companions(path, sha256, verdict, err) != 0) return -1;
    iw_cleanup_free char *by = iw_format("%s %s", context->arguments->command->name,
                                         session->stack->name),
                         *page = iw_report_path(path);
    iw_reporting reporting = reporting_of(verdict, environment, path, by);
    reporting.sha256 = sha256;
    bool reported = report(context, session, &reporting, page);
    iw_cleanup_free char *key = bundle_note_key(context, session);
    if (iw_store_note_bundle(session->store, key, path, sha256, err) != 0) return -1;
    iw_emit(context->sink, (iw_event){.type = IW_EVENT_FINISHED,
                                      .subject = session->stack->name,
                                      .phase = "bundle",
                                      .detail = "written"});
    iw_emit(context->sink, (iw_event){.type = IW_EVENT_RESULT,
                                      .path = path,
                                      .detail = sha256,
                                      .subject = reported ? page : NULL});
    return 0;
}

static int bundle(iw_context *context, iw_session *session, bool checks, json_t *started,
                  iw_error *err)
{
    iw_cleanup_free char *root = NULL, *parent = iw_store_path(session->store, "tmp", ""),
                         *work = NULL;
    if (!session->host &&
        iw_toolchain_root(session->store, session->toolchain, context->sink, &root, err) != 0)
        return -1;
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, "bundle-", &work, err) != 0)
        return -1;
    struct verdict verdict = verdict_new();
    verdict.started = started;
    int status = make_bundle(context, session, root, work, checks, &verdict, err);
    verdict_free(&verdict);
    iw_remove_tree(work, NULL);
    return status;
}

int iw_session_bundle(iw_context *context, iw_session *session, bool checks, iw_error *err)
{
    return bundle(context, session, checks, NULL, err);
}

int iw_session_prove(iw_context *context, iw_session *session, const char *environment,
                     const char *path, const char *sha256, const char *page, bool *reported,
                     iw_error *err)
{
    iw_cleanup_free char *root = NULL;
    if (iw_session_fetch_toolchain(context, session, err) != 0 ||
        iw_toolchain_root(session->store, session->toolchain, context->sink, &root, err) != 0)
        return -1;
    struct verdict verdict = verdict_new();
    int status = audit(context, session, environment, &verdict, err);
    if (status == 0) status = run_checks(context, session, environment, root, &verdict, err);
    iw_reporting reporting = reporting_of(&verdict, environment, path, "verify");
    reporting.sha256 = sha256;
    if (status != 0) reporting.problem = iw_error_text(err);
    *reported = page && (status == 0 || err->kind == IW_E_CHECK) &&
                report(context, session, &reporting, page);
    verdict_free(&verdict);
    return status;
}

/* What is to come, so that the display can tell how much is left. */
static void announce(iw_context *context, const iw_plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        iw_cleanup_free char *subject =
            iw_format("%s/%s", node->recipe->name, node->recipe->version);
        iw_emit(context->sink, (iw_event){.type = IW_EVENT_PLAN,
                                          .subject = subject,
                                          .detail = node->reason,
                                          .count = node->action != IW_ACTION_REUSE,
                                          .total = (uint64_t)(node->expected_seconds * 1000)});
    }
}

static void warn_of_host(iw_context *context, const iw_session *session)
{
    iw_cleanup_free char *text =
        iw_format("no sandbox: this host's own tools build (%s); what comes of it depends on this "
                  "host, and the manifest says so",
                  session->host->summary);
    iw_emit(context->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = session->stack->name, .detail = text});
}

/* When this run began with each package that it built, for the report. */
struct clock {
    const iw_sink *next;
    int64_t first;
    json_t *begun, *built; /* {"name/version": seconds} */
};

static void on_event(void *context, const iw_event *event)
{
    struct clock *clock = context;
    if (clock->first == 0) clock->first = event->when;
    if (event->subject && event->type == IW_EVENT_STARTED &&
        !json_object_get(clock->begun, event->subject))
        json_object_set_new(clock->begun, event->subject,
                            json_real((double)(event->when - clock->first) / 1000));
    if (event->subject && event->type == IW_EVENT_FINISHED && event->detail &&
        strcmp(event->detail, "built") == 0)
        json_object_set(clock->built, event->subject,
                        json_object_get(clock->begun, event->subject));
    iw_emit(clock->next, *event);
}

int iw_session_build(iw_context *context, iw_session *session, iw_error *err)
{
    const iw_arguments *arguments = context->arguments;
    bool blocked = false;
    for (size_t i = 0; i < session->plan->node_count; i++)
        blocked = blocked || session->plan->nodes[i].action == IW_ACTION_FETCH_BLOCKED;
    if (iw_session_fetch(context, session, false, err) != 0) return -1;
    if (blocked && iw_session_replan(context, session, err) != 0) return -1;
    announce(context, session->plan);
    if (session->host) warn_of_host(context, session);
    struct clock clock = {.next = context->sink, .begun = json_object(), .built = json_object()};
    iw_sink sink = {.emit = on_event, .context = &clock};
    iw_build_options options = {.jobs = (unsigned)iw_number_option(arguments, "jobs", 0),
                                .memory = iw_number_option(arguments, "memory", 0),
                                .packages = (unsigned)iw_number_option(arguments, "packages", 0),
                                .fail_fast = iw_flag(arguments, "fail-fast"),
                                .helpers = context->helpers,
                                .cancel = context->cancel,
                                .sink = &sink};
    int status = iw_build_plan(session->store, session->plan, &options, err);
    if (status == 0) status = bundle(context, session, true, clock.built, err);
    json_decref(clock.begun);
    json_decref(clock.built);
    return status;
}
