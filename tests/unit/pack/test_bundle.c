/* A bundle of two packages that were put into a store by hand: its layout, manifest and SPDX
 * document, its bytes from different folders, and its activate scripts in the shells themselves. */
#include "kit.h"

#include <jansson.h>
#include <time.h>
#include <utime.h>

#include "base/hash.h"
#include "pack/describe.h"
#include "pack/pack.h"

#define KEY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* A plan of three packages; one is needed for building only. */
struct world {
    char *folder;
    iw_source source;
    iw_patch patch;
    iw_recipe recipes[3];
    iw_node nodes[3];
    iw_node *run[1], *build[1];
    iw_stack stack;
    iw_profile profile;
    iw_toolchain toolchain;
    iw_plan plan;
    iw_store *store;
};

static const char *const profile_names[] = {"k10", NULL};
static const char *const feature_names[] = {"sse3", "sse4a", "popcnt", NULL};

static void make_plan(struct world *w)
{
    w->source = (iw_source){.kind = IW_SOURCE_PYPI,
                            .id = "1",
                            .name = "num.py",
                            .version = "1.2",
                            .file = "num.py-1.2.tar.gz",
                            .sha256 = KEY};
    w->patch = (iw_patch){.file = "0001-a.patch",
                          .description = "Fix a test",
                          .origin = "other, https://example.org/1",
                          .author = "A. Name <a@example.org>",
                          .forwarded = "no",
                          .sha256 = KEY};
    w->recipes[0] = (iw_recipe){.name = "py_thon",
                                .version = "3.11",
                                .licence = "PSF-2.0",
                                .summary = "An \"interpreter\"",
                                .homepage = "https://example.org",
                                .build.system = IW_SYSTEM_SCRIPT};
    w->recipes[1] = (iw_recipe){.name = "num.py",
                                .version = "1.2+x",
                                .licence = "BSD-3-Clause",
                                .sources = &w->source,
                                .source_count = 1,
                                .patches = &w->patch,
                                .patch_count = 1,
                                .build.system = IW_SYSTEM_PYTHON};
    w->recipes[2] = (iw_recipe){.name = "tool", .version = "9", .build.system = IW_SYSTEM_PYTHON};
    w->run[0] = &w->nodes[0];
    w->build[0] = &w->nodes[2];
    for (size_t i = 0; i < 3; i++) {
        w->nodes[i] = (iw_node){.index = i, .recipe = &w->recipes[i], .in_bundle = i < 2};
        memcpy(w->nodes[i].plan_key, KEY, IW_SHA256_HEX);
        w->nodes[i].plan_key[0] = (char)('b' + i);
    }
    w->nodes[1].run_needs = w->run, w->nodes[1].run_need_count = 1;
    w->nodes[1].build_needs = w->build, w->nodes[1].build_need_count = 1;
    w->profile = (iw_profile){.name = "k10", .features = {feature_names, 3}};
    w->stack = (iw_stack){
        .name = "small", .version = "2026.1", .summary = "A test", .profiles = {profile_names, 1}};
    w->toolchain = (iw_toolchain){.name = "t", .digest = KEY};
    w->plan = (iw_plan){.stack = &w->stack,
                        .profile = &w->profile,
                        .toolchain = &w->toolchain,
                        .nodes = w->nodes,
                        .node_count = 3,
                        .bundle_key = KEY,
                        .policy = "1"};
}

static int setup(void **state)
{
    struct world *w = iw_alloc(sizeof *w);
    void *folder = NULL;
    if (kit_setup(&folder) != 0) return -1;
    w->folder = folder;
    make_plan(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *folder = w->folder;
    free(w);
    return kit_teardown(&folder);
}

/* --- documents ------------------------------------------------------------ */

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text) fail_msg("no %s", key);
    return text;
}

