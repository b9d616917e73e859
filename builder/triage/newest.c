/* Where, among a package's versions, running begins. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "triage/internal.h"

#define FURTHER                                                                                    \
    3 /* older versions that are tried for one that runs, where the newest only imports */

/* 1.2.3rc1, 1.2.dev3, 2.0b1: PEP 440 marks releases before a release with a letter; "post" is none
 * of them, nor is what stands behind a "+". */
static bool is_release(iw_slice version)
{
    for (size_t i = 0; i < version.length && version.data[i] != '+'; i++) {
        if (!isalpha((unsigned char)version.data[i])) continue;
        if (version.length - i < 4 || strncmp(version.data + i, "post", 4) != 0) return false;
        i += 3;
    }
    return version.length > 0;
}

/* Versions with a wheel for this Python, newest first, as pip lists them ("Available
 * versions: 2.0, 1.9"). */
static int list_versions(iw_triage *t, const iw_ask *ask, iw_strings *out, iw_error *err)
{
    static const char title[] = "Available versions: ";
    iw_cleanup_strings iw_strings arguments = {0}, wheels = {0};
    iw_cleanup_free char *said = NULL, *folder = NULL;
    const char *const words[] = {"index",      "versions", "--only-binary", ":all:", "--",
                                 ask->package, NULL};
    iw_strings_add_all(&arguments, words);
    if (iw_temporary_folder(t->work, "versions-", &folder, err) != 0 ||
        iw_triage_pip(t, folder, &arguments, &said, err) != 0 ||
        iw_triage_wheel_versions(t, folder, ask->package, &wheels, err) != 0)
        return -1;
    const char *at = said ? strstr(said, title) : NULL;
    if (!at)
        return iw_fail(err, IW_E_IO, "the package index lists no wheel of %s for this Python",
                       ask->package);
    iw_slice rest = {at + strlen(title), strcspn(at + strlen(title), "\n")}, part;
    while (iw_slice_next(&rest, ',', &part)) {
        part = iw_slice_trim(part);
        iw_cleanup_free char *version = iw_strndup(part.data, part.length);
        if (is_release(part) && iw_strings_has(&wheels, version)) iw_strings_add(out, version);
    }
    return out->count
               ? 0
               : iw_fail(err, IW_E_IO, "the package index lists no release of %s for this Python",
                         ask->package);
}

enum { IMPORTED = 64 }; /* it can be imported; nothing more was tried */

struct search {
    iw_triage *triage;
    const iw_ask *ask;
    const iw_strings *versions; /* newest first */
    signed char *known;         /* -1: not tried; IMPORTED; else its iw_triage_verdict */
    size_t tried;
};

/* Tries versions[i]; `row` (may be NULL) keeps what came of it. */
static int try_version(struct search *s, size_t i, bool briefly, iw_triage_row *row, iw_error *err)
{
    iw_triage_row own = {0};
    iw_ask ask = iw_ask_version(s->ask, s->versions->items[i]);
    ask.briefly = briefly;
    int status = iw_triage_try(s->triage, &ask, row ? row : &own, err);
    iw_triage_verdict verdict = (row ? row : &own)->verdict;
    if (status == 0 && s->known[i] < 0) s->tried++;
    if (status == 0)
        s->known[i] = briefly && verdict == IW_TRIAGE_IMPORTS ? IMPORTED : (signed char)verdict;
    iw_triage_row_clear(&own);
    iw_ask_free(&ask);
    return status;
}

static bool is_good(signed char known)
{
    return known == IMPORTED || (known >= 0 && iw_triage_works((iw_triage_verdict)known));
}

/* In full, once. */
static int verdict_of(struct search *s, size_t i, iw_triage_verdict *verdict, iw_triage_row *row,
                      iw_error *err)
{
    if ((s->known[i] < 0 || s->known[i] == IMPORTED || row) &&
        try_version(s, i, false, row, err) != 0)
        return -1;
    *verdict = (iw_triage_verdict)s->known[i];
    return 0;
}

/* Whether it can be imported, at least: the border is mostly there, and that is cheap. */
static int works(struct search *s, size_t i, bool *yes, iw_error *err)
{
    if (s->known[i] < 0 && try_version(s, i, true, NULL, err) != 0) return -1;
    *yes = is_good(s->known[i]);
    return 0;
}

/* The border between `bad`, newer, and `good`. */
static int halve(struct search *s, size_t bad, size_t *good, iw_error *err)
{
    while (*good - bad > 1) {
        size_t middle = bad + (*good - bad) / 2;
        bool yes;
        if (works(s, middle, &yes, err) != 0) return -1;
        if (yes) *good = middle;
        else bad = middle;
    }
    return 0;
}

