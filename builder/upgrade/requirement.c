#include "upgrade/requirement.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "recipe/version.h"

enum { DEEPEST = 40 };

/* --- markers -------------------------------------------------------------- */

struct reader {
    const char *at;
    const char *python;
    bool valid;
    unsigned depth;
};

static void skip_space(struct reader *r)
{
    while (isspace((unsigned char)*r->at)) r->at++;
}

static bool take_word(struct reader *r, const char *word)
{
    size_t length = strlen(word);
    skip_space(r);
    if (strncmp(r->at, word, length) != 0 || isalnum((unsigned char)r->at[length]) ||
        r->at[length] == '_')
        return false;
    r->at += length;
    return true;
}

static char *variable(const char *name, const char *python)
{
    static const char *const known[][2] = {{"os_name", "posix"},
                                           {"os.name", "posix"},
                                           {"sys_platform", "linux"},
                                           {"sys.platform", "linux"},
                                           {"platform_machine", "x86_64"},
                                           {"platform.machine", "x86_64"},
                                           {"platform_system", "Linux"},
                                           {"platform_python_implementation", "CPython"},
                                           {"platform.python_implementation", "CPython"},
                                           {"python_implementation", "CPython"},
                                           {"implementation_name", "cpython"},
                                           {"platform_release", ""},
                                           {"platform_version", ""},
                                           {"extra", ""},
                                           {NULL, NULL}};
    for (size_t i = 0; known[i][0]; i++)
        if (strcmp(name, known[i][0]) == 0) return iw_strdup(known[i][1]);
    if (strcmp(name, "python_full_version") == 0 || strcmp(name, "implementation_version") == 0)
        return iw_strdup(python);
    if (strcmp(name, "python_version") != 0) return NULL;
    size_t major = strcspn(python, ".");
    return iw_strndup(python, python[major] ? major + 1 + strcspn(python + major + 1, ".") : major);
}

/* A quoted text or a variable's value; NULL, and the reader invalid, where there is neither. */
static char *read_value(struct reader *r)
{
    skip_space(r);
    if (*r->at == '"' || *r->at == '\'') {
        const char *from = r->at + 1, *close = strchr(from, *r->at);
        if (!close) {
            r->valid = false;
            return NULL;
        }
        r->at = close + 1;
        return iw_strndup(from, (size_t)(close - from));
    }
    size_t length = 0;
    while (isalnum((unsigned char)r->at[length]) || r->at[length] == '_' || r->at[length] == '.')
        length++;
    iw_cleanup_free char *name = iw_strndup(r->at, length);
    char *value = variable(name, r->python);
    r->at += length;
    if (!value) r->valid = false;
    return value;
}

static const char *read_operator(struct reader *r)
{
    static const char *const signs[] = {"===", "==", "~=", "!=", "<=", ">=", "<", ">", NULL};
    skip_space(r);
    for (size_t i = 0; signs[i]; i++)
        if (iw_starts_with(r->at, signs[i])) {
            r->at += strlen(signs[i]);
            return signs[i];
        }
    if (take_word(r, "in")) return "in";
    if (take_word(r, "not") && take_word(r, "in")) return "not in";
    r->valid = false;
    return "==";
}

/* By versions where both sides are, else as texts. */
static bool compare(const char *left, const char *operator, const char * right)
{
    iw_version version;
    bool valid = false;
    if (strcmp(operator, "in") == 0) return strstr(right, left) != NULL;
    if (strcmp(operator, "not in") == 0) return strstr(right, left) == NULL;
    iw_cleanup_free char *condition = iw_format("%s%s", operator, right);
    bool meets = iw_version_parse(left, &version) && iw_version_meets(&version, condition, &valid);
    if (valid) return meets;
    int order = strcmp(left, right);
    return operator[0] == '<' ? order < 0 || (operator[1] && order == 0) :
           operator[0] == '>' ? order > 0 || (operator[1] && order == 0)
                              : (order == 0) == (operator[0] != '!');
}

static bool read_or(struct reader *r);

static bool read_term(struct reader *r)
{
    skip_space(r);
    if (*r->at == '(') {
        r->at++;
        bool holds = ++r->depth < DEEPEST && read_or(r);
        r->depth--;
        skip_space(r);
        if (*r->at == ')') r->at++;
        else r->valid = false;
        return holds;
    }
    iw_cleanup_free char *left = read_value(r);
    const char *operator= read_operator(r);
    iw_cleanup_free char *right = r->valid ? read_value(r) : NULL;
    return left && right && compare(left, operator, right);
}

static bool read_and(struct reader *r)
{
    bool holds = read_term(r);
    while (r->valid && take_word(r, "and")) holds = read_term(r) && holds;
    return holds;
}

static bool read_or(struct reader *r)
{
    bool holds = read_and(r);
    while (r->valid && take_word(r, "or")) holds = read_and(r) || holds;
    return holds;
}

bool iw_marker_holds(const char *marker, const char *python, bool *valid)
{
    struct reader r = {.at = marker, .python = python, .valid = true};
    bool holds = read_or(&r);
    skip_space(&r);
    if (*r.at) r.valid = false;
    if (valid) *valid = r.valid;
    return holds && r.valid;
}

/* --- requirements --------------------------------------------------------- */

void iw_requirement_clear(iw_requirement *requirement)
{
    free(requirement->name), free(requirement->conditions), free(requirement->url);
    *requirement = (iw_requirement){0};
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* The conditions, perhaps in brackets, up to a marker or the end. */
static char *read_conditions(const char *from, const char *end)
{
    iw_slice part = iw_slice_trim((iw_slice){from, (size_t)(end - from)});
    if (part.length > 1 && part.data[0] == '(' && part.data[part.length - 1] == ')')
        part = iw_slice_trim((iw_slice){part.data + 1, part.length - 2});
    return iw_strndup(part.data, part.length);
}

bool iw_requirement_parse(const char *text, const char *python, iw_requirement *out)
{
    *out = (iw_requirement){.applies = true};
    text += strspn(text, " \t\r\n");
    size_t length = 0;
    while (name_char(text[length])) length++;
    if (length == 0 || !isalnum((unsigned char)text[0])) return false;
    iw_cleanup_free char *name = iw_strndup(text, length);
    out->name = iw_project_name(name);
    text += length + strspn(text + length, " \t");
    if (*text == '[') {
        const char *close = strchr(text, ']');
        if (!close) return false;
        text = close + 1 + strspn(close + 1, " \t");
    }
    bool at = *text == '@';
    const char *end = at ? strstr(text, " ;") : strchr(text, ';');
    if (!end) end = text + strlen(text);
    if (at) out->url = read_conditions(text + 1, end);
    out->conditions = at ? iw_strdup("") : read_conditions(text, end);
    const char *marker = strchr(end, ';');
    bool valid = true;
    if (marker) out->applies = iw_marker_holds(marker + 1, python, &valid) || !valid;
    iw_version any;
    iw_version_parse("1", &any);
    (void)iw_version_meets(&any, out->conditions, &valid);
    return at || valid;
}
