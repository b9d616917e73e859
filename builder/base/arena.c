#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#define BLOCK 65536

struct block {
    struct block *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

struct iw_arena {
    struct block *first;
};

iw_arena *iw_arena_new(void)
{
    return iw_alloc(sizeof(iw_arena));
}

void iw_arena_free(iw_arena *arena)
{
    if (!arena) return;
    for (struct block *block = arena->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(arena);
}

void *iw_arena_alloc(iw_arena *arena, size_t size)
{
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (rounded < size) rounded = SIZE_MAX; /* iw_alloc aborts */
    struct block *block = arena->first;
    if (!block || block->size - block->used < rounded) {
        size_t data = rounded > BLOCK ? rounded : BLOCK, total;
        if (__builtin_add_overflow(data, sizeof *block, &total)) total = SIZE_MAX;
        block = iw_alloc(total);
        block->size = data;
        block->next = arena->first;
        arena->first = block;
    }
    void *memory = block->data + block->used;
    block->used += rounded;
    return memory;
}

char *iw_arena_strndup(iw_arena *arena, const char *text, size_t length)
{
    char *copy = iw_arena_alloc(arena, length + 1);
    if (length) memcpy(copy, text, length);
    return copy;
}

char *iw_arena_strdup(iw_arena *arena, const char *text)
{
    return text ? iw_arena_strndup(arena, text, strlen(text)) : NULL;
}

char *iw_arena_format(iw_arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = iw_vformat(format, arguments);
    va_end(arguments);
    char *copy = iw_arena_strdup(arena, text);
    free(text);
    return copy;
}
