/* Plans of small trees of recipes, with a store in which packages are "built" by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "plan/plan.h"

typedef struct world {
    char *root;
    iw_catalog *catalog;
    iw_store *store;
    iw_plan *plan;
    const char *policy;
    bool offline;
} world;

static void must(int status, iw_error *err)
{
    if (status == 0) return;
    fail_msg("%s", iw_error_text(err));
}

/* --- the tree ------------------------------------------------------------- */

static void put(world *w, const char *path, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *full = iw_path_join(w->root, path), *parent = iw_path_parent(full);
    must(iw_make_folders(parent, 0755, &err), &err);
    must(iw_write_file(full, text, strlen(text), 0644, &err), &err);
}

static void recipe_with(world *w, const char *name, const char *version, const char *build,
                        const char *run, const char *command)
{
    iw_cleanup_free char *path = iw_format("recipes/%s/%s.yaml", name, version);
    char digest[IW_SHA256_HEX];
    iw_hash_bytes(path, strlen(path), digest);
    iw_cleanup_free char *text =
        iw_format("name: %s\nversion: %s\nsummary: A test\nlicence: MIT\n"
                  "sources:\n  - url: http://127.0.0.1:9/%s-%s.tar.gz\n    sha256: %s\n"
                  "needs:\n  build: [%s]\n  run: [%s]\n"
                  "build:\n  system: script\n  compile: |\n    %s\n",
                  name, version, name, version, digest, build, run, command);
    put(w, path, text);
}

static void recipe(world *w, const char *name, const char *build, const char *run)
{
    recipe_with(w, name, "1", build, run, "make");
}

static void stack(world *w, const char *profile, const char *packages, const char *pins)
{
    iw_cleanup_free char *text = iw_format("name: s\nversion: 1\nsummary: A test\ntoolchain: "
                                           "t\nprofiles: [%s]\npackages: {%s}\npins: {%s}\n",
                                           profile, packages, pins);
    put(w, "recipes/stacks/s.yaml", text);
}

static void toolchain(world *w, const char *digit)
{
    iw_buffer digest = {0};
    for (int i = 0; i < 64; i++) iw_buffer_add_text(&digest, digit);
    iw_cleanup_free char *text = iw_format(
        "name: t\nsummary: A test\nsuite: bookworm\nroots: [gcc]\npackages:\n"
        "  - {name: gcc, version: '12', file: pool/main/g/gcc.deb, sha256: %s, size: 3}\n",
        digest.data);
    iw_buffer_free(&digest);
    put(w, "recipes/toolchains/t.yaml", text);
}

static int setup(void **state)
{
    world *w = iw_alloc(sizeof *w);
    iw_error err = IW_ERROR_INIT;
    const char *parent = getenv("TMPDIR");
    if (iw_temporary_folder(parent && *parent ? parent : "/tmp", "iw-plan-", &w->root, NULL) != 0)
        return -1;
    static const char *const profiles[] = {"k10", "core2"};
    for (size_t i = 0; i < 2; i++) {
        iw_cleanup_free char *path = iw_format("recipes/profiles/%s.yaml", profiles[i]);
        iw_cleanup_free char *text =
            iw_format("name: %s\nsummary: A test\nmarch: %s\nfeatures: [sse, sse2, "
                      "sse3]\nassembler: %s\nrust: %s\nopenblas: %s\n"
                      "numpy: sse3\nemulator: phenom\n",
                      profiles[i], i ? "core2" : "amdfam10", i ? "core2" : "amdfam10",
                      i ? "core2" : "amdfam10", i ? "CORE2" : "BARCELONA");
        put(w, path, text);
    }
    toolchain(w, "a");
    w->policy = "1 1 1";
    iw_cleanup_free char *cache = iw_path_join(w->root, "cache");
    must(iw_store_open(cache, NULL, &w->store, &err), &err);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    iw_plan_free(w->plan);
    iw_catalog_free(w->catalog);
    iw_store_close(w->store);
    iw_remove_tree(w->root, NULL);
    free(w->root);
    free(w);
    return 0;
}

