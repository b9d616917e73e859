/* "NAME[extras] (conditions); marker" as packages say what they need (PyPA, "Dependency
 * specifiers"), and the markers' answers for the Python that is built for. */
#ifndef IW_UPGRADE_REQUIREMENT_H
#define IW_UPGRADE_REQUIREMENT_H

#include <stdbool.h>

typedef struct iw_requirement {
    char *name;       /* as PEP 503 normalises it */
    char *conditions; /* ">=1.2,<2", "" where there are none */
    char *url;        /* "name @ URL", or NULL */
    bool applies;     /* its marker holds, without any extra asked for */
} iw_requirement;

/* False where the text is none. `python` is a full version. A marker that can't be read holds: what
 * is needed for nothing does less harm than what is missing. To be cleared in any case. */
bool iw_requirement_parse(const char *text, const char *python, iw_requirement *out);
void iw_requirement_clear(iw_requirement *requirement);

/* Whether a marker holds on CPython `python`, x86-64 Linux; *valid (may be NULL): it could be read.
 */
bool iw_marker_holds(const char *marker, const char *python, bool *valid);

#endif
