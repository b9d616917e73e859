/* `ironwheel triage NAME==VERSION…`: whether published wheels work on a CPU, by running them there. */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "build/build.h"
#include "cli/commands.h"
#include "emulate/emulate.h"
#include "pack/pack.h"

#define SITE "triage"        /* below the environment: what pip brought */
#define REPORT_LIMIT (64u << 20)

struct triage {
    iw_context *context;
    iw_session session;      /* of stack base, whose interpreter imports them */
    const iw_profile *profile;
    char *root, *environment, *work;
    bool dies;
};

struct row {
    char *package, *version; /* what pip resolved; version NULL: nothing */
    const char *verdict;     /* runs, dies-at-import, dies-in-use, unknown */
    char *crash;             /* JSON, or NULL */
    char *detail;            /* one line, or NULL */
    uint64_t findings;       /* instructions outside the profile in its files */
};

static void row_clear(struct row *row)
{
    free(row->package), free(row->version), free(row->crash), free(row->detail);
}

/* As PEP 503 compares names. Caller frees. */
static char *plain_name(const char *name)
{
    iw_buffer out = {0};
    for (; *name && !strchr("=<>!~[; ", *name); name++) {
        bool separator = strchr("-_.", *name) != NULL;
        if (!separator)
            iw_buffer_add_char(&out, (char)tolower((unsigned char)*name));
        else if (!out.length || out.data[out.length - 1] != '-')
            iw_buffer_add_char(&out, '-');
    }
    return iw_buffer_take(&out);
}

/* --- bringing the wheels --------------------------------------------------------------------------------------------------------- */

/* pip runs natively, but nothing of what it brings: wheels only, not compiled, into a folder of its own. */
static int bring(const struct triage *t, const char *requirement, const char *report, iw_error *err)
{
    iw_cleanup_free char *python = iw_path_join(t->environment, "bin/python3"), *site = iw_path_join(t->environment, SITE);
    if (iw_remove_tree(site, err) != 0) return -1;
    const char *argv[] = {python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--no-compile", "--target", site, "--report",
                          report, "--", requirement, NULL};
    static const char *const kept[] = {"HOME", "PATH", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy",
                                       "XDG_CONFIG_HOME", "XDG_CACHE_HOME"};
    iw_cleanup_strings iw_strings environment = {0};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (getenv(kept[i])) iw_strings_add_format(&environment, "%s=%s", kept[i], getenv(kept[i]));
    iw_strings_add(&environment, "LC_ALL=C.UTF-8");
    return iw_run_capture(argv, (const char *const *)environment.items, REPORT_LIMIT, NULL, NULL, err);
}

/* Name and version that were asked for, as pip resolved them. */
static int read_report(const char *path, const char *requirement, struct row *row, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *wanted = plain_name(requirement);
    json_error_t why;
    if (iw_read_file(path, REPORT_LIMIT, &text, NULL, err) != 0) return -1;
    json_t *report = json_loads(text, 0, &why), *install = json_object_get(report, "install"), *item;
    size_t index;
    json_array_foreach(install, index, item)
    {
        json_t *metadata = json_object_get(item, "metadata");
        const char *name = json_string_value(json_object_get(metadata, "name")), *version = json_string_value(json_object_get(metadata, "version"));
        iw_cleanup_free char *plain = name ? plain_name(name) : NULL;
        if (plain && version && strcmp(plain, wanted) == 0 && !row->version) row->version = iw_strdup(version);
    }
    json_decref(report);
    return 0;
}

/* --- trying them -------------------------------------------------------------------------------------------------------------------- */

