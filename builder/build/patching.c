#include "build/patching.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/steps.h"

static const iw_source *source_of(const iw_recipe *recipe, const char *id)
{
    for (size_t i = 0; i < recipe->source_count; i++)
        if (strcmp(recipe->sources[i].id, id) == 0) return &recipe->sources[i];
    return NULL;
}

/* Of ours only the change, which is what the keys know: patch(1) would also read diffs and names of
 * files out of a header. Empty lines stand for the header's, so that the lines it complains of are
 * the file's. */
static int copy_ours(const iw_patch *patch, const char *to, iw_error *err)
{
    char digest[IW_SHA256_HEX];
    iw_cleanup_free char *text = NULL;
    size_t length;
    if (iw_read_file(patch->path, IW_PATCH_LIMIT, &text, &length, err)) return -1;
    size_t change = iw_patch_change(text, length);
    iw_hash_bytes(text + change, length - change, digest);
    if (patch->change_sha256 && strcmp(digest, patch->change_sha256))
        return iw_fail(err, IW_E_DIGEST,
                       "%s changed while it was built: the digest of its change was %s and is now "
                       "%s; start again",
                       patch->path, patch->change_sha256, digest);
    iw_cleanup_buffer iw_buffer laid = {0};
    for (size_t i = 0; i < change; i++)
        if (text[i] == '\n') iw_buffer_add_char(&laid, '\n');
    iw_buffer_add(&laid, text + change, length - change);
    return iw_write_file(to, laid.data, laid.length, 0644, err);
}

/* A regular file below $SRC, no link on the way: what an archive holds must not make us read the
 * host's files. */
static int copy_theirs(const iw_tree *tree, const iw_recipe *recipe, const iw_patch *patch,
                       const char *to, iw_error *err)
{
    const iw_source *source = source_of(recipe, patch->from);
    if (!source || !iw_path_is_inside(patch->file))
        return iw_fail(err, IW_E_RECIPE, "%s:%d:%d: no such patch: %s from %s", patch->place.file,
                       patch->place.line, patch->place.column, patch->file, patch->from);
    iw_cleanup_free char *below = iw_path_join(source->to, patch->file);
    iw_cleanup_free char *relative = iw_path_clean(below);
    iw_cleanup_free char *path = iw_format("%s/src/%s", tree->build, relative);
    for (char *slash = path + strlen(tree->build); slash; slash = strchr(slash + 1, '/')) {
        struct stat status;
        *slash = '\0';
        int bad = lstat(path, &status);
        *slash = '/';
        if (bad || !S_ISDIR(status.st_mode)) goto missing;
    }
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISREG(status.st_mode)) return iw_copy_file(path, to, err);
missing:
    return iw_fail(err, IW_E_BUILD,
                   "%s:%d:%d: source `%s` holds no patch %s (looked for it at %s below $SRC)",
                   patch->place.file, patch->place.line, patch->place.column, patch->from,
                   patch->file, relative);
}

int iw_patches_lay(const iw_tree *tree, const iw_recipe *recipe, iw_error *err)
{
    for (size_t i = 0; i < recipe->patch_count; i++) {
        const iw_patch *patch = &recipe->patches[i];
        iw_cleanup_free char *to = iw_format("%s/patches/%04zu.patch", tree->build, i + 1);
        if (patch->from ? copy_theirs(tree, recipe, patch, to, err) : copy_ours(patch, to, err))
            return -1;
    }
    return 0;
}

/* --- what patch says ------------------------------------------------------ */

void iw_reject_line(iw_reject *reject, const char *line)
{
    static const char *const signs[] = {"FAILED at",
                                        "can't find file to patch",
                                        "malformed patch",
                                        "Only garbage was found",
                                        "Skipping patch",
                                        "is not a regular file",
                                        "File to patch",
                                        "can't open",
                                        NULL};
    if (sscanf(line, "iw-patch %zu", &reject->patch) == 1) {
        reject->file[0] = '\0';
        return;
    }
    if (iw_starts_with(line, "patching file "))
        snprintf(reject->file, sizeof reject->file, "%s", line + 14);
    if (reject->what[0]) return;
    for (size_t i = 0; signs[i]; i++) {
        if (!strstr(line, signs[i])) continue;
        snprintf(reject->what, sizeof reject->what, "%s%s%.250s", reject->file,
                 reject->file[0] ? ": " : "", line);
        return;
    }
}

typedef struct listening {
    iw_reject reject;
    void (*line)(void *context, const char *line);
    void *context;
} listening;

static void on_line(void *context, const char *line)
{
    listening *l = context;
    iw_reject_line(&l->reject, line);
    if (l->line) l->line(l->context, line);
}

static char *script_for(const iw_tree *tree, const iw_recipe *recipe)
{
    iw_buffer script = {0};
    iw_cleanup_free char *folder = iw_path_join(tree->seen_build, "patches"),
                         *quoted = iw_shell_quote(folder);
    for (size_t i = 0; i < recipe->patch_count; i++)
        iw_buffer_add_format(
            &script,
            "echo iw-patch %zu\npatch -p%u -F0 -f --no-backup-if-mismatch -i %s/%04zu.patch\n",
            i + 1, recipe->patches[i].strip, quoted, i + 1);
    return iw_buffer_take(&script);
}

int iw_patches_apply(const iw_box *box, const iw_recipe *recipe, int log,
                     void (*line)(void *context, const char *line), void *context, iw_error *err)
{
    listening l = {.line = line, .context = context};
    iw_sandbox_result result;
    iw_cleanup_free char *script = script_for(box->tree, recipe),
                         *source = iw_path_join(box->tree->seen_build, "src");
    const char *const argv[] = {"/bin/sh", "-e", "-c", script, NULL};
    if (recipe->patch_count == 0) return 0;
    if (iw_box_run(box, source, argv, log, on_line, &l, &result, err)) return -1;
    if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0) return 0;
    size_t i = l.reject.patch > 0 && l.reject.patch <= recipe->patch_count ? l.reject.patch - 1 : 0;
    const iw_patch *patch = &recipe->patches[i];
    return iw_fail(err, IW_E_BUILD, "patch %s%s%s does not apply (fuzz 0): %s", patch->file,
                   patch->from ? " of source " : "", patch->from ? patch->from : "",
                   l.reject.what[0] ? l.reject.what : "patch gave no reason");
}
