#include "share/canon.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"

#define NUMBER_DIGITS 16

/* What is met on one pass over the text, before a parser takes memory for it. */
typedef struct scan {
    size_t depth, values, text, digits;
    bool quoted, escaped;
} scan;

static const char *scan_quoted(scan *s, char c)
{
    if (s->escaped) s->escaped = false;
    else if (c == '\\') s->escaped = true;
    else if (c == '"') s->quoted = false;
    return ++s->text > IW_CANON_TEXT ? "a text in it is too long" : NULL;
}

static const char *scan_plain(scan *s, char c)
{
    s->digits = c >= '0' && c <= '9' ? s->digits + 1 : 0;
    if (s->digits > NUMBER_DIGITS) return "a number in it is too large";
    if (c == '"') {
        s->quoted = true;
        s->text = 0;
    } else if (c == '{' || c == '[') {
        if (++s->depth > IW_CANON_DEPTH) return "it is nested too deeply";
        s->values++;
    } else if (c == '}' || c == ']') {
        if (s->depth-- == 0) return "its brackets don't match";
    } else if (c == ',') {
        s->values++;
    } else if (c == '.' || c == '-' || c == 'E') {
        return "a number in it isn't a whole one";
    }
    return s->values > IW_CANON_VALUES ? "it holds too many values" : NULL;
}

static const char *look_over(const char *text, size_t length)
{
    scan s = {0};
    for (size_t i = 0; i < length; i++) {
        const char *why = text[i] == 0 ? "it holds a NUL"
                          : s.quoted   ? scan_quoted(&s, text[i])
                                       : scan_plain(&s, text[i]);
        if (why) return why;
    }
    return NULL;
}

char *iw_canon_write(const json_t *object)
{
    iw_cleanup_free char *text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
    return text ? iw_format("%s\n", text) : NULL;
}

/* Equal to what would be written for it: so nothing can be read in two ways. */
static bool is_canonical(const json_t *object, const char *text, size_t length)
{
    iw_cleanup_free char *again = iw_canon_write(object);
    return again && strlen(again) == length && memcmp(again, text, length) == 0;
}

int iw_canon_parse(const char *text, size_t length, const char *where, json_t **out, iw_error *err)
{
    *out = NULL;
    if (length > IW_CANON_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s is longer than %zu bytes", where, IW_CANON_LIMIT);
    const char *why = look_over(text, length);
    if (why) return iw_fail(err, IW_E_FORMAT, "%s is refused: %s", where, why);
    json_error_t problem;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!object) return iw_fail(err, IW_E_FORMAT, "%s:%d: %s", where, problem.line, problem.text);
    if (json_is_object(object) && is_canonical(object, text, length)) {
        *out = object;
        return 0;
    }
    json_decref(object);
    return iw_fail(err, IW_E_FORMAT,
                   "%s isn't written as Ironwheel writes it (sorted keys, one space, one object)",
                   where);
}

/* --- fields --------------------------------------------------------------- */

bool iw_field_text(const json_t *object, const char *key, const char **out)
{
    *out = iw_json_get(object, key);
    return *out != NULL;
}

bool iw_field_number(const json_t *object, const char *key, uint64_t *out)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    bool fine = json_is_integer(value) && number >= 0 && number <= IW_CANON_NUMBER;
    *out = fine ? (uint64_t)number : 0;
    return fine;
}

bool iw_field_digest(const json_t *object, const char *key, const char **out)
{
    return iw_field_text(object, key, out) && iw_is_sha256(*out);
}

bool iw_is_plain_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "+-._~";
    size_t length = strlen(text);
    return length > 0 && length <= 200 && strspn(text, letters) == length && *text != '.' &&
           *text != '-';
}

bool iw_field_name(const json_t *object, const char *key, const char **out)
{
    return iw_field_text(object, key, out) && iw_is_plain_name(*out);
}
