#include "deliver/assemble.h"

#include <jansson.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "pack/pack.h"
#include "share/cache.h"

#define FAST 1 /* zstd level of a file that is unpacked at once */

uint64_t iw_session_parts_cost(iw_session *session, const char *bundle_key)
{
    uint64_t bytes = 0;
    iw_error ignored = IW_ERROR_INIT;
    iw_cleanup_free char *key = iw_format("%s.%s", session->plan->bundle_key, IW_BUNDLE_FORMAT);
    if (strcmp(key, bundle_key) != 0) return UINT64_MAX;
    if (iw_session_replan(session, &ignored) != 0) {
        iw_error_clear(&ignored);
        return UINT64_MAX;
    }
    for (size_t i = 0; i < session->plan->node_count; i++) {
        const iw_node *node = &session->plan->nodes[i];
        if (!node->in_bundle) continue;
        if (!iw_node_is_done(node)) return UINT64_MAX;
        if (node->action == IW_ACTION_PULL) bytes += node->artifact.file_size;
    }
    return bytes;
}

static int bring(iw_session *session, iw_error *err)
{
    size_t missed;
    for (size_t i = 0; i < session->plan->node_count; i++) {
        const iw_node *node = &session->plan->nodes[i];
        if (!node->in_bundle || node->action != IW_ACTION_PULL) continue;
        if (iw_cache_bring_for(session->options.cache, session->plan, node, &missed, err) != 0)
            return -1;
        if (missed)
            return iw_fail(err, IW_E_NETWORK, "package %s couldn't be had", node->recipe->name);
    }
    return iw_session_replan(session, err);
}

/* The part of a manifest as the text that iw_bundle_write wants; NULL where there is none. */
static char *part_of(const json_t *manifest, const char *name)
{
    const json_t *part = json_object_get(manifest, name);
    return part && !json_is_null(part) ? json_dumps(part, JSON_COMPACT) : NULL;
}

static int write(iw_session *session, const json_t *manifest, const char *folder,
                 const char *environment, char **file, iw_packed *packed, iw_error *err)
{
    iw_bundle_options options = {.folder = folder, .level = FAST, .sandboxed = true};
    iw_cleanup_free char *checks = part_of(manifest, "checks"), *audit = part_of(manifest, "audit");
    return iw_bundle_write(session->store, session->plan, environment, checks ? checks : "[]",
                           audit, &options, file, packed, err);
}

int iw_session_assemble(iw_session *session, const char *text, const char *folder, char **file,
                        char tar[IW_SHA256_HEX], iw_error *err)
{
    iw_cleanup_free char *work = NULL, *environment = NULL;
    iw_packed packed;
    json_t *manifest = json_loads(text, 0, NULL);
    iw_bundle_options options = {.sandboxed = true, .sink = session->options.sink};
    int status = 0;
    if (!manifest)
        status = iw_fail(err, IW_E_FORMAT,
                         "the bundle's manifest.json is no JSON: packages can't make that bundle");
    if (status == 0) status = bring(session, err);
    if (status == 0) status = iw_temporary_folder(folder, "lay-", &work, err);
    options.work = work;
    if (status == 0)
        status = iw_bundle_lay(session->store, session->plan, &options, &environment, err);
    if (status == 0) status = write(session, manifest, folder, environment, file, &packed, err);
    if (status == 0) memcpy(tar, packed.content, IW_SHA256_HEX);
    if (work) iw_remove_tree(work, NULL);
    json_decref(manifest);
    return status;
}
