/* `ironwheel verify BUNDLE`. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "cli/bundle_file.h"
#include "cli/commands.h"
#include "pack/pack.h"

#define MANIFEST_LIMIT (64u << 20)

/* --- manifest ------------------------------------------------------------- */

static int read_manifest(const char *environment, json_t **manifest, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(environment, "manifest.json"), *text = NULL;
    json_error_t why;
    if (iw_read_file(path, MANIFEST_LIMIT, &text, NULL, err) != 0) return -1;
    *manifest = json_loads(text, 0, &why);
    if (*manifest && json_is_string(json_object_get(*manifest, "stack")) &&
        json_is_array(json_object_get(*manifest, "packages")))
        return 0;
    json_decref(*manifest);
    *manifest = NULL;
    return iw_fail(err, IW_E_FORMAT, "the bundle's manifest.json is no manifest: %s", why.text);
}

/* What the manifest says of packages against what this tree would build: a line for each
 * difference. Caller frees. */
static char *compare_packages(const iw_plan *plan, const json_t *manifest)
{
    iw_buffer out = {0};
    size_t index, matched = 0;
    json_t *package;
    json_array_foreach(json_object_get(manifest, "packages"), index, package)
    {
        const char *name = json_string_value(json_object_get(package, "name")),
                   *version = json_string_value(json_object_get(package, "version"));
        const char *key = json_string_value(json_object_get(package, "plan_key"));
        const iw_node *node = name ? iw_plan_find(plan, name, NULL) : NULL;
        if (!node)
            iw_buffer_add_format(&out, "  %s: not in this tree's stack\n",
                                 name ? name : "(no name)");
        else if (!version || strcmp(node->recipe->version, version) != 0)
            iw_buffer_add_format(&out, "  %s: %s in the bundle, %s in this tree\n", name,
                                 version ? version : "?", node->recipe->version);
        else if (!key || strcmp(node->plan_key, key) != 0)
            iw_buffer_add_format(
                &out, "  %s: made by another recipe, toolchain or version of Ironwheel\n", name);
        matched += node != NULL;
    }
    const char *format = json_string_value(json_object_get(manifest, "bundle_format"));
    if (!format || strcmp(format, IW_BUNDLE_FORMAT) != 0)
        iw_buffer_add_format(&out,
                             "  the bundle: written in format %s by another version of Ironwheel; "
                             "this one's, " IW_BUNDLE_FORMAT ", gives other bytes\n",
                             format ? format : "4 or older");
    if (matched < plan->node_count)
        iw_buffer_add_format(&out, "  %zu packages of this tree's stack aren't in the manifest\n",
                             plan->node_count - matched);
    return iw_buffer_take(&out);
}

static int check_floor(const char *environment, const json_t *manifest, iw_error *err)
{
    iw_floor floor = {0};
    const json_t *glibc = json_object_get(manifest, "glibc");
    const char *said =
        json_string_value(json_is_object(glibc) ? json_object_get(glibc, "floor") : glibc);
    if (iw_glibc_floor(environment, &floor, err) != 0) return -1;
    floor.symbols[strcspn(floor.symbols, "\n")] = '\0'; /* the first of them says enough */
    int status = said && strcmp(said, floor.version) == 0
                     ? 0
                     : iw_fail(err, IW_E_CHECK,
                               "the manifest says that glibc %s is enough; the files need %s (%s)",
                               said ? said : "?", floor.version, floor.symbols);
    free(floor.symbols);
    return status;
}

/* --- rebuilding ----------------------------------------------------------- */

static int copy_tree_part(const char *root, const char *to, const char *name, iw_error *err)
{
    iw_cleanup_free char *from = iw_path_join(root, name);
    const char *argv[] = {"cp", "-R", from, to, NULL};
    return iw_run_capture(argv, NULL, 1 << 16, NULL, NULL, err);
}

