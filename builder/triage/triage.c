/* Several packages at once. */
#include "triage/triage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/checks_root.h"
#include "triage/internal.h"

#define TEAM_LIMIT 64
#define ATTEMPT_MEMORY 2500 /* MiB that one may take */

/* --- life ----------------------------------------------------------------- */

static void on_event(void *context, const iw_event *event)
{
    iw_triage *t = context;
    pthread_mutex_lock(&t->telling);
    iw_emit(t->outer, *event);
    pthread_mutex_unlock(&t->telling);
}

/* What verdicts depend on of the toolchain: its emulator. Caller frees. */
static int find_emulator(iw_triage *t, iw_error *err)
{
    const iw_toolchain *checks = NULL;
    if (iw_catalog_checks(t->options.catalog, &checks, err) != 0) return -1;
    for (size_t i = 0; checks && i < checks->package_count; i++)
        if (iw_starts_with(checks->packages[i].name, "qemu-user"))
            t->emulator = iw_strdup(checks->packages[i].sha256);
    if (!t->emulator) t->emulator = iw_strdup(checks ? checks->digest : "");
    return 0;
}

static int open_all(iw_triage *t, iw_error *err)
{
    iw_cleanup_free char *parent = iw_store_path(t->options.store, "tmp", "");
    return iw_make_folders(parent, 0755, err) ||
                   iw_temporary_folder(parent, "triage-", &t->work, err) ||
                   iw_checks_root(t->options.catalog, t->options.store, &t->options.fetch, &t->root,
                                  err) ||
                   find_emulator(t, err) ||
                   (!t->options.environment && iw_triage_compile_library(t, err))
               ? -1
               : 0;
}

int iw_triage_open(const iw_triage_options *options, iw_triage **out, iw_error *err)
{
    iw_triage *t = iw_alloc(sizeof *t);
    t->options = *options;
    t->outer = options->fetch.sink;
    t->sink = (iw_sink){.emit = on_event, .context = t};
    t->options.fetch.sink = &t->sink;
    if (!t->options.seconds) t->options.seconds = IW_TRIAGE_SECONDS;
    pthread_mutex_init(&t->lock, NULL);
    pthread_mutex_init(&t->telling, NULL);
    if (open_all(t, err) != 0) {
        iw_triage_close(t);
        return -1;
    }
    *out = t;
    return 0;
}

void iw_triage_close(iw_triage *t)
{
    if (!t) return;
    if (t->work) iw_remove_tree(t->work, NULL);
    free(t->work), free(t->root), free(t->emulator), free(t->tools);
    free(t->bytecode), free(t->cache);
    pthread_mutex_destroy(&t->lock);
    pthread_mutex_destroy(&t->telling);
    free(t);
}

void iw_triage_python(const iw_triage *t, iw_strings *argv, iw_strings *environment)
{
    if (!t->options.environment) {
        iw_checks_python(t->root, t->cache, argv, environment);
        return;
    }
    iw_strings_add_format(argv, "%s/bin/python3", t->options.environment);
    iw_strings_add(environment, "LC_ALL=C.UTF-8");
}

/* --- one package ---------------------------------------------------------- */

/* Every line about the package, and its digests. */
static iw_ask ask_for(const iw_triage *t, const iw_requirements *all, const char *package)
{
    iw_ask ask = {.triage = t, .all = all, .package = iw_strdup(package)};
    for (size_t i = 0; i < all->count; i++) {
        const iw_want *one = &all->items[i];
        if (strcmp(one->name, package) != 0) continue;
        iw_strings_add_format(&ask.lines, "%s%s%s%s%s", one->name, one->extras ? "[" : "",
                              one->extras ? one->extras : "", one->extras ? "]" : "",
                              one->conditions);
        iw_strings_add_all(&ask.hashes, (const char *const *)one->hashes.items);
    }
    return ask;
}

static int try_package(iw_triage *t, const iw_requirements *all, const char *package,
                       iw_triage_row *row, iw_error *err)
{
    iw_ask ask = ask_for(t, all, package);
    int status =
        t->options.newest ? iw_triage_newest(t, &ask, row, err) : iw_triage_try(t, &ask, row, err);
    if (status == 0 && row->because.package && !row->newest_working && !t->options.blame_only)
        status = iw_triage_find_beside(t, &ask, row, err);
    iw_ask_free(&ask);
    return status;
}

