/* What was seen of each key: so that nothing older, and no second version of the same, is taken
 * later. Internal to `share`. */
#ifndef IW_SHARE_SEEN_H
#define IW_SHARE_SEEN_H

#include "share/trust.h"

/* The newest time that a believed signature named, or 0. */
uint64_t iw_seen_clock(const iw_trust *trust);
int iw_seen_time(const iw_trust *trust, uint64_t issued, iw_error *err);

/* IW_E_DIGEST for a version below the highest that this place has shown (rollback), and for other
 * bytes of a version that any place has shown (equivocation). */
int iw_seen_judge(const iw_trust *trust, const char *id, const char *where, const iw_stamp *stamp,
                  const char *what, iw_error *err);
/* Remembers it, durably: nothing is written where it was known. */
int iw_seen_note(const iw_trust *trust, const char *id, const char *where, const iw_stamp *stamp,
                 const char *text, iw_error *err);
/* From now on at least that version must stand there; no more of the stamp is read. */
int iw_seen_least(const iw_trust *trust, const char *id, const char *where, const iw_stamp *stamp,
                  iw_error *err);
/* The document of a stamp, where it was read before; caller frees *text. */
bool iw_seen_document(const iw_trust *trust, const iw_stamp *stamp, char **text, size_t *length);

#endif
