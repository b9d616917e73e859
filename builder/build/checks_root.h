/* The root of recipes/toolchains/checks.yaml: a Python with pip, a shell, the static emulator and
 * what published wheels take from a system, all of which run on any x86-64 CPU with nothing
 * compiled. It is in no key. */
#ifndef IW_BUILD_CHECKS_ROOT_H
#define IW_BUILD_CHECKS_ROOT_H

#include "base/text.h"
#include "fetch/fetch.h"

#define IW_EMULATOR_NAME "qemu-x86_64-static"
#define IW_CHECKS_PYTHON "/usr/bin/python3.11" /* inside it */

/* Fetches what is missing (only where it isn't unpacked yet) and unpacks it into the store, with
 * events to the options' sink. *root is owned by the caller; a sandbox takes it as `root`. A
 * collection keeps it. IW_E_NOT_FOUND: the tree has no such file. Blocks. */
int iw_checks_root(iw_catalog *catalog, iw_store *store, const iw_fetch_options *options,
                   char **root, iw_error *err);
/* Its Python outside a sandbox (pip, which needs the network): the words before its arguments, and
 * the variables that keep it to its own files. Bytecode goes to folder `bytecode`, or nowhere where
 * that is NULL: never into the root, which must stay as it was unpacked. */
void iw_checks_python(const char *root, const char *bytecode, iw_strings *argv,
                      iw_strings *environment);
/* The folder beside the root that all may share for that. Caller frees. */
char *iw_checks_bytecode(const char *root);

/* Whether `toolchain` brings the very emulator that `checks` pins. */
bool iw_checks_emulator_is(const iw_toolchain *checks, const iw_toolchain *toolchain);
/* The pinned emulator: that of a toolchain's unpacked root (NULL: none) where it is the very same
 * package, else the one of iw_checks_root. NULL where the tree has no such file. Owned by the
 * caller. */
int iw_checks_emulator(iw_catalog *catalog, iw_store *store, const iw_toolchain *toolchain,
                       const char *toolchain_root, const iw_fetch_options *options, char **path,
                       iw_error *err);

#endif
