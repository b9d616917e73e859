/* A bundle held against its own manifest, this tree, and a second build. */
#ifndef IW_DELIVER_VERIFY_H
#define IW_DELIVER_VERIFY_H

#include <jansson.h>

#include "deliver/session.h"

/* manifest.json of an unpacked environment; the caller has the reference. IW_E_FORMAT where it is
 * none. */
int iw_read_manifest(const char *environment, json_t **manifest, iw_error *err);
/* What the manifest says of packages against what this tree would build: a line for each
 * difference, "" where there is none. Caller frees. */
char *iw_compare_manifest(const iw_plan *plan, const json_t *manifest);
/* IW_E_CHECK where the files need another glibc than the manifest says. */
int iw_check_floor(const char *environment, const json_t *manifest, iw_error *err);
/* Builds the session's stack again below `work`: in another place, as another user, with another
 * number of jobs, an empty store, at another time, from the sources that are here. Its output goes
 * to standard error. *bundle: the file's path; caller frees. */
int iw_session_rebuild(const iw_session *session, const char *work, bool quiet, bool verbose,
                       char **bundle, iw_error *err);

#endif
