#include "emulate/emulate.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "base/text.h"
#include "build/host.h"
#include "build/sandbox.h"
#include "emulate/cpuid.h"
#include "emulate/crash.h"

#define EMULATOR "/opt/iw-tools/qemu-x86_64-static"
#define CRASH_LIBRARY "/opt/iw-tools/iw-crash.so"
#define CRASH_RECORDS "/run/crash"
#define TAIL_LINES 20

bool iw_host_is_profile(const iw_profile *profile)
{
    for (const char *const *feature = iw_cpu_features(); *feature; feature++) {
        bool allowed = false;
        for (size_t i = 0; i < profile->features.count && !allowed; i++)
            allowed = strcmp(profile->features.items[i], *feature) == 0;
        if (iw_cpu_has(iw_cpuid_host, NULL, *feature) != allowed) return false;
    }
    return true;
}

void iw_check_results_free(iw_check_result *results, size_t count)
{
    for (size_t i = 0; results && i < count; i++) {
        free(results[i].package);
        free(results[i].name);
        free(results[i].profile);
        free(results[i].how);
        free(results[i].detail);
        free(results[i].log);
        free(results[i].crash);
        free(results[i].crashes);
    }
    free(results);
}

static bool is_native(const iw_check_run *run)
{
    return !run->force_emulator && !run->cpu && iw_host_is_profile(run->profile);
}

static const char *model_of(const iw_check_run *run)
{
    return run->cpu ? run->cpu : run->profile->emulator_cpu;
}

/* --- the root: the environment, glibc, and what a script's first lines need --- */

struct binds {
    iw_bind *items;
    size_t count, capacity;
};

static void bind(struct binds *binds, iw_bind_kind kind, char *from, char *to)
{
    iw_grow((void **)&binds->items, &binds->capacity, binds->count + 1, sizeof *binds->items);
    binds->items[binds->count++] = (iw_bind){kind, from, to};
}

static void binds_free(struct binds *binds)
{
    for (size_t i = 0; i < binds->count; i++) {
        free((char *)(uintptr_t)binds->items[i].from);
        free((char *)(uintptr_t)binds->items[i].to);
    }
    free(binds->items);
}

/* glibc's own libraries and loader (Debian's libc6), at the paths where every distribution has them
 * or looks. */
static void bind_glibc(struct binds *binds, const char *root)
{
    static const char *const names[] = {"ld-linux-x86-64.so.2",
                                        "libc.so.6",
                                        "libm.so.6",
                                        "libdl.so.2",
                                        "libpthread.so.0",
                                        "librt.so.1",
                                        "libutil.so.1",
                                        "libresolv.so.2",
                                        "libanl.so.1",
                                        "libnss_files.so.2",
                                        "libnss_dns.so.2",
                                        "libmvec.so.1",
                                        NULL};
    for (size_t i = 0; names[i]; i++) {
        char *from = iw_format("%s/usr/lib/x86_64-linux-gnu/%s", root, names[i]);
        if (!iw_exists(from)) {
            free(from);
            continue;
        }
        bind(binds, IW_BIND_READ_ONLY, from, iw_format("/lib/x86_64-linux-gnu/%s", names[i]));
    }
    bind(binds, IW_BIND_READ_ONLY,
         iw_format("%s/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", root),
         iw_strdup("/lib64/ld-linux-x86-64.so.2"));
}

/* A relocatable script starts as a shell script: the shell, and the programs that its header may
 * call. None needs more than glibc. */
static void bind_shell(struct binds *binds, const char *root)
{
    static const char *const names[] = {"env", "dirname", "basename", "readlink", "realpath",
                                        "cat", "true",    "false",    NULL};
    bind(binds, IW_BIND_READ_ONLY, iw_format("%s/usr/bin/dash", root), iw_strdup("/bin/sh"));
    for (size_t i = 0; names[i]; i++) {
        char *from = iw_format("%s/usr/bin/%s", root, names[i]);
        bind(binds, IW_BIND_READ_ONLY, from, iw_format("/usr/bin/%s", names[i]));
    }
    bind(binds, IW_BIND_LINK, iw_strdup("../usr/bin/env"), iw_strdup("/bin/env"));
}

