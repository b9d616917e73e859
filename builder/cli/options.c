#include <string.h>

#include "base/memory.h"
#include "cli/command.h"

static const iw_option common_options[] = {
    {"root", 'C', IW_OPTION_TEXT, "DIR",
     "Take recipes/ and patches/ from DIR (default: this folder or the nearest above it that holds "
     "recipes/)",
     "folder"},
    {"cache", 0, IW_OPTION_TEXT, "DIR",
     "Put the store in DIR (default: IRONWHEEL_CACHE, else cache/ beside recipes/)", "folder"},
    {"json", 0, IW_OPTION_FLAG, NULL, "Print JSON lines for programs", NULL},
    {"quiet", 'q', IW_OPTION_FLAG, NULL, "Print failures and the result only", NULL},
    {"verbose", 'v', IW_OPTION_FLAG, NULL, "Print what the steps print, too", NULL},
    {"help", 'h', IW_OPTION_FLAG, NULL, "Show this help", NULL},
    {"version", 0, IW_OPTION_FLAG, NULL, "Show the version", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_option *iw_common_options(void)
{
    return common_options;
}

/* --- finding commands and options ----------------------------------------- */

/* The command that argv starts with; the longest name wins. *used is the number of words it took.
 */
static const iw_command_spec *find_command(size_t argc, const char *const *argv, size_t *used)
{
    const iw_command_spec *found = NULL;
    *used = 0;
    for (const iw_command_spec *const *command = iw_commands(); *command; command++) {
        const char *space = strchr((*command)->name, ' ');
        size_t first = space ? (size_t)(space - (*command)->name) : strlen((*command)->name);
        if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], (*command)->name, first) != 0)
            continue;
        if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0)) continue;
        size_t words = space ? 2 : 1;
        if (words > *used) {
            found = *command;
            *used = words;
        }
    }
    return found;
}

