/* The simple repository API: JSON (PEP 691) where the index has it, else HTML (PEP 503). */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "fetch/where.h"

#define PAGE_LIMIT (64u << 20)
#define TAG_LIMIT 8192 /* bytes of one <a …>, and of its text */

struct page {
    char *index, *project, *text, *type, *base; /* text NULL: the index doesn't have it */
};

struct iw_pypi_pages {
    struct page *items;
    size_t count, capacity;
};

iw_pypi_pages *iw_pypi_pages_new(void)
{
    return iw_alloc(sizeof(iw_pypi_pages));
}

void iw_pypi_pages_free(iw_pypi_pages *pages)
{
    if (!pages) return;
    for (size_t i = 0; i < pages->count; i++) {
        struct page *page = &pages->items[i];
        free(page->index), free(page->project), free(page->text), free(page->type),
            free(page->base);
    }
    free(pages->items);
    free(pages);
}

/* --- addresses ------------------------------------------------------------ */

/* Joins a reference of the page to the page's address (RFC 3986, without `..`). */
static char *resolve(const char *base, const char *reference)
{
    if (iw_starts_with(reference, "http://") || iw_starts_with(reference, "https://"))
        return iw_strdup(reference);
    size_t name = strcspn(reference, ":/?");
    const char *host = strstr(base, "://");
    if (!host || reference[name] == ':') return NULL; /* another scheme */
    if (iw_starts_with(reference, "//"))
        return iw_format("%.*s:%s", (int)(host - base), base, reference);
    const char *path = strchr(host + 3, '/');
    size_t root = path ? (size_t)(path - base) : strlen(base);
    if (reference[0] == '/') return iw_format("%.*s%s", (int)root, base, reference);
    size_t folder = strcspn(base, "?#");
    while (folder > root && base[folder - 1] != '/') folder--;
    while (iw_starts_with(reference, "../")) {
        reference += 3;
        if (folder > root + 1) folder--;
        while (folder > root && base[folder - 1] != '/') folder--;
    }
    return iw_format("%.*s%s%s", (int)folder, base, folder == root && !path ? "/" : "", reference);
}

static void add_reference(iw_strings *urls, const char *base, const char *reference)
{
    iw_cleanup_free char *plain = iw_strndup(reference, strcspn(reference, "#"));
    iw_cleanup_free char *url = resolve(base, plain);
    if (url) iw_strings_add(urls, url);
}

/* --- pages ---------------------------------------------------------------- */

/* What is told of one file; `name` is the file's, `reference` its address as written. */
typedef void (*on_file)(void *context, const struct page *page, const iw_release_file *file,
                        const char *reference);

/* Seconds since 1970 of "2024-02-05T23:48:01.5Z" (PEP 700: always UTC); -1 where it isn't such a
 * time. */
static int64_t time_of(const char *text)
{
    int year, month, day, hour, minute, second, end = 0;
    if (!text || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute,
                        &second, &end) != 6)
        return -1;
    if (text[end] == '.') end += 1 + (int)strspn(text + end + 1, "0123456789");
    if (strcmp(text + end, "Z") != 0 || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return -1;
    struct tm when = {.tm_year = year - 1900,
                      .tm_mon = month - 1,
                      .tm_mday = day,
                      .tm_hour = hour,
                      .tm_min = minute,
                      .tm_sec = second};
    return (int64_t)timegm(&when);
}

/* true, or the digests of it (PEP 714). */
static bool tells_metadata(const json_t *entry, const char *key)
{
    json_t *value = json_object_get(entry, key);
    return json_is_true(value) || json_is_object(value);
}

static void json_file(const struct page *page, json_t *entry, on_file visit, void *context)
{
    const char *name = iw_json_get(entry, "filename"), *url = iw_json_get(entry, "url"),
               *sha256 = iw_json_get(json_object_get(entry, "hashes"), "sha256");
    json_t *yanked = json_object_get(entry, "yanked");
    json_int_t size = json_integer_value(json_object_get(entry, "size"));
    iw_release_file file = {.name = (char *)name,
                            .sha256 = sha256 && iw_is_sha256(sha256) ? (char *)sha256 : NULL,
                            .requires_python = (char *)iw_json_get(entry, "requires-python"),
                            .yanked = json_is_string(yanked) ? (char *)json_string_value(yanked)
                                      : json_is_true(yanked) ? (char *)""
                                                             : NULL,
                            .uploaded = time_of(iw_json_get(entry, "upload-time")),
                            .size = size > 0 ? (uint64_t)size : 0,
                            .metadata = tells_metadata(entry, "core-metadata") ||
                                        tells_metadata(entry, "data-dist-info-metadata")};
    if (name && url) visit(context, page, &file, url);
}

