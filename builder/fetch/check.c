/* `ironwheel fetch --check`: whether every source can still be had. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/debian.h"
#include "fetch/listed.h"
#include "fetch/origins.h"
#include "fetch/probe.h"
#include "fetch/snapshot.h"

#define GIT_LIMIT (16u << 20)

/* One file being asked for. */
struct item {
    size_t answer; /* which of the answers */
    iw_strings urls;
    size_t at, first_further; /* address that is next; from here on it is elsewhere */
    uint64_t size;            /* expected; 0: not known */
    bool looked_up, failed, wrong_size, settled;
};

struct check {
    iw_store *store;
    iw_origins origins;
    iw_source_answers *answers;
    struct item *items;
    size_t count, capacity, settled;
};

void iw_source_answers_free(iw_source_answers *answers)
{
    for (size_t i = 0; i < answers->count; i++)
        free(answers->items[i].name), free(answers->items[i].where), free(answers->items[i].detail);
    free(answers->items);
    *answers = (iw_source_answers){0};
}

const char *iw_source_state_name(iw_source_state state)
{
    static const char *const names[] = {"there", "elsewhere", "changed", "gone", "unknown"};
    return names[state];
}

/* --- answers -------------------------------------------------------------- */

static iw_source_answer *answer_of(const struct check *check, const struct item *item)
{
    return &check->answers->items[item->answer];
}

static void add_detail(iw_source_answer *answer, const char *text)
{
    char *joined = answer->detail ? iw_format("%s; %s", answer->detail, text) : iw_strdup(text);
    free(answer->detail);
    answer->detail = joined;
}

/* `name` is taken over. */
static iw_source_answer *add_answer(struct check *check, const iw_wanted *wanted, char *name)
{
    iw_source_answers *answers = check->answers;
    iw_grow((void **)&answers->items, &answers->capacity, answers->count + 1,
            sizeof *answers->items);
    iw_source_answer *answer = &answers->items[answers->count++];
    *answer = (iw_source_answer){
        .wanted = wanted, .name = name, .state = IW_SOURCE_UNKNOWN, .compared = "nothing"};
    return answer;
}

static void tell_progress(struct check *check, const char *now_)
{
    iw_emit(check->origins.transfer.sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                                     .subject = "sources",
                                                     .phase = "fetch",
                                                     .detail = now_,
                                                     .count = check->settled,
                                                     .total = check->count});
}

static void settle(struct check *check, struct item *item, iw_source_state state)
{
    answer_of(check, item)->state = state;
    item->settled = true;
    check->settled++;
    tell_progress(check, answer_of(check, item)->name);
}

/* --- what is to be asked for ---------------------------------------------- */

static struct item *add_item(struct check *check, const iw_wanted *wanted, char *name,
                             const char *sha256, iw_error *err)
{
    iw_source_answer *answer = add_answer(check, wanted, name);
    if (iw_store_has_source(check->store, sha256, &answer->stored, err) != 0) return NULL;
    iw_grow((void **)&check->items, &check->capacity, check->count + 1, sizeof *check->items);
    struct item *item = &check->items[check->count++];
    *item = (struct item){.answer = check->answers->count - 1};
    iw_cleanup_free char *path = iw_store_source_path(check->store, sha256);
    struct stat status;
    if (wanted->package) item->size = wanted->package->size;
    else if (answer->stored && stat(path, &status) == 0) item->size = (uint64_t)status.st_size;
    return item;
}

/* Where the further places begin: a `url` source's mirrors, Debian's snapshot archive, and the
 * mirror folder of all. */
static size_t first_further(const struct item *item, const iw_wanted *wanted, const char *snapshot)
{
    if (wanted->source && wanted->source->kind == IW_SOURCE_URL) return 1;
    size_t i = 0;
    while (i < item->urls.count && !(snapshot && iw_starts_with(item->urls.items[i], snapshot)))
        i++;
    return i;
}

