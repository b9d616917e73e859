/* pip: what it would bring, bringing that, and why it can't. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "store/archive.h"
#include "triage/internal.h"
#include "triage/pip.h"

#define SHORT_LIMIT 240 /* bytes of what somebody said, in a row */

/* --- texts ---------------------------------------------------------------- */

char *iw_plain_name(const char *name)
{
    iw_cleanup_free char *own = iw_strndup(name, strcspn(name, "=<>!~[; ("));
    return iw_project_name(own);
}

char *iw_triage_short(const char *data, size_t length)
{
    bool cut = length > SHORT_LIMIT;
    for (length = cut ? SHORT_LIMIT : length;
         cut && length && ((unsigned char)data[length] & 0xC0) == 0x80;)
        length--; /* between two characters of UTF-8 */
    iw_cleanup_free char *own = iw_format("%.*s%s", (int)length, data, cut ? "…" : "");
    return iw_triage_tame(own);
}

/* The last line that says something. Caller frees. */
static char *last_line(const char *text)
{
    iw_slice best = iw_slice_last_line(iw_slice_of(text ? text : ""));
    return iw_triage_short(best.data, best.length);
}

/* --- why it can't --------------------------------------------------------- */

size_t iw_pip_clash(const char *said, iw_pip_side sides[2])
{
    static const char title[] = "The conflict is caused by:", user[] = "The user requested ",
                      constraint[] = "(constraint) ";
    const char *at = strstr(said, title);
    iw_slice rest = iw_slice_of(at ? at + strlen(title) : ""), line;
    size_t count = 0;
    while (count < 2 && iw_slice_next(&rest, '\n', &line)) {
        line = iw_slice_trim(line);
        if (!line.length && count) break;
        if (!line.length) continue;
        iw_cleanup_free char *whole = iw_strndup(line.data, line.length);
        bool asked = iw_starts_with(whole, user);
        const char *text = asked ? whole + strlen(user) : whole;
        if (asked && iw_starts_with(text, constraint)) text += strlen(constraint);
        if (count && sides[0].asked == asked && strcmp(sides[0].text, text) == 0) continue;
        sides[count++] = (iw_pip_side){.text = iw_strdup(text), .asked = asked};
    }
    return count;
}

int iw_pip_strange_report(iw_error *err)
{
    return iw_fail(err, IW_E_FORMAT,
                   "pip's report of what it would install has another form than the pip of the "
                   "toolchain file `checks` gives it: nothing can be told from it");
}

/* "pandas 3.1.1 depends on numpy>=2, but numpy==1.26.4 is asked for". Caller frees; NULL where pip
 * tells of no clash. */
static char *clash(const char *said)
{
    iw_pip_side sides[2];
    size_t count = iw_pip_clash(said, sides);
    iw_buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        iw_buffer_add_format(&text, "%s%s%s", i ? ", but " : "they clash: ", sides[i].text,
                             sides[i].asked ? " is asked for" : "");
        free(sides[i].text);
    }
    if (!count) return NULL;
    char *one_line = iw_triage_short(text.data, text.length);
    iw_buffer_free(&text);
    return one_line;
}

char *iw_pip_missing(const char *said)
{
    static const char none[] = "No matching distribution found for ";
    const char *at = strstr(said, none);
    if (!at) return NULL;
    at += strlen(none);
    return iw_triage_short(at, strcspn(at, " (;\n"));
}

static void add_once(iw_strings *out, const char *text)
{
    iw_cleanup_free char *tame = iw_triage_short(text, strlen(text));
    if (!iw_strings_has(out, tame)) iw_strings_add(out, tame);
}

