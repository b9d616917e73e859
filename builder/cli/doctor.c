/* `ironwheel doctor`: what this host has and lacks. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/sandbox.h"
#include "cli/commands.h"
#include "emulate/emulate.h"

struct examination {
    iw_context *context;
    size_t lacking;
};

static void tell(struct examination *e, const char *what, bool fine, bool needed, const char *text)
{
    if (!fine && needed) e->lacking++;
    const char *verdict = fine ? "ok" : needed ? "lacking" : "note";
    if (e->context->json) {
        json_t *line = json_pack("{s:s,s:s,s:s}", "item", what, "verdict", verdict, "text", text);
        iw_print_json(e->context, line);
    } else if (!e->context->quiet || !fine) {
        iw_print(e->context, "%-8s %-10s %s\n", verdict, what, text);
    }
}

static void examine_sandbox(struct examination *e)
{
    iw_error why = IW_ERROR_INIT;
    bool fine = iw_sandbox_probe(&why) == 0;
    tell(e, "sandbox", fine, true, fine ? "bubblewrap works" : iw_error_text(&why));
    iw_error_clear(&why);
}

static void examine_helpers(struct examination *e)
{
    static const char *const names[] = {"iw-cc", "iw-init", "iw-trace", "iw-cpu"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        iw_cleanup_free char *path = iw_path_join(e->context->helpers, names[i]);
        bool fine = access(path, X_OK) == 0;
        iw_cleanup_free char *text =
            fine ? iw_strdup(path)
                 : iw_format("%s isn't there; run `make` (or `make install`) again", path);
        tell(e, names[i], fine, true, text);
    }
}

static void examine_machine(struct examination *e)
{
    struct sysinfo info;
    if (sysinfo(&info) == 0) {
        uint64_t memory = (uint64_t)info.totalram * info.mem_unit;
        iw_cleanup_free char *size = iw_format_bytes(memory);
        iw_cleanup_free char *text =
            iw_format("%u cores, %s of memory%s", iw_core_count(), size,
                      memory < UINT64_C(3500000000) ? "; big packages want 4 GB for one compiler"
                                                    : "");
        tell(e, "machine", memory >= UINT64_C(3500000000), false, text);
    }
}

static void examine_store(struct examination *e)
{
    iw_error why = IW_ERROR_INIT;
    iw_store *store;
    uint64_t bytes = 0;
    if (iw_context_store(e->context, &store, &why) != 0 ||
        iw_free_space(iw_store_root(store), &bytes, &why) != 0) {
        tell(e, "store", false, true, iw_error_text(&why));
    } else {
        iw_cleanup_free char *size = iw_format_bytes(bytes),
                             *text = iw_format("%s, %s free%s", iw_store_root(store), size,
                                               bytes < UINT64_C(8000000000)
                                                   ? "; stack base wants 5 GB, torch 60 GB"
                                                   : "");
        tell(e, "store", bytes >= UINT64_C(8000000000), false, text);
    }
    iw_error_clear(&why);
}

static void examine_cpu(struct examination *e)
{
    iw_catalog *catalog;
    iw_list names;
    iw_error why = IW_ERROR_INIT;
    iw_cleanup_buffer iw_buffer exact = {0};
    if (iw_context_catalog(e->context, &catalog, &why) != 0 ||
        iw_catalog_profiles(catalog, &names, &why) != 0) {
        tell(e, "profile", false, true, iw_error_text(&why));
        iw_error_clear(&why);
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        const iw_profile *profile;
        if (iw_catalog_profile(catalog, names.items[i], &profile, NULL) == 0 &&
            iw_host_is_profile(profile))
            iw_buffer_add_format(&exact, "%s%s", exact.length ? ", " : "", profile->name);
    }
    iw_cleanup_free char *text =
        exact.length ? iw_format("this host is exactly %s: its checks run natively", exact.data)
                     : iw_strdup("this host is none of the profiles: checks run under the emulator "
                                 "(`ironwheel profile --host` says more)");
    tell(e, "profile", true, false, text);
}

/* What keeps pinned Debian files within reach once the mirrors drop them. */
static void examine_archive(struct examination *e)
{
    const char *snapshot = getenv("IRONWHEEL_DEBIAN_SNAPSHOT");
    iw_catalog *catalog;
    const iw_toolchain *toolchain;
    iw_list names = {0};
    iw_error ignored = IW_ERROR_INIT;
    iw_cleanup_buffer iw_buffer text = {0};
    if (iw_context_catalog(e->context, &catalog, &ignored) == 0)
        (void)!iw_catalog_toolchains(catalog, &names, &ignored);
    for (size_t i = 0; i < names.count; i++)
        if (iw_catalog_toolchain(catalog, names.items[i], &toolchain, &ignored) == 0 &&
            toolchain->pinned)
            iw_buffer_add_format(&text, "%s is pinned as of %.4s-%.2s-%.2s; ", names.items[i],
                                 toolchain->pinned, toolchain->pinned + 4, toolchain->pinned + 6);
    iw_error_clear(&ignored);
    if (snapshot && *snapshot)
        iw_buffer_add_format(&text, "what the mirrors have dropped comes from %s", snapshot);
    else
        iw_buffer_add_text(&text, "Debian's mirrors drop old versions: --debian-snapshot URL (or "
                                  "IRONWHEEL_DEBIAN_SNAPSHOT) names the snapshot archive, which "
                                  "keeps them; `ironwheel fetch STACK --check` asks what is gone");
    tell(e, "archive", true, false, text.data);
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    struct examination e = {.context = context};
    (void)arguments;
    examine_sandbox(&e);
    examine_helpers(&e);
    examine_machine(&e);
    examine_store(&e);
    examine_cpu(&e);
    examine_archive(&e);
    if (e.lacking)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "%zu things are lacking; `./bootstrap.sh` installs what Debian has of them",
                       e.lacking);
    return 0;
}

static const iw_option options[] = {{NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL}};

const iw_command_spec iw_command_doctor = {
    .name = "doctor",
    .operands = "",
    .least = 0,
    .most = 0,
    .complete = NULL,
    .summary = "Say what this host lacks, and how to get it",
    .description =
        "Tries the sandbox, looks at memory, disk, the store, the CPU and the pins. Exit status 2 "
        "where something is lacking without which nothing can be built.",
    .examples = NULL,
    .options = options,
    .run = run,
};
