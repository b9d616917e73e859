#include "deliver/away.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <fcntl.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "pack/pack.h"
#include "share/box.h"
#include "share/cache.h"
#include "share/push.h"
#include "store/archive.h"

#define GREETING 10 /* seconds for the box to answer */
#define ANSWER 60   /* for what reads or unpacks something there */
#define NOWHERE 45  /* exit status of our scripts: Ironwheel isn't there */

typedef struct away {
    iw_session *session;
    const char *address; /* as given */
    char *here;          /* folder for this run, below the store's tmp */
    char *folder;        /* the same over there, below the box's own: "runs/…" */
    char *base, *place;  /* the box's folder, what is shared in it; addresses */
    iw_remote *remote;   /* of `base` */
    iw_trust *trust;     /* the run's key */
    iw_strings lacking;  /* packages that this rig has and the box lacks */
    iw_strings held;     /* sources that its mirror folder has */
    bool foreign;        /* its keys differ from ours */
    size_t planned;
} away;

static void note(const away *a, const char *text)
{
    iw_emit(a->session->options.sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = a->address, .detail = text});
}

/* --- there ---------------------------------------------------------------- */

/* `script` with the run's folder as $run and the program as $program. */
static int run_there(const away *a, unsigned patience, const char *script,
                     void (*line)(void *, const char *), void *context, iw_error *err)
{
    int status = 0;
    iw_cleanup_free char *whole =
        iw_format("run=$PWD/%s\nexport IRONWHEEL_CONFIG=\"$run/config\"\n"
                  "program=$PWD/ironwheel; test -f \"$program\" || program=ironwheel\n"
                  "command -v \"$program\" >/dev/null || exit %d\n%s",
                  a->folder, NOWHERE, script);
    iw_box_run run = {.script = whole, .patience = patience, .line = line, .context = context};
    if (iw_box_run_there(a->remote, &run, &status, err) == 0) return 0;
    if (err->kind != IW_E_BUILD || status != NOWHERE) return -1;
    return iw_fail(err, IW_E_BUILD,
                   "Ironwheel is neither in its PATH nor at %s/ironwheel (a link to the program)",
                   a->base);
}

/* That somebody answers; the run's folder, which nobody else may read, and those that earlier runs
 * left when they broke off go. */
static int greet(const away *a, iw_error *err)
{
    return run_there(
        a, GREETING,
        "mkdir -p runs mirror/by-sha256 && mkdir -m 700 \"$run\" && mkdir \"$run/shared\" && "
        "find runs -mindepth 1 -maxdepth 1 -mtime +2 -exec rm -rf {} +",
        NULL, NULL, err);
}

static void clean_up(const away *a)
{
    iw_error ignored = IW_ERROR_INIT;
    iw_remote_listen(a->remote, NULL, -1);
    run_there(a, GREETING, "rm -rf \"$run\"", NULL, NULL, &ignored);
    iw_error_clear(&ignored);
}

/* --- what goes there ------------------------------------------------------ */

/* A key for this run, on both sides. */
static int make_key(away *a, iw_error *err)
{
    iw_secret_key key = {{{0}, {0}}, {0}};
    iw_cleanup_free char *config = iw_path_join(a->here, "sent/config"),
                         *path = iw_path_join(config, "working.key");
    int status = iw_make_folders(config, 0700, err);
    if (status == 0) status = iw_key_make(&key, err);
    if (status == 0) status = iw_key_write_secret(&key, path, NULL, err);
    if (status == 0) status = iw_trust_open_at(config, &a->trust, err);
    if (status == 0) status = iw_trust_add_key(a->trust, &key.open, a->address, err);
    iw_secret_key_clear(&key);
    return status;
}

