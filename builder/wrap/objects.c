/* An entry's parts (entry.h): what the compiler said, the dependency file, the object.
 * The toolchain's files are pinned by the key. A header that isn't there when the entry is made and
 * would be found earlier on the include path later is the known gap of this kind of cache; within
 * one recipe's sources it can't come and go, and dependencies are laid at the prefix by digest. */
#include "wrap/objects.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "wrap/entry.h"
#include "wrap/sha256.h"

#define KIND "iw-object 1"

/* --- what may be cached --------------------------------------------------- */

/* Fixed-form Fortran that reads or writes other files: include lines, modules. Statements start in
 * column 7 or later; comments in column 1. */
static bool fortran_is_alone(const char *source)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(source, IW_ENTRY_FILE_LIMIT, &text, NULL, NULL) != 0) return false;
    static const char *const words[] = {"include", "use", "module", "submodule", NULL};
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (line.length && strchr("cC*!#dD", line.data[0])) {
            if (line.data[0] == '#') return false;
            continue;
        }
        iw_slice statement = iw_slice_trim(line);
        for (size_t i = 0; words[i]; i++) {
            size_t length = strlen(words[i]);
            if (statement.length > length && strncasecmp(statement.data, words[i], length) == 0 &&
                strchr(" \t'\",", statement.data[length]))
                return false;
        }
    }
    return true;
}

bool iw_object_cacheable(const iw_compile *compile, const char **reason)
{
    const char *why = NULL;
    if (compile->mode != IW_MODE_COMPILE) why = "no compile";
    else if (compile->uncacheable) why = compile->uncacheable;
    else if (!compile->source) why = "sources";
    else if (!compile->output || !iw_entry_is_replaceable(compile->output)) why = "output";
    else if (compile->depfile &&
             (strcmp(compile->depfile, "-") == 0 || !iw_entry_is_replaceable(compile->depfile)))
        why = "-MF";
    else if (getenv("DEPENDENCIES_OUTPUT") || getenv("SUNPRO_DEPENDENCIES"))
        why = "DEPENDENCIES_OUTPUT";
    else if (iw_source_is_fixed_fortran(compile->source))
        why = fortran_is_alone(compile->source) ? NULL : "fortran";
    else if (!iw_source_has_depfile(compile->source)) why = "language";
    *reason = why;
    return !why;
}

/* --- key ------------------------------------------------------------------ */

/* Arguments without the names of what is written: those are the caller's business. A dependency
 * file's content names its target, so that one counts where there is such a file. */
static void add_arguments(iw_sha256 *hash, const iw_strings *argv, const iw_compile *compile)
{
    bool depfile = compile->md || compile->mmd;
    for (size_t i = 0; i < argv->count; i++) {
        if ((int)i == compile->output_index && (!depfile || compile->target_given)) continue;
        if (strcmp(argv->items[i], "-MF") == 0 && i + 1 < argv->count) {
            i++;
            continue;
        }
        iw_sha256_add_text(hash, argv->items[i]);
    }
}

/* The working folder as gcc writes it into debug information: PWD where that is this folder. */
static bool working_folder(char folder[4096])
{
    struct stat here, there;
    const char *said = getenv("PWD");
    if (said && said[0] == '/' && strlen(said) < 4096 && stat(said, &there) == 0 &&
        stat(".", &here) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino) {
        strcpy(folder, said);
        return true;
    }
    return getcwd(folder, 4096) != NULL;
}

bool iw_object_key_make(const iw_policy *policy, const char *tool, const iw_strings *argv,
                        const iw_compile *compile, iw_object_key *key)
{
    /* What gcc reads from its environment (manual, "Environment Variables") that a compile without
     * linking can see. */
    static const char *const variables[] = {"CPATH",
                                            "C_INCLUDE_PATH",
                                            "CPLUS_INCLUDE_PATH",
                                            "SOURCE_DATE_EPOCH",
                                            "GCC_EXEC_PREFIX",
                                            "COMPILER_PATH",
                                            "LC_ALL",
                                            "LC_CTYPE",
                                            "LC_MESSAGES",
                                            "LANG",
                                            "GCC_COLORS",
                                            NULL};
    char folder[4096];
    if (!working_folder(folder) || !iw_entry_hash_file(compile->source, key->source)) return false;
    iw_sha256 hash;
    iw_sha256_start(&hash);
    iw_sha256_add_text(&hash, KIND "\n" IW_POLICY_NUMBER);
    iw_sha256_add_text(&hash, policy->toolchain);
    iw_sha256_add_text(&hash, tool);
    iw_sha256_add_text(&hash, folder);
    iw_sha256_add_text(&hash, key->source);
    for (size_t i = 0; variables[i]; i++) iw_sha256_add_text(&hash, getenv(variables[i]));
    add_arguments(&hash, argv, compile);
    iw_sha256_finish(&hash, key->text);
    return true;
}

