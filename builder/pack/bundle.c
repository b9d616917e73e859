/* Laying an environment together, and writing the bundle. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "pack/closure.h"
#include "pack/describe.h"
#include "pack/pack.h"
#include "pack/scripts.h"
#include "store/archive.h"

#define LAUNCHER "libexec/ironwheel-launcher" /* of package ironwheel-launcher */
#define CONFIG_MARK "@ironwheel-launcher-config@\n"
#define CONFIG_SIZE 4096
/* Measured on the base bundle's tree, 2 cores (facts: 513 MB: -3 1.8 s, 144 MB; -10 --long 7.3 s,
 * 119 MB; -19 120 s, 108 MB). */
#define LEVEL 12

static int write_text(const char *environment, const char *relative, const char *text, mode_t mode,
                      iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(environment, relative);
    return iw_write_passing(path, text, strlen(text), mode, err);
}

/* --- launcher ------------------------------------------------------------- */

bool iw_is_never_missed(const char *feature)
{
    static const char *const names[] = {"3dnow",  "3dnowa", "sse4a",  "mwait",
                                        "mwaitx", "clzero", "prfchw", NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], feature) == 0) return true;
    return false;
}

/* What the launcher asks for; format: launcher.c. */
static char *launcher_config(const iw_plan *plan, const char *floor)
{
    iw_buffer out = {0};
    iw_buffer_add_text(&out, CONFIG_MARK);
    iw_buffer_add_format(&out, "stack %s-%s\nprofile %s\n", plan->stack->name, plan->stack->version,
                         plan->profile->name);
    for (size_t i = 0; i < plan->profile->features.count; i++)
        if (!iw_is_never_missed(plan->profile->features.items[i]))
            iw_buffer_add_format(&out, "needs %s\n", plan->profile->features.items[i]);
    iw_buffer_add_format(&out, "glibc %s\n", floor);
    return iw_buffer_take(&out);
}

static int patch_launcher(const char *path, const iw_plan *plan, const char *floor, iw_error *err)
{
    iw_cleanup_free char *binary = NULL, *config = launcher_config(plan, floor);
    size_t length;
    if (iw_read_file(path, 1 << 20, &binary, &length, err) != 0) return -1;
    char *mark = memmem(binary, length, CONFIG_MARK, strlen(CONFIG_MARK));
    if (!mark || (size_t)(mark - binary) + CONFIG_SIZE > length)
        return iw_fail(err, IW_E_BUILD, "%s has no room for its configuration", path);
    if (strlen(config) >= CONFIG_SIZE)
        return iw_fail(err, IW_E_BUILD, "the launcher's configuration is too long (%zu bytes)",
                       strlen(config));
    memset(mark, 0, CONFIG_SIZE);
    memcpy(mark, config, strlen(config));
    return iw_write_passing(path, binary, length, 0755, err);
}

/* The real interpreter moves to libexec/ (as deep as bin/, so that its run path stays right), the
 * launcher takes its place. */
static int place_launcher(const char *environment, const iw_plan *plan, const char *floor,
                          iw_error *err)
{
    iw_cleanup_free char *launcher = iw_path_join(environment, LAUNCHER),
                         *python = iw_path_join(environment, "bin/python3.11");
    iw_cleanup_free char *real = iw_path_join(environment, "libexec/python3.11"),
                         *preflight = iw_path_join(environment, "bin/ironwheel-preflight");
    if (!iw_exists(launcher)) return 0;
    if (patch_launcher(launcher, plan, floor, err) != 0) return -1;
    if (iw_exists(python)) {
        if (rename(python, real) != 0) return iw_fail_errno(err, IW_E_IO, "can't move %s", python);
        if (iw_copy_file(launcher, python, err) != 0) return -1;
    }
    iw_cleanup_free char *folder = iw_path_join(environment, "bin");
    if (iw_make_folders(folder, 0755, err) != 0) return -1;
    return rename(launcher, preflight) == 0
               ? 0
               : iw_fail_errno(err, IW_E_IO, "can't move %s", launcher);
}

/* --- laying --------------------------------------------------------------- */

static char *replace_stack(const char *text, const char *stack)
{
    iw_buffer out = {0};
    for (const char *found; (found = strstr(text, "@STACK@")); text = found + strlen("@STACK@")) {
        iw_buffer_add(&out, text, (size_t)(found - text));
        iw_buffer_add_text(&out, stack);
    }
    iw_buffer_add_text(&out, text);
    return iw_buffer_take(&out);
}

