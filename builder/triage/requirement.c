#include "triage/requirement.h"

#include <ctype.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "triage/requirement_internal.h"

#define LIST_LIMIT (16u << 20)
#define SHOWN 120 /* bytes of somebody's text in a message */
#define MARKER_LIMIT 4000
#define DEPTH_LIMIT 16 /* of files that name files */

/* --- texts ---------------------------------------------------------------- */

/* User and password before a host. */
static void hide_passwords(iw_buffer *out, const char *text)
{
    for (const char *at; (at = strstr(text, "://")) != NULL;) {
        at += 3;
        iw_buffer_add(out, text, (size_t)(at - text));
        size_t length = strcspn(at, "/ \t\r\n\"'<>?#"), user = length;
        while (user && at[user - 1] != '@') user--;
        if (user) iw_buffer_add_text(out, "****@");
        text = at + user;
    }
    iw_buffer_add_text(out, text);
}

char *iw_triage_tame(const char *text)
{
    iw_buffer out = {0};
    hide_passwords(&out, text);
    char *safe = iw_buffer_take(&out);
    json_t *utf8 = json_string(safe);
    for (unsigned char *c = (unsigned char *)safe; *c; c++) {
        if (*c < ' ' || *c == 127 || (*c >= 128 && !utf8)) *c = '?';
        if (*c == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0) c[0] = c[1] = '?';
    }
    json_decref(utf8);
    return safe;
}

char *iw_origin_text(const iw_origin *origin)
{
    if (!origin->file) return iw_strdup("the command line");
    iw_cleanup_free char *file = iw_triage_tame(origin->file);
    return origin->line ? iw_format("%s:%zu", file, origin->line) : iw_steal(&file);
}

static iw_origin copy_origin(const iw_origin *origin)
{
    return (iw_origin){iw_strdup(origin->file), origin->line};
}

/* --- life ----------------------------------------------------------------- */

void iw_want_clear(iw_want *one)
{
    char *all[] = {one->origin.file, one->text,   one->name,  one->extras,
                   one->conditions,  one->marker, one->pinned};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    iw_strings_free(&one->hashes);
    *one = (iw_want){0};
}

void iw_requirements_free(iw_requirements *all)
{
    for (size_t i = 0; i < all->count; i++) iw_want_clear(&all->items[i]);
    for (size_t i = 0; i < all->constraint_count; i++) iw_want_clear(&all->constraints[i]);
    for (size_t i = 0; i < all->left_count; i++)
        free(all->left[i].origin.file), free(all->left[i].text), free(all->left[i].why);
    free(all->items), free(all->constraints), free(all->left);
    iw_strings_free(&all->options), iw_strings_free(&all->seen);
    *all = (iw_requirements){0};
}

void iw_requirements_leave_out(iw_requirements *all, const iw_origin *origin, const char *text,
                               const char *why)
{
    iw_cleanup_free char *shown = iw_triage_tame(text);
    size_t length = strnlen(shown, SHOWN);
    while (shown[length] && length && ((unsigned char)shown[length] & 0xC0) == 0x80)
        length--; /* between two characters of UTF-8 */
    shown[length] = '\0';
    iw_grow((void **)&all->left, &all->left_capacity, all->left_count + 1, sizeof *all->left);
    all->left[all->left_count++] =
        (iw_left_out){copy_origin(origin), iw_steal(&shown), iw_strdup(why), false};
}

void iw_requirements_take(iw_requirements *all, iw_want *one, bool constraint)
{
    iw_want **list = constraint ? &all->constraints : &all->items;
    size_t *count = constraint ? &all->constraint_count : &all->count,
           *capacity = constraint ? &all->constraint_capacity : &all->capacity;
    iw_grow((void **)list, capacity, *count + 1, sizeof **list);
    (*list)[(*count)++] = *one;
    *one = (iw_want){0};
}

/* --- one requirement ------------------------------------------------------ */

static bool is_part_of_name(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("-_.", c));
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
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

