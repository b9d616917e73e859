/* `ironwheel push [STACK|BUNDLE…] PLACE`. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/scratch.h"
#include "cli/commands.h"
#include "cli/published.h"
#include "cli/sharing.h"
#include "pack/pack.h"
#include "share/push.h"

typedef struct pushing {
    iw_push_item *items;
    iw_session *sessions;   /* of the stacks among them; as many */
    iw_known_wheels *known; /* as many */
    char **paths, **keys;   /* owned */
    size_t count;
} pushing;

static void pushing_clear(pushing *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->paths[i]);
        free(p->keys[i]);
        iw_session_close(&p->sessions[i]);
        iw_known_wheels_clear(&p->known[i]);
    }
    free(p->items), free(p->sessions), free(p->paths), free(p->keys), free(p->known);
}

/* The bundle of a stack, as the last build left it. */
static int add_stack(iw_context *context, pushing *p, size_t i, const char *stack, iw_error *err)
{
    iw_session *session = &p->sessions[i];
    iw_cleanup_free char *sha256 = NULL;
    bool found = false, artifacts = iw_flag(context->arguments, "artifacts"),
         wheels = iw_flag(context->arguments, "wheels");
    if (iw_context_session(context, stack, session, err) != 0 ||
        iw_session_find_ready(session, &p->paths[i], &sha256, &found, err) != 0)
        return -1;
    if (!found && !artifacts && !wheels)
        return iw_fail(
            err, IW_E_NOT_FOUND,
            "stack %s has no bundle of its present recipes; `ironwheel build %s` makes it", stack,
            stack);
    p->keys[i] = iw_format("%s.%s", session->plan->bundle_key, IW_BUNDLE_FORMAT);
    p->items[i] = (iw_push_item){.bundle = found ? p->paths[i] : NULL,
                                 .bundle_key = p->keys[i],
                                 .store = session->store,
                                 .plan = session->plan,
                                 .artifacts = artifacts,
                                 .wheels = wheels};
    return 0;
}

/* After the display was opened, for notes. */
static int add_known(iw_context *context, pushing *p, iw_error *err)
{
    bool wanted = iw_flag(context->arguments, "with-upstream");
    if (wanted && !iw_flag(context->arguments, "wheels"))
        return iw_fail(err, IW_E_USAGE, "--with-upstream is about the index of --wheels");
    for (size_t i = 0; wanted && i < p->count; i++)
        if (p->items[i].plan &&
            iw_known_wheels_read(context, p->items[i].store, p->items[i].plan->profile,
                                 &p->known[i], &p->items[i].published, err) != 0)
            return -1;
    return 0;
}

static int add_item(iw_context *context, pushing *p, size_t i, const char *what, iw_error *err)
{
    if (!iw_ends_with(what, IW_BUNDLE_SUFFIX)) return add_stack(context, p, i, what, err);
    if (!iw_exists(what)) return iw_fail(err, IW_E_NOT_FOUND, "there is no file %s", what);
    p->paths[i] = iw_strdup(what);
    p->items[i] = (iw_push_item){.bundle = p->paths[i]};
    return 0;
}

static int gather(iw_context *context, pushing *p, iw_error *err)
{
    const iw_arguments *a = context->arguments;
    size_t most = a->operand_count;
    p->items = iw_alloc(most * sizeof *p->items);
    p->sessions = iw_alloc(most * sizeof *p->sessions);
    p->known = iw_alloc(most * sizeof *p->known);
    p->paths = iw_alloc(most * sizeof *p->paths);
    p->keys = iw_alloc(most * sizeof *p->keys);
    for (; p->count + 1 < most; p->count++)
        if (add_item(context, p, p->count, a->operands[p->count], err) != 0) {
            p->count++;
            return -1;
        }
    return 0;
}

/* --- sources -------------------------------------------------------------- */

typedef struct sending {
    iw_remote *remote;
    uint64_t sent;
} sending;