static void test_manifest(void **state)
{
    struct world *w = *state;
    char symbols[] = "gettid in lib/x.so\nfoo in lib/y.so\n";
    iw_floor floor = {.version = "2.30", .symbols = symbols};
    iw_cleanup_free char *text =
        iw_manifest(&w->plan, &floor, "[{\"name\":\"import\",\"passed\":true}]", "{\"files\":3}",
                    true, "small-2026.1");
    iw_cleanup_free char *again =
        iw_manifest(&w->plan, &floor, "[{\"name\":\"import\",\"passed\":true}]", "{\"files\":3}",
                    true, "small-2026.1");
    assert_string_equal(text, again);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL),
           *packages = json_object_get(root, "packages");
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "format")), 1);
    assert_string_equal(text_at(root, "bundle_format"), IW_BUNDLE_FORMAT);
    assert_string_equal(text_at(json_object_get(root, "glibc"), "floor"), "2.30");
    assert_int_equal(json_array_size(json_object_get(json_object_get(root, "glibc"), "because_of")),
                     2);
    assert_string_equal(text_at(json_object_get(root, "toolchain"), "digest"), KEY);
    assert_true(json_is_true(json_object_get(root, "sandboxed")));
    assert_int_equal(json_array_size(json_object_get(root, "checks")), 1);
    assert_int_equal(json_array_size(packages), 3);
    json_t *second = json_array_get(packages, 1),
           *source = json_array_get(json_object_get(second, "sources"), 0),
           *patch = json_array_get(json_object_get(second, "patches"), 0);
    assert_string_equal(text_at(second, "name"), "num.py");
    assert_string_equal(json_string_value(json_array_get(json_object_get(second, "needs"), 0)),
                        "py_thon");
    assert_string_equal(text_at(source, "sha256"), KEY);
    assert_string_equal(text_at(source, "kind"), "pypi");
    assert_string_equal(text_at(patch, "origin"), "other, https://example.org/1");
    assert_true(json_is_false(json_object_get(json_array_get(packages, 2), "in_bundle")));
    json_decref(root);
    iw_cleanup_free char *bare = iw_manifest(&w->plan, &(iw_floor){.version = "2.17"}, NULL, NULL,
                                             false, "s"); /* nothing was checked nor audited */
    root = json_loads(bare, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "checks")), 0);
    assert_true(json_is_null(json_object_get(root, "audit")));
    json_decref(root);
}

static bool is_reference(const char *id)
{
    return iw_starts_with(id, "SPDXRef-") &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
               strlen(id);
}

/* SPDX 2.3, chapters 6, 7 and 11: mandatory fields, forms of identifiers, references that exist. */
static void test_spdx(void **state)
{
    struct world *w = *state;
    iw_cleanup_free char *text = iw_spdx(&w->plan, "small-2026.1");
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *package, *relation;
    assert_non_null(root);
    assert_string_equal(text_at(root, "spdxVersion"), "SPDX-2.3");
    assert_string_equal(text_at(root, "dataLicense"), "CC0-1.0");
    assert_string_equal(text_at(root, "SPDXID"), "SPDXRef-DOCUMENT");
    assert_string_equal(text_at(root, "name"), "small-2026.1");
    const char *space = text_at(root, "documentNamespace");
    assert_true(iw_starts_with(space, "https://") && !strchr(space, '#') && !strchr(space, ' '));
    json_t *creation = json_object_get(root, "creationInfo");
    assert_string_equal(text_at(creation, "created"), "1980-01-01T00:00:00Z");
    assert_true(
        iw_starts_with(json_string_value(json_array_get(json_object_get(creation, "creators"), 0)),
                       "Tool: "));
    iw_cleanup_strings iw_strings ids = {0};
    iw_strings_add(&ids, "SPDXRef-DOCUMENT");
    size_t i, described = 0;
    json_array_foreach(json_object_get(root, "packages"), i, package)
    {
        const char *id = text_at(package, "SPDXID");
        assert_true(is_reference(id) && !iw_strings_has(&ids, id));
        iw_strings_add(&ids, id);
        assert_true(*text_at(package, "name") && *text_at(package, "downloadLocation") &&
                    *text_at(package, "licenseDeclared"));
        assert_true(json_is_false(json_object_get(
            package, "filesAnalyzed"))); /* else a verification code were mandatory */
        json_t *sum = json_array_get(json_object_get(package, "checksums"), 0);
        if (sum)
            assert_true(strcmp(text_at(sum, "algorithm"), "SHA256") == 0 &&
                        iw_is_sha256(text_at(sum, "checksumValue")));
    }
    assert_int_equal(ids.count, 4);
    json_array_foreach(json_object_get(root, "relationships"), i, relation)
    {
        assert_true(iw_strings_has(&ids, text_at(relation, "spdxElementId")) &&
                    iw_strings_has(&ids, text_at(relation, "relatedSpdxElement")));
        described += strcmp(text_at(relation, "relationshipType"), "DESCRIBES") == 0;
    }
    assert_int_equal(described, 2);
    json_decref(root);
}

/* --- bytes ---------------------------------------------------------------- */

