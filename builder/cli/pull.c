/* `ironwheel pull NAME [PLACE]`. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/sharing.h"
#include "deliver/assemble.h"
#include "share/cache.h"
#include "share/pull.h"

static void say_json(iw_context *context, const iw_pulled *p, unsigned requests)
{
    iw_print_json(context,
                  json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s*,s:i}", "type", "pulled",
                            "bundle", p->bundle, "folder", p->folder, "key", p->key, "way",
                            iw_pull_way_name(p->way), "bytes", (json_int_t)p->bytes, "whole",
                            (json_int_t)p->whole, "added", (json_int_t)p->added_count,
                            "added_files", (json_int_t)p->added_files, "added_list", p->added,
                            "requests", (int)requests));
}

static void say_added(iw_context *context, const iw_pulled *p)
{
    if (!p->added) return;
    iw_print(context,
             "  %zu distributions and %zu files were added to the old folder: %s lists them%s\n",
             p->added_count, p->added_files, p->added,
             !p->added_count                        ? ""
             : iw_flag(context->arguments, "carry") ? "; the distributions were installed again"
                                                    : "; --carry would have installed them again");
}

static void say(iw_context *context, const iw_install *install, const iw_pulled *p, double seconds)
{
    iw_cleanup_free char *bytes = iw_format_bytes(p->bytes), *time = iw_format_seconds(seconds);
    if (context->quiet) return;
    if (iw_flag(context->arguments, "plan")) {
        iw_print(context, "%s: %s to bring (%s)\n", p->bundle, bytes, iw_pull_way_name(p->way));
        return;
    }
    if (p->way == IW_PULL_NOTHING)
        iw_print(context, "%s: nothing to do, %s is in use\n", install->link, p->bundle);
    else
        iw_print(context, "%s -> %s  (%s, %s in %s)\n  . %s/bin/activate\n", install->link,
                 p->folder, iw_pull_way_name(p->way), bytes, time, install->link);
    say_added(context, p);
}

/* From where: said, else where it came from last, else the only remote that there is. */
static int find_place(iw_context *context, const iw_trust *trust, const iw_install *install,
                      char **place, iw_error *err)
{
    const iw_arguments *a = context->arguments;
    const char *before = iw_install_fact(install, "from");
    iw_cleanup_strings iw_strings names = {0}, addresses = {0};
    *place = NULL;
    if (a->operand_count > 1) *place = iw_strdup(a->operands[1]);
    else if (before) *place = iw_strdup(before);
    else if (iw_remotes_read(trust, &names, &addresses, err) != 0) return -1;
    else if (names.count == 1) *place = iw_strdup(addresses.items[0]);
    return *place
               ? 0
               : iw_fail(err, IW_E_USAGE, "from where? `ironwheel pull %s PLACE`", a->operands[0]);
}

/* --- of single packages --------------------------------------------------- */

/* Where this rig has a tree: opened once the bundle is known, and not the one in use. */
typedef struct parts {
    iw_context *context;
    iw_session session;
    iw_cache *cache;
    const char *place;
} parts;

static int open_parts(parts *p, const char *stack, iw_error *err)
{
    iw_context *context = p->context;
    iw_cache_options options = {
        .sink = context->sink, .cancel = context->cancel, .place = p->place, .place_only = true};
    if (iw_context_session(context, stack, &p->session, err) != 0) return -1;
    options.store = p->session.store;
    if (iw_cache_open(&options, &p->cache, err) != 0) return -1;
    p->session.options.sink = context->sink;
    p->session.options.cancel = context->cancel;
    p->session.options.cache = p->cache;
    p->session.options.offered = iw_cache_offers;
    return 0;
}

static uint64_t parts_cost(void *context, const iw_offer *offer)
{
    parts *p = context;
    iw_error ignored = IW_ERROR_INIT;
    bool open = open_parts(p, offer->stack, &ignored) == 0;
    iw_error_clear(&ignored);
    return open ? iw_session_parts_cost(&p->session, offer->bundle_key) : UINT64_MAX;
}

static int make_of_parts(void *context, const char *manifest, const char *folder, char **file,
                         char tar[IW_SHA256_HEX], iw_error *err)
{
    parts *p = context;
    return iw_session_assemble(&p->session, manifest, folder, file, tar, err);
}

static void close_parts(parts *p)
{
    iw_session_close(&p->session);
    iw_cache_close(p->cache);
}

static int open_store(void *context, iw_store **out, iw_error *err)
{
    return iw_context_store_alone(context, out, err);
}

