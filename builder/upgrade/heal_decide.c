/* Which wheels are kept, and what becomes of those that die. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/checks_root.h"
#include "recipe/version.h"
#include "triage/triage.h"
#include "upgrade/ask.h"
#include "upgrade/heal_hashes.h"
#include "upgrade/healer.h"

enum { ROUNDS = 12, BEHIND = 3 /* one may hide another */ };

iw_decision *iw_healer_find(const iw_healer *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (strcmp(h->decisions[i].name, name) == 0) return &h->decisions[i];
    return NULL;
}

const char *iw_healer_called(const iw_healer *h, const char *name)
{
    const char *called = iw_json_get(h->called, name), *found;
    iw_list versions;
    iw_error ignored = IW_ERROR_INIT; /* of a folder that can't be read: so will be its recipe */
    if (called) return called;
    if (iw_catalog_distribution(h->catalog, name, &found, &versions, &ignored) != 0) found = name;
    iw_error_clear(&ignored);
    json_object_set_new(h->called, name, json_string(found));
    return iw_json_get(h->called, name);
}

iw_dist *iw_healer_dist(const iw_healer *h, const char *recipe)
{
    for (size_t i = 0; i < h->resolution.count; i++)
        if (strcmp(iw_healer_called(h, h->resolution.items[i].name), recipe) == 0)
            return &h->resolution.items[i];
    return NULL;
}

static iw_decision *decide(iw_healer *h, const char *name)
{
    iw_decision *there = iw_healer_find(h, name);
    if (there) return there;
    iw_grow((void **)&h->decisions, &h->capacity, h->count + 1, sizeof *h->decisions);
    h->decisions[h->count] = (iw_decision){.name = iw_strdup(name)};
    return &h->decisions[h->count++];
}

static void set(char **where, const char *text)
{
    char *copy = text ? iw_strdup(text) : NULL;
    free(*where);
    *where = copy;
}

static void note(const iw_healer *h, const char *subject, const char *text)
{
    iw_emit(h->options->deliver.sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = subject, .detail = text});
}

/* --- requirements --------------------------------------------------------- */

/* All but those whose marker is about another system. */
static int refuse_left(const iw_requirements *all, iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0};
    size_t count = 0;
    for (size_t i = 0; i < all->left_count; i++) {
        if (all->left[i].elsewhere || count++ >= 20) continue;
        iw_cleanup_free char *place = iw_origin_text(&all->left[i].origin);
        iw_buffer_add_format(&text, "\n  %s: %s: %s", place, all->left[i].text, all->left[i].why);
    }
    if (!count) return 0;
    return iw_fail(
        err, IW_E_USAGE,
        "%zu line%s can't be part of a bundle:%s\nMend %s or take %s out, or give the same "
        "package from an index",
        count, count == 1 ? "" : "s", text.data, count == 1 ? "it" : "them",
        count == 1 ? "it" : "them");
}

int iw_healer_read(iw_healer *h, iw_error *err)
{
    iw_requirements *all = &h->requirements;
    iw_cleanup_strings iw_strings python = {0}, environment = {0};
    iw_checks_python(h->maker.root, h->maker.bytecode, &python, &environment);
    for (size_t i = 0; i < h->options->file_count; i++) {
        const char *path = h->options->files[i];
        if (iw_requirements_read_given(all, path, &python, &environment, err) != 0) return -1;
    }
    if (iw_requirements_settle(all, &python, &environment, err) != 0 || refuse_left(all, err) != 0)
        return -1;
    for (size_t i = 0; i < all->left_count; i++) {
        iw_cleanup_free char *place = iw_origin_text(&all->left[i].origin),
                             *text = iw_format("%s: %s: %s", place, all->left[i].text,
                                               all->left[i].why);
        note(h, h->options->name, text);
    }
    return all->count ? 0 : iw_fail(err, IW_E_USAGE, "nothing is asked for");
}

/* --- resolving ------------------------------------------------------------ */

/* Whether anything but these changes its version, or comes anew. */
static bool moves_others(const iw_healer *h, const iw_resolution *found, const iw_strings *lines)
{
    for (size_t i = 0; i < found->count; i++) {
        const iw_dist *now = &found->items[i],
                      *before = iw_resolution_find(&h->resolution, now->name);
        iw_cleanup_free char *line = iw_format("%s==%s", now->name, now->version);
        if ((!before || strcmp(before->version, now->version) != 0) && !iw_strings_has(lines, line))
            return true;
    }
    return false;
}

