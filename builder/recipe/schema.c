#include "recipe/schema.h"

#include <string.h>

#include "base/memory.h"
#include "recipe/features.h"

typedef struct iw_reader {
    iw_arena *arena;
    iw_error *err;
} iw_reader;

static const char *describe(const iw_yaml *node)
{
    if (node->kind == IW_YAML_LIST) return "is a list";
    if (node->kind == IW_YAML_MAPPING) return "are keys with values";
    return node->plain && !*node->text ? "is nothing" : "is text";
}

static int fail_kind(iw_reader *reader, const iw_key *key, const iw_yaml *node,
                     const char *expected)
{
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s; here %s", key->name, expected,
                      describe(node));
}

/* --- unknown keys --------------------------------------------------------- */

static bool has_word(const char *words, const char *word)
{
    iw_slice rest = iw_slice_of(words ? words : ""), part;
    while (iw_slice_next(&rest, ' ', &part))
        if (iw_slice_equal(part, word)) return true;
    return false;
}

static const char *meant(const iw_shape *shape, const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < shape->key_count; i++) {
        if (has_word(shape->keys[i].mistaken, word)) return shape->keys[i].name;
        if (count < sizeof names / sizeof *names) names[count++] = shape->keys[i].name;
    }
    return iw_nearest(word, names, count);
}

static const iw_key *find_key(const iw_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->key_count; i++)
        if (strcmp(shape->keys[i].name, name) == 0) return &shape->keys[i];
    return NULL;
}

/* The key of `shape` below which `name` would be right; *key is what it would be called there.
 * NULL: none. */
static const char *right_below(const iw_shape *shape, const char *name, const char **key)
{
    for (size_t i = 0; i < shape->key_count; i++)
        for (size_t k = 0; k < shape->keys[i].shape_count; k++) {
            const iw_shape *below = &shape->keys[i].shapes[k];
            const iw_key *same = find_key(below, name);
            *key = same ? same->name : NULL;
            for (size_t m = 0; m < below->key_count && !*key; m++)
                if (has_word(below->keys[m].mistaken, name)) *key = below->keys[m].name;
            if (*key) return shape->keys[i].name;
        }
    return NULL;
}

static int fail_unknown(iw_reader *reader, const iw_shape *shape, const iw_yaml *node)
{
    iw_cleanup_free char *shown = iw_shown(node->text);
    const char *key, *near = meant(shape, node->text),
                     *below = right_below(shape, node->text, &key);
    if (below && strcmp(key, node->text) == 0)
        return iw_fail_at(reader->err, &node->place, "unknown key \"%s\"; it belongs below \"%s\"",
                          shown, below);
    if (near)
        return iw_fail_at(reader->err, &node->place, "unknown key \"%s\"; did you mean \"%s\"?",
                          shown, near);
    if (below)
        return iw_fail_at(reader->err, &node->place,
                          "unknown key \"%s\"; did you mean \"%s\", below \"%s\"?", shown, key,
                          below);
    iw_cleanup_buffer iw_buffer names = {0};
    for (size_t i = 0; i < shape->key_count; i++)
        iw_buffer_add_format(&names, "%s%s", i ? ", " : "", shape->keys[i].name);
    return iw_fail_at(reader->err, &node->place, "unknown key \"%s\"; %s has: %s", shown,
                      shape->label, names.data);
}

/* --- reading -------------------------------------------------------------- */

static int fail_text(iw_reader *reader, const char *name, const iw_yaml *node,
                     const iw_text_rule *rule, iw_text_type type)
{
    size_t count;
    const char *const *features = iw_features(&count);
    const char *near = type == IW_T_FEATURE || type == IW_T_NAMED_FEATURE
                           ? iw_nearest(node->text, features, count)
                           : NULL;
    iw_cleanup_free char *shown = iw_shown(node->text);
    iw_cleanup_buffer iw_buffer hint = {0};
    iw_buffer_add_text(&hint, "");
    if (near) iw_buffer_add_format(&hint, "; did you mean \"%s\"?", near);
    else if (type == IW_T_SHA256 || type == IW_T_COMMIT)
        iw_buffer_add_format(&hint, " (%zu bytes)", strlen(node->text));
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s, not \"%s\"%s", name,
                      rule->what, shown, hint.data);
}

