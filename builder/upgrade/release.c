#include "upgrade/release.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/version.h"
#include "upgrade/debian.h"
#include "upgrade/edit.h"
#include "upgrade/memory.h"
#include "upgrade/metadata.h"
#include "upgrade/patch_lines.h"
#include "upgrade/patch_try.h"
#include "upgrade/watch.h"

#define RECIPE_LIMIT ((size_t)1 << 20)
#define PAGE_LIMIT ((size_t)16 << 20)
#define DOWNLOAD_LIMIT ((size_t)512 << 20)
#define LOCK_LIMIT ((size_t)64 << 20)
enum { TOLD_CANDIDATES = 30, PATH_LENGTH = 4096 };

void iw_release_clear(iw_release *release)
{
    free(release->to);
    json_decref(release->moves);
    json_decref(release->debian_moves);
    release->to = NULL;
    release->moves = release->debian_moves = NULL;
}

const char *iw_plan_python(const iw_plan *plan)
{
    const iw_node *node = iw_plan_find(plan, "python", NULL);
    return node ? node->recipe->version : "3.11.2";
}

/* The C library that the toolchain links with: "2.36-9+deb12u13" gives 36. */
static unsigned toolchain_glibc(const iw_toolchain *toolchain)
{
    uint64_t minor = 0;
    for (size_t i = 0; i < toolchain->package_count; i++) {
        const iw_toolchain_package *package = &toolchain->packages[i];
        if (strcmp(package->name, "libc6") != 0 || !iw_starts_with(package->version, "2."))
            continue;
        iw_cleanup_free char *digits =
            iw_strndup(package->version + 2, strspn(package->version + 2, "0123456789"));
        if (iw_parse_unsigned(digits, 999, &minor)) return (unsigned)minor;
    }
    return 36;
}

void iw_release_rules(iw_release *release)
{
    release->rules.python = iw_plan_python(release->plan);
    release->rules.glibc = toolchain_glibc(release->plan->toolchain);
}

/* --- which one ------------------------------------------------------------ */

static char *public_part(const char *version)
{
    return iw_strndup(version, strcspn(version, "+"));
}

static void tell_passed(iw_release *release, const iw_candidates *list)
{
    json_t *passed = json_array();
    for (size_t i = 0; i < list->count && json_array_size(passed) < TOLD_CANDIDATES; i++) {
        const iw_candidate *one = &list->items[i];
        if (iw_candidate_order(one->version, release->recipe->version) <= 0) break;
        if (one->passed)
            json_array_append_new(passed, json_pack("{s:s,s:s}", "version", one->version, "reason",
                                                    one->passed));
    }
    json_object_set_new(release->report, "passed_over", passed);
}

/* When Debian had these files, for the snapshot archive. */
static void pin_moves(iw_release *release)
{
    char now[32];
    time_t when = (time_t)release->rules.now;
    struct tm parts;
    size_t i;
    json_t *move;
    if (!gmtime_r(&when, &parts)) return;
    strftime(now, sizeof now, "%Y%m%dT%H%M%SZ", &parts);
    json_array_foreach(release->moves, i, move) iw_json_set(move, "pinned", now);
}

static void take_debian(iw_release *release, const iw_candidate *one)
{
    release->to = iw_strdup(one->version);
    release->moves = json_incref(json_object_get(release->debian_moves, one->url));
    pin_moves(release);
    if (json_array_size(release->moves))
        json_object_set(release->report, "source", json_array_get(release->moves, 0));
}

static void take(iw_release *release, const iw_candidate *one)
{
    const char *label = strchr(release->recipe->version, '+');
    if (release->debian_moves) {
        take_debian(release, one);
        return;
    }
    json_t *move = json_pack("{s:i,s:s}", "source", 0, "version", one->version);
    iw_json_put(move, "file", one->file);
    iw_json_put(move, "sha256", one->sha256);
    iw_json_put(move, release->recipe->sources[0].kind == IW_SOURCE_GIT ? "commit" : "url",
                one->url);
    if (one->uploaded >= 0)
        json_object_set_new(move, "uploaded", json_integer((json_int_t)one->uploaded));
    release->to = iw_format("%s%s", one->version, label ? label : "");
    release->moves = json_pack("[o]", move);
    json_object_set(release->report, "source", move);
}

static int pypi_candidates(iw_release *release, iw_candidates *out, iw_error *err)
{
    const iw_source *source = &release->recipe->sources[0];
    iw_cleanup_free char *current = public_part(release->recipe->version);
    iw_release_files files;
    if (iw_version_compare_text(source->version, current) != 0)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "%s is put together from projects with versions of their own (%s %s): no "
                       "index tells a newer one of the whole",
                       release->recipe->path, source->name, source->version);
    if (iw_fetch_project(source->name, release->fetch, &files, err) != 0) return -1;
    int status = iw_candidates_pypi(source, &files, &release->rules, out, err);
    iw_release_files_free(&files);
    return status;
}