/* Each once, with the line that asks for it. */
static void tell_warnings(iw_healer *h, const iw_resolution *found)
{
    const iw_requirements *all = &h->requirements;
    for (size_t i = 0; i < found->warnings.count; i++) {
        const char *warning = found->warnings.items[i];
        iw_cleanup_free char *name = iw_plain_name(warning), *place = NULL, *text = NULL;
        if (iw_strings_has(&h->warned, warning)) continue;
        iw_strings_add(&h->warned, warning);
        for (size_t k = 0; k < all->count && !place; k++)
            if (strcmp(all->items[k].name, name) == 0)
                place = iw_origin_text(&all->items[k].origin);
        text = iw_format("%s%s%s", place ? place : "", place ? ": " : "", warning);
        note(h, h->options->name, text);
    }
}

/* Where that can't be, the resolution stays what it was; with `alone` (may be NULL; "name==version"
 * each), too, where anything else would move. */
static int resolve(iw_healer *h, const iw_strings *alone, iw_unresolved *how, char **what,
                   iw_error *err)
{
    iw_resolution found = {0};
    iw_emit(h->options->deliver.sink,
            (iw_event){.type = IW_EVENT_STARTED, .subject = h->options->name, .phase = "resolve"});
    int status = iw_resolve(&h->resolver, &h->pins, &found, how, what, err);
    if (status == 0 && *how == IW_RESOLVED && alone && moves_others(h, &found, alone))
        *how = IW_UNRESOLVED_CLASH;
    if (status == 0 && *how == IW_RESOLVED) {
        tell_warnings(h, &found);
        iw_resolution_free(&h->resolution);
        h->resolution = found;
    } else iw_resolution_free(&found);
    if (status == 0)
        iw_emit(h->options->deliver.sink,
                (iw_event){.type = IW_EVENT_FINISHED,
                           .subject = h->options->name,
                           .phase = "resolve",
                           .detail = *how == IW_RESOLVED ? "resolved" : NULL});
    return status;
}

static void pin(iw_healer *h, const char *name, const char *version)
{
    iw_cleanup_free char *line = iw_format("%s==%s", name, version);
    if (!iw_strings_has(&h->pins, line)) iw_strings_add(&h->pins, line);
}

static int try_pins(iw_healer *h, const iw_strings *lines, bool alone, bool *fits, iw_error *err)
{
    iw_unresolved how;
    iw_cleanup_free char *what = NULL;
    size_t before = h->pins.count;
    for (size_t i = 0; i < lines->count; i++)
        if (!iw_strings_has(&h->pins, lines->items[i])) iw_strings_add(&h->pins, lines->items[i]);
    if (resolve(h, alone ? lines : NULL, &how, &what, err) != 0) return -1;
    *fits = how == IW_RESOLVED;
    while (!*fits && h->pins.count > before) {
        free(h->pins.items[--h->pins.count]);
        h->pins.items[h->pins.count] = NULL;
    }
    return 0;
}

int iw_healer_try_pins(iw_healer *h, const iw_strings *lines, bool *fits, iw_error *err)
{
    return try_pins(h, lines, true, fits, err);
}

/* *fits: the requirements allow it. The resolution is that one then, else what it was. */
static int try_pin(iw_healer *h, const char *name, const char *version, bool *fits, iw_error *err)
{
    iw_cleanup_strings iw_strings lines = {0};
    iw_strings_add_format(&lines, "%s==%s", name, version);
    return try_pins(h, &lines, false, fits, err);
}

/* --- stand-ins ------------------------------------------------------------ */

/* A wheel of nothing but metadata, which pip may choose: what a recipe builds and no index has. */
static int write_stub(iw_healer *h, const char *name, const char *version, const json_t *run,
                      iw_error *err)
{
    iw_cleanup_free char *folder = NULL;
    json_t *lines = json_array(), *answer = NULL, *one;
    size_t i;
    json_array_foreach(run, i, one)
    {
        iw_cleanup_free char *line =
            iw_format("%s%s", iw_json_get(one, "name"), iw_json_get(one, "spec"));
        json_array_append_new(lines, json_string(line));
    }
    json_t *wanted = json_pack("{s:s,s:s,s:o}", "name", name, "version", version, "run", lines);
    iw_cleanup_free char *text = json_dumps(wanted, JSON_COMPACT);
    json_decref(wanted);
    if (iw_temporary_folder(h->maker.rig.folder, "stub-", &folder, err) != 0) return -1;
    iw_cleanup_free char *request = iw_path_join(folder, "stub.json"), *made = NULL, *to = NULL;
    int status = iw_write_passing(request, text, strlen(text), 0644, err);
    if (status == 0)
        status = iw_ask(h->maker.root, h->maker.rig.folder, folder, "stub", &answer, err);
    const char *file = status == 0 ? iw_json_get(answer, "file") : NULL;
    if (file) {
        made = iw_path_join(folder, file);
        iw_cleanup_free char *stubs = iw_path_join(h->resolver.folder, "stubs");
        to = iw_path_join(stubs, file);
        status = iw_make_folders(stubs, 0755, err);
        if (status == 0) status = iw_copy_file(made, to, err);
    }
    json_decref(answer);
    iw_remove_tree(folder, NULL);
    return status;
}

