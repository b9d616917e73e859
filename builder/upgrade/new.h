/* `new`: a recipe from an sdist, built until it holds or says what is left to a person. */
#ifndef IW_UPGRADE_NEW_H
#define IW_UPGRADE_NEW_H

#include "deliver/session.h"

typedef struct iw_new_options {
    const char *project, *version; /* version NULL: the newest that can be had */
    bool tree;                     /* needs that lack a recipe are made, too */
    const char *into;    /* folder that becomes a tree of its own; NULL: recipes/ of the tree */
    const char *profile; /* "k10" */
    uint64_t min_age;    /* seconds since the upload */
    bool part;  /* of a larger stack, whose bundle audits and checks it: it is only built */
    bool early; /* pre-releases, too */
    iw_deliver_options deliver; /* how it is built; `root` is the tree */
} iw_new_options;

typedef struct iw_made { /* one recipe that was written */
    char *name, *version, *path;
    bool built;       /* else `cause` says what is left to do, and the recipe holds it as `todo` */
    char *cause;      /* one sentence, or NULL */
    iw_strings edits; /* what was learnt from failures, a line each */
    iw_strings pins;  /* "name version": what a stack that takes it should pin */
} iw_made;

typedef struct iw_made_list { /* needs before those that need them; the asked one last */
    iw_made *items;
    size_t count, capacity;
} iw_made_list;

void iw_made_free(iw_made_list *list);

/* Drafts, builds, learns, writes. 0 also where the last recipe holds a `todo`. IW_E_USAGE where a
 * recipe of that name and version is there; IW_E_NOT_FOUND where no sdist can be had (with the
 * reasons); IW_E_FORMAT for a hostile one: then nothing is written. Blocks. */
int iw_new_make(iw_catalog *catalog, iw_store *store, const iw_new_options *options,
                iw_made_list *made, iw_error *err);

#endif
