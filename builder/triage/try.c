/* One package: resolved, then what was kept of it, else brought, tried and kept. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/checks_root.h"
#include "recipe/version.h"
#include "triage/internal.h"

#define MISSING_LIMIT 3   /* modules brought for a package that doesn't ask for them */
#define RESULT_FORMAT "5" /* of kept results: changes when trying gives other verdicts */
#define USE_FORMAT 1      /* of kept deaths in use: they alone are tried again when this changes */

/* --- rows ----------------------------------------------------------------- */

static const char *const verdicts[] = {"unknown", "dies-at-import", "dies-in-use", "imports",
                                       "runs"};

const char *iw_triage_verdict_name(iw_triage_verdict verdict)
{
    return verdicts[verdict];
}

bool iw_triage_works(iw_triage_verdict verdict)
{
    return verdict == IW_TRIAGE_RUNS || verdict == IW_TRIAGE_IMPORTS;
}

void iw_triage_row_clear(iw_triage_row *row)
{
    char *all[] = {row->package,         row->version,
                   row->crash,           row->what,
                   row->detail,          row->newest_working,
                   row->oldest_failing,  row->newest_there,
                   row->because.package, row->because.version,
                   row->because.beside};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    iw_strings_free(&row->notes);
    *row = (iw_triage_row){0};
}

void iw_ask_free(iw_ask *ask)
{
    free(ask->package);
    iw_strings_free(&ask->lines), iw_strings_free(&ask->pins), iw_strings_free(&ask->hashes);
    *ask = (iw_ask){0};
}

iw_ask iw_ask_version(const iw_ask *ask, const char *version)
{
    iw_ask other = {.triage = ask->triage,
                    .all = ask->all,
                    .package = iw_strdup(ask->package),
                    .free = ask->free,
                    .briefly = ask->briefly};
    iw_strings_add_format(&other.lines, "%s==%s", ask->package, version);
    for (size_t i = 1; i < ask->lines.count; i++) iw_strings_add(&other.lines, ask->lines.items[i]);
    for (size_t i = 0; i < ask->pins.count; i++) iw_strings_add(&other.pins, ask->pins.items[i]);
    return other;
}

/* --- an attempt's folder -------------------------------------------------- */

static void attempt_close(iw_attempt *a)
{
    if (a->folder) iw_remove_tree(a->folder, NULL);
    free(a->folder), free(a->environment), free(a->site), free(a->logs), free(a->tests);
    iw_strings_free(&a->suspects);
    json_decref(a->install);
    *a = (iw_attempt){0};
}

static int attempt_open(iw_triage *t, const iw_ask *ask, iw_attempt *a, iw_error *err)
{
    *a = (iw_attempt){.triage = t, .ask = ask};
    if (iw_temporary_folder(t->work, "try-", &a->folder, err) != 0) return -1;
    a->environment = iw_path_join(a->folder, "env");
    a->site = iw_path_join(a->environment, IW_TRIAGE_SITE);
    a->logs = iw_path_join(a->folder, "logs");
    iw_cleanup_free char *bin = iw_path_join(a->environment, "bin"),
                         *python = iw_path_join(bin, "python3");
    if (iw_make_folders(bin, 0755, err) != 0 || iw_make_folders(a->site, 0755, err) != 0) return -1;
    if (symlink(t->options.environment ? IW_TRIAGE_STACK "/bin/python3" : IW_CHECKS_PYTHON,
                python) == 0)
        return 0;
    return iw_fail_errno(err, IW_E_IO, "can't make %s", python);
}

/* --- results that are kept ------------------------------------------------ */

/* Over the wheels, the CPU and the emulator. Caller frees. */
static char *result_path(const iw_triage *t, const char *package, const char *digests)
{
    char key[IW_SHA256_HEX];
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "format", RESULT_FORMAT);
    iw_hash_add_field(hash, "package", package);
    iw_hash_add_field(hash, "wheels", digests);
    iw_hash_add_field(hash, "profile", t->options.profile->meaning);
    iw_hash_add_field(hash, "model", t->options.profile->emulator_cpu);
    iw_hash_add_field(hash, "emulator", t->emulator);
    iw_hash_finish(hash, key);
    iw_hash_free(hash);
    iw_cleanup_free char *folder = iw_store_path(t->options.store, "history", "triage");
    return iw_format("%s/%s.json", folder, key);
}

