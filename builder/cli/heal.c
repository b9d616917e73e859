/* `ironwheel heal requirements.txt…`. */
#include "upgrade/heal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"

static void tell_json(iw_context *context, const iw_healed *one)
{
    json_t *needed_by =
        iw_json_texts((const char *const *)one->needed_by.items, one->needed_by.count);
    iw_print_json(context,
                  json_pack("{s:s,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s?,s:I,s:o}", "type", "package",
                            "package", one->name, "version", one->version, "recipe", one->recipe,
                            "fate", iw_fate_name(one->fate), "was", one->was, "why", one->why,
                            "hashes", one->hashes, "forbidden_instructions", (json_int_t)one->holds,
                            "needed_by", needed_by));
}

static void tell(iw_context *context, const iw_healed *one)
{
    static const char *const what[] = {"the wheel as published", "the wheel of this version",
                                       "built by the tree's recipe",
                                       "built by a recipe from its sdist", "can't be had"};
    iw_print(context, "%-28s %-14s %s%s%s%s\n", one->name, one->version, what[one->fate],
             one->was ? " (pip would bring " : "", one->was ? one->was : "", one->was ? ")" : "");
    if (one->why) iw_print(context, "    %s\n", one->why);
    if (one->hashes) iw_print(context, "    %s\n", one->hashes);
}

static void on_told(void *context, const iw_heal_result *result)
{
    iw_context *c = context;
    for (size_t i = 0; i < result->count; i++) {
        if (c->json) tell_json(c, &result->items[i]);
        else if (!c->quiet || result->items[i].fate != IW_FATE_KEPT) tell(c, &result->items[i]);
    }
}

static void say(iw_context *context, const iw_heal_result *result, bool plan)
{
    size_t tried = 0;
    for (size_t i = 0; i < result->count; i++) tried += result->items[i].tried;
    if (context->json) {
        iw_print_json(context, json_pack("{s:s,s:I,s:I,s:I,s:f,s:I,s:s?,s:s?}", "type", "healed",
                                         "packages", (json_int_t)result->count, "impossible",
                                         (json_int_t)result->impossible, "tried", (json_int_t)tried,
                                         "hours", result->hours, "disk", (json_int_t)result->disk,
                                         "stack", result->stack, "lock", result->lock));
        return;
    }
    if (plan) {
        iw_cleanup_free char *time = iw_format_seconds(result->hours * 3600),
                             *disk = iw_format_bytes(result->disk);
        iw_print(context, "to build: about %s on all cores, and %s of disk\n", time, disk);
        return;
    }
    if (tried)
        iw_print(context,
                 "%zu package%s only tried: instructions beyond the CPU that nobody "
                 "reviewed; imported there, but what wasn't reached may die\n",
                 tried, tried == 1 ? " is" : "s are");
    iw_print(context, "stack %s\nlock  %s\n", result->stack, result->lock);
}

/* "requirements" of requirements.txt and the like, as a stack's name. Caller frees. */
static char *name_of(const char *path)
{
    iw_cleanup_free char *stem = iw_strndup(iw_path_base(path), strcspn(iw_path_base(path), ".")),
                         *name = iw_project_name(stem);
    for (char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-')) *c = '-';
    return *name && *name != '-' ? iw_steal(&name) : iw_strdup("healed");
}

static int heal(iw_context *context, const iw_heal_options *options, iw_error *err)
{
    iw_catalog *catalog;
    iw_store *store;
    iw_heal_result result = {0};
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_context_store(context, &store, err) != 0 || iw_context_watch_signals(context, err) != 0)
        return -1;
    iw_context_show(context);
    iw_heal_options filled = *options;
    filled.deliver = iw_context_deliver_options(context);
    for (size_t i = 0; i < options->profile_count; i++)
        if (iw_context_profile(context, options->profiles[i], err) != 0) return -1;
    int status = iw_heal(catalog, store, &filled, on_told, context, &result, err);
    if (status == 0) say(context, &result, options->plan);
    iw_heal_result_free(&result);
    return status;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_cleanup_strings iw_strings profiles = {0};
    const char *cpus = iw_text_option(arguments, "cpu"), *name = iw_text_option(arguments, "name"),
               *into = iw_text_option(arguments, "into");
    iw_cleanup_free char *usual = name_of(arguments->operands[0]);
    iw_strings_add_words(&profiles, cpus ? cpus : "k10", ',');
    iw_strings_sort(&profiles);
    if (!name) name = usual;
    const iw_heal_options options = {.files = arguments->operands,
                                     .file_count = arguments->operand_count,
                                     .profiles = (const char *const *)profiles.items,
                                     .profile_count = profiles.count,
                                     .name = name,
                                     .into = into ? into : name,
                                     .seconds = (unsigned)iw_number_option(arguments, "seconds", 0),
                                     .plan = iw_flag(arguments, "plan")};
    return heal(context, &options, err);
}

static const iw_option options[] = {
    {"cpu", 0, IW_OPTION_TEXT, "PROFILE,…", "The CPUs that it must run on (default: k10)", NULL},
    {"plan", 0, IW_OPTION_FLAG, NULL,
     "Only decide, and tell hours and disk: nothing is built or written", NULL},
    {"seconds", 0, IW_OPTION_NUMBER, "N",
     "How long each wheel is called and tested, emulated (default: 15)", NULL},
    {"name", 0, IW_OPTION_TEXT, "NAME", "Of the stack (default: the first file's)", NULL},
    {"into", 0, IW_OPTION_TEXT, "DIR",
     "Stack, recipes and pylock.toml go to DIR, a tree of its own (default: NAME)", "folder"},
    {"output", 'o', IW_OPTION_TEXT, "DIR",
     "Write the bundle to DIR (default: dist/ beside recipes/)", "folder"},
    {"level", 0, IW_OPTION_NUMBER, "N",
     "zstd level of the bundle (default: 12; another level gives other bytes)", NULL},
    IW_BUILD_OPTIONS,
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_heal = {
    .name = "heal",
    .operands = "FILE...",
    .least = 1,
    .most = 64,
    .complete = "file",
    .summary = "Turn requirements into a bundle that runs on an old CPU",
    .description =
        "Takes requirements files (with -r, -c, markers, extras and hashes), pylock.toml, uv.lock "
        "and the [project] of a pyproject.toml. They are resolved, each published wheel is tried "
        "on the emulated CPU, and for "
        "each that dies there comes, in this order: the tree's recipe of that version; its recipe "
        "of another version that the requirements allow; the newest wheel that runs; a recipe "
        "drafted from the sdist. What is left is named, with its reason and who needs it.\n\n"
        "A wheel that is kept and holds instructions beyond the CPU gets the verdict tried: "
        "imported and used under emulation, but what wasn't reached may die. The result is a tree "
        "of its own (stack, recipes, pylock.toml), a bundle and its report. The same requirements "
        "and index give the same bytes.",
    .examples = "ironwheel heal requirements.txt --plan\twhat would be kept, moved and built\n"
                "ironwheel heal requirements.txt --cpu k10,core2 --into ~/rig\tfor two rigs\n"
                "ironwheel -C ~/rig build requirements\tthe same bundle again\n",
    .options = options,
    .run = run,
};
