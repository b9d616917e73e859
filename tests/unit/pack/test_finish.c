/* Finishing small trees with the host's patchelf, strip and python3 in place of the toolchain's;
 * RECORD files; closure and glibc floor. */
#include "kit.h"

#include <elf.h>
#include <jansson.h>

#include "base/hash.h"
#include "pack/closure.h"
#include "pack/elf.h"
#include "pack/pack.h"
#include "pack/record.h"

#define PREFIX "/opt/iw-prefix"

/* The host's own programs; paths are the same inside and outside here. */
static int host_tool(void *context, const char *const *argv, iw_error *err)
{
    iw_strings *called = context;
    iw_strings_add(called, argv[0]);
    if (!iw_ends_with(argv[0], "/bin/python3.11"))
        return iw_run_capture(argv, NULL, 1 << 20, NULL, NULL, err);
    iw_cleanup_strings iw_strings python = {0};
    iw_strings_add(&python, "python3");
    iw_strings_add_all(&python, argv + 1);
    return iw_run_capture((const char *const *)python.items, NULL, 1 << 20, NULL, NULL, err);
}

static int finish(const char *tree, const iw_recipe *recipe, const char *const *forbidden,
                  json_t **facts, iw_error *err)
{
    iw_cleanup_strings iw_strings called = {0};
    iw_finish options = {.tree = tree,
                         .tree_inside = tree,
                         .prefix = PREFIX,
                         .recipe = recipe,
                         .forbidden = forbidden,
                         .tool = host_tool,
                         .context = &called};
    iw_cleanup_free char *text = NULL;
    int status = iw_finish_tree(&options, &text, err);
    assert_int_equal(status == 0, text != NULL);
    if (facts) *facts = text ? json_loads(text, 0, NULL) : NULL;
    return status;
}

static const iw_recipe plain = {.name = "sample", .version = "1"};

static void put_script(const char *tree, const char *path, const char *text)
{
    kit_write(tree, path, text, strlen(text), 0755);
}

/* --- ELF files ------------------------------------------------------------ */

static void run_path_is(const char *tree, const char *file, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(tree, file);
    iw_elf elf;
    kit_ok(iw_elf_read(path, &elf, &err));
    assert_string_equal(elf.rpath ? elf.rpath : "", wanted);
    assert_null(elf.runpath);
    iw_elf_clear(&elf);
}

static void test_run_paths(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "tree"),
                         *moved = iw_path_join(*state, "else where \xc3\xa9"),
                         *program = iw_path_join(moved, "bin/program");
    kit_compile(tree, "lib/private/libdeep.so.1", "int deep(void) { return 40; }",
                "-shared -fPIC -Wl,-soname,libdeep.so.1");
    iw_cleanup_free char *own =
        iw_format("-g -shared -fPIC -Wl,-soname,libown.so.1 %s/lib/private/libdeep.so.1", tree);
    kit_compile(tree, "lib/libown.so.1", "int deep(void); int own(void) { return deep() + 2; }",
                own);
    iw_cleanup_free char *with =
        iw_format("%s/lib/libown.so.1 -Wl,-rpath," PREFIX "/lib -Wl,-rpath-link,%s/lib/private",
                  tree, tree);
    kit_compile(tree, "bin/program", "int own(void); int main(void) { return own(); }", with);
    kit_compile(tree, "bin/plain", "int main(void) { return 0; }", "-Wl,-rpath," PREFIX "/lib");
    iw_cleanup_free char *shared = iw_format("-shared -fPIC %s", with);
    kit_compile(tree, "lib/python3.11/site-packages/m/ext.so",
                "int own(void); int ext(void) { return own(); }", shared);
    kit_compile(tree, "lib/part.o", "int part;", "-c");
    json_t *facts = NULL;
    kit_ok(finish(tree, &plain, NULL, &facts, &err));
    assert_int_equal(json_integer_value(json_object_get(facts, "elf_files")),
                     5); /* the object file is none of them */
    json_decref(facts);
    run_path_is(tree, "bin/program", "$ORIGIN/../lib");
    run_path_is(tree, "bin/plain", "");
    run_path_is(tree, "lib/libown.so.1", "$ORIGIN/private");
    run_path_is(tree, "lib/private/libdeep.so.1", "");
    run_path_is(tree, "lib/python3.11/site-packages/m/ext.so", "$ORIGIN/../../..");
    kit_ok(iw_check_closure(tree, NULL, &err));
    assert_int_equal(rename(tree, moved), 0);
    iw_error why = IW_ERROR_INIT; /* and it runs from another path */
    assert_int_equal(iw_run_capture(ARGV(program), ARGV("A=b"), 10, NULL, NULL, &why), -1);
    assert_non_null(strstr(iw_error_text(&why), "exit status 42"));
    iw_error_clear(&why);
}

