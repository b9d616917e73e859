/* iw-cc: stands in the sandbox under every compiler's, assembler's and linker's name. It takes
 * instruction-set flags out and puts the profile's in, waits for a slot, writes results beside and
 * renames them, and gives back objects that were compiled before (ARCHITECTURE.md, Slots, The
 * object cache). A recipe may put it in front of nvcc, too, for the last. Static and small: it
 * starts once per compile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "wrap/command.h"
#include "wrap/nvcc.h"
#include "wrap/objects.h"
#include "wrap/policy.h"
#include "wrap/real.h"
#include "wrap/rust.h"

#define POLICY "/run/ironwheel/policy"

struct call {
    const char *name; /* as called: "gcc" */
    iw_tool_kind kind;
    iw_real real;
    iw_policy policy;
    iw_strings given; /* expanded */
    iw_strings argv;  /* for the real tool, without argv[0] */
    iw_strings removed;
    iw_compile compile; /* of argv */
};

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

/* --- instructions that flags can't reach ---------------------------------- */

/* What to call that which was compiled: its file, its files, or the tool. Caller frees. */
static char *subject_of(const struct call *call)
{
    const iw_compile *compile = &call->compile;
    if (compile->source)
        return iw_strdup(strcmp(compile->source, "-") == 0 ? "standard input" : compile->source);
    iw_buffer names = {0};
    for (size_t i = 0; i < call->given.count && compile->source_count > 1; i++)
        if (iw_is_source(call->given.items[i]))
            iw_buffer_add_format(&names, "%s%s", names.length ? ", " : "one of ",
                                 call->given.items[i]);
    if (!names.length) iw_buffer_add_text(&names, compile->output ? compile->output : call->name);
    return iw_buffer_take(&names);
}

/* An instruction that the compiler or the assembler refused came from a target attribute, inline
 * assembly, or an assembler file. */
static void explain(const struct call *call, const iw_buffer *said)
{
    static const char *const signs[] = {"not supported on", "no such architecture",
                                        "target specific option mismatch",
                                        "chooses its own instruction set", NULL};
    bool found = false;
    for (size_t i = 0; signs[i]; i++) found = found || (said->data && strstr(said->data, signs[i]));
    if (!found) return;
    iw_cleanup_free char *subject = subject_of(call);
    note(call, "refused", subject);
    fprintf(stderr,
            "ironwheel: %s holds instructions outside the profile (a target attribute, intrinsics, "
            "inline assembly or an assembler file); leave the "
            "file out, patch it, or name it under `allow-isa` in the recipe, with a reason\n",
            subject);
}

static bool file_has_arch(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) return false;
    char *text = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED) return false;
    bool found = iw_has_arch_directive(text, (size_t)status.st_size);
    munmap(text, (size_t)status.st_size);
    return found;
}

static bool input_has_arch(const char *path)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && file_has_arch(fd);
}

/* Standard input is kept in memory, so that the tool can read it again. */
static bool standard_input_has_arch(void)
{
    iw_cleanup_fd int fd = memfd_create("assembler", MFD_CLOEXEC);
    char part[65536];
    ssize_t got;
    while (fd >= 0 && (got = read(0, part, sizeof part)) > 0)
        if (iw_write_all(fd, part, (size_t)got, "memory", NULL) != 0) return true;
    if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, 0) != 0) return true;
    return file_has_arch(fd);
}

/* `.arch` in assembler text undoes -march. Every compile ends in the assembler under our name;
 * where -march isn't the profile's, a recipe allows the file. */
static void refuse_arch(const struct call *call)
{
    iw_cleanup_free char *own =
        iw_format("-march=%s", call->policy.assembler_march ? call->policy.assembler_march : "");
    if (call->kind != IW_TOOL_ASSEMBLER || call->compile.mode == IW_MODE_QUERY ||
        !iw_strings_has(&call->argv, own))
        return;
    const char *found = NULL;
    if (!call->compile.source_count || iw_strings_has(&call->argv, "-"))
        found = standard_input_has_arch() ? "standard input" : NULL;
    for (size_t i = 0; i < call->argv.count && !found; i++)
        if (call->argv.items[i][0] != '-' && (int)i != call->compile.output_index &&
            input_has_arch(call->argv.items[i]))
            found = call->argv.items[i];
    if (!found) return;
    iw_buffer said = {0};
    iw_buffer_add_text(&said, "chooses its own instruction set");
    fprintf(stderr, "%s: %s %s (.arch)\n", call->name, found, said.data);
    if (!call->policy.nested) explain(call, &said);
    exit(1);
}

