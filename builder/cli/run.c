/* `ironwheel run --cpu PROFILE -- COMMAND…`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "build/checks_root.h"
#include "build/host.h"
#include "cli/commands.h"
#include "emulate/crash.h"
#include "emulate/emulate.h"
#include "ui/columns.h"

/* In the folder of a toolchain that a build has unpacked, or the host's own; NULL where there is
 * none. Caller frees. */
static int other_emulator(iw_catalog *catalog, iw_store *store, char **out, iw_error *err)
{
    iw_list names;
    if (iw_catalog_toolchains(catalog, &names, err) != 0) return -1;
    for (size_t i = 0; i < names.count; i++) {
        const iw_toolchain *toolchain;
        if (iw_catalog_toolchain(catalog, names.items[i], &toolchain, err) != 0) return -1;
        iw_cleanup_free char *root = iw_store_path(store, "toolchains", toolchain->digest);
        *out = iw_path_join(root, "root/usr/bin/" IW_EMULATOR_NAME);
        if (access(*out, X_OK) == 0) return 0;
        free(*out);
    }
    *out = iw_host_find(IW_EMULATOR_NAME);
    if (!*out) *out = iw_host_find("qemu-x86_64");
    return 0;
}

/* The pinned emulator, fetched where it isn't in the store; where it can't be had, another one.
 * Caller frees. */
static int find_emulator(iw_context *context, iw_catalog *catalog, char **out, iw_error *err)
{
    iw_store *store;
    iw_error why = IW_ERROR_INIT;
    if (iw_context_store(context, &store, err) != 0) return -1;
    if (!context->json) iw_context_show(context); /* standard output is the command's */
    iw_fetch_options options = iw_context_fetch_options(context);
    int status = iw_checks_emulator(catalog, store, NULL, NULL, &options, out, &why);
    if (status == 0 && *out) return 0;
    if (other_emulator(catalog, store, out, err) != 0) status = -1;
    else if (*out) {
        if (status != 0)
            fprintf(stderr, "ironwheel: note: %s, as the pinned emulator can't be had: %s\n", *out,
                    iw_error_text(&why));
        status = 0;
    } else if (status != 0) {
        iw_error_move(err, &why);
    } else {
        status = iw_fail(err, IW_E_ENVIRONMENT,
                         "there is no qemu-x86_64 here: install qemu-user-static");
    }
    iw_error_clear(&why);
    return status;
}

/* Nothing of the caller's that changes which code runs: a name or two, the terminal, and what -e
 * names. */