/* {Debian's version: [{source, version, file, sha256, pinned}]}: of each version, every source of
 * the recipe that is a file of the same package in the same version as the first. */
static json_t *debian_moves(const iw_recipe *recipe, const iw_debian_releases *all)
{
    json_t *out = json_object();
    const iw_source *first = &recipe->sources[0];
    for (size_t i = 0; i < all->count; i++) {
        const iw_debian_release *one = &all->items[i];
        if (strcmp(one->package, first->name) != 0) continue;
        json_t *list = json_array();
        for (size_t k = 0; k < recipe->source_count; k++) {
            const iw_source *source = &recipe->sources[k];
            bool same = source->kind == IW_SOURCE_DEBIAN && !source->binary &&
                        strcmp(source->name, first->name) == 0;
            int file = same ? iw_debian_counterpart(one, source->file) : -1;
            if (file >= 0)
                json_array_append_new(list, json_pack("{s:I,s:s,s:s,s:s}", "source", (json_int_t)k,
                                                      "version", one->version, "file",
                                                      one->files.items[file], "sha256",
                                                      one->sha256.items[file]));
        }
        json_object_set_new(out, one->version, list);
    }
    return out;
}

static int debian_candidates(iw_release *release, iw_candidates *out, iw_error *err)
{
    const iw_recipe *recipe = release->recipe;
    iw_cleanup_strings iw_strings name = {0};
    iw_debian_releases asked = {0};
    iw_strings_add(&name, recipe->sources[0].name);
    if (!release->debian && iw_fetch_debian_releases(&name, release->fetch, &asked, err) != 0)
        return -1;
    const iw_debian_releases *all = release->debian ? release->debian : &asked;
    int status =
        iw_candidates_debian(&recipe->sources[0], recipe->version, all, &release->rules, out, err);
    if (status == 0) release->debian_moves = debian_moves(recipe, all);
    iw_debian_releases_free(&asked);
    return status;
}

static int url_candidates(iw_release *release, iw_candidates *out, iw_error *err)
{
    const iw_recipe *recipe = release->recipe;
    iw_cleanup_free char *page = NULL, *html = NULL;
    const char *pattern;
    if (!recipe->watch)
        return iw_fail(
            err, IW_E_NOT_FOUND,
            "%s:%d: nobody can be asked for newer releases of a `url` source; `watch` in "
            "the recipe says where they are seen",
            recipe->path, recipe->sources[0].place.line);
    iw_watch_read(recipe, &page, &pattern);
    if (iw_fetch_text(page, PAGE_LIMIT, release->fetch, &html, NULL, err) != 0) return -1;
    return iw_candidates_watch(recipe, html, page, pattern, &release->rules, out, err);
}

static int git_candidates(iw_release *release, iw_candidates *out, iw_error *err)
{
    const iw_recipe *recipe = release->recipe;
    iw_cleanup_strings iw_strings names = {0}, commits = {0};
    if (!recipe->watch)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "%s:%d: `watch` in the recipe says which tags of a `git` source are "
                       "releases: v([0-9.]+)",
                       recipe->path, recipe->sources[0].place.line);
    if (iw_fetch_tags(recipe->sources[0].name, release->fetch, &names, &commits, err) != 0)
        return -1;
    return iw_candidates_tags(recipe, &names, &commits, recipe->watch, &release->rules, out, err);
}

/* The commit's tree tells its digest. */
static int pin_commit(iw_release *release, json_t *move, iw_error *err)
{
    char digest[IW_SHA256_HEX];
    if (iw_json_get(move, "sha256") || release->exists) return 0;
    if (iw_fetch_git_digest(release->store, &release->recipe->sources[0],
                            iw_json_get(move, "commit"), release->fetch, digest, err) != 0)
        return -1;
    iw_json_set(move, "sha256", digest);
    return 0;
}

/* Nobody tells the digest of what a page links to: it is that of what comes. */
static int pin_download(iw_release *release, iw_error *err)
{
    json_t *move = json_array_get(release->moves, 0);
    if (iw_json_get(move, "commit")) return pin_commit(release, move, err);
    const char *url = iw_json_get(move, "url");
    iw_cleanup_free char *data = NULL;
    char digest[IW_SHA256_HEX];
    size_t length;
    if (iw_json_get(move, "sha256") || !url || release->exists) return 0;
    if (iw_fetch_text(url, DOWNLOAD_LIMIT, release->fetch, &data, &length, err) != 0) return -1;
    iw_hash_bytes(data, length, digest);
    iw_json_set(move, "sha256", digest);
    json_object_set_new(move, "unvouched", json_true());
    return 0;
}

