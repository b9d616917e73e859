/* One HTTP request over a connection that is kept: for remotes at web servers and at registries.
 * Internal to `share`. */
#ifndef IW_SHARE_HTTP_H
#define IW_SHARE_HTTP_H

#include <curl/curl.h>

#include "fetch/transfer.h"
#include "share/remote_kinds.h"

#define IW_HTTP_ANSWER ((size_t)65536) /* bytes of an answer that nobody asked for */

typedef struct iw_http {
    CURL *easy;
    iw_transfer_options options;
    iw_transfer_guard guard;
    double left; /* of the seconds that a build has for all its small files */
    char why[CURL_ERROR_SIZE];
    char first[64]; /* the address that the last request over `easy` reached */
} iw_http;

/* What goes out, what comes in. */
typedef struct iw_http_request {
    const char *method;         /* NULL: GET */
    const char *range;          /* "5-9", or NULL */
    struct curl_slist *headers; /* more of them, or NULL; borrowed */
    const char *data;           /* body, or NULL */
    size_t length;
    int file; /* body, or -1 */
    uint64_t file_from, file_length;
    const char *label; /* progress of a file's body; of `file_size` bytes in all */
    uint64_t file_size;
    bool head;        /* no body is wanted */
    bool plain;       /* any status is an answer, with its body; no redirect is followed */
    bool once;        /* not tried again by itself */
    const char *from; /* whose address led here: none that only the host there or its network
                         know is gone to; NULL: nobody's */
    size_t limit;     /* bytes of the answer */
    void (*header)(void *context, const char *line, size_t length);
    void *context;
    /* out */
    iw_buffer answer;
    long status;
    bool over;
    bool headed; /* the answer's headers came whole */
    /* own */
    iw_remote *remote;
    uint64_t at;
} iw_http_request;

int iw_http_open(iw_http *http, const iw_remote *remote, iw_error *err);
void iw_http_listen(iw_http *http, const iw_remote *remote);
void iw_http_close(iw_http *http);

/* Tries it some times, where that may help; a server's Retry-After is kept to up to a minute. A
 * CURLcode. */
CURLcode iw_http_send(iw_http *http, iw_remote *remote, const char *url, iw_http_request *request);
/* Waits as the last answer asks, at most a minute; else `attempt` seconds. */
void iw_http_pause(const iw_http *http, const iw_remote *remote, unsigned attempt);
/* -1, with the cause: `shown` is the address for people. */
int iw_http_explain(const iw_http *http, const iw_remote *remote, const char *shown,
                    const iw_http_request *request, CURLcode code, iw_error *err);

#endif
