/* What the room's files share about one package that is being tried. */
#ifndef IW_TRIAGE_INTERNAL_H
#define IW_TRIAGE_INTERNAL_H

#include <jansson.h>
#include <pthread.h>

#include "emulate/emulate.h"
#include "triage/triage.h"

#define IW_TRIAGE_REPORT_LIMIT (64u << 20)
#define IW_TRIAGE_STACK "/rig/stack" /* where the sandbox shows options.environment */

struct iw_triage {
    iw_triage_options options;
    char *root; /* of the toolchain `checks` */
    char *work; /* folder for what passes */
    char *bytecode,
        *cache;           /* of the standard library, for the sandbox; where native runs write it */
    char *emulator;       /* digest of the package that holds it: results hang on it */
    unsigned parallel;    /* checks at once within one package */
    pthread_mutex_t lock; /* of the store, downloads and what follows */
    bool tools_known;     /* pytest was looked for */
    char *tools;          /* folder with it, or NULL */
    const iw_sink *outer; /* the caller's */
    iw_sink sink;         /* its events from several threads, one at a time */
    pthread_mutex_t telling;
};

/* What pip is asked for: the package's own lines, what it was found to import without asking for
 * it, and what holds for the rest. */
typedef struct iw_ask {
    const iw_triage *triage;
    const iw_requirements *all; /* constraints, options */
    char *package;              /* plain name */
    iw_strings lines;           /* requirements, the package's first */
    iw_strings pins;            /* "name==version" that go before those of `all` for that name */
    iw_strings hashes;          /* what its wheel may have; empty: anything */
    bool free;                  /* a constraint that pins the package itself doesn't hold */
    bool briefly;               /* nothing but its import is tried: what works so isn't kept */
} iw_ask;

/* A folder of its own: env/bin/python3, env/triage (the site), logs, wheels, sdist. */
typedef struct iw_attempt {
    iw_triage *triage;
    const iw_ask *ask;
    char *folder, *environment, *site, *logs;
    json_t *install;     /* pip's report: what it chose */
    char *tests;         /* folder with the sdist's tests, or NULL */
    iw_strings suspects; /* the package's own files, below the site, that hold instructions outside
                            the profile and don't ask the CPU: tried first */
} iw_attempt;

/* --- pip.c --- */
/* Runs it with the options and variables that all calls share; *out (may be NULL) gets what it
 * printed, caller frees. Its reason in one line, where it fails; IW_E_NOT_FOUND: what it found
 * nothing of (iw_pip_missing); IW_E_CANCELLED on Ctrl-C. `folder` takes what passes. */
int iw_triage_pip(const iw_triage *triage, const char *folder, const iw_strings *arguments,
                  char **out, iw_error *err);
/* What pip would bring, into attempt->install; the version that was resolved into *version (NULL:
 * nothing), the digests of all wheels, one a line and sorted, into *digests ("" where one isn't
 * told). */
int iw_triage_resolve(iw_attempt *attempt, char **version, char **digests, iw_error *err);
/* The wheel's digest in an item of that report, as the index told it; NULL where it didn't. */
const char *iw_triage_digest(const json_t *item);
/* The last part of an address, as a wheel's file name; NULL where it is none. Caller frees. */
char *iw_triage_file(const char *url);
/* Downloads these very wheels, each once for all, and lays them into the site. */
int iw_triage_bring(iw_attempt *attempt, iw_error *err);
/* Versions of which there is a wheel for this Python, yanked ones among them: pip's own list of
 * versions ("pip index") has those with nothing but an sdist, too. `folder` takes what passes. */
int iw_triage_wheel_versions(const iw_triage *triage, const char *folder, const char *project,
                             iw_strings *out, iw_error *err);
/* The folder of pytest, brought once; NULL where no index has it. Borrowed. */
const char *iw_triage_tools(iw_triage *triage);
/* The lines of a requirements file: options and what is asked for. */
int iw_ask_write(const iw_ask *ask, const char *requirements, const char *constraints,
                 iw_error *err);

/* --- kept.c --- */
/* What a result for this CPU is for, whatever the wheels. */
void iw_triage_for(const iw_profile *profile, char key[IW_SHA256_HEX]);
/* An array of what pip chose: project, version, file, url, sha256, size, requires_python. */
json_t *iw_triage_wheels_of(const iw_attempt *attempt);

/* --- bytecode.c --- */
/* Of Debian's Python, once for the toolchain's root, into t->bytecode; sets t->cache, too. */
int iw_triage_compile_library(iw_triage *triage, iw_error *err);
/* What below `top`, which the sandbox shows as `shown`, a bounded time is enough for, into the
 * attempt's folder of bytecode. A part of it, or nothing, is no failure. */
void iw_triage_compile(const iw_attempt *attempt, const char *top, const char *shown);

/* --- sdist.c --- */
/* Looks for the tests in the sdist of that version; attempt->tests. A package
 * without any, or whose sdist can't be had, is no failure. */
void iw_triage_find_tests(iw_attempt *attempt, const char *version);

/* --- trial.c --- */
extern const char iw_trial_code[]; /* trial.py */
/* Imports, reaches and uses it; fills verdict, crash, what, detail, notes and counts of `row`, and
 * *culprit: the file of the site that died or raised, below it, or NULL (caller frees). */
int iw_triage_trial(iw_attempt *attempt, const iw_recipe *recipe, iw_triage_row *row,
                    char **culprit, iw_error *err);

/* --- count.c --- */
/* Instructions outside the profile: findings and own of `row`; the attempt's suspects. */
int iw_triage_count(iw_attempt *attempt, iw_triage_row *row, iw_error *err);

/* --- owner.c --- */
/* The distribution that owns a file of the site, by its RECORD: name as PEP 503 compares it, and
 * version. False where none does. Caller frees both. */
bool iw_triage_owner(const char *site, const char *file, char **name, char **version);
/* The RECORD of a distribution in the site, by its name as PEP 503 compares it; NULL where there is
 * none. Caller frees. */
char *iw_triage_record(const char *site, const char *package);
/* Fills row->because.beside: tries older versions of the culprit, then the package beside one. */
int iw_triage_find_beside(iw_triage *triage, const iw_ask *ask, iw_triage_row *row, iw_error *err);

/* --- try.c --- */
/* Resolves; then the kept result for these very wheels, this CPU and emulator, else brings and
 * tries them, and keeps what came of it. `row` must be zeroed; the caller clears it. */
int iw_triage_try(iw_triage *triage, const iw_ask *ask, iw_triage_row *row, iw_error *err);
/* What pip can't bring is unknown, with the reason, but a stop is none (-1). Takes *why. */
int iw_triage_not_brought(iw_triage *triage, const iw_ask *ask, iw_triage_row *row, iw_error *why,
                          iw_error *err);
void iw_ask_free(iw_ask *ask);
/* Another one, of that version. Caller frees. */
iw_ask iw_ask_version(const iw_ask *ask, const char *version);

/* --- newest.c --- */
/* Searches the package's versions for the newest that works: newest_working, newest_verdict,
 * oldest_failing and tried of `row`, which gets the newest version's result. */
int iw_triage_newest(iw_triage *triage, const iw_ask *ask, iw_triage_row *row, iw_error *err);
bool iw_triage_works(iw_triage_verdict verdict); /* runs or imports */

/* --- texts (pip.c) --- */
char *iw_triage_short(const char *data, size_t length); /* a tame line of bounded length */

#endif
