#include "share/simple.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/channel_wheels.h"

#define PAGE_LIMIT ((size_t)16 << 20)
#define OURS "_bundle" /* PEP 691: keys that begin so are an index's own */
#define THEIRS "_published"
#define REASON_LIMIT 1000 /* a longer one would make a tag that readers of pages pass over */

/* --- text for pages ------------------------------------------------------- */

static void add_html(iw_buffer *out, const char *text)
{
    for (; *text; text++) {
        const char *as = *text == '<'   ? "&lt;"
                         : *text == '>' ? "&gt;"
                         : *text == '&' ? "&amp;"
                         : *text == '"' ? "&quot;"
                                        : NULL;
        if (as) iw_buffer_add_text(out, as);
        else iw_buffer_add_char(out, *text);
    }
}

/* `base` ends in a slash. A `+` in a path is a blank to some servers. Names are plain else. Caller
 * frees. */
static char *address(const char *base, const char *sha256, const char *file)
{
    iw_cleanup_free char *place = iw_simple_place(sha256, file);
    iw_buffer out = {0};
    iw_buffer_add_text(&out, base);
    for (const char *c = place; *c; c++)
        if (*c == '+') iw_buffer_add_text(&out, "%2B");
        else iw_buffer_add_char(&out, *c);
    return iw_buffer_take(&out);
}

static char *time_text(uint64_t when)
{
    char text[32];
    struct tm parts;
    time_t seconds = (time_t)when;
    if (!gmtime_r(&seconds, &parts)) return iw_strdup("1980-01-01T00:00:00Z");
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return iw_strdup(text);
}

char *iw_simple_place(const char *sha256, const char *file)
{
    return iw_format("wheels/%.12s/%s", sha256, file);
}

/* --- a page's entries ----------------------------------------------------- */

/* Not `dist-info-metadata`, which core-metadata was called first (PEP 714): pip 23.0, Debian 12's,
 * can't read it in JSON; from HTML it takes it, and then refuses every project whose name the
 * requirement spells otherwise than the file (MarkupSafe, markupsafe). Without it, it looks into
 * the wheels. */
static json_t *new_entry(const char *file, const char *sha256, const char *metadata,
                         const char *requires_python, uint64_t size, const char *uploaded,
                         const char *bundle)
{
    iw_cleanup_free char *url = address("../../../", sha256, file);
    json_t *entry = json_pack("{s:s,s:s,s:{s:s},s:I,s:s,s:b,s:{s:s}}", "filename", file, "url", url,
                              "hashes", "sha256", sha256, "size", (json_int_t)size, "upload-time",
                              uploaded, "yanked", 0, "core-metadata", "sha256", metadata);
    iw_json_put(entry, "requires-python", requires_python);
    iw_json_put(entry, OURS, bundle);
    return entry;
}

static json_t *published_entry(const char *file, const char *url, const char *sha256,
                               const char *requires_python, uint64_t size, const char *seen)
{
    json_t *entry = json_pack("{s:s,s:s,s:{s:s},s:I,s:s,s:b,s:b}", "filename", file, "url", url,
                              "hashes", "sha256", sha256, "size", (json_int_t)size, "upload-time",
                              seen, "yanked", 0, THEIRS, 1);
    iw_json_put(entry, "requires-python", requires_python);
    return entry;
}

static bool is_published(const json_t *entry)
{
    return json_is_true(json_object_get(entry, THEIRS));
}

/* Plain, without a user, and without anything that a page would have to quote. */
static bool is_address(const char *url)
{
    static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._~-+%=:";
    const char *rest = iw_starts_with(url, "https://")  ? url + 8
                       : iw_starts_with(url, "http://") ? url + 7
                                                        : "";
    return *rest && *rest != '/' && strlen(url) < 2000 && strspn(rest, taken) == strlen(rest);
}

static bool is_time(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    if (strlen(text) != strlen(form)) return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i]) return false;
    return true;
}

