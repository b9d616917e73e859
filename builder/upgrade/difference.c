#include "upgrade/difference.h"

#include <string.h>
#include <sys/stat.h>

#include "audit/audit.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "deliver/bundle_file.h"
#include "deliver/verify.h"

/* --- manifests ------------------------------------------------------------ */

static void put_list(json_t *out, const char *key, json_t *list)
{
    if (json_array_size(list) || json_object_size(list)) json_object_set(out, key, list);
    json_decref(list);
}

static const json_t *find_package(const json_t *manifest, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(manifest, "packages"), i, one)
    {
        const char *other = iw_json_get(one, "name");
        if (other && strcmp(other, name) == 0) return one;
    }
    return NULL;
}

static bool holds(const json_t *list, const char *text)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), text) == 0) return true;
    }
    return false;
}

/* The texts of `list` that `other` lacks. */
static json_t *only_in(const json_t *list, const json_t *other)
{
    json_t *out = json_array(), *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && !holds(other, json_string_value(one)))
            json_array_append(out, one);
    }
    return out;
}

static void add_needs(json_t *out, const char *name, const json_t *before, const json_t *after)
{
    json_t *old_needs = json_object_get(before, "needs"),
           *new_needs = json_object_get(after, "needs"), *added = only_in(new_needs, old_needs),
           *removed = only_in(old_needs, new_needs);
    if (json_array_size(added) || json_array_size(removed))
        json_array_append_new(out, json_pack("{s:s,s:O,s:O}", "package", name, "added", added,
                                             "removed", removed));
    json_decref(added);
    json_decref(removed);
}

static void compare_packages(const json_t *before, const json_t *after, json_t *packages,
                             json_t *needs)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(after, "packages"), i, one)
    {
        const char *name = iw_json_get(one, "name"), *to = iw_json_get(one, "version");
        const json_t *old = name ? find_package(before, name) : NULL;
        const char *from = iw_json_get(old, "version");
        if (!name || !to) continue;
        if (!from || strcmp(from, to) != 0)
            json_array_append_new(packages, json_pack("{s:s,s:s?,s:s}", "name", name, "from", from,
                                                      "to", to));
        if (old) add_needs(needs, name, old, one);
    }
    json_array_foreach(json_object_get(before, "packages"), i, one)
    {
        const char *name = iw_json_get(one, "name");
        if (name && !find_package(after, name))
            json_array_append_new(packages, json_pack("{s:s,s:s?,s:n}", "name", name, "from",
                                                      iw_json_get(one, "version"), "to"));
    }
}

/* {"numpy: svd (k10)": passed} */
static json_t *checks_of(const json_t *manifest)
{
    json_t *out = json_object(), *one;
    size_t i;
    json_array_foreach(json_object_get(manifest, "checks"), i, one)
    {
        const char *package = iw_json_get(one, "package"), *name = iw_json_get(one, "name"),
                   *profile = iw_json_get(one, "profile");
        if (!package || !name || !profile) continue;
        iw_cleanup_free char *key = iw_format("%s: %s (%s)", package, name, profile);
        json_object_set(out, key, json_object_get(one, "passed"));
    }
    return out;
}

static json_t *compare_checks(const json_t *before, const json_t *after)
{
    json_t *a = checks_of(before), *b = checks_of(after), *out = json_object(), *value;
    json_t *broken = json_array(), *fixed = json_array(), *added = json_array(),
           *removed = json_array();
    const char *key;
    json_object_foreach(b, key, value)
    {
        json_t *old = json_object_get(a, key);
        if (!old) json_array_append_new(added, json_string(key));
        else if (json_is_true(old) && !json_is_true(value))
            json_array_append_new(broken, json_string(key));
        else if (!json_is_true(old) && json_is_true(value))
            json_array_append_new(fixed, json_string(key));
    }
    json_object_foreach(a, key, value)
    {
        if (!json_object_get(b, key)) json_array_append_new(removed, json_string(key));
    }
    put_list(out, "broken", broken);
    put_list(out, "fixed", fixed);
    put_list(out, "added", added);
    put_list(out, "removed", removed);
    json_decref(a);
    json_decref(b);
    return out;
}

