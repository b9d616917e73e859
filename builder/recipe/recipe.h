/* Recipes, stacks, profiles and toolchain files as checked structures. Everything lives in the
 * catalog's arena and is read-only after loading; a catalog is freed whole. Format:
 * docs/recipes.md. Errors are IW_E_RECIPE "file:line:column: …". */
#ifndef IW_RECIPE_RECIPE_H
#define IW_RECIPE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

typedef struct iw_list { /* NULL-terminated too */
    const char *const *items;
    size_t count;
} iw_list;

typedef struct iw_place { /* where something stands, for messages */
    const char *file;     /* relative to the tree's root */
    int line, column;     /* from 1 */
} iw_place;

typedef enum iw_source_kind {
    IW_SOURCE_PYPI,
    IW_SOURCE_URL,
    IW_SOURCE_DEBIAN,
    IW_SOURCE_GIT,
    IW_SOURCE_CRATES,
    IW_SOURCE_LOCAL
} iw_source_kind;

typedef struct iw_source {
    iw_source_kind kind;
    iw_place place;
    const char *id;      /* never NULL: given, or its number from 1 */
    const char *name;    /* pypi: project; debian: package; url: first URL; git: URL; crates: lock
                            path; local: path below the recipe's folder */
    const char *version; /* pypi, debian; else NULL */
    const char *file;    /* file name of the download; git: NULL */
    const char *sha256;  /* of the file, of the checked-out tree (git), of the lock (crates), of the
                            content (local, computed at loading) */
    bool wheel;          /* pypi */
    bool binary;         /* debian */
    const char *area;    /* debian: of the archive; "main" where none is said; in no key */
    const char *pinned;  /* debian: when, "20261123T083542Z" (UTC), or NULL; in no key */
    iw_list mirrors;     /* url */
    iw_list without;     /* crates: names in the lock, globs */
    const char *commit;  /* git */
    bool submodules;     /* git */
    const char *to; /* below $SRC, cleaned; "." for the first; below $FILES for a local one that
                       isn't unpacked */
    unsigned strip;
    bool unpack;
    const char *local_path; /* local: absolute path on this host (`file` is its last part) */
} iw_source;

typedef struct iw_patch {
    iw_place place;
    const char *file; /* patches/<name>/<file>, or the path inside the source */
    const char *from; /* id of a source, or NULL for ours */
    unsigned strip;
    const char *path;          /* ours: absolute path on this host; else NULL */
    const char *sha256;        /* ours: of the file; else NULL (the source's digest pins it) */
    const char *change_sha256; /* ours: of what iw_patch_change leaves: this is in the keys */
    /* DEP-3, ours only */
    const char *description, *origin, *author, *forwarded, *applies_to;
} iw_patch;

#define IW_PATCH_LIMIT ((size_t)16 << 20) /* bytes of a patch of ours */

/* Where the change starts in a patch's text: what stands above is a header for people, and in no
 * key. That is the first line that opens the diff of a file ("--- " with "+++ " below it, or "*** "
 * with "--- "), with the lines directly above it that lead to it ("diff ", "Index: " and what
 * version control writes between); or a "diff --git " with git's word of a mode, a name or binary
 * content below. A line "---", which ends DEP-3 headers, git's list of changed files, and such
 * words in prose don't start it. `length` where there is none. */
size_t iw_patch_change(const char *text, size_t length);

typedef struct iw_need {
    iw_place place;
    const char *name;
    const char *version; /* exact, or NULL: the stack's */
} iw_need;

typedef struct iw_needs {
    const iw_need *items;
    size_t count;
} iw_needs;

typedef enum iw_system {
    IW_SYSTEM_PYTHON,
    IW_SYSTEM_CMAKE,
    IW_SYSTEM_MAKE,
    IW_SYSTEM_AUTOTOOLS,
    IW_SYSTEM_CARGO,
    IW_SYSTEM_WHEEL,
    IW_SYSTEM_SCRIPT
} iw_system;

typedef struct iw_variable {
    const char *name, *value;
} iw_variable;

typedef struct iw_reasoned { /* a file pattern with a reason */
    iw_place place;
    const char *file, *reason, *check; /* check may be NULL */
} iw_reasoned;

typedef struct iw_host_library { /* a shared library that a bundle can't hold */
    iw_place place;
    const char *name, *file, *reason; /* file: a glob on the files that need it */
} iw_host_library;