/* --- planning and building ------------------------------------------------ */

static int plan_status(world *w, iw_error *err)
{
    const iw_stack *s = NULL;
    iw_plan_free(w->plan);
    w->plan = NULL;
    iw_catalog_free(w->catalog);
    w->catalog = NULL;
    if (iw_catalog_open(w->root, &w->catalog, err) != 0 ||
        iw_catalog_stack(w->catalog, "s", &s, err) != 0)
        return -1;
    return iw_plan_make(w->catalog, w->store, s,
                        &(iw_plan_options){.policy = w->policy, .offline = w->offline}, &w->plan,
                        err);
}

static void plan(world *w)
{
    iw_error err = IW_ERROR_INIT;
    must(plan_status(w, &err), &err);
}

static void plan_fails(world *w, const char *part)
{
    iw_error err = IW_ERROR_INIT;
    assert_int_equal(plan_status(w, &err), -1);
    if (err.kind != IW_E_RECIPE || !strstr(iw_error_text(&err), part))
        fail_msg("got: %s\nwanted: %s", iw_error_text(&err), part);
    iw_error_clear(&err);
}

static iw_node *node(world *w, const char *name)
{
    iw_node *found = iw_plan_find(w->plan, name, NULL);
    if (!found) fail_msg("%s is not in the plan", name);
    return found;
}

static void expect(world *w, const char *name, iw_action action, const char *reason)
{
    iw_node *n = node(w, name);
    if (n->action != action || strcmp(n->reason, reason) != 0)
        fail_msg("%s: action %d, reason \"%s\"; wanted %d, \"%s\"", name, (int)n->action, n->reason,
                 (int)action, reason);
}

/* Puts an artifact that holds `text` there. */
static void build_node(world *w, iw_node *n, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    const char **contents = iw_alloc((n->laid_count + 1) * sizeof *contents);
    for (size_t i = 0; i < n->laid_count; i++) contents[i] = n->laid[i]->artifact.content;
    iw_plan_build_key(w->plan, n, contents, n->build_key);
    free(contents);
    iw_cleanup_free char *path = iw_format("tree/%s", n->recipe->name),
                         *tree = iw_path_join(w->root, "tree");
    put(w, path, text);
    iw_artifact_clear(&n->artifact);
    n->artifact = (iw_artifact){.name = iw_strdup(n->recipe->name),
                                .version = iw_strdup(n->recipe->version),
                                .plan_key = iw_strdup(n->plan_key),
                                .build_key = iw_strdup(n->build_key)};
    must(iw_store_add_artifact(w->store, tree, &n->artifact, false, &err), &err);
    must(iw_plan_note(w->plan, n, w->store, &err), &err);
    must(iw_remove_tree(tree, &err), &err);
    n->action = IW_ACTION_REUSE;
}

static void build_all(world *w)
{
    for (size_t i = 0; i < w->plan->node_count; i++) {
        iw_node *n = &w->plan->nodes[i];
        if (n->action != IW_ACTION_REUSE) build_node(w, n, n->recipe->name);
    }
}

/* zlib ← python ← numpy, which cython builds. */
static void small_tree(world *w)
{
    recipe(w, "zlib", "", "");
    recipe(w, "python", "", "zlib");
    recipe(w, "cython", "", "python");
    recipe(w, "numpy", "cython", "python");
    stack(w, "k10", "numpy: 1", "");
}

/* --- graph ---------------------------------------------------------------- */