/* Finds what the distribution installs, by its RECORD, and imports that: its own name where it has such a module, else all that stand at the top. */
static const char import_code[] =
    "import importlib, importlib.metadata, os, re, sys\n"
    "site = os.path.join(os.environ['IRONWHEEL_ENVIRONMENT'], '" SITE "')\n"
    "sys.path.insert(0, site)\n"
    "name = %s\n"
    "files = importlib.metadata.distribution(name).files or []\n"
    "tops = set()\n"
    "for file in files:\n"
    "    first = file.parts[0]\n"
    "    if first.endswith(('.dist-info', '.data', '.libs')) or first in ('..', 'bin', '__pycache__', 'share', 'include', 'lib'):\n"
    "        continue\n"
    "    if len(file.parts) == 1 and not first.endswith(('.py', '.so')):\n"
    "        continue\n"
    "    top = first.split('.')[0]\n"
    "    if top.isidentifier() and top not in ('tests', 'test', 'docs', 'examples', 'benchmarks'):\n"
    "        tops.add(top)\n"
    "own = re.sub('[-_.]+', '_', name).lower()\n"
    "named = [top for top in tops if top.lower() == own]\n"
    "chosen = named or sorted(top for top in tops if not top.startswith('_')) or sorted(tops)\n"
    "assert chosen, 'it installs no module'\n"
    "for top in chosen:\n"
    "    importlib.import_module(top)\n";

static const char use_code[] =
    "import os, sys\n"
    "sys.path.insert(0, os.path.join(os.environ['IRONWHEEL_ENVIRONMENT'], '" SITE "'))\n";

static int try_code(const struct triage *t, const char *package, const char *name, const char *code, unsigned timeout, iw_check_result **result, iw_error *err)
{
    iw_cleanup_free char *logs = iw_store_path(t->session.store, "logs", "triage");
    iw_check check = {.name = name, .kind = IW_CHECK_PYTHON, .text = code, .timeout = timeout, .loopback = true};
    iw_check_run run = {.environment = t->environment, .toolchain_root = t->root, .profile = t->profile, .helpers = t->context->helpers, .logs = logs, .wheels = true,
                        .cancel = t->context->cancel};
    return iw_run_checks(&run, package, &check, 1, result, err);
}

/* The last line that says something. Caller frees. */
static char *last_line(const char *text)
{
    const char *best = text ? text : "";
    size_t length = strcspn(best, "\n");
    for (const char *at = best; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strspn(at, " \t\n") < strcspn(at, "\n") + 1 && at[strspn(at, " \t")] && at[strspn(at, " \t")] != '\n') best = at, length = strcspn(at, "\n");
    iw_slice line = iw_slice_trim((iw_slice){best, length});
    return iw_strndup(line.data, line.length);
}

static int try_import(const struct triage *t, struct row *row, iw_error *err)
{
    json_t *quoted = json_string(row->package);
    iw_cleanup_free char *literal = json_dumps(quoted, JSON_ENCODE_ANY | JSON_ENSURE_ASCII), *code = iw_format(import_code, literal);
    json_decref(quoted);
    iw_check_result *result = NULL;
    if (try_code(t, row->package, "import", code, 1800, &result, err) != 0) return -1;
    row->verdict = result->passed ? "runs" : result->crash ? "dies-at-import" : "unknown";
    row->crash = iw_steal(&result->crash);
    if (!result->passed && !row->crash) row->detail = last_line(result->detail);
    iw_check_results_free(result, 1);
    return 0;
}

/* The checks of a recipe of that name, of any version: only a crash counts, as a check may hold what our build alone has. */
static int try_use(const struct triage *t, struct row *row, iw_error *err)
{
    iw_list versions;
    const iw_recipe *recipe = NULL;
    iw_cleanup_free char *name = plain_name(row->package);
    iw_error none = IW_ERROR_INIT;
    if (iw_catalog_versions(t->session.catalog, name, &versions, &none) == 0 && versions.count) iw_catalog_recipe(t->session.catalog, name, versions.items[versions.count - 1], &recipe, &none);
    iw_error_clear(&none);
    for (size_t i = 0; recipe && i < recipe->check_count && strcmp(row->verdict, "runs") == 0; i++) {
        const iw_check *check = &recipe->checks[i];
        if (check->kind != IW_CHECK_PYTHON) continue;
        iw_cleanup_free char *code = iw_format("%s%s", use_code, check->text);
        iw_check_result *result = NULL;
        if (try_code(t, row->package, check->name, code, check->timeout, &result, err) != 0) return -1;
        if (result->crash) {
            row->verdict = "dies-in-use";
            row->crash = iw_steal(&result->crash);
        }
        iw_check_results_free(result, 1);
    }
    return 0;
}

