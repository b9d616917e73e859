#include "wrap/command.h"

#include <string.h>

#include "base/memory.h"
#include "base/path.h"

iw_tool_kind iw_tool_kind_of(const char *name)
{
    const char *base = iw_path_base(name);
    if (iw_starts_with(base, "x86_64-linux-gnu-")) base += strlen("x86_64-linux-gnu-");
    if (strcmp(base, "as") == 0) return IW_TOOL_ASSEMBLER;
    if (strcmp(base, "ld") == 0 || iw_starts_with(base, "ld.")) return IW_TOOL_LINKER;
    if (strcmp(base, "rustc") == 0) return IW_TOOL_RUST;
    if (strcmp(base, "nvcc") == 0) return IW_TOOL_NVCC;
    if (strcmp(base, "cpp") == 0 || iw_starts_with(base, "cpp-")) return IW_TOOL_PREPROCESSOR;
    return IW_TOOL_COMPILER;
}

static bool is_any(const char *text, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(text, *names) == 0) return true;
    return false;
}

static bool starts_with_any(const char *text, const char *const *starts)
{
    for (; *starts; starts++)
        if (iw_starts_with(text, *starts)) return true;
    return false;
}

static bool ends_with_any(const char *text, const char *const *endings)
{
    for (; *endings; endings++)
        if (iw_ends_with(text, *endings)) return true;
    return false;
}

/* gcc's, ld's and as's options whose value is the next argument. */
static const char *const with_value[] = {
    /* clang-format off */
    "-o", "-x", "-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-iprefix",
    "-iwithprefix", "-iwithprefixbefore", "-isysroot", "-imultilib", "-imultiarch", "-I", "-D",
    "-U", "-L", "-l", "-MF", "-MT", "-MQ", "-Xpreprocessor", "-Xassembler", "-Xlinker", "-T",
    "-Tbss", "-Tdata", "-Ttext", "-u", "-z", "-e", "-h", "-R", "-F", "-aux-info", "-A", "-B",
    "-specs", "-wrapper", "-J", "-dumpdir", "-dumpbase", "-dumpbase-ext", "--param",
    "--sysroot", "--output", "--entry", "--assert", "--define-macro", "--dump", "--dumpbase",
    "--dumpdir", "--for-assembler", "--for-linker", "--force-link", "--imacros", "--include",
    "--include-directory", "--include-directory-after", "--include-prefix",
    "--include-with-prefix", "--include-with-prefix-after", "--include-with-prefix-before",
    "--language", "--library-directory", "--prefix", "--print-file-name", "--print-prog-name",
    "--specs", "--undefine-macro", NULL,
    /* clang-format on */
};

bool iw_option_takes_value(const char *option)
{
    return is_any(option, with_value);
}

/* --- sources -------------------------------------------------------------- */

bool iw_source_has_depfile(const char *source)
{
    static const char *const endings[] = {".c",   ".C",   ".cc", ".cp", ".cpp", ".cxx",
                                          ".c++", ".CPP", ".S",  ".sx", ".cu",  NULL};
    return ends_with_any(source, endings);
}

bool iw_is_assembler(const char *source, const char *language)
{
    static const char *const endings[] = {".s", ".S", ".sx", NULL};
    return language ? iw_starts_with(language, "assembler") : ends_with_any(source, endings);
}

bool iw_is_header(const char *source, const char *language)
{
    static const char *const endings[] = {".h",   ".hh",  ".H",   ".hp",  ".hxx",
                                          ".hpp", ".HPP", ".h++", ".tcc", NULL};
    return language ? iw_ends_with(language, "-header") : ends_with_any(source, endings);
}

bool iw_source_is_fixed_fortran(const char *source)
{
    static const char *const endings[] = {".f", ".for", ".ftn", NULL};
    return ends_with_any(source, endings);
}

