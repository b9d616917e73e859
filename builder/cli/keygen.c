/* `ironwheel keygen`. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/sharing.h"

typedef struct pair {
    iw_secret_key working, recovery;
    char *working_path, *recovery_path, *passphrase;
} pair;

static void pair_clear(pair *p)
{
    iw_secret_key_clear(&p->working);
    iw_secret_key_clear(&p->recovery);
    iw_forget(&p->passphrase);
    free(p->working_path);
    free(p->recovery_path);
}

/* Looked for before anything is written: half a pair would be in the way of the next try. */
static int refuse_existing(const pair *p, const iw_trust *trust, iw_error *err)
{
    iw_cleanup_free char *keys = iw_trust_path(trust, "keys.json");
    const char *const paths[] = {p->working_path, p->recovery_path, keys};
    for (size_t i = 0; i < 3; i++)
        if (paths[i] && iw_exists(paths[i]))
            return iw_fail(err, IW_E_ENVIRONMENT,
                           "%s is there already, and a key is never written over; move it away, or "
                           "let IRONWHEEL_CONFIG name another folder",
                           paths[i]);
    return 0;
}

static int write_working(const pair *p, const iw_trust *trust, const char *passphrase,
                         iw_error *err)
{
    iw_cleanup_free char *open = iw_trust_path(trust, "working.pub");
    return iw_make_folders(trust->folder, 0700, err) == 0 &&
                   iw_key_write_secret(&p->working, p->working_path, passphrase, err) == 0 &&
                   iw_key_write_public(&p->working.open, open, err) == 0
               ? 0
               : -1;
}

static int write_both(const pair *p, iw_trust *trust, const char *owner, bool lock_working,
                      iw_error *err)
{
    iw_keys *keys = iw_keys_new(owner);
    iw_keys_add(keys, &p->recovery.open, true);
    iw_keys_add(keys, &p->working.open, false);
    iw_cleanup_free char *open = iw_format("%s.pub", p->recovery_path);
    int status = iw_key_write_secret(&p->recovery, p->recovery_path, p->passphrase, err);
    if (status == 0) status = iw_key_write_public(&p->recovery.open, open, err);
    if (status == 0) status = write_working(p, trust, lock_working ? p->passphrase : NULL, err);
    if (status == 0) status = iw_own_keys_sign(trust, keys, &p->recovery, err);
    iw_keys_free(keys);
    return status;
}

static void say(iw_context *context, const pair *p, bool alone)
{
    iw_cleanup_free char *working = iw_key_told(&p->working.open),
                         *recovery = iw_key_told(&p->recovery.open);
    char line[IW_KEY_LINE], id[IW_KEY_ID], root[IW_KEY_ID];
    iw_key_line(&p->working.open, line);
    iw_key_id(&p->working.open, id);
    iw_key_id(&p->recovery.open, root);
    if (context->json) {
        iw_print_json(context, json_pack("{s:s,s:s,s:s*}", "working", id, "line", line, "recovery",
                                         alone ? NULL : root));
        return;
    }
    if (context->quiet) return;
    iw_print(context, "working key   %s\n  %s\n", working, p->working_path);
    if (alone)
        iw_print(context,
                 "On the rig that has your recovery key, let your others trust it:\n"
                 "  ironwheel trust add %s --recovery FILE\nand push once from there.\n",
                 line);
    else
        iw_print(
            context,
            "recovery key  %s\n  %s\nKeep the recovery key elsewhere (a stick in a drawer): it "
            "alone can replace a working key that was lost or stolen.\nOthers know you by its "
            "id: read them the words.\n",
            recovery, p->recovery_path);
}

static int make(iw_context *context, const iw_arguments *arguments, iw_trust *trust, pair *p,
                iw_error *err)
{
    bool alone = iw_flag(arguments, "working-only"), locked = iw_flag(arguments, "passphrase");
    const char *owner = iw_text_option(arguments, "name"),
               *file = iw_text_option(arguments, "recovery");
    p->working_path = iw_trust_path(trust, "working.key");
    if (!alone) p->recovery_path = iw_strdup(file ? file : "ironwheel-recovery.key");
    if (refuse_existing(p, trust, err) != 0 ||
        (locked && iw_ask_new_passphrase(context, "keys", &p->passphrase, err) != 0) ||
        iw_key_make(&p->working, err) != 0)
        return -1;
    if (!alone)
        return iw_key_make(&p->recovery, err) == 0
                   ? write_both(p, trust, owner ? owner : "", locked, err)
                   : -1;
    return write_working(p, trust, p->passphrase, err) == 0
               ? iw_trust_add_key(trust, &p->working.open, "own", err)
               : -1;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    pair p = {.working_path = NULL};
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = make(context, arguments, trust, &p, err);
    if (status == 0) say(context, &p, iw_flag(arguments, "working-only"));
    pair_clear(&p);
    iw_trust_close(trust);
    return status;
}

static const iw_option options[] = {
    {"recovery", 0, IW_OPTION_TEXT, "FILE",
     "Write the recovery key to FILE (default: ironwheel-recovery.key)", "file"},
    {"name", 0, IW_OPTION_TEXT, "TEXT", "Whose keys these are, as others will see it", NULL},
    {"passphrase", 0, IW_OPTION_FLAG, NULL,
     "Encrypt both with a passphrase (asked for, or IRONWHEEL_PASSPHRASE)", NULL},
    {"working-only", 0, IW_OPTION_FLAG, NULL,
     "Only a working key, for one more rig of somebody who has a recovery key", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_keygen = {
    .name = "keygen",
    .operands = "",
    .least = 0,
    .most = 0,
    .summary = "Make the keys that sign what you share",
    .description =
        "A working key, which stays on this rig and signs what `push` puts up, and a recovery key, "
        "which signs the list of your keys and is to be kept elsewhere. Both are in minisign's "
        "format. Nothing that is there is written over.",
    .examples =
        "ironwheel keygen --name \"Anna's rigs\" --recovery /media/stick/recovery.key\tonce\n"
        "ironwheel keygen --working-only\ton a second rig that pushes, too\n",
    .options = options,
    .run = run,
};
