/* `ironwheel diff A B`: what differs between two bundles, member by member. */
#include <archive.h>
#include <archive_entry.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/bundle_file.h"
#include "cli/commands.h"

struct member {
    char *path;                 /* below the bundle's top folder */
    char digest[IW_SHA256_HEX]; /* of the content, or of the link's text */
    uint64_t size;
    unsigned mode;
};

struct listing {
    struct member *items;
    size_t count, capacity;
};

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) free(listing->items[i].path);
    free(listing->items);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->path, ((const struct member *)b)->path);
}

static int read_member(struct archive *archive, struct archive_entry *entry, const char *bundle,
                       struct listing *listing, iw_error *err)
{
    const char *path = archive_entry_pathname(entry), *slash = path ? strchr(path, '/') : NULL;
    if (!path) return iw_fail(err, IW_E_FORMAT, "%s has a member without a name", bundle);
    if (!slash || !slash[1] || archive_entry_filetype(entry) == AE_IFDIR) return 0;
    iw_grow((void **)&listing->items, &listing->capacity, listing->count + 1,
            sizeof *listing->items);
    struct member *member = &listing->items[listing->count++];
    *member =
        (struct member){.path = iw_strdup(slash + 1), .mode = (unsigned)archive_entry_mode(entry)};
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

static void tell(iw_context *context, const char *what, const char *path, const struct member *a,
                 const struct member *b)
{
    if (context->json) {
        json_t *line = json_pack("{s:s,s:s}", "change", what, "path", path);
        if (a) json_object_set_new(line, "a", json_string(a->digest));
        if (b) json_object_set_new(line, "b", json_string(b->digest));
        iw_print_json(context, line);
        return;
    }
    iw_print(context, "%-8s %s", what, path);
    if (a && b && a->size != b->size)
        iw_print(context, "  (%llu → %llu bytes)", (unsigned long long)a->size,
                 (unsigned long long)b->size);
    if (a && b && a->mode != b->mode)
        iw_print(context, "  (mode %o → %o)", a->mode & 07777, b->mode & 07777);
    iw_print(context, "\n");
}

static size_t compare(iw_context *context, const struct listing *a, const struct listing *b)
{
    size_t i = 0, k = 0, changes = 0;
    while (i < a->count || k < b->count) {
        const struct member *left = i < a->count ? &a->items[i] : NULL,
                            *right = k < b->count ? &b->items[k] : NULL;
        int order = !left ? 1 : !right ? -1 : strcmp(left->path, right->path);
        bool same =
            order == 0 && strcmp(left->digest, right->digest) == 0 && left->mode == right->mode;
        if (order < 0) tell(context, "only A", left->path, left, NULL);
        else if (order > 0) tell(context, "only B", right->path, NULL, right);
        else if (!same) tell(context, "differs", left->path, left, right);
        changes += !same;
        i += order <= 0;
        k += order >= 0;
    }
    return changes;
}

int iw_bundle_compare(iw_context *context, const char *one, const char *other, bool *same,
                      iw_error *err)
{
    struct listing a = {0}, b = {0};
    int status = read_listing(one, &a, err);
    if (status == 0) status = read_listing(other, &b, err);
    size_t changes = status == 0 ? compare(context, &a, &b) : 0;
    if (status == 0 && !context->json && !context->quiet)
        iw_print(context, "%zu of %zu members differ\n", changes,
                 a.count > b.count ? a.count : b.count);
    listing_free(&a);
    listing_free(&b);
    *same = changes == 0;
    return status;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    bool same = false;
    if (iw_bundle_compare(context, arguments->operands[0], arguments->operands[1], &same, err) !=
        0) {
        err->kind = IW_E_ENVIRONMENT; /* as diff: 2 is trouble, 1 an answer */
        return -1;
    }
    return !same;
}

static const iw_option options[] = {{NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL}};

const iw_command_spec iw_command_diff = {
    .name = "diff",
    .operands = "A B",
    .least = 2,
    .most = 2,
    .complete = "file",
    .summary = "Show what differs between two bundles",
    .description =
        "Compares member by member. Exit status as diff's: 0 the same, 1 different, 2 trouble.",
    .examples = NULL,
    .options = options,
    .run = run,
};
