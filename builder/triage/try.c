/* One package of `triage`: brought by pip, audited, imported and used on the emulated CPU; results
 * are kept. */
#include "base/json.h"
#include "triage/triage.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "emulate/emulate.h"

#define REPORT_LIMIT (64u << 20)
#define REASON_LIMIT 240  /* bytes of what Python said, in a row */
#define MISSING_LIMIT 3   /* modules brought for a package that doesn't ask for them */
#define RESULT_FORMAT "2" /* of kept results: changes when trying gives other verdicts */

void iw_triage_row_clear(iw_triage_row *row)
{
    char *all[] = {row->package, row->version,        row->crash,
                   row->detail,  row->newest_working, row->oldest_failing};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    *row = (iw_triage_row){0};
}

char *iw_plain_name(const char *name)
{
    iw_cleanup_free char *own = iw_strndup(name, strcspn(name, "=<>!~[; "));
    return iw_project_name(own);
}

/* --- bringing the wheels -------------------------------------------------- */

/* At most REASON_LIMIT bytes of a line, without control characters; caller frees. */
static char *bounded(const char *data, size_t length)
{
    bool cut = length > REASON_LIMIT;
    for (length = cut ? REASON_LIMIT : length;
         cut && length && ((unsigned char)data[length] & 0xC0) == 0x80;)
        length--; /* between two characters of UTF-8 */
    iw_cleanup_free char *own = iw_format("%.*s%s", (int)length, data, cut ? "…" : "");
    return iw_triage_tame(own);
}

/* The last line that says something. Caller frees. */
static char *last_line(const char *text)
{
    iw_slice rest = iw_slice_of(text ? text : ""), line, best = {"", 0};
    while (iw_slice_next(&rest, '\n', &line)) {
        line = iw_slice_trim(line);
        if (line.length) best = line;
    }
    return bounded(best.data, best.length);
}

/* "RuntimeError: …", "a.b.Error: …" or "AssertionError" alone, where Python's traceback ends. */
static bool names_exception(iw_slice line)
{
    size_t length = 0;
    while (length < line.length && (isalnum((unsigned char)line.data[length]) ||
                                    line.data[length] == '_' || line.data[length] == '.'))
        length++;
    iw_cleanup_free char *name = iw_strndup(line.data, length);
    return (iw_ends_with(name, "Error") || iw_ends_with(name, "Exception")) &&
           (length == line.length || line.data[length] == ':');
}

/* The last exception in what Python said, with the lines that follow it as long as there is room:
 * its message may have several, and the first seldom says why. "" where there is none. Caller
 * frees. */
static char *last_exception(const char *text)
{
    iw_slice rest = iw_slice_of(text), line;
    iw_buffer why = {0};
    while (iw_slice_next(&rest, '\n', &line)) {
        if (names_exception(line)) iw_buffer_clear(&why);
        else if (!why.length || why.length + line.length > REASON_LIMIT) continue;
        line = iw_slice_trim(line);
        if (line.length)
            iw_buffer_add_format(&why, "%s%.*s", why.length ? " " : "", (int)line.length,
                                 line.data);
    }
    return iw_buffer_take(&why);
}

/* Why a check failed without a crash: what Python raised, by its log, or its last words; or that it
 * took too long. Caller frees. */
static char *why_failed(const iw_check_result *result)
{
    const char *detail = result->detail ? result->detail : "";
    iw_cleanup_free char *log = NULL;
    if (result->end != IW_CHECK_EXITED) {
        iw_cleanup_free char *first = iw_strndup(detail, strcspn(detail, ";\n"));
        return bounded(first, strlen(first));
    }
    if (iw_read_file(result->log, REPORT_LIMIT, &log, NULL, NULL) != 0) return last_line(detail);
    iw_cleanup_free char *exception = last_exception(log);
    return *exception ? bounded(exception, strlen(exception)) : last_line(detail);
}

