#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "cli/command.h"

#define WIDTH 78

/* --- help ----------------------------------------------------------------- */

/* Characters, which bytes that go on with one aren't: "…" is one column wide. */
static size_t columns(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* Adds `text` and spaces up to that column, on a line of its own where it is wider. */
static void add_left(iw_buffer *out, const char *text, size_t width)
{
    size_t wide = columns(text, strlen(text));
    iw_buffer_add_text(out, text);
    if (wide >= width) iw_buffer_add_format(out, "\n%*s", (int)width, "");
    else iw_buffer_add_format(out, "%*s", (int)(width - wide), "");
}

/* Adds `text` wrapped at WIDTH, each line after the first indented; `column` is where the first
 * starts. */
static void add_wrapped(iw_buffer *out, const char *text, size_t indent, size_t column)
{
    while (*text) {
        size_t length = strcspn(text, " \n"), wide = columns(text, length);
        if (column > indent && column + 1 + wide > WIDTH) {
            iw_buffer_add_format(out, "\n%*s", (int)indent, "");
            column = indent;
        }
        if (column > indent) {
            iw_buffer_add_char(out, ' ');
            column++;
        }
        iw_buffer_add(out, text, length);
        column += wide;
        text += length;
        if (text[0] == '\n') {
            iw_buffer_add_format(out, "\n%s%*s", text[1] == '\n' ? "\n" : "", (int)indent, "");
            column = indent;
        }
        text += strspn(text, " \n");
    }
    iw_buffer_add_char(out, '\n');
}

/* Whether a command has that letter for an option of its own: then it hides the common one's. */
static bool is_taken(const iw_option *own, char letter)
{
    for (; own && own->name; own++)
        if (own->letter == letter) return true;
    return false;
}

static void add_options(iw_buffer *out, const iw_option *options, const iw_option *own)
{
    for (; options && options->name; options++) {
        iw_buffer left = {0};
        if (options->letter && !is_taken(own, options->letter))
            iw_buffer_add_format(&left, "  -%c, --%s", options->letter, options->name);
        else iw_buffer_add_format(&left, "      --%s", options->name);
        if (options->value) iw_buffer_add_format(&left, " %s", options->value);
        add_left(out, left.data, 26);
        add_wrapped(out, options->help, 26, 26);
        iw_buffer_free(&left);
    }
}

char *iw_usage_overview(void)
{
    iw_buffer out = {0};
    iw_buffer_add_text(
        &out,
        "usage: ironwheel COMMAND [OPTION...] [OPERAND...]\n\n"
        "Builds a pinned Python stack from source for an old CPU, proves that it runs there,\n"
        "and packs it as one relocatable tarball.\n\n");
    for (const iw_command_spec *const *command = iw_commands(); *command; command++) {
        iw_cleanup_free char *left = iw_format("  %s %s", (*command)->name, (*command)->operands);
        add_left(&out, left, 26);
        add_wrapped(&out, (*command)->summary, 26, 26);
    }
    iw_buffer_add_text(&out, "\nOptions of every command:\n");
    add_options(&out, iw_common_options(), NULL);
    iw_buffer_add_text(&out, "\nironwheel COMMAND --help tells more. Exit status: 0 done; 1 what "
                             "was asked failed; 2 usage,\n"
                             "recipe or environment trouble; 130 stopped by Ctrl-C.\n");
    return iw_buffer_take(&out);
}

char *iw_usage_command(const iw_command_spec *command)
{
    iw_buffer out = {0};
    iw_buffer_add_format(&out, "usage: ironwheel %s [OPTION...]%s%s\n\n", command->name,
                         *command->operands ? " " : "", command->operands);
    add_wrapped(&out, command->description, 0, 0);
    if (command->options && command->options->name) {
        iw_buffer_add_text(&out, "\nOptions:\n");
        add_options(&out, command->options, NULL);
    }
    iw_buffer_add_text(&out, "\nOptions of every command:\n");
    add_options(&out, iw_common_options(), command->options);
    for (const char *line = command->examples; line && *line;) {
        if (line == command->examples) iw_buffer_add_text(&out, "\nExamples:\n");
        size_t first = strcspn(line, "\t"), all = strcspn(line, "\n");
        iw_buffer_add_format(&out, "  %.*s\n      ", (int)first, line);
        iw_buffer_add(&out, line + first + 1, all - first - 1);
        iw_buffer_add_char(&out, '\n');
        line += all + (line[all] == '\n');
    }
    return iw_buffer_take(&out);
}

/* --- man pages (mdoc(7)) -------------------------------------------------- */

/* Text with what troff would read as a request or an escape made harmless. */
static void add_troff(iw_buffer *out, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (*text == '\n') {
            iw_buffer_add_text(out, text[1] == '\n' ? "\n.Pp\n" : "\n");
            text += text[1] == '\n';
            start = true;
            continue;
        }
        if (start && (*text == '.' || *text == '\'')) iw_buffer_add_text(out, "\\&");
        if (*text == '\\') iw_buffer_add_text(out, "\\e");
        else if (*text == '-') iw_buffer_add_text(out, "\\-");
        else iw_buffer_add_char(out, *text);
        start = false;
    }
    iw_buffer_add_char(out, '\n');
}