/* The linker makes the build ID of the debug information, too: two builds whose code is the same
 * must give the same bytes without it. */
static void test_build_id(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *one = iw_path_join(*state, "one"), *two = iw_path_join(*state, "two"),
                         *path = iw_path_join(one, "lib/libsame.so");
    static const char *const source = "#define UNUSED 1\nint same(void) { return 40; }";
    kit_compile(one, "lib/libsame.so", source, "-g -shared -fPIC -Wl,--build-id");
    kit_compile(two, "lib/libsame.so", source, "-g3 -shared -fPIC -Wl,--build-id");
    kit_compile(one, "lib/libother.so", "int same(void) { return 41; }",
                "-shared -fPIC -Wl,--build-id");
    kit_compile(one, "lib/libnone.so", source, "-shared -fPIC -Wl,--build-id=none");
    assert_int_equal(chmod(path, 0444), 0);
    kit_ok(finish(one, &plain, NULL, NULL, &err));
    kit_ok(finish(two, &plain, NULL, NULL, &err));
    const char *const files[] = {path, iw_path_join(two, "lib/libsame.so"),
                                 iw_path_join(one, "lib/libother.so"),
                                 iw_path_join(one, "lib/libnone.so")};
    char *ids[4], hex[2][IW_SHA256_HEX];
    for (size_t i = 0; i < 4; i++)
        kit_ok(
            iw_run_capture(ARGV("readelf", "-nW", files[i]), NULL, 1 << 20, &ids[i], NULL, &err));
    for (size_t i = 0; i < 2; i++) kit_ok(iw_hash_file(files[i], hex[i], NULL, &err));
    assert_string_equal(hex[0], hex[1]);
    assert_non_null(strstr(ids[0], "Build ID: "));
    assert_null(strstr(ids[0], "0000000000000000"));
    assert_string_not_equal(strstr(ids[0], "Build ID: "), strstr(ids[2], "Build ID: "));
    assert_null(strstr(ids[3], "Build ID: "));
    for (size_t i = 0; i < 4; i++) {
        free(ids[i]);
        if (i) free((char *)files[i]);
    }
}

static void finish_keeps_id(void *folder, const iw_recipe *recipe, const char *flags)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(folder, "tree"),
                         *path = iw_path_join(tree, "lib/libgiven.so"), *text = NULL;
    iw_cleanup_free char *all =
        iw_format("-g -shared -fPIC -Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567 %s",
                  flags);
    kit_compile(tree, "lib/libgiven.so", "int given;", all);
    kit_ok(finish(tree, recipe, NULL, NULL, &err));
    kit_ok(iw_run_capture(ARGV("readelf", "-nW", path), NULL, 1 << 20, &text, NULL, &err));
    assert_non_null(strstr(text, "Build ID: 0123456789abcdef0123456789abcdef01234567"));
}

/* The maker of what comes stripped, or in a wheel, has the debug information by that ID. */
static void test_build_id_of_others(void **state)
{
    iw_recipe wheel = plain;
    wheel.build.system = IW_SYSTEM_WHEEL;
    finish_keeps_id(*state, &wheel, "");
    finish_keeps_id(*state, &plain, "-s");
}

