/* Recipes: `like`, and everything that one key has to do with another. */
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "recipe/catalog.h"

/* Keys that `like` never takes over. */
static bool own_key(const char *name)
{
    return strcmp(name, "name") == 0 || strcmp(name, "version") == 0 || strcmp(name, "like") == 0;
}

static iw_yaml *copy_key(iw_arena *arena, const iw_yaml *key)
{
    iw_yaml *copy = iw_arena_alloc(arena, sizeof *copy);
    *copy = *key;
    copy->next = NULL;
    return copy;
}

static iw_yaml *merge(iw_arena *arena, const iw_yaml *own, const iw_yaml *other)
{
    iw_yaml *merged = iw_arena_alloc(arena, sizeof *merged), **tail = &merged->first;
    *merged = *own;
    merged->first = NULL;
    for (const iw_yaml *key = own->first; key; key = key->next, tail = &(*tail)->next)
        *tail = copy_key(arena, key);
    for (const iw_yaml *key = other->first; key; key = key->next) {
        if (own_key(key->text) || iw_yaml_find(own, key->text)) continue;
        *tail = copy_key(arena, key);
        tail = &(*tail)->next;
        merged->count++;
    }
    return merged;
}

/* "; did you mean …" for a recipe that isn't there: another version of that name, or another name.
 */
static const char *recipe_hint(iw_catalog *catalog, const char *name, const char *version)
{
    iw_list list;
    if (iw_catalog_versions(catalog, name, &list, NULL) == 0 && list.count > 0) {
        iw_cleanup_buffer iw_buffer text = {0};
        for (size_t i = 0; i < list.count && i < 20; i++)
            iw_buffer_add_format(&text, "%s%s", i ? ", " : "; there is ", list.items[i]);
        (void)version;
        return iw_arena_strdup(catalog->arena, text.data);
    }
    return iw_catalog_names(catalog, &list, NULL) ? ""
                                                  : iw_did_you_mean(catalog->arena, name, &list);
}

int iw_fail_no_recipe(iw_catalog *catalog, const iw_place *place, const char *name,
                      const char *version, iw_error *err)
{
    const char *hint = recipe_hint(catalog, name, version);
    if (place) return iw_fail_at(err, place, "there is no recipe %s/%s%s", name, version, hint);
    return iw_fail(err, IW_E_RECIPE, "there is no recipe %s/%s%s", name, version, hint);
}

static int read_like(iw_catalog *catalog, const iw_yaml *like, const iw_chain *chain, iw_yaml **out,
                     iw_error *err)
{
    const iw_text_rule *rule = iw_text_rule_of(IW_T_LIKE);
    if (like->kind != IW_YAML_SCALAR || !rule->fits(like->text) || strlen(like->text) > rule->limit)
        return iw_fail_at(err, &like->place, "\"like\" expects %s, another recipe", rule->what);
    const char *cycle = iw_chain_cycle(catalog->arena, chain, like->text);
    if (cycle) return iw_fail_at(err, &like->place, "\"like\" goes round in a circle: %s", cycle);
    const char *slash = strchr(like->text, '/');
    const char *name = iw_arena_strndup(catalog->arena, like->text, (size_t)(slash - like->text));
    const char *file = iw_arena_format(catalog->arena, "recipes/%s.yaml", like->text);
    if (!iw_catalog_has(catalog, file))
        return iw_fail_no_recipe(catalog, &like->place, name, slash + 1, err);
    return iw_catalog_read(catalog, file, out, err);
}

/* Follows `like` to its end and lays the nearer file's keys over the farther one's. */
static int merge_like(iw_catalog *catalog, iw_yaml **root, const iw_chain *chain, iw_error *err)
{
    const iw_yaml *like = iw_yaml_find(*root, "like");
    if (!like) return 0;
    iw_yaml *other;
    if (read_like(catalog, like, chain, &other, err)) return -1;
    iw_chain inner = {like->text, chain};
    if (merge_like(catalog, &other, &inner, err)) return -1;
    *root = merge(catalog->arena, *root, other);
    return 0;
}

static int check_identity(const iw_yaml *root, const char *key, const char *expected,
                          const char *where, iw_error *err)
{
    const iw_yaml *node = iw_yaml_find(root, key);
    if (strcmp(node->text, expected) == 0) return 0;
    return iw_fail_at(err, &node->place,
                      "\"%s\" is \"%s\", but the %s says \"%s\"; they must be equal", key,
                      node->text, where, expected);
}

