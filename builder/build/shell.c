/* `shell PACKAGE`: a person in the kept tree. */
#include "build/build.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/box.h"
#include "build/root.h"
#include "build/steps.h"
#include "build/tree.h"

static int open_tree(iw_tree *tree, const iw_node *node, iw_error *err)
{
    bool locked = false;
    if (!iw_exists(tree->build))
        return iw_fail(err, IW_E_NOT_FOUND,
                       "%s/%s has no kept tree: one is kept where a build of this very plan failed "
                       "or was stopped; "
                       "`ironwheel log %s` shows the last log",
                       node->recipe->name, node->recipe->version, node->recipe->name);
    if (iw_tree_lock(tree, false, &locked, err)) return -1;
    if (!locked) return iw_fail(err, IW_E_BUILD, "%s is being built right now", tree->name);
    return 0;
}

/* The terminal's kind is all that comes from outside. */
static void add_terminal(iw_strings *environment)
{
    const char *term = getenv("TERM");
    for (size_t i = 0; i < environment->count; i++) {
        if (!iw_starts_with(environment->items[i], "TERM=")) continue;
        free(environment->items[i]);
        environment->items[i] = iw_format("TERM=%s", term ? term : "dumb");
    }
    iw_strings_add(environment, "PS1=ironwheel:\\w\\$ ");
}

static int run_shell(const iw_box *box, const char *folder, int *status, iw_error *err)
{
    static const char *const argv[] = {"/bin/bash", "--norc", "--noprofile", "-i", NULL};
    iw_sandbox sandbox;
    iw_bind *binds = NULL;
    iw_strings texts = {0};
    iw_sandbox_result result;
    iw_box_describe(box, folder, argv, &sandbox, &binds, &texts);
    sandbox.terminal = true;
    int bad = iw_sandbox_run(&sandbox, NULL, &result, err);
    *status = result.status;
    free(binds);
    iw_strings_free(&texts);
    return bad;
}

static int with_run_folder(iw_store *store, const iw_plan *plan, const iw_recipe *recipe,
                           iw_box *box, unsigned jobs, int *status, iw_error *err)
{
    cpu_set_t set;
    unsigned cores = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
    iw_cleanup_strings iw_strings environment = {0};
    iw_cleanup_free char *joined =
                             iw_format("%s/src/%s", box->tree->seen_build, recipe->build.directory),
                         *folder = iw_path_clean(joined);
    iw_cleanup_free char *temporary = iw_path_join(iw_store_root(store), "tmp");
    iw_cleanup_free char *run = NULL;
    if (iw_temporary_folder(temporary, "run-", &run, err)) return -1;
    box->run = run;
    iw_box_environment(box, recipe, plan->profile, jobs ? jobs : cores, &environment);
    add_terminal(&environment);
    box->environment = (const char *const *)environment.items;
    int bad = iw_box_prepare(box, recipe, plan->profile, plan->toolchain->digest, err) ||
                      run_shell(box, folder, status, err)
                  ? -1
                  : 0;
    iw_remove_tree(run, NULL);
    return bad;
}

int iw_build_shell(iw_store *store, iw_plan *plan, iw_node *node, const iw_build_options *options,
                   int *status, iw_error *err)
{
    iw_tree tree;
    iw_strings covered = {0};
    iw_cleanup_free char *root = NULL;
    iw_tree_init(&tree, store, node, !plan->toolchain->is_host);
    int bad = open_tree(&tree, node, err);
    if (!bad && !plan->toolchain->is_host)
        bad = iw_sandbox_probe(err) ||
              iw_toolchain_root(store, plan->toolchain, options->sink, &root, err) ||
              iw_root_covered(root, &covered, err);
    if (!bad) {
        iw_box box = {.root = root,
                      .helpers = options->helpers,
                      .tree = &tree,
                      .covered = &covered,
                      .cancel = -1};
        bad = with_run_folder(store, plan, node->recipe, &box, options->jobs, status, err);
    }
    iw_strings_free(&covered);
    iw_tree_clear(&tree);
    return bad ? -1 : 0;
}
