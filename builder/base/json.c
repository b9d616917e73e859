#include "base/json.h"

#include "base/memory.h"

json_t *iw_json_text(const char *text)
{
    if (!text) return json_null();
    json_t *value = json_string(text);
    if (value) return value;
    iw_cleanup_free char *safe = iw_strdup(text);
    for (char *c = safe; *c; c++)
        if ((unsigned char)*c > 127) *c = '?';
    return json_string(safe);
}

void iw_json_set(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, iw_json_text(text));
}

void iw_json_put(json_t *object, const char *key, const char *text)
{
    if (text) iw_json_set(object, key, text);
}

json_t *iw_json_texts(const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, iw_json_text(items[i]));
    return list;
}

const char *iw_json_get(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}
