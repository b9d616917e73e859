#include "wrap/command.h"

#include <string.h>

#include "base/memory.h"
#include "base/path.h"

/* Options whose value is the next argument (GCC manual, "Option Index"). */
static bool takes_value(const char *option)
{
    static const char *const names[] = {"-o", "-x", "-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-iprefix", "-iwithprefix", "-iwithprefixbefore",
                                        "-isysroot", "-imultilib", "-I", "-D", "-U", "-L", "-l", "-MF", "-MT", "-MQ", "-Xpreprocessor", "-Xassembler", "-Xlinker",
                                        "-T", "-u", "-z", "-e", "--param", "-aux-info", "-A", "-B", "-specs", "-wrapper", "-J", "--sysroot", "-dumpdir",
                                        "-dumpbase", "-dumpbase-ext", "-rpath", "-h", "-soname", "-arch", NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], option) == 0) return true;
    return false;
}

static bool ends_with_any(const char *text, const char *const *endings)
{
    for (; *endings; endings++)
        if (iw_ends_with(text, *endings)) return true;
    return false;
}

bool iw_source_has_depfile(const char *source)
{
    static const char *const endings[] = {".c", ".C", ".cc", ".cp", ".cpp", ".cxx", ".c++", ".CPP", ".S", ".sx", NULL};
    return ends_with_any(source, endings);
}

bool iw_source_is_fixed_fortran(const char *source)
{
    static const char *const endings[] = {".f", ".for", ".ftn", NULL};
    return ends_with_any(source, endings);
}

static bool is_source(const char *argument)
{
    static const char *const endings[] = {".i", ".ii", ".s", ".F", ".f90", ".F90", ".f95", ".F95", ".f03", ".f08", ".FOR", ".fpp", ".FPP", ".m", ".mm", ".d", ".go", NULL};
    return iw_source_has_depfile(argument) || iw_source_is_fixed_fortran(argument) || ends_with_any(argument, endings);
}

/* Anything that makes further files, or reads ones that no dependency file names. */
static bool is_uncacheable(const char *argument)
{
    static const char *const starts[] = {"-save-temps", "--save-temps", "--coverage", "-fprofile", "-fbranch-probabilities", "-ftest-coverage", "-gsplit-dwarf",
                                         "-fdump", "-fstack-usage", "-fcallgraph-info", "-fplugin", "-fauto-profile", "-Wp,", "-specs", "-wrapper", "-x",
                                         "-aux-info", "-fopt-info", "-fmodules", "-fcompare-debug", "-M=", NULL};
    for (size_t i = 0; starts[i]; i++)
        if (iw_starts_with(argument, starts[i])) return true;
    return strcmp(argument, "-M") == 0 || strcmp(argument, "-MM") == 0 || strcmp(argument, "-MG") == 0 || strcmp(argument, "-") == 0;
}

static bool is_query(const char *argument)
{
    return iw_starts_with(argument, "-print-") || iw_starts_with(argument, "-dump") || strcmp(argument, "--version") == 0 || strcmp(argument, "-v") == 0 ||
           strcmp(argument, "--help") == 0 || iw_starts_with(argument, "--print-") || strcmp(argument, "-###") == 0 || iw_starts_with(argument, "--help=") ||
           strcmp(argument, "-V") == 0 || strcmp(argument, "-qversion") == 0;
}

static void note_source(iw_compile *out, const char *argument)
{
    out->source = out->source_count++ ? NULL : argument;
}

static void note_option(iw_compile *out, const char *argument, bool *stop)
{
    if (strcmp(argument, "-c") == 0) {
        if (out->mode != IW_MODE_PREPROCESS && out->mode != IW_MODE_ASSEMBLY_TEXT) out->mode = IW_MODE_COMPILE;
    } else if (strcmp(argument, "-S") == 0) {
        if (out->mode != IW_MODE_PREPROCESS) out->mode = IW_MODE_ASSEMBLY_TEXT;
    } else if (strcmp(argument, "-E") == 0 || strcmp(argument, "-M") == 0 || strcmp(argument, "-MM") == 0) {
        out->mode = IW_MODE_PREPROCESS;
    } else if (strcmp(argument, "-MD") == 0) {
        out->md = true;
    } else if (strcmp(argument, "-MMD") == 0) {
        out->mmd = true;
    } else if (strcmp(argument, "-fsyntax-only") == 0) {
        out->uncacheable = true;
    }
    *stop = *stop || is_query(argument);
    out->uncacheable = out->uncacheable || is_uncacheable(argument);
}

void iw_compile_parse(const iw_strings *argv, iw_compile *out)
{
    *out = (iw_compile){.mode = IW_MODE_LINK, .output_index = -1};
    bool query = argv->count == 0, any = false;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i];
        bool more = i + 1 < argv->count;
        if (argument[0] != '-' || !argument[1]) {
            any = true;
            if (is_source(argument)) note_source(out, argument);
            out->uncacheable = out->uncacheable || strcmp(argument, "-") == 0;
            continue;
        }
        note_option(out, argument, &query);
        if (strcmp(argument, "-o") == 0 && more) {
            out->output = argv->items[i + 1];
            out->output_index = (int)i + 1;
        } else if (iw_starts_with(argument, "-o") && argument[2] && !iw_starts_with(argument, "-objects")) {
            out->output = argument + 2;
            out->output_index = (int)i;
            out->output_joined = true;
        } else if (strcmp(argument, "-MF") == 0 && more) {
            out->depfile = argv->items[i + 1];
        } else if (iw_starts_with(argument, "-MF") && argument[3]) {
            out->depfile = argument + 3;
        } else if (iw_starts_with(argument, "-MT") || iw_starts_with(argument, "-MQ")) {
            out->target_given = true;
        }
        if (takes_value(argument) && more) i++;
    }
    if (query && !any) out->mode = IW_MODE_QUERY;
}

int iw_depfile_parse(const char *text, iw_strings *out)
{
    const char *colon = text;
    /* The target ends at a colon that a blank or the line's end follows. */
    while ((colon = strchr(colon, ':')) && colon[1] != ' ' && colon[1] != '\\' && colon[1] != '\n' && colon[1]) colon++;
    if (!colon) return -1;
    iw_cleanup_buffer iw_buffer word = {0};
    for (const char *c = colon + 1;; c++) {
        if (*c == '\\' && c[1] == '\n') {
            c++;
            continue;
        }
        if (*c == '\\' && (c[1] == ' ' || c[1] == '#' || c[1] == '\\')) {
            iw_buffer_add_char(&word, *++c);
            continue;
        }
        if (*c == '$' && c[1] == '$') c++;
        else if (*c == ' ' || *c == '\t' || *c == '\n' || !*c) {
            if (word.length) iw_strings_add(out, word.data);
            iw_buffer_clear(&word);
            if (!*c || *c == '\n') return 0; /* -MP's further rules name headers that are in the first one */
            continue;
        }
        iw_buffer_add_char(&word, *c);
    }
}
