/* What a build gives to a remote, as `push` does. Internal to `cli`. */
#ifndef IW_CLI_GIVING_H
#define IW_CLI_GIVING_H

#include "cli/session.h"
#include "cli/sharing.h"

typedef struct iw_giving {
    iw_trust *trust;
    iw_remote *remote;
    char *passphrase;
} iw_giving;

/* Before hours of work: that there is a key, its passphrase, and that the place's name is one. To
 * be closed in any case. */
int iw_giving_open(iw_context *context, const char *place, iw_giving *giving, iw_error *err);
/* This node's artifact; or, with NULL, all of the session's plan and, where it has one, its bundle.
 */
int iw_giving_push(iw_context *context, iw_giving *giving, const iw_session *session,
                   const iw_node *only, iw_error *err);
void iw_giving_close(iw_giving *giving);

#endif
