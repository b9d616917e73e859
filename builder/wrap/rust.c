/* An entry's own lines (entry.h has the rest):
 *   "E <name>=<value>\n", "E <name>\n"      each environment variable that the source reads by env!
 *                                           and option_env!, as rustc notes it: set to that, unset
 * and its parts: what rustc said, the dependency file, the metadata, the library.
 * The key counts the arguments, the libraries that --extern names, static libraries on the native
 * path, cargo's variables, and every file of the package and of OUT_DIR: a procedural macro may
 * read those without a word. What such a macro reads elsewhere is the known gap; in a sandbox with
 * one recipe's sources little is left there. A library's metadata holds the digests of those that
 * it was made with, so that only those named count. */
#include "wrap/rust.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "wrap/command.h"
#include "wrap/entry.h"
#include "wrap/sha256.h"

#define KIND "iw-crate 1"
#define TREE_FILES 20000        /* of one package; more isn't worth a look */
#define TREE_BYTES (256u << 20) /* likewise */

/* --- the command line ----------------------------------------------------- */

/* The value of an option that stands at `*i`, "-C x", "-Cx", "--emit x" or "--emit=x"; leaves `*i`
 * at what holds it. NULL: another option. */
static const char *value_of(const iw_strings *argv, size_t *i, const char *option)
{
    const char *argument = argv->items[*i];
    size_t length = strlen(option);
    if (!iw_starts_with(argument, option)) return NULL;
    if (!argument[length]) return *i + 1 < argv->count ? argv->items[++*i] : NULL;
    if (option[1] != '-') return argument + length;
    return argument[length] == '=' ? argument + length + 1 : NULL;
}

static void refuse(iw_rust *rust, const char *why)
{
    if (!rust->uncacheable) rust->uncacheable = why;
}

static void read_emit(iw_rust *rust, const char *value)
{
    static const char *const kinds[] = {"dep-info", "metadata", "link"};
    iw_slice rest = iw_slice_of(value), part;
    while (iw_slice_next(&rest, ',', &part)) {
        size_t k = 0;
        while (k < IW_RUST_FILES && !iw_slice_equal(part, kinds[k])) k++;
        if (k < IW_RUST_FILES) rust->wants[k] = true;
        else refuse(rust, "--emit");
    }
}

static void read_codegen(iw_rust *rust, const char *value)
{
    /* What writes or reads other files. */
    static const char *const others[] = {"incremental", "save-temps",       "profile-",
                                         "remark",      "split-debuginfo=", NULL};
    if (iw_starts_with(value, "extra-filename=")) rust->extra = strchr(value, '=') + 1;
    if (strcmp(value, "split-debuginfo=off") == 0) return;
    for (size_t i = 0; others[i]; i++)
        if (iw_starts_with(value, others[i])) refuse(rust, value);
}

/* -L kind=folder. Without a kind, or of any other, a library may be found there that no option
 * names. */
static void read_path(iw_rust *rust, const char *value)
{
    if (iw_starts_with(value, "native=")) iw_strings_add(&rust->natives, strchr(value, '=') + 1);
    else if (!iw_starts_with(value, "dependency=")) refuse(rust, "-L");
}

/* Options whose values count as text only. */
/* clang-format off */
static const char *const text_options[] = {
    "--cfg", "--check-cfg", "--edition", "--target", "--allow", "--warn", "--deny", "--forbid",
    "--cap-lints", "--error-format", "--json", "--color", "--diagnostic-width",
    "--remap-path-prefix", "-A", "-W", "-D", "-F", "-l", NULL};
/* clang-format on */

