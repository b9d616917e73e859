/* `ironwheel build STACK`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/giving.h"
#include "deliver/floor.h"
#include "deliver/only.h"
#include "share/cache.h"

int iw_build_say_ready(iw_context *context, const char *stack, const char *path, const char *sha256)
{
    iw_cleanup_free char *report = iw_report_path(path), *tar = iw_bundle_tar_digest(path);
    bool reported = iw_exists(report);
    if (context->json) {
        iw_cleanup_free char *line =
            iw_event_to_json(&(iw_event){.type = IW_EVENT_RESULT,
                                         .path = path,
                                         .detail = sha256,
                                         .part = tar,
                                         .subject = reported ? report : NULL});
        iw_print(context, "%s\n", line);
    } else if (!context->quiet) {
        iw_print(context, "%s: nothing to do, the bundle is there\n  %s\n  sha256 %s\n", stack,
                 path, sha256);
        if (tar) iw_print(context, "  tar    %s\n", tar);
        if (reported) iw_print(context, "  report %s\n", report);
    }
    return 0;
}

/* Before anything is fetched: a bundle that can't run here is built only if that is meant. */
static int check_floor(iw_context *context, const iw_session *session, iw_error *err)
{
    iw_cleanup_free char *warning = iw_floor_warning(session->stack, NULL);
    if (!warning || iw_flag(context->arguments, "anyway")) return 0;
    return iw_fail(err, IW_E_ENVIRONMENT,
                   "%s. `ironwheel build %s --anyway` builds it all the same", warning,
                   session->stack->name);
}

static void say_only(iw_context *context, const iw_node *node, iw_only_outcome outcome)
{
    static const char *const words[] = {"nothing to do, the remote has it",
                                        "nothing to do, it is in the store", "pulled", "built"};
    const iw_recipe *recipe = node->recipe;
    if (context->json)
        iw_print_json(context, json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "only", "package",
                                         recipe->name, "version", recipe->version, "outcome",
                                         iw_only_name(outcome), "key", node->build_key));
    else if (!context->quiet)
        iw_print(context, "%s/%s: %s\n", recipe->name, recipe->version, words[outcome]);
}

static int make_one(iw_context *context, iw_session *session, iw_giving *giving, iw_error *err)
{
    iw_only_outcome outcome;
    iw_node *node;
    const char *package = iw_text_option(context->arguments, "only");
    if (iw_session_build_only(session, package, giving != NULL, &outcome, &node, err) != 0)
        return -1;
    say_only(context, node, outcome);
    return giving && outcome != IW_ONLY_THERE ? iw_giving_push(context, giving, session, node, err)
                                              : 0;
}

static int make_all(iw_context *context, iw_session *session, iw_giving *giving, iw_error *err)
{
    iw_error failure = IW_ERROR_INIT;
    int status = iw_session_build(session, &failure);
    /* What was built isn't lost to the others by what wasn't. */
    bool give = giving && (status == 0 || failure.kind == IW_E_BUILD);
    if (give && (iw_session_replan(session, err) != 0 ||
                 iw_giving_push(context, giving, session, NULL, err) != 0))
        status = -1;
    if (failure.kind != IW_E_NONE) iw_error_move(err, &failure);
    return status;
}

/* With the remotes at hand, which are let go afterwards. */
static int make_with(iw_context *context, iw_session *session, iw_giving *giving, iw_error *err)
{
    iw_cache *cache = NULL;
    if (iw_context_cache(context, &cache, err) != 0) return -1;
    session->options.cache = cache;
    session->options.offered = iw_cache_offers;
    iw_cleanup_free char *sources =
        cache && !session->options.fetch.import ? iw_cache_sources(cache) : NULL;
    if (sources) session->options.fetch.import = sources;
    session->options.fetch.import_hurried = sources != NULL;
    session->options.check = iw_flag(context->arguments, "check");
    int status = iw_text_option(context->arguments, "only")
                     ? make_one(context, session, giving, err)
                     : make_all(context, session, giving, err);
    session->options.cache = NULL;
    if (sources) session->options.fetch.import = NULL;
    iw_cache_close(cache);
    return status;
}

static int check_box(const iw_context *context, iw_error *err)
{
    const iw_arguments *a = context->arguments;
    if (!iw_text_option(a, "on") || !(iw_text_option(a, "only") || iw_flag(a, "no-sandbox")))
        return 0;
    return iw_fail(err, IW_E_USAGE,
                   "--on has a box build the whole stack in its sandbox: it goes neither with "
                   "--only nor with --no-sandbox");
}

