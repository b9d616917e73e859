/* `ironwheel triage NAME==VERSION…`: whether published wheels work on a CPU, by running them there.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "build/build.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "pack/pack.h"
#include "triage/triage.h"

typedef struct asked {
    iw_context *context;
    iw_session session; /* of stack base, whose interpreter imports them */
    char *root, *environment, *work, *identity;
    iw_triage triage;
} asked;

/* --- telling -------------------------------------------------------------- */

/* "torch/2.7.0 or torch/2.7.0+cu126": the recipes of that version, or the newest; NULL where this
 * tree has none. Caller frees. */
static char *recipe_for(const asked *a, const iw_triage_row *row)
{
    iw_list versions = {0};
    iw_error none = IW_ERROR_INIT;
    iw_buffer out = {0};
    if (iw_catalog_versions(a->session.catalog, row->package, &versions, &none) != 0)
        versions.count = 0;
    iw_error_clear(&none);
    for (size_t i = 0; i < versions.count && row->version; i++) {
        const char *version = versions.items[i];
        size_t length = strlen(row->version);
        if (strncmp(version, row->version, length) == 0 &&
            (!version[length] || version[length] == '+'))
            iw_buffer_add_format(&out, "%s%s/%s", out.length ? " or " : "", row->package, version);
    }
    if (!out.length && versions.count)
        iw_buffer_add_format(&out, "%s/%s", row->package,
                             (const char *)versions.items[versions.count - 1]);
    return out.length ? iw_buffer_take(&out) : NULL;
}

