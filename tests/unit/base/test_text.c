/* Errors, allocation, arenas, slices, buffers, lists, globs, suggestions, numbers for people; paths
 * as text. */
#include "kit.h"

#include <sys/wait.h>

#include "base/arena.h"

/* --- errors --------------------------------------------------------------- */

static void test_error(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT, other = IW_ERROR_INIT;
    assert_string_equal(iw_error_text(&err), "no error");
    assert_int_equal(iw_fail(NULL, IW_E_IO, "nobody listens"), -1);
    assert_int_equal(iw_fail(&err, IW_E_FORMAT, "%s at byte %d", "x.tar", 7), -1);
    assert_int_equal(err.kind, IW_E_FORMAT);
    assert_int_equal(err.sys, 0);
    assert_int_equal(iw_wrap(&err, "source %d", 2), -1);
    assert_string_equal(err.message, "source 2: x.tar at byte 7");
    assert_int_equal(iw_fail(&err, IW_E_FORMAT, "again: %s", err.message),
                     -1); /* its own text as an argument */
    assert_string_equal(err.message, "again: source 2: x.tar at byte 7");
    errno = ENOSPC;
    assert_int_equal(iw_fail_errno(&err, IW_E_IO, "can't write %s", "f"), -1);
    assert_int_equal(errno, ENOSPC);
    assert_string_equal(err.message, "can't write f: No space left on device");
    iw_wrap(&err, "store");
    assert_int_equal(err.sys, ENOSPC);
    assert_int_equal(err.kind, IW_E_IO);
    iw_fail(&other, IW_E_USAGE, "old");
    iw_error_move(&other, &err);
    assert_null(err.message);
    assert_int_equal(err.kind, IW_E_NONE);
    assert_string_equal(other.message, "store: can't write f: No space left on device");
    iw_error_move(NULL, &other); /* nobody listens */
    assert_null(other.message);
    iw_error_clear(&other);
}

static void test_exit_status(void **state)
{
    (void)state;
    assert_int_equal(iw_error_exit_status(IW_E_NONE), 0);
    assert_int_equal(iw_error_exit_status(IW_E_USAGE), 2);
    assert_int_equal(iw_error_exit_status(IW_E_RECIPE), 2);
    assert_int_equal(iw_error_exit_status(IW_E_ENVIRONMENT), 2);
    assert_int_equal(iw_error_exit_status(IW_E_CANCELLED), 130);
    for (int kind = IW_E_IO; kind <= IW_E_NOT_FOUND; kind++)
        assert_int_equal(iw_error_exit_status((iw_error_kind)kind), 1);
    assert_int_equal(iw_error_exit_status(IW_E_MEMORY), 1);
}

/* --- memory --------------------------------------------------------------- */

static void test_bounded(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    void *memory = (void *)1;
    kit_fails(iw_alloc_bounded(&memory, SIZE_MAX / 2, 3, SIZE_MAX, "a symbol table", &err),
              IW_E_MEMORY, "a symbol table");
    assert_null(memory);
    kit_fails(iw_alloc_bounded(&memory, 11, 10, 109, "rows", &err), IW_E_MEMORY, "at most 109");
    kit_ok(iw_alloc_bounded(&memory, 11, 10, 110, "rows", &err));
    for (size_t i = 0; i < 110; i++) assert_int_equal(((char *)memory)[i], 0);
    free(memory);
    kit_ok(iw_alloc_bounded(&memory, 0, 10, 0, "nothing", &err));
    assert_non_null(memory);
    free(memory);
    iw_fault_set(IW_FAULT_ALLOC, 2, ENOMEM);
    kit_ok(iw_alloc_bounded(&memory, 1, 1, 1, "rows", &err));
    free(memory);
    kit_fails(iw_alloc_bounded(&memory, 1, 1, 1, "rows", &err), IW_E_MEMORY, "no memory for rows");
    kit_ok(iw_alloc_bounded(&memory, 1, 1, 1, "rows", &err)); /* a fault happens once */
    free(memory);
}

