/* Patches: the expanded list, and the DEP-3 headers of ours
 * (https://dep-team.pages.debian.net/deps/dep3/). */
#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/catalog.h"

static bool begins(iw_slice line, const char *word)
{
    return line.length >= strlen(word) && memcmp(line.data, word, strlen(word)) == 0;
}

static bool begins_one_of(iw_slice line, const char *const *words)
{
    while (*words && !begins(line, *words)) words++;
    return *words != NULL;
}

/* --- where the change starts ---------------------------------------------- */

/* A line that a unified or context diff of one file starts with, known by the one below it. */
static bool opens_file(iw_slice line, iw_slice below)
{
    return (begins(line, "--- ") && begins(below, "+++ ")) ||
           (begins(line, "*** ") && begins(below, "--- "));
}

/* What git writes between `diff --git` and the hunks; the whole change where there are none. */
static bool is_extended(iw_slice line)
{
    static const char *const words[] = {"old mode ",         "new mode ",
                                        "new file mode ",    "deleted file mode ",
                                        "similarity index ", "dissimilarity index ",
                                        "rename from ",      "copy from ",
                                        "GIT binary patch",  NULL};
    return begins_one_of(line, words);
}

/* What may stand between the line that names a file and its diff. */
static bool leads_on(iw_slice line)
{
    static const char *const words[] = {
        "diff ", "Index: ", "====", "index ", "RCS file: ", "retrieving revision ", NULL};
    return begins_one_of(line, words);
}

size_t iw_patch_change(const char *text, size_t length)
{
    iw_slice rest = {text, length}, line, below;
    const char *lead = NULL; /* the first of the lines directly above that name the file */
    bool git = false;        /* `diff --git` is among them */
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_slice after = rest;
        if (!iw_slice_next(&after, '\n', &below)) below = (iw_slice){"", 0};
        if (opens_file(line, below) || (git && is_extended(line)))
            return (size_t)((lead ? lead : line.data) - text);
        if (!leads_on(line)) {
            lead = NULL;
            git = false;
        } else if (lead || begins(line, "diff ") || begins(line, "Index: ")) {
            lead = lead ? lead : line.data;
            git = git || begins(line, "diff --git ");
        }
    }
    return length;
}

/* --- the header ----------------------------------------------------------- */

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
static const char *header_field(iw_arena *arena, iw_slice header, const char *name)
{
    iw_slice rest = header, line, value;
    iw_cleanup_buffer iw_buffer folded = {0};
    bool inside = false;
    while (iw_slice_next(&rest, '\n', &line)) {
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

static const char *either_field(iw_arena *arena, iw_slice header, const char *name,
                                const char *other)
{
    const char *value = header_field(arena, header, name);
    return value ? value : header_field(arena, header, other);
}

/* What stands above the change, up to a line "---", as DEP-3 and git have it. */
static iw_slice header_of(const char *text, size_t change)
{
    iw_slice rest = {text, change}, line;
    while (iw_slice_next(&rest, '\n', &line))
        if (iw_slice_equal(iw_slice_trim(line), "---"))
            return (iw_slice){text, (size_t)(line.data - text)};
    return (iw_slice){text, change};
}

int iw_patch_header(iw_arena *arena, const char *file, const char *text, size_t change,
                    iw_patch *patch, iw_error *err)
{
    iw_slice header = header_of(text, change);
    patch->description = either_field(arena, header, "Description", "Subject");
    patch->origin = header_field(arena, header, "Origin");
    patch->author = either_field(arena, header, "Author", "From");
    patch->forwarded = header_field(arena, header, "Forwarded");
    patch->applies_to = header_field(arena, header, "Applies-To");
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

/* --- the list ------------------------------------------------------------- */

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
    if (iw_read_file(path, IW_PATCH_LIMIT, &text, &length, err))
        return iw_wrap(err, "%s:%d:%d", patch->place.file, patch->place.line, patch->place.column);
    size_t change = iw_patch_change(text, length);
    if (iw_patch_header(catalog->arena, file, text, change, patch, err)) return -1;
    if (change == length)
        return iw_fail_at(err, &patch->place,
                          "%s changes no file: no line \"--- …\" has a line \"+++ …\" below it",
                          file);
    if (!iw_patch_applies(patch->applies_to, version))
        return iw_fail_at(err, &patch->place,
                          "%s says \"Applies-To: %s\", which doesn't name %s; see that it does the "
                          "right thing there, "
                          "and add the version",
                          file, patch->applies_to, version);
    char hex[IW_SHA256_HEX];
    iw_hash_bytes(text, length, hex);
    patch->sha256 = iw_arena_strdup(catalog->arena, hex);
    iw_hash_bytes(text + change, length - change, hex);
    patch->change_sha256 = iw_arena_strdup(catalog->arena, hex);
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