bool iw_is_source(const char *argument)
{
    static const char *const endings[] = {".i",   ".ii",  ".F",   ".f90", ".F90", ".f95",
                                          ".F95", ".f03", ".F03", ".f08", ".F08", ".FOR",
                                          ".fpp", ".FPP", ".m",   ".mm",  ".d",   ".go",
                                          ".h",   ".hh",  ".hpp", NULL};
    return iw_source_has_depfile(argument) || iw_source_is_fixed_fortran(argument) ||
           iw_is_assembler(argument, NULL) || ends_with_any(argument, endings);
}

char *iw_object_name(const char *source)
{
    const char *base = iw_path_base(source), *dot = strrchr(base, '.');
    return iw_format("%.*s.o", (int)(dot && dot > base ? (size_t)(dot - base) : strlen(base)),
                     base);
}

/* --- gcc ------------------------------------------------------------------ */

/* Parts of -Wa, and -Xassembler that change nothing but the object. */
static bool is_plain_assembler_part(const char *part, size_t length)
{
    static const char *const starts[] = {"-march=",
                                         "-mtune=",
                                         "--noexecstack",
                                         "--execstack",
                                         "--32",
                                         "--64",
                                         "-W",
                                         "--no-warn",
                                         "--fatal-warnings",
                                         "--warn",
                                         "-g",
                                         "--gdwarf",
                                         "--compress-debug-sections",
                                         "--nocompress-debug-sections",
                                         "-mrelax-relocations=",
                                         "-mx86-used-note=",
                                         NULL};
    for (size_t i = 0; starts[i]; i++)
        if (length >= strlen(starts[i]) && strncmp(part, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* Anything that makes further files, reads ones that no dependency file names, or says more than
 * warnings. */
static bool is_uncacheable(const char *argument, const char *next)
{
    static const char *const starts[] = {"-save-temps",
                                         "--save-temps",
                                         "--coverage",
                                         "-coverage",
                                         "-fd-lines-as-code",
                                         "-fprofile",
                                         "-fbranch-probabilities",
                                         "-ftest-coverage",
                                         "-gsplit-dwarf",
                                         "-fdump",
                                         "-fstack-usage",
                                         "-fcallgraph-info",
                                         "-fplugin",
                                         "-fauto-profile",
                                         "-Wp,",
                                         "-specs",
                                         "-wrapper",
                                         "-x",
                                         "-d",
                                         "-aux-info",
                                         "-fopt-info",
                                         "-fmodules",
                                         "-fcompare-debug",
                                         "-M=",
                                         "-fsyntax-only",
                                         "-B",
                                         "-iplugindir",
                                         "-Xpreprocessor",
                                         "-ftime-report",
                                         "-fmem-report",
                                         "-fsave-optimization-record",
                                         "-frecord-gcc-switches",
                                         "-fada-spec",
                                         "-fgo-",
                                         "-time",
                                         "-Xassembler",
                                         "-print",
                                         "--print",
                                         "-fdiagnostics-add",
                                         "-fdiagnostics-parseable",
                                         "-fdirectives-only",
                                         NULL};
    static const char *const names[] = {"-",   "-M",   "-MM",    "-MG",       "-H",  "-Q",
                                        "-v",  "-###", "-V",     "--verbose", "-I-", "-C",
                                        "-CC", "-P",   "-undef", NULL};
    if (iw_starts_with(argument, "-Wa,")) {
        iw_slice rest = iw_slice_of(argument + 4), part;
        while (iw_slice_next(&rest, ',', &part))
            if (!is_plain_assembler_part(part.data, part.length)) return true;
        return false;
    }
    if (strcmp(argument, "-Xassembler") == 0 && next && is_plain_assembler_part(next, strlen(next)))
        return false;
    /* Long options are other names of short ones that this list would have to know too. */
    if (iw_starts_with(argument, "--") && !iw_starts_with(argument, "--param") &&
        !iw_starts_with(argument, "--sysroot") && !iw_starts_with(argument, "--std"))
        return true;
    return starts_with_any(argument, starts) || is_any(argument, names);
}

static bool is_query(const char *argument)
{
    static const char *const names[] = {
        "--version",    "-v",         "--help",        "-###",
        "-V",           "-qversion",  "-dumpversion",  "-dumpfullversion",
        "-dumpmachine", "-dumpspecs", "--target-help", NULL};
    static const char *const starts[] = {"-print-", "--print-", "--help=", NULL};
    return is_any(argument, names) || starts_with_any(argument, starts);
}

static void note_mode(iw_compile *out, const char *argument)
{
    if (strcmp(argument, "-E") == 0 || strcmp(argument, "--preprocess") == 0 ||
        strcmp(argument, "-M") == 0 || strcmp(argument, "-MM") == 0)
        out->mode = IW_MODE_PREPROCESS;
    else if ((strcmp(argument, "-S") == 0 || strcmp(argument, "--assemble") == 0) &&
             out->mode != IW_MODE_PREPROCESS)
        out->mode = IW_MODE_ASSEMBLY_TEXT;
    else if ((strcmp(argument, "-c") == 0 || strcmp(argument, "--compile") == 0) &&
             out->mode == IW_MODE_LINK)
        out->mode = IW_MODE_COMPILE;
}

static void set_output(iw_compile *out, const char *argument, size_t prefix, size_t index)
{
    out->output = argument + prefix;
    out->output_prefix = prefix;
    out->output_index = (int)index;
}

static void note_dependencies(iw_compile *out, const char *argument, const char *next)
{
    if (strcmp(argument, "-MD") == 0) out->md = true;
    else if (strcmp(argument, "-MMD") == 0) out->mmd = true;
    else if (strcmp(argument, "-MF") == 0 && next) out->depfile = next;
    else if (iw_starts_with(argument, "-MF") && argument[3]) out->depfile = argument + 3;
    else if (iw_starts_with(argument, "-MT") || iw_starts_with(argument, "-MQ"))
        out->target_given = true;
}

/* With -x, whatever its name is, it is a source. */
static void note_input(iw_compile *out, const char *argument, const char *language)
{
    if (!language && !iw_is_source(argument)) return;
    out->source_count++;
    out->source = out->source_count == 1 ? argument : NULL;
    out->language = out->source_count == 1 ? language : NULL;
}

/* The language that -x sets for what follows; `none` goes back to endings. */
static void note_language(const char **language, const char *argument, const char *next)
{
    if (!iw_starts_with(argument, "-x")) return;
    *language = argument[2] ? argument + 2 : next;
    if (*language && strcmp(*language, "none") == 0) *language = NULL;
}

static void parse_compiler(const iw_strings *argv, iw_compile *out)
{
    bool query = argv->count == 0, inputs = false;
    const char *language = NULL;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i],
                   *next = i + 1 < argv->count ? argv->items[i + 1] : NULL;
        if (!out->uncacheable && is_uncacheable(argument, next)) out->uncacheable = argument;
        if (argument[0] != '-' || !argument[1]) {
            inputs = true;
            note_input(out, argument, language);
            continue;
        }
        query = query || is_query(argument);
        note_mode(out, argument);
        note_language(&language, argument, next);
        note_dependencies(out, argument, next);
        if ((strcmp(argument, "-o") == 0 || strcmp(argument, "--output") == 0) && next)
            set_output(out, next, 0, i + 1);
        else if (iw_starts_with(argument, "-o") && argument[2]) set_output(out, argument, 2, i);
        else if (iw_starts_with(argument, "--output="))
            set_output(out, argument, strlen("--output="), i);
        if (iw_option_takes_value(argument) && next) i++;
    }
    if (query && !inputs) out->mode = IW_MODE_QUERY;
}

/* --- the others ----------------------------------------------------------- */

/* GNU as and ld name their output alike. */
static void parse_binutils(iw_tool_kind kind, const iw_strings *argv, iw_compile *out)
{
    static const char *const queries[] = {"--version",
                                          "-version",
                                          "-v",
                                          "-V",
                                          "--help",
                                          "-help",
                                          "--target-help",
                                          "--print-output-format",
                                          "--print-sysroot",
                                          NULL};
    static const char *const pairs[] = {"-T",      "-L",          "-l",          "-e",
                                        "-m",      "-z",          "-u",          "-h",
                                        "-soname", "-rpath",      "-rpath-link", "-dynamic-linker",
                                        "-plugin", "-plugin-opt", "-I",          "-R",
                                        "-Map",    "-y",          "-Y",          "-G",
                                        "-A",      "-b",          "-c",          "-f",
                                        "-F",      NULL};
    static const char *const assembler_pairs[] = {
        "-I", "--MD", "--defsym", "-defsym", "--debug-prefix-map", "-debug-prefix-map", NULL};
    bool query = argv->count == 0, inputs = false;
    out->mode = kind == IW_TOOL_LINKER ? IW_MODE_LINK : IW_MODE_COMPILE;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i],
                   *next = i + 1 < argv->count ? argv->items[i + 1] : NULL;
        if (argument[0] != '-' || !argument[1]) {
            inputs = true;
            if (kind == IW_TOOL_ASSEMBLER) out->source = out->source_count++ ? NULL : argument;
            continue;
        }
        query = query || is_any(argument, queries);
        if ((strcmp(argument, "-o") == 0 || strcmp(argument, "--output") == 0) && next)
            set_output(out, next, 0, ++i);
        else if (iw_starts_with(argument, "-o") && argument[2]) set_output(out, argument, 2, i);
        else if (iw_starts_with(argument, "--output="))
            set_output(out, argument, strlen("--output="), i);
        else if (next && is_any(argument, kind == IW_TOOL_LINKER ? pairs : assembler_pairs)) i++;
    }
    if (out->source_count > 1) out->source = NULL;
    if (query && !inputs) out->mode = IW_MODE_QUERY;
}

