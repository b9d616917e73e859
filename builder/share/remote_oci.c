/* oci://registry[:port]/name: a repository of a registry (OCI distribution specification 1.1, and
 * what Debian's registry, which is older, answers). It only carries bytes: what is taken is signed
 * by a channel, and a blob's digest is looked at like any other file's. oci.h has the names. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/channel.h"
#include "share/oci.h"
#include "share/registry.h"
#include "share/upload.h"

#define ACCEPT IW_OCI_MANIFEST ", " IW_OCI_INDEX

static int open_at(iw_remote *remote, const char *scheme, const char *where, bool plain,
                   iw_error *err)
{
    iw_registry *registry = remote->more = iw_alloc(sizeof *registry);
    if (iw_registry_open(registry, remote, where + strlen(scheme), plain, err) != 0) return -1;
    remote->where = iw_format("%s%s/%s", scheme, registry->host, registry->name);
    remote->base = iw_registry_url(registry, "blobs");
    return 0;
}

static int oci_open(iw_remote *remote, const char *where, iw_error *err)
{
    return open_at(remote, "oci://", where, false, err);
}

static int oci_open_plain(iw_remote *remote, const char *where, iw_error *err)
{
    return open_at(remote, "oci+http://", where, true, err);
}

static void oci_listen(iw_remote *remote)
{
    iw_registry *registry = remote->more;
    iw_http_listen(&registry->http, remote);
}

static void oci_close(iw_remote *remote)
{
    if (remote->more) iw_registry_close(remote->more);
    free(remote->more);
}

static char *blob_url(const iw_remote *remote, const char *sha256)
{
    return iw_format("%s/sha256:%s", remote->base, sha256);
}

static char *manifest_url(const iw_remote *remote, const char *reference)
{
    iw_cleanup_free char *path = iw_format("manifests/%s", reference);
    return iw_registry_url(remote->more, path);
}

static int no_place(const iw_remote *remote, const char *path, iw_error *err)
{
    return iw_fail(err, IW_E_USAGE,
                   "%s is a registry, which keeps bundles, packages and channels, but no plain "
                   "files such as %s: a folder, a web server or ssh does",
                   remote->where, path);
}

/* --- manifests ------------------------------------------------------------ */

/* IW_E_NOT_FOUND where there is none of that name. */
static int get_manifest(iw_remote *remote, const char *reference, iw_reply *reply, iw_error *err)
{
    iw_cleanup_free char *url = manifest_url(remote, reference);
    iw_registry_request q = {.url = url, .accept = ACCEPT, .file = -1, .limit = IW_OCI_LIMIT};
    iw_error inner = IW_ERROR_INIT;
    if (iw_registry_ask(remote->more, &q, reply, &inner) != 0) {
        if (reply->over)
            iw_fail(&inner, IW_E_FORMAT, "%s: it is larger than the 4 MiB that one may have",
                    remote->where);
        iw_error_move(err, &inner);
        return iw_wrap(err, "manifest %s", reference);
    }
    return reply->status == 200 ? 0 : iw_registry_refused(remote->more, reference, reply, err);
}

static int put_manifest(iw_remote *remote, const char *reference, const char *type,
                        const char *text, size_t length, iw_reply *reply, iw_error *err)
{
    iw_cleanup_free char *url = manifest_url(remote, reference);
    if (length > IW_OCI_LIMIT)
        return iw_fail(err, IW_E_FORMAT,
                       "the manifest %s has %zu bytes, more than the 4 MiB that registries take",
                       reference, length);
    iw_registry_request q = {.method = "PUT",
                             .url = url,
                             .type = type,
                             .data = text,
                             .length = length,
                             .file = -1,
                             .push = true};
    if (iw_registry_ask(remote->more, &q, reply, err) != 0)
        return iw_wrap(err, "manifest %s", reference);
    if (reply->status == 201) return 0;
    if (reply->status == 400 && reply->body.data && strstr(reply->body.data, "BLOB_UNKNOWN"))
        reply->status = 404; /* of a blob that it names */
    return iw_registry_refused(remote->more, reference, reply, err);
}

