/* What every call of pip shares that goes to an index: triage's, and the resolver of `upgrade`. */
#ifndef IW_TRIAGE_PIP_H
#define IW_TRIAGE_PIP_H

#include "base/error.h"
#include "base/text.h"
#include "fetch/fetch.h"

#include <stdbool.h>
#include <stddef.h>

/* Adds what pip may see of the caller's environment: where its configuration, certificates and
 * proxies are, and one PIP_INDEX_URL: `index`, else (NULL) the caller's; `offline`: it asks none.
 * Temporary files go to `folder`: gigabytes, perhaps, that /tmp may not hold. */
void iw_pip_environment(const char *index, bool offline, const char *folder,
                        iw_strings *environment);

/* One side of what pip can't solve: a line that the user asked for ("numpy==1.26.4"), or else a
 * sentence of pip's ("pandas 3.1.1 depends on numpy>=2"). */
typedef struct iw_pip_side {
    char *text; /* the caller frees it */
    bool asked;
} iw_pip_side;

/* The first two that differ, from the lines below "The conflict is caused by:" in what pip `said`.
 * Returns how many it tells of: 0, 1 or 2. */
size_t iw_pip_clash(const char *said, iw_pip_side sides[2]);

/* What pip found nothing of, from what it `said` ("click==99"). Caller frees; NULL: it says no such
 * thing. */
char *iw_pip_missing(const char *said);

/* What pip warns of in what it `said`, one sentence each, beginning with the package: a version
 * that was yanked, an extra that it hasn't. None twice. */
void iw_pip_warnings(const char *said, iw_strings *out);

typedef enum iw_absence {
    IW_ABSENCE_NONE,    /* something was found */
    IW_ABSENCE_OFFLINE, /* nobody was asked */
    IW_ABSENCE_PROJECT, /* no index has the project */
    IW_ABSENCE_VERSION, /* it has, and no version of it that was asked for */
    IW_ABSENCE_WHEEL    /* there are such versions, without a wheel for this Python; or that isn't
                           known */
} iw_absence;

typedef struct iw_absent {
    iw_absence what;
    char *newest; /* IW_ABSENCE_VERSION: the newest that there is; or NULL */
    char *text;   /* a sentence */
} iw_absent;

void iw_absent_clear(iw_absent *absent);
/* Asks the indexes why pip finds nothing of `what` (iw_pip_missing). -1 only for IW_E_CANCELLED: an
 * index that doesn't answer tells nothing. Blocks. */
int iw_pip_absent(const char *what, const iw_fetch_options *options, iw_absent *out, iw_error *err);

/* Fails (-1): what `pip install --report` wrote isn't what it is documented to write. */
int iw_pip_strange_report(iw_error *err);

#endif
