#include "store/archive_name.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* Length of the UTF-8 sequence at `at`, or 0 where there is none (overlong forms and surrogates are
 * none). */
static size_t sequence(const unsigned char *at)
{
    if (at[0] < 0x80) return 1;
    size_t length = at[0] >= 0xc2 && at[0] < 0xe0   ? 2
                    : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                    : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                    : 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    if (at[0] == 0xe0 && at[1] < 0xa0) return 0;
    if (at[0] == 0xed && at[1] > 0x9f) return 0;
    if (at[0] == 0xf0 && at[1] < 0x90) return 0;
    if (at[0] == 0xf4 && at[1] > 0x8f) return 0;
    return length;
}

bool iw_name_is_utf8(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t length = sequence(at);
        if (!length) return false;
        at += length;
    }
    return true;
}

/* Control characters of ASCII and, where it is a sequence of UTF-8, those from U+0080 to U+009F,
 * which terminals obey too. */
static bool is_control(const unsigned char *at, size_t length)
{
    return at[0] < 0x20 || at[0] == 0x7f || (length == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

static bool has_control(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t length = sequence(at);
        if (is_control(at, length)) return true;
        at += length ? length : 1;
    }
    return false;
}

char *iw_name_quote(const char *name)
{
    iw_buffer out = {0};
    iw_buffer_add_char(&out, '"');
    const unsigned char *at = (const unsigned char *)name;
    while (*at && out.length < 200) {
        size_t length = sequence(at);
        if (length && !is_control(at, length)) {
            iw_buffer_add(&out, at, length);
            at += length;
        } else {
            iw_buffer_add_format(&out, "\\x%02x", *at++);
        }
    }
    iw_buffer_add_text(&out, *at ? "…\"" : "\"");
    return iw_buffer_take(&out);
}

static bool is_dots(iw_slice part, size_t count)
{
    return part.length == count && memcmp(part.data, "..", count) == 0;
}

const char *iw_name_admit(const char *name, unsigned strip, char **out)
{
    *out = NULL;
    if (!*name) return "is empty";
    if (*name == '/') return "is absolute";
    if (strlen(name) > IW_PATH_LIMIT) return "is too long";
    if (has_control(name)) return "holds a control character";
    iw_cleanup_buffer iw_buffer clean = {0};
    iw_slice rest = iw_slice_of(name), part;
    unsigned depth = 0;
    while (iw_slice_next(&rest, '/', &part)) {
        if (part.length == 0 || is_dots(part, 1)) continue;
        if (is_dots(part, 2)) return "leads out with `..`";
        if (part.length > IW_NAME_LIMIT) return "has a part that is too long";
        if (++depth > IW_DEPTH_LIMIT) return "is nested too deeply";
        if (depth <= strip) continue;
        if (clean.length) iw_buffer_add_char(&clean, '/');
        iw_buffer_add(&clean, part.data, part.length);
    }
    if (clean.length) *out = iw_buffer_take(&clean);
    return NULL;
}

const char *iw_name_admit_link(const char *path, const char *target, bool root_links, bool *look)
{
    *look = false;
    if (!*target) return "is a link to nothing";
    if (strlen(target) > IW_PATH_LIMIT) return "is a link with a target that is too long";
    if (has_control(target)) return "is a link whose target holds a control character";
    if (root_links) return NULL;
    if (*target == '/') return "is a link to an absolute path";
    long depth = 0;
    for (const char *at = path; *at; at++) depth += *at == '/';
    bool named = false;
    iw_slice rest = iw_slice_of(target), part;
    while (iw_slice_next(&rest, '/', &part)) {
        if (part.length == 0 || is_dots(part, 1)) continue;
        if (!is_dots(part, 2)) {
            if (part.length > IW_NAME_LIMIT)
                return "is a link whose target has a part that is too long";
            named = true;
            depth++;
            continue;
        }
        if (--depth < 0) return "is a link that leads out of the folder";
        if (named) *look = true;
    }
    return NULL;
}
