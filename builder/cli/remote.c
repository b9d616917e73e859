/* `ironwheel remote add|list|remove|test`. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/sharing.h"

static int run_add(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    iw_remote *remote = NULL;
    int status = iw_trust_open(&trust, err);
    if (status == 0)
        status = iw_remote_open(arguments->operands[1], &(iw_remote_options){.cancel = -1}, &remote,
                                err);
    /* A folder's name is made absolute; an address keeps its password. */
    if (status == 0)
        status = iw_remotes_put(trust, arguments->operands[0],
                                iw_remote_is_folder(remote) ? iw_remote_where(remote)
                                                            : arguments->operands[1],
                                err);
    if (status == 0 && !context->quiet && !context->json)
        iw_print(context, "%s: %s; `build` and `plan` ask there from now on (--no-remote: not)\n",
                 arguments->operands[0], iw_remote_where(remote));
    iw_remote_close(remote);
    iw_trust_close(trust);
    return status;
}

const iw_command_spec iw_command_remote_add = {
    .name = "remote add",
    .operands = "NAME PLACE",
    .least = 2,
    .most = 2,
    .summary = "Name a place that builds take finished packages from",
    .description =
        "PLACE is a folder, https://…, ssh://… or oci://registry/name. Only what keys "
        "trusted here have signed "
        "is taken from it (`ironwheel trust add NAME`), and only what passes this rig's "
        "own audit. Names and passwords for registries are those of skopeo, podman and docker, or "
        "IRONWHEEL_REGISTRY (its host), IRONWHEEL_REGISTRY_USER and IRONWHEEL_REGISTRY_PASSWORD.",
    .examples =
        "ironwheel remote add nas /mnt/nas/ironwheel\tthen `ironwheel build` takes from there\n",
    .run = run_add,
};

static int run_list(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    (void)arguments;
    iw_trust *trust = NULL;
    iw_cleanup_strings iw_strings names = {0}, addresses = {0};
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = iw_remotes_read(trust, &names, &addresses, err);
    for (size_t i = 0; status == 0 && i < names.count; i++) {
        iw_remote *remote = NULL;
        bool fine = iw_remote_open(addresses.items[i], &(iw_remote_options){.cancel = -1}, &remote,
                                   NULL) == 0;
        const char *shown = fine ? iw_remote_where(remote) : "?";
        if (context->json)
            iw_print_json(context, json_pack("{s:s,s:s}", "name", names.items[i], "place", shown));
        else iw_print(context, "%-12s  %s\n", names.items[i], shown);
        iw_remote_close(remote);
    }
    iw_trust_close(trust);
    return status;
}

const iw_command_spec iw_command_remote_list = {
    .name = "remote list",
    .operands = "",
    .summary = "List the places that builds ask",
    .description = "Names and addresses, as `remote add` took them.",
    .run = run_list,
};

static int run_remove(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    (void)context;
    iw_trust *trust = NULL;
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = iw_remotes_put(trust, arguments->operands[0], NULL, err);
    iw_trust_close(trust);
    return status;
}

const iw_command_spec iw_command_remote_remove = {
    .name = "remote remove",
    .operands = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Forget a place",
    .description = "Builds don't ask there any more; the trust in its keys stays.",
    .run = run_remove,
};

/* --- test ----------------------------------------------------------------- */

static void tell(iw_context *context, const char *what, bool fine, const char *text)
{
    if (context->json)
        iw_print_json(context, json_pack("{s:s,s:b,s:s}", "check", what, "ok", fine, "text", text));
    else iw_print(context, "%-8s  %-5s  %s\n", what, fine ? "ok" : "NOT", text);
}

static void tell_channels(iw_context *context, const iw_reading *readings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const iw_channel *c = readings[i].channel;
        iw_cleanup_free char *text =
            iw_format("key %s, version %llu: %zu bundles, %zu artifacts, %zu deltas",
                      readings[i].id, (unsigned long long)c->version, c->bundle_count,
                      c->artifact_count, c->delta_count);
        tell(context, "channel", !readings[i].expired, readings[i].note ? readings[i].note : text);
    }
}