/* Caller frees. */
static char *advice(const asked *a, const iw_triage_row *row)
{
    iw_cleanup_free char *recipe = recipe_for(a, row);
    if (strcmp(row->verdict, "runs") == 0)
        return iw_strdup(row->findings ? "keep the wheel; what its checks don't reach may still die"
                                       : "keep the wheel");
    if (row->newest_working) return iw_format("use version %s", row->newest_working);
    if (recipe) return iw_format("build recipe %s", recipe);
    if (!row->version) return iw_strdup("needs a recipe");
    if (strcmp(row->verdict, "unknown") == 0)
        return iw_strdup("look at the reason: it failed without a crash");
    return iw_strdup(row->tried ? "needs a recipe: no version that was tried runs"
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

static json_t *row_json(const asked *a, const iw_triage_row *row, const struct told *told,
                        const char *what)
{
    json_t *line =
        json_pack("{s:s,s:s?,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s?,s:b,s:I,s:s,s:s?,s:b}", "package",
                  row->package, "version", row->version, "profile", a->triage.profile->name,
                  "verdict", row->verdict, "signal", told->signal, "instruction", told->instruction,
                  "feature", told->feature, "file", told->file, "function", told->function,
                  "constructor", told->constructor, "forbidden_instructions",
                  (json_int_t)row->findings, "advice", what, "detail", row->detail, "kept",
                  row->kept);
    if (!row->tried) return line;
    json_object_set_new(line, "newest_working",
                        row->newest_working ? json_string(row->newest_working) : json_null());
    json_object_set_new(line, "oldest_failing",
                        row->oldest_failing ? json_string(row->oldest_failing) : json_null());
    json_object_set_new(line, "versions_tried", json_integer((json_int_t)row->tried));
    return line;
}

/* "SIGILL at `pinsrq …`, which needs sse4.1, in f of lib.so"; NULL where nothing crashed. Caller
 * frees. */
static char *crash_text(const struct told *told)
{
    if (!told->signal) return NULL;
    iw_cleanup_free char *text =
        iw_format("SIG%s at `%s`%s%s in %s%s of %s", told->signal,
                  told->instruction ? told->instruction : "?",
                  told->feature ? ", which needs " : "", told->feature ? told->feature : "",
                  told->constructor ? "the constructor " : "",
                  told->function ? told->function : "?",
                  told->file ? told->file : "code made at run time");
    return iw_triage_tame(text);
}

static void tell_plainly(const asked *a, const iw_triage_row *row, const char *crash,
                         const char *what)
{
    iw_print(a->context, "%-20s %-12s %-15s %s%s\n", row->package,
             row->version ? row->version : "-", row->verdict, what,
             row->kept ? " (tried before)" : "");
    if (crash) iw_print(a->context, "    %s\n", crash);
    if (row->detail) iw_print(a->context, "    %s\n", row->detail);
    if (row->tried && row->newest_working)
        iw_print(a->context, "    newest that runs: %s; %s%s (%zu tried)\n", row->newest_working,
                 row->oldest_failing ? "the oldest above it that doesn't: "
                                     : "it is the newest of all",
                 row->oldest_failing ? row->oldest_failing : "", row->tried);
}

/* A cell of a Markdown table: `|` would end it, and nothing in it may be taken for HTML. */
static void add_cell(iw_buffer *out, const char *text)
{
    iw_buffer_add_text(out, "| ");
    for (const char *c = text; *c; c++) {
        if (*c == '|') iw_buffer_add_char(out, '\\');
        if (*c == '<') iw_buffer_add_text(out, "&lt;");
        else iw_buffer_add_char(out, *c);
    }
    iw_buffer_add_char(out, ' ');
}

static void tell_as_markdown(const asked *a, const iw_triage_row *row, const char *crash,
                             const char *what)
{
    iw_cleanup_buffer iw_buffer line = {0};
    iw_cleanup_free char *findings =
        row->version ? iw_format("%llu", (unsigned long long)row->findings) : iw_strdup("–");
    iw_cleanup_free char *border =
        row->oldest_failing
            ? iw_format("%s; %s is the oldest above it that doesn't run", what, row->oldest_failing)
            : iw_strdup(what);
    const char *const cells[] = {row->package,
                                 row->version ? row->version : "–",
                                 row->verdict,
                                 findings,
                                 crash         ? crash
                                 : row->detail ? row->detail
                                               : "",
                                 border};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) add_cell(&line, cells[i]);
    iw_print(a->context, "%s|\n", line.data);
}

static void tell(const asked *a, const iw_triage_row *row)
{
    json_t *crash = row->crash ? json_loads(row->crash, 0, NULL) : NULL;
    const struct told told = told_of(crash);
    iw_cleanup_free char *what = advice(a, row), *text = crash_text(&told);
    if (a->context->json) iw_print_json(a->context, row_json(a, row, &told, what));
    else if (iw_flag(a->context->arguments, "markdown")) tell_as_markdown(a, row, text, what);
    else tell_plainly(a, row, text, what);
    json_decref(crash);
}

/* --- the command ---------------------------------------------------------- */

static int triage_one(asked *a, const char *requirement, bool *dies, iw_error *err)
{
    iw_triage_row row = {0};
    iw_cleanup_free char *name = iw_plain_name(requirement);
    bool newest = iw_flag(a->context->arguments, "newest");
    int status = newest ? iw_triage_newest(&a->triage, name, &row, err)
                        : iw_triage_try(&a->triage, requirement, &row, err);
    if (status == 0) {
        *dies = *dies || strcmp(row.verdict, "runs") != 0;
        tell(a, &row);
    }
    iw_triage_row_clear(&row);
    return status;
}

static int lay_environment(asked *a, iw_error *err)
{
    const iw_plan *plan = a->session.plan;
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].in_bundle && plan->nodes[i].action != IW_ACTION_REUSE)
            return iw_fail(err, IW_E_NOT_FOUND,
                           "triage imports wheels with the Python of stack base, which isn't "
                           "built: `ironwheel build base` first");
    if (iw_toolchain_root(a->session.store, a->session.toolchain, a->context->sink, &a->root,
                          err) != 0)
        return -1;
    iw_bundle_options options = {.work = a->work, .sandboxed = true};
    return iw_bundle_lay(a->session.store, plan, &options, &a->environment, err);
}

static void fill_in(asked *a)
{
    iw_triage *t = &a->triage;
    a->identity = iw_format("%s %s", a->session.toolchain->digest, a->session.plan->bundle_key);
    t->catalog = a->session.catalog, t->store = a->session.store;
    t->helpers = a->context->helpers;
    t->root = a->root, t->environment = a->environment, t->work = a->work;
    t->identity = a->identity;
    t->again = iw_flag(a->context->arguments, "again");
    t->cancel = a->context->cancel;
    t->sink = a->context->sink;
}

/* Pins hold for what the others need, too: the wheels around one are those that the user has. With
 * --newest the rest is searched, below these pins. */
