/* Patches on new sources: every class, as GNU patch and the build see it. */
#include "../check.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "upgrade/patch_lines.h"
#include "upgrade/patch_try.h"

typedef struct kit {
    char *folder, *sources, *work;
} kit;

static int set_up(void **state)
{
    kit *k = iw_alloc(sizeof *k);
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_temporary_folder("/tmp", "iw-upgrade-", &k->folder, &err));
    k->sources = iw_path_join(k->folder, "src");
    k->work = iw_path_join(k->folder, "work");
    kit_ok(iw_make_folders(k->sources, 0755, &err));
    kit_ok(iw_make_folders(k->work, 0755, &err));
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    kit *k = *state;
    (void)!iw_remove_tree(k->folder, NULL);
    free(k->folder), free(k->sources), free(k->work), free(k);
    return 0;
}

static void lay(kit *k, const char *name, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(k->sources, name), *parent = iw_path_parent(path);
    kit_ok(iw_make_folders(parent, 0755, &err));
    kit_ok(iw_write_passing(path, text, strlen(text), 0644, &err));
}

static void expect_text(kit *k, const char *name, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(k->sources, name), *found = NULL;
    if (!text) {
        assert_false(iw_exists(path));
        return;
    }
    kit_ok(iw_read_file(path, 1 << 20, &found, NULL, &err));
    assert_string_equal(found, text);
}

/* Tries it; the caller clears the result. */
static iw_patch_try tried(kit *k, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_patch_try out;
    iw_cleanup_free char *patch = iw_path_join(k->folder, "x.patch");
    kit_ok(iw_write_passing(patch, text, strlen(text), 0644, &err));
    kit_ok(iw_try_patch(k->sources, patch, 1, k->work, &out, &err));
    return out;
}

static void expect(kit *k, const char *text, iw_patch_class result)
{
    iw_patch_try out = tried(k, text);
    if (out.result != result)
        fail_msg("%s, not %s", iw_patch_class_name(out.result), iw_patch_class_name(result));
    iw_patch_try_clear(&out);
}

/* "1\n2\n…", with `instead` for line `line`; caller frees. */
static char *numbers(int first, int last, int line, const char *instead)
{
    iw_buffer text = {0};
    for (int i = first; i <= last; i++)
        if (i == line) iw_buffer_add_text(&text, instead);
        else iw_buffer_add_format(&text, "%d\n", i);
    return iw_buffer_take(&text);
}

static const char middle[] =
    "Description: x\n---\n--- a/f\n+++ b/f\n@@ -7,7 +7,7 @@ 6\n 7\n 8\n 9\n"
    "-10\n+ten\n 11\n 12\n 13\n";

static void test_clean_and_offset(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *plain = numbers(1, 20, 99, ""), *done = numbers(1, 20, 10, "ten\n"),
                         *lower = numbers(-4, 20, 99, ""),
                         *lower_done = numbers(-4, 20, 10, "ten\n");
    lay(k, "f", plain);
    expect(k, middle, IW_PATCH_CLEAN);
    expect_text(k, "f", done);
    lay(k, "f", lower);
    iw_patch_try out = tried(k, middle);
    assert_int_equal(out.result, IW_PATCH_OFFSET);
    assert_int_equal(out.hunk_count, 1);
    assert_int_equal(out.hunks[0].offset, 5);
    assert_string_equal(out.hunks[0].file, "f");
    expect_text(k, "f", lower_done);
    iw_cleanup_free char *fresh = iw_patch_refreshed(middle, &out);
    iw_patch_try_clear(&out);
    assert_non_null(strstr(fresh, "@@ -12,7 +12,7 @@ 6\n"));
    lay(k, "f", lower);
    expect(k, fresh, IW_PATCH_CLEAN);
    expect_text(k, "f", lower_done);
}

static void test_upstream(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *done = numbers(1, 20, 10, "ten\n"), *lower = numbers(-9, 20, 10, "ten\n");
    lay(k, "f", done);
    expect(k, middle, IW_PATCH_UPSTREAM);
    expect_text(k, "f", done);
    lay(k, "f", lower);
    expect(k, middle, IW_PATCH_UPSTREAM);
    expect_text(k, "f", lower);
}

