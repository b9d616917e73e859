#include "recipe/schema.h"

#include <string.h>

#include "base/memory.h"
#include "recipe/features.h"

typedef struct iw_reader {
    iw_arena *arena;
    iw_error *err;
} iw_reader;

static const char *describe(const iw_node *node)
{
    if (node->kind == IW_NODE_LIST)
        return "a list";
    if (node->kind == IW_NODE_MAPPING)
        return "keys with values";
    return node->plain && !*node->text ? "nothing" : "text";
}

static int fail_kind(iw_reader *reader, const iw_key *key, const iw_node *node, const char *expected)
{
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s; here is %s", key->name, expected, describe(node));
}

/* --- unknown keys ---------------------------------------------------------------------------------------------------------- */

static bool has_word(const char *words, const char *word)
{
    iw_slice rest = iw_slice_of(words ? words : ""), part;
    while (iw_slice_next(&rest, ' ', &part))
        if (iw_slice_equal(part, word))
            return true;
    return false;
}

static const char *meant(const iw_shape *shape, const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < shape->key_count; i++) {
        if (has_word(shape->keys[i].mistaken, word))
            return shape->keys[i].name;
        if (count < sizeof names / sizeof *names)
            names[count++] = shape->keys[i].name;
    }
    return iw_nearest(word, names, count);
}

static const iw_key *find_key(const iw_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->key_count; i++)
        if (strcmp(shape->keys[i].name, name) == 0)
            return &shape->keys[i];
    return NULL;
}

/* The key of `shape` below which `name` would be right, or NULL. */
static const char *right_below(const iw_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->key_count; i++)
        for (size_t k = 0; k < shape->keys[i].shape_count; k++)
            if (find_key(&shape->keys[i].shapes[k], name))
                return shape->keys[i].name;
    return NULL;
}

static int fail_unknown(iw_reader *reader, const iw_shape *shape, const iw_node *key)
{
    const char *below = right_below(shape, key->text), *near = meant(shape, key->text);
    if (below)
        return iw_fail_at(reader->err, &key->place, "unknown key \"%.60s\"; it belongs below \"%s\"", key->text, below);
    if (near)
        return iw_fail_at(reader->err, &key->place, "unknown key \"%.60s\"; did you mean \"%s\"?", key->text, near);
    iw_cleanup_buffer iw_buffer names = {0};
    for (size_t i = 0; i < shape->key_count; i++)
        iw_buffer_add_format(&names, "%s%s", i ? ", " : "", shape->keys[i].name);
    return iw_fail_at(reader->err, &key->place, "unknown key \"%.60s\"; %s has: %s", key->text, shape->label, names.data);
}

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static int fail_text(iw_reader *reader, const char *name, const iw_node *node, const iw_text_rule *rule, iw_text_type type)
{
    size_t count;
    const char *const *features = iw_features(&count);
    const char *near = type == IW_T_FEATURE ? iw_nearest(node->text, features, count) : NULL;
    size_t shown = strcspn(node->text, "\n");
    shown = shown > 60 ? 60 : shown;
    while (shown > 0 && ((unsigned char)node->text[shown] & 0xC0) == 0x80) /* no half of a character */
        shown--;
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s, not \"%.*s%s\"%s%s%s", name, rule->what, (int)shown,
                      node->text, node->text[shown] ? "…" : "", near ? "; did you mean \"" : "", near ? near : "",
                      near ? "\"?" : "");
}

static int read_text(iw_reader *reader, const char *name, iw_text_type type, const iw_node *node, const char **out)
{
    const iw_text_rule *rule = iw_text_rule_of(type);
    if (node->kind != IW_NODE_SCALAR || (node->plain && !*node->text))
        return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s; here is %s", name, rule->what, describe(node));
    if (strlen(node->text) > rule->limit && type != IW_T_SHA256 && type != IW_T_COMMIT)
        return iw_fail_at(reader->err, &node->place, "\"%s\" is longer than %zu bytes", name, rule->limit);
    if (!rule->fits(node->text))
        return fail_text(reader, name, node, rule, type);
    *out = node->text;
    return 0;
}

static int read_boolean(iw_reader *reader, const iw_key *key, const iw_node *node, bool *out)
{
    bool scalar = node->kind == IW_NODE_SCALAR && node->plain;
    *out = scalar && strcmp(node->text, "true") == 0;
    if (*out || (scalar && strcmp(node->text, "false") == 0))
        return 0;
    if (node->kind == IW_NODE_SCALAR && *node->text)
        return iw_fail_at(reader->err, &node->place, "\"%s\" expects true or false, not \"%.60s\"", key->name, node->text);
    return fail_kind(reader, key, node, "true or false");
}