/* False: no option that takes a value. */
static bool read_option(iw_rust *rust, const iw_strings *argv, size_t *i)
{
    static const char *const others[] = {"-Z", "-o", "--test", "--sysroot", NULL};
    const char *argument = argv->items[*i], *value;
    for (size_t k = 0; others[k]; k++)
        if (iw_starts_with(argument, others[k])) return refuse(rust, others[k]), true;
    for (size_t k = 0; text_options[k]; k++)
        if (value_of(argv, i, text_options[k])) return true;
    if ((value = value_of(argv, i, "--crate-name"))) rust->name = value;
    else if ((value = value_of(argv, i, "--out-dir"))) rust->folder = value;
    else if ((value = value_of(argv, i, "--emit"))) read_emit(rust, value);
    else if ((value = value_of(argv, i, "-C"))) read_codegen(rust, value);
    else if ((value = value_of(argv, i, "-L"))) read_path(rust, value);
    else if ((value = value_of(argv, i, "--extern"))) {
        const char *file = strchr(value, '=');
        if (file) iw_strings_add(&rust->externs, file + 1);
    } else if ((value = value_of(argv, i, "--crate-type"))) {
        if (strcmp(value, "lib") != 0 && strcmp(value, "rlib") != 0) refuse(rust, "linked");
    } else {
        return false;
    }
    return true;
}

/* The names that rustc makes of its options (rustc book, "Command-line Arguments"). */
static void name_files(iw_rust *rust)
{
    static const char *const heads[] = {"", "lib", "lib"}, *const ends[] = {".d", ".rmeta",
                                                                            ".rlib"};
    const char *extra = rust->extra ? rust->extra : "";
    if (!rust->wants[IW_RUST_DEP_INFO] || !rust->name || !rust->folder) refuse(rust, "--emit");
    if (!rust->source) refuse(rust, "sources");
    for (size_t i = 0; i < IW_RUST_FILES && !rust->uncacheable; i++) {
        if (!rust->wants[i]) continue;
        rust->files[i] =
            iw_format("%s/%s%s%s%s", rust->folder, heads[i], rust->name, extra, ends[i]);
        if (!iw_entry_is_replaceable(rust->files[i])) refuse(rust, "output");
    }
}

void iw_rust_parse(const iw_policy *policy, const iw_strings *argv, iw_rust *out)
{
    *out = (iw_rust){0};
    bool typed = false;
    for (size_t i = 0; i < argv->count; i++) {
        const char *argument = argv->items[i];
        typed = typed || iw_starts_with(argument, "--crate-type");
        if (read_option(out, argv, &i)) continue;
        if (argument[0] == '-' && argument[1]) continue; /* -g, -O, -v: counted as text */
        if (out->source) refuse(out, "sources");
        out->source = argument;
    }
    /* The toolchain's digest speaks for rustc and its own libraries. */
    if (!policy->toolchain || policy->host) refuse(out, "toolchain");
    if (!getenv("CARGO_MANIFEST_DIR")) refuse(out, "cargo"); /* nothing says what the package is */
    if (!typed) refuse(out, "linked");
    if (out->source && strcmp(out->source, "-") == 0) refuse(out, "-");
    name_files(out);
}

void iw_rust_clear(iw_rust *rust)
{
    iw_strings_free(&rust->externs);
    iw_strings_free(&rust->natives);
    for (size_t i = 0; i < IW_RUST_FILES; i++) free(rust->files[i]);
    *rust = (iw_rust){0};
}

/* --- key ------------------------------------------------------------------ */

struct tree {
    iw_sha256 *hash;
    size_t files;
    uint64_t bytes;
    const char *ending; /* only files that end so; or NULL */
};

/* A file of a package, or of what its build script made. Not another package's, as cargo
 * sees it: a folder with a Cargo.toml of its own. */
