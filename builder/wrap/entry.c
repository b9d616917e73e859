#include "wrap/entry.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "wrap/sha256.h"

#define ENTRY_LIMIT (1u << 30)

void iw_entry_hash(const char *data, size_t length, char hex[65])
{
    iw_sha256 hash;
    iw_sha256_start(&hash);
    iw_sha256_add(&hash, data, length);
    iw_sha256_finish(&hash, hex);
}

bool iw_entry_hash_file(const char *path, char hex[65])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    iw_sha256 hash;
    iw_sha256_start(&hash);
    char part[65536];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) > 0) iw_sha256_add(&hash, part, (size_t)got);
    close(fd);
    iw_sha256_finish(&hash, hex);
    return got == 0;
}

/* --- reading -------------------------------------------------------------- */

static char *entry_path(const char *folder, const char *key)
{
    return iw_format("%s/%.2s/%s", folder, key, key);
}

/* Checks the digest of each file that was read; leaves `*at` behind them. */
static bool inputs_match(const char **at)
{
    while (iw_starts_with(*at, "D ")) {
        const char *digest = *at + 2, *end = strchr(digest, '\n');
        if (!end || end - digest < 66 || digest[64] != ' ') return false;
        iw_cleanup_free char *path = iw_strndup(digest + 65, (size_t)(end - digest - 65));
        char hex[65];
        if (!iw_entry_hash_file(path, hex) || strncmp(hex, digest, 64) != 0) return false;
        *at = end + 1;
    }
    return true;
}

char *iw_entry_read(const char *folder, const char *key, const char *kind, const char **body,
                    const char **end)
{
    iw_cleanup_free char *path = entry_path(folder, key), *text = NULL;
    size_t length, head = strlen(kind);
    if (iw_read_file(path, ENTRY_LIMIT, &text, &length, NULL) != 0) return NULL;
    if (length < head + 65 || strncmp(text, kind, head) != 0 || text[head] != '\n') return NULL;
    char hex[65];
    iw_entry_hash(text, length - 64, hex);
    if (memcmp(hex, text + length - 64, 64) != 0) return NULL;
    *body = text + head + 1;
    *end = text + length - 64;
    return inputs_match(body) ? iw_steal(&text) : NULL;
}

static bool read_length(const char **at, iw_entry_part *part, size_t left)
{
    char *after;
    if (**at != ' ') return false;
    bool none = iw_starts_with(*at, " -1");
    if (!none && ((*at)[1] < '0' || (*at)[1] > '9')) return false;
    unsigned long long length = none ? 0 : strtoull(*at + 1, &after, 10);
    *part = (iw_entry_part){none ? NULL : "", (size_t)length};
    *at = none ? *at + strlen(" -1") : after;
    return length <= left;
}

bool iw_entry_parts(const char *at, const char *end, iw_entry_part *parts, size_t count)
{
    if (*at != 'L') return false;
    at++;
    for (size_t i = 0; i < count; i++)
        if (!read_length(&at, &parts[i], (size_t)(end - at))) return false;
    if (*at != '\n' || !parts[0].data) return false;
    at++;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].length > (size_t)(end - at)) return false;
        if (parts[i].data) parts[i].data = at;
        at += parts[i].length;
    }
    return at == end;
}

void iw_entry_used(const char *folder, const char *key)
{
    iw_cleanup_free char *path = entry_path(folder, key);
    (void)!utimensat(AT_FDCWD, path, NULL, 0);
}

/* --- writing -------------------------------------------------------------- */

bool iw_entry_add_input(iw_buffer *out, const char *path, const char hex[65])
{
    if (strchr(path, '\n')) return false;
    iw_buffer_add_format(out, "D %s %s\n", hex, path);
    return true;
}

void iw_entry_add_parts(iw_buffer *out, const iw_entry_part *parts, size_t count)
{
    iw_buffer_add_text(out, "L");
    for (size_t i = 0; i < count; i++)
        iw_buffer_add_format(out, " %ld", parts[i].data ? (long)parts[i].length : -1L);
    iw_buffer_add_text(out, "\n");
    for (size_t i = 0; i < count; i++) iw_buffer_add(out, parts[i].data, parts[i].length);
}

bool iw_entry_changed(const char *path, const struct timespec *since)
{
    struct stat status;
    if (stat(path, &status) != 0) return true;
    const struct timespec *when = &status.st_ctim;
    return when->tv_sec != since->tv_sec ? when->tv_sec > since->tv_sec
                                         : when->tv_nsec >= since->tv_nsec;
}

bool iw_entry_is_replaceable(const char *path)
{
    struct stat status;
    return lstat(path, &status) != 0 || S_ISREG(status.st_mode);
}

/* Process numbers repeat in other sandboxes, which share the cache's folder: so the name is made of
 * random bytes. */
bool iw_entry_place(const char *path, const char *data, size_t length)
{
    uint64_t random = (uint64_t)getpid();
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    iw_cleanup_free char *temporary = iw_format("%s.iw-%016" PRIx64, path, random);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    bool fine = iw_write_all(fd, data, length, temporary, NULL) == 0;
    fine = close(fd) == 0 && fine;
    fine = fine && rename(temporary, path) == 0;
    if (!fine) unlink(temporary);
    return fine;
}

bool iw_entry_write(const char *folder, const char *key, iw_buffer *out)
{
    iw_cleanup_free char *path = entry_path(folder, key),
                         *shelf = iw_format("%s/%.2s", folder, key);
    char hex[65];
    iw_entry_hash(out->data, out->length, hex);
    iw_buffer_add(out, hex, 64);
    mkdir(shelf, 0755);
    return iw_entry_place(path, out->data, out->length);
}