/* "numpy-1.26.4+k10-cp311-cp311-manylinux_2_34_x86_64.whl": of this project, with five parts. */
static bool is_file_of(const char *file, const char *project)
{
    size_t parts = 1;
    iw_cleanup_free char *name = iw_strndup(file, strcspn(file, "-")), *own = iw_project_name(name);
    for (const char *c = file; *c; c++) parts += *c == '-';
    return iw_is_plain_name(file) && iw_ends_with(file, ".whl") && parts == 5 &&
           strcmp(own, project) == 0;
}

static bool is_specifier(const char *text)
{
    return strlen(text) <= 100 &&
           strspn(text, "0123456789.*,<>=!~ abcdefghijklmnopqrstuvwxyz") == strlen(text);
}

static json_t *reason(const char *why)
{
    return json_string(strlen(why) <= REASON_LIMIT ? why : "withdrawn");
}

/* Made anew of its parts, so that nothing else of it comes along; NULL where one isn't right. */
static json_t *admit_entry(const json_t *entry, const char *project)
{
    const char *file = iw_json_get(entry, "filename"),
               *sha256 = iw_json_get(json_object_get(entry, "hashes"), "sha256"),
               *metadata = iw_json_get(json_object_get(entry, "core-metadata"), "sha256"),
               *uploaded = iw_json_get(entry, "upload-time"),
               *python = iw_json_get(entry, "requires-python"), *bundle = iw_json_get(entry, OURS);
    uint64_t size;
    if (!file || !is_file_of(file, project) || !sha256 || !iw_is_sha256(sha256) || !uploaded ||
        !is_time(uploaded) || !iw_field_number(entry, "size", &size) ||
        (python && !is_specifier(python)))
        return NULL;
    if (is_published(entry)) {
        const char *url = iw_json_get(entry, "url");
        return url && is_address(url) ? published_entry(file, url, sha256, python, size, uploaded)
                                      : NULL;
    }
    if (!metadata || !iw_is_sha256(metadata) || (bundle && !iw_is_plain_name(bundle))) return NULL;
    json_t *good = new_entry(file, sha256, metadata, python, size, uploaded, bundle);
    const char *yanked = iw_json_get(entry, "yanked"); /* by whoever put it there */
    if (yanked) json_object_set_new(good, "yanked", reason(yanked));
    return good;
}

json_t *iw_simple_admit(const char *text, size_t length, const char *project, size_t *bad)
{
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL),
           *files = json_object_get(root, "files"), *out = json_array(), *one;
    json_t *names = json_object();
    size_t i;
    *bad = !json_is_array(files);
    json_array_foreach(files, i, one)
    {
        const char *name = iw_json_get(one, "filename");
        json_t *good = json_object_get(names, name) ? NULL : admit_entry(one, project);
        if (good) json_array_append_new(out, good), json_object_set(names, name, json_true());
        else ++*bad;
    }
    json_decref(names);
    json_decref(root);
    return out;
}

/* --- pages ---------------------------------------------------------------- */

static void begin_html(iw_buffer *out, const char *title)
{
    iw_buffer_add_text(out, "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<meta "
                            "name=\"pypi:repository-version\" content=\"1.1\">\n<title>");
    add_html(out, title);
    iw_buffer_add_text(out, "</title>\n</head>\n<body>\n");
}

static void add_attribute(iw_buffer *out, const char *name, const char *prefix, const char *value)
{
    if (!value) return;
    iw_buffer_add_format(out, " %s=\"%s", name, prefix);
    add_html(out, value);
    iw_buffer_add_char(out, '"');
}

static void add_link(iw_buffer *out, const json_t *entry)
{
    const char *metadata = iw_json_get(json_object_get(entry, "core-metadata"), "sha256");
    iw_buffer_add_format(out, "<a href=\"%s#sha256=%s\"", iw_json_get(entry, "url"),
                         iw_json_get(json_object_get(entry, "hashes"), "sha256"));
    add_attribute(out, "data-requires-python", "", iw_json_get(entry, "requires-python"));
    add_attribute(out, "data-core-metadata", "sha256=", metadata);
    add_attribute(out, "data-yanked", "", iw_json_get(entry, "yanked"));
    iw_buffer_add_char(out, '>');
    add_html(out, iw_json_get(entry, "filename"));
    iw_buffer_add_text(out, "</a><br>\n");
}