static int take_file(struct check *check, const iw_wanted *wanted, iw_error *err)
{
    const char *sha256 = iw_wanted_digest(wanted);
    struct item *item = add_item(check, wanted, iw_wanted_label(wanted), sha256, err);
    iw_error why = IW_ERROR_INIT;
    if (!item) return -1;
    if (iw_origins_urls(&check->origins, wanted, &item->urls, &why) != 0) {
        bool cancelled = why.kind == IW_E_CANCELLED;
        item->failed = why.kind != IW_E_NOT_FOUND;
        add_detail(answer_of(check, item), why.message);
        if (cancelled) iw_error_move(err, &why);
        iw_error_clear(&why);
        if (cancelled) return -1;
    }
    item->first_further = first_further(item, wanted, check->origins.snapshot);
    if (check->origins.import)
        iw_strings_add_format(&item->urls, "%s/by-sha256/%s", check->origins.import, sha256);
    return 0;
}

static int take_crates(struct check *check, const iw_wanted *wanted, iw_error *err)
{
    iw_crates crates = {0};
    iw_error why = IW_ERROR_INIT;
    int status = 0;
    if (iw_crates_read(check->store, wanted->recipe, wanted->source, &crates, &why) != 0) {
        iw_source_answer *answer = add_answer(check, wanted, iw_strdup(wanted->source->name));
        add_detail(answer, "its crates are known once its source is in the store");
        iw_error_clear(&why);
        return 0;
    }
    for (size_t i = 0; i < crates.count && status == 0; i++) {
        const iw_crate *crate = &crates.items[i];
        struct item *item =
            add_item(check, wanted, iw_format("%s-%s.crate", crate->name, crate->version),
                     crate->checksum, err);
        if (!item) status = -1;
        else if (iw_crates_urls(&check->origins.registries, crate, &check->origins.transfer,
                                &item->urls, &why) != 0) {
            item->failed = true;
            add_detail(answer_of(check, item), why.message);
            iw_error_clear(&why);
        }
        if (item) item->first_further = item->urls.count;
    }
    iw_crates_free(&crates);
    return status;
}

/* Whether the repository answers, and has the commit at the end of a branch or tag: more is known
 * only by fetching. */
static int take_git(struct check *check, const iw_wanted *wanted, iw_error *err)
{
    const iw_source *source = wanted->source;
    iw_source_answer *answer = add_answer(check, wanted, iw_strdup(source->name));
    iw_error why = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL,
                         *url = iw_format("%s/info/refs?service=git-upload-pack", source->name);
    if (iw_store_has_source(check->store, source->sha256, &answer->stored, err) != 0) return -1;
    if (!iw_starts_with(source->name, "http")) {
        add_detail(answer, "a repository by ssh isn't asked");
        return 0;
    }
    int status = iw_transfer_page(url, NULL, GIT_LIMIT, &check->origins.transfer, &text, NULL, NULL,
                                  NULL, &why);
    if (status == 0) {
        bool at_an_end = strstr(text, source->commit) != NULL;
        answer->state = IW_SOURCE_THERE;
        answer->where = iw_transfer_shown(source->name);
        answer->compared = at_an_end ? "digest" : "nothing";
        if (!at_an_end)
            add_detail(answer, "no branch or tag ends at the commit: whether the repository still "
                               "has it is known only by fetching");
    } else if (why.kind == IW_E_CANCELLED) {
        iw_error_move(err, &why);
        return -1;
    } else {
        if (why.kind == IW_E_NOT_FOUND) answer->state = IW_SOURCE_GONE;
        add_detail(answer, why.message);
    }
    iw_error_clear(&why);
    return 0;
}

static bool is_known(const struct check *check, const iw_wanted *wanted)
{
    for (size_t i = 0; i < check->answers->count; i++) {
        const iw_wanted *other = check->answers->items[i].wanted;
        if (iw_wanted_is_file(wanted) == iw_wanted_is_file(other) &&
            strcmp(iw_wanted_digest(wanted), iw_wanted_digest(other)) == 0)
            return true;
    }
    return false;
}

static int take_all(struct check *check, const iw_wanted *wanted, size_t count, iw_error *err)
{
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        const iw_source *source = wanted[i].source;
        if (is_known(check, &wanted[i])) continue; /* two recipes may share a source */
        if (source && source->kind == IW_SOURCE_LOCAL) continue;
        if (source && source->kind == IW_SOURCE_CRATES)
            status = take_crates(check, &wanted[i], err);
        else if (source && source->kind == IW_SOURCE_GIT) status = take_git(check, &wanted[i], err);
        else status = take_file(check, &wanted[i], err);
    }
    return status;
}