/* The sentence where a line names other digests than that file's; else NULL. Caller frees. */
static char *refusal(const iw_healer *h, const char *name, const char *version, const char *file,
                     const char *sha256)
{
    iw_cleanup_free char *place = NULL;
    return iw_hashes_hold(&h->requirements, name, version, sha256, &place) == IW_HASHES_REFUSED
               ? iw_format("%s: the SHA-256 of %s is %s, none of those that the line names", place,
                           file, sha256)
               : NULL;
}

/* An sdist that may be built, for a stand-in. *found: its version; NULL where there is none, or,
 * with *refused (owned), where a line names other digests. */
struct peeked {
    char *found, *sha256, *refused, *why; /* why: nothing was found */
};

static void peeked_clear(struct peeked *peeked)
{
    free(peeked->found), free(peeked->sha256), free(peeked->refused), free(peeked->why);
}

/* What a draft would leave to do: it isn't made here. */
static void ask_person(const json_t *answer, const char *name, struct peeked *out)
{
    iw_cleanup_strings iw_strings todo = {0};
    iw_maker_questions(answer, &todo);
    if (!todo.count) return;
    out->why = iw_format("its sdist leaves a question (`ironwheel new %s %s` drafts a recipe for "
                         "you to finish): %s",
                         name, out->found, todo.items[0]);
    set(&out->found, NULL);
}

static int peek(iw_healer *h, const char *name, const char *version, struct peeked *out,
                iw_error *err)
{
    iw_error trouble = IW_ERROR_INIT;
    json_t *answer = NULL;
    int status =
        iw_maker_peek(&h->maker, name, version, &out->found, &out->sha256, &answer, &trouble);
    if (status != 0 && trouble.kind == IW_E_CANCELLED)
        return iw_fail(err, IW_E_CANCELLED, "stopped");
    if (status != 0)
        out->why = iw_strndup(iw_error_text(&trouble), strcspn(iw_error_text(&trouble), "\n"));
    iw_error_clear(&trouble);
    if (status == 0) ask_person(answer, name, out);
    if (status == 0 && out->found)
        out->refused = refusal(h, name, out->found, "its sdist", out->sha256);
    status = out->found && !out->refused
                 ? write_stub(h, name, out->found, json_object_get(answer, "run"), err)
                 : 0;
    json_decref(answer);
    return status;
}

/* --- recipes -------------------------------------------------------------- */

/* Versions of the tree's recipes that bring it, newest first; a label counts after those without.
 */
static int recipes_of(iw_healer *h, const char *name, iw_strings *out, iw_error *err)
{
    iw_list versions;
    const char *called;
    if (iw_catalog_distribution(h->catalog, name, &called, &versions, err) != 0) return -1;
    for (size_t i = 0; i < versions.count; i++) iw_strings_add(out, versions.items[i]);
    for (size_t i = 0; i < out->count; i++) /* few */
        for (size_t k = i + 1; k < out->count; k++)
            if (iw_version_compare_text(out->items[k], out->items[i]) > 0) {
                char *swap = out->items[i];
                out->items[i] = out->items[k];
                out->items[k] = swap;
            }
    return 0;
}

static char *public_part(const char *version)
{
    return iw_strndup(version, strcspn(version, "+"));
}

void iw_healer_settle(iw_healer *h, const char *name, const char *version, const char *recipe,
                      iw_fate fate, const char *was, const char *why)
{
    iw_decision *decision = decide(h, name);
    set(&decision->version, version);
    set(&decision->recipe, recipe);
    if (!decision->was && was && strcmp(was, version) != 0) set(&decision->was, was);
    set(&decision->why, why);
    decision->fate = fate;
    decision->settled = true;
}

static int repair_by_recipe(iw_healer *h, const char *name, const char *died, const char *why,
                            bool *done, iw_error *err)
{
    iw_cleanup_strings iw_strings recipes = {0};
    if (recipes_of(h, name, &recipes, err) != 0) return -1;
    for (size_t pass = 0; pass < 2 && !*done; pass++)
        for (size_t i = 0; i < recipes.count && !*done; i++) {
            iw_cleanup_free char *version = public_part(recipes.items[i]);
            bool same = iw_version_compare_text(version, died) == 0;
            if (same != (pass == 0)) continue;
            if (try_pin(h, name, version, done, err) != 0) return -1;
            if (*done)
                iw_healer_settle(h, name, version, recipes.items[i], IW_FATE_RECIPE, died, why);
        }
    return 0;
}

