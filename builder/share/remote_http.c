/* https:// and http://: GET with ranges from any static server; PUT, DELETE, COPY and MKCOL where
 * the server takes them (WebDAV). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/http.h"

static int https_open(iw_remote *remote, const char *where, iw_error *err)
{
    iw_http *http = remote->more = iw_alloc(sizeof *http);
    size_t length = strlen(where);
    while (length && where[length - 1] == '/') length--;
    remote->base = iw_strndup(where, length);
    remote->where = iw_transfer_shown(remote->base);
    if (iw_http_open(http, remote, err) != 0) return -1;
    if (!strpbrk(remote->base, "?#") && strlen(strstr(remote->base, "://")) > 3) return 0;
    return iw_fail(err, IW_E_USAGE, "%s is no address of a folder", remote->where);
}

static void https_listen(iw_remote *remote)
{
    iw_http_listen(remote->more, remote);
}

static void https_close(iw_remote *remote)
{
    if (!remote->more) return;
    iw_http_close(remote->more);
    free(remote->more);
}

static int ask(iw_remote *remote, const char *path, iw_http_request *r, iw_error *err)
{
    iw_cleanup_free char *url = iw_format("%s/%s", remote->base, path),
                         *shown = iw_format("%s/%s", remote->where, path);
    CURLcode code = iw_http_send(remote->more, remote, url, r);
    bool redirected = code == CURLE_OK && r->method && r->status >= 300;
    return code == CURLE_OK && !redirected
               ? 0
               : iw_http_explain(remote->more, remote, shown, r, code, err);
}

/* --- what a remote does --------------------------------------------------- */

static int https_read(iw_remote *remote, const char *path, uint64_t offset, size_t limit, bool part,
                      char **out, size_t *length, iw_error *err)
{
    iw_cleanup_free char *range = part ? iw_format("%llu-%llu", (unsigned long long)offset,
                                                   (unsigned long long)(offset + limit - 1))
                                       : NULL;
    iw_http_request r = {.file = -1, .limit = limit, .range = range};
    int status = ask(remote, path, &r, err);
    if (status == 0 && part && r.status != 206)
        status = iw_fail(err, IW_E_NETWORK, "%s knows no ranges", remote->where);
    if (status == 0) {
        *length = r.answer.length;
        *out = iw_buffer_take(&r.answer);
    }
    iw_buffer_free(&r.answer);
    return status;
}

static int https_fetch(iw_remote *remote, iw_remote_want *wants, size_t count, iw_error *err)
{
    const iw_http *http = remote->more;
    iw_transfer *transfers = iw_alloc(count * sizeof *transfers);
    for (size_t i = 0; i < count; i++) {
        iw_transfer *t = &transfers[i];
        (void)iw_remote_have(&wants[i]);
        t->label = iw_strdup(wants[i].label);
        iw_strings_add_format(&t->urls, "%s/%s", remote->base, wants[i].path);
        snprintf(t->sha256, sizeof t->sha256, "%s", wants[i].sha256);
        t->size = wants[i].size;
        t->part = iw_strdup(wants[i].part);
        t->pieces = wants[i].pieces, t->piece = wants[i].piece;
        t->verified = wants[i].verified, t->context = wants[i].context;
    }
    remote->requests += (unsigned)count;
    int status = iw_transfer_all(transfers, count, &http->options, err);
    for (size_t i = 0; i < count; i++) {
        wants[i].done = transfers[i].done;
        iw_error_move(&wants[i].err, &transfers[i].err);
        iw_transfer_clear(&transfers[i]);
    }
    free(transfers);
    return status;
}

static int https_stat(iw_remote *remote, const char *path, bool *found, uint64_t *size,
                      iw_error *err)
{
    iw_http_request r = {.file = -1, .head = true, .limit = IW_HTTP_ANSWER};
    iw_error inner = IW_ERROR_INIT;
    const iw_http *http = remote->more;
    int status = ask(remote, path, &r, &inner);
    curl_off_t length = -1;
    if (status == 0) curl_easy_getinfo(http->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    *found = status == 0;
    *size = length >= 0 ? (uint64_t)length : 0;
    iw_buffer_free(&r.answer);
    bool absent = inner.kind == IW_E_NOT_FOUND;
    if (status != 0 && !absent) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return status == 0 || absent ? 0 : -1;
}

static void make_collection(iw_remote *remote, const char *folder)
{
    iw_http_request r = {.file = -1, .method = "MKCOL", .limit = IW_HTTP_ANSWER};
    iw_cleanup_free char *path = iw_format("%s/", folder);
    (void)!ask(remote, path, &r, NULL);
    iw_buffer_free(&r.answer);
}

/* WebDAV wants every folder on the way: asked for only where a PUT is refused for want of it. */
static void make_collections(iw_remote *remote, const char *path)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        iw_cleanup_free char *folder = iw_strndup(path, (size_t)(slash - path));
        make_collection(remote, folder);
    }
}

static int put(iw_remote *remote, const char *path, iw_http_request *r, iw_error *err)
{
    r->method = "PUT";
    r->limit = IW_HTTP_ANSWER;
    int status = ask(remote, path, r, err);
    if (status != 0 && (r->status == 404 || r->status == 409)) {
        make_collections(remote, path);
        status = ask(remote, path, r, err);
    }
    if (status != 0 && (r->status == 405 || r->status == 501))
        iw_wrap(err, "this server takes no PUT, so nothing can be pushed to it");
    iw_buffer_free(&r->answer);
    return status;
}

static int https_write(iw_remote *remote, const char *path, const void *data, size_t length,
                       iw_error *err)
{
    iw_http_request r = {.file = -1, .data = data, .length = length, .label = path};
    return put(remote, path, &r, err);
}

static int https_upload(iw_remote *remote, const char *path, const char *file, uint64_t size,
                        iw_error *err)
{
    iw_cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", file);
    iw_http_request r = {
        .file = fd, .file_length = size, .file_size = size, .label = iw_path_base(file)};
    return put(remote, path, &r, err);
}

static int https_alias(iw_remote *remote, const char *path, const char *name, bool *done,
                       iw_error *err)
{
    (void)err;
    iw_cleanup_free char *header = iw_format("Destination: %s/%s", remote->base, name);
    iw_http_request r = {.file = -1, .method = "COPY", .limit = IW_HTTP_ANSWER};
    r.headers = curl_slist_append(NULL, header);
    *done = ask(remote, path, &r, NULL) == 0;
    curl_slist_free_all(r.headers);
    iw_buffer_free(&r.answer);
    return 0;
}

static int https_remove(iw_remote *remote, const char *path, iw_error *err)
{
    iw_http_request r = {.file = -1, .method = "DELETE", .limit = IW_HTTP_ANSWER};
    iw_error inner = IW_ERROR_INIT;
    int status = ask(remote, path, &r, &inner);
    iw_buffer_free(&r.answer);
    if (status != 0 && inner.kind == IW_E_NOT_FOUND) status = 0;
    else if (status != 0) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return status;
}

#define HTTPS_KIND                                                                                 \
    .open = https_open, .close = https_close, .listen = https_listen, .read = https_read,          \
    .fetch = https_fetch, .stat = https_stat, .write = https_write, .upload = https_upload,        \
    .alias = https_alias, .remove = https_remove

const iw_remote_kind iw_remote_https = {.scheme = "https://", HTTPS_KIND};
const iw_remote_kind iw_remote_http = {.scheme = "http://", HTTPS_KIND};