/* A library that patchelf changed several times has a segment without a section: GNU strip would
 * leave it where no loader takes it. */
static void test_empty_segment(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "tree"),
                         *path = iw_path_join(tree, "lib/libgiven.so.1"),
                         *plainly = iw_path_join(*state, "stripped.so"),
                         *program = iw_path_join(tree, "bin/program"),
                         *with = iw_format("%s -Wl,-rpath,%s/lib", path, tree);
    iw_elf elf;
    kit_compile(tree, "lib/libgiven.so.1", "int given(void) { return 42; }",
                "-g -shared -fPIC -Wl,-soname,libgiven.so.1");
    for (size_t length = 300; length < 20000; length *= 6) {
        iw_cleanup_free char *rpath = iw_format("/%0*d", (int)length, 0);
        kit_ok(iw_run_capture(ARGV("patchelf", "--set-rpath", rpath, path), NULL, 100, NULL, NULL,
                              &err));
    }
    kit_ok(iw_elf_read(path, &elf, &err));
    assert_true(!elf.askew);
    iw_elf_clear(&elf);
    kit_ok(iw_run_capture(ARGV("strip", "--strip-debug", "-o", plainly, path), NULL, 100, NULL,
                          NULL, &err));
    kit_ok(iw_elf_read(plainly, &elf, &err));
    assert_true(elf.askew); /* else this test shows nothing */
    iw_elf_clear(&elf);
    kit_ok(finish(tree, &plain, NULL, NULL, &err));
    kit_ok(iw_elf_read(path, &elf, &err));
    assert_true(!elf.askew && !elf.rpath && !elf.runpath);
    iw_elf_clear(&elf);
    kit_compile(tree, "bin/program", "int given(void); int main(void) { return given(); }", with);
    kit_ok(iw_elf_read(program, &elf, &err)); /* the linker finds a soname by section headers */
    assert_string_equal(elf.needed.items[0], "libgiven.so.1");
    iw_elf_clear(&elf);
    assert_int_equal(iw_run_capture(ARGV(program), NULL, 10, NULL, NULL, &err), -1);
    if (!strstr(iw_error_text(&err), "exit status 42")) fail_msg("%s", iw_error_text(&err));
    iw_error_clear(&err);
}

/* The last LOAD segment of a library, to be changed. */
static Elf64_Phdr *last_load(char *text)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)text;
    Elf64_Phdr *segments = (Elf64_Phdr *)(text + header->e_phoff), *last = NULL;
    for (size_t i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD) last = &segments[i];
    return last;
}

/* What no loader takes as it came is data; an alignment of more than a page is no reason. */
static void test_askew(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "tree"),
                         *data = iw_path_join(tree, "share/broken.so");
    size_t length, now;
    iw_elf elf;
    kit_compile(tree, "lib/libgiven.so", "int given;", "-g -shared -fPIC -Wl,-rpath,/elsewhere");
    iw_cleanup_free char *text = kit_read(tree, "lib/libgiven.so", &length);
    last_load(text)->p_align = 0x200000;
    kit_write(tree, "lib/libwide.so", text, length, 0644);
    last_load(text)->p_vaddr++;
    kit_write(tree, "share/broken.so", text, length, 0644);
    kit_ok(iw_elf_read(data, &elf, &err));
    assert_true(elf.askew);
    iw_elf_clear(&elf);
    kit_fails(iw_elf_drop_empty(data, &err), IW_E_FORMAT, "no loader takes its segment");
    kit_ok(finish(tree, &plain, NULL, NULL, &err));
    run_path_is(tree, "lib/libwide.so", "");
    iw_cleanup_free char *after = kit_read(tree, "share/broken.so", &now);
    assert_int_equal(now, length);
    assert_memory_equal(after, text, length);
}

/* --- texts ---------------------------------------------------------------- */

