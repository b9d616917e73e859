/* One YAML file as a tree of nodes that know where they stand. Strict: one document, no anchors,
 * aliases, tags or directives, a key once, scalars as keys; UTF-8; bounded in size, depth and
 * count. Nodes live in the arena that was given. Internal to `recipe`. */
#ifndef IW_RECIPE_DOCUMENT_H
#define IW_RECIPE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "recipe/recipe.h"

#define IW_DOCUMENT_MAX_BYTES ((size_t)1 << 20)
#define IW_DOCUMENT_MAX_DEPTH 12
#define IW_DOCUMENT_MAX_NODES 60000
#define IW_DOCUMENT_MAX_ENTRIES 1000 /* keys of one mapping */

typedef enum iw_yaml_kind { IW_YAML_SCALAR, IW_YAML_LIST, IW_YAML_MAPPING } iw_yaml_kind;

typedef struct iw_yaml {
    iw_yaml_kind kind;
    iw_place place;
    const char *text;      /* scalar: its text, never with a NUL inside */
    bool plain;            /* scalar: without quotes, and no block */
    struct iw_yaml *first; /* list: items; mapping: keys (scalars), each with `value` */
    struct iw_yaml *next;
    struct iw_yaml *value; /* of a key */
    size_t count;          /* items or keys */
} iw_yaml;

/* Parses `length` bytes. `file` (for places) is borrowed for the arena's life. The root is a
 * mapping. */
int iw_document_parse(iw_arena *arena, const char *file, const char *data, size_t length,
                      iw_yaml **out, iw_error *err);

/* The value of a key, or NULL. */
const iw_yaml *iw_yaml_find(const iw_yaml *mapping, const char *key);

/* IW_E_RECIPE with "file:line:column: " before the message. Returns -1. */
int iw_fail_at(iw_error *err, const iw_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Text of a file as it may stand in a message: its first line, short, without control characters;
 * caller frees. */
char *iw_shown(const char *text);

#endif
