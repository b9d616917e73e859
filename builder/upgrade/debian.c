#include "upgrade/debian.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

char *iw_debian_upstream(const char *version)
{
    static const char *const marks[] = {"+ds",   "~ds",   ".ds",     "+dfsg",
                                        "~dfsg", ".dfsg", "+repack", NULL};
    const char *colon = strchr(version, ':'), *start = colon ? colon + 1 : version,
               *dash = strrchr(start, '-');
    iw_cleanup_free char *upstream =
        iw_strndup(start, dash ? (size_t)(dash - start) : strlen(start));
    const char *really = strstr(upstream, "really");
    char *plain = iw_strdup(really ? really + strlen("really") : upstream);
    for (size_t i = 0; marks[i]; i++) {
        char *mark = strstr(plain, marks[i]);
        if (mark) *mark = '\0';
    }
    return plain;
}

/* Of several of Debian's versions of one upstream release the newest. */
static bool is_newest(const iw_debian_releases *releases, const iw_debian_release *one,
                      const char *upstream)
{
    for (size_t i = 0; i < releases->count; i++) {
        const iw_debian_release *other = &releases->items[i];
        if (strcmp(other->package, one->package) != 0) continue;
        iw_cleanup_free char *same = iw_debian_upstream(other->version);
        if (strcmp(same, upstream) == 0 && iw_debian_compare_text(other->version, one->version) > 0)
            return false;
    }
    return true;
}

static char *reason_for(const iw_debian_release *one, const iw_source *source, const char *upstream,
                        const iw_candidate_rules *rules)
{
    if (strchr(upstream, '~') && !rules->early && !rules->only) return iw_strdup("a pre-release");
    if (iw_debian_counterpart(one, source->file) < 0)
        return iw_format("Debian's %s has no file like %s", one->version, source->file);
    return NULL;
}

int iw_candidates_debian(const iw_source *source, const char *recipe_version,
                         const iw_debian_releases *releases, const iw_candidate_rules *rules,
                         iw_candidates *out, iw_error *err)
{
    iw_cleanup_free char *now = iw_debian_upstream(source->version);
    *out = (iw_candidates){0};
    if (strcmp(now, recipe_version) != 0)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "the recipe is called %s, Debian's version of its first source %s: which "
                       "one is newer can't be told",
                       recipe_version, source->version);
    for (size_t i = 0; i < releases->count; i++) {
        const iw_debian_release *one = &releases->items[i];
        if (strcmp(one->package, source->name) != 0) continue;
        iw_cleanup_free char *upstream = iw_debian_upstream(one->version);
        if (!is_newest(releases, one, upstream)) continue;
        iw_cleanup_free char *passed = reason_for(one, source, upstream, rules);
        iw_candidates_add(out, &(iw_candidate){.version = upstream,
                                               .passed = passed,
                                               .url = one->version,
                                               .uploaded = -1});
    }
    iw_candidates_sort(out);
    return 0;
}

/* ".orig.tar.xz" of "x_1.0.orig.tar.xz", ".debian.tar.xz" of "x_1.0-1.debian.tar.xz"; without the
 * compression. */
static char *kind_of(const char *file)
{
    static const char *const kinds[] = {".orig-", ".orig.", ".debian.", ".diff.", NULL};
    for (size_t i = 0; kinds[i]; i++) {
        const char *found = strstr(file, kinds[i]);
        const char *end = found ? strstr(found, ".tar") : NULL;
        if (found) return iw_strndup(found, end ? (size_t)(end - found) : strlen(found));
    }
    return iw_ends_with(file, ".dsc") || iw_ends_with(file, ".asc") ? NULL : iw_strdup("native");
}

int iw_debian_counterpart(const iw_debian_release *release, const char *old_file)
{
    iw_cleanup_free char *wanted = kind_of(old_file);
    for (size_t i = 0; wanted && i < release->files.count; i++) {
        const char *file = release->files.items[i];
        iw_cleanup_free char *kind = kind_of(file);
        if (kind && strcmp(kind, wanted) == 0 && !iw_ends_with(file, ".asc")) return (int)i;
    }
    return -1;
}
