/* Lock files and markers: what Python reads better than we would. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "triage/requirement_internal.h"

#define ANSWER_LIMIT (64u << 20)
#define ARGUMENT_LIMIT 50000 /* bytes of markers; the kernel takes 128 KiB */

/* uv.lock and pylock.toml (PEP 751) list [[package]] or [[packages]] with name and version. The
 * project itself (virtual, editable, a folder) is left out; what comes from elsewhere than an index
 * is named. One JSON array a package: name, version, marker, digests of its files, elsewhere, line
 * (0: not known). */
static const char lock_code[] =
    "import json, sys, tomllib\n"
    "try:\n"
    "    with open(sys.argv[1], 'rb') as file:\n"
    "        lock = tomllib.load(file)\n"
    "    heads = [number for number, text in enumerate(open(sys.argv[1], encoding='utf-8'), 1)\n"
    "             if text.strip() in ('[[package]]', '[[packages]]')]\n"
    "    packages = lock.get('package', []) + lock.get('packages', [])\n"
    "    lines = heads if len(heads) == len(packages) else [0] * len(packages)\n"
    "    for package, line in zip(packages, lines):\n"
    "        source = set(package.get('source', package))\n"
    "        if {'virtual', 'editable', 'directory'} & source:\n"
    "            continue\n"
    "        elsewhere = bool({'git', 'url', 'path', 'vcs', 'archive'} & source)\n"
    "        hashes = []\n"
    "        for file in package.get('wheels', []) + [package.get('sdist', {})]:\n"
    "            if 'hash' in file:\n"
    "                hashes.append(file['hash'].lower())\n"
    "            hashes += [f'{kind}:{text}'.lower() for kind, text in file.get('hashes', "
    "{}).items()]\n"
    "        if 'version' in package or elsewhere:\n"
    "            print(json.dumps([package['name'], package.get('version', ''), "
    "package.get('marker', ''), hashes, elsewhere, line]))\n"
    "except Exception as why:\n"
    "    sys.exit(f'{type(why).__name__}: {why}')\n";

/* Whether each marker holds here: true, false, or null where it is none. */
static const char marker_code[] =
    "import json, sys\n"
    "try:\n"
    "    from pip._vendor.packaging.markers import Marker\n"
    "except ImportError:\n"
    "    from packaging.markers import Marker\n"
    "def holds(text):\n"
    "    try:\n"
    "        return bool(Marker(text).evaluate({'extra': ''}))\n"
    "    except Exception:\n"
    "        return None\n"
    "print(json.dumps([holds(text) for text in json.loads(sys.argv[1])]))\n";

int iw_requirements_ask(const iw_strings *python, const iw_strings *environment, const char *code,
                        const char *argument, char **out, iw_error *err)
{
    iw_cleanup_strings iw_strings argv = {0};
    iw_strings_add_all(&argv, (const char *const *)python->items);
    iw_strings_add_all(&argv, (const char *const[]){"-I", "-c", code, argument, NULL});
    return iw_run_capture((const char *const *)argv.items, (const char *const *)environment->items,
                          ANSWER_LIMIT, out, NULL, err);
}

bool iw_requirements_is_lock(const char *path)
{
    const char *name = iw_path_base(path);
    return iw_ends_with(name, ".lock") || iw_ends_with(name, ".toml");
}

static void take_locked(iw_requirements *all, const char *path, const json_t *entry)
{
    const iw_origin origin = {.file = (char *)(uintptr_t)path,
                              .line = (size_t)json_integer_value(json_array_get(entry, 5))};
    const char *name = json_string_value(json_array_get(entry, 0)),
               *version = json_string_value(json_array_get(entry, 1)),
               *marker = json_string_value(json_array_get(entry, 2));
    if (!name || !version || !marker) return;
    iw_cleanup_free char *text =
        iw_format("%s==%s%s%s", name, version, *marker ? "; " : "", marker);
    if (json_is_true(json_array_get(entry, 4))) {
        iw_requirements_leave_out(
            all, &origin, text,
            "it comes from a repository, a file or a URL, not from a package index");
        return;
    }
    size_t before = all->count, i;
    json_t *hash;
    iw_requirements_add_line(all, text, &origin, false);
    json_array_foreach(json_array_get(entry, 3), i, hash) if (all->count > before)
        iw_strings_add(&all->items[before].hashes, json_string_value(hash));
}

int iw_requirements_read_lock(iw_requirements *all, const char *path, const iw_strings *python,
                              const iw_strings *environment, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    size_t before = all->count;
    if (iw_requirements_ask(python, environment, lock_code, path, &text, err) != 0)
        return iw_wrap(err, "reading the lock file %s", path);
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        json_t *entry = json_loadb(line.data, line.length, 0, NULL);
        take_locked(all, path, entry);
        json_decref(entry);
    }
    return all->count > before ? 0
                               : iw_fail(err, IW_E_FORMAT, "%s locks no package of an index", path);
}

/* --- markers -------------------------------------------------------------- */

/* Those of `list` that hold stay; `answers` are consumed in order. */
static void sift(iw_requirements *all, iw_want *list, size_t *count, const json_t *answers,
                 size_t *next)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        const json_t *answer = list[i].marker ? json_array_get(answers, (*next)++) : json_true();
        if (json_is_true(answer)) {
            if (kept != i) list[kept] = list[i];
            kept++;
            continue;
        }
        iw_requirements_leave_out(all, &list[i].origin, list[i].text,
                                  json_is_false(answer)
                                      ? "its marker leaves it out here"
                                      : "its marker can't be read: python_version >= '3.8', with "
                                        "quotes");
        all->left[all->left_count - 1].elsewhere = json_is_false(answer);
        iw_want_clear(&list[i]);
    }
    *count = kept;
}

static void add_markers(json_t *markers, const iw_want *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].marker) json_array_append_new(markers, json_string(list[i].marker));
}

/* Answers to markers from *from on, as many as an argument holds. */
static int ask_some(const json_t *markers, size_t *from, json_t *answers, const iw_strings *python,
                    const iw_strings *environment, iw_error *err)
{
    json_t *some = json_array();
    size_t size = 0;
    for (; *from < json_array_size(markers) && size < ARGUMENT_LIMIT; (*from)++) {
        json_t *marker = json_array_get(markers, *from);
        size += json_string_length(marker) + 4;
        json_array_append(some, marker);
    }
    iw_cleanup_free char *text = json_dumps(some, JSON_COMPACT), *said = NULL;
    int status = iw_requirements_ask(python, environment, marker_code, text, &said, err);
    json_t *got = status == 0 ? json_loads(said, 0, NULL) : NULL;
    if (status == 0 && json_array_size(got) != json_array_size(some))
        status = iw_fail(err, IW_E_FORMAT, "no answer");
    if (status == 0) json_array_extend(answers, got);
    json_decref(got);
    json_decref(some);
    return status;
}

int iw_requirements_settle(iw_requirements *all, const iw_strings *python,
                           const iw_strings *environment, iw_error *err)
{
    json_t *markers = json_array(), *answers = json_array();
    size_t asked = 0, next = 0;
    int status = 0;
    add_markers(markers, all->items, all->count);
    add_markers(markers, all->constraints, all->constraint_count);
    while (status == 0 && asked < json_array_size(markers))
        status = ask_some(markers, &asked, answers, python, environment, err);
    if (status == 0) {
        sift(all, all->items, &all->count, answers, &next);
        sift(all, all->constraints, &all->constraint_count, answers, &next);
    } else {
        iw_wrap(err, "reading the requirements' markers");
    }
    json_decref(markers);
    json_decref(answers);
    return status;
}
