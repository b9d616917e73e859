#include "fetch/gone.h"

#include <string.h>

#include "base/memory.h"
#include "fetch/transfer.h"
#include "fetch/where.h"

static void add_file(iw_buffer *out, const iw_wanted *wanted)
{
    iw_debian_file file;
    (void)iw_debian_file_of(wanted, &file);
    iw_buffer_add_format(out, "\n  %s", file.file);
    if (wanted->recipe)
        iw_buffer_add_format(out, " for %s/%s", wanted->recipe->name, wanted->recipe->version);
    if (file.pinned)
        iw_buffer_add_format(out, ", pinned %.4s-%.2s-%.2s", file.pinned, file.pinned + 4,
                             file.pinned + 6);
}

static void add_asked(iw_buffer *out, const iw_gone *gone)
{
    iw_buffer_add_text(out, "\nasked:");
    for (size_t i = 0; i < gone->mirrors->count; i++) {
        iw_cleanup_free char *shown = iw_transfer_shown(gone->mirrors->items[i]);
        iw_buffer_add_format(out, " %s", shown);
    }
    if (!gone->snapshot) return;
    iw_cleanup_free char *shown = iw_transfer_shown(gone->snapshot);
    iw_buffer_add_format(out, "%s the snapshot archive at %s", gone->mirrors->count ? "," : "",
                         shown);
}

static void add_snapshot_way(iw_buffer *out, const iw_gone *gone)
{
    iw_buffer_add_text(out, "\nThe ways on:\n  1. ");
    iw_buffer_add_text(
        out, gone->snapshot
                 ? "another snapshot archive: Debian's own keeps every file that it ever had "
                   "(--debian-snapshot URL, or IRONWHEEL_DEBIAN_SNAPSHOT)"
                 : "Debian's snapshot archive keeps every file that it ever had: give its address "
                   "with --debian-snapshot URL (or IRONWHEEL_DEBIAN_SNAPSHOT)");
}

/* The files of recipes pinned one by one, and of toolchains as a whole. */
static void add_renewal_way(iw_buffer *out, const iw_gone *gone)
{
    const char *start = "\n  3. ";
    const iw_toolchain *last = NULL;
    for (size_t i = 0; i < gone->count; i++) {
        const iw_toolchain *toolchain = gone->files[i]->toolchain;
        if (!gone->files[i]->package || !toolchain || toolchain == last) continue;
        bool built_with = strcmp(toolchain->name, IW_CHECKS_TOOLCHAIN) != 0;
        const char *cost = built_with ? gone->renewal : "nothing is built with it";
        iw_buffer_add_format(out,
                             "%s`ironwheel toolchain update %s` pins what the archive has now%s%s",
                             start, toolchain->name, cost ? ": " : "", cost ? cost : "");
        start = "\n     ";
        last = toolchain;
    }
    for (size_t i = 0; i < gone->count; i++) {
        const iw_wanted *wanted = gone->files[i];
        if (!wanted->source) continue;
        iw_buffer_add_format(out, "%s%s:%d: pin another version of %s there", start,
                             wanted->source->place.file ? wanted->source->place.file : "the recipe",
                             wanted->source->place.line, wanted->source->name);
        start = "\n     ";
    }
}

void iw_gone_add_text(iw_buffer *out, const iw_gone *gone)
{
    iw_buffer_add_format(out, "%zu pinned Debian file%s left the archive:", gone->count,
                         gone->count == 1 ? " has" : "s have");
    for (size_t i = 0; i < gone->count; i++) add_file(out, gone->files[i]);
    add_asked(out, gone);
    add_snapshot_way(out, gone);
    iw_buffer_add_text(out, "\n  2. a mirror folder from a machine that still has them: "
                            "`ironwheel fetch STACK --export DIR` there, --import DIR here");
    add_renewal_way(out, gone);
}