static int read_size(iw_reader *reader, const iw_key *key, const iw_node *node, uint64_t *out)
{
    if (node->kind == IW_NODE_SCALAR && node->plain && iw_parse_unsigned(node->text, key->maximum, out) && *out >= key->minimum)
        return 0;
    if (node->kind != IW_NODE_SCALAR || !*node->text)
        return fail_kind(reader, key, node, "a whole number");
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects a whole number from %llu to %llu, not \"%.60s\"", key->name,
                      (unsigned long long)key->minimum, (unsigned long long)key->maximum, node->text);
}

/* Decimal digits with an optional fraction; the locale has no say. */
static bool parse_number(const char *text, double *out)
{
    double scale = 1;
    *out = 0;
    size_t whole = strspn(text, "0123456789"), fraction = 0;
    for (size_t i = 0; i < whole; i++)
        *out = *out * 10 + (text[i] - '0');
    text += whole;
    if (*text == '.') {
        fraction = strspn(++text, "0123456789");
        for (size_t i = 0; i < fraction; i++)
            *out += (text[i] - '0') * (scale /= 10);
        text += fraction;
        if (fraction == 0)
            return false;
    }
    return whole > 0 && whole + fraction <= 12 && *text == '\0';
}

static int read_number(iw_reader *reader, const iw_key *key, const iw_node *node, double *out)
{
    if (node->kind == IW_NODE_SCALAR && node->plain && parse_number(node->text, out) && *out <= (double)key->maximum)
        return 0;
    if (node->kind != IW_NODE_SCALAR || !*node->text)
        return fail_kind(reader, key, node, "a number");
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects a number from 0 to %llu, not \"%.60s\"", key->name,
                      (unsigned long long)key->maximum, node->text);
}

static int read_choice(iw_reader *reader, const iw_key *key, const iw_node *node, int *out)
{
    iw_cleanup_buffer iw_buffer names = {0};
    size_t count = 0;
    for (; key->choices[count]; count++) {
        if (node->kind == IW_NODE_SCALAR && strcmp(node->text, key->choices[count]) == 0) {
            *out = (int)count;
            return 0;
        }
        iw_buffer_add_format(&names, "%s%s", count == 0 ? "" : key->choices[count + 1] ? ", " : " or ", key->choices[count]);
    }
    if (node->kind != IW_NODE_SCALAR || !*node->text)
        return fail_kind(reader, key, node, names.data);
    const char *near = iw_nearest(node->text, key->choices, count);
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s, not \"%.60s\"%s%s%s", key->name, names.data, node->text,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int expect_list(iw_reader *reader, const iw_key *key, const iw_node *node)
{
    if (node->kind != IW_NODE_LIST)
        return fail_kind(reader, key, node, "a list ([…], or lines that start with `-`)");
    if (node->count > IW_DOCUMENT_MAX_ENTRIES)
        return iw_fail_at(reader->err, &node->place, "\"%s\" has more than %d items", key->name, IW_DOCUMENT_MAX_ENTRIES);
    return 0;
}

static int refuse_twice(iw_reader *reader, const iw_key *key, const char *const *items, size_t count, const iw_node *node)
{
    for (size_t i = 0; i < count && (key->flags & IW_K_UNIQUE); i++)
        if (strcmp(items[i], items[count]) == 0)
            return iw_fail_at(reader->err, &node->place, "\"%s\" names \"%.60s\" twice", key->name, items[count]);
    return 0;
}

static int read_list(iw_reader *reader, const iw_key *key, const iw_node *node, iw_list *out)
{
    if (expect_list(reader, key, node))
        return -1;
    const char **items = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *items);
    size_t count = 0;
    for (const iw_node *item = node->first; item; item = item->next, count++)
        if (read_text(reader, key->name, key->type, item, &items[count]) || refuse_twice(reader, key, items, count, item))
            return -1;
    *out = (iw_list){items, count};
    return 0;
}

