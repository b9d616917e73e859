#include "share/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/scratch.h"
#include "share/oci.h"
#include "share/trust.h"

#define END_BYTES ((size_t)1 << 20) /* read back of each end */
#define INDEX_LIMIT ((size_t)8 << 20)

struct iw_layout {
    iw_remote *remote;
    bool verify, unnamed; /* unnamed: it was told that names can't be made */
    json_t *added;        /* manifests for index.json */
    iw_strings forgotten; /* their names */
    uint64_t sent;
    const iw_sink *sink;
};

/* Only the last component: a NAS that isn't mounted must not be filled below its mount point. */
static int make_place(iw_remote *remote, iw_error *err)
{
    const char *folder = iw_remote_where(remote);
    if (!iw_remote_is_folder(remote) || mkdir(folder, 0755) == 0 || errno == EEXIST) return 0;
    return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make the folder %s", folder);
}

int iw_layout_open(iw_remote *remote, bool verify, iw_layout **out, iw_error *err)
{
    static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    bool found;
    uint64_t size;
    *out = NULL;
    if (!iw_remote_is_registry(remote)) {
        if (make_place(remote, err) != 0 ||
            iw_remote_stat(remote, "oci-layout", &found, &size, err) != 0)
            return -1;
        if (!found && iw_remote_write(remote, "oci-layout", version, strlen(version), err) != 0)
            return -1;
    }
    *out = iw_alloc(sizeof **out);
    (*out)->remote = remote;
    (*out)->verify = verify;
    (*out)->added = json_array();
    return 0;
}

void iw_layout_close(iw_layout *layout)
{
    if (!layout) return;
    json_decref(layout->added);
    iw_strings_free(&layout->forgotten);
    free(layout);
}

uint64_t iw_layout_sent(const iw_layout *layout)
{
    return layout->sent;
}

/* --- blobs ---------------------------------------------------------------- */

static int differs(const iw_layout *layout, const char *path, iw_error *err)
{
    return iw_fail(err, IW_E_DIGEST,
                   "%s of %s has other bytes than were written there: a disk, a proxy or a "
                   "quota; run the same command again",
                   path, iw_remote_where(layout->remote));
}

static int compare_part(iw_layout *layout, const char *path, int fd, uint64_t offset, size_t length,
                        iw_error *err)
{
    iw_cleanup_free char *there = NULL, *here = iw_alloc(length + 1);
    size_t got = 0;
    if (iw_remote_read_part(layout->remote, path, offset, length, &there, &got, err) != 0)
        return -1;
    ssize_t read = pread(fd, here, length, (off_t)offset);
    return read == (ssize_t)length && got == length && memcmp(here, there, length) == 0
               ? 0
               : differs(layout, path, err);
}

static int compare_whole(iw_layout *layout, const char *path, const char *sha256, uint64_t size,
                         iw_error *err)
{
    iw_scratch scratch;
    if (iw_scratch_open("iw-verify-", &scratch, err) != 0) return -1;
    iw_cleanup_free char *part = iw_path_join(scratch.path, "part");
    iw_remote_want want = {
        .path = path, .label = path, .sha256 = sha256, .size = size, .part = part};
    int status = iw_remote_fetch(layout->remote, &want, 1, err);
    if (status == 0 && !want.done) {
        iw_error_move(err, &want.err);
        status = -1;
    }
    iw_error_clear(&want.err);
    iw_scratch_close(&scratch);
    return status;
}

/* Size, and both ends; a server without ranges shows its size alone. */
static int read_back(iw_layout *layout, const char *path, int fd, const char *sha256, uint64_t size,
                     iw_error *err)
{
    bool found = false;
    uint64_t there = 0;
    if (layout->verify) return compare_whole(layout, path, sha256, size, err);
    if (iw_remote_stat(layout->remote, path, &found, &there, err) != 0) return -1;
    if (!found || (there && there != size)) return differs(layout, path, err);
    size_t length = size < END_BYTES ? (size_t)size : END_BYTES;
    iw_error inner = IW_ERROR_INIT;
    int status = length ? compare_part(layout, path, fd, 0, length, &inner) : 0;
    if (status == 0 && size > length)
        status = compare_part(layout, path, fd, size - length, length, &inner);
    bool unknown = inner.kind == IW_E_NETWORK;
    if (status != 0 && !unknown) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return status == 0 || unknown ? 0 : -1;
}

