#include "upgrade/resolve.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "build/checks_root.h"
#include "triage/pip.h"

enum { TEXT_LIMIT = 64 << 20 };

static void dist_free(iw_dist *dist)
{
    free(dist->name), free(dist->version), free(dist->url), free(dist->file), free(dist->sha256);
    free(dist->summary);
    iw_strings_free(&dist->needs);
}

void iw_resolution_free(iw_resolution *resolution)
{
    for (size_t i = 0; i < resolution->count; i++) dist_free(&resolution->items[i]);
    free(resolution->items);
    iw_strings_free(&resolution->warnings);
    *resolution = (iw_resolution){0};
}

iw_dist *iw_resolution_find(const iw_resolution *resolution, const char *name)
{
    for (size_t i = 0; i < resolution->count; i++)
        if (strcmp(resolution->items[i].name, name) == 0) return &resolution->items[i];
    return NULL;
}

/* --- what is asked -------------------------------------------------------- */

static int write_lines(const char *path, const iw_want *items, size_t count,
                       const iw_strings *options, const iw_strings *pins, iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0};
    for (size_t i = 0; options && i < options->count; i++)
        iw_buffer_add_format(&text, "%s\n", options->items[i]);
    for (size_t i = 0; i < count; i++) iw_buffer_add_format(&text, "%s\n", items[i].text);
    for (size_t i = 0; pins && i < pins->count; i++)
        iw_buffer_add_format(&text, "%s\n", pins->items[i]);
    return iw_write_passing(path, text.data ? text.data : "", text.length, 0600, err);
}

/* --- running pip ---------------------------------------------------------- */

static int run(const iw_resolver *r, const iw_strings *argv, const iw_strings *environment,
               const char *said, int *status, iw_error *err)
{
    iw_cleanup_fd int out = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", said);
    const iw_command command = {.argv = (const char *const *)argv->items,
                                .environment = (const char *const *)environment->items,
                                .in = -1,
                                .out = out,
                                .error = out,
                                .own_group = true,
                                .die_with_parent = true};
    return iw_run_until(&command, r->cancel, "pip resolved", status, err);
}

static int ask_pip(const iw_resolver *r, const char *wanted, const char *limits, const char *report,
                   const char *said, int *status, iw_error *err)
{
    iw_cleanup_strings iw_strings argv = {0}, environment = {0};
    iw_cleanup_free char *stubs = iw_path_join(r->folder, "stubs");
    const char *const words[] = {"-I",
                                 "-m",
                                 "pip",
                                 "--disable-pip-version-check",
                                 "--no-input",
                                 "install",

                                 "--dry-run",
                                 "--ignore-installed",
                                 "--only-binary",
                                 ":all:",
                                 "--break-system-packages",
                                 "--report",
                                 report,
                                 "--find-links",
                                 stubs,
                                 "--constraint",
                                 limits,
                                 "--requirement",
                                 wanted,
                                 NULL};
    iw_checks_python(r->root, r->bytecode, &argv, &environment);
    iw_strings_add_all(&argv, words);
    iw_pip_environment(r->index, r->offline, r->folder, &environment);
    return iw_make_folders(stubs, 0755, err) != 0 ? -1
                                                  : run(r, &argv, &environment, said, status, err);
}

/* --- what it says --------------------------------------------------------- */

/* ">=2,<3" and pip's "<3 and >=2" alike: "<3 >=2 ". Caller frees. */
static char *sorted_conditions(const char *text)
{
    iw_cleanup_strings iw_strings clauses = {0};
    iw_cleanup_free char *own = iw_strndup(text, strcspn(text, ";)"));
    iw_buffer out = {0};
    for (char *word; (word = strstr(own, " and ")) != NULL;) memcpy(word, ",,,,,", 5);
    iw_strings_add_words(&clauses, own, ',');
    iw_strings_sort(&clauses);
    iw_buffer_add_text(&out, "");
    for (size_t i = 0; i < clauses.count; i++) iw_buffer_add_format(&out, "%s ", clauses.items[i]);
    return iw_buffer_take(&out);
}

/* "numpy==1.26.4 (requirements.txt:3)", where one of the lines asks for just that. */
static char *with_origin(const iw_resolver *r, const char *asked)
{
    const iw_requirements *all = r->requirements;
    const char *at = strpbrk(asked, "<>=!~;");
    iw_cleanup_free char *name = iw_strndup(asked, strcspn(asked, " <>=!~;[(")),
                         *plain = iw_project_name(name),
                         *conditions = sorted_conditions(at ? at : "");
    for (size_t i = 0; i < all->count + all->constraint_count; i++) {
        const iw_want *one = i < all->count ? &all->items[i] : &all->constraints[i - all->count];
        iw_cleanup_free char *own = sorted_conditions(one->conditions);
        if (strcmp(one->name, plain) != 0 || strcmp(own, conditions) != 0) continue;
        iw_cleanup_free char *place = iw_origin_text(&one->origin);
        return iw_format("%s (%s)", asked, place);
    }
    return iw_strdup(asked);
}

