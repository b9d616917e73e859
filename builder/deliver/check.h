/* The checks of single packages, in an environment that holds these and what they need, and no
 * more: for who writes them. Counts for no bundle. */
#ifndef IW_DELIVER_CHECK_H
#define IW_DELIVER_CHECK_H

#include "deliver/session.h"

/* What is to run. All borrowed. */
typedef struct iw_check_choice {
    const char *const *packages; /* "name" or "name/version" */
    size_t package_count;
    const iw_strings *names; /* of checks; empty: all of these packages' */
    const char
        *cpu; /* the profile to run them under; NULL: the stack's, and what these stand for */
} iw_check_choice;

/* Lays what the store has of the packages, of what they and their checks need, and runs the checks
 * as for a bundle, without its audit. *count: how many ran. IW_E_NOT_FOUND where an artifact, a
 * package or a check is missing, IW_E_CHECK where one fails. Nothing is built, nothing is kept of
 * it but logs. The session's plan is narrowed: of no use for a bundle afterwards. */
int iw_session_check(iw_session *session, const iw_check_choice *choice, size_t *count,
                     iw_error *err);

#endif
