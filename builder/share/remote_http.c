/* https:// and http://: GET with ranges from any static server; PUT, DELETE, COPY and MKCOL where
 * the server takes them (WebDAV). */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/transfer.h"
#include "share/remote_kinds.h"

#define TRIES 3
#define STALL 20u                    /* seconds without data */
#define HURRIED_STALL 4u             /* the same in a build */
#define HURRIED_SECONDS 8.0          /* for all small files together in a build … */
#define HURRIED_FREE 0.5             /* … where the first part of each isn't counted */
#define ANSWER_LIMIT ((size_t)65536) /* bytes of an answer that nobody asked for */

typedef struct https { /* remote->more */
    CURL *easy;        /* kept, so that its connection is */
    iw_transfer_options options;
    iw_transfer_guard guard;
    double left; /* of HURRIED_SECONDS */
    char why[CURL_ERROR_SIZE];
} https;

/* One request: what goes out, what comes in. */
typedef struct request {
    const char *method; /* NULL: GET */
    const char *range;  /* "5-9", or NULL */
    const char *header; /* one more, or NULL */
    const char *data;   /* body, or NULL */
    size_t length, at;
    int file; /* body, or -1 */
    uint64_t file_size;
    iw_remote *remote;
    const char *label;
    iw_buffer answer;
    size_t limit;
    bool over, head;
    bool headed; /* the answer's headers came whole */
    long status;
} request;

static int https_open(iw_remote *remote, const char *where, iw_error *err)
{
    https *more = remote->more = iw_alloc(sizeof *more);
    bool hurried = remote->options.hurried;
    more->options = (iw_transfer_options){.parallel = remote->options.parallel,
                                          .cancel = remote->options.cancel,
                                          .sink = remote->options.sink,
                                          .stall = hurried ? HURRIED_STALL : STALL,
                                          .tries = hurried ? 1 : TRIES};
    size_t length = strlen(where);
    more->left = HURRIED_SECONDS;
    while (length && where[length - 1] == '/') length--;
    remote->base = iw_strndup(where, length);
    remote->where = iw_transfer_shown(remote->base);
    more->easy = curl_easy_init();
    if (!more->easy) return iw_fail(err, IW_E_ENVIRONMENT, "libcurl can't start");
    if (!strpbrk(remote->base, "?#") && strlen(strstr(remote->base, "://")) > 3) return 0;
    return iw_fail(err, IW_E_USAGE, "%s is no address of a folder", remote->where);
}

static void https_listen(iw_remote *remote)
{
    https *more = remote->more;
    more->options.sink = remote->options.sink;
    more->options.cancel = remote->options.cancel;
}

static void https_close(iw_remote *remote)
{
    https *more = remote->more;
    if (!more) return;
    if (more->easy) curl_easy_cleanup(more->easy);
    free(more);
}

/* --- one request ---------------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t count, void *context)
{
    request *r = context;
    size_t length = size * count;
    r->over = r->answer.length + length > r->limit;
    if (r->over) return 0;
    iw_buffer_add(&r->answer, data, length);
    return length;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    request *r = context;
    iw_transfer_see_header(line, size * count, &r->headed);
    return size * count;
}

static size_t on_body(char *out, size_t size, size_t count, void *context)
{
    request *r = context;
    size_t room = size * count;
    if (r->file >= 0) {
        ssize_t got = read(r->file, out, room);
        if (got < 0) return CURL_READFUNC_ABORT;
        r->at += (size_t)got;
        iw_remote_tell(r->remote, r->label, "push", r->at, r->file_size);
        return (size_t)got;
    }
    size_t left = r->length - r->at, part = left < room ? left : room;
    memcpy(out, r->data + r->at, part);
    r->at += part;
    return part;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return iw_remote_cancelled(context);
}

static void set_body(CURL *easy, request *r)
{
    bool has = r->data || r->file >= 0;
    if (has) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, r);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)(r->file >= 0 ? r->file_size : r->length));
    }
    if (r->head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (r->method) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
    if (r->method) curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
}

static void rewind_body(request *r)
{
    r->at = 0;
    r->headed = false;
    if (r->file >= 0) (void)!lseek(r->file, 0, SEEK_SET);
    iw_buffer_clear(&r->answer);
}

static void limit_time(const iw_remote *remote, CURL *easy)
{
    const https *more = remote->more;
    long limit = (long)((more->left + HURRIED_FREE) * 1000);
    if (remote->options.hurried) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, limit);
}

static void count_time(https *more, CURL *easy)
{
    double taken = 0;
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME, &taken);
    if (taken > HURRIED_FREE) more->left -= taken - HURRIED_FREE;
    if (more->left < 0) more->left = 0;
}

static CURLcode try_once(iw_remote *remote, const char *url, request *r)
{
    https *more = remote->more;
    CURL *easy = more->easy;
    struct curl_slist *headers = NULL;
    curl_easy_reset(easy);
    iw_transfer_prepare(easy, url, &more->options);
    iw_transfer_watch(easy, &more->guard);
    rewind_body(r);
    limit_time(remote, easy);
    if (r->header) headers = curl_slist_append(NULL, r->header);
    if (headers) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (r->range) curl_easy_setopt(easy, CURLOPT_RANGE, r->range);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, more->why);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, remote);
    set_body(easy, r);
    more->why[0] = 0;
    remote->requests++;
    CURLcode code = curl_easy_perform(easy);
    count_time(more, easy);
    r->status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &r->status);
    curl_slist_free_all(headers);
    return code == CURLE_OK && !r->headed ? CURLE_PARTIAL_FILE : code;
}

static bool may_work_later(CURLcode code, long status)
{
    if (code == CURLE_HTTP_RETURNED_ERROR) return status == 408 || status == 429 || status >= 500;
    return code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT ||
           code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE ||
           code == CURLE_GOT_NOTHING || code == CURLE_SSL_CONNECT_ERROR;
}

/* What the server asks for, at most a minute; else 1, 2, … seconds. */
static void pause_before(const iw_remote *remote, unsigned attempt)
{
    https *more = remote->more;
    curl_off_t asked = 0;
    curl_easy_getinfo(more->easy, CURLINFO_RETRY_AFTER, &asked);
    int wait = asked > 60 ? 60 : asked > 0 ? (int)asked : (int)attempt;
    struct pollfd polled = {remote->options.cancel, POLLIN, 0};
    (void)!poll(&polled, 1, wait * 1000);
}