int iw_release_candidates(iw_release *release, iw_candidates *out, iw_error *err)
{
    const iw_recipe *recipe = release->recipe;
    int status;
    *out = (iw_candidates){0};
    if (recipe->source_count == 0)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "%s has no source of which there could be a newer release", recipe->path);
    switch (recipe->sources[0].kind) {
    case IW_SOURCE_PYPI: status = pypi_candidates(release, out, err); break;
    case IW_SOURCE_URL: status = url_candidates(release, out, err); break;
    case IW_SOURCE_DEBIAN: status = debian_candidates(release, out, err); break;
    case IW_SOURCE_GIT: status = git_candidates(release, out, err); break;
    default:
        return iw_fail(err, IW_E_NOT_FOUND,
                       "%s:%d: nobody can be asked for newer releases of a `%s` source",
                       recipe->path, recipe->sources[0].place.line,
                       iw_source_kind_name(recipe->sources[0].kind));
    }
    if (status == 0) tell_passed(release, out);
    return status;
}

static bool tree_has(const iw_release *release, const char *version)
{
    iw_cleanup_free char *path =
        iw_format("%s/recipes/%s/%s.yaml", release->tree, release->recipe->name, version);
    return iw_exists(path);
}

/* The recipe that the tree has of the version asked for, whatever index says. */
static bool take_existing(iw_release *release)
{
    const char *only = release->rules.only, *label = strchr(release->recipe->version, '+');
    iw_cleanup_free char *labelled =
        only ? iw_format("%s%s", only, label && !strchr(only, '+') ? label : "") : NULL;
    if (!only || !tree_has(release, labelled)) return false;
    release->to = iw_steal(&labelled);
    release->exists = true;
    return true;
}

int iw_release_choose(iw_release *release, iw_error *err)
{
    iw_candidates list;
    const iw_candidate *one;
    if (iw_memory_choice(release) || take_existing(release)) return 0;
    if (iw_release_candidates(release, &list, err) != 0) return -1;
    int status = iw_candidates_choose(&list, release->recipe->version, &release->rules, &one, err);
    if (status == 0) take(release, one);
    if (status == 0) release->exists = tree_has(release, release->to);
    iw_candidates_free(&list);
    if (status == 0) status = pin_download(release, err);
    if (status == 0) iw_memory_keep_choice(release);
    return status;
}

/* --- the recipe's text ---------------------------------------------------- */

static char *draft_path(const iw_release *release, const char *relative)
{
    return iw_path_join(release->draft, relative);
}

int iw_release_read(const iw_release *release, const char *relative, char **out, iw_error *err)
{
    iw_cleanup_free char *path = draft_path(release, relative);
    return iw_read_file(path, IW_PATCH_LIMIT, out, NULL, err);
}

int iw_release_write(const iw_release *release, const char *relative, const char *text,
                     iw_error *err)
{
    iw_cleanup_free char *path = draft_path(release, relative);
    iw_memory_note(release, relative, text);
    return iw_write_passing(path, text, strlen(text), 0644, err);
}

static char *new_path(const iw_release *release)
{
    return iw_format("recipes/%s/%s.yaml", release->recipe->name, release->to);
}

/* `*text` with a value of one source changed; where the source doesn't say the key, it stays. */
static void edit_source(char **text, const iw_source *source, const char *key, const char *value)
{
    int first = source->place.line;
    char *edited =
        value ? iw_edit_value(*text, first, iw_edit_end(*text, first), key, value) : NULL;
    if (!edited) return;
    free(*text);
    *text = edited;
}

static void edit_sources(const iw_release *release, char **text)
{
    size_t i;
    json_t *move;
    json_array_foreach(release->moves, i, move)
    {
        size_t index = (size_t)json_integer_value(json_object_get(move, "source"));
        if (index >= release->recipe->source_count) continue;
        const iw_source *source = &release->recipe->sources[index];
        static const char *const keys[] = {"version", "file", "sha256", "commit", "pinned", NULL};
        for (size_t k = 0; keys[k]; k++)
            edit_source(text, source, keys[k], json_string_value(json_object_get(move, keys[k])));
        if (source->kind == IW_SOURCE_URL)
            edit_source(text, source, "url", json_string_value(json_object_get(move, "url")));
    }
}

static int new_text(const iw_release *release, char **out, iw_error *err)
{
    const iw_recipe *recipe = release->recipe;
    iw_cleanup_free char *old = NULL;
    if (strcmp(recipe->sources[0].place.file, recipe->path) != 0)
        return iw_fail(err, IW_E_RECIPE,
                       "%s takes its sources from %s by `like`: bump that one, or give this recipe "
                       "sources of its own",
                       recipe->path, recipe->sources[0].place.file);
    if (iw_release_read(release, recipe->path, &old, err) != 0) return -1;
    char *text = iw_edit_value(old, 1, 0, "version", release->to);
    if (!text) return iw_fail(err, IW_E_RECIPE, "%s: its version can't be found", recipe->path);
    edit_sources(release, &text);
    *out = text;
    return 0;
}

/* --- patches -------------------------------------------------------------- */

static char *patch_path(const iw_patch *patch)
{
    iw_cleanup_free char *folder = iw_path_parent(patch->place.file);
    return iw_format("patches/%s/%s", iw_path_base(folder), patch->file);
}

