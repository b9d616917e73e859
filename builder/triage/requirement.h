/* What somebody asks for: requirements as people write them, in files, lock files and on the
 * command line. All of it is somebody's text: what can't be tried is left out with the reason, and
 * the rest goes on. Formats: pip's requirements files, PEP 508, PEP 621 (pyproject.toml), PEP 751
 * (pylock.toml), uv.lock. */
#ifndef IW_TRIAGE_REQUIREMENT_H
#define IW_TRIAGE_REQUIREMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

typedef struct iw_origin {
    char *file;  /* as it was named; NULL: the command line */
    size_t line; /* where the (joined) line begins, from 1; 0: of the file as a whole */
} iw_origin;

typedef struct iw_want { /* owns its texts */
    iw_origin origin;
    char *text;        /* as pip takes it: "name[extra]==1.2; marker", without options */
    char *name;        /* as PEP 503 compares names */
    char *extras;      /* "a,b"; NULL: none */
    char *conditions;  /* ">=1.2,<3"; "" for any version */
    char *marker;      /* NULL: none */
    char *pinned;      /* the version of a single "==" or "===" without "*"; else NULL */
    iw_strings hashes; /* "sha256:…", in lower case: what a file of it may have; empty: anything */
} iw_want;

typedef struct iw_left_out { /* a line that isn't tried */
    iw_origin origin;
    char *text; /* for showing: tame, no passwords */
    char *why;
    bool elsewhere; /* nothing is wrong with it: its marker is about another system or Python */
} iw_left_out;

typedef struct iw_requirements { /* zero-initialise */
    iw_want *items;
    size_t count, capacity;
    iw_want *constraints; /* of -c: hold for what is installed, install nothing */
    size_t constraint_count, constraint_capacity;
    iw_left_out *left;
    size_t left_count, left_capacity;
    iw_strings options; /* lines for a requirements file of pip's: indexes, --pre … They may hold
                           passwords: never to be shown, nor given on a command line */
    iw_strings seen;    /* files that were read, so that none is read twice */
} iw_requirements;

void iw_requirements_free(iw_requirements *all); /* leaves it empty and usable */

/* One from the command line. */
void iw_requirements_add(iw_requirements *all, const char *text);
/* A file in UTF-8, or in UTF-16 or -32 with its BOM; `-r` and `-c` in it are relative to it.
 * Failures: it, or a file that it names, can't be read (IW_E_NOT_FOUND, IW_E_IO), or is no text
 * (IW_E_FORMAT). */
int iw_requirements_read(iw_requirements *all, const char *path, iw_error *err);

/* By its name: uv.lock, pylock.toml. */
bool iw_requirements_is_lock(const char *path);
/* `python`: the words before a Python's arguments (it knows TOML), `environment` its variables. */
int iw_requirements_read_lock(iw_requirements *all, const char *path, const iw_strings *python,
                              const iw_strings *environment, iw_error *err);
/* A file that somebody gives, by its name: one of these, or the [project] of a pyproject.toml (PEP
 * 621; without its optional dependencies). IW_E_USAGE where it isn't there or can't be read;
 * another tool's file says what to give instead. */
int iw_requirements_read_given(iw_requirements *all, const char *path, const iw_strings *python,
                               const iw_strings *environment, iw_error *err);
/* Moves what its marker leaves out, for that Python on Linux, from items and constraints to `left`
 * (`elsewhere`). One whose marker can't be read goes there, too. The Python must have pip. */
int iw_requirements_settle(iw_requirements *all, const iw_strings *python,
                           const iw_strings *environment, iw_error *err);

/* "requirements.txt:3" or "the command line". Caller frees. */
char *iw_origin_text(const iw_origin *origin);

/* Somebody's text for a terminal and JSON: control characters, and what isn't UTF-8, become "?",
 * user and password in URLs "****". Caller frees. */
char *iw_triage_tame(const char *text);

#endif