/* Whether these very bytes are there under that name: then nothing is sent. */
static bool stands(iw_remote *remote, const char *reference, const char *sha256)
{
    iw_cleanup_free char *url = manifest_url(remote, reference),
                         *digest = iw_format("sha256:%s", sha256);
    iw_registry_request q = {.method = "HEAD", .url = url, .accept = ACCEPT, .file = -1};
    iw_reply reply = {.status = 0};
    bool same = iw_registry_ask(remote->more, &q, &reply, NULL) == 0 && reply.status == 200 &&
                reply.digest && strcmp(reply.digest, digest) == 0;
    iw_reply_clear(&reply);
    return same;
}

/* --- referrers ------------------------------------------------------------ */

/* The registry's list, or where it knows none (404) the one under the tag of the digest. *index
 * NULL where there is none yet; *by_tag: it is for clients to keep it. */
static int read_referrers(iw_remote *remote, const char *subject, json_t **index, bool *by_tag,
                          iw_error *err)
{
    iw_cleanup_free char *path = iw_format("referrers/sha256:%s", subject),
                         *url = iw_registry_url(remote->more, path),
                         *tag = iw_format("sha256-%s", subject);
    iw_registry_request q = {.url = url, .accept = IW_OCI_INDEX, .file = -1, .limit = IW_OCI_LIMIT};
    iw_reply reply = {.status = 0};
    iw_error inner = IW_ERROR_INIT;
    *index = NULL;
    int status = iw_registry_ask(remote->more, &q, &reply, err);
    *by_tag = status == 0 && reply.status != 200;
    if (*by_tag && get_manifest(remote, tag, &reply, &inner) != 0) {
        bool none = inner.kind == IW_E_NOT_FOUND;
        if (!none) iw_error_move(err, &inner);
        status = none ? 1 : -1;
    }
    if (status == 0)
        status = iw_oci_index_read(reply.body.data ? reply.body.data : "", reply.body.length, path,
                                   index, err);
    iw_error_clear(&inner);
    iw_reply_clear(&reply);
    return status < 0 ? -1 : 0;
}

/* As the specification tells clients to where a registry doesn't do it. Two at once may lose one
 * another's entry, which the next push of that one brings back. */
static int add_to_tag(iw_remote *remote, const char *subject, json_t *index, json_t *descriptor,
                      iw_error *err)
{
    iw_cleanup_free char *tag = iw_format("sha256-%s", subject);
    json_t *root = index ? json_incref(index)
                         : json_pack("{s:i,s:s,s:[]}", "schemaVersion", 2, "mediaType",
                                     IW_OCI_INDEX, "manifests");
    json_array_append(json_object_get(root, "manifests"), descriptor);
    iw_cleanup_free char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    iw_reply reply = {.status = 0};
    int status = put_manifest(remote, tag, IW_OCI_INDEX, text, strlen(text), &reply, err);
    iw_reply_clear(&reply);
    json_decref(root);
    return status;
}

static json_t *describe(const char *text, size_t length, const char *sha256)
{
    json_t *manifest = json_loadb(text, length, 0, NULL);
    const char *type = json_string_value(json_object_get(manifest, "artifactType"));
    json_t *out = iw_oci_descriptor(IW_OCI_MANIFEST, sha256, length, NULL, type);
    json_decref(manifest);
    return out;
}

static int attach(iw_remote *remote, const char *text, size_t length, const char *sha256,
                  const char *subject, iw_error *err)
{
    iw_cleanup_free char *reference = iw_format("sha256:%s", sha256);
    json_t *index = NULL;
    bool by_tag = false;
    if (read_referrers(remote, subject, &index, &by_tag, err) != 0) return -1;
    iw_reply reply = {.status = 0};
    bool known = iw_oci_index_has(index, sha256);
    int status =
        known ? 0 : put_manifest(remote, reference, IW_OCI_MANIFEST, text, length, &reply, err);
    if (status == 0 && !known && by_tag && !reply.subject) {
        json_t *descriptor = describe(text, length, sha256);
        status = add_to_tag(remote, subject, index, descriptor, err);
        json_decref(descriptor);
    }
    iw_reply_clear(&reply);
    json_decref(index);
    return status;
}

