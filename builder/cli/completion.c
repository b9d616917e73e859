/* `ironwheel completion SHELL` and `ironwheel man [COMMAND]`: texts from the option tables. */
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"

static int run_completion(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_cleanup_free char *text = iw_completion(arguments->operands[0], err);
    if (!text) return -1;
    iw_print(context, "%s", text);
    return 0;
}

static const iw_option no_options[] = {{NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL}};

const iw_command_spec iw_command_completion = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .least = 1,
    .most = 1,
    .complete = NULL,
    .summary = "Print completions for a shell",
    .description = "`make install` puts them where the shells look.",
    .examples = "ironwheel completion fish > ~/.config/fish/completions/ironwheel.fish\tfor fish\n",
    .options = no_options,
    .run = run_completion,
};

static int run_man(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_buffer name = {0};
    for (size_t i = 0; i < arguments->operand_count; i++)
        iw_buffer_add_format(&name, "%s%s", i ? " " : "", arguments->operands[i]);
    iw_cleanup_free char *wanted = iw_buffer_take(&name);
    if (iw_flag(arguments, "list")) {
        iw_print(context, "ironwheel\n");
        for (const iw_command_spec *const *command = iw_commands(); *command; command++)
            iw_print(context, "%s\n", (*command)->name);
        return 0;
    }
    const iw_command_spec *found = NULL;
    for (const iw_command_spec *const *command = iw_commands(); *command; command++)
        if (strcmp((*command)->name, wanted) == 0) found = *command;
    if (*wanted && !found)
        return iw_fail(err, IW_E_USAGE, "there is no command \"%s\"; see: ironwheel --help",
                       wanted);
    iw_cleanup_free char *text = iw_man_page(found);
    iw_print(context, "%s", text);
    return 0;
}

static const iw_option man_options[] = {
    {"list", 0, IW_OPTION_FLAG, NULL, "Print the pages' names only", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_man = {
    .name = "man",
    .operands = "[COMMAND]",
    .least = 0,
    .most = 2,
    .complete = NULL,
    .summary = "Print a manual page",
    .description = "In mdoc, for man(1): of a command, or of ironwheel itself.",
    .examples = "ironwheel man build | man -l -\tread it\n",
    .options = man_options,
    .run = run_man,
};