static char *copy(const json_t *object, const char *key)
{
    return iw_strdup(iw_json_get(object, key));
}

static uint64_t number(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* A damaged or missing file is no result. */
static bool take_kept(const char *path, iw_triage_row *row)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(path, 1 << 22, &text, NULL, NULL) != 0) return false;
    json_t *object = json_loads(text, 0, NULL), *one;
    const char *verdict = iw_json_get(object, "verdict");
    size_t i = 0, count = sizeof verdicts / sizeof *verdicts;
    while (i < count && (!verdict || strcmp(verdicts[i], verdict) != 0)) i++;
    if (i == IW_TRIAGE_DIES_IN_USE && number(object, "use_format") != USE_FORMAT) i = count;
    if (i < count) {
        row->verdict = (iw_triage_verdict)i;
        row->crash = copy(object, "crash"), row->what = copy(object, "what");
        row->detail = copy(object, "detail");
        row->because.package = copy(object, "culprit");
        row->because.version = copy(object, "culprit_version");
        row->findings = number(object, "findings"), row->own = number(object, "own");
        row->imported = (unsigned)number(object, "imported");
        row->loaded = (unsigned)number(object, "loaded");
        row->called = (unsigned)number(object, "called");
        row->tested = (unsigned)number(object, "tested");
        row->checked = (unsigned)number(object, "checked");
        size_t k;
        json_array_foreach(json_object_get(object, "notes"), k, one)
            iw_strings_add(&row->notes, json_string_value(one) ? json_string_value(one) : "");
        row->kept = true;
    }
    json_decref(object);
    return i < count;
}

/* An earlier program's result doesn't tell which wheels it is about. */
static bool tells_wheels(const char *path)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(path, 1 << 22, &text, NULL, NULL) != 0) return false;
    json_t *object = json_loads(text, 0, NULL);
    bool tells = json_is_array(json_object_get(object, "wheels"));
    json_decref(object);
    return tells;
}

static int keep(const iw_attempt *a, const char *path, const iw_triage_row *row, iw_error *err)
{
    char about[IW_SHA256_HEX];
    iw_cleanup_free char *folder = iw_path_parent(path);
    json_t *notes = iw_json_texts((const char *const *)row->notes.items, row->notes.count);
    json_t *object =
        json_pack("{s:s,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s?,s:I,s:I,s:i,s:i,s:i,s:i,s:i,s:o}",
                  "package", row->package, "version", row->version, "verdict",
                  verdicts[row->verdict], "crash", row->crash, "what", row->what, "detail",
                  row->detail, "culprit", row->because.package, "culprit_version",
                  row->because.version, "findings", (json_int_t)row->findings, "own",
                  (json_int_t)row->own, "imported", (int)row->imported, "loaded", (int)row->loaded,
                  "called", (int)row->called, "tested", (int)row->tested, "checked",
                  (int)row->checked, "notes", notes);
    json_object_set_new(object, "use_format", json_integer(USE_FORMAT));
    iw_triage_for(a->triage->options.profile, about);
    json_object_set_new(object, "for", json_string(about));
    json_object_set_new(object, "wheels", iw_triage_wheels_of(a));
    iw_cleanup_free char *text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(object);
    if (!text) return 0; /* not UTF-8: tried again next time */
    return iw_make_folders(folder, 0755, err) || iw_write_file(path, text, strlen(text), 0644, err)
               ? -1
               : 0;
}

/* --- trying --------------------------------------------------------------- */

/* Of indexes that a requirements file names only pip knows. */
static int ask_indexes(iw_triage *t, const iw_ask *ask, const char *what, iw_triage_row *row,
                       iw_error *err)
{
    iw_absent absent = {0};
    iw_fetch_options options = t->options.fetch;
    bool own = ask->all && ask->all->options.count;
    pthread_mutex_lock(&t->lock);
    int status = own && !options.offline ? 0 : iw_pip_absent(what, &options, &absent, err);
    pthread_mutex_unlock(&t->lock);
    row->absence = absent.text ? absent.what : IW_ABSENCE_WHEEL;
    row->newest_there = iw_steal(&absent.newest);
    row->detail = absent.text ? iw_triage_tame(absent.text)
                              : iw_format("pip finds no wheel of %s for this Python", what);
    iw_absent_clear(&absent);
    return status;
}

