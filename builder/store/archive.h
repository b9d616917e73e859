/* Archives in (with admission: nothing may land outside its folder) and out (deterministic),
 * through libarchive. */
#ifndef IW_STORE_ARCHIVE_H
#define IW_STORE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"

#define IW_ARCHIVE_TIME 315532800 /* 1980-01-01 00:00:00 UTC, the first a zip file can hold */

typedef struct iw_admission {
    unsigned strip;       /* leading path components dropped; an entry with no more is skipped */
    uint64_t max_entry;   /* bytes; 0: 8 GiB */
    uint64_t max_total;   /* bytes; 0: 64 GiB */
    uint64_t max_entries; /* 0: 4 million */
    unsigned max_ratio;   /* unpacked : packed bytes, checked above 64 MiB; 0: 1000 */
    bool set_times;       /* mtime of every file and folder = IW_ARCHIVE_TIME (true for sources and
                             artifacts) */
    bool root_links; /* toolchain roots: absolute links are allowed and are read as below the folder
                      */
    const iw_strings *skip;                                         /* globs left out, or NULL */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* compressed bytes; or NULL */
    void *context;
} iw_admission;

/* Unpacks tar (any compression libarchive knows), zip, wheel or cpio from `fd` below `folder`.
 * Refused with the entry's name (IW_E_FORMAT): absolute paths, `..`, links that lead out, hard
 * links to outside, writing through a link, devices, fifos, sockets, over-long or control-character
 * names, entries over a bound, bombs, encrypted entries; files with setuid, setgid or sticky bits
 * (a folder's are dropped: sdists from shared folders have them). Modes become 0755 or 0644. A file
 * may not replace a folder, nor a folder a file or link; a file may replace a file or link. Names
 * that aren't UTF-8 keep their bytes. What was unpacked before a refusal stays. `name` is for
 * messages. Reads from the descriptor's position; blocks; the thread's locale is changed and given
 * back. */
int iw_archive_unpack(int fd, const char *name, const char *folder, const iw_admission *admission,
                      iw_error *err);
/* The data.tar.* of a Debian binary package (ar container), same rules with root_links. */
int iw_archive_unpack_deb(int fd, const char *name, const char *folder,
                          const iw_admission *admission, iw_error *err);

typedef struct iw_packing {
    int level;          /* zstd level; 0: 3 */
    bool plain;         /* no compression: a tar whose SHA-256 is its content digest (git trees) */
    bool long_window;   /* 27 bits */
    const char *prefix; /* put before each path, e.g. "base-2026.11-k10", or NULL */
    const iw_strings *first; /* paths that come first in the tar (e.g. manifest.json), or NULL */
    bool (*keep)(void *context, const char *relative,
                 const struct stat *status); /* whether an entry goes in; NULL: all do */
    void (*progress)(void *context, uint64_t done,
                     uint64_t total); /* uncompressed bytes; or NULL */
    void *context;
} iw_packing;

typedef struct iw_packed {
    char content[IW_SHA256_HEX]; /* of the tar stream */
    char file[IW_SHA256_HEX];    /* of the compressed file */
    uint64_t content_size, file_size;
} iw_packed;

/* Writes `tree` as pax tar + zstd to `fd`: entries sorted by bytes within each folder, what a
 * folder holds right after it, uid and gid 0, no names, IW_ARCHIVE_TIME, modes 0755/0644, UTF-8
 * names whatever the locale, hard links as copies; the same tree gives the same bytes, with any
 * number of cores. Devices and sockets are an error. */
int iw_archive_pack(const char *tree, int fd, const iw_packing *packing, iw_packed *out,
                    iw_error *err);
/* Content digest of a packed file: of its whole tar, uncompressed. IW_E_FORMAT where it is no whole
 * zstd stream. Reads from the start, whatever the descriptor's position. */
int iw_archive_content(int fd, const char *name, char content[IW_SHA256_HEX], iw_error *err);
/* Writes `tree` as a zip file: entries in the order of iw_walk, without folders, times of 1980,
 * modes 0755/0644; the same tree gives the same bytes with the same libarchive and zlib. Links are
 * an error (IW_E_FORMAT). Not durable. */
int iw_archive_zip(const char *tree, const char *path, iw_error *err);
/* Content digest of a tree, as if packed. */
int iw_archive_digest(const char *tree, char content[IW_SHA256_HEX], iw_error *err);

#endif