char *iw_simple_html(const char *project, const json_t *files)
{
    iw_buffer out = {0};
    const json_t *one;
    size_t i;
    begin_html(&out, project);
    json_array_foreach(files, i, one) add_link(&out, one);
    iw_buffer_add_text(&out, "</body>\n</html>\n");
    return iw_buffer_take(&out);
}

static json_t *versions_of(const json_t *files)
{
    iw_cleanup_strings iw_strings found = {0};
    const json_t *one;
    size_t i;
    json_array_foreach(files, i, one)
    {
        const char *file = iw_json_get(one, "filename"), *start = strchr(file, '-') + 1;
        iw_cleanup_free char *version = iw_strndup(start, strcspn(start, "-"));
        if (!iw_strings_has(&found, version)) iw_strings_add(&found, version);
    }
    iw_strings_sort(&found);
    return iw_json_texts((const char *const *)found.items, found.count);
}

static int write_text(iw_remote *remote, const char *folder, const char *name, const char *text,
                      iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s/%s", folder, name);
    return iw_remote_write(remote, path, text, strlen(text), err);
}

/* Takes `root`. */
static int write_page(iw_remote *remote, const char *folder, json_t *root, const char *html,
                      iw_error *err)
{
    json_object_set_new(root, "meta", json_pack("{s:s}", "api-version", "1.1"));
    iw_cleanup_free char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(root);
    return write_text(remote, folder, "index.json", text, err) == 0
               ? write_text(remote, folder, "index.html", html, err)
               : -1;
}

static void note(const iw_simple *simple, const char *path, size_t bad)
{
    iw_cleanup_free char *text =
        iw_format("%zu entries of %s there can't be read, and are left out of the new page", bad,
                  path);
    iw_emit(simple->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = simple->label, .detail = text});
}

/* What the page holds by now; a new array. -1 only where the place can't be reached. */
static int read_page(iw_remote *remote, const iw_simple *simple, const char *folder,
                     const char *project, json_t **files, iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s/index.json", folder), *text = NULL;
    iw_error inner = IW_ERROR_INIT;
    size_t length, bad = 0;
    *files = NULL;
    if (iw_remote_read(remote, path, PAGE_LIMIT, &text, &length, &inner) == 0)
        *files = iw_simple_admit(text, length, project, &bad);
    else if (inner.kind == IW_E_NOT_FOUND) *files = json_array();
    else iw_error_move(err, &inner);
    if (bad) note(simple, path, bad);
    iw_error_clear(&inner);
    return *files ? 0 : -1;
}

/* Withdrawn with all bundles that it is of: then pip takes it only where it is asked for by its
 * version. False: it is nobody's, and goes. */
static bool stays(const iw_simple *simple, json_t *entry)
{
    const char *bundle = iw_json_get(entry, OURS),
               *sha256 = iw_json_get(json_object_get(entry, "hashes"), "sha256");
    const iw_offered_wheel *wheel = iw_channel_wheel(simple->channel, sha256);
    const iw_offer *offer = bundle ? iw_channel_bundle(simple->channel, bundle) : NULL;
    if (!wheel && !offer) return true;
    const char *why = wheel               ? iw_channel_wheel_withdrawn(simple->channel, wheel)
                      : *offer->withdrawn ? offer->withdrawn
                                          : NULL;
    json_object_set_new(entry, "yanked", why ? reason(why) : json_false());
    return !wheel || *wheel->bundles;
}

