/* A client of one repository at a registry: token and basic authentication, redirects, waiting as
 * asked. Credentials and tokens go to the registry itself and to the token service that it names,
 * to no other host, and never unencrypted beyond this machine. Internal to `share`. */
#ifndef IW_SHARE_REGISTRY_H
#define IW_SHARE_REGISTRY_H

#include "share/challenge.h"
#include "share/credentials.h"
#include "share/http.h"

typedef struct iw_registry {
    iw_http http;
    iw_remote *remote;
    char *host, *name; /* "host[:port]", repository */
    char *origin;      /* "https://host[:port]" */
    char address[64];  /* that it was reached at */
    bool plain;        /* http */
    bool looked;       /* for credentials */
    iw_credentials credentials;
    iw_challenge challenge;     /* the last one */
    char *authorization;        /* header, or NULL */
    double good_until;          /* by iw_now; 0: as long as it is taken */
    char absent[IW_SHA256_HEX]; /* of the blob that it was asked for last, and didn't have */
    iw_strings held;            /* small blobs that this run has put there or found there */
} iw_registry;

typedef struct iw_registry_request {
    const char *method, *url; /* absolute */
    const char *accept, *type, *content_range, *range;
    const char *data; /* body; "" for none where the method wants a length */
    size_t length;
    int file; /* body, or -1 */
    uint64_t file_from, file_length, file_size;
    const char *label;
    size_t limit; /* of the answer; 0: IW_HTTP_ANSWER */
    bool push;    /* asks for more than reading */
    bool once;    /* not tried again by itself */
} iw_registry_request;

typedef struct iw_reply {
    long status;
    iw_buffer body;
    char *location; /* absolute, or NULL; owned */
    char *range, *digest;
    uint64_t chunk;  /* OCI-Chunk-Min-Length, or 0 */
    uint64_t length; /* Content-Length, or 0 */
    bool subject;    /* OCI-Subject: it looks after referrers */
    bool from_other; /* not the registry itself answered */
    bool over;       /* longer than the limit */
    bool astray;     /* it has a Location that isn't taken */
} iw_reply;

/* IW_E_USAGE for an address that isn't one. `plain`: http also where it isn't this machine. */
int iw_registry_open(iw_registry *registry, iw_remote *remote, const char *address, bool plain,
                     iw_error *err);
void iw_registry_close(iw_registry *registry);

/* "<origin>/v2/<name>/<path>"; caller frees. */
char *iw_registry_url(const iw_registry *registry, const char *path);
/* 0 with whatever status it answers in the end, after logging in where it asks for that, and after
 * redirects. -1 where no answer came (IW_E_NETWORK), one that is too long (IW_E_FORMAT), or where
 * logging in didn't work (IW_E_NETWORK, saying where credentials belong). */
int iw_registry_ask(iw_registry *registry, const iw_registry_request *request, iw_reply *reply,
                    iw_error *err);
void iw_reply_clear(iw_reply *reply);
int iw_registry_astray(const iw_registry *registry, iw_error *err); /* -1, saying so */
/* -1: what an answer that isn't wanted means. IW_E_NOT_FOUND for 404, 406 and 410. */
int iw_registry_refused(const iw_registry *registry, const char *what, const iw_reply *reply,
                        iw_error *err);

#endif
