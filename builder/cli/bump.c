/* `ironwheel bump`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "report/report.h"
#include "upgrade/bump.h"
#include "upgrade/tell.h"

#define DAY UINT64_C(86400)
enum { USUAL_AGE = 7 };

static void say(iw_context *context, json_t *report)
{
    if (context->json) {
        iw_print_json(context, json_incref(report));
        return;
    }
    const json_t *packages = json_object_get(report, "packages");
    if (packages && iw_flag(context->arguments, "markdown")) {
        iw_cleanup_free char *table = iw_bump_markdown(packages);
        iw_print(context, "%s", table);
        return;
    }
    iw_cleanup_free char *text = iw_bump_text(report),
                         *table = packages ? iw_bump_table(packages) : NULL;
    const char *diff = iw_json_get(report, "diff"), *verdict = iw_json_get(report, "verdict");
    if (!context->quiet) iw_print(context, "%s%s", text, table ? table : "");
    if (diff && verdict && strcmp(verdict, "would be bumped") == 0) iw_print(context, "%s", diff);
}

static void fill(const iw_context *context, const iw_arguments *arguments, iw_bump_options *options)
{
    options->root = iw_catalog_root(context->catalog);
    options->catalog = context->catalog;
    options->store = context->store;
    options->early = iw_flag(arguments, "allow-prerelease");
    options->dry_run = iw_flag(arguments, "dry-run");
    options->no_proof = iw_flag(arguments, "no-proof");
    options->resume = iw_flag(arguments, "continue");
    options->min_age = iw_number_option(arguments, "min-age", USUAL_AGE) * DAY;
    options->now = (int64_t)time(NULL);
    options->deliver = iw_context_deliver_options(context);
}

static int start(iw_context *context, iw_error *err)
{
    iw_catalog *catalog;
    iw_store *store;
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_context_store(context, &store, err) != 0 ||
        iw_bump_recover(store, iw_catalog_root(catalog), err) != 0)
        return -1;
    iw_context_show(context);
    return iw_context_watch_signals(context, err);
}

/* Beside the bundle's report; what goes wrong with it is a note. */
static void write_page(iw_context *context, json_t *report)
{
    static const char ending[] = ".report.html";
    const char *bundle = iw_json_get(report, "bundle");
    if (!bundle) return;
    iw_cleanup_free char *beside = iw_report_path(bundle), *text = json_dumps(report, JSON_COMPACT),
                         *html = NULL;
    iw_cleanup_free char *path =
        iw_format("%.*s.bump.html", (int)(strlen(beside) - strlen(ending)), beside);
    iw_error why = IW_ERROR_INIT;
    if (iw_report_bump(text, &html, &why) == 0 &&
        iw_write_file(path, html, strlen(html), 0644, &why) == 0)
        iw_json_set(report, "page", path);
    else iw_emit(context->sink, (iw_event){.type = IW_EVENT_NOTE, .detail = iw_error_text(&why)});
    iw_error_clear(&why);
}

static int finish(iw_context *context, const iw_bump_options *options, int status, iw_error *err)
{
    if (status == 0 || err->kind == IW_E_USAGE || err->kind == IW_E_ENVIRONMENT) return status;
    if (err->kind == IW_E_CANCELLED)
        return iw_fail(err, IW_E_CANCELLED,
                       "stopped; the tree is as it was: `ironwheel bump --continue %s` goes on",
                       iw_flag(context->arguments, "all") ? "--all" : options->name);
    return iw_wrap(err, "tried and not kept, the tree is as it was");
}

static int all(iw_context *context, const iw_bump_options *options, iw_error *err)
{
    json_t *report = NULL;
    bool kept_back = false;
    int status = iw_bump_all(options, &report, &kept_back, err);
    if (status == 0) write_page(context, report);
    say(context, report);
    json_decref(report);
    if (status != 0) return finish(context, options, status, err);
    return kept_back && !iw_flag(context->arguments, "keep-going");
}

static int toolchain(iw_context *context, const iw_bump_options *options, iw_error *err)
{
    json_t *report = NULL;
    int status = iw_bump_toolchain(options, &report, err);
    if (status == 0) say(context, report);
    json_decref(report);
    return status;
}

static int one(iw_context *context, const iw_bump_options *options, iw_error *err)
{
    json_t *report = NULL;
    int status = iw_bump(options, &report, err);
    if (status == 0) write_page(context, report);
    say(context, report);
    json_decref(report);
    return finish(context, options, status, err);
}

