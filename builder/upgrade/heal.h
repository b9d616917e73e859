/* `heal`: from requirements to one bundle that runs on given CPUs. Published wheels that run there
 * are kept; each that dies is built by a recipe, moved to another version, or made from its sdist.
 */
#ifndef IW_UPGRADE_HEAL_H
#define IW_UPGRADE_HEAL_H

#include "deliver/session.h"

typedef struct iw_heal_options {
    const char *const *files; /* requirements, uv.lock, pylock.toml */
    size_t file_count;
    const char *const *profiles; /* CPUs; it must run on all of them */
    size_t profile_count;
    const char *name; /* of the stack */
    const char *into; /* folder that becomes a tree of its own: stack, recipes, pylock.toml */
    unsigned seconds; /* how long one wheel is called and tested; 0: as `triage` does */
    bool plan;        /* decide only: nothing is built or written */
    iw_deliver_options deliver; /* `output`: where the bundle goes */
} iw_heal_options;

typedef enum iw_fate {
    IW_FATE_KEPT,      /* the wheel that pip would bring, as published */
    IW_FATE_MOVED,     /* the wheel of another version */
    IW_FATE_RECIPE,    /* built by a recipe of the tree */
    IW_FATE_MADE,      /* built by a recipe that was drafted from its sdist */
    IW_FATE_IMPOSSIBLE /* `why` says what was tried */
} iw_fate;

const char *iw_fate_name(iw_fate fate); /* "kept", "moved", "recipe", "made", "impossible" */

typedef struct iw_healed { /* one package; strings owned */
    char *name, *version;
    char *recipe; /* the recipe's version: with a local label, perhaps */
    char *was;    /* what pip would have brought; NULL: the same */
    iw_fate fate;
    char *why;            /* one sentence; or NULL */
    char *hashes;         /* one sentence: digests that were asked for and hold no more; or NULL */
    iw_strings needed_by; /* names */
    uint64_t holds;       /* instructions beyond the profiles in a wheel that is kept */
    bool tried;           /* so that its verdict is `tried` */
} iw_healed;

typedef struct iw_heal_result {
    iw_healed *items; /* by name */
    size_t count;
    size_t impossible;
    double hours;  /* of building, as estimated */
    uint64_t disk; /* bytes, likewise */
    char *stack;   /* path of its file; NULL with `plan` */
    char *lock;    /* path of pylock.toml */
} iw_heal_result;

void iw_heal_result_free(iw_heal_result *result);

/* `told` (may be NULL) is called once all is decided, before anything is built; and once more, with
 * these alone, where packages that were to be made turned out to be impossible. IW_E_CHECK where
 * the requirements clash: the two that do, with the lines that they stand on; or where a file has
 * another digest than its line asks for. IW_E_USAGE where a line is refused, or `into` holds
 * something else. Twice the same requirements and index give the same bytes. An event
 * IW_EVENT_RESULT names the bundle. Blocks. */
int iw_heal(iw_catalog *catalog, iw_store *store, const iw_heal_options *options,
            void (*told)(void *context, const iw_heal_result *result), void *context,
            iw_heal_result *result, iw_error *err);

#endif