/* Whether one of the words of an Applies-To header is the version, or a glob of it. */
static bool names_version(const char *applies, const char *version)
{
    iw_cleanup_free char *words = iw_strdup(applies ? applies : "");
    char *state = NULL;
    for (char *word = strtok_r(words, " ,;", &state); word; word = strtok_r(NULL, " ,;", &state))
        if (fnmatch(word, version, 0) == 0) return true;
    return false;
}

/* The recipe must name the version in the header to be read at all; what doesn't stay there is
 * taken back once the patch was tried. */
static int allow_version(const iw_release *release, const iw_patch *patch, iw_error *err)
{
    iw_cleanup_free char *path = patch_path(patch), *text = NULL;
    if (iw_release_read(release, path, &text, err) != 0) return -1;
    iw_cleanup_free char *applies = iw_header_field(text, "Applies-To"),
                         *plain = public_part(release->to);
    if (names_version(applies, plain)) return 0;
    iw_cleanup_free char *more = iw_format("%s, %s", applies ? applies : "", plain),
                         *edited = iw_edit_header(text, "Applies-To", more);
    return iw_release_write(release, path, edited, err);
}

static json_t *describe_hunk(const iw_hunk *hunk)
{
    json_t *one = json_object();
    iw_json_put(one, "file", hunk->file);
    if (hunk->number) json_object_set_new(one, "hunk", json_integer(hunk->number));
    if (hunk->line) json_object_set_new(one, "line", json_integer(hunk->line));
    if (hunk->offset) json_object_set_new(one, "offset", json_integer(hunk->offset));
    if (hunk->upstream) json_object_set_new(one, "upstream", json_true());
    iw_json_put(one, "why", hunk->why);
    iw_json_put(one, "now", hunk->now);
    return one;
}

static json_t *describe_patch(const iw_patch *patch, const iw_patch_try *tried)
{
    json_t *one = json_pack("{s:s,s:s}", "file", patch->file, "result",
                            iw_patch_class_name(tried->result)),
           *hunks = json_array();
    iw_json_put(one, "from", patch->from);
    if (tried->both_ways) json_object_set_new(one, "both_ways", json_true());
    if (tried->rewritten) json_object_set_new(one, "rewritten", json_true());
    for (size_t i = 0; i < tried->hunk_count; i++)
        json_array_append_new(hunks, describe_hunk(&tried->hunks[i]));
    if (json_array_size(hunks)) json_object_set(one, "hunks", hunks);
    for (size_t i = 0; i < tried->moved.count; i++) {
        if (!i) json_object_set_new(one, "moved", json_array());
        json_array_append_new(json_object_get(one, "moved"), json_string(tried->moved.items[i]));
    }
    json_decref(hunks);
    return one;
}

/* "0001-x.patch" as "0001-x-1.26.5.patch": the old recipe keeps its own. */
static char *refreshed_name(const char *file, const char *from, const char *to)
{
    iw_cleanup_free char *stem =
        iw_strndup(file, strlen(file) - (iw_ends_with(file, ".patch") ? 6 : 0));
    iw_cleanup_free char *ending = iw_format("-%s", from);
    if (iw_ends_with(stem, ending)) stem[strlen(stem) - strlen(ending)] = '\0';
    return iw_format("%s-%s.patch", stem, to);
}

/* What the tree says of the patch, with another line in the header; NULL value: as it is. */
static int put_back(const iw_release *release, const char *path, const char *field,
                    const char *value, iw_error *err)
{
    iw_cleanup_free char *from = iw_path_join(release->tree, path), *text = NULL;
    if (iw_read_file(from, IW_PATCH_LIMIT, &text, NULL, err) != 0) return -1;
    iw_cleanup_free char *edited = field ? iw_edit_header(text, field, value) : NULL;
    return iw_release_write(release, path, edited ? edited : text, err);
}

static char *moved_text(const iw_patch_try *tried, const char *file)
{
    iw_buffer out = {0};
    iw_buffer_add_format(&out, "from %s;", file);
    for (size_t i = 0; i < tried->moved.count; i++)
        iw_buffer_add_format(&out, "%s %s", i ? "," : "", tried->moved.items[i]);
    for (size_t i = 0; i < tried->hunk_count; i++)
        if (tried->hunks[i].offset)
            iw_buffer_add_format(&out, "%s hunk %u of %s stands %ld lines %s",
                                 i || tried->moved.count ? "," : "", tried->hunks[i].number,
                                 tried->hunks[i].file, labs(tried->hunks[i].offset),
                                 tried->hunks[i].offset > 0 ? "further down" : "further up");
    return iw_buffer_take(&out);
}