static int add_file(void *context, const char *relative, const char *full,
                    const struct stat *status, iw_error *err)
{
    struct tree *tree = context;
    char hex[65], target[4096];
    if (S_ISDIR(status->st_mode)) {
        iw_cleanup_free char *manifest = iw_path_join(full, "Cargo.toml");
        return tree->ending || iw_exists(manifest) || strcmp(iw_path_base(full), ".git") == 0;
    }
    if (tree->ending && !iw_ends_with(relative, tree->ending)) return 0;
    ssize_t length = S_ISLNK(status->st_mode) ? readlink(full, target, sizeof target) : 0;
    struct stat behind = *status;
    iw_sha256_add_text(tree->hash, relative);
    if (length > 0) iw_sha256_add(tree->hash, target, (size_t)length);
    if (length != 0 && stat(full, &behind) != 0) return 0; /* a link to nothing */
    if (!S_ISREG(behind.st_mode)) return 0;
    tree->bytes += (uint64_t)behind.st_size;
    if (++tree->files > TREE_FILES || tree->bytes > TREE_BYTES || !iw_entry_hash_file(full, hex))
        return iw_fail(err, IW_E_MEMORY, "%s", full);
    iw_sha256_add_text(tree->hash, hex);
    return 0;
}

static bool add_tree(iw_sha256 *hash, const char *folder, const char *ending)
{
    struct tree tree = {.hash = hash, .ending = ending};
    iw_sha256_add_text(hash, folder);
    return !iw_exists(folder) || iw_walk(folder, add_file, &tree, NULL) == 0;
}

/* What is cargo's, rustc's, or decides what either says. */
static void add_environment(iw_sha256 *hash)
{
    static const char *const names[] = {
        "CARGO", "RUSTC_", "OUT_DIR=", "LC_ALL=", "LANG=", "SOURCE_DATE_EPOCH=", NULL};
    static const char *const passing[] = {"CARGO_MAKEFLAGS=", "CARGO_BUILD_JOBS=", NULL};
    iw_cleanup_strings iw_strings found = {0};
    for (char **variable = environ; *variable; variable++) {
        bool counts = false;
        for (size_t i = 0; names[i]; i++) counts = counts || iw_starts_with(*variable, names[i]);
        for (size_t i = 0; passing[i]; i++)
            counts = counts && !iw_starts_with(*variable, passing[i]);
        if (counts) iw_strings_add(&found, *variable);
    }
    iw_strings_sort(&found);
    for (size_t i = 0; i < found.count; i++) iw_sha256_add_text(hash, found.items[i]);
}

bool iw_rust_key(const iw_policy *policy, const iw_strings *argv, const iw_rust *rust, char key[65])
{
    char hex[65];
    iw_cleanup_free char *here = getcwd(NULL, 0);
    const char *made = getenv("OUT_DIR");
    iw_sha256 hash;
    iw_sha256_start(&hash);
    iw_sha256_add_text(&hash, KIND "\n" IW_POLICY_NUMBER);
    iw_sha256_add_text(&hash, policy->toolchain);
    iw_sha256_add_text(&hash, here);
    for (size_t i = 0; i < argv->count; i++) iw_sha256_add_text(&hash, argv->items[i]);
    add_environment(&hash);
    for (size_t i = 0; i < rust->externs.count; i++) {
        if (!iw_entry_hash_file(rust->externs.items[i], hex)) return false;
        iw_sha256_add_text(&hash, hex);
    }
    bool fine = add_tree(&hash, getenv("CARGO_MANIFEST_DIR"), NULL);
    fine = fine && (!made || add_tree(&hash, made, NULL));
    for (size_t i = 0; fine && i < rust->natives.count; i++)
        fine = add_tree(&hash, rust->natives.items[i], ".a");
    iw_sha256_finish(&hash, key);
    return fine && here;
}

/* --- reading -------------------------------------------------------------- */

/* As rustc notes a variable's value in a dependency file. */
static void add_escaped(iw_buffer *out, const char *value)
{
    for (const char *c = value; *c; c++) {
        if (*c == '\n') iw_buffer_add_text(out, "\\n");
        else if (*c == '\r') iw_buffer_add_text(out, "\\r");
        else if (*c == '\\') iw_buffer_add_text(out, "\\\\");
        else iw_buffer_add_char(out, *c);
    }
}

