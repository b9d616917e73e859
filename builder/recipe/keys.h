/* What the tables of keys.c fill beside the structures of recipe.h. Internal to `recipe`. */
#ifndef IW_RECIPE_KEYS_H
#define IW_RECIPE_KEYS_H

#include "recipe/recipe.h"
#include "recipe/schema.h"

/* An item of `patches` as written. */
typedef struct iw_patch_entry {
    iw_place place;
    const char *file; /* an item that is only a name */
    const char *from;
    iw_list files;
    unsigned strip;
} iw_patch_entry;

typedef struct iw_recipe_draft {
    iw_recipe recipe;
    const char *like;
    const iw_patch_entry *entries;
    size_t entry_count;
    iw_list todo;
} iw_recipe_draft;

typedef struct iw_stack_draft {
    iw_stack stack;
    iw_list include;
} iw_stack_draft;

typedef struct iw_profile_draft {
    iw_profile profile;
    const char *march, *tune;
} iw_profile_draft;

#endif
