/* Names of files on package indexes. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "fetch/fetch.h"
#include "recipe/version.h"

static const char *const sdist_endings[] = {".tar.gz", ".tar.xz", ".tar.bz2", ".zip", NULL};

static bool is_project(const char *project, const char *text, size_t length)
{
    iw_cleanup_free char *wanted = iw_project_name(project), *part = iw_strndup(text, length),
                         *name = iw_project_name(part);
    return strcmp(wanted, name) == 0;
}

/* "NAME-VERSION" of an sdist: the name may hold hyphens, and so may old versions. */
static char *after_project(const char *project, const char *text, size_t length)
{
    for (size_t i = 1; i + 1 < length; i++) {
        iw_version version;
        if (text[i] != '-' || !is_project(project, text, i)) continue;
        iw_cleanup_free char *rest = iw_strndup(text + i + 1, length - i - 1);
        if (iw_version_parse(rest, &version)) return iw_steal(&rest);
    }
    return NULL;
}

char *iw_file_version(const char *project, const char *file)
{
    size_t length = strlen(file);
    if (iw_ends_with(file, ".whl")) {
        size_t name = strcspn(file, "-");
        if (!file[name] || !is_project(project, file, name)) return NULL;
        return iw_strndup(file + name + 1, strcspn(file + name + 1, "-"));
    }
    for (size_t i = 0; sdist_endings[i]; i++)
        if (iw_ends_with(file, sdist_endings[i]))
            return after_project(project, file, length - strlen(sdist_endings[i]));
    return NULL;
}