static int make(iw_context *context, iw_session *session, iw_error *err)
{
    const char *place = iw_text_option(context->arguments, "push-to");
    iw_giving giving = {.trust = NULL};
    if (check_box(context, err) != 0 || check_floor(context, session, err) != 0) return -1;
    int status = place ? iw_giving_open(context, place, &giving, err) : 0;
    if (status == 0) status = iw_context_start(context, session, err);
    if (status == 0) status = make_with(context, session, place ? &giving : NULL, err);
    iw_giving_close(&giving);
    if (status == 0) return 0;
    if (err->kind != IW_E_CANCELLED) return -1;
    return iw_fail(err, IW_E_CANCELLED,
                   "stopped; what was finished is in the store, and half-built packages find their "
                   "compiled objects there: `ironwheel build %s` goes on",
                   session->stack->name);
}

/* What has to be done although the bundle may be there. */
static bool asks_for_more(const iw_arguments *arguments)
{
    return iw_flag(arguments, "check") || iw_flag(arguments, "no-bundle") ||
           iw_text_option(arguments, "only") || iw_text_option(arguments, "push-to");
}

int iw_build_find_ready(const iw_context *context, const iw_session *session, char **path,
                        char **sha256, bool *found, iw_error *err)
{
    *found = false;
    if (asks_for_more(context->arguments)) return 0;
    return iw_session_find_ready(session, path, sha256, found, err);
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    iw_cleanup_free char *path = NULL, *sha256 = NULL;
    bool found = false;
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0) status = iw_build_find_ready(context, &session, &path, &sha256, &found, err);
    if (status == 0)
        status = found ? iw_build_say_ready(context, session.stack->name, path, sha256)
                       : make(context, &session, err);
    iw_session_close(&session);
    return status;
}

const iw_option iw_build_option_table[] = {
    {"output", 'o', IW_OPTION_TEXT, "DIR",
     "Write the bundle to DIR (default: dist/ beside recipes/)", "folder"},
    {"check", 0, IW_OPTION_FLAG, NULL,
     "Run the checks and write the bundle again, even where nothing changed", NULL},
    {"level", 0, IW_OPTION_NUMBER, "N",
     "zstd level of the bundle (default: 12; another level gives other bytes)", NULL},
    {"anyway", 0, IW_OPTION_FLAG, NULL,
     "Build a bundle that needs a newer glibc than this host has", NULL},
    {"only", 0, IW_OPTION_TEXT, "PACKAGE",
     "Build this one package; what it is built on must be in the store or at a remote", "package"},
    {"on", 0, IW_OPTION_TEXT, "ssh://BOX[/DIR]",
     "Have this machine build, over ssh; what it can't is built here", NULL},
    {"no-bundle", 0, IW_OPTION_FLAG, NULL, "Build the packages, and write no bundle", NULL},
    {"push-to", 0, IW_OPTION_TEXT, "PLACE",
     "Take what PLACE has, and give it what was built, signed as by `push`", "folder"},
    IW_BUILD_OPTIONS,
    IW_REMOTE_OPTIONS,
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_build = {
    .name = "build",
    .operands = "STACK",
    .least = 1,
    .most = 1,
    .complete = "stack",
    .summary = "Build a stack from source and write its bundle",
    .description =
        "Takes what remotes have (`remote add`), fetches what else is missing, builds every "
        "package of the stack that the store doesn't hold "
        "yet, lays the environment together, runs the checks "
        "under the CPU model of every profile, and writes one relocatable tarball.\n\n"
        "A build that stopped, for whatever reason, goes on when the command is given again: "
        "finished packages are reused, and a package that was "
        "half-way starts from its sources with the objects that were compiled already.\n\n"
        "Beside the bundle stand BUNDLE.tar.zst.sha256, BUNDLE.tar.sha256 (of the uncompressed "
        "tar: "
        "it is the same wherever the bundle was compressed), BUNDLE.tar.zst.checks.json, and a "
        "report, one HTML page: "
        "what is in it, what was patched and why, what the audit and the checks "
        "found.\n\n"
        "With --only and --push-to several machines build one stack, each its own packages; "
        "`ironwheel jobs` writes such jobs.\n\n"
        "With --on a faster machine builds: it has Ironwheel in its PATH, or a link to it in DIR "
        "(default: ~/ironwheel-box there), and needs no keys, recipes or settings. Recipes go "
        "there, with a key made for this run, and what is here of sources and packages; what comes "
        "back is audited as from any remote. A box that is off, doesn't answer or drops out means "
        "that it is built here. Ctrl-C here stops there, too. IRONWHEEL_SSH names another ssh with "
        "its options.",
    .examples =
        "ironwheel build base\tbuild stack base\nironwheel build base --offline\tthe same without "
        "a network, after `ironwheel fetch base`\n"
        "ironwheel build base --json\tevents as JSON lines, the bundle's path and SHA-256 last\n"
        "ironwheel build base --on ssh://fast\tbuild there, check and pack here\n"
        "ironwheel build base --only numpy --push-to /mnt/nas/ironwheel\tone package, for others\n",
    .options = iw_build_option_table,
    .run = run,
};
