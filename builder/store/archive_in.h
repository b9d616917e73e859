/* Unpacking a stream that another part of the store verifies. For `store`, and for `share`, which
 * knows the digests beforehand, too. */
#ifndef IW_STORE_ARCHIVE_IN_H
#define IW_STORE_ARCHIVE_IN_H

#include <locale.h>
#include <sys/types.h>

#include "store/archive.h"

/* Unpacks a zstd-compressed tar as iw_archive_pack writes it, and checks both digests. Files that
 * are there already must be the same (IW_E_FORMAT otherwise; the path in *conflict, owned by the
 * caller). On any failure what was made is removed again; IW_E_DIGEST where a digest differs or the
 * compressed stream is broken. `folder` NULL: only checks. */
int iw_archive_lay(int fd, const char *name, const char *folder, const iw_strings *skip,
                   const iw_packed *expected, char **conflict, iw_error *err);

/* Where bytes come from that are verified already when they are read: fills at most `size` bytes
 * of what stands at `at`, waiting for it where it must. 0: the end; -1: errno. Called from another
 * thread. */
typedef struct iw_archive_source {
    ssize_t (*read)(void *context, void *buffer, size_t size, uint64_t at);
    void (*stop)(void *context); /* no more is wanted: `read` returns at once from now on */
    void *context;
} iw_archive_source;

/* The same from such a source: the digest of the compressed file is left to it. What is written is
 * sent on to the disk at once, so that a sync at the end has little left to wait for. */
int iw_archive_lay_from(const iw_archive_source *source, const char *name, const char *folder,
                        const iw_packed *expected, iw_error *err);

/* libarchive turns names from UTF-8 into the locale's: a locale of this thread that has UTF-8 keeps
 * them, whatever the user's is. The first gives what the second puts back. */
locale_t iw_enter_utf8(locale_t *old);
void iw_leave_utf8(locale_t locale, locale_t old);

/* Calls `each` with the cleaned path of every member that is no folder, until it returns nonzero
 * (which is returned). */
int iw_archive_members(int fd, const char *name, int (*each)(void *context, const char *path),
                       void *context, iw_error *err);
/* The first file of at most `limit` bytes whose cleaned path matches `glob`: *text (owned by the
 * caller), or NULL. Reads no further, so that no digest is known. */
int iw_archive_text(int fd, const char *name, const char *glob, size_t limit, char **text,
                    iw_error *err);

#endif
