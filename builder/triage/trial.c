/* A package on the emulated CPU: what trial.py said of it, each failure held against a control
 * under the same emulator's largest CPU, and the verdict. */
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "emulate/crash.h"
#include "triage/internal.h"

#define CONTROL_CPU "max"
#define IMPORT_TIMEOUT 1800
#define GRACE                                                                                      \
    900 /* seconds by the clock that a stage may take: its own time is the processor's             \
         */
#define FAILURES_LIMIT 200 /* held against the control, of one stage */
#define NOTES_LIMIT 30

struct trial {
    iw_attempt *attempt;
    const iw_recipe *recipe; /* may be NULL */
    iw_triage_row *row;
    json_t *modules; /* those that could be imported, and whose exports are called */
    json_t *lacking; /* what tests ask for and nobody brought: {name: [tests]} */
    json_t *counted; /* the failure that the verdict rests on, or NULL */
};

/* How long one takes nobody knows: it is bounded by the processor's time, and a busy machine gives
 * little of that. */
enum stage_number { IMPORTING, USING, COMPARING };

static void tell_stage(const struct trial *t, enum stage_number number)
{
    static const char *const words[] = {"import", "use", "compare"};
    iw_emit(&t->attempt->triage->sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                                  .subject = t->attempt->ask->lines.items[0],
                                                  .phase = words[number],
                                                  .unit = "stages",
                                                  .count = number,
                                                  .total = 3});
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = iw_json_get(object, key);
    return text ? text : "";
}

static bool is(const json_t *object, const char *key, const char *value)
{
    return strcmp(text_of(object, key), value) == 0;
}

/* --- the program and its plan --------------------------------------------- */

/* What names of code for another CPU look like, as regular expressions. */
static const struct {
    const char *feature, *names;
} marks[] = {
    {"ssse3", "ssse3|supplemental"},
    {"sse4.1", "sse4(?:[._]?1)?|penryn|x86.64.v2"},
    {"sse4.2", "sse4[._]?2|nehalem|crc32c.hw|x86.64.v2"},
    {"avx", "avx\\d*[a-z]*|sandy ?bridge|corei7.avx"},
    {"avx2", "avx2[a-z]*|haswell|zen\\d*|x86.64.v3|broadwell"},
    {"avx512f",
     "avx512[a-z_]*|avx10|skylake.?x?|skx|icl|icelake|cooperlake|spr|knl|x86.64.v4|amx[a-z_]*"},
    {"fma", "fma3?"},
    {"fma4", "fma4|bulldozer"},
    {"f16c", "f16c"},
    {"xop", "xop"},
    {"bmi2", "bmi2"},
    {"aes", "aes.?ni|vaes"},
    {"pclmul", "v?pclmul[a-z]*"},
};

static bool has(const iw_profile *profile, const char *feature)
{
    for (size_t i = 0; i < profile->features.count; i++)
        if (strcmp(profile->features.items[i], feature) == 0) return true;
    return false;
}

static json_t *lacking(const iw_profile *profile)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (has(profile, marks[i].feature)) continue;
        iw_cleanup_free char *one = iw_format("(?<![a-z0-9])(?:%s)(?![a-z0-9])", marks[i].names);
        json_array_append_new(list, json_string(one));
    }
    return list;
}

/* `only` and `calls`: what of it alone is done; NULL: all. References are kept. */
static json_t *make_plan(const struct trial *t, const char *what, unsigned seconds, json_t *only,
                         json_t *calls)
{
    const iw_attempt *a = t->attempt;
    json_t *plan = json_pack("{s:s,s:s,s:i,s:o,s:s}", "package", a->ask->package, "do", what,
                             "seconds", (int)seconds, "lacks", lacking(a->triage->options.profile),
                             "tests", "/run/tests");
    json_object_set_new(plan, "again", json_boolean(only != NULL));
    json_object_set_new(plan, "only", only ? json_incref(only) : json_object());
    json_object_set_new(plan, "calls", calls ? json_incref(calls) : json_object());
    json_object_set(plan, "extra", t->modules);
    json_object_set_new(plan, "suspects",
                        iw_json_texts((const char *const *)a->suspects.items, a->suspects.count));
    return plan;
}