/* "…a yanked version: 'numpy' candidate (version 2.4.0 at …", and a line with the reason. */
static void take_yanked(const char *at, iw_strings *out)
{
    static const char version[] = "' candidate (version ", reason[] = "Reason for being yanked: ";
    const char *end = at + strcspn(at, "\n"), *from = strstr(at, version),
               *why = *end && iw_starts_with(end + 1, reason) ? end + 1 + strlen(reason) : NULL;
    if (!from || from > end) return;
    const char *number = from + strlen(version);
    int length = why ? (int)strcspn(why, "\n") : 0;
    bool told = length && strncmp(why, "<none given>", 12) != 0;
    iw_cleanup_free char *text =
        iw_format("%.*s %.*s was withdrawn by its authors (yanked)%s%.*s", (int)(from - at), at,
                  (int)strcspn(number, " )"), number, told ? ": " : "", told ? length : 0, why);
    add_once(out, text);
}

void iw_pip_warnings(const char *said, iw_strings *out)
{
    static const char mark[] = "WARNING: ", yanked[] = " is a yanked version: '",
                      extra[] = " does not provide the extra ";
    for (const char *at = said; (at = strstr(at, mark)) != NULL;) {
        at += strlen(mark);
        iw_cleanup_free char *line = iw_strndup(at, strcspn(at, "\n"));
        const char *bad = strstr(line, yanked), *none = strstr(line, extra);
        if (bad) take_yanked(at + (bad - line) + strlen(yanked), out);
        else if (none) {
            iw_cleanup_free char *text =
                iw_format("%.*s has no extra %s", (int)(none - line), line, none + strlen(extra));
            add_once(out, text);
        }
    }
}

/* Why pip brought nothing, from what it said; caller frees. */
static char *why_not_brought(const char *said)
{
    const char *error = NULL;
    for (const char *at = said; (at = strstr(at, "ERROR: ")) != NULL; at++)
        error = at + strlen("ERROR: ");
    return error ? iw_triage_short(error, strcspn(error, "\n")) : last_line(said);
}

/* --- running it ----------------------------------------------------------- */

