#include "upgrade/metadata.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/requirement.h"

#define TEXT_LIMIT ((size_t)4 << 20)
enum { TOLD_FILES = 100 };

void iw_metadata_clear(iw_metadata *metadata)
{
    free(metadata->python), free(metadata->licence), free(metadata->backend);
    iw_strings_free(&metadata->build);
    iw_strings_free(&metadata->run);
    *metadata = (iw_metadata){0};
}

/* --- PKG-INFO ------------------------------------------------------------- */

static bool field(const char *line, const char *name, const char **value)
{
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') return false;
    *value = line + length + 1 + strspn(line + length + 1, " \t");
    return true;
}

static void add_requirement(iw_strings *out, const char *text, const char *python)
{
    iw_requirement one;
    if (iw_requirement_parse(text, python, &one) && one.applies && !iw_strings_has(out, text))
        iw_strings_add(out, text);
    iw_requirement_clear(&one);
}

/* Headers as in e-mail: they end at the first empty line. */
void iw_metadata_read_text(const char *text, const char *python, iw_metadata *out)
{
    iw_slice rest = iw_slice_of(text), part;
    while (iw_slice_next(&rest, '\n', &part) && iw_slice_trim(part).length) {
        iw_slice trimmed = iw_slice_trim(part);
        if (part.data[0] == ' ' || part.data[0] == '\t') continue;
        iw_cleanup_free char *line = iw_strndup(trimmed.data, trimmed.length);
        const char *value;
        bool expression = field(line, "License-Expression", &value);
        if (expression || (!out->licence && field(line, "License", &value))) {
            free(out->licence);
            out->licence = iw_strdup(value);
        } else if (field(line, "Requires-Python", &value)) {
            free(out->python);
            out->python = iw_strdup(value);
        } else if (field(line, "Requires-Dist", &value)) add_requirement(&out->run, value, python);
    }
    iw_strings_sort(&out->run);
}

/* --- pyproject.toml: [build-system], which is all that is asked of it -------- */

static const char *skip_comment(const char *at)
{
    for (;;) {
        at += strspn(at, " \t\r\n,");
        if (*at != '#') return at;
        at += strcspn(at, "\n");
    }
}

/* ["a", 'b', # why
 *  "c"] */
static void read_array(const char *at, const char *python, iw_strings *out)
{
    if (*at != '[') return;
    for (at = skip_comment(at + 1); *at == '"' || *at == '\''; at = skip_comment(at)) {
        const char *close = strchr(at + 1, *at);
        if (!close) return;
        iw_cleanup_free char *text = iw_strndup(at + 1, (size_t)(close - at - 1));
        add_requirement(out, text, python);
        at = close + 1;
    }
}

static const char *toml_value(const char *line, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0) return NULL;
    line += length + strspn(line + length, " \t");
    return *line == '=' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

static void read_pyproject(const char *text, const char *python, iw_metadata *out)
{
    bool inside = false;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        line += strspn(line, " \t");
        if (*line == '[' && isalpha((unsigned char)line[1]))
            inside = iw_starts_with(line, "[build-system]");
        const char *requires = inside ? toml_value(line, "requires") : NULL,
                   *backend = inside ? toml_value(line, "build-backend") : NULL;
        if (requires) read_array(requires, python, &out->build);
        if (backend && (*backend == '"' || *backend == '\'')) {
            free(out->backend);
            out->backend = iw_strndup(backend + 1, strcspn(backend + 1, "\"'\n"));
        }
    }
    iw_strings_sort(&out->build);
}

static int read_one(const char *folder, const char *name, char **out, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(folder, name);
    struct stat status;
    *out = NULL;
    if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    return iw_read_file(path, TEXT_LIMIT, out, NULL, err);
}

struct dist_info {
    const char *folder;
    char *text;
};

/* A wheel's own, in NAME-VERSION.dist-info. */
static int find_dist_info(void *context, const char *relative, const char *full,
                          const struct stat *status, iw_error *err)
{
    struct dist_info *info = context;
    (void)full;
    if (!S_ISDIR(status->st_mode) || info->text) return 0;
    iw_cleanup_free char *name = iw_path_join(relative, "METADATA");
    if (iw_ends_with(relative, ".dist-info") && read_one(info->folder, name, &info->text, err) != 0)
        return -1;
    return 1;
}

