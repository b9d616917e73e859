#include "emulate/crash.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/image.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

#define RECORDS_LIMIT (64u << 20)
#define CRASHES_LIMIT 1000
#define NAME_LIMIT 400 /* bytes of a symbol */

static void crash_clear(iw_crash *crash)
{
    free(crash->program), free(crash->file), free(crash->function), free(crash->instruction);
}

void iw_crash_report_clear(iw_crash_report *report)
{
    for (size_t i = 0; i < report->count; i++) crash_clear(&report->crashes[i]);
    free(report->crashes);
    free(report->jit_program);
    *report = (iw_crash_report){0};
}

/* --- where in a file ------------------------------------------------------ */

/* The address, in the file's own numbering, of a byte at `offset` of the file. */
static bool address_of_offset(const iw_image *image, uint64_t offset, uint64_t *address)
{
    for (size_t i = 0; i < image->part_count; i++) {
        const iw_part *part = &image->parts[i];
        if (offset < part->offset || offset - part->offset >= part->size) continue;
        *address = part->address + (offset - part->offset);
        return true;
    }
    return false;
}

/* Whether .init_array or the like leads into the function, or a compiler called it a static
 * initialiser, which such a one calls. */
static bool is_constructor(const iw_image *image, const iw_function *function)
{
    static const char *const names[] = {"_GLOBAL__sub_I_", "_GLOBAL__I_",
                                        "_Z41__static_initialization_and_destruction_0"};
    for (size_t i = 0; function->name && i < sizeof names / sizeof *names; i++)
        if (strncmp(function->name, names[i], strlen(names[i])) == 0) return true;
    for (size_t i = 0; i < image->root_count; i++) {
        const iw_root *root = &image->roots[i];
        if (!root->resolver && root->code == function->code && root->offset >= function->begin &&
            root->offset < function->end)
            return true;
    }
    return false;
}

/* By the same ranges as the audit: symbols with a size, and .eh_frame, which a stripped library
 * still has. */
static void name_function(iw_crash *crash, const iw_image *image)
{
    const iw_code *code = iw_image_code_at(image, crash->offset);
    uint32_t number = code ? iw_image_function_at(image, (unsigned)(code - image->codes),
                                                  (uint32_t)(crash->offset - code->address))
                           : IW_NO_FUNCTION;
    if (number == IW_NO_FUNCTION) return;
    const iw_function *function = &image->functions[number];
    crash->function = function->name
                          ? iw_strndup(function->name, strnlen(function->name, NAME_LIMIT))
                          : iw_format("sub_%" PRIx64, code->address + function->begin);
    crash->constructor = is_constructor(image, function);
}

static void look_into_file(iw_crash *crash, const char *path, uint64_t offset)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    iw_image image;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0)
        return;
    size_t size = (size_t)status.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return;
    if (iw_image_is_elf(data, size) && iw_image_open(data, size, path, &image, NULL) == 0) {
        if (address_of_offset(&image, offset, &crash->offset)) name_function(crash, &image);
        iw_image_close(&image);
    }
    munmap(data, size);
}

/* --- records -------------------------------------------------------------- */

/* "start-end rwxp offset dev inode   name" (proc(5)). */
static bool mapping_of(iw_slice line, uint64_t address, uint64_t *offset, char **name)
{
    uint64_t start, end, base;
    int used = 0;
    iw_cleanup_free char *text = iw_strndup(line.data, line.length);
    if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %*x:%*x %*u%n", &start, &end, &base,
               &used) < 3 ||
        !used)
        return false;
    if (address < start || address >= end) return false;
    const char *at = text + used + strspn(text + used, " ");
    *offset = base + (address - start);
    *name = *at == '/' ? iw_strdup(at) : NULL;
    return true;
}

static size_t read_bytes(const char *hex, unsigned char bytes[15])
{
    size_t count = 0;
    unsigned value;
    while (count < 15 && isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]) &&
           sscanf(hex, "%2x", &value) == 1) {
        bytes[count++] = (unsigned char)value;
        hex += 2;
    }
    return count;
}

