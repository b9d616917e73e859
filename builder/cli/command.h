/* Commands and their options: one const table per command drives parsing, --help, the man pages and
 * the completions. */
#ifndef IW_CLI_COMMAND_H
#define IW_CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event.h"
#include "base/text.h"

typedef enum iw_option_kind {
    IW_OPTION_FLAG,  /* bool */
    IW_OPTION_TEXT,  /* const char *, borrowed from argv */
    IW_OPTION_NUMBER /* uint64_t */
} iw_option_kind;

/* One option. A table ends with an entry whose `name` is NULL. */
typedef struct iw_option {
    const char *name; /* without the dashes */
    char letter;      /* or 0 */
    iw_option_kind kind;
    const char *value;    /* what the value is, in capitals, for the usage line; NULL for flags */
    const char *help;     /* one sentence without the full stop */
    const char *complete; /* for completions: "file", "folder", or NULL */
} iw_option;

/* What stood on the command line: values in the order of the option tables, operands. Borrowed from
 * argv. */
typedef struct iw_arguments {
    const struct iw_command_spec *command;
    struct iw_option_value {
        const iw_option *option;
        const char *text;
        uint64_t number;
        bool set;
    } values[48];
    size_t value_count;
    const char *operands[1024];
    size_t operand_count;
    const char *const *rest; /* what follows `--`, NULL-terminated, or NULL */
} iw_arguments;

struct iw_context;

typedef struct iw_command_spec {
    const char *name;        /* "build", or two words: "toolchain show" */
    const char *operands;    /* "STACK", "[STACK]", "BUNDLE [DIR]", "PACKAGE", "" */
    size_t least, most;      /* operands */
    const char *complete;    /* what an operand is, for completions: "stack", "package", "file",
                                "toolchain" or NULL */
    const char *summary;     /* one line, no full stop */
    const char *description; /* paragraphs for --help and the man page */
    const char *examples;    /* "command\tmeaning\n" lines, or NULL */
    const iw_option *options;
    int (*run)(struct iw_context *context, const iw_arguments *arguments,
               iw_error *err); /* -1: failed, else the exit status */
} iw_command_spec;

/* All commands, in the order of the help; NULL-terminated, static. */
const iw_command_spec *const *iw_commands(void);
/* Options that every command takes. */
const iw_option *iw_common_options(void);

/* Parses argv behind the program's name. `*out` is filled; --help and --version set out->command as
 * far as known and the flag. IW_E_USAGE with "did you mean" otherwise. */
int iw_parse_arguments(int argc, const char *const *argv, iw_arguments *out, iw_error *err);
bool iw_flag(const iw_arguments *arguments, const char *name);
const char *iw_text_option(const iw_arguments *arguments,
                           const char *name); /* NULL where not given */
uint64_t iw_number_option(const iw_arguments *arguments, const char *name, uint64_t otherwise);

/* Generated texts; caller frees. */
char *iw_usage_overview(void);
char *iw_usage_command(const iw_command_spec *command);
char *iw_man_page(const iw_command_spec *command); /* NULL: ironwheel(1) itself; mdoc */
char *iw_completion(const char *shell,
                    iw_error *err); /* bash, zsh, fish; NULL with err otherwise */

#endif
