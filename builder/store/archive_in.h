/* Unpacking a stream that another part of the store verifies. For `store`, and for `share`, which
 * knows the digests beforehand, too. */
#ifndef IW_STORE_ARCHIVE_IN_H
#define IW_STORE_ARCHIVE_IN_H

#include <locale.h>

#include "store/archive.h"

/* Unpacks a zstd-compressed tar as iw_archive_pack writes it, and checks both digests. Files that
 * are there already must be the same (IW_E_FORMAT otherwise; the path in *conflict, owned by the
 * caller). On any failure what was made is removed again; IW_E_DIGEST where a digest differs or the
 * compressed stream is broken. `folder` NULL: only checks. */
int iw_archive_lay(int fd, const char *name, const char *folder, const iw_strings *skip,
                   const iw_packed *expected, char **conflict, iw_error *err);

/* libarchive turns names from UTF-8 into the locale's: a locale of this thread that has UTF-8 keeps
 * them, whatever the user's is. The first gives what the second puts back. */
locale_t iw_enter_utf8(locale_t *old);
void iw_leave_utf8(locale_t locale, locale_t old);

/* Calls `each` with the cleaned path of every member that is no folder, until it returns nonzero
 * (which is returned). */
int iw_archive_members(int fd, const char *name, int (*each)(void *context, const char *path),
                       void *context, iw_error *err);

#endif
