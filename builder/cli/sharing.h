/* What the commands about keys and remotes share. Internal to `cli`. */
#ifndef IW_CLI_SHARING_H
#define IW_CLI_SHARING_H

#include "cli/context.h"
#include "share/push.h"
#include "share/trust.h"

/* The passphrase of a key file: NULL where it has none, else IRONWHEEL_PASSPHRASE, else asked for
 * on the terminal. *out owned by the caller, who wipes it with iw_forget. */
int iw_ask_passphrase(iw_context *context, const char *key, char **out, iw_error *err);
/* A new one, asked for twice; or IRONWHEEL_PASSPHRASE. */
int iw_ask_new_passphrase(iw_context *context, const char *what, char **out, iw_error *err);
void iw_forget(char **secret); /* wipes and frees */

/* A yes on the terminal; IW_E_USAGE, naming `instead`, where there is none. */
int iw_confirm(iw_context *context, const char *question, const char *instead, bool *yes,
               iw_error *err);

/* The remote of a name or an address, with the context's display and Ctrl-C. */
int iw_context_remote(iw_context *context, const iw_trust *trust, const char *name, iw_remote **out,
                      iw_error *err);
/* "id  words  owner" lines for people. Caller frees. */
char *iw_key_told(const iw_public_key *key);
/* What a push did: one line, or one of JSON. */
void iw_say_pushed(iw_context *context, const iw_remote *remote, const iw_pushed *done);

#endif
