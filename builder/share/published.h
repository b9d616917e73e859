/* A wheel that others published, for the index of `push --wheels --with-upstream`. */
#ifndef IW_SHARE_PUBLISHED_H
#define IW_SHARE_PUBLISHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct iw_published { /* borrowed */
    const char *project;      /* normalised */
    const char *file, *url, *sha256;
    const char *requires_python; /* or NULL */
    uint64_t size;
    bool dies; /* it was seen to: it must not be listed */
} iw_published;

typedef struct iw_published_list {
    const iw_published *items; /* sorted by project */
    size_t count;
} iw_published_list;

#endif
