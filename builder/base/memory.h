/* Allocation: small requests abort when memory is out; sizes read from files go through the bounded
 * ones. Clean-up attributes. */
#ifndef IW_BASE_MEMORY_H
#define IW_BASE_MEMORY_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/error.h"

/* Never NULL: prints one line and aborts when memory is out. Caller frees with free(). */
void *iw_alloc(size_t size);              /* zeroed */
void *iw_realloc(void *old, size_t size); /* new part not zeroed */
char *iw_strdup(const char *text);        /* NULL gives NULL */
char *iw_strndup(const char *text, size_t length);
char *iw_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *iw_vformat(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* count * size bytes, zeroed, refused (IW_E_MEMORY, naming `what`) on overflow, over `limit` bytes,
 * or when memory is out. */
int iw_alloc_bounded(void **out, size_t count, size_t size, size_t limit, const char *what,
                     iw_error *err);

/* Grows `*array` (of `*capacity` elements of `size` bytes) so that `needed` elements fit; doubles;
 * aborts on overflow. */
void iw_grow(void **array, size_t *capacity, size_t needed, size_t size);

/* Locals: `iw_cleanup_free char *p = …;` and `return iw_steal(&p);` */
void iw_free_pointer(void *address_of_pointer);
#define iw_cleanup_free __attribute__((cleanup(iw_free_pointer)))
#define iw_steal(address)                                                                          \
    __extension__({                                                                                \
        __typeof__(*(address)) iw_stolen_ = *(address);                                            \
        *(address) = 0;                                                                            \
        iw_stolen_;                                                                                \
    })

/* `iw_cleanup_fd int fd = -1;` closes on leaving the scope, where >= 0; errno is kept. */
void iw_close_fd(int *fd);
#define iw_cleanup_fd __attribute__((cleanup(iw_close_fd)))
static inline int iw_steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

#endif
