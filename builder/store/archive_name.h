/* Names of archive entries: which are admitted, and how they are printed. Pure. Internal to
 * `store`. */
#ifndef IW_STORE_ARCHIVE_NAME_H
#define IW_STORE_ARCHIVE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define IW_NAME_LIMIT 255  /* bytes of one component */
#define IW_PATH_LIMIT 4000 /* bytes of a whole path, or of a link's target */
#define IW_DEPTH_LIMIT 200 /* components */

/* Cleans an entry's name: `.` and empty components go, then the first `strip` ones. *out (caller
 * frees) is NULL where nothing is left. Returns NULL, or why the name is refused, as text that
 * follows it in a message ("is absolute"). A name that isn't UTF-8 is kept as it is. */
const char *iw_name_admit(const char *name, unsigned strip, char **out);

/* Why a link's target is refused, or NULL. `path`: the link's own cleaned path. With `root_links` a
 * target is read as below the root. *look: it must be followed through the finished tree, because a
 * `..` stands behind a name, which may be a link itself. */
const char *iw_name_admit_link(const char *path, const char *target, bool root_links, bool *look);

/* The name in quotes, with control characters and bytes that aren't UTF-8 as \xNN, cut after some
 * 200 bytes; caller frees. */
char *iw_name_quote(const char *name);

bool iw_name_is_utf8(const char *text);

#endif
