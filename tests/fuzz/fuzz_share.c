/* Fuzz target: what comes from a remote before or after its signature was checked: signatures with
 * their comments, channels, key files, deltas. Whatever the bytes are: an error or a value that is
 * written again as the same text; never a read outside, never memory beyond the bounds. The first
 * byte chooses. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "share/channel.h"
#include "share/delta.h"
#include "share/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const char *again, const char *text, size_t length)
{
    if (again && strlen(again) == length && memcmp(again, text, length) == 0) return;
    fprintf(stderr, "fuzz_share: written again it is another text\n");
    abort();
}

/* A channel may hold fields that this version doesn't know, so only a second round must agree. */
static void try_channel(const char *text, size_t length)
{
    iw_channel *channel = NULL, *second = NULL;
    if (iw_channel_parse(text, length, "fuzz", &channel, NULL) != 0) return;
    iw_cleanup_free char *first = iw_channel_write(channel), *again = NULL;
    if (!first || iw_channel_parse(first, strlen(first), "fuzz", &second, NULL) != 0) abort();
    again = iw_channel_write(second);
    same(again, first, strlen(first));
    iw_channel_free(channel);
    iw_channel_free(second);
}

static void try_keys(const char *text, size_t length)
{
    iw_keys *keys = NULL, *second = NULL;
    if (iw_keys_parse(text, length, "fuzz", &keys, NULL) != 0) return;
    iw_cleanup_free char *first = iw_keys_write(keys), *again = NULL;
    if (!first || iw_keys_parse(first, strlen(first), "fuzz", &second, NULL) != 0) abort();
    again = iw_keys_write(second);
    same(again, first, strlen(first));
    iw_keys_free(keys);
    iw_keys_free(second);
}

static void try_signature(const char *text, size_t length)
{
    iw_signature signature;
    iw_stamp stamp, again;
    iw_public_key key = {.number = {0}};
    iw_cleanup_free char *copy = iw_strndup(text, length);
    (void)!iw_key_parse(copy, "fuzz", &key, NULL);
    if (iw_signature_parse(text, length, "fuzz", &signature, NULL) != 0) return;
    memcpy(key.number, signature.number, sizeof key.number);
    if (iw_signature_check(&signature, &key, "x", 1, "fuzz", NULL) == 0) abort();
    if (iw_stamp_parse(signature.comment, "fuzz", &stamp, NULL) != 0) return;
    iw_cleanup_free char *comment = iw_stamp_write(&stamp);
    if (iw_stamp_parse(comment, "fuzz", &again, NULL) != 0 || memcmp(&stamp, &again, sizeof stamp))
        abort();
}

static void write_file(char *path, const void *data, size_t length)
{
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, data, length) != (ssize_t)length) abort();
    close(fd);
}

static void try_delta(const char *text, size_t length)
{
    char old[] = "/tmp/fuzz-old-XXXXXX", delta[] = "/tmp/fuzz-delta-XXXXXX",
         out[] = "/tmp/fuzz-new-XXXXXX";
    static const char content[] = "the old file, which a delta may point into, and so it goes on";
    static const char digest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    iw_unpacked found;
    write_file(old, content, sizeof content);
    write_file(delta, text, length);
    write_file(out, "", 0);
    if (iw_delta_apply(old, delta, out, digest, 4096, NULL) == 0) abort();
    (void)!iw_zstd_measure(delta, 65536, &found, NULL);
    unlink(old), unlink(delta), unlink(out);
}

static void try_range(const char *text, size_t length)
{
    uint64_t first, count;
    bool bad;
    iw_cleanup_free char *header = iw_strndup(text, length);
    if (iw_serve_range(header, 1000, &first, &count, &bad) &&
        (first >= 1000 || count > 1000 - first || !count))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    const char *text = (const char *)data + 1;
    switch (data[0] % 5) {
    case 0: try_channel(text, size - 1); break;
    case 1: try_keys(text, size - 1); break;
    case 2: try_signature(text, size - 1); break;
    case 3: try_delta(text, size - 1); break;
    default: try_range(text, size - 1);
    }
    return 0;
}
