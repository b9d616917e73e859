/* What every call of pip shares that goes to an index: triage's, and the resolver of `upgrade`. */
#ifndef IW_TRIAGE_PIP_H
#define IW_TRIAGE_PIP_H

#include "base/error.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

/* Adds what pip may see of the caller's environment: where its configuration, certificates and
 * proxies are, and one PIP_INDEX_URL: `index`, else (NULL) the caller's. Temporary files go to
 * `folder`: gigabytes, perhaps, that /tmp may not hold. */
void iw_pip_environment(const char *index, const char *folder, iw_strings *environment);

/* One side of what pip can't solve: a line that the user asked for ("numpy==1.26.4"), or else a
 * sentence of pip's ("pandas 3.1.1 depends on numpy>=2"). */
typedef struct iw_pip_side {
    char *text; /* the caller frees it */
    bool asked;
} iw_pip_side;

/* The first two that differ, from the lines below "The conflict is caused by:" in what pip `said`.
 * Returns how many it tells of: 0, 1 or 2. */
size_t iw_pip_clash(const char *said, iw_pip_side sides[2]);

/* Fails (-1): what `pip install --report` wrote isn't what it is documented to write. */
int iw_pip_strange_report(iw_error *err);

#endif
