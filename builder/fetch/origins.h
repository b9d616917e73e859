/* Where what is wanted may be had: each place is asked for when it is first needed. Internal to
 * `fetch`. */
#ifndef IW_FETCH_ORIGINS_H
#define IW_FETCH_ORIGINS_H

#include "fetch/crates.h"
#include "fetch/fetch.h"
#include "fetch/transfer.h"
#include "fetch/where.h"

typedef struct iw_origins {
    const iw_fetch_options *options;
    iw_transfer_options transfer;
    iw_strings indexes, mirrors;
    iw_error no_indexes, no_mirrors; /* why there are none: asking costs the start of a program */
    char *snapshot;                  /* address of Debian's snapshot archive, or NULL */
    iw_pypi_pages *pages;
    iw_registries registries;
    char *certificates, *import; /* import: of the mirror folder, absolute; or NULL */
    iw_strings misses; /* digest and message, in turn: what the mirror folder hadn't, or had wrongly
                        */
} iw_origins;

/* `options` must outlive it; free it in any case. IW_E_USAGE where an address can't be right. */
int iw_origins_open(const iw_fetch_options *options, iw_origins *out, iw_error *err);
void iw_origins_free(iw_origins *origins);
/* The addresses of one file, in the order of asking; not of a git tree or crates. */
int iw_origins_urls(iw_origins *origins, const iw_wanted *wanted, iw_strings *urls, iw_error *err);
/* Debian's mirrors in origins->mirrors; IW_E_ENVIRONMENT where none is known. */
int iw_origins_mirrors(iw_origins *origins, iw_error *err);

/* Local sources are in the tree; a crates source is a lock file inside another one: its crates are
 * files of their own. */
bool iw_wanted_is_file(const iw_wanted *wanted);
const char *iw_wanted_digest(const iw_wanted *wanted); /* borrowed */
char *iw_wanted_label(const iw_wanted *wanted);        /* the file's name; caller frees */

#endif