/* Why pip brought nothing, from what it said; caller frees. */
static char *why_not_brought(const char *said)
{
    if (strstr(said, "No matching distribution found"))
        return iw_strdup(
            "no wheel is published for this Python: pip would build it from source, for this host");
    const char *error = NULL;
    for (const char *at = said; (at = strstr(at, "ERROR: ")) != NULL; at++)
        error = at + strlen("ERROR: ");
    iw_cleanup_free char *line = error ? iw_strndup(error, strcspn(error, "\n")) : NULL;
    return error ? iw_triage_tame(line) : last_line(said);
}

/* Ctrl-C ends it, too: a download of gigabytes isn't waited for. */
static int run_until_stopped(const iw_triage *t, const iw_command *command, int *status,
                             iw_error *err)
{
    pid_t pid;
    if (iw_spawn(command, &pid, err) != 0) return -1;
    int ended = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd polled[2] = {{ended, POLLIN, 0}, {t->cancel, POLLIN, 0}};
    while (ended >= 0 && poll(polled, 2, -1) < 0 && errno == EINTR) continue;
    bool stopped = polled[1].revents && !polled[0].revents;
    if (stopped) kill(pid, SIGTERM);
    iw_close_fd(&ended);
    if (iw_wait(pid, status, err) != 0) return -1;
    return stopped ? iw_fail(err, IW_E_CANCELLED, "stopped while pip ran") : 0;
}

/* What it prints goes to files: it may be long, and nobody reads it meanwhile. */
static int run_pip(const iw_triage *t, const char *const *argv, const char *const *environment,
                   char **out, iw_error *err)
{
    iw_cleanup_free char *said = iw_path_join(t->work, "pip.out"),
                         *complained = iw_path_join(t->work, "pip.err"), *text = NULL;
    iw_command command = {.argv = argv,
                          .environment = environment,
                          .in = -1,
                          .own_group = true,
                          .die_with_parent = true};
    int status = 0, result = -1;
    command.out = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    command.error = open(complained, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (command.out < 0 || command.error < 0)
        iw_fail_errno(err, IW_E_IO, "can't write in %s", t->work);
    else result = run_until_stopped(t, &command, &status, err);
    if (command.out >= 0) close(command.out);
    if (command.error >= 0) close(command.error);
    if (result == 0 && status == 0)
        return out ? iw_read_file(said, REPORT_LIMIT, out, NULL, err) : 0;
    if (result != 0 || iw_read_file(complained, REPORT_LIMIT, &text, NULL, err) != 0) return -1;
    iw_cleanup_free char *why = why_not_brought(text);
    return iw_fail(err, IW_E_IO, "%s", why);
}

int iw_triage_pip(const iw_triage *t, const iw_strings *arguments, char **out, iw_error *err)
{
    static const char *const always[] = {"-I",         "-m", "pip", "--disable-pip-version-check",
                                         "--no-input", NULL};
    static const char *const kept[] = {"HOME",
                                       "PATH",
                                       "PIP_INDEX_URL",
                                       "PIP_EXTRA_INDEX_URL",
                                       "PIP_CONFIG_FILE",
                                       "PIP_CERT",
                                       "SSL_CERT_FILE",
                                       "http_proxy",
                                       "https_proxy",
                                       "no_proxy",
                                       "XDG_CONFIG_HOME",
                                       "XDG_CACHE_HOME"};
    iw_cleanup_free char *python = iw_path_join(t->environment, "bin/python3");
    iw_cleanup_strings iw_strings argv = {0}, environment = {0};
    iw_strings_add(&argv, python);
    iw_strings_add_all(&argv, always);
    iw_strings_add_all(&argv, (const char *const *)arguments->items);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (getenv(kept[i])) iw_strings_add_format(&environment, "%s=%s", kept[i], getenv(kept[i]));
    iw_strings_add(&environment, "LC_ALL=C.UTF-8");
    iw_strings_add_format(&environment, "TMPDIR=%s",
                          t->work); /* gigabytes, perhaps, that /tmp may not hold */
    return run_pip(t, (const char *const *)argv.items, (const char *const *)environment.items, out,
                   err);
}

/* What pip is asked for: the package, then what it was found to import without asking for it. */
struct wanted {
    const char *package; /* plain name */
    iw_strings all;
};

/* Every pin that was given holds for what the others need, too: the wheels around one are those
 * that the user has. */
static int write_constraints(const iw_triage *t, const struct wanted *wanted, const char *path,
                             iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0};
    for (size_t i = 0; i < t->pins.count; i++) {
        iw_cleanup_free char *name = iw_plain_name(t->pins.items[i]);
        if (strcmp(name, wanted->package) != 0)
            iw_buffer_add_format(&text, "%s\n", t->pins.items[i]);
    }
    return iw_write_file(path, text.data ? text.data : "", text.length, 0644, err);
}

