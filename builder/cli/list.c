/* `ironwheel list [WHAT]` and `ironwheel profile`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"
#include "emulate/cpuid.h"
#include "emulate/emulate.h"

static int list_stacks(iw_context *context, iw_catalog *catalog, iw_error *err)
{
    iw_list names;
    if (iw_catalog_stacks(catalog, &names, err) != 0) return -1;
    for (size_t i = 0; i < names.count; i++) {
        const iw_stack *stack;
        if (iw_catalog_stack(catalog, names.items[i], &stack, err) != 0) return -1;
        iw_buffer profiles = {0};
        for (size_t p = 0; p < stack->profiles.count; p++)
            iw_buffer_add_format(&profiles, "%s%s", p ? "+" : "", stack->profiles.items[p]);
        iw_cleanup_free char *joined = iw_buffer_take(&profiles);
        if (context->json)
            iw_print_json(context,
                          json_pack("{s:s,s:s,s:s,s:s,s:f,s:f}", "stack", stack->name, "version",
                                    stack->version, "summary", stack->summary, "profiles", joined,
                                    "hours", stack->hours, "disk_gb", stack->disk_gb));
        else
            iw_print(context, "%-14s %-9s %-10s about %4.1f h, %3.0f GB   %s\n", stack->name,
                     stack->version, joined, stack->hours, stack->disk_gb, stack->summary);
    }
    return 0;
}

static int list_packages(iw_context *context, iw_catalog *catalog, iw_error *err)
{
    iw_list names, versions;
    if (iw_catalog_names(catalog, &names, err) != 0) return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (iw_catalog_versions(catalog, names.items[i], &versions, err) != 0) return -1;
        for (size_t v = 0; v < versions.count; v++) {
            const iw_recipe *recipe;
            if (iw_catalog_recipe(catalog, names.items[i], versions.items[v], &recipe, err) != 0)
                return -1;
            if (context->json)
                iw_print_json(context, json_pack("{s:s,s:s,s:s,s:s}", "package", recipe->name,
                                                 "version", recipe->version, "summary",
                                                 recipe->summary, "licence", recipe->licence));
            else
                iw_print(context, "%-22s %-14s %s\n", recipe->name, recipe->version,
                         recipe->summary);
        }
    }
    return 0;
}

static int list_toolchains(iw_context *context, iw_catalog *catalog, iw_error *err)
{
    iw_list names;
    if (iw_catalog_toolchains(catalog, &names, err) != 0) return -1;
    for (size_t i = 0; i < names.count; i++) {
        const iw_toolchain *toolchain;
        if (iw_catalog_toolchain(catalog, names.items[i], &toolchain, err) != 0) return -1;
        if (context->json)
            iw_print_json(context,
                          json_pack("{s:s,s:s,s:i}", "toolchain", toolchain->name, "digest",
                                    toolchain->digest, "packages", (int)toolchain->package_count));
        else
            iw_print(context, "%-14s %4zu packages   %s\n", toolchain->name,
                     toolchain->package_count, toolchain->summary ? toolchain->summary : "");
    }
    return 0;
}

static const struct {
    const char *what;
    int (*list)(iw_context *context, iw_catalog *catalog, iw_error *err);
} kinds[] = {{"stack", list_stacks}, {"package", list_packages}, {"toolchain", list_toolchains}};

/* Completions want bare names. */
static int list_names(iw_context *context, iw_catalog *catalog, const char *what, iw_error *err)
{
    iw_list names;
    int status = strcmp(what, "stack") == 0     ? iw_catalog_stacks(catalog, &names, err)
                 : strcmp(what, "package") == 0 ? iw_catalog_names(catalog, &names, err)
                                                : iw_catalog_toolchains(catalog, &names, err);
    for (size_t i = 0; status == 0 && i < names.count; i++)
        iw_print(context, "%s\n", names.items[i]);
    return status;
}

static int run_list(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_catalog *catalog;
    const char *what = arguments->operand_count ? arguments->operands[0] : "stack";
    if (iw_context_catalog(context, &catalog, err) != 0) return -1;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (iw_starts_with(what, kinds[i].what) &&
            (!what[strlen(kinds[i].what)] || strcmp(what + strlen(kinds[i].what), "s") == 0))
            return iw_flag(arguments, "names") ? list_names(context, catalog, kinds[i].what, err)
                                               : kinds[i].list(context, catalog, err);
    return iw_fail(err, IW_E_USAGE, "list knows stacks, packages and toolchains, not \"%s\"", what);
}

static const iw_option list_options[] = {
    {"names", 0, IW_OPTION_FLAG, NULL, "Names only", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_list = {
    .name = "list",
    .operands = "[stacks|packages|toolchains]",
    .least = 0,
    .most = 1,
    .complete = NULL,
    .summary = "List what this tree can build",
    .description = "Stacks (the default) with the hours and the disk that a first build takes, "
                   "packages with their versions, or toolchains.",
    .examples = NULL,
    .options = list_options,
    .run = run_list,
};

/* --- profile -------------------------------------------------------------- */

static bool allows(const iw_profile *profile, const char *feature)
{
    for (size_t i = 0; i < profile->features.count; i++)
        if (strcmp(profile->features.items[i], feature) == 0) return true;
    return false;
}

/* What of the profile's features this host lacks. Caller frees. */
static char *lacks(const iw_profile *profile)
{
    iw_buffer out = {0};
    for (const char *const *feature = iw_cpu_features(); *feature; feature++)
        if (allows(profile, *feature) && !iw_cpu_has(iw_cpuid_host, NULL, *feature))
            iw_buffer_add_format(&out, "%s%s", out.length ? " " : "", *feature);
    return iw_buffer_take(&out);
}

static json_t *unseen_by(const iw_profile *profile)
{
    const char *unseen[IW_UNSEEN_LIMIT];
    json_t *list = json_array();
    iw_emulator_unseen(profile, unseen);
    for (size_t i = 0; unseen[i]; i++) json_array_append_new(list, json_string(unseen[i]));
    return list;
}

static int run_profile(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_catalog *catalog;
    iw_list names;
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_catalog_profiles(catalog, &names, err) != 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        const iw_profile *profile;
        if (iw_catalog_profile(catalog, names.items[i], &profile, err) != 0) return -1;
        bool host = iw_flag(arguments, "host"), exact = iw_host_is_profile(profile);
        iw_cleanup_free char *missing = lacks(profile);
        if (context->json)
            iw_print_json(context,
                          json_pack("{s:s,s:s,s:s,s:o,s:b,s:s}", "profile", profile->name,
                                    "summary", profile->summary, "emulator", profile->emulator_cpu,
                                    "emulator_unseen", unseen_by(profile), "host_is", exact,
                                    "host_lacks", missing));
        else if (host)
            iw_print(context, "%-12s %s%s\n", profile->name,
                     exact      ? "this host, exactly"
                     : *missing ? "this host lacks: "
                                : "runs on this host",
                     missing);
        else
            iw_print(context, "%-12s %s\n", profile->name,
                     profile->summary ? profile->summary : "");
    }
    return 0;
}

static const iw_option profile_options[] = {
    {"host", 0, IW_OPTION_FLAG, NULL,
     "Say which of them this host is, and what it lacks of the others", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_profile = {
    .name = "profile",
    .operands = "",
    .least = 0,
    .most = 0,
    .complete = NULL,
    .summary = "List the CPU profiles",
    .description = "A profile says what a CPU may execute. A stack names those that its "
                   "environment must run on.",
    .examples = "ironwheel profile --host\twhich of them this machine is\n",
    .options = profile_options,
    .run = run_profile,
};
