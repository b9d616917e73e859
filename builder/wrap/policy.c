#include "wrap/policy.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "wrap/command.h"

#define RESPONSE_LIMIT (16u << 20)
#define RESPONSE_DEPTH 16
#define ARGUMENT_LIMIT 500000

/* --- the file ----------------------------------------------------------------------------------------------------------------------------- */

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
    return iw_write_file(path, out.data, out.length, 0644, err);
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
    } known[] = {{"flags", &policy->flags, NULL},     {"allow", &policy->allow, NULL},       {"map", &policy->maps, NULL},
                 {"assembler-march", NULL, &policy->assembler_march}, {"rust-cpu", NULL, &policy->rust_cpu}, {"source", NULL, &policy->source},
                 {"log", NULL, &policy->log},         {"real", NULL, &policy->real},         {"toolchain", NULL, &policy->toolchain}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].key, key) != 0) continue;
        if (known[i].list)
            iw_strings_add(known[i].list, value);
        else
            set_text(known[i].text, value);
        return 0;
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
        if (!space) return iw_fail(err, IW_E_FORMAT, "%s: a line without a value: %.*s", path, (int)line.length, line.data);
        iw_cleanup_free char *key = iw_strndup(line.data, (size_t)(space - line.data));
        iw_cleanup_free char *value = iw_strndup(space + 1, line.length - (size_t)(space + 1 - line.data));
        if (read_line(policy, key, value) != 0) return iw_fail(err, IW_E_FORMAT, "%s: unusable line: %s %s", path, key, value);
    }
    return 0;
}

/* --- tools -------------------------------------------------------------------------------------------------------------------------------- */

iw_tool_kind iw_tool_kind_of(const char *name)
{
    const char *base = iw_path_base(name);
    if (iw_starts_with(base, "x86_64-linux-gnu-")) base += strlen("x86_64-linux-gnu-");
    if (strcmp(base, "as") == 0) return IW_TOOL_ASSEMBLER;
    if (strcmp(base, "ld") == 0 || iw_starts_with(base, "ld.")) return IW_TOOL_LINKER;
    if (strcmp(base, "rustc") == 0) return IW_TOOL_RUST;
    if (strcmp(base, "cpp") == 0 || iw_starts_with(base, "cpp-")) return IW_TOOL_PREPROCESSOR;
    return IW_TOOL_COMPILER;
}

/* --- response files (GCC manual, "Overall Options", @file) ---------------------------------------------------------------------------------- */

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
        if (*c == '\\' && c[1])
            iw_buffer_add_char(word, *++c);
        else if (quote ? *c == quote : *c == '\'' || *c == '"')
            quote = quote ? 0 : *c;
        else
            iw_buffer_add_char(word, *c);
    }
    *at = c;
    return true;
}

static int expand(const char *argument, int depth, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (out->count > ARGUMENT_LIMIT) return iw_fail(err, IW_E_FORMAT, "more than %d arguments", ARGUMENT_LIMIT);
    /* As gcc: an @name that can't be read is an argument. */
    iw_error why = IW_ERROR_INIT;
    if (argument[0] != '@' || iw_read_file(argument + 1, RESPONSE_LIMIT, &text, NULL, &why) != 0) {
        bool large = why.kind == IW_E_FORMAT;
        if (large && err) iw_error_move(err, &why);
        iw_error_clear(&why);
        if (!large) iw_strings_add(out, argument);
        return large ? -1 : 0;
    }
    if (depth == RESPONSE_DEPTH) return iw_fail(err, IW_E_FORMAT, "%s: response files name each other more than %d deep", argument, RESPONSE_DEPTH);
    iw_cleanup_buffer iw_buffer word = {0};
    for (const char *at = text; next_word(&at, &word);)
        if (expand(word.data, depth + 1, out, err) != 0) return -1;
    return 0;
}

int iw_expand_responses(const char *const *argv, iw_strings *out, iw_error *err)
{
    for (; *argv; argv++)
        if (expand(*argv, 0, out, err) != 0) return -1;
    return 0;
}

/* --- flags -------------------------------------------------------------------------------------------------------------------------------- */

