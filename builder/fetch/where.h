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
/* Debian mirrors: the option, IRONWHEEL_DEBIAN_MIRROR (separated by spaces), apt's own, with
 * the security archive beside each. */
int iw_debian_mirrors(const iw_fetch_options *options, iw_strings *out, iw_error *err);

/* The addresses of one file of a project on the indexes, by its name. Pages are kept in `pages`. */
typedef struct iw_pypi_pages iw_pypi_pages;
iw_pypi_pages *iw_pypi_pages_new(void);
void iw_pypi_pages_free(iw_pypi_pages *pages);
int iw_pypi_find(iw_pypi_pages *pages, const iw_strings *indexes, const iw_source *source,
                 const iw_transfer_options *options, iw_strings *urls, iw_error *err);
/* What a project's page at the address `base` says of its files, of each name the first; `type` is
 * its Content-Type: JSON where that has "json" in it, else HTML. `text` ends in NUL. IW_E_FORMAT.
 * To be freed by the caller whatever comes of it. */
int iw_pypi_page_files(const char *text, const char *type, const char *base, iw_release_files *out,
                       iw_error *err);

/* One file of the Debian archive. Borrowed. */
typedef struct iw_debian_file {
    const char *package; /* the source package, as the pool's folder is called; "" with `path` */
    const char *version; /* of the package (a binary one: its own) */
    bool binary;
    const char *file;   /* its name */
    const char *path;   /* below a mirror ("pool/main/…") where that is known, else NULL */
    const char *area;   /* of the archive; NULL: main */
    const char *pinned; /* when the archive had it, "20261123T083542Z"; or NULL */
} iw_debian_file;
/* A wanted Debian file; false where it is something else. */
bool iw_debian_file_of(const iw_wanted *wanted, iw_debian_file *out);
/* Every address where it may be: each mirror, main and security layout. */
void iw_debian_urls(const iw_strings *mirrors, const iw_debian_file *file, iw_strings *urls);

#endif
