#include "deliver/again.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "store/archive.h"

/* A store with what is laid for the node, with the toolchain, and with nothing else. Its index is
 * made of its files. */
static int link_artifact(const iw_session *session, const iw_node *node, const char *to,
                         iw_error *err)
{
    static const char *const endings[] = {".tar.zst", ".json"};
    for (size_t i = 0; i < 2; i++) {
        iw_cleanup_free char *name = iw_format("%s%s", node->artifact.build_key, endings[i]),
                             *from = iw_store_path(session->store, "artifacts", name),
                             *copy = iw_path_join(to, name);
        if (link(from, copy) != 0) return iw_fail_errno(err, IW_E_IO, "can't link %s", copy);
    }
    return 0;
}

static int link_folder(const iw_session *session, const char *from, const char *to, iw_error *err)
{
    iw_cleanup_free char *there = iw_store_path(session->store, from, "");
    return symlink(there, to) == 0 ? 0 : iw_fail_errno(err, IW_E_IO, "can't make %s", to);
}

static int make_store(const iw_session *session, const iw_node *node, const char *work,
                      iw_error *err)
{
    iw_cleanup_free char *artifacts = iw_path_join(work, "store/artifacts"),
                         *toolchains = iw_path_join(work, "store/toolchains"),
                         *mirror = iw_path_join(work, "mirror"),
                         *sources = iw_path_join(work, "mirror/by-sha256");
    if (iw_make_folders(artifacts, 0755, err) != 0 || iw_make_folders(mirror, 0755, err) != 0 ||
        link_folder(session, "toolchains", toolchains, err) != 0 ||
        link_folder(session, "sources", sources, err) != 0)
        return -1;
    for (size_t i = 0; i < node->laid_count; i++) {
        const iw_node *one = node->laid[i];
        if (one->action != IW_ACTION_REUSE)
            return iw_fail(err, IW_E_NOT_FOUND,
                           "%s/%s is built on %s/%s, which this store lacks; `ironwheel build %s "
                           "--no-bundle` brings or builds it",
                           node->recipe->name, node->recipe->version, one->recipe->name,
                           one->recipe->version, session->stack->name);
        if (link_artifact(session, one, artifacts, err) != 0) return -1;
    }
    return 0;
}

static int run(const iw_session *session, const iw_node *node, const char *work, iw_error *err)
{
    iw_cleanup_free char *program = iw_path_join(session->options.program, "ironwheel"),
                         *package = iw_format("%s/%s", node->recipe->name, node->recipe->version),
                         *store = iw_path_join(work, "store"),
                         *mirror = iw_path_join(work, "mirror");
    const char *argv[] = {program,
                          "build",
                          session->stack->name,
                          "--only",
                          package,
                          "-C",
                          session->options.root,
                          "--cache",
                          store,
                          "--import",
                          mirror,
                          "--no-remote",
                          "-q",
                          NULL};
    iw_command command = {.argv = argv, .in = -1, .out = -1, .error = 2, .die_with_parent = true};
    int status = 0;
    if (iw_run_until(&command, session->options.cancel, "building again", &status, err) != 0)
        return -1;
    return status == 0 ? 0 : iw_fail(err, IW_E_BUILD, "building %s again failed", package);
}

int iw_session_build_again(const iw_session *session, const iw_node *node, const char *work,
                           char **artifact, char content[IW_SHA256_HEX], iw_error *err)
{
    iw_cleanup_free char *name = iw_format("store/artifacts/%s.tar.zst", node->build_key);
    *artifact = NULL;
    if (make_store(session, node, work, err) != 0 || run(session, node, work, err) != 0) return -1;
    *artifact = iw_path_join(work, name);
    iw_cleanup_fd int fd = open(*artifact, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "what was built again isn't at %s", *artifact);
    return iw_archive_content(fd, name, content, err);
}