/* The text of a check that runs it. Caller frees. */
static char *make_code(json_t *plan)
{
    iw_cleanup_free char *text = json_dumps(plan, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_t *quoted = json_string(text);
    iw_cleanup_free char *literal = json_dumps(quoted, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(quoted);
    json_decref(plan);
    return iw_format("import sys\nsys.pycache_prefix = '/run/bytecode'\n"
                     "sys.dont_write_bytecode = False\n"
                     "import json\nPLAN = json.loads(%s)\n%s",
                     literal, iw_trial_code);
}

/* --- running -------------------------------------------------------------- */

static int run_jobs(const iw_attempt *a, const iw_check *checks, size_t count, const char *cpu,
                    iw_check_result **results, iw_error *err)
{
    const iw_triage *t = a->triage;
    iw_cleanup_free char *logs = iw_path_join(a->logs, cpu ? cpu : "profile");
    iw_bind binds[5];
    iw_cleanup_free char *cache = iw_path_join(a->folder, "bytecode");
    iw_check_run run = {.environment = a->environment,
                        .toolchain_root = t->root,
                        .profile = t->options.profile,
                        .helpers = t->options.helpers,
                        .logs = logs,
                        .whole = true,
                        .force_emulator = true,
                        .cpu = cpu,
                        .binds = binds,
                        .parallel = t->parallel,
                        .cancel = t->options.fetch.cancel};
    if (iw_make_folders(cache, 0755, err) != 0) return -1;
    binds[run.bind_count++] = (iw_bind){IW_BIND_WRITABLE, cache, "/run/bytecode"};
    if (t->bytecode && !t->options.environment)
        binds[run.bind_count++] =
            (iw_bind){IW_BIND_READ_ONLY, t->bytecode, "/run/bytecode/usr/lib/python3.11"};
    if (a->tests) binds[run.bind_count++] = (iw_bind){IW_BIND_READ_ONLY, a->tests, "/run/tests"};
    if (a->tests && t->tools)
        binds[run.bind_count++] = (iw_bind){IW_BIND_READ_ONLY, t->tools, "/run/tools"};
    if (t->options.environment)
        binds[run.bind_count++] =
            (iw_bind){IW_BIND_READ_ONLY, t->options.environment, IW_TRIAGE_STACK};
    iw_check_job *jobs = iw_alloc((count + 1) * sizeof *jobs);
    for (size_t i = 0; i < count; i++) jobs[i] = (iw_check_job){a->ask->package, &checks[i]};
    int status = iw_run_checks(&run, jobs, count, results, err);
    free(jobs);
    return status;
}

static json_t *crash_of(const json_t *crashes, json_int_t pid)
{
    size_t i;
    json_t *crash;
    json_array_foreach(crashes, i, crash) if (json_integer_value(json_object_get(crash, "pid")) ==
                                              pid) return crash;
    return NULL;
}

/* A test that began and didn't end is the one that its process died in. */
static void name_test(json_t *item, json_t *running)
{
    iw_cleanup_free char *pid =
        iw_format("%lld", (long long)json_integer_value(json_object_get(item, "pid")));
    bool died = is(item, "end", "signal") || is(item, "end", "exit") || is(item, "end", "slow");
    if (is(item, "end", "start")) json_object_set(running, pid, json_object_get(item, "what"));
    else if (died && json_object_get(running, pid))
        json_object_set(item, "what", json_object_get(running, pid));
    else json_object_del(running, pid);
}

/* What the program said, with the crashes that were recorded; an array. */
static json_t *read_said(const iw_check_result *result)
{
    iw_cleanup_free char *text = NULL;
    json_t *said = json_array(), *crashes = json_array(), *running = json_object();
    iw_slice rest = iw_slice_of(result->crashes ? result->crashes : ""), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        json_t *crash = json_loadb(line.data, line.length, 0, NULL);
        if (crash) json_array_append_new(crashes, crash);
    }
    if (iw_read_file(result->log, IW_TRIAGE_REPORT_LIMIT, &text, NULL, NULL) == 0)
        rest = iw_slice_of(text);
    while (text && iw_slice_next(&rest, '\n', &line)) {
        const char *at = memchr(line.data, '\x1e', line.length);
        json_t *item =
            at ? json_loadb(at + 1, line.length - (size_t)(at + 1 - line.data), 0, NULL) : NULL;
        if (!json_is_object(item)) {
            json_decref(item);
            continue;
        }
        if (is(item, "kind", "test")) name_test(item, running);
        json_t *crash = crash_of(crashes, json_integer_value(json_object_get(item, "pid")));
        if (crash && is(item, "end", "signal")) json_object_set(item, "crash", crash);
        json_array_append_new(said, item);
    }
    json_decref(running);
    json_decref(crashes);
    return said;
}

static int run_one(const struct trial *t, const char *what, unsigned seconds, json_t *only,
                   json_t *calls, const char *cpu, json_t **said, iw_error *err)
{
    unsigned timeout = strcmp(what, "import") == 0 ? IMPORT_TIMEOUT : GRACE;
    iw_cleanup_free char *code = make_code(
        make_plan(t, what, strcmp(what, "import") == 0 ? IMPORT_TIMEOUT : seconds, only, calls));
    const iw_check check = {
        .name = what, .kind = IW_CHECK_PYTHON, .text = code, .timeout = timeout, .loopback = true};
    iw_check_result *result = NULL;
    if (run_jobs(t->attempt, &check, 1, cpu, &result, err) != 0) return -1;
    *said = read_said(result);
    iw_check_results_free(result, 1);
    return 0;
}

/* --- failures ------------------------------------------------------------- */

static void add_failure(json_t *failures, const json_t *item, json_int_t number, const char *why,
                        const char *file)
{
    if (json_array_size(failures) >= FAILURES_LIMIT) return;
    json_t *one = json_pack("{s:s,s:s,s:I,s:s,s:s,s:I}", "kind", text_of(item, "kind"), "what",
                            text_of(item, "what"), "number", number, "why", why, "file", file,
                            "signal", json_integer_value(json_object_get(item, "signal")));
    if (json_object_get(item, "crash"))
        json_object_set(one, "crash", json_object_get(item, "crash"));
    json_array_append_new(failures, one);
}

/* Calls tell of several combinations of arguments in one line. */
static void add_raised(json_t *failures, const json_t *item)
{
    size_t i;
    json_t *raised;
    json_array_foreach(json_object_get(item, "raised"), i, raised)
    {
        const char *why = json_string_value(json_array_get(raised, 1)),
                   *file = json_string_value(json_array_get(raised, 2));
        add_failure(failures, item, json_integer_value(json_array_get(raised, 0)), why ? why : "",
                    file ? file : "");
    }
}

static json_t *failures_of(const json_t *said)
{
    json_t *failures = json_array(), *item;
    size_t i;
    json_array_foreach(said, i, item)
    {
        bool signal = is(item, "end", "signal"), call = is(item, "kind", "call");
        if (call && !signal) add_raised(failures, item);
        else if (signal && *text_of(item, "what"))
            add_failure(failures, item, json_integer_value(json_object_get(item, "number")), "",
                        "");
        else if (is(item, "end", "raise") || is(item, "end", "exit"))
            add_failure(failures, item, 0,
                        is(item, "end", "exit") ? "it ended the process" : text_of(item, "why"),
                        text_of(item, "file"));
    }
    return failures;
}

/* {"import": [names]} and {"path": [numbers]} of some failures. */
static void wanted_of(const json_t *failures, json_t *only, json_t *calls)
{
    size_t i;
    json_t *one;
    json_array_foreach(failures, i, one)
    {
        bool call = is(one, "kind", "call");
        json_t *map = call ? calls : only;
        const char *key = call ? text_of(one, "what") : text_of(one, "kind");
        if (!json_object_get(map, key)) json_object_set_new(map, key, json_array());
        json_array_append(json_object_get(map, key),
                          json_object_get(one, call ? "number" : "what"));
    }
}

static bool holds_number(const json_t *numbers, json_int_t number)
{
    size_t i;
    json_t *one;
    json_array_foreach(numbers, i, one) if (json_integer_value(one) == number) return true;
    return false;
}

/* Whether the same thing came out well in `said`. */
static bool passes_in(const json_t *said, const json_t *failure)
{
    size_t i;
    json_t *item;
    json_int_t number = json_integer_value(json_object_get(failure, "number"));
    json_array_foreach(said, i, item)
    {
        if (!is(item, "kind", text_of(failure, "kind")) ||
            !is(item, "what", text_of(failure, "what")) || !is(item, "end", "ok"))
            continue;
        if (!is(item, "kind", "call") || holds_number(json_object_get(item, "passed"), number))
            return true;
    }
    return false;
}

/* Whether the package's own import loads that module or shared object. */
static bool loads(const json_t *said, const char *name, size_t length)
{
    size_t i, k;
    json_t *item, *one;
    json_array_foreach(said, i, item)
    {
        if (!is(item, "kind", "loaded")) continue;
        json_array_foreach(json_object_get(item, "names"), k, one)
        {
            const char *text = json_string_value(one);
            if (text && strlen(text) == length && strncmp(text, name, length) == 0) return true;
        }
    }
    return false;
}

/* Whether what failed is what the package itself loads on another CPU, and not on this one. */
static bool is_for_another(const json_t *said, const json_t *control, const json_t *failure)
{
    bool reached =
        is(failure, "kind", "import") || is(failure, "kind", "load") || is(failure, "kind", "call");
    const char *what = text_of(failure, "what");
    size_t length = strcspn(what, "|");
    return reached && loads(control, what, length) && !loads(said, what, length);
}

/* Whether it ended there by a signal, too. */
static bool falls_in(const json_t *said, const json_t *failure)
{
    size_t i;
    json_t *item;
    json_array_foreach(said, i, item)
    {
        if (is(item, "kind", text_of(failure, "kind")) &&
            is(item, "what", text_of(failure, "what")) && is(item, "end", "signal"))
            return true;
    }
    return false;
}

/* A missing instruction by its name needs no second look. */
static bool is_certain(const json_t *failure)
{
    return *text_of(json_object_get(failure, "crash"), "feature") != '\0';
}

/* "import of numpy", "call of pyopal.align", "call of m.Class().method". Caller frees. */
static char *name_of(const json_t *failure)
{
    static const char *const words[][2] = {{"top", "import of "}, {"import", "import of "},
                                           {"load", "loading "},  {"call", "call of "},
                                           {"test", "test "},     {"check", "check "}};
    const char *before = "";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is(failure, "kind", words[i][0])) before = words[i][1];
    iw_cleanup_buffer iw_buffer whole = {0};
    iw_buffer_add_text(&whole, before);
    for (const char *c = text_of(failure, "what"); *c; c++) {
        if (strcmp(c, "|*") == 0) {
            iw_buffer_add_text(&whole, ": its methods in turn");
            break;
        }
        if (*c != '|') iw_buffer_add_char(&whole, *c);
        else if (!iw_starts_with(c, "|()")) iw_buffer_add_char(&whole, '.');
    }
    return iw_triage_short(whole.data ? whole.data : "", whole.length);
}