/* Takes the entry of that name out of the list; NULL where there is none. A new reference. */
static json_t *take_entry(json_t *files, const char *file)
{
    for (size_t i = 0; i < json_array_size(files); i++) {
        json_t *one = json_array_get(files, i);
        if (strcmp(iw_json_get(one, "filename"), file) != 0) continue;
        json_incref(one);
        json_array_remove(files, i);
        return one;
    }
    return NULL;
}

static void put_entry(const iw_simple *simple, json_t *files, const iw_wheel *wheel)
{
    char metadata[IW_SHA256_HEX];
    iw_hash_bytes(wheel->metadata, strlen(wheel->metadata), metadata);
    json_t *old = take_entry(files, wheel->file);
    const char *sha256 = iw_json_get(json_object_get(old, "hashes"), "sha256");
    bool same = sha256 && strcmp(sha256, wheel->sha256) == 0;
    const iw_offer *offer =
        simple->bundle ? iw_channel_bundle(simple->channel, simple->bundle) : NULL;
    iw_cleanup_free char *now = time_text(offer ? offer->pushed : simple->now);
    json_array_append_new(files,
                          new_entry(wheel->file, wheel->sha256, metadata, wheel->requires_python,
                                    wheel->size, same ? iw_json_get(old, "upload-time") : now,
                                    simple->bundle));
    json_decref(old);
}

static int by_filename(const void *a, const void *b)
{
    return strcmp(iw_json_get(*(json_t *const *)a, "filename"),
                  iw_json_get(*(json_t *const *)b, "filename"));
}

/* Wheels of ours leave no room for others'. */
static bool has_ours(const json_t *files)
{
    const json_t *one;
    size_t i;
    json_array_foreach(files, i, one) if (!is_published(one)) return true;
    return false;
}

/* Those that stay, by their names. */
static json_t *settled(const iw_simple *simple, json_t *files)
{
    bool ours = has_ours(files);
    size_t count = json_array_size(files);
    json_t **items = iw_alloc((count + 1) * sizeof *items), *out = json_array();
    for (size_t i = 0; i < count; i++) items[i] = json_array_get(files, i);
    qsort(items, count, sizeof *items, by_filename);
    for (size_t i = 0; i < count; i++)
        if (stays(simple, items[i]) && !(ours && is_published(items[i])))
            json_array_append(out, items[i]);
    free(items);
    return out;
}

/* Takes `files`. */
static int write_project(iw_remote *remote, const iw_simple *simple, const char *folder,
                         const char *project, json_t *files, iw_error *err)
{
    json_t *list = settled(simple, files);
    json_decref(files);
    iw_cleanup_free char *html = iw_simple_html(project, list);
    return write_page(remote, folder,
                      json_pack("{s:s,s:o,s:o}", "name", project, "versions", versions_of(list),
                                "files", list),
                      html, err);
}

static int put_project(iw_remote *remote, const iw_simple *simple, const char *project,
                       const iw_wheel *wheels, size_t count, iw_error *err)
{
    iw_cleanup_free char *folder = iw_format("simple/%s/%s", simple->label, project);
    json_t *files;
    if (read_page(remote, simple, folder, project, &files, err) != 0) return -1;
    for (size_t i = 0; i < count; i++) put_entry(simple, files, &wheels[i]);
    return write_project(remote, simple, folder, project, files, err);
}

/* --- what others published ------------------------------------------------ */

static void put_other(const iw_simple *simple, json_t *files, const iw_published *one)
{
    json_t *old = take_entry(files, one->file);
    const char *seen = iw_json_get(old, "upload-time");
    iw_cleanup_free char *now = time_text(simple->now);
    bool python = one->requires_python && is_specifier(one->requires_python);
    if (!one->dies)
        json_array_append_new(files, published_entry(one->file, one->url, one->sha256,
                                                     python ? one->requires_python : NULL,
                                                     one->size, seen ? seen : now));
    json_decref(old);
}

static bool may_stand(const iw_published *one)
{
    return is_file_of(one->file, one->project) && iw_is_sha256(one->sha256) &&
           is_address(one->url) && (one->size || one->dies);
}