/* What an earlier run left unfinished, where no package is named. */
static int find_unfinished(iw_context *context, iw_bump_options *options, char **name, char **stack,
                           iw_error *err)
{
    if (iw_bump_unfinished(context->store, options->root,
                           iw_text_option(context->arguments, "stack"), name, stack, err) != 0)
        return -1;
    options->name = *name;
    options->stack = *stack;
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_bump_options options = {0};
    iw_cleanup_free char *name = NULL, *stack = NULL;
    bool resume = iw_flag(arguments, "continue"), every = iw_flag(arguments, "all"),
         tools = iw_flag(arguments, "toolchain");
    if ((every || tools) && (arguments->operand_count || (every && tools)))
        return iw_fail(err, IW_E_USAGE, "--all, --toolchain, or a package: give one of them");
    if (arguments->operand_count == 0 && !resume && !every && !tools)
        return iw_fail(err, IW_E_USAGE,
                       "bump wants a package: ironwheel bump NAME [VERSION], --all or --continue");
    if (arguments->operand_count > 1 && iw_flag(arguments, "newest"))
        return iw_fail(err, IW_E_USAGE, "--newest and a version: give one of them");
    if (start(context, err) != 0) return -1;
    fill(context, arguments, &options);
    if (arguments->operand_count == 0 && !every && !tools) {
        if (find_unfinished(context, &options, &name, &stack, err) != 0) return -1;
        every = strcmp(name, "all") == 0;
    } else if (every || tools) {
        if (iw_context_stack_option(context, &options.stack, err) != 0) return -1;
        if (tools) return toolchain(context, &options, err);
    } else {
        options.name = arguments->operands[0];
        options.version = arguments->operand_count > 1 ? arguments->operands[1] : NULL;
        if (iw_context_stack_option(context, &options.stack, err) != 0) return -1;
    }
    return every ? all(context, &options, err) : one(context, &options, err);
}

static const iw_option options[] = {
    {"stack", 's', IW_OPTION_TEXT, "STACK", "The stack that is to have it (default: base)", NULL},
    {"newest", 0, IW_OPTION_FLAG, NULL, "The newest release that can be taken (the default)", NULL},
    {"all", 0, IW_OPTION_FLAG, NULL,
     "Every package of the stack, to the newest releases that hold together", NULL},
    {"toolchain", 0, IW_OPTION_FLAG, NULL,
     "Only show what `toolchain update` would move, and what would be built anew", NULL},
    {"keep-going", 0, IW_OPTION_FLAG, NULL,
     "With --all: exit status 0 even where a package was tried and kept back", NULL},
    {"markdown", 0, IW_OPTION_FLAG, NULL, "With --all: print a Markdown table, and no more", NULL},
    {"dry-run", 0, IW_OPTION_FLAG, NULL,
     "Build and write nothing; the change is printed as a diff that `git apply` takes", NULL},
    {"min-age", 0, IW_OPTION_NUMBER, "DAYS",
     "Pass over releases younger than that (default: 7; a version that is named is taken)", NULL},
    {"allow-prerelease", 0, IW_OPTION_FLAG, NULL, "Take pre-releases, too", NULL},
    {"no-proof", 0, IW_OPTION_FLAG, NULL,
     "Don't build without each patch to see whether it is still needed", NULL},
    {"continue", 0, IW_OPTION_FLAG, NULL,
     "Go on with what was stopped or failed, with the release that it had chosen", NULL},
    {"output", 'o', IW_OPTION_TEXT, "DIR", "Where the bundle goes (default: dist/ beside recipes/)",
     "folder"},
    IW_BUILD_OPTIONS,
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_bump = {
    .name = "bump",
    .operands = "[NAME [VERSION]]",
    .least = 0,
    .most = 2,
    .complete = "package",
    .summary = "Move a package of a stack to another release, if that holds",
    .description =
        "Looks which releases there are and says why each newer one is passed over; fetches the "
        "one to take; tries every patch on it, in order, as the build does; compares what both "
        "releases say that they need, and what their sources ask the CPU for. Then the stack is "
        "built with it in a copy of the recipe tree, audited and checked, and the bundle compared "
        "with the one before. Each patch that still goes in is left out once: the same bytes "
        "without it prove that it isn't needed.\n\n"
        "--all does so with every package of the stack together. What doesn't go in, doesn't build "
        "or "
        "fails a check is kept back with its cause, and the rest is tried again without it.\n\n"
        "Only then is the tree changed: a new recipe with the old one's comments, the patches' "
        "headers, the stack's pin. After a failure, Ctrl-C or a power cut it is as it was; "
        "--continue goes on. Exit status: 0 bumped and proven, or nothing to do; 1 tried and not "
        "kept; 2 usage, recipe or environment trouble.",
    .examples =
        "ironwheel bump numpy\tthe newest numpy that stack base can have\n"
        "ironwheel bump numpy 1.26.4 --dry-run | git apply\twrite it without proof\n"
        "ironwheel bump --all --stack base --dry-run\twhat of stack base could move, and why not\n"
        "ironwheel bump --continue\tgo on with what was stopped\n",
    .options = options,
    .run = run,
};