static int refresh(const iw_release *release, const iw_patch *patch, const iw_patch_try *tried,
                   char **name, iw_error *err)
{
    iw_cleanup_free char *path = patch_path(patch), *folder = iw_path_parent(path), *text = NULL,
                         *from = public_part(release->recipe->version),
                         *to = public_part(release->to), *why = moved_text(tried, patch->file);
    iw_cleanup_free char *tree = iw_path_join(release->tree, path);
    if (iw_read_file(tree, IW_PATCH_LIMIT, &text, NULL, err) != 0) return -1;
    *name = refreshed_name(patch->file, from, to);
    iw_cleanup_free char *fresh = iw_patch_refreshed(tried->text ? tried->text : text, tried),
                         *applies = iw_edit_header(fresh, "Applies-To", to),
                         *told = iw_edit_header(applies, "Refreshed", why),
                         *new_file = iw_path_join(folder, *name);
    if (iw_release_write(release, new_file, told, err) != 0) return -1;
    return put_back(release, path, NULL, NULL, err);
}

static int drop(const iw_release *release, const iw_patch *patch, const char *why, iw_error *err)
{
    iw_cleanup_free char *path = patch_path(patch), *to = public_part(release->to),
                         *value = iw_format("%s (%s)", to, why);
    return put_back(release, path, "Not-Needed-From", value, err);
}

/* Edits the recipe's list, latest item first, so that places stay right. */
static int edit_list(const iw_release *release, const iw_recipe *recipe, const iw_patch *patch,
                     const char *item, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (strcmp(patch->place.file, recipe->path) != 0)
        return iw_fail(err, IW_E_RECIPE,
                       "%s takes its patches from %s by `like`, and %s must go from the list: give "
                       "the recipe a list of its own",
                       recipe->path, patch->place.file, patch->file);
    if (iw_release_read(release, recipe->path, &text, err) != 0) return -1;
    iw_cleanup_free char *edited = iw_edit_item(text, &patch->place, item);
    if (!edited)
        return iw_fail(err, IW_E_RECIPE, "%s:%d: %s can't be found there", recipe->path,
                       patch->place.line, patch->file);
    return iw_release_write(release, recipe->path, edited, err);
}

static int settle(const iw_release *release, const iw_recipe *recipe, const iw_patch *patch,
                  const iw_patch_try *tried, json_t *told, iw_error *err)
{
    const char *done = "kept";
    int status = 0;
    if (tried->result == IW_PATCH_UPSTREAM) {
        done = "dropped";
        const char *why = tried->rewritten ? "upstream has its lines" : "upstream has it";
        if (!patch->from) status = drop(release, patch, why, err);
        if (status == 0) status = edit_list(release, recipe, patch, NULL, err);
    } else if (tried->result == IW_PATCH_OFFSET && !patch->from) {
        iw_cleanup_free char *name = NULL;
        done = "refreshed";
        status = refresh(release, patch, tried, &name, err);
        if (status == 0) status = edit_list(release, recipe, patch, name, err);
        if (status == 0) json_object_set_new(told, "as", json_string(name));
    }
    json_object_set_new(told, "done", json_string(done));
    return status;
}

/* A patch that a source carries: a regular file of the unpacked sources; NULL where the new ones
 * have no such file any more. */
static int their_patch(const iw_recipe *recipe, const iw_patch *patch, const char *sources,
                       char **out, iw_error *err)
{
    const char *to = ".";
    for (size_t i = 0; i < recipe->source_count; i++)
        if (strcmp(recipe->sources[i].id, patch->from) == 0) to = recipe->sources[i].to;
    iw_cleanup_free char *folder = iw_path_join(sources, to),
                         *path = iw_path_join(folder, patch->file), *clean = iw_path_clean(path);
    char real[PATH_LENGTH], top[PATH_LENGTH];
    struct stat status;
    if (!realpath(sources, top)) return iw_fail_errno(err, IW_E_IO, "%s", sources);
    bool there = realpath(clean, real) && iw_starts_with(real, top) && lstat(real, &status) == 0 &&
                 S_ISREG(status.st_mode);
    *out = there ? iw_strdup(clean) : NULL;
    return 0;
}

/* Copies of all patches first: what the sources carry may be changed by one before. */
static int lay_patches(const iw_release *release, const iw_recipe *recipe, const char *sources,
                       const char *to, iw_error *err)
{
    if (iw_remove_tree(to, err) != 0 || iw_make_folders(to, 0755, err) != 0) return -1;
    for (size_t i = 0; i < recipe->patch_count; i++) {
        const iw_patch *patch = &recipe->patches[i];
        iw_cleanup_free char *copy = iw_format("%s/%04zu.patch", to, i), *from = NULL;
        if (patch->from && their_patch(recipe, patch, sources, &from, err) != 0) return -1;
        if (!patch->from) {
            iw_cleanup_free char *path = patch_path(patch);
            from = draft_path(release, path);
        }
        if (from && iw_copy_file(from, copy, err) != 0) return -1;
    }
    return 0;
}

struct tries {
    iw_patch_try *items;
    size_t count;
    size_t conflicts;
};

/* Where something of the tree's, a check or the audit, would tell that the patch is missed. */
static bool is_missed_where_needed(const char *text)
{
    iw_cleanup_free char *proof = iw_header_field(text, "Proof");
    return proof && *proof && !iw_starts_with(proof, "none");
}

