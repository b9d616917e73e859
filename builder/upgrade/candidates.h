/* Which releases a recipe could move to, and why others are passed over. Pure: what the index says
 * and what time it is come from the caller. */
#ifndef IW_UPGRADE_CANDIDATES_H
#define IW_UPGRADE_CANDIDATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "fetch/fetch.h"
#include "recipe/recipe.h"

typedef struct iw_candidate {
    char *version;    /* in its normal form, without a local label */
    char *passed;     /* why it can't be taken; NULL: it can */
    char *file;       /* what would be downloaded; NULL where there is nothing */
    char *url;        /* of that file; NULL where the kind of source tells it otherwise */
    char *sha256;     /* of that file; NULL: nobody tells it in advance */
    char *metadata;   /* where its METADATA is, in a wheel's name, or NULL */
    int64_t uploaded; /* seconds since 1970, or -1 */
} iw_candidate;

typedef struct iw_candidates { /* newest first */
    iw_candidate *items;
    size_t count, capacity;
} iw_candidates;

void iw_candidates_free(iw_candidates *list);
/* Copies what is given. */
void iw_candidates_add(iw_candidates *list, const iw_candidate *one);
void iw_candidates_sort(iw_candidates *list);

typedef struct iw_candidate_rules {
    const char *python; /* version of the interpreter that is built for: "3.11.2" */
    unsigned glibc;     /* minor version that wheels may need: 36 */
    uint64_t min_age;   /* seconds since the upload; 0: none */
    bool early;         /* pre-releases and development releases, too */
    int64_t now;        /* seconds since 1970 */
    const char *meets;  /* conditions that another package sets (">=0.18"), or NULL */
    const char *only;   /* this version was asked for by name: it may be early and young; or NULL */
} iw_candidate_rules;

/* How well a wheel's name fits: 0 not at all, else the larger the better. For CPython
 * `python` ("3.11.2") on x86-64 Linux with glibc 2.`glibc` or older; `pure` (may be NULL) tells
 * whether it is for any platform. */
unsigned iw_wheel_fit(const char *file, const char *python, unsigned glibc, bool *pure);

/* All versions of a `pypi` source's project, newest first. IW_E_ENVIRONMENT where this host's clock
 * is behind the newest upload by more than a day and `min_age` counts. */
int iw_candidates_pypi(const iw_source *source, const iw_release_files *files,
                       const iw_candidate_rules *rules, iw_candidates *out, iw_error *err);

/* Below, at or above 0 as a candidate's version is older than the recipe's, the same or newer. */
int iw_candidate_order(const char *version, const char *current);
/* The one to take: the newest that can be and is newer than `current`, or exactly rules->only.
 * IW_E_NOT_FOUND with the reasons where there is none; then, with rules->only NULL, the message
 * says "nothing newer". */
int iw_candidates_choose(const iw_candidates *list, const char *current,
                         const iw_candidate_rules *rules, const iw_candidate **out, iw_error *err);

#endif