/* rustc: whether it is asked about itself. Cargo's probe prints several things of an empty crate
 * from standard input. */
static void parse_rust(const iw_strings *argv, iw_compile *out)
{
    static const char *const queries[] = {"-V",     "-vV",     "--version", "-h",
                                          "--help", "--print", NULL};
    out->mode = argv->count ? IW_MODE_COMPILE : IW_MODE_QUERY;
    for (size_t i = 0; i < argv->count; i++)
        if (is_any(argv->items[i], queries) || iw_starts_with(argv->items[i], "--print="))
            out->mode = IW_MODE_QUERY;
}

/* nvcc, as far as one compile of one source goes; all else stays a link (CUDA's documentation,
 * "NVCC Command Options"). */
static void parse_nvcc(const iw_strings *argv, iw_compile *out)
{
    static const char *const others[] = {"-keep",      "--keep",      "-save-temps", "--save-temps",
                                         "-time",      "--time",      "-dryrun",     "--dryrun",
                                         "-optf",      "--options-f", "@",           "-odir",
                                         "--output-d", NULL};
    bool compile = false;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i],
                   *next = i + 1 < argv->count ? argv->items[i + 1] : NULL;
        if (starts_with_any(argument, others)) out->uncacheable = argument;
        else if (strcmp(argument, "-c") == 0) compile = true;
        else if (strcmp(argument, "-MD") == 0) out->md = true;
        else if (next && strcmp(argument, "-MT") == 0) out->target_given = true, i++;
        else if (next && strcmp(argument, "-MF") == 0) out->depfile = next, i++;
        else if (next && strcmp(argument, "-o") == 0) set_output(out, next, 0, i + 1), i++;
        else if (argument[0] != '-' && iw_ends_with(argument, ".cu")) {
            out->source = argument;
            out->source_count++;
        }
    }
    if (out->source_count != 1) out->source = NULL;
    if (compile && out->source) out->mode = IW_MODE_COMPILE;
    if (!out->md || !out->depfile || !out->target_given) out->uncacheable = "-MD";
}

