/* A change to a recipe tree: tried in a copy, written whole or not at all. */
#include "../check.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/draft.h"

typedef struct kit {
    char *folder, *root, *draft, *undo;
} kit;

static void lay(const char *root, const char *name, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(root, name), *parent = iw_path_parent(path);
    kit_ok(iw_make_folders(parent, 0755, &err));
    kit_ok(iw_write_passing(path, text, strlen(text), 0644, &err));
}

static int set_up(void **state)
{
    kit *k = iw_alloc(sizeof *k);
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_temporary_folder("/tmp", "iw-draft-", &k->folder, &err));
    k->root = iw_path_join(k->folder, "tree");
    k->draft = iw_path_join(k->folder, "draft");
    k->undo = iw_path_join(k->folder, "undo");
    lay(k->root, "recipes/a/1.yaml", "name: a\nversion: 1\n");
    lay(k->root, "recipes/a/files/x", "x");
    lay(k->root, "recipes/stacks/s.yaml", "packages:\n  a: 1\n");
    lay(k->root, "patches/a/0001-x.patch", "Applies-To: 1\n--- a/x\n");
    kit_ok(iw_draft_make(k->root, k->draft, &err));
    lay(k->draft, "recipes/a/2.yaml", "name: a\nversion: 2\n");
    lay(k->draft, "patches/a/0001-x.patch", "Applies-To: 1, 2\n--- a/x\n");
    lay(k->draft, "recipes/stacks/s.yaml", "packages:\n  a: 2\n");
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    kit *k = *state;
    (void)!iw_remove_tree(k->folder, NULL);
    free(k->folder), free(k->root), free(k->draft), free(k->undo), free(k);
    return 0;
}

static void digest(const char *root, char hex[IW_SHA256_HEX])
{
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_draft_digest(root, hex, &err));
}

static iw_changes_list changes_of(kit *k)
{
    iw_error err = IW_ERROR_INIT;
    iw_changes_list changes;
    kit_ok(iw_draft_changes(k->root, k->draft, &changes, &err));
    return changes;
}

static void test_changes_and_diff(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_changes_list changes = changes_of(k);
    iw_cleanup_free char *diff = NULL;
    assert_int_equal(changes.count, 3);
    assert_string_equal(changes.items[0].path, "recipes/a/2.yaml");
    assert_string_equal(changes.items[1].path, "patches/a/0001-x.patch");
    assert_string_equal(changes.items[2].path, "recipes/stacks/s.yaml");
    kit_ok(iw_draft_diff(&changes, &diff, &err));
    assert_non_null(strstr(diff, "new file mode 100644"));
    assert_non_null(strstr(diff, "-  a: 1\n+  a: 2\n"));
    iw_cleanup_free char *path = iw_path_join(k->folder, "x.diff"),
                         *line = iw_format("cd %s && git apply %s", k->root, path);
    kit_ok(iw_write_passing(path, diff, strlen(diff), 0644, &err));
    assert_int_equal(system(line), 0);
    iw_draft_changes_free(&changes);
    changes = changes_of(k);
    assert_int_equal(changes.count, 0);
    iw_draft_changes_free(&changes);
}

static void test_writes(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    char tree[IW_SHA256_HEX], draft[IW_SHA256_HEX];
    iw_changes_list changes = changes_of(k);
    kit_ok(iw_draft_write(k->root, &changes, k->undo, &err));
    digest(k->root, tree);
    digest(k->draft, draft);
    assert_string_equal(tree, draft);
    assert_false(iw_exists(k->undo));
    iw_draft_changes_free(&changes);
}

static void test_changed_meanwhile(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    char before[IW_SHA256_HEX], after[IW_SHA256_HEX];
    iw_changes_list changes = changes_of(k);
    lay(k->root, "recipes/stacks/s.yaml", "packages:\n  a: 1\n  b: 1\n");
    digest(k->root, before);
    kit_fails(iw_draft_write(k->root, &changes, k->undo, &err), IW_E_CHECK, "changed meanwhile");
    digest(k->root, after);
    assert_string_equal(before, after);
    iw_draft_changes_free(&changes);
}

/* A full disk, or anything else, at every call there is: the tree is as before. */
static void test_every_failure(void **state)
{
    kit *k = *state;
    static const iw_fault_point points[] = {IW_FAULT_OPEN, IW_FAULT_WRITE, IW_FAULT_FSYNC,
                                            IW_FAULT_RENAME};
    char before[IW_SHA256_HEX], after[IW_SHA256_HEX];
    iw_changes_list changes = changes_of(k);
    digest(k->root, before);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (unsigned n = 1; n < 200; n++) {
            iw_error err = IW_ERROR_INIT;
            iw_fault_set(points[i], n, ENOSPC);
            int status = iw_draft_write(k->root, &changes, k->undo, &err);
            iw_fault_set(points[i], 0, 0);
            iw_error_clear(&err);
            if (status == 0) {
                assert_true(n > 3);
                lay(k->root, "recipes/stacks/s.yaml", "packages:\n  a: 1\n");
                lay(k->root, "patches/a/0001-x.patch", "Applies-To: 1\n--- a/x\n");
                iw_cleanup_free char *fresh = iw_path_join(k->root, "recipes/a/2.yaml");
                assert_int_equal(unlink(fresh), 0);
                break;
            }
            kit_ok(iw_draft_recover(k->root, k->undo, NULL, &err));
            digest(k->root, after);
            if (strcmp(before, after) != 0) fail_msg("point %d, call %u: changed", (int)i, n);
        }
    iw_draft_changes_free(&changes);
}

/* A kill in the middle: what was changed is put back by the next run. */
static void test_killed_anywhere(void **state)
{
    kit *k = *state;
    char before[IW_SHA256_HEX], after[IW_SHA256_HEX], draft[IW_SHA256_HEX];
    iw_changes_list changes = changes_of(k);
    digest(k->root, before);
    digest(k->draft, draft);
    bool finished = false;
    for (useconds_t wait = 0; wait < 900000 && !finished; wait += 150 + wait / 20) {
        iw_error err = IW_ERROR_INIT;
        pid_t pid = fork();
        if (pid == 0) _exit(iw_draft_write(k->root, &changes, k->undo, NULL) != 0);
        usleep(wait);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        kit_ok(iw_draft_recover(k->root, k->undo, NULL, &err));
        digest(k->root, after);
        finished = strcmp(after, draft) == 0;
        if (!finished && strcmp(before, after) != 0) fail_msg("killed after %u us", wait);
    }
    assert_true(finished);
    iw_draft_changes_free(&changes);
}

/* Somebody's edit after the kill stays. */
static void test_recovery_spares_edits(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_changes_list changes = changes_of(k);
    iw_fault_set(IW_FAULT_RENAME, 6, EIO); /* the list is there, a file is written */
    int status = iw_draft_write(k->root, &changes, k->undo, NULL);
    iw_fault_set(IW_FAULT_RENAME, 0, 0);
    assert_int_equal(status, -1);
    bool recovered = true;
    kit_ok(iw_draft_recover(k->root, k->undo, &recovered, &err));
    assert_false(recovered); /* it was put back at once */
    iw_draft_changes_free(&changes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_changes_and_diff), TEST(test_writes),          TEST(test_changed_meanwhile),
        TEST(test_every_failure),    TEST(test_killed_anywhere), TEST(test_recovery_spares_edits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
