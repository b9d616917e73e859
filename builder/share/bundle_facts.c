#include "share/bundle_facts.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "fetch/pieces.h"

#define MANIFEST_LIMIT ((size_t)64 << 20)
#define MEMBERS_BEFORE 8 /* the manifest comes first in a bundle */

void iw_bundle_facts_clear(iw_bundle_facts *f)
{
    free(f->manifest), free(f->name), free(f->stack), free(f->version), free(f->profile);
    free(f->glibc), free(f->python), free(f->restricted), free(f->pieces);
    *f = (iw_bundle_facts){.manifest = NULL};
}

/* --- the manifest in the tar ---------------------------------------------- */

static bool is_manifest(const char *path)
{
    const char *slash = path ? strchr(path, '/') : NULL;
    return slash && strcmp(slash, "/manifest.json") == 0;
}

static int take_member(struct archive *archive, const struct archive_entry *entry,
                       iw_bundle_facts *out, const char *path, iw_error *err)
{
    int64_t size = archive_entry_size((struct archive_entry *)entry);
    if (size <= 0 || (uint64_t)size > MANIFEST_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s: its manifest is empty, or too long", path);
    out->manifest = iw_alloc((size_t)size + 1);
    out->manifest_length = (size_t)size;
    return archive_read_data(archive, out->manifest, (size_t)size) == size
               ? 0
               : iw_fail(err, IW_E_FORMAT, "%s: its manifest can't be read", path);
}

static int read_manifest(const char *path, iw_bundle_facts *out, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    archive_read_support_format_tar(archive);
    archive_read_support_filter_zstd(archive);
    int status = archive_read_open_fd(archive, fd, 1 << 16) == ARCHIVE_OK ? 0 : -1;
    for (int i = 0; status == 0 && !out->manifest && i < MEMBERS_BEFORE &&
                    archive_read_next_header(archive, &entry) == ARCHIVE_OK;
         i++)
        if (is_manifest(archive_entry_pathname(entry)))
            status = take_member(archive, entry, out, path, err);
    archive_read_free(archive);
    if (status == 0 && out->manifest) return 0;
    return err && err->kind != IW_E_NONE
               ? -1
               : iw_fail(err, IW_E_FORMAT, "%s is no bundle: it doesn't start with a manifest.json",
                         path);
}

/* --- what it says --------------------------------------------------------- */

/* SPDX names for what anybody may hand on; a name of one's own ("LicenseRef-…") may be anything. */
static void add_restricted(iw_buffer *out, const json_t *package)
{
    const char *name = iw_json_get(package, "name"), *licence = iw_json_get(package, "licence");
    if (!name || !iw_is_plain_name(name) || !json_is_true(json_object_get(package, "in_bundle")) ||
        (licence && !strstr(licence, "LicenseRef-")))
        return;
    iw_buffer_add_format(out, "%s%s", out->length ? " " : "", name);
}

static char *join_profiles(const json_t *list)
{
    iw_buffer out = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        iw_buffer_add_format(&out, "%s%s", i ? "+" : "", name ? name : "");
    }
    return iw_buffer_take(&out);
}

/* "cp311" of "base-2026.11-k10-glibc2.35-cp311". */
static const char *python_of(const char *stem)
{
    const char *dash = stem ? strrchr(stem, '-') : NULL;
    return dash ? dash + 1 : "";
}

static char *plain_or_null(const char *text)
{
    return text && iw_is_plain_name(text) ? iw_strdup(text) : NULL;
}

static void take_fields(const json_t *root, iw_bundle_facts *out)
{
    const char *stem = iw_json_get(root, "bundle");
    iw_buffer restricted = {0};
    json_t *package, *packages = json_object_get(root, "packages"),
                     *audit = json_object_get(root, "audit");
    size_t i;
    iw_cleanup_free char *profiles = join_profiles(json_object_get(root, "profiles"));
    out->name = plain_or_null(stem);
    out->stack = plain_or_null(iw_json_get(root, "stack"));
    out->version = plain_or_null(iw_json_get(root, "version"));
    out->profile = plain_or_null(profiles);
    out->glibc = plain_or_null(iw_json_get(json_object_get(root, "glibc"), "floor"));
    out->python = plain_or_null(python_of(stem));
    json_array_foreach(packages, i, package) add_restricted(&restricted, package);
    out->restricted = iw_buffer_take(&restricted);
    json_int_t tried = json_integer_value(json_object_get(audit, "tried"));
    out->tried = tried > 0 ? (uint64_t)tried : 0;
}

int iw_bundle_facts_of_manifest(const char *text, size_t length, const char *where,
                                iw_bundle_facts *out, iw_error *err)
{
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(root)) take_fields(root, out);
    json_decref(root);
    if (out->name && out->stack && out->version && out->profile && out->glibc && out->python)
        return 0;
    return iw_fail(err, IW_E_FORMAT,
                   "%s: its manifest.json lacks bundle, stack, version, profiles or glibc", where);
}

/* --- what its bytes are --------------------------------------------------- */

struct looking {
    iw_prehash *prehash;
    iw_pieces *pieces;
};

static void look(void *context, const void *data, size_t length)
{
    struct looking *looking = context;
    iw_prehash_add(looking->prehash, data, length);
    iw_pieces_add(looking->pieces, data, length);
}

static int measure(const char *path, iw_bundle_facts *out, iw_error *err)
{
    struct stat about;
    if (stat(path, &about) != 0) return iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    uint64_t size = (uint64_t)about.st_size;
    out->piece = iw_pieces_size(size);
    struct looking looking = {iw_prehash_new(), iw_pieces_new(out->piece)};
    const iw_zstd_watch watch = {look, &looking};
    int status = iw_zstd_measure_with(path, 0, &watch, &out->digests, err);
    iw_prehash_finish(looking.prehash, out->prehash);
    out->pieces = iw_pieces_finish(looking.pieces);
    iw_prehash_free(looking.prehash);
    iw_pieces_free(looking.pieces);
    if (status == 0 && out->digests.file_size != size)
        status = iw_fail(err, IW_E_IO, "%s has other than its %llu bytes: is it being written?",
                         path, (unsigned long long)size);
    return status;
}

int iw_bundle_facts_read(const char *path, iw_bundle_facts *out, iw_error *err)
{
    iw_cleanup_free char *stem = iw_strdup(iw_path_base(path));
    if (iw_ends_with(stem, IW_BUNDLE_SUFFIX)) stem[strlen(stem) - strlen(IW_BUNDLE_SUFFIX)] = 0;
    if (read_manifest(path, out, err) != 0 ||
        iw_bundle_facts_of_manifest(out->manifest, out->manifest_length, path, out, err) != 0)
        return -1;
    if (strcmp(stem, out->name) != 0)
        return iw_fail(err, IW_E_FORMAT, "%s calls itself %s: was it renamed?", path, out->name);
    return measure(path, out, err);
}
