/* The simple repository API: JSON (PEP 691) where the index has it, else HTML (PEP 503). */
#include <ctype.h>
#include <jansson.h>
#include <string.h>

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

static int find_in_json(const struct page *page, const char *file, iw_strings *urls, iw_error *err)
{
    json_error_t why;
    json_t *root = json_loads(page->text, 0, &why);
    iw_cleanup_free char *shown = iw_transfer_shown(page->base);
    if (!root) return iw_fail(err, IW_E_FORMAT, "%s: no JSON: %s", shown, why.text);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "files"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "filename")),
                   *url = json_string_value(json_object_get(entry, "url"));
        if (name && url && strcmp(name, file) == 0) add_reference(urls, page->base, url);
    }
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

/* The value of `href` in what stands between "<a" and ">"; data NULL where there is none. */
static iw_slice find_href(iw_slice tag)
{
    for (size_t i = 1; i + 5 < tag.length; i++) {
        if (!isspace((unsigned char)tag.data[i - 1]) || strncasecmp(tag.data + i, "href", 4) != 0)
            continue;
        size_t at = i + 4;
        while (at < tag.length && isspace((unsigned char)tag.data[at])) at++;
        if (at >= tag.length || tag.data[at] != '=') continue;
        at++;
        while (at < tag.length && isspace((unsigned char)tag.data[at])) at++;
        if (at >= tag.length || (tag.data[at] != '"' && tag.data[at] != '\'')) continue;
        const char *from = tag.data + at + 1,
                   *end = memchr(from, tag.data[at], tag.length - at - 1);
        if (end) return (iw_slice){from, (size_t)(end - from)};
    }
    return (iw_slice){NULL, 0};
}

/* Every <a href="…">text</a> whose text is the file's name (PEP 503). A hostile page costs no more
 * than its length: a tag is at most TAG_LIMIT long. */
static void find_in_html(const struct page *page, const char *file, iw_strings *urls)
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
        iw_slice href = find_href((iw_slice){at + 2, (size_t)(close - at - 2)}),
                 inside = end ? iw_slice_trim((iw_slice){text, (size_t)(end - text)})
                              : (iw_slice){NULL, 0};
        at = close;
        if (!href.data || inside.length == 0) continue;
        iw_cleanup_free char *name = iw_strndup(inside.data, inside.length),
                             *reference = iw_strndup(href.data, href.length);
        unescape(name);
        unescape(reference);
        if (strcmp(name, file) == 0) add_reference(urls, page->base, reference);
    }
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

static int find_on_index(iw_pypi_pages *pages, const char *index, const char *project,
                         const char *file, const iw_transfer_options *options, iw_strings *urls,
                         bool *known, iw_error *err)
{
    const struct page *page;
    if (get_page(pages, index, project, options, &page, err) != 0) return -1;
    if (!page->text) return 0;
    *known = true;
    if (strstr(page->type, "json")) return find_in_json(page, file, urls, err);
    find_in_html(page, file, urls);
    return 0;
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
