/* What was found of one environment, on its way into manifest and report. Internal to the room. */
#ifndef IW_DELIVER_PROOF_H
#define IW_DELIVER_PROOF_H

#include <jansson.h>

#include "base/text.h"
#include "deliver/passed.h"
#include "deliver/session.h"

/* Checks that are run apart from a bundle. All borrowed. */
struct iw_only_checks {
    iw_node *const *packages;
    size_t package_count;
    const iw_strings *names; /* of checks; empty: all of these packages' */
    const char *cpu;         /* profile; NULL: the stack's */
};

struct iw_proof {
    json_t *all;    /* for the manifest: the same on every host */
    json_t *report; /* with times and how it ran: beside the bundle */
    iw_buffer failed;
    size_t count, failures;
    json_t *audit;   /* for the manifest */
    json_t *every;   /* files of the audit, for the report */
    json_t *started; /* borrowed: what this run built, and when; or NULL */
    bool goes_on;    /* checks that passed in this very environment aren't run again */
    iw_passed passed;
    const struct iw_only_checks *only; /* borrowed; NULL: all of the bundle's and the stack's */
};

struct iw_proof iw_proof_new(void);
void iw_proof_free(struct iw_proof *verdict);

/* Every instruction of everything in the environment, held against the stack's profiles together.
 * IW_E_CHECK where a file is broken. */
int iw_prove_audit(const iw_session *session, const char *environment, struct iw_proof *verdict,
                   iw_error *err);
/* What the check requires and the bundle hasn't, so that it is left out; NULL where it applies.
 * Borrowed. */
const char *iw_prove_lacks(const iw_plan *plan, const iw_check *check);
/* Where checks run: the toolchain's root where it is there, else the small one, which a rig that
 * builds nothing can have without a compiler. *root owned by the caller; NULL without a sandbox. */
int iw_prove_root(iw_session *session, char **root, iw_error *err);
/* The checks, once for each profile of the stack and for those that these stand for. `root`: the
 * toolchain's, NULL without a sandbox. IW_E_CHECK where one fails. */
int iw_prove_checks(iw_session *session, const char *environment, const char *root,
                    struct iw_proof *verdict, iw_error *err);

#endif
