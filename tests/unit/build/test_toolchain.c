/* The toolchain's root from packages in a store: unpacked, prepared, stamped; what was changed is
 * made anew. */
#include "golden.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/path.h"
#include "build/build.h"
#include "build/checks_root.h"

typedef struct place {
    char *folder;
    iw_store *store;
    iw_toolchain toolchain;
    iw_toolchain_package packages[2];
    char digests[2][IW_SHA256_HEX];
    iw_error err;
} place;

static void add(struct archive *archive, const char *path, const char *text)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, path);
    archive_entry_set_perm(entry, 0755);
    archive_entry_set_mtime(entry, 1000000000, 0);
    if (text && text[0] == '>') {
        archive_entry_set_filetype(entry, AE_IFLNK);
        archive_entry_set_symlink(entry, text + 1);
    } else if (text) {
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, (la_int64_t)strlen(text));
    } else archive_entry_set_filetype(entry, AE_IFDIR);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    if (text && text[0] != '>') archive_write_data(archive, text, strlen(text));
    archive_entry_free(entry);
}

/* A tar of `files` (path, text, …, NULL; text NULL-string "/" for a folder) in memory. */
static size_t make_tar(const char *const *files, char *out, size_t capacity)
{
    size_t used = 0;
    struct archive *tar = archive_write_new();
    archive_write_set_format_ustar(tar);
    archive_write_add_filter_xz(tar);
    assert_int_equal(archive_write_open_memory(tar, out, capacity, &used), ARCHIVE_OK);
    for (size_t i = 0; files[i]; i += 2)
        add(tar, files[i], strcmp(files[i + 1], "/") ? files[i + 1] : NULL);
    archive_write_close(tar);
    archive_write_free(tar);
    return used;
}

static void make_deb(const char *path, const char *const *files)
{
    char data[65536];
    size_t length = make_tar(files, data, sizeof data);
    struct archive *ar = archive_write_new();
    archive_write_set_format_ar_svr4(ar);
    assert_int_equal(archive_write_open_filename(ar, path), ARCHIVE_OK);
    static const char *const names[] = {"debian-binary", "control.tar.xz", "data.tar.xz"};
    for (size_t i = 0; i < 3; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, names[i]);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        const char *content = i == 0 ? "2.0\n" : data;
        size_t size = i == 0 ? 4 : length;
        archive_entry_set_size(entry, (la_int64_t)size);
        assert_int_equal(archive_write_header(ar, entry), ARCHIVE_OK);
        archive_write_data(ar, content, size);
        archive_entry_free(entry);
    }
    archive_write_close(ar);
    archive_write_free(ar);
}

static void add_package(place *p, size_t i, const char *name, const char *const *files)
{
    iw_cleanup_free char *tmp = iw_path_join(iw_store_root(p->store), "tmp");
    assert_int_equal(iw_make_folders(tmp, 0755, NULL), 0);
    iw_cleanup_free char *path = iw_path_join(tmp, name);
    make_deb(path, files);
    uint64_t size = 0;
    assert_int_equal(iw_hash_file(path, p->digests[i], &size, NULL), 0);
    if (iw_store_add_source(p->store, path, p->digests[i], name, &p->err))
        fail_msg("%s", iw_error_text(&p->err));
    p->packages[i] = (iw_toolchain_package){
        .name = name, .version = "1", .file = "pool/x.deb", .sha256 = p->digests[i], .size = size};
}

