/* What two releases say of themselves. */
#include "../check.h"

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/metadata.h"

static void lay(const char *root, const char *name, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(root, name), *parent = iw_path_parent(path);
    kit_ok(iw_make_folders(parent, 0755, &err));
    kit_ok(iw_write_passing(path, text, strlen(text), 0644, &err));
}

static void test_compare(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *folder = NULL;
    kit_ok(iw_temporary_folder("/tmp", "iw-metadata-", &folder, &err));
    iw_cleanup_free char *before = iw_path_join(folder, "a"), *after = iw_path_join(folder, "b");
    lay(before, "PKG-INFO",
        "Metadata-Version: 2.1\nName: x\nLicense: BSD\nRequires-Python: >=3.8\nRequires-Dist: "
        "numpy>=1\n"
        "Requires-Dist: six\nRequires-Dist: old; python_version < '3'\n\nLicense: not this\n");
    lay(before, "pyproject.toml",
        "[project]\nrequires = [\"no\"]\n[build-system]\nrequires = [\n  \"meson-python>=0.15\", # "
        "why\n"
        "  'Cython',\n]\nbuild-backend = \"mesonpy\"\n[tool.x]\nrequires = ['no']\n");
    lay(before, "src/a.c", "int x;\n_mm_add_ps\n");
    lay(before, "extern/one/x.c", "");
    lay(after, "PKG-INFO",
        "Metadata-Version: 2.4\nName: x\nLicense: long text\nLicense-Expression: BSD-3-Clause\n"
        "Requires-Python: >=3.10\nRequires-Dist: numpy>=2\nRequires-Dist: docs; extra == 'docs'\n");
    lay(after, "pyproject.toml",
        "[build-system]\nrequires = [\"meson-python>=0.18\", \"Cython\"]\n"
        "build-backend = \"mesonpy\"\n");
    lay(after, "src/a.c", "_mm_add_ps _mm256_add_ps\n");
    lay(after, "src/b.S", "x:\n");
    lay(after, "src/c.txt", "-mavx2\n");
    lay(after, "meson.build", "args: '-mavx2'\n");
    lay(after, "extern/one/x.c", "");
    lay(after, "extern/two/x.c", "");
    json_t *out;
    kit_ok(iw_metadata_compare(before, after, "3.11.2", &out, &err));
    iw_cleanup_free char *text = json_dumps(out, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        text,
        "{\"build\":{\"added\":[\"meson-python>=0.18\"],\"removed\":[\"meson-python>=0.15\"]},"
        "\"instructions\":[{\"file\":\"meson.build\",\"signs\":[\"-mavx\"]},{\"file\":\"src/"
        "a.c\",\"signs\":"
        "[\"_mm256_\"]},{\"file\":\"src/"
        "b.S\",\"signs\":[\"assembler\"]}],\"licence\":[\"BSD\",\"BSD-3-Clause\"],"
        "\"python\":[\">=3.8\",\">=3.10\"],\"run\":{\"added\":[\"numpy>=2\"],\"removed\":[\"numpy>="
        "1\",\"six\"]},"
        "\"vendored\":[\"extern/two\"]}");
    json_decref(out);
    kit_ok(iw_metadata_compare(after, after, "3.11.2", &out, &err));
    assert_int_equal(json_object_size(out), 0);
    json_decref(out);
    (void)!iw_remove_tree(folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compare)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
