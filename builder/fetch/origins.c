#include "fetch/origins.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/path.h"
#include "fetch/snapshot.h"

/* A mirror folder's path is taken from the working folder; an address stays as it is. */
static char *import_root(const char *import)
{
    if (!import || strstr(import, "://") || import[0] == '/') return iw_strdup(import);
    iw_cleanup_free char *folder = getcwd(NULL, 0);
    return iw_path_join(folder ? folder : "/", import);
}

int iw_origins_open(const iw_fetch_options *options, iw_origins *out, iw_error *err)
{
    *out = (iw_origins){.options = options,
                        .transfer = {.parallel = options->parallel,
                                     .cancel = options->cancel,
                                     .sink = options->sink,
                                     .backoff = options->backoff,
                                     .stall = options->stall}};
    out->certificates = iw_pypi_certificates();
    out->import = import_root(options->import);
    return iw_snapshot_root(options, &out->snapshot, err);
}

void iw_origins_free(iw_origins *origins)
{
    iw_strings_free(&origins->indexes);
    iw_strings_free(&origins->mirrors);
    iw_error_clear(&origins->no_indexes);
    iw_error_clear(&origins->no_mirrors);
    iw_pypi_pages_free(origins->pages);
    iw_registries_free(&origins->registries);
    free(origins->certificates);
    free(origins->snapshot);
    free(origins->import);
    iw_strings_free(&origins->misses);
}

static int find_pypi(iw_origins *origins, const iw_source *source, iw_strings *urls, iw_error *err)
{
    iw_error *none = &origins->no_indexes;
    if (origins->indexes.count == 0 && none->kind == IW_E_NONE)
        (void)!iw_pypi_indexes(origins->options, &origins->indexes, none);
    if (none->kind != IW_E_NONE)
        return iw_fail(err, none->kind, "%s: %s", source->file, none->message);
    if (!origins->pages) origins->pages = iw_pypi_pages_new();
    iw_transfer_options transfer = origins->transfer;
    transfer.certificates = origins->certificates;
    return iw_pypi_find(origins->pages, &origins->indexes, source, &transfer, urls, err);
}

int iw_origins_mirrors(iw_origins *origins, iw_error *err)
{
    iw_error *none = &origins->no_mirrors;
    if (origins->mirrors.count == 0 && none->kind == IW_E_NONE)
        (void)!iw_debian_mirrors(origins->options, &origins->mirrors, none);
    return none->kind == IW_E_NONE ? 0 : iw_fail(err, none->kind, "%s", none->message);
}

/* Without any mirror the snapshot archive alone does. */
static int find_debian(iw_origins *origins, const iw_debian_file *file, iw_strings *urls,
                       iw_error *err)
{
    if (iw_origins_mirrors(origins, err) != 0) {
        if (!origins->snapshot) return iw_wrap(err, "%s", file->file);
        iw_error_clear(err);
    }
    iw_debian_urls(&origins->mirrors, file, urls);
    if (origins->snapshot) iw_snapshot_urls(origins->snapshot, file, urls);
    return 0;
}

int iw_origins_urls(iw_origins *origins, const iw_wanted *wanted, iw_strings *urls, iw_error *err)
{
    iw_debian_file debian;
    if (iw_debian_file_of(wanted, &debian)) return find_debian(origins, &debian, urls, err);
    if (wanted->source->kind == IW_SOURCE_PYPI)
        return find_pypi(origins, wanted->source, urls, err);
    iw_strings_add(urls, wanted->source->name);
    iw_strings_add_all(urls, wanted->source->mirrors.items);
    return 0;
}

/* --- what is wanted ------------------------------------------------------- */

bool iw_wanted_is_file(const iw_wanted *wanted)
{
    return wanted->package ||
           (wanted->source->kind != IW_SOURCE_LOCAL && wanted->source->kind != IW_SOURCE_CRATES);
}

const char *iw_wanted_digest(const iw_wanted *wanted)
{
    return wanted->package ? wanted->package->sha256 : wanted->source->sha256;
}

char *iw_wanted_label(const iw_wanted *wanted)
{
    if (wanted->package) return iw_strdup(iw_path_base(wanted->package->file));
    return iw_strdup(wanted->source->file ? wanted->source->file : wanted->source->name);
}