/* --- what the indexes say ------------------------------------------------- */

static int ask_pypi(struct check *check, struct item *item, iw_error *err)
{
    iw_source_answer *answer = answer_of(check, item);
    iw_release_files files = {0};
    iw_error why = IW_ERROR_INIT;
    const iw_source *source = answer->wanted->source;
    if (item->urls.count == 0) return 0; /* the index was asked, and what it said is noted */
    if (iw_fetch_project(source->name, check->origins.options, &files, &why) != 0) {
        bool cancelled = why.kind == IW_E_CANCELLED;
        if (cancelled) iw_error_move(err, &why);
        iw_error_clear(&why);
        return cancelled ? -1 : 0;
    }
    for (size_t i = 0; i < files.count; i++) {
        const iw_release_file *file = &files.items[i];
        if (strcmp(file->name, source->file) != 0) continue;
        if (file->size) item->size = file->size;
        if (file->sha256) answer->compared = "digest";
        if (file->yanked) add_detail(answer, "the index says that it was withdrawn (yanked)");
        if (!file->sha256 || strcmp(file->sha256, source->sha256) == 0) continue;
        iw_cleanup_free char *text = iw_format("the index says SHA-256 %s", file->sha256);
        add_detail(answer, text);
        settle(check, item, IW_SOURCE_CHANGED);
    }
    iw_release_files_free(&files);
    return 0;
}

static void compare_listed(struct check *check, struct item *item, const iw_listed *listed)
{
    iw_source_answer *answer = answer_of(check, item);
    const char *sha256;
    uint64_t size;
    if (!iw_listed_find(listed, answer->name, &sha256, &size)) {
        if (listed->complete)
            add_detail(answer, "no index lists it any more: mirrors drop it before long");
        return;
    }
    answer->compared = "digest";
    item->size = size;
    if (strcmp(sha256, iw_wanted_digest(answer->wanted)) == 0) return;
    iw_cleanup_free char *text = iw_format("the signed index says SHA-256 %s", sha256);
    add_detail(answer, text);
    settle(check, item, IW_SOURCE_CHANGED);
}

static bool is_debian(const struct check *check, const struct item *item)
{
    iw_debian_file file;
    return iw_debian_file_of(answer_of(check, item)->wanted, &file);
}

static void want_listed(const struct check *check, iw_listed *listed, iw_strings *suites)
{
    for (size_t i = 0; i < check->count; i++) {
        const iw_source_answer *answer = answer_of(check, &check->items[i]);
        const iw_toolchain *toolchain = answer->wanted->toolchain;
        if (!is_debian(check, &check->items[i])) continue;
        iw_listed_want(listed, answer->name, answer->wanted->package == NULL);
        if (toolchain && !iw_strings_has(suites, toolchain->suite))
            iw_strings_add(suites, toolchain->suite);
    }
}

static int ask_debian(struct check *check, iw_error *err)
{
    iw_listed listed = {0};
    iw_error why = IW_ERROR_INIT;
    iw_cleanup_strings iw_strings suites = {0};
    want_listed(check, &listed, &suites);
    int status = listed.count == 0 ? 0 : iw_origins_mirrors(&check->origins, &why);
    if (status == 0)
        status = iw_listed_read(&listed, &suites, &check->origins.mirrors, &check->origins.transfer,
                                &why);
    if (status != 0 && why.kind != IW_E_CANCELLED) {
        iw_cleanup_free char *note = iw_format(
            "the archive's signed index can't be read, so that Debian's files are compared by "
            "size alone: %s",
            why.message);
        iw_emit(check->origins.transfer.sink,
                (iw_event){.type = IW_EVENT_NOTE, .subject = "sources", .detail = note});
        status = 0;
    }
    if (status != 0) iw_error_move(err, &why);
    for (size_t i = 0; i < check->count && status == 0; i++)
        if (is_debian(check, &check->items[i])) compare_listed(check, &check->items[i], &listed);
    iw_error_clear(&why);
    iw_listed_free(&listed);
    return status;
}

static int ask_indexes(struct check *check, iw_error *err)
{
    for (size_t i = 0; i < check->count; i++) {
        const iw_source *source = answer_of(check, &check->items[i])->wanted->source;
        if (source && source->kind == IW_SOURCE_PYPI && ask_pypi(check, &check->items[i], err) != 0)
            return -1;
    }
    return ask_debian(check, err);
}