/* What it prints goes to files: it may be long, and nobody reads it meanwhile. */
static int run_pip(const iw_triage *t, const char *folder, const char *const *argv,
                   const char *const *environment, char **out, iw_error *err)
{
    iw_cleanup_free char *said = iw_path_join(folder, "pip.out"),
                         *complained = iw_path_join(folder, "pip.err"), *text = NULL, *told = NULL;
    iw_command command = {.argv = argv,
                          .environment = environment,
                          .in = -1,
                          .own_group = true,
                          .die_with_parent = true};
    int status = 0, result = -1;
    command.out = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    command.error = open(complained, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (command.out < 0 || command.error < 0)
        iw_fail_errno(err, IW_E_IO, "can't write in %s", folder);
    else /* Ctrl-C ends it, too: a download of gigabytes isn't waited for */
        result = iw_run_until(&command, t->options.fetch.cancel, "pip ran", &status, err);
    if (command.out >= 0) close(command.out);
    if (command.error >= 0) close(command.error);
    if (result == 0 && status == 0)
        return out ? iw_read_file(said, IW_TRIAGE_REPORT_LIMIT, out, NULL, err) : 0;
    /* What clashes is told on the one, that something does on the other. */
    if (result != 0 || iw_read_file(said, IW_TRIAGE_REPORT_LIMIT, &told, NULL, err) != 0 ||
        iw_read_file(complained, IW_TRIAGE_REPORT_LIMIT, &text, NULL, err) != 0)
        return -1;
    iw_cleanup_free char *both = iw_format("%s\n%s", told, text), *two = clash(both),
                         *missing = two ? NULL : iw_pip_missing(both),
                         *why = two || missing ? NULL : why_not_brought(both);
    return iw_fail(err, missing ? IW_E_NOT_FOUND : IW_E_IO, "%s",
                   two       ? two
                   : missing ? missing
                             : why);
}

void iw_pip_environment(const char *index, bool offline, const char *folder,
                        iw_strings *environment)
{
    static const char *const kept[] = {
        "HOME",          "PATH",       "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT",
        "SSL_CERT_FILE", "http_proxy", "https_proxy",         "no_proxy",        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (getenv(kept[i])) iw_strings_add_format(environment, "%s=%s", kept[i], getenv(kept[i]));
    if (!index) index = getenv("PIP_INDEX_URL");
    if (index) iw_strings_add_format(environment, "PIP_INDEX_URL=%s", index);
    if (offline) iw_strings_add(environment, "PIP_NO_INDEX=1");
    iw_strings_add_format(environment, "TMPDIR=%s", folder);
}

int iw_triage_pip(const iw_triage *t, const char *folder, const iw_strings *arguments, char **out,
                  iw_error *err)
{
    static const char *const always[] = {"-I",         "-m", "pip", "--disable-pip-version-check",
                                         "--no-input", NULL};
    iw_cleanup_strings iw_strings argv = {0}, environment = {0};
    iw_triage_python(t, &argv, &environment);
    iw_strings_add_all(&argv, always);
    iw_strings_add_all(&argv, (const char *const *)arguments->items);
    iw_pip_environment(t->options.fetch.pypi_index, t->options.fetch.offline, folder, &environment);
    return run_pip(t, folder, (const char *const *)argv.items,
                   (const char *const *)environment.items, out, err);
}

/* It is asked for a version that no index can have, and then says which there are. */
int iw_triage_wheel_versions(const iw_triage *t, const char *folder, const char *project,
                             iw_strings *out, iw_error *err)
{
    static const char title[] = "(from versions: ";
    iw_cleanup_strings iw_strings arguments = {0};
    iw_cleanup_free char *said = NULL, *path = iw_path_join(folder, "pip.err");
    iw_error why = IW_ERROR_INIT;
    iw_strings_add_all(&arguments, (const char *const[]){"download", "--no-deps", "--only-binary",
                                                         ":all:", "--dest", folder, "--", NULL});
    iw_strings_add_format(&arguments, "%s===ironwheel", project);
    if (iw_triage_pip(t, folder, &arguments, NULL, &why) == 0)
        return iw_fail(err, IW_E_IO, "pip found what can't be there");
    const char *at = why.kind != IW_E_CANCELLED &&
                             iw_read_file(path, IW_TRIAGE_REPORT_LIMIT, &said, NULL, NULL) == 0
                         ? strstr(said, title)
                         : NULL;
    if (!at) {
        iw_error_move(err, &why);
        return -1;
    }
    iw_error_clear(&why);
    iw_slice rest = {at + strlen(title), strcspn(at + strlen(title), ")\n")}, part;
    while (iw_slice_next(&rest, ',', &part)) {
        part = iw_slice_trim(part);
        iw_strings_add_format(out, "%.*s", (int)part.length, part.data);
    }
    return 0;
}

/* --- what it is asked ----------------------------------------------------- */

static bool names(const iw_strings *lines, const char *name)
{
    for (size_t i = 0; i < lines->count; i++) {
        iw_cleanup_free char *own = iw_plain_name(lines->items[i]);
        if (strcmp(own, name) == 0) return true;
    }
    return false;
}

/* Conditions of others hold for what the package needs, too: the wheels around one are those that
 * the user has. */
static void add_constraints(const iw_ask *ask, const iw_want *list, size_t count, bool own,
                            iw_buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        const iw_want *one = &list[i];
        bool asked = strcmp(one->name, ask->package) == 0;
        bool freed = asked && ask->free && one->pinned;
        if (*one->conditions && (own || !asked) && !freed && !names(&ask->pins, one->name))
            iw_buffer_add_format(out, "%s%s\n", one->name, one->conditions);
    }
}

int iw_ask_write(const iw_ask *ask, const char *requirements, const char *constraints,
                 iw_error *err)
{
    iw_cleanup_buffer iw_buffer wanted = {0}, limits = {0};
    for (size_t i = 0; ask->all && i < ask->all->options.count; i++)
        iw_buffer_add_format(&wanted, "%s\n", ask->all->options.items[i]);
    for (size_t i = 0; i < ask->lines.count; i++)
        iw_buffer_add_format(&wanted, "%s\n", ask->lines.items[i]);
    for (size_t i = 0; i < ask->pins.count; i++)
        iw_buffer_add_format(&limits, "%s\n", ask->pins.items[i]);
    if (ask->all) {
        add_constraints(ask, ask->all->items, ask->all->count, false, &limits);
        add_constraints(ask, ask->all->constraints, ask->all->constraint_count, true, &limits);
    }
    iw_buffer_add_text(&limits, "");
    return iw_write_passing(requirements, wanted.data, wanted.length, 0600, err) ||
                   iw_write_passing(constraints, limits.data ? limits.data : "", limits.length,
                                    0600, err)
               ? -1
               : 0;
}

/* --- what it would bring -------------------------------------------------- */

static const json_t *archive_of(const json_t *item)
{
    return json_object_get(json_object_get(item, "download_info"), "archive_info");
}

const char *iw_triage_digest(const json_t *item)
{
    return iw_json_get(json_object_get(archive_of(item), "hashes"), "sha256");
}

static int read_install(iw_attempt *a, const char *path, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(path, IW_TRIAGE_REPORT_LIMIT, &text, NULL, err) != 0) return -1;
    json_t *report = json_loads(text, 0, NULL);
    json_decref(a->install);
    a->install = json_incref(json_object_get(report, "install"));
    json_decref(report);
    return json_is_array(a->install) ? 0 : iw_pip_strange_report(err);
}