static int try_rewritten(const char *sources, const char *copy, const iw_patch *patch,
                         iw_patch_try *out, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(copy, IW_PATCH_LIMIT, &text, NULL, err) != 0) return -1;
    if (!is_missed_where_needed(text) || !iw_patch_lines_stand(sources, text, patch->strip))
        return 0;
    iw_patch_try_clear(out);
    *out = (iw_patch_try){.result = IW_PATCH_UPSTREAM, .rewritten = true};
    return 0;
}

static int try_patch(const char *sources, const char *copy, const iw_patch *patch,
                     const char *passing, iw_patch_try *out, iw_error *err)
{
    if (iw_try_patch(sources, copy, patch->strip, passing, out, err) != 0) return -1;
    if (out->result != IW_PATCH_CONFLICT || patch->from) return 0; /* theirs isn't ours to edit */
    if (iw_try_moved_patch(sources, copy, patch->strip, passing, out, err) != 0) return -1;
    return out->result == IW_PATCH_CONFLICT ? try_rewritten(sources, copy, patch, out, err) : 0;
}

static int try_all(const iw_release *release, const iw_recipe *recipe, const char *sources,
                   struct tries *tries, json_t *told, iw_error *err)
{
    iw_cleanup_free char *patches = iw_path_join(release->work, "patches"),
                         *passing = iw_path_join(release->work, "patch-try");
    if (lay_patches(release, recipe, sources, patches, err) != 0 ||
        iw_make_folders(passing, 0755, err) != 0)
        return -1;
    for (size_t i = 0; i < recipe->patch_count; i++) {
        iw_cleanup_free char *copy = iw_format("%s/%04zu.patch", patches, i);
        if (!iw_exists(copy)) /* whoever carries it took it out: the release does without */
            tries->items[i] = (iw_patch_try){.result = IW_PATCH_UPSTREAM};
        else if (try_patch(sources, copy, &recipe->patches[i], passing, &tries->items[i], err) != 0)
            return -1;
        tries->count++;
        tries->conflicts += tries->items[i].result == IW_PATCH_CONFLICT;
        json_array_append_new(told, describe_patch(&recipe->patches[i], &tries->items[i]));
    }
    return 0;
}

static int fail_conflicts(const iw_recipe *recipe, const struct tries *tries, iw_error *err)
{
    iw_cleanup_buffer iw_buffer names = {0};
    for (size_t i = 0; i < tries->count; i++)
        if (tries->items[i].result == IW_PATCH_CONFLICT)
            iw_buffer_add_format(&names, "%s%s", names.length ? ", " : "", recipe->patches[i].file);
    return iw_fail(err, IW_E_CHECK, "%zu of %zu patches don't go into the new sources: %s",
                   tries->conflicts, tries->count, names.data);
}

static int settle_all(const iw_release *release, const iw_recipe *recipe, const struct tries *tries,
                      json_t *told, iw_error *err)
{
    if (tries->conflicts) return fail_conflicts(recipe, tries, err);
    for (size_t i = recipe->patch_count; i-- > 0;)
        if (settle(release, recipe, &recipe->patches[i], &tries->items[i], json_array_get(told, i),
                   err) != 0)
            return -1;
    return 0;
}

static int patch_all(const iw_release *release, const iw_recipe *recipe, const char *sources,
                     iw_error *err)
{
    struct tries tries = {.items = iw_alloc((recipe->patch_count + 1) * sizeof(iw_patch_try))};
    json_t *told = json_array();
    int status = try_all(release, recipe, sources, &tries, told, err);
    if (status == 0) status = settle_all(release, recipe, &tries, told, err);
    json_object_set_new(release->report, "patches", told);
    for (size_t i = 0; i < tries.count; i++) iw_patch_try_clear(&tries.items[i]);
    free(tries.items);
    return status;
}

/* --- sources -------------------------------------------------------------- */

static bool is_laid(const iw_source *source)
{
    return source->kind != IW_SOURCE_CRATES && (source->kind != IW_SOURCE_LOCAL || source->unpack);
}

static int fetch_sources(const iw_release *release, const iw_recipe *recipe, iw_error *err)
{
    iw_wanted *wanted = iw_alloc((recipe->source_count + 1) * sizeof *wanted);
    size_t count = 0;
    for (size_t i = 0; i < recipe->source_count; i++) {
        iw_source_kind kind = recipe->sources[i].kind;
        if (kind != IW_SOURCE_CRATES && kind != IW_SOURCE_LOCAL)
            wanted[count++] = (iw_wanted){.recipe = recipe, .source = &recipe->sources[i]};
    }
    int status = iw_fetch_all(release->store, wanted, count, release->fetch, err);
    free(wanted);
    return status;
}