static void test_grow(void **state)
{
    (void)state;
    int *numbers = NULL;
    size_t capacity = 0, before;
    for (size_t i = 0; i < 1000; i++) {
        before = capacity;
        iw_grow((void **)&numbers, &capacity, i + 1, sizeof *numbers);
        assert_true(capacity >= i + 1 && (capacity == before || capacity >= 2 * before));
        numbers[i] = (int)i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(numbers[i], i);
    free(numbers);
}

/* Whether `run` ends the process that calls it. */
static bool dies(void (*run)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        run();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status != 0;
}

static void grow_too_far(void)
{
    int *numbers = NULL;
    size_t capacity = 0;
    iw_grow((void **)&numbers, &capacity, SIZE_MAX / 2, sizeof *numbers);
}

static void arena_too_far(void)
{
    iw_arena_alloc(iw_arena_new(), SIZE_MAX - 3);
}

static void test_too_far(void **state)
{
    (void)state;
    assert_true(dies(grow_too_far));
    assert_true(dies(arena_too_far));
}

static void test_arena(void **state)
{
    (void)state;
    iw_arena_free(NULL);
    iw_arena *arena = iw_arena_new();
    char *kept[2000];
    for (size_t i = 0; i < 2000; i++) {
        size_t size = i % 300 == 299 ? 200000 : i;
        kept[i] = iw_arena_alloc(arena, size);
        assert_int_equal((uintptr_t)kept[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < size; k++)
            if (kept[i][k]) fail_msg("not zeroed");
        memset(kept[i], (int)(i & 0x7f), size);
    }
    for (size_t i = 1; i < 2000; i++)
        assert_int_equal(kept[i][0], i & 0x7f); /* none overlaps another */
    assert_null(iw_arena_strdup(arena, NULL));
    assert_string_equal(iw_arena_strdup(arena, "x"), "x");
    assert_string_equal(iw_arena_strndup(arena, "xyz", 2), "xy");
    assert_string_equal(iw_arena_strndup(arena, NULL, 0), "");
    assert_string_equal(iw_arena_format(arena, "%d-%s", 3, "a"), "3-a");
    iw_arena_free(arena);
}

static void test_cleanup(void **state)
{
    (void)state;
    char *out = NULL;
    int fd = -1;
    {
        iw_cleanup_free char *text = iw_strdup("kept"), *other = iw_strdup("freed");
        iw_cleanup_fd int file = open("/dev/null", O_RDONLY), second = open("/dev/null", O_RDONLY);
        out = iw_steal(&text);
        fd = second;
        assert_true(file >= 0 && second >= 0);
        assert_non_null(other);
        assert_null(text);
        errno = EXDEV;
    }
    assert_int_equal(errno, EXDEV); /* closing keeps it */
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_string_equal(out, "kept");
    free(out);
    assert_null(iw_strdup(NULL));
    kit_equal(iw_strndup(NULL, 0), "");
}

/* --- slices, buffers, lists ----------------------------------------------- */

static void test_slices(void **state)
{
    (void)state;
    iw_slice rest = iw_slice_of("a,,bc,"), part;
    assert_true(iw_slice_next(&rest, ',', &part) && iw_slice_equal(part, "a"));
    assert_true(iw_slice_next(&rest, ',', &part) && iw_slice_equal(part, ""));
    assert_true(iw_slice_next(&rest, ',', &part) && iw_slice_equal(part, "bc"));
    assert_false(iw_slice_next(&rest, ',', &part));
    assert_true(iw_slice_equal(iw_slice_last_line(iw_slice_of("a\n b c \r\n\n \t")), "b c"));
    assert_true(iw_slice_equal(iw_slice_last_line(iw_slice_of("one")), "one"));
    assert_true(iw_slice_equal(iw_slice_last_line(iw_slice_of("\n \n")), ""));
    rest = iw_slice_of(NULL);
    assert_false(iw_slice_next(&rest, ',', &part));
    assert_true(iw_slice_equal(iw_slice_of(NULL), ""));
    assert_false(iw_slice_equal(iw_slice_of("a"), "ab"));
    assert_true(iw_slice_equal(iw_slice_trim(iw_slice_of(" \t a b\r\n")), "a b"));
    assert_int_equal(iw_slice_trim(iw_slice_of(" \n\t ")).length, 0);
}

static void test_buffer(void **state)
{
    (void)state;
    iw_buffer buffer = {0};
    kit_equal(iw_buffer_take(&buffer), "");
    for (int i = 0; i < 5000; i++) {
        iw_buffer_add_char(&buffer, 'x');
        assert_int_equal(buffer.data[buffer.length], 0);
    }
    assert_int_equal(strlen(buffer.data), 5000);
    iw_buffer_clear(&buffer);
    assert_string_equal(buffer.data, "");
    iw_buffer_add_format(&buffer, "%d %s", 4, "b");
    iw_buffer_add_text(&buffer, "");
    iw_buffer_add(&buffer, NULL, 0);
    iw_buffer_add(&buffer, "\0z", 2);
    assert_int_equal(buffer.length, 5);
    assert_memory_equal(buffer.data, "4 b\0z", 6);
    free(iw_buffer_take(&buffer));
    assert_null(buffer.data);
    iw_buffer_free(&buffer);
}

static void test_strings(void **state)
{
    (void)state;
    iw_strings list = {0};
    iw_strings_sort(&list);
    assert_false(iw_strings_has(&list, "a"));
    iw_strings_add_all(&list, NULL);
    static const char *const more[] = {"b", "\xc3\xa9", "Z", NULL};
    iw_strings_add_all(&list, more);
    iw_strings_add_format(&list, "a%d", 10);
    iw_strings_add(&list, "a");
    iw_strings_sort(&list);
    static const char *const sorted[] = {"Z", "a", "a10", "b", "\xc3\xa9"};
    for (size_t i = 0; i < 5; i++) assert_string_equal(list.items[i], sorted[i]);
    assert_null(list.items[5]);
    for (int i = 0; i < 100; i++) {
        iw_strings_add(&list, "x");
        assert_null(list.items[list.count]);
    }
    assert_true(iw_strings_has(&list, "a10"));
    assert_false(iw_strings_has(&list, "a1"));
    iw_strings_free(&list);
    assert_int_equal(list.count, 0);
    iw_strings_add_words(&list, ",one,,two words,", ',');
    iw_strings_add_words(&list, "", ',');
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0], "one");
    assert_string_equal(list.items[1], "two words");
    iw_strings_free(&list);
}

