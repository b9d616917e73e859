/* The sources of hosts/sources.txt, which bootstrap compiles in, as things to fetch. */
#ifndef IW_FETCH_PINNED_H
#define IW_FETCH_PINNED_H

#include "fetch/fetch.h"

enum { IW_PINNED_LIMIT = 16 };

typedef struct iw_pinned {
    iw_source sources[IW_PINNED_LIMIT]; /* every row; several may be one name's, in order */
    size_t count;
    const char *names[IW_PINNED_LIMIT]; /* of each row; points into text */
    char *text;
} iw_pinned;

/* Reads the file below `root`; where there is none, `count` is 0. IW_E_FORMAT names a row that
 * isn't right. Free with iw_pinned_clear. */
int iw_pinned_read(const char *root, iw_pinned *out, iw_error *err);
void iw_pinned_clear(iw_pinned *pinned);
/* One of each name: the first that the store has, else the first. `wanted` has room for
 * IW_PINNED_LIMIT and borrows from `pinned`. Returns how many. */
size_t iw_pinned_wanted(iw_store *store, const iw_pinned *pinned, iw_wanted *wanted);

#endif
