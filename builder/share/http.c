#include "share/http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

#define TRIES 3
#define STALL 20u           /* seconds without data */
#define HURRIED_STALL 4u    /* the same in a build */
#define HURRIED_SECONDS 8.0 /* for all small files together in a build … */
#define HURRIED_FREE 0.5    /* … where the first part of each isn't counted */
#define LONGEST_PAUSE 60    /* seconds, whatever a server asks for */

int iw_http_open(iw_http *http, const iw_remote *remote, iw_error *err)
{
    bool hurried = remote->options.hurried;
    http->options = (iw_transfer_options){.parallel = remote->options.parallel,
                                          .cancel = remote->options.cancel,
                                          .sink = remote->options.sink,
                                          .stall = hurried ? HURRIED_STALL : STALL,
                                          .tries = hurried ? 1 : TRIES};
    http->left = HURRIED_SECONDS;
    http->easy = curl_easy_init();
    return http->easy ? 0 : iw_fail(err, IW_E_ENVIRONMENT, "libcurl can't start");
}

void iw_http_listen(iw_http *http, const iw_remote *remote)
{
    http->options.sink = remote->options.sink;
    http->options.cancel = remote->options.cancel;
}

void iw_http_close(iw_http *http)
{
    if (http->easy) curl_easy_cleanup(http->easy);
    http->easy = NULL;
}

/* --- curl's callbacks ----------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t count, void *context)
{
    iw_http_request *r = context;
    size_t length = size * count;
    r->over = r->answer.length + length > r->limit;
    if (r->over) return 0;
    iw_buffer_add(&r->answer, data, length);
    return length;
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    iw_http_request *r = context;
    iw_transfer_see_header(data, size * count, &r->headed);
    if (r->header) r->header(r->context, data, size * count);
    return size * count;
}

static size_t read_file(iw_http_request *r, char *out, size_t room)
{
    uint64_t left = r->file_length - r->at;
    ssize_t got =
        pread(r->file, out, left < room ? (size_t)left : room, (off_t)(r->file_from + r->at));
    if (got < 0) return CURL_READFUNC_ABORT;
    r->at += (uint64_t)got;
    iw_remote_tell(r->remote, r->label, "push", r->file_from + r->at, r->file_size);
    return (size_t)got;
}

static size_t on_body(char *out, size_t size, size_t count, void *context)
{
    iw_http_request *r = context;
    size_t room = size * count;
    if (r->file >= 0) return read_file(r, out, room);
    size_t left = r->length - (size_t)r->at, part = left < room ? left : room;
    memcpy(out, r->data + r->at, part);
    r->at += part;
    return part;
}

/* A connection that was lost under a body: curl sends it again. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    iw_http_request *r = context;
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    r->at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return iw_remote_cancelled(context);
}

/* --- one try -------------------------------------------------------------- */

static void set_body(CURL *easy, iw_http_request *r)
{
    if (r->data || r->file >= 0) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, r);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, r);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)(r->file >= 0 ? r->file_length : r->length));
    }
    if (r->head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (r->method) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
    if (r->method || r->plain) curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    if (r->plain) curl_easy_setopt(easy, CURLOPT_FAILONERROR, 0L);
    if (r->plain) curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
}

static void set_answer(iw_http *http, iw_remote *remote, iw_http_request *r)
{
    CURL *easy = http->easy;
    if (remote->options.hurried)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)((http->left + HURRIED_FREE) * 1000));
    if (r->headers) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
    if (r->range) curl_easy_setopt(easy, CURLOPT_RANGE, r->range);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->why);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, remote);
}

static void count_time(iw_http *http)
{
    double taken = 0;
    curl_easy_getinfo(http->easy, CURLINFO_TOTAL_TIME, &taken);
    if (taken > HURRIED_FREE) http->left -= taken - HURRIED_FREE;
    if (http->left < 0) http->left = 0;
}

static CURLcode try_once(iw_http *http, iw_remote *remote, const char *url, iw_http_request *r)
{
    const char *address = NULL;
    curl_easy_reset(http->easy);
    iw_transfer_prepare(http->easy, url, &http->options);
    iw_transfer_watch(http->easy, &http->guard, r->from);
    r->at = 0;
    r->headed = false;
    iw_buffer_clear(&r->answer);
    set_answer(http, remote, r);
    set_body(http->easy, r);
    http->why[0] = 0;
    remote->requests++;
    CURLcode code = curl_easy_perform(http->easy);
    count_time(http);
    r->status = 0;
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &r->status);
    if (curl_easy_getinfo(http->easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address)
        snprintf(http->first, sizeof http->first, "%s", address);
    return code == CURLE_OK && !r->headed ? CURLE_PARTIAL_FILE : code;
}

static bool may_work_later(CURLcode code, const iw_http_request *r)
{
    if (code == CURLE_HTTP_RETURNED_ERROR || (code == CURLE_OK && r->plain))
        return r->status == 408 || r->status == 429 || r->status >= 500;
    return code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT ||
           code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE ||
           code == CURLE_GOT_NOTHING || code == CURLE_SSL_CONNECT_ERROR;
}

/* What the server asks for, at most a minute; else 1, 2, … seconds. */
void iw_http_pause(const iw_http *http, const iw_remote *remote, unsigned attempt)
{
    curl_off_t asked = 0;
    curl_easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &asked);
    int wait = asked > LONGEST_PAUSE ? LONGEST_PAUSE : asked > 0 ? (int)asked : (int)attempt;
    struct pollfd polled = {remote->options.cancel, POLLIN, 0};
    (void)!poll(&polled, 1, wait * 1000);
}

CURLcode iw_http_send(iw_http *http, iw_remote *remote, const char *url, iw_http_request *r)
{
    CURLcode code = CURLE_OK;
    r->remote = remote;
    for (unsigned attempt = 1; attempt <= http->options.tries; attempt++) {
        code = try_once(http, remote, url, r);
        if (r->over || r->once || http->guard.refused || !may_work_later(code, r) ||
            iw_remote_cancelled(remote))
            break;
        if (attempt < http->options.tries) iw_http_pause(http, remote, attempt);
    }
    return code;
}

int iw_http_explain(const iw_http *http, const iw_remote *remote, const char *shown,
                    const iw_http_request *r, CURLcode code, iw_error *err)
{
    if (iw_remote_cancelled(remote)) return iw_fail(err, IW_E_CANCELLED, "stopped");
    if (r->over && r->range && r->status == 200)
        return iw_fail(err, IW_E_NETWORK, "%s knows no ranges", shown);
    if (r->over)
        return iw_fail(err, IW_E_FORMAT, "%s sends more than the %zu bytes expected", shown,
                       r->limit);
    if (http->guard.refused)
        return iw_fail(err, IW_E_NETWORK,
                       "%s redirects to an address of this host or its network, which was not "
                       "followed",
                       shown);
    if (r->status == 404 || r->status == 410 || r->status == 403)
        return iw_fail(err, IW_E_NOT_FOUND, "%s: the server answers %ld", shown, r->status);
    if (r->status >= 400)
        return iw_fail(err, IW_E_NETWORK, "%s: the server answers %ld", shown, r->status);
    return iw_fail(err, IW_E_NETWORK, "%s: %s", shown,
                   http->why[0] ? http->why : curl_easy_strerror(code));
}
