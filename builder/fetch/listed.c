#include "fetch/listed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/debian.h"

void iw_listed_free(iw_listed *listed)
{
    for (size_t i = 0; i < listed->count; i++) free(listed->items[i].name);
    free(listed->items);
    *listed = (iw_listed){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const iw_listed_file *)a)->name, ((const iw_listed_file *)b)->name);
}

void iw_listed_want(iw_listed *listed, const char *name, bool source)
{
    iw_grow((void **)&listed->items, &listed->capacity, listed->count + 1, sizeof *listed->items);
    listed->items[listed->count++] = (iw_listed_file){.name = iw_strdup(name), .source = source};
    listed->missing++;
    qsort(listed->items, listed->count, sizeof *listed->items, by_name);
}

static iw_listed_file *find(const iw_listed *listed, const char *name)
{
    iw_listed_file key = {.name = (char *)name};
    return listed->count ? bsearch(&key, listed->items, listed->count, sizeof key, by_name) : NULL;
}

bool iw_listed_find(const iw_listed *listed, const char *name, const char **sha256, uint64_t *size)
{
    const iw_listed_file *file = find(listed, name);
    if (!file || !file->found) return false;
    *sha256 = file->sha256;
    *size = file->size;
    return true;
}

/* --- lists: deb-control(5), the Debian wiki's "DebianRepository/Format" ---- */

static void note(iw_listed *listed, const char *name, const char *sha256, const char *size)
{
    iw_listed_file *file = find(listed, name);
    uint64_t bytes;
    if (!file || file->found || !iw_is_sha256(sha256) ||
        !iw_parse_unsigned(size, UINT64_MAX, &bytes))
        return;
    memcpy(file->sha256, sha256, IW_SHA256_HEX);
    file->size = bytes;
    file->found = true;
    listed->missing--;
}

/* One of Packages: three fields of a stanza. */
struct stanza {
    char *file, *sha256, *size;
};

static void end_stanza(iw_listed *listed, struct stanza *stanza)
{
    if (stanza->file && stanza->sha256 && stanza->size)
        note(listed, iw_path_base(stanza->file), stanza->sha256, stanza->size);
    free(stanza->file), free(stanza->sha256), free(stanza->size);
    *stanza = (struct stanza){0};
}

static bool take_value(iw_slice line, const char *key, char **out)
{
    size_t length = strlen(key);
    if (line.length <= length || memcmp(line.data, key, length) != 0) return false;
    iw_slice value = iw_slice_trim((iw_slice){line.data + length, line.length - length});
    free(*out);
    *out = iw_strndup(value.data, value.length);
    return true;
}

/* " <digest> <size> <name>" below "Checksums-Sha256:", of Sources. */
static void take_checksum(iw_listed *listed, iw_slice line)
{
    char digest[IW_SHA256_HEX] = "", size[24] = "", name[256] = "";
    iw_cleanup_free char *text = iw_strndup(line.data, line.length);
    if (sscanf(text, " %64s %23s %255s", digest, size, name) == 3) note(listed, name, digest, size);
}

void iw_listed_take(iw_listed *listed, const char *text)
{
    iw_slice rest = iw_slice_of(text), line;
    struct stanza stanza = {0};
    bool checksums = false;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (line.length == 0) end_stanza(listed, &stanza);
        else if (line.data[0] == ' ') {
            if (checksums) take_checksum(listed, line);
        } else {
            checksums = line.length == 17 && memcmp(line.data, "Checksums-Sha256:", 17) == 0;
            (void)(take_value(line, "Filename:", &stanza.file) ||
                   take_value(line, "SHA256:", &stanza.sha256) ||
                   take_value(line, "Size:", &stanza.size));
        }
    }
    end_stanza(listed, &stanza);
}

/* --- suites --------------------------------------------------------------- */

static bool wants(const iw_listed *listed, bool source)
{
    for (size_t i = 0; i < listed->count; i++)
        if (!listed->items[i].found && listed->items[i].source == source) return true;
    return false;
}

/* An index that can't be read leaves the others: what isn't found then may still be in it. */
static int pass_over(iw_listed *listed, const iw_debian_archive *archive, const char *suite,
                     iw_error *why, iw_error *err)
{
    listed->complete = false;
    if (why->kind == IW_E_CANCELLED || why->kind == IW_E_ENVIRONMENT) {
        iw_error_move(err, why);
        return -1;
    }
    iw_cleanup_free char *note = iw_format("going on without %s: %s", suite, why->message);
    iw_emit(archive->transfer->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = "sources", .detail = note});
    iw_error_clear(why);
    return 0;
}

static int read_list(iw_listed *listed, const iw_debian_archive *archive, const char *suite,
                     bool source, iw_error *err)
{
    const char *list = source ? "main/source/Sources" : "main/binary-amd64/Packages";
    iw_cleanup_free char *text = NULL, *where = NULL;
    iw_error why = IW_ERROR_INIT;
    if (!wants(listed, source)) return 0;
    if (iw_debian_list_fetch(archive, suite, list, &text, &where, &why) != 0)
        return pass_over(listed, archive, suite, &why, err);
    if (!text) return 0;
    iw_listed_take(listed, text);
    listed->read = true;
    return 0;
}

static int read_suite(iw_listed *listed, const iw_debian_archive *archive, const char *name,
                      iw_error *err)
{
    static const char *const parts[] = {"", "-security", "-updates"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        iw_cleanup_free char *suite = iw_format("%s%s", name, parts[i]);
        if (read_list(listed, archive, suite, false, err) != 0 ||
            read_list(listed, archive, suite, true, err) != 0)
            return -1;
    }
    return 0;
}

int iw_listed_read(iw_listed *listed, const iw_strings *first, const iw_strings *mirrors,
                   const iw_transfer_options *transfer, iw_error *err)
{
    static const char *const others[] = {"stable", "oldstable", "testing", "unstable", NULL};
    iw_cleanup_strings iw_strings suites = {0};
    iw_debian_archive archive;
    iw_strings_add_all(&suites, (const char *const *)first->items);
    iw_strings_add_all(&suites, others);
    listed->complete = true;
    int status = iw_debian_archive_open(mirrors, transfer, &archive, err);
    for (size_t i = 0; i < suites.count && status == 0; i++)
        status = read_suite(listed, &archive, suites.items[i], err);
    listed->complete = listed->complete && listed->read && status == 0;
    iw_debian_archive_close(&archive);
    return status;
}
