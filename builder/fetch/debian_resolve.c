/* Which packages a set of roots needs: versions, relations, resolution. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fetch/debian.h"

#define PACKAGES_LIMIT 1000000 /* names of one index */

/* --- versions: deb-version(7) --------------------------------------------- */

/* `~` sorts before the end, the end before letters, letters before everything else. */
static int order_of(iw_slice text, size_t at)
{
    if (at >= text.length || isdigit((unsigned char)text.data[at])) return 0;
    unsigned char c = (unsigned char)text.data[at];
    return c == '~' ? -1 : isalpha(c) ? c : c + 256;
}

static bool digit_at(iw_slice text, size_t at)
{
    return at < text.length && isdigit((unsigned char)text.data[at]);
}

static int compare_numbers(iw_slice a, size_t *i, iw_slice b, size_t *j)
{
    while (*i < a.length && a.data[*i] == '0') ++*i;
    while (*j < b.length && b.data[*j] == '0') ++*j;
    size_t from_i = *i, from_j = *j;
    while (digit_at(a, *i)) ++*i;
    while (digit_at(b, *j)) ++*j;
    size_t length = *i - from_i, other = *j - from_j;
    if (length != other) return length < other ? -1 : 1;
    return length ? memcmp(a.data + from_i, b.data + from_j, length) : 0;
}

static int compare_part(iw_slice a, iw_slice b)
{
    size_t i = 0, j = 0;
    while (i < a.length || j < b.length) {
        while ((i < a.length && !digit_at(a, i)) || (j < b.length && !digit_at(b, j))) {
            int one = order_of(a, i), other = order_of(b, j);
            if (one != other) return one - other;
            i++, j++;
        }
        int difference = compare_numbers(a, &i, b, &j);
        if (difference) return difference;
    }
    return 0;
}

struct version {
    iw_slice epoch, upstream, revision;
};

static struct version split(iw_slice text)
{
    struct version version = {{"0", 1}, text, {"0", 1}};
    const char *colon = text.length ? memchr(text.data, ':', text.length) : NULL;
    if (colon) {
        version.epoch = (iw_slice){text.data, (size_t)(colon - text.data)};
        version.upstream = (iw_slice){colon + 1, text.length - version.epoch.length - 1};
    }
    const char *dash = version.upstream.length
                           ? memrchr(version.upstream.data, '-', version.upstream.length)
                           : NULL;
    if (dash) {
        version.revision = (iw_slice){dash + 1, (size_t)(version.upstream.data +
                                                         version.upstream.length - dash - 1)};
        version.upstream.length = (size_t)(dash - version.upstream.data);
    }
    return version;
}

int iw_debian_compare(iw_slice a, iw_slice b)
{
    struct version one = split(a), other = split(b);
    int difference = compare_part(one.epoch, other.epoch);
    if (!difference) difference = compare_part(one.upstream, other.upstream);
    return difference ? difference : compare_part(one.revision, other.revision);
}

/* --- the index ------------------------------------------------------------ */

struct provided {
    iw_slice name, version; /* version.data NULL: none */
    size_t package;
};

struct iw_debian_index {
    iw_debian_package *packages;
    size_t count, capacity;
    struct provided *provided;
    size_t provided_count, provided_capacity;
    char **texts;
    size_t text_count, text_capacity;
};

iw_debian_index *iw_debian_index_new(void)
{
    return iw_alloc(sizeof(iw_debian_index));
}

void iw_debian_index_free(iw_debian_index *index)
{
    if (!index) return;
    for (size_t i = 0; i < index->text_count; i++) free(index->texts[i]);
    free(index->texts);
    free(index->packages);
    free(index->provided);
    free(index);
}

size_t iw_debian_index_count(const iw_debian_index *index)
{
    return index->count;
}

static int compare_slices(iw_slice a, iw_slice b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int difference = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return difference ? difference : (a.length > b.length) - (a.length < b.length);
}

/* By name; of one name the newest first, and what was added first before others. */
static int by_name(const void *a, const void *b)
{
    const iw_debian_package *one = a, *other = b;
    int difference = compare_slices(one->name, other->name);
    return difference ? difference : -iw_debian_compare(one->version, other->version);
}

static bool made_of(iw_slice text, const char *allowed)
{
    for (size_t i = 0; i < text.length; i++)
        if (!isalnum((unsigned char)text.data[i]) &&
            (!text.data[i] || !strchr(allowed, text.data[i])))
            return false;
    return text.length && text.length < 512 && isalnum((unsigned char)text.data[0]);
}