int iw_load_recipe(iw_catalog *catalog, const char *name, const char *version, const char *file,
                   iw_recipe **out, iw_error *err)
{
    iw_yaml *root;
    if (iw_catalog_read(catalog, file, &root, err)) return -1;
    iw_chain chain = {iw_arena_format(catalog->arena, "%s/%s", name, version), NULL};
    if (merge_like(catalog, &root, &chain, err)) return -1;
    iw_recipe_draft *draft = iw_arena_alloc(catalog->arena, sizeof *draft);
    if (iw_shape_read(catalog->arena, &iw_shape_recipe, root, draft, err) ||
        check_identity(root, "name", name, "folder's name", err) ||
        check_identity(root, "version", version, "file's name", err))
        return -1;
    iw_cleanup_free char *path = iw_path_join(catalog->root, file), *folder = iw_path_parent(path);
    draft->recipe.path = file;
    draft->recipe.folder = iw_arena_strdup(catalog->arena, folder);
    if (iw_recipe_finish(catalog, root, draft, err)) return -1;
    *out = &draft->recipe;
    return 0;
}

/* --- checks --------------------------------------------------------------- */

static const char *import_name(iw_arena *arena, const iw_list *modules)
{
    iw_cleanup_buffer iw_buffer name = {0};
    iw_buffer_add_text(&name, "import");
    for (size_t i = 0; i < modules->count; i++)
        iw_buffer_add_format(&name, " %s", modules->items[i]);
    return iw_arena_strdup(arena, name.data);
}

static int finish_check(iw_arena *arena, iw_check *check, const iw_yaml *node, iw_error *err)
{
    const char *key = check->kind == IW_CHECK_IMPORT ? "import" : "command";
    if ((check->kind == IW_CHECK_IMPORT || check->kind == IW_CHECK_COMMAND) &&
        check->arguments.count == 0)
        return iw_fail_at(err, &iw_yaml_find(node, key)->place, "\"%s\" is empty", key);
    if (check->kind == IW_CHECK_COMMAND &&
        !iw_text_rule_of(IW_T_PATH)->fits(check->arguments.items[0]))
        return iw_fail_at(err, &iw_yaml_find(node, key)->first->place,
                          "the program must be a path below the environment, as bin/xz");
    if (!check->name) check->name = import_name(arena, &check->arguments);
    return 0;
}

int iw_checks_finish(iw_arena *arena, const iw_yaml *list, iw_check *checks, size_t count,
                     iw_error *err)
{
    const iw_yaml *node = list ? list->first : NULL;
    for (size_t i = 0; i < count; i++, node = node->next) {
        if (finish_check(arena, &checks[i], node, err)) return -1;
        for (size_t k = 0; k < i; k++)
            if (strcmp(checks[k].name, checks[i].name) == 0)
                return iw_fail_at(err, &node->place, "two checks are called \"%s\"",
                                  checks[i].name);
    }
    return 0;
}

static int check_keep(const iw_recipe *recipe, iw_error *err)
{
    for (size_t i = 0; i < recipe->keep_prefix_count; i++) {
        const iw_reasoned *keep = &recipe->keep_prefix[i];
        bool found = keep->check == NULL;
        for (size_t k = 0; k < recipe->check_count; k++)
            found = found || strcmp(recipe->checks[k].name, keep->check) == 0;
        if (!found)
            return iw_fail_at(err, &keep->place, "the recipe has no check called \"%s\"",
                              keep->check);
    }
    return 0;
}

/* Numbers, and only where the policy reads them. */
static int check_tried(const iw_recipe *recipe, iw_error *err)
{
    for (size_t i = 0; i < recipe->tried_count; i++) {
        const iw_tried *tried = &recipe->tried[i];
        uint64_t number;
        if (recipe->policy != IW_POLICY_TRIED)
            return iw_fail_at(err, &tried->place, "\"tried\" is read only with \"policy: tried\"");
        if (tried->holds_count == 0)
            return iw_fail_at(err, &tried->place,
                              "\"holds\" is empty; say what the audit found, as {avx: 12}");
        for (size_t k = 0; k < tried->holds_count; k++)
            if (!iw_parse_unsigned(tried->holds[k].value, UINT64_MAX, &number) || number == 0)
                return iw_fail_at(err, &tried->place,
                                  "\"holds\" expects a number of instructions for %s, from 1",
                                  tried->holds[k].name);
    }
    return 0;
}

static int check_todo(const iw_yaml *root, const iw_list *todo, iw_error *err)
{
    if (todo->count == 0) return 0;
    iw_cleanup_free char *first = iw_shown(todo->items[0]);
    return iw_fail_at(err, &iw_yaml_find(root, "todo")->first->place,
                      "something is left to do: %s; settle it, then remove the line", first);
}