json_t *iw_manifest_difference(const json_t *before, const json_t *after)
{
    json_t *out = json_object(), *packages = json_array(), *needs = json_array();
    const char *old_floor = iw_json_get(json_object_get(before, "glibc"), "floor"),
               *new_floor = iw_json_get(json_object_get(after, "glibc"), "floor");
    compare_packages(before, after, packages, needs);
    put_list(out, "packages", packages);
    put_list(out, "needs", needs);
    put_list(out, "checks", compare_checks(before, after));
    if (old_floor && new_floor && strcmp(old_floor, new_floor) != 0)
        json_object_set_new(out, "floor", json_pack("[s,s]", old_floor, new_floor));
    return out;
}

/* --- instructions, by function -------------------------------------------- */

struct auditing {
    const char *environment;
    json_t *files;
};

/* Names that the audit made of addresses differ from build to build. */
static const char *stable_name(const char *name)
{
    return iw_starts_with(name, "sub_") ? "(functions without a symbol)" : name;
}

static void on_file(void *context, const iw_audit_file *file)
{
    struct auditing *auditing = context;
    const char *path = iw_path_below(file->file, auditing->environment);
    if (file->top_count == 0) return;
    json_t *functions = json_object();
    for (size_t i = 0; i < file->top_count; i++) {
        const char *name = stable_name(file->top[i].name);
        json_int_t before = json_integer_value(json_object_get(functions, name));
        json_object_set_new_nocheck(functions, name,
                                    json_integer(before + (json_int_t)file->top[i].count));
    }
    json_object_set_new_nocheck(auditing->files, path, functions);
}

static int audit(const char *environment, const iw_profile *profile, json_t **out, iw_error *err)
{
    struct auditing auditing = {environment, json_object()};
    iw_audit_options options = {.profile = profile, .file = on_file, .context = &auditing};
    iw_audit_summary summary = {0};
    int status = iw_audit_paths((const char *const[]){environment}, 1, &options, &summary, err);
    iw_audit_summary_clear(&summary);
    *out = auditing.files;
    return status;
}

static void compare_functions(json_t *out, const char *file, const json_t *before,
                              const json_t *after)
{
    const char *name;
    json_t *count;
    json_object_foreach((json_t *)after, name, count)
    {
        json_int_t old = json_integer_value(json_object_get(before, name)),
                   now = json_integer_value(count);
        if (old != now)
            json_array_append_new(out, json_pack("{s:s,s:s,s:I,s:I}", "file", file, "function",
                                                 name, "before", old, "after", now));
    }
    json_object_foreach((json_t *)before, name, count)
    {
        if (!json_object_get(after, name))
            json_array_append_new(out,
                                  json_pack("{s:s,s:s,s:I,s:i}", "file", file, "function", name,
                                            "before", json_integer_value(count), "after", 0));
    }
}

json_t *iw_instruction_difference(const json_t *before, const json_t *after)
{
    json_t *out = json_array(), *functions;
    const char *file;
    json_object_foreach((json_t *)after, file, functions)
    {
        compare_functions(out, file, json_object_get(before, file), functions);
    }
    json_object_foreach((json_t *)before, file, functions)
    {
        if (!json_object_get(after, file)) compare_functions(out, file, functions, NULL);
    }
    return out;
}

/* --- what the builds tell --------------------------------------------------- */

static double seconds_of(const json_t *facts)
{
    json_t *phases = json_object_get(json_object_get(facts, "measured"), "seconds"), *one;
    const char *phase;
    double sum = 0;
    json_object_foreach(phases, phase, one)
    {
        sum += json_number_value(one);
    }
    return sum;
}