static int count_findings(const struct triage *t, struct row *row, iw_error *err)
{
    iw_cleanup_free char *site = iw_path_join(t->environment, SITE);
    iw_audit_options options = {.profile = t->profile};
    iw_audit_summary summary = {0};
    int status = iw_audit_paths((const char *const[]){site}, 1, &options, &summary, err);
    for (size_t i = 0; i < summary.count_count; i++) row->findings += summary.counts[i].count;
    iw_audit_summary_clear(&summary);
    return status;
}

/* --- telling --------------------------------------------------------------------------------------------------------------------------- */

static const char *advice(const struct triage *t, const struct row *row, char text[300])
{
    iw_list versions = {0};
    iw_cleanup_free char *name = plain_name(row->package);
    iw_error none = IW_ERROR_INIT;
    bool recipe = iw_catalog_versions(t->session.catalog, name, &versions, &none) == 0 && versions.count;
    iw_error_clear(&none);
    if (strcmp(row->verdict, "runs") == 0) return row->findings ? "keep the wheel; what its checks don't reach may still die" : "keep the wheel";
    if (strcmp(row->verdict, "unknown") == 0) return "look at the log: it failed without a crash";
    if (!recipe) return "needs a recipe, or another version";
    snprintf(text, 300, "build recipe %s/%s", name, versions.items[versions.count - 1]);
    return text;
}

static void tell(const struct triage *t, const struct row *row)
{
    char text[300];
    const char *what = advice(t, row, text);
    json_t *crash = row->crash ? json_loads(row->crash, 0, NULL) : NULL;
    const char *instruction = json_string_value(json_object_get(crash, "instruction")), *feature = json_string_value(json_object_get(crash, "feature"));
    const char *file = json_string_value(json_object_get(crash, "file")), *function = json_string_value(json_object_get(crash, "function"));
    const char *signal = json_string_value(json_object_get(crash, "signal"));
    if (t->context->json) {
        json_t *line = json_pack("{s:s,s:s?,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s?,s:I,s:s,s:s?}", "package", row->package, "version", row->version, "profile", t->profile->name, "verdict",
                                 row->verdict, "signal", signal, "instruction", instruction, "feature", feature, "file", file, "function", function, "forbidden_instructions",
                                 (json_int_t)row->findings, "advice", what, "detail", row->detail);
        iw_print_json(t->context, line);
    } else {
        iw_print(t->context, "%-20s %-12s %-15s %s\n", row->package, row->version ? row->version : "-", row->verdict, what);
        if (signal)
            iw_print(t->context, "    SIG%s at `%s`%s%s in %s of %s\n", signal, instruction ? instruction : "?", feature ? ", which needs " : "", feature ? feature : "",
                     function ? function : "?", file ? file : "code made at run time");
        if (row->detail) iw_print(t->context, "    %s\n", row->detail);
    }
    json_decref(crash);
}

/* --- the command ---------------------------------------------------------------------------------------------------------------------------- */

static int triage_one(struct triage *t, const char *requirement, iw_error *err)
{
    struct row row = {.package = plain_name(requirement), .verdict = "unknown"};
    iw_cleanup_free char *report = iw_path_join(t->work, "report.json");
    iw_error why = IW_ERROR_INIT;
    iw_emit(t->context->sink, (iw_event){.type = IW_EVENT_STARTED, .subject = requirement, .phase = "triage"});
    int status = bring(t, requirement, report, &why);
    if (status != 0) row.detail = last_line(iw_error_text(&why));
    if (status == 0) status = read_report(report, requirement, &row, err);
    if (status == 0) status = count_findings(t, &row, err);
    if (status == 0) status = try_import(t, &row, err);
    if (status == 0) status = try_use(t, &row, err);
    iw_emit(t->context->sink, (iw_event){.type = IW_EVENT_FINISHED, .subject = requirement, .phase = "triage", .detail = "tried"});
    if (status == 0 || why.kind) {
        t->dies = t->dies || strcmp(row.verdict, "runs") != 0;
        tell(t, &row);
        status = 0;
    }
    iw_error_clear(&why);
    row_clear(&row);
    return status;
}

