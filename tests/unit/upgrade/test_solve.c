/* Releases that hold together. */
#include "../check.h"

#include "base/memory.h"
#include "upgrade/solve.h"

static const struct {
    const char *name, *version, *needs[4];
} world[] = {{"numpy", "2.5", {NULL}},
             {"numpy", "2.4", {NULL}},
             {"numpy", "1.26", {NULL}},
             {"numba", "0.68", {"numpy>=1.22,<2.5", "llvmlite==0.50", NULL}},
             {"numba", "0.60", {"numpy<2.1", "llvmlite>=0.43,<0.44", NULL}},
             {"llvmlite", "0.51", {NULL}},
             {"llvmlite", "0.50", {NULL}},
             {"llvmlite", "0.43", {NULL}},
             {"pandas", "3.1", {"numpy>=2", "dateutil; python_version<'3'", NULL}},
             {"pandas", "2.2", {"numpy>=1.20", NULL}},
             {"torch", "2.11", {"no-recipe-here", NULL}},
             {"torch", "2.7", {"numpy<1", NULL}},
             {"old", "1", {"numpy<2", NULL}},
             {"plain", "2", {"known", NULL}},
             {"plain", "1", {NULL}}};

static int needs(void *context, const iw_choice *choice, size_t version, iw_strings *out,
                 iw_error *err)
{
    (void)context, (void)err;
    for (size_t i = 0; i < sizeof world / sizeof *world; i++)
        if (strcmp(world[i].name, choice->name) == 0 &&
            strcmp(world[i].version, choice->versions.items[version]) == 0)
            iw_strings_add_all(out, world[i].needs);
    return 0;
}

static const char *recipe(void *context, const char *name)
{
    return strcmp(name, "known") == 0 || iw_choices_find(context, name) ? name : NULL;
}

static char *solved(const char *const *names)
{
    iw_choices choices = {0};
    iw_error err = IW_ERROR_INIT;
    iw_buffer out = {0};
    for (size_t n = 0; names[n]; n++) {
        iw_choice *choice = iw_choices_add(&choices, names[n]);
        for (size_t i = 0; i < sizeof world / sizeof *world; i++)
            if (strcmp(world[i].name, names[n]) == 0)
                iw_strings_add(&choice->versions, world[i].version);
    }
    iw_solving solving = {"3.11.2", needs, recipe, &choices};
    kit_ok(iw_solve(&choices, &solving, &err));
    for (size_t i = 0; i < choices.count; i++)
        iw_buffer_add_format(&out, "%s %s%s%s\n", choices.items[i].name,
                             iw_choice_version(&choices.items[i]), choices.items[i].why ? ": " : "",
                             choices.items[i].why ? choices.items[i].why : "");
    iw_choices_free(&choices);
    return iw_buffer_take(&out);
}

#define EXPECT(wanted, ...)                                                                        \
    do {                                                                                           \
        iw_cleanup_free char *got = solved((const char *const[]){__VA_ARGS__, NULL});              \
        assert_string_equal(got, wanted);                                                          \
    } while (0)

static void test_solve(void **state)
{
    (void)state;
    EXPECT("numpy 2.5\n", "numpy");
    EXPECT("numpy 2.4: numba 0.68 needs numpy>=1.22,<2.5\nnumba 0.68\n"
           "llvmlite 0.50: numba 0.68 needs llvmlite==0.50\npandas 3.1\n",
           "numpy", "numba", "llvmlite", "pandas");
    /* A package that stays holds the others back, and what needs more than that gives way. */
    EXPECT("numpy 1.26: old 1 needs numpy<2\nold 1\npandas 2.2: 3.1 needs numpy>=2, and there is "
           "only 1.26\n",
           "numpy", "old", "pandas");
    /* Without a recipe of what is new; what the stack denies already counts for nothing. */
    EXPECT("torch 2.7: 2.11 needs no-recipe-here, of which the tree has no recipe\nnumpy 2.5\n",
           "torch", "numpy");
    EXPECT("plain 2\n", "plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_solve)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