static void compare_flags(json_t *out, const char *package, const json_t *before,
                          const json_t *after)
{
    const char *flag;
    json_t *count, *old = json_object_get(before, "removed-flags"),
                   *now = json_object_get(after, "removed-flags");
    json_object_foreach(now, flag, count)
    {
        json_int_t was = json_integer_value(json_object_get(old, flag));
        if (was != json_integer_value(count))
            json_array_append_new(out, json_pack("{s:s,s:s,s:I,s:O}", "package", package, "flag",
                                                 flag, "before", was, "after", count));
    }
    json_object_foreach(old, flag, count)
    {
        if (!json_object_get(now, flag))
            json_array_append_new(out, json_pack("{s:s,s:s,s:O,s:i}", "package", package, "flag",
                                                 flag, "before", count, "after", 0));
    }
}

/* Only of packages that were built anew. */
static void compare_builds(const iw_plan *before, const iw_plan *after, json_t *out)
{
    json_t *flags = json_array(), *times = json_array();
    for (size_t i = 0; i < after->node_count; i++) {
        const iw_node *node = &after->nodes[i],
                      *old = iw_plan_find(before, node->recipe->name, NULL);
        if (!old || !node->artifact.facts || !old->artifact.facts ||
            strcmp(node->artifact.build_key, old->artifact.build_key) == 0)
            continue;
        json_t *a = json_loads(old->artifact.facts, 0, NULL),
               *b = json_loads(node->artifact.facts, 0, NULL);
        compare_flags(flags, node->recipe->name, a, b);
        json_array_append_new(times, json_pack("{s:s,s:f,s:f}", "package", node->recipe->name,
                                               "before", seconds_of(a), "after", seconds_of(b)));
        json_decref(a);
        json_decref(b);
    }
    put_list(out, "flags", flags);
    put_list(out, "times", times);
}

/* --- both bundles ----------------------------------------------------------- */

static int open_side(const iw_bundle_side *side, const char *work, const char *name,
                     const iw_sink *sink, json_t **manifest, json_t **found, iw_error *err)
{
    iw_cleanup_free char *top = iw_path_join(work, name), *passing = iw_path_join(top, "unpacking"),
                         *placed = NULL;
    if (iw_remove_tree(top, err) != 0 || iw_make_folders(passing, 0755, err) != 0) return -1;
    int status = iw_bundle_unpack(side->bundle, passing, top, NULL, sink, &placed, err);
    if (status == 0) status = iw_read_manifest(placed, manifest, err);
    if (status == 0) status = audit(placed, side->plan->profile, found, err);
    (void)!iw_remove_tree(top, NULL);
    return status;
}

static void add_sizes(const char *before, const char *after, json_t *out)
{
    struct stat a, b;
    if (stat(before, &a) == 0 && stat(after, &b) == 0 && a.st_size != b.st_size)
        json_object_set_new(out, "size",
                            json_pack("[I,I]", (json_int_t)a.st_size, (json_int_t)b.st_size));
}

int iw_bundle_difference(const iw_bundle_side *before, const iw_bundle_side *after,
                         const char *work, const iw_sink *sink, json_t **out, iw_error *err)
{
    json_t *old_manifest = NULL, *new_manifest = NULL, *old_found = NULL, *new_found = NULL;
    int status = open_side(before, work, "before", sink, &old_manifest, &old_found, err);
    if (status == 0) status = open_side(after, work, "after", sink, &new_manifest, &new_found, err);
    if (status == 0) {
        *out = iw_manifest_difference(old_manifest, new_manifest);
        put_list(*out, "instructions", iw_instruction_difference(old_found, new_found));
        compare_builds(before->plan, after->plan, *out);
        add_sizes(before->bundle, after->bundle, *out);
    }
    json_decref(old_manifest), json_decref(new_manifest);
    json_decref(old_found), json_decref(new_found);
    return status;
}
