/* Where the change starts in a patch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "recipe/recipe.h"

/* "~" stands where the change starts; without one there is none. */
static const char *const cases[] = {
    "",
    "Description: nothing\n---\n",
    "~--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
    "Description: d\n---\n~--- a/x\n+++ b/x\n",
    "Description: d\n--- \n~--- a/x\n+++ b/x\n",
    "Description: d\n\n~--- a/x\n+++ b/x\n--- a/y\n+++ b/y\n",
    "Description: d\r\n~--- a/x\r\n+++ b/x\r\n",
    /* git */
    "Subject: s\n---\n x | 2 +-\n\n~diff --git a/x b/x\nindex 12..34 100644\n--- a/x\n+++ b/x\n",
    "s\n~diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
    "s\n~diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
    "s\n~diff --git a/x b/x\nindex 12..34 100644\nGIT binary patch\n",
    "s\n~diff --git a/x b/x\nnew file mode 100644\nindex 0..34\n--- /dev/null\n+++ b/x\n",
    /* others */
    "s\n~diff -ru a/x b/x\n--- a/x\n+++ b/x\n",
    "s\n~Index: x\n===================\n--- x\t2000-01-01\n+++ x\n",
    "s\n~Index: x\n=====\nRCS file: /x,v\nretrieving revision 1\ndiff -u -r1 x\n--- x\n+++ x\n",
    "s\n~*** a/x\n--- b/x\n***************\n",
    /* words of prose */
    "The\ndiff between both is small\nIndex: see below\n--- so it is\n~--- a/x\n+++ b/x\n",
    "s\ndiff --git is what git calls it\n\n~--- a/x\n+++ b/x\n",
    "s\nIndex: x\n\n~--- a/x\n+++ b/x\n",
    "s\nold mode of life\nindex finger\n+++ more\n~--- a/x\n+++ b/x\n",
    "d\n  --- a/example\n  +++ b/example\n~--- a/x\n+++ b/x\n",
    "s\ndiff -u a b\n--- a/x\n",
};

static void test_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        size_t length = strlen(cases[i]), start = strcspn(cases[i], "~");
        assert_true(length < sizeof text);
        memcpy(text, cases[i], start);
        if (start < length) memcpy(text + start, cases[i] + start + 1, length-- - start);
        size_t found = iw_patch_change(text, length);
        if (found != start)
            fail_msg("case %zu starts at %zu, not at %zu:\n%s", i, found, start, cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_start)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
