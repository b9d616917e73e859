/* Files: durable writes that fail at each of their steps, folders, removing what resists, walking,
 * locks; digests. */
#include "kit.h"

#include <sys/wait.h>

#include "base/hash.h"
#include "base/scratch.h"

static size_t entries(const char *folder);

static int count_visit(void *context, const char *relative, const char *full,
                       const struct stat *status, iw_error *err)
{
    (void)relative, (void)full, (void)status, (void)err;
    ++*(size_t *)context;
    return 0;
}

static size_t entries(const char *folder)
{
    size_t count = 0;
    assert_int_equal(iw_walk(folder, count_visit, &count, NULL), 0);
    return count;
}

static void expect(const char *path, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    char *data;
    size_t length;
    kit_ok(iw_read_file(path, 1 << 20, &data, &length, &err));
    assert_string_equal(data, text);
    assert_int_equal(length, strlen(text));
    free(data);
}

/* --- reading and writing -------------------------------------------------- */

static void test_read(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(*state, "f"), *data = NULL;
    size_t length;
    kit_fails(iw_read_file(path, 10, &data, &length, &err), IW_E_NOT_FOUND, path);
    kit_ok(iw_write_file(path, "0123456789", 10, 0640, &err));
    kit_ok(iw_read_file(path, 10, &data, NULL, &err));
    assert_string_equal(data, "0123456789");
    free(iw_steal(&data));
    kit_fails(iw_read_file(path, 9, &data, &length, &err), IW_E_FORMAT, "larger than 9 bytes");
    assert_null(data);
    kit_fails(iw_read_file(*state, 9, &data, &length, &err), IW_E_IO, "can't read");
    iw_fault_set(IW_FAULT_OPEN, 1, EMFILE);
    kit_fails(iw_read_file(path, 10, &data, &length, &err), IW_E_IO, strerror(EMFILE));
    kit_ok(iw_read_file("/proc/self/status", 1 << 20, &data, &length,
                        &err)); /* a file without a size */
    assert_true(length > 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

/* Whichever step fails, a reader finds the old text or the new one, whole, and nothing else in the
 * folder. */
static void test_write_faults(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(*state, "f");
    static const struct {
        iw_fault_point point;
        unsigned after;
        int sys;
        const char *left;
    } cases[] = {
        {IW_FAULT_OPEN, 1, ENOSPC, "old"}, {IW_FAULT_WRITE, 1, ENOSPC, "old"},
        {IW_FAULT_FSYNC, 1, EIO, "old"},   {IW_FAULT_RENAME, 1, EXDEV, "old"},
        {IW_FAULT_FSYNC, 2, EIO, "new"}, /* the folder's: the file is there, but the caller is told
                                          */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kit_ok(iw_write_file(path, "old", 3, 0644, &err));
        iw_fault_set(cases[i].point, cases[i].after, cases[i].sys);
        kit_fails(iw_write_file(path, "new", 3, 0644, &err), IW_E_IO, strerror(cases[i].sys));
        expect(path, cases[i].left);
        assert_int_equal(entries(*state), 1);
    }
    iw_fault_set(IW_FAULT_WRITE, 1, EINTR); /* a signal in between is no failure */
    kit_ok(iw_write_file(path, "other", 5, 0644, &err));
    expect(path, "other");
    iw_fault_set(IW_FAULT_FSYNC, 1, EINVAL); /* nor a file system that has nothing to sync */
    kit_ok(iw_write_file(path, "", 0, 0644, &err));
    expect(path, "");
}

/* A reader in another process never sees a part of a replacement. */
static void test_write_whole(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(*state, "f"), *big = iw_alloc(1 << 18);
    memset(big, 'a', 1 << 18);
    kit_ok(iw_write_file(path, big, 1 << 18, 0644, &err));
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 200; i++) {
            char *data;
            size_t length;
            if (iw_read_file(path, 1 << 20, &data, &length, NULL) != 0 || length != 1 << 18)
                _exit(1);
            for (size_t k = 1; k < length; k++)
                if (data[k] != data[0]) _exit(2);
            free(data);
        }
        _exit(0);
    }
    for (int i = 0; i < 30; i++) {
        memset(big, 'a' + i % 26, 1 << 18);
        kit_ok(iw_write_file(path, big, 1 << 18, 0644, &err));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_publish(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *from = iw_path_join(*state, "new"), *to = iw_path_join(*state, "there");
    kit_fails(iw_publish(from, to, &err), IW_E_IO, from);
    kit_ok(iw_write_file(from, "x", 1, 0644, &err));
    iw_fault_set(IW_FAULT_FSYNC, 1, EIO);
    kit_fails(iw_publish(from, to, &err), IW_E_IO, "to disk");
    assert_false(iw_exists(to));
    iw_fault_set(IW_FAULT_RENAME, 1, EACCES);
    kit_fails(iw_publish(from, to, &err), IW_E_IO, "can't move");
    assert_true(iw_exists(from));
    kit_ok(iw_publish(from, to, &err));
    assert_false(iw_exists(from));
    expect(to, "x");
    kit_fails(iw_sync_folder(to, &err), IW_E_IO, "can't open folder");
}

static void test_copy(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *from = iw_path_join(*state, "from"), *to = iw_path_join(*state, "to"),
                         *link = iw_path_join(*state, "link"), *data = NULL;
    kit_ok(iw_write_file(from, "bytes", 5, 0755, &err));
    kit_ok(iw_write_file(to, "longer than that", 16, 0600, &err));
    kit_ok(iw_copy_file(from, to, &err));
    expect(to, "bytes");
    struct stat status;
    assert_int_equal(stat(to, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    kit_ok(iw_copy_file("/proc/self/status", to, &err)); /* no size, still its bytes */
    size_t length;
    kit_ok(iw_read_file(to, 1 << 20, &data, &length, &err));
    assert_true(length > 0);
    assert_int_equal(symlink("from", link), 0);
    kit_fails(iw_copy_file(to, link, &err), IW_E_IO, link); /* never through a link */
    expect(from, "bytes");
    iw_fault_set(IW_FAULT_OPEN, 2, ENOSPC);
    kit_fails(iw_copy_file(from, to, &err), IW_E_IO, "can't make");
}

static void test_copy_tree(void **state)
{
    const char *folder = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *from = iw_path_join(folder, "tree"),
                         *deep = iw_path_join(folder, "tree/a/b"),
                         *file = iw_path_join(folder, "tree/a/b/file"),
                         *link = iw_path_join(folder, "tree/link"),
                         *odd = iw_path_join(folder, "tree/odd"),
                         *to = iw_path_join(folder, "x/copy"),
                         *copied = iw_path_join(folder, "x/copy/a/b/file"),
                         *copied_link = iw_path_join(folder, "x/copy/link"),
                         *copied_odd = iw_path_join(folder, "x/copy/odd"),
                         *none = iw_path_join(folder, "none"),
                         *empty = iw_path_join(folder, "x/empty"), *text = NULL;
    char target[16] = "";
    kit_ok(iw_make_folders(deep, 0755, &err));
    kit_ok(iw_write_file(file, "hello", 5, 0755, &err));
    assert_int_equal(symlink("../up", link), 0);
    assert_int_equal(mkfifo(odd, 0600), 0);
    kit_ok(iw_copy_tree(from, to, &err));
    kit_ok(iw_read_file(copied, 100, &text, NULL, &err));
    assert_string_equal(text, "hello");
    assert_int_equal(access(copied, X_OK), 0);
    assert_int_equal(readlink(copied_link, target, sizeof target),
                     5); /* itself, not what it names */
    assert_memory_equal(target, "../up", 5);
    assert_false(iw_exists(copied_odd));
    kit_ok(iw_copy_tree(none, empty, &err));
    assert_true(iw_exists(empty));
}

/* --- folders -------------------------------------------------------------- */

static void test_folders(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *deep = iw_path_join(*state, "a/b//c/"), *file = iw_path_join(*state, "f"),
                         *below = iw_path_join(*state, "f/x"), *made = NULL;
    kit_ok(iw_make_folders(deep, 0755, &err));
    kit_ok(iw_make_folders(deep, 0755, &err));
    kit_fails(iw_make_folders("", 0755, &err), IW_E_IO, "without a name");
    kit_ok(iw_write_file(file, "", 0, 0644, &err));
    kit_fails(iw_make_folders(file, 0755, &err), IW_E_IO, "it is no folder");
    kit_fails(iw_make_folders(below, 0755, &err), IW_E_IO, below);
    kit_ok(iw_temporary_folder(*state, "t-", &made, &err));
    struct stat status;
    assert_int_equal(stat(made, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    free(iw_steal(&made));
    kit_fails(iw_temporary_folder(below, "t-", &made, &err), IW_E_IO, below);
    assert_null(made);
    uint64_t bytes = 0;
    kit_ok(iw_free_space(*state, &bytes, &err));
    assert_true(bytes > 0);
    kit_fails(iw_free_space(below, &bytes, &err), IW_E_IO, below);
}

/* Deeper than PATH_MAX and than the number of open files allows. */
static void make_deep(const char *folder, int depth)
{
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(at, "deep-folder", 0755), 0);
        int next = openat(at, "deep-folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    int file = openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(file >= 0);
    close(file);
    close(at);
}

static void test_remove(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "tree"), *kept = iw_path_join(*state, "kept"),
                         *link = iw_path_join(*state, "tree/link");
    iw_cleanup_free char *file = iw_path_join(*state, "kept/f"),
                         *slashed = iw_path_join(*state, "other/"),
                         *other = iw_path_join(*state, "other");
    kit_ok(iw_remove_tree(tree, &err)); /* missing: no error */
    kit_ok(iw_make_folders(tree, 0755, &err));
    kit_ok(iw_make_folders(kept, 0755, &err));
    kit_ok(iw_write_file(file, "x", 1, 0644, &err));
    assert_int_equal(symlink("../kept", link), 0);
    make_deep(tree, 3000);
    kit_ok(iw_remove_tree(tree, &err));
    assert_false(iw_exists(tree));
    expect(file, "x"); /* the link was removed, not what it leads to */
    assert_int_equal(symlink("kept", other), 0);
    kit_ok(iw_remove_tree(slashed, &err));
    assert_false(iw_exists(other));
    expect(file, "x");
    kit_ok(iw_remove_tree(file, &err));
    assert_int_equal(entries(*state), 1);
}

/* As a user who isn't root: folders that forbid reading and writing go, too. */
static void test_remove_closed(void **state)
{
    iw_cleanup_free char *tree = iw_path_join(*state, "closed");
    assert_int_equal(chmod(*state, 0777), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(9);
        iw_cleanup_free char *below = iw_path_join(tree, "a/b"), *a = iw_path_join(tree, "a"),
                             *file = iw_path_join(tree, "a/b/f");
        if (iw_make_folders(below, 0755, NULL) != 0 || iw_write_file(file, "x", 1, 0400, NULL) != 0)
            _exit(1);
        if (chmod(below, 0555) != 0 || chmod(a, 0000) != 0 || chmod(tree, 0500) != 0) _exit(2);
        _exit(iw_remove_tree(tree, NULL) == 0 && !iw_exists(tree) ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

struct seen {
    iw_strings paths;
    const char *skip, *stop;
};

static int note_visit(void *context, const char *relative, const char *full,
                      const struct stat *status, iw_error *err)
{
    struct seen *seen = context;
    assert_true(iw_ends_with(full, relative));
    iw_strings_add_format(&seen->paths, "%s%s", relative,
                          S_ISDIR(status->st_mode)   ? "/"
                          : S_ISLNK(status->st_mode) ? "@"
                                                     : "");
    if (seen->stop && strcmp(relative, seen->stop) == 0)
        return iw_fail(err, IW_E_CHECK, "stopped at %s", relative);
    return seen->skip && strcmp(relative, seen->skip) == 0;
}

static void walk_is(const char *root, const char *skip, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    struct seen seen = {.skip = skip};
    kit_ok(iw_walk(root, note_visit, &seen, &err));
    iw_buffer text = {0};
    for (size_t i = 0; i < seen.paths.count; i++)
        iw_buffer_add_format(&text, "%s%s", i ? " " : "", seen.paths.items[i]);
    assert_string_equal(text.data, wanted);
    iw_buffer_free(&text);
    iw_strings_free(&seen.paths);
}

static void test_walk(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static const char *const files[] = {"b/z", "b/a", "a.c", "a/x/y", "B", "\xc3\xa9"};
    iw_cleanup_free char *root = iw_path_join(*state, "root"), *link = iw_path_join(*state, "link"),
                         *inner = iw_path_join(*state, "root/loop");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        iw_cleanup_free char *path = iw_path_join(root, files[i]), *parent = iw_path_parent(path);
        kit_ok(iw_make_folders(parent, 0755, &err));
        kit_ok(iw_write_file(path, "", 0, 0644, &err));
    }
    assert_int_equal(symlink("..", inner), 0);
    assert_int_equal(symlink("root", link), 0);
    const char *all = "B a/ a/x/ a/x/y a.c b/ b/a b/z loop@ \xc3\xa9";
    walk_is(root, NULL, all);
    walk_is(link, NULL, all); /* the root may be a link; nothing below it is followed */
    walk_is(root, "a", "B a/ a.c b/ b/a b/z loop@ \xc3\xa9");
    struct seen seen = {.stop = "a/x"};
    kit_fails(iw_walk(root, note_visit, &seen, &err), IW_E_CHECK, "stopped at a/x");
    assert_int_equal(seen.paths.count, 3);
    iw_strings_free(&seen.paths);
    kit_fails(iw_walk("/nonexistent/x", note_visit, &seen, &err), IW_E_IO, "/nonexistent/x");
    make_deep(root, 300);
    struct seen deep = {.skip = NULL};
    kit_fails(iw_walk(root, note_visit, &deep, &err), IW_E_FORMAT, "too deeply");
    iw_strings_free(&deep.paths);
}

/* A run that was killed leaves its folder to the next one; a living one keeps it. */
static void test_scratch(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_scratch ours, next;
    iw_cleanup_free char *other = iw_path_join(*state, "else-aaaaaa");
    setenv("TMPDIR", *state, 1);
    kit_ok(iw_make_folders(other, 0700, &err));
    kit_ok(iw_scratch_open("scratch-", &ours, &err));
    iw_cleanup_free char *file = iw_path_join(ours.path, "file");
    kit_ok(iw_write_file(file, "x", 1, 0600, &err));
    pid_t pid = fork();
    if (pid == 0) _exit(iw_scratch_open("scratch-", &next, &err) == 0 ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(entries(*state), 4); /* another's, ours with a file, the child's */
    kit_ok(iw_scratch_open("scratch-", &next, &err));
    assert_int_equal(entries(*state), 4);
    assert_true(iw_exists(file) && iw_exists(other) && iw_exists(next.path));
    iw_scratch_close(&next);
    iw_scratch_close(&next);
    iw_scratch_close(&ours);
    assert_int_equal(entries(*state), 1);
    unsetenv("TMPDIR");
}

static void test_lock(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(*state, "lock"),
                         *bad = iw_path_join(*state, "no/lock");
    int first, second, third;
    kit_ok(iw_lock_file(path, false, false, &first, &err));
    kit_ok(iw_lock_file(path, false, false, &second, &err));
    assert_true(first >= 0 && second >= 0);
    kit_ok(iw_lock_file(path, true, false, &third, &err));
    assert_int_equal(third, -1);
    iw_close_fd(&first);
    iw_close_fd(&second);
    kit_ok(iw_lock_file(path, true, true, &third, &err));
    assert_true(third >= 0);
    kit_ok(iw_lock_file(path, false, false, &first, &err));
    assert_int_equal(first, -1);
    iw_close_fd(&third);
    kit_fails(iw_lock_file(bad, true, true, &first, &err), IW_E_IO, bad);
    assert_int_equal(first, -1);
}

/* --- digests -------------------------------------------------------------- */

/* FIPS 180-4's examples, and a million times "a". */
static void test_hash(void **state)
{
    iw_error err = IW_ERROR_INIT;
    char hex[IW_SHA256_HEX], again[IW_SHA256_HEX];
    iw_hash_bytes("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    iw_hash_bytes("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    iw_hash *hash = iw_hash_new();
    for (int i = 0; i < 1000; i++) {
        char part[1000];
        memset(part, 'a', sizeof part);
        iw_hash_add(hash, part, sizeof part);
    }
    iw_hash_finish(hash, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    iw_hash_add(hash, "abc", 3); /* it starts anew */
    iw_hash_finish(hash, hex);
    assert_int_equal(strncmp(hex, "ba7816bf", 8), 0);
    iw_cleanup_free char *path = iw_path_join(*state, "f");
    uint64_t size;
    kit_ok(iw_write_file(path, "abc", 3, 0644, &err));
    kit_ok(iw_hash_file(path, again, &size, &err));
    assert_string_equal(hex, again);
    assert_int_equal(size, 3);
    kit_fails(iw_hash_file(*state, again, NULL, &err), IW_E_IO, *state);
    iw_hash_free(hash);
    iw_hash_free(NULL);
    assert_true(iw_is_sha256(hex));
    hex[3] = 'A';
    assert_false(iw_is_sha256(hex));
    assert_false(iw_is_sha256("ba78"));
}

static void field_digest(const char *name, const char *value, const char *second,
                         char hex[IW_SHA256_HEX])
{
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, name, value);
    if (second) iw_hash_add_field(hash, second, "");
    iw_hash_finish(hash, hex);
    iw_hash_free(hash);
}

static void test_hash_fields(void **state)
{
    (void)state;
    char digests[5][IW_SHA256_HEX];
    field_digest("ab", "c", NULL, digests[0]);
    field_digest("a", "bc", NULL, digests[1]);
    field_digest("ab", NULL, NULL, digests[2]);
    field_digest("ab", "", NULL, digests[3]);
    field_digest("ab", "c", "d", digests[4]);
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++) assert_string_not_equal(digests[i], digests[k]);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(test_read),          with_folder(test_write_faults),
        with_folder(test_write_whole),   with_folder(test_publish),
        with_folder(test_copy),          with_folder(test_copy_tree),
        with_folder(test_folders),       with_folder(test_remove),
        with_folder(test_remove_closed), with_folder(test_walk),
        with_folder(test_scratch),       with_folder(test_lock),
        with_folder(test_hash),          cmocka_unit_test(test_hash_fields),
    };
    return cmocka_run_group_tests_name("base files", tests, NULL, NULL);
}