static int oci_manifest(iw_remote *remote, const char *name, const char *text, size_t length,
                        const char *subject, iw_error *err)
{
    char sha256[IW_SHA256_HEX];
    iw_reply reply = {.status = 0};
    iw_hash_bytes(text, length, sha256);
    if (!name) return attach(remote, text, length, sha256, subject, err);
    iw_cleanup_free char *tag = iw_oci_tag(name);
    if (stands(remote, tag, sha256)) return 0;
    int status = put_manifest(remote, tag, IW_OCI_MANIFEST, text, length, &reply, err);
    iw_reply_clear(&reply);
    return status;
}

/* The digest of what a name stands for, or NULL; caller frees. */
static char *digest_of(iw_remote *remote, const char *tag)
{
    iw_cleanup_free char *url = manifest_url(remote, tag);
    iw_registry_request q = {.method = "HEAD", .url = url, .accept = ACCEPT, .file = -1};
    iw_reply reply = {.status = 0};
    char *digest = NULL;
    if (iw_registry_ask(remote->more, &q, &reply, NULL) == 0 && reply.status == 200 &&
        reply.digest && iw_starts_with(reply.digest, "sha256:") && iw_is_sha256(reply.digest + 7))
        digest = iw_steal(&reply.digest);
    iw_reply_clear(&reply);
    return digest;
}

static int drop(iw_remote *remote, const char *reference, bool *done, iw_error *err)
{
    iw_cleanup_free char *url = manifest_url(remote, reference);
    iw_registry_request q = {.method = "DELETE", .url = url, .data = "", .file = -1, .push = true};
    iw_reply reply = {.status = 0};
    int status = iw_registry_ask(remote->more, &q, &reply, err);
    *done = status == 0 && reply.status == 202;
    iw_reply_clear(&reply);
    return status;
}

/* By the name; where a registry deletes only manifests, by their digest. Many let nobody delete:
 * then all stays. The list of its referrers, where it is under a tag, goes with it. */
static int oci_forget(iw_remote *remote, const char *name, iw_error *err)
{
    bool done = false;
    iw_cleanup_free char *tag = iw_oci_tag(name), *digest = digest_of(remote, tag), *list = NULL;
    if (!digest) return 0;
    iw_cleanup_free char *referrers = iw_format("sha256-%s", digest + 7);
    if (drop(remote, tag, &done, err) != 0) return -1;
    if (!done && drop(remote, digest, &done, err) != 0) return -1;
    list = done ? digest_of(remote, referrers) : NULL;
    if (list && drop(remote, referrers, &done, err) != 0) return -1;
    return list && !done ? drop(remote, list, &done, err) : 0;
}

/* --- signed documents ----------------------------------------------------- */

static int get_blob(iw_remote *remote, const char *sha256, const char *range, size_t limit,
                    iw_reply *reply, iw_error *err)
{
    iw_cleanup_free char *url = blob_url(remote, sha256);
    iw_registry_request q = {.url = url, .range = range, .file = -1, .limit = limit};
    if (iw_registry_ask(remote->more, &q, reply, err) != 0) return iw_wrap(err, "blob %s", sha256);
    if (reply->status == 200 || (range && reply->status == 206)) return 0;
    return iw_registry_refused(remote->more, sha256, reply, err);
}

