#include "wrap/policy.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

#define RESPONSE_LIMIT (16u << 20)
#define RESPONSE_DEPTH 16
#define RESPONSE_FILES 2000 /* as gcc */
#define ARGUMENT_LIMIT 500000

/* --- the file ------------------------------------------------------------- */

void iw_policy_clear(iw_policy *policy)
{
    iw_strings_free(&policy->flags);
    iw_strings_free(&policy->allow);
    iw_strings_free(&policy->maps);
    free(policy->assembler_march), free(policy->rust_cpu), free(policy->source);
    free(policy->log), free(policy->real), free(policy->toolchain);
    memset(policy, 0, sizeof *policy);
}

static void add_line(iw_buffer *out, const char *key, const char *value)
{
    if (value) iw_buffer_add_format(out, "%s %s\n", key, value);
}

static void add_list(iw_buffer *out, const char *key, const iw_strings *list)
{
    for (size_t i = 0; i < list->count; i++) add_line(out, key, list->items[i]);
}

int iw_policy_write(const char *path, const iw_policy *policy, iw_error *err)
{
    iw_cleanup_buffer iw_buffer out = {0};
    add_list(&out, "flags", &policy->flags);
    add_line(&out, "assembler-march", policy->assembler_march);
    add_line(&out, "rust-cpu", policy->rust_cpu);
    add_line(&out, "mode", policy->deny ? "deny" : "strip");
    add_list(&out, "allow", &policy->allow);
    add_line(&out, "source", policy->source);
    add_list(&out, "map", &policy->maps);
    add_line(&out, "log", policy->log);
    add_line(&out, "real", policy->real);
    add_line(&out, "toolchain", policy->toolchain);
    add_line(&out, "host", policy->host ? "1" : NULL);
    return iw_write_passing(path, out.data, out.length, 0644, err);
}

static void set_text(char **where, const char *value)
{
    free(*where);
    *where = iw_strdup(value);
}

static int read_line(iw_policy *policy, const char *key, const char *value)
{
    struct {
        const char *key;
        iw_strings *list;
        char **text;
    } known[] = {{"flags", &policy->flags, NULL},
                 {"allow", &policy->allow, NULL},
                 {"map", &policy->maps, NULL},
                 {"assembler-march", NULL, &policy->assembler_march},
                 {"rust-cpu", NULL, &policy->rust_cpu},
                 {"source", NULL, &policy->source},
                 {"log", NULL, &policy->log},
                 {"real", NULL, &policy->real},
                 {"toolchain", NULL, &policy->toolchain}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].key, key) != 0) continue;
        if (known[i].list) iw_strings_add(known[i].list, value);
        else set_text(known[i].text, value);
        return 0;
    }
    if (strcmp(key, "host") == 0) {
        policy->host = strcmp(value, "1") == 0;
        return policy->host ? 0 : -1;
    }
    if (strcmp(key, "mode") != 0) return -1;
    policy->deny = strcmp(value, "deny") == 0;
    return policy->deny || strcmp(value, "strip") == 0 ? 0 : -1;
}

int iw_policy_read(const char *path, iw_policy *policy, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(path, 1 << 20, &text, NULL, err) != 0) return -1;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        const char *space = memchr(line.data, ' ', line.length);
        if (!space)
            return iw_fail(err, IW_E_FORMAT, "%s: a line without a value: %.*s", path,
                           (int)line.length, line.data);
        iw_cleanup_free char *key = iw_strndup(line.data, (size_t)(space - line.data));
        iw_cleanup_free char *value =
            iw_strndup(space + 1, line.length - (size_t)(space + 1 - line.data));
        if (read_line(policy, key, value) != 0)
            return iw_fail(err, IW_E_FORMAT, "%s: unusable line: %s %s", path, key, value);
    }
    return 0;
}

/* --- response files (GCC manual, "Overall Options", @file) ---------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/* The next word of a response file: quotes group, a backslash takes the next character as it is. */
static bool next_word(const char **at, iw_buffer *word)
{
    const char *c = *at;
    while (is_blank(*c)) c++;
    if (!*c) return false;
    char quote = 0;
    iw_buffer_clear(word);
    iw_buffer_add(word, "", 0);
    for (; *c && (quote || !is_blank(*c)); c++) {
        if (*c == '\\') {
            if (c[1]) iw_buffer_add_char(word, *++c);
        } else if (quote ? *c == quote : *c == '\'' || *c == '"') quote = quote ? 0 : *c;
        else iw_buffer_add_char(word, *c);
    }
    *at = c;
    return true;
}

