#include "build/checks_root.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/build.h"

#define LIBRARIES "usr/lib/x86_64-linux-gnu"
#define EMULATOR_PACKAGE "qemu-user-static"

static int fetch_packages(iw_store *store, const iw_toolchain *checks,
                          const iw_fetch_options *options, iw_error *err)
{
    iw_cleanup_free char *folder = iw_store_path(store, "toolchains", checks->digest),
                         *stamp = iw_path_join(folder, "stamp");
    if (iw_exists(stamp)) return 0;
    iw_wanted *wanted = iw_alloc((checks->package_count + 1) * sizeof *wanted);
    for (size_t i = 0; i < checks->package_count; i++)
        wanted[i] = (iw_wanted){.package = &checks->packages[i], .toolchain = checks};
    int status = iw_fetch_all(store, wanted, checks->package_count, options, err);
    free(wanted);
    return status;
}

static int make_root(iw_store *store, const iw_toolchain *checks, const iw_fetch_options *options,
                     char **root, iw_error *err)
{
    if (fetch_packages(store, checks, options, err) != 0) return -1;
    return iw_toolchain_root(store, checks, options->sink, root, err);
}

int iw_checks_root(iw_catalog *catalog, iw_store *store, const iw_fetch_options *options,
                   char **root, iw_error *err)
{
    const iw_toolchain *checks;
    if (iw_catalog_checks(catalog, &checks, err) != 0) return -1;
    if (checks) return make_root(store, checks, options, root, err);
    return iw_fail(err, IW_E_NOT_FOUND,
                   "the tree has no recipes/toolchains/checks.yaml, which pins the Python and the "
                   "emulator that this needs");
}

void iw_checks_python(const char *root, const char *bytecode, iw_strings *argv,
                      iw_strings *environment)
{
    iw_strings_add_format(argv, "%s/" LIBRARIES "/ld-linux-x86-64.so.2", root);
    iw_strings_add(argv, "--library-path");
    iw_strings_add_format(argv, "%s/" LIBRARIES, root);
    iw_strings_add_format(argv, "%s" IW_CHECKS_PYTHON, root);
    if (bytecode) iw_strings_add(argv, "-X");
    if (bytecode) iw_strings_add_format(argv, "pycache_prefix=%s", bytecode);
    else iw_strings_add(argv, "-B"); /* which -I, unlike the variable, doesn't undo */
    iw_strings_add_format(environment, "PYTHONHOME=%s/usr", root);
    iw_strings_add(environment, "PYTHONNOUSERSITE=1");
    iw_strings_add(environment, "LC_ALL=C.UTF-8");
}

char *iw_checks_bytecode(const char *root)
{
    iw_cleanup_free char *parent = iw_path_parent(root);
    return iw_path_join(parent, "bytecode-native");
}

/* The digest of the package that holds the emulator, or NULL. */
static const char *emulator_of(const iw_toolchain *toolchain)
{
    for (size_t i = 0; toolchain && i < toolchain->package_count; i++)
        if (strcmp(toolchain->packages[i].name, EMULATOR_PACKAGE) == 0)
            return toolchain->packages[i].sha256;
    return NULL;
}

bool iw_checks_emulator_is(const iw_toolchain *checks, const iw_toolchain *toolchain)
{
    const char *pinned = emulator_of(checks), *own = emulator_of(toolchain);
    return pinned && own && strcmp(own, pinned) == 0;
}

int iw_checks_emulator(iw_catalog *catalog, iw_store *store, const iw_toolchain *toolchain,
                       const char *toolchain_root, const iw_fetch_options *options, char **path,
                       iw_error *err)
{
    const iw_toolchain *checks;
    *path = NULL;
    if (iw_catalog_checks(catalog, &checks, err) != 0) return -1;
    iw_cleanup_free char *root = NULL;
    if (!emulator_of(checks)) return 0;
    if (toolchain_root && iw_checks_emulator_is(checks, toolchain))
        root = iw_strdup(toolchain_root);
    else if (make_root(store, checks, options, &root, err) != 0) return -1;
    *path = iw_path_join(root, "usr/bin/" IW_EMULATOR_NAME);
    return 0;
}