static int send_file(void *context, const char *relative, const char *full,
                     const struct stat *status, iw_error *err)
{
    sending *s = context;
    bool found = false;
    uint64_t size;
    if (!S_ISREG(status->st_mode)) return 0;
    iw_cleanup_free char *path = iw_path_join("sources", relative);
    if (iw_remote_stat(s->remote, path, &found, &size, err) != 0) return -1;
    if (found && size == (uint64_t)status->st_size && strcmp(relative, "index.json") != 0) return 0;
    s->sent += (uint64_t)status->st_size;
    return iw_remote_upload(s->remote, path, full, (uint64_t)status->st_size, err);
}

/* A mirror folder as `fetch --export` makes it: the recipes pin every file, so it needs no
 * signature. */
static int push_sources(iw_context *context, iw_session *session, iw_remote *remote,
                        const char *work, iw_error *err)
{
    iw_wanted *wanted = NULL;
    bool folder = iw_remote_is_folder(remote);
    iw_cleanup_free char *to = iw_path_join(folder ? iw_remote_where(remote) : work, "sources");
    size_t count = iw_session_wanted(session, true, true, &wanted);
    int status = iw_fetch_export(session->store, wanted, count, to, context->sink, err);
    free(wanted);
    sending s = {.remote = remote};
    return status == 0 && !folder ? iw_walk(to, send_file, &s, err) : status;
}

/* --- all of it ------------------------------------------------------------ */

/* What a rig that knows nothing yet has to be told, over a way that nobody listens in to. */
static void say_to_new_rigs(iw_context *context, const iw_trust *trust, const iw_remote *remote,
                            const iw_pushed *done)
{
    char root[IW_KEY_ID] = "";
    iw_keys *keys = NULL;
    if (context->json || context->quiet || iw_own_keys(trust, &keys, NULL) != 0) return;
    iw_key_id(&keys->recovery[0], root);
    iw_keys_free(keys);
    iw_print(context, "a new rig says: ironwheel trust add %s --key %s --seen %s=%llu\n",
             iw_remote_where(remote), root, done->key, (unsigned long long)done->version);
}

/* The wheels of what is left out are in the store that built it. */
static int find_store(iw_context *context, iw_push_options *options, iw_error *err)
{
    options->without = iw_text_option(context->arguments, "without");
    return options->without ? iw_context_store(context, &options->store, err) : 0;
}

static iw_push_options options_of(iw_context *context, const char *passphrase, const char *work)
{
    const iw_arguments *a = context->arguments;
    return (iw_push_options){.passphrase = passphrase,
                             .work = work,
                             .verify = iw_flag(a, "verify"),
                             .redistribute = iw_flag(a, "redistribute"),
                             .renew = iw_flag(a, "renew"),
                             .no_deltas = iw_flag(a, "no-deltas"),
                             .prune = iw_number_option(a, "prune", 0),
                             .expires = iw_number_option(a, "expires", IW_PUSH_EXPIRES),
                             .sink = context->sink};
}

/* pip and `--import` want plain files by their names. */
static int check_kinds(const iw_context *context, const iw_remote *remote, iw_error *err)
{
    const iw_arguments *a = context->arguments;
    bool files = iw_flag(a, "wheels") || iw_flag(a, "sources");
    if (!files || !iw_remote_is_registry(remote)) return 0;
    return iw_fail(err, IW_E_USAGE,
                   "%s is a registry, which can't hold the files of --%s: push them to a folder, "
                   "a web server or over ssh",
                   iw_remote_where(remote), iw_flag(a, "wheels") ? "wheels" : "sources");
}