/* Recipes, patches and the key, as one file. */
static int send_tree(const away *a, iw_error *err)
{
    iw_cleanup_free char *sent = iw_path_join(a->here, "sent"), *tree = iw_path_join(sent, "tree"),
                         *tar = iw_path_join(a->here, "sent.tar"),
                         *name = iw_format("%s/sent.tar", a->folder);
    iw_packing packing = {.plain = true};
    iw_packed packed;
    if (iw_catalog_copy(a->session->options.root, tree, err) != 0) return -1;
    iw_cleanup_fd int fd = open(tar, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", tar);
    struct stat status;
    if (iw_archive_pack(sent, fd, &packing, &packed, err) != 0) return -1;
    if (fstat(fd, &status) != 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", tar);
    if (iw_remote_upload(a->remote, name, tar, (uint64_t)status.st_size, err) != 0) return -1;
    return run_there(a, ANSWER, "cd \"$run\" && tar -xf sent.tar && rm sent.tar", NULL, NULL, err);
}

/* One line of its plan. */
static void on_planned(void *context, const char *line)
{
    away *a = context;
    json_t *row = json_loads(line, 0, NULL);
    const char *name = iw_json_get(row, "package"), *version = iw_json_get(row, "version"),
               *key = iw_json_get(row, "key"), *action = iw_json_get(row, "action");
    const iw_node *node = name && version ? iw_plan_find(a->session->plan, name, version) : NULL;
    a->planned += node != NULL;
    if (node && (!key || strcmp(key, node->plan_key) != 0)) a->foreign = true;
    if (node && node->action == IW_ACTION_REUSE && action && strcmp(action, "reuse") != 0)
        iw_strings_add_format(&a->lacking, "%s/%s", name, version);
    json_decref(row);
}

/* The same plan as here, or it would build something else; and what it has of it. */
static int ask_plan(away *a, iw_error *err)
{
    iw_cleanup_free char *stack = iw_shell_quote(a->session->stack->name),
                         *script = iw_format("exec \"$program\" plan %s --json --no-remote -C "
                                             "\"$run/tree\" --cache \"$PWD/cache\"",
                                             stack);
    if (run_there(a, ANSWER, script, on_planned, a, err) != 0) return -1;
    if (!a->foreign && a->planned == a->session->plan->node_count) return 0;
    return iw_fail(err, IW_E_BUILD,
                   "its Ironwheel is of another version: what it builds has other keys");
}

/* Packages that it would build although they are here. */
static int send_packages(away *a, iw_error *err)
{
    const iw_plan *plan = a->session->plan;
    iw_push_item *items = iw_alloc((a->lacking.count + 1) * sizeof *items);
    iw_cleanup_free char *work = iw_path_join(a->here, "work");
    iw_remote *place = NULL;
    iw_remote_options remote = {.sink = a->session->options.sink,
                                .cancel = a->session->options.cancel};
    iw_push_options options = {.work = work,
                               .redistribute = true,
                               .sink = a->session->options.sink};
    iw_pushed done;
    for (size_t i = 0, k = 0; i < plan->node_count; i++) {
        iw_cleanup_free char *name =
            iw_format("%s/%s", plan->nodes[i].recipe->name, plan->nodes[i].recipe->version);
        if (iw_strings_has(&a->lacking, name))
            items[k++] = (iw_push_item){.store = a->session->store,
                                        .plan = plan,
                                        .only = &plan->nodes[i],
                                        .artifacts = true};
    }
    int status = iw_make_folders(work, 0700, err);
    if (status == 0) status = iw_remote_open(a->place, &remote, &place, err);
    if (status == 0 && a->lacking.count)
        status = iw_push(a->trust, place, items, a->lacking.count, &options, &done, err);
    iw_remote_close(place);
    free(items);
    return status;
}

static int on_held(void *context, const iw_remote_entry *entry, iw_error *err)
{
    (void)err;
    iw_strings_add(context, entry->name);
    return 0;
}

static int send_source(const away *a, const char *sha256, iw_error *err)
{
    iw_cleanup_free char *path = iw_store_source_path(a->session->store, sha256),
                         *name = iw_format("mirror/by-sha256/%s", sha256);
    struct stat status;
    if (iw_strings_has(&a->held, sha256) || stat(path, &status) != 0) return 0;
    return iw_remote_upload(a->remote, name, path, (uint64_t)status.st_size, err);
}

/* What this rig has of what is to be built; the box fetches the rest itself. */
static int send_sources(away *a, iw_error *err)
{
    iw_wanted *wanted = NULL;
    iw_cleanup_strings iw_strings digests = {0};
    size_t count = iw_session_wanted(a->session, false, true, &wanted);
    int status = iw_fetch_digests(a->session->store, wanted, count, &digests, err);
    free(wanted);
    if (status == 0) status = iw_remote_list(a->remote, "mirror/by-sha256", on_held, &a->held, err);
    for (size_t i = 0; status == 0 && i < digests.count; i++)
        status = send_source(a, digests.items[i], err);
    return status;
}

/* --- building ------------------------------------------------------------- */

/* What it tells of its work, told here. */
static void on_event(void *context, const char *line)
{
    const away *a = context;
    iw_event event = {.type = IW_EVENT_NOTE};
    void *holder = NULL;
    if (iw_event_from_json(line, &event, &holder, NULL) != 0) return;
    event.when = 0;
    event.path = NULL;
    bool built = event.type == IW_EVENT_FINISHED && event.detail && !event.phase &&
                 strcmp(event.detail, "built") == 0;
    if (built) event.detail = "built there";
    if (event.type != IW_EVENT_RESULT) iw_emit(a->session->options.sink, event);
    free(holder);
}

/* Where its input ends, nobody waits any more: then it stops as by Ctrl-C. */
static int build_there(const away *a, iw_error *err)
{
    const iw_deliver_options *given = &a->session->options;
    iw_cleanup_free char *stack = iw_shell_quote(a->session->stack->name),
                         *script = iw_format(
                             "exec 3<&0\n"
                             "\"$program\" build %s --no-bundle --anyway --json%s -C \"$run/tree\" "
                             "--cache \"$PWD/cache\" --import \"$PWD/mirror\" --push-to "
                             "\"$run/shared\" </dev/null 3<&- &\n"
                             "pid=$!\n"
                             "{ while read -r line; do :; done <&3; kill $pid; } >/dev/null 2>&1 "
                             "&\n"
                             "watch=$!\n"
                             "wait $pid; status=$?\n"
                             "kill $watch 2>/dev/null\n"
                             "exit $status",
                             stack, given->fail_fast ? " --fail-fast" : "");
    return run_there(a, 0, script, on_event, (void *)a, err);
}

/* --- what comes back ------------------------------------------------------ */

/* What only building needs comes, too: without its contents this rig couldn't tell what was built
 * with it from what wasn't, and would build it. */
static int take(const away *a, iw_error *err)
{
    iw_session *session = a->session;
    iw_deliver_options own = session->options;
    iw_cleanup_free char *config = iw_path_join(a->here, "sent/config");
    iw_cache_options options = {.store = session->store,
                                .sink = own.sink,
                                .cancel = own.cancel,
                                .place = a->place,
                                .called = a->address,
                                .config = config,
                                .place_only = true,
                                .all = true,
                                .patient = true};
    iw_cache *cache = NULL;
    if (iw_cache_open(&options, &cache, err) != 0) return -1;
    session->options.cache = cache;
    session->options.offered = iw_cache_offers;
    int status = iw_session_bring(session, err);
    session->options.cache = own.cache;
    session->options.offered = own.offered;
    iw_cache_close(cache);
    if (status == 0) status = iw_session_replan(session, err);
    return status;
}

/* --- all of it ------------------------------------------------------------ */

static int open_away(away *a, iw_error *err)
{
    const char *host = a->address + strlen("ssh://");
    iw_remote_options options = {.sink = a->session->options.sink,
                                 .cancel = a->session->options.cancel};
    if (!iw_starts_with(a->address, "ssh://"))
        return iw_fail(err, IW_E_USAGE, "%s: a box is ssh://[user@]host[:port][/folder]",
                       a->address);
    a->base =
        strchr(host, '/') ? iw_strdup(a->address) : iw_format("%s/~/ironwheel-box", a->address);
    iw_cleanup_free char *tmp = iw_store_path(a->session->store, "tmp", "");
    if (iw_make_folders(tmp, 0755, err) != 0 ||
        iw_temporary_folder(tmp, "box-", &a->here, err) != 0)
        return -1;
    a->folder = iw_format("runs/%s", iw_path_base(a->here));
    a->place = iw_format("%s/%s/shared", a->base, a->folder);
    return iw_remote_open(a->base, &options, &a->remote, err);
}

static void close_away(away *a)
{
    iw_remote_close(a->remote);
    iw_trust_close(a->trust);
    if (a->here) iw_remove_tree(a->here, NULL);
    iw_strings_free(&a->lacking);
    iw_strings_free(&a->held);
    free(a->here), free(a->folder), free(a->base), free(a->place);
}

/* *began: something may have come of it. */
static int work(away *a, bool *began, iw_error *err)
{
    if (make_key(a, err) != 0 || greet(a, err) != 0 || send_tree(a, err) != 0 ||
        ask_plan(a, err) != 0 || send_packages(a, err) != 0 || send_sources(a, err) != 0)
        return -1;
    *began = true;
    return build_there(a, err);
}

/* One line of what somebody over there said, however many there were. */
static void tell(const away *a, const iw_error *why, bool all_here)
{
    iw_cleanup_free char *text = iw_strdup(iw_error_text(why));
    char *last = text;
    for (char *c = text; *c; c++)
        if (*c == '\n') *c = ' ';
    iw_cleanup_free char *line = iw_format("%s: %.400s%s", a->address, last,
                                           all_here ? "; it had built all that was wanted"
                                                    : "; what is missing is built here");
    note(a, line);
}

static bool all_done(const iw_session *session)
{
    for (size_t i = 0; i < session->plan->node_count; i++)
        if (!iw_node_is_done(&session->plan->nodes[i])) return false;
    return true;
}

int iw_session_build_away(iw_session *session, const char *address, iw_error *err)
{
    away a = {.session = session, .address = address};
    iw_error why = IW_ERROR_INIT;
    bool began = false;
    int status = open_away(&a, err);
    if (status == 0 && !all_done(session)) {
        int worked = work(&a, &began, &why);
        bool stopped = worked != 0 && why.kind == IW_E_CANCELLED;
        if (began && !stopped && why.kind != IW_E_NETWORK) status = take(&a, err);
        if (worked != 0 && !stopped && status == 0) tell(&a, &why, all_done(session));
        if (stopped) {
            iw_error_move(err, &why);
            status = -1;
        }
        if (worked == 0 || why.kind != IW_E_NETWORK) clean_up(&a);
    }
    iw_error_clear(&why);
    close_away(&a);
    return status;
}
