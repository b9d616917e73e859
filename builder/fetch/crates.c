#include "fetch/crates.h"

#include <archive.h>
#include <archive_entry.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"

#define LOCK_LIMIT (16u << 20)
#define REGISTRY "registry+"
#define SPARSE "sparse+"

void iw_crates_free(iw_crates *crates)
{
    for (size_t i = 0; i < crates->count; i++) {
        iw_crate *crate = &crates->items[i];
        free(crate->name), free(crate->version), free(crate->checksum), free(crate->registry);
    }
    free(crates->items);
    memset(crates, 0, sizeof *crates);
}

/* --- Cargo.lock ----------------------------------------------------------- */

/* A name that may become a folder: what cargo itself allows in names and versions. */
static bool is_plain(const char *text)
{
    return *text && *text != '.' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+") ==
               strlen(text);
}

static bool is_left_out(const iw_crate *crate, const iw_list *without)
{
    bool out = false;
    for (size_t i = 0; without && i < without->count; i++)
        out = out || iw_glob_match(without->items[i], crate->name);
    return out;
}

static int finish_package(iw_crate *crate, const iw_list *without, iw_crates *out, const char *file,
                          int line, iw_error *err)
{
    int status = 0;
    if (!crate->name || !crate->version)
        status = iw_fail(err, IW_E_FORMAT, "%s:%d: a package without name or version", file, line);
    else if (!crate->registry || is_left_out(crate, without)) /* of the workspace itself */
        ;
    else if (!iw_starts_with(crate->registry, REGISTRY) && !iw_starts_with(crate->registry, SPARSE))
        status = iw_fail(err, IW_E_FORMAT,
                         "%s:%d: %s comes from %s; only crates of a registry can be pinned: make "
                         "it a source of its own, or do `without` it",
                         file, line, crate->name, crate->registry);
    else if (!crate->checksum || !iw_is_sha256(crate->checksum))
        status = iw_fail(err, IW_E_FORMAT, "%s:%d: %s %s has no checksum", file, line, crate->name,
                         crate->version);
    else if (!is_plain(crate->name) || !is_plain(crate->version))
        status = iw_fail(err, IW_E_FORMAT, "%s:%d: \"%s\" %s is no name and version of a crate",
                         file, line, crate->name, crate->version);
    else {
        iw_grow((void **)&out->items, &out->capacity, out->count + 1, sizeof *out->items);
        out->items[out->count++] = *crate;
        memset(crate, 0, sizeof *crate);
    }
    free(crate->name), free(crate->version), free(crate->checksum), free(crate->registry);
    memset(crate, 0, sizeof *crate);
    return status;
}

/* `key = "value"` with a plain string; false for anything else. */
static bool read_pair(iw_slice line, const char *key, char **out)
{
    const char *equals = memchr(line.data, '=', line.length);
    if (!equals) return false;
    iw_slice name = iw_slice_trim((iw_slice){line.data, (size_t)(equals - line.data)});
    iw_slice value =
        iw_slice_trim((iw_slice){equals + 1, line.length - (size_t)(equals + 1 - line.data)});
    if (!iw_slice_equal(name, key) || value.length < 2 || value.data[0] != '"' ||
        value.data[value.length - 1] != '"')
        return false;
    if (memchr(value.data, '\\', value.length)) return false;
    free(*out);
    *out = iw_strndup(value.data + 1, value.length - 2);
    return true;
}

/* The lock is written by cargo itself, a line a key (Cargo book, "Cargo.toml vs Cargo.lock"):
 * [[package]] tables with name, version, source, checksum, and a dependencies array that doesn't
 * matter here. */