static void make_environment(iw_context *context, const char *records, const char *library,
                             iw_strings *out)
{
    static const char *const kept[] = {
        "HOME",   "PATH",       "TERM", "USER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR",
        "TMPDIR", "VIRTUAL_ENV"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (getenv(kept[i])) iw_strings_add_format(out, "%s=%s", kept[i], getenv(kept[i]));
    iw_strings_add(out, "LC_ALL=C.UTF-8");
    iw_strings_add(out, "PYTHONFAULTHANDLER=1");
    const char *more = iw_text_option(context->arguments, "env");
    if (more) iw_strings_add(out, more);
    iw_strings_add_format(out, "LD_PRELOAD=%s", library);
    iw_strings_add_format(out, "IRONWHEEL_CRASH=%s", records);
}

/* What comes before the command: the emulator, children included, with the emulated CPU's files in
 * `folder`. */
static int add_emulator(iw_context *context, iw_catalog *catalog, const iw_profile *profile,
                        const char *folder, iw_strings *argv, iw_error *err)
{
    iw_cleanup_free char *emulator = NULL, *trace = iw_path_join(context->helpers, "iw-trace"),
                         *shown = iw_path_join(folder, "cpu"), *note = iw_emulator_note(profile);
    if (find_emulator(context, catalog, &emulator, err) != 0 ||
        iw_show_cpu(emulator, profile->emulator_cpu, context->helpers, shown, err) != 0)
        return -1;
    if (context->verbose) fprintf(stderr, "ironwheel: %s\n", note);
    iw_strings_add_all(argv, (const char *const[]){trace, "--cpu-files", shown, emulator,
                                                   profile->emulator_cpu, NULL});
    return 0;
}

static int start(iw_context *context, iw_catalog *catalog, const iw_profile *profile,
                 const char *folder, const char *records, int *status, iw_error *err)
{
    iw_cleanup_free char *library = iw_path_join(context->helpers, "iw-crash.so");
    iw_cleanup_strings iw_strings argv = {0}, environment = {0};
    if (!iw_host_is_profile(profile) &&
        add_emulator(context, catalog, profile, folder, &argv, err) != 0)
        return -1;
    iw_strings_add_all(&argv, context->arguments->rest);
    make_environment(context, records, library, &environment);
    iw_command command = {.argv = (const char *const *)argv.items,
                          .environment = (const char *const *)environment.items,
                          .in = 0,
                          .out = 1,
                          .error = 2,
                          .die_with_parent = true};
    pid_t pid;
    if (context->ui) iw_ui_pause(context->ui);
    return iw_spawn(&command, &pid, err) == 0 ? iw_wait(pid, status, err) : -1;
}

static int tell_crashes(iw_context *context, const iw_profile *profile, const char *records,
                        iw_error *err)
{
    iw_crash_report report;
    if (iw_crash_read(records, profile, NULL, NULL, &report, err) != 0) return -1;
    for (size_t i = 0; i < report.count; i++) {
        iw_cleanup_free char *text = context->json
                                         ? iw_crash_json(&report.crashes[i], profile, NULL)
                                         : iw_crash_text(&report.crashes[i], profile, NULL);
        iw_cleanup_free char *shown =
            context->json ? NULL : iw_columns_lines(text); /* its escapes aren't all JSON's */
        fprintf(stderr, context->json ? "%s\n" : "\nironwheel: %s\n", shown ? shown : text);
    }
    if (report.jit && !context->quiet && !context->json)
        fprintf(stderr, "ironwheel: %s made %llu bytes of code at run time, which no audit sees\n",
                report.jit_program, (unsigned long long)report.jit);
    iw_crash_report_clear(&report);
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_catalog *catalog;
    const iw_profile *profile;
    const char *name = iw_text_option(arguments, "cpu");
    int status = 0;
    if (!arguments->rest || !arguments->rest[0])
        return iw_fail(
            err, IW_E_USAGE,
            "run needs a command behind --; usage: ironwheel run --cpu PROFILE -- COMMAND...");
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_catalog_profile(catalog, name ? name : "k10", &profile, err) != 0)
        return -1;
    iw_cleanup_free char *folder = NULL;
    const char *parent = getenv("TMPDIR");
    if (iw_temporary_folder(parent && *parent ? parent : "/tmp", "ironwheel-run-", &folder, err) !=
        0)
        return -1;
    iw_cleanup_free char *records = iw_path_join(folder, "crash");
    int result = start(context, catalog, profile, folder, records, &status, err);
    if (result == 0) result = tell_crashes(context, profile, records, err);
    iw_remove_tree(folder, NULL);
    if (result != 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const iw_option options[] = {
    {"cpu", 0, IW_OPTION_TEXT, "PROFILE", "The CPU to run it on (default: k10)", NULL},
    {"env", 'e', IW_OPTION_TEXT, "NAME=VALUE", "Give the command this variable, too", NULL},
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_run = {
    .name = "run",
    .operands = "-- COMMAND...",
    .least = 0,
    .most = 0,
    .complete = NULL,
    .summary = "Run a command on the CPU of a profile, emulated where need be",
    .description =
        "Natively where this host has exactly the profile's features, under qemu-user otherwise, "
        "child processes included, with a clean environment; /proc/cpuinfo, "
        "/sys/devices/system/cpu and so lscpu tell of the emulated CPU there. A crash is "
        "explained: "
        "signal, instruction, the feature that it needs, function and library. The emulator "
        "doesn't stop at every missing feature (LZCNT, XOP, TBM, LWP; -v lists "
        "them): `ironwheel audit` finds those. Exit status: the command's, or 128 and the signal's "
        "number.",
    .examples =
        "ironwheel run --cpu k10 -- python3 -c 'import pyarrow'\twhat a wheel dies of there\n",
    .options = options,
    .run = run,
};