/* Whether a variable is what a line says: "NAME=value", or "NAME" and unset. */
static bool variable_matches(iw_slice line)
{
    const char *equals = memchr(line.data, '=', line.length);
    size_t length = equals ? (size_t)(equals - line.data) : line.length;
    iw_cleanup_free char *name = iw_strndup(line.data, length);
    const char *value = getenv(name);
    if (!equals || !value) return !equals && !value;
    iw_cleanup_buffer iw_buffer now = {0};
    add_escaped(&now, value);
    return iw_slice_equal((iw_slice){equals + 1, line.length - length - 1},
                          now.data ? now.data : "");
}

/* Whether the variables that the source reads are what they were; leaves `*at` behind them. */
static bool variables_match(const char **at)
{
    while (iw_starts_with(*at, "E ")) {
        const char *end = strchr(*at, '\n');
        if (!end || !variable_matches((iw_slice){*at + 2, (size_t)(end - *at - 2)})) return false;
        *at = end + 1;
    }
    return true;
}

bool iw_rust_get(const char *folder, const char *key, const iw_rust *rust)
{
    const char *body, *end;
    iw_cleanup_free char *text = iw_entry_read(folder, key, KIND, &body, &end);
    iw_entry_part parts[1 + IW_RUST_FILES], *files = parts + 1;
    if (!text || !variables_match(&body) || !iw_entry_parts(body, end, parts, 1 + IW_RUST_FILES))
        return false;
    for (size_t i = 0; i < IW_RUST_FILES; i++)
        if (!files[i].data == rust->wants[i]) return false;
    for (size_t i = 0; i < IW_RUST_FILES; i++)
        if (rust->wants[i] && !iw_entry_place(rust->files[i], files[i].data, files[i].length))
            return false;
    (void)!iw_write_all(2, parts[0].data, parts[0].length, "standard error", NULL);
    iw_entry_used(folder, key);
    return true;
}

/* --- writing -------------------------------------------------------------- */

/* "D" and "E" lines for what the dependency file names. False: not to be kept. */
static bool add_inputs(iw_buffer *out, const char *dep_info, const struct timespec *started)
{
    static const char mark[] = "# env-dep:";
    iw_cleanup_strings iw_strings paths = {0};
    char hex[65];
    if (iw_depfile_parse(dep_info, &paths) != 0 || !paths.count) return false;
    for (size_t i = 0; i < paths.count; i++)
        if (!iw_entry_hash_file(paths.items[i], hex) || iw_entry_changed(paths.items[i], started) ||
            !iw_entry_add_input(out, paths.items[i], hex))
            return false;
    iw_slice rest = iw_slice_of(dep_info), line;
    while (iw_slice_next(&rest, '\n', &line))
        if (line.length >= strlen(mark) && memcmp(line.data, mark, strlen(mark)) == 0)
            iw_buffer_add_format(out, "E %.*s\n", (int)(line.length - strlen(mark)),
                                 line.data + strlen(mark));
    return true;
}

bool iw_rust_put(const char *folder, const char *key, const iw_rust *rust, const iw_buffer *said,
                 const struct timespec *started)
{
    iw_cleanup_buffer iw_buffer out = {0};
    char *texts[IW_RUST_FILES] = {0};
    iw_entry_part parts[1 + IW_RUST_FILES] = {{said->data ? said->data : "", said->length}};
    bool fine = true;
    for (size_t i = 0; i < IW_RUST_FILES && fine; i++) {
        iw_entry_part *part = &parts[1 + i];
        fine = !rust->wants[i] || iw_read_file(rust->files[i], IW_ENTRY_FILE_LIMIT, &texts[i],
                                               &part->length, NULL) == 0;
        part->data = texts[i];
    }
    iw_buffer_add_text(&out, KIND "\n");
    fine = fine && add_inputs(&out, texts[IW_RUST_DEP_INFO], started);
    if (fine) iw_entry_add_parts(&out, parts, 1 + IW_RUST_FILES);
    for (size_t i = 0; i < IW_RUST_FILES; i++) free(texts[i]);
    return fine && iw_entry_write(folder, key, &out);
}