/* Caller frees. */
static char *end_of(const json_t *failure)
{
    json_int_t number = json_integer_value(json_object_get(failure, "signal"));
    const char *why = text_of(failure, "why");
    if (number) return iw_format("SIG%s", iw_signal_name(number < 65 ? (int)number : 0));
    return iw_triage_short(why, strlen(why));
}

static void note(struct trial *t, const json_t *failure, const char *more)
{
    if (t->row->notes.count >= NOTES_LIMIT) return;
    iw_cleanup_free char *name = name_of(failure), *end = end_of(failure);
    iw_strings_add_format(&t->row->notes, "%s: %s%s", name, end, more);
}

/* The one that the verdict rests on: a signal before an exception, the first of its kind. */
static void count(struct trial *t, json_t *failure)
{
    bool better =
        !t->counted || (!json_object_get(t->counted, "crash") && json_object_get(failure, "crash"));
    if (!better) {
        note(t, failure, "");
        return;
    }
    if (t->counted) note(t, t->counted, "");
    json_decref(t->counted);
    t->counted = json_incref(failure);
}

/* --- the control ---------------------------------------------------------- */

/* Does the failures' things again, and only these. */
static int again(const struct trial *t, const char *what, const json_t *failures, const char *cpu,
                 json_t **said, iw_error *err)
{
    json_t *only = json_object(), *calls = json_object();
    unsigned seconds = t->attempt->triage->options.seconds;
    wanted_of(failures, only, calls);
    int status = run_one(t, what, seconds, only, calls, cpu, said, err);
    json_decref(only);
    json_decref(calls);
    return status;
}

