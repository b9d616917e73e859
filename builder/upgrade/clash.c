#include "upgrade/clash.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/version.h"

void iw_clash_clear(iw_clash *clash)
{
    free(clash->asks);
    iw_requirement_clear(&clash->need);
}

bool iw_clash_read(iw_slice line, const char *python, iw_clash *out)
{
    static const char *const says[][2] = {{" has requirement ", ", but you have "},
                                          {" requires ", ", which is not installed."}};
    iw_slice trimmed = iw_slice_trim(line);
    iw_cleanup_free char *text = iw_strndup(trimmed.data, trimmed.length);
    for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
        char *middle = strstr(text, says[i][0]), *end = middle ? strstr(middle, says[i][1]) : NULL;
        if (!end) continue;
        *end = '\0';
        *out = (iw_clash){0};
        iw_cleanup_free char *asks = iw_strndup(text, strcspn(text, " "));
        if (iw_requirement_parse(middle + strlen(says[i][0]), python, &out->need)) {
            out->asks = iw_project_name(asks);
            return true;
        }
        iw_requirement_clear(&out->need);
    }
    return false;
}
