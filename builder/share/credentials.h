/* Names and passwords for registries, from where skopeo, podman and docker keep them. Internal to
 * `share`. Never in argv, a log, an error or a URL. */
#ifndef IW_SHARE_CREDENTIALS_H
#define IW_SHARE_CREDENTIALS_H

#include "base/error.h"

typedef struct iw_credentials {
    char *user, *password; /* owned, as all here */
    char *identity;        /* a token to get tokens with, in place of a password; or NULL */
    char *from;            /* the file, or variables, for messages; NULL: there are none */
} iw_credentials;

/* For "host[:port]" and the repository there. In this order: IRONWHEEL_REGISTRY_USER and _PASSWORD
 * where IRONWHEEL_REGISTRY is that host; $REGISTRY_AUTH_FILE, or else
 * $XDG_RUNTIME_DIR/containers/auth.json, $XDG_CONFIG_HOME (~/.config)/containers/auth.json,
 * $DOCKER_CONFIG (~/.docker)/config.json; credential helpers that one of these names. None is no
 * error (`from` is NULL then). IW_E_FORMAT for a file that can't be read as such. */
int iw_credentials_find(const char *host, const char *name, iw_credentials *out, iw_error *err);
void iw_credentials_clear(iw_credentials *credentials); /* wipes them */
void iw_wipe(char **secret);                            /* wipes and frees; NULL is legal */
/* "Authorization: Basic …"; caller wipes. */
char *iw_credentials_basic(const iw_credentials *credentials);

#endif
