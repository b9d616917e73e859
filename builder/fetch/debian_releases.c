/* Which versions of source packages Debian's releases have, by their signed lists of sources. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/process.h"
#include "fetch/debian.h"
#include "fetch/fetch.h"
#include "fetch/where.h"

void iw_debian_releases_free(iw_debian_releases *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].package), free(list->items[i].version);
        iw_strings_free(&list->items[i].files);
        iw_strings_free(&list->items[i].sha256);
    }
    free(list->items);
    *list = (iw_debian_releases){0};
}

int iw_debian_compare_text(const char *a, const char *b)
{
    return iw_debian_compare(iw_slice_of(a), iw_slice_of(b));
}

/* --- Sources: deb-control(5), "Debian source control files" ----------------- */

static bool known(const iw_debian_releases *list, const iw_debian_release *one)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].package, one->package) == 0 &&
            strcmp(list->items[i].version, one->version) == 0)
            return true;
    return false;
}

static void end_stanza(iw_debian_releases *list, iw_debian_release *one, const iw_strings *wanted)
{
    bool take = one->package && one->version && one->files.count &&
                iw_strings_has(wanted, one->package) && !known(list, one);
    iw_debian_releases holder = {one, 1, 1};
    if (take) {
        iw_grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items);
        list->items[list->count++] = *one;
    } else {
        free(one->package), free(one->version);
        iw_strings_free(&one->files);
        iw_strings_free(&one->sha256);
    }
    *holder.items = (iw_debian_release){0};
}

static void take_file(iw_debian_release *one, iw_slice line)
{
    char digest[IW_SHA256_HEX] = "", size[24] = "", name[256] = "";
    iw_cleanup_free char *text = iw_strndup(line.data, line.length);
    if (sscanf(text, " %64s %23s %255s", digest, size, name) != 3 || !iw_is_sha256(digest)) return;
    iw_strings_add(&one->files, name);
    iw_strings_add(&one->sha256, digest);
}

static void take_field(iw_slice line, const char *key, char **out)
{
    size_t length = strlen(key);
    if (line.length <= length || memcmp(line.data, key, length) != 0) return;
    iw_slice value = iw_slice_trim((iw_slice){line.data + length, line.length - length});
    free(*out);
    *out = iw_strndup(value.data, value.length);
}

void iw_debian_releases_take(iw_debian_releases *list, const iw_strings *wanted, const char *text)
{
    static const char checksums[] = "Checksums-Sha256:";
    iw_slice rest = iw_slice_of(text), line;
    iw_debian_release one = {0};
    bool inside = false;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (line.length == 0) end_stanza(list, &one, wanted);
        else if (line.data[0] == ' ') {
            if (inside) take_file(&one, line);
        } else {
            inside = line.length >= strlen(checksums) &&
                     memcmp(line.data, checksums, strlen(checksums)) == 0;
            take_field(line, "Package:", &one.package);
            take_field(line, "Version:", &one.version);
        }
    }
    end_stanza(list, &one, wanted);
}

/* --- suites ------------------------------------------------------------------ */

/* The releases that apt is configured with; none where there is no apt. */
static void add_apts(iw_strings *suites)
{
    static const char *const argv[] = {"apt-get",     "indextargets",         "--format",
                                       "$(CODENAME)", "Created-By: Packages", NULL};
    iw_cleanup_free char *text = NULL;
    if (iw_run_capture(argv, NULL, 1 << 20, &text, NULL, NULL) != 0) return;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *name = iw_strndup(line.data, line.length);
        if (*name && !strchr(name, '-') && !strchr(name, '/') && !iw_strings_has(suites, name))
            iw_strings_add(suites, name);
    }
}

static int read_suite(const iw_debian_archive *archive, const char *suite, const iw_strings *wanted,
                      iw_debian_releases *out, size_t *read, iw_error *err)
{
    static const char *const parts[] = {"", "-security", "-updates"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        iw_cleanup_free char *name = iw_format("%s%s", suite, parts[i]), *text = NULL,
                             *where = NULL;
        iw_error why = IW_ERROR_INIT;
        if (iw_debian_list_fetch(archive, name, "main/source/Sources", &text, &where, &why) != 0) {
            bool stop = why.kind == IW_E_CANCELLED || why.kind == IW_E_ENVIRONMENT;
            iw_cleanup_free char *note = iw_format("going on without %s: %s", name, why.message);
            if (stop) iw_error_move(err, &why);
            else
                iw_emit(archive->transfer->sink,
                        (iw_event){.type = IW_EVENT_NOTE, .subject = "sources", .detail = note});
            iw_error_clear(&why);
            if (stop) return -1;
        }
        if (!text) continue;
        iw_debian_releases_take(out, wanted, text);
        (*read)++;
    }
    return 0;
}

int iw_fetch_debian_releases(const iw_strings *packages, const iw_fetch_options *options,
                             iw_debian_releases *out, iw_error *err)
{
    static const char *const always[] = {"stable", "testing", "unstable", NULL};
    iw_cleanup_strings iw_strings mirrors = {0}, suites = {0};
    iw_debian_archive archive;
    size_t read = 0;
    *out = (iw_debian_releases){0};
    if (options->offline)
        return iw_fail(err, IW_E_NETWORK,
                       "Debian's lists of sources must be asked, and --offline forbids it");
    if (iw_debian_mirrors(options, &mirrors, err) != 0) return -1;
    add_apts(&suites);
    iw_strings_add_all(&suites, always);
    iw_transfer_options transfer = {.cancel = options->cancel,
                                    .sink = options->sink,
                                    .backoff = options->backoff,
                                    .stall = options->stall};
    int status = iw_debian_archive_open(&mirrors, &transfer, &archive, err);
    for (size_t i = 0; i < suites.count && status == 0; i++)
        status = read_suite(&archive, suites.items[i], packages, out, &read, err);
    if (status == 0 && read == 0)
        status = iw_fail(err, IW_E_NETWORK, "no mirror has a list of sources (asked: %s)",
                         mirrors.items[0]);
    iw_debian_archive_close(&archive);
    if (status != 0) iw_debian_releases_free(out);
    return status;
}
