/* Everything that comes over the network: sources by digest, toolchain packages, mirrors. */
#ifndef IW_FETCH_FETCH_H
#define IW_FETCH_FETCH_H

#include "base/event.h"
#include "recipe/recipe.h"
#include "store/store.h"

typedef struct iw_fetch_options {
    bool offline;        /* anything missing is an error that names it */
    const char *import;  /* mirror folder (may be relative) or its http(s) URL, made by
                            iw_fetch_export; tried first; or NULL */
    bool import_hurried; /* nobody asked for it by name: what doesn't come at once is a miss */
    const char *debian_mirror;   /* --debian-mirror or IRONWHEEL_DEBIAN_MIRROR; NULL: what apt is
                                    configured with */
    const char *debian_snapshot; /* --debian-snapshot: Debian's snapshot archive, for what the
                                    mirrors have dropped; NULL: IRONWHEEL_DEBIAN_SNAPSHOT */
    const char *renewal;         /* what newer toolchain packages would cost, as a clause, for the
                                    error about pinned ones that are gone; or NULL */
    const char
        *root; /* of the tree, whose out/debian-mirror bootstrap may have written; NULL: none */
    const char *pypi_index; /* --index-url; NULL: PIP_INDEX_URL, pip.conf, else pip's own default */
    const char *accepted;   /* --accept-licence: names, separated by commas; NULL: none but those of
                               IRONWHEEL_ACCEPT_LICENCE */
    unsigned parallel;      /* 0: 6 */
    int cancel;             /* readable: stop; -1: none */
    const iw_sink *sink;
    double backoff; /* seconds before a first retry; 0: 1 */
    unsigned stall; /* seconds without data before a try is given up; 0: 60 */
} iw_fetch_options;

/* One thing to bring, by digest. */
typedef struct iw_wanted {
    const iw_recipe *recipe;             /* for messages; NULL for a toolchain package */
    const iw_source *source;             /* or NULL */
    const iw_toolchain_package *package; /* or NULL */
    const iw_toolchain *toolchain;       /* of the package; may be NULL */
} iw_wanted;

/* Brings everything that isn't in the store; goes on after a failure, notes each in the store, and
 * fails at the end with all of them. Debian files that every archive answers to have no more are
 * listed together, with the ways on (IW_E_NOT_FOUND where nothing else failed). */
int iw_fetch_all(iw_store *store, const iw_wanted *wanted, size_t count,
                 const iw_fetch_options *options, iw_error *err);
/* `crates` needs the lock file inside another source: so it is a second round, with the recipe's
 * first source in the store. */

/* Whether one source can still be had. */
typedef enum iw_source_state {
    IW_SOURCE_THERE,
    IW_SOURCE_ELSEWHERE, /* only at a further place: a mirror, the snapshot archive */
    IW_SOURCE_CHANGED,   /* what is there isn't what was pinned */
    IW_SOURCE_GONE,
    IW_SOURCE_UNKNOWN /* it couldn't be asked for */
} iw_source_state;

typedef struct iw_source_answer {
    const iw_wanted *wanted; /* borrowed */
    char *name;              /* of the file; of a crate, too */
    iw_source_state state;
    const char *compared; /* with what was pinned: "digest", "size" or "nothing" */
    char *where;          /* the address that has it, or NULL */
    char *detail;         /* what more there is to say, or NULL */
    bool stored;          /* this store has it */
} iw_source_answer;

typedef struct iw_source_answers {
    iw_source_answer *items;
    size_t count, capacity;
} iw_source_answers;

void iw_source_answers_free(iw_source_answers *answers);
const char *iw_source_state_name(iw_source_state state); /* "there" …; static */
/* Asks for every file behind `wanted` without downloading it, once each, with progress events
 * (subject "sources"). What pypi's index says of a digest decides, and Debian's signed index; of
 * other files only the size is known, where the store has them. A crates source whose lock file
 * isn't in the store is IW_SOURCE_UNKNOWN. -1 only when cancelled, or nothing can be asked.
 * `answers` is to be freed in any case. Blocks. */
int iw_fetch_check(iw_store *store, const iw_wanted *wanted, size_t count,
                   const iw_fetch_options *options, iw_source_answers *answers, iw_error *err);

/* Whether a crates source's lock is one that the recipe brings, in a `local` source before it. */
bool iw_crates_have_own_lock(const iw_recipe *recipe, const iw_source *source);

/* What of `wanted` isn't in the store. */
int iw_fetch_missing(iw_store *store, const iw_wanted *wanted, size_t count, bool *missing,
                     iw_error *err);