static void test_starts_ends(void **state)
{
    (void)state;
    assert_true(iw_starts_with("abc", "ab") && iw_starts_with("abc", "") &&
                !iw_starts_with("ab", "abc"));
    assert_true(iw_ends_with("abc", "bc") && iw_ends_with("abc", "") && !iw_ends_with("bc", "abc"));
}

static void test_unsigned(void **state)
{
    (void)state;
    uint64_t value = 9;
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.0",
                                      "101",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(iw_parse_unsigned(bad[i], 100, &value));
    assert_int_equal(value, 9);
    assert_true(iw_parse_unsigned("100", 100, &value) && value == 100);
    assert_true(iw_parse_unsigned("007", 100, &value) && value == 7);
    assert_true(iw_parse_unsigned("18446744073709551615", UINT64_MAX, &value) &&
                value == UINT64_MAX);
    assert_false(iw_parse_unsigned("18446744073709551616", UINT64_MAX, &value));
}

/* --- globs ---------------------------------------------------------------- */

static void test_glob(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        /* clang-format off */
        {"lib/*.a", "lib/libz.a", true},          {"lib/*.a", "lib/x/libz.a", false},       {"*.a", "lib/libz.a", false},
        {"**/*.a", "lib/x/libz.a", true},         {"**/*.a", "libz.a", true},               {"**/*.a", "libz.so", false},
        {"include", "include/a/b.h", true},       {"include", "include2/a.h", false},       {"include/", "include/a.h", true},
        {"lib/**/test", "lib/test/x", true},      {"lib/**/test", "lib/a/b/test", true},    {"lib/**/test", "lib/a/tests", false},
        {"a/**/b/**/c", "a/x/b/y/b/z/c", true},   {"a/**/b/**/c", "a/x/c/y/b", false},      {"**", "x", true},
        {"**", "x/y/z", true},                    {"a/**", "a/b", true},                    {"a/**", "b/a", false},
        {"l?b", "lib", true},                     {"l?b", "l/b", false},                    {"[a-c]x", "bx", true},
        {"[!a-c]x", "bx", false},                 {"", "x", false},                         {"x", "", false},
        {"a/b/c", "a/b", false},                  {"*", ".hidden", true},                   {"a**b", "aXb", true},
        {"a**b", "a/b", false},                   {"**/**/x", "x", true},                   {"**/x/y", "x/x/y", true},
        {"\\*.a", "*.a", true},                   {"\\*.a", "x.a", false},                  {"lib/python3.11/site-packages/*/tests/**", "lib/python3.11/site-packages/n/tests/d/t.py", true},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (iw_glob_match(cases[i].pattern, cases[i].path) != cases[i].matches)
            fail_msg("%s on %s is not %d", cases[i].pattern, cases[i].path, cases[i].matches);
}

