/* `ironwheel log PACKAGE` and `ironwheel shell PACKAGE`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "build/build.h"
#include "cli/commands.h"
#include "ui/columns.h"

/* A line of a log as a terminal may have it: it comes from a program that somebody else wrote.
 * Indented as it was; a progress bar as it stood at last. */
static void show_line(const char *line)
{
    iw_cleanup_free char *settled = iw_columns_settle(line), *shown = iw_columns_lines(settled);
    printf("%.*s%s\n", (int)strspn(line, " \t"), line, shown);
}

/* As it is into a file or a pipe. */
static int copy_to_output(const char *path, iw_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    iw_cleanup_free char *line = NULL;
    size_t room = 0;
    bool terminal = isatty(1);
    for (ssize_t got; (got = getline(&line, &room, file)) >= 0;) {
        if (terminal) show_line(line);
        else fwrite(line, 1, (size_t)got, stdout);
    }
    fclose(file);
    return 0;
}

static int run_log(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_store *store;
    const char *package = arguments->operands[0], *slash = strchr(package, '/'),
               *phase = arguments->operand_count > 1 ? arguments->operands[1] : NULL;
    iw_cleanup_free char *name = iw_strndup(package,
                                            slash ? (size_t)(slash - package) : strlen(package)),
                         *path = NULL;
    if (iw_context_store(context, &store, err) != 0) return -1;
    if (iw_build_log_path(store, name, slash ? slash + 1 : NULL, phase, &path, err) != 0) return -1;
    if (iw_flag(arguments, "path")) {
        iw_print(context, "%s\n", path);
        return 0;
    }
    if (!context->quiet) fprintf(stderr, "%s\n", path);
    return copy_to_output(path, err);
}

static const iw_option log_options[] = {
    {"path", 0, IW_OPTION_FLAG, NULL, "Print the log's path only", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_log = {
    .name = "log",
    .operands = "PACKAGE [PHASE]",
    .least = 1,
    .most = 2,
    .complete = "package",
    .summary = "Print the last log of a package",
    .description = "Phases: unpack, patch, prepare, configure, compile, install, finish, pack. "
                   "Without one, the log that was written last.",
    .examples = "ironwheel log numpy\tthe last log\nironwheel log numpy configure\tof one phase\n",
    .options = log_options,
    .run = run_log,
};

/* --- shell ---------------------------------------------------------------- */

static int run_shell(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session = {0};
    const char *stack;
    iw_node *node;
    int ended = 0;
    iw_build_options options = {.helpers = context->helpers, .cancel = -1};
    if (iw_context_stack_option(context, &stack, err) != 0) return -1;
    int status = iw_context_session(context, stack, &session, err);
    if (status == 0) status = iw_session_node(&session, arguments->operands[0], &node, err);
    if (status == 0)
        status = iw_build_shell(session.store, session.plan, node, &options, &ended, err);
    iw_session_close(&session);
    if (status != 0) return -1;
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}

static const iw_option shell_options[] = {
    {"stack", 's', IW_OPTION_TEXT, "STACK", "The stack whose build is meant (default: base)", NULL},
    IW_NO_SANDBOX_OPTION,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_shell = {
    .name = "shell",
    .operands = "PACKAGE",
    .least = 1,
    .most = 1,
    .complete = "package",
    .summary = "Open a shell in the kept tree of a package that failed",
    .description = "The same sandbox, environment and compiler wrapper as the build's steps, with "
                   "a terminal. The next build of the package starts it over.",
    .examples = "ironwheel shell numpy\tlook at what is there\n",
    .options = shell_options,
    .run = run_shell,
};
