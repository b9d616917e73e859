/* What the compiler wrapper does to a command line. Pure, but for reading and writing the policy
 * file. */
#ifndef IW_WRAP_POLICY_H
#define IW_WRAP_POLICY_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "wrap/command.h"

/* Part of every key: changes only with what the wrapper makes of a command line (golden lists in
 * tests/cases/wrap hold it). */
#define IW_POLICY_NUMBER "1"

/* Policy file, one `key value` a line: flags (one flag), assembler-march, rust-cpu, mode (strip or
 * deny), host (1), allow (glob below the sources), source (the sources' folder), map (from=to), log
 * (path), real (folder of the real tools), toolchain (digest). Repeated keys add up where several
 * make sense. */
typedef struct iw_policy {
    iw_strings flags;      /* the profile's, appended: -march=… -mno-… */
    char *assembler_march; /* for -Wa,-march= */
    char *rust_cpu;
    bool deny; /* flags outside the profile are errors, as of a compiler that doesn't know them */
    iw_strings allow; /* files that keep their flags */
    char *source;     /* folder that `allow` is relative to */
    iw_strings maps;  /* -ffile-prefix-map values */
    char *log;        /* where removed flags and cache hits are noted; or NULL */
    char *real;       /* folder of the real tools */
    char *toolchain;  /* digest, part of cache keys; where it is set and `host` isn't, nothing below
                         /usr changes */
    bool
        host; /* no sandbox: `real` holds links to the host's own tools, whose headers may change */
    /* Not in the file: */
    const char *folder; /* that relative names start from; borrowed; NULL: the working folder */
    bool nested; /* called by a compiler that has been through the wrapper: its assembler's flags
                    are ours */
} iw_policy;

void iw_policy_clear(iw_policy *policy);
int iw_policy_write(const char *path, const iw_policy *policy, iw_error *err);
int iw_policy_read(const char *path, iw_policy *policy, iw_error *err);

/* `argv` (without argv[0]) with @files expanded, bounded: by gcc's quoting rules, or one argument a
 * line for rustc. `*any` (may be NULL): there was one. */
int iw_expand_responses(iw_tool_kind kind, const char *const *argv, iw_strings *out, bool *any,
                        iw_error *err);

/* The command line that the real tool gets. `removed` gets each flag that was taken out and isn't
 * the profile's own. -1 (IW_E_USAGE, the message is what a compiler would say) in deny mode. */
int iw_policy_apply(const iw_policy *policy, iw_tool_kind kind, const iw_strings *argv,
                    iw_strings *out, iw_strings *removed, iw_error *err);

/* Whether a flag chooses instructions: -march=, -mcpu=, -mtune=, -m<feature>, -mno-<feature>. */
bool iw_is_isa_flag(const char *flag);

#endif