static void describe_instruction(iw_crash *crash, const unsigned char *bytes, size_t count,
                                 const iw_profile *profile)
{
    iw_instruction instruction;
    if (count == 0 || iw_instruction_read(bytes, count, crash->address, profile, &instruction) != 0)
        return;
    crash->instruction = iw_strdup(instruction.text);
    if (!instruction.allowed) crash->feature = instruction.feature;
}

/* "crash pid signal code addr rip bytes program" */
static bool read_head(iw_slice line, const iw_profile *profile, iw_crash *crash)
{
    char hex[40];
    int used = 0;
    uint64_t fault;
    iw_cleanup_free char *text = iw_strndup(line.data, line.length);
    if (sscanf(text, "crash %ld %d %*u %" SCNx64 " %" SCNx64 " %39s %n", &crash->pid,
               &crash->signal, &fault, &crash->address, hex, &used) < 5 ||
        !used)
        return false;
    crash->program = iw_strdup(text + used);
    unsigned char bytes[15];
    describe_instruction(crash, bytes, read_bytes(hex, bytes), profile);
    return true;
}

static void place(iw_crash *crash, const char *inside, const char *outside, uint64_t offset)
{
    size_t length = inside ? strlen(inside) : 0;
    if (length && outside && strncmp(crash->file, inside, length) == 0) {
        iw_cleanup_free char *path = iw_format("%s%s", outside, crash->file + length);
        look_into_file(crash, path, offset);
    } else {
        look_into_file(crash, crash->file, offset);
    }
}

static bool read_crash(iw_slice head, iw_slice *rest, const iw_profile *profile, const char *inside,
                       const char *outside, iw_crash_report *report)
{
    iw_crash crash = {0};
    iw_slice line;
    if (report->count == CRASHES_LIMIT || !read_head(head, profile, &crash)) return false;
    uint64_t offset = 0;
    bool found = false;
    while (iw_slice_next(rest, '\n', &line) && !iw_slice_equal(line, "end"))
        if (!found) found = mapping_of(line, crash.address, &offset, &crash.file);
    if (crash.file) place(&crash, inside, outside, offset);
    report->crashes = iw_realloc(report->crashes, (report->count + 1) * sizeof *report->crashes);
    report->crashes[report->count++] = crash;
    return true;
}

static bool read_jit(iw_slice line, iw_slice *rest, iw_crash_report *report)
{
    uint64_t bytes;
    int used = 0;
    iw_slice end;
    iw_cleanup_free char *text = iw_strndup(line.data, line.length);
    if (sscanf(text, "jit %*d %" SCNu64 " %n", &bytes, &used) < 1 || !used) return false;
    report->jit += bytes;
    if (!report->jit_program) report->jit_program = iw_strdup(text + used);
    return iw_slice_next(rest, '\n', &end) && iw_slice_equal(end, "end");
}

int iw_crash_read(const char *path, const iw_profile *profile, const char *inside,
                  const char *outside, iw_crash_report *report, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    *report = (iw_crash_report){0};
    if (!iw_exists(path)) return 0;
    if (iw_read_file(path, RECORDS_LIMIT, &text, NULL, err) != 0) return -1;
    iw_slice rest = iw_slice_of(text), line;
    bool fine = true;
    while (fine && iw_slice_next(&rest, '\n', &line)) {
        if (line.length > 6 && strncmp(line.data, "crash ", 6) == 0)
            fine = read_crash(line, &rest, profile, inside, outside, report);
        else
            fine = line.length > 4 && strncmp(line.data, "jit ", 4) == 0 &&
                   read_jit(line, &rest, report);
    }
    return 0;
}

/* --- words ---------------------------------------------------------------- */

