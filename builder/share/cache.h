/* Finished packages from remotes, for builds. Whatever goes wrong is a miss, told in one line, and
 * never an error of the build; a remote that doesn't answer is asked once. Everything that comes is
 * held against this rig's own recipes. */
#ifndef IW_SHARE_CACHE_H
#define IW_SHARE_CACHE_H

#include "base/event.h"
#include "plan/plan.h"

typedef struct iw_cache iw_cache;

typedef struct iw_cache_options {
    iw_store *store;
    const iw_sink *sink;
    int cancel;
    unsigned signers;   /* so many keys must offer the same content; 0: 1 */
    const char *place;  /* asked first: an address, or a remote's name; or NULL */
    const char *called; /* the place, in messages; NULL: as it is given */
    const char *config; /* whom to trust; NULL: whom this user trusts */
    bool place_only;    /* and no other */
    bool all;     /* also what only building needs, though nothing is left to be built with it */
    bool patient; /* what answers slowly is waited for: there is nobody else to ask */
} iw_cache_options;

/* The remotes of `remote add`, and `place`. *out is NULL where there are none. Nothing is reached
 * yet. */
int iw_cache_open(const iw_cache_options *options, iw_cache **out, iw_error *err);
void iw_cache_close(iw_cache *cache);
/* From here on what is told goes there; for a display that was opened later. */
void iw_cache_listen(iw_cache *cache, const iw_sink *sink, int cancel);

/* For iw_plan_options.offered; `context` is the cache. The first call reads the channels. */
bool iw_cache_offers(void *context, const iw_plan *plan, const iw_node *node, iw_artifact *out,
                     char **reason);

/* Brings what of the plan's PULL nodes the bundle holds, or is laid for what must be built.
 * *missed: so many could not be had, and won't be offered again. -1 only when cancelled, or where
 * this rig's own store can't be written. */
int iw_cache_bring(iw_cache *cache, const iw_plan *plan, size_t *brought, size_t *missed,
                   iw_error *err);
/* The same of one node: itself where it is to be pulled, else what is laid for it. */
int iw_cache_bring_for(iw_cache *cache, const iw_plan *plan, const iw_node *node, size_t *missed,
                       iw_error *err);
/* Whether the first place of all offers the node as it is planned, its build key being known. */
bool iw_cache_place_has(iw_cache *cache, const iw_plan *plan, const iw_node *node);
/* For iw_build_options.bring: one node, whose build key has become known. */
int iw_cache_bring_one(void *context, const iw_plan *plan, iw_node *node, bool *brought,
                       iw_error *err);

/* The address of the first remote that also holds sources (`push --sources`), as a mirror folder;
 * NULL: none. Caller frees. They are pinned by the recipes, so they need no signature. */
char *iw_cache_sources(iw_cache *cache);

/* What remotes say of the packages that this rig has built itself: one call for each package and
 * key that offers its build key; `here` is the content digest here, `there` theirs. */
void iw_cache_challenge(iw_cache *cache, const iw_plan *plan,
                        void (*each)(void *context, const iw_node *node, const char *remote,
                                     const char *key, const char *here, const char *there),
                        void *context);

/* What that key offers there for a build key, as a file at `part`, its signed digest checked. */
int iw_cache_fetch(iw_cache *cache, const char *remote, const char *key, const char *build_key,
                   const char *part, iw_error *err);
/* Calls it for each offer of this build key, `there` being its content digest. */
void iw_cache_each_offer(iw_cache *cache, const char *build_key,
                         void (*each)(void *context, const char *remote, const char *key,
                                      const char *there),
                         void *context);

/* The bundle of this very key (with its format), into `folder`, with .sha256 and .checks.json
 * beside it; audited. *manifest: its text. All three owned by the caller; *path NULL: no remote has
 * it. */
int iw_cache_take_bundle(iw_cache *cache, const iw_plan *plan, const char *bundle_key,
                         const char *folder, char **path, char **sha256, char **manifest,
                         iw_error *err);

#endif
