/* `ironwheel trust add|list|remove|revoke`. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/sharing.h"
#include "share/seen.h"

/* --- whose keys ----------------------------------------------------------- */

static bool fits(const char *wanted, const iw_public_key *key)
{
    char id[IW_KEY_ID], line[IW_KEY_LINE];
    iw_key_id(key, id);
    iw_key_line(key, line);
    return strcasecmp(wanted, id) == 0 || strcmp(wanted, line) == 0;
}

/* What is to be believed from now on must be said by somebody: the user, now, or --key. */
static int approve(iw_context *context, const char *what, const iw_public_key *key,
                   const char *from, bool *yes, iw_error *err)
{
    const char *wanted = iw_text_option(context->arguments, "key");
    iw_cleanup_free char *told = iw_key_told(key);
    *yes = wanted && fits(wanted, key);
    if (wanted && !*yes)
        return iw_fail(err, IW_E_DIGEST,
                       "%s is signed by key %s, not by %s; nothing is trusted that wasn't before",
                       from, told, wanted);
    if (wanted) return 0;
    iw_cleanup_free char *question =
        iw_format("%s\n  key %s\nDoes its owner say the same words? Trust it?", what, told);
    iw_cleanup_free char *instead =
        iw_format("%s shows key %s; without a terminal, --key ID says that this is the right one",
                  from, told);
    return iw_confirm(context, question, instead, yes, err);
}

static int add_single(iw_context *context, iw_trust *trust, const iw_public_key *key,
                      const char *from, iw_error *err)
{
    bool yes = false;
    if (approve(context, "A single working key", key, from, &yes, err) != 0) return -1;
    if (!yes) return iw_fail(err, IW_E_CANCELLED, "nothing was changed");
    return iw_trust_add_key(trust, key, from, err);
}

/* "KEYID=VERSION": a channel's version that is known from elsewhere. */
static int note_seen(iw_context *context, const iw_trust *trust, const char *where, iw_error *err)
{
    const char *given = iw_text_option(context->arguments, "seen"),
               *sign = given ? strchr(given, '=') : NULL;
    iw_stamp stamp = {.kind = "channel", .sha256 = ""};
    if (!given) return 0;
    if (!sign || sign - given != IW_KEY_ID - 1 ||
        !iw_parse_unsigned(sign + 1, IW_CANON_NUMBER, &stamp.version))
        return iw_fail(err, IW_E_USAGE, "--seen wants KEYID=VERSION, not \"%s\"", given);
    iw_cleanup_free char *id = iw_strndup(given, (size_t)(sign - given));
    return iw_seen_least(trust, id, where, &stamp, err);
}

static int add_owner(iw_context *context, iw_trust *trust, const iw_keys *keys, const char *signer,
                     const char *text, const char *signature, const char *from, iw_error *err)
{
    bool yes = false;
    const iw_public_key *root = iw_keys_recovery(keys, signer);
    iw_cleanup_free char *what =
        iw_format("Keys of \"%.100s\", version %llu: %zu working, %zu recovery, %zu revoked",
                  *keys->owner ? keys->owner : "nobody named", (unsigned long long)keys->version,
                  keys->working_count, keys->recovery_count, keys->revoked_count);
    if (approve(context, what, root, from, &yes, err) != 0) return -1;
    if (!yes) return iw_fail(err, IW_E_CANCELLED, "nothing was changed");
    return iw_trust_add_keys(trust, signer, text, signature, from, err) == 0
               ? note_seen(context, trust, from, err)
               : -1;
}

static int add_from_remote(iw_context *context, iw_trust *trust, const char *name, iw_error *err)
{
    iw_remote *remote = NULL;
    iw_keys *keys = NULL;
    iw_cleanup_free char *text = NULL, *signature = NULL;
    char signer[IW_KEY_ID];
    size_t length;
    int status = iw_context_remote(context, trust, name, &remote, err);
    if (status == 0) status = iw_keys_fetch(remote, &keys, signer, &text, &length, &signature, err);
    if (status == 0)
        status =
            add_owner(context, trust, keys, signer, text, signature, iw_remote_where(remote), err);
    iw_keys_free(keys);
    iw_remote_close(remote);
    return status;
}