/* The signature from the annotation, where there is one; else a layer. */
static int read_part_of(iw_remote *remote, const json_t *manifest, bool signature, size_t limit,
                        const char *tag, iw_reply *reply, iw_error *err)
{
    const char *text = signature ? iw_oci_annotation(manifest, IW_OCI_SIGNATURE) : NULL;
    char sha256[IW_SHA256_HEX];
    uint64_t size = 0;
    if (text && strlen(text) <= limit) {
        iw_buffer_clear(&reply->body);
        iw_buffer_add_text(&reply->body, text);
        return 0;
    }
    if (!iw_oci_layer(manifest, ".minisig", !signature, sha256, &size))
        return iw_fail(err, IW_E_FORMAT, "%s: the manifest %s holds no %s", remote->where, tag,
                       signature ? "signature" : "document");
    return get_blob(remote, sha256, NULL, limit, reply, err);
}

static int read_document(iw_remote *remote, const char *tag, bool signature, size_t limit,
                         iw_reply *reply, iw_error *err)
{
    json_t *manifest = NULL;
    if (get_manifest(remote, tag, reply, err) != 0) return -1;
    iw_cleanup_free char *where = iw_format("%s, manifest %s", remote->where, tag);
    if (iw_oci_manifest_read(reply->body.data ? reply->body.data : "", reply->body.length, where,
                             &manifest, err) != 0)
        return -1;
    int status = read_part_of(remote, manifest, signature, limit, tag, reply, err);
    json_decref(manifest);
    return status;
}

/* Asked for once, and not at all where this run has put it there. */
static int put_bytes(iw_remote *remote, const char *sha256, const void *data, size_t length,
                     iw_error *err)
{
    iw_registry *registry = remote->more;
    bool found = iw_strings_has(&registry->held, sha256);
    iw_cleanup_free char *path = iw_format("blobs/sha256/%s", sha256);
    uint64_t size;
    if (!found && strcmp(registry->absent, sha256) != 0 &&
        remote->kind->stat(remote, path, &found, &size, err) != 0)
        return -1;
    iw_upload upload = {
        .remote = remote, .sha256 = sha256, .data = data, .file = -1, .size = length};
    if (!found && iw_upload_send(&upload, err) != 0) return -1;
    if (!iw_strings_has(&registry->held, sha256)) iw_strings_add(&registry->held, sha256);
    return 0;
}

static char *document_manifest(const char *name, const iw_stamp *stamp, const char *signature,
                               size_t length, const char *signature_sha256)
{
    iw_cleanup_free char *beside = iw_format("%s.minisig", name),
                         *type = iw_format("application/vnd.ironwheel.%s.v1", stamp->kind),
                         *media = iw_format("%s+json", type), *text = iw_strndup(signature, length);
    json_t *root =
        json_pack("{s:i,s:s,s:s,s:o,s:[o,o],s:{s:s}}", "schemaVersion", 2, "mediaType",
                  IW_OCI_MANIFEST, "artifactType", type, "config",
                  iw_oci_descriptor(IW_OCI_EMPTY, IW_OCI_EMPTY_SHA256, 2, NULL, NULL), "layers",
                  iw_oci_descriptor(media, stamp->sha256, stamp->size, name, NULL),
                  iw_oci_descriptor("application/vnd.ironwheel.signature.v1", signature_sha256,
                                    length, beside, NULL),
                  "annotations", IW_OCI_SIGNATURE, text);
    char *out = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    return out;
}

/* The document itself is there as a blob, which its signature names. */
static int write_signature(iw_remote *remote, const char *path, const char *tag, const void *data,
                           size_t length, iw_error *err)
{
    iw_signature signature;
    iw_stamp stamp;
    char sha256[IW_SHA256_HEX];
    iw_cleanup_free char *name = iw_strdup(iw_path_base(path));
    name[strlen(name) - strlen(".minisig")] = 0;
    iw_hash_bytes(data, length, sha256);
    if (iw_signature_parse(data, length, path, &signature, err) != 0 ||
        iw_stamp_parse(signature.comment, path, &stamp, err) != 0 ||
        put_bytes(remote, IW_OCI_EMPTY_SHA256, "{}", 2, err) != 0 ||
        put_bytes(remote, sha256, data, length, err) != 0)
        return -1;
    iw_cleanup_free char *text = document_manifest(name, &stamp, data, length, sha256);
    iw_reply reply = {.status = 0};
    int status = put_manifest(remote, tag, IW_OCI_MANIFEST, text, strlen(text), &reply, err);
    iw_reply_clear(&reply);
    return status;
}