/* The innermost frame of the traceback that faulthandler printed: 'File "x.py", line 3 in f'.
 * Caller frees; NULL where there is none. */
static char *python_line(const char *output)
{
    const char *at = output ? strstr(output, "(most recent call first):") : NULL;
    if (!at || !(at = strstr(at, "File \""))) return NULL;
    return iw_strndup(at, strcspn(at, "\n"));
}

static char *where(const iw_crash *crash)
{
    if (!crash->file)
        return crash->instruction ? iw_strdup("in code made at run time: no file is mapped there")
                                  : iw_strdup("at an address where nothing is mapped");
    if (crash->function)
        return iw_format("in %s%s of %s, at 0x%" PRIx64,
                         crash->constructor ? "the constructor " : "", crash->function, crash->file,
                         crash->offset);
    return iw_format("in %s, at 0x%" PRIx64 " (no symbol there)", crash->file, crash->offset);
}

char *iw_crash_text(const iw_crash *crash, const iw_profile *profile, const char *output)
{
    iw_buffer text = {0};
    iw_cleanup_free char *place_text = where(crash), *line = python_line(output);
    iw_buffer_add_format(&text, "%s (process %ld) died of signal %d (%s)",
                         iw_path_base(crash->program), crash->pid, crash->signal,
                         strsignal(crash->signal));
    if (crash->instruction)
        iw_buffer_add_format(&text, " at the instruction `%s`", crash->instruction);
    iw_buffer_add_format(&text, " %s.", place_text);
    if (crash->feature)
        iw_buffer_add_format(&text, " It needs %s, which %s doesn't have.", crash->feature,
                             profile->name);
    if (line) iw_buffer_add_format(&text, " Python was at %s.", line);
    if (crash->feature && crash->file)
        iw_buffer_add_format(&text,
                             " Build that file from source for %s; `ironwheel audit --profile %s "
                             "%s` shows all that it holds.",
                             profile->name, profile->name, crash->file);
    else if (crash->signal == SIGILL && !crash->file)
        iw_buffer_add_text(&text, " A program that makes code at run time chose it for another "
                                  "CPU: turn that engine off, or tell it the CPU.");
    else if (crash->signal == SIGFPE)
        iw_buffer_add_text(&text, " An integer division by zero, most often of a number that CPUID "
                                  "was asked for and an old CPU doesn't tell.");
    return iw_buffer_take(&text);
}

const char *iw_signal_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } all[] = {{SIGHUP, "HUP"},   {SIGINT, "INT"},   {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},
               {SIGTRAP, "TRAP"}, {SIGABRT, "ABRT"}, {SIGBUS, "BUS"},   {SIGFPE, "FPE"},
               {SIGKILL, "KILL"}, {SIGSEGV, "SEGV"}, {SIGPIPE, "PIPE"}, {SIGALRM, "ALRM"},
               {SIGTERM, "TERM"}, {SIGXCPU, "XCPU"}, {SIGXFSZ, "XFSZ"}, {SIGSYS, "SYS"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].number == number) return all[i].name;
    return "?";
}

char *iw_crash_json(const iw_crash *crash, const iw_profile *profile, const char *output)
{
    iw_cleanup_free char *line = python_line(output);
    json_t *object = json_object();
    iw_json_set(object, "type", "crash");
    iw_json_set(object, "program", crash->program);
    json_object_set_new(object, "pid", json_integer(crash->pid));
    iw_json_set(object, "signal", iw_signal_name(crash->signal));
    iw_json_set(object, "profile", profile->name);
    iw_json_set(object, "instruction", crash->instruction);
    iw_json_set(object, "feature", crash->feature);
    iw_json_set(object, "file", crash->file);
    iw_json_set(object, "function", crash->function);
    json_object_set_new(object, "constructor", json_boolean(crash->constructor));
    iw_json_set(object, "python", line);
    if (crash->file) json_object_set_new(object, "offset", json_integer((json_int_t)crash->offset));
    char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    return text;
}
