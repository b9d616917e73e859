/* Inside of the catalog, for the loaders. Internal to `recipe`. */
#ifndef IW_RECIPE_CATALOG_H
#define IW_RECIPE_CATALOG_H

#include "base/arena.h"
#include "recipe/document.h"
#include "recipe/keys.h"
#include "recipe/recipe.h"
#include "recipe/schema.h"

typedef enum iw_file_kind {
    IW_FILE_RECIPE,
    IW_FILE_STACK,
    IW_FILE_PROFILE,
    IW_FILE_TOOLCHAIN
} iw_file_kind;

typedef struct iw_loaded {
    iw_file_kind kind;
    const char *key; /* name, or name/version */
    const void *what;
} iw_loaded;

struct iw_catalog {
    iw_arena *arena;
    char *root;
    iw_loaded *loaded;
    size_t loaded_count, loaded_capacity;
    const iw_toolchain *toolchain; /* instead of every other, or NULL */
};

/* Names that are being read, innermost first: for cycles. */
typedef struct iw_chain {
    const char *name;
    const struct iw_chain *outer;
} iw_chain;

/* Reads <root>/<file>; IW_E_NOT_FOUND where it isn't there. `file` must live as long as the
 * catalog. */
int iw_catalog_read(iw_catalog *catalog, const char *file, iw_yaml **out, iw_error *err);
/* Whether <root>/<file> exists. */
bool iw_catalog_has(const iw_catalog *catalog, const char *file);
/* "a -> b -> a" where `name` is in the chain (in the arena), else NULL. */
const char *iw_chain_cycle(iw_arena *arena, const iw_chain *chain, const char *name);
/* "; did you mean \"x\"?" or "" (in the arena). */
const char *iw_did_you_mean(iw_arena *arena, const char *word, const iw_list *candidates);

/* Loaders; each checks everything. `file` is relative to the root and lives in the catalog's arena.
 */
int iw_load_recipe(iw_catalog *catalog, const char *name, const char *version, const char *file,
                   iw_recipe **out, iw_error *err);
int iw_load_stack(iw_catalog *catalog, const char *name, const char *file, const iw_chain *chain,
                  iw_stack **out, iw_error *err);
int iw_load_profile(iw_catalog *catalog, const char *name, const char *file, iw_profile **out,
                    iw_error *err);
int iw_load_toolchain(iw_catalog *catalog, const char *name, const char *file, iw_toolchain **out,
                      iw_error *err);

/* What one key has to do with another, after iw_shape_read. A catalog without a root has no other
 * files: those aren't asked for then. */
int iw_recipe_finish(iw_catalog *catalog, const iw_yaml *root, iw_recipe_draft *draft,
                     iw_error *err);
int iw_stack_finish(iw_arena *arena, const iw_yaml *root, iw_stack_draft *draft, iw_error *err);
int iw_checks_finish(iw_arena *arena, const iw_yaml *list, iw_check *checks, size_t count,
                     iw_error *err);
int iw_profile_finish(iw_arena *arena, const char *march, const char *tune, iw_profile *profile);
int iw_toolchain_finish(iw_arena *arena, const char *file, const iw_yaml *root,
                        iw_toolchain *toolchain, iw_error *err);

/* The intersection; `names` sorted, `name` lives as long as the catalog. */
int iw_profiles_join(iw_catalog *catalog, const iw_strings *names, const char *name,
                     iw_profile **out, iw_error *err);

/* "there is no recipe x/1; …" at `place` (or without one). Returns -1. */
int iw_fail_no_recipe(iw_catalog *catalog, const iw_place *place, const char *name,
                      const char *version, iw_error *err);

/* Sources and patches of a recipe whose table was read. Each item's own file says whose folders it
 * means. */
int iw_sources_finish(iw_catalog *catalog, const iw_yaml *list, iw_recipe *recipe, iw_error *err);
int iw_patches_finish(iw_catalog *catalog, const iw_yaml *list, iw_recipe_draft *draft,
                      iw_error *err);

/* The folder that a place's file stands in: "recipes/numpy" of recipes/numpy/1.yaml (in the arena).
 */
const char *iw_place_folder(iw_arena *arena, const iw_place *place);

/* A digest over a file or a tree: names, kinds, x bits, contents, links; a link that leads out is
 * refused. */
int iw_tree_digest(const char *path, char hex[IW_SHA256_HEX], iw_error *err);

/* The DEP-3 header of a patch, whose change starts at `change`; fills description, origin, author,
 * forwarded and applies_to. `file` is for messages. */
int iw_patch_header(iw_arena *arena, const char *file, const char *text, size_t change,
                    iw_patch *patch, iw_error *err);
/* Whether one of the words of an Applies-To header matches: a version, or a glob of versions. */
bool iw_patch_applies(const char *applies_to, const char *version);

#endif
