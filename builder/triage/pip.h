/* What every call of pip shares that goes to an index: triage's, and the resolver of `upgrade`. */
#ifndef IW_TRIAGE_PIP_H
#define IW_TRIAGE_PIP_H

#include "base/text.h"

/* Adds what pip may see of the caller's environment: where its configuration, certificates and
 * proxies are, and one PIP_INDEX_URL: `index`, else (NULL) the caller's. Temporary files go to
 * `folder`: gigabytes, perhaps, that /tmp may not hold. */
void iw_pip_environment(const char *index, const char *folder, iw_strings *environment);

#endif
