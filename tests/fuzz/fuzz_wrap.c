/* Fuzz target: the wrapper's arguments and response files. Whatever a build says, no flag that
 * chooses instructions is left but the profile's, what is refused is refused with an error, and
 * nothing is read behind its end.
 *
 * Input: one byte of choices (tool, deny, nested, allow); then parts that NUL ends. The first part
 * is the arguments, one a line; the others are the response files r1, r2, … */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "wrap/command.h"
#include "wrap/network.h"
#include "wrap/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void broken(const char *what, const char *detail)
{
    fprintf(stderr, "fuzz_wrap: %s: %s\n", what, detail);
    abort();
}

static void make_policy(unsigned choice, const char *folder, iw_policy *policy)
{
    *policy = (iw_policy){.assembler_march = iw_strdup("amdfam10"),
                          .rust_cpu = iw_strdup("amdfam10"),
                          .source = iw_strdup(folder),
                          .folder = folder,
                          .deny = choice >> 3 & 1,
                          .nested = choice >> 4 & 1};
    static const char *const flags[] = {"-march=amdfam10", "-msse2", "-mno-avx", NULL};
    iw_strings_add_all(&policy->flags, flags);
    iw_strings_add(&policy->maps, "/build=.");
    if (choice >> 5 & 1) iw_strings_add(&policy->allow, "simd/**");
}

/* Written again, so that it doesn't ask the code under test: whether an option of the real tool may
 * choose instructions. */