/* --- what a remote does --------------------------------------------------- */

static int oci_read(iw_remote *remote, const char *path, uint64_t offset, size_t limit, bool part,
                    char **out, size_t *length, iw_error *err)
{
    bool signature;
    const char *sha256 = iw_oci_blob_of(path);
    iw_cleanup_free char *tag = sha256 ? NULL : iw_oci_document_tag(path, &signature),
                         *range = part ? iw_format("%llu-%llu", (unsigned long long)offset,
                                                   (unsigned long long)(offset + limit - 1))
                                       : NULL;
    iw_reply reply = {.status = 0};
    if (!sha256 && !tag) return iw_fail(err, IW_E_NOT_FOUND, "%s holds no %s", remote->where, path);
    int status = sha256 ? get_blob(remote, sha256, range, limit, &reply, err)
                        : read_document(remote, tag, signature, limit, &reply, err);
    if (status == 0 && part && reply.status != 206)
        status = iw_fail(err, IW_E_NETWORK, "%s knows no ranges", remote->where);
    if (status == 0) {
        *length = reply.body.length;
        *out = iw_buffer_take(&reply.body);
    }
    iw_reply_clear(&reply);
    return status;
}

static int head(iw_remote *remote, const char *url, iw_reply *reply, iw_error *err)
{
    iw_registry_request q = {.method = "HEAD", .url = url, .accept = ACCEPT, .file = -1};
    return iw_registry_ask(remote->more, &q, reply, err);
}

static int oci_stat(iw_remote *remote, const char *path, bool *found, uint64_t *size, iw_error *err)
{
    iw_registry *registry = remote->more;
    bool signature;
    const char *sha256 = iw_oci_blob_of(path);
    iw_cleanup_free char *tag = sha256 ? NULL : iw_oci_document_tag(path, &signature),
                         *url = sha256 ? blob_url(remote, sha256)
                                : tag  ? manifest_url(remote, tag)
                                       : NULL;
    iw_reply reply = {.status = 0};
    if (!url) return 0;
    int status = head(remote, url, &reply, err);
    *found = status == 0 && reply.status == 200;
    *size = *found && sha256 ? reply.length : 0;
    if (sha256 && status == 0 && reply.status == 404)
        snprintf(registry->absent, sizeof registry->absent, "%s", sha256);
    if (status == 0 && !*found && reply.status != 404 && reply.status != 406)
        status = iw_registry_refused(remote->more, path, &reply, err);
    iw_reply_clear(&reply);
    return status;
}

static int oci_write(iw_remote *remote, const char *path, const void *data, size_t length,
                     iw_error *err)
{
    bool signature;
    char found[IW_SHA256_HEX];
    const char *sha256 = iw_oci_blob_of(path);
    if (sha256) return put_bytes(remote, sha256, data, length, err);
    iw_cleanup_free char *tag = iw_oci_document_tag(path, &signature);
    if (!tag) return no_place(remote, path, err);
    if (signature) return write_signature(remote, path, tag, data, length, err);
    iw_hash_bytes(data, length, found);
    return put_bytes(remote, found, data, length, err);
}

static int oci_upload(iw_remote *remote, const char *path, const char *file, uint64_t size,
                      iw_error *err)
{
    const char *sha256 = iw_oci_blob_of(path);
    if (!sha256) return no_place(remote, path, err);
    iw_cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", file);
    iw_upload upload = {
        .remote = remote, .sha256 = sha256, .file = fd, .size = size, .label = iw_path_base(file)};
    return iw_upload_send(&upload, err);
}

static int oci_alias(iw_remote *remote, const char *path, const char *name, bool *done,
                     iw_error *err)
{
    (void)remote, (void)path, (void)name, (void)err;
    *done = false;
    return 0;
}