static int unknown_command(const char *word, iw_error *err)
{
    const char *names[128];
    size_t count = 0;
    bool group = false;
    for (const iw_command_spec *const *command = iw_commands(); *command && count < 128;
         command++) {
        names[count++] = (*command)->name;
        size_t length = strlen(word);
        group = group ||
                (strncmp((*command)->name, word, length) == 0 && (*command)->name[length] == ' ');
    }
    if (group)
        return iw_fail(err, IW_E_USAGE, "\"%s\" needs one more word; see: ironwheel --help", word);
    const char *near = iw_nearest(word, names, count);
    return iw_fail(err, IW_E_USAGE, "unknown command \"%s\"%s%s%s; see: ironwheel --help", word,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static const iw_option *find_in(const iw_option *table, const char *name, size_t length,
                                char letter)
{
    for (; table && table->name; table++) {
        if (letter ? table->letter == letter
                   : strlen(table->name) == length && strncmp(table->name, name, length) == 0)
            return table;
    }
    return NULL;
}

static const iw_option *find_option(const iw_command_spec *command, const char *name, size_t length,
                                    char letter)
{
    const iw_option *found = command ? find_in(command->options, name, length, letter) : NULL;
    return found ? found : find_in(common_options, name, length, letter);
}

static int unknown_option(const iw_command_spec *command, const char *given, iw_error *err)
{
    const char *names[64];
    size_t count = 0;
    const iw_option *tables[] = {command ? command->options : NULL, common_options};
    for (size_t t = 0; t < 2; t++)
        for (const iw_option *option = tables[t]; option && option->name && count < 64; option++)
            names[count++] = option->name;
    const char *near =
        given[0] == '-' && given[1] == '-' ? iw_nearest(given + 2, names, count) : NULL;
    return iw_fail(err, IW_E_USAGE, "unknown option %s%s%s%s; see: ironwheel %s%s--help", given,
                   near ? "; did you mean --" : "", near ? near : "", near ? "?" : "",
                   command ? command->name : "", command ? " " : "");
}

/* --- values --------------------------------------------------------------- */

static int set_value(iw_arguments *out, const iw_option *option, const char *text, iw_error *err)
{
    struct iw_option_value *value = NULL;
    for (size_t i = 0; i < out->value_count && !value; i++)
        if (out->values[i].option == option) value = &out->values[i];
    if (!value) {
        if (out->value_count == sizeof out->values / sizeof *out->values)
            return iw_fail(err, IW_E_USAGE, "too many options");
        value = &out->values[out->value_count++];
    }
    *value = (struct iw_option_value){.option = option, .text = text, .set = true};
    if (option->kind != IW_OPTION_NUMBER || iw_parse_unsigned(text, UINT32_MAX, &value->number))
        return 0;
    return iw_fail(err, IW_E_USAGE, "--%s takes a number from 0 to %u, not \"%s\"", option->name,
                   UINT32_MAX, text);
}

/* One word that starts with a dash; may take the next word as its value. Returns the number of
 * words used, or -1. */
static int parse_option(int argc, const char *const *argv, iw_arguments *out, iw_error *err)
{
    const char *word = argv[0], *text = NULL;
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        size_t length = equals ? (size_t)(equals - word) - 2 : strlen(word + 2);
        const iw_option *option = find_option(out->command, word + 2, length, 0);
        if (!option) return unknown_option(out->command, word, err);
        if (option->kind == IW_OPTION_FLAG) {
            if (equals) return iw_fail(err, IW_E_USAGE, "--%s takes no value", option->name);
            return set_value(out, option, NULL, err) == 0 ? 1 : -1;
        }
        text = equals ? equals + 1 : argc > 1 ? argv[1] : NULL;
        if (!text)
            return iw_fail(err, IW_E_USAGE, "--%s needs a value: --%s %s", option->name,
                           option->name, option->value);
        return set_value(out, option, text, err) == 0 ? (equals ? 1 : 2) : -1;
    }
    for (const char *letter = word + 1; *letter; letter++) {
        const iw_option *option = find_option(out->command, NULL, 0, *letter);
        if (!option) return unknown_option(out->command, word, err);
        if (option->kind == IW_OPTION_FLAG) {
            if (set_value(out, option, NULL, err) != 0) return -1;
            continue;
        }
        text = letter[1] ? letter + 1 : argc > 1 ? argv[1] : NULL;
        if (!text)
            return iw_fail(err, IW_E_USAGE, "-%c needs a value: -%c %s", *letter, *letter,
                           option->value);
        return set_value(out, option, text, err) == 0 ? (letter[1] ? 1 : 2) : -1;
    }
    return 1;
}

static int check_operands(const iw_arguments *out, iw_error *err)
{
    const iw_command_spec *command = out->command;
    if (iw_flag(out, "help") || iw_flag(out, "version")) return 0;
    if (!command) return iw_fail(err, IW_E_USAGE, "no command given; see: ironwheel --help");
    if (out->operand_count < command->least)
        return iw_fail(err, IW_E_USAGE, "%s needs %s; usage: ironwheel %s %s", command->name,
                       command->operands, command->name, command->operands);
    if (out->operand_count > command->most)
        return iw_fail(err, IW_E_USAGE, "\"%s\" is one word too many; usage: ironwheel %s %s",
                       out->operands[command->most], command->name, command->operands);
    return 0;
}

int iw_parse_arguments(int argc, const char *const *argv, iw_arguments *out, iw_error *err)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < argc;) {
        if (strcmp(argv[i], "--") == 0) {
            out->rest = argv + i + 1;
            break;
        }
        if (argv[i][0] == '-' && argv[i][1]) {
            int used = parse_option(argc - i, argv + i, out, err);
            if (used < 0) return -1;
            i += used;
        } else if (!out->command) {
            size_t used;
            out->command = find_command((size_t)(argc - i), argv + i, &used);
            if (!out->command) return unknown_command(argv[i], err);
            i += (int)used;
        } else {
            if (out->operand_count == sizeof out->operands / sizeof *out->operands)
                return iw_fail(err, IW_E_USAGE, "too many operands");
            out->operands[out->operand_count++] = argv[i++];
        }
    }
    return check_operands(out, err);
}

static const struct iw_option_value *value_of(const iw_arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->value_count; i++)
        if (strcmp(arguments->values[i].option->name, name) == 0) return &arguments->values[i];
    return NULL;
}

bool iw_flag(const iw_arguments *arguments, const char *name)
{
    return value_of(arguments, name) != NULL;
}

const char *iw_text_option(const iw_arguments *arguments, const char *name)
{
    const struct iw_option_value *value = value_of(arguments, name);
    return value ? value->text : NULL;
}

uint64_t iw_number_option(const iw_arguments *arguments, const char *name, uint64_t otherwise)
{
    const struct iw_option_value *value = value_of(arguments, name);
    return value ? value->number : otherwise;
}