static int each_in_json(const struct page *page, on_file visit, void *context, iw_error *err)
{
    json_error_t why;
    json_t *root = json_loads(page->text, 0, &why);
    iw_cleanup_free char *shown = iw_transfer_shown(page->base);
    if (!root) return iw_fail(err, IW_E_FORMAT, "%s: no JSON: %s", shown, why.text);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "files"), i, entry)
        json_file(page, entry, visit, context);
    json_decref(root);
    return 0;
}

/* &amp; and the like, in place. */
static void unescape(char *text)
{
    static const char *const names[][2] = {{"&amp;", "&"},   {"&lt;", "<"},  {"&gt;", ">"},
                                           {"&quot;", "\""}, {"&#39;", "'"}, {"&#43;", "+"}};
    char *out = text;
    while (*text) {
        size_t i = 0, n = sizeof names / sizeof *names;
        while (i < n && strncmp(text, names[i][0], strlen(names[i][0])) != 0) i++;
        *out++ = i < n ? names[i][1][0] : *text;
        text += i < n ? strlen(names[i][0]) : 1;
    }
    *out = 0;
}

/* The value of an attribute in what stands between "<a" and ">", unescaped, "" where it has none;
 * NULL where there is no such attribute. Caller frees. */
static char *attribute(iw_slice tag, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 1; i + length <= tag.length; i++) {
        if (!isspace((unsigned char)tag.data[i - 1]) ||
            strncasecmp(tag.data + i, name, length) != 0)
            continue;
        size_t at = i + length;
        if (at < tag.length && (isalnum((unsigned char)tag.data[at]) || tag.data[at] == '-'))
            continue;
        while (at < tag.length && isspace((unsigned char)tag.data[at])) at++;
        if (at >= tag.length || tag.data[at] != '=') return iw_strdup("");
        at++;
        while (at < tag.length && isspace((unsigned char)tag.data[at])) at++;
        if (at >= tag.length || (tag.data[at] != '"' && tag.data[at] != '\'')) continue;
        const char *from = tag.data + at + 1,
                   *end = memchr(from, tag.data[at], tag.length - at - 1);
        if (!end) continue;
        char *value = iw_strndup(from, (size_t)(end - from));
        unescape(value);
        return value;
    }
    return NULL;
}

/* "<a" `tag` ">" `inside` "<": the digest is the address's fragment (PEP 503). */
static void html_file(const struct page *page, iw_slice tag, iw_slice inside, on_file visit,
                      void *context)
{
    iw_cleanup_free char *reference = attribute(tag, "href");
    if (!reference || !*reference) return;
    iw_cleanup_free char *name = iw_strndup(inside.data, inside.length),
                         *python = attribute(tag, "data-requires-python"),
                         *yanked = attribute(tag, "data-yanked"), *sha256 = NULL;
    const char *mark = strstr(reference, "#sha256=");
    if (mark) sha256 = iw_strndup(mark + 8, strcspn(mark + 8, "&"));
    unescape(name);
    iw_release_file file = {.name = name,
                            .sha256 = sha256 && iw_is_sha256(sha256) ? sha256 : NULL,
                            .requires_python = python,
                            .yanked = yanked,
                            .uploaded = -1};
    visit(context, page, &file, reference);
}

/* Every <a href="…">text</a>: the text is the file's name (PEP 503). A hostile page costs no more
 * than its length: a tag is at most TAG_LIMIT long. */
static void each_in_html(const struct page *page, on_file visit, void *context)
{
    for (const char *at = page->text; (at = strchr(at, '<')); at++) {
        if ((at[1] != 'a' && at[1] != 'A') || !isspace((unsigned char)at[2])) continue;
        size_t room = strnlen(at, TAG_LIMIT);
        const char *close = memchr(at, '>', room);
        if (!close) {
            at += room - 1;
            continue;
        }
        const char *text = close + 1, *end = memchr(text, '<', strnlen(text, TAG_LIMIT));
        iw_slice tag = {at + 2, (size_t)(close - at - 2)},
                 inside = end ? iw_slice_trim((iw_slice){text, (size_t)(end - text)})
                              : (iw_slice){NULL, 0};
        at = close;
        if (inside.length) html_file(page, tag, inside, visit, context);
    }
}