/* A key's file, or its line. *found false where the text is neither. */
static int read_key(const char *whom, iw_public_key *key, bool *found, iw_error *err)
{
    iw_cleanup_free char *text = NULL;
    *found = true;
    if (iw_starts_with(whom, "RW") && strlen(whom) == IW_KEY_LINE - 1)
        return iw_key_parse(whom, "this", key, err);
    *found = iw_ends_with(whom, ".pub");
    if (!*found) return 0;
    return iw_read_file(whom, 4096, &text, NULL, err) == 0 ? iw_key_parse(text, whom, key, err)
                                                           : -1;
}

/* --- the own key file ----------------------------------------------------- */

static int open_own(iw_context *context, const iw_trust *trust, iw_keys **keys,
                    iw_secret_key *recovery, iw_error *err)
{
    const char *path = iw_text_option(context->arguments, "recovery");
    char *passphrase = NULL;
    if (iw_own_keys(trust, keys, err) != 0)
        return iw_wrap(err, "there is no key file of your own here (`ironwheel keygen`)");
    int status = iw_ask_passphrase(context, path, &passphrase, err);
    if (status == 0) status = iw_key_read_secret(path, passphrase, recovery, err);
    iw_forget(&passphrase);
    return status;
}

static void say_publish(iw_context *context, const iw_keys *keys)
{
    if (!context->quiet && !context->json)
        iw_print(context,
                 "your key file is version %llu now; the next `ironwheel push` puts it up\n",
                 (unsigned long long)keys->version);
}

static int admit_own(iw_context *context, iw_trust *trust, const iw_public_key *key, iw_error *err)
{
    iw_keys *keys = NULL;
    iw_secret_key recovery = {.bytes = {0}};
    int status = open_own(context, trust, &keys, &recovery, err);
    if (status == 0) {
        iw_keys_add(keys, key, iw_flag(context->arguments, "as-recovery"));
        status = iw_own_keys_sign(trust, keys, &recovery, err);
    }
    if (status == 0) say_publish(context, keys);
    iw_secret_key_clear(&recovery);
    iw_keys_free(keys);
    return status;
}

static int run_add(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    iw_public_key key;
    bool single = false;
    const char *whom = arguments->operands[0];
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = read_key(whom, &key, &single, err);
    if (status == 0 && iw_text_option(arguments, "recovery"))
        status =
            single ? admit_own(context, trust, &key, err)
                   : iw_fail(err, IW_E_USAGE, "--recovery admits a key: its line, or a .pub file");
    else if (status == 0)
        status = single ? add_single(context, trust, &key, whom, err)
                        : add_from_remote(context, trust, whom, err);
    if (status == 0 && !context->quiet && !context->json && !iw_text_option(arguments, "recovery"))
        iw_print(context, "trusted from now on: %s\n", whom);
    iw_trust_close(trust);
    return status;
}

