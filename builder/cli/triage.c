/* `ironwheel triage NAME==VERSION…`: whether published wheels work on a CPU, by running them there.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "pack/pack.h"
#include "recipe/version.h"
#include "triage/triage.h"

typedef struct asked {
    iw_context *context;
    iw_catalog *catalog;
    iw_store *store;
    const iw_profile *profile;
    char *work, *environment; /* with --stack: folder of the laid bundle */
    iw_requirements all;
    bool trouble; /* something dies, or isn't known */
} asked;

/* --- telling -------------------------------------------------------------- */

/* "torch/2.7.0 or torch/2.7.0+cu126": the recipes of that version, or the newest; NULL where this
 * tree has none that brings the distribution. Caller frees. */
static char *recipe_for(const asked *a, const iw_triage_row *row)
{
    iw_list versions = {0};
    const char *name;
    iw_error none = IW_ERROR_INIT;
    iw_buffer out = {0};
    if (iw_catalog_distribution(a->catalog, row->package, &name, &versions, &none) != 0)
        versions.count = 0;
    iw_error_clear(&none);
    for (size_t i = 0; i < versions.count && row->version; i++) {
        const char *version = versions.items[i];
        size_t length = strlen(row->version);
        if (strncmp(version, row->version, length) == 0 &&
            (!version[length] || version[length] == '+'))
            iw_buffer_add_format(&out, "%s%s/%s", out.length ? " or " : "", name, version);
    }
    if (!out.length && versions.count)
        iw_buffer_add_format(&out, "%s/%s", name, iw_version_newest(&versions));
    return out.length ? iw_buffer_take(&out) : NULL;
}

/* Of what was imported, without a test or check. Caller frees. */
static char *advice_of_imports(const iw_triage_row *row)
{
    if (row->own)
        return iw_format("try your own use of it: %llu instructions beyond the CPU in its files "
                         "stand behind no test of it",
                         (unsigned long long)row->own);
    if (!row->findings) return iw_strdup("keep the wheel");
    if (!row->called) return iw_strdup("keep the wheel; its use wasn't reached");
    return iw_format("keep the wheel; %u of its functions were called, and what wasn't reached may "
                     "still die",
                     row->called);
}

/* What no index gives, whatever recipes there are. Caller frees; NULL. */
static char *advice_of_absence(const iw_triage_row *row)
{
    if (row->absence == IW_ABSENCE_OFFLINE) return iw_strdup("ask without --offline");
    if (row->absence == IW_ABSENCE_PROJECT)
        return iw_strdup("look how the name is written: no index has it");
    if (row->absence != IW_ABSENCE_VERSION) return NULL;
    return row->newest_there
               ? iw_format("take another version: the newest is %s", row->newest_there)
               : iw_strdup("take another version");
}

/* Caller frees. */
static char *advice(const asked *a, const iw_triage_row *row)
{
    iw_cleanup_free char *recipe = recipe_for(a, row);
    char *absent = advice_of_absence(row);
    if (absent) return absent;
    if (row->verdict == IW_TRIAGE_RUNS)
        return iw_strdup(row->findings ? "keep the wheel; what wasn't reached may still die"
                                       : "keep the wheel");
    if (row->verdict == IW_TRIAGE_IMPORTS) return advice_of_imports(row);
    if (row->newest_working)
        return iw_format("use version %s, which %s", row->newest_working,
                         iw_triage_verdict_name(row->newest_verdict));
    if (row->because.beside)
        return iw_format("constrain %s==%s", row->because.package, row->because.beside);
    if (recipe) return iw_format("build recipe %s", recipe);
    if (!row->version) return iw_strdup("needs a recipe, or another version");
    if (row->verdict == IW_TRIAGE_UNKNOWN)
        return iw_strdup("look at the reason: no CPU is at fault");
    return iw_strdup(row->tried ? "needs a recipe: no version that was tried works"
                                : "needs a recipe, or another version (--newest looks for one)");
}

/* What is told of a crash; borrowed from `crash`. */
struct told {
    const char *signal, *instruction, *feature, *file, *function;
    bool constructor;
};

static struct told told_of(const json_t *crash)
{
    static const char site[] = "/" IW_TRIAGE_SITE "/";
    const char *file = iw_json_get(crash, "file"), *inside = file ? strstr(file, site) : NULL;
    return (struct told){iw_json_get(crash, "signal"),
                         iw_json_get(crash, "instruction"),
                         iw_json_get(crash, "feature"),
                         inside ? inside + strlen(site) : file,
                         iw_json_get(crash, "function"),
                         json_is_true(json_object_get(crash, "constructor"))};
}

