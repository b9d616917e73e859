/* Archives: what is admitted and what is refused, by name; and packing, whose bytes depend on the
 * tree alone. */
#include "kit.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <sched.h>
#include <time.h>

#include "base/process.h"
#include "store/archive_in.h"
#include "store/archive_name.h"

/* --- making archives ------------------------------------------------------ */

/* One tar entry, byte by byte, so that it may be as wrong as a test wants. */
static void add(iw_buffer *tar, const char *name, char type, const char *link, unsigned mode,
                const char *data, size_t length)
{
    unsigned char header[512] = {0};
    memcpy(header, name, strlen(name) < 100 ? strlen(name) : 100);
    snprintf((char *)header + 100, 8, "%07o", mode);
    snprintf((char *)header + 108, 8, "%07o", 1000u);
    snprintf((char *)header + 116, 8, "%07o", 1000u);
    snprintf((char *)header + 124, 12, "%011o", (unsigned)length & 07777777777u);
    snprintf((char *)header + 136, 12, "%011o", 1700000000u);
    header[156] = (unsigned char)type;
    if (link) memcpy(header + 157, link, strlen(link) < 100 ? strlen(link) : 100);
    memcpy(header + 257, "ustar\00000", 8);
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++) sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
    iw_buffer_add(tar, header, 512);
    if (!data) return;
    iw_buffer_add(tar, data, length);
    while (tar->length % 512) iw_buffer_add_char(tar, 0);
}

static void add_file(iw_buffer *tar, const char *name, const char *text)
{
    add(tar, name, '0', NULL, 0644, text, strlen(text));
}

static void add_link(iw_buffer *tar, const char *name, const char *target)
{
    add(tar, name, '2', target, 0777, NULL, 0);
}

static void end(iw_buffer *tar)
{
    static const char zeros[1024];
    iw_buffer_add(tar, zeros, sizeof zeros);
}

typedef struct bench {
    char *archive, *folder;
    iw_admission admission;
    bool deb;
} bench;

static bench make_bench(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = {.archive = iw_path_join(*state, "archive"),
               .folder = iw_path_join(*state, "folder"),
               .admission = {.set_times = true}};
    kit_ok(iw_remove_tree(b.folder, &err));
    kit_ok(iw_make_folders(b.folder, 0755, &err));
    return b;
}

static void free_bench(bench *b)
{
    free(b->archive);
    free(b->folder);
}

/* Unpacks what `bytes` hold; they are freed. */
static int unpack(bench *b, iw_buffer *bytes, iw_error *err)
{
    assert_int_equal(iw_write_file(b->archive, bytes->data ? bytes->data : "", bytes->length, 0644,
                                   err),
                     0);
    iw_buffer_free(bytes);
    iw_cleanup_fd int fd = open(b->archive, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return (b->deb ? iw_archive_unpack_deb : iw_archive_unpack)(fd, "test.tar", b->folder,
                                                                &b->admission, err);
}

#define refused(part) kit_fails(unpack(&b, &tar, &err), IW_E_FORMAT, part)

/* Through libarchive, for other formats and compressions. */
static void write_with(const char *path, int (*format)(struct archive *), int filter,
                       const char *name, const char *data, size_t length)
{
    struct archive *a = archive_write_new();
    assert_int_equal(format(a), ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter(a, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)length);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, data, length), (la_ssize_t)length);
    archive_entry_free(entry);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static iw_buffer slurp(const char *path)
{
    iw_error err = IW_ERROR_INIT;
    iw_buffer out = {0};
    kit_ok(iw_read_file(path, 1 << 28, &out.data, &out.length, &err));
    out.capacity = out.length + 1;
    return out;
}

static bool exists(const bench *b, const char *path)
{
    iw_cleanup_free char *full = iw_path_join(b->folder, path);
    return iw_exists(full);
}

static struct stat look(const bench *b, const char *path)
{
    struct stat status;
    iw_cleanup_free char *full = iw_path_join(b->folder, path);
    if (lstat(full, &status) != 0) fail_msg("%s isn't there", path);
    return status;
}

