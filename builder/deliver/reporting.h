/* The page beside a bundle: gathers what is known of it here, and writes it. Shared by build, pack
 * and verify. */
#ifndef IW_DELIVER_REPORTING_H
#define IW_DELIVER_REPORTING_H

#include <jansson.h>

#include "deliver/session.h"

/* All borrowed; what isn't known is NULL. */
typedef struct iw_reporting {
    const char *bundle; /* its path */
    const char *sha256;
    const char *tar_sha256;         /* of its uncompressed tar; NULL: not known */
    const char *environment;        /* folder with its manifest.json */
    const char *by;                 /* "build base" */
    const char *problem;            /* why it doesn't hold */
    json_t *audit, *every, *checks; /* as iw_report_page takes them; `every` goes into `audit` */
    json_t *started;                /* {"name/version": seconds}: what this run built */
    json_t *origin;                 /* of the whole, where it was pulled: remote, key, at, audit */
} iw_reporting;

/* Writes the page to `path`. */
int iw_write_report(const iw_session *session, const iw_reporting *reporting, const char *path,
                    iw_error *err);

#endif