static int write_activate(const char *environment, const iw_plan *plan, iw_error *err)
{
    const struct {
        const char *name, *text;
    } scripts[] = {{"bin/activate", iw_activate_sh},
                   {"bin/activate.fish", iw_activate_fish},
                   {"bin/activate.csh", iw_activate_csh}};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        iw_cleanup_free char *text = replace_stack(scripts[i].text, plan->stack->name);
        if (write_text(environment, scripts[i].name, text, 0644, err) != 0) return -1;
    }
    return 0;
}

#define SITE "lib/python3.11/site-packages"
#define STAND_IN                                                                                   \
    "+ironwheel" /* the version of a package of ours in the place of one that isn't built yet,     \
                    which may come with pip */

/* "name==version" of every Python package that is installed, sorted: as pip itself sees them, for a
 * recipe may hold several (NVIDIA's), and a version of ours may have a label that the package's own
 * lacks. */
static int read_installed(const char *environment, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *site = iw_path_join(environment, SITE);
    DIR *open = opendir(site);
    if (!open) return errno == ENOENT ? 0 : iw_fail_errno(err, IW_E_IO, "can't read %s", site);
    for (const struct dirent *entry;
         (entry = readdir(open));) { /* NAME-VERSION.dist-info, without further dashes */
        const char *dash = strchr(entry->d_name, '-');
        if (!dash || !iw_ends_with(dash, ".dist-info") || iw_ends_with(dash, STAND_IN ".dist-info"))
            continue;
        iw_cleanup_free char *name = iw_strndup(entry->d_name, (size_t)(dash - entry->d_name)),
                             *project = iw_project_name(name);
        iw_strings_add_format(out, "%s==%.*s", project,
                              (int)(strlen(dash + 1) - strlen(".dist-info")), dash + 1);
    }
    closedir(open);
    iw_strings_sort(out);
    return 0;
}

/* The one of `installed` that this recipe gives, or NULL. */
static const char *installed_by(const iw_strings *installed, const iw_recipe *recipe)
{
    iw_cleanup_free char *project = iw_project_name(recipe->name),
                         *start = iw_format("%s==", project);
    for (size_t i = 0; i < installed->count; i++)
        if (iw_starts_with(installed->items[i], start)) return installed->items[i];
    return NULL;
}

/* What is installed, in the order of building, then what no recipe is named after: pip on top of
 * the bundle may add packages, but not replace these. */
static int write_constraints(const char *environment, const iw_plan *plan, iw_error *err)
{
    iw_cleanup_strings iw_strings installed = {0}, named = {0};
    if (read_installed(environment, &installed, err) != 0) return -1;
    for (size_t i = 0; i < plan->node_count; i++) {
        const char *line =
            plan->nodes[i].in_bundle ? installed_by(&installed, plan->nodes[i].recipe) : NULL;
        if (line) iw_strings_add(&named, line);
    }
    iw_cleanup_buffer iw_buffer out = {0};
    iw_buffer_add_text(
        &out,
        "# What this bundle holds; pip takes nothing else in their place while it is active.\n");
    for (size_t i = 0; i < named.count; i++) iw_buffer_add_format(&out, "%s\n", named.items[i]);
    for (size_t i = 0; i < installed.count; i++)
        if (!iw_strings_has(&named, installed.items[i]))
            iw_buffer_add_format(&out, "%s\n", installed.items[i]);
    return write_text(environment, "constraints.txt", out.data, 0644, err);
}

static int write_readme(const char *environment, const iw_plan *plan, const char *floor,
                        iw_error *err)
{
    iw_cleanup_free char *text = iw_format(
        "%s %s: %s\n\nBuilt by Ironwheel for the CPU profile %s; runs on any x86-64 Linux with "
        "glibc %s or newer whose CPU has the profile's\n"
        "instructions, from any path, also read-only.\n\n    . bin/activate          (sh, bash, "
        "zsh, dash; activate.fish and activate.csh for those)\n"
        "    python3 -c 'import sys; print(sys.version)'\n\nNothing need be installed or fixed up. "
        "manifest.json says what is in it and how it was made, sbom.spdx.json lists "
        "it in SPDX 2.3.\n",
        plan->stack->name, plan->stack->version, plan->stack->summary ? plan->stack->summary : "",
        plan->profile->name, floor);
    return write_text(environment, "README.txt", text, 0644, err);
}