/* The same content, put there in another order, at another time, with other modes of no meaning. */
static void make_environment(const char *folder, bool backwards)
{
    static const char *const names[] = {"bin/run", "lib/a/b.txt", "lib/a.txt", "README.txt",
                                        "share/\xc3\xa9 x"};
    for (size_t k = 0; k < 5; k++) {
        size_t i = backwards ? 4 - k : k;
        kit_write(folder, names[i], names[i], strlen(names[i]),
                  i == 0 ? (backwards ? 0700 : 0775) : (backwards ? 0600 : 0664));
        iw_cleanup_free char *path = iw_path_join(folder, names[i]);
        if (backwards) utime(path, &(struct utimbuf){1000000000, 1000000000 + (time_t)i});
    }
    iw_cleanup_free char *link = iw_path_join(folder, "lib/link");
    assert_int_equal(symlink("a.txt", link), 0);
}

static void test_same_bytes(void **state)
{
    struct world *w = *state;
    iw_error err = IW_ERROR_INIT;
    iw_packed packed[2];
    char file[IW_SHA256_HEX];
    iw_cleanup_free char *first = NULL, *second = NULL;
    for (int i = 0; i < 2; i++) {
        iw_cleanup_free char *environment =
                                 iw_path_join(w->folder, i ? "another, longer folder" : "env"),
                             *dist = iw_path_join(w->folder, i ? "d2/x" : "d1");
        make_environment(environment, i == 1);
        iw_bundle_options options = {.folder = dist, .work = w->folder, .level = 3};
        kit_ok(iw_bundle_write(NULL, &w->plan, environment, "[]", "{}", &options,
                               i ? &second : &first, &packed[i], &err));
    }
    assert_string_equal(packed[0].file, packed[1].file);
    assert_string_equal(packed[0].content, packed[1].content);
    assert_string_equal(iw_path_base(first), "small-2026.1-k10-glibc0.0-cp311.tar.zst");
    kit_ok(iw_hash_file(second, file, NULL, &err));
    assert_string_equal(file, packed[0].file);
    iw_cleanup_free char *list = NULL;
    kit_ok(iw_run_capture(ARGV("tar", "--zstd", "-tf", first), NULL, 10000, &list, NULL, &err));
    assert_int_equal(strncmp(list, "small-2026.1-k10-glibc0.0-cp311/", 32), 0);
    const char *manifest = strstr(list, "/manifest.json"), *readme = strstr(list, "/README.txt");
    assert_true(manifest && readme &&
                manifest < readme); /* `run` and `verify` need read its start only */
    iw_cleanup_free char *left = iw_format("%s.new", first);
    assert_false(iw_exists(left));
}

/* --- the shells ----------------------------------------------------------- */

/* A store with the two packages: an "interpreter", which is the host's, and a library. */
static void fill_store(struct world *w)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *cache = iw_path_join(w->folder, "cache"),
                         *python = iw_path_join(w->folder, "tree-0"),
                         *other = iw_path_join(w->folder, "tree-1");
    static const char interpreter[] = "#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n";
    kit_write(python, "bin/python3", interpreter, sizeof interpreter - 1, 0755);
    kit_write(python, "bin/ironwheel-preflight", "#!/bin/sh\nexit ${IW_TEST_PREFLIGHT:-0}\n", 39,
              0755);
    kit_text(other, "share/x.txt", "x");
    kit_text(other, "lib/python3.11/site-packages/num_py-1.2.dist-info/METADATA",
             "Name: num.py\n"); /* without the recipe's label */
    kit_text(other, "lib/python3.11/site-packages/Zeta.more-3.dist-info/METADATA",
             "Name: Zeta.more\n");
    kit_text(other, "lib/python3.11/site-packages/a_part-2.dist-info/METADATA", "Name: a-part\n");
    kit_text(other, "lib/python3.11/site-packages/datasets-0+ironwheel.dist-info/METADATA",
             "Name: datasets\n"); /* gives way to the real one */
    kit_text(other, "lib/python3.11/site-packages/num_py/tool-9.dist-info/METADATA",
             "Name: tool\n"); /* somebody's own copy */
    kit_ok(iw_store_open(cache, NULL, &w->store, &err));
    const char *trees[] = {python, other};
    for (int i = 0; i < 2; i++) {
        iw_node *node = &w->nodes[i];
        node->artifact = (iw_artifact){.name = iw_strdup(node->recipe->name),
                                       .version = iw_strdup(node->recipe->version),
                                       .plan_key = iw_strdup(node->plan_key),
                                       .build_key = iw_strdup(node->plan_key),
                                       .facts = iw_strdup("{}")};
        kit_ok(iw_store_add_artifact(w->store, trees[i], &node->artifact, false, &err));
    }
}

