#include "share/wheel.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "pack/elf.h"
#include "pack/pack.h"
#include "pack/record.h"
#include "share/canon.h"
#include "share/guard.h"
#include "store/archive.h"

#define LIBRARY "lib/python3.11/"
#define SITE "lib/python3.11/site-packages/"
#define INFO ".dist-info"
#define STAND_IN "+ironwheel" /* a package that stands for one which isn't built yet */
#define METADATA_LIMIT ((size_t)16 << 20)
#define OLDEST 5 /* glibc 2.5: tags begin there */

typedef struct stage { /* a wheel's tree, while it is made */
    const iw_node *node;
    char *tree, *project, *escaped, *version;
    char *tag;              /* "cp311-cp311", as its own WHEEL says */
    char *metadata;         /* as it was installed; NULL for a library */
    iw_strings needed, own; /* sonames */
    iw_strings requires;
    size_t files; /* without licences */
    bool compiled, wanted;
} stage;

typedef struct making {
    iw_store *store;
    const iw_plan *plan;
    const iw_wheel_options *options;
    char *label;
    stage **stages;
    size_t count, capacity;
    iw_wheels *out;
} making;

static void stage_free(stage *s)
{
    if (!s) return;
    free(s->tree), free(s->project), free(s->escaped), free(s->version), free(s->tag);
    free(s->metadata);
    iw_strings_free(&s->needed), iw_strings_free(&s->own), iw_strings_free(&s->requires);
    free(s);
}

/* --- names and versions --------------------------------------------------- */

char *iw_wheel_label(const char *profile)
{
    char *label = iw_strdup(profile);
    for (char *c = label; *c; c++)
        *c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '.';
    return label;
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* Skips `word` with its number. */
static const char *skip_part(const char *text, const char *word)
{
    size_t length = strlen(word),
           number = strncmp(text, word, length) == 0 ? digits(text + length) : 0;
    return number ? text + length + number : text;
}

static const char *skip_release(const char *text)
{
    const char *at = text + digits(text);
    while (at != text && *at == '.' && digits(at + 1)) at += 1 + digits(at + 1);
    return at;
}

static bool is_local(const char *text)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (;;) {
        size_t length = strspn(text, alphabet);
        if (!length) return false;
        if (!text[length]) return true;
        if (text[length] != '.') return false;
        text += length + 1;
    }
}

bool iw_is_wheel_version(const char *text)
{
    const char *at = skip_release(text);
    if (at == text || strlen(text) > 100) return false;
    const char *before = at;
    at = skip_part(at, "a");
    if (at == before) at = skip_part(at, "b");
    if (at == before) at = skip_part(at, "rc");
    at = skip_part(skip_part(at, ".post"), ".dev");
    return !*at || (*at == '+' && is_local(at + 1));
}

static char *labelled(const making *m, const char *version)
{
    return iw_format("%s%c%s", version, strchr(version, '+') ? '.' : '+', m->label);
}

/* A recipe's version may be anything ("1.1.1w"): what no index takes goes into the label. */
static char *library_version(const making *m, const char *version)
{
    if (iw_is_wheel_version(version)) return labelled(m, version);
    const char *rest = skip_release(version);
    iw_cleanup_free char *local = iw_wheel_label(*rest == '.' || *rest == '+' ? rest + 1 : rest),
                         *clean = iw_format("%.*s+%s", (int)(rest - version), version, local);
    char *numbered = rest == version ? iw_format("0+%s", local) : iw_strdup(clean);
    char *done = labelled(m, numbered);
    free(numbered);
    return done;
}

/* The value of the first such header, or NULL; caller frees. */
static char *header(const char *text, const char *name)
{
    iw_slice rest = iw_slice_of(text), line;
    size_t length = strlen(name);
    while (iw_slice_next(&rest, '\n', &line) && iw_slice_trim(line).length) {
        if (line.length <= length || line.data[length] != ':' ||
            strncasecmp(line.data, name, length) != 0)
            continue;
        iw_slice value =
            iw_slice_trim((iw_slice){line.data + length + 1, line.length - length - 1});
        return iw_strndup(value.data, value.length);
    }
    return NULL;
}

