#include "share/added.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "store/archive.h"

#define RECORD_LIMIT ((size_t)64 << 20)
#define OUTPUT_LIMIT ((size_t)16 << 20)

void iw_added_clear(iw_added *added)
{
    iw_strings_free(&added->requirements);
    iw_strings_free(&added->files);
}

/* --- what is newer than the bundle ---------------------------------------- */

static int visit(void *context, const char *relative, const char *full, const struct stat *status,
                 iw_error *err)
{
    (void)full, (void)err;
    iw_strings *newer = context;
    const char *base = iw_path_base(relative);
    if (S_ISDIR(status->st_mode)) return strcmp(base, "__pycache__") == 0;
    if (status->st_mtime != IW_ARCHIVE_TIME && !iw_ends_with(base, ".pyc") &&
        strcmp(relative, "added.txt") != 0)
        iw_strings_add(newer, relative);
    return 0;
}

static bool is_metadata(const char *path, char **info)
{
    static const char ending[] = ".dist-info/METADATA";
    if (!iw_ends_with(path, ending)) return false;
    *info = iw_path_parent(path);
    return true;
}

/* "Name: x" of the header. Caller frees; NULL where there is none. */
static char *header_field(const char *text, const char *name)
{
    iw_slice rest = iw_slice_of(text), line;
    size_t length = strlen(name);
    while (iw_slice_next(&rest, '\n', &line) && iw_slice_trim(line).length) {
        if (line.length <= length || strncasecmp(line.data, name, length) != 0) continue;
        iw_slice value = iw_slice_trim((iw_slice){line.data + length, line.length - length});
        return iw_strndup(value.data, value.length);
    }
    return NULL;
}

/* An address that it was installed from says more than its version. Caller frees. */
static char *from_address(const char *info, const char *name)
{
    iw_cleanup_free char *path = iw_path_join(info, "direct_url.json"), *text = NULL;
    if (iw_read_file(path, RECORD_LIMIT, &text, NULL, NULL) != 0) return NULL;
    json_t *root = json_loads(text, 0, NULL);
    const char *url = iw_json_get(root, "url"),
               *vcs = iw_json_get(json_object_get(root, "vcs_info"), "vcs"),
               *commit = iw_json_get(json_object_get(root, "vcs_info"), "commit_id");
    bool editable = json_is_true(json_object_get(json_object_get(root, "dir_info"), "editable"));
    char *line = NULL;
    if (url && editable && iw_starts_with(url, "file://")) line = iw_format("-e %s", url + 7);
    else if (url && vcs && commit) line = iw_format("%s @ %s+%s@%s", name, vcs, url, commit);
    else if (url) line = iw_format("%s @ %s", name, url);
    json_decref(root);
    return line;
}

static bool is_tame(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
    return *text;
}

static void add_requirement(iw_added *out, const char *environment, const char *relative)
{
    iw_cleanup_free char *info = iw_path_join(environment, relative),
                         *path = iw_path_join(info, "METADATA"), *text = NULL;
    if (iw_read_file(path, RECORD_LIMIT, &text, NULL, NULL) != 0) return;
    iw_cleanup_free char *name = header_field(text, "Name:"),
                         *version = header_field(text, "Version:");
    if (!name || !version || !is_tame(name) || !is_tame(version)) return;
    iw_cleanup_free char *address = from_address(info, name),
                         *line = address ? iw_strdup(address) : iw_format("%s==%s", name, version);
    if (is_tame(line)) iw_strings_add(&out->requirements, line);
}

/* Paths in a RECORD are relative to site-packages. */
static void add_recorded(iw_strings *known, const char *environment, const char *info)
{
    iw_cleanup_free char *folder = iw_path_join(environment, info),
                         *path = iw_path_join(folder, "RECORD"), *site = iw_path_parent(info),
                         *text = NULL;
    if (iw_read_file(path, RECORD_LIMIT, &text, NULL, NULL) != 0) return;
    iw_slice rest = iw_slice_of(text), line, name;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (!iw_slice_next(&line, ',', &name) || !name.length) continue;
        iw_cleanup_free char *part = iw_strndup(name.data, name.length),
                             *joined = iw_path_join(site, part), *clean = iw_path_clean(joined);
        iw_strings_add(known, clean);
    }
    iw_strings_add(known, info);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_known(const iw_strings *known, const char *path)
{
    if (!known->count) return false;
    if (bsearch(&path, known->items, known->count, sizeof *known->items, by_text)) return true;
    iw_cleanup_free char *parent = iw_path_parent(path);
    const char *folder = parent;
    return iw_ends_with(parent, ".dist-info") &&
           bsearch(&folder, known->items, known->count, sizeof *known->items, by_text);
}

int iw_added_find(const char *environment, iw_added *out, iw_error *err)
{
    iw_cleanup_strings iw_strings newer = {0}, known = {0};
    *out = (iw_added){.requirements = {0}};
    if (iw_walk(environment, visit, &newer, err) != 0) return -1;
    for (size_t i = 0; i < newer.count; i++) {
        iw_cleanup_free char *info = NULL;
        if (!is_metadata(newer.items[i], &info)) continue;
        add_requirement(out, environment, info);
        add_recorded(&known, environment, info);
    }
    iw_strings_sort(&known);
    for (size_t i = 0; i < newer.count; i++)
        if (!is_known(&known, newer.items[i])) iw_strings_add(&out->files, newer.items[i]);
    iw_strings_sort(&out->requirements);
    return 0;
}

char *iw_added_text(const iw_added *added, const char *folder)
{
    iw_buffer out = {0};
    iw_buffer_add_format(&out,
                         "# What was in %s on top of its bundle; `pip install -r added.txt` "
                         "installs it again.\n",
                         folder);
    for (size_t i = 0; i < added->requirements.count; i++)
        iw_buffer_add_format(&out, "%s\n", added->requirements.items[i]);
    if (added->files.count) iw_buffer_add_text(&out, "# Files that were added or changed:\n");
    for (size_t i = 0; i < added->files.count; i++)
        iw_buffer_add_format(&out, "#   %s\n", added->files.items[i]);
    return iw_buffer_take(&out);
}

/* --- installing it again -------------------------------------------------- */

int iw_added_carry(const char *environment, const char *list, iw_error *err)
{
    extern char **environ;
    iw_cleanup_free char *python = iw_path_join(environment, "bin/python3"),
                         *constraints = iw_path_join(environment, "constraints.txt");
    iw_cleanup_strings iw_strings variables = {0};
    for (char **one = environ; *one; one++)
        if (!iw_starts_with(*one, "PYTHON") && !iw_starts_with(*one, "PIP_CONSTRAINT=") &&
            !iw_starts_with(*one, "VIRTUAL_ENV="))
            iw_strings_add(&variables, *one);
    iw_strings_add_format(&variables, "PIP_CONSTRAINT=%s", constraints);
    iw_strings_add_format(&variables, "PIP_BUILD_CONSTRAINT=%s", constraints);
    if (iw_run_capture((const char *const[]){python, "-m", "pip", "install", "--no-input",
                                             "--disable-pip-version-check", "-r", list, NULL},
                       (const char *const *)variables.items, OUTPUT_LIMIT, NULL, NULL, err) == 0)
        return 0;
    iw_wrap(err,
            "what was installed on top (%s) can't be installed into the new bundle; the old one "
            "stays in use",
            list);
    if (err) err->kind = IW_E_CHECK;
    return -1;
}
