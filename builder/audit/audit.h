/* Auditing: every instruction of ELF files held against a profile. Takes ELF files, static
 * archives, wheels, zip and tar files (bundles too), folders; executable sections are decoded by
 * our own table-driven decoder, on all cores, function by function; Zydis describes what is
 * forbidden. Memory is bounded by the mapping of the files being read and the findings wanted.
 * Whatever the bytes are, nothing outside them is read. */
#ifndef IW_AUDIT_AUDIT_H
#define IW_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "recipe/recipe.h"

typedef enum iw_verdict {
    IW_VERDICT_CLEAN,   /* no instruction outside the profile in anything known to be code */
    IW_VERDICT_GUARDED, /* some, each excused by a reviewed exception */
    IW_VERDICT_TRIED,   /* some that nobody reviewed, in a file that was used under emulation */
    IW_VERDICT_BROKEN,
    IW_VERDICT_SKIPPED /* not code for x86-64 (another machine's ELF file); `note` says what */
} iw_verdict;

const char *iw_verdict_name(
    iw_verdict verdict); /* "clean", "guarded", "tried", "broken", "skipped" */

typedef enum iw_finding_standing {
    IW_FINDING_BROKEN,
    IW_FINDING_GUARDED,
    IW_FINDING_TRIED,
    IW_FINDING_UNDECIDED /* in bytes of an executable section that nothing shows to be code (a
                            table, most often): named, but no verdict rests on it */
} iw_finding_standing;

const char *iw_finding_standing_name(
    iw_finding_standing standing); /* "broken", "guarded", "tried", "undecided" */

/* One forbidden instruction. Borrowed, valid during the call. */
typedef struct iw_audit_finding {
    const char *file; /* as given or found: "lib/libx.so", "libx.a(member.o)", "x.whl!x/core.so" */
    const char *function; /* symbol; "sub_<hex>" for a range of .eh_frame without one; NULL outside
                             every function */
    uint64_t offset;      /* from the function's start */
    uint64_t
        address; /* in the file's own address space; in a relocatable file, offset in `section` */
    const char *section;
    unsigned char bytes[15];
    unsigned length;
    const char *mnemonic; /* "vaddps"; "(bad)" for bytes that don't decode */
    const char *text;     /* "vaddps ymm0, ymm0, ymm1" */
    const char *feature;  /* as gcc's -m options name it ("avx"); "undecodable" for bytes that don't
                             decode */
    iw_finding_standing standing;
    const char *reason; /* guarded: the exception's; broken: why it isn't excused, or what a CPU
                           without it does ("runs as BSR…"); may be NULL */
    const char *via;    /* "constructor init_cpu -> probe -> this function": the direct calls that
                           reach it before main, or NULL */
} iw_audit_finding;

typedef struct iw_audit_count {
    const char *feature; /* static */
    uint64_t count;      /* forbidden instructions, each once: broken + guarded */
    uint64_t guarded;    /* of these */
} iw_audit_count;

/* The result of one ELF file or archive member. Borrowed, valid during the call. */
typedef struct iw_audit_file {
    const char *file;
    iw_verdict verdict;
    const char *note;      /* skipped: why; else NULL or a remark ("no function is known in it") */
    uint64_t code_bytes;   /* in executable sections */
    uint64_t instructions; /* decoded in them */
    uint64_t undecided_bytes; /* in executable sections, neither shown to be code nor padding */
    uint64_t undecided;       /* findings there, not in `counts` */
    uint64_t resyncs; /* where an instruction ran over the start of the next function, and decoding
                         began again there */
    uint64_t functions;           /* known ranges */
    const iw_audit_count *counts; /* sorted by feature */
    size_t count_count;
    /* The functions with most findings, most first. At most IW_AUDIT_TOP. */
    const struct iw_audit_function *top;
    size_t top_count;
} iw_audit_file;

#define IW_AUDIT_TOP 10
typedef struct iw_audit_function {
    const char *name;
    uint64_t address, count, guarded;
} iw_audit_function;

typedef struct iw_audit_options {
    const iw_profile *profile;      /* its `features` decide */
    const iw_exception *exceptions; /* of the recipes concerned; `file` globs are held against the
                                       end of the path (after any `/` or `!`) */
    size_t exception_count;
    const iw_tried *tried; /* files that are `tried` instead of broken, if bytes and counts agree */
    size_t tried_count;
    unsigned threads; /* 0: one for each core */
    uint64_t
        max_findings; /* reported in all; the others are only counted. UINT64_MAX: all, 0: none */
    /* Called from one thread at a time, a file's findings before its result, files in the order of
     * paths. NULL: not wanted. */
    void (*finding)(void *context, const iw_audit_finding *finding);
    void (*file)(void *context, const iw_audit_file *file);
    void *context;
} iw_audit_options;

typedef struct iw_audit_summary {
    uint64_t files, clean, guarded, tried, broken, skipped; /* ELF files */
    uint64_t code_bytes, instructions, undecided_bytes, undecided, resyncs;
    iw_audit_count *counts; /* owned; sorted by feature */
    size_t count_count;
    iw_verdict verdict; /* the worst of all files; clean where there were none */
    double seconds;
} iw_audit_summary;

void iw_audit_summary_clear(iw_audit_summary *summary); /* frees what it owns */

/* Audits everything at and below the paths. A broken ELF file or archive is an error (IW_E_FORMAT
 * with its name), after all else was audited; a file that is neither is passed over below a folder,
 * and an error when it was named itself. Blocks. `summary` is filled in either case; the caller
 * clears it. */
int iw_audit_paths(const char *const *paths, size_t count, const iw_audit_options *options,
                   iw_audit_summary *summary, iw_error *err);

/* The same for bytes in memory (an ELF file or static archive), on the calling thread. */
int iw_audit_buffer(const void *data, size_t length, const char *name,
                    const iw_audit_options *options, iw_audit_summary *summary, iw_error *err);

/* JSON lines without the newline: {"type":"finding",…}, {"type":"file",…}, {"type":"summary",…}.
 * Caller frees. */
char *iw_audit_finding_json(const iw_audit_finding *finding);
char *iw_audit_file_json(const iw_audit_file *file);
char *iw_audit_summary_json(const iw_audit_summary *summary, const char *profile);
/* Lines for people, each with its newline. Caller frees. */
char *iw_audit_finding_text(const iw_audit_finding *finding);
char *iw_audit_file_text(const iw_audit_file *file);
char *iw_audit_summary_text(const iw_audit_summary *summary, const char *profile);

/* One instruction, e.g. the one that a process died of. */
typedef struct iw_instruction {
    unsigned length; /* 0: the bytes don't decode */
    char text[128];  /* "pshufb xmm0, xmm1" */
    char mnemonic[32];
    const char *feature; /* static: what it needs beyond plain x86-64, the first of these that
                            `profile` lacks; NULL: nothing */
    bool allowed;        /* by the profile; true where none is given */
} iw_instruction;

/* Decodes at most 15 bytes as if they stood at `address`. -1 (no record) where they don't decode.
 * `profile` may be NULL. */
int iw_instruction_read(const void *bytes, size_t length, uint64_t address,
                        const iw_profile *profile, iw_instruction *out);

#endif