/* *listed: a page of that project is there now. */
static int put_others(iw_remote *remote, const iw_simple *simple, const iw_published *all,
                      size_t count, bool *listed, iw_error *err)
{
    const char *project = all->project;
    iw_cleanup_free char *folder = iw_format("simple/%s/%s", simple->label, project);
    json_t *files;
    if (read_page(remote, simple, folder, project, &files, err) != 0) return -1;
    *listed = json_array_size(files) > 0;
    for (size_t i = 0; i < count && !has_ours(files); i++)
        if (may_stand(&all[i])) put_other(simple, files, &all[i]);
    *listed = *listed || json_array_size(files) > 0;
    if (*listed) return write_project(remote, simple, folder, project, files, err);
    json_decref(files);
    return 0;
}

static bool is_ours(const iw_wheels *wheels, const char *project)
{
    for (size_t i = 0; i < wheels->count; i++)
        if (strcmp(wheels->items[i].project, project) == 0) return true;
    return false;
}

/* *names gets the projects. */
static int put_published(iw_remote *remote, const iw_simple *simple, const iw_wheels *wheels,
                         iw_strings *names, iw_error *err)
{
    const iw_published *all = simple->published.items;
    for (size_t i = 0, end; i < simple->published.count; i = end) {
        bool listed = false;
        for (end = i + 1;
             end < simple->published.count && strcmp(all[end].project, all[i].project) == 0;)
            end++;
        if (is_ours(wheels, all[i].project)) continue;
        if (put_others(remote, simple, &all[i], end - i, &listed, err) != 0) return -1;
        if (listed) iw_strings_add(names, all[i].project);
    }
    return 0;
}

/* --- the list of projects ------------------------------------------------- */

static bool is_project(const char *name)
{
    return *name && strlen(name) <= 100 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name) && *name != '-';
}

void iw_simple_projects(const char *text, size_t length, iw_strings *out)
{
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL), *one;
    size_t i;
    json_array_foreach(json_object_get(root, "projects"), i, one)
    {
        const char *name = iw_json_get(one, "name");
        if (name && is_project(name)) iw_strings_add(out, name);
    }
    json_decref(root);
}

static int read_projects(iw_remote *remote, const char *folder, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *path = iw_format("%s/index.json", folder), *text = NULL;
    iw_error inner = IW_ERROR_INIT;
    size_t length = 0;
    int status = iw_remote_read(remote, path, PAGE_LIMIT, &text, &length, &inner);
    bool absent = inner.kind == IW_E_NOT_FOUND;
    if (status != 0 && !absent) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    if (status != 0) return absent ? 0 : -1;
    iw_simple_projects(text, length, out);
    return 0;
}

static int put_projects(iw_remote *remote, const iw_simple *simple, const iw_wheels *wheels,
                        const iw_strings *others, iw_error *err)
{
    iw_cleanup_strings iw_strings names = {0};
    iw_cleanup_free char *folder = iw_format("simple/%s", simple->label);
    if (read_projects(remote, folder, &names, err) != 0) return -1;
    for (size_t i = 0; i < wheels->count; i++)
        if (!iw_strings_has(&names, wheels->items[i].project))
            iw_strings_add(&names, wheels->items[i].project);
    for (size_t i = 0; i < others->count; i++)
        if (!iw_strings_has(&names, others->items[i])) iw_strings_add(&names, others->items[i]);
    iw_strings_sort(&names);
    iw_buffer html = {0};
    json_t *list = json_array();
    begin_html(&html, simple->label);
    for (size_t i = 0; i < names.count; i++) {
        if (i && strcmp(names.items[i - 1], names.items[i]) == 0) continue;
        json_array_append_new(list, json_pack("{s:s}", "name", names.items[i]));
        iw_buffer_add_format(&html, "<a href=\"%s/\">%s</a><br>\n", names.items[i], names.items[i]);
    }
    iw_buffer_add_text(&html, "</body>\n</html>\n");
    int status = write_page(remote, folder, json_pack("{s:o}", "projects", list), html.data, err);
    iw_buffer_free(&html);
    return status;
}

