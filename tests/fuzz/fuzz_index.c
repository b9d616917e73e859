/* Fuzz target: what a package index answers. Pages of projects, JSON or HTML, as `fetch` reads them
 * of any index; and an index's pages of our own kind, of which `push` takes over what others put
 * there. Whatever the bytes are: an error or files with a name and an address; and what is taken
 * over reads the same from the HTML page that is written of it. The first byte chooses. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/where.h"
#include "share/simple.h"

#define BASE "https://index.example/simple/k10/numpy/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void try_page(const char *text, const char *type)
{
    iw_release_files files;
    (void)!iw_pypi_page_files(text, type, BASE, &files, NULL);
    for (size_t i = 0; i < files.count; i++) {
        const iw_release_file *one = &files.items[i];
        require(one->name && one->url && strstr(one->url, "://") && !strchr(one->url, '#'));
        require(!one->sha256 || iw_is_sha256(one->sha256));
        require(one->uploaded >= -1 && one->size <= INT64_MAX);
    }
    iw_release_files_free(&files);
}

/* Each file that was let in, as the HTML page that is made of it tells of it. */
static void same_as_html(const json_t *list)
{
    iw_cleanup_free char *html = iw_simple_html("numpy", list);
    iw_release_files files;
    const json_t *one;
    size_t i;
    require(iw_pypi_page_files(html, "text/html", BASE, &files, NULL) == 0);
    require(files.count == json_array_size(list));
    json_array_foreach(list, i, one)
    {
        const iw_release_file *read = &files.items[i];
        const char *sha256 = iw_json_get(json_object_get(one, "hashes"), "sha256");
        require(same(read->name, iw_json_get(one, "filename")) && same(read->sha256, sha256));
        require(iw_is_plain_name(read->name));
        require(same(read->requires_python, iw_json_get(one, "requires-python")));
        require(same(read->yanked, iw_json_get(one, "yanked")));
        require(iw_starts_with(read->url, "https://") || iw_starts_with(read->url, "http://"));
    }
    iw_release_files_free(&files);
}

static void try_ours(const char *text, size_t length)
{
    size_t bad, worse;
    json_t *list = iw_simple_admit(text, length, "numpy", &bad), *again;
    same_as_html(list);
    json_t *page = json_pack("{s:O}", "files", list);
    iw_cleanup_free char *written = json_dumps(page, JSON_SORT_KEYS);
    again = iw_simple_admit(written, strlen(written), "numpy", &worse);
    require(worse == 0 && json_equal(again, list));
    json_decref(again), json_decref(page), json_decref(list);
}

static void try_projects(const char *text, size_t length)
{
    iw_cleanup_strings iw_strings names = {0};
    iw_simple_projects(text, length, &names);
    for (size_t i = 0; i < names.count; i++)
        require(iw_is_plain_name(names.items[i]) && !strpbrk(names.items[i], "<>&\"'/"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    const char *text = (const char *)data + 1;
    iw_cleanup_free char *copy = iw_strndup(text, size - 1);
    switch (data[0] % 4) {
    case 0: try_page(copy, "application/vnd.pypi.simple.v1+json"); break;
    case 1: try_page(copy, "text/html"); break;
    case 2: try_ours(text, size - 1); break;
    default: try_projects(text, size - 1);
    }
    return 0;
}