/* NULL where nobody else is at fault. */
static json_t *because_json(const iw_triage_row *row)
{
    const iw_triage_because *because = &row->because;
    if (!because->package) return json_null();
    iw_cleanup_free char *line =
        because->beside ? iw_format("%s==%s", because->package, because->beside) : NULL;
    return json_pack("{s:s,s:s,s:s?,s:s?,s:s?}", "package", because->package, "version",
                     because->version, "runs_beside", because->beside, "verdict_beside",
                     because->beside ? iw_triage_verdict_name(because->verdict) : NULL,
                     "constraint", line);
}

static json_t *reached_json(const iw_triage_row *row)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i}", "modules", (int)row->imported, "libraries",
                     (int)row->loaded, "called", (int)row->called, "tests", (int)row->tested,
                     "checks", (int)row->checked);
}

static json_t *row_json(const asked *a, const iw_triage_row *row, const struct told *told,
                        const char *what)
{
    json_t *
        notes = iw_json_texts((const char *const *)row->notes.items, row->notes.count),
       *line = json_pack(
           "{s:s,s:s?,s:s?,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:b,s:I,s:I,s:s,s:s?,s:b,s:o,s:o}",
           "package", row->package, "version", row->version, "sha256", row->sha256, "profile",
           a->profile->name, "verdict", iw_triage_verdict_name(row->verdict), "what", row->what,
           "signal", told->signal, "instruction", told->instruction, "feature", told->feature,
           "file", told->file, "function", told->function, "constructor", told->constructor,
           "forbidden_instructions", (json_int_t)row->findings, "unguarded", (json_int_t)row->own,
           "advice", what, "detail", row->detail, "kept", row->kept, "because", because_json(row),
           "reached", reached_json(row));
    json_object_set_new(line, "notes", notes);
    if (!row->tried) return line;
    json_object_set_new(line, "newest_working",
                        row->newest_working ? json_string(row->newest_working) : json_null());
    json_object_set_new(line, "newest_verdict",
                        row->newest_working
                            ? json_string(iw_triage_verdict_name(row->newest_verdict))
                            : json_null());
    json_object_set_new(line, "oldest_failing",
                        row->oldest_failing ? json_string(row->oldest_failing) : json_null());
    json_object_set_new(line, "versions_tried", json_integer((json_int_t)row->tried));
    return line;
}

/* The first that isn't of a module which nobody brought; NULL. */
static const char *telling_note(const iw_triage_row *row)
{
    for (size_t i = 0; i < row->notes.count; i++)
        if (!strstr(row->notes.items[i], "ModuleNotFoundError: ")) return row->notes.items[i];
    return NULL;
}

/* "import of x: SIGILL at `pinsrq …`, which needs sse4.1, in f of lib.so", or what was raised; NULL
 * where nothing is to be told. Caller frees. */
static char *happened(const iw_triage_row *row, const struct told *told)
{
    iw_buffer out = {0};
    if (row->what) iw_buffer_add_format(&out, "%s: ", row->what);
    if (told->signal) {
        iw_buffer_add_format(&out, "SIG%s at `%s`%s%s", told->signal,
                             told->instruction ? told->instruction : "?",
                             told->feature ? ", which needs " : "",
                             told->feature ? told->feature : "");
        iw_buffer_add_format(&out, " in %s%s of %s", told->constructor ? "the constructor " : "",
                             told->function ? told->function : "?",
                             told->file ? told->file : "code made at run time");
    } else if (row->detail) {
        iw_buffer_add_text(&out, row->detail);
    } else if (telling_note(row)) {
        iw_buffer_add_text(&out, telling_note(row));
    }
    iw_cleanup_free char *text = out.length ? iw_buffer_take(&out) : NULL;
    return text ? iw_triage_tame(text) : NULL;
}

/* "runs beside numpy==2.3.5; pip brings 2.4.6, which dies". Caller frees; NULL. */
static char *blame(const iw_triage_row *row)
{
    const iw_triage_because *because = &row->because;
    if (!because->package) return NULL;
    if (because->beside)
        return iw_format("%s beside %s==%s; pip brings %s, which dies",
                         iw_triage_verdict_name(because->verdict), because->package,
                         because->beside, because->version);
    return iw_format("pip brings %s %s, which dies; no version of it that was tried works with %s",
                     because->package, because->version, row->package);
}

static void tell_plainly(const asked *a, const iw_triage_row *row, const char *what_happened,
                         const char *what)
{
    iw_context *context = a->context;
    iw_cleanup_free char *because = blame(row);
    iw_print(context, "%-20s %-12s %-15s %s%s\n", row->package, row->version ? row->version : "-",
             iw_triage_verdict_name(row->verdict), what, row->kept ? " (tried before)" : "");
    if (what_happened) iw_print(context, "    %s\n", what_happened);
    if (because) iw_print(context, "    %s\n", because);
    if (row->because.beside)
        iw_print(context, "    for a constraints file: %s==%s\n", row->because.package,
                 row->because.beside);
    if (row->tried && row->newest_working)
        iw_print(context, "    newest that works: %s, which %s; %s%s (%zu tried)\n",
                 row->newest_working, iw_triage_verdict_name(row->newest_verdict),
                 row->oldest_failing ? "the oldest above it that doesn't: "
                                     : "it is the newest of all",
                 row->oldest_failing ? row->oldest_failing : "", row->tried);
    for (size_t i = 0; context->verbose && i < row->notes.count; i++)
        iw_print(context, "    %s\n", row->notes.items[i]);
}

