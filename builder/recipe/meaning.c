/* The meaning: canonical text of what can change a built result, from the tables. */
#include <string.h>

#include "recipe/schema.h"

static void add_quoted(iw_buffer *out, const char *text)
{
    iw_buffer_add_char(out, '"');
    for (const char *at = text; *at; at++) {
        if (*at == '\n') iw_buffer_add_text(out, "\\n");
        else if (*at == '\t') iw_buffer_add_text(out, "\\t");
        else if (*at == '"' || *at == '\\') iw_buffer_add_format(out, "\\%c", *at);
        else iw_buffer_add_char(out, *at);
    }
    iw_buffer_add_char(out, '"');
}

void iw_meaning_text(iw_buffer *out, const char *prefix, const char *key, const char *text)
{
    if (!text) return;
    iw_buffer_add_format(out, "%s%s ", prefix, key);
    add_quoted(out, text);
    iw_buffer_add_char(out, '\n');
}

static void add_sorted(iw_buffer *out, iw_strings *lines)
{
    iw_strings_sort(lines);
    for (size_t i = 0; i < lines->count; i++) iw_buffer_add_text(out, lines->items[i]);
}

static void add_list(iw_buffer *out, const char *prefix, const iw_key *key, const iw_list *list)
{
    iw_cleanup_strings iw_strings lines = {0};
    for (size_t i = 0; i < list->count; i++) {
        iw_cleanup_buffer iw_buffer line = {0};
        iw_meaning_text(&line, prefix, key->name, list->items[i]);
        iw_strings_add(&lines, line.data);
    }
    if (key->flags & IW_K_SET) {
        add_sorted(out, &lines);
        return;
    }
    for (size_t i = 0; i < lines.count; i++) iw_buffer_add_text(out, lines.items[i]);
}

static void add_needs(iw_buffer *out, const char *prefix, const iw_key *key, const iw_needs *needs)
{
    iw_cleanup_strings iw_strings lines = {0};
    for (size_t i = 0; i < needs->count; i++) {
        const iw_need *need = &needs->items[i];
        iw_strings_add_format(&lines, "%s%s %s%s%s\n", prefix, key->name, need->name,
                              need->version ? "/" : "", need->version ? need->version : "");
    }
    add_sorted(out, &lines);
}

static void add_pairs(iw_buffer *out, const char *prefix, const iw_key *key,
                      const iw_variable *pairs, size_t count)
{
    iw_cleanup_strings iw_strings lines = {0};
    for (size_t i = 0; i < count; i++) {
        iw_cleanup_buffer iw_buffer line = {0};
        iw_buffer_add_format(&line, "%s%s.%s ", prefix, key->name, pairs[i].name);
        add_quoted(&line, pairs[i].value);
        iw_strings_add_format(&lines, "%s\n", line.data);
    }
    add_sorted(out, &lines);
}

static const iw_shape *shape_of(const iw_key *key, const char *item)
{
    int kind;
    for (size_t i = 0; i < key->shape_count; i++) {
        const iw_shape *shape = &key->shapes[i];
        if (shape->kind_offset == IW_NONE) return shape;
        memcpy(&kind, item + shape->kind_offset, sizeof kind);
        if (kind == shape->kind) return shape;
    }
    return &key->shapes[0];
}

static void add_mappings(iw_buffer *out, const char *prefix, const iw_key *key, const char *items,
                         size_t count)
{
    iw_cleanup_strings iw_strings parts = {0};
    for (size_t i = 0; i < count; i++) {
        const char *item = items + i * key->shapes[0].size;
        const iw_shape *shape = shape_of(key, item);
        iw_cleanup_buffer iw_buffer part = {0}, name = {0};
        if (key->flags & IW_K_SET) iw_buffer_add_format(&name, "%s%s.", prefix, key->name);
        else iw_buffer_add_format(&name, "%s%s[%zu].", prefix, key->name, i + 1);
        if (shape->meaning) iw_buffer_add_format(&part, "%sis %s\n", name.data, shape->meaning);
        iw_shape_meaning(&part, name.data, shape, item);
        iw_strings_add(&parts, part.data ? part.data : "");
    }
    if (key->flags & IW_K_SET) iw_strings_sort(&parts);
    for (size_t i = 0; i < parts.count; i++) iw_buffer_add_text(out, parts.items[i]);
}

static void add_key(iw_buffer *out, const char *prefix, const iw_key *key, const char *from)
{
    const void *at = from + key->offset;
    size_t count = *(const size_t *)(const void *)(from + key->count_offset);
    iw_cleanup_buffer iw_buffer name = {0};
    int choice = 0;
    switch (key->form) {
    case IW_F_TEXT: iw_meaning_text(out, prefix, key->name, *(const char *const *)at); break;
    case IW_F_BOOLEAN:
        iw_buffer_add_format(out, "%s%s %s\n", prefix, key->name,
                             *(const bool *)at ? "true" : "false");
        break;
    case IW_F_UNSIGNED:
        iw_buffer_add_format(out, "%s%s %u\n", prefix, key->name, *(const unsigned *)at);
        break;
    case IW_F_SIZE:
        iw_buffer_add_format(out, "%s%s %llu\n", prefix, key->name,
                             (unsigned long long)*(const uint64_t *)at);
        break;
    case IW_F_CHOICE:
        memcpy(&choice, at, sizeof choice);
        iw_buffer_add_format(out, "%s%s %s\n", prefix, key->name, key->choices[choice]);
        break;
    case IW_F_SWITCH:
        iw_buffer_add_format(out, "%s%s %s\n", prefix, key->name, key->choices[*(const bool *)at]);
        break;
    case IW_F_LIST: add_list(out, prefix, key, at); break;
    case IW_F_NEEDS: add_needs(out, prefix, key, at); break;
    case IW_F_PAIRS: add_pairs(out, prefix, key, *(const iw_variable *const *)at, count); break;
    case IW_F_MAPPING:
        iw_buffer_add_format(&name, "%s%s.", prefix, key->name);
        iw_shape_meaning(out, name.data, &key->shapes[0], at);
        break;
    case IW_F_MAPPINGS: add_mappings(out, prefix, key, *(const char *const *)at, count); break;
    case IW_F_NUMBER:
    case IW_F_PINS: break; /* nothing of the kind is built from */
    }
}

void iw_shape_meaning(iw_buffer *out, const char *prefix, const iw_shape *shape, const void *from)
{
    for (size_t i = 0; i < shape->key_count; i++)
        if (shape->keys[i].flags & IW_K_BUILT) add_key(out, prefix, &shape->keys[i], from);
}