/* One byte from the middle of the first blob that a channel names. */
static void test_ranges(iw_context *context, iw_remote *remote, const iw_reading *readings,
                        size_t count)
{
    const iw_blob *blob = NULL;
    for (size_t i = 0; !blob && i < count; i++)
        if (readings[i].channel->bundle_count) blob = &readings[i].channel->bundles[0].file;
    if (!blob) return;
    iw_cleanup_free char *path = iw_blob_path(blob->sha256), *part = NULL;
    size_t got = 0;
    bool found = false;
    uint64_t size = 0;
    iw_error err = IW_ERROR_INIT;
    bool sized =
        iw_remote_stat(remote, path, &found, &size, &err) == 0 && found && size == blob->size;
    tell(context, "sizes", sized,
         sized ? "it tells how long files are"
               : "it doesn't tell how long files are, or lies about it");
    iw_error_clear(&err);
    bool ranges =
        iw_remote_read_part(remote, path, blob->size / 2, 1, &part, &got, &err) == 0 && got == 1;
    tell(context, "ranges", ranges,
         ranges ? "what breaks off is continued"
                : "it knows no ranges: what breaks off starts again");
    iw_error_clear(&err);
}

/* As a blob: every kind of place has those. */
static void test_write(iw_context *context, iw_remote *remote)
{
    static const char data[] = "written by ironwheel remote test";
    char sha256[IW_SHA256_HEX];
    size_t length = 0;
    iw_error err = IW_ERROR_INIT;
    iw_hash_bytes(data, strlen(data), sha256);
    iw_cleanup_free char *path = iw_blob_path(sha256), *back = NULL;
    bool fine = iw_remote_write(remote, path, data, strlen(data), &err) == 0 &&
                iw_remote_read(remote, path, 64, &back, &length, &err) == 0 &&
                length == strlen(data);
    tell(context, "write", fine, fine ? "it can be pushed to" : iw_error_text(&err));
    iw_error_clear(&err);
    if (fine) (void)!iw_remote_remove(remote, path, NULL);
}

static int test(iw_context *context, iw_trust *trust, iw_remote *remote, iw_error *err)
{
    iw_reading *readings = NULL;
    size_t count = 0;
    double began = iw_now();
    if (iw_channels_read(trust, remote, &readings, &count, err) != 0) return -1;
    iw_cleanup_free char *seconds = iw_format_seconds(iw_now() - began),
                         *text = iw_format("answered in %s", seconds);
    tell(context, "reach", true, text);
    if (strstr(iw_remote_where(remote), "http://"))
        tell(context, "tls", false,
             "http, not https: others on the way see what is brought; they "
             "can't change it unseen");
    if (!count)
        tell(context, "channel", false, "nothing there is signed by a key that is trusted here");
    tell_channels(context, readings, count);
    test_ranges(context, remote, readings, count);
    if (iw_flag(context->arguments, "write")) test_write(context, remote);
    iw_readings_free(readings, count);
    return count ? 0 : 1;
}

static int run_test(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_trust *trust = NULL;
    iw_remote *remote = NULL;
    int status = iw_trust_open(&trust, err);
    if (status == 0)
        status = iw_context_remote(context, trust, arguments->operands[0], &remote, err);
    if (status == 0) status = test(context, trust, remote, err);
    iw_remote_close(remote);
    iw_trust_close(trust);
    return status;
}

static const iw_option test_options[] = {
    {"write", 0, IW_OPTION_FLAG, NULL, "Also whether it can be pushed to", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_remote_test = {
    .name = "remote test",
    .operands = "NAME|PLACE",
    .least = 1,
    .most = 1,
    .summary = "Say whether a place can be used, and what of it won't work",
    .description =
        "Reaches it, verifies its channels, looks whether it tells sizes and knows ranges. "
        "Exit status 1 where it holds nothing that is trusted here.",
    .options = test_options,
    .run = run_test,
};