int iw_simple_put(iw_remote *remote, const iw_simple *simple, const iw_wheels *wheels,
                  iw_error *err)
{
    for (size_t i = 0, end; i < wheels->count; i = end) {
        for (end = i + 1; end < wheels->count &&
                          strcmp(wheels->items[end].project, wheels->items[i].project) == 0;)
            end++;
        if (put_project(remote, simple, wheels->items[i].project, &wheels->items[i], end - i,
                        err) != 0)
            return -1;
    }
    iw_cleanup_strings iw_strings others = {0};
    return put_published(remote, simple, wheels, &others, err) == 0
               ? put_projects(remote, simple, wheels, &others, err)
               : -1;
}

static bool is_stale(const iw_offered_wheel *wheel, const char *bundle)
{
    if (!*wheel->bundles) return !wheel->dropped;
    iw_slice rest = iw_slice_of(wheel->bundles), one;
    while (bundle && iw_slice_next(&rest, ' ', &one))
        if (one.length == strlen(bundle) && memcmp(one.data, bundle, one.length) == 0) return true;
    return false;
}

int iw_simple_refresh(iw_remote *remote, const iw_simple *simple, const char *bundle, iw_error *err)
{
    iw_cleanup_strings iw_strings done = {0};
    const iw_channel *c = simple->channel;
    for (size_t i = 0; i < c->wheel_count; i++) {
        const iw_offered_wheel *wheel = &c->wheels[i];
        iw_cleanup_free char *name = iw_strndup(wheel->name, strcspn(wheel->name, "-")),
                             *project = iw_project_name(name),
                             *page = iw_path_join(wheel->label, project);
        iw_simple own = *simple;
        own.label = wheel->label;
        if (!is_stale(wheel, bundle) || iw_strings_has(&done, page)) continue;
        if (put_project(remote, &own, project, NULL, 0, err) != 0) return -1;
        iw_strings_add(&done, page);
    }
    return 0;
}

/* --- the lock file -------------------------------------------------------- */

/* A key and its value: where the wheel is. Caller frees. */
static char *lock_place(const iw_simple *simple, const iw_wheel *wheel)
{
    bool plain = simple->base && !strpbrk(simple->base, "\"\\\n");
    iw_cleanup_free char *base = iw_format("%s/", plain ? simple->base : ""),
                         *url = address(base, wheel->sha256, wheel->file),
                         *path = iw_simple_place(wheel->sha256, wheel->file);
    return plain ? iw_format("url = \"%s\"", url) : iw_format("path = \"%s\"", path);
}

char *iw_simple_lock(const iw_stack *stack, const iw_simple *simple, const iw_wheels *wheels)
{
    iw_buffer out = {0};
    iw_buffer_add_format(&out,
                         "# %s %s, compiled for %s: every wheel by its digest.\n"
                         "lock-version = \"1.0\"\n"
                         "created-by = \"ironwheel\"\n"
                         "environments = [\"sys_platform == 'linux' and platform_machine == "
                         "'x86_64'\"]\n"
                         "requires-python = \"==3.11.*\"\n",
                         stack->name, stack->version, simple->label);
    for (size_t i = 0; i < wheels->count; i++) {
        const iw_wheel *one = &wheels->items[i];
        iw_cleanup_free char *place = lock_place(simple, one);
        bool more = i && strcmp(wheels->items[i - 1].project, one->project) == 0;
        if (!more)
            iw_buffer_add_format(&out, "\n[[packages]]\nname = \"%s\"\nversion = \"%s\"\n",
                                 one->project, one->version);
        iw_buffer_add_format(&out,
                             "[[packages.wheels]]\nname = \"%s\"\n%s\nsize = "
                             "%llu\nhashes = { sha256 = \"%s\" }\n",
                             one->file, place, (unsigned long long)one->size, one->sha256);
    }
    return iw_buffer_take(&out);
}
