/* What the tests of `audit` share: profiles, compiling planted sources, and findings kept in
 * memory. They run from the tree's root. */
#ifndef IW_TESTS_AUDIT_KIT_H
#define IW_TESTS_AUDIT_KIT_H

#include "../check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"

typedef struct kit {
    iw_catalog *catalog;
    char *folder;
} kit;

static inline int kit_open(void **state)
{
    kit *k = iw_alloc(sizeof *k);
    if (iw_catalog_open(".", &k->catalog, NULL) ||
        iw_temporary_folder("/tmp", "iw-audit-", &k->folder, NULL))
        return -1;
    *state = k;
    return 0;
}

static inline int kit_close(void **state)
{
    kit *k = *state;
    iw_remove_tree(k->folder, NULL);
    iw_catalog_free(k->catalog);
    free(k->folder);
    free(k);
    return 0;
}

static inline const iw_profile *kit_profile(kit *k, const char *name)
{
    iw_error err = IW_ERROR_INIT;
    const iw_profile *profile;
    kit_ok(iw_catalog_profile(k->catalog, name, &profile, &err));
    return profile;
}

/* Findings and results, one line each: "finding FUNCTION FEATURE STANDING MNEMONIC VIA", "file NAME
 * VERDICT". */
static inline void kit_finding(void *context, const iw_audit_finding *f)
{
    iw_buffer_add_format(context, "finding %s %s %s %s | %s\n", f->function ? f->function : "-",
                         f->feature, iw_finding_standing_name(f->standing), f->mnemonic,
                         f->via ? f->via : "-");
}

static inline void kit_file(void *context, const iw_audit_file *f)
{
    iw_buffer_add_format(context, "file %s %s\n", iw_path_base(f->file),
                         iw_verdict_name(f->verdict));
}

/* Audits one path, with the options that say what is excused; the lines are owned by the caller. */
static inline char *kit_audit_with(const char *path, iw_audit_options options, iw_verdict *verdict)
{
    iw_error err = IW_ERROR_INIT;
    iw_buffer lines = {0};
    iw_audit_summary summary;
    options.threads = 2;
    options.max_findings = UINT64_MAX;
    options.finding = kit_finding;
    options.file = kit_file;
    options.context = &lines;
    kit_ok(iw_audit_paths(&path, 1, &options, &summary, &err));
    *verdict = summary.verdict;
    iw_audit_summary_clear(&summary);
    return iw_buffer_take(&lines);
}

static inline char *kit_audit(kit *k, const char *path, const char *profile,
                              const iw_exception *exceptions, size_t count, iw_verdict *verdict)
{
    return kit_audit_with(path,
                          (iw_audit_options){.profile = kit_profile(k, profile),
                                             .exceptions = exceptions,
                                             .exception_count = count},
                          verdict);
}

static inline char *kit_audit_tried(kit *k, const char *path, const iw_tried *tried,
                                    iw_verdict *verdict)
{
    return kit_audit_with(
        path,
        (iw_audit_options){.profile = kit_profile(k, "k10"), .tried = tried, .tried_count = 1},
        verdict);
}

/* Runs a shell line in the kit's folder, with PLANTED as the folder of the planted sources. */
static inline void kit_run(kit *k, const char *line)
{
    iw_error err = IW_ERROR_INIT;
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    iw_cleanup_free char *script =
        iw_format("set -e; PLANTED='%s/tests/cases/audit/planted'; cd '%s'; %s", here, k->folder,
                  line);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL}, *const environment[] = {
                                                                    "PATH=/usr/bin:/bin",
                                                                    "LC_ALL=C", NULL};
    kit_ok(iw_run_capture(argv, environment, 1 << 20, NULL, NULL, &err));
}

#endif
