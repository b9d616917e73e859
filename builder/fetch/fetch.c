#include "fetch/fetch.h"

#include <poll.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/accept.h"
#include "fetch/crates.h"
#include "fetch/git.h"
#include "fetch/gone.h"
#include "fetch/origins.h"
#include "fetch/snapshot.h"
#include "fetch/transfer.h"
#include "fetch/where.h"

/* --- fetching ------------------------------------------------------------- */

typedef struct fetch_batch {
    iw_transfer *transfers;
    const iw_wanted **wanted; /* of each transfer; NULL for what isn't one */
    size_t count, capacity, wanted_capacity;
    iw_strings failures;
    const iw_wanted **gone; /* Debian files that no archive has any more */
    size_t gone_count, gone_capacity;
    iw_error_kind kind;
} fetch_batch;

static void note_failure(fetch_batch *batch, iw_store *store, const iw_origins *origins,
                         const char *sha256, const iw_error *why)
{
    iw_buffer text = {0};
    for (size_t i = 0; i + 1 < origins->misses.count; i += 2)
        if (strcmp(origins->misses.items[i], sha256) == 0)
            iw_buffer_add_format(&text, "%s", origins->misses.items[i + 1]);
    iw_buffer_add_text(&text, iw_error_text(why));
    iw_strings_add(&batch->failures, text.data);
    batch->kind = why->kind;
    (void)!iw_store_note_fetch(store, sha256, text.data, NULL);
    iw_buffer_free(&text);
}

static iw_transfer *add_transfer(fetch_batch *batch, iw_store *store, const char *sha256,
                                 char *label)
{
    for (size_t i = 0; i < batch->count; i++)
        if (strcmp(batch->transfers[i].sha256, sha256) == 0) { /* two recipes may share a source */
            free(label);
            return NULL;
        }
    iw_grow((void **)&batch->transfers, &batch->capacity, batch->count + 1,
            sizeof *batch->transfers);
    iw_grow((void **)&batch->wanted, &batch->wanted_capacity, batch->count + 1,
            sizeof *batch->wanted);
    batch->wanted[batch->count] = NULL;
    iw_transfer *transfer = &batch->transfers[batch->count++];
    memset(transfer, 0, sizeof *transfer);
    snprintf(transfer->sha256, sizeof transfer->sha256, "%s", sha256);
    transfer->label = label;
    iw_cleanup_free char *name = iw_format("%s.part", sha256);
    transfer->part = iw_store_path(store, "tmp", name);
    return transfer;
}

static bool is_debian(const iw_wanted *wanted)
{
    iw_debian_file file;
    return iw_debian_file_of(wanted, &file);
}

static int add_wanted(fetch_batch *batch, iw_store *store, iw_origins *origins,
                      const iw_wanted *wanted, iw_error *err)
{
    bool has = false;
    const char *sha256 = iw_wanted_digest(wanted);
    if (iw_store_has_source(store, sha256, &has, err) != 0) return -1;
    if (has) return 0;
    iw_error why = IW_ERROR_INIT;
    iw_transfer *transfer = add_transfer(batch, store, sha256, iw_wanted_label(wanted));
    if (!transfer) return 0;
    transfer->size = wanted->package ? wanted->package->size : 0;
    transfer->quiet = is_debian(wanted);
    batch->wanted[batch->count - 1] = wanted;
    if (iw_origins_urls(origins, wanted, &transfer->urls, &why) != 0) {
        if (why.kind == IW_E_CANCELLED) {
            iw_error_move(err, &why);
            return -1;
        }
        note_failure(batch, store, origins, sha256, &why);
        iw_error_clear(&why);
        iw_transfer_clear(transfer);
        batch->count--;
    }
    return 0;
}

