#include "deliver/floor.h"

#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pack/pack.h"

char *iw_floor_warning(const iw_stack *stack, const char *host)
{
    if (!host) host = gnu_get_libc_version();
    if (!stack->glibc || strverscmp(host, stack->glibc) >= 0) return NULL;
    return iw_format("%s will need glibc %s; this host has %s: it is for other rigs", stack->name,
                     stack->glibc, host);
}

int iw_floor_verify(const iw_stack *stack, const char *environment, iw_error *err)
{
    iw_floor floor = {0};
    if (!stack->glibc) return 0;
    if (iw_glibc_floor(environment, &floor, err) != 0) return -1;
    floor.symbols[strcspn(floor.symbols, "\n")] = '\0'; /* the first of them says enough */
    int status =
        strverscmp(floor.version, stack->glibc) <= 0
            ? 0
            : iw_fail(err, IW_E_CHECK,
                      "%s says that glibc %s is enough; the bundle needs %s (%s). Write \"glibc: "
                      "%s\" there if that is right; nothing is built anew for it",
                      stack->path, stack->glibc, floor.version, floor.symbols, floor.version);
    free(floor.symbols);
    return status;
}
