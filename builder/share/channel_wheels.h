/* The wheels that a channel names: who still has use of them, and since when nobody has. Internal
 * to `share`. */
#ifndef IW_SHARE_CHANNEL_WHEELS_H
#define IW_SHARE_CHANNEL_WHEELS_H

#include "share/channel.h"

/* Of a channel's JSON: {SHA-256: {file, label, size, bundles, dropped}}; NULL is none. False where
 * a field is wrong. */
bool iw_channel_read_wheels(iw_channel *channel, json_t *all);
json_t *iw_channel_write_wheels(const iw_channel *channel); /* a new reference */

const iw_offered_wheel *iw_channel_wheel(const iw_channel *channel, const char *sha256);
/* Adds it, or `bundle` to those that it is of; NULL: of none, so that it stays for good. */
void iw_channel_put_wheel(iw_channel *channel, const iw_offered_wheel *wheel, const char *bundle);
/* The bundle has another name now; NULL: it is gone, and wheels of it alone are of nobody. */
void iw_channel_rename_wheels(iw_channel *channel, const char *bundle, const char *name);
/* Gives those of nobody the time since when that is so; what has been so for a month is no longer
 * named. */
void iw_channel_age_wheels(iw_channel *channel, uint64_t now);
/* Why all bundles that it is of were withdrawn; NULL where one wasn't, or it is of none. */
const char *iw_channel_wheel_withdrawn(const iw_channel *channel, const iw_offered_wheel *wheel);

#endif