static int keep_results(fetch_batch *batch, iw_store *store, const iw_origins *origins,
                        iw_error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        iw_transfer *transfer = &batch->transfers[i];
        if (!transfer->done) {
            if (transfer->err.kind != IW_E_NONE && !transfer->quiet)
                note_failure(batch, store, origins, transfer->sha256, &transfer->err);
            continue;
        }
        if (iw_store_add_source(store, transfer->part, transfer->sha256, transfer->label, err) != 0)
            return -1;
        if (iw_store_note_fetch(store, transfer->sha256, NULL, err) != 0) return -1;
    }
    return 0;
}

static void batch_free(fetch_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) iw_transfer_clear(&batch->transfers[i]);
    free(batch->transfers);
    free((void *)batch->wanted);
    free((void *)batch->gone);
    iw_strings_free(&batch->failures);
}

static int sum_up(const fetch_batch *batch, const iw_origins *origins, iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0};
    if (batch->failures.count == 0 && batch->gone_count == 0) return 0;
    for (size_t i = 0; i < batch->failures.count; i++)
        iw_buffer_add_format(&text, "%s\n", batch->failures.items[i]);
    if (batch->failures.count)
        iw_buffer_add_format(&text,
                             "%zu of the files needed could not be fetched; what was downloaded is "
                             "kept: run the same command again",
                             batch->failures.count);
    if (batch->failures.count && batch->gone_count) iw_buffer_add_char(&text, '\n');
    if (batch->gone_count)
        iw_gone_add_text(&text, &(iw_gone){.files = batch->gone,
                                           .count = batch->gone_count,
                                           .mirrors = &origins->mirrors,
                                           .snapshot = origins->snapshot,
                                           .renewal = origins->options->renewal});
    return iw_fail(err, batch->failures.count ? batch->kind : IW_E_NOT_FOUND, "%s", text.data);
}

static int run_batch(fetch_batch *batch, iw_store *store, const iw_origins *origins, iw_error *err)
{
    iw_error why = IW_ERROR_INIT;
    int status = iw_transfer_all(batch->transfers, batch->count, &origins->transfer, &why);
    iw_error kept = IW_ERROR_INIT;
    int stored = keep_results(batch, store, origins, &kept); /* also after Ctrl-C */
    if (status != 0) iw_error_move(err, &why);
    else if (stored != 0) iw_error_move(err, &kept);
    iw_error_clear(&kept);
    return status != 0 || stored != 0 ? -1 : 0;
}

/* --- Debian files that the mirrors have dropped ---------------------------- */

static void note_debian(fetch_batch *batch, iw_store *store, const iw_origins *origins,
                        size_t which, const iw_error *why)
{
    const iw_transfer *transfer = &batch->transfers[which];
    bool gone = why->kind == IW_E_NOT_FOUND;
    iw_emit(origins->transfer.sink,
            (iw_event){.type = IW_EVENT_FAILED,
                       .subject = transfer->label,
                       .phase = "fetch",
                       .detail = gone ? "no archive that was asked has it" : why->message});
    if (!gone) {
        note_failure(batch, store, origins, transfer->sha256, why);
        return;
    }
    iw_grow((void **)&batch->gone, &batch->gone_capacity, batch->gone_count + 1,
            sizeof *batch->gone);
    batch->gone[batch->gone_count++] = batch->wanted[which];
    (void)!iw_store_note_fetch(store, transfer->sha256, why->message, NULL);
}

/* What came of both looks: gone only where each says so. */
static void join(iw_error *first, iw_error *second)
{
    if (second->kind == IW_E_NONE) return;
    iw_error_kind kind = second->kind == IW_E_NOT_FOUND ? first->kind : second->kind;
    iw_cleanup_free char *text = iw_format("%s  %s\n", iw_error_text(first), second->message);
    iw_fail(first, kind, "%s", text);
}