static void tell_as_markdown(const asked *a, const iw_triage_row *row, const char *what_happened,
                             const char *what)
{
    iw_cleanup_buffer iw_buffer line = {0};
    iw_cleanup_free char *because = blame(row),
                         *findings = row->version ? iw_format("%llu, %llu",
                                                              (unsigned long long)row->findings,
                                                              (unsigned long long)row->own)
                                                  : iw_strdup("–"),
                         *border = row->oldest_failing
                                       ? iw_format("%s; %s is the oldest above it that doesn't",
                                                   what, row->oldest_failing)
                                       : iw_strdup(what),
                         *all = iw_format("%s%s%s", what_happened ? what_happened : "",
                                          what_happened && because ? "; " : "",
                                          because ? because : "");
    const char *const cells[] = {row->package,
                                 row->version ? row->version : "–",
                                 iw_triage_verdict_name(row->verdict),
                                 findings,
                                 all,
                                 border};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) iw_buffer_add_cell(&line, cells[i]);
    iw_print(a->context, "%s|\n", line.data);
}

static void tell(void *context, const iw_triage_row *row)
{
    asked *a = context;
    json_t *crash = row->crash ? json_loads(row->crash, 0, NULL) : NULL;
    const struct told told = told_of(crash);
    iw_cleanup_free char *what = advice(a, row), *text = happened(row, &told);
    if (row->verdict != IW_TRIAGE_RUNS && row->verdict != IW_TRIAGE_IMPORTS) a->trouble = true;
    if (a->context->json) iw_print_json(a->context, row_json(a, row, &told, what));
    else if (iw_flag(a->context->arguments, "markdown")) tell_as_markdown(a, row, text, what);
    else tell_plainly(a, row, text, what);
    json_decref(crash);
}

static void tell_left_out(const asked *a)
{
    for (size_t i = 0; i < a->all.left_count; i++) {
        const iw_left_out *left = &a->all.left[i];
        iw_cleanup_free char *where = iw_origin_text(&left->origin),
                             *text = iw_format("left out: %s (%s)", left->text, left->why);
        iw_emit(a->context->sink,
                (iw_event){.type = IW_EVENT_NOTE, .subject = where, .detail = text});
    }
}

/* --- the command ---------------------------------------------------------- */

/* The Python of a built stack, with --stack. */
static int lay_stack(asked *a, const char *stack, iw_error *err)
{
    iw_session session = {0};
    iw_bundle_options options = {.sandboxed = true};
    iw_cleanup_free char *parent = iw_store_path(a->store, "tmp", "");
    int status = iw_context_session(a->context, stack, &session, err);
    for (size_t i = 0; status == 0 && i < session.plan->node_count; i++)
        if (session.plan->nodes[i].in_bundle && session.plan->nodes[i].action != IW_ACTION_REUSE)
            status = iw_fail(err, IW_E_NOT_FOUND,
                             "stack %s isn't built: `ironwheel build %s` first, or leave --stack "
                             "out and take Debian's Python",
                             stack, stack);
    if (status == 0) status = iw_make_folders(parent, 0755, err);
    if (status == 0) status = iw_temporary_folder(parent, "triage-stack-", &a->work, err);
    options.work = a->work;
    if (status == 0) status = iw_bundle_lay(a->store, session.plan, &options, &a->environment, err);
    iw_session_close(&session);
    return status;
}

static int read_all(asked *a, const iw_triage *triage, iw_error *err)
{
    const iw_arguments *arguments = a->context->arguments;
    const char *file = iw_text_option(arguments, "requirement");
    iw_cleanup_strings iw_strings python = {0}, environment = {0};
    iw_triage_python(triage, &python, &environment);
    for (size_t i = 0; i < arguments->operand_count; i++)
        iw_requirements_add(&a->all, arguments->operands[i]);
    if (file && iw_requirements_read_given(&a->all, file, &python, &environment, err) != 0)
        return -1;
    if (iw_requirements_settle(&a->all, &python, &environment, err) != 0) return -1;
    tell_left_out(a);
    if (a->all.count || !a->all.left_count) return 0;
    return iw_fail(err, IW_E_USAGE, "nothing is left to try: \"%s\": %s", a->all.left[0].text,
                   a->all.left[0].why);
}