typedef struct iw_build {
    iw_place place;
    iw_system system;
    const char *directory; /* "." by default */
    const char *optimise;  /* "-O2" by default */
    const iw_variable *environment;
    size_t environment_count;
    iw_list arguments, make, install, remove, development;
    const char *prepare, *configure, *compile, *install_script, *finish; /* shell text or NULL */
    bool deny_flags;
    const iw_reasoned *allow_isa;
    size_t allow_isa_count;
    unsigned memory, link_memory; /* MiB */
    unsigned minutes;             /* 0: not said */
} iw_build;

typedef enum iw_check_kind {
    IW_CHECK_IMPORT,
    IW_CHECK_PYTHON,
    IW_CHECK_COMMAND,
    IW_CHECK_SHELL
} iw_check_kind;

typedef struct iw_check {
    iw_place place;
    const char *name;
    iw_check_kind kind;
    iw_list arguments; /* modules, or the command */
    const char *text;  /* python or shell */
    unsigned timeout;  /* seconds */
    bool loopback;
    iw_list requires;
} iw_check;

typedef struct iw_exception {
    iw_place place;
    const char *symbol, *range, *sha256, *file, *reason;
    iw_list features;
} iw_exception;

typedef enum iw_audit_policy {
    IW_POLICY_CLEAN,
    IW_POLICY_GUARDED,
    IW_POLICY_TRIED
} iw_audit_policy;

/* A file that may hold instructions which nobody reviewed: its package was used under emulation. */
typedef struct iw_tried {
    iw_place place;
    const char *file, *sha256; /* below the prefix; of exactly these bytes */
    const iw_variable *holds;  /* feature: how many instructions, in decimal */
    size_t holds_count;
} iw_tried;

typedef struct iw_recipe {
    const char *name, *version, *summary, *licence, *homepage;
    const char *accept; /* licence that --accept-licence must name before it is fetched, or NULL */
    const char *watch;  /* where newer releases of a `url` source are seen, or NULL */
    const char *path;   /* recipes/<name>/<version>.yaml, relative to the tree's root */
    const char *folder; /* absolute */
    iw_place place;
    const iw_source *sources;
    size_t source_count;
    const iw_patch *patches;
    size_t patch_count;
    iw_needs build_needs, run_needs;
    iw_build build;
    const iw_reasoned *keep_prefix;
    size_t keep_prefix_count;
    const iw_host_library *host_libraries;
    size_t host_library_count;
    const iw_check *checks;
    size_t check_count;
    int policy; /* iw_audit_policy */
    const iw_exception *exceptions;
    size_t exception_count;
    const iw_tried *tried;
    size_t tried_count;
    const char *meaning; /* canonical text of everything that can change the built result (not
                            checks, audit, summary, comments) */
} iw_recipe;

typedef struct iw_profile {
    const char *name, *summary, *path;
    iw_list flags; /* everything the wrapper appends: -march=amdfam10, -m… for each allowed feature,
                      -mno-… for each other */
    const char *assembler_march; /* for -Wa,-march=…: amdfam10 */
    iw_list features; /* of the CPU, as GCC's -m flags name them without -m: sse3, sse4a, popcnt,
                         abm … */
    iw_list shunned;  /* of these, what nothing may use all the same */
    iw_list usable;   /* features without shunned: what the audit allows */
    const char *rust_cpu, *openblas_target, *numpy_baseline,
        *emulator_cpu; /* e.g. amdfam10, BARCELONA, sse3, phenom */
    iw_list also; /* profiles under whose emulators the checks run, too; not those of a joined one's
                     parts */
    const char *meaning;
} iw_profile;

typedef struct iw_pin {
    iw_place place;
    const char *name, *version;
} iw_pin;

typedef struct iw_stack {
    const char *name, *version, *summary, *path, *toolchain;
    iw_list profiles;       /* sorted, unique */
    const iw_pin *packages; /* in the bundle, with what they need to run */
    size_t package_count;
    const iw_pin *pins; /* versions of everything else */
    size_t pin_count;
    const iw_check *checks;
    size_t check_count;
    bool tried;            /* takes recipes whose policy is `tried` */
    double hours, disk_gb; /* for --list */
    const char *glibc;     /* that the bundle is expected to need, "2.35"; NULL: not said */
} iw_stack;

typedef struct iw_toolchain_package {
    const char *name, *version, *file, *sha256; /* file: path below a Debian mirror, pool/… */
    uint64_t size;
} iw_toolchain_package;