static void test_graph(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    assert_int_equal(w->plan->node_count, 4);
    for (size_t i = 0; i < 4; i++) {
        const iw_node *n = &w->plan->nodes[i];
        assert_int_equal(n->index, i);
        for (size_t j = 0; j < n->laid_count; j++) assert_true(n->laid[j]->index < i);
        assert_int_equal(n->in_bundle, strcmp(n->recipe->name, "cython") != 0);
        assert_true(iw_is_sha256(n->plan_key));
        expect(w, n->recipe->name, IW_ACTION_BUILD, "never built");
    }
    const iw_node *numpy = node(w, "numpy");
    assert_int_equal(numpy->laid_count, 3); /* cython and python, and what both run with; sorted */
    assert_string_equal(numpy->laid[0]->recipe->name, "cython");
    assert_string_equal(numpy->laid[1]->recipe->name, "python");
    assert_string_equal(numpy->laid[2]->recipe->name, "zlib");
    assert_int_equal(node(w, "cython")->laid_count, 2);
    assert_int_equal(node(w, "zlib")->laid_count, 0);
}

/* What is only needed to build a need doesn't come along. */
static void test_build_needs_do_not_spread(void **state)
{
    world *w = *state;
    recipe(w, "tool", "", "");
    recipe(w, "library", "tool", "");
    recipe(w, "program", "", "library");
    stack(w, "k10", "program: 1", "");
    plan(w);
    assert_int_equal(node(w, "program")->laid_count, 1);
    assert_false(node(w, "tool")->in_bundle);
    assert_true(node(w, "library")->in_bundle);
}

static void test_cycle(void **state)
{
    world *w = *state;
    recipe(w, "a", "b", "");
    recipe(w, "b", "", "c");
    recipe(w, "c", "a", "");
    recipe(w, "top", "", "a");
    stack(w, "k10", "top: 1", "");
    plan_fails(w, "recipes/c/1.yaml:");
    plan_fails(w, "a → b → c → a");
    recipe(w, "c", "", "c");
    plan_fails(w, "\"c\" needs itself");
}

static void test_versions(void **state)
{
    world *w = *state;
    recipe_with(w, "lib", "1", "", "", "make");
    recipe_with(w, "lib", "2", "", "", "make");
    recipe(w, "a", "", "lib");
    stack(w, "k10", "a: 1", "");
    plan_fails(w, "recipes/a/1.yaml:10:9: stack \"s\" doesn't say which lib");
    plan_fails(w, "there are 1, 2");
    recipe_with(w, "lib", "10", "", "", "make");
    plan_fails(w, "or here as lib/10"); /* the newest, which isn't the last by its bytes */
    stack(w, "k10", "a: 1", "lib: 1");
    plan(w);
    assert_string_equal(node(w, "lib")->recipe->version, "1");
    stack(w, "k10", "a: 1, lib: 2", "");
    plan(w);
    assert_string_equal(node(w, "lib")->recipe->version, "2");
    recipe(w, "a", "", "lib/1");
    stack(w, "k10", "a: 1", "lib: 2");
    plan(w);
    assert_string_equal(node(w, "lib")->recipe->version, "1");
    recipe(w, "a", "", "libb");
    plan_fails(w, "lib");
}

static void test_two_versions_at_one_prefix(void **state)
{
    world *w = *state;
    recipe_with(w, "lib", "1", "", "", "make");
    recipe_with(w, "lib", "2", "", "", "make");
    recipe(w, "a", "", "lib/1");
    recipe(w, "b", "", "lib/2");
    stack(w, "k10", "a: 1, b: 1", "");
    plan_fails(w, "two versions of lib: 1 (s → a → lib) and 2 (s → b → lib)");
    /* One to build with and another to run with are two at one prefix as well; apart they are fine.
     */
    recipe(w, "b", "", "");
    recipe(w, "c", "lib/2, a", "");
    stack(w, "k10", "c: 1", "");
    plan_fails(w, "the prefix that c 1 is built with");
    recipe(w, "c", "lib/2", "");
    stack(w, "k10", "a: 1, c: 1", "");
    plan(w);
    assert_int_equal(w->plan->node_count, 4);
}

/* --- keys and reasons ----------------------------------------------------- */

