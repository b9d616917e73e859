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
#include "deliver/away.h"
#include "deliver/floor.h"
#include "deliver/reporting.h"
#include "deliver/session.h"
#include "deliver/proof.h"
#include "emulate/emulate.h"
#include "pack/pack.h"
#include "share/cache.h"

/* --- the bundle ----------------------------------------------------------- */

static int write_beside(const char *bundle, const char *ending, const char *text, iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s%s", bundle, ending);
    return iw_write_file(path, text, strlen(text), 0644, err);
}

/* <bundle>.sha256 for sha256sum -c, the same for the uncompressed tar, <bundle>.checks.json with
 * what differs from host to host. */
/* The checks as they were run here, and of each package that came from a remote, which, signed by
 * whom, when, and what the audit here said. Caller frees. */
static char *checks_text(const iw_plan *plan, const struct iw_proof *verdict)
{
    json_t *all = json_copy(verdict->report);
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        const char *text = node->in_bundle ? node->artifact.facts : NULL;
        json_t *facts = text ? json_loads(text, 0, NULL) : NULL,
               *origin = json_object_get(facts, "origin");
        if (json_is_object(origin)) {
            json_t *one = json_pack("{s:s,s:s}", "package", node->recipe->name, "package_version",
                                    node->recipe->version);
            json_object_update_missing(one, origin);
            json_array_append_new(all, json_pack("{s:o}", "pulled", one));
        }
        json_decref(facts);
    }
    char *out = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    return out;
}

static int write_companions(const iw_plan *plan, const char *bundle, const iw_packed *packed,
                            const struct iw_proof *verdict, iw_error *err)
{
    const char *name = iw_path_base(bundle);
    iw_cleanup_free char *line = iw_format("%s  %s\n", packed->file, name),
                         *tar = iw_bundle_tar_path(bundle),
                         *tar_line = iw_format("%s  %.*s\n", packed->content,
                                               (int)(strlen(name) - strlen(".zst")), name);
    if (write_beside(bundle, ".sha256", line, err) != 0 ||
        iw_write_file(tar, tar_line, strlen(tar_line), 0644, err) != 0)
        return -1;
    char *text = checks_text(plan, verdict);
    int status = write_beside(bundle, ".checks.json", text, err);
    free(text);
    return status;
}

/* What was found, as the report wants it. */
static iw_reporting reporting_of(const struct iw_proof *verdict, const char *environment,
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
static bool report(const iw_session *session, const iw_reporting *reporting, const char *path)
{
    iw_error err = IW_ERROR_INIT;
    if (iw_write_report(session, reporting, path, &err) == 0) return true;
    iw_wrap(&err, "the report wasn't written");
    iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_NOTE,
                                              .subject = session->stack->name,
                                              .detail = iw_error_text(&err)});
    iw_error_clear(&err);
    return false;
}

static int make_bundle(iw_session *session, const char *root, const char *work, bool checks,
                       struct iw_proof *verdict, iw_error *err)
{
    iw_cleanup_free char *output = iw_session_output(session), *environment = NULL, *path = NULL;
    iw_packed packed = {0};
    iw_bundle_options options = {.folder = output,
                                 .work = work,
                                 .sandboxed = !session->host,
                                 .sink = session->options.sink,
                                 .level = session->options.level};
    iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_STARTED,
                                              .subject = session->stack->name,
                                              .phase = "bundle"});
    if (iw_bundle_lay(session->store, session->plan, &options, &environment, err) != 0) return -1;
    if (iw_floor_verify(session->stack, environment, err) != 0) return -1;
    if (checks && iw_prove_audit(session, environment, verdict, err) != 0) return -1;
    if (checks && iw_prove_checks(session, environment, root, verdict, err) != 0) return -1;
    iw_cleanup_free char *results = json_dumps(verdict->all, JSON_COMPACT),
                         *audited =
                             verdict->audit ? json_dumps(verdict->audit, JSON_COMPACT) : NULL;
    if (iw_bundle_write(session->store, session->plan, environment, results, audited, &options,
                        &path, &packed, err) != 0)
        return -1;
    if (write_companions(session->plan, path, &packed, verdict, err) != 0) return -1;
    iw_cleanup_free char *by = iw_format("%s %s", session->options.by, session->stack->name),
                         *page = iw_report_path(path);
    iw_reporting reporting = reporting_of(verdict, environment, path, by);
    reporting.sha256 = packed.file;
    reporting.tar_sha256 = packed.content;
    bool reported = report(session, &reporting, page);
    iw_cleanup_free char *key = iw_session_bundle_key(session);
    if (iw_store_note_bundle(session->store, key, path, packed.file, err) != 0) return -1;
    iw_passed_forget(&verdict->passed);
    iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_FINISHED,
                                              .subject = session->stack->name,
                                              .phase = "bundle",
                                              .detail = "written"});
    iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_RESULT,
                                              .path = path,
                                              .detail = packed.file,
                                              .part = packed.content,
                                              .subject = reported ? page : NULL});
    return 0;
}

