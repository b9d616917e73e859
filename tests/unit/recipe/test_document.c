/* Hostile files: bounds on size, depth, counts and lengths hold, quickly, and with a place. Runs of
 * random damage do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/memory.h"
#include "recipe/document.h"

#define KIB(n) ((size_t)(n) << 10)

static char *repeated(const char *text, size_t bytes)
{
    iw_buffer out = {0};
    while (out.length < bytes) iw_buffer_add_text(&out, text);
    return iw_buffer_take(&out);
}

/* Refused, with a message that holds `says`, within some seconds (sanitizers included). */
static void refuse(const char *text, size_t length, const char *says)
{
    iw_error err = IW_ERROR_INIT;
    clock_t start = clock();
    assert_int_equal(iw_recipe_check_text("recipe", "x.yaml", text, length, &err), -1);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10);
    assert_int_equal(err.kind, IW_E_RECIPE);
    if (!strstr(iw_error_text(&err), says) || !iw_starts_with(iw_error_text(&err), "x.yaml:"))
        fail_msg("\"%s\" in: %.300s", says, iw_error_text(&err));
    iw_error_clear(&err);
}

static void refuse_text(const char *text, const char *says)
{
    refuse(text, strlen(text), says);
}

static void test_size(void **state)
{
    (void)state;
    iw_cleanup_free char *big = repeated("# comment\n", IW_DOCUMENT_MAX_BYTES + 1);
    refuse_text(big, "larger than 1048576 bytes");
    refuse(big, IW_DOCUMENT_MAX_BYTES / 10 * 10, "the file is empty");
}