static void test_nothing_to_do(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    char bundle[IW_SHA256_HEX];
    memcpy(bundle, w->plan->bundle_key, sizeof bundle);
    build_all(w);
    plan(w);
    for (size_t i = 0; i < 4; i++) {
        expect(w, w->plan->nodes[i].recipe->name, IW_ACTION_REUSE, "unchanged");
        assert_true(iw_is_sha256(w->plan->nodes[i].build_key));
        assert_true(w->plan->nodes[i].expected_seconds == 0);
    }
    assert_string_equal(bundle, w->plan->bundle_key);
}

static void test_recipe_changed(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    build_all(w);
    recipe_with(w, "python", "1", "", "zlib", "make it otherwise");
    plan(w);
    expect(w, "zlib", IW_ACTION_REUSE, "unchanged");
    expect(w, "python", IW_ACTION_BUILD, "recipe changed: build.compile");
    expect(w, "cython", IW_ACTION_BUILD, "reused if python's bytes do not change");
    expect(w, "numpy", IW_ACTION_BUILD, "reused if python's bytes do not change");
    assert_false(node(w, "python")->maybe);
    assert_true(node(w, "numpy")->maybe);
    assert_string_equal(node(w, "numpy")->build_key, "");
}

/* Early cut-off: python is built again and gives the same bytes; what stands on it is found by its
 * build key, without a build. */
static void test_same_bytes(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    build_all(w);
    recipe_with(w, "python", "1", "", "zlib", "make it otherwise");
    plan(w);
    build_node(w, node(w, "python"), "python");
    plan(w);
    expect(w, "python", IW_ACTION_REUSE, "unchanged");
    expect(w, "cython", IW_ACTION_REUSE, "built before from the same bytes");
    expect(w, "numpy", IW_ACTION_REUSE, "built before from the same bytes");
    plan(w);
    expect(w, "numpy", IW_ACTION_REUSE, "unchanged");
}

static void test_other_bytes(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    build_all(w);
    recipe_with(w, "python", "1", "", "zlib", "make it otherwise");
    plan(w);
    build_node(w, node(w, "python"), "other bytes");
    plan(w);
    expect(w, "cython", IW_ACTION_BUILD, "python was rebuilt with other bytes");
    expect(w, "numpy", IW_ACTION_BUILD, "python was rebuilt with other bytes");
    assert_false(node(w, "numpy")->maybe);
}

static void test_several_below(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    build_all(w);
    recipe_with(w, "zlib", "1", "", "", "otherwise");
    recipe_with(w, "cython", "1", "", "python", "otherwise");
    plan(w);
    expect(w, "python", IW_ACTION_BUILD, "reused if zlib's bytes do not change");
    expect(w, "cython", IW_ACTION_BUILD, "recipe changed: build.compile");
    expect(w, "numpy", IW_ACTION_BUILD, "reused if cython's and zlib's bytes do not change");
}

static void test_common_inputs(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    build_all(w);
    toolchain(w, "b");
    plan(w);
    expect(w, "zlib", IW_ACTION_BUILD, "toolchain changed");
    expect(w, "numpy", IW_ACTION_BUILD, "toolchain changed");
    toolchain(w, "a");
    w->policy = "2 1 1";
    plan(w);
    expect(w, "zlib", IW_ACTION_BUILD, "Ironwheel's own build rules changed");
    w->policy = "1 1 1";
    stack(w, "core2", "numpy: 1", "");
    plan(w);
    expect(w, "zlib", IW_ACTION_BUILD, "never built for profile core2");
    stack(w, "k10", "numpy: 1", "");
    plan(w);
    expect(w, "zlib", IW_ACTION_REUSE, "unchanged");
}

static void test_version_changed(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    build_all(w);
    recipe_with(w, "numpy", "2", "cython", "python", "make");
    stack(w, "k10", "numpy: 2", "");
    plan(w);
    expect(w, "numpy", IW_ACTION_BUILD, "another version (1 before)");
    assert_string_equal(node(w, "numpy")->recipe->version, "2");
}

