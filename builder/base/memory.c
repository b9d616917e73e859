#include "base/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "ironwheel: out of memory (%zu bytes wanted)\n", size);
    abort();
}

void *iw_alloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory) out_of_memory(size);
    return memory;
}

void *iw_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory) out_of_memory(size);
    return memory;
}

char *iw_strdup(const char *text)
{
    return text ? iw_strndup(text, strlen(text)) : NULL;
}

char *iw_strndup(const char *text, size_t length)
{
    char *copy = iw_alloc(length + 1);
    if (length) memcpy(copy, text, length); /* an empty slice may have no data */
    return copy;
}

char *iw_vformat(const char *format, va_list arguments)
{
    char *text;
    if (vasprintf(&text, format, arguments) < 0) out_of_memory(0);
    return text;
}

char *iw_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = iw_vformat(format, arguments);
    va_end(arguments);
    return text;
}

int iw_alloc_bounded(void **out, size_t count, size_t size, size_t limit, const char *what,
                     iw_error *err)
{
    size_t total;
    *out = NULL;
    if (__builtin_mul_overflow(count, size, &total) || total > limit)
        return iw_fail(err, IW_E_MEMORY, "%s wants %zu times %zu bytes; at most %zu are allowed",
                       what, count, size, limit);
    *out = iw_fault(IW_FAULT_ALLOC) ? NULL : calloc(1, total ? total : 1);
    return *out ? 0 : iw_fail(err, IW_E_MEMORY, "no memory for %s (%zu bytes)", what, total);
}

void iw_grow(void **array, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) return;
    size_t more = *capacity < 8 ? 8 : *capacity, total;
    while (more < needed)
        if (__builtin_mul_overflow(more, 2, &more)) out_of_memory(needed);
    if (__builtin_mul_overflow(more, size, &total)) out_of_memory(needed);
    void *old; /* copied out and in: the caller's pointer is of another type */
    memcpy(&old, (const void *)array, sizeof old);
    old = iw_realloc(old, total);
    memcpy((void *)array, &old, sizeof old);
    *capacity = more;
}

void iw_free_pointer(void *address_of_pointer)
{
    void *pointer;
    memcpy(&pointer, address_of_pointer, sizeof pointer);
    free(pointer);
}

void iw_close_fd(int *fd)
{
    int saved = errno;
    if (*fd >= 0) close(*fd);
    *fd = -1;
    errno = saved;
}
