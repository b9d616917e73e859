/* The program: parses the command line, runs one command, prints its error, and gives the exit
 * status. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/context.h"
#include "ui/columns.h"

static int print_help(const iw_arguments *arguments)
{
    char *text = arguments->command ? iw_usage_command(arguments->command) : iw_usage_overview();
    fputs(text, stdout);
    free(text);
    return 0;
}

static void print_error(const iw_error *err, bool colour)
{
    iw_cleanup_free char *text =
        iw_columns_lines(iw_error_text(err)); /* it may quote a file that is broken, or malicious */
    fprintf(stderr, "%sironwheel:%s %s\n", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "",
            text);
}

static bool has_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(2) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv)
{
    iw_error err = IW_ERROR_INIT;
    iw_arguments arguments;
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        print_help(&(iw_arguments){0});
        return 2;
    }
    int status = -1;
    if (iw_parse_arguments(argc - 1, (const char *const *)argv + 1, &arguments, &err) == 0) {
        if (iw_flag(&arguments, "version")) {
            puts("ironwheel " IW_VERSION);
            status = 0;
        } else if (iw_flag(&arguments, "help")) {
            status = print_help(&arguments);
        } else {
            iw_context context;
            iw_context_open(&context, &arguments);
            status = arguments.command->run(&context, &arguments, &err);
            iw_context_close(&context);
        }
    }
    if (status == 0 && fflush(stdout) != 0)
        status = iw_fail_errno(&err, IW_E_IO, "can't write to standard output");
    if (status < 0) {
        print_error(&err, has_colour());
        status = iw_error_exit_status(err.kind);
    }
    iw_error_clear(&err);
    return status;
}