static void test_gone(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    build_all(w);
    iw_cleanup_free char *name = iw_format("%s.tar.zst", node(w, "numpy")->build_key),
                         *path = iw_store_path(w->store, "artifacts", name);
    assert_int_equal(unlink(path), 0);
    plan(w);
    expect(w, "numpy", IW_ACTION_BUILD, "its artifact is damaged or gone");
    expect(w, "python", IW_ACTION_REUSE, "unchanged");
}

/* Comments, checks and summaries change no key; the order of needs doesn't either. */
static void test_meaningless_changes(void **state)
{
    world *w = *state;
    recipe(w, "a", "", "");
    recipe(w, "b", "", "");
    recipe(w, "c", "a, b", "");
    stack(w, "k10", "c: 1", "");
    plan(w);
    build_all(w);
    recipe(w, "c", "b, a", "");
    plan(w);
    expect(w, "c", IW_ACTION_REUSE, "unchanged");
}

static void test_bundle_key(void **state)
{
    world *w = *state;
    char first[IW_SHA256_HEX];
    small_tree(w);
    plan(w);
    memcpy(first, w->plan->bundle_key, sizeof first);
    put(w, "recipes/stacks/s.yaml",
        "name: s\nversion: 1\nsummary: A test\ntoolchain: t\nprofiles: [k10]\npackages: {numpy: "
        "1}\nchecks:\n  - import: [numpy]\n");
    plan(w);
    assert_string_not_equal(first, w->plan->bundle_key);
    stack(w, "k10", "numpy: 1", "");
    plan(w);
    assert_string_equal(first, w->plan->bundle_key);
}

/* --- sources that can't be had -------------------------------------------- */

static void test_fetch_blocked(void **state)
{
    world *w = *state;
    iw_error err = IW_ERROR_INIT;
    recipe(w, "a", "", "");
    recipe(w, "b", "", "a");
    stack(w, "k10", "b: 1", "");
    w->offline = true;
    plan(w);
    expect(w, "a", IW_ACTION_FETCH_BLOCKED,
           "never built; its source a-1.tar.gz is not in the store, and there is no network "
           "(--offline)");
    w->offline = false;
    plan(w);
    expect(w, "a", IW_ACTION_BUILD, "never built");
    must(iw_store_note_fetch(w->store, node(w, "a")->recipe->sources[0].sha256, "no route to host",
                             &err),
         &err);
    plan(w);
    expect(
        w, "a", IW_ACTION_FETCH_BLOCKED,
        "never built; its source a-1.tar.gz could not be fetched the last time: no route to host");
    must(iw_store_note_fetch(
             w->store, node(w, "a")->recipe->sources[0].sha256,
             "a-1.tar.gz could not be fetched:\n  http://one/: no route\n  http://two/: 404\n",
             &err),
         &err);
    plan(w);
    expect(w, "a", IW_ACTION_FETCH_BLOCKED,
           "never built; its source a-1.tar.gz could not be fetched the last time: http://one/: no "
           "route; http://two/: 404");
    build_all(w);
    w->offline = true;
    plan(w);
    expect(w, "a", IW_ACTION_REUSE, "unchanged"); /* what is built needs no source */
}

/* --- times, why ----------------------------------------------------------- */

