#include "fetch/pinned.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

#define COLUMNS 6 /* name version from project file sha256 */
#define FILE_LIMIT (1u << 16)

static const iw_recipe host_recipe = {.name = "this host", .version = "1"}; /* for messages */

static bool add_row(iw_pinned *out, char *line)
{
    char *words[COLUMNS], *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (count == COLUMNS) return false;
        words[count++] = word;
    }
    if (count == 0) return true;
    if (count != COLUMNS || out->count == IW_PINNED_LIMIT || !iw_is_sha256(words[5])) return false;
    bool pypi = strcmp(words[2], "pypi") == 0;
    if (!pypi && strcmp(words[2], "debian") != 0) return false;
    out->names[out->count] = words[0];
    out->sources[out->count++] = (iw_source){.kind = pypi ? IW_SOURCE_PYPI : IW_SOURCE_DEBIAN,
                                             .place = {.file = "hosts/sources.txt"},
                                             .id = words[0],
                                             .name = words[3],
                                             .version = words[1],
                                             .file = words[4],
                                             .sha256 = words[5]};
    return true;
}

int iw_pinned_read(const char *root, iw_pinned *out, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(root, "hosts/sources.txt");
    *out = (iw_pinned){0};
    if (!iw_exists(path)) return 0;
    if (iw_read_file(path, FILE_LIMIT, &out->text, NULL, err) != 0) return -1;
    char *rest = NULL;
    for (char *line = strtok_r(out->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '#' || add_row(out, line)) continue;
        iw_pinned_clear(out);
        return iw_fail(err, IW_E_FORMAT,
                       "%s: each row holds a name, a version, pypi or debian, a project, a file "
                       "and a SHA-256",
                       path);
    }
    return 0;
}

void iw_pinned_clear(iw_pinned *pinned)
{
    free(pinned->text);
    *pinned = (iw_pinned){0};
}

static bool is_here(iw_store *store, const iw_source *source)
{
    bool has = false;
    return iw_store_has_source(store, source->sha256, &has, NULL) == 0 && has;
}

size_t iw_pinned_wanted(iw_store *store, const iw_pinned *pinned, iw_wanted *wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < pinned->count; i++) {
        size_t known = 0;
        while (known < count && strcmp(wanted[known].source->id, pinned->names[i]) != 0) known++;
        if (known < count &&
            (is_here(store, wanted[known].source) || !is_here(store, &pinned->sources[i])))
            continue;
        wanted[known] = (iw_wanted){.recipe = &host_recipe, .source = &pinned->sources[i]};
        if (known == count) count++;
    }
    return count;
}