static bool is_feature(const char *name)
{
    /* Families by prefix, so that tomorrow's members count too; single ones by name. */
    static const char *const prefixes[] = {"avx", "sse", "ssse3", "amx", "3dnow", "bmi", "xsave", "prefetch", "vaes", "vpclmul", "clflush", "movdir", NULL};
    static const char *const names[] = {"fma", "fma4", "mmx", "aes", "pclmul", "popcnt", "abm", "lzcnt", "movbe", "f16c", "xop", "tbm", "lwp", "rdrnd", "rdseed",
                                        "adx", "sha", "sha512", "sm3", "sm4", "gfni", "clwb", "prfchw", "cx16", "sahf", "fxsr", "fsgsbase", "rdpid", "crc32",
                                        "hle", "rtm", "mwait", "mwaitx", "clzero", "pku", "pconfig", "wbnoinvd", "ptwrite", "sgx", "shstk", "cldemote",
                                        "waitpkg", "enqcmd", "serialize", "tsxldtrk", "uintr", "hreset", "kl", "widekl", "cmpccxadd", "raoint", "apxf",
                                        "usermsr", "evex512", "general-regs-only", NULL};
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
    if (iw_starts_with(flag, "-march=") || iw_starts_with(flag, "-mcpu=") || is_tuning(flag)) return true;
    const char *name = flag + 2;
    if (iw_starts_with(name, "no-")) name += 3;
    /* -msse2avx and -mavx256-split-… choose encodings and tuning of what is allowed, but have no business outside the profile either. */
    return is_feature(name);
}

/* Whether the profile has what the flag asks for: then taking it out changes nothing, and nobody need hear of it. */
static bool within_profile(const iw_policy *policy, const char *flag)
{
    if (is_tuning(flag) || iw_starts_with(flag, "-mno-")) return true;
    return iw_strings_has(&policy->flags, flag);
}

static int drop(const iw_policy *policy, const char *flag, iw_strings *removed, iw_error *err)
{
    if (within_profile(policy, flag)) return 0;
    if (policy->deny) return iw_fail(err, IW_E_USAGE, "error: unrecognized command-line option \xe2\x80\x98%s\xe2\x80\x99", flag);
    iw_strings_add(removed, flag);
    return 0;
}

/* "-Wa,-a,-march=x" without the parts that choose instructions; nothing where nothing is left. */
static void keep_assembler_parts(const char *argument, iw_strings *out, iw_strings *removed)
{
    iw_cleanup_buffer iw_buffer kept = {0};
    iw_slice rest = iw_slice_of(argument + 4), part;
    while (iw_slice_next(&rest, ',', &part)) {
        iw_cleanup_free char *text = iw_strndup(part.data, part.length);
        if (iw_starts_with(text, "-march=") || iw_starts_with(text, "-mtune="))
            iw_strings_add(removed, text);
        else
            iw_buffer_add_format(&kept, ",%s", text);
    }
    if (kept.length) iw_strings_add_format(out, "-Wa%s", kept.data);
}

/* Whether the recipe lets this source have instructions of its own. */
static bool is_allowed(const iw_policy *policy, const char *source)
{
    if (!source || policy->allow.count == 0 || !policy->source) return false;
    char folder[4096];
    iw_cleanup_free char *here = getcwd(folder, sizeof folder) ? iw_path_join(folder, source) : iw_strdup(source);
    iw_cleanup_free char *clean = iw_path_clean(here);
    size_t length = strlen(policy->source);
    if (strncmp(clean, policy->source, length) != 0 || clean[length] != '/') return false;
    for (size_t i = 0; i < policy->allow.count; i++)
        if (iw_glob_match(policy->allow.items[i], clean + length + 1)) return true;
    return false;
}

/* --- applying ------------------------------------------------------------------------------------------------------------------------------- */

