/* Debian's snapshot archive, which keeps every file that the archive ever had. Internal to `fetch`.
 * Its layout: below archive/debian/<time>/ and archive/debian-security/<time>/ the mirrors as they
 * were at that time; below mr/ answers in JSON about packages and versions; file/<SHA-1> a file.
 * Nothing that it says is believed: every file is held against our own SHA-256. */
#ifndef IW_FETCH_SNAPSHOT_H
#define IW_FETCH_SNAPSHOT_H

#include "fetch/fetch.h"
#include "fetch/transfer.h"
#include "fetch/where.h"

/* Its address, without a slash at the end: --debian-snapshot, else IRONWHEEL_DEBIAN_SNAPSHOT; what
 * follows "/archive" is left out. *root is NULL where none is given; caller frees. IW_E_USAGE where
 * it is no http(s) address. */
int iw_snapshot_root(const iw_fetch_options *options, char **root, iw_error *err);
/* Where the file was when it was pinned; nothing where that isn't known. */
void iw_snapshot_urls(const char *root, const iw_debian_file *file, iw_strings *urls);
/* Asks for the file by package, version and name. Adds at least one address; IW_E_NOT_FOUND where
 * the archive knows no such file. Blocks. */
int iw_snapshot_find(const char *root, const iw_debian_file *file,
                     const iw_transfer_options *options, iw_strings *urls, iw_error *err);

#endif
