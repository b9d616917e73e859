/* Which recipes bring a distribution of the package index: not by their names alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "recipe/recipe.h"
#include "tree.h"

#define HEAD(name, version)                                                                        \
    "name: " name "\nversion: " version "\nsummary: For tests\nlicence: MIT\n"
#define SHA "    sha256: 0000000000000000000000000000000000000000000000000000000000000000\n"
#define PYPI(project) "sources:\n  - pypi: " project "\n    file: x-1.tar.gz\n" SHA
#define URL "sources:\n  - url: https://example.org/x-1.tar.gz\n" SHA

static void write_all(const char *root)
{
    static const char cmake[] = "build:\n  system: cmake\n",
                      python[] = "build:\n  system: python\n",
                      script[] = "build:\n  system: script\n  install-script: 'true'\n",
                      runs[] = "needs:\n  run: [python]\n";
    struct {
        const char *file, *head, *sources, *needs, *build;
    } all[] = {
        {"brotli/1.0.9", HEAD("brotli", "1.0.9"), URL, "", cmake},
        {"python-brotli/1.1.0", HEAD("python-brotli", "1.1.0"), PYPI("Brotli"), runs, python},
        {"lz4/1.9.4", HEAD("lz4", "1.9.4"), URL, "", script},
        {"snappy/1", HEAD("snappy", "1"), URL, "", cmake},
        {"python-snappy/0.7", HEAD("python-snappy", "0.7"), URL, runs, python},
        {"python-free/1", HEAD("python-free", "1"), URL, runs, python},
        {"click/8.1.7", HEAD("click", "8.1.7"), PYPI("click"), runs, python},
        {"click/8.1.8", HEAD("click", "8.1.8"), PYPI("click"), runs, python},
        {"elsewhere/1", HEAD("elsewhere", "1"), URL, runs, script},
        {"whisper/1", HEAD("whisper", "1"), PYPI("pywhisper"), "", cmake},
        {"mixed/1", HEAD("mixed", "1"), URL, "", cmake},
        {"mixed/2", HEAD("mixed", "2"), PYPI("mixed"), runs, python},
        {"python-own/1", HEAD("python-own", "1"), PYPI("python-own"), runs, python},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        iw_cleanup_free char *file = iw_format("recipes/%s.yaml", all[i].file),
                             *text = iw_format("%s%s%s%s", all[i].head, all[i].sources,
                                               all[i].needs, all[i].build);
        iw_test_write(root, file, text);
    }
    iw_test_write(root, "recipes/bad/1.yaml", "name: bad\n");
}

static void asks(iw_catalog *catalog, const char *project, const char *name, const char *versions)
{
    iw_error err = IW_ERROR_INIT;
    const char *found;
    iw_list list;
    iw_cleanup_buffer iw_buffer text = {0};
    if (iw_catalog_distribution(catalog, project, &found, &list, &err) != 0)
        fail_msg("%s", iw_error_text(&err));
    iw_buffer_add_text(&text, "");
    for (size_t i = 0; i < list.count; i++)
        iw_buffer_add_format(&text, "%s%s", i ? " " : "", list.items[i]);
    assert_null(list.items[list.count]);
    assert_string_equal(found, name);
    assert_string_equal(text.data, versions);
}

static void test_by_what_they_build(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *root = iw_test_tree();
    iw_catalog *catalog;
    write_all(root);
    if (iw_catalog_open(root, &catalog, &err) != 0) fail_msg("%s", iw_error_text(&err));
    asks(catalog, "brotli", "python-brotli", "1.1.0");
    asks(catalog, "lz4", "python-lz4", "");          /* as a new one has to be called */
    asks(catalog, "snappy", "python-snappy", "0.7"); /* the library is in its way */
    asks(catalog, "free", "free", "");               /* nothing is in the way of its own name */
    asks(catalog, "python-free", "python-free", "1");
    asks(catalog, "click", "click", "8.1.7 8.1.8");
    asks(catalog, "elsewhere", "elsewhere", "1"); /* from a URL, and runs on Python */
    asks(catalog, "whisper", "python-whisper", "");
    asks(catalog, "mixed", "mixed", "2");
    asks(catalog, "own", "own", ""); /* python-own is another project */
    asks(catalog, "python-own", "python-own", "1");
    asks(catalog, "nobody", "nobody", "");
    asks(catalog, "bad", "bad", "1"); /* its trouble is told where it is used */
    iw_catalog_free(catalog);
    iw_remove_tree(root, NULL);
}

/* Of this tree: libraries that have a namesake on the index, and what comes from elsewhere. */
static void test_this_tree(void **state)
{
    (void)state;
    static const char *const libraries[] = {"brotli",   "flatbuffers", "lz4",  "onnx",
                                            "protobuf", "snappy",      "zstd", "python"};
    static const char *const python[] = {"datasets", "espeakng-loader", "pip",   "torch",
                                         "numpy",    "torchaudio",      "triton"};
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    const char *name;
    iw_list list, all;
    if (iw_catalog_open(".", &catalog, &err)) fail_msg("%s", iw_error_text(&err));
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        if (iw_catalog_distribution(catalog, libraries[i], &name, &list, &err) != 0)
            fail_msg("%s", iw_error_text(&err));
        assert_true(strncmp(name, "python-", 7) == 0 && strcmp(name + 7, libraries[i]) == 0);
    }
    for (size_t i = 0; i < sizeof python / sizeof *python; i++) {
        if (iw_catalog_distribution(catalog, python[i], &name, &list, &err) != 0 ||
            iw_catalog_versions(catalog, python[i], &all, &err) != 0)
            fail_msg("%s", iw_error_text(&err));
        assert_string_equal(name, python[i]);
        assert_int_equal(list.count, all.count);
    }
    if (iw_catalog_distribution(catalog, "protobuf", &name, &list, &err) != 0)
        fail_msg("%s", iw_error_text(&err));
    assert_true(list.count >= 2);
    if (iw_catalog_distribution(catalog, "brotli", &name, &list, &err) != 0)
        fail_msg("%s", iw_error_text(&err));
    assert_true(list.count > 0);
    iw_catalog_free(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_what_they_build),
        cmocka_unit_test(test_this_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