/* --- the rest ------------------------------------------------------------- */

static int check_needs(const iw_recipe *recipe, const iw_needs *needs, iw_error *err)
{
    for (size_t i = 0; i < needs->count; i++)
        if (strcmp(needs->items[i].name, recipe->name) == 0)
            return iw_fail_at(err, &needs->items[i].place, "\"%s\" needs itself", recipe->name);
    return 0;
}

static int check_build(const iw_recipe *recipe, const iw_yaml *root, iw_error *err)
{
    const iw_build *build = &recipe->build;
    const iw_yaml *node = iw_yaml_find(root, "build");
    if (build->system == IW_SYSTEM_SCRIPT && !build->prepare && !build->configure &&
        !build->compile && !build->install_script && !build->finish)
        return iw_fail_at(
            err, &node->place,
            "\"script\" without a step; give \"compile\", \"install-script\" or another");
    if (build->system != IW_SYSTEM_SCRIPT && recipe->source_count == 0)
        return iw_fail_at(err, &recipe->place,
                          "a recipe needs \"sources\" (only system \"script\" does without)");
    for (size_t i = 0; i < build->environment_count; i++)
        if (iw_starts_with(build->environment[i].name, "IRONWHEEL_"))
            return iw_fail_at(err, &node->place,
                              "\"environment\" sets %s; names that start with IRONWHEEL_ are taken",
                              build->environment[i].name);
    return 0;
}

/* Of a local source no key is what counts, but what the key leads to. */
static void add_local(iw_buffer *out, const iw_recipe *recipe)
{
    for (size_t i = 0; i < recipe->source_count; i++) {
        if (recipe->sources[i].kind != IW_SOURCE_LOCAL) continue;
        iw_cleanup_free char *prefix = iw_format("sources[%zu].", i + 1);
        iw_meaning_text(out, prefix, "file", recipe->sources[i].file);
        iw_meaning_text(out, prefix, "sha256", recipe->sources[i].sha256);
    }
}

static void add_patches(iw_buffer *out, const iw_recipe *recipe)
{
    for (size_t i = 0; i < recipe->patch_count; i++) {
        const iw_patch *patch = &recipe->patches[i];
        size_t source = 0;
        while (patch->from && strcmp(recipe->sources[source].id, patch->from) != 0) source++;
        if (patch->from) iw_buffer_add_format(out, "patches[%zu].from %zu\n", i + 1, source + 1);
        iw_buffer_add_format(out, "patches[%zu].strip %u\n", i + 1, patch->strip);
        iw_cleanup_buffer iw_buffer prefix = {0};
        iw_buffer_add_format(&prefix, "patches[%zu].", i + 1);
        if (patch->from) iw_meaning_text(out, prefix.data, "file", patch->file);
        else iw_meaning_text(out, prefix.data, "sha256", patch->change_sha256);
    }
}

int iw_recipe_finish(iw_catalog *catalog, const iw_yaml *root, iw_recipe_draft *draft,
                     iw_error *err)
{
    iw_recipe *recipe = &draft->recipe;
    if (iw_sources_finish(catalog, iw_yaml_find(root, "sources"), recipe, err) ||
        iw_patches_finish(catalog, iw_yaml_find(root, "patches"), draft, err) ||
        check_needs(recipe, &recipe->build_needs, err) ||
        check_needs(recipe, &recipe->run_needs, err) || check_build(recipe, root, err) ||
        iw_checks_finish(catalog->arena, iw_yaml_find(root, "checks"), (iw_check *)recipe->checks,
                         recipe->check_count, err) ||
        check_keep(recipe, err) || check_tried(recipe, err) || check_todo(root, &draft->todo, err))
        return -1;
    if (recipe->build.link_memory == 0) recipe->build.link_memory = recipe->build.memory;
    iw_cleanup_free char *directory = iw_path_clean(recipe->build.directory);
    recipe->build.directory = iw_arena_strdup(catalog->arena, *directory ? directory : ".");
    iw_cleanup_buffer iw_buffer meaning = {0};
    iw_buffer_add_text(&meaning, "recipe-meaning 1\n");
    iw_shape_meaning(&meaning, "", &iw_shape_recipe, draft);
    add_local(&meaning, recipe);
    add_patches(&meaning, recipe);
    recipe->meaning = iw_arena_strdup(catalog->arena, meaning.data);
    return 0;
}
