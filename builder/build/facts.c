#include "build/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

#define FLAGS_LIMIT 200 /* different flags that are counted one by one */

static json_t *sources_of(const iw_recipe *recipe)
{
    json_t *list = json_array();
    for (size_t i = 0; i < recipe->source_count; i++) {
        const iw_source *source = &recipe->sources[i];
        json_t *one = json_object();
        iw_json_put(one, "kind", iw_source_kind_name(source->kind));
        iw_json_put(one, "name", source->name);
        iw_json_put(one, "version", source->version);
        iw_json_put(one, "file", source->file);
        iw_json_put(one, "commit", source->commit);
        iw_json_put(one, "sha256", source->sha256);
        json_array_append_new(list, one);
    }
    return list;
}

/* What they change: what they say of themselves may be reworded later, and stands in manifests. */
static json_t *patches_of(const iw_recipe *recipe)
{
    json_t *list = json_array();
    for (size_t i = 0; i < recipe->patch_count; i++) {
        const iw_patch *patch = &recipe->patches[i];
        json_t *one = json_object();
        iw_json_put(one, "file", patch->file);
        iw_json_put(one, "from", patch->from);
        iw_json_put(one, "sha256", patch->change_sha256);
        json_array_append_new(list, one);
    }
    return list;
}

/* --- the wrapper's log ---------------------------------------------------- */

static void count_line(iw_wrapper_summary *summary, char *line)
{
    char *space = strchr(line, ' ');
    if (!space) return;
    *space = '\0';
    if (strcmp(line, "hit") == 0) summary->hits++;
    if (strcmp(line, "miss") == 0) summary->misses++;
    if (strcmp(line, "denied") == 0) summary->denied++;
    if (strcmp(line, "removed")) return;
    json_int_t before = json_integer_value(json_object_get(summary->removed, space + 1));
    if (before || json_object_size(summary->removed) < FLAGS_LIMIT)
        json_object_set_new(summary->removed, space + 1, json_integer(before + 1));
    summary->removed_count++;
}

void iw_wrapper_summary_read(const char *path, iw_wrapper_summary *out)
{
    memset(out, 0, sizeof *out);
    out->removed = json_object();
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while (file && (length = getline(&line, &capacity, file)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = '\0';
        count_line(out, line);
    }
    free(line);
    if (file) fclose(file);
}

void iw_wrapper_summary_clear(iw_wrapper_summary *summary)
{
    json_decref(summary->removed);
    memset(summary, 0, sizeof *summary);
}

char *iw_artifact_facts(const iw_recipe *recipe, const char *finish,
                        const iw_wrapper_summary *wrapper, json_t *seconds)
{
    json_t *object = finish ? json_loads(finish, 0, NULL) : NULL;
    if (!json_is_object(object)) {
        json_decref(object);
        object = json_object();
    }
    iw_json_put(object, "licence", recipe->licence);
    iw_json_put(object, "system", iw_system_name(recipe->build.system));
    json_object_set_new(object, "sources", sources_of(recipe));
    json_object_set_new(object, "patches", patches_of(recipe));
    json_object_set(object, "removed-flags", wrapper->removed);
    json_object_set_new(object, "measured",
                        json_pack("{s:O, s:I, s:I}", "seconds", seconds, "objects-reused",
                                  (json_int_t)wrapper->hits, "objects-compiled",
                                  (json_int_t)wrapper->misses));
    char *dumped = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    char *text = iw_strdup(dumped ? dumped : "{}");
    free(dumped);
    json_decref(object);
    return text;
}
