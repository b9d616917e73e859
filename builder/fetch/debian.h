/* The index of a Debian archive, and what a set of packages needs. Internal to `fetch`. Formats:
 * deb-version(7), deb-control(5), and the Debian wiki's "DebianRepository/Format". */
#ifndef IW_FETCH_DEBIAN_H
#define IW_FETCH_DEBIAN_H

#include "fetch/fetch.h"
#include "fetch/transfer.h"

/* Below, at or above 0 as `a` is older, the same, or newer. Any text is compared; no text is an
 * error. */
int iw_debian_compare(iw_slice a, iw_slice b);

/* One stanza of a Packages file. Slices point into the index's text; `name`, `version`, `file`,
 * `sha256` and `size` are checked, the relations are not. */
typedef struct iw_debian_package {
    iw_slice name, version, file, sha256, depends, pre_depends, provides;
    uint64_t size;
} iw_debian_package;

typedef struct iw_debian_index iw_debian_index;

iw_debian_index *iw_debian_index_new(void);
void iw_debian_index_free(iw_debian_index *index);
/* Takes over `text` (a Packages file, malloc'd, NUL-terminated). A version that is there already
 * isn't replaced: so add the main suite first. A stanza without a name, version, file, digest or
 * size, or with one that can't be right, is IW_E_FORMAT with `what` and its line. */
int iw_debian_index_add(iw_debian_index *index, char *text, const char *what, iw_error *err);
size_t iw_debian_index_count(const iw_debian_index *index); /* names */

/* `roots` and all that they need by Depends and Pre-Depends, each in its newest version, sorted by
 * name. Of alternatives the first that resolves is taken; a virtual name is given by a package that
 * is chosen anyway, else by the first one, by name, that provides it. IW_E_NOT_FOUND names what
 * can't be had, and what needs it. `*out` (borrowed packages) is the caller's to free. */
int iw_debian_resolve(iw_debian_index *index, const iw_list *roots, const iw_debian_package ***out,
                      size_t *count, iw_error *err);

/* Where an archive's index is asked for. */
typedef struct iw_debian_archive {
    const iw_strings *mirrors;
    const char *keyring; /* file of OpenPGP keys for gpgv */
    char *folder;        /* an empty folder to work in */
    const iw_transfer_options *transfer;
} iw_debian_archive;

/* `mirrors` and `transfer` must outlive it. The keyring is IRONWHEEL_DEBIAN_KEYRING, else the file
 * of Debian's package debian-archive-keyring. Close it in any case: the folder goes. */
int iw_debian_archive_open(const iw_strings *mirrors, const iw_transfer_options *transfer,
                           iw_debian_archive *out, iw_error *err);
void iw_debian_archive_close(iw_debian_archive *archive);

/* One list of a suite ("main/binary-amd64/Packages"): InRelease of the first mirror that has it,
 * its signature verified, not expired, of that suite; then the list by the digests in it. *text and
 * *where (its address, for messages) are the caller's, NULL where every mirror answers that it
 * doesn't have the suite. Blocks. */
int iw_debian_list_fetch(const iw_debian_archive *archive, const char *suite, const char *list,
                         char **text, char **where, iw_error *err);
/* Adds main/binary-amd64 of one suite to the index; *found as above. */
int iw_debian_index_fetch(iw_debian_index *index, const iw_debian_archive *archive,
                          const char *suite, bool *found, iw_error *err);

/* Seconds since 1970 of "Mon, 23 Nov 2026 08:00:00 UTC"; -1 where it isn't such a date. */
int64_t iw_debian_time(iw_slice text);

#endif