/* pip runs natively, but nothing of what it brings: wheels only, not compiled, into a folder of
 * their own. Dry: only the report of what would come. */
static int bring(const iw_triage *t, const struct wanted *wanted, const char *report, bool dry,
                 iw_error *err)
{
    iw_cleanup_free char *site = iw_path_join(t->environment, IW_TRIAGE_SITE);
    iw_cleanup_strings iw_strings arguments = {0};
    const char *const common[] = {"install", "--quiet", "--only-binary", ":all:", "--report",
                                  report,    NULL},
                      *const real[] = {"--no-compile", "--target", site, NULL};
    static const char *const rehearsal[] = {"--dry-run", "--ignore-installed", NULL};
    if (!dry && iw_remove_tree(site, err) != 0) return -1;
    iw_strings_add_all(&arguments, common);
    iw_strings_add_all(&arguments, dry ? rehearsal : real);
    iw_cleanup_free char *constraints = iw_path_join(t->work, "constraints.txt");
    if (write_constraints(t, wanted, constraints, err) != 0) return -1;
    iw_strings_add(&arguments, "--constraint");
    iw_strings_add(&arguments, constraints);
    iw_strings_add(&arguments, "--");
    iw_strings_add_all(&arguments, (const char *const *)wanted->all.items);
    return iw_triage_pip(t, &arguments, NULL, err);
}

/* What pip can't bring is unknown, but a stop is no reason. */
static int not_brought(iw_triage_row *row, iw_error *why, iw_error *err)
{
    int status =
        why->kind == IW_E_CANCELLED ? iw_fail(err, why->kind, "%s", iw_error_text(why)) : 0;
    if (status == 0) row->detail = iw_strdup(iw_error_text(why));
    iw_error_clear(why);
    return status;
}

/* The wheel's digest as the index told it; NULL where it didn't. */
static const char *digest_of(const json_t *item)
{
    const json_t *archive = json_object_get(json_object_get(item, "download_info"), "archive_info");
    return iw_json_get(json_object_get(archive, "hashes"), "sha256");
}

/* Name and version that were asked for, as pip resolved them; the digests of all wheels, one a
 * line, sorted: "" where one is unknown. */
static int read_report(const char *path, iw_triage_row *row, char **digests, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    iw_cleanup_strings iw_strings lines = {0};
    json_error_t why;
    bool whole = true;
    if (iw_read_file(path, REPORT_LIMIT, &text, NULL, err) != 0) return -1;
    json_t *report = json_loads(text, 0, &why), *install = json_object_get(report, "install"),
           *item;
    size_t index;
    json_array_foreach(install, index, item)
    {
        json_t *metadata = json_object_get(item, "metadata");
        const char *name = iw_json_get(metadata, "name"),
                   *version = iw_json_get(metadata, "version");
        iw_cleanup_free char *plain = name ? iw_plain_name(name) : NULL;
        if (plain && version && strcmp(plain, row->package) == 0 && !row->version)
            row->version = iw_strdup(version);
        whole = whole && digest_of(item);
        iw_strings_add_format(&lines, "%s %s", plain ? plain : "",
                              digest_of(item) ? digest_of(item) : "");
    }
    json_decref(report);
    iw_strings_sort(&lines);
    iw_buffer all = {0};
    for (size_t i = 0; i < lines.count && whole; i++)
        iw_buffer_add_format(&all, "%s\n", lines.items[i]);
    *digests = iw_buffer_take(&all);
    return 0;
}

/* --- trying them ---------------------------------------------------------- */

/* Finds what the distribution installs, by its RECORD, and imports that: its own name where it has
 * such a module, else all that stand at the top. */