/* Context that changed by one word is no match: fuzz would take it. */
static void test_conflict(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *other = numbers(1, 20, 7, "seven\n");
    lay(k, "f", other);
    iw_patch_try out = tried(k, middle);
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_int_equal(out.hunk_count, 1);
    assert_int_equal(out.hunks[0].number, 1);
    assert_true(out.hunks[0].failed && !out.hunks[0].upstream);
    assert_non_null(strstr(out.hunks[0].now, "7: seven\n8: 8\n"));
    iw_patch_try_clear(&out);
    expect_text(k, "f", other);
    (void)!unlink(k->work); /* nothing is left behind in the sources */
    iw_cleanup_free char *rejects = iw_path_join(k->sources, "f.rej");
    assert_false(iw_exists(rejects));
}

static const char two_hunks[] = "--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n 2\n-3\n+three\n 4\n"
                                "@@ -15,3 +15,3 @@\n 15\n-16\n+sixteen\n 17\n";

static void test_half_merged(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *half = numbers(1, 20, 3, "three\n");
    lay(k, "f", half);
    iw_patch_try out = tried(k, two_hunks);
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_int_equal(out.hunk_count, 1);
    assert_int_equal(out.hunks[0].number, 1);
    assert_true(out.hunks[0].failed && out.hunks[0].upstream);
    iw_patch_try_clear(&out);
    expect_text(k, "f", half);
}

/* The second hunk moved, the first didn't. */
static void test_one_hunk_moves(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *grown = numbers(1, 20, 9, "9\nnew\nlines\n");
    lay(k, "f", grown);
    iw_patch_try out = tried(k, two_hunks);
    assert_int_equal(out.result, IW_PATCH_OFFSET);
    iw_cleanup_free char *fresh = iw_patch_refreshed(two_hunks, &out);
    iw_patch_try_clear(&out);
    assert_non_null(strstr(fresh, "@@ -2,3 +2,3 @@"));
    assert_non_null(strstr(fresh, "@@ -17,3 +17,3 @@"));
}

static void test_line_ends(void **state)
{
    kit *k = *state;
    lay(k, "f", "1\r\n2\r\n3\r\n");
    expect(k, "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n 1\r\n-2\r\n+two\r\n 3\r\n", IW_PATCH_CLEAN);
    expect_text(k, "f", "1\r\ntwo\r\n3\r\n");
    expect(k, "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n 1\r\n-2\r\n+two\r\n 3\r\n", IW_PATCH_UPSTREAM);
    iw_patch_try out = tried(k, "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n 1\n-two\n+2\n 3\n");
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_non_null(out.hunks[0].why);
    assert_non_null(strstr(out.hunks[0].why, "CRLF"));
    iw_patch_try_clear(&out);
}

static const char renames[] = "diff --git a/old_name b/new_name\nsimilarity index 60%\n"
                              "rename from old_name\nrename to new_name\n--- a/old_name\n"
                              "+++ b/new_name\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n";

static void test_renames(void **state)
{
    kit *k = *state;
    lay(k, "old_name", "1\n2\n3\n");
    expect(k, renames, IW_PATCH_CLEAN);
    expect_text(k, "old_name", NULL);
    expect_text(k, "new_name", "1\ntwo\n3\n");
    expect(k, renames, IW_PATCH_UPSTREAM);
    lay(k, "new_name", "1\nother\n3\n");
    expect(k, renames, IW_PATCH_CONFLICT);
}

static const char makes[] = "--- /dev/null\n+++ b/d/new\n@@ -0,0 +1,2 @@\n+1\n+2\n";
static const char removes[] = "--- a/d/new\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-1\n-2\n";

static void test_creations_and_deletions(void **state)
{
    kit *k = *state;
    expect(k, makes, IW_PATCH_CLEAN);
    expect_text(k, "d/new", "1\n2\n");
    expect(k, makes, IW_PATCH_UPSTREAM);
    lay(k, "d/new", "1\nother\n");
    iw_patch_try out = tried(k, makes);
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_non_null(out.hunks[0].why);
    assert_string_equal(out.hunks[0].file, "d/new");
    iw_patch_try_clear(&out);
    expect(k, removes, IW_PATCH_CONFLICT);
    lay(k, "d/new", "1\n2\n");
    expect(k, removes, IW_PATCH_CLEAN);
    expect_text(k, "d/new", NULL);
    expect(k, removes, IW_PATCH_UPSTREAM);
}