static int bundle(iw_session *session, bool checks, json_t *started, iw_error *err)
{
    iw_cleanup_free char *root = NULL, *parent = iw_store_path(session->store, "tmp", ""),
                         *work = NULL;
    if (iw_prove_root(session, &root, err) != 0) return -1;
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, "bundle-", &work, err) != 0)
        return -1;
    struct iw_proof verdict = iw_proof_new();
    verdict.started = started;
    verdict.goes_on = true;
    int status = make_bundle(session, root, work, checks, &verdict, err);
    iw_proof_free(&verdict);
    iw_remove_tree(work, NULL);
    return status;
}

int iw_session_bundle(iw_session *session, bool checks, iw_error *err)
{
    return bundle(session, checks, NULL, err);
}

int iw_session_prove(iw_session *session, const char *environment, const char *path,
                     const char *sha256, const char *page, bool *reported, iw_error *err)
{
    iw_cleanup_free char *root = NULL;
    if (iw_session_fetch_toolchain(session, err) != 0 ||
        iw_toolchain_root(session->store, session->toolchain, session->options.sink, &root, err) !=
            0)
        return -1;
    struct iw_proof verdict = iw_proof_new();
    int status = iw_prove_audit(session, environment, &verdict, err);
    if (status == 0) status = iw_prove_checks(session, environment, root, &verdict, err);
    iw_reporting reporting = reporting_of(&verdict, environment, path, "verify");
    reporting.sha256 = sha256;
    if (status != 0) reporting.problem = iw_error_text(err);
    *reported =
        page && (status == 0 || err->kind == IW_E_CHECK) && report(session, &reporting, page);
    iw_proof_free(&verdict);
    return status;
}

/* What is to come, so that the display can tell how much is left. */
static void announce(const iw_session *session)
{
    const iw_plan *plan = session->plan;
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        iw_cleanup_free char *subject =
            iw_format("%s/%s", node->recipe->name, node->recipe->version);
        iw_emit(session->options.sink,
                (iw_event){.type = IW_EVENT_PLAN,
                           .subject = subject,
                           .detail = node->reason,
                           .count = !iw_node_is_done(node),
                           .total = (uint64_t)(node->expected_seconds * 1000)});
    }
}

