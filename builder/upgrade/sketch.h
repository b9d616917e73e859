/* A recipe while it is being found out, and its text. Internal to the room. */
#ifndef IW_UPGRADE_SKETCH_H
#define IW_UPGRADE_SKETCH_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

typedef struct iw_sketch {
    char *name, *version, *summary, *licence, *homepage; /* owned, as all below; homepage may be
                                                            NULL */
    char *project, *file, *sha256;                       /* of the index */
    bool wheel;                                          /* that file is a wheel, kept as it is */
    iw_strings crates;                                   /* "path sha256" */
    iw_strings build, run;  /* needs: "name" or "name/version", each once */
    iw_strings environment; /* "NAME=value" */
    iw_strings prepare;     /* shell lines */
    iw_strings remove;
    bool deny_flags;
    iw_strings modules; /* a check imports them */
    iw_strings tried;   /* "file sha256 feature:count,…" */
    iw_strings todo;
} iw_sketch;

void iw_sketch_clear(iw_sketch *draft);
/* Adds to a list unless it is there; of needs, unless one of that name is: then it is replaced
 * where the new one names a version. False where nothing changed. */
bool iw_sketch_need(iw_strings *needs, const char *need);
bool iw_sketch_add(iw_strings *list, const char *text);
/* The file's text, which the reader takes (but for what `todo` says); the same draft gives the same
 * bytes. Caller frees. */
char *iw_sketch_text(const iw_sketch *draft);

/* A scalar as YAML in single quotes, without control characters. */
void iw_yaml_quoted(iw_buffer *out, const char *text);

#endif
