/* `ironwheel audit PATH…`. */
#include "audit/audit.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"

struct report {
    iw_context *context;
    uint64_t shown, findings;
};

static void on_finding(void *context, const iw_audit_finding *finding)
{
    struct report *report = context;
    iw_cleanup_free char *text =
        report->context->json ? iw_audit_finding_json(finding) : iw_audit_finding_text(finding);
    iw_print(report->context, report->context->json ? "%s\n" : "%s", text);
    report->shown++;
}

static void on_file(void *context, const iw_audit_file *file)
{
    struct report *report = context;
    for (size_t i = 0; i < file->count_count; i++) report->findings += file->counts[i].count;
    if (report->context->quiet && file->verdict == IW_VERDICT_CLEAN) return;
    iw_cleanup_free char *text =
        report->context->json ? iw_audit_file_json(file) : iw_audit_file_text(file);
    iw_print(report->context, report->context->json ? "%s\n" : "%s", text);
}

/* The recipe that `--recipe` names, whose exceptions count; NULL without the option. Borrowed. */
static int find_recipe(iw_context *context, iw_catalog *catalog, const iw_recipe **recipe,
                       iw_error *err)
{
    const char *named = iw_text_option(context->arguments, "recipe"),
               *slash = named ? strchr(named, '/') : NULL;
    iw_list versions;
    *recipe = NULL;
    if (!named) return 0;
    iw_cleanup_free char *name = iw_strndup(named, slash ? (size_t)(slash - named) : strlen(named));
    if (iw_catalog_versions(catalog, name, &versions, err) != 0) return -1;
    if (!slash && versions.count != 1)
        return iw_fail(err, IW_E_USAGE,
                       "there are %zu recipes of %s: name one as --recipe %s/VERSION",
                       versions.count, name, name);
    return iw_catalog_recipe(catalog, name, slash ? slash + 1 : versions.items[0], recipe, err);
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_catalog *catalog;
    const iw_profile *profile;
    const char *name = iw_text_option(arguments, "profile");
    const iw_recipe *recipe = NULL;
    struct report report = {.context = context};
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_catalog_profile(catalog, name ? name : "k10", &profile, err) != 0)
        return -1;
    if (find_recipe(context, catalog, &recipe, err) != 0) return -1;
    iw_audit_options options = {.profile = profile,
                                .exceptions = recipe ? recipe->exceptions : NULL,
                                .exception_count = recipe ? recipe->exception_count : 0,
                                .tried = recipe ? recipe->tried : NULL,
                                .tried_count = recipe ? recipe->tried_count : 0,
                                .threads = (unsigned)iw_number_option(arguments, "jobs", 0),
                                .max_findings = iw_number_option(arguments, "max",
                                                                 context->json ? UINT64_MAX : 20),
                                .finding = on_finding,
                                .file = on_file,
                                .context = &report};
    iw_audit_summary summary = {0};
    int status =
        iw_audit_paths(arguments->operands, arguments->operand_count, &options, &summary, err);
    if (status == 0) {
        iw_cleanup_free char *text = context->json ? iw_audit_summary_json(&summary, profile->name)
                                                   : iw_audit_summary_text(&summary, profile->name);
        iw_print(context, context->json ? "%s\n" : "%s", text);
        if (!context->json && !context->quiet && report.shown < report.findings)
            iw_print(context, "%llu of the findings are shown; --max N shows more, --json all\n",
                     (unsigned long long)report.shown);
    }
    bool strict = iw_flag(arguments, "strict");
    bool bad =
        summary.verdict == IW_VERDICT_BROKEN || (strict && summary.verdict != IW_VERDICT_CLEAN);
    iw_audit_summary_clear(&summary);
    if (status != 0) {
        if (err->kind != IW_E_USAGE)
            err->kind = IW_E_ENVIRONMENT; /* as grep: 2 is trouble, 1 an answer */
        return -1;
    }
    return bad;
}

static const iw_option options[] = {
    {"profile", 'p', IW_OPTION_TEXT, "PROFILE", "The CPU that it must run on (default: k10)", NULL},
    {"max", 0, IW_OPTION_NUMBER, "N", "Findings to show (default: 20; with --json all; 0: none)",
     NULL},
    {"strict", 0, IW_OPTION_FLAG, NULL, "Count what is guarded or tried as broken", NULL},
    {"recipe", 0, IW_OPTION_TEXT, "NAME/VERSION", "Take this recipe's reviewed exceptions", NULL},
    {"jobs", 'j', IW_OPTION_NUMBER, "N", "Files at once (default: all cores)", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_audit = {
    .name = "audit",
    .operands = "PATH...",
    .least = 1,
    .most = 1024,
    .complete = "file",
    .summary = "Find every instruction that a CPU doesn't have",
    .description =
        "Takes ELF files, static archives, wheels, folders and bundles. Every executable section "
        "of every file is decoded. Exit status as grep's: 0 nothing forbidden (clean, guarded "
        "by a reviewed exception, or tried as the recipe says), 1 broken, 2 trouble.",
    .examples = "ironwheel audit torch-2.7.0-cp311-cp311-manylinux_2_28_x86_64.whl --profile k10 "
                "--max 3\twhat a published wheel would die of\n",
    .options = options,
    .run = run,
};
