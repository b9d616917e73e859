#include "recipe/version.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

/* --- reading -------------------------------------------------------------- */

static bool read_number(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;
    if (!isdigit((unsigned char)*p)) return false;
    for (; isdigit((unsigned char)*p); p++) {
        if (value > (UINT64_MAX - 9) / 10) return false;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    *at = p;
    *out = value;
    return true;
}

static bool separator(char c)
{
    return c == '.' || c == '-' || c == '_';
}

/* One of `words` after an optional separator, then an optional number after another; `*index`
 * names the word. Nothing is moved where there is none. */
static bool read_suffix(const char **at, const char *const *words, size_t *index, uint64_t *number)
{
    const char *p = *at;
    if (separator(*p)) p++;
    for (size_t i = 0; words[i]; i++) {
        size_t length = strlen(words[i]);
        if (strncasecmp(p, words[i], length) != 0) continue;
        p += length;
        const char *after = separator(*p) ? p + 1 : p;
        *number = 0;
        if (isdigit((unsigned char)*after)) {
            if (!read_number(&after, number)) return false;
            p = after;
        }
        *at = p;
        *index = i;
        return true;
    }
    return false;
}

static bool read_release(const char **at, iw_version *out)
{
    const char *p = *at;
    uint64_t number;
    if (!read_number(&p, &number)) return false;
    if (*p == '!') {
        out->epoch = number;
        p++;
        if (!read_number(&p, &number)) return false;
    }
    out->release[out->parts++] = number;
    while (*p == '.' && isdigit((unsigned char)p[1])) {
        p++;
        if (out->parts == IW_VERSION_PARTS || !read_number(&p, &number)) return false;
        out->release[out->parts++] = number;
    }
    *at = p;
    return true;
}

static void read_pre(const char **at, iw_version *out)
{
    static const char *const words[] = {"alpha", "a",  "beta", "b", "preview",
                                        "pre",   "rc", "c",    NULL};
    static const char kinds[] = {'a', 'a', 'b', 'b', 'r', 'r', 'r', 'r'};
    size_t index;
    uint64_t number;
    if (!read_suffix(at, words, &index, &number)) return;
    out->pre = kinds[index];
    out->pre_number = number;
}

/* ".post1", "-r1", or "-1". */
static bool read_post(const char **at, iw_version *out)
{
    static const char *const words[] = {"post", "rev", "r", NULL};
    size_t index;
    if (**at == '-' && isdigit((unsigned char)(*at)[1])) {
        (*at)++;
        out->has_post = true;
        return read_number(at, &out->post);
    }
    out->has_post = read_suffix(at, words, &index, &out->post);
    return true;
}

/* Letters and digits, in parts; a number loses its zeros in front. */
static bool read_local(const char **at, iw_version *out)
{
    size_t length = 0;
    const char *p = *at;
    while (isalnum((unsigned char)*p)) {
        size_t part = strcspn(p, ".-_ \t\r\n"), zeros = 0;
        bool digits = strspn(p, "0123456789") >= part;
        while (digits && zeros + 1 < part && p[zeros] == '0') zeros++;
        if (length + part - zeros + 2 > sizeof out->local) return false;
        if (length) out->local[length++] = '.';
        for (size_t i = zeros; i < part; i++) {
            if (!isalnum((unsigned char)p[i])) return false;
            out->local[length++] = (char)tolower((unsigned char)p[i]);
        }
        p += part;
        if (!separator(*p) || !isalnum((unsigned char)p[1])) break;
        p++;
    }
    *at = p;
    return length > 0;
}

bool iw_version_parse(const char *text, iw_version *out)
{
    static const char *const dev[] = {"dev", NULL};
    size_t index;
    *out = (iw_version){0};
    if (!text) return false;
    const char *p = text + strspn(text, " \t\r\n\f\v");
    if (*p == 'v' || *p == 'V') p++;
    if (!read_release(&p, out)) return false;
    read_pre(&p, out);
    if (!read_post(&p, out)) return false;
    out->has_dev = read_suffix(&p, dev, &index, &out->dev);
    if (*p == '+') {
        p++;
        if (!read_local(&p, out)) return false;
    }
    return p[strspn(p, " \t\r\n\f\v")] == '\0';
}

/* --- order ---------------------------------------------------------------- */

static int by_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_release(const iw_version *a, const iw_version *b)
{
    for (unsigned i = 0; i < IW_VERSION_PARTS; i++)
        if (a->release[i] != b->release[i]) return by_number(a->release[i], b->release[i]);
    return 0;
}

/* A development release alone is older than every pre-release; what is no pre-release is newer. */
static int pre_rank(const iw_version *v)
{
    if (!v->pre) return v->has_dev && !v->has_post ? 0 : 4;
    return v->pre == 'a' ? 1 : v->pre == 'b' ? 2 : 3;
}

/* Part for part: numbers are newer than words, more parts than fewer. */
static int compare_local(const char *a, const char *b)
{
    iw_slice rest_a = iw_slice_of(a), rest_b = iw_slice_of(b), x, y;
    for (;;) {
        bool more_a = iw_slice_next(&rest_a, '.', &x), more_b = iw_slice_next(&rest_b, '.', &y);
        if (!more_a || !more_b) return more_a - more_b;
        bool number_a =
                 isdigit((unsigned char)x.data[0]) && strspn(x.data, "0123456789") >= x.length,
             number_b =
                 isdigit((unsigned char)y.data[0]) && strspn(y.data, "0123456789") >= y.length;
        if (number_a != number_b) return number_a - number_b;
        if (number_a && x.length != y.length) return x.length > y.length ? 1 : -1;
        size_t least = x.length < y.length ? x.length : y.length;
        int order = memcmp(x.data, y.data, least);
        if (order || x.length != y.length) return order ? order : by_number(x.length, y.length);
    }
}

int iw_version_compare(const iw_version *a, const iw_version *b)
{
    int order = by_number(a->epoch, b->epoch);
    if (!order) order = compare_release(a, b);
    if (!order) order = pre_rank(a) - pre_rank(b);
    if (!order && a->pre) order = by_number(a->pre_number, b->pre_number);
    if (!order) order = a->has_post - b->has_post;
    if (!order) order = by_number(a->post, b->post);
    if (!order) order = b->has_dev - a->has_dev;
    if (!order) order = by_number(a->dev, b->dev);
    return order ? order : compare_local(a->local, b->local);
}

bool iw_version_is_early(const iw_version *version)
{
    return version->pre || version->has_dev;
}

char *iw_version_text(const iw_version *v)
{
    iw_buffer text = {0};
    if (v->epoch) iw_buffer_add_format(&text, "%llu!", (unsigned long long)v->epoch);
    for (unsigned i = 0; i < v->parts; i++)
        iw_buffer_add_format(&text, "%s%llu", i ? "." : "", (unsigned long long)v->release[i]);
    if (v->pre)
        iw_buffer_add_format(&text, "%s%llu",
                             v->pre == 'a'   ? "a"
                             : v->pre == 'b' ? "b"
                                             : "rc",
                             (unsigned long long)v->pre_number);
    if (v->has_post) iw_buffer_add_format(&text, ".post%llu", (unsigned long long)v->post);
    if (v->has_dev) iw_buffer_add_format(&text, ".dev%llu", (unsigned long long)v->dev);
    if (v->local[0]) iw_buffer_add_format(&text, "+%s", v->local);
    return iw_buffer_take(&text);
}

int iw_version_compare_text(const char *a, const char *b)
{
    iw_version x, y;
    bool good_a = iw_version_parse(a, &x), good_b = iw_version_parse(b, &y);
    if (good_a && good_b) return iw_version_compare(&x, &y);
    return good_a != good_b ? good_a - good_b : strcmp(a, b);
}

/* --- conditions ----------------------------------------------------------- */

static iw_version without_local(const iw_version *version)
{
    iw_version plain = *version;
    plain.local[0] = '\0';
    return plain;
}

static bool same_base(const iw_version *a, const iw_version *b)
{
    return a->epoch == b->epoch && compare_release(a, b) == 0;
}

static bool has_prefix(const iw_version *version, const iw_version *prefix, unsigned parts)
{
    if (version->epoch != prefix->epoch) return false;
    for (unsigned i = 0; i < parts; i++)
        if (version->release[i] != prefix->release[i]) return false;
    return true;
}

static bool equals(const iw_version *version, const iw_version *wanted)
{
    iw_version plain = without_local(version);
    return iw_version_compare(wanted->local[0] ? version : &plain, wanted) == 0;
}

/* "1.0" isn't above 1.0.post1's like, nor below 1.0rc1's: the operators leave out what belongs to
 * the very release that they name. */
static bool above(const iw_version *version, const iw_version *wanted)
{
    iw_version plain = without_local(version);
    if (version->has_post && !wanted->has_post && same_base(version, wanted)) return false;
    return iw_version_compare(&plain, wanted) > 0;
}

static bool below(const iw_version *version, const iw_version *wanted)
{
    iw_version plain = without_local(version);
    if (iw_version_is_early(version) && !iw_version_is_early(wanted) && same_base(version, wanted))
        return false;
    return iw_version_compare(&plain, wanted) < 0;
}

static bool compatible(const iw_version *version, const iw_version *wanted, bool *valid)
{
    if (wanted->parts < 2) return *valid = false;
    iw_version plain = without_local(version);
    return iw_version_compare(&plain, wanted) >= 0 &&
           has_prefix(version, wanted, wanted->parts - 1);
}

static bool by_operator(const char *operator, const iw_version * version, const iw_version *wanted,
                        bool *valid)
{
    iw_version plain = without_local(version);
    if (strcmp(operator, "~=") == 0) return compatible(version, wanted, valid);
    if (strcmp(operator, "==") == 0) return equals(version, wanted);
    if (strcmp(operator, "!=") == 0) return !equals(version, wanted);
    if (strcmp(operator, "<=") == 0) return iw_version_compare(&plain, wanted) <= 0;
    if (strcmp(operator, ">=") == 0) return iw_version_compare(&plain, wanted) >= 0;
    return operator[0] == '<' ? below(version, wanted) : above(version, wanted);
}

static bool meets_text(const iw_version *version, const char *operator, char * text, bool *valid)
{
    iw_version wanted;
    if (strcmp(operator, "===") == 0) {
        iw_cleanup_free char *mine = iw_version_text(version);
        return strcasecmp(mine, text) == 0;
    }
    bool equality = strcmp(operator, "==") == 0, star = iw_ends_with(text, ".*");
    if (star) text[strlen(text) - 2] = '\0';
    equality = equality || strcmp(operator, "!=") == 0;
    *valid = iw_version_parse(text, &wanted) && (equality || !(star || wanted.local[0])) &&
             !(star && (iw_version_is_early(&wanted) || wanted.has_post || wanted.local[0]));
    if (!*valid) return false;
    if (star) return has_prefix(version, &wanted, wanted.parts) == (*operator== '=');
    return by_operator(operator, version, &wanted, valid);
}

static bool meets_one(const iw_version *version, iw_slice condition, bool *valid)
{
    static const char *const operators[] = {"===", "~=", "==", "!=", "<=", ">=", "<", ">", NULL};
    for (size_t i = 0; operators[i]; i++) {
        size_t length = strlen(operators[i]);
        if (condition.length <= length || memcmp(condition.data, operators[i], length) != 0)
            continue;
        iw_slice rest =
            iw_slice_trim((iw_slice){condition.data + length, condition.length - length});
        iw_cleanup_free char *text = iw_strndup(rest.data, rest.length);
        return meets_text(version, operators[i], text, valid);
    }
    return *valid = false;
}

bool iw_version_meets(const iw_version *version, const char *conditions, bool *valid)
{
    bool all = true, readable = true;
    iw_slice rest = iw_slice_of(conditions ? conditions : ""), part;
    while (iw_slice_next(&rest, ',', &part)) {
        iw_slice condition = iw_slice_trim(part);
        bool good = true;
        if (condition.length == 0) continue;
        all = meets_one(version, condition, &good) && all;
        readable = readable && good;
    }
    if (valid) *valid = readable;
    return all && readable;
}

const char *iw_version_newest(const iw_list *versions)
{
    const char *best = versions->count ? versions->items[0] : NULL;
    for (size_t i = 1; i < versions->count; i++) {
        bool label = strchr(versions->items[i], '+'), best_label = strchr(best, '+');
        if (label != best_label ? best_label
                                : iw_version_compare_text(versions->items[i], best) > 0)
            best = versions->items[i];
    }
    return best;
}
