/* Running commands under a profile's CPU model, and a recipe's checks. */
#ifndef IW_EMULATE_EMULATE_H
#define IW_EMULATE_EMULATE_H

#include <stdint.h>

#include "base/event.h"
#include "build/sandbox.h"
#include "recipe/recipe.h"

/* What the emulator (qemu-user 7.2, under every CPU model) runs or mistakes for something else
 * where the CPU lacks it: there the audit is the only guard. Pinned; a test runs an instruction of
 * every feature under every profile's model. LZCNT runs as BSR, as on such a CPU. */
enum { IW_UNSEEN_LIMIT = 8 };
/* Those that the profile lacks, NULL-terminated. */
void iw_emulator_unseen(const iw_profile *profile, const char *out[IW_UNSEEN_LIMIT]);
/* The same as a sentence, with what the profile leaves out because no emulator runs it. Caller
 * frees. */
char *iw_emulator_note(const iw_profile *profile);

/* Fills `folder` (made where missing) with what Linux would tell of its processors on the emulated
 * CPU, as many as this host has: `cpuinfo`, to be seen at /proc/cpuinfo, and `cpu`, at
 * /sys/devices/system/cpu. An emulator shows the host's there. `helpers` holds iw-cpu. */
int iw_show_cpu(const char *emulator, const char *model, const char *helpers, const char *folder,
                iw_error *err);

/* Where a check sees the environment: not where it was laid, and a path that careless quoting trips
 * over. */
#define IW_CHECK_ENVIRONMENT "/rig \xc3\xbc/env"

typedef struct iw_check_job { /* borrowed */
    const char *package;
    const iw_check *check;
} iw_check_job;

typedef enum iw_check_end {
    IW_CHECK_EXITED,
    IW_CHECK_DIED,    /* of a signal: the shell's 128 + signal too */
    IW_CHECK_SLOW,    /* took longer than its timeout */
    IW_CHECK_NETWORK, /* tried to reach something */
} iw_check_end;

typedef struct iw_check_result {
    char *package, *name, *profile, *how; /* how: "qemu-x86_64 -cpu phenom,-fxsr-opt" or "native" */
    bool passed;
    iw_check_end end;
    double seconds;
    char *detail; /* on failure: what happened, signal, instruction and place where it died, last
                     lines */
    char *log;
    char *crash;   /* the first crash in it as a JSON object (iw_crash_json), or NULL */
    char *crashes; /* every one, in a passed check too, one JSON object a line; "": none */
    const char *unseen[IW_UNSEEN_LIMIT]; /* NULL-terminated, static: features that the profile lacks
                                            and its emulator doesn't stop at */
    uint64_t jit; /* bytes of executable memory without a file that its processes asked for: code
                     made at run time */
} iw_check_result;

typedef struct iw_check_run {
    const char *environment;    /* host path of the laid, relocated environment */
    const char *toolchain_root; /* glibc and a shell come from it; NULL: no sandbox, the host's */
    const char *emulator;       /* NULL: the toolchain's, or without a sandbox the host's */
    const iw_profile *profile;
    const char *helpers; /* folder with iw-trace and iw-cpu */
    const char *logs;    /* folder for the checks' logs */
    const char *title;   /* what all of them together are called in events, with how many are done;
                            NULL: no such events */
    unsigned parallel; /* how many run at once, fewer where memory is short; 0: one for each core */
    bool force_emulator;
    bool whole; /* all of the toolchain's /usr is there, not only glibc and a shell: what published
                   wheels take from a system */
    const char
        *cpu; /* the emulator's model, in place of the profile's; or NULL. Never native then */
    const iw_bind *binds; /* more of the root */
    size_t bind_count;
    /* Each result as soon as it is there, from several threads, one at a time; or NULL. */
    void (*ended)(void *context, const iw_check_job *job, const iw_check_result *result);
    void *context; /* of that */
    int cancel;
    const iw_sink *sink;
} iw_check_run;

void iw_check_results_free(iw_check_result *results, size_t count);

/* Whether this host's CPU has exactly the profile's features (by CPUID): then checks run natively.
 */
bool iw_host_is_profile(const iw_profile *profile);

/* Runs them in a root with the environment and glibc alone, each at a path that differs from where
 * it was laid. Results in the order of `jobs`, owned by the caller. -1 only where they couldn't be
 * run. Child processes are emulated too: execve is followed (a plain qemu-user would run them
 * natively). The sink gets events from several threads, one at a time. */
int iw_run_checks(const iw_check_run *run, const iw_check_job *jobs, size_t count,
                  iw_check_result **results, iw_error *err);

#endif