/* --- trying wheels -------------------------------------------------------- */

struct trial {
    iw_healer *healer;
    json_t *rows; /* name: {dies, why, newest, culprit} on the worst CPU */
    const char *profile;
};

/* " (pinsrq, of sse4.1, in pyarrow/libarrow.so)", or "": caller frees. */
static char *crash_of(const char *text)
{
    json_t *crash = text ? json_loads(text, 0, NULL) : NULL;
    const char *instruction = iw_json_get(crash, "instruction"),
               *feature = iw_json_get(crash, "feature"), *file = iw_json_get(crash, "file");
    const char *inside = file ? strstr(file, "/" IW_TRIAGE_SITE "/") : NULL;
    if (inside) file = inside + strlen("/" IW_TRIAGE_SITE "/");
    char *said = instruction && feature
                     ? iw_format(" (%.*s, of %s%s%s)", (int)strcspn(instruction, " "), instruction,
                                 feature, file ? ", in " : "", file ? file : "")
                     : iw_strdup("");
    json_decref(crash);
    return said;
}

static char *why_of(const iw_triage_row *row, const char *profile)
{
    const char *what = row->what ? row->what : row->detail ? row->detail : "";
    iw_cleanup_free char *crash = crash_of(row->crash);
    return iw_format("%s on %s%s%s%s", iw_triage_verdict_name(row->verdict), profile,
                     *what ? ": " : "", what, crash);
}

static void on_row(void *context, const iw_triage_row *row)
{
    struct trial *trial = context;
    bool dies = row->verdict == IW_TRIAGE_DIES_AT_IMPORT || row->verdict == IW_TRIAGE_DIES_IN_USE;
    const char *culprit = dies ? row->because.package : NULL;
    iw_cleanup_free char *why = why_of(row, trial->profile);
    json_t *there = json_object_get(trial->rows, row->package);
    if (there && json_is_true(json_object_get(there, "dies"))) return;
    json_object_set_new(trial->rows, row->package,
                        json_pack("{s:b,s:s,s:s?,s:s?}", "dies", dies, "why", why, "newest",
                                  row->newest_working, "culprit", culprit));
}

/* "name==version" of the wheel that stands for what is built here, or NULL. Borrowed. */
static const char *beside_of(const iw_healer *h, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < h->beside.count; i++)
        if (strncmp(h->beside.items[i], name, length) == 0 && h->beside.items[i][length] == '=')
            return h->beside.items[i];
    return NULL;
}

/* Everything is held where it was resolved to. */
static void hold_all(const iw_healer *h, iw_buffer *out)
{
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const char *beside = beside_of(h, dist->name);
        if (beside) iw_buffer_add_format(out, "%s\n", beside);
        else if (!dist->stub) iw_buffer_add_format(out, "%s==%s\n", dist->name, dist->version);
    }
}

/* What the requirements say, and what was decided, for a search among versions of one package;
 * `free`: whatever is said of it. */
static void hold_loosely(const iw_healer *h, const char *searched, bool free, iw_buffer *out)
{
    const iw_requirements *all = &h->requirements;
    for (size_t i = 0; i < all->count + all->constraint_count; i++) {
        const iw_want *one = i < all->count ? &all->items[i] : &all->constraints[i - all->count];
        bool own = strcmp(one->name, searched) == 0;
        if (*one->conditions && !(own ? free : beside_of(h, one->name) != NULL))
            iw_buffer_add_format(out, "%s%s\n", one->name, one->conditions);
    }
    for (size_t i = 0; i < h->pins.count; i++) {
        iw_cleanup_free char *name = iw_strndup(h->pins.items[i], strcspn(h->pins.items[i], "="));
        const iw_dist *dist = iw_resolution_find(&h->resolution, name);
        if (dist && !dist->stub && !beside_of(h, name) && !(free && strcmp(name, searched) == 0))
            iw_buffer_add_format(out, "%s\n", h->pins.items[i]);
    }
    for (size_t i = 0; i < h->beside.count; i++)
        if (h->beside.items[i] != beside_of(h, searched))
            iw_buffer_add_format(out, "%s\n", h->beside.items[i]);
}

/* How versions of the others are held. */
enum hold {
    HOLD_ALL,  /* as they were resolved */
    SEARCH,    /* one package's versions are searched, as the requirements allow */
    SEARCH_ANY /* whatever they say of it */
};