static int apply_compiler(const iw_policy *policy, const iw_strings *argv, iw_strings *out, iw_strings *removed, iw_error *err)
{
    iw_compile compile;
    iw_compile_parse(argv, &compile);
    bool allowed = is_allowed(policy, compile.source), seeded = false;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i];
        seeded = seeded || iw_starts_with(argument, "-frandom-seed");
        if (!allowed && iw_is_isa_flag(argument)) {
            if (drop(policy, argument, removed, err) != 0) return -1;
        } else if (!allowed && iw_starts_with(argument, "-Wa,")) {
            keep_assembler_parts(argument, out, removed);
        } else if (!allowed && strcmp(argument, "-Xassembler") == 0 && i + 1 < argv->count &&
                   (iw_starts_with(argv->items[i + 1], "-march=") || iw_starts_with(argv->items[i + 1], "-mtune="))) {
            iw_strings_add(removed, argv->items[++i]);
        } else {
            iw_strings_add(out, argument);
        }
    }
    if (compile.mode == IW_MODE_QUERY) return 0;
    if (!allowed) {
        iw_strings_add_all(out, (const char *const *)policy->flags.items);
        if (policy->assembler_march) iw_strings_add_format(out, "-Wa,-march=%s", policy->assembler_march);
    }
    for (size_t i = 0; i < policy->maps.count; i++) iw_strings_add_format(out, "-ffile-prefix-map=%s", policy->maps.items[i]);
    if (!seeded && compile.source) iw_strings_add_format(out, "-frandom-seed=%s", compile.source);
    return 0;
}

static void apply_assembler(const iw_policy *policy, const iw_strings *argv, iw_strings *out, iw_strings *removed)
{
    const char *source = NULL;
    for (size_t i = 0; i < argv->count; i++)
        if (iw_ends_with(argv->items[i], ".s") || iw_ends_with(argv->items[i], ".S") || iw_ends_with(argv->items[i], ".asm")) source = argv->items[i];
    bool allowed = is_allowed(policy, source);
    /* gcc calls us for what it compiled itself: then the flag that it hands on is the wrapper's own already. */
    iw_cleanup_free char *own = policy->assembler_march ? iw_format("-march=%s", policy->assembler_march) : NULL;
    bool nested = getenv("IRONWHEEL_SLOT") != NULL;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i];
        bool choice = iw_starts_with(argument, "-march=") || iw_starts_with(argument, "-mtune=");
        if (choice && !allowed && !nested) {
            if (!own || strcmp(argument, own) != 0) iw_strings_add(removed, argument);
        } else {
            iw_strings_add(out, argument);
        }
    }
    if (own && !allowed && !nested) iw_strings_add(out, own);
}

/* `-C target-cpu=x`, `-Ctarget-feature=+avx2`, `--codegen=…`: rustc's way to choose instructions. */
static void apply_rust(const iw_policy *policy, const iw_strings *argv, iw_strings *out, iw_strings *removed)
{
    bool query = argv->count == 0;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i], *value = NULL;
        bool pair = (strcmp(argument, "-C") == 0 || strcmp(argument, "--codegen") == 0) && i + 1 < argv->count;
        if (pair)
            value = argv->items[i + 1];
        else if (iw_starts_with(argument, "-C"))
            value = argument + 2;
        else if (iw_starts_with(argument, "--codegen="))
            value = argument + strlen("--codegen=");
        query = query || strcmp(argument, "-vV") == 0 || strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0;
        if (value && (iw_starts_with(value, "target-cpu=") || iw_starts_with(value, "target-feature="))) {
            iw_cleanup_free char *own = policy->rust_cpu ? iw_format("target-cpu=%s", policy->rust_cpu) : NULL;
            if (!own || strcmp(value, own) != 0) iw_strings_add(removed, value);
            i += pair;
            continue;
        }
        iw_strings_add(out, argument);
        if (pair) iw_strings_add(out, argv->items[++i]);
    }
    if (query) return;
    if (policy->rust_cpu) {
        iw_strings_add(out, "-C");
        iw_strings_add_format(out, "target-cpu=%s", policy->rust_cpu);
    }
    for (size_t i = 0; i < policy->maps.count; i++) iw_strings_add_format(out, "--remap-path-prefix=%s", policy->maps.items[i]);
}

int iw_policy_apply(const iw_policy *policy, iw_tool_kind kind, const iw_strings *argv, iw_strings *out, iw_strings *removed, iw_error *err)
{
    switch (kind) {
    case IW_TOOL_COMPILER:
    case IW_TOOL_PREPROCESSOR: return apply_compiler(policy, argv, out, removed, err);
    case IW_TOOL_ASSEMBLER: apply_assembler(policy, argv, out, removed); return 0;
    case IW_TOOL_RUST: apply_rust(policy, argv, out, removed); return 0;
    case IW_TOOL_LINKER: iw_strings_add_all(out, (const char *const *)argv->items); return 0;
    }
    return 0;
}
