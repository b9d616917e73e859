/* Profiles: the flags that follow from the allowed features, and the intersection of several. */
#include <string.h>

#include "base/memory.h"
#include "recipe/catalog.h"
#include "recipe/features.h"

static bool has(const iw_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0) return true;
    return false;
}

static iw_list keep_strings(iw_arena *arena, const iw_strings *strings)
{
    const char **items = iw_arena_alloc(arena, (strings->count + 1) * sizeof *items);
    for (size_t i = 0; i < strings->count; i++)
        items[i] = iw_arena_strdup(arena, strings->items[i]);
    return (iw_list){items, strings->count};
}

/* Everything is said, so that neither gcc's idea of a CPU nor an earlier flag has a say. */
static iw_list make_flags(iw_arena *arena, const char *march, const char *tune,
                          const iw_list *allowed)
{
    iw_cleanup_strings iw_strings flags = {0};
    size_t count;
    const char *const *features = iw_features(&count);
    iw_strings_add_format(&flags, "-march=%s", march);
    if (tune) iw_strings_add_format(&flags, "-mtune=%s", tune);
    for (size_t i = 0; i < count; i++)
        if (has(allowed, features[i])) iw_strings_add_format(&flags, "-m%s", features[i]);
    for (size_t i = 0; i < count; i++)
        if (!has(allowed, features[i])) iw_strings_add_format(&flags, "-mno-%s", features[i]);
    return keep_strings(arena, &flags);
}

static iw_list without(iw_arena *arena, const iw_list *features, const iw_list *shunned)
{
    iw_cleanup_strings iw_strings rest = {0};
    for (size_t i = 0; i < features->count; i++)
        if (!has(shunned, features->items[i])) iw_strings_add(&rest, features->items[i]);
    return keep_strings(arena, &rest);
}

static const char *make_meaning(iw_arena *arena, const iw_profile *profile)
{
    iw_cleanup_buffer iw_buffer out = {0};
    iw_buffer_add_text(&out, "profile-meaning 1\n");
    for (size_t i = 0; i < profile->flags.count; i++)
        iw_meaning_text(&out, "", "flag", profile->flags.items[i]);
    iw_meaning_text(&out, "", "assembler", profile->assembler_march);
    iw_meaning_text(&out, "", "rust", profile->rust_cpu);
    iw_meaning_text(&out, "", "openblas", profile->openblas_target);
    iw_meaning_text(&out, "", "numpy", profile->numpy_baseline);
    return iw_arena_strdup(arena, out.data);
}

static void sort_features(iw_arena *arena, iw_list *features)
{
    iw_cleanup_strings iw_strings sorted = {0};
    iw_strings_add_all(&sorted, features->items);
    iw_strings_sort(&sorted);
    *features = keep_strings(arena, &sorted);
}

int iw_profile_finish(iw_arena *arena, const char *march, const char *tune, iw_profile *profile)
{
    sort_features(arena, &profile->features);
    profile->usable = without(arena, &profile->features, &profile->shunned);
    profile->flags = make_flags(arena, march, tune, &profile->usable);
    profile->meaning = make_meaning(arena, profile);
    return 0;
}

int iw_load_profile(iw_catalog *catalog, const char *name, const char *file, iw_profile **out,
                    iw_error *err)
{
    iw_yaml *root;
    if (iw_catalog_read(catalog, file, &root, err)) return -1;
    iw_profile_draft *draft = iw_arena_alloc(catalog->arena, sizeof *draft);
    if (iw_shape_read(catalog->arena, &iw_shape_profile, root, draft, err)) return -1;
    if (strcmp(draft->profile.name, name) != 0)
        return iw_fail_at(err, &iw_yaml_find(root, "name")->place,
                          "\"name\" is \"%s\", but the file's name says \"%s\"; they must be equal",
                          draft->profile.name, name);
    draft->profile.path = file;
    for (size_t i = 0; i < draft->profile.also.count; i++)
        if (strcmp(draft->profile.also.items[i], name) == 0)
            return iw_fail_at(err, &iw_yaml_find(root, "also")->place,
                              "\"also\" names other profiles; \"%s\" is this one", name);
    *out = &draft->profile;
    return iw_profile_finish(catalog->arena, draft->march, draft->tune, &draft->profile);
}

/* --- joining -------------------------------------------------------------- */

/* What a choice runs on: its name, and the features it takes for granted. Richest first. */
typedef struct iw_level {
    const char *name, *features;
} iw_level;

/* OpenBLAS 0.3: TargetList.txt, and what getarch.c defines for each. */
static const iw_level openblas_levels[] = {
    {"HASWELL", "avx2 fma sse4.2"},
    {"SANDYBRIDGE", "avx sse4.2"},
    {"NEHALEM", "sse4.2"},
    {"PENRYN", "sse4.1"},
    {"CORE2", "ssse3"},
    {"PRESCOTT", "sse3"},
    {"GENERIC", ""},
};

/* numpy 1.26: doc/source/reference/simd/build-options.rst; each level implies those below. */
static const iw_level numpy_levels[] = {
    {"avx2", "avx2 f16c avx sse4.2 popcnt"},
    {"avx", "avx sse4.2 popcnt"},
    {"sse42", "sse4.2 popcnt"},
    {"sse41", "sse4.1"},
    {"ssse3", "ssse3"},
    {"sse3", "sse3"},
    {"sse2", ""},
};

