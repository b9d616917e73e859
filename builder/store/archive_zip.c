/* Zip files (PKWARE's APPNOTE.TXT) through libarchive, for wheels. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/archive.h"
#include "store/archive_in.h"

#define PIECE ((size_t)1 << 20)

typedef struct zipping {
    struct archive *zip;
    const char *path;
} zipping;

static int refused(const zipping *z, iw_error *err)
{
    const char *why = archive_error_string(z->zip);
    return iw_fail(err, IW_E_IO, "can't write %s: %s", z->path, why ? why : "out of memory");
}

static int add_content(zipping *z, const char *full, iw_error *err)
{
    iw_cleanup_free char *piece = iw_alloc(PIECE);
    iw_cleanup_fd int fd = open(full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 0;
    while (fd >= 0 && (got = read(fd, piece, PIECE)) > 0)
        if (archive_write_data(z->zip, piece, (size_t)got) != got) return refused(z, err);
    return got < 0 ? iw_fail_errno(err, IW_E_IO, "can't read %s", full) : 0;
}

/* No time is set: libarchive then writes the first that a zip file can hold, 1980-01-01 00:00, and
 * nothing that depends on the time zone. */
static int add_entry(void *context, const char *relative, const char *full,
                     const struct stat *status, iw_error *err)
{
    zipping *z = context;
    if (S_ISDIR(status->st_mode)) return 0;
    if (!S_ISREG(status->st_mode))
        return iw_fail(err, IW_E_FORMAT, "%s is no plain file: a zip file can't hold it", full);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, relative);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, status->st_mode & 0100 ? 0755 : 0644);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    archive_entry_set_size(entry, status->st_size);
    int failed = archive_write_header(z->zip, entry) != ARCHIVE_OK;
    archive_entry_free(entry);
    return failed ? refused(z, err) : add_content(z, full, err);
}

int iw_archive_zip(const char *tree, const char *path, iw_error *err)
{
    locale_t old, utf8 = iw_enter_utf8(&old); /* marks names that aren't ASCII as UTF-8 */
    zipping z = {archive_write_new(), path};
    int status = archive_write_set_format_zip(z.zip) == ARCHIVE_OK &&
                         archive_write_set_bytes_in_last_block(z.zip, 1) == ARCHIVE_OK &&
                         archive_write_open_filename(z.zip, path) == ARCHIVE_OK
                     ? iw_walk(tree, add_entry, &z, err)
                     : refused(&z, err);
    if (status == 0 && archive_write_close(z.zip) != ARCHIVE_OK) status = refused(&z, err);
    archive_write_free(z.zip);
    iw_leave_utf8(utf8, old);
    if (status != 0) unlink(path);
    return status;
}