/* --- writing beside ------------------------------------------------------- */

/* Options whose files hold the output's name, or make other names from it. */
static bool names_output(const char *argument)
{
    return iw_starts_with(argument, "-flto") || iw_starts_with(argument, "-save-temps") ||
           strstr(argument, "-Map") || strstr(argument, "dependency-file") ||
           strcmp(argument, "--MD") == 0;
}

/* Whether the output may be written under another name first: not devices, and not where other
 * files' names are made from it. */
static bool may_rename(const struct call *call)
{
    struct stat status;
    const iw_compile *compile = &call->compile;
    if (!compile->output || call->kind == IW_TOOL_PREPROCESSOR || call->kind == IW_TOOL_NVCC)
        return false;
    if (compile->uncacheable && call->kind == IW_TOOL_COMPILER && compile->mode != IW_MODE_LINK)
        return false;
    if (compile->mode == IW_MODE_LINK && (compile->md || compile->mmd)) return false;
    for (size_t i = 0; i < call->argv.count; i++)
        if (names_output(call->argv.items[i])) return false;
    return lstat(compile->output, &status) != 0 || S_ISREG(status.st_mode);
}

/* The arguments with the output's name replaced; where gcc would make the dependency file's name
 * and target from it, those are said. */
static char *redirect(const struct call *call, iw_strings *argv, const char *depfile)
{
    const iw_compile *compile = &call->compile;
    char *beside = iw_format("%s.iw-%ld", compile->output, (long)getpid());
    for (size_t i = 0; i < call->argv.count; i++) {
        if ((int)i != compile->output_index) iw_strings_add(argv, call->argv.items[i]);
        else
            iw_strings_add_format(argv, "%.*s%s", (int)compile->output_prefix, call->argv.items[i],
                                  beside);
    }
    bool wants = compile->md || compile->mmd;
    if (wants && !compile->depfile && depfile) {
        iw_strings_add(argv, "-MF");
        iw_strings_add(argv, depfile);
    }
    if (wants && !compile->target_given) { /* -MQ, not -MT: what make would read otherwise is
                                              quoted, as in gcc's own */
        iw_strings_add(argv, "-MQ");
        iw_strings_add(argv, compile->output);
    }
    return beside;
}

/* "dir/a.o" gives "dir/a.d", as gcc does. */
static char *default_depfile(const char *output)
{
    const char *base = iw_path_base(output), *dot = strrchr(base, '.');
    return iw_format("%.*s.d", (int)(dot ? (size_t)(dot - output) : strlen(output)), output);
}

/* --- one compile or link -------------------------------------------------- */

struct caching {
    const char *folder;
    iw_object_key key;
    bool on;
    struct timespec started;
    char *own_depfile; /* made for us, removed afterwards */
};

static bool take_from_cache(struct call *call, struct caching *caching, const char *depfile)
{
    const char *reason = NULL;
    caching->folder = getenv("IRONWHEEL_OBJECTS");
    bool compiler = call->kind == IW_TOOL_COMPILER || call->kind == IW_TOOL_NVCC;
    if (!caching->folder || !compiler || call->compile.mode != IW_MODE_COMPILE) return false;
    if (!iw_object_cacheable(&call->compile, &reason)) {
        note(call, "uncached", reason);
        return false;
    }
    clock_gettime(CLOCK_REALTIME_COARSE, &caching->started);
    iw_cleanup_free char *tool =
        call->kind == IW_TOOL_NVCC ? iw_nvcc_identity(call->real.path) : iw_strdup(call->name);
    caching->on =
        tool && iw_object_key_make(&call->policy, tool, &call->argv, &call->compile, &caching->key);
    if (!caching->on ||
        !iw_object_get(caching->folder, &caching->key, call->compile.output, depfile)) {
        note(call, "miss", call->compile.source);
        return false;
    }
    note(call, "hit", call->compile.source);
    return true;
}