static int oci_remove(iw_remote *remote, const char *path, iw_error *err)
{
    const char *sha256 = iw_oci_blob_of(path);
    iw_cleanup_free char *url = sha256 ? blob_url(remote, sha256) : NULL;
    iw_registry_request q = {.method = "DELETE", .url = url, .data = "", .file = -1, .push = true};
    iw_reply reply = {.status = 0};
    if (!url) return no_place(remote, path, err);
    int status = iw_registry_ask(remote->more, &q, &reply, err);
    if (status == 0 && reply.status != 202 && reply.status != 404)
        status = iw_registry_refused(remote->more, path, &reply, err);
    iw_reply_clear(&reply);
    return status;
}

/* --- downloads ------------------------------------------------------------ */

static void take_transfer(iw_remote_want *want, iw_transfer *t)
{
    want->done = t->done;
    iw_error_move(&want->err, &t->err);
    iw_transfer_clear(t);
}

/* *refused: one that answered 401, for a token that had ended. */
static int fetch_once(iw_remote *remote, iw_remote_want *wants, size_t count,
                      const iw_remote_want **refused, iw_error *err)
{
    const iw_registry *registry = remote->more;
    iw_transfer *transfers = iw_alloc(count * sizeof *transfers);
    iw_remote_want **which = iw_alloc(count * sizeof *which);
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        if (wants[i].done) continue;
        iw_transfer *t = &transfers[asked];
        which[asked++] = &wants[i];
        (void)iw_remote_have(&wants[i]);
        t->label = iw_strdup(wants[i].label);
        char *url = blob_url(remote, wants[i].sha256);
        iw_strings_add(&t->urls, url);
        free(url);
        snprintf(t->sha256, sizeof t->sha256, "%s", wants[i].sha256);
        t->size = wants[i].size;
        t->part = iw_strdup(wants[i].part);
        t->pieces = wants[i].pieces, t->piece = wants[i].piece;
        t->verified = wants[i].verified, t->context = wants[i].context;
        t->authorization = registry->authorization;
        t->named = true;
    }
    remote->requests += (unsigned)asked;
    int status = iw_transfer_all(transfers, asked, &registry->http.options, err);
    *refused = NULL;
    for (size_t i = 0; i < asked; i++) {
        if (transfers[i].status == 401 && !transfers[i].done) *refused = which[i];
        take_transfer(which[i], &transfers[i]);
    }
    free(transfers), free(which);
    return status;
}

static int oci_fetch(iw_remote *remote, iw_remote_want *wants, size_t count, iw_error *err)
{
    const iw_remote_want *refused;
    for (size_t i = 0; i < count; i++)
        if (!iw_oci_blob_of(wants[i].path) ||
            strcmp(iw_oci_blob_of(wants[i].path), wants[i].sha256) != 0)
            return no_place(remote, wants[i].path, err);
    for (int attempt = 0;; attempt++) {
        if (fetch_once(remote, wants, count, &refused, err) != 0) return -1;
        if (!refused || attempt) return 0;
        iw_reply reply = {.status = 0};
        iw_cleanup_free char *url = blob_url(remote, refused->sha256);
        int status = head(remote, url, &reply, NULL); /* logs in anew */
        bool again = status == 0 && reply.status == 200;
        iw_reply_clear(&reply);
        if (!again) return 0;
    }
}

#define OCI_KIND                                                                                   \
    .close = oci_close, .listen = oci_listen, .read = oci_read, .fetch = oci_fetch,                \
    .stat = oci_stat, .write = oci_write, .upload = oci_upload, .alias = oci_alias,                \
    .remove = oci_remove, .manifest = oci_manifest, .forget = oci_forget

const iw_remote_kind iw_remote_oci = {.scheme = "oci://", .open = oci_open, OCI_KIND};
const iw_remote_kind iw_remote_oci_plain = {.scheme = "oci+http://",
                                            .open = oci_open_plain,
                                            OCI_KIND};
