/* What `triage` is asked to try: operands, requirements files, lock files. All of it is somebody's
 * text. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "triage/triage.h"

#define LIST_LIMIT (16u << 20)
#define SHOWN 80 /* bytes of somebody's text in a message */

char *iw_triage_tame(const char *text)
{
    char *safe = iw_strdup(text);
    json_t *utf8 = json_string(safe);
    for (unsigned char *c = (unsigned char *)safe; *c; c++) {
        if (*c < ' ' || *c == 127 || (*c >= 128 && !utf8)) *c = '?';
        if (*c == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0) c[0] = c[1] = '?';
    }
    json_decref(utf8);
    return safe;
}

/* --- one requirement ------------------------------------------------------ */

static bool is_part_of_name(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("-_.", c));
}

/* pip would take a file of that name that lies here. */
static bool is_archive(const char *text)
{
    static const char *const ends[] = {".whl",     ".zip",      ".tar",    ".tar.gz", ".tgz",
                                       ".tar.bz2", ".tbz",      ".tar.xz", ".txz",    ".tlz",
                                       ".tar.lz",  ".tar.lzma", NULL};
    for (size_t i = 0; ends[i]; i++)
        if (strlen(text) >= strlen(ends[i]) &&
            strcasecmp(text + strlen(text) - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

/* Past ">=1.2" or another clause about versions; NULL where there is none. */
static const char *after_clause(const char *at)
{
    static const char *const operators[] = {"===", "==", "~=", "!=", "<=", ">=", "<", ">", NULL};
    size_t i = 0;
    while (operators[i] && !iw_starts_with(at, operators[i])) i++;
    if (!operators[i]) return NULL;
    at += strlen(operators[i]);
    at += strspn(at, " ");
    if (!isalnum((unsigned char)*at)) return NULL;
    while (is_part_of_name(*at) || (*at && strchr("*+!", *at))) at++;
    return at + strspn(at, " ");
}

/* PEP 508 without "@ URL": a name, extras, clauses about versions, and after ";" a marker, which
 * pip reads. */
static bool is_requirement(const char *text)
{
    const char *at = text;
    if (!isalnum((unsigned char)*at)) return false;
    while (is_part_of_name(*at)) at++;
    at += strspn(at, " ");
    if (*at == '[') {
        at++;
        while (is_part_of_name(*at) || *at == ',' || *at == ' ') at++;
        if (*at++ != ']') return false;
        at += strspn(at, " ");
    }
    for (bool more = *at && *at != ';'; more;) {
        if (!(at = after_clause(at))) return false;
        more = *at == ',';
        if (more) at += 1 + strspn(at + 1, " ");
    }
    if (*at && *at != ';') return false;
    while (*at >= ' ' && *at <= '~') at++;
    return *at == '\0';
}

static int add_requirement(const char *text, const char *where, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *whole = iw_strndup(text, strlen(text) < SHOWN ? strlen(text) : SHOWN),
                         *shown = iw_triage_tame(whole);
    const char *marker = strchr(text, ';'), *outside = strpbrk(text, "@/\\:");
    if (is_archive(text) || (outside && (!marker || outside < marker)) || text[0] == '.')
        return iw_fail(err, IW_E_USAGE,
                       "%s\"%s\" is a file, a folder or a URL: triage tries the wheels of a "
                       "package index, so give it as NAME==VERSION",
                       where, shown);
    if (!is_requirement(text))
        return iw_fail(err, IW_E_USAGE, "%s\"%s\" is no NAME==VERSION", where, shown);
    iw_strings_add(out, text);
    return 0;
}

/* --- requirements files --------------------------------------------------- */

/* Options of a line by itself. Those that say how to install are left aside; what would bring other
 * packages, or from elsewhere, isn't passed over in silence. */
static int take_option(const char *line, const char *where, iw_error *err)
{
    static const char *const others[] = {"-r", "--requirement", "-c", "--constraint",
                                         "-e", "--editable",    NULL};
    static const char *const indexes[] = {"-i", "--index-url",  "--extra-index-url",
                                          "-f", "--find-links", "--no-index",
                                          NULL};
    iw_cleanup_free char *shown = iw_triage_tame(line);
    for (size_t i = 0; others[i]; i++)
        if (iw_starts_with(line, others[i]))
            return iw_fail(err, IW_E_USAGE,
                           "%s\"%.*s\" asks for more than this file: triage reads one file, of "
                           "NAME==VERSION lines; give it what `pip freeze` writes, or a lock file",
                           where, SHOWN, shown);
    for (size_t i = 0; indexes[i]; i++)
        if (iw_starts_with(line, indexes[i]))
            return iw_fail(err, IW_E_USAGE,
                           "%s\"%.*s\" names another index: take the line out, and set "
                           "PIP_INDEX_URL or PIP_EXTRA_INDEX_URL for triage instead",
                           where, SHOWN, shown);
    return 0;
}

/* Without comments, which begin the line or follow a space, and options after a requirement
 * ("--hash=…"). Shortens `line`. */
static char *trim_line(char *line)
{
    bool option = line[strspn(line, " \t")] == '-', starts = true;
    size_t end = 0;
    for (; line[end]; end++) {
        if (starts && (line[end] == '#' || (!option && strncmp(line + end, "--", 2) == 0))) break;
        starts = isspace((unsigned char)line[end]);
    }
    line[end] = '\0';
    iw_slice rest = iw_slice_trim(iw_slice_of(line));
    line += rest.data - line;
    line[rest.length] = '\0';
    return line;
}

int iw_triage_read_requirements(const char *path, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    iw_cleanup_buffer iw_buffer line = {0};
    size_t length = 0, number = 0, first = 1;
    if (iw_read_file(path, LIST_LIMIT, &text, &length, err) != 0) return -1;
    if (memchr(text, '\0', length))
        return iw_fail(err, IW_E_FORMAT,
                       "%s is no text: triage reads requirements files, uv.lock and pylock.toml",
                       path);
    iw_slice rest = iw_slice_of(text + (iw_starts_with(text, "\xEF\xBB\xBF") ? 3 : 0)), part;
    while (iw_slice_next(&rest, '\n', &part)) {
        number++;
        if (part.length && part.data[part.length - 1] == '\r') part.length--;
        bool goes_on = part.length && part.data[part.length - 1] == '\\';
        iw_buffer_add(&line, part.data, part.length - goes_on);
        if (goes_on && rest.length) continue;
        iw_cleanup_free char *whole = iw_buffer_take(&line),
                             *where = iw_format("%s:%zu: ", path, first);
        const char *one = trim_line(whole);
        first = number + 1;
        if (*one == '-' ? take_option(one, where, err) != 0
                        : *one && add_requirement(one, where, out, err) != 0)
            return -1;
    }
    return 0;
}

/* --- lock files ----------------------------------------------------------- */

/* uv.lock and pylock.toml (PEP 751) list [[package]] or [[packages]] with name and version. The
 * project itself (virtual, editable, a folder) is left out; what comes from elsewhere than an index
 * is named, by a "!" before it. */
static const char lock_code[] =
    "import sys, tomllib\n"
    "try:\n"
    "    with open(sys.argv[1], 'rb') as file:\n"
    "        lock = tomllib.load(file)\n"
    "    for package in lock.get('package', []) + lock.get('packages', []):\n"
    "        source = set(package.get('source', package))\n"
    "        if {'virtual', 'editable', 'directory'} & source:\n"
    "            continue\n"
    "        elsewhere = bool({'git', 'url', 'path', 'vcs', 'archive'} & source)\n"
    "        if 'version' in package or elsewhere:\n"
    "            print(('!' if elsewhere else '') + "
    "ascii(f\"{package['name']}=={package.get('version', '')}\")[1:-1])\n"
    "except Exception as why:\n"
    "    sys.exit(f'{type(why).__name__}: {why}')\n";

bool iw_triage_is_lock(const char *path)
{
    const char *name = iw_path_base(path);
    return iw_ends_with(name, ".lock") || iw_ends_with(name, ".toml");
}

static void tell_left_out(const iw_triage *t, const char *path, const char *package)
{
    iw_cleanup_free char *text = iw_format(
        "%s comes from a repository, a file or a URL, not from a package index: it isn't tried",
        package);
    iw_emit(t->sink, (iw_event){.type = IW_EVENT_NOTE, .subject = path, .detail = text});
}

int iw_triage_read_lock(const iw_triage *t, const char *path, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *python = iw_path_join(t->environment, "bin/python3"), *text = NULL,
                         *where = iw_format("%s: ", path);
    const char *argv[] = {python, "-I", "-c", lock_code, path, NULL},
               *environment[] = {"LC_ALL=C.UTF-8", NULL};
    if (iw_run_capture(argv, environment, LIST_LIMIT, &text, NULL, err) != 0)
        return iw_wrap(err, "reading the lock file %s", path);
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *one = iw_strndup(line.data, line.length),
                             *shown = iw_triage_tame(one);
        if (*one == '!') tell_left_out(t, path, shown + 1);
        else if (*one && add_requirement(one, where, out, err) != 0) return -1;
    }
    return out->count ? 0 : iw_fail(err, IW_E_FORMAT, "%s locks no package of an index", path);
}

int iw_triage_read_operand(const char *text, iw_strings *out, iw_error *err)
{
    return add_requirement(text, "", out, err);
}
