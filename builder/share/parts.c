#include "share/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/fetch.h"
#include "share/canon.h"
#include "share/delta.h"

#define LEVEL 12
#define WHEELS 200
#define TOUCHED 16          /* at most that part of a file may be in a delta … */
#define TOUCHED_LEAST 4096u /* … but so much always */

void iw_parts_clear(iw_parts *parts)
{
    free(parts->path), free(parts->list);
    *parts = (iw_parts){.path = NULL};
}

bool iw_parts_leaves_out(const char *without, const char *package)
{
    size_t length = strlen(without);
    return strncmp(package, without, length) == 0 && (!package[length] || package[length] == '-');
}

/* --- making: what the wheels hold ----------------------------------------- */

typedef struct member {
    char sha256[IW_SHA256_HEX];
    char *path; /* in the wheel */
    size_t wheel;
} member;

typedef struct making {
    const iw_bundle_facts *facts;
    iw_store *store;
    const char *work;
    json_t *wheels, *files;
    member *members, **by_path; /* sorted by digest; by path */
    size_t count, capacity;
    iw_strings gone;    /* paths to be removed */
    iw_strings touched; /* paths to be replaced by work/delta<n> */
    size_t wheel;
} making;

static void making_clear(making *m)
{
    for (size_t i = 0; i < m->count; i++) free(m->members[i].path);
    free(m->members), free(m->by_path);
    json_decref(m->wheels), json_decref(m->files);
    iw_strings_free(&m->gone);
    iw_strings_free(&m->touched);
}

static int by_digest(const void *a, const void *b)
{
    const member *one = a, *two = b;
    int order = strcmp(one->sha256, two->sha256);
    return order ? order : strcmp(one->path, two->path);
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(member *const *)a)->path, (*(member *const *)b)->path);
}

static int note_member(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    making *m = context;
    if (!S_ISREG(status->st_mode) || !status->st_size) return 0;
    iw_grow((void **)&m->members, &m->capacity, m->count + 1, sizeof *m->members);
    member *one = &m->members[m->count++];
    *one = (member){.path = iw_strdup(relative), .wheel = m->wheel};
    return iw_hash_file(full, one->sha256, NULL, err);
}

static int unpack_wheel(iw_store *store, const char *sha256, const char *folder, iw_error *err)
{
    iw_cleanup_fd int fd = -1;
    iw_admission admission = {.set_times = true};
    return iw_store_open_source(store, sha256, &fd, err) == 0 &&
                   iw_make_folders(folder, 0755, err) == 0
               ? iw_archive_unpack(fd, sha256, folder, &admission, err)
               : -1;
}

static int add_wheel(making *m, const char *package, const json_t *source, iw_error *err)
{
    const char *file = iw_json_get(source, "file"), *sha256 = iw_json_get(source, "sha256"),
               *kind = iw_json_get(source, "kind");
    if (!file || !sha256 || !kind || !iw_ends_with(file, ".whl")) return 0;
    m->wheel = json_array_size(m->wheels);
    iw_cleanup_free char *folder = iw_format("%s/wheel%zu", m->work, m->wheel);
    json_array_append(m->wheels, (json_t *)source);
    if (unpack_wheel(m->store, sha256, folder, err) != 0)
        return iw_wrap(err,
                       "%s is left out by the digests of its wheels, which must be in the store "
                       "(`ironwheel fetch` brings them): %s",
                       package, file);
    return iw_walk(folder, note_member, m, err);
}

static int add_wheels(making *m, const json_t *manifest, const char *without, iw_error *err)
{
    size_t i, k;
    json_t *package, *source;
    json_array_foreach(json_object_get(manifest, "packages"), i, package)
    {
        const char *name = iw_json_get(package, "name");
        if (!name || !iw_parts_leaves_out(without, name)) continue;
        json_array_foreach(json_object_get(package, "sources"), k, source)
        {
            if (add_wheel(m, name, source, err) != 0) return -1;
        }
    }
    if (!m->count)
        return iw_fail(err, IW_E_USAGE, "%s: nothing of %s in it is a published wheel",
                       m->facts->name, without);
    qsort(m->members, m->count, sizeof *m->members, by_digest);
    m->by_path = iw_alloc(m->count * sizeof *m->by_path);
    for (size_t i2 = 0; i2 < m->count; i2++) m->by_path[i2] = &m->members[i2];
    qsort(m->by_path, m->count, sizeof *m->by_path, by_path);
    return 0;
}

