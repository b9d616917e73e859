/* The emulator proved: under every profile's CPU model each feature of the profile runs, and every
 * other one traps, but for those that are pinned as unseen. */
#include "kit.h"

#include "emulate/emulate.h"
#include "recipe/features.h"

typedef struct line {
    char feature[24], hex[40], where_missing[12], outcome[12];
    unsigned result; /* low byte of what the instruction left in rax */
} line;

typedef struct table {
    line lines[200];
    size_t count;
    iw_buffer input; /* for the probe */
} table;

static void read_table(table *t)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    kit_ok(iw_read_file("tests/cases/emulate/features.test", 1 << 20, &text, NULL, &err));
    iw_slice rest = iw_slice_of(text), one;
    while (iw_slice_next(&rest, '\n', &one)) {
        iw_cleanup_free char *copy = iw_strndup(one.data, one.length);
        line *l = &t->lines[t->count];
        if (*copy == '#' || !*copy) continue;
        assert_true(t->count < 200);
        assert_int_equal(sscanf(copy, "%23s %39s %11s", l->feature, l->hex, l->where_missing), 3);
        iw_buffer_add_format(&t->input, "%s %s\n", l->feature, l->hex);
        t->count++;
    }
}

/* Runs all of the table's instructions under a CPU model. */
static void run_table(const char *folder, const char *model, table *t)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *out = NULL, *input = iw_path_join(folder, "input"),
                         *script = iw_format("exec qemu-x86_64-static -cpu '%s' '%s/probe' <'%s'",
                                             model, folder, input);
    kit_ok(iw_write_file(input, t->input.data, t->input.length, 0644, &err));
    kit_ok(iw_run_capture(ARGV("/bin/sh", "-c", script), ARGV("PATH=/usr/bin:/bin"), 1 << 16, &out,
                          NULL, &err));
    iw_slice rest = iw_slice_of(out), one;
    for (size_t i = 0; i < t->count; i++) {
        char feature[24];
        assert_true(iw_slice_next(&rest, '\n', &one));
        iw_cleanup_free char *copy = iw_strndup(one.data, one.length);
        assert_int_equal(sscanf(copy, "%23s %11s %x", feature, t->lines[i].outcome,
                                &t->lines[i].result),
                         3);
        assert_string_equal(feature, t->lines[i].feature);
    }
}

static bool listed(const char *const *list, const char *name)
{
    while (*list && strcmp(*list, name) != 0) list++;
    return *list != NULL;
}

static void check_line(const iw_profile *profile, const line *l)
{
    const char *unseen[IW_UNSEEN_LIMIT];
    bool has = false, ran = strcmp(l->outcome, "ran") == 0,
         trapped = strcmp(l->outcome, "SIGILL") == 0, right;
    iw_emulator_unseen(profile, unseen);
    for (size_t i = 0; i < profile->features.count; i++)
        has = has || strcmp(profile->features.items[i], l->feature) == 0;
    bool mistaken = strcmp(l->where_missing, "mistaken") == 0,
         bsr = strcmp(l->where_missing, "bsr") == 0;
    if (strcmp(l->where_missing, "system") == 0) right = !ran;
    else if (has) right = ran && (!bsr || l->result == 31);
    else if (strcmp(l->where_missing, "traps") == 0) right = trapped;
    else if (strcmp(l->where_missing, "no-op") == 0) right = ran;
    else if (bsr) right = ran && l->result == 0;
    else right = mistaken && !trapped;
    if (!right)
        fail_msg("%s: %s (%s), which it %s: %s, %x", profile->name, l->feature, l->hex,
                 has ? "has" : "lacks", l->outcome, l->result);
    if (!has && listed(unseen, l->feature) != (mistaken || bsr))
        fail_msg("%s: what iw_emulator_unseen says of %s isn't so", profile->name, l->feature);
}

static void test_every_feature(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    iw_list names;
    table *t = iw_alloc(sizeof *t);
    iw_cleanup_free char *source = NULL;
    read_table(t);
    kit_ok(iw_read_file("tests/cases/emulate/probe.c", 1 << 16, &source, NULL, &err));
    kit_compile(*state, "probe", source, "-static");
    kit_ok(iw_catalog_open(".", &catalog, &err));
    kit_ok(iw_catalog_profiles(catalog, &names, &err));
    assert_true(names.count >= 9);
    for (size_t i = 0; i < names.count; i++) {
        const iw_profile *profile;
        kit_ok(iw_catalog_profile(catalog, names.items[i], &profile, &err));
        run_table(*state, profile->emulator_cpu, t);
        for (size_t k = 0; k < t->count; k++) check_line(profile, &t->lines[k]);
    }
    iw_catalog_free(catalog);
    iw_buffer_free(&t->input);
    free(t);
}

/* Every feature that there is an option for has a line; LZCNT and POPCNT are ABM. */
static void test_table_is_whole(void **state)
{
    (void)state;
    table *t = iw_alloc(sizeof *t);
    read_table(t);
    for (const char *const *feature = iw_features(NULL); *feature; feature++) {
        bool found = strcmp(*feature, "abm") == 0;
        for (size_t i = 0; i < t->count && !found; i++)
            found = strcmp(t->lines[i].feature, *feature) == 0;
        if (!found) fail_msg("no instruction of %s is tried", *feature);
    }
    iw_buffer_free(&t->input);
    free(t);
}

/* CPUs that a profile stands for have all that it allows. */
static void test_also(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    iw_list names;
    size_t seen = 0;
    kit_ok(iw_catalog_open(".", &catalog, &err));
    kit_ok(iw_catalog_profiles(catalog, &names, &err));
    for (size_t i = 0; i < names.count; i++) {
        const iw_profile *profile, *other;
        kit_ok(iw_catalog_profile(catalog, names.items[i], &profile, &err));
        for (size_t k = 0; k < profile->also.count; k++, seen++) {
            kit_ok(iw_catalog_profile(catalog, profile->also.items[k], &other, &err));
            for (size_t f = 0; f < profile->features.count; f++)
                if (!listed(other->features.items, profile->features.items[f]))
                    fail_msg("%s lacks %s, which %s allows", other->name,
                             profile->features.items[f], profile->name);
        }
    }
    assert_true(seen >= 3); /* fleet's */
    iw_catalog_free(catalog);
}

static void test_note(void **state)
{
    (void)state;
    static const char *const features[] = {"sse3", "lzcnt", NULL}, *const flags[] = {
                                                                       "-march=bdver1", NULL};
    const iw_profile profile = {.name = "b", .features = {features, 2}, .flags = {flags, 1}};
    const char *unseen[IW_UNSEEN_LIMIT];
    iw_emulator_unseen(&profile, unseen);
    assert_string_equal(unseen[0], "lwp");
    assert_false(listed(unseen, "lzcnt"));
    iw_cleanup_free char *note = iw_emulator_note(&profile);
    assert_non_null(
        strstr(note,
               "the emulated b doesn't stop at lwp, shstk, tbm, waitpkg, xop: for these the audit "
               "is the only guard; FMA4, XOP and LWP, which such a CPU has, are left out"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_every_feature,
                                                                       kit_setup, kit_teardown),
                                       cmocka_unit_test(test_table_is_whole),
                                       cmocka_unit_test(test_also), cmocka_unit_test(test_note)};
    return cmocka_run_group_tests_name("emulator", tests, NULL, NULL);
}