/* The whole of /usr, merged as Debian has it. */
static void bind_usr(struct binds *binds, const char *root)
{
    static const char *const links[] = {"bin", "lib", "lib64", NULL};
    bind(binds, IW_BIND_READ_ONLY, iw_format("%s/usr", root), iw_strdup("/usr"));
    for (size_t i = 0; links[i]; i++)
        bind(binds, IW_BIND_LINK, iw_format("usr/%s", links[i]), iw_format("/%s", links[i]));
}

/* Where things are, as a check sees them. Owned texts. */
struct places {
    char *environment, *trace, *init, *crash, *emulator, *records, *text, *scratch;
};

static void places_free(struct places *p)
{
    char *all[] = {p->environment, p->trace,   p->init, p->crash,
                   p->emulator,    p->records, p->text, p->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static struct places boxed_places(void)
{
    return (struct places){iw_strdup(IW_CHECK_ENVIRONMENT),
                           iw_strdup("/opt/iw-tools/iw-trace"),
                           iw_strdup("/opt/iw-tools/iw-init"),
                           iw_strdup(CRASH_LIBRARY),
                           iw_strdup(EMULATOR),
                           iw_strdup(CRASH_RECORDS),
                           iw_strdup("/run/check"),
                           iw_strdup("/tmp")};
}

/* NULL where there is none. Caller frees. */
static char *host_emulator(void)
{
    char *emulator = iw_host_find("qemu-x86_64-static");
    return emulator ? emulator : iw_host_find("qemu-x86_64");
}

/* Without a sandbox: where they are on the host. */
static int host_places(const iw_check_run *run, const char *folder, const char *records,
                       const char *text, struct places *places, iw_error *err)
{
    char *emulator = host_emulator();
    *places = (struct places){iw_strdup(run->environment),
                              iw_path_join(run->helpers, "iw-trace"),
                              iw_path_join(run->helpers, "iw-init"),
                              iw_path_join(run->helpers, "iw-crash.so"),
                              emulator,
                              iw_strdup(records),
                              iw_strdup(text ? text : ""),
                              iw_path_join(folder, "scratch")};
    if (emulator)
        return iw_remove_tree(places->scratch, err) || iw_make_folders(places->scratch, 0700, err)
                   ? -1
                   : 0;
    return iw_fail(err, IW_E_ENVIRONMENT,
                   "checks without a sandbox need qemu-x86_64-static or qemu-x86_64 in PATH "
                   "(Debian: `sudo apt install qemu-user-static`)");
}

static void bind_all(struct binds *binds, const iw_check_run *run)
{
    if (run->whole) {
        bind_usr(binds, run->toolchain_root);
    } else {
        bind_glibc(binds, run->toolchain_root);
        bind_shell(binds, run->toolchain_root);
    }
    bind(binds, IW_BIND_READ_ONLY, iw_strdup(run->environment), iw_strdup(IW_CHECK_ENVIRONMENT));
    bind(binds, IW_BIND_READ_ONLY, iw_path_join(run->helpers, "iw-trace"),
         iw_strdup("/opt/iw-tools/iw-trace"));
    bind(binds, IW_BIND_READ_ONLY, iw_path_join(run->helpers, "iw-init"),
         iw_strdup("/opt/iw-tools/iw-init"));
    bind(binds, IW_BIND_READ_ONLY, iw_path_join(run->helpers, "iw-crash.so"),
         iw_strdup(CRASH_LIBRARY));
    bind(binds, IW_BIND_READ_ONLY,
         run->emulator ? iw_strdup(run->emulator)
                       : iw_format("%s/usr/bin/qemu-x86_64-static", run->toolchain_root),
         iw_strdup(EMULATOR));
}

/* --- one check ------------------------------------------------------------ */

static void add_command(iw_strings *argv, const iw_check *check, const struct places *places)
{
    switch (check->kind) {
    case IW_CHECK_IMPORT: {
        iw_buffer code = {0};
        iw_buffer_add_text(&code, "import ");
        for (size_t i = 0; i < check->arguments.count; i++)
            iw_buffer_add_format(&code, "%s%s", i ? ", " : "", check->arguments.items[i]);
        iw_strings_add_format(argv, "%s/bin/python3", places->environment);
        iw_strings_add(argv, "-c");
        iw_strings_add(argv, code.data);
        iw_buffer_free(&code);
        break;
    }
    case IW_CHECK_PYTHON:
        iw_strings_add_format(argv, "%s/bin/python3", places->environment);
        iw_strings_add(argv, places->text);
        break;
    case IW_CHECK_SHELL:
        iw_strings_add(argv, "/bin/sh");
        iw_strings_add(argv, "-eu");
        iw_strings_add(argv, places->text);
        break;
    case IW_CHECK_COMMAND:
        iw_strings_add_format(argv, "%s/%s", places->environment, check->arguments.items[0]);
        iw_strings_add_all(argv, check->arguments.items + 1);
        break;
    }
}

struct output { /* the last lines, for the message */
    iw_strings lines;
};

static void keep_line(void *context, const char *line)
{
    struct output *output = context;
    iw_strings_add(&output->lines, line);
    if (output->lines.count <= 4 * TAIL_LINES) return;
    iw_strings kept = {0};
    iw_strings_add_all(&kept,
                       (const char *const *)output->lines.items + output->lines.count - TAIL_LINES);
    iw_strings_free(&output->lines);
    output->lines = kept;
}

static char *tail(const struct output *output)
{
    iw_buffer text = {0};
    size_t from = output->lines.count > TAIL_LINES ? output->lines.count - TAIL_LINES : 0;
    for (size_t i = from; i < output->lines.count; i++)
        iw_buffer_add_format(&text, "  %s\n", output->lines.items[i]);
    return iw_buffer_take(&text);
}

/* What died in it, and what made code at run time, by the records. */
static int read_records(const iw_check_run *run, const char *records, const struct output *output,
                        const char *seen, iw_check_result *result, iw_buffer *text, iw_error *err)
{
    iw_crash_report report;
    if (iw_crash_read(records, run->profile, seen, run->environment, &report, err) != 0) return -1;
    iw_cleanup_free char *said = tail(output);
    if (report.count && !result->passed)
        result->crash = iw_crash_json(&report.crashes[0], run->profile, said);
    iw_buffer all = {0};
    for (size_t i = 0; i < report.count; i++) {
        iw_cleanup_free char *json = iw_crash_json(&report.crashes[i], run->profile, NULL);
        iw_buffer_add_format(&all, "%s\n", json);
    }
    result->crashes = iw_buffer_take(&all);
    for (size_t i = 0; i < report.count && !result->passed; i++) {
        iw_cleanup_free char *words = iw_crash_text(&report.crashes[i], run->profile, said);
        iw_buffer_add_format(text, "%s\n", words);
    }
    result->jit = report.jit;
    iw_crash_report_clear(&report);
    return 0;
}

/* The signal that ended it, or 0: what waits for a command inside a sandbox says 128 + signal, as a
 * shell does. */
static int signal_of(int status)
{
    if (WIFSIGNALED(status)) return WTERMSIG(status);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return code > 128 && code < 128 + 65 ? code - 128 : 0;
}

static iw_check_end how_ended(const iw_sandbox_result *ended)
{
    if (ended->timed_out) return IW_CHECK_SLOW;
    if (ended->network) return IW_CHECK_NETWORK;
    return signal_of(ended->status) ? IW_CHECK_DIED : IW_CHECK_EXITED;
}

static char *explain(const iw_check *check, iw_check_end end, int status,
                     const struct output *output, const char *crashes)
{
    iw_buffer text = {0};
    iw_buffer_add_text(&text, crashes);
    if (end == IW_CHECK_SLOW) {
        iw_buffer_add_format(&text, "took longer than its %u seconds (the recipe's `timeout`)",
                             check->timeout);
    } else if (end == IW_CHECK_NETWORK) {
        iw_buffer_add_text(&text, "tried to use the network");
    } else if (end == IW_CHECK_DIED) {
        iw_buffer_add_format(&text, "died by signal %d (%s)", signal_of(status),
                             strsignal(signal_of(status)));
    } else {
        iw_cleanup_free char *how = iw_status_text(status);
        iw_buffer_add_format(&text, "ended with %s", how);
    }
    char *lines = tail(output);
    if (*lines) iw_buffer_add_format(&text, "; its last lines:\n%s", lines);
    free(lines);
    return iw_buffer_take(&text);
}

static int write_text(const char *folder, const iw_check *check, char **path, iw_error *err)
{
    *path = NULL;
    if (check->kind != IW_CHECK_PYTHON && check->kind != IW_CHECK_SHELL) return 0;
    char *file = iw_path_join(folder, "check-text");
    if (iw_write_passing(file, check->text, strlen(check->text), 0644, err) != 0) {
        free(file);
        return -1;
    }
    *path = file;
    return 0;
}

/* A file below /etc that says what it says on every machine. */
static int bind_etc(struct binds *binds, const char *folder, const char *name, const char *text,
                    iw_error *err)
{
    iw_cleanup_free char *file = iw_format("%s/check-%s", folder, name);
    if (iw_write_passing(file, text, strlen(text), 0644, err) != 0) return -1;
    bind(binds, IW_BIND_READ_ONLY, iw_steal(&file), iw_format("/etc/%s", name));
    return 0;
}

/* Every machine's user has a name; getpass.getuser and torch's compiler ask for it. Where a check
 * has loopback, "localhost" is its address, as programs with a server of their own expect; any
 * other name is still asked of DNS, which the network's filter sees. */
static int bind_names(struct binds *binds, const char *folder, const iw_check *check, iw_error *err)
{
    if (bind_etc(binds, folder, "passwd",
                 "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n", err) != 0)
        return -1;
    if (!check->loopback) return 0;
    if (bind_etc(binds, folder, "hosts", "127.0.0.1 localhost\n", err) != 0) return -1;
    return bind_etc(binds, folder, "nsswitch.conf", "hosts: files dns\n", err);
}

static void add_environment(iw_strings *environment, const struct places *places)
{
    static const char *const fixed[] = {"LC_ALL=C.UTF-8", "TZ=UTC", "PYTHONFAULTHANDLER=1",
                                        "PYTHONDONTWRITEBYTECODE=1", NULL};
    iw_strings_add_format(environment, "PATH=%s/bin:/usr/bin:/bin", places->environment);
    iw_strings_add_format(environment, "HOME=%s", places->scratch);
    iw_strings_add_format(environment, "TMPDIR=%s", places->scratch);
    iw_strings_add_all(environment, fixed);
    iw_strings_add_format(environment, "IRONWHEEL_ENVIRONMENT=%s", places->environment);
    iw_strings_add_format(environment, "LD_PRELOAD=%s", places->crash);
    iw_strings_add_format(environment, "IRONWHEEL_CRASH=%s", places->records);
}

/* Where one check's things are: `folder` is its own as long as it runs. */
struct setting {
    bool native, host;
    const char *shown; /* folder of the emulated CPU's files; NULL: native */
    struct places places;
    struct binds binds;
    char *text, *records;
};

static void setting_free(struct setting *s)
{
    if (s->host && s->places.scratch) iw_remove_tree(s->places.scratch, NULL);
    binds_free(&s->binds);
    places_free(&s->places);
    free(s->text);
    free(s->records);
}

/* The emulated CPU's processors, where programs ask the kernel for them. */
static void bind_cpu(struct binds *binds, const char *shown)
{
    bind(binds, IW_BIND_READ_ONLY, iw_path_join(shown, "cpuinfo"), iw_strdup("/proc/cpuinfo"));
    bind(binds, IW_BIND_READ_ONLY, iw_path_join(shown, "cpu"),
         iw_strdup("/sys/devices/system/cpu"));
}

static int setting_make(const iw_check_run *run, const char *folder, const iw_check *check,
                        struct setting *s, iw_error *err)
{
    s->native = is_native(run);
    s->host = !run->toolchain_root;
    if (write_text(folder, check, &s->text, err) != 0) return -1;
    s->records = iw_path_join(folder, "check-crash");
    if (iw_write_passing(s->records, "", 0, 0644, err) != 0) return -1;
    if (s->host) return host_places(run, folder, s->records, s->text, &s->places, err);
    s->places = boxed_places();
    if (bind_names(&s->binds, folder, check, err) != 0) return -1;
    bind_all(&s->binds, run);
    if (!s->native) bind_cpu(&s->binds, s->shown);
    for (size_t i = 0; i < run->bind_count; i++)
        bind(&s->binds, run->binds[i].kind, iw_strdup(run->binds[i].from),
             iw_strdup(run->binds[i].to));
    bind(&s->binds, IW_BIND_WRITABLE, iw_strdup(s->records), iw_strdup(CRASH_RECORDS));
    if (s->text) bind(&s->binds, IW_BIND_READ_ONLY, iw_strdup(s->text), iw_strdup(s->places.text));
    return 0;
}

/* What is written down of a check that ended by itself. */
static int judge(const iw_check_run *run, const struct setting *s, const iw_check *check,
                 const iw_sandbox_result *ended, const struct output *output,
                 iw_check_result *result, iw_error *err)
{
    result->seconds = ended->seconds;
    result->end = how_ended(ended);
    result->passed = result->end == IW_CHECK_EXITED && ended->status == 0;
    if (!s->native) iw_emulator_unseen(run->profile, result->unseen);
    result->how = s->native ? iw_strdup("native") : iw_format("qemu-x86_64 -cpu %s", model_of(run));
    iw_cleanup_buffer iw_buffer crashes = {0};
    if (read_records(run, s->records, output, s->places.environment, result, &crashes, err) != 0)
        return -1;
    if (!result->passed)
        result->detail =
            explain(check, result->end, ended->status, output, crashes.data ? crashes.data : "");
    return 0;
}

static int run_in(const iw_check_run *run, const struct setting *s, const iw_check *check,
                  iw_check_result *result, iw_error *err)
{
    iw_cleanup_strings iw_strings argv = {0}, environment = {0};
    if (!s->native) {
        iw_strings_add(&argv, s->places.trace);
        if (s->host) iw_strings_add(&argv, "--cpu-files");
        if (s->host) iw_strings_add(&argv, s->shown);
        iw_strings_add(&argv, s->places.emulator);
        iw_strings_add(&argv, model_of(run));
    }
    add_command(&argv, check, &s->places);
    add_environment(&environment, &s->places);
    iw_cleanup_fd int log = open(result->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (log < 0) return iw_fail_errno(err, IW_E_IO, "can't write the check's log %s", result->log);
    iw_sandbox sandbox = {.host = s->host,
                          .binds = s->binds.items,
                          .bind_count = s->binds.count,
                          .environment = (const char *const *)environment.items,
                          .folder = s->places.scratch,
                          .command = (const char *const *)argv.items,
                          .network_loopback = check->loopback,
                          .keep_fd = -1,
                          .init = s->places.init};
    struct output output = {0};
    iw_sandbox_watch watch = {.line = keep_line,
                              .context = &output,
                              .log = log,
                              .cancel = run->cancel,
                              .timeout = check->timeout};
    iw_sandbox_result ended = {0};
    int status = iw_sandbox_run(&sandbox, &watch, &ended, err);
    if (status == 0 && ended.cancelled)
        status = iw_fail(err, IW_E_CANCELLED, "stopped while check %s ran", check->name);
    if (status == 0) status = judge(run, s, check, &ended, &output, result, err);
    iw_strings_free(&output.lines);
    return status;
}

static int run_one(const iw_check_run *run, const char *shown, const char *folder,
                   const iw_check *check, iw_check_result *result, iw_error *err)
{
    struct setting setting = {.shown = shown};
    int status = setting_make(run, folder, check, &setting, err);
    if (status == 0) status = run_in(run, &setting, check, result, err);
    setting_free(&setting);
    return status;
}

static char *log_name(const char *logs, const char *package, const char *profile, const char *check)
{
    iw_buffer name = {0};
    iw_buffer_add_format(&name, "%s/check-%s-%s-", logs, profile, package);
    for (const char *c = check; *c; c++)
        iw_buffer_add_char(&name, strchr("/ \t\n", *c) || (unsigned char)*c < ' ' ? '_' : *c);
    iw_buffer_add_text(&name, ".log");
    return iw_buffer_take(&name);
}

/* --- all of them, several at once ----------------------------------------- */

#define TEAM_LIMIT 64
#define CHECK_MEMORY 1500 /* MiB that a check may take: torch, emulated, and what it computes */

struct team {
    const iw_check_run *run;
    const iw_check_job *jobs;
    iw_check_result *results;
    size_t count;
    char *shown;          /* folder of the emulated CPU's files; NULL: native */
    pthread_mutex_t lock; /* of what follows, and of the run's sink */
    size_t next, done;
    iw_error failure; /* the first one */
};

struct member {
    struct team *team;
    pthread_t thread;
    char *folder;
};

static void tell(struct team *team, iw_event event)
{
    pthread_mutex_lock(&team->lock);
    iw_emit(team->run->sink, event);
    pthread_mutex_unlock(&team->lock);
}

static void tell_result(struct team *team, const iw_check_job *job, const iw_check_result *result)
{
    iw_event event = {.type = result->passed ? IW_EVENT_FINISHED : IW_EVENT_FAILED,
                      .subject = result->package,
                      .part = result->name,
                      .phase = "check",
                      .detail = result->passed ? "passed" : result->detail,
                      .path = result->log,
                      .count = (uint64_t)(result->seconds * 1000)};
    iw_cleanup_free char *jit = NULL;
    if (result->jit)
        jit = iw_format("check %s made %llu bytes of code at run time, which no audit sees",
                        result->name, (unsigned long long)result->jit);
    if (jit)
        tell(team, (iw_event){.type = IW_EVENT_NOTE, .subject = result->package, .detail = jit});
    tell(team, event);
    pthread_mutex_lock(&team->lock);
    if (team->run->ended) team->run->ended(team->run->context, job, result);
    team->done++;
    if (team->run->title)
        iw_emit(team->run->sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                            .subject = team->run->title,
                                            .phase = "checks",
                                            .count = team->done,
                                            .total = team->count});
    pthread_mutex_unlock(&team->lock);
}

/* The next check's number; the count where there is none, or where one couldn't be run. */
static size_t take_next(struct team *team)
{
    pthread_mutex_lock(&team->lock);
    size_t i =
        team->failure.kind == IW_E_NONE && team->next < team->count ? team->next++ : team->count;
    pthread_mutex_unlock(&team->lock);
    return i;
}

static void give_up(struct team *team, iw_error *err)
{
    pthread_mutex_lock(&team->lock);
    if (team->failure.kind == IW_E_NONE) iw_error_move(&team->failure, err);
    pthread_mutex_unlock(&team->lock);
    iw_error_clear(err);
}

static void *work(void *context)
{
    struct member *member = context;
    struct team *team = member->team;
    for (size_t i; (i = take_next(team)) < team->count;) {
        iw_check_result *result = &team->results[i];
        iw_error err = IW_ERROR_INIT;
        tell(team, (iw_event){.type = IW_EVENT_STARTED,
                              .subject = result->package,
                              .part = result->name,
                              .phase = "check",
                              .detail = result->name});
        const iw_check_job *job = &team->jobs[i];
        if (run_one(team->run, team->shown, member->folder, job->check, result, &err) == 0) {
            tell_result(team, job, result);
        } else {
            iw_wrap(&err, "check %s of %s", result->name, result->package);
            give_up(team, &err);
        }
    }
    return NULL;
}

static size_t team_size(const iw_check_run *run, size_t count)
{
    uint64_t most = iw_available_memory() / CHECK_MEMORY;
    size_t size = run->parallel ? run->parallel : iw_core_count();
    if (size > most) size = (size_t)most;
    if (size > count) size = count;
    return size < 1 ? 1 : size > TEAM_LIMIT ? TEAM_LIMIT : size;
}

/* The emulated CPU's files, once for all checks. (Where there is no emulator, each check says so.)
 */
static int show_cpu(struct team *team, iw_error *err)
{
    const iw_check_run *run = team->run;
    iw_cleanup_free char *emulator =
        run->toolchain_root ? iw_format("%s/usr/bin/qemu-x86_64-static", run->toolchain_root)
                            : host_emulator();
    if (is_native(run) || !emulator) return 0;
    if (iw_temporary_folder(run->logs, "cpu-", &team->shown, err) != 0) return -1;
    return iw_show_cpu(emulator, model_of(run), run->helpers, team->shown, err);
}

static void hide_cpu(struct team *team)
{
    if (team->shown) iw_remove_tree(team->shown, NULL);
    free(team->shown);
}

/* The first member works in this thread, so that one at least does. Each has a folder of its own
 * below the logs, which other runs may share. */
static int run_team(struct team *team, iw_error *err)
{
    struct member members[TEAM_LIMIT] = {0};
    size_t size = team_size(team->run, team->count), started = 1;
    int status = 0;
    for (size_t i = 0; i < size && status == 0; i++) {
        members[i].team = team;
        status = iw_temporary_folder(team->run->logs, "running-", &members[i].folder, err);
    }
    while (status == 0 && started < size &&
           pthread_create(&members[started].thread, NULL, work, &members[started]) == 0)
        started++;
    if (status == 0) work(&members[0]);
    for (size_t i = 1; i < started; i++) pthread_join(members[i].thread, NULL);
    for (size_t i = 0; i < size; i++) {
        if (members[i].folder) iw_remove_tree(members[i].folder, NULL);
        free(members[i].folder);
    }
    if (status == 0 && team->failure.kind != IW_E_NONE) {
        iw_error_move(err, &team->failure);
        status = -1;
    }
    iw_error_clear(&team->failure);
    return status;
}

int iw_run_checks(const iw_check_run *run, const iw_check_job *jobs, size_t count,
                  iw_check_result **results, iw_error *err)
{
    *results = NULL;
    if (count == 0) return 0;
    if (iw_make_folders(run->logs, 0755, err) != 0) return -1;
    struct team team = {.run = run,
                        .jobs = jobs,
                        .count = count,
                        .results = iw_alloc(count * sizeof *team.results),
                        .lock = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < count; i++) {
        const char *package = jobs[i].package, *name = jobs[i].check->name;
        team.results[i] =
            (iw_check_result){.package = iw_strdup(package),
                              .name = iw_strdup(name),
                              .profile = iw_strdup(run->profile->name),
                              .log = log_name(run->logs, package, run->profile->name, name)};
    }
    if (run->title)
        iw_emit(run->sink, (iw_event){.type = IW_EVENT_STARTED,
                                      .subject = run->title,
                                      .phase = "checks",
                                      .total = count});
    int status = show_cpu(&team, err);
    if (status == 0) status = run_team(&team, err);
    hide_cpu(&team);
    if (run->title && status == 0)
        iw_emit(run->sink,
                (iw_event){.type = IW_EVENT_FINISHED, .subject = run->title, .phase = "checks"});
    if (status == 0) *results = team.results;
    else iw_check_results_free(team.results, count);
    return status;
}
