/* Digests that requirements ask for. */
#include <stdlib.h>

#include "base/memory.h"
#include "../emulate/kit.h"
#include "upgrade/heal_hashes.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static void test_every_line_counts(void **state)
{
    static const struct {
        const char *name, *version, *sha256;
        iw_hashes wanted;
        const char *place;
    } cases[] = {
        {"plain", "1.0", A, IW_HASHES_NONE, NULL},
        {"pinned", "1.0", A, IW_HASHES_KEPT, "a.txt:2"},
        {"pinned", "1.0.0", B, IW_HASHES_KEPT, "a.txt:2"},
        {"pinned", "1.0", C, IW_HASHES_REFUSED, "a.txt:2"},
        {"pinned", "1.0", NULL, IW_HASHES_REFUSED, "a.txt:2"},
        {"pinned", "0.9", C, IW_HASHES_OTHER, "a.txt:2"},
        {"loose", "7", B, IW_HASHES_REFUSED, "a.txt:4"}, /* whatever the version is */
        {"both", "1", B, IW_HASHES_REFUSED, "limits.txt:1"},
        {"both", "1", A, IW_HASHES_KEPT, "a.txt:5"},
        {"long", "1", A, IW_HASHES_REFUSED, "a.txt:6"}, /* not a digest that we compute */
    };
    iw_error err = IW_ERROR_INIT;
    iw_requirements all = {0};
    kit_text(*state, "a.txt",
             "plain\npinned==1.0 --hash=sha256:" A " \\\n    --hash sha256:" B
             "\nloose>=1 --hash=SHA256:" A "\nboth==1 --hash=sha256:" A " --hash=sha256:" B
             "\nlong==1 --hash=sha512:" A "\n-c limits.txt\n");
    kit_text(*state, "limits.txt", "both==1 --hash=sha256:" A "\n");
    iw_cleanup_free char *path = iw_path_join(*state, "a.txt");
    kit_ok(iw_requirements_read(&all, path, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_cleanup_free char *place = NULL;
        iw_hashes what =
            iw_hashes_hold(&all, cases[i].name, cases[i].version, cases[i].sha256, &place);
        if (what != cases[i].wanted) fail_msg("case %zu: %d", i, (int)what);
        if (!cases[i].place) assert_null(place);
        else if (!place || !strstr(place, cases[i].place)) fail_msg("case %zu: %s", i, place);
    }
    iw_requirements_free(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_line_counts, kit_setup, kit_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