void iw_compile_parse(iw_tool_kind kind, const iw_strings *argv, iw_compile *out)
{
    *out = (iw_compile){.mode = IW_MODE_LINK, .output_index = -1};
    switch (kind) {
    case IW_TOOL_COMPILER: parse_compiler(argv, out); break;
    case IW_TOOL_PREPROCESSOR:
        parse_compiler(argv, out);
        if (out->mode != IW_MODE_QUERY) out->mode = IW_MODE_PREPROCESS;
        break;
    case IW_TOOL_ASSEMBLER:
    case IW_TOOL_LINKER: parse_binutils(kind, argv, out); break;
    case IW_TOOL_RUST: parse_rust(argv, out); break;
    case IW_TOOL_NVCC: parse_nvcc(argv, out); break;
    }
}

/* --- dependency files ----------------------------------------------------- */

/* Behind the colon that ends the (first) target, or NULL: one that a blank or the line's end
 * follows. */
static const char *after_target(const char *text)
{
    const char *colon = text;
    while ((colon = strchr(colon, ':')) && colon[1] && !strchr(" \t\n\\", colon[1])) colon++;
    return colon ? colon + 1 : NULL;
}

int iw_depfile_parse(const char *text, iw_strings *out)
{
    const char *c = after_target(text);
    if (!c) return -1;
    iw_cleanup_buffer iw_buffer word = {0};
    for (;; c++) {
        if (*c == '\\' && c[1] == '\n') {
            c++;
        } else if (*c == '\\' && (c[1] == ' ' || c[1] == '#' || c[1] == '\\')) {
            iw_buffer_add_char(&word, *++c);
        } else if (*c == '$' && c[1] == '$') {
            iw_buffer_add_char(&word, *c++);
        } else if (*c && *c != ' ' && *c != '\t' && *c != '\n') {
            iw_buffer_add_char(&word, *c);
        } else {
            if (word.length) iw_strings_add(out, word.data);
            iw_buffer_clear(&word);
            if (!*c || *c == '\n')
                return 0; /* -MP's further rules name headers that are in the first one */
        }
    }
}