/* Name and version as pip resolved them, and the digests. */
static void read_choice(const iw_attempt *a, char **version, char **digests)
{
    iw_cleanup_strings iw_strings lines = {0};
    bool whole = true;
    size_t i;
    json_t *item;
    json_array_foreach(a->install, i, item)
    {
        const json_t *metadata = json_object_get(item, "metadata");
        const char *name = iw_json_get(metadata, "name"), *own = iw_json_get(metadata, "version");
        iw_cleanup_free char *plain = name ? iw_plain_name(name) : NULL;
        if (plain && own && strcmp(plain, a->ask->package) == 0 && !*version)
            *version = iw_strdup(own);
        whole = whole && iw_triage_digest(item);
        iw_strings_add_format(&lines, "%s %s", plain ? plain : "",
                              iw_triage_digest(item) ? iw_triage_digest(item) : "");
    }
    iw_strings_sort(&lines);
    iw_buffer all = {0};
    for (size_t k = 0; k < lines.count && whole; k++)
        iw_buffer_add_format(&all, "%s\n", lines.items[k]);
    *digests = iw_buffer_take(&all);
}

static void tell_warnings(const iw_attempt *a)
{
    iw_cleanup_free char *path = iw_path_join(a->folder, "pip.err"), *said = NULL;
    iw_cleanup_strings iw_strings warnings = {0};
    if (iw_read_file(path, IW_TRIAGE_REPORT_LIMIT, &said, NULL, NULL) != 0) return;
    iw_pip_warnings(said, &warnings);
    for (size_t i = 0; i < warnings.count; i++)
        iw_emit(&a->triage->sink, (iw_event){.type = IW_EVENT_NOTE,
                                             .subject = a->ask->lines.items[0],
                                             .detail = warnings.items[i]});
}

int iw_triage_resolve(iw_attempt *a, char **version, char **digests, iw_error *err)
{
    iw_cleanup_free char *wanted = iw_path_join(a->folder, "requirements.txt"),
                         *limits = iw_path_join(a->folder, "constraints.txt"),
                         *report = iw_path_join(a->folder, "report.json");
    iw_cleanup_strings iw_strings arguments = {0};
    const char *const words[] = {"install",
                                 "--only-binary",
                                 ":all:",
                                 "--report",
                                 report,
                                 "--dry-run",
                                 "--ignore-installed",
                                 "--constraint",
                                 limits,
                                 "--requirement",
                                 wanted,
                                 NULL};
    iw_strings_add_all(&arguments, words);
    if (iw_ask_write(a->ask, wanted, limits, err) != 0 ||
        iw_triage_pip(a->triage, a->folder, &arguments, NULL, err) != 0 ||
        read_install(a, report, err) != 0)
        return -1;
    if (!a->triage->options.blame_only) tell_warnings(a); /* else its caller resolved before */
    read_choice(a, version, digests);
    return 0;
}

