#include "share/oci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "share/canon.h"

#define TAG_LENGTH 128u
#define NAME_LENGTH 255u
#define SAID_LENGTH 300u

/* --- addresses ------------------------------------------------------------ */

static bool is_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+ with single . or _, __, or any number of - between: the specification's. */
static bool is_component(iw_slice part)
{
    size_t i = 0;
    if (!part.length || !is_lower(part.data[0]) || !is_lower(part.data[part.length - 1]))
        return false;
    while (i < part.length) {
        size_t from = i;
        if (is_lower(part.data[i])) {
            i++;
            continue;
        }
        while (i < part.length && part.data[i] == part.data[from]) i++;
        size_t run = i - from;
        bool fine = part.data[from] == '-' || (part.data[from] == '_' && run <= 2) ||
                    (part.data[from] == '.' && run == 1);
        if (!fine || !is_lower(part.data[i])) return false;
    }
    return true;
}

static bool is_repository(const char *name)
{
    iw_slice rest = iw_slice_of(name), part;
    size_t length = strlen(name);
    if (!length || length > NAME_LENGTH || name[length - 1] == '/') return false;
    while (iw_slice_next(&rest, '/', &part))
        if (!is_component(part)) return false;
    return true;
}

static bool is_host(const char *host)
{
    bool bracket = host[0] == '[';
    const char *end = bracket ? strchr(host, ']') : host + strcspn(host, ":");
    if (!end || end == host) return false;
    for (const char *c = host + bracket; c < end; c++)
        if (!is_lower(*c) && !(*c >= 'A' && *c <= 'Z') && !strchr(bracket ? ":." : ".-_", *c))
            return false;
    uint64_t port;
    end += bracket;
    return !*end || (*end == ':' && iw_parse_unsigned(end + 1, 65535, &port) && port);
}

int iw_oci_address(const char *text, char **host, char **name, iw_error *err)
{
    const char *slash = strchr(text, '/');
    *host = slash ? iw_strndup(text, (size_t)(slash - text)) : iw_strdup(text);
    *name = slash ? iw_strdup(slash + 1) : iw_strdup("");
    size_t length = strlen(*name);
    while (length && (*name)[length - 1] == '/') (*name)[--length] = 0;
    bool fine = is_host(*host) && is_repository(*name);
    if (fine) return 0;
    const char *why = strchr(*host, '@') ? "names and passwords don't belong into an address: "
                                           "`skopeo login` or `docker login` keeps them"
                      : is_host(*host)   ? "a repository's name is of small letters, digits and "
                                           ". _ - /, without a tag"
                                         : "that is no host with a port";
    free(*host), free(*name);
    *host = *name = NULL;
    return iw_fail(err, IW_E_USAGE, "an address is oci://registry[:port]/name: %s", why);
}

bool iw_oci_is_loopback(const char *host)
{
    size_t length = strcspn(host, ":");
    iw_cleanup_free char *name = iw_strndup(host, length);
    if (iw_starts_with(host, "[::1]")) return host[5] == 0 || host[5] == ':';
    unsigned a, b, c, d;
    char after;
    return strcmp(name, "localhost") == 0 ||
           (sscanf(name, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &after) == 4 && a == 127);
}

char *iw_oci_tag(const char *name)
{
    char *tag = iw_strdup(name);
    if (strlen(tag) > TAG_LENGTH) tag[TAG_LENGTH] = 0;
    for (char *c = tag; *c; c++)
        if (!is_lower(*c) && !(*c >= 'A' && *c <= 'Z') && !strchr("._-", *c)) *c = '_';
    return tag;
}

char *iw_oci_document_tag(const char *path, bool *signature)
{
    iw_cleanup_free char *stem = iw_strdup(path);
    size_t length = strlen(stem);
    uint64_t version;
    *signature = iw_ends_with(stem, ".minisig");
    if (*signature) stem[length -= strlen(".minisig")] = 0;
    if (!iw_ends_with(stem, ".json")) return NULL;
    stem[length - strlen(".json")] = 0;
    if (strcmp(stem, "keys") == 0) return iw_strdup("keys");
    if (iw_starts_with(stem, "keys/") && iw_parse_unsigned(stem + 5, IW_CANON_NUMBER, &version))
        return iw_format("keys-%s", stem + 5);
    if (iw_starts_with(stem, "channels/") && iw_is_plain_name(stem + 9) && strlen(stem) < 100)
        return iw_format("channel-%s", stem + 9);
    return NULL;
}

