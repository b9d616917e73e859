/* `ironwheel verify BUNDLE`. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "deliver/bundle_file.h"
#include "deliver/verify.h"

static int rebuild(iw_context *context, const iw_session *session, const char *bundle,
                   const char *work, bool *same, iw_error *err)
{
    iw_cleanup_free char *other = NULL;
    iw_emit(context->sink,
            (iw_event){.type = IW_EVENT_NOTE,
                       .subject = session->stack->name,
                       .detail = "building it again: another tree, user, time zone and -j, an "
                                 "empty store, and the sources that are here"});
    iw_ui_pause(context->ui);
    int status = iw_session_rebuild(session, work, context->quiet, context->verbose, &other, err);
    iw_ui_resume(context->ui);
    return status == 0 ? iw_print_differences(context, bundle, other, same, err) : -1;
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
        iw_bundle_unpack(bundle, unpacking, work, NULL, context->sink, &first, err) != 0)
        return -1;
    if (rename(first, moved) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't move the environment to %s", moved);
    if (iw_read_manifest(moved, &manifest, err) != 0) return -1;
    int status = iw_context_session(context, iw_json_get(manifest, "stack"), &session, err);
    iw_cleanup_free char *differences =
        status == 0 ? iw_compare_manifest(session.plan, manifest) : NULL;
    if (status == 0 && *differences)
        iw_emit(context->sink, (iw_event){.type = IW_EVENT_NOTE,
                                          .subject = session.stack->name,
                                          .detail = differences});
    if (status == 0) status = iw_check_floor(moved, manifest, err);
    iw_cleanup_free char *report = status == 0 ? report_place(context, bundle) : NULL;
    if (status == 0)
        status = iw_session_prove(&session, moved, bundle, sha256, report, &reported, err);
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
     "What the SHA-256 of the bundle, or of its uncompressed tar, must be (default: what stands "
     "beside it)",
     NULL},
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
