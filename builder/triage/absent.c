/* Why pip finds nothing: whether an index has such a project or version at all. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "recipe/version.h"
#include "triage/triage.h"

static char *newer(char *best, const char *version)
{
    if (best && iw_version_compare_text(version, best) <= 0) return best;
    free(best);
    return iw_strdup(version);
}

/* *met: one of them keeps the conditions. *newest: of those that aren't early, else of all; NULL
 * where there is none. Caller frees. */
static void look(const iw_release_files *files, const char *project, const char *conditions,
                 bool *met, char **newest)
{
    iw_cleanup_free char *early = NULL;
    *met = false;
    *newest = NULL;
    for (size_t i = 0; i < files->count; i++) {
        iw_cleanup_free char *text = iw_file_version(project, files->items[i].name);
        iw_version version;
        if (!text || !iw_version_parse(text, &version)) continue;
        *met = *met || iw_version_meets(&version, conditions, NULL);
        if (files->items[i].yanked) continue;
        if (iw_version_is_early(&version)) early = newer(early, text);
        else *newest = newer(*newest, text);
    }
    if (!*newest) *newest = iw_steal(&early);
}

static void tell_offline(const char *what, iw_absent *out)
{
    out->what = IW_ABSENCE_OFFLINE;
    out->text = iw_format("nothing is known of %s: a package index has to be asked, and --offline "
                          "forbids it. Leave that out, or name a folder of wheels in a "
                          "requirements file (--find-links)",
                          what);
}

static void tell_no_wheel(const char *what, iw_absent *out)
{
    out->what = IW_ABSENCE_WHEEL;
    out->text = iw_format("no wheel of %s is published for this Python: pip would build it from "
                          "source, for this host",
                          what);
}

void iw_absent_clear(iw_absent *absent)
{
    free(absent->newest), free(absent->text);
    *absent = (iw_absent){0};
}

int iw_pip_absent(const char *what, const iw_fetch_options *options, iw_absent *out, iw_error *err)
{
    const char *at = strpbrk(what, "<>=!~");
    iw_cleanup_free char *project = iw_plain_name(what), *newest = NULL;
    iw_release_files files = {0};
    iw_error trouble = IW_ERROR_INIT;
    bool met = true;
    *out = (iw_absent){0};
    if (options->offline) return tell_offline(what, out), 0;
    int status = iw_fetch_project(project, options, &files, &trouble);
    if (status == 0) look(&files, project, at ? at : "", &met, &newest);
    iw_release_files_free(&files);
    if (status != 0 && trouble.kind == IW_E_CANCELLED) {
        iw_error_move(err, &trouble);
        return -1;
    }
    if (status != 0 && trouble.kind == IW_E_NOT_FOUND) {
        out->what = IW_ABSENCE_PROJECT;
        out->text = iw_strdup(iw_error_text(&trouble));
    } else if (status != 0) {
        out->what = IW_ABSENCE_WHEEL;
        out->text = iw_format("pip finds no wheel of %s, and the index can't be asked why: %s",
                              what, iw_error_text(&trouble));
    } else if (!met) {
        out->what = IW_ABSENCE_VERSION;
        out->text = iw_format("the package index has no %s%s%s", what,
                              newest ? ": the newest is " : "", newest ? newest : "");
        out->newest = iw_steal(&newest);
    } else tell_no_wheel(what, out);
    iw_error_clear(&trouble);
    return 0;
}
