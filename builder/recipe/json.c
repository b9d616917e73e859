/* The tables told to others: JSON Schema (draft 2020-12) for editors, Markdown for people. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/features.h"
#include "recipe/schema.h"

static json_t *shape_schema(const iw_shape *shape);

/* Editors see `3.10` as a number and `no` as a boolean; we read the text. */
static json_t *text_schema(iw_text_type type)
{
    const iw_text_rule *rule = iw_text_rule_of(type);
    json_t *schema = json_object();
    json_object_set_new(schema, "type",
                        rule->numeric ? json_pack("[sss]", "string", "number", "boolean")
                                      : json_string("string"));
    json_object_set_new(schema, "description", json_string(rule->what));
    if (rule->pattern) json_object_set_new(schema, "pattern", json_string(rule->pattern));
    bool feature = type == IW_T_FEATURE || type == IW_T_NAMED_FEATURE;
    if (feature) {
        json_t *names = json_array();
        for (const char *const *name = iw_features(NULL); *name; name++)
            json_array_append_new(names, json_string(*name));
        for (const char *const *name = iw_features_beyond(); *name && type == IW_T_NAMED_FEATURE;
             name++)
            json_array_append_new(names, json_string(*name));
        json_object_set_new(schema, "enum", names);
        json_object_del(schema, "type");
    }
    if (type != IW_T_SHA256 && type != IW_T_COMMIT && !feature)
        json_object_set_new(schema, "maxLength", json_integer((json_int_t)rule->limit));
    return schema;
}

static json_t *list_schema(json_t *items)
{
    return json_pack("{s:s, s:o, s:i}", "type", "array", "items", items, "maxItems",
                     IW_DOCUMENT_MAX_ENTRIES);
}

static json_t *names_schema(json_t *names, json_t *values)
{
    return json_pack("{s:s, s:o, s:o}", "type", "object", "propertyNames", names,
                     "additionalProperties", values);
}

static json_t *choice_schema(const iw_key *key)
{
    json_t *choices = json_array();
    for (size_t i = 0; key->choices[i]; i++)
        json_array_append_new(choices, json_string(key->choices[i]));
    return json_pack("{s:o}", "enum", choices);
}

static json_t *mappings_schema(const iw_key *key)
{
    json_t *either = json_array();
    if (key->flags & IW_K_OR_TEXT) json_array_append_new(either, text_schema(IW_T_PATH));
    for (size_t i = 0; i < key->shape_count; i++)
        json_array_append_new(either, shape_schema(&key->shapes[i]));
    if (json_array_size(either) > 1) return list_schema(json_pack("{s:o}", "oneOf", either));
    json_t *only = json_incref(json_array_get(either, 0));
    json_decref(either);
    return list_schema(only);
}

static json_t *value_schema(const iw_key *key)
{
    json_t *empty;
    switch (key->form) {
    case IW_F_TEXT: return text_schema(key->type);
    case IW_F_BOOLEAN: return json_pack("{s:s}", "type", "boolean");
    case IW_F_UNSIGNED:
    case IW_F_SIZE:
        return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)key->minimum,
                         "maximum", (json_int_t)key->maximum);
    case IW_F_NUMBER:
        return json_pack("{s:s, s:i, s:I}", "type", "number", "minimum", 0, "maximum",
                         (json_int_t)key->maximum);
    case IW_F_CHOICE:
    case IW_F_SWITCH: return choice_schema(key);
    case IW_F_LIST:
    case IW_F_NEEDS:
        empty = list_schema(text_schema(key->type));
        if (key->flags & IW_K_UNIQUE) json_object_set_new(empty, "uniqueItems", json_true());
        return empty;
    case IW_F_PAIRS:
        return names_schema(text_schema(key->type),
                            json_pack("{s:[sss]}", "type", "string", "number", "boolean"));
    case IW_F_PINS: return names_schema(text_schema(IW_T_NAME), text_schema(IW_T_VERSION));
    case IW_F_MAPPING: return shape_schema(&key->shapes[0]);
    case IW_F_MAPPINGS: return mappings_schema(key);
    }
    return json_object();
}

/* The default, with the type that its text has. */
static json_t *default_value(const iw_key *key)
{
    if (key->form == IW_F_BOOLEAN) return json_boolean(strcmp(key->value, "true") == 0);
    uint64_t number;
    if (key->form == IW_F_UNSIGNED && iw_parse_unsigned(key->value, UINT64_MAX, &number))
        return json_integer((json_int_t)number);
    return json_string(key->value);
}

static json_t *key_schema(const iw_key *key)
{
    json_t *schema = value_schema(key);
    json_object_set_new(schema, "description", json_string(key->doc));
    if (key->value) json_object_set_new(schema, "default", default_value(key));
    return schema;
}