static int push(iw_context *context, iw_trust *trust, iw_remote *remote, pushing *p,
                const char *work, iw_error *err)
{
    iw_cleanup_free char *key = iw_trust_path(trust, "working.key");
    char *passphrase = NULL;
    iw_pushed done;
    if (iw_exists(key) && iw_ask_passphrase(context, key, &passphrase, err) != 0) return -1;
    iw_push_options options = options_of(context, passphrase, work);
    int status = find_store(context, &options, err);
    if (status == 0) status = iw_push(trust, remote, p->items, p->count, &options, &done, err);
    iw_forget(&passphrase);
    for (size_t i = 0; status == 0 && i < p->count && iw_flag(context->arguments, "sources"); i++)
        if (p->sessions[i].plan) status = push_sources(context, &p->sessions[i], remote, work, err);
    if (status == 0) {
        iw_say_pushed(context, remote, &done);
        say_to_new_rigs(context, trust, remote, &done);
    }
    return status;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    iw_remote *remote = NULL;
    pushing p = {.count = 0};
    iw_scratch work = {.path = NULL};
    const char *to = arguments->operands[arguments->operand_count - 1];
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = gather(context, &p, err);
    if (status == 0) {
        iw_context_show(context);
        status = iw_context_watch_signals(context, err);
    }
    if (status == 0) status = add_known(context, &p, err);
    if (status == 0) status = iw_context_remote(context, trust, to, &remote, err);
    if (status == 0) status = check_kinds(context, remote, err);
    if (status == 0) status = iw_scratch_open(IW_PUSH_SCRATCH, &work, err);
    if (status == 0) status = push(context, trust, remote, &p, work.path, err);
    iw_scratch_close(&work);
    iw_remote_close(remote);
    pushing_clear(&p);
    iw_trust_close(trust);
    return status;
}

static const iw_option options[] = {
    {"artifacts", 0, IW_OPTION_FLAG, NULL,
     "Also every package of the stacks, so that other rigs' builds take them", NULL},
    {"wheels", 0, IW_OPTION_FLAG, NULL,
     "Also wheels of the stacks' Python packages, for pip and uv (`--index-url PLACE/simple/k10`, "
     "or "
     "`-r PLACE/pylock.STACK-k10.toml`)",
     NULL},
    {"with-upstream", 0, IW_OPTION_FLAG, NULL,
     "With --wheels: the index also lists the published wheels that `triage` saw working on that "
     "CPU, for projects that have none of ours: what isn't listed, pip can't bring from there",
     NULL},
    {"sources", 0, IW_OPTION_FLAG, NULL,
     "Also what the stacks are built from, toolchain included (for `build --import PLACE/sources`)",
     NULL},
    {"prune", 0, IW_OPTION_NUMBER, "KEEP",
     "Of each stack and profile keep the KEEP newest bundles; what nobody names goes after a week",
     NULL},
    {"expires", 0, IW_OPTION_NUMBER, "DAYS",
     "How long the channel is good without another push (default: 90; 0: for ever)", NULL},
    {"renew", 0, IW_OPTION_FLAG, NULL, "Sign the channel anew though nothing changed", NULL},
    {"verify", 0, IW_OPTION_FLAG, NULL,
     "Read everything back whole (default: sizes, and the first and last MiB)", NULL},
    {"redistribute", 0, IW_OPTION_FLAG, NULL,
     "Also what isn't free to be handed on, to a place that isn't a folder", NULL},
    {"without", 0, IW_OPTION_TEXT, "NAME",
     "Leave the files of NAME (`nvidia`: every package nvidia-…) out of what isn't free to be "
     "handed on; `pull` fetches its wheels from the package index, by digest",
     NULL},
    {"no-deltas", 0, IW_OPTION_FLAG, NULL, "Make no deltas from earlier bundles", NULL},
    {"output", 'o', IW_OPTION_TEXT, "DIR", "Where the bundles of stacks are (default: dist/)",
     "folder"},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_push = {
    .name = "push",
    .operands = "[STACK|BUNDLE…] PLACE",
    .least = 1,
    .most = 64,
    .complete = "stack",
    .summary = "Put bundles, and what they were built of, where other rigs find them",
    .description =
        "PLACE is a folder (a NAS, a stick), https:// with PUT, ssh://[user@]host/folder, "
        "oci://registry/name, or a remote's name. It gets an OCI image layout with names for "
        "people beside the blobs, and a "
        "channel signed by this rig's working key, last: whoever reads meanwhile sees all of the "
        "old state or all of the new. What is there already isn't sent again.",
    .examples =
        "ironwheel push base /mnt/nas/ironwheel --artifacts\tbundle and packages\n"
        "ironwheel push base /srv/www/ironwheel --wheels\tfor rigs that keep their own Python\n"
        "ironwheel push base oci://registry.example/anna/ironwheel\tlogged in with skopeo or "
        "docker\n"
        "ironwheel push ssh://rig/srv/ironwheel --renew\tnothing new, but good for 90 days more\n",
    .options = options,
    .run = run,
};
