/* What the wrapper makes of command lines: golden lists in tests/cases/wrap. A change there changes
 * what is built: IW_POLICY_NUMBER must change, too. */
#include "kit.h"

#include "wrap/command.h"
#include "wrap/names.h"

#define CASES "tests/cases/wrap/"

/* --- golden lists --------------------------------------------------------- */

/* Words of a case's line: blanks separate, 'single quotes' group. */
static void words(const char *line, iw_strings *out)
{
    iw_cleanup_buffer iw_buffer word = {0};
    bool quoted = false, any = false;
    for (const char *c = line;; c++) {
        if (*c == '\'') {
            quoted = !quoted;
            any = true;
        } else if (*c && (quoted || *c != ' ')) {
            iw_buffer_add_char(&word, *c);
            any = true;
        } else {
            if (any) iw_strings_add(out, word.length ? word.data : "");
            iw_buffer_clear(&word);
            any = false;
            if (!*c) return;
        }
    }
}

/* The golden files say {profile} for the profile's flags (kit.h), {as} for what the assembler gets,
 * and {maps} for the path maps. */
static char *shorten(const char *line)
{
    static const char *const known[][2] = {
        {"-march=amdfam10 -mtune=amdfam10 -msse2 -msse4a -mno-ssse3 -mno-avx", "{profile}"},
        {"-Wa,-march=amdfam10+cx16", "{as}"},
        {"-ffile-prefix-map=/build=.. -ffile-prefix-map=/build/src=.", "{maps}"},
        {"--remap-path-prefix=/build=.. --remap-path-prefix=/build/src=.", "{maps}"}};
    char *text = iw_strdup(line);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char *at = strstr(text, known[i][0]);
        if (!at) continue;
        char *next =
            iw_format("%.*s%s%s", (int)(at - text), text, known[i][1], at + strlen(known[i][0]));
        free(text);
        text = next;
    }
    return text;
}

static void add_words(iw_buffer *all, const char *start, const iw_strings *list)
{
    iw_cleanup_buffer iw_buffer one = {0};
    iw_buffer *out = &one;
    iw_buffer_add_text(out, start);
    for (size_t i = 0; i < list->count; i++) {
        bool quote = !*list->items[i] || strchr(list->items[i], ' ');
        iw_buffer_add_format(out, "%s%s%s", quote ? " '" : " ", list->items[i], quote ? "'" : "");
    }
    iw_cleanup_free char *line = shorten(one.data);
    iw_buffer_add_format(all, "%s\n", line);
}

/* A line "policy KEY VALUE" changes the policy of the cases below it; "policy" alone goes back to
 * the profile's. */
static void change_policy(iw_policy *policy, const char *line)
{
    const char *text = line + strlen("policy");
    if (!*text) {
        iw_policy_clear(policy);
        kit_policy(policy);
    } else if (strcmp(text, " deny") == 0) {
        policy->deny = true;
    } else if (strcmp(text, " nested") == 0) {
        policy->nested = true;
    } else if (iw_starts_with(text, " allow ")) {
        iw_strings_add(&policy->allow, text + strlen(" allow "));
    } else if (strcmp(text, " folder /build/out") == 0) {
        policy->folder = "/build/out";
    } else {
        fail_msg("unknown: %s", line);
    }
}

static void apply(const iw_policy *policy, const char *line, iw_buffer *out)
{
    iw_cleanup_strings iw_strings call = {0}, argv = {0}, result = {0}, removed = {0};
    iw_error err = IW_ERROR_INIT;
    words(line, &call);
    iw_strings_add_all(&argv, (const char *const *)call.items + 1);
    if (iw_policy_apply(policy, iw_tool_kind_of(call.items[0]), &argv, &result, &removed, &err) !=
        0) {
        iw_buffer_add_format(out, "  ! %s\n", iw_error_text(&err));
        iw_error_clear(&err);
        return;
    }
    add_words(out, "  >", &result);
    if (removed.count) add_words(out, "  -", &removed);
}

static void test_golden(void **state)
{
    (void)state;
    static const char *const files[] = {CASES "compiler.test", CASES "assembler.test",
                                        CASES "linker.test",   CASES "rust.test",
                                        CASES "modes.test",    NULL};
    for (size_t i = 0; files[i]; i++) {
        iw_policy policy;
        kit_policy(&policy);
        iw_cleanup_free char *text = kit_read(".", files[i], NULL);
        iw_cleanup_buffer iw_buffer out = {0};
        iw_slice rest = iw_slice_of(text), part;
        while (iw_slice_next(&rest, '\n', &part)) {
            iw_cleanup_free char *line = iw_strndup(part.data, part.length);
            if (iw_starts_with(line, "  ")) continue;
            iw_buffer_add_format(&out, "%s\n", line);
            if (iw_starts_with(line, "policy")) change_policy(&policy, line);
            else if (line[0] && line[0] != '#') apply(&policy, line, &out);
        }
        kit_golden(files[i], out.data);
        iw_policy_clear(&policy);
    }
}

/* Whatever is applied twice gives the same as once: c99 is a script that calls gcc, so it happens.
 */