/* The packages in question, and what holds for the rest. */
static int write_question(iw_healer *h, const iw_strings *lines, enum hold hold, const char *path,
                          iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0}, limits = {0};
    iw_cleanup_free char *constraints = iw_format("%s.constraints", path);
    for (size_t i = 0; i < lines->count; i++) iw_buffer_add_format(&text, "%s\n", lines->items[i]);
    iw_buffer_add_format(&text, "-c %s\n", iw_path_base(constraints));
    iw_buffer_add_text(&limits, "");
    if (hold == HOLD_ALL) hold_all(h, &limits);
    else hold_loosely(h, lines->items[0], hold == SEARCH_ANY, &limits);
    return iw_write_passing(path, text.data, text.length, 0600, err) ||
                   iw_write_passing(constraints, limits.data, limits.length, 0600, err)
               ? -1
               : 0;
}

/* Opened once for each CPU and way of asking. Borrowed. */
static int triage_of(iw_healer *h, size_t profile, bool newest, iw_triage **out, iw_error *err)
{
    iw_triage **kept = &h->triages[2 * profile + newest];
    const iw_deliver_options *d = &h->options->deliver;
    iw_triage_options options = {.catalog = h->catalog,
                                 .store = h->store,
                                 .helpers = d->helpers,
                                 .fetch = d->fetch,
                                 .jobs = d->jobs,
                                 .seconds = h->options->seconds,
                                 .newest = newest,
                                 .blame_only = true};
    options.fetch.sink = d->sink;
    options.fetch.cancel = d->cancel;
    if (!*kept && (iw_catalog_profile(h->catalog, h->options->profiles[profile], &options.profile,
                                      err) != 0 ||
                   iw_triage_open(&options, kept, err) != 0))
        return -1;
    *out = *kept;
    return 0;
}

static int try_on(iw_healer *h, size_t profile, const iw_requirements *asked, bool newest,
                  struct trial *trial, iw_error *err)
{
    iw_triage *triage;
    trial->profile = h->options->profiles[profile];
    if (triage_of(h, profile, newest, &triage, err) != 0) return -1;
    return iw_triage_run(triage, asked, on_row, trial, err);
}

/* *rows: what each of the lines does on all the CPUs; the caller has the reference. */
static int try_wheels(iw_healer *h, const iw_strings *lines, enum hold hold, json_t **rows,
                      iw_error *err)
{
    iw_requirements asked = {0};
    iw_cleanup_strings iw_strings python = {0}, environment = {0};
    iw_cleanup_free char *path = iw_path_join(h->resolver.folder, "question.txt");
    struct trial trial = {h, json_object(), NULL};
    iw_checks_python(h->maker.root, h->maker.bytecode, &python, &environment);
    int status = write_question(h, lines, hold, path, err);
    if (status == 0) status = iw_requirements_read(&asked, path, err);
    if (status == 0) status = iw_requirements_settle(&asked, &python, &environment, err);
    for (size_t i = 0; i < h->options->profile_count && status == 0; i++)
        status = try_on(h, i, &asked, hold != HOLD_ALL, &trial, err);
    iw_requirements_free(&asked);
    *rows = trial.rows;
    return status;
}

/* --- repairing ------------------------------------------------------------ */

/* A line that leaves no choice of versions? */
static bool is_pinned(const iw_healer *h, const char *name)
{
    const iw_requirements *all = &h->requirements;
    for (size_t i = 0; i < all->count + all->constraint_count; i++) {
        const iw_want *one = i < all->count ? &all->items[i] : &all->constraints[i - all->count];
        if (one->pinned && strcmp(one->name, name) == 0) return true;
    }
    return false;
}

static int repair_by_moving(iw_healer *h, const char *name, const char *died, const char *why,
                            bool *done, iw_error *err)
{
    iw_cleanup_strings iw_strings lines = {0};
    json_t *rows = NULL;
    if (is_pinned(h, name)) return 0;
    iw_strings_add(&lines, name);
    int status = try_wheels(h, &lines, SEARCH, &rows, err);
    const char *newest = iw_json_get(json_object_get(rows, name), "newest");
    if (status == 0 && newest && strcmp(newest, died) != 0)
        status = try_pin(h, name, newest, done, err);
    if (status == 0 && *done) iw_healer_settle(h, name, newest, NULL, IW_FATE_MOVED, died, why);
    json_decref(rows);
    return status;
}

/* From the sdist that was looked at. */
static void settle_made(iw_healer *h, const char *name, const struct peeked *sdist,
                        const char *died, const char *why)
{
    iw_healer_settle(h, name, sdist->found, NULL, IW_FATE_MADE, died, why);
    set(&iw_healer_find(h, name)->sha256, sdist->sha256);
}

