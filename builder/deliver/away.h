/* Building on another machine of this user's: recipes, sources and packages that this rig has and
 * the box lacks go there, and a key made for this one run; Ironwheel over there builds; what it
 * signs with that key comes back as from any remote, audited here. */
#ifndef IW_DELIVER_AWAY_H
#define IW_DELIVER_AWAY_H

#include "deliver/session.h"

/* Has ssh://[user@]host[:port][/folder] (default: ~/ironwheel-box there) build what the plan has to
 * build, and takes it; the plan is a new one afterwards. Whatever goes wrong over there is told in
 * one line, and no error: the packages are then still to be built here. -1 only for a wrong
 * address, when cancelled (the box stops, too), and where this rig's own disk fails. */
int iw_session_build_away(iw_session *session, const char *address, iw_error *err);

#endif