static void test_scripts(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "a tree \xc3\xa9"), *out = NULL;
    put_script(tree, "bin/hello",
               "#!" PREFIX "/bin/python3.11\nimport sys\nprint('hello', *sys.argv[1:])\n");
    put_script(tree, "bin/options",
               "#! " PREFIX "/bin/python3 -I\nimport sys\nprint(sys.flags.isolated)\n");
    put_script(tree, "libexec/deep/inner", "#!" PREFIX "/bin/python3.11\nprint('inner')\n");
    put_script(tree, "bin/env", "#!/usr/bin/env python3\nprint('untouched')\n");
    kit_ok(finish(tree, &plain, NULL, NULL, &err));
    iw_cleanup_free char *untouched = kit_read(tree, "bin/env", NULL),
                         *python3 = iw_path_join(tree, "bin/python3");
    assert_int_equal(strncmp(untouched, "#!/usr/bin/env python3\n", 23), 0);
    put_script(tree, "bin/python3.11",
               "#!/bin/sh\nexec python3 \"$@\"\n"); /* the bundle's interpreter */
    assert_int_equal(symlink("python3.11", python3), 0);
    iw_cleanup_free char *hello = iw_path_join(tree, "bin/hello"),
                         *options = iw_path_join(tree, "bin/options"),
                         *inner = iw_path_join(tree, "libexec/deep/inner"),
                         *link = iw_path_join(*state, "link");
    struct stat status;
    assert_int_equal(stat(hello, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0755);
    kit_ok(iw_run_capture(ARGV(hello, "a b", "*"), NULL, 100, &out, NULL, &err));
    assert_string_equal(out, "hello a b *\n");
    free(iw_steal(&out));
    kit_ok(iw_run_capture(ARGV(options), NULL, 100, &out, NULL, &err));
    assert_string_equal(out, "1\n");
    free(iw_steal(&out));
    assert_int_equal(symlink(inner, link), 0); /* through a link from elsewhere */
    kit_ok(iw_run_capture(ARGV(link), NULL, 100, &out, NULL, &err));
    assert_string_equal(out, "inner\n");
}

static void test_script_of_other_interpreter(void **state)
{
    iw_error err = IW_ERROR_INIT;
    put_script(*state, "bin/perlish", "#!" PREFIX "/bin/perl\n");
    kit_fails(finish(*state, &plain, NULL, NULL, &err), IW_E_BUILD,
              "bin/perlish starts with #!" PREFIX "/bin/perl");
    put_script(*state, "bin/perlish", "#!" PREFIX "/bin/perl"); /* without an end of line */
    kit_fails(finish(*state, &plain, NULL, NULL, &err), IW_E_BUILD, "finishing sample");
    put_script(*state, "bin/perlish", "#!");
    kit_ok(finish(*state, &plain, NULL, NULL, &err));
}

static void test_pkg_config(void **state)
{
    iw_error err = IW_ERROR_INIT;
    kit_text(*state, "lib/pkgconfig/x.pc",
             "prefix=" PREFIX
             "\nlibdir=${prefix}/lib\nName: x\nDescription: a test\nVersion: 1\nLibs: -L" PREFIX
             "/lib -lx\nCflags: -I${prefix}/include\n");
    kit_ok(finish(*state, &plain, NULL, NULL, &err));
    iw_cleanup_free char *text = kit_read(*state, "lib/pkgconfig/x.pc", NULL), *out = NULL,
                         *file = iw_path_join(*state, "lib/pkgconfig/x.pc");
    assert_non_null(strstr(text, "prefix=${pcfiledir}/../..\n"));
    assert_null(strstr(text, PREFIX));
    kit_ok(iw_run_capture(ARGV("pkg-config", "--libs", "--cflags", file), NULL, 1000, &out, NULL,
                          &err));
    iw_cleanup_free char *include = iw_format("-I%s/lib/pkgconfig/../../include", (char *)*state),
                         *libs = iw_format("-L%s/lib/pkgconfig/../../lib", (char *)*state);
    assert_non_null(strstr(out, include));
    assert_non_null(strstr(out, libs));
}