const char *iw_oci_blob_of(const char *path)
{
    static const char folder[] = "blobs/sha256/";
    return iw_starts_with(path, folder) && iw_is_sha256(path + strlen(folder))
               ? path + strlen(folder)
               : NULL;
}

/* --- manifests ------------------------------------------------------------ */

static bool read_descriptor(const json_t *one, char sha256[IW_SHA256_HEX], uint64_t *size)
{
    const char *digest = iw_json_get(one, "digest");
    json_t *number = json_object_get(one, "size");
    if (!digest || !iw_starts_with(digest, "sha256:") || !iw_is_sha256(digest + 7) ||
        !json_is_integer(number) || json_integer_value(number) < 0)
        return false;
    if (sha256) snprintf(sha256, IW_SHA256_HEX, "%s", digest + 7);
    if (size) *size = (uint64_t)json_integer_value(number);
    return true;
}

/* An object with an array of descriptors under `key`. */
static int read_list(const char *text, size_t length, const char *key, const char *what,
                     const char *where, json_t **out, iw_error *err)
{
    json_t *one, *list;
    size_t i;
    *out = NULL;
    if (length > IW_OCI_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s: this %s is larger than 4 MiB; it isn't read", where,
                       what);
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    list = json_object_get(root, key);
    bool fine =
        json_is_array(list) && json_integer_value(json_object_get(root, "schemaVersion")) == 2;
    json_array_foreach(list, i, one) fine = fine && read_descriptor(one, NULL, NULL);
    if (fine) {
        *out = root;
        return 0;
    }
    json_decref(root);
    return iw_fail(err, IW_E_FORMAT, "%s is no %s of OCI's kind", where, what);
}

int iw_oci_manifest_read(const char *text, size_t length, const char *where, json_t **out,
                         iw_error *err)
{
    return read_list(text, length, "layers", "manifest", where, out, err);
}

const char *iw_oci_annotation(const json_t *manifest, const char *key)
{
    return iw_json_get(json_object_get(manifest, "annotations"), key);
}

bool iw_oci_layer(const json_t *manifest, const char *ending, bool without,
                  char sha256[IW_SHA256_HEX], uint64_t *size)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(manifest, "layers"), i, one)
    {
        const char *title = iw_oci_annotation(one, IW_OCI_TITLE);
        if (title && iw_ends_with(title, ending) != without)
            return read_descriptor(one, sha256, size);
    }
    return false;
}

json_t *iw_oci_descriptor(const char *media, const char *sha256, uint64_t size, const char *title,
                          const char *type)
{
    iw_cleanup_free char *digest = iw_format("sha256:%s", sha256);
    json_t *object =
        json_pack("{s:s,s:s,s:I}", "mediaType", media, "digest", digest, "size", (json_int_t)size);
    if (title) json_object_set_new(object, "annotations", json_pack("{s:s}", IW_OCI_TITLE, title));
    if (type) json_object_set_new(object, "artifactType", json_string(type));
    return object;
}

int iw_oci_index_read(const char *text, size_t length, const char *where, json_t **out,
                      iw_error *err)
{
    return read_list(text, length, "manifests", "index", where, out, err);
}

bool iw_oci_index_has(const json_t *index, const char *sha256)
{
    size_t i;
    json_t *one;
    char found[IW_SHA256_HEX];
    json_array_foreach(json_object_get(index, "manifests"), i, one)
    {
        if (read_descriptor(one, found, NULL) && strcmp(found, sha256) == 0) return true;
    }
    return false;
}

/* --- headers -------------------------------------------------------------- */

bool iw_oci_range_end(const char *text, uint64_t *there)
{
    if (iw_starts_with(text, "bytes=")) text += 6;
    if (!iw_starts_with(text, "0-")) return false;
    if (!iw_parse_unsigned(text + 2, INT64_MAX - 1, there)) return false;
    ++*there;
    return true;
}

static void add_tame(iw_buffer *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c && out->length < SAID_LENGTH; c++)
        iw_buffer_add_char(out, *c < 0x20 || *c >= 0x7f ? '?' : (char)*c);
}

char *iw_oci_error_text(const char *text, size_t length)
{
    json_t *root = json_loadb(text, length, 0, NULL),
           *first = json_array_get(json_object_get(root, "errors"), 0);
    const char *code = iw_json_get(first, "code"), *message = iw_json_get(first, "message");
    iw_buffer out = {0};
    if (code) add_tame(&out, code);
    if (code && message) iw_buffer_add_text(&out, ": ");
    if (message) add_tame(&out, message);
    json_decref(root);
    return out.length ? iw_buffer_take(&out) : NULL;
}
