/* What Debian's signed indexes say of files, by their names. Internal to `fetch`. */
#ifndef IW_FETCH_LISTED_H
#define IW_FETCH_LISTED_H

#include "fetch/transfer.h"

typedef struct iw_listed_file {
    char *name; /* as in the pool, without a folder */
    bool source, found;
    char sha256[IW_SHA256_HEX];
    uint64_t size;
} iw_listed_file;

/* Zero-initialise. */
typedef struct iw_listed {
    iw_listed_file *items;
    size_t count, capacity, missing;
    bool read;     /* an index was */
    bool complete; /* every index that may have them was read */
} iw_listed;

void iw_listed_free(iw_listed *listed);
/* `source`: a source package's file. */
void iw_listed_want(iw_listed *listed, const char *name, bool source);
/* Looks for them in the packages and sources of these suites, then of stable, oldstable, testing
 * and unstable, each with its security fixes and updates, until all are found. Blocks. */
int iw_listed_read(iw_listed *listed, const iw_strings *first, const iw_strings *mirrors,
                   const iw_transfer_options *transfer, iw_error *err);
/* False where no index lists it. */
bool iw_listed_find(const iw_listed *listed, const char *name, const char **sha256, uint64_t *size);

/* Takes what one list says: a Packages or Sources file; anything that isn't right in it is passed
 * over. */
void iw_listed_take(iw_listed *listed, const char *text);

#endif