static void test_twice(void **state)
{
    (void)state;
    static const char *const calls[] = {"-mavx2 -O3 -c a.c -o a.o", "-Wa,-march=haswell,-g a.s",
                                        "-Xassembler -march=znver3 -c a.S", "-x c -c a.inc -o b.o",
                                        NULL};
    iw_policy policy;
    kit_policy(&policy);
    for (size_t i = 0; calls[i]; i++) {
        iw_cleanup_strings iw_strings argv = {0}, once = {0}, twice = {0}, removed = {0},
                                      again = {0};
        words(calls[i], &argv);
        assert_int_equal(iw_policy_apply(&policy, IW_TOOL_COMPILER, &argv, &once, &removed, NULL),
                         0);
        assert_int_equal(iw_policy_apply(&policy, IW_TOOL_COMPILER, &once, &twice, &again, NULL),
                         0);
        assert_int_equal(again.count, 0);
        for (size_t k = 0; k < once.count; k++) assert_true(iw_strings_has(&twice, once.items[k]));
    }
    iw_policy_clear(&policy);
}

/* --- flags ---------------------------------------------------------------- */

/* Every option that gcc 12 lists under --help=target, each as "isa" or "other". */
static void test_flags(void **state)
{
    (void)state;
    iw_cleanup_free char *text = kit_read(".", CASES "flags.txt", NULL);
    iw_cleanup_buffer iw_buffer out = {0};
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *flag = iw_strndup(line.data, line.length);
        char *blank = strchr(flag, ' ');
        if (blank) *blank = 0;
        iw_buffer_add_format(&out, "%s %s\n", flag, iw_is_isa_flag(flag) ? "isa" : "other");
    }
    kit_golden(CASES "flags.txt", out.data);
}

/* values.txt: what gcc says to an option alone. An option wrongly thought to take a value would
 * shield the flag behind it. */
static void test_values(void **state)
{
    (void)state;
    iw_cleanup_free char *text = kit_read(".", CASES "values.txt", NULL);
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *option = iw_strndup(line.data, line.length),
                             *command = iw_format("LC_ALL=C gcc '%s' 2>&1", option);
        char said[4096];
        FILE *gcc = popen(command, "r");
        size_t got = fread(said, 1, sizeof said - 1, gcc);
        pclose(gcc);
        said[got] = 0;
        bool takes =
            strstr(said, "missing") || strcmp(option, "--param") == 0; /* that one is silent */
        if (iw_option_takes_value(option) != takes) fail_msg("%s: gcc says %s", option, said);
    }
}

static void test_names(void **state)
{
    (void)state;
    const char *const *names = iw_wrapped_names();
    for (size_t i = 1; names[i]; i++) assert_true(strcmp(names[i - 1], names[i]) < 0);
    assert_int_equal(iw_tool_kind_of("/usr/bin/x86_64-linux-gnu-gcc-12"), IW_TOOL_COMPILER);
    assert_int_equal(iw_tool_kind_of("gfortran"), IW_TOOL_COMPILER);
    assert_int_equal(iw_tool_kind_of("c99"), IW_TOOL_COMPILER);
    assert_int_equal(iw_tool_kind_of("x86_64-linux-gnu-as"), IW_TOOL_ASSEMBLER);
    assert_int_equal(iw_tool_kind_of("ld.gold"), IW_TOOL_LINKER);
    assert_int_equal(iw_tool_kind_of("x86_64-linux-gnu-cpp-12"), IW_TOOL_PREPROCESSOR);
    assert_int_equal(iw_tool_kind_of("rustc"), IW_TOOL_RUST);
}

/* --- what a call is ------------------------------------------------------- */

static void describe(const char *line, iw_buffer *out)
{
    static const char *const modes[] = {"query", "preprocess", "compile", "assembly", "link"};
    iw_cleanup_strings iw_strings call = {0}, argv = {0};
    words(line, &call);
    iw_strings_add_all(&argv, (const char *const *)call.items + 1);
    iw_compile c;
    iw_compile_parse(iw_tool_kind_of(call.items[0]), &argv, &c);
    iw_buffer_add_format(out, "  = %s", modes[c.mode]);
    if (c.source_count) iw_buffer_add_format(out, " sources=%zu", c.source_count);
    if (c.source) iw_buffer_add_format(out, " source=%s", c.source);
    if (c.language) iw_buffer_add_format(out, " language=%s", c.language);
    if (c.output)
        iw_buffer_add_format(out, " output=%s@%d+%zu", c.output, c.output_index, c.output_prefix);
    if (c.depfile) iw_buffer_add_format(out, " depfile=%s", c.depfile);
    iw_buffer_add_format(out, "%s%s%s", c.md ? " md" : "", c.mmd ? " mmd" : "",
                         c.target_given ? " target" : "");
    if (c.uncacheable) iw_buffer_add_format(out, " uncacheable=%s", c.uncacheable);
    iw_buffer_add_char(out, '\n');
}

