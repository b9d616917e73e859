/* The ELF reader: on files of the host's gcc, on each of them cut and bent at every byte, and on
 * files that were made to hurt. */
#include "kit.h"

#include <dirent.h>
#include <elf.h>

#include "../../fuzz/fuzz_elf.c"

#define CORPUS "tests/fuzz/corpus/elf"

static void make_library(const char *folder)
{
    kit_compile(folder, "libown.so", "int own(void) { return 1; }",
                "-shared -fPIC -nostdlib -Wl,-soname,libown.so.1");
    iw_cleanup_free char *arguments =
        iw_format("-shared -fPIC -Wl,-soname,libx.so.2 %s/libown.so -Wl,-rpath,/opt/iw-prefix/lib "
                  "-Wl,--disable-new-dtags",
                  folder);
    kit_compile(folder, "libx.so",
                "#include <stdio.h>\n#include <math.h>\nint own(void);\nint f(double x) { return "
                "printf(\"%d\", own()) + (int)x; }",
                arguments);
}

static void test_read(void **state)
{
    iw_error err = IW_ERROR_INIT;
    make_library(*state);
    kit_compile(*state, "x.o", "int f;", "-c");
    kit_compile(*state, "static", "void _start(void) { for (;;) continue; }",
                "-static -nostdlib -ffreestanding");
    kit_text(*state, "text", "#!/bin/sh\n");
    kit_text(*state, "empty", "");
    iw_cleanup_free char *x = iw_path_join(*state, "libx.so"),
                         *object = iw_path_join(*state, "x.o"),
                         *text = iw_path_join(*state, "text"),
                         *fixed = iw_path_join(*state, "static");
    iw_cleanup_free char *empty = iw_path_join(*state, "empty"),
                         *link = iw_path_join(*state, "link");
    iw_elf elf;
    kit_ok(iw_elf_read(x, &elf, &err));
    assert_true(elf.is_elf && elf.dynamic && !elf.object);
    assert_string_equal(elf.soname, "libx.so.2");
    assert_string_equal(elf.rpath, "/opt/iw-prefix/lib");
    assert_null(elf.runpath);
    assert_int_equal(elf.needed.count, 2);
    assert_string_equal(elf.needed.items[0], "libown.so.1");
    assert_string_equal(elf.needed.items[1], "libc.so.6");
    assert_true(iw_strings_has(&elf.versions, "libc.so.6 GLIBC_2.2.5"));
    iw_elf_clear(&elf);
    iw_strings symbols = {0};
    kit_ok(iw_elf_symbols_of_version(x, "GLIBC_2.2.5", &symbols, &err));
    assert_true(iw_strings_has(&symbols, "printf"));
    iw_strings_free(&symbols);
    kit_ok(iw_elf_symbols_of_version(x, "GLIBC_2.99", &symbols, &err));
    assert_int_equal(symbols.count, 0);
    kit_ok(iw_elf_read(object, &elf, &err));
    assert_true(elf.is_elf && elf.object && !elf.dynamic);
    iw_elf_clear(&elf);
    kit_ok(iw_elf_read(fixed, &elf, &err));
    assert_true(elf.is_elf && !elf.object && !elf.dynamic);
    iw_elf_clear(&elf);
    kit_ok(iw_elf_read(text, &elf, &err));
    assert_false(elf.is_elf);
    kit_ok(iw_elf_read(empty, &elf, &err));
    assert_false(elf.is_elf);
    assert_int_equal(symlink("libx.so", link), 0);
    kit_fails(iw_elf_read(link, &elf, &err), IW_E_IO, link);
    assert_true(iw_is_glibc("libm.so.6") && iw_is_glibc("ld-linux-x86-64.so.2") &&
                !iw_is_glibc("libstdc++.so.6") && !iw_is_glibc("libm.so.6/x"));
}

/* Cut at every length, each byte bent in three ways: an answer or an error with the file's name,
 * never a crash (the fuzz target checks). */
static void test_hostile(void **state)
{
    iw_error err = IW_ERROR_INIT;
    char *data;
    size_t length;
    make_library(*state);
    iw_cleanup_free char *path = iw_path_join(*state, "libx.so");
    const char *strip[] = {"strip", path, NULL};
    kit_ok(iw_run_capture(strip, NULL, 1000, NULL, NULL, &err));
    kit_ok(iw_read_file(path, 1 << 20, &data, &length, &err));
    for (size_t cut = 0; cut < length; cut++) {
        char *exact = malloc(cut ? cut : 1); /* so that ASan sees its end */
        memcpy(exact, data, cut);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)exact, cut), 0);
        free(exact);
    }
    static const unsigned char bends[] = {0xff, 0x80, 0x01};
    for (size_t at = 0; at < length; at++)
        for (size_t k = 0; k < sizeof bends; k++) {
            if (data[at] == 0 && at > 64 && k == 2 && at % 4) continue;
            data[at] ^= (char)bends[k];
            assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data, length), 0);
            data[at] ^= (char)bends[k];
        }
    free(data);
}

/* --- files made to hurt --------------------------------------------------- */

