/* One YAML file as a tree of nodes that know where they stand. Strict: one document, no anchors, aliases, tags or directives, a key once,
 * scalars as keys; UTF-8; bounded in size, depth and count. Nodes live in the arena that was given. Internal to `recipe`. */
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

typedef enum iw_node_kind { IW_NODE_SCALAR, IW_NODE_LIST, IW_NODE_MAPPING } iw_node_kind;

typedef struct iw_node {
    iw_node_kind kind;
    iw_place place;
    const char *text;      /* scalar: its text, never with a NUL inside */
    bool plain;            /* scalar: without quotes, and no block */
    struct iw_node *first; /* list: items; mapping: keys (scalars), each with `value` */
    struct iw_node *next;
    struct iw_node *value; /* of a key */
    size_t count;          /* items or keys */
} iw_node;

/* Parses `length` bytes. `file` (for places) is borrowed for the arena's life. The root is a mapping. */
int iw_document_parse(iw_arena *arena, const char *file, const char *data, size_t length, iw_node **out, iw_error *err);

/* The value of a key, or NULL. */
const iw_node *iw_node_find(const iw_node *mapping, const char *key);

/* IW_E_RECIPE with "file:line:column: " before the message. Returns -1. */
int iw_fail_at(iw_error *err, const iw_place *place, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Text of a file as it may stand in a message: its first line, short, without control characters; caller frees. */
char *iw_shown(const char *text);

#endif
