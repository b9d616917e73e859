/* What a kind of remote does. Internal to `share`. */
#ifndef IW_SHARE_REMOTE_KINDS_H
#define IW_SHARE_REMOTE_KINDS_H

#include "share/remote.h"

typedef struct iw_remote_kind {
    const char *scheme; /* "https://"; "" for folders, which come last */
    int (*open)(iw_remote *remote, const char *where, iw_error *err);
    void (*close)(iw_remote *remote);
    void (*listen)(iw_remote *remote); /* the options have others in them; or NULL */
    int (*read)(iw_remote *remote, const char *path, uint64_t offset, size_t limit, bool part,
                char **out, size_t *length, iw_error *err);
    int (*fetch)(iw_remote *remote, iw_remote_want *wants, size_t count, iw_error *err);
    int (*stat)(iw_remote *remote, const char *path, bool *found, uint64_t *size, iw_error *err);
    int (*write)(iw_remote *remote, const char *path, const void *data, size_t length,
                 iw_error *err);
    int (*upload)(iw_remote *remote, const char *path, const char *file, uint64_t size,
                  iw_error *err);
    int (*alias)(iw_remote *remote, const char *path, const char *name, bool *done, iw_error *err);
    int (*list)(iw_remote *remote, const char *folder,
                int (*each)(void *context, const iw_remote_entry *entry, iw_error *err),
                void *context, iw_error *err);
    int (*remove)(iw_remote *remote, const char *path, iw_error *err);
    int (*touch)(iw_remote *remote, const char *path, iw_error *err);
    /* Registries have these two, and nothing but blobs and signed documents as files. */
    int (*manifest)(iw_remote *remote, const char *name, const char *text, size_t length,
                    const char *subject, iw_error *err);
    int (*forget)(iw_remote *remote, const char *name, iw_error *err);
} iw_remote_kind;

struct iw_remote {
    const iw_remote_kind *kind;
    iw_remote_options options;
    char *where; /* for messages and for remembering it */
    char *base;  /* folder, or URL */
    char *state; /* options' */
    void *more;  /* the kind's own */
    unsigned requests;
};

extern const iw_remote_kind iw_remote_folder, iw_remote_https, iw_remote_http, iw_remote_ssh,
    iw_remote_oci, iw_remote_oci_plain;

/* Opens a plain file by a path of plain names below `base`, without following links. -1 with errno;
 * ELOOP and ENOTDIR for what is no such file. */
int iw_open_below(const char *base, const char *path, int *fd);
/* Checks a part file against what is wanted; fills done or err. Empties a wrong one. */
void iw_remote_judge(iw_remote_want *want, const char *where);
/* Bytes that `part` holds already of `size`; more than that is thrown away. */
uint64_t iw_remote_have(const iw_remote_want *want);
void iw_remote_tell(const iw_remote *remote, const char *label, const char *phase, uint64_t done,
                    uint64_t total);
bool iw_remote_cancelled(const iw_remote *remote);

#endif