/* One ">=1.2" from *at on, added to `out` without spaces; false where there is none. */
static bool read_clause(const char **at, iw_buffer *out, size_t *exact, iw_slice *version)
{
    static const char *const operators[] = {"===", "==", "~=", "!=", "<=", ">=", "<", ">", NULL};
    size_t i = 0;
    while (operators[i] && !iw_starts_with(*at, operators[i])) i++;
    if (!operators[i]) return false;
    const char *from = skip_space(*at + strlen(operators[i])), *end = from;
    while (is_part_of_name(*end) || (*end && strchr("*+!", *end))) end++;
    if (end == from) return false;
    *version = (iw_slice){from, (size_t)(end - from)};
    *exact += i < 2 && !memchr(from, '*', version->length);
    iw_buffer_add_format(out, "%s%s%.*s", out->length ? "," : "", operators[i],
                         (int)version->length, from);
    *at = skip_space(end);
    return true;
}

/* ">=1,<2" or "(>=1, <2)", up to `;` or the end. */
static bool read_conditions(const char **at, iw_want *out)
{
    iw_buffer text = {0};
    size_t exact = 0, clauses = 0;
    iw_slice version = {0};
    bool bracket = **at == '(', fine = true;
    if (bracket) *at = skip_space(*at + 1);
    bool more = **at && **at != ';' && **at != ')';
    while (more && fine) {
        fine = read_clause(at, &text, &exact, &version);
        clauses++;
        more = fine && **at == ',';
        if (more) *at = skip_space(*at + 1);
        if (more && (!**at || **at == ';' || **at == ')')) more = false; /* a comma at the end */
    }
    if (bracket && fine) {
        fine = **at == ')';
        if (fine) *at = skip_space(*at + 1);
    }
    if (exact == 1 && clauses == 1) out->pinned = iw_strndup(version.data, version.length);
    out->conditions = iw_buffer_take(&text);
    return fine;
}

static bool read_extras(const char **at, iw_want *out)
{
    iw_buffer text = {0};
    if (**at != '[') return true;
    for ((*at)++; is_part_of_name(**at) || **at == ',' || **at == ' '; (*at)++)
        if (**at != ' ') iw_buffer_add_char(&text, **at);
    if (text.length) out->extras = iw_buffer_take(&text);
    iw_buffer_free(&text);
    if (**at != ']') return false;
    *at = skip_space(*at + 1);
    return true;
}

/* PEP 508 without "@ URL": a name, extras, conditions, and after ";" a marker, which Python reads.
 */
static bool read_requirement(const char *text, iw_want *out)
{
    const char *at = text;
    if (!isalnum((unsigned char)*at)) return false;
    while (is_part_of_name(*at)) at++;
    iw_cleanup_free char *name = iw_strndup(text, (size_t)(at - text));
    out->name = iw_project_name(name);
    at = skip_space(at);
    if (!read_extras(&at, out) || !read_conditions(&at, out)) return false;
    if (*at && *at != ';') return false;
    if (*at == ';') {
        at = skip_space(at + 1);
        for (const char *c = at; *c; c++)
            if (*c < ' ' || *c > '~') return false;
        if (strlen(at) > MARKER_LIMIT) return false;
        if (*at) out->marker = iw_strdup(at);
    }
    out->text = iw_format("%s%s%s%s%s%s%s", name, out->extras ? "[" : "",
                          out->extras ? out->extras : "", out->extras ? "]" : "", out->conditions,
                          out->marker ? "; " : "", out->marker ? out->marker : "");
    return true;
}

/* Why it names no package of an index; NULL where it may be one. */
static const char *why_elsewhere(const char *text)
{
    const char *marker = strchr(text, ';'), *outside = strpbrk(text, "@/\\:");
    if (outside && marker && outside > marker) outside = NULL;
    if (outside && *outside == '@') return "it comes from a URL, not from a package index";
    if (is_archive(text) || outside || text[0] == '.')
        return "a file, a folder or a URL: only the wheels of a package index are tried";
    return NULL;
}

/* " --hash=sha256:…" behind a requirement; other options there say how to build, and count for
 * nothing. Cuts them off `line`. */