/* A folder with every file by sha256 and an index, from which `import` works. */
int iw_fetch_export(iw_store *store, const iw_wanted *wanted, size_t count, const char *folder,
                    const iw_sink *sink, iw_error *err);
/* The SHA-256s of every file behind `wanted` (crates included, where known), for gc. */
int iw_fetch_digests(iw_store *store, const iw_wanted *wanted, size_t count, iw_strings *out,
                     iw_error *err);

/* What the package indexes say of one file of a project; strings are owned. */
typedef struct iw_release_file {
    char *name, *url;      /* file name; absolute address */
    char *sha256;          /* NULL: the index tells none */
    char *requires_python; /* conditions as written, or NULL */
    char *yanked;          /* the reason, perhaps ""; NULL: it isn't yanked */
    int64_t uploaded;      /* seconds since 1970; -1: the index doesn't say (HTML pages never do) */
    uint64_t size;         /* bytes; 0: not said */
    bool metadata;         /* the address with ".metadata" behind it has the wheel's METADATA */
} iw_release_file;

typedef struct iw_release_files {
    iw_release_file *items;
    size_t count, capacity;
} iw_release_files;

void iw_release_files_free(iw_release_files *files);
/* The version in a file's name on an index, as a fresh text, or NULL where the name isn't one of
 * `project`'s (sdists in .tar.gz, .tar.bz2, .tar.xz and .zip, wheels). */
char *iw_file_version(const char *project, const char *file);
/* Every file of a project on the indexes that pip is configured with (or options->pypi_index), in
 * the pages' order. Nothing is kept from call to call. IW_E_NOT_FOUND where no index has the
 * project. Blocks. */
int iw_fetch_project(const char *project, const iw_fetch_options *options, iw_release_files *out,
                     iw_error *err);

/* One version of a source package in a Debian release; sha256[i] is of files[i]. */
typedef struct iw_debian_release {
    char *package, *version;
    iw_strings files, sha256;
} iw_debian_release;

typedef struct iw_debian_releases {
    iw_debian_release *items;
    size_t count, capacity;
} iw_debian_releases;

void iw_debian_releases_free(iw_debian_releases *list);
/* What the releases that apt is configured with, and stable, testing and unstable, each with its
 * security fixes and updates, have of these source packages; signatures verified. A list that can't
 * be had is passed over, unless all are (IW_E_NETWORK). Blocks: some 50 MB are fetched. */
int iw_fetch_debian_releases(const iw_strings *packages, const iw_fetch_options *options,
                             iw_debian_releases *out, iw_error *err);
/* The same from one list's text. */
void iw_debian_releases_take(iw_debian_releases *list, const iw_strings *packages,
                             const char *text);
/* Below, at or above 0 as Debian orders versions. */
int iw_debian_compare_text(const char *a, const char *b);

/* The tags of a git repository (http, https or ssh) as its server lists them: names[i] is at
 * commits[i]. IW_E_NETWORK where it can't be asked. Blocks. */
int iw_fetch_tags(const char *url, const iw_fetch_options *options, iw_strings *names,
                  iw_strings *commits, iw_error *err);
/* Brings the tree of a git source at another commit into the store, whatever its digest, which a
 * recipe then pins. Blocks. */
int iw_fetch_git_digest(iw_store *store, const iw_source *source, const char *commit,
                        const iw_fetch_options *options, char digest[IW_SHA256_HEX], iw_error *err);

/* A small file, at most `limit` bytes, from an address that an index gave; nothing vouches for it.
 * *out (NUL-terminated) owned by the caller; `length` may be NULL. Blocks. */
int iw_fetch_text(const char *url, size_t limit, const iw_fetch_options *options, char **out,
                  size_t *length, iw_error *err);

/* Writes the `packages` and `pinned` of the toolchain file at `path` anew (durable; all else in it
 * stays, and a file whose packages wouldn't change isn't written): the newest version, in `suite`,
 * SUITE-updates and SUITE-security, of the `roots` and of all that they need. The index's signature
 * is verified by gpgv against IRONWHEEL_DEBIAN_KEYRING (default: the file of Debian's package
 * debian-archive-keyring). IW_E_DIGEST: wrong signature or digest; IW_E_NOT_FOUND: a suite or
 * package that the archive lacks; IW_E_ENVIRONMENT: no mirror, keyring or gpgv. Blocks. */
int iw_toolchain_update(const char *path, const iw_toolchain *current,
                        const iw_fetch_options *options, iw_error *err);

/* For build: lays a source below `folder` ($SRC) as the recipe says: unpacks archives, git trees,
 * local files; crates below vendor/ with cargo's config. The digest of what is read is verified
 * again. */
int iw_source_lay(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                  const char *folder, iw_error *err);

#endif
