/* Response files: gcc's quoting (GCC manual, "Overall Options"), one argument a line for rustc, and
 * bounds. */
#include "kit.h"

#include "wrap/command.h"

static int expand(iw_tool_kind kind, iw_strings *out, bool *any, iw_error *err,
                  const char *const *argv)
{
    return iw_expand_responses(kind, argv, out, any, err);
}

#define EXPAND(kind, ...) expand((kind), &out, &any, &err, (const char *const[]){__VA_ARGS__, NULL})

static void expect(const iw_strings *out, const char *const *wanted)
{
    size_t i = 0;
    for (; wanted[i]; i++) {
        if (i >= out->count) fail_msg("%zu arguments, and wanted %s", out->count, wanted[i]);
        assert_string_equal(out->items[i], wanted[i]);
    }
    assert_int_equal(out->count, i);
}

#define EXPECT(...) expect(&out, (const char *const[]){__VA_ARGS__, NULL})

static void test_quoting(void **state)
{
    (void)state;
    iw_strings out = {0};
    iw_error err = IW_ERROR_INIT;
    bool any = true;
    kit_ok(EXPAND(IW_TOOL_COMPILER, "-c", "a.c"));
    EXPECT("-c", "a.c");
    assert_false(any);
    iw_strings_free(&out);
    kit_text(".", "r",
             "-mavx2 'one word' \"two \\\"words\\\"\" three\\ words ''\n\t-DX='a'\"b\"c 'it'\\''s' "
             "\\\\ end");
    kit_ok(EXPAND(IW_TOOL_COMPILER, "first", "@r", "last"));
    EXPECT("first", "-mavx2", "one word", "two \"words\"", "three words", "", "-DX=abc", "it's",
           "\\", "end", "last");
    assert_true(any);
    iw_strings_free(&out);
}

static void test_odd_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *wanted[4];
    } cases[] = {{"", {NULL}},
                 {" \n\t ", {NULL}},
                 {"'open quote", {"open quote", NULL}},
                 {"\"a 'b", {"a 'b", NULL}},
                 {"a\\", {"a", NULL}},
                 {"''", {"", NULL}},
                 {"\r\na\r\nb\r\n", {"a", "b", NULL}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_strings out = {0};
        iw_error err = IW_ERROR_INIT;
        bool any;
        kit_text(".", "r", cases[i].text);
        kit_ok(EXPAND(IW_TOOL_COMPILER, "@r"));
        expect(&out, cases[i].wanted);
        iw_strings_free(&out);
    }
}

/* The real gcc reads them the same way: it is asked for the macros that they define. */
static void test_as_gcc_does(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "'-DA=x y' \"-DB=q\\\"w\" -DC=a\\ b -DD='' -D'E F'=1 \"-DG='\"",
        "-DA=\\'x\\' '-DB=\"' -DC=\\\\ -DD=a\\", "-DA=1\n-DB=2\r\n\f-DC=3\v-DD=4", "'-DA=open"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        iw_strings out = {0};
        iw_error err = IW_ERROR_INIT;
        bool any;
        kit_text(".", "r", texts[i]);
        kit_ok(EXPAND(IW_TOOL_COMPILER, "-w", "-E", "-dM", "-x", "c", "/dev/null", "@r"));
        iw_cleanup_buffer iw_buffer expanded = {0}, direct = {0};
        char line[4096];
        iw_buffer_add_text(&expanded, "gcc");
        for (size_t k = 0; k < out.count; k++) { /* quoted for sh */
            iw_buffer_add_text(&expanded, " '");
            for (const char *c = out.items[k]; *c; c++)
                *c == '\'' ? iw_buffer_add_text(&expanded, "'\\''")
                           : iw_buffer_add_char(&expanded, *c);
            iw_buffer_add_char(&expanded, '\'');
        }
        iw_buffer_add_text(&expanded, " 2>&1");
        FILE *ours = popen(expanded.data, "r"),
             *theirs = popen("gcc -w -E -dM -x c /dev/null @r 2>&1", "r");
        iw_buffer_clear(&expanded);
        while (fgets(line, sizeof line, ours)) iw_buffer_add_text(&expanded, line);
        while (fgets(line, sizeof line, theirs)) iw_buffer_add_text(&direct, line);
        int status = pclose(ours);
        assert_int_equal(pclose(theirs), status);
        assert_string_equal(expanded.data, direct.data);
        kit_has(direct.data, status ? "error" : "#define A ");
        iw_strings_free(&out);
    }
}