static const char import_code[] =
    "import importlib, importlib.metadata, os, re, sys\n"
    "site = os.path.join(os.environ['IRONWHEEL_ENVIRONMENT'], '" IW_TRIAGE_SITE "')\n"
    "sys.path.insert(0, site)\n"
    "name = %s\n"
    "files = importlib.metadata.distribution(name).files or []\n"
    "tops = set()\n"
    "for file in files:\n"
    "    first = file.parts[0]\n"
    "    if first.endswith(('.dist-info', '.data', '.libs')) or first in ('..', 'bin', "
    "'__pycache__', 'share', 'include', 'lib'):\n"
    "        continue\n"
    "    if len(file.parts) == 1 and not first.endswith(('.py', '.so')):\n"
    "        continue\n"
    "    top = first.split('.')[0]\n"
    "    if top.isidentifier() and top not in ('tests', 'test', 'docs', 'examples', "
    "'benchmarks'):\n"
    "        tops.add(top)\n"
    "own = re.sub('[-_.]+', '_', name).lower()\n"
    "named = [top for top in tops if top.lower() == own]\n"
    "chosen = named or sorted(top for top in tops if not top.startswith('_')) or sorted(tops)\n"
    "assert chosen, 'it installs no module'\n"
    "for top in chosen:\n"
    "    importlib.import_module(top)\n";

static const char use_code[] =
    "import os, sys\n"
    "sys.path.insert(0, os.path.join(os.environ['IRONWHEEL_ENVIRONMENT'], '" IW_TRIAGE_SITE "'))\n";

static int try_code(const iw_triage *t, const char *package, const char *name, const char *code,
                    unsigned timeout, iw_check_result **result, iw_error *err)
{
    iw_cleanup_free char *logs = iw_path_join(
        t->work, "logs"); /* of this run alone: others may try the same package at the same time */
    iw_check check = {
        .name = name, .kind = IW_CHECK_PYTHON, .text = code, .timeout = timeout, .loopback = true};
    iw_check_run run = {.environment = t->environment,
                        .toolchain_root = t->root,
                        .profile = t->profile,
                        .helpers = t->helpers,
                        .logs = logs,
                        .wheels = true,
                        .cancel = t->cancel};
    return iw_run_checks(&run, &(iw_check_job){package, &check}, 1, result, err);
}

static int try_import(const iw_triage *t, iw_triage_row *row, iw_error *err)
{
    json_t *quoted = json_string(row->package);
    iw_cleanup_free char *literal = json_dumps(quoted, JSON_ENCODE_ANY | JSON_ENSURE_ASCII),
                         *code = iw_format(import_code, literal);
    json_decref(quoted);
    iw_check_result *result = NULL;
    if (try_code(t, row->package, "import", code, 1800, &result, err) != 0) return -1;
    row->verdict = result->passed ? "runs" : result->crash ? "dies-at-import" : "unknown";
    row->crash = iw_steal(&result->crash);
    if (!result->passed && !row->crash) row->detail = why_failed(result);
    iw_check_results_free(result, 1);
    return 0;
}

/* The newest recipe of that name, whose checks tell how the package is used; NULL where there is
 * none. */
static const iw_recipe *recipe_of(const iw_triage *t, const char *name)
{
    iw_list versions;
    const iw_recipe *recipe = NULL;
    iw_error none = IW_ERROR_INIT;
    if (iw_catalog_versions(t->catalog, name, &versions, &none) == 0 && versions.count)
        iw_catalog_recipe(t->catalog, name, versions.items[versions.count - 1], &recipe, &none);
    iw_error_clear(&none);
    return recipe;
}

/* Only a crash counts: a check may hold what our build alone has. What else failed is told. */
static int try_use(const iw_triage *t, iw_triage_row *row, iw_error *err)
{
    const iw_recipe *recipe = recipe_of(t, row->package);
    for (size_t i = 0; recipe && i < recipe->check_count && strcmp(row->verdict, "runs") == 0;
         i++) {
        const iw_check *check = &recipe->checks[i];
        if (check->kind != IW_CHECK_PYTHON) continue;
        iw_cleanup_free char *code = iw_format("%s%s", use_code, check->text);
        iw_check_result *result = NULL;
        if (try_code(t, row->package, check->name, code, check->timeout, &result, err) != 0)
            return -1;
        if (result->crash) {
            row->verdict = "dies-in-use";
            row->crash = iw_steal(&result->crash);
            free(iw_steal(&row->detail));
        } else if (!result->passed) {
            iw_cleanup_free char *why = why_failed(result), *before = iw_steal(&row->detail);
            row->detail = iw_format("%s%scheck %s failed, without a crash: %s",
                                    before ? before : "", before ? "; " : "", check->name, why);
        }
        iw_check_results_free(result, 1);
    }
    return 0;
}

