/* A bundle unpacked while it comes. What is signed is the list of its pieces, too (fetch/pieces.h):
 * a byte goes to the decompressor once the piece that it is in is known to be right, and not
 * before. Internal to `share`. */
#ifndef IW_SHARE_STREAM_H
#define IW_SHARE_STREAM_H

#include "store/archive.h"

typedef struct iw_stream iw_stream;

/* Begins, in a thread: what is or will be at `part` goes below `folder`. All is borrowed until
 * iw_stream_finish, which frees. */
iw_stream *iw_stream_start(const char *part, const char *name, const char *folder,
                           const iw_packed *expected);
/* So many bytes of it are right from now on; fewer than before, where it is begun anew: then it is
 * told before any of them changes. False: no more is wanted, for unpacking has failed. For
 * iw_remote_want. */
bool iw_stream_verified(void *stream, uint64_t bytes);
/* `whole`: all of it is there and right; else it won't come. Waits. IW_E_CANCELLED where it didn't
 * come; all else is what unpacking met. */
int iw_stream_finish(iw_stream *stream, bool whole, iw_error *err);

#endif
