#include "share/key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/text.h"

#define FILE_LIMIT 4096
#define UNTRUSTED "untrusted comment: "
#define TRUSTED "trusted comment: "
#define MEMORY_LIMIT ((uint64_t)1 << 30) /* of scrypt, for a key that somebody else wrote */
#define WORK_LIMIT ((uint64_t)1 << 26)   /* likewise */
#define SECRET_BYTES (8 + 64 + 32)       /* number, key, checksum: what a passphrase hides */

/* minisign's files, byte by byte. */
typedef struct public_file {
    uint8_t algorithm[2], number[8], key[32];
} public_file;
typedef struct secret_file {
    uint8_t algorithm[2], kdf[2], checksum[2], salt[32], work[8], memory[8];
    uint8_t hidden[SECRET_BYTES];
} secret_file;
typedef struct signature_file {
    uint8_t algorithm[2], number[8], bytes[64];
} signature_file;

static int start(iw_error *err)
{
    return sodium_init() < 0 ? iw_fail(err, IW_E_ENVIRONMENT, "libsodium can't start") : 0;
}

/* --- numbers and text ----------------------------------------------------- */

static void put_number(uint8_t out[8], uint64_t value)
{
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_number(const uint8_t in[8])
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | in[i];
    return value;
}

static void id_of(const uint8_t number[8], char id[IW_KEY_ID])
{
    snprintf(id, IW_KEY_ID, "%016llX", (unsigned long long)get_number(number));
}

void iw_key_id(const iw_public_key *key, char id[IW_KEY_ID])
{
    id_of(key->number, id);
}

void iw_signature_id(const iw_signature *signature, char id[IW_KEY_ID])
{
    id_of(signature->number, id);
}

static char *encode(const void *data, size_t length)
{
    size_t room = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = iw_alloc(room);
    return sodium_bin2base64(text, room, data, length, sodium_base64_VARIANT_ORIGINAL);
}

static bool is_ascii(iw_slice text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] > 0x7e) return false;
    return true;
}

/* Exactly `length` bytes. (libsodium takes letters with their eighth bit set for those without.) */
static bool decode(iw_slice text, void *out, size_t length)
{
    size_t got = 0;
    const char *end = NULL;
    return is_ascii(text) &&
           sodium_base642bin(out, length, text.data, text.length, NULL, &got, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == length && end == text.data + text.length;
}

void iw_key_line(const iw_public_key *key, char line[IW_KEY_LINE])
{
    public_file file = {.algorithm = {'E', 'd'}};
    memcpy(file.number, key->number, sizeof file.number);
    memcpy(file.key, key->bytes, sizeof file.key);
    sodium_bin2base64(line, IW_KEY_LINE, (const uint8_t *)&file, sizeof file,
                      sodium_base64_VARIANT_ORIGINAL);
}

bool iw_key_equal(const iw_public_key *a, const iw_public_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* --- words ---------------------------------------------------------------- */

/* A consonant and a vowel for each of 64 values: two such pairs and an end make a word of 16 bits
 * that can be said aloud in any language that uses these letters. */
void iw_key_words(const iw_public_key *key, char words[IW_KEY_WORDS])
{
    static const char consonants[] = "bdfghjklmnprstvz", vowels[] = "aiou";
    uint8_t digest[16];
    crypto_generichash(digest, sizeof digest, (const uint8_t *)key, sizeof *key, NULL, 0);
    char *out = words;
    for (size_t i = 0; i < sizeof digest; i += 2) {
        unsigned value = (unsigned)digest[i] << 8 | digest[i + 1];
        if (i) *out++ = i == 8 ? ' ' : '-';
        *out++ = consonants[value >> 12];
        *out++ = vowels[value >> 10 & 3];
        *out++ = consonants[value >> 6 & 15];
        *out++ = vowels[value >> 4 & 3];
        *out++ = consonants[value & 15];
    }
    *out = 0;
}

/* --- making and reading keys ---------------------------------------------- */

int iw_key_make(iw_secret_key *out, iw_error *err)
{
    if (start(err) != 0) return -1;
    crypto_sign_keypair(out->open.bytes, out->bytes);
    randombytes_buf(out->open.number, sizeof out->open.number);
    return 0;
}

void iw_secret_key_clear(iw_secret_key *key)
{
    sodium_memzero(key, sizeof *key);
}

/* The line behind the untrusted comment, or the only one. */
static iw_slice data_line(const char *text)
{
    iw_slice rest = iw_slice_of(text), line = {0};
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_slice trimmed = iw_slice_trim(line);
        if (trimmed.length &&
            (trimmed.length < strlen("untrusted comment:") ||
             strncmp(trimmed.data, "untrusted comment:", strlen("untrusted comment:")) != 0))
            return trimmed;
    }
    return (iw_slice){"", 0};
}

int iw_key_parse(const char *text, const char *where, iw_public_key *out, iw_error *err)
{
    public_file file;
    if (start(err) != 0) return -1;
    if (!decode(data_line(text), &file, sizeof file))
        return iw_fail(err, IW_E_FORMAT,
                       "%s holds no public key: a line of 56 letters that starts with RW, as "
                       "`ironwheel keygen` and `minisign -G` write it",
                       where);
    if (memcmp(file.algorithm, "Ed", 2) != 0)
        return iw_fail(err, IW_E_FORMAT, "%s: a key of a kind that isn't known here (no Ed25519)",
                       where);
    memcpy(out->number, file.number, sizeof out->number);
    memcpy(out->bytes, file.key, sizeof out->bytes);
    return 0;
}

static int write_fresh(const char *path, const char *text, mode_t mode, iw_error *err)
{
    if (iw_exists(path))
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "%s is there already, and a key is never written over; move it away, or "
                       "name another file",
                       path);
    return iw_write_file(path, text, strlen(text), mode, err);
}

