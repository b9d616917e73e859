/* How fast the audit decodes: `audit_bench [FILE…]` (default: the largest library of this host).
 * One core: the sum of the bytes, our sweep, the whole audit with its tables of functions, Zydis in
 * minimal and in full mode, iced-x86 where IW_ICED names tests/bench/iced, built; all cores: the
 * whole audit; and objdump. MB of code per second of one core's time, side by side, best of three
 * (objdump and Zydis once, on a part). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/decode.h"
#include "audit/image.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"

enum { PART = 24 << 20, PIECE = 1 << 20, OBJDUMP_PART = 6 << 20 };

static double clock_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* One core's time: what this process used, so that other work on the machine doesn't count. */
static double now(void)
{
    return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

static double children(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static double sum_bytes(const iw_image *image, uint64_t *sum)
{
    double start = now();
    for (size_t i = 0; i < image->code_count; i++)
        for (size_t k = 0; k < image->codes[i].size; k++) *sum += image->codes[i].data[k];
    return now() - start;
}

static double sweep_all(const iw_image *image, const iw_coder *coder, uint64_t *instructions)
{
    iw_sweep sweep = {0};
    double start = now();
    for (size_t i = 0; i < image->code_count; i++) {
        const iw_code *code = &image->codes[i];
        for (size_t at = 0; at < code->size;) {
            sweep.count = 0;
            at =
                iw_sweep_run(coder, code->data, at,
                             at + PIECE < code->size ? at + PIECE : code->size, code->size, &sweep);
        }
    }
    double seconds = now() - start;
    *instructions = sweep.instructions;
    iw_sweep_free(&sweep);
    return seconds;
}

/* MB/s on the middle of the largest section. */
static double zydis_rate(const iw_code *code, bool minimal)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction in;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (minimal) ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
    size_t size = code->size < PART ? code->size : PART, from = (code->size - size) / 2,
           end = from + size;
    double start = now();
    for (size_t at = from; at < end;)
        at += ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code->data + at,
                                                         code->size - at, &in))
                  ? in.length
                  : 1;
    return (double)size / (now() - start) / 1e6;
}

static double objdump_rate(const char *path, const iw_code *code)
{
    size_t size = code->size < OBJDUMP_PART ? code->size : OBJDUMP_PART;
    uint64_t from = code->address + (code->size - size) / 2;
    iw_cleanup_free char *begin = iw_format("--start-address=0x%llx", (unsigned long long)from),
                         *end =
                             iw_format("--stop-address=0x%llx", (unsigned long long)(from + size));
    const char *const argv[] = {"objdump", "-d", begin, end, path, NULL};
    iw_command command = {.argv = argv, .in = -1, .out = -1, .error = -1};
    pid_t pid;
    int status;
    double start = children();
    if (iw_spawn(&command, &pid, NULL) != 0 || iw_wait(pid, &status, NULL) != 0) return 0;
    return (double)size / (children() - start) / 1e6;
}

/* 0: not built. */
static double iced_rate(const char *path, const iw_image *image, const iw_code *code)
{
    const char *program = getenv("IW_ICED");
    iw_cleanup_free char *offset = iw_format("%zu", (size_t)(code->data - image->data)),
                         *size = iw_format("%zu", code->size), *out = NULL;
    iw_error err = IW_ERROR_INIT;
    if (!program || access(program, X_OK) != 0) return 0;
    const char *const argv[] = {program, path, offset, size, NULL};
    if (iw_run_capture(argv, NULL, 1000, &out, NULL, &err)) {
        fprintf(stderr, "%s\n", iw_error_text(&err));
        exit(2);
    }
    return strtod(out, NULL);
}

/* Of one core with one thread, of the clock on the wall with all. */
static double audit_seconds(const char *path, const iw_profile *profile, unsigned threads)
{
    const iw_audit_options options = {.profile = profile, .threads = threads};
    iw_audit_summary summary;
    iw_error err = IW_ERROR_INIT;
    clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double start = clock_of(clock);
    if (iw_audit_paths(&path, 1, &options, &summary, &err)) {
        fprintf(stderr, "%s\n", iw_error_text(&err));
        exit(2);
    }
    iw_audit_summary_clear(&summary);
    return clock_of(clock) - start;
}

