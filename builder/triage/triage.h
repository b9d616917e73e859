/* Whether published wheels work on a CPU: brings them with pip, tries them there, emulated, in a
 * sandbox, and says what came of it. Takes plain options and gives rows; printing is the caller's.
 * Nothing of a wheel or sdist runs natively, nor with a network. */
#ifndef IW_TRIAGE_TRIAGE_H
#define IW_TRIAGE_TRIAGE_H

#include "fetch/fetch.h"
#include "recipe/recipe.h"
#include "store/store.h"
#include "triage/pip.h"
#include "triage/requirement.h"

#define IW_TRIAGE_SITE "triage" /* in paths of rows' crashes: below it stands what pip brought */
#define IW_TRIAGE_SECONDS 15    /* default of `seconds` */

typedef struct iw_triage_options { /* borrowed, all of it, until iw_triage_close */
    iw_catalog *catalog;           /* whose recipes' checks tell how a package is used */
    iw_store *store;               /* keeps results and downloads */
    const iw_profile *profile;
    const char *helpers;     /* folder with iw-trace, iw-cpu, iw-crash.so */
    const char *environment; /* a laid bundle, whose bin/python3 imports the wheels; NULL: Debian's
                                Python of the toolchain file `checks`, for which nothing is built */
    iw_fetch_options fetch;  /* with sink and cancel, which hold for everything here */
    unsigned seconds;        /* how long calls, and tests, of one package go on; 0: the default */
    unsigned jobs;           /* packages at once; 0: one for each core */
    bool newest;             /* search each package's versions; pins only hold for the others */
    bool blame_only; /* who is at fault is named; no version of it is looked for that isn't */
    bool again;      /* results that were kept don't count */
} iw_triage_options;

typedef struct iw_triage iw_triage;

/* Makes its folder below the store's tmp, and brings the toolchain `checks` where it isn't there.
 * Blocks. */
int iw_triage_open(const iw_triage_options *options, iw_triage **out, iw_error *err);
void iw_triage_close(iw_triage *triage); /* NULL is fine */
/* The Python that pip runs in, natively: words before its arguments, and its variables. */
void iw_triage_python(const iw_triage *triage, iw_strings *argv, iw_strings *environment);

typedef enum iw_triage_verdict {
    IW_TRIAGE_UNKNOWN,        /* it neither worked nor died of the CPU; `detail` says why */
    IW_TRIAGE_DIES_AT_IMPORT, /* what it names its module dies or is refused there, and not under
                                 the same emulator's largest CPU */
    IW_TRIAGE_DIES_IN_USE,    /* the same of something else of it: a module, library, call, test */
    IW_TRIAGE_IMPORTS,        /* nothing more was reached that could be held against the CPU */
    IW_TRIAGE_RUNS            /* checks of a recipe, or tests of its own, ran */
} iw_triage_verdict;

const char *iw_triage_verdict_name(iw_triage_verdict verdict); /* "dies-at-import" … */

/* Whose fault it is, where another distribution holds the file that died. */
typedef struct iw_triage_because {
    char *package, *version;   /* the culprit, as pip brought it; package NULL: nobody else */
    char *beside;              /* its newest version beside which the package works; NULL: none */
    iw_triage_verdict verdict; /* of the package beside it */
} iw_triage_because;

typedef struct iw_triage_row {
    char *package, *version; /* what pip resolved; version NULL: nothing */
    char *sha256;            /* of its wheel; NULL: nothing came, or the index told none */
    iw_triage_verdict verdict;
    char *crash;      /* JSON (iw_crash_json); NULL: no signal */
    char *what;       /* what died or was refused: "import of numpy", "call of pyopal.align", "check
                         openblas", "test tests/test_x.py::test_y"; or NULL */
    char *detail;     /* one short line: an exception's sentence, why nothing is known; or NULL */
    iw_strings notes; /* what failed on any CPU, what wasn't reached, tests for which something is
                         missing: for who wants all of it */
    uint64_t
        findings; /* instructions outside the profile in its files and those of what it needs */
    uint64_t own; /* of these, in its own files that don't ask which CPU they run on */
    unsigned imported, loaded, called, tested, checked; /* how much was reached */
    bool kept;                                          /* from an earlier run */
    iw_absence absence; /* why pip brought nothing; `detail` says it */
    char *newest_there; /* IW_ABSENCE_VERSION: the newest version that an index has; or NULL */
    iw_triage_because because;
    char *newest_working, *oldest_failing; /* what `newest` found, or NULL */
    iw_triage_verdict newest_verdict;      /* of newest_working: runs, or imports */
    size_t tried;                          /* versions, by `newest` */
} iw_triage_row;

void iw_triage_row_clear(iw_triage_row *row);

/* A row for each package that `all` asks for (several lines about one are one), in their order, as
 * soon as those before it are there; `row` is called from one thread at a time. What pip can't
 * bring is `unknown` with the reason; -1 only for trouble of our own, IW_E_CANCELLED on Ctrl-C.
 * `all` must be settled (iw_requirements_settle). Blocks: several packages are tried at once. */
int iw_triage_run(iw_triage *triage, const iw_requirements *all,
                  void (*row)(void *context, const iw_triage_row *row), void *context,
                  iw_error *err);

/* A wheel of results that are kept. */
typedef struct iw_triage_wheel { /* all owned */
    char *project, *version, *file, *url, *sha256;
    char *requires_python; /* or NULL */
    uint64_t size;         /* 0: not known any more */
    bool dies;             /* else it works */
} iw_triage_wheel;

typedef struct iw_triage_wheels {
    iw_triage_wheel *items; /* sorted by project and file */
    size_t count, capacity;
} iw_triage_wheels;

/* The published wheels that are known to work, or to die, on that CPU: each that was tried, and
 * what is pure Python of what one that works needs. `out` must be zeroed. */
int iw_triage_kept(iw_store *store, const iw_profile *profile, iw_triage_wheels *out,
                   iw_error *err);
void iw_triage_wheels_free(iw_triage_wheels *all);

/* As PEP 503 compares names, without what follows the name. Caller frees. */
char *iw_plain_name(const char *requirement);

#endif
