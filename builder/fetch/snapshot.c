#include "fetch/snapshot.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define ANSWER_LIMIT (8u << 20)
#define HASH_LIMIT 500 /* files of one package's version, every architecture counted */
#define SHA1_LENGTH 40

/* --- the address ---------------------------------------------------------- */

int iw_snapshot_root(const iw_fetch_options *options, char **root, iw_error *err)
{
    const char *given = options->debian_snapshot, *from = "--debian-snapshot";
    *root = NULL;
    if (!given) given = getenv("IRONWHEEL_DEBIAN_SNAPSHOT"), from = "IRONWHEEL_DEBIAN_SNAPSHOT";
    if (!given || !*given) return 0;
    const char *host = strstr(given, "://"), *archive = host ? strstr(host + 3, "/archive") : NULL;
    if (!host || (!iw_starts_with(given, "http://") && !iw_starts_with(given, "https://")))
        return iw_fail(err, IW_E_USAGE,
                       "%s: \"%s\" is no http(s) address; give the snapshot archive's, without "
                       "what follows the host",
                       from, given);
    size_t length = archive ? (size_t)(archive - given) : strlen(given);
    while (length && given[length - 1] == '/') length--;
    *root = iw_strndup(given, length);
    return 0;
}

static void add_by_time(const char *root, const char *archive, const char *pinned, const char *path,
                        iw_strings *urls)
{
    iw_strings_add_format(urls, "%s/archive/%s/%s/%s", root, archive, pinned, path);
}

void iw_snapshot_urls(const char *root, const iw_debian_file *file, iw_strings *urls)
{
    static const char security[] = "pool/updates/";
    if (!file->pinned) return;
    iw_cleanup_strings iw_strings paths = {0}, here = {0};
    iw_strings_add(&here, ".");
    iw_debian_urls(&here, file, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        const char *path = paths.items[i] + 2; /* behind "./" */
        add_by_time(root, iw_starts_with(path, security) ? "debian-security" : "debian",
                    file->pinned, path, urls);
    }
}

/* --- the look-up ---------------------------------------------------------- */

static char *escape(const char *text)
{
    iw_buffer out = {0};
    for (; *text; text++) {
        bool plain = isalnum((unsigned char)*text) || strchr("-._~", *text);
        if (plain) iw_buffer_add_char(&out, *text);
        else iw_buffer_add_format(&out, "%%%02X", (unsigned char)*text);
    }
    return iw_buffer_take(&out);
}

/* A binary package's name is what its file's name starts with: a recipe says its source's. */
static char *question(const char *root, const iw_debian_file *file)
{
    iw_cleanup_free char *version = escape(file->version), *name = NULL;
    if (!file->binary) {
        name = escape(file->package);
        return iw_format("%s/mr/package/%s/%s/srcfiles?fileinfo=1", root, name, version);
    }
    iw_cleanup_free char *binary = iw_strndup(file->file, strcspn(file->file, "_"));
    name = escape(binary);
    return iw_format("%s/mr/binary/%s/%s/binfiles?fileinfo=1", root, name, version);
}

static int ask(const char *url, const iw_transfer_options *options, json_t **answer, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *shown = iw_transfer_shown(url);
    json_error_t why;
    if (iw_transfer_page(url, "application/json", ANSWER_LIMIT, options, &text, NULL, NULL, NULL,
                         err) != 0)
        return -1;
    *answer = json_loads(text, 0, &why);
    if (*answer) return 0;
    return iw_fail(err, IW_E_FORMAT, "%s: no JSON: %s; is that address a snapshot archive's?",
                   shown, why.text);
}

static bool is_sha1(const char *text)
{
    return text && strlen(text) == SHA1_LENGTH && strspn(text, "0123456789abcdef") == SHA1_LENGTH;
}

static bool has_name(const json_t *places, const char *file)
{
    size_t i;
    json_t *place;
    json_array_foreach(places, i, place)
    {
        const char *name = json_string_value(json_object_get(place, "name"));
        if (name && strcmp(name, file) == 0) return true;
    }
    return false;
}

/* An answer may leave out what its hashes stand for: then each is asked about. */
static int is_file(const char *root, const json_t *answer, const char *hash, const char *file,
                   const iw_transfer_options *options, bool *is, iw_error *err)
{
    const json_t *places = json_object_get(json_object_get(answer, "fileinfo"), hash);
    json_t *info = NULL;
    if (!places) {
        iw_cleanup_free char *url = iw_format("%s/mr/file/%s/info", root, hash);
        if (ask(url, options, &info, err) != 0) return -1;
        places = json_object_get(info, "result");
    }
    *is = has_name(places, file);
    json_decref(info);
    return 0;
}

static int find_hashes(const char *root, const json_t *answer, const iw_debian_file *file,
                       const iw_transfer_options *options, iw_strings *urls, iw_error *err)
{
    const json_t *hashes = json_object_get(answer, "result");
    if (json_array_size(hashes) > HASH_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s lists more than %d files of %s %s", root, HASH_LIMIT,
                       file->package, file->version);
    for (size_t i = 0; i < json_array_size(hashes); i++) {
        const char *hash = json_string_value(json_object_get(json_array_get(hashes, i), "hash"));
        bool is = false;
        if (!is_sha1(hash)) continue;
        if (is_file(root, answer, hash, file->file, options, &is, err) != 0) return -1;
        iw_cleanup_free char *url = iw_format("%s/file/%s", root, hash);
        if (is && !iw_strings_has(urls, url)) iw_strings_add(urls, url);
    }
    return 0;
}

int iw_snapshot_find(const char *root, const iw_debian_file *file,
                     const iw_transfer_options *options, iw_strings *urls, iw_error *err)
{
    iw_cleanup_free char *url = question(root, file), *shown = iw_transfer_shown(root);
    size_t before = urls->count;
    json_t *answer = NULL;
    if (ask(url, options, &answer, err) != 0) return -1;
    int status = find_hashes(root, answer, file, options, urls, err);
    json_decref(answer);
    if (status != 0 || urls->count > before) return status;
    return iw_fail(err, IW_E_NOT_FOUND, "%s knows no file %s of %s %s", shown, file->file,
                   file->package, file->version);
}
