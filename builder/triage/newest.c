/* `triage --newest`: where, among a package's versions, running begins. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "triage/triage.h"

/* 1.2.3rc1, 1.2.dev3, 2.0b1: PEP 440 marks releases before a release with a letter; "post" is none
 * of them. */
static bool is_release(iw_slice version)
{
    for (size_t i = 0; i < version.length; i++) {
        if (!isalpha((unsigned char)version.data[i])) continue;
        if (version.length - i < 4 || strncmp(version.data + i, "post", 4) != 0) return false;
        i += 3;
    }
    return version.length > 0;
}

/* Versions with a wheel for this Python, newest first, as pip lists them ("Available
 * versions: 2.0, 1.9"). */
static int list_versions(const iw_triage *t, const char *package, iw_strings *out, iw_error *err)
{
    static const char title[] = "Available versions: ";
    const char *const words[] = {"index", "versions", "--only-binary", ":all:", "--",
                                 package, NULL};
    iw_cleanup_strings iw_strings arguments = {0};
    iw_cleanup_free char *said = NULL;
    iw_strings_add_all(&arguments, words);
    if (iw_triage_pip(t, &arguments, &said, err) != 0) return -1;
    const char *at = said ? strstr(said, title) : NULL;
    if (!at)
        return iw_fail(err, IW_E_NOT_FOUND,
                       "the package index lists no wheel of %s for this Python", package);
    iw_slice rest = {at + strlen(title), strcspn(at + strlen(title), "\n")}, part;
    while (iw_slice_next(&rest, ',', &part)) {
        part = iw_slice_trim(part);
        if (is_release(part)) iw_strings_add_format(out, "%.*s", (int)part.length, part.data);
    }
    return out->count
               ? 0
               : iw_fail(err, IW_E_NOT_FOUND,
                         "the package index lists no release of %s for this Python", package);
}

struct search {
    iw_triage *triage;
    const char *package;
    const iw_strings *versions; /* newest first */
    size_t tried;
};

/* Tries versions[i]; `row` (may be NULL) keeps what came of it. */
static int runs(struct search *s, size_t i, bool *works, iw_triage_row *row, iw_error *err)
{
    iw_triage_row own = {0};
    iw_cleanup_free char *requirement = iw_format("%s==%s", s->package, s->versions->items[i]);
    int status = iw_triage_try(s->triage, requirement, row ? row : &own, err);
    *works = status == 0 && strcmp((row ? row : &own)->verdict, "runs") == 0;
    s->tried++;
    iw_triage_row_clear(&own);
    return status;
}

/* From the newest backwards, in growing steps, to one that runs; then the border is halved:
 * verdicts are taken to change once between the two. */
static int find_border(struct search *s, size_t *good, bool *any, iw_error *err)
{
    size_t bad = 0, step = 1, last = s->versions->count - 1;
    for (*any = false; !*any && bad < last; step *= 2) {
        *good = bad + step < last ? bad + step : last;
        if (runs(s, *good, any, NULL, err) != 0) return -1;
        if (!*any) bad = *good;
    }
    while (*any && *good - bad > 1) {
        size_t middle = bad + (*good - bad) / 2;
        bool works;
        if (runs(s, middle, &works, NULL, err) != 0) return -1;
        if (works) *good = middle;
        else bad = middle;
    }
    return 0;
}

int iw_triage_newest(iw_triage *t, const char *package, iw_triage_row *row, iw_error *err)
{
    iw_cleanup_strings iw_strings versions = {0};
    iw_error why = IW_ERROR_INIT;
    struct search search = {.triage = t, .package = package, .versions = &versions};
    bool works = false, any = false;
    size_t good = 0;
    if (list_versions(t, package, &versions, &why) != 0) {
        if (why.kind == IW_E_CANCELLED) return iw_fail(err, why.kind, "%s", iw_error_text(&why));
        *row = (iw_triage_row){.package = iw_plain_name(package),
                               .verdict = "unknown",
                               .detail = iw_strdup(iw_error_text(&why))};
        iw_error_clear(&why);
        return 0;
    }
    if (runs(&search, 0, &works, row, err) != 0 ||
        (!works && find_border(&search, &good, &any, err) != 0))
        return -1;
    row->tried = search.tried;
    if (works || any) row->newest_working = iw_strdup(versions.items[good]);
    if (any) row->oldest_failing = iw_strdup(versions.items[good - 1]);
    return 0;
}