static void test_calls(void **state)
{
    (void)state;
    iw_cleanup_free char *text = kit_read(".", CASES "calls.test", NULL);
    iw_cleanup_buffer iw_buffer out = {0};
    iw_slice rest = iw_slice_of(text), part;
    while (iw_slice_next(&rest, '\n', &part)) {
        iw_cleanup_free char *line = iw_strndup(part.data, part.length);
        if (iw_starts_with(line, "  ")) continue;
        iw_buffer_add_format(&out, "%s\n", line);
        if (line[0] && line[0] != '#') describe(line, &out);
    }
    kit_golden(CASES "calls.test", out.data);
}

static void test_object_names(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"dir/a.c", "a.o"},
                                           {"a.b.f90", "a.b.o"},
                                           {"plain", "plain.o"},
                                           {"/x/.hidden", ".hidden.o"},
                                           {"x.y/z", "z.o"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        iw_cleanup_free char *name = iw_object_name(pairs[i][0]);
        assert_string_equal(name, pairs[i][1]);
    }
}

static void test_depfiles(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings paths = {0}, none = {0};
    assert_int_equal(
        iw_depfile_parse(
            "a\\ b.o: dir/a.c \\\n  c:/x.h with\\ blank.h do$$lar.h\\\n sharp\\#.h\nx.h:\n",
            &paths),
        0);
    static const char *const wanted[] = {"dir/a.c", "c:/x.h", "with blank.h", "do$lar.h",
                                         "sharp#.h"};
    assert_int_equal(paths.count, 5);
    for (size_t i = 0; i < 5; i++) assert_string_equal(paths.items[i], wanted[i]);
    assert_int_equal(iw_depfile_parse("no rule\n", &none), -1);
    assert_int_equal(iw_depfile_parse("", &none), -1);
    assert_int_equal(iw_depfile_parse("a.o:", &none), 0);
    assert_int_equal(none.count, 0);
}

static void test_directives(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool arch, file;
    } cases[] = {/* clang-format off */
        {".arch haswell\n", true, false},           {"\t.arch .avx2\n", true, false},         {"x: .arch znver3", true, false},
        {"nop; .arch znver3", true, false},         {"\t.string \".arch haswell\"\n", false, false}, {"\t.string \"a\\\";.arch x\"\n", false, false},
        {"# .arch haswell\n", false, false},        {"\t.archaic 1\n", false, false},         {"a.arch b", false, false},
        {".arch", false, false},                    {"\t.incbin \"x\"\n", false, true},       {"asm(\".incbin \\\"x\\\"\");", false, true},
        {".include\"y\"", false, true},             {"object.include(x)", false, false},      {"", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strlen(cases[i].text);
        char *exact = malloc(length ? length : 1); /* without the NUL: reading behind it shows under ASan */
        memcpy(exact, cases[i].text, length);
        if (iw_has_arch_directive(exact, length) != cases[i].arch || iw_has_file_directive(exact, length) != cases[i].file) fail_msg("case %zu: %s", i, cases[i].text);
        free(exact);
        /* clang-format on */
    }
}

/* --- the policy's file ---------------------------------------------------- */

static void test_policy_file(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_policy policy, back = {0};
    kit_policy(&policy);
    policy.deny = true;
    policy.log = iw_strdup("/build/wrapper log"), policy.real = iw_strdup("/real"),
    policy.toolchain = iw_strdup("abc");
    iw_strings_add(&policy.allow, "src/avx 2/*.c");
    iw_cleanup_free char *path = iw_path_join(*state, "policy"),
                         *again = iw_path_join(*state, "again");
    kit_ok(iw_policy_write(path, &policy, &err));
    kit_ok(iw_policy_read(path, &back, &err));
    kit_ok(iw_policy_write(again, &back, &err));
    iw_cleanup_free char *one = kit_read(*state, "policy", NULL),
                         *two = kit_read(*state, "again", NULL);
    assert_string_equal(one, two);
    kit_golden(CASES "policy.txt", one);
    assert_true(back.deny);
    assert_string_equal(back.allow.items[0], "src/avx 2/*.c");
    iw_policy_clear(&policy);
    iw_policy_clear(&back);
}

static void test_policy_damage(void **state)
{
    static const char *const bad[][2] = {{"flags\n", "a line without a value"},
                                         {"flag -mavx\n", "unusable line: flag -mavx"},
                                         {"mode loose\n", "unusable line: mode loose"}};
    for (size_t i = 0; i < 3; i++) {
        iw_error err = IW_ERROR_INIT;
        iw_policy policy = {0};
        iw_cleanup_free char *path = iw_path_join(*state, "bad");
        kit_text(*state, "bad", bad[i][0]);
        assert_int_equal(iw_policy_read(path, &policy, &err), -1);
        kit_has(iw_error_text(&err), bad[i][1]);
        kit_has(iw_error_text(&err), path);
        iw_error_clear(&err);
        iw_policy_clear(&policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_object_names),
        cmocka_unit_test(test_depfiles),
        cmocka_unit_test(test_directives),
        cmocka_unit_test_setup_teardown(test_policy_file, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_policy_damage, kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