struct expansion {
    iw_tool_kind kind;
    size_t files, bytes; /* read so far */
    iw_strings *out;
    iw_error *err;
};

static int expand(struct expansion *e, const char *argument, int depth);

static int expand_text(struct expansion *e, const char *text, int depth)
{
    if (e->kind == IW_TOOL_RUST) {
        iw_slice rest = iw_slice_of(text), line;
        while (iw_slice_next(&rest, '\n', &line))
            iw_strings_add_format(e->out, "%.*s", (int)line.length, line.data);
        return 0;
    }
    iw_cleanup_buffer iw_buffer word = {0};
    for (const char *at = text; next_word(&at, &word);)
        if (expand(e, word.data, depth + 1) != 0) return -1;
    return 0;
}

static int expand(struct expansion *e, const char *argument, int depth)
{
    iw_cleanup_free char *text = NULL;
    size_t length = 0;
    if (e->out->count >= ARGUMENT_LIMIT)
        return iw_fail(e->err, IW_E_FORMAT, "more than %d arguments", ARGUMENT_LIMIT);
    /* As gcc: an @name that can't be read is an argument. nvcc has an option for such files. */
    iw_error why = IW_ERROR_INIT;
    if (argument[0] != '@' || e->kind == IW_TOOL_NVCC ||
        iw_read_file(argument + 1, RESPONSE_LIMIT, &text, &length, &why) != 0) {
        bool large = why.kind == IW_E_FORMAT;
        if (large && e->err) iw_error_move(e->err, &why);
        iw_error_clear(&why);
        if (!large) iw_strings_add(e->out, argument);
        return large ? -1 : 0;
    }
    e->bytes += length;
    if (depth == RESPONSE_DEPTH || ++e->files > RESPONSE_FILES || e->bytes > RESPONSE_LIMIT)
        return iw_fail(e->err, IW_E_FORMAT,
                       "%s: response files name each other more than %d deep, %d times, or hold "
                       "more than %u MiB",
                       argument, RESPONSE_DEPTH, RESPONSE_FILES, RESPONSE_LIMIT >> 20);
    return expand_text(e, text, depth);
}

int iw_expand_responses(iw_tool_kind kind, const char *const *argv, iw_strings *out, bool *any,
                        iw_error *err)
{
    struct expansion e = {.kind = kind, .out = out, .err = err};
    for (; *argv; argv++)
        if (expand(&e, *argv, 0) != 0) return -1;
    if (any) *any = e.files > 0;
    return 0;
}

/* --- flags ---------------------------------------------------------------- */

static bool is_feature(const char *name)
{
    /* Families by prefix, so that tomorrow's members count too; single ones by name. */
    static const char *const prefixes[] = {"avx",     "sse",    "ssse3",    "amx",  "3dnow",
                                           "bmi",     "xsave",  "prefetch", "vaes", "vpclmul",
                                           "clflush", "movdir", NULL};
    static const char *const names[] = {
        "fma",      "fma4",     "mmx",     "aes",       "pclmul",
        "popcnt",   "abm",      "lzcnt",   "movbe",     "f16c",
        "xop",      "tbm",      "lwp",     "rdrnd",     "rdseed",
        "adx",      "sha",      "sha512",  "sm3",       "sm4",
        "gfni",     "clwb",     "prfchw",  "cx16",      "sahf",
        "fxsr",     "fsgsbase", "rdpid",   "crc32",     "hle",
        "rtm",      "mwait",    "mwaitx",  "clzero",    "pku",
        "pconfig",  "wbnoinvd", "ptwrite", "sgx",       "shstk",
        "cldemote", "waitpkg",  "enqcmd",  "serialize", "tsxldtrk",
        "uintr",    "hreset",   "kl",      "widekl",    "cmpccxadd",
        "raoint",   "apxf",     "usermsr", "evex512",   "general-regs-only",
        NULL};
    for (size_t i = 0; prefixes[i]; i++)
        if (iw_starts_with(name, prefixes[i])) return true;
    for (size_t i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0) return strcmp(name, "general-regs-only") != 0;
    return false;
}