static int each_file(const struct page *page, on_file visit, void *context, iw_error *err)
{
    if (strstr(page->type, "json")) return each_in_json(page, visit, context, err);
    each_in_html(page, visit, context);
    return 0;
}

static int get_page(iw_pypi_pages *pages, const char *index, const char *project,
                    const iw_transfer_options *options, const struct page **out, iw_error *err)
{
    for (size_t i = 0; i < pages->count; i++)
        if (strcmp(pages->items[i].index, index) == 0 &&
            strcmp(pages->items[i].project, project) == 0) {
            *out = &pages->items[i];
            return 0;
        }
    iw_cleanup_free char *url = iw_format("%s/%s/", index, project);
    struct page page = {0};
    iw_error why = IW_ERROR_INIT;
    if (iw_transfer_page(url, "application/vnd.pypi.simple.v1+json, text/html;q=0.5", PAGE_LIMIT,
                         options, &page.text, NULL, &page.type, &page.base, &why) != 0) {
        if (why.kind != IW_E_NOT_FOUND) {
            iw_error_move(err, &why);
            return -1;
        }
        iw_error_clear(&why);
    }
    page.index = iw_strdup(index);
    page.project = iw_strdup(project);
    iw_grow((void **)&pages->items, &pages->capacity, pages->count + 1, sizeof *pages->items);
    pages->items[pages->count] = page;
    *out = &pages->items[pages->count++];
    return 0;
}

/* --- the addresses of one file -------------------------------------------- */

struct sought {
    const char *file;
    iw_strings *urls;
};

static void add_sought(void *context, const struct page *page, const iw_release_file *file,
                       const char *reference)
{
    struct sought *sought = context;
    if (strcmp(file->name, sought->file) == 0) add_reference(sought->urls, page->base, reference);
}

static int find_on_index(iw_pypi_pages *pages, const char *index, const char *project,
                         const char *file, const iw_transfer_options *options, iw_strings *urls,
                         bool *known, iw_error *err)
{
    const struct page *page;
    struct sought sought = {file, urls};
    if (get_page(pages, index, project, options, &page, err) != 0) return -1;
    if (!page->text) return 0;
    *known = true;
    return each_file(page, add_sought, &sought, err);
}

/* An index that fails is no reason to give up while another one has the file: the digest says
 * whether it is the right one. */
int iw_pypi_find(iw_pypi_pages *pages, const iw_strings *indexes, const iw_source *source,
                 const iw_transfer_options *options, iw_strings *urls, iw_error *err)
{
    iw_cleanup_free char *project = iw_project_name(source->name);
    iw_error first = IW_ERROR_INIT;
    bool known = false;
    size_t before = urls->count;
    for (size_t i = 0; i < indexes->count && first.kind != IW_E_CANCELLED; i++) {
        iw_error why = IW_ERROR_INIT;
        if (find_on_index(pages, indexes->items[i], project, source->file, options, urls, &known,
                          &why) != 0 &&
            (first.kind == IW_E_NONE || why.kind == IW_E_CANCELLED))
            iw_error_move(&first, &why);
        iw_error_clear(&why);
    }
    bool failed =
        first.kind == IW_E_CANCELLED || (first.kind != IW_E_NONE && urls->count == before);
    if (failed) iw_error_move(err, &first);
    iw_error_clear(&first);
    if (failed) return -1;
    if (urls->count > before) return 0;
    iw_cleanup_free char *shown = iw_transfer_shown(indexes->items[0]);
    return iw_fail(err, IW_E_NOT_FOUND,
                   known ? "%s: the package index has no file %s of project %s"
                         : "%s: the package index has no such project (%s of %s)",
                   source->place.file ? source->place.file : "source",
                   known ? source->file : source->name, known ? project : shown);
}

/* --- all files of a project ----------------------------------------------- */

void iw_release_files_free(iw_release_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        iw_release_file *file = &files->items[i];
        free(file->name), free(file->url), free(file->sha256), free(file->requires_python),
            free(file->yanked);
    }
    free(files->items);
    *files = (iw_release_files){0};
}

/* What was found, and a set of its names: a page may have millions. */
struct found {
    iw_release_files *files;
    json_t *names;
};