/* Failures that the largest CPU doesn't share; the others are told, and count for nothing. An
 * instruction that this CPU lacks is shared where the other one falls, too: not where it went
 * further and raised, or wasn't done in time. */
static int sift(struct trial *t, const json_t *said, const json_t *failures, const json_t *control,
                json_t *left)
{
    size_t i, uncertain = 0;
    json_t *one;
    json_array_foreach(failures, i, one)
    {
        if (is_for_another(said, control, one)) {
            note(t, one, ", in what it loads itself on another CPU only");
        } else if (passes_in(control, one) || (is_certain(one) && !falls_in(control, one))) {
            json_array_append(left, one);
            uncertain += !is_certain(one);
        } else if (!is(one, "kind", "call") || json_object_get(one, "crash")) {
            note(t, one, ", on any CPU");
        }
    }
    return uncertain > 0;
}

/* Holds failures against the control, and what isn't certain against a second try. */
static int judge(struct trial *t, const char *what, const json_t *said, iw_error *err)
{
    json_t *failures = failures_of(said), *control = NULL, *second = NULL, *left = json_array(),
           *one;
    size_t i;
    int status = 0;
    if (json_array_size(failures)) {
        if (strcmp(what, "import") != 0) tell_stage(t, COMPARING);
        status = again(t, what, failures, CONTROL_CPU, &control, err);
        bool uncertain = status == 0 && sift(t, said, failures, control, left);
        if (uncertain) status = again(t, what, left, NULL, &second, err);
        json_array_foreach(left, i, one) if (status == 0)
        {
            if (is_certain(one) || !passes_in(second, one)) count(t, one);
            else note(t, one, ", once in two tries");
        }
    }
    json_decref(failures), json_decref(control), json_decref(second), json_decref(left);
    return status;
}

