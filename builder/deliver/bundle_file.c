#include "deliver/bundle_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "deliver/session.h"
#include "store/archive.h"

/* The digest that the user gave, or that <bundle>.sha256 holds; "" where there is neither. */
static int expected_digest(const char *given, const char *bundle, char hex[IW_SHA256_HEX],
                           iw_error *err)
{
    iw_cleanup_free char *beside = iw_format("%s.sha256", bundle), *text = NULL;
    hex[0] = 0;
    if (given && !iw_is_sha256(given))
        return iw_fail(err, IW_E_USAGE, "--sha256 wants 64 lower-case hex digits, not \"%s\"",
                       given);
    if (!given && iw_exists(beside)) {
        if (iw_read_file(beside, 4096, &text, NULL, err) != 0) return -1;
        text[strcspn(text, " \n")] = 0;
        if (!iw_is_sha256(text))
            return iw_fail(err, IW_E_FORMAT, "%s doesn't start with a SHA-256", beside);
        given = text;
    }
    if (given) memcpy(hex, given, IW_SHA256_HEX);
    return 0;
}

/* Of the same content, compressed elsewhere: its tar has the digest that is wanted, or that
 * BUNDLE.tar.sha256 tells. */
static int check_tar(const char *bundle, const char *wanted, bool given, bool *known, bool *same,
                     iw_error *err)
{
    char content[IW_SHA256_HEX];
    iw_cleanup_free char *beside = given ? NULL : iw_bundle_tar_digest(bundle);
    iw_cleanup_fd int fd = open(bundle, O_RDONLY | O_CLOEXEC);
    *same = false;
    if (!given && !beside) return 0;
    *known = true;
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", bundle);
    iw_error why = IW_ERROR_INIT; /* what is no zstd stream isn't the bundle */
    *same = iw_archive_content(fd, bundle, content, &why) == 0 &&
            strcmp(content, given ? wanted : beside) == 0;
    iw_error_clear(&why);
    return 0;
}

int iw_bundle_check_digest(const char *bundle, const char *given, bool *known,
                           char found[IW_SHA256_HEX], iw_error *err)
{
    char wanted[IW_SHA256_HEX];
    bool same = false;
    if (expected_digest(given, bundle, wanted, err) != 0 ||
        iw_hash_file(bundle, found, NULL, err) != 0)
        return -1;
    *known = wanted[0];
    if (wanted[0] && strcmp(wanted, found) == 0) return 0;
    if (check_tar(bundle, wanted, given != NULL, known, &same, err) != 0) return -1;
    if (same || !*known) return 0;
    return iw_fail(err, IW_E_DIGEST,
                   "%s is not what was packed: SHA-256 %s, expected %s; its uncompressed tar is "
                   "another one, too; copy it again",
                   bundle, found, wanted[0] ? wanted : "that of the tar beside it");
}

/* A bundle has one folder at its top. */
static int only_folder(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    char **name = context;
    (void)full;
    if (*name || !S_ISDIR(status->st_mode))
        return iw_fail(err, IW_E_FORMAT,
                       "\"%s\" stands beside the bundle's one folder: this is no bundle", relative);
    *name = iw_strdup(relative);
    return 1;
}

struct progress {
    const char *bundle;
    const iw_sink *sink;
};

static void on_unpacked(void *context, uint64_t done, uint64_t total)
{
    const struct progress *progress = context;
    iw_emit(progress->sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                       .subject = progress->bundle,
                                       .phase = "unpack",
                                       .unit = "B",
                                       .count = done,
                                       .total = total});
}

int iw_bundle_unpack(const char *bundle, const char *temporary, const char *parent,
                     const char *target, const iw_sink *sink, char **placed, iw_error *err)
{
    iw_cleanup_fd int fd = open(bundle, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", bundle);
    struct progress progress = {.bundle = bundle, .sink = sink};
    iw_admission admission = {.progress = on_unpacked, .context = &progress, .set_times = true};
    iw_cleanup_free char *top = NULL;
    if (iw_archive_unpack(fd, bundle, temporary, &admission, err) != 0 ||
        iw_walk(temporary, only_folder, &top, err) != 0)
        return -1;
    if (!top) return iw_fail(err, IW_E_FORMAT, "%s is empty", bundle);
    iw_cleanup_free char *from = iw_path_join(temporary, top),
                         *manifest = iw_path_join(from, "manifest.json");
    if (!iw_exists(manifest))
        return iw_fail(err, IW_E_FORMAT, "%s holds no manifest.json: this is no bundle", bundle);
    char *to = target ? iw_strdup(target) : iw_path_join(parent, top);
    *placed = to;
    if (iw_exists(to))
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "%s is there already; remove it, or name another folder", to);
    return rename(from, to) == 0
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't move the environment to %s", to);
}
