/* Preparing a toolchain's root: what maintainer scripts would have made, and the compilers moved
 * aside. */
#include "golden.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "build/root.h"

typedef struct place {
    char *root;
    iw_error err;
} place;

static int setup(void **state)
{
    place *p = iw_alloc(sizeof *p);
    if (iw_temporary_folder("/tmp", "iw-root-", &p->root, &p->err)) return -1;
    *state = p;
    return iw_root_skeleton(p->root, &p->err);
}

static int teardown(void **state)
{
    place *p = *state;
    iw_remove_tree(p->root, NULL);
    iw_error_clear(&p->err);
    free(p->root);
    free(p);
    return 0;
}

static void put(const place *p, const char *name, const char *text)
{
    iw_cleanup_free char *path = iw_path_join(p->root, name);
    iw_cleanup_free char *parent = iw_path_parent(path);
    assert_int_equal(iw_make_folders(parent, 0755, NULL), 0);
    if (text[0] == '>') assert_int_equal(symlink(text + 1, path), 0);
    else {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
        chmod(path, 0755);
    }
}

/* ">target" of a link, else the content. */
static char *look(const place *p, const char *name)
{
    char target[PATH_MAX];
    iw_cleanup_free char *path = iw_path_join(p->root, name);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length > 0) return iw_format(">%.*s", (int)length, target);
    char *text = NULL;
    size_t size = 0;
    if (iw_read_file(path, 1 << 16, &text, &size, NULL)) return iw_strdup("missing");
    return text;
}

static void expect(const place *p, const char *name, const char *text)
{
    iw_cleanup_free char *seen = look(p, name);
    if (strcmp(seen, text)) fail_msg("%s is \"%s\", not \"%s\"", name, seen, text);
}

static void merges_usr(void **state)
{
    place *p = *state;
    expect(p, "bin", ">usr/bin");
    expect(p, "lib64", ">usr/lib64");
    assert_int_equal(iw_root_skeleton(p->root, &p->err), 0); /* again: nothing changes */
}

static void makes_what_scripts_would(void **state)
{
    place *p = *state;
    iw_strings names = {0};
    put(p, "usr/bin/bash", "bash");
    put(p, "usr/bin/mawk", "mawk");
    put(p, "usr/bin/automake-1.15", "a");
    put(p, "usr/bin/automake-1.16", "a");
    put(p, "usr/bin/which", "own");
    put(p, "usr/bin/which.debianutils", "x");
    put(p, "etc/hosts", ">/etc/elsewhere");
    assert_int_equal(iw_root_prepare(p->root, &names, &p->err), 0);
    expect(p, "usr/bin/sh", ">bash"); /* no dash here */
    expect(p, "usr/bin/awk", ">mawk");
    expect(p, "usr/bin/automake", ">automake-1.16");
    expect(p, "usr/bin/which", "own");
    expect(p, "usr/bin/cc", "missing");
    expect(p, "etc/hosts", "127.0.0.1 localhost ironwheel\n::1 localhost\n");
    expect(p, "usr/libexec/iw-real/names", "");
    iw_cleanup_free char *mount = iw_path_join(p->root, "opt/iw-prefix");
    assert_true(iw_exists(mount));
}

static void moves_compilers_aside(void **state)
{
    place *p = *state;
    iw_strings names = {0}, covered = {0};
    static const char *const wrapped[] = {"gcc", "gcc-12", "cc",  "g++", "ld",
                                          "as",  "clang",  "odd", NULL};
    put(p, "usr/bin/gcc", ">gcc-12");
    put(p, "usr/bin/gcc-12", ">x86_64-linux-gnu-gcc-12"); /* its end isn't covered */
    put(p, "usr/bin/x86_64-linux-gnu-gcc-12", "driver");
    put(p, "usr/bin/g++", ">/etc/alternatives/g++");
    put(p, "usr/bin/ld", "linker");
    put(p, "usr/bin/as", ">../lib/as");
    put(p, "usr/lib/as", "assembler");
    put(p, "usr/bin/odd", ">nowhere");
    iw_strings_add_all(&names, wrapped);
    assert_int_equal(iw_root_prepare(p->root, &names, &p->err), 0);
    expect(p, "usr/bin/gcc", "");
    expect(p, "usr/bin/cc", "");
    expect(p, "usr/bin/ld", "");
    expect(p, "usr/libexec/iw-real/gcc", ">gcc-12");
    expect(p, "usr/libexec/iw-real/cc", ">gcc");
    expect(p, "usr/libexec/iw-real/gcc-12", ">../../bin/x86_64-linux-gnu-gcc-12");
    expect(p, "usr/libexec/iw-real/g++", ">/etc/alternatives/g++");
    expect(p, "usr/libexec/iw-real/ld", "linker");
    expect(p, "usr/libexec/iw-real/as", ">../../bin/../lib/as");
    expect(p, "usr/libexec/iw-real/names", "as\ncc\ng++\ngcc\ngcc-12\nld\nodd\n");
    assert_int_equal(iw_root_covered(p->root, &covered, &p->err), 0);
    assert_int_equal(covered.count, 7);
    iw_cleanup_free char *real = iw_path_join(p->root, "usr/libexec/iw-real/gcc");
    char resolved[PATH_MAX];
    assert_non_null(realpath(real, resolved));
    assert_true(iw_ends_with(resolved, "/usr/bin/x86_64-linux-gnu-gcc-12"));
    iw_strings_free(&names);
    iw_strings_free(&covered);
}

static void refuses_a_bad_list(void **state)
{
    place *p = *state;
    iw_strings covered = {0};
    assert_int_equal(iw_root_covered(p->root, &covered, &p->err), -1);
    iw_error_clear(&p->err);
    put(p, "usr/libexec/iw-real/names", "gcc\n../../etc/passwd\n");
    assert_int_equal(iw_root_covered(p->root, &covered, &p->err), -1);
    assert_int_equal(p->err.kind, IW_E_FORMAT);
    iw_strings_free(&covered);
}

int main(void)
{
#define RUN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {RUN(merges_usr), RUN(makes_what_scripts_would),
                                       RUN(moves_compilers_aside), RUN(refuses_a_bad_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