typedef struct iw_toolchain {
    const char *name, *summary, *suite, *path;
    const char *pinned; /* when the packages were found, "20261123T083542Z" (UTC), or NULL; in no
                           digest */
    iw_list roots;
    const iw_toolchain_package *packages;
    size_t package_count;
    bool is_host;               /* no packages of ours: what this host has, found by PATH */
    char digest[IW_SHA256_HEX]; /* over name, version and sha256 of every package, sorted; of the
                                   host's tools: over name and sha256 of each */
} iw_toolchain;

typedef struct iw_catalog iw_catalog;

/* Opens the tree that holds `recipes/` and `patches/`. Nothing is read yet but the names of files.
 * Caller frees. */
int iw_catalog_open(const char *root, iw_catalog **out, iw_error *err);
void iw_catalog_free(iw_catalog *catalog);
const char *iw_catalog_root(const iw_catalog *catalog); /* absolute */
/* A copy of the tree at `root`, of its recipes and patches, in the folder `to`, which is made. */
int iw_catalog_copy(const char *root, const char *to, iw_error *err);

/* Each loads once, then returns the same borrowed pointer. An unknown name says "did you mean". */
int iw_catalog_recipe(iw_catalog *catalog, const char *name, const char *version,
                      const iw_recipe **out, iw_error *err);
int iw_catalog_stack(iw_catalog *catalog, const char *name, const iw_stack **out, iw_error *err);
int iw_catalog_profile(iw_catalog *catalog, const char *name, const iw_profile **out,
                       iw_error *err);
int iw_catalog_toolchain(iw_catalog *catalog, const char *name, const iw_toolchain **out,
                         iw_error *err);
/* The toolchain file of what checks, `run` and triage use, whatever builds: in no key. *out is NULL
 * where the tree has none. */
#define IW_CHECKS_TOOLCHAIN "checks"
int iw_catalog_checks(iw_catalog *catalog, const iw_toolchain **out, iw_error *err);
/* From now on iw_catalog_toolchain gives this one for every name: the host's own tools (`host` is
 * borrowed until the catalog is freed). */
void iw_catalog_use_toolchain(iw_catalog *catalog, const iw_toolchain *host);

/* Names and versions that exist, sorted (versions by bytes); borrowed. */
int iw_catalog_names(iw_catalog *catalog, iw_list *out, iw_error *err);
int iw_catalog_versions(iw_catalog *catalog, const char *name, iw_list *out, iw_error *err);
/* The recipes that bring the distribution `project` (as PEP 503 compares names) of Python's package
 * index: their first source is that project's or, where that comes from elsewhere, they have its
 * name and are built as a Python package, or run on Python. The recipe brotli is the C library, and
 * `import brotli` isn't in it: where something else has the name, a recipe is called
 * python-<project>. *name: what they are called, or, with no versions, what a new one has to be
 * called. A recipe that can't be loaded counts: what is wrong with it is told where it is used.
 * Borrowed. */
int iw_catalog_distribution(iw_catalog *catalog, const char *project, const char **name,
                            iw_list *versions, iw_error *err);
int iw_catalog_stacks(iw_catalog *catalog, iw_list *out, iw_error *err);
int iw_catalog_profiles(iw_catalog *catalog, iw_list *out, iw_error *err);
int iw_catalog_toolchains(iw_catalog *catalog, iw_list *out, iw_error *err);

/* The intersection of several profiles as one: name joined by `+`, the flags of the first with
 * -mno-… for every feature that one of the others lacks, features allowed by all, the most careful
 * of the rest. Borrowed from the catalog. */
int iw_catalog_profiles_join(iw_catalog *catalog, const iw_list *names, const iw_profile **out,
                             iw_error *err);

/* Reads one file of the tree from memory, as far as that goes without its neighbours: what an
 * editor or the fuzzer asks. `kind` is "recipe", "stack", "profile" or "toolchain"; `file` is for
 * messages. */
int iw_recipe_check_text(const char *kind, const char *file, const char *data, size_t length,
                         iw_error *err);

/* The JSON Schema, and the reference tables in Markdown, of a kind of file; from the reader's own
 * tables. Caller frees; NULL for no such kind. */
char *iw_recipe_schema_json(const char *kind);
char *iw_recipe_reference(const char *kind);

const char *iw_system_name(iw_system system);
const char *iw_source_kind_name(iw_source_kind kind);

#endif