static int setup(void **state)
{
    static const char *const one[] = {"./",
                                      "/",
                                      "./bin/",
                                      "/",
                                      "./bin/dash",
                                      "shell",
                                      "./usr/",
                                      "/",
                                      "./usr/bin/",
                                      "/",
                                      "./usr/bin/gcc",
                                      ">gcc-12",
                                      "./usr/share/man/man1/x.1",
                                      "page",
                                      NULL};
    static const char *const two[] = {"./usr/bin/gcc-12", "driver",         "./lib/x.so", "library",
                                      "./etc/abs",        ">/usr/lib/x.so", NULL};
    place *p = iw_alloc(sizeof *p);
    if (iw_temporary_folder("/tmp", "iw-toolchain-", &p->folder, &p->err) ||
        iw_store_open(p->folder, NULL, &p->store, &p->err))
        return -1;
    add_package(p, 0, "one", one);
    add_package(p, 1, "two", two);
    p->toolchain = (iw_toolchain){.name = "test", .packages = p->packages, .package_count = 2};
    memset(p->toolchain.digest, 'a', IW_SHA256_HEX - 1);
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

static char *read_in(const char *root, const char *name)
{
    iw_cleanup_free char *path = iw_path_join(root, name);
    char *text = NULL;
    size_t length = 0;
    return iw_read_file(path, 1 << 16, &text, &length, NULL) ? iw_strdup("missing") : text;
}

static void expect(const char *root, const char *name, const char *text)
{
    iw_cleanup_free char *seen = read_in(root, name);
    if (strcmp(seen, text)) fail_msg("%s is \"%s\", not \"%s\"", name, seen, text);
}

static char *make(place *p)
{
    char *root = NULL;
    if (iw_toolchain_root(p->store, &p->toolchain, NULL, &root, &p->err))
        fail_msg("%s", iw_error_text(&p->err));
    return root;
}

static void unpacks_and_prepares(void **state)
{
    place *p = *state;
    iw_cleanup_free char *root = make(p);
    expect(root, "usr/bin/dash", "shell");
    expect(root, "bin/sh", "shell");
    expect(root, "usr/lib/x.so", "library");
    expect(root, "usr/bin/gcc", "");
    expect(root, "usr/libexec/iw-real/gcc", "driver");
    expect(root, "usr/share/man/man1/x.1", "missing");
    iw_cleanup_free char *script = iw_path_join(root, "etc/passwd");
    assert_true(iw_exists(script));
    /* a second time: nothing is made anew */
    struct stat before, after;
    assert_int_equal(stat(script, &before), 0);
    iw_cleanup_free char *again = make(p);
    assert_string_equal(root, again);
    assert_int_equal(stat(script, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static void makes_a_changed_one_anew(void **state)
{
    place *p = *state;
    iw_cleanup_free char *root = make(p);
    iw_cleanup_free char *library = iw_path_join(root, "usr/lib/x.so");
    FILE *file = fopen(library, "r+");
    assert_non_null(file);
    fputc('L', file);
    fclose(file);
    iw_cleanup_free char *again = make(p);
    expect(again, "usr/lib/x.so", "library");
    assert_int_equal(chmod(library, 0600), 0); /* times differ, the content doesn't */
    struct stat before, after;
    assert_int_equal(chmod(library, 0755), 0);
    assert_int_equal(stat(library, &before), 0);
    iw_cleanup_free char *third = make(p);
    assert_int_equal(stat(library, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void names_a_missing_package(void **state)
{
    place *p = *state;
    char *root = NULL;
    iw_cleanup_free char *path = iw_store_source_path(p->store, p->digests[1]);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(iw_toolchain_root(p->store, &p->toolchain, NULL, &root, &p->err), -1);
    assert_non_null(strstr(p->err.message, "two 1"));
    iw_cleanup_free char *tmp = iw_path_join(p->folder, "tmp");
    assert_int_equal(rmdir(tmp), 0); /* nothing is left there */
}

static void two_at_once_share_the_work(void **state)
{
    place *p = *state;
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            iw_store *store = NULL;
            char *root = NULL;
            int bad = iw_store_open(p->folder, NULL, &store, NULL) ||
                      iw_toolchain_root(store, &p->toolchain, NULL, &root, NULL);
            _exit(bad ? 1 : 0);
        }
    }
    for (int i = 0; i < 3; i++) {
        int status = 0;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    iw_cleanup_free char *root = make(p);
    expect(root, "usr/lib/x.so", "library");
}

/* --- the toolchain file `checks` -------------------------------------------- */

/* A tree whose toolchain `checks` is package 0, under the name `package`. */
static iw_catalog *tree_with_checks(place *p, const char *package)
{
    iw_catalog *catalog = NULL;
    iw_cleanup_free char *folder = iw_path_join(p->folder, "tree/recipes/toolchains"),
                         *stacks = iw_path_join(p->folder, "tree/recipes/stacks"),
                         *file = iw_path_join(folder, "checks.yaml"),
                         *root = iw_path_join(p->folder, "tree"), *text = NULL;
    assert_int_equal(iw_make_folders(folder, 0755, NULL), 0);
    assert_int_equal(iw_make_folders(stacks, 0755, NULL), 0);
    text = iw_format("name: checks\nsummary: x\nsuite: bookworm\nroots: [one]\npackages:\n"
                     "  - name: %s\n    version: 1\n    file: pool/x.deb\n    sha256: %s\n"
                     "    size: %llu\n",
                     package, p->digests[0], (unsigned long long)p->packages[0].size);
    if (package) assert_int_equal(iw_write_file(file, text, strlen(text), 0644, NULL), 0);
    if (iw_catalog_open(root, &catalog, &p->err)) fail_msg("%s", iw_error_text(&p->err));
    return catalog;
}

static void checks_have_a_root_of_their_own(void **state)
{
    place *p = *state;
    iw_fetch_options offline = {.offline = true, .cancel = -1};
    iw_catalog *catalog = tree_with_checks(p, "one");
    iw_cleanup_free char *root = NULL;
    if (iw_checks_root(catalog, p->store, &offline, &root, &p->err))
        fail_msg("%s", iw_error_text(&p->err));
    expect(root, "usr/bin/dash", "shell");
    iw_cleanup_strings iw_strings argv = {0}, environment = {0};
    iw_checks_python(root, NULL, &argv, &environment);
    iw_cleanup_free char *home = iw_format("PYTHONHOME=%s/usr", root);
    assert_true(iw_strings_has(&environment, home));
    assert_true(iw_starts_with(argv.items[0], root));
    assert_true(iw_strings_has(&argv, "-B")); /* even where -I follows: nothing is written there */
    iw_catalog_free(catalog);
}

static void a_host_toolchain_leaves_checks_alone(void **state)
{
    place *p = *state;
    iw_catalog *catalog = tree_with_checks(p, "one");
    const iw_toolchain host = {.name = "host", .is_host = true}, *found = NULL;
    iw_catalog_use_toolchain(catalog, &host);
    assert_int_equal(iw_catalog_checks(catalog, &found, NULL), 0);
    assert_non_null(found);
    assert_string_equal(found->name, "checks");
    iw_catalog_free(catalog);
}

/* The same package in the stack's own toolchain: its root is taken, and nothing more is unpacked.
 */
static void the_same_emulator_is_not_unpacked_twice(void **state)
{
    place *p = *state;
    iw_fetch_options offline = {.offline = true, .cancel = -1};
    iw_catalog *catalog = tree_with_checks(p, "qemu-user-static");
    iw_cleanup_free char *own = NULL, *other = NULL;
    p->packages[1].name = "qemu-user-static";
    p->packages[1].sha256 = p->digests[0];
    assert_int_equal(iw_checks_emulator(catalog, p->store, &p->toolchain, "/a/root", &offline, &own,
                                        &p->err),
                     0);
    assert_string_equal(own, "/a/root/usr/bin/qemu-x86_64-static");
    p->packages[1].sha256 = p->digests[1];
    assert_int_equal(iw_checks_emulator(catalog, p->store, &p->toolchain, "/a/root", &offline,
                                        &other, &p->err),
                     0);
    assert_true(iw_starts_with(other, p->folder));
    iw_catalog_free(catalog);
}

static void says_that_the_tree_has_no_checks(void **state)
{
    place *p = *state;
    iw_fetch_options offline = {.offline = true, .cancel = -1};
    iw_catalog *catalog = tree_with_checks(p, NULL);
    iw_cleanup_free char *root = NULL, *emulator = NULL;
    assert_int_equal(iw_checks_root(catalog, p->store, &offline, &root, &p->err), -1);
    assert_int_equal(p->err.kind, IW_E_NOT_FOUND);
    assert_non_null(strstr(p->err.message, "recipes/toolchains/checks.yaml"));
    iw_error_clear(&p->err);
    assert_int_equal(iw_checks_emulator(catalog, p->store, NULL, NULL, &offline, &emulator,
                                        &p->err),
                     0);
    assert_null(emulator);
    iw_catalog_free(catalog);
}

int main(void)
{
#define RUN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {RUN(unpacks_and_prepares),
                                       RUN(makes_a_changed_one_anew),
                                       RUN(names_a_missing_package),
                                       RUN(two_at_once_share_the_work),
                                       RUN(checks_have_a_root_of_their_own),
                                       RUN(a_host_toolchain_leaves_checks_alone),
                                       RUN(the_same_emulator_is_not_unpacked_twice),
                                       RUN(says_that_the_tree_has_no_checks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