static void add_man_options(iw_buffer *out, const iw_option *options, const iw_option *own)
{
    if (!options || !options->name) return;
    iw_buffer_add_text(out, ".Bl -tag -width Ds\n");
    for (; options->name; options++) {
        iw_buffer_add_text(out, ".It ");
        if (options->letter && !is_taken(own, options->letter))
            iw_buffer_add_format(out, "Fl %c , ", options->letter);
        iw_buffer_add_format(out, "Fl \\-%s", options->name);
        if (options->value) iw_buffer_add_format(out, " Ar %s", options->value);
        iw_buffer_add_char(out, '\n');
        add_troff(out, options->help);
    }
    iw_buffer_add_text(out, ".El\n");
}

/* "toolchain show" gives "ironwheel-toolchain-show". */
static char *man_name(const iw_command_spec *command)
{
    char *name = command ? iw_format("ironwheel-%s", command->name) : iw_strdup("ironwheel");
    for (char *c = name; *c; c++)
        if (*c == ' ') *c = '-';
    return name;
}

static void add_man_examples(iw_buffer *out, const char *line)
{
    if (!line) return;
    iw_buffer_add_text(out, ".Sh EXAMPLES\n.Bl -tag -width Ds\n");
    while (*line) {
        size_t first = strcspn(line, "\t"), all = strcspn(line, "\n");
        iw_cleanup_free char *command = iw_strndup(line, first),
                             *meaning = iw_strndup(line + first + 1, all - first - 1);
        iw_buffer_add_text(out, ".It Li ");
        add_troff(out, command);
        add_troff(out, meaning);
        line += all + (line[all] == '\n');
    }
    iw_buffer_add_text(out, ".El\n");
}

static void add_man_commands(iw_buffer *out)
{
    iw_buffer_add_text(out, ".Sh COMMANDS\n.Bl -tag -width Ds\n");
    for (const iw_command_spec *const *command = iw_commands(); *command; command++) {
        iw_buffer_add_format(out, ".It Nm ironwheel Cm %s Ar %s\n", (*command)->name,
                             (*command)->operands);
        add_troff(out, (*command)->summary);
        iw_cleanup_free char *page = man_name(*command);
        iw_buffer_add_format(out, "See\n.Xr %s 1 .\n", page);
    }
    iw_buffer_add_text(out, ".El\n");
}

char *iw_man_page(const iw_command_spec *command)
{
    iw_buffer out = {0};
    iw_cleanup_free char *name = man_name(command);
    iw_cleanup_free char *title = iw_strdup(name);
    for (char *c = title; *c; c++) *c = (char)toupper((unsigned char)*c);
    iw_buffer_add_format(&out,
                         ".\\\" Generated from the option tables by `make man`.\n.Dd November "
                         "2026\n.Dt %s 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd ",
                         title, name);
    add_troff(&out, command ? command->summary : "build Python stacks from source for old CPUs");
    iw_buffer_add_text(&out, ".Sh SYNOPSIS\n");
    if (command)
        iw_buffer_add_format(&out, ".Nm ironwheel %s\n.Op Ar OPTION ...\n%s%s\n", command->name,
                             *command->operands ? ".Ar " : "", command->operands);
    else
        iw_buffer_add_text(&out,
                           ".Nm ironwheel\n.Ar COMMAND\n.Op Ar OPTION ...\n.Op Ar OPERAND ...\n");
    iw_buffer_add_text(&out, ".Sh DESCRIPTION\n");
    add_troff(&out, command ? command->description
                            : "Builds a pinned Python stack from source for a CPU that binary "
                              "wheels left behind, proves that the result runs there, "
                              "and packs it as one relocatable, reproducible tarball.");
    if (!command) add_man_commands(&out);
    iw_buffer_add_text(&out, ".Sh OPTIONS\n");
    if (command) add_man_options(&out, command->options, NULL);
    iw_buffer_add_text(&out, "Every command takes:\n");
    add_man_options(&out, iw_common_options(), command ? command->options : NULL);
    if (!command)
        iw_buffer_add_text(
            &out,
            ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n.It Ev IRONWHEEL_CACHE\nThe store's folder.\n"
            ".It Ev IRONWHEEL_ACCEPT_LICENCE\nLicences that are accepted, separated by commas, of "
            "what isn't free.\n.It Ev IRONWHEEL_DEBIAN_MIRROR\nDebian mirrors, separated by "
            "spaces, in place of "
            "those that apt is configured with.\n"
            ".It Ev IRONWHEEL_DEBIAN_SNAPSHOT\nThe address of Debian's snapshot archive, asked for "
            "pinned files that the mirrors have dropped.\n"
            ".It Ev PIP_INDEX_URL\nThe Python package index, as for pip; pip.conf counts too.\n"
            ".It Ev NO_COLOR\nNo colours.\n.El\n");
    iw_buffer_add_text(&out, ".Sh EXIT STATUS\n0 done; 1 what was asked failed; 2 usage, recipe or "
                             "environment trouble; 130 stopped by Ctrl\\-C.\n");
    if (command) add_man_examples(&out, command->examples);
    return iw_buffer_take(&out);
}

