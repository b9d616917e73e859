#include "base/path.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

char *iw_path_join(const char *folder, const char *name)
{
    if (name[0] == '/' || !*folder) return iw_strdup(name);
    if (!*name) return iw_strdup(folder);
    return iw_format(iw_ends_with(folder, "/") ? "%s%s" : "%s/%s", folder, name);
}

char *iw_path_join3(const char *folder, const char *a, const char *b)
{
    char *first = iw_path_join(folder, a);
    char *whole = iw_path_join(first, b);
    free(first);
    return whole;
}

char *iw_path_parent(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    return length ? iw_strndup(path, length) : iw_strdup(".");
}

const char *iw_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *iw_path_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return length && strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length + 1
                                                                               : path;
}

char *iw_path_clean(const char *path)
{
    bool absolute = path[0] == '/';
    iw_buffer out = {0};
    size_t depth = 0; /* components in `out` that `..` may take away */
    iw_slice rest = iw_slice_of(path), part;
    while (iw_slice_next(&rest, '/', &part)) {
        if (part.length == 0 || iw_slice_equal(part, ".")) continue;
        if (iw_slice_equal(part, "..")) {
            if (depth) {
                while (out.length && out.data[out.length - 1] != '/') out.length--;
                if (out.length) out.length--;
                out.data[out.length] = 0;
                depth--;
                continue;
            }
            if (absolute) continue;
        } else {
            depth++;
        }
        if (out.length) iw_buffer_add_char(&out, '/');
        iw_buffer_add(&out, part.data, part.length);
    }
    char *text = iw_buffer_take(&out);
    if (absolute) {
        char *whole = iw_format("/%s", text);
        free(text);
        return whole;
    }
    if (*text) return text;
    free(text);
    return iw_strdup(".");
}

bool iw_path_is_inside(const char *path)
{
    if (!*path || path[0] == '/') return false;
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) return false;
    iw_slice rest = iw_slice_of(path), part;
    while (iw_slice_next(&rest, '/', &part))
        if (iw_slice_equal(part, "..")) return false;
    return true;
}