static int look_up(fetch_batch *late, iw_store *store, const iw_origins *origins,
                   iw_transfer *missed, const iw_wanted *wanted, iw_error *err)
{
    iw_debian_file file;
    iw_cleanup_strings iw_strings urls = {0};
    iw_error why = IW_ERROR_INIT;
    (void)iw_debian_file_of(wanted, &file);
    if (iw_snapshot_find(origins->snapshot, &file, &origins->transfer, &urls, &why) != 0) {
        bool cancelled = why.kind == IW_E_CANCELLED;
        if (cancelled) iw_error_move(err, &why);
        else join(&missed->err, &why);
        iw_error_clear(&why);
        return cancelled ? -1 : 0;
    }
    iw_transfer *again = add_transfer(late, store, missed->sha256, iw_strdup(missed->label));
    again->size = missed->size;
    again->quiet = true;
    iw_strings_add_all(&again->urls, (const char *const *)urls.items);
    return 0;
}

/* The snapshot archive is asked for each by name, where there is one. */
static int look_all_up(fetch_batch *batch, iw_store *store, const iw_origins *origins,
                       iw_error *err)
{
    fetch_batch late = {0};
    int status = 0;
    for (size_t i = 0; i < batch->count && status == 0; i++)
        if (batch->transfers[i].quiet && batch->transfers[i].err.kind != IW_E_NONE)
            status = look_up(&late, store, origins, &batch->transfers[i], batch->wanted[i], err);
    if (status == 0) status = run_batch(&late, store, origins, err);
    for (size_t i = 0, k = 0; i < batch->count && k < late.count; i++) {
        if (strcmp(batch->transfers[i].sha256, late.transfers[k].sha256) != 0) continue;
        if (late.transfers[k].done) iw_error_clear(&batch->transfers[i].err);
        else join(&batch->transfers[i].err, &late.transfers[k].err);
        k++;
    }
    batch_free(&late);
    return status;
}

static int settle_debian(fetch_batch *batch, iw_store *store, const iw_origins *origins,
                         iw_error *err)
{
    if (origins->snapshot && look_all_up(batch, store, origins, err) != 0) return -1;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->transfers[i].quiet && batch->transfers[i].err.kind != IW_E_NONE)
            note_debian(batch, store, origins, i, &batch->transfers[i].err);
    return 0;
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
        iw_cleanup_free char *label = iw_wanted_label(&wanted[i]);
        iw_buffer_add_format(&names, "\n  %s%s%s", label, wanted[i].recipe ? " for " : "",
                             wanted[i].recipe ? wanted[i].recipe->name : "");
        missing++;
    }
    free(lacking);
    int status = missing ? iw_fail(err, IW_E_NETWORK,
                                   "%zu files are not in the store, and --offline forbids fetching "
                                   "them:%s\nrun `ironwheel fetch` for the "
                                   "stack where there is a network",
                                   missing, names.data)
                         : 0;
    iw_buffer_free(&names);
    return status;
}

static bool is_tree(const iw_wanted *wanted)
{
    return wanted->source && wanted->source->kind == IW_SOURCE_GIT;
}

/* --- the mirror folder: asked first, for everything at once, so that nothing else is where it has
 * all --- */

static void pass_but_failures(void *context, const iw_event *event)
{
    if (event->type != IW_EVENT_FAILED) iw_emit(context, *event);
}

/* Takes what is missing; a miss is no failure yet. `label` is taken over. */
static int add_import(fetch_batch *batch, iw_store *store, const iw_origins *origins,
                      const char *sha256, char *label, uint64_t size, iw_error *err)
{
    bool has = false;
    iw_transfer *transfer = NULL;
    int status = iw_store_has_source(store, sha256, &has, err);
    if (status == 0 && !has) transfer = add_transfer(batch, store, sha256, iw_strdup(label));
    free(label);
    if (!transfer) return status;
    transfer->size = size;
    iw_strings_add_format(&transfer->urls, "%s/by-sha256/%s", origins->import, sha256);
    return 0;
}