static void test_file_is_gone(void **state)
{
    kit *k = *state;
    iw_patch_try out = tried(k, middle);
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_string_equal(out.hunks[0].file, "f");
    assert_string_equal(out.hunks[0].why, "the file isn't there");
    iw_patch_try_clear(&out);
}

/* The patch on files that stand elsewhere now. */
static iw_patch_try tried_moved(kit *k, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *patch = iw_path_join(k->folder, "x.patch");
    iw_patch_try out = tried(k, text);
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    kit_ok(iw_try_moved_patch(k->sources, patch, 1, k->work, &out, &err));
    return out;
}

static void test_moved_files(void **state)
{
    kit *k = *state;
    static const char patch[] = "Description: x\n---\n--- a/core/src/f\n+++ b/core/src/f\n"
                                "@@ -7,7 +7,7 @@ 6\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n";
    iw_cleanup_free char *old = numbers(1, 20, 0, ""), *further = numbers(-1, 20, 0, "");
    lay(k, "_core/src/f", further);
    lay(k, "other/f", old);
    iw_patch_try out = tried_moved(k, patch);
    assert_int_equal(out.result, IW_PATCH_OFFSET);
    assert_int_equal(out.moved.count, 1);
    assert_string_equal(out.moved.items[0], "core/src/f is _core/src/f now");
    iw_cleanup_free char *fresh = iw_patch_refreshed(out.text, &out);
    assert_non_null(strstr(fresh, "--- a/_core/src/f\n+++ b/_core/src/f\n@@ -8,7 +8,7 @@ 6\n"));
    iw_patch_try_clear(&out);
    expect(k, fresh, IW_PATCH_UPSTREAM); /* it went in */
    out = tried_moved(k, patch);         /* upstream has it, elsewhere */
    assert_int_equal(out.result, IW_PATCH_UPSTREAM);
    iw_patch_try_clear(&out);
}

/* Two that stand equally near, or something else that is wrong: a person must look. */
static void test_moved_nowhere(void **state)
{
    kit *k = *state;
    static const char patch[] = "--- a/core/f\n+++ b/core/f\n@@ -1 +1 @@\n-1\n+one\n";
    lay(k, "a/f", "1\n");
    lay(k, "b/f", "1\n");
    iw_patch_try out = tried_moved(k, patch);
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_null(out.text);
    iw_patch_try_clear(&out);
    lay(k, "x/core/f", "something else\n");
    out = tried_moved(k, patch);
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_int_equal(out.moved.count, 0);
    iw_patch_try_clear(&out);
}

static void test_binary(void **state)
{
    kit *k = *state;
    lay(k, "f", "x");
    iw_patch_try out =
        tried(k, "diff --git a/f b/f\nindex 1111111..2222222 100644\nGIT binary patch\nliteral 1\n"
                 "IcmZ=\n\nliteral 1\nIcmZ>\n\n");
    assert_int_equal(out.result, IW_PATCH_CONFLICT);
    assert_non_null(strstr(out.hunks[0].why, "binary"));
    iw_patch_try_clear(&out);
    expect_text(k, "f", "x");
}

/* What it adds reads like its surroundings: it would go in again and again. */
static void test_applies_twice(void **state)
{
    kit *k = *state;
    static const char again[] = "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n same\n+same\n same\n";
    lay(k, "f", "same\nsame\nsame\nend\n");
    iw_patch_try out = tried(k, again);
    assert_int_equal(out.result, IW_PATCH_UPSTREAM);
    assert_true(out.both_ways);
    iw_patch_try_clear(&out);
    expect_text(k, "f", "same\nsame\nsame\nend\n");
}

