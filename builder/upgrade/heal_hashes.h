/* Digests that requirements ask for, held against what `heal` takes. Internal to the room. */
#ifndef IW_UPGRADE_HEAL_HASHES_H
#define IW_UPGRADE_HEAL_HASHES_H

#include "triage/requirement.h"

typedef enum iw_hashes {
    IW_HASHES_NONE,    /* no line about it asks for a digest */
    IW_HASHES_KEPT,    /* the file is one that every such line names */
    IW_HASHES_REFUSED, /* a line names others */
    IW_HASHES_OTHER    /* the lines are about another version: their digests say nothing of it */
} iw_hashes;

/* A file of `name` in that version with that digest (NULL: no file of the index). *place (owned;
 * NULL with IW_HASHES_NONE) is the line it is about: "requirements.txt:3". */
iw_hashes iw_hashes_hold(const iw_requirements *all, const char *name, const char *version,
                         const char *sha256, char **place);

#endif