static char *lay(struct world *w)
{
    iw_error err = IW_ERROR_INIT;
    char *environment = NULL;
    iw_cleanup_free char *work = iw_path_join(w->folder, "a work \xc3\xa9");
    iw_bundle_options options = {.folder = w->folder, .work = work};
    fill_store(w);
    kit_ok(iw_bundle_lay(w->store, &w->plan, &options, &environment, &err));
    for (int i = 0; i < 2; i++) iw_artifact_clear(&w->nodes[i].artifact);
    iw_store_close(w->store);
    return environment;
}

static void test_lay(void **state)
{
    iw_cleanup_free char *environment = lay(*state),
                         *constraints = kit_read(environment, "constraints.txt", NULL),
                         *readme = kit_read(environment, "README.txt", NULL),
                         *x = kit_read(environment, "share/x.txt", NULL);
    assert_true(iw_ends_with(environment, "/small-2026.1-k10"));
    assert_string_equal(strchr(constraints, '\n'), "\nnum-py==1.2\na-part==2\nzeta-more==3\n");
    assert_non_null(strstr(readme, "small 2026.1: A test"));
    assert_string_equal(x, "x");
    static const char *const scripts[] = {"bin/activate", "bin/activate.fish", "bin/activate.csh"};
    for (size_t i = 0; i < 3; i++) {
        iw_cleanup_free char *text = kit_read(environment, scripts[i], NULL);
        assert_null(strstr(text, "@STACK@"));
        assert_non_null(strstr(text, "small"));
    }
}

/* Runs `script` of a shell in the environment's parent; `%` in it stands for the environment. What
 * it prints must be `wanted`. */
static void shell_says_exactly(const char *shell, const char *option, const char *environment,
                               const char *preflight, const char *script, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *home = iw_path_parent(environment), *out = NULL,
                         *home_variable = iw_format("HOME=%s", home),
                         *env_variable = iw_format("E=%s", environment);
    iw_cleanup_free char *flag = iw_format("IW_TEST_PREFLIGHT=%s", preflight);
    iw_cleanup_free char *file = iw_path_join(home, "script");
    bool from_file = strcmp(option, "-f") ==
                     0; /* csh looks for aliases when it reads a line: it gets a file of several */
    if (from_file) kit_text(home, "script", script);
    const char *argv[] = {shell, option, from_file ? file : script, NULL};
    kit_ok(iw_run_capture(argv,
                          ARGV("PATH=/usr/bin:/bin", home_variable, env_variable, flag,
                               "LC_ALL=C.UTF-8", "PIP_CONSTRAINT=/old", "UV_CONSTRAINT=/older",
                               "PIP_BUILD_CONSTRAINT=/oldest"),
                          100000, &out, NULL, &err));
    if (strcmp(out, wanted) != 0) print_error("%s: %s\n", shell, script);
    assert_string_equal(out, wanted);
}

/* The same; "%" in `wanted` stands for the environment's folder. */
static void shell_says(const char *shell, const char *option, const char *environment,
                       const char *preflight, const char *script, const char *wanted)
{
    iw_cleanup_buffer iw_buffer expected = {0};
    for (const char *c = wanted; *c; c++) {
        if (*c == '%') iw_buffer_add_text(&expected, environment);
        else iw_buffer_add_char(&expected, *c);
    }
    shell_says_exactly(shell, option, environment, preflight, script, expected.data);
}

/* What holds pip and uv, in a shell of any kind. */
#define SHOW_CONSTRAINTS                                                                           \
    "echo \"$PIP_CONSTRAINT\"\necho \"$UV_CONSTRAINT\"\necho \"$PIP_BUILD_CONSTRAINT\"\necho "     \
    "\"$UV_BUILD_CONSTRAINT\"\n"

/* All four hold the file's address, which has no space in it, and are given back. */
static void expect_constraints(const char *shell, const char *option, const char *environment,
                               const char *activate, const char *is_unset)
{
    iw_cleanup_buffer iw_buffer address = {0}, wanted = {0};
    for (const char *c = environment; *c; c++)
        if ((unsigned char)*c > 127 || *c == ' ')
            iw_buffer_add_format(&address, "%%%02X", (unsigned char)*c);
        else iw_buffer_add_char(&address, *c);
    for (int i = 0; i < 4; i++)
        iw_buffer_add_format(&wanted, "file://%s/constraints.txt\n", address.data);
    iw_buffer_add_text(&wanted, "/old\n/older\n/oldest\nunset\n");
    iw_cleanup_free char *script =
        iw_format("%s\n" SHOW_CONSTRAINTS "deactivate\necho $PIP_CONSTRAINT\necho "
                  "$UV_CONSTRAINT\necho $PIP_BUILD_CONSTRAINT\n%s\n",
                  activate, is_unset);
    shell_says_exactly(shell, option, environment, "0", script, wanted.data);
}