static int explain(const iw_remote *remote, const char *path, const request *r, CURLcode code,
                   iw_error *err)
{
    const https *more = remote->more;
    if (iw_remote_cancelled(remote)) return iw_fail(err, IW_E_CANCELLED, "stopped");
    if (r->over)
        return iw_fail(err, IW_E_FORMAT, "%s/%s sends more than the %zu bytes expected",
                       remote->where, path, r->limit);
    if (more->guard.refused)
        return iw_fail(err, IW_E_NETWORK,
                       "%s/%s redirects to an address of this host or its network, which was not "
                       "followed",
                       remote->where, path);
    if (r->status == 404 || r->status == 410 || r->status == 403)
        return iw_fail(err, IW_E_NOT_FOUND, "%s/%s: the server answers %ld", remote->where, path,
                       r->status);
    if (r->status >= 400)
        return iw_fail(err, IW_E_NETWORK, "%s/%s: the server answers %ld", remote->where, path,
                       r->status);
    return iw_fail(err, IW_E_NETWORK, "%s/%s: %s", remote->where, path,
                   more->why[0] ? more->why : curl_easy_strerror(code));
}

static int ask(iw_remote *remote, const char *path, request *r, iw_error *err)
{
    iw_cleanup_free char *url = iw_format("%s/%s", remote->base, path);
    const https *more = remote->more;
    CURLcode code = CURLE_OK;
    r->remote = remote;
    for (unsigned attempt = 1; attempt <= more->options.tries; attempt++) {
        code = try_once(remote, url, r);
        if (code == CURLE_OK || r->over || !may_work_later(code, r->status) ||
            iw_remote_cancelled(remote))
            break;
        if (attempt < more->options.tries) pause_before(remote, attempt);
    }
    bool redirected = code == CURLE_OK && r->method && r->status >= 300;
    return code == CURLE_OK && !redirected ? 0 : explain(remote, path, r, code, err);
}

/* --- what a remote does --------------------------------------------------- */

static int https_read(iw_remote *remote, const char *path, uint64_t offset, size_t limit, bool part,
                      char **out, size_t *length, iw_error *err)
{
    iw_cleanup_free char *range = part ? iw_format("%llu-%llu", (unsigned long long)offset,
                                                   (unsigned long long)(offset + limit - 1))
                                       : NULL;
    request r = {.file = -1, .limit = limit, .range = range};
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
    https *more = remote->more;
    iw_transfer *transfers = iw_alloc(count * sizeof *transfers);
    for (size_t i = 0; i < count; i++) {
        iw_transfer *t = &transfers[i];
        (void)iw_remote_have(&wants[i]);
        t->label = iw_strdup(wants[i].label);
        iw_strings_add_format(&t->urls, "%s/%s", remote->base, wants[i].path);
        snprintf(t->sha256, sizeof t->sha256, "%s", wants[i].sha256);
        t->size = wants[i].size;
        t->part = iw_strdup(wants[i].part);
    }
    remote->requests += (unsigned)count;
    int status = iw_transfer_all(transfers, count, &more->options, err);
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
    request r = {.file = -1, .head = true, .limit = ANSWER_LIMIT};
    iw_error inner = IW_ERROR_INIT;
    https *more = remote->more;
    int status = ask(remote, path, &r, &inner);
    curl_off_t length = -1;
    if (status == 0) curl_easy_getinfo(more->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
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
    request r = {.file = -1, .method = "MKCOL", .limit = ANSWER_LIMIT};
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

static int put(iw_remote *remote, const char *path, request *r, iw_error *err)
{
    r->method = "PUT";
    r->limit = ANSWER_LIMIT;
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
    request r = {.file = -1, .data = data, .length = length, .label = path};
    return put(remote, path, &r, err);
}

static int https_upload(iw_remote *remote, const char *path, const char *file, uint64_t size,
                        iw_error *err)
{
    iw_cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", file);
    request r = {.file = fd, .file_size = size, .label = iw_path_base(file)};
    return put(remote, path, &r, err);
}

static int https_alias(iw_remote *remote, const char *path, const char *name, bool *done,
                       iw_error *err)
{
    (void)err;
    iw_cleanup_free char *header = iw_format("Destination: %s/%s", remote->base, name);
    request r = {.file = -1, .method = "COPY", .header = header, .limit = ANSWER_LIMIT};
    *done = ask(remote, path, &r, NULL) == 0;
    iw_buffer_free(&r.answer);
    return 0;
}

static int https_remove(iw_remote *remote, const char *path, iw_error *err)
{
    request r = {.file = -1, .method = "DELETE", .limit = ANSWER_LIMIT};
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