static int triage_all(asked *a, iw_error *err)
{
    const iw_arguments *arguments = a->context->arguments;
    const iw_triage_options options = {.catalog = a->catalog,
                                       .store = a->store,
                                       .profile = a->profile,
                                       .helpers = a->context->helpers,
                                       .environment = a->environment,
                                       .fetch = iw_context_fetch_options(a->context),
                                       .seconds =
                                           (unsigned)iw_number_option(arguments, "seconds", 0),
                                       .jobs = (unsigned)iw_number_option(arguments, "jobs", 0),
                                       .newest = iw_flag(arguments, "newest"),
                                       .again = iw_flag(arguments, "again")};
    iw_triage *triage = NULL;
    if (iw_triage_open(&options, &triage, err) != 0) return -1;
    int status = read_all(a, triage, err);
    if (status == 0 && iw_flag(arguments, "markdown") && !a->context->json)
        iw_print(a->context,
                 "| package | version | verdict | instructions beyond %s, its own that nothing "
                 "guards | what happened | what to do |\n| --- | --- | --- | --- | --- | --- |\n",
                 a->profile->name);
    if (status == 0) status = iw_triage_run(triage, &a->all, tell, a, err);
    iw_triage_close(triage);
    return status;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    asked a = {.context = context};
    const char *name = iw_text_option(arguments, "profile"),
               *stack = iw_text_option(arguments, "stack");
    if (!arguments->operand_count && !iw_text_option(arguments, "requirement"))
        return iw_fail(
            err, IW_E_USAGE,
            "triage wants packages: ironwheel triage NAME==VERSION..., or -r requirements.txt");
    if (iw_context_catalog(context, &a.catalog, err) != 0 ||
        iw_context_store(context, &a.store, err) != 0 ||
        iw_catalog_profile(a.catalog, name ? name : "k10", &a.profile, err) != 0)
        return -1;
    iw_context_show(context);
    int status = iw_context_watch_signals(context, err);
    if (status == 0 && stack) status = lay_stack(&a, stack, err);
    if (status == 0) status = triage_all(&a, err);
    if (a.work) iw_remove_tree(a.work, NULL);
    free(a.work), free(a.environment);
    iw_requirements_free(&a.all);
    return status == 0 ? a.trouble : -1;
}

static const iw_option options[] = {
    {"profile", 'p', IW_OPTION_TEXT, "PROFILE", "The CPU in question (default: k10)", NULL},
    {"requirement", 'r', IW_OPTION_TEXT, "FILE",
     "Take the packages from a requirements file, uv.lock, pylock.toml or pyproject.toml", "file"},
    {"newest", 0, IW_OPTION_FLAG, NULL,
     "Search each package's versions for the newest that works (those with == only hold for what "
     "the others need)",
     NULL},
    {"stack", 0, IW_OPTION_TEXT, "STACK",
     "Import the wheels with the Python of this built stack (default: Debian's)", "stack"},
    {"seconds", 0, IW_OPTION_NUMBER, "N",
     "How long one package is called and tested, emulated: of the processor's time, so that a busy "
     "machine reaches as much, later (default: 15)",
     NULL},
    {"jobs", 'j', IW_OPTION_NUMBER, "N", "Packages at once (default: all cores)", NULL},
    {"again", 0, IW_OPTION_FLAG, NULL, "Try again what was tried before", NULL},
    {"markdown", 0, IW_OPTION_FLAG, NULL, "Print a Markdown table", NULL},
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_triage = {
    .name = "triage",
    .operands = "NAME==VERSION...",
    .least = 0,
    .most = 1024,
    .complete = NULL,
    .summary = "Say whether published wheels work on a CPU",
    .description =
        "pip resolves and downloads the wheels of each package, with what it needs, for Debian's "
        "Python; nothing has to be built first. On the emulated CPU, in a sandbox without a "
        "network, every module is imported, every library loaded, what compiled modules export is "
        "called with small values, and the package's own tests and the checks of this tree's "
        "recipe of that name are run; nothing of them runs natively. Each failure is held against "
        "the same under the emulator's largest CPU, and counts only if it doesn't fail there. The "
        "verdict: runs (tests or checks passed), imports (nothing more was reached), dies-in-use, "
        "dies-at-import, unknown. Where another package is at fault, the one beside which it works "
        "is looked for. Pins given together hold for what the others need, too; lines that name no "
        "package of an index are told and left out. Results are kept in the store, for the very "
        "wheels, CPU and emulator. Exit status 1 where one dies or isn't known.",
    .examples = "ironwheel triage numpy==2.2.0 pyarrow pandas\twhat would die on a Phenom "
                "II\nironwheel triage --newest pandas numpy==1.26.4\tup to which version pandas's "
                "wheels work there, beside that numpy\nironwheel triage -p core2 -r "
                "requirements.txt\ta whole project, on a Core 2\n",
    .options = options,
    .run = run,
};
