/* A stack's build as jobs for somebody else's scheduler: one a package, each of which is `ironwheel
 * build STACK --only PACKAGE`, and a last one that packs the bundle. */
#ifndef IW_DELIVER_JOBS_H
#define IW_DELIVER_JOBS_H

#include "deliver/session.h"

typedef struct iw_job_options {
    const char *program; /* `ironwheel`; absolute */
    const char *tree;    /* absolute */
    const char *cache;   /* absolute; NULL: each machine's own default */
    const char *place;   /* address of the remote between; NULL: one store for all */
    const char *output;  /* folder of the bundle; NULL: as ever */
    unsigned cores;      /* at most for one job */
} iw_job_options;

typedef struct iw_job_plan {
    const iw_node *node; /* NULL: the bundle */
    char *name;          /* "numpy-1.26.4"; the last one's is "bundle" */
    size_t *after;       /* places in the list: what must have ended well */
    size_t after_count;
    unsigned cores;
    uint64_t memory; /* MiB */
    double seconds;  /* expected, by earlier builds or the recipe */
    iw_strings argv;
} iw_job_plan;

typedef struct iw_jobs {
    const iw_plan *plan; /* borrowed */
    iw_job_plan *items;  /* what is needed comes first */
    size_t count;
} iw_jobs;

/* Cores and memory as measured in earlier builds that the session's store remembers, else as the
 * recipe says. */
int iw_jobs_plan(const iw_session *session, const iw_job_options *options, iw_jobs *out,
                 iw_error *err);
void iw_jobs_clear(iw_jobs *jobs);

/* A makefile; a shell script that submits all to Slurm. IW_E_USAGE for a word that can't be written
 * there (a line break). Caller frees *text. */
int iw_jobs_for_make(const iw_jobs *jobs, char **text, iw_error *err);
int iw_jobs_for_slurm(const iw_jobs *jobs, char **text, iw_error *err);

#endif
