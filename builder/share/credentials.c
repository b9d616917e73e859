#include "share/credentials.h"

#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "base/text.h"
#include "share/canon.h"

#define FILE_LIMIT ((size_t)1 << 20)
#define ANSWER_LIMIT 65536
#define HELPER "docker-credential-"

void iw_wipe(char **secret)
{
    if (*secret) sodium_memzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

void iw_credentials_clear(iw_credentials *c)
{
    iw_wipe(&c->user), iw_wipe(&c->password), iw_wipe(&c->identity);
    free(c->from);
    c->from = NULL;
}

char *iw_credentials_basic(const iw_credentials *c)
{
    char *pair = iw_format("%s:%s", c->user, c->password);
    size_t length = strlen(pair),
           room = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = iw_alloc(room);
    sodium_bin2base64(text, room, (const uint8_t *)pair, length, sodium_base64_VARIANT_ORIGINAL);
    char *line = iw_format("Authorization: Basic %s", text);
    iw_wipe(&pair);
    iw_wipe(&text);
    return line;
}

/* --- one entry of a file -------------------------------------------------- */

/* "user:password" in base64. */
static bool take_pair(const char *encoded, iw_credentials *out)
{
    size_t length = strlen(encoded), got = 0;
    char *pair = iw_alloc(length + 1);
    bool fine = sodium_base642bin((uint8_t *)pair, length, encoded, length, "\r\n", &got, NULL,
                                  sodium_base64_VARIANT_ORIGINAL) == 0;
    char *colon = fine && !memchr(pair, 0, got) ? strchr(pair, ':') : NULL;
    if (colon) {
        out->user = iw_strndup(pair, (size_t)(colon - pair));
        out->password = iw_strdup(colon + 1);
    }
    sodium_memzero(pair, length);
    free(pair);
    return colon;
}

static int take_entry(const json_t *entry, const char *path, const char *key, iw_credentials *out,
                      iw_error *err)
{
    const char *pair = iw_json_get(entry, "auth"), *identity = iw_json_get(entry, "identitytoken"),
               *user = iw_json_get(entry, "username"), *password = iw_json_get(entry, "password");
    if (identity && *identity) out->identity = iw_strdup(identity);
    if (pair && *pair && !take_pair(pair, out) && !out->identity)
        return iw_fail(err, IW_E_FORMAT, "%s: what it holds for %s isn't a name and password", path,
                       key);
    if (!out->user && user && password) {
        out->user = iw_strdup(user);
        out->password = iw_strdup(password);
    }
    if (out->user || out->identity) out->from = iw_strdup(path);
    return 0;
}

/* "host", "host/name/…"; docker writes "https://host/v1/", too. Length of what fits, 0: doesn't. */
static size_t fits(const char *key, const char *whole, size_t host)
{
    bool address = iw_starts_with(key, "https://") || iw_starts_with(key, "http://");
    if (address) key = strstr(key, "://") + 3;
    size_t length = address ? strcspn(key, "/") : strlen(key);
    if (length < host || strncmp(key, whole, length) != 0) return 0;
    return whole[length] == 0 || whole[length] == '/' ? length : 0;
}

static const char *best_key(const json_t *entries, const char *host, const char *name)
{
    iw_cleanup_free char *whole = iw_format("%s/%s", host, name);
    const char *best = NULL, *key;
    size_t most = 0;
    json_t *entry;
    json_object_foreach((json_t *)entries, key, entry)
    {
        size_t length = fits(key, whole, strlen(host));
        if (length > most && json_is_object(entry) && json_object_size(entry)) {
            most = length;
            best = key;
        }
    }
    return best;
}

/* --- helpers -------------------------------------------------------------- */

static int ask_helper(const char *program, const char *host, char *answer, iw_error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, ended = 0;
    pid_t pid = -1;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        return iw_fail_errno(err, IW_E_IO, "making a pipe");
    iw_command command = {.argv = (const char *const[]){program, "get", NULL},
                          .in = in[0],
                          .out = out[1],
                          .error = -1};
    int status = iw_spawn(&command, &pid, err);
    iw_close_fd(&in[0]), iw_close_fd(&out[1]);
    if (status == 0) status = iw_write_all(in[1], host, strlen(host), program, err);
    iw_close_fd(&in[1]);
    size_t length = 0;
    ssize_t got = 1;
    while (status == 0 && got > 0 && length < ANSWER_LIMIT - 1) {
        got = read(out[0], answer + length, ANSWER_LIMIT - 1 - length);
        if (got > 0) length += (size_t)got;
    }
    iw_close_fd(&out[0]);
    if (pid > 0 && iw_wait(pid, &ended, status == 0 ? err : NULL) != 0) status = -1;
    return status == 0 && ended != 0 ? iw_fail(err, IW_E_NOT_FOUND, "%s has none", program)
                                     : status;
}

/* What it doesn't have, or can't say, is none. */
static void take_from_helper(const char *helper, const char *host, iw_credentials *out)
{
    iw_cleanup_free char *program = iw_format(HELPER "%s", helper);
    char *answer = iw_alloc(ANSWER_LIMIT);
    if (iw_is_plain_name(helper) && ask_helper(program, host, answer, NULL) == 0) {
        json_t *root = json_loads(answer, 0, NULL);
        const char *user = iw_json_get(root, "Username"), *secret = iw_json_get(root, "Secret");
        if (user && secret) {
            bool identity = strcmp(user, "<token>") == 0;
            if (!identity) out->user = iw_strdup(user);
            *(identity ? &out->identity : &out->password) = iw_strdup(secret);
            out->from = iw_strdup(program);
        }
        json_decref(root);
    }
    sodium_memzero(answer, ANSWER_LIMIT);
    free(answer);
}

/* --- files ---------------------------------------------------------------- */

static int look_into(const char *path, const char *host, const char *name, iw_credentials *out,
                     iw_error *err)
{
    char *text = NULL;
    if (!iw_exists(path)) return 0;
    if (iw_read_file(path, FILE_LIMIT, &text, NULL, err) != 0) return -1;
    json_t *root = json_loads(text, 0, NULL), *entries = json_object_get(root, "auths");
    iw_wipe(&text);
    if (!json_is_object(root))
        return iw_fail(err, IW_E_FORMAT, "%s is no JSON object with \"auths\" in it", path);
    const char *key = best_key(entries, host, name),
               *helper = iw_json_get(json_object_get(root, "credHelpers"), host);
    int status = 0;
    if (helper) take_from_helper(helper, host, out);
    else if (key) status = take_entry(json_object_get(entries, key), path, key, out, err);
    helper = iw_json_get(root, "credsStore");
    if (status == 0 && !out->from && helper && *helper) take_from_helper(helper, host, out);
    json_decref(root);
    return status;
}

static void add_file(iw_strings *files, const char *variable, const char *home, const char *file)
{
    const char *folder = getenv(variable), *user = getenv("HOME");
    if (folder && *folder) iw_strings_add_format(files, "%s/%s", folder, file);
    else if (home && user) iw_strings_add_format(files, "%s/%s/%s", user, home, file);
}

static bool take_variables(const char *host, iw_credentials *out)
{
    const char *for_host = getenv("IRONWHEEL_REGISTRY"), *user = getenv("IRONWHEEL_REGISTRY_USER"),
               *password = getenv("IRONWHEEL_REGISTRY_PASSWORD");
    if (!for_host || strcmp(for_host, host) != 0 || !user || !password) return false;
    out->user = iw_strdup(user);
    out->password = iw_strdup(password);
    out->from = iw_strdup("IRONWHEEL_REGISTRY_USER");
    return true;
}

int iw_credentials_find(const char *host, const char *name, iw_credentials *out, iw_error *err)
{
    iw_cleanup_strings iw_strings files = {0};
    const char *only = getenv("REGISTRY_AUTH_FILE");
    *out = (iw_credentials){.user = NULL};
    if (take_variables(host, out)) return 0;
    if (only && *only) return look_into(only, host, name, out, err);
    add_file(&files, "XDG_RUNTIME_DIR", NULL, "containers/auth.json");
    add_file(&files, "XDG_CONFIG_HOME", ".config", "containers/auth.json");
    add_file(&files, "DOCKER_CONFIG", ".docker", "config.json");
    for (size_t i = 0; i < files.count && !out->from; i++)
        if (look_into(files.items[i], host, name, out, err) != 0) return -1;
    return 0;
}
