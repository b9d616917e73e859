#include "fetch/fetch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/crates.h"
#include "fetch/git.h"
#include "fetch/transfer.h"
#include "fetch/where.h"


static const char *digest_of(const iw_wanted *wanted)
{
    return wanted->package ? wanted->package->sha256 : wanted->source->sha256;
}

/* Local sources are in the tree; a crates source is a lock file inside another one: its crates are files of their own. */
static bool is_file(const iw_wanted *wanted)
{
    return wanted->package || (wanted->source->kind != IW_SOURCE_LOCAL && wanted->source->kind != IW_SOURCE_CRATES);
}

static char *label_of(const iw_wanted *wanted)
{
    if (wanted->package) return iw_strdup(iw_path_base(wanted->package->file));
    return iw_strdup(wanted->source->file ? wanted->source->file : wanted->source->name);
}

/* --- addresses ---------------------------------------------------------------------------------------------------------------------- */

struct origins { /* asked for when first needed */
    const iw_fetch_options *options;
    iw_transfer_options transfer;
    iw_strings indexes, mirrors;
    iw_pypi_pages *pages;
    char *certificates;
};

static void origins_free(struct origins *origins)
{
    iw_strings_free(&origins->indexes);
    iw_strings_free(&origins->mirrors);
    iw_pypi_pages_free(origins->pages);
    free(origins->certificates);
}

static int find_pypi(struct origins *origins, const iw_source *source, iw_strings *urls, iw_error *err)
{
    if (origins->indexes.count == 0 && iw_pypi_indexes(origins->options, &origins->indexes, err) != 0) return -1;
    if (!origins->pages) origins->pages = iw_pypi_pages_new();
    iw_transfer_options transfer = origins->transfer;
    transfer.certificates = origins->certificates;
    return iw_pypi_find(origins->pages, &origins->indexes, source, &transfer, urls, err);
}

static int find_debian(struct origins *origins, const char *source, const char *file, const char *path, iw_strings *urls, iw_error *err)
{
    if (origins->mirrors.count == 0 && iw_debian_mirrors(origins->options, &origins->mirrors, err) != 0) return -1;
    iw_debian_urls(&origins->mirrors, source, file, path, urls);
    return 0;
}

static void add_import(const iw_fetch_options *options, const char *sha256, iw_strings *urls)
{
    if (options->import) iw_strings_add_format(urls, "%s/by-sha256/%s", options->import, sha256);
}

static int find_urls(struct origins *origins, const iw_wanted *wanted, iw_strings *urls, iw_error *err)
{
    add_import(origins->options, digest_of(wanted), urls);
    iw_error why = IW_ERROR_INIT;
    int status = 0;
    if (wanted->package) {
        status = find_debian(origins, "", "", wanted->package->file, urls, &why);
    } else if (wanted->source->kind == IW_SOURCE_PYPI) {
        status = find_pypi(origins, wanted->source, urls, &why);
    } else if (wanted->source->kind == IW_SOURCE_DEBIAN) {
        status = find_debian(origins, wanted->source->name, wanted->source->file, NULL, urls, &why);
    } else {
        iw_strings_add(urls, wanted->source->name);
        iw_strings_add_all(urls, wanted->source->mirrors.items);
    }
    if (status != 0 && urls->count) { /* the mirror folder may have it */
        iw_error_clear(&why);
        return 0;
    }
    if (status != 0) iw_error_move(err, &why);
    return status;
}

/* --- fetching ------------------------------------------------------------------------------------------------------------------------- */

typedef struct fetch_batch {
    iw_transfer *transfers;
    size_t count, capacity;
    iw_strings failures;
    iw_error_kind kind;
} fetch_batch;

static void note_failure(fetch_batch *batch, iw_store *store, const char *sha256, const iw_error *why)
{
    iw_strings_add(&batch->failures, iw_error_text(why));
    batch->kind = why->kind;
    (void)!iw_store_note_fetch(store, sha256, iw_error_text(why), NULL);
}

static iw_transfer *add_transfer(fetch_batch *batch, iw_store *store, const char *sha256, char *label)
{
    for (size_t i = 0; i < batch->count; i++)
        if (strcmp(batch->transfers[i].sha256, sha256) == 0) { /* two recipes may share a source */
            free(label);
            return NULL;
        }
    iw_grow((void **)&batch->transfers, &batch->capacity, batch->count + 1, sizeof *batch->transfers);
    iw_transfer *transfer = &batch->transfers[batch->count++];
    memset(transfer, 0, sizeof *transfer);
    snprintf(transfer->sha256, sizeof transfer->sha256, "%s", sha256);
    transfer->label = label;
    iw_cleanup_free char *name = iw_format("%s.part", sha256);
    transfer->part = iw_store_path(store, "tmp", name);
    return transfer;
}