static bool chooses(const char *argument)
{
    static const char *const starts[] = {"-march=", "-mcpu=", "-mtune=", "-mavx",
                                         "-msse4",  "-mamx",  NULL},
                             *const names[] = {"-mfma",  "-mssse3", "-mbmi",
                                               "-mf16c", "-mxop",   NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(argument, names[i]) == 0) return true;
    for (size_t i = 0; starts[i]; i++)
        if (strncmp(argument, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}

/* Of a compiler's call to a file that isn't allowed. */
static void check_compiler(const iw_policy *policy, const iw_strings *out)
{
    size_t own = 0;
    for (size_t i = 0; i < out->count; i++) {
        const char *argument = out->items[i];
        bool last = i + 1 == out->count;
        own += strcmp(argument, "-march=amdfam10") == 0;
        if (strncmp(argument, "-Wa,", 4) == 0) {
            if (strstr(argument, ",-msse2avx") ||
                (strstr(argument, ",-march=") && strcmp(argument, "-Wa,-march=amdfam10") != 0))
                broken("for the assembler", argument);
        } else if (strncmp(argument, "-Wp,", 4) == 0) {
            if (strstr(argument, ",-mavx2,")) broken("for the preprocessor", argument);
        } else if (strcmp(argument, "-Xassembler") == 0 && !last) {
            if (strncmp(out->items[i + 1], "-march=", 7) == 0 ||
                strcmp(out->items[i + 1], "-msse2avx") == 0)
                broken("-Xassembler", out->items[i + 1]);
        } else if (chooses(argument) && !iw_strings_has(&policy->flags, argument)) {
            broken("a flag is left", argument);
        }
        if (iw_option_takes_value(argument)) i++;
    }
    if (own != 1) broken("the profile's flag", own ? "twice" : "missing");
}

static void check_native(const iw_strings *out)
{
    for (size_t i = 0; i < out->count; i++) {
        if (strcmp(out->items[i], "-march=native") == 0 ||
            strcmp(out->items[i], "-mtune=native") == 0)
            broken("native", out->items[i]);
        if (iw_option_takes_value(out->items[i])) i++;
    }
}

static void check_rust(const iw_strings *out)
{
    for (size_t i = 0; i + 1 < out->count; i++)
        if (strcmp(out->items[i], "-C") == 0) {
            const char *value = out->items[++i];
            if (strncmp(value, "target-cpu=", 11) == 0 && strcmp(value, "target-cpu=amdfam10") != 0)
                broken("rustc", value);
            if (strncmp(value, "target-feature=", 15) == 0 && strstr(value, "avx"))
                broken("rustc", value);
        } else if (strncmp(out->items[i], "-Ctarget-", 9) == 0) {
            broken("rustc", out->items[i]);
        }
}

static void check_parse(iw_tool_kind kind, const iw_strings *argv)
{
    iw_compile c;
    iw_compile_parse(kind, argv, &c);
    if (c.output_index >= (int)argv->count) broken("an index", "behind the end");
    if (c.output &&
        (c.output_index < 0 || c.output != argv->items[c.output_index] + c.output_prefix ||
         c.output_prefix > strlen(argv->items[c.output_index])))
        broken("the output", c.output);
    if (c.source && c.source_count != 1) broken("sources", c.source);
    if (c.source) free(iw_object_name(c.source));
}

static void apply(const iw_policy *policy, iw_tool_kind kind, const iw_strings *argv)
{
    iw_cleanup_strings iw_strings out = {0}, removed = {0};
    iw_error err = IW_ERROR_INIT;
    check_parse(kind, argv);
    if (iw_policy_apply(policy, kind, argv, &out, &removed, &err) != 0) {
        if (!policy->deny || err.kind != IW_E_USAGE || !err.message)
            broken("a refusal", iw_error_text(&err));
        iw_error_clear(&err);
        return;
    }
    check_parse(kind, &out);
    iw_compile c;
    iw_compile_parse(kind, argv, &c);
    bool allowed = policy->allow.count > 0 && c.source && strstr(c.source, "simd");
    if ((kind == IW_TOOL_COMPILER || kind == IW_TOOL_PREPROCESSOR) && c.mode != IW_MODE_QUERY) {
        if (!allowed) check_compiler(policy, &out);
        check_native(&out);
    }
    if (kind == IW_TOOL_RUST) check_rust(&out);
}

/* The parts that NUL ends: the arguments into `given`, the others into files. */
static void take_parts(const char *text, size_t length, iw_strings *given)
{
    int number = 0;
    for (const char *end = text + length; text <= end && number < 9; number++) {
        size_t part = strnlen(text, (size_t)(end - text));
        iw_cleanup_free char *name = iw_format("r%d", number), *copy = iw_strndup(text, part);
        iw_slice rest = iw_slice_of(copy), line;
        if (number > 0) {
            FILE *file = fopen(name, "w");
            for (char *c = copy; (c = strchr(c, '/')); c++) *c = '_'; /* no files of this host */
            if (!file || fwrite(copy, 1, part, file) != part || fclose(file) != 0) abort();
        }
        while (number == 0 && iw_slice_next(&rest, '\n', &line)) {
            bool response = line.length && line.data[0] == '@';
            if (!response || !memchr(line.data, '/', line.length))
                iw_strings_add_format(given, "%.*s", (int)line.length, line.data);
        }
        text += part + 1;
    }
}

/* Text that other programs write, or people. */
static void read_text(const char *text, size_t length, const char *folder)
{
    iw_cleanup_strings iw_strings paths = {0};
    iw_cleanup_free char *copy = iw_strndup(text, length), *exact = malloc(length ? length : 1),
                         *path = iw_path_join(folder, "policy");
    iw_error err = IW_ERROR_INIT;
    iw_policy policy = {0};
    char name[256];
    memcpy(exact, text, length);
    iw_depfile_parse(copy, &paths);
    iw_has_arch_directive(exact, length);
    iw_has_file_directive(exact, length);
    iw_dns_name((const unsigned char *)exact, length, name);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(text, 1, length, file) != length || fclose(file) != 0) abort();
    if (iw_policy_read(path, &policy, &err) != 0 && !err.message)
        broken("a policy", "refused without an error");
    iw_error_clear(&err);
    iw_policy_clear(&policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const iw_tool_kind kinds[] = {IW_TOOL_COMPILER,  IW_TOOL_COMPILER, IW_TOOL_PREPROCESSOR,
                                         IW_TOOL_ASSEMBLER, IW_TOOL_LINKER,   IW_TOOL_RUST,
                                         IW_TOOL_COMPILER,  IW_TOOL_COMPILER};
    if (size < 1 || size > 1 << 16) return 0;
    char *folder = NULL;
    if (iw_temporary_folder(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", "iw-fuzz-",
                            &folder, NULL) != 0)
        abort();
    iw_tool_kind kind = kinds[data[0] & 7];
    iw_strings given = {0}, argv = {0};
    iw_error err = IW_ERROR_INIT;
    iw_policy policy;
    make_policy(data[0], folder, &policy);
    iw_cleanup_fd int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (here < 0 || chdir(folder) != 0) abort();
    take_parts((const char *)data + 1, size - 1, &given);
    bool any = false;
    static const char *const none[] = {NULL};
    if (iw_expand_responses(kind, given.count ? (const char *const *)given.items : none, &argv,
                            &any, &err) == 0)
        apply(&policy, kind, &argv);
    else if (!err.message) broken("response files", "refused without an error");
    iw_error_clear(&err);
    read_text((const char *)data + 1, size - 1, folder);
    iw_policy_clear(&policy);
    iw_strings_free(&given);
    iw_strings_free(&argv);
    if (fchdir(here) != 0) abort();
    if (iw_remove_tree(folder, NULL) != 0) broken("the folder", folder);
    free(folder);
    return 0;
}