static bool is_digest(iw_slice text)
{
    iw_cleanup_free char *copy = iw_strndup(text.data, text.length);
    return text.length == IW_SHA256_HEX - 1 && iw_is_sha256(copy);
}

/* What ends in a YAML file of ours, and in addresses. */
static int check_package(const iw_debian_package *package, const char *what, int line,
                         iw_error *err)
{
    iw_slice bad = {NULL, 0};
    const char *field = NULL;
    iw_cleanup_free char *file =
        iw_strndup(package->file.data ? package->file.data : "", package->file.length);
    if (!made_of(package->name, "+-.")) bad = package->name, field = "Package";
    else if (!made_of(package->version, ".+-~:")) bad = package->version, field = "Version";
    else if (!made_of(package->file, "/._+-~%:=") || !iw_starts_with(file, "pool/") ||
             strstr(file, ".."))
        bad = package->file, field = "Filename";
    else if (!is_digest(package->sha256)) bad = package->sha256, field = "SHA256";
    else if (package->size == 0 || package->size > UINT64_C(1) << 40) field = "Size";
    if (!field) return 0;
    return iw_fail(err, IW_E_FORMAT,
                   "%s:%d: the stanza of package \"%.*s\" has no usable %s (\"%.*s\")", what, line,
                   (int)(package->name.length < 80 ? package->name.length : 80),
                   package->name.data ? package->name.data : "", field,
                   (int)(bad.length < 80 ? bad.length : 80), bad.data ? bad.data : "");
}

