#include "share/challenge.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

#define VALUE_LIMIT 8192u
#define DEFAULT_SECONDS 60u
#define MOST_SECONDS 86400u

void iw_challenge_clear(iw_challenge *challenge)
{
    free(challenge->realm), free(challenge->service), free(challenge->scope);
    *challenge = (iw_challenge){.kind = IW_AUTH_NONE};
}

/* --- words ---------------------------------------------------------------- */

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip(iw_slice *rest, const char *what)
{
    while (rest->length && rest->data[0] && strchr(what, rest->data[0])) {
        rest->data++;
        rest->length--;
    }
}

static iw_slice take_token(iw_slice *rest)
{
    iw_slice word = {rest->data, 0};
    while (word.length < rest->length && is_token_char(word.data[word.length])) word.length++;
    rest->data += word.length;
    rest->length -= word.length;
    return word;
}

/* Caller frees; NULL for what isn't closed or holds control characters. */
static char *take_quoted(iw_slice *rest)
{
    iw_buffer out = {0};
    size_t i = 1;
    for (; i < rest->length && rest->data[i] != '"'; i++) {
        if (rest->data[i] == '\\') i++;
        if (i >= rest->length || (unsigned char)rest->data[i] < 0x20 || rest->data[i] == 0x7f) {
            iw_buffer_free(&out);
            return NULL;
        }
        iw_buffer_add_char(&out, rest->data[i]);
    }
    if (i >= rest->length) {
        iw_buffer_free(&out);
        return NULL;
    }
    rest->data += i + 1;
    rest->length -= i + 1;
    return iw_buffer_take(&out);
}

static char *take_value(iw_slice *rest)
{
    if (rest->length && rest->data[0] == '"') return take_quoted(rest);
    iw_slice word = take_token(rest);
    while (rest->length && rest->data[0] != ',' && rest->data[0] != ' ') /* token68, or nonsense */
        rest->data++, rest->length--;
    return iw_strndup(word.data, word.length);
}

/* --- challenges ----------------------------------------------------------- */

static bool is_word(iw_slice word, const char *name)
{
    return word.length == strlen(name) && strncasecmp(word.data, name, word.length) == 0;
}

static void set_parameter(iw_challenge *one, iw_slice name, char **value)
{
    char **where = is_word(name, "realm")     ? &one->realm
                   : is_word(name, "service") ? &one->service
                   : is_word(name, "scope")   ? &one->scope
                                              : NULL;
    if (where && !*where) *where = iw_steal(value);
}

static iw_auth kind_of(iw_slice scheme)
{
    return is_word(scheme, "Bearer")  ? IW_AUTH_BEARER
           : is_word(scheme, "Basic") ? IW_AUTH_BASIC
                                      : IW_AUTH_OTHER;
}

/* Keeps the better one. */
static void offer(iw_challenge *best, iw_challenge *one)
{
    if (one->kind == IW_AUTH_BEARER && !one->realm) one->kind = IW_AUTH_OTHER;
    if (one->kind > best->kind) {
        iw_challenge_clear(best);
        *best = *one;
        *one = (iw_challenge){.kind = IW_AUTH_NONE};
    }
    iw_challenge_clear(one);
}

void iw_challenge_read(iw_challenge *challenge, const char *value, size_t length)
{
    iw_slice rest = {value, length};
    iw_challenge one = {.kind = IW_AUTH_NONE};
    if (length > VALUE_LIMIT) return;
    for (;;) {
        skip(&rest, " \t\r\n,");
        iw_slice word = take_token(&rest);
        if (!word.length) break;
        skip(&rest, " \t");
        if (!rest.length || rest.data[0] != '=') {
            offer(challenge, &one);
            one.kind = kind_of(word);
            continue;
        }
        rest.data++, rest.length--;
        skip(&rest, " \t");
        iw_cleanup_free char *text = take_value(&rest);
        if (!text) break;
        set_parameter(&one, word, &text);
    }
    offer(challenge, &one);
}

/* --- tokens --------------------------------------------------------------- */

/* What may stand in a header. */
static bool is_plain(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= 0x20 || text[i] == 0x7f) return false;
    return length > 0 && length <= IW_TOKEN_LIMIT;
}

int iw_token_read(const char *text, size_t length, char **token, uint64_t *seconds, iw_error *err)
{
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const char *found = iw_json_get(root, "token"), *other = iw_json_get(root, "access_token");
    json_int_t good = json_integer_value(json_object_get(root, "expires_in"));
    if (!found || !*found) found = other;
    *token = found && is_plain(found) ? iw_strdup(found) : NULL;
    *seconds = good <= 0 ? DEFAULT_SECONDS : good > MOST_SECONDS ? MOST_SECONDS : (uint64_t)good;
    json_decref(root);
    return *token ? 0 : iw_fail(err, IW_E_FORMAT, "its answer holds no token");
}
