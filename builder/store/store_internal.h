/* What the files of the store share. Internal to `store`. */
#ifndef IW_STORE_STORE_INTERNAL_H
#define IW_STORE_STORE_INTERNAL_H

#include "store/store.h"
#include "store/store_index.h"

typedef struct iw_laid { /* an artifact that this handle laid, to name it where another one has the
                            same file */
    char *folder, *build_key, *title;
} iw_laid;

struct iw_store {
    char *root;
    int lock; /* store.lock, shared while the handle is open */
    iw_index *index;
    bool adding; /* holds artifacts.lock */
    iw_laid *laid;
    size_t laid_count, laid_capacity;
};

extern const char *const iw_store_folders[]; /* NULL-terminated */

/* Removes a damaged file, but only where it is still the one that `seen` tells of: another process
 * may have put a good one there. */
void iw_store_remove_damaged(const char *path, const struct stat *seen);
/* Makes a file in tmp/; *path owned by the caller. */
int iw_store_temporary(const iw_store *store, const char *prefix, char **path, int *fd,
                       iw_error *err);

/* Fills a fresh index from artifacts/ and history/. */
int iw_store_fill_artifacts(const char *root, iw_index *index, iw_error *err);
int iw_store_fill_measures(const char *root, iw_index *index, iw_error *err);

/* Reads an artifact's .json and checks its seal; IW_E_DIGEST where it doesn't fit, IW_E_NOT_FOUND
 * where there is none. */
int iw_artifact_read(const char *root, const char *build_key, iw_artifact *out, iw_error *err);
/* Checks the bytes of a stored artifact; IW_E_DIGEST where they aren't what `artifact` says. */
int iw_artifact_verify(const char *root, const iw_artifact *artifact, struct stat *seen,
                       iw_error *err);
/* Removes both files and the index's row. */
int iw_artifact_remove(iw_store *store, const char *build_key, iw_error *err);
char *iw_artifact_path(const char *root, const char *build_key,
                       const char *ending); /* ".tar.zst" or ".json"; caller frees */

/* Digest of an artifact's own fields, which stands in the .json and in the index: a bit that flips
 * in either is noticed. */
void iw_artifact_seal(const iw_artifact *artifact, char seal[IW_SHA256_HEX]);

#endif
