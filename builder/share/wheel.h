/* Wheels (https://packaging.python.org/en/latest/specifications/binary-distribution-format/) of
 * what a plan's bundle holds. A version gets the profile as its local label (1.26.4+k10), so that
 * pip prefers it to a published wheel. Shared libraries, which stand in the prefix's lib/, become
 * wheels of their own (iw-openblas) that put them into <venv>/lib, where run paths lead. What is
 * compiled needs iw-cpu, which says at import when the CPU is another one (guard.h). Internal to
 * `share`. */
#ifndef IW_SHARE_WHEEL_H
#define IW_SHARE_WHEEL_H

#include "base/event.h"
#include "plan/plan.h"

typedef struct iw_wheel {  /* all owned */
    char *project;         /* normalised: "monotonic-align" */
    char *version;         /* with the label */
    char *file;            /* its name */
    char *path;            /* where it was written */
    char *metadata;        /* the text of METADATA */
    char *requires_python; /* or NULL */
    char sha256[IW_SHA256_HEX];
    uint64_t size;
} iw_wheel;

typedef struct iw_wheels {
    iw_wheel *items; /* sorted by project */
    size_t count, capacity;
} iw_wheels;

typedef struct iw_wheel_options {
    const char *work; /* an empty folder; the wheels are written there */
    bool (*may_go)(void *context, const iw_node *node); /* false: nothing of this node */
    void *context;
    const iw_sink *sink;
} iw_wheel_options;

void iw_wheels_free(iw_wheels *wheels);
/* Of every Python package in the bundle, and of the libraries that these need; not of Python
 * itself. The same artifacts give the same bytes. IW_E_NOT_FOUND where an artifact isn't in the
 * store, IW_E_FORMAT for names and versions that no index may hold. */
int iw_wheels_make(iw_store *store, const iw_plan *plan, const iw_wheel_options *options,
                   iw_wheels *out, iw_error *err);

/* "k10" of profile k10, "core2.k10" of core2+k10: local label, and folder of the index. Caller
 * frees. */
char *iw_wheel_label(const char *profile);
/* The project that a package of shared libraries is on an index: "iw-openblas"; "iw-libstdcxx" of
 * libstdc++, for no project's name has a plus sign. Caller frees. */
char *iw_wheel_library(const char *package);
/* Whether a version is one that indexes take (PEP 440, in its normal form). */
bool iw_is_wheel_version(const char *text);

#endif