/* Two functions alike, of which upstream mended the other: the nearer one is meant. */
static void test_the_nearer_place(void **state)
{
    kit *k = *state;
    lay(k, "f", "a\nb\nc\n1\n2\n3\n4\na\nB\nc\n");
    iw_patch_try out = tried(k, "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
    assert_int_equal(out.result, IW_PATCH_CLEAN);
    assert_true(out.both_ways);
    iw_patch_try_clear(&out);
    expect_text(k, "f", "a\nB\nc\n1\n2\n3\n4\na\nB\nc\n");
}

static void test_a_pair(void **state)
{
    kit *k = *state;
    static const char first[] = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n",
                      second[] = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-one\n+uno\n 2\n";
    lay(k, "f", "1\n2\n");
    expect(k, second, IW_PATCH_CONFLICT);
    expect(k, first, IW_PATCH_CLEAN);
    expect(k, second, IW_PATCH_CLEAN);
    expect_text(k, "f", "uno\n2\n");
}

/* One file in two parts of a patch, the second on what the first made. */
static void test_same_file_twice(void **state)
{
    kit *k = *state;
    lay(k, "f", "1\n2\n");
    expect(k,
           "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 "
           "@@\n-one\n+uno\n 2\n",
           IW_PATCH_CLEAN);
    expect_text(k, "f", "uno\n2\n");
}

static void test_leads_out(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *outside = iw_path_join(k->folder, "f"),
                         *link = iw_path_join(k->sources, "l"), *found = NULL;
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_write_passing(outside, "1\n", 2, 0644, &err));
    assert_int_equal(symlink("../f", link), 0);
    expect(k, "--- a/../f\n+++ b/../f\n@@ -1 +1 @@\n-1\n+one\n", IW_PATCH_CONFLICT);
    expect(k, "--- a/l\n+++ b/l\n@@ -1 +1 @@\n-1\n+one\n", IW_PATCH_CONFLICT);
    kit_ok(iw_read_file(outside, 100, &found, NULL, &err));
    assert_string_equal(found, "1\n");
}

/* It goes in neither way; upstream took its lines over and went on. */
static void test_lines_stand(void **state)
{
    kit *k = *state;
    static const char both[] =
        "Description: x\nProof: y\n---\n--- a/f\t2026\n+++ b/f\t2026\n"
        "@@ -1,3 +1,2 @@\n-import the_thing\n one\n two\n@@ -8,3 +7,4 @@\n 8\n"
        "-use(the_thing)\n+if there_is_one():\n+    use(the_thing)\n 9\n",
                      before[] = "zero\nimport the_thing\nuse(the_thing)\n",
                      taken[] = "zero\nif there_is_one():\n    use(the_thing)\nthree\n",
                      apart[] = "if there_is_one():\n    pass\n    use(the_thing)\n",
                      half[] = "import the_thing\nif there_is_one():\n    use(the_thing)\n";
    const struct {
        const char *file;
        bool stand;
    } cases[] = {{taken, true}, {before, false}, {apart, false}, {half, false}, {"", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lay(k, "f", cases[i].file);
        expect(k, both, IW_PATCH_CONFLICT);
        assert_int_equal(iw_patch_lines_stand(k->sources, both, 1), cases[i].stand);
    }
    lay(k, "f", taken);
    assert_false(iw_patch_lines_stand(k->sources, both, 2)); /* another file */
    assert_false(iw_patch_lines_stand(k->sources, "Description: x\n", 1));
    /* What only takes out, or adds what may stand anywhere, says nothing. */
    assert_false(iw_patch_lines_stand(k->sources, "--- a/f\n+++ b/f\n@@ -1 +0,0 @@\n-gone\n", 1));
    lay(k, "f", "}\n");
    assert_false(iw_patch_lines_stand(k->sources, "--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+}\n", 1));
    assert_false(
        iw_patch_lines_stand(k->sources, "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-}\n", 1));
    assert_false(iw_patch_lines_stand(k->sources, "--- a/f\n+++ b/f\n@@ -1,9 +1,9 @@\n }\n", 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_clean_and_offset), TEST(test_upstream),
        TEST(test_conflict),         TEST(test_half_merged),
        TEST(test_one_hunk_moves),   TEST(test_line_ends),
        TEST(test_renames),          TEST(test_creations_and_deletions),
        TEST(test_file_is_gone),     TEST(test_moved_files),
        TEST(test_moved_nowhere),    TEST(test_binary),
        TEST(test_applies_twice),    TEST(test_the_nearer_place),
        TEST(test_a_pair),           TEST(test_same_file_twice),
        TEST(test_leads_out),        TEST(test_lines_stand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
