#include "build/box.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/host.h"
#include "build/root.h"
#include "build/steps.h"
#include "wrap/names.h"
#include "wrap/policy.h"

/* What iw_box_describe collects: a growing list of binds whose texts live in `texts`. */
typedef struct binding {
    iw_bind *items;
    size_t count, capacity;
    iw_strings *texts;
} binding;

/* iw_strings may move its array but never the strings themselves, so that pointers to them stay
 * good. */
static const char *hold(iw_strings *texts, char *text)
{
    iw_strings_add(texts, text);
    free(text);
    return texts->items[texts->count - 1];
}

static void bind_to(binding *b, iw_bind_kind kind, char *from, char *to)
{
    void *items = b->items;
    iw_grow(&items, &b->capacity, b->count + 1, sizeof *b->items);
    b->items = items;
    const char *held_from = hold(b->texts, from), *held_to = hold(b->texts, to);
    b->items[b->count++] = (iw_bind){kind, held_from, held_to};
}

static void bind_all(const iw_box *box, binding *b)
{
    bind_to(b, IW_BIND_WRITABLE, iw_strdup(box->tree->build), iw_strdup("/build"));
    bind_to(b, IW_BIND_READ_ONLY, iw_strdup(box->tree->prefix), iw_strdup(IW_PREFIX));
    if (!box->helpers) return;
    bind_to(b, IW_BIND_READ_ONLY, iw_strdup(box->helpers), iw_strdup(IW_TOOLS_FOLDER));
    for (size_t i = 0; box->covered && i < box->covered->count; i++)
        bind_to(b, IW_BIND_READ_ONLY, iw_path_join(box->helpers, "iw-cc"),
                iw_path_join("/usr/bin", box->covered->items[i]));
    if (!box->run) return;
    bind_to(b, IW_BIND_READ_ONLY, iw_strdup(box->run), iw_strdup(IW_RUN_FOLDER));
    bind_to(b, IW_BIND_WRITABLE, iw_strdup(box->tree->objects),
            iw_strdup(IW_RUN_FOLDER "/objects"));
}

void iw_box_describe(const iw_box *box, const char *folder, const char *const *argv,
                     iw_sandbox *sandbox, iw_bind **binds, iw_strings *texts)
{
    binding b = {NULL, 0, 0, texts};
    *sandbox = (iw_sandbox){
        .environment = box->environment, .folder = folder, .command = argv, .keep_fd = -1};
    if (box->root) bind_all(box, &b);
    sandbox->root = box->root;
    sandbox->host = !box->root;
    sandbox->binds = b.items;
    sandbox->bind_count = b.count;
    if (box->helpers)
        sandbox->init = box->root ? IW_TOOLS_FOLDER "/iw-init"
                                  : hold(texts, iw_path_join(box->helpers, "iw-init"));
    *binds = b.items;
}

/* --- what the wrapper is told --------------------------------------------- */

/* gcc asks the last map first. */
static void add_maps(const iw_tree *tree, iw_strings *maps)
{
    iw_strings_add_format(maps, "%s=..", tree->seen_build);
    iw_strings_add_format(maps, "%s/src=.", tree->seen_build);
    iw_strings_add_format(maps, "%s=.", tree->seen_prefix);
}

static int link_into(const char *folder, const char *name, const char *target, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(folder, name);
    if (symlink(target, path) == 0) return 0;
    return iw_fail_errno(err, IW_E_IO, "linking %s to %s", path, target);
}

/* Every name that the wrapper stands for and that the host has. */
static int link_tools(const iw_box *box, const char *real, iw_error *err)
{
    iw_cleanup_free char *bin = iw_path_join(box->run, "bin"),
                         *wrapper = iw_path_join(box->helpers, "iw-cc");
    if (iw_make_folders(bin, 0755, err) || iw_make_folders(real, 0755, err)) return -1;
    for (const char *const *name = iw_wrapped_names(); *name; name++) {
        iw_cleanup_free char *tool = iw_host_find(*name);
        if (tool && (link_into(bin, *name, wrapper, err) || link_into(real, *name, tool, err)))
            return -1;
    }
    return 0;
}

int iw_box_prepare(const iw_box *box, const iw_recipe *recipe, const iw_profile *profile,
                   const char *toolchain, iw_error *err)
{
    iw_cleanup_free char *objects = iw_path_join(box->run, "objects");
    iw_cleanup_free char *path = iw_path_join(box->run, "policy");
    iw_policy policy = {.deny = recipe->build.deny_flags,
                        .assembler_march = iw_strdup(profile->assembler_march),
                        .rust_cpu = iw_strdup(profile->rust_cpu),
                        .source = iw_path_join(box->tree->seen_build, "src"),
                        .log = iw_path_join(box->tree->seen_build, IW_WRAPPER_LOG),
                        .real = box->root ? iw_strdup("/" IW_REAL_FOLDER)
                                          : iw_path_join(box->run, "real"),
                        .host = !box->root,
                        .toolchain = iw_strdup(toolchain)};
    iw_strings_add_all(&policy.flags, profile->flags.items);
    add_maps(box->tree, &policy.maps);
    for (size_t i = 0; i < recipe->build.allow_isa_count; i++)
        iw_strings_add(&policy.allow, recipe->build.allow_isa[i].file);
    int status = iw_make_folders(objects, 0755, err) || iw_policy_write(path, &policy, err) ||
                         (policy.host && link_tools(box, policy.real, err))
                     ? -1
                     : 0;
    iw_policy_clear(&policy);
    return status;
}

void iw_box_environment(const iw_box *box, const iw_recipe *recipe, const iw_profile *profile,
                        unsigned jobs, iw_strings *out)
{
    if (box->root) {
        iw_step_environment(recipe, profile, &iw_step_paths_boxed, jobs, out);
        return;
    }
    iw_cleanup_free char *host = iw_host_path(),
                         *path =
                             iw_format("%s/bin:%s/bin:%s", box->tree->seen_prefix, box->run, host);
    const iw_step_paths paths = {box->tree->seen_prefix, box->tree->seen_build, path,
                                 box->tree->objects, box->run};
    iw_step_environment(recipe, profile, &paths, jobs, out);
}

/* --- running -------------------------------------------------------------- */

typedef struct following {
    void (*line)(void *context, const char *line);
    void *context;
    char *network;
} following;

static void on_line(void *context, const char *line)
{
    following *f = context;
    if (f->line) f->line(f->context, line);
}

static void on_network(void *context, const char *what)
{
    following *f = context;
    if (!f->network) f->network = iw_strdup(what);
}

int iw_box_run(const iw_box *box, const char *folder, const char *const *argv, int log,
               void (*line)(void *context, const char *line), void *context,
               iw_sandbox_result *result, iw_error *err)
{
    following f = {line, context, NULL};
    iw_sandbox sandbox;
    iw_bind *binds = NULL;
    iw_strings texts = {0};
    iw_sandbox_watch watch = {
        .line = on_line, .network = on_network, .context = &f, .log = log, .cancel = box->cancel};
    iw_box_describe(box, folder, argv, &sandbox, &binds, &texts);
    int status = iw_sandbox_run(&sandbox, &watch, result, err);
    free(binds);
    iw_strings_free(&texts);
    if (status == 0 && result->cancelled) status = iw_fail(err, IW_E_CANCELLED, "stopped");
    if (status == 0 && result->network)
        status = iw_fail(
            err, IW_E_BUILD,
            "a build step %s: steps have no network; give the recipe a pinned source instead",
            f.network ? f.network : "tried to use the network");
    free(f.network);
    return status;
}
