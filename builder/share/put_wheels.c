#include "share/put_wheels.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/admit.h"
#include "share/channel_wheels.h"

static int audit(const iw_put_wheels *put, iw_error *err)
{
    for (size_t i = 0; i < put->plan->node_count; i++) {
        const iw_node *node = &put->plan->nodes[i];
        if (!node->in_bundle || node->action != IW_ACTION_REUSE ||
            iw_strings_has(put->audited, node->artifact.build_key))
            continue;
        iw_cleanup_free char *name = iw_format("%s" IW_BUNDLE_SUFFIX, node->artifact.build_key),
                             *path = iw_store_path(put->store, "artifacts", name);
        if (iw_admit_audit(path, put->plan, node, NULL, err) != 0)
            return iw_wrap(err, "artifact %s %s", node->recipe->name, node->recipe->version);
    }
    return 0;
}

static int put_wheel(iw_remote *remote, const iw_wheel *wheel, uint64_t *sent, iw_error *err)
{
    iw_cleanup_free char *path = iw_simple_place(wheel->sha256, wheel->file),
                         *beside = iw_format("%s.metadata", path);
    bool found = false, told = false;
    uint64_t there = 0, ignored;
    if (iw_remote_stat(remote, path, &found, &there, err) != 0 ||
        iw_remote_stat(remote, beside, &told, &ignored, err) != 0)
        return -1;
    if (!found || there != wheel->size) {
        if (iw_remote_upload(remote, path, wheel->path, wheel->size, err) != 0) return -1;
        *sent += wheel->size;
    }
    return told ? 0
                : iw_remote_write(remote, beside, wheel->metadata, strlen(wheel->metadata), err);
}

static int put_lock(iw_remote *remote, const iw_put_wheels *put, const iw_simple *index,
                    const iw_wheels *wheels, iw_error *err)
{
    const iw_stack *stack = put->plan->stack;
    iw_cleanup_free char *text = iw_simple_lock(stack, index, wheels),
                         *name = iw_format("pylock.%s-%s.toml", stack->name, index->label),
                         *beside = iw_format("%s.minisig", name),
                         *comment = iw_format("ironwheel lock %s", name),
                         *signature = iw_sign(put->key, text, strlen(text), comment);
    if (!signature) return iw_fail(err, IW_E_MEMORY, "can't sign %s", name);
    return iw_remote_write(remote, name, text, strlen(text), err) == 0
               ? iw_remote_write(remote, beside, signature, strlen(signature), err)
               : -1;
}

/* What an earlier push of this bundle had made otherwise is nobody's from now on. */
static void name_wheels(const iw_put_wheels *put, const char *label, const iw_wheels *wheels)
{
    const char *bundle = put->index.bundle;
    if (bundle) iw_channel_rename_wheels(put->channel, bundle, NULL);
    for (size_t i = 0; i < wheels->count; i++) {
        const iw_wheel *one = &wheels->items[i];
        iw_offered_wheel wheel = {.name = one->file,
                                  .label = label,
                                  .file = {one->sha256, one->size}};
        iw_channel_put_wheel(put->channel, &wheel, bundle);
    }
}

static int put_all(iw_remote *remote, const iw_put_wheels *put, const char *work, iw_wheels *wheels,
                   uint64_t *sent, iw_error *err)
{
    iw_cleanup_free char *label = iw_wheel_label(put->plan->profile->name);
    iw_simple index = put->index;
    iw_wheel_options options = {
        .work = work, .may_go = put->may_go, .context = put->context, .sink = index.sink};
    const char *where = iw_remote_where(remote);
    index.label = label;
    index.base = iw_starts_with(where, "http") && strstr(where, "://") ? where : NULL;
    if (iw_wheels_make(put->store, put->plan, &options, wheels, err) != 0) return -1;
    for (size_t i = 0; i < wheels->count; i++)
        if (put_wheel(remote, &wheels->items[i], sent, err) != 0) return -1;
    name_wheels(put, label, wheels);
    return iw_simple_put(remote, &index, wheels, err) == 0
               ? put_lock(remote, put, &index, wheels, err)
               : -1;
}

int iw_put_wheels_of(iw_remote *remote, const iw_put_wheels *put, size_t *count, uint64_t *sent,
                     iw_error *err)
{
    iw_wheels wheels = {.items = NULL};
    iw_cleanup_free char *work = NULL;
    if (audit(put, err) != 0 || iw_temporary_folder(put->work, "wheels-", &work, err) != 0)
        return -1;
    int status = put_all(remote, put, work, &wheels, sent, err);
    *count += wheels.count;
    iw_wheels_free(&wheels);
    iw_remove_tree(work, NULL);
    return status;
}
