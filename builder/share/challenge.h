/* What a registry says about logging in: WWW-Authenticate (RFC 9110, 11.6.1) and the answer of a
 * token service (the distribution project's token authentication). From a stranger, so: bounds.
 * Internal to `share`. */
#ifndef IW_SHARE_CHALLENGE_H
#define IW_SHARE_CHALLENGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define IW_TOKEN_LIMIT ((size_t)65536) /* bytes of one token */

typedef enum iw_auth { IW_AUTH_NONE, IW_AUTH_OTHER, IW_AUTH_BASIC, IW_AUTH_BEARER } iw_auth;

typedef struct iw_challenge {
    iw_auth kind;
    char *realm, *service, *scope; /* owned; NULL where it says none */
} iw_challenge;

/* Takes, of one header's value, what is better than what `challenge` holds: bearer with a realm
 * before basic before what isn't known here. Zero-initialise; several headers may follow. */
void iw_challenge_read(iw_challenge *challenge, const char *value, size_t length);
void iw_challenge_clear(iw_challenge *challenge);

/* token or access_token, and how long it is good (60 where it doesn't say). IW_E_FORMAT, without
 * any of the text. *token owned by the caller, who wipes it. */
int iw_token_read(const char *text, size_t length, char **token, uint64_t *seconds, iw_error *err);

#endif