static void take_line_options(char *line, iw_strings *hashes)
{
    char *first = NULL;
    for (char *at = line; (at = strstr(at, "--")) != NULL; at += 2) {
        if (at == line || (at[-1] != ' ' && at[-1] != '\t')) continue;
        if (!first) first = at;
        if (!iw_starts_with(at, "--hash")) continue;
        const char *value = at + strlen("--hash");
        value += strspn(value, "= \t");
        iw_cleanup_free char *hash = iw_strndup(value, strcspn(value, " \t"));
        for (char *c = hash; *c; c++) *c = (char)tolower((unsigned char)*c);
        iw_strings_add(hashes, hash);
    }
    if (!first) return;
    while (first > line && isspace((unsigned char)first[-1])) first--;
    *first = '\0';
}

void iw_requirements_add_line(iw_requirements *all, const char *text, const iw_origin *origin,
                              bool constraint)
{
    iw_want one = {.origin = copy_origin(origin)};
    iw_cleanup_free char *line = iw_strdup(text);
    take_line_options(line, &one.hashes);
    const char *why = why_elsewhere(line);
    if (!why && !read_requirement(line, &one))
        why = "this isn't how a package and its versions are written: NAME==VERSION";
    if (why) iw_requirements_leave_out(all, origin, line, why);
    else iw_requirements_take(all, &one, constraint);
    iw_want_clear(&one);
}

void iw_requirements_add(iw_requirements *all, const char *text)
{
    iw_cleanup_free char *own = iw_strdup(text);
    iw_slice trimmed = iw_slice_trim(iw_slice_of(own));
    own[trimmed.data - own + (ptrdiff_t)trimmed.length] = '\0';
    if (trimmed.data[0] == '-')
        iw_requirements_leave_out(all, &(iw_origin){0}, trimmed.data, "an option of pip's");
    else iw_requirements_add_line(all, trimmed.data, &(iw_origin){0}, false);
}

/* --- a file's text -------------------------------------------------------- */

static void add_character(iw_buffer *out, uint32_t c)
{
    if (c < 0x80) {
        iw_buffer_add_char(out, (char)c);
    } else {
        unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
        iw_buffer_add_char(out, (char)(first[more] | c >> (6 * more)));
        while (more--) iw_buffer_add_char(out, (char)(0x80 | (c >> (6 * more) & 0x3F)));
    }
}

static uint32_t unit_at(const unsigned char *at, unsigned width, bool big)
{
    uint32_t unit = 0;
    for (unsigned i = 0; i < width; i++) unit |= (uint32_t)at[i] << 8 * (big ? width - 1 - i : i);
    return unit;
}

/* UTF-16 or UTF-32 to UTF-8; false where it is neither. */
static bool decode_wide(const unsigned char *data, size_t length, unsigned width, bool big,
                        iw_buffer *out)
{
    if (length % width) return false;
    for (size_t i = 0; i < length; i += width) {
        uint32_t c = unit_at(data + i, width, big);
        if (width == 2 && c >= 0xD800 && c < 0xDC00) {
            uint32_t low = i + 4 <= length ? unit_at(data + i + 2, 2, big) : 0;
            if (low < 0xDC00 || low > 0xDFFF) return false;
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            i += 2;
        }
        if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return false;
        add_character(out, c);
    }
    return true;
}

/* What Windows' editors and shells write, by its BOM (UTF-32's before UTF-16's, which it begins
 * with). */
static bool decode(const char *data, size_t length, iw_buffer *out)
{
    static const struct {
        const char *mark;
        size_t length;
        unsigned width;
        bool big;
    } marks[] = {{"\xEF\xBB\xBF", 3, 1, false},
                 {"\xFF\xFE\0\0", 4, 4, false},
                 {"\0\0\xFE\xFF", 4, 4, true},
                 {"\xFF\xFE", 2, 2, false},
                 {"\xFE\xFF", 2, 2, true}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (length < marks[i].length || memcmp(data, marks[i].mark, marks[i].length) != 0) continue;
        data += marks[i].length, length -= marks[i].length;
        if (marks[i].width > 1)
            return decode_wide((const unsigned char *)data, length, marks[i].width, marks[i].big,
                               out);
        break;
    }
    if (memchr(data, '\0', length)) return false;
    iw_buffer_add(out, data, length);
    return true;
}

/* --- lines ---------------------------------------------------------------- */

struct file {
    iw_requirements *all;
    const char *path;
    bool constraint; /* -c */
    unsigned depth;
};

