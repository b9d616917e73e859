/* A small server for a shared folder on a local network: GET and HEAD, ranges, ETags; nothing else.
 * Through libmicrohttpd. */
#ifndef IW_SHARE_SERVE_H
#define IW_SHARE_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct iw_server iw_server;

typedef struct iw_serve_options {
    const char *folder;
    const char *address; /* to listen at; NULL: 127.0.0.1 */
    uint16_t port;       /* 0: any */
    void (*served)(void *context, const char *method, const char *path,
                   unsigned status); /* or NULL */
    void *context;
} iw_serve_options;

/* Serves until iw_serve_stop. Only plain files below the folder, by names that iw_is_plain_name
 * takes, links never followed. *port: the one it listens at. */
int iw_serve_start(const iw_serve_options *options, iw_server **out, uint16_t *port, iw_error *err);
void iw_serve_stop(iw_server *server);

/* The parts of a Range header that are understood: one range of a file of `size` bytes. False: to
 * be answered with the whole. *bad: with 416. Pure. */
bool iw_serve_range(const char *header, uint64_t size, uint64_t *first, uint64_t *length,
                    bool *bad);

#endif