int iw_metadata_read(const char *folder, const char *python, iw_metadata *out, iw_error *err)
{
    iw_cleanup_free char *info = NULL, *project = NULL;
    struct dist_info wheel = {folder, NULL};
    *out = (iw_metadata){0};
    if (read_one(folder, "PKG-INFO", &info, err) != 0 ||
        (!info && iw_walk(folder, find_dist_info, &wheel, err) != 0))
        return -1;
    if (wheel.text) info = wheel.text;
    if (read_one(folder, "pyproject.toml", &project, err) != 0) return -1;
    if (info) iw_metadata_read_text(info, python, out);
    if (project) read_pyproject(project, python, out);
    return 0;
}

/* --- what the sources ask the CPU for -------------------------------------- */

static const char *const signs[] = {"immintrin.h",
                                    "_mm_",
                                    "_mm256_",
                                    "_mm512_",
                                    "__AVX",
                                    "__SSE4",
                                    "target_feature",
                                    "target(\"",
                                    "is_x86_feature_detected",
                                    "__builtin_cpu_supports",
                                    "-march=",
                                    "-mavx",
                                    "-msse4",
                                    "-mssse3",
                                    "-mfma",
                                    "-mbmi",
                                    "-mpopcnt"};
enum { SIGN_COUNT = sizeof signs / sizeof *signs };

static bool is_source(const char *path)
{
    static const char *const endings[] = {".c",
                                          ".h",
                                          ".cc",
                                          ".cpp",
                                          ".cxx",
                                          ".hpp",
                                          ".hh",
                                          ".inc",
                                          ".src",
                                          ".pyx",
                                          ".pxd",
                                          ".pxi",
                                          ".rs",
                                          ".s",
                                          ".S",
                                          ".asm",
                                          ".in",
                                          ".mk",
                                          ".py",
                                          ".cfg",
                                          ".cmake",
                                          "meson.build",
                                          "CMakeLists.txt",
                                          ".toml",
                                          ".ac",
                                          ".m4",
                                          "Makefile",
                                          NULL};
    for (size_t i = 0; endings[i]; i++)
        if (iw_ends_with(path, endings[i])) return true;
    return false;
}

static bool is_assembler(const char *path)
{
    return iw_ends_with(path, ".s") || iw_ends_with(path, ".S") || iw_ends_with(path, ".asm");
}

struct found { /* {path: [signs]}; the same by the last part, for files that moved; {folder: true}
                */
    json_t *files, *names, *folders;
};

/* A folder at the top, or one that stands where others' sources do; not those of tests. */
static bool is_vendored(const char *path)
{
    static const char *const names[] = {"vendor",      "vendored",    "_vendor",    "_vendored",
                                        "third_party", "third-party", "thirdparty", "extern",
                                        "external",    "externals",   "submodules", "subprojects",
                                        NULL};
    iw_cleanup_free char *parent = iw_path_parent(path);
    const char *base = iw_path_base(parent);
    if (strstr(path, "test")) return false;
    for (size_t i = 0; names[i]; i++)
        if (strcmp(base, names[i]) == 0) return true;
    return strcmp(parent, ".") == 0;
}

static int look(void *context, const char *relative, const char *full, const struct stat *status,
                iw_error *err)
{
    struct found *found = context;
    (void)err;
    if (S_ISDIR(status->st_mode) && is_vendored(relative))
        json_object_set_new_nocheck(found->folders, relative, json_true());
    if (!S_ISREG(status->st_mode) || !is_source(relative)) return 0;
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(full, TEXT_LIMIT, &text, NULL, NULL) != 0) return 0; /* larger than code is */
    json_t *list = json_array();
    for (size_t i = 0; i < SIGN_COUNT; i++)
        if (strstr(text, signs[i])) json_array_append_new(list, json_string(signs[i]));
    if (is_assembler(relative)) json_array_append_new(list, json_string("assembler"));
    if (json_array_size(list)) {
        json_object_set_nocheck(found->files, relative, list);
        json_object_set_nocheck(found->names, iw_path_base(relative), list);
    }
    json_decref(list);
    return 0;
}

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one) if (strcmp(json_string_value(one), text) == 0) return true;
    return false;
}