static int read_file(const struct file *file, iw_error *err);

/* "${NAME}" is a variable's value, as for pip; an unset one stays as it is. Caller frees. */
static char *expand(const char *text)
{
    iw_buffer out = {0};
    for (const char *at; (at = strstr(text, "${")) != NULL;) {
        size_t length = strspn(at + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        iw_cleanup_free char *name = iw_strndup(at + 2, length);
        const char *value = at[2 + length] == '}' && length ? getenv(name) : NULL;
        iw_buffer_add(&out, text, (size_t)(at - text));
        iw_buffer_add_text(&out, value ? value : "${");
        text = at + (value ? length + 3 : 2);
    }
    iw_buffer_add_text(&out, text);
    return iw_buffer_take(&out);
}

/* Beside the file that names it. Caller frees. */
static char *beside(const struct file *file, const char *name)
{
    iw_cleanup_free char *folder = iw_path_parent(file->path), *whole = iw_path_join(folder, name);
    return name[0] == '/' ? iw_strdup(name) : iw_path_clean(whole);
}

enum meaning {
    MEANS_FILE,
    MEANS_CONSTRAINTS,
    MEANS_EDITABLE,
    MEANS_INDEX,  /* kept for pip */
    MEANS_FOLDER, /* kept for pip; may be a path */
    MEANS_SWITCH, /* kept for pip */
    MEANS_NOTHING /* says how to install */
};

static const struct option {
    const char *name;
    enum meaning meaning;
} options[] = {{"-r", MEANS_FILE},
               {"--requirement", MEANS_FILE},
               {"-c", MEANS_CONSTRAINTS},
               {"--constraint", MEANS_CONSTRAINTS},
               {"-e", MEANS_EDITABLE},
               {"--editable", MEANS_EDITABLE},
               {"-i", MEANS_INDEX},
               {"--index-url", MEANS_INDEX},
               {"--pypi-url", MEANS_INDEX},
               {"--extra-index-url", MEANS_INDEX},
               {"-f", MEANS_FOLDER},
               {"--find-links", MEANS_FOLDER},
               {"--trusted-host", MEANS_INDEX},
               {"--no-index", MEANS_SWITCH},
               {"--pre", MEANS_SWITCH},
               {"--only-binary", MEANS_NOTHING},
               {"--no-binary", MEANS_NOTHING},
               {"--prefer-binary", MEANS_NOTHING},
               {"--require-hashes", MEANS_NOTHING},
               {"--use-feature", MEANS_NOTHING},
               {"--config-settings", MEANS_NOTHING},
               {"--global-option", MEANS_NOTHING}};

/* The option that begins the line, and what is said with it ("-r a", "-ra", "--requirement=a"). */
static const struct option *find_option(const char *line, const char **value)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        size_t length = strlen(options[i].name);
        if (strncmp(line, options[i].name, length) != 0) continue;
        bool whole = !line[length] || strchr("= \t", line[length]), letter = length == 2;
        if (!whole && !letter) continue;
        *value = line + length + strspn(line + length, letter ? " \t" : "= \t");
        return &options[i];
    }
    return NULL;
}

/* In quotes, as people write paths with spaces. Caller frees. */
static char *unquoted(const char *value)
{
    size_t length = strlen(value);
    bool quoted = length > 1 && (*value == '"' || *value == '\'') && value[length - 1] == *value;
    return quoted ? iw_strndup(value + 1, length - 2) : iw_strndup(value, length);
}

static int take_file(const struct file *file, const char *name, bool constraint,
                     const iw_origin *origin, iw_error *err)
{
    if (strstr(name, "://")) {
        iw_requirements_leave_out(file->all, origin, name, "a file elsewhere isn't fetched");
        return 0;
    }
    iw_cleanup_free char *path = beside(file, name);
    struct file inner = {file->all, path, constraint || file->constraint, file->depth + 1};
    if (read_file(&inner, err) == 0) return 0;
    iw_cleanup_free char *where = iw_origin_text(origin);
    return iw_wrap(err, "%s", where);
}