int iw_triage_not_brought(iw_triage *t, const iw_ask *ask, iw_triage_row *row, iw_error *why,
                          iw_error *err)
{
    if (why->kind == IW_E_CANCELLED) {
        iw_error_move(err, why);
        return -1;
    }
    const char *text = iw_error_text(why);
    int status = why->kind == IW_E_NOT_FOUND
                     ? ask_indexes(t, ask, text, row, err)
                     : (row->detail = iw_triage_short(text, strlen(text)), 0);
    iw_error_clear(why);
    return status;
}

/* The recipe whose checks tell how the package is used: that of the version, else the newest; NULL
 * where there is none. */
static const iw_recipe *recipe_of(iw_triage *t, const char *name, const char *version)
{
    iw_list versions;
    const char *called;
    const iw_recipe *recipe = NULL;
    iw_error none = IW_ERROR_INIT;
    pthread_mutex_lock(&t->lock);
    if (iw_catalog_distribution(t->options.catalog, name, &called, &versions, &none) == 0 &&
        versions.count) {
        const char *which = iw_version_newest(&versions);
        for (size_t i = 0; version && i < versions.count; i++)
            if (strcmp(versions.items[i], version) == 0) which = version;
        iw_catalog_recipe(t->options.catalog, called, which, &recipe, &none);
    }
    pthread_mutex_unlock(&t->lock);
    iw_error_clear(&none);
    return recipe;
}

static int try_anew(iw_attempt *a, iw_triage_row *row, iw_error *err)
{
    iw_error why = IW_ERROR_INIT;
    iw_cleanup_free char *culprit = NULL;
    if (iw_triage_bring(a, &why) != 0)
        return iw_triage_not_brought(a->triage, a->ask, row, &why, err);
    if (iw_triage_count(a, row, err) != 0 ||
        iw_triage_trial(a, recipe_of(a->triage, row->package, row->version), row, &culprit, err) !=
            0)
        return -1;
    iw_cleanup_free char *owner = NULL, *version = NULL;
    if (culprit && iw_triage_owner(a->site, culprit, &owner, &version) &&
        strcmp(owner, row->package) != 0) {
        row->because.package = iw_steal(&owner);
        row->because.version = iw_steal(&version);
    }
    return 0;
}

/* Of the package's own wheel, by the lines of all. Caller frees; NULL. */
static char *own_digest(const char *package, const char *digests)
{
    size_t length = strlen(package);
    iw_slice rest = iw_slice_of(digests), line;
    while (iw_slice_next(&rest, '\n', &line))
        if (line.length == length + IW_SHA256_HEX && strncmp(line.data, package, length) == 0 &&
            line.data[length] == ' ')
            return iw_strndup(line.data + length + 1, line.length - length - 1);
    return NULL;
}

/* The requirement's own digests hold for the wheel that pip chose. */
static bool is_hashed(const iw_ask *ask, const char *sha256)
{
    iw_cleanup_free char *hash = iw_format("sha256:%s", sha256 ? sha256 : "");
    return !ask->hashes.count || iw_strings_has(&ask->hashes, hash);
}

static int try_in(iw_attempt *a, iw_triage_row *row, iw_error *err)
{
    iw_triage *t = a->triage;
    iw_error why = IW_ERROR_INIT;
    iw_cleanup_free char *digests = NULL, *path = NULL;
    row->package = iw_strdup(a->ask->package);
    if (iw_triage_resolve(a, &row->version, &digests, &why) != 0)
        return iw_triage_not_brought(t, a->ask, row, &why, err);
    if (!row->version) {
        row->detail =
            iw_strdup("pip wouldn't install it for this Python: its marker leaves it out");
        return 0;
    }
    row->sha256 = own_digest(row->package, digests);
    if (!is_hashed(a->ask, row->sha256)) {
        row->detail = iw_strdup("the wheel's digest is none of those that are asked for");
        return 0;
    }
    path = result_path(t, row->package, digests);
    if (!t->options.again && *digests && take_kept(path, row))
        return tells_wheels(path) ? 0 : keep(a, path, row, err);
    if (try_anew(a, row, err) != 0) return -1;
    bool known = row->verdict != IW_TRIAGE_UNKNOWN || row->imported || row->detail;
    known = known && !(a->ask->briefly && iw_triage_works(row->verdict));
    return *digests && known ? keep(a, path, row, err) : 0;
}

