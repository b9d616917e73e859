/* What becomes of a patch on new sources: tried with GNU patch, exactly as the build applies it
 * (fuzz 0), on a copy of the files that it names. */
#ifndef IW_UPGRADE_PATCH_TRY_H
#define IW_UPGRADE_PATCH_TRY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

typedef enum iw_patch_class {
    IW_PATCH_CLEAN,    /* every hunk where it says */
    IW_PATCH_OFFSET,   /* every hunk, some on other lines or in moved files */
    IW_PATCH_UPSTREAM, /* the sources hold what it makes of them */
    IW_PATCH_CONFLICT
} iw_patch_class;

/* A hunk that isn't where the patch says, or trouble with a whole file (number 0). */
typedef struct iw_hunk {
    char *file;      /* below the sources */
    unsigned number; /* in its file, from 1 */
    long line;       /* where the patch expects it; 0: unknown */
    long offset;     /* lines that it stands further down; where it fits */
    bool failed;     /* it fits nowhere */
    bool upstream;   /* failed, but its result is there */
    bool missing;    /* failed: the file isn't there */
    char *why;       /* in words, or NULL */
    char *now;       /* failed: what stands there, a few numbered lines, or NULL */
} iw_hunk;

typedef struct iw_patch_try {
    iw_patch_class result;
    bool both_ways; /* it would go in again, too, though its result is there (IW_PATCH_UPSTREAM), or
                       its result is found elsewhere, too (CLEAN, OFFSET) */
    bool rewritten; /* UPSTREAM, in other surroundings: see iw_patch_lines_stand */
    iw_hunk *hunks;
    size_t hunk_count, hunk_capacity;
    char *text;       /* of the patch with its files' new names, where some were moved, or NULL */
    iw_strings moved; /* "old/x.c is new/x.c now" */
} iw_patch_try;

void iw_patch_try_clear(iw_patch_try *out);
const char *iw_patch_class_name(iw_patch_class result); /* "clean", "offset", … */

/* Tries the patch on the sources in `folder`, and applies it there where it fits (CLEAN, OFFSET);
 * else the folder stays as it is. `work`: an existing folder for what passes. Blocks.
 * IW_E_ENVIRONMENT where there is no GNU patch. */
int iw_try_patch(const char *folder, const char *patch, unsigned strip, const char *work,
                 iw_patch_try *out, iw_error *err);

/* Where the patch conflicts (`out` says so) because files that it names aren't there, and nothing
 * else is wrong: tries it on the one file of the same name that stands likeliest for each. `out` is
 * as iw_try_patch would have it then, with `text` and `moved`; else it stays. */
int iw_try_moved_patch(const char *folder, const char *patch, unsigned strip, const char *work,
                       iw_patch_try *out, iw_error *err);

/* The patch's text with each hunk's line numbers moved to where it was found. Caller frees. */
char *iw_patch_refreshed(const char *text, const iw_patch_try *tried);

#endif
