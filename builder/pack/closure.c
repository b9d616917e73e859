/* Shared libraries of a laid environment: everything resolves inside or is glibc's own; the glibc
 * floor is measured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "pack/closure.h"
#include "pack/elf.h"
#include "pack/pack.h"

struct closure {
    const char *environment;
    const iw_plan *plan; /* what its recipes excuse; or NULL */
    iw_strings missing;  /* lines for the message */
    iw_strings users;    /* "GLIBC_2.35 lib/x.so" */
    int floor;           /* 2035 for 2.35 */
};

/* "GLIBC_2.35" gives 2035; 0 for private and unversioned ones. Files with packed relative
 * relocations name no symbol of the glibc that first could read them (2.36), but this version. */
static int glibc_number(const char *version)
{
    unsigned major = 0, minor = 0;
    if (strcmp(version, "GLIBC_ABI_DT_RELR") == 0) return 2036;
    if (sscanf(version, "GLIBC_%3u.%3u", &major, &minor) != 2) return 0;
    return (int)(major * 1000 + minor);
}

/* A link to nothing, or to the build host's own library, is none. */
static bool is_file_inside(const char *environment, const char *path)
{
    iw_cleanup_free char *root = realpath(environment, NULL), *real = realpath(path, NULL);
    struct stat status;
    if (!root || !real || stat(real, &status) != 0 || !S_ISREG(status.st_mode)) return false;
    return iw_starts_with(real, root) && real[strlen(root)] == '/';
}

/* Whether the run path of `file` leads to the library inside the environment. */
static bool resolves(const struct closure *closure, const char *file, const iw_elf *elf,
                     const char *soname)
{
    iw_slice rest = iw_slice_of(elf->rpath ? elf->rpath : ""), part;
    iw_cleanup_free char *folder = iw_path_parent(file);
    if (strchr(soname, '/'))
        return false; /* looked for as it stands, not along the run path (ld.so(8)) */
    while (iw_slice_next(&rest, ':', &part)) {
        iw_cleanup_free char *text = iw_strndup(part.data, part.length);
        if (!iw_starts_with(text, "$ORIGIN")) continue;
        iw_cleanup_free char *joined =
            iw_format("%s%s/%s", folder, text + strlen("$ORIGIN"), soname);
        iw_cleanup_free char *clean = iw_path_clean(joined);
        iw_cleanup_free char *path = iw_path_join(closure->environment, clean);
        if (iw_path_is_inside(clean) && is_file_inside(closure->environment, path)) return true;
    }
    return false;
}

/* Whether a recipe says that only the host can have this library. */
static bool is_the_hosts(const struct closure *closure, const char *file, const char *soname)
{
    for (size_t i = 0; closure->plan && i < closure->plan->node_count; i++) {
        const iw_recipe *recipe = closure->plan->nodes[i].recipe;
        for (size_t k = 0; closure->plan->nodes[i].in_bundle && k < recipe->host_library_count; k++)
            if (strcmp(recipe->host_libraries[k].name, soname) == 0 &&
                iw_glob_match(recipe->host_libraries[k].file, file))
                return true;
    }
    return false;
}

static void check_libraries(struct closure *closure, const char *relative, const iw_elf *elf)
{
    for (size_t i = 0; i < elf->needed.count; i++) {
        const char *soname = elf->needed.items[i];
        if (!iw_is_glibc(soname) && !resolves(closure, relative, elf, soname) &&
            !is_the_hosts(closure, relative, soname))
            iw_strings_add_format(&closure->missing, "  %s needs %s", relative, soname);
    }
}

static void check_versions(struct closure *closure, const char *relative, const iw_elf *elf)
{
    for (size_t i = 0; i < elf->versions.count; i++) {
        const char *version = strchr(elf->versions.items[i], ' ') + 1;
        int number = glibc_number(version);
        if (number > closure->floor) {
            closure->floor = number;
            iw_strings_free(&closure->users);
        }
        if (number && number == closure->floor)
            iw_strings_add_format(&closure->users, "%s %s", version, relative);
    }
}

static int visit(void *context, const char *relative, const char *full, const struct stat *status,
                 iw_error *err)
{
    struct closure *closure = context;
    if (!S_ISREG(status->st_mode)) return 0;
    iw_elf elf;
    if (iw_elf_read(full, &elf, err) != 0) return -1;
    if (elf.dynamic) {
        check_libraries(closure, relative, &elf);
        check_versions(closure, relative, &elf);
    }
    iw_elf_clear(&elf);
    return 0;
}

static void closure_clear(struct closure *closure)
{
    iw_strings_free(&closure->missing);
    iw_strings_free(&closure->users);
}

int iw_check_closure(const char *environment, const iw_plan *plan, iw_error *err)
{
    struct closure closure = {.environment = environment, .plan = plan};
    int status = iw_walk(environment, visit, &closure, err);
    if (status == 0 && closure.missing.count) {
        iw_buffer text = {0};
        for (size_t i = 0; i < closure.missing.count && i < 20; i++)
            iw_buffer_add_format(&text, "\n%s", closure.missing.items[i]);
        status = iw_fail(err, IW_E_BUILD,
                         "shared libraries are missing in the bundle, and are not glibc's "
                         "own:%s\nAdd the package that has them to `needs: run`; what only a host "
                         "can have, as a GPU's driver, goes to `relocation: host-libraries`",
                         text.data);
        iw_buffer_free(&text);
    }
    closure_clear(&closure);
    return status;
}

int iw_glibc_floor(const char *environment, iw_floor *out, iw_error *err)
{
    struct closure closure = {.environment = environment};
    memset(out, 0, sizeof *out);
    int status = iw_walk(environment, visit, &closure, err);
    iw_buffer text = {0};
    for (size_t i = 0; i < closure.users.count && status == 0; i++) {
        char *space = strchr(closure.users.items[i], ' ');
        iw_cleanup_free char *version =
            iw_strndup(closure.users.items[i], (size_t)(space - closure.users.items[i]));
        iw_cleanup_free char *path = iw_path_join(environment, space + 1);
        iw_cleanup_strings iw_strings symbols = {0};
        status = iw_elf_symbols_of_version(path, version, &symbols, err);
        if (status == 0 && symbols.count == 0)
            iw_buffer_add_format(&text, "%s in %s\n", version, space + 1);
        for (size_t k = 0; k < symbols.count; k++)
            iw_buffer_add_format(&text, "%s in %s\n", symbols.items[k], space + 1);
    }
    if (status == 0) {
        snprintf(out->version, sizeof out->version, "%d.%d", closure.floor / 1000,
                 closure.floor % 1000);
        out->symbols = iw_buffer_take(&text);
    }
    iw_buffer_free(&text);
    closure_clear(&closure);
    return status;
}
