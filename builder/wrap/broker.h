/* The broker: gives slots to wrappers over sockets (protocol: ARCHITECTURE.md, Slots). Served from
 * its owner's poll loop; nothing here blocks. */
#ifndef IW_WRAP_BROKER_H
#define IW_WRAP_BROKER_H

#include "base/error.h"
#include "wrap/slots.h"

typedef struct iw_broker iw_broker;

/* What one package's wrappers did so far. */
typedef struct iw_broker_count {
    uint64_t compiles, links;         /* finished */
    uint64_t compile_peak, link_peak; /* MiB of the largest one */
} iw_broker_count;

/* Borrows `slots`. Caller closes. */
int iw_broker_open(iw_slots *slots, iw_broker **out, iw_error *err);
void iw_broker_close(iw_broker *broker);
/* One descriptor to poll for POLLIN; then iw_broker_handle. */
int iw_broker_fd(const iw_broker *broker);
void iw_broker_handle(iw_broker *broker);
/* Listens at `path` (made anew) for one package; `tag` is the caller's number for it. A compile
 * counts as `compile_mib`, a link as `link_mib`. */
int iw_broker_listen(iw_broker *broker, const char *path, size_t tag, uint64_t compile_mib,
                     uint64_t link_mib, iw_error *err);
/* Stops listening and takes back every slot of that package. */
void iw_broker_forget(iw_broker *broker, size_t tag);
iw_broker_count iw_broker_counted(const iw_broker *broker, size_t tag);

#endif
