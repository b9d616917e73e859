/* What two releases say of themselves, and what their sources hold that decides whether an old CPU
 * can run them: read from unpacked sources, before an hour is spent on a build. */
#ifndef IW_UPGRADE_METADATA_H
#define IW_UPGRADE_METADATA_H

#include <jansson.h>

#include "base/error.h"
#include "base/text.h"

typedef struct iw_metadata {
    char *python, *licence, *backend; /* or NULL */
    iw_strings build, run;            /* requirements that apply, as written, sorted */
} iw_metadata;

/* PKG-INFO and pyproject.toml of sources whose top is `folder`; a file that isn't there tells
 * nothing. `python`: the version whose markers count. */
int iw_metadata_read(const char *folder, const char *python, iw_metadata *out, iw_error *err);
/* METADATA or PKG-INFO as text alone. */
void iw_metadata_read_text(const char *text, const char *python, iw_metadata *out);
void iw_metadata_clear(iw_metadata *metadata);

/* {python, licence, backend: [old, new] where they differ; build, run: {added, removed}: lists;
 * instructions: [{file, signs}]: sources that ask for instruction sets where the old ones didn't;
 * vendored: folders that are new}; the caller has the reference. */
int iw_metadata_compare(const char *old_folder, const char *new_folder, const char *python,
                        json_t **out, iw_error *err);

#endif
