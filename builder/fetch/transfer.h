/* Downloads through libcurl: many at once, resumed, retried, verified. Internal to `fetch`. */
#ifndef IW_FETCH_TRANSFER_H
#define IW_FETCH_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event.h"
#include "base/hash.h"
#include "base/text.h"

/* One file to bring. The caller owns the struct and its strings. */
typedef struct iw_transfer {
    char *label;     /* file name, for messages */
    iw_strings urls; /* tried in order; a local path ("/…") is copied */
    char sha256[IW_SHA256_HEX];
    uint64_t size;             /* exact, where known; else 0 */
    char *part;                /* where it is written; kept when it breaks off, and continued */
    const char *authorization; /* "Authorization: …", never sent to another host; or NULL */
    /* Digests of its pieces (pieces.h), which fit its size, and what is told whenever more of the
     * part file is right, or less because it is begun anew: before any byte of it changes. What it
     * returns says whether the rest is still wanted. NULL: none. */
    const char *pieces;
    uint64_t piece;
    bool (*verified)(void *context, uint64_t bytes);
    void *context;
    bool named;   /* its address names its bytes: what is there is continued without asking whether
                     the file has changed */
    bool quiet;   /* no event where it fails: there is another way yet */
    bool done;    /* verified and complete at `part` */
    long status;  /* the last answer, where that was an error */
    iw_error err; /* why not; IW_E_NOT_FOUND: every address answers that it isn't there */
} iw_transfer;

void iw_transfer_clear(iw_transfer *transfer);

typedef struct iw_transfer_options {
    unsigned parallel;
    int cancel;               /* readable: stop; or -1 */
    const char *certificates; /* CA file, or NULL: curl's default */
    const iw_sink *sink;
    double backoff; /* seconds before the first retry; 0: 1 s (tests make it short) */
    unsigned stall; /* seconds without data before a try is given up; 0: 60 */
    unsigned tries; /* per address; 0: 5 */
} iw_transfer_options;

/* The address that a request went to first: no redirect may lead from there to another one that
 * only this host or its network knows. */
typedef struct iw_transfer_guard {
    void *easy; /* with a curl before 7.80 */
    char first[64];
    bool known; /* `first` is whose address led here */
    bool refused;
} iw_transfer_guard;

#define IW_TRANSFER_LIMIT (UINT64_C(32) << 30) /* bytes of one file whose size isn't known */

/* Runs all; each ends with `done` or `err`. -1 only when cancelled (IW_E_CANCELLED) or curl can't
 * start. */
int iw_transfer_all(iw_transfer *transfers, size_t count, const iw_transfer_options *options,
                    iw_error *err);

/* What every request of ours has; `easy` is a fresh CURL handle. */
void iw_transfer_prepare(void *easy, const char *url, const iw_transfer_options *options);
/* Has that looked after, for the next request of `easy`; `guard` must live until it has ended.
 * `from`: the address of the host that led here, from a request before; or NULL. */
void iw_transfer_watch(void *easy, iw_transfer_guard *guard, const char *from);
/* For each line of an answer's headers: *whole once their end has come. libcurl calls an answer
 * that breaks off in its headers an empty one. */
void iw_transfer_see_header(const char *line, size_t length, bool *whole);
/* Whether a failure (CURLcode, HTTP status or 0) may pass, so that it is worth another try. */
bool iw_transfer_may_pass(int code, long status);
bool iw_transfer_cancelled(const iw_transfer_options *options);

/* An address for messages: without a user's name and password. Caller frees. */
char *iw_transfer_shown(const char *url);

/* A small page into memory (at most `limit` bytes, unpacked). `accept` may be NULL; *type (may be
 * NULL) gets the Content-Type; *final_url (may be NULL) the address after redirects. All owned by
 * the caller. */
int iw_transfer_page(const char *url, const char *accept, size_t limit,
                     const iw_transfer_options *options, char **out, size_t *length, char **type,
                     char **final_url, iw_error *err);

#endif