/* What it costs doesn't explode with the number of `**`. */
static void test_glob_cost(void **state)
{
    (void)state;
    iw_buffer pattern = {0}, path = {0};
    for (int i = 0; i < 40; i++) iw_buffer_add_text(&pattern, "**/a/");
    iw_buffer_add_text(&pattern, "b");
    for (int i = 0; i < 1000; i++) iw_buffer_add_text(&path, "a/");
    iw_buffer_add_text(&path, "c");
    assert_false(iw_glob_match(pattern.data, path.data));
    iw_buffer_free(&pattern);
    iw_buffer_clear(&path);
    for (int i = 0; i < 300; i++) iw_buffer_add_char(&path, 'x'); /* longer than any name */
    assert_false(iw_glob_match("*", path.data));
    iw_buffer_free(&path);
}

/* --- for people ----------------------------------------------------------- */

static void test_project_names(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"PyYAML", "pyyaml"}, {"jaraco.text", "jaraco-text"}, {"a_.-B--c", "a-b-c"}, {"", ""}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        iw_cleanup_free char *name = iw_project_name(pairs[i][0]);
        assert_string_equal(name, pairs[i][1]);
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"numpy", "scipy", "openblas", "zlib", "xz"};
    assert_string_equal(iw_nearest("nunpy", names, 5), "numpy");
    assert_string_equal(iw_nearest("openbls", names, 5), "openblas");
    assert_string_equal(iw_nearest("xy", names, 5), "xz");
    assert_null(iw_nearest("tensorflow", names, 5));
    assert_null(iw_nearest("numpy", names, 0));
    char word[400];
    memset(word, 'q', sizeof word);
    word[sizeof word - 1] = 0;
    assert_null(iw_nearest(word, names, 5)); /* too long to compare is not near */
}

static void test_bytes_and_seconds(void **state)
{
    (void)state;
    kit_equal(iw_format_bytes(0), "0 B");
    kit_equal(iw_format_bytes(999), "999 B");
    kit_equal(iw_format_bytes(1000), "1.0 kB");
    kit_equal(iw_format_bytes(9949), "9.9 kB");
    kit_equal(iw_format_bytes(9950), "10 kB");
    kit_equal(iw_format_bytes(312000), "312 kB");
    kit_equal(iw_format_bytes(999499), "999 kB");
    kit_equal(iw_format_bytes(999500), "1.0 MB");
    kit_equal(iw_format_bytes(1400000000), "1.4 GB");
    kit_equal(iw_format_bytes(UINT64_MAX), "18 EB");
    kit_equal(iw_format_seconds(-1), "0.0 s");
    kit_equal(iw_format_seconds(3.2), "3.2 s");
    kit_equal(iw_format_seconds(9.96), "10 s");
    kit_equal(iw_format_seconds(59.4), "59 s");
    kit_equal(iw_format_seconds(59.6), "1 min 00 s");
    kit_equal(iw_format_seconds(250), "4 min 10 s");
    kit_equal(iw_format_seconds(3599.6), "1 h 00 min");
    kit_equal(iw_format_seconds(3900), "1 h 05 min");
    double zero = 0;
    kit_equal(iw_format_seconds(zero / zero), "0.0 s");
    free(iw_format_seconds(1 / zero));
}

