/* torch/2.6.0 was built and proven; torch/2.7.0 can't be fetched here. What holds for one says
 * something of the other as long as they differ in nothing but their sources: hold the two resolved
 * recipes side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "recipe/recipe.h"

static const iw_recipe *load(iw_catalog *catalog, const char *name, const char *version)
{
    iw_error err = IW_ERROR_INIT;
    const iw_recipe *recipe;
    if (iw_catalog_recipe(catalog, name, version, &recipe, &err))
        fail_msg("%s", iw_error_text(&err));
    return recipe;
}

static bool begins(iw_slice text, const char *with)
{
    return text.length >= strlen(with) && memcmp(text.data, with, strlen(with)) == 0;
}

/* The next line of a meaning that is about neither the version nor the sources; false at the end.
 */
static bool next_line(iw_slice *rest, iw_slice *line)
{
    while (iw_slice_next(rest, '\n', line))
        if (!begins(*line, "version ") && !begins(*line, "sources[")) return true;
    return false;
}

static void same_but_sources(const iw_recipe *a, const iw_recipe *b)
{
    iw_slice left = iw_slice_of(a->meaning), right = iw_slice_of(b->meaning), l, r;
    size_t count = 0;
    for (;; count++) {
        bool more = next_line(&left, &l);
        assert_int_equal(more, next_line(&right, &r));
        if (!more) break;
        if (l.length != r.length || memcmp(l.data, r.data, l.length) != 0)
            fail_msg("%s says \"%.*s\",\n%s says \"%.*s\"", a->path, (int)l.length, l.data, b->path,
                     (int)r.length, r.data);
    }
    assert_true(count > 10);
}

static const iw_source *local(const iw_recipe *recipe)
{
    const iw_source *found = NULL;
    for (size_t i = 0; i < recipe->source_count; i++)
        if (recipe->sources[i].kind == IW_SOURCE_LOCAL) {
            assert_null(found);
            found = &recipe->sources[i];
        }
    assert_non_null(found);
    return found;
}

static void test_torch(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    if (iw_catalog_open(".", &catalog, &err)) fail_msg("%s", iw_error_text(&err));
    const iw_recipe *proven = load(catalog, "torch", "2.6.0"),
                    *other = load(catalog, "torch", "2.7.0");
    same_but_sources(proven, other);
    assert_string_equal(local(proven)->sha256, local(other)->sha256);
    assert_int_equal(proven->check_count, other->check_count);
    assert_int_equal(proven->policy, other->policy);
    assert_int_equal(proven->exception_count, other->exception_count);
    same_but_sources(load(catalog, "torchaudio", "2.6.0"), load(catalog, "torchaudio", "2.7.0"));
    iw_catalog_free(catalog);
}

/* oneDNN, MKL, FBGEMM and the like make code at run time or hold it for other CPUs: none of them
 * may come back with an edit. */
static void test_switches(void **state)
{
    (void)state;
    static const char *const off[] = {
        "USE_CUDA",   "USE_MKLDNN",          "USE_FBGEMM", "USE_NNPACK",     "USE_XNNPACK",
        "USE_KINETO", "USE_PYTORCH_QNNPACK", "USE_ROCM",   "USE_NATIVE_ARCH"};
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    if (iw_catalog_open(".", &catalog, &err)) fail_msg("%s", iw_error_text(&err));
    const iw_build *build = &load(catalog, "torch", "2.7.0")->build;
    assert_true(build->deny_flags);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const char *value = NULL;
        for (size_t k = 0; k < build->environment_count; k++)
            if (strcmp(build->environment[k].name, off[i]) == 0)
                value = build->environment[k].value;
        if (!value) fail_msg("%s isn't set", off[i]);
        assert_string_equal(value, "0");
    }
    iw_catalog_free(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_torch),
                                       cmocka_unit_test(test_switches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