static int try_once(iw_triage *t, const iw_ask *ask, iw_triage_row *row, iw_error *err)
{
    iw_attempt attempt;
    int status = attempt_open(t, ask, &attempt, err);
    if (status == 0) status = try_in(&attempt, row, err);
    attempt_close(&attempt);
    return status;
}

/* --- what it imports without asking for it -------------------------------- */

/* At the pin that was given. Caller frees. */
static char *pinned(const iw_ask *ask, const char *name)
{
    for (size_t i = 0; ask->all && i < ask->all->count; i++)
        if (strcmp(ask->all->items[i].name, name) == 0)
            return iw_format("%s%s", name, ask->all->items[i].conditions);
    return iw_strdup(name);
}

/* What to bring beside it. Caller frees; NULL where nothing can be done. */
static char *what_is_missing(const iw_ask *ask, const iw_triage_row *row)
{
    static const char says[] = "ModuleNotFoundError: No module named '";
    const char *at =
        row->verdict == IW_TRIAGE_UNKNOWN && row->detail ? strstr(row->detail, says) : NULL;
    if (!at || ask->lines.count > MISSING_LIMIT) return NULL;
    at += strlen(says);
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    iw_cleanup_free char *module = iw_strndup(at, length), *name = iw_plain_name(module);
    if (!*name || strcmp(name, ask->package) == 0) return NULL;
    for (size_t i = 0; i < ask->lines.count; i++) {
        iw_cleanup_free char *have = iw_plain_name(ask->lines.items[i]);
        if (strcmp(have, name) == 0) return NULL;
    }
    return pinned(ask, name);
}

/* Where a module's name is no project's, what was found without it holds. */
static bool take_back(iw_ask *own, iw_triage_row *row, iw_triage_row *before)
{
    if (!before->package || row->absence == IW_ABSENCE_NONE) return false;
    iw_triage_row_clear(row);
    *row = *before;
    *before = (iw_triage_row){0};
    free(own->lines.items[--own->lines.count]);
    own->lines.items[own->lines.count] = NULL;
    return true;
}

int iw_triage_try(iw_triage *t, const iw_ask *ask, iw_triage_row *row, iw_error *err)
{
    iw_triage_row before = {0};
    iw_ask own = {.triage = t,
                  .all = ask->all,
                  .package = iw_strdup(ask->package),
                  .free = ask->free,
                  .briefly = ask->briefly};
    iw_cleanup_free char *more = NULL;
    const char *subject = ask->lines.items[0];
    int status;
    iw_strings_add_all(&own.lines, (const char *const *)ask->lines.items);
    iw_strings_add_all(&own.pins, (const char *const *)ask->pins.items);
    iw_strings_add_all(&own.hashes, (const char *const *)ask->hashes.items);
    iw_emit(&t->sink, (iw_event){.type = IW_EVENT_STARTED, .subject = subject, .phase = "triage"});
    while ((status = try_once(t, &own, row, err)) == 0 && !take_back(&own, row, &before) &&
           (more = what_is_missing(&own, row)) != NULL) {
        iw_emit(&t->sink,
                (iw_event){.type = IW_EVENT_NOTE, .subject = subject, .detail = row->detail});
        iw_strings_add(&own.lines, more);
        free(iw_steal(&more));
        iw_triage_row_clear(&before);
        before = *row;
        *row = (iw_triage_row){0};
    }
    iw_triage_row_clear(&before);
    for (size_t i = ask->lines.count; status == 0 && i < own.lines.count; i++)
        iw_strings_add_format(&row->notes, "%s imports %s and doesn't ask for it: tried with it",
                              row->package, own.lines.items[i]);
    if (status == 0)
        iw_emit(&t->sink, (iw_event){.type = IW_EVENT_FINISHED,
                                     .subject = subject,
                                     .phase = "triage",
                                     .detail = row->kept ? "known" : "tried"});
    iw_ask_free(&own);
    return status;
}