static int lay_sources(const iw_release *release, const iw_recipe *recipe, const char *folder,
                       iw_error *err)
{
    if (iw_remove_tree(folder, err) != 0 || iw_make_folders(folder, 0755, err) != 0) return -1;
    for (size_t i = 0; i < recipe->source_count; i++)
        if (is_laid(&recipe->sources[i]) &&
            iw_source_lay(release->store, recipe, &recipe->sources[i], folder, err) != 0)
            return -1;
    return 0;
}

/* The new sources' own Cargo.lock says which crates; its digest goes into the recipe. */
static int pin_locks(iw_release *release, const iw_recipe *recipe, const char *sources,
                     iw_error *err)
{
    for (size_t i = 0; i < recipe->source_count; i++) {
        const iw_source *source = &recipe->sources[i];
        if (source->kind != IW_SOURCE_CRATES) continue;
        if (iw_crates_have_own_lock(recipe, source))
            return iw_fail(err, IW_E_NOT_FOUND,
                           "%s pins its crates by a lock beside it, which is the old release's: "
                           "make one in the new sources (cargo generate-lockfile), and write the "
                           "new release's recipe with it",
                           recipe->path);
        iw_cleanup_free char *path = iw_path_join(sources, source->name), *lock = NULL,
                             *text = NULL;
        char digest[IW_SHA256_HEX];
        size_t length;
        if (iw_read_file(path, LOCK_LIMIT, &lock, &length, err) != 0)
            return iw_wrap(err, "the new release has no %s any more, which pins its crates",
                           source->name);
        iw_hash_bytes(lock, length, digest);
        if (iw_release_read(release, recipe->path, &text, err) != 0) return -1;
        edit_source(&text, source, "sha256", digest);
        json_object_set_new(release->report, "crates",
                            json_pack("{s:s,s:s}", "lock", source->name, "sha256", digest));
        if (iw_release_write(release, recipe->path, text, err) != 0) return -1;
    }
    return 0;
}

/* What the old release says, where that costs no download worth naming: its sources are those that
 * the stack was built from. */
static int compare_metadata(const iw_release *release, const char *sources, iw_metadata *before,
                            iw_metadata *after, iw_error *err)
{
    iw_cleanup_free char *old = iw_path_join(release->work, "old");
    const char *python = release->rules.python;
    json_t *found = NULL;
    if (fetch_sources(release, release->recipe, err) != 0 ||
        lay_sources(release, release->recipe, old, err) != 0)
        return iw_wrap(err, "for comparison with the old release");
    int status = iw_metadata_compare(old, sources, python, &found, err);
    if (status == 0) json_object_set_new(release->report, "metadata", found);
    if (status == 0) status = iw_metadata_read(old, python, before, err);
    if (status == 0) status = iw_metadata_read(sources, python, after, err);
    (void)!iw_remove_tree(old, NULL);
    return status;
}

/* --- pins ----------------------------------------------------------------- */

static int put_pin(const iw_release *release, const iw_stack *stack, const char *version,
                   iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_release_read(release, stack->path, &text, err) != 0) return -1;
    iw_cleanup_free char *edited = iw_edit_stack(text, stack, release->recipe->name, version);
    return iw_release_write(release, stack->path, edited, err);
}

/* Whether the stack can be planned, and holds the package then; its packages may be of two versions
 * now, where no pin chooses. */
static bool plans(const iw_release *release, const char *root, const char *stack, bool *holds)
{
    iw_catalog *catalog = NULL;
    const iw_stack *loaded;
    iw_plan *plan = NULL;
    iw_plan_options options = {.graph = true};
    bool good = iw_catalog_open(root, &catalog, NULL) == 0 &&
                iw_catalog_stack(catalog, stack, &loaded, NULL) == 0 &&
                iw_plan_make(catalog, NULL, loaded, &options, &plan, NULL) == 0;
    *holds = good && iw_plan_find(plan, release->recipe->name, NULL);
    iw_plan_free(plan);
    iw_catalog_free(catalog);
    return good;
}

/* Whether the tree's stack names a version itself: then there is nothing to plan. */
static bool chooses(const iw_release *release, const char *name)
{
    const iw_stack *stack = NULL;
    const char *package = release->recipe->name;
    iw_error ignored = IW_ERROR_INIT;
    bool found = iw_catalog_stack(release->catalog, name, &stack, &ignored) == 0 &&
                 (iw_find_pin(stack->packages, stack->package_count, package) ||
                  iw_find_pin(stack->pins, stack->pin_count, package));
    iw_error_clear(&ignored);
    return found;
}

/* A second recipe of a package makes "the only one" ambiguous: stacks that took it without a pin
 * get one, of the version that they had. */
static int pin_others(const iw_release *release, iw_error *err)
{
    iw_list stacks;
    bool holds;
    if (iw_catalog_stacks(release->catalog, &stacks, err) != 0) return -1;
    for (size_t i = 0; i < stacks.count; i++) {
        const iw_stack *stack = NULL;
        bool own = strcmp(stacks.items[i], release->plan->stack->name) == 0;
        if ((own && release->depth == 0) || chooses(release, stacks.items[i]) ||
            plans(release, release->draft, stacks.items[i], &holds) ||
            !plans(release, release->tree, stacks.items[i], &holds) || !holds)
            continue;
        if (iw_catalog_stack(release->catalog, stacks.items[i], &stack, err) != 0 ||
            put_pin(release, stack, release->recipe->version, err) != 0)
            return -1;
    }
    return 0;
}