static int read_text(iw_reader *reader, const char *name, iw_text_type type, const iw_yaml *node,
                     const char **out)
{
    const iw_text_rule *rule = iw_text_rule_of(type);
    if (node->kind != IW_YAML_SCALAR || (node->plain && !*node->text))
        return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s; here %s", name, rule->what,
                          describe(node));
    if (strlen(node->text) > rule->limit && type != IW_T_SHA256 && type != IW_T_COMMIT)
        return iw_fail_at(reader->err, &node->place, "\"%s\" is longer than %zu bytes", name,
                          rule->limit);
    if (!rule->fits(node->text)) return fail_text(reader, name, node, rule, type);
    *out = node->text;
    return 0;
}

static int fail_value(iw_reader *reader, const iw_key *key, const iw_yaml *node,
                      const char *expected)
{
    iw_cleanup_free char *shown = iw_shown(node->text);
    return iw_fail_at(reader->err, &node->place, "\"%s\" expects %s, not \"%s\"", key->name,
                      expected, shown);
}

static int read_boolean(iw_reader *reader, const iw_key *key, const iw_yaml *node, bool *out)
{
    bool scalar = node->kind == IW_YAML_SCALAR && node->plain;
    *out = scalar && strcmp(node->text, "true") == 0;
    if (*out || (scalar && strcmp(node->text, "false") == 0)) return 0;
    if (node->kind != IW_YAML_SCALAR || !*node->text)
        return fail_kind(reader, key, node, "true or false");
    return fail_value(reader, key, node, "true or false");
}

static int read_size(iw_reader *reader, const iw_key *key, const iw_yaml *node, uint64_t *out)
{
    if (node->kind == IW_YAML_SCALAR && node->plain &&
        iw_parse_unsigned(node->text, key->maximum, out) && *out >= key->minimum)
        return 0;
    if (node->kind != IW_YAML_SCALAR || !*node->text)
        return fail_kind(reader, key, node, "a whole number");
    iw_cleanup_free char *expected =
        iw_format("a whole number from %llu to %llu", (unsigned long long)key->minimum,
                  (unsigned long long)key->maximum);
    return fail_value(reader, key, node, expected);
}

/* Decimal digits with an optional fraction; the locale has no say. */
static bool parse_number(const char *text, double *out)
{
    double scale = 1;
    *out = 0;
    size_t whole = strspn(text, "0123456789"), fraction = 0;
    for (size_t i = 0; i < whole; i++) *out = *out * 10 + (text[i] - '0');
    text += whole;
    if (*text == '.') {
        fraction = strspn(++text, "0123456789");
        for (size_t i = 0; i < fraction; i++) *out += (text[i] - '0') * (scale /= 10);
        text += fraction;
        if (fraction == 0) return false;
    }
    return whole > 0 && whole + fraction <= 12 && *text == '\0';
}

static int read_number(iw_reader *reader, const iw_key *key, const iw_yaml *node, double *out)
{
    if (node->kind == IW_YAML_SCALAR && node->plain && parse_number(node->text, out) &&
        *out <= (double)key->maximum)
        return 0;
    if (node->kind != IW_YAML_SCALAR || !*node->text)
        return fail_kind(reader, key, node, "a number");
    iw_cleanup_free char *expected =
        iw_format("a number from 0 to %llu", (unsigned long long)key->maximum);
    return fail_value(reader, key, node, expected);
}

static void add_choices(iw_buffer *out, const iw_key *key)
{
    for (size_t i = 0; key->choices[i]; i++)
        iw_buffer_add_format(out, "%s%s",
                             i == 0                ? ""
                             : key->choices[i + 1] ? ", "
                                                   : " or ",
                             key->choices[i]);
}

