/* Rust crates pinned by a Cargo.lock. Internal to `fetch`. */
#ifndef IW_FETCH_CRATES_H
#define IW_FETCH_CRATES_H

#include "fetch/fetch.h"
#include "fetch/transfer.h"

typedef struct iw_crate {
    char *name, *version, *checksum, *registry; /* registry: the lock's source text */
} iw_crate;

typedef struct iw_crates {
    iw_crate *items;
    size_t count, capacity;
} iw_crates;

void iw_crates_free(iw_crates *crates);
/* Reads a Cargo.lock's text: its registry packages, but those whose names `without` holds (globs;
 * may be NULL) and paths in the workspace, which have no source. A package from git, or one without
 * checksum, is IW_E_FORMAT with file and line. `file` is for messages. */
int iw_crates_parse(const char *text, const char *file, const iw_list *without, iw_crates *out,
                    iw_error *err);
/* The lock, of a `local` source before or inside the recipe's first one; its SHA-256 must be the
 * pinned one. */
int iw_crates_read(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                   iw_crates *out, iw_error *err);
int iw_crates_all_here(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                       bool *here, iw_error *err);
/* The download addresses of registries, each asked for once. Zero-initialise. */
typedef struct iw_registries {
    struct iw_registry *items;
    size_t count, capacity;
} iw_registries;
void iw_registries_free(iw_registries *registries);

/* Where cargo would download it: the registry as cargo's configuration replaces it ($CARGO_HOME or
 * ~/.cargo; IRONWHEEL_CRATES_INDEX overrides). */
int iw_crates_urls(iw_registries *registries, const iw_crate *crate,
                   const iw_transfer_options *options, iw_strings *urls, iw_error *err);
/* Lays every crate at <src>/vendor/<name>-<version> with cargo's checksum file, and
 * <src>/.cargo/config.toml that points there. */
int iw_crates_lay(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                  const char *folder, iw_error *err);

#endif