/* --- making: what is left ------------------------------------------------- */

/* The first of equal ones, so that the list is the same each time. */
static const member *find_digest(const making *m, const char *sha256)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(m->members[middle].sha256, sha256) < 0) low = middle + 1;
        else high = middle;
    }
    return low < m->count && strcmp(m->members[low].sha256, sha256) == 0 ? &m->members[low] : NULL;
}

/* A file of a wheel under its own name, but with other bytes; an installer's notes aside. */
static const member *find_changed(const making *m, const char *path)
{
    for (const char *rest = path; rest; rest = strchr(rest, '/') ? strchr(rest, '/') + 1 : NULL) {
        member key = {.path = (char *)rest}, *wanted = &key;
        member **found = strchr(rest, '/') && !strstr(rest, ".dist-info/")
                             ? bsearch(&wanted, m->by_path, m->count, sizeof *m->by_path, by_path)
                             : NULL;
        if (found) return *found;
    }
    return NULL;
}

static json_t *note_file(making *m, const char *path, const member *from, mode_t mode)
{
    json_t *entry = json_pack("{s:s,s:i,s:s,s:i}", "path", path, "wheel", (int)from->wheel,
                              "member", from->path, "mode", mode & 0100 ? 755 : 644);
    json_array_append_new(m->files, entry);
    return entry;
}

/* What was done to it, which must be little: its run path was set, its symbols taken. */
static int note_touched(making *m, const char *path, const char *full, const member *from,
                        const struct stat *status, const char *sha256, iw_error *err)
{
    iw_cleanup_free char *old = iw_format("%s/wheel%zu/%s", m->work, from->wheel, from->path),
                         *delta = iw_format("%s/delta%zu", m->work, m->touched.count);
    struct stat made;
    if (iw_delta_make(old, full, delta, err) != 0) return -1;
    off_t most = status->st_size / TOUCHED;
    if (stat(delta, &made) != 0 ||
        made.st_size > (most > (off_t)TOUCHED_LEAST ? most : (off_t)TOUCHED_LEAST))
        return iw_fail(err, IW_E_FORMAT,
                       "%s: %s isn't as its wheel has it, so it couldn't be fetched from there",
                       m->facts->name, path);
    json_t *entry = note_file(m, path, from, status->st_mode);
    json_object_set_new(entry, "sha256", json_string(sha256));
    json_object_set_new(entry, "size", json_integer(status->st_size));
    iw_strings_add(&m->touched, full);
    return 0;
}

static int judge_file(void *context, const char *relative, const char *full,
                      const struct stat *status, iw_error *err)
{
    making *m = context;
    char sha256[IW_SHA256_HEX];
    if (!S_ISREG(status->st_mode) || !status->st_size) return 0;
    if (iw_hash_file(full, sha256, NULL, err) != 0) return -1;
    const member *same = find_digest(m, sha256), *changed = find_changed(m, relative);
    if (!same && changed) return note_touched(m, relative, full, changed, status, sha256, err);
    if (!same) return 0;
    note_file(m, relative, same, status->st_mode);
    iw_strings_add(&m->gone, full);
    return 0;
}

static int replace(const making *m, iw_error *err)
{
    for (size_t i = 0; i < m->gone.count; i++)
        if (iw_remove_tree(m->gone.items[i], err) != 0) return -1;
    for (size_t i = 0; i < m->touched.count; i++) {
        iw_cleanup_free char *delta = iw_format("%s/delta%zu", m->work, i);
        if (rename(delta, m->touched.items[i]) != 0)
            return iw_fail_errno(err, IW_E_IO, "can't write %s", m->touched.items[i]);
    }
    return 0;
}

