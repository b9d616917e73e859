#include "upgrade/candidates.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "recipe/version.h"

#define DAY 86400

/* --- lists ---------------------------------------------------------------- */

void iw_candidates_free(iw_candidates *list)
{
    for (size_t i = 0; i < list->count; i++) {
        iw_candidate *one = &list->items[i];
        free(one->version), free(one->passed), free(one->file), free(one->url), free(one->sha256),
            free(one->metadata);
    }
    free(list->items);
    *list = (iw_candidates){0};
}

void iw_candidates_add(iw_candidates *list, const iw_candidate *one)
{
    iw_grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = (iw_candidate){.version = iw_strdup(one->version),
                                                .passed = iw_strdup(one->passed),
                                                .file = iw_strdup(one->file),
                                                .url = iw_strdup(one->url),
                                                .sha256 = iw_strdup(one->sha256),
                                                .metadata = iw_strdup(one->metadata),
                                                .uploaded = one->uploaded};
}

static int newest_first(const void *a, const void *b)
{
    return iw_version_compare_text(((const iw_candidate *)b)->version,
                                   ((const iw_candidate *)a)->version);
}

void iw_candidates_sort(iw_candidates *list)
{
    if (list->count) qsort(list->items, list->count, sizeof *list->items, newest_first);
}

/* --- wheels --------------------------------------------------------------- */

/* The last three parts of a wheel's name (PEP 427); each may be several, joined by dots (PEP 425).
 */
static bool wheel_tags(const char *file, char **python, char **abi, char **platform)
{
    iw_slice rest = iw_slice_of(file), part;
    iw_cleanup_strings iw_strings parts = {0};
    if (!iw_ends_with(file, ".whl")) return false;
    rest.length -= 4;
    while (iw_slice_next(&rest, '-', &part))
        iw_strings_add_format(&parts, "%.*s", (int)part.length, part.data);
    if (parts.count < 5) return false;
    *python = iw_strdup(parts.items[parts.count - 3]);
    *abi = iw_strdup(parts.items[parts.count - 2]);
    *platform = iw_strdup(parts.items[parts.count - 1]);
    return true;
}

/* 3: this very CPython; 2: its stable ABI from this or an older one; 1: any Python 3. */
static unsigned python_fit(const char *pythons, const char *abis, unsigned minor)
{
    iw_slice rest = iw_slice_of(pythons), tag;
    unsigned best = 0;
    while (iw_slice_next(&rest, '.', &tag)) {
        iw_cleanup_free char *text = iw_strndup(tag.data, tag.length),
                             *own = iw_format("cp3%u", minor);
        uint64_t other = 0;
        bool cpython = iw_starts_with(text, "cp3") && iw_parse_unsigned(text + 3, 99, &other);
        if (strcmp(text, own) == 0 && strcmp(abis, own) == 0) best = best < 3 ? 3 : best;
        if (cpython && other <= minor && strcmp(abis, "abi3") == 0) best = best < 2 ? 2 : best;
        if ((strcmp(text, "py3") == 0 || strcmp(text, own) == 0) && strcmp(abis, "none") == 0)
            best = best < 1 ? 1 : best;
    }
    return best;
}

/* The glibc that a platform tag asks for, as its minor version; -1 where it is for another system.
 */
static int platform_glibc(const char *tag)
{
    static const char machine[] = "_x86_64";
    uint64_t minor;
    if (!iw_ends_with(tag, machine)) return -1;
    if (iw_starts_with(tag, "manylinux1_")) return 5;
    if (iw_starts_with(tag, "manylinux2010_")) return 12;
    if (iw_starts_with(tag, "manylinux2014_")) return 17;
    if (!iw_starts_with(tag, "manylinux_2_")) return -1;
    iw_cleanup_free char *digits = iw_strndup(tag + 12, strlen(tag) - 12 - strlen(machine));
    return iw_parse_unsigned(digits, 999, &minor) ? (int)minor : -1;
}

unsigned iw_wheel_fit(const char *file, const char *python, unsigned glibc, bool *pure)
{
    iw_cleanup_free char *pythons = NULL, *abis = NULL, *platforms = NULL;
    iw_version version;
    unsigned best = 0;
    if (!iw_version_parse(python, &version) || version.parts < 2 ||
        !wheel_tags(file, &pythons, &abis, &platforms))
        return 0;
    iw_slice rest = iw_slice_of(platforms), tag;
    while (iw_slice_next(&rest, '.', &tag)) {
        iw_cleanup_free char *text = iw_strndup(tag.data, tag.length);
        bool any = strcmp(text, "any") == 0;
        int needs = any ? 0 : platform_glibc(text);
        if (needs < 0 || (unsigned)needs > glibc) continue;
        unsigned fit = any ? 1 : 2;
        if (pure && fit > best) *pure = any;
        if (fit > best) best = fit;
    }
    unsigned by_python = python_fit(pythons, abis, (unsigned)version.release[1]);
    return best && by_python ? best * 4 + by_python : 0;
}