/* Lines of a requirements file, without comments and options. */
static int read_requirements(const char *path, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(path, 1 << 20, &text, NULL, err) != 0) return -1;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        const char *comment = memchr(line.data, '#', line.length);
        if (comment) line.length = (size_t)(comment - line.data);
        line = iw_slice_trim(line);
        if (line.length && line.data[0] != '-') iw_strings_add_format(out, "%.*s", (int)line.length, line.data);
    }
    return 0;
}

static int lay_environment(struct triage *t, iw_error *err)
{
    const iw_plan *plan = t->session.plan;
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].in_bundle && plan->nodes[i].action != IW_ACTION_REUSE)
            return iw_fail(err, IW_E_NOT_FOUND, "triage imports wheels with the Python of stack base, which isn't built: `ironwheel build base` first");
    if (iw_toolchain_root(t->session.store, t->session.toolchain, t->context->sink, &t->root, err) != 0) return -1;
    iw_bundle_options options = {.work = t->work, .sandboxed = true};
    return iw_bundle_lay(t->session.store, plan, &options, &t->environment, err);
}

static int triage_all(struct triage *t, const iw_strings *requirements, iw_error *err)
{
    iw_cleanup_free char *parent = iw_store_path(t->session.store, "tmp", "");
    if (iw_make_folders(parent, 0755, err) != 0 || iw_temporary_folder(parent, "triage-", &t->work, err) != 0 || lay_environment(t, err) != 0) return -1;
    for (size_t i = 0; i < requirements->count; i++)
        if (triage_one(t, requirements->items[i], err) != 0) return -1;
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    struct triage t = {.context = context};
    iw_cleanup_strings iw_strings requirements = {0};
    const char *file = iw_text_option(arguments, "requirement"), *name = iw_text_option(arguments, "profile");
    for (size_t i = 0; i < arguments->operand_count; i++) iw_strings_add(&requirements, arguments->operands[i]);
    if (file && read_requirements(file, &requirements, err) != 0) return -1;
    if (!requirements.count) return iw_fail(err, IW_E_USAGE, "triage wants packages: ironwheel triage NAME==VERSION..., or -r requirements.txt");
    for (size_t i = 0; i < requirements.count; i++)
        if (requirements.items[i][0] == '-' || strchr(requirements.items[i], '/')) return iw_fail(err, IW_E_USAGE, "\"%s\" is no NAME==VERSION", requirements.items[i]);
    int status = iw_session_open(context, "base", &t.session, err);
    if (status == 0) status = iw_catalog_profile(t.session.catalog, name ? name : "k10", &t.profile, err);
    if (status == 0) {
        iw_context_show(context);
        status = iw_context_watch_signals(context, err);
    }
    if (status == 0) status = triage_all(&t, &requirements, err);
    if (t.work) iw_remove_tree(t.work, NULL);
    iw_session_close(&t.session);
    free(t.root), free(t.environment), free(t.work);
    return status == 0 ? t.dies : -1;
}

static const iw_option options[] = {
    {"profile", 'p', IW_OPTION_TEXT, "PROFILE", "The CPU in question (default: k10)", NULL},
    {"requirement", 'r', IW_OPTION_TEXT, "FILE", "Take the packages from a requirements file", "file"},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_triage = {
    .name = "triage", .operands = "NAME==VERSION...", .least = 0, .most = 1024, .complete = NULL,
    .summary = "Say whether published wheels work on a CPU",
    .description = "pip resolves and downloads the wheels of each package, with what it needs, for the Python of stack base. They are audited, imported, and, where this tree has a recipe of that "
                   "name, put to its checks, all on the emulated CPU in a sandbox; nothing of them is run natively. The verdict comes from running: runs, dies-at-import, dies-in-use, unknown. Exit "
                   "status 1 where not all run.",
    .examples = "ironwheel triage numpy==2.2.0 pyarrow pandas\twhat would die on a Phenom II\n", .options = options, .run = run,
};