/* A library of one section of `type` (number 1) and its strings (number 2). */
static void put_sections(const char *path, Elf64_Word type, Elf64_Word info, size_t entry,
                         const void *body, size_t size, const char *strings, size_t strings_size)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_buffer iw_buffer out = {0};
    Elf64_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_DYN,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_ehsize = sizeof head,
                       .e_shentsize = sizeof(Elf64_Shdr),
                       .e_shnum = 3,
                       .e_shoff = sizeof head};
    size_t start = sizeof head + 3 * sizeof(Elf64_Shdr);
    Elf64_Shdr sections[3] = {{0},
                              {.sh_type = type,
                               .sh_offset = start,
                               .sh_size = size,
                               .sh_entsize = entry,
                               .sh_link = 2,
                               .sh_info = info,
                               .sh_addralign = 8},
                              {.sh_type = SHT_STRTAB,
                               .sh_offset = start + size,
                               .sh_size = strings_size,
                               .sh_addralign = 1}};
    iw_buffer_add(&out, &head, sizeof head);
    iw_buffer_add(&out, sections, sizeof sections);
    iw_buffer_add(&out, body, size);
    iw_buffer_add(&out, strings, strings_size);
    kit_ok(iw_write_file(path, out.data, out.length, 0644, &err));
}

/* 4,000 entries that need one name of 100 kB: 400 MB, if each were copied. */
static void test_many_names(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(*state, "names.so"), *strings = iw_alloc(100002);
    Elf64_Dyn *entries = iw_alloc(4000 * sizeof *entries);
    memset(strings + 1, 'n', 100000);
    for (size_t i = 0; i < 4000; i++) entries[i] = (Elf64_Dyn){.d_tag = DT_NEEDED, .d_un.d_val = 1};
    put_sections(path, SHT_DYNAMIC, 0, sizeof *entries, entries, 4000 * sizeof *entries, strings,
                 100002);
    iw_elf elf;
    kit_fails(iw_elf_read(path, &elf, &err), IW_E_FORMAT, "names more than");
    for (size_t i = 0; i < 4000; i++) entries[i].d_un.d_val = 100001 + i; /* outside */
    put_sections(path, SHT_DYNAMIC, 0, sizeof *entries, entries, 4000 * sizeof *entries, strings,
                 100001);
    kit_fails(iw_elf_read(path, &elf, &err), IW_E_FORMAT, "outside its strings");
    free(entries);
}

struct need {
    Elf64_Verneed need;
    Elf64_Vernaux aux;
};

static void test_version_chains(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_path_join(*state, "versions.so");
    static const char strings[] = "\0libc.so.6\0GLIBC_2.9";
    iw_elf elf;
    struct need one[2] = {
        {{.vn_version = 1, .vn_cnt = 1, .vn_file = 1, .vn_aux = sizeof(Elf64_Verneed)},
         {.vna_name = 11}},
        {{0}, {0}}};
    put_sections(path, SHT_GNU_verneed, 1, 0, one, sizeof one, strings, sizeof strings);
    kit_ok(iw_elf_read(path, &elf, &err));
    assert_string_equal(elf.versions.items[0], "libc.so.6 GLIBC_2.9");
    iw_elf_clear(&elf);
    /* steps that lead out, also over the top of an int, or back */
    static const uint32_t steps[] = {0x7fffffff, 0x80000000, 0xffffffff, 0xffffffe0, 1000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (int which = 0; which < 3; which++) {
            struct need bent[2] = {one[0], one[0]};
            bent[0].need.vn_next = sizeof *bent;
            if (which == 0) bent[1].need.vn_next = steps[i];
            if (which == 1) bent[1].need.vn_aux = steps[i];
            if (which == 2) bent[1].aux.vna_next = steps[i], bent[1].need.vn_cnt = 2;
            put_sections(path, SHT_GNU_verneed, 3, 0, bent, sizeof bent, strings, sizeof strings);
            kit_fails(iw_elf_read(path, &elf, &err), IW_E_FORMAT, "broken version needs");
        }
    }
    /* 2,000 needs that share the same 2,000 versions */
    size_t count = 2000, size = count * sizeof(Elf64_Verneed) + count * sizeof(Elf64_Vernaux);
    char *body = iw_alloc(size);
    for (size_t i = 0; i < count; i++) {
        Elf64_Verneed need = {.vn_version = 1,
                              .vn_cnt = (uint16_t)count,
                              .vn_file = 1,
                              .vn_aux = (uint32_t)((count - i) * sizeof need),
                              .vn_next = sizeof need};
        Elf64_Vernaux aux = {.vna_name = 11, .vna_next = sizeof aux};
        memcpy(body + i * sizeof need, &need, sizeof need);
        memcpy(body + count * sizeof need + i * sizeof aux, &aux, sizeof aux);
    }
    put_sections(path, SHT_GNU_verneed, (uint32_t)count, 0, body, size, strings, sizeof strings);
    assert_int_equal(iw_elf_read(path, &elf, &err), -1);
    assert_int_equal(err.kind, IW_E_FORMAT);
    iw_error_clear(&err);
    free(body);
}

static void test_corpus(void **state)
{
    (void)state;
    size_t count = 0;
    DIR *folder = opendir(CORPUS);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        iw_cleanup_free char *path = iw_path_join(CORPUS, entry->d_name), *data = NULL;
        size_t length;
        assert_int_equal(iw_read_file(path, 4 << 20, &data, &length, NULL), 0);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data, length), 0);
        count++;
    }
    closedir(folder);
    assert_true(count >= 5);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {with_folder(test_read), with_folder(test_hostile),
                                       with_folder(test_many_names),
                                       with_folder(test_version_chains), with_folder(test_corpus)};
    return cmocka_run_group_tests_name("pack elf", tests, NULL, NULL);
}
