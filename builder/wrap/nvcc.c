#include "wrap/nvcc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "wrap/entry.h"

char *iw_nvcc_find(const char *called)
{
    if (strchr(called, '/')) return iw_format("%s.real", called);
    const char *paths = getenv("PATH");
    iw_slice rest = iw_slice_of(paths ? paths : ""), part;
    while (iw_slice_next(&rest, ':', &part)) {
        char *path = iw_format("%.*s/%s.real", (int)part.length, part.data, called);
        if (access(path, X_OK) == 0) return path;
        free(path);
    }
    return NULL;
}

char *iw_nvcc_identity(const char *path)
{
    /* libdevice and the compiler's headers come with these, in one package. */
    static const char *const parts[] = {"nvcc.real", "nvcc.profile",     "cudafe++", "fatbinary",
                                        "ptxas",     "../nvvm/bin/cicc", NULL};
    static const char *const variables[] = {"NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS", "NVCC_CCBIN",
                                            NULL};
    iw_cleanup_free char *folder = iw_path_parent(path);
    iw_buffer text = {0};
    iw_buffer_add_text(&text, "nvcc");
    for (size_t i = 0; parts[i]; i++) {
        iw_cleanup_free char *part = iw_path_join(folder, parts[i]);
        char hex[65];
        if (!iw_entry_hash_file(part, hex)) return iw_buffer_free(&text), NULL;
        iw_buffer_add_format(&text, " %s", hex);
    }
    for (size_t i = 0; variables[i]; i++) {
        const char *value = getenv(variables[i]);
        iw_buffer_add_format(&text, " %s=%s", variables[i], value ? value : "");
    }
    return iw_buffer_take(&text);
}