static void test_estimates(void **state)
{
    world *w = *state;
    iw_error err = IW_ERROR_INIT;
    small_tree(w);
    must(iw_store_record(w->store, "python", "1", "", (iw_measure){200, 0}, &err), &err);
    plan(w);
    assert_true(node(w, "python")->expected_seconds > 199 &&
                node(w, "python")->expected_seconds < 201);
    assert_true(node(w, "zlib")->expected_seconds > 0);
    assert_true(node(w, "python")->measured && !node(w, "zlib")->measured);
    /* Another version's time, where that is built the same way. */
    recipe_with(w, "zlib", "2", "", "", "make");
    stack(w, "k10", "numpy: 1", "zlib: 1, cython: 1");
    put(w, "recipes/cython/2.yaml",
        "name: cython\nversion: 2\nsummary: A test\nlicence: MIT\n"
        "sources:\n  - url: http://127.0.0.1:9/cython-2.tar.gz\n"
        "    sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nbuild: "
        "{system: make}\n");
    must(iw_store_record(w->store, "zlib", "2", "", (iw_measure){70, 0}, &err), &err);
    must(iw_store_record(w->store, "cython", "2", "", (iw_measure){7000, 0}, &err), &err);
    must(iw_store_record(w->store, "numpy", "gone", "", (iw_measure){7000, 0}, &err), &err);
    plan(w);
    assert_true(node(w, "zlib")->expected_seconds > 69 && node(w, "zlib")->expected_seconds < 71);
    assert_true(!node(w, "cython")->measured && node(w, "cython")->expected_seconds < 6000);
    assert_true(!node(w, "numpy")->measured && node(w, "numpy")->expected_seconds < 6000);
    /* What the recipe says, as long as nothing was measured; and nobody's key changes by it. */
    iw_cleanup_free char *key = iw_strdup(node(w, "cython")->plan_key);
    recipe_with(w, "cython", "1", "", "python", "make\n  minutes: 90");
    plan(w);
    assert_true(node(w, "cython")->expected_seconds == 90 * 60);
    must(iw_store_record(w->store, "cython", "1", "", (iw_measure){40, 0}, &err), &err);
    plan(w);
    assert_true(node(w, "cython")->expected_seconds < 41);
    assert_string_equal(node(w, "cython")->plan_key, key);
    /* Both recipes say it, and the other was faster than that. */
    recipe_with(w, "python", "2", "", "", "make\n  minutes: 300");
    stack(w, "k10", "numpy: 1", "zlib: 1, cython: 1, python: 2");
    plan(w);
    assert_true(node(w, "python")->expected_seconds > 199 &&
                node(w, "python")->expected_seconds < 201);
    recipe_with(w, "python", "1", "", "", "make\n  minutes: 60");
    plan(w);
    assert_true(node(w, "python")->expected_seconds > 999 &&
                node(w, "python")->expected_seconds < 1001);
}

static void why_has(world *w, const char *name, const char *part)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    must(iw_plan_why(w->plan, w->store, name, &text, &err), &err);
    if (!strstr(text, part)) fail_msg("no \"%s\" in:\n%s", part, text);
}

static void test_why(void **state)
{
    world *w = *state;
    iw_error err = IW_ERROR_INIT;
    char *text = NULL;
    small_tree(w);
    plan(w);
    why_has(w, "python", "python 1: to be built: never built");
    why_has(w, "python", "numpy 1, to run (s → numpy → python)");
    why_has(w, "python", "cython 1, to run (s → numpy → cython → python)");
    why_has(w, "numpy", "stack s itself");
    why_has(w, "numpy", "waits for: cython, python, zlib");
    build_all(w);
    must(iw_store_record(w->store, "python", "1", "", (iw_measure){200, 0}, &err), &err);
    must(iw_store_record(w->store, "python", "1", "compile", (iw_measure){150, 300}, &err), &err);
    recipe_with(w, "python", "1", "", "zlib", "make it otherwise");
    plan(w);
    why_has(w, "python", "recipe.build.compile: \"make\\n\" → \"make it otherwise\\n\"");
    why_has(w, "python", "time: 3 min 20 s the last time: compile 2 min 30 s (up to 300 MiB)");
    why_has(w, "numpy", "to be built, perhaps: reused if python's bytes do not change");
    assert_int_equal(iw_plan_why(w->plan, w->store, "numpi", &text, &err), -1);
    assert_int_equal(err.kind, IW_E_NOT_FOUND);
    assert_non_null(strstr(iw_error_text(&err), "did you mean \"numpy\"?"));
    iw_error_clear(&err);
}

