#include "fetch/accept.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static bool names(const char *list, const char *licence)
{
    iw_slice rest = iw_slice_of(list ? list : ""), word;
    while (iw_slice_next(&rest, ',', &word))
        if (iw_slice_equal(iw_slice_trim(word), licence)) return true;
    return false;
}

int iw_check_accepted(const iw_wanted *wanted, const bool *missing, size_t count,
                      const iw_fetch_options *options, iw_error *err)
{
    const char *environment = getenv("IRONWHEEL_ACCEPT_LICENCE");
    for (size_t i = 0; i < count; i++) {
        const iw_recipe *recipe = wanted[i].recipe;
        const char *licence = recipe ? recipe->accept : NULL;
        if (!missing[i] || !licence || names(options->accepted, licence) ||
            names(environment, licence))
            continue;
        return iw_fail(err, IW_E_USAGE,
                       "%s/%s is fetched only once you accepted its licence, \"%s\"%s%s: read it, "
                       "and say --accept-licence %s (or IRONWHEEL_ACCEPT_LICENCE=%s)",
                       recipe->name, recipe->version, licence, recipe->homepage ? ", " : "",
                       recipe->homepage ? recipe->homepage : "", licence, licence);
    }
    return 0;
}
