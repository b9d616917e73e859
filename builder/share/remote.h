/* Places that hold what is shared: a folder, https:// (http:// too), ssh://[user@]host[:port]/dir,
 * oci://registry[:port]/name (oci+http:// unencrypted).
 * All names are relative paths of plain components. A write replaces a file as a whole or not at
 * all, wherever the place can do that. */
#ifndef IW_SHARE_REMOTE_H
#define IW_SHARE_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event.h"
#include "base/hash.h"
#include "base/text.h"

typedef struct iw_remote_options {
    const iw_sink *sink;
    int cancel;        /* readable: stop; -1: none */
    bool hurried;      /* for a build's cache: what takes longer than some seconds is an error, and
                          nothing is tried twice */
    unsigned parallel; /* downloads at once; 0: 6 */
    const char *state; /* folder for uploads that broke off, to go on with later (registries);
                          made where needed; or NULL */
} iw_remote_options;

typedef struct iw_remote iw_remote;

/* One file to bring by its digest. */
typedef struct iw_remote_want {
    const char *path, *label;
    const char *sha256;
    uint64_t size;
    const char *part; /* where it is written; continued where it is there already */
    /* As of iw_transfer (fetch/transfer.h): places that can, tell early how much of it is right. */
    const char *pieces;
    uint64_t piece;
    bool (*verified)(void *context, uint64_t bytes);
    void *context;
    bool done;
    iw_error err; /* why not; to be cleared by the caller */
} iw_remote_want;

typedef struct iw_remote_entry {
    const char *name; /* borrowed */
    uint64_t size;
    int64_t changed; /* seconds since 1970 */
} iw_remote_entry;

/* Only takes the address apart; nothing is reached yet. IW_E_USAGE. Caller closes. */
int iw_remote_open(const char *where, const iw_remote_options *options, iw_remote **out,
                   iw_error *err);
void iw_remote_close(iw_remote *remote);
const char *iw_remote_where(const iw_remote *remote); /* cleaned, without a password; borrowed */
/* From here on progress is told there, and that descriptor stops it. */
void iw_remote_listen(iw_remote *remote, const iw_sink *sink, int cancel);
bool iw_remote_is_folder(const iw_remote *remote);
/* It has manifests (below), and of files only blobs and signed documents. */
bool iw_remote_is_registry(const iw_remote *remote);

/* A small file, at most `limit` bytes; IW_E_NOT_FOUND where there is none, IW_E_NETWORK where the
 * place can't be reached. *out owned by the caller. */
int iw_remote_read(iw_remote *remote, const char *path, size_t limit, char **out, size_t *length,
                   iw_error *err);
/* A part of a file, for looking at what was written: at most `length` bytes from `offset`. Where
 * the place knows no ranges: IW_E_NETWORK. */
int iw_remote_read_part(iw_remote *remote, const char *path, uint64_t offset, size_t length,
                        char **out, size_t *got, iw_error *err);
/* Brings all; each ends with `done` (its size and digest are right) or `err`. -1 only when
 * cancelled. */
int iw_remote_fetch(iw_remote *remote, iw_remote_want *wants, size_t count, iw_error *err);
int iw_remote_stat(iw_remote *remote, const char *path, bool *found, uint64_t *size, iw_error *err);
int iw_remote_write(iw_remote *remote, const char *path, const void *data, size_t length,
                    iw_error *err);
/* A large file, from `file`; what an earlier try left of it is continued where the place can. */
int iw_remote_upload(iw_remote *remote, const char *path, const char *file, uint64_t size,
                     iw_error *err);
/* Another name for a file that is there: a hard link, or a copy made over there. *done false where
 * the place can do neither. */
int iw_remote_alias(iw_remote *remote, const char *path, const char *name, bool *done,
                    iw_error *err);
/* IW_E_NOT_FOUND where the place can't list (plain https). Names that aren't plain are left out. */
int iw_remote_list(iw_remote *remote, const char *folder,
                   int (*each)(void *context, const iw_remote_entry *entry, iw_error *err),
                   void *context, iw_error *err);
int iw_remote_remove(iw_remote *remote, const char *path, iw_error *err); /* missing: no error */
/* Gives a file today's time, so that nobody prunes it as an old one. */
int iw_remote_touch(iw_remote *remote, const char *path, iw_error *err);
/* For registries. An OCI manifest whose blobs are there, under the name of a bundle or the like;
 * or, where `name` is NULL, as a referrer of the manifest with the digest `subject`. IW_E_FORMAT
 * above 4 MiB; IW_E_NOT_FOUND where a blob that it names isn't there. */
int iw_remote_manifest(iw_remote *remote, const char *name, const char *text, size_t length,
                       const char *subject, iw_error *err);
/* Takes a name away again, where the registry lets one. */
int iw_remote_forget(iw_remote *remote, const char *name, iw_error *err);
/* Requests made so far (https), commands run (ssh). */
unsigned iw_remote_requests(const iw_remote *remote);

#endif