/* --- all of them ---------------------------------------------------------- */

struct team {
    iw_triage *triage;
    const iw_requirements *all;
    iw_strings packages;
    iw_triage_row *rows;
    bool *done;
    pthread_mutex_t lock; /* of what follows */
    size_t next, told;
    void (*row)(void *context, const iw_triage_row *row);
    void *context;
    iw_error failure;
};

/* Rows come in their order. Who hears them may look into the catalog, as others do meanwhile. */
static void tell_rows(struct team *team)
{
    pthread_mutex_lock(&team->triage->lock);
    while (team->told < team->packages.count && team->done[team->told])
        team->row(team->context, &team->rows[team->told++]);
    pthread_mutex_unlock(&team->triage->lock);
}

static void *work(void *context)
{
    struct team *team = context;
    for (;;) {
        pthread_mutex_lock(&team->lock);
        bool more = team->failure.kind == IW_E_NONE && team->next < team->packages.count;
        size_t i = more ? team->next++ : 0;
        pthread_mutex_unlock(&team->lock);
        if (!more) return NULL;
        iw_error err = IW_ERROR_INIT;
        int status =
            try_package(team->triage, team->all, team->packages.items[i], &team->rows[i], &err);
        pthread_mutex_lock(&team->lock);
        if (status == 0) {
            team->done[i] = true;
            tell_rows(team);
        } else if (team->failure.kind == IW_E_NONE) {
            iw_error_move(&team->failure, &err);
        }
        pthread_mutex_unlock(&team->lock);
        iw_error_clear(&err);
    }
}

/* Each once, in the order of their first lines; with `newest` without those that are pinned. */
static void gather(const iw_triage *t, const iw_requirements *all, iw_strings *out)
{
    for (size_t i = 0; i < all->count; i++)
        if (!(t->options.newest && all->items[i].pinned) &&
            !iw_strings_has(out, all->items[i].name))
            iw_strings_add(out, all->items[i].name);
}

static size_t team_size(const iw_triage *t, size_t count)
{
    uint64_t most = iw_available_memory() / ATTEMPT_MEMORY;
    size_t size = t->options.jobs ? t->options.jobs : iw_core_count();
    if (size > most) size = (size_t)most;
    if (size > count) size = count;
    return size < 1 ? 1 : size > TEAM_LIMIT ? TEAM_LIMIT : size;
}

static int run_team(struct team *team, iw_error *err)
{
    pthread_t threads[TEAM_LIMIT];
    size_t size = team_size(team->triage, team->packages.count), started = 1;
    unsigned cores = team->triage->options.jobs ? team->triage->options.jobs : iw_core_count();
    team->triage->parallel = size > 1 ? 1 : cores;
    while (started < size && pthread_create(&threads[started], NULL, work, team) == 0) started++;
    work(team);
    for (size_t i = 1; i < started; i++) pthread_join(threads[i], NULL);
    if (team->failure.kind == IW_E_NONE) return 0;
    iw_error_move(err, &team->failure);
    return -1;
}

int iw_triage_run(iw_triage *t, const iw_requirements *all,
                  void (*row)(void *context, const iw_triage_row *row), void *context,
                  iw_error *err)
{
    struct team team = {
        .triage = t, .all = all, .row = row, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER};
    gather(t, all, &team.packages);
    if (!team.packages.count)
        return iw_fail(err, IW_E_USAGE,
                       t->options.newest && all->count
                           ? "--newest searches the packages that are given without \"==\": those "
                             "with it only hold for what these need"
                           : "there is no package to try");
    team.rows = iw_alloc(team.packages.count * sizeof *team.rows);
    team.done = iw_alloc(team.packages.count * sizeof *team.done);
    int status = run_team(&team, err);
    for (size_t i = 0; i < team.packages.count; i++) iw_triage_row_clear(&team.rows[i]);
    free(team.rows);
    free(team.done);
    iw_strings_free(&team.packages);
    return status;
}
