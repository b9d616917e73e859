#include "deliver/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "pack/pack.h"

#define MANIFEST_LIMIT (64u << 20)

/* --- manifest ------------------------------------------------------------- */

int iw_read_manifest(const char *environment, json_t **manifest, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(environment, "manifest.json"), *text = NULL;
    json_error_t why;
    if (iw_read_file(path, MANIFEST_LIMIT, &text, NULL, err) != 0) return -1;
    *manifest = json_loads(text, 0, &why);
    if (*manifest && json_is_string(json_object_get(*manifest, "stack")) &&
        json_is_array(json_object_get(*manifest, "packages")))
        return 0;
    json_decref(*manifest);
    *manifest = NULL;
    return iw_fail(err, IW_E_FORMAT, "the bundle's manifest.json is no manifest: %s", why.text);
}

char *iw_compare_manifest(const iw_plan *plan, const json_t *manifest)
{
    iw_buffer out = {0};
    size_t index, matched = 0;
    json_t *package;
    json_array_foreach(json_object_get(manifest, "packages"), index, package)
    {
        const char *name = iw_json_get(package, "name"), *version = iw_json_get(package, "version");
        const char *key = iw_json_get(package, "plan_key");
        const iw_node *node = name ? iw_plan_find(plan, name, NULL) : NULL;
        if (!node)
            iw_buffer_add_format(&out, "  %s: not in this tree's stack\n",
                                 name ? name : "(no name)");
        else if (!version || strcmp(node->recipe->version, version) != 0)
            iw_buffer_add_format(&out, "  %s: %s in the bundle, %s in this tree\n", name,
                                 version ? version : "?", node->recipe->version);
        else if (!key || strcmp(node->plan_key, key) != 0)
            iw_buffer_add_format(
                &out, "  %s: made by another recipe, toolchain or version of Ironwheel\n", name);
        matched += node != NULL;
    }
    const char *format = iw_json_get(manifest, "bundle_format");
    if (!format || strcmp(format, IW_BUNDLE_FORMAT) != 0)
        iw_buffer_add_format(&out,
                             "  the bundle: written in format %s by another version of Ironwheel; "
                             "this one's, " IW_BUNDLE_FORMAT ", gives other bytes\n",
                             format ? format : "4 or older");
    if (matched < plan->node_count)
        iw_buffer_add_format(&out, "  %zu packages of this tree's stack aren't in the manifest\n",
                             plan->node_count - matched);
    return iw_buffer_take(&out);
}

int iw_check_floor(const char *environment, const json_t *manifest, iw_error *err)
{
    iw_floor floor = {0};
    const json_t *glibc = json_object_get(manifest, "glibc");
    const char *said =
        json_string_value(json_is_object(glibc) ? json_object_get(glibc, "floor") : glibc);
    if (iw_glibc_floor(environment, &floor, err) != 0) return -1;
    floor.symbols[strcspn(floor.symbols, "\n")] = '\0'; /* the first of them says enough */
    int status = said && strcmp(said, floor.version) == 0
                     ? 0
                     : iw_fail(err, IW_E_CHECK,
                               "the manifest says that glibc %s is enough; the files need %s (%s)",
                               said ? said : "?", floor.version, floor.symbols);
    free(floor.symbols);
    return status;
}

/* --- rebuilding ----------------------------------------------------------- */

/* The mirror folder is the store's own sources. */
static int make_rig(const iw_session *session, const char *folder, iw_error *err)
{
    iw_cleanup_free char *tree = iw_path_join(folder, "another tree"),
                         *mirror = iw_path_join(folder, "mirror"),
                         *link = iw_path_join(folder, "mirror/by-sha256");
    iw_cleanup_free char *sources = iw_store_path(session->store, "sources", "");
    if (iw_make_folders(mirror, 0755, err) != 0) return -1;
    if (symlink(sources, link) != 0) return iw_fail_errno(err, IW_E_IO, "can't make %s", link);
    return iw_catalog_copy(session->options.root, tree, err);
}

/* In another place, as another user, with another number of jobs, an empty store, and another time.
 */
static int run_rebuild(const iw_session *session, bool quiet, bool verbose, const char *folder,
                       iw_error *err)
{
    iw_cleanup_free char *program = iw_path_join(session->options.program, "ironwheel"),
                         *tree = iw_path_join(folder, "another tree"),
                         *store = iw_path_join(folder, "store");
    iw_cleanup_free char *mirror = iw_path_join(folder, "mirror"),
                         *jobs = iw_format("%u", iw_core_count() + 1),
                         *path = iw_format("PATH=%s",
                                           getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    const char *argv[] = {program, "build",    session->stack->name,
                          "-C",    tree,       "--cache",
                          store,   "--import", mirror,
                          "-j",    jobs,       quiet ? "-q" : "--verbose",
                          NULL};
    if (!verbose && !quiet) argv[11] = NULL;
    const char *environment[] = {path,          "HOME=/nonexistent",
                                 "USER=verify", "TZ=Pacific/Auckland",
                                 "LC_ALL=C",    NULL};
    iw_command command = {.argv = argv,
                          .environment = environment,
                          .in = -1,
                          .out = -1,
                          .error = 2,
                          .die_with_parent = true};
    pid_t pid;
    int status = 0;
    if (iw_spawn(&command, &pid, err) != 0 || iw_wait(pid, &status, err) != 0) return -1;
    return status == 0
               ? 0
               : iw_fail(err, IW_E_BUILD, "building stack %s again failed", session->stack->name);
}

static int only_bundle(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    char **found = context;
    (void)err, (void)status;
    if (iw_ends_with(relative, ".tar.zst") && !*found) *found = iw_strdup(full);
    return 0;
}

int iw_session_rebuild(const iw_session *session, const char *work, bool quiet, bool verbose,
                       char **bundle, iw_error *err)
{
    iw_cleanup_free char *folder = iw_path_join(work, "rebuild"),
                         *dist = iw_path_join(folder, "another tree/dist");
    *bundle = NULL;
    if (make_rig(session, folder, err) != 0 ||
        run_rebuild(session, quiet, verbose, folder, err) != 0 ||
        iw_walk(dist, only_bundle, bundle, err) != 0)
        return -1;
    if (*bundle) return 0;
    return iw_fail(err, IW_E_BUILD, "building again left no bundle in %s", dist);
}