/* --- stages --------------------------------------------------------------- */

/* A test that couldn't run for want of what it asks for. */
static void add_lacking(struct trial *t, const json_t *item)
{
    const char *name = text_of(item, "lacks");
    if (!json_object_get(t->lacking, name)) json_object_set_new(t->lacking, name, json_array());
    json_array_append(json_object_get(t->lacking, name), json_object_get(item, "what"));
}

/* "tests not run, because nobody brings numpy: test_a.py and 2 more" */
static void note_lacking(struct trial *t)
{
    const char *name;
    json_t *tests;
    json_object_foreach(t->lacking, name, tests)
    {
        const char *first = json_string_value(json_array_get(tests, 0));
        size_t more = json_array_size(tests) - 1;
        iw_cleanup_free char *rest = more ? iw_format(" and %zu more", more) : iw_strdup("");
        iw_strings_add_format(&t->row->notes, "tests not run, because nobody brings %s: %s%s", name,
                              first ? first : "?", rest);
    }
}

static void tally(struct trial *t, const json_t *said)
{
    size_t i;
    json_t *item;
    json_array_foreach(said, i, item)
    {
        bool fine = is(item, "end", "ok");
        if (is(item, "end", "over") && t->row->notes.count < NOTES_LIMIT)
            iw_strings_add_format(&t->row->notes, "%s: %lld weren't reached in time",
                                  is(item, "kind", "call")     ? "calls"
                                  : is(item, "kind", "test")   ? "files of tests"
                                  : is(item, "kind", "import") ? "modules"
                                                               : "libraries",
                                  (long long)json_integer_value(json_object_get(item, "left")));
        if (is(item, "end", "slow")) note(t, item, "took too long");
        if (is(item, "end", "missing") && is(item, "kind", "test")) add_lacking(t, item);
        else if (is(item, "end", "missing")) note(t, item, "");
        if (!fine || json_is_true(json_object_get(item, "file_of_tests"))) continue;
        t->row->imported += is(item, "kind", "top") || is(item, "kind", "import");
        t->row->loaded += is(item, "kind", "load");
        t->row->called += is(item, "kind", "call");
        t->row->tested += is(item, "kind", "test");
        if (json_is_true(json_object_get(item, "call")))
            json_array_append(t->modules, json_object_get(item, "what"));
    }
}

