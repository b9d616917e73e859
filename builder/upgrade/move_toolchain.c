/* What `toolchain update` would move, and what a stack would be built anew for: in a draft, which
 * nobody writes. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/bump.h"
#include "upgrade/draft.h"
#include "upgrade/trial.h"

static const iw_toolchain_package *find(const iw_toolchain *toolchain, const char *name)
{
    for (size_t i = 0; i < toolchain->package_count; i++)
        if (strcmp(toolchain->packages[i].name, name) == 0) return &toolchain->packages[i];
    return NULL;
}

static void add_move(json_t *list, const char *name, const char *from, const char *to)
{
    json_t *one = json_pack("{s:s,s:s}", "name", name, "verdict", "would be moved");
    iw_json_put(one, "from", from);
    iw_json_put(one, "to", to);
    json_array_append_new(list, one);
}

static json_t *compare(const iw_toolchain *before, const iw_toolchain *after)
{
    json_t *list = json_array();
    for (size_t i = 0; i < after->package_count; i++) {
        const iw_toolchain_package *now = &after->packages[i], *old = find(before, now->name);
        if (!old || strcmp(old->version, now->version) != 0)
            add_move(list, now->name, old ? old->version : NULL, now->version);
    }
    for (size_t i = 0; i < before->package_count; i++)
        if (!find(after, before->packages[i].name))
            add_move(list, before->packages[i].name, before->packages[i].version, NULL);
    return list;
}

static int update(iw_trial *t, iw_error *err)
{
    iw_fetch_options fetch = t->options->deliver.fetch;
    iw_cleanup_free char *path = iw_path_join(t->draft, t->before.toolchain->path);
    fetch.cancel = t->options->deliver.cancel;
    fetch.sink = t->options->deliver.sink;
    return iw_draft_make(t->options->root, t->draft, err) != 0
               ? -1
               : iw_toolchain_update(path, t->before.toolchain, &fetch, err);
}

static int go(iw_trial *t, iw_error *err)
{
    const iw_bump_options *o = t->options;
    if (iw_trial_open(t, err) != 0 ||
        iw_session_open(o->catalog, o->store, o->stack, &o->deliver, &t->before, err) != 0 ||
        update(t, err) != 0 || iw_trial_draft(t, err) != 0)
        return -1;
    json_t *moved = compare(t->before.toolchain, t->after.toolchain);
    bool any = json_array_size(moved) > 0;
    json_object_set_new(t->report, "packages", moved);
    iw_trial_plan(t);
    iw_json_set(t->report, "verdict", any ? "would be moved" : "nothing newer");
    return iw_trial_finish(t, err);
}

int iw_bump_toolchain(const iw_bump_options *options, json_t **report, iw_error *err)
{
    iw_bump_options own = *options;
    own.name = "toolchain";
    iw_trial t = {.options = &own, .lock = -1};
    t.report = *report = json_pack("{s:s,s:s}", "name", "toolchain", "stack", options->stack);
    int status = go(&t, err);
    iw_trial_close(&t);
    return status;
}
