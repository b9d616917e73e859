/* `ironwheel challenge STACK [PACKAGE…]`. */
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "deliver/again.h"
#include "deliver/bundle_file.h"
#include "share/cache.h"

struct tally {
    iw_context *context;
    size_t compared, differ;
};

static void on_pair(void *context, const iw_node *node, const char *remote, const char *key,
                    const char *here, const char *there)
{
    struct tally *tally = context;
    bool same = strcmp(here, there) == 0;
    tally->compared++;
    tally->differ += !same;
    if (tally->context->json)
        iw_print_json(tally->context,
                      json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "package", node->recipe->name,
                                "version", node->recipe->version, "remote", remote, "key", key,
                                "here", here, "there", there, "same", same));
    else if (!same)
        iw_print(tally->context, "%s %s: key %s at %s has content %s, this rig built %s\n",
                 node->recipe->name, node->recipe->version, key, remote, there, here);
}

/* --- built again ---------------------------------------------------------- */

typedef struct trial {
    struct tally *tally;
    iw_cache *cache;
    const iw_node *node;
    const char *artifact, *content, *work;
    json_t *files; /* that differ */
    bool failed;
    iw_error err;
} trial;

static void on_file(void *context, const iw_member *a, const iw_member *b)
{
    json_array_append_new(context, json_string(a ? a->path : b->path));
}

/* The artifact that is offered, held against the one that was built, file by file. */
static void compare_with(trial *t, const char *remote, const char *key)
{
    iw_cleanup_free char *part = iw_format("%s/theirs-%s", t->work, key);
    size_t changes = 0;
    if (iw_cache_fetch(t->cache, remote, key, t->node->build_key, part, &t->err) != 0 ||
        iw_artifact_compare(t->artifact, part, on_file, t->files, &changes, &t->err) != 0)
        t->failed = true;
    unlink(part);
}

static void print_trial(const trial *t, const char *remote, const char *key, const char *there,
                        bool same)
{
    iw_context *context = t->tally->context;
    const iw_recipe *recipe = t->node->recipe;
    const json_t *file;
    size_t i;
    if (context->json) {
        iw_print_json(context, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:O}", "package",
                                         recipe->name, "version", recipe->version, "remote", remote,
                                         "key", key, "here", t->content, "there", there, "same",
                                         same, "again", true, "files", t->files));
        return;
    }
    if (context->quiet && same) return;
    iw_print(context, "%s %s: built again, %s key %s at %s\n", recipe->name, recipe->version,
             same ? "the same as of" : "another than of", key, remote);
    json_array_foreach(t->files, i, file) iw_print(context, "  %s\n", json_string_value(file));
}

static void on_offer(void *context, const char *remote, const char *key, const char *there)
{
    trial *t = context;
    bool same = strcmp(t->content, there) == 0;
    if (t->failed) return;
    t->tally->compared++;
    t->tally->differ += !same;
    json_array_clear(t->files);
    if (!same) compare_with(t, remote, key);
    if (!t->failed) print_trial(t, remote, key, there, same);
}

static int try_again(struct tally *tally, iw_session *session, iw_cache *cache, const iw_node *node,
                     const char *work, iw_error *err)
{
    iw_cleanup_free char *artifact = NULL;
    char content[IW_SHA256_HEX];
    if (iw_session_build_again(session, node, work, &artifact, content, err) != 0) return -1;
    trial t = {.tally = tally,
               .cache = cache,
               .node = node,
               .artifact = artifact,
               .content = content,
               .work = work,
               .files = json_array()};
    iw_cache_each_offer(cache, node->build_key, on_offer, &t);
    json_decref(t.files);
    if (t.failed) iw_error_move(err, &t.err);
    return t.failed ? -1 : 0;
}

static int build_again(struct tally *tally, iw_session *session, iw_cache *cache,
                       const char *package, iw_error *err)
{
    iw_cleanup_free char *tmp = iw_store_path(session->store, "tmp", ""), *work = NULL;
    iw_node *node;
    if (iw_session_node(session, package, &node, err) != 0) return -1;
    if (iw_make_folders(tmp, 0755, err) != 0 || iw_temporary_folder(tmp, "again-", &work, err) != 0)
        return -1;
    int status = try_again(tally, session, cache, node, work, err);
    iw_remove_tree(work, NULL);
    return status;
}

/* What is named is built again; without a name, what was built here is compared. */
static int challenge(struct tally *tally, iw_session *session, iw_cache *cache,
                     const iw_arguments *arguments, iw_error *err)
{
    if (arguments->operand_count == 1) iw_cache_challenge(cache, session->plan, on_pair, tally);
    else if (iw_context_start(tally->context, session, err) != 0) return -1;
    iw_cache_listen(cache, tally->context->sink, tally->context->cancel);
    for (size_t i = 1; i < arguments->operand_count; i++)
        if (build_again(tally, session, cache, arguments->operands[i], err) != 0) return -1;
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    iw_cache *cache = NULL;
    struct tally tally = {.context = context};
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0) status = iw_context_cache(context, &cache, err);
    if (status == 0 && !cache)
        status =
            iw_fail(err, IW_E_USAGE, "there is no remote to compare with (`ironwheel remote add`)");
    if (status == 0) status = challenge(&tally, &session, cache, arguments, err);
    if (status == 0) {
        if (!context->json && !context->quiet)
            iw_print(context, "%zu compared, %zu differ\n", tally.compared, tally.differ);
        status = tally.differ != 0;
    }
    iw_session_close(&session);
    iw_cache_close(cache);
    return status;
}

const iw_command_spec iw_command_challenge = {
    .name = "challenge",
    .operands = "STACK [PACKAGE…]",
    .least = 1,
    .most = 64,
    .complete = "stack",
    .summary = "Compare what this rig builds with what remotes offer",
    .description =
        "Each PACKAGE is built again from its sources, in a store of its own, whether it was built "
        "here before or pulled, and compared with what every key offers for its build key; where "
        "they differ, the files that differ are named. Without a name: for every package of the "
        "stack that was built here, whether each key has the same content. A difference means that "
        "somebody doesn't build what the recipe says. Exit status 1 where anything differs.",
    .examples = "ironwheel challenge base\tthe packages of stack base that were built here\n"
                "ironwheel challenge base numpy\tbuild numpy again, and compare\n",
    .options = NULL,
    .run = run,
};