/* The last resort: if that isn't possible either, nothing is. */
static int repair_by_making(iw_healer *h, const char *name, const char *died, const char *why,
                            iw_error *err)
{
    struct peeked sdist = {0};
    int status = peek(h, name, died, &sdist, err);
    if (status == 0 && sdist.found && !sdist.refused) {
        pin(h, name, died);
        settle_made(h, name, &sdist, died, why);
    } else if (status == 0) {
        iw_cleanup_free char *text =
            iw_format("%s; no recipe, no other wheel that the requirements allow, and %s", why,
                      sdist.refused ? sdist.refused : sdist.why);
        iw_healer_settle(h, name, died, NULL, IW_FATE_IMPOSSIBLE, died, text);
    }
    peeked_clear(&sdist);
    return status;
}

/* In this order: a recipe, another wheel, its sdist. */
static int repair(iw_healer *h, const char *name, const char *died, const char *why, iw_error *err)
{
    bool done = false;
    iw_emit(
        h->options->deliver.sink,
        (iw_event){.type = IW_EVENT_STARTED, .subject = name, .phase = "repair", .detail = why});
    if (repair_by_recipe(h, name, died, why, &done, err) != 0 ||
        (!done && repair_by_moving(h, name, died, why, &done, err) != 0) ||
        (!done && repair_by_making(h, name, died, why, err) != 0))
        return -1;
    iw_emit(h->options->deliver.sink,
            (iw_event){.type = IW_EVENT_FINISHED,
                       .subject = name,
                       .phase = "repair",
                       .detail = iw_fate_name(iw_healer_find(h, name)->fate)});
    return 0;
}

/* --- rounds --------------------------------------------------------------- */

/* Fails where no index has the project, or none of the versions, or where none may be asked. */
static int refuse_absent(const iw_healer *h, const char *what, iw_error *err)
{
    iw_absent absent;
    iw_fetch_options fetch = h->options->deliver.fetch;
    fetch.cancel = h->options->deliver.cancel;
    fetch.sink = h->options->deliver.sink;
    if (h->requirements.options.count && !fetch.offline) return 0; /* they name indexes, perhaps */
    int status = iw_pip_absent(what, &fetch, &absent, err);
    if (status == 0 && absent.what != IW_ABSENCE_WHEEL)
        status = iw_fail(err, absent.what == IW_ABSENCE_OFFLINE ? IW_E_NETWORK : IW_E_CHECK, "%s",
                         absent.text);
    iw_absent_clear(&absent);
    return status;
}

static int make_missing(iw_healer *h, const char *name, const char *exact, const char *what,
                        iw_error *err)
{
    struct peeked sdist = {0};
    int status = peek(h, name, exact, &sdist, err);
    if (status == 0 && !sdist.found) status = refuse_absent(h, what, err);
    if (status == 0 && sdist.refused) status = iw_fail(err, IW_E_CHECK, "%s", sdist.refused);
    else if (status == 0 && !sdist.found)
        status = iw_fail(err, IW_E_CHECK, "no wheel of %s for Python 3.11 on Linux, and %s", what,
                         sdist.why);
    if (status == 0) settle_made(h, name, &sdist, NULL, "there is no wheel of it");
    peeked_clear(&sdist);
    return status;
}

/* No wheel at all: a recipe, or what its sdist says. */
static int bring_missing(iw_healer *h, const char *what, iw_error *err)
{
    iw_cleanup_free char *bare = iw_strndup(what, strcspn(what, "=<>!~;[ ")),
                         *name = iw_project_name(bare);
    const char *exact = strstr(what, "==") && !strchr(what, ',') ? strstr(what, "==") + 2 : NULL;
    iw_cleanup_strings iw_strings recipes = {0};
    if (iw_healer_find(h, name))
        return iw_fail(err, IW_E_CHECK,
                       "no release of %s for Python 3.11 on Linux that the "
                       "requirements allow",
                       what);
    if (recipes_of(h, name, &recipes, err) != 0) return -1;
    for (size_t i = 0; i < recipes.count; i++) {
        iw_cleanup_free char *public = public_part(recipes.items[i]);
        if (exact && iw_version_compare_text(exact, public) != 0) continue;
        iw_healer_settle(h, name, public, recipes.items[i], IW_FATE_RECIPE, NULL,
                         "there is no wheel of it");
        return write_stub(h, name, public, NULL, err);
    }
    return make_missing(h, name, exact, what, err);
}

/* The tree's own recipe of that very version is better than a wheel's, which isn't even tried. */
static int settle_own_recipes(iw_healer *h, iw_error *err)
{
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const iw_decision *before = iw_healer_find(h, dist->name);
        iw_cleanup_strings iw_strings recipes = {0};
        bool settled = before && before->settled && strcmp(before->version, dist->version) == 0 &&
                       before->fate != IW_FATE_MOVED;
        if (dist->stub || settled) continue;
        if (recipes_of(h, dist->name, &recipes, err) != 0) return -1;
        if (!iw_strings_has(&recipes, dist->version)) continue;
        const char *called = iw_healer_called(h, dist->name);
        iw_cleanup_free char *why =
            strcmp(called, dist->name) == 0
                ? iw_strdup("the tree has a recipe of this version")
                : iw_format("the tree has a recipe of this version, %s", called);
        iw_healer_settle(h, dist->name, dist->version, dist->version, IW_FATE_RECIPE, NULL, why);
    }
    return 0;
}

