#include "cli/giving.h"

#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/scratch.h"
#include "pack/pack.h"
#include "share/push.h"

int iw_giving_open(iw_context *context, const char *place, iw_giving *giving, iw_error *err)
{
    iw_secret_key key = {{{0}, {0}}, {0}};
    *giving = (iw_giving){.trust = NULL};
    if (iw_trust_open(&giving->trust, err) != 0) return -1;
    iw_cleanup_free char *path = iw_trust_path(giving->trust, "working.key");
    if (!iw_exists(path)) return iw_own_key(giving->trust, NULL, &key, err);
    return iw_ask_passphrase(context, path, &giving->passphrase, err) == 0
               ? iw_context_remote(context, giving->trust, place, &giving->remote, err)
               : -1;
}

void iw_giving_close(iw_giving *giving)
{
    iw_forget(&giving->passphrase);
    iw_remote_close(giving->remote);
    iw_trust_close(giving->trust);
}

static int push(iw_context *context, iw_giving *giving, const iw_push_item *item, iw_pushed *done,
                iw_error *err)
{
    iw_scratch work;
    if (iw_scratch_open(IW_PUSH_SCRATCH, &work, err) != 0) return -1;
    iw_push_options options = {.passphrase = giving->passphrase,
                               .work = work.path,
                               .expires = IW_PUSH_EXPIRES,
                               .sink = context->sink};
    int status = iw_push(giving->trust, giving->remote, item, 1, &options, done, err);
    iw_scratch_close(&work);
    return status;
}

int iw_giving_push(iw_context *context, iw_giving *giving, const iw_session *session,
                   const iw_node *only, iw_error *err)
{
    iw_cleanup_free char *bundle = NULL, *sha256 = NULL,
                         *key = iw_format("%s.%s", session->plan->bundle_key, IW_BUNDLE_FORMAT);
    bool found = false;
    iw_pushed done;
    if (!only && iw_session_find_ready(session, &bundle, &sha256, &found, err) != 0) return -1;
    iw_push_item item = {.bundle = found ? bundle : NULL,
                         .bundle_key = key,
                         .store = session->store,
                         .plan = session->plan,
                         .only = only,
                         .artifacts = true};
    iw_remote_listen(giving->remote, context->sink, context->cancel);
    if (push(context, giving, &item, &done, err) != 0)
        return iw_wrap(err, "what was built is in the store, but wasn't given to %s",
                       iw_remote_where(giving->remote));
    iw_say_pushed(context, giving->remote, &done);
    return 0;
}