static bool is_tuning(const char *flag)
{
    return iw_starts_with(flag, "-mtune=") || iw_starts_with(flag, "-mtune-ctrl=");
}

bool iw_is_isa_flag(const char *flag)
{
    if (!iw_starts_with(flag, "-m")) return false;
    if (iw_starts_with(flag, "-march=") || iw_starts_with(flag, "-mcpu=") || is_tuning(flag))
        return true;
    const char *name = flag + 2;
    if (iw_starts_with(name, "no-")) name += 3;
    /* -msse2avx and -mavx256-split-… choose encodings and tuning of what is allowed, but have no
     * business outside the profile either. */
    return is_feature(name);
}

/* The building host's CPU: never, not even where a recipe allows a file its own flags, and whatever
 * the option. */
static bool is_native(const char *flag)
{
    return iw_starts_with(flag, "-m") && iw_ends_with(flag, "=native");
}

/* Flags whose absence changes nothing that the profile doesn't say anyway: nobody need hear of
 * them. */
static bool within_profile(const iw_policy *policy, const char *flag)
{
    return iw_strings_has(&policy->flags, flag);
}

/* Takes a flag out. In deny mode, one that asks for instructions is an error, as of a compiler that
 * doesn't know it. */
static int drop(const iw_policy *policy, const char *flag, iw_strings *removed, iw_error *err)
{
    if (within_profile(policy, flag)) return 0;
    if (policy->deny && !is_tuning(flag) && !iw_starts_with(flag, "-mno-"))
        return iw_fail(err, IW_E_USAGE,
                       "error: unrecognized command-line option \xe2\x80\x98%s\xe2\x80\x99", flag);
    iw_strings_add(removed, flag);
    return 0;
}

/* --- what is handed on to other programs ---------------------------------- */

/* GNU as: -march, -mtune (also with two dashes, cut short, or with the value apart), and the one
 * that makes AVX of SSE. */
static bool is_assembler_choice(const char *option)
{
    const char *name = option + (iw_starts_with(option, "--") ? 2 : 1);
    if (option[0] != '-') return false;
    return iw_starts_with(name, "mar") || iw_starts_with(name, "mtu") ||
           iw_starts_with(name, "msse2avx");
}

/* -z x86-64-v3 marks the output as needing that level: the loader then refuses it on other CPUs. */
static bool is_level(const char *keyword)
{
    return iw_starts_with(keyword, "x86-64-v");
}

/* A list "-Wx,a,b" without the parts that choose instructions; nothing where nothing is left. */
static void keep_parts(const iw_policy *policy, const char *argument, iw_strings *out,
                       iw_strings *removed)
{
    char which = argument[2];
    iw_cleanup_strings iw_strings parts = {0};
    iw_cleanup_buffer iw_buffer kept = {0};
    iw_slice rest = iw_slice_of(argument + 4), part;
    while (iw_slice_next(&rest, ',', &part))
        iw_strings_add_format(&parts, "%.*s", (int)part.length, part.data);
    iw_cleanup_free char *own =
        iw_format("-march=%s", policy->assembler_march ? policy->assembler_march : "");
    for (size_t i = 0; i < parts.count; i++) {
        const char *text = parts.items[i], *next = i + 1 < parts.count ? parts.items[i + 1] : NULL;
        bool pair = false, goes = false;
        if (which == 'a') {
            goes = is_assembler_choice(text);
            pair = goes && next && !strchr(text, '=') && !strstr(text, "avx");
        } else if (which == 'l') {
            pair = strcmp(text, "-z") == 0 && next && is_level(next);
            goes = pair || (iw_starts_with(text, "-z") && is_level(text + 2));
        } else {
            goes = iw_is_isa_flag(text);
        }
        if (!goes) iw_buffer_add_format(&kept, ",%s", text);
        else if (strcmp(text, own) != 0 && !within_profile(policy, text))
            iw_strings_add_format(removed, "-W%c,%s%s%s", which, text, pair ? "," : "",
                                  pair ? next : "");
        i += pair;
    }
    if (kept.length) iw_strings_add_format(out, "-W%c%s", which, kept.data);
}

