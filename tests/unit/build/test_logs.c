/* Kept trees, their logs, and what is remembered of the wrapper's. */
#include "golden.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "build/build.h"
#include "build/facts.h"
#include "build/tree.h"

typedef struct place {
    char *folder;
    iw_store *store;
    iw_recipe recipe;
    iw_node node;
    iw_error err;
} place;

static int setup(void **state)
{
    place *p = iw_alloc(sizeof *p);
    if (iw_temporary_folder("/tmp", "iw-logs-", &p->folder, &p->err) ||
        iw_store_open(p->folder, NULL, &p->store, &p->err))
        return -1;
    p->recipe = (iw_recipe){.name = "num-py", .version = "1.2-3"};
    p->node.recipe = &p->recipe;
    memcpy(p->node.plan_key, "0123456789abcdef", 16);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    place *p = *state;
    iw_store_close(p->store);
    iw_remove_tree(p->folder, NULL);
    iw_error_clear(&p->err);
    free(p->folder);
    free(p);
    return 0;
}

static void write_log(place *p, iw_tree *tree, const char *phase, const char *text)
{
    int fd = -1;
    if (iw_tree_log(tree, phase, &fd, NULL, &p->err)) fail_msg("%s", iw_error_text(&p->err));
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void keeps_the_logs_of_the_run_before(void **state)
{
    place *p = *state;
    iw_tree tree;
    iw_tree_init(&tree, p->store, &p->node, true);
    assert_string_equal(tree.name, "num-py-1.2-3-0123456789ab");
    assert_int_equal(iw_tree_start(&tree, &p->err), 0);
    write_log(p, &tree, "compile", "first\n");
    iw_cleanup_free char *left = iw_path_join(tree.build, "src/left"),
                         *old = iw_path_join(tree.logs, "compile.log.1");
    assert_int_equal(iw_make_folders(left, 0755, NULL), 0);
    assert_int_equal(iw_tree_start(&tree, &p->err), 0);
    assert_false(iw_exists(left));
    write_log(p, &tree, "compile", "second\n");
    iw_cleanup_free char *text = NULL;
    size_t length = 0;
    assert_int_equal(iw_read_file(old, 100, &text, &length, NULL), 0);
    assert_string_equal(text, "first\n");
    iw_tree_clear(&tree);
}

static void is_locked_for_one(void **state)
{
    place *p = *state;
    iw_tree one, two;
    bool locked = false;
    iw_tree_init(&one, p->store, &p->node, true);
    iw_tree_init(&two, p->store, &p->node, true);
    assert_int_equal(iw_tree_lock(&one, false, &locked, &p->err), 0);
    assert_true(locked);
    assert_int_equal(iw_tree_lock(&two, false, &locked, &p->err), 0);
    assert_false(locked);
    iw_tree_clear(&one);
    assert_int_equal(iw_tree_lock(&two, false, &locked, &p->err), 0);
    assert_true(locked);
    iw_tree_clear(&two);
}

static void finds_a_log(void **state)
{
    place *p = *state;
    iw_tree tree;
    char *path = NULL;
    iw_tree_init(&tree, p->store, &p->node, true);
    assert_int_equal(iw_tree_start(&tree, &p->err), 0);
    write_log(p, &tree, "configure", "c\n");
    write_log(p, &tree, "compile", "m\n");
    struct timespec past[2] = {{1000, 0}, {1000, 0}};
    iw_cleanup_free char *configure = iw_path_join(tree.logs, "configure.log");
    assert_int_equal(utimensat(-1, configure, past, 0), 0);
    assert_int_equal(iw_build_log_path(p->store, "num-py", "1.2-3", NULL, &path, &p->err), 0);
    assert_true(iw_ends_with(path, "/compile.log"));
    free(path);
    assert_int_equal(iw_build_log_path(p->store, "num-py", NULL, "configure", &path, &p->err), 0);
    assert_true(iw_ends_with(path, "/configure.log"));
    free(path);
    /* a name that another one starts with, a version that isn't there, a phase that isn't */
    assert_int_equal(iw_build_log_path(p->store, "num", NULL, NULL, &path, &p->err), -1);
    assert_int_equal(p->err.kind, IW_E_NOT_FOUND);
    assert_int_equal(iw_build_log_path(p->store, "num-py", "1.2", NULL, &path, &p->err), -1);
    assert_int_equal(iw_build_log_path(p->store, "num-py", "1.2-3", "install", &path, &p->err), -1);
    iw_tree_clear(&tree);
}

static void shows_whole_last_lines(void **state)
{
    place *p = *state;
    iw_cleanup_free char *path = iw_path_join(p->folder, "log");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 100; i++) fprintf(file, "line %d\n", i);
    fputc('\0', file);
    fclose(file);
    iw_cleanup_free char *tail = iw_log_tail(path, 20);
    assert_string_equal(tail, "line 98\nline 99\n ");
    iw_cleanup_free char *none = iw_log_tail("/nonexistent", 20);
    assert_string_equal(none, "");
}

static void counts_what_the_wrapper_did(void **state)
{
    place *p = *state;
    iw_cleanup_free char *path = iw_path_join(p->folder, "wrapper.log");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("removed -mavx2\nmiss a.c\nremoved -mavx2\nhit b.c\nremoved -march=native\ndenied "
          "x\nnonsense\n",
          file);
    fclose(file);
    iw_wrapper_summary summary;
    iw_wrapper_summary_read(path, &summary);
    assert_int_equal(summary.removed_count, 3);
    assert_int_equal(summary.hits, 1);
    assert_int_equal(summary.misses, 1);
    assert_int_equal(summary.denied, 1);
    json_t *seconds = json_pack("{s:f}", "compile", 1.5);
    iw_recipe recipe = {.name = "x", .licence = "MIT"};
    iw_cleanup_free char *facts = iw_artifact_facts(&recipe, "{\"elf\":[1]}", &summary, seconds);
    assert_string_equal(facts, "{\"elf\":[1],\"licence\":\"MIT\",\"measured\":{\"objects-"
                               "compiled\":1,\"objects-reused\":1,\"seconds\":{\"compile\":1.5}},"
                               "\"patches\":[],\"removed-flags\":{\"-march=native\":1,\"-mavx2\":2}"
                               ",\"sources\":[],\"system\":\"python\"}");
    json_decref(seconds);
    iw_wrapper_summary_clear(&summary);
    iw_wrapper_summary_read("/nonexistent", &summary);
    assert_int_equal(summary.removed_count, 0);
    iw_wrapper_summary_clear(&summary);
}

int main(void)
{
#define RUN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {RUN(keeps_the_logs_of_the_run_before),
                                       RUN(is_locked_for_one), RUN(finds_a_log),
                                       RUN(shows_whole_last_lines),
                                       RUN(counts_what_the_wrapper_did)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
