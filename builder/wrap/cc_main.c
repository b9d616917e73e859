/* iw-cc: stands in the sandbox under every compiler's, assembler's and linker's name. It takes instruction-set flags out and puts the profile's in,
 * waits for a slot, writes results beside and renames them, and gives back objects that were compiled before (ARCHITECTURE.md, Slots, The object
 * cache). Static and small: it starts once per compile. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "wrap/command.h"
#include "wrap/objects.h"
#include "wrap/policy.h"

#define POLICY "/run/ironwheel/policy"
#define SAID_LIMIT (4u << 20)
#define ARGUMENTS_LIMIT 1000000 /* bytes; above, the real tool gets a response file */

struct call {
    const char *name;    /* as called: "gcc" */
    iw_tool_kind kind;
    iw_policy policy;
    iw_strings given;    /* expanded */
    iw_strings argv;     /* for the real tool, without argv[0] */
    iw_strings removed;
    iw_compile compile;  /* of argv */
};

static _Noreturn void fail(const char *name, const char *text)
{
    fprintf(stderr, "%s: %s\n", name, text);
    exit(1);
}

/* --- the log ------------------------------------------------------------------------------------------------------------------------------ */

/* One short write with O_APPEND: lines of parallel compiles don't mix. */
static void note(const struct call *call, const char *what, const char *detail)
{
    if (!call->policy.log) return;
    int fd = open(call->policy.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return;
    iw_cleanup_free char *line = iw_format("%s %s\n", what, detail);
    (void)!write(fd, line, strlen(line));
    close(fd);
}

/* --- slots -------------------------------------------------------------------------------------------------------------------------------- */

/* Waits for a slot; the socket holds it. -1: there is no broker, or the parent holds one. */
static int take_slot(const char *kind)
{
    const char *path = getenv("IRONWHEEL_BROKER");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path) path = "/run/ironwheel/broker";
    if (getenv("IRONWHEEL_SLOT") || strlen(path) >= sizeof address.sun_path) return -1;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (fd >= 0) close(fd);
        return -1;
    }
    char message[64], answer[16];
    int length = snprintf(message, sizeof message, "want %s 0", kind);
    if (send(fd, message, (size_t)length, MSG_NOSIGNAL) != length || recv(fd, answer, sizeof answer, 0) <= 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void give_slot(int fd, long peak_kib)
{
    if (fd < 0) return;
    char message[64];
    int length = snprintf(message, sizeof message, "used %ld", (peak_kib + 1023) / 1024);
    (void)!send(fd, message, (size_t)length, MSG_NOSIGNAL);
    close(fd);
}

/* --- the real tool -------------------------------------------------------------------------------------------------------------------------- */

/* Too many arguments for one execve: a response file, removed by the caller. */
static char *write_response(const iw_strings *argv)
{
    size_t total = 0;
    for (size_t i = 0; i < argv->count; i++) total += strlen(argv->items[i]) + 9;
    if (total < ARGUMENTS_LIMIT) return NULL;
    iw_cleanup_buffer iw_buffer text = {0};
    for (size_t i = 0; i < argv->count; i++) {
        iw_buffer_add_char(&text, '"');
        for (const char *c = argv->items[i]; *c; c++) {
            if (*c == '"' || *c == '\\') iw_buffer_add_char(&text, '\\');
            iw_buffer_add_char(&text, *c);
        }
        iw_buffer_add_text(&text, "\"\n");
    }
    char *path = iw_strdup("/tmp/iw-arguments-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || iw_write_all(fd, text.data, text.length, path, NULL) != 0) fail("iw-cc", "can't write a response file in /tmp");
    close(fd);
    return path;
}

static _Noreturn void exec_real(const struct call *call, const iw_strings *argv, const char *response)
{
    iw_cleanup_free char *path = iw_format("%s/%s", call->policy.real ? call->policy.real : "/usr/libexec/iw-real", call->name);
    iw_strings real = {0};
    iw_strings_add_format(&real, "/usr/bin/%s", call->name); /* gcc finds its parts from where it believes to stand */
    if (response)
        iw_strings_add_format(&real, "@%s", response);
    else
        iw_strings_add_all(&real, (const char *const *)argv->items);
    setenv("IRONWHEEL_SLOT", "1", 1);
    execv(path, real.items);
    fprintf(stderr, "%s: can't start the real tool %s: %s\n", call->name, path, strerror(errno));
    _exit(127);
}

/* Copies what the tool says to our standard error, and keeps it. */
static void copy_said(int fd, iw_buffer *said)
{
    char part[8192];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        (void)!iw_write_all(2, part, (size_t)got, "standard error", NULL);
        if (said->length < SAID_LIMIT) iw_buffer_add(said, part, (size_t)got);
    }
    close(fd);
}

static int run_real(const struct call *call, const iw_strings *argv, iw_buffer *said, long *peak_kib)
{
    iw_cleanup_free char *response = write_response(argv);
    int said_pipe[2];
    if (pipe2(said_pipe, O_CLOEXEC) != 0) fail(call->name, strerror(errno));
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) fail(call->name, strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
        dup2(said_pipe[1], 2);
        exec_real(call, argv, response);
    }
    close(said_pipe[1]);
    copy_said(said_pipe[0], said);
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0)
        if (errno != EINTR) fail(call->name, strerror(errno));
    if (response) unlink(response);
    *peak_kib = usage.ru_maxrss;
    return status;
}

