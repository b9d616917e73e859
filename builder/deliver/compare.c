/* What differs between two bundles, member by member. */
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "deliver/bundle_file.h"

struct listing {
    bool whole; /* names as they are; else below the one folder at the top */
    iw_member *items;
    size_t count, capacity;
};

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) free(listing->items[i].path);
    free(listing->items);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const iw_member *)a)->path, ((const iw_member *)b)->path);
}

static int read_member(struct archive *archive, struct archive_entry *entry, const char *bundle,
                       struct listing *listing, iw_error *err)
{
    const char *path = archive_entry_pathname(entry), *slash = path ? strchr(path, '/') : NULL;
    if (!path) return iw_fail(err, IW_E_FORMAT, "%s has a member without a name", bundle);
    const char *name = listing->whole ? path : slash ? slash + 1 : "";
    if (!*name || archive_entry_filetype(entry) == AE_IFDIR) return 0;
    iw_grow((void **)&listing->items, &listing->capacity, listing->count + 1,
            sizeof *listing->items);
    iw_member *member = &listing->items[listing->count++];
    *member = (iw_member){.path = iw_strdup(name), .mode = (unsigned)archive_entry_mode(entry)};
    iw_hash *hash = iw_hash_new();
    const char *link = archive_entry_symlink(entry);
    if (link) iw_hash_add(hash, link, strlen(link));
    char part[65536];
    la_ssize_t got = 0;
    while (!link && (got = archive_read_data(archive, part, sizeof part)) > 0) {
        iw_hash_add(hash, part, (size_t)got);
        member->size += (uint64_t)got;
    }
    iw_hash_finish(hash, member->digest);
    iw_hash_free(hash);
    return got < 0 ? iw_fail(err, IW_E_FORMAT, "%s: %s: %s", bundle, path,
                             archive_error_string(archive))
                   : 0;
}

static int read_listing(const char *bundle, struct listing *listing, iw_error *err)
{
    struct archive *archive = archive_read_new();
    archive_read_support_filter_all(archive);
    archive_read_support_format_tar(archive);
    int status = 0;
    if (archive_read_open_filename(archive, bundle, 1 << 18) != ARCHIVE_OK)
        status =
            iw_fail(err, IW_E_FORMAT, "can't read %s: %s", bundle, archive_error_string(archive));
    struct archive_entry *entry;
    int got = ARCHIVE_EOF;
    while (status == 0 && (got = archive_read_next_header(archive, &entry)) == ARCHIVE_OK)
        status = read_member(archive, entry, bundle, listing, err);
    if (status == 0 && got != ARCHIVE_EOF)
        status = iw_fail(err, IW_E_FORMAT, "%s: %s", bundle, archive_error_string(archive));
    archive_read_free(archive);
    if (listing->count) qsort(listing->items, listing->count, sizeof *listing->items, by_path);
    return status;
}

struct telling {
    void (*differs)(void *context, const iw_member *a, const iw_member *b);
    void *context;
};

static size_t compare(const struct telling *telling, const struct listing *a,
                      const struct listing *b)
{
    size_t i = 0, k = 0, changes = 0;
    while (i < a->count || k < b->count) {
        const iw_member *left = i < a->count ? &a->items[i] : NULL,
                        *right = k < b->count ? &b->items[k] : NULL;
        int order = !left ? 1 : !right ? -1 : strcmp(left->path, right->path);
        bool same =
            order == 0 && strcmp(left->digest, right->digest) == 0 && left->mode == right->mode;
        if (!same)
            telling->differs(telling->context, order <= 0 ? left : NULL, order >= 0 ? right : NULL);
        changes += !same;
        i += order <= 0;
        k += order >= 0;
    }
    return changes;
}

static int compare_files(bool whole, const char *one, const char *other,
                         const struct telling *telling, size_t *changes, size_t *members,
                         iw_error *err)
{
    struct listing a = {.whole = whole}, b = {.whole = whole};
    int status = read_listing(one, &a, err);
    if (status == 0) status = read_listing(other, &b, err);
    *changes = status == 0 ? compare(telling, &a, &b) : 0;
    *members = a.count > b.count ? a.count : b.count;
    listing_free(&a);
    listing_free(&b);
    return status;
}

int iw_bundle_compare(const char *one, const char *other,
                      void (*differs)(void *context, const iw_member *a, const iw_member *b),
                      void *context, size_t *changes, size_t *members, iw_error *err)
{
    const struct telling telling = {differs, context};
    return compare_files(false, one, other, &telling, changes, members, err);
}

int iw_artifact_compare(const char *one, const char *other,
                        void (*differs)(void *context, const iw_member *a, const iw_member *b),
                        void *context, size_t *changes, iw_error *err)
{
    const struct telling telling = {differs, context};
    size_t members;
    return compare_files(true, one, other, &telling, changes, &members, err);
}