/* --- what may not stay ---------------------------------------------------- */

static void test_forbidden(void **state)
{
    iw_error err = IW_ERROR_INIT;
    const char *const forbidden[] = {"/build/src", "", NULL};
    iw_cleanup_free char *tree = iw_path_join(*state, "tree"),
                         *link = iw_path_join(tree, "lib/dangling");
    kit_text(tree, "lib/cmake/x/x-config.cmake", "set(X_DIR \"" PREFIX "/lib\")\n");
    kit_write(tree, "share/data", "\0\0/build/src/x.c\0", 17, 0644);
    kit_text(tree, "share/clean", "/opt/iw-pref");
    kit_fails(finish(tree, &plain, forbidden, NULL, &err), IW_E_BUILD,
              "lib/cmake/x/x-config.cmake holds " PREFIX " at byte 11");
    kit_fails(finish(tree, &plain, forbidden, NULL, &err), IW_E_BUILD,
              "share/data holds /build/src at byte 2");
    kit_fails(finish(tree, &plain, forbidden, NULL, &err), IW_E_BUILD, "2 files of sample");
    const iw_reasoned keep[] = {{.file = "lib/cmake", .reason = "only for building"},
                                {.file = "share/*", .reason = "never"}};
    iw_recipe excused = {
        .name = "sample", .version = "1", .keep_prefix = keep, .keep_prefix_count = 2};
    kit_fails(finish(tree, &excused, forbidden, NULL, &err), IW_E_BUILD,
              "share/data holds /build/src"); /* only the prefix can be excused */
    kit_text(tree, "share/data", "");
    json_t *facts = NULL;
    kit_ok(finish(tree, &excused, forbidden, &facts, &err));
    assert_string_equal(json_string_value(json_object_get(json_object_get(facts, "kept_prefix"),
                                                          "lib/cmake/x/x-config.cmake")),
                        "only for building");
    json_decref(facts);
    assert_int_equal(symlink("../build/src/y", link), 0);
    kit_fails(finish(tree, &excused, forbidden, NULL, &err), IW_E_BUILD,
              "lib/dangling holds /build/src");
}

static void test_removed_and_links(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "tree");
    static const char *const gone[] = {
        "lib/libx.la", "lib/python3.11/__pycache__/a.pyc", "lib/a.pyc", "share/info/dir",
        "lib/python3.11/site-packages/x-1.dist-info/direct_url.json"};
    static const char *const kept[] = {"lib/libx.a", "share/dir", "lib/python3.11/b.txt"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) kit_text(tree, gone[i], PREFIX);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) kit_text(tree, kept[i], "x");
    static const struct {
        const char *target, *at, *made;
    } links[] = {{PREFIX "/lib/libx.a", "bin/one", "../lib/libx.a"},
                 {PREFIX "/lib/libx.a", "lib/two", "libx.a"},
                 {PREFIX "/share", "top", "share"},
                 {"../lib", "bin/same", "../lib"}};
    kit_text(tree, "bin/file", "");
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        iw_cleanup_free char *path = iw_path_join(tree, links[i].at);
        assert_int_equal(symlink(links[i].target, path), 0);
    }
    kit_ok(finish(tree, &plain, NULL, NULL, &err));
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        iw_cleanup_free char *path = iw_path_join(tree, gone[i]);
        if (iw_exists(path)) fail_msg("%s is still there", gone[i]);
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) free(kit_read(tree, kept[i], NULL));
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        iw_cleanup_free char *path = iw_path_join(tree, links[i].at);
        char target[200] = "";
        assert_true(readlink(path, target, sizeof target - 1) > 0);
        assert_string_equal(target, links[i].made);
    }
    iw_cleanup_free char *out = iw_path_join(tree, "bin/out"), *fifo = iw_path_join(tree, "fifo");
    assert_int_equal(symlink("/etc/passwd", out), 0);
    kit_fails(finish(tree, &plain, NULL, NULL, &err), IW_E_BUILD,
              "the link bin/out leads to /etc/passwd");
    assert_int_equal(unlink(out), 0);
    assert_int_equal(mkfifo(fifo, 0644), 0);
    kit_fails(finish(tree, &plain, NULL, NULL, &err), IW_E_BUILD, "installed fifo");
}