/* --- completions ---------------------------------------------------------- */

static void add_words(iw_buffer *out, const iw_option *options)
{
    for (; options && options->name; options++) iw_buffer_add_format(out, " --%s", options->name);
}

static void complete_bash(iw_buffer *out)
{
    iw_buffer_add_text(
        out, "# bash completion for ironwheel; generated from the option tables\n"
             "_ironwheel() {\n"
             "    local word=${COMP_WORDS[COMP_CWORD]} commands= options= operands= i name=\n"
             "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
             "        case ${COMP_WORDS[i]} in -*) ;; *) name=\"${name:+$name }${COMP_WORDS[i]}\" "
             ";; esac\n"
             "    done\n"
             "    case $name in\n");
    for (const iw_command_spec *const *command = iw_commands(); *command; command++) {
        iw_buffer_add_format(out, "        \"%s\"*) options=\"", (*command)->name);
        add_words(out, (*command)->options);
        iw_buffer_add_format(out, "\"; operands=%s ;;\n",
                             (*command)->complete ? (*command)->complete : "none");
    }
    iw_buffer_add_text(out, "        *) commands=\"");
    for (const iw_command_spec *const *command = iw_commands(); *command; command++)
        iw_buffer_add_format(out, " %s", (*command)->name);
    iw_buffer_add_text(out, "\" ;;\n    esac\n    options+=\"");
    add_words(out, iw_common_options());
    iw_buffer_add_text(out,
                       "\"\n"
                       "    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- "
                       "\"$word\")); return; fi\n"
                       "    case $operands in\n"
                       "        file) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
                       "        stack|package|toolchain) COMPREPLY=($(compgen -W \"$(ironwheel "
                       "list \"$operands\" --names 2>/dev/null)\" -- \"$word\")) ;;\n"
                       "        *) COMPREPLY=($(compgen -W \"$commands\" -- \"$word\")) ;;\n"
                       "    esac\n}\ncomplete -F _ironwheel ironwheel\n");
}

/* Single quotes made safe for zsh and fish. */
static void add_quoted(iw_buffer *out, const char *text)
{
    iw_buffer_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'') iw_buffer_add_text(out, "'\\''");
        else iw_buffer_add_char(out, *text);
    }
    iw_buffer_add_char(out, '\'');
}

static void complete_fish(iw_buffer *out)
{
    iw_buffer_add_text(out, "# fish completion for ironwheel; generated from the option "
                            "tables\ncomplete -c ironwheel -f\n");
    for (const iw_option *option = iw_common_options(); option->name; option++) {
        iw_buffer_add_format(out, "complete -c ironwheel -l %s%s%.*s%s -d ", option->name,
                             option->letter ? " -s " : "", option->letter ? 1 : 0, &option->letter,
                             option->value ? " -r" : "");
        add_quoted(out, option->help);
        iw_buffer_add_char(out, '\n');
    }
    for (const iw_command_spec *const *command = iw_commands(); *command; command++) {
        size_t first = strcspn((*command)->name, " ");
        iw_buffer_add_format(out, "complete -c ironwheel -n __fish_use_subcommand -a %.*s -d ",
                             (int)first, (*command)->name);
        add_quoted(out, (*command)->summary);
        iw_buffer_add_char(out, '\n');
        const char *kind = (*command)->complete;
        if (kind && strcmp(kind, "file") == 0)
            iw_buffer_add_format(out,
                                 "complete -c ironwheel -n '__fish_seen_subcommand_from %.*s' -F\n",
                                 (int)first, (*command)->name);
        else if (kind)
            iw_buffer_add_format(out,
                                 "complete -c ironwheel -n '__fish_seen_subcommand_from %.*s' -a "
                                 "'(ironwheel list %s --names 2>/dev/null)'\n",
                                 (int)first, (*command)->name, kind);
        for (const iw_option *option = (*command)->options; option && option->name; option++) {
            iw_buffer_add_format(
                out, "complete -c ironwheel -n '__fish_seen_subcommand_from %.*s' -l %s%s -d ",
                (int)first, (*command)->name, option->name, option->value ? " -r" : "");
            add_quoted(out, option->help);
            iw_buffer_add_char(out, '\n');
        }
    }
}

static void complete_zsh(iw_buffer *out)
{
    iw_buffer_add_text(out, "#compdef ironwheel\n# zsh completion for ironwheel; generated from "
                            "the option tables: bash's function, through bashcompinit\n"
                            "autoload -U +X bashcompinit && bashcompinit\n");
    complete_bash(out);
}

char *iw_completion(const char *shell, iw_error *err)
{
    iw_buffer out = {0};
    if (strcmp(shell, "bash") == 0) complete_bash(&out);
    else if (strcmp(shell, "zsh") == 0) complete_zsh(&out);
    else if (strcmp(shell, "fish") == 0) complete_fish(&out);
    else {
        iw_fail(err, IW_E_USAGE, "no completion for \"%s\"; there is one for bash, zsh and fish",
                shell);
        return NULL;
    }
    return iw_buffer_take(&out);
}