int iw_key_write_public(const iw_public_key *key, const char *path, iw_error *err)
{
    char id[IW_KEY_ID], line[IW_KEY_LINE];
    iw_key_id(key, id);
    iw_key_line(key, line);
    iw_cleanup_free char *text = iw_format(UNTRUSTED "minisign public key %s\n%s\n", id, line);
    return write_fresh(path, text, 0644, err);
}

/* BLAKE2b over algorithm, number and key. */
static void checksum(const secret_file *file, const uint8_t *plain, uint8_t out[32])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, file->algorithm, sizeof file->algorithm);
    crypto_generichash_update(&state, plain, 8 + 64);
    crypto_generichash_final(&state, out, 32);
}

/* XORs the hidden part with what scrypt makes of the passphrase; twice gives it back. -1: no memory
 * for it. */
static int mask(secret_file *file, const char *passphrase)
{
    uint8_t stream[SECRET_BYTES];
    int status =
        crypto_pwhash_scryptsalsa208sha256(stream, sizeof stream, passphrase, strlen(passphrase),
                                           file->salt, get_number(file->work),
                                           (size_t)get_number(file->memory));
    for (size_t i = 0; status == 0 && i < sizeof stream; i++) file->hidden[i] ^= stream[i];
    sodium_memzero(stream, sizeof stream);
    return status;
}

/* As much memory as minisign takes, or half of it, and so on, where this host hasn't that. */
static int lock(secret_file *file, const char *passphrase, iw_error *err)
{
    memcpy(file->kdf, "Sc", 2);
    randombytes_buf(file->salt, sizeof file->salt);
    uint64_t work = crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE,
             memory = crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE;
    for (; memory >= crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_MIN; memory /= 2, work /= 2) {
        put_number(file->work, work);
        put_number(file->memory, memory);
        if (mask(file, passphrase) == 0) return 0;
    }
    return iw_fail(err, IW_E_MEMORY, "no memory to encrypt the key with its passphrase");
}

int iw_key_write_secret(const iw_secret_key *key, const char *path, const char *passphrase,
                        iw_error *err)
{
    secret_file file = {.algorithm = {'E', 'd'}, .checksum = {'B', '2'}};
    if (start(err) != 0) return -1;
    memcpy(file.hidden, key->open.number, 8);
    memcpy(file.hidden + 8, key->bytes, 64);
    checksum(&file, file.hidden, file.hidden + 72);
    int status = passphrase ? lock(&file, passphrase, err) : 0;
    char *line = status == 0 ? encode(&file, sizeof file) : NULL;
    iw_cleanup_free char *text = line ? iw_format(UNTRUSTED "minisign %ssecret key\n%s\n",
                                                  passphrase ? "encrypted " : "", line)
                                      : NULL;
    if (status == 0) status = write_fresh(path, text, 0600, err);
    if (text) sodium_memzero(text, strlen(text));
    if (line) sodium_memzero(line, strlen(line));
    free(line);
    sodium_memzero(&file, sizeof file);
    return status;
}

