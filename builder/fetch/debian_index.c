/* The signed index of a Debian archive: InRelease, then the Packages file that it vouches for. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "fetch/debian.h"

#define KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"
#define RELEASE_LIMIT (8u << 20)
#define PACKAGES_LIMIT (UINT64_C(512) << 20)
#define BEGIN_MESSAGE "-----BEGIN PGP SIGNED MESSAGE-----"
#define BEGIN_SIGNATURE "-----BEGIN PGP SIGNATURE-----"
#define END_SIGNATURE "-----END PGP SIGNATURE-----"

int iw_debian_archive_open(const iw_strings *mirrors, const iw_transfer_options *transfer,
                           iw_debian_archive *out, iw_error *err)
{
    const char *parent = getenv("TMPDIR"), *keyring = getenv("IRONWHEEL_DEBIAN_KEYRING");
    *out = (iw_debian_archive){.mirrors = mirrors,
                               .keyring = keyring && *keyring ? keyring : KEYRING,
                               .transfer = transfer};
    return iw_temporary_folder(parent && *parent ? parent : "/tmp", "ironwheel-index-",
                               &out->folder, err);
}

void iw_debian_archive_close(iw_debian_archive *archive)
{
    if (archive->folder) (void)!iw_remove_tree(archive->folder, NULL);
    free(archive->folder);
    archive->folder = NULL;
}

/* --- the signature -------------------------------------------------------- */

/* One signed text and nothing around it: text beside the signed part must not be taken for it (RFC
 * 9580, "Cleartext Signature Framework"). */
static bool is_one_message(const char *text)
{
    size_t begins = 0, signatures = 0, ends = 0;
    bool after = false;
    iw_slice rest = iw_slice_of(text), line;
    if (!iw_starts_with(text, BEGIN_MESSAGE "\n")) return false;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (after && line.length) return false;
        begins += iw_slice_equal(line, BEGIN_MESSAGE);
        signatures += iw_slice_equal(line, BEGIN_SIGNATURE);
        after = iw_slice_equal(line, END_SIGNATURE);
        ends += after;
    }
    return begins == 1 && signatures == 1 && ends == 1 && after;
}

static bool has_status(const char *status, const char *word)
{
    iw_slice rest = iw_slice_of(status), line;
    iw_cleanup_free char *wanted = iw_format("[GNUPG:] %s ", word);
    while (iw_slice_next(&rest, '\n', &line))
        if (line.length >= strlen(wanted) && memcmp(line.data, wanted, strlen(wanted)) == 0)
            return true;
    return false;
}

static int run_gpgv(const char *const *argv, const char *status_path, iw_error *err)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    iw_cleanup_fd int out = open(status_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", status_path);
    iw_command command = {
        .argv = argv, .environment = environment, .in = -1, .out = out, .error = -1};
    pid_t pid;
    int ended;
    if (iw_spawn(&command, &pid, err) != 0)
        return iw_wrap(err, "gpgv (Debian package gpgv) verifies the archive's signature");
    return iw_wait(pid, &ended, err);
}

/* gpgv fails where one of several signatures is by a key that isn't in the keyring: so its status
 * lines decide. At least one signature is good, none bad. */
static int verify(const iw_debian_archive *archive, const char *url, const char *text, char **out,
                  iw_error *err)
{
    iw_cleanup_free char *signed_path = iw_path_join(archive->folder, "InRelease"),
                         *plain = iw_path_join(archive->folder, "Release"),
                         *status_path = iw_path_join(archive->folder, "status"), *status = NULL;
    if (!is_one_message(text))
        return iw_fail(err, IW_E_FORMAT,
                       "%s isn't one signed text; is that address a Debian mirror's?", url);
    if (access(archive->keyring, R_OK) != 0)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "the keyring %s can't be read: install debian-archive-keyring, or set "
                       "IRONWHEEL_DEBIAN_KEYRING to a file with the "
                       "archive's keys",
                       archive->keyring);
    (void)!unlink(plain);
    if (iw_write_file(signed_path, text, strlen(text), 0600, err) != 0) return -1;
    const char *argv[] = {
        "gpgv",     "--homedir", archive->folder, "--keyring", archive->keyring, "--status-fd", "1",
        "--output", plain,       signed_path,     NULL};
    if (run_gpgv(argv, status_path, err) != 0 ||
        iw_read_file(status_path, RELEASE_LIMIT, &status, NULL, err) != 0)
        return -1;
    if (has_status(status, "BADSIG"))
        return iw_fail(err, IW_E_DIGEST, "%s: its signature is wrong; it was changed on its way",
                       url);
    if (!has_status(status, "GOODSIG") || !has_status(status, "VALIDSIG"))
        return iw_fail(
            err, IW_E_DIGEST,
            "%s is signed by no key of %s that is still good; a newer debian-archive-keyring may "
            "have it, and IRONWHEEL_DEBIAN_KEYRING names another file",
            url, archive->keyring);
    return iw_read_file(plain, RELEASE_LIMIT, out, NULL, err);
}

