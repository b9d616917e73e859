/* The bundle that is there already: `build` with nothing to do asks for nothing else, and starts
 * without the libraries that building needs. */
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "deliver/session.h"
#include "pack/pack.h"

char *iw_session_output(const iw_session *session)
{
    const iw_deliver_options *options = &session->options;
    char here[4096];
    const char *folder = getcwd(here, sizeof here) ? here : ".";
    if (options->output) return iw_path_join(folder, options->output);
    bool writable = options->root && access(options->root, W_OK) == 0;
    return iw_path_join(writable ? options->root : folder, "dist");
}

/* One store serves several checkouts: each remembers its own bundle. */
char *iw_session_bundle_key(const iw_session *session)
{
    iw_cleanup_free char *folder = iw_session_output(session);
    return iw_format("%s %s %s", session->plan->bundle_key, IW_BUNDLE_FORMAT, folder);
}

char *iw_session_pulled_key(const iw_session *session)
{
    iw_cleanup_free char *key = iw_session_bundle_key(session);
    return iw_format("%s pulled", key);
}

int iw_session_find_ready(const iw_session *session, char **path, char **sha256, bool *found,
                          iw_error *err)
{
    bool built = true;
    for (size_t i = 0; i < session->plan->node_count; i++)
        if (session->plan->nodes[i].action != IW_ACTION_REUSE && session->plan->nodes[i].in_bundle)
            built = false;
    iw_cleanup_free char *key = iw_session_bundle_key(session),
                         *pulled = iw_session_pulled_key(session);
    return iw_store_find_bundle(session->store, built ? key : pulled, path, sha256, found, err);
}

char *iw_report_path(const char *bundle)
{
    static const char ending[] = ".tar.zst";
    size_t length = strlen(bundle);
    return iw_format("%.*s.report.html",
                     (int)(iw_ends_with(bundle, ending) ? length - strlen(ending) : length),
                     bundle);
}

char *iw_bundle_tar_path(const char *bundle)
{
    static const char ending[] = ".zst";
    size_t length = strlen(bundle);
    return iw_format("%.*s.sha256",
                     (int)(iw_ends_with(bundle, ending) ? length - strlen(ending) : length),
                     bundle);
}

char *iw_bundle_tar_digest(const char *bundle)
{
    iw_cleanup_free char *path = iw_bundle_tar_path(bundle), *text = NULL;
    if (!iw_ends_with(bundle, ".zst") || iw_read_file(path, 4096, &text, NULL, NULL) != 0)
        return NULL;
    text[strcspn(text, " \n")] = 0;
    return iw_is_sha256(text) ? iw_steal(&text) : NULL;
}
