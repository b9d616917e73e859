/* What differs between the inputs of a node now and those of the last time it was built, in words.
 * Internal to `plan`. */
#ifndef IW_PLAN_CHANGES_H
#define IW_PLAN_CHANGES_H

#include "plan/plan.h"

typedef struct iw_changes {
    bool own; /* the node's own inputs: recipe, profile, toolchain, rules, or other packages laid */
    bool bytes;     /* something that is laid has other bytes than the last time */
    size_t pending; /* so many of what is laid are to be built (maybe) */
    char *text;     /* one line: "recipe changed: build.make"; "" where nothing differs */
} iw_changes;

/* The inputs of the last time that it was built, best for this profile and stack: lines of
 * iw_plan_inputs, or NULL. Caller frees. */
int iw_changes_last(const iw_plan *plan, iw_store *store, const iw_node *node, char **last,
                    iw_error *err);

/* `last` as that gave it. Free `text`. */
void iw_changes_make(const iw_plan *plan, const iw_node *node, const char *last, iw_changes *out);

/* Every line that differs: "  recipe.build.make: "A" → "B"\n"; "" where none does. Caller frees. */
char *iw_changes_list(const char *last, const char *now);

/* "python's and zlib's", at most three names and "N others'"; of what is laid and to be built.
 * Caller frees. */
char *iw_changes_pending(const iw_node *node);

#endif
