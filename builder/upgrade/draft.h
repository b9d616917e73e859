/* A copy of a recipe tree in which a change is tried, and how the change comes into the tree
 * itself: whole or not at all, whatever ends the program. */
#ifndef IW_UPGRADE_DRAFT_H
#define IW_UPGRADE_DRAFT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/hash.h"

/* Copies recipes/ and patches/ of `root` to `folder`, which is made anew. */
int iw_draft_make(const char *root, const char *folder, iw_error *err);
/* Over the names and contents of both. */
int iw_draft_digest(const char *root, char hex[IW_SHA256_HEX], iw_error *err);

typedef struct iw_change { /* one file */
    char *path;            /* below the root */
    char *before, *after;  /* texts; NULL: the file isn't there */
    size_t before_length, after_length;
} iw_change;

typedef struct iw_changes_list { /* new files first, the stacks last */
    iw_change *items;
    size_t count, capacity;
} iw_changes_list;

void iw_draft_changes_free(iw_changes_list *changes);
/* What differs between the tree and the draft. */
int iw_draft_changes(const char *root, const char *folder, iw_changes_list *out, iw_error *err);
/* The same as text that `git apply` takes; caller frees. */
int iw_draft_diff(const iw_changes_list *changes, char **out, iw_error *err);

/* Writes the changes into the tree. What was there before stands in `undo`, a folder of the
 * caller's, until all is written: after a failure it is put back at once, after a kill by
 * iw_draft_recover. IW_E_CHECK, and nothing is changed, where a file isn't any more what it was
 * when the changes were made. */
int iw_draft_write(const char *root, const iw_changes_list *changes, const char *undo,
                   iw_error *err);
/* Puts back what an iw_draft_write that never ended had changed, but for files that somebody has
 * edited since; *recovered (may be NULL): whether there was something. */
int iw_draft_recover(const char *root, const char *undo, bool *recovered, iw_error *err);

#endif