static int resolve_all(iw_healer *h, iw_error *err)
{
    for (int round = 0; round < 40; round++) {
        iw_unresolved how;
        iw_cleanup_free char *what = NULL;
        if (resolve(h, NULL, &how, &what, err) != 0) return -1;
        if (how == IW_RESOLVED) return settle_own_recipes(h, err);
        if (how == IW_UNRESOLVED_CLASH)
            return iw_fail(err, IW_E_CHECK, "these can't stand together: %s", what);
        if (h->resolver.offline) return refuse_absent(h, what, err);
        if (bring_missing(h, what, err) != 0) return -1;
    }
    return iw_fail(err, IW_E_CHECK, "too many packages without a wheel");
}

/* Lines of what has code and wasn't tried in this version. */
static void question_lines(iw_healer *h, iw_strings *lines)
{
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const iw_decision *decision = iw_healer_find(h, dist->name);
        if (dist->pure || dist->stub) continue;
        if (decision && decision->settled && strcmp(decision->version, dist->version) == 0)
            continue;
        iw_strings_add_format(lines, "%s==%s", dist->name, dist->version);
    }
}

/* Whether `name` isn't the wheel that was tried: it is, or will be, built. */
static bool is_built(const iw_healer *h, const char *name)
{
    const iw_decision *decision = name ? iw_healer_find(h, name) : NULL;
    return decision && (decision->fate == IW_FATE_RECIPE || decision->fate == IW_FATE_MADE);
}

/* Looks for a wheel of it that runs, whatever the requirements say: for trials of others alone. */
static int find_beside(iw_healer *h, const char *name, iw_error *err)
{
    iw_cleanup_strings iw_strings lines = {0};
    json_t *rows = NULL;
    if (beside_of(h, name) || iw_strings_has(&h->alone, name)) return 0;
    iw_strings_add(&lines, name);
    int status = try_wheels(h, &lines, SEARCH_ANY, &rows, err);
    const char *newest = iw_json_get(json_object_get(rows, name), "newest");
    if (status == 0 && newest) iw_strings_add_format(&h->beside, "%s==%s", name, newest);
    else if (status == 0) iw_strings_add(&h->alone, name);
    json_decref(rows);
    return status;
}

/* The culprit of a row that dies in what isn't taken as that wheel; else NULL. Borrowed. */
static const char *stranger(const iw_healer *h, const json_t *row)
{
    const char *culprit = iw_json_get(row, "culprit");
    return json_is_true(json_object_get(row, "dies")) && is_built(h, culprit) ? culprit : NULL;
}

/* Whether its wheel wasn't among the first that were known. */
static bool is_new(const iw_healer *h, const char *name, size_t known)
{
    const char *beside = beside_of(h, name);
    for (size_t i = 0; i < known; i++)
        if (h->beside.items[i] == beside) return false;
    return beside != NULL;
}

/* Wheels that died in one of what is built here say nothing of themselves: they are tried again
 * beside a wheel of it that runs. */
static int try_beside(iw_healer *h, json_t *rows, iw_error *err)
{
    iw_cleanup_strings iw_strings lines = {0};
    json_t *again = NULL, *row;
    const char *name;
    const size_t known = h->beside.count;
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const char *culprit = stranger(h, json_object_get(rows, dist->name));
        if (culprit && find_beside(h, culprit, err) != 0) return -1;
        if (culprit && is_new(h, culprit, known))
            iw_strings_add_format(&lines, "%s==%s", dist->name, dist->version);
    }
    if (!lines.count) return 0;
    int status = try_wheels(h, &lines, HOLD_ALL, &again, err);
    json_object_foreach(again, name, row)
    {
        const char *culprit = iw_json_get(json_object_get(rows, name), "culprit");
        const char *beside = culprit ? beside_of(h, culprit) : NULL;
        iw_cleanup_free char *why =
            iw_format("%s (beside %s)", iw_json_get(row, "why"), beside ? beside : "others");
        json_object_set_new(row, "why", json_string(why));
    }
    json_object_update(rows, again);
    json_decref(again);
    return status;
}

