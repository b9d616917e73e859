#include "share/remote.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/canon.h"
#include "share/remote_kinds.h"

static const iw_remote_kind *const kinds[] = {&iw_remote_https,     &iw_remote_http,
                                              &iw_remote_ssh,       &iw_remote_oci,
                                              &iw_remote_oci_plain, &iw_remote_folder};

static const iw_remote_kind *kind_of(const char *where)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (iw_starts_with(where, kinds[i]->scheme)) return kinds[i];
    return NULL;
}

int iw_remote_open(const char *where, const iw_remote_options *options, iw_remote **out,
                   iw_error *err)
{
    *out = NULL;
    const iw_remote_kind *kind = kind_of(where);
    if (kind == &iw_remote_folder && strstr(where, "://"))
        return iw_fail(err, IW_E_USAGE,
                       "%s: a place is a folder, https://…, http://…, ssh://host/folder or "
                       "oci://registry/name",
                       where);
    for (const char *c = where; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return iw_fail(err, IW_E_USAGE, "an address may not hold control characters");
    iw_remote *remote = iw_alloc(sizeof *remote);
    remote->kind = kind;
    remote->options = *options;
    remote->options.state = remote->state = iw_strdup(options->state);
    if (kind->open(remote, where, err) == 0) {
        *out = remote;
        return 0;
    }
    iw_remote_close(remote);
    return -1;
}

void iw_remote_close(iw_remote *remote)
{
    if (!remote) return;
    if (remote->kind->close) remote->kind->close(remote);
    free(remote->where);
    free(remote->base);
    free(remote->state);
    free(remote);
}

const char *iw_remote_where(const iw_remote *remote)
{
    return remote->where;
}

void iw_remote_listen(iw_remote *remote, const iw_sink *sink, int cancel)
{
    remote->options.sink = sink;
    remote->options.cancel = cancel;
    if (remote->kind->listen) remote->kind->listen(remote);
}

bool iw_remote_is_folder(const iw_remote *remote)
{
    return remote->kind == &iw_remote_folder;
}

bool iw_remote_is_registry(const iw_remote *remote)
{
    return remote->kind->manifest;
}

unsigned iw_remote_requests(const iw_remote *remote)
{
    return remote->requests;
}

/* --- names ---------------------------------------------------------------- */

/* Every component a plain name: no `..`, nothing that starts with a dot, nothing to be quoted. */
static int check_path(const char *path, iw_error *err)
{
    iw_slice rest = iw_slice_of(path), part;
    bool fine = *path && *path != '/' && path[strlen(path) - 1] != '/';
    while (fine && iw_slice_next(&rest, '/', &part)) {
        iw_cleanup_free char *name = iw_strndup(part.data, part.length);
        fine = iw_is_plain_name(name);
    }
    return fine ? 0 : iw_fail(err, IW_E_FORMAT, "\"%.200s\" is no name for a shared file", path);
}

int iw_remote_read(iw_remote *remote, const char *path, size_t limit, char **out, size_t *length,
                   iw_error *err)
{
    *out = NULL;
    return check_path(path, err) == 0
               ? remote->kind->read(remote, path, 0, limit, false, out, length, err)
               : -1;
}

int iw_remote_read_part(iw_remote *remote, const char *path, uint64_t offset, size_t length,
                        char **out, size_t *got, iw_error *err)
{
    *out = NULL;
    return check_path(path, err) == 0
               ? remote->kind->read(remote, path, offset, length, true, out, got, err)
               : -1;
}

int iw_remote_fetch(iw_remote *remote, iw_remote_want *wants, size_t count, iw_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (check_path(wants[i].path, err) != 0) return -1;
    return count ? remote->kind->fetch(remote, wants, count, err) : 0;
}

int iw_remote_stat(iw_remote *remote, const char *path, bool *found, uint64_t *size, iw_error *err)
{
    *found = false;
    *size = 0;
    return check_path(path, err) == 0 ? remote->kind->stat(remote, path, found, size, err) : -1;
}

int iw_remote_write(iw_remote *remote, const char *path, const void *data, size_t length,
                    iw_error *err)
{
    return check_path(path, err) == 0 ? remote->kind->write(remote, path, data, length, err) : -1;
}

int iw_remote_upload(iw_remote *remote, const char *path, const char *file, uint64_t size,
                     iw_error *err)
{
    return check_path(path, err) == 0 ? remote->kind->upload(remote, path, file, size, err) : -1;
}

int iw_remote_alias(iw_remote *remote, const char *path, const char *name, bool *done,
                    iw_error *err)
{
    *done = false;
    return check_path(path, err) == 0 && check_path(name, err) == 0
               ? remote->kind->alias(remote, path, name, done, err)
               : -1;
}

int iw_remote_list(iw_remote *remote, const char *folder,
                   int (*each)(void *context, const iw_remote_entry *entry, iw_error *err),
                   void *context, iw_error *err)
{
    if (check_path(folder, err) != 0) return -1;
    if (remote->kind->list) return remote->kind->list(remote, folder, each, context, err);
    return iw_fail(err, IW_E_NOT_FOUND, "%s can't be listed", remote->where);
}

int iw_remote_remove(iw_remote *remote, const char *path, iw_error *err)
{
    return check_path(path, err) == 0 ? remote->kind->remove(remote, path, err) : -1;
}

int iw_remote_touch(iw_remote *remote, const char *path, iw_error *err)
{
    if (check_path(path, err) != 0) return -1;
    return remote->kind->touch ? remote->kind->touch(remote, path, err) : 0;
}

int iw_remote_manifest(iw_remote *remote, const char *name, const char *text, size_t length,
                       const char *subject, iw_error *err)
{
    return remote->kind->manifest(remote, name, text, length, subject, err);
}

int iw_remote_forget(iw_remote *remote, const char *name, iw_error *err)
{
    return remote->kind->forget(remote, name, err);
}

/* --- for the kinds -------------------------------------------------------- */

void iw_remote_tell(const iw_remote *remote, const char *label, const char *phase, uint64_t done,
                    uint64_t total)
{
    iw_emit(remote->options.sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                             .subject = label,
                                             .phase = phase,
                                             .unit = "B",
                                             .count = done,
                                             .total = total});
}

bool iw_remote_cancelled(const iw_remote *remote)
{
    struct pollfd polled = {remote->options.cancel, POLLIN, 0};
    return remote->options.cancel >= 0 && poll(&polled, 1, 0) > 0;
}

uint64_t iw_remote_have(const iw_remote_want *want)
{
    struct stat status;
    if (lstat(want->part, &status) != 0) return 0;
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > want->size) {
        unlink(want->part);
        return 0;
    }
    return (uint64_t)status.st_size;
}

void iw_remote_judge(iw_remote_want *want, const char *where)
{
    char found[IW_SHA256_HEX];
    uint64_t size;
    if (iw_hash_file(want->part, found, &size, &want->err) != 0) return;
    want->done = size == want->size && strcmp(found, want->sha256) == 0;
    if (want->done) return;
    iw_fail(&want->err, IW_E_DIGEST,
            "%s of %s isn't what was signed: %llu bytes with SHA-256 %s, expected %llu with %s; it "
            "is not used",
            want->label, where, (unsigned long long)size, found, (unsigned long long)want->size,
            want->sha256);
    unlink(want->part);
}