static int take_pins(asked *a, iw_strings *requirements, iw_error *err)
{
    bool newest = iw_flag(a->context->arguments, "newest");
    iw_strings rest = {0};
    for (size_t i = 0; i < requirements->count; i++) {
        const char *one = requirements->items[i];
        bool pin = strstr(one, "==") && !strchr(one, '[');
        if (pin) iw_strings_add(&a->triage.pins, one);
        if (!newest || !pin) iw_strings_add(&rest, one);
    }
    iw_strings_free(requirements);
    *requirements = rest;
    return rest.count ? 0
                      : iw_fail(err, IW_E_USAGE,
                                "--newest searches the packages that are given without \"==\": "
                                "those with it only hold for what these need");
}

static int triage_all(asked *a, iw_strings *requirements, bool *dies, iw_error *err)
{
    const char *file = iw_text_option(a->context->arguments, "requirement");
    iw_cleanup_free char *parent = iw_store_path(a->session.store, "tmp", "");
    if (iw_make_folders(parent, 0755, err) != 0 ||
        iw_temporary_folder(parent, "triage-", &a->work, err) != 0 || lay_environment(a, err) != 0)
        return -1;
    fill_in(a);
    if (file && iw_triage_is_lock(file) &&
        iw_triage_read_lock(&a->triage, file, requirements, err) != 0)
        return -1;
    if (take_pins(a, requirements, err) != 0) return -1;
    if (iw_flag(a->context->arguments, "markdown") && !a->context->json)
        iw_print(a->context,
                 "| package | version | verdict | instructions beyond %s | what happened | what to "
                 "do |\n| --- | --- | --- | --- | --- | --- |\n",
                 a->triage.profile->name);
    for (size_t i = 0; i < requirements->count; i++)
        if (triage_one(a, requirements->items[i], dies, err) != 0) return -1;
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    asked a = {.context = context};
    bool dies = false;
    iw_cleanup_strings iw_strings requirements = {0};
    const char *file = iw_text_option(arguments, "requirement"),
               *name = iw_text_option(arguments, "profile");
    for (size_t i = 0; i < arguments->operand_count; i++)
        if (iw_triage_read_operand(arguments->operands[i], &requirements, err) != 0) return -1;
    if (file && !iw_triage_is_lock(file) &&
        iw_triage_read_requirements(file, &requirements, err) != 0)
        return -1;
    if (!requirements.count && !(file && iw_triage_is_lock(file)))
        return iw_fail(
            err, IW_E_USAGE,
            "triage wants packages: ironwheel triage NAME==VERSION..., or -r requirements.txt");
    int status = iw_context_session(context, "base", &a.session, err);
    if (status == 0)
        status = iw_catalog_profile(a.session.catalog, name ? name : "k10", &a.triage.profile, err);
    if (status == 0) status = iw_context_start(context, &a.session, err);
    if (status == 0) status = triage_all(&a, &requirements, &dies, err);
    if (a.work) iw_remove_tree(a.work, NULL);
    iw_session_close(&a.session);
    free(a.root), free(a.environment), free(a.work), free(a.identity);
    iw_strings_free(&a.triage.pins);
    return status == 0 ? dies : -1;
}

static const iw_option options[] = {
    {"profile", 'p', IW_OPTION_TEXT, "PROFILE", "The CPU in question (default: k10)", NULL},
    {"requirement", 'r', IW_OPTION_TEXT, "FILE",
     "Take the packages from a requirements file, uv.lock or pylock.toml", "file"},
    {"newest", 0, IW_OPTION_FLAG, NULL,
     "Search each package's versions for the newest that runs (those with == only hold for what "
     "the others need)",
     NULL},
    {"again", 0, IW_OPTION_FLAG, NULL, "Try again what was tried before", NULL},
    {"markdown", 0, IW_OPTION_FLAG, NULL, "Print a Markdown table", NULL},
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
        "pip resolves and downloads the wheels of each package, with what it needs, for the Python "
        "of stack base. They are audited, imported, and, where this tree has a recipe of that "
        "name, put to its checks, all on the emulated CPU in a sandbox; nothing of them is run "
        "natively. Pins given together hold for what the others need, too. Results are kept in the "
        "store, for the very wheels and profile. The verdict comes from running: runs, "
        "dies-at-import, dies-in-use, unknown. Exit "
        "status 1 where not all run.",
    .examples = "ironwheel triage numpy==2.2.0 pyarrow pandas\twhat would die on a Phenom "
                "II\nironwheel triage --newest pandas numpy==1.26.4\tup to which version pandas's "
                "wheels run there, beside that numpy\n",
    .options = options,
    .run = run,
};
