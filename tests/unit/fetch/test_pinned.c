/* The table of sources that bootstrap compiles in, and which of a name's several is taken. */
#include "kit.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "fetch/pinned.h"

#define PIN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void write_table(const char *folder, const char *text)
{
    iw_cleanup_free char *hosts = iw_path_join(folder, "hosts"),
                         *path = iw_path_join(hosts, "sources.txt");
    assert_int_equal(iw_make_folders(hosts, 0755, NULL), 0);
    assert_int_equal(iw_write_file(path, text, strlen(text), 0644, NULL), 0);
}

static void takes_what_the_store_has(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *folder = NULL, *store_folder = NULL, *file = NULL, *text = NULL;
    char digest[IW_SHA256_HEX];
    iw_store *store = NULL;
    iw_pinned pinned;
    iw_wanted wanted[IW_PINNED_LIMIT];
    kit_ok(iw_temporary_folder("/tmp", "iw-pinned-", &folder, &err));
    store_folder = iw_path_join(folder, "store");
    kit_ok(iw_store_open(store_folder, NULL, &store, &err));
    file = iw_path_join(store_folder, "tmp-file");
    kit_ok(iw_write_file(file, "bytes", 5, 0644, &err));
    kit_ok(iw_hash_file(file, digest, NULL, &err));
    text = iw_format("# name\n\nzstd 1 pypi p p-1.tar.gz " PIN_A "\nzstd 1 debian d d.orig.tar.xz "
                     "%s\nzydis 4 debian z z.orig.tar.gz " PIN_A "\n",
                     digest);
    write_table(folder, text);
    kit_ok(iw_pinned_read(folder, &pinned, &err));
    assert_int_equal(pinned.count, 3);
    assert_int_equal(iw_pinned_wanted(store, &pinned, wanted), 2);
    assert_string_equal(wanted[0].source->file, "p-1.tar.gz"); /* neither is here: the first */
    kit_ok(iw_store_add_source(store, file, digest, "d", &err));
    assert_int_equal(iw_pinned_wanted(store, &pinned, wanted), 2);
    assert_string_equal(wanted[0].source->file, "d.orig.tar.xz");
    assert_int_equal(wanted[0].source->kind, IW_SOURCE_DEBIAN);
    assert_string_equal(wanted[1].source->name, "z");
    iw_pinned_clear(&pinned);
    iw_store_close(store);
    iw_remove_tree(folder, NULL);
}

static void refuses_a_wrong_row(void **state)
{
    (void)state;
    static const char *const wrong[] = {"zstd 1 pypi p p.tar.gz\n", "zstd 1 pypi p p.tar.gz abc\n",
                                        "zstd 1 ftp p p.tar.gz " PIN_A "\n",
                                        "zstd 1 pypi p p.tar.gz " PIN_A " more\n"};
    iw_cleanup_free char *folder = NULL;
    iw_error err = IW_ERROR_INIT;
    iw_pinned pinned;
    kit_ok(iw_temporary_folder("/tmp", "iw-pinned-", &folder, &err));
    kit_ok(iw_pinned_read(folder, &pinned, &err)); /* a tree without such a file */
    assert_int_equal(pinned.count, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_table(folder, wrong[i]);
        assert_int_equal(iw_pinned_read(folder, &pinned, &err), -1);
        assert_int_equal(err.kind, IW_E_FORMAT);
        assert_non_null(strstr(err.message, "hosts/sources.txt"));
        iw_error_clear(&err);
    }
    iw_remove_tree(folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(takes_what_the_store_has),
                                       cmocka_unit_test(refuses_a_wrong_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
