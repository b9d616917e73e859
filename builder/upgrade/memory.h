/* What a run learned of releases: a draft that is made anew, because one of its packages taught
 * something, asks no index and unpacks no sources twice. Internal to `upgrade`. */
#ifndef IW_UPGRADE_MEMORY_H
#define IW_UPGRADE_MEMORY_H

#include <stdbool.h>

#include "upgrade/metadata.h"
#include "upgrade/release.h"

/* All of it does nothing where release->memory is NULL. */

/* Sets `to`, `moves` and `exists` as they were chosen by the same rules; false: never yet. */
bool iw_memory_choice(iw_release *release);
void iw_memory_keep_choice(iw_release *release);

/* Writes what trying these sources wrote into the draft, and gives what it found; false where it
 * wasn't done yet, or where a file that it changed isn't what it was then. The caller clears both.
 */
bool iw_memory_replay(iw_release *release, iw_metadata *before, iw_metadata *after);
/* From here on, what is written into the draft is noted; until `end`, which keeps it where `good`.
 */
void iw_memory_begin(iw_release *release);
void iw_memory_note(const iw_release *release, const char *relative, const char *text);
void iw_memory_end(iw_release *release, bool good, const iw_metadata *before,
                   const iw_metadata *after);

#endif
