/* The store: downloaded sources, artifacts, toolchains, kept trees, logs, and what was measured.
 * Layout: ARCHITECTURE.md. Files are immutable and carry their digest; the SQLite index only makes
 * look-ups quick and can be rebuilt from them. */
#ifndef IW_STORE_STORE_H
#define IW_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"

typedef struct iw_store iw_store;

/* Opens or makes the store at `path` (NULL: IRONWHEEL_CACHE, else `fallback`). One handle per
 * process: open again after fork. IW_E_ENVIRONMENT where the folder can't be made or written,
 * naming it. Holds `store.lock` shared until it is closed (gc wants it alone), and waits for a gc.
 * A parent that opened it before a fork keeps its handle open until the child has ended. An index
 * that is missing or damaged is made again from the files. Caller closes. */
int iw_store_open(const char *path, const char *fallback, iw_store **out, iw_error *err);
void iw_store_close(iw_store *store);
const char *iw_store_root(const iw_store *store); /* absolute, borrowed */
/* "<root>/<folder>/<name>"; caller frees. */
char *iw_store_path(const iw_store *store, const char *folder, const char *name);

/* --- sources: sources/<sha256> -------------------------------------------- */

/* True where the file is there with the inode, size and time that the index remembers (no hashing).
 * A missing or changed file gives false; a changed one is hashed, and removed (to be fetched again)
 * where its digest is wrong. */
int iw_store_has_source(iw_store *store, const char *sha256, bool *has, iw_error *err);
/* Takes a finished download (a file below tmp/, hashed by the caller while it came in) into
 * sources/; durable. */
int iw_store_add_source(iw_store *store, const char *temporary, const char *sha256,
                        const char *name, iw_error *err);
/* Path of a source; caller frees. Nothing is checked. */
char *iw_store_source_path(const iw_store *store, const char *sha256);
/* Opens it and hashes the whole content: IW_E_DIGEST (and the file is removed, so that the next run
 * fetches it) where it lies. */
int iw_store_open_source(iw_store *store, const char *sha256, int *fd, iw_error *err);

/* --- artifacts ------------------------------------------------------------ */

typedef struct iw_artifact {
    char *name, *version;
    char *plan_key, *build_key;
    char *content;     /* SHA-256 of the uncompressed tar stream */
    char *file_digest; /* SHA-256 of the .tar.zst */
    uint64_t file_size, content_size;
    char *facts; /* JSON object: what build and pack want to remember (notes, licences, patches,
                    wrapper's log…) */
} iw_artifact;

void iw_artifact_clear(iw_artifact *artifact);
/* By either key; *found false where it isn't there (or its file is gone or damaged in size). An
 * artifact found by its plan key is one that was built, or confirmed by its build key, for exactly
 * that plan. */
int iw_store_find_artifact_by_plan(iw_store *store, const char *plan_key, iw_artifact *out,
                                   bool *found, iw_error *err);
int iw_store_find_artifact_by_build(iw_store *store, const char *build_key, iw_artifact *out,
                                    bool *found, iw_error *err);
/* Remembers that this plan key leads to that build key's artifact. */
int iw_store_link_plan(iw_store *store, const char *plan_key, const char *build_key, iw_error *err);
/* Packs `tree` (paths below the prefix) as the artifact; fills content, file digest and sizes of
 * `artifact` (name, version, keys and facts are given). Durable; replaces nothing that is there
 * already with the same content; IW_E_DIGEST if the content differs from what the same build key
 * gave before (a recipe that isn't reproducible: both digests named) unless `replace`. */
int iw_store_add_artifact(iw_store *store, const char *tree, iw_artifact *artifact, bool replace,
                          iw_error *err);
/* Takes an artifact that came from elsewhere, packed as iw_store_add_artifact packs: `temporary` is
 * its file on the store's file system, of which every field of `artifact` tells; both digests are
 * checked. IW_E_DIGEST where they don't fit, or where this build key gave other content before.
 * `temporary` is gone afterwards. */
int iw_store_take_artifact(iw_store *store, const char *temporary, iw_artifact *artifact,
                           iw_error *err);
/* Unpacks below `folder` (which exists), verifying file and content digests while it does. A
 * damaged or missing file gives IW_E_DIGEST: the artifact is then removed, and so is what was laid
 * of it. `skip` (may be NULL): globs left out. IW_E_BUILD, naming the two artifacts, where a file
 * is there already with other bytes. */
