/* Recipes made from sdists, one after the other, in a copy of the tree. Internal to the room. */
#ifndef IW_UPGRADE_MAKER_H
#define IW_UPGRADE_MAKER_H

#include <jansson.h>

#include "upgrade/sketch.h"
#include "upgrade/new.h"
#include "upgrade/rig.h"

typedef struct iw_entry { /* one draft and what became of it */
    iw_sketch draft;
    bool built;
    char *cause;        /* why it isn't, in one sentence */
    iw_strings edits;   /* what was learnt */
    iw_strings dropped; /* modules that its check leaves out */
} iw_entry;

typedef struct iw_maker {
    const iw_new_options *options; /* borrowed, as the next */
    iw_store *store;
    char *python, *toolchain; /* version of the interpreter's recipe; name of the file */
    iw_rig rig;
    char *root;        /* with the Python that reads metadata */
    char *bytecode;    /* of that Python, where it runs outside a sandbox */
    iw_strings wanted; /* "name version": pins of what is built here */
    iw_strings open;   /* projects that are being made: for circles */
    iw_entry **entries;
    size_t count, capacity;
} iw_maker;

/* Copies the tree, has the reading Python at hand. To be closed in any case. */
int iw_maker_open(iw_maker *maker, iw_catalog *catalog, iw_store *store,
                  const iw_new_options *options, iw_error *err);
void iw_maker_close(iw_maker *maker);
/* Drafts and builds a project: `version` or, where NULL, the newest that keeps `conditions`. *entry
 * is borrowed; its `cause` says why it isn't built. -1 where nothing could be drafted. */
int iw_maker_make(iw_maker *maker, const char *project, const char *version, const char *conditions,
                  iw_entry **entry, iw_error *err);
iw_entry *iw_maker_find(const iw_maker *maker, const char *name, const char *version);
/* An unpacked source, read (see iw_ask): "sdist", with `sha256` and `file` of the store. */
int iw_maker_read(iw_maker *maker, const char *sha256, const char *file, unsigned strip,
                  const char *what, json_t **answer, iw_error *err);

/* --- make_sketch.c: from metadata to a draft; needs are found or made on the way --- */
int iw_maker_draft(iw_maker *maker, const char *project, const char *version,
                   const char *conditions, iw_sketch *draft, iw_error *err);
/* Only what the sdist says: nothing is drafted or built. *found: its version, *sha256: its digest,
 * both owned. */
int iw_maker_peek(iw_maker *maker, const char *project, const char *version, char **found,
                  char **sha256, json_t **answer, iw_error *err);
/* What only a person can answer, as far as an answer to "sdist" tells: a draft would have it to do.
 */
void iw_maker_questions(const json_t *answer, iw_strings *todo);
/* The version of a need that the copy of the tree has and that keeps the conditions, or a made one;
 * *need (owned) is "name", or "name/version" where the usual one won't do. NULL with `why` (owned)
 * where there is none. -1 only for trouble of our own. */
int iw_maker_need(iw_maker *maker, const char *project, const char *conditions, bool run,
                  char **need, char **why, iw_error *err);

/* What the recipe of a project is, or has to be, called (iw_catalog_distribution). Caller frees. */
int iw_maker_called(const iw_maker *maker, const char *project, char **out, iw_error *err);

/* --- make_build.c: building and learning --- */
int iw_maker_build(iw_maker *maker, iw_entry *entry, iw_error *err);
/* The temporary stack of one package. */
int iw_maker_stack(const iw_maker *maker, const iw_sketch *draft, iw_error *err);

#endif
