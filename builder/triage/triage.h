/* Whether published wheels work on a CPU: what to try, trying it, and what came of it. Takes plain
 * options and fills rows; printing is the caller's. */
#ifndef IW_TRIAGE_TRIAGE_H
#define IW_TRIAGE_TRIAGE_H

#include "base/event.h"
#include "recipe/recipe.h"
#include "store/store.h"

#define IW_TRIAGE_SITE "triage" /* below the laid environment: what pip brought */

typedef struct iw_triage {
    iw_catalog *catalog; /* whose recipes' checks tell how a package is used */
    iw_store *store;     /* keeps results */
    const iw_profile *profile;
    const char *helpers;     /* folder with iw-trace */
    const char *root;        /* the toolchain's */
    const char *environment; /* with the interpreter that imports the wheels: bin/python3 */
    const char *work;        /* folder for what passes */
    const char *identity;    /* of toolchain and environment, as kept results depend on it */
    iw_strings pins;         /* every "NAME==VERSION" that was given */
    bool again;              /* results that were kept don't count */
    int cancel;              /* readable: stop; -1: none */
    const iw_sink *sink;
} iw_triage;

typedef struct iw_triage_row {
    char *package, *version; /* what pip resolved; version NULL: nothing */
    const char *verdict;     /* runs, dies-at-import, dies-in-use, unknown; static */
    char *crash;             /* JSON (iw_crash_json), or NULL */
    char *detail;            /* one line, or NULL */
    uint64_t
        findings; /* instructions outside the profile in its files and those of what it needs */
    bool kept;    /* from an earlier run */
    char *newest_working, *oldest_failing; /* what --newest found, or NULL */
    size_t tried;                          /* versions, by --newest */
} iw_triage_row;

/* --- what to try: every requirement that comes out is a name, with versions and a marker perhaps;
 * none is a path, a URL or an option of pip --- */
int iw_triage_read_operand(const char *text, iw_strings *out, iw_error *err);
int iw_triage_read_requirements(const char *path, iw_strings *out, iw_error *err);
bool iw_triage_is_lock(const char *path); /* by its name */
/* By the Python of stack base, which knows TOML; what the file locks to other places than an index
 * is told as a note. */
int iw_triage_read_lock(const iw_triage *triage, const char *path, iw_strings *out, iw_error *err);

/* --- trying --------------------------------------------------------------- */
/* Somebody's text for a terminal and JSON: control characters, and what isn't UTF-8, become "?".
 * Caller frees. */
char *iw_triage_tame(const char *text);
void iw_triage_row_clear(iw_triage_row *row);
/* As PEP 503 compares names, without a version. Caller frees. */
char *iw_plain_name(const char *requirement);

/* Resolves `requirement`; then the kept result for these very wheels, this profile, this Python and
 * these checks, else downloads, audits, imports and uses them on the emulated CPU, and keeps what
 * came of it. What pip can't bring is `unknown`, with the reason; -1 only for trouble of our own.
 * `row` must be zeroed; the caller clears it. */
int iw_triage_try(iw_triage *triage, const char *requirement, iw_triage_row *row, iw_error *err);
/* Searches the package's versions for the newest that runs and the one above it, which doesn't.
 * Fills `row` with the newest version's result, newest_working, oldest_failing and tried. */
int iw_triage_newest(iw_triage *triage, const char *package, iw_triage_row *row, iw_error *err);
/* Runs the Python's own pip with the options and environment that all its calls here share; *out
 * (may be NULL) gets what it printed, caller frees. Its reason in one line, where it fails;
 * IW_E_CANCELLED on Ctrl-C. */
int iw_triage_pip(const iw_triage *triage, const iw_strings *arguments, char **out, iw_error *err);

#endif
