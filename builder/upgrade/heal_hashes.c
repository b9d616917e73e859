#include "upgrade/heal_hashes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/version.h"

static iw_hashes one_line(const iw_want *want, const char *version, const char *sha256)
{
    if (want->pinned && iw_version_compare_text(want->pinned, version) != 0) return IW_HASHES_OTHER;
    iw_cleanup_free char *hash = iw_format("sha256:%s", sha256 ? sha256 : "");
    return iw_strings_has(&want->hashes, hash) ? IW_HASHES_KEPT : IW_HASHES_REFUSED;
}

/* The gravest counts: a refusal before another version, and that before a digest that is there. */
static int weight(iw_hashes what)
{
    return what == IW_HASHES_REFUSED ? 3 : what == IW_HASHES_OTHER ? 2 : what == IW_HASHES_KEPT;
}

iw_hashes iw_hashes_hold(const iw_requirements *all, const char *name, const char *version,
                         const char *sha256, char **place)
{
    iw_hashes worst = IW_HASHES_NONE;
    *place = NULL;
    for (size_t i = 0; i < all->count + all->constraint_count; i++) {
        const iw_want *want = i < all->count ? &all->items[i] : &all->constraints[i - all->count];
        if (!want->hashes.count || strcmp(want->name, name) != 0) continue;
        iw_hashes what = one_line(want, version, sha256);
        if (weight(what) <= weight(worst)) continue;
        worst = what;
        free(*place);
        *place = iw_origin_text(&want->origin);
    }
    return worst;
}
