/* `ironwheel withdraw WHAT PLACE`. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/sharing.h"
#include "share/canon.h"

#define WHY_LIMIT 1000 /* bytes */

static int check_why(const iw_arguments *a, const char **why, iw_error *err)
{
    bool undo = iw_flag(a, "undo");
    *why = iw_text_option(a, "why");
    if (undo && !*why) {
        *why = "";
        return 0;
    }
    if (undo || !*why || !**why)
        return iw_fail(err, IW_E_USAGE,
                       "say why: `ironwheel withdraw %s %s --why TEXT`; whoever pulls it is told",
                       a->operands[0], a->operands[1]);
    for (const char *c = *why; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || strlen(*why) > WHY_LIMIT)
            return iw_fail(err, IW_E_USAGE, "the reason is one line of at most %d bytes",
                           WHY_LIMIT);
    return 0;
}

static void say(iw_context *context, const iw_remote *remote, const iw_pushed *done)
{
    const char *what = context->arguments->operands[0];
    bool undo = iw_flag(context->arguments, "undo");
    if (context->json)
        iw_print_json(context, json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:b}", "type", "withdrawn",
                                         "what", what, "at", iw_remote_where(remote), "key",
                                         done->key, "version", (json_int_t)done->version, "entries",
                                         (json_int_t)done->withdrawn, "undone", undo));
    else if (!context->quiet)
        iw_print(context, "%s: %s is %s, channel %s version %llu\n", iw_remote_where(remote), what,
                 undo ? "offered again" : "withdrawn", done->key,
                 (unsigned long long)done->version);
}

static int withdraw(iw_context *context, iw_trust *trust, iw_remote *remote, const char *why,
                    iw_error *err)
{
    iw_cleanup_free char *key = iw_trust_path(trust, "working.key");
    char *passphrase = NULL;
    iw_pushed done;
    if (iw_exists(key) && iw_ask_passphrase(context, key, &passphrase, err) != 0) return -1;
    iw_push_options options = {.passphrase = passphrase,
                               .withdraw = context->arguments->operands[0],
                               .why = why,
                               .expires = IW_PUSH_EXPIRES,
                               .sink = context->sink};
    int status = iw_push(trust, remote, NULL, 0, &options, &done, err);
    iw_forget(&passphrase);
    if (status == 0) say(context, remote, &done);
    return status;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    iw_remote *remote = NULL;
    const char *why;
    int status = check_why(arguments, &why, err);
    if (status == 0) status = iw_trust_open(&trust, err);
    if (status == 0) {
        iw_context_show(context);
        status = iw_context_watch_signals(context, err);
    }
    if (status == 0)
        status = iw_context_remote(context, trust, arguments->operands[1], &remote, err);
    if (status == 0) status = withdraw(context, trust, remote, why, err);
    iw_remote_close(remote);
    iw_trust_close(trust);
    return status;
}

static const iw_option options[] = {
    {"why", 0, IW_OPTION_TEXT, "TEXT", "The reason, which whoever pulls it is told", NULL},
    {"undo", 0, IW_OPTION_FLAG, NULL, "Offer it again", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_withdraw = {
    .name = "withdraw",
    .operands = "WHAT PLACE",
    .least = 2,
    .most = 2,
    .summary = "Say of a bundle or package that you pushed that nobody should take it any more",
    .description =
        "WHAT is a bundle's full name, a package (numpy/1.26.4) or one artifact's build key, of "
        "this rig's own channel at PLACE. It stays there, and the channel, signed anew, says why "
        "nobody should take it: `pull` refuses it and names what is there instead, a build makes "
        "the package itself, pip passes over wheels of that bundle. `push --prune` removes things.",
    .examples = "ironwheel withdraw base-1-k10-glibc2.34-cp311 /mnt/nas/ironwheel --why 'its "
                "libsndfile has a hole'\tthe bundle\n"
                "ironwheel withdraw libsndfile/1.2.2 /mnt/nas/ironwheel --why 'has a hole'\tthe "
                "package\n",
    .options = options,
    .run = run,
};