/* One bad version between good ones is no border: what is above it may work, too. */
static int step_over_holes(struct search *s, size_t *good, iw_error *err)
{
    while (*good >= 2) {
        bool yes;
        size_t above = *good - 2, bad = above;
        if (works(s, above, &yes, err) != 0) return -1;
        if (!yes) return 0;
        while (bad > 0 && !(s->known[bad] >= 0 && !is_good(s->known[bad])))
            bad--; /* the nearest newer one that is known not to */
        *good = above;
        if (halve(s, bad, good, err) != 0) return -1;
    }
    return 0;
}

/* From `bad`, which doesn't work, backwards in growing steps to one that does; then the border is
 * halved. */
static int find_border(struct search *s, size_t bad, size_t *good, bool *any, iw_error *err)
{
    size_t step = 1, last = s->versions->count - 1;
    for (*any = false; !*any && bad < last; step *= 2) {
        *good = bad + step < last ? bad + step : last;
        if (works(s, *good, any, err) != 0) return -1;
        if (!*any) bad = *good;
    }
    return *any && (halve(s, bad, good, err) != 0 || step_over_holes(s, good, err) != 0) ? -1 : 0;
}

/* What can be imported and dies in use is no border either: backwards in growing steps, too, for
 * what is tried in full costs the most; then the border is halved. */
static int find_in_use(struct search *s, size_t bad, size_t *good, bool *any, iw_error *err)
{
    iw_triage_verdict verdict;
    size_t last = s->versions->count - 1, step = 1;
    for (*any = false; !*any && bad < last; step *= 2) {
        *good = bad + step < last ? bad + step : last;
        if (verdict_of(s, *good, &verdict, NULL, err) != 0) return -1;
        *any = iw_triage_works(verdict);
        if (!*any) bad = *good;
    }
    while (*any && *good - bad > 1) {
        size_t middle = bad + (*good - bad) / 2;
        if (verdict_of(s, middle, &verdict, NULL, err) != 0) return -1;
        if (iw_triage_works(verdict)) *good = middle;
        else bad = middle;
    }
    return 0;
}

static int find_working(struct search *s, size_t *good, bool *any, iw_error *err)
{
    iw_triage_verdict verdict = IW_TRIAGE_UNKNOWN;
    if (find_border(s, 0, good, any, err) != 0) return -1;
    if (!*any) return 0;
    if (verdict_of(s, *good, &verdict, NULL, err) != 0) return -1;
    return iw_triage_works(verdict) ? 0 : find_in_use(s, *good, good, any, err);
}

/* One that runs is taken before a somewhat newer one of which only the import is known. */
static int prefer_running(struct search *s, size_t *good, iw_error *err)
{
    if (s->known[*good] != IW_TRIAGE_IMPORTS) return 0;
    for (size_t i = *good + 1; i < s->versions->count && i <= *good + FURTHER; i++) {
        iw_triage_verdict verdict;
        if (verdict_of(s, i, &verdict, NULL, err) != 0) return -1;
        if (verdict != IW_TRIAGE_RUNS) continue;
        *good = i;
        return 0;
    }
    return 0;
}

/* The oldest above `good` that was tried and doesn't work, or -1. */
static ptrdiff_t failing_above(const struct search *s, size_t good)
{
    for (size_t i = good; i-- > 0;)
        if (s->known[i] >= 0 && !is_good(s->known[i])) return (ptrdiff_t)i;
    return -1;
}

static int search_all(struct search *s, iw_triage_row *row, iw_error *err)
{
    iw_triage_verdict newest = IW_TRIAGE_UNKNOWN;
    size_t good = 0;
    bool any = false;
    if (verdict_of(s, 0, &newest, row, err) != 0) return -1;
    any = iw_triage_works(newest);
    if (!any && find_working(s, &good, &any, err) != 0) return -1;
    if (any && prefer_running(s, &good, err) != 0) return -1;
    row->tried = s->tried;
    if (!any) return 0;
    ptrdiff_t failing = failing_above(s, good);
    row->newest_working = iw_strdup(s->versions->items[good]);
    row->newest_verdict = (iw_triage_verdict)s->known[good];
    if (failing >= 0) row->oldest_failing = iw_strdup(s->versions->items[failing]);
    return 0;
}

int iw_triage_newest(iw_triage *t, const iw_ask *ask, iw_triage_row *row, iw_error *err)
{
    iw_cleanup_strings iw_strings versions = {0};
    iw_error why = IW_ERROR_INIT;
    if (list_versions(t, ask, &versions, &why) != 0) {
        *row = (iw_triage_row){.package = iw_strdup(ask->package)};
        return iw_triage_not_brought(t, ask, row, &why, err);
    }
    struct search search = {.triage = t, .ask = ask, .versions = &versions};
    search.known = iw_alloc(versions.count);
    memset(search.known, -1, versions.count);
    int status = search_all(&search, row, err);
    free(search.known);
    return status;
}