/* --- names ---------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned strip;
        const char *out, *why;
    } cases[] = {
        {"a/b", 0, "a/b", NULL},
        {"./a//b/.", 0, "a/b", NULL},
        {"a/b/", 0, "a/b", NULL},
        {"top/a/b", 1, "a/b", NULL},
        {"top", 1, NULL, NULL},
        {"./", 0, NULL, NULL},
        {"./top/a", 1, "a", NULL},
        {"..a/b..", 0, "..a/b..", NULL},
        {"...", 0, "...", NULL},
        {"-rf", 0, "-rf", NULL},
        {"caf\xc3\xa9", 0, "caf\xc3\xa9", NULL},
        {"caf\xe9", 0, "caf\xe9", NULL},
        {"a\\b", 0, "a\\b", NULL},
        {"", 0, NULL, "empty"},
        {"/etc/passwd", 0, NULL, "absolute"},
        {"//a", 0, NULL, "absolute"},
        {"../a", 0, NULL, "`..`"},
        {"a/../b", 0, NULL, "`..`"},
        {"a/..", 0, NULL, "`..`"},
        {"..", 0, NULL, "`..`"},
        {"../a", 1, NULL, "`..`"},
        {"a\nb", 0, NULL, "control"},
        {"a\033[31m", 0, NULL, "control"},
        {"a\x7f", 0, NULL, "control"},
        {"a\xc2\x9b"
         "31m",
         0, NULL, "control"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out;
        const char *why = iw_name_admit(cases[i].name, cases[i].strip, &out);
        if (!why != !cases[i].why || (why && !strstr(why, cases[i].why)))
            fail_msg("%s: %s", cases[i].name, why ? why : "admitted");
        if (!out != !cases[i].out || (out && strcmp(out, cases[i].out) != 0))
            fail_msg("%s: %s", cases[i].name, out ? out : "nothing");
        free(out);
    }
    char *long_name = iw_alloc(5000), *out;
    memset(long_name, 'a', 256);
    assert_non_null(iw_name_admit(long_name, 0, &out));
    memset(long_name, 'a', 4999);
    for (int i = 100; i < 4999; i += 100) long_name[i] = '/';
    assert_non_null(iw_name_admit(long_name, 0, &out));
    memset(long_name, 0, 5000);
    for (int i = 0; i < 600; i += 2) memcpy(long_name + i, "a/", 2);
    assert_string_equal(iw_name_admit(long_name, 0, &out), "is nested too deeply");
    free(long_name);
    char *quoted = iw_name_quote("a\033[1m\xe9\xc3\xa9");
    assert_string_equal(quoted, "\"a\\x1b[1m\\xe9\xc3\xa9\"");
    free(quoted);
}

static void test_links_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *path, *target;
        bool refused, look;
    } cases[] = {
        {"a", "b", false, false},        {"d/a", "../b", false, false},
        {"d/a", "..", false, false},     {"a", ".", false, false},
        {"a", "..", true, false},        {"d/a", "../..", true, false},
        {"d/a", "../../x", true, false}, {"a", "/etc/passwd", true, false},
        {"a", "", true, false},          {"d/e/f", "x/../../y", false, true},
        {"a", "x/../..", true, false},   {"a", "b\nc", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_looked_at;
        const char *why = iw_name_admit_link(cases[i].path, cases[i].target, false, &is_looked_at);
        if ((why != NULL) != cases[i].refused || (!why && is_looked_at != cases[i].look))
            fail_msg("%s -> %s: %s", cases[i].path, cases[i].target, why ? why : "admitted");
    }
}

/* --- what is admitted ----------------------------------------------------- */