static void test_activate_sh(void **state)
{
    iw_cleanup_free char *environment = lay(*state);
    static const char *const shells[] = {"sh", "bash", "zsh"};
    for (size_t i = 0; i < 3; i++) {
        shell_says(shells[i], "-c", environment, "0",
                   "set -eu; . \"$E/bin/activate\"; command -v python3; echo \"$VIRTUAL_ENV\"; "
                   "echo \"$VIRTUAL_ENV_PROMPT\"; set +eu; deactivate; echo "
                   "\"$PATH:${VIRTUAL_ENV-none}\"; echo \"$PIP_CONSTRAINT $UV_CONSTRAINT\"",
                   "%/bin/python3\n%\nsmall\n/usr/bin:/bin:none\n/old /older\n");
        shell_says(
            shells[i], "-c", environment, "0",
            "cd \"$E/bin\"; . ./activate; . ./activate; echo \"$PATH\"; deactivate; echo \"$PATH\"",
            "%/bin:/usr/bin:/bin\n/usr/bin:/bin\n");
        shell_says(shells[i], "-c", environment, "3",
                   ". \"$E/bin/activate\"; echo \"${VIRTUAL_ENV-none} $PATH\"",
                   "none /usr/bin:/bin\n"); /* the CPU lacks something */
        expect_constraints(shells[i], "-c", environment, ". \"$E/bin/activate\"",
                           "echo ${UV_BUILD_CONSTRAINT-unset}");
    }
}

static void test_activate_fish(void **state)
{
    iw_cleanup_free char *environment = lay(*state);
    shell_says("fish", "-c", environment, "0",
               "source $E/bin/activate.fish; command -v python3; echo $VIRTUAL_ENV; echo "
               "$VIRTUAL_ENV_PROMPT; deactivate; echo (string join : $PATH); set -q VIRTUAL_ENV; "
               "or echo none; echo $PIP_CONSTRAINT $UV_CONSTRAINT",
               "%/bin/python3\n%\nsmall\n/usr/bin:/bin\nnone\n/old /older\n");
    shell_says("fish", "-c", environment, "0",
               "source $E/bin/activate.fish; source $E/bin/activate.fish; deactivate; echo (string "
               "join : $PATH)",
               "/usr/bin:/bin\n");
    shell_says("fish", "-c", environment, "3",
               "source $E/bin/activate.fish; set -q VIRTUAL_ENV; or echo none", "none\n");
    expect_constraints("fish", "-c", environment, "source $E/bin/activate.fish",
                       "set -q UV_BUILD_CONSTRAINT; or echo unset");
}

static void test_activate_csh(void **state)
{
    iw_cleanup_free char *environment = lay(*state);
    static const char *const shells[] = {"csh", "tcsh"};
    for (size_t i = 0; i < 2; i++) {
        shell_says(shells[i], "-f", environment, "0",
                   "cd \"$E\"\nsource bin/activate.csh\nwhich python3\necho "
                   "\"$VIRTUAL_ENV\"\ndeactivate\necho $path\necho $?VIRTUAL_ENV "
                   "$?VIRTUAL_ENV_PROMPT $PIP_CONSTRAINT\n",
                   "%/bin/python3\n%\n/usr/bin /bin\n0 0 /old\n");
        shell_says(shells[i], "-f", environment, "0",
                   "unsetenv PIP_CONSTRAINT\nsource \"$E/bin/activate.csh\"\nwhich python3\necho "
                   "$VIRTUAL_ENV_PROMPT\ndeactivate\necho $?PIP_CONSTRAINT\n",
                   "%/bin/python3\nsmall\n0\n");
        shell_says(shells[i], "-f", environment, "3",
                   "cd \"$E\"\nsource bin/activate.csh\necho $?VIRTUAL_ENV\n", "0\n");
        shell_says(shells[i], "-fc", environment, "0",
                   "source \"$E/bin/activate.csh\"; which python3", "%/bin/python3\n");
        expect_constraints(shells[i], "-f", environment, "source \"$E/bin/activate.csh\"",
                           "if (! $?UV_BUILD_CONSTRAINT) echo unset");
    }
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {with_world(test_manifest),    with_world(test_spdx),
                                       with_world(test_same_bytes),  with_world(test_lay),
                                       with_world(test_activate_sh), with_world(test_activate_fish),
                                       with_world(test_activate_csh)};
    return cmocka_run_group_tests_name("pack bundle", tests, NULL, NULL);
}
