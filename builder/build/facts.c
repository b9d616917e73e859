#include "build/facts.h"

#include <string.h>

#include "base/memory.h"

static void put(json_t *object, const char *key, const char *text)
{
    if (text) json_object_set_new(object, key, json_string(text));
}

static json_t *sources_of(const iw_recipe *recipe)
{
    json_t *list = json_array();
    for (size_t i = 0; i < recipe->source_count; i++) {
        const iw_source *source = &recipe->sources[i];
        json_t *one = json_object();
        put(one, "kind", iw_source_kind_name(source->kind));
        put(one, "name", source->name);
        put(one, "version", source->version);
        put(one, "file", source->file);
        put(one, "commit", source->commit);
        put(one, "sha256", source->sha256);
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *patches_of(const iw_recipe *recipe)
{
    json_t *list = json_array();
    for (size_t i = 0; i < recipe->patch_count; i++) {
        const iw_patch *patch = &recipe->patches[i];
        json_t *one = json_object();
        put(one, "file", patch->file);
        put(one, "from", patch->from);
        put(one, "sha256", patch->sha256);
        put(one, "description", patch->description);
        put(one, "origin", patch->origin);
        put(one, "author", patch->author);
        put(one, "forwarded", patch->forwarded);
        json_array_append_new(list, one);
    }
    return list;
}

char *iw_artifact_facts(const iw_recipe *recipe, const char *finish, const char *run, json_t *seconds, uint64_t *removed)
{
    json_t *object = finish ? json_loads(finish, 0, NULL) : NULL;
    if (!json_is_object(object)) {
        json_decref(object);
        object = json_object();
    }
    (void)run;
    *removed = 0;
    put(object, "licence", recipe->licence);
    put(object, "system", iw_system_name(recipe->build.system));
    json_object_set_new(object, "sources", sources_of(recipe));
    json_object_set_new(object, "patches", patches_of(recipe));
    json_object_set(object, "measured", seconds);
    char *dumped = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    char *text = iw_strdup(dumped ? dumped : "{}");
    free(dumped);
    json_decref(object);
    return text;
}