static void test_plain(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    add(&tar, "top/", '5', NULL, 02775, NULL, 0); /* a folder's setgid bit is only dropped */
    add_file(&tar, "top/read me.txt", "hello");
    add(&tar, "top/bin/run", '0', NULL, 0711, "#!/bin/sh\n", 10);
    add_link(&tar, "top/bin/link", "run");
    add(&tar, "top/bin/hard", '1', "top/bin/run", 0711, NULL, 0);
    add_file(&tar, "top/bin/caf\xc3\xa9", "utf-8");
    add_file(&tar, "top/bin/caf\xe9", "latin-1");
    add_file(&tar, "top/empty", "");
    end(&tar);
    b.admission.strip = 1;
    kit_ok(unpack(&b, &tar, &err));
    kit_expect(b.folder, "read me.txt", "hello");
    kit_expect(b.folder, "bin/hard", "#!/bin/sh\n");
    kit_expect(b.folder, "bin/caf\xc3\xa9", "utf-8");
    kit_expect(b.folder, "bin/caf\xe9", "latin-1");
    assert_int_equal(look(&b, "bin/run").st_mode, S_IFREG | 0755);
    assert_int_equal(look(&b, "read me.txt").st_mode, S_IFREG | 0644);
    assert_int_equal(look(&b, "bin").st_mode, S_IFDIR | 0755);
    assert_int_equal(look(&b, "empty").st_size, 0);
    static const char *const all[] = {"",         "bin",   "bin/run",    "bin/link",
                                      "bin/hard", "empty", "read me.txt"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(look(&b, all[i]).st_mtime, IW_ARCHIVE_TIME);
    free_bench(&b);
}

static void test_skip_and_umask(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    iw_strings skip = {0};
    mode_t old = umask(077);
    add_file(&tar, "doc/a", "1");
    add_file(&tar, "src/a.c", "1");
    add_file(&tar, "src/sub/b.c", "1");
    end(&tar);
    iw_strings_add(&skip, "doc");
    iw_strings_add(&skip, "**/b.c");
    b.admission.skip = &skip;
    kit_ok(unpack(&b, &tar, &err));
    umask(old);
    assert_true(exists(&b, "src/a.c") && !exists(&b, "doc") && !exists(&b, "src/sub/b.c"));
    assert_int_equal(look(&b, "src").st_mode & 0777, 0755);
    assert_int_equal(look(&b, "src/a.c").st_mode & 0777, 0644);
    iw_strings_free(&skip);
    free_bench(&b);
}

/* Zip, cpio and every compression; pax and GNU long names; zip's and pax's é whatever the locale.
 */
static void test_formats(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static int (*const formats[])(
        struct archive *) = {archive_write_set_format_ustar, archive_write_set_format_pax,
                             archive_write_set_format_gnutar, archive_write_set_format_zip,
                             archive_write_set_format_cpio_newc};
    static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2,
                                  ARCHIVE_FILTER_XZ,   ARCHIVE_FILTER_LZIP, ARCHIVE_FILTER_ZSTD};
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 6; j++) {
            bench b = make_bench(state);
            write_with(b.archive, formats[i], filters[j], "d/file", "content", 7);
            iw_buffer bytes = slurp(b.archive);
            kit_ok(unpack(&b, &bytes, &err));
            kit_expect(b.folder, "d/file", "content");
            free_bench(&b);
        }
    }
    char name[300];
    memset(name, 'x', 299);
    name[299] = 0;
    for (int i = 60; i < 299; i += 60) name[i] = '/';
    for (size_t i = 1; i < 5; i++) {
        bench b = make_bench(state);
        write_with(b.archive, formats[i], ARCHIVE_FILTER_NONE, name, "content", 7);
        iw_buffer bytes = slurp(b.archive);
        kit_ok(unpack(&b, &bytes, &err));
        kit_expect(b.folder, name, "content");
        free_bench(&b);
    }
}

static void test_pax_names(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    add(&tar, "PaxHeader", 'x', NULL, 0644, "20 path=d/caf\xc3\xa9.txt\n", 20);
    add_file(&tar, "short", "utf-8");
    add(&tar, "PaxHeader", 'x', NULL, 0644, "21 hdrcharset=BINARY\n19 path=d/caf\xe9.txt\n", 40);
    add_file(&tar, "short", "latin-1");
    end(&tar);
    kit_ok(unpack(&b, &tar, &err));
    kit_expect(b.folder, "d/caf\xc3\xa9.txt", "utf-8");
    kit_expect(b.folder, "d/caf\xe9.txt", "latin-1");
    free_bench(&b);
}

static void test_sparse(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_cleanup_free char *source = iw_path_join(*state, "sparse"),
                         *file = iw_path_join(source, "holes");
    kit_ok(iw_make_folders(source, 0755, &err));
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(pwrite(fd, "in the middle", 13, 5 << 20), 13);
    assert_int_equal(ftruncate(fd, 9 << 20), 0);
    close(fd);
    const char *const argv[] = {"tar", "-C", source, "--sparse", "-cf", b.archive, "holes", NULL};
    kit_ok(iw_run_capture(argv, NULL, 100, NULL, NULL, &err));
    iw_buffer bytes = slurp(b.archive);
    assert_true(bytes.length < 1 << 20);
    kit_ok(unpack(&b, &bytes, &err));
    iw_cleanup_free char *out = iw_path_join(b.folder, "holes");
    char before[IW_SHA256_HEX], after[IW_SHA256_HEX];
    kit_ok(iw_hash_file(file, before, NULL, &err));
    kit_ok(iw_hash_file(out, after, NULL, &err));
    assert_string_equal(before, after);
    free_bench(&b);
}