/* --- bringing it ---------------------------------------------------------- */

char *iw_triage_file(const char *url)
{
    iw_cleanup_free char *plain = url ? iw_strndup(url, strcspn(url, "?#")) : NULL;
    const char *name = plain ? iw_path_base(plain) : "";
    iw_buffer out = {0};
    for (; *name; name++) {
        unsigned code;
        int used = 0;
        if (*name == '%' && sscanf(name, "%%%2x%n", &code, &used) == 1 && used == 3) {
            iw_buffer_add_char(&out, (char)code);
            name += 2;
        } else {
            iw_buffer_add_char(&out, *name);
        }
    }
    iw_cleanup_free char *file = iw_buffer_take(&out);
    return iw_path_is_inside(file) && !strchr(file, '/') && iw_ends_with(file, ".whl")
               ? iw_steal(&file)
               : NULL;
}

/* From the store, where it is fetched to by its digest, beside the other wheels of this attempt. */
static int link_wheel(iw_attempt *a, const json_t *item, const char *folder, iw_strings *wheels,
                      iw_error *err)
{
    const char *url = iw_json_get(json_object_get(item, "download_info"), "url"),
               *sha256 = iw_triage_digest(item);
    iw_cleanup_free char *file = iw_triage_file(url);
    if (!file || !sha256 || !iw_is_sha256(sha256) || !strstr(url, "://") ||
        iw_starts_with(url, "file:"))
        return iw_fail(err, IW_E_NOT_FOUND, "no address or digest");
    const iw_source source = {
        .kind = IW_SOURCE_URL, .id = "1", .name = url, .file = file, .sha256 = sha256, .to = "."};
    const iw_recipe recipe = {.name = a->ask->package, .version = "", .sources = &source};
    const iw_wanted wanted = {.recipe = &recipe, .source = &source};
    if (iw_fetch_all(a->triage->options.store, &wanted, 1, &a->triage->options.fetch, err) != 0)
        return -1;
    iw_cleanup_free char *from = iw_store_source_path(a->triage->options.store, sha256),
                         *to = iw_path_join(folder, file);
    if (symlink(from, to) != 0 && errno != EEXIST)
        return iw_fail_errno(err, IW_E_IO, "can't make %s", to);
    iw_strings_add(wheels, to);
    return 0;
}

/* What the store can't fetch (an index that wants a password, a folder of wheels), pip can. */
static int download_by_pip(iw_attempt *a, const char *folder, iw_error *err)
{
    iw_cleanup_free char *wanted = iw_path_join(a->folder, "requirements.txt"),
                         *limits = iw_path_join(a->folder, "constraints.txt");
    iw_cleanup_strings iw_strings arguments = {0};
    const char *const words[] = {"download",     "--quiet", "--only-binary",
                                 ":all:",        "--dest",  folder,
                                 "--constraint", limits,    "--requirement",
                                 wanted,         NULL};
    iw_strings_add_all(&arguments, words);
    return iw_triage_pip(a->triage, a->folder, &arguments, NULL, err);
}

static int add_file(void *context, const char *relative, const char *full,
                    const struct stat *status, iw_error *err)
{
    (void)status, (void)err;
    if (iw_ends_with(relative, ".whl")) iw_strings_add(context, full);
    return 0;
}