static int add_wanted(fetch_batch *batch, iw_store *store, struct origins *origins, const iw_wanted *wanted, iw_error *err)
{
    bool has = false;
    const char *sha256 = digest_of(wanted);
    if (iw_store_has_source(store, sha256, &has, err) != 0) return -1;
    if (has) return 0;
    iw_error why = IW_ERROR_INIT;
    if (wanted->source && wanted->source->kind == IW_SOURCE_GIT && !origins->options->import) {
        if (iw_git_fetch(store, wanted->source, origins->options, &why) != 0) {
            if (why.kind == IW_E_CANCELLED) {
                iw_error_move(err, &why);
                return -1;
            }
            note_failure(batch, store, sha256, &why);
        }
        iw_error_clear(&why);
        return 0;
    }
    iw_transfer *transfer = add_transfer(batch, store, sha256, label_of(wanted));
    if (!transfer) return 0;
    transfer->size = wanted->package ? wanted->package->size : 0;
    if (find_urls(origins, wanted, &transfer->urls, &why) != 0) {
        note_failure(batch, store, sha256, &why);
        iw_error_clear(&why);
        iw_transfer_clear(transfer);
        batch->count--;
    }
    return 0;
}

static int keep_results(fetch_batch *batch, iw_store *store, iw_error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        iw_transfer *transfer = &batch->transfers[i];
        if (!transfer->done) {
            if (transfer->err.kind != IW_E_NONE) note_failure(batch, store, transfer->sha256, &transfer->err);
            continue;
        }
        if (iw_store_add_source(store, transfer->part, transfer->sha256, transfer->label, err) != 0) return -1;
        if (iw_store_note_fetch(store, transfer->sha256, NULL, err) != 0) return -1;
    }
    return 0;
}

static void batch_free(fetch_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) iw_transfer_clear(&batch->transfers[i]);
    free(batch->transfers);
    iw_strings_free(&batch->failures);
}

static int sum_up(const fetch_batch *batch, iw_error *err)
{
    if (batch->failures.count == 0) return 0;
    iw_buffer text = {0};
    for (size_t i = 0; i < batch->failures.count; i++) iw_buffer_add_format(&text, "%s%s", i ? "\n" : "", batch->failures.items[i]);
    iw_fail(err, batch->kind, "%s\n%zu of the files needed could not be fetched; what was downloaded is kept: run the same command again", text.data,
            batch->failures.count);
    iw_buffer_free(&text);
    return -1;
}

static int run_batch(fetch_batch *batch, iw_store *store, struct origins *origins, iw_error *err)
{
    iw_error why = IW_ERROR_INIT;
    int status = iw_transfer_all(batch->transfers, batch->count, &origins->transfer, &why);
    iw_error kept = IW_ERROR_INIT;
    int stored = keep_results(batch, store, &kept); /* also after Ctrl-C */
    if (status != 0)
        iw_error_move(err, &why);
    else if (stored != 0)
        iw_error_move(err, &kept);
    iw_error_clear(&kept);
    return status != 0 || stored != 0 ? -1 : 0;
}

static int refuse_offline(iw_store *store, const iw_wanted *wanted, size_t count, iw_error *err)
{
    iw_buffer names = {0};
    size_t missing = 0;
    bool *lacking = iw_alloc(count ? count : 1);
    if (iw_fetch_missing(store, wanted, count, lacking, err) != 0) {
        free(lacking);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!lacking[i]) continue;
        iw_cleanup_free char *label = label_of(&wanted[i]);
        iw_buffer_add_format(&names, "\n  %s%s%s", label, wanted[i].recipe ? " for " : "", wanted[i].recipe ? wanted[i].recipe->name : "");
        missing++;
    }
    free(lacking);
    int status = missing ? iw_fail(err, IW_E_NETWORK, "%zu files are not in the store, and --offline forbids fetching them:%s\nrun `ironwheel fetch` for the "
                                                      "stack where there is a network", missing, names.data)
                         : 0;
    iw_buffer_free(&names);
    return status;
}

/* Crates: the lock files are inside sources that are here by now. */
static int add_crates(fetch_batch *batch, iw_store *store, struct origins *origins, const iw_wanted *wanted, size_t count, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!wanted[i].source || wanted[i].source->kind != IW_SOURCE_CRATES) continue;
        iw_crates crates = {0};
        iw_error why = IW_ERROR_INIT;
        if (iw_crates_read(store, wanted[i].recipe, wanted[i].source, &crates, &why) != 0) {
            note_failure(batch, store, wanted[i].source->sha256, &why);
            iw_error_clear(&why);
            continue;
        }
        for (size_t c = 0; c < crates.count; c++) {
            bool has = false;
            if (iw_store_has_source(store, crates.items[c].checksum, &has, err) != 0) return -1;
            if (has) continue;
            iw_transfer *transfer = add_transfer(batch, store, crates.items[c].checksum, iw_format("%s-%s.crate", crates.items[c].name, crates.items[c].version));
            if (!transfer) continue;
            add_import(origins->options, transfer->sha256, &transfer->urls);
            if (iw_crates_urls(&crates.items[c], &origins->transfer, &transfer->urls, &why) != 0 && transfer->urls.count == 0) {
                note_failure(batch, store, transfer->sha256, &why);
                iw_transfer_clear(transfer);
                batch->count--;
            }
            iw_error_clear(&why);
        }
        iw_crates_free(&crates);
    }
    return 0;
}

