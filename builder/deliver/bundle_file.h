/* A bundle as a file: its digest, and unpacking it whole. Shared by unpack, verify and diff. */
#ifndef IW_DELIVER_BUNDLE_FILE_H
#define IW_DELIVER_BUNDLE_FILE_H

#include "base/hash.h"
#include "base/event.h"

/* Holds the file's SHA-256, or that of its uncompressed tar, against `given`, or, where that is
 * NULL, against what <bundle>.sha256 and the tar's beside it say: either will do; *known: there was
 * something to hold it against; `found` gets what the file has. IW_E_DIGEST with both digests where
 * they differ. */
int iw_bundle_check_digest(const char *bundle, const char *given, bool *known,
                           char found[IW_SHA256_HEX], iw_error *err);
/* Unpacks into `temporary` (an empty folder on the same file system), then moves the environment to
 * `target` in one step, or, where that is NULL, to a folder of the bundle's own name below
 * `parent`. *placed owned by the caller. `sink` (may be NULL) hears of the progress. */
int iw_bundle_unpack(const char *bundle, const char *temporary, const char *parent,
                     const char *target, const iw_sink *sink, char **placed, iw_error *err);

/* One member in one or both of two bundles; a digest of a link is that of its text. Borrowed. */
typedef struct iw_member {
    char *path;                 /* below the bundle's top folder */
    char digest[IW_SHA256_HEX]; /* of the content, or of the link's text */
    uint64_t size;              /* bytes */
    unsigned mode;
} iw_member;

/* Calls `differs` for every member that is in one bundle only (the other is NULL then), or differs
 * in bytes or mode, by path. *changes and *members (of the larger one) count them. */
int iw_bundle_compare(const char *one, const char *other,
                      void (*differs)(void *context, const iw_member *a, const iw_member *b),
                      void *context, size_t *changes, size_t *members, iw_error *err);

/* The same of two artifacts, whose names begin at the prefix. */
int iw_artifact_compare(const char *one, const char *other,
                        void (*differs)(void *context, const iw_member *a, const iw_member *b),
                        void *context, size_t *changes, iw_error *err);

#endif
