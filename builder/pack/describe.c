#include "pack/describe.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define TOOL "Tool: ironwheel"
#define CREATED                                                                                    \
    "1980-01-01T00:00:00Z" /* SOURCE_DATE_EPOCH: the same bytes whenever it is built               \
                            */

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* --- manifest ------------------------------------------------------------- */

static json_t *describe_source(const iw_source *source)
{
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_string(iw_source_kind_name(source->kind)));
    json_object_set_new(object, "name", text_or_null(source->name));
    json_object_set_new(object, "sha256", text_or_null(source->sha256));
    if (source->version) json_object_set_new(object, "version", json_string(source->version));
    if (source->file && source->kind != IW_SOURCE_LOCAL)
        json_object_set_new(object, "file", json_string(source->file));
    if (source->commit) json_object_set_new(object, "commit", json_string(source->commit));
    return object;
}

static json_t *describe_patch(const iw_patch *patch)
{
    json_t *object = json_object();
    json_object_set_new(object, "file", json_string(patch->file));
    if (patch->from) json_object_set_new(object, "from", json_string(patch->from));
    if (patch->sha256) json_object_set_new(object, "sha256", json_string(patch->sha256));
    if (patch->description)
        json_object_set_new(object, "description", json_string(patch->description));
    if (patch->origin) json_object_set_new(object, "origin", json_string(patch->origin));
    if (patch->author) json_object_set_new(object, "author", json_string(patch->author));
    if (patch->forwarded) json_object_set_new(object, "forwarded", json_string(patch->forwarded));
    if (patch->applies_to)
        json_object_set_new(object, "applies_to", json_string(patch->applies_to));
    return object;
}

static json_t *describe_host_library(const iw_host_library *library)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(library->name));
    json_object_set_new(object, "file", json_string(library->file));
    json_object_set_new(object, "reason", json_string(library->reason));
    return object;
}

static json_t *describe_package(const iw_node *node)
{
    const iw_recipe *recipe = node->recipe;
    json_t *object = json_object(), *sources = json_array(), *patches = json_array(),
           *needs = json_array();
    for (size_t i = 0; i < recipe->source_count; i++)
        json_array_append_new(sources, describe_source(&recipe->sources[i]));
    for (size_t i = 0; i < recipe->patch_count; i++)
        json_array_append_new(patches, describe_patch(&recipe->patches[i]));
    for (size_t i = 0; i < node->run_need_count; i++)
        json_array_append_new(needs, json_string(node->run_needs[i]->recipe->name));
    json_object_set_new(object, "name", json_string(recipe->name));
    json_object_set_new(object, "version", json_string(recipe->version));
    json_object_set_new(object, "licence", text_or_null(recipe->licence));
    json_object_set_new(object, "summary", text_or_null(recipe->summary));
    json_object_set_new(object, "plan_key", json_string(node->plan_key));
    json_object_set_new(object, "build_key", text_or_null(node->artifact.build_key));
    json_object_set_new(object, "content_sha256", text_or_null(node->artifact.content));
    json_object_set_new(object, "in_bundle", json_boolean(node->in_bundle));
    json_object_set_new(object, "needs", needs);
    json_object_set_new(object, "sources", sources);
    json_object_set_new(object, "patches", patches);
    if (recipe->host_library_count) {
        json_t *libraries = json_array();
        for (size_t i = 0; i < recipe->host_library_count; i++)
            json_array_append_new(libraries, describe_host_library(&recipe->host_libraries[i]));
        json_object_set_new(object, "host_libraries", libraries);
    }
    return object;
}