/* Of a file that several indexes have, what the first one says. */
static void add_file(void *context, const struct page *page, const iw_release_file *file,
                     const char *reference)
{
    struct found *found = context;
    iw_release_files *files = found->files;
    if (json_object_get(found->names, file->name)) return;
    iw_cleanup_free char *plain = iw_strndup(reference, strcspn(reference, "#"));
    iw_cleanup_free char *url = resolve(page->base, plain);
    /* A name that is no UTF-8 is no file's. */
    if (!url || json_object_set_new(found->names, file->name, json_true()) != 0) return;
    iw_grow((void **)&files->items, &files->capacity, files->count + 1, sizeof *files->items);
    files->items[files->count++] =
        (iw_release_file){.name = iw_strdup(file->name),
                          .url = iw_steal(&url),
                          .sha256 = iw_strdup(file->sha256),
                          .requires_python = iw_strdup(file->requires_python),
                          .yanked = iw_strdup(file->yanked),
                          .uploaded = file->uploaded,
                          .size = file->size,
                          .metadata = file->metadata};
}

static int add_project(iw_pypi_pages *pages, const char *index, const char *project,
                       const iw_transfer_options *options, struct found *found, bool *known,
                       iw_error *err)
{
    const struct page *page;
    if (get_page(pages, index, project, options, &page, err) != 0) return -1;
    if (!page->text) return 0;
    *known = true;
    return each_file(page, add_file, found, err);
}

int iw_pypi_page_files(const char *text, const char *type, const char *base, iw_release_files *out,
                       iw_error *err)
{
    const struct page page = {.text = (char *)text, .type = (char *)type, .base = (char *)base};
    struct found found = {out, json_object()};
    *out = (iw_release_files){0};
    int status = each_file(&page, add_file, &found, err);
    json_decref(found.names);
    return status;
}

/* All indexes must answer: with one of them silent, an older version could pass for the newest. */
static int each_index(iw_pypi_pages *pages, const iw_strings *indexes, const char *project,
                      const iw_transfer_options *options, iw_release_files *out, iw_error *err)
{
    iw_cleanup_free char *name = iw_project_name(project);
    bool known = false;
    struct found found = {out, json_object()};
    int status = 0;
    for (size_t i = 0; i < indexes->count && status == 0; i++)
        status = add_project(pages, indexes->items[i], name, options, &found, &known, err);
    json_decref(found.names);
    if (status != 0) return -1;
    iw_cleanup_free char *shown = iw_transfer_shown(indexes->items[0]);
    return known ? 0
                 : iw_fail(err, IW_E_NOT_FOUND, "the package index has no project %s (%s)", name,
                           shown);
}

static iw_transfer_options transfer_of(const iw_fetch_options *options, const char *certificates)
{
    return (iw_transfer_options){.cancel = options->cancel,
                                 .certificates = certificates,
                                 .sink = options->sink,
                                 .backoff = options->backoff,
                                 .stall = options->stall};
}

int iw_fetch_text(const char *url, size_t limit, const iw_fetch_options *options, char **out,
                  size_t *length, iw_error *err)
{
    iw_cleanup_free char *certificates = iw_pypi_certificates(), *shown = iw_transfer_shown(url);
    iw_transfer_options transfer = transfer_of(options, certificates);
    size_t ignored;
    if (options->offline)
        return iw_fail(err, IW_E_NETWORK, "%s must be asked, and --offline forbids it", shown);
    return iw_transfer_page(url, NULL, limit, &transfer, out, length ? length : &ignored, NULL,
                            NULL, err);
}

int iw_fetch_project(const char *project, const iw_fetch_options *options, iw_release_files *out,
                     iw_error *err)
{
    iw_cleanup_strings iw_strings indexes = {0};
    *out = (iw_release_files){0};
    if (options->offline)
        return iw_fail(err, IW_E_NETWORK,
                       "the package index must be asked for %s, and --offline forbids it", project);
    if (iw_pypi_indexes(options, &indexes, err) != 0) return -1;
    iw_cleanup_free char *certificates = iw_pypi_certificates();
    iw_transfer_options transfer = transfer_of(options, certificates);
    iw_pypi_pages *pages = iw_pypi_pages_new();
    int status = each_index(pages, &indexes, project, &transfer, out, err);
    iw_pypi_pages_free(pages);
    if (status != 0) iw_release_files_free(out);
    return status;
}