static int gather_wheels(iw_attempt *a, const char *folder, iw_strings *wheels, iw_error *err)
{
    size_t i;
    json_t *item;
    int status = 0;
    iw_error why = IW_ERROR_INIT;
    json_array_foreach(a->install, i, item) if (status == 0) status =
        link_wheel(a, item, folder, wheels, &why);
    if (status == 0) return 0;
    if (why.kind == IW_E_CANCELLED) {
        iw_error_move(err, &why);
        return -1;
    }
    iw_error_clear(&why);
    iw_strings_free(wheels);
    if (iw_remove_tree(folder, err) != 0 || iw_make_folders(folder, 0755, err) != 0 ||
        download_by_pip(a, folder, err) != 0)
        return -1;
    return iw_walk(folder, add_file, wheels, err);
}

/* Whether a wheel has files that belong elsewhere than where they were unpacked (but scripts, which
 * nothing here runs, and headers). */
static bool is_spread(const char *site)
{
    static const char *const parts[] = {"purelib", "platlib", "data"};
    DIR *folder = opendir(site);
    bool spread = false;
    for (struct dirent *entry; folder && !spread && (entry = readdir(folder)) != NULL;)
        for (size_t i = 0; i < 3 && iw_ends_with(entry->d_name, ".data"); i++) {
            iw_cleanup_free char *part = iw_path_join3(site, entry->d_name, parts[i]);
            spread = spread || iw_exists(part);
        }
    if (folder) closedir(folder);
    return spread;
}

static int unpack_wheels(const iw_strings *wheels, const char *site, iw_error *err)
{
    static const iw_admission admission = {0};
    for (size_t i = 0; i < wheels->count; i++) {
        iw_cleanup_fd int fd = open(wheels->items[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", wheels->items[i]);
        if (iw_archive_unpack(fd, iw_path_base(wheels->items[i]), site, &admission, err) != 0)
            return -1;
    }
    return 0;
}

/* A wheel is a zip file that is unpacked; pip need be asked only where parts go elsewhere. */
static int lay_wheels(iw_attempt *a, const iw_strings *wheels, iw_error *err)
{
    iw_cleanup_strings iw_strings arguments = {0};
    const char *const words[] = {"install", "--quiet",      "--no-index", "--no-deps", "--target",
                                 a->site,   "--no-compile", "--",         NULL};
    if (unpack_wheels(wheels, a->site, err) != 0) return -1;
    if (!is_spread(a->site)) return 0;
    if (iw_remove_tree(a->site, err) != 0) return -1;
    iw_strings_add_all(&arguments, words);
    iw_strings_add_all(&arguments, (const char *const *)wheels->items);
    return iw_triage_pip(a->triage, a->folder, &arguments, NULL, err);
}

int iw_triage_bring(iw_attempt *a, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_join(a->folder, "wheels");
    iw_cleanup_strings iw_strings wheels = {0};
    if (iw_make_folders(folder, 0755, err) != 0) return -1;
    pthread_mutex_lock(&a->triage->lock);
    int status = gather_wheels(a, folder, &wheels, err);
    pthread_mutex_unlock(&a->triage->lock);
    return status == 0 ? lay_wheels(a, &wheels, err) : -1;
}

/* --- tools ---------------------------------------------------------------- */

static char *bring_tools(const iw_triage *t)
{
    iw_cleanup_free char *folder = iw_path_join(t->work, "tools"),
                         *passing = iw_path_join(t->work, "tools-pip");
    iw_cleanup_strings iw_strings arguments = {0};
    const char *const words[] = {"install",  "--quiet", "--only-binary", ":all:",
                                 "--target", folder,    "--no-compile",  "--",
                                 "pytest",   NULL};
    iw_error why = IW_ERROR_INIT;
    iw_strings_add_all(&arguments, words);
    int status = iw_make_folders(passing, 0700, &why);
    if (status == 0) status = iw_triage_pip(t, passing, &arguments, NULL, &why);
    iw_error_clear(&why);
    return status == 0 ? iw_steal(&folder) : NULL;
}

const char *iw_triage_tools(iw_triage *t)
{
    pthread_mutex_lock(&t->lock);
    if (!t->tools_known) t->tools = bring_tools(t);
    t->tools_known = true;
    pthread_mutex_unlock(&t->lock);
    return t->tools;
}