/* --- the Release file ----------------------------------------------------- */

static bool release_field(const char *text, const char *name, iw_slice *value)
{
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        const char *colon = line.length ? memchr(line.data, ':', line.length) : NULL;
        if (!colon || !iw_slice_equal((iw_slice){line.data, (size_t)(colon - line.data)}, name))
            continue;
        *value =
            iw_slice_trim((iw_slice){colon + 1, line.length - (size_t)(colon + 1 - line.data)});
        return true;
    }
    return false;
}

static bool next_word(iw_slice *rest, char **out)
{
    iw_slice word;
    while (iw_slice_next(rest, ' ', &word)) {
        word = iw_slice_trim(word);
        if (word.length == 0) continue;
        *out = iw_strndup(word.data, word.length);
        return true;
    }
    return false;
}

/* " <digest> <size> <file>" in the part under "SHA256:". */
static bool release_file(const char *text, const char *file, char digest[IW_SHA256_HEX],
                         uint64_t *size)
{
    iw_slice rest = iw_slice_of(text), line;
    bool inside = false;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (line.length && line.data[0] != ' ')
            inside = iw_slice_equal(iw_slice_trim(line), "SHA256:");
        if (!inside || line.length == 0 || line.data[0] != ' ') continue;
        iw_cleanup_free char *sum = NULL, *length = NULL, *name = NULL;
        if (!next_word(&line, &sum) || !next_word(&line, &length) || !next_word(&line, &name))
            continue;
        if (strcmp(name, file) != 0 || !iw_is_sha256(sum) ||
            !iw_parse_unsigned(length, UINT64_MAX, size))
            continue;
        memcpy(digest, sum, IW_SHA256_HEX);
        return true;
    }
    return false;
}

int64_t iw_debian_time(iw_slice text)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    iw_cleanup_free char *copy = iw_strndup(text.data, text.length);
    char month[4] = "", zone[6] = "";
    int day, year, hour, minute, second;
    const char *comma = strchr(copy, ',');
    if (!comma || sscanf(comma + 1, " %2d %3s %4d %2d:%2d:%2d %5s", &day, month, &year, &hour,
                         &minute, &second, zone) != 7)
        return -1;
    const char *found = strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!found || (found - months) % 3 ||
        (strcmp(zone, "UTC") && strcmp(zone, "GMT") && strcmp(zone, "+0000")))
        return -1;
    if (day < 1 || day > 31 || year < 1970 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60)
        return -1;
    struct tm when = {.tm_mday = day,
                      .tm_mon = (int)(found - months) / 3,
                      .tm_year = year - 1900,
                      .tm_hour = hour,
                      .tm_min = minute,
                      .tm_sec = second};
    return (int64_t)timegm(&when);
}

/* An old index, or another suite's, is signed well too. */
static int check_release(const char *url, const char *text, const char *suite, iw_error *err)
{
    iw_slice name = {"", 0}, codename = {"", 0}, until;
    (void)release_field(text, "Suite", &name);
    (void)release_field(text, "Codename", &codename);
    if (!iw_slice_equal(name, suite) && !iw_slice_equal(codename, suite))
        return iw_fail(err, IW_E_FORMAT, "%s is the index of suite \"%.*s\" (\"%.*s\"), not of %s",
                       url, (int)codename.length, codename.data, (int)name.length, name.data,
                       suite);
    if (!release_field(text, "Valid-Until", &until)) return 0;
    int64_t end = iw_debian_time(until);
    if (end >= 0 && end > (int64_t)time(NULL)) return 0;
    return iw_fail(
        err, IW_E_FORMAT,
        "%s was valid until %.*s only: the mirror is out of date, or this host's clock is wrong",
        url, (int)until.length, until.data);
}

/* --- the Packages file ---------------------------------------------------- */

static int read_unpacked(struct archive *archive, const char *path, const char *wanted,
                         uint64_t size, char **out, iw_error *err)
{
    struct archive_entry *entry;
    if (archive_read_next_header(archive, &entry) != ARCHIVE_OK)
        return iw_fail(err, IW_E_FORMAT, "%s can't be unpacked: %s", path,
                       archive_error_string(archive));
    void *text = NULL;
    if (iw_alloc_bounded(&text, (size_t)size + 1, 1, PACKAGES_LIMIT, path, err) != 0) return -1;
    *out = text;
    size_t length = 0;
    la_ssize_t got;
    while ((got = archive_read_data(archive, *out + length, (size_t)size + 1 - length)) > 0)
        length += (size_t)got;
    if (got < 0)
        return iw_fail(err, IW_E_FORMAT, "%s can't be unpacked: %s", path,
                       archive_error_string(archive));
    char digest[IW_SHA256_HEX];
    iw_hash_bytes(*out, length < size ? length : (size_t)size, digest);
    if (length != size || strcmp(digest, wanted) != 0)
        return iw_fail(err, IW_E_DIGEST,
                       "%s unpacks to other bytes than the archive has signed: SHA-256 %s, not %s",
                       path, digest, wanted);
    (*out)[size] = 0;
    return 0;
}