static void warn_of_host(const iw_session *session)
{
    iw_cleanup_free char *text =
        iw_format("no sandbox: this host's own tools build (%s); what comes of it depends on this "
                  "host, and the manifest says so",
                  session->host->summary);
    iw_emit(session->options.sink,
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

/* --- from remotes --------------------------------------------------------- */

/* What a bundle that was taken whole came with: the last of its checks.json. Caller frees. */
static json_t *origin_of(const char *bundle)
{
    iw_cleanup_free char *path = iw_format("%s.checks.json", bundle);
    json_t *all = json_load_file(path, 0, NULL),
           *last = json_array_get(all, json_array_size(all) - 1),
           *origin = json_incref(json_object_get(last, "pulled"));
    json_decref(all);
    return origin;
}

/* The page of a bundle that was built elsewhere: what its manifest says. */
static bool report_pulled(const iw_session *session, const char *path, const char *sha256,
                          const char *manifest, char **page)
{
    iw_cleanup_free char *tmp = iw_store_path(session->store, "tmp", ""), *folder = NULL;
    *page = iw_report_path(path);
    if (iw_temporary_folder(tmp, "report-", &folder, NULL) != 0) return false;
    iw_cleanup_free char *copy = iw_path_join(folder, "manifest.json");
    iw_reporting reporting = {
        .bundle = path, .sha256 = sha256, .environment = folder, .by = "build"};
    json_t *origin = reporting.origin = origin_of(path);
    bool fine = iw_write_passing(copy, manifest, strlen(manifest), 0644, NULL) == 0 &&
                report(session, &reporting, *page);
    json_decref(origin);
    iw_remove_tree(folder, NULL);
    return fine;
}

static int take_bundle(iw_session *session, bool *taken, iw_error *err)
{
    iw_cleanup_free char *key = iw_format("%s.%s", session->plan->bundle_key, IW_BUNDLE_FORMAT),
                         *output = iw_session_output(session), *path = NULL, *sha256 = NULL,
                         *manifest = NULL, *page = NULL;
    *taken = false;
    if (iw_cache_take_bundle(session->options.cache, session->plan, key, output, &path, &sha256,
                             &manifest, err) != 0)
        return -1;
    if (!path) return 0;
    bool reported = report_pulled(session, path, sha256, manifest, &page);
    iw_cleanup_free char *built_key = iw_session_bundle_key(session),
                         *pulled_key = iw_session_pulled_key(session);
    if (iw_store_note_bundle(session->store, built_key, path, sha256, err) != 0 ||
        iw_store_note_bundle(session->store, pulled_key, path, sha256, err) != 0)
        return -1;
    *taken = true;
    iw_emit(session->options.sink, (iw_event){.type = IW_EVENT_RESULT,
                                              .path = path,
                                              .detail = sha256,
                                              .subject = reported ? page : NULL});
    return 0;
}

/* Packages that remotes have, before any source or compiler is fetched. What could not be had isn't
 * offered in the next round. */
int iw_session_bring(iw_session *session, iw_error *err)
{
    size_t brought, missed;
    do {
        if (iw_session_replan(session, err) != 0 ||
            iw_cache_bring(session->options.cache, session->plan, &brought, &missed, err) != 0)
            return -1;
    } while (missed);
    return brought ? iw_session_replan(session, err) : 0;
}

static int ask_remotes(iw_session *session, bool *taken, iw_error *err)
{
    *taken = false;
    if (!session->options.cache || session->host) return 0;
    if (!session->options.check && !session->options.no_bundle &&
        take_bundle(session, taken, err) != 0)
        return -1;
    return *taken ? 0 : iw_session_bring(session, err);
}

iw_build_options iw_session_build_options(const iw_session *session)
{
    const iw_deliver_options *given = &session->options;
    return (iw_build_options){.jobs = given->jobs,
                              .memory = given->memory,
                              .packages = given->packages,
                              .fail_fast = given->fail_fast,
                              .helpers = given->helpers,
                              .cancel = given->cancel,
                              .sink = given->sink};
}

int iw_session_build_packages(iw_session *session, iw_error *err)
{
    const iw_build_options options = iw_session_build_options(session);
    return iw_session_fetch(session, false, err) != 0
               ? -1
               : iw_build_plan(session->store, session->plan, &options, err);
}

int iw_session_build(iw_session *session, iw_error *err)
{
    const iw_deliver_options *given = &session->options;
    bool blocked = false, taken;
    if (ask_remotes(session, &taken, err) != 0) return -1;
    if (taken) return 0;
    if (given->on && iw_session_build_away(session, given->on, err) != 0) return -1;
    for (size_t i = 0; i < session->plan->node_count; i++)
        blocked = blocked || session->plan->nodes[i].action == IW_ACTION_FETCH_BLOCKED;
    if (iw_session_fetch(session, false, err) != 0) return -1;
    if (blocked && iw_session_replan(session, err) != 0) return -1;
    announce(session);
    if (session->host) warn_of_host(session);
    struct clock clock = {.next = session->options.sink,
                          .begun = json_object(),
                          .built = json_object()};
    iw_sink sink = {.emit = on_event, .context = &clock};
    iw_build_options options = iw_session_build_options(session);
    options.sink = &sink;
    options.bring = given->cache ? iw_cache_bring_one : NULL;
    options.context = given->cache;
    int status = iw_build_plan(session->store, session->plan, &options, err);
    if (status == 0 && !given->no_bundle) status = bundle(session, true, clock.built, err);
    json_decref(clock.begun);
    json_decref(clock.built);
    return status;
}
