#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

struct iw_hash {
    EVP_MD_CTX *context;
};

static void must(int fine)
{
    if (!fine) abort(); /* SHA-256 of libcrypto fails only for want of memory */
}

iw_hash *iw_hash_new(void)
{
    iw_hash *hash = iw_alloc(sizeof *hash);
    hash->context = EVP_MD_CTX_new();
    must(hash->context && EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL));
    return hash;
}

void iw_hash_free(iw_hash *hash)
{
    if (!hash) return;
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void iw_hash_add(iw_hash *hash, const void *data, size_t length)
{
    must(EVP_DigestUpdate(hash->context, data, length));
}

static void add_text(iw_hash *hash, const char *text)
{
    uint64_t length = text ? strlen(text) : UINT64_MAX;
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i);
    iw_hash_add(hash, bytes, 8);
    if (text) iw_hash_add(hash, text, length);
}

void iw_hash_add_field(iw_hash *hash, const char *name, const char *value)
{
    add_text(hash, name);
    add_text(hash, value);
}

void iw_hash_finish(iw_hash *hash, char hex[IW_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[32];
    must(EVP_DigestFinal_ex(hash->context, raw, NULL));
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[64] = 0;
    must(EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL));
}

void iw_hash_bytes(const void *data, size_t length, char hex[IW_SHA256_HEX])
{
    iw_hash *hash = iw_hash_new();
    iw_hash_add(hash, data, length);
    iw_hash_finish(hash, hex);
    iw_hash_free(hash);
}

int iw_hash_file(const char *path, char hex[IW_SHA256_HEX], uint64_t *size, iw_error *err)
{
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    iw_cleanup_free char *buffer = iw_alloc(1 << 18);
    iw_hash *hash = iw_hash_new();
    uint64_t total = 0;
    ssize_t got;
    while ((got = read(fd, buffer, 1 << 18)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        iw_hash_add(hash, buffer, (size_t)got);
        total += (uint64_t)got;
    }
    int sys = errno;
    iw_hash_finish(hash, hex);
    iw_hash_free(hash);
    errno = sys;
    if (got < 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", path);
    if (size) *size = total;
    return 0;
}

bool iw_is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}