static const iw_option add_options[] = {
    {"key", 0, IW_OPTION_TEXT, "ID", "Whose key it must be, instead of asking", NULL},
    {"seen", 0, IW_OPTION_TEXT, "KEYID=VERSION",
     "A version that its channel has reached: older ones are refused from the start (push prints "
     "it)",
     NULL},
    {"recovery", 0, IW_OPTION_TEXT, "FILE",
     "Instead: add the key to your own key file, signed by the recovery key in FILE", "file"},
    {"as-recovery", 0, IW_OPTION_FLAG, NULL, "With --recovery: as one more recovery key", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_trust_add = {
    .name = "trust add",
    .operands = "WHOM",
    .least = 1,
    .most = 1,
    .complete = "file",
    .summary = "Trust what somebody's keys sign",
    .description =
        "WHOM is a place (folder, https://…, ssh://…, a remote's name) whose owner's keys are "
        "shown "
        "and asked about, or a single key: a .pub file or its line. Nothing is trusted because it "
        "was met first.",
    .examples = "ironwheel trust add https://rig.example/ironwheel\tshows the key, and asks\n"
                "ironwheel trust add /mnt/nas/ironwheel --key 0123456789ABCDEF\tin a script\n",
    .options = add_options,
    .run = run_add,
};

/* --- list, remove, revoke ------------------------------------------------- */

static void list_key(iw_context *context, const iw_trusted *one, const iw_public_key *key,
                     const char *role)
{
    char id[IW_KEY_ID];
    iw_key_id(key, id);
    const iw_revoked *revoked = one->keys ? iw_keys_revoked(one->keys, id) : NULL;
    iw_cleanup_free char *told = iw_key_told(key);
    if (context->json)
        iw_print_json(context,
                      json_pack("{s:s,s:s,s:s,s:s,s:b}", "owner", one->id, "key", id, "role", role,
                                "from", one->from, "revoked", revoked != NULL));
    else
        iw_print(context, "  %-8s  %s%s%s\n", role, told, revoked ? "  revoked: " : "",
                 revoked ? revoked->why : "");
}

static int run_list(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    (void)arguments;
    iw_trust *trust = NULL;
    if (iw_trust_open(&trust, err) != 0) return -1;
    for (size_t i = 0; i < trust->count; i++) {
        const iw_trusted *one = &trust->items[i];
        if (!context->json)
            iw_print(context, "%s  from %s\n",
                     one->keys && *one->keys->owner ? one->keys->owner : one->id, one->from);
        if (!one->keys) list_key(context, one, &one->key, "working");
        for (size_t k = 0; one->keys && k < one->keys->recovery_count; k++)
            list_key(context, one, &one->keys->recovery[k], "recovery");
        for (size_t k = 0; one->keys && k < one->keys->working_count; k++)
            list_key(context, one, &one->keys->working[k], "working");
    }
    if (!trust->count && !context->json)
        iw_print(context, "no key is trusted here; `ironwheel trust add PLACE` adds one\n");
    iw_trust_close(trust);
    return 0;
}

const iw_command_spec iw_command_trust_list = {
    .name = "trust list",
    .operands = "",
    .summary = "List the keys that are trusted here",
    .description = "Owners with their recovery and working keys, single keys, and what is revoked.",
    .run = run_list,
};

static int run_remove(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = iw_trust_drop(trust, arguments->operands[0], err);
    if (status == 0 && !context->quiet && !context->json)
        iw_print(context, "no longer trusted: %s\n", arguments->operands[0]);
    iw_trust_close(trust);
    return status;
}

const iw_command_spec iw_command_trust_remove = {
    .name = "trust remove",
    .operands = "KEYID",
    .least = 1,
    .most = 1,
    .summary = "Stop trusting somebody's keys on this rig",
    .description =
        "Forgets the owner that the key belongs to, or the single key. What was seen of it "
        "is remembered: trusted again, it can't show anything older.",
    .run = run_remove,
};

static int revoke(iw_context *context, iw_trust *trust, iw_keys *keys, const char *id,
                  iw_error *err)
{
    const iw_arguments *arguments = context->arguments;
    const char *why = iw_text_option(arguments, "why");
    iw_secret_key recovery = {.bytes = {0}};
    iw_keys *own = NULL;
    (void)keys;
    int status = open_own(context, trust, &own, &recovery, err);
    if (status == 0 && !iw_keys_working(own, id))
        status = iw_fail(err, IW_E_NOT_FOUND, "your key file has no working key %s", id);
    if (status == 0) {
        iw_keys_revoke(own, id, iw_trust_now(trust, NULL), iw_number_option(arguments, "good", 0),
                       why ? why : "revoked");
        status = iw_own_keys_sign(trust, own, &recovery, err);
    }
    if (status == 0) say_publish(context, own);
    iw_secret_key_clear(&recovery);
    iw_keys_free(own);
    return status;
}

static int run_revoke(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    if (!iw_text_option(arguments, "recovery"))
        return iw_fail(err, IW_E_USAGE,
                       "--recovery FILE is wanted: only a recovery key can revoke a working key of "
                       "yours; `ironwheel trust remove %s` stops trusting somebody else's",
                       arguments->operands[0]);
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = revoke(context, trust, NULL, arguments->operands[0], err);
    iw_trust_close(trust);
    return status;
}

static const iw_option revoke_options[] = {
    {"recovery", 0, IW_OPTION_TEXT, "FILE", "The recovery key", "file"},
    {"why", 0, IW_OPTION_TEXT, "TEXT", "The reason, as others will see it", NULL},
    {"good", 0, IW_OPTION_NUMBER, "VERSION",
     "Its channels up to VERSION stay good (default: none does)", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_trust_revoke = {
    .name = "trust revoke",
    .operands = "KEYID",
    .least = 1,
    .most = 1,
    .summary = "Revoke a working key of your own that was lost or stolen",
    .description = "Writes a new version of your key file, signed by the recovery key. Who sees it "
                   "takes nothing more that the key signed, but channels up to --good.",
    .examples =
        "ironwheel trust revoke 0123456789ABCDEF --recovery /media/stick/recovery.key --why "
        "\"laptop stolen\" --good 41\tthen push once, from a rig with another key\n",
    .options = revoke_options,
    .run = run_revoke,
};