int iw_crates_parse(const char *text, const char *file, const iw_list *without, iw_crates *out,
                    iw_error *err)
{
    iw_slice rest = iw_slice_of(text), line;
    iw_crate crate = {0};
    bool inside = false;
    int number = 0, start = 0, status = 0;
    while (status == 0 && iw_slice_next(&rest, '\n', &line)) {
        number++;
        iw_slice trimmed = iw_slice_trim(line);
        if (trimmed.length && trimmed.data[0] == '[') {
            if (inside) status = finish_package(&crate, without, out, file, start, err);
            inside = iw_slice_equal(trimmed, "[[package]]");
            start = number;
        } else if (inside) {
            (void)(read_pair(trimmed, "name", &crate.name) ||
                   read_pair(trimmed, "version", &crate.version) ||
                   read_pair(trimmed, "source", &crate.registry) ||
                   read_pair(trimmed, "checksum", &crate.checksum));
        }
    }
    if (status == 0 && inside) status = finish_package(&crate, without, out, file, start, err);
    free(crate.name), free(crate.version), free(crate.checksum), free(crate.registry);
    if (status != 0) iw_crates_free(out);
    return status;
}

/* --- the lock inside its source ------------------------------------------- */

static char *strip_components(const char *path, unsigned strip)
{
    while (strip-- && path) {
        path = strchr(path, '/');
        if (path) path++;
    }
    return path ? iw_path_clean(path) : NULL;
}

/* One file out of an archive, at most LOCK_LIMIT bytes. */
static int read_member(int fd, const iw_source *source, const char *member, char **out,
                       iw_error *err)
{
    struct archive *archive = archive_read_new();
    archive_read_support_filter_all(archive);
    archive_read_support_format_all(archive);
    int status = iw_fail(err, IW_E_FORMAT, "%s holds no %s",
                         source->file ? source->file : source->name, member);
    if (archive_read_open_fd(archive, fd, 1 << 16) == ARCHIVE_OK) {
        struct archive_entry *entry;
        while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
            iw_cleanup_free char *path =
                strip_components(archive_entry_pathname(entry),
                                 source->kind == IW_SOURCE_GIT ? 0 : source->strip);
            if (!path || strcmp(path, member) != 0) continue;
            iw_buffer text = {0};
            char part[65536];
            la_ssize_t got;
            while ((got = archive_read_data(archive, part, sizeof part)) > 0 &&
                   text.length <= LOCK_LIMIT)
                iw_buffer_add(&text, part, (size_t)got);
            if (got == 0) {
                iw_error_clear(err);
                status = 0;
                *out = iw_buffer_take(&text);
            } else {
                status = iw_fail(err, IW_E_FORMAT, "%s in %s is broken or larger than %u bytes",
                                 member, source->file ? source->file : source->name, LOCK_LIMIT);
            }
            iw_buffer_free(&text);
            break;
        }
    }
    archive_read_free(archive);
    return status;
}

