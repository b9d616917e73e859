/* A file that somebody gives, by what it is. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "triage/requirement_internal.h"

#define OF_PIPENV "`pipenv requirements >requirements.txt` makes a file that is"
#define OF_CONDA                                                                                   \
    "`pip list --format=freeze >requirements.txt` in that environment makes a file that is, of "   \
    "what conda and pip installed there"
#define OF_SETUPTOOLS(file)                                                                        \
    "`pip-compile " file "` (of pip-tools) makes a requirements.txt, which is"

/* What isn't read, and what to do; pip itself wants it so, too. */
static const struct {
    const char *name, *hint;
} others[] = {
    {"Pipfile", OF_PIPENV},
    {"Pipfile.lock", OF_PIPENV},
    {"environment.yml", OF_CONDA},
    {"environment.yaml", OF_CONDA},
    {"conda-lock.yml", OF_CONDA},
    {"setup.py", OF_SETUPTOOLS("setup.py")},
    {"setup.cfg", OF_SETUPTOOLS("setup.cfg")},
};

static const char *hint_of(const char *path)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(iw_path_base(path), others[i].name) == 0) return others[i].hint;
    return NULL;
}

/* [project] of a pyproject.toml (PEP 621): an array of [requirement, line] (line 0: not known), or
 * a sentence. */
static const char project_code[] =
    "import json, sys, tomllib\n"
    "try:\n"
    "    from pip._vendor.packaging.specifiers import SpecifierSet\n"
    "except ImportError:\n"
    "    from packaging.specifiers import SpecifierSet\n"
    "compiled = '`pip-compile pyproject.toml` (of pip-tools) or `uv export` makes a file that is'\n"
    "def read(path):\n"
    "    text = open(path, encoding='utf-8').read()\n"
    "    whole = tomllib.loads(text)\n"
    "    project, lines = whole.get('project'), text.splitlines()\n"
    "    if project is None and 'poetry' in whole.get('tool', {}):\n"
    "        return 'it has no [project], only what poetry reads: give poetry.lock'\n"
    "    if project is None:\n"
    "        return 'it has no [project]: nothing says what the project needs'\n"
    "    if 'dependencies' in project.get('dynamic', []):\n"
    "        return f'its build alone knows what it needs (dynamic): {compiled}'\n"
    "    asked, here = project.get('requires-python', ''), '.'.join(map(str, "
    "sys.version_info[:3]))\n"
    "    if not SpecifierSet(asked).contains(here):\n"
    "        return f'it asks for Python {asked} (requires-python), and this is {here}'\n"
    "    def line(one):\n"
    "        quoted = ('\"' + one + '\"', \"'\" + one + \"'\", json.dumps(one))\n"
    "        return next((number for number, there in enumerate(lines, 1)\n"
    "                     if any(text in there for text in quoted)), 0)\n"
    "    return [[one, line(one)] for one in project.get('dependencies', [])]\n"
    "try:\n"
    "    print(json.dumps(read(sys.argv[1])))\n"
    "except Exception as why:\n"
    "    print(json.dumps(f'{type(why).__name__}: {why}'))\n";

static void take_dependencies(iw_requirements *all, const char *path, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(json_array_get(one, 0));
        const iw_origin origin = {
            .file = (char *)(uintptr_t)path,
            .line = (size_t)json_integer_value(json_array_get(one, 1)),
        };
        iw_cleanup_free char *own = iw_strdup(text ? text : "");
        iw_slice trimmed = iw_slice_trim(iw_slice_of(own));
        own[trimmed.data - own + (ptrdiff_t)trimmed.length] = '\0';
        iw_requirements_add_line(all, trimmed.data, &origin, false);
    }
}

static int read_project(iw_requirements *all, const char *path, const iw_strings *python,
                        const iw_strings *environment, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    if (iw_requirements_ask(python, environment, project_code, path, &text, err) != 0)
        return iw_wrap(err, "reading %s", path);
    json_t *answer = json_loads(text, JSON_DECODE_ANY, NULL);
    int status = 0;
    if (json_is_array(answer)) take_dependencies(all, path, answer);
    else
        status = iw_fail(err, IW_E_USAGE, "%s: %s", path,
                         json_is_string(answer) ? json_string_value(answer) : "no answer");
    json_decref(answer);
    return status;
}

static int read_file(iw_requirements *all, const char *path, const iw_strings *python,
                     const iw_strings *environment, iw_error *err)
{
    const char *hint = hint_of(path);
    if (!iw_exists(path)) return iw_fail(err, IW_E_USAGE, "there is no file %s", path);
    if (hint) return iw_fail(err, IW_E_USAGE, "%s isn't read: %s", path, hint);
    if (strcmp(iw_path_base(path), "pyproject.toml") == 0)
        return read_project(all, path, python, environment, err);
    return iw_requirements_is_lock(path)
               ? iw_requirements_read_lock(all, path, python, environment, err)
               : iw_requirements_read(all, path, err);
}

int iw_requirements_read_given(iw_requirements *all, const char *path, const iw_strings *python,
                               const iw_strings *environment, iw_error *err)
{
    if (read_file(all, path, python, environment, err) == 0) return 0;
    if (err && (err->kind == IW_E_NOT_FOUND || err->kind == IW_E_FORMAT || err->kind == IW_E_IO))
        err->kind = IW_E_USAGE;
    return -1;
}