/* The mirror folder is the store's own sources. */
static int make_rig(iw_context *context, const iw_session *session, const char *folder,
                    iw_error *err)
{
    iw_cleanup_free char *tree = iw_path_join(folder, "another tree"),
                         *mirror = iw_path_join(folder, "mirror"),
                         *link = iw_path_join(folder, "mirror/by-sha256");
    iw_cleanup_free char *sources = iw_store_path(session->store, "sources", "");
    if (iw_make_folders(tree, 0755, err) != 0 || iw_make_folders(mirror, 0755, err) != 0) return -1;
    if (symlink(sources, link) != 0) return iw_fail_errno(err, IW_E_IO, "can't make %s", link);
    return copy_tree_part(context->root, tree, "recipes", err) == 0
               ? copy_tree_part(context->root, tree, "patches", err)
               : -1;
}

/* In another place, as another user, with another number of jobs, an empty store, and another time.
 */
static int run_rebuild(iw_context *context, const iw_session *session, const char *folder,
                       iw_error *err)
{
    iw_cleanup_free char *program = iw_path_join(context->program, "ironwheel"),
                         *tree = iw_path_join(folder, "another tree"),
                         *store = iw_path_join(folder, "store");
    iw_cleanup_free char *mirror = iw_path_join(folder, "mirror"),
                         *jobs = iw_format("%u", iw_core_count() + 1),
                         *path = iw_format("PATH=%s",
                                           getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    const char *argv[] = {program, "build",    session->stack->name,
                          "-C",    tree,       "--cache",
                          store,   "--import", mirror,
                          "-j",    jobs,       context->quiet ? "-q" : "--verbose",
                          NULL};
    if (!context->verbose && !context->quiet) argv[11] = NULL;
    const char *environment[] = {path,          "HOME=/nonexistent",
                                 "USER=verify", "TZ=Pacific/Auckland",
                                 "LC_ALL=C",    NULL};
    iw_command command = {.argv = argv,
                          .environment = environment,
                          .in = -1,
                          .out = -1,
                          .error = 2,
                          .die_with_parent = true};
    pid_t pid;
    int status = 0;
    if (iw_spawn(&command, &pid, err) != 0 || iw_wait(pid, &status, err) != 0) return -1;
    return status == 0
               ? 0
               : iw_fail(err, IW_E_BUILD, "building stack %s again failed", session->stack->name);
}

static int only_bundle(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    char **found = context;
    (void)err, (void)status;
    if (iw_ends_with(relative, ".tar.zst") && !*found) *found = iw_strdup(full);
    return 0;
}

static int rebuild(iw_context *context, const iw_session *session, const char *bundle,
                   const char *work, bool *same, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_join(work, "rebuild"),
                         *dist = iw_path_join(folder, "another tree/dist"), *other = NULL;
    if (make_rig(context, session, folder, err) != 0) return -1;
    iw_emit(context->sink,
            (iw_event){.type = IW_EVENT_NOTE,
                       .subject = session->stack->name,
                       .detail = "building it again: another tree, user, time zone and -j, an "
                                 "empty store, and the sources that are here"});
    iw_ui_pause(context->ui);
    int status = run_rebuild(context, session, folder, err);
    iw_ui_resume(context->ui);
    if (status != 0 || iw_walk(dist, only_bundle, &other, err) != 0) return -1;
    if (!other) return iw_fail(err, IW_E_BUILD, "building again left no bundle in %s", dist);
    return iw_bundle_compare(context, bundle, other, same, err);
}

/* --- the command ---------------------------------------------------------- */

/* Where the report goes: --report, else beside the bundle where that folder can be written, else
 * NULL and a note. Caller frees. */
static char *report_place(iw_context *context, const char *bundle)
{
    const char *given = iw_text_option(context->arguments, "report");
    if (given) return iw_strdup(given);
    iw_cleanup_free char *folder = iw_path_parent(bundle);
    if (access(folder, W_OK) == 0) return iw_report_path(bundle);
    iw_emit(context->sink, (iw_event){.type = IW_EVENT_NOTE,
                                      .detail = "no report: the bundle's folder can't be written; "
                                                "--report FILE names another place"});
    return NULL;
}

static void say(iw_context *context, const char *bundle, const char *report)
{
    if (context->json) {
        iw_print_json(context, json_pack("{s:s,s:s,s:b,s:s*}", "type", "result", "bundle", bundle,
                                         "passed", 1, "report", report));
    } else if (!context->quiet) {
        iw_print(context, "%s holds what it should: audited, and its checks pass%s\n", bundle,
                 iw_flag(context->arguments, "rebuild")
                     ? "; built again, it is the same byte for byte"
                     : "");
        if (report) iw_print(context, "report %s\n", report);
    }
}

static int verify_here(iw_context *context, const char *bundle, const char *sha256,
                       const char *work, iw_error *err)
{
    iw_cleanup_free char *unpacking = iw_path_join(work, "unpacking"), *first = NULL,
                         *moved = iw_path_join(work, "moved h\xc3\xa9re");
    json_t *manifest = NULL;
    iw_session session = {0};
    bool same = true, reported = false;
    if (iw_make_folders(unpacking, 0755, err) != 0 ||
        iw_bundle_unpack(context, bundle, unpacking, work, NULL, &first, err) != 0)
        return -1;
    if (rename(first, moved) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't move the environment to %s", moved);
    if (read_manifest(moved, &manifest, err) != 0) return -1;
    int status = iw_session_open(context, json_string_value(json_object_get(manifest, "stack")),
                                 &session, err);
    iw_cleanup_free char *differences =
        status == 0 ? compare_packages(session.plan, manifest) : NULL;
    if (status == 0 && *differences)
        iw_emit(context->sink, (iw_event){.type = IW_EVENT_NOTE,
                                          .subject = session.stack->name,
                                          .detail = differences});
    if (status == 0) status = check_floor(moved, manifest, err);
    iw_cleanup_free char *report = status == 0 ? report_place(context, bundle) : NULL;
    if (status == 0)
        status = iw_session_prove(context, &session, moved, bundle, sha256, report, &reported, err);
    if (status == 0 && iw_flag(context->arguments, "rebuild"))
        status = rebuild(context, &session, bundle, work, &same, err);
    if (status == 0 && !same)
        status = iw_fail(err, IW_E_CHECK, "%s and what was built again differ (see above)", bundle);
    if (status != 0 && reported) iw_wrap(err, "see %s", report);
    if (status == 0) say(context, bundle, reported ? report : NULL);
    json_decref(manifest);
    iw_session_close(&session);
    return status;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    const char *bundle = arguments->operands[0];
    char sha256[IW_SHA256_HEX];
    bool known = false;
    iw_store *store;
    iw_cleanup_free char *work = NULL;
    if (iw_bundle_check_digest(bundle, iw_text_option(arguments, "sha256"), &known, sha256, err) !=
            0 ||
        iw_context_store(context, &store, err) != 0)
        return -1;
    iw_cleanup_free char *parent = iw_store_path(store, "tmp", "");
    iw_context_show(context);
    if (iw_context_watch_signals(context, err) != 0) return -1;
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, "verify-", &work, err) != 0)
        return -1;
    if (!known)
        iw_emit(context->sink, (iw_event){.type = IW_EVENT_NOTE,
                                          .detail = "there is no .sha256 beside the bundle, and no "
                                                    "--sha256: its digest was not checked"});
    int status = verify_here(context, bundle, sha256, work, err);
    iw_remove_tree(work, NULL);
    return status;
}

static const iw_option options[] = {
    {"sha256", 0, IW_OPTION_TEXT, "DIGEST",
     "What the bundle's SHA-256 must be (default: what BUNDLE.sha256 says)", NULL},
    {"rebuild", 0, IW_OPTION_FLAG, NULL,
     "Build the stack again, in another place with an empty store, and compare the bytes", NULL},
    {"report", 0, IW_OPTION_TEXT, "FILE", "Write the report there (default: beside the bundle)",
     "file"},
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_verify = {
    .name = "verify",
    .operands = "BUNDLE",
    .least = 1,
    .most = 1,
    .complete = "file",
    .summary = "Hold a bundle against its digest, its recipes, its CPUs, and a second build",
    .description = "Checks the digest, unpacks at a fresh place, moves it, compares the manifest "
                   "with this tree's recipes and with the files, audits every instruction, and "
                   "runs the checks under every "
                   "profile of the stack. With --rebuild, what differs from a second build is "
                   "listed member by member. A report, one HTML page, is written "
                   "beside the bundle, whether it holds or not.",
    .examples = "ironwheel verify dist/base-2026.11-k10-glibc2.35-cp311.tar.zst --rebuild\tthe "
                "whole proof\n",
    .options = options,
    .run = run,
};