/* What a path below $SRC is called inside a source that is laid there; NULL: it isn't in it. */
static const char *below(const iw_source *source, const char *path)
{
    iw_cleanup_free char *folder = iw_path_clean(source->to ? source->to : ".");
    size_t length = strlen(folder);
    if (strcmp(folder, ".") == 0) return path;
    return strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

/* The lock where a source of the recipe's own, laid before, brings it: its path, which the caller
 * frees. NULL: none does. */
static char *own_lock(const iw_recipe *recipe, const iw_source *source)
{
    size_t before = 0; /* by its name, for a caller may have a copy of the source */
    while (before < recipe->source_count && strcmp(recipe->sources[before].id, source->id) != 0)
        before++;
    while (before-- > 0) {
        const iw_source *own = &recipe->sources[before];
        if (own->kind != IW_SOURCE_LOCAL || !own->unpack || !own->local_path) continue;
        const char *inside = below(own, source->name);
        iw_cleanup_free char *path = NULL;
        if (!inside) continue;
        struct stat status;
        bool tree = stat(own->local_path, &status) == 0 && S_ISDIR(status.st_mode);
        if (tree) path = iw_path_join(own->local_path, inside);
        else if (strcmp(inside, own->file) == 0) path = iw_strdup(own->local_path);
        if (path && stat(path, &status) == 0 && S_ISREG(status.st_mode)) return iw_steal(&path);
    }
    return NULL;
}

bool iw_crates_have_own_lock(const iw_recipe *recipe, const iw_source *source)
{
    iw_cleanup_free char *own = own_lock(recipe, source);
    return own;
}

static int read_from_first(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                           char **out, iw_error *err)
{
    const iw_source *first = &recipe->sources[0];
    if (first->kind == IW_SOURCE_LOCAL || first->kind == IW_SOURCE_CRATES)
        return iw_fail(err, IW_E_RECIPE,
                       "%s:%d: the lock of `crates` must be in the first source, and that one must "
                       "be fetched, or be a `local` source before",
                       source->place.file, source->place.line);
    const char *member = below(first, source->name);
    iw_cleanup_fd int fd = -1;
    if (!member)
        return iw_fail(err, IW_E_RECIPE, "%s:%d: %s isn't in the first source, which is laid at %s",
                       source->place.file, source->place.line, source->name, first->to);
    return iw_store_open_source(store, first->sha256, &fd, err) != 0
               ? -1
               : read_member(fd, first, member, out, err);
}

int iw_crates_read(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                   iw_crates *out, iw_error *err)
{
    iw_error why = IW_ERROR_INIT;
    iw_error *record = err ? err : &why;
    iw_cleanup_free char *own = own_lock(recipe, source), *text = NULL;
    int status = own ? iw_read_file(own, LOCK_LIMIT, &text, NULL, record)
                     : read_from_first(store, recipe, source, &text, record);
    char digest[IW_SHA256_HEX];
    if (status == 0) {
        iw_hash_bytes(text, strlen(text), digest);
        if (strcmp(digest, source->sha256) != 0)
            status = iw_fail(record, IW_E_DIGEST, "%s:%d: %s has the SHA-256 %s, not the pinned %s",
                             source->place.file, source->place.line, source->name, digest,
                             source->sha256);
    }
    if (status == 0) status = iw_crates_parse(text, source->name, &source->without, out, record);
    iw_error_clear(&why);
    return status;
}

int iw_crates_all_here(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                       bool *here, iw_error *err)
{
    bool own = iw_crates_have_own_lock(recipe, source), has = own;
    *here = false;
    if (!own && iw_store_has_source(store, recipe->sources[0].sha256, &has, err) != 0) return -1;
    if (!has) return 0;
    iw_crates crates = {0};
    if (iw_crates_read(store, recipe, source, &crates, NULL) != 0)
        return 0; /* the build says why */
    *here = true;
    int status = 0;
    for (size_t i = 0; i < crates.count && *here && status == 0; i++)
        status = iw_store_has_source(store, crates.items[i].checksum, here, err);
    iw_crates_free(&crates);
    return status;
}

/* --- where cargo would get it --------------------------------------------- */

static bool read_config_line(iw_slice text, const char *section, const char *key, char **out)
{
    iw_slice line;
    bool inside = false;
    while (iw_slice_next(&text, '\n', &line)) {
        iw_slice trimmed = iw_slice_trim(line);
        if (trimmed.length && trimmed.data[0] == '[') {
            iw_slice name = {trimmed.data + 1, trimmed.length >= 2 ? trimmed.length - 2 : 0};
            inside = iw_slice_equal(name, section);
            continue;
        }
        if (inside && read_pair(trimmed, key, out)) return true;
    }
    return false;
}

/* One setting of cargo's configuration ("[section]" "key"): $CARGO_HOME/config.toml or
 * ~/.cargo/config.toml. */
static char *cargo_setting(const char *section, const char *key)
{
    const char *home = getenv("CARGO_HOME"), *user = getenv("HOME");
    iw_cleanup_free char *folder = home && *home ? iw_strdup(home)
                                   : user        ? iw_path_join(user, ".cargo")
                                                 : NULL;
    static const char *const names[] = {"config.toml", "config", NULL};
    char *value = NULL;
    for (size_t i = 0; folder && names[i] && !value; i++) {
        iw_cleanup_free char *path = iw_path_join(folder, names[i]);
        iw_cleanup_free char *text = NULL;
        if (iw_read_file(path, 1 << 20, &text, NULL, NULL) == 0)
            read_config_line(iw_slice_of(text), section, key, &value);
    }
    return value;
}

static char *without_sparse(char *index)
{
    if (index && iw_starts_with(index, SPARSE))
        memmove(index, index + strlen(SPARSE), strlen(index) - strlen(SPARSE) + 1);
    return index;
}

/* A git index whose last part is "NAME-index": cargo's own sparse index of that registry is at
 * "index." before NAME (cargo reference, "Registry index"). */
static char *default_index(const char *registry)
{
    const char *name = iw_path_base(registry);
    if (!iw_starts_with(registry, REGISTRY) || !iw_ends_with(name, "-index")) return NULL;
    return iw_format("https://index.%.*s/", (int)(strlen(name) - strlen("-index")), name);
}

/* What cargo's source replacement (cargo reference, "Source Replacement") puts in the place of its
 * own registry; NULL where nothing is replaced. */
static char *replaced_index(void)
{
    iw_cleanup_free char *source = iw_strdup("crates-io");
    char *index = NULL;
    for (int depth = 0; depth < 8 && source; depth++) {
        iw_cleanup_free char *section = iw_format("source.%s", source),
                             *registry = iw_format("registries.%s", source);
        char *found = cargo_setting(section, "registry");
        if (!found) found = cargo_setting(registry, "index");
        if (found) {
            free(index);
            index = found;
        }
        free(source);
        source = cargo_setting(section, "replace-with");
    }
    return without_sparse(index);
}

/* The sparse index that stands for the registry of a lock; caller frees; NULL where none is known.
 */
static char *index_of(const char *registry)
{
    const char *given = getenv("IRONWHEEL_CRATES_INDEX");
    if (given && *given) return without_sparse(iw_strdup(given));
    if (iw_starts_with(registry, SPARSE)) return iw_strdup(registry + strlen(SPARSE));
    iw_cleanup_free char *own = default_index(registry);
    char *replaced = own ? replaced_index() : NULL;
    return replaced ? replaced : iw_steal(&own);
}

struct iw_registry {
    char *name, *template; /* template NULL: it can't be used, and `why` says why */
    iw_error why;
};

void iw_registries_free(iw_registries *registries)
{
    for (size_t i = 0; i < registries->count; i++) {
        free(registries->items[i].name);
        free(registries->items[i].template);
        iw_error_clear(&registries->items[i].why);
    }
    free(registries->items);
    memset(registries, 0, sizeof *registries);
}

/* `dl` of the index's config.json (cargo reference, "Index Format"). */
static char *download_template(const char *registry, const iw_transfer_options *options,
                               iw_error *err)
{
    iw_cleanup_free char *index = index_of(registry);
    if (!index) {
        iw_fail(err, IW_E_ENVIRONMENT,
                "no sparse index is known for %s: set IRONWHEEL_CRATES_INDEX, or replace the "
                "source in cargo's configuration",
                registry);
        return NULL;
    }
    iw_cleanup_free char *config = iw_format("%s%sconfig.json", index,
                                             iw_ends_with(index, "/") ? "" : "/"),
                         *text = NULL;
    if (iw_transfer_page(config, NULL, 65536, options, &text, NULL, NULL, NULL, err) != 0) {
        iw_wrap(err, "the crates' index");
        return NULL;
    }
    json_t *root = json_loads(text, 0, NULL);
    char *template = iw_strdup(iw_json_get(root, "dl"));
    json_decref(root);
    if (!template) iw_fail(err, IW_E_FORMAT, "%s names no download address", config);
    return template;
}

static const struct iw_registry *registry_of(iw_registries *registries, const char *name,
                                             const iw_transfer_options *options)
{
    for (size_t i = 0; i < registries->count; i++)
        if (strcmp(registries->items[i].name, name) == 0) return &registries->items[i];
    iw_grow((void **)&registries->items, &registries->capacity, registries->count + 1,
            sizeof *registries->items);
    struct iw_registry *registry = &registries->items[registries->count++];
    *registry = (struct iw_registry){.name = iw_strdup(name)};
    registry->template = download_template(name, options, &registry->why);
    return registry;
}

/* The folders of a crate in an index: "1", "2", "3/a", "ab/cd". */
static void add_prefix(iw_buffer *url, const char *name, bool lower)
{
    size_t length = strlen(name);
    iw_cleanup_free char *folded = iw_strdup(name);
    for (char *c = folded; lower && *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    if (length < 3) iw_buffer_add_format(url, "%zu", length);
    else if (length == 3) iw_buffer_add_format(url, "3/%.1s", folded);
    else iw_buffer_add_format(url, "%.2s/%.2s", folded, folded + 2);
}

int iw_crates_urls(iw_registries *registries, const iw_crate *crate,
                   const iw_transfer_options *options, iw_strings *urls, iw_error *err)
{
    const struct iw_registry *registry = registry_of(registries, crate->registry, options);
    if (!registry->template)
        return iw_fail(err, registry->why.kind, "%s-%s.crate: %s", crate->name, crate->version,
                       iw_error_text(&registry->why));
    iw_cleanup_buffer iw_buffer url = {0};
    for (const char *at = registry->template; *at;) {
        size_t marker = strcspn(at, "}") + 1;
        if (iw_starts_with(at, "{crate}")) iw_buffer_add_text(&url, crate->name);
        else if (iw_starts_with(at, "{version}")) iw_buffer_add_text(&url, crate->version);
        else if (iw_starts_with(at, "{prefix}") || iw_starts_with(at, "{lowerprefix}"))
            add_prefix(&url, crate->name, at[1] == 'l');
        else if (iw_starts_with(at, "{sha256-checksum}")) iw_buffer_add_text(&url, crate->checksum);
        else iw_buffer_add_char(&url, *at), marker = 1;
        at += marker;
    }
    if (!strchr(registry->template, '{'))
        iw_buffer_add_format(&url, "%s%s/%s/download",
                             iw_ends_with(registry->template, "/") ? "" : "/", crate->name,
                             crate->version);
    iw_strings_add(urls, url.data);
    return 0;
}

/* --- laying --------------------------------------------------------------- */

static int lay_crate(iw_store *store, const iw_crate *crate, const char *vendor, iw_error *err)
{
    iw_cleanup_free char *name = iw_format("%s-%s", crate->name, crate->version),
                         *folder = iw_path_join(vendor, name);
    iw_cleanup_fd int fd = -1;
    if (iw_store_open_source(store, crate->checksum, &fd, err) != 0)
        return iw_wrap(err, "crate %s", name);
    if (iw_make_folders(folder, 0755, err) != 0) return -1;
    iw_admission admission = {.strip = 1, .set_times = true};
    if (iw_archive_unpack(fd, name, folder, &admission, err) != 0) return -1;
    iw_cleanup_free char *path = iw_path_join(folder, ".cargo-checksum.json"),
                         *text = iw_format("{\"files\":{},\"package\":\"%s\"}\n", crate->checksum);
    return iw_write_passing(path, text, strlen(text), 0644, err);
}

int iw_crates_lay(iw_store *store, const iw_recipe *recipe, const iw_source *source,
                  const char *folder, iw_error *err)
{
    iw_crates crates = {0};
    if (iw_crates_read(store, recipe, source, &crates, err) != 0) return -1;
    iw_cleanup_free char *vendor = iw_path_join(folder, "vendor"),
                         *cargo = iw_path_join(folder, ".cargo");
    int status = iw_make_folders(vendor, 0755, err);
    for (size_t i = 0; i < crates.count && status == 0; i++)
        status = lay_crate(store, &crates.items[i], vendor, err);
    iw_crates_free(&crates);
    if (status != 0) return -1;
    static const char replacement[] =
        "\n[source.crates-io]\nreplace-with = "
        "\"vendored-sources\"\n\n[source.vendored-sources]\ndirectory = \"vendor\"\n";
    iw_cleanup_free char *config = iw_path_join(cargo, "config.toml"), *old = NULL;
    if (iw_make_folders(cargo, 0755, err) != 0) return -1;
    if (iw_exists(config) && iw_read_file(config, 1 << 20, &old, NULL, err) != 0) return -1;
    if (old && strstr(old, "[source.crates-io]"))
        return iw_fail(
            err, IW_E_RECIPE,
            "%s:%d: the source's own .cargo/config.toml replaces crates-io already; patch that out",
            source->place.file, source->place.line);
    iw_cleanup_free char *text = iw_format("%s%s", old ? old : "", replacement);
    return iw_write_passing(config, text, strlen(text), 0644, err);
}