static int lay_artifacts(iw_store *store, const iw_plan *plan, const char *environment,
                         const iw_sink *sink, iw_error *err)
{
    size_t total = 0, done = 0;
    for (size_t i = 0; i < plan->node_count; i++) total += plan->nodes[i].in_bundle;
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        if (!node->in_bundle) continue;
        iw_cleanup_strings iw_strings skip = {0};
        iw_strings_add_all(&skip, node->recipe->build.development.items);
        if (iw_store_lay_artifact(store, &node->artifact, environment, &skip, err) != 0)
            return iw_wrap(err, "laying %s", node->recipe->name);
        iw_emit(sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                 .subject = plan->stack->name,
                                 .phase = "bundle",
                                 .count = ++done,
                                 .total = total});
    }
    return 0;
}

static char *bundle_stem(const iw_plan *plan, const char *floor)
{
    return iw_format("%s-%s-%s-glibc%s-cp311", plan->stack->name, plan->stack->version,
                     plan->profile->name, floor);
}

int iw_bundle_lay(iw_store *store, const iw_plan *plan, const iw_bundle_options *options,
                  char **environment, iw_error *err)
{
    *environment = NULL;
    iw_cleanup_free char *name =
        iw_format("%s-%s-%s", plan->stack->name, plan->stack->version, plan->profile->name);
    iw_cleanup_free char *folder = iw_path_join(options->work, name);
    if (iw_remove_tree(folder, err) != 0 || iw_make_folders(folder, 0755, err) != 0) return -1;
    iw_floor floor = {0};
    int status = lay_artifacts(store, plan, folder, options->sink, err);
    if (status == 0) status = iw_check_closure(folder, plan, err);
    if (status == 0) status = iw_glibc_floor(folder, &floor, err);
    if (status == 0) status = place_launcher(folder, plan, floor.version, err);
    iw_cleanup_free char *bin = iw_path_join(folder, "bin");
    if (status == 0 && iw_exists(bin)) status = write_activate(folder, plan, err);
    if (status == 0) status = write_constraints(folder, plan, err);
    if (status == 0) status = write_readme(folder, plan, floor.version, err);
    free(floor.symbols);
    if (status != 0) return iw_wrap(err, "the environment of stack %s", plan->stack->name);
    *environment = iw_steal(&folder);
    return 0;
}

/* --- writing -------------------------------------------------------------- */

struct progress {
    const iw_sink *sink;
    const char *subject;
};

static void on_packed(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    iw_emit(progress->sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                       .subject = progress->subject,
                                       .phase = "bundle",
                                       .unit = "B",
                                       .count = done,
                                       .total = total});
}

static int pack(const char *environment, const char *stem, const char *path,
                const iw_bundle_options *options, iw_packed *packed, iw_error *err)
{
    iw_cleanup_free char *temporary = iw_format("%s.new", path);
    iw_cleanup_fd int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", temporary);
    iw_cleanup_strings iw_strings first = {0};
    iw_strings_add(&first, "manifest.json");
    struct progress progress = {options->sink, stem};
    iw_packing packing = {.level = options->level ? options->level : LEVEL,
                          .long_window = true,
                          .prefix = stem,
                          .first = &first,
                          .progress = on_packed,
                          .context = &progress};
    int status = iw_archive_pack(environment, fd, &packing, packed, err);
    if (status == 0) status = iw_publish(temporary, path, err);
    if (status != 0) unlink(temporary);
    return status;
}

int iw_bundle_write(iw_store *store, const iw_plan *plan, const char *environment,
                    const char *checks, const char *audit, const iw_bundle_options *options,
                    char **path, iw_packed *packed, iw_error *err)
{
    (void)store;
    *path = NULL;
    iw_floor floor = {0};
    if (iw_glibc_floor(environment, &floor, err) != 0) return -1;
    iw_cleanup_free char *stem = bundle_stem(plan, floor.version);
    char *manifest = iw_manifest(plan, &floor, checks, audit, options->sandboxed, stem),
         *spdx = iw_spdx(plan, stem);
    free(floor.symbols);
    int status = write_text(environment, "manifest.json", manifest, 0644, err);
    if (status == 0) status = write_text(environment, "sbom.spdx.json", spdx, 0644, err);
    free(manifest);
    free(spdx);
    if (status == 0) status = iw_make_folders(options->folder, 0755, err);
    iw_cleanup_free char *name = iw_format("%s.tar.zst", stem),
                         *file = iw_path_join(options->folder, name);
    if (status == 0) status = pack(environment, stem, file, options, packed, err);
    if (status != 0) return -1;
    *path = iw_steal(&file);
    return 0;
}