static int stage(struct trial *t, const char *what, unsigned seconds, json_t **said, iw_error *err)
{
    if (run_one(t, what, seconds, NULL, NULL, NULL, said, err) != 0) return -1;
    tally(t, *said);
    return judge(t, what, *said, err);
}

/* Why the import failed where no CPU is at fault, and whether it did. */
static bool import_failed(struct trial *t, const json_t *said)
{
    json_t *failures = failures_of(said), *first = json_array_get(failures, 0), *item;
    bool none = true, failed = first != NULL;
    size_t i;
    json_array_foreach(said, i, item) none = none && is(item, "kind", "end");
    if (first && !t->counted) {
        iw_cleanup_free char *end = end_of(first);
        t->row->detail = json_integer_value(json_object_get(first, "signal"))
                             ? iw_format("%s while it is imported, on any CPU", end)
                             : iw_steal(&end);
        t->row->crash = NULL;
    }
    json_array_foreach(said, i, item)
    {
        if (is(item, "end", "none")) t->row->detail = iw_strdup("it installs no module");
        if (is(item, "end", "slow") && is(item, "kind", "top"))
            t->row->detail = iw_strdup("importing it took too long, emulated");
        failed = failed || is(item, "end", "none") || is(item, "end", "slow");
    }
    if (none && !failed) t->row->detail = iw_strdup("what tries it ended before it was done");
    json_decref(failures);
    return failed || none;
}

/* --- a recipe's checks ---------------------------------------------------- */

static const char use_code[] =
    "import sys\n"
    "sys.pycache_prefix = '/run/bytecode'\n"
    "sys.dont_write_bytecode = False\n"
    "import os\n"
    "sys.path[:] = [os.path.join(os.environ['IRONWHEEL_ENVIRONMENT'], '" IW_TRIAGE_SITE
    "')] + [path for path in sys.path if 'dist-packages' not in path]\n";

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

/* Why a check failed: the line of the last exception in its log, or how it ended. Caller frees. */
static char *why_failed(const iw_check_result *result)
{
    iw_cleanup_free char *log = NULL;
    const char *detail = result->detail ? result->detail : "";
    iw_slice rest, line, best = {detail, strcspn(detail, ";\n")};
    if (result->end == IW_CHECK_EXITED &&
        iw_read_file(result->log, IW_TRIAGE_REPORT_LIMIT, &log, NULL, NULL) == 0)
        for (rest = iw_slice_of(log); iw_slice_next(&rest, '\n', &line);)
            if (names_exception(line)) best = line;
    return iw_triage_short(best.data, best.length);
}

static json_t *failed_check(const iw_check_result *result)
{
    iw_cleanup_free char *why = why_failed(result);
    json_t *crash = result->crash ? json_loads(result->crash, 0, NULL) : NULL;
    json_t *failure = json_pack("{s:s,s:s,s:i,s:s,s:s,s:i}", "kind", "check", "what", result->name,
                                "number", 0, "why", why, "file", "", "signal", 0);
    if (crash) json_object_set_new(failure, "crash", crash);
    return failure;
}

/* One check's result here, and again under the largest CPU. */
static int judge_check(struct trial *t, const iw_check *check, const iw_check_result *result,
                       iw_error *err)
{
    iw_check_result *control = NULL;
    if (result->passed) {
        t->row->checked++;
        return 0;
    }
    json_t *failure = failed_check(result);
    int status = 0;
    if (result->end == IW_CHECK_SLOW) {
        note(t, failure, "");
    } else {
        status = run_jobs(t->attempt, check, 1, CONTROL_CPU, &control, err);
        if (status == 0 && control->passed) count(t, failure);
        else if (status == 0) note(t, failure, ", on any CPU");
        if (status == 0) iw_check_results_free(control, 1);
    }
    json_decref(failure);
    return status;
}