static int run_import(fetch_batch *batch, iw_store *store, iw_origins *origins, iw_error *err)
{
    iw_transfer_options usual = origins->transfer;
    iw_sink quiet = {pass_but_failures, (void *)(uintptr_t)usual.sink};
    origins->transfer.sink = &quiet;
    if (origins->options->import_hurried) origins->transfer.tries = 1, origins->transfer.stall = 4;
    int status = run_batch(batch, store, origins, err);
    origins->transfer = usual;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->transfers[i].done || batch->transfers[i].err.kind == IW_E_NONE) continue;
        iw_strings_add(&origins->misses, batch->transfers[i].sha256);
        iw_strings_add(&origins->misses, iw_error_text(&batch->transfers[i].err));
    }
    return status;
}

static int import_files(iw_store *store, iw_origins *origins, const iw_wanted *wanted, size_t count,
                        iw_error *err)
{
    fetch_batch batch = {0};
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++)
        if (iw_wanted_is_file(&wanted[i]))
            status = add_import(&batch, store, origins, iw_wanted_digest(&wanted[i]),
                                iw_wanted_label(&wanted[i]),
                                wanted[i].package ? wanted[i].package->size : 0, err);
    if (status == 0) status = run_import(&batch, store, origins, err);
    batch_free(&batch);
    return status;
}

static int import_crates(iw_store *store, iw_origins *origins, const iw_crates *crates,
                         iw_error *err)
{
    fetch_batch batch = {0};
    int status = 0;
    for (size_t i = 0; i < crates->count && status == 0; i++)
        status =
            add_import(&batch, store, origins, crates->items[i].checksum,
                       iw_format("%s-%s.crate", crates->items[i].name, crates->items[i].version), 0,
                       err);
    if (status == 0) status = run_import(&batch, store, origins, err);
    batch_free(&batch);
    return status;
}

/* --- git, crates ---------------------------------------------------------- */

static int fetch_trees(fetch_batch *batch, iw_store *store, iw_origins *origins,
                       const iw_wanted *wanted, size_t count, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool has = true;
        iw_error why = IW_ERROR_INIT;
        if (is_tree(&wanted[i]) &&
            iw_store_has_source(store, wanted[i].source->sha256, &has, err) != 0)
            return -1;
        if (has) continue;
        if (iw_git_fetch(store, wanted[i].source, origins->options, &why) == 0) {
            if (iw_store_note_fetch(store, wanted[i].source->sha256, NULL, err) != 0) return -1;
            continue;
        }
        if (why.kind == IW_E_CANCELLED) {
            iw_error_move(err, &why);
            return -1;
        }
        note_failure(batch, store, origins, wanted[i].source->sha256, &why);
        iw_error_clear(&why);
    }
    return 0;
}

static int add_crate(fetch_batch *batch, iw_store *store, iw_origins *origins,
                     const iw_crate *crate, iw_error *err)
{
    bool has = false;
    iw_error why = IW_ERROR_INIT;
    if (iw_store_has_source(store, crate->checksum, &has, err) != 0) return -1;
    iw_transfer *transfer =
        has ? NULL
            : add_transfer(batch, store, crate->checksum,
                           iw_format("%s-%s.crate", crate->name, crate->version));
    if (!transfer) return 0;
    if (iw_crates_urls(&origins->registries, crate, &origins->transfer, &transfer->urls, &why) !=
        0) {
        note_failure(batch, store, origins, transfer->sha256, &why);
        iw_transfer_clear(transfer);
        batch->count--;
    }
    iw_error_clear(&why);
    return 0;
}

/* The lock files are inside sources that are here by now. */
static int add_crates(fetch_batch *batch, iw_store *store, iw_origins *origins,
                      const iw_wanted *wanted, size_t count, iw_error *err)
{
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        if (!wanted[i].source || wanted[i].source->kind != IW_SOURCE_CRATES) continue;
        iw_crates crates = {0};
        iw_error why = IW_ERROR_INIT;
        if (iw_crates_read(store, wanted[i].recipe, wanted[i].source, &crates, &why) != 0) {
            note_failure(batch, store, origins, wanted[i].source->sha256, &why);
            iw_error_clear(&why);
            continue;
        }
        if (origins->import) status = import_crates(store, origins, &crates, err);
        for (size_t c = 0; c < crates.count && status == 0; c++)
            status = add_crate(batch, store, origins, &crates.items[c], err);
        iw_crates_free(&crates);
    }
    return status;
}