static int pack_rest(making *m, const char *tree, iw_parts *out, iw_error *err)
{
    iw_cleanup_strings iw_strings first = {0};
    iw_strings_add(&first, "manifest.json");
    iw_packing packing = {
        .level = LEVEL, .long_window = true, .prefix = m->facts->name, .first = &first};
    out->path = iw_path_join(m->work, "rest.tar.zst");
    iw_cleanup_fd int fd = open(out->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", out->path);
    return iw_archive_pack(tree, fd, &packing, &out->packed, err);
}

static int leave_out(making *m, const char *bundle, iw_parts *out, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_join(m->work, "whole"),
                         *tree = iw_path_join(folder, m->facts->name);
    iw_cleanup_fd int fd = open(bundle, O_RDONLY | O_CLOEXEC);
    iw_admission admission = {.set_times = true};
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", bundle);
    if (iw_make_folders(folder, 0755, err) != 0 ||
        iw_archive_unpack(fd, bundle, folder, &admission, err) != 0 ||
        iw_walk(tree, judge_file, m, err) != 0)
        return -1;
    if (replace(m, err) != 0) return -1;
    out->files = m->gone.count + m->touched.count;
    return pack_rest(m, tree, out, err);
}

int iw_parts_make(const char *bundle, const iw_bundle_facts *facts, const char *without,
                  iw_store *store, const char *work, iw_parts *out, iw_error *err)
{
    making m = {.facts = facts,
                .store = store,
                .work = work,
                .wheels = json_array(),
                .files = json_array()};
    json_t *manifest = json_loadb(facts->manifest, facts->manifest_length, 0, NULL);
    *out = (iw_parts){.path = NULL};
    int status = add_wheels(&m, manifest, without, err);
    if (status == 0) status = leave_out(&m, bundle, out, err);
    if (status == 0) {
        json_t *list =
            json_pack("{s:i,s:O,s:O}", "format", 1, "wheels", m.wheels, "files", m.files);
        out->list = iw_canon_write(list);
        json_decref(list);
        if (!out->list || strlen(out->list) > IW_CANON_LIMIT)
            status = iw_fail(err, IW_E_FORMAT, "%s: the list of what is left out is too long",
                             facts->name);
    }
    iw_cleanup_free char *whole = iw_path_join(work, "whole");
    iw_remove_tree(whole, NULL);
    for (size_t i = 0; i < json_array_size(m.wheels); i++) {
        iw_cleanup_free char *folder = iw_format("%s/wheel%zu", work, i);
        iw_remove_tree(folder, NULL);
    }
    json_decref(manifest);
    making_clear(&m);
    return status;
}

/* --- filling -------------------------------------------------------------- */

static bool take_source(const json_t *wheel, iw_source *out)
{
    const char *kind, *file, *sha256, *name;
    if (!iw_field_text(wheel, "kind", &kind) || !iw_field_name(wheel, "file", &file) ||
        !iw_field_digest(wheel, "sha256", &sha256) || !iw_field_text(wheel, "name", &name))
        return false;
    bool pypi = strcmp(kind, "pypi") == 0, url = strcmp(kind, "url") == 0;
    *out = (iw_source){.kind = pypi ? IW_SOURCE_PYPI : IW_SOURCE_URL,
                       .id = "wheel",
                       .name = name,
                       .version = iw_json_get(wheel, "version"),
                       .file = file,
                       .sha256 = sha256,
                       .wheel = true,
                       .to = "."};
    return (pypi && out->version && iw_is_plain_name(name)) ||
           (url && (iw_starts_with(name, "https://") || iw_starts_with(name, "http://")));
}

static int fetch_wheels(const iw_parts_filling *f, const json_t *wheels, iw_error *err)
{
    iw_source sources[WHEELS];
    iw_wanted wanted[WHEELS];
    size_t count = json_array_size(wheels);
    for (size_t i = 0; i < count; i++) {
        if (!take_source(json_array_get(wheels, i), &sources[i]))
            return iw_fail(err, IW_E_FORMAT, "%s: what it says of wheels isn't understood",
                           f->name);
        wanted[i] = (iw_wanted){.source = &sources[i]};
    }
    iw_fetch_options options = {.cancel = f->cancel, .sink = f->sink};
    return iw_fetch_all(f->store, wanted, count, &options, err);
}

static int unpack_all(const iw_parts_filling *f, const json_t *wheels, iw_error *err)
{
    size_t i;
    json_t *wheel;
    json_array_foreach(wheels, i, wheel)
    {
        iw_cleanup_free char *folder = iw_format("%s/wheel%zu", f->work, i);
        if (unpack_wheel(f->store, iw_json_get(wheel, "sha256"), folder, err) != 0) return -1;
    }
    return 0;
}

/* Plain components that lead downwards. */
static bool stays_below(const char *path)
{
    iw_slice rest = iw_slice_of(path), part;
    bool fine = *path && *path != '/';
    while (fine && iw_slice_next(&rest, '/', &part))
        fine = part.length && !iw_slice_equal(part, ".") && !iw_slice_equal(part, "..");
    return fine;
}

typedef struct placed {
    const char *path, *member, *sha256; /* sha256: of one that was touched, else NULL */
    uint64_t wheel, mode, size;
} placed;

static int read_file_entry(const iw_parts_filling *f, const json_t *file, size_t wheels,
                           placed *out, iw_error *err)
{
    *out = (placed){.sha256 = NULL};
    bool touched = json_object_get(file, "sha256");
    return iw_field_text(file, "path", &out->path) && iw_field_text(file, "member", &out->member) &&
                   iw_field_number(file, "wheel", &out->wheel) &&
                   iw_field_number(file, "mode", &out->mode) && out->wheel < wheels &&
                   stays_below(out->path) && stays_below(out->member) &&
                   (!touched || (iw_field_digest(file, "sha256", &out->sha256) &&
                                 iw_field_number(file, "size", &out->size)))
               ? 0
               : iw_fail(err, IW_E_FORMAT, "%s: what it says of files isn't understood", f->name);
}

static int apply(const iw_parts_filling *f, const placed *one, const char *from, const char *to,
                 iw_error *err)
{
    iw_cleanup_free char *delta = iw_path_join(f->work, "delta");
    if (!one->sha256) return iw_copy_file(from, to, err);
    if (rename(to, delta) != 0) return iw_fail_errno(err, IW_E_IO, "can't move %s", to);
    return iw_delta_apply(from, delta, to, one->sha256, one->size, err);
}

/* One file may belong to several places: copied, not moved. */
static int put_file(const iw_parts_filling *f, const json_t *file, size_t wheels, iw_error *err)
{
    static const struct timespec old[2] = {{IW_ARCHIVE_TIME, 0}, {IW_ARCHIVE_TIME, 0}};
    placed one;
    struct stat status;
    if (read_file_entry(f, file, wheels, &one, err) != 0) return -1;
    iw_cleanup_free char *from = iw_format("%s/wheel%llu/%s", f->work,
                                           (unsigned long long)one.wheel, one.member),
                         *to = iw_path_join(f->top, one.path), *folder = iw_path_parent(to);
    bool there = lstat(to, &status) == 0, plain = there && S_ISREG(status.st_mode);
    if (lstat(from, &status) != 0 || !S_ISREG(status.st_mode) || lstat(folder, &status) != 0 ||
        !S_ISDIR(status.st_mode) || (one.sha256 ? !plain : there))
        return iw_fail(err, IW_E_FORMAT, "%s: %s can't be put where it belongs", f->name, one.path);
    if (apply(f, &one, from, to, err) != 0) return -1;
    return chmod(to, one.mode == 755 ? 0755 : 0644) == 0 && utimensat(AT_FDCWD, to, old, 0) == 0 &&
                   utimensat(AT_FDCWD, folder, old, 0) == 0
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't write %s", to);
}

/* The whole's tar, made again and looked at. */
static int check_whole(const iw_parts_filling *f, iw_error *err)
{
    iw_cleanup_strings iw_strings first = {0};
    iw_strings_add(&first, "manifest.json");
    iw_packing packing = {.plain = true, .prefix = f->name, .first = &first};
    iw_packed packed;
    iw_cleanup_fd int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open /dev/null");
    if (iw_archive_pack(f->top, fd, &packing, &packed, err) != 0) return -1;
    return strcmp(packed.content, f->tar) == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST,
                         "%s, with the files of its wheels put in, isn't the bundle that was "
                         "signed (SHA-256 of the tar: %s, expected %s); it is not used",
                         f->name, packed.content, f->tar);
}

int iw_parts_fill(const iw_parts_filling *f, iw_error *err)
{
    json_t *list = NULL, *file;
    size_t i;
    if (iw_canon_parse(f->list, f->length, f->name, &list, err) != 0) return -1;
    const json_t *wheels = json_object_get(list, "wheels");
    size_t count = json_array_size(wheels);
    int status = count <= WHEELS ? fetch_wheels(f, wheels, err)
                                 : iw_fail(err, IW_E_FORMAT, "%s: too many wheels", f->name);
    if (status == 0) status = unpack_all(f, wheels, err);
    json_array_foreach(json_object_get(list, "files"), i, file)
    {
        if (status == 0) status = put_file(f, file, count, err);
    }
    json_decref(list);
    return status == 0 ? check_whole(f, err) : -1;
}
