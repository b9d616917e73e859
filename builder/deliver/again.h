/* A package built a second time, in a store of its own, whatever this rig's store holds of it: to
 * see whether others have built what its recipe says. */
#ifndef IW_DELIVER_AGAIN_H
#define IW_DELIVER_AGAIN_H

#include "deliver/session.h"

/* Builds the node from its sources, on the laid packages of the session's store, which must all be
 * there (IW_E_NOT_FOUND, naming them). Everything is below `work`, an empty folder on the store's
 * file system; *artifact is its file there, owned by the caller, `content` the digest of its
 * uncompressed tar. */
int iw_session_build_again(const iw_session *session, const iw_node *node, const char *work,
                           char **artifact, char content[IW_SHA256_HEX], iw_error *err);

#endif
