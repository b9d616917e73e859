/* The simple repository API: JSON (PEP 691) where the index has it, else HTML (PEP 503). */
#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "base/memory.h"
#include "fetch/where.h"

#define PAGE_LIMIT (64u << 20)

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
        free(page->index), free(page->project), free(page->text), free(page->type), free(page->base);
    }
    free(pages->items);
    free(pages);
}

/* PEP 503: lower case, runs of - _ . become one -. */
static char *normalise(const char *project)
{
    iw_buffer out = {0};
    for (const char *c = project; *c; c++) {
        if (!strchr("-_.", *c))
            iw_buffer_add_char(&out, (char)tolower((unsigned char)*c));
        else if (!out.length || out.data[out.length - 1] != '-')
            iw_buffer_add_char(&out, '-');
    }
    return iw_buffer_take(&out);
}

/* --- addresses ------------------------------------------------------------------------------------------------------------------------ */

/* Joins a reference of the page to the page's address (RFC 3986, without `..`). */
static char *resolve(const char *base, const char *reference)
{
    if (iw_starts_with(reference, "http://") || iw_starts_with(reference, "https://")) return iw_strdup(reference);
    const char *host = strstr(base, "://");
    if (!host) return NULL;
    if (iw_starts_with(reference, "//")) return iw_format("%.*s:%s", (int)(host - base), base, reference);
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

/* --- pages ------------------------------------------------------------------------------------------------------------------------------ */

static int find_in_json(const struct page *page, const char *file, iw_strings *urls, iw_error *err)
{
    json_error_t why;
    json_t *root = json_loads(page->text, 0, &why);
    if (!root) return iw_fail(err, IW_E_FORMAT, "%s: no JSON: %s", page->base, why.text);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "files"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "filename")), *url = json_string_value(json_object_get(entry, "url"));
        if (name && url && strcmp(name, file) == 0) add_reference(urls, page->base, url);
    }
    json_decref(root);
    return 0;
}

/* &amp; and the like, in place. */
static void unescape(char *text)
{
    static const char *const names[][2] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&#43;", "+"}};
    char *out = text;
    while (*text) {
        size_t i = 0, n = sizeof names / sizeof *names;
        while (i < n && strncmp(text, names[i][0], strlen(names[i][0])) != 0) i++;
        *out++ = i < n ? names[i][1][0] : *text;
        text += i < n ? strlen(names[i][0]) : 1;
    }
    *out = 0;
}

/* Every <a href="…">text</a> whose text is the file's name. */
static void find_in_html(const struct page *page, const char *file, iw_strings *urls)
{
    for (const char *at = page->text; (at = strcasestr(at, "<a ")); at++) {
        const char *close = strchr(at, '>'), *href = strcasestr(at, "href=");
        const char *end = close ? strcasestr(close, "</a") : NULL;
        if (!end) return;
        if (!href || href > close || (href[5] != '"' && href[5] != '\'')) continue;
        const char *quote = strchr(href + 6, href[5]);
        if (!quote || quote > close) continue;
        iw_slice text = iw_slice_trim((iw_slice){close + 1, (size_t)(end - close - 1)});
        iw_cleanup_free char *name = iw_strndup(text.data, text.length);
        iw_cleanup_free char *reference = iw_strndup(href + 6, (size_t)(quote - href - 6));
        unescape(name);
        unescape(reference);
        if (strcmp(name, file) == 0) add_reference(urls, page->base, reference);
    }
}

static int get_page(iw_pypi_pages *pages, const char *index, const char *project, const iw_transfer_options *options, const struct page **out,
                    iw_error *err)
{
    for (size_t i = 0; i < pages->count; i++)
        if (strcmp(pages->items[i].index, index) == 0 && strcmp(pages->items[i].project, project) == 0) {
            *out = &pages->items[i];
            return 0;
        }
    iw_cleanup_free char *url = iw_format("%s/%s/", index, project);
    struct page page = {0};
    iw_error why = IW_ERROR_INIT;
    if (iw_transfer_page(url, "application/vnd.pypi.simple.v1+json, text/html;q=0.5", PAGE_LIMIT, options, &page.text, NULL, &page.type, &page.base,
                         &why) != 0) {
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

int iw_pypi_find(iw_pypi_pages *pages, const iw_strings *indexes, const iw_source *source, const iw_transfer_options *options,
                 iw_strings *urls, iw_error *err)
{
    iw_cleanup_free char *project = normalise(source->name);
    bool known = false;
    for (size_t i = 0; i < indexes->count; i++) {
        const struct page *page;
        if (get_page(pages, indexes->items[i], project, options, &page, err) != 0) return -1;
        if (!page->text) continue;
        known = true;
        if (strstr(page->type, "json")) {
            if (find_in_json(page, source->file, urls, err) != 0) return -1;
        } else {
            find_in_html(page, source->file, urls);
        }
    }
    if (urls->count) return 0;
    return iw_fail(err, IW_E_NOT_FOUND, known ? "%s: the package index has no file %s of project %s" : "%s: the package index has no such project (%s of %s)",
                   source->place.file ? source->place.file : "source", known ? source->file : source->name, known ? project : indexes->items[0]);
}