/* --- one version's files -------------------------------------------------- */

static unsigned sdist_fit(const char *file)
{
    static const char *const best_last[] = {".zip", ".tar.bz2", ".tar.xz", ".tar.gz"};
    for (unsigned i = 0; i < sizeof best_last / sizeof *best_last; i++)
        if (iw_ends_with(file, best_last[i])) return i + 1;
    return 0;
}

/* What is known of one version while its files are looked at. */
struct release {
    iw_version version;
    char *text;
    const iw_release_file *best, *told; /* told: a wheel whose METADATA the index has */
    unsigned fit;
    bool any_sdist, any_wheel;
};

static void look_at(struct release *release, const iw_source *source, const iw_release_file *file,
                    const iw_candidate_rules *rules)
{
    bool wheel = iw_ends_with(file->name, ".whl");
    release->any_wheel = release->any_wheel || wheel;
    release->any_sdist = release->any_sdist || !wheel;
    if (wheel && file->metadata && !release->told) release->told = file;
    if (wheel != source->wheel) return;
    unsigned fit =
        wheel ? iw_wheel_fit(file->name, rules->python, rules->glibc, NULL) : sdist_fit(file->name);
    if (fit <= release->fit) return;
    release->fit = fit;
    release->best = file;
}

static char *python_reason(const iw_release_file *file, const char *python)
{
    iw_version version;
    bool valid = true;
    if (!file->requires_python || !iw_version_parse(python, &version)) return NULL;
    if (iw_version_meets(&version, file->requires_python, &valid) || !valid) return NULL;
    return iw_format("needs Python %s", file->requires_python);
}

/* Whole days, and hours below two. */
static char *age_text(int64_t seconds)
{
    if (seconds >= 2 * DAY) return iw_format("%lld days", (long long)(seconds / DAY));
    return iw_format("%lld hours", (long long)(seconds / 3600));
}

static char *age_reason(const iw_release_file *file, const iw_candidate_rules *rules)
{
    if (rules->min_age == 0 || rules->only) return NULL;
    if (file->uploaded < 0)
        return iw_strdup("the index doesn't say when it was published (`--min-age 0` takes it)");
    int64_t age = rules->now - file->uploaded;
    if (age >= (int64_t)rules->min_age) return NULL;
    iw_cleanup_free char *is = age_text(age < 0 ? 0 : age),
                         *least = age_text((int64_t)rules->min_age);
    return iw_format("published %s ago, less than the %s of `--min-age`", is, least);
}

static char *reason_for(const struct release *release, const iw_source *source,
                        const iw_candidate_rules *rules)
{
    const iw_release_file *file = release->best;
    if (rules->meets && !iw_version_meets(&release->version, rules->meets, NULL))
        return iw_format("not %s", rules->meets);
    if (iw_version_is_early(&release->version) && !rules->early && !rules->only)
        return iw_strdup("a pre-release");
    if (!file && source->wheel)
        return iw_strdup(release->any_wheel ? "no wheel for this Python on x86-64 with this glibc"
                                            : "no wheel on the index");
    if (!file) return iw_strdup(release->any_wheel ? "no sdist, only wheels" : "no sdist");
    char *why = python_reason(file, rules->python);
    if (why) return why;
    if (file->yanked && !rules->only)
        return *file->yanked ? iw_format("yanked: %.120s", file->yanked) : iw_strdup("yanked");
    if (!file->sha256) return iw_strdup("the index tells no SHA-256 of its file");
    return age_reason(file, rules);
}

/* --- all versions --------------------------------------------------------- */

static struct release *release_of(struct release **list, size_t *count, size_t *capacity,
                                  const iw_version *version)
{
    for (size_t i = *count; i-- > 0;)
        if (iw_version_compare(&(*list)[i].version, version) == 0) return &(*list)[i];
    iw_grow((void **)list, capacity, *count + 1, sizeof **list);
    struct release *release = &(*list)[(*count)++];
    *release = (struct release){.version = *version, .text = iw_version_text(version)};
    return release;
}