static int read_choice(iw_reader *reader, const iw_key *key, const iw_yaml *node, int *out)
{
    size_t count = 0;
    for (; key->choices[count]; count++)
        if (node->kind == IW_YAML_SCALAR && strcmp(node->text, key->choices[count]) == 0) {
            *out = (int)count;
            return 0;
        }
    iw_cleanup_buffer iw_buffer names = {0};
    add_choices(&names, key);
    if (node->kind != IW_YAML_SCALAR || !*node->text)
        return fail_kind(reader, key, node, names.data);
    const char *near = iw_nearest(node->text, key->choices, count);
    if (!near) return fail_value(reader, key, node, names.data);
    iw_cleanup_free char *shown = iw_shown(node->text);
    return iw_fail_at(reader->err, &node->place,
                      "\"%s\" expects %s, not \"%s\"; did you mean \"%s\"?", key->name, names.data,
                      shown, near);
}

static int expect_list(iw_reader *reader, const iw_key *key, const iw_yaml *node)
{
    if (node->kind != IW_YAML_LIST)
        return fail_kind(reader, key, node, "a list ([…], or lines that start with `-`)");
    if (node->count > IW_DOCUMENT_MAX_ENTRIES)
        return iw_fail_at(reader->err, &node->place, "\"%s\" has more than %d items", key->name,
                          IW_DOCUMENT_MAX_ENTRIES);
    return 0;
}

static int refuse_twice(iw_reader *reader, const iw_key *key, const char *const *items,
                        size_t count, const iw_yaml *node)
{
    for (size_t i = 0; i < count && (key->flags & IW_K_UNIQUE); i++)
        if (strcmp(items[i], items[count]) == 0) {
            iw_cleanup_free char *shown = iw_shown(items[count]);
            return iw_fail_at(reader->err, &node->place, "\"%s\" names \"%s\" twice", key->name,
                              shown);
        }
    return 0;
}

static int read_list(iw_reader *reader, const iw_key *key, const iw_yaml *node, iw_list *out)
{
    if (expect_list(reader, key, node)) return -1;
    const char **items = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *items);
    size_t count = 0;
    for (const iw_yaml *item = node->first; item; item = item->next, count++)
        if (read_text(reader, key->name, key->type, item, &items[count]) ||
            refuse_twice(reader, key, items, count, item))
            return -1;
    *out = (iw_list){items, count};
    return 0;
}

static int read_needs(iw_reader *reader, const iw_key *key, const iw_yaml *node, iw_needs *out)
{
    if (expect_list(reader, key, node)) return -1;
    iw_need *needs = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *needs);
    size_t count = 0;
    for (const iw_yaml *item = node->first; item; item = item->next, count++) {
        const char *text;
        if (read_text(reader, key->name, key->type, item, &text)) return -1;
        const char *slash = strchr(text, '/');
        needs[count].place = item->place;
        needs[count].name =
            slash ? iw_arena_strndup(reader->arena, text, (size_t)(slash - text)) : text;
        needs[count].version = slash ? slash + 1 : NULL;
        for (size_t i = 0; i < count; i++)
            if (strcmp(needs[i].name, needs[count].name) == 0)
                return iw_fail_at(reader->err, &item->place, "\"%s\" names \"%s\" twice", key->name,
                                  needs[i].name);
    }
    *out = (iw_needs){needs, count};
    return 0;
}

static int expect_mapping(iw_reader *reader, const iw_key *key, const iw_yaml *node)
{
    return node->kind == IW_YAML_MAPPING ? 0 : fail_kind(reader, key, node, "keys with values");
}

static int read_pairs(iw_reader *reader, const iw_key *key, const iw_yaml *node,
                      const iw_variable **out, size_t *out_count)
{
    if (expect_mapping(reader, key, node)) return -1;
    iw_variable *pairs = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *pairs);
    size_t count = 0;
    for (const iw_yaml *item = node->first; item; item = item->next, count++) {
        const iw_yaml *value = item->value;
        if (read_text(reader, key->name, key->type, item, &pairs[count].name)) return -1;
        if (value->kind == IW_YAML_SCALAR && !value->plain && !*value->text)
            pairs[count].value = value->text; /* "": set, and empty */
        else if (read_text(reader, item->text, IW_T_TEXT, value, &pairs[count].value)) return -1;
    }
    *out = pairs;
    *out_count = count;
    return 0;
}