/* Calls, tests and a recipe's checks, side by side. */
static int use(struct trial *t, iw_error *err)
{
    const unsigned seconds = t->attempt->triage->options.seconds;
    size_t most = 2 + (t->recipe ? t->recipe->check_count : 0), count = 0, own;
    iw_check *checks = iw_alloc(most * sizeof *checks);
    iw_cleanup_strings iw_strings texts = {0};
    static const char *const stages[] = {"use", "tests"};
    for (size_t i = 0; i < 2; i++) {
        if (i == 1 && !t->attempt->tests) continue;
        iw_cleanup_free char *code = make_code(make_plan(t, stages[i], seconds, NULL, NULL));
        iw_strings_add(&texts, code);
        checks[count++] = (iw_check){
            .name = stages[i], .kind = IW_CHECK_PYTHON, .timeout = GRACE, .loopback = true};
    }
    own = count;
    for (size_t i = 0; t->recipe && i < t->recipe->check_count; i++) {
        if (t->recipe->checks[i].kind != IW_CHECK_PYTHON) continue;
        checks[count] = t->recipe->checks[i];
        iw_strings_add_format(&texts, "%s%s", use_code, checks[count].text);
        count++;
    }
    for (size_t i = 0; i < count; i++) checks[i].text = texts.items[i];
    iw_check_result *results = NULL;
    int status = run_jobs(t->attempt, checks, count, NULL, &results, err);
    for (size_t i = 0; i < count && status == 0; i++) {
        if (i >= own) {
            status = judge_check(t, &checks[i], &results[i], err);
            continue;
        }
        json_t *said = read_said(&results[i]);
        tally(t, said);
        status = judge(t, checks[i].name, said, err);
        json_decref(said);
    }
    note_lacking(t);
    if (results) iw_check_results_free(results, count);
    free(checks);
    return status;
}

/* --- the whole ------------------------------------------------------------ */

/* What died, in the row; the file of the site in *culprit. */
static void settle(struct trial *t, iw_triage_verdict verdict, char **culprit)
{
    static const char site[] = "/" IW_TRIAGE_SITE "/";
    json_t *crash = json_object_get(t->counted, "crash");
    const char *file = text_of(crash, "file"), *inside = strstr(file, site);
    t->row->verdict = verdict;
    t->row->what = name_of(t->counted);
    if (crash) t->row->crash = json_dumps(crash, JSON_COMPACT | JSON_PRESERVE_ORDER);
    else t->row->detail = end_of(t->counted);
    if (inside) *culprit = iw_strdup(inside + strlen(site));
    else if (*text_of(t->counted, "file")) *culprit = iw_strdup(text_of(t->counted, "file"));
}

static int go(struct trial *t, char **culprit, iw_error *err)
{
    iw_triage_row *row = t->row;
    json_t *said = NULL;
    tell_stage(t, IMPORTING);
    iw_triage_compile(t->attempt, t->attempt->site, IW_CHECK_ENVIRONMENT "/" IW_TRIAGE_SITE);
    int status = stage(t, "import", IMPORT_TIMEOUT, &said, err);
    bool failed = status == 0 && (import_failed(t, said) || t->counted);
    if (status == 0 && t->counted) settle(t, IW_TRIAGE_DIES_AT_IMPORT, culprit);
    if (status == 0 && !failed && !t->attempt->ask->briefly) {
        tell_stage(t, USING);
        iw_triage_find_tests(t->attempt, row->version ? row->version : "");
        const char *tools = t->attempt->tests ? iw_triage_tools(t->attempt->triage) : NULL;
        if (tools) iw_triage_compile(t->attempt, tools, "/run/tools");
        status = use(t, err);
    }
    if (status == 0 && !failed) {
        row->verdict = row->tested || row->checked ? IW_TRIAGE_RUNS : IW_TRIAGE_IMPORTS;
        if (t->counted) settle(t, IW_TRIAGE_DIES_IN_USE, culprit);
    }
    json_decref(said);
    return status;
}

int iw_triage_trial(iw_attempt *attempt, const iw_recipe *recipe, iw_triage_row *row,
                    char **culprit, iw_error *err)
{
    struct trial trial = {.attempt = attempt,
                          .recipe = recipe,
                          .row = row,
                          .modules = json_array(),
                          .lacking = json_object()};
    int status = go(&trial, culprit, err);
    json_decref(trial.modules);
    json_decref(trial.lacking);
    json_decref(trial.counted);
    return status;
}