/* --- RECORD --------------------------------------------------------------- */

static void test_record(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static const char site[] = "lib/python3.11/site-packages";
    iw_cleanup_free char *info = iw_format("%s/m-1.dist-info/RECORD", site),
                         *module = iw_format("%s/m/a.py", site),
                         *comma = iw_format("%s/m/a,\"b.txt", site);
    kit_text(*state, module, "abc");
    kit_text(*state, comma, "");
    kit_text(*state, "bin/m", "x");
    kit_text(*state, info,
             "m/a.py,sha256=old,99\n\"m/a,\"\"b.txt\",,\n../../../bin/m,,\r\nm/"
             "gone.py,sha256=x,1\nm/__pycache__/a.cpython-311.pyc,,\n"
             "../../../../../../etc/passwd,,\n/etc/passwd,,\n\nm-1.dist-info/RECORD,,");
    kit_ok(iw_record_fix(*state, info, &err));
    iw_cleanup_free char *text = kit_read(*state, info, NULL), *again = NULL;
    assert_string_equal(
        text, "m/a.py,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3\n"
              "\"m/a,\"\"b.txt\",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
              "../../../bin/m,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1\nm-1.dist-info/"
              "RECORD,,\n");
    kit_ok(iw_record_fix(*state, info, &err)); /* what is true stays */
    again = kit_read(*state, info, NULL);
    assert_string_equal(again, text);
    kit_fails(iw_record_fix(*state, "no/RECORD", &err), IW_E_NOT_FOUND, "no/RECORD");
}

/* --- closure and floor ---------------------------------------------------- */

static void test_closure(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "tree"),
                         *library = iw_path_join(tree, "lib/libown.so.1"),
                         *version = iw_path_join(tree, "lib/libown.so.1.2"),
                         *away = iw_path_join(*state, "libown.so.1");
    kit_compile(tree, "lib/libown.so.1", "int own(void) { return 1; }",
                "-shared -fPIC -Wl,-soname,libown.so.1");
    iw_cleanup_free char *with = iw_format("%s -Wl,-rpath,$ORIGIN/../lib -Wl,--disable-new-dtags",
                                           library),
                         *bad = iw_format("%s -Wl,-rpath,%s/lib -Wl,--disable-new-dtags", library,
                                          tree);
    kit_compile(tree, "bin/program", "int own(void); int main(void) { return own(); }", with);
    kit_ok(iw_check_closure(tree, NULL, &err));
    assert_int_equal(rename(library, version), 0);
    kit_fails(iw_check_closure(tree, NULL, &err), IW_E_BUILD, "bin/program needs libown.so.1");
    assert_int_equal(symlink("libown.so.1.2", library), 0);
    kit_ok(iw_check_closure(tree, NULL, &err));
    assert_int_equal(rename(version, away), 0); /* a link to nothing */
    kit_fails(iw_check_closure(tree, NULL, &err), IW_E_BUILD, "bin/program needs libown.so.1");
    assert_int_equal(unlink(library), 0);
    assert_int_equal(symlink(away, library), 0); /* a link to outside */
    kit_fails(iw_check_closure(tree, NULL, &err), IW_E_BUILD, "needs: run");
    assert_int_equal(unlink(library), 0);
    assert_int_equal(rename(away, library), 0);
    kit_compile(tree, "bin/absolute", "int own(void); int main(void) { return own(); }",
                bad); /* finds it only here */
    kit_fails(iw_check_closure(tree, NULL, &err), IW_E_BUILD, "bin/absolute needs libown.so.1");
    assert_null(strstr(iw_error_text(&err), "bin/program"));
}