/* -Xassembler x, -Xpreprocessor x, -Xlinker x, -z x: how many arguments from `at` on are taken out
 * (0: none). */
static size_t drop_pairs(const iw_strings *argv, size_t at, iw_strings *removed)
{
    const char *option = argv->items[at],
               *value = at + 1 < argv->count ? argv->items[at + 1] : NULL;
    if (!value) return 0;
    const char *third = at + 3 < argv->count && strcmp(argv->items[at + 2], option) == 0
                            ? argv->items[at + 3]
                            : NULL;
    size_t count = 0;
    bool assembler = strcmp(option, "-Xassembler") == 0 || strcmp(option, "--for-assembler") == 0;
    if (assembler && is_assembler_choice(value))
        count = strchr(value, '=') || strstr(value, "avx") || !third ? 2 : 4;
    else if (strcmp(option, "-Xpreprocessor") == 0 && iw_is_isa_flag(value)) count = 2;
    else if (strcmp(option, "-Xlinker") == 0 && strcmp(value, "-z") == 0 && third &&
             is_level(third))
        count = 4;
    else if (strcmp(option, "-z") == 0 && is_level(value)) count = 2;
    if (count)
        iw_strings_add_format(removed, "%s %s%s%s", option, value, count == 4 ? " " : "",
                              count == 4 ? third : "");
    return count;
}

/* Whether the recipe lets this source have instructions of its own. */
static bool is_allowed(const iw_policy *policy, const char *source)
{
    if (!source || policy->allow.count == 0 || !policy->source) return false;
    char folder[4096];
    const char *here = policy->folder ? policy->folder : getcwd(folder, sizeof folder);
    iw_cleanup_free char *full = here ? iw_path_join(here, source) : iw_strdup(source);
    iw_cleanup_free char *clean = iw_path_clean(full);
    size_t length = strlen(policy->source);
    if (strncmp(clean, policy->source, length) != 0 || clean[length] != '/') return false;
    for (size_t i = 0; i < policy->allow.count; i++)
        if (iw_glob_match(policy->allow.items[i], clean + length + 1)) return true;
    return false;
}

/* --- applying ------------------------------------------------------------- */

/* GCC's long names for -m… (its driver's option map): "--machine-avx2", "--machine=avx2",
 * "--machine avx2". Caller frees; NULL: none of them. */
static char *short_machine(const iw_strings *argv, size_t *at)
{
    const char *argument = argv->items[*at];
    if (iw_starts_with(argument, "--machine-") || iw_starts_with(argument, "--machine="))
        return iw_format("-m%s", argument + strlen("--machine-"));
    if (strcmp(argument, "--machine") != 0 || *at + 1 >= argv->count) return NULL;
    return iw_format("-m%s", argv->items[++*at]);
}

/* What stays of the caller's arguments; `*waits`: the last one waits for a value. */
static int filter_compiler(const iw_policy *policy, const iw_strings *argv, bool allowed,
                           iw_strings *out, bool *waits, iw_strings *removed, iw_error *err)
{
    *waits = false;
    for (size_t i = 0; i < argv->count; i++) {
        iw_cleanup_free char *machine = short_machine(argv, &i);
        const char *argument = machine ? machine : argv->items[i];
        size_t pairs = allowed || machine ? 0 : drop_pairs(argv, i, removed);
        if (pairs) {
            i += pairs - 1;
        } else if (!allowed && iw_starts_with(argument, "--for-assembler=") &&
                   is_assembler_choice(argument + strlen("--for-assembler="))) {
            iw_strings_add(removed, argument);
        } else if (is_native(argument) || (!allowed && iw_is_isa_flag(argument))) {
            if (drop(policy, argument, removed, err) != 0) return -1;
        } else if (strcmp(argument, "-pipe") == 0) {
            continue; /* the same result; and what the assembler gets is looked at */
        } else if (!allowed &&
                   (iw_starts_with(argument, "-Wa,") || iw_starts_with(argument, "-Wl,") ||
                    iw_starts_with(argument, "-Wp,"))) {
            keep_parts(policy, argument, out, removed);
        } else {
            iw_strings_add(out, argument);
            if (machine || !iw_option_takes_value(argument)) continue;
            if (i + 1 < argv->count) iw_strings_add(out, argv->items[++i]);
            else *waits = true;
        }
    }
    return 0;
}