/* --- assembler text ------------------------------------------------------- */

/* Whether one line has a statement `.arch`: statements start with the line, behind `;` and behind a
 * label; `#` starts a comment. */
static bool line_has_arch(const char *c, const char *end)
{
    for (bool start = true, quoted = false; c < end && (quoted || *c != '#'); c++) {
        if (start && (*c == ' ' || *c == '\t')) continue;
        if (start && end - c > 5 && memcmp(c, ".arch", 5) == 0 && (c[5] == ' ' || c[5] == '\t'))
            return true;
        start = !quoted && (*c == ';' || *c == ':');
        if (*c == '\\' && quoted) c++;
        else if (*c == '"') quoted = !quoted;
    }
    return false;
}

bool iw_has_arch_directive(const char *text, size_t length)
{
    const char *end = text + length;
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), ".arch", 5));) {
        const char *line = memrchr(text, '\n', (size_t)(at - text)),
                   *next = memchr(at, '\n', (size_t)(end - at));
        if (line_has_arch(line ? line + 1 : text, next ? next : end)) return true;
        if (!next) return false;
        at = next;
    }
    return false;
}

bool iw_has_file_directive(const char *text, size_t length)
{
    static const char *const names[] = {".incbin", ".include", NULL};
    const char *end = text + length;
    for (size_t i = 0; names[i]; i++) {
        size_t size = strlen(names[i]);
        for (const char *at = text; (at = memmem(at, (size_t)(end - at), names[i], size));
             at += size) {
            const char *c = at + size;
            while (c < end && (*c == ' ' || *c == '\t')) c++;
            if (c < end && (*c == '"' || *c == '\\')) return true;
        }
    }
    return false;
}
