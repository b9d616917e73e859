/* Releases of many packages that hold together: each the newest, as long as what the others ask for
 * allows it. Pure but for the callbacks. */
#ifndef IW_UPGRADE_SOLVE_H
#define IW_UPGRADE_SOLVE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

typedef struct iw_choice {  /* of one package */
    char *name;             /* as PEP 503 normalises it */
    iw_strings versions;    /* newest first, the one that the stack has last */
    iw_strings *needs;      /* of each version, once asked for */
    bool *asked, *supposed; /* `needs` are those of a newer version */
    size_t at;              /* the choice */
    char *why;              /* why not the first, or NULL */
} iw_choice;

typedef struct iw_choices {
    iw_choice *items;
    size_t count, capacity;
} iw_choices;

typedef struct iw_solving {
    const char *python;
    /* Adds what a version needs to run, as written. */
    int (*needs)(void *context, const iw_choice *choice, size_t version, iw_strings *out,
                 iw_error *err);
    /* What the recipe of a project is called (not the project's name where that is a C library's);
     * borrowed, NULL where there is none. */
    const char *(*recipe)(void *context, const char *project);
    void *context;
} iw_solving;

void iw_choices_free(iw_choices *choices);
iw_choice *iw_choices_add(iw_choices *choices, const char *name);
iw_choice *iw_choices_find(const iw_choices *choices, const char *name);
const char *iw_choice_version(const iw_choice *choice);
/* What the chosen version needs to run, from its sources; whether that wasn't known already. */
bool iw_choice_learn(iw_choice *choice, const iw_strings *needs);

/* Supposes that a version which nobody told of needs what the chosen one does. */
void iw_choice_suppose(iw_choice *choice, size_t version);
/* The chosen version holds: of those just above it that were only supposed to need too much, the
 * older half is open again. False where there is none. */
bool iw_choice_doubt(iw_choice *choice);

/* Moves choices down until nothing asks for what isn't chosen. Where a package asks for an older
 * release of another one, that one gives way; where there is none, it does itself. What the stack
 * denies already is passed over. */
int iw_solve(iw_choices *choices, const iw_solving *solving, iw_error *err);

#endif