static json_t *new_signs(const struct found *old, const json_t *new_files)
{
    json_t *out = json_array(), *list, *sign;
    const char *file;
    size_t i;
    json_object_foreach((json_t *)new_files, file, list)
    {
        json_t *fresh = json_array(), *before = json_object_get(old->files, file);
        if (!before) before = json_object_get(old->names, iw_path_base(file));
        json_array_foreach(list, i, sign)
        {
            if (!has_text(before, json_string_value(sign))) json_array_append(fresh, sign);
        }
        if (json_array_size(fresh) && json_array_size(out) < TOLD_FILES)
            json_array_append_new(out, json_pack("{s:s,s:O}", "file", file, "signs", fresh));
        json_decref(fresh);
    }
    return out;
}

static json_t *new_folders(const json_t *before, const json_t *after)
{
    json_t *out = json_array(), *value;
    const char *folder;
    json_object_foreach((json_t *)after, folder, value)
    {
        if (!json_object_get(before, folder) && json_array_size(out) < TOLD_FILES)
            json_array_append_new(out, json_string(folder));
    }
    return out;
}

/* --- both ----------------------------------------------------------------- */

static void add_pair(json_t *out, const char *key, const char *before, const char *after)
{
    if (strcmp(before ? before : "", after ? after : "") == 0) return;
    json_object_set_new(out, key,
                        json_pack("[o,o]", before ? json_string(before) : json_null(),
                                  after ? json_string(after) : json_null()));
}

static void add_lists(json_t *out, const char *key, const iw_strings *before,
                      const iw_strings *after)
{
    json_t *added = json_array(), *removed = json_array();
    for (size_t i = 0; i < after->count; i++)
        if (!iw_strings_has(before, after->items[i]))
            json_array_append_new(added, json_string(after->items[i]));
    for (size_t i = 0; i < before->count; i++)
        if (!iw_strings_has(after, before->items[i]))
            json_array_append_new(removed, json_string(before->items[i]));
    if (json_array_size(added) || json_array_size(removed))
        json_object_set_new(out, key, json_pack("{s:O,s:O}", "added", added, "removed", removed));
    json_decref(added);
    json_decref(removed);
}

static void add_nonempty(json_t *out, const char *key, json_t *list)
{
    if (json_array_size(list)) json_object_set(out, key, list);
    json_decref(list);
}

static int compare_sources(const char *old_folder, const char *new_folder, json_t *out,
                           iw_error *err)
{
    struct found before = {json_object(), json_object(), json_object()},
                 after = {json_object(), json_object(), json_object()};
    int status = iw_walk(old_folder, look, &before, err);
    if (status == 0) status = iw_walk(new_folder, look, &after, err);
    if (status == 0) {
        add_nonempty(out, "instructions", new_signs(&before, after.files));
        add_nonempty(out, "vendored", new_folders(before.folders, after.folders));
    }
    json_decref(before.files), json_decref(before.names), json_decref(before.folders);
    json_decref(after.files), json_decref(after.names), json_decref(after.folders);
    return status;
}

int iw_metadata_compare(const char *old_folder, const char *new_folder, const char *python,
                        json_t **out, iw_error *err)
{
    iw_metadata before = {0}, after = {0};
    *out = NULL;
    int status = iw_metadata_read(old_folder, python, &before, err);
    if (status == 0) status = iw_metadata_read(new_folder, python, &after, err);
    json_t *found = json_object();
    if (status == 0) {
        add_pair(found, "python", before.python, after.python);
        add_pair(found, "licence", before.licence, after.licence);
        add_pair(found, "backend", before.backend, after.backend);
        add_lists(found, "build", &before.build, &after.build);
        add_lists(found, "run", &before.run, &after.run);
        status = compare_sources(old_folder, new_folder, found, err);
    }
    iw_metadata_clear(&before);
    iw_metadata_clear(&after);
    if (status == 0) *out = json_incref(found);
    json_decref(found);
    return status;
}
