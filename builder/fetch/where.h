/* Where things are fetched from: what pip, apt and the environment are configured with. Internal to
 * `fetch`. */
#ifndef IW_FETCH_WHERE_H
#define IW_FETCH_WHERE_H

#include "fetch/fetch.h"
#include "fetch/transfer.h"

/* Simple indexes in the order they are asked, e.g. "https://…/simple", without a slash at the end:
 * --index-url, else PIP_INDEX_URL and PIP_EXTRA_INDEX_URL, else pip's configuration files, else the
 * default that pip itself has. IW_E_ENVIRONMENT, naming the options, where nothing is configured
 * and there is no pip to ask. */
int iw_pypi_indexes(const iw_fetch_options *options, iw_strings *out, iw_error *err);
/* pip's `cert`: PIP_CERT or its configuration; NULL where there is none. Caller frees. */
char *iw_pypi_certificates(void);
/* Debian mirrors: the option, IRONWHEEL_DEBIAN_MIRROR (separated by spaces), apt's own,
 * IRONWHEEL_DEBIAN_SNAPSHOT last. */
int iw_debian_mirrors(const iw_fetch_options *options, iw_strings *out, iw_error *err);

/* The addresses of one file of a project on the indexes, by its name. Pages are kept in `pages`. */
typedef struct iw_pypi_pages iw_pypi_pages;
iw_pypi_pages *iw_pypi_pages_new(void);
void iw_pypi_pages_free(iw_pypi_pages *pages);
int iw_pypi_find(iw_pypi_pages *pages, const iw_strings *indexes, const iw_source *source,
                 const iw_transfer_options *options, iw_strings *urls, iw_error *err);
/* Every address where a Debian file may be: each mirror, main and security layout. `path` is below
 * pool/ for binary toolchain packages
 * ("pool/main/…"), else NULL and made from the source package's name. */
void iw_debian_urls(const iw_strings *mirrors, const char *source, const char *file,
                    const char *path, iw_strings *urls);

#endif
