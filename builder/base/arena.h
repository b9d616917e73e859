/* An arena: many small allocations, freed whole. Recipes and plans live in one. */
#ifndef IW_BASE_ARENA_H
#define IW_BASE_ARENA_H

#include <stddef.h>

typedef struct iw_arena iw_arena;

iw_arena *iw_arena_new(void);
void iw_arena_free(iw_arena *arena); /* NULL is legal */
void *iw_arena_alloc(iw_arena *arena,
                     size_t size); /* zeroed, aligned for any type; aborts when memory is out */
char *iw_arena_strdup(iw_arena *arena, const char *text); /* NULL gives NULL */
char *iw_arena_strndup(iw_arena *arena, const char *text, size_t length);
char *iw_arena_format(iw_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