/* Where the read-back shows other bytes, an earlier try was continued wrongly: once more, whole. */
static int send_blob(iw_layout *layout, const char *path, const char *file, int fd,
                     const char *sha256, uint64_t size, iw_error *err)
{
    for (int attempt = 0;; attempt++) {
        iw_error inner = IW_ERROR_INIT;
        if (iw_remote_upload(layout->remote, path, file, size, err) != 0) return -1;
        if (read_back(layout, path, fd, sha256, size, &inner) == 0) break;
        bool again = attempt == 0 && inner.kind == IW_E_DIGEST &&
                     iw_remote_remove(layout->remote, path, NULL) == 0;
        if (!again) {
            iw_error_move(err, &inner);
            return -1;
        }
        iw_error_clear(&inner);
    }
    layout->sent += size;
    return 0;
}

int iw_layout_put_file(iw_layout *layout, const char *file, const char *sha256, uint64_t size,
                       iw_error *err)
{
    iw_cleanup_free char *path = iw_blob_path(sha256);
    iw_cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool found = false;
    uint64_t there = 0;
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", file);
    if (iw_remote_stat(layout->remote, path, &found, &there, err) != 0) return -1;
    if (found && there == size && read_back(layout, path, fd, sha256, size, NULL) == 0)
        return iw_remote_touch(layout->remote, path, err);
    if (found && iw_remote_remove(layout->remote, path, err) != 0) return -1;
    return send_blob(layout, path, file, fd, sha256, size, err);
}

int iw_layout_put_bytes(iw_layout *layout, const void *data, size_t length,
                        char sha256[IW_SHA256_HEX], iw_error *err)
{
    iw_hash_bytes(data, length, sha256);
    iw_cleanup_free char *path = iw_blob_path(sha256);
    bool found = false;
    uint64_t there = 0;
    if (iw_remote_stat(layout->remote, path, &found, &there, err) != 0) return -1;
    if (found && there == length) return iw_remote_touch(layout->remote, path, err);
    layout->sent += length;
    return iw_remote_write(layout->remote, path, data, length, err);
}

int iw_layout_name(iw_layout *layout, const char *sha256, const char *name, iw_error *err)
{
    iw_cleanup_free char *path = iw_blob_path(sha256);
    bool done = false;
    if (layout->unnamed) return 0;
    if (iw_remote_alias(layout->remote, path, name, &done, err) != 0) return -1;
    layout->unnamed = !done;
    return 0;
}

/* --- manifests ------------------------------------------------------------ */

char *iw_layout_manifest_text(const char *type, const iw_layer *layers, size_t count,
                              const iw_layer *subject)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, iw_oci_descriptor(layers[i].media, layers[i].sha256,
                                                      layers[i].size, layers[i].title, NULL));
    json_t *root = json_pack("{s:i,s:s,s:s,s:o,s:o}", "schemaVersion", 2, "mediaType",
                             IW_OCI_MANIFEST, "artifactType", type, "config",
                             iw_oci_descriptor(IW_OCI_EMPTY, IW_OCI_EMPTY_SHA256, 2, NULL, NULL),
                             "layers", list);
    if (subject)
        json_object_set_new(root, "subject",
                            iw_oci_descriptor(subject->media, subject->sha256, subject->size, NULL,
                                              NULL));
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

/* For index.json. */
static int add_manifest(iw_layout *layout, const char *name, const char *type, const char *text,
                        iw_error *err)
{
    char sha256[IW_SHA256_HEX];
    if (iw_layout_put_bytes(layout, text, strlen(text), sha256, err) != 0) return -1;
    json_t *object = iw_oci_descriptor(IW_OCI_MANIFEST, sha256, strlen(text), NULL, type);
    json_object_set_new(object, "annotations",
                        json_pack("{s:s}", "org.opencontainers.image.ref.name", name));
    iw_strings_add(&layout->forgotten, name);
    json_array_append_new(layout->added, object);
    return 0;
}

int iw_layout_manifest(iw_layout *layout, const char *name, const char *type,
                       const iw_layer *layers, size_t count, iw_error *err)
{
    iw_cleanup_free char *text = iw_layout_manifest_text(type, layers, count, NULL);
    char empty[IW_SHA256_HEX];
    if (iw_layout_put_bytes(layout, "{}", 2, empty, err) != 0) return -1;
    return iw_remote_is_registry(layout->remote)
               ? iw_remote_manifest(layout->remote, name, text, strlen(text), NULL, err)
               : add_manifest(layout, name, type, text, err);
}

int iw_layout_attach(iw_layout *layout, const char *to, const char *type, const iw_layer *layers,
                     size_t count, iw_error *err)
{
    if (!iw_remote_is_registry(layout->remote)) return 0;
    char sha256[IW_SHA256_HEX];
    iw_hash_bytes(to, strlen(to), sha256);
    iw_layer subject = {IW_OCI_MANIFEST, sha256, NULL, strlen(to)};
    iw_cleanup_free char *text = iw_layout_manifest_text(type, layers, count, &subject);
    return iw_remote_manifest(layout->remote, NULL, text, strlen(text), sha256, err);
}