static int read_needs(iw_reader *reader, const iw_key *key, const iw_node *node, iw_needs *out)
{
    if (expect_list(reader, key, node))
        return -1;
    iw_need *needs = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *needs);
    size_t count = 0;
    for (const iw_node *item = node->first; item; item = item->next, count++) {
        const char *text;
        if (read_text(reader, key->name, key->type, item, &text))
            return -1;
        const char *slash = strchr(text, '/');
        needs[count].place = item->place;
        needs[count].name = slash ? iw_arena_strndup(reader->arena, text, (size_t)(slash - text)) : text;
        needs[count].version = slash ? slash + 1 : NULL;
        for (size_t i = 0; i < count; i++)
            if (strcmp(needs[i].name, needs[count].name) == 0)
                return iw_fail_at(reader->err, &item->place, "\"%s\" names \"%s\" twice", key->name, needs[i].name);
    }
    *out = (iw_needs){needs, count};
    return 0;
}

static int expect_mapping(iw_reader *reader, const iw_key *key, const iw_node *node)
{
    return node->kind == IW_NODE_MAPPING ? 0 : fail_kind(reader, key, node, "keys with values");
}

static int read_pairs(iw_reader *reader, const iw_key *key, const iw_node *node, const iw_variable **out, size_t *out_count)
{
    if (expect_mapping(reader, key, node))
        return -1;
    iw_variable *pairs = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *pairs);
    size_t count = 0;
    for (const iw_node *item = node->first; item; item = item->next, count++) {
        const iw_node *value = item->value;
        if (read_text(reader, key->name, key->type, item, &pairs[count].name))
            return -1;
        if (value->kind == IW_NODE_SCALAR && !value->plain && !*value->text)
            pairs[count].value = value->text; /* "": set, and empty */
        else if (read_text(reader, item->text, IW_T_TEXT, value, &pairs[count].value))
            return -1;
    }
    *out = pairs;
    *out_count = count;
    return 0;
}

static int read_pins(iw_reader *reader, const iw_key *key, const iw_node *node, const iw_pin **out, size_t *out_count)
{
    if (expect_mapping(reader, key, node))
        return -1;
    iw_pin *pins = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *pins);
    size_t count = 0;
    for (const iw_node *item = node->first; item; item = item->next, count++) {
        pins[count].place = item->place;
        if (read_text(reader, key->name, IW_T_NAME, item, &pins[count].name) ||
            read_text(reader, item->text, IW_T_VERSION, item->value, &pins[count].version))
            return -1;
    }
    *out = pins;
    *out_count = count;
    return 0;
}

/* Which shape a mapping has: the one whose first key stands there. */
static int choose_shape(iw_reader *reader, const iw_key *key, const iw_node *node, const iw_shape **out)
{
    *out = NULL;
    iw_cleanup_buffer iw_buffer names = {0};
    for (size_t i = 0; i < key->shape_count; i++) {
        const iw_shape *shape = &key->shapes[i];
        iw_buffer_add_format(&names, "%s%s", i ? ", " : "", shape->keys[0].name);
        if (key->shape_count > 1 && !iw_node_find(node, shape->keys[0].name))
            continue;
        if (*out)
            return iw_fail_at(reader->err, &node->place, "both \"%s\" and \"%s\"; give one of them", (*out)->keys[0].name,
                              shape->keys[0].name);
        *out = shape;
    }
    if (*out)
        return 0;
    for (const iw_node *item = node->first; item; item = item->next)
        for (size_t i = 0; i < key->shape_count; i++)
            if (has_word(key->shapes[i].keys[0].mistaken, item->text) ||
                iw_nearest(item->text, &key->shapes[i].keys[0].name, 1))
                return iw_fail_at(reader->err, &item->place, "unknown key \"%.60s\"; did you mean \"%s\"?", item->text,
                                  key->shapes[i].keys[0].name);
    return iw_fail_at(reader->err, &node->place, "an item of \"%s\" needs one of: %s", key->name, names.data);
}

static int read_mappings(iw_reader *reader, const iw_key *key, const iw_node *node, const void **out, size_t *out_count)
{
    if (expect_list(reader, key, node))
        return -1;
    size_t size = key->shapes[0].size, count = 0;
    char *items = iw_arena_alloc(reader->arena, (node->count + 1) * size);
    for (const iw_node *item = node->first; item; item = item->next, count++) {
        char *into = items + count * size;
        const iw_shape *shape = &key->shapes[0];
        if (item->kind == IW_NODE_SCALAR && (key->flags & IW_K_OR_TEXT)) {
            const char *text;
            if (read_text(reader, key->name, IW_T_PATH, item, &text))
                return -1;
            memcpy(into + key->text_offset, &text, sizeof text);
            memcpy(into + shape->place_offset, &item->place, sizeof item->place);
            continue;
        }
        if (item->kind != IW_NODE_MAPPING)
            return fail_kind(reader, key, item, "a list of keys with values");
        if (choose_shape(reader, key, item, &shape) || iw_shape_read(reader->arena, shape, item, into, reader->err))
            return -1;
    }
    *out = items;
    *out_count = count;
    return 0;
}

