/* A Python package index of plain files: the pages of the simple repository API (PEP 503, 592, 629,
 * 658, 691, 700, 714), as HTML and as JSON, and a lock file (PEP 751).
 *
 *     simple/<label>/index.html, index.json                      projects
 *     simple/<label>/<project>/index.html, index.json            its files
 *     wheels/<first 12 digits of the SHA-256>/<file>, <file>.metadata
 *     pylock.<stack>-<label>.toml
 *
 * A page may also name wheels that others published, by their address (`_published`): all or none
 * of a project's are ours. A file that was built anew has another address: no cache mixes the two
 * up. Pages hold what others pushed, too; what isn't to be read of them is told and left out.
 * Internal to `share`. */
#ifndef IW_SHARE_SIMPLE_H
#define IW_SHARE_SIMPLE_H

#include "share/channel.h"
#include "share/published.h"
#include "share/remote.h"
#include "share/wheel.h"

typedef struct iw_simple {
    const char *label;
    const char *bundle;        /* that the wheels are of: withdrawn with it; or NULL */
    const iw_channel *channel; /* which bundles are withdrawn, and since when they are there */
    const char *base; /* the place's URL, for the lock file: uv reads a path as one of its own host,
                         though the lock file came by a URL; NULL: a folder, so paths */
    uint64_t now;
    const iw_sink *sink;
    iw_published_list published; /* of projects that have no wheel of ours, to be listed, too */
} iw_simple;

/* "wheels/0123456789ab/numpy-1.26.4+k10-….whl"; caller frees. */
char *iw_simple_place(const char *sha256, const char *file);
/* Merges the wheels, which are there already, into the pages. Each page is replaced as a whole. */
int iw_simple_put(iw_remote *remote, const iw_simple *simple, const iw_wheels *wheels,
                  iw_error *err);
/* Writes those pages anew that hold wheels which are nobody's any more, or (`bundle` not NULL) are
 * of that bundle; the label is taken from the channel. */
int iw_simple_refresh(iw_remote *remote, const iw_simple *simple, const char *bundle,
                      iw_error *err);
/* The lock file's text; caller frees. */
char *iw_simple_lock(const iw_stack *stack, const iw_simple *simple, const iw_wheels *wheels);

/* What of a page of ours may stand in one again: an array, for the project; *bad counts the rest. A
 * new reference. */
json_t *iw_simple_admit(const char *text, size_t length, const char *project, size_t *bad);
/* The page that says so, as HTML; caller frees. */
char *iw_simple_html(const char *project, const json_t *files);
/* Adds the names of projects that the list of an index of ours has, where they are such. */
void iw_simple_projects(const char *text, size_t length, iw_strings *out);

#endif