static void settle_one(iw_healer *h, const iw_dist *dist, const json_t *row, iw_strings *dying,
                       iw_strings *blamed)
{
    const char *culprit = iw_json_get(row, "culprit"), *built = stranger(h, row);
    const iw_decision *before = iw_healer_find(h, dist->name);
    bool dies = json_is_true(json_object_get(row, "dies"));
    iw_cleanup_free char *why =
        built ? iw_format("it wasn't used: it died in the wheel of %s, which is built here", built)
              : NULL;
    if (dies && !why)
        iw_strings_add_format(culprit ? blamed : dying, "%s %s", dist->name, dist->version);
    else if (!before || before->fate == IW_FATE_KEPT)
        iw_healer_settle(h, dist->name, dist->version, NULL, IW_FATE_KEPT, NULL,
                         why ? why : iw_json_get(row, "why"));
}

/* What runs, before what dies is repaired: pins may move all of it. What dies of another is tried
 * again when that one is mended (`blamed`). */
static void settle_kept(iw_healer *h, const json_t *rows, iw_strings *dying, iw_strings *blamed)
{
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const json_t *row = json_object_get(rows, dist->name);
        if (row && !dist->pure && !dist->stub) settle_one(h, dist, row, dying, blamed);
    }
}

/* Where nothing dies of itself, the one that another dies of is ill, however well it does alone. */
static int repair_one(iw_healer *h, const json_t *rows, const char *name, const char *version,
                      iw_error *err)
{
    const json_t *row = json_object_get(rows, name);
    const char *culprit = iw_json_get(row, "culprit");
    const iw_dist *ill = culprit ? iw_resolution_find(&h->resolution, culprit) : NULL;
    if (!ill || ill->pure || ill->stub)
        return repair(h, name, version, iw_json_get(row, "why"), err);
    iw_cleanup_free char *version_of_ill = iw_strdup(ill->version),
                         *why = iw_format("%s %s", name, iw_json_get(row, "why"));
    return is_built(h, culprit) ? 0 : repair(h, culprit, version_of_ill, why, err);
}

static int one_round(iw_healer *h, bool *moved, iw_error *err)
{
    iw_cleanup_strings iw_strings lines = {0}, dying = {0}, blamed = {0};
    json_t *rows = NULL;
    *moved = false;
    question_lines(h, &lines);
    if (lines.count == 0) return 0;
    int status = try_wheels(h, &lines, HOLD_ALL, &rows, err);
    for (int i = 0; i < BEHIND && status == 0; i++) status = try_beside(h, rows, err);
    if (status == 0) settle_kept(h, rows, &dying, &blamed);
    const iw_strings *ill = dying.count ? &dying : &blamed;
    for (size_t i = 0; i < ill->count && status == 0; i++) {
        const char *space = strchr(ill->items[i], ' ');
        iw_cleanup_free char *name = iw_strndup(ill->items[i], (size_t)(space - ill->items[i]));
        status = repair_one(h, rows, name, space + 1, err);
        *moved = true;
    }
    json_decref(rows);
    return status;
}

/* Wheels as published have one of the digests that their lines ask for. */
static int check_hashes(const iw_healer *h, iw_error *err)
{
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const iw_decision *decision = iw_healer_find(h, dist->name);
        if (dist->stub || (decision && decision->fate != IW_FATE_KEPT)) continue;
        iw_cleanup_free char *why = refusal(h, dist->name, dist->version, dist->file, dist->sha256);
        if (why)
            return iw_fail(err, IW_E_CHECK,
                           "%s. Either the file isn't what it was, or the line is about another "
                           "one: look there, and write it anew if it is all right",
                           why);
    }
    return 0;
}

/* A tool that stays brings recipes, and these tools of their own. */
static int keep_tools(iw_healer *h, iw_error *err)
{
    size_t before = h->moving.count + 1;
    while (before != h->moving.count) {
        before = h->moving.count;
        if (iw_healer_keep_tools(h, err) != 0 || settle_own_recipes(h, err) != 0) return -1;
    }
    return 0;
}

int iw_healer_decide(iw_healer *h, iw_error *err)
{
    bool moved = true;
    if (resolve_all(h, err) != 0 || check_hashes(h, err) != 0) return -1;
    for (int round = 0; moved && round < ROUNDS; round++) {
        if (keep_tools(h, err) != 0 || one_round(h, &moved, err) != 0) return -1;
        if (moved && (resolve_all(h, err) != 0 || check_hashes(h, err) != 0)) return -1;
    }
    if (moved) note(h, h->options->name, "it still moved after many rounds");
    for (size_t i = 0; i < h->resolution.count; i++) {
        const iw_dist *dist = &h->resolution.items[i];
        const iw_decision *there = iw_healer_find(h, dist->name);
        if (!there || strcmp(there->version, dist->version) != 0)
            iw_healer_settle(h, dist->name, dist->version, NULL, IW_FATE_KEPT, NULL, NULL);
    }
    return 0;
}
