/* What a program died of, from the records that iw-crash.so wrote (format: crash_lib.c), in words a
 * person can act on. */
#ifndef IW_EMULATE_CRASH_H
#define IW_EMULATE_CRASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "recipe/recipe.h"

typedef struct iw_crash {
    long pid;
    int signal;
    uint64_t address; /* of the instruction, in the process */
    char *program;    /* as the process saw it */
    char *file; /* library or program that holds the instruction, as the process saw it; NULL: no
                   file, code made at run time (or none at all) */
    uint64_t offset;     /* of the instruction in its own address space (as objdump shows it), where
                            there is a file */
    char *function;      /* symbol, or "sub_<hex>" for a range of .eh_frame; NULL: unknown */
    bool constructor;    /* the function runs when the file is loaded: .init_array leads to it, or
                            it is a compiler's static initialiser */
    char *instruction;   /* "vpaddd ymm2, ymm1, ymm0"; NULL: it could not be read */
    const char *feature; /* static: what the profile lacks of what it needs; NULL: nothing */
} iw_crash;

typedef struct iw_crash_report {
    iw_crash *crashes;
    size_t count;
    uint64_t jit;      /* bytes of executable memory without a file, over all processes */
    char *jit_program; /* the first that had some, or NULL */
} iw_crash_report;

void iw_crash_report_clear(iw_crash_report *report);
/* Reads the records; a missing file is an empty report. Files named in them are looked for as they
 * stand, or, where they start with `inside`, below `outside` (both may be NULL). Records may be
 * hostile: what doesn't parse ends the report. */
int iw_crash_read(const char *path, const iw_profile *profile, const char *inside,
                  const char *outside, iw_crash_report *report, iw_error *err);
/* One paragraph; `output` (may be NULL) is what the program said last: Python's own traceback is
 * taken from it. Caller frees. */
char *iw_crash_text(const iw_crash *crash, const iw_profile *profile, const char *output);
/* "ILL", "SEGV" and the like, "?" for one that doesn't end a program by itself. Static. (glibc has
 * such a function from 2.32 on only.) */
const char *iw_signal_name(int number);
/* One JSON object. Caller frees. */
char *iw_crash_json(const iw_crash *crash, const iw_profile *profile, const char *output);

#endif
