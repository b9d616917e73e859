/* What sources need beyond their table: defaults from one another, places inside, digests of local
 * files. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/catalog.h"

const char *iw_place_folder(iw_arena *arena, const iw_place *place)
{
    iw_cleanup_free char *folder = iw_path_parent(place->file);
    return iw_arena_strdup(arena, folder);
}

/* The last part of a URL's path, without query and fragment. */
static const char *url_file(iw_arena *arena, const char *url)
{
    size_t length = strcspn(url, "?#");
    size_t start = length;
    while (start > 0 && url[start - 1] != '/') start--;
    return iw_arena_strndup(arena, url + start, length - start);
}

static unsigned default_strip(const iw_source *source)
{
    if (!source->file || source->kind == IW_SOURCE_LOCAL) return 0;
    if (source->wheel || iw_ends_with(source->file, ".whl") || iw_ends_with(source->file, ".deb"))
        return 0;
    return strstr(source->file, ".debian.tar") ? 0 : 1;
}

/* "1.26.4" of "1.26.4+cu126": PyPI's own versions have no local labels. */
static const char *public_version(iw_arena *arena, const char *version)
{
    return iw_arena_strndup(arena, version, strcspn(version, "+"));
}

static void finish_to(iw_catalog *catalog, iw_source *source, size_t number)
{
    if (source->kind == IW_SOURCE_CRATES) source->to = "vendor";
    else if (!source->to && source->kind == IW_SOURCE_LOCAL && !source->unpack)
        source->to = "."; /* below $FILES */
    else if (!source->to)
        source->to = number == 1 ? "." : iw_arena_format(catalog->arena, ".iw/%s", source->id);
    iw_cleanup_free char *clean = iw_path_clean(source->to);
    source->to = iw_arena_strdup(catalog->arena, *clean ? clean : ".");
}

/* The name of a file comes from the URL: it must be one. */
static int finish_url(iw_catalog *catalog, iw_source *source, iw_error *err)
{
    if (!source->file) source->file = url_file(catalog->arena, source->name);
    if (!iw_text_rule_of(IW_T_FILE_NAME)->fits(source->file) || strchr(source->file, '%'))
        return iw_fail_at(err, &source->place,
                          "the URL ends in no plain file name; give one with \"file\"");
    return 0;
}

static int finish_local(iw_catalog *catalog, iw_source *source, const iw_yaml *node, iw_error *err)
{
    iw_place place = iw_yaml_find(node, "local")->place;
    if (!catalog->root) return 0;
    const char *folder = iw_place_folder(catalog->arena, &place);
    iw_cleanup_free char *top = iw_path_join(catalog->root, folder);
    iw_cleanup_free char *path = iw_path_join(top, source->name);
    iw_cleanup_free char *clean = iw_path_clean(path);
    iw_cleanup_free char *real_top = realpath(top, NULL), *real = realpath(clean, NULL);
    if (!real || !real_top)
        return iw_fail_at(err, &place, "%s/%s isn't there", folder, source->name);
    size_t length = strlen(real_top);
    if (strncmp(real, real_top, length) != 0 || real[length] != '/')
        return iw_fail_at(err, &place, "%s/%s leads out of the recipe's folder through a link",
                          folder, source->name);
    char hex[IW_SHA256_HEX];
    if (iw_tree_digest(real, hex, err)) {
        iw_wrap(err, "%s:%d:%d", place.file, place.line, place.column);
        return -1;
    }
    source->sha256 = iw_arena_strdup(catalog->arena, hex);
    source->local_path = iw_arena_strdup(catalog->arena, real);
    source->file = iw_arena_strdup(catalog->arena, iw_path_base(clean));
    return 0;
}

static int unique_id(const iw_recipe *recipe, size_t index, const iw_yaml *node, iw_error *err)
{
    const iw_source *sources = recipe->sources;
    for (size_t i = 0; i < index; i++)
        if (strcmp(sources[i].id, sources[index].id) == 0) {
            const iw_yaml *id = iw_yaml_find(node, "id");
            return iw_fail_at(err, id ? &id->place : &node->place, "two sources are called \"%s\"",
                              sources[index].id);
        }
    return 0;
}

static int finish_source(iw_catalog *catalog, iw_recipe *recipe, size_t index, const iw_yaml *node,
                         iw_error *err)
{
    iw_source *source = (iw_source *)&recipe->sources[index];
    if (!source->id) source->id = iw_arena_format(catalog->arena, "%zu", index + 1);
    if (source->kind == IW_SOURCE_PYPI && !source->version)
        source->version = public_version(catalog->arena, recipe->version);
    if (source->kind == IW_SOURCE_URL && finish_url(catalog, source, err)) return -1;
    if (source->kind == IW_SOURCE_GIT || source->kind == IW_SOURCE_CRATES) source->unpack = true;
    if (source->kind == IW_SOURCE_LOCAL && finish_local(catalog, source, node, err)) return -1;
    if (!iw_yaml_find(node, "strip")) source->strip = default_strip(source);
    if (source->kind == IW_SOURCE_CRATES && index == 0)
        return iw_fail_at(
            err, &node->place,
            "\"crates\" reads a Cargo.lock below $SRC: a source before it must bring that");
    finish_to(catalog, source, index + 1);
    return unique_id(recipe, index, node, err);
}

int iw_sources_finish(iw_catalog *catalog, const iw_yaml *list, iw_recipe *recipe, iw_error *err)
{
    const iw_yaml *node = list ? list->first : NULL;
    for (size_t i = 0; i < recipe->source_count; i++, node = node->next)
        if (finish_source(catalog, recipe, i, node, err)) return -1;
    return 0;
}