static void test_depth(void **state)
{
    (void)state;
    static const char *const openers[] = {"[", "{a: ", "{", "- ", "? ", "[{", "a: [", "!!a ["};
    for (size_t i = 0; i < sizeof openers / sizeof *openers; i++) {
        iw_cleanup_free char *text = repeated(openers[i], KIB(200));
        iw_cleanup_free char *whole = iw_format("a: %s", text);
        refuse_text(text, "x.yaml:");
        refuse_text(whole, "x.yaml:");
    }
    refuse_text("a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "nested more than 12 deep");
}

static void test_counts(void **state)
{
    (void)state;
    iw_cleanup_free char *many = repeated("a,", KIB(400)),
                         *list = iw_format("needs: {run: [%sa]}\n", many);
    refuse_text(list, "more than 60000 values");
    iw_cleanup_free char *some = repeated("a,", 4002),
                         *longer = iw_format("needs: {run: [%sa]}\n", some);
    refuse_text(longer, "\"run\" has more than 1000 items");
    iw_cleanup_buffer iw_buffer keys = {0};
    for (int i = 0; i < 3000; i++) iw_buffer_add_format(&keys, "k%d: v\n", i);
    refuse_text(keys.data, "more than 1000 keys in one mapping");
}

static void test_lengths(void **state)
{
    (void)state;
    iw_cleanup_free char *word = repeated("x", KIB(900));
    iw_cleanup_free char *key = iw_format("%s: 1\n", word),
                         *value = iw_format("summary: %s\n", word),
                         *quoted = iw_format("summary: \"%s\"\n", word);
    refuse_text(key, "x.yaml:1:");
    refuse_text(value, "longer than 4096 bytes");
    refuse_text(quoted, "longer than 4096 bytes");
    iw_cleanup_free char *lines = repeated("    echo line\n", KIB(900)),
                         *shell = iw_format("build:\n  system: make\n  compile: |\n%s", lines);
    refuse_text(shell, "longer than 262144 bytes");
    iw_cleanup_free char *spaces = repeated(" ", KIB(900)), *quotes = repeated("\"", KIB(900)),
                         *dashes = repeated("-", KIB(900));
    refuse_text(spaces, "the file is empty");
    refuse_text(quotes, "x.yaml:1:");
    refuse_text(dashes, "x.yaml:1:");
    iw_cleanup_free char *colons = repeated("a: ", KIB(900)),
                         *questions = repeated("?\n", KIB(900)),
                         *pipes = repeated("a: |\n", KIB(900));
    refuse_text(colons, "x.yaml:1:");
    refuse_text(questions, "x.yaml:");
    refuse_text(pipes, "stands twice");
}

/* Nothing that a file says reaches a terminal as a control character, and an error never shows half
 * a character. */
static void test_messages_are_safe(void **state)
{
    (void)state;
    static const char *const texts[] = {"\"a\\e[31mb\": 1\n",
                                        "name: \"\\e]0;x\\a\"\n",
                                        "version: \"\\x9b31m\"\n",
                                        "name: x\nsources: [{\"\\x1b\": 1}]\n",
                                        "build: {system: \"\\x07\"}\n",
                                        "build: {memory: \"\\x1b[2J\"}\n",
                                        "\"\\x1b\": 1\n\"\\x1b\": 2\n",
                                        "build: {system: make, remove: [\"\\N\", \"\\N\"]}\n",
                                        "audit: {policy: \"\\x0bclean\"}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        iw_error err = IW_ERROR_INIT;
        assert_int_equal(iw_recipe_check_text("recipe", "x.yaml", texts[i], strlen(texts[i]), &err),
                         -1);
        for (const unsigned char *at = (const unsigned char *)iw_error_text(&err); *at; at++)
            if (*at < 0x20 || *at == 0x7F || (*at == 0xC2 && at[1] < 0xA0))
                fail_msg("case %zu lets a control character through", i);
        iw_error_clear(&err);
    }
    iw_cleanup_free char *long_text = repeated("é", 200), *shown = iw_shown(long_text);
    assert_true(iw_ends_with(shown, "é…"));
    iw_cleanup_free char *lines = iw_shown("one\ntwo");
    assert_string_equal(lines, "one…");
}

/* One byte, or a run of bytes, of a right file changed: refused with a place, or right again.
 * Seeded. */
static void test_damage(void **state)
{
    (void)state;
    iw_cleanup_free char *text = NULL;
    size_t length;
    assert_int_equal(iw_read_file("tests/cases/recipe/meaning.test", KIB(100), &text, &length,
                                  NULL),
                     0);
    char *start = strchr(text, '\n') + 1, *end = strstr(start, "-- load");
    size_t size = (size_t)(end - start);
    uint32_t seed = 12345;
    for (int round = 0; round < 4000; round++) {
        iw_cleanup_free char *copy = iw_strndup(start, size);
        for (int i = 0; i < 1 + round % 3; i++) {
            seed = seed * 1664525 + 1013904223;
            copy[(seed >> 8) % size] = "\n :-[]{}#&*!|>'\"%@`,?\t\x80zA0"[(seed >> 3) % 27];
        }
        iw_error err = IW_ERROR_INIT;
        if (iw_recipe_check_text("recipe", "x.yaml", copy, size, &err)) {
            assert_int_equal(err.kind, IW_E_RECIPE);
            assert_true(iw_starts_with(iw_error_text(&err), "x.yaml:"));
        }
        iw_error_clear(&err);
    }
}

static void test_nodes(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb: [x, 'y', \"z\"]\nc:\n  d: |\n    one\n    two\n";
    iw_error err = IW_ERROR_INIT;
    iw_arena *arena = iw_arena_new();
    iw_yaml *root;
    assert_int_equal(iw_document_parse(arena, "f.yaml", text, sizeof text - 1, &root, &err), 0);
    assert_int_equal(root->count, 3);
    const iw_yaml *b = iw_yaml_find(root, "b"), *d = iw_yaml_find(iw_yaml_find(root, "c"), "d");
    assert_int_equal(b->count, 3);
    assert_true(b->first->plain && !b->first->next->plain);
    assert_int_equal(b->first->next->place.line, 2);
    assert_int_equal(b->first->next->place.column, 8);
    assert_string_equal(d->text, "one\ntwo\n");
    assert_string_equal(d->place.file, "f.yaml");
    assert_null(iw_yaml_find(root, "e"));
    assert_null(iw_yaml_find(b, "e"));
    assert_null(iw_yaml_find(NULL, "e"));
    iw_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),   cmocka_unit_test(test_size),
        cmocka_unit_test(test_depth),   cmocka_unit_test(test_counts),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_messages_are_safe),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests_name("hostile files", tests, NULL, NULL);
}