/* Only the file and the library that a recipe of the bundle names are excused. */
static void test_host_libraries(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = iw_path_join(*state, "tree"),
                         *library = iw_path_join(tree, "libdriver.so.1"),
                         *with = iw_format("-shared -fPIC %s", library);
    kit_compile(tree, "libdriver.so.1", "int drive(void) { return 1; }",
                "-shared -fPIC -Wl,-soname,libdriver.so.1");
    kit_compile(tree, "lib/libgpu.so", "int drive(void); int gpu(void) { return drive(); }", with);
    assert_int_equal(unlink(library), 0);
    kit_fails(iw_check_closure(tree, NULL, &err), IW_E_BUILD, "relocation: host-libraries");
    iw_host_library excuse = {.name = "libdriver.so.1", .file = "lib/*.so", .reason = "the driver"};
    iw_recipe recipe = {
        .name = "gpu", .version = "1", .host_libraries = &excuse, .host_library_count = 1};
    iw_node node = {.recipe = &recipe, .in_bundle = true};
    iw_plan plan = {.nodes = &node, .node_count = 1};
    kit_ok(iw_check_closure(tree, &plan, &err));
    node.in_bundle = false;
    kit_fails(iw_check_closure(tree, &plan, &err), IW_E_BUILD,
              "lib/libgpu.so needs libdriver.so.1");
    node.in_bundle = true;
    excuse.file = "bin/*";
    kit_fails(iw_check_closure(tree, &plan, &err), IW_E_BUILD,
              "lib/libgpu.so needs libdriver.so.1");
    excuse.file = "lib/*.so", excuse.name = "libdriver.so.2";
    kit_fails(iw_check_closure(tree, &plan, &err), IW_E_BUILD,
              "lib/libgpu.so needs libdriver.so.1");
}

static void test_floor(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_floor floor;
    kit_ok(iw_glibc_floor(*state, &floor, &err));
    assert_string_equal(floor.version, "0.0");
    free(floor.symbols);
    /* gettid came with 2.30, rand with the first for x86-64 */
    kit_compile(*state, "lib/old.so", "#include <stdlib.h>\nint f(void) { return abs(rand()); }",
                "-shared -fPIC");
    kit_compile(*state, "lib/a new.so",
                "#define _GNU_SOURCE\n#include <unistd.h>\n#include <stdlib.h>\nint g(void) { "
                "return gettid() + rand(); }",
                "-shared -fPIC");
    kit_ok(iw_glibc_floor(*state, &floor, &err));
    assert_string_equal(floor.version, "2.30");
    assert_string_equal(floor.symbols, "gettid in lib/a new.so\n");
    free(floor.symbols);
    kit_compile(*state, "lib/packed.so",
                "#include <stdlib.h>\nstatic int x; int *p[100] = {&x, &x, &x}; int f(void) { "
                "return rand() + x++; }",
                "-shared -fPIC -Wl,-z,pack-relative-relocs");
    kit_ok(iw_glibc_floor(*state, &floor, &err));
    assert_string_equal(floor.version, "2.36");
    assert_string_equal(floor.symbols, "GLIBC_ABI_DT_RELR in lib/packed.so\n");
    free(floor.symbols);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {with_folder(test_run_paths),
                                       with_folder(test_build_id),
                                       with_folder(test_build_id_of_others),
                                       with_folder(test_empty_segment),
                                       with_folder(test_askew),
                                       with_folder(test_scripts),
                                       with_folder(test_script_of_other_interpreter),
                                       with_folder(test_pkg_config),
                                       with_folder(test_forbidden),
                                       with_folder(test_removed_and_links),
                                       with_folder(test_record),
                                       with_folder(test_closure),
                                       with_folder(test_host_libraries),
                                       with_folder(test_floor)};
    return cmocka_run_group_tests_name("pack finish", tests, NULL, NULL);
}
