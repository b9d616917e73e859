/* `ironwheel toolchain update`: the pinned packages of a toolchain's file, anew from the archive's
 * index. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/debian.h"
#include "fetch/where.h"

#define FILE_LIMIT (1u << 20) /* as the reader of recipes has it */

/* --- the file ------------------------------------------------------------- */

static void add_packages(iw_buffer *out, const iw_debian_package *const *packages, size_t count)
{
    iw_buffer_add_text(out, "packages:\n");
    for (size_t i = 0; i < count; i++) {
        const iw_debian_package *package = packages[i];
        iw_buffer_add_format(
            out,
            "  - name: %.*s\n    version: %.*s\n    file: %.*s\n    sha256: %.*s\n    size: %llu\n",
            (int)package->name.length, package->name.data, (int)package->version.length,
            package->version.data, (int)package->file.length, package->file.data,
            (int)package->sha256.length, package->sha256.data, (unsigned long long)package->size);
    }
}

/* What is written: the packages, and when they were found. */
struct found {
    const iw_debian_package *const *packages;
    size_t count;
    const char *pinned;
};

static bool starts_with_key(iw_slice line, const char *key)
{
    size_t length = strlen(key);
    return line.length >= length && memcmp(line.data, key, length) == 0;
}

/* Everything but the list and its time stays as it stands in the file: comments, the order of keys,
 * the roots. */
static int replace_list(const char *path, const char *text, const struct found *found,
                        iw_buffer *out, iw_error *err)
{
    iw_slice rest = iw_slice_of(text), line;
    bool inside = false, seen = false;
    while (iw_slice_next(&rest, '\n', &line)) {
        bool top = line.length && !strchr(" \t-", line.data[0]);
        if (top) inside = starts_with_key(line, "packages:");
        if (inside && top && !seen) {
            iw_buffer_add_format(out, "pinned: %s\n", found->pinned);
            add_packages(out, found->packages, found->count);
            seen = true;
        }
        if (!inside && !starts_with_key(line, "pinned:"))
            iw_buffer_add_format(out, "%.*s\n", (int)line.length, line.data);
    }
    return seen ? 0
                : iw_fail(err, IW_E_RECIPE,
                          "%s: no line starts with \"packages:\"; the list that is to be written "
                          "anew can't be found",
                          path);
}

/* The time moves only with the packages: `old` with the time that it has tells whether they did. */
static int write_file(const char *path, const char *pinned, struct found found, iw_error *err)
{
    iw_cleanup_free char *old = NULL;
    iw_cleanup_buffer iw_buffer same = {0}, text = {0};
    struct found before = found;
    if (iw_read_file(path, FILE_LIMIT, &old, NULL, err) != 0) return -1;
    before.pinned = pinned;
    if (pinned && replace_list(path, old, &before, &same, err) != 0) return -1;
    if (pinned && strcmp(old, same.data) == 0) return 0;
    if (replace_list(path, old, &found, &text, err) != 0) return -1;
    if (iw_recipe_check_text("toolchain", path, text.data, text.length, err) != 0)
        return iw_wrap(err, "what was to be written isn't right");
    return iw_write_file(path, text.data, text.length, 0644, err);
}

/* --- the archive ---------------------------------------------------------- */

static int fetch_suites(iw_debian_index *index, const iw_debian_archive *archive, const char *name,
                        iw_error *err)
{
    static const char *const parts[] = {
        "", "-updates",
        "-security"}; /* of the same version in two suites, the first one's file is taken */
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        iw_cleanup_free char *suite = iw_format("%s%s", name, parts[i]);
        bool found;
        if (iw_debian_index_fetch(index, archive, suite, &found, err) != 0)
            return iw_wrap(err, "suite %s", suite);
        if (!found && i == 0) {
            iw_cleanup_free char *shown = iw_transfer_shown(archive->mirrors->items[0]);
            return iw_fail(err, IW_E_NOT_FOUND, "no mirror has the suite %s (asked: %s)", suite,
                           shown);
        }
        iw_cleanup_free char *note =
            found ? NULL : iw_format("no mirror has the suite %s; going on without it", suite);
        if (note)
            iw_emit(archive->transfer->sink, (iw_event){.type = IW_EVENT_NOTE,
                                                        .subject = name,
                                                        .phase = "fetch",
                                                        .detail = note});
    }
    return 0;
}

static int update(const char *path, const iw_toolchain *current, const iw_debian_archive *archive,
                  iw_error *err)
{
    iw_debian_index *index = iw_debian_index_new();
    const iw_debian_package **packages = NULL;
    size_t count = 0;
    char asked[32]; /* before: what is in the index now was in the archive then or soon after */
    time_t now = time(NULL);
    struct tm when;
    strftime(asked, sizeof asked, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &when));
    int status = fetch_suites(index, archive, current->suite, err);
    if (status == 0) status = iw_debian_resolve(index, &current->roots, &packages, &count, err);
    struct found found = {packages, count, asked};
    if (status == 0) status = write_file(path, current->pinned, found, err);
    free(packages);
    iw_debian_index_free(index);
    return status;
}

int iw_toolchain_update(const char *path, const iw_toolchain *current,
                        const iw_fetch_options *options, iw_error *err)
{
    if (options->offline)
        return iw_fail(err, IW_E_NETWORK,
                       "the archive's index must be fetched, and --offline forbids it");
    iw_cleanup_strings iw_strings mirrors = {0};
    if (iw_debian_mirrors(options, &mirrors, err) != 0) return -1;
    iw_transfer_options transfer = {.parallel = options->parallel,
                                    .cancel = options->cancel,
                                    .sink = options->sink,
                                    .backoff = options->backoff,
                                    .stall = options->stall};
    iw_debian_archive archive;
    int status = iw_debian_archive_open(&mirrors, &transfer, &archive, err);
    if (status == 0) status = update(path, current, &archive, err);
    iw_debian_archive_close(&archive);
    return status == 0 ? 0 : iw_wrap(err, "toolchain %s", current->name);
}
