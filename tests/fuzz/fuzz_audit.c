/* Fuzz target: the audit. Whatever the bytes are, nothing outside them is read, and it comes to an
 * end. The first byte chooses how they are read: as they are in memory, or (bit 0) as a file, so
 * that wheels and tar files count too; bit 1: with exceptions, among them one for a range. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct totals {
    uint64_t findings, files, counted;
} totals;

static void on_finding(void *context, const iw_audit_finding *finding)
{
    totals *t = context;
    iw_cleanup_free char *json = iw_audit_finding_json(finding),
                         *text = iw_audit_finding_text(finding);
    if (!json || !text || !finding->feature || !finding->mnemonic || finding->length == 0 ||
        finding->length > 15)
        abort();
    t->findings++;
}

static void on_file(void *context, const iw_audit_file *file)
{
    totals *t = context;
    iw_cleanup_free char *json = iw_audit_file_json(file), *text = iw_audit_file_text(file);
    if (!json || !text) abort();
    for (size_t i = 0; i < file->count_count; i++) {
        if (file->counts[i].guarded > file->counts[i].count) abort();
        t->counted += file->counts[i].count;
    }
    t->counted += file->undecided;
    t->files++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"mmx", "sse", "sse2", "fxsr", NULL}, *const some[] = {
                                                                                 "avx", "xsave",
                                                                                 "sse3", NULL};
    const iw_exception exceptions[] = {
        {.symbol = "*a*", .file = "**", .reason = "fuzz", .features = {some, 3}},
        {.range = "0x1000-0x2000",
         .sha256 = "0000000000000000000000000000000000000000000000000000000000000000",
         .file = "**",
         .reason = "fuzz",
         .features = {some, 3}}};
    if (size < 1 || size > 1 << 20) return 0;
    totals t = {0};
    const iw_profile profile = {.name = "fuzz", .features = {names, 4}};
    iw_audit_options options = {.profile = &profile,
                                .threads = 1,
                                .max_findings = 1000,
                                .finding = on_finding,
                                .file = on_file,
                                .context = &t};
    if (data[0] & 2) options.exceptions = exceptions, options.exception_count = 2;
    iw_audit_summary summary;
    iw_error err = IW_ERROR_INIT;
    int status;
    if (data[0] & 1) {
        int fd = memfd_create("audit", MFD_CLOEXEC);
        if (fd < 0 || iw_write_all(fd, data + 1, size - 1, "memory", NULL) != 0) abort();
        iw_cleanup_free char *path = iw_format("/proc/self/fd/%d", fd);
        const char *paths[] = {path, NULL};
        status = iw_audit_paths(paths, 1, &options, &summary, &err);
        close(fd);
    } else { /* at the very end of an allocation, where the sanitizer sees one byte too many */
        uint8_t *copy = malloc(size > 1 ? size - 1 : 1);
        if (!copy) abort();
        memcpy(copy, data + 1, size - 1);
        status = iw_audit_buffer(copy, size - 1, "fuzz", &options, &summary, &err);
        free(copy);
    }
    if (status != 0 && (err.kind == IW_E_NONE || !err.message)) abort();
    if (summary.files != t.files || t.findings > 1000 ||
        (t.findings < 1000 && t.findings != t.counted))
        abort();
    iw_audit_summary_clear(&summary);
    iw_error_clear(&err);
    return 0;
}