/* The later of two entries of one name counts; a file may take a link's place, without being
 * written through it. */
static void test_replacing(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    add_file(&tar, "a", "first");
    add_file(&tar, "a", "second");
    add_file(&tar, "target", "keep");
    add_link(&tar, "l", "target");
    add_file(&tar, "l", "a file now");
    add_link(&tar, "m", "target");
    add_link(&tar, "m", "a");
    end(&tar);
    kit_ok(unpack(&b, &tar, &err));
    kit_expect(b.folder, "a", "second");
    kit_expect(b.folder, "target", "keep");
    kit_expect(b.folder, "l", "a file now");
    kit_expect(b.folder, "m", "second");
    free_bench(&b);
}

/* --- what is refused ------------------------------------------------------ */

static void test_hostile_names(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static const struct {
        const char *name, *why;
    } cases[] = {{"/etc/passwd", "\"/etc/passwd\" is absolute"},
                 {"../x", "\"../x\" leads out"},
                 {"a/../../x", "leads out"},
                 {"a\nb", "\"a\\x0ab\" holds a control"},
                 {"a/..", "leads out"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench b = make_bench(state);
        iw_buffer tar = {0};
        add_file(&tar, cases[i].name, "x");
        end(&tar);
        refused(cases[i].why);
        free_bench(&b);
    }
}

static void test_hostile_kinds(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static const struct {
        char type;
        unsigned mode;
        const char *link, *why;
    } cases[] = {{'3', 0644, NULL, "device"},
                 {'4', 0644, NULL, "device"},
                 {'6', 0644, NULL, "fifo"},
                 {'0', 04755, NULL, "setuid"},
                 {'0', 02755, NULL, "setuid or setgid"},
                 {'0', 01644, NULL, "sticky"},
                 {'2', 0777, "/etc", "absolute"},
                 {'2', 0777, "../out", "leads out"},
                 {'1', 0644, "/etc/passwd", "hard link whose target is absolute"},
                 {'1', 0644, "../x", "hard link whose target leads out"},
                 {'1', 0644, "nothing", "isn't there"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench b = make_bench(state);
        iw_buffer tar = {0};
        add(&tar, "thing", cases[i].type, cases[i].link, cases[i].mode, NULL, 0);
        end(&tar);
        refused(cases[i].why);
        assert_false(exists(&b, "thing"));
        free_bench(&b);
    }
}

/* A folder outside that each of these tries to write to. */
static char *make_outside(void **state)
{
    iw_error err = IW_ERROR_INIT;
    char *outside = iw_path_join(*state, "outside");
    kit_ok(iw_remove_tree(outside, &err));
    kit_ok(iw_make_folders(outside, 0755, &err));
    return outside;
}

static void test_writing_through_links(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_cleanup_free char *outside = make_outside(state), *canary = iw_path_join(outside, "x"),
                         *planted = iw_path_join(b.folder, "planted");
    iw_buffer tar = {0};
    add_link(&tar, "l", "d");
    add_file(&tar, "l/x", "through a link inside");
    end(&tar);
    refused("\"l/x\" lies behind the link \"l\"");
    assert_int_equal(symlink(outside, planted), 0); /* even one that was there before */
    add_file(&tar, "planted/x", "x");
    end(&tar);
    refused("behind the link");
    add(&tar, "planted/", '5', NULL, 0755, NULL, 0);
    end(&tar);
    refused("behind the link");
    add_link(&tar, "planted/x", "y");
    end(&tar);
    refused("behind the link");
    add_file(&tar, "f", "x");
    add(&tar, "planted/x", '1', "f", 0644, NULL, 0);
    end(&tar);
    refused("behind the link");
    add(&tar, "h", '1', "planted/x", 0644, NULL, 0);
    end(&tar);
    refused("behind the link");
    assert_false(iw_exists(canary));
    free_bench(&b);
}

/* Each link alone is fine; together they lead out. */
static void test_links_together(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    add(&tar, "d/e/", '5', NULL, 0755, NULL, 0);
    add_link(&tar, "d/e/up", "../..");
    add_link(&tar, "out", "d/e/up/../x");
    end(&tar);
    refused("\"out\" is a link that leads out");
    free_bench(&b);
    b = make_bench(state);
    add_link(&tar, "out", "d/e/up/../x"); /* the other way round: what it passes comes later */
    add(&tar, "d/e/", '5', NULL, 0755, NULL, 0);
    add_link(&tar, "d/e/up", "../..");
    end(&tar);
    refused("\"out\" is a link that leads out");
    free_bench(&b);
    b = make_bench(state);
    add(&tar, "d/e/", '5', NULL, 0755, NULL, 0);
    add_link(&tar, "fine", "d/e/../../x");
    add_link(&tar, "loop", "loop/../x");
    end(&tar);
    kit_fails(unpack(&b, &tar, &err), IW_E_FORMAT, "too many links");
    free_bench(&b);
    b = make_bench(state);
    add(&tar, "d/e/", '5', NULL, 0755, NULL, 0);
    add_link(&tar, "fine", "d/e/../../x");
    end(&tar);
    kit_ok(unpack(&b, &tar, &err));
    free_bench(&b);
}

static void test_hard_link_to_link(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    add_link(&tar, "l", "x");
    add(&tar, "h", '1', "l", 0644, NULL, 0);
    end(&tar);
    refused("\"h\" is a hard link to something that is no file");
    free_bench(&b);
    b = make_bench(state);
    add(&tar, "d/", '5', NULL, 0755, NULL, 0);
    add(&tar, "h", '1', "d", 0644, NULL, 0);
    end(&tar);
    refused("no file");
    free_bench(&b);
}

static void test_folders_stay(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    add_file(&tar, "d/x", "x");
    add_file(&tar, "d", "a file");
    end(&tar);
    refused("\"d\" would replace a folder");
    add_link(&tar, "d", "elsewhere");
    end(&tar);
    refused("\"d\" would replace a folder");
    add_file(&tar, "f", "a file");
    add_file(&tar, "f/x", "x");
    end(&tar);
    refused("\"f/x\" lies below something that is no folder");
    add(&tar, "f/", '5', NULL, 0755, NULL, 0);
    end(&tar);
    refused("no folder");
    free_bench(&b);
}

static void test_bounds(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    b.admission.max_entry = 100;
    char data[200];
    memset(data, 'x', sizeof data);
    add(&tar, "big", '0', NULL, 0644, data, 101);
    end(&tar);
    refused("\"big\" is larger than the bound");
    b.admission.max_total = 150;
    add(&tar, "a", '0', NULL, 0644, data, 100);
    add(&tar, "b", '0', NULL, 0644, data, 100);
    end(&tar);
    refused("\"b\" makes the archive larger");
    b.admission.max_entries = 2;
    for (int i = 0; i < 3; i++) add_file(&tar, i == 0 ? "a" : i == 1 ? "b" : "c", "");
    end(&tar);
    refused("\"c\" is one more than the bound");
    /* A header that claims 8 GiB less one byte, and a hole as large: before anything is written. */
    b.admission = (iw_admission){.max_entry = 1 << 20};
    add(&tar, "claims", '0', NULL, 0644, NULL, ((size_t)8 << 30) - 1);
    refused("\"claims\" is larger");
    free_bench(&b);
}

/* 200 MB of zeros in a few kB, alone and as a zip; the default ratio refuses them. */
static void test_bomb(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    size_t length = (size_t)200 << 20;
    char *zeros = calloc(1, length);
    assert_non_null(zeros);
    write_with(b.archive, archive_write_set_format_pax_restricted, ARCHIVE_FILTER_ZSTD, "zeros",
               zeros, length);
    iw_buffer tar = slurp(b.archive);
    assert_true(tar.length < 100000);
    refused("\"zeros\" unpacks to far more");
    free(zeros);
    free_bench(&b);
}

/* Broken anywhere: an error, never a crash, never silence. */
static void test_broken(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    iw_buffer_add_text(&tar, "this is no archive at all, but it is long enough to be looked at");
    kit_fails(unpack(&b, &tar, &err), IW_E_FORMAT, "test.tar");
    kit_fails(unpack(&b, &tar, &err), IW_E_FORMAT, "test.tar"); /* empty */
    char text[5000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * i % 251);
    for (int filter = 0; filter < 3; filter++) {
        static const int filters[] = {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD};
        write_with(b.archive, archive_write_set_format_pax_restricted, filters[filter], "file",
                   text, sizeof text);
        iw_buffer whole = slurp(b.archive);
        for (size_t cut = 10; cut < whole.length - 20; cut += whole.length / 7) {
            iw_buffer_add(&tar, whole.data, cut);
            kit_fails(unpack(&b, &tar, &err), IW_E_FORMAT, "test.tar");
        }
        iw_buffer_free(&whole);
    }
    /* A zip whose data isn't what its CRC says. */
    write_with(b.archive, archive_write_set_format_zip, ARCHIVE_FILTER_NONE, "file", text,
               sizeof text);
    iw_buffer zip = slurp(b.archive);
    zip.data[60] ^= 1;
    int status = unpack(&b, &zip, &err);
    assert_int_equal(status, -1);
    assert_int_equal(err.kind, IW_E_FORMAT);
    iw_error_clear(&err);
    free_bench(&b);
}

/* The disk is full: an input/output error with its errno and the entry, no refusal. */
static void test_full_disk(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    add_file(&tar, "file", "content");
    end(&tar);
    iw_fault_set(IW_FAULT_WRITE, 2, ENOSPC); /* the first writes the archive */
    kit_fails(unpack(&b, &tar, &err), IW_E_IO, "entry \"file\" can't be written: No space left");
    iw_fault_set(IW_FAULT_WRITE, 0, 0);
    free_bench(&b);
}

/* --- toolchain roots ------------------------------------------------------ */

static void root_links(const bench *b)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *usr = iw_path_join(b->folder, "usr/bin"),
                         *bin = iw_path_join(b->folder, "bin");
    kit_ok(iw_make_folders(usr, 0755, &err));
    if (symlink("usr/bin", bin) != 0) assert_int_equal(errno, EEXIST);
}

static void test_root_links(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_buffer tar = {0};
    b.admission.root_links = true;
    root_links(&b);
    add(&tar, "./", '5', NULL, 0755, NULL, 0);
    add(&tar, "./bin/", '5', NULL, 0755, NULL, 0);
    add(&tar, "./bin/sh", '0', NULL, 0755, "sh", 2);
    add_link(&tar, "./usr/bin/awk", "/etc/alternatives/awk");
    add(&tar, "./bin/bash", '1', "./bin/sh", 0755, NULL, 0);
    add_link(&tar, "./abs", "/usr/lib");
    add_file(&tar, "./abs/made", "below the root, not in the host's /usr/lib");
    add_link(&tar, "./up", "../../../usr/../usr/bin");
    add_file(&tar, "./up/clamped", "as in a chroot");
    end(&tar);
    kit_ok(unpack(&b, &tar, &err));
    assert_true(S_ISLNK(look(&b, "bin").st_mode));
    kit_expect(b.folder, "usr/bin/sh", "sh");
    kit_expect(b.folder, "usr/bin/bash", "sh");
    kit_expect(b.folder, "usr/lib/made", "below the root, not in the host's /usr/lib");
    kit_expect(b.folder, "usr/bin/clamped", "as in a chroot");
    assert_false(iw_exists("/usr/lib/made"));
    add_link(&tar, "a", "b");
    add_link(&tar, "b", "a");
    add_file(&tar, "a/x", "x");
    end(&tar);
    refused("too many links");
    free_bench(&b);
}

static void ar_member(iw_buffer *ar, const char *name, const char *data, size_t length)
{
    iw_buffer_add_format(ar, "%-16s%-12d%-6d%-6d%-8o%-10zu`\n", name, 0, 0, 0, 0100644u, length);
    iw_buffer_add(ar, data, length);
    if (length % 2) iw_buffer_add_char(ar, '\n');
}

static void test_deb(void **state)
{
    iw_error err = IW_ERROR_INIT;
    static const struct {
        const char *name;
        int filter;
    } kinds[] = {{"data.tar.xz", ARCHIVE_FILTER_XZ},
                 {"data.tar.zst", ARCHIVE_FILTER_ZSTD},
                 {"data.tar.gz", ARCHIVE_FILTER_GZIP},
                 {"data.tar", ARCHIVE_FILTER_NONE}};
    for (size_t i = 0; i < 4; i++) {
        bench b = make_bench(state);
        iw_buffer ar = {0};
        b.deb = true;
        root_links(&b);
        write_with(b.archive, archive_write_set_format_gnutar, kinds[i].filter, "./bin/tool",
                   "tool", 4);
        iw_buffer data = slurp(b.archive);
        iw_buffer_add_text(&ar, "!<arch>\n");
        ar_member(&ar, "debian-binary", "2.0\n", 4);
        ar_member(&ar, "control.tar.xz", "whatever", 8);
        ar_member(&ar, kinds[i].name, data.data, data.length);
        iw_buffer_free(&data);
        kit_ok(unpack(&b, &ar, &err));
        kit_expect(b.folder, "usr/bin/tool", "tool");
        iw_buffer_add_text(&ar, "!<arch>\n");
        ar_member(&ar, "debian-binary", "2.0\n", 4);
        kit_fails(unpack(&b, &ar, &err), IW_E_FORMAT, "no data.tar");
        free_bench(&b);
    }
}

/* --- packing -------------------------------------------------------------- */

static char *make_tree(void **state, const char *name)
{
    iw_error err = IW_ERROR_INIT;
    char *tree = iw_path_join(*state, name), *link = iw_path_join(tree, "b/link"),
         *empty = iw_path_join(tree, "empty"), *deep = NULL, text[400];
    kit_text(tree, "b/file", "content");
    kit_text(tree, "b-a", "sorts between");
    kit_write(tree, "a/run", "#!/bin/sh\n", 10, 0700);
    kit_text(tree, "caf\xc3\xa9", "utf-8");
    kit_text(tree, "caf\xe9", "latin-1");
    for (int i = 0; i < 3; i++) {
        memset(text, "x\xe9y"[i], 150);
        memcpy(text + 150, "/", 1);
        memset(text + 151, 'z', 120);
        text[271] = 0;
        kit_text(tree, text, "far below");
    }
    kit_ok(iw_make_folders(empty, 0700, &err));
    assert_int_equal(symlink("file", link), 0);
    memset(text, 'l', 130);
    text[130] = 0;
    deep = iw_path_join(tree, "a/long");
    assert_int_equal(symlink(text, deep), 0);
    char *large = malloc(3000000);
    for (size_t i = 0; i < 3000000; i++) large[i] = (char)(i * 2654435761u >> 13);
    kit_write(tree, "large", large, 3000000, 0644);
    free(large);
    free(deep);
    free(empty);
    free(link);
    return tree;
}

static iw_packed pack(void **state, const char *tree, const char *name, const iw_packing *packing)
{
    iw_error err = IW_ERROR_INIT;
    iw_packed packed;
    iw_cleanup_free char *path = iw_path_join(*state, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    kit_ok(iw_archive_pack(tree, fd, packing, &packed, &err));
    char digest[IW_SHA256_HEX];
    uint64_t size;
    close(fd);
    kit_ok(iw_hash_file(path, digest, &size, &err));
    assert_string_equal(digest, packed.file);
    assert_int_equal(size, packed.file_size);
    return packed;
}

static void test_pack(void **state)
{
    iw_error err = IW_ERROR_INIT;
    bench b = make_bench(state);
    iw_cleanup_free char *tree = make_tree(state, "tree"), *again = make_tree(state, "again");
    iw_packed one = pack(state, tree, "one", NULL), two = pack(state, again, "two", NULL);
    assert_string_equal(one.content, two.content);
    assert_string_equal(one.file, two.file);
    char content[IW_SHA256_HEX];
    kit_ok(iw_archive_digest(tree, content, &err));
    assert_string_equal(content, one.content);
    iw_packing plain = {.plain = true};
    iw_packed tar = pack(state, tree, "plain", &plain);
    assert_string_equal(tar.file, one.content);
    assert_string_equal(tar.content, one.content);
    /* Read back by us, and by GNU tar: the same tree. */
    iw_cleanup_free char *path = iw_path_join(*state, "one"),
                         *plain_path = iw_path_join(*state, "plain");
    iw_buffer bytes = slurp(path);
    kit_ok(unpack(&b, &bytes, &err));
    kit_ok(iw_archive_digest(b.folder, content, &err));
    assert_string_equal(content, one.content);
    iw_cleanup_free char *gnu = iw_path_join(*state, "gnu");
    kit_ok(iw_make_folders(gnu, 0755, &err));
    const char *const argv[] = {"tar", "-C", gnu, "-xf", plain_path, NULL},
                      *const environment[] = {"LC_ALL=C", "PATH=/usr/bin:/bin", NULL};
    kit_ok(iw_run_capture(argv, environment, 1000, NULL, NULL, &err));
    kit_ok(iw_archive_digest(gnu, content, &err));
    assert_string_equal(content, one.content);
    free_bench(&b);
}

/* The same bytes for ever: content digests are in keys. A change here is a change of the format. */
static void test_pack_golden(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = make_tree(state, "tree");
    char content[IW_SHA256_HEX];
    kit_ok(iw_archive_digest(tree, content, &err));
    assert_string_equal(content,
                        "93b682eb722857a058d048606c63eceea4e05c9fcde3ceb9d41476af1757030c");
}

/* One core or all, any locale. */
static void test_pack_cores(void **state)
{
    iw_cleanup_free char *tree = make_tree(state, "tree");
    iw_packed all = pack(state, tree, "all", NULL);
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &before)) {
            CPU_SET(i, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    setlocale(LC_ALL, "C.UTF-8");
    iw_packed single = pack(state, tree, "single", NULL);
    setlocale(LC_ALL, "C");
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_string_equal(all.file, single.file);
}

static int list_member(void *context, const char *path)
{
    iw_strings_add(context, path);
    return 0;
}

static void test_pack_order(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *tree = make_tree(state, "tree"), *path = iw_path_join(*state, "out");
    iw_strings first = {0}, members = {0};
    iw_strings_add(&first, "large");
    iw_packing packing = {.prefix = "env", .first = &first, .level = 5, .long_window = true};
    pack(state, tree, "out", &packing);
    iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    kit_ok(iw_archive_members(fd, path, list_member, &members, &err));
    static const char *const expected[] = {"env/large",  "env/a/long", "env/a/run",
                                           "env/b/file", "env/b/link", "env/b-a"};
    for (size_t i = 0; i < 6; i++) assert_string_equal(members.items[i], expected[i]);
    assert_int_equal(members.count, 11);
    iw_cleanup_free char *text = NULL, *none = NULL, *link = NULL;
    kit_ok(iw_archive_text(fd, path, "env/**/fi*", 100, &text, &err));
    assert_string_equal(text, "content");
    kit_ok(iw_archive_text(fd, path, "env/large", 100, &none, &err));
    kit_ok(iw_archive_text(fd, path, "env/b/link", 100, &link, &err));
    assert_null(none), assert_null(link);
    iw_cleanup_free char *whole = NULL, *part = NULL;
    kit_ok(iw_archive_text(fd, path, "env/large", 3000000, &whole, &err));
    assert_non_null(whole);
    assert_int_equal(truncate(path, 5000), 0); /* of a file that is cut short there is no text */
    kit_ok(iw_archive_text(fd, path, "env/large", 3000000, &part, &err));
    assert_null(part);
    iw_strings_free(&first);
    iw_strings_free(&members);
}

static void test_pack_failures(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_packed packed;
    iw_cleanup_free char *tree = make_tree(state, "tree"), *fifo = iw_path_join(tree, "fifo");
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    kit_fails(iw_archive_pack(tree, full, NULL, &packed, &err), IW_E_IO, "No space left");
    close(full);
    kit_fails(iw_archive_pack("/nowhere", 1, NULL, &packed, &err), IW_E_IO, "/nowhere");
    assert_int_equal(mkfifo(fifo, 0644), 0);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    kit_fails(iw_archive_pack(tree, null, NULL, &packed, &err), IW_E_FORMAT, "\"fifo\"");
    close(null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        T(test_names),
        T(test_links_by_name),
        T(test_plain),
        T(test_skip_and_umask),
        T(test_formats),
        T(test_pax_names),
        T(test_sparse),
        T(test_replacing),
        T(test_hostile_names),
        T(test_hostile_kinds),
        T(test_writing_through_links),
        T(test_links_together),
        T(test_hard_link_to_link),
        T(test_folders_stay),
        T(test_bounds),
        T(test_bomb),
        T(test_broken),
        T(test_full_disk),
        T(test_root_links),
        T(test_deb),
        T(test_pack),
        T(test_pack_golden),
        T(test_pack_cores),
        T(test_pack_order),
        T(test_pack_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
