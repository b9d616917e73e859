/* The recipe reader on any bytes: as each kind of file, without its neighbours. The first byte
 * chooses the kind. What is taken is read again by the tables' other users. */
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"recipe", "stack", "profile", "toolchain"};
    iw_error err = IW_ERROR_INIT;
    if (size == 0) return 0;
    /* a letter in front, so that a corpus file stays text: r, s, p or t; anything else is a recipe
     * with that byte */
    const char *letter = strchr("rspt", data[0] ? data[0] : 'x');
    size_t kind = letter ? (size_t)(letter - strchr("rspt", 'r')) : 0;
    size_t skip = letter && size > 1 && data[1] == '\n' ? 2 : 0;
    if (skip == 0) kind = 0;
    /* exactly as long as it is, so that a read past the end is seen */
    char *copy = iw_alloc(size - skip ? size - skip : 1);
    memcpy(copy, data + skip, size - skip);
    if (iw_recipe_check_text(kinds[kind], "fuzz.yaml", copy, size - skip, &err)) {
        if (strncmp(iw_error_text(&err), "fuzz.yaml", 9) != 0)
            __builtin_trap(); /* a message without a place */
        for (const char *at = iw_error_text(&err); *at; at++)
            if ((unsigned char)*at < 0x20 || *at == 0x7F)
                __builtin_trap(); /* a message that could steer a terminal */
    }
    iw_error_clear(&err);
    free(copy);
    return 0;
}