/* GNU as: from its plainest architectures up, by the extensions that it shares names of with gcc.
 * It always takes LAHF; nocona is the plainest that knows SSE3's FISTTP (and has CMPXCHG16B). */
static const char *assembler_of(iw_arena *arena, const iw_list *allowed)
{
    static const char *const words[] = {"3dnow",   "3dnowa",   "abm",   "adx",    "aes",   "avx",
                                        "avx2",    "bmi",      "bmi2",  "cx16",   "f16c",  "fma",
                                        "fma4",    "fsgsbase", "lwp",   "lzcnt",  "movbe", "pclmul",
                                        "popcnt",  "prfchw",   "rdrnd", "rdseed", "sse3",  "sse4.1",
                                        "sse4.2",  "sse4a",    "ssse3", "tbm",    "xop",   "xsave",
                                        "xsaveopt"};
    iw_cleanup_buffer iw_buffer out = {0};
    iw_buffer_add_text(&out, !has(allowed, "sse3")  ? "generic64"
                             : has(allowed, "cx16") ? "nocona"
                                                    : "nocona+nocx16");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (has(allowed, words[i])) iw_buffer_add_format(&out, "+%s", words[i]);
    iw_buffer_add_text(
        &out, "+ibt"); /* ENDBR64, from -fcf-protection, does nothing on CPUs that don't know it */
    return iw_arena_strdup(arena, out.data);
}

static const char *best_level(const iw_level *levels, size_t count, const iw_list *allowed)
{
    for (size_t i = 0; i < count; i++) {
        iw_slice rest = iw_slice_of(levels[i].features), word;
        bool fits = true;
        while (fits && iw_slice_next(&rest, ' ', &word)) {
            iw_cleanup_free char *feature = iw_strndup(word.data, word.length);
            fits = has(allowed, feature);
        }
        if (fits) return levels[i].name;
    }
    return levels[count - 1].name;
}

static iw_list intersect(iw_arena *arena, const iw_profile *const *profiles, size_t count)
{
    iw_cleanup_strings iw_strings common = {0};
    for (size_t i = 0; i < profiles[0]->features.count; i++) {
        const char *feature = profiles[0]->features.items[i];
        bool all = true;
        for (size_t k = 1; k < count; k++) all = all && has(&profiles[k]->features, feature);
        if (all) iw_strings_add(&common, feature);
    }
    return keep_strings(arena, &common);
}

static iw_list shunned_by_any(iw_arena *arena, const iw_profile *const *profiles, size_t count)
{
    iw_cleanup_strings iw_strings all = {0};
    for (size_t i = 0; i < count; i++) iw_strings_add_all(&all, profiles[i]->shunned.items);
    return keep_strings(arena, &all);
}

static bool agree(const iw_profile *const *profiles, size_t count, size_t offset)
{
    const char *first, *other;
    memcpy(&first, (const char *)profiles[0] + offset, sizeof first);
    for (size_t i = 1; i < count; i++) {
        memcpy(&other, (const char *)profiles[i] + offset, sizeof other);
        if (strcmp(first, other) != 0) return false;
    }
    return true;
}

#define COUNT(levels) (sizeof(levels) / sizeof *(levels))

static iw_profile *join(iw_arena *arena, const iw_profile *const *profiles, size_t count,
                        const char *name)
{
    iw_profile *joined = iw_arena_alloc(arena, sizeof *joined);
    *joined = *profiles[0];
    joined->name = name;
    joined->summary = iw_arena_format(arena, "All of %s", name);
    joined->features = intersect(arena, profiles, count);
    joined->shunned = shunned_by_any(arena, profiles, count);
    joined->also = (iw_list){0};
    const char *march = profiles[0]->flags.items[0] + strlen("-march=");
    const char *tune = profiles[0]->flags.items[1];
    tune = iw_starts_with(tune, "-mtune=") ? tune + strlen("-mtune=") : NULL;
    if (!agree(profiles, count, offsetof(iw_profile, assembler_march)))
        joined->assembler_march = assembler_of(arena, &joined->features);
    if (!agree(profiles, count, offsetof(iw_profile, rust_cpu))) joined->rust_cpu = "x86-64";
    if (!agree(profiles, count, offsetof(iw_profile, openblas_target)))
        joined->openblas_target =
            best_level(openblas_levels, COUNT(openblas_levels), &joined->features);
    if (!agree(profiles, count, offsetof(iw_profile, numpy_baseline)))
        joined->numpy_baseline = best_level(numpy_levels, COUNT(numpy_levels), &joined->features);
    iw_profile_finish(arena, march, tune, joined);
    return joined;
}

int iw_profiles_join(iw_catalog *catalog, const iw_strings *names, const char *name,
                     iw_profile **out, iw_error *err)
{
    const iw_profile **profiles =
        iw_arena_alloc(catalog->arena, (names->count + 1) * sizeof *profiles);
    for (size_t i = 0; i < names->count; i++)
        if (iw_catalog_profile(catalog, names->items[i], &profiles[i], err)) return -1;
    *out = join(catalog->arena, profiles, names->count, name);
    return 0;
}
