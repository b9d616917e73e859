/* Fuzz target: what a registry says before anything of it is signed: manifests, indexes, errors,
 * challenges, a token service's answers, ranges; and addresses. Whatever the bytes are: an error or
 * a value within bounds; never a read outside. The first byte chooses. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "share/challenge.h"
#include "share/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

static void try_manifest(const char *text, size_t length)
{
    json_t *manifest = NULL;
    char sha256[IW_SHA256_HEX];
    uint64_t size;
    if (iw_oci_manifest_read(text, length, "fuzz", &manifest, NULL) != 0) {
        require(!manifest);
        return;
    }
    (void)!iw_oci_annotation(manifest, IW_OCI_SIGNATURE);
    for (int without = 0; without < 2; without++)
        if (iw_oci_layer(manifest, ".minisig", without, sha256, &size))
            require(iw_is_sha256(sha256) && size <= INT64_MAX);
    json_decref(manifest);
}

static void try_index(const char *text, size_t length)
{
    json_t *index = NULL;
    if (iw_oci_index_read(text, length, "fuzz", &index, NULL) != 0) return;
    (void)!iw_oci_index_has(index, IW_OCI_EMPTY_SHA256);
    json_decref(index);
}

/* Nothing of a header may come out that breaks another one. */
static void require_tame(const char *text)
{
    for (; text && *text; text++) require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void try_challenge(const char *text, size_t length)
{
    iw_challenge challenge = {.kind = IW_AUTH_NONE};
    size_t half = length / 2;
    iw_challenge_read(&challenge, text, half);
    iw_auth before = challenge.kind;
    iw_challenge_read(&challenge, text + half, length - half);
    require(challenge.kind >= before);
    require(challenge.kind != IW_AUTH_BEARER || challenge.realm);
    require_tame(challenge.realm), require_tame(challenge.service), require_tame(challenge.scope);
    iw_challenge_clear(&challenge);
}

static void try_token(const char *text, size_t length)
{
    char *token = NULL;
    uint64_t seconds = 0;
    if (iw_token_read(text, length, &token, &seconds, NULL) == 0) {
        require(*token && strlen(token) <= IW_TOKEN_LIMIT && seconds > 0);
        require_tame(token);
    } else require(!token);
    free(token);
}

static void try_texts(const char *text, size_t length)
{
    iw_cleanup_free char *said = iw_oci_error_text(text, length), *copy = iw_strndup(text, length),
                         *tag = iw_oci_tag(copy), *host = NULL, *name = NULL, *document = NULL;
    bool signature;
    uint64_t there;
    require_tame(said);
    require(!said || strlen(said) <= 700);
    require(strlen(tag) <= 128);
    if (iw_oci_range_end(copy, &there)) require(there > 0);
    if (iw_oci_address(copy, &host, &name, NULL) == 0) {
        require(*host && *name && !strpbrk(host, "/@ ") && !strpbrk(name, ":@ "));
        (void)!iw_oci_is_loopback(host);
    }
    document = iw_oci_document_tag(copy, &signature);
    require(!document || strlen(document) <= 128);
    require(!iw_oci_blob_of(copy) || iw_is_sha256(iw_oci_blob_of(copy)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    const char *text = (const char *)data + 1;
    switch (data[0] % 5) {
    case 0: try_manifest(text, size - 1); break;
    case 1: try_index(text, size - 1); break;
    case 2: try_challenge(text, size - 1); break;
    case 3: try_token(text, size - 1); break;
    default: try_texts(text, size - 1);
    }
    return 0;
}