int iw_fetch_all(iw_store *store, const iw_wanted *wanted, size_t count, const iw_fetch_options *options, iw_error *err)
{
    if (options->offline) return refuse_offline(store, wanted, count, err);
    struct origins origins = {.options = options, .transfer = {.parallel = options->parallel, .cancel = options->cancel, .sink = options->sink}};
    origins.certificates = iw_pypi_certificates();
    fetch_batch files = {0}, crates = {0};
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++)
        if (is_file(&wanted[i])) status = add_wanted(&files, store, &origins, &wanted[i], err);
    if (status == 0) status = run_batch(&files, store, &origins, err);
    if (status == 0) status = sum_up(&files, err);
    if (status == 0) status = add_crates(&crates, store, &origins, wanted, count, err);
    if (status == 0) status = run_batch(&crates, store, &origins, err);
    if (status == 0) status = sum_up(&crates, err);
    batch_free(&files);
    batch_free(&crates);
    origins_free(&origins);
    return status;
}

/* --- questions -------------------------------------------------------------------------------------------------------------------------- */

int iw_fetch_missing(iw_store *store, const iw_wanted *wanted, size_t count, bool *missing, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool has = true;
        missing[i] = false;
        if (is_file(&wanted[i])) {
            if (iw_store_has_source(store, digest_of(&wanted[i]), &has, err) != 0) return -1;
        } else if (wanted[i].source->kind == IW_SOURCE_CRATES) {
            if (iw_crates_all_here(store, wanted[i].recipe, wanted[i].source, &has, err) != 0) return -1;
        }
        missing[i] = !has;
    }
    return 0;
}

int iw_fetch_digests(iw_store *store, const iw_wanted *wanted, size_t count, iw_strings *out, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (is_file(&wanted[i])) {
            iw_strings_add(out, digest_of(&wanted[i]));
        } else if (wanted[i].source->kind == IW_SOURCE_CRATES) {
            iw_crates crates = {0};
            if (iw_crates_read(store, wanted[i].recipe, wanted[i].source, &crates, NULL) != 0) continue; /* not here: nothing to keep */
            for (size_t c = 0; c < crates.count; c++) iw_strings_add(out, crates.items[c].checksum);
            iw_crates_free(&crates);
        }
    }
    (void)err;
    return 0;
}

/* --- export ----------------------------------------------------------------------------------------------------------------------------- */

static int export_one(iw_store *store, const char *sha256, const char *folder, iw_error *err)
{
    iw_cleanup_free char *to = iw_path_join3(folder, "by-sha256", sha256);
    if (iw_exists(to)) {
        char digest[IW_SHA256_HEX];
        if (iw_hash_file(to, digest, NULL, NULL) == 0 && strcmp(digest, sha256) == 0) return 0;
    }
    iw_cleanup_fd int fd = -1;
    if (iw_store_open_source(store, sha256, &fd, err) != 0) return -1;
    iw_cleanup_free char *from = iw_store_source_path(store, sha256), *temporary = iw_format("%s.new", to);
    if (iw_copy_file(from, temporary, err) != 0) return -1;
    char digest[IW_SHA256_HEX];
    if (iw_hash_file(temporary, digest, NULL, err) != 0) return -1;
    if (strcmp(digest, sha256) != 0) return iw_fail(err, IW_E_DIGEST, "%s was damaged while it was copied: SHA-256 %s, not %s", temporary, digest, sha256);
    return iw_publish(temporary, to, err);
}

int iw_fetch_export(iw_store *store, const iw_wanted *wanted, size_t count, const char *folder, const iw_sink *sink, iw_error *err)
{
    iw_cleanup_free char *files = iw_path_join(folder, "by-sha256");
    if (iw_make_folders(files, 0755, err) != 0) return -1;
    iw_cleanup_strings iw_strings digests = {0};
    if (iw_fetch_digests(store, wanted, count, &digests, err) != 0) return -1;
    iw_strings_sort(&digests);
    for (size_t i = 0; i < digests.count; i++) {
        if (i && strcmp(digests.items[i], digests.items[i - 1]) == 0) continue;
        if (export_one(store, digests.items[i], folder, err) != 0) return iw_wrap(err, "exporting to %s", folder);
        iw_emit(sink, (iw_event){.type = IW_EVENT_PROGRESS, .subject = "export", .phase = "fetch", .count = i + 1, .total = digests.count});
    }
    json_t *index = json_object();
    for (size_t i = 0; i < count; i++) {
        if (!is_file(&wanted[i])) continue;
        iw_cleanup_free char *label = label_of(&wanted[i]);
        json_object_set_new(index, digest_of(&wanted[i]), json_string(label));
    }
    char *text = json_dumps(index, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(index);
    iw_cleanup_free char *path = iw_path_join(folder, "index.json");
    int status = iw_write_file(path, text, strlen(text), 0644, err);
    free(text);
    return status;
}