static void test_nesting(void **state)
{
    (void)state;
    iw_strings out = {0};
    iw_error err = IW_ERROR_INIT;
    bool any;
    kit_text(".", "outer", "a @inner '@missing' d");
    kit_text(".", "inner", "b @empty c");
    kit_text(".", "empty", "");
    kit_ok(EXPAND(IW_TOOL_COMPILER, "@outer", "@also-missing", "@"));
    EXPECT("a", "b", "c", "@missing", "d", "@also-missing", "@");
    iw_strings_free(&out);
}

static void test_bounds(void **state)
{
    (void)state;
    iw_strings out = {0};
    iw_error err = IW_ERROR_INIT;
    bool any;
    kit_text(".", "self", "x @self");
    assert_int_equal(EXPAND(IW_TOOL_COMPILER, "@self"), -1);
    kit_has(iw_error_text(&err), "@self: response files name each other more than 16 deep");
    iw_strings_free(&out);
    iw_error_clear(&err);
    for (int i = 0; i < 20; i++) { /* a chain of twenty */
        iw_cleanup_free char *name = iw_format("c%d", i), *text = iw_format("x%d @c%d", i, i + 1);
        kit_text(".", name, text);
    }
    kit_ok(EXPAND(IW_TOOL_COMPILER, "@c10"));
    assert_int_equal(out.count, 11);
    iw_strings_free(&out);
    assert_int_equal(EXPAND(IW_TOOL_COMPILER, "@c1"), -1);
    kit_has(iw_error_text(&err), "more than 16 deep");
    iw_strings_free(&out);
    iw_error_clear(&err);
    /* Four of four of four …: wide, not deep. */
    for (int i = 0; i < 12; i++) {
        iw_cleanup_free char *name = iw_format("w%d", i),
                             *text = iw_format("@w%d @w%d @w%d @w%d", i + 1, i + 1, i + 1, i + 1);
        kit_text(".", name, text);
    }
    assert_int_equal(EXPAND(IW_TOOL_COMPILER, "@w0"), -1);
    kit_has(iw_error_text(&err), "2000 times");
    iw_strings_free(&out);
    iw_error_clear(&err);
    iw_buffer big = {0};
    for (size_t i = 0; i < (8 << 20) / 8; i++) iw_buffer_add_text(&big, "aaaaaaa ");
    kit_put(".", "big", big.data, big.length);
    assert_int_equal(EXPAND(IW_TOOL_COMPILER, "@big"), -1); /* a million arguments */
    kit_has(iw_error_text(&err), "more than 500000 arguments");
    iw_strings_free(&out);
    iw_error_clear(&err);
    memset(big.data, 'a', big.length);
    kit_put(".", "long", big.data, big.length);
    assert_int_equal(EXPAND(IW_TOOL_COMPILER, "@long", "@long", "@long"), -1);
    kit_has(iw_error_text(&err), "16 MiB");
    iw_strings_free(&out);
    iw_error_clear(&err);
    iw_buffer_add(&big, big.data, 1);
    for (int i = 0; i < 2; i++) {
        iw_cleanup_free char *copy = iw_strndup(big.data, big.length);
        iw_buffer_add_text(&big, copy);
    }
    kit_put(".", "huge", big.data, big.length);
    assert_int_equal(EXPAND(IW_TOOL_COMPILER, "@huge"), -1);
    kit_has(iw_error_text(&err), "huge");
    iw_strings_free(&out);
    iw_error_clear(&err);
    iw_buffer_free(&big);
    assert_int_equal(EXPAND(IW_TOOL_COMPILER, "@/dev/zero"), -1);
    iw_strings_free(&out);
    iw_error_clear(&err);
    mkdir("folder", 0755);
    kit_ok(EXPAND(IW_TOOL_COMPILER, "@folder"));
    EXPECT("@folder");
    iw_strings_free(&out);
}

static void test_rust(void **state)
{
    (void)state;
    iw_strings out = {0};
    iw_error err = IW_ERROR_INIT;
    bool any;
    kit_text(".", "r", "-C\ntarget-cpu=native\n--cfg\nfeature=\"a b\"\n@inner\n");
    kit_text(".", "inner", "x");
    kit_ok(EXPAND(IW_TOOL_RUST, "@r"));
    EXPECT("-C", "target-cpu=native", "--cfg", "feature=\"a b\"", "@inner");
    iw_strings_free(&out);
}

static int setup(void **state)
{
    return kit_setup(state) || chdir(*state) ? -1 : 0;
}

static int teardown(void **state)
{
    return chdir("/") || kit_teardown(state) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_quoting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_as_gcc_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nesting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rust, setup, teardown),
    };
    return cmocka_run_group_tests_name("responses", tests, NULL, NULL);
}