static int unpack(const char *path, const char *wanted, uint64_t size, char **out, iw_error *err)
{
    struct archive *archive = archive_read_new();
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_gzip(archive);
    archive_read_support_format_raw(archive);
    archive_read_support_format_empty(archive);
    int status = archive_read_open_filename(archive, path, 1 << 18) == ARCHIVE_OK
                     ? read_unpacked(archive, path, wanted, size, out, err)
                     : iw_fail(err, IW_E_FORMAT, "%s can't be unpacked: %s", path,
                               archive_error_string(archive));
    archive_read_free(archive);
    return status;
}

/* `list`: "main/binary-amd64/Packages". */
static int fetch_list(const iw_debian_archive *archive, const char *base, const char *release,
                      const char *list, char **out, iw_error *err)
{
    iw_cleanup_free char *xz = iw_format("%s.xz", list), *gz = iw_format("%s.gz", list),
                         *folder = iw_path_parent(list);
    const char *const names[] = {xz, gz, NULL};
    iw_cleanup_free char *shown = iw_transfer_shown(base);
    char packed[IW_SHA256_HEX], plain[IW_SHA256_HEX];
    uint64_t packed_size = 0, size = 0;
    size_t i = 0;
    while (names[i] && !release_file(release, names[i], packed, &packed_size)) i++;
    if (!names[i] || !release_file(release, list, plain, &size))
        return iw_fail(err, IW_E_FORMAT, "%s/InRelease lists no %s.xz with its SHA-256", shown,
                       list);
    if (size == 0) { /* as in NAME-updates after a point release */
        *out = iw_strdup("");
        return 0;
    }
    if (size > PACKAGES_LIMIT || packed_size == 0 || packed_size > PACKAGES_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s/%s is larger than is right", shown, names[i]);
    iw_transfer transfer = {.label = iw_format("%s %s", iw_path_base(base), iw_path_base(names[i])),
                            .part = iw_path_join(archive->folder, packed),
                            .size = packed_size};
    memcpy(transfer.sha256, packed, sizeof packed);
    iw_strings_add_format(&transfer.urls, "%s/%s/by-hash/SHA256/%s", base, folder,
                          packed); /* stays while the mirror is being updated */
    iw_strings_add_format(&transfer.urls, "%s/%s", base, names[i]);
    int status = iw_transfer_all(&transfer, 1, archive->transfer, err);
    if (status == 0 && !transfer.done) {
        iw_error_move(err, &transfer.err);
        status = -1;
    }
    if (status == 0) status = unpack(transfer.part, plain, size, out, err);
    iw_transfer_clear(&transfer);
    return status;
}

static int from_mirror(const iw_debian_archive *archive, const char *mirror, const char *suite,
                       const char *list, char **text, iw_error *err)
{
    iw_cleanup_free char *base = iw_format("%s/dists/%s", mirror, suite),
                         *url = iw_format("%s/InRelease", base), *shown = iw_transfer_shown(url),
                         *page = NULL, *release = NULL;
    if (iw_transfer_page(url, NULL, RELEASE_LIMIT, archive->transfer, &page, NULL, NULL, NULL,
                         err) != 0)
        return -1;
    if (verify(archive, shown, page, &release, err) != 0 ||
        check_release(shown, release, suite, err) != 0)
        return -1;
    return fetch_list(archive, base, release, list, text, err);
}

int iw_debian_list_fetch(const iw_debian_archive *archive, const char *suite, const char *list,
                         char **text, char **where, iw_error *err)
{
    iw_error first = IW_ERROR_INIT;
    *text = *where = NULL;
    for (size_t i = 0; i < archive->mirrors->count && !*text; i++) {
        const char *mirror = archive->mirrors->items[i];
        iw_error why = IW_ERROR_INIT;
        if (from_mirror(archive, mirror, suite, list, text, &why) == 0) {
            iw_cleanup_free char *shown = iw_transfer_shown(mirror);
            *where = iw_format("%s/dists/%s/%s", shown, suite, list);
        }
        bool matters = why.kind != IW_E_NOT_FOUND; /* a mirror needn't have every suite */
        if (matters && (first.kind == IW_E_NONE || why.kind == IW_E_CANCELLED))
            iw_error_move(&first, &why);
        iw_error_clear(&why);
        if (first.kind == IW_E_CANCELLED) break;
    }
    int status = *text || first.kind == IW_E_NONE ? 0 : -1;
    if (status != 0) iw_error_move(err, &first);
    iw_error_clear(&first);
    return status;
}

int iw_debian_index_fetch(iw_debian_index *index, const iw_debian_archive *archive,
                          const char *suite, bool *found, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *where = NULL;
    if (iw_debian_list_fetch(archive, suite, "main/binary-amd64/Packages", &text, &where, err) != 0)
        return -1;
    *found = text != NULL;
    return text ? iw_debian_index_add(index, iw_steal(&text), where, err) : 0;
}
