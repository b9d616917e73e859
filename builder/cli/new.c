/* `ironwheel new NAME [VERSION]`. */
#include "upgrade/new.h"

#include <jansson.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"

static json_t *list_json(const iw_strings *list)
{
    json_t *all = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(all, json_string(list->items[i]));
    return all;
}

static void tell_json(iw_context *context, const iw_made *made)
{
    iw_print_json(context, json_pack("{s:s,s:s,s:s,s:s,s:b,s:s?,s:o,s:o}", "type", "recipe", "name",
                                     made->name, "version", made->version, "path", made->path,
                                     "built", made->built, "cause", made->cause, "learnt",
                                     list_json(&made->edits), "pins", list_json(&made->pins)));
}

static void tell(iw_context *context, const iw_made *made)
{
    iw_print(context, "%s %s: %s\n  %s\n", made->name, made->version,
             made->built ? "built, audited and imported" : "a draft, with something left to do",
             made->path);
    for (size_t i = 0; i < made->edits.count && !context->quiet; i++)
        iw_print(context, "  learnt: %s\n", made->edits.items[i]);
    if (made->cause) iw_print(context, "  todo: %s\n", made->cause);
}

static int say(iw_context *context, const iw_made_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        context->json ? tell_json(context, &list->items[i]) : tell(context, &list->items[i]);
    const iw_made *last = &list->items[list->count - 1];
    for (size_t i = 0; i < last->pins.count && !context->json && !context->quiet; i++)
        iw_print(context, "  a stack that takes it pins: %s\n", last->pins.items[i]);
    if (last->built && !context->json && !context->quiet)
        iw_print(context, "put it into a stack's `packages`: `%s: %s`\n", last->name,
                 last->version);
    return !last->built;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_catalog *catalog;
    iw_store *store;
    iw_made_list made = {0};
    const char *profile = iw_text_option(arguments, "profile");
    if (iw_context_catalog(context, &catalog, err) != 0 ||
        iw_context_store(context, &store, err) != 0 ||
        (profile && iw_context_profile(context, profile, err) != 0) ||
        iw_context_watch_signals(context, err) != 0)
        return -1;
    iw_context_show(context);
    iw_new_options options = {
        .project = arguments->operands[0],
        .version = arguments->operand_count > 1 ? arguments->operands[1] : NULL,
        .tree = iw_flag(arguments, "tree"),
        .into = iw_text_option(arguments, "into"),
        .profile = profile ? profile : "k10",
        .min_age = iw_number_option(arguments, "min-age", 0) * 86400,
        .early = iw_flag(arguments, "allow-prerelease"),
        .deliver = iw_context_deliver_options(context),
    };
    int status = iw_new_make(catalog, store, &options, &made, err);
    if (status == 0) status = say(context, &made);
    iw_made_free(&made);
    return status;
}

static const iw_option options[] = {
    {"tree", 0, IW_OPTION_FLAG, NULL, "Make recipes of what it needs, too, where there are none",
     NULL},
    {"into", 0, IW_OPTION_TEXT, "DIR",
     "Write them to DIR, as a tree of its own with all that they need (default: this tree)",
     "folder"},
    {"profile", 'p', IW_OPTION_TEXT, "PROFILE", "The CPU that it is tried for (default: k10)",
     NULL},
    {"min-age", 0, IW_OPTION_NUMBER, "DAYS", "Take no release younger than that (default: 0)",
     NULL},
    {"allow-prerelease", 0, IW_OPTION_FLAG, NULL, "Take pre-releases, too", NULL},
    IW_BUILD_OPTIONS,
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_new = {
    .name = "new",
    .operands = "NAME [VERSION]",
    .least = 1,
    .most = 2,
    .summary = "Draft a recipe from a package's sdist, and build it until it holds",
    .description =
        "Reads what the package index and the sdist say of themselves (in a sandbox, as data), "
        "drafts a recipe and builds it in a copy of the tree. What goes wrong is learnt from, in "
        "bounded rounds: a module, header or library that is missing becomes a need, where a "
        "recipe has it. The result is audited, and every module at its top is imported under the "
        "profile's CPU model.\n\n"
        "What it can't know stands in the recipe as `todo`, which `build` refuses until a person "
        "has settled it. A recipe that is there is never edited. Exit status 0: built; 1: a draft "
        "with something left to do; 2: usage.",
    .examples =
        "ironwheel new click\tthe newest release for this Python\n"
        "ironwheel new httpx 0.28.1 --tree\twith recipes of what it needs\n"
        "ironwheel new ujson --into ~/mine\tinto a tree of your own: then `ironwheel -C ~/mine "
        "build new-ujson`\n",
    .options = options,
    .run = run,
};