/* --- laying out one tree -------------------------------------------------- */

typedef struct placing {
    stage *stage;
    const char *laid;
    const char *info; /* "numpy-1.26.4.dist-info/"; NULL: a library */
    bool alone;       /* all of the artifact belongs to it */
    iw_strings recorded, scripts;
} placing;

static bool is_written_anew(const char *name)
{
    static const char *const names[] = {"INSTALLER",       "REQUESTED", "RECORD", "METADATA",
                                        "direct_url.json", "WHEEL",     NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static char *in_info(const stage *s, const char *name)
{
    return iw_format("%s-%s" INFO "/%s", s->escaped, s->version, name);
}

static char *in_data(const stage *s, const char *scheme, const char *name)
{
    return iw_format("%s-%s.data/%s/%s", s->escaped, s->version, scheme, name);
}

/* Where a file of site-packages goes; NULL: nowhere. */
static char *place_in_site(const placing *p, const char *name)
{
    if (iw_ends_with(name, ".pyc") || strstr(name, "__pycache__/")) return NULL;
    if (!iw_starts_with(name, p->info)) {
        const char *slash = strchr(name, '/');
        bool foreign = slash && (size_t)(slash - name) > strlen(INFO) &&
                       strncmp(slash - strlen(INFO), INFO, strlen(INFO)) == 0;
        return foreign ? NULL : iw_strdup(name);
    }
    name += strlen(p->info);
    return is_written_anew(name) ? NULL : in_info(p->stage, name);
}

/* Programs that pip makes of entry points stay out. */
static char *place(const placing *p, const char *path)
{
    bool recorded = p->info && iw_strings_has(&p->recorded, path);
    if (!p->alone && !recorded) return NULL;
    if (iw_starts_with(path, SITE)) return p->info ? place_in_site(p, path + strlen(SITE)) : NULL;
    if (iw_starts_with(path, LIBRARY)) return NULL;
    if (iw_starts_with(path, "bin/"))
        return recorded && !iw_strings_has(&p->scripts, path + 4)
                   ? in_data(p->stage, "scripts", path + 4)
                   : NULL;
    if (recorded || iw_starts_with(path, "lib/") || iw_starts_with(path, "share/"))
        return in_data(p->stage, "data", path);
    return NULL;
}

static bool stands_in_lib(const char *path)
{
    return iw_starts_with(path, "lib/") && !strchr(path + 4, '/') && strstr(path, ".so");
}

/* A shared library goes by the name that others ask for; its further names are links, which no
 * wheel can hold. */
static int by_soname(const char *path, char **to, const stage *s, const iw_elf *elf, iw_error *err)
{
    if (!stands_in_lib(path) || !elf->dynamic || !elf->soname) return 0;
    if (!iw_is_plain_name(elf->soname))
        return iw_fail(err, IW_E_FORMAT, "%s calls itself by a name that isn't plain", path);
    iw_cleanup_free char *name = iw_format("lib/%s", elf->soname);
    free(*to);
    *to = in_data(s, "data", name);
    return 0;
}

static int put(placing *p, const char *path, const char *full, char **to, iw_error *err)
{
    iw_elf elf = {0};
    int status = iw_elf_read(full, &elf, err);
    if (status == 0) status = by_soname(path, to, p->stage, &elf, err);
    if (status == 0 && elf.is_elf) {
        p->stage->compiled = true;
        iw_strings_add_all(&p->stage->needed, (const char *const *)elf.needed.items);
        iw_strings_add(&p->stage->own, elf.soname ? elf.soname : iw_path_base(path));
    }
    iw_elf_clear(&elf);
    if (status != 0) return -1;
    iw_cleanup_free char *target = iw_path_join(p->stage->tree, *to),
                         *parent = iw_path_parent(target);
    if (iw_make_folders(parent, 0755, err) != 0) return -1;
    p->stage->files += !iw_starts_with(path, "share/licenses/");
    return link(full, target) == 0 ? 0
                                   : iw_fail_errno(err, IW_E_IO, "can't put %s into a wheel", path);
}

/* What a link leads to, where that is a file of the same artifact; caller frees. */
static char *follow(const placing *p, const char *full)
{
    iw_cleanup_free char *root = realpath(p->laid, NULL), *real = realpath(full, NULL);
    struct stat status;
    bool inside = root && real && iw_starts_with(real, root) && real[strlen(root)] == '/' &&
                  stat(real, &status) == 0 && S_ISREG(status.st_mode);
    return inside ? iw_steal(&real) : NULL;
}

static int visit(void *context, const char *relative, const char *full, const struct stat *status,
                 iw_error *err)
{
    placing *p = context;
    if (S_ISDIR(status->st_mode)) return 0;
    if (S_ISLNK(status->st_mode) && stands_in_lib(relative)) return 0;
    iw_cleanup_free char *to = place(p, relative);
    iw_cleanup_free char *real = S_ISLNK(status->st_mode) ? follow(p, full) : iw_strdup(full);
    return to && real ? put(p, relative, real, &to, err) : 0;
}

static stage *new_stage(making *m, const iw_node *node, const char *project, char *version)
{
    stage *s = iw_alloc(sizeof *s);
    s->node = node;
    s->project = iw_strdup(project);
    s->escaped = iw_strdup(project);
    for (char *c = s->escaped; *c; c++)
        if (*c == '-') *c = '_';
    s->version = version;
    s->tree = iw_format("%s/wheel-%zu", m->options->work, m->count);
    iw_grow((void **)&m->stages, &m->capacity, m->count + 1, sizeof(stage *));
    m->stages[m->count++] = s;
    return s;
}

/* --- Python packages ------------------------------------------------------ */

static bool is_project(const char *project)
{
    size_t length = strlen(project);
    return length && length <= 100 && isalnum((unsigned char)project[0]) &&
           isalnum((unsigned char)project[length - 1]) &&
           strspn(project, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* "[console_scripts]" and "[gui_scripts]": lines "name = module:function". */
static void read_scripts(const char *text, iw_strings *out)
{
    iw_slice rest = iw_slice_of(text), line;
    for (bool inside = false; iw_slice_next(&rest, '\n', &line);) {
        line = iw_slice_trim(line);
        const char *equals = line.length ? memchr(line.data, '=', line.length) : NULL;
        if (line.length && line.data[0] == '[')
            inside =
                iw_slice_equal(line, "[console_scripts]") || iw_slice_equal(line, "[gui_scripts]");
        else if (inside && equals) {
            iw_slice name = iw_slice_trim((iw_slice){line.data, (size_t)(equals - line.data)});
            iw_strings_add_format(out, "%.*s", (int)name.length, name.data);
        }
    }
}

/* "cp311-cp311" of "Tag: cp311-cp311-linux_x86_64"; "py2.py3-none" of two lines, for setuptools
 * writes what a file's name has in one expanded, as the binary distribution format wants it. */
static int read_tag(const char *folder, char **tag, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(folder, "WHEEL"), *text = NULL, *abi = NULL;
    iw_cleanup_strings iw_strings pythons = {0};
    if (iw_read_file(path, METADATA_LIMIT, &text, NULL, err) != 0) return -1;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line) && iw_slice_trim(line).length) {
        iw_cleanup_free char *one = iw_strndup(line.data, line.length), *found = header(one, "Tag");
        char *parts = found, *python = found ? strsep(&parts, "-") : NULL,
             *binary = strsep(&parts, "-");
        if (!found) continue;
        if (!binary || !parts || !iw_is_plain_name(python) || !iw_is_plain_name(binary)) {
            free(abi), abi = NULL;
            break;
        }
        if (!abi) abi = iw_strdup(binary);
        if (strcmp(abi, binary) == 0 && !iw_strings_has(&pythons, python))
            iw_strings_add(&pythons, python);
    }
    if (!abi) return iw_fail(err, IW_E_FORMAT, "%s names no tag that a wheel can have", path);
    iw_buffer out = {0};
    for (size_t i = 0; i < pythons.count; i++)
        iw_buffer_add_format(&out, "%s%s", i ? "." : "", pythons.items[i]);
    iw_buffer_add_format(&out, "-%s", abi);
    *tag = iw_buffer_take(&out);
    return 0;
}

static int no_identity(const char *info, const char *why, iw_error *err)
{
    return iw_fail(err, IW_E_FORMAT, "%s: %s; no wheel is made of it", info, why);
}

/* What METADATA says of itself must be what the folder says: else one package would stand in the
 * index under the name of another. */
static int identify(making *m, const iw_node *node, const char *info, char **metadata, stage **out,
                    iw_error *err)
{
    iw_cleanup_free char *name = header(*metadata, "Name"), *version = header(*metadata, "Version"),
                         *folder = iw_strndup(info, (size_t)(strchr(info, '-') - info)),
                         *project = iw_project_name(name ? name : ""),
                         *expected = iw_project_name(folder);
    if (!is_project(project) || strcmp(project, expected) != 0)
        return no_identity(info, "METADATA has another name", err);
    if (!version || !iw_is_wheel_version(version))
        return no_identity(info, "its version isn't one that an index takes", err);
    *out = new_stage(m, node, project, labelled(m, version));
    (*out)->metadata = iw_steal(metadata);
    (*out)->wanted = true;
    return 0;
}

static int stage_package(making *m, const iw_node *node, const char *laid, const char *info,
                         bool alone, iw_error *err)
{
    iw_cleanup_free char *folder = iw_format("%s/" SITE "%s", laid, info),
                         *path = iw_path_join(folder, "METADATA"),
                         *entries = iw_path_join(folder, "entry_points.txt"),
                         *record = iw_format(SITE "%s/RECORD", info),
                         *start = iw_format("%s/", info), *metadata = NULL, *text = NULL;
    placing p = {.laid = laid, .info = start, .alone = alone};
    int status = iw_read_file(path, METADATA_LIMIT, &metadata, NULL, err);
    if (status == 0) status = identify(m, node, info, &metadata, &p.stage, err);
    if (status == 0) status = read_tag(folder, &p.stage->tag, err);
    if (status == 0) status = iw_record_read(laid, record, &p.recorded, err);
    if (status == 0 && iw_exists(entries))
        status = iw_read_file(entries, METADATA_LIMIT, &text, NULL, err);
    if (text) read_scripts(text, &p.scripts);
    if (status == 0) status = iw_walk(laid, visit, &p, err);
    iw_strings_free(&p.recorded), iw_strings_free(&p.scripts);
    return status;
}

char *iw_wheel_library(const char *package)
{
    iw_cleanup_free char *name = iw_project_name(package);
    for (char *c = name; *c; c++)
        if (*c == '+') *c = 'x';
    return iw_format("iw-%s", name);
}

static int stage_library(making *m, const iw_node *node, const char *laid, iw_error *err)
{
    iw_cleanup_free char *project = iw_wheel_library(node->recipe->name);
    if (!is_project(project)) return no_identity(node->recipe->name, "its name isn't plain", err);
    placing p = {.laid = laid, .alone = true};
    p.stage = new_stage(m, node, project, library_version(m, node->recipe->version));
    p.stage->tag = iw_strdup("py3-none");
    return iw_walk(laid, visit, &p, err);
}

static int find_infos(const char *laid, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *site = iw_path_join(laid, SITE);
    DIR *open = opendir(site);
    if (!open) return errno == ENOENT ? 0 : iw_fail_errno(err, IW_E_IO, "can't read %s", site);
    for (const struct dirent *entry; (entry = readdir(open));)
        if (iw_ends_with(entry->d_name, INFO) && strchr(entry->d_name, '-') &&
            !iw_ends_with(entry->d_name, STAND_IN INFO))
            iw_strings_add(out, entry->d_name);
    closedir(open);
    iw_strings_sort(out);
    return 0;
}

static int stage_laid(making *m, const iw_node *node, const char *laid, iw_error *err)
{
    iw_cleanup_strings iw_strings infos = {0};
    if (find_infos(laid, &infos, err) != 0) return -1;
    if (!infos.count) return stage_library(m, node, laid, err);
    for (size_t i = 0; i < infos.count; i++)
        if (stage_package(m, node, laid, infos.items[i], infos.count == 1, err) != 0) return -1;
    return 0;
}

/* Python itself, with what came with it, is the rig's own. */
static int stage_node(making *m, const iw_node *node, iw_error *err)
{
    if (!node->in_bundle || strcmp(node->recipe->name, "python") == 0) return 0;
    if (m->options->may_go && !m->options->may_go(m->options->context, node)) return 0;
    if (node->action != IW_ACTION_REUSE)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "%s %s isn't built here; `ironwheel build %s` first, then its wheels",
                       node->recipe->name, node->recipe->version, m->plan->stack->name);
    iw_cleanup_free char *laid = iw_format("%s/laid", m->options->work);
    iw_cleanup_strings iw_strings skip = {0};
    iw_strings_add_all(&skip, node->recipe->build.development.items);
    int status = iw_make_folders(laid, 0755, err);
    if (status == 0) status = iw_store_lay_artifact(m->store, &node->artifact, laid, &skip, err);
    if (status == 0) status = stage_laid(m, node, laid, err);
    if (status != 0) iw_wrap(err, "wheels of %s %s", node->recipe->name, node->recipe->version);
    return iw_remove_tree(laid, status == 0 ? err : NULL) == 0 ? status : -1;
}

/* --- what needs what ------------------------------------------------------ */

static void want(making *m, stage *s);

static void require(making *m, stage *s, stage *library)
{
    iw_cleanup_free char *line = iw_format("%s==%s", library->project, library->version);
    if (library == s || library->metadata || !library->files) return;
    if (!iw_strings_has(&s->requires, line)) iw_strings_add(&s->requires, line);
    want(m, library);
}

static void want_libraries(making *m, stage *s)
{
    for (size_t i = 0; i < s->needed.count; i++) {
        const char *soname = s->needed.items[i];
        if (iw_strings_has(&s->own, soname)) continue;
        if (iw_starts_with(soname, "libpython"))
            iw_emit(m->options->sink,
                    (iw_event){.type = IW_EVENT_NOTE,
                               .subject = s->project,
                               .detail = "needs a Python that is a shared library, as not every "
                                         "system's is"});
        for (size_t k = 0; k < m->count; k++)
            if (!m->stages[k]->metadata && iw_strings_has(&m->stages[k]->own, soname)) {
                require(m, s, m->stages[k]);
                break;
            }
    }
    for (size_t i = 0; i < s->node->run_need_count; i++) /* what is loaded by name */
        for (size_t k = 0; k < m->count; k++)
            if (m->stages[k]->node == s->node->run_needs[i]) require(m, s, m->stages[k]);
}

/* Each once: what a library needs is told when it is first wanted. */
static void want(making *m, stage *s)
{
    if (s->wanted && !s->metadata) return;
    s->wanted = true;
    want_libraries(m, s);
    if (s->compiled)
        iw_strings_add_format(&s->requires, IW_GUARD_PROJECT "==" IW_GUARD_VERSION "+%s", m->label);
    iw_strings_sort(&s->requires);
}

/* --- writing -------------------------------------------------------------- */

/* One line of a header, whatever the text. */
static void add_header(iw_buffer *out, const char *name, const char *text)
{
    if (!text || !*text) return;
    iw_buffer_add_format(out, "%s: ", name);
    for (; *text; text++) iw_buffer_add_char(out, (unsigned char)*text < ' ' ? ' ' : *text);
    iw_buffer_add_char(out, '\n');
}

static void add_requires(iw_buffer *out, const stage *s)
{
    for (size_t i = 0; i < s->requires.count; i++)
        add_header(out, "Requires-Dist", s->requires.items[i]);
}

/* The package's own METADATA with another version, and with the libraries at the end of the
 * headers; all else stays. Caller frees. */
static char *package_metadata(const stage *s)
{
    iw_buffer out = {0};
    const char *rest = s->metadata;
    for (bool versioned = false; *rest && *rest != '\n' && !iw_starts_with(rest, "\r\n");) {
        const char *end = strchr(rest, '\n');
        size_t length = end ? (size_t)(end - rest) + 1 : strlen(rest);
        if (!versioned && strncasecmp(rest, "Version:", 8) == 0) {
            iw_buffer_add_format(&out, "Version: %s\n", s->version);
            versioned = true;
        } else {
            iw_buffer_add(&out, rest, length);
            if (!end) iw_buffer_add_char(&out, '\n');
        }
        rest += length;
    }
    add_requires(&out, s);
    iw_buffer_add_text(&out, rest);
    return iw_buffer_take(&out);
}

static char *library_metadata(const stage *s, const char *summary, const char *licence)
{
    iw_buffer out = {0};
    add_header(&out, "Metadata-Version", "2.1");
    add_header(&out, "Name", s->project);
    add_header(&out, "Version", s->version);
    add_header(&out, "Summary", summary);
    add_header(&out, "License", licence);
    add_requires(&out, s);
    return iw_buffer_take(&out);
}

/* "cp311-cp311-manylinux_2_34_x86_64"; pip itself refuses it on a system with an older glibc. */
static int full_tag(const stage *s, char **tag, iw_error *err)
{
    iw_floor floor = {0};
    if (!s->compiled) {
        *tag = iw_format("%.*s-none-any", (int)strcspn(s->tag, "-"), s->tag);
        return 0;
    }
    if (iw_glibc_floor(s->tree, &floor, err) != 0) return -1;
    unsigned minor = 0;
    bool known = sscanf(floor.version, "2.%3u", &minor) == 1 && minor > OLDEST;
    *tag = iw_format("%s-manylinux_2_%u_x86_64", s->tag, known ? minor : OLDEST);
    free(floor.symbols);
    return 0;
}

static int write_info(const stage *s, const char *name, const char *text, iw_error *err)
{
    iw_cleanup_free char *relative = in_info(s, name), *path = iw_path_join(s->tree, relative),
                         *parent = iw_path_parent(path);
    return iw_make_folders(parent, 0755, err) == 0
               ? iw_write_passing(path, text, strlen(text), 0644, err)
               : -1;
}

/* Caller frees. The tag is written expanded: a line for each Python. */
static char *wheel_text(bool compiled, const char *tag)
{
    iw_buffer out = {0};
    iw_buffer_add_format(&out, "Wheel-Version: 1.0\nGenerator: ironwheel\nRoot-Is-Purelib: %s\n",
                         compiled ? "false" : "true");
    size_t pythons = strcspn(tag, "-");
    iw_slice rest = {tag, pythons}, python;
    while (iw_slice_next(&rest, '.', &python))
        iw_buffer_add_format(&out, "Tag: %.*s%s\n", (int)python.length, python.data, tag + pythons);
    return iw_buffer_take(&out);
}

/* Takes `metadata`, `tag` and what names the stage. */
static int write_wheel(making *m, const stage *s, char *metadata, const char *tag, iw_error *err)
{
    iw_cleanup_free char *wheel = wheel_text(s->compiled, tag);
    iw_cleanup_free char *record = in_info(s, "RECORD");
    iw_wheels *out = m->out;
    iw_grow((void **)&out->items, &out->capacity, out->count + 1, sizeof *out->items);
    iw_wheel *one = &out->items[out->count++];
    *one = (iw_wheel){.project = iw_strdup(s->project),
                      .version = iw_strdup(s->version),
                      .file = iw_format("%s-%s-%s.whl", s->escaped, s->version, tag),
                      .metadata = metadata,
                      .requires_python = header(metadata, "Requires-Python")};
    one->path = iw_path_join(m->options->work, one->file);
    return write_info(s, "METADATA", metadata, err) == 0 &&
                   write_info(s, "WHEEL", wheel, err) == 0 &&
                   iw_record_make(s->tree, record, err) == 0 &&
                   iw_archive_zip(s->tree, one->path, err) == 0
               ? iw_hash_file(one->path, one->sha256, &one->size, err)
               : -1;
}

static int write_stage(making *m, const stage *s, iw_error *err)
{
    const iw_recipe *recipe = s->node->recipe;
    iw_cleanup_free char *tag = NULL;
    if (full_tag(s, &tag, err) != 0) return -1;
    char *metadata =
        s->metadata ? package_metadata(s) : library_metadata(s, recipe->summary, recipe->licence);
    return write_wheel(m, s, metadata, tag, err);
}

static int write_guard(making *m, iw_error *err)
{
    iw_cleanup_free char *summary =
        iw_format("Says at import that this CPU can't run what was compiled for %s", m->label);
    stage *s = new_stage(m, NULL, IW_GUARD_PROJECT, labelled(m, IW_GUARD_VERSION));
    if (iw_make_folders(s->tree, 0755, err) != 0 ||
        iw_guard_lay(s->tree, m->plan->profile, m->label, err) != 0)
        return -1;
    return write_wheel(m, s, library_metadata(s, summary, "MIT"), "py3-none-any", err);
}

static int write_all(making *m, iw_error *err)
{
    bool compiled = false;
    size_t count = m->count;
    for (size_t i = 0; i < count; i++) {
        const stage *s = m->stages[i];
        iw_emit(m->options->sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                             .subject = m->plan->stack->name,
                                             .phase = "wheels",
                                             .count = i + 1,
                                             .total = count});
        if (s->wanted && write_stage(m, s, err) != 0) return iw_wrap(err, "wheel %s", s->project);
        compiled = compiled || (s->wanted && s->compiled);
        if (iw_remove_tree(s->tree, err) != 0) return -1;
    }
    return compiled ? write_guard(m, err) : 0;
}