/* What is missing is under no licence that the user has yet to accept. */
static int any_missing(iw_store *store, const iw_wanted *wanted, size_t count,
                       const iw_fetch_options *options, bool *any, iw_error *err)
{
    bool *lacking = iw_alloc(count ? count : 1);
    int status = iw_fetch_missing(store, wanted, count, lacking, err);
    if (status == 0) status = iw_check_accepted(wanted, lacking, count, options, err);
    *any = false;
    for (size_t i = 0; i < count; i++) *any = *any || lacking[i];
    free(lacking);
    return status;
}

/* Two runs on one store take turns, so that none writes into the other's parts: the second one
 * finds what the first has brought. */
static int wait_for_turn(iw_store *store, const iw_fetch_options *options, int *lock, iw_error *err)
{
    iw_cleanup_free char *folder = iw_store_path(store, "tmp", ""),
                         *path = iw_store_path(store, "tmp", "fetch.lock");
    if (iw_make_folders(folder, 0755, err) != 0) return -1;
    for (bool told = false;; told = true) {
        if (iw_lock_file(path, true, false, lock, err) != 0) return -1;
        if (*lock >= 0) return 0;
        if (!told)
            iw_emit(options->sink,
                    (iw_event){.type = IW_EVENT_NOTE,
                               .detail = "waiting for another run that downloads into this store"});
        struct pollfd cancel = {options->cancel, POLLIN, 0};
        if (poll(&cancel, 1, 200) > 0 && cancel.revents)
            return iw_fail(err, IW_E_CANCELLED,
                           "stopped while waiting for another run's downloads");
    }
}

int iw_fetch_all(iw_store *store, const iw_wanted *wanted, size_t count,
                 const iw_fetch_options *options, iw_error *err)
{
    if (options->offline) return refuse_offline(store, wanted, count, err);
    bool any = false;
    iw_cleanup_fd int lock = -1;
    if (any_missing(store, wanted, count, options, &any, err) != 0) return -1;
    if (!any) return 0;
    if (wait_for_turn(store, options, &lock, err) != 0) return -1;
    iw_origins origins;
    fetch_batch files = {0}, crates = {0};
    int status = iw_origins_open(options, &origins, err);
    if (status == 0 && origins.import) status = import_files(store, &origins, wanted, count, err);
    for (size_t i = 0; i < count && status == 0; i++)
        if (iw_wanted_is_file(&wanted[i]) && !is_tree(&wanted[i]))
            status = add_wanted(&files, store, &origins, &wanted[i], err);
    if (status == 0) status = run_batch(&files, store, &origins, err);
    if (status == 0) status = settle_debian(&files, store, &origins, err);
    if (status == 0) status = fetch_trees(&files, store, &origins, wanted, count, err);
    if (status == 0) status = sum_up(&files, &origins, err);
    if (status == 0) status = add_crates(&crates, store, &origins, wanted, count, err);
    if (status == 0) status = run_batch(&crates, store, &origins, err);
    if (status == 0) status = sum_up(&crates, &origins, err);
    batch_free(&files);
    batch_free(&crates);
    iw_origins_free(&origins);
    return status;
}

/* --- questions ------------------------------------------------------------ */

int iw_fetch_missing(iw_store *store, const iw_wanted *wanted, size_t count, bool *missing,
                     iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool has = true;
        missing[i] = false;
        if (iw_wanted_is_file(&wanted[i])) {
            if (iw_store_has_source(store, iw_wanted_digest(&wanted[i]), &has, err) != 0) return -1;
        } else if (wanted[i].source->kind == IW_SOURCE_CRATES) {
            if (iw_crates_all_here(store, wanted[i].recipe, wanted[i].source, &has, err) != 0)
                return -1;
        }
        missing[i] = !has;
    }
    return 0;
}

