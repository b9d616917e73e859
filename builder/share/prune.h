/* Removing blobs that nobody names any more. Internal to `share`. */
#ifndef IW_SHARE_PRUNE_H
#define IW_SHARE_PRUNE_H

#include "share/channel.h"
#include "share/remote.h"

#define IW_PRUNE_DAYS 7 /* for a rig that is still pulling what the channel named before */

/* `dropped`: blobs that the channel before this one named; those that aren't named now get today's
 * time, and go with a later prune. Blobs named by any channel, key file or manifest stay. A place
 * that can't be listed is left as it is, with a note. IW_E_FORMAT where another's channel can't be
 * read: then nothing is removed. */
int iw_prune(iw_remote *remote, const iw_channel *channel, const iw_strings *dropped,
             const iw_sink *sink, iw_error *err);

#endif