static void keep_result(struct caching *caching, const struct call *call, const char *depfile,
                        const iw_buffer *said)
{
    const iw_object_result result = {.dependencies =
                                         caching->own_depfile ? caching->own_depfile : depfile,
                                     .depfile = depfile,
                                     .said = said->data ? said->data : "",
                                     .said_length = said->length,
                                     .started = caching->started};
    if (said->length < IW_SAID_LIMIT)
        iw_object_put(caching->folder, &caching->key, &call->policy, &call->compile, &result);
}

static int finish(const struct call *call, int status, const char *beside)
{
    bool fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (beside && !fine) unlink(beside);
    if (beside && fine && rename(beside, call->compile.output) != 0 && errno != ENOENT) {
        fprintf(stderr, "%s: can't rename %s to %s: %s\n", call->name, beside, call->compile.output,
                strerror(errno));
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void ask_for_dependencies(const struct call *call, struct caching *caching, iw_strings *argv)
{
    caching->own_depfile = iw_format("%s.iw-%ld.d", call->compile.output, (long)getpid());
    iw_strings_add(argv, "-MD");
    iw_strings_add(argv, "-MF");
    iw_strings_add(argv, caching->own_depfile);
}

/* Runs the real tool in a slot of its kind; the status is wait(2)'s. */
static int run(const struct call *call, const char *kind, const iw_strings *argv, iw_buffer *said)
{
    long peak = 0;
    int slot = call->kind == IW_TOOL_NVCC ? -1 : iw_slot_take(kind),
        status = iw_real_run(&call->real, argv, said, &peak);
    iw_slot_give(slot, peak);
    return status;
}

static int work(struct call *call)
{
    const iw_compile *compile = &call->compile;
    bool wants = compile->md || compile->mmd;
    iw_cleanup_free char *made =
        wants && !compile->depfile && compile->output ? default_depfile(compile->output) : NULL;
    const char *depfile = wants ? (compile->depfile ? compile->depfile : made) : NULL;
    struct caching caching = {0};
    if (take_from_cache(call, &caching, depfile)) return 0;
    iw_cleanup_strings iw_strings argv = {0};
    iw_cleanup_buffer iw_buffer said = {0};
    iw_cleanup_free char *beside = may_rename(call) ? redirect(call, &argv, depfile) : NULL;
    if (!beside) iw_strings_add_all(&argv, (const char *const *)call->argv.items);
    if (caching.on && !wants && iw_source_has_depfile(compile->source))
        ask_for_dependencies(call, &caching, &argv);
    int status = run(call, compile->mode == IW_MODE_LINK ? "link" : "compile", &argv, &said),
        result = finish(call, status, beside);
    if (result == 0 && caching.on) keep_result(&caching, call, depfile, &said);
    if (result != 0) explain(call, &said);
    if (caching.own_depfile) unlink(caching.own_depfile);
    free(caching.own_depfile);
    return result;
}

/* A call of rustc. Its files stay where it writes them: a stopped build starts with none. */
static int work_rust(struct call *call)
{
    const char *folder = getenv("IRONWHEEL_OBJECTS");
    iw_rust rust = {0};
    char key[65];
    bool on = false;
    if (folder) {
        iw_rust_parse(&call->policy, &call->argv, &rust);
        on = !rust.uncacheable && iw_rust_key(&call->policy, &call->argv, &rust, key);
        if (!on) note(call, "uncached", rust.uncacheable ? rust.uncacheable : "size");
    }
    bool found = on && iw_rust_get(folder, key, &rust);
    if (on) note(call, found ? "hit" : "miss", rust.source);
    int result = 0;
    if (!found) {
        iw_cleanup_buffer iw_buffer said = {0};
        struct timespec started;
        clock_gettime(CLOCK_REALTIME_COARSE, &started);
        result = finish(call, run(call, "compile", &call->argv, &said), NULL);
        if (result == 0 && on && said.length < IW_SAID_LIMIT)
            iw_rust_put(folder, key, &rust, &said, &started);
        if (result != 0) explain(call, &said);
    }
    iw_rust_clear(&rust);
    return result;
}

/* --- start ---------------------------------------------------------------- */

/* So that every header counts: -MMD leaves out those that -isystem reaches, and a dependency file
 * those that a precompiled header was made of, which that one tells only if it was made with a
 * dependency file. */
static void widen_dependencies(struct call *call)
{
    const iw_compile *compile = &call->compile;
    if (call->kind == IW_TOOL_COMPILER && compile->mode >= IW_MODE_COMPILE && compile->source) {
        if (iw_is_header(compile->source, compile->language)) {
            static const char *const told[] = {"-MD", "-MF", "/dev/null", NULL};
            if (!compile->md && !compile->mmd) iw_strings_add_all(&call->argv, told);
        } else if (compile->mode == IW_MODE_COMPILE && iw_source_has_depfile(compile->source)) {
            iw_strings_add(&call->argv, "-fpch-deps");
        }
    }
    for (size_t i = 0; i < call->argv.count; i++) {
        if (strcmp(call->argv.items[i], "-MMD") == 0) strcpy(call->argv.items[i], "-MD");
        else if (iw_option_takes_value(call->argv.items[i])) i++;
    }
}

/* A compile without -o: the name that gcc would give the object, said. Not of headers: those give
 * a.h.gch. */
static void name_output(struct call *call)
{
    iw_compile *compile = &call->compile;
    if (call->kind != IW_TOOL_COMPILER || compile->mode != IW_MODE_COMPILE || compile->output ||
        compile->uncacheable || !compile->source)
        return;
    if (!iw_source_has_depfile(compile->source) && !iw_source_is_fixed_fortran(compile->source))
        return;
    iw_cleanup_free char *name = iw_object_name(compile->source);
    iw_strings_add(&call->argv, "-o");
    iw_strings_add(&call->argv, name);
    iw_compile_parse(call->kind, &call->argv, compile);
}

static void read_call(struct call *call, const char *called, const char *const *argv)
{
    iw_error err = IW_ERROR_INIT;
    const char *path = getenv("IRONWHEEL_POLICY");
    call->kind = iw_tool_kind_of(call->name);
    if (iw_policy_read(path ? path : POLICY, &call->policy, &err) != 0)
        iw_real_fail(call->name, iw_error_text(&err));
    call->policy.nested = getenv("IRONWHEEL_SLOT") != NULL;
    call->real = (iw_real){.name = call->name,
                           .folder = call->policy.real,
                           .links = call->policy.host,
                           .path = call->kind == IW_TOOL_NVCC ? iw_nvcc_find(called) : NULL,
                           .kind = call->kind};
    if (call->kind == IW_TOOL_NVCC && !call->real.path)
        iw_real_fail(call->name, "no nvcc.real stands beside it on PATH");
    if (iw_expand_responses(call->kind, argv, &call->given, &call->real.expanded, &err) != 0)
        iw_real_fail(call->name, iw_error_text(&err));
    if (iw_policy_apply(&call->policy, call->kind, &call->given, &call->argv, &call->removed,
                        &err) != 0) {
        note(call, "denied", iw_error_text(&err));
        iw_real_fail(call->name, iw_error_text(&err));
    }
    for (size_t i = 0; i < call->removed.count; i++) note(call, "removed", call->removed.items[i]);
    iw_compile_parse(call->kind, &call->argv, &call->compile);
}

int main(int argc, char **argv)
{
    struct call call = {.name = iw_path_base(argc ? argv[0] : "iw-cc")};
    read_call(&call, argc ? argv[0] : "iw-cc", (const char *const *)argv + (argc > 0));
    widen_dependencies(&call);
    name_output(&call);
    refuse_arch(&call);
    bool worth = call.compile.mode != IW_MODE_QUERY && call.compile.mode != IW_MODE_PREPROCESS &&
                 call.kind != IW_TOOL_PREPROCESSOR;
    if (!worth || (call.policy.nested && call.kind != IW_TOOL_COMPILER))
        iw_real_exec(&call.real, &call.argv);
    return call.kind == IW_TOOL_RUST ? work_rust(&call) : work(&call);
}