/* --- reading -------------------------------------------------------------- */

bool iw_object_get(const char *folder, const iw_object_key *key, const char *output,
                   const char *depfile)
{
    const char *body, *end;
    iw_cleanup_free char *text = iw_entry_read(folder, key->text, KIND, &body, &end);
    iw_entry_part parts[3], *said = &parts[0], *rules = &parts[1], *object = &parts[2];
    if (!text || !iw_entry_parts(body, end, parts, 3) || !object->data) return false;
    if (depfile && (!rules->data || !iw_entry_place(depfile, rules->data, rules->length)))
        return false;
    if (!iw_entry_place(output, object->data, object->length)) return false;
    (void)!iw_write_all(2, said->data, said->length, "standard error", NULL);
    iw_entry_used(folder, key->text);
    return true;
}

/* --- writing -------------------------------------------------------------- */

/* The digest of what a compile read; false where the file can't be read any more or may have been
 * another one then, or where it makes the assembler read files that no dependency file names. */
static bool hash_input(const char *path, const struct timespec *started, bool assembler,
                       char hex[65])
{
    iw_cleanup_free char *text = NULL;
    size_t length;
    if (iw_read_file(path, IW_ENTRY_FILE_LIMIT, &text, &length, NULL) != 0 ||
        iw_has_file_directive(text, length))
        return false;
    if (assembler && (memmem(text, length, ".incbin", 7) || memmem(text, length, ".include", 8)))
        return false; /* by macros, too */
    if (started && iw_entry_changed(path, started)) return false;
    iw_entry_hash(text, length, hex);
    return true;
}

/* "D" lines for what the compile read. False: not to be kept. */
static bool add_inputs(iw_buffer *out, const iw_object_key *key, const iw_policy *policy,
                       const iw_compile *compile, const iw_object_result *result)
{
    iw_cleanup_free char *text = NULL;
    iw_cleanup_strings iw_strings paths = {0};
    bool assembler = iw_is_assembler(compile->source, compile->language);
    char hex[65];
    if (!hash_input(compile->source, NULL, assembler, hex) || strcmp(hex, key->source) != 0)
        return false;
    if (!result->dependencies) return true;
    if (iw_read_file(result->dependencies, IW_ENTRY_FILE_LIMIT, &text, NULL, NULL) != 0 ||
        iw_depfile_parse(text, &paths) != 0)
        return false;
    for (size_t i = 0; i < paths.count; i++) {
        const char *path = paths.items[i];
        if (strcmp(path, compile->source) == 0 ||
            (policy->toolchain && !policy->host && iw_starts_with(path, "/usr/")))
            continue;
        if (!hash_input(path, &result->started, assembler, hex) ||
            !iw_entry_add_input(out, path, hex))
            return false;
    }
    return true;
}

bool iw_object_put(const char *folder, const iw_object_key *key, const iw_policy *policy,
                   const iw_compile *compile, const iw_object_result *result)
{
    iw_cleanup_buffer iw_buffer out = {0};
    iw_cleanup_free char *object = NULL, *kept = NULL;
    size_t object_length = 0, kept_length = 0;
    iw_buffer_add_text(&out, KIND "\n");
    if (!add_inputs(&out, key, policy, compile, result)) return false;
    if (iw_read_file(compile->output, IW_ENTRY_FILE_LIMIT, &object, &object_length, NULL) != 0)
        return false;
    if (result->depfile &&
        iw_read_file(result->depfile, IW_ENTRY_FILE_LIMIT, &kept, &kept_length, NULL) != 0)
        return false;
    const iw_entry_part parts[] = {{result->said, result->said_length},
                                   {kept, kept_length},
                                   {object, object_length}};
    iw_entry_add_parts(&out, parts, 3);
    return iw_entry_write(folder, key->text, &out);
}