/* --- the addresses, one of each file in a round --------------------------- */

static void take_answer(struct check *check, struct item *item, iw_probe *probe)
{
    iw_source_answer *answer = answer_of(check, item);
    if (!probe->there) {
        bool gone = probe->err.kind == IW_E_NOT_FOUND;
        if (!gone) add_detail(answer, probe->err.message);
        item->failed = item->failed || !gone;
        item->at++;
        return;
    }
    if (item->size && probe->size && probe->size != item->size) {
        iw_cleanup_free char *shown = iw_transfer_shown(probe->url),
                             *text = iw_format("%s has %llu bytes, not %llu", shown,
                                               (unsigned long long)probe->size,
                                               (unsigned long long)item->size);
        add_detail(answer, text);
        item->wrong_size = true;
        item->at++;
        return;
    }
    bool sized = item->size && probe->size;
    if (sized && strcmp(answer->compared, "nothing") == 0) answer->compared = "size";
    answer->where = iw_transfer_shown(probe->url);
    settle(check, item, item->at < item->first_further ? IW_SOURCE_THERE : IW_SOURCE_ELSEWHERE);
}

static int ask_round(struct check *check, size_t *asked, iw_error *err)
{
    iw_probe *probes = iw_alloc((check->count + 1) * sizeof *probes);
    struct item **whose = iw_alloc((check->count + 1) * sizeof *whose);
    *asked = 0;
    for (size_t i = 0; i < check->count; i++) {
        struct item *item = &check->items[i];
        if (item->settled || item->at >= item->urls.count) continue;
        whose[*asked] = item;
        probes[(*asked)++] = (iw_probe){.url = item->urls.items[item->at]};
    }
    int status = iw_probe_all(probes, *asked, &check->origins.transfer, err);
    for (size_t i = 0; i < *asked; i++) {
        if (status == 0) take_answer(check, whose[i], &probes[i]);
        iw_error_clear(&probes[i].err);
    }
    free(probes);
    free((void *)whose);
    return status;
}

static int look_up(struct check *check, struct item *item, iw_error *err)
{
    iw_debian_file file;
    iw_error why = IW_ERROR_INIT;
    item->looked_up = true;
    if (!iw_debian_file_of(answer_of(check, item)->wanted, &file) ||
        iw_snapshot_find(check->origins.snapshot, &file, &check->origins.transfer, &item->urls,
                         &why) == 0)
        return 0;
    bool cancelled = why.kind == IW_E_CANCELLED;
    if (cancelled) iw_error_move(err, &why);
    else if (why.kind != IW_E_NOT_FOUND) {
        add_detail(answer_of(check, item), why.message);
        item->failed = true;
    }
    iw_error_clear(&why);
    return cancelled ? -1 : 0;
}

static int ask_addresses(struct check *check, iw_error *err)
{
    for (size_t asked = 1; asked;) {
        if (ask_round(check, &asked, err) != 0) return -1;
        for (size_t i = 0; i < check->count && check->origins.snapshot; i++) {
            struct item *item = &check->items[i];
            if (item->settled || item->at < item->urls.count || item->looked_up) continue;
            if (look_up(check, item, err) != 0) return -1;
            asked += item->at < item->urls.count;
        }
    }
    for (size_t i = 0; i < check->count; i++)
        if (!check->items[i].settled)
            settle(check, &check->items[i],
                   check->items[i].wrong_size ? IW_SOURCE_CHANGED
                   : check->items[i].failed   ? IW_SOURCE_UNKNOWN
                                              : IW_SOURCE_GONE);
    return 0;
}

int iw_fetch_check(iw_store *store, const iw_wanted *wanted, size_t count,
                   const iw_fetch_options *options, iw_source_answers *answers, iw_error *err)
{
    struct check check = {.store = store, .answers = answers};
    int status = iw_origins_open(options, &check.origins, err);
    if (status == 0) status = take_all(&check, wanted, count, err);
    if (status == 0) status = ask_indexes(&check, err);
    if (status == 0) status = ask_addresses(&check, err);
    for (size_t i = 0; i < check.count; i++) iw_strings_free(&check.items[i].urls);
    free(check.items);
    iw_origins_free(&check.origins);
    return status;
}
