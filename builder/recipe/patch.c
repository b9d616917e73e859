/* Patches: the expanded list, and the DEP-3 headers of ours
 * (https://dep-team.pages.debian.net/deps/dep3/). */
#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/catalog.h"

#define MAX_PATCH ((size_t)16 << 20)

/* Where the header ends: at the change itself, or at git's "---". */
static bool ends_header(iw_slice line)
{
    static const char *const starts[] = {"--- ", "+++ ", "diff ", "Index: ", "@@ ", "index "};
    if (iw_slice_equal(iw_slice_trim(line), "---")) return true;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (line.length >= strlen(starts[i]) &&
            memcmp(line.data, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static bool field(iw_slice line, const char *name, iw_slice *value)
{
    size_t length = strlen(name);
    if (line.length <= length || strncasecmp(line.data, name, length) != 0 ||
        line.data[length] != ':')
        return false;
    *value = iw_slice_trim((iw_slice){line.data + length + 1, line.length - length - 1});
    return true;
}

/* The value of a field with its continuation lines folded into one, or NULL where it is missing or
 * empty. */
static const char *header_field(iw_arena *arena, const char *text, const char *name)
{
    iw_slice rest = iw_slice_of(text), line, value;
    iw_cleanup_buffer iw_buffer folded = {0};
    bool inside = false;
    while (iw_slice_next(&rest, '\n', &line) && !ends_header(line)) {
        bool more = inside && line.length > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
        if (inside && !more) break;
        if (more) value = iw_slice_trim(line);
        else if (!field(line, name, &value)) continue;
        inside = true;
        if (folded.length && value.length) iw_buffer_add_char(&folded, ' ');
        iw_buffer_add(&folded, value.data, value.length);
    }
    return folded.length ? iw_arena_strdup(arena, folded.data) : NULL;
}

static const char *either_field(iw_arena *arena, const char *text, const char *name,
                                const char *other)
{
    const char *value = header_field(arena, text, name);
    return value ? value : header_field(arena, text, other);
}

int iw_patch_header(iw_arena *arena, const char *file, const char *text, iw_patch *patch,
                    iw_error *err)
{
    patch->description = either_field(arena, text, "Description", "Subject");
    patch->origin = header_field(arena, text, "Origin");
    patch->author = either_field(arena, text, "Author", "From");
    patch->forwarded = header_field(arena, text, "Forwarded");
    patch->applies_to = header_field(arena, text, "Applies-To");
    const char *lacking = !patch->description                ? "Description"
                          : !patch->origin && !patch->author ? "Origin (or Author)"
                          : !patch->forwarded                ? "Forwarded"
                          : !patch->applies_to               ? "Applies-To"
                                                             : NULL;
    if (lacking)
        return iw_fail(
            err, IW_E_RECIPE,
            "%s:1:1: the patch's DEP-3 header lacks %s; write \"%.*s: …\" above the change", file,
            lacking, (int)strcspn(lacking, " "), lacking);
    return 0;
}

bool iw_patch_applies(const char *applies_to, const char *version)
{
    iw_cleanup_free char *label_less = iw_strndup(version, strcspn(version, "+"));
    iw_cleanup_free char *words = iw_strdup(applies_to);
    char *state = NULL;
    for (char *word = strtok_r(words, " ,;", &state); word; word = strtok_r(NULL, " ,;", &state))
        if (fnmatch(word, version, 0) == 0 || fnmatch(word, label_less, 0) == 0) return true;
    return false;
}

static int load_ours(iw_catalog *catalog, iw_patch *patch, const char *version, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_parent(patch->place.file);
    const char *file =
        iw_arena_format(catalog->arena, "patches/%s/%s", iw_path_base(folder), patch->file);
    iw_cleanup_free char *path = iw_path_join(catalog->root, file);
    iw_cleanup_free char *text = NULL;
    size_t length;
    struct stat status;
    if (lstat(path, &status) || !S_ISREG(status.st_mode))
        return iw_fail_at(err, &patch->place, "the patch %s isn't there", file);
    if (iw_read_file(path, MAX_PATCH, &text, &length, err))
        return iw_wrap(err, "%s:%d:%d", patch->place.file, patch->place.line, patch->place.column);
    if (iw_patch_header(catalog->arena, file, text, patch, err)) return -1;
    if (!iw_patch_applies(patch->applies_to, version))
        return iw_fail_at(err, &patch->place,
                          "%s says \"Applies-To: %s\", which doesn't name %s; see that it does the "
                          "right thing there, "
                          "and add the version",
                          file, patch->applies_to, version);
    char hex[IW_SHA256_HEX];
    iw_hash_bytes(text, length, hex);
    patch->sha256 = iw_arena_strdup(catalog->arena, hex);
    patch->path = iw_arena_strdup(catalog->arena, path);
    return 0;
}

static int check_from(const iw_recipe *recipe, const char *from, const iw_yaml *node, iw_error *err)
{
    const char *ids[IW_DOCUMENT_MAX_ENTRIES];
    for (size_t i = 0; i < recipe->source_count; i++) {
        ids[i] = recipe->sources[i].id;
        if (strcmp(ids[i], from) == 0) return 0;
    }
    const char *near = iw_nearest(from, ids, recipe->source_count);
    return iw_fail_at(err, &iw_yaml_find(node, "from")->place, "no source has \"id: %s\"%s%s%s",
                      from, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int add_patch(iw_catalog *catalog, iw_recipe_draft *draft, iw_patch *patch, iw_error *err)
{
    iw_recipe *recipe = &draft->recipe;
    for (size_t i = 0; i < recipe->patch_count; i++) {
        const iw_patch *other = &recipe->patches[i];
        if (strcmp(other->file, patch->file) == 0 && !other->from == !patch->from &&
            (!patch->from || strcmp(other->from, patch->from) == 0))
            return iw_fail_at(err, &patch->place, "the patch \"%s\" is named twice", patch->file);
    }
    if (!patch->from && catalog->root && load_ours(catalog, patch, recipe->version, err)) return -1;
    ((iw_patch *)recipe->patches)[recipe->patch_count++] = *patch;
    return 0;
}

static int add_entry(iw_catalog *catalog, iw_recipe_draft *draft, const iw_patch_entry *entry,
                     const iw_yaml *node, iw_error *err)
{
    iw_patch patch = {.place = node->place, .file = entry->file, .strip = 1};
    if (entry->file) return add_patch(catalog, draft, &patch, err);
    if (entry->from && check_from(&draft->recipe, entry->from, node, err)) return -1;
    const iw_yaml *item = iw_yaml_find(node, "files")->first;
    for (size_t i = 0; i < entry->files.count; i++, item = item->next) {
        patch = (iw_patch){.place = item->place,
                           .file = entry->files.items[i],
                           .from = entry->from,
                           .strip = entry->strip};
        if (add_patch(catalog, draft, &patch, err)) return -1;
    }
    return 0;
}

int iw_patches_finish(iw_catalog *catalog, const iw_yaml *list, iw_recipe_draft *draft,
                      iw_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < draft->entry_count; i++)
        count += draft->entries[i].file ? 1 : draft->entries[i].files.count;
    if (list && count > IW_DOCUMENT_MAX_ENTRIES)
        return iw_fail_at(err, &list->place, "more than %d patches", IW_DOCUMENT_MAX_ENTRIES);
    draft->recipe.patches = iw_arena_alloc(catalog->arena, (count + 1) * sizeof(iw_patch));
    const iw_yaml *node = list ? list->first : NULL;
    for (size_t i = 0; i < draft->entry_count; i++, node = node->next)
        if (add_entry(catalog, draft, &draft->entries[i], node, err)) return -1;
    return 0;
}
