/* Signing keys and signatures in minisign's format, through libsodium: the real `minisign` reads
 * what is written here, and the other way round. Format: minisign(1), section "Signature format"
 * and "Secret key format". Only prehashed signatures ("ED") are taken. */
#ifndef IW_SHARE_KEY_H
#define IW_SHARE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

#define IW_KEY_ID 17     /* 16 upper-case hex digits and the NUL, as minisign prints them */
#define IW_KEY_LINE 57   /* the base64 line of a public key, and the NUL */
#define IW_KEY_WORDS 128 /* room for iw_key_words */
#define IW_COMMENT_LIMIT 1024
#define IW_PREHASH 64 /* bytes of a BLAKE2b digest: what is signed */

typedef struct iw_public_key {
    uint8_t number[8];
    uint8_t bytes[32];
} iw_public_key;

typedef struct iw_secret_key { /* forget it with iw_secret_key_clear */
    iw_public_key open;
    uint8_t bytes[64];
} iw_secret_key;

/* A fresh pair. IW_E_ENVIRONMENT where libsodium can't start. */
int iw_key_make(iw_secret_key *out, iw_error *err);
void iw_secret_key_clear(iw_secret_key *key);

void iw_key_id(const iw_public_key *key, char id[IW_KEY_ID]);
void iw_key_line(const iw_public_key *key, char line[IW_KEY_LINE]);
/* Eight words of the key's digest, to read out over a telephone. */
void iw_key_words(const iw_public_key *key, char words[IW_KEY_WORDS]);
bool iw_key_equal(const iw_public_key *a, const iw_public_key *b);

/* The bare base64 line, or a whole .pub file; `where` is for messages. IW_E_FORMAT. */
int iw_key_parse(const char *text, const char *where, iw_public_key *out, iw_error *err);
/* Writes minisign's .pub and secret key files (the latter 0600), durably, over nothing that is
 * there (IW_E_ENVIRONMENT). `passphrase` NULL: not encrypted. */
int iw_key_write_public(const iw_public_key *key, const char *path, iw_error *err);
int iw_key_write_secret(const iw_secret_key *key, const char *path, const char *passphrase,
                        iw_error *err);
/* Whether the file's key is encrypted. */
int iw_key_is_locked(const char *path, bool *locked, iw_error *err);
/* IW_E_USAGE for a wrong or a missing passphrase. An encrypted key takes some seconds and up to
 * 1 GiB of memory. */
int iw_key_read_secret(const char *path, const char *passphrase, iw_secret_key *out, iw_error *err);

/* The text of a .minisig over `data`. Caller frees. */
char *iw_sign(const iw_secret_key *key, const void *data, size_t length, const char *comment);
/* The same over what is added in its order, which may be more than the memory: `digest` is what
 * finishing gives. Caller frees. */
typedef struct iw_prehash iw_prehash;
iw_prehash *iw_prehash_new(void);
void iw_prehash_free(iw_prehash *prehash);
void iw_prehash_add(iw_prehash *prehash, const void *data, size_t length);
void iw_prehash_finish(iw_prehash *prehash, uint8_t digest[IW_PREHASH]); /* no more is added */
char *iw_sign_prehashed(const iw_secret_key *key, const uint8_t digest[IW_PREHASH],
                        const char *comment);

typedef struct iw_signature {
    uint8_t number[8];
    uint8_t bytes[64];
    uint8_t whole[64]; /* over bytes and comment */
    char comment[IW_COMMENT_LIMIT];
} iw_signature;

/* Splits the text of a .minisig. Says what it is where it is no prehashed minisign signature.
 * IW_E_FORMAT. */
int iw_signature_parse(const char *text, size_t length, const char *where, iw_signature *out,
                       iw_error *err);
void iw_signature_id(const iw_signature *signature, char id[IW_KEY_ID]);
/* Whether the key made signature and comment: after this the comment may be believed. IW_E_DIGEST.
 */
int iw_signature_check_comment(const iw_signature *signature, const iw_public_key *key,
                               const char *where, iw_error *err);
/* Whether the key signed these bytes. IW_E_DIGEST. */
int iw_signature_check(const iw_signature *signature, const iw_public_key *key, const void *data,
                       size_t length, const char *where, iw_error *err);

#endif