static int read_secret_file(const char *path, secret_file *file, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (start(err) != 0 || iw_read_file(path, FILE_LIMIT, &text, NULL, err) != 0) return -1;
    bool fine = decode(data_line(text), file, sizeof *file) &&
                memcmp(file->algorithm, "Ed", 2) == 0 && memcmp(file->checksum, "B2", 2) == 0 &&
                (memcmp(file->kdf, "Sc", 2) == 0 || memcmp(file->kdf, "\0\0", 2) == 0);
    sodium_memzero(text, strlen(text));
    return fine ? 0
                : iw_fail(err, IW_E_FORMAT,
                          "%s holds no secret key in minisign's format (is it a public one, or of "
                          "another program?)",
                          path);
}

int iw_key_is_locked(const char *path, bool *locked, iw_error *err)
{
    secret_file file;
    if (read_secret_file(path, &file, err) != 0) return -1;
    *locked = file.kdf[0] != 0;
    sodium_memzero(&file, sizeof file);
    return 0;
}

static int unlock(secret_file *file, const char *path, const char *passphrase, iw_error *err)
{
    if (file->kdf[0] == 0) return 0;
    if (!passphrase)
        return iw_fail(err, IW_E_USAGE,
                       "%s is encrypted: run this on a terminal, or put its passphrase into the "
                       "variable IRONWHEEL_PASSPHRASE",
                       path);
    if (get_number(file->work) > WORK_LIMIT || get_number(file->memory) > MEMORY_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s asks for more work than any minisign key does", path);
    return mask(file, passphrase) == 0
               ? 0
               : iw_fail(err, IW_E_MEMORY,
                         "no memory to decrypt %s: it was encrypted with %llu MiB", path,
                         (unsigned long long)(get_number(file->memory) >> 20));
}

int iw_key_read_secret(const char *path, const char *passphrase, iw_secret_key *out, iw_error *err)
{
    secret_file file;
    uint8_t sum[32];
    static const uint8_t none[32] = {0};
    if (read_secret_file(path, &file, err) != 0) return -1;
    int status = unlock(&file, path, passphrase, err);
    bool locked = file.kdf[0] != 0;
    checksum(&file, file.hidden, sum);
    /* minisign leaves the checksum of a key without a passphrase empty in some versions. */
    bool fine = sodium_memcmp(sum, file.hidden + 72, 32) == 0 ||
                (!locked && sodium_memcmp(none, file.hidden + 72, 32) == 0);
    if (status == 0 && !fine)
        status = locked ? iw_fail(err, IW_E_USAGE, "%s: wrong passphrase", path)
                        : iw_fail(err, IW_E_FORMAT, "%s is damaged", path);
    memcpy(out->open.number, file.hidden, 8);
    memcpy(out->bytes, file.hidden + 8, 64);
    crypto_sign_ed25519_sk_to_pk(out->open.bytes, out->bytes);
    if (status != 0) iw_secret_key_clear(out);
    sodium_memzero(&file, sizeof file);
    return status;
}

/* --- signatures ----------------------------------------------------------- */

/* What is signed of a comment: the signature, then the comment. */
static uint8_t *join(const uint8_t bytes[64], const char *comment, size_t *length)
{
    size_t text = strlen(comment);
    uint8_t *whole = iw_alloc(64 + text);
    memcpy(whole, bytes, 64);
    memcpy(whole + 64, comment, text);
    *length = 64 + text;
    return whole;
}

static void prehash(const void *data, size_t length, uint8_t out[IW_PREHASH])
{
    crypto_generichash(out, IW_PREHASH, data, length, NULL, 0);
}

char *iw_sign_prehashed(const iw_secret_key *key, const uint8_t digest[IW_PREHASH],
                        const char *comment)
{
    uint8_t whole_signature[64];
    size_t joined;
    signature_file file = {.algorithm = {'E', 'D'}};
    char id[IW_KEY_ID];
    iw_key_id(&key->open, id);
    memcpy(file.number, key->open.number, sizeof file.number);
    crypto_sign_detached(file.bytes, NULL, digest, IW_PREHASH, key->bytes);
    uint8_t *whole = join(file.bytes, comment, &joined);
    crypto_sign_detached(whole_signature, NULL, whole, joined, key->bytes);
    free(whole);
    iw_cleanup_free char *first = encode(&file, sizeof file),
                         *second = encode(whole_signature, sizeof whole_signature);
    return iw_format(UNTRUSTED "signature of key %s\n%s\n" TRUSTED "%s\n%s\n", id, first, comment,
                     second);
}

char *iw_sign(const iw_secret_key *key, const void *data, size_t length, const char *comment)
{
    uint8_t digest[IW_PREHASH];
    prehash(data, length, digest);
    return iw_sign_prehashed(key, digest, comment);
}

struct iw_prehash {
    crypto_generichash_state state;
};

iw_prehash *iw_prehash_new(void)
{
    iw_prehash *prehash;
    /* libsodium wants its state aligned as it says. */
    if (posix_memalign((void **)&prehash, _Alignof(iw_prehash), sizeof *prehash) != 0) abort();
    crypto_generichash_init(&prehash->state, NULL, 0, IW_PREHASH);
    return prehash;
}

void iw_prehash_free(iw_prehash *prehash)
{
    free(prehash);
}

void iw_prehash_add(iw_prehash *prehash, const void *data, size_t length)
{
    crypto_generichash_update(&prehash->state, data, length);
}

void iw_prehash_finish(iw_prehash *prehash, uint8_t digest[IW_PREHASH])
{
    crypto_generichash_final(&prehash->state, digest, IW_PREHASH);
}

/* The next line without its newline (and a CR before it); false where there is none. */
static bool next_line(iw_slice *rest, iw_slice *line)
{
    if (!iw_slice_next(rest, '\n', line)) return false;
    if (line->length && line->data[line->length - 1] == '\r') line->length--;
    return true;
}

static bool begins(iw_slice line, const char *text)
{
    return line.length >= strlen(text) && memcmp(line.data, text, strlen(text)) == 0;
}

static bool is_plain(iw_slice text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) return false;
    return true;
}