char *iw_manifest(const iw_plan *plan, const iw_floor *floor, const char *checks, const char *audit,
                  bool sandboxed, const char *stem)
{
    json_t *root = json_object(), *packages = json_array(), *profiles = json_array(),
           *glibc = json_object(), *toolchain = json_object();
    for (size_t i = 0; i < plan->node_count; i++)
        json_array_append_new(packages, describe_package(&plan->nodes[i]));
    for (size_t i = 0; i < plan->stack->profiles.count; i++)
        json_array_append_new(profiles, json_string(plan->stack->profiles.items[i]));
    json_t *symbols = json_array();
    iw_slice rest = iw_slice_of(floor->symbols ? floor->symbols : ""), line;
    while (iw_slice_next(&rest, '\n', &line))
        json_array_append_new(symbols, json_stringn(line.data, line.length));
    json_object_set_new(glibc, "floor", json_string(floor->version));
    json_object_set_new(glibc, "because_of", symbols);
    json_object_set_new(toolchain, "name", json_string(plan->toolchain->name));
    json_object_set_new(toolchain, "digest", json_string(plan->toolchain->digest));
    if (plan->toolchain->is_host)
        json_object_set_new(toolchain, "tools", text_or_null(plan->toolchain->summary));
    json_object_set_new(root, "format", json_integer(1));
    json_object_set_new(root, "bundle", json_string(stem));
    json_object_set_new(root, "bundle_format", json_string(IW_BUNDLE_FORMAT));
    json_object_set_new(root, "stack", json_string(plan->stack->name));
    json_object_set_new(root, "version", json_string(plan->stack->version));
    json_object_set_new(root, "profiles", profiles);
    json_object_set_new(root, "glibc", glibc);
    json_object_set_new(root, "toolchain", toolchain);
    json_object_set_new(root, "sandboxed", json_boolean(sandboxed));
    json_object_set_new(root, "packages", packages);
    json_t *results = checks ? json_loads(checks, 0, NULL) : NULL;
    json_object_set_new(root, "checks", results ? results : json_array());
    json_t *findings = audit ? json_loads(audit, 0, NULL) : NULL;
    json_object_set_new(root, "audit", findings ? findings : json_null());
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

/* --- SPDX 2.3 ------------------------------------------------------------- */

/* SPDXRef identifiers hold letters, digits, dots and dashes. */
static json_t *reference(const char *kind, const char *name, const char *version)
{
    iw_cleanup_free char *text = iw_format("SPDXRef-%s-%s-%s", kind, name, version);
    for (char *c = text; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", *c))
            *c = '-';
    return json_string(text);
}

static json_t *relation(json_t *from, const char *kind, json_t *to)
{
    json_t *object = json_object();
    json_object_set_new(object, "spdxElementId", from);
    json_object_set_new(object, "relationshipType", json_string(kind));
    json_object_set_new(object, "relatedSpdxElement", to);
    return object;
}

static json_t *checksum(const char *value)
{
    json_t *object = json_object(), *list = json_array();
    json_object_set_new(object, "algorithm", json_string("SHA256"));
    json_object_set_new(object, "checksumValue", json_string(value));
    json_array_append_new(list, object);
    return list;
}

static json_t *spdx_package(const iw_node *node)
{
    const iw_recipe *recipe = node->recipe;
    json_t *object = json_object();
    json_object_set_new(object, "SPDXID", reference("Package", recipe->name, recipe->version));
    json_object_set_new(object, "name", json_string(recipe->name));
    json_object_set_new(object, "versionInfo", json_string(recipe->version));
    json_object_set_new(object, "licenseDeclared",
                        json_string(recipe->licence ? recipe->licence : "NOASSERTION"));
    json_object_set_new(object, "licenseConcluded", json_string("NOASSERTION"));
    json_object_set_new(object, "copyrightText", json_string("NOASSERTION"));
    json_object_set_new(object, "downloadLocation", json_string("NOASSERTION"));
    json_object_set_new(object, "filesAnalyzed", json_false());
    if (recipe->homepage) json_object_set_new(object, "homepage", json_string(recipe->homepage));
    if (recipe->summary) json_object_set_new(object, "summary", json_string(recipe->summary));
    /* The digest of what the package was made of: its first source. */
    if (recipe->source_count && recipe->sources[0].sha256)
        json_object_set_new(object, "checksums", checksum(recipe->sources[0].sha256));
    return object;
}

static void add_relations(json_t *list, const iw_node *node)
{
    const iw_recipe *recipe = node->recipe;
    if (node->in_bundle)
        json_array_append_new(list, relation(json_string("SPDXRef-DOCUMENT"), "DESCRIBES",
                                             reference("Package", recipe->name, recipe->version)));
    for (size_t i = 0; i < node->run_need_count; i++) {
        const iw_recipe *needed = node->run_needs[i]->recipe;
        json_array_append_new(list, relation(reference("Package", recipe->name, recipe->version),
                                             "DEPENDS_ON",
                                             reference("Package", needed->name, needed->version)));
    }
    for (size_t i = 0; i < node->build_need_count; i++) {
        const iw_recipe *tool = node->build_needs[i]->recipe;
        json_array_append_new(list, relation(reference("Package", tool->name, tool->version),
                                             "BUILD_TOOL_OF",
                                             reference("Package", recipe->name, recipe->version)));
    }
}

char *iw_spdx(const iw_plan *plan, const char *stem)
{
    json_t *root = json_object(), *creation = json_object(), *creators = json_array(),
           *packages = json_array(), *relations = json_array();
    iw_cleanup_free char *space =
        iw_format("https://spdx.org/spdxdocs/%s-%s", stem, plan->bundle_key);
    json_array_append_new(creators, json_string(TOOL));
    json_object_set_new(creation, "created", json_string(CREATED));
    json_object_set_new(creation, "creators", creators);
    for (size_t i = 0; i < plan->node_count; i++) {
        json_array_append_new(packages, spdx_package(&plan->nodes[i]));
        add_relations(relations, &plan->nodes[i]);
    }
    json_object_set_new(root, "spdxVersion", json_string("SPDX-2.3"));
    json_object_set_new(root, "dataLicense", json_string("CC0-1.0"));
    json_object_set_new(root, "SPDXID", json_string("SPDXRef-DOCUMENT"));
    json_object_set_new(root, "name", json_string(stem));
    json_object_set_new(root, "documentNamespace", json_string(space));
    json_object_set_new(root, "creationInfo", creation);
    json_object_set_new(root, "packages", packages);
    json_object_set_new(root, "relationships", relations);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(root);
    return text;
}
