/* Serving the sandbox's network filter: seccomp_unotify(2). */
#ifndef IW_WRAP_NETWORK_H
#define IW_WRAP_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Receives the filter's descriptor that iw-init sends over `socket_fd` (blocks until it comes or
 * the other end closes: then *listener is -1). */
int iw_network_receive(int socket_fd, int *listener, iw_error *err);

/* Handles one notification from `listener` (readable): local sockets and loopback go on; anything
 * else fails with ENETUNREACH and is reported through `report` as "tried to
 * reach 93.184.216.34:443" or "tried to resolve example.org". False when the filter has no process
 * left. */
bool iw_network_handle(int listener, void (*report)(void *context, const char *what),
                       void *context);

/* The question of a DNS message (RFC 1035, 4.1) as text; false where it isn't one. `name` has 256
 * bytes. Exposed for tests. */
bool iw_dns_name(const unsigned char *message, size_t length, char name[256]);

#endif