/* The two that clash, the user's with their lines. Caller frees; NULL: pip tells of none. */
static char *clash_of(const iw_resolver *r, const char *said)
{
    iw_pip_side sides[2];
    char *told = NULL;
    for (size_t i = 0, count = iw_pip_clash(said, sides); i < count; i++) {
        iw_cleanup_free char *text = sides[i].text, *before = told,
                             *side = sides[i].asked ? with_origin(r, text) : iw_strdup(text);
        told = before ? iw_format("%s, and %s", before, side) : iw_strdup(side);
    }
    return told;
}

static char *last_line(const char *said)
{
    iw_slice best = iw_slice_last_line(iw_slice_of(said));
    iw_cleanup_free char *text = iw_strndup(best.data, best.length < 300 ? best.length : 300);
    return iw_triage_tame(text);
}

/* --- its report ----------------------------------------------------------- */

static char *file_of(const char *url)
{
    iw_cleanup_free char *plain = iw_strndup(url, strcspn(url, "?#"));
    iw_buffer out = {0};
    for (const char *at = iw_path_base(plain); *at; at++) {
        unsigned code;
        int used = 0;
        bool escaped = sscanf(at, "%%%2x%n", &code, &used) == 1 && used == 3;
        iw_buffer_add_char(&out, escaped ? (char)code : *at);
        if (escaped) at += 2;
    }
    return iw_buffer_take(&out);
}

static void take_needs(const json_t *metadata, iw_strings *names)
{
    const json_t *list = json_object_get(metadata, "requires_dist"), *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(one);
        if (!text) continue;
        iw_cleanup_free char *name = iw_strndup(text, strcspn(text, " <>=!~;[(")),
                             *plain = iw_project_name(name);
        if (!iw_strings_has(names, plain)) iw_strings_add(names, plain);
    }
    iw_strings_sort(names);
}

static int take_dist(const json_t *item, iw_resolution *out, iw_error *err)
{
    const json_t *metadata = json_object_get(item, "metadata"),
                 *download = json_object_get(item, "download_info"),
                 *hashes = json_object_get(json_object_get(download, "archive_info"), "hashes");
    const char *name = iw_json_get(metadata, "name"), *version = iw_json_get(metadata, "version"),
               *url = iw_json_get(download, "url"), *sha256 = iw_json_get(hashes, "sha256"),
               *summary = iw_json_get(metadata, "summary");
    if (!name || !version || !url) return iw_pip_strange_report(err);
    iw_grow((void **)&out->items, &out->capacity, out->count + 1, sizeof *out->items);
    iw_dist *dist = &out->items[out->count++];
    *dist = (iw_dist){.name = iw_project_name(name),
                      .version = iw_strdup(version),
                      .url = iw_strdup(url),
                      .file = file_of(url),
                      .sha256 = sha256 ? iw_strdup(sha256) : NULL,
                      .summary = iw_strdup(summary ? summary : ""),
                      .stub = iw_starts_with(url, "file://")};
    take_needs(metadata, &dist->needs);
    dist->pure = iw_ends_with(dist->file, "-none-any.whl");
    return dist->stub || sha256
               ? 0
               : iw_fail(err, IW_E_FORMAT, "the index tells no SHA-256 of %s", dist->file);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const iw_dist *)a)->name, ((const iw_dist *)b)->name);
}

static int read_report(const char *path, iw_resolution *out, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(path, TEXT_LIMIT, &text, &(size_t){0}, err) != 0) return -1;
    json_t *report = json_loads(text, 0, NULL), *item;
    size_t i;
    int status = report ? 0 : iw_pip_strange_report(err);
    json_array_foreach(json_object_get(report, "install"), i, item) if (status == 0) status =
        take_dist(item, out, err);
    json_decref(report);
    if (out->count) qsort(out->items, out->count, sizeof *out->items, by_name);
    return status;
}

/* --- the whole ------------------------------------------------------------ */

static int explain(const iw_resolver *r, const char *said, iw_unresolved *how, char **what,
                   iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(said, TEXT_LIMIT, &text, &(size_t){0}, err) != 0) return -1;
    *how = IW_UNRESOLVED_CLASH;
    *what = clash_of(r, text);
    if (*what) return 0;
    *how = IW_UNRESOLVED_MISSING;
    *what = iw_pip_missing(text);
    if (*what) return 0;
    iw_cleanup_free char *line = last_line(text);
    return iw_fail(err, IW_E_ENVIRONMENT, "pip can't resolve them: %s", line);
}

int iw_resolve(const iw_resolver *r, const iw_strings *pins, iw_resolution *out, iw_unresolved *how,
               char **what, iw_error *err)
{
    const iw_requirements *all = r->requirements;
    iw_cleanup_free char *wanted = iw_path_join(r->folder, "requirements.txt"),
                         *limits = iw_path_join(r->folder, "constraints.txt"),
                         *report = iw_path_join(r->folder, "report.json"),
                         *said = iw_path_join(r->folder, "pip.said");
    int status = 0;
    *how = IW_RESOLVED;
    *what = NULL;
    if (write_lines(wanted, all->items, all->count, &all->options, NULL, err) != 0 ||
        write_lines(limits, all->constraints, all->constraint_count, NULL, pins, err) != 0 ||
        ask_pip(r, wanted, limits, report, said, &status, err) != 0)
        return -1;
    if (status != 0) return explain(r, said, how, what, err);
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(said, TEXT_LIMIT, &text, &(size_t){0}, err) != 0) return -1;
    iw_pip_warnings(text, &out->warnings);
    return read_report(report, out, err);
}