/* An instruction that the assembler refused came from a target attribute, inline assembly, or an assembler file: flags can't reach those. */
static void explain(const struct call *call, const iw_buffer *said)
{
    if (!said->data || !strstr(said->data, "not supported on")) return;
    fprintf(stderr, "ironwheel: %s holds instructions outside the profile (a target attribute, inline assembly or an assembler file); leave the file out, "
                    "patch it, or name it under `allow-isa` in the recipe, with a reason\n", call->compile.source ? call->compile.source : call->name);
}

/* --- writing beside ------------------------------------------------------------------------------------------------------------------------- */

/* Whether the output may be written under another name first: not devices, and not where other files' names are made from it. */
static bool may_rename(const struct call *call)
{
    struct stat status;
    const char *output = call->compile.output;
    if (!output || call->kind == IW_TOOL_RUST || call->kind == IW_TOOL_PREPROCESSOR) return false;
    if (call->compile.uncacheable && call->kind == IW_TOOL_COMPILER && call->compile.mode != IW_MODE_LINK) return false;
    for (size_t i = 0; i < call->argv.count; i++)
        if (iw_starts_with(call->argv.items[i], "-flto") || iw_starts_with(call->argv.items[i], "-save-temps")) return false;
    return lstat(output, &status) != 0 || S_ISREG(status.st_mode);
}

/* The arguments with the output's name replaced; where gcc would make the dependency file's name and target from it, those are said. */
static char *redirect(const struct call *call, iw_strings *argv, const char *depfile)
{
    const iw_compile *compile = &call->compile;
    char *beside = iw_format("%s.iw-%ld", compile->output, (long)getpid());
    for (size_t i = 0; i < call->argv.count; i++) {
        if ((int)i != compile->output_index)
            iw_strings_add(argv, call->argv.items[i]);
        else
            iw_strings_add_format(argv, "%.*s%s", (int)compile->output_prefix, call->argv.items[i], beside);
    }
    bool wants = compile->md || compile->mmd;
    if (wants && !compile->depfile && depfile) {
        iw_strings_add(argv, "-MF");
        iw_strings_add(argv, depfile);
    }
    if (wants && !compile->target_given) {
        iw_strings_add(argv, "-MT");
        iw_strings_add(argv, compile->output);
    }
    return beside;
}

/* "dir/a.o" gives "dir/a.d", as gcc does. */
static char *default_depfile(const char *output)
{
    const char *slash = strrchr(output, '/'), *dot = strrchr(output, '.');
    size_t length = dot && (!slash || dot > slash) ? (size_t)(dot - output) : strlen(output);
    return iw_format("%.*s.d", (int)length, output);
}

/* --- one compile or link ---------------------------------------------------------------------------------------------------------------------- */

struct caching {
    const char *folder;
    iw_object_key key;
    bool on;
    char *own_depfile; /* made for us, removed afterwards */
};

