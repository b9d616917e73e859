/* What pip would bring for a set of requirements, by metadata alone: nothing is installed or run.
 * Internal to the room. */
#ifndef IW_UPGRADE_RESOLVE_H
#define IW_UPGRADE_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "triage/requirement.h"

typedef struct iw_dist {
    char *name, *version; /* owned, as all below; name as PEP 503 has it */
    char *url, *file, *sha256;
    char *summary;
    iw_strings needs; /* names of what it asks for, that were resolved, too */
    bool pure;        /* a wheel for any platform: no code of a CPU's */
    bool stub;        /* stands for what no wheel of an index can be: a recipe's */
} iw_dist;

typedef struct iw_resolution { /* by name */
    iw_dist *items;
    size_t count, capacity;
    iw_strings warnings; /* of pip's (iw_pip_warnings) */
} iw_resolution;

void iw_resolution_free(iw_resolution *resolution);
iw_dist *iw_resolution_find(const iw_resolution *resolution, const char *name);

typedef struct iw_resolver { /* borrowed */
    const char *root;        /* of the toolchain file `checks`: its pip */
    const char *bytecode;    /* folder for that Python's, as iw_checks_python takes it */
    const char *folder;      /* for what passes; holds `stubs`, wheels that stand for recipes */
    const char *index;       /* or NULL: what pip is configured with */
    bool offline;            /* no index is asked */
    const iw_requirements *requirements;
    int cancel;
} iw_resolver;

typedef enum iw_unresolved {
    IW_RESOLVED,
    IW_UNRESOLVED_CLASH,  /* two clash; `what` names them, with the lines they stand on */
    IW_UNRESOLVED_MISSING /* no wheel of `what` ("name", or "name==1") */
} iw_unresolved;

/* With `pins` ("name==version") as further constraints. *what is owned. -1: pip can't be run, the
 * network is gone, or IW_E_CANCELLED. Blocks. */
int iw_resolve(const iw_resolver *resolver, const iw_strings *pins, iw_resolution *out,
               iw_unresolved *how, char **what, iw_error *err);

#endif