static int read_key(iw_reader *reader, const iw_key *key, const iw_node *node, char *into)
{
    void *at = into + key->offset;
    size_t *count = (size_t *)(void *)(into + key->count_offset);
    uint64_t size;
    int choice;
    switch (key->form) {
    case IW_F_TEXT:
        return read_text(reader, key->name, key->type, node, at);
    case IW_F_BOOLEAN:
        return read_boolean(reader, key, node, at);
    case IW_F_UNSIGNED:
        if (read_size(reader, key, node, &size))
            return -1;
        *(unsigned *)at = (unsigned)size;
        return 0;
    case IW_F_SIZE:
        return read_size(reader, key, node, at);
    case IW_F_NUMBER:
        return read_number(reader, key, node, at);
    case IW_F_CHOICE:
        if (read_choice(reader, key, node, &choice))
            return -1;
        memcpy(at, &choice, sizeof choice);
        return 0;
    case IW_F_SWITCH:
        if (read_choice(reader, key, node, &choice))
            return -1;
        *(bool *)at = choice == 1;
        return 0;
    case IW_F_LIST:
        return read_list(reader, key, node, at);
    case IW_F_PAIRS:
        return read_pairs(reader, key, node, at, count);
    case IW_F_PINS:
        return read_pins(reader, key, node, at, count);
    case IW_F_NEEDS:
        return read_needs(reader, key, node, at);
    case IW_F_MAPPING:
        if (expect_mapping(reader, key, node))
            return -1;
        return iw_shape_read(reader->arena, &key->shapes[0], node, at, reader->err);
    case IW_F_MAPPINGS:
        return read_mappings(reader, key, node, at, count);
    }
    return -1;
}

static int read_missing(iw_reader *reader, const iw_shape *shape, const iw_key *key, const iw_node *mapping, char *into)
{
    if (key->flags & (IW_K_REQUIRED | IW_K_BODY))
        return iw_fail_at(reader->err, &mapping->place, "%s needs \"%s\" (%s)", shape->label, key->name,
                          key->form == IW_F_TEXT ? iw_text_rule_of(key->type)->what : iw_form_text(key));
    if (key->form == IW_F_MAPPING) { /* its defaults */
        iw_node empty = {.kind = IW_NODE_MAPPING, .place = mapping->place};
        return read_key(reader, key, &empty, into);
    }
    if (!key->value)
        return 0;
    iw_node node = {.kind = IW_NODE_SCALAR, .place = mapping->place, .text = key->value, .plain = true};
    return read_key(reader, key, &node, into);
}

int iw_shape_read(iw_arena *arena, const iw_shape *shape, const iw_node *mapping, void *into, iw_error *err)
{
    iw_reader reader = {arena, err};
    if (shape->place_offset != IW_NONE)
        memcpy((char *)into + shape->place_offset, &mapping->place, sizeof mapping->place);
    if (shape->kind_offset != IW_NONE)
        memcpy((char *)into + shape->kind_offset, &shape->kind, sizeof shape->kind);
    for (const iw_node *node = mapping->first; node; node = node->next) {
        const iw_key *key = find_key(shape, node->text);
        if (!key)
            return fail_unknown(&reader, shape, node);
        if (read_key(&reader, key, node->value, into))
            return -1;
    }
    for (size_t i = 0; i < shape->key_count; i++)
        if (!iw_node_find(mapping, shape->keys[i].name) && read_missing(&reader, shape, &shape->keys[i], mapping, into))
            return -1;
    return 0;
}

int iw_shape_check_keys(const iw_shape *shape, const iw_node *mapping, iw_error *err)
{
    iw_reader reader = {NULL, err};
    for (const iw_node *node = mapping->first; node; node = node->next)
        if (!find_key(shape, node->text))
            return fail_unknown(&reader, shape, node);
    return 0;
}

void iw_shape_each(const iw_shape *shape, void (*visit)(void *context, const iw_shape *shape), void *context)
{
    visit(context, shape);
    for (size_t i = 0; i < shape->key_count; i++)
        for (size_t k = 0; k < shape->keys[i].shape_count; k++)
            iw_shape_each(&shape->keys[i].shapes[k], visit, context);
}