static int take_option(const struct file *file, const char *line, const iw_origin *origin,
                       iw_error *err)
{
    const char *value = NULL;
    const struct option *option = find_option(line, &value);
    iw_cleanup_free char *plain = option ? unquoted(value) : NULL,
                         *own = plain ? expand(plain) : NULL;
    if (!option) {
        iw_requirements_leave_out(file->all, origin, line, "an option that isn't known here");
        return 0;
    }
    switch (option->meaning) {
    case MEANS_FILE:
    case MEANS_CONSTRAINTS:
        return take_file(file, own, option->meaning == MEANS_CONSTRAINTS, origin, err);
    case MEANS_EDITABLE:
        iw_requirements_leave_out(file->all, origin, line,
                                  "it is built from a folder or repository");
        break;
    case MEANS_FOLDER: {
        iw_cleanup_free char *folder = strstr(own, "://") ? iw_strdup(own) : beside(file, own);
        iw_strings_add_format(&file->all->options, "%s %s", option->name, folder);
        break;
    }
    case MEANS_INDEX: iw_strings_add_format(&file->all->options, "%s %s", option->name, own); break;
    case MEANS_SWITCH: iw_strings_add(&file->all->options, option->name); break;
    case MEANS_NOTHING: break;
    }
    return 0;
}

/* Without the comment, which begins the line or follows a space, and without spaces at its ends.
 * Shortens `line`. */
static char *trim_line(char *line)
{
    bool starts = true;
    size_t end = 0;
    for (; line[end] && !(starts && line[end] == '#'); end++)
        starts = isspace((unsigned char)line[end]);
    line[end] = '\0';
    iw_slice rest = iw_slice_trim(iw_slice_of(line));
    line += rest.data - line;
    line[rest.length] = '\0';
    return line;
}

static bool is_comment(iw_slice line)
{
    line = iw_slice_trim(line);
    return line.length && line.data[0] == '#';
}

static int take_line(const struct file *file, char *whole, size_t number, iw_error *err)
{
    const iw_origin origin = {(char *)(uintptr_t)file->path, number};
    const char *line = trim_line(whole);
    if (*line == '-') return take_option(file, line, &origin, err);
    if (*line) iw_requirements_add_line(file->all, line, &origin, file->constraint);
    return 0;
}

static int take_lines(const struct file *file, const char *text, iw_error *err)
{
    iw_cleanup_buffer iw_buffer line = {0};
    size_t number = 0, first = 1;
    iw_slice rest = iw_slice_of(text), part;
    while (iw_slice_next(&rest, '\n', &part)) {
        number++;
        while (part.length && part.data[part.length - 1] == '\r') part.length--;
        bool goes_on =
            part.length && part.data[part.length - 1] == '\\' && !is_comment(part) && rest.length;
        iw_buffer_add(&line, part.data, part.length - goes_on);
        if (goes_on) continue;
        iw_cleanup_free char *whole = iw_buffer_take(&line);
        if (take_line(file, whole, first, err) != 0) return -1;
        first = number + 1;
    }
    return 0;
}

static int read_file(const struct file *file, iw_error *err)
{
    iw_cleanup_free char *data = NULL, *text = NULL;
    iw_buffer decoded = {0};
    size_t length = 0;
    /* Constraints of a file that also installs aren't the same lines. */
    iw_cleanup_free char *key = iw_format("%c%s", file->constraint ? 'c' : 'r', file->path);
    if (iw_strings_has(&file->all->seen, key)) return 0;
    iw_strings_add(&file->all->seen, key);
    if (file->depth > DEPTH_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s: files that name files, more than %d deep", file->path,
                       DEPTH_LIMIT);
    if (iw_read_file(file->path, LIST_LIMIT, &data, &length, err) != 0) return -1;
    bool fine = decode(data, length, &decoded);
    text = iw_buffer_take(&decoded);
    if (!fine)
        return iw_fail(
            err, IW_E_FORMAT,
            "%s is no text in UTF-8, UTF-16 or UTF-32: give a requirements file, uv.lock "
            "or pylock.toml",
            file->path);
    return take_lines(file, text, err);
}

int iw_requirements_read(iw_requirements *all, const char *path, iw_error *err)
{
    return read_file(&(struct file){.all = all, .path = path}, err);
}