static void take_field(iw_debian_package *package, iw_slice name, iw_slice value)
{
    struct {
        const char *name;
        iw_slice *to;
    } fields[] = {{"Package", &package->name},     {"Version", &package->version},
                  {"Filename", &package->file},    {"SHA256", &package->sha256},
                  {"Depends", &package->depends},  {"Pre-Depends", &package->pre_depends},
                  {"Provides", &package->provides}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (iw_slice_equal(name, fields[i].name)) *fields[i].to = value;
    if (iw_slice_equal(name, "Size") && value.length < 20) {
        char text[24] = "";
        memcpy(text, value.data, value.length);
        if (!iw_parse_unsigned(text, UINT64_MAX, &package->size)) package->size = 0;
    }
}

static int keep_package(iw_debian_index *index, const iw_debian_package *package, const char *what,
                        int line, iw_error *err)
{
    if (check_package(package, what, line, err) != 0) return -1;
    if (index->count >= PACKAGES_LIMIT)
        return iw_fail(err, IW_E_FORMAT, "%s:%d: more than %d packages", what, line,
                       PACKAGES_LIMIT);
    iw_grow((void **)&index->packages, &index->capacity, index->count + 1, sizeof *index->packages);
    index->packages[index->count++] = *package;
    return 0;
}

/* Of each name the newest stays; of the same version the one that was there before. The first
 * `known` packages are sorted already. */
static void keep_newest(iw_debian_index *index, size_t known)
{
    iw_debian_package *added = index->packages + known;
    size_t added_count = index->count - known, kept = 0, i = 0, j = 0;
    iw_debian_package *merged = iw_alloc((index->count ? index->count : 1) * sizeof *merged);
    if (added_count) qsort(added, added_count, sizeof *added, by_name);
    while (i < known || j < added_count) {
        bool first =
            j >= added_count || (i < known && by_name(&index->packages[i], &added[j]) <= 0);
        const iw_debian_package *next = first ? &index->packages[i++] : &added[j++];
        if (!kept || compare_slices(merged[kept - 1].name, next->name) != 0) merged[kept++] = *next;
    }
    free(index->packages);
    index->packages = merged;
    index->capacity = index->count ? index->count : 1;
    index->count = kept;
}

int iw_debian_index_add(iw_debian_index *index, char *text, const char *what, iw_error *err)
{
    iw_grow((void **)&index->texts, &index->text_capacity, index->text_count + 1,
            sizeof *index->texts);
    index->texts[index->text_count++] = text;
    size_t known = index->count;
    iw_debian_package package = {0};
    iw_slice rest = iw_slice_of(text), line;
    int number = 0, start = 0, status = 0;
    while (status == 0 && iw_slice_next(&rest, '\n', &line)) {
        number++;
        const char *colon = line.length ? memchr(line.data, ':', line.length) : NULL;
        if (line.length == 0) {
            if (start) status = keep_package(index, &package, what, start, err);
            memset(&package, 0, sizeof package);
            start = 0;
        } else if (colon && line.data[0] != ' ' && line.data[0] != '\t') {
            if (!start) start = number;
            take_field(&package, (iw_slice){line.data, (size_t)(colon - line.data)},
                       iw_slice_trim(
                           (iw_slice){colon + 1, line.length - (size_t)(colon + 1 - line.data)}));
        }
    }
    if (status == 0 && start) status = keep_package(index, &package, what, start, err);
    if (status != 0) index->count = known;
    keep_newest(index, known);
    return status;
}

/* --- relations: deb-control(5) -------------------------------------------- */

struct relation {
    iw_slice name, sign, version; /* sign.length 0: any version */
};

/* "name:any (>= 1.2) [arch] <profile>": what follows the version doesn't stand in binary packages.
 */
static struct relation read_relation(iw_slice text)
{
    struct relation relation = {0};
    text = iw_slice_trim(text);
    size_t end = 0;
    while (end < text.length && !strchr(" \t(:[<", text.data[end])) end++;
    relation.name = (iw_slice){text.data, end};
    const char *open = text.length ? memchr(text.data, '(', text.length) : NULL,
               *close = open ? memchr(open, ')', text.length - (size_t)(open - text.data)) : NULL;
    if (!close) return relation;
    iw_slice inside = iw_slice_trim((iw_slice){open + 1, (size_t)(close - open - 1)});
    size_t sign = 0;
    while (sign < inside.length && strchr("<>=", inside.data[sign])) sign++;
    relation.sign = (iw_slice){inside.data, sign};
    relation.version = iw_slice_trim((iw_slice){inside.data + sign, inside.length - sign});
    return relation;
}

static bool fits(const struct relation *relation, iw_slice version)
{
    if (relation->sign.length == 0) return true;
    int difference = iw_debian_compare(version, relation->version);
    if (iw_slice_equal(relation->sign, ">=")) return difference >= 0;
    if (iw_slice_equal(relation->sign, "<=")) return difference <= 0;
    if (iw_slice_equal(relation->sign, ">>")) return difference > 0;
    if (iw_slice_equal(relation->sign, "<<")) return difference < 0;
    return iw_slice_equal(relation->sign, "=") && difference == 0;
}

static int by_provided(const void *a, const void *b)
{
    const struct provided *one = a, *other = b;
    int difference = compare_slices(one->name, other->name);
    return difference ? difference
                      : (one->package > other->package) - (one->package < other->package);
}

static void gather_provided(iw_debian_index *index)
{
    index->provided_count = 0;
    for (size_t i = 0; i < index->count; i++) {
        iw_slice rest = index->packages[i].provides, part;
        while (iw_slice_next(&rest, ',', &part)) {
            struct relation relation = read_relation(part);
            if (relation.name.length == 0) continue;
            iw_grow((void **)&index->provided, &index->provided_capacity, index->provided_count + 1,
                    sizeof *index->provided);
            index->provided[index->provided_count++] =
                (struct provided){relation.name,
                                  relation.sign.length ? relation.version : (iw_slice){NULL, 0}, i};
        }
    }
    if (index->provided_count)
        qsort(index->provided, index->provided_count, sizeof *index->provided, by_provided);
}

/* --- resolution ----------------------------------------------------------- */

struct resolution {
    iw_debian_index *index;
    bool *chosen;
    size_t *queue, queued, done; /* numbers of packages; each stands there at most once */
    struct waiting { /* what a virtual package must give, decided when everything else is known */
        iw_slice group;
        size_t needed_by;
    } * waiting;
    size_t waiting_count, waiting_capacity;
};

static bool find_package(const iw_debian_index *index, iw_slice name, size_t *at)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int difference = compare_slices(index->packages[middle].name, name);
        if (difference == 0) {
            *at = middle;
            return true;
        }
        if (difference < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

/* The first entry of `name`, or where it would stand. */
static size_t first_provided(const iw_debian_index *index, iw_slice name)
{
    size_t low = 0, high = index->provided_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_slices(index->provided[middle].name, name) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* A package that gives the virtual name; one that is chosen already before others. */
static bool find_provider(const struct resolution *state, const struct relation *relation,
                          bool only_chosen, size_t *at)
{
    const iw_debian_index *index = state->index;
    bool found = false;
    for (size_t i = first_provided(index, relation->name);
         i < index->provided_count && compare_slices(index->provided[i].name, relation->name) == 0;
         i++) {
        const struct provided *provided = &index->provided[i];
        if (relation->sign.length &&
            (!provided->version.data || !fits(relation, provided->version)))
            continue;
        if (!found && !only_chosen) *at = provided->package, found = true;
        if (state->chosen[provided->package]) {
            *at = provided->package;
            return true;
        }
    }
    return found;
}

static void choose(struct resolution *state, size_t package)
{
    if (state->chosen[package]) return;
    state->chosen[package] = true;
    state->queue[state->queued++] = package;
}

/* One group "a (>= 1) | b": the first alternative that is a real package of a fitting version, or
 * is provided. */
static int take_group(struct resolution *state, iw_slice group, size_t needed_by, bool last,
                      iw_error *err)
{
    iw_slice rest = group, part;
    size_t at;
    while (iw_slice_next(&rest, '|', &part)) {
        struct relation relation = read_relation(part);
        if (find_package(state->index, relation.name, &at) &&
            fits(&relation, state->index->packages[at].version)) {
            choose(state, at);
            return 0;
        }
        if (!find_provider(state, &relation, false, &at)) continue;
        if (last) {
            choose(state, at);
        } else if (!find_provider(state, &relation, true, &at)) {
            iw_grow((void **)&state->waiting, &state->waiting_capacity, state->waiting_count + 1,
                    sizeof *state->waiting);
            state->waiting[state->waiting_count++] = (struct waiting){group, needed_by};
        }
        return 0;
    }
    const iw_debian_package *package = &state->index->packages[needed_by];
    group = iw_slice_trim(group);
    return iw_fail(err, IW_E_NOT_FOUND,
                   "%.*s %.*s needs \"%.*s\", which no package of the archive is or provides",
                   (int)package->name.length, package->name.data, (int)package->version.length,
                   package->version.data, (int)(group.length < 200 ? group.length : 200),
                   group.data);
}

static int take_relations(struct resolution *state, iw_slice relations, size_t needed_by,
                          iw_error *err)
{
    iw_slice group;
    while (iw_slice_next(&relations, ',', &group))
        if (iw_slice_trim(group).length && take_group(state, group, needed_by, false, err) != 0)
            return -1;
    return 0;
}

static int drain(struct resolution *state, iw_error *err)
{
    while (state->done < state->queued) {
        size_t package = state->queue[state->done++];
        if (take_relations(state, state->index->packages[package].pre_depends, package, err) != 0)
            return -1;
        if (take_relations(state, state->index->packages[package].depends, package, err) != 0)
            return -1;
    }
    return 0;
}

static int take_roots(struct resolution *state, const iw_list *roots, iw_error *err)
{
    for (size_t i = 0; i < roots->count; i++) {
        size_t at;
        if (!find_package(state->index, iw_slice_of(roots->items[i]), &at))
            return iw_fail(err, IW_E_NOT_FOUND,
                           "the root \"%s\" is no package of the archive; correct or remove it in "
                           "the toolchain's file",
                           roots->items[i]);
        choose(state, at);
    }
    return 0;
}

static int resolve(struct resolution *state, const iw_list *roots, iw_error *err)
{
    if (take_roots(state, roots, err) != 0 || drain(state, err) != 0) return -1;
    for (size_t i = 0; i < state->waiting_count; i++) { /* may grow while it goes on */
        struct waiting waiting = state->waiting[i];
        if (take_group(state, waiting.group, waiting.needed_by, true, err) != 0 ||
            drain(state, err) != 0)
            return -1;
    }
    return 0;
}

int iw_debian_resolve(iw_debian_index *index, const iw_list *roots, const iw_debian_package ***out,
                      size_t *count, iw_error *err)
{
    gather_provided(index);
    size_t room = index->count ? index->count : 1;
    struct resolution state = {.index = index,
                               .chosen = iw_alloc(room * sizeof(bool)),
                               .queue = iw_alloc(room * sizeof(size_t))};
    int status = resolve(&state, roots, err);
    *out = NULL;
    *count = 0;
    if (status == 0) {
        *out = iw_alloc((state.queued ? state.queued : 1) * sizeof **out);
        for (size_t i = 0; i < index->count; i++)
            if (state.chosen[i]) (*out)[(*count)++] = &index->packages[i];
    }
    free(state.chosen);
    free(state.queue);
    free(state.waiting);
    return status;
}