static bool has_start(const iw_strings *list, const char *start)
{
    for (size_t i = 0; i < list->count; i++)
        if (iw_starts_with(list->items[i], start)) return true;
    return false;
}

/* The profile's flags go last. An allowed file gets only its CPU, first, so that its own flags
 * build on that. */
static void add_profile(const iw_policy *policy, bool allowed, bool assembles, iw_strings *out)
{
    if (!allowed) {
        iw_strings_add_all(out, (const char *const *)policy->flags.items);
        if (policy->assembler_march && assembles)
            iw_strings_add_format(out, "-Wa,-march=%s", policy->assembler_march);
        return;
    }
    for (size_t i = 0; i < policy->flags.count; i++)
        if (iw_starts_with(policy->flags.items[i], "-march=") ||
            iw_starts_with(policy->flags.items[i], "-mtune="))
            iw_strings_add(out, policy->flags.items[i]);
}

static char *pop(iw_strings *list)
{
    char *last = list->items[--list->count];
    list->items[list->count] = NULL;
    return last;
}

static void add_rest(const iw_policy *policy, iw_tool_kind kind, const iw_strings *argv,
                     const iw_compile *compile, bool allowed, iw_strings *out)
{
    if (!allowed) add_profile(policy, false, kind == IW_TOOL_COMPILER, out);
    if (compile->mode == IW_MODE_QUERY) return;
    for (size_t i = 0; i < policy->maps.count; i++)
        iw_strings_add_format(out, "-ffile-prefix-map=%s", policy->maps.items[i]);
    /* Names that gcc would make of random numbers (constructors of files without a public symbol,
     * link-time optimisation). */
    if (compile->source && kind == IW_TOOL_COMPILER && !has_start(argv, "-frandom-seed"))
        iw_strings_add_format(out, "-frandom-seed=%s",
                              compile->output ? compile->output : compile->source);
}

static int apply_compiler(const iw_policy *policy, iw_tool_kind kind, const iw_strings *argv,
                          iw_strings *out, iw_strings *removed, iw_error *err)
{
    iw_compile compile;
    iw_compile_parse(kind, argv, &compile);
    bool allowed = is_allowed(policy, compile.source),
         asks = has_start(argv, "--help") || iw_strings_has(argv, "-Q");
    if (allowed) add_profile(policy, true, false, out);
    bool waits;
    if (filter_compiler(policy, argv, allowed, out, &waits, removed, err) != 0) return -1;
    iw_cleanup_free char *waiting = waits ? pop(out) : NULL; /* it must not swallow the profile */
    if (compile.mode != IW_MODE_QUERY || asks) add_rest(policy, kind, argv, &compile, allowed, out);
    if (waiting) iw_strings_add(out, waiting);
    return 0;
}

static void apply_assembler(const iw_policy *policy, const iw_strings *argv, iw_strings *out,
                            iw_strings *removed)
{
    iw_compile compile;
    iw_compile_parse(IW_TOOL_ASSEMBLER, argv, &compile);
    iw_cleanup_free char *own =
        policy->assembler_march ? iw_format("-march=%s", policy->assembler_march) : NULL;
    /* A compiler that has been through the wrapper says the profile's CPU, but for an allowed file.
     */
    bool trusted = policy->nested && !(own && iw_strings_has(argv, own));
    bool free = trusted || compile.mode == IW_MODE_QUERY || is_allowed(policy, compile.source);
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i];
        if ((free || !is_assembler_choice(argument)) && !is_native(argument)) {
            iw_strings_add(out, argument);
            continue;
        }
        bool pair = !strchr(argument, '=') && !strstr(argument, "avx") && i + 1 < argv->count;
        if (!own || strcmp(argument, own) != 0)
            iw_strings_add_format(removed, "%s%s%s", argument, pair ? " " : "",
                                  pair ? argv->items[i + 1] : "");
        i += pair;
    }
    if (own && !free) iw_strings_add(out, own);
}