static bool take_from_cache(struct call *call, struct caching *caching, const char *depfile)
{
    const char *reason = NULL;
    caching->folder = getenv("IRONWHEEL_OBJECTS");
    if (!caching->folder || call->kind != IW_TOOL_COMPILER || call->compile.mode != IW_MODE_COMPILE) return false;
    if (!iw_object_cacheable(&call->compile, call->name, &reason)) {
        note(call, "uncached", reason);
        return false;
    }
    caching->on = iw_object_key_make(&call->policy, call->name, &call->argv, &call->compile, &caching->key);
    if (!caching->on || !iw_object_get(caching->folder, &caching->key, call->compile.output, depfile)) {
        note(call, "miss", call->compile.source);
        return false;
    }
    note(call, "hit", call->compile.source);
    return true;
}

/* So that every header counts: -MMD leaves out those that -isystem reaches. */
static void widen_dependencies(struct call *call)
{
    for (size_t i = 0; i < call->argv.count; i++)
        if (strcmp(call->argv.items[i], "-MMD") == 0) strcpy(call->argv.items[i], "-MD");
}

static int finish(const struct call *call, int status, const char *beside)
{
    bool fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (beside && !fine) unlink(beside);
    if (beside && fine && rename(beside, call->compile.output) != 0 && errno != ENOENT) {
        fprintf(stderr, "%s: can't rename %s to %s: %s\n", call->name, beside, call->compile.output, strerror(errno));
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int work(struct call *call)
{
    const iw_compile *compile = &call->compile;
    bool wants = compile->md || compile->mmd;
    iw_cleanup_free char *made = wants && !compile->depfile && compile->output ? default_depfile(compile->output) : NULL;
    const char *depfile = wants ? (compile->depfile ? compile->depfile : made) : NULL;
    struct caching caching = {0};
    if (take_from_cache(call, &caching, depfile)) return 0;
    iw_cleanup_strings iw_strings argv = {0};
    iw_cleanup_free char *beside = may_rename(call) ? redirect(call, &argv, depfile) : NULL;
    if (!beside) iw_strings_add_all(&argv, (const char *const *)call->argv.items);
    if (caching.on && !wants && iw_source_has_depfile(compile->source)) {
        caching.own_depfile = iw_format("%s.iw-%ld.d", compile->output, (long)getpid());
        iw_strings_add(&argv, "-MD");
        iw_strings_add(&argv, "-MF");
        iw_strings_add(&argv, caching.own_depfile);
    }
    int slot = take_slot(compile->mode == IW_MODE_LINK && call->kind != IW_TOOL_RUST ? "link" : "compile");
    iw_buffer said = {0};
    long peak = 0;
    int status = run_real(call, &argv, &said, &peak);
    int result = finish(call, status, beside);
    if (result == 0 && caching.on)
        iw_object_put(caching.folder, &caching.key, compile->output, caching.own_depfile ? caching.own_depfile : depfile, depfile, said.data ? said.data : "", said.length);
    if (result != 0) explain(call, &said);
    if (caching.own_depfile) unlink(caching.own_depfile);
    free(caching.own_depfile);
    give_slot(slot, peak);
    iw_buffer_free(&said);
    return result;
}

int main(int argc, char **argv)
{
    struct call call = {.name = iw_path_base(argc ? argv[0] : "iw-cc")};
    iw_error err = IW_ERROR_INIT;
    const char *path = getenv("IRONWHEEL_POLICY");
    call.kind = iw_tool_kind_of(call.name);
    if (iw_policy_read(path ? path : POLICY, &call.policy, &err) != 0) fail(call.name, iw_error_text(&err));
    call.policy.nested = getenv("IRONWHEEL_SLOT") != NULL;
    if (iw_expand_responses(call.kind, (const char *const *)argv + 1, &call.given, NULL, &err) != 0) fail(call.name, iw_error_text(&err));
    if (iw_policy_apply(&call.policy, call.kind, &call.given, &call.argv, &call.removed, &err) != 0) {
        note(&call, "denied", iw_error_text(&err));
        fail(call.name, iw_error_text(&err));
    }
    for (size_t i = 0; i < call.removed.count; i++) note(&call, "removed", call.removed.items[i]);
    iw_compile_parse(call.kind, &call.argv, &call.compile);
    widen_dependencies(&call);
    bool nested = call.policy.nested, worth = call.compile.mode != IW_MODE_QUERY && call.compile.mode != IW_MODE_PREPROCESS;
    if (!worth || call.kind == IW_TOOL_PREPROCESSOR || (nested && call.kind != IW_TOOL_COMPILER)) exec_real(&call, &call.argv, write_response(&call.argv));
    return work(&call);
}