static int check_clock(const iw_source *source, const iw_release_files *files,
                       const iw_candidate_rules *rules, iw_error *err)
{
    for (size_t i = 0; rules->min_age && !rules->only && i < files->count; i++)
        if (files->items[i].uploaded > rules->now + DAY)
            return iw_fail(err, IW_E_ENVIRONMENT,
                           "this host's clock is wrong: the index holds a file of %s from %lld "
                           "days in its future, so the age of a release can't be told; set the "
                           "clock, or give `--min-age 0`",
                           source->name,
                           (long long)((files->items[i].uploaded - rules->now) / DAY));
    return 0;
}

static void add_release(iw_candidates *out, const struct release *release, const iw_source *source,
                        const iw_candidate_rules *rules)
{
    const iw_release_file *file = release->best;
    iw_cleanup_free char *passed = reason_for(release, source, rules),
                         *metadata =
                             release->told ? iw_format("%s.metadata", release->told->url) : NULL;
    iw_candidate one = {.version = release->text,
                        .passed = passed,
                        .file = file ? file->name : NULL,
                        .url = file ? file->url : NULL,
                        .sha256 = file ? file->sha256 : NULL,
                        .metadata = metadata,
                        .uploaded = file ? file->uploaded : -1};
    iw_candidates_add(out, &one);
}

int iw_candidates_pypi(const iw_source *source, const iw_release_files *files,
                       const iw_candidate_rules *rules, iw_candidates *out, iw_error *err)
{
    struct release *releases = NULL;
    size_t count = 0, capacity = 0;
    *out = (iw_candidates){0};
    if (check_clock(source, files, rules, err) != 0) return -1;
    for (size_t i = 0; i < files->count; i++) {
        iw_version version;
        iw_cleanup_free char *text = iw_file_version(source->name, files->items[i].name);
        if (!iw_version_parse(text, &version) || version.local[0]) continue;
        look_at(release_of(&releases, &count, &capacity, &version), source, &files->items[i],
                rules);
    }
    for (size_t i = 0; i < count; i++) {
        add_release(out, &releases[i], source, rules);
        free(releases[i].text);
    }
    free(releases);
    iw_candidates_sort(out);
    return 0;
}

/* Upstream's own version may have a "+" (6.5+20250216); a label of ours never is a candidate's. */
int iw_candidate_order(const char *version, const char *current)
{
    iw_cleanup_free char *plain = iw_strndup(current, strcspn(current, "+"));
    return iw_version_compare_text(version, strchr(version, '+') ? current : plain);
}

/* --- the choice ----------------------------------------------------------- */

static int choose_only(const iw_candidates *list, const iw_candidate_rules *rules,
                       const iw_candidate **out, iw_error *err)
{
    iw_cleanup_free char *plain = iw_strndup(rules->only, strcspn(rules->only, "+"));
    for (size_t i = 0; i < list->count; i++) {
        const iw_candidate *one = &list->items[i];
        bool labelled = strchr(one->version, '+') != NULL;
        if (iw_version_compare_text(one->version, labelled ? rules->only : plain) != 0) continue;
        *out = one;
        return one->passed
                   ? iw_fail(err, IW_E_NOT_FOUND, "%s can't be taken: %s", plain, one->passed)
                   : 0;
    }
    return iw_fail(err, IW_E_NOT_FOUND, "there is no release %s%s%s", plain,
                   list->count ? "; the newest is " : "",
                   list->count ? list->items[0].version : "");
}

int iw_candidates_choose(const iw_candidates *list, const char *current,
                         const iw_candidate_rules *rules, const iw_candidate **out, iw_error *err)
{
    iw_cleanup_free char *plain = iw_strndup(current, strcspn(current, "+"));
    iw_cleanup_buffer iw_buffer reasons = {0};
    *out = NULL;
    if (rules->only) return choose_only(list, rules, out, err);
    for (size_t i = 0; i < list->count; i++) {
        const iw_candidate *one = &list->items[i];
        if (iw_candidate_order(one->version, current) <= 0) break;
        if (!one->passed) {
            *out = one;
            return 0;
        }
        iw_buffer_add_format(&reasons, "\n  %s: %s", one->version, one->passed);
    }
    return iw_fail(err, IW_E_NOT_FOUND, "nothing newer than %s can be taken%s%s", plain,
                   reasons.length ? "; passed over:" : "", reasons.length ? reasons.data : "");
}