static int count_findings(const iw_triage *t, iw_triage_row *row, iw_error *err)
{
    iw_cleanup_free char *site = iw_path_join(t->environment, IW_TRIAGE_SITE);
    iw_audit_options options = {.profile = t->profile};
    iw_audit_summary summary = {0};
    int status = iw_audit_paths((const char *const[]){site}, 1, &options, &summary, err);
    for (size_t i = 0; i < summary.count_count; i++) row->findings += summary.counts[i].count;
    iw_audit_summary_clear(&summary);
    return status;
}

/* --- results that are kept ------------------------------------------------ */

static const char *verdict_named(const char *name)
{
    static const char *const all[] = {"runs", "dies-at-import", "dies-in-use", "unknown", NULL};
    for (size_t i = 0; name && all[i]; i++)
        if (strcmp(all[i], name) == 0) return all[i];
    return NULL;
}

/* Over everything that a verdict depends on: the wheels, the CPU, the Python and emulator around
 * them, and what is done with them. Caller frees. */
static char *result_path(const iw_triage *t, const iw_triage_row *row, const char *digests)
{
    char key[IW_SHA256_HEX];
    const iw_recipe *recipe = recipe_of(t, row->package);
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "format", RESULT_FORMAT);
    iw_hash_add_field(hash, "package", row->package);
    iw_hash_add_field(hash, "wheels", digests);
    iw_hash_add_field(hash, "profile", t->profile->meaning);
    iw_hash_add_field(hash, "emulator", t->profile->emulator_cpu);
    iw_hash_add_field(hash, "around", t->identity);
    iw_hash_add_field(hash, "import", import_code);
    iw_hash_add_field(hash, "use", use_code);
    for (size_t i = 0; recipe && i < recipe->check_count; i++)
        if (recipe->checks[i].kind == IW_CHECK_PYTHON)
            iw_hash_add_field(hash, recipe->checks[i].name, recipe->checks[i].text);
    iw_hash_finish(hash, key);
    iw_hash_free(hash);
    iw_cleanup_free char *folder = iw_store_path(t->store, "history", "triage");
    return iw_format("%s/%s.json", folder, key);
}

/* A damaged or missing file is no result. */
static bool take_kept(const char *path, iw_triage_row *row)
{
    iw_cleanup_free char *text = NULL;
    json_error_t why;
    if (iw_read_file(path, 1 << 20, &text, NULL, NULL) != 0) return false;
    json_t *object = json_loads(text, 0, &why);
    const char *verdict = verdict_named(iw_json_get(object, "verdict"));
    const char *crash = iw_json_get(object, "crash"), *detail = iw_json_get(object, "detail");
    if (verdict) {
        row->verdict = verdict;
        row->crash = crash ? iw_strdup(crash) : NULL;
        row->detail = detail ? iw_strdup(detail) : NULL;
        row->findings = (uint64_t)json_integer_value(json_object_get(object, "findings"));
        row->kept = true;
    }
    json_decref(object);
    return verdict != NULL;
}

static int keep(const char *path, const iw_triage_row *row, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_parent(path);
    json_t *object = json_pack("{s:s,s:s,s:s,s:s?,s:s?,s:I}", "package", row->package, "version",
                               row->version, "verdict", row->verdict, "crash", row->crash, "detail",
                               row->detail, "findings", (json_int_t)row->findings);
    iw_cleanup_free char *text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(object);
    return iw_make_folders(folder, 0755, err) || iw_write_file(path, text, strlen(text), 0644, err)
               ? -1
               : 0;
}

/* --- the whole ------------------------------------------------------------ */

