/* A bundle without files that may not be handed on to everybody: what is left of it as an archive,
 * and a list that says which member of which published wheel belongs where. Both together, and the
 * wheels from the package index, give the folder of the whole, and its tar, byte by byte. The list
 * is JSON (canon.h): {"format": 1, "wheels": [{"kind", "name", "version", "file", "sha256"}],
 * "files": [{"path", "wheel", "member", "mode"}]}. A file that was only touched (its run path, its
 * symbols) also has the "sha256" and "size" that come out where what stands in its place, a delta
 * (delta.h), is applied to the wheel's. Internal to `share`. */
#ifndef IW_SHARE_PARTS_H
#define IW_SHARE_PARTS_H

#include "base/event.h"
#include "share/bundle_facts.h"
#include "store/archive.h"
#include "store/store.h"

typedef struct iw_parts {
    char *path; /* of the archive, below `work`; owned, as below */
    iw_packed packed;
    char *list;
    size_t files;
} iw_parts;

void iw_parts_clear(iw_parts *parts);
/* Whether a restricted package is meant by `without`: its name, or the part before a `-`. */
bool iw_parts_leaves_out(const char *without, const char *package);
/* Leaves every file out that a wheel of the meant packages holds. The wheels come from the store:
 * IW_E_NOT_FOUND naming one that isn't there. IW_E_FORMAT where a file differs from its wheel's by
 * much, so that it couldn't be had from there. */
int iw_parts_make(const char *bundle, const iw_bundle_facts *facts, const char *without,
                  iw_store *store, const char *work, iw_parts *out, iw_error *err);

typedef struct iw_parts_filling {
    const char *top;  /* the unpacked folder of what is left */
    const char *work; /* on the same file system */
    const char *name; /* of the bundle: the folder in its tar */
    const char *list;
    size_t length;
    iw_store *store; /* keeps the wheels */
    const char *tar; /* SHA-256 of the whole's */
    const iw_sink *sink;
    int cancel;
} iw_parts_filling;

/* Fetches the wheels by digest and puts their files in place. IW_E_DIGEST unless the whole comes
 * out. */
int iw_parts_fill(const iw_parts_filling *filling, iw_error *err);

#endif