/* --- paths ---------------------------------------------------------------- */

static void test_paths(void **state)
{
    (void)state;
    kit_equal(iw_path_join("a", "b"), "a/b");
    kit_equal(iw_path_join("a/", "b"), "a/b");
    kit_equal(iw_path_join("a", "/b"), "/b");
    kit_equal(iw_path_join("", "b"), "b");
    kit_equal(iw_path_join("a", ""), "a");
    kit_equal(iw_path_join("/", "b"), "/b");
    kit_equal(iw_path_join3("a", "b", "c"), "a/b/c");
    kit_equal(iw_path_parent("a/b"), "a");
    kit_equal(iw_path_parent("a//b//"), "a");
    kit_equal(iw_path_parent("a"), ".");
    kit_equal(iw_path_parent(""), ".");
    kit_equal(iw_path_parent("/a"), "/");
    kit_equal(iw_path_parent("/"), "/");
    assert_string_equal(iw_path_base("a/b.c"), "b.c");
    assert_string_equal(iw_path_base("b"), "b");
    assert_string_equal(iw_path_base("a/"), "");
    assert_string_equal(iw_path_below("/a/b/c", "/a"), "b/c");
    assert_string_equal(iw_path_below("/ab/c", "/a"), "/ab/c");
    assert_string_equal(iw_path_below("/b/c", "/a"), "/b/c");
    static const struct {
        const char *path, *clean;
    } cases[] = {{"a//b/./c/../d", "a/b/d"},
                 {"", "."},
                 {".", "."},
                 {"..", ".."},
                 {"../../a/..", "../.."},
                 {"a/..", "."},
                 {"a/../..", ".."},
                 {"/", "/"},
                 {"/..", "/"},
                 {"/../a", "/a"},
                 {"/a/../..", "/"},
                 {"a/b/../../../c", "../c"},
                 {"a/", "a"},
                 {"...", "..."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        kit_equal(iw_path_clean(cases[i].path), cases[i].clean);
}

static void test_inside(void **state)
{
    (void)state;
    static const char *const fine[] = {"a", "a/b", "a/..b/c..", "./a", "\xc3\xa9 x"};
    static const char *const bad[] = {"",       "/",    "/a",   "..",       "../a",
                                      "a/../b", "a/..", "a\nb", "a\033[1m", "a\177"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) assert_true(iw_path_is_inside(fine[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(iw_path_is_inside(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error),       cmocka_unit_test(test_exit_status),
        cmocka_unit_test(test_bounded),     cmocka_unit_test(test_grow),
        cmocka_unit_test(test_too_far),     cmocka_unit_test(test_arena),
        cmocka_unit_test(test_cleanup),     cmocka_unit_test(test_slices),
        cmocka_unit_test(test_buffer),      cmocka_unit_test(test_strings),
        cmocka_unit_test(test_starts_ends), cmocka_unit_test(test_unsigned),
        cmocka_unit_test(test_glob),        cmocka_unit_test(test_glob_cost),
        cmocka_unit_test(test_nearest),     cmocka_unit_test(test_bytes_and_seconds),
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_project_names),
        cmocka_unit_test(test_inside),
    };
    return cmocka_run_group_tests_name("base text", tests, NULL, NULL);
}