int iw_store_lay_artifact(iw_store *store, const iw_artifact *artifact, const char *folder,
                          const iw_strings *skip, iw_error *err);

/* The text of an artifact's first file of at most `limit` bytes whose path matches `glob`, or NULL;
 * caller frees. What it says is a hint: nothing is held against the artifact's digests. */
int iw_store_read_artifact(iw_store *store, const iw_artifact *artifact, const char *glob,
                           size_t limit, char **text, iw_error *err);

/* --- measured times ------------------------------------------------------- */

#define IW_MEASURE_CPU                                                                             \
    "cpu" /* beside the phases: the whole package's CPU time, of all its processes */

typedef struct iw_measure {
    double seconds;       /* whole package ("", by the clock), or one phase */
    uint64_t peak_memory; /* MiB of the largest step of the kind */
} iw_measure;
int iw_store_record(iw_store *store, const char *package, const char *version, const char *phase,
                    iw_measure measure, iw_error *err);
/* Several phases, with one wait for the disk. */
typedef struct iw_phase_measure {
    const char *phase;
    iw_measure measure;
} iw_phase_measure;
int iw_store_record_all(iw_store *store, const char *package, const char *version,
                        const iw_phase_measure *measures, size_t count, iw_error *err);
/* The latest of that package (the same version where there is one, else another); *found false
 * where there is none. */
int iw_store_measured(iw_store *store, const char *package, const char *version, const char *phase,
                      iw_measure *out, bool *found, iw_error *err);
/* The same, and which version that was; *of NULL where there is none, else owned by the caller. */
int iw_store_measured_of(iw_store *store, const char *package, const char *version,
                         const char *phase, iw_measure *out, char **of, iw_error *err);
/* Last attempt to fetch failed? (`fetch-blocked` in plan). `message` NULL clears it. */
int iw_store_note_fetch(iw_store *store, const char *sha256, const char *message, iw_error *err);
int iw_store_fetch_note(iw_store *store, const char *sha256, char **message,
                        iw_error *err); /* NULL where none; caller frees */
/* What a bundle was made of, so that a run with nothing to do ends at once: key -> path and digest
 * with inode, size and times. */
int iw_store_note_bundle(iw_store *store, const char *key, const char *path, const char *sha256,
                         iw_error *err);
int iw_store_find_bundle(iw_store *store, const char *key, char **path, char **sha256, bool *found,
                         iw_error *err);
/* The inputs of the last plan of a package, to say what changed (`why`): name -> value lines. Of
 * several, first one that holds `line`, then that stack's, then that version's, then the last.
 * *lines NULL where there is none; caller frees. */
int iw_store_note_inputs(iw_store *store, const char *package, const char *version,
                         const char *stack, const char *lines, iw_error *err);
int iw_store_last_inputs(iw_store *store, const char *package, const char *version,
                         const char *stack, const char *line, char **lines, iw_error *err);

/* --- care ----------------------------------------------------------------- */

typedef struct iw_usage {
    const char *folder; /* static */
    uint64_t files, bytes;
} iw_usage;
/* One row per folder of the store. */
int iw_store_usage(iw_store *store, iw_usage *rows, size_t capacity, size_t *count, iw_error *err);
/* Hashes every source, artifact and toolchain; calls `bad` for each damaged one (which is removed)
 * and goes on. Objects carry their own digests, and the wrapper checks these whenever it takes one.
 */
int iw_store_verify(iw_store *store, void (*bad)(void *context, const char *path, const char *why),
                    void *context, iw_error *err);
/* Removes what isn't in `keep_keys` (build keys), `keep_sources` (sha256), `keep_toolchains`
 * (digests), kept trees without lock holder, old tmp, and objects beyond `objects_limit` bytes,
 * oldest use first. IW_E_ENVIRONMENT, naming the process, while another one has the store open.
 * `dry_run` only counts. */
typedef struct iw_gc_keep {
    const iw_strings *keys, *sources, *toolchains;
    uint64_t objects_limit;
    bool dry_run;
} iw_gc_keep;
int iw_store_gc(iw_store *store, const iw_gc_keep *keep, uint64_t *files, uint64_t *bytes,
                iw_error *err);

#endif