static int try_anew(iw_triage *t, const struct wanted *wanted, const char *report,
                    iw_triage_row *row, iw_error *err)
{
    iw_error why = IW_ERROR_INIT;
    iw_cleanup_free char *digests = NULL;
    if (bring(t, wanted, report, false, &why) != 0) return not_brought(row, &why, err);
    free(iw_steal(&row->version)); /* what came counts, not what was to come */
    if (read_report(report, row, &digests, err) || count_findings(t, row, err) ||
        try_import(t, row, err) || try_use(t, row, err))
        return -1;
    if (!row->version || !*digests) return 0;
    iw_cleanup_free char *path = result_path(t, row, digests);
    return keep(path, row, err);
}

static int try_wanted(iw_triage *t, const struct wanted *wanted, iw_triage_row *row, iw_error *err)
{
    iw_cleanup_free char *report = iw_path_join(t->work, "report.json"), *digests = NULL,
                         *path = NULL;
    iw_error why = IW_ERROR_INIT;
    row->package = iw_strdup(wanted->package);
    row->verdict = "unknown";
    if (bring(t, wanted, report, true, &why) != 0) return not_brought(row, &why, err);
    if (read_report(report, row, &digests, err) != 0) return -1;
    if (!row->version) {
        row->detail =
            iw_strdup("pip wouldn't install it for this Python: its marker leaves it out");
        return 0;
    }
    path = result_path(t, row, digests);
    if (!t->again && *digests && take_kept(path, row)) return 0;
    return try_anew(t, wanted, report, row, err);
}

/* A module that the package imports and doesn't ask for: what to bring beside it, at the pin that
 * was given. Caller frees; NULL where nothing can be done. */
static char *what_is_missing(const iw_triage *t, const struct wanted *wanted,
                             const iw_triage_row *row)
{
    static const char says[] = "ModuleNotFoundError: No module named '";
    const char *at =
        strcmp(row->verdict, "unknown") == 0 && row->detail ? strstr(row->detail, says) : NULL;
    if (!at || wanted->all.count > MISSING_LIMIT) return NULL;
    at += strlen(says);
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    iw_cleanup_free char *module = iw_strndup(at, length), *name = iw_plain_name(module);
    if (!*name || strcmp(name, wanted->package) == 0) return NULL;
    for (size_t i = 0; i < wanted->all.count; i++) {
        iw_cleanup_free char *have = iw_plain_name(wanted->all.items[i]);
        if (strcmp(have, name) == 0) return NULL;
    }
    for (size_t i = 0; i < t->pins.count; i++) {
        iw_cleanup_free char *pinned = iw_plain_name(t->pins.items[i]);
        if (strcmp(pinned, name) == 0) return iw_strdup(t->pins.items[i]);
    }
    return iw_steal(&name);
}

int iw_triage_try(iw_triage *t, const char *requirement, iw_triage_row *row, iw_error *err)
{
    iw_cleanup_free char *package = iw_plain_name(requirement), *more = NULL;
    struct wanted wanted = {.package = package};
    int status;
    iw_strings_add(&wanted.all, requirement);
    iw_emit(t->sink,
            (iw_event){.type = IW_EVENT_STARTED, .subject = requirement, .phase = "triage"});
    while ((status = try_wanted(t, &wanted, row, err)) == 0 &&
           (more = what_is_missing(t, &wanted, row)) != NULL) {
        iw_emit(t->sink,
                (iw_event){.type = IW_EVENT_NOTE, .subject = requirement, .detail = row->detail});
        iw_strings_add(&wanted.all, more);
        free(iw_steal(&more));
        iw_triage_row_clear(row);
    }
    for (size_t i = 1; status == 0 && i < wanted.all.count && !row->detail; i++)
        row->detail = iw_format("%s imports %s and doesn't ask for it: tried with it", row->package,
                                wanted.all.items[i]);
    if (status == 0)
        iw_emit(t->sink, (iw_event){.type = IW_EVENT_FINISHED,
                                    .subject = requirement,
                                    .phase = "triage",
                                    .detail = row->kept ? "known" : "tried"});
    iw_strings_free(&wanted.all);
    return status;
}
