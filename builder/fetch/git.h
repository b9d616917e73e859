/* Git trees through libgit2. Internal to `fetch`. */
#ifndef IW_FETCH_GIT_H
#define IW_FETCH_GIT_H

#include "fetch/fetch.h"

/* Brings the commit's tree (with submodules at the commits that it pins) into the store as a
 * deterministic tar, whose SHA-256 must be the pinned one. http, https and ssh only; no user
 * configuration, filters, hooks or credentials. */
int iw_git_fetch(iw_store *store, const iw_source *source, const iw_fetch_options *options,
                 iw_error *err);

#endif
