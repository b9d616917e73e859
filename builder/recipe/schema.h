/* The machinery of the format: tables of keys (keys.c) drive reading, hints, defaults, the meaning,
 * the JSON Schemas and the reference in docs/recipes.md. Internal to `recipe`. */
#ifndef IW_RECIPE_SCHEMA_H
#define IW_RECIPE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "recipe/document.h"
#include "recipe/recipe.h"

/* What a scalar may say. */
typedef enum iw_text_type {
    IW_T_TEXT, /* one line, not empty */
    IW_T_LINES,
    IW_T_NAME,
    IW_T_VERSION,
    IW_T_DEBIAN_VERSION,
    IW_T_LIKE,
    IW_T_NEED,
    IW_T_PROJECT,
    IW_T_FILE_NAME,
    IW_T_PATH,
    IW_T_FOLDER,
    IW_T_GLOB,
    IW_T_URL,
    IW_T_GIT_URL,
    IW_T_SHA256,
    IW_T_COMMIT,
    IW_T_LICENCE,
    IW_T_MODULE,
    IW_T_FEATURE,
    IW_T_NAMED_FEATURE,
    IW_T_RANGE,
    IW_T_ENVIRONMENT,
    IW_T_WORD,
    IW_T_MOMENT, /* as Debian's snapshot archive names one: 20261123T083542Z */
    IW_T_COUNT
} iw_text_type;

typedef struct iw_text_rule {
    const char *what;    /* "64 lower-case hexadecimal digits" */
    const char *pattern; /* for the JSON Schema (ECMA), or NULL */
    bool (*fits)(const char *text);
    size_t limit; /* bytes */
    bool numeric; /* a YAML reader of types may see a number or a boolean here */
} iw_text_rule;

const iw_text_rule *iw_text_rule_of(iw_text_type type);

/* How a key's value is written, and the C type that it is read into (in brackets). */
typedef enum iw_form {
    IW_F_TEXT,     /* a scalar (const char *) */
    IW_F_BOOLEAN,  /* true or false (bool) */
    IW_F_UNSIGNED, /* (unsigned) */
    IW_F_SIZE,     /* (uint64_t) */
    IW_F_NUMBER,   /* (double) */
    IW_F_CHOICE,   /* one of `choices` (int: its index) */
    IW_F_SWITCH,   /* one of two `choices` (bool: whether it is the second) */
    IW_F_LIST,     /* list of scalars (iw_list) */
    IW_F_PAIRS,    /* NAME: text (const iw_variable *, size_t) */
    IW_F_PINS,     /* name: version (const iw_pin *, size_t) */
    IW_F_NEEDS,    /* list of names (iw_needs) */
    IW_F_MAPPING,  /* keys of `shapes[0]`, into the same struct at `offset` */
    IW_F_MAPPINGS  /* list of mappings, each of one of `shapes` (const T *, size_t) */
} iw_form;

enum {
    IW_K_REQUIRED = 1,
    IW_K_BUILT = 2,  /* can change the built result: belongs to the meaning */
    IW_K_SET = 4,    /* the order of a list doesn't matter */
    IW_K_UNIQUE = 8, /* a list names nothing twice */
    IW_K_OR_TEXT =
        16,        /* an item may be a path alone, which is put at `text_offset` of the struct */
    IW_K_BODY = 32 /* required, but `like` may give it */
};

struct iw_shape;

typedef struct iw_key {
    const char *name;
    iw_form form;
    iw_text_type type; /* of the scalars */
    unsigned flags;
    size_t offset, count_offset; /* the latter for PAIRS, PINS and MAPPINGS */
    const struct iw_shape *shapes;
    size_t shape_count;
    const char *const *choices; /* NULL-terminated */
    uint64_t minimum, maximum;
    const char *value;    /* default where the key is missing, as text; NULL: zero, or computed */
    const char *doc;      /* one line of Markdown; says a computed default */
    const char *mistaken; /* words that people write for it, separated by spaces, or NULL */
    size_t text_offset;   /* see IW_K_OR_TEXT */
} iw_key;

#define IW_NONE ((size_t)-1)

typedef struct iw_shape {
    const char *name;  /* path for docs and the schema: "recipe", "sources: pypi" */
    const char *label; /* for messages: "a recipe", "a `pypi` source" */
    const iw_key *keys;
    size_t key_count;
    size_t size;         /* of the struct */
    size_t place_offset; /* of its iw_place, or IW_NONE */
    size_t kind_offset;  /* of an int that gets `kind`, or IW_NONE */
    int kind;
    const char *meaning; /* word for the kind in the meaning, or NULL */
} iw_shape;

/* The kinds of file. `iw_shape_recipe` fills an iw_recipe_draft (keys.h). */
extern const iw_shape iw_shape_recipe, iw_shape_stack, iw_shape_profile, iw_shape_toolchain;

/* How a key's value is written, in words: "a list of names"; borrowed, static. */
const char *iw_form_text(const iw_key *key);

/* Reads a mapping into `*into` (of shape->size bytes, zeroed by the caller), strictly, with
 * defaults. Text is borrowed from the nodes. */
int iw_shape_read(iw_arena *arena, const iw_shape *shape, const iw_yaml *mapping, void *into,
                  iw_error *err);

/* Only that every key is known. */
int iw_shape_check_keys(const iw_shape *shape, const iw_yaml *mapping, iw_error *err);

/* Adds the lines of everything marked IW_K_BUILT: "<prefix><key> <value>\n", in the table's order;
 * texts are quoted. */
void iw_shape_meaning(iw_buffer *out, const char *prefix, const iw_shape *shape, const void *from);
void iw_meaning_text(iw_buffer *out, const char *prefix, const char *key,
                     const char *text); /* NULL adds nothing */

/* The JSON Schema (draft 2020-12) of a file, indented; caller frees. */
char *iw_shape_json_schema(const iw_shape *shape);
/* The reference of a shape and of those below it, as Markdown; caller frees. */
char *iw_shape_markdown(const iw_shape *shape);

/* Visits the shape and all shapes below it, once each, parents first. */
void iw_shape_each(const iw_shape *shape, void (*visit)(void *context, const iw_shape *shape),
                   void *context);

#endif