int iw_signature_parse(const char *text, size_t length, const char *where, iw_signature *out,
                       iw_error *err)
{
    iw_slice rest = {text, length}, lines[4] = {{0}};
    signature_file file;
    size_t count = 0;
    if (start(err) != 0) return -1;
    while (count < 4 && next_line(&rest, &lines[count])) count++;
    if (count < 2 || !begins(lines[0], UNTRUSTED) || !decode(lines[1], &file, sizeof file))
        return iw_fail(err, IW_E_FORMAT, "%s is no minisign signature", where);
    if (memcmp(file.algorithm, "Ed", 2) == 0)
        return iw_fail(err, IW_E_FORMAT,
                       "%s is a signature of the old kind, or signify's, over the bytes "
                       "themselves; only prehashed ones are taken (minisign 0.10 and newer make "
                       "them)",
                       where);
    if (memcmp(file.algorithm, "ED", 2) != 0)
        return iw_fail(err, IW_E_FORMAT, "%s is a signature of an unknown kind", where);
    if (count < 4 || !begins(lines[2], TRUSTED) ||
        !decode(lines[3], out->whole, sizeof out->whole) || iw_slice_trim(rest).length)
        return iw_fail(err, IW_E_FORMAT, "%s lacks its signed comment, or holds more than one",
                       where);
    iw_slice comment = {lines[2].data + strlen(TRUSTED), lines[2].length - strlen(TRUSTED)};
    if (comment.length >= sizeof out->comment || !is_plain(comment))
        return iw_fail(err, IW_E_FORMAT, "%s: its comment is too long, or not plain text", where);
    memcpy(out->number, file.number, sizeof out->number);
    memcpy(out->bytes, file.bytes, sizeof out->bytes);
    memcpy(out->comment, comment.data, comment.length);
    out->comment[comment.length] = 0;
    return 0;
}

static int wrong_key(const iw_signature *signature, const iw_public_key *key, const char *where,
                     iw_error *err)
{
    char has[IW_KEY_ID], wanted[IW_KEY_ID];
    iw_signature_id(signature, has);
    iw_key_id(key, wanted);
    return iw_fail(err, IW_E_DIGEST, "%s was signed by key %s, not by %s", where, has, wanted);
}

int iw_signature_check_comment(const iw_signature *signature, const iw_public_key *key,
                               const char *where, iw_error *err)
{
    size_t length;
    if (start(err) != 0) return -1;
    if (memcmp(signature->number, key->number, 8) != 0)
        return wrong_key(signature, key, where, err);
    uint8_t *whole = join(signature->bytes, signature->comment, &length);
    int status = crypto_sign_verify_detached(signature->whole, whole, length, key->bytes);
    free(whole);
    return status == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST,
                         "%s: signature or comment was altered; nothing of it is used", where);
}

int iw_signature_check(const iw_signature *signature, const iw_public_key *key, const void *data,
                       size_t length, const char *where, iw_error *err)
{
    uint8_t digest[IW_PREHASH];
    if (iw_signature_check_comment(signature, key, where, err) != 0) return -1;
    prehash(data, length, digest);
    return crypto_sign_verify_detached(signature->bytes, digest, sizeof digest, key->bytes) == 0
               ? 0
               : iw_fail(err, IW_E_DIGEST,
                         "%s: these aren't the bytes that were signed; nothing of them is used",
                         where);
}