static int bring(iw_context *context, iw_trust *trust, iw_install *install, iw_error *err)
{
    const iw_arguments *a = context->arguments;
    iw_cleanup_free char *place = NULL;
    iw_remote *remote = NULL;
    iw_pulled pulled = {.folder = NULL};
    double began = iw_now();
    if (find_place(context, trust, install, &place, err) != 0) return -1;
    iw_context_show(context);
    if (iw_context_watch_signals(context, err) != 0 ||
        iw_context_remote(context, trust, place, &remote, err) != 0)
        return -1;
    parts of = {.context = context, .place = place};
    iw_pull_parts how = {.cost = parts_cost, .make = make_of_parts, .context = &of};
    iw_pull_options options = {.stale_ok = iw_flag(a, "stale-ok"),
                               .carry = iw_flag(a, "carry"),
                               .no_delta = iw_flag(a, "no-delta"),
                               .plan = iw_flag(a, "plan"),
                               .parts = iw_flag(a, "no-delta") ? NULL : &how,
                               .store = open_store,
                               .context = context,
                               .sink = context->sink,
                               .cancel = context->cancel};
    int status = iw_pull(trust, remote, install, &options, &pulled, err);
    if (status == 0 && context->json) say_json(context, &pulled, iw_remote_requests(remote));
    else if (status == 0) say(context, install, &pulled, iw_now() - began);
    iw_pulled_clear(&pulled);
    close_parts(&of);
    iw_remote_close(remote);
    return status;
}

static int go_back(iw_context *context, iw_install *install, iw_error *err)
{
    if (iw_install_back(install, err) != 0) return -1;
    if (context->json)
        iw_print_json(context, json_pack("{s:s,s:s,s:s}", "type", "pulled", "way", "rollback",
                                         "folder", install->current));
    else if (!context->quiet) iw_print(context, "%s -> %s\n", install->link, install->current);
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    const char *given = iw_text_option(arguments, "into");
    iw_trust *trust = NULL;
    iw_install install;
    size_t gone = 0;
    int status = iw_install_open(given ? given : ".", arguments->operands[0], &install, err);
    if (status == 0 && iw_flag(arguments, "rollback")) status = go_back(context, &install, err);
    else if (status == 0) {
        status = iw_trust_open(&trust, err);
        if (status == 0) status = bring(context, trust, &install, err);
    }
    if (status == 0 && iw_flag(arguments, "prune")) status = iw_install_prune(&install, &gone, err);
    iw_install_clear(&install);
    iw_trust_close(trust);
    return status;
}

static const iw_option options[] = {
    {"into", 'C', IW_OPTION_TEXT, "DIR", "Where to install (default: this folder)", "folder"},
    {"plan", 0, IW_OPTION_FLAG, NULL, "Only say what would come", NULL},
    {"rollback", 0, IW_OPTION_FLAG, NULL, "Go back to the folder that was in use before", NULL},
    {"carry", 0, IW_OPTION_FLAG, NULL,
     "Install what you had added with pip again, before the switch; a clash leaves the old one",
     NULL},
    {"stale-ok", 0, IW_OPTION_FLAG, NULL, "Also from a channel that has expired", NULL},
    {"no-delta", 0, IW_OPTION_FLAG, NULL, "Bring the whole", NULL},
    {"prune", 0, IW_OPTION_FLAG, NULL,
     "Then remove all older folders but the one in use and the one before", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_pull = {
    .name = "pull",
    .operands = "NAME [PLACE]",
    .least = 1,
    .most = 2,
    .complete = "stack",
    .summary = "Bring a bundle from where somebody pushed it, and switch to it",
    .description =
        "NAME is a stack, whose newest bundle is meant, or a bundle's full name; PLACE a folder, "
        "https://…, ssh://…, oci://registry/name or a remote's name (default: where it came from "
        "before). Signature and "
        "size are checked first, then bytes, and only then is anything unpacked. Where a delta "
        "from "
        "the bundle in use is smaller, that is brought; on a rig that has the recipes, the "
        "packages "
        "that its store lacks, if these are fewer bytes. DIR/NAME is a link, moved in one step to "
        "DIR/NAME-DIGEST; the folder before stays for --rollback. What you had installed into it "
        "is "
        "listed in added.txt.",
    .examples = "ironwheel pull tts-cuda https://rig.example/ironwheel -C /opt\tthen: . "
                "/opt/tts-cuda/bin/activate\n"
                "ironwheel pull tts-cuda -C /opt --carry\tan update, with what pip had added\n"
                "ironwheel pull tts-cuda -C /opt --rollback\tback to the one before\n",
    .options = options,
    .run = run,
};
