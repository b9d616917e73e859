/* How many instructions outside the profile there are: in all that came, and in the package's own
 * files that don't ask the CPU. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/image.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "triage/internal.h"

#define SUSPECTS_LIMIT 100

struct counting {
    iw_attempt *attempt;
    iw_triage_row *row;
    iw_strings own; /* files below the site */
};

/* CPUID at `at`, as an instruction of the function that holds it and not by chance. */
static bool is_instruction(const iw_code *code, const iw_function *function, uint32_t at)
{
    iw_instruction one;
    uint32_t offset = function->begin;
    while (offset < at && iw_instruction_read(code->data + offset, code->size - offset,
                                              code->address + offset, NULL, &one) == 0)
        offset += one.length;
    return offset == at;
}

static bool has_cpuid(const iw_image *image)
{
    static const unsigned char cpuid[] = {0x0F, 0xA2};
    for (size_t i = 0; i < image->code_count; i++) {
        const iw_code *code = &image->codes[i];
        const uint8_t *at = code->data, *end = code->data + code->size;
        for (; (at = memmem(at, (size_t)(end - at), cpuid, 2)) != NULL; at++) {
            uint32_t offset = (uint32_t)(at - code->data),
                     function = iw_image_function_at(image, (unsigned)i, offset);
            if (function != IW_NO_FUNCTION &&
                is_instruction(code, &image->functions[function], offset))
                return true;
        }
    }
    return false;
}

/* Whether anything in the file looks at the CPU: the instruction, or what compilers and C libraries
 * keep of it. */
static bool asks(const char *path)
{
    static const char *const names[] = {"__cpu_model", "__cpu_indicator_init", "__cpu_features2",
                                        "getauxval", "__get_cpu_features"};
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    iw_image image;
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size == 0) return false;
    size_t size = (size_t)status.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return false;
    bool yes = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !yes; i++)
        yes = memmem(data, size, names[i], strlen(names[i]) + 1) != NULL;
    if (!yes && iw_image_open(data, size, path, &image, NULL) == 0) {
        yes = has_cpuid(&image);
        iw_image_close(&image);
    }
    munmap(data, size);
    return yes;
}

static void on_file(void *context, const iw_audit_file *file)
{
    struct counting *counting = context;
    size_t length = strlen(counting->attempt->site);
    uint64_t count = 0;
    for (size_t i = 0; i < file->count_count; i++) count += file->counts[i].count;
    if (!count || strncmp(file->file, counting->attempt->site, length) != 0 ||
        file->file[length] != '/' || !iw_strings_has(&counting->own, file->file + length + 1) ||
        asks(file->file))
        return;
    counting->row->own += count;
    if (counting->attempt->suspects.count < SUSPECTS_LIMIT)
        iw_strings_add(&counting->attempt->suspects, file->file + length + 1);
}

/* The paths in the RECORD of the package. */
static int read_own(const iw_attempt *a, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *path = iw_triage_record(a->site, a->ask->package), *text = NULL;
    if (!path) return 0;
    if (iw_read_file(path, IW_TRIAGE_REPORT_LIMIT, &text, NULL, err) != 0) return -1;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        size_t quote = line.length && line.data[0] == '"';
        const char *end = memchr(line.data + quote, quote ? '"' : ',', line.length - quote);
        if (end && memmem(line.data, (size_t)(end - line.data), ".so", 3))
            iw_strings_add_format(out, "%.*s", (int)(end - line.data - (ptrdiff_t)quote),
                                  line.data + quote);
    }
    return 0;
}

int iw_triage_count(iw_attempt *a, iw_triage_row *row, iw_error *err)
{
    struct counting counting = {.attempt = a, .row = row};
    iw_audit_options options = {.profile = a->triage->options.profile,
                                .threads = a->triage->parallel == 1 ? 1 : 0,
                                .file = on_file,
                                .context = &counting};
    iw_audit_summary summary = {0};
    int status = read_own(a, &counting.own, err);
    if (status == 0)
        status = iw_audit_paths((const char *const[]){a->site}, 1, &options, &summary, err);
    for (size_t i = 0; i < summary.count_count; i++) row->findings += summary.counts[i].count;
    iw_strings_sort(&a->suspects);
    iw_audit_summary_clear(&summary);
    iw_strings_free(&counting.own);
    return status;
}