static int read_pins(iw_reader *reader, const iw_key *key, const iw_yaml *node, const iw_pin **out,
                     size_t *out_count)
{
    if (expect_mapping(reader, key, node)) return -1;
    iw_pin *pins = iw_arena_alloc(reader->arena, (node->count + 1) * sizeof *pins);
    size_t count = 0;
    for (const iw_yaml *item = node->first; item; item = item->next, count++) {
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
static int choose_shape(iw_reader *reader, const iw_key *key, const iw_yaml *node,
                        const iw_shape **out)
{
    *out = NULL;
    iw_cleanup_buffer iw_buffer names = {0};
    for (size_t i = 0; i < key->shape_count; i++) {
        const iw_shape *shape = &key->shapes[i];
        iw_buffer_add_format(&names, "%s%s", i ? ", " : "", shape->keys[0].name);
        if (key->shape_count > 1 && !iw_yaml_find(node, shape->keys[0].name)) continue;
        if (*out)
            return iw_fail_at(reader->err, &node->place, "both \"%s\" and \"%s\"; give one of them",
                              (*out)->keys[0].name, shape->keys[0].name);
        *out = shape;
    }
    if (*out) return 0;
    for (const iw_yaml *item = node->first; item; item = item->next)
        for (size_t i = 0; i < key->shape_count; i++)
            if (has_word(key->shapes[i].keys[0].mistaken, item->text) ||
                iw_nearest(item->text, &key->shapes[i].keys[0].name, 1)) {
                iw_cleanup_free char *shown = iw_shown(item->text);
                return iw_fail_at(reader->err, &item->place,
                                  "unknown key \"%s\"; did you mean \"%s\"?", shown,
                                  key->shapes[i].keys[0].name);
            }
    return iw_fail_at(reader->err, &node->place, "an item of \"%s\" needs one of: %s", key->name,
                      names.data);
}

static int read_mappings(iw_reader *reader, const iw_key *key, const iw_yaml *node,
                         const void **out, size_t *out_count)
{
    if (expect_list(reader, key, node)) return -1;
    size_t size = key->shapes[0].size, count = 0;
    char *items = iw_arena_alloc(reader->arena, (node->count + 1) * size);
    for (const iw_yaml *item = node->first; item; item = item->next, count++) {
        char *into = items + count * size;
        const iw_shape *shape = &key->shapes[0];
        if (item->kind == IW_YAML_SCALAR && (key->flags & IW_K_OR_TEXT)) {
            const char *text;
            if (read_text(reader, key->name, IW_T_PATH, item, &text)) return -1;
            memcpy(into + key->text_offset, &text, sizeof text);
            memcpy(into + shape->place_offset, &item->place, sizeof item->place);
            continue;
        }
        if (item->kind != IW_YAML_MAPPING)
            return fail_kind(reader, key, item,
                             key->flags & IW_K_OR_TEXT ? "a list of paths, or of keys with values"
                                                       : "a list of keys with values");
        if (choose_shape(reader, key, item, &shape) ||
            iw_shape_read(reader->arena, shape, item, into, reader->err))
            return -1;
    }
    *out = items;
    *out_count = count;
    return 0;
}

static int read_key(iw_reader *reader, const iw_key *key, const iw_yaml *node, char *into)
{
    void *at = into + key->offset;
    size_t *count = (size_t *)(void *)(into + key->count_offset);
    uint64_t size;
    int choice;
    switch (key->form) {
    case IW_F_TEXT: return read_text(reader, key->name, key->type, node, at);
    case IW_F_BOOLEAN: return read_boolean(reader, key, node, at);
    case IW_F_UNSIGNED:
        if (read_size(reader, key, node, &size)) return -1;
        *(unsigned *)at = (unsigned)size;
        return 0;
    case IW_F_SIZE: return read_size(reader, key, node, at);
    case IW_F_NUMBER: return read_number(reader, key, node, at);
    case IW_F_CHOICE:
        if (read_choice(reader, key, node, &choice)) return -1;
        memcpy(at, &choice, sizeof choice);
        return 0;
    case IW_F_SWITCH:
        if (read_choice(reader, key, node, &choice)) return -1;
        *(bool *)at = choice == 1;
        return 0;
    case IW_F_LIST: return read_list(reader, key, node, at);
    case IW_F_PAIRS: return read_pairs(reader, key, node, at, count);
    case IW_F_PINS: return read_pins(reader, key, node, at, count);
    case IW_F_NEEDS: return read_needs(reader, key, node, at);
    case IW_F_MAPPING:
        if (expect_mapping(reader, key, node)) return -1;
        return iw_shape_read(reader->arena, &key->shapes[0], node, at, reader->err);
    case IW_F_MAPPINGS: return read_mappings(reader, key, node, at, count);
    }
    return -1;
}

static int fail_missing(iw_reader *reader, const iw_shape *shape, const iw_key *key,
                        const iw_yaml *mapping)
{
    iw_cleanup_buffer iw_buffer what = {0};
    if (key->choices) add_choices(&what, key);
    else
        iw_buffer_add_text(&what, key->form == IW_F_TEXT ? iw_text_rule_of(key->type)->what
                                                         : iw_form_text(key));
    return iw_fail_at(reader->err, &mapping->place, "%s needs \"%s\" (%s)", shape->label, key->name,
                      what.data);
}

static int read_missing(iw_reader *reader, const iw_shape *shape, const iw_key *key,
                        const iw_yaml *mapping, char *into)
{
    if (key->flags & (IW_K_REQUIRED | IW_K_BODY)) return fail_missing(reader, shape, key, mapping);
    if (key->form == IW_F_MAPPING) { /* its defaults */
        iw_yaml empty = {.kind = IW_YAML_MAPPING, .place = mapping->place};
        return read_key(reader, key, &empty, into);
    }
    if (!key->value) return 0;
    iw_yaml node = {
        .kind = IW_YAML_SCALAR, .place = mapping->place, .text = key->value, .plain = true};
    return read_key(reader, key, &node, into);
}

int iw_shape_read(iw_arena *arena, const iw_shape *shape, const iw_yaml *mapping, void *into,
                  iw_error *err)
{
    iw_reader reader = {arena, err};
    if (shape->place_offset != IW_NONE)
        memcpy((char *)into + shape->place_offset, &mapping->place, sizeof mapping->place);
    if (shape->kind_offset != IW_NONE)
        memcpy((char *)into + shape->kind_offset, &shape->kind, sizeof shape->kind);
    for (const iw_yaml *node = mapping->first; node; node = node->next) {
        const iw_key *key = find_key(shape, node->text);
        if (!key) return fail_unknown(&reader, shape, node);
        if (read_key(&reader, key, node->value, into)) return -1;
    }
    for (size_t i = 0; i < shape->key_count; i++)
        if (!iw_yaml_find(mapping, shape->keys[i].name) &&
            read_missing(&reader, shape, &shape->keys[i], mapping, into))
            return -1;
    return 0;
}

int iw_shape_check_keys(const iw_shape *shape, const iw_yaml *mapping, iw_error *err)
{
    iw_reader reader = {NULL, err};
    for (const iw_yaml *node = mapping->first; node; node = node->next)
        if (!find_key(shape, node->text)) return fail_unknown(&reader, shape, node);
    return 0;
}

void iw_shape_each(const iw_shape *shape, void (*visit)(void *context, const iw_shape *shape),
                   void *context)
{
    visit(context, shape);
    for (size_t i = 0; i < shape->key_count; i++)
        for (size_t k = 0; k < shape->keys[i].shape_count; k++)
            iw_shape_each(&shape->keys[i].shapes[k], visit, context);
}
