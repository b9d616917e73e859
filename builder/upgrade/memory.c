#include "upgrade/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"

#define FILE_LIMIT ((size_t)64 << 20)

/* Members of the report that choosing sets, and those that trying sources sets. */
static const char *const chosen[] = {"passed_over", "source", NULL};
static const char *const told[] = {"metadata", "crates", "patches", NULL};

static void carry(const json_t *from, json_t *to, const char *const *members)
{
    for (size_t i = 0; members[i]; i++)
        if (json_object_get(from, members[i]))
            json_object_set(to, members[i], json_object_get(from, members[i]));
}

/* --- the choice ----------------------------------------------------------- */

static char *choice_key(const iw_release *release)
{
    const char *only = release->rules.only, *meets = release->rules.meets;
    return iw_format("choice %s %s %s", release->recipe->path, only ? only : "-",
                     meets ? meets : "-");
}

bool iw_memory_choice(iw_release *release)
{
    iw_cleanup_free char *key = choice_key(release);
    const json_t *kept = json_object_get(release->memory, key);
    if (!kept) return false;
    release->to = iw_strdup(iw_json_get(kept, "to"));
    release->moves = json_deep_copy(json_object_get(kept, "moves"));
    release->exists = json_is_true(json_object_get(kept, "exists"));
    carry(kept, release->report, chosen);
    return true;
}

void iw_memory_keep_choice(iw_release *release)
{
    if (!release->memory) return;
    iw_cleanup_free char *key = choice_key(release);
    json_t *kept = json_pack("{s:s,s:b}", "to", release->to, "exists", release->exists);
    if (release->moves) json_object_set_new(kept, "moves", json_deep_copy(release->moves));
    carry(release->report, kept, chosen);
    json_object_set_new(release->memory, key, kept);
}

/* --- the sources ---------------------------------------------------------- */

static char *sources_key(const iw_release *release)
{
    return iw_format("sources %s %s", release->recipe->path, release->to);
}

static char *text_of(const iw_release *release, const char *relative)
{
    iw_cleanup_free char *path = iw_path_join(release->draft, relative);
    char *text = NULL;
    return iw_read_file(path, FILE_LIMIT, &text, NULL, NULL) == 0 ? text : NULL;
}

static bool is_as_before(const iw_release *release, const json_t *files)
{
    size_t i;
    const json_t *file;
    json_array_foreach(files, i, file)
    {
        iw_cleanup_free char *now = text_of(release, iw_json_get(file, "path"));
        const char *before = iw_json_get(file, "before");
        if (!now != !before || (now && strcmp(now, before) != 0)) return false;
    }
    return true;
}

static json_t *pack_metadata(const iw_metadata *metadata)
{
    return json_pack("{s:s?,s:s?,s:s?,s:o,s:o}", "python", metadata->python, "licence",
                     metadata->licence, "backend", metadata->backend, "build",
                     iw_json_texts((const char *const *)metadata->build.items,
                                   metadata->build.count),
                     "run",
                     iw_json_texts((const char *const *)metadata->run.items, metadata->run.count));
}

static void take_list(const json_t *list, iw_strings *out)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        iw_strings_add(out, json_string_value(one));
    }
}

static void take_metadata(const json_t *kept, iw_metadata *out)
{
    out->python = iw_strdup(iw_json_get(kept, "python"));
    out->licence = iw_strdup(iw_json_get(kept, "licence"));
    out->backend = iw_strdup(iw_json_get(kept, "backend"));
    take_list(json_object_get(kept, "build"), &out->build);
    take_list(json_object_get(kept, "run"), &out->run);
}

bool iw_memory_replay(iw_release *release, iw_metadata *before, iw_metadata *after)
{
    iw_cleanup_free char *key = sources_key(release);
    const json_t *kept = json_object_get(release->memory, key), *file,
                 *files = json_object_get(kept, "files");
    size_t i;
    if (!kept || !is_as_before(release, files)) return false;
    json_array_foreach(files, i, file)
    {
        if (iw_release_write(release, iw_json_get(file, "path"), iw_json_get(file, "after"),
                             NULL) != 0)
            return false; /* done in full, it says why */
    }
    carry(kept, release->report, told);
    take_metadata(json_object_get(kept, "old"), before);
    take_metadata(json_object_get(kept, "new"), after);
    return true;
}

void iw_memory_begin(iw_release *release)
{
    release->noted = release->memory ? json_array() : NULL;
}

/* JSON's null for a text that isn't UTF-8, which can't be kept. */
static json_t *text_or_null(const char *text)
{
    json_t *value = json_string(text);
    return value ? value : json_null();
}

/* What can't be kept is null; then nothing of it is (is_whole). */
void iw_memory_note(const iw_release *release, const char *relative, const char *text)
{
    size_t i;
    json_t *file;
    if (!release->noted) return;
    json_array_foreach(release->noted, i, file)
    {
        if (strcmp(iw_json_get(file, "path"), relative) != 0) continue;
        json_object_set_new(file, "after", text_or_null(text));
        return;
    }
    iw_cleanup_free char *before = text_of(release, relative);
    file = json_pack("{s:s,s:o}", "path", relative, "after", text_or_null(text));
    if (before) json_object_set_new(file, "before", text_or_null(before));
    json_array_append_new(release->noted, file);
}

static bool is_whole(const json_t *files)
{
    size_t i;
    const json_t *file;
    json_array_foreach(files, i, file)
    {
        if (!iw_json_get(file, "after") || json_is_null(json_object_get(file, "before")))
            return false;
    }
    return true;
}

void iw_memory_end(iw_release *release, bool good, const iw_metadata *before,
                   const iw_metadata *after)
{
    json_t *files = release->noted;
    release->noted = NULL;
    if (good && files && is_whole(files)) {
        iw_cleanup_free char *key = sources_key(release);
        json_t *kept = json_pack("{s:O,s:o,s:o}", "files", files, "old", pack_metadata(before),
                                 "new", pack_metadata(after));
        carry(release->report, kept, told);
        json_object_set_new(release->memory, key, kept);
    }
    json_decref(files);
}
