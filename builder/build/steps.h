/* What a build system's steps run, and what they see. Pure. Documented in docs/recipes.md. Internal
 * to `build`. */
#ifndef IW_BUILD_STEPS_H
#define IW_BUILD_STEPS_H

#include "base/text.h"
#include "recipe/recipe.h"

#define IW_STEP_LIMIT 5

/* Where things are, as a step sees them. */
typedef struct iw_step_paths {
    const char *prefix;  /* IW_PREFIX */
    const char *build;   /* "/build": out, src, files, home, tmp, cmake, wheel, target below it */
    const char *path;    /* PATH */
    const char *objects; /* the object cache */
    const char *run; /* folder with the wrapper's policy and the broker's socket; NULL: where the
                        wrapper looks by itself */
} iw_step_paths;

extern const iw_step_paths iw_step_paths_boxed;

typedef struct iw_step {
    const char *phase; /* prepare, configure, compile, install, finish; static */
    char *folder;      /* working folder as the step sees it */
    char *script;      /* for `sh -ex` */
} iw_step;

/* Steps of a recipe in order; those without anything to do are left out. Returns the count; caller
 * frees with iw_steps_free. */
size_t iw_steps_make(const iw_recipe *recipe, const iw_step_paths *paths,
                     iw_step steps[IW_STEP_LIMIT]);
void iw_steps_free(iw_step *steps, size_t count);

/* The whole environment of a step, "NAME=value", sorted. Names that the recipe sets win. */
void iw_step_environment(const iw_recipe *recipe, const iw_profile *profile,
                         const iw_step_paths *paths, unsigned jobs, iw_strings *out);

#endif
