/* Checks that passed in an environment whose bundle wasn't written yet: a build that is stopped, or
 * that one check fails, doesn't run them again. Internal to the room. */
#ifndef IW_DELIVER_PASSED_H
#define IW_DELIVER_PASSED_H

#include "deliver/session.h"
#include "emulate/emulate.h"

/* Zeroed: nothing is kept, nothing is found. */
typedef struct iw_passed {
    char *folder; /* in the store, named for what the environment holds and for what runs checks */
} iw_passed;

/* For the environment that the session's plan comes to, under this emulator (a path). Nothing is
 * kept where the host's own tools run the checks. To be cleared in any case. */
int iw_passed_open(iw_passed *passed, const iw_session *session, const char *emulator,
                   iw_error *err);
void iw_passed_clear(iw_passed *passed);
/* Whether the job passed before in this environment, under this profile: its result then, owned by
 * the caller (iw_check_results_free takes a list). */
bool iw_passed_find(const iw_passed *passed, const iw_profile *profile, const iw_check_job *job,
                    iw_check_result *out);
/* Remembers a check that passed. What can't be written is run again, no more. */
void iw_passed_keep(const iw_passed *passed, const iw_profile *profile, const iw_check_job *job,
                    const iw_check_result *result);
/* The bundle is written: it is what is asked now. */
void iw_passed_forget(const iw_passed *passed);

#endif