static double least(double a, double b)
{
    return a == 0 || b < a ? b : a;
}

typedef struct rates {
    double zydis, iced, objdump;
} rates;

static void row(const char *what, double rate, const rates *others)
{
    printf("  %-40s %8.1f MB/s  %6.1f x Zydis minimal", what, rate, rate / others->zydis);
    if (others->iced > 0) printf("  %5.2f x iced-x86", rate / others->iced);
    printf("  %7.1f x objdump\n", others->objdump > 0 ? rate / others->objdump : 0);
}

static void bench(const char *path, const iw_profile *profile)
{
    iw_isa_rules rules;
    iw_image image;
    char *data;
    size_t size;
    uint64_t bytes = 0, sum = 0, instructions = 0;
    iw_error err = IW_ERROR_INIT;
    if (iw_read_file(path, (size_t)2 << 30, &data, &size, &err) ||
        iw_image_open(data, size, path, &image, &err) || image.code_count == 0) {
        fprintf(stderr, "%s: %s\n", path, iw_error_text(&err));
        exit(2);
    }
    const iw_code *largest = &image.codes[0];
    for (size_t i = 0; i < image.code_count; i++) {
        bytes += image.codes[i].size;
        if (image.codes[i].size > largest->size) largest = &image.codes[i];
    }
    iw_isa_rules_make(&profile->usable, &rules);
    iw_coder *coder = iw_coder_new(&rules);
    double summing = 0, sweeping = 0, one = 0, all = 0;
    for (int i = 0; i < 3; i++) {
        summing = least(summing, sum_bytes(&image, &sum));
        sweeping = least(sweeping, sweep_all(&image, coder, &instructions));
        one = least(one, audit_seconds(path, profile, 1));
        all = least(all, audit_seconds(path, profile, 0));
    }
    const rates others = {zydis_rate(largest, true), iced_rate(path, &image, largest),
                          objdump_rate(path, largest)};
    double full = zydis_rate(largest, false), mb = (double)bytes / 1e6;
    printf("%s: %.0f MB of code, %.2f bytes an instruction, for %s (%llu)\n", path, mb,
           (double)bytes / (double)instructions, profile->name, (unsigned long long)(sum & 1));
    row("sum of the bytes", mb / summing, &others);
    row("our sweep, one core", mb / sweeping, &others);
    row("the whole audit, one thread", mb / one, &others);
    row("the whole audit, all cores, by the wall", mb / all, &others);
    if (others.iced > 0) row("iced-x86", others.iced, &others);
    row("Zydis, minimal", others.zydis, &others);
    row("Zydis, full", full, &others);
    row("objdump -d", others.objdump, &others);
    iw_coder_free(coder);
    iw_image_close(&image);
    free(data);
}

static char *largest_library(void)
{
    const char *folder = "/usr/lib/x86_64-linux-gnu";
    char *best = NULL;
    off_t most = 0;
    DIR *listing = opendir(folder);
    for (const struct dirent *entry; listing && (entry = readdir(listing));) {
        char *path = iw_path_join(folder, entry->d_name);
        struct stat status;
        bool good = strstr(entry->d_name, ".so") && !strstr(entry->d_name, "icudata") &&
                    stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > most;
        if (good) most = status.st_size, free(best), best = path;
        else free(path);
    }
    if (listing) closedir(listing);
    return best;
}

int main(int count, char **arguments)
{
    iw_catalog *catalog;
    const iw_profile *profile;
    iw_error err = IW_ERROR_INIT;
    if (iw_catalog_open(".", &catalog, &err) ||
        iw_catalog_profile(catalog, "k10", &profile, &err)) {
        fprintf(stderr, "%s; run this from the tree's root\n", iw_error_text(&err));
        return 2;
    }
    for (int i = 1; i < count; i++) bench(arguments[i], profile);
    if (count == 1) {
        iw_cleanup_free char *path = largest_library();
        if (path) bench(path, profile);
    }
    iw_catalog_free(catalog);
    return 0;
}