/* What was only tried comes into no bundle unasked. */
static void test_tried(void **state)
{
    world *w = *state;
    small_tree(w);
    plan(w);
    char before[IW_SHA256_HEX];
    memcpy(before, w->plan->bundle_key, sizeof before);
    iw_cleanup_free char *text = NULL, *path = iw_path_join(w->root, "recipes/numpy/1.yaml");
    size_t length;
    assert_int_equal(iw_read_file(path, 1 << 16, &text, &length, NULL), 0);
    iw_cleanup_free char *tried = iw_format("%saudit:\n  policy: tried\n", text);
    put(w, "recipes/numpy/1.yaml", tried);
    plan_fails(w, "recipes/numpy/1.yaml:1:1: numpy 1 is only tried");
    plan_fails(w, "Stack s takes it once it says \"tried: true\"");
    put(w, "recipes/stacks/s.yaml",
        "name: s\nversion: 1\nsummary: A test\ntoolchain: t\nprofiles: [k10]\n"
        "packages: {numpy: 1}\ntried: true\n");
    plan(w);
    assert_string_not_equal(before, w->plan->bundle_key);
}

/* This tree's own stacks: which version of each package is never in doubt. */
static void test_every_stack(void **state)
{
    world *w = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_buffer iw_buffer errors = {0};
    iw_list names;
    const iw_stack *s;
    must(iw_catalog_open(".", &w->catalog, &err), &err);
    must(iw_catalog_stacks(w->catalog, &names, &err), &err);
    assert_true(names.count > 0);
    for (size_t i = 0; i < names.count; i++) {
        must(iw_catalog_stack(w->catalog, names.items[i], &s, &err), &err);
        iw_plan *one = NULL;
        if (iw_plan_make(w->catalog, w->store, s, &(iw_plan_options){.policy = w->policy}, &one,
                         &err) != 0)
            iw_buffer_add_format(&errors, "%s: %s\n", names.items[i], iw_error_text(&err));
        iw_error_clear(&err);
        iw_plan_free(one);
    }
    if (errors.length) fail_msg("%s", errors.data);
}

/* A run with nothing to do: the whole plan of 40 packages. */
static void test_quick(void **state)
{
    world *w = *state;
    iw_buffer packages = {0};
    recipe(w, "p0", "", "");
    for (int i = 1; i < 40; i++) {
        iw_cleanup_free char *name = iw_format("p%d", i), *run = iw_format("p%d", i / 2),
                             *build = iw_format("p%d", i - 1);
        recipe(w, name, build, run);
    }
    iw_buffer_add_text(&packages, "p39: 1");
    stack(w, "k10", packages.data, "");
    iw_buffer_free(&packages);
    plan(w);
    build_all(w);
    plan(w);
    double best = 1;
    for (int i = 0; i < 10; i++) {
        iw_error err = IW_ERROR_INIT;
        iw_plan *again = NULL;
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        must(iw_plan_make(w->catalog, w->store, w->plan->stack,
                          &(iw_plan_options){.policy = w->policy}, &again, &err),
             &err);
        clock_gettime(CLOCK_MONOTONIC, &to);
        iw_plan_free(again);
        double seconds =
            (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
        if (seconds < best) best = seconds;
    }
    print_message("plan of %zu packages: %.2f ms\n", w->plan->node_count, best * 1000);
    assert_true(best < 0.05); /* 5 ms in a release build on a quiet machine */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_graph),
        T(test_build_needs_do_not_spread),
        T(test_cycle),
        T(test_versions),
        T(test_two_versions_at_one_prefix),
        T(test_nothing_to_do),
        T(test_recipe_changed),
        T(test_same_bytes),
        T(test_other_bytes),
        T(test_several_below),
        T(test_common_inputs),
        T(test_version_changed),
        T(test_gone),
        T(test_meaningless_changes),
        T(test_bundle_key),
        T(test_fetch_blocked),
        T(test_estimates),
        T(test_why),
        T(test_tried),
        T(test_every_stack),
        T(test_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