static int by_project(const void *a, const void *b)
{
    return strcmp(((const iw_wheel *)a)->project, ((const iw_wheel *)b)->project);
}

/* --- all of it ------------------------------------------------------------ */

void iw_wheels_free(iw_wheels *wheels)
{
    for (size_t i = 0; i < wheels->count; i++) {
        iw_wheel *one = &wheels->items[i];
        free(one->project), free(one->version), free(one->file), free(one->path);
        free(one->metadata), free(one->requires_python);
    }
    free(wheels->items);
    *wheels = (iw_wheels){.items = NULL};
}

int iw_wheels_make(iw_store *store, const iw_plan *plan, const iw_wheel_options *options,
                   iw_wheels *out, iw_error *err)
{
    making m = {.store = store, .plan = plan, .options = options, .out = out};
    int status = 0;
    m.label = iw_wheel_label(plan->profile->name);
    for (size_t i = 0; status == 0 && i < plan->node_count; i++)
        status = stage_node(&m, &plan->nodes[i], err);
    for (size_t i = 0; i < m.count; i++)
        if (m.stages[i]->metadata) want(&m, m.stages[i]);
    if (status == 0) status = write_all(&m, err);
    if (status == 0 && out->count) qsort(out->items, out->count, sizeof *out->items, by_project);
    for (size_t i = 0; i < m.count; i++) stage_free(m.stages[i]);
    free(m.stages);
    free(m.label);
    if (status != 0) iw_wheels_free(out);
    return status;
}