/* --- all of it ------------------------------------------------------------ */

int iw_release_load(const iw_release *release, iw_catalog **catalog, const iw_recipe **recipe,
                    iw_error *err)
{
    if (iw_catalog_open(release->draft, catalog, err) != 0) return -1;
    return iw_catalog_recipe(*catalog, release->recipe->name, release->to, recipe, err);
}

static int write_new(const iw_release *release, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *path = new_path(release);
    if (new_text(release, &text, err) != 0 || iw_release_write(release, path, text, err) != 0)
        return -1;
    for (size_t i = 0; i < release->recipe->patch_count; i++)
        if (!release->recipe->patches[i].from &&
            allow_version(release, &release->recipe->patches[i], err) != 0)
            return -1;
    return 0;
}

/* A recipe that is there already is a person's, or an earlier bump's: nothing of it is changed. */
static int try_recipe(iw_release *release, const char *sources, iw_metadata *before,
                      iw_metadata *after, iw_error *err)
{
    iw_catalog *catalog = NULL;
    const iw_recipe *recipe;
    int status = iw_release_load(release, &catalog, &recipe, err);
    if (status == 0) status = fetch_sources(release, recipe, err);
    if (status == 0) status = lay_sources(release, recipe, sources, err);
    if (status == 0) status = compare_metadata(release, sources, before, after, err);
    if (status == 0 && !release->exists) status = pin_locks(release, recipe, sources, err);
    if (status == 0 && !release->exists) status = patch_all(release, recipe, sources, err);
    iw_catalog_free(catalog);
    return status;
}

static int try_sources(iw_release *release, iw_error *err)
{
    iw_metadata before = {0}, after = {0};
    iw_cleanup_free char *sources = iw_path_join(release->work, "src");
    int status = 0;
    if (!iw_memory_replay(release, &before, &after)) {
        iw_memory_begin(release);
        if (!release->exists) status = write_new(release, err);
        if (status == 0) status = try_recipe(release, sources, &before, &after, err);
        iw_memory_end(release, status == 0, &before, &after);
        (void)!iw_remove_tree(sources, NULL);
    }
    if (status == 0) status = iw_release_needs(release, &before, &after, err);
    iw_metadata_clear(&before);
    iw_metadata_clear(&after);
    return status;
}

int iw_release_pin(const iw_release *release, iw_error *err)
{
    if (release->depth == 0 && put_pin(release, release->plan->stack, release->to, err) != 0)
        return -1;
    return pin_others(release, err);
}

int iw_release_put(const iw_release *release, iw_error *err)
{
    if (!tree_has(release, release->to) && write_new(release, err) != 0) return -1;
    return iw_release_pin(release, err);
}

int iw_release_draft(iw_release *release, iw_error *err)
{
    bool taken = release->exists && release->depth; /* a tool of the tree's, as it is */
    if (!taken && try_sources(release, err) != 0) return -1;
    return iw_release_pin(release, err);
}

/* --- what the proof found -------------------------------------------------- */

static const char *proven(const json_t *proofs, const char *file)
{
    size_t i;
    json_t *one;
    json_array_foreach(proofs, i, one)
    {
        const char *patch = iw_json_get(one, "patch");
        if (patch && strcmp(patch, file) == 0) return iw_json_get(one, "result");
    }
    return NULL;
}

/* A patch that was refreshed for this release only goes, file and all. */
static int drop_needless(const iw_release *release, const iw_recipe *recipe, const iw_patch *patch,
                         iw_error *err)
{
    iw_cleanup_free char *path = patch_path(patch), *tree = iw_path_join(release->tree, path),
                         *draft = draft_path(release, path);
    if (!iw_exists(tree)) {
        if (iw_remove_tree(draft, err) != 0) return -1;
    } else if (drop(release, patch, "the same bytes without it", err) != 0) return -1;
    return edit_list(release, recipe, patch, NULL, err);
}

int iw_release_drop_needless(iw_release *release, const json_t *proofs, bool *any, iw_error *err)
{
    iw_catalog *catalog = NULL;
    const iw_recipe *recipe;
    int status = iw_release_load(release, &catalog, &recipe, err);
    *any = false;
    for (size_t i = status == 0 ? recipe->patch_count : 0; i-- > 0 && status == 0;) {
        const iw_patch *patch = &recipe->patches[i];
        const char *result = patch->from ? NULL : proven(proofs, patch->file);
        if (!result || strcmp(result, "needless") != 0) continue;
        *any = true;
        status = drop_needless(release, recipe, patch, err);
    }
    iw_catalog_free(catalog);
    return status;
}
