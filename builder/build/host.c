#include "build/host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"

/* --- PATH ----------------------------------------------------------------- */

char *iw_host_path(void)
{
    const char *path = getenv("PATH");
    iw_slice rest = iw_slice_of(path ? path : ""), part;
    iw_buffer out = {0};
    while (iw_slice_next(&rest, ':', &part))
        if (part.length && part.data[0] == '/')
            iw_buffer_add_format(&out, "%s%.*s", out.length ? ":" : "", (int)part.length,
                                 part.data);
    return out.length ? iw_buffer_take(&out) : iw_strdup("/usr/bin:/bin");
}

char *iw_host_find(const char *name)
{
    iw_cleanup_free char *path = iw_host_path();
    iw_slice rest = iw_slice_of(path), part;
    while (iw_slice_next(&rest, ':', &part)) {
        iw_cleanup_free char *candidate = iw_format("%.*s/%s", (int)part.length, part.data, name);
        struct stat status;
        if (stat(candidate, &status) == 0 && S_ISREG(status.st_mode) &&
            access(candidate, X_OK) == 0)
            return iw_steal(&candidate);
    }
    return NULL;
}

/* --- what they are -------------------------------------------------------- */

/* The first line that `path ARGUMENT` prints; caller frees; NULL where it prints nothing. */
static char *first_line(const char *path, const char *argument)
{
    const char *argv[] = {path, argument, NULL};
    static const char *const environment[] = {"LC_ALL=C", "PATH=/usr/bin:/bin", NULL};
    iw_cleanup_free char *out = NULL;
    if (iw_run_capture(argv, environment, 1 << 16, &out, NULL, NULL) != 0 || !out || !*out)
        return NULL;
    out[strcspn(out, "\n")] = '\0';
    return iw_steal(&out);
}

static int add_file(iw_hash *hash, const char *name, const char *path, iw_error *err)
{
    char digest[IW_SHA256_HEX];
    if (iw_hash_file(path, digest, NULL, err) != 0) return -1;
    iw_hash_add_field(hash, name, digest);
    return 0;
}

/* gcc's own parts and the C library that it links: files that no PATH names. */
static int add_parts(iw_hash *hash, const char *gcc, iw_error *err)
{
    static const char *const questions[] = {"-print-prog-name=cc1",
                                            "-print-prog-name=cc1plus",
                                            "-print-prog-name=f951",
                                            "-print-file-name=libc.so.6",
                                            "-print-file-name=libstdc++.so.6",
                                            "-print-file-name=libgfortran.so.5",
                                            "-print-file-name=crt1.o"};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        iw_cleanup_free char *path = first_line(gcc, questions[i]);
        if (path && path[0] == '/' && add_file(hash, questions[i], path, err) != 0)
            return -1; /* without a `/` it hasn't got it */
    }
    return 0;
}

/* Tools of the host's that count, in the order in which the summary names them. */
static const struct {
    const char *name;
    bool needed, told;
} tools[] = {{"gcc", true, true},     {"g++", true, false},        {"gfortran", false, false},
             {"as", true, false},     {"ld", true, true},          {"make", true, true},
             {"patch", true, false},  {"patchelf", true, true},    {"cmake", false, true},
             {"ninja", false, true},  {"perl", false, false},      {"rustc", false, true},
             {"cargo", false, false}, {"pkg-config", false, false}};

static int describe(iw_hash *hash, iw_buffer *summary, iw_buffer *missing, iw_error *err)
{
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        iw_cleanup_free char *path = iw_host_find(tools[i].name);
        if (!path && tools[i].needed)
            iw_buffer_add_format(missing, "%s%s", missing->length ? ", " : "", tools[i].name);
        if (!path) continue;
        if (add_file(hash, tools[i].name, path, err) != 0) return -1;
        if (strcmp(tools[i].name, "gcc") == 0 && add_parts(hash, path, err) != 0) return -1;
        iw_cleanup_free char *line = tools[i].told ? first_line(path, "--version") : NULL;
        if (line)
            iw_buffer_add_format(summary, "%s%s%s%s", summary->length ? "; " : "",
                                 strstr(line, tools[i].name) ? "" : tools[i].name,
                                 strstr(line, tools[i].name) ? "" : " ", line);
    }
    return 0;
}

int iw_host_toolchain(iw_toolchain **out, iw_error *err)
{
    iw_cleanup_buffer iw_buffer summary = {0}, missing = {0};
    iw_hash *hash = iw_hash_new();
    iw_toolchain *toolchain = iw_alloc(sizeof *toolchain);
    int status = describe(hash, &summary, &missing, err);
    iw_hash_finish(hash, toolchain->digest);
    iw_hash_free(hash);
    if (status == 0 && missing.length)
        status = iw_fail(err, IW_E_ENVIRONMENT,
                         "--no-sandbox builds with this host's own tools, and PATH has no %s: "
                         "install them with the distribution's package "
                         "manager (Debian: `sudo apt install build-essential gfortran patch "
                         "patchelf cmake ninja-build`), or leave the option out",
                         missing.data);
    if (status != 0) {
        free(toolchain);
        return -1;
    }
    toolchain->name = "host";
    toolchain->is_host = true;
    toolchain->summary = iw_buffer_take(&summary);
    *out = toolchain;
    return 0;
}

void iw_host_toolchain_free(iw_toolchain *toolchain)
{
    if (!toolchain) return;
    free((char *)(uintptr_t)toolchain->summary);
    free(toolchain);
}