/* `strict`: a lock file that can't be read is an error; else its crates are left out. */
static int list_digests(iw_store *store, const iw_wanted *wanted, size_t count, bool strict,
                        iw_strings *out, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (iw_wanted_is_file(&wanted[i])) {
            iw_strings_add(out, iw_wanted_digest(&wanted[i]));
        } else if (wanted[i].source->kind == IW_SOURCE_CRATES) {
            iw_crates crates = {0};
            if (iw_crates_read(store, wanted[i].recipe, wanted[i].source, &crates,
                               strict ? err : NULL) != 0) {
                if (strict) return -1;
                continue;
            }
            for (size_t c = 0; c < crates.count; c++) iw_strings_add(out, crates.items[c].checksum);
            iw_crates_free(&crates);
        }
    }
    return 0;
}

int iw_fetch_digests(iw_store *store, const iw_wanted *wanted, size_t count, iw_strings *out,
                     iw_error *err)
{
    return list_digests(store, wanted, count, false, out, err);
}

/* --- export --------------------------------------------------------------- */

static int export_one(iw_store *store, const char *sha256, const char *folder, iw_error *err)
{
    iw_cleanup_free char *to = iw_path_join3(folder, "by-sha256", sha256);
    if (iw_exists(to)) {
        char digest[IW_SHA256_HEX];
        if (iw_hash_file(to, digest, NULL, NULL) == 0 && strcmp(digest, sha256) == 0) return 0;
    }
    iw_cleanup_fd int fd = -1;
    if (iw_store_open_source(store, sha256, &fd, err) != 0) return -1;
    iw_cleanup_free char *from = iw_store_source_path(store, sha256),
                         *temporary = iw_format("%s.new", to);
    if (iw_copy_file(from, temporary, err) != 0) return -1;
    char digest[IW_SHA256_HEX];
    if (iw_hash_file(temporary, digest, NULL, err) != 0) return -1;
    if (strcmp(digest, sha256) != 0)
        return iw_fail(err, IW_E_DIGEST, "%s was damaged while it was copied: SHA-256 %s, not %s",
                       temporary, digest, sha256);
    return iw_publish(temporary, to, err);
}

int iw_fetch_export(iw_store *store, const iw_wanted *wanted, size_t count, const char *folder,
                    const iw_sink *sink, iw_error *err)
{
    iw_cleanup_free char *files = iw_path_join(folder, "by-sha256");
    if (iw_make_folders(files, 0755, err) != 0) return -1;
    iw_cleanup_strings iw_strings digests = {0};
    if (list_digests(store, wanted, count, true, &digests, err) != 0)
        return iw_wrap(err, "exporting to %s", folder);
    iw_strings_sort(&digests);
    for (size_t i = 0; i < digests.count; i++) {
        if (i && strcmp(digests.items[i], digests.items[i - 1]) == 0) continue;
        if (export_one(store, digests.items[i], folder, err) != 0)
            return iw_wrap(err, "exporting to %s", folder);
        iw_emit(sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                 .subject = "export",
                                 .phase = "fetch",
                                 .count = i + 1,
                                 .total = digests.count});
    }
    json_t *index = json_object();
    for (size_t i = 0; i < count; i++) {
        if (!iw_wanted_is_file(&wanted[i])) continue;
        iw_cleanup_free char *label = iw_wanted_label(&wanted[i]);
        json_object_set_new(index, iw_wanted_digest(&wanted[i]), json_string(label));
    }
    char *text = json_dumps(index, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(index);
    iw_cleanup_free char *path = iw_path_join(folder, "index.json");
    int status = iw_write_file(path, text, strlen(text), 0644, err);
    free(text);
    return status;
}