static void apply_linker(const iw_strings *argv, iw_strings *out, iw_strings *removed)
{
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i];
        size_t pairs = drop_pairs(argv, i, removed);
        if (pairs) i += pairs - 1;
        else if (iw_starts_with(argument, "-z") && is_level(argument + 2))
            iw_strings_add(removed, argument);
        else iw_strings_add(out, argument);
    }
}

/* A rustc code generation option without what chooses instructions: NULL where nothing is left.
 * Linking the C library statically is called a feature too, and stays. Caller frees. */
static char *keep_codegen(const iw_policy *policy, const char *value, iw_strings *removed)
{
    iw_cleanup_free char *own =
        policy->rust_cpu ? iw_format("target-cpu=%s", policy->rust_cpu) : NULL;
    if (iw_starts_with(value, "target-cpu=") || iw_starts_with(value, "target_cpu=")) {
        if (!own || strcmp(value, own) != 0) iw_strings_add(removed, value);
        return NULL;
    }
    if (!iw_starts_with(value, "target-feature=") && !iw_starts_with(value, "target_feature="))
        return iw_strdup(value);
    iw_cleanup_buffer iw_buffer kept = {0};
    iw_slice rest = iw_slice_of(value + strlen("target-feature=")), part;
    while (iw_slice_next(&rest, ',', &part)) {
        if (iw_slice_equal(part, "+crt-static") || iw_slice_equal(part, "-crt-static"))
            iw_buffer_add_format(&kept, "%s%.*s", kept.length ? "," : "", (int)part.length,
                                 part.data);
        else if (part.length)
            iw_strings_add_format(removed, "target-feature=%.*s", (int)part.length, part.data);
    }
    return kept.length ? iw_format("target-feature=%s", kept.data) : NULL;
}

/* `-C target-cpu=x`, `-Ctarget-feature=+avx2`, `--codegen=…`: rustc's way to choose instructions.
 */
static void apply_rust(const iw_policy *policy, const iw_strings *argv, iw_strings *out,
                       iw_strings *removed)
{
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i], *value = NULL;
        bool pair = (strcmp(argument, "-C") == 0 || strcmp(argument, "--codegen") == 0) &&
                    i + 1 < argv->count;
        if (pair) value = argv->items[++i];
        else if (iw_starts_with(argument, "-C") && argument[2]) value = argument + 2;
        else if (iw_starts_with(argument, "--codegen=")) value = argument + strlen("--codegen=");
        iw_cleanup_free char *kept = value ? keep_codegen(policy, value, removed) : NULL;
        if (value && kept) iw_strings_add(out, "-C");
        if (!value || kept) iw_strings_add(out, value ? kept : argument);
    }
    static const char *const queries[] = {"-V", "-vV", "--version", "-h", "--help", NULL};
    bool query = argv->count == 0;
    for (size_t i = 0; queries[i]; i++) query = query || iw_strings_has(argv, queries[i]);
    if (query) return;
    if (policy->rust_cpu) {
        iw_strings_add(out, "-C");
        iw_strings_add_format(out, "target-cpu=%s", policy->rust_cpu);
    }
    for (size_t i = 0; i < policy->maps.count; i++)
        iw_strings_add_format(out, "--remap-path-prefix=%s", policy->maps.items[i]);
}

int iw_policy_apply(const iw_policy *policy, iw_tool_kind kind, const iw_strings *argv,
                    iw_strings *out, iw_strings *removed, iw_error *err)
{
    switch (kind) {
    case IW_TOOL_COMPILER:
    case IW_TOOL_PREPROCESSOR: return apply_compiler(policy, kind, argv, out, removed, err);
    case IW_TOOL_ASSEMBLER: apply_assembler(policy, argv, out, removed); return 0;
    case IW_TOOL_RUST: apply_rust(policy, argv, out, removed); return 0;
    case IW_TOOL_LINKER: apply_linker(argv, out, removed); return 0;
    case IW_TOOL_NVCC: /* the host's part is for gcc, under our name */
        iw_strings_add_all(out, (const char *const *)argv->items);
        return 0;
    }
    return 0;
}