static json_t *shape_schema(const iw_shape *shape)
{
    json_t *properties = json_object(), *required = json_array(), *body = json_array();
    for (size_t i = 0; i < shape->key_count; i++) {
        const iw_key *key = &shape->keys[i];
        json_object_set_new(properties, key->name, key_schema(key));
        if (key->flags & IW_K_REQUIRED) json_array_append_new(required, json_string(key->name));
        if (key->flags & IW_K_BODY) json_array_append_new(body, json_string(key->name));
    }
    json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (json_array_size(required)) json_object_set(schema, "required", required);
    if (json_array_size(body))
        json_object_set_new(schema, "anyOf",
                            json_pack("[{s:[s]}, {s:O}]", "required", "like", "required", body));
    json_object_set_new(schema, "additionalProperties", json_false());
    json_decref(required);
    json_decref(body);
    return schema;
}

char *iw_shape_json_schema(const iw_shape *shape)
{
    json_t *schema = json_object();
    iw_cleanup_free char *title = iw_format("Ironwheel: %s", shape->label);
    json_object_set_new(schema, "$schema",
                        json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(schema, "title", json_string(title));
    json_t *body = shape_schema(shape);
    json_object_update(schema, body);
    json_decref(body);
    char *text = json_dumps(schema, JSON_INDENT(2));
    json_decref(schema);
    char *out = text ? iw_format("%s\n", text) : NULL;
    free(text);
    return out;
}

/* --- Markdown ------------------------------------------------------------- */

const char *iw_form_text(const iw_key *key)
{
    switch (key->form) {
    case IW_F_TEXT: return iw_text_rule_of(key->type)->what;
    case IW_F_BOOLEAN: return "true or false";
    case IW_F_UNSIGNED:
    case IW_F_SIZE: return "a whole number";
    case IW_F_NUMBER: return "a number";
    case IW_F_CHOICE:
    case IW_F_SWITCH: return "one word of several";
    case IW_F_LIST:
    case IW_F_NEEDS: return "a list";
    case IW_F_PAIRS: return "NAME: text";
    case IW_F_PINS: return "name: version";
    case IW_F_MAPPING: return "keys with values";
    case IW_F_MAPPINGS: return "a list of keys with values";
    }
    return "";
}

static void add_form(iw_buffer *out, const iw_key *key)
{
    switch (key->form) {
    case IW_F_CHOICE:
    case IW_F_SWITCH:
        for (size_t i = 0; key->choices[i]; i++)
            iw_buffer_add_format(out, "%s`%s`", i ? ", " : "", key->choices[i]);
        break;
    case IW_F_LIST:
    case IW_F_NEEDS:
        iw_buffer_add_format(out, "list; each %s", iw_text_rule_of(key->type)->what);
        break;
    case IW_F_UNSIGNED:
    case IW_F_SIZE:
        iw_buffer_add_format(out, "%llu to %llu", (unsigned long long)key->minimum,
                             (unsigned long long)key->maximum);
        break;
    default: iw_buffer_add_text(out, iw_form_text(key));
    }
}

static void add_shape(void *context, const iw_shape *shape)
{
    iw_buffer *out = context;
    iw_buffer_add_format(out,
                         "\n### `%s`\n\n| key | value | default | |\n| --- | --- | --- | --- |\n",
                         shape->name);
    for (size_t i = 0; i < shape->key_count; i++) {
        const iw_key *key = &shape->keys[i];
        iw_buffer_add_format(out, "| `%s` | ", key->name);
        add_form(out, key);
        if (key->flags & (IW_K_REQUIRED | IW_K_BODY)) iw_buffer_add_text(out, " | **required** | ");
        else if (key->value) iw_buffer_add_format(out, " | `%s` | ", key->value);
        else iw_buffer_add_text(out, " | | ");
        iw_buffer_add_format(out, "%s |\n", key->doc);
    }
}

char *iw_shape_markdown(const iw_shape *shape)
{
    iw_buffer out = {0};
    iw_shape_each(shape, add_shape, &out);
    return iw_buffer_take(&out);
}

static const iw_shape *shape_of_kind(const char *kind)
{
    const iw_shape *const shapes[] = {&iw_shape_recipe, &iw_shape_stack, &iw_shape_profile,
                                      &iw_shape_toolchain};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i]->name, kind) == 0) return shapes[i];
    return NULL;
}

char *iw_recipe_schema_json(const char *kind)
{
    const iw_shape *shape = shape_of_kind(kind);
    return shape ? iw_shape_json_schema(shape) : NULL;
}

char *iw_recipe_reference(const char *kind)
{
    const iw_shape *shape = shape_of_kind(kind);
    return shape ? iw_shape_markdown(shape) : NULL;
}
