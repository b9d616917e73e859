/* What to say when pinned Debian files have left every archive that was asked. Internal to `fetch`.
 */
#ifndef IW_FETCH_GONE_H
#define IW_FETCH_GONE_H

#include "fetch/fetch.h"

/* What was asked, and what newer packages would cost. */
typedef struct iw_gone {
    const iw_wanted *const *files;
    size_t count;
    const iw_strings *mirrors;
    const char *snapshot; /* or NULL: none was given */
    const char *renewal;  /* as in iw_fetch_options */
} iw_gone;

/* Adds all of them, and the ways on: the snapshot archive, a mirror folder, newer packages. */
void iw_gone_add_text(iw_buffer *out, const iw_gone *gone);

#endif