/* --- what nothing else names ---------------------------------------------- */

typedef struct keeping {
    iw_layout *layout;
    const char *key;
    iw_layer *layers;
    size_t count;
    unsigned part;
} keeping;

/* Those that are gone from there can't be named. */
static void leave_out_gone(keeping *k)
{
    size_t kept = 0;
    for (size_t i = 0; i < k->count; i++) {
        iw_cleanup_free char *path = iw_blob_path(k->layers[i].sha256);
        bool found = false;
        uint64_t size;
        if (iw_remote_stat(k->layout->remote, path, &found, &size, NULL) == 0 && found)
            k->layers[kept++] = k->layers[i];
    }
    k->count = kept;
}

static int keep_part(keeping *k, iw_error *err)
{
    iw_cleanup_free char *name =
        ++k->part == 1 ? iw_format("blobs-%s", k->key) : iw_format("blobs-%s-%u", k->key, k->part);
    iw_error inner = IW_ERROR_INIT;
    int status = iw_layout_manifest(k->layout, name, IW_MEDIA_BLOBS, k->layers, k->count, &inner);
    if (status != 0 && inner.kind == IW_E_NOT_FOUND) {
        leave_out_gone(k);
        status = iw_layout_manifest(k->layout, name, IW_MEDIA_BLOBS, k->layers, k->count, err);
    } else if (status != 0) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    k->count = 0;
    return status;
}

static int by_sha256(const void *a, const void *b)
{
    return strcmp(((const iw_blob *)a)->sha256, ((const iw_blob *)b)->sha256);
}

int iw_layout_keep(iw_layout *layout, const char *key, iw_blob *blobs, size_t count, iw_error *err)
{
    keeping k = {.layout = layout, .key = key};
    if (!iw_remote_is_registry(layout->remote) || !count) return 0;
    k.layers = iw_alloc(IW_OCI_LAYERS * sizeof *k.layers);
    qsort(blobs, count, sizeof *blobs, by_sha256);
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++) {
        if (!*blobs[i].sha256 || (i && strcmp(blobs[i].sha256, blobs[i - 1].sha256) == 0)) continue;
        k.layers[k.count++] =
            (iw_layer){"application/octet-stream", blobs[i].sha256, NULL, blobs[i].size};
        if (k.count == IW_OCI_LAYERS) status = keep_part(&k, err);
    }
    if (status == 0 && k.count) status = keep_part(&k, err);
    free(k.layers);
    return status;
}

/* --- index.json ----------------------------------------------------------- */

void iw_layout_forget(iw_layout *layout, const char *name)
{
    if (iw_remote_is_registry(layout->remote)) (void)!iw_remote_forget(layout->remote, name, NULL);
    else iw_strings_add(&layout->forgotten, name);
}

static const char *name_of(const json_t *manifest)
{
    const char *name = json_string_value(json_object_get(json_object_get(manifest, "annotations"),
                                                         "org.opencontainers.image.ref.name"));
    return name ? name : "";
}

/* What others have there stays; what isn't to be read is written anew. */
static json_t *read_index(iw_layout *layout)
{
    iw_cleanup_free char *text = NULL;
    size_t length = 0;
    json_t *root = NULL;
    if (iw_remote_read(layout->remote, "index.json", INDEX_LIMIT, &text, &length, NULL) == 0)
        root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_array(json_object_get(root, "manifests"))) return root;
    json_decref(root);
    return json_pack("{s:i,s:s,s:[]}", "schemaVersion", 2, "mediaType", IW_OCI_INDEX, "manifests");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(name_of(*(json_t *const *)a), name_of(*(json_t *const *)b));
}

static json_t *sorted(json_t *list)
{
    size_t count = json_array_size(list);
    json_t **items = iw_alloc((count + 1) * sizeof *items), *out = json_array();
    for (size_t i = 0; i < count; i++) items[i] = json_array_get(list, i);
    qsort(items, count, sizeof *items, by_name);
    for (size_t i = 0; i < count; i++) json_array_append(out, items[i]);
    free(items);
    return out;
}

int iw_layout_finish(iw_layout *layout, iw_error *err)
{
    if (!layout->forgotten.count) return 0;
    json_t *root = read_index(layout), *list = json_array(), *one;
    size_t i;
    json_array_foreach(json_object_get(root, "manifests"), i, one)
    {
        if (!iw_strings_has(&layout->forgotten, name_of(one))) json_array_append(list, one);
    }
    json_array_extend(list, layout->added);
    json_object_set_new(root, "manifests", sorted(list));
    iw_cleanup_free char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(list);
    json_decref(root);
    return iw_remote_write(layout->remote, "index.json", text, strlen(text), err);
}
